"""Output formats of a batch: every animation format, and MP4."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from ..exporters import Format, WriteOptions, format_for, formats
from ..source import FrameSource

VIDEO = "mp4"


def kinds() -> tuple[str, ...]:
    """Return the names of all output formats."""
    return (*formats(), VIDEO)


def kind_for(path_or_name: str | Path) -> Format:
    """Return the format of a name or a path's extension; raises `UnknownNameError`."""
    if VIDEO in (str(path_or_name), Path(path_or_name).suffix.lower().removeprefix(".")):
        return _VIDEO
    return format_for(path_or_name)


def kind_made_for(rig: str, path: str | Path) -> Format | None:
    """Return the table format that is made for a rig, where a path's extension leaves the choice.

    Live Link and Audio2Face have a `.csv` of their own. None for any other rig or extension; the
    general format of the extension is then meant, and can always be asked for by its name.
    """
    able = (format_for(name) for name in formats())
    tables = [f for f in able if f.extension == ".csv" and f.read and f.rigs and f.rigs[0] == rig]
    return tables[0] if tables and Path(path).suffix.lower() == ".csv" else None


def _video(source: FrameSource, file: BinaryIO, options: WriteOptions) -> tuple[str, ...]:
    """Write a video of a head; returns what it lacks."""
    from ..mesh import load_head
    from ..render import write_video

    write_video(source, file, options.mesh or load_head(), audio=options.audio, jobs=None)
    return () if options.audio else ("sound",)


_VIDEO = Format(
    VIDEO,
    ".mp4",
    _video,
    description="video of the built-in head, with the sound",
    options=frozenset({"audio", "head"}),
)
