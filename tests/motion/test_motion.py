from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facesdk.motion import Blinks, MotionLayer, settle
from facesdk.performance import Performance
from facesdk.rig import Rig

HOUR = np.arange(3600 * 60) / 60


def onsets(closed):
    return np.flatnonzero((closed[1:] > 0) & (closed[:-1] == 0))


def test_blinks_come_at_a_human_rate():
    found = onsets(Blinks(3)(HOUR))
    assert 20 * 60 < len(found) < 45 * 60
    pauses = np.diff(found) / 60
    assert pauses.min() >= 60 / 100 - 0.05
    assert pauses.max() <= 60 / 15 + 0.05


def test_lids_close_fully_and_open_slower_than_they_close():
    closed = Blinks(3)(np.arange(60_000) / 600)
    first = onsets(closed)[0]
    blink = closed[first : first + 150]
    peak = int(blink.argmax())
    assert blink[peak] > 0.98
    assert peak < int((blink > 0).sum()) - peak


def test_the_same_seed_blinks_at_the_same_times():
    np.testing.assert_array_equal(Blinks(7)(HOUR[:5000]), Blinks(7)(HOUR[:5000]))
    assert not np.array_equal(Blinks(7)(HOUR[:5000]), Blinks(8)(HOUR[:5000]))


@given(st.lists(st.integers(1, 400), min_size=1, max_size=20), st.integers(0, 100))
def test_blinks_do_not_depend_on_how_time_is_asked_for(cuts, seed):
    times = HOUR[: sum(cuts)]
    whole = Blinks(seed)(times)
    blinks = Blinks(seed)
    parts = [blinks(part) for part in np.split(times, np.cumsum(cuts)[:-1])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_reset_starts_again():
    blinks = Blinks(1)
    first = blinks(HOUR[:1000])
    blinks.reset()
    np.testing.assert_array_equal(blinks(HOUR[:1000]), first)


def test_blinks_move_only_the_lids():
    rig = Rig.load("units")
    units = np.random.default_rng(0).random((600, len(rig)), np.float32) * 0.2
    moved, pose = MotionLayer(Fraction(50), Performance(seed=2)).push(units)
    assert pose is None
    lids = [rig.index("blink_left"), rig.index("blink_right")]
    others = [i for i in range(len(rig)) if i not in lids]
    np.testing.assert_array_equal(moved[:, others], units[:, others])
    assert moved[:, lids].max() > 0.9
    still, _ = MotionLayer(Fraction(50), Performance(seed=2, blinks=False)).push(units)
    np.testing.assert_array_equal(still, units)


def test_settling_ends_at_rest_and_touches_only_the_end():
    curves = np.ones((50, 2), np.float32)
    rest = np.array([0.1, 0.2], np.float32)
    out = settle(curves, rest, 10)
    np.testing.assert_array_equal(out[:40], curves[:40])
    np.testing.assert_allclose(out[-1], rest)
    assert (np.diff(out[39:], axis=0) < 0).all()
    np.testing.assert_array_equal(settle(curves, rest, 0), curves)
    assert len(settle(curves[:3], rest, 10)) == 3
