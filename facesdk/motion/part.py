"""Motion (units and pose), and the base class of everything that adds to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from ..arrays import Floats


class Motion(NamedTuple):
    """Consecutive unit frames with their pose."""

    units: Floats
    """(T, U + n): the curves of rig `units`, then n further network outputs, such as those of a
    learned layer, which parts return unchanged."""
    pose: Floats | None
    """(T, 4, 3) radians as in `Pose.angles`; None if no part sets `moves_pose`."""


class MotionPart(ABC):
    """A source of motion for one speaker, such as blinks or head movement.

    Frames arrive in order, any number per call, and the result must not depend on how they are
    divided into calls. A part may hold frames back to look ahead: it declares their number in
    `delay` and returns them from later calls, the last ones from `flush`.
    """

    delay: int = 0
    """Unit frames that the part holds back."""
    moves_pose: bool = False
    """Whether the part rotates joints. If one part does, all parts receive a pose."""

    @abstractmethod
    def __call__(self, motion: Motion, first: int) -> Motion:
        """Return the motion with this part added; `first` is the index of its first frame.

        Implementations copy arrays before they change them.
        """

    def flush(self) -> Motion | None:
        """Return the frames held back, at the end of the stream; None for none."""
        return None

    @abstractmethod
    def reset(self) -> None:
        """Start again from the first frame."""
