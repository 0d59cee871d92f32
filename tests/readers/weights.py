"""Weights in JSON and in text without names: by json, by str.split and a header of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from probe import FPS

from facesdk import Clip, Rig

from . import Curves, Row, Track, expected
from .tables import EVENTS, POSE

LEFT_OUT = EVENTS | set(POSE) | {"start"}


def from_zero(clip: Clip) -> Curves:
    """The clip's curves in a file that begins at zero."""
    start = clip.start_sample / clip.sample_rate
    return {n: Track(t.times - start, t.values) for n, t in expected(clip).items()}


def read_a2f(path: Path) -> Curves:
    document = json.loads(path.read_text("utf-8"))
    weights = np.array(document["weightMat"])
    assert weights.shape == (document["numFrames"], document["numPoses"])
    times = np.arange(len(weights)) / document["exportFps"]
    return {n: Track(times, weights[:, i]) for i, n in enumerate(document["facsNames"])}


def read_board(path: Path) -> Curves:
    """Rows of 174 numbers; what plays them knows the names and the rate."""
    lines = path.read_text("ascii").splitlines()
    table = np.array([list(map(float, line.split(","))) for line in lines])
    assert table.shape[1] == 174
    times = np.arange(len(table)) / float(FPS)
    names = Rig.load("metahuman-gui").names
    return {n: Track(times, table[:, i]) for i, n in enumerate(names)}


ROWS = (
    Row("a2f-json", "Python json", read_a2f, rig="a2f", lost=LEFT_OUT, expect=from_zero),
    Row("a2f-json", "Python json", read_a2f, rig="arkit", lost=LEFT_OUT, expect=from_zero),
    Row(
        "control-board",
        "split by commas",
        read_board,
        rig="metahuman-gui",
        lost=LEFT_OUT | {"fps"},
        expect=from_zero,
        foreign=False,
    ),
)
