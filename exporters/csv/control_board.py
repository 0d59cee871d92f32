"""Text of 174 columns: the control board of MetaHumans as EmoFace and MEDTalk write it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from typing import BinaryIO

import numpy as np

from ...arrays import Floats
from ...errors import ExportError, FileFormatError
from ...rig import Rig
from ...source import BLOCK_FRAMES, Block, ClipInfo, FrameSource, moving_angles
from ..numbers import csv_rows
from ..options import DEFAULTS, Setting, WriteOptions

RIG = "metahuman-gui"
FPS = Fraction(60)
"""The rate of every such file, which no file states."""
HEADER = Setting("header", False, "a first line with the 174 titles")
_SEPARATORS = re.compile(rb"[,\s]+")
_MAX_LINE = 1 << 16


def write_control_board(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write one line per frame: 174 values with six decimals, and names if `header` is set.

    Returns what the text does not hold: pose channels that move, `events`, `start` for a clip that
    does not begin at zero, and `fps` where it is not the 60 that readers take it for. Raises
    `ExportError` for another rig, since the columns have no names.
    """
    rig = Rig.load(RIG)
    if source.info.rig.names != rig.names:
        raise ExportError(
            f"the text has the columns of rig {RIG!r}, got a clip on {source.info.rig.name!r}; "
            f"convert it first: facesdk convert --to {RIG}"
        )
    if HEADER.chosen(options):
        file.write(",".join(labels(rig)).encode() + b"\n")
    dropped: set[str] = set()
    for values, angles in source.blocks():
        file.write("".join(line + "\n" for line in csv_rows(values)).encode())
        dropped |= moving_angles(angles)
    notes = {"events": bool(source.info.events), "start": source.info.start_sample != 0,
             "fps": source.info.fps != FPS}  # fmt: skip
    return (*(name for name, kept_out in notes.items() if kept_out), *sorted(dropped))


def labels(rig: Rig) -> tuple[str, ...]:
    """Return the titles of the 174 columns, two of which occur twice; see `read_control_board`."""
    return tuple(control.label or control.name for control in rig.controls)


def read_control_board(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open a clip of 60 frames per second on the `metahuman-gui` rig.

    Columns are separated by commas or white space. A first line of titles may put them in another
    order or leave some out. The titles `CTRL_C_tongue_tip-translateX` and `-Y` occur twice; the
    first of each is read as `CTRL_C_tongue_roll`, where it stands in the alphabet.
    """
    return _BoardClip(file, rig or Rig.load(RIG))


class _BoardClip:
    def __init__(self, file: BinaryIO, rig: Rig) -> None:
        self._file = file
        self._name = str(getattr(file, "name", "text"))
        first = next(self._lines(), (0, []))[1]
        self._titled = any(not _is_number(cell) for cell in first)
        if not first:
            raise FileFormatError(f"{self._name} is empty: expected lines of {len(rig)} numbers")
        self._width = len(first)
        self._columns = self._places(first, rig)
        missing = [n for n, c in zip(rig.names, self._columns, strict=True) if c is None]
        meta = {"imported": {"missing_controls": missing}} if missing else {}
        self.info = ClipInfo(rig, FPS, meta=meta)

    def _places(self, first: Sequence[bytes], rig: Rig) -> list[int | None]:
        """Return the file's column of every control."""
        if not self._titled:
            if len(first) != len(rig):
                raise FileFormatError(
                    f"{self._name}: expected {len(rig)} numbers per line, got {len(first)}"
                )
            return list(range(len(rig)))
        names = _names([cell.decode("utf-8", "replace") for cell in first], rig)
        if unknown := [name for name in names if name not in rig]:
            raise FileFormatError(f"{self._name}: rig {rig.name!r} has no {unknown[0][:60]!r}")
        column = {name: i for i, name in enumerate(names)}
        return [column.get(name) for name in rig.names]

    def blocks(self) -> Iterator[Block]:
        """Rows, in the rig's order."""
        lines = self._lines()
        if self._titled:
            next(lines)
        present = [i for i, column in enumerate(self._columns) if column is not None]
        taken = [column for column in self._columns if column is not None]
        several = list(islice(lines, BLOCK_FRAMES))
        while True:
            values = np.tile(self.info.rig.rest, (len(several), 1))
            if several:
                values[:, present] = self._numbers(several)[:, taken]
            yield Block(values, None)
            if not (several := list(islice(lines, BLOCK_FRAMES))):
                return

    def _numbers(self, lines: Sequence[tuple[int, list[bytes]]]) -> Floats:
        with np.errstate(over="ignore"):
            table = np.array([self._row(*line) for line in lines], np.float32)
        if not np.isfinite(table).all():
            raise self._error(lines[int(np.argwhere(~np.isfinite(table))[0][0])][0], "not finite")
        return table

    def _row(self, number: int, cells: Sequence[bytes]) -> list[float]:
        if len(cells) != self._width:
            raise self._error(number, f"expected {self._width} values, got {len(cells)}")
        try:
            return [float(cell) for cell in cells]
        except ValueError as error:
            raise self._error(number, str(error)[:80]) from error

    def _error(self, line: int, problem: str) -> FileFormatError:
        return FileFormatError(f"{self._name}, line {line}: {problem}")

    def _lines(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield number and cells of every line that is not empty."""
        self._file.seek(0)
        number = 0
        while line := self._file.readline(_MAX_LINE):
            number += 1
            if len(line) == _MAX_LINE:
                raise self._error(number, f"longer than {_MAX_LINE} bytes")
            text = line.removeprefix(b"\xef\xbb\xbf").strip().strip(b",")
            if text:
                yield number, _SEPARATORS.split(text)


def _names(titles: Sequence[str], rig: Rig) -> list[str]:
    """Return the control of every title; of equal titles the first is the labelled control."""
    labelled = {control.label: control.name for control in rig.controls if control.label}
    left = Counter(titles)
    if extra := [t for t, n in left.items() if n > 1 + (t in labelled)]:
        raise FileFormatError(f"column {extra[0][:60]!r} occurs too often")
    names = []
    for title in titles:
        doubled = left[title] > 1 and title in labelled
        names.append(labelled[title] if doubled else title)
        left[title] -= 1
    return names


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def is_control_board(head: bytes) -> bool:
    """Whether the first line has 174 numbers, or titles of the board."""
    cells = _SEPARATORS.split(head.split(b"\n", 1)[0].strip().strip(b","))
    titled = cells[0].startswith(b"CTRL_") and b"-translate" in cells[0]
    return titled or (len(cells) == 174 and all(map(_is_number, cells)))
