"""Solve sparse symmetric systems on the vertices of a mesh directly.

Nested dissection: the mesh is cut in two, recursively, and the vertices on the cuts are eliminated
last. The remaining work is on small dense blocks, which numpy does efficiently: 5,000 vertices and
156 right-hand sides take some tenths of a second.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import Doubles

Vertices = NDArray[np.intp]

LEAF = 120
"""Largest number of vertices to eliminate at once without another cut."""


class _Front(NamedTuple):
    """Vertices that were eliminated together."""

    own: Vertices
    border: Vertices
    """Vertices eliminated later to which these are coupled."""
    inverse: Doubles
    coupling: Doubles
    """(border, own)."""


class _Update(NamedTuple):
    """Contribution of eliminated vertices to their border."""

    border: Vertices
    matrix: Doubles


class SparseSystem:
    """A factored symmetric positive definite matrix; duplicate entries are summed."""

    def __init__(
        self, rows: ArrayLike, columns: ArrayLike, values: ArrayLike, *, points: ArrayLike
    ) -> None:
        self._points = np.asarray(points, np.float64)
        """(V, 3) positions of the unknowns; they only guide the cuts."""
        count = len(self._points)
        keys, place = np.unique(
            np.asarray(rows, np.int64) * count + np.asarray(columns), return_inverse=True
        )
        self._values = np.bincount(place, np.asarray(values, np.float64), len(keys))
        self._columns = keys % count
        self._starts = np.searchsorted(keys // count, np.arange(count + 1))
        self._done = np.zeros(count, bool)
        self._place = np.empty(count, np.intp)
        self._fronts: list[_Front] = []
        self._eliminate(np.arange(count))

    def solve(self, right: ArrayLike) -> Doubles:
        """Return the (V, n) solutions for (V, n) right-hand sides."""
        x = np.array(right, np.float64)
        for own, border, _, coupling in self._fronts:
            x[border] -= coupling @ x[own]
        for own, border, inverse, coupling in reversed(self._fronts):
            x[own] = inverse @ x[own] - coupling.T @ x[border]
        return x

    # ------------------------------------------------------------------ factoring

    def _eliminate(self, vertices: Vertices) -> list[_Update]:
        if len(vertices) <= LEAF:
            return self._front(vertices, [])
        left, right, between = self._cut(vertices)
        updates = self._eliminate(left) + self._eliminate(right)
        return self._front(between, updates) if len(between) else updates

    def _cut(self, vertices: Vertices) -> tuple[Vertices, Vertices, Vertices]:
        """Return two halves, and the vertices of the first that touch the second."""
        points = self._points[vertices]
        along = points[:, np.ptp(points, axis=0).argmax()]
        order = np.argsort(along, kind="stable")
        half = len(order) // 2
        left, right = vertices[order[:half]], vertices[order[half:]]
        beyond = np.zeros(len(self._points), bool)
        beyond[right] = True
        owner, entries = self._rows_of(left)
        touches = np.zeros(len(left), bool)
        touches[owner[beyond[self._columns[entries]]]] = True
        return left[~touches], right, left[touches]

    def _rows_of(self, vertices: Vertices) -> tuple[Vertices, Vertices]:
        """Return the entries in the rows of some vertices, and the index of the vertex of each."""
        lengths = self._starts[vertices + 1] - self._starts[vertices]
        owner = np.repeat(np.arange(len(vertices)), lengths)
        first = np.cumsum(lengths) - lengths
        return owner, np.arange(len(owner)) + (self._starts[vertices] - first)[owner]

    def _front(self, own: Vertices, updates: list[_Update]) -> list[_Update]:
        if not len(own):
            return updates
        owner, entries = self._rows_of(own)
        alive = ~self._done[self._columns[entries]]
        owner, entries = owner[alive], entries[alive]
        columns = self._columns[entries]
        seen = np.concatenate([columns, *(u.border for u in updates)])
        border = np.setdiff1d(seen, own)
        self._place[np.concatenate([own, border])] = np.arange(len(own) + len(border))
        matrix = self._assemble(len(own), len(border), owner, columns, entries, updates)
        inner, outer = matrix[: len(own), : len(own)], matrix[len(own) :, : len(own)]
        inverse: Doubles = np.asarray(np.linalg.inv(inner), np.float64)
        coupling = outer @ inverse
        self._fronts.append(_Front(own, border, inverse, coupling))
        self._done[own] = True
        return [_Update(border, matrix[len(own) :, len(own) :] - coupling @ outer.T)]

    def _assemble(
        self,
        own: int,
        border: int,
        owner: Vertices,
        columns: Vertices,
        entries: Vertices,
        updates: list[_Update],
    ) -> Doubles:
        """Return the dense matrix of a front: its rows of the system plus the pending updates."""
        matrix: NDArray[Any] = np.zeros((own + border, own + border))
        places = self._place[columns]
        matrix[owner, places] = self._values[entries]
        matrix[places, owner] = self._values[entries]
        for update in updates:
            here = self._place[update.border]
            matrix[np.ix_(here, here)] += update.matrix
        return matrix
