"""Tables by Python's csv module, clip JSON by its json module: nothing of facesdk's readers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from facesdk import Clip

from . import Curves, Row, Track, expected

JOINTS = ("head", "neck", "left_eye", "right_eye")
POSE = tuple(f"pose.{j}.{a}" for j in JOINTS for a in ("yaw", "pitch", "roll"))


def without_columns(clip: Clip) -> Curves:
    """The rotations of head and eyes are controls of the livelink rig; its pose repeats them."""
    neck = {n for n in POSE if n.startswith("pose.neck")}
    return {n: t for n, t in expected(clip).items() if n in clip.rig or n in neck}


def read_json(path: Path) -> Curves:
    document = json.loads(path.read_text("utf-8"))
    values, pose = np.array(document["values"]), np.array(document["pose"])
    numerator, denominator = document["fps"]
    start = document["start_sample"] / document["sample_rate"]
    times = start + np.arange(len(values)) * denominator / numerator
    named = dict(zip(document["controls"], values.T, strict=True))
    named |= dict(zip(POSE, pose.T, strict=True))
    return {name: Track(times, column) for name, column in named.items()}


def columns(path: Path) -> dict[str, list[str]]:
    """Cells of every column of a table by its header."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def tracks(cells: dict[str, list[str]], times: np.ndarray) -> Curves:
    return {name: Track(times, np.array(column, float)) for name, column in cells.items()}


def read_csv(path: Path) -> Curves:
    cells = columns(path)
    return tracks(cells, np.array(cells.pop("time"), float))


def read_livelink(path: Path) -> Curves:
    """As Unreal's importer reads a take: frames over 60, whatever the rate."""
    cells = columns(path)
    codes = [list(map(float, code.split(":"))) for code in cells.pop("Timecode")]
    del cells["BlendShapeCount"]
    return tracks(cells, np.array([h * 3600 + m * 60 + s + f / 60 for h, m, s, f in codes]))


def read_a2f(path: Path) -> Curves:
    cells = columns(path)
    times = np.array(cells.pop("timeCode"), float)
    del cells[""]
    return tracks({n.removeprefix("blendShapes."): c for n, c in cells.items()}, times)


EVENTS = frozenset({"events"})
ROWS = (
    Row("json", "Python json", read_json),
    Row("json", "Python json", read_json, rig="metahuman"),
    Row("csv", "Python csv", read_csv, lost=EVENTS),
    Row("csv", "Python csv", read_csv, rig="flame", lost=EVENTS),
    Row(
        "livelink-csv",
        "Python csv",
        read_livelink,
        rig="livelink",
        time=2e-5,
        lost=EVENTS | {n for n in POSE if n.startswith("pose.neck")},
        expect=without_columns,
    ),
    Row(
        "livelink-csv",
        "Python csv",
        read_livelink,
        rig="metahuman",
        time=2e-5,
        lost=EVENTS | set(POSE),
    ),
    Row("a2f-csv", "Python csv", read_a2f, rig="a2f", lost=EVENTS | set(POSE)),
)
