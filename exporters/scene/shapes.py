"""Shapes of a head: the vertices that each one moves, and how their normals turn."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import Floats
from ...mesh import Head
from ...mesh.surface import normals

_STILL = 1e-7
"""Meters; a shape leaves out vertices that it moves by less."""
_STEADY = 1e-4
"""A shape leaves out vertices whose normals it changes by less."""
_DECIMALS = 5
"""Of normals, so that files are the same on every machine."""


class Shape(NamedTuple):
    """One shape of a head. Eyeballs are left to their joints."""

    vertices: NDArray[np.intp]
    """(N,) vertices that move or turn; empty for a shape without effect."""
    offsets: Floats
    """(N, 3) meters."""
    turns: Floats
    """(N, 3) changes of the normals."""


@lru_cache(2)
def rest_normals(head: Head) -> Floats:
    """Return (V, 3) unit normals of the neutral face."""
    return _normals(head.neutral, head.triangles)


@lru_cache(2)
def shapes_of(head: Head) -> tuple[Shape, ...]:
    """Return the shapes of a head, in its order."""
    rest = rest_normals(head)
    return tuple(_shape(head, d, rest) for d in head.basis.reshape(len(head.names), -1, 3))


def _shape(head: Head, delta: Floats, rest: Floats) -> Shape:
    turned = np.asarray(_normals(head.neutral + delta, head.triangles) - rest, np.float32)
    turned = np.round(turned, _DECIMALS) + np.float32(0)
    moves = np.abs(delta).max(1) > _STILL
    vertices = np.flatnonzero(moves | (np.abs(turned).max(1) > _STEADY))
    return Shape(vertices, delta[vertices], turned[vertices])


def _normals(points: NDArray[Any], triangles: NDArray[Any]) -> Floats:
    """Return (V, 3) unit normals; those of lone points look forward."""
    up = normals(points.astype(np.float64), triangles)
    up[np.linalg.norm(up, axis=1) < 0.5] = (0, 0, 1)
    return np.asarray(np.round(up, _DECIMALS) + np.float32(0), np.float32)
