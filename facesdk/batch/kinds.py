"""What a line can become: any file of curves, or a video in which they are seen."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from ..exporters import Format, WriteOptions, format_for, formats
from ..source import FrameSource

VIDEO = "mp4"


def kinds() -> tuple[str, ...]:
    """Names of all that a line can become."""
    return (*formats(), VIDEO)


def kind_for(path_or_name: str | Path) -> Format:
    """The format of this name, or of the path's extension; raises `UnknownNameError`."""
    if VIDEO in (str(path_or_name), Path(path_or_name).suffix.lower().removeprefix(".")):
        return _FILM
    return format_for(path_or_name)


def _film(source: FrameSource, file: BinaryIO, options: WriteOptions) -> tuple[str, ...]:
    """Write a video of a head; returns what it does without."""
    from ..mesh import load_head
    from ..render import write_video

    write_video(source, file, options.head or load_head(), audio=options.audio)
    return () if options.audio else ("sound",)


_FILM = Format(
    VIDEO,
    ".mp4",
    _film,
    description="the built-in head speaking, with the sound",
    options=frozenset({"audio", "head"}),
)
