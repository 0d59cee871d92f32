"""Frames in blocks: writers and readers handle some hundred rows at a time, never the whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from ..arrays import Floats
from ..clip import POSE_ANGLES, SAMPLE_RATE, Clip, Event, Frame, FrameSource, Pose
from ..clip import frame_sample as sample_of_frame
from ..errors import ClipError
from ..rig import Rig

BLOCK = 256


class Block(NamedTuple):
    """Consecutive frames."""

    values: Floats
    """(n, C)."""
    angles: Floats | None
    """(n, 4, 3) radians as in `Pose.angles`; None throughout a source without a pose."""


@dataclass(frozen=True)
class Header:
    """What a file says about its frames as a whole."""

    rig: Rig
    fps: Fraction
    sample_rate: int = SAMPLE_RATE
    start_sample: int = 0
    events: Sequence[Event] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Blockwise(FrameSource, Protocol):
    """A frame source that has its frames in blocks already."""

    def blocks(self) -> Iterator[Block]:
        """The frames in blocks: at least one, which may be empty."""
        ...


class ClipFile(ABC):
    """A frame source that reads a file as its frames are asked for; every pass starts anew."""

    header: Header

    @property
    def rig(self) -> Rig:
        """Rig of the frames."""
        return self.header.rig

    @property
    def fps(self) -> Fraction:
        """Exact frame rate."""
        return self.header.fps

    @property
    def sample_rate(self) -> int:
        """Hz of the clock that `start_sample` and the events count in."""
        return self.header.sample_rate

    @property
    def start_sample(self) -> int:
        """Sample of the first frame."""
        return self.header.start_sample

    @property
    def events(self) -> Sequence[Event]:
        """Events, in the file's order."""
        return self.header.events

    @property
    def meta(self) -> Mapping[str, Any]:
        """Where the clip came from."""
        return MappingProxyType(dict(self.header.meta))

    @property
    def extra(self) -> Mapping[str, Any]:
        """Keys of the file that this version does not know."""
        return MappingProxyType(dict(self.header.extra))

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """The frames in blocks: at least one, which may be empty."""

    def frames(self) -> Iterator[Frame]:
        """The frames one by one."""
        index = 0
        for values, angles in self.blocks():
            for i, row in enumerate(values):
                yield Frame(index, self._sample(index), row, None if angles is None else angles[i])
                index += 1

    def _sample(self, index: int) -> int:
        return sample_of_frame(
            index, self.fps, sample_rate=self.sample_rate, start_sample=self.start_sample
        )


def blocks(source: FrameSource) -> Iterator[Block]:
    """Any source in blocks: at least one, which may be empty.

    Raises `ClipError` for a frame of the wrong width, a value that is not finite, or a pose that
    comes and goes.
    """
    if isinstance(source, Clip):
        return _clip_blocks(source)
    if isinstance(source, Blockwise):
        return source.blocks()
    return _gathered(source)


def _clip_blocks(clip: Clip) -> Iterator[Block]:
    for start in range(0, max(len(clip), 1), BLOCK):
        part = slice(start, start + BLOCK)
        yield Block(clip.values[part], None if clip.pose is None else clip.pose.angles[part])


def _gathered(source: FrameSource) -> Iterator[Block]:
    frames = source.frames()
    first = list(islice(frames, 1))
    has_pose = bool(first) and first[0].pose is not None
    yield _block(source.rig, first, has_pose)
    while several := list(islice(frames, BLOCK)):
        yield _block(source.rig, several, has_pose)


def _block(rig: Rig, frames: list[Frame], has_pose: bool) -> Block:
    for frame in frames:
        if (frame.pose is not None) != has_pose:
            raise ClipError(f"frame {frame.index}: all frames of a clip have a pose, or none has")
        if np.shape(frame.values) != (len(rig),):
            raise ClipError(
                f"frame {frame.index}: values must be ({len(rig)},) for rig {rig.name!r}, "
                f"got {np.shape(frame.values)}"
            )
    values = _finite([f.values for f in frames], (len(frames), len(rig)), frames)
    if not has_pose:
        return Block(values, None)
    return Block(values, _finite([f.pose for f in frames], (len(frames), 4, 3), frames))


def _finite(rows: Sequence[Any], shape: tuple[int, ...], frames: Sequence[Frame]) -> Floats:
    try:
        array = np.array(rows, np.float32).reshape(shape)
    except (ValueError, TypeError) as error:
        raise ClipError(f"frames {frames[0].index} and on: expected {shape}: {error}") from error
    if not np.isfinite(array).all():
        where = frames[int(np.argwhere(~np.isfinite(array))[0][0])].index
        raise ClipError(f"frame {where}: values must be finite")
    return array


def collect(source: FrameSource) -> Clip:
    """All frames as a `Clip`; only the arrays are held in memory."""
    if isinstance(source, Clip):
        return source
    values: list[Floats] = []
    angles: list[Floats] = []
    for block in blocks(source):
        values.append(block.values)
        if block.angles is not None:
            angles.append(block.angles)
    return Clip(
        rig=source.rig,
        values=_joined(values),
        fps=source.fps,
        pose=Pose(_joined(angles)) if angles else None,
        start_sample=source.start_sample,
        sample_rate=source.sample_rate,
        events=tuple(source.events),
        meta=source.meta,
        extra=source.extra,
    )


def _joined(parts: list[Floats]) -> Floats:
    """Rows as one array that a clip need not copy; the parts are given up on the way."""
    whole = np.concatenate(parts)
    parts.clear()
    whole.flags.writeable = False
    return whole


def moving_pose_channels(angles: Floats | None) -> set[str]:
    """Names of the pose channels that are anywhere but at rest."""
    if angles is None:
        return set()
    moves = np.any(angles.reshape(-1, len(POSE_ANGLES)) != 0, axis=0)
    return {name for name, moved in zip(POSE_ANGLES, moves, strict=True) if moved}
