"""Clip JSON: everything a clip holds, bit-exact, one row per line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import numpy as np

from ..arrays import Floats
from ..clip import POSE_ANGLES, Event, exact_fps
from ..errors import ClipError, FaceSDKError, FileFormatError
from ..rig import Rig
from ..source import Block, ClipInfo, FrameSource
from .format import Format
from .json_stream import Scanner, outline
from .numbers import json_rows
from .options import DEFAULTS, TIMES, WriteOptions
from .rigs import listed_rig

VERSION = 1
_KEYS = ("format", "version", "rig", "fps", "sample_rate", "start_sample", "controls", "values",
         "pose", "events", "meta")  # fmt: skip
_REQUIRED = ("format", "version", "rig", "fps", "controls", "values")
_MAX_INTEGER = 1 << 53
_MAX_CONTROLS = 10_000


# ---------------------------------------------------------------------- writing


def write_json(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write the whole clip; nothing is dropped."""
    parts = source.blocks()
    first = next(parts)
    file.write(b"{" + b",\n".join(_opening(source)) + b',\n"values":[')
    with TemporaryFile() as poses:  # values come first in the document, frames bring both
        separator = b"\n"
        for values, angles in _with_first(first, parts):
            if not len(values):
                continue
            file.write(separator + json_rows(values))
            if angles is not None:
                poses.write(separator + json_rows(angles.reshape(-1, len(POSE_ANGLES))))
            separator = b",\n"
        file.write(b'\n],\n"pose":')
        _write_pose(poses if first.pose is not None else None, file)
    for line in _closing(source, options):
        file.write(b",\n" + line)
    file.write(b"\n}\n")
    return ()


def _with_first(first: Block, rest: Iterator[Block]) -> Iterator[Block]:
    yield first
    yield from rest


def _write_pose(poses: Any, file: BinaryIO) -> None:
    if poses is None:
        file.write(b"null")
        return
    file.write(b"[")
    poses.seek(0)
    shutil.copyfileobj(poses, file)
    file.write(b"\n]")


def _opening(source: FrameSource) -> Iterator[bytes]:
    yield _member("format", "facesdk.clip")
    yield _member("version", VERSION)
    yield _member("rig", {"name": source.info.rig.name, "version": source.info.rig.version})
    yield _member("fps", [source.info.fps.numerator, source.info.fps.denominator])
    yield _member("sample_rate", source.info.sample_rate)
    yield _member("start_sample", source.info.start_sample)
    yield _member("controls", source.info.rig.names)


def _closing(source: FrameSource, options: WriteOptions) -> Iterator[bytes]:
    yield _member("events", [_event_to_json(e) for e in source.info.events])
    name = {} if options.name is None else {"name": options.name}
    yield _member("meta", dict(source.info.meta) | name)
    for key, value in source.info.extra.items():
        if key in _KEYS:
            raise ClipError(f"extra key {key!r} is part of the clip format; rename it")
        yield _member(key, value)


def _member(key: str, value: Any) -> bytes:
    return _json(key) + b":" + _json(value)


def _json(value: Any) -> bytes:
    separators = (",", ":")
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=separators)
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: only an escape can carry it
        return json.dumps(value, allow_nan=False, separators=separators).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ClipError(f"events, meta and extra must be JSON values: {error}") from error


def _event_to_json(event: Event) -> dict[str, Any]:
    document: dict[str, Any] = {"sample": event.sample, "name": event.name}
    return document | ({"data": dict(event.data)} if event.data else {})


# ---------------------------------------------------------------------- reading


def read_json(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open the clip in a seekable file; rows are read on demand.

    `rig` is the rig to read onto; without it the file's rig is looked up by name.
    """
    return _JsonClip(file, rig)


class _JsonClip:
    """A clip file whose rows are read on demand from where they begin."""

    def __init__(self, file: BinaryIO, rig: Rig | None) -> None:
        self._file = file
        self._name = str(getattr(file, "name", "clip"))
        try:
            document, self._places = outline(file, self._name, rows=("values", "pose"))
            self.info, self._order = self._read_header(document, rig)
        except FileFormatError:
            raise
        except FaceSDKError as error:
            raise FileFormatError(f"{self._name}: {error}") from error

    def blocks(self) -> Iterator[Block]:
        width = len(self.info.rig)
        values = self._scanner("values").rows(width, "frame")
        ordered = (v if self._order is None else v[:, self._order] for v in values)
        if "pose" not in self._places:
            yield from (Block(v, None) for v in _at_least_one(ordered, width))
            return
        poses = self._scanner("pose").rows(len(POSE_ANGLES), "pose")
        yield from self._paired(_at_least_one(ordered, width), _Rows(poses, len(POSE_ANGLES)))

    def _paired(self, values: Iterator[Floats], poses: _Rows) -> Iterator[Block]:
        count = 0
        for block in values:
            count += len(block)
            angles = poses.take(len(block))
            if len(angles) < len(block):
                raise self._error(f"pose has {count - len(block) + len(angles)} rows, "
                                  "values have more")  # fmt: skip
            yield Block(block, angles.reshape(-1, 4, 3))
        if len(poses.take(1)):
            raise self._error(f"pose has more rows than the {count} of values")

    def _scanner(self, key: str) -> Scanner:
        return Scanner(self._file, self._name, offset=self._places[key])

    def _error(self, problem: str) -> FileFormatError:
        return FileFormatError(f"{self._name}: {problem}")

    def _read_header(
        self, document: dict[str, Any], rig: Rig | None
    ) -> tuple[ClipInfo, list[int] | None]:
        self._check_kind(document)
        names = self._control_names(document["controls"])
        if rig is None:
            name, version = self._rig_label(document["rig"])
            rig, order = listed_rig(names, name=name, version=version)
        else:
            rig, order = listed_rig(names, rig=rig)
        info = ClipInfo(
            rig=rig,
            fps=self._rate(document["fps"]),
            sample_rate=self._integer(document, "sample_rate", 16_000, least=1),
            start_sample=self._integer(document, "start_sample", 0),
            events=self._events(document.get("events")),
            meta=self._object(document.get("meta"), "meta"),
            extra={k: v for k, v in document.items() if k not in _KEYS},
        )
        return info, order

    def _check_kind(self, document: dict[str, Any]) -> None:
        if document.get("format") != "facesdk.clip":
            raise self._error('this is not a clip: expected "format": "facesdk.clip"')
        if (version := document.get("version")) != VERSION or isinstance(version, bool):
            raise self._error(
                f"clip version {str(version)[:40]!r} is not known to this facesdk, which reads "
                f"{VERSION}; update facesdk"
            )
        missing = [key for key in _REQUIRED if key not in document]
        if missing or "values" not in self._places:
            raise self._error(f"{', '.join(missing) or 'values'} missing")

    def _control_names(self, controls: Any) -> tuple[str, ...]:
        if not isinstance(controls, list) or not all(isinstance(c, str) for c in controls):
            raise self._error("controls must be an array of names")
        if not 0 < len(controls) <= _MAX_CONTROLS:
            raise self._error(f"controls must be 1 to {_MAX_CONTROLS} names, got {len(controls)}")
        return tuple(controls)

    def _rig_label(self, label: Any) -> tuple[str, str]:
        keys = {"name", "version"}
        if (
            not isinstance(label, dict)
            or set(label) != keys
            or not all(isinstance(v, str) for v in label.values())
        ):
            raise self._error('rig must be {"name": text, "version": text}')
        return label["name"], label["version"]

    def _rate(self, fps: Any) -> Fraction:
        if not isinstance(fps, list) or len(fps) != 2 or not all(map(_is_integer, fps)):
            raise self._error("fps must be [numerator, denominator], two integers")
        if min(fps) <= 0:
            raise self._error(f"fps must be two positive integers, got {fps}")
        return exact_fps(Fraction(fps[0], fps[1]))

    def _integer(
        self, document: Mapping[str, Any], key: str, default: int, *, least: int = -_MAX_INTEGER
    ) -> int:
        number = document.get(key, default)
        if not _is_integer(number) or number < least:
            raise self._error(f"{key} must be an integer of at least {least}")
        return int(number)

    def _events(self, events: Any) -> Sequence[Event]:
        if events is None:
            return ()
        if not isinstance(events, list):
            raise self._error("events must be an array")
        return tuple(self._event(event, i) for i, event in enumerate(events))

    def _event(self, event: Any, index: int) -> Event:
        if (
            not isinstance(event, dict)
            or not {"sample", "name"} <= set(event) <= {"sample", "name", "data"}
            or not _is_integer(event["sample"])
            or not isinstance(event["name"], str)
            or not isinstance(event.get("data", {}), dict)
        ):
            raise self._error(
                f'event {index} must be {{"sample": integer, "name": text, "data": object}}'
            )
        return Event(event["sample"], event["name"], event.get("data", {}))

    def _object(self, value: Any, key: str) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._error(f"{key} must be an object")
        return value


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_INTEGER


def _at_least_one(values: Iterator[Floats], width: int) -> Iterator[Floats]:
    first = next(values, None)
    yield np.empty((0, width), np.float32) if first is None else first
    yield from values


class _Rows:
    """Rows that arrive in blocks and are taken in other numbers."""

    def __init__(self, arriving: Iterator[Floats], width: int) -> None:
        self._arriving = arriving
        self._held = np.empty((0, width), np.float32)

    def take(self, count: int) -> Floats:
        """Return the next `count` rows, fewer at the end."""
        while len(self._held) < count and (block := next(self._arriving, None)) is not None:
            self._held = np.concatenate([self._held, block])
        taken, self._held = self._held[:count], self._held[count:]
        return taken


FORMATS = (
    Format(
        "json",
        ".json",
        write_json,
        read_json,
        description="facesdk's own clip file: everything, bit-exact",
        recognizes=lambda head: head.lstrip().startswith(b"{") and b'"facesdk.clip"' in head,
        options=TIMES | {"name"},
    ),
)
