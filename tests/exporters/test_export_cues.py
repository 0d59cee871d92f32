"""Lists of mouth shapes: what makes a cue, and lists from elsewhere as clips."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from probe import probe

from facesdk import Clip, Rig
from facesdk.errors import ExportError, FileFormatError
from facesdk.exporters import read_clip, write_clip
from facesdk.exporters.visemes import MOUTHS, VISEMES, Cues

OCULUS = Rig.load("oculus")
LISTS = ("visemes-tsv", "visemes-json", "rhubarb-tsv", "rhubarb-json")


def written(clip, format_: str, **options) -> bytes:
    file = io.BytesIO()
    write_clip(clip, file, format_, **options)
    return file.getvalue()


def spoken(*shapes: tuple[str, int], fps: int | Fraction = 60, weight: float = 1.0) -> Clip:
    """Visemes held for so many frames each."""
    rows = []
    for shape, frames in shapes:
        row = np.zeros(15)
        row[OCULUS.index("sil")] = 1 - weight
        row[OCULUS.index(shape)] = 1 if shape == "sil" else weight
        rows += [row] * frames
    return Clip(OCULUS, np.array(rows).reshape(-1, 15), fps)


def shapes(clip: Clip, **options) -> list[tuple[str, int]]:
    cues = list(Cues(clip, shortest=options.get("shortest", 0.0)))
    return [(c.shape, round((c.end - c.start) * clip.fps)) for c in cues]


def test_the_strongest_viseme_leads_from_a_fifth_of_the_mouth_on():
    assert shapes(spoken(("aa", 3), weight=0.21)) == [("aa", 3)]
    assert shapes(spoken(("aa", 3), weight=0.19)) == [("sil", 3)]


def test_short_cues_go_to_their_neighbours_but_lips_that_meet_stay():
    clip = spoken(("aa", 6), ("DD", 1), ("E", 6), ("PP", 1), ("E", 6))
    assert shapes(clip) == [("aa", 6), ("DD", 1), ("E", 6), ("PP", 1), ("E", 6)]
    assert shapes(clip, shortest=0.05) == [("aa", 7), ("E", 6), ("PP", 1), ("E", 6)]
    assert shapes(spoken(("DD", 1), ("SS", 1), ("aa", 9)), shortest=0.05) == [("aa", 11)]
    assert shapes(spoken(("DD", 1), ("SS", 1)), shortest=0.5) == [("SS", 2)]


@given(st.lists(st.tuples(st.sampled_from(OCULUS.names), st.integers(1, 9)), max_size=12),
       st.floats(0, 0.2), st.sampled_from([24, 60, Fraction(30000, 1001)]))  # fmt: skip
def test_cues_follow_each_other_and_cover_the_clip(held, shortest, fps):
    clip = spoken(*held, fps=fps)
    cues = list(Cues(clip, shortest=shortest))
    assert sum(c.end - c.start for c in cues) == clip.duration
    for before, after in pairwise(cues):
        assert before.end == after.start
        assert before.shape != after.shape
    for lips in Cues(clip, shortest=0.0):
        if lips.shape in ("PP", "FF"):  # two of a kind may be one when next to nothing is between
            assert any(c.shape == lips.shape and c.start <= lips.start < c.end for c in cues)


@given(
    st.lists(st.tuples(st.sampled_from(OCULUS.names), st.integers(3, 9)), min_size=1, max_size=9)
)
def test_lists_read_back_as_the_clip_they_were_made_of(held):
    clip = spoken(*held)
    for name in ("visemes-tsv", "visemes-json"):
        assert read_clip(io.BytesIO(written(clip, name))) == clip


@pytest.mark.parametrize("name", ["rhubarb-tsv", "rhubarb-json"])
def test_mouth_shapes_read_back_as_their_visemes(name):
    clip = spoken(("sil", 6), ("PP", 6), ("aa", 12), ("E", 6), ("nn", 6))
    assert read_clip(io.BytesIO(written(clip, name))) == clip
    assert {MOUTHS[VISEMES[shape]] for shape in VISEMES} == set(VISEMES)


def test_a_list_at_ntsc_rate_keeps_its_frames():
    clip = probe("oculus")
    again = read_clip(io.BytesIO(written(clip, "visemes-json")))
    assert (again.fps, len(again), again.start_sample) == (clip.fps, len(clip), clip.start_sample)


def test_basic_charts_have_six_shapes():
    every = spoken(*((name, 6) for name in OCULUS.names))
    full = json.loads(written(every, "rhubarb-json"))["mouthCues"]
    basic = json.loads(written(every, "rhubarb-json", settings={"extended": False}))["mouthCues"]
    assert {c["value"] for c in full} == set("ABCDEFGHX")
    assert {c["value"] for c in basic} == set("ABCDEF")


def test_what_cues_cannot_say_is_named():
    clip = spoken(("aa", 6))
    values = clip.values.copy()
    values[:, OCULUS.index("E")] = 0.5
    file = io.BytesIO()
    assert write_clip(Clip(OCULUS, values, 60), file, "visemes-tsv") == ("blends", "E")
    assert write_clip(spoken(("sil", 3)), file, "visemes-tsv") == ()


def test_cues_need_visemes():
    with pytest.raises(ExportError, match="convert it first: facesdk convert --to oculus"):
        written(probe(), "visemes-tsv")


def test_times_of_day_do_not_shift_a_list():
    text = b"0.00\tX\n0.05\tA\n0.25\tD\n0.60\tX\n"
    clip = read_clip(io.BytesIO(text))
    assert len(clip) == 36
    assert clip.curve("PP")[3:15].tolist() == [1] * 12
    assert clip.curve("aa")[15:].tolist() == [1] * 21


RHUBARB = {"start": 0, "end": 0.1, "value": "A"}
BAD = {
    "no JSON": ("rhubarb-json", "{"),
    "no cues": ("rhubarb-json", "{}"),
    "cues object": ("rhubarb-json", '{"mouthCues": {}}'),
    "cue text": ("rhubarb-json", '{"mouthCues": ["A"]}'),
    "unknown shape": ("rhubarb-json", json.dumps({"mouthCues": [RHUBARB | {"value": "Q"}]})),
    "backwards": ("rhubarb-json", json.dumps({"mouthCues": [RHUBARB | {"end": -1}]})),
    "overlap": ("rhubarb-json", json.dumps({"mouthCues": [RHUBARB, RHUBARB]})),
    "not finite": ("rhubarb-json", '{"mouthCues": [{"start": 0, "end": Infinity, "value": "A"}]}'),
    "nan": ("rhubarb-json", '{"mouthCues": [{"start": NaN, "end": NaN, "value": "A"}]}'),
    "deep": ("rhubarb-json", '{"mouthCues": ' + "[" * 100_000),
    "later version": ("visemes-json", '{"version": 2, "visemes": []}'),
    "fps zero": ("visemes-json", '{"fps": [1, 0], "visemes": []}'),
    "fps text": ("visemes-json", '{"fps": "60", "visemes": []}'),
    "endless": ("visemes-json",
                '{"fps": [999, 1], "visemes": [{"start": 0, "end": 86400, "viseme": "aa"}]}'),
    "no viseme": ("visemes-json", '{"visemes": [{"start": 0, "end": 1, "viseme": "zz"}]}'),
    "heavy": ("visemes-json", '{"visemes": [{"start": 0, "end": 1, "viseme": "aa", "weight": 9}]}'),
    "no header": ("visemes-tsv", "0\t1\taa\t1\n"),
    "empty": ("visemes-tsv", ""),
    "cells": ("visemes-tsv", "start\tend\tviseme\tweight\n0\t1\n"),
    "words": ("visemes-tsv", "start\tend\tviseme\tweight\nzero\t1\taa\t1\n"),
    "three cells": ("rhubarb-tsv", "0\tA\tB\n"),
    "no time": ("rhubarb-tsv", "A\tA\nB\tB\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_list_is_refused_in_words(name):
    format_, text = BAD[name]
    with pytest.raises(FileFormatError) as caught:
        read_clip(io.BytesIO(text.encode()), format_)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_nothing_is_refused(name):
    with pytest.raises(FileFormatError, match="has no frames"):
        read_clip(io.BytesIO(written(spoken(), name)), name)


def test_a_few_cues_that_last_for_a_day_are_refused():
    text = b"0.00\tX\n0.10\tA\n80000\tX\n"
    with pytest.raises(FileFormatError, match=r"2 keys stretch over 4,800,000 frames"):
        read_clip(io.BytesIO(text), "rhubarb-tsv")
    assert len(read_clip(io.BytesIO(text.replace(b"80000", b"3000")), "rhubarb-tsv")) == 180_000
