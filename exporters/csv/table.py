"""Text tables with a column of times and one column per control: base of the CSV readers."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...arrays import Floats
from ...clip import POSE_ANGLES, SAMPLE_RATE
from ...errors import FileFormatError
from ...rig import Rig
from ...source import BLOCK_FRAMES, Block, ClipInfo
from ..rates import Timing, timing

_MAX_LINE = 1 << 20


@dataclass(frozen=True)
class Layout:
    """The meaning of the columns of a table."""

    rig: Rig
    time: int
    """Column of the time."""
    controls: Sequence[int | None]
    """Column of every control of the rig; None for one that stays at rest."""
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
        values = np.tile(self.info.rig.rest, (len(table), 1))
        present = [i for i, column in enumerate(self._layout.controls) if column is not None]
        values[:, present] = table[:, [c for c in self._layout.controls if c is not None]]
        if not self._layout.pose:
            return Block(values, None)
        return Block(values, table[:, self._layout.pose].reshape(-1, 4, 3))

    def _table(self) -> Iterator[Floats]:
        """Yield all cells as numbers, in blocks; cells outside curves are zero."""
        rows = self._rows()
        next(rows, None)
        wanted = [c for c in (*self._layout.controls, *self._layout.pose) if c is not None]
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
            for number, row in enumerate(csv.reader(self._lines()), 1):
                if not row:
                    continue
                width = width or len(row)
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
        encoding = "utf-8-sig"
        while line := self._file.readline(_MAX_LINE):
            if len(line) == _MAX_LINE:
                raise FileFormatError(f"{self._name}: a line is longer than {_MAX_LINE} bytes")
            try:
                yield line.decode(encoding)
            except UnicodeDecodeError as error:
                raise FileFormatError(f"{self._name} is not UTF-8 text: {error}") from error
            encoding = "utf-8"


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


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def named_columns(header: Sequence[str]) -> dict[str, int]:
    """Return the column of every name in a header; raises `FileFormatError` for a double name."""
    columns = {name.strip(): i for i, name in enumerate(header)}
    if len(columns) != len(header):
        twice = sorted({n for n in header if list(header).count(n) > 1})
        raise FileFormatError(f"a column occurs twice: {', '.join(twice)[:80]}")
    return columns


def pose_columns(columns: Mapping[str, int]) -> list[int]:
    """Return the columns of the pose channels, or none if any is missing."""
    found = [columns[name] for name in POSE_ANGLES if name in columns]
    return found if len(found) == len(POSE_ANGLES) else []
