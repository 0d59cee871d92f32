"""The CSV of Live Link Face, which Unreal imports as a Live Link take."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import BinaryIO

from ...errors import ClipError, FileFormatError
from ...rig import Rig
from ...source import FrameSource, moving_angles
from ..numbers import csv_rows
from ..options import DEFAULTS, WriteOptions
from ..rigs import loose_rig
from .curves import Clock, lines
from .table import Layout, TableClip, named_columns

RIG = "livelink"
_CLOCK = 60
"""The frames field of a timecode counts 60ths of a second, whatever the frame rate."""
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

    Columns are found by name in any case; the last field of a timecode may count 60ths or
    milliseconds. A take begins at frame zero, its first timecode is kept in `meta`.
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
    first_two = [name.lower() for name in list(columns)[:2]]
    if first_two != ["timecode", "blendshapecount"] or len(columns) < 3:
        raise FileFormatError("expected a header Timecode,BlendShapeCount,<curve>,...")
    curves = dict(list(columns.items())[2:])
    rig, controls, meta = loose_rig(curves, rig or RIG)
    return Layout(rig, 0, controls, meta=meta)


def _seconds(cells: Sequence[str]) -> list[float]:
    codes = [_fields(cell) for cell in cells]
    unit = 1000 if any(code[3] >= _CLOCK for code in codes) else _CLOCK
    times: list[float] = []
    midnights = 0.0
    for h, m, s, last in codes:
        time = h * 3600 + m * 60 + s + last / unit + midnights
        if times and time < times[-1] - _DAY / 2:
            midnights += _DAY
            time += _DAY
        times.append(time)
    return times


def _fields(cell: str) -> tuple[float, float, float, float]:
    parts = cell.replace(";", ":").split(":")
    if len(parts) != 4:
        raise FileFormatError(f"expected a timecode HH:MM:SS:FF.sss, got {cell[:40]!r}")
    h, m, s, last = (float(part) for part in parts)
    return h, m, s, last
