"""The report of a run: every line with its figures and flags, worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import whole_file
from ..printing import printable_json
from .flags import Flag, flags, severity
from .line import Outcome
from .page import page
from .settings import Settings

VERSION = 1
EXTENSIONS = (".json", ".html", ".htm")
_FAILED = 10_000
"""Severity of a line that has no file."""


def report_document(
    outcomes: Sequence[Outcome], settings: Settings, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the report as JSON values; `notes` are those of the plan.

    `files` starts with lines that failed, then those with the most severe flags. `severity` adds
    100 per error, 10 per warning and 1 per note.
    """
    files = sorted((_entry(outcome) for outcome in outcomes), key=_rank)
    statuses = [entry["status"] for entry in files]
    return {
        "format": "facesdk.bake-report",
        "version": VERSION,
        "settings": settings.to_json() | {"model": settings.model or "default"},
        "summary": {
            "lines": len(files),
            **{status: statuses.count(status) for status in ("baked", "unchanged", "failed")},
            "flagged": sum(bool(entry.get("flags")) for entry in files),
            "seconds": round(sum(entry.get("seconds", 0.0) for entry in files), 3),
        },
        "notes": list(notes),
        "files": files,
    }


def write_report(
    outcomes: Sequence[Outcome],
    settings: Settings,
    path: str | Path,
    notes: Sequence[str] = (),
) -> None:
    """Write the report: HTML if the path ends in `.html` or `.htm`, else JSON.

    Its folder is created.
    """
    document = report_document(outcomes, settings, notes)
    if Path(path).suffix.lower() in (".html", ".htm"):
        text = page(document, {o.line.output: o.facts["sketch"] for o in outcomes if o.facts})
    else:
        text = printable_json(document, indent=1) + "\n"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def _entry(outcome: Outcome) -> dict[str, Any]:
    line = outcome.line
    entry: dict[str, Any] = {
        "name": line.name,
        "input": line.source,
        "output": line.output,
        "status": outcome.status,
    }
    if outcome.status == "failed":
        return entry | {"error": outcome.error, "severity": _FAILED, "flags": []}
    found = flags(outcome.facts)
    entry |= {"severity": severity(found), "flags": _as_json(found)}
    return entry | {key: value for key, value in outcome.facts.items() if key != "sketch"}


def _as_json(found: Sequence[Flag]) -> list[dict[str, str]]:
    return [flag._asdict() for flag in found]


def _rank(entry: Mapping[str, Any]) -> tuple[int, str]:
    return -entry["severity"], entry["name"]
