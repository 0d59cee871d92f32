"""Animation files: one module or package per format, found by name or by extension.

    write_clip(clip, "line.json")
    clip = read_clip("take.csv")
    with open_clip("an_hour.json") as source:
        write_clip(source, "an_hour.csv", format="livelink-csv")

Other packages add formats as entry points of the group `facesdk.exporters` that load a `Format`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, Unpack

from ..clip import Clip
from ..errors import ExportError, FileFormatError, reading, unknown_name
from ..files import whole_file
from ..rig import Rig
from ..source import Block, CheckedSource, ClipInfo, FrameSource, collect
from . import (
    a2f_json,
    clip_json,
    csv,
    fbx,
    gltf,
    mouth_cues,
    npz,
    unity,
    unreal,
    usd,
    vertex_cache,
    vmc,
)
from .format import Format, Reader, Writer, single_clip_writer
from .options import (
    OPTIONS,
    TIMES,
    OptionFields,
    Setting,
    Value,
    WriteOptions,
    clip_name,
    named,
)
from .takes import Take, has_weights
from .timeline import moved

if TYPE_CHECKING:
    from ..mesh import Head
    from .gltf.character import Character

__all__ = [
    "EXPORTERS",
    "TIMES",
    "Format",
    "Reader",
    "Setting",
    "WriteOptions",
    "Writer",
    "clip_name",
    "format_for",
    "formats",
    "named",
    "open_character",
    "open_clip",
    "open_clips",
    "read_clip",
    "read_clips",
    "single_clip_writer",
    "write_clip",
    "write_clips",
]

_MODULES = (
    clip_json,
    csv,
    gltf,
    fbx,
    a2f_json,
    npz,
    mouth_cues,
    unity,
    unreal,
    usd,
    vertex_cache,
    vmc,
)

EXPORTERS: dict[str, Format] = {f.name: f for module in _MODULES for f in module.FORMATS}
"""The formats that come with facesdk."""

_OWN = ("json", "npz")
"""Formats of facesdk's own clips, whose values are kept whatever they are."""
_HEAD = 1 << 16


def formats() -> tuple[str, ...]:
    """Return the names of all formats, those of other packages included."""
    return tuple(_registered())


def format_for(path_or_name: str | Path) -> Format:
    """Return the format of this name, or the default one for the path's extension.

    Raises `UnknownNameError`.
    """
    known = _registered()
    if path_or_name in known:
        return known[str(path_or_name)]
    extension = Path(path_or_name).suffix.lower()
    if not extension:
        raise unknown_name("no format", str(path_or_name), known)
    for format_ in known.values():
        if format_.extension == extension:
            return format_
    extensions = sorted({f.extension for f in known.values()})
    raise unknown_name("no format for files called", extension, extensions)


def write_clip(
    source: FrameSource,
    file: str | Path | BinaryIO,
    format: str | Format | None = None,  # noqa: A002
    **options: Unpack[OptionFields],
) -> tuple[str, ...]:
    """Write a clip and return the names of the channels that the format dropped.

    `options` are the fields of `WriteOptions`. A clip without a name gets that of the file in
    formats in which clips have one. A file appears whole or not at all, and so do the sidecar
    files of some formats. An open file needs the format's name. Raises `ExportError` for an option
    that the format does not support.
    """
    chosen = _chosen(file, format)
    asked = _options(chosen, options)
    if chosen.multi_clip or chosen.names_clip:
        asked = _named_after(file, source, asked)
    source = moved(_trusted(source), asked)
    return _written(chosen, file, source, asked, lambda out: chosen.write(source, out, asked))


def write_clips(
    sources: Sequence[FrameSource] | Mapping[str, FrameSource],
    file: str | Path | BinaryIO,
    format: str | Format | None = None,  # noqa: A002
    **options: Unpack[OptionFields],
) -> tuple[str, ...]:
    """Write several clips into one file; returns dropped channels as `write_clip` does.

    Clips in a mapping are named by it, those in a sequence by their `meta["name"]` or a number.
    Raises `ExportError` for a format with one clip per file.
    """
    chosen = _chosen(file, format)
    asked = _options(chosen, options)
    if chosen.write_several is None:
        able = ", ".join(f.name for f in _registered().values() if f.multi_clip) or "none"
        raise ExportError(
            f"format {chosen.name!r} holds one clip per file; formats for several clips: {able}"
        )
    if asked.name is not None:
        raise ExportError("the option name is for one clip; name several clips by giving a mapping")
    by_name = dict(sources) if isinstance(sources, Mapping) else named(sources)
    if not by_name:
        raise ExportError("expected at least one clip")
    takes = {name: moved(_trusted(source), asked) for name, source in by_name.items()}
    write = chosen.write_several
    return _written(chosen, file, next(iter(takes.values())), asked,
                    lambda out: write(takes, out, asked))  # fmt: skip


def _trusted(source: FrameSource) -> FrameSource:
    """Return a source whose blocks writers need not check."""
    return source if isinstance(source, Clip) else CheckedSource(source)


def _written(
    format_: Format,
    file: str | Path | BinaryIO,
    source: FrameSource,
    options: WriteOptions,
    write: Callable[[BinaryIO], Sequence[str]],
) -> tuple[str, ...]:
    """Write to an open file, or to a path and its sidecar files."""
    if not isinstance(file, str | Path):
        return tuple(write(file))
    with ExitStack() as stack:
        dropped = tuple(write(stack.enter_context(whole_file(file))))
        for ending, companion in format_.sidecars.items():
            path = Path(file)
            opened = stack.enter_context(whole_file(path.with_name(path.name + ending)))
            opened.write(companion(path.name, source, options))
    return dropped


def _chosen(file: str | Path | BinaryIO, format_: str | Format | None) -> Format:
    """Return the format given by name or object, else the one of the path's extension."""
    if isinstance(format_, Format):
        return format_
    if format_ is not None:
        return format_for(format_)
    if isinstance(file, str | Path):
        return format_for(Path(file))
    raise FileFormatError("writing to an open file needs a format name")


def _named_after(
    file: str | Path | BinaryIO, source: FrameSource, options: WriteOptions
) -> WriteOptions:
    """Return options that name a clip without a name after its file."""
    stem = Path(file).stem if isinstance(file, str | Path) else ""
    if clip_name(source, options, default="") or not (stem.strip() and stem.isprintable()):
        return options
    return replace(options, name=stem)


def _options(format_: Format, fields: OptionFields) -> WriteOptions:
    """Return checked options; raises `ExportError` for keywords and settings of other formats."""
    known = (*OPTIONS, "settings")
    if unknown := [name for name in fields if name not in known]:
        own = any(s.name == unknown[0] for s in format_.settings)
        hint = f"settings={{{unknown[0]!r}: ...}}" if own else f"known: {', '.join(known)}"
        raise ExportError(f"no option {unknown[0]!r}; {hint}")
    return format_.checked(WriteOptions(**fields))


def open_character(
    head: str | Path | Head | None,
    format: str | Format = "glb",  # noqa: A002
    settings: Mapping[str, Value] | None = None,
) -> Character | None:
    """Return the character in a file that a format keeps as it is, or None if it keeps none.

    Its `rig` is the one to bake for. Raises `FileFormatError` for a file that cannot be read.
    """
    chosen = _chosen("", format)
    if head is None or not chosen.keeps_head:
        return None
    asked = chosen.checked(WriteOptions(head=head, settings=settings or {}))
    return gltf.kept(asked) if gltf.keeps(asked) else None


def read_clip(
    file: str | Path | BinaryIO,
    format: str | Format | None = None,  # noqa: A002
    *,
    rig: Rig | None = None,
) -> Clip:
    """Read the clip in a file, onto `rig` or the rig that the file names.

    A file with several clips gives the first; `read_clips` returns all.
    """
    with open_clip(file, format, rig=rig) as source:
        return collect(source)


def read_clips(
    file: str | Path | BinaryIO,
    format: str | Format | None = None,  # noqa: A002
    *,
    rig: Rig | None = None,
) -> tuple[Clip, ...]:
    """Read all clips in a file, in its order; names from the file are in `meta["name"]`."""
    with open_clips(file, format, rig=rig) as sources:
        return tuple(collect(source) for source in sources)


@contextmanager
def open_clip(
    file: str | Path | BinaryIO,
    format: str | Format | None = None,  # noqa: A002
    *,
    rig: Rig | None = None,
) -> Iterator[FrameSource]:
    """Open a file as a frame source, which reads rows on demand.

    A file with several clips gives the first. Errors in a row are raised when it is read. A pipe is
    copied to a temporary file first.
    """
    with open_clips(file, format, rig=rig, first=True) as sources:
        yield sources[0]


@contextmanager
def open_clips(
    file: str | Path | BinaryIO,
    format: str | Format | None = None,  # noqa: A002
    *,
    rig: Rig | None = None,
    first: bool = False,
) -> Iterator[Sequence[FrameSource]]:
    """Open all clips of a file as frame sources, or only the `first`; see `open_clip`."""
    with _opened(file) as raw, _seekable(raw) as seekable:
        chosen = _recognized(seekable, file) if format is None else _chosen(file, format)
        if chosen.read is None:
            raise FileFormatError(f"facesdk writes {chosen.name} but does not read it")
        name = _name(file, seekable)
        with reading(name, FileFormatError):
            if first or chosen.read_several is None:
                found: Sequence[FrameSource] = (chosen.read(seekable, rig),)
            else:
                found = chosen.read_several(seekable, rig)
        own = chosen.name in _OWN
        yield tuple(
            Take(
                _guarded(source, name),
                name,
                weights=not own and has_weights(source.info.rig, rig),
                alone=len(found) == 1,
            )
            for source in found
        )


def _name(file: str | Path | BinaryIO, opened: BinaryIO) -> str:
    """Return the name of a file in messages."""
    return str(file if isinstance(file, str | Path) else getattr(opened, "name", "the input"))


class _Guarded:
    """A source whose blocks raise no errors but those of facesdk and of the system."""

    def __init__(self, source: FrameSource, name: str) -> None:
        self.source = source
        self._name = name

    @property
    def info(self) -> ClipInfo:
        """Info of the source."""
        with reading(self._name, FileFormatError):
            return self.source.info

    def blocks(self) -> Iterator[Block]:
        """Return the source's blocks."""
        blocks = iter(self.source.blocks())
        while True:
            with reading(self._name, FileFormatError):
                block = next(blocks, None)
            if block is None:
                return
            yield block


def _guarded(source: FrameSource, name: str) -> FrameSource:
    return source if isinstance(source, Clip) else _Guarded(source, name)


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


def _recognized(file: BinaryIO, source: str | Path | BinaryIO) -> Format:
    """Return the format that recognizes the first bytes of a file, else the extension's."""
    file.seek(0)
    head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf")
    file.seek(0)
    readable = [f for f in _registered().values() if f.read]
    named = isinstance(source, str | Path) and Path(source).suffix.lower()
    candidates = [f for f in readable if f.extension == named] or readable
    for format_ in candidates:
        if format_.recognizes and format_.recognizes(head):
            return format_
    if isinstance(source, str | Path) and Path(source).suffix:
        return format_for(Path(source))
    return EXPORTERS["json" if head.lstrip().startswith(b"{") else "csv"]


def _registered() -> dict[str, Format]:
    return EXPORTERS | {n: f for n, f in _plugins().items() if n not in EXPORTERS}


@cache
def _plugins() -> dict[str, Format]:
    """Load the formats of other packages; one that fails to load is reported and left out."""
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
