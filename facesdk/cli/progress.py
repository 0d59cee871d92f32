"""Progress bars on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from . import is_quiet

_PATIENCE = 1.0
"""Seconds of work before a bar appears."""


class Progress:
    """A bar that appears on a terminal once the work takes a while; nothing appears elsewhere."""

    def __init__(self, what: str, total: float | None = None, *, unit: str = "") -> None:
        """`what` names the work; `total` is how much there is, None where it is not known yet.

        `unit` is the unit of the speed shown, such as fps.
        """
        self._what, self._total, self._done, self._unit = what, total, 0.0, unit
        self._begun = time.monotonic()
        self._bar: Any = None
        self._shown = sys.stderr.isatty() and not is_quiet()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, by: float = 1) -> None:
        """Report that some more of the work is done."""
        self.update(self._done + by, self._total)

    def update(self, done: float, total: float | None = None) -> None:
        """Report how much of the work is done in all, out of `total`."""
        self._done, self._total = done, total
        if not self._shown or time.monotonic() - self._begun < _PATIENCE:
            return
        if self._bar is None:
            self._bar, self._task = _bar(self._what)
        speed = f"{done / (time.monotonic() - self._begun):.1f} {self._unit}" if self._unit else ""
        self._bar.update(self._task, completed=done, total=total, speed=speed)


def _bar(what: str) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )
    bar.start()
    return bar, bar.add_task(what, total=None, speed="")
