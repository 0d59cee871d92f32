"""The motion layer of one speaker: everything that is added to the units of the voice."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ..arrays import Floats
from ..performance import Performance
from .blink import Blinking
from .part import Motion, MotionPart


class MotionLayer:
    """The parts that a performance asks for, one after the other, as one."""

    def __init__(
        self, fps: Fraction, performance: Performance, *, more: Sequence[MotionPart] = ()
    ) -> None:
        """`fps` is the rate of the units; `more` are parts of the caller's own, applied last."""
        self._parts: list[MotionPart] = []
        if performance.blinks:
            self._parts.append(Blinking(fps, performance.seed))
        self._parts += more
        self.delay = sum(part.delay for part in self._parts)
        """Unit frames that all parts hold back together."""
        self.moves_pose = any(part.moves_pose for part in self._parts)
        """Whether the motion has a pose."""
        self.reset()

    def reset(self) -> None:
        """Start again as at the first frame."""
        self._received = [0] * len(self._parts)
        for part in self._parts:
            part.reset()

    def push(self, units: Floats) -> Motion:
        """Return the motion that more units (T, U + n) complete."""
        pose = np.zeros((len(units), 4, 3), np.float32) if self.moves_pose else None
        return self._through(Motion(units, pose), 0)

    def flush(self) -> Motion | None:
        """Return the motion still held back; None where no part holds anything back."""
        rest: list[Motion] = []
        for i, part in enumerate(self._parts):
            if (held := part.flush()) is not None:
                rest.append(self._through(held, i + 1))
        return _joined(rest) if rest else None

    def _through(self, motion: Motion, begin: int) -> Motion:
        """Return the motion after the parts from `begin` on."""
        received = self._received
        for i in range(begin, len(received)):
            first = received[i]
            received[i] += len(motion.units)
            motion = self._parts[i](motion, first)
        return motion


def _joined(parts: Sequence[Motion]) -> Motion:
    poses = [part.pose for part in parts if part.pose is not None]
    return Motion(
        np.concatenate([part.units for part in parts]), np.concatenate(poses) if poses else None
    )
