"""Transpose frames into per-channel curves through a temporary file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from tempfile import TemporaryFile
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..clip import POSE_ANGLES
from ..source import Block, FrameSource
from .keys import LinearKeys

_RUN = 1024
"""Frames of a channel that lie together in the file."""


class Curve(NamedTuple):
    """The keys of one channel."""

    name: str
    """A control, or `pose.<joint>.<axis>`."""
    frames: NDArray[np.int64]
    """(K,) frames that have a key, from 0."""
    values: Floats
    """(K,) values there."""


class Spool:
    """All channels of a source in a temporary file; they can be read again and again."""

    def __init__(self, file: IO[bytes], names: tuple[str, ...], runs: list[int]) -> None:
        self._file = file
        self._runs = runs
        self._kept: list[NDArray[np.uint8]] = []
        self.names = names
        """Controls, then the twelve pose channels where the source has a pose."""

    @property
    def frames(self) -> int:
        """Number of frames."""
        return sum(self._runs)

    @property
    def has_pose(self) -> bool:
        """Whether the source has a pose."""
        return self.names[-1:] == POSE_ANGLES[-1:]

    def column(self, index: int) -> Floats:
        """Return (T,) values of one channel, by its index in `names`."""
        parts, begin = [], 0
        for run in self._runs:
            self._file.seek(4 * (begin * len(self.names) + index * run))
            parts.append(np.frombuffer(self._file.read(4 * run), "<f4"))
            begin += run
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def curve(self, index: int) -> Curve:
        """Return the keys of one channel: every frame, or those that the tolerance needs."""
        column = self.column(index)
        if not self._kept:
            return Curve(self.names[index], np.arange(len(column)), column)
        bits = np.concatenate([part[index] for part in self._kept])
        kept = np.flatnonzero(np.unpackbits(bits)[: len(column)])
        return Curve(self.names[index], kept, column[kept])

    def curves(self) -> Iterator[Curve]:
        """Yield the keys of every channel."""
        return (self.curve(i) for i in range(len(self.names)))

    def rows(self) -> Iterator[Floats]:
        """Yield (n, C) all channels, some frames at a time."""
        begin = 0
        for run in self._runs:
            self._file.seek(4 * begin * len(self.names))
            data = np.frombuffer(self._file.read(4 * run * len(self.names)), "<f4")
            yield data.reshape(len(self.names), run).T
            begin += run

    def moving(self, index: int, rest: float = 0.0) -> bool:
        """Whether a channel is ever away from rest."""
        return bool((self.column(index) != np.float32(rest)).any())


@contextmanager
def spooled(
    source: FrameSource, tolerance: float | None = None, *, shared: bool = False
) -> Iterator[Spool]:
    """Spool a source's channels; `tolerance` drops keys as `LinearKeys` does.

    `shared` gives all channels their keys at the same frames. In memory are one channel, one run
    of frames and, with a tolerance, one bit per key.
    """
    parts = source.blocks()
    first = next(parts)
    names = source.info.rig.names if first.pose is None else (*source.info.rig.names, *POSE_ANGLES)
    with TemporaryFile() as file:
        spool = Spool(file, names, [])
        rows = _whole_runs(chain([first], parts), len(names))
        if tolerance is not None:
            rows = _chosen(rows, spool, LinearKeys(len(names), tolerance, shared=shared))
        for run in rows:
            file.write(np.ascontiguousarray(run.T, "<f4").tobytes())
            spool._runs.append(len(run))
        yield spool


def _whole_runs(parts: Iterable[Block], width: int) -> Iterator[Floats]:
    """Yield (n, C) rows of controls and pose in runs of equal length, the last one shorter."""
    held = np.empty((0, width), np.float32)
    for values, angles in parts:
        new = (
            values if angles is None else np.hstack([values, angles.reshape(-1, len(POSE_ANGLES))])
        )
        held = np.concatenate([held, new])
        while len(held) >= _RUN:
            yield held[:_RUN]
            held = held[_RUN:]
    if len(held):
        yield held


def _chosen(rows: Iterable[Floats], spool: Spool, chooser: LinearKeys) -> Iterator[Floats]:
    """Yield the same rows and note in the spool which of their frames are keys."""
    held = np.empty((0, len(spool.names)), bool)
    for run in rows:
        held = np.concatenate([held, chooser.push(run)])
        whole = len(held) // 8 * 8
        spool._kept.append(np.packbits(held[:whole], axis=0).T)
        held = held[whole:]
        yield run
    spool._kept.append(np.packbits(np.concatenate([held, chooser.flush()]), axis=0).T)
