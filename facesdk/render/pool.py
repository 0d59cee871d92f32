"""Processes that draw the frames of a film between them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import fields
from itertools import chain, islice
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ..arrays import Floats
from ..errors import RenderError
from ..interrupts import no_interrupts
from ..mesh import Head
from .look import Picture
from .stage import Shot, Stage

Slate = tuple[float, Floats, Floats | None]
"""A frame to draw: seconds into the film, (S,) weights, (4, 3) pose or None."""

_MOST = 8
_FRAMES_THAT_PAY = 48
"""Frames of a film below which a process more costs more than it brings."""

_BLOCK = 8
"""Frames that a process gets at once: one matrix product for all of them."""


def default_jobs() -> int:
    """Processes that draw: one a core, none beside this one where it may not have children."""
    if multiprocessing.current_process().daemon:
        return 1
    affinity = getattr(os, "sched_getaffinity", None)
    return min(_MOST, len(affinity(0)) if affinity else os.cpu_count() or 1)


def drawn(
    slates: Iterator[Slate], head: Head, shot: Shot, *, jobs: int | None = None
) -> Generator[Picture, None, None]:
    """The pictures of frames, in order; only a few are held at a time.

    When the iterator is closed, processes are ended at once.
    """
    jobs = default_jobs() if jobs is None else max(1, jobs)
    first = list(islice(slates, _FRAMES_THAT_PAY))
    every = chain(first, slates)
    if jobs == 1 or len(first) < _FRAMES_THAT_PAY:
        return _alone(every, head, shot)
    return _together(every, head, shot, jobs)


def _alone(slates: Iterator[Slate], head: Head, shot: Shot) -> Generator[Picture, None, None]:
    stage = Stage(head, shot)
    while block := list(islice(slates, _BLOCK)):
        yield from _pictures(stage, head, block)


def _together(
    slates: Iterator[Slate], head: Head, shot: Shot, jobs: int
) -> Generator[Picture, None, None]:
    with closing(_Crew(head, shot, jobs)) as crew:
        ahead = crew.give(list(islice(slates, _BLOCK * jobs)))
        while ahead:
            now, ahead = ahead, crew.give(list(islice(slates, _BLOCK * jobs)))
            for number in range(now):
                yield crew.take(number)


def _pictures(stage: Stage, head: Head, block: Sequence[Slate]) -> Iterator[Picture]:
    weights = np.stack([weights for _, weights, _ in block])
    poses = [pose for _, _, pose in block if pose is not None]
    points = head.vertices(weights, np.stack(poses) if poses else None)
    for (seconds, _, _), here in zip(block, points, strict=True):
        yield stage.picture(here, seconds=seconds)


class _Crew:
    """Processes, each with every so-manieth frame of a block."""

    def __init__(self, head: Head, shot: Shot, jobs: int) -> None:
        context = multiprocessing.get_context("spawn")  # the same on every system
        self._shape: tuple[int, ...] | None = None
        self._pipes: list[Connection[Any, Any]] = []
        self._processes = []
        packed = _packed(head)
        for _ in range(jobs):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            with no_interrupts():
                process.start()
            theirs.close()  # so that its death ends the pipe
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            pipe.send((packed, shot))

    def give(self, block: list[Slate]) -> int:
        """Have a block drawn; returns its length."""
        for number, pipe in enumerate(self._pipes):
            if part := block[number :: len(self._pipes)]:
                pipe.send(part)
        return len(block)

    def take(self, number: int) -> Picture:
        """The picture of the frame with this number in its block."""
        pipe = self._pipes[number % len(self._pipes)]
        try:
            shape = pipe.recv()
            if isinstance(shape, Exception):
                raise shape
            data = pipe.recv_bytes()
        except (EOFError, ConnectionError) as error:
            raise RenderError(
                "a process that draws ended; is memory short? --jobs 1 needs the least"
            ) from error
        return np.frombuffer(data, np.uint8).reshape(shape)

    def close(self) -> None:
        """End the processes, whatever they are at."""
        for process in self._processes:
            process.terminate()
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join()


def _work(pipe: Connection[Any, Any]) -> None:
    """Draw what the pipe brings until it ends, as it does when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    with suppress(EOFError, ConnectionError):
        packed, shot = pipe.recv()
        try:
            head = Head(**packed)
            stage = Stage(head, shot)
            while True:
                for picture in _pictures(stage, head, pipe.recv()):
                    pipe.send(picture.shape)
                    pipe.send_bytes(picture.tobytes())
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            pipe.send(error)


def _packed(head: Head) -> dict[str, Any]:
    """The fields of a head in types that travel."""
    facts = {f.name: getattr(head, f.name) for f in fields(head) if f.init}
    return {n: dict(v) if hasattr(v, "items") else v for n, v in facts.items()}
