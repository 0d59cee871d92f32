"""Heads by path: each kind of file, both meanings of mouthClose, files that are broken."""

from __future__ import annotations

import base64
import io
import json
import pickle
import struct
import zipfile
from contextlib import suppress
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from facesdk import Clip, Rig
from facesdk.errors import ExportError, FileFormatError, MeshError, UnknownNameError
from facesdk.exporters import write_clip
from facesdk.mesh import close_contains_jaw, load_head, write_bs_skin
from facesdk.mesh.convention import contains_jaw
from facesdk.mesh.drive import undriven
from facesdk.mesh.files.assemble import shape_vocabulary
from facesdk.names import bare


@pytest.fixture(scope="module")
def head():
    return load_head()


# A face of four vertices: brow, lip, chin, and one beside them.
POINTS = np.array([[0, 0.2, 0.02], [0, 0.06, 0.05], [0, 0.0, 0.03], [0.1, 0.1, 0]], np.float32)
TRIANGLES = np.array([[0, 1, 3], [1, 2, 3]])
JAW = np.array([[0, 0, 0], [0, -0.02, 0], [0, -0.03, 0], [0, 0, 0]], np.float32)
CLOSE = np.array([[0, 0, 0], [0, 0.02, 0], [0, 0, 0], [0, 0, 0]], np.float32)
SHAPES = {"jawOpen": JAW, "mouthClose": CLOSE, "eyeBlinkLeft": JAW * 0.1}


# ------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("jawOpen", "jawOpen"), ("JawOpen", "jawOpen"), ("JAW_OPEN", "jawOpen"),
        ("eyeBlink_L", "eyeBlinkLeft"), ("EyeBlinkR", "eyeBlinkRight"),
        ("blendShape1.mouthSmile_L", "mouthSmileLeft"), ("head_geo:eyeblinkleft", "eyeBlinkLeft"),
        ("Face.M_F00_eye-look-in-left", "eyeLookInLeft"), ("mouthLeft", "mouthLeft"),
        ("browInnerUp_R", "browInnerUp"), ("jawLeft", "jawLeft"), ("tongue_tip_up", "tongueTipUp"),
        ("shapes.vrc.v_aa", "v_aa"), ("cheekRaiser_L", "cheekRaiser_L"),
        ("jawOpen.001", "jawOpen"), ("eyeBlink_L.012", "eyeBlinkLeft"), ("jawOpen_001", "jawOpen"),
        ("Key.001", "Key.001"), ("Face.Key.002", "Key.002"), ("L_eyeBlink", "eyeBlinkLeft"),
        ("CTRL_R_brow_down", "browDownRight"), ("eyeBlink.Left", "eyeBlinkLeft"),
        ("Left_EyeBlink", "eyeBlinkLeft"), ("jawOpen_BS", "jawOpen"), ("jawOpener", "jawOpener"),
        ("notjawOpen", "notjawOpen"), ("eyeBlink_Lower", "eyeBlink_Lower"),
    ],
)  # fmt: skip
def test_names_are_those_of_arkit(written, name):
    found = shape_vocabulary().find(written)
    assert (found.control if found else bare(written)) == name


# ------------------------------------------------------------------------------------------- glTF


def gltf(points=POINTS, triangles=TRIANGLES, shapes=SHAPES, **node):
    """Document and binary of a mesh with morph targets."""
    arrays = [points.astype("<f4"), *(s.astype("<f4") for s in shapes.values())]
    arrays.append(triangles.astype("<u2").ravel())
    views, accessors, binary = [], [], b""
    for array in arrays:
        data = array.tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        kind = ("VEC3", 5126) if array.ndim == 2 else ("SCALAR", 5123)
        accessors.append({"bufferView": len(views) - 1, "count": len(array), "type": kind[0],
                          "componentType": kind[1]})  # fmt: skip
        binary += data + b"\0" * (-len(data) % 4)
    targets = [{"POSITION": 1 + i} for i in range(len(shapes))]
    primitive = {"attributes": {"POSITION": 0}, "targets": targets, "indices": 1 + len(shapes)}
    mesh = {"name": "Face", "primitives": [primitive], "extras": {"targetNames": [*shapes]}}
    document = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, **node}], "meshes": [mesh], "accessors": accessors,
        "bufferViews": views, "buffers": [{"byteLength": len(binary)}],
    }  # fmt: skip
    return document, binary


def glb(document, binary):
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


@pytest.fixture
def saved(tmp_path):
    def save(data, name="head.glb"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return save


def test_glb_brings_shapes_and_triangles(saved):
    shapes = {"Wolf.JawOpen": JAW, "mouth_close": CLOSE, "eyeBlink_L": JAW * 0.1, "smirk": CLOSE}
    head = load_head(saved(glb(*gltf(shapes=shapes))))
    assert head.names == ("eyeBlinkLeft", "jawOpen", "mouthClose", "smirk")
    assert_allclose(head.neutral, POINTS)
    assert np.array_equal(head.triangles, TRIANGLES)
    assert_allclose(head.delta("jawOpen"), JAW)
    assert head.part("Face").triangles == slice(0, 2)


def test_the_built_in_head_survives_a_glb(saved, head):
    """52 shapes of some thousand vertices, written and read again."""
    rows = head.triangles[head.part("skin").triangles]
    shapes = dict(zip(head.names[:52], head.deltas, strict=False))
    read = load_head(saved(glb(*gltf(head.neutral, rows, shapes))))
    assert read.names == head.names[:52]
    assert np.array_equal(read.deltas, head.deltas[:52])
    assert not close_contains_jaw(read)


def test_nodes_place_and_turn_the_mesh(saved):
    half = np.sqrt(0.5)
    data = glb(*gltf(rotation=[0, half, 0, half], translation=[0, 1, 0], scale=[2, 2, 2]))
    head = load_head(saved(data))
    wanted = POINTS[:, [2, 1, 0]] * [2, 2, -2] + [0, 1, 0]
    assert_allclose(head.neutral, wanted, atol=1e-6)
    assert_allclose(head.delta("jawOpen"), JAW * 2, atol=1e-6)


def test_sparse_targets_and_data_uris(saved):
    document, binary = gltf()
    change = np.array([1], "<u2").tobytes() + b"\0\0" + np.array([0, -1, 0], "<f4").tobytes()
    document["bufferViews"] += [
        {"buffer": 0, "byteOffset": len(binary), "byteLength": 2},
        {"buffer": 0, "byteOffset": len(binary) + 4, "byteLength": 12},
    ]
    views = len(document["bufferViews"])
    document["accessors"][1] = {
        "count": 4, "type": "VEC3", "componentType": 5126,
        "sparse": {"count": 1, "indices": {"bufferView": views - 2, "componentType": 5123},
                   "values": {"bufferView": views - 1}},
    }  # fmt: skip
    binary += change
    uri = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    document["buffers"] = [{"byteLength": len(binary), "uri": uri}]
    head = load_head(saved(json.dumps(document).encode(), "head.gltf"))
    assert_allclose(head.delta("jawOpen"), [[0, 0, 0], [0, -1, 0], [0, 0, 0], [0, 0, 0]])


def test_eyeballs_of_a_glb_turn(saved):
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn), np.full(12, 0.5)], 1)
    ball = np.concatenate([ring, ring * [0.5, 0.5, 2]]) * 0.012 + [0.03, 0.1, 0.05]
    faces = np.array([[i, (i + 1) % 12, 12 + i] for i in range(12)])
    document, binary = gltf(ball.astype(np.float32), faces, {})
    document["meshes"][0]["name"] = "Eye_Left"
    head = load_head(saved(glb(document, binary)))
    assert set(head.masks) == {"left_eye"}
    assert head.gaze["eyeLookOutLeft"][0] > 0.3


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["accessors"][0].update(count=2**40),
        lambda d: d["accessors"][0].update(count=5),
        lambda d: d["accessors"][0].update(count=-1),
        lambda d: d["accessors"][0].update(byteOffset=-12),
        lambda d: d["accessors"][0].update(type="MAT2"),
        lambda d: d["accessors"][4].update(componentType=5126),
        lambda d: d["bufferViews"][0].update(byteOffset=10**9),
        lambda d: d["bufferViews"][0].update(byteStride=1),
        lambda d: d["buffers"][0].update(byteLength=10**12),
        lambda d: d["buffers"][0].update(uri="../../etc/passwd"),
        lambda d: d["buffers"][0].update(uri="data:,%%%"),
        lambda d: d["nodes"][0].update(children=[0]),
        lambda d: d["nodes"][0].update(mesh=7),
        lambda d: d["nodes"][0].update(scale="big"),
        lambda d: d["meshes"][0]["primitives"][0].update(indices=0),
        lambda d: d["meshes"][0]["primitives"][0]["targets"].append({"POSITION": 4}),
        lambda d: d.update(extensionsRequired=["EXT_meshopt_compression"]),
        lambda d: d.update(scenes=[{"nodes": []}]),
        lambda d: d.pop("asset"),
    ],
)
def test_broken_documents_are_refused(saved, change):
    document, binary = gltf()
    change(document)
    with pytest.raises((FileFormatError, MeshError), match=r"head\.glb"):
        load_head(saved(glb(document, binary)))


def test_accessors_without_data_are_bounded(saved):
    """Zeros cost a file nothing and the reader everything."""
    document, binary = gltf()
    for accessor in document["accessors"][:4]:
        del accessor["bufferView"]
        accessor["count"] = 5_000_000
    with pytest.raises(FileFormatError, match="at most 2,000,000 vertices"):
        load_head(saved(glb(document, binary)))


def test_one_mesh_in_many_places_is_bounded(saved):
    points = np.tile(POINTS, (50_000, 1))
    document, binary = gltf(points, TRIANGLES, {})
    document["nodes"] *= 5000
    document["scenes"] = [{"nodes": list(range(5000))}]
    with pytest.raises(FileFormatError, match="at most 2,000,000 vertices"):
        load_head(saved(glb(document, binary)))


def test_vrm_0_is_turned_to_the_front(saved):
    document, binary = gltf()
    document["extensions"] = {"VRM": {}}
    assert_allclose(
        load_head(saved(glb(document, binary), "head.vrm")).neutral, POINTS * [-1, 1, -1]
    )


GLB = glb(*gltf())


@given(length=st.integers(0, len(GLB) - 1))
def test_truncated_files_are_refused(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("cut") / "head.glb"
    path.write_bytes(GLB[:length])
    with pytest.raises(FileFormatError):
        load_head(path)


@pytest.mark.filterwarnings("ignore")  # names that are not those of the targets
@given(place=st.integers(0, len(GLB) - 1), value=st.integers(0, 255))
@example(place=1103, value=95)
def test_changed_bytes_never_crash(tmp_path_factory, place, value):
    path = tmp_path_factory.mktemp("changed") / "head.glb"
    path.write_bytes(GLB[:place] + bytes([value]) + GLB[place + 1 :])
    with suppress(FileFormatError, MeshError):
        load_head(path)


def quantized(kind, component, **node):
    """The face in integers, with the scale of the node that restores it."""
    dtype = np.dtype(kind)
    largest = np.iinfo(dtype).max
    document, _ = gltf(**node)
    binary = b""
    for accessor, array in zip(document["accessors"], (POINTS, *SHAPES.values()), strict=False):
        padded = np.zeros((len(array), 4 if dtype.itemsize == 1 else 3), dtype)
        padded[:, :3] = np.round(array * 4 * largest)
        width = padded.shape[1] * dtype.itemsize
        if width % 4:
            padded = np.concatenate([padded, padded[:, :1] * 0], 1)
            width += dtype.itemsize
        view = document["bufferViews"][accessor["bufferView"]]
        view.update(byteOffset=len(binary), byteLength=padded.nbytes, byteStride=width)
        accessor.update(componentType=component, normalized=True)
        binary += padded.tobytes()
    corners = TRIANGLES.astype("<u2").tobytes()
    document["bufferViews"][-1].update(byteOffset=len(binary), byteLength=len(corners))
    document["buffers"] = [{"byteLength": len(binary) + len(corners)}]
    document["extensionsUsed"] = document["extensionsRequired"] = ["KHR_mesh_quantization"]
    document["nodes"][0]["scale"] = [0.25] * 3
    return document, binary + corners


@pytest.mark.parametrize(("kind", "component", "step"), [("i1", 5120, 0.003), ("<i2", 5122, 1e-5)])
def test_quantized_meshes_are_read(saved, kind, component, step):
    head = load_head(saved(glb(*quantized(kind, component))))
    assert_allclose(head.neutral, POINTS, atol=step)
    assert_allclose(head.delta("jawOpen"), JAW, atol=step)


@pytest.mark.parametrize("place", ["meshes", "nodes"])
def test_default_weights_move_the_neutral(saved, place):
    document, binary = gltf(shapes=SHAPES | {"wide": CLOSE})
    document["meshes"][0]["weights"] = [0, 0, 0, 0]
    document[place][0]["weights"] = [0.5, 0, 0, 0.5]
    head = load_head(saved(glb(document, binary)))
    # jawOpen is up to the animation, nothing else moves `wide`
    assert_allclose(head.neutral, POINTS + 0.5 * CLOSE, atol=1e-7)
    assert_allclose(head.delta("wide"), CLOSE)


@pytest.mark.parametrize("weights", [[0, 0, 0, float("nan")], ["wide"], 1, [[1]]])
def test_default_weights_that_are_no_numbers_are_refused(saved, weights):
    document, binary = gltf(shapes=SHAPES | {"wide": CLOSE})
    document["meshes"][0]["weights"] = weights
    with pytest.raises(FileFormatError, match="head"):
        load_head(saved(glb(document, binary)))


def test_json_padded_with_zeros_is_read(saved):
    document, binary = gltf()
    text = json.dumps(document).encode()
    padded = text + b"\0" * (4 + -len(text) % 4)
    chunks = struct.pack("<I4s", len(padded), b"JSON") + padded
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    data = struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
    assert load_head(saved(data)).names == ("eyeBlinkLeft", "jawOpen", "mouthClose")


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("my%20h%C3%A9ad%23.bin", "my h\u00e9ad#.bin"),
        ("50%25.bin", "50%.bin"),
        ("a%20b.bin", "a%20b.bin"),
    ],
)
def test_uris_are_decoded(saved, uri, name):
    document, binary = gltf()
    document["buffers"][0]["uri"] = uri
    saved(binary, name)
    assert len(load_head(saved(json.dumps(document).encode(), "head.gltf")).names) == 3


@pytest.mark.parametrize(
    "uri", ["%2E%2E/secret.bin", "..%2Fsecret.bin", "%2Fetc%2Fpasswd", "a%00b"]
)
def test_encoded_uris_stay_in_the_folder(tmp_path, uri):
    document, binary = gltf()
    document["buffers"][0]["uri"] = uri
    (tmp_path / "secret.bin").write_bytes(binary)
    (tmp_path / "inner").mkdir()
    path = tmp_path / "inner" / "head.gltf"
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match=r"head\.gltf"):
        load_head(path)


@pytest.mark.parametrize(
    "names", [["jawOpen", "JawOpen"], ["JawOpen.001", "jawOpen"], ["jawOpen"] * 2]
)
def test_a_shape_twice_counts_once(saved, names):
    document, binary = gltf(shapes={"one": JAW, "two": JAW})
    document["meshes"][0]["extras"]["targetNames"] = names
    with pytest.warns(UserWarning, match=r"same shape more than once.* unused: .*\(jawOpen\)"):
        head = load_head(saved(glb(document, binary)))
    assert head.names == ("jawOpen",)
    assert_allclose(head.delta("jawOpen"), JAW)


def test_halves_do_not_add_to_the_whole(saved):
    shapes = {"browInnerUp_L": JAW, "browInnerUp": CLOSE, "browInnerUp_R": JAW}
    with pytest.warns(UserWarning, match=r"browInnerUp_L \(browInnerUp\), browInnerUp_R"):
        head = load_head(saved(glb(*gltf(shapes=shapes))))
    assert_allclose(head.delta("browInnerUp"), CLOSE)


def test_meshes_of_one_head_spell_as_they_like(saved):
    """Face and teeth with `Face.jawOpen` and `Teeth.JawOpen.001` move together."""
    document, binary = gltf(shapes={"Face.jawOpen": JAW})
    teeth = json.loads(json.dumps(document["meshes"][0]))
    teeth["extras"]["targetNames"] = ["Teeth.JawOpen.001"]
    document["meshes"].append(teeth)
    document["nodes"].append({"mesh": 1})
    document["scenes"] = [{"nodes": [0, 1]}]
    head = load_head(saved(glb(document, binary)))
    assert head.names == ("jawOpen",)
    assert_allclose(head.delta("jawOpen"), np.concatenate([JAW, JAW]))


def test_unknown_shapes_are_kept_apart(saved):
    shapes = {"Key.001": JAW, "Key.002": CLOSE, "brow.up": JAW, "mouth.up": CLOSE}
    head = load_head(saved(glb(*gltf(shapes=shapes))))
    assert head.names == tuple(shapes)


# --------------------------------------------------------------------------- size, stillness


@pytest.mark.parametrize("unit", [1, 100, 1000])
@pytest.mark.parametrize("with_shapes", [True, False])
def test_the_unit_of_a_head_is_inferred(saved, head, unit, with_shapes):
    rows = head.triangles[head.part("skin").triangles]
    shapes = {n: head.delta(n) * unit for n in ("jawOpen", "browInnerUp") if with_shapes}
    # a head without a bust
    points = head.neutral - head.neutral.min(0)
    points = points * np.float32(0.24 / points.max())
    read = load_head(saved(glb(*gltf(points * unit, rows, shapes))))
    assert np.ptp(read.neutral, axis=0).max() == pytest.approx(0.24, rel=1e-5)


@pytest.mark.parametrize("unit", [1, 100, 1000])
@pytest.mark.parametrize("shapes", [{}, {"jawOpen": JAW}])
def test_the_unit_of_a_body_is_inferred(saved, unit, shapes):
    points = POINTS.copy()
    points[3] = [0.3, -1.5, 0]
    moved = {name: delta * unit for name, delta in shapes.items()}
    head = load_head(saved(glb(*gltf(points * unit, shapes=moved))))
    assert_allclose(head.neutral, points, atol=1e-6)


@pytest.mark.parametrize("format_name", ["out.glb", "out.pc2", "out.mdd"])
def test_a_head_without_known_shapes_is_an_error(saved, tmp_path, format_name):
    """Still, and without eyes that turn: nothing would move."""
    arkit = Rig.load("arkit")
    values = np.full((3, len(arkit)), 0.5, np.float32)
    document, binary = gltf()
    del document["meshes"][0]["extras"]
    head = load_head(saved(glb(document, binary)))
    with pytest.raises(ExportError, match=r"nothing would move.*target0, target1.* browInnerUp"):
        write_clip(Clip(arkit, values, Fraction(30)), tmp_path / format_name, head=head)


def test_controls_without_shapes_are_undriven():
    arkit = Rig.load("arkit")
    assert undriven(("target0",), arkit) == arkit.names
    assert "jawOpen" not in undriven(("jawOpen",), arkit)


# ------------------------------------------------------------------------------------------- OBJ


def obj(points, triangles=TRIANGLES):
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in points]
    lines += [f"f {a + 1}/1 {b + 1}/2 {c + 1}/3" for a, b, c in triangles]
    return "\n".join(lines).encode()


def test_a_folder_of_obj_files_is_a_head(tmp_path):
    """As ICT-FaceKit has it: centimetres, halves of shapes, identities among them."""
    files = {"generic_neutral_mesh": 0 * JAW, "jawOpen": JAW, "mouthClose": CLOSE}
    files |= {"browInnerUp_L": CLOSE, "browInnerUp_R": CLOSE, "identity000": 5 * CLOSE}
    for stem, delta in files.items():
        (tmp_path / f"{stem}.obj").write_bytes(obj((POINTS + delta) * 100))
    head = load_head(tmp_path)
    assert head.names == ("browInnerUp", "jawOpen", "mouthClose")
    assert_allclose(head.neutral, POINTS, atol=1e-6)
    assert_allclose(head.delta("browInnerUp"), 2 * CLOSE, atol=1e-6)


def test_an_obj_is_a_head_at_rest(saved):
    text = b"v 0 0 0\nv 1 0 0 0.5 0.5 0.5\nv 1 1 0\nv 0 1 0\nf -4 -3 -2 -1\n"
    with pytest.raises(FileFormatError, match="not an OBJ file"):
        load_head(saved(text, "head.obj"))
    head = load_head(saved(text.replace(b" 0.5 0.5 0.5", b""), "head.obj"))
    assert np.array_equal(head.triangles, [[0, 1, 2], [0, 2, 3]])
    assert head.vertices(np.zeros(0)).shape == (4, 3)


def test_folders_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match="no neutral among its 0 OBJ files"):
        load_head(tmp_path)
    (tmp_path / "neutral.obj").write_bytes(obj(POINTS))
    (tmp_path / "jawOpen.obj").write_bytes(obj(POINTS[:3], TRIANGLES[:0]))
    with pytest.raises(FileFormatError, match="has 3 vertices, the neutral"):
        load_head(tmp_path)


@pytest.mark.parametrize(
    "text", [b"", b"v 1 2\n", b"v 0 0 x\n", b"v 0 0 nan\n", b"v 0 0 0\nf 1 2 3\n", b"f 1 2 3\n"]
)
def test_broken_obj_files_are_refused(saved, text):
    with pytest.raises(FileFormatError, match=r"OBJ|finite|missing vertices"):
        load_head(saved(text, "head.obj"))


# ------------------------------------------------------------------------------------------- PLY


def ply(kind="binary_little_endian", points=POINTS, triangles=TRIANGLES):
    head = f"ply\nformat {kind} 1.0\nelement vertex {len(points)}\n"
    head += "".join(f"property float {axis}\n" for axis in "xyz")
    head += f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    if kind == "ascii":
        rows = [" ".join(map(str, p)) for p in points.tolist()]
        rows += [" ".join(map(str, [len(t), *t])) for t in triangles.tolist()]
        return head.encode() + "\n".join(rows).encode()
    order = "<" if kind == "binary_little_endian" else ">"
    body = points.astype(order + "f4").tobytes()
    for row in triangles.tolist():
        body += struct.pack(f"{order}B{len(row)}i", len(row), *row)
    return head.encode() + body


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("triangles", [TRIANGLES, np.array([[0, 1, 2, 3]])])
def test_ply_brings_a_surface(saved, kind, triangles):
    head = load_head(saved(ply(kind, triangles=triangles), "head.ply"))
    assert_allclose(head.neutral, POINTS)
    fans = TRIANGLES if len(triangles) == 2 else [[0, 1, 2], [0, 2, 3]]
    assert np.array_equal(head.triangles, fans)


PLY = ply()


@given(length=st.integers(0, len(PLY) - 1))
def test_truncated_ply_files_are_refused(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("cut") / "head.ply"
    path.write_bytes(PLY[:length])
    with pytest.raises(FileFormatError):
        load_head(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"vertex 4", b"vertex 999999999999"), (b"face 2", b"face 99"), (b"float x", b"list x"),
     (b"little_endian", b"middle_endian"), (b"property float z\n", b"")],
)  # fmt: skip
def test_lying_ply_files_are_refused(saved, old, new):
    with pytest.raises(FileFormatError):
        load_head(saved(PLY.replace(old, new), "head.ply"))


@pytest.mark.parametrize("axis", "xyz")
def test_ply_vertices_without_an_axis_are_refused(saved, axis):
    data = PLY.replace(f"float {axis}".encode(), b"float nx")
    with pytest.raises(
        FileFormatError, match=rf"head\.ply .* expected properties x, y and z.* {axis}"
    ):
        load_head(saved(data, "head.ply"))


@pytest.mark.parametrize("number", ["1e308", "-1e308", "1e400", "1e39"])
def test_absurd_numbers_are_refused(saved, number):
    text = obj(POINTS) + f"\nv {number} 0 0\nv -1e308 0 0\n".encode()
    with pytest.raises(FileFormatError, match=r"coordinates above|not finite"):
        load_head(saved(text, "head.obj"))


# ------------------------------------------------------------------------------- damaged archives


def archive_with(member, name="v_template.npy", *, broken=False):
    """A zip file with one member, its deflated data broken on request."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, member)
    data = bytearray(file.getvalue())
    if broken:
        start = 30 + len(name)
        data[start : start + 8] = b"\xff" * 8
    return bytes(data)


def npy(array=POINTS):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


TORN = npy().replace(b"}", b" ")
"""An array whose header is an expression without its end."""


@pytest.mark.parametrize("name", ["v_template.npy", "poseNames.npy"])
@pytest.mark.parametrize(
    "make",
    [
        lambda name: archive_with(npy(np.random.default_rng(0).random((50, 3))), name, broken=True),
        lambda name: archive_with(TORN, name),
        lambda name: archive_with(npy().replace(b"'<f4'", b"'<f(['"), name),
        lambda name: archive_with(npy()[:9], name),
    ],
)
def test_damaged_archives_are_refused(saved, name, make):
    with pytest.raises(FileFormatError, match=r"head\.npz"):
        load_head(saved(make(name), "head.npz"))


@pytest.mark.parametrize("data", [TORN, npy()[:9], b"", npy()[:-4]])
def test_damaged_arrays_are_refused(saved, data):
    with pytest.raises(FileFormatError, match=r"head\.npy"):
        load_head(saved(data, "head.npy"))


@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_changed_archives_never_crash(tmp_path_factory, place, value):
    data = bytearray(archive_with(npy()))
    data[place % len(data)] = value
    path = tmp_path_factory.mktemp("changed") / "head.npz"
    path.write_bytes(data)
    with suppress(FileFormatError, MeshError):
        load_head(path)


# ------------------------------------------------------------------------- Audio2Face, conventions


def test_bs_skin_comes_back_as_it_was(tmp_path, head):
    for path in (tmp_path / "bs_skin.npz", tmp_path / "again.npz"):
        with path.open("wb") as file:
            write_bs_skin(head, file)
    assert path.read_bytes() == (tmp_path / "bs_skin.npz").read_bytes()
    read = load_head(path)
    assert read.names == head.names
    assert_allclose(read.neutral, head.neutral, atol=1e-6)
    assert_allclose(read.deltas, head.deltas, atol=1e-6)
    with np.load(path) as arrays:
        assert list(arrays["poseNames"][:2]) == ["neutral", head.names[0]]
        assert 100 < len(arrays["frontalMask"]) < len(head.neutral)
        close, jaw = (arrays[n] - arrays["neutral"] for n in ("mouthClose", "jawOpen"))
    assert contains_jaw(head.neutral, jaw, close)
    assert close.max() < 20  # centimetres


def test_bs_skin_takes_its_triangles_from_a_file_beside_it(tmp_path):
    poses = {"neutral": POINTS, "JawOpen": JAW, "MouthClose": JAW + CLOSE}  # offsets this time
    path = tmp_path / "bs_skin.npz"
    np.savez(path, poseNames=np.array(list(poses)), frontalMask=np.array([0, 1]), **poses)
    assert len(load_head(path).triangles) == 0
    (tmp_path / "skin.obj").write_bytes(obj(POINTS))
    head = load_head(path)
    assert np.array_equal(head.triangles, TRIANGLES)
    assert_allclose(head.delta("mouthClose"), CLOSE, atol=1e-6)
    assert list(head.masks["frontal"]) == [1, 1, 0, 0]


def test_broken_bs_skin_files_are_refused(tmp_path):
    path = tmp_path / "bs_skin.npz"
    np.savez(path, poseNames=np.array(["neutral", "jawOpen"]), neutral=POINTS)
    with pytest.raises(FileFormatError, match="pose 'jawOpen' must be"):
        load_head(path)
    np.savez(path, poseNames=np.array([1, 2]), neutral=POINTS)
    with pytest.raises(FileFormatError, match="poseNames must be a row of text"):
        load_head(path)
    np.savez(path, poseNames=np.array(["neutral"]))
    with pytest.raises(FileFormatError, match="neutral must be"):
        load_head(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileFormatError):
        load_head(path)


def test_the_chin_tells_the_conventions_apart(head):
    jaw, close = head.delta("jawOpen"), head.delta("mouthClose")
    assert not close_contains_jaw(head)
    assert not contains_jaw(head.neutral, jaw, 0.6 * close)
    assert contains_jaw(head.neutral, jaw, jaw + close)
    assert contains_jaw(head.neutral * 100, jaw, 0.8 * (jaw + close))
    assert not contains_jaw(POINTS, 0 * JAW, CLOSE)


def test_both_conventions_load_as_one(saved):
    apple = load_head(saved(glb(*gltf())))
    audio2face = load_head(saved(glb(*gltf(shapes=SHAPES | {"mouthClose": JAW + CLOSE}))))
    assert_allclose(audio2face.deltas, apple.deltas, atol=1e-7)


# ---------------------------------------------------------------------------------------- templates


def test_templates_have_subjects(saved):
    people = {"FaceTalk_1": POINTS.astype(np.float64), "FaceTalk_2": POINTS * 1.1}
    path = saved(pickle.dumps(people, protocol=2), "templates.pkl")
    assert load_head(path).name == "FaceTalk_1"
    head = load_head(path, subject="FaceTalk_2", topology=saved(ply(), "FLAME_sample.ply"))
    assert_allclose(head.neutral, POINTS * 1.1, rtol=1e-6)
    assert np.array_equal(head.triangles, TRIANGLES)
    with pytest.raises(UnknownNameError, match="did you mean 'FaceTalk_2'"):
        load_head(path, subject="FaceTalk_3")


def test_pickles_with_code_are_refused(saved):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    with pytest.raises(FileFormatError):
        load_head(saved(pickle.dumps({"a": Evil()}), "templates.pkl"))


def test_paths_that_are_no_heads_say_what_is(tmp_path, saved):
    with pytest.raises(FileFormatError, match="does not exist"):
        load_head(tmp_path / "nobody.glb")
    with pytest.raises(FileFormatError, match=r"\.glb, \.gltf"):
        load_head(saved(b"", "head.max"))
    with pytest.raises(MeshError, match="apply to the built-in head"):
        load_head(saved(PLY, "head.ply"), identity={"age": 30})
    three = saved(pickle.dumps({"a": POINTS[:3].astype(float)}, protocol=2), "t.pkl")
    surface = saved(PLY, "s.ply")
    with pytest.raises(FileFormatError, match="has 4 vertices"):
        load_head(three, topology=surface)
