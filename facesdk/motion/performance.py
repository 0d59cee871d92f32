"""The motion layer of one speaker: everything that is added to the units of the voice."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..arrays import Floats
from ..rig import Rig
from .blink import Blinks


class Performance:
    """Motion for one speaker, seeded; frames are asked for in order."""

    def __init__(self, fps: Fraction, *, seed: int = 0, blinks: bool = True) -> None:
        units = Rig.load("units")
        self._fps = fps
        self._lids = [units.index("blink_left"), units.index("blink_right")]
        self._blinks = Blinks(seed) if blinks else None

    def reset(self) -> None:
        """Start again as at the first frame."""
        if self._blinks is not None:
            self._blinks.reset()

    def __call__(self, units: Floats, first: int) -> Floats:
        """(T, units) curves of the frames from `first` on, with motion added."""
        last = (first + len(units) - 1) / float(self._fps)
        if self._blinks is None or self._blinks.next > last:
            return units
        times = np.arange(first, first + len(units)) / float(self._fps)
        moved = units.copy()
        moved[:, self._lids] = np.maximum(moved[:, self._lids], self._blinks(times)[:, None])
        return moved
