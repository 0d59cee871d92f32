"""Laws of lips and rest: chunks do not matter, speeds are bounded, nobody speaking is rest."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesdk.errors import ModelError
from facesdk.model import RigOutput, table_names
from facesdk.motion import Lips, Rest
from facesdk.motion.lips import Closures, Contact, Gain, UnitMotion, gains, unit_motions
from facesdk.motion.rest import FAINT, Presence
from facesdk.rig import Rig

UNITS, HEARD = Rig.load("units"), Rig.load("articulation")
FPS = Fraction(50)
LOUD = UNITS.index("loudness")
MOUTH = [UNITS.index(name) for name in HEARD.names]

seeds = st.integers(0, 2**32 - 1)
cuts = st.lists(st.integers(0, 40), max_size=12)


def curves(seed: int, frames: int, rig: Rig = UNITS) -> np.ndarray:
    """Random curves, some of them steps, some of them smooth."""
    rng = np.random.default_rng(seed)
    values = rng.random((frames, len(rig)), np.float32)
    return np.where(rng.random(len(rig)) < 0.5, np.round(values), values).astype(np.float32)


def speech(frames: int) -> np.ndarray:
    """Units of a mouth that moves without evidence of anybody speaking."""
    values = np.tile(UNITS.rest, (frames, 1)).astype(np.float32)
    for name in ("jaw", "aperture", "rounding", "spread"):
        values[:, UNITS.index(name)] = 0.5
    return values


# ------------------------------------------------------------------------------- lips


@given(seeds, cuts)
def test_lips_do_not_depend_on_how_frames_are_cut(seed, sizes):
    units, heard = curves(seed, sum(sizes)), curves(seed + 1, sum(sizes), HEARD)
    whole, lips = Lips(FPS)(units, heard), Lips(FPS)
    ends = np.cumsum(sizes)[:-1]
    parts = [lips(*part) for part in zip(np.split(units, ends), np.split(heard, ends), strict=True)]
    if sizes:
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@given(seeds, st.integers(1, 60))
def test_no_unit_is_faster_than_its_limit(seed, frames):
    moved = Lips(FPS)(curves(seed, frames), curves(seed + 1, frames, HEARD))
    steps = np.diff(np.concatenate([UNITS.rest[None], moved]), axis=0)
    for unit, motion in unit_motions().items():
        column = steps[:, UNITS.index(unit)]
        assert column.max() <= motion.opening / FPS + 1e-5
        assert column.min() >= -motion.closing / FPS - 1e-5


@given(seeds, st.integers(1, 60))
def test_lips_stay_between_what_leads_and_what_is_heard(seed, frames):
    units, heard = curves(seed, frames), curves(seed + 1, frames, HEARD)
    free = {unit: UnitMotion(motion.led) for unit, motion in unit_motions().items()}
    moved = Lips(FPS, free)(units, heard)
    columns = [i for i, name in enumerate(HEARD.names) if name != "closure"]
    told, heard = units[:, MOUTH][:, columns], heard[:, columns]
    got = moved[:, MOUTH][:, columns]
    assert (got <= np.maximum(told, heard) + 1e-6).all()
    assert (got >= np.minimum(told, heard) - 1e-6).all()
    np.testing.assert_array_equal(moved[:, len(HEARD) :], units[:, len(HEARD) :])


@given(seeds, st.floats(0, 300))
def test_short_look_aheads_are_amplified_and_stay_in_range(seed, milliseconds):
    heard = curves(seed, 30, HEARD)
    free = {unit: UnitMotion(0.0) for unit in HEARD.names}
    moved = Lips(FPS, free, look_ahead_ms=milliseconds)(curves(seed, 30), heard)[:, MOUTH]
    assert (moved >= 0).all()
    assert (moved <= 1).all()
    jaw, gain = HEARD.names.index("jaw"), gains(milliseconds)["jaw"]
    wanted = np.clip(gain.center + gain.gain * (heard[:, jaw] - gain.center), 0, 1)
    np.testing.assert_allclose(moved[:, jaw], wanted, atol=1e-5)


def test_gains_fall_with_the_look_ahead():
    factors = [gains(ms)["aperture"].gain for ms in (0, 20, 40, 80, 100, 200)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-2:] == [1, 1]
    with pytest.raises(ModelError):
        Gain(0)


@given(seeds, st.integers(1, 60))
def test_unmixed_lips_only_limit_the_units(seed, frames):
    units = curves(seed, frames)
    both = Lips(FPS, mixed=False)(units, curves(seed + 1, frames, HEARD))
    np.testing.assert_array_equal(both, Lips(FPS)(units))


def test_half_of_a_closure_takes_a_frame():
    units = np.tile(UNITS.rest, (10, 1)).astype(np.float32)
    units[4, UNITS.index("closure")] = 1
    closure = Lips(FPS, mixed=False)(units)[:, UNITS.index("closure")]
    assert closure.max() == pytest.approx(unit_motions()["closure"].opening / FPS)


@given(st.lists(st.floats(0, 1, width=32), max_size=80), cuts)
def test_closures_are_complete_or_absent_and_never_flicker(heard, sizes):
    heard = np.array(heard, np.float32)
    closures, whole = Closures(FPS), Closures(FPS)(heard)
    parts = np.split(heard, np.minimum(np.cumsum(sizes), len(heard)) if sizes else [])
    np.testing.assert_array_equal(np.concatenate([closures(part) for part in parts]), whole)
    assert set(whole.tolist()) <= {0.0, 1.0}
    changes = np.flatnonzero(np.diff(whole))
    assert (np.diff(changes) * 1000 / FPS >= Contact.load().shortest).all()


def test_a_closure_half_heard_is_completed_and_a_weaker_one_left():
    contact = Contact.load()
    heard = np.zeros(30, np.float32)
    heard[5:9], heard[20:24] = contact.begin + 0.01, contact.begin - 0.01
    np.testing.assert_array_equal(np.flatnonzero(Closures(FPS)(heard)), np.arange(5, 9))


def test_reset_forgets_the_last_frame():
    lips, units, heard = Lips(FPS), curves(5, 20), curves(6, 20, HEARD)
    first = lips(units, heard)
    lips.reset()
    np.testing.assert_array_equal(lips(units, heard), first)


@pytest.mark.parametrize("values", [(0.2, 0.3, 40), (0.3, 0.0, 40), (0.3, 0.2, -1)])
def test_impossible_contacts_are_refused(values):
    with pytest.raises(ModelError):
        Contact(*values)


@pytest.mark.parametrize("values", [{"led": 1.2}, {"opening": 0}, {"closing": -1}])
def test_impossible_motions_are_refused(values):
    with pytest.raises(ModelError):
        UnitMotion(**values)


# ------------------------------------------------------------------------------- rest


@given(seeds, cuts, st.integers(0, 12))
def test_rest_does_not_depend_on_how_frames_are_cut(seed, sizes, look_ahead):
    units = curves(seed, sum(sizes))
    later = np.random.default_rng(seed).random(sum(sizes) + look_ahead).astype(np.float32)
    whole, rest = Rest(FPS, look_ahead)(units, later), Rest(FPS, look_ahead)
    given_, done, parts = 0, 0, []
    for size in sizes:
        done += size
        parts.append(rest(units[done - size : done], later[given_ : done + look_ahead]))
        given_ = done + look_ahead
    if sizes:
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@given(seeds, st.integers(1, 80))
def test_every_line_begins_at_rest_and_every_frame_lies_between(seed, frames):
    units = curves(seed, frames)
    moved = Rest(FPS)(units)
    np.testing.assert_array_equal(moved[0, MOUTH], UNITS.rest[MOUTH])
    low, high = np.minimum(units, UNITS.rest), np.maximum(units, UNITS.rest)
    assert (moved >= low - 1e-6).all()
    assert (moved <= high + 1e-6).all()
    np.testing.assert_array_equal(moved[:, len(HEARD) :], units[:, len(HEARD) :])


@pytest.mark.parametrize("rig", table_names())
@given(seed=seeds)
def test_nobody_speaking_is_exactly_the_rest_of_every_rig(rig, seed):
    units = curves(seed, 40)
    units[:, MOUTH] *= 0.15  # half heard, as in noise
    units[:, len(HEARD) :] = 0
    moved = Rest(FPS)(units)
    output = RigOutput.of(rig)
    np.testing.assert_array_equal(output(moved), np.tile(output.rig.rest, (40, 1)))


def test_pauses_close_within_300_ms_and_words_stay_open():
    units = speech(100)
    units[20:50, LOUD] = units[55:80, LOUD] = 0.9  # a gap of 100 ms, then silence
    jaw = Rest(FPS)(units)[:, UNITS.index("jaw")]
    np.testing.assert_allclose(jaw[30:80], 0.5, atol=1e-6)
    assert jaw[80 + 15] == 0


def test_the_mouth_opens_before_the_sound_where_it_is_known():
    units = speech(60)
    units[30:, LOUD] = 0.9
    evidence = np.concatenate([Rest(FPS).evidence(units), np.zeros(6, np.float32)])
    early, late = Rest(FPS, 6)(units, evidence), Rest(FPS)(units)
    jaw = UNITS.index("jaw")
    np.testing.assert_allclose(early[30:50, jaw], 0.5, atol=1e-6)
    assert late[29, jaw] == 0
    assert (early[:, jaw] >= late[:, jaw] - 1e-6).all()


@given(seeds)
def test_presence_is_eased(seed):
    units = speech(80)
    units[:, LOUD] = np.random.default_rng(seed).random(80) > 0.8
    jaw = Rest(FPS)(units)[:, UNITS.index("jaw")]
    presence = Presence.load()
    steepest = 0.5 * 1.5 / (1 - FAINT)
    assert np.diff(jaw).max() <= steepest * 20 / presence.attack + 1e-6
    assert np.diff(jaw).min() >= -steepest * 20 / presence.release - 1e-6


def test_missing_evidence_is_an_error():
    with pytest.raises(ModelError, match="evidence"):
        Rest(FPS, 6)(speech(10))
    with pytest.raises(ModelError, match="look_ahead"):
        Rest(FPS, -1)


@pytest.mark.parametrize("change", [{"silent": 0.6}, {"spoken": 1.5}, {"hold": -1}, {"attack": 0}])
def test_impossible_presences_are_refused(change):
    values = vars(Presence.load()) | change
    with pytest.raises(ModelError):
        Presence(**values)
