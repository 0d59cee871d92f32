"""Motion (units and pose), and the base class of everything that adds to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Floats

NO_COLUMNS: Mapping[str, slice] = {}


class Motion(NamedTuple):
    """Consecutive unit frames with their pose."""

    units: Floats
    """(T, U + n): the curves of rig `units`, then n further network outputs, such as those of a
    learned layer, which parts return unchanged."""
    pose: Floats | None
    """(T, 4, 3) radians as in `Pose.angles`; None if no part sets `moves_pose`."""
    columns: Mapping[str, slice] = NO_COLUMNS
    """Where the further network outputs stand in `units`, by name."""

    def curves(self, output: str) -> Floats | None:
        """Return (T, n) of a further network output, or None if it is not here."""
        columns = self.columns.get(output)
        return None if columns is None else self.units[:, columns]

    def part(self, start: int, stop: int | None) -> Motion:
        """Return the frames from `start` to before `stop`."""
        pose = None if self.pose is None else self.pose[start:stop]
        return self._replace(units=self.units[start:stop], pose=pose)


def joined(parts: Sequence[Motion]) -> Motion:
    """Return the frames of all parts, in order."""
    poses = [part.pose for part in parts if part.pose is not None]
    return parts[0]._replace(
        units=np.concatenate([part.units for part in parts]),
        pose=np.concatenate(poses) if poses else None,
    )


class MotionPart(ABC):
    """A source of motion for one speaker, such as blinks or head movement.

    Frames arrive in order, any number per call, and the result must not depend on how they are
    divided into calls. A part may hold frames back to look ahead: it declares their number in
    `delay` and returns them from later calls, the last ones from `flush`.
    """

    delay: int = 0
    """Unit frames that the part holds back."""
    needs: tuple[str, ...] = ()
    """Further network outputs that the part reads where the model has them: `articulation`, the
    curves in time with the sound; `activity`, the largest speech activity within the look-ahead;
    for models without it `ahead`, the largest values of the curves in time."""
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
