"""Build heads from file contents: ARKit's names, meters, one convention for mouthClose."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FileFormatError
from ...rig import Rig
from ..builtin.eyes import GAZE
from ..convention import contains_jaw
from ..head import Head, Joint, Material, Part
from .shape_names import shape_name

Array = NDArray[Any]

MAX_VERTICES = 2_000_000
MAX_NUMBERS = 100_000_000
"""Largest number of vertices, and of all shapes' numbers together, that is read."""

MAX_COORDINATE = 1e9
"""Largest coordinate that is read, in any unit."""

LENGTH_UNITS = ((2.6, 1.0), (6.0, 0.1), (260.0, 0.01), (np.inf, 0.001))
"""Largest extent of a head or body in a unit of length, and the meters of this unit."""

PLAIN = Material("surface", (0.72, 0.70, 0.68), roughness=0.6)


@dataclass(frozen=True, eq=False)
class Raw:
    """A head as a file describes it, in the file's own units and names."""

    name: str
    neutral: Array
    triangles: Array
    shapes: Mapping[str, Array] = field(default_factory=dict)
    """(V, 3) offsets of each shape, by the file's own name."""
    parts: Sequence[Part] = ()
    colors: Array | None = None
    uvs: Array | None = None
    masks: Mapping[str, Array] = field(default_factory=dict)


def check_size(vertices: int, shapes: int, source: object) -> None:
    """Raise `FileFormatError` for a head that is too large to be one."""
    if vertices > MAX_VERTICES or vertices * (shapes + 1) * 3 > MAX_NUMBERS:
        raise FileFormatError(
            f"{source} has {shapes} shapes of {vertices:,} vertices; "
            f"a head has at most {MAX_VERTICES:,} vertices and {MAX_NUMBERS:,} numbers"
        )


def assemble(raw: Raw) -> Head:
    """Return the head that a file describes.

    Shapes split into halves (`browInnerUp_L`, `browInnerUp_R`) are summed. If mouthClose contains
    the jaw motion, jawOpen is subtracted from it, so that it means the same on every head.
    """
    for array in (raw.neutral, *raw.shapes.values()):
        if not np.abs(array).max(initial=0) < MAX_COORDINATE:
            raise FileFormatError(f"{raw.name} has coordinates above {MAX_COORDINATE:g}")
    scale = length_unit(raw.neutral)
    deltas: dict[str, Array] = {}
    for written, delta in raw.shapes.items():
        name = shape_name(written)
        deltas[name] = deltas[name] + delta if name in deltas else delta
    if {"jawOpen", "mouthClose"} <= set(deltas) and contains_jaw(
        raw.neutral, deltas["jawOpen"], deltas["mouthClose"]
    ):
        deltas["mouthClose"] = deltas["mouthClose"] - deltas["jawOpen"]
    arkit = [name for name in Rig.load("arkit").names if name in deltas]
    names = (*arkit, *(name for name in deltas if name not in arkit))
    stack = np.zeros((len(names), len(raw.neutral), 3), np.float32)
    for row, name in zip(stack, names, strict=True):
        row[:] = deltas[name]
    stack *= np.float32(scale)
    neutral = (raw.neutral * scale).astype(np.float32)
    eyes = find_eyes(raw, neutral, stack)
    whole = Part("surface", slice(0, len(raw.triangles)), PLAIN)
    return Head(
        name=raw.name,
        neutral=neutral,
        triangles=np.asarray(raw.triangles, np.int32).reshape(-1, 3),
        names=names,
        deltas=stack,
        parts=tuple(raw.parts) or (whole,),
        colors=None if raw.colors is None else np.asarray(raw.colors, np.float32),
        uvs=None if raw.uvs is None else np.asarray(raw.uvs, np.float32),
        joints=pivots(neutral, stack) | {name: joint for name, (joint, _) in eyes.items()},
        masks={n: np.asarray(m, np.float32) for n, m in raw.masks.items()}
        | {name: mask for name, (_, mask) in eyes.items()},
        gaze=GAZE if eyes else {},
    )


def find_eyes(raw: Raw, neutral: Array, deltas: Array) -> dict[str, tuple[Joint, Array]]:
    """Return pivots and masks of eyeballs that no shape moves, found by their parts' names."""
    eyes = {}
    for side in ("left", "right"):
        used = [raw.triangles[p.triangles].ravel() for p in raw.parts if _is_eye(p.name, side)]
        own = np.unique(np.concatenate(used)) if used else np.zeros(0, int)
        if len(own) < 12 or np.abs(deltas[:, own]).max(initial=0) > 1e-5:
            continue
        mask = np.zeros(len(neutral), np.float32)
        mask[own] = 1
        eyes[f"{side}_eye"] = (nearest_sphere(neutral[own]), mask)
    return eyes


def _is_eye(name: str, side: str) -> bool:
    words = re.sub(r"[^a-z]", "", name.lower())
    return re.fullmatch(rf".*(eye|eyeball)({side}|{side[0]})|.*{side}eye(ball)?", words) is not None


def nearest_sphere(points: Array) -> Joint:
    """Return center and radius of the sphere that fits points best."""
    points = points.astype(float)
    system = np.concatenate([2 * points, np.ones((len(points), 1))], 1)
    x, y, z, rest = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0]
    radius = np.sqrt(max(rest + x * x + y * y + z * z, 0.0))
    return Joint((float(x), float(y), float(z)), float(radius))


def length_unit(points: Array) -> float:
    """Return the meters per unit of length of a head, inferred from its size."""
    if not len(points):
        return 1.0
    extent = float(np.ptp(points, axis=0).max())
    return next(meters for longest, meters in LENGTH_UNITS if extent < longest)


def pivots(neutral: Array, deltas: Array) -> dict[str, Joint]:
    """Return pivots of a head without a skeleton: behind and below its moving face."""
    if not len(neutral):
        return {}
    moved = np.abs(deltas).max((0, 2)) > 1e-5 if len(deltas) else np.ones(len(neutral), bool)
    face = neutral[moved] if moved.any() else neutral
    low, high = face.min(0), face.max(0)
    size = high - low
    middle = (low + high) / 2
    head = (float(middle[0]), float(low[1] + 0.35 * size[1]), float(high[2] - 0.55 * size[1]))
    neck = (head[0], float(head[1] - 0.55 * size[1]), float(head[2] - 0.15 * size[1]))
    return {"head": Joint(head), "neck": Joint(neck)}
