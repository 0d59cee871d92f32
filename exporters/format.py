"""File formats: a name, an extension, functions that read and write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from ..errors import ExportError, unknown_name
from ..rig import Rig
from ..source import FrameSource
from .options import OPTIONS, Setting, WriteOptions, clip_name, with_defaults

Writer = Callable[[FrameSource, BinaryIO, WriteOptions], Sequence[str]]
"""Writes the frames as they come, the same bytes for the same frames, and returns the names of
the channels that the format drops. `start` and `offset` are in the source already."""

MultiClipWriter = Callable[[Mapping[str, FrameSource], BinaryIO, WriteOptions], Sequence[str]]
"""The same for several clips by name, in order; one clip is the usual case of it."""

Reader = Callable[[BinaryIO, Rig | None], FrameSource]
"""Opens the clip in a seekable file, which stays open while its frames are read; onto the rig
given, or the one that the file names."""

MultiClipReader = Callable[[BinaryIO, Rig | None], Sequence[FrameSource]]
"""Opens all clips of a file, with their names in `meta["name"]`."""

Sidecar = Callable[[str, FrameSource, WriteOptions], bytes]
"""Returns a sidecar file for a file name and the source that was just written."""


@dataclass(frozen=True)
class Format:
    """A file format under its name."""

    name: str
    extension: str
    """Default, with its dot. The first format of an extension is the default for it."""
    write: Writer
    read: Reader | None = None
    rigs: tuple[str, ...] | None = None
    """Rigs that the format is made for, the usual one first; None for any rig."""
    description: str = ""
    recognizes: Callable[[bytes], bool] | None = None
    """Whether the first bytes of a file are of this format, for extensions with several formats."""
    options: frozenset[str] = frozenset()
    """Options of `WriteOptions` that the writer supports; any other one is an error."""
    settings: tuple[Setting, ...] = ()
    """Settings of this format, in `WriteOptions.settings`."""
    write_several: MultiClipWriter | None = None
    read_several: MultiClipReader | None = None
    names_clip: bool = False
    """Whether engines find the clip by the name in the file; baked clips get their line's name."""
    requires: frozenset[str] = frozenset()
    """Options that must be given."""
    keeps_head: bool = False
    """Whether a head given by path may be a character that the writer keeps as it is."""
    sidecars: Mapping[str, Sidecar] = field(default_factory=dict)
    """Sidecar files by the suffix that is added to the file's name, such as `.meta`."""

    def __post_init__(self) -> None:
        if unknown := sorted(self.options - set(OPTIONS)):
            raise unknown_name("no option", unknown[0], OPTIONS)

    @property
    def multi_clip(self) -> bool:
        """Whether a file holds more than one clip."""
        return self.write_several is not None

    def checked(self, options: WriteOptions) -> WriteOptions:
        """Return the options with every setting filled in.

        Raises `ExportError` naming an option or setting that this format lacks, or one that it
        needs.
        """
        if foreign := sorted(options.asked - self.options):
            able = ", ".join(sorted(self.options)) or "none"
            raise ExportError(
                f"format {self.name!r} does not support {', '.join(foreign)}; its options: {able}"
            )
        if missing := sorted(self.requires - options.asked):
            raise ExportError(
                f"format {self.name!r} is {self.description}; give {', '.join(missing)}"
            )
        if unknown := [n for n in options.settings if n not in {s.name for s in self.settings}]:
            known = ", ".join(s.name for s in self.settings) or "none"
            raise ExportError(
                f"format {self.name!r} has no setting {unknown[0]!r}; its settings: {known}"
            )
        return replace(options, settings=with_defaults(self.settings, options.settings))


def single_clip_writer(write_several: MultiClipWriter) -> Writer:
    """Return a writer of one clip that uses a writer of several."""

    def write(source: FrameSource, file: BinaryIO, options: WriteOptions) -> Sequence[str]:
        return write_several({clip_name(source, options): source}, file, options)

    return write
