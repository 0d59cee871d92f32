"""The CSV of Live Link Face, which Unreal imports as a Live Link take."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from statistics import median, median_high
from typing import BinaryIO

import numpy as np

from ...errors import ClipError, FileFormatError
from ...rig import Rig
from ...source import FrameSource, moving_angles
from ..numbers import csv_rows
from ..options import DEFAULTS, WriteOptions
from .curves import Clock, lines
from .table import Layout, TableClip, column_named, control_columns, is_named, named_columns

RIG = "livelink"
_CLOCK = 60
"""The frames field of a timecode counts 60ths of a second, whatever the frame rate."""
_COUNTS = (24, 25, 30, 48, 50, _CLOCK)
"""Frames that other programs count in a second of a timecode."""
_DAY = 24 * 3600.0
_ROTATIONS = {"head": "HeadYaw", "left_eye": "LeftEyeYaw", "right_eye": "RightEyeYaw"}


def write_livelink_csv(
    source: FrameSource,
    file: BinaryIO,
    options: WriteOptions = DEFAULTS,  # noqa: ARG001
) -> tuple[str, ...]:
    """Write one row per frame: timecode, number of curves, the curves of any rig by name.

    The nine rotation columns of the `livelink` rig are written like any other. Returns what the
    table does not hold: pose channels that move and have no such column, `events`, and `start`
    for a clip that begins before its audio and is moved to zero.
    """
    rig = source.info.rig
    file.write(_header(rig))
    count, clock = str(len(rig)), Clock(source)
    start = source.info.start
    shift = max(-start, Fraction(0))
    dropped: set[str] = set()
    for values, angles in source.blocks():
        codes = (timecode(t + shift) for t in clock.instants(len(values)))
        file.write(lines(codes, [count] * len(values), csv_rows(values)))
        dropped |= {c for c in moving_angles(angles) if not _has_column(rig, c)}
    notes = (("events",) if source.info.events else ()) + (("start",) if shift else ())
    return (*notes, *sorted(dropped))


def read_livelink_csv(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open a recording on the `livelink` rig; controls may be missing.

    Columns are found by name in any case. The last field of a timecode may count 60ths,
    milliseconds, or frames at 24, 25, 30, 48 or 50 per second (`;` is drop-frame at 30 and 60). A
    take begins at frame zero, its first timecode is kept in `meta`.
    """
    return TableClip(
        file,
        lambda header: _layout(header, rig),
        seconds=_seconds,
        resolution=1e-3 / _CLOCK,
        default=Fraction(_CLOCK),
        keeps_start=False,
    )


def timecode(instant: Fraction) -> str:
    """Return seconds as HH:MM:SS:FF.sss with FF in 60ths."""
    ticks = round(instant * _CLOCK * 1000)
    seconds, ticks = divmod(ticks, _CLOCK * 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}:{ticks // 1000:02}.{ticks % 1000:03}"


def _header(rig: Rig) -> bytes:
    for name in rig.names:
        if not name.strip() or set(name) & set(',"\r\n\0'):
            raise ClipError(
                f"control {name!r} cannot head a Live Link column: "
                "names must not be empty nor hold commas, quotes or line breaks"
            )
    return ",".join(("Timecode", "BlendShapeCount", *rig.names)).encode() + b"\n"


def _has_column(rig: Rig, channel: str) -> bool:
    """Whether a rig has a control for a pose channel such as `pose.head.yaw`."""
    _, joint, axis = channel.split(".")
    column = _ROTATIONS.get(joint, "").removesuffix("Yaw") + axis.capitalize()
    return joint in _ROTATIONS and column in rig


def _layout(header: Sequence[str], rig: Rig | None) -> Layout:
    columns = named_columns(header)
    if not is_livelink(list(columns)) or len(columns) < 3:
        raise FileFormatError("expected a header Timecode,BlendShapeCount,<curve>,...")
    time, _, *curves = columns.items()
    rig, controls, meta = control_columns(dict(curves), rig or RIG)
    return Layout(rig, time[1], controls, meta=meta)


def is_livelink(header: Sequence[str]) -> bool:
    """Whether a table begins with the two columns of a Live Link take."""
    titled = [name for name in header if is_named(name)]
    columns = {name: i for i, name in enumerate(titled[:2])}
    names = (column_named(columns, "Timecode"), column_named(columns, "BlendShapeCount"))
    return [columns.get(name or "") for name in names] == [0, 1]


def _seconds(cells: Sequence[str]) -> list[float]:
    codes = [_fields(cell) for cell in cells]
    unit = 1000 if any(code[3] >= _CLOCK for code in codes) else _frames_per_second(codes)
    whole = [int(code[3]) for code in codes]
    if unit not in (_CLOCK, 1000):
        codes = [(h, m, s, frames) for (h, m, s, _), frames in zip(codes, whole, strict=True)]
    drops = unit in (30, 60) and any(";" in cell for cell in cells)
    times: list[float] = []
    midnights = 0.0
    for h, m, s, last in codes:
        time = h * 3600 + m * 60 + s + last / unit
        if drops:
            minutes = h * 60 + m
            left_out = unit // 15 * (minutes - minutes // 10)
            time = (time * unit - left_out) * 1001 / (unit * 1000)
        time += midnights
        if times and time < times[-1] - _DAY / 2:
            midnights += _DAY
            time += _DAY
        times.append(time)
    return times


def _frames_per_second(codes: Sequence[tuple[float, float, float, float]]) -> int:
    """Return how many frames the last field counts before it begins again.

    Without a second that ends in the take these are the app's 60ths.
    """
    totals = [h * 3600 + m * 60 + s for h, m, s, _ in codes]
    lasts = [code[3] for code in codes]
    pairs = list(zip(np.diff(totals).tolist(), np.diff(lasts).tolist(), strict=True))
    steps = [step for seconds, step in pairs if seconds == 0 and step > 0]
    wraps = [-step for seconds, step in pairs if seconds == 1]
    if not steps or not wraps:
        return _CLOCK
    count = median_high(wraps) + median(steps)
    near = min(_COUNTS, key=lambda known: abs(known - count))
    fits = abs(near - count) < 0.5 and all(code[3] < near for code in codes)
    return near if fits else _CLOCK


def _fields(cell: str) -> tuple[float, float, float, float]:
    parts = cell.replace(";", ":").split(":")
    if len(parts) != 4:
        raise FileFormatError(f"expected a timecode HH:MM:SS:FF.sss, got {cell[:40]!r}")
    h, m, s, last = (float(part) for part in parts)
    return h, m, s, last
