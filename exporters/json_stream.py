"""A JSON document that is read forwards in pieces, so that its size does not matter.

The input may be hostile: every piece is bounded, and what is not JSON ends in a
`FileFormatError` that names the place.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Container, Iterator
from typing import Any, BinaryIO, NoReturn

import numpy as np

from ..arrays import Floats
from ..errors import FileFormatError

_CHUNK = 1 << 17
_MAX_VALUE = 1 << 24
"""Bytes of one value that is parsed in one go: events, meta, control names."""
_MAX_ROW = 1 << 20
_SPACE = re.compile(rb"[ \t\r\n]*")
_ROWS_END = re.compile(rb"\][ \t\r\n]*\]")
_NOT_A_NUMBER = re.compile(rb"[^0-9eE+\-.,\[\] \t\r\n]+")


class Scanner:
    """A reader of one JSON text from `offset` on; scanners may share a seekable file."""

    def __init__(self, file: BinaryIO, name: str, *, offset: int = 0) -> None:
        self._file = file
        self._name = name
        self._buffer = b""
        self._position = 0
        self._end = offset

    @property
    def offset(self) -> int:
        """Offset in the file of the next byte."""
        return self._end - len(self._buffer) + self._position

    def error(self, problem: str, offset: int | None = None) -> FileFormatError:
        """Return an error that names the file and the place."""
        return FileFormatError(f"{self._name}, byte {self.offset if offset is None else offset}: "
                               f"{problem}")  # fmt: skip

    def _fill(self) -> bool:
        """Append to the buffer; False at the end of the file."""
        self._file.seek(self._end)
        data = self._file.read(_CHUNK)
        self._buffer = self._buffer[self._position :] + data
        self._position = 0
        self._end += len(data)
        return bool(data)

    def peek(self) -> bytes:
        """Return the next byte that is not white space; empty at the end of the file."""
        while True:
            match = _SPACE.match(self._buffer, self._position)
            assert match is not None
            self._position = match.end()
            if self._position < len(self._buffer) or not self._fill():
                return self._buffer[self._position : self._position + 1]

    def take(self, *wanted: bytes) -> bytes:
        """Step over the next byte, which must be one of `wanted`."""
        found = self.peek()
        if found not in wanted:
            expected = " or ".join(repr(w.decode()) for w in wanted)
            got = repr(found.decode("latin-1")) if found else "the end of the file"
            raise self.error(f"expected {expected}, got {got}")
        self._position += 1
        return found

    def value(self) -> Any:
        """Read any JSON value of bounded size."""
        self.peek()
        while True:
            text = self._text()
            try:
                value, end = _DECODER.raw_decode(text)
            except RecursionError:
                raise self.error("this value is nested too deeply") from None
            except json.JSONDecodeError as error:
                if _is_final(error, text) or not self._more():
                    raise self.error(_describe(error)) from None
                continue
            except ValueError as error:
                raise self.error(str(error)) from None
            if end == len(text) and self._more():
                continue  # a number may go on
            self._position += len(text[:end].encode())
            return value

    def _text(self) -> str:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            return decoder.decode(self._buffer[self._position :])
        except UnicodeDecodeError as error:
            raise self.error(f"not UTF-8: {error.reason}") from None

    def _more(self) -> bool:
        """Double the buffered part of a value, within bounds; False at the end of the file."""
        have = len(self._buffer) - self._position
        if have > _MAX_VALUE:
            raise self.error(f"this value is larger than {_MAX_VALUE} bytes")
        grown = False
        while len(self._buffer) - self._position < 2 * have + 1 and self._fill():
            grown = True
        return grown

    def skip_rows(self) -> None:
        """Step over an array of arrays of numbers without looking at the numbers."""
        self.take(b"[")
        if self.take(b"[", b"]") == b"]":
            return
        while (match := _ROWS_END.search(self._buffer, self._position)) is None:
            last = self._buffer.rfind(b"]", self._position)
            self._position = len(self._buffer) if last < 0 else last
            if not self._fill():
                raise self.error("the file ends inside an array of rows")
            if len(self._buffer) > _MAX_ROW:
                raise self.error(f"an array of rows has a gap of more than {_MAX_ROW} bytes")
        self._position = match.end()

    def rows(self, width: int, what: str) -> Iterator[Floats]:
        """Yield an array of rows of `width` finite numbers in blocks; errors call a row `what`."""
        self.take(b"[")
        if self.peek() == b"]":
            self.take(b"]")
            return
        count, more = 0, True
        while more:
            place = self.offset
            block = self._parse_rows(self._whole_rows(), width, what, count, place)
            count += len(block)
            yield block
            more = self.take(b",", b"]") == b","

    def _whole_rows(self) -> bytes:
        """Read complete rows: at least one, as many as the buffer holds."""
        if self.peek() != b"[":
            self.take(b"[")
        while True:
            match = _ROWS_END.search(self._buffer, self._position)
            end = match.start() if match else self._buffer.rfind(b"]", self._position)
            if end >= 0:
                break
            if len(self._buffer) - self._position > _MAX_ROW:
                raise self.error(f"a row is longer than {_MAX_ROW} bytes")
            if not self._fill():
                raise self.error("the file ends inside a row")
        text = self._buffer[self._position : end + 1]
        self._position = end + 1
        return text

    def _parse_rows(self, text: bytes, width: int, what: str, first: int, place: int) -> Floats:
        if odd := _NOT_A_NUMBER.search(text):
            got = odd.group()[:20].decode("latin-1")
            raise self.error(f"expected finite numbers, got {got!r}", place + odd.start())
        try:
            rows = json.loads(b"[" + text + b"]", parse_int=float)
            with np.errstate(over="ignore"):
                block = np.array(rows, np.float32)
        except (ValueError, TypeError, RecursionError) as error:
            self._explain(text, width, what, first, place, error)
        if block.ndim != 2 or block.shape[1] != width:
            self._explain(text, width, what, first, place, None)
        if not np.isfinite(block).all():
            row = first + int(np.argwhere(~np.isfinite(block))[0][0])
            raise self.error(f"{what} {row} holds a number too large for a curve", place)
        return block

    def _explain(
        self, text: bytes, width: int, what: str, first: int, place: int, cause: Exception | None
    ) -> NoReturn:
        """Raise the error for the first row that is wrong."""
        for i, match in enumerate(re.finditer(rb"\[[^\[\]]*\]", text), first):
            where = place + match.start()
            try:
                row = json.loads(match.group(), parse_int=float)
            except ValueError as error:
                raise self.error(f"{what} {i} is not a row of numbers: {error}", where) from None
            if len(row) != width:
                raise self.error(f"{what} {i} needs {width} numbers, got {len(row)}", where)
        raise self.error(f"expected rows of {width} numbers: {cause or 'nested arrays'}", place)


def outline(
    file: BinaryIO, name: str, *, rows: Container[str]
) -> tuple[dict[str, Any], dict[str, int]]:
    """Read a document without the arrays of rows under some keys, and the offsets of those.

    Such a key is None in the document; where it holds null it has no place.
    """
    file.seek(0)
    marked = file.read(3) == b"\xef\xbb\xbf"
    scanner = Scanner(file, name, offset=3 if marked else 0)
    document: dict[str, Any] = {}
    places: dict[str, int] = {}
    scanner.take(b"{")
    end = scanner.peek() == b"}"
    while not end:
        key = scanner.value()
        if not isinstance(key, str) or key in document:
            raise scanner.error(f"expected a new key, got {str(key)[:40]!r}")
        scanner.take(b":")
        if key in rows and scanner.peek() != b"n":
            places[key] = scanner.offset
            document[key] = None
            scanner.skip_rows()
        else:
            document[key] = scanner.value()
        end = scanner.take(b",", b"}") == b"}"
    return document, places


def _is_final(error: json.JSONDecodeError, text: str) -> bool:
    """Whether an error stays however much more text is read."""
    return not error.msg.startswith("Unterminated string") and error.pos < len(text) - 16


def _describe(error: json.JSONDecodeError) -> str:
    place = f" {error.pos} characters on" if error.pos else ""
    return f"not JSON{place}: {error.msg[0].lower()}{error.msg[1:]}"


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON; numbers must be finite")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large; numbers must be finite")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
