"""Plain CSV: a column of times, one column per control, twelve more for a pose."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import BinaryIO

from ...clip import POSE_ANGLES
from ...errors import ClipError, FileFormatError
from ...rig import Rig
from ...source import FrameSource
from ..numbers import csv_rows
from ..options import DEFAULTS, WriteOptions
from .table import (
    Layout,
    TableClip,
    clock_seconds,
    control_columns,
    named_columns,
    pose_columns,
    time_column,
)


def write_csv(
    source: FrameSource,
    file: BinaryIO,
    options: WriteOptions = DEFAULTS,  # noqa: ARG001
) -> tuple[str, ...]:
    """Write one row per frame: audio time in seconds, the controls, the pose in radians.

    Returns what the table does not hold: `events`, where there are any.
    """
    clock = Clock(source)
    names: tuple[str, ...] = ()
    for values, angles in source.blocks():
        if not names:
            names = ("time", *source.info.rig.names, *(POSE_ANGLES if angles is not None else ()))
            file.write(header_line(names))
        cells = [csv_rows(values)]
        if angles is not None:
            cells.append(csv_rows(angles.reshape(-1, len(POSE_ANGLES))))
        times = (f"{t:.6f}" for t in clock.seconds(len(values)))
        file.write(lines(times, *cells))
    return ("events",) if source.info.events else ()


def read_csv(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open a table with a `time` column, on the rig that has all its columns or a new one."""
    return TableClip(
        file,
        lambda header: _layout(header, rig),
        seconds=clock_seconds,
        resolution=1e-6,
        default=Fraction(60),
    )


class Clock:
    """Times of the frames of one source, exact until they are printed."""

    def __init__(self, source: FrameSource) -> None:
        self._start = source.info.start
        self._step = 1 / source.info.fps
        self._index = 0

    def instants(self, count: int) -> list[Fraction]:
        """Return the next `count` times as exact seconds."""
        first = self._index
        self._index += count
        return [self._start + i * self._step for i in range(first, self._index)]

    def seconds(self, count: int) -> list[float]:
        """Return the next `count` times in seconds."""
        return [float(instant) for instant in self.instants(count)]


def header_line(names: Sequence[str]) -> bytes:
    """Return column names as the first line of a table."""
    if bad := next((n for n in names if "\n" in n or "\r" in n or "\0" in n), None):
        raise ClipError(f"control {bad!r} cannot head a column: it breaks the line")
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(names)
    return line.getvalue().encode()


def lines(*columns: Iterable[str]) -> bytes:
    """Return rows of cells as lines of a table."""
    return "".join(",".join(cells) + "\n" for cells in zip(*columns, strict=True)).encode()


def _layout(header: Sequence[str], rig: Rig | None) -> Layout:
    columns = named_columns(header)
    time = time_column(columns)
    if time is None:
        raise FileFormatError('expected a column "time" with seconds')
    pose = pose_columns(columns)
    curves = {n: c for n, c in columns.items() if n != time and c not in pose}
    rig, controls, meta = control_columns(curves, rig)
    return Layout(rig, columns[time], controls, pose, meta)
