"""Characters of strangers get an animation, and nothing else about their files changes."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from characters import (
    ARKIT,
    MORPHS,
    VISEMES,
    character,
    glb,
    png,
    rotation,
    unpack,
    view_bytes,
    vrm0,
    vrm1,
    write_gltf,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from node_tools import ask
from probe import START, probe, tiny_head

from facesdk import Clip, Pose, Rig
from facesdk.cli import main
from facesdk.errors import ExportError, FaceSDKError, FileFormatError
from facesdk.exporters import open_character, read_clip, read_clips, write_clip, write_clips
from facesdk.exporters.gltf.bones import Skeleton, find_bones, name_rank, transforms
from facesdk.exporters.gltf.splice import Splice
from facesdk.mesh import load_head
from facesdk.mesh.rotation import matrices, product, quaternions
from facesdk.retarget import convert
from facesdk.source import ClipInfo, blocks_of

UPRIGHT = np.zeros(12).reshape(4, 3)


@pytest.fixture
def hero(tmp_path):
    """An ARKit character."""
    path = tmp_path / "hero.glb"
    path.write_bytes(glb(*character()))
    return path


def without_gaze(clip: Clip) -> Clip:
    """The clip with the eyes turned by its pose only."""
    values = clip.values.copy()
    for i, name in enumerate(clip.rig.names):
        if "Look" in name or name.startswith("look"):
            values[:, i] = 0
    return replace(clip, values=values)


# ---------------------------------------------------------------- nothing else changes


def assert_kept(before: Path, after: Path, *, moved: bool = False) -> dict:
    """Every entry and every buffer view of a file is in another; returns the new animation.

    `moved` is for numbers and pictures that may lie elsewhere in the file.
    """
    old, old_buffers = unpack(before)
    new, new_buffers = unpack(after)
    added = new["animations"][len(old.get("animations", ())) :]
    assert new["animations"][: len(old.get("animations", ()))] == old.get("animations", [])
    for kind, entries in old.items():
        if kind in ("animations", "buffers") or (moved and kind == "images"):
            continue
        if kind in ("accessors", "bufferViews"):
            assert new[kind][: len(entries)] == entries
        else:
            assert new[kind] == entries
    assert set(new) - set(old) <= {"animations", "accessors", "bufferViews", "buffers"}
    for i in range(len(old.get("bufferViews", ()))):
        assert view_bytes(new, new_buffers, i) == view_bytes(old, old_buffers, i)
    (animation,) = added
    return animation


@given(
    st.sampled_from([("face",), ("head", "teeth", "lashes", "beard")]),
    st.sampled_from([ARKIT[:9], VISEMES, ARKIT]),
    st.sampled_from([0.0, 0.5, np.pi]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 1, 75]),
)
@settings(max_examples=20)
def test_nothing_but_the_animation_is_new(meshes, shapes, yaw, twisted, eyes, frames):
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = character(meshes=meshes, shapes=shapes, yaw=yaw, twisted=twisted, eyes=eyes)
        before, after = folder / "a.glb", folder / "b.glb"
        before.write_bytes(glb(*made, (b"ACME", b"their own chunk.")))
        write_clip(probe(frames=frames), after, head=before)
        if not frames:
            assert unpack(after)[0] == unpack(before)[0]
            return
        animation = assert_kept(before, after)
        assert animation["name"] == "probe"
        nodes = unpack(before)[0]["nodes"]
        moved = [c["target"] for c in animation["channels"]]
        assert {nodes[t["node"]]["name"] for t in moved if t["path"] == "weights"} == set(meshes)
        bones = {"Head", "Neck"} | ({"LeftEye", "RightEye"} if eyes else set())
        assert {nodes[t["node"]]["name"] for t in moved if t["path"] == "rotation"} == bones
        assert after.read_bytes().endswith(struct.pack("<I4s", 16, b"ACME") + b"their own chunk.")


def test_the_text_keeps_its_spelling(tmp_path):
    document, data = character(shapes=ARKIT[:3])
    text = json.dumps(document, indent=3).replace("1e-05", "0.10e-4").replace("true", " true ")
    chunk = text.encode() + b"\0" * (-len(text) % 4)
    body = struct.pack("<I4s", len(chunk), b"JSON") + chunk
    body += struct.pack("<I4s", len(data) + -len(data) % 4, b"BIN\0") + data
    body += bytes(-len(data) % 4)
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)
    write_clip(probe(frames=3), after, head=before)
    assert_kept(before, after)
    written = after.read_bytes()
    assert b"0.10e-4" in written
    kept = [line for line in text.splitlines() if line.startswith("   ")]
    found = written.decode("latin1")
    assert sum(line.strip().encode().decode("latin1") in found for line in kept) > 0.98 * len(kept)


@pytest.mark.parametrize("extension", ["glb", "gltf"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_text_files_keep_what_they_refer_to(extension, elsewhere, tmp_path):
    (tmp_path / "their").mkdir()
    before = write_gltf(*character(shapes=ARKIT[:5]), tmp_path / "their" / "a.gltf")
    after = (tmp_path if elsewhere else before.parent) / f"b.{extension}"
    write_clip(probe(frames=40), after, head=before)
    assert_kept(before, after, moved=True)
    new, buffers = unpack(after)
    image = new["images"][0]
    if extension == "glb":
        assert view_bytes(new, buffers, image["bufferView"]) == png()
        assert image["mimeType"] == "image/png"
        assert "uri" not in new["buffers"][0]
    elif elsewhere:
        assert image["uri"].startswith("data:image/png;base64,")
        assert new["buffers"][0]["uri"].startswith("data:")
    else:
        assert (image["uri"], new["buffers"][0]["uri"]) == ("the%20face.png", "numbers.bin")
    assert image["name"] == "face"
    found = ask("validate", after) if elsewhere or extension == "glb" else {"numErrors": 0}
    assert found["numErrors"] == 0


def test_binary_files_become_text(hero, tmp_path):
    after = tmp_path / "b.gltf"
    write_clip(probe(frames=9), after, head=hero)
    assert_kept(hero, after)
    assert ask("validate", after)["numErrors"] == 0


def test_a_picture_that_is_missing_is_told(tmp_path):
    (tmp_path / "their").mkdir()
    before = write_gltf(*character(shapes=ARKIT[:5]), tmp_path / "their" / "a.gltf")
    (before.parent / "the face.png").unlink()
    with pytest.warns(UserWarning, match=r"'the%20face.png', which is not in its folder"):
        write_clip(probe(frames=2), tmp_path / "b.glb", head=before)
    assert unpack(tmp_path / "b.glb")[0]["images"][0]["uri"] == "the%20face.png"


def test_a_file_may_be_its_own_result(hero):
    old = hero.read_bytes()
    write_clip(probe(frames=5), hero, head=hero, name="one")
    write_clip(probe(frames=5), hero, head=hero, name="one")
    document, _ = unpack(hero)
    assert [a["name"] for a in document["animations"]] == ["wave", "one", "one 2"]
    assert len(hero.read_bytes()) > len(old)


def test_several_clips_are_several_animations(hero, tmp_path):
    after = tmp_path / "b.glb"
    write_clips({"hello": probe(frames=8), "wave": probe(frames=4)}, after, head=hero)
    names = [a["name"] for a in unpack(after)[0]["animations"]]
    assert names == ["wave", "hello", "wave 2"]
    assert [len(c) for c in read_clips(after)] == [8, 4]


def test_the_same_clip_gives_the_same_bytes(hero):
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        write_clip(probe(), file, "glb", head=hero)
    assert files[0].getvalue() == files[1].getvalue()


@given(st.dictionaries(st.text(max_size=3), st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner,
                                                                max_size=3))),
    st.integers(0, 3), st.booleans())  # fmt: skip
def test_spliced_text_is_the_changed_document(document, indent, escaped):
    document = dict(document) | {"nodes": [{"a": 1, "matrix": [1]}, {}, {"matrix": 2}], "empty": []}
    text = json.dumps(document, indent=indent or None, ensure_ascii=escaped)
    splice = Splice(f" {text}\n")
    splice.update("nodes", 0, {"matrix": None, "a": [2], "b": "é"})
    splice.update("nodes", 1, {"c": 3, "none": None})
    splice.update("nodes", 2, {"matrix": None})
    splice.append("empty", [5, {"x": 1}])
    splice.append("nodes", [7])
    splice.append("new things", [1, 2])
    nodes = [{"a": [2], "b": "é"}, {"c": 3}, {}, 7]
    more = {"nodes": nodes, "empty": [5, {"x": 1}], "new things": [1, 2]}
    assert json.loads(splice.finish()) == document | more


# ----------------------------------------------------------------------- what is drawn


def drawn(path: Path, mesh: str, frame: int, clip: Clip, animation: int = 1) -> np.ndarray:
    """(V, 3) where three.js draws the vertices of a mesh."""
    time = START / 16_000 + float(frame / clip.fps)
    return np.reshape(ask("vertices", path, mesh=mesh, time=time, clip=animation), (-1, 3))


def expected(path: Path, mesh: str, weights: dict[str, float], angles: np.ndarray) -> np.ndarray:
    """(V, 3) where the vertices of a mesh belong: morphed, then turned about the bones.

    Turns are about the character's own axes, in the places where its bones rest.
    """
    document, buffers = unpack(path)

    def numbers(index: int) -> np.ndarray:
        entry = document["accessors"][index]
        raw = view_bytes(document, buffers, entry["bufferView"])
        return np.frombuffer(raw, "<f4").reshape(entry["count"], -1).astype(float)

    def place(name: str) -> np.ndarray:
        matrix, here = np.eye(4), named(name)
        parents = {c: i for i, n in enumerate(document["nodes"]) for c in n.get("children", ())}
        while here is not None:
            node = document["nodes"][here]
            own = np.eye(4)
            if "matrix" in node:
                own = np.reshape(node["matrix"], (4, 4)).T
            else:
                own[:3, :3] = rotation(node.get("rotation", (0, 0, 0, 1)))
                own[:3, 3] = node.get("translation", (0, 0, 0))
            matrix, here = own @ matrix, parents.get(here)
        return matrix[:3, 3]

    def named(name: str) -> int:
        return next(i for i, n in enumerate(document["nodes"]) if n["name"].endswith(name))

    entry = next(m for m in document["meshes"] if m["name"] == mesh)
    primitive = entry["primitives"][0]
    points = numbers(primitive["attributes"]["POSITION"])
    names = entry.get("extras", {}).get("targetNames", [])
    for name, target in zip(names, primitive.get("targets", ()), strict=True):
        points = points + weights.get(name, 0.0) * numbers(target["POSITION"])
    front = rotation(document["nodes"][0]["rotation"])
    turns = front @ matrices(angles).astype(float) @ front.T
    chain = ["Head", "Neck"]
    if mesh.startswith("ball"):
        chain = [f"{mesh.removeprefix('ball')}Eye", *chain]
    order = {"Head": 0, "Neck": 1, "LeftEye": 2, "RightEye": 3}
    for bone in chain:
        points = (points - place(bone)) @ turns[order[bone]].T + place(bone)
    return points


@pytest.mark.parametrize("bone", ["{}", "mixamorig:{}", "J_Bip_C_{}"])
@pytest.mark.parametrize(("yaw", "twisted"), [(0, False), (0, True), (np.pi, True), (0.5, True),
                                              (-np.pi / 2, True)])  # fmt: skip
def test_three_draws_what_the_clip_says(yaw, twisted, bone, tmp_path):
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(glb(*character(yaw=yaw, twisted=twisted, bone=bone.format)))
    clip = without_gaze(probe(frames=40))
    assert write_clip(clip, after, head=before) == ()
    for frame in (0, 33):
        values = dict(zip(clip.rig.names, clip.values[frame], strict=True)) | {"hatTilt": 0.3}
        for mesh in ("face", "ballLeft", "ballRight"):
            wanted = expected(before, mesh, values, clip.pose.angles[frame])
            np.testing.assert_allclose(drawn(after, mesh, frame, clip), wanted, atol=1e-5)
        wanted = expected(before, "body", {}, UPRIGHT)
        np.testing.assert_allclose(drawn(after, "body", frame, clip), wanted, atol=1e-5)


@pytest.mark.parametrize(("made", "rig", "front"), [
    (character, "arkit", 1), (character, "livelink", 1), (character, "metahuman", 1),
    (vrm0, "vrm", -1), (vrm0, "arkit", -1), (vrm1, "vrm", 1), (vrm1, "arkit", 1),
    (lambda: character(shapes=VISEMES), "oculus", 1),
    (lambda: character(shapes=(*VISEMES, "eyeBlinkLeft", "browInnerUp")), "arkit", 1),
    (lambda: character(shapes=(*ARKIT, "tongueTipUp", "tongueWide")), "a2f", 1),
])  # fmt: skip
def test_the_face_is_the_one_of_the_product(made, rig, front, tmp_path):
    """`Head.vertices` of the same file and clip, without turns, is what three.js draws."""
    before, after = tmp_path / "a.vrm", tmp_path / "b.glb"
    before.write_bytes(glb(*made()))
    clip = without_gaze(probe(rig, pose=False))
    values = clip.values.copy()
    for i, name in enumerate(clip.rig.names):
        if name.endswith(("Yaw", "Pitch", "Roll")):  # of Live Link
            values[:, i] = 0
    clip = replace(clip, values=values)
    write_clip(clip, after, head=before)
    head = load_head(before)
    points = head.vertices(head.weights(clip))[[0, 50]] * [front, 1, front]
    own = head.part_vertices("face")
    for frame, wanted in zip((0, 50), points, strict=True):
        np.testing.assert_allclose(drawn(after, "face", frame, clip), wanted[own], atol=1e-5)


def test_bones_that_have_a_matrix_get_its_parts(tmp_path):
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(glb(*character(matrices=True)))
    clip = without_gaze(probe(frames=20))
    write_clip(clip, after, head=before)
    assert ask("validate", after)["numErrors"] == 0
    old, new = unpack(before)[0]["nodes"], unpack(after)[0]["nodes"]
    changed = {n["name"] for n, o in zip(new, old, strict=True) if n != o}
    assert changed == {"Head", "Neck", "LeftEye", "RightEye"}
    values = dict(zip(clip.rig.names, clip.values[15], strict=True)) | {"hatTilt": 0.3}
    wanted = expected(before, "face", values, clip.pose.angles[15])
    np.testing.assert_allclose(drawn(after, "face", 15, clip), wanted, atol=1e-5)


def test_a_split_face_moves_as_one(tmp_path):
    meshes = ("head", "teeth", "lashes", "beard")
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(glb(*character(meshes=meshes)))
    clip = without_gaze(probe(frames=12))
    write_clip(clip, after, head=before)
    values = dict(zip(clip.rig.names, clip.values[8], strict=True)) | {"hatTilt": 0.3}
    for mesh in meshes:
        wanted = expected(before, mesh, values, clip.pose.angles[8])
        np.testing.assert_allclose(drawn(after, mesh, 8, clip), wanted, atol=1e-5)
    animation = unpack(after)[0]["animations"][-1]
    shared = {c["sampler"] for c in animation["channels"] if c["target"]["path"] == "weights"}
    assert len(shared) == 1


@pytest.mark.parametrize("tolerance", [0.0, 0.02])
def test_thinned_keys_stay_within_the_tolerance(tolerance, hero, tmp_path):
    after = tmp_path / "b.glb"
    clip = without_gaze(probe())
    write_clip(clip, after, head=hero, tolerance=tolerance)
    back = read_clip(after)
    assert np.abs(back.values - clip.values).max() <= tolerance + 1e-6
    assert np.abs(back.pose.angles - clip.pose.angles).max() <= tolerance + 1e-5


@pytest.mark.parametrize("yaw", [0.0, 0.4, np.pi])
def test_a_clip_comes_back(yaw, tmp_path):
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(glb(*character(yaw=yaw)))
    clip = without_gaze(probe())
    write_clip(clip, after, head=before)
    back = read_clip(after)
    np.testing.assert_array_equal(back.values, clip.values)
    np.testing.assert_allclose(back.pose.angles, clip.pose.angles, atol=2e-6)
    assert (back.fps, back.start_sample, back.events) == (clip.fps, START, clip.events)


# ----------------------------------------------------------------------- faces and rigs


def weights_of(path: Path, mesh: str = "face") -> dict[str, np.ndarray]:
    """(T,) weights by target, as three.js reads them."""
    curves = ask("curves", path, clip=1)
    names = next(m["targets"] for m in ask("outline", path)["meshes"] if m["name"] == mesh)
    return {n: np.array(curves[n]["values"]) for n in names}


def test_visemes_are_driven_by_their_rig(tmp_path):
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(glb(*character(shapes=VISEMES)))
    assert open_character(before).rig == "oculus"
    clip = probe("oculus")
    assert write_clip(clip, after, head=before) == ()
    found = weights_of(after)
    spelled = {"E": "E", "ih": "I", "oh": "O", "ou": "U"}
    for i, name in enumerate(clip.rig.names):
        np.testing.assert_allclose(found[f"viseme_{spelled.get(name, name)}"], clip.values[:, i])
    np.testing.assert_allclose(found["hatTilt"], 0.3, atol=1e-7)


def test_a_clip_of_another_rig_is_converted(tmp_path):
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(glb(*character(shapes=VISEMES)))
    clip = probe(pose=False)
    dropped = write_clip(clip, after, head=before)
    wanted = convert(clip, "oculus")
    np.testing.assert_allclose(weights_of(after)["viseme_PP"], wanted.curve("PP"), atol=1e-6)
    assert {"eyeBlinkLeft", "browInnerUp"} <= set(dropped)
    assert "jawOpen" not in dropped


def test_visemes_speak_and_other_shapes_blink(tmp_path):
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    shapes = (*VISEMES, "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft")
    before.write_bytes(glb(*character(shapes=shapes)))
    assert open_character(before).rig == "arkit"
    clip = probe(pose=False)
    dropped = write_clip(clip, after, head=before)
    found = weights_of(after)
    np.testing.assert_allclose(found["eyeBlinkLeft"], clip.curve("eyeBlinkLeft"))
    np.testing.assert_allclose(found["viseme_aa"], convert(clip, "oculus").curve("aa"), atol=1e-6)
    assert not found["mouthSmileLeft"].any()
    assert "eyeBlinkRight" not in dropped


def test_vrm_0_avatars_follow_their_blend_shape_groups(tmp_path):
    before, after = tmp_path / "a.vrm", tmp_path / "b.vrm"
    before.write_bytes(glb(*vrm0()))
    assert open_character(before).rig == "vrm"
    clip = probe("vrm")
    dropped = write_clip(clip, after, head=before)
    assert {"angry", "sad", "surprised"} <= set(dropped)
    assert not {"aa", "blink", "happy", "neutral", "lookUp"} & set(dropped)
    assert_kept(before, after)
    three = after.with_suffix(".glb")
    three.write_bytes(after.read_bytes())
    found = weights_of(three)
    names = ("aa", "ih", "ou", "ee", "oh", "blink", "blinkLeft", "blinkRight", "happy")
    for name, morph in zip(names, MORPHS, strict=True):
        np.testing.assert_allclose(found[morph], 0.8 * clip.curve(name), atol=1e-6)
    still = without_gaze(clip)
    three = tmp_path / "still.glb"
    write_clip(still, three, head=before)
    values = {m: 0.8 * still.curve(n)[30] for n, m in zip(names, MORPHS, strict=True)}
    for mesh in ("face", "ballLeft"):
        wanted = expected(before, mesh, values | {"hatTilt": 0.3}, still.pose.angles[30])
        np.testing.assert_allclose(drawn(three, mesh, 30, still), wanted, atol=1e-5)


def test_vrm_1_expressions_hold_each_other_back(tmp_path):
    before, after = tmp_path / "a.vrm", tmp_path / "b.glb"
    before.write_bytes(glb(*vrm1()))
    clip = probe("vrm")
    write_clip(clip, after, head=before)
    found = weights_of(after)
    happy = np.clip(clip.curve("happy"), 0, 1)
    np.testing.assert_allclose(found["M_A"], 0.5 * clip.curve("aa") * (1 - happy), atol=1e-6)
    np.testing.assert_allclose(found["Grin"], 0.5 * happy, atol=1e-6)
    np.testing.assert_array_equal(found["Lids"], 0.5 * (clip.curve("blink") > 0.5))
    np.testing.assert_allclose(found["LidL"], 0.5 * clip.curve("blinkLeft"), atol=1e-6)


@pytest.mark.parametrize("made", [vrm0, vrm1])
def test_three_vrm_shows_the_same_weights(made, tmp_path):
    """Its own expressions, set to the clip's values, move the targets as the animation does."""
    before, after = tmp_path / "a.vrm", tmp_path / "b.glb"
    before.write_bytes(glb(*made()))
    clip = probe("vrm", pose=False)
    write_clip(clip, after, head=before)
    rows = [10, 31, 60]
    frames = [
        {n: float(v) for n, v in zip(clip.rig.names, clip.values[i], strict=True)} for i in rows
    ]
    shown = np.array(ask("expressions", before, mesh="face", frames=frames))
    names = [*MORPHS, "hatTilt"]
    found = weights_of(after)
    for column, name in enumerate(names[:-1]):
        np.testing.assert_allclose(shown[:, column], found[name][rows], atol=1e-6)


def test_perfect_sync_expressions_count_before_presets(tmp_path):
    document, data = vrm1()
    face = next(i for i, n in enumerate(document["nodes"]) if n["name"] == "face")
    jaw = {"morphTargetBinds": [{"node": face, "index": 8, "weight": 1}]}
    custom = {n[0].upper() + n[1:]: jaw for n in ARKIT}
    document["extensions"]["VRMC_vrm"]["expressions"]["custom"] = custom
    path = tmp_path / "a.vrm"
    path.write_bytes(glb(document, data))
    found = open_character(path)
    assert found.rig == "arkit"
    assert "52 controls of rig arkit" in found.describe(Rig.load("arkit"))


@pytest.mark.parametrize("spelled", [
    lambda n: n, lambda n: f"Face.M_{n}", lambda n: n.replace("Left", "_L").replace("Right", "_R"),
    lambda n: n[0].upper() + n[1:], lambda n: f"{n}.001",
])  # fmt: skip
def test_shapes_are_known_by_many_names(spelled, tmp_path):
    path = tmp_path / "a.glb"
    path.write_bytes(glb(*character(shapes=tuple(map(spelled, ARKIT)))))
    assert "52 controls of rig arkit" in open_character(path).describe(Rig.load("arkit"))


@pytest.mark.parametrize(("names", "rig"), [
    (("vrc.v_sil", "vrc.v_pp", "vrc.v_ff", "vrc.v_aa", "vrc.v_oh"), "oculus"),
    (("Viseme_PP", "Viseme_FF", "Viseme_AA", "Viseme_U"), "oculus"),
    (Rig.load("oculus").names, "oculus"),
    (("Face.Fcl_MTH_A", "Face.Fcl_MTH_O", "Fcl_EYE_Close"), "vrm"),
    (("A", "I", "U", "E", "O", "Blink"), "vrm"),
    (("あ", "い", "う", "え", "お", "まばたき"), "vrm"),
    (("CTRL_expressions_jawOpen", "CTRL_expressions_mouthUp"), "metahuman"),
])  # fmt: skip
def test_other_faces_are_known_by_their_names(names, rig, tmp_path):
    path = tmp_path / "a.glb"
    path.write_bytes(glb(*character(shapes=names)))
    found = open_character(path)
    assert found.rig == rig
    used = found.channels(Rig.load(rig)).drive.rigs
    assert {name: len(controls) for name, controls in used.items()} == {rig: len(names)}


def test_the_same_shape_twice_counts_once_and_halves_both(tmp_path):
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    shapes = ("jawOpen", "jawOpen.001", "browInnerUp_L", "browInnerUp_R", "JAWOPEN")
    before.write_bytes(glb(*character(shapes=shapes)))
    clip = probe(pose=False)
    with pytest.warns(UserWarning, match="same shape more than once.*jawOpen.001"):
        write_clip(clip, after, head=before)
    found = weights_of(after)
    np.testing.assert_allclose(found["jawOpen"], clip.curve("jawOpen"))
    assert not found["jawOpen.001"].any()
    assert not found["JAWOPEN"].any()
    for side in "LR":
        np.testing.assert_allclose(found[f"browInnerUp_{side}"], clip.curve("browInnerUp"))


def test_a_rig_of_ones_own_moves_shapes_of_its_names(tmp_path):
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(glb(*character(shapes=("grin", "Hat:Tilt2"))))
    rig = replace(Rig.load("oculus"), name="own", controls=tuple(
        replace(Rig.load("oculus").controls[1], name=n) for n in ("Grin", "tilt2", "nobody")
    ))  # fmt: skip
    clip = Clip(rig, np.linspace(0.1, 1, 30).reshape(10, 3), Fraction(30), start_sample=START)
    assert write_clip(clip, after, head=before) == ("nobody",)
    found = weights_of(after)
    np.testing.assert_allclose(found["grin"], clip.curve("Grin"))
    np.testing.assert_allclose(found["Hat:Tilt2"], clip.curve("tilt2"))


def test_a_mouth_close_with_the_jaw_inside_gives_it_back(tmp_path):
    """Audio2Face's mouthClose opens the jaw that it closes; a clip's is ARKit's."""
    document, data = character(shapes=("jawOpen", "mouthClose"))
    primitive = document["meshes"][1]["primitives"][0]
    primitive["targets"][1] = primitive["targets"][0]
    points = np.zeros((12, 3), "<f4")
    points[:, 1] = -0.01
    view = document["bufferViews"][
        document["accessors"][primitive["targets"][0]["POSITION"]]["bufferView"]
    ]
    data = bytearray(data)
    data[view["byteOffset"] : view["byteOffset"] + view["byteLength"]] = points.tobytes()
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(glb(document, bytes(data)))
    clip = probe(pose=False)
    write_clip(clip, after, head=before)
    found = weights_of(after)
    jaw, close = clip.curve("jawOpen"), clip.curve("mouthClose")
    np.testing.assert_allclose(found["jawOpen"], jaw - close, atol=1e-6)
    head = load_head(before)
    wanted = head.vertices(head.weights(clip))[20][head.part_vertices("face")]
    np.testing.assert_allclose(drawn(after, "face", 20, clip), wanted, atol=1e-5)


def test_compressed_meshes_are_kept_unread(tmp_path):
    document, data = character(shapes=ARKIT)
    document["extensionsUsed"].append("EXT_meshopt_compression")
    document["extensionsRequired"] = ["EXT_meshopt_compression"]
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(glb(document, data))
    with pytest.warns(UserWarning, match="mouthClose is taken as ARKit's"):
        write_clip(probe(frames=4), after, head=before)
    assert_kept(before, after)


# ------------------------------------------------------------------------------ bones


@pytest.mark.parametrize(("name", "joint"), [
    ("Head", "head"), ("head", "head"), ("mixamorig:Head", "head"), ("mixamorig9:Head", "head"),
    ("J_Bip_C_Head", "head"), ("CC_Base_Head", "head"), ("Bip01 Head", "head"),
    ("ValveBiped.Bip01_Head1", "head"), ("Head_M", "head"), ("head_jnt", "head"),
    ("jnt_head", "head"), ("Armature|Head", "head"), ("DEF-head", "head"), ("head.x", "head"),
    ("Hero_Head", "head"), ("頭", "head"),
    ("Neck", "neck"), ("neck_01", "neck"), ("neckLower", "neck"), ("CC_Base_NeckTwist01", "neck"),
    ("neck.x", "neck"), ("首", "neck"),
    ("LeftEye", "left_eye"), ("mixamorig:LeftEye", "left_eye"), ("eye.L", "left_eye"),
    ("DEF-eye.L", "left_eye"), ("lEye", "left_eye"), ("CC_Base_L_Eye", "left_eye"),
    ("FACIAL_L_Eye", "left_eye"), ("J_Adj_L_FaceEye", "left_eye"), ("Eye_L", "left_eye"),
    ("lefteye", "left_eye"), ("eye_l", "left_eye"), ("l_eye", "left_eye"), ("左目", "left_eye"),
    ("EyeBall_R", "right_eye"), ("RightEye", "right_eye"), ("FACIAL_R_Eye", "right_eye"),
])  # fmt: skip
def test_bones_are_known_by_their_names(name, joint):
    joints = ("head", "neck", "left_eye", "right_eye")
    assert [j for j in joints if name_rank(name, j) is not None] == [joint]


@pytest.mark.parametrize("name", [
    "HeadTop_End", "mixamorig:HeadTop_End", "head_end", "HeadNub", "Head_IK", "HeadTarget",
    "forehead", "Forehead_L", "eyelid.L", "LeftEyeLid", "EyeBrow_R", "Eye", "eyes", "headlight",
    "MCH-eye.L", "HeadCtrl", "eye_target_l", "NeckHolder", "Beheaded", "ahead", "bottleneck",
    "FACIAL_L_EyeParallel", "HairHead", "",
])  # fmt: skip
def test_bones_beside_the_head_are_not_it(name):
    assert all(name_rank(name, j) is None for j in ("head", "neck", "left_eye", "right_eye"))


def skeleton(*names: str, joints=None) -> dict:
    """A chain of bones, each a child of the last."""
    nodes = [{"name": n} | ({"children": [i + 1]} if i + 1 < len(names) else {})
             for i, n in enumerate(names)]  # fmt: skip
    skins = [] if joints is None else [{"joints": list(joints)}]
    return {"nodes": nodes, "skins": skins}


@pytest.mark.parametrize(("document", "found"), [
    (skeleton("neck_02", "neck_01", "Neck", "head"), {"neck": 2, "head": 3}),
    (skeleton("neck_01", "neck_02", "head"), {"neck": 0, "head": 2}),
    (skeleton("spine", "spine.004", "spine.005", "spine.006"), {"neck": 1, "head": 3}),
    (skeleton("head", "neck", "DEF-spine.004", "DEF-spine.006", joints=[0, 1, 2, 3]),
     {"neck": 2, "head": 3}),
    (skeleton("spine.004", "Neck", "Head", "spine.006"), {"neck": 1, "head": 2}),
    (skeleton("Head", "Hips", "Head", joints=[1, 2]), {"head": 2}),
    (skeleton("root"), {}),
])  # fmt: skip
def test_the_best_bone_is_taken(document, found):
    assert Skeleton(document).joints() == found


def test_humanoid_maps_count_before_names():
    document = skeleton("Head", "Bone_17", "Bone_18")
    document["extensions"] = {"VRMC_vrm": {"humanoid": {"humanBones": {"head": {"node": 2}}}}}
    assert Skeleton(document).joints() == {"head": 2}
    bones = [{"bone": "head", "node": 1}, {"bone": "neck", "node": -1}]
    document["extensions"] = {"VRM": {"humanoid": {"humanBones": bones}}}
    assert Skeleton(document).joints() == {"head": 1}


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.booleans(),
       st.lists(st.floats(-1, 1), min_size=3, max_size=3))  # fmt: skip
def test_turns_are_in_the_axes_of_the_character(rest, mirrored, angles):
    """Above a mirrored parent too: the bone in the scene turns as the pose says."""
    rest = np.array(rest) if np.linalg.norm(rest) > 0.1 else np.array([0, 0, 0, 1.0])
    rest /= np.linalg.norm(rest)
    scale = [-2, 2, 2] if mirrored else [3, 3, 3]
    nodes = [{"name": "Armature", "rotation": rest[[1, 0, 2, 3]].tolist(), "scale": scale,
              "children": [1]}, {"name": "Head", "rotation": rest.tolist()}]  # fmt: skip
    bone = find_bones({"nodes": nodes})["head"]
    turn = quaternions(np.array([angles], np.float32))
    placed = bone.placed(turn)
    above = rotation(rest[[1, 0, 2, 3]]) @ np.diag(scale)
    world = above @ rotation(placed[0])
    wanted = rotation(turn[0]) @ above @ rotation(rest)
    np.testing.assert_allclose(world, wanted, atol=1e-6)
    np.testing.assert_allclose(np.abs((bone.turns(placed) * turn).sum(-1)), 1, atol=1e-9)


def test_a_scene_with_z_up_has_its_head_at_the_top_of_z():
    document = skeleton("Hips", "Neck", "Head")
    for node, z in zip(document["nodes"], (1.0, 0.5, 0.1), strict=True):
        node["translation"] = [0, 0.02, z]
    np.testing.assert_array_equal(Skeleton(document).front[:, 1], [0, 0, 1])


def test_a_matrix_becomes_its_parts():
    turn = rotation([0.1, -0.7, 0.3, 0.2])
    matrix = np.eye(4)
    matrix[:3, :3] = turn * [2, -3, 4]
    matrix[:3, 3] = (5, 6, 7)
    parts = transforms({"matrix": matrix.T.ravel().tolist()})
    np.testing.assert_allclose(rotation(parts["rotation"]) * parts["scale"], matrix[:3, :3])
    assert parts["translation"] == [5, 6, 7]
    matrix[0, 1] += 1
    with pytest.raises(ValueError, match="shear"):
        transforms({"matrix": matrix.T.ravel().tolist()})


def test_gaze_shapes_turn_the_eyes_once(hero, tmp_path):
    """Shapes that leave the eyeballs alone: their bones turn as far as the shapes look."""
    after = tmp_path / "b.glb"
    clip = probe(pose=False)
    write_clip(clip, after, head=hero)
    pose = read_clip(after).pose.angles
    out, inwards = clip.curve("eyeLookOutLeft"), clip.curve("eyeLookInLeft")
    np.testing.assert_allclose(pose[:, 2, 0], np.radians(24) * (out - inwards), atol=1e-5)
    assert not pose[:, :2].any()


def test_eyes_that_shapes_turn_are_not_turned_again(tmp_path):
    document, data = character(eyes=True)
    face = document["meshes"][1]["primitives"][0]
    body = document["skins"][0]["joints"]
    eye = next(i for i, n in enumerate(document["nodes"]) if n["name"] == "LeftEye")
    joints = np.zeros((12, 4), "u1")
    joints[:6, 0] = body.index(eye)
    joints[6:, 0] = body.index(next(i for i, n in enumerate(document["nodes"])
                                    if n["name"] == "Head"))  # fmt: skip
    view = document["bufferViews"][
        document["accessors"][face["attributes"]["JOINTS_0"]]["bufferView"]
    ]
    data = bytearray(data)
    data[view["byteOffset"] : view["byteOffset"] + 48] = joints.tobytes()
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(glb(document, bytes(data)))
    write_clip(probe(pose=False), after, head=before)
    pose = read_clip(after).pose.angles
    assert not pose[:, 2].any()
    assert pose[:, 3].any()


@pytest.mark.parametrize("kind", ["bone", "expression"])
def test_avatars_look_by_bones_or_by_expressions(kind, tmp_path):
    document, data = vrm1()
    extension = document["extensions"]["VRMC_vrm"]
    face = next(i for i, n in enumerate(document["nodes"]) if n["name"] == "face")
    extension["lookAt"] = {"type": kind}
    extension["expressions"]["preset"] |= {
        name: {"morphTargetBinds": [{"node": face, "index": 9, "weight": 1}]}
        for name in ("lookUp", "lookLeft")
    }
    before, after = tmp_path / "a.vrm", tmp_path / "b.glb"
    before.write_bytes(glb(document, data))
    clip = probe("vrm", pose=False)
    dropped = write_clip(clip, after, head=before)
    assert "lookUp" not in dropped
    moved = weights_of(after)["hatTilt"]
    document = unpack(after)[0]
    targets = [c["target"] for c in document["animations"][-1]["channels"]]
    turned = {document["nodes"][t["node"]]["name"] for t in targets if t["path"] == "rotation"}
    if kind == "bone":
        assert turned == {"LeftEye", "RightEye"}
        np.testing.assert_allclose(moved, 0.3, atol=1e-6)
    else:
        assert not turned
        np.testing.assert_allclose(moved, clip.curve("lookUp") + clip.curve("lookLeft"), atol=1e-6)


def test_joints_without_a_bone_are_told(tmp_path):
    before = tmp_path / "a.glb"
    before.write_bytes(glb(*character(eyes=False)))
    dropped = write_clip(without_gaze(probe()), tmp_path / "b.glb", head=before)
    assert dropped == tuple(f"pose.{eye}.{a}" for eye in ("left_eye", "right_eye")
                            for a in ("yaw", "pitch", "roll"))  # fmt: skip


def test_bones_that_rest_have_no_channel(hero, tmp_path):
    clip = probe(frames=5)
    angles = np.zeros((5, 4, 3), np.float32)
    angles[:, 0, 1] = 0.2
    after = tmp_path / "b.glb"
    write_clip(without_gaze(replace(clip, pose=Pose(angles))), after, head=hero)
    animation = assert_kept(hero, after)
    nodes = unpack(hero)[0]["nodes"]
    turned = [c["target"]["node"] for c in animation["channels"]
              if c["target"]["path"] == "rotation"]  # fmt: skip
    assert [nodes[i]["name"] for i in turned] == ["Head"]


# ------------------------------------------------------------------- what is refused


def test_a_character_that_cannot_move_is_refused(tmp_path):
    document, data = character(shapes=("A1", "B2"), bone="bone{}x".format)
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(glb(document, data))
    with pytest.raises(
        ExportError, match=r"nothing would move.*a.glb.*A1, B2, hatTilt.*no bone of a head"
    ):
        write_clip(probe(), after, head=before)
    assert not after.exists()


def test_a_body_without_a_face_only_turns(tmp_path):
    before = tmp_path / "a.glb"
    before.write_bytes(glb(*character(shapes=("A1", "B2"))))
    with pytest.warns(UserWarning, match="none of the 3 shapes of head"):
        write_clip(probe(), tmp_path / "b.glb", head=before)
    with pytest.raises(ExportError, match="nothing would move"):
        write_clip(without_gaze(probe(pose=False)), tmp_path / "c.glb", head=before)


def test_avatars_need_an_avatar(hero, tmp_path):
    with pytest.raises(ExportError, match=r"give head"):
        write_clip(probe(), tmp_path / "b.vrm")
    with pytest.raises(ExportError, match=r"give the avatar as head.*hero.glb"):
        write_clip(probe(), tmp_path / "b.vrm", head=hero)
    assert not (tmp_path / "b.vrm").exists()


def test_without_a_mesh_a_character_gives_its_joints_only(hero, tmp_path):
    write_clip(probe(), tmp_path / "b.glb", head=hero, settings={"mesh": False})
    document, _ = unpack(tmp_path / "b.glb")
    assert {"head", "neck"} <= {node.get("name") for node in document["nodes"]}
    assert "hatTilt" not in json.dumps(document)


@pytest.mark.parametrize("text", [b"", b"glTF", b"{}", b'{"asset":{"version":"1.0"}}', b"[1]",
                                  b'{"asset":{"version":"2.0"},"nodes":[{"children":[0]}]}',
                                  b'{"asset":{"version":"2.0"},"nodes":5}'])  # fmt: skip
def test_files_that_are_none_are_refused(text, tmp_path):
    path = tmp_path / "a.glb"
    path.write_bytes(text)
    with pytest.raises((FileFormatError, ExportError)):
        write_clip(probe(), tmp_path / "b.glb", head=path)
    assert not (tmp_path / "b.glb").exists()
    with pytest.raises(FileFormatError, match="is not a file"):
        write_clip(probe(), tmp_path / "b.glb", head=tmp_path / "absent.glb")


@given(st.integers(0, 40_000), st.binary(min_size=1, max_size=6))
@settings(max_examples=80)
def test_damaged_characters_raise_errors_of_the_product(place, new):
    data = bytearray(_WHOLE)
    place %= len(data)
    data[place : place + len(new)] = new
    damaged = Path(_FOLDER) / "damaged.glb"
    damaged.write_bytes(bytes(data))
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            write_clip(probe("vrm", frames=2), io.BytesIO(), "glb", head=damaged)
        except FaceSDKError:
            return


def _changed(value, draw):
    """A JSON value with one entry, anywhere inside, replaced."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 3)):
        keys = sorted(value) if isinstance(value, dict) else range(len(value))
        key = draw(st.sampled_from(list(keys)))
        copied = value.copy()
        copied[key] = _changed(value[key], draw)
        return copied
    return draw(st.sampled_from([None, -1, 1e9, "x", [], {}, [[]], {"node": 0}, True, 0]))


@given(st.data(), st.sampled_from([vrm0, vrm1, character]))
@settings(max_examples=60)
def test_documents_that_make_no_sense_raise_errors_of_the_product(data, made):
    document, numbers = made()
    document.pop("accessors") if data.draw(st.integers(0, 9)) == 9 else None
    damaged = Path(_FOLDER) / "senseless.glb"
    damaged.write_bytes(glb(_changed(document, data.draw), numbers))
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            write_clip(probe("vrm", frames=2), io.BytesIO(), "glb", head=damaged)
        except FaceSDKError:
            return


@pytest.fixture(scope="module", autouse=True)
def _whole(tmp_path_factory):
    global _WHOLE, _FOLDER
    _WHOLE, _FOLDER = glb(*vrm1()), tmp_path_factory.mktemp("damaged")


# --------------------------------------------------------------------- other ways in


def test_a_setting_gives_the_head_of_its_shapes_alone(hero, tmp_path):
    after = tmp_path / "b.glb"
    write_clip(probe(frames=3), after, head=hero, settings={"keep": False})
    assert [a["name"] for a in unpack(after)[0]["animations"]] == ["probe"]
    assert "cameras" not in unpack(after)[0]
    same = tmp_path / "c.glb"
    write_clip(probe(frames=3), same, head=load_head(hero))
    assert same.read_bytes() == after.read_bytes()


def test_other_formats_take_heads_by_path_too(hero, tmp_path):
    write_clip(probe(frames=3), tmp_path / "a.fbx", head=hero)
    write_clip(probe(frames=3), tmp_path / "b.fbx", head=load_head(hero))
    assert (tmp_path / "a.fbx").read_bytes() == (tmp_path / "b.fbx").read_bytes()


def test_our_own_files_are_characters_too(tmp_path):
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    write_clip(probe(frames=3), before, head=tiny_head(), name="first")
    write_clip(without_gaze(probe()), after, head=before, name="second")
    assert_kept(before, after)
    np.testing.assert_array_equal(read_clips(after)[1].values, without_gaze(probe()).values)
    found = ask("validate", after)
    assert (found["numErrors"], found["numWarnings"]) == (0, 0)


@pytest.mark.parametrize("made", [character, vrm0, vrm1])
def test_the_validator_has_nothing_new_to_say(made, tmp_path):
    before, after = tmp_path / "a.glb", tmp_path / "b.glb"
    before.write_bytes(glb(*made()))
    write_clip(probe(), after, head=before)
    old, new = ask("validate", before), ask("validate", after)
    assert new["numErrors"] == 0, new["messages"]
    assert {m["code"] for m in new["messages"]} <= {m["code"] for m in old["messages"]}


def test_long_lines_take_no_more_memory(hero, tmp_path):
    class Long:
        info = ClipInfo(Rig.load("arkit"), Fraction(60))

        def __init__(self, frames):
            self.count = frames

        def blocks(self):
            from facesdk import Frame

            row = np.linspace(0, 1, 52, dtype=np.float32)
            return blocks_of((Frame(i, i * 266, row, None) for i in range(self.count)),
                             self.info.rig)  # fmt: skip

    peaks = []
    for frames in (3000, 12_000):
        tracemalloc.start()
        write_clip(Long(frames), tmp_path / "b.glb", head=hero)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


LINE = str(Path(__file__).parents[2] / "examples" / "hello.wav")


def test_baking_chooses_the_rig_of_the_character(tmp_path, capsys):
    path = tmp_path / "hero.vrm"
    path.write_bytes(glb(*vrm0()))
    out = tmp_path / "line.vrm"
    assert main(["bake", LINE, "--head", str(path), "-o", str(out)]) == 0
    said = capsys.readouterr().err
    assert "9 controls of rig vrm on 1 mesh" in said
    assert "head (Head)" in said
    animation = assert_kept(path, out)
    assert animation["name"] == "hello"


def test_converting_says_what_was_used_and_what_was_lost(tmp_path, capsys):
    path = tmp_path / "hero.glb"
    path.write_bytes(glb(*character(shapes=VISEMES)))
    write_clip(probe(), tmp_path / "clip.json")
    words = ["convert", str(tmp_path / "clip.json"), "--head", str(path), "-o"]
    assert main([*words, str(tmp_path / "line.glb"), "--json"]) == 0
    heard = capsys.readouterr()
    assert "15 controls of rig oculus on 1 mesh" in heard.err
    report = json.loads(heard.out)["files"][0]
    assert "browInnerUp" in report["dropped"]
    assert_kept(path, tmp_path / "line.glb")


@pytest.mark.parametrize(("words", "code"), [
    (["bake", LINE, "-o", "line.vrm"], 2),
    (["bake", LINE, "--head", "absent.glb", "-o", "line.glb"], 2),
    (["bake", LINE, "--head", "still.glb", "-o", "line.glb"], 1),
    (["bake", LINE, "--head", "still.glb", "-o", "line.vrm"], 1),
])  # fmt: skip
def test_mistakes_are_found_before_any_work(words, code, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document, data = character(shapes=("A1",), bone="bone{}x".format)
    Path("still.glb").write_bytes(glb(document, data))
    assert main(words) == code
    assert "error" in capsys.readouterr().err
    assert not list(tmp_path.glob("line.*"))


def test_product_of_quaternions_is_the_turn_after_the_other():
    one, two = quaternions(np.array([[0.1, 0.2, 0.3], [-0.4, 0.5, 0.6]], np.float32))
    np.testing.assert_allclose(
        rotation(product(one, two)), rotation(one) @ rotation(two), atol=1e-9
    )
