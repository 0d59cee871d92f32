"""glTF by three.js under node and by pygltflib."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pygltflib
from characters import ARKIT, glb, vrm1
from node_tools import ask
from probe import tiny_head

from facesdk import Clip
from facesdk.mesh.drive import undriven
from facesdk.rig import Rig

from . import Curves, Row, Track, expected

JOINTS = ("head", "neck", "left_eye", "right_eye")
AXES = ("yaw", "pitch", "roll")


def angles(quaternions: np.ndarray) -> np.ndarray:
    """(K, 3) yaw about Y, then pitch about X, then roll about Z of (K, 4) x, y, z, w."""
    x, y, z, w = np.asarray(quaternions, float).reshape(-1, 4).T
    yaw = np.arctan2(2 * (x * z + w * y), 1 - 2 * (x * x + y * y))
    pitch = np.arcsin(2 * (w * x - y * z))
    return np.stack([yaw, pitch, np.arctan2(2 * (x * y + w * z), 1 - 2 * (x * x + z * z))], 1)


def turns(
    joint: str, times: np.ndarray, keys: np.ndarray, at: Callable[[np.ndarray], np.ndarray]
) -> Curves:
    """The three angles of a joint; `at` gives quaternions at times."""
    return {
        f"pose.{joint}.{axis}": Track(times, angles(keys)[:, i], lambda t, i=i: angles(at(t))[:, i])
        for i, axis in enumerate(AXES)
    }


# ------------------------------------------------------------------------- three.js


def read_three(path: Path) -> Curves:
    found: dict[str, Track] = {}
    for name, keys in ask("curves", path).items():
        times, values = np.array(keys["times"]), np.array(keys["values"])
        if keys["width"] == 1:
            found[name] = Track(times, values)
            continue
        node, _, what = name.partition(".")
        assert what == "quaternion"
        found |= turns(node, times, values, three_sampler(path, name))
    return found


def three_sampler(path: Path, curve: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda times: np.array(ask("sample", path, curve=curve, times=times.tolist()))


# ------------------------------------------------------------------------ pygltflib


def read_pygltflib(path: Path) -> Curves:
    gltf = pygltflib.GLTF2().load(str(path))
    animation = gltf.animations[0]
    found: dict[str, Track] = {}
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        assert sampler.interpolation == "LINEAR"
        times = numbers(gltf, sampler.input)[:, 0]
        values, node = numbers(gltf, sampler.output), gltf.nodes[channel.target.node]
        if channel.target.path == "weights":
            names = gltf.meshes[node.mesh].extras["targetNames"]
            columns = values.reshape(len(times), len(names)).T
            found |= {n: Track(times, c) for n, c in zip(names, columns, strict=True)}
        else:
            assert channel.target.path == "rotation"
            at = lambda t, k=times, q=values: spherical(t, k, q)  # noqa: E731
            found |= turns(node.name, times, values, at)
    return found


def numbers(gltf: pygltflib.GLTF2, index: int) -> np.ndarray:
    """(count, n) floats of an accessor, sparse ones filled in."""
    accessor = gltf.accessors[index]
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor.type]
    kind = {5126: "<f4", 5121: "u1", 5123: "<u2", 5125: "<u4"}
    dtype = np.dtype(kind[accessor.componentType])

    def view(number: int, dtype: np.dtype, count: int) -> np.ndarray:
        part = gltf.bufferViews[number]
        data = gltf.get_data_from_buffer_uri(gltf.buffers[0].uri) if gltf.buffers[0].uri else None
        blob = gltf.binary_blob() if data is None else data
        return np.frombuffer(blob, dtype, count, part.byteOffset or 0)

    values = np.zeros((accessor.count, width), dtype)
    if accessor.bufferView is not None:
        values = view(accessor.bufferView, dtype, accessor.count * width).reshape(-1, width).copy()
    if accessor.sparse is not None:
        sparse = accessor.sparse
        where = np.dtype(kind[sparse.indices.componentType])
        places = view(sparse.indices.bufferView, where, sparse.count)
        what = view(sparse.values.bufferView, dtype, sparse.count * width)
        values[places] = what.reshape(-1, width)
    return values


def spherical(times: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Quaternions at times, as the specification of glTF interpolates them."""
    if len(keys) == 1:
        return np.repeat(values, len(times), 0)
    i = np.clip(np.searchsorted(keys, times, "right") - 1, 0, len(keys) - 2)
    share = np.clip((times - keys[i]) / (keys[i + 1] - keys[i]), 0, 1)[:, None]
    begin, end = values[i].astype(float), values[i + 1].astype(float)
    cosine = (begin * end).sum(1, keepdims=True)
    angle = np.arccos(np.clip(np.abs(cosine), 0, 1 - 1e-12))
    sign = np.where(cosine < 0, -1, 1)
    return (np.sin((1 - share) * angle) * begin + sign * np.sin(share * angle) * end) / np.sin(
        angle
    )


# ---------------------------------------------------------------------------- rows


def on_tiny_head(clip: Clip) -> Curves:
    """Weights of the head's shapes, which are ARKit's; its pose."""
    head, wanted = tiny_head(), expected(clip)
    times = wanted["pose.head.yaw"].times
    weights = head.weights(clip).T
    found = {n: Track(times, w) for n, w in zip(head.names, weights, strict=True)}
    return found | {n: t for n, t in wanted.items() if n.startswith("pose.")}


@cache
def avatar() -> Path:
    """A VRM 1.0 avatar with ARKit's shapes, without eyes and animations."""
    document, data = vrm1(shapes=ARKIT, extra=False, eyes=False, twisted=False, bone=str.lower)
    document.pop("animations")
    path = Path(mkdtemp(prefix="facesdk-tests-")) / "avatar.vrm"
    path.write_bytes(glb(document, data))
    return path


AVATAR = {"head": avatar()}
EYES = frozenset(f"pose.{side}_eye.{axis}" for side in ("left", "right") for axis in AXES)
WITH_HEAD = {"head": tiny_head()}
CURVES_ONLY = {"settings": {"mesh": False}}
OPTIONS = {"glb": WITH_HEAD, "gltf": WITH_HEAD | CURVES_ONLY, "vrm": AVATAR}
NO_SHAPE = frozenset(undriven(tiny_head().names, Rig.load("metahuman")))

SHARED = 0.99
"""A mesh's weights have their keys at the same frames, so nearly all stay in the probe."""

ROWS = tuple(
    replace(row, thinned=SHARED)
    for row in (
        Row("glb", "three.js", read_three, options=WITH_HEAD),
        Row("glb", "pygltflib", read_pygltflib, options=CURVES_ONLY),
        Row("glb", "three.js", read_three, rig="metahuman", options=WITH_HEAD, lost=NO_SHAPE,
            expect=on_tiny_head),
        Row("glb", "pygltflib", read_pygltflib, rig="metahuman", options=CURVES_ONLY),
        Row("gltf", "three.js", read_three, options=WITH_HEAD),
        Row("gltf", "pygltflib", read_pygltflib, rig="vrm", options=CURVES_ONLY),
        Row("vrm", "three.js", read_three, options=AVATAR, lost=EYES),
    )
)  # fmt: skip
