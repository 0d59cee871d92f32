"""Render a clip or vertices: all frames, one still, or the errors against a ground truth."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ..arrays import Floats
from ..clip import Clip
from ..errors import RenderError
from ..mesh import Head
from ..source import FrameSource
from .distance import DistanceMeter
from .look import Image
from .plot import CurveStrip
from .renderer import Shot
from .sheet import LARGEST_ERROR, error_images
from .vertices import FlameMotion, VertexFile, vertex_images
from .video import images, vertex_frames


@dataclass(frozen=True, eq=False)
class Drawing:
    """Images in order, with their frame rate and their place in the recording."""

    images: Generator[Image, None, None]
    fps: Fraction
    start: Fraction = Fraction(0)
    """Second of the recording that goes with the first image."""


def draw_clip(
    source: FrameSource,
    head: Head,
    shot: Shot | None = None,
    *,
    truth: FrameSource | None = None,
    curves: Sequence[str] = (),
    jobs: int | None = 1,
    largest_error: float = LARGEST_ERROR,
    meter: DistanceMeter | None = None,
) -> Drawing:
    """Return the images of a clip, next to `truth` and the errors if it is given.

    `largest_error` is in meters; `meter` receives the distances. `curves` and `jobs` apply without
    `truth`; see `images`.
    """
    if truth is None:
        rendered = images(source, head, shot, curves=curves, jobs=jobs)
    else:
        if truth.info.fps != source.info.fps:
            raise RenderError(
                f"the truth has {truth.info.fps} frames per second, the clip {source.info.fps}; "
                "resample one of them"
            )
        here, there = vertex_frames(source, head), vertex_frames(truth, head)
        rendered = error_images(head, there, here, shot, largest=largest_error, meter=meter)
    return Drawing(rendered, source.info.fps, source.info.start)


def draw_vertices(
    motion: VertexFile | FlameMotion,
    head: Head,
    shot: Shot | None = None,
    *,
    fps: Fraction,
    truth: VertexFile | FlameMotion | None = None,
    start: Fraction = Fraction(0),
    frame: int | None = None,
    largest_error: float = LARGEST_ERROR,
    meter: DistanceMeter | None = None,
) -> Drawing:
    """Return the images of vertices, next to `truth` and the errors if it is given.

    `frame` picks a single image. `largest_error` is in meters; `meter` receives the distances.
    """

    def points(motion: VertexFile | FlameMotion) -> Generator[Floats, None, None]:
        if frame is None:
            yield from motion.frames()
        else:
            yield motion[frame]

    if truth is None:
        rendered = vertex_images(points(motion), head, shot, fps=fps)
    else:
        rendered = error_images(
            head, points(truth), points(motion), shot, largest=largest_error, meter=meter
        )
    return Drawing(rendered, fps, start)


def draw_still(
    clip: Clip,
    head: Head,
    shot: Shot | None = None,
    *,
    at: float | None = None,
    truth: Clip | None = None,
    curves: Sequence[str] = (),
    largest_error: float = LARGEST_ERROR,
    meter: DistanceMeter | None = None,
) -> Image:
    """Return one image of a clip, at a time in seconds or from its middle.

    The curves below it are those up to this moment; `meter` receives the distances to `truth`.
    Raises `RenderError` for a clip without frames, or if `truth` ends before this moment.
    """
    if not len(clip):
        raise RenderError("the clip has no frames; there is nothing to render")
    moment = len(clip) // 2 if at is None else round(at * clip.fps)
    moment = min(moment, len(clip) - 1)
    frame = clip.slice(moment, moment + 1)
    if truth is not None and moment >= len(truth):
        raise RenderError(
            f"the ground truth has {len(truth)} frames and ends before frame {moment}; "
            "choose an earlier moment"
        )
    other = None if truth is None else truth.slice(moment, moment + 1)
    drawing = draw_clip(frame, head, shot, truth=other, largest_error=largest_error, meter=meter)
    image = next(drawing.images)
    if curves and truth is None:
        strip = CurveStrip(clip.rig, curves, width=image.shape[1], fps=clip.fps)
        for values in clip.values[: moment + 1]:
            strip.add(values)
        image = strip.below(image)
    return image
