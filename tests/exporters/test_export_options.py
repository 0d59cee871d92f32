"""What writers may be asked for: thinned keys within their bound, other starts, settings, names."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from probe import probe, tiny_head

import facesdk.exporters
from facesdk import Clip, Control, Pose, Rig
from facesdk.cli import main
from facesdk.errors import ExportError
from facesdk.exporters import (
    TIMES,
    Format,
    Setting,
    WriteOptions,
    read_clip,
    read_clips,
    single_clip_writer,
    write_clip,
    write_clips,
)
from facesdk.exporters.keys import LinearKeys, hermite_keys, slopes
from facesdk.exporters.options import OPTIONS, OptionFields
from facesdk.exporters.spool import spooled
from facesdk.exporters.timeline import moved, seconds_of
from facesdk.source import collect, frames

SLACK = 1e-9
VALUES = st.floats(-2, 2, width=32) | st.sampled_from([0.0, 0.5, 1.0])
TOLERANCES = st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.1])


@st.composite
def curves(draw):
    """(T, C): noise, steps, ramps, waves and stretches that stand still."""
    length, count = draw(st.integers(1, 200)), draw(st.integers(1, 4))
    time = np.arange(length)
    columns = []
    for _ in range(count):
        wave = draw(st.floats(0, 1)) * np.sin(time * draw(st.floats(0, 2)))
        ramp = time * draw(st.floats(-0.1, 0.1))
        step = draw(VALUES) * (time > draw(st.integers(0, 200)))
        noise = draw(arrays(np.float32, length, elements=VALUES)) * draw(st.sampled_from([0, 0, 1]))
        columns.append(wave + ramp + step + noise)
    return np.stack(columns, 1).astype(np.float32)


# ------------------------------------------------------------------------ keys


def linear_keys(curve, tolerance):
    """Frames of a (T,) curve that are keys of its linear interpolation."""
    chooser = LinearKeys(1, tolerance)
    column = np.asarray(curve, np.float32).reshape(-1, 1)
    return np.flatnonzero(np.concatenate([chooser.push(column), chooser.flush()]))


def hermite(frames, keys, values, tangents):
    """Values at frames of cubic Hermite curves through keys, by the textbook's basis."""
    k, v, m = (np.asarray(a, np.float64) for a in (keys, values, tangents))
    if len(k) == 1:
        return np.full(np.shape(frames), v[0])
    i = np.clip(np.searchsorted(k, frames, "right") - 1, 0, len(k) - 2)
    span = k[i + 1] - k[i]
    u = (np.asarray(frames) - k[i]) / span
    h00, h10 = (1 + 2 * u) * (1 - u) ** 2, u * (1 - u) ** 2
    h01, h11 = u**2 * (3 - 2 * u), u**2 * (u - 1)
    return h00 * v[i] + h10 * span * m[i] + h01 * v[i + 1] + h11 * span * m[i + 1]


@given(curves(), TOLERANCES)
def test_thinned_keys_are_within_the_tolerance_everywhere(values, tolerance):
    frames = np.arange(len(values))
    for column in values.T:
        keys = linear_keys(column, tolerance)
        again = np.interp(frames, keys, column[keys].astype(np.float64))
        assert np.abs(again - column).max() <= tolerance + SLACK
        assert keys[0] == 0
        assert keys[-1] == len(column) - 1


@given(curves(), TOLERANCES)
def test_thinned_hermite_keys_are_within_the_tolerance_everywhere(values, tolerance):
    frames = np.arange(len(values))
    for column in values.T:
        keys, tangents = hermite_keys(column, tolerance)
        again = hermite(frames, keys, column[keys], tangents)
        assert np.abs(again - column).max() <= tolerance + SLACK
        assert keys[0] == 0
        assert keys[-1] == len(column) - 1


@given(curves(), TOLERANCES, st.data())
def test_thinned_keys_do_not_depend_on_how_frames_arrive(values, tolerance, data):
    whole = LinearKeys(values.shape[1], tolerance)
    expected = np.concatenate([whole.push(values), whole.flush()])
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=4))
    parts = LinearKeys(values.shape[1], tolerance)
    found = [parts.push(values[a:b]) for a, b in pairwise([0, *sorted(cuts), len(values)])]
    np.testing.assert_array_equal(np.concatenate([*found, parts.flush()]), expected)
    assert len(expected) == len(values)


@given(curves(), TOLERANCES)
def test_shared_keys_serve_every_curve(values, tolerance):
    chooser = LinearKeys(values.shape[1], tolerance, shared=True)
    mask = np.concatenate([chooser.push(values), chooser.flush()])
    assert (mask == mask[:, :1]).all()
    keys, frames = np.flatnonzero(mask[:, 0]), np.arange(len(values))
    for column in values.T:
        again = np.interp(frames, keys, column[keys].astype(np.float64))
        assert np.abs(again - column).max() <= tolerance + SLACK


def test_what_stands_still_or_goes_straight_needs_two_keys():
    assert linear_keys(np.full(500, 0.3), 0.0).tolist() == [0, 499]
    assert linear_keys(np.arange(500) / 512, 1e-7).tolist() == [0, 499]
    assert linear_keys([0, 0, 1, 1, 1], 0.0).tolist() == [0, 1, 2, 4]
    assert linear_keys([1], 0.1).tolist() == [0]
    assert linear_keys([], 0.1).tolist() == []
    assert hermite_keys([], 0.1)[0].tolist() == []


def test_smooth_curves_need_few_keys():
    wave = np.sin(np.arange(600) / 10)
    assert len(linear_keys(wave, 0.01)) < 200
    assert len(hermite_keys(wave, 0.01)[0]) < 80


def test_hermite_curves_pass_through_their_keys_with_their_slopes():
    keys, values, tangents = [0, 4, 10], [0.0, 1.0, -1.0], [0.5, 0.0, -0.25]
    near = 1e-6
    np.testing.assert_allclose(hermite(keys, keys, values, tangents), values)
    rise = hermite(np.array(keys[:2]) + near, keys, values, tangents) - values[:2]
    np.testing.assert_allclose(rise / near, tangents[:2], atol=1e-5)
    assert slopes([0, 1, 4]).tolist() == [1, 2, 3]


# ----------------------------------------------------------------------- spool


@given(curves(), st.none() | TOLERANCES, st.booleans())
def test_a_spool_gives_channels_one_by_one(values, tolerance, with_pose):
    rig = Rig("toy", "1", tuple(Control(f"c{i}") for i in range(values.shape[1])))
    angles = np.random.default_rng(0).normal(size=(len(values), 4, 3)) if with_pose else None
    clip = Clip(rig, values, Fraction(60), pose=None if angles is None else Pose(angles))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facesdk.exporters.spool._RUN", 16)
        with spooled(clip, tolerance) as spool:
            assert spool.frames == len(values)
            assert spool.has_pose == with_pose
            rows = np.concatenate(list(spool.rows()))
            for i, curve in enumerate(spool.curves()):
                np.testing.assert_array_equal(spool.column(i), rows[:, i])
                keys = (
                    np.arange(len(rows))
                    if tolerance is None
                    else linear_keys(rows[:, i], tolerance)
                )
                np.testing.assert_array_equal(curve.frames, keys)
                np.testing.assert_array_equal(curve.values, rows[keys, i])
    np.testing.assert_array_equal(rows[:, : len(rig)], values)
    if angles is not None:
        np.testing.assert_array_equal(
            rows[:, len(rig) :], clip.pose.angles.reshape(len(values), -1)
        )


# ------------------------------------------------------------------------ time


@pytest.mark.parametrize(
    ("start", "fps", "seconds"),
    [
        ("01:00:00:00", "60", 3600),
        ("00:00:01:15", "30", Fraction(3, 2)),
        ("01:00:00:00", "30000/1001", Fraction(18018, 5)),
        ("00:10:00;00", "30000/1001", Fraction(17982 * 1001, 30000)),
        ("00:01:00;02", "30000/1001", Fraction(1800 * 1001, 30000)),
        ("00:00:59;29", "30000/1001", Fraction(1799 * 1001, 30000)),
        ("00:01:00;04", "60000/1001", Fraction(3600 * 1001, 60000)),
        ("12.5", "24", Fraction(25, 2)),
        (0.1, "24", Fraction(1, 10)),
        (Fraction(1, 3), "24", Fraction(1, 3)),
    ],
)
def test_timecodes_are_exact(start, fps, seconds):
    assert seconds_of(start, Fraction(fps)) == seconds


@given(st.integers(0, 30 * 3600), st.sampled_from([30, 60]))
def test_drop_frame_timecodes_count_every_frame_once(number, nominal):
    """The label after a label is the next frame: none is left out, none comes twice."""
    fps = Fraction(nominal * 1000, 1001)
    dropped = nominal // 15
    tens, rest = divmod(number, nominal * 600 - 9 * dropped)
    over = max(rest - dropped, 0) // (nominal * 60 - dropped)
    label = number + tens * 9 * dropped + over * dropped
    seconds, frame = divmod(label, nominal)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02};{frame:02}"
    assert seconds_of(text, fps) * fps == number


@pytest.mark.parametrize(
    ("start", "fps", "words"),
    [
        ("00:00:00:30", "30", "does not exist at 30"),
        ("00:60:00:00", "30", "does not exist"),
        ("00:01:00;00", "30000/1001", "leaves out"),
        ("00:00:01;00", "25", "write 00:00:01:00"),
        ("noon", "30", "seconds or a timecode"),
        ("1/0", "30", "seconds or a timecode"),
    ],
)
def test_a_bad_start_is_refused_in_words(start, fps, words):
    with pytest.raises(ExportError, match=words):
        seconds_of(start, Fraction(fps))


def test_a_moved_clip_takes_its_events_along():
    clip = probe(frames=5)
    later = collect(moved(clip, WriteOptions(start="00:00:02:00", offset=0.25)))
    start = round((2 * 30 / clip.fps + Fraction(1, 4)) * 16_000)
    assert later.start_sample == start
    shift = start - clip.start_sample
    assert [e.sample - shift for e in later.events] == [e.sample for e in clip.events]
    assert [
        f.sample - shift
        for f in frames(moved(clip, WriteOptions(start="00:00:02:00", offset=0.25)))
    ] == [f.sample for f in clip.frames()]
    assert moved(clip, WriteOptions()) is clip


# --------------------------------------------------------------------- options


def test_options_are_the_keywords_of_write_clip():
    assert set(OptionFields.__annotations__) == {*OPTIONS, "settings"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tolerance": -0.1}, "tolerance must be 0 or more"),
        ({"tolerance": float("nan")}, "tolerance must be 0 or more"),
        ({"offset": float("inf")}, "offset must be a number"),
        ({"name": "two\nlines"}, "one line"),
        ({"name": ""}, "one line"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ExportError, match=words):
        WriteOptions(**options)


GIVEN = {
    "tolerance": 0.0,
    "start": 1,
    "offset": 0.5,
    "head": tiny_head(),
    "audio": "a.wav",
    "name": "hello",
}


@pytest.mark.parametrize("name", facesdk.exporters.formats())
@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_is_supported_or_refused_by_name(name, option):
    format_ = facesdk.exporters.format_for(name)
    needed = {name: GIVEN[name] for name in format_.requires}
    options = WriteOptions(**needed | {option: GIVEN[option]})
    if option in format_.options:
        assert format_.checked(options).asked == {option, *needed}
        return
    with pytest.raises(ExportError, match=f"{name!r} does not support {option}"):
        format_.checked(options)


def test_settings_have_types_choices_and_defaults():
    version = Setting("version", 7400, "", (7400, 7500))
    assert version.value("7500") == version.value(7500.0) == 7500
    for bad in ("7.4", "x", 7300, "nan"):
        with pytest.raises(ExportError, match="version"):
            version.value(bad)
    assert [Setting("on", False).value(v) for v in ("yes", "0", True)] == [True, False, True]
    with pytest.raises(ExportError, match="yes or no"):
        Setting("on", False).value("maybe")
    assert Setting("scale", 1.0).value("2") == 2.0


# -------------------------------------------------------------- several clips, beside


def _write_names(clips, file, options):
    file.write(
        json.dumps(
            {n: [c.info.start_sample, options.settings["k"]] for n, c in clips.items()}
        ).encode()
    )
    return ("events",)


def _read_names(file, rig=None):
    file.seek(0)
    return [
        Clip(Rig.load("arkit"), np.zeros((start // 1000, 52)), 60, meta={"name": name})
        for name, (start, _) in json.loads(file.read()).items()
    ]


NAMES = Format(
    "names",
    ".names",
    single_clip_writer(_write_names),
    lambda file, rig: _read_names(file)[0],
    options=TIMES | {"name"},
    settings=(Setting("k", 3),),
    write_several=_write_names,
    read_several=_read_names,
    sidecars={".meta": lambda name, source, options: f"{name} {source.info.rig.name}".encode()},
)


@pytest.fixture
def names(monkeypatch):
    monkeypatch.setitem(facesdk.exporters.EXPORTERS, "names", NAMES)


def test_several_clips_go_into_one_file(names, tmp_path):
    path = tmp_path / "all.names"
    clip = probe(frames=3)
    lost = write_clips(
        [clip, clip, Clip(clip.rig, clip.values, 60)], path, start=2, settings={"k": 4}
    )
    assert lost == ("events",)
    assert json.loads(path.read_text("utf-8")) == {
        "probe": [32_000, 4], "probe 2": [32_000, 4], "Take 003": [32_000, 4],
    }  # fmt: skip
    assert [c.meta["name"] for c in read_clips(path)] == ["probe", "probe 2", "Take 003"]
    assert len(read_clip(path)) == 32
    write_clips({"b": clip, "a": clip}, path)
    assert list(json.loads(path.read_text("utf-8"))) == ["b", "a"]
    assert (tmp_path / "all.names.meta").read_text("utf-8") == "all.names arkit"


def test_what_cannot_hold_several_clips_says_so(names):
    with pytest.raises(ExportError, match=r"'csv' holds one clip per file; .* clips: .*names"):
        write_clips([probe()], io.BytesIO(), "csv")
    with pytest.raises(ExportError, match="at least one"):
        write_clips([], io.BytesIO(), "names")
    with pytest.raises(ExportError, match="the option name is for one clip"):
        write_clips([probe()], io.BytesIO(), "names", name="x")
    with pytest.raises(ExportError, match="has no setting 'j'; its settings: k"):
        write_clip(probe(), io.BytesIO(), "names", settings={"j": 1})


@pytest.mark.parametrize("ending", ["fbx", "glb", "usda", "anim"])
def test_a_clip_without_a_name_is_called_after_its_file(ending, tmp_path):
    """By the command line it always was: engines find a clip by the name in the file."""
    unnamed = Clip(Rig("one", "1", (Control("jawOpen"),)), np.zeros((3, 1)), 30)
    path, more = tmp_path / f"Line 7.{ending}", {"settings": {"mesh": False}}
    more = {} if ending == "anim" else more

    def name(clip: Clip, **options) -> str:
        write_clip(clip, path, **(more | options))
        return read_clip(path).meta["name"]

    assert name(unnamed) == "Line 7"
    assert name(unnamed, name="take") == "take"
    assert name(Clip(unnamed.rig, unnamed.values, 30, meta={"name": "own"})) == "own"


@pytest.mark.parametrize("stem", [" ", "a\x01b", "\udcff"])
def test_files_whose_name_is_no_text_hold_a_clip_all_the_same(stem, tmp_path):
    unnamed = Clip(Rig("one", "1", (Control("jawOpen"),)), np.zeros((3, 1)), 30)
    path = tmp_path / f"{stem}.glb"
    write_clip(unnamed, path, settings={"mesh": False})
    assert read_clip(path).meta["name"] == "Take 001"


@pytest.mark.parametrize("ending", ["fbx", "glb", "gltf", "usda"])
def test_convert_takes_joints_of_a_head_without_its_mesh(ending, folder, capsys):
    write_clip(probe(), "head.glb", head=tiny_head())
    words = ["--head", "head.glb", "--set", "mesh=no"]
    assert main(["convert", "two.json", "-o", f"x.{ending}", *words]) == 0
    data = (folder / f"x.{ending}").read_bytes()
    assert main(["convert", "two.json", "-o", f"y.{ending}", "--set", "mesh=no"]) == 0
    assert 0 < len(data) < 300_000
    assert data != (folder / f"y.{ending}").read_bytes()


def test_a_file_that_fails_leaves_nothing_beside_it(names, tmp_path, monkeypatch):
    def fail(name, source, options):
        raise ExportError("no")

    monkeypatch.setitem(NAMES.sidecars, ".meta", fail)
    with pytest.raises(ExportError, match="no"):
        write_clip(probe(), tmp_path / "a.names")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- command line


@pytest.fixture
def folder(names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_clip(probe(frames=4), "one.json")
    write_clip(Clip(Rig.load("arkit"), np.zeros((4, 52)), 60), "two.json")
    return tmp_path


def test_convert_passes_options_on(folder, capsys):
    words = ["convert", "two.json", "-o", "x.names", "--start", "00:00:01:30", "--offset", "0.5"]
    assert main([*words, "--set", "k=7", "--json"]) == 0
    assert json.loads((folder / "x.names").read_text("utf-8")) == {"two": [32_000, 7]}
    report = json.loads(capsys.readouterr().out)["files"][0]
    assert report["clip"] == "two"
    assert report["sidecars"] == ["x.names.meta"]
    assert report["dropped"] == ["events"]
    assert main(["convert", "two.json", "-o", "x.names", "--name", "hello"]) == 0
    assert json.loads((folder / "x.names").read_text("utf-8")) == {"hello": [0, 3]}


def test_convert_joins_several_inputs_into_a_file_that_can(folder, capsys):
    assert main(["convert", "one.json", "two.json", "-o", "x.names", "--json"]) == 0
    assert list(json.loads((folder / "x.names").read_text("utf-8"))) == ["probe", "two"]
    reports = json.loads(capsys.readouterr().out)["files"]
    assert [r["input"] for r in reports] == ["one.json", "two.json"]
    assert main(["convert", "one.json", "two.json", "-o", "out/", "--format", "names"]) == 0
    assert sorted(p.name for p in (folder / "out").iterdir()) == [
        "one.names", "one.names.meta", "two.names", "two.names.meta",
    ]  # fmt: skip


def test_convert_does_not_lose_clips_of_an_input(folder, capsys):
    write_clips({"a": probe(), "b": probe()}, "x.names", start=3)
    assert main(["convert", "x.names", "-o", "x.json"]) == 1
    assert "contains several clips (a, b)" in capsys.readouterr().err
    assert main(["convert", "x.names", "-o", "x.json", "--clip", "b"]) == 0
    assert read_clip("x.json").meta["name"] == "b"
    assert main(["convert", "x.names", "-o", "y.names"]) == 0
    assert list(json.loads((folder / "y.names").read_text("utf-8"))) == ["a", "b"]
    assert main(["convert", "x.names", "-o", "x.json", "--clip", "c"]) == 1
    assert "no clip 'c'" in capsys.readouterr().err


def test_info_lists_the_clips_of_a_file(folder, capsys):
    write_clips({"a": probe(), "b": probe()}, "x.names", start=3)
    assert main(["info", "x.names", "--clip", "b"]) == 0
    assert "clips     a, b" in capsys.readouterr().out
    assert main(["info", "x.names", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["clips"], facts["meta"]) == (["a", "b"], {"name": "a"})
    assert main(["info", "x.names", "--clip", "c"]) == 1


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["-o", "x.csv", "--tolerance", "0.1"], "'csv' does not support tolerance"),
        (["-o", "x.csv", "--name", "x"], "does not support --name"),
        (["-o", "x.csv", "--head", "x.obj"], "has no mesh"),
        (["-o", "x.csv", "--audio", "x.wav"], "does not support --audio"),
        (["-o", "x.csv", "--set", "k=1"], "has no setting 'k'"),
        (["-o", "x.names", "--set", "k"], "NAME=VALUE"),
        (["-o", "x.names", "--set", "k=x"], "whole number"),
    ],
)
def test_convert_refuses_options_that_a_format_does_not_support(words, error, folder, capsys):
    assert main(["convert", "two.json", *words]) == 2
    assert error in capsys.readouterr().err
    assert {p.name for p in folder.iterdir()} == {"one.json", "two.json"}


def test_convert_refuses_numbers_out_of_range_before_anything_else(folder, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["convert", "two.json", "-o", "x.names", "--tolerance", "-1"])
    assert "0 or more" in capsys.readouterr().err
    assert {p.name for p in folder.iterdir()} == {"one.json", "two.json"}


def test_bake_passes_options_on(folder, capsys):
    (folder / "hello.lab").write_text("0 0.3 hh\n0.3 0.6 ah0\n0.6 1 l\n1 1.4 ow1\n", "utf-8")
    words = ["bake", "--phones", "hello.lab", "--fps", "30"]
    assert main([*words, "-o", "hello.json", "--start", "00:00:02:15", "--offset", "1"]) == 0
    assert read_clip("hello.json").start_sample == 56_000
    assert main([*words, "-o", "hello.names", "--set", "k=5", "--json"]) == 0
    assert json.loads((folder / "hello.names").read_text("utf-8")) == {"hello": [0, 5]}
    assert main([*words, "-o", "hello.csv", "--tolerance", "0.1"]) == 2
    assert "'csv' does not support tolerance" in capsys.readouterr().err
    assert main([*words, "-o", "hello.csv", "--link-audio"]) == 2
    assert "does not support --link-audio" in capsys.readouterr().err
