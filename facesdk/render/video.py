"""Animation as pictures: one by one, as numbered files, as a video with its sound."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..arrays import Floats
from ..errors import RenderError
from ..files import whole_file
from ..mesh import Head
from ..source import FrameSource, frames
from .encode import Encoder
from .look import Picture
from .plot import CurveStrip
from .png import write_png
from .pool import Slate, drawn
from .stage import Shot

Drawn = Callable[[int], None]
"""Told after every frame how many are done."""

_BLOCK = 32
"""Frames whose weights are worked out at once."""


def pictures(
    source: FrameSource,
    head: Head,
    shot: Shot | None = None,
    *,
    curves: Sequence[str] = (),
    jobs: int | None = None,
) -> Generator[Picture, None, None]:
    """The pictures of a clip, or of a line that is still being computed, in flat memory.

    `curves` names controls that are plotted below. `jobs` is the number of processes, by default
    one a core for all but short films.
    """
    shot = shot or Shot()
    width = shot.look.size[0]
    strip = (
        CurveStrip(source.info.rig, curves, width=width, fps=source.info.fps) if curves else None
    )
    rows: deque[Floats] = deque()
    slates = _slates(source, head, rows if strip else None)
    with closing(drawn(slates, head, shot, jobs=jobs)) as done:
        for picture in done:
            if strip is None:
                yield picture
            else:
                strip.add(rows.popleft())
                yield strip.below(picture)


def motion(source: FrameSource, head: Head) -> Generator[Floats, None, None]:
    """(V, 3) metres of a head's vertices, frame by frame."""
    for block in _blocks(source):
        weights = head.weights(np.stack([values for _, values, _ in block]), source.info.rig)
        poses = [pose for _, _, pose in block if pose is not None]
        yield from head.vertices(weights, np.stack(poses) if poses else None)


def _slates(source: FrameSource, head: Head, rows: deque[Floats] | None) -> Iterator[Slate]:
    """What to draw, frame by frame; the curves of each are left in `rows`."""
    for block in _blocks(source):
        weights = head.weights(np.stack([values for _, values, _ in block]), source.info.rig)
        for (index, values, pose), row in zip(block, weights, strict=True):
            if rows is not None:
                rows.append(values)
            yield float(index / source.info.fps), row, pose


def _blocks(source: FrameSource) -> Iterator[list[tuple[int, Floats, Floats | None]]]:
    block = []
    for frame in frames(source):
        block.append((frame.index, frame.values, frame.pose))
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block


def write_video(
    source: FrameSource,
    file: BinaryIO,
    head: Head,
    shot: Shot | None = None,
    *,
    audio: str | Path | None = None,
    curves: Sequence[str] = (),
    jobs: int | None = None,
    told: Drawn | None = None,
) -> int:
    """Write an MP4 with the sound that the clip was made from; returns how many frames it has.

    The video is as long as the clip; the sound begins where the clip does in it, and ends or goes
    silent with the pictures. Raises `MissingExtraError` where there is no encoder.
    """
    start = source.info.start
    drawn_ = pictures(source, head, shot, curves=curves, jobs=jobs)
    return write_film(drawn_, file, source.info.fps, audio=audio, start=start, told=told)


def write_film(
    film: Generator[Picture, None, None],
    file: BinaryIO,
    fps: Fraction,
    *,
    audio: str | Path | None = None,
    start: Fraction = Fraction(0),
    told: Drawn | None = None,
) -> int:
    """Write an MP4 of any pictures; returns how many there are.

    The first picture goes with second `start` of the sound.
    """
    count = 0
    with Encoder(file, fps, audio=audio, start=start) as encoder, closing(film):
        for picture in film:
            encoder.write(picture)
            count += 1
            if told is not None:
                told(count)
        if not count:
            raise RenderError("the clip has no frames; there is nothing to see")
    return count


def write_pictures(
    source: FrameSource,
    folder: str | Path,
    head: Head,
    shot: Shot | None = None,
    *,
    curves: Sequence[str] = (),
    jobs: int | None = None,
    told: Drawn | None = None,
) -> int:
    """Write `00000.png`, `00001.png`, ... into a folder; returns how many."""
    film = pictures(source, head, shot, curves=curves, jobs=jobs)
    return write_pictures_of(film, folder, told=told)


def write_pictures_of(
    film: Generator[Picture, None, None], folder: str | Path, *, told: Drawn | None = None
) -> int:
    """Write any pictures as numbered PNG files into a folder; returns how many."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    count = 0
    for picture in film:
        with whole_file(target / f"{count:05}.png") as file:
            write_png(picture, file, level=3)
        count += 1
        if told is not None:
            told(count)
    return count
