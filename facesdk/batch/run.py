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
from ..processes import useful_workers
from .cache import BakeCache, Orphan
from .line import LineBaker, OnProgress, Outcome, failure
from .plan import PIPE, Line, Plan, PlanError
from .pool import bake_in_workers, default_jobs
from .settings import FileMark, Settings, file_mark, fingerprint, shared_files

Preview = Literal["bake", "unchanged", "missing", "failed"]
"""What a run would do with a line."""
OnResult = Callable[[Outcome], None]
"""Called with the outcome of every line as soon as it is known."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Task:
    line: Line
    settings: Settings
    fingerprint: str | None
    marks: Sequence[FileMark] = ()
    """What the inputs looked like before they were hashed."""


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
    outcomes: dict[Line, Outcome] = {}
    try:
        tasks = []
        for item in _sorted_out(plan, settings, baker, cache, force):
            if isinstance(item, Outcome):
                if cache is not None and item.status == "unchanged":
                    cache.remember_input(item.line.output, item.line.source)
                _end(item, outcomes, on_result)
            else:
                tasks.append(item)
        _log.info("%d lines: %d to bake, %d up to date",
                  len(plan.lines), len(tasks), len(outcomes))  # fmt: skip
        by_line = {task.line: task for task in tasks}
        with closing(_baked(tasks, baker, jobs, on_progress)) as baked:
            for outcome in baked:
                if cache is not None and outcome.status == "baked":
                    line, task = outcome.line, by_line[outcome.line]
                    if task.marks == input_marks(line, task.settings, baker):
                        cache.note(line.output, task.fingerprint, outcome.facts, source=line.source)
                    else:
                        _log.warning("%s changed while it was baked; the next run bakes it again",
                                     line.source)  # fmt: skip
                _end(outcome, outcomes, on_result)
    except BaseException:
        remove_leftovers(plan.files())
        raise
    finally:
        if cache is not None:
            cache.close()
    return [outcomes[line] for line in plan.lines]


def input_marks(line: Line, settings: Settings, baker: LineBaker) -> list[FileMark]:
    """Return marks of all files that a line is made from.

    Lines are hashed long before they are read. If the marks from before the hash are still true
    after the line, what was read is what was hashed.
    """
    paths = [line.audio, line.phones, line.text, settings.lexicon, settings.head]
    paths += [settings.rig] if settings.rig.endswith(".json") else []
    if not line.phones:
        model = baker.model
        paths += [str(model.folder / name) for name in ("model.json", model.manifest.file)]
    return [file_mark(path) for path in paths if path and path != PIPE]


def preview(
    plan: Plan, settings: Settings, baker: LineBaker, *, force: bool = False
) -> list[tuple[Line, Preview]]:
    """Return what `run` would do with every line. Nothing is written or created.

    `missing` is a line whose recording or timings do not exist, `failed` one whose name clashes
    with that of another.
    """
    cache = None if plan.folder is None else BakeCache(plan.folder)
    found: list[tuple[Line, Preview]] = []
    for item in _sorted_out(plan, settings, baker, cache, force):
        inputs = [path for path in (item.line.audio, item.line.phones) if path not in (None, PIPE)]
        if isinstance(item, Outcome):
            found.append((item.line, "failed" if item.status == "failed" else "unchanged"))
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


def _end(outcome: Outcome, outcomes: dict[Line, Outcome], on_result: OnResult | None) -> None:
    outcomes[outcome.line] = outcome
    _log.debug("%s: %s", outcome.line.source, outcome.status)
    if on_result is not None:
        on_result(outcome)


def _sorted_out(
    plan: Plan, settings: Settings, baker: LineBaker, cache: BakeCache | None, force: bool
) -> Iterator[_Task | Outcome]:
    """Yield an outcome for every line that is up to date, a task for every other line."""
    shared: dict[str, str | None] | None = None
    if cache is not None:
        with suppress(Exception):  # baking reports the error in better words
            shared = shared_files(settings)
    for line in plan.lines:
        if line.problem:
            yield failure(line, PlanError(line.problem))
            continue
        own = settings.of_line(line, plan)
        if cache is None or shared is None:
            yield _Task(line, own, None)
            continue
        try:
            marks = input_marks(line, own, baker)
            model = None if line.phones else baker.model_hash()
            mark = fingerprint(line, own, model=model, shared=shared)
        except (FaceSDKError, OSError):  # as above
            yield _Task(line, own, None)
            continue
        facts = None if force else cache.finished(line.output, mark)
        yield _Task(line, own, mark, marks) if facts is None else Outcome(line, "unchanged", facts)


def _baked(
    tasks: Sequence[_Task], baker: LineBaker, jobs: int | None, on_progress: OnProgress | None
) -> Generator[Outcome, None, None]:
    workers = default_jobs(len(tasks)) if jobs is None else useful_workers(jobs, len(tasks))
    pipes = any(PIPE in (task.line.audio, task.line.output) for task in tasks)
    if workers > 1 and len(tasks) > 1 and not pipes:
        _log.info("baking in %d worker processes", min(workers, len(tasks)))
        yield from bake_in_workers([(t.line, t.settings) for t in tasks], workers=workers)
        return
    for task in tasks:
        yield baker.try_bake(task.line, task.settings, on_progress)
