"""Loop subdivision: a smoother surface with four triangles for each one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Indices

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Subdivision:
    """One step of Loop's scheme for a set of triangles.

    Linear in the values at the vertices, so neutral, shapes and masks are refined alike.
    """

    triangles: Indices
    vertices: int

    @cached_property
    def _edges(self) -> tuple[Array, Array]:
        """(E, 2) ends of every edge, and the (3 F,) edge of each side of the triangles."""
        sides = np.sort(self.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
        keys, edge = np.unique(sides[:, 0].astype(np.int64) * self.vertices + sides[:, 1],
                               return_inverse=True)  # fmt: skip
        return np.stack([keys // self.vertices, keys % self.vertices], 1), edge.ravel()

    @cached_property
    def refined(self) -> Indices:
        """(4 F, 3) triangles of the refined surface, four in place of each one."""
        a, b, c = self.triangles.T
        ab, bc, ca = (self.vertices + self._edges[1].reshape(-1, 3)).T
        rows = [[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]]
        return np.array(rows, np.int32).transpose(2, 0, 1).reshape(-1, 3)

    def halves(self, values: Array) -> Array:
        """Return (V + E, n) values: those at the vertices, then the middle of each edge."""
        ends = self._edges[0]
        return np.concatenate([values, (values[ends[:, 0]] + values[ends[:, 1]]) / 2])

    def shapes(self, points: Array, deltas: Array) -> tuple[Array, Array]:
        """Return refined (V, 3) points and (S, V, 3) deltas; shapes without motion cost nothing."""
        moving = np.flatnonzero(np.abs(deltas).max((1, 2)) > 0)
        flat = deltas[moving].transpose(1, 0, 2).reshape(len(points), -1)
        fine = self(np.concatenate([points.astype(np.float32), flat], 1))
        refined = np.zeros((len(deltas), len(fine), 3), np.float32)
        refined[moving] = fine[:, 3:].reshape(len(fine), -1, 3).transpose(1, 0, 2)
        return fine[:, :3], refined

    def __call__(self, values: Array) -> Array:
        """Return (V + E, n) smoothed values for (V, n) values such as points or deltas."""
        ends, edge = self._edges
        count = np.bincount(edge, minlength=len(ends))
        across = self.triangles[:, [2, 0, 1]].ravel()
        opposite = _summed(edge, values[across], len(ends))
        middle = values[ends[:, 0]] + values[ends[:, 1]]
        border = (count == 1)[:, None]
        edges = np.where(border, middle / 2, middle * 3 / 8 + opposite / 8)
        return np.concatenate([self._moved(values, ends, count == 1), edges])

    def _moved(self, values: Array, ends: Array, border: Array) -> Array:
        """Return the old vertices moved toward their neighbors; on a border, along the border."""
        inner = self._averaged(values, ends)
        on_border = np.unique(ends[border])
        inner[on_border] = self._averaged(values, ends[border], border=True)[on_border]
        return inner

    def _averaged(self, values: Array, ends: Array, *, border: bool = False) -> Array:
        here, there = ends.T
        both, other = np.concatenate([here, there]), np.concatenate([there, here])
        degree = np.bincount(both, minlength=self.vertices)[:, None].clip(1)
        around = _summed(both, values[other], self.vertices) / degree
        share = np.full_like(degree, 0.25, float) if border else _loop_share(degree)
        return np.asarray((1 - share) * values + share * around)


def _loop_share(degree: Array) -> Array:
    """Return Loop's weight of all neighbors together."""
    return np.asarray(5 / 8 - (3 / 8 + np.cos(2 * np.pi / degree) / 4) ** 2)


def _summed(groups: Array, rows: Array, count: int) -> Array:
    """Return (count, n) sums of rows by group; an empty group sums to zero."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    total = np.zeros((count, rows.shape[1]), rows.dtype)
    total[groups[order[starts]]] = np.add.reduceat(rows[order], starts, axis=0)
    return total
