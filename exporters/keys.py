"""Sparse keys: frames of a curve that keep the rest within a tolerance.

Keys are always source frames with their own values. Linear reduction goes forwards once: from the
last key a cone of slopes is kept that passes every frame seen since within the tolerance, and the
frame before the one that leaves the cone becomes a key. Its state is a few numbers per curve, so
memory does not grow with the clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Doubles, Floats

Mask = NDArray[np.bool_]

_SPANS = (64, 32, 16, 8, 4, 2)
_BLOCK = 4096


class LinearKeys:
    """Chooser of the keys of several curves, frame by frame, for linear interpolation.

    Decisions come one frame late: `push` decides about all frames before the last one pushed.
    """

    def __init__(self, curves: int, tolerance: ArrayLike, *, shared: bool = False) -> None:
        """`tolerance` is one number or (curves,); `shared` gives all curves the same keys."""
        self._tolerance = np.broadcast_to(np.asarray(tolerance, np.float64), (curves,))
        self._shared = shared
        self._anchor = np.zeros(curves)
        self._anchored = np.zeros(curves, np.int64)
        self._low = np.full(curves, -np.inf)
        self._high = np.full(curves, np.inf)
        self._last: Doubles | None = None
        self._count = 0

    def push(self, values: Floats) -> Mask:
        """Return (m, C): whether the frames decided by (n, C) further values are keys."""
        rows = np.asarray(values, np.float64)
        decided = [self._step(row) for row in rows]
        known = [mask for mask in decided if mask is not None]
        return np.array(known, bool).reshape(len(known), len(self._anchor))

    def flush(self) -> Mask:
        """Return (1, C) for the last frame, which is a key, or (0, C) if there was none."""
        return np.ones((int(self._last is not None), len(self._anchor)), bool)

    def _step(self, row: Doubles) -> Mask | None:
        """Return by curve whether the frame before this one is a key."""
        last, self._last = self._last, row
        self._count += 1
        if last is None:
            self._anchor = row
            return None
        here = self._count - 1
        slope = (row - self._anchor) / (here - self._anchored)
        left = (slope < self._low) | (slope > self._high)
        if self._shared:
            left[:] = left.any()
        if left.any():
            self._anchor = np.where(left, last, self._anchor)
            self._anchored = np.where(left, here - 1, self._anchored)
            self._low = np.where(left, -np.inf, self._low)
            self._high = np.where(left, np.inf, self._high)
            slope = np.where(left, row - last, slope)
        room = self._tolerance / (here - self._anchored)
        self._low = np.maximum(self._low, slope - room)
        self._high = np.minimum(self._high, slope + room)
        return np.ones_like(left) if here == 1 else left


def slopes(curve: ArrayLike) -> Doubles:
    """Return (T, ...) change per frame: central differences, one-sided at the ends."""
    values = np.asarray(curve, np.float64)
    return np.asarray(np.gradient(values, axis=0)) if len(values) > 1 else np.zeros(values.shape)


def _cubic(
    u: Doubles,
    span: Doubles | int,
    begin: Doubles,
    end: Doubles,
    leaving: Doubles,
    arriving: Doubles,
) -> Doubles:
    """Return a cubic Hermite curve at share `u` of a span of frames."""
    square = u * u
    cube = square * u
    rise = (3 * square - 2 * cube) * (end - begin)
    bend = (cube - 2 * square + u) * leaving + (cube - square) * arriving
    return np.asarray(begin + rise + bend * span)


def hermite_keys(curve: ArrayLike, tolerance: float) -> tuple[NDArray[np.int64], Doubles]:
    """Return the keys of a (T,) curve for cubic Hermite interpolation, and slopes per frame.

    The columns of a (T, n) curve have their keys at the same frames. Slopes are those of the whole
    curve, see `slopes`, so the curve has no corners. Keys are at most 64 frames apart.
    """
    values = np.asarray(np.asarray(curve, np.float32), np.float64)
    tangents = slopes(values)
    columns = list(zip(np.atleast_2d(values.T), np.atleast_2d(tangents.T), strict=True))

    def deviation(first: NDArray[np.int64], span: int) -> Doubles:
        missed = [_deviation(column, tangent, first, span) for column, tangent in columns]
        return np.asarray(np.max(missed, 0))

    chosen = longest_pieces(len(values), deviation, tolerance)
    return chosen, tangents[chosen]


def longest_pieces(
    count: int, deviation: Callable[[NDArray[np.int64], int], Doubles], tolerance: float
) -> NDArray[np.int64]:
    """Return the keys among `count` frames, each as far from the last as a piece may reach.

    `deviation(first, span)` returns the errors of pieces over `span` frames from each frame in
    `first`. Pieces are powers of two long, at most 64 frames.
    """
    spans = np.concatenate([*_longest_spans(count, deviation, tolerance), np.ones(0, np.int64)])
    keys, last = [], count - 1
    at = 0
    while at < last:
        keys.append(at)
        at += int(spans[at])
    return np.array([*keys, *([last] if last >= 0 else [])], np.int64)


def _longest_spans(
    count: int, deviation: Callable[[NDArray[np.int64], int], Doubles], tolerance: float
) -> Iterator[NDArray[np.int64]]:
    """Yield how many frames one piece may span from each frame: a power of two."""
    for start in range(0, count, _BLOCK):
        here = np.arange(start, min(start + _BLOCK, count))
        longest = np.ones(len(here), np.int64)
        for span in reversed(_SPANS):
            first = here[here + span < count]
            if not len(first):
                break
            longest[: len(first)][deviation(first, span) <= tolerance] = span
        yield longest


def _deviation(values: Doubles, tangents: Doubles, first: NDArray[np.int64], span: int) -> Doubles:
    """Return the largest error of one piece over `span` frames from each frame of `first`."""
    inside = np.arange(1, span)
    last = first + span
    piece = _cubic(
        inside / span,
        span,
        values[first, None],
        values[last, None],
        tangents[first, None],
        tangents[last, None],
    )
    return np.asarray(np.abs(piece - values[first[:, None] + inside]).max(1))
