"""Weights as JSON, text without names, arrays: what is read from elsewhere, what is refused."""

from __future__ import annotations

import io
import json
import zipfile
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from probe import probe

from facesdk import Clip, Rig
from facesdk.cli import main
from facesdk.errors import ExportError, FileFormatError
from facesdk.exporters import open_clip, read_clip, write_clip
from facesdk.exporters.csv.control_board import labels
from facesdk.source import frames

GUI = Rig.load("metahuman-gui")


def written(clip, format_: str, **options) -> bytes:
    file = io.BytesIO()
    write_clip(clip, file, format_, **options)
    return file.getvalue()


# ----------------------------------------------------------------- Audio2Face JSON


def document(**changes) -> dict:
    return {
        "exportFps": 30.0,
        "trackPath": "line.wav",
        "numPoses": 2,
        "numFrames": 2,
        "facsNames": ["jawOpen", "eyeBlinkLeft"],
        "weightMat": [[0.5, 0.25], [1, 0]],
    } | changes


def read_a2f(value) -> Clip:
    return read_clip(io.BytesIO(json.dumps(value).encode()))


def test_weights_are_read_by_name_in_any_case():
    clip = read_a2f(document(joints=["jaw"]))
    assert (clip.rig.name, clip.fps, clip.meta["audio"]) == ("a2f", 30, "line.wav")
    assert clip.curve("JawOpen").tolist() == [0.5, 1]
    assert clip.curve("EyeBlinkLeft").tolist() == [0.25, 0]
    assert clip.meta["imported"]["ignored_keys"] == ["joints"]
    assert len(clip.meta["imported"]["missing_controls"]) == 66


def test_weights_of_any_names_make_a_rig():
    clip = read_a2f(document(facsNames=["browLowerL", "jawDrop"]))
    assert clip.rig.names == ("browLowerL", "jawDrop")


@given(st.sampled_from(["60", "30", "25", "30000/1001", "24000/1001", "90", "25/2"]))
def test_rates_survive_as_decimals(rate):
    fps = Fraction(rate)
    clip = Clip(Rig.load("arkit"), np.eye(52), fps)
    assert read_clip(io.BytesIO(written(clip, "a2f-json"))).fps == fps


BAD_WEIGHTS = {
    "no rows": {k: v for k, v in document().items() if k != "weightMat"},
    "rows null": document(weightMat=None),
    "row short": document(weightMat=[[1, 2], [3]]),
    "row of text": document(weightMat=[["a", "b"]]),
    "no names": {k: v for k, v in document().items() if k != "facsNames"},
    "names twice": document(facsNames=["a", "a"]),
    "names of numbers": document(facsNames=[1, 2]),
    "names none": document(facsNames=[]),
    "fps text": document(exportFps="30"),
    "fps zero": document(exportFps=0),
    "fps true": document(exportFps=True),
}


@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_bad_weights_are_refused_in_words(name):
    data = json.dumps(BAD_WEIGHTS[name]).encode()
    with pytest.raises(FileFormatError) as caught:
        read_clip(io.BytesIO(data), "a2f-json")
    assert len(str(caught.value)) < 300


def test_the_recording_is_named():
    data = json.loads(written(probe("a2f", frames=2), "a2f-json", audio="vo/line.wav"))
    assert data["trackPath"] == "vo/line.wav"


# ------------------------------------------------------------------- control board


@pytest.mark.parametrize("header", [False, True])
def test_a_board_reads_back(header):
    clip = Clip(GUI, probe("metahuman-gui", frames=20).values, 60)
    data = written(clip, "control-board", settings={"header": header})
    again = read_clip(io.BytesIO(data))
    assert (again.rig, again.fps) == (GUI, 60)
    np.testing.assert_allclose(again.values, clip.values, atol=1e-6)
    assert written(again, "control-board", settings={"header": header}) == data


def test_of_two_titles_that_are_alike_the_first_is_the_roll():
    titles = labels(GUI)
    places = [i for i, t in enumerate(titles) if t.startswith("CTRL_C_tongue_tip-")]
    assert places == [25, 26, 27, 28]
    assert [titles[25], titles[26]] == [titles[27], titles[28]]
    text = ",".join(titles) + "\n" + ",".join(str(i / 256) for i in range(174))
    clip = read_clip(io.BytesIO(text.encode()))
    assert clip.curve("CTRL_C_tongue_roll-translateX")[0] == 25 / 256
    assert clip.curve("CTRL_C_tongue_tip-translateX")[0] == 27 / 256
    assert clip.curve("CTRL_C_tongue_tip-translateY")[0] == 28 / 256


def test_a_board_may_have_its_columns_in_another_order():
    text = "CTRL_C_jaw-translateY CTRL_C_tongue_tip-translateX\n0.5 -0.25\n\n1 0\n"
    clip = read_clip(io.BytesIO(text.encode()), "control-board")
    assert clip.curve("CTRL_C_jaw-translateY").tolist() == [0.5, 1]
    assert clip.curve("CTRL_C_tongue_tip-translateX").tolist() == [-0.25, 0]
    assert len(clip.meta["imported"]["missing_controls"]) == 172


ROW = ",".join(["0"] * 174)
BAD_BOARDS = {
    "empty": ("", "is empty"),
    "blank": ("\n \n", "is empty"),
    "short": ("0,1,2\n", "expected 174 numbers per line, got 3"),
    "short later": (f"{ROW}\n0,1\n", "line 2: expected 174 values, got 2"),
    "text later": (f"{ROW}\n{ROW[:-1]}x\n", "line 2"),
    "not finite": (f"{ROW}\n{ROW[:-1]}nan\n", "line 2: not finite"),
    "unknown title": ("CTRL_C_jaw-translateZ\n0\n", "has no 'CTRL_C_jaw-translateZ'"),
    "title thrice": ("CTRL_C_jaw-translateY," * 2 + "\n0,0\n", "occurs too often"),
    "long line": ("0," * 100_000, "longer than"),
}


@pytest.mark.parametrize("name", BAD_BOARDS)
def test_a_bad_board_is_refused_in_words(name):
    text, words = BAD_BOARDS[name]
    with pytest.raises(FileFormatError, match=words):
        read_clip(io.BytesIO(text.encode()), "control-board")


def test_a_board_needs_its_own_rig():
    with pytest.raises(ExportError, match="convert it first: facesdk convert --to metahuman-gui"):
        written(probe(), "control-board")


# -------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("rig", ["arkit", "metahuman", "flame"])
def test_arrays_hold_everything(rig):
    clip = probe(rig)
    again = read_clip(io.BytesIO(written(clip, "npz")))
    assert again == clip
    assert dict(again.meta) == dict(clip.meta)


def test_arrays_are_the_same_for_a_pipe():
    class Pipe(io.RawIOBase):
        data = b""

        def write(self, data):
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    write_clip(probe(), pipe, "npz")
    assert pipe.data == written(probe(), "npz")


def arrays(**changes) -> bytes:
    file = io.BytesIO()
    fields = {"values": np.zeros((3, 2)), "controls": np.array(["a", "b"]), "fps": np.array([25])}
    np.savez_compressed(file, **{n: a for n, a in (fields | changes).items() if a is not None})
    return file.getvalue()


def test_arrays_of_ones_own_can_be_read():
    clip = read_clip(io.BytesIO(arrays()))
    assert (clip.rig.names, clip.fps, len(clip)) == (("a", "b"), 25, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\3\4nonsense",
        arrays(values=None),
        arrays(values=np.zeros(3)),
        arrays(values=np.zeros((3, 3))),
        arrays(values=np.array([[1, 2], [3, np.nan]])),
        arrays(values=np.array([["a", "b"]])),
        arrays(controls=np.array(["a", "a"])),
        arrays(fps=np.array([0, 1])),
        arrays(fps=np.array(["fast"])),
        arrays(pose=np.zeros((2, 4, 3))),
        arrays(info=np.array("[]")),
        arrays(info=np.array("{")),
        arrays(info=np.array('{"events": [1]}')),
        arrays(values=np.array([object()])),
    ],
)
def test_bad_arrays_are_refused_in_words(data):
    with pytest.raises(FileFormatError):
        read_clip(io.BytesIO(data), "npz")


def test_an_array_that_is_smaller_than_it_says_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        head = io.BytesIO()
        huge = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 52)}
        np.lib.format.write_array_header_1_0(head, huge)
        archive.writestr("values.npy", head.getvalue())
    with pytest.raises(FileFormatError, match="does not hold"):
        read_clip(io.BytesIO(file.getvalue()), "npz")


@given(st.data())
@settings(max_examples=100)
def test_damaged_arrays_are_read_or_refused(data):
    whole = bytearray(written(Clip(Rig.load("oculus"), np.eye(15), 30), "npz"))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        read_clip(io.BytesIO(bytes(whole)), "npz")
    except FileFormatError as error:
        assert str(error)  # noqa: PT017


# ------------------------------------------------------------- Live Link takes as they are


def live_link(header: str, *rows: str) -> Clip:
    return read_clip(io.BytesIO("\n".join([header, *rows, ""]).encode()))


def test_a_take_of_51_columns_has_no_tongue():
    names = [n for n in Rig.load("livelink").names[:52] if n != "TongueOut"]
    assert len(names) == 51
    cells = ",".join(f"{i / 100}" for i in range(51))
    rows = [f"18:30:07:{i * 2:02}.000,51,{cells}" for i in range(20)]
    clip = live_link("Timecode,BlendshapeCount," + ",".join(names), *rows)
    assert (clip.rig.name, clip.fps, len(clip)) == ("livelink", 30, 20)
    missing = clip.meta["imported"]["missing_controls"]
    assert missing[0] == "TongueOut"
    assert len(missing) == 10
    assert clip.curve("JawOpen")[3] == pytest.approx(names.index("JawOpen") / 100)


def test_a_take_may_count_milliseconds():
    rows = [f"18:30:{7 + i // 60:02}:{i % 60 * 1000 // 60:03},61," + "0," * 60 + "0.5"
            for i in range(150)]  # fmt: skip
    clip = live_link("Timecode,BlendShapeCount," + ",".join(Rig.load("livelink").names), *rows)
    assert (clip.fps, len(clip)) == (60, 150)
    assert clip.curve("RightEyeRoll")[0] == 0.5


# ---------------------------------------------------------------- between any two


@pytest.mark.parametrize("source", ["csv", "livelink-csv", "a2f-csv", "a2f-json", "npz", "json"])
@pytest.mark.parametrize("target", ["control-board", "npz", "a2f-json", "livelink-csv"])
def test_convert_leads_from_any_format_to_any_other(source, target, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rig = {"livelink-csv": "livelink", "a2f-csv": "a2f", "a2f-json": "a2f"}.get(source, "arkit")
    write_clip(Clip(Rig.load(rig), np.eye(len(Rig.load(rig))), 60), "in", source)
    assert main(["convert", "in", "-o", "out", "--format", target]) == 0
    with open_clip("out", target) as opened:
        assert sum(1 for _ in frames(opened)) == len(Rig.load(rig))
        assert opened.info.fps == 60
