"""Blinks.

Statistics of EmoFace (Liu et al. 2024), measured on MEAD videos: the rate in blinks per minute is
log-normal, and one blink takes 13 frames at 60 fps, closing faster than opening.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..arrays import Doubles, Floats
from ..rig import Rig
from .part import Motion, MotionPart

RATE_MEAN, RATE_DEVIATION = 3.518, 0.532
"""Mean and standard deviation of the logarithm of blinks per minute."""
RATE_RANGE = (15.0, 100.0)
"""Blinks per minute."""
PROFILE = (0.05, 0.25, 0.45, 0.7, 1.0, 0.95, 0.85, 0.75, 0.65, 0.55, 0.4, 0.25, 0.1)
"""Lid closure at 60 fps."""
PROFILE_FPS = 60

_STREAM = 0xB11
_SHAPE = np.array([0.0, *PROFILE, 0.0], np.float32)
DURATION = (len(_SHAPE) - 1) / PROFILE_FPS
"""Seconds of one blink."""


class Blinks:
    """A generator of lid closure over time, 0..1; deterministic for a seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Start again from the first blink."""
        self._rng = np.random.default_rng([_STREAM, self._seed])
        self._start = self._pause() * float(self._rng.uniform(0.3, 1.0))

    def _pause(self) -> float:
        rate = np.clip(self._rng.lognormal(RATE_MEAN, RATE_DEVIATION), *RATE_RANGE)
        return max(60.0 / float(rate), DURATION)

    @property
    def next(self) -> float:
        """Start of the next or current blink in seconds."""
        return self._start

    def __call__(self, times: Doubles) -> Floats:
        """Return (T,) lid closure at ascending times in seconds, later than those of past calls."""
        closed = np.zeros(len(times), np.float32)
        while len(times) and self._start <= times[-1]:
            phase = (times - self._start) * PROFILE_FPS
            shape = np.interp(phase, np.arange(len(_SHAPE)), _SHAPE, left=0, right=0)
            closed = np.maximum(closed, shape.astype(np.float32))
            if self._start + DURATION > times[-1]:
                break
            self._start += self._pause()
        return closed


class Blinking(MotionPart):
    """A motion part that blinks; where units close the lids further, they are kept."""

    def __init__(self, fps: Fraction, seed: int) -> None:
        """`fps` is the frame rate of the units."""
        units = Rig.load("units")
        self._fps = float(fps)
        self._lids = [units.index("blink_left"), units.index("blink_right")]
        self._blinks = Blinks(seed)

    def reset(self) -> None:
        """Start again from the first blink."""
        self._blinks.reset()

    def __call__(self, motion: Motion, first: int) -> Motion:
        """Return the motion with blinks added; `first` is the index of its first frame."""
        units = motion.units
        if self._blinks.next > (first + len(units) - 1) / self._fps:
            return motion
        times = np.arange(first, first + len(units)) / self._fps
        units = units.copy()
        units[:, self._lids] = np.maximum(units[:, self._lids], self._blinks(times)[:, None])
        return motion._replace(units=units)
