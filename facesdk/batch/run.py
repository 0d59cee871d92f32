"""A whole run: skip lines that are up to date, bake the others, record every finished line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import FaceSDKError
from ..files import remove_leftovers
from .cache import BakeCache, Orphan
from .line import LineBaker, OnProgress, Outcome
from .plan import PIPE, Line, Plan
from .pool import bake_in_workers, default_jobs
from .settings import Settings, fingerprint, shared_files

OnResult = Callable[[Outcome], None]
"""Called with the outcome of every line as soon as it is known."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Task:
    line: Line
    settings: Settings
    fingerprint: str | None


def run(
    plan: Plan,
    settings: Settings,
    baker: LineBaker,
    *,
    jobs: int | None = None,
    force: bool = False,
    on_result: OnResult | None = None,
    on_progress: OnProgress | None = None,
) -> list[Outcome]:
    """Bake a plan and return the outcomes of all lines, in its order.

    In an output folder, lines whose files exist and were made from the same audio, settings and
    model are skipped unless `force`. `jobs` is the number of worker processes, by default chosen
    from the number of lines. `on_progress` is called only for lines baked in this process.
    """
    remove_leftovers(plan.files())
    if plan.folder is not None:
        plan.folder.mkdir(parents=True, exist_ok=True)
    cache = None if plan.folder is None else BakeCache(plan.folder)
    outcomes: dict[str, Outcome] = {}
    try:
        tasks = []
        for item in _sorted_out(plan, settings, baker, cache, force):
            if isinstance(item, Outcome):
                if cache is not None:
                    cache.remember_input(item.line.output, item.line.source)
                _end(item, outcomes, on_result)
            else:
                tasks.append(item)
        _log.info("%d lines: %d to bake, %d up to date",
                  len(plan.lines), len(tasks), len(outcomes))  # fmt: skip
        prints = {task.line.output: task.fingerprint for task in tasks}
        with closing(_baked(tasks, baker, jobs, on_progress)) as baked:
            for outcome in baked:
                if cache is not None and outcome.status == "baked":
                    line = outcome.line
                    cache.note(line.output, prints[line.output], outcome.facts, source=line.source)
                _end(outcome, outcomes, on_result)
    except BaseException:
        remove_leftovers(plan.files())
        raise
    finally:
        if cache is not None:
            cache.close()
    return [outcomes[line.output] for line in plan.lines]


def preview(
    plan: Plan, settings: Settings, baker: LineBaker, *, force: bool = False
) -> list[tuple[Line, Literal["bake", "unchanged", "missing"]]]:
    """Return what `run` would do with every line. Nothing is written or created.

    `missing` is a line whose recording or timings do not exist.
    """
    cache = None if plan.folder is None else BakeCache(plan.folder)
    found: list[tuple[Line, Literal["bake", "unchanged", "missing"]]] = []
    for item in _sorted_out(plan, settings, baker, cache, force):
        inputs = [path for path in (item.line.audio, item.line.phones) if path not in (None, PIPE)]
        if isinstance(item, Outcome):
            found.append((item.line, "unchanged"))
        elif all(Path(str(path)).is_file() for path in inputs):
            found.append((item.line, "bake"))
        else:
            found.append((item.line, "missing"))
    return found


def orphans(plan: Plan) -> list[Orphan]:
    """Return the outputs of earlier runs in the plan's folder whose input was deleted."""
    if plan.folder is None:
        return []
    outputs = [line.output for line in plan.lines]
    return BakeCache(plan.folder).orphans(plan.roots, outputs)


def prune(plan: Plan) -> tuple[list[Orphan], list[Orphan]]:
    """Delete the outputs of earlier runs whose input was deleted; return them, and those kept.

    An output that was changed since it was written is kept.
    """
    if plan.folder is None:
        return [], []
    cache = BakeCache(plan.folder)
    found = cache.orphans(plan.roots, [line.output for line in plan.lines])
    gone = [orphan for orphan in found if orphan.intact]
    for orphan in gone:
        cache.remove(orphan)
    cache.close()
    return gone, [orphan for orphan in found if not orphan.intact]


def _end(outcome: Outcome, outcomes: dict[str, Outcome], on_result: OnResult | None) -> None:
    outcomes[outcome.line.output] = outcome
    _log.debug("%s: %s", outcome.line.source, outcome.status)
    if on_result is not None:
        on_result(outcome)


def _sorted_out(
    plan: Plan, settings: Settings, baker: LineBaker, cache: BakeCache | None, force: bool
) -> Iterator[_Task | Outcome]:
    """Yield an outcome for every line that is up to date, a task for every other line."""
    shared: dict[str, str | None] | None = None
    if cache is not None:
        with suppress(FaceSDKError, OSError):  # baking reports the error in better words
            shared = shared_files(settings)
    for line in plan.lines:
        own = settings.of_line(line, plan)
        if cache is None or shared is None:
            yield _Task(line, own, None)
            continue
        try:
            model = None if line.phones else baker.model_hash()
            mark = fingerprint(line, own, model=model, shared=shared)
        except OSError:  # as above
            yield _Task(line, own, None)
            continue
        facts = None if force else cache.finished(line.output, mark)
        yield _Task(line, own, mark) if facts is None else Outcome(line, "unchanged", facts)


def _baked(
    tasks: Sequence[_Task], baker: LineBaker, jobs: int | None, on_progress: OnProgress | None
) -> Generator[Outcome, None, None]:
    workers = default_jobs(len(tasks)) if jobs is None else jobs
    pipes = any(PIPE in (task.line.audio, task.line.output) for task in tasks)
    if workers > 1 and len(tasks) > 1 and not pipes:
        _log.info("baking in %d worker processes", min(workers, len(tasks)))
        yield from bake_in_workers([(t.line, t.settings) for t in tasks], workers=workers)
        return
    for task in tasks:
        yield baker.try_bake(task.line, task.settings, on_progress)
