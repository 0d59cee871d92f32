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
    return Timing(fps, np.rint((times - times[0]) * float(fps)).astype(np.int64))


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
