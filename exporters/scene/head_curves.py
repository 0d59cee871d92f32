"""A clip on a head: weights of the head's shapes, rotations of its joints."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import Floats
from ...clip import POSE_JOINTS
from ...errors import ExportError, RigError
from ...retarget import conversion, reachable
from ...source import Block, ClipInfo, FrameSource, moving_controls
from ..options import WriteOptions
from ..rigs import bare_rig

if TYPE_CHECKING:
    from ...mesh import Head


def chosen_head(options: WriteOptions, wanted: bool) -> Head | None:
    """Return the head whose mesh a file has: the one given, else the built-in one.

    None if none is wanted; a head that is given then has its joints in the file.
    """
    return (options.mesh or default_head()) if wanted else None


@cache
def default_head() -> Head:
    """Return the built-in head, kept for the next file."""
    from ...mesh import load_head

    return load_head()


def head_curves(source: FrameSource, head: Head | None) -> HeadCurves | None:
    """Return a source as curves of a head, or None without a head or a way to its shapes."""
    if head is None:
        return None
    try:
        return HeadCurves(source, head)
    except RigError:  # no map leads from the source's own rig to the head's shapes
        return None


class HeadCurves:
    """The frames of a source as weights of a head's shapes, with the eyes turned as they look.

    `Head.vertices` of the same clip shows the same face: an eyeball turns by the gaze shapes or by
    the pose, whichever turns it further.
    """

    def __init__(self, source: FrameSource, head: Head) -> None:
        """Raises `ExportError` for a head without shapes, `RigError` for rigs without a map."""
        if not head.names:
            raise ExportError(f"head {head.name!r} has no shapes to animate")
        rig = source.info.rig
        self.source = source
        self._head = head
        self._drive = head.drive(rig)
        self._undriven = set(self._drive.undriven)
        self._moved: set[str] = set()
        by_name = rig.name in self._drive.rigs or "arkit" not in reachable(rig.name)
        self._conversion = None if by_name else conversion(rig, "arkit")
        self._rig = bare_rig(head.names, name=head.name)

    @property
    def info(self) -> ClipInfo:
        """Info of the source, on a rig of the head's shapes."""
        return replace(self.source.info, rig=self._rig)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Controls that moved in the last pass and have no effect on the head."""
        silent = self._moved & self._undriven
        return tuple(name for name in self.source.info.rig.names if name in silent)

    def blocks(self) -> Iterator[Block]:
        """Yield weights (n, S) and angles (n, 4, 3).

        Raises `ExportError` at the end if the clip moves, and nothing of the head does.
        """
        self._moved.clear()
        rig = self.source.info.rig
        unknown = self._undriven.issuperset(rig.names)
        turns = False
        for values, pose in self.source.blocks():
            self._moved |= moving_controls(values, rig)
            weights = self._drive.weights(values)
            turned = self._pose(values, weights, pose)
            turns = turns or (unknown and turned is not None and bool(turned.any()))
            yield Block(weights, turned)
        if unknown and self._moved:
            text = self._drive.missing()
            if not turns:
                raise ExportError(f"nothing would move: {text}")
            warnings.warn(text, stacklevel=2)

    def _pose(self, values: Floats, weights: Floats, pose: Floats | None) -> Floats | None:
        """Return the angles of the joints: rotations that are controls of the rig, and the gaze."""
        if self._conversion is not None:
            pose = self._conversion(values, pose)[1]
        if pose is None and not self._head.gaze:
            return None
        turned = np.zeros((len(values), 4, 3), np.float32) if pose is None else pose.copy()
        for joint, eye in enumerate(POSE_JOINTS[2:], 2):
            turned[:, joint] = self._head.gaze_angles(weights, eye, turned[:, joint])
        return turned
