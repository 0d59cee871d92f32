"""assimp, the library that many engines and tools import models with."""

from __future__ import annotations

import os
import sysconfig
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import Played, Player, placed, skinned


@cache
def library() -> Any:
    """impasse, a binding to the assimp that cmeel-assimp installs or that is on the system."""
    folder = Path(sysconfig.get_path("purelib")) / "cmeel.prefix" / "lib"
    before = os.environ.get("LD_LIBRARY_PATH")
    os.environ["LD_LIBRARY_PATH"] = f"{folder}:{before or ''}"
    try:
        import impasse
    finally:
        os.environ.pop("LD_LIBRARY_PATH")
        if before is not None:
            os.environ["LD_LIBRARY_PATH"] = before
    impasse.structs.ffi.cdef(_LAYOUT)
    major = impasse.core._assimp_lib.aiGetVersionMajor()
    if major != 6:
        raise ImportError(f"assimp 6 is needed, this is {major}")
    return impasse


_LAYOUT = """
unsigned int aiGetVersionMajor(void);
struct aiQuatKey6 {
    double mTime;
    struct aiQuaternion mValue;
    int mInterpolation;
};
struct aiBone6 {
    struct aiString mName;
    unsigned int mNumWeights;
    struct aiNode *mArmature;
    struct aiNode *mNode;
    struct aiVertexWeight *mWeights;
    struct aiMatrix4x4 mOffsetMatrix;
};
"""
"""As assimp 6 has them; impasse 5.4 knows those of 5."""


def missing() -> str | None:
    try:
        library()
    except Exception as error:  # impasse has its own for a missing library
        return f"assimp is not installed ({error}): pip install impasse cmeel-assimp"
    return None


def play(path: Path, times: np.ndarray, begin: float, fps: Fraction) -> Played:
    scene = library().load(str(path))
    animation = scene.animations[0]
    rate = animation.ticks_per_second
    meter = 0.01 if path.suffix == ".fbx" else 1.0  # its FBX importer leaves centimeters
    ticks = (times - (begin if path.suffix == ".fbx" else 0)) * rate
    channels = {c.node_name: c for c in animation.channels}
    world: dict[str, np.ndarray] = {}
    turns: dict[str, np.ndarray] = {}
    _walk(scene.root_node, np.tile(np.eye(4), (len(times), 1, 1)), channels, ticks, world, turns)
    meshes = list(scene.meshes)
    weights: dict[str, list[np.ndarray]] = {}
    by_mesh: dict[int, dict[str, np.ndarray]] = {}
    for channel in animation.morph_mesh_channels:
        (first, *_) = [m for m in meshes if m.name == channel.name.partition("*")[0]]
        names = [_once(a.name) for a in first.anim_meshes]
        found = _morphs(channel, names, ticks)
        for number, mesh in enumerate(meshes):
            if mesh.name == first.name:
                by_mesh[number] = found
        for name, values in found.items():
            weights.setdefault(name, []).append(values)
    rest, points = [], []
    for number, mesh in enumerate(meshes):
        still, moved = _vertices(mesh, by_mesh.get(number, {}), world, len(times))
        rest.append(still * meter)
        points.append(moved * meter)
    return Played(times, weights, turns, np.concatenate(rest), np.concatenate(points, 1))


def _walk(
    node: Any, above: np.ndarray, channels: dict[str, Any], ticks: np.ndarray,
    world: dict[str, np.ndarray], turns: dict[str, np.ndarray],
) -> None:  # fmt: skip
    """World matrices and turns of a node and of all below it."""
    own = np.tile(np.array(node.transformation, float).reshape(4, 4), (len(ticks), 1, 1))
    if channel := channels.get(node.name):
        count = channel.struct.mNumRotationKeys
        ffi = library().structs.ffi
        keys = ffi.cast("struct aiQuatKey6 *", channel.struct.mRotationKeys)
        found = [(k.mTime, k.mValue) for k in (keys[i] for i in range(count))]
        values = np.array([(q.x, q.y, q.z, q.w) for _, q in found])
        turned = _sampled(np.array([t for t, _ in found]), values, ticks)
        shift = np.array(channel.position_keys[0].value, float)
        own = placed(turned, shift)
        turns[node.name] = turned
    world[node.name] = above @ own
    for child in node.children:
        _walk(child, world[node.name], channels, ticks, world, turns)


def _sampled(keys: np.ndarray, values: np.ndarray, ticks: np.ndarray) -> np.ndarray:
    """Values at the keys nearest to times."""
    return values[np.abs(keys[:, None] - ticks).argmin(0)]


def _morphs(channel: Any, names: list[str], ticks: np.ndarray) -> dict[str, np.ndarray]:
    """Weights by name at the keys nearest to times."""
    keys = list(channel.keys)
    table = np.zeros((len(keys), len(names)))
    for row, key in zip(table, keys, strict=True):
        for j in range(key.struct.mNumValuesAndWeights):
            row[key.struct.mValues[j]] = key.struct.mWeights[j]
    found = _sampled(np.array([k.time for k in keys]), table, ticks)
    return {name: found[:, i] for i, name in enumerate(names)}


def _once(name: str) -> str:
    """A shape's name: FBX meshes of one material have it as `channel.shape`, both alike here."""
    first, _, second = name.partition(".")
    return first if first == second else name


def _vectors(mesh: Any) -> np.ndarray:
    """(N, 3) vertices of a mesh or of a shape."""
    ffi, count = library().structs.ffi, mesh.struct.mNumVertices
    data = ffi.buffer(mesh.struct.mVertices, 12 * count)
    return np.frombuffer(data, "<f4").reshape(count, 3).astype(float)


def _vertices(
    mesh: Any, weights: dict[str, np.ndarray], world: dict[str, np.ndarray], count: int
) -> tuple[np.ndarray, np.ndarray]:
    rest = _vectors(mesh)
    moved = np.tile(rest, (count, 1, 1))
    for shape in mesh.anim_meshes:
        if _once(shape.name) in weights and shape.struct.mVertices:
            offset = _vectors(shape) - rest
            moved += weights[_once(shape.name)][:, None, None] * offset
    names = [bone.name for bone in mesh.bones]
    if not names:
        return rest, moved
    shares = np.zeros((len(rest), len(names)))
    matrices = np.zeros((count, len(names), 4, 4))
    ffi = library().structs.ffi
    for j, name in enumerate(names):
        bone = ffi.cast("struct aiBone6 *", mesh.struct.mBones[j])
        undo = np.frombuffer(ffi.buffer(ffi.addressof(bone.mOffsetMatrix)), "<f4").reshape(4, 4)
        matrices[:, j] = world[name] @ undo
        for i in range(bone.mNumWeights):
            shares[bone.mWeights[i].mVertexId, j] = bone.mWeights[i].mWeight
    return rest, skinned(rest, moved, matrices, shares)


PLAYERS = (
    Player(
        "assimp",
        ("glb", "gltf", "fbx"),
        play,
        missing,
    ),
)
