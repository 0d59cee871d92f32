"""Let your own character speak: `python examples/own_character.py [AUDIO] [FOLDER] [CHARACTER]`.

CHARACTER is a .glb, .gltf or .vrm file with ARKit shapes, visemes or VRM expressions. The result is
that file with one animation more; nothing else in it changes. Without a character a small one is
made: a face of spheres with bones, lids, a mouth, and an animation of its own.

    facesdk bake line.wav --head character.glb -o line.glb
"""

import argparse
import json
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import facesdk
from facesdk.exporters import open_character, write_clip

HELLO = Path(__file__).with_name("hello.wav")

BONES = {  # parent, and meters from it
    "Hips": (None, (0, 1.0, 0)),
    "Neck": ("Hips", (0, 0.35, 0)),
    "Head": ("Neck", (0, 0.1, 0)),
    "LeftEye": ("Head", (0.045, 0.13, 0.09)),
    "RightEye": ("Head", (-0.045, 0.13, 0.09)),
}
COLORS = {
    "skin": (0.80, 0.55, 0.40), "shirt": (0.10, 0.25, 0.50), "white": (0.9, 0.9, 0.9),
    "dark": (0.05, 0.03, 0.03), "lips": (0.55, 0.12, 0.12),
}  # fmt: skip
MOUTH = (0.0, 0.055, 0.122)
"""Meters from the head's bone."""


def main(audio: Path = HELLO, folder: Path = Path(), character: Path | None = None) -> None:
    """Bake a line for a character and write the character with the line."""
    folder.mkdir(parents=True, exist_ok=True)
    if character is None:
        character = folder / "character.glb"
        character.write_bytes(small_character())
    found = open_character(character)
    if found is None:
        sys.exit(f"error: {character} is not a .glb, .gltf or .vrm file")
    clip = facesdk.bake(audio, rig=found.rig, fps=60, seed=1)
    target = folder / f"{audio.stem}{character.suffix}"
    dropped = write_clip(swaying(clip), target, head=character, name=audio.stem)
    print(found.describe(clip.rig))
    print(f"{target}: {len(clip)} frames; not shown: {', '.join(dropped) or 'nothing'}")


def swaying(clip: facesdk.Clip) -> facesdk.Clip:
    """Return the clip with a head that turns a little; bones carry it."""
    angles = np.zeros((len(clip), 4, 3), np.float32)
    seconds = np.arange(len(clip)) / float(clip.fps)
    angles[:, 0, 0] = 0.12 * np.sin(1.9 * seconds)
    angles[:, 0, 2] = 0.05 * np.sin(1.3 * seconds)
    return replace(clip, pose=facesdk.Pose(angles))


# ------------------------------------------------------------------ a small character


def small_character() -> bytes:
    """Return a .glb file: two skinned meshes with shapes, three without, five bones, one idle."""
    gltf = Gltf()
    for name, (parent, offset) in BONES.items():
        gltf.node(name, parent, translation=list(offset))
    places = {name: place(name) for name in BONES}
    inverse = np.tile(np.eye(4), (len(BONES), 1, 1))
    inverse[:, 3, :3] = [-spot for spot in places.values()]
    gltf.json["skins"] = [
        {"joints": list(range(len(BONES))), "inverseBindMatrices": gltf.numbers(inverse, "MAT4")}
    ]
    for i, color in enumerate(COLORS.values()):
        surface = {"baseColorFactor": [*color, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.6}
        gltf.json["materials"].append({"name": list(COLORS)[i], "pbrMetallicRoughness": surface})
    head = places["Head"]
    gltf.ball("shirt", "Hips", places["Hips"] + (0, 0.15, 0), (0.2, 0.22, 0.12))
    gltf.ball("skin", "Neck", places["Neck"] + (0, 0.02, 0), (0.05, 0.12, 0.05))
    gltf.ball("skin", "Head", np.add(head, (0, 0.1, 0)), (0.1, 0.14, 0.115), shapes=jaw)
    gltf.ball("lips", "Head", head + MOUTH, (0.034, 0.005, 0.012), shapes=lips)
    gltf.ball(
        "dark", "Head", head + np.add(MOUTH, (0, 0, 0.004)), (0.028, 0.001, 0.011), shapes=lips
    )
    for eye in ("LeftEye", "RightEye"):
        gltf.ball("white", eye, places[eye], (0.026, 0.026, 0.026))
        gltf.ball("dark", eye, places[eye] + (0, 0, 0.019), (0.01, 0.01, 0.009))
        gltf.ball("skin", "Head", places[eye] + (0, 0.019, 0.002), (0.031, 0.016, 0.029),
                  shapes=lambda points, eye=eye: lids(points, eye))  # fmt: skip
    breath = np.array([[0, 1.0, 0], [0, 1.01, 0], [0, 1.0, 0]])
    times, moves = gltf.numbers(np.array([0, 1.5, 3.0])), gltf.numbers(breath, "VEC3")
    gltf.json["animations"] = [
        {"name": "idle", "samplers": [{"input": times, "output": moves}],
         "channels": [{"sampler": 0, "target": {"node": 0, "path": "translation"}}]}
    ]  # fmt: skip
    return gltf.packed()


def place(bone: str) -> Any:
    """Return where a bone is, in meters."""
    parent, offset = BONES[bone]
    return np.array(offset, float) + (place(parent) if parent else 0)


def jaw(points: Any) -> dict[str, Any]:
    """Return offsets of the chin and of the cheeks, by shape."""
    low = np.clip((place("Head")[1] + 0.06 - points[:, 1]) / 0.08, 0, 1)[:, None]
    front = np.clip(points[:, 2:] / 0.1, 0, 1)
    return {"jawOpen": low * front * (0, -0.03, 0), "mouthFunnel": low * front * (0, 0, 0.006)}


def lips(points: Any) -> dict[str, Any]:
    """Return offsets of the mouth: open, narrow, wide."""
    x, y, _ = (points - place("Head") - MOUTH).T
    zero = np.zeros(len(points))
    lower = np.where(y < 0, 1.0, 0.25) * np.sqrt(np.clip(1 - (x / 0.034) ** 2, 0, 1))
    return {
        "jawOpen": np.stack([zero, np.where(y < 0, -0.034, 0.010) * lower, zero], 1),
        "mouthClose": np.stack([zero, np.where(y < 0, 0.034, -0.010) * lower, zero], 1),
        "mouthFunnel": np.stack([-0.4 * x, 0.012 * np.sign(y) * lower, zero + 0.008], 1),
        "mouthPucker": np.stack([-0.55 * x, 0.006 * np.sign(y) * lower, zero + 0.010], 1),
        "mouthSmileLeft": np.stack([np.clip(x, 0, 1) * 0.3, np.clip(x, 0, 1) * 0.3, zero], 1),
        "mouthSmileRight": np.stack([np.clip(x, -1, 0) * 0.3, np.clip(x, -1, 0) * -0.3, zero], 1),
    }


def lids(points: Any, eye: str) -> dict[str, Any]:
    """Return offsets of an upper lid that shuts."""
    shut = np.zeros_like(points)
    shut[:, 1] = -0.019 - (points[:, 1] - place(eye)[1] - 0.019) * -0.7
    return {f"eyeBlink{eye.removesuffix('Eye')}": shut}


class Gltf:
    """A glTF file in the making."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "examples/own_character.py"},
            "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [], "meshes": [], "materials": [],
            "accessors": [], "bufferViews": [],
        }  # fmt: skip

    def numbers(self, values: Any, kind: str = "SCALAR", dtype: str = "<f4") -> int:
        """Add an accessor."""
        array = np.ascontiguousarray(values, dtype)
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes}
        self.data += array.tobytes() + bytes(-array.nbytes % 4)
        self.json["bufferViews"].append(view)
        flat = array.reshape(len(array), -1)
        code = {"<f4": 5126, "<u2": 5123, "u1": 5121}[dtype]
        entry = {"bufferView": len(self.json["bufferViews"]) - 1, "componentType": code,
                 "count": len(array), "type": kind}  # fmt: skip
        if kind in ("SCALAR", "VEC3"):
            entry |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        self.json["accessors"].append(entry)
        return len(self.json["accessors"]) - 1

    def node(self, name: str, parent: str | None = None, **members: Any) -> None:
        """Add a node under another one, or to the scene."""
        index = len(self.json["nodes"])
        self.json["nodes"].append({"name": name, **members})
        if parent:
            above = next(n for n in self.json["nodes"] if n["name"] == parent)
            above.setdefault("children", []).append(index)
        elif index:
            self.json["scenes"][0]["nodes"].append(index)

    def ball(self, color: str, bone: str, center: Any, radii: Any, *, shapes: Any = None) -> None:
        """Add a mesh: an ellipsoid that follows a bone, with shapes of its points."""
        rows, columns = np.mgrid[0 : np.pi : 17j, 0 : 2 * np.pi : 33j]
        unit = np.stack(
            [np.sin(rows) * np.sin(columns), np.cos(rows), np.sin(rows) * np.cos(columns)]
        )
        unit = unit.reshape(3, -1).T
        points = unit * radii + center
        cell = np.arange(17 * 33).reshape(17, 33)
        a, b, c, d = cell[:-1, :-1], cell[1:, :-1], cell[1:, 1:], cell[:-1, 1:]
        corners = np.stack([a, b, c, a, c, d], -1).ravel()
        normals = unit / radii
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        joints = np.zeros((len(points), 4))
        joints[:, 0] = list(BONES).index(bone)
        primitive: dict[str, Any] = {
            "attributes": {
                "POSITION": self.numbers(points, "VEC3"),
                "NORMAL": self.numbers(normals, "VEC3"),
                "JOINTS_0": self.numbers(joints, "VEC4", "u1"),
                "WEIGHTS_0": self.numbers(np.tile([1, 0, 0, 0], (len(points), 1)), "VEC4"),
            },
            "indices": self.numbers(corners, dtype="<u2"),
            "material": list(COLORS).index(color),
        }
        mesh: dict[str, Any] = {"primitives": [primitive]}
        if shapes:
            offsets = shapes(points)
            primitive["targets"] = [{"POSITION": self.numbers(o, "VEC3")} for o in offsets.values()]
            mesh["extras"] = {"targetNames": list(offsets)}
        self.json["meshes"].append(mesh)
        number = len(self.json["meshes"])
        self.node(f"{color}{number}", mesh=number - 1, skin=0)

    def packed(self) -> bytes:
        """Return the file."""
        self.json["buffers"] = [{"byteLength": len(self.data)}]
        text = json.dumps(self.json).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self.data), b"BIN\0") + self.data
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("audio", nargs="?", type=Path, default=HELLO)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    parser.add_argument("character", nargs="?", type=Path)
    try:
        main(**vars(parser.parse_args()))
    except (facesdk.FaceSDKError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
