import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from facesdk.clip import POSE_ANGLES, Clip, Pose
from facesdk.errors import ClipError, FaceSDKError, RigError, UnknownNameError
from facesdk.retarget import (
    RULES,
    Conversion,
    Converted,
    RigMap,
    conversion,
    conversion_from_file,
    convert,
    map_names,
    reachable,
)
from facesdk.rig import Rig
from facesdk.source import FrameSource, blocks_of, collect, frames

RAW = "CTRL_expressions_"
LIPS = [RAW + "mouthLipsTogether" + quadrant for quadrant in ("UL", "UR", "DL", "DR")]
PAIRS = [tuple(name.split("-to-")) for name in map_names()]


def performances(rig, frames=3):
    """In-range values, with the zeros and ends that animation is full of."""
    rig = Rig.load(rig)
    share = st.floats(0, 1, width=32) | st.sampled_from([0.0, 1.0])
    shares = arrays(np.float32, (frames, len(rig)), elements=share)
    return shares.map(lambda x: rig.minimum + x * (rig.maximum - rig.minimum))


POSES = arrays(np.float32, (3, 4, 3), elements=st.floats(-1, 1, width=32))


def frame(rig, values=(), **more):
    rig = Rig.load(rig)
    row = np.array(rig.rest)
    for name, value in {**dict(values), **more}.items():
        row[rig.index(name)] = value
    return row


def named(rig, row):
    """What moves in a frame, by name."""
    rig = Rig.load(rig)
    return {n: pytest.approx(v, abs=1e-5) for n, v in zip(rig.names, row, strict=True) if v}


def run(source, target, values=(), **more):
    return named(target, conversion(source, target)(frame(source, values, **more))[0])


def clip(rig, frames=5, pose=True):
    rig = Rig.load(rig)
    values = np.linspace(rig.minimum / 2, rig.maximum / 2, frames)
    angles = np.linspace(-0.3, 0.3, frames * 12).reshape(-1, 4, 3)
    return Clip(rig, values, Fraction(30), pose=Pose(angles) if pose else None, start_sample=7)


# ------------------------------------------------------------------------------------- all maps


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_rest_stays_rest(source, target):
    values, _ = conversion(source, target)(Rig.load(source).rest)
    assert_array_equal(values, Rig.load(target).rest)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_results_lie_in_the_target_range(source, target):
    a, b = Rig.load(source), Rig.load(target)
    values = np.random.default_rng(1).uniform(a.minimum, a.maximum, (50, len(a)))
    result, pose = conversion(source, target)(values)
    assert result.dtype == np.float32
    assert pose is None or pose.dtype == np.float32
    if (source, target) not in {("a2f", "arkit"), ("arkit", "livelink"), ("livelink", "arkit")}:
        assert ((b.minimum <= result) & (result <= b.maximum)).all()


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_mirroring_and_converting_commute(source, target):
    """Left stays left: the mirrored performance converts to the mirrored conversion."""
    original = clip(source)
    one, other = convert(original.mirror(), target), convert(original, target).mirror()
    skip = [RAW + "tongueLeft", RAW + "tongueRight"]  # Epic's tongueOut leans to the right
    kept = [i for i, n in enumerate(Rig.load(target).names) if n not in skip]
    assert_allclose(one.values[:, kept], other.values[:, kept], atol=1e-5)
    assert_allclose(one.pose.angles, other.pose.angles, atol=1e-6)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_single_frames_convert_as_whole_clips_do(source, target):
    original = clip(source)
    whole = convert(original, target)
    lazy = collect(Converted(original, conversion(source, target)))
    assert_allclose(lazy.values, whole.values, atol=1e-6)
    assert_array_equal(lazy.pose.angles, whole.pose.angles)


@pytest.mark.parametrize("name", map_names())
def test_maps_read_back_as_they_were_written(name, tmp_path):
    way = conversion(*name.split("-to-"))
    path = tmp_path / "mine.json"
    path.write_text(way.maps[0].to_text(), "utf-8")
    mine = conversion_from_file(path)
    assert mine.name == way.name == name
    assert mine.to_json() == way.to_json()
    assert mine.dropped == way.dropped


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_dropped_controls_move_nothing_and_the_others_something(source, target):
    way, rig = conversion(source, target), Rig.load(source)
    random = np.random.default_rng(2).uniform(0, 0.5, (30, len(rig)))
    backgrounds = np.concatenate([rig.rest[None], random]).astype(np.float32)
    for name in rig.names:
        moved = np.array(backgrounds)
        moved[:, rig.index(name)] = rig.maximum[rig.index(name)]
        before, after = way(backgrounds), way(moved)
        changed = not np.allclose(before[0], after[0], atol=1e-6)
        changed |= before[1] is not None and not np.array_equal(before[1], after[1])
        if name in ("sil", "neutral"):  # these say that the face rests
            assert name not in way.dropped
        else:
            assert changed == (name not in way.dropped), name


# ------------------------------------------------------------------------------------- metahuman


def test_arkit_to_metahuman_has_epics_weights():
    parts = {"mouthLipsPurse": 0.5, "mouthLipsTowards": 0.206, "mouthFunnel": 0.376}
    assert run("arkit", "metahuman", mouthPucker=0.5) == {
        RAW + part + quadrant: weight
        for part, weight in parts.items()
        for quadrant in ("UL", "UR", "DL", "DR")
    }
    assert run("arkit", "metahuman", eyeLookInLeft=1) == {RAW + "eyeLookRightL": 1}
    assert run("arkit", "metahuman", eyeLookOutRight=1) == {RAW + "eyeLookRightR": 1}
    assert run("arkit", "metahuman", tongueOut=1) == {
        RAW + "tongueOut": 0.769,
        RAW + "tongueDown": 0.826,
        RAW + "tongueWide": 0.628,
        RAW + "tongueRight": 0.07,
    }
    assert run("arkit", "metahuman", mouthRollLower=1)[RAW + "mouthUpperLipRollInL"] == 0.499


@pytest.mark.parametrize(
    ("jaw", "close", "together"), [(0.5, 0.25, 0.5), (0.2, 0.4, 1), (0, 0.5, 0), (0.5, 0, 0)]
)
def test_mouth_close_is_a_share_of_the_jaw(jaw, close, together):
    moved = run("arkit", "metahuman", jawOpen=jaw, mouthClose=close)
    assert [moved.get(name, 0) for name in LIPS] == [together] * 4
    back = run("metahuman", "arkit", {RAW + "jawOpen": jaw, **dict.fromkeys(LIPS, together)})
    assert back.get("mouthClose", 0) == together * jaw


def test_sums_saturate_at_one():
    moved = run("arkit", "metahuman", mouthFunnel=1, mouthPucker=1)
    assert moved[RAW + "mouthFunnelUL"] == 1


@given(performances("arkit"))
def test_metahuman_gives_an_arkit_performance_back(values):
    column = Rig.load("arkit").index
    values[:, column("mouthClose")] *= values[:, column("jawOpen")]
    values[:, column("mouthPucker")] *= 0.5
    values[:, column("mouthFunnel")] *= 1 - 0.752 * 0.5
    values[:, column("mouthRollLower")] *= 0.5
    values[:, column("mouthRollUpper")] *= 0.7
    raw, _ = conversion("arkit", "metahuman")(values)
    back, _ = conversion("metahuman", "arkit")(raw)
    assert_allclose(back, values, atol=1e-5)


def test_brows_come_back_even_where_their_sum_was_cut_off():
    values = frame("arkit", browInnerUp=0.7, browOuterUpLeft=0.9, browOuterUpRight=0.2)
    raw, _ = conversion("arkit", "metahuman")(values)
    assert_allclose(conversion("metahuman", "arkit")(raw)[0], values, atol=1e-5)


def test_a_metahuman_frown_is_no_raised_brow():
    frown = {RAW + "browLateralL": 0.8, RAW + "browLateralR": 0.8}
    assert run("metahuman", "arkit", frown) == {}
    assert RAW + "browLateralL" not in conversion("metahuman", "arkit").dropped


def test_finer_metahuman_controls_are_named_as_dropped():
    lost = conversion("metahuman", "arkit").dropped
    assert {RAW + "tongueTipUp", RAW + "teethUpU", RAW + "mouthCornerUpL"} <= set(lost)
    assert RAW + "mouthLipsTogetherUL" not in lost


# ------------------------------------------------------------------------------------------- gui


@pytest.mark.parametrize(
    ("slider", "value", "raw"),
    [
        ("CTRL_L_eye_blink-translateY", 0.6, "eyeBlinkL"),
        ("CTRL_L_eye_blink-translateY", -0.6, "eyeWidenL"),
        ("CTRL_R_mouth_suckBlow-translateY", -0.4, "mouthCheekSuckR"),
        ("CTRL_R_mouth_corner-translateX", 0.4, "mouthCornerWideR"),
        ("CTRL_C_jaw-translateY", 0.5, "jawOpen"),
        ("CTRL_C_jaw-translateX", -0.5, "jawLeft"),
        ("CTRL_C_jaw_fwdBack-translateY", -0.5, "jawFwd"),
        ("CTRL_C_tongue_inOut-translateY", -0.5, "tongueOut"),
        ("CTRL_C_tongue_roll-translateY", 0.5, "tongueBendUp"),
        ("CTRL_L_eye-translateX", 0.5, "eyeLookLeftL"),
        ("CTRL_L_mouth_lipsRollU-translateY", -0.5, "mouthUpperLipRollOutL"),
    ],
)
def test_sliders_drive_their_raw_controls(slider, value, raw):
    assert run("metahuman-gui", "metahuman", {slider: value}) == {RAW + raw: abs(value)}
    assert run("metahuman", "metahuman-gui", {RAW + raw: abs(value)}) == {slider: value}


def test_the_gaze_slider_adds_to_either_eye():
    gaze = {"CTRL_C_eye-translateX": 0.5, "CTRL_L_eye-translateX": -0.2}
    assert run("metahuman-gui", "metahuman", gaze) == {
        RAW + "eyeLookLeftL": 0.3,
        RAW + "eyeLookLeftR": 0.5,
    }


@pytest.mark.parametrize(
    ("slider", "raw", "position", "phases"),
    [
        ("CTRL_L_mouth_lipSticky", "mouthLipsStickyLPh", 0.5, {1: 0.5, 2: 0.5}),
        ("CTRL_L_mouth_lipSticky", "mouthLipsStickyLPh", 1, {3: 1}),
        ("CTRL_C_neck_swallow", "neckSwallowPh", 0.1, {1: 0.5}),
        ("CTRL_C_neck_swallow", "neckSwallowPh", 0.4, {2: 1}),
        ("CTRL_C_neck_swallow", "neckSwallowPh", 0.7, {3: 0.5, 4: 0.5}),
        ("CTRL_C_neck_swallow", "neckSwallowPh", 0.9, {4: 0.5}),
    ],
)
def test_phase_sliders_fade_from_one_phase_to_the_next(slider, raw, position, phases):
    slider += "-translateY"
    curves = {f"{RAW}{raw}{i}": value for i, value in phases.items()}
    assert run("metahuman-gui", "metahuman", {slider: position}) == curves
    assert run("metahuman", "metahuman-gui", curves) == {slider: position}


@given(performances("metahuman-gui"))
def test_the_board_gets_its_sliders_back(values):
    rig = Rig.load("metahuman-gui")
    still = ("C_eye-", "lookAt", "neckCorrectives", "neck_swallow")
    values[:, [i for i, n in enumerate(rig.names) if any(s in n for s in still)]] = 0
    raw, _ = conversion("metahuman-gui", "metahuman")(values)
    assert_allclose(conversion("metahuman", "metahuman-gui")(raw)[0], values, atol=1e-5)


# -------------------------------------------------------------------------------------- livelink


@given(performances("arkit"), POSES)
def test_live_link_gives_shapes_and_pose_back(values, pose):
    there = conversion("arkit", "livelink")(values, pose)
    back, angles = conversion("livelink", "arkit")(*there)
    assert_array_equal(back, values)
    assert_allclose(angles, pose, atol=1e-6)


def test_live_link_matches_by_name_and_not_by_position():
    livelink = Rig.load("livelink")
    values = frame("arkit", jawLeft=0.25, mouthRight=0.75)
    row, _ = conversion("arkit", "livelink")(values)
    assert (row[livelink.index("JawLeft")], row[livelink.index("JawRight")]) == (0.25, 0)
    packet = row[[livelink.index(name) for name in livelink.order("udp")]]
    assert (row[16], packet[15]) == (0.25, 0.25)
    assert (row[21], packet[22]) == (0.75, 0.75)
    assert (packet[16], packet[21]) == (0, 0)


def test_live_link_head_turns_by_head_and_neck():
    pose = np.zeros((4, 3), np.float32)
    pose[:, 0] = 0.1, 0.2, 0.3, 0.4
    row, kept = conversion("arkit", "livelink")(frame("arkit"), pose)
    assert named("livelink", row) == {"HeadYaw": 0.3, "LeftEyeYaw": 0.3, "RightEyeYaw": 0.4}
    assert_array_equal(kept, pose)
    _, angles = conversion("livelink", "arkit")(row)
    assert_allclose(angles[:, 0], [0.3, 0, 0.3, 0.4], atol=1e-6)


def test_without_a_pose_live_link_looks_straight_ahead():
    row, pose = conversion("arkit", "livelink")(frame("arkit", jawOpen=1))
    assert (named("livelink", row), pose) == ({"JawOpen": 1}, None)


def test_over_driven_values_keep_when_only_names_change():
    assert run("arkit", "livelink", jawOpen=1.5) == {"JawOpen": 1.5}


# ------------------------------------------------------------------------------------------- a2f


def test_audio2face_mouth_close_contains_the_jaw():
    assert run("arkit", "a2f", jawOpen=1, mouthClose=1) == {"MouthClose": 1}
    assert run("arkit", "a2f", jawOpen=0.8, mouthClose=0.3) == {"JawOpen": 0.5, "MouthClose": 0.3}
    assert run("a2f", "arkit", MouthClose=1) == {"jawOpen": 1, "mouthClose": 1}


@given(performances("arkit"))
def test_audio2face_gives_an_arkit_performance_back(values):
    column = Rig.load("arkit").index
    values[:, column("mouthClose")] *= values[:, column("jawOpen")]
    back, _ = conversion("a2f", "arkit")(conversion("arkit", "a2f")(values)[0])
    assert_allclose(back, values, atol=1e-6)


def test_audio2face_tongue_is_lost_on_arkit():
    assert set(conversion("a2f", "arkit").dropped) == set(Rig.load("a2f").names[52:])


# --------------------------------------------------------------------------------------- visemes


def oculus(**values):
    row, _ = conversion("arkit", "oculus")(frame("arkit", values))
    return dict(zip(Rig.load("oculus").names, row, strict=True))


def test_every_viseme_comes_back_from_its_pose():
    visemes = np.eye(15, dtype=np.float32)
    back, _ = conversion("arkit", "oculus")(conversion("oculus", "arkit")(visemes)[0])
    assert_allclose(back, visemes, atol=0.02)


@given(performances("arkit"))
def test_viseme_weights_are_shares(values):
    shares, _ = conversion("arkit", "oculus")(values)
    assert (shares >= 0).all()
    assert_allclose(shares.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("viseme", "shapes"),
    [
        ("sil", {}),
        ("sil", {"mouthSmileLeft": 1, "mouthSmileRight": 1, "eyeBlinkLeft": 1}),
        ("PP", {"jawOpen": 0.3, "mouthClose": 0.3}),
        ("PP", {"jawOpen": 0.1, "mouthClose": 0.1, "mouthPressLeft": 0.4, "mouthPressRight": 0.4}),
        ("FF", {"mouthRollLower": 0.5, "mouthUpperUpLeft": 0.2, "mouthUpperUpRight": 0.2}),
        ("aa", {"jawOpen": 0.7}),
        ("oh", {"jawOpen": 0.4, "mouthFunnel": 0.6}),
        ("ou", {"jawOpen": 0.1, "mouthPucker": 0.8}),
        ("TH", {"jawOpen": 0.2, "tongueOut": 0.6}),
    ],
)
def test_shapes_give_the_viseme_one_sees(viseme, shapes):
    weights = oculus(**shapes)
    assert max(weights, key=weights.get) == viseme


@pytest.mark.parametrize("rig", ["oculus", "vrm"])
def test_both_directions_share_one_table_of_poses(rig):
    there, back = (
        conversion(rig, "arkit").maps[0].weights,
        conversion("arkit", rig).maps[0].pose_fit.poses,
    )
    assert back == {name: there[name] for name in back}


def test_vrm_presets():
    closed = run("arkit", "vrm", eyeBlinkLeft=1, eyeBlinkRight=0.6)
    assert closed == {"blink": 0.6, "blinkLeft": 0.4}
    assert run("arkit", "vrm", eyeLookOutLeft=0.5, eyeLookInRight=0.5) == {"lookLeft": 0.5}
    happy = run("arkit", "vrm", mouthSmileLeft=0.75, mouthSmileRight=0.75)
    assert set(happy) == {"happy"}
    assert max(run("arkit", "vrm", jawOpen=0.7).items(), key=lambda item: item[1].expected) == (
        "aa",
        pytest.approx(0.83, abs=0.02),
    )
    assert run("arkit", "vrm", jawOpen=0.5, mouthClose=0.5) == {}


@pytest.mark.parametrize("preset", sorted(set(Rig.load("vrm").names) - {"relaxed", "neutral"}))
def test_vrm_presets_come_back_from_their_poses(preset):
    values, _ = conversion("vrm", "arkit")(frame("vrm", {preset: 1}))
    back, _ = conversion("arkit", "vrm")(values)
    assert_allclose(back, frame("vrm", {preset: 1}), atol=0.02)


# ---------------------------------------------------------------------------------------- chains


def test_same_rig_changes_nothing():
    way = conversion("arkit", "arkit")
    original = clip("arkit")
    assert way.maps == way.dropped == ()
    assert way.clip(original) == original


def test_chains_take_the_fewest_maps():
    way = conversion("livelink", "metahuman-gui")
    assert way.name == "livelink-to-arkit-to-metahuman-to-metahuman-gui"
    assert way.target is Rig.load("metahuman-gui")
    assert way.dropped == ()
    chain = conversion("livelink", "arkit").then(conversion("arkit", "oculus"))
    values = frame("livelink", JawOpen=0.6)
    assert_array_equal(chain(values)[0], conversion("livelink", "oculus")(values)[0])
    assert "JawForward" not in chain.dropped
    assert "BrowDownLeft" in chain.dropped
    assert "HeadYaw" not in chain.dropped


def test_a_closed_mouth_stays_closed_from_audio2face_to_metahuman():
    moved = run("a2f", "metahuman", MouthClose=0.5)
    assert moved == {RAW + "jawOpen": 0.5, **dict.fromkeys(LIPS, 1)}


def test_no_way_names_the_rigs_in_reach():
    with pytest.raises(RigError, match="'arkit' to rig 'flame'; reachable rigs: a2f, livelink"):
        conversion("arkit", "flame")
    assert {"a2f", "livelink", "metahuman", "metahuman-gui", "oculus"} < set(reachable("arkit"))
    assert reachable("flame") == ()
    with pytest.raises(UnknownNameError, match="'metahuman'"):
        conversion("arkit", "metahumn")


# ----------------------------------------------------------------------------------------- clips


def test_clips_keep_everything_but_the_rig():
    original = clip("arkit")
    converted = convert(original, "metahuman")
    assert (converted.rig.name, len(converted)) == ("metahuman", len(original))
    assert (converted.fps, converted.start_sample) == (original.fps, 7)
    assert_array_equal(converted.pose.angles, original.pose.angles)
    assert convert(clip("arkit", pose=False), "metahuman").pose is None


def test_converted_sources_are_lazy():
    original = clip("arkit")
    asked = []

    class Endless:
        info = original.info

        def blocks(self):
            for frame in original.frames():
                asked.append(frame.index)
                yield from blocks_of([frame], original.rig)

    converted = Converted(Endless(), conversion("arkit", "livelink"))
    assert isinstance(converted, FrameSource)
    assert converted.info.rig.name == "livelink"
    first = next(frames(converted))
    assert asked == [first.index] == [0]
    info = converted.info
    assert (info.fps, info.meta) == (original.fps, original.meta)
    assert (info.sample_rate, info.start_sample) == (original.sample_rate, 7)
    assert (info.events, info.extra) == (original.events, original.extra)


def test_a_performance_on_another_rig_is_refused():
    with pytest.raises(RigError, match="starts from rig 'livelink', got rig 'arkit'"):
        conversion("livelink", "arkit").clip(clip("arkit"))
    with pytest.raises(RigError, match="starts from rig 'livelink', got rig 'arkit'"):
        Converted(clip("arkit"), conversion("livelink", "arkit"))
    with pytest.raises(ClipError, match=r"values must be \(..., 52\) for rig 'arkit', got \(3, 4"):
        conversion("arkit", "a2f")(np.zeros((3, 4), np.float32))


def test_own_rigs_need_their_own_maps():
    arkit = Rig.load("arkit")
    with pytest.raises(RigError, match="with 51 controls is not the rig 'arkit' with 52"):
        conversion(replace(arkit, controls=arkit.controls[:-1]), "metahuman")
    with pytest.raises(RigError, match="reachable rigs: none"):
        conversion(replace(arkit, name="mine"), "metahuman")


# ------------------------------------------------------------------------------------- own files


def rule(name, inputs, outputs):
    return {"rule": name, "from": inputs, "to": outputs}


def own_map(tmp_path, **change):
    rig = Rig.load("oculus")
    (tmp_path / "robot.json").write_text(replace(rig, name="robot").to_text())
    document = {
        "format": "facesdk.map",
        "version": 1,
        "source": "arkit",
        "target": "robot.json",
        "weights": {"jawOpen": {"aa": 0.5}, "mouthPucker": "ou", "pose.head.yaw": {"oh": 2}},
    }
    path = tmp_path / "map.json"
    path.write_text(json.dumps(document | change))
    return path


def test_own_maps_join_the_chain(tmp_path):
    way = conversion("metahuman", "arkit").then(conversion_from_file(own_map(tmp_path)))
    values = frame("metahuman", {RAW + "jawOpen": 0.5})
    pose = np.zeros((4, 3), np.float32)
    pose[0, 0] = 0.25
    row, kept = way(values, pose)
    assert named("oculus", row) == {"sil": 1, "aa": 0.25, "oh": 0.5}
    assert_array_equal(kept, pose)
    assert way.target.name == "robot"
    with pytest.raises(RigError, match="is a chain of 2 maps"):
        way.to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "facesdk.rig"}, "is not a map file"),
        ({"version": 9}, "version 9"),
        ({"weights": {"jawOpn": "aa"}}, "rig 'arkit' has no control 'jawOpn'; did you mean"),
        ({"weights": {"jawOpen": "aaa"}}, "rig 'robot' has no control 'aaa'"),
        ({"weights": {"jawOpen": {"aa": None}}}, "lacks or misspells"),
        ({"weights": {"jawOpen": {"aa": float("nan")}}}, "must be finite"),
        ({"weights": 3}, "lacks or misspells"),
        ({"source": None}, "lacks or misspells"),
        ({"target": "nobody.json"}, "does not exist"),
        ({"rules": [rule("splt", [], [])]}, "did you mean 'split'"),
        ({"rules": [rule("split", ["jawOpen"], ["E"])]}, "writes 2 controls, got 1"),
        ({"rules": [rule("mouth_close", ["jawOpen"], ["E"])]}, "reads 5 controls, got 1"),
        ({"rules": [rule("split", ["jawOpen"], ["aa", "E"])]}, "written twice: aa"),
        ({"poses": {"E": {}, "ih": {}}}, "at most one of them"),
        ({"poses": {"E": {"jawOpen": 0}}}, "has no length"),
    ],
)
def test_broken_map_files_are_refused(tmp_path, change, message):
    path = own_map(tmp_path, **change)
    with pytest.raises(FaceSDKError, match=message) as caught:
        conversion_from_file(path)
    assert ".json" in str(caught.value)


def test_rules_say_what_they_are_from():
    assert all(kind.function.__doc__ for kind in RULES.values())
    assert len(POSE_ANGLES) == 12
    assert "pose.left_eye.pitch" in POSE_ANGLES


def test_maps_without_weights_or_rules_give_the_face_at_rest():
    arkit, oculus_rig = Rig.load("arkit"), Rig.load("oculus")
    way = Conversion(arkit, oculus_rig, (RigMap(arkit, oculus_rig),))
    assert_array_equal(way(frame("arkit", jawOpen=1))[0], oculus_rig.rest)
    assert way.dropped == arkit.names


def test_files_in_the_documentation_work(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "rigs.md"
    robot, to_robot = re.findall(r"```json\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    (tmp_path / "robot.json").write_text(robot)
    (tmp_path / "arkit-to-robot.json").write_text(to_robot)
    way = conversion_from_file(tmp_path / "arkit-to-robot.json")
    assert way(frame("arkit", jawOpen=0.5, eyeBlinkLeft=1))[0].tolist() == [50, 1, 0]
    assert all(f"`{name}`" in page.read_text("utf-8") for name in RULES)
