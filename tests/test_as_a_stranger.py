"""Stories of people who do not know the code: scripts, moved folders, deleted files, odd values.

Only public names and the command line are used. A bug found at the outer edge gets a story here.
"""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import soundfile

import facesdk
from facesdk import Clip, Event, FaceSDKError, Pose, Rig
from facesdk.cli import main
from facesdk.exporters import read_clip, write_clip
from facesdk.mesh import Head, load_head
from facesdk.model import RigTable
from facesdk.retarget import conversion

ROOT = Path(__file__).resolve().parents[1]
RATE = 16_000


def voice(seconds: float = 0.6) -> np.ndarray:
    """Syllables at 4 Hz."""
    t = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 12)) / 3
    return (0.4 * buzz * np.clip(np.sin(2 * np.pi * 4 * t), 0, 1)).astype(np.float32)


def record(path: Path, seconds: float = 0.6) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, voice(seconds), RATE)
    return path


def run(*words: object) -> int:
    """Exit code of a command line, wrong usage included."""
    try:
        return main([*map(str, words)])
    except SystemExit as ended:
        return int(ended.code or 0)


def python(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that finds facesdk, and what lies in the working folder."""
    paths = os.pathsep.join([str(ROOT), str(Path.cwd())])
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clip() -> Clip:
    rig = Rig.load("arkit")
    values = 0.5 + 0.5 * np.sin(np.linspace(0, 20, 90)[:, None] + np.arange(len(rig)))
    return Clip(
        rig,
        values,
        Fraction(60),
        pose=Pose(np.full((90, 4, 3), 0.1)),
        events=(Event(8000, "door slams", {"loud": True}),),
        meta={"audio": "line.wav"},
    )


# --------------------------------------------------------------------- scripts and processes

SCRIPT = """
import facesdk
from facesdk.mesh import load_head
from facesdk.render import Look, Shot, write_video

clip = facesdk.bake("line.wav", fps=30)
shot = Shot(Look(size=(64, 64)), backend="software")
with open("line.mp4", "wb") as file:
    write_video(clip, file, load_head(), shot, audio="line.wav")
print("done", len(clip))
"""


def test_a_script_without_a_main_guard_writes_a_video(work):
    record(work / "line.wav", 2.0)
    (work / "script.py").write_text(SCRIPT, "utf-8")
    done = python("script.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done 60\n"
    assert (work / "line.mp4").stat().st_size > 1000


@pytest.mark.parametrize("copied", [lambda v: pickle.loads(pickle.dumps(v)), copy.deepcopy])
class TestValuesCanBeCopied:
    def test_clip_and_its_parts(self, clip, copied):
        assert copied(clip) == clip
        assert copied(clip.rig) == clip.rig
        assert copied(clip.pose) == clip.pose
        (event,) = clip.events
        assert copied(event) == event
        assert dict(copied(clip).meta) == {"audio": "line.wav"}

    @pytest.mark.parametrize("name", ["arkit", "metahuman", "livelink", "flame"])
    def test_rig(self, copied, name):
        assert copied(Rig.load(name)) == Rig.load(name)

    def test_conversion(self, copied):
        way = conversion("arkit", "metahuman")
        values = np.linspace(0, 1, 52, dtype=np.float32)[None]
        np.testing.assert_array_equal(copied(way)(values, None)[0], way(values, None)[0])

    def test_rig_table(self, copied):
        table = RigTable.load("arkit")
        units = np.linspace(0, 1, len(table.units), dtype=np.float32)[None]
        np.testing.assert_array_equal(copied(table)(units), table(units))

    def test_head(self, copied):
        head = load_head()
        other = copied(head)
        assert isinstance(other, Head)
        assert other.names == head.names
        np.testing.assert_array_equal(other.neutral, head.neutral)
        assert sorted(other.masks) == sorted(head.masks)

    def test_an_error_keeps_its_fields(self, copied):
        with pytest.raises(FaceSDKError) as caught:
            Rig.load("arkit").index("jawOpn")
        error = copied(caught.value)
        assert str(error) == str(caught.value)
        assert (error.name, error.suggestions[0]) == ("jawOpn", "jawOpen")


def test_an_error_text_is_the_same_in_every_process():
    code = (
        "from facesdk.exporters import format_for\n"
        "try: format_for('take.docx')\n"
        "except Exception as error: print(error)\n"
    )
    texts = {python("-c", code, PYTHONHASHSEED=str(seed)).stdout for seed in range(5)}
    assert len(texts) == 1
    assert ".docx" in texts.pop()


# --------------------------------------------------------------------- a build pipeline


def statuses(capsys) -> dict[str, str]:
    return {e["name"]: e["status"] for e in json.loads(capsys.readouterr().out)["files"]}


def test_a_recording_that_moved_is_linked_at_its_new_place(work, capsys):
    record(work / "A" / "line.wav")
    words = ("-o", "out/", "--format", "fbx", "--link-audio", "--set", "mesh=false", "--json")
    assert run("bake", "A", *words) == 0
    assert b"../A/line.wav" in (work / "out" / "line.fbx").read_bytes()
    shutil.move("A", "B")
    capsys.readouterr()
    assert run("bake", "B", *words) == 0
    assert statuses(capsys) == {"line": "baked"}
    assert b"../B/line.wav" in (work / "out" / "line.fbx").read_bytes()
    assert run("bake", "B", *words) == 0
    assert statuses(capsys) == {"line": "unchanged"}


def test_a_deleted_sidecar_file_is_written_again(work, capsys):
    record(work / "lines" / "line.wav")
    words = ("bake", "lines", "-o", "out/", "--format", "unity-anim", "--json")
    assert run(*words) == 0
    (sidecar,) = work.glob("out/*.meta")
    content = sidecar.read_bytes()
    sidecar.unlink()
    (work / "out" / ".line.anim.meta.0123abcd.part").write_bytes(b"half")
    capsys.readouterr()
    assert run(*words) == 0
    assert statuses(capsys) == {"line": "baked"}
    assert sidecar.read_bytes() == content
    assert not list(work.glob("out/*.part"))
    assert not list(work.glob("out/.*.part"))
    assert run(*words) == 0
    assert statuses(capsys) == {"line": "unchanged"}


def test_an_output_without_an_input_is_wrong_usage(capsys, work):
    assert run("bake", "-o", "x.json") == 2
    error = capsys.readouterr().err
    assert "no input given" in error
    assert "--phones" in error
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("start", ["garbage", "01:99:00:00", "01:00:00:61", "nan", "inf", "1/0"])
@pytest.mark.parametrize("command", ["bake", "convert"])
def test_a_start_that_is_no_time_is_told_before_any_work(work, capsys, clip, command, start):
    if command == "convert" and start.endswith(":61"):
        pytest.skip("the frame rate is known only when the file is read")
    record(work / "lines" / "line.wav")
    write_clip(clip, "lines/line.json")
    source = "lines" if command == "bake" else "lines/line.json"
    words = ("-o", "out/", "--format", "livelink-csv", f"--start={start}")
    assert run(command, source, *words) == 2
    assert start in capsys.readouterr().err
    assert not (work / "out").exists()


@pytest.mark.parametrize(
    "option",
    ["--fps=0", "--fps=-30", "--fps=nan", "--jobs=0", "--jobs=-1", "--jobs=1.5", "--seed=-1",
     "--seed=1.5", "--tail=-1", "--tail=inf", "--look-ahead=-1", "--look-ahead=nan",
     "--tolerance=-1", "--tolerance=nan", "--offset=inf", "--offset=nan", "--offset=soon"],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_told_before_any_work(work, capsys, option):
    record(work / "line.wav")
    assert run("bake", "line.wav", "-o", "line.csv", option) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert re.search(r"must|invalid", error)
    assert not (work / "line.csv").exists()


def test_the_look_ahead_is_named_where_it_is_not_the_one_asked_for(work, capsys):
    record(work / "line.wav")
    assert run("bake", "line.wav", "-o", "a.json", "--look-ahead", 39) == 0
    error = capsys.readouterr().err
    assert "look-ahead is 20 ms, the longest up to 39 ms" in error
    assert run("bake", "line.wav", "-o", "a.json", "--look-ahead", 40) == 0
    assert "look-ahead" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="long paths")
@pytest.mark.parametrize("stem", ["n" * 246, "é" * 123, "漢" * 82, "n" * 250])
def test_the_longest_file_names_can_be_written(work, capsys, stem):
    record(work / "in" / "line.wav")
    (work / "in" / "line.wav").rename(work / "in" / f"{stem}.wav")
    assert run("bake", "in", "-o", "out", "--json") == 0
    assert statuses(capsys) == {stem: "baked"}
    assert sorted(p.name for p in (work / "out").glob("*")) == sorted(
        [f"{stem}.json", ".facesdk-bake.jsonl"]
    )


# --------------------------------------------------------------------- rigs of one's own


def own_table(path: Path) -> Path:
    """The table of ARKit, edited by an artist: a jaw that opens half as far."""
    source = resources.files("facesdk") / "data" / "tables" / "arkit.json"
    table = json.loads(source.read_text("utf-8"))
    jaw = table["controls"]["jawOpen"]
    table["controls"]["jawOpen"] = {term: weight / 2 for term, weight in jaw.items()}
    path.write_text(json.dumps(table), "utf-8")
    return path


def own_rig(path: Path) -> Path:
    """The file of a rig, saved in a game's own folder."""
    source = resources.files("facesdk") / "data" / "rigs" / "arkit.json"
    path.write_text(source.read_text("utf-8"), "utf-8")
    return path


def jaw(clip: Clip) -> float:
    return float(clip.curve("jawOpen").max())


def test_a_table_of_my_own_is_baked_by_path_and_as_an_object(work):
    plain = jaw(facesdk.bake(voice()))
    path = own_table(work / "table.json")
    by_path = facesdk.bake(voice(), rig=str(path))
    as_object = facesdk.bake(voice(), rig=RigTable.load(path))
    assert jaw(by_path) == pytest.approx(plain / 2, abs=1e-3)
    assert by_path == as_object


def test_a_rig_of_my_own_is_baked_by_path_and_as_an_object(work):
    plain = facesdk.bake(voice())
    assert facesdk.bake(voice(), rig=str(own_rig(work / "rig.json"))) == plain
    assert facesdk.bake(voice(), rig=Rig.load("arkit")) == plain


def test_a_table_of_my_own_streams(work):
    model, path = facesdk.load(), own_table(work / "table.json")
    with model.session(rig=RigTable.load(path), fps=60) as session:
        frames = [*session.push(voice()), *session.flush()]
    assert len(frames) == 36
    assert max(frame.values[session.rig.index("jawOpen")] for frame in frames) > 0


def test_the_command_line_bakes_a_table_of_my_own(work, capsys):
    record(work / "lines" / "line.wav")
    table = own_table(work / "table.json")
    assert run("bake", "lines", "-o", "out", "--rig", "table.json", "--json") == 0
    assert statuses(capsys) == {"line": "baked"}
    assert jaw(read_clip("out/line.json")) < 0.75 * jaw(facesdk.bake("lines/line.wav"))
    assert run("bake", "lines", "-o", "out", "--rig", "table.json", "--json") == 0
    assert statuses(capsys) == {"line": "unchanged"}
    table.write_text(table.read_text("utf-8") + "\n", "utf-8")
    assert run("bake", "lines", "-o", "out", "--rig", "table.json", "--json") == 0
    assert statuses(capsys) == {"line": "baked"}


@pytest.mark.parametrize("rig", ["nowhere.json", "broken.json", "arkitt", "line.wav"])
def test_a_rig_that_is_none_is_told_before_any_work(work, capsys, rig):
    record(work / "line.wav")
    (work / "broken.json").write_text('{"format": "something else"}', "utf-8")
    assert run("bake", "line.wav", "-o", "out/", "--rig", rig) == 2
    assert rig in capsys.readouterr().err
    assert not (work / "out").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [("range", [0, math.inf]), ("range", [0, math.nan]), ("name", 7), ("name", ""), ("rest", "x")],
)
def test_a_rig_file_with_an_odd_control_is_refused(work, key, value):
    path = own_rig(work / "rig.json")
    document = json.loads(path.read_text("utf-8"))
    (control,) = (c for c in document["controls"] if c["name"] == "jawOpen")
    control[key] = value
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(FaceSDKError):
        Rig.load(path)


@pytest.mark.parametrize("name", [7, "", None])
def test_a_rig_file_with_an_odd_name_is_refused(work, name):
    path = own_rig(work / "rig.json")
    document = json.loads(path.read_text("utf-8")) | {"name": name}
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(FaceSDKError):
        Rig.load(path)


# --------------------------------------------------------------------- odd values in Python


@pytest.mark.parametrize(
    "options",
    [{"sample_rate": 0}, {"sample_rate": -1}, {"sample_rate": "fast"}, {"seed": -1}, {"seed": "x"},
     {"fps": 0}, {"fps": -30}, {"fps": None}, {"tail": -1}, {"tail": math.nan}, {"blinks": "yes"},
     {"rig": 7}, {"rig": "arkitt"}, {"look_ahead_ms": -1}, {"look_ahead_ms": math.nan}],
    ids=str,
)  # fmt: skip
def test_bake_refuses_values_that_make_no_sense(options):
    with pytest.raises(FaceSDKError):
        facesdk.bake(voice(), **options)


def test_a_list_of_floats_is_audio_or_refused():
    samples = voice().tolist()
    try:
        clip = facesdk.bake(samples)
    except FaceSDKError:
        return
    assert clip == facesdk.bake(np.array(samples))


def test_an_option_that_does_not_exist_is_named(clip):
    with pytest.raises((FaceSDKError, TypeError), match="foo") as caught:
        write_clip(clip, "x.csv", foo=1)
    assert "WriteOptions.__init__" not in str(caught.value)
    assert not Path("x.csv").exists()


# --------------------------------------------------------------------- formats of one's own

PLUGIN = """
from facesdk.exporters import TIMES, Format
from facesdk.source import frames

def write_peaks(source, file, options):
    for frame in frames(source):
        file.write(f"{frame.index} {frame.values.max():.3f}\\n".encode())
    return ()

PEAKS = Format("peaks", ".peaks", write_peaks, options=TIMES, description="peaks")
"""


def test_convert_reports_frames_and_losses_of_a_plug_in(work, clip):
    (work / "my_package.py").write_text(PLUGIN, "utf-8")
    folder = work / "my_package-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: my-package\nVersion: 1\n", "utf-8")
    (folder / "entry_points.txt").write_text(
        "[facesdk.exporters]\npeaks = my_package:PEAKS\n", "utf-8"
    )
    write_clip(clip, "line.json")
    words = ("line.json", "-o", "line.peaks", "--to", "oculus", "--json")
    done = python("-m", "facesdk", "convert", *words)
    assert done.returncode == 0, done.stderr
    (report,) = json.loads(done.stdout)["files"]
    assert report["frames"] == 90
    assert "browInnerUp" in report["dropped"]
    assert "browInnerUp" in done.stderr
    assert len((work / "line.peaks").read_text("utf-8").splitlines()) == 90


# --------------------------------------------------------------------- work that grows


def test_joining_clips_takes_work_in_proportion_to_their_number(clip, monkeypatch):
    built: list[int] = []
    check = Clip.__post_init__

    def counted(self: Clip) -> None:
        built.append(len(self.values))
        check(self)

    monkeypatch.setattr(Clip, "__post_init__", counted)
    joined = facesdk.concat([clip] * 400)
    assert len(joined) == 400 * 90
    assert len(joined.events) == 400
    assert sum(built) <= 3 * len(joined)


def test_a_second_file_does_not_build_the_head_again(clip, work):
    """The head's work is counted in Python and C calls, not in seconds."""
    short = clip.slice(0, 2)

    def calls() -> int:
        count = 0

        def counter(frame, event, argument):
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(counter)
        try:
            write_clip(short, work / "line.glb", head=stranger)
        finally:
            sys.setprofile(None)
        return count

    stranger = replace(load_head(), name="stranger")  # a head that no test has written before
    first, second = calls(), calls()
    assert second < 0.5 * first


# --------------------------------------------------------------------- sound of a video


def test_the_sound_of_an_error_video_begins_with_its_clip(work):
    """A clip that begins one second into its recording is heard from there."""
    encode = pytest.importorskip("imageio_ffmpeg")
    t = np.arange(2 * RATE) / RATE
    soundfile.write("line.wav", np.where(t < 1, 0, 0.5 * np.sin(2 * np.pi * 440 * t)), RATE)
    rig = Rig.load("arkit")
    for name in ("truth.json", "line.json"):
        write_clip(Clip(rig, np.zeros((10, 52)), Fraction(10), start_sample=RATE), name)
    words = ("--against", "truth.json", "--audio", "line.wav", "--size", "128x64")
    words = (*words, "--backend", "software", "--jobs", 1)
    assert run("render", "line.json", "-o", "errors.mp4", *words) == 0
    program = encode.get_ffmpeg_exe()
    command = [program, "-v", "error", "-i", "errors.mp4", "-f", "f32le", "-ac", "1"]
    sound = subprocess.run([*command, "-"], capture_output=True, check=True).stdout
    samples = np.frombuffer(sound, np.float32)
    assert np.abs(samples[: len(samples) // 2]).max() > 0.2


# --------------------------------------------------------------------- pages


def test_no_page_ends_with_a_placeholder():
    for page in ROOT.glob("docs/**/*.md"):
        assert not re.search(r"^(RESULTS|TODO|TBD|XXX)$", page.read_text("utf-8"), re.M), page
