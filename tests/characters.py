"""Characters of strangers, made by code: a skinned body with bones, textures, another animation.

`character(...)` returns the JSON and the numbers of a glTF file, `glb` and `gltf` pack them.
"""

from __future__ import annotations

import base64
import copy
import json
import struct
import zlib
from pathlib import Path

import numpy as np

from facesdk import Rig

ARKIT = Rig.load("arkit").names
_SOUNDS = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
VISEMES = tuple(f"viseme_{sound}" for sound in _SOUNDS)

_BONES = {  # parent, meters from the parent in the character's axes
    "Hips": (None, (0, 1.0, 0)),
    "Spine": ("Hips", (0, 0.3, 0)),
    "Neck": ("Spine", (0, 0.2, -0.02)),
    "Head": ("Neck", (0, 0.08, 0.02)),
    "LeftEye": ("Head", (0.03, 0.07, 0.08)),
    "RightEye": ("Head", (-0.03, 0.07, 0.08)),
    "LeftArm": ("Spine", (0.18, 0.15, 0)),
    "RightArm": ("Spine", (-0.18, 0.15, 0)),
} | {
    f"{side}{name}": (f"{side}{parent}" if parent != "Hips" else parent, (x * sign, y, 0))
    for side, sign in (("Left", 1), ("Right", -1))
    for name, parent, x, y in (
        ("ForeArm", "Arm", 0.25, 0), ("Hand", "ForeArm", 0.22, 0), ("UpLeg", "Hips", 0.1, -0.05),
        ("Leg", "UpLeg", 0, -0.4), ("Foot", "Leg", 0, -0.4),
    )
}  # fmt: skip


class Numbers:
    """Accessors and buffer views."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict] = []
        self.accessors: list[dict] = []

    def view(self, data: bytes) -> int:
        self.data += bytes(-len(self.data) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)})
        self.data += data
        return len(self.views) - 1

    def add(self, values, kind="<f4", shape=None, *, bounds=False) -> int:
        values = np.ascontiguousarray(values, kind)
        count = len(values)
        width = values.reshape(count, -1).shape[1]
        entry = {
            "bufferView": self.view(values.tobytes()),
            "componentType": {"<f4": 5126, "<u2": 5123, "u1": 5121}[kind],
            "count": count,
            "type": shape or {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[width],
        }
        if bounds:
            flat = values.reshape(count, -1)
            entry |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        self.accessors.append(entry)
        return len(self.accessors) - 1


def png() -> bytes:
    """A picture of two by two pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = b"\0\xd0\xa0\x90\xc0\x90\x80" + b"\0\xb0\x80\x70\xa0\x70\x60"
    header = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0))
            + chunk(b"IEND", b""))  # fmt: skip


def quaternion(axis, angle) -> np.ndarray:
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    return np.array([*(axis * np.sin(angle / 2)), np.cos(angle / 2)])


def rotation(q) -> np.ndarray:
    x, y, z, w = np.asarray(q, float) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def character(
    *,
    shapes=ARKIT,
    meshes=("face",),
    bone="{}".format,
    twisted=True,
    yaw=0.0,
    matrices=False,
    defaults=True,
    eyes=True,
    extra=True,
    seed=3,
) -> tuple[dict, bytes]:
    """A glTF document and its buffer.

    Bones are called `bone(name)` and rest `twisted`; the character stands turned by `yaw` radians.
    Every mesh of `meshes` has all `shapes` and one `extra`, `hatTilt`, which rests at 0.3.
    """
    rng = np.random.default_rng(seed)
    numbers = Numbers()
    nodes: list[dict] = []
    index: dict[str, int] = {}
    world: dict[str, np.ndarray] = {}
    used = {n: b for n, b in _BONES.items() if eyes or not n.endswith("Eye")}
    nodes.append({"name": "Armature", "rotation": quaternion((0, 1, 0), yaw).tolist()})
    turned = np.eye(4)
    turned[:3, :3] = rotation(nodes[0]["rotation"])
    for i, (name, (parent, offset)) in enumerate(used.items()):
        place = np.array(offset, float) + (straight_place(used, parent) if parent else 0)
        own = np.eye(4)
        own[:3, 3] = place
        if twisted:
            own[:3, :3] = rotation(quaternion((1, 0.3 * i, -0.2), 0.4 + 0.5 * i))
        here = turned @ own
        above = world[parent] if parent else turned
        local = np.linalg.inv(above) @ here
        entry: dict = {"name": bone(name)}
        if matrices and name != "LeftArm":  # which their animation turns
            entry["matrix"] = local.T.ravel().tolist()
        else:
            entry["translation"] = local[:3, 3].tolist()
            entry["rotation"] = _quaternion_of(local[:3, :3]).tolist()
        index[name] = len(nodes)
        nodes.append(entry)
        world[name] = here
        nodes[index[parent] if parent else 0].setdefault("children", []).append(index[name])
    inverse = np.stack([np.linalg.inv(world[name]).T for name in used])
    order = list(used)
    skin = {"joints": [index[n] for n in order], "skeleton": index["Hips"],
            "inverseBindMatrices": numbers.add(inverse.reshape(-1, 16))}  # fmt: skip

    def mesh(name, joint, points, targets=()):
        points = (turned @ np.c_[points, np.ones(len(points))].T).T[:, :3]
        count = len(points)
        joints = np.zeros((count, 4), int)
        joints[:, 0] = order.index(joint)
        weights = np.tile([1.0, 0, 0, 0], (count, 1))
        primitive = {
            "attributes": {
                "POSITION": numbers.add(points, bounds=True),
                "NORMAL": numbers.add(np.tile([0.0, 0, 1], (count, 1))),
                "TEXCOORD_0": numbers.add(rng.uniform(size=(count, 2))),
                "JOINTS_0": numbers.add(joints, "u1"),
                "WEIGHTS_0": numbers.add(weights),
            },
            "indices": numbers.add(np.arange(count) % count, "<u2"),
            "material": 0,
        }
        entry: dict = {"name": name, "primitives": [primitive]}
        if targets:
            primitive["targets"] = [
                {"POSITION": numbers.add(rng.normal(0, 0.004, (count, 3)), bounds=True)}
                for _ in targets
            ]
            entry["extras"] = {"targetNames": list(targets), "made by": "a stranger"}
            if defaults:
                entry["weights"] = [0.3 if t == "hatTilt" else 0.0 for t in targets]
        return entry

    head = straight_place(used, "Head")
    parts = [mesh("body", "Spine", rng.uniform(-0.2, 0.2, (9, 3)) + np.array([0, 1.2, 0]))]
    for part in meshes:
        cloud = rng.uniform(-0.1, 0.1, (12, 3)) + head
        targets = (*shapes, "hatTilt") if extra else tuple(shapes)
        parts.append(mesh(part, "Head", cloud, targets))
    for side in ("Left", "Right") if eyes else ():
        ball = rng.uniform(-0.01, 0.01, (6, 3)) + straight_place(used, f"{side}Eye")
        parts.append(mesh(f"ball{side}", f"{side}Eye", ball))
    first = len(nodes)
    nodes += [{"name": p["name"], "mesh": i, "skin": 0} for i, p in enumerate(parts)]
    nodes.append({"name": "view", "camera": 0, "translation": [0, 1.5, 2]})
    times = numbers.add([0.0, 0.5, 1.25], bounds=True)
    wave = numbers.add([quaternion((0, 0, 1), a) for a in (0, 0.7, 0)])
    return {
        "asset": {"version": "2.0", "generator": "somebody else", "extras": {"mood": "fine"}},
        "extensionsUsed": ["ACME_hair"],
        "extensions": {"ACME_hair": {"strands": [1, 2, 3]}},
        "extras": {"π": 3.14159, "keep": [None, True, 1e-05]},
        "scene": 0,
        "scenes": [{"name": "stage", "nodes": [0, *range(first, len(nodes))]}],
        "nodes": nodes,
        "meshes": parts,
        "skins": [skin],
        "cameras": [{"type": "perspective", "perspective": {"yfov": 0.7, "znear": 0.01}}],
        "materials": [{"name": "skin", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}},
                       "extras": {"shader": "toon"}}],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{}],
        "images": [{"name": "face", "mimeType": "image/png", "bufferView": numbers.view(png())}],
        "animations": [{"name": "wave", "extras": {"loop": True},
                        "samplers": [{"input": times, "output": wave}],
                        "channels": [{"sampler": 0, "target": {"node": index["LeftArm"],
                                                               "path": "rotation"}}]}],
        "accessors": numbers.accessors,
        "bufferViews": numbers.views,
        "buffers": [{"byteLength": len(numbers.data)}],
    }, bytes(numbers.data)  # fmt: skip


def straight_place(bones, name) -> np.ndarray:
    """Where a bone is before the character is turned."""
    parent, offset = bones[name]
    return np.array(offset, float) + (straight_place(bones, parent) if parent else 0)


def _quaternion_of(matrix) -> np.ndarray:
    """The quaternion of a rotation, by its axis and its angle."""
    angle = np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1))
    if angle < 1e-9:
        return np.array([0.0, 0, 0, 1])
    axis = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0],
                     matrix[1, 0] - matrix[0, 1]])  # fmt: skip
    return quaternion(axis, angle)


# --------------------------------------------------------------------- avatars

_HUMAN = {
    "hips": "Hips", "spine": "Spine", "neck": "Neck", "head": "Head", "leftEye": "LeftEye",
    "rightEye": "RightEye",
} | {
    f"{side}{human}": f"{side.title()}{name}"
    for side in ("left", "right")
    for human, name in (
        ("UpperArm", "Arm"), ("LowerArm", "ForeArm"), ("Hand", "Hand"), ("UpperLeg", "UpLeg"),
        ("LowerLeg", "Leg"), ("Foot", "Foot"),
    )
}  # fmt: skip
MORPHS = ("M_A", "M_I", "M_U", "M_E", "M_O", "Lids", "LidL", "LidR", "Grin")
"""Morph targets of the avatars, whose names say nothing."""


def vrm0(**options) -> tuple[dict, bytes]:
    """A VRM 0.x avatar, which looks along -Z, with blendShapeGroups."""
    document, data = character(shapes=MORPHS, yaw=np.pi, **options)
    named = {n["name"]: i for i, n in enumerate(document["nodes"])}
    mesh = next(i for i, m in enumerate(document["meshes"]) if m["name"] == "face")
    presets = ("a", "i", "u", "e", "o", "blink", "blink_l", "blink_r", "joy")
    groups = [
        {"name": p.title(), "presetName": p, "binds": [{"mesh": mesh, "index": i, "weight": 80}],
         "isBinary": False, "materialValues": []}
        for i, p in enumerate(presets)
    ]  # fmt: skip
    groups.append({"name": "Angry", "presetName": "angry", "binds": [], "isBinary": False,
                   "materialValues": [{"materialName": "skin", "propertyName": "_Color",
                                       "targetValue": [1, 0, 0, 1]}]})  # fmt: skip
    document["extensionsUsed"].append("VRM")
    document["extensions"]["VRM"] = {
        "specVersion": "0.0",
        "humanoid": {"humanBones": [{"bone": b, "node": named[n], "useDefaultValues": True}
                                    for b, n in _HUMAN.items() if n in named]},
        "blendShapeMaster": {"blendShapeGroups": groups},
        "meta": {"title": "probe"},
    }  # fmt: skip
    return document, data


def vrm1(**options) -> tuple[dict, bytes]:
    """A VRM 1.0 avatar with expressions; happy holds the mouth back, blink has two states."""
    document, data = character(**{"shapes": MORPHS} | options)
    named = {n["name"]: i for i, n in enumerate(document["nodes"])}
    spell = options.get("bone", str)
    bones = {b: spell(n) for b, n in _HUMAN.items() if spell(n) in named}
    presets = ("aa", "ih", "ou", "ee", "oh", "blink", "blinkLeft", "blinkRight", "happy")
    entries = {
        p: {"morphTargetBinds": [{"node": named["face"], "index": i, "weight": 0.5}]}
        for i, p in enumerate(presets)
    }
    entries["happy"]["overrideMouth"] = "blend"
    entries["blink"]["isBinary"] = True
    document["extensionsUsed"].append("VRMC_vrm")
    document["extensions"]["VRMC_vrm"] = {
        "specVersion": "1.0",
        "meta": {"name": "probe", "authors": ["x"], "licenseUrl": "https://vrm.dev/licenses/1.0/"},
        "humanoid": {"humanBones": {b: {"node": named[n]} for b, n in bones.items()}},
        "expressions": {"preset": entries, "custom": {}},
    }
    return document, data


# --------------------------------------------------------------------- packing


def glb(document: dict, data: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A binary file, with further chunks."""
    text = json.dumps(document, indent=2).encode()
    text += b" " * (-len(text) % 4)
    chunks = [(b"JSON", text), (b"BIN\0", data + bytes(-len(data) % 4)), *more]
    body = b"".join(struct.pack("<I4s", len(c), kind) + c for kind, c in chunks)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def write_gltf(document: dict, data: bytes, path: Path) -> Path:
    """A text file with its numbers and its picture in files next to it."""
    document = copy.deepcopy(document)
    view = document["bufferViews"][document["images"][0].pop("bufferView")]
    document["images"][0].pop("mimeType")
    picture = data[view["byteOffset"] :][: view["byteLength"]]
    (path.parent / "the face.png").write_bytes(picture)
    document["images"][0]["uri"] = "the%20face.png"
    (path.parent / "numbers.bin").write_bytes(data)
    document["buffers"][0]["uri"] = "numbers.bin"
    path.write_text(json.dumps(document, indent=2), "utf-8")
    return path


def unpack(path: Path) -> tuple[dict, list[bytes]]:
    """The JSON and the buffers of a file."""
    raw = path.read_bytes()
    binary = b""
    if raw[:4] == b"glTF":
        place, text = 12, b""
        while place < struct.unpack_from("<I", raw, 8)[0]:
            size, kind = struct.unpack_from("<I4s", raw, place)
            chunk = raw[place + 8 : place + 8 + size]
            text, binary = (chunk, binary) if kind == b"JSON" else (text, binary or chunk)
            place += 8 + size
    else:
        text = raw
    document = json.loads(text)
    buffers = []
    for buffer in document.get("buffers", ()):
        uri = buffer.get("uri")
        if uri is None:
            buffers.append(binary)
        elif uri.startswith("data:"):
            buffers.append(base64.b64decode(uri.partition(",")[2]))
        else:
            buffers.append((path.parent / uri).read_bytes())
    return document, buffers


def view_bytes(document: dict, buffers: list[bytes], index: int) -> bytes:
    view = document["bufferViews"][index]
    begin = view.get("byteOffset", 0)
    return buffers[view["buffer"]][begin : begin + view["byteLength"]]
