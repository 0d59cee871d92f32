"""A z-buffer in numpy: which triangle is visible at each sample.

A triangle becomes spans, one per row that it covers, and a span becomes fragments, so the work
grows with the covered area rather than with bounding boxes. An edge crosses a row at the same
number for both of its triangles, which leaves neither gaps nor overlaps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...arrays import Floats

Ints = NDArray[np.int32]

NOTHING = -1
"""Triangle number of the background."""

_SLIVER = 1e-3
"""Twice the area in square samples below which a triangle has no reliable plane."""

_SPAN_BITS = 32
_MASK = (1 << _SPAN_BITS) - 1
_DEPTH_STEPS = 1 << 30


def visible(points: Floats, triangles: Ints, width: int, height: int) -> Ints:
    """Return (height, width) numbers of the triangle visible at each sample center, or -1.

    `points` (V, 3) are x and y in samples, y down, and nearness: larger is in front. Triangles are
    visible from both sides; `facing` selects those to draw.
    """
    corners = _from_top(points[triangles])
    rows, of = _rows(corners, height)
    seen = np.full(width * height, NOTHING, np.int32)
    if len(of):
        first, lengths, depth, slope = _spans(corners, of, rows, width)
        span, within = _repeated(lengths)
        where = (rows * np.int32(width) + first)[span] + within
        near = depth[span] + slope[span] * within.astype(np.float32)
        nearest = np.zeros(len(seen), np.int64)
        np.maximum.at(nearest, where, _keys(near, span))
        hit = np.flatnonzero(nearest)
        seen[hit] = of[(nearest[hit] & _MASK) - 1]
    return seen.reshape(height, width)


def _keys(near: Floats, span: Ints) -> NDArray[np.int64]:
    """Return nearness and span in one integer, of which the largest is visible."""
    low, high = near.min(initial=np.inf), near.max(initial=-np.inf)
    scale = np.float32(_DEPTH_STEPS / max(float(high - low), 1e-12))
    keys = ((near - low) * scale).astype(np.int64)
    keys <<= _SPAN_BITS
    keys += span
    keys += 1
    return np.asarray(keys, np.int64)


def facing(points: Floats, triangles: Ints) -> NDArray[np.bool_]:
    """Return (F,) whether a triangle's corners run counterclockwise as seen, with y down."""
    x, y = points[:, 0], points[:, 1]
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    xa, ya = x[a], y[a]
    area = (x[b] - xa) * (y[c] - ya) - (x[c] - xa) * (y[b] - ya)
    return np.asarray(area < 0, bool)


def planes(points: Floats, triangles: Ints, values: Floats) -> Floats:
    """Return (F, 3, K) planes of (V, K) values: at x = y = 0, change per column, change per row."""
    a, b, c = (triangles[:, k] for k in range(3))
    x, y = points[:, 0], points[:, 1]
    ux, uy, vx, vy = x[b] - x[a], y[b] - y[a], x[c] - x[a], y[c] - y[a]
    area = ux * vy - vx * uy
    inverse = np.divide(1, area, out=np.zeros_like(area), where=np.abs(area) > _SLIVER)
    here = values[a]
    second, third = values[b] - here, values[c] - here
    result = np.empty((len(triangles), 3, values.shape[1]), np.float32)
    by_x, by_y = result[:, 1], result[:, 2]
    by_x[:] = second * (vy * inverse)[:, None] - third * (uy * inverse)[:, None]
    by_y[:] = third * (ux * inverse)[:, None] - second * (vx * inverse)[:, None]
    result[:, 0] = here - by_x * x[a][:, None] - by_y * y[a][:, None]
    return result


def _from_top(corners: Floats) -> Floats:
    """Return (3, 3, F): corner from the top, coordinate, triangle."""
    y = corners[:, :, 1]
    top, bottom = y.argmin(axis=1), y.argmax(axis=1)
    every = np.arange(len(corners))
    order = np.stack([top, 3 - top - bottom, bottom]) % 3
    return np.ascontiguousarray(corners[every, order].transpose(0, 2, 1))


def _rows(corners: Floats, height: int) -> tuple[Ints, Ints]:
    """Return every row that a triangle covers, and the triangle's number."""
    first = np.clip(np.ceil(corners[0, 1] - 0.5), 0, height).astype(np.int32)
    end = np.clip(np.ceil(corners[2, 1] - 0.5), 0, height).astype(np.int32)
    count = np.maximum(end - first, 0)
    of, within = _repeated(count)
    return within + first[of], of


def _repeated(count: Ints) -> tuple[Ints, Ints]:
    """Repeat every index by its count; return it and its rank among its repeats: 0, 1, 2 ..."""
    some = np.flatnonzero(count).astype(np.int32)
    ends = np.cumsum(count[some], dtype=np.int32)
    total = int(ends[-1]) if len(ends) else 0
    steps = np.zeros(total, np.int32)
    steps[ends[:-1]] = 1
    place = np.cumsum(steps, dtype=np.int32)
    begins = ends - count[some]
    return some[place], np.arange(total, dtype=np.int32) - begins[place]


def _spans(corners: Floats, of: Ints, rows: Ints, width: int) -> tuple[Ints, Ints, Floats, Floats]:
    """Return first column, length, nearness there and its change per column, for every row."""
    (x0, y0, _), (x1, y1, _), (x2, y2, _) = corners
    base, by_x, by_y = _plane(corners)
    half = np.float32(0.5)
    y = rows.astype(np.float32) + half
    down, x_top = y - y0[of], x0[of]
    one = x_top + down * _ratio(x2 - x0, y2 - y0)[of]
    upper, lower = _ratio(x1 - x0, y1 - y0)[of], _ratio(x2 - x1, y2 - y1)[of]
    past = y - y1[of]
    other = np.where(past < 0, x_top + down * upper, x1[of] + past * lower)
    first = np.clip(np.ceil(np.minimum(one, other) - half), 0, width).astype(np.int32)
    end = np.clip(np.ceil(np.maximum(one, other) - half), 0, width).astype(np.int32)
    slope = by_x[of]
    near = base[of] + by_y[of] * down + slope * (first.astype(np.float32) + half - x_top)
    return first, end - first, near, slope


def _plane(corners: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the nearness of each triangle at its first corner, and its change with x and y."""
    ux, uy, uz = corners[1] - corners[0]
    vx, vy, vz = corners[2] - corners[0]
    area = ux * vy - vx * uy
    by_x, by_y = _ratio(uz * vy - vz * uy, area), _ratio(ux * vz - vx * uz, area)
    # a sliver's plane could reach in front of everything
    steep = np.abs(area) < _SLIVER
    return corners[0, 2], np.where(steep, 0, by_x), np.where(steep, 0, by_y)


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)
