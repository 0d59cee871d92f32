"""The frame rate behind a column of times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..clip import MAX_FPS
from ..errors import FileFormatError

_MAX_FILLED = 10
"""Frames that gaps may add for every frame that is there."""

_FEWEST_ROUNDED = 8
"""Rows from which rounded times imply a rate."""
_KNOWN = (24, 25, 30, 48, 50, 60, 90, 100, 120)
"""Rates that times of one or two decimals can mean."""


_FREE_FRAMES = 60 * 3600
_FRAMES_PER_KEY = 600


def require_plausible(frames: float, keys: int) -> None:
    """Raise `FileFormatError` for a clip whose few keys stretch over very many frames.

    An hour at 60 frames per second is free; beyond it a key may stand for 600 frames. A few bytes
    could otherwise declare a day, which takes gigabytes.
    """
    if not frames <= _FREE_FRAMES + _FRAMES_PER_KEY * keys:
        raise FileFormatError(
            f"{keys} keys stretch over {frames:,.0f} frames; are their times in seconds?"
        )


@dataclass(frozen=True)
class Timing:
    """Rows on an exact frame grid."""

    fps: Fraction
    indices: NDArray[np.int64]
    """(T,) frame of every row, from 0 and never falling; more than one step apart at a gap."""

    @property
    def latest(self) -> NDArray[np.bool_]:
        """(T,) whether a row is the last one for its frame."""
        return np.append(np.diff(self.indices) > 0, np.ones(min(len(self.indices), 1), bool))

    @property
    def frames(self) -> int:
        """Number of frames from the first row to the last."""
        return int(self.indices[-1]) + 1 if len(self.indices) else 0

    @property
    def filled(self) -> int:
        """Number of frames without a row."""
        return self.frames - int(self.latest.sum())


def timing(times: NDArray[np.float64], *, resolution: float, default: Fraction) -> Timing:
    """Return the frame rate of times in seconds, and the frame of every row.

    `resolution` is the step in which the file counts time. Integer rates and NTSC rates win over
    others that fit as well; `default` is the rate of fewer than two rows. Raises
    `FileFormatError` when time runs backwards or leaps.
    """
    if len(times) < 2:
        return Timing(default, np.zeros(len(times), np.int64))
    steps = np.diff(times)
    if steps.min() < 0:
        row = int(steps.argmin()) + 1
        raise FileFormatError(f"row {row + 1}: time {times[row]:.6f} lies before the row above")
    typical = float(np.median(steps[steps > 0])) if steps.any() else 0.0
    if typical * MAX_FPS < 0.99:
        raise FileFormatError(f"rows must be at least 1/{MAX_FPS} s apart, got {typical:.6f} s")
    if (times[-1] - times[0]) / typical > (_MAX_FILLED + 1) * len(times) + 600:
        row = int(steps.argmax()) + 1
        raise FileFormatError(f"row {row + 1}: time leaps by {steps[row - 1]:.3f} s")
    fps = _exact(times, typical, resolution)
    indices = np.rint((times - times[0]) * float(fps)).astype(np.int64)
    doubtful = fps.denominator > 1 or bool((np.diff(indices) != 1).any())
    if doubtful and (rounded := _rounded(times)):
        return Timing(rounded, np.arange(len(times)))
    return Timing(fps, indices)


def _rounded(times: NDArray[np.float64]) -> Fraction | None:
    """Return the known rate of times with one or two decimals, one row per frame."""
    step = next((s for s in (0.1, 0.01) if np.abs(times / s - np.rint(times / s)).max() < 1e-6), 0)
    span = float(times[-1] - times[0])
    if not step or len(times) < _FEWEST_ROUNDED:
        return None
    offsets, rows = times - times[0], np.arange(len(times))
    measured = (len(times) - 1) / span
    known = [r for r in _KNOWN if np.abs(offsets - rows / r).max() <= 1.01 * step]
    return Fraction(min(known, key=lambda r: abs(r - measured))) if known else None


def _exact(times: NDArray[np.float64], typical: float, resolution: float) -> Fraction:
    """Return the simplest rate that explains the times."""
    span = float(times[-1] - times[0])
    frames = np.concatenate([[0.0], np.cumsum(np.rint(np.diff(times) / typical))])
    measured = float(frames[-1]) / span
    jitter = float(np.abs(times - times[0] - frames / measured).max())
    slack = measured * (resolution + 2 * min(jitter, typical / 2)) / span
    nominal = max(round(measured), 1)
    plain = [Fraction(nominal), Fraction(nominal * 1000, 1001)]
    near = min(plain, key=lambda rate: abs(float(rate) - measured))
    if abs(float(near) - measured) <= slack:
        return near
    return _plainest(measured, slack)


def _plainest(value: float, slack: float) -> Fraction:
    """Return the fraction of smallest denominator within `slack` of a value."""
    exact = Fraction(value)
    for bits in range(1, 40):
        candidate = exact.limit_denominator(math.ceil(1.5**bits))
        if candidate and abs(float(candidate) - value) <= slack:
            return candidate
    return exact
