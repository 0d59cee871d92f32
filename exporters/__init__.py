"""Files of animation: one module a format, found by name or by extension.

    write_clip(clip, "line.json")
    clip = read_clip("take.csv")
    with open_clip("an_hour.json") as source:
        write_clip(source, "an_hour.csv", format="livelink-csv")

Other packages add formats as entry points of the group `facesdk.exporters` that load a `Format`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import BinaryIO

from ..clip import Clip, FrameSource
from ..errors import FileFormatError, unknown_name
from ..files import whole_file
from ..rig import Rig
from . import a2f_csv, clip_json, curves_csv, livelink_csv
from .blocks import collect
from .format import Format, Reader, Writer

__all__ = [
    "EXPORTERS",
    "Format",
    "Reader",
    "Writer",
    "format_for",
    "formats",
    "open_clip",
    "read_clip",
    "write_clip",
]

EXPORTERS = {
    f.name: f
    for f in (
        Format(
            "json",
            ".json",
            clip_json.write_json,
            clip_json.read_json,
            description="facesdk's own clip file: everything, bit-exact",
            recognises=lambda head: head.lstrip().startswith(b"{"),
        ),
        Format(
            "csv",
            ".csv",
            curves_csv.write_csv,
            curves_csv.read_csv,
            description="a table of times, controls and pose",
        ),
        Format(
            "livelink-csv",
            ".csv",
            livelink_csv.write_livelink_csv,
            livelink_csv.read_livelink_csv,
            rigs=(livelink_csv.RIG,),
            description="Live Link Face take for Unreal",
            recognises=lambda head: head.lower().startswith(b"timecode,blendshapecount,"),
        ),
        Format(
            "a2f-csv",
            ".csv",
            a2f_csv.write_a2f_csv,
            a2f_csv.read_a2f_csv,
            rigs=(a2f_csv.RIG,),
            description="table of Audio2Face-3D clients",
            recognises=lambda head: b"timeCode" in head and b",blendShapes." in head,
        ),
    )
}
"""The formats that come with facesdk."""

_HEAD = 1 << 16


def formats() -> tuple[str, ...]:
    """Names of all formats, those of other packages included."""
    return tuple(_known())


def format_for(path_or_name: str | Path) -> Format:
    """The format of this name, or the default one for the path's extension."""
    known = _known()
    if path_or_name in known:
        return known[str(path_or_name)]
    extension = Path(path_or_name).suffix.lower()
    if not extension:
        raise unknown_name("no format", str(path_or_name), known)
    for format_ in known.values():
        if format_.extension == extension:
            return format_
    raise unknown_name(
        "no format for files called", extension, {f.extension for f in known.values()}
    )


def write_clip(
    source: FrameSource,
    file: str | Path | BinaryIO,
    format: str | Format | None = None,  # noqa: A002
) -> tuple[str, ...]:
    """Write a clip; returns the names of the channels that the format could not carry.

    A path appears whole or not at all. An open file needs the format's name.
    """
    if isinstance(file, str | Path):
        chosen = _format(format) or format_for(Path(file))
        with whole_file(file) as opened:
            return tuple(chosen.write(source, opened))
    if (chosen_ := _format(format)) is None:
        raise FileFormatError("writing to an open file needs a format name")
    return tuple(chosen_.write(source, file))


def read_clip(
    file: str | Path | BinaryIO,
    format: str | Format | None = None,  # noqa: A002
    *,
    rig: Rig | None = None,
) -> Clip:
    """The clip in a file, on `rig` or on the rig that the file tells of."""
    with open_clip(file, format, rig=rig) as source:
        return collect(source)


@contextmanager
def open_clip(
    file: str | Path | BinaryIO,
    format: str | Format | None = None,  # noqa: A002
    *,
    rig: Rig | None = None,
) -> Iterator[FrameSource]:
    """A file as a frame source that reads its rows when they are asked for.

    What is wrong with a row shows when it is read. A pipe is copied to a temporary file first.
    """
    with _opened(file) as raw, _seekable(raw) as seekable:
        chosen = _format(format) or _recognise(seekable, file)
        if chosen.read is None:
            raise FileFormatError(f"facesdk writes {chosen.name} but cannot read it")
        yield chosen.read(seekable, rig)


@contextmanager
def _opened(file: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(file, str | Path):
        with Path(file).open("rb") as opened:
            yield opened
    else:
        yield file


@contextmanager
def _seekable(file: BinaryIO) -> Iterator[BinaryIO]:
    if file.seekable():
        yield file
        return
    with TemporaryFile() as copy:
        copyfileobj(file, copy)
        copy.seek(0)
        yield copy


def _recognise(file: BinaryIO, source: str | Path | BinaryIO) -> Format:
    """The format that the file begins like, else the one of its extension."""
    file.seek(0)
    head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf")
    file.seek(0)
    readable = [f for f in _known().values() if f.read]
    named = isinstance(source, str | Path) and Path(source).suffix.lower()
    candidates = [f for f in readable if f.extension == named] or readable
    for format_ in candidates:
        if format_.recognises and format_.recognises(head):
            return format_
    if isinstance(source, str | Path):
        return format_for(Path(source))
    return EXPORTERS["csv"]


def _format(format_: str | Format | None) -> Format | None:
    return format_for(format_) if isinstance(format_, str) else format_


def _known() -> dict[str, Format]:
    return EXPORTERS | {n: f for n, f in _foreign().items() if n not in EXPORTERS}


@cache
def _foreign() -> dict[str, Format]:
    """Formats of other packages; one that fails to load is reported and left out."""
    found: dict[str, Format] = {}
    for entry in entry_points(group="facesdk.exporters"):
        try:
            format_ = entry.load()
            if not isinstance(format_, Format):
                raise TypeError(f"expected a Format, got {type(format_).__name__}")
            found[format_.name] = format_
        except Exception as error:
            warnings.warn(f"format {entry.name!r} of {entry.value} fails to load: {error}")  # noqa: B028
    return found
