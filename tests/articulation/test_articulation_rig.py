"""Rig `articulation`: what is heard, in time with the sound, before the lips lead it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facesdk
from facesdk.articulation import Rules, TimedPhone, articulate
from facesdk.audio import read_audio
from facesdk.errors import ModelError

DATA = Path(__file__).parents[1] / "data"
WORD = [
    TimedPhone("SIL", 0.0, 0.4), TimedPhone("ɑ", 0.4, 0.6), TimedPhone("m", 0.6, 0.7),
    TimedPhone("ɑ", 0.7, 0.9), TimedPhone("SIL", 0.9, 1.3),
]  # fmt: skip


def middle(clip, unit, level):
    """Seconds around which a curve lies above a level."""
    above = np.flatnonzero(clip.values[:, clip.rig.index(unit)] > level) / float(clip.fps)
    return float((above[0] + above[-1]) / 2)


def test_synchronous_rules_put_the_closure_on_its_sound():
    heard = articulate(WORD, fps=200, rules=Rules.load().synchronous())
    lips = articulate(WORD, fps=200)
    assert middle(heard, "closure", 0.5) == pytest.approx(0.65, abs=0.01)
    assert middle(lips, "closure", 0.5) < 0.65 - 0.02
    assert heard.values[int(0.65 * 200), heard.rig.index("closure")] == pytest.approx(1, abs=0.01)
    assert heard.values[int(0.5 * 200), heard.rig.index("closure")] == 0


def test_stress_and_loudness_do_not_change_what_is_heard():
    rules = Rules.load().synchronous()
    stressed = [phone._replace(stress=1) for phone in WORD]
    loud = np.ones(260, np.float32)
    jaw = facesdk.Rig.load("units").index("jaw")
    plain, other = articulate(WORD, rules=rules), articulate(stressed, loudness=loud, rules=rules)
    np.testing.assert_array_equal(plain.values[:, jaw], other.values[:, jaw])


def test_the_model_hears_when_the_lips_are_heard_closed():
    heard = facesdk.bake(DATA / "mama.flac", rig="articulation", fps=100)
    assert heard.rig.names == facesdk.Rig.load("articulation").names
    labels = json.loads((DATA / "mama.json").read_text("utf-8"))
    closure = heard.values[:, heard.rig.index("closure")]
    times = np.arange(len(heard)) / 100
    inside = np.zeros(len(heard), bool)
    for symbol, start, end, *_ in labels:
        if symbol == "m":
            inside |= (times >= start) & (times < end)
    vowel = ~inside & (times > labels[0][2]) & (times < labels[-1][1])
    assert closure[inside].mean() > closure[vowel].mean() + 0.3


@settings(max_examples=5)
@given(cuts=st.lists(st.integers(1, 30_000), max_size=4))
def test_cuts_of_the_audio_do_not_matter(cuts):
    samples = read_audio(DATA / "mama.flac", sample_rate=16_000)[:48_000]
    wish = {"rigs": ["arkit", "articulation"], "fps": 50, "look_ahead_ms": 100}
    whole = facesdk.load().multi_session(**wish)
    expected = [f["articulation"].values for f in [*whole.push(samples), *whole.flush()]]
    session, frames = facesdk.load().multi_session(**wish), []
    for piece in np.split(samples, np.cumsum(cuts)[np.cumsum(cuts) < len(samples)]):
        frames += session.push(piece)
    given_back = [f["articulation"].values for f in [*frames, *session.flush()]]
    np.testing.assert_allclose(given_back, expected, atol=1e-5)


def test_beside_other_rigs_it_is_what_it_is_alone():
    both = facesdk.bake_rigs(DATA / "mama.flac", ["units", "articulation"], fps=50)
    alone = facesdk.bake(DATA / "mama.flac", rig="articulation", fps=50)
    np.testing.assert_allclose(both["articulation"].values, alone.values, atol=1e-6)
    assert both["units"].values.shape[1] == len(facesdk.Rig.load("units"))


def test_a_model_without_these_curves_is_refused(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(facesdk.load().folder, folder)
    manifest = json.loads((folder / "model.json").read_text("utf-8")) | {"articulation": []}
    (folder / "model.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(ModelError, match="articulation"):
        facesdk.load(folder).session(rig="articulation")
