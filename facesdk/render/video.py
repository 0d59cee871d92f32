"""Animation as images: one by one, as numbered files, as a video with sound."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from ..arrays import Floats
from ..errors import RenderError
from ..files import whole_file
from ..mesh import Head
from ..source import FrameSource, moving_controls
from .encode import Encoder
from .look import Image
from .plot import CurveStrip
from .png import write_png
from .pool import FrameJob, render_frames
from .renderer import Shot

OnProgress = Callable[[int], None]
"""Called after every frame with the number of frames that are done."""


def images(
    source: FrameSource,
    head: Head,
    shot: Shot | None = None,
    *,
    curves: Sequence[str] = (),
    jobs: int | None = 1,
) -> Generator[Image, None, None]:
    """Yield the images of a clip, or of a line that is still being computed, in constant memory.

    `curves` names controls to plot below the image. `jobs` is the number of processes, None for
    one per core; a script that uses several needs a main guard (`if __name__ == "__main__":`).
    """
    shot = shot or Shot()
    width = shot.look.size[0]
    info = source.info
    strip = CurveStrip(info.rig, curves, width=width, fps=info.fps) if curves else None
    rows: deque[Floats] = deque()
    frames = _frame_jobs(source, head, rows if strip else None)
    with closing(render_frames(frames, head, shot, jobs=jobs)) as rendered:
        for image in rendered:
            if strip is None:
                yield image
            else:
                strip.add(rows.popleft())
                yield strip.below(image)


def vertex_frames(source: FrameSource, head: Head) -> Generator[Floats, None, None]:
    """Yield (V, 3) meters of a head's vertices, frame by frame."""
    for weights, _, pose in _driven(source, head):
        for block in head.blocks(weights, pose):
            yield from block


def _driven(source: FrameSource, head: Head) -> Iterator[tuple[Floats, Floats, Floats | None]]:
    """Yield weights of the head's shapes, values and pose of each block.

    Raises `RenderError` where the clip moves and nothing of the head can; warns where only joints
    move.
    """
    rig = source.info.rig
    drive = head.drive(rig)
    warned = not drive.still
    for values, pose in source.blocks():
        if not warned and moving_controls(values, rig):
            if pose is None or not pose.any():
                raise RenderError(f"nothing would move: {drive.missing()}")
            warnings.warn(drive.missing(), stacklevel=2)
            warned = True
        yield drive.weights(values), values, pose


def _frame_jobs(source: FrameSource, head: Head, rows: deque[Floats] | None) -> Iterator[FrameJob]:
    """Yield what to render, frame by frame; append the controls of each frame to `rows`."""
    index, info = 0, source.info
    for weights, values, pose in _driven(source, head):
        for row in range(len(values)):
            if rows is not None:
                rows.append(values[row])
            seconds = float(index / info.fps)
            yield FrameJob(seconds, weights[row], None if pose is None else pose[row])
            index += 1


def write_video(
    source: FrameSource,
    file: BinaryIO,
    head: Head,
    shot: Shot | None = None,
    *,
    audio: str | Path | None = None,
    curves: Sequence[str] = (),
    jobs: int | None = 1,
    on_progress: OnProgress | None = None,
) -> int:
    """Write an MP4 with the recording that the clip was made from; return the number of frames.

    The video is as long as the clip. The sound starts at the clip's `start_sample` and is cut or
    padded with silence at the end. `curves` and `jobs` are those of `images`. Raises
    `MissingExtraError` if there is no ffmpeg, and `WorkerError` for several jobs in a script
    without a main guard.
    """
    rendered = images(source, head, shot, curves=curves, jobs=jobs)
    info = source.info
    return encode_video(
        rendered, file, info.fps, audio=audio, start=info.start, on_progress=on_progress
    )


def encode_video(
    images: Generator[Image, None, None],
    file: BinaryIO,
    fps: Fraction,
    *,
    audio: str | Path | None = None,
    start: Fraction = Fraction(0),
    on_progress: OnProgress | None = None,
) -> int:
    """Write an MP4 of any images; return their number.

    `start` is the second of the recording that goes with the first image.
    """
    count = 0
    with Encoder(file, fps, audio=audio, start=start) as encoder, closing(images):
        for image in images:
            encoder.write(image)
            count += 1
            if on_progress is not None:
                on_progress(count)
        if not count:
            raise RenderError("the clip has no frames; there is nothing to render")
    return count


def write_images(
    source: FrameSource,
    folder: str | Path,
    head: Head,
    shot: Shot | None = None,
    *,
    curves: Sequence[str] = (),
    jobs: int | None = 1,
    on_progress: OnProgress | None = None,
) -> int:
    """Write `00000.png`, `00001.png`, ... into a folder; return the number of files.

    `curves` and `jobs` are those of `images`.
    """
    rendered = images(source, head, shot, curves=curves, jobs=jobs)
    return save_images(rendered, folder, on_progress=on_progress)


def save_images(
    images: Generator[Image, None, None],
    folder: str | Path,
    *,
    on_progress: OnProgress | None = None,
) -> int:
    """Write any images as numbered PNG files into a folder; return their number."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    count = 0
    with closing(images):
        for image in images:
            with whole_file(target / f"{count:05}.png") as file:
                write_png(image, file, level=3)
            count += 1
            if on_progress is not None:
                on_progress(count)
    return count
