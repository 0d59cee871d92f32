"""The command line: exit codes, pipes, reports, and no half-written file."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import soundfile

import facesdk
from facesdk import Clip, Event, Pose, Rig
from facesdk.cli import COMMANDS, main
from facesdk.errors import missing_extra
from facesdk.exporters import read_clip, write_clip

ROOT = Path(facesdk.__file__).parent.parent


@pytest.fixture
def clip() -> Clip:
    rig = Rig.load("arkit")
    phase = np.linspace(0, 20, 90)[:, None] + np.arange(len(rig))
    values = 0.5 + 0.5 * np.sin(phase)
    values[:, rig.index("tongueOut")] = 0
    values[:, rig.index("jawOpen")] *= 1.5
    return Clip(
        rig,
        values,
        Fraction(60),
        pose=Pose(np.full((90, 4, 3), 0.1)),
        start_sample=1600,
        events=(Event(8000, "door slams", {"loud": True}),),
        meta={"audio": "line.wav"},
    )


@pytest.fixture
def path(clip, tmp_path) -> Path:
    file = tmp_path / "line.json"
    write_clip(clip, file)
    return file


def facesdk_process(*args: str, **options) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "facesdk", *args]
    return subprocess.run(command, env=environment, capture_output=True, timeout=300, **options)


# --------------------------------------------------------------------- dispatch


def test_help_is_instant_and_imports_nothing_heavy():
    script = (
        "import sys, time\n"
        "from facesdk.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "loaded = {m.partition('.')[0] for m in sys.modules}\n"
        "assert not loaded & {'numpy', 'onnxruntime', 'rich', 'torch', 'soundfile'}, loaded\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert all(name in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_what_the_table_says(name):
    module = import_module(f"facesdk.cli.{name.replace('-', '_')}")
    assert (name, COMMANDS[name]) == (module.NAME, module.HELP)


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"facesdk {facesdk.__version__}\n"


@pytest.mark.parametrize(
    "words", [[], ["dance"], ["info"], ["info", "x.json", "--fast"], ["convert", "x.json"]]
)
def test_wrong_usage_is_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert "usage: facesdk" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--to", "arkitt"], "did you mean 'arkit'"),
        (["--fps", "0"], "fps must lie in"),
        (["--format", "cvs"], "did you mean 'csv'"),
    ],
)
def test_a_bad_option_is_explained(option, words, path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["convert", str(path), "-o", "x.csv", *option])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_an_error_is_one_line(tmp_path, capsys):
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    assert main(["info", str(bad)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("facesdk: error: ")
    assert error.count("\n") == 1
    assert main(["info", str(tmp_path / "none.json")]) == 1
    assert "none.json: No such file" in capsys.readouterr().err


def test_debug_shows_where_it_comes_from(tmp_path, capsys, monkeypatch):
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    for words in (["--debug", "info", str(bad)], ["info", str(bad), "--debug"]):
        assert main(words) == 1
        assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("FACESDK_DEBUG", "1")
    assert main(["info", str(bad)]) == 1
    assert "Traceback" in capsys.readouterr().err


# --------------------------------------------------------------------- messages


def test_quiet_prints_only_errors(path, tmp_path, capsys):
    out = tmp_path / "out.csv"
    words = ["convert", str(path), "-o", str(out), "--format", "a2f-csv"]
    assert main([*words, "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["-q", *words]) == 0
    assert capsys.readouterr().err == ""
    assert main(words) == 0
    assert "facesdk: warning: " in capsys.readouterr().err
    assert main(["info", str(tmp_path / "none.json"), "-q"]) == 1
    assert "facesdk: error: " in capsys.readouterr().err


def test_verbose_logs_what_is_loaded_and_chosen(tmp_path, capsys):
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(8000), 16_000)
    words = ["bake", str(tmp_path), "-o", str(tmp_path / "out")]
    assert main([*words, "-v"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "facesdk: model facesdk-default" in err
    assert "facesdk: look-ahead 160 ms" in err
    assert "facesdk: 2 lines: 2 to bake, 0 up to date" in err
    assert "a.wav: baked" not in err
    assert main([*words, "-vv"]) == 0
    err = capsys.readouterr().err
    assert "2 lines: 0 to bake, 2 up to date" in err
    assert "a.wav: unchanged" in err
    assert main(words) == 0
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("words", [*([n] for n in COMMANDS), ["flame", "calibrate"]])
def test_every_command_has_the_options_of_messages(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    assert "-q, --quiet" in capsys.readouterr().out


def test_something_not_installed_is_3(monkeypatch, path, capsys):
    def missing(_):
        raise missing_extra("this", "render")

    monkeypatch.setattr("facesdk.cli.info.describe", missing)
    assert main(["info", str(path)]) == 3
    assert 'pip install "facesdk-anim[render]"' in capsys.readouterr().err


def test_ctrl_c_is_130(monkeypatch, path, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("facesdk.cli.info.describe", interrupted)
    assert main(["info", str(path)]) == 130
    assert "Traceback" not in capsys.readouterr().err


def wake(process) -> None:
    """End a read that began just before a signal arrived, which Python notices after it."""
    with suppress(BrokenPipeError):
        process.stdin.write(b" " * 1_000_000)
        process.stdin.flush()


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_stops_a_command_that_waits():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "facesdk", "info", "-"]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        process.stdin.write(b" " * 1_000_000)  # more than a pipe holds: it is reading now
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        wake(process)
        assert process.wait(timeout=120) == 130
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_a_reader_that_leaves_is_no_traceback(path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "facesdk", "info", str(path)]
    with subprocess.Popen(
        command, env=environment, stdout=write, stderr=subprocess.PIPE
    ) as process:
        os.close(write)
        error = process.stderr.read()
    assert process.returncode == 141
    assert error == b""


# ---------------------------------------------------------------------- convert


def test_convert_to_another_rig_and_rate(path, tmp_path):
    out = tmp_path / "out.json"
    assert main(["convert", str(path), "--to", "metahuman", "--fps", "30", "-o", str(out)]) == 0
    result = read_clip(out)
    assert (result.rig.name, result.fps, len(result)) == ("metahuman", 30, 45)
    assert result.events[0].name == "door slams"
    assert result.start_sample == 1600


def test_convert_takes_the_rig_that_a_format_is_made_for(clip, path, tmp_path):
    out = tmp_path / "take.csv"
    assert main(["convert", str(path), "-o", str(out), "--format", "livelink-csv"]) == 0
    take = read_clip(out)
    assert take.rig.name == "livelink"
    np.testing.assert_allclose(take.curve("MouthLeft"), clip.curve("mouthLeft"), atol=1e-6)
    np.testing.assert_allclose(take.curve("JawRight"), clip.curve("jawRight"), atol=1e-6)
    assert take.curve("HeadYaw").all()
    assert main(["convert", str(out), "--to", "arkit", "-o", str(tmp_path / "back.json")]) == 0


def test_convert_keeps_a_rig_that_was_asked_for(path, tmp_path):
    out = tmp_path / "take.csv"
    words = ["convert", str(path), "-o", str(out), "--format", "livelink-csv", "--to", "metahuman"]
    assert main(words) == 0
    assert read_clip(out).rig.name == "metahuman"


def test_convert_reports_what_is_lost(path, tmp_path, capsys):
    out = tmp_path / "take.csv"
    words = ["convert", str(path), "-o", str(out), "--format", "a2f-csv", "--json"]
    assert main(words) == 0
    captured = capsys.readouterr()
    (report,) = json.loads(captured.out)["files"]
    assert report["rig"]["name"] == "a2f"
    assert (report["frames"], report["fps"]) == (90, [60, 1])
    assert {"events", "pose.head.yaw"} <= set(report["dropped"])
    assert "warning" in captured.err
    assert "events" in captured.err


def test_convert_names_controls_that_move_and_have_no_place(path, tmp_path, capsys):
    out = tmp_path / "visemes.json"
    assert main(["convert", str(path), "-o", str(out), "--to", "oculus", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    assert "browInnerUp" in report["dropped"]
    assert "tongueOut" not in report["dropped"]


def test_convert_pipes(path):
    data = path.read_bytes()
    result = facesdk_process("convert", "-", "-o", "-", "--format", "csv", input=data)
    assert result.returncode == 0
    assert read_clip(io.BytesIO(result.stdout)).fps == 60
    back = facesdk_process("convert", "-", "-o", "-", input=data)
    assert back.stdout == data


def test_convert_several_into_a_folder(path, tmp_path, capsys):
    other = tmp_path / "bad.json"
    other.write_text("{}")
    out = tmp_path / "out"
    words = ["convert", str(other), str(path), "-o", str(out), "--format", "csv"]
    assert main(words) == 1
    assert [p.name for p in out.iterdir()] == ["line.csv"]
    assert "bad.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["a.json", "b.json", "-o", "-"],
        ["a/x.json", "b/x.json", "-o", "out"],
        ["a.json", "-o", "-", "--json"],
        ["a.json", "-o", "a.docx"],
    ],
)
def test_convert_refuses_what_cannot_go_together(words, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["convert", *words]) == 2
    assert "facesdk: error:" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_convert_names_the_output_that_cannot_be_written(path, tmp_path, capsys):
    for out in (tmp_path / "none" / "out.csv", tmp_path / "folder.csv"):
        if out.parent == tmp_path:
            out.mkdir()
        words = ["convert", str(path), "-o", str(out)]
        assert main(words) == (0 if out.is_dir() else 1)
        error = capsys.readouterr().err
        assert ".part" not in error
        assert out.is_dir() or f"{out}: " in error


def test_convert_leaves_nothing_half_written(path, tmp_path):
    text = path.read_text()
    broken = tmp_path / "broken.json"
    broken.write_text(text.replace('"pose":[', '"pose":[[1,2],', 1))
    out = tmp_path / "out.json"
    out.write_text("as it was")
    assert main(["convert", str(broken), "-o", str(out)]) == 1
    assert out.read_text() == "as it was"
    assert len(list(tmp_path.iterdir())) == 3


def test_convert_a_rig_without_a_map_writes_its_own_curves(tmp_path, capsys):
    source = tmp_path / "own.csv"
    source.write_text("time,furrow\n0,0\n0.04,1\n0.08,0\n")
    out = tmp_path / "out.csv"
    assert main(["convert", str(source), "-o", str(out), "--format", "livelink-csv"]) == 0
    assert out.read_text().startswith("Timecode,BlendShapeCount,furrow\n")
    assert "its own curves are written" in capsys.readouterr().err


# ------------------------------------------------------------------------- info


def test_info_in_json(path, capsys):
    assert main(["info", str(path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["rig"]["name"] == "arkit"
    assert (facts["frames"], facts["fps"], facts["duration"]) == (90, [60, 1], 1.5)
    assert facts["start_sample"] == 1600
    assert facts["silent"] == ["tongueOut"]
    assert facts["controls"]["jawOpen"]["out_of_range"]
    assert not facts["controls"]["browInnerUp"]["out_of_range"]
    assert facts["motion"]["tongue"] == 0
    assert facts["motion"]["brow"] > 0
    assert facts["pose"]["pose.head.yaw"]["max"] == pytest.approx(np.degrees(0.1), abs=1e-4)
    assert facts["events"] == [{"sample": 8000, "name": "door slams", "data": {"loud": True}}]
    assert facts["meta"] == {"audio": "line.wav"}


def test_info_measures_motion_a_second(tmp_path, capsys):
    """A control that goes 0, 1, 0, ... at 25 fps travels 25 units a second."""
    path = tmp_path / "tremble.csv"
    path.write_text("time,furrow\n" + "".join(f"{i / 25},{i % 2}\n" for i in range(1000)))
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["motion"] == {"other": pytest.approx(25)}


def test_info_in_words(path, capsys):
    assert main(["info", str(path)]) == 0
    text = capsys.readouterr().out
    for words in ("arkit 1, 52 controls", "0:01.500, 90 frames at 60 fps", "0.100 s, sample 1600",
                  "door slams", "audio: line.wav", "never move:\n  tongueOut"):  # fmt: skip
        assert words in text
    assert [line.split()[0] for line in text.splitlines() if "out of range" in line] == ["jawOpen"]


@pytest.mark.parametrize(
    "command", [["info"], ["convert", "-o", "a.csv"], ["render", "-o", "a.png"]]
)
@pytest.mark.parametrize("name", ["empty.json", "empty.csv", "empty.npz"])
def test_a_take_without_frames_is_an_error(tmp_path, monkeypatch, capsys, command, name):
    monkeypatch.chdir(tmp_path)
    write_clip(Clip(Rig.load("arkit"), np.zeros((0, 52)), Fraction(60)), name)
    assert main([*command, name]) == 1
    assert f"{name} has no frames; record it or export it again" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


# ------------------------------------------------------------------ strangers' texts and signals


ESCAPES = "\x1b]52;c;QUJD\x07\x1b[2J\u202e\x9b"


def hostile_clip(path: Path) -> Path:
    rig = Rig("odd" + ESCAPES, "1", (facesdk.Control("a" + ESCAPES), facesdk.Control("b\nc")))
    event = Event(0, "name" + ESCAPES, {"text": ESCAPES})
    clip = Clip(rig, np.eye(2), 30, events=(event,), meta={"k" + ESCAPES: "v" + ESCAPES})
    write_clip(clip, path)
    return path


def printed(capsys) -> str:
    out, err = capsys.readouterr()
    return out + err


@pytest.mark.parametrize("words", [["info", "{}"], ["info", "--json", "{}"],
                                   ["convert", "{}", "-o", "x.livelink.csv", "--to", "arkit"],
                                   ["info", "{}", "--clip", "x" + ESCAPES],
                                   ["render", "{}", "-o", "x.png"]])  # fmt: skip
def test_texts_in_files_never_command_the_terminal(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = hostile_clip(tmp_path / "c.json")
    main([word.format(path) for word in words])
    text = printed(capsys)
    assert "\\x1b" in text or "\\u001b" in text
    assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(text)


@pytest.mark.skipif(sys.platform == "win32", reason="such names do not exist on Windows")
def test_names_of_files_never_command_the_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = "\x1b[2J\nfacesdk: error: forged\u202e.json"
    Path(name).write_text("{}")
    assert main(["info", name]) == 1
    assert main(["convert", name, name.replace("forged", "other"), "-o", "out/"]) == 1
    with pytest.raises(SystemExit):
        main(["info", "c.json", name])
    text = printed(capsys)
    assert not {"\x1b", "\u202e"} & set(text)
    assert not [line for line in text.splitlines() if line.startswith("facesdk: error: forged")]


def test_an_error_that_nobody_expected_ends_one_item_and_no_traceback_is_printed(
    monkeypatch, path, tmp_path, capsys
):
    def broken(*_):
        raise ZeroDivisionError("odd\x1b")

    monkeypatch.setattr("facesdk.cli.info.describe", broken)
    assert main(["info", str(path)]) == 1
    error = capsys.readouterr().err
    assert "unexpected ZeroDivisionError: odd\\x1b" in error
    assert "Traceback" not in error
    assert main(["info", str(path), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err
    convert = import_module("facesdk.cli.convert")
    monkeypatch.setattr(convert, "_conversion", broken)
    assert main(["convert", str(path), str(path), "-o", str(tmp_path / "new.json/")]) != 0


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGTERM")
def test_sigterm_ends_a_command_as_ctrl_c_does():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "facesdk", "info", "-"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(b" " * 1_000_000)
        process.stdin.flush()
        process.send_signal(signal.SIGTERM)
        wake(process)
        assert process.wait(timeout=120) == 143
        assert b"Traceback" not in process.stderr.read()


def test_deep_documents_are_refused_in_words(tmp_path, capsys):
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    for words in (["rigs", path], ["info", path], ["convert", path, "-o", tmp_path / "x.csv"]):
        assert main([str(word) for word in words]) == 1
        error = capsys.readouterr().err
        assert "deep.json" in error
        assert "Traceback" not in error
    toml = tmp_path / "deep.toml"
    toml.write_text("a = " + "[" * 100_000)
    assert main(["datasets", "build", str(toml), "--work", str(tmp_path / "w")]) == 1
    assert "nested too deeply" in capsys.readouterr().err


# ----------------------------------------------------------------- usage, and what was written


@pytest.mark.parametrize("words", [*([n] for n in COMMANDS), ["flame", "calibrate"], ["flame"]])
def test_a_usage_error_is_two_lines(words, capsys):
    """An unknown option for every command: one line on what is wrong, one on the usage."""
    with pytest.raises(SystemExit) as stop:
        main([*words, "--no-such-option"])
    assert stop.value.code == 2
    error, usage = capsys.readouterr().err.splitlines()
    assert error.startswith("facesdk: error: ")
    assert usage.startswith(f"usage: facesdk {words[0]}")
    assert "--help" in usage


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["convret", "x.json"], "did you mean 'convert'?"),
        (["convert", "x.json", "-o", "y.csv", "--fpss", "3"], "did you mean '--fps'"),
        (["info", "x.json", "y.json"], "takes no further argument 'y.json'"),
        (["bake", "x.wav", "-o", "y.json", "--seed", "q"], "--seed"),
    ],
)
def test_a_usage_error_names_the_nearest_word(words, near, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert near in err
    assert err.count("\n") == 2


def test_options_that_do_not_go_together_are_two_lines(path, capsys):
    assert main(["convert", str(path), "-o", "-", "--json"]) == 2
    error, usage = capsys.readouterr().err.splitlines()
    assert "--json prints on stdout" in error
    assert usage.startswith("usage: facesdk convert")


def test_convert_says_what_it_wrote(path, tmp_path, capsys):
    out = tmp_path / "out.anim"
    assert main(["convert", str(path), "-o", str(out)]) == 0
    err = capsys.readouterr().err
    assert f"facesdk: {out}: 90 frames, 1.50 s, rig arkit, unity-anim" in err
    assert f"{out}.meta" in err
    assert main(["convert", str(path), "-o", str(out), "-q"]) == 0
    assert "frames" not in capsys.readouterr().err
    piped = facesdk_process("convert", str(path), "-o", "-")
    assert b"frames" not in piped.stderr


def test_convert_to_a_rig_with_a_table_of_its_own(path, tmp_path):
    for rig, first in (("livelink", "Timecode,BlendShapeCount"), ("metahuman", "time,")):
        out = tmp_path / f"{rig}.csv"
        assert main(["convert", str(path), "--to", rig, "-o", str(out)]) == 0
        assert out.read_text("utf-8").startswith(first)
    plain = tmp_path / "plain.csv"
    words = ["convert", str(path), "--to", "livelink", "-o", str(plain), "--format", "csv"]
    assert main(words) == 0
    assert plain.read_text("utf-8").startswith("time,")
    clip = tmp_path / "a2f.json"
    assert main(["convert", str(path), "--to", "a2f", "-o", str(clip)]) == 0
    assert json.loads(clip.read_text("utf-8"))["format"] == "facesdk.clip"


def test_the_hint_of_an_extra_serves_both_ways_of_installing():
    hint = str(missing_extra("this", "train"))
    assert 'pip install "facesdk-anim[train]"' in hint
    assert 'pip install ".[train]" in a checkout' in hint
    assert ("whl/cpu" in hint) == (sys.platform == "linux")
    assert "whl/cpu" not in str(missing_extra("this", "render"))
