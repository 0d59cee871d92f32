"""Workers: processes that each hold a model and bake one line after the other."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from ..interrupts import no_interrupts
from .line import LineBaker, Outcome, failure
from .plan import Line
from .settings import Settings

Job = tuple[Line, Settings]

_LINES_PER_WORKER = 32
_MOST = 16


class WorkerError(RuntimeError):
    """A worker ended in the middle of a line."""


def default_jobs(lines: int) -> int:
    """Workers that pay for starting them: none beside this process for a few lines."""
    return max(1, min(_cores(), _MOST, lines // _LINES_PER_WORKER))


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def bake_in_workers(jobs: Sequence[Job], *, workers: int) -> Iterator[Outcome]:
    """Outcomes of all jobs in the order they end.

    A worker that dies fails the line it had, and another takes its place. When the iterator is
    closed, workers are ended at once; what they had not finished is not there.
    """
    waiting = list(reversed(jobs))
    pool = [_Worker() for _ in range(min(workers, len(jobs)))]
    try:
        for worker in pool:
            worker.give(waiting.pop())
        while busy := [worker for worker in pool if worker.job]:
            for worker in _ready(busy):
                yield worker.take()
                if not waiting:
                    continue
                if not worker.alive:
                    pool[pool.index(worker)] = worker = _Worker()
                worker.give(waiting.pop())
    finally:
        for worker in pool:
            worker.end()


def _ready(workers: Sequence[_Worker]) -> list[_Worker]:
    """Workers that have said something or died; sleeps until there are some."""
    said = set(wait([worker.pipe for worker in workers]))
    return [worker for worker in workers if worker.pipe in said]


class _Worker:
    """A process and the line it is at."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # the same on every system
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), daemon=True)
        with no_interrupts():
            self._process.start()
        theirs.close()  # so that its death ends the pipe
        self.job: Job | None = None
        self.alive = True

    def give(self, job: Job) -> None:
        """Have it bake a line."""
        self.job = job
        with suppress(BrokenPipeError):  # it died: `take` tells
            self.pipe.send(job)

    def take(self) -> Outcome:
        """The outcome of its line."""
        assert self.job is not None
        line, self.job = self.job[0], None
        try:
            outcome: Outcome = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.alive = False
            self._process.join()
            code = self._process.exitcode
            error = WorkerError(f"the worker process ended with exit code {code}; is memory short?")
            return failure(line, error)
        return outcome

    def end(self) -> None:
        """Stop it, whatever it is doing."""
        if self.job is not None:
            self._process.terminate()
        self.pipe.close()
        self._process.join()


def _work(pipe: Connection[Any, Any]) -> None:
    """Bake what the pipe brings until it ends, as it does when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    baker: LineBaker | None = None
    with suppress(EOFError, ConnectionError):
        while True:
            line, settings = pipe.recv()
            if baker is None:
                baker = LineBaker(settings.model)
            pipe.send(baker.try_bake(line, settings))
