"""What a writer may be asked for beside the frames: thinned keys, another start, a mesh, names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict

from ..errors import ExportError
from ..source import FrameSource

if TYPE_CHECKING:
    from ..mesh import Head

Value = str | int | float | bool

TIMES = frozenset({"start", "offset"})
"""Options of every format that keeps the time of its first frame."""


class OptionFields(TypedDict, total=False):
    """The fields of `WriteOptions` as keywords of `write_clip`."""

    tolerance: float | None
    start: Fraction | float | str | None
    offset: Fraction | float
    head: Head | None
    audio: str | Path | None
    name: str | None
    settings: Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class WriteOptions:
    """How a clip is written. What a format does not honour is an error, never ignored.

    Raises `ExportError` for values that make no sense.
    """

    tolerance: float | None = None
    """None for a key at every frame. A number drops keys as long as the curve between those that
    stay, as the format interpolates it, is nowhere further than this from any source frame: in
    the control's own unit, in radians for joints."""
    start: Fraction | float | str | None = None
    """Where the first frame lies on the file's time line: seconds, or a timecode HH:MM:SS:FF in
    frames of the clip, HH:MM:SS;FF with dropped frame numbers. None leaves the clip's own start."""
    offset: Fraction | float = Fraction(0)
    """Seconds that everything moves to later."""
    head: Head | None = None
    """Mesh to put into the file; None for the format's usual one, which may be none at all."""
    audio: str | Path | None = None
    """The recording, for formats that refer to one or hold one."""
    name: str | None = None
    """Name of the clip in the file; None for the one it brings, see `clip_name`."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    """Values of the format's own `Setting`s."""

    def __post_init__(self) -> None:
        if self.tolerance is not None and not 0 <= self.tolerance < math.inf:
            raise ExportError(f"tolerance must be 0 or more, got {self.tolerance}")
        if not isinstance(self.offset, Fraction) and not math.isfinite(self.offset):
            raise ExportError(f"offset must be a number of seconds, got {self.offset}")
        if self.name is not None and (not self.name.strip() or set(self.name) & set("\0\r\n")):
            raise ExportError(f"a clip's name must be one line of text, got {self.name!r}")
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))

    @property
    def asked(self) -> frozenset[str]:
        """Names of the options that are not as they are by default, settings aside."""
        plain = {"tolerance": None, "start": None, "offset": 0, "head": None, "audio": None}
        plain["name"] = None
        return frozenset(n for n, value in plain.items() if getattr(self, n) != value)


DEFAULTS = WriteOptions()
"""A key at every frame, times as they are."""

OPTIONS = tuple(f.name for f in fields(WriteOptions) if f.name != "settings")


@dataclass(frozen=True)
class Setting:
    """A choice that only one format knows, such as the version of an FBX file."""

    name: str
    default: Value
    """Also tells the type."""
    description: str = ""
    choices: tuple[Value, ...] = ()
    """All values there are; empty where any of the type will do."""

    def value(self, given: Value) -> Value:
        """The value given, text read as the setting's type; raises `ExportError`."""
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
    """A value of a type; raises `ValueError` or `TypeError`."""
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
    """Every setting's value, the default where none is given."""
    return {s.name: s.value(given[s.name]) if s.name in given else s.default for s in settings}


def clip_name(
    source: FrameSource, options: WriteOptions = DEFAULTS, *, default: str = "Take 001"
) -> str:
    """The name asked for, else the one in the clip's `meta["name"]`, else `default`."""
    if options.name is not None:
        return options.name
    own: Any = source.info.meta.get("name")
    return own if isinstance(own, str) and own.strip() and own.isprintable() else default


def named(sources: Sequence[FrameSource]) -> dict[str, FrameSource]:
    """Clips under names of their own: those they bring, numbered where two are alike."""
    result: dict[str, FrameSource] = {}
    for number, source in enumerate(sources, 1):
        name = base = clip_name(source, default=f"Take {number:03}")
        again = 2
        while name in result:
            name, again = f"{base} {again}", again + 1
        result[name] = source
    return result
