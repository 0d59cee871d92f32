from __future__ import annotations

import hashlib
import json
import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facesdk
from facesdk.audio import read_audio
from facesdk.errors import ModelError, UnknownNameError

DATA = Path(__file__).parents[1] / "data"
RATE = 16_000
SPEECH = read_audio(DATA / "mama.flac")[: 3 * RATE]
RIGS = ("arkit", "oculus", "metahuman", "a2f", "livelink", "vrm", "metahuman-gui", "units")


@pytest.fixture(scope="module")
def model():
    return facesdk.load()


def frames(session, chunks):
    return [f for chunk in chunks for f in session.push(chunk)] + session.flush()


def values(found):
    return np.array([f.values for f in found])


def closure_and_phones(model, look_ahead_ms):
    session = model.session(rig="units", fps=50, look_ahead_ms=look_ahead_ms, blinks=False)
    curve = values(frames(session, [read_audio(DATA / "mama.flac")]))[
        :, session.rig.index("closure")
    ]
    return curve, json.loads((DATA / "mama.json").read_text("utf-8"))


# ------------------------------------------------------------------ hearing


@pytest.mark.parametrize("look_ahead_ms", [100, None])
def test_m_and_a_of_equal_loudness_give_opposite_closure(model, look_ahead_ms):
    curve, phones = closure_and_phones(model, look_ahead_ms)
    nasal, vowel = [], []
    for symbol, start, end, _ in phones:
        cut = curve[round((start - 0.02) * 50) : round((end - 0.02) * 50) + 1]
        if symbol == "m" and end - start >= 0.05:
            nasal.append(cut.max())
        if symbol == "ɑ":
            vowel.append(cut.min())
    assert min(len(nasal), len(vowel)) >= 5
    # closures are complete or absent; those the network hears weakly are left
    assert np.mean(np.array(nasal) > 0.9) > 0.7
    assert max(vowel) < 0.1


def test_louder_speech_is_the_same_speech(model):
    quiet = values(frames(model.session(blinks=False), [SPEECH * 0.3]))
    loud = values(frames(model.session(blinks=False), [SPEECH * 3]))
    jaw = facesdk.Rig.load("arkit").index("jawOpen")
    assert np.corrcoef(quiet[:, jaw], loud[:, jaw])[0, 1] > 0.95


@pytest.mark.parametrize(("kind", "share"), [("silence", 0.02), ("hum", 0.1), ("noise", 0.35)])
def test_what_is_no_speech_hardly_moves_the_mouth(model, kind, share):
    time = np.arange(4 * RATE) / RATE
    rng = np.random.default_rng(0)
    sound = {
        "silence": np.zeros(4 * RATE),
        "noise": rng.standard_normal(4 * RATE) * 0.05,
        "hum": 0.1 * np.sin(2 * np.pi * 100 * time),
    }[kind].astype(np.float32)
    session = model.session(blinks=False, look_ahead_ms=None)
    motion = np.abs(np.diff(values(frames(session, [sound])), axis=0))[60:-15]
    speech = np.abs(np.diff(values(frames(model.session(blinks=False), [SPEECH])), axis=0))
    assert motion.mean() < share * speech.mean()


# ------------------------------------------------------------------ streaming


@settings(max_examples=25)
@given(
    cuts=st.lists(st.integers(0, len(SPEECH)), max_size=12).map(sorted),
    rig=st.sampled_from(["arkit", "oculus"]),
    fps=st.sampled_from(["60", "30000/1001", "24", "90", "50"]),
    look_ahead_ms=st.sampled_from([0, 40, 80, None]),
)
def test_frames_do_not_depend_on_how_the_audio_was_cut(cuts, rig, fps, look_ahead_ms):
    model = facesdk.load()
    wish = {"rig": rig, "fps": fps, "look_ahead_ms": look_ahead_ms}
    whole = frames(model.session(**wish), [SPEECH])
    pieces = frames(model.session(**wish), np.split(SPEECH, cuts))
    assert [f.index for f in pieces] == [f.index for f in whole] == list(range(len(whole)))
    assert [f.sample for f in pieces] == [f.sample for f in whole]
    np.testing.assert_allclose(values(pieces), values(whole), atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_cuts_do_not_matter_at_other_rates_either(model, rate):
    stereo = np.repeat(SPEECH[:, None], 2, 1)
    wish = {"sample_rate": rate, "channels": 2}
    whole = frames(model.session(**wish), [stereo])
    pieces = frames(model.session(**wish), np.array_split(stereo, 97))
    np.testing.assert_allclose(values(pieces), values(whole), atol=1e-5)
    assert len(whole) == math.ceil(len(SPEECH) * 60 / rate)


@pytest.mark.parametrize("look_ahead_ms", [0, 20, 40, 80, 160])
def test_audio_beyond_the_look_ahead_changes_nothing(model, look_ahead_ms):
    cut = 24_000
    other = SPEECH.copy()
    other[cut:] = np.random.default_rng(1).standard_normal(len(other) - cut) * 0.1
    wish = {"rig": "units", "fps": 50, "look_ahead_ms": look_ahead_ms}
    first = values(frames(model.session(**wish), [SPEECH]))
    second = values(frames(model.session(**wish), [other]))
    known = (cut - look_ahead_ms * 16) // 320
    np.testing.assert_allclose(second[: known + 1], first[: known + 1], atol=1e-6)
    assert np.abs(second - first)[known + 1 : known + 12].max() > 0.01


def test_frames_come_as_early_as_the_latency_says(model):
    session = model.session(fps=60, look_ahead_ms=80)
    received = 0
    for chunk in np.split(SPEECH, len(SPEECH) // 160):
        received += len(chunk)
        for frame in session.push(chunk):
            waited = Fraction(received, RATE) - frame.index / session.fps
            assert waited <= session.latency + Fraction(160, RATE)
    assert session.latency == Fraction(80, 1000) + Fraction(5, 6) / 50


def test_more_look_ahead_heard_better_on_held_out_voices(model):
    scores = model.manifest.facts["scores"]["held_out_synthetic_voices"]
    found = [scores[f"look_ahead_{ms}_ms"]["bilabial_auc"] for ms in model.manifest.look_aheads_ms]
    assert found == sorted(found)


# ------------------------------------------------------------------ sessions


def test_a_clip_is_as_long_as_its_audio_to_one_frame(model):
    for samples in (1, 100, 320, 16_000, 16_001, 47_999):
        clip = facesdk.bake(SPEECH[:samples], model=model, fps="30000/1001")
        assert len(clip) == math.ceil(Fraction(samples, RATE) * Fraction(30000, 1001))


def test_lines_end_at_rest(model):
    clip = facesdk.bake(SPEECH[: RATE * 2], model=model, blinks=False)
    rest = facesdk.bake(np.zeros(RATE, np.float32), model=model, blinks=False)
    jaw = clip.curve("jawOpen")
    assert abs(jaw[-1] - rest.curve("jawOpen")[-1]) < 0.01
    moving = facesdk.bake(SPEECH[: RATE * 2], model=model, blinks=False, settle=False)
    np.testing.assert_allclose(clip.values[:-15], moving.values[:-15], atol=1e-6)


def test_a_tail_comes_after_the_audio(model):
    clip = facesdk.bake(SPEECH[:RATE], model=model, tail=0.5)
    assert clip.duration == Fraction(3, 2)


def test_baking_twice_gives_the_same_bytes(model):
    first, second = (facesdk.bake(SPEECH, model=model, seed=4) for _ in range(2))
    assert first.values.tobytes() == second.values.tobytes()
    other = facesdk.bake(SPEECH, model=model, seed=5)
    assert not np.array_equal(first.curve("eyeBlinkLeft"), other.curve("eyeBlinkLeft"))
    np.testing.assert_array_equal(first.curve("jawOpen"), other.curve("jawOpen"))


def test_blinks_can_be_switched_off(model):
    assert facesdk.bake(SPEECH, model=model).curve("eyeBlinkLeft").max() > 0.5
    assert facesdk.bake(SPEECH, model=model, blinks=False).curve("eyeBlinkLeft").max() == 0


@pytest.mark.parametrize("rig", RIGS)
def test_every_rig_speaks_inside_its_ranges(model, rig):
    clip = facesdk.bake(SPEECH, model=model, rig=rig)
    assert clip.rig == facesdk.Rig.load(rig)
    np.testing.assert_array_equal(clip.clamped().values, clip.values)
    assert np.ptp(clip.values, axis=0).max() > 0.2


def test_a_session_can_be_used_again(model):
    session = model.session()
    first = values(frames(session, [SPEECH]))
    with pytest.raises(ModelError, match="reset"):
        session.push(SPEECH)
    session.reset()
    np.testing.assert_array_equal(values(frames(session, [SPEECH])), first)


def test_sessions_share_a_model_across_threads(model):
    def speak(_):
        return values(frames(model.session(), np.array_split(SPEECH, 10)))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(speak, range(4)))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_speakers_share_a_batch(model):
    rng = np.random.default_rng(0)
    audio = np.stack([SPEECH[: 320 * 40], rng.standard_normal(320 * 40) * 0.1]).astype(np.float32)
    together, _ = model.step(audio, model.start(2))
    for row, alone in zip(together, audio, strict=True):
        single, _ = model.step(alone[None], model.start())
        np.testing.assert_allclose(row, single[0], atol=1e-5)


def test_an_empty_line_has_no_frames(model):
    assert model.session().flush() == []


# ------------------------------------------------------------------ what goes wrong


def test_unknown_rigs_name_their_neighbours(model):
    with pytest.raises(UnknownNameError, match="arkit"):
        model.session(rig="arkitt")


def test_a_look_ahead_below_the_shortest_is_refused(model):
    with pytest.raises(ModelError, match="at least 0 ms"):
        model.session(look_ahead_ms=-1)
    assert model.session(look_ahead_ms=60).look_ahead_ms == 40


def copy_of(model, folder):
    for name in ("model.json", model.manifest.file):
        (folder / name).write_bytes((model.folder / name).read_bytes())
    return folder


def test_a_damaged_model_is_refused(model, tmp_path):
    folder = copy_of(model, tmp_path)
    weights = bytearray((folder / model.manifest.file).read_bytes())
    weights[len(weights) // 2] ^= 1
    (folder / model.manifest.file).write_bytes(weights)
    with pytest.raises(ModelError, match="damaged or was changed"):
        facesdk.load(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "not a model file"),
        ({"version": 2}, "reads version 1"),
        ({"file": "../model.onnx"}, "plain name"),
        ({"states": None}, "lacks or misspells"),
    ],
)
def test_a_bad_manifest_says_what_is_wrong(model, tmp_path, change, words):
    folder = copy_of(model, tmp_path)
    manifest = json.loads((folder / "model.json").read_text("utf-8")) | change
    (folder / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ModelError, match=words):
        facesdk.load(folder)


HOSTILE = [
    ({"step_samples": 0}, "step_samples must be sample_rate / frame_rate"),
    ({"step_samples": 640}, "step_samples must be"),
    ({"step_samples": 640, "frame_rate": [25, 1]}, "does not run as its manifest describes"),
    ({"sample_rate": 0}, "step_samples must be"),
    ({"sample_rate": 1e400}, "cannot be read|lacks or misspells"),
    ({"frame_rate": [50, 0]}, "lacks or misspells"),
    ({"frame_rate": [-50, 1]}, "frame_rate must lie"),
    ({"look_aheads_ms": []}, "look_aheads_ms must ascend"),
    ({"look_aheads_ms": [0, 40, 100]}, "output 'units' of .* describes"),
    ({"look_aheads_ms": [200, 100, 40, 0]}, "look_aheads_ms must ascend"),
    ({"look_aheads_ms": [0, 40, 100, 10**12]}, "look_aheads_ms must ascend"),
    ({"units": ["jaw"]}, "output 'units' of"),
    ({"units": ["jaw"] * 15}, "units must be names"),
    ({"units": [1, 2]}, "units must be names"),
    ({"articulation": ["jaw"]}, "must contain 'aperture'"),
    ({"articulation": [], "units": ["jaw"]}, "must contain"),
    ({"states": {}}, "cannot be read|does not run|has no"),
    ({"states": {"samples": [240], "mean": [65], "history": [60, 177]}}, "state_history|next_his"),
    ({"states": {"samples": [10**9], "mean": [65], "history": [60, 176]}}, "cannot have the shape"),
    ({"states": {"samples": [-1], "mean": [65], "history": [60, 176]}}, "cannot have the shape"),
    ({"states": {"other": [4]}}, "has no output 'next_other'"),
    ({"learned": [1]}, "describes no model"),
    ({"learned": {"faces": 3}}, "must name its output"),
    ({"learned": {"faces": {"output": "x", "rig": None}}}, "has no output 'x'"),
    ({"sha256": None}, "damaged or was changed"),
]


@pytest.mark.parametrize(("change", "words"), HOSTILE)
def test_a_manifest_is_compared_with_its_graph(model, tmp_path, change, words):
    folder = copy_of(model, tmp_path)
    manifest = json.loads((folder / "model.json").read_text("utf-8")) | change
    (folder / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ModelError, match=words):
        facesdk.load(folder).session().push(np.zeros(1600, np.float32))


def test_weights_that_are_not_numbers_are_told(model, tmp_path):
    onnx = pytest.importorskip("onnx")
    folder = copy_of(model, tmp_path)
    graph = onnx.load(str(folder / model.manifest.file))
    for weights in graph.graph.initializer:
        if weights.data_type == onnx.TensorProto.FLOAT and len(weights.dims) == 2:
            array = onnx.numpy_helper.to_array(weights) * np.nan
            weights.CopyFrom(onnx.numpy_helper.from_array(array, weights.name))
    payload = graph.SerializeToString()
    (folder / model.manifest.file).write_bytes(payload)
    facts = json.loads((folder / "model.json").read_text("utf-8"))
    facts["sha256"] = hashlib.sha256(payload).hexdigest()
    (folder / "model.json").write_text(json.dumps(facts), encoding="utf-8")
    session = facesdk.load(folder).session()
    with pytest.raises(ModelError, match="not finite; are its weights damaged"):
        session.push(np.ones(16_000, np.float32) / 10)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "\0", "", "[1]", "\xff\xfe"])
def test_a_manifest_that_is_no_document_is_refused(model, tmp_path, text):
    folder = copy_of(model, tmp_path)
    (folder / "model.json").write_text(text, encoding="latin1")
    with pytest.raises(ModelError, match=r"model\.json"):
        facesdk.load(folder)


def test_a_missing_model_says_what_a_model_is(tmp_path):
    with pytest.raises(ModelError, match=r"a folder with model\.json"):
        facesdk.load(tmp_path)


def test_the_manifest_tells_where_the_model_comes_from(model):
    facts = model.manifest.facts
    assert model.manifest.license == "Apache-2.0"
    assert {"training", "scores"} <= set(facts)
    assert facts["training"]["corpora"]
