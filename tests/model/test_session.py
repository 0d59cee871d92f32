"""Sessions on several rigs, their delay, and the network that runs in place."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facesdk
from facesdk.audio import read_audio
from facesdk.errors import ModelError, PerformanceError, UnknownNameError
from facesdk.model import RigOutput, RigOutputs, RigTable
from facesdk.model.rig_table import table_names
from facesdk.model.table_bank import TableBank
from facesdk.motion import Motion

DATA = Path(__file__).parents[1] / "data"
RATE = 16_000
SPEECH = read_audio(DATA / "mama.flac")[: 2 * RATE]
RIGS = ("arkit", "metahuman", "oculus", "flame", "vrm", "a2f", "livelink", "units")
UNITS = facesdk.Rig.load("units")


@pytest.fixture(scope="module")
def model():
    return facesdk.load()


def frames(session, chunks):
    return [f for chunk in chunks for f in session.push(chunk)] + session.flush()


def unit_curves(rows, seed=0):
    return np.random.default_rng(seed).random((rows, len(UNITS)), np.float32)


# ------------------------------------------------------------------ several rigs


@settings(max_examples=15)
@given(
    rigs=st.lists(st.sampled_from(RIGS), min_size=1, max_size=len(RIGS), unique=True),
    cuts=st.lists(st.integers(0, len(SPEECH)), max_size=8).map(sorted),
)
def test_several_rigs_at_once_equal_each_alone(rigs, cuts):
    model = facesdk.load()
    together = frames(model.multi_session(rigs), np.split(SPEECH, cuts))
    for rig in rigs:
        alone = frames(model.session(rig=rig), np.split(SPEECH, cuts))
        np.testing.assert_allclose(
            [f[rig].values for f in together], [f.values for f in alone], atol=1e-6
        )


@given(st.lists(st.sampled_from(RIGS), min_size=1, unique=True), st.integers(0, 99))
def test_outputs_stand_side_by_side(rigs, seed):
    outputs, curves = RigOutputs(rigs), unit_curves(3, seed)
    values, poses = outputs(Motion(curves, None))
    assert [rig.name for rig in outputs.rigs] == rigs
    assert values.shape == (3, sum(len(rig) for rig in outputs.rigs))
    assert poses == [None] * len(rigs)
    for rig, columns in zip(rigs, outputs.columns, strict=True):
        np.testing.assert_allclose(values[:, columns], RigOutput.of(rig)(curves), atol=1e-6)


def by_the_book(table, curves):
    """A table evaluated as its definition reads, term by term."""
    units = {name: curves[:, i] for i, name in enumerate(table.units.names)}
    for d in table.derived:
        less = 0 if d.less is None else units[d.less]
        units[d.name] = np.clip((units[d.unit] - less - d.begin) / (d.end - d.begin), 0, 1)

    def factor(name):
        if name == "1":
            return np.ones(len(curves))
        value = np.clip(units[name.removeprefix("~")], 0, 1)
        return 1 - value if name.startswith("~") else value

    values = np.tile(table.rig.rest, (len(curves), 1)).astype(float)
    for control, terms in table.controls.items():
        for term, weight in terms.items():
            product = np.prod([factor(name.strip()) for name in term.split("*")], axis=0)
            values[:, table.rig.index(control)] += weight * product
    if table.remainder_control is not None:
        column = table.rig.index(table.remainder_control)
        values = np.maximum(values, 0)
        values[:, column] = 0
        values /= np.maximum(values.sum(1, keepdims=True), 1)
        values[:, column] = 1 - values.sum(1)
    return np.clip(values, table.rig.minimum, table.rig.maximum)


@given(st.lists(st.sampled_from(table_names()), min_size=1, unique=True), st.integers(0, 99))
def test_a_bank_of_tables_follows_their_definition(names, seed):
    tables = [RigTable.load(name) for name in names]
    bank, curves = TableBank(tables), unit_curves(4, seed)
    for table, columns in zip(tables, bank.columns, strict=True):
        expected = by_the_book(table, curves)
        np.testing.assert_allclose(bank(curves)[:, columns], expected, atol=1e-5)
        np.testing.assert_allclose(table(curves), expected, atol=1e-5)


def test_a_bank_knows_tables_without_terms_and_units_beyond_their_range():
    nothing = RigTable(facesdk.Rig.load("arkit"), UNITS, {})
    constant = RigTable(nothing.rig, UNITS, {"jawOpen": {"1": 0.25, "jaw": 1}})
    curves = np.full((1, len(UNITS)), -3, np.float32)
    values = TableBank([nothing, constant])(curves)
    jaw = nothing.rig.index("jawOpen")
    assert not values[0, : len(nothing.rig)].any()
    assert values[0, len(nothing.rig) + jaw] == 0.25


def test_frames_of_several_rigs_are_found_by_name(model):
    session = model.multi_session(["oculus", "arkit"])
    assert [rig.name for rig in session.rigs] == ["oculus", "arkit"]
    for frame in frames(session, [SPEECH[:8000]]):
        assert {name: len(f.values) for name, f in frame.items()} == {
            "oculus": 15, "arkit": 52,
        }  # fmt: skip
        assert (frame.index, frame.sample) == (frame["arkit"].index, frame["arkit"].sample)


def test_a_line_is_baked_for_several_characters(model):
    clips = facesdk.bake_rigs(SPEECH, ["arkit", "metahuman"], fps=30, model=model)
    assert list(clips) == ["arkit", "metahuman"]
    for rig, clip in clips.items():
        alone = facesdk.bake(SPEECH, rig=rig, fps=30, model=model)
        assert (clip.rig, clip.fps, clip.meta) == (alone.rig, alone.fps, alone.meta)
        np.testing.assert_allclose(clip.values, alone.values, atol=1e-6)


@pytest.mark.parametrize("rigs", [(), ("arkit", "vrm", "arkit")])
def test_no_rig_and_a_rig_twice_are_refused(model, rigs):
    with pytest.raises(ModelError, match="one or more different ones"):
        model.multi_session(rigs)


def test_an_unknown_rig_among_several_names_its_neighbours(model):
    with pytest.raises(UnknownNameError, match="metahuman"):
        model.multi_session(["arkit", "metahumen"])


# ------------------------------------------------------------------ delay


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("look_ahead_ms", [40, 100])
@pytest.mark.parametrize("fps", [50, 60, 24])
def test_a_frame_waits_for_no_more_than_the_latency(model, rate, look_ahead_ms, fps):
    session = model.session(sample_rate=rate, look_ahead_ms=look_ahead_ms, fps=fps)
    grain = rate // 1000
    sound = np.resize(SPEECH, rate)
    waits = [
        Fraction((i + 1) * grain, rate) - frame.index / session.fps
        for i in range(len(sound) // grain)
        for frame in session.push(sound[i * grain : (i + 1) * grain])
    ]
    assert session.latency <= max(waits) <= session.latency + Fraction(1, 1000)
    assert session.latency < Fraction(look_ahead_ms + 20, 1000)


def test_little_delay_changes_little(model):
    sound = np.repeat(SPEECH, 3)  # with images of the voice that a resampler has to take away
    early, best = (
        frames(model.session(sample_rate=48_000, low_delay=low_delay, blinks=False), [sound])
        for low_delay in (True, False)
    )
    early, best = (np.array([f.values for f in found]) for found in (early, best))
    assert np.abs(early - best).mean() < 0.002
    jaw = facesdk.Rig.load("arkit").index("jawOpen")
    assert np.corrcoef(early[:, jaw], best[:, jaw])[0, 1] > 0.999


def test_baked_samples_take_the_long_filter(model):
    sound = np.repeat(SPEECH, 3)
    session = model.session(sample_rate=48_000, low_delay=False, look_ahead_ms=None)
    baked = facesdk.bake(sound, sample_rate=48_000, model=model)
    live = np.array([f.values for f in frames(session, [sound])])
    np.testing.assert_array_equal(baked.values, live)


# ------------------------------------------------------------------ the network in place


@settings(max_examples=15)
@given(st.lists(st.sampled_from([1, 1, 2, 7, 50]), min_size=1, max_size=6), st.integers(1, 3))
def test_a_runner_steps_like_the_model(lengths, batch):
    model = facesdk.load()
    runner, state = model.runner(batch), model.start(batch)
    rng = np.random.default_rng(sum(lengths))
    for steps in lengths:
        shape = (batch, steps * model.manifest.step_samples)
        audio = (rng.standard_normal(shape) * 0.1).astype(np.float32)
        expected, state = model.step(audio, state)
        np.testing.assert_allclose(runner.step(audio)[0], expected, atol=1e-5)


def test_a_reset_runner_has_heard_nothing(model):
    audio = (np.random.default_rng(0).standard_normal((1, 960)) * 0.1).astype(np.float32)
    runner = model.runner()
    first = runner.step(audio)[0].copy()
    runner.step(audio[:, :320])
    runner.reset()
    np.testing.assert_array_equal(runner.step(audio)[0], first)


# ------------------------------------------------------------------ lead


@pytest.mark.parametrize("lead", [20, 40, 100])
def test_a_lead_shows_the_same_face_earlier(model, lead):
    options = {"rig": "units", "fps": 50, "blinks": False, "look_ahead_ms": 100}
    plain = frames(model.session(**options), [SPEECH])
    early = frames(model.session(**options, lead_ms=lead), np.split(SPEECH, [5000, 5001]))
    shift = lead // 20
    assert len(early) == len(plain)
    middle = slice(20, len(plain) - 20)
    np.testing.assert_allclose(
        [f.values for f in early[middle]],
        [f.values for f in plain[20 + shift : len(plain) - 20 + shift]],
        atol=1e-5,
    )
    added = model.session(**options, lead_ms=lead).latency - model.session(**options).latency
    assert added == Fraction(lead, 1000)


def test_impossible_leads_are_refused(model):
    for lead in (-1, 201):
        with pytest.raises(PerformanceError, match="lead_ms"):
            model.session(lead_ms=lead)


# ------------------------------------------------------------------ rest


@pytest.mark.parametrize("look_ahead_ms", [0, 100, 200])
@pytest.mark.parametrize("rig", RIGS)
def test_silence_is_exactly_the_rest_of_the_rig(model, rig, look_ahead_ms):
    session = model.session(rig=rig, blinks=False, look_ahead_ms=look_ahead_ms)
    rows = [f.values for f in frames(session, [np.zeros(RATE, np.float32)])]
    np.testing.assert_array_equal(rows, np.tile(session.rig.rest, (len(rows), 1)))


def test_lines_begin_and_end_at_rest(model):
    for look_ahead_ms in (100, 200):
        session = model.session(blinks=False, look_ahead_ms=look_ahead_ms)
        shown = frames(session, [SPEECH])
        for frame in (shown[0], shown[-1]):
            np.testing.assert_array_equal(frame.values, session.rig.rest)


# ----------------------------------------------------------- time, and one caller at a time


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_a_frame_has_its_seconds_whatever_the_rate_of_the_audio(model, rate):
    session = model.session(fps="30000/1001", sample_rate=rate)
    found = [*session.push(np.zeros(rate, np.float32)), *session.flush()]
    assert len(found) == 30
    for frame in found:
        assert frame.sample_rate == session.sample_rate == 16_000
        assert frame.seconds == frame.sample / 16_000
        assert frame.seconds == pytest.approx(frame.index * 1001 / 30_000, abs=1 / 16_000)
    several = model.multi_session(["arkit", "vrm"], sample_rate=rate)
    (first, *_) = [*several.push(np.zeros(rate, np.float32)), *several.flush()][10:]
    assert first.seconds == first["vrm"].seconds == pytest.approx(10 / 60, abs=1 / 16_000)


def test_frames_of_a_clip_count_on_its_clock():
    rig = facesdk.Rig.load("arkit")
    clip = facesdk.Clip(rig, np.zeros((3, 52)), 50, start_sample=48_000, sample_rate=48_000)
    assert [f.seconds for f in clip.frames()] == [1.0, 1.02, 1.04]
    assert [f.seconds for f in facesdk.source.frames(clip)] == [1.0, 1.02, 1.04]


@pytest.mark.parametrize("call", ["push", "flush", "reset"])
def test_a_session_in_two_threads_is_a_clear_error(model, call):
    session, errors, inside, leave = model.session(), [], Event(), Event()

    def wait(_):
        inside.set()
        leave.wait(30)

    session.on_units = wait
    worker = Thread(target=lambda: session.push(SPEECH))
    worker.start()
    assert inside.wait(30)
    try:
        getattr(session, call)(*([SPEECH] if call == "push" else []))
    except ModelError as error:
        errors.append(str(error))
    leave.set()
    worker.join()
    assert "in use by another thread" in errors[0]
    assert "model.session()" in errors[0]
    session.on_units = None
    session.reset()  # it is unharmed
    expected = frames(model.session(), [SPEECH])
    np.testing.assert_array_equal(
        [f.values for f in frames(session, [SPEECH])], [f.values for f in expected]
    )


def test_a_callback_may_not_push_into_its_session(model):
    session = model.session()
    session.on_units = lambda _: session.push(SPEECH)
    with pytest.raises(ModelError, match="in use by a callback"):
        session.push(SPEECH)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_refused_with_the_cure(model, kind):
    with pytest.raises(facesdk.FaceSDKError, match="frombuffer"):
        model.session().push(kind(b"\0\1" * 320))
    with pytest.raises(facesdk.FaceSDKError, match="frombuffer"):
        model.multi_session(["arkit"]).push(kind(b"\0\1" * 320))
