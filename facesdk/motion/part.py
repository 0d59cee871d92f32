"""Motion: units and a pose that travel together, and one part of what moves them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from ..arrays import Floats


class Motion(NamedTuple):
    """Consecutive unit frames and the pose that goes with them."""

    units: Floats
    """(T, U + n): the curves of rig `units`; n columns behind them pass through untouched, such as
    curves in time with the sound or the output of a learned layer."""
    pose: Floats | None
    """(T, 4, 3) radians as in `Pose.angles`; None throughout where nothing turns a joint."""


class MotionPart(ABC):
    """One thing that moves a face: blinks, a turning head.

    Belongs to one speaker. Frames arrive in order and in any number at once, and what comes out
    must not depend on how they were cut. A part may hold frames back to see further ahead: it
    declares how many in `delay` and returns them with later calls, the last ones from `flush`.
    """

    delay: int = 0
    """Unit frames that are held back."""
    moves_pose: bool = False
    """Whether the part turns joints. Where one part does, every part receives a pose."""

    @abstractmethod
    def __call__(self, motion: Motion, first: int) -> Motion:
        """Return the motion with this part added; its first frame is frame `first` of the stream.

        Arrays that come in are copied before they are changed.
        """

    def flush(self) -> Motion | None:
        """Return the frames held back: the stream has ended."""
        return None

    @abstractmethod
    def reset(self) -> None:
        """Start again as at the first frame."""
