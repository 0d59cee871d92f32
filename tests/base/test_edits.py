"""Edits of clips and the comparison of two clips."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesdk import Clip, Edit, Event, Pose, Rig, compare, convert
from facesdk.channels import select
from facesdk.clip import POSE_ANGLES
from facesdk.edits import eased, smoothed
from facesdk.errors import ClipError, UnknownNameError
from facesdk.rig import Control

ARKIT = Rig.load("arkit")
JAW = ARKIT.index("jawOpen")


def clip(frames=240, fps=60, *, pose=True, seed=0) -> Clip:
    rng = np.random.default_rng(seed)
    phase = np.arange(frames)[:, None] / fps * rng.uniform(3, 9, len(ARKIT))
    values = 0.5 + 0.5 * np.sin(phase + rng.uniform(0, 6, len(ARKIT)))
    angles = Pose(0.1 * np.sin(np.arange(frames * 12) / 99).reshape(-1, 4, 3)) if pose else None
    return Clip(ARKIT, values, Fraction(fps), pose=angles, start_sample=800,
                events=(Event(900, "cue"),), meta={"audio": "line.wav"})  # fmt: skip


CLIP = clip()


# --------------------------------------------------------------------- choosing


def names(*words, rig=ARKIT):
    every = (*rig.names, *POSE_ANGLES)
    return [every[column] for column in select(rig, words)]


def test_controls_are_chosen_by_name_pattern_and_group():
    assert names("jawOpen") == ["jawOpen"]
    assert names("mouthSmile*") == ["mouthSmileLeft", "mouthSmileRight"]
    assert names("MOUTHSMILE*") == ["mouthSmileLeft", "mouthSmileRight"]
    assert set(names("region:jaw")) == {n for n in ARKIT.names if n.startswith("jaw")}
    assert names("region:brow+side:left") == ["browDownLeft", "browOuterUpLeft"]
    assert names("pose.head.*") == ["pose.head.yaw", "pose.head.pitch", "pose.head.roll"]
    assert names("*") == list(ARKIT.names)
    assert names("pose.*") == list(POSE_ANGLES)


def test_a_pattern_may_leave_out_the_common_prefix_of_a_rig():
    metahuman = Rig.load("metahuman")
    assert "CTRL_expressions_jawOpen" in names("jaw*", rig=metahuman)
    assert names("jaw*", rig=metahuman) == names("CTRL_expressions_jaw*", rig=metahuman)


def test_a_name_with_brackets_is_a_name_first():
    rig = Rig("own", "1", (Control("Key [1]"), Control("Key 1")))
    assert names("Key [1]", rig=rig) == ["Key [1]"]


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("jawOpne", "jawOpen"),
        ("mouht*", "mouth"),
        ("region:mouht", "mouth"),
        ("side:lfet", "left"),
        ("pose.haed.yaw", "pose.head.yaw"),
        ("region:brow+sied:left", "side"),
    ],
)
def test_an_unknown_word_gets_suggestions(word, near):
    with pytest.raises(UnknownNameError) as error:
        select(ARKIT, [word])
    assert any(near in suggestion for suggestion in error.value.suggestions)


def test_groups_that_do_not_meet_are_an_error():
    with pytest.raises(UnknownNameError, match="no control in"):
        select(ARKIT, ["region:jaw+region:brow"])


# ---------------------------------------------------------------------- the parts


def test_scale_and_gains_are_about_rest():
    rig = replace(ARKIT, controls=tuple(
        replace(c, rest=0.2) if c.name == "jawOpen" else c for c in ARKIT.controls
    ), name="shifted")  # fmt: skip
    base = replace(CLIP, rig=rig)
    edited = Edit(scale=0.5, controls=("jawOpen",), gains={"mouth*": 2.0, "mouthClose": 1.0})(base)
    np.testing.assert_allclose(
        edited.curve("jawOpen"), 0.2 + 0.5 * (base.curve("jawOpen") - 0.2), atol=1e-6
    )
    np.testing.assert_allclose(edited.curve("mouthLeft"), 2 * base.curve("mouthLeft"), atol=1e-6)
    np.testing.assert_array_equal(edited.curve("mouthClose"), base.curve("mouthClose"))
    np.testing.assert_array_equal(edited.curve("browInnerUp"), base.curve("browInnerUp"))
    assert edited.pose == base.pose


def test_a_pose_changes_where_it_is_named():
    edited = Edit(controls=("pose.head.yaw",), offset=0.25)(CLIP)
    expected = CLIP.pose.angles.copy()
    expected[:, 0, 0] += 0.25
    np.testing.assert_allclose(edited.pose.angles, expected, atol=1e-6)
    np.testing.assert_array_equal(edited.values, CLIP.values)
    turned = Edit(controls=("pose.head.yaw",), offset=0.25)(clip(pose=False))
    assert (turned.pose.angles[:, 0, 0] == np.float32(0.25)).all()


def test_limits():
    loud = Edit(scale=3.0)(CLIP)
    assert loud.values.max() > 1
    assert Edit(clamp=True)(loud) == replace(loud.clamped(), meta={})
    tight = Edit(controls=("jawOpen",), minimum=0.2, maximum=0.4)(CLIP)
    assert (tight.curve("jawOpen").min(), tight.curve("jawOpen").max()) == pytest.approx((0.2, 0.4))


def test_smoothing_removes_jitter_without_delay():
    frames = 200
    wave = 0.5 + 0.3 * np.sin(2 * np.pi * np.arange(frames) / 100)
    values = np.zeros((frames, len(ARKIT)))
    values[:, JAW] = wave + 0.05 * (-1.0) ** np.arange(frames)
    edited = Edit(controls=("jawOpen",), smooth=0.1)(Clip(ARKIT, values, 60))
    inside = slice(10, -10)
    np.testing.assert_allclose(edited.curve("jawOpen")[inside], wave[inside], atol=0.01)
    constant = np.full((frames, 2), 0.7)
    np.testing.assert_allclose(smoothed(constant, 9.0), constant)
    np.testing.assert_array_equal(smoothed(constant[:0], 9.0), constant[:0])


def test_a_blend_takes_its_share_of_the_other_clip():
    other = clip(seed=5)
    np.testing.assert_allclose(
        Edit(blend=other, weight=0.25)(CLIP).values, CLIP.mix(other, 0.25).values, atol=1e-6
    )
    whole = Edit(blend=other, weight=1.0)(CLIP)
    np.testing.assert_allclose(whole.values, other.values, atol=1e-6)
    np.testing.assert_allclose(whole.pose.angles, other.pose.angles, atol=1e-6)
    part = Edit(blend=other, weight=1.0, controls=("jawOpen",))(CLIP)
    assert part.pose == CLIP.pose
    assert compare(CLIP, part).changed[0].name == "jawOpen"
    assert len(compare(CLIP, part).changed) == 1


def test_a_shorter_clip_blends_in_and_out_without_a_step():
    other = Clip(ARKIT, np.ones((120, len(ARKIT))), 60)
    base = Clip(ARKIT, np.zeros((240, len(ARKIT))), 60)
    jaw = Edit(blend=other, weight=1.0, ease=0.2)(base).curve("jawOpen")
    assert jaw[0] == 1
    assert not jaw[120:].any()
    assert np.abs(np.diff(jaw)).max() < 1.6 / (0.2 * 60)


def test_a_blend_of_another_rig_or_rate_names_the_cure():
    with pytest.raises(ClipError, match="convert one of them"):
        Edit(blend=convert(CLIP, "vrm"))(CLIP)
    with pytest.raises(ClipError, match="resample"):
        Edit(blend=CLIP.resample(30))(CLIP)


# ------------------------------------------------------------------------- time


@given(
    begin=st.floats(0, 3.9), length=st.floats(0.05, 3), ease=st.floats(0, 1),
    scale=st.floats(-2, 3), offset=st.floats(-1, 1),
)  # fmt: skip
def test_nothing_changes_outside_the_range(begin, length, ease, scale, offset):
    edit = Edit(scale=scale, offset=offset, begin=begin, end=begin + length, ease=ease)
    try:
        edited = edit(CLIP)
    except ClipError as error:
        assert "no frame changes" in str(error)  # noqa: PT017
        return
    times = np.arange(len(CLIP)) / 60
    outside = (times < begin - 1e-5) | (times > begin + length + 1e-5)
    np.testing.assert_array_equal(edited.values[outside], CLIP.values[outside])
    assert edited.pose == CLIP.pose


@given(begin=st.floats(0.1, 1.5), length=st.floats(0.5, 2), ease=st.floats(0.05, 0.5))
def test_the_borders_of_a_range_have_no_step(begin, length, ease):
    """The change between two frames grows no faster than the ease allows: 1.5 / ease."""
    still = Clip(ARKIT, np.zeros((240, len(ARKIT))), 60)
    jaw = Edit(offset=1.0, begin=begin, end=begin + length, ease=ease)(still).curve("jawOpen")
    used = min(ease, length / 2)
    assert np.abs(np.diff(jaw)).max() <= 1.5 / (used * 60) + 1e-5
    assert jaw.max() > 0.9


def test_a_range_to_the_end_keeps_its_change_there():
    jaw = Edit(offset=1.0, begin=1.0, end=4.0)(CLIP).curve("jawOpen") - CLIP.curve("jawOpen")
    assert jaw[-1] == pytest.approx(1)
    assert jaw[60] == pytest.approx(0, abs=1e-6)
    hard = eased(10, 10.0, begin=0.2, end=0.5, ease=0.0)
    assert list(hard) == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0]


# ------------------------------------------------------------------------ values


def test_an_edit_keeps_the_clock_and_is_noted():
    edited = Edit(scale=0.5)(Edit(controls=("jawOpen",), offset=0.1)(CLIP))
    assert (edited.fps, edited.start_sample, edited.events) == (60, 800, CLIP.events)
    assert edited.meta["audio"] == "line.wav"
    assert list(edited.meta["edits"]) == [{"controls": ["jawOpen"], "offset": 0.1}, {"scale": 0.5}]


def test_an_edit_without_parts_changes_nothing():
    assert Edit().changes_nothing
    assert Edit()(CLIP) == CLIP
    assert not Edit(gains={"jawOpen": 0.5}).changes_nothing
    empty = Clip(ARKIT, np.zeros((0, len(ARKIT))), 60)
    assert len(Edit(scale=2.0, smooth=0.1)(empty)) == 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scale": math.nan}, "scale must be a finite number, got nan"),
        ({"scale": "2"}, "scale must be a finite number"),
        ({"weight": 1.5}, "weight must be in 0..1"),
        ({"smooth": -1}, "smooth must be in 0..2"),
        ({"ease": -0.1}, "ease must be 0 or more"),
        ({"begin": 2.0, "end": 1.0}, "end must lie after begin"),
        ({"minimum": 1.0, "maximum": 0.5}, "minimum must not be above maximum"),
        ({"gains": {"jawOpen": math.inf}}, "the gain of 'jawOpen'"),
        ({"controls": "jawOpen"}, "controls must be a tuple"),
        ({"blend": "line.json"}, "blend must be a Clip"),
    ],
)
def test_values_that_make_no_sense_are_refused(fields, words):
    with pytest.raises(ClipError, match=words.replace("(", r"\(")):
        Edit(**fields)


def test_a_range_after_the_clip_is_refused():
    with pytest.raises(ClipError, match=r"begin must lie in 0\.\.4\.000 s"):
        Edit(scale=2.0, begin=4.5)(CLIP)


def test_a_value_too_large_for_a_float_is_refused():
    with pytest.raises(ClipError, match="finite"):
        Edit(scale=1e300)(CLIP)


# -------------------------------------------------------------------- comparison


def test_the_largest_difference_is_found_with_its_time():
    values = CLIP.values.copy()
    values[90, JAW] += 0.5
    values[91, JAW] -= 0.25
    (found,) = compare(CLIP, replace(CLIP, values=values)).changed
    assert (found.name, found.seconds) == ("jawOpen", 1.5)
    assert found.largest == pytest.approx(0.5, abs=1e-6)
    assert found.second - found.first == pytest.approx(0.5, abs=1e-6)
    assert found.rms == pytest.approx(math.sqrt((0.25 + 0.0625) / 240), abs=1e-6)


def test_equal_clips_have_no_difference():
    difference = compare(CLIP, CLIP)
    assert (difference.changed, difference.largest, difference.rms, difference.notes) == (
        (), 0, 0, (),
    )  # fmt: skip
    assert difference.over(0.0) == ()
    assert len(difference.channels) == 52 + 12


def test_lengths_rates_starts_and_poses_are_explained():
    short = replace(CLIP.slice(0, 200), start_sample=0, pose=None, events=())
    difference = compare(CLIP, short)
    text = "; ".join(difference.notes)
    for words in ("starts at 0.050 s", "lasts 4.000 s, the second 3.333 s", "40 frames of the",
                  "only the first has a pose", "the events differ"):  # fmt: skip
        assert words in text
    assert difference.length_differs
    assert "length" in difference.over(1.0)
    half = compare(CLIP, CLIP.resample(30))
    assert any("the second 30" in note for note in half.notes)
    assert not half.length_differs
    assert half.largest < 0.1


def test_another_rig_is_converted_and_a_larger_one_compared_by_name():
    livelink = convert(CLIP, "livelink")
    difference = compare(CLIP, livelink)
    assert any("converted" in note for note in difference.notes)
    assert max(c.largest for c in difference.channels if c.name in ARKIT) < 1e-5
    own = Rig("arkit", "own", (*ARKIT.controls, Control("hatTilt")))
    wide = np.concatenate([CLIP.values, np.full((240, 1), 0.5)], axis=1)
    difference = compare(CLIP, replace(CLIP, rig=own, values=wide))
    (found,) = difference.changed
    assert (found.name, found.first, found.second) == ("hatTilt", 0.0, 0.5)
    assert any("only the second has hatTilt" in note for note in difference.notes)


def test_rigs_without_anything_in_common_are_refused():
    own = Rig("robot", "1", (Control("hatTilt"),))
    with pytest.raises(ClipError, match="share no control"):
        compare(CLIP, Clip(own, np.zeros((3, 1)), 60))


def test_empty_clips_compare():
    empty = CLIP.slice(0, 0)
    assert compare(empty, empty).largest == 0
    assert compare(CLIP, empty).length_differs
