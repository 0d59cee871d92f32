"""lightusd, a USD reader without Pixar's code."""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from . import Played, Player, placed, skinned


def missing() -> str | None:
    return None if find_spec("lightusd") else "lightusd is not installed: pip install lightusd"


def play(path: Path, times: np.ndarray, begin: float, fps: Fraction) -> Played:
    import lightusd

    stage = lightusd.load(str(path))
    codes = times * float(stage.time_codes_per_second)
    animation, *_ = stage.prims_of_type("SkelAnimation")
    (skeleton,) = stage.prims_of_type("Skeleton")
    (mesh,) = stage.prims_of_type("Mesh")
    names = _texts(animation, "blendShapes")
    values = np.stack([_at(animation, "blendShapeWeights", code).ravel() for code in codes])
    weights = {name: [values[:, i]] for i, name in enumerate(names)}
    joints = _texts(animation, "joints")
    # real part first
    turns = np.stack([_at(animation, "rotations", code).reshape(-1, 4) for code in codes])
    turns = np.roll(turns, -1, 2)
    places = _numbers(animation, "translations").reshape(-1, 3)
    world: dict[str, np.ndarray] = {}
    for i, joint in enumerate(joints):
        local = placed(turns[:, i], places[i])
        world[joint] = world[joint.rpartition("/")[0]] @ local if "/" in joint else local
    unit = float(stage.meters_per_unit)
    rest = _numbers(mesh, "points").reshape(-1, 3)
    moved = np.tile(rest, (len(times), 1, 1))
    shapes = {str(p.path).rpartition("/")[2]: p for p in stage.prims_of_type("BlendShape")}
    for name in _texts(mesh, "skel:blendShapes"):
        if name not in weights:  # no control of the clip is called so
            continue
        shape = shapes[name]
        rows = _numbers(shape, "pointIndices").astype(int).ravel()
        offsets = _numbers(shape, "offsets").reshape(-1, 3)
        moved[:, rows] += weights[name][0][:, None, None] * offsets
    bind = _numbers(skeleton, "bindTransforms").reshape(-1, 4, 4).swapaxes(1, 2)
    bones = np.stack([world[j] @ np.linalg.inv(m) for j, m in zip(joints, bind, strict=True)], 1)
    indices = _numbers(mesh, "primvars:skel:jointIndices").astype(int).reshape(len(rest), -1)
    parts = _numbers(mesh, "primvars:skel:jointWeights").reshape(len(rest), -1)
    shares = np.zeros((len(rest), len(joints)))
    for column in range(indices.shape[1]):
        np.add.at(shares, (np.arange(len(rest)), indices[:, column]), parts[:, column])
    named = {joint.rpartition("/")[2]: turns[:, i] for i, joint in enumerate(joints)}
    return Played(times, weights, named, rest * unit, skinned(rest, moved, bones, shares) * unit)


def _at(prim: Any, name: str, code: float) -> np.ndarray:
    return np.asarray(prim.attribute(name).eval(float(code)), float)


def _numbers(prim: Any, name: str) -> np.ndarray:
    return np.asarray(prim.attribute(name).get(), float)


def _texts(prim: Any, name: str) -> list[str]:
    return [str(text) for text in np.asarray(prim.attribute(name).get()).ravel()]


PLAYERS = (Player("lightusd", ("usda", "usdc"), play, missing),)
