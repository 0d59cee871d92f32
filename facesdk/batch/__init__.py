"""Batches of lines: plan, cache, workers, report."""

from __future__ import annotations

from .flags import Flag, flags
from .kinds import VIDEO, kind_for, kind_made_for, kinds
from .line import LineBaker, Outcome
from .plan import FilePlan, Line, Plan, PlanError, plan, plan_files
from .report import report_document, write_report
from .run import run
from .settings import Settings

__all__ = [
    "VIDEO",
    "FilePlan",
    "Flag",
    "Line",
    "LineBaker",
    "Outcome",
    "Plan",
    "PlanError",
    "Settings",
    "flags",
    "kind_for",
    "kind_made_for",
    "kinds",
    "plan",
    "plan_files",
    "report_document",
    "run",
    "write_report",
]
