"""What a line can become: any file of curves, or a video in which they are seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from ..clip import FrameSource
from ..exporters import Format, format_for, formats

VIDEO = "mp4"


def kinds() -> tuple[str, ...]:
    """Names of all that a line can become."""
    return (*formats(), VIDEO)


def kind_for(path_or_name: str | Path, *, audio: str | Path | None = None) -> Format:
    """The format of this name, or of the path's extension; `audio` goes into a video.

    Raises `UnknownNameError`.
    """
    if VIDEO in (str(path_or_name), Path(path_or_name).suffix.lower().removeprefix(".")):
        return replace(_FILM, write=lambda source, file: _film(source, file, audio))
    return format_for(path_or_name)


def _film(source: FrameSource, file: BinaryIO, audio: str | Path | None = None) -> tuple[str, ...]:
    """Write a video of the built-in head; returns what it does without."""
    from ..mesh import load_head
    from ..render import write_video

    write_video(source, file, load_head(), audio=audio)
    return () if audio else ("sound",)


_FILM = Format(VIDEO, ".mp4", _film, description="the built-in head speaking, with the sound")
