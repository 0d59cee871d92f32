"""Meshes with shapes, from which a head is assembled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Indices
from .head import Material, Part

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class MorphMesh:
    """A mesh with the deltas of the head's shapes (morph targets)."""

    points: Floats
    """(V, 3) meters."""
    triangles: Indices
    deltas: Floats
    """(S, V, 3) meters."""
    parts: tuple[Part, ...]
    colors: Floats
    """(V, 3) sRGB."""

    @classmethod
    def of(
        cls, points: Array, triangles: Array, deltas: Array, material: Material,
        *, name: str, colors: Array | None = None,
    ) -> MorphMesh:  # fmt: skip
        """Build a mesh of one part; vertices without colors take the material's."""
        if colors is None:
            colors = np.broadcast_to(np.array(material.color), points.shape)
        return cls(
            np.asarray(points, np.float32),
            np.asarray(triangles, np.int32),
            np.asarray(deltas, np.float32),
            (Part(name, slice(0, len(triangles)), material),),
            np.array(colors, np.float32),
        )


def joined(meshes: Sequence[MorphMesh]) -> MorphMesh:
    """Return several meshes as one, their parts in order."""
    vertices = np.cumsum([0, *(len(s.points) for s in meshes)])
    rows = np.cumsum([0, *(len(s.triangles) for s in meshes)])
    parts = [
        replace(p, triangles=slice(p.triangles.start + row, p.triangles.stop + row))
        for s, row in zip(meshes, rows, strict=False)
        for p in s.parts
    ]
    triangles = [s.triangles + start for s, start in zip(meshes, vertices, strict=False)]
    return MorphMesh(
        np.concatenate([s.points for s in meshes]),
        np.concatenate(triangles).astype(np.int32),
        np.concatenate([s.deltas for s in meshes], 1),
        tuple(parts),
        np.concatenate([s.colors for s in meshes]),
    )


def normals(points: Array, triangles: Array) -> Floats:
    """Return (V, 3) unit normals of vertices, weighted by triangle area."""
    corners = points[triangles]
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack(
        [
            np.bincount(triangles.ravel(), np.repeat(face[:, axis], 3), len(points))
            for axis in range(3)
        ],
        1,
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.asarray(total / np.maximum(length, 1e-12), np.float32)


def outward(points: Array, triangles: Array) -> Indices:
    """Return the triangles of closed bodies, flipped if needed to enclose a positive volume."""
    a, b, c = points[triangles].transpose(1, 0, 2)
    volume = (np.cross(a - points.mean(0), b - points.mean(0)) * (c - points.mean(0))).sum()
    turned = triangles if volume >= 0 else triangles[:, ::-1]
    return turned.astype(np.int32)


def grid_triangles(rows: int, columns: int, *, closed: bool = False) -> Indices:
    """Return triangles of a grid of vertices in row order; `closed` joins last and first column."""
    row, column = np.mgrid[0 : rows - 1, 0 : columns - (not closed)]
    here, right = row * columns + column, row * columns + (column + 1) % columns
    lower = np.stack([here, right, here + columns], -1)
    upper = np.stack([right, right + columns, here + columns], -1)
    return np.concatenate([lower.reshape(-1, 3), upper.reshape(-1, 3)]).astype(np.int32)


def smooth_step(low: float, high: float, values: Array) -> Array:
    """Return 0 below `low`, 1 above `high`, smooth in between; reversed if `low` > `high`."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


@dataclass(frozen=True, eq=False)
class Carrier:
    """Moves points along with others by the affine motion that fits them."""

    points: Array
    """(N, 3) points at rest."""

    def __call__(self, followers: Array, deltas: Array) -> Array:
        """Return (S, M, 3) deltas of followers for (S, N, 3) deltas of the points."""
        inverse = np.linalg.pinv(_with_one(self.points), rcond=1e-6)
        affine = np.einsum("kn,sni->ski", inverse, deltas)
        return np.asarray(np.einsum("mk,ski->smi", _with_one(followers), affine))


def _with_one(points: Array) -> Array:
    return np.concatenate([points, np.ones((len(points), 1))], 1)
