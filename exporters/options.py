"""Options of writers: sparse keys, another start, a mesh, names, settings of one format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from functools import cached_property
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict

from ..errors import ExportError
from ..source import FrameSource

if TYPE_CHECKING:
    from ..mesh import Head

Value = str | int | float | bool

TIMES = frozenset({"start", "offset"})
"""Options of formats that store the time of the first frame."""


class OptionFields(TypedDict, total=False):
    """The fields of `WriteOptions` as keywords of `write_clip`."""

    tolerance: float | None
    start: Fraction | float | str | None
    offset: Fraction | float
    head: Head | str | Path | None
    audio: str | Path | None
    name: str | None
    settings: Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class WriteOptions:
    """Options of how a clip is written. An option that a format does not support is an error.

    Raises `ExportError` for values out of range.
    """

    tolerance: float | None = None
    """None for a key at every frame. A number drops keys as long as the format's interpolation
    stays within it of every source frame: in the control's own unit, in radians for joints."""
    start: Fraction | float | str | None = None
    """Time of the first frame in the file: seconds, or a timecode HH:MM:SS:FF in
    frames of the clip, HH:MM:SS;FF with dropped frame numbers. None leaves the clip's own start."""
    offset: Fraction | float = Fraction(0)
    """Seconds by which everything is delayed."""
    head: Head | str | Path | None = None
    """Mesh to put into the file, or the path of one; None for the format's default, which may be
    no mesh. A `.glb`, `.gltf` or `.vrm` file given by path is kept as it is by the formats of
    glTF, which add their animation to it."""
    audio: str | Path | None = None
    """The recording, for formats that refer to it."""
    name: str | None = None
    """Name of the clip in the file; None for the clip's own, see `clip_name`."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    """Values of the format's own `Setting`s."""

    def __post_init__(self) -> None:
        if self.tolerance is not None and not 0 <= self.tolerance < math.inf:
            raise ExportError(f"tolerance must be 0 or more, got {self.tolerance}")
        if not isinstance(self.offset, Fraction) and not math.isfinite(self.offset):
            raise ExportError(f"offset must be a number of seconds, got {self.offset}")
        if self.name is not None and (
            not self.name.strip() or set(self.name) & set("\0\r\n") or not _is_text(self.name)
        ):
            raise ExportError(f"a clip's name must be one line of text, got {self.name!r}")
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))

    @cached_property
    def mesh(self) -> Head | None:
        """The head, loaded where it is given by path; raises `FileFormatError`."""
        if not isinstance(self.head, str | Path):
            return self.head
        from ..mesh import load_head

        return load_head(self.head)

    @property
    def audio_path(self) -> str:
        """The recording's path with slashes; raises `ExportError` for one that is not text."""
        path = PurePath("" if self.audio is None else self.audio).as_posix()
        if not _is_text(path):
            raise ExportError(
                f"the file would refer to {path!r}, which is not UTF-8 text; rename the recording"
            )
        return "" if self.audio is None else path

    @property
    def asked(self) -> frozenset[str]:
        """Names of the options that differ from the default, settings aside."""
        plain = {"tolerance": None, "start": None, "offset": 0, "head": None, "audio": None}
        plain["name"] = None
        return frozenset(n for n, value in plain.items() if getattr(self, n) != value)


DEFAULTS = WriteOptions()
"""A key at every frame, times as in the clip."""

OPTIONS = tuple(f.name for f in fields(WriteOptions) if f.name != "settings")


@dataclass(frozen=True)
class Setting:
    """A setting of one format, such as the version of an FBX file."""

    name: str
    default: Value
    """Also defines the type."""
    description: str = ""
    choices: tuple[Value, ...] = ()
    """All valid values; empty if any value of the type is valid."""

    def value(self, given: Value) -> Value:
        """Return a given value, with text read as the setting's type; raises `ExportError`."""
        kind = type(self.default)
        try:
            value = _read(given, kind)
        except (ValueError, TypeError, OverflowError):
            raise ExportError(
                f"setting {self.name!r} must be {_KINDS[kind]}, got {given!r}"
            ) from None
        if self.choices and value not in self.choices:
            known = ", ".join(map(str, self.choices))
            raise ExportError(f"setting {self.name!r} must be one of {known}, got {given!r}")
        return value

    def chosen(self, options: WriteOptions) -> Value:
        """Return the value in the options, or the default."""
        return options.settings.get(self.name, self.default)


_KINDS: Mapping[type, str] = {
    bool: "yes or no",
    int: "a whole number",
    float: "a number",
    str: "text",
}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _read(given: Value, kind: type) -> Value:
    """Read a value of a type; raises `ValueError` or `TypeError`."""
    if kind is str:
        return str(given)
    if kind is bool:
        if str(given).lower() not in _TRUTHS:
            raise ValueError(given)
        return _TRUTHS[str(given).lower()]
    number = float(given)
    if not math.isfinite(number) or (kind is int and number != int(number)):
        raise ValueError(given)
    return int(number) if kind is int else number


def name_style(subject: str, **others: str) -> Setting:
    """Return the setting that chooses how the names of controls are spelled in a file.

    `others` are further styles of one format, each with an example.
    """
    styles = {"rig": "as the rig has them", "PascalCase": "JawOpen for jawOpen"} | others
    shown = "; ".join(f"{style}: {example}" for style, example in styles.items())
    return Setting("names", "rig", f"spelling of {subject} ({shown})", tuple(styles))


def spelled(name: str, style: Value) -> str:
    """Return a control's name in the style `rig` or `PascalCase`."""
    return name[:1].upper() + name[1:] if style == "PascalCase" else name


def with_defaults(settings: Iterable[Setting], given: Mapping[str, Value]) -> dict[str, Value]:
    """Return the value of every setting, its default if none is given."""
    return {s.name: s.value(given[s.name]) if s.name in given else s.default for s in settings}


def _is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8; names of files may be in any other encoding."""
    return not any("\ud800" <= c <= "\udfff" for c in name)


def title(stem: str) -> str:
    """Return a clip's name for a file's name: one line that every format can hold."""
    return "".join(c if c.isprintable() else "_" for c in stem).strip() or "Take 001"


def clip_name(
    source: FrameSource, options: WriteOptions = DEFAULTS, *, default: str = "Take 001"
) -> str:
    """Return the name in the options, else the clip's `meta["name"]`, else `default`."""
    if options.name is not None:
        return options.name
    own: Any = source.info.meta.get("name")
    return own if isinstance(own, str) and own.strip() and own.isprintable() else default


def named(sources: Sequence[FrameSource]) -> dict[str, FrameSource]:
    """Return clips by their names, numbered where two are alike."""
    result: dict[str, FrameSource] = {}
    for number, source in enumerate(sources, 1):
        name = base = clip_name(source, default=f"Take {number:03}")
        again = 2
        while name in result:
            name, again = f"{base} {again}", again + 1
        result[name] = source
    return result
