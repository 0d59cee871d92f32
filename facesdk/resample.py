"""Conversion of curves between exact frame rates, for whole arrays and for streams."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .arrays import Floats

Interpolation = Literal["linear", "cubic"]

_BLOCK = 65_536
_FEW = 4


def frame_count(frames: int, source: Fraction, target: Fraction) -> int:
    """Return the number of frames at rate `target` that cover `frames` at rate `source`."""
    return math.ceil(frames * target / source)


def resample(
    values: Floats,
    source: Fraction,
    target: Fraction,
    count: int,
    *,
    interpolation: Interpolation = "cubic",
) -> Floats:
    """Return (count, C) values of (T, C) curves at rate `source`, at the instants `i / target`.

    `"cubic"` is the monotone Hermite interpolant of Fritsch and Carlson (1980): it stays within
    the range of the two neighboring frames, so limits and lip closures are kept. Instants after
    the last frame repeat it. Positions use integer arithmetic and accumulate no error.
    """
    step = source / target
    out = np.empty((count, values.shape[1]), np.float32)
    slopes = _monotone_slopes(values) if interpolation == "cubic" and len(values) > 1 else None
    for begin in range(0, count, _BLOCK):
        end = min(begin + _BLOCK, count)
        whole, part = _positions(begin, end, step)
        whole = np.minimum(whole, len(values) - 1)
        out[begin:end] = _interpolate(values, slopes, whole, part)
    return out


def _positions(begin: int, end: int, step: Fraction) -> tuple[NDArray[np.int64], Floats]:
    """Return (n,) whole and (n, 1) fractional parts of `index * step`, exact for any length."""
    fits = end * step.numerator < 2**63
    ticks = np.arange(begin, end).astype(np.int64 if fits else object) * step.numerator
    part = (ticks % step.denominator) / step.denominator
    return (ticks // step.denominator).astype(np.int64), part.astype(np.float32)[:, None]


def _interpolate(
    values: Floats, slopes: Floats | None, whole: NDArray[np.int64], part: Floats
) -> Floats:
    following = np.minimum(whole + 1, len(values) - 1)
    a, b = values[whole], values[following]
    if slopes is None:
        return a + (b - a) * part
    ma, mb = slopes[whole], slopes[following]
    square, cube = part**2, part**3
    rise = 3 * square - 2 * cube
    curve = a + (b - a) * rise + (cube - 2 * square + part) * ma + (cube - square) * mb
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.asarray(np.clip(curve, low, high), np.float32)  # float rounding only


def _monotone_slopes(values: Floats) -> Floats:
    """Return the (T, C) slopes: harmonic mean of the two secants, zero at an extremum."""
    secants = np.diff(values, axis=0)
    before, after = secants[:-1], secants[1:]
    product = before * after
    total = before + after
    inner = np.where(product > 0, 2 * product / np.where(total == 0, 1, total), 0)
    return np.concatenate([secants[:1], inner, secants[-1:]]).astype(np.float32)


class LinearResampler:
    """A linear frame-rate converter for one stream.

    Equal to `resample(..., interpolation="linear")` on the whole stream, for any chunks.
    """

    def __init__(self, source: Fraction, target: Fraction) -> None:
        """`source` and `target` are frames per second."""
        self._step = source / target
        self._ticks, self._parts = self._step.numerator, self._step.denominator
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self._received = 0
        self._emitted = 0
        self._last: Floats | None = None

    def push(self, frames: Floats) -> Floats:
        """Return the (n, C) output frames that (T, C) more input frames complete."""
        if not len(frames):
            return frames
        first, last = self._received, self._last
        self._received += len(frames)
        due = (self._received - 1) * self._parts // self._ticks + 1
        begin, self._emitted, self._last = self._emitted, due, frames[-1]
        if due - begin <= _FEW:
            return self._few(begin, due, first, frames, last)
        window = frames
        if last is not None:
            window, first = np.concatenate([last[None], frames]), first - 1
        whole, part = _positions(begin, due, self._step)
        return np.asarray(_interpolate(window, None, whole - first, part), np.float32)

    def _few(self, begin: int, due: int, first: int, frames: Floats, last: Floats | None) -> Floats:
        """Compute frames one by one: faster than arrays for the few frames of a live push."""
        out = np.empty((due - begin, frames.shape[1]), np.float32)
        for row, index in zip(out, range(begin, due), strict=True):
            whole, ticks = divmod(index * self._ticks, self._parts)
            before = frames[whole - first] if whole >= first or last is None else last
            if not ticks:
                row[:] = before
                continue
            np.subtract(frames[whole + 1 - first], before, out=row)
            row *= np.float32(ticks / self._parts)
            row += before
        return out

    def flush(self, count: int) -> Iterator[Floats]:
        """Yield copies of the last frame until `count` frames have been emitted in total."""
        while self._last is not None and self._emitted < count:
            self._emitted += 1
            yield self._last
