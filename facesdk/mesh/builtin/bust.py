"""The underside of the bust, which closes the skin."""

from __future__ import annotations

import numpy as np

from ..head import Material
from ..surface import Array, MorphMesh

BUST = Material("bust", (0.23, 0.21, 0.20), roughness=0.8, specular=0.3)

_RINGS = 3
_HOLLOW = 0.012
"""Meters by which the underside is drawn up in the middle."""


def underside(skin: MorphMesh) -> tuple[MorphMesh, Array, Array]:
    """Return the part `bust`, which closes the open border of a skin.

    Also returns (N,) the border's vertex of the skin that each of its vertices goes with, and how
    near it is to that border, 0..1.
    """
    loop = border(skin.triangles)
    rim = skin.points[loop].astype(float)
    center = rim.mean(0)
    center[1] = rim[:, 1].min() + _HOLLOW
    shares = np.linspace(1, 0, _RINGS + 1)[:-1]
    rings = [center + s * (rim - center) for s in shares]
    for ring, s in zip(rings, shares, strict=True):  # round the edge: fall fast, then flat
        ring[:, 1] = center[1] + (s**2.2) * (rim[:, 1] - center[1])
    points = np.concatenate([*rings, center[None]])
    count = len(loop)
    here, there = np.arange(count), (np.arange(count) + 1) % count
    triangles = []
    for k in range(_RINGS - 1):
        a, b = k * count + here, k * count + there
        triangles += [np.stack([a, b, a + count], 1), np.stack([b, b + count, a + count], 1)]
    last = (_RINGS - 1) * count
    middle = np.full(count, len(points) - 1)
    triangles.append(np.stack([last + here, last + there, middle], 1))
    rows = np.concatenate(triangles)
    a, b, c = points[rows].transpose(1, 0, 2)
    if np.cross(b - a, c - a)[:, 1].sum() > 0:  # it looks down
        rows = rows[:, ::-1]
    deltas = np.zeros((len(skin.deltas), *points.shape), np.float32)
    goes_with = np.concatenate([np.tile(loop, _RINGS), loop[:1]])
    near = np.concatenate([np.repeat(shares, count), [0.0]])
    return MorphMesh.of(points, rows, deltas, BUST, name="bust"), goes_with, near


def border(triangles: Array) -> Array:
    """Return (N,) the vertices around the only hole of a surface, in order.

    Raises `ValueError` for a surface with no hole or several.
    """
    sides = triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    keys = np.sort(sides, 1)
    _, first, counts = np.unique(keys, axis=0, return_index=True, return_counts=True)
    after = {int(a): int(b) for a, b in sides[first[counts == 1]]}
    if not after:
        raise ValueError("the surface is closed")
    loop = [next(iter(after))]
    while (ahead := after[loop[-1]]) != loop[0]:
        loop.append(ahead)
    if len(loop) != len(after):
        raise ValueError("the surface has several holes")
    return np.array(loop)
