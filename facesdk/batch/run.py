"""A whole run: skip what is done, bake the rest, note every line as it ends."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from .cache import Ledger, remove_leftovers
from .line import Bakery, Heard, Outcome
from .plan import PIPE, Line, Plan
from .pool import bake_in_workers, default_jobs
from .settings import Settings, fingerprint

Ended = Callable[[Outcome], None]
"""Told of every line as soon as it is known how it went."""


@dataclass(frozen=True)
class _Task:
    line: Line
    settings: Settings
    fingerprint: str | None


def run(
    plan: Plan,
    settings: Settings,
    bakery: Bakery,
    *,
    jobs: int | None = None,
    force: bool = False,
    ended: Ended | None = None,
    heard: Heard | None = None,
) -> list[Outcome]:
    """Outcomes of all lines, in the plan's order.

    In an output folder, lines whose file is there and was made from the same audio, settings and
    model are left alone unless `force`. `jobs` is the number of processes, by default what pays.
    """
    remove_leftovers(line.output for line in plan.lines if line.output != PIPE)
    if plan.folder is not None:
        plan.folder.mkdir(parents=True, exist_ok=True)
    ledger = None if plan.folder is None else Ledger(plan.folder)
    outcomes: dict[str, Outcome] = {}
    try:
        tasks = []
        for item in _sorted_out(plan, settings, bakery, ledger, force):
            if isinstance(item, Outcome):
                _end(item, outcomes, ended)
            else:
                tasks.append(item)
        prints = {task.line.output: task.fingerprint for task in tasks}
        with closing(_baked(tasks, bakery, jobs, heard)) as baked:
            for outcome in baked:
                if ledger is not None and outcome.status == "baked":
                    ledger.note(outcome.line.output, prints[outcome.line.output], outcome.facts)
                _end(outcome, outcomes, ended)
    except BaseException:
        remove_leftovers(line.output for line in plan.lines if line.output != PIPE)
        raise
    finally:
        if ledger is not None:
            ledger.close()
    return [outcomes[line.output] for line in plan.lines]


def _end(outcome: Outcome, outcomes: dict[str, Outcome], ended: Ended | None) -> None:
    outcomes[outcome.line.output] = outcome
    if ended is not None:
        ended(outcome)


def _sorted_out(
    plan: Plan, settings: Settings, bakery: Bakery, ledger: Ledger | None, force: bool
) -> Iterator[_Task | Outcome]:
    """Every line: an outcome where it is unchanged, else a task."""
    for line in plan.lines:
        own = settings.of_line(line, plan)
        if ledger is None:
            yield _Task(line, own, None)
            continue
        try:
            model = None if line.phones else bakery.model.manifest.sha256
            mark = fingerprint(line, own, model)
        except OSError:  # baking it will say what is wrong, in better words
            yield _Task(line, own, None)
            continue
        facts = None if force else ledger.finished(line.output, mark)
        yield _Task(line, own, mark) if facts is None else Outcome(line, "unchanged", facts)


def _baked(
    tasks: Sequence[_Task], bakery: Bakery, jobs: int | None, heard: Heard | None
) -> Generator[Outcome, None, None]:
    workers = default_jobs(len(tasks)) if jobs is None else jobs
    pipes = any(PIPE in (task.line.audio, task.line.output) for task in tasks)
    if workers > 1 and len(tasks) > 1 and not pipes:
        yield from bake_in_workers([(t.line, t.settings) for t in tasks], workers=workers)
        return
    for task in tasks:
        yield bakery.attempt(task.line, task.settings, heard)
