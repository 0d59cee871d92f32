"""Tables that Unreal imports: CurveTable as CSV and as JSON, and curves for its RigMapper.

None of these has been imported into Unreal by us; the layouts are those that Epic documents and
that others report.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...arrays import Floats
from ...clip import POSE_ANGLES
from ...source import FrameSource
from ..options import DEFAULTS, WriteOptions
from ..spool import spooled
from .names import curve_names

_RUN = 128
"""Keys that are text at one time."""


def write_table_csv(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write one row per curve and one column per time; with a tolerance curves share keys.

    Returns `events`, where there are any.
    """
    with spooled(source, options.tolerance, shared=True) as spool:
        names = curve_names(spool.names, len(source.info.rig))
        times = _times(source, spool.curve(0).frames)
        file.write(b"---")
        _write_cells(file, times)
        for i, name in names.items():
            file.write(b"\n" + _cell(name))
            _write_cells(file, spool.curve(i).values)
        file.write(b"\n")
    return _dropped(source)


def write_table_json(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write one object per curve: its name, and values by time. Returns `events`, if any."""
    with spooled(source, options.tolerance) as spool:
        names = curve_names(spool.names, len(source.info.rig))
        before = b"[\n"
        for i, name in names.items():
            curve = spool.curve(i)
            file.write(before + b' {"Name": ' + json.dumps(name).encode())
            for cells in _runs(_times(source, curve.frames), curve.values):
                file.write("".join(f', "{t:.6f}": {v:.6f}' for t, v in cells).encode())
            file.write(b"}")
            before = b",\n"
        file.write(b"\n]\n")
    return _dropped(source)


def write_rig_mapper(
    source: FrameSource,
    file: BinaryIO,
    options: WriteOptions = DEFAULTS,  # noqa: ARG001
) -> tuple[str, ...]:
    """Write one row per curve and frame; a curve missing from a frame would not be zero.

    Returns what the table does not hold: `fps`, `start` where it is not zero, `events`.
    """
    file.write(b"curve_name,frame_number,value\n")
    number, names = 0, dict[int, str]()
    for values, angles in source.blocks():
        channels = values if angles is None else _with_pose(values, angles)
        if not names:
            pose = () if angles is None else POSE_ANGLES
            names = curve_names((*source.info.rig.names, *pose), len(source.info.rig))
        heads = [(_cell(name).decode(), i) for i, name in names.items()]
        for row in (np.round(channels.astype(np.float64), 6) + 0.0).tolist():
            file.write("".join(f"{h},{number},{row[i]:.6f}\n" for h, i in heads).encode())
            number += 1
    return ("fps", *(("start",) if source.info.start_sample else ()), *_dropped(source))


def _with_pose(values: Floats, angles: Floats) -> Floats:
    return np.hstack([values, angles.reshape(len(values), -1)])


def _times(source: FrameSource, frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (K,) seconds."""
    start = source.info.start_sample / source.info.sample_rate
    return np.asarray(start + frames / float(source.info.fps), np.float64)


def _write_cells(file: BinaryIO, numbers: NDArray[np.floating]) -> None:
    """Write numbers, each after a comma."""
    for (cells,) in _columns(numbers):
        file.write("".join(f",{number:.6f}" for number in cells).encode())


def _runs(
    times: NDArray[np.floating], values: NDArray[np.floating]
) -> Iterator[list[tuple[float, float]]]:
    """Yield times and values, some at a time."""
    for some, others in _columns(times, values):
        yield list(zip(some, others, strict=True))


def _columns(*arrays: NDArray[np.floating]) -> Iterator[list[list[float]]]:
    for begin in range(0, len(arrays[0]), _RUN):
        parts = (np.asarray(array[begin : begin + _RUN], np.float64) for array in arrays)
        yield [(np.round(part, 6) + 0.0).tolist() for part in parts]  # no "-0.000000"


def _cell(name: str) -> bytes:
    """Return a name as a cell, quoted where a table needs it."""
    quoted = '"' + name.replace('"', '""') + '"'
    return (quoted if set(name) & set('",\r\n') else name).encode()


def _dropped(source: FrameSource) -> tuple[str, ...]:
    return ("events",) if source.info.events else ()
