"""Curves between frame rates: exact times, no overshoot, streams equal to arrays."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facesdk import Clip, Control, Pose, Rig
from facesdk.resample import LinearResampler, frame_count, resample

RATES = st.sampled_from(
    [Fraction(r) for r in ("24", "25", "30", "50", "60", "90", "30000/1001", "24000/1001", "7/3")]
)
SHAPES = st.tuples(st.integers(1, 20), st.just(2))
CURVES = arrays(np.float32, SHAPES, elements=st.floats(0, 1, width=32))


def smooth(count: int, fps: Fraction) -> np.ndarray:
    """Speech-like curves: nothing above 4 Hz."""
    t = np.arange(count) / float(fps)
    waves = [0.5 + 0.4 * np.sin(2 * np.pi * f * t) for f in (0.7, 2.0, 4.0)]
    return np.array(waves, np.float32).T


@pytest.mark.parametrize("target", [Fraction(50), Fraction(90), Fraction(60000, 1001)])
def test_there_and_back_loses_little_of_a_smooth_curve(target):
    source = Fraction(60)
    values = smooth(600, source)
    there = resample(values, source, target, frame_count(600, source, target))
    back = resample(there, target, source, 600)
    assert np.abs(back - values)[10:-10].max() < 0.02


def test_frame_times_are_exact_after_an_hour():
    """A ramp read at 29.97 fps: the last frames show the right instant, not one drifted away."""
    source, target = Fraction(60), Fraction(30000, 1001)
    frames = 3600 * 60
    values = (np.arange(frames, dtype=np.float32) % 4096)[:, None]
    count = frame_count(frames, source, target)
    out = resample(values, source, target, count, interpolation="linear")
    for index in range(count - 200, count):
        position = index * source / target
        whole = position.numerator // position.denominator
        if whole % 4096 == 4095 or whole >= frames - 1:
            continue
        assert out[index, 0] == pytest.approx(whole % 4096 + float(position - whole), abs=1e-3)


@given(CURVES, RATES, RATES, st.sampled_from(["linear", "cubic"]))
def test_a_resampled_curve_stays_within_its_neighbours(values, source, target, interpolation):
    count = frame_count(len(values), source, target)
    out = resample(values, source, target, count, interpolation=interpolation)
    assert len(out) == count
    for index, row in enumerate(out):
        whole = min(int(index * source / target), len(values) - 1)
        near = values[whole : whole + 2]
        assert (row >= near.min(0) - 1e-6).all()
        assert (row <= near.max(0) + 1e-6).all()


@given(CURVES, RATES)
def test_the_same_rate_changes_nothing(values, rate):
    np.testing.assert_array_equal(resample(values, rate, rate, len(values)), values)


@given(CURVES, RATES)
def test_frames_at_common_instants_are_kept_bit_for_bit(values, rate):
    doubled = resample(values, rate, 2 * rate, 2 * len(values))
    np.testing.assert_array_equal(doubled[::2], values)


@given(CURVES, RATES, RATES)
@settings(max_examples=50)
def test_a_stream_resamples_like_the_array(values, source, target):
    count = frame_count(len(values), source, target)
    stream = LinearResampler(source, target)
    out = [frame for row in values for frame in stream.push(row[None])]
    out += stream.flush(count)
    expected = resample(values, source, target, count, interpolation="linear")
    np.testing.assert_allclose(out[:count], expected, atol=1e-6)


@given(CURVES, RATES, RATES, st.integers(0, 20))
def test_a_stream_is_the_same_in_blocks(values, source, target, cut):
    count = frame_count(len(values), source, target)
    stream = LinearResampler(source, target)
    blocks = [stream.push(values[:cut]), stream.push(values[cut:])]
    out = np.concatenate([*blocks, *(frame[None] for frame in stream.flush(count))])
    expected = resample(values, source, target, count, interpolation="linear")
    np.testing.assert_allclose(out[:count], expected, atol=1e-6)


def test_a_reset_stream_starts_again():
    stream = LinearResampler(Fraction(30), Fraction(60))
    rows = np.arange(6, dtype=np.float32)[:, None]
    first = [f.item() for row in rows for f in stream.push(row[None])]
    stream.reset()
    assert [f.item() for row in rows for f in stream.push(row[None])] == first
    assert first == sorted(first)


def test_odd_rates_do_not_overflow():
    source, target = Fraction(29_123_456_789, 10**9), Fraction(59_876_543_211, 10**9)
    values = np.linspace(0, 1, 1000, dtype=np.float32)[:, None]
    out = resample(values, source, target, frame_count(1000, source, target))[:, 0]
    assert all(a <= b for a, b in pairwise(out.tolist()))


@given(st.integers(1, 400), RATES, RATES)
def test_a_clip_keeps_its_length_to_one_frame(frames, source, target):
    rig = Rig("toy", "1", (Control("a"),))
    clip = Clip(rig, np.zeros((frames, 1)), source, pose=Pose.rest(frames)).resample(target)
    assert len(clip.pose) == len(clip)
    assert 0 <= clip.duration - frames / source < 1 / target
