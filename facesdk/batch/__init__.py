"""Many lines at once: which input becomes which file, by whom, whether it must, and how it went."""

from __future__ import annotations

from .flags import Flag, flags
from .kinds import VIDEO, kind_for, kinds
from .line import Bakery, Outcome
from .plan import Line, Plan, PlanError, plan
from .report import report_document, write_report
from .run import run
from .settings import Settings

__all__ = [
    "VIDEO",
    "Bakery",
    "Flag",
    "Line",
    "Outcome",
    "Plan",
    "PlanError",
    "Settings",
    "flags",
    "kind_for",
    "kinds",
    "plan",
    "report_document",
    "run",
    "write_report",
]
