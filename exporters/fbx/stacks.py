"""Animation stacks: the curves of one clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...arrays import Floats
from ...source import Block, ClipInfo, FrameSource
from ..spool import Curve, Spool
from .nodes import Array, Node, number, properties, ticks
from .objects import Objects
from .times import frame_ticks

LINEAR = 0x4
"""Flag of a key: straight to the next one."""


@dataclass(frozen=True)
class Stack:
    """One clip, its channels on disk."""

    name: str
    source: FrameSource
    spool: Spool
    driven: Spool | None = None
    """Weights of the head's shapes and turns of its joints, eyes as they look; None for files
    without a head and for rigs that move no head."""

    @cached_property
    def ticks(self) -> NDArray[np.int64]:
        """(T,) ticks of every frame."""
        return frame_ticks(self.source, self.spool.frames)

    @property
    def span(self) -> tuple[int, int]:
        """Ticks of the first and the last frame."""
        known = self.ticks if len(self.ticks) else frame_ticks(self.source, 1)
        return int(known[0]), int(known[-1])


class SpooledSource:
    """The frames of a spool: a stream can be read only once."""

    def __init__(self, source: FrameSource, spool: Spool) -> None:
        self.info = ClipInfo(
            source.info.rig, source.info.fps, source.info.sample_rate, source.info.start_sample
        )
        self._spool = spool

    def blocks(self) -> Iterator[Block]:
        """Yield some frames at a time."""
        for rows in self._spool.rows():
            yield self._block(rows)
        if not self._spool.frames:
            yield self._block(np.empty((0, len(self._spool.names)), np.float32))

    def _block(self, rows: Floats) -> Block:
        width = len(self.info.rig)
        angles = rows[:, width:].reshape(-1, 4, 3) if self._spool.has_pose else None
        return Block(rows[:, :width], angles)


@dataclass(frozen=True)
class Track:
    """A channel and what it moves."""

    spool: Spool
    index: int
    """Of the channel in the spool."""
    target: int
    """Number of the object."""
    prop: str
    """Property of the object."""
    node: str
    """Name of the curve node of that property."""
    axis: str
    """Which number of the curve node it is, such as `d|X`."""
    factor: float = 1.0
    """From the channel's unit to the property's."""

    frames: NDArray[np.int64] | None = None
    """Frames that have a key; None for those that the spool chose."""

    def curve(self, times: NDArray[np.int64]) -> list[Node]:
        """Return the records of the keys, which are fetched when they are written."""
        count = len(self._keys().frames)
        return [
            Node("Default", 0.0),
            Node("KeyVer", 4008),
            Node("KeyTime", Array("i8", count, lambda: times[self._keys().frames])),
            Node("KeyValueFloat", Array("f4", count, self._values)),
            Node("KeyAttrFlags", Array.of([LINEAR], "i4")),
            Node("KeyAttrDataFloat", Array.of([0, 0, 0, 0], "f4")),
            Node("KeyAttrRefCount", Array.of([count], "i4")),
        ]

    def _keys(self) -> Curve:
        if self.frames is None:
            return self.spool.curve(self.index)
        column = self.spool.column(self.index)
        return Curve(self.spool.names[self.index], self.frames, column[self.frames])

    def _values(self) -> Floats:
        return (self._keys().values.astype(np.float64) * self.factor).astype(np.float32)


def add_stack(objects: Objects, stack: Stack, tracks: Sequence[Track]) -> None:
    """Add a stack with a curve for every track."""
    begin, end = stack.span
    key = objects.add(
        "AnimationStack", stack.name, "AnimStack",
        children=[properties(ticks("LocalStart", begin), ticks("LocalStop", end),
                             ticks("ReferenceStart", begin), ticks("ReferenceStop", end))],
    )  # fmt: skip
    layer = objects.add("AnimationLayer", "BaseLayer", "AnimLayer")
    objects.connect(layer, key)
    together: dict[tuple[int, str], list[Track]] = {}
    for track in tracks if stack.spool.frames else ():
        together.setdefault((track.target, track.prop), []).append(track)
    for several in together.values():
        _add_curves(objects, layer, sorted(several, key=lambda t: t.axis), stack.ticks)


def _add_curves(
    objects: Objects, layer: int, tracks: Sequence[Track], times: NDArray[np.int64]
) -> None:
    """Add the curves of one property and the node that holds them together."""
    first = tracks[0]
    node = objects.add(
        "AnimationCurveNode", first.node, "AnimCurveNode",
        children=[properties(*(number(t.axis, 0.0) for t in tracks))],
    )  # fmt: skip
    objects.connect(node, layer)
    objects.connect(node, first.target, first.prop)
    for track in tracks:
        curve = objects.add("AnimationCurve", "", "AnimCurve", children=track.curve(times))
        objects.connect(curve, node, track.axis)
