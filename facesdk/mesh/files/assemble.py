"""Build heads from file contents: ARKit's names, meters, one convention for mouthClose."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FileFormatError
from ...names import Vocabulary, bare, vocabulary, warn_twice, without_shared_end
from ...rig import Rig
from ..builtin.eyes import GAZE
from ..builtin.tongue import SHAPES
from ..convention import contains_jaw
from ..drive import Binding, Bindings
from ..head import Head, Joint, Material, Part

Array = NDArray[Any]

MAX_VERTICES = 2_000_000
MAX_NUMBERS = 100_000_000
"""Largest number of vertices, and of all shapes' numbers together, that is read."""

MAX_COORDINATE = 1e9
"""Largest coordinate that is read, in any unit."""

LENGTH_UNITS = ((2.6, 1.0), (6.0, 0.1), (260.0, 0.01), (np.inf, 0.001))
"""Largest extent of a head or body in a unit of length, and the meters of this unit."""

LARGEST_HEAD_CM = 100.0
"""Largest extent in centimeters that a head with shoulders may have."""

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
    bindings: Bindings = field(default_factory=dict)
    """Controls of rigs on the file's own shapes, such as the expressions of a VRM avatar."""


@cache
def shape_vocabulary() -> Vocabulary:
    """Return the spellings of ARKit's shapes and of the tongue's."""
    return Vocabulary((*Rig.load("arkit").names, *SHAPES))


def is_animated(written: str) -> bool:
    """Whether clips set a shape of this name."""
    return any(v.find(written) for v in (shape_vocabulary(), vocabulary("oculus")))


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
    deltas, names_of = named_shapes(raw)
    bindings = _add_expressions(raw, deltas, names_of)
    known = shape_vocabulary()
    face = [deltas[name] for name in deltas if known.find(name)]
    scale = length_unit(raw.neutral, face)
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
        bindings=bindings,
    )


def joined(name: str, pieces: Sequence[Raw]) -> Raw:
    """Return surfaces of one part each as one head; a shape of several of them moves them all."""
    count = sum(len(piece.neutral) for piece in pieces)
    shapes: dict[str, Array] = {}
    parts, triangles = [], []
    place = row = 0
    for piece in pieces:
        here = slice(place, place + len(piece.neutral))
        for shape, delta in piece.shapes.items():
            shapes.setdefault(shape, np.zeros((count, 3), np.float32))[here] = delta
        triangles.append(piece.triangles + place)
        rows = slice(row, row + len(piece.triangles))
        parts.append(replace(piece.parts[0], triangles=rows))
        place, row = here.stop, rows.stop
    uvs = [np.zeros((len(p.neutral), 2)) if p.uvs is None else p.uvs for p in pieces]
    return Raw(
        name,
        np.concatenate([p.neutral for p in pieces]),
        np.concatenate(triangles),
        shapes,
        parts,
        colors=_joined_colors(pieces),
        uvs=np.concatenate(uvs) if any(p.uvs is not None for p in pieces) else None,
    )


def _joined_colors(pieces: Sequence[Raw]) -> Array | None:
    """Return vertex colors if any part has some; other parts take their material's."""
    if all(p.colors is None for p in pieces):
        return None
    rows = [
        np.tile(p.parts[0].material.color, (len(p.neutral), 1)) if p.colors is None else p.colors
        for p in pieces
    ]
    return np.concatenate(rows)


def turned_up(raw: Raw) -> Raw:
    """Return a head whose file has Z up, looking along -Y as in Blender and 3ds Max, with Y up."""

    def turn(points: Array) -> Array:
        return np.stack([points[:, 0], points[:, 2], -points[:, 1]], 1)

    shapes = {name: turn(np.asarray(delta)) for name, delta in raw.shapes.items()}
    return replace(raw, neutral=turn(raw.neutral), shapes=shapes)


def named_shapes(raw: Raw) -> tuple[dict[str, Array], dict[str, str]]:
    """Return offsets by ARKit's names, and the name that each shape of the file has there.

    Halves and meshes of their own are summed. Where two shapes with one name move the same part,
    the first counts, and an exact spelling before any other; the others are dropped with a warning.
    """
    known, plain = shape_vocabulary(), without_shared_end(list(raw.shapes))
    halves: dict[str, str] = {}
    spellings: dict[str, list[str]] = {}
    names_of: dict[str, str] = {}
    for written in raw.shapes:
        found = known.find(written) or known.find(plain[written])
        names_of[written] = found.control if found else bare(written)
        halves[written] = found.half if found else ""
        spellings.setdefault(names_of[written], []).append(written)
    deltas: dict[str, Array] = {}
    twice: list[str] = []
    for name, group in spellings.items():
        if len(group) == 1:
            deltas[name] = raw.shapes[group[0]]
        elif known.find(name) is None:
            apart = _unknown(raw, name, group)
            deltas |= apart
            names_of |= {written: written for written in group if written in apart}
        else:
            order = sorted(group, key=lambda w: (halves[w], w != name))
            deltas[name], unused = _summed(raw, order, halves)
            twice += [f"{written} ({name})" for written in unused]
    if twice:
        warn_twice(f"head {raw.name!r}", twice)
    return deltas, names_of


def names_of_shapes(raw: Raw) -> dict[str, dict[str, list[str]]]:
    """Return the file's shapes by rig and control; those of no rig are under `other`.

    Names of the tongue's shapes are under `head`.
    """
    deltas, names_of = named_shapes(raw)
    own = dict(deltas)
    bindings = _add_expressions(raw, deltas, names_of)
    written: dict[str, list[str]] = {}
    for name, final in names_of.items():
        written.setdefault(final, []).append(name)
    result: dict[str, dict[str, list[str]]] = {}
    arkit, used = Rig.load("arkit"), set[str]()
    for name in own:
        if shape_vocabulary().find(name):
            kind = "arkit" if name in arkit else "head"
            result.setdefault(kind, {})[name] = written.get(name, [name])
            used.add(name)
    for control, binding in raw.bindings.get("arkit", {}).items():
        result.setdefault("arkit", {}).setdefault(control, list(binding.weights))
        used |= {names_of.get(name, name) for name in binding.weights}
    for rig, controls in bindings.items():
        for control, binding in controls.items():
            several = [name for shape in binding.weights for name in written.get(shape, [shape])]
            result.setdefault(rig, {})[control] = several
            used |= set(binding.weights)
    if other := [name for final, names in written.items() if final not in used for name in names]:
        result["other"] = {name: [name] for name in other}
    return result


def _add_expressions(
    raw: Raw, deltas: dict[str, Array], names_of: Mapping[str, str]
) -> dict[str, dict[str, Binding]]:
    """Return bindings on named shapes; those on ARKit's controls become shapes in `deltas`.

    Shapes that are called as visemes or as presets of VRM are bound to them.
    """
    bindings: dict[str, dict[str, Binding]] = {}
    for rig, controls in raw.bindings.items():
        for control, binding in controls.items():
            weights: dict[str, float] = {}
            for written, weight in binding.weights.items():
                if (name := names_of.get(written)) is not None:
                    weights[name] = weight
            if weights:
                bindings.setdefault(rig, {})[control] = replace(binding, weights=weights)
    sums = {
        control: sum(weight * deltas[name] for name, weight in binding.weights.items())
        for control, binding in bindings.pop("arkit", {}).items()
        if control not in deltas
    }
    for name in list(deltas):
        for rig in ("oculus", "vrm"):
            found = vocabulary(rig).find(name)
            if found and not found.half and name not in sums:
                bindings.setdefault(rig, {}).setdefault(found.control, Binding({name: 1.0}))
    deltas |= {control: np.asarray(total) for control, total in sums.items()}
    return bindings


def _unknown(raw: Raw, name: str, group: Sequence[str]) -> dict[str, Array]:
    """Return shapes that end in the same word: one if they move different parts, else all."""
    total, unused = _summed(raw, group, {})
    return {written: raw.shapes[written] for written in group} if unused else {name: total}


def _summed(raw: Raw, group: Sequence[str], halves: Mapping[str, str]) -> tuple[Array, list[str]]:
    """Return the sum of spellings of one shape, part by part, and those that repeat others."""
    parts = [np.unique(raw.triangles[part.triangles]) for part in raw.parts]
    total = np.zeros(raw.neutral.shape)
    taken: set[tuple[int, str]] = set()
    unused = []
    for written in group:
        delta, side = np.asarray(raw.shapes[written]), halves.get(written, "")
        moved = [
            (i, own) for i, own in enumerate(parts or [np.arange(len(total))]) if delta[own].any()
        ]
        free = [(i, own) for i, own in moved if not {(i, ""), (i, side)} & taken]
        for i, own in free:
            total[own] += delta[own]
            taken.add((i, side))
        if len(free) < len(moved):
            unused.append(written)
    return total, unused


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


def length_unit(points: Array, face: Sequence[Array] = ()) -> float:
    """Return the meters per unit of length of a head, inferred from its size.

    `face` holds the offsets of its known shapes. 170 units are a body in centimeters, but a head
    alone is not that large: it is in millimeters.
    """
    if not len(points):
        return 1.0
    extent = float(np.ptp(points, axis=0).max())
    if extent >= LARGEST_HEAD_CM and is_head_alone(points, face):
        return 0.001
    return next(meters for longest, meters in LENGTH_UNITS if extent < longest)


def is_head_alone(points: Array, face: Sequence[Array] = ()) -> bool:
    """Whether a surface is a head without a body, by its proportions.

    Shapes of the face move most of a head and a small share of a body. Where they leave it open,
    depth decides: a head is about as deep as it is high, a body is flat.
    """
    sizes = np.ptp(points, axis=0)
    extent = float(sizes.max())
    moved = np.zeros(len(points), bool)
    for delta in face:
        moved |= np.abs(delta).max(1) > 1e-5 * extent
    share = float(np.ptp(points[moved], axis=0).max()) / extent if moved.any() else 0.0
    if share >= 0.4:
        return True
    if 0 < share < 0.2:
        return False
    return float(sizes.min()) >= 0.35 * extent


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
