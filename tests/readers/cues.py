"""Lists of mouth shapes: by csv, json and a few lines, against cues worked out here again."""

from __future__ import annotations

import csv
import json
from itertools import groupby
from pathlib import Path

import numpy as np
from probe import frame_times

from facesdk import Clip

from . import Curves, Row, Track
from .tables import EVENTS, POSE

CHART = dict(
    zip(
        ["sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou"],
        "XAGHBBBBHEDCBEF",
        strict=True,
    )
)


def shown(clip: Clip, chart: dict[str, str] | None = None, basic: dict[str, str] | None = None):
    """Shape and frames of every cue of a clip: the strongest viseme, short ones given away."""
    others = np.array(clip.values)
    others[:, 0] = -1
    names = [clip.rig.names[i if row[i] >= 0.2 else 0]
             for i, row in zip(others.argmax(1), others, strict=True)]  # fmt: skip
    shapes = names if chart is None else [chart[n] for n in names]
    shapes = shapes if basic is None else [basic.get(s, s) for s in shapes]
    held = {"PP", "FF", *"AG"}
    runs = [[shape, len(list(group))] for shape, group in groupby(shapes)]
    least = 0.04 * float(clip.fps)
    kept: list[list] = []
    if runs[0][1] < least and not held & {runs[0][0], runs[1][0]}:  # nothing before it
        runs[1][1] += runs.pop(0)[1]
    for shape, frames in runs:
        if kept and (shape == kept[-1][0] or (frames < least and shape not in held)):
            kept[-1][1] += frames
        else:
            kept.append([shape, frames])
    return kept


def cues(clip: Clip, chart=None, basic=None) -> Curves:
    """Where every shape begins, as a track: its number in the alphabet at its start."""
    kept = shown(clip, chart, basic)
    first = np.cumsum([0, *(frames for _, frames in kept)])[:-1]
    times = frame_times(clip)[first]
    return {"shape": Track(times, np.array([number(shape) for shape, _ in kept]))}


def number(shape: str) -> float:
    return float(int.from_bytes(shape.encode(), "big"))


def track(entries: list[tuple[float, str]]) -> Curves:
    times = np.array([start for start, _ in entries])
    return {"shape": Track(times, np.array([number(shape) for _, shape in entries]))}


def read_tsv(path: Path) -> Curves:
    with path.open(encoding="utf-8", newline="") as file:
        return track(
            [(float(r["start"]), r["viseme"]) for r in csv.DictReader(file, delimiter="\t")]
        )


def read_json(path: Path) -> Curves:
    document = json.loads(path.read_text("utf-8"))
    ends = [c["end"] for c in document["visemes"]]
    assert ends[:-1] == [c["start"] for c in document["visemes"]][1:]
    return track([(c["start"], c["viseme"]) for c in document["visemes"]])


def read_srt(path: Path) -> Curves:
    found = []
    for number_, block in enumerate(path.read_text("utf-8").strip().split("\n\n"), 1):
        index, times, shape = block.split("\n")
        assert int(index) == number_
        h, m, s = times.split(" --> ")[0].replace(",", ".").split(":")
        found.append((int(h) * 3600 + int(m) * 60 + float(s), shape))
    return track(found)


def read_rhubarb_tsv(path: Path) -> Curves:
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    return track([(float(time), shape) for time, shape in rows[:-1]])


def read_rhubarb_json(path: Path) -> Curves:
    document = json.loads(path.read_text("utf-8"))
    assert document["metadata"]["duration"] == document["mouthCues"][-1]["end"]
    return track([(c["start"], c["value"]) for c in document["mouthCues"]])


def rhubarb(clip: Clip) -> Curves:
    return cues(clip, CHART)


def rhubarb_basic(clip: Clip) -> Curves:
    return cues(clip, CHART, {"G": "A", "H": "C", "X": "A"})


LOST = EVENTS | set(POSE) | {"blends"}
ROWS = (
    Row("visemes-tsv", "Python csv", read_tsv, rig="oculus", lost=LOST, expect=cues),
    Row("visemes-json", "Python json", read_json, rig="oculus", lost=LOST, expect=cues),
    Row("visemes-srt", "split by lines", read_srt, rig="oculus", time=6e-4, lost=LOST, expect=cues,
        foreign=False),
    Row("rhubarb-tsv", "split by lines", read_rhubarb_tsv, rig="oculus", time=6e-3, lost=LOST,
        expect=rhubarb, foreign=False),
    Row("rhubarb-json", "Python json", read_rhubarb_json, rig="oculus", time=6e-3, lost=LOST,
        expect=rhubarb),
    Row("rhubarb-json", "Python json, six shapes", read_rhubarb_json, rig="oculus", time=6e-3,
        lost=LOST, expect=rhubarb_basic, options={"settings": {"extended": False}}),
)  # fmt: skip
