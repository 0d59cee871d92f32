"""USD: a head with blend shapes on a skeleton, and the clips that it plays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from ...source import FrameSource
from ..format import Format, single_clip_writer
from ..options import DEFAULTS, TIMES, WriteOptions
from .read import read_usd, read_usd_clips
from .scene import SETTINGS, scene
from .text import write_text


def write_usda(
    clips: Mapping[str, FrameSource], file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write clips as text; nothing is dropped."""
    with scene(clips, options) as layer:
        write_text(layer, file)
    return ()


def write_usdc(
    clips: Mapping[str, FrameSource], file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write the same in binary through usd-core, which holds the whole clip in memory.

    Raises `MissingExtraError` without usd-core.
    """
    from .binary import write_binary

    with scene(clips, options) as layer:
        write_binary(layer, file)
    return ()


_OPTIONS = TIMES | {"tolerance", "head", "audio", "name"}

FORMATS = (
    Format(
        "usda",
        ".usda",
        single_clip_writer(write_usda),
        read_usd,
        description="USD as text: head, blend shapes, skeleton, clips",
        options=_OPTIONS,
        settings=SETTINGS,
        recognizes=lambda head: head.startswith(b"#usda"),
        write_several=write_usda,
        read_several=read_usd_clips,
    ),
    Format(
        "usdc",
        ".usdc",
        single_clip_writer(write_usdc),
        read_usd,
        description="USD in binary, through usd-core",
        options=_OPTIONS,
        settings=SETTINGS,
        recognizes=lambda head: head.startswith(b"PXR-USDC"),
        write_several=write_usdc,
        read_several=read_usd_clips,
    ),
)
