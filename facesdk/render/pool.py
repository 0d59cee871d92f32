"""Render the frames of a clip in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from ..arrays import Floats
from ..mesh import Head
from ..processes import WorkerPool, check_workers_allowed, default_workers, useful_workers
from .look import Image
from .renderer import Renderer, Shot


class FrameJob(NamedTuple):
    """One frame to render."""

    seconds: float
    """Time in the video."""
    weights: Floats
    """(S,) of the head's shapes."""
    pose: Floats | None
    """(4, 3) radians."""


_MOST = 8
MIN_FRAMES = 48
"""Frames of a clip below which starting workers costs more time than it saves."""

_BLOCK = 8
"""Frames that a worker gets at once: one matrix product computes the vertices of all of them."""


def default_jobs() -> int:
    """Return the number of worker processes to use: one per core, at most eight."""
    return default_workers(_MOST)


def render_frames(
    frames: Iterator[FrameJob], head: Head, shot: Shot, *, jobs: int | None = 1
) -> Generator[Image, None, None]:
    """Yield the images of frames in order; only a few are in memory at a time.

    `jobs` is the number of processes, None for one per core. Clips of fewer than `MIN_FRAMES`
    frames need only this process. Closing the generator ends the workers at once. Raises
    `WorkerError` for several jobs in a script without a main guard.
    """
    jobs = default_jobs() if jobs is None else useful_workers(jobs)
    if jobs > 1:
        check_workers_allowed()  # for short clips too, so that a script does not fail later
    first = list(islice(frames, MIN_FRAMES))
    every = chain(first, frames)
    if jobs <= 1 or len(first) < MIN_FRAMES:
        render = _renderer(head, shot)
        while block := list(islice(every, _BLOCK)):
            yield from render(block)
        return
    with WorkerPool(partial(_renderer, head, shot), jobs) as pool:

        def give(block: Sequence[FrameJob]) -> int:
            for number, worker in enumerate(pool.workers):
                if part := block[number::jobs]:
                    worker.send(part)
            return len(block)

        ahead = give(list(islice(every, _BLOCK * jobs)))
        while ahead:
            now, ahead = ahead, give(list(islice(every, _BLOCK * jobs)))
            for number in range(now):
                yield pool.workers[number % jobs].receive()


def _renderer(head: Head, shot: Shot) -> Callable[[Sequence[FrameJob]], Iterator[Image]]:
    """Return a function that renders blocks of frames."""
    renderer = Renderer(head, shot)

    def render(block: Sequence[FrameJob]) -> Iterator[Image]:
        poses = [frame.pose for frame in block if frame.pose is not None]
        weights = np.stack([frame.weights for frame in block])
        vertices = head.vertices(weights, np.stack(poses) if poses else None)
        for frame, points in zip(block, vertices, strict=True):
            yield renderer.render(points, seconds=frame.seconds)

    return render
