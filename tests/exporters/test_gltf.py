"""glTF, VRM animations: what is drawn, what comes back, what is refused."""

from __future__ import annotations

import base64
import io
import json
import struct
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from node_tools import ask
from probe import MARKED, START, probe, tiny_head
from readers.gltf import angles, read_three

from facesdk import Clip, Pose, Rig
from facesdk.errors import ExportError, FaceSDKError, FileFormatError
from facesdk.exporters import read_clip, read_clips, write_clip, write_clips
from facesdk.exporters.gltf.head import _built
from facesdk.exporters.rotations import rotation_keys
from facesdk.mesh import load_head
from facesdk.mesh.rotation import matrices, quaternion_angles, quaternions, slerp

HEAD = tiny_head()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gltf")


@pytest.fixture(scope="module")
def whole(folder):
    """The probe on the built-in head."""
    path = folder / "whole.glb"
    write_clip(probe(frames=10), path)
    return path


# ------------------------------------------------------------------- the validator


@pytest.mark.parametrize(
    ("name", "rig", "options"),
    [
        ("glb", "arkit", {"head": HEAD}),
        ("glb", "metahuman", {"head": HEAD, "tolerance": 0.05}),
        ("glb", "metahuman", {"settings": {"mesh": False}}),
        ("gltf", "arkit", {"head": HEAD}),
        ("vrma", "vrm", {}),
        ("vrma", "arkit", {"tolerance": 0.05}),
    ],
)
@pytest.mark.parametrize("frames", [0, 1, 75])
def test_the_validator_has_nothing_to_say(name, rig, options, frames, folder):
    path = folder / f"checked.{name}"
    write_clip(probe(rig, frames=frames), path, **options)
    found = ask("validate", path)
    assert (found["numErrors"], found["numWarnings"]) == (0, 0), found["messages"]


def test_the_built_in_head_is_valid(whole):
    found = ask("validate", whole)
    assert (found["numErrors"], found["numWarnings"]) == (0, 0), found["messages"]
    assert found["info"]["hasMorphTargets"]
    assert found["info"]["hasSkins"]


# ------------------------------------------------------------------------ accessors


def accessors(path):
    """The document of a `.glb`, and what meshes are made of."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    text = json.loads(data[20 : 20 + length])
    return text, text["accessors"]


@pytest.mark.parametrize("options", [{}, {"head": HEAD}, {"settings": {"mesh": False}},
                                     {"settings": {"sparse": False}}])  # fmt: skip
def test_every_accessor_has_numbers(options, folder):
    """assimp, panda3d and UnityGLTF refuse files with one that has none, which the standard allows.

    Those without numbers of their own share a view of zeros, and no sparse one does, into which
    Babylon.js would write.
    """
    path = folder / "views.glb"
    write_clip(probe(frames=3), path, **options)
    text, found = accessors(path)
    assert all(("bufferView" in accessor) != ("sparse" in accessor) for accessor in found)
    (zeros,) = [i for i, v in enumerate(text["bufferViews"]) if "byteStride" in v]
    view = text["bufferViews"][zeros]
    assert (view["byteStride"], view["target"]) == (12, 34962)
    shared = [a["count"] for a in found if a.get("bufferView") == zeros]
    assert view["byteLength"] == 12 * max(shared)


def test_a_file_for_readers_without_sparse_accessors_shows_the_same(folder):
    sparse, dense = folder / "sparse.glb", folder / "dense.glb"
    write_clip(probe(frames=3), sparse)
    write_clip(probe(frames=3), dense, settings={"sparse": False})
    assert any("sparse" in a for a in accessors(sparse)[1])
    assert not any("sparse" in a for a in accessors(dense)[1])
    found = ask("validate", dense)
    assert (found["numErrors"], found["numWarnings"]) == (0, 0), found["messages"]
    one, other = load_head(sparse), load_head(dense)
    np.testing.assert_array_equal(one.deltas, other.deltas)
    assert read_clip(sparse) == read_clip(dense)


@pytest.mark.parametrize("head", [None, HEAD], ids=["built in", "given"])
def test_joints_of_a_file_without_a_mesh_are_those_of_a_head(head, tmp_path):
    path = tmp_path / "joints.glb"
    write_clip(probe(frames=3), path, head=head, settings={"mesh": False})
    nodes = ask("outline", path)["nodes"]
    for name in ("neck", "head", "left_eye", "right_eye"):
        center = (head or load_head()).joints[name].center
        np.testing.assert_allclose(nodes[name], center, atol=2e-6)


# -------------------------------------------------------------------- what is drawn


def drawn(path, head, part, time):
    """(V, 3) where three.js draws the vertices of a part, and which vertices they are."""
    mesh = next(m["name"] for m in ask("outline", path)["meshes"] if m["name"].startswith(part))
    points = ask("vertices", path, mesh=mesh, time=time)
    return np.array(points).reshape(-1, 3), head.part_vertices(part)


@pytest.mark.parametrize("frame", [0, 31])
@pytest.mark.parametrize("part", ["skin", "left_eye", "right_eye"])
def test_three_draws_every_vertex_where_the_head_has_it(frame, part, folder):
    clip = probe()
    path = folder / "drawn.glb"
    write_clip(clip, path, head=HEAD)
    time = START / 16_000 + float(frame / clip.fps)
    points, own = drawn(path, HEAD, part, time)
    wanted = HEAD.vertices(HEAD.weights(clip)[frame], clip.pose.angles[frame])
    np.testing.assert_allclose(points, wanted[own], atol=2e-6)


@pytest.mark.parametrize("part", ["skin", "lashes_right"])
def test_three_draws_the_built_in_head_where_it_is(part, whole):
    """But for the neck, where skinning mixes what the head does one after the other."""
    head, clip = load_head(), probe(frames=10)
    points, own = drawn(whole, head, part, START / 16_000 + float(9 / clip.fps))
    wanted = head.vertices(head.weights(clip)[9], clip.pose.angles[9])[own]
    bound = head.masks["neck"][own] == 1
    assert bound.mean() > 0.7
    np.testing.assert_allclose(points[bound], wanted[bound], atol=5e-6)


def test_left_is_left_and_outside_is_outside(folder):
    path = folder / "rest.glb"
    write_clip(probe(frames=0), path, head=HEAD)
    back = load_head(path)
    order = [int(np.abs(back.neutral - point).sum(1).argmin()) for point in HEAD.neutral]
    np.testing.assert_array_equal(back.neutral[order], HEAD.neutral)
    assert back.neutral[order[MARKED], 0] > 0.1
    found = {tuple(sorted(t)): t for t in back.triangles.tolist()}
    for triangle in HEAD.triangles:
        corners = [order[c] for c in triangle]
        turned = found[tuple(sorted(corners))]
        assert turned in [corners[i:] + corners[:i] for i in range(3)]


def test_a_head_survives_its_file(whole):
    head, back = load_head(), load_head(whole)
    assert back.names == head.names
    assert [p.name for p in back.parts] == [p.name for p in head.parts]
    assert [p.material.name for p in back.parts] == [p.material.name for p in head.parts]
    used = np.concatenate([head.part_vertices(p.name) for p in head.parts])
    np.testing.assert_allclose(back.neutral, head.neutral[used], atol=1e-7)
    np.testing.assert_allclose(back.uvs, head.uvs[used], atol=1e-6)
    np.testing.assert_allclose(back.colors, head.colors[used], atol=2e-6)
    np.testing.assert_array_equal(back.deltas, head.basis.reshape(len(head.names), -1, 3)[:, used])
    for eye in ("left_eye", "right_eye"):
        np.testing.assert_allclose(back.joints[eye].center, head.joints[eye].center, atol=2e-3)


def test_eyes_look_where_gaze_shapes_say(folder):
    """A clip without a pose turns the eyes of a head that knows how far its shapes look."""
    head = replace(HEAD, gaze={"eyeLookOutLeft": (0.4, 0.0), "eyeLookDownRight": (0.0, 0.3)})
    clip = probe(pose=False)
    path = folder / "gaze.glb"
    write_clip(clip, path, head=head)
    found = read_three(path)
    np.testing.assert_allclose(
        found["pose.left_eye.yaw"].values, 0.4 * clip.curve("eyeLookOutLeft"), atol=1e-6
    )
    np.testing.assert_allclose(
        found["pose.right_eye.pitch"].values, 0.3 * clip.curve("eyeLookDownRight"), atol=1e-6
    )
    assert not np.any(found["pose.head.yaw"].values)


def test_rotations_that_are_controls_turn_the_head(folder):
    clip = probe("livelink", pose=False)
    clip = replace(clip, values=clip.values * np.float32(0.4))
    path = folder / "livelink.glb"
    assert write_clip(clip, path, head=HEAD) == ()
    turned = read_three(path)["pose.head.yaw"].values
    np.testing.assert_allclose(turned, clip.curve("HeadYaw"), atol=1e-6)


# ------------------------------------------------------------------ what comes back


@pytest.mark.parametrize("rig", ["arkit", "vrm", "metahuman"])
@pytest.mark.parametrize("extension", ["glb", "gltf"])
def test_a_clip_survives_its_file(rig, extension, folder):
    clip = probe(rig)
    path = folder / f"back.{extension}"
    write_clip(clip, path, settings={"mesh": False})
    back = read_clip(path)
    assert back.rig == clip.rig
    assert (back.fps, back.start_sample, back.sample_rate) == (clip.fps, START, 16_000)
    assert back.events == clip.events
    assert back.meta["name"] == "probe"
    np.testing.assert_array_equal(back.values, clip.values)
    np.testing.assert_allclose(back.pose.angles, clip.pose.angles, atol=1e-6)


@pytest.mark.parametrize("tolerance", [0.0, 0.002, 0.02, 0.2])
@pytest.mark.parametrize("frames", [1, 2, 75])
def test_dropping_keys_never_makes_a_file_larger(tolerance, frames, tmp_path):
    every, sparse = tmp_path / "every.glb", tmp_path / "sparse.glb"
    write_clip(probe(frames=frames), every, settings={"mesh": False})
    write_clip(probe(frames=frames), sparse, settings={"mesh": False}, tolerance=tolerance)
    added = 400 if frames < 3 else 0  # an entry of its own for the times of so few keys
    assert sparse.stat().st_size <= every.stat().st_size + added


def test_clips_share_a_head(folder):
    path = folder / "two.glb"
    clips = {"hello": probe(), "goodbye": probe(frames=40)}
    write_clips(clips, path, head=HEAD)
    assert [c["name"] for c in ask("outline", path)["clips"]] == ["hello", "goodbye"]
    back = read_clips(path)
    assert [(c.meta["name"], len(c)) for c in back] == [("hello", 75), ("goodbye", 40)]


def document(kind="LINEAR", values=(), times=(0.0, 0.5, 1.0), names=("jawOpen", "EyeBlink_L"),
             **node):  # fmt: skip
    """A glTF text by another program: two targets, no word about facesdk."""
    data = np.array([*times, *values, *np.zeros(9)], "<f4").tobytes()
    count = len(times)
    views = [(0, 4 * count), (4 * count, 4 * len(values)), (4 * (count + len(values)), 36)]
    accessors = [
        {"componentType": 5126, "bufferView": 0, "count": count, "type": "SCALAR"},
        {"componentType": 5126, "bufferView": 1, "count": len(values), "type": "SCALAR"},
        {"componentType": 5126, "bufferView": 2, "count": 3, "type": "VEC3"},
    ]
    target = {"POSITION": 2}
    return {
        "asset": {"version": "2.0"},
        "nodes": [{"mesh": 0, "name": "Face"}, {"name": "mixamorig:Head", **node}],
        "meshes": [{"primitives": [{"attributes": target, "targets": [target] * len(names)}],
                    "extras": {"targetNames": list(names)}}],
        "accessors": accessors,
        "bufferViews": [{"buffer": 0, "byteOffset": a, "byteLength": n} for a, n in views],
        "buffers": [{"byteLength": len(data), "uri": "data:application/octet-stream;base64,"
                     + base64.b64encode(data).decode()}],
        "animations": [{"name": "take", "samplers": [
            {"input": 0, "output": 1, "interpolation": kind}],
            "channels": [{"sampler": 0, "target": {"node": 0, "path": "weights"}}]}],
    }  # fmt: skip


def read(text) -> Clip:
    return read_clip(io.BytesIO(json.dumps(text).encode()), "gltf")


def test_files_of_others_are_read_by_name():
    clip = read(document(values=(0, 1, 1, 0.5, 0, 0)))
    assert clip.rig.name == "arkit"
    assert (clip.fps, len(clip)) == (2, 3)
    assert clip.curve("jawOpen").tolist() == [0, 1, 0]
    assert clip.curve("eyeBlinkLeft").tolist() == [1, 0.5, 0]
    assert "tongueOut" in clip.meta["imported"]["missing_controls"]


def test_keys_off_any_grid_are_read_at_sixty():
    times = (0.0, 0.013, 0.02)
    clip = read(document(values=(0, 0, 1, 1, 0, 0), times=times))
    assert clip.fps == 60
    np.testing.assert_allclose(clip.curve("jawOpen"), np.interp([0, 1 / 60], times, [0, 1, 0]))


def test_steps_stay_and_splines_bend():
    stepped = document("STEP", values=(0.2, 0, 1, 0, 0.4, 0), times=(0, 1 / 30, 0.1))
    assert read(stepped).curve("jawOpen").tolist() == pytest.approx([0.2, 1, 1, 0.4])
    rows = [(0, 0), (0, 0), (3, 0), (0, 0), (1, 0), (0, 0)]  # in, value, out of two keys
    spline = document("CUBICSPLINE", values=np.ravel(rows), times=(0, 1.0))
    spline["animations"][0]["extras"] = {"facesdk": {"fps": [4, 1]}}
    u = np.arange(5) / 4
    wanted = 3 * (u**3 - 2 * u**2 + u) + 3 * u**2 - 2 * u**3
    np.testing.assert_allclose(read(spline).curve("jawOpen"), wanted, atol=1e-6)


def test_targets_that_are_no_shape_are_told():
    names = (*Rig.load("arkit").names, "hatTilt", "hatColour")
    values = np.zeros((3, len(names)))
    values[1, [17, -2]] = 0.5
    clip = read(document(values=values.ravel(), names=names))
    assert clip.rig.name == "arkit"
    assert clip.values[1].max() == 0.5
    assert clip.meta["imported"]["ignored_targets"] == ["hatTilt"]


def test_a_face_of_ones_own_is_a_rig_of_its_own():
    clip = read(document(values=(0, 1) * 3, names=("grin", "hatTilt")))
    assert clip.rig.names == ("grin", "hatTilt")
    assert clip.curve("hatTilt").tolist() == [1, 1, 1]


def test_a_rig_may_be_asked_for():
    text = json.dumps(document(values=(0, 1) * 3)).encode()
    clip = read_clip(io.BytesIO(text), "gltf", rig=Rig.load("arkit"))
    assert clip.curve("eyeBlinkLeft").tolist() == [1, 1, 1]


def test_joints_turn_away_from_their_rest():
    """A bone that rests turned, below one that rests turned: the same turn about the scene's X."""
    rest = [0, 0, np.sin(0.3), np.cos(0.3)]
    text = document(values=(0,) * 6, rotation=rest)
    bent = [quaternions(np.array([0, pitch, 0])) for pitch in (0.0, 0.2, 0.4)]
    keys = np.array([product(q, rest) for q in bent], "<f4")
    add_rotation(text, 1, keys)
    pose = read(text).pose.angles
    np.testing.assert_allclose(pose[:, 0, 1], [0, 0.2, 0.4], atol=1e-6)
    np.testing.assert_allclose(pose[:, 0, [0, 2]], 0, atol=1e-6)


def product(a, b):
    """Quaternion a after b."""
    (ax, ay, az, aw), (bx, by, bz, bw) = a, b
    vector = aw * np.array([bx, by, bz]) + bw * np.array([ax, ay, az])
    vector += np.cross([ax, ay, az], [bx, by, bz])
    return [*vector, aw * bw - ax * bx - ay * by - az * bz]


def add_rotation(text, node, keys):
    text["buffers"].append({"byteLength": keys.nbytes, "uri": "data:;base64,"
                            + base64.b64encode(keys.tobytes()).decode()})  # fmt: skip
    text["bufferViews"].append({"buffer": 1, "byteLength": keys.nbytes})
    text["accessors"].append(
        {"componentType": 5126, "bufferView": 3, "count": len(keys), "type": "VEC4"}
    )
    animation = text["animations"][0]
    animation["samplers"].append({"input": 0, "output": 3})
    animation["channels"].append({"sampler": 1, "target": {"node": node, "path": "rotation"}})


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("animations"),
        lambda d: d["animations"][0]["samplers"][0].update(interpolation="MAGIC"),
        lambda d: d["animations"][0]["samplers"][0].update(output=0),
        lambda d: d["animations"][0]["channels"][0]["target"].update(node=7),
        lambda d: d["animations"][0].update(extras={"facesdk": {"fps": [0, 0]}}),
        lambda d: d["animations"][0].update(extras={"facesdk": {"events": [1]}}),
        lambda d: d["accessors"][0].update(count=4_000_000_000),
        lambda d: d["meshes"][0]["primitives"].clear(),
    ],
)
def test_broken_files_are_refused(change):
    text = document(values=(0, 1) * 3)
    change(text)
    with pytest.raises(FileFormatError):
        read(text)


def test_endless_animations_are_refused():
    with pytest.raises(FileFormatError, match="lasts"):
        read(document(values=(0, 1) * 3, times=(0, 1, 1e9)))


@given(st.integers(0, 2_000), st.integers(0, 255))
@settings(max_examples=60)
def test_no_byte_breaks_the_reader(place, value):
    file = io.BytesIO()
    write_clip(probe("vrm", frames=2), file, "glb", settings={"mesh": False})
    data = bytearray(file.getvalue())
    data[place % len(data)] = value
    with suppress(FaceSDKError):
        read_clip(io.BytesIO(bytes(data)), "glb")


# ------------------------------------------------------------------ what is refused


def test_times_that_gltf_cannot_tell_are_refused(folder):
    path = folder / "never.glb"
    with pytest.raises(ExportError, match="no time before 0"):
        write_clip(probe(), path, head=HEAD, start=-1)
    with pytest.raises(ExportError, match="too coarse"):
        write_clip(probe(), path, head=HEAD, start=1e6)
    assert not path.exists()


def test_heads_without_shapes_and_rigs_that_differ_are_refused(folder):
    bare = replace(HEAD, names=(), deltas=np.zeros((0, len(HEAD.neutral), 3), np.float32))
    with pytest.raises(ExportError, match="no shapes"):
        write_clip(probe(), folder / "never.glb", head=bare)
    with pytest.raises(ExportError, match="one rig"):
        write_clips([probe(), probe("vrm")], folder / "never.glb", settings={"mesh": False})


# ------------------------------------------------------------------------- turns


TURNS = arrays(np.float32, st.tuples(st.integers(1, 150), st.just(3)),
               elements=st.floats(-1.375, 1.375, width=32))  # fmt: skip


@given(TURNS)
def test_quaternions_are_the_rotations_of_a_pose(pose):
    x, y, z, w = quaternions(pose).T
    up = np.stack([2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)], 1)
    np.testing.assert_allclose(up, matrices(pose)[:, :, 1], atol=1e-6)
    np.testing.assert_allclose(quaternion_angles(quaternions(pose)), pose, atol=1e-6)


@given(TURNS, st.sampled_from([0.0, 0.01, 0.3]))
@settings(max_examples=50)
def test_thinned_turns_are_nowhere_further_off(pose, tolerance):
    frames, turns = rotation_keys(pose, tolerance)
    assert frames[0] == 0
    assert frames[-1] == len(pose) - 1
    if len(frames) == 1:
        return
    at = np.arange(len(pose))
    i = np.clip(np.searchsorted(frames, at, "right") - 1, 0, len(frames) - 2)
    share = (at - frames[i]) / (frames[i + 1] - frames[i])
    missed = quaternion_angles(slerp(turns[i], turns[i + 1], share[:, None])) - pose
    assert np.abs((missed + np.pi) % (2 * np.pi) - np.pi).max() <= tolerance + 1e-6


# ------------------------------------------------------------------- VRM animations


def test_eyes_that_look_together_are_a_gaze(folder):
    clip = probe("vrm")
    pose = clip.pose.angles.copy()
    pose[:, 2, 2] = 0
    pose[:, 3] = pose[:, 2]
    values = clip.values.copy()
    values[:, [clip.rig.index(n) for n in ("lookUp", "lookDown", "lookLeft", "lookRight")]] = 0
    path = folder / "gaze.vrma"
    assert write_clip(replace(clip, values=values, pose=Pose(pose)), path) == ()
    gaze = ask("vrma", path)["lookAt"]["lookAt"]
    np.testing.assert_allclose(angles(np.array(gaze["values"])), pose[:, 2], atol=1e-6)
    back = read_clip(path)
    assert back.rig.name == "vrm"
    np.testing.assert_allclose(back.pose.angles, pose, atol=1e-6)
    np.testing.assert_array_equal(back.values, values)


def test_a_vrm_animation_has_the_bones_that_vrm_asks_for(folder):
    path = folder / "bones.vrma"
    write_clip(probe("arkit"), path)
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    written = json.loads(data[20 : 20 + length])
    extension = written["extensions"]["VRMC_vrm_animation"]
    sides = {f"{s}{b}" for s in ("left", "right") for b in (
        "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")}  # fmt: skip
    assert {"hips", "spine", "head", *sides} <= set(extension["humanoid"]["humanBones"])
    assert not {"leftEye", "rightEye"} & set(extension["humanoid"]["humanBones"])
    nodes = ask("outline", path)["nodes"]
    assert nodes["leftHand"][0] > 0.5 > nodes["rightHand"][0]
    assert min(nodes["leftFoot"][1], nodes["rightFoot"][1]) > 0
    assert set(extension["expressions"]["custom"]) == set(Rig.load("arkit").names)


@pytest.mark.parametrize("rig", ["vrm", "arkit"])
def test_vrm_animations_come_back(rig, folder):
    clip = probe(rig)
    path = folder / "back.vrma"
    write_clip(clip, path, settings={"names": "PascalCase"})
    back = read_clip(path)
    carried = [n for n in clip.rig.names if not n.startswith("look")]
    assert back.rig == clip.rig
    assert (back.fps, back.start_sample, back.events) == (clip.fps, START, clip.events)
    for name in carried:
        np.testing.assert_array_equal(back.curve(name), clip.curve(name))
    np.testing.assert_allclose(back.pose.angles[:, :2], clip.pose.angles[:, :2], atol=1e-6)


def test_start_is_the_start_of_the_animation(folder):
    path = folder / "later.vrma"
    write_clip(probe("vrm"), path, start=Fraction(2))
    assert ask("vrma", path)["preset"]["aa"]["times"][0] == pytest.approx(2)


# ------------------------------------------------------------------------- speed


def test_a_head_is_built_once_for_many_files():
    """A batch of a thousand lines writes the same head a thousand times."""
    heads = [replace(tiny_head(), name=name) for name in "ab"]
    clip = probe(frames=5)

    def written(head):
        file = io.BytesIO()
        write_clip(clip, file, "glb", head=head)
        return file.getvalue()

    first = [written(head) for head in heads]
    built = _built.cache_info().misses
    assert [written(head) for head in (*heads, *heads)] == [*first, *first]
    assert _built.cache_info().misses == built


@pytest.mark.parametrize(("seconds", "allowed"), [(3000, True), (80_000, False)])
def test_three_keys_cannot_last_for_a_day(seconds, allowed):
    keys = np.array([0, 1 / 60, seconds, 0, 1, 0], "<f4").tobytes()
    uri = "data:;base64," + base64.b64encode(keys).decode()
    accessor = {"componentType": 5126, "count": 3, "type": "SCALAR"}
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": 24, "uri": uri}],
        "bufferViews": [{"buffer": 0, "byteOffset": i, "byteLength": 12} for i in (0, 12)],
        "accessors": [{"bufferView": 0} | accessor, {"bufferView": 1} | accessor],
        "meshes": [
            {
                "primitives": [{"attributes": {}, "targets": [{}]}],
                "extras": {"targetNames": ["jawOpen"]},
            }
        ],
        "nodes": [{"mesh": 0}],
        "animations": [
            {
                "samplers": [{"input": 0, "output": 1}],
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "weights"}}],
            }
        ],
    }
    file = io.BytesIO(json.dumps(document).encode())
    if allowed:
        assert len(read_clip(file, "gltf")) == seconds * 60 + 1
        return
    with pytest.raises(FileFormatError, match="keys stretch over"):
        read_clip(file, "gltf")
