"""Avatars made by code, as users bring them: VRM 0 and 1, web avatars, textures, quantization.

All are the built-in head's skin, eyes and teeth under the names and forms of others.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from functools import cache
from typing import Any

import numpy as np

from facesdk import Rig
from facesdk.mesh import Head, load_head

VROID = {"Fcl_MTH_A": "aa", "Fcl_MTH_I": "ih", "Fcl_MTH_U": "ou", "Fcl_MTH_E": "ee",
         "Fcl_MTH_O": "oh", "Fcl_EYE_Close": "blink", "Fcl_ALL_Joy": "happy",
         "Fcl_ALL_Angry": "angry"}  # fmt: skip
"""Morph targets of VRoid's avatars and the preset that each is."""

VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
"""Visemes of web avatars, in their order."""


@cache
def face() -> Head:
    """The built-in head, whose shapes the avatars have."""
    return load_head()


def posed(rig: str, controls: dict[str, float]) -> np.ndarray:
    """(V, 3) offsets of a pose of a rig."""
    found = Rig.load(rig)
    values = found.rest.copy()
    for name, value in controls.items():
        values[found.index(name)] = value
    head = face()
    return np.tensordot(head.weights(values, found), head.deltas, 1)


def vroid_shapes() -> dict[str, np.ndarray]:
    return {morph: posed("vrm", {preset: 1.0}) for morph, preset in VROID.items()}


def viseme_shapes() -> dict[str, np.ndarray]:
    names = dict(zip(VISEMES, Rig.load("oculus").names, strict=True))
    shapes = {f"viseme_{n}": posed("oculus", {c: 1.0}) for n, c in names.items()}
    return shapes | {"eyesClosed": posed("arkit", {"eyeBlinkLeft": 1, "eyeBlinkRight": 1})}


def png(pixels: np.ndarray) -> bytes:
    """A PNG of (H, W, 4) bytes."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype("u1"))

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))  # fmt: skip


def checker(one: tuple[int, ...], two: tuple[int, ...], *, size: int = 256, fields: int = 16):
    """(H, W, 4) fields of two colors."""
    place = np.arange(size) * fields // size
    odd = (place[:, None] + place) % 2
    return np.where(odd[..., None], np.array(two), np.array(one)).astype(np.uint8)


class Document:
    """A glTF document under construction."""

    def __init__(self) -> None:
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": []}], "nodes": [],
            "meshes": [], "materials": [], "accessors": [], "bufferViews": [], "buffers": [],
        }  # fmt: skip
        self.binary = b""

    def view(self, data: bytes) -> int:
        self.binary += b"\0" * (-len(self.binary) % 4)
        self.json["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)}
        )
        self.binary += data
        return len(self.json["bufferViews"]) - 1

    def accessor(self, array: np.ndarray, **facts: Any) -> int:
        kinds = {"f4": 5126, "u2": 5123, "i2": 5122, "u4": 5125, "i1": 5120, "u1": 5121}
        kind = array.dtype.str[1:]
        width = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
        self.json["accessors"].append({
            "bufferView": self.view(array.tobytes()), "count": len(array),
            "componentType": kinds[kind], "type": width[1 if array.ndim == 1 else array.shape[1]],
            **facts,
        })  # fmt: skip
        return len(self.json["accessors"]) - 1

    def add(self, kind: str, entry: dict[str, Any]) -> int:
        self.json.setdefault(kind, []).append(entry)
        return len(self.json[kind]) - 1

    def glb(self) -> bytes:
        self.json["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.json).encode()
        text += b" " * (-len(text) % 4)
        binary = self.binary + b"\0" * (-len(self.binary) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def avatar(
    shapes: dict[str, np.ndarray],
    *,
    turned: bool = False,
    quantized: bool = False,
    texture: bytes | None = None,
    parts: tuple[str, ...] = ("skin", "cavity", "teeth_upper", "teeth_lower", "tongue", "left_eye",
                              "right_eye", "brow_left", "brow_right"),
    **extensions: Any,
) -> Document:  # fmt: skip
    """A document with the head's parts as one mesh; `texture` covers the skin, by its uvs."""
    head, doc = face(), Document()
    front = np.array([-1, 1, -1] if turned else [1, 1, 1], np.float32)
    image = None
    if texture is not None:
        source = doc.add("images", {"bufferView": doc.view(texture), "mimeType": "image/png"})
        image = doc.add("textures", {"source": source})
    primitives = []
    for part in (head.part(name) for name in parts):
        corners = head.triangles[part.triangles]
        own, places = np.unique(corners, return_inverse=True)
        points = head.neutral[own] * front
        moved = {name: (delta[own] * front).astype("f4") for name, delta in shapes.items()}
        step = np.float32(0.4 / 32767)
        if quantized:
            attributes = {"POSITION": doc.accessor(np.rint(points / step).astype("<i2"))}
            offsets = [doc.accessor(np.rint(d / step).astype("<i2")) for d in moved.values()]
        else:
            attributes = {"POSITION": doc.accessor(points.astype("<f4"))}
            offsets = [doc.accessor(delta) for delta in moved.values()]
        material: dict[str, Any] = {"name": part.name, "pbrMetallicRoughness": {}}
        color = np.array(part.material.color) ** 2.2
        if head.colors is not None:
            color = head.colors[own].mean(0).astype(float) ** 2.2
        if image is not None and part.name == "skin":
            material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": image}
            uvs = head.uvs[own] * [1, -1] + [0, 1]
            attributes["TEXCOORD_0"] = doc.accessor(uvs.astype("<f4"))
        else:
            material["pbrMetallicRoughness"]["baseColorFactor"] = [*map(float, color), 1.0]
        primitives.append({
            "attributes": attributes, "material": doc.add("materials", material),
            "indices": doc.accessor(places.astype("<u4").ravel()),
            "targets": [{"POSITION": index} for index in offsets],
        })  # fmt: skip
    mesh = doc.add("meshes", {"name": "Face", "primitives": primitives,
                              "extras": {"targetNames": list(shapes)}})  # fmt: skip
    node: dict[str, Any] = {"name": "Face", "mesh": mesh}
    if quantized:
        node["scale"] = [float(step)] * 3
        doc.json["extensionsRequired"] = doc.json["extensionsUsed"] = ["KHR_mesh_quantization"]
    doc.json["scenes"][0]["nodes"].append(doc.add("nodes", node))
    if extensions:
        doc.json["extensions"] = extensions
        doc.json["extensionsUsed"] = list(extensions)
    return doc


def vrm_0(**groups: Any) -> bytes:
    """A VRoid-like avatar: morphs `Fcl_...`, presets A I U E O, Blink, Joy, Angry."""
    names = {"aa": "A", "ih": "I", "ou": "U", "ee": "E", "oh": "O", "blink": "Blink",
             "happy": "Joy", "angry": "Angry"}  # fmt: skip
    listed = [
        {"name": names[preset], "presetName": names[preset].lower(),
         "binds": [{"mesh": 0, "index": i, "weight": 100}]}
        for i, preset in enumerate(VROID.values())
    ]  # fmt: skip
    extension = {"specVersion": "0.0", "blendShapeMaster": {"blendShapeGroups": listed}} | groups
    return avatar(vroid_shapes(), turned=True, VRM=extension).glb()


def vrm_1(custom: dict[str, Any] | None = None) -> bytes:
    """The same as VRM 1, with expressions."""
    preset = {
        name: {"morphTargetBinds": [{"node": 0, "index": i, "weight": 1.0}]}
        for i, name in enumerate(VROID.values())
    }
    expressions = {"preset": preset} | ({"custom": custom} if custom else {})
    return avatar(vroid_shapes(), VRMC_vrm={"specVersion": "1.0", "expressions": expressions}).glb()


def web() -> bytes:
    """A web avatar with `viseme_...` targets."""
    return avatar(viseme_shapes()).glb()


def textured(*, quantized: bool = True) -> bytes:
    """An avatar with ARKit's shapes, quantized, whose skin has red and white fields as texture."""
    head = face()
    shapes = {f"Face.{n}": head.delta(n) for n in Rig.load("arkit").names}
    image = png(checker((200, 60, 50, 255), (235, 220, 205, 255)))
    return avatar(shapes, quantized=quantized, texture=image).glb()


def fbx() -> bytes:
    """An FBX with the built-in head."""
    from facesdk import Clip
    from facesdk.exporters import write_clip

    arkit, file = Rig.load("arkit"), io.BytesIO()
    write_clip(Clip(arkit, np.zeros((1, len(arkit)), np.float32), 30), file, "fbx", head=face())
    return file.getvalue()


def _array(values) -> str:
    """Numbers as ASCII FBX has them."""
    flat = np.ravel(values).tolist()
    return f"*{len(flat)} {{ a: {','.join(f'{v:g}' for v in flat)} }}"


def ascii_fbx(
    points: np.ndarray,
    polygon: list[int],
    deformers: dict[str, dict[str, list[tuple[float, dict[int, Any]]]]],
    *,
    texture: str = "",
    up: str = "z",
    unit: float = 1.0,
) -> bytes:
    """A polygon as Maya or 3ds Max export it: cm, Z up, channels with several targets.

    `deformers` has offsets by vertex for every full weight of every channel.
    """
    axes = {"z": (2, 1, 1, -1), "y": (1, 1, 2, 1)}[up]
    settings = dict(zip(("UpAxis", "UpAxisSign", "FrontAxis", "FrontAxisSign"), axes, strict=True))
    settings |= {"CoordAxis": 0, "CoordAxisSign": 1}
    lines = ["; FBX 7.4.0 project file", "FBXHeaderExtension: {", "FBXVersion: 7400", "}",
             "GlobalSettings: {", "Properties70: {",
             *(f'P: "{n}", "int", "Integer", "",{v}' for n, v in settings.items()),
             f'P: "UnitScaleFactor", "double", "Number", "",{unit}', "}", "}",
             "Objects: {"]  # fmt: skip
    corners = [*polygon[:-1], -polygon[-1] - 1]
    uvs = [[0, 0], [1, 0], [1, 1], [0, 1]][: len(polygon)]
    lines += [
        'Geometry: 10, "Geometry::Head", "Mesh" {', f"Vertices: {_array(points)}",
        f"PolygonVertexIndex: {_array(corners)}", "LayerElementUV: 0 {", "Version: 101",
        'Name: "UV"', 'MappingInformationType: "ByPolygonVertex"',
        'ReferenceInformationType: "IndexToDirect"', f"UV: {_array(uvs)}",
        f"UVIndex: {_array(range(len(polygon)))}", "}", "LayerElementMaterial: 0 {", "Version: 101",
        'Name: ""', 'MappingInformationType: "AllSame"',
        'ReferenceInformationType: "IndexToDirect"', "Materials: *1 { a: 0 }", "}", "Layer: 0 {",
        "Version: 100", 'LayerElement: {', 'Type: "LayerElementUV"', "TypedIndex: 0", "}",
        "LayerElement: {", 'Type: "LayerElementMaterial"', "TypedIndex: 0", "}", "}", "}",
        'Model: 11, "Model::Head", "Mesh" {', "Version: 232", "}",
        'Material: 12, "Material::Skin", "" {', "Version: 102", 'ShadingModel: "lambert"',
        "Properties70: {", 'P: "DiffuseColor", "Color", "", "A",0.8,0.6,0.5', "}", "}",
    ]  # fmt: skip
    links = ['C: "OO",11,0', 'C: "OO",10,11', 'C: "OO",12,11']
    if texture:
        lines += ['Texture: 13, "Texture::skin", "" {', 'Type: "TextureVideoClip"', "Version: 202",
                  f'FileName: "C:\\\\art\\\\{texture}"', f'RelativeFilename: "..\\\\{texture}"',
                  "}"]  # fmt: skip
        links.append('C: "OP",13,12, "DiffuseColor"')
    number = 100
    for deformer, channels in deformers.items():
        own = number = number + 1
        lines += [f'Deformer: {own}, "Deformer::{deformer}", "BlendShape" {{', "Version: 100", "}"]
        links.append(f'C: "OO",{own},10')
        for channel, targets in channels.items():
            here = number = number + 1
            lines += [f'Deformer: {here}, "SubDeformer::{channel}", "BlendShapeChannel" {{',
                      "Version: 100", "DeformPercent: 0",
                      f"FullWeights: {_array([weight for weight, _ in targets])}", "}"]  # fmt: skip
            links.append(f'C: "OO",{here},{own}')
            for weight, offsets in targets:
                number += 1
                lines += [f'Geometry: {number}, "Geometry::{channel}{weight:g}", "Shape" {{',
                          "Version: 100", f"Indexes: {_array(list(offsets))}",
                          f"Vertices: {_array(list(offsets.values()))}", "}"]  # fmt: skip
                links.append(f'C: "OO",{number},{here}')
    return "\n".join([*lines, "}", "Connections: {", *links, "}", ""]).encode()
