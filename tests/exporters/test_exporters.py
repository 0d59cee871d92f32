"""Clip files: what is written reads back, the same bytes each time, and bad files say why."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
import warnings
from fractions import Fraction
from importlib import resources

import jsonschema
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import facesdk.exporters
from facesdk import Clip, Control, Event, Frame, Pose, Rig
from facesdk.errors import ClipError, FileFormatError, UnknownNameError
from facesdk.exporters import (
    EXPORTERS,
    Format,
    format_for,
    formats,
    open_clip,
    read_clip,
    write_clip,
)
from facesdk.exporters.csv.livelink import timecode
from facesdk.exporters.numbers import shortest
from facesdk.rig import rig_names
from facesdk.source import ClipInfo, blocks_of, collect, frames

RIG = Rig("toy", "3", tuple(Control(n) for n in ("jawOpen", "smile", "größe, weit")))
TABLES = ("json", "csv", "livelink-csv", "a2f-csv", "a2f-json", "npz")
"""Formats that hold any rig at any rate, frame by frame; all others are in test_export_matrix."""

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=3)


@st.composite
def clips(draw):
    length = draw(st.integers(0, 12))
    angles = draw(st.none() | arrays(np.float32, (length, 4, 3), elements=FLOATS))
    events = st.builds(Event, st.integers(-(2**40), 2**40), st.text(), OBJECTS)
    return Clip(
        RIG,
        draw(arrays(np.float32, (length, len(RIG)), elements=FLOATS)),
        draw(st.fractions(Fraction(1, 100), 1000, max_denominator=10**6)),
        pose=None if angles is None else Pose(angles),
        start_sample=draw(st.integers(-(2**40), 2**40)),
        sample_rate=draw(st.integers(1, 200_000)),
        events=tuple(draw(st.lists(events, max_size=3))),
        meta=draw(OBJECTS),
        extra={f"x-{k}": v for k, v in draw(OBJECTS).items()},
    )


def speech(rig: Rig, frames: int = 600, fps: Fraction | int = 60, **fields) -> Clip:
    phase = np.linspace(0, 20, frames)[:, None] + np.arange(len(rig))
    return Clip(rig, 0.5 + 0.5 * np.sin(phase), Fraction(fps), **fields)


class Generated:
    """A source whose frames exist one at a time."""

    def __init__(self, rig: Rig, frames: int, pose: bool = True) -> None:
        self.rig = rig
        self.info = ClipInfo(rig, Fraction(60))
        self._count = frames
        self._pose = pose

    def blocks(self):
        return blocks_of(self.frames(), self.rig)

    def frames(self):
        row = np.linspace(0, 1, len(self.rig), dtype=np.float32)
        angles = np.full((4, 3), 0.1, np.float32)
        for i in range(self._count):
            yield Frame(i, i * 16_000 // 60, row * (i % 97) / 97, angles if self._pose else None)


def written(clip, format_: str) -> bytes:
    file = io.BytesIO()
    write_clip(clip, file, format_)
    return file.getvalue()


def table(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


# ------------------------------------------------------------------------ json


@given(clips())
@settings(max_examples=50)
def test_a_json_clip_reads_back_bit_for_bit(clip):
    assume(len(clip))
    again = read_clip(io.BytesIO(written(clip, "json")))
    assert again == clip
    assert again.values.tobytes() == clip.values.tobytes()
    if clip.pose is not None:
        assert again.pose.angles.tobytes() == clip.pose.angles.tobytes()
    assert dict(again.meta) == dict(clip.meta)
    assert list(again.extra.items()) == list(clip.extra.items())
    assert written(again, "json") == written(clip, "json")


@given(arrays(np.float32, st.integers(0, 50), elements=FLOATS))
def test_numbers_are_the_shortest_that_read_back(values):
    numbers = shortest(values)
    assert numbers.astype(np.float32).tobytes() == values.tobytes()
    for number, value in zip(numbers, values, strict=True):
        assert len(repr(float(number))) <= len(repr(float(str(value))))


@given(clips())
@settings(max_examples=15)
def test_a_json_clip_fits_its_schema(clip):
    schemas = resources.files(facesdk.exporters) / "schemas"
    schema = json.loads((schemas / "clip.v1.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(written(clip, "json")))


def test_a_json_clip_is_plain_json_one_row_a_line():
    clip = Clip(RIG, [[0, 0.1, 1], [0.5, -2, 3e-9]], Fraction(30000, 1001))
    data = written(clip, "json")
    assert b"\n[0.0,0.1,1.0],\n[0.5,-2.0,3e-09]\n]" in data
    document = json.loads(data)
    assert document["fps"] == [30000, 1001]
    assert document["pose"] is None
    assert document["controls"] == list(RIG.names)


def document(**changes) -> dict:
    return {
        "format": "facesdk.clip",
        "version": 1,
        "rig": {"name": "toy", "version": "3"},
        "fps": [60, 1],
        "controls": ["a", "b"],
        "values": [[0, 1], [0.5, 0.25]],
    } | changes


def read_document(value) -> Clip:
    return read_clip(io.BytesIO(json.dumps(value).encode()), "json")


def test_what_a_json_clip_may_leave_out_has_its_usual_value():
    clip = read_document(document())
    assert (clip.sample_rate, clip.start_sample, clip.pose, clip.events) == (16_000, 0, None, ())
    np.testing.assert_array_equal(clip.values, [[0, 1], [0.5, 0.25]])


def test_the_order_of_keys_does_not_matter():
    pose = [[0.5] * 12, [0.25] * 12]
    keys = document(pose=pose, sample_rate=48_000)
    backwards = dict(reversed(keys.items()))
    assert read_document(backwards) == read_document(keys)


def test_white_space_and_a_byte_order_mark_do_not_matter():
    text = json.dumps(document(pose=[[0] * 12] * 2), indent=4)
    clip = read_clip(io.BytesIO(b"\xef\xbb\xbf" + text.encode()))
    assert len(clip) == len(clip.pose) == 2


def test_controls_of_a_known_rig_are_put_in_its_order():
    arkit = Rig.load("arkit")
    names = list(reversed(arkit.names))
    row = list(range(52))
    clip = read_document(
        document(rig={"name": "arkit", "version": arkit.version}, controls=names, values=[row])
    )
    assert clip.rig == arkit
    assert clip.values[0].tolist() == row[::-1]


def test_a_known_rig_with_other_controls_is_refused():
    changed = document(rig={"name": "arkit", "version": "1"})
    with pytest.raises(FileFormatError, match=r"not those of rig 'arkit'.*a, b not in the rig"):
        read_document(changed)


def test_a_clip_may_be_read_onto_a_rig_of_ones_own():
    rig = Rig("mine", "1", (Control("b", maximum=2), Control("a")))
    clip = read_clip(io.BytesIO(json.dumps(document()).encode()), rig=rig)
    assert clip.rig == rig
    np.testing.assert_array_equal(clip.values[:, 0], [1, 0.25])


ROW = [0.0, 1.0]
HOSTILE = {
    "not an object": "[]",
    "empty": "",
    "no JSON": "{nonsense}",
    "another format": document(format="gltf"),
    "a later version": document(version=2),
    "a version that is true": document(version=True),
    "no rig": {k: v for k, v in document().items() if k != "rig"},
    "a rig that is text": document(rig="toy"),
    "a rig name that is a path": document(rig={"name": 7, "version": "1"}),
    "no values": {k: v for k, v in document().items() if k != "values"},
    "values null": document(values=None),
    "values text": document(values="0 1"),
    "values flat": document(values=[0, 1]),
    "row too short": document(values=[ROW, [1.0]]),
    "row too long": document(values=[[*ROW, 1.0], ROW]),
    "all rows too long": document(values=[[*ROW, 1.0]]),
    "row empty": document(values=[ROW, []]),
    "row of text": document(values=[ROW, ["0", "1"]]),
    "row of null": document(values=[ROW, [None, 1]]),
    "row of truth": document(values=[ROW, [True, 1]]),
    "row nested": document(values=[ROW, [[0], [1]]]),
    "row object": document(values=[ROW, {"a": 0, "b": 1}]),
    "NaN": document(values=[ROW, [float("nan"), 1]]),
    "Infinity": document(values=[[float("-inf"), 1]]),
    "too large for float32": document(values=[[1e39, 0]]),
    "a huge integer": document(values=[[10**400, 0]]),
    "NaN in meta": document(meta={"x": float("nan")}),
    "1e999 in meta": json.dumps(document(meta={"x": 1})).replace('"x": 1', '"x": 1e999'),
    "endless digits": '{"version": ' + "9" * 100_000 + "}",
    "fps text": document(fps="60"),
    "fps of floats": document(fps=[60.0, 1]),
    "fps zero": document(fps=[0, 1]),
    "fps over nothing": document(fps=[60, 0]),
    "fps too high": document(fps=[100_000, 1]),
    "fps huge": document(fps=[10**30, 10**30]),
    "sample rate zero": document(sample_rate=0),
    "start huge": document(start_sample=10**40),
    "controls twice": document(controls=["a", "a"]),
    "controls none": document(controls=[]),
    "controls of numbers": document(controls=[1, 2]),
    "pose too short": document(pose=[[0] * 12]),
    "pose too long": document(pose=[[0] * 12] * 3),
    "pose of joints": document(pose=[[[0] * 3] * 4] * 2),
    "pose narrow": document(pose=[[0] * 11] * 2),
    "events object": document(events={}),
    "event without a name": document(events=[{"sample": 1}]),
    "event with a foreign key": document(events=[{"sample": 1, "name": "a", "url": "x"}]),
    "event at half a sample": document(events=[{"sample": 1.5, "name": "a"}]),
    "meta array": document(meta=[]),
    "a key twice": json.dumps(document())[:-1] + ', "format": "facesdk.clip"}',
    "deep nesting": '{"meta": ' + "[" * 200_000 + "}",
    "deep values": '{"values": ' + "[" * 200_000 + "]" * 200_000 + "}",
    "text that does not end": '{"format": "' + "x" * 300_000,
    "not UTF-8": b'{"format": "\xff\xfe"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_json_clip_is_refused_in_words(name):
    bad = HOSTILE[name]
    text = json.dumps(bad) if isinstance(bad, dict) else bad
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(FileFormatError) as caught:
        read_clip(io.BytesIO(data), "json")
    assert len(str(caught.value)) < 400


@given(st.data())
def test_a_json_clip_cut_anywhere_is_refused(data):
    whole = written(speech(RIG, 4, pose=Pose.rest(4)), "json").rstrip()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(FileFormatError):
        read_clip(io.BytesIO(whole[:cut]), "json")


@given(st.data())
@settings(max_examples=200)
def test_a_damaged_json_clip_reads_or_is_refused(data):
    whole = bytearray(written(speech(RIG, 4, pose=Pose.rest(4)), "json"))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        read_clip(io.BytesIO(bytes(whole)), "json")
    except FileFormatError as error:
        assert str(error)  # noqa: PT017


def test_errors_name_the_frame_and_the_place():
    rows = [ROW] * 3000
    rows[2000] = [0.5]
    with pytest.raises(FileFormatError, match=r"byte \d+: frame 2000 needs 2 numbers, got 1"):
        read_document(document(values=rows))


def test_meta_that_is_no_json_is_refused_when_writing():
    for bad in ({"x": np.float32(1)}, {"x": float("nan")}, {"x": object()}):
        with pytest.raises(ClipError, match="must be JSON values"):
            written(speech(RIG, 2, meta=bad), "json")
    with pytest.raises(ClipError, match="'values' is part of the clip format"):
        written(speech(RIG, 2, extra={"values": []}), "json")


# ------------------------------------------------------------------- all tables


@pytest.mark.parametrize("name", TABLES)
def test_the_same_clip_gives_the_same_bytes(name):
    rig = Rig("toy", "1", (Control("jawOpen"), Control("smile")))
    clip = speech(rig, pose=Pose.rest(600))
    streamed = Generated(rig, 600)
    assert written(clip, name) == written(clip, name)
    assert written(collect(streamed), name) == written(streamed, name)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("fps", ["60", "30", "25", "24000/1001", "30000/1001", "60000/1001"])
def test_every_format_gives_the_frames_and_the_rate_back(name, fps):
    rig = Rig.load((EXPORTERS[name].rigs or ("arkit",))[0])
    clip = speech(rig, 500, Fraction(fps))
    again = read_clip(io.BytesIO(written(clip, name)))
    assert again.rig == rig
    assert again.fps == clip.fps
    np.testing.assert_allclose(again.values, clip.values, atol=1e-6)
    assert "imported" not in again.meta or "filled_frames" not in again.meta["imported"]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("frames", [1, 2])
def test_a_clip_of_hardly_any_frames_survives(name, frames):
    rig = Rig.load((EXPORTERS[name].rigs or ("arkit",))[0])
    again = read_clip(io.BytesIO(written(speech(rig, frames), name)))
    assert len(again) == frames


@pytest.mark.parametrize("name", TABLES)
def test_a_file_without_frames_is_refused(name):
    rig = Rig.load((EXPORTERS[name].rigs or ("arkit",))[0])
    data = written(speech(rig, 0), name)
    with pytest.raises(FileFormatError, match="has no frames"):
        read_clip(io.BytesIO(data))


@pytest.mark.parametrize("name", TABLES)
def test_every_channel_is_written_or_named(name):
    """No channel that moves goes missing without a word."""
    rig = Rig.load((EXPORTERS[name].rigs or ("arkit",))[0])
    angles = np.random.default_rng(0).normal(size=(5, 4, 3))
    clip = speech(rig, 5, pose=Pose(angles), events=(Event(1, "cue"),))
    file = io.BytesIO()
    left = write_clip(clip, file, name)
    again = read_clip(file)
    assert not np.isclose(again.values, np.float32(0)).all(axis=0).any()
    assert bool(again.events) != ("events" in left)
    carried = again.pose is not None or {"HeadYaw", "LeftEyePitch"} <= set(rig.names)
    assert carried != ("pose.head.yaw" in left and "pose.left_eye.pitch" in left)
    assert (again.pose is not None) != ("pose.neck.roll" in left)


def peak_memory(work) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


MANY = Rig("toy", "1", tuple(Control(f"c{i}") for i in range(24)))  # Python keeps tuples up to 20


@pytest.mark.parametrize("name", TABLES)
def test_a_long_clip_is_written_in_little_memory(name, monkeypatch):
    monkeypatch.setattr("facesdk.source.BLOCK_FRAMES", 32)
    monkeypatch.setattr("facesdk.exporters.spool._RUN", 32)

    class Void(io.RawIOBase):
        size = 0

        def write(self, data):
            self.size += len(data)
            return len(data)

    void = Void()
    assert peak_memory(lambda: write_clip(Generated(MANY, 2000), void, name)) < 300_000
    assert void.size > 300_000


def test_a_long_clip_is_read_in_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("facesdk.exporters.json_stream._CHUNK", 1 << 13)
    path = tmp_path / "long.json"
    write_clip(Generated(MANY, 3000), path)

    def read():
        with open_clip(path) as source:
            assert sum(1 for _ in frames(source)) == 3000

    assert path.stat().st_size > 700_000
    assert peak_memory(read) < 300_000


def test_a_whole_clip_takes_little_more_memory_than_its_arrays(tmp_path):
    path = tmp_path / "long.json"
    write_clip(Generated(MANY, 2000), path)
    clip = read_clip(path)
    size = clip.values.nbytes + clip.pose.angles.nbytes
    assert peak_memory(lambda: read_clip(path)) < 2 * size + 2_500_000


def test_an_opened_file_can_be_read_more_than_once(tmp_path):
    path = tmp_path / "clip.json"
    clip = speech(RIG, 700, pose=Pose.rest(700))
    write_clip(clip, path)
    with open_clip(path) as source:
        first, second = list(frames(source)), list(frames(source))
        assert collect(source) == clip
    assert [f.index for f in first] == [f.index for f in second] == list(range(700))
    assert [f.sample for f in first] == [f.sample for f in clip.frames()]


def test_a_pipe_can_be_read():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise io.UnsupportedOperation

    assert read_clip(Pipe(written(speech(RIG), "json"))) == speech(RIG)


def test_a_pose_that_comes_and_goes_is_refused():
    class Mixed(Generated):
        def frames(self):
            for frame in super().frames():
                yield frame if frame.index != 3 else Frame(3, 0, frame.values, None)

    with pytest.raises(ClipError, match="frame 3: either all frames"):
        written(Mixed(RIG, 6), "json")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_stream_that_is_not_finite_is_refused(bad):
    class Bad(Generated):
        def frames(self):
            yield Frame(0, 0, np.array([0, bad, 0], np.float32))

    with pytest.raises(ClipError, match="frame 0: values must be finite"):
        written(Bad(RIG, 1), "csv")


# -------------------------------------------------------------------- registry


def test_formats_are_found_by_name_and_by_extension():
    assert format_for("livelink-csv").name == "livelink-csv"
    assert format_for("out/line.JSON").name == "json"
    assert format_for("line.csv").name == "csv"
    with pytest.raises(UnknownNameError, match="did you mean 'livelink-csv'"):
        format_for("livelnk-csv")
    with pytest.raises(UnknownNameError, match=r"\.docx"):
        format_for("line.docx")


def test_tables_are_recognised_by_their_header(tmp_path):
    for name, rig in (("csv", "arkit"), ("livelink-csv", "livelink"), ("a2f-csv", "a2f")):
        path = tmp_path / f"{name}.csv"
        write_clip(speech(Rig.load(rig), 3), path, name)
        assert read_clip(path).rig.name == rig


def test_other_packages_add_formats(monkeypatch):
    mine = Format("mine", ".mine", lambda source, file, options: ())

    class Entry:
        name = value = "mine"

        def __init__(self, found):
            self._found = found

        def load(self):
            if isinstance(self._found, Exception):
                raise self._found
            return self._found

    def entries(*found):
        monkeypatch.setattr(facesdk.exporters, "entry_points", lambda group: map(Entry, found))
        facesdk.exporters._plugins.cache_clear()

    entries(mine)
    assert "mine" in formats()
    with pytest.raises(FileFormatError, match="writes mine but does not read"):
        read_clip(io.BytesIO(b"x"), "mine")
    entries(ImportError("no such thing"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="'mine' of mine fails to load: no such thing"):
            formats()
    monkeypatch.undo()
    facesdk.exporters._plugins.cache_clear()
    assert "mine" not in formats()


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "clip.json"
    write_clip(speech(RIG, 3), path)
    before = path.read_bytes()

    class Stops(Generated):
        def frames(self):
            yield from super().frames()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clip(Stops(RIG, 1000), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["clip.json"]


# -------------------------------------------------------------------------- csv


def test_csv_is_a_plain_table():
    clip = Clip(RIG, [[0, 0.5, 1], [1, -1e-9, 2]], Fraction(60), start_sample=8000)
    rows = table(written(clip, "csv"))
    assert rows[0] == ["time", *RIG.names]
    assert rows[1] == ["0.500000", "0.000000", "0.500000", "1.000000"]
    assert rows[2] == ["0.516667", "1.000000", "0.000000", "2.000000"]


def test_csv_carries_pose_and_start():
    angles = np.random.default_rng(0).normal(size=(20, 4, 3))
    clip = speech(Rig.load("arkit"), 20, pose=Pose(angles), start_sample=12_345)
    again = read_clip(io.BytesIO(written(clip, "csv")))
    np.testing.assert_allclose(again.pose.angles, clip.pose.angles, atol=1e-6)
    assert again.start_sample == 12_345


@given(st.sampled_from(["60", "24", "25", "30000/1001", "60000/1001", "120", "7.5"]), st.data())
def test_a_table_with_gaps_is_filled(rate, data):
    """Rows that were lost are interpolated, and the note says how many."""
    fps = Fraction(rate)
    rig = Rig("toy", "1", (Control("ramp"),))
    clip = Clip(rig, np.arange(40)[:, None] / 40, fps)
    lines = written(clip, "csv").splitlines(keepends=True)
    lost = data.draw(st.sets(st.integers(3, 37), max_size=10))
    kept = b"".join(line for i, line in enumerate(lines, -1) if i not in lost)
    again = read_clip(io.BytesIO(kept))
    assert again.fps == fps
    np.testing.assert_allclose(again.values, clip.values, atol=2e-6)
    assert again.meta.get("imported", {}).get("filled_frames", 0) == len(lost)


BAD_TABLES = {
    "empty": (b"", "time"),
    "no time": (b"a,b\n0,1\n", 'column "time"'),
    "only time": (b"time\n0\n", "no controls"),
    "column twice": (b"time,a,a\n0,1,1\n", "occurs twice: a"),
    "text": (b"time,a\n0,1\n1,x\n", "row 3, column 'a': expected a finite number, got 'x'"),
    "empty cell": (b"time,a\n0,\n", "got ''"),
    "nan": (b"time,a\n0,nan\n", "got 'nan'"),
    "too large": (b"time,a\n0,1e39\n", "got '1e39'"),
    "time nan": (b"time,a\nnan,1\n", "finite"),
    "short row": (b"time,a\n0,1\n1\n", "row 3: expected 2 cells as in the header, got 1"),
    "backwards": (b"time,a\n1,1\n0,1\n", "lies before the row above"),
    "standing still": (b"time,a\n1,1\n1,1\n", "at least 1/1000 s apart"),
    "leap": (b"time,a\n0,1\n0.1,1\n0.2,1\n1e9,1\n", "leaps"),
    "no text": (b"time,a\n0,\xff\n", "UTF-8"),
    "NUL": (b"time,a\n0,\x00\n", "table|number"),
    "long line": (b"time,a\n0," + b"1" * 2_000_000, "longer than"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_refused_in_words(name):
    data, words = BAD_TABLES[name]
    with pytest.raises(FileFormatError, match=words):
        read_clip(io.BytesIO(data), "csv")


def test_a_control_that_breaks_the_line_cannot_head_a_column():
    with pytest.raises(ClipError, match="breaks the line"):
        written(speech(Rig("toy", "1", (Control("a\nb"),)), 1), "csv")


# --------------------------------------------------------------------- live link


def test_live_link_columns_are_those_of_the_app():
    rows = table(written(speech(Rig.load("livelink"), 3), "livelink-csv"))
    assert rows[0][:2] == ["Timecode", "BlendShapeCount"]
    assert len(rows[0]) == 63
    assert rows[0][2:4] == ["EyeBlinkLeft", "EyeLookDownLeft"]
    assert rows[0][16:20] == ["JawForward", "JawRight", "JawLeft", "JawOpen"]
    assert rows[0][-9:-6] == ["HeadYaw", "HeadPitch", "HeadRoll"]
    assert all(row[1] == "61" and len(row) == 63 and "" not in row for row in rows[1:])


@pytest.mark.parametrize(
    ("frame", "fps", "code"),
    [
        (1, "60", "00:00:00:01.000"),
        (1, "30", "00:00:00:02.000"),
        (29, "30", "00:00:00:58.000"),
        (30, "30", "00:00:01:00.000"),
        (1, "30000/1001", "00:00:00:02.002"),
        (3723 * 25, "25", "01:02:03:00.000"),
    ],
)
def test_live_link_timecodes_count_60ths_whatever_the_rate(frame, fps, code):
    assert timecode(frame / Fraction(fps)) == code


def test_unreal_reads_the_right_times():
    """Time as its importer computes it: frames over 60."""
    rows = table(written(speech(Rig.load("livelink"), 400, Fraction(30000, 1001)), "livelink-csv"))
    for i, row in enumerate(rows[1:]):
        h, m, s, f = map(float, row[0].split(":"))
        assert h * 3600 + m * 60 + s + f / 60 == pytest.approx(i * 1001 / 30000, abs=1e-5)


def test_left_and_right_are_matched_by_name_and_not_by_place():
    """The app's CSV has JawRight before JawLeft, its UDP packets the other way round."""
    header = "timecode,BlendshapeCount,JawLeft,JawRight,MouthLeft,MouthRight"
    clip = read_clip(io.BytesIO(f"{header}\n00:00:00:00,4,0.1,0.2,0.3,0.4\n".encode()))
    values = {n: round(float(clip.curve(n)[0]), 3) for n in header.split(",")[2:]}
    assert values == {"JawLeft": 0.1, "JawRight": 0.2, "MouthLeft": 0.3, "MouthRight": 0.4}
    assert clip.rig.name == "livelink"


def test_a_take_without_the_tongue_reads_and_says_what_is_missing():
    rig = Rig.load("livelink")
    names = [n for n in rig.names if n != "TongueOut"]
    lines = [",".join(["Timecode", "BlendshapeCount", *names])]
    for ms in (0, 16, 33, 50, 66, 83, 100):
        lines.append(",".join([f"15:34:41:{ms:03}", "51", *["0.5"] * len(names)]))
    clip = read_clip(io.BytesIO("\r\n".join(lines).encode()))
    assert (clip.fps, len(clip), clip.start_sample) == (60, 7, 0)
    assert not clip.curve("TongueOut").any()
    assert clip.meta["imported"] == {
        "missing_controls": ["TongueOut"],
        "first_timecode": "15:34:41:000",
    }


def test_a_take_across_midnight_goes_on():
    codes = ("23:59:59:58.0", "23:59:59:59.0", "00:00:00:00.0")
    text = "Timecode,BlendShapeCount,JawOpen\n" + "".join(f"{c},1,0\n" for c in codes)
    clip = read_clip(io.BytesIO(text.encode()))
    assert (clip.fps, len(clip)) == (60, 3)


def test_any_curves_can_be_a_live_link_take():
    rig = Rig.load("metahuman")
    data = written(speech(rig, 4), "livelink-csv")
    rows = table(data)
    assert rows[0][2:] == list(rig.names)
    assert rows[1][1] == str(len(rig))
    assert read_clip(io.BytesIO(data)).rig == rig
    with pytest.raises(ClipError, match="cannot head a Live Link column"):
        written(speech(RIG, 1), "livelink-csv")


def test_a_clip_that_begins_before_its_audio_starts_at_zero():
    file = io.BytesIO()
    left = write_clip(speech(Rig.load("livelink"), 3, start_sample=-800), file, "livelink-csv")
    assert left == ("start",)
    assert table(file.getvalue())[1][0] == "00:00:00:00.000"


@pytest.mark.parametrize("bad", ["00:00:00", "x:0:0:0", "0:0:0:nan", ""])
def test_a_bad_timecode_is_refused(bad):
    text = f"Timecode,BlendShapeCount,JawOpen\n{bad},1,0\n00:00:00:01,1,0\n"
    with pytest.raises(FileFormatError):
        read_clip(io.BytesIO(text.encode()))


# --------------------------------------------------------------------------- a2f


def test_a2f_columns_are_those_of_the_clients():
    rig = Rig.load("a2f")
    rows = table(written(speech(rig, 3, 30), "a2f-csv"))
    assert rows[0] == ["", "timeCode", *(f"blendShapes.{n}" for n in rig.names)]
    assert [row[:2] for row in rows[1:]] == [
        ["0", "0.000000"],
        ["1", "0.033333"],
        ["2", "0.066667"],
    ]


def test_an_a2f_table_may_have_fewer_controls_and_other_columns():
    text = (
        ",timeCode,blendShapes.JawOpen,emotion.joy\n"
        "0,0.0,0.25,1\n1,0.03333333333333333,0.5,1\n2,0.06666666666666667,0.75,1\n"
    )
    clip = read_clip(io.BytesIO(text.encode()))
    assert (clip.rig.name, clip.fps, len(clip)) == ("a2f", 30, 3)
    np.testing.assert_array_equal(clip.curve("JawOpen"), [0.25, 0.5, 0.75])
    assert clip.meta["imported"]["ignored_columns"] == ["emotion.joy"]
    assert len(clip.meta["imported"]["missing_controls"]) == 67


def test_built_in_rigs_are_found_by_their_columns():
    for name in rig_names():
        rig = Rig.load(name)
        again = read_clip(io.BytesIO(written(speech(rig, 3), "csv")))
        assert again.rig == rig, name
