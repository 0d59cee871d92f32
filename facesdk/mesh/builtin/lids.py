"""Eyelids: a blink that shuts the eye at weight 1, for every person."""

from __future__ import annotations

import numpy as np

from ..head import Joint
from ..surface import Array

COLUMNS = 25
"""Places across an eye at which the lids are made to meet."""
OVERLAP = 0.00022
"""Meters by which the upper lid covers the edge of the lower one in a full blink."""
_STEP = 0.00005
"""Meters between the heights at which an opening is measured."""
_PART = 0.4
"""Weight of the base mesh's blink at which the speed of the lids is measured."""
_SHORTEST = 0.003
"""Meters that an edge travels per weight at least."""
_PASSES = 3
_PROUD = 0.0005
"""Meters that the eyeball may lie before the skin and still count as covered."""


class Aperture:
    """The opening between the lids of an eye, seen from the front."""

    def __init__(self, points: Array, triangles: Array, eye: Joint) -> None:
        """`points` (V, 3) and `triangles` are those of the skin."""
        self._center, self._radius = np.array(eye.center), eye.radius
        corners = points[triangles]
        ahead = corners[:, :, 2].min(1) > self._center[2] - 0.2 * self._radius
        away = np.abs(corners[:, :, :2] - self._center[:2]).min(1)
        self._near = triangles[ahead & (away < 1.35 * self._radius).all(1)]
        self._vertices, self._rows = np.unique(self._near, return_inverse=True)
        self._rows = self._rows.reshape(-1, 3)
        self._points = points[self._vertices]
        self.across = np.linspace(-0.98, 0.98, COLUMNS) * self._radius + self._center[0]
        """(C,) x of the columns, meters."""

    def openings(self, delta: Array, weights: Array) -> tuple[Array, Array]:
        """Return (C,) bottom and top of the opening for (C,) weights of a (V, 3) delta.

        Where skin covers the eyeball, bottom and top are equal.
        """
        moving = delta[self._vertices]
        edges = [
            self._opening(self._points + w * moving, x)
            for x, w in zip(self.across, weights, strict=True)
        ]
        return np.array([e[0] for e in edges]), np.array([e[1] for e in edges])

    def _opening(self, points: Array, x: float) -> tuple[float, float]:
        """Return bottom and top of the eyeball's visible part in the plane of `x`."""
        reach = float(np.sqrt(max(self._radius**2 - (x - self._center[0]) ** 2, 0.0)))
        heights = self._center[1] + np.arange(-0.75 * reach, 0.75 * reach, _STEP)
        ball = self._center[2] + np.sqrt(np.maximum(reach**2 - (heights - self._center[1]) ** 2, 0))
        seen = heights[front_of(points[self._rows], x, heights) < ball - _PROUD]
        if not len(seen):
            return float(self._center[1]), float(self._center[1])
        return float(seen[0]), float(seen[-1] + _STEP)


def front_of(corners: Array, x: float, heights: Array) -> Array:
    """Return (H,) the largest z of (F, 3, 3) triangles in the plane of `x`, by height.

    -inf where the plane holds no triangle at a height.
    """
    away = corners[:, :, 0] - x
    cut = (away.min(1) < 0) & (away.max(1) >= 0)
    corners, away = corners[cut], away[cut]
    below = away < 0
    crossing = below != np.roll(below, -1, 1)  # two sides of each triangle
    share = away / np.where(crossing, away - np.roll(away, -1, 1), 1)
    ends = corners + share[..., None] * (np.roll(corners, -1, 1) - corners)
    (y0, z0), (y1, z1) = ends[crossing].reshape(-1, 2, 3)[:, :, 1:].transpose(1, 2, 0)
    rows = heights[:, None]
    within = (rows >= np.minimum(y0, y1)) & (rows <= np.maximum(y0, y1))
    run = np.where(np.abs(y1 - y0) > 1e-12, y1 - y0, 1)
    depth = np.where(within, z0 + (rows - y0) / run * (z1 - z0), -np.inf)
    return np.asarray(depth.max(1, initial=-np.inf))


def shutting(points: Array, delta: Array, triangles: Array, eye: Joint) -> Array:
    """Return the (V, 3) delta of a blink, scaled by place so that the lids just meet at weight 1.

    The base mesh's upper lid travels on over the lower one, by a length that differs between
    people.
    """
    aperture = Aperture(points, triangles, eye)
    bottom, top = aperture.openings(delta, np.zeros(COLUMNS))
    opened = top - bottom
    bottom, top = aperture.openings(delta, np.full(COLUMNS, _PART))
    travel = np.maximum((opened - (top - bottom)) / _PART, _SHORTEST)  # of the edge, per weight
    wide = np.flatnonzero(opened > 0)
    share = ((opened + OVERLAP) / travel).clip(0, 1)
    every = np.arange(COLUMNS)
    for _ in range(_PASSES):
        share = np.interp(every, wide, share[wide])  # held beyond the corners, without a step
        moved = delta * np.interp(points[:, 0], aperture.across, share)[:, None]
        bottom, top = aperture.openings(moved, np.ones(COLUMNS))
        left = _widened(top - bottom)
        if not left.any():
            break
        share += (left + OVERLAP * (left > 0)) / travel  # columns also move sideways
        share[opened == 0] = 0
    share = np.interp(every, wide, share[wide])
    return np.asarray(delta * np.interp(points[:, 0], aperture.across, share)[:, None])


def _widened(values: Array) -> Array:
    """Return (C,) values, each at least half of its neighbors."""
    padded = np.pad(values, 1) / 2
    return np.maximum(values, np.maximum(padded[:-2], padded[2:]))
