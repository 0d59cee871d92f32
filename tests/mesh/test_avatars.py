"""Avatars of strangers: VRM 0 and 1, visemes, FBX, compressed and textured glTF."""

from __future__ import annotations

import io
import json
import struct
from fractions import Fraction

import avatars
import DracoPy
import numpy as np
import pytest
from numpy.testing import assert_allclose

from facesdk import Clip, Rig
from facesdk.cli import main
from facesdk.errors import ExportError, FileFormatError, RenderError
from facesdk.exporters import read_clip, write_clip
from facesdk.mesh import Head, load_head
from facesdk.mesh.drive import Binding, Drive
from facesdk.render import images
from facesdk.retarget import convert

ARKIT, VRM, OCULUS = (Rig.load(name) for name in ("arkit", "vrm", "oculus"))

MOUTHS = {"vroid.vrm": avatars.vrm_0, "one.vrm": avatars.vrm_1, "web.glb": avatars.web,
          "textured.glb": avatars.textured, "head.fbx": avatars.fbx}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All avatars as files."""
    place = tmp_path_factory.mktemp("avatars")
    for name, make in MOUTHS.items():
        (place / name).write_bytes(make())
    return place


def clip(rig: Rig = ARKIT, frames: int = 3, **controls: float) -> Clip:
    """A clip that rests in its first frame."""
    values = np.tile(rig.rest, (frames, 1))
    for name, value in controls.items():
        values[1:, rig.index(name)] = value
    return Clip(rig, values, Fraction(30))


SPEAKING = {"jawOpen": 0.6, "mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3}


def opened(head: Head, animation: Clip) -> float:
    """Millimeters that the lowest lip moves down."""
    rest, moved = (head.vertices(head.weights(animation))[i] for i in (0, 1))
    return float(1000 * (rest - moved)[:, 1].max())


# ------------------------------------------------------------------------------- speaking


@pytest.mark.parametrize("name", MOUTHS)
@pytest.mark.parametrize("rig", ["arkit", "livelink", "a2f", "metahuman", "vrm", "oculus"])
def test_every_avatar_speaks_from_every_rig(folder, name, rig):
    head = load_head(folder / name)
    spoken = convert(clip(**SPEAKING), rig)
    assert opened(head, spoken) > 5, head.drive(Rig.load(rig)).rigs
    assert opened(head, clip(Rig.load(rig))) == 0


@pytest.mark.parametrize(
    ("name", "mouth", "note"),
    [
        ("vroid.vrm", "vrm", "head 'vroid' speaks through rig 'vrm' (aa, ih, ou, ee, oh"),
        ("web.glb", "oculus", "head 'web' speaks through rig 'oculus' (sil, PP, FF"),
        ("textured.glb", "arkit", None),
    ],
)
def test_the_best_rig_of_a_head_is_noted(folder, name, mouth, note):
    drive = load_head(folder / name).drive(ARKIT)
    assert drive.mouth == mouth
    assert (drive.note() or "").startswith(note or "")
    assert (drive.note() is None) == (note is None)


def test_expressions_of_vrm_move_what_they_bind(folder):
    for name in ("vroid.vrm", "one.vrm"):
        head = load_head(folder / name)
        for preset, morph in (
            ("aa", "Fcl_MTH_A"),
            ("blink", "Fcl_EYE_Close"),
            ("happy", "Fcl_ALL_Joy"),
        ):
            weights = head.weights(clip(VRM, **{preset: 0.5}))[1]
            assert {n: w for n, w in zip(head.names, weights, strict=True) if w} == {morph: 0.5}


def vrm(groups, *, version=0, targets=4, binary=b""):
    """A VRM of one triangle whose targets each move one direction."""
    doc = avatars.Document()
    points = np.eye(3, dtype="<f4") * 0.2
    moves = [np.full((3, 3), 0.01 * (i + 1), "<f4") for i in range(targets)]
    primitive = {
        "attributes": {"POSITION": doc.accessor(points)},
        "indices": doc.accessor(np.array([0, 1, 2], "<u2")),
        "targets": [{"POSITION": doc.accessor(move)} for move in moves],
    }
    doc.add("meshes", {"name": "Face", "primitives": [primitive]})
    doc.json["scenes"][0]["nodes"].append(doc.add("nodes", {"mesh": 0}))
    if version == 0:
        doc.json["extensions"] = {"VRM": {"blendShapeMaster": {"blendShapeGroups": groups}}}
    else:
        doc.json["extensions"] = {"VRMC_vrm": {"expressions": groups}}
    return doc.glb()


def group(name, binds, preset="unknown", **more):
    listed = [{"mesh": m, "index": i, "weight": w} for m, i, w in binds]
    return {"name": name, "presetName": preset, "binds": listed} | more


@pytest.fixture
def saved(tmp_path):
    def save(data, name="head.vrm"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return save


def test_groups_of_vrm_0_have_weights_of_hundred_and_several_binds(saved):
    data = vrm([group("A", [(0, 0, 100), (0, 1, 25)], "a"), group("E", [(0, 2, 50)], "e")])
    head = load_head(saved(data))
    assert head.bindings["vrm"]["aa"] == Binding({"target0": 1.0, "target1": 0.25})
    weights = dict(zip(head.names, head.weights(clip(VRM, aa=1.0, ee=1.0))[1], strict=True))
    assert weights == {"target0": 1.0, "target1": 0.25, "target2": 0.5, "target3": 0.0}


@pytest.mark.parametrize("preset", [None, "", "unknown"])
@pytest.mark.parametrize(
    ("name", "control"), [("A", "aa"), ("blink_l", "blinkLeft"), ("Joy", "happy")]
)
def test_groups_without_preset_count_by_name(saved, name, control, preset):
    entry = group(name, [(0, 0, 100)], preset)
    if preset is None:
        del entry["presetName"]
    assert list(load_head(saved(vrm([entry]))).bindings["vrm"]) == [control]


@pytest.mark.parametrize("name", ["JawOpen", "jawOpen", "jaw_open"])
@pytest.mark.parametrize("version", [0, 1])
def test_groups_called_as_arkits_shapes_are_these(saved, version, name):
    """Perfect sync: the morph targets are called target0, target1, ..."""
    if version == 0:
        data = vrm([group(name, [(0, 3, 100)]), group("MouthSmileLeft", [(0, 0, 50), (0, 1, 100)])])
    else:
        binds = {name: [(3, 1.0)], "MouthSmileLeft": [(0, 0.5), (1, 1.0)]}
        data = vrm({"custom": {
            n: {"morphTargetBinds": [{"node": 0, "index": i, "weight": w} for i, w in several]}
            for n, several in binds.items()}}, version=1)  # fmt: skip
    head = load_head(saved(data))
    assert head.names[:2] == ("jawOpen", "mouthSmileLeft")
    assert_allclose(np.abs(head.delta("jawOpen")), 0.04)
    assert_allclose(np.abs(head.delta("mouthSmileLeft")), 0.5 * 0.01 + 0.02)
    assert head.drive(ARKIT).mouth == "arkit"


def test_binary_expressions_are_on_or_off(saved):
    head = load_head(saved(vrm([group("A", [(0, 0, 100)], "a", isBinary=True)])))
    for value, weight in ((0.4, 0), (0.5, 0), (0.6, 1), (1.0, 1)):
        assert head.weights(clip(VRM, aa=value))[1, 0] == weight


def test_custom_groups_may_be_visemes(saved):
    names = ("viseme_sil", "viseme_PP", "viseme_aa", "viseme_I")
    head = load_head(saved(vrm([group(n, [(0, i, 100)]) for i, n in enumerate(names)])))
    assert list(head.bindings["oculus"]) == ["sil", "PP", "aa", "ih"]


@pytest.mark.parametrize(
    "bind", [(0, 9, 100), (7, 0, 100), (-1, 0, 100), (0, -1, 100), (0, "x", 100)]
)
def test_binds_to_nothing_are_left_out_with_a_warning(saved, bind):
    data = vrm([group("A", [bind, (0, 1, 100)], "a")])
    with pytest.warns(UserWarning, match=r"expression 'A' refers to .* does not exist"):
        head = load_head(saved(data))
    assert head.bindings["vrm"]["aa"].weights == {"target1": 1.0}


@pytest.mark.parametrize("groups", [5, "groups", [5], [{"binds": 5}], [{"binds": [5]}]])
def test_expressions_that_cannot_be_read_are_told(saved, groups):
    with pytest.warns(UserWarning, match="expressions of this VRM cannot be read"):
        head = load_head(saved(vrm(groups)))
    assert head.bindings == {}


def test_unnamed_targets_of_several_meshes_are_not_mixed(saved):
    data = vrm([group("A", [(0, 0, 100)], "a"), group("I", [(1, 0, 100)], "i")])
    size = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + size])
    other = json.loads(json.dumps(document["meshes"][0])) | {"name": "Teeth"}
    document["meshes"].append(other)
    document["nodes"].append({"mesh": 1, "translation": [0, 0, 1]})
    document["scenes"][0]["nodes"].append(1)
    doc = avatars.Document()
    doc.json, doc.binary = document, data[28 + size :]
    head = load_head(saved(doc.glb()))
    moved = {c: head.vertices(head.weights(clip(VRM, **{c: 1.0})))[1] for c in ("aa", "ih")}
    assert_allclose((moved["aa"] - head.neutral)[:3], [[-0.01, 0.01, -0.01]] * 3, atol=1e-7)
    assert_allclose((moved["aa"] - head.neutral)[3:], 0, atol=1e-7)
    assert_allclose((moved["ih"] - head.neutral)[:3], 0, atol=1e-7)


# ------------------------------------------------------------------------- choice of rigs


def drive(names, rig=ARKIT, **bindings):
    return Drive(names, rig, {"vrm": {n: Binding({s: 1.0}) for n, s in bindings.items()}}, head="h")


def test_a_blink_by_name_goes_with_a_mouth_of_expressions():
    found = drive(("eyeBlinkLeft", "A", "O"), aa="A", oh="O")
    assert found.mouth == "vrm"
    assert found.rigs == {"vrm": ("aa", "oh"), "arkit": ("eyeBlinkLeft",)}
    weights = found.weights(clip(eyeBlinkLeft=0.5, jawOpen=0.7).values)[1]
    assert weights[0] == 0.5
    assert weights[1:].max() > 0.3


def test_a_smile_is_not_doubled_by_an_expression():
    found = drive(("jawOpen", "mouthSmileLeft", "mouthSmileRight", "Joy"), happy="Joy")
    weights = found.weights(clip(mouthSmileLeft=1, mouthSmileRight=1).values)[1]
    assert weights.tolist() == [0, 1, 1, 0]
    from_vrm = drive(("jawOpen", "mouthSmileLeft", "Joy"), VRM, happy="Joy")
    assert from_vrm.weights(clip(VRM, happy=1).values)[1].tolist() == [0, 0, 1]


def test_a_mouth_that_does_not_move_is_noted():
    found = drive(("eyeBlinkLeft", "eyeBlinkRight"))
    assert found.mouth is None
    assert (
        found.note()
        == "the mouth of head 'h' does not move: it has only eyeBlinkLeft, eyeBlinkRight"
    )


def test_what_a_head_lacks_is_undriven():
    found = drive(("A", "Joy"), aa="A", happy="Joy")
    assert {"tongueOut", "eyeBlinkLeft", "eyeLookUpRight"} <= set(found.undriven)
    assert "jawOpen" not in found.undriven


# ------------------------------------------------------------------------------ still faces


NEAR = ("jawOpn", "mouthSmil", "grin")


def still(names=NEAR):
    """A head of which nothing is known."""
    doc = avatars.Document()
    doc.binary = b""
    data = vrm([], targets=len(names))
    size = struct.unpack_from("<I", data, 12)[0]
    doc.json, doc.binary = json.loads(data[20 : 20 + size]), data[28 + size :]
    doc.json["meshes"][0]["extras"] = {"targetNames": list(names)}
    del doc.json["extensions"]
    return doc.glb()


@pytest.mark.parametrize("rig", [ARKIT, VRM, OCULUS, Rig.load("metahuman"), Rig.load("livelink")])
def test_a_head_of_which_nothing_is_known_is_an_error(saved, tmp_path, rig):
    head = load_head(saved(still(), "still.glb"))
    spoken = convert(clip(**SPEAKING), rig)
    for name in ("out.glb", "out.fbx", "out.pc2"):
        with pytest.raises(ExportError, match=r"nothing would move: none of the 3 shapes .*jawOpn"):
            write_clip(spoken, tmp_path / name, head=head)
        assert not (tmp_path / name).exists()
    with pytest.raises(RenderError, match=r"nearest: .*[jJ]awOpen \(near jawOpn\)"):
        next(images(spoken, head))


@pytest.mark.parametrize("command", ["render", "convert", "bake"])
def test_commands_fail_where_nothing_can_move(saved, tmp_path, capsys, command):
    head, line, out = saved(still(), "still.glb"), tmp_path / "line.json", tmp_path / "out.glb"
    write_clip(clip(**SPEAKING), line)
    words = {"render": [str(line), "-o", str(tmp_path / "out.png")],
             "convert": [str(line), "-o", str(out)],
             "bake": [str(tmp_path / "line.wav"), "-o", str(out)]}[command]  # fmt: skip
    if command == "bake":
        import soundfile

        soundfile.write(tmp_path / "line.wav", np.zeros(8000, np.float32), 16000)
    assert main([command, *words, "--head", str(head)]) == 1
    told = capsys.readouterr().err
    assert "nothing would move" in told
    assert "jawOpn, mouthSmil, grin" in told
    assert not out.exists()


def test_names_one_short_are_told(saved):
    data = still(("jawOpen", "mouthClose"))
    shorter = data.replace(b'["jawOpen", "mouthClose"]', b'["jawOpen"              ]')
    assert shorter != data
    with pytest.warns(UserWarning, match="mesh 'Face' has 1 names for 2 morph targets"):
        head = load_head(saved(shorter, "short.glb"))
    assert head.names == ("target0", "target1")


def test_commands_say_how_an_avatar_speaks(folder, tmp_path, capsys):
    line = tmp_path / "line.json"
    write_clip(clip(**SPEAKING), line)
    out = tmp_path / "out.glb"
    assert main(["convert", str(line), "--head", str(folder / "vroid.vrm"), "-o", str(out)]) == 0
    assert "8 controls of rig vrm on 1 mesh" in capsys.readouterr().err
    assert read_clip(out).curve("aa").max() > 0.3


def test_names_of_heads_are_printed(folder, capsys):
    assert main(["info", str(folder / "vroid.vrm"), "--names", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["head"]["vrm"]["aa"] == ["Fcl_MTH_A"]
    assert main(["info", str(folder / "textured.glb"), "--names"]) == 0
    assert "jawOpen                      Face.jawOpen" in capsys.readouterr().out


# --------------------------------------------------------------------------------- axes, FBX


@pytest.mark.parametrize("kind", ["obj", "ply", "npz", "glb"])
def test_heads_with_z_up_are_turned(tmp_path, kind):
    head = avatars.face()
    skin = head.triangles[head.part("skin").triangles]
    own, places = np.unique(skin, return_inverse=True)
    points, faces = head.neutral[own], places.reshape(-1, 3)
    x, y, z = points.T
    turned = np.stack([x, -z, y], 1)
    path = tmp_path / f"head.{kind}"
    if kind == "obj":
        lines = [f"v {a:.7g} {b:.7g} {c:.7g}" for a, b, c in turned]
        path.write_text("\n".join([*lines, *(f"f {a} {b} {c}" for a, b, c in faces + 1)]), "utf-8")
    elif kind == "ply":
        top = f"ply\nformat ascii 1.0\nelement vertex {len(points)}\nproperty float x\n"
        top += f"property float y\nproperty float z\nelement face {len(faces)}\n"
        top += "property list uchar int vertex_indices\nend_header\n"
        rows = [f"{a:.7g} {b:.7g} {c:.7g}" for a, b, c in turned]
        rows += [f"3 {a} {b} {c}" for a, b, c in faces]
        path.write_text(top + "\n".join(rows) + "\n", "ascii")
    elif kind == "npz":
        np.savez(path, ada=turned, f=faces)
    else:
        doc = avatars.Document()
        primitive = {"attributes": {"POSITION": doc.accessor(turned.astype("<f4"))},
                     "indices": doc.accessor(faces.astype("<u4").ravel())}  # fmt: skip
        doc.add("meshes", {"primitives": [primitive]})
        doc.json["scenes"][0]["nodes"].append(doc.add("nodes", {"mesh": 0}))
        path.write_bytes(doc.glb())
    assert_allclose(load_head(path, up="z").neutral, points, atol=1e-6)
    assert np.abs(load_head(path).neutral - points).max() > 0.1


def test_an_fbx_head_is_what_was_written(folder):
    head, face = load_head(folder / "head.fbx"), avatars.face()
    assert head.names[:52] == face.names[:52]
    assert_allclose(np.ptp(head.neutral, axis=0), np.ptp(face.neutral, axis=0), atol=1e-4)
    for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkRight"):
        assert_allclose(np.abs(head.delta(name)).max(), np.abs(face.delta(name)).max(), atol=1e-5)
    # colors of vertices times those of materials
    assert head.colors is not None
    for vertex in face.part_vertices("skin")[::500]:
        alike = np.abs(head.neutral - face.neutral[vertex]).max(1).argmin()
        assert_allclose(head.colors[alike], face.colors[vertex], atol=0.02)


@pytest.mark.parametrize(
    "data", [b"", b"Kaydara FBX Binary  \0", b"; FBX 7.3.0\n" * 3, b"\0" * 999]
)
def test_files_that_are_no_fbx_are_refused(saved, data):
    with pytest.raises(FileFormatError):
        load_head(saved(data, "head.fbx"))


FACE = np.array([[-8.0, 0, -10], [8, 0, -10], [8, 0, 10], [-8, 0, 10]])  # cm, Z up
FBX = {
    "Face": {"Face.jawOpen": [(50.0, {0: (9.0, 9, 9)}), (100.0, {0: (0, 0, -4.0), 1: (0, 0, -4)})]},
    "Extra": {"Extra.mouthSmile_L": [(100.0, {2: (1.0, 0, 0)})],
              "Extra.bodyFat": [(100.0, {3: (0, 1.0, 0)})]},
}  # fmt: skip


def test_fbx_of_other_programs(saved, tmp_path):
    """Centimeters, Z up, two deformers, a shape on the way to another, a texture by its name."""
    (tmp_path / "skin.png").write_bytes(
        avatars.png(avatars.checker((255, 0, 0, 255), (0, 0, 255, 255)))
    )
    data = avatars.ascii_fbx(FACE, [0, 1, 2, 3], FBX, texture="skin.png")
    head = load_head(saved(data, "maya.fbx"))
    assert head.names == ("jawOpen", "mouthSmileLeft", "bodyFat")
    assert_allclose(np.ptp(head.neutral, axis=0), [0.16, 0.2, 0], atol=1e-6)
    assert_allclose(np.abs(head.delta("jawOpen")).max(0), [0, 0.04, 0], atol=1e-6)
    assert head.delta("jawOpen")[:, 1].min() == pytest.approx(-0.04)
    assert np.count_nonzero(head.delta("jawOpen")) == 2
    assert len(head.triangles) == 2
    (part,) = head.parts
    assert part.material.name == "Skin"
    assert part.material.texture.data == (tmp_path / "skin.png").read_bytes()
    assert sorted(head.uvs.tolist()) == [[0, 0], [0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("up", "unit", "size"), [("y", 1.0, 0.01), ("z", 2.54, 0.0254), ("y", 100.0, 1.0)]
)
def test_units_and_axes_of_fbx(saved, up, unit, size):
    data = avatars.ascii_fbx(FACE, [0, 1, 2, 3], FBX, up=up, unit=unit)
    head = load_head(saved(data, "head.fbx"))
    wide, high = np.ptp(head.neutral, axis=0)[[0, 1 if up == "z" else 2]]
    unit_of_head = 1.0 if 20 * size < 2.6 else 0.1 if 20 * size < 6 else 0.01
    assert wide == pytest.approx(16 * size * unit_of_head, rel=1e-5)
    assert high == pytest.approx(20 * size * unit_of_head, rel=1e-5)


def test_a_texture_that_is_not_there_is_a_color(saved):
    head = load_head(saved(avatars.ascii_fbx(FACE, [0, 1, 2, 3], FBX, texture="gone.png"), "h.fbx"))
    assert head.parts[0].material.texture is None
    light = np.array([0.8, 0.6, 0.5])  # linear in the file
    assert head.parts[0].material.color == pytest.approx(tuple(1.055 * light ** (1 / 2.4) - 0.055))


# ------------------------------------------------------------------------------- compressed


def draco(**kwargs) -> bytes:
    """A face whose geometry is compressed, with a plain morph target."""
    head = avatars.face()
    corners = head.triangles[head.part("skin").triangles]
    own, places = np.unique(corners, return_inverse=True)
    packed = DracoPy.encode(
        head.neutral[own], places.reshape(-1, 3).astype(np.uint32), quantization_bits=16,
        preserve_order=True, tex_coord=head.uvs[own].astype(float),
    )  # fmt: skip
    doc = avatars.Document()
    numbers = {a["attribute_type"]: a["unique_id"] for a in DracoPy.decode(packed).attributes}
    count = len(own)
    bare = [{"componentType": 5126, "count": count, "type": "VEC3"},
            {"componentType": 5126, "count": count, "type": "VEC2"},
            {"componentType": 5125, "count": places.size, "type": "SCALAR"}]  # fmt: skip
    position, uv, indices = (doc.add("accessors", entry) for entry in bare)
    target = doc.accessor(head.delta("jawOpen")[own].astype("<f4"))
    extension = {
        "bufferView": doc.view(packed),
        "attributes": {"POSITION": numbers[0], "TEXCOORD_0": numbers[3]},
    }
    primitive = {
        "attributes": {"POSITION": position, "TEXCOORD_0": uv}, "indices": indices,
        "targets": [{"POSITION": target}],
        "extensions": {"KHR_draco_mesh_compression": extension | kwargs},
    }  # fmt: skip
    doc.add("meshes", {"primitives": [primitive], "extras": {"targetNames": ["jawOpen"]}})
    doc.json["scenes"][0]["nodes"].append(doc.add("nodes", {"mesh": 0}))
    doc.json["extensionsRequired"] = doc.json["extensionsUsed"] = ["KHR_draco_mesh_compression"]
    return doc.glb()


def test_draco_is_decompressed(saved):
    head, face = load_head(saved(draco(), "draco.glb")), avatars.face()
    own = face.part_vertices("skin")
    assert_allclose(head.neutral, face.neutral[own], atol=1e-4)
    assert_allclose(head.delta("jawOpen"), face.delta("jawOpen")[own], atol=1e-6)


def test_damaged_draco_is_refused(saved):
    data = draco()
    place = data.index(b"DRACO")
    for broken in (data[: place + 12] + b"\xff" * 200 + data[place + 212 :],
                   data[:place] + b"draco" + data[place + 5 :]):  # fmt: skip
        with pytest.raises(FileFormatError):
            load_head(saved(broken, "draco.glb"))


def test_meshopt_is_refused_with_the_cure(saved):
    doc = avatars.Document()
    doc.json["extensionsRequired"] = ["EXT_meshopt_compression"]
    with pytest.raises(
        FileFormatError, match=r"EXT_meshopt_compression.*npx @gltf-transform/cli cp"
    ):
        load_head(saved(doc.glb(), "packed.glb"))


# --------------------------------------------------------------------------------- textures


def test_materials_and_images_of_gltf(folder):
    head = load_head(folder / "textured.glb")
    skin = next(part for part in head.parts if part.material.name == "skin")
    assert skin.material.texture is not None
    assert skin.material.texture.data.startswith(b"\x89PNG")
    assert io.BytesIO(skin.material.texture.data)
    assert sum(part.material.texture is not None for part in head.parts) == 1


def square(transform=None, mode="OPAQUE", uri=None, factor=None, image=None):
    """Two triangles with a texture of four colors."""
    doc = avatars.Document()
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0], pixels[0, 1] = (255, 0, 0, 255), (0, 255, 0, 0)
    pixels[1, 0], pixels[1, 1] = (0, 0, 255, 255), (255, 255, 255, 255)
    data = avatars.png(pixels) if image is None else image
    source = {"uri": uri} if uri else {"bufferView": doc.view(data)}
    doc.json["images"], doc.json["textures"] = [source], [{"source": 0}]
    info = {"index": 0} | (
        {"extensions": {"KHR_texture_transform": transform}} if transform else {}
    )
    surface = {"baseColorTexture": info} | ({"baseColorFactor": factor} if factor else {})
    doc.add("materials", {"name": "m", "pbrMetallicRoughness": surface, "alphaMode": mode})
    points = np.array([[0, 0, 0], [0.2, 0, 0], [0.2, 0.2, 0], [0, 0.2, 0]], "<f4")
    uvs = np.array([[0.1, 0.9], [0.9, 0.9], [0.9, 0.1], [0.1, 0.1]], "<f4")
    primitive = {
        "attributes": {"POSITION": doc.accessor(points), "TEXCOORD_0": doc.accessor(uvs)},
        "indices": doc.accessor(np.array([0, 1, 2, 0, 2, 3], "<u2")), "material": 0,
    }  # fmt: skip
    doc.add("meshes", {"primitives": [primitive]})
    doc.json["scenes"][0]["nodes"].append(doc.add("nodes", {"mesh": 0}))
    return doc.glb(), data


CORNERS = np.array([[0, 0, 1], [1, 1, 1], [0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize("embedded", [True, False])
def test_vertices_take_the_colors_of_textures(saved, tmp_path, embedded):
    from facesdk.mesh.textures import vertex_colors

    data, image = square(uri=None if embedded else "a%20b.png")
    if not embedded:
        (tmp_path / "a b.png").write_bytes(image)
    head = load_head(saved(data, "square.glb"))
    assert_allclose(vertex_colors(head), CORNERS, atol=0.01)


def test_texture_transforms_and_factors(saved):
    from facesdk.mesh.textures import vertex_colors

    half = {"offset": [0.5, 0.0], "scale": [0.5, 0.5]}  # the upper right quarter
    assert_allclose(vertex_colors(load_head(saved(square(half)[0]))), [[0, 1, 0]] * 4, atol=0.01)
    turned = {"rotation": np.pi / 2, "offset": [0, 1]}  # counter-clockwise about the origin
    colors = vertex_colors(load_head(saved(square(turned)[0])))
    assert_allclose(colors, CORNERS[[1, 2, 3, 0]], atol=0.01)
    dark = vertex_colors(load_head(saved(square(factor=[0.2140, 0.2140, 0.2140, 1])[0])))
    assert_allclose(dark, 0.5 * CORNERS, atol=0.01)


def test_holes_of_a_texture_are_left_out(saved):
    from facesdk.mesh.textures import cut_triangles

    hole = {"offset": [0.5, 0.0], "scale": [0.4, 0.4]}
    assert cut_triangles(load_head(saved(square(hole, mode="MASK")[0]))).all()
    assert not cut_triangles(load_head(saved(square(hole)[0]))).any()
    assert not cut_triangles(load_head(saved(square(mode="MASK")[0]))).any()


@pytest.mark.parametrize("image", [b"", b"\x89PNG\r\n\x1a\n", b"RIFF....WEBP", b"\xff\xd8\xff\xe0"])
def test_images_that_cannot_be_decoded_are_told(saved, image):
    from facesdk.mesh.textures import vertex_colors

    head = load_head(saved(square(image=image)[0]))
    with pytest.warns(UserWarning, match="a texture cannot be decoded"):
        assert np.isfinite(vertex_colors(head)).all()


def test_a_texture_outside_the_folder_is_not_read(saved, tmp_path):
    inner = tmp_path / "in"
    inner.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    path = inner / "head.glb"
    path.write_bytes(square(uri="../secret.png")[0])
    with pytest.warns(UserWarning, match="not in its folder; the texture is left out"):
        head = load_head(path)
    assert head.parts[0].material.texture is None
