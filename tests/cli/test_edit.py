"""`facesdk edit` and `facesdk diff`."""

from __future__ import annotations

import json
from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest

from facesdk import Clip, Edit, Pose, Rig, convert
from facesdk.cli import main
from facesdk.exporters import EXPORTERS, read_clip, write_clip, write_clips

ARKIT = Rig.load("arkit")


def make(frames=120, *, shift=0.0) -> Clip:
    phase = np.arange(frames)[:, None] / 9 + np.arange(len(ARKIT)) + shift
    pose = Pose(np.full((frames, 4, 3), 0.05))
    return Clip(ARKIT, 0.4 + 0.4 * np.sin(phase), Fraction(60), pose=pose)


@pytest.fixture
def path(tmp_path):
    write_clip(make(), tmp_path / "line.json")
    return tmp_path / "line.json"


def edit(*words, code=0):
    assert main(["edit", *map(str, words)]) == code


def test_every_field_of_an_edit_is_an_option(capsys):
    with pytest.raises(SystemExit):
        main(["edit", "--help"])
    text = capsys.readouterr().out
    for field in fields(Edit):
        assert field.metadata.get("option", f"--{field.name}") in text


def test_edit_is_the_edit_of_the_library(path, tmp_path):
    out = tmp_path / "out.json"
    edit(path, "-o", out, "--controls", "jaw*,side:left", "--scale", 0.5, "--gain", "mouth*=1.5",
         "--offset", 0.1, "--smooth", 0.05, "--clamp", "--begin", 0.5, "--end", 1.5)  # fmt: skip
    expected = Edit(
        controls=("jaw*", "side:left"), scale=0.5, gains={"mouth*": 1.5}, offset=0.1, smooth=0.05,
        clamp=True, begin=0.5, end=1.5,
    )(make())  # fmt: skip
    assert read_clip(out) == expected


def test_edit_reports_what_changed(path, tmp_path, capsys):
    out = tmp_path / "out.json"
    edit(path, "-o", out, "--controls", "jawOpen", "--scale", 2, "--json")
    captured = capsys.readouterr()
    (report,) = json.loads(captured.out)["files"]
    assert report["edit"] == {"controls": ["jawOpen"], "scale": 2.0}
    (name,) = report["changed"]
    change = report["changed"][name]
    assert name == "jawOpen"
    assert change["after"] == pytest.approx(2 * change["before"], abs=1e-6)
    assert change["out_of_range"]
    assert "1 of 64 channels change; most: jawOpen" in captured.err
    assert "outside their range: jawOpen" in captured.err
    assert f"{out}: 120 frames, 2.00 s" in captured.err


def test_edit_blends_another_rig_and_rate(path, tmp_path, capsys):
    other = make(shift=1.0)
    write_clip(convert(other, "livelink").resample(30), tmp_path / "take.csv", "livelink-csv")
    out = tmp_path / "out.json"
    edit(path, "-o", out, "--blend", tmp_path / "take.csv", "--weight", 1)
    err = capsys.readouterr().err
    assert "converted from rig livelink to arkit" in err
    assert "resampled from 30 to 60 fps" in err
    jaw = read_clip(out).curve("jawOpen") - other.curve("jawOpen")
    assert np.abs(jaw[5:-5]).max() < 0.05


@pytest.mark.parametrize(
    "name", [n for n, f in EXPORTERS.items() if f.read and n in
             ("csv", "livelink-csv", "a2f-json", "npz", "glb", "unity-anim", "json")]
)  # fmt: skip
def test_edit_any_format(name, tmp_path):
    source, out = (tmp_path / f"{n}{EXPORTERS[name].extension}" for n in "ab")
    rigs = EXPORTERS[name].rigs
    write_clip(make() if rigs is None else convert(make(), rigs[0]), source, name)
    edit(source, "-o", out, "--format", name, "--scale", 0.5)
    before, after = read_clip(source, name), read_clip(out, name)
    column = next(i for i, n in enumerate(before.rig.names) if n.lower() == "jawopen")
    rest = before.rig.rest[column]
    np.testing.assert_allclose(
        after.values[:, column] - rest, 0.5 * (before.values[:, column] - rest), atol=1e-3
    )


def test_edit_several_files_and_clips(path, tmp_path):
    write_clips({"one": make(), "two": make(60)}, tmp_path / "takes.glb")
    edit(path, tmp_path / "takes.glb", "-o", tmp_path / "out/", "--format", "glb", "--scale", 0)
    assert not read_clip(tmp_path / "out" / "line.glb").curve("jawOpen").any()
    with pytest.raises(AssertionError):
        edit(tmp_path / "takes.glb", "-o", tmp_path / "x.json", "--scale", 0)
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "nothing to change"),
        (["--scale", "nan"], "scale must be a finite number"),
        (["--scale", "2", "--begin", "1", "--end", "0.5"], "end must lie after begin"),
        (["--scale", "2", "--weight", "2"], "weight must be in 0..1"),
    ],
)
def test_edit_refuses_what_makes_no_sense(words, expected, path, tmp_path, capsys):
    edit(path, "-o", tmp_path / "out.json", *words, code=2)
    err = capsys.readouterr().err
    assert expected in err
    assert err.count("\n") == 2
    assert not (tmp_path / "out.json").exists()


def test_edit_refuses_a_gain_that_is_not_one(path, capsys):
    with pytest.raises(SystemExit):
        main(["edit", str(path), "-o", "x.json", "--gain", "jawOpen"])
    assert "NAME=FACTOR" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["jawOpne", "jwa*n", "region:jww"])
def test_edit_suggests_names(word, path, tmp_path, capsys):
    edit(path, "-o", tmp_path / "out.json", "--controls", word, "--scale", 2, code=1)
    assert "did you mean" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


# ------------------------------------------------------------------------- diff


@pytest.fixture
def other(path, tmp_path):
    values = make().values.copy()
    values[30, ARKIT.index("jawOpen")] += 0.2
    values[:, ARKIT.index("browInnerUp")] += 0.01
    write_clip(Clip(ARKIT, values, 60, pose=make().pose), tmp_path / "other.json")
    return tmp_path / "other.json"


def test_diff_in_words(path, other, capsys):
    assert main(["diff", str(path), str(other)]) == 0
    text = capsys.readouterr().out.splitlines()
    assert text[1].split()[:3] == ["jawOpen", "0.2000", "0.500"]
    assert text[2].split()[0] == "browInnerUp"
    assert text[3].startswith("2 of 64 channels differ in 120 frames; largest 0.2000")
    assert main(["diff", str(path), str(path)]) == 0
    assert "no difference in 120 frames of 64 channels" in capsys.readouterr().out
    assert main(["diff", str(path), str(other), "--all"]) == 0
    assert "pose.head.yaw" in capsys.readouterr().out


def test_diff_in_json(path, other, capsys):
    assert main(["diff", str(path), str(other), "--json", "--tolerance", "0.1"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert (facts["over"], facts["changed"]) == (["jawOpen"], ["jawOpen", "browInnerUp"])
    assert facts["channels"]["jawOpen"]["seconds"] == 0.5
    assert facts["channels"]["browInnerUp"]["rms"] == pytest.approx(0.01, abs=1e-6)
    assert facts["channels"]["pose.head.yaw"]["largest"] == 0


def test_diff_judges_by_a_tolerance(path, other, tmp_path, capsys):
    assert main(["diff", str(path), str(other), "--tolerance", "0.3"]) == 0
    assert "within the tolerance" in capsys.readouterr().out
    assert main(["diff", str(path), str(other), "--tolerance", "0.05"]) == 1
    assert "over the tolerance of 0.05: jawOpen" in capsys.readouterr().out
    write_clip(make(100), tmp_path / "short.json")
    assert main(["diff", str(path), str(tmp_path / "short.json"), "--tolerance", "1"]) == 1
    text = capsys.readouterr().out
    assert "note: the first lasts 2.000 s, the second 1.667 s" in text
    assert "length" in text.splitlines()[-1]


def test_diff_of_clips_by_name(tmp_path, capsys):
    for name, shift in (("a", 0.0), ("b", 0.5)):
        clips = {"one": make(), "two": make(shift=shift)}
        write_clips(clips, tmp_path / f"{name}.glb")
    files = [str(tmp_path / "a.glb"), str(tmp_path / "b.glb")]
    assert main(["diff", *files, "--tolerance", "0.001"]) == 0
    assert main(["diff", *files, "--clip", "two", "--tolerance", "0.001"]) == 1
    capsys.readouterr()
    assert main(["diff", *files, "--clip", "tow"]) == 1
    assert "did you mean 'two'" in capsys.readouterr().err


def test_diff_needs_two_files(path, capsys):
    assert main(["diff", "-", "-"]) == 2
    assert main(["diff", str(path), str(path.with_name("none.json"))]) == 1
    assert "none.json: No such file" in capsys.readouterr().err
