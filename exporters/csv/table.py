"""Text tables with a column of times and one column per control: base of the CSV readers."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...arrays import Floats
from ...clip import POSE_ANGLES, SAMPLE_RATE
from ...errors import FileFormatError
from ...names import is_control, warn_twice
from ...rig import Rig
from ...source import BLOCK_FRAMES, Block, ClipInfo
from ..rates import Timing, timing
from ..rigs import Columns, file_rig, on_rig

_MAX_LINE = 1 << 20
_TIMES = ("time", "seconds", "timestamp", "timestamps", "t", "sec", "secs", "timecode")
"""Titles of a column of times, the usual one first."""
_UNIT = re.compile(r"[\s_(\[]+(in )?(s|sec|secs|seconds?|ms|msec|milliseconds?|us|µs|ns)[)\]]?\s*$")
_UNITS = re.compile(
    r"\s*[(\[](%|percent|pct|0 ?(-|–|\.\.|to) ?1(00)?(\.0)?|weight|deg|degrees|°|rad|radians|"
    r"m?s|sec|secs|seconds|milliseconds)[)\]]\s*$",
    re.IGNORECASE,
)
"""The unit at the end of a title."""
_PERCENT = ("%", "percent", "pct")
_UNNAMED = re.compile(r"Unnamed: \d+")
_SUMMARIES = ("total", "totals", "sum", "average", "avg", "mean", "max", "min", "count")
"""First cells of rows that spreadsheets add below a table."""
_MAX_BEFORE = 50
_SAMPLED = 20
_LONGEST_UNIT = 12
_FEWEST_STEPS = 8
"""Rows from which the unit of the times is checked."""
_LATEST = 7 * 24 * 3600
"""Seconds at which a clip may begin; later times are those of a calendar."""
_LONGEST_STEP = 4.0
"""Seconds between rows that no animation has."""


@dataclass(frozen=True)
class Layout:
    """The meaning of the columns of a table."""

    rig: Rig
    time: int
    """Column of the time."""
    controls: Columns
    """Columns of every control of the rig."""
    pose: Sequence[int] = ()
    """Columns of the twelve pose channels, or none."""
    meta: Mapping[str, Any] = field(default_factory=dict)


Seconds = Callable[[Sequence[str]], Sequence[float]]


class TableClip:
    """A table whose rows are put on the exact frame grid that its times imply.

    A frame that the table skips is interpolated; of two rows for one frame the later counts.
    """

    def __init__(
        self,
        file: BinaryIO,
        layout: Callable[[list[str]], Layout],
        *,
        seconds: Seconds,
        resolution: float,
        default: Fraction,
        keeps_start: bool = True,
    ) -> None:
        self._file = file
        self._name = str(getattr(file, "name", "table"))
        self._header_line = 1
        rows = self._rows()
        self._header_cells = next(rows, [])
        try:
            self._layout = layout(self._header_cells)
            cells = [row[self._layout.time] for row in rows]
            times = np.array(seconds(cells), np.float64)
            if not np.isfinite(times).all():
                raise FileFormatError("times must be finite")
            if keeps_start:
                unit = _unit(self._header_cells[self._layout.time])
                times /= unit
                if unit == 1:
                    _check_seconds(times, cells)
            self._timing = timing(times, resolution=resolution, default=default)
        except (ValueError, OverflowError) as error:
            raise FileFormatError(f"{self._name}: {error}") from error
        meta = dict(self._layout.meta)
        start = round(times[0] * SAMPLE_RATE) if keeps_start and len(times) else 0
        if abs(start) > _LATEST * SAMPLE_RATE:
            meta["first_time"], start = float(times[0]), 0
            warnings.warn(
                f"{self._name}: times begin at {times[0]:.3f} s, which no recording does; "
                "the clip begins at 0",
                stacklevel=2,
            )
        if self._timing.filled:
            meta["filled_frames"] = self._timing.filled
        if self._timing.measured:
            meta["measured_fps"] = round(self._timing.measured, 6)
            how = "one row per frame" if self._timing.places is None else "rows interpolated"
            warnings.warn(
                f"{self._name}: rows come at {self._timing.measured:.3f} per second by their "
                f"times, taken as {_shown(self._timing.fps)} fps by a clock that is a little off; "
                f"{how}",
                stacklevel=2,
            )
        if not keeps_start and cells:
            meta["first_timecode"] = cells[0]
        self.info = ClipInfo(
            rig=self._layout.rig,
            fps=self._timing.fps,
            start_sample=start,
            meta={"imported": meta} if meta else {},
        )

    def blocks(self) -> Iterator[Block]:
        """Yield rows on the frame grid."""
        if self._timing.places is None:
            on_grid = _on_grid(self._table(), self._timing)
        else:
            on_grid = _between(self._table(), self._timing.places)
        yield self._split(next(on_grid, np.empty((0, len(self._header_cells)), np.float32)))
        for block in on_grid:
            yield self._split(block)

    def _split(self, table: Floats) -> Block:
        """Return the columns of a block of rows, in the rig's order."""
        values = on_rig(table, self._layout.controls, self.info.rig)
        if not self._layout.pose:
            return Block(values, None)
        return Block(values, table[:, self._layout.pose].reshape(-1, 4, 3))

    def _table(self) -> Iterator[Floats]:
        """Yield all cells as numbers, in blocks; cells outside curves are zero."""
        rows = self._rows()
        next(rows, None)
        wanted = [*chain(*self._layout.controls), *self._layout.pose]
        factors = np.array([_factor(self._header_cells[c]) for c in wanted], np.float32)
        line = self._header_line + 1
        while several := list(islice(rows, BLOCK_FRAMES)):
            block = np.zeros((len(several), len(self._header_cells)), np.float32)
            with np.errstate(over="ignore"):
                block[:, wanted] = self._numbers(several, wanted, line) * factors
            if not np.isfinite(block).all():
                row, column = np.argwhere(~np.isfinite(block))[0]
                raise self._bad_cell(line + int(row), int(column), several[row][column])
            yield block
            line += len(several)

    def _numbers(self, rows: Sequence[Sequence[str]], wanted: Sequence[int], line: int) -> Floats:
        with suppress(ValueError):
            return np.array([[float(row[c]) for c in wanted] for row in rows], np.float32)
        table = np.empty((len(rows), len(wanted)), np.float32)
        for i, row in enumerate(rows):
            for k, column in enumerate(wanted):
                try:
                    table[i, k] = number(row[column])
                except ValueError:
                    raise self._bad_cell(line + i, column, row[column]) from None
        return table

    def _bad_cell(self, row: int, column: int, cell: str) -> FileFormatError:
        return FileFormatError(
            f"{self._name}, row {row}, column {self._header_cells[column][:60]!r}: "
            f"expected a finite number, got {cell[:40]!r}"
        )

    def _rows(self) -> Iterator[list[str]]:
        """Yield the header, then the cells of every row of numbers, as many as in the header."""
        self._file.seek(0)
        try:
            lines, delimiter = _dialect(self._lines())
            reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
            told = ((n, row) for n, row in enumerate(reader, 1) if not _is_remark(row))
            (self._header_line, header), rows = _header(told)
            header = [cell.strip() for cell in _without_blanks(header)]
            width = len(header)
            yield header
            for line, cells in rows:
                row = cells
                if delimiter != ",":
                    row = [cell.replace(",", ".") for cell in cells]
                if row[0].strip() == header[0]:
                    row = [cell.strip() for cell in row]
                if len(row) > width and not any(row[width:]):
                    row = row[:width]
                if row[0] == header[0] and row[1:] == header[1:]:
                    continue
                if _is_summary(row):
                    continue
                if len(row) != width:
                    raise FileFormatError(
                        f"row {line}: expected {width} cells as in the header, got {len(row)}"
                    )
                yield row
        except csv.Error as error:
            raise FileFormatError(f"{self._name} is not a table: {error}") from error

    def _lines(self) -> Iterator[str]:
        """Yield lines of text, each of bounded length."""
        start = self._file.read(_MAX_LINE)
        self._file.seek(0)
        if encoding := _utf_16(start[:4]):
            yield from self._wide_lines(encoding)
            return
        if b"\n" not in start and b"\r" in start.rstrip():  # as old spreadsheets for Macs write
            yield from self._wide_lines("utf-8", end="\r")
            return
        encoding = "utf-8-sig"
        while line := self._file.readline(_MAX_LINE):
            if len(line) == _MAX_LINE:
                raise self._long_line()
            try:
                yield line.decode(encoding)
            except UnicodeDecodeError as error:
                raise FileFormatError(
                    f"{self._name} is not UTF-8 text: {error}; save it as CSV in UTF-8"
                ) from error
            encoding = "utf-8"

    def _wide_lines(self, encoding: str, *, end: str = "\n") -> Iterator[str]:
        """Yield lines of text in another encoding, or with other ends."""
        decoder = codecs.getincrementaldecoder(encoding)()
        rest, chunk = "", b"-"
        while chunk:
            chunk = self._file.read(_MAX_LINE // 4)
            try:
                rest += decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise FileFormatError(
                    f"{self._name} is not {encoding.upper()} text: {error}; save it as CSV in UTF-8"
                ) from error
            *whole, rest = rest.removeprefix("\ufeff").split(end)
            yield from (line + "\n" for line in whole)
            if len(rest) >= _MAX_LINE:
                raise self._long_line()
        if rest:
            yield rest

    def _long_line(self) -> FileFormatError:
        return FileFormatError(f"{self._name}: a line is longer than {_MAX_LINE} bytes")


def header_cells(head: bytes) -> list[str]:
    """Return the header of a table from its first bytes, or none if they are not a table."""
    encoding = _utf_16(head[:4])
    text = head.decode(encoding or "utf-8", "replace").removeprefix("\ufeff")
    try:
        lines, delimiter = _dialect(iter(io.StringIO(text, newline=None)))
        rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        (_, header), _ = _header((n, row) for n, row in enumerate(rows, 1) if not _is_remark(row))
        return [cell.strip() for cell in header]
    except csv.Error:
        return []


_Row = tuple[int, list[str]]


def _header(rows: Iterator[_Row]) -> tuple[_Row, Iterator[_Row]]:
    """Return the header with its number, and the rows of numbers.

    It is the fullest row with the title of a column of times among those before the first row of
    numbers: titles of the take, groups of columns and units may stand around it.
    """
    before: list[_Row] = []
    first: list[_Row] = []
    for row in rows:
        if before and (_is_data(row[1]) or len(before) == _MAX_BEFORE):
            first = [row]
            break
        before.append(row)
    if not before:
        return (1, []), iter(())
    found = max(before, key=lambda row: (_has_time(row[1]), sum(map(bool, row[1]))))
    if not _has_time(found[1]):
        found = before[0]
    after = before[before.index(found) + 1 :]
    return found, chain([row for row in after if not _is_units(row[1])], first, rows)


def _has_time(row: Sequence[str]) -> bool:
    columns = {name.strip(): i for i, name in enumerate(row)}
    return sum(map(bool, row)) > 1 and time_column(columns) is not None


def _is_data(row: Sequence[str]) -> bool:
    """Whether a row has numbers instead of titles."""
    filled = [cell for cell in row if cell.strip()]
    return not _has_time(row) and 2 * sum(map(_is_number, filled)) >= len(filled)


def _is_units(row: Sequence[str]) -> bool:
    """Whether a row below the header has only words such as `s` and `%`."""
    return not any(map(_is_number, row)) and all(len(cell.strip()) <= _LONGEST_UNIT for cell in row)


def _is_remark(row: Sequence[str]) -> bool:
    """Whether a row is empty, a comment or what old systems put at the end of a file."""
    first = next((cell.strip("\x1a\0 ") for cell in row if cell.strip("\x1a\0 ")), "")
    return not first or first.startswith(("#", "//"))


def _is_summary(row: Sequence[str]) -> bool:
    first = next((cell.strip().lower() for cell in row if cell.strip()), "")
    return first.rstrip(":") in _SUMMARIES


def _utf_16(start: bytes) -> str:
    """Return the UTF-16 codec of text that begins with these bytes, or nothing."""
    if start.startswith(codecs.BOM_UTF16_LE) or (start[1::2] == b"\0\0" and all(start[::2])):
        return "utf-16-le"
    if start.startswith(codecs.BOM_UTF16_BE) or (start[::2] == b"\0\0" and all(start[1::2])):
        return "utf-16-be"
    return ""


def _dialect(lines: Iterator[str]) -> tuple[Iterator[str], str]:
    """Return the lines of a table without `sep=`, and the character between cells.

    It is the one that `sep=` states, else the comma, semicolon, tab or bar that is outside quotes
    in most of the first lines, the first one of equals; white space where there is none.
    """
    begin: list[str] = []
    for line in lines:
        stated = line.strip(' "\r\n')
        is_first = not any(map(str.strip, begin))
        if (
            is_first
            and len(stated) == 5
            and stated.lower().startswith("sep=")
            and stated[4] in ",;\t|"
        ):
            return lines, stated[4]
        begin.append(line)
        if len(begin) == _SAMPLED:
            break
    outside = ["".join(line.split('"')[::2]) for line in begin if line.strip()]
    counts = {c: sum(c in text for text in outside) for c in ",;\t|"}
    most = max(counts.values(), default=0)
    order = [c for text in outside for c in text if counts.get(c) == most]
    found = order[0] if most and order else ","
    if not most and outside and all(len(text.split()) > 1 for text in outside[-2:]):
        found = " "
    return chain(begin, lines), found


def _without_blanks(header: list[str]) -> list[str]:
    """Return a header without the empty cells that trailing separators leave."""
    width = len(header)
    while width > 1 and not header[width - 1].strip():
        width -= 1
    return header[:width]


def _on_grid(table: Iterator[Floats], timing: Timing) -> Iterator[Floats]:
    """Yield rows at consecutive frames: skipped frames interpolated, double ones taken once."""
    done, latest, last = 0, timing.latest, None
    for block in table:
        rows = slice(done, done + len(block))
        done += len(block)
        kept, indices = block[latest[rows]], timing.indices[rows][latest[rows]]
        if not len(kept):
            continue
        yield _filled(kept, indices, last)
        last = int(indices[-1]), kept[-1]


def _filled(block: Floats, indices: NDArray[np.int64], last: tuple[int, Floats] | None) -> Floats:
    """Return a block with the frames that were skipped before each of its rows."""
    first = int(indices[0]) if last is None else last[0] + 1
    if len(indices) == indices[-1] + 1 - first:
        return block
    out: list[Floats] = []
    begin, previous = last or (first - 1, block[0])
    for index, row in zip(indices.tolist(), block, strict=True):
        for k in range(begin + 1, index):
            part = np.float32((k - begin) / (index - begin))
            out.append(previous + (row - previous) * part)
        out.append(row)
        begin, previous = index, row
    return np.array(out, np.float32)


def _between(table: Iterator[Floats], places: NDArray[np.float64]) -> Iterator[Floats]:
    """Yield rows interpolated at whole frames, from rows at places that rise."""
    done, frame = 0, 0
    last: Floats | None = None
    for block in table:
        at = places[max(done - 1, 0) : done + len(block)]
        rows = block if last is None else np.concatenate([last, block])
        done += len(block)
        frames = np.arange(frame, int(at[-1] + 1e-6) + 1)
        if len(frames) and len(rows) > 1:
            before = np.clip(np.searchsorted(at, frames, "right") - 1, 0, len(at) - 2)
            span = np.maximum(at[before + 1] - at[before], 1e-9)
            share = np.clip((frames - at[before]) / span, 0, 1).astype(np.float32)[:, None]
            yield rows[before] + (rows[before + 1] - rows[before]) * share
            frame = int(frames[-1]) + 1
        last = block[-1:]


def _unit(title: str) -> float:
    """Return how many of the unit that the title of a column of times states make a second."""
    words = set(re.findall(r"[a-zµ]+", title.lower()))
    if words & {"ms", "msec", "millis", "milliseconds", "millisecond"}:
        return 1e3
    if words & {"us", "µs", "usec", "microseconds"}:
        return 1e6
    return 1e9 if words & {"ns", "nsec", "nanoseconds"} else 1.0


def _check_seconds(times: NDArray[np.float64], cells: Sequence[str]) -> None:
    """Raise `FileFormatError` for a column that counts milliseconds or frames.

    Whole numbers without a decimal point count something else than seconds, unless they are few;
    with one they may be a clip of one frame per second.
    """
    steps = np.diff(times)
    if len(times) < _FEWEST_STEPS or steps.min() < 0:
        return
    typical = float(np.median(steps))
    counted = all(cell.strip().lstrip("+-").isdigit() for cell in cells)
    if typical >= _LONGEST_STEP or (counted and typical >= 1):
        raise FileFormatError(
            f"expected times in seconds, got rows {typical:g} apart: these look like "
            "milliseconds or frame numbers; divide them by 1000 or by the frame rate, or write "
            "whole seconds as 1.0"
        )


def _shown(fps: Fraction) -> str:
    return f"{float(fps):.6g}"


def _is_number(cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return False
    return True


def named_columns(header: Sequence[str]) -> dict[str, int]:
    """Return the column of every name in a header, without units such as `(0-1)` and `[%]`.

    Columns without a name, such as the numbers of rows, are left out. A control that occurs twice
    counts once with a warning. Raises `FileFormatError` for any other double name.
    """
    named = [(without_unit(name), i) for i, name in enumerate(header)]
    named = [(name, i) for name, i in named if is_named(name)]
    columns = dict(reversed(named))
    if len(columns) != len(named):
        names = [name for name, _ in named]
        twice = sorted({n for n in names if names.count(n) > 1})
        if not all(map(is_control, twice)):
            raise FileFormatError(f"a column occurs twice: {', '.join(twice)[:80]}")
        warn_twice("the table", twice)
    return {name: columns[name] for name, _ in named}


def is_named(title: str) -> bool:
    """Whether a column has a name; one without holds the numbers of rows, or nothing."""
    return bool(title.strip()) and not _UNNAMED.fullmatch(title.strip())


def without_unit(title: str) -> str:
    """Return a title without a unit such as `(0-1)` at its end."""
    return _UNITS.sub("", title).strip()


def _factor(title: str) -> float:
    """Return 0.01 for the title of a column in percent, else 1."""
    unit = _UNITS.search(title)
    return 0.01 if unit and unit.group().strip(" ()[]").lower() in _PERCENT else 1.0


def number(cell: str) -> float:
    """Return the number in a cell, also as spreadsheets show it: `91 %`, `1,234.5`, `'0.5`.

    Raises `ValueError`.
    """
    with suppress(ValueError):
        return float(cell)
    text = "".join(cell.split()).removeprefix("=").strip("'\"").replace("'", "")
    percent = text.endswith("%")
    text = text.removesuffix("%")
    if "," in text and "." not in text and text.count(",") == 1:
        text = text.replace(",", ".")
    elif text.rfind(",") > text.rfind("."):
        text = text.replace(".", "").replace(",", ".")
    text = text.replace(",", "")
    if text.count(".") > 1:
        whole, _, rest = text.rpartition(".")
        text = f"{whole.replace('.', '')}.{rest}"
    return float(text) / (100 if percent else 1)


def column_named(columns: Mapping[str, int], name: str) -> str | None:
    """Return the header that is this name, in any case and with spaces, `_` or `-` inside."""
    if name in columns:
        return name
    return next((n for n in columns if _plain(n) == _plain(name)), None)


def time_column(columns: Mapping[str, int]) -> str | None:
    """Return the header of a column of times, which may state a unit: `Time [s]`, `time_ms`."""
    for name in _TIMES:
        if found := column_named(columns, name):
            return found
    stated = (n for n in columns if _plain(_UNIT.sub("", n.lower())) in _TIMES)
    return next(stated, None)


def clock_seconds(cells: Sequence[str]) -> list[float]:
    """Return times that are numbers, or `h:mm:ss.sss` and `mm:ss.sss` as spreadsheets show them."""
    return [number(cell) if ":" not in cell else _clock(cell) for cell in cells]


def _clock(cell: str) -> float:
    parts = [float(part) for part in cell.split(":")]
    if len(parts) > 3:
        raise FileFormatError(f"expected seconds or h:mm:ss.sss, got {cell[:40]!r}")
    total = 0.0
    for part in parts:
        total = total * 60 + part
    return total


def _plain(name: str) -> str:
    return name.lower().translate({ord(c): None for c in " _-"})


def pose_columns(columns: Mapping[str, int]) -> list[int]:
    """Return the columns of the pose channels, or none if any is missing."""
    found = [columns[name] for name in POSE_ANGLES if name in columns]
    return found if len(found) == len(POSE_ANGLES) else []


def control_columns(
    columns: Mapping[str, int], rig: Rig | str | None
) -> tuple[Rig, Columns, dict[str, Any]]:
    """Return the rig of named columns, the table's columns of its controls, and notes."""
    found, places, notes = file_rig(list(columns), rig, source="the table")
    numbers = list(columns.values())
    return found, [[numbers[i] for i in several] for several in places], notes
