"""The clip type: what it refuses, and the identities its edits keep."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facesdk import Clip, Control, Event, Frame, Pose, Rig, concat
from facesdk.clip import exact_fps, frame_sample, mirror_angles
from facesdk.errors import ClipError, UnknownNameError
from facesdk.source import ClipInfo, blocks_of, collect

RIG = Rig(
    "toy",
    "1",
    (
        Control("jawOpen", region="jaw"),
        Control("smileLeft", side="left", mirror="smileRight", region="mouth"),
        Control("smileRight", side="right", mirror="smileLeft", region="mouth"),
        Control("jawSide", minimum=-1, mirror="jawSide", mirror_sign=-1, region="jaw"),
        Control("lidOpen", rest=0.5, region="eye"),
    ),
)
NUMBERS = st.floats(-10, 10, width=32)


@st.composite
def clips(draw, least=0):
    length = draw(st.integers(least, 12))
    angles = draw(st.none() | arrays(np.float32, (length, 4, 3), elements=NUMBERS))
    return Clip(
        RIG,
        draw(arrays(np.float32, (length, len(RIG)), elements=NUMBERS)),
        draw(st.sampled_from([Fraction(60), Fraction(24), Fraction(30000, 1001), Fraction(7, 3)])),
        pose=None if angles is None else Pose(angles),
        start_sample=draw(st.integers(-(10**6), 10**9)),
        sample_rate=draw(st.sampled_from([16_000, 44_100, 48_000])),
        events=tuple(Event(s, "cue") for s in draw(st.lists(st.integers(0, 10**6), max_size=3))),
    )


def ramp(length: int, fps: Fraction | int = 60, **fields) -> Clip:
    values = np.linspace(0, 1, max(length, 1), dtype=np.float32)[:length, None]
    return Clip(RIG, np.repeat(values, len(RIG), 1), Fraction(fps), **fields)


# ----------------------------------------------------------------- validation


@pytest.mark.parametrize("shape", [(3, 4), (3,), (3, 5, 1), ()])
def test_a_wrong_shape_is_refused_and_named(shape):
    with pytest.raises(ClipError, match=r"values must be \(T, 5\) for rig 'toy'"):
        Clip(RIG, np.zeros(shape), Fraction(60))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_a_value_that_is_not_finite_is_refused(bad):
    values = np.zeros((3, 5))
    values[1, 2] = bad
    with pytest.raises(ClipError, match="finite"):
        Clip(RIG, values, Fraction(60))


def test_values_must_be_numbers():
    with pytest.raises(ClipError, match="got list: could not convert"):
        Clip(RIG, [["a"] * 5], Fraction(60))


def test_a_pose_of_another_length_is_refused():
    with pytest.raises(ClipError, match="pose has 2 frames, values have 3"):
        ramp(3, pose=Pose.rest(2))


@pytest.mark.parametrize("fps", [0, -1, 1001, "fast", "1/0", float("nan"), float("inf")])
def test_absurd_rates_are_refused(fps):
    with pytest.raises(ClipError, match="fps"):
        exact_fps(fps)


@pytest.mark.parametrize(
    ("name", "exact"),
    [(29.97, "30000/1001"), ("23.976", "24000/1001"), (59.94, "60000/1001"), (25, "25")],
)
def test_decimal_names_of_rates_mean_the_exact_rate(name, exact):
    assert exact_fps(name) == Fraction(exact)


def test_a_clip_does_not_change_with_the_array_it_came_from():
    values = np.zeros((3, 5), np.float32)
    clip = Clip(RIG, values, Fraction(60))
    values[:] = 1
    assert not clip.values.any()
    with pytest.raises(ValueError, match="read-only"):
        clip.values[0, 0] = 1


def test_an_unknown_curve_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'jawOpen'"):
        ramp(2).curve("jawOpn")


def test_frames_with_and_without_a_pose_do_not_make_a_clip():
    class Mixed:
        info = ClipInfo(RIG, Fraction(60))

        def blocks(self):
            return blocks_of(self.frames(), RIG)

        def frames(self):
            row = np.zeros(5, np.float32)
            yield Frame(0, 0, row, np.zeros((4, 3), np.float32))
            yield Frame(1, 266, row, None)

    with pytest.raises(ClipError, match="either all frames"):
        collect(Mixed())


# ----------------------------------------------------------------------- time


def test_frame_times_do_not_drift_over_an_hour():
    fps = Fraction(30000, 1001)
    for index in range(0, int(3600 * fps), 997):
        sample = frame_sample(index, fps, sample_rate=48_000)
        assert sample == index * 48_000 * 1001 // 30000


@given(clips())
def test_frames_carry_the_clip(clip):
    frames = list(clip.frames())
    assert [f.index for f in frames] == list(range(len(clip)))
    if clip.pose is None or frames:
        values = np.array([f.values for f in frames], np.float32).reshape(-1, len(RIG))
        np.testing.assert_array_equal(values, clip.values)
    for a, b in pairwise(frames):
        exact = clip.sample_rate / clip.fps
        assert abs(b.sample - a.sample - exact) < 1


# ---------------------------------------------------------------------- edits


@given(clips(least=1), st.data())
def test_the_parts_of_a_clip_make_the_clip(clip, data):
    cut = data.draw(st.integers(0, len(clip)))
    assert concat([clip.slice(0, cut), clip.slice(cut, len(clip))]) == clip


@given(clips(least=1), st.data())
def test_a_slice_holds_its_frames_at_their_times(clip, data):
    start = data.draw(st.integers(0, len(clip)))
    stop = data.draw(st.integers(start, len(clip)))
    part = clip.slice(start, stop)
    np.testing.assert_array_equal(part.values, clip.values[start:stop])
    if start < len(clip):
        assert part.start_sample == list(clip.frames())[start].sample


def test_a_slice_outside_the_clip_is_refused():
    with pytest.raises(ClipError, match=r"slice must lie in 0\.\.3"):
        ramp(3).slice(1, 4)


@given(clips())
def test_mirroring_twice_changes_nothing(clip):
    assert clip.mirror().mirror() == clip


def test_mirroring_swaps_sides_and_turns_the_head_over():
    angles = np.arange(12, dtype=np.float32).reshape(1, 4, 3)
    clip = Clip(RIG, [[0, 1, 0, 0.5, 0]], Fraction(60), pose=Pose(angles)).mirror()
    np.testing.assert_array_equal(clip.values, [[0, 0, 1, -0.5, 0]])
    np.testing.assert_array_equal(clip.pose.angles[0, 0], [0, 1, -2])
    np.testing.assert_array_equal(clip.pose.angles[0, 2], [-9, 10, -11])
    np.testing.assert_array_equal(mirror_angles(mirror_angles(angles)), angles)


@given(clips(least=1))
def test_mixing_by_none_or_all_is_one_of_the_two(clip):
    other = clip.mirror()
    assert clip.mix(other, 0) == clip
    np.testing.assert_array_equal(clip.mix(other, 1).values, other.values)


@given(clips(least=1))
def test_adding_rest_changes_nothing(clip):
    rest = Clip(RIG, np.tile(RIG.rest, (len(clip), 1)), clip.fps)
    np.testing.assert_array_equal(clip.add(rest).values, clip.values)


@given(clips())
def test_clamped_values_lie_in_range(clip):
    values = clip.clamped().values
    assert ((values >= RIG.minimum) & (values <= RIG.maximum)).all()
    assert clip.clamped().clamped() == clip.clamped()


@given(st.integers(2, 20), st.integers(2, 20), st.data())
@settings(max_examples=30)
def test_a_crossfade_of_a_clip_with_itself_holds_its_value(first, second, data):
    overlap = data.draw(st.integers(0, min(first, second)))
    still = [Clip(RIG, np.full((n, 5), 0.25), Fraction(60)) for n in (first, second)]
    joined = concat(still, crossfade=overlap)
    assert len(joined) == first + second - overlap
    np.testing.assert_allclose(joined.values, 0.25, atol=1e-7)


def test_events_move_with_their_clip_when_joined():
    first = ramp(60, events=(Event(10, "a"),))
    second = ramp(60, start_sample=5000, events=(Event(5010, "b"),))
    assert [e.sample for e in concat([first, second]).events] == [10, 16_010]


def test_clips_that_do_not_fit_are_not_joined_or_mixed():
    with pytest.raises(ClipError, match="cannot join rig 'toy' at 60 fps"):
        concat([ramp(3), ramp(3, 30)])
    with pytest.raises(ClipError, match="must have the same rig, rate and length"):
        ramp(3).mix(ramp(4), 0.5)
    with pytest.raises(ClipError, match="crossfade"):
        concat([ramp(3), ramp(3)], crossfade=4)
    with pytest.raises(ClipError, match="at least one clip"):
        concat([])
