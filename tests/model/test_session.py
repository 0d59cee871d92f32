"""Sessions on several rigs, their delay, and the network that runs in place."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facesdk
from facesdk.audio import read_audio
from facesdk.errors import ModelError, UnknownNameError
from facesdk.model import Output, Outputs, RigTable
from facesdk.model.bank import TableBank
from facesdk.model.table import table_names

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
    together = frames(model.session(rig=rigs), np.split(SPEECH, cuts))
    for rig in rigs:
        alone = frames(model.session(rig=rig), np.split(SPEECH, cuts))
        np.testing.assert_allclose(
            [f.rigs[rig] for f in together], [f.values for f in alone], atol=1e-6
        )


@given(st.lists(st.sampled_from(RIGS), min_size=1, unique=True), st.integers(0, 99))
def test_outputs_stand_side_by_side(rigs, seed):
    outputs, curves = Outputs(rigs), unit_curves(3, seed)
    values = outputs(curves)
    assert [rig.name for rig in outputs.rigs] == rigs == list(outputs.columns)
    assert values.shape == (3, sum(len(rig) for rig in outputs.rigs))
    for rig, columns in outputs.columns.items():
        np.testing.assert_allclose(values[:, columns], Output(rig)(curves), atol=1e-6)


@given(st.lists(st.sampled_from(table_names()), min_size=1, unique=True), st.integers(0, 99))
def test_a_bank_of_tables_says_what_each_table_says(names, seed):
    tables = [RigTable.load(name) for name in names]
    bank, curves = TableBank(tables), unit_curves(4, seed)
    for table, columns in zip(tables, bank.columns, strict=True):
        np.testing.assert_allclose(bank(curves)[:, columns], table(curves), atol=1e-6)


def test_a_bank_knows_tables_without_terms_and_units_beyond_their_range():
    nothing = RigTable(facesdk.Rig.load("arkit"), UNITS, {})
    constant = RigTable(nothing.rig, UNITS, {"jawOpen": {"1": 0.25, "jaw": 1}})
    curves = np.full((1, len(UNITS)), -3, np.float32)
    values = TableBank([nothing, constant])(curves)
    jaw = nothing.rig.index("jawOpen")
    assert not values[0, : len(nothing.rig)].any()
    assert values[0, len(nothing.rig) + jaw] == 0.25


def test_the_first_rig_leads(model):
    session = model.session(rig=["oculus", "arkit"])
    assert [rig.name for rig in session.rigs] == ["oculus", "arkit"]
    assert session.rig.name == "oculus"
    for frame in frames(session, [SPEECH[:8000]]):
        np.testing.assert_array_equal(frame.values, frame.rigs["oculus"])
        assert {name: len(values) for name, values in frame.rigs.items()} == {
            "oculus": 15, "arkit": 52,
        }  # fmt: skip


def test_one_rig_is_told_by_name_too(model):
    for frame in frames(model.session(rig="vrm"), [SPEECH[:8000]]):
        np.testing.assert_array_equal(frame.values, frame.rigs["vrm"])


def test_a_line_is_baked_for_several_characters(model):
    clips = facesdk.bake(SPEECH, rig=["arkit", "metahuman"], fps=30, model=model)
    assert list(clips) == ["arkit", "metahuman"]
    for rig, clip in clips.items():
        alone = facesdk.bake(SPEECH, rig=rig, fps=30, model=model)
        assert (clip.rig, clip.fps, clip.meta) == (alone.rig, alone.fps, alone.meta)
        np.testing.assert_allclose(clip.values, alone.values, atol=1e-6)


@pytest.mark.parametrize("rigs", [(), ("arkit", "vrm", "arkit")])
def test_no_rig_and_a_rig_twice_are_refused(model, rigs):
    with pytest.raises(ModelError, match="at least one rig and none twice"):
        model.session(rig=rigs)


def test_an_unknown_rig_among_several_names_its_neighbours(model):
    with pytest.raises(UnknownNameError, match="metahuman"):
        model.session(rig=["arkit", "metahumen"])


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
        np.testing.assert_allclose(runner.step(audio), expected, atol=1e-5)


def test_a_reset_runner_has_heard_nothing(model):
    audio = (np.random.default_rng(0).standard_normal((1, 960)) * 0.1).astype(np.float32)
    runner = model.runner()
    first = runner.step(audio).copy()
    runner.step(audio[:, :320])
    runner.reset()
    np.testing.assert_array_equal(runner.step(audio), first)
