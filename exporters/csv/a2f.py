"""The CSV that Audio2Face-3D clients write: index, `timeCode`, `blendShapes.<Name>`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import BinaryIO

from ...errors import FileFormatError
from ...rig import Rig
from ...source import FrameSource, moving_angles
from ..numbers import csv_rows
from ..options import DEFAULTS, WriteOptions
from .curves import Clock, header_line, lines
from .table import (
    Layout,
    TableClip,
    clock_seconds,
    column_named,
    control_columns,
    named_columns,
    without_unit,
)

RIG = "a2f"
_PREFIX = "blendShapes."


def write_a2f_csv(
    source: FrameSource,
    file: BinaryIO,
    options: WriteOptions = DEFAULTS,  # noqa: ARG001
) -> tuple[str, ...]:
    """Write one row per frame: index, audio time in seconds, controls in the rig's order.

    Returns what the table does not hold: `events`, and pose channels that move.
    """
    file.write(header_line(("", "timeCode", *(_PREFIX + name for name in source.info.rig.names))))
    clock, index = Clock(source), 0
    dropped: set[str] = set()
    for values, angles in source.blocks():
        numbers = map(str, range(index, index + len(values)))
        times = (f"{t:.6f}" for t in clock.seconds(len(values)))
        file.write(lines(numbers, times, csv_rows(values)))
        index += len(values)
        dropped |= moving_angles(angles)
    return (*(("events",) if source.info.events else ()), *sorted(dropped))


def read_a2f_csv(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open a table on the `a2f` rig; controls may be missing."""
    return TableClip(
        file,
        lambda header: _layout(header, rig),
        seconds=clock_seconds,
        resolution=1e-6,
        default=Fraction(30),
    )


def _layout(header: Sequence[str], rig: Rig | None) -> Layout:
    columns = named_columns(header)
    time = column_named(columns, "timeCode")
    if time is None:
        raise FileFormatError('expected a column "timeCode" with seconds')
    curves = {n[len(_PREFIX) :]: c for n, c in columns.items() if _is_curve(n)}
    if not curves:
        raise FileFormatError(f'expected columns "{_PREFIX}<name>"')
    rig, controls, meta = control_columns(curves, rig or RIG)
    others = [n for n in columns if n not in ("", time) and not _is_curve(n)]
    if others := [n for n in others if not n.startswith("Unnamed")]:
        meta["ignored_columns"] = others
    return Layout(rig, columns[time], controls, meta=meta)


def is_a2f(header: Sequence[str]) -> bool:
    """Whether a table has a column of times and columns of blend shapes."""
    names = dict.fromkeys(map(without_unit, header), 0)
    return column_named(names, "timeCode") is not None and any(map(_is_curve, header))


def _is_curve(name: str) -> bool:
    return name.lower().startswith(_PREFIX.lower())
