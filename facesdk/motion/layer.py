"""The motion layer: the motion parts of one speaker in sequence."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ..arrays import Floats
from ..performance import Performance
from .blink import Blinking
from .part import Motion, MotionPart


class MotionLayer:
    """A chain of motion parts: those that a performance enables, then the caller's own."""

    def __init__(
        self, fps: Fraction, performance: Performance, *, extra: Sequence[MotionPart] = ()
    ) -> None:
        """`fps` is the frame rate of the units; `extra` parts are applied last."""
        self._parts: list[MotionPart] = []
        if performance.blinks:
            self._parts.append(Blinking(fps, performance.seed))
        self._parts += extra
        self.delay = sum(part.delay for part in self._parts)
        """Unit frames that all parts together hold back."""
        self.moves_pose = any(part.moves_pose for part in self._parts)
        """Whether the motion has a pose."""
        self.reset()

    def reset(self) -> None:
        """Start again from the first frame."""
        self._received = [0] * len(self._parts)
        for part in self._parts:
            part.reset()

    def push(self, units: Floats) -> Motion:
        """Return the motion that (T, U + n) more units complete."""
        pose = np.zeros((len(units), 4, 3), np.float32) if self.moves_pose else None
        return self._apply(Motion(units, pose), 0)

    def flush(self) -> Motion | None:
        """Return the motion that parts still hold back; None for none."""
        rest: list[Motion] = []
        for i, part in enumerate(self._parts):
            if (held := part.flush()) is not None:
                rest.append(self._apply(held, i + 1))
        return _joined(rest) if rest else None

    def _apply(self, motion: Motion, begin: int) -> Motion:
        """Return the motion after the parts from index `begin`."""
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
