"""Frame sources: wrappers, what they report, and formats of others inside `convert`."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from facesdk import exporters
from facesdk.cli import main
from facesdk.clip import Clip, Event, Pose
from facesdk.errors import ClipError, ExportError, FileFormatError
from facesdk.exporters import Format, read_clip, write_clip, write_clips
from facesdk.exporters.fbx.stacks import SpooledSource
from facesdk.exporters.scene.head_curves import HeadCurves, default_head
from facesdk.exporters.spool import spooled
from facesdk.exporters.usd.animation import SkeletonCurves
from facesdk.retarget import Converted, conversion
from facesdk.rig import Rig
from facesdk.source import (
    Block,
    CheckedSource,
    ClipInfo,
    CountingSource,
    FrameSource,
    collect,
    frames,
    offset_source,
)


def speech(rig: str = "arkit", count: int = 600, *, pose: bool = True) -> Clip:
    chosen, random = Rig.load(rig), np.random.default_rng(3)
    return Clip(
        chosen,
        random.uniform(0, 0.9, (count, len(chosen))),
        Fraction(30000, 1001),
        pose=Pose(random.normal(0, 0.2, (count, 4, 3))) if pose else None,
        start_sample=7,
        events=(Event(90, "cue"),),
    )


@pytest.fixture
def reread():
    """A source that reads a spool."""
    clip = speech()
    with spooled(clip) as spool:
        yield SpooledSource(clip, spool)


def wrapped(kind: str, reread: FrameSource) -> FrameSource:
    clip = speech()
    return {
        "converted": lambda: Converted(clip, conversion("arkit", "oculus")),
        "converted twice": lambda: Converted(
            Converted(clip, conversion("arkit", "metahuman")), conversion("metahuman", "arkit")
        ),
        "without a pose": lambda: Converted(speech(pose=False), conversion("arkit", "livelink")),
        "without frames": lambda: Converted(speech(count=0), conversion("arkit", "livelink")),
        "moved": lambda: offset_source(clip, 16_000),
        "counted": lambda: CountingSource(clip),
        "checked": lambda: CheckedSource(clip),
        "on a head": lambda: HeadCurves(speech("metahuman"), default_head()),
        "on a skeleton": lambda: SkeletonCurves(speech("metahuman"), default_head()),
        "from disk": lambda: reread,
        "all at once": lambda: CountingSource(
            offset_source(Converted(clip, conversion("arkit", "a2f")), -7)
        ),
    }[kind]()


def report(source: FrameSource) -> list[object]:
    """What a source and all that it wraps have counted and dropped."""
    facts = [getattr(source, name, None) for name in ("count", "dropped")]
    inner = getattr(source, "source", None)
    return [*facts, *(report(inner) if inner is not None else ())]


@pytest.mark.parametrize(
    "kind",
    ["converted", "converted twice", "without a pose", "without frames", "moved", "counted",
     "checked", "on a head", "on a skeleton", "from disk", "all at once"],
)  # fmt: skip
def test_wrappers_drained_both_ways_agree(kind, reread):
    source = wrapped(kind, reread)
    one_by_one = list(frames(source))
    by_frames = report(source)
    blocks = list(source.blocks())
    by_blocks = report(source)
    assert by_frames == by_blocks
    rows = np.concatenate([block.values for block in blocks])
    assert [f.index for f in one_by_one] == list(range(len(rows)))
    assert np.array_equal(np.array([f.values for f in one_by_one]).reshape(rows.shape), rows)
    assert [f.sample for f in one_by_one] == [source.info.sample_of(i) for i in range(len(rows))]
    if blocks[0].pose is not None:
        poses = np.concatenate([block.pose for block in blocks])
        assert np.array_equal(np.array([f.pose for f in one_by_one]).reshape(poses.shape), poses)
    else:
        assert all(f.pose is None for f in one_by_one)
    assert isinstance(source, FrameSource)
    assert np.array_equal(collect(source).values, rows)
    assert report(source) == by_blocks


def test_a_converted_source_counts_and_names_what_it_drops():
    converted = Converted(speech(count=300), conversion("arkit", "oculus"))
    assert (converted.count, converted.dropped) == (0, ())
    assert sum(1 for _ in frames(converted)) == 300
    assert converted.count == 300
    assert "browInnerUp" in converted.dropped


def test_an_offset_source_moves_start_and_events():
    moved = offset_source(speech(), 100).info
    assert (moved.start_sample, moved.events[0].sample) == (107, 190)
    assert moved.start == Fraction(107, 16_000)
    clip = speech()
    assert offset_source(clip, 0) is clip


# ------------------------------------------------------------ formats of others


def write_peaks(source, file, options):
    """The format of `docs/formats.md`."""
    for frame in frames(source):
        file.write(f"{frame.index} {frame.values.max():.3f}\n".encode())
    return ("pose",)


@pytest.fixture
def peaks(monkeypatch):
    """A plug-in format, registered."""
    monkeypatch.setitem(exporters.EXPORTERS, "peaks", Format("peaks", ".peaks", write_peaks))


@pytest.mark.usefixtures("peaks")
def test_a_format_of_others_inside_convert_reports_as_ours_do(tmp_path, capsys):
    """A stranger's writer reads single frames: the report counts them and what was dropped."""
    line = tmp_path / "line.json"
    write_clip(speech(count=40), line)
    assert main(
        ["convert", str(line), "--to", "oculus", "--format", "peaks", "--json", "-o",
         str(tmp_path / "line.peaks")]
    ) == 0  # fmt: skip
    out, log = capsys.readouterr()
    (entry,) = json.loads(out)["files"]
    assert entry["frames"] == 40 == len((tmp_path / "line.peaks").read_text().splitlines())
    assert {"browInnerUp", "pose"} <= set(entry["dropped"])
    assert "rig 'oculus' drops" in log


# ------------------------------------------------------- misspelled options, extensions


def test_an_unknown_option_is_named_with_those_there_are(tmp_path):
    clip = speech(count=3)
    with pytest.raises(
        ExportError, match=r"no option 'foo'; known: tolerance, start, offset, head"
    ):
        write_clip(clip, tmp_path / "x.csv", foo=1)
    with pytest.raises(ExportError, match=r"no option 'mesh'; settings=\{'mesh': ...\}"):
        write_clip(clip, tmp_path / "x.fbx", mesh=False)
    with pytest.raises(ExportError, match="no option 'foo'"):
        write_clips([clip], tmp_path / "x.fbx", foo=1)
    assert not list(tmp_path.iterdir())


def test_an_unknown_extension_gives_the_same_message_in_every_run():
    """Hash seeds differ from run to run."""
    code = (
        "from facesdk.exporters import format_for\n"
        "try: format_for('x.qqq')\nexcept KeyError as error: print(error)"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(texts) == 1
    assert "no format for files called '.qqq'; known: .anim, .csv, .fbx" in texts.pop()


class Foreign:
    """A source that somebody else wrote."""

    info = ClipInfo(Rig.load("oculus"), Fraction(60))

    def __init__(self, *blocks: Block) -> None:
        self._blocks = blocks

    def blocks(self):
        yield from self._blocks


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        ([Block(np.zeros((2, 14)), None)], r"frame 0: values of rig 'oculus' must be \(n, 15\)"),
        ([Block(np.zeros(15), None)], r"must be \(n, 15\), got \(15,\)"),
        ([Block(np.zeros((2, 15)), None), Block(np.full((1, 15), np.nan), None)], "frame 2: v"),
        ([Block(np.zeros((2, 15)), np.zeros((1, 4, 3)))], r"pose must be \(2, 4, 3\)"),
        ([Block(np.zeros((2, 15)), np.full((2, 4, 3), np.inf))], "frame 0: pose must be finite"),
        ([Block("words", None)], "must be numbers"),
        (
            [Block(np.zeros((2, 15)), None), Block(np.zeros((2, 15)), np.zeros((2, 4, 3)))],
            "frame 2: either all frames",
        ),
    ],
)  # fmt: skip
def test_blocks_that_make_no_clip_are_refused(blocks, problem):
    with pytest.raises(ClipError, match=problem):
        write_clip(Foreign(*blocks), io.BytesIO(), "csv")
    with pytest.raises(ClipError, match=problem):
        collect(Foreign(*blocks))


@pytest.mark.parametrize("name", ["csv", "json", "npz", "fbx"])
def test_a_source_without_blocks_is_an_empty_clip(name):
    file = io.BytesIO()
    write_clip(Foreign(), file, name)
    if name != "fbx":
        with pytest.raises(FileFormatError, match="has no frames"):
            read_clip(file, name)
