"""Text tables with a column of times and one column per control: base of the CSV readers."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_FEWEST_STEPS = 8
"""Rows from which the unit of the times is checked."""
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
        rows = self._rows()
        self._header_cells = next(rows, [])
        try:
            self._layout = layout(self._header_cells)
            cells = [row[self._layout.time] for row in rows]
            times = np.array(seconds(cells), np.float64)
            if not np.isfinite(times).all():
                raise FileFormatError("times must be finite")
            if keeps_start:
                _check_seconds(times)
            self._timing = timing(times, resolution=resolution, default=default)
        except (ValueError, OverflowError) as error:
            raise FileFormatError(f"{self._name}: {error}") from error
        start = round(times[0] * SAMPLE_RATE) if keeps_start and len(times) else 0
        meta = dict(self._layout.meta)
        if self._timing.filled:
            meta["filled_frames"] = self._timing.filled
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
        on_grid = _on_grid(self._table(), self._timing)
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
        line = 2
        while several := list(islice(rows, BLOCK_FRAMES)):
            block = np.zeros((len(several), len(self._header_cells)), np.float32)
            with np.errstate(over="ignore"):
                block[:, wanted] = self._numbers(several, wanted, line)
            if not np.isfinite(block).all():
                row, column = np.argwhere(~np.isfinite(block))[0]
                raise self._bad_cell(line + int(row), int(column), several[row][column])
            yield block
            line += len(several)

    def _numbers(
        self, rows: Sequence[Sequence[str]], wanted: Sequence[int], line: int
    ) -> list[list[float]]:
        try:
            return [[float(row[c]) for c in wanted] for row in rows]
        except ValueError:
            for i, row in enumerate(rows):
                for column in wanted:
                    if not _is_number(row[column]):
                        raise self._bad_cell(line + i, column, row[column]) from None
            raise

    def _bad_cell(self, row: int, column: int, cell: str) -> FileFormatError:
        return FileFormatError(
            f"{self._name}, row {row}, column {self._header_cells[column][:60]!r}: "
            f"expected a finite number, got {cell[:40]!r}"
        )

    def _rows(self) -> Iterator[list[str]]:
        """Yield the cells of every line that is not empty; all rows are as wide as the header."""
        self._file.seek(0)
        width = None
        try:
            lines, delimiter = _dialect(self._lines())
            reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
            for number, row in enumerate(reader, 1):
                if not any(row):
                    continue
                if width is None:
                    row = _without_blanks(row)
                    width = len(row)
                elif delimiter != ",":
                    row = [cell.replace(",", ".") for cell in row]
                if len(row) > width and not any(row[width:]):
                    row = row[:width]
                if len(row) != width:
                    raise FileFormatError(
                        f"{self._name}, row {number}: expected {width} cells as in the header, "
                        f"got {len(row)}"
                    )
                yield row
        except csv.Error as error:
            raise FileFormatError(f"{self._name} is not a table: {error}") from error

    def _lines(self) -> Iterator[str]:
        """Yield lines of text, each of bounded length."""
        start = self._file.read(4)
        self._file.seek(0)
        if encoding := _utf_16(start):
            yield from self._wide_lines(encoding)
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

    def _wide_lines(self, encoding: str) -> Iterator[str]:
        """Yield lines of UTF-16 text."""
        decoder = codecs.getincrementaldecoder(encoding)()
        rest, chunk = "", b"-"
        while chunk:
            chunk = self._file.read(_MAX_LINE // 4)
            try:
                rest += decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise FileFormatError(
                    f"{self._name} is not UTF-16 text: {error}; save it as CSV in UTF-8"
                ) from error
            *whole, rest = rest.removeprefix("\ufeff").split("\n")
            yield from (line + "\n" for line in whole)
            if len(rest) >= _MAX_LINE:
                raise self._long_line()
        if rest:
            yield rest

    def _long_line(self) -> FileFormatError:
        return FileFormatError(f"{self._name}: a line is longer than {_MAX_LINE} bytes")


def header_cells(head: bytes) -> list[str]:
    """Return the cells of the first line of a table, or none if the bytes are not a table."""
    encoding = _utf_16(head[:4])
    text = head.decode(encoding or "utf-8", "replace").removeprefix("\ufeff")
    try:
        lines, delimiter = _dialect(iter(io.StringIO(text)))
        rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        return [cell.strip() for cell in next((row for row in rows if any(row)), [])]
    except csv.Error:
        return []


def _utf_16(start: bytes) -> str:
    """Return the UTF-16 codec of text that begins with these bytes, or nothing."""
    if start.startswith(codecs.BOM_UTF16_LE) or (start[1::2] == b"\0\0" and all(start[::2])):
        return "utf-16-le"
    if start.startswith(codecs.BOM_UTF16_BE) or (start[::2] == b"\0\0" and all(start[1::2])):
        return "utf-16-be"
    return ""


def _dialect(lines: Iterator[str]) -> tuple[Iterator[str], str]:
    """Return the lines of a table without `sep=`, and the character between cells.

    It is the one that `sep=` states, else the first comma, semicolon or tab outside quotes.
    """
    for line in lines:
        stated = line.strip(' "\r\n')
        if len(stated) == 5 and stated.lower().startswith("sep=") and stated[4] in ",;\t|":
            return lines, stated[4]
        if line.strip():
            outside = "".join(line.split('"')[::2])
            return chain([line], lines), next((c for c in outside if c in ",;\t"), ",")
    return lines, ","


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


def _check_seconds(times: NDArray[np.float64]) -> None:
    """Raise `FileFormatError` for a column that counts milliseconds or frames."""
    steps = np.diff(times)
    if len(times) < _FEWEST_STEPS or steps.min() < 0:
        return
    typical = float(np.median(steps))
    if typical >= _LONGEST_STEP or (steps == 1).all():
        raise FileFormatError(
            f"expected times in seconds, got rows {typical:g} apart: these look like "
            "milliseconds or frame numbers; divide them by 1000 or by the frame rate"
        )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def named_columns(header: Sequence[str]) -> dict[str, int]:
    """Return the column of every name in a header.

    A control that occurs twice counts once with a warning. Raises `FileFormatError` for any other
    double name.
    """
    names = [name.strip() for name in header]
    columns = {name: i for i, name in reversed(list(enumerate(names)))}
    if len(columns) != len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        if not all(map(is_control, twice)):
            raise FileFormatError(f"a column occurs twice: {', '.join(twice)[:80]}")
        warn_twice("the table", twice)
    return {name: columns[name] for name in names}


def column_named(columns: Mapping[str, int], name: str) -> str | None:
    """Return the header that is this name, in any case and with spaces, `_` or `-` inside."""
    if name in columns:
        return name
    return next((n for n in columns if _plain(n) == _plain(name)), None)


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
