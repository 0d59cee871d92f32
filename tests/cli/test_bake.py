"""`facesdk bake`: real lines through the real command."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import facesdk
from facesdk import batch
from facesdk.batch import PlanError, pool
from facesdk.batch.cache import NAME as CACHE
from facesdk.batch.flags import flags
from facesdk.batch.measure import closures
from facesdk.cli import main
from facesdk.exporters import read_clip
from facesdk.processes import Worker

RATE = 16_000

PHONES = "0 0.1 sil\n0.1 0.2 m\n0.2 0.4 aa1\n0.4 0.43 p\n0.43 0.6 iy0\n"


def voice(seconds: float = 0.6, *, pitch: float = 120, level: float = 0.4) -> np.ndarray:
    """Syllables at 4 Hz: a buzz with formant-like tilt."""
    t = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 12)) / 3
    return (level * buzz * np.clip(np.sin(2 * np.pi * 4 * t), 0, 1)).astype(np.float32)


def record(path: Path, samples: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, voice() if samples is None else samples, RATE)
    return path


def bake(*words: object) -> int:
    return main(["bake", *map(str, words)])


def report(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def statuses(document: dict) -> dict[str, str]:
    return {entry["name"]: entry["status"] for entry in document["files"]}


def files(folder: Path) -> set[str]:
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return {name for name in found if name != CACHE}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lines(work) -> Path:
    """Three lines, one in a subfolder, and what does not belong to them."""
    record(work / "lines" / "a.wav", voice(pitch=110))
    record(work / "lines" / "b.flac", voice(pitch=150))
    record(work / "lines" / "guard" / "a.wav", voice(0.8))
    (work / "lines" / "script.txt").write_text("not audio")
    (work / "lines" / "._a.wav").write_bytes(b"left by another system")
    return work / "lines"


OUTPUTS = {"a.json", "b.json", "guard/a.json"}


# ------------------------------------------------------------------------- one line


def test_one_line_is_what_the_library_bakes(work):
    record(work / "line.wav")
    assert bake("line.wav", "-o", "line.json", "--seed", 3, "--fps", "30000/1001") == 0
    baked = read_clip("line.json")
    assert baked == facesdk.bake("line.wav", seed=3, fps="30000/1001")
    assert len(baked) == 18
    assert baked.fps == Fraction(30000, 1001)
    assert baked.meta["performance"]["seed"] == 3


def test_the_output_may_be_a_folder(work):
    record(work / "line.wav")
    assert bake("line.wav", "-o", "new/", "--format", "csv") == 0
    assert files(work / "new") == {"line.csv"}


def test_the_extension_picks_the_format(work):
    record(work / "line.wav")
    assert bake("line.wav", "-o", "line.csv") == 0
    assert (work / "line.csv").read_text().startswith("time,")


def test_a_pipe_gives_the_bytes_of_a_file(work):
    record(work / "line.wav")
    assert bake("line.wav", "-o", "line.json") == 0
    command = [sys.executable, "-m", "facesdk", "bake", "-", "-o", "-"]
    sound = (work / "line.wav").read_bytes()
    done = subprocess.run(command, input=sound, capture_output=True, check=True)
    assert done.stdout == (work / "line.json").read_bytes()
    assert done.stderr == b""


def test_settings_change_what_is_baked(work):
    record(work / "line.wav", voice(4.0))
    assert bake("line.wav", "-o", "line.json") == 0
    assert bake("line.wav", "-o", "still.json", "--no-blinks") == 0
    assert bake("line.wav", "-o", "long.json", "--tail", "0.5") == 0
    assert bake("line.wav", "-o", "open.json", "--no-settle") == 0
    clips = {name: read_clip(f"{name}.json") for name in ("line", "still", "long", "open")}
    assert clips["line"].curve("eyeBlinkLeft").max() > 0.5
    assert clips["still"].curve("eyeBlinkLeft").max() == 0
    assert (len(clips["line"]), len(clips["long"])) == (240, 270)
    np.testing.assert_array_equal(clips["line"].values[:220], clips["open"].values[:220])


def test_game_formats_get_their_rigs(work):
    record(work / "line.wav")
    assert bake("line.wav", "-o", "live.csv", "--format", "livelink-csv") == 0
    assert bake("line.wav", "-o", "a2f.csv", "--format", "a2f-csv", "--fps", 30) == 0
    live = list(csv.DictReader(io.StringIO((work / "live.csv").read_text())))
    a2f = list(csv.DictReader(io.StringIO((work / "a2f.csv").read_text())))
    assert (len(live), len(a2f)) == (36, 18)
    assert live[0]["BlendShapeCount"] == "61"
    assert live[30]["Timecode"] == "00:00:00:30.000"
    assert max(float(row["JawOpen"]) for row in live) > 0.02
    assert max(float(row["blendShapes.JawOpen"]) for row in a2f) > 0.02


# ------------------------------------------------------------------------- many lines


def test_a_folder_is_mirrored(lines, capsys):
    assert bake(lines, "-o", "out") == 0
    assert files(Path("out")) == OUTPUTS
    out, err = capsys.readouterr()
    assert out == ""
    assert "3 baked in" in err


def test_files_and_folders_go_together(lines):
    record(Path("extra.wav"))
    assert bake(lines, "extra.wav", "-o", "out") == 0
    assert files(Path("out")) == OUTPUTS | {"extra.json"}


def test_workers_bake_the_same_bytes(lines):
    assert bake(lines, "-o", "one", "--jobs", 1) == 0
    assert bake(lines, "-o", "two", "--jobs", 2) == 0
    assert contents(Path("one")) == contents(Path("two"))


def test_lines_blink_at_their_own_times_in_every_run(work, capsys):
    for name in ("a", "b"):
        record(work / "lines" / f"{name}.wav", voice(4.0))
    assert bake("lines", "-o", "one", "--json") == 0
    seeds = {e["name"]: e["performance"]["seed"] for e in report(capsys)["files"]}
    lids = [read_clip(f"one/{name}.json").curve("eyeBlinkLeft") for name in "ab"]
    assert not np.array_equal(*lids)
    assert bake("lines", "-o", "two") == 0
    assert contents(work / "one") == contents(work / "two")
    assert bake("lines/a.wav", "-o", "a.json", "--seed", seeds["a"]) == 0
    assert (work / "a.json").read_bytes() == (work / "one" / "a.json").read_bytes()
    assert bake("lines", "-o", "two", "--seed", 1, "--json") == 0
    assert {e["name"]: e["performance"]["seed"] for e in report(capsys)["files"]}["a"] != seeds["a"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bad_file_does_not_stop_the_others(lines, capsys, jobs):
    (lines / "bad.wav").write_bytes(b"RIFFnothing")
    assert bake(lines, "gone.wav", "-o", "out", "--jobs", jobs, "--json") == 1
    out, err = capsys.readouterr()
    assert files(Path("out")) == OUTPUTS
    assert "bad.wav" in err
    assert "gone.wav does not exist" in err
    first, second, *others = json.loads(out)["files"]
    assert {first["name"], second["name"]} == {"bad", "gone"}
    assert all(entry["status"] == "baked" for entry in others)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lines/a.wav", "lines/guard/a.wav", "-o", "out"], "would both become out"),
        (["lines/a.wav", "lines/a.wav", "-o", "out"], "is given twice"),
        (["lines", "-o", "-"], "cannot all go to stdout"),
        (["lines", "-o", "lines/a.wav"], "is a file"),
        (["lines", "-o", "all.csv"], "got the file name all.csv; did you mean all.csv/?"),
        (["lines/a.wav", "-o", "a.docx"], "no format for files called '.docx'"),
        (["lines/a.wav", "-o", "lines/a.wav", "--format", "json"], "would replace the input"),
        (["empty", "-o", "out"], "contains no file"),
        (["-o", "out"], "expected audio files"),
        (["", "-o", "out"], "an input is empty"),
        (["-", "-o", "x.fbx", "--link-audio"], "--link-audio needs recordings"),
        (["lines/a.wav", "-o", ""], "the output is empty"),
        (["lines/a.wav", "-o", "x.fbx", "--head", "none.glb"], "none.glb does not exist"),
        (["lines/a.wav", "-o", "-", "--json"], "--json prints on stdout"),
        (["lines/a.wav", "-o", "x.json", "--report", "x.pdf"], "must end in .json"),
        (["lines/a.wav", "-o", "x.json", "--report", "x.json"], "would replace x.json"),
        (["lines/a.wav", "-o", "x.json", "--report", "a.json"], "a.json is a folder"),
        (["lines/a.wav", "-o", "x.json", "--alphabet", "ipa"], "give both"),
        (["lines/a.wav", "-o", "x.json", "--look-ahead", "-3"], "must be 0 or more"),
        (["lines/a.wav", "-o", "x.json", "--tail", "100"], "tail must lie in"),
        (["lines/a.wav", "-o", "x.json", "--fps", "0"], "fps must lie in (0, 1000]"),
        (["lines/a.wav", "-o", "x.json", "--fps", "fast"], "fps must be a number"),
        (["lines/a.wav", "-o", "x.json", "--rig", "arkitt"], "did you mean 'arkit'?"),
        (["lines/a.wav", "-o", "x.json", "--format", "livelink"], "did you mean 'livelink-csv'"),
        (
            ["lines/a.wav", "-o", "x.json", "--seed", "-1"],
            "seed must be a whole number of 0 or more",
        ),
        (["lines/a.wav", "-o", "x.json", "--jobs", "0"], "must be a whole number, 1 or more"),
    ],
)
def test_wrong_usage_is_told_before_any_work(lines, capsys, words, message):
    Path("empty").mkdir()
    Path("a.json").mkdir()
    before = contents(Path())
    try:
        code = bake(*words)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert contents(Path()) == before
    assert not Path("out").exists()


def test_flame_moves_its_jaw_before_a_model_was_calibrated(lines, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("FACESDK_CACHE", str(tmp_path / "cache"))
    assert bake("lines/a.wav", "-o", "x.json", "--rig", "flame") == 0
    assert "moves only jaw_pose_x until" in capsys.readouterr().err
    clip = read_clip("x.json")
    assert clip.curve("jaw_pose_x").max() > 0.02
    assert np.flatnonzero(np.ptp(clip.values, axis=0)).tolist() == [clip.rig.index("jaw_pose_x")]


def test_a_model_that_is_none_is_told_at_once(lines, capsys):
    assert bake(lines, "-o", "out", "--model", "nowhere") == 1
    assert "nowhere" in capsys.readouterr().err
    assert not Path("out").exists()


# ------------------------------------------------------------------------- again


def test_unchanged_lines_are_left_alone(lines, capsys):
    assert bake(lines, "-o", "out", "--json") == 0
    first = report(capsys)
    times = {p: p.stat().st_mtime_ns for p in Path("out").rglob("*.json")}
    assert bake(lines, "-o", "out", "--json") == 0
    again = report(capsys)
    assert set(statuses(again).values()) == {"unchanged"}
    assert {p: p.stat().st_mtime_ns for p in times} == times
    figures = [[e | {"status": ""} for e in d["files"]] for d in (first, again)]
    assert figures[0] == figures[1]
    assert bake(lines, "-o", "out", "--force", "--json") == 0
    assert set(statuses(report(capsys)).values()) == {"baked"}


def test_what_changed_is_baked_again(lines, capsys):
    assert bake(lines, "-o", "out") == 0
    record(lines / "a.wav", voice(0.5))
    Path("out/b.json").write_text("edited by hand")
    capsys.readouterr()
    assert bake(lines, "-o", "out", "--json") == 0
    assert statuses(report(capsys)) == {"a": "baked", "b": "baked", "guard/a": "unchanged"}
    assert len(read_clip("out/a.json")) == 30
    read_clip("out/b.json")


@pytest.mark.parametrize("option", ["--fps=30", "--rig=metahuman", "--seed=1", "--tail=1",
                                    "--no-blinks", "--no-settle", "--look-ahead=40"])  # fmt: skip
def test_another_setting_bakes_again(work, capsys, option):
    record(work / "lines" / "a.wav")
    assert bake("lines", "-o", "out") == 0
    capsys.readouterr()
    assert bake("lines", "-o", "out", option, "--json") == 0
    assert statuses(report(capsys)) == {"a": "baked"}


def test_a_killed_run_resumes(lines, capsys):
    assert bake(lines, "-o", "out") == 0
    whole = contents(Path("out"))
    cache = Path("out", CACHE)
    rows = cache.read_bytes().splitlines(keepends=True)
    cache.write_bytes(rows[0] + rows[1][:40])  # killed while it noted the second line
    Path("out/guard/a.json").unlink()
    Path("out/guard/.a.json.0123abcd.part").write_bytes(b"half")
    capsys.readouterr()
    assert bake(lines, "-o", "out", "--json") == 0
    assert sorted(statuses(report(capsys)).values()) == ["baked", "baked", "unchanged"]
    assert contents(Path("out")) == whole
    assert bake(lines, "-o", "out", "--json") == 0
    assert set(statuses(report(capsys)).values()) == {"unchanged"}


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_soon_and_leaves_whole_files(work, jobs):
    first, *others = (work / "lines" / f"{i}.wav" for i in range(30))
    record(first, voice(40.0))
    for other in others:
        shutil.copy(first, other)
    command = [sys.executable, "-m", "facesdk", "bake", "lines", "-o", "out", "--jobs", str(jobs)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    while not Path("out", CACHE).exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.decode() == "facesdk: interrupted\n"
    done = files(work / "out")
    assert 0 < len(done) < 30
    assert all(name.endswith(".json") for name in done)
    for name in done:
        assert len(read_clip(work / "out" / name)) == 2400


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_a_worker_that_dies_fails_only_its_line(lines, monkeypatch):
    settings = batch.Settings()
    jobs = [(line, settings) for line in batch.plan([str(lines)], "out").lines]
    send, victims = Worker.send, []

    def send_and_kill(worker, job):
        send(worker, job)
        if job[0].name == "a" and not victims:
            victims.append(worker)
            os.kill(worker._process.pid, signal.SIGKILL)

    monkeypatch.setattr(Worker, "send", send_and_kill)
    outcomes = {o.line.name: o for o in pool.bake_in_workers(jobs, workers=1)}
    assert outcomes["a"].status == "failed"
    assert "worker process ended" in outcomes["a"].error
    assert [outcomes[name].status for name in ("b", "guard/a")] == ["baked", "baked"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_a_worker_that_dies_leaves_no_unfinished_file(lines, monkeypatch):
    settings = batch.Settings()
    jobs = [(line, settings) for line in batch.plan([str(lines)], "out").lines]
    left = Path("out/.a.json.0123abcd.part")
    other = Path("out/.b.json.0123abcd.part")
    left.parent.mkdir()
    send = Worker.send

    def send_and_kill(worker, job):
        send(worker, job)
        if job[0].name == "a":
            left.write_bytes(b"half")
            os.kill(worker._process.pid, signal.SIGKILL)

    monkeypatch.setattr(Worker, "send", send_and_kill)
    other.write_bytes(b"of another line")
    outcomes = {o.line.name: o for o in pool.bake_in_workers(jobs, workers=1)}
    assert outcomes["a"].status == "failed"
    assert not left.exists()
    assert other.exists()


@pytest.mark.parametrize("what", ["audio", "rig", "phones"])
def test_an_input_that_changes_during_the_run_is_baked_again(work, monkeypatch, capsys, what):
    record(work / "lines" / "a.wav")
    record(work / "other.wav", voice(1.2))
    options = []
    if what == "rig":
        table = Path(facesdk.__file__).parent / "data" / "tables" / "arkit.json"
        shutil.copy(table, "own.json")
        options = ["--rig", "own.json"]
    if what == "phones":
        Path("phones").mkdir()
        Path("phones/a.lab").write_text(PHONES)
        options = ["--phones", "phones"]
    real = batch.LineBaker.bake

    def swapped(self, line, settings, on_progress=None):
        facts = real(self, line, settings, on_progress)
        if what == "audio":
            Path("other.wav").replace(line.audio)
        else:
            path = Path("own.json" if what == "rig" else "phones/a.lab")
            path.write_text(path.read_text() + "\n")
        return facts

    monkeypatch.setattr(batch.LineBaker, "bake", swapped)
    assert bake("lines", "-o", "out", *options, "--json") == 0
    out, err = capsys.readouterr()
    assert statuses(json.loads(out)) == {"a": "baked"}
    assert "changed while it was baked" in err
    monkeypatch.setattr(batch.LineBaker, "bake", real)
    assert bake("lines", "-o", "out", *options, "--json") == 0
    assert statuses(report(capsys)) == {"a": "baked"}
    assert bake("lines", "-o", "out", *options, "--json") == 0
    assert statuses(report(capsys)) == {"a": "unchanged"}


def test_two_runs_into_one_folder_both_end_well(work):
    for folder, count in (("one", 4), ("two", 4)):
        for i in range(count):
            record(work / folder / f"{folder}{i}.wav", voice(1.0))
            record(work / folder / f"both{i}.wav", voice(1.0))
    command = [sys.executable, "-m", "facesdk", "bake", "-o", "out"]
    runs = [subprocess.Popen([*command, name], stderr=subprocess.PIPE) for name in ("one", "two")]
    errors = [run.communicate(timeout=300)[1].decode() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], errors
    named = {f"{name}{i}.json" for name in ("one", "two", "both") for i in range(4)}
    assert files(work / "out") == named
    known = {json.loads(row)["output"] for row in Path("out", CACHE).read_bytes().splitlines()}
    assert known == named


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
@pytest.mark.parametrize("jobs", [1, 2])
def test_sigterm_leaves_whole_files_and_no_workers(work, jobs):
    for i in range(12):
        record(work / "lines" / f"{i}.wav", voice(40.0) if i == 0 else None)
        if i:
            shutil.copy(work / "lines" / "0.wav", work / "lines" / f"{i}.wav")
    command = [sys.executable, "-m", "facesdk", "bake", "lines", "-o", "out", "--jobs", str(jobs)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    while not Path("out", CACHE).exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)  # ends when the workers, which share it, have ended
    assert (process.returncode, err.decode()) == (143, "facesdk: terminated\n")
    assert all(name.endswith(".json") for name in files(work / "out"))


def test_a_hostile_name_is_harmless_in_the_report(work, capsys):
    name = "a\u202e<script>.wav" if sys.platform == "win32" else "a\x1b[2J\u202e<script>.wav"
    if sys.platform == "win32":
        name = name.replace("<script>", "")
    record(work / "lines" / name)
    Path("lines/bad.wav").write_bytes(b"\0" * 100)
    assert bake("lines", "-o", "out", "--report", "r.html", "--json") == 1
    assert bake("lines", "-o", "out", "--report", "r.json") == 1
    text = Path("r.html").read_text("utf-8") + Path("r.json").read_text("utf-8")
    text += "".join(capsys.readouterr())
    assert not {"\x1b", "\u202e"} & set(text)
    assert "<script>" not in Path("r.html").read_text("utf-8")


# ------------------------------------------------------------------------- the report


class _Page(HTMLParser):
    """Rows and links of a page; complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "polyline"):
            self.open.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href") and v]
        if tag == "tr":
            self.rows.append("")

    def handle_endtag(self, tag):
        if tag != "polyline":
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.rows:
            self.rows[-1] += data


@pytest.fixture
def troubled(work) -> Path:
    """Lines with one trouble each."""
    folder = work / "lines"
    record(folder / "silent.wav", np.zeros(RATE, np.float32))
    record(folder / "clipped.wav", np.clip(voice(1.0) * 9, -1, 1))
    record(folder / "quiet.wav", voice(1.0, level=0.004))
    record(folder / "<b>&fine.wav", voice(0.9))
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


def test_the_report_begins_with_the_worst(troubled):
    assert bake(troubled, "-o", "out", "--report", "new/qa.json") == 1
    document = json.loads(Path("new/qa.json").read_text("utf-8"))
    assert (document["format"], document["version"]) == ("facesdk.bake-report", 1)
    assert document["summary"]["lines"] == 5
    assert document["summary"]["failed"] == 1
    names = [entry["name"] for entry in document["files"]]
    assert names[0] == "broken"
    found = {e["name"]: {f["name"] for f in e["flags"]} for e in document["files"]}
    assert "silent" in found["silent"]
    assert "clipped" in found["clipped"]
    assert "too quiet" in found["quiet"]
    assert not found["<b>&fine"] & {"silent", "clipped", "too quiet"}
    ranks = [entry["severity"] for entry in document["files"]]
    assert ranks == sorted(ranks, reverse=True)


def test_the_page_stands_alone_and_escapes_names(troubled):
    assert bake(troubled, "-o", "out", "--report", "qa.html") == 1
    text = Path("qa.html").read_text("utf-8")
    page = _Page(text)
    assert not page.open
    assert not page.links
    assert "<b>&fine" not in text
    assert "&lt;b&gt;&amp;fine" in text
    assert len(page.rows) == 6
    assert page.rows[1].startswith("broken")
    assert text.count("<svg") == 4


def test_the_report_tells_of_unchanged_lines_too(troubled):
    bake(troubled, "-o", "out", "--report", "one.html")
    bake(troubled, "-o", "out", "--report", "two.html")
    one, two = (_Page(Path(f"{name}.html").read_text("utf-8")) for name in ("one", "two"))
    assert one.rows == [*two.rows]


def test_closures_are_counted_by_their_peaks():
    curve = [0, 0.5, 0.95, 0.5, 0, 0.5, 0.2, 0.45, 0.8, 0.1, 0.3, 0, 1]
    assert closures(np.array(curve, np.float32)) == (2, 2)


def test_a_clip_of_the_wrong_length_is_an_error():
    mouth = {"jaw_peak": 1.0, "uncertain_closures": 0, "sealed_closures": 1}
    audio = SimpleNamespace(seconds=2.0, voice_dbfs=-20, clipped_share=0, speech_likeness=1.0,
                            leading_silence=0, trailing_silence=0, silent_share=0)  # fmt: skip
    facts = {
        "seconds": 1.5,
        "performance": {"tail": 0.0},
        "fps": [60, 1],
        "audio": vars(audio),
        "mouth": mouth,
    }
    assert [(f.name, f.level) for f in flags(facts)] == [("length", "error")]
    assert flags(facts | {"seconds": 2.0}) == []


# ------------------------------------------------------------------------- names


ODD_NAMES = [
    "new\nline", "-dash", "--help", "dots...", "space ", "CON", "aux", "100%d", "quo'te", "#hash",
    "a@b", "{a}", "$HOME", "~", "ä", "a\u0308", "Hello", "hello", "x" * 251, "é" * 125, "日本語",
]  # fmt: skip
"""Names of files; the last bytes of some do not leave room for a longer ending."""


def add_lines(folder: Path, names: list[str]) -> None:
    """Record lines with these names and one in Shift-JIS, where the system allows them."""
    sound = record(folder / "a_good.wav").read_bytes()
    for name in [os.fsencode(n) for n in names] + [b"\x83\x5a\x83\x8a\x83\x74"]:
        with contextlib.suppress(OSError):
            Path(os.fsdecode(os.fsencode(folder) + b"/" + name + b".wav")).write_bytes(sound)


@pytest.mark.skipif(sys.platform == "win32", reason="names are UTF-16 there")
@pytest.mark.parametrize("format_", ["json", "unity-anim", "fbx", "visemes-json", "pc2"])
def test_no_name_ends_a_batch(work, capsys, format_):
    add_lines(work / "lines", ODD_NAMES)
    count = len(list((work / "lines").iterdir()))
    words = ["lines", "-o", "out", "--format", format_, "--fps", 10, "--json", "--report", "r.html"]
    for status in ("baked", "unchanged"):
        assert bake(*words) == 0
        document = report(capsys)
        assert document["summary"][status] == count
    assert len({entry["output"] for entry in document["files"]}) == count
    assert all(Path(entry["output"]).is_file() for entry in document["files"])
    assert "\\udc83" in Path("r.html").read_text("utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="names are UTF-16 there")
def test_a_file_cannot_refer_to_a_recording_whose_name_is_not_text(work, capsys):
    add_lines(work / "lines", ["b"])
    assert bake("lines", "-o", "out", "--format", "a2f-json", "--link-audio") == 1
    assert files(work / "out") == {"a_good.json", "b.json"}
    assert "is not UTF-8 text; rename the recording" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="names are UTF-16 there")
def test_a_clip_whose_name_is_not_text_is_converted(work, capsys):
    record(work / "a.wav")
    assert bake("a.wav", "-o", "a.json") == 0
    name = os.fsdecode(b"\x83\x5a.json")
    Path("a.json").rename(name)
    assert main(["convert", name, "-o", "out/", "--format", "fbx", "--json"]) == 0
    assert main(["info", name, "--json"]) == 0
    assert Path(os.fsdecode(b"out/\x83\x5a.fbx")).is_file()


def test_lines_of_one_name_fail_alone(work, capsys):
    for name in ("a.wav", "a.flac", "b.wav"):
        record(work / "lines" / name)
    assert bake("lines", "-o", "out", "--json") == 1
    out, err = capsys.readouterr()
    assert files(work / "out") == {"b.json"}
    assert statuses(json.loads(out)) == {"a": "failed", "b": "baked"}
    assert "lines/a.wav would become out/a.json too; rename one of them" in err
    assert "lines/a.flac would become out/a.json too" in err


def test_names_that_differ_in_case_are_pointed_out(work, monkeypatch):
    for name in ("Hello.wav", "sub/hello.wav"):
        record(work / "lines" / name)
    made = batch.plan(["lines/Hello.wav", "lines/sub/hello.wav"], "out/")
    assert "out/Hello.json and out/hello.json differ only in case" in made.notes[0]
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(PlanError, match="would both become"):
        batch.plan(["lines/Hello.wav", "lines/sub/hello.wav"], "out/")


def test_a_name_that_is_too_long_is_shortened(work):
    record(work / "lines" / f"{'é' * 125}.wav")
    (line,) = batch.plan(["lines"], "out", format=batch.kind_for("unity-anim")).lines
    name = os.fsencode(Path(line.output).name)
    assert len(name + b".meta") <= 255
    assert name.decode().startswith("é" * 100)
    assert line.name == "é" * 125


def test_recordings_that_are_not_read_are_named(lines, capsys):
    for name in ("x.m4a", "guard/y.webm", "z.wma", "notes.txt"):
        (lines / name).write_bytes(b"....ftypM4A ")
    assert bake("lines", "-o", "out", "--json") == 0
    out, err = capsys.readouterr()
    assert files(Path("out")) == OUTPUTS
    for text in (err, json.loads(out)["notes"][0]):
        assert "lines contains 3 recordings in formats that facesdk does not read: " in text
        assert "lines/x.m4a, lines/z.wma, lines/guard/y.webm" in text
        assert 'ffmpeg -i "lines/x.m4a" "lines/x.wav"' in text
    assert "notes.txt" not in err


def test_a_folder_of_recordings_that_are_not_read_is_wrong_usage(work, capsys):
    (work / "lines").mkdir()
    (work / "lines" / "x.m4a").write_bytes(b"....ftypM4A ")
    assert bake("lines", "-o", "out") == 2
    assert 'ffmpeg -i "lines/x.m4a" "lines/x.wav"' in capsys.readouterr().err


# ------------------------------------------------------------------------- timed phones


def test_timed_phones_need_no_audio_and_no_model(work, monkeypatch, capsys):
    (work / "line.lab").write_text(PHONES)
    assert bake("--phones", "line.lab", "-o", "line.json", "--model", "nowhere", "--json") == 0
    (entry,) = report(capsys)["files"]
    assert entry["phones"] == {
        "count": 5,
        "alphabet": "arpabet",
        "seconds": 0.6,
        "closures_needed": 2,
        "missed_closures": [],
        "notes": [],
    }
    clip = read_clip("line.json")
    assert len(clip) == 36
    gap = clip.curve("jawOpen") - clip.curve("mouthClose")
    assert gap[9] < 0.02  # in the m
    assert gap[18] > 0.1  # in the aa
    np.testing.assert_allclose(clip.values[-1], clip.rig.rest, atol=0.05)


def test_timed_phones_last_as_long_as_their_audio(work, capsys):
    record(work / "lines" / "line.wav", voice(1.5))
    (work / "timings").mkdir()
    (work / "timings" / "line.lab").write_text(PHONES)
    assert bake("lines", "--phones", "timings", "-o", "out", "--fps", 30, "--json") == 0
    (entry,) = report(capsys)["files"]
    assert entry["frames"] == 45
    assert "length" in {flag["name"] for flag in entry["flags"]}
    assert entry["audio"]["seconds"] == 1.5
    assert bake("lines", "--phones", "timings", "-o", "out", "--fps", 30, "--json") == 0
    assert statuses(report(capsys)) == {"line": "unchanged"}
    (work / "timings" / "line.lab").write_text(PHONES.replace("aa1", "ah1"))
    assert bake("lines", "--phones", "timings", "-o", "out", "--fps", 30, "--json") == 0
    assert statuses(report(capsys)) == {"line": "baked"}


def test_a_folder_of_timings_is_a_batch(work, capsys):
    for name in ("a", "guard/b"):
        path = work / "timings" / f"{name}.lab"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PHONES)
    (work / "timings" / "c.lab").write_text("0 1 nonsense")
    assert bake("--phones", "timings", "-o", "out") == 1
    assert files(work / "out") == {"a.json", "guard/b.json"}
    assert "nonsense" in capsys.readouterr().err


def test_a_line_without_timings_fails_alone(lines, capsys):
    Path("timings").mkdir()
    for name in ("a", "b"):
        Path("timings", f"{name}.lab").write_text(PHONES)
    Path("timings", "guard").mkdir()
    (lines / "c.wav").write_bytes((lines / "a.wav").read_bytes())
    assert bake(lines, "--phones", "timings", "-o", "out") == 1
    assert files(Path("out")) == OUTPUTS  # guard/a found a.lab by its stem
    assert "c.TextGrid does not exist" in capsys.readouterr().err


def test_a_frame_rate_too_low_for_a_closure_is_reported(work, capsys):
    (work / "line.lab").write_text("0 0.31 aa\n0.31 0.33 p\n0.33 1 aa\n")
    assert bake("--phones", "line.lab", "-o", "line.json", "--fps", 4, "--json") == 0
    (entry,) = report(capsys)["files"]
    assert entry["phones"]["missed_closures"] == [{"phone": "p", "start": 0.31}]
    assert entry["flags"][0]["name"] == "missed closures"


def test_two_timings_of_one_name_fail_only_their_line(work, capsys):
    for name in ("timings/line.lab", "timings/line.json", "timings/other.lab"):
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text(PHONES)
    record(work / "lines" / "line.wav")
    record(work / "lines" / "other.wav")
    assert bake("lines", "--phones", "timings", "-o", "out") == 1
    assert files(work / "out") == {"other.json"}
    assert "both timings of 'line'" in capsys.readouterr().err


GRID = """File type = "ooTextFile"
Object class = "TextGrid"
0 1 <exists> 2
"IntervalTier" "lips" 0 1 2 0 0.5 "m" 0.5 1 "ɑ"
"IntervalTier" "ORT" 0 1 1 0 1 "ma"
"""


def test_the_tier_may_be_chosen(work, capsys):
    (work / "line.TextGrid").write_text(GRID, "utf-8")
    assert bake("--phones", "line.TextGrid", "-o", "a.json") == 1
    assert "got 'lips', 'ORT'; choose one with --tier NAME" in capsys.readouterr().err
    assert bake("--phones", "line.TextGrid", "-o", "a.json", "--tier", "lips") == 0
    assert bake("--phones", "line.TextGrid", "-o", "b.json", "--tier", "lip") == 1
    assert "no interval tiers called 'lip'; there are: 'lips', 'ORT'" in capsys.readouterr().err
    assert bake("line.wav", "-o", "b.json", "--tier", "lips") == 2
    assert "--tier is for --phones" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", [1, 2])
def test_sounds_without_a_rule_are_listed_or_refused(work, capsys, jobs):
    for name in ("a", "b"):
        path = work / "timings" / f"{name}.lab"
        path.parent.mkdir(exist_ok=True)
        path.write_text(PHONES.replace("iy0", "qqq").replace("sil", "{LG}"))
    words = ["--phones", "timings", "-o", "out", "--jobs", jobs]
    assert bake(*words, "--json") == 0
    out, err = capsys.readouterr()
    assert "a.lab: noise marks taken as silence: '{LG}'" in err
    assert "b.lab: sounds without arpabet rules taken as a neutral mouth: 'qqq'" in err
    flagged = {f["name"]: f["level"] for f in json.loads(out)["files"][0]["flags"]}
    assert (flagged["noise"], flagged["unknown sounds"]) == ("note", "warning")
    assert bake(*words, "--strict") == 1
    assert "no ARPAbet sound" in capsys.readouterr().err


# ------------------------------------------------- what to check, before and afterwards


@pytest.fixture
def quiet_line(lines) -> Path:
    """The lines, and one with nothing audible."""
    record(lines / "silent.wav", np.zeros(8000))
    return lines


def test_flags_are_counted_on_the_terminal(quiet_line, capsys):
    assert bake(quiet_line, "-o", "out", "--report", "qa.json") == 0
    document = json.loads(Path("qa.json").read_text("utf-8"))
    flagged = [e for e in document["files"] if e["flags"]]
    err = capsys.readouterr().err
    assert f"{len(flagged)} flagged (" in err
    assert "1 error" in err
    assert "qa.json: report of 4 lines" in err


@pytest.mark.parametrize(("level", "code"), [("error", 1), ("warning", 1), ("note", 1)])
def test_fail_on_a_flag(quiet_line, capsys, level, code):
    assert bake(quiet_line, "-o", "out", "--fail-on", level) == code
    err = capsys.readouterr().err
    assert f"{Path('lines', 'silent.wav')}: silent (error)" in err
    assert "(--fail-on)" in err
    assert files(Path("out")) == OUTPUTS | {"silent.json"}
    assert bake(quiet_line, "-o", "out", "--fail-on", level) == code  # up to date, still flagged


def test_a_milder_flag_does_not_fail(work, capsys):
    record(work / "short.wav", voice(0.2))
    assert bake("short.wav", "-o", "short.json", "--fail-on", "error") in (0, 1)
    capsys.readouterr()
    assert bake("short.wav", "-o", "a.json", "--fail-on", "note") == 1
    assert "short (note)" in capsys.readouterr().err


def test_prune_removes_outputs_of_deleted_recordings(lines, capsys):
    assert bake(lines, "-o", "out", "--format", "unity-anim") == 0
    own = Path("out", "guard", "notes.txt")
    (lines / "guard" / "a.wav").unlink()
    (lines / "b.flac").unlink()
    assert bake(lines, "-o", "out", "--format", "unity-anim") == 0
    assert "b.anim" in files(Path("out"))  # without --prune they stay
    capsys.readouterr()
    assert bake(lines, "-o", "out", "--format", "unity-anim", "--prune") == 0
    err = capsys.readouterr().err
    assert files(Path("out")) == {"a.anim", "a.anim.meta"}
    assert not own.parent.exists()
    assert f"{Path('out', 'b.anim')}: removed" in err
    assert bake(lines, "-o", "out", "--format", "unity-anim", "--prune", "--json") == 0
    assert json.loads(capsys.readouterr().out)["pruned"] == []


def test_prune_keeps_what_it_did_not_make(lines, capsys):
    assert bake(lines, "-o", "out") == 0
    Path("out", "mine.json").write_text("{}")
    Path("out", "guard", "notes.txt").write_text("mine")
    edited = Path("out", "b.json")
    edited.write_text(edited.read_text() + "\n")
    (lines / "b.flac").unlink()
    (lines / "guard" / "a.wav").unlink()
    assert bake(lines, "-o", "out", "--prune") == 0
    assert "b.json: kept" in capsys.readouterr().err
    assert files(Path("out")) == {"a.json", "b.json", "mine.json", "guard/notes.txt"}


def test_prune_leaves_the_outputs_of_other_folders(lines, work):
    record(work / "more" / "c.wav", voice())
    record(work / "more" / "d.wav", voice())
    assert bake(lines, "-o", "out") == 0
    assert bake("more", "-o", "out") == 0
    (work / "more" / "d.wav").unlink()
    assert bake(lines, "-o", "out", "--prune") == 0
    assert "d.json" in files(Path("out"))  # its folder was not given
    shutil.rmtree(lines)
    assert bake("more", "-o", "out", "--prune") == 0
    assert files(Path("out")) == OUTPUTS | {"c.json"}


def test_prune_does_not_follow_a_cache_file_out_of_its_folder(lines, work):
    assert bake(lines, "-o", "out") == 0
    cache = Path("out", CACHE)
    victim = work / "a.json"
    shutil.copy("out/b.json", victim)
    cache.write_text(cache.read_text().replace('"output":"b.json"', '"output":"../a.json"'))
    (lines / "b.flac").unlink()
    assert bake(lines, "-o", "out", "--prune") == 0
    assert victim.exists()


def test_prune_needs_a_folder(work, capsys):
    record(work / "line.wav")
    assert bake("line.wav", "-o", "line.json", "--prune") == 2
    assert "--prune is for an output folder" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(lines, work, capsys):
    before = {p: p.stat().st_mtime_ns for p in work.rglob("*")}
    assert bake(lines, "-o", "out", "--dry-run", "--report", "qa.html") == 0
    out, err = capsys.readouterr()
    assert f"bake       {lines / 'b.flac'} -> {Path('out', 'b.json')}" in out.splitlines()
    assert "3 to bake; nothing was written" in err
    assert {p: p.stat().st_mtime_ns for p in work.rglob("*")} == before

    assert bake(lines, "-o", "out") == 0
    record(lines / "a.wav", voice(pitch=222))
    (lines / "b.flac").unlink()
    held = contents(work)
    capsys.readouterr()
    assert bake(lines, "-o", "out", "--dry-run", "--prune", "--json") == 0
    todo = {Path(e["output"]).as_posix(): e["action"]
            for e in json.loads(capsys.readouterr().out)["lines"]}  # fmt: skip
    assert todo == {"out/a.json": "bake", "out/guard/a.json": "unchanged", "out/b.json": "remove"}
    assert contents(work) == held


def test_a_dry_run_names_missing_recordings(work, capsys):
    record(work / "a.wav")
    assert bake("a.wav", "none.wav", "-o", "out", "--dry-run") == 1
    assert "missing    none.wav" in capsys.readouterr().out
    assert not Path("out").exists()


def test_a_csv_of_a_rig_is_that_of_its_program(work):
    record(work / "line.wav")
    assert bake("line.wav", "-o", "take.csv", "--rig", "livelink") == 0
    assert Path("take.csv").read_text("utf-8").startswith("Timecode,BlendShapeCount")
    assert bake("line.wav", "-o", "plain.csv", "--rig", "livelink", "--format", "csv") == 0
    assert Path("plain.csv").read_text("utf-8").startswith("time,")
