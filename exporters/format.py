"""What a file format is to facesdk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from ..clip import FrameSource
from ..rig import Rig

Writer = Callable[[FrameSource, BinaryIO], Sequence[str]]
"""Writes the frames as they come, the same bytes for the same frames, and returns the names of
the channels that the format cannot carry."""

Reader = Callable[[BinaryIO, Rig | None], FrameSource]
"""Opens the clip in a seekable file, which stays open while its frames are read; onto the rig
given, or the one that the file tells of."""


@dataclass(frozen=True)
class Format:
    """A file format under its name."""

    name: str
    extension: str
    """Default, with its dot. The first format of an extension is the default for it."""
    write: Writer
    read: Reader | None = None
    rigs: tuple[str, ...] | None = None
    """Rigs that the format is made for, the usual one first; None where any will do."""
    description: str = ""
    recognises: Callable[[bytes], bool] | None = None
    """Whether a file begins like this format, where its extension does not tell."""
