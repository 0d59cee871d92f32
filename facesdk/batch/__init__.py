"""Batches of lines: plan, cache, workers, report."""

from __future__ import annotations

from .flags import WEIGHTS, Flag, flags
from .kinds import VIDEO, kind_for, kind_made_for, kinds
from .line import LineBaker, Outcome
from .plan import FilePlan, Line, Plan, PlanError, plan, plan_files
from .report import report_document, write_report
from .run import orphans, preview, prune, run
from .settings import Settings

__all__ = [
    "VIDEO",
    "WEIGHTS",
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
    "orphans",
    "plan",
    "plan_files",
    "preview",
    "prune",
    "report_document",
    "run",
    "write_report",
]
