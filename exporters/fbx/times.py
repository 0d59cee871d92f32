"""Time in FBX: whole ticks, and a number for every usual frame rate."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...errors import ExportError
from ...source import FrameSource

TICKS = 46_186_158_000
"""A second."""

TIME_MODES = {
    Fraction(120): 1,
    Fraction(100): 2,
    Fraction(60): 3,
    Fraction(50): 4,
    Fraction(48): 5,
    Fraction(30): 6,
    Fraction(30000, 1001): 9,
    Fraction(25): 10,
    Fraction(24): 11,
    Fraction(1000): 12,
    Fraction(24000, 1001): 13,
    Fraction(96): 15,
    Fraction(72): 16,
    Fraction(60000, 1001): 17,
}
"""Rates that have a number of their own."""

CUSTOM = 14
"""Time mode of any other rate, which the file then states."""


def frame_ticks(source: FrameSource, frames: int) -> NDArray[np.int64]:
    """Return (T,) ticks of every frame, rounded; raises `ExportError` outside 64 bits."""
    start = source.info.start * TICKS
    step = TICKS / source.info.fps
    last = start + max(frames - 1, 0) * step
    if max(abs(start), abs(last)) >= 1 << 62:
        raise ExportError(f"FBX cannot store times as far from zero as {float(start / TICKS):g} s")
    whole = start.denominator * step.denominator
    begin, stride = int(start * whole), int(step * whole)
    half = whole // 2
    ticks = ((begin + i * stride + half) // whole for i in range(frames))
    return np.fromiter(ticks, np.int64, frames)
