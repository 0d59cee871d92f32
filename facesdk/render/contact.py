"""Contact shadows: how much of the light around a head reaches each of its vertices at rest."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..mesh import Head
from ..mesh.surface import normals
from .software.raster import NOTHING, planes, visible

DIRECTIONS = 18
"""Directions from which light is tested, on a sphere."""
_MANY = 80_000
"""Triangles above which half of the directions must do."""
_SIDE = 96
"""Samples across a head, seen from each direction."""
_CLEAR = 0.0035
"""Meters by which something must lie in front of a vertex to hide it."""
_FROM_ABOVE = 0.8
"""How much more light comes from above than from the side, as in rooms and outdoors."""

Ints = NDArray[np.int32]


@lru_cache(4)
def openness_at_rest(head: Head, parts: tuple[str, ...]) -> Floats:
    """Return (V,) shares of light in 0..1; 1 for all parts but the named ones.

    Parts shade each other and themselves. Computed once per head, so it costs nothing per frame.
    """
    count = len(head.neutral)
    rows = [head.triangles[part.triangles] for part in head.parts if part.name in parts]
    if not rows:
        return np.ones(count, np.float32)
    triangles = np.concatenate(rows).astype(np.int32)
    if not len(triangles):
        return np.ones(count, np.float32)
    own, local = np.unique(triangles, return_inverse=True)
    faces = local.reshape(-1, 3).astype(np.int32)
    points = np.asarray(head.neutral[own], np.float32)
    up = normals(points, faces)
    came, whole = np.zeros(len(own)), np.zeros(len(own))
    for direction in _sphere(DIRECTIONS if len(faces) <= _MANY else DIRECTIONS // 2):
        facing = np.maximum(up @ direction, 0) * (1 + _FROM_ABOVE * direction[1])
        whole += facing
        came += facing * _lit(points + up * np.float32(0.0006), points, faces, direction)
    share: Floats = np.clip(came / np.maximum(whole, 1e-9), 0, 1).astype(np.float32)
    for _ in range(2):
        share = _smoothed(share, faces)
    result = np.ones(count, np.float32)
    result[own] = share
    return result


def _sphere(count: int) -> Floats:
    """Return (count, 3) evenly spread directions."""
    index = np.arange(count) + 0.5
    height = 1 - 2 * index / count
    turn = np.pi * (1 + 5**0.5) * index
    flat = np.sqrt(1 - height**2)
    return np.stack([flat * np.cos(turn), height, flat * np.sin(turn)], 1).astype(np.float32)


def _lit(places: Floats, points: Floats, triangles: Ints, direction: Floats) -> Floats:
    """Return (N,) 1 for places that see the light from a direction, 0 for hidden ones."""
    side = np.cross(direction, [0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(side, direction), direction], 1).astype(np.float32)
    turned, seen = points @ axes, places @ axes
    low, high = turned.min(0), turned.max(0)
    pixel = float((high[:2] - low[:2]).max()) / _SIDE
    if pixel <= 0:
        return np.ones(len(places), np.float32)
    screen = np.concatenate([(turned[:, :2] - low[:2]) / pixel, turned[:, 2:] - low[2] + 1], 1)
    screen = screen.astype(np.float32)
    width, height = (int(n) for n in np.ceil(screen[:, :2].max(0)) + 1)
    number = visible(screen, triangles, width, height)
    depth = np.full((height, width), -np.inf, np.float32)
    y, x = np.nonzero(number != NOTHING)
    plane = planes(screen, triangles, screen[:, 2:])[number[y, x], :, 0]
    depth[y, x] = plane[:, 0] + plane[:, 1] * (x + 0.5) + plane[:, 2] * (y + 0.5)
    at = (seen[:, :2] - low[:2]) / pixel - 0.5
    own = seen[:, 2] - low[2] + 1
    cell = np.floor(at).astype(int)
    share = at - cell
    open_ = np.zeros(len(places), np.float32)
    for step_x in (0, 1):
        for step_y in (0, 1):
            weight = np.abs(1 - step_x - share[:, 0]) * np.abs(1 - step_y - share[:, 1])
            column = np.clip(cell[:, 0] + step_x, 0, width - 1)
            row = np.clip(cell[:, 1] + step_y, 0, height - 1)
            open_ += weight * (depth[row, column] < own + _CLEAR)
    return open_


def _smoothed(values: Floats, triangles: Ints) -> Floats:
    """Return (N,) values averaged over the triangles around each vertex."""
    mean = np.repeat(values[triangles].mean(1), 3)
    flat = triangles.ravel()
    total = np.bincount(flat, mean, len(values))
    mean_of = total / np.maximum(np.bincount(flat, minlength=len(values)), 1)
    return np.asarray(mean_of, np.float32)
