from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesdk.articulation import GRID, Rules, TimedPhone, articulate, loudness
from facesdk.errors import ArticulationError, UnknownNameError

FPS = 200
RULES = Rules.load()
SOUNDS = sorted(RULES.phones.phones)
BILABIALS, LABIODENTALS, SIBILANTS = "pbm", "fv", "szʃʒʧʤ"


def line(*sounds, duration=0.1, stress=0):
    """Timed phones of equal duration between two long silences."""
    edges = 0.4 + duration * np.arange(len(sounds) + 1)
    spoken = [
        TimedPhone(s, float(a), float(b), stress)
        for s, a, b in zip(sounds, edges[:-1], edges[1:], strict=True)
    ]
    return [TimedPhone("SIL", 0.0, 0.4), *spoken, TimedPhone("SIL", edges[-1], edges[-1] + 0.4)]


def during(clip, unit, start, end):
    return clip.curve(unit)[round(start * FPS) : round(end * FPS)]


@given(
    before=st.lists(st.sampled_from(SOUNDS), max_size=4),
    sound=st.sampled_from(BILABIALS),
    after=st.lists(st.sampled_from(SOUNDS), max_size=4),
    duration=st.floats(0.05, 0.3),
)
def test_bilabials_close_and_stay_closed_whatever_surrounds_them(before, sound, after, duration):
    clip = articulate(line(*before, sound, *after, duration=duration), fps=FPS)
    start = 0.4 + duration * len(before)
    closed = during(clip, "closure", start, start + duration - 0.03)
    assert closed.min() >= 0.9
    assert during(clip, "aperture", start, start + duration - 0.03).max() <= 0.1


@given(
    before=st.sampled_from(SOUNDS), sound=st.sampled_from(LABIODENTALS),
    after=st.sampled_from(SOUNDS), duration=st.floats(0.06, 0.3),
)  # fmt: skip
def test_the_lower_lip_reaches_the_teeth_for_f_and_v(before, sound, after, duration):
    clip = articulate(line(before, sound, after, duration=duration), fps=FPS)
    start = 0.4 + duration
    assert during(clip, "labiodental", start, start + duration - 0.03).min() >= 0.8
    assert during(clip, "aperture", start, start + duration - 0.03).max() <= 0.5


@given(
    vowel=st.sampled_from("ɑæaɔ"),
    sound=st.sampled_from(SIBILANTS),
    duration=st.floats(0.08, 0.3),
)
def test_sibilants_keep_the_jaw_narrow(vowel, sound, duration):
    clip = articulate(line(vowel, sound, vowel, duration=duration), fps=FPS)
    start = 0.4 + duration
    assert during(clip, "jaw", start, start + duration - 0.02).max() <= 0.35


@pytest.mark.parametrize("sound", [s for s in SOUNDS if s not in "pbmβɸ"])
def test_every_other_sound_opens_the_lips_at_some_moment(sound):
    clip = articulate(line("ɑ", "m", sound, "m", "ɑ", duration=0.16), fps=FPS)
    start = 0.4 + 2 * 0.16
    assert during(clip, "closure", start, start + 0.16).min() < 0.1
    assert during(clip, "aperture", start, start + 0.16).max() > 0.05


@pytest.mark.parametrize("sound", list("tdnlkɡŋh"))
def test_tongue_sounds_leave_rounding_to_their_neighbours(sound):
    rounded = articulate(line("u", sound, "u"), fps=FPS)
    spread = articulate(line("i", sound, "i"), fps=FPS)
    middle = (0.53, 0.57)
    assert during(rounded, "rounding", *middle).min() > 0.8
    assert during(spread, "spread", *middle).min() > 0.6


def test_lips_lead_the_sound():
    clip = articulate(line("ɑ", "ɑ", "ɑ"), fps=FPS)
    before = clip.curve("aperture")[round(0.4 * FPS)]
    rest = clip.curve("aperture")[0]
    assert before > (rest + clip.curve("aperture").max()) / 2


def transition(curve):
    """Frames a rising curve takes from a tenth to nine tenths of its way."""
    rising = curve[round(0.6 * FPS) : int(curve.argmax()) + 1]
    way = (rising - rising.min()) / (rising.max() - rising.min())
    return int(((way > 0.1) & (way < 0.9)).sum())


def test_rounding_spreads_wider_than_the_jaw():
    rounding = articulate(line("t", "t", "t", "u", duration=0.25), fps=FPS).curve("rounding")
    jaw = articulate(line("t", "t", "t", "ɑ", duration=0.25), fps=FPS).curve("jaw")
    assert transition(rounding) > 1.1 * transition(jaw)


def test_diphthongs_travel():
    clip = articulate(line("aɪ", duration=0.4), fps=FPS)
    assert during(clip, "jaw", 0.42, 0.46).mean() > 0.6
    assert during(clip, "jaw", 0.72, 0.76).mean() < 0.4
    assert during(clip, "spread", 0.72, 0.76).mean() > during(clip, "spread", 0.42, 0.46).mean()


def test_stress_and_loudness_make_vowels_larger():
    plain = articulate(line("t", "e", "t"), fps=FPS).curve("jaw").max()
    stressed = articulate(line("t", "e", "t", stress=1), fps=FPS).curve("jaw").max()
    assert stressed > plain
    quiet = articulate(line("t", "e", "t"), fps=FPS, loudness=np.full(250, 0.1, np.float32))
    loud = articulate(line("t", "e", "t"), fps=FPS, loudness=np.ones(250, np.float32))
    assert loud.curve("jaw").max() > 1.2 * quiet.curve("jaw").max()


def test_pauses_leave_the_mouth_slightly_open_and_still():
    clip = articulate([TimedPhone("SIL", 0, 2)], fps=FPS)
    assert 0 < clip.curve("aperture")[200] < 0.25
    assert np.abs(np.diff(clip.values, axis=0)).max() < 1e-6


@given(st.lists(st.sampled_from([*SOUNDS, "SIL"]), min_size=1, max_size=12))
def test_units_stay_in_their_ranges(sounds):
    clip = articulate(line(*sounds), fps=50)
    assert clip.values.min() >= 0
    assert clip.values.max() <= 1


@given(shift=st.integers(1, 40), sounds=st.lists(st.sampled_from(SOUNDS), min_size=1, max_size=6))
def test_a_line_said_later_looks_the_same_later(shift, sounds):
    phones = line(*sounds)
    delay = shift / GRID
    later = [p._replace(start=p.start + delay, end=p.end + delay) for p in phones]
    later[0] = later[0]._replace(start=0.0)
    first, second = articulate(phones, fps=FPS), articulate(later, fps=FPS)
    span = len(first) - 5
    np.testing.assert_allclose(second.values[shift:][:span], first.values[:span], atol=0.02)


def test_alphabets_agree():
    ipa = articulate(line("m", "ɑ", "s", "u"))
    arpabet = articulate(line("M", "AA1", "S", "UW0"), alphabet="arpabet")
    np.testing.assert_array_equal(ipa.values, arpabet.values)


def test_marks_do_not_matter():
    plain = articulate(line("a", "t", "o"))
    marked = articulate(line("aː", "tʰ", "õ"))
    np.testing.assert_array_equal(plain.values, marked.values)


@pytest.mark.parametrize(
    ("phones", "words"),
    [
        ([TimedPhone("a", 0.5, 0.2)], "end after"),
        ([TimedPhone("a", 0.0, 0.3), TimedPhone("b", 0.1, 0.4)], "must start at or after 0.300"),
        ([TimedPhone("a", float("nan"), 1.0)], "finite"),
    ],
)
def test_impossible_times_are_refused(phones, words):
    with pytest.raises(ArticulationError, match=words):
        articulate(phones)


def test_unknown_sounds_name_their_neighbours():
    with pytest.raises(UnknownNameError, match="no ARPAbet sound 'AAA'"):
        articulate([TimedPhone("AAA", 0, 1)], alphabet="arpabet")


def test_rules_can_be_changed_in_their_file(tmp_path):
    from importlib import resources

    file = resources.files("facesdk") / "data" / "articulation" / "rules.json"
    document = json.loads(file.read_text("utf-8"))
    document["phones"]["t"]["closure"] = 1.0
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    changed = articulate(line("a", "t", "a"), rules=Rules.load(path))
    assert changed.curve("closure").max() >= 0.9
    document["phones"]["t"]["closur"] = 1.0
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UnknownNameError, match="did you mean 'closure'"):
        Rules.load(path)


def test_loudness_is_relative_to_the_line():
    time = np.arange(16_000) / 16_000
    samples = (np.sin(2 * np.pi * 200 * time) * np.where(time < 0.5, 0.5, 0.05)).astype(np.float32)
    level = loudness(samples, 16_000, rate=GRID)
    assert len(level) == GRID
    assert level[40] == pytest.approx(1, abs=0.05)
    assert level[160] == pytest.approx(1 - 20 / 30, abs=0.05)
    np.testing.assert_allclose(loudness(samples * 0.1, 16_000, rate=GRID), level, atol=0.02)
