"""A clip as what it does to a head: weights of the head's shapes, turns of its joints."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Floats
from ..errors import ExportError
from ..retarget import conversion
from ..source import Block, ClipInfo, FrameSource
from .options import WriteOptions
from .rigs import bare_rig

if TYPE_CHECKING:
    from ..mesh import Head


def chosen_head(options: WriteOptions, wanted: bool) -> Head | None:
    """The head a file is to hold: the one given, else the built-in one; None where none is wanted.

    Raises `ExportError` for a head that is given and not wanted.
    """
    if wanted:
        return options.head or usual_head()
    if options.head is not None:
        raise ExportError("a head was given and mesh=false asks for none; leave one of them out")
    return None


@cache
def usual_head() -> Head:
    """The built-in head, kept for the next file."""
    from ..mesh import load_head

    return load_head()


class Driven:
    """The frames of a source on the shapes of a head, with its eyes turned as they look there.

    `Head.vertices` of the same clip shows the same face: an eyeball turns by the gaze shapes or by
    the pose, whichever asks for more.
    """

    def __init__(self, source: FrameSource, head: Head) -> None:
        """Raises `ExportError` for a head without shapes, `RigError` for rigs that reach none."""
        from ..mesh.drive import undriven

        if not head.names:
            raise ExportError(f"head {head.name!r} has no shapes that a clip could move")
        self._source = source
        self._head = head
        self._undriven = np.isin(source.info.rig.names, undriven(head.names, source.info.rig))
        self._moved = np.zeros(len(source.info.rig), bool)
        by_name = any(name in head.names for name in source.info.rig.names)
        self._way = None if by_name else conversion(source.info.rig, "arkit")
        self.info = ClipInfo(
            bare_rig(head.names, name=head.name),
            source.info.fps,
            source.info.sample_rate,
            source.info.start_sample,
            tuple(source.info.events),
            dict(source.info.meta),
        )

    @property
    def lost(self) -> tuple[str, ...]:
        """Controls that moved in the last pass and move nothing on the head."""
        silent = self._moved & self._undriven
        return tuple(n for n, lost in zip(self._source.info.rig.names, silent, strict=True) if lost)

    def blocks(self) -> Iterator[Block]:
        """Weights (n, S), angles (n, 4, 3)."""
        self._moved[:] = False
        for values, angles in self._source.blocks():
            self._moved |= np.any(values != self._source.info.rig.rest, axis=0)
            weights = self._head.weights(values, self._source.info.rig)
            yield Block(weights, self._turns(values, weights, angles))

    def _turns(self, values: Floats, weights: Floats, angles: Floats | None) -> Floats | None:
        """Angles of the joints: rotations that are controls of the rig, and the gaze, added."""
        if self._way is not None:
            angles = self._way(values, angles)[1]
        if angles is None and not self._head.gaze:
            return None
        turned = np.zeros((len(values), 4, 3), np.float32) if angles is None else angles.copy()
        for joint, eye in enumerate(("eye_left", "eye_right"), 2):
            turned[:, joint] = self._head.gaze_angles(weights, eye, turned[:, joint])
        return turned
