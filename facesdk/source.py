"""Frame sources: a finished clip, a file, or a performance that is still being computed.

A source has an `info` and yields its frames in blocks, so an hour takes no more memory than a
second. Wrappers change the info and map the blocks; `frames` and `collect` read any source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .arrays import Floats
from .clip import BLOCK_FRAMES, POSE_ANGLES, Block, Clip, ClipInfo, Frame, Pose
from .errors import ClipError
from .rig import Rig

__all__ = [
    "BLOCK_FRAMES",
    "Block",
    "CheckedSource",
    "ClipInfo",
    "CountingSource",
    "FrameSource",
    "OffsetSource",
    "blocks_of",
    "collect",
    "frames",
    "moving_angles",
    "moving_controls",
    "offset_source",
]


@runtime_checkable
class FrameSource(Protocol):
    """Frames on one rig: a `Clip`, or anything else with an info and blocks."""

    @property
    def info(self) -> ClipInfo:
        """Rig, rate and clock; `events` and `meta` are final once the blocks are exhausted."""
        ...

    def blocks(self) -> Iterator[Block]:
        """Return the frames in order, as blocks: at least one, which may be empty."""
        ...


# --------------------------------------------------------------------- reading


def frames(source: FrameSource) -> Iterator[Frame]:
    """Yield the frames of a source one by one."""
    index, info = 0, source.info
    for values, pose in source.blocks():
        for i, row in enumerate(values):
            angles = None if pose is None else pose[i]
            yield Frame(index, info.sample_of(index), row, angles, info.sample_rate)
            index += 1


def collect(source: FrameSource) -> Clip:
    """Return all frames as a `Clip`; only the arrays are held in memory.

    Raises `ClipError` for blocks of the wrong width, for a value that is not finite, or for a pose
    that only some blocks have.
    """
    if isinstance(source, Clip):
        return source
    values: list[Floats] = []
    poses: list[Floats] = []
    for block in CheckedSource(source).blocks():
        values.append(block.values)
        if block.pose is not None:
            poses.append(block.pose)
    info = source.info
    return Clip(
        rig=info.rig,
        values=_joined(values),
        fps=info.fps,
        pose=Pose(_joined(poses)) if poses else None,
        start_sample=info.start_sample,
        sample_rate=info.sample_rate,
        events=tuple(info.events),
        meta=info.meta,
        extra=info.extra,
    )


def _joined(parts: list[Floats]) -> Floats:
    """Return rows as one array that a clip need not copy; the list is emptied on the way."""
    whole = np.concatenate(parts)
    parts.clear()
    whole.flags.writeable = False
    return whole


def moving_controls(values: Floats, rig: Rig) -> set[str]:
    """Return the controls that are away from rest anywhere in (n, C) values."""
    moves = np.any(values != rig.rest, axis=0)
    return {name for name, moved in zip(rig.names, moves, strict=True) if moved}


def moving_angles(pose: Floats | None) -> set[str]:
    """Return the `POSE_ANGLES` that are not zero somewhere in (n, 4, 3) radians."""
    if pose is None:
        return set()
    moves = np.any(pose.reshape(-1, len(POSE_ANGLES)) != 0, axis=0)
    return {name for name, moved in zip(POSE_ANGLES, moves, strict=True) if moved}


# --------------------------------------------------------------------- writing


def blocks_of(frames: Iterable[Frame], rig: Rig) -> Iterator[Block]:
    """Yield single frames as blocks, for sources that compute them one by one.

    Raises `ClipError` for a frame of the wrong width, for a value that is not finite, or for a
    pose that only some frames have.
    """
    rest = iter(frames)
    first = list(islice(rest, 1))
    has_pose = bool(first) and first[0].pose is not None
    yield _block(rig, first, has_pose)
    while several := list(islice(rest, BLOCK_FRAMES)):
        yield _block(rig, several, has_pose)


def _block(rig: Rig, frames: Sequence[Frame], has_pose: bool) -> Block:
    for frame in frames:
        if (frame.pose is not None) != has_pose:
            raise ClipError(f"frame {frame.index}: either all frames of a clip have a pose or none")
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
        raise ClipError(f"from frame {frames[0].index}: expected {shape}: {error}") from error
    if not np.isfinite(array).all():
        where = frames[int(np.argwhere(~np.isfinite(array))[0][0])].index
        raise ClipError(f"frame {where}: values must be finite")
    return array


# -------------------------------------------------------------------- wrappers


class CheckedSource:
    """A source with checked blocks, for sources that others wrote.

    Raises `ClipError` for blocks of the wrong width, for a value that is not finite, or for a pose
    that only some blocks have. A source without any block gets an empty one.
    """

    def __init__(self, source: FrameSource) -> None:
        self.source = source

    @property
    def info(self) -> ClipInfo:
        """Info of the source."""
        return self.source.info

    def blocks(self) -> Iterator[Block]:
        """Return the source's blocks as float32 arrays."""
        rig, index, has_pose = self.info.rig, 0, None
        for block in self.source.blocks():
            values = _checked(block.values, (-1, len(rig)), f"values of rig {rig.name!r}", index)
            pose = block.pose
            if pose is not None:
                pose = _checked(pose, (len(values), 4, 3), "pose", index)
            if has_pose not in (None, pose is not None):
                raise ClipError(f"frame {index}: either all frames of a clip have a pose or none")
            has_pose = pose is not None
            yield Block(values, pose)
            index += len(values)
        if has_pose is None:
            yield Block(np.empty((0, len(rig)), np.float32), None)


def _checked(rows: Any, shape: tuple[int, ...], subject: str, index: int) -> Floats:
    """Return the rows of a block that begins at frame `index`; -1 in the shape is any length."""
    try:
        array = np.asarray(rows, np.float32)
    except (ValueError, TypeError) as error:
        raise ClipError(f"from frame {index}: {subject} must be numbers: {error}") from error
    fits = (-1, *array.shape[1:]) == shape or array.shape == shape
    if not fits:
        expected = str(shape).replace("-1", "n")
        raise ClipError(f"from frame {index}: {subject} must be {expected}, got {array.shape}")
    if not np.isfinite(array).all():
        where = index + int(np.argwhere(~np.isfinite(array))[0][0])
        raise ClipError(f"frame {where}: {subject} must be finite")
    return array


class CountingSource:
    """A source that counts its frames."""

    def __init__(self, source: FrameSource) -> None:
        self.source = source
        self.count = 0
        """Frames in the last pass so far."""

    @property
    def info(self) -> ClipInfo:
        """Info of the source."""
        return self.source.info

    def blocks(self) -> Iterator[Block]:
        """Return the source's blocks."""
        self.count = 0
        for block in self.source.blocks():
            self.count += len(block.values)
            yield block


class OffsetSource:
    """A source that begins some samples later, its events too."""

    def __init__(self, source: FrameSource, samples: int) -> None:
        self.source = source
        self.samples = samples

    @property
    def info(self) -> ClipInfo:
        """Info of the source, with start and events moved."""
        info = self.source.info
        events = tuple(replace(e, sample=e.sample + self.samples) for e in info.events)
        return replace(info, start_sample=info.start_sample + self.samples, events=events)

    def blocks(self) -> Iterator[Block]:
        """Return the source's blocks."""
        return self.source.blocks()


def offset_source(source: FrameSource, samples: int) -> FrameSource:
    """Return the source moved by a number of samples, which may be negative."""
    return OffsetSource(source, samples) if samples else source
