"""The YAML that Unity writes: enough of it to read its assets, and nothing more.

Blocks are indented, a list stands under its key at the key's own indentation, and whatever goes on
in a line indented deeper belongs to the line before. Keys of curves are read as arrays, since
there are many.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import Doubles
from ...errors import FileFormatError

MAX_BYTES = 1 << 30
_MAX_LINE = 1 << 16
_MAX_DEPTH = 32
_MAX_NODES = 1 << 20
_DOCUMENT = re.compile(r"--- !u!(\d{1,9}) &(-?\d{1,20})(?: stripped)?\s*")
_KEY = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'{\[#-][^"{\[]*?):(?: +(.*))?$""")
_ESCAPES = {"0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f",
            "r": "\r", "e": "\x1b", "N": "\x85", "_": "\xa0",
            "L": "\u2028", "P": "\u2029"}  # fmt: skip
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)


class Keys(NamedTuple):
    """`m_Curve` of one curve: one row per key, one column for each of its numbers."""

    times: Doubles
    """(K,) seconds."""
    values: Doubles
    """(K, n): one number, or x, y, z and perhaps w."""
    arriving: Doubles
    """(K, n) slopes per second; not finite for a step."""
    leaving: Doubles
    modes: NDArray[np.int64]
    """(K,) 1 where the weight of the arriving tangent counts, 2 of the leaving one, 3 of both."""
    weight_in: Doubles
    """(K, n) share of the time to the key before that the arriving tangent reaches."""
    weight_out: Doubles


class _Line(NamedTuple):
    number: int
    indent: int
    text: str


def objects(
    file: BinaryIO, name: str, *, kind: int, keys: Collection[str]
) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of one class, each with its wanted entries.

    Entries are mappings, lists, text, or `Keys` under `m_Curve`. Raises `FileFormatError`.
    """
    lines = _Lines(file, name)
    while (line := lines.peek()) is not None:
        found = _DOCUMENT.fullmatch(line.text)
        lines.next()
        if found and int(found[1]) == kind:
            yield _Parser(lines, keys).body()


class _Lines:
    """Lines with their indentation, without empty ones."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._number = 0
        self._bytes = 0
        self._ahead: _Line | None = None
        self._returned = b""
        file.seek(0)

    def error(self, problem: str, number: int | None = None) -> FileFormatError:
        place = self._number if number is None else number
        return FileFormatError(f"{self._name}, line {place}: {problem}")

    def peek(self) -> _Line | None:
        """Return the next line without consuming it."""
        if self._ahead is None:
            self._ahead = self._read()
        return self._ahead

    def next(self) -> _Line:
        """Return the next line, which `peek` has returned before."""
        line = self._ahead
        assert line is not None
        self._ahead = None
        return line

    def put_back(self, line: _Line) -> None:
        """Make a line the next one."""
        self._ahead = line

    def run(self, indent: int) -> list[bytes]:
        """Return the raw lines of a list whose items have this indentation."""
        item, inner = b" " * indent + b"- ", b" " * (indent + 1)
        found: list[bytes] = []
        if self._ahead is not None:
            line = self._ahead
            if line.indent < indent or (line.indent == indent and not line.text.startswith("- ")):
                return found
            self._ahead = None
            found.append((" " * line.indent + line.text).encode())
        while raw := self._raw():
            if not raw.startswith((item, inner)) and not raw.isspace():
                self._returned = raw
                self._number -= 1
                break
            found.append(raw)
        return found

    def _raw(self) -> bytes:
        """Return the next line as it is in the file, within bounds."""
        raw, self._returned = self._returned or self._file.readline(_MAX_LINE), b""
        self._number += 1
        self._bytes += len(raw)
        if self._bytes > MAX_BYTES:
            raise self.error(f"the file has more than {MAX_BYTES:,} bytes")
        if len(raw) == _MAX_LINE:
            raise self.error(f"longer than {_MAX_LINE} bytes")
        return raw

    def _read(self) -> _Line | None:
        while raw := self._raw():
            try:
                whole = raw.decode("utf-8-sig" if self._number == 1 else "utf-8").rstrip()
            except UnicodeDecodeError:
                raise self.error("not UTF-8 text") from None
            text = whole.lstrip(" ")
            if text and not text.startswith(("#", "%")):
                return _Line(self._number, len(whole) - len(text), text)
        return None


class _Parser:
    """One document."""

    def __init__(self, lines: _Lines, keys: Collection[str]) -> None:
        self._lines = lines
        self._keys = keys
        self._nodes = 0

    def body(self) -> Mapping[str, Any]:
        """Read the wanted entries of the object, whose class is in the line above them."""
        found: dict[str, Any] = {}
        line = self._here(0)
        if line is None:
            return found
        self._lines.next()
        while (line := self._here(1)) is not None:
            key, value = self._entry(line)
            if key in self._keys:
                found[key] = self._value(line.indent, value, 1)
            else:
                self._skip(line.indent)
        return found

    def _here(self, indent: int) -> _Line | None:
        """Return the next line if it has this indentation and no other document begins."""
        line = self._lines.peek()
        if line is None or line.indent < indent or line.text.startswith("---"):
            return None
        return line

    def _skip(self, indent: int) -> None:
        """Skip the value of a key."""
        while (line := self._here(indent)) is not None:
            if line.indent == indent and not line.text.startswith("- ") and line.text != "-":
                return
            self._lines.next()

    def _entry(self, line: _Line) -> tuple[str, str]:
        """Return a key and the rest of its line."""
        match = _KEY.match(line.text)
        if match is None:
            raise self._lines.error(f"expected 'key: value', got {line.text[:60]!r}", line.number)
        self._lines.next()
        return self._plain(match[1]), match[2] or ""

    def _value(self, indent: int, rest: str, depth: int) -> Any:
        """Read the value of a key whose line has this indentation."""
        self._count(depth)
        if rest:
            return self._plain(self._continued(rest, indent))
        line = self._here(indent)
        if line is None:
            return ""
        listed = line.text.startswith("- ") or line.text == "-"
        if line.indent == indent and not listed:
            return ""
        return self._list(line.indent, depth) if listed else self._mapping(line.indent, depth)

    def _mapping(self, indent: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (line := self._here(indent)) is not None:
            if line.indent != indent or line.text.startswith("- "):
                break
            key, rest = self._entry(line)
            if key == "m_Curve" and not rest:
                found[key] = self._curve(indent)
            else:
                found[key] = self._value(indent, rest, depth + 1)
        return found

    def _list(self, indent: int, depth: int) -> list[Any]:
        found: list[Any] = []
        while (line := self._here(indent)) is not None:
            if line.indent != indent or not (line.text.startswith("- ") or line.text == "-"):
                break
            self._lines.next()
            inner = line.text[1:].lstrip(" ")
            if _KEY.match(inner):
                self._lines.put_back(_Line(line.number, indent + 2, inner))
                self._count(depth)
                found.append(self._mapping(indent + 2, depth + 1))
            else:
                found.append(self._value(indent + 1, inner, depth + 1))
        return found

    def _count(self, depth: int) -> None:
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            raise self._lines.error("nested too deeply, or too many entries")

    def _continued(self, text: str, indent: int) -> str:
        """Return text with its continuation lines."""
        parts = [text]
        while (line := self._here(indent + 1)) is not None and len(parts) < _MAX_LINE:
            parts.append(line.text)
            self._lines.next()
        return " ".join(parts)

    def _plain(self, text: str) -> Any:
        """Return a scalar as text, or the contents of `{...}` and `[...]`."""
        if text.startswith("{"):
            return self._flow(text)
        if text.startswith("["):
            return [part.strip() for part in text.strip("[] ").split(",") if part.strip()]
        if text.startswith("'") and text.endswith("'") and len(text) > 1:
            return text[1:-1].replace("''", "'")
        if text.startswith('"') and text.endswith('"') and len(text) > 1:
            return _ESCAPE.sub(_unescaped, text[1:-1])
        return text

    def _flow(self, text: str) -> dict[str, str]:
        pairs = (part.partition(":") for part in text.strip("{} ").split(",") if part.strip())
        return {key.strip(): value.strip() for key, _, value in pairs}

    def _curve(self, indent: int) -> Keys:
        """Read the list of keys under `m_Curve`."""
        here = self._here(indent)
        lines = self._lines.run(indent) if here is not None else []
        try:
            return _keys(_columns(lines))
        except (ValueError, KeyError, OverflowError) as error:
            number = here.number if here else None
            raise self._lines.error(f"these keys make no curve: {error}", number) from None


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number < 0x110000 else "\ufffd"
    return _ESCAPES.get(code, code)


# ------------------------------------------------------------------ keys of a curve

_Columns = Mapping[str, list[bytes]]
"""Every key's text for each of the fields that keys have."""

_FIELD = re.compile(rb"(?:- )?(\w+):[ \r]*([^\r]*)")
_COMPONENT = re.compile(rb"([xyzw]): *([^,} ]+)")


def _columns(lines: list[bytes]) -> _Columns:
    """Return the fields of a list of keys; raises `ValueError` if keys differ in them."""
    fields: list[list[bytes]] = []
    for line in lines:
        text = line.strip()
        match = _FIELD.fullmatch(text)
        goes_on = bool(fields) and fields[-1][1].count(b"{") > fields[-1][1].count(b"}")
        if match is not None and not goes_on:
            fields.append([match[1], match[2].rstrip()])
        elif fields and text:
            fields[-1][1] += b" " + text
    names = [name for name, _ in fields]
    period = names.index(names[0], 1) if names.count(names[0] if names else b"") > 1 else len(names)
    if period and names != names[:period] * (len(names) // period):
        raise ValueError("one key has other fields than the next")
    return {n.decode(): [text for _, text in fields[i::period]]
            for i, n in enumerate(names[:period])}  # fmt: skip


def _keys(columns: _Columns) -> Keys:
    """Return arrays of the keys of one curve; raises `ValueError` or `KeyError`."""
    count = len(columns["time"]) if columns else 0
    times = _numbers(columns["time"])[:, 0] if columns else np.empty(0)
    values = _numbers(columns["value"]) if columns else np.empty((0, 1))
    table = {
        name: np.broadcast_to(_numbers(columns.get(name, [default] * count)), values.shape)
        for name, default in (
            ("inSlope", b"0"),
            ("outSlope", b"0"),
            ("inWeight", _THIRD),
            ("outWeight", _THIRD),
        )
    }
    modes = np.array([int(mode) for mode in columns.get("weightedMode", [b"0"] * count)], np.int64)
    if not (np.isfinite(times).all() and np.isfinite(values).all()):
        raise ValueError("times and values must be finite")
    if (np.diff(times) < 0).any():
        raise ValueError("time runs backwards")
    weights = [np.clip(np.nan_to_num(table[n]), 0, 1) for n in ("inWeight", "outWeight")]
    return Keys(times, values, table["inSlope"], table["outSlope"], modes, weights[0], weights[1])


def _numbers(texts: list[bytes]) -> Doubles:
    """Return (K, n) numbers, or components of vectors; raises `ValueError`."""
    if not texts or not texts[0].startswith(b"{"):
        dotted = [t[1:] if t[:1] == b"." and t[1:2].isalpha() else t for t in texts]
        return np.array([float(t) for t in dotted], np.float64).reshape(-1, 1)
    found = _COMPONENT.findall(b" ".join(texts))
    axes = [axis for axis, _ in found[: len(found) // len(texts)]]
    if len(axes) not in (3, 4) or [axis for axis, _ in found] != axes * len(texts):
        raise ValueError("vectors must have x, y and z")
    return np.array([float(text) for _, text in found], np.float64).reshape(-1, len(axes))


_THIRD = repr(1 / 3).encode()
