"""Bake many lines in worker processes, each with a model of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..errors import WorkerError
from ..files import remove_leftovers
from ..processes import (
    Worker,
    WorkerPool,
    default_workers,
    wait_for_any,
)
from .kinds import kind_for
from .line import LineBaker, Outcome, failure
from .plan import Line, output_files
from .settings import Settings

Job = tuple[Line, Settings]

_LINES_PER_WORKER = 32
_MOST = 16


def default_jobs(lines: int) -> int:
    """Return how many workers are worth starting; for a few lines, 1 means this process."""
    return default_workers(max(1, min(_MOST, lines // _LINES_PER_WORKER)))


def bake_in_workers(jobs: Sequence[Job], *, workers: int) -> Iterator[Outcome]:
    """Yield the outcomes of all jobs in the order in which they end.

    A worker that dies fails only the line it was baking and leaves no unfinished file; another one
    takes its place. Closing the
    iterator ends the workers at once and abandons unfinished lines.
    """
    waiting = list(reversed(jobs))
    with WorkerPool(_baker, min(workers, len(jobs))) as pool:
        lines: dict[Worker[Job, Outcome], Line] = {}
        files = {line.output: output_files(line, kind_for(own.format)) for line, own in jobs}

        def give(worker: Worker[Job, Outcome]) -> None:
            job = waiting.pop()
            lines[worker] = job[0]
            worker.send(job)

        for worker in pool.workers:
            give(worker)
        while lines:
            for worker in wait_for_any(list(lines)):
                line = lines.pop(worker)
                yield _outcome(worker, line, files[line.output])
                if waiting:
                    give(worker if worker.alive else pool.replace(worker))


def _outcome(worker: Worker[Job, Outcome], line: Line, files: Sequence[str]) -> Outcome:
    try:
        return worker.receive()
    except WorkerError as error:
        remove_leftovers(files)
        return failure(line, error)


def _baker() -> Callable[[Job], tuple[Outcome]]:
    """Return the work of one worker, which loads its model for the first line."""
    baker: LineBaker | None = None

    def bake(job: Job) -> tuple[Outcome]:
        nonlocal baker
        line, settings = job
        baker = baker or LineBaker(settings.model)
        return (baker.try_bake(line, settings),)

    return bake
