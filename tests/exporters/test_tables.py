"""Tables as spreadsheets, phones and other programs write them."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest

from facesdk import Clip
from facesdk.errors import FileFormatError
from facesdk.exporters import read_clip, write_clip
from facesdk.exporters.csv.table import number
from facesdk.exporters.rates import KNOWN, timing
from facesdk.rig import Rig

TAKES = {"csv": "arkit", "livelink-csv": "livelink", "a2f-csv": "a2f"}


def plain(name: str) -> str:
    rig = Rig.load(TAKES[name])
    values = np.random.default_rng(1).uniform(0, 1, (30, len(rig))).round(3)
    file = io.BytesIO()
    write_clip(Clip(rig, values, Fraction(30)), file, name)
    return file.getvalue().decode()


def quoted(text: str) -> str:
    lines = text.splitlines()
    return "\r\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in lines)


DIALECTS = {
    "quotes": lambda text: quoted(text).encode(),
    "spaced quotes": lambda text: quoted(text).replace('","', '", "').encode(),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "decimal commas": lambda text: text.replace(",", ";").replace("0.", "0,").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "BOM": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 BE": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 tabs": lambda text: text.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
    "sep": lambda text: ("sep=;\r\n" + text.replace(",", ";")).encode(),
    "BOM and sep": lambda text: ("sep=,\n" + text).encode("utf-8-sig"),
    "trailing commas": lambda text: text.replace("\n", ",,\n").encode(),
    "trailing commas in rows": lambda text: text.replace("0\n", "0,\n").encode(),
    "empty rows": lambda text: (text + ",,,,,\n\n,\n").encode(),
    "upper case": lambda text: text.upper().encode(),
    "lower case": lambda text: text.lower().encode(),
    "comments": lambda text: ("# take 12\n# 30 fps\n" + text + "# the end\n").encode(),
    "a title": lambda text: ("My take\n\n" + text).encode(),
    "a title and blanks": lambda text: ("My take" + "," * commas(text) + "\n" + text).encode(),
    "groups": lambda text: ("Time,Face" + "," * (commas(text) - 1) + "\n" + text).encode(),
    "units below": lambda text: below(text, "s" + ",-" * commas(text)).encode(),
    "units in titles": lambda text: titles(text, lambda t: f"{t} (0-1)").encode(),
    "a unit of time": lambda text: text.replace("ime,", "ime [s],", 1).encode(),
    "row numbers": lambda text: each_row(text, lambda i, row: ["" if i == 0 else str(i), *row]),
    "row numbers of pandas": lambda text: each_row(
        text, lambda i, row: ["" if i else "Unnamed: 0", *row]
    ),
    "the header again": lambda text: below(text, text.split("\n")[0]).encode(),
    "sums": lambda text: (text + "Average" + ",0.5" * commas(text) + "\n").encode(),
    "bars": lambda text: text.replace(",", "|").encode(),
    "carriage returns": lambda text: text.replace("\n", "\r").encode(),
    "spaces around cells": lambda text: text.replace(",", " , ").encode(),
    "end of file marks": lambda text: (text + "\x1a").encode(),
    "percent in titles": lambda text: percent(titles(text, lambda t: f"{t} (%)"), "{:.1f}"),
    "percent in cells": lambda text: percent(text, "{:.1f} %"),
    "apostrophes": lambda text: cells(text, "'{}"),
    "formulas": lambda text: cells(text, '="{}"'),
}  # fmt: skip


def commas(text: str) -> int:
    return text.split("\n")[0].count(",")


def below(text: str, line: str) -> str:
    header, rest = text.split("\n", 1)
    return f"{header}\n{line}\n{rest}"


def each_row(text, change) -> bytes:
    rows = [change(i, line.split(",")) for i, line in enumerate(text.splitlines())]
    return ("\n".join(map(",".join, rows)) + "\n").encode()


def titles(text, change) -> str:
    header, rest = text.split("\n", 1)
    names = [n if plain_name(n) in TIMES else change(n) for n in header.split(",")]
    return ",".join(names) + "\n" + rest


TIMES = ("", "time", "timecode", "blendshapecount")


def plain_name(title: str) -> str:
    return title.lower()


def cells(text, form, convert=str) -> bytes:
    """Return a table whose weights are written in another form."""
    first = sum(plain_name(n) in TIMES for n in text.split("\n")[0].split(","))
    return each_row(
        text,
        lambda i, row: (
            row if i == 0 else [*row[:first], *(form.format(convert(c)) for c in row[first:])]
        ),
    )


def percent(text, form) -> bytes:
    return cells(text, form, lambda cell: 100 * float(cell))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", TAKES)
def test_a_table_reads_in_every_dialect(name, dialect):
    expected = read_clip(io.BytesIO(plain(name).encode()))
    if name == "csv" and "case" in dialect:
        rig = Rig.load(TAKES[name])
        again = read_clip(io.BytesIO(DIALECTS[dialect](plain(name))), "csv", rig=rig)
    else:
        again = read_clip(io.BytesIO(DIALECTS[dialect](plain(name))))
    assert (again.rig, again.fps) == (expected.rig, expected.fps)
    np.testing.assert_allclose(again.values, expected.values, atol=1e-6)


@pytest.mark.parametrize(
    ("cell", "value"),
    [("0,5", 0.5), ("1.234,5", 1234.5), ("1,234.5", 1234.5), ("1 234.5", 1234.5), ("50%", 0.5),
     ("'0.5", 0.5), ('="0.5"', 0.5), ("1'234.5", 1234.5), ("1.234.567", 1234.567)],
)  # fmt: skip
def test_a_cell_reads_as_spreadsheets_show_it(cell, value):
    assert number(cell) == value


@pytest.mark.parametrize("cell", ["", "-", "n/a", "1:2", "0.5.x", "%"])
def test_other_cells_are_not_numbers(cell):
    with pytest.raises(ValueError, match="could not convert"):
        number(cell)


@pytest.mark.parametrize("spelling", ["TimeCode", "timecode", "Time Code", "time_code"])
def test_an_a2f_time_column_is_found_in_any_spelling(spelling):
    text = plain("a2f-csv").replace("timeCode", spelling)
    assert read_clip(io.BytesIO(text.encode())).rig.name == "a2f"


def test_a_control_may_hold_a_semicolon():
    clip = read_clip(io.BytesIO(b"time,a;b;c\n0,1\n0.1,2\n"))
    assert clip.rig.names == ("a;b;c",)


def take(codes: list[str]) -> bytes:
    rows = "".join(f"{code},1,0.5\n" for code in codes)
    return f"Timecode,BlendShapeCount,JawOpen\n{rows}".encode()


@pytest.mark.parametrize("counter", [False, True])
@pytest.mark.parametrize("rate", [24, 25, 30, 48, 50, 60])
def test_live_link_timecodes_may_count_frames(rate, counter):
    code = "00:00:{:02}:{:02}" + (".{:03}" if counter and rate != 60 else ".000")
    codes = [code.format(i // rate, i % rate, i) for i in range(10, 3 * rate)]
    clip = read_clip(io.BytesIO(take(codes)))
    assert (clip.fps, len(clip)) == (rate, 3 * rate - 10)
    assert "filled_frames" not in clip.meta["imported"]


def test_live_link_timecodes_may_drop_frame_numbers():
    rows = [f"00:00:{s};{frame:02}" for s in (58, 59) for frame in range(30)]
    rows += [f"00:01:00;{frame:02}" for frame in range(2, 30)]
    clip = read_clip(io.BytesIO(take(rows)))
    assert (clip.fps, len(clip)) == (Fraction(30000, 1001), 88)


@pytest.mark.parametrize("rate", [24, 25, 30, 48, 50, 60])
@pytest.mark.parametrize("decimals", [2, 3])
def test_rounded_times_keep_every_row(rate, decimals):
    values = np.linspace(0, 1, 4 * rate, dtype=np.float32)
    rows = "".join(f"{i / rate:.{decimals}f},{v!r}\n" for i, v in enumerate(values.tolist()))
    clip = read_clip(io.BytesIO(f"time,a\n{rows}".encode()))
    assert clip.fps == rate
    np.testing.assert_array_equal(clip.values[:, 0], values)


@pytest.mark.parametrize("step", [1000 / 30, 33, 1, 16.667])
def test_milliseconds_and_frame_numbers_are_refused(step):
    """A column of whole numbers counts something else than seconds."""
    rows = "".join(f"{i * step},0\n" for i in range(30))
    with pytest.raises(FileFormatError, match="milliseconds or frame numbers; divide"):
        read_clip(io.BytesIO(f"time,a\n{rows}".encode()))


def timed(times, form="{:.6f}", title="time") -> bytes:
    values = np.linspace(0, 1, len(times))
    rows = "".join(f"{form.format(t)},{v:.6f}\n" for t, v in zip(times, values, strict=True))
    return f"{title},jawOpen\n{rows}".encode()


@pytest.mark.parametrize("fps", [1, 2, 0.5])
def test_a_clip_of_few_frames_per_second_is_read(fps):
    clip = read_clip(io.BytesIO(timed(np.arange(12) / fps)))
    assert (clip.fps, len(clip)) == (Fraction(fps), 12)


@pytest.mark.parametrize(
    ("title", "unit", "form"),
    [("time (ms)", 1e3, "{:.3f}"), ("Time_ms", 1e3, "{:.0f}"), ("time [s]", 1, "{:.4f}"),
     ("Timestamp", 1, "{:.4f}"), ("t", 1, "{:.4f}"), ("seconds", 1, "{:.4f}"),
     ("time_us", 1e6, "{:.0f}")],
)  # fmt: skip
def test_the_title_of_the_times_may_state_a_unit(title, unit, form):
    clip = read_clip(io.BytesIO(timed(np.arange(90) / 30 * unit, form, title)))
    assert (clip.fps, len(clip)) == (30, 90)


def test_times_may_be_clock_times():
    rows = "".join(f"0:01:{i // 25:02}.{i % 25 * 40:03},0.5\n" for i in range(100))
    clip = read_clip(io.BytesIO(f"time,jawOpen\n{rows}".encode()))
    assert (clip.fps, len(clip), clip.start_sample) == (25, 100, 60 * 16_000)


def test_times_of_a_calendar_begin_at_zero():
    with pytest.warns(UserWarning, match="which no recording does; the clip begins at 0"):
        clip = read_clip(io.BytesIO(timed(1.7e9 + np.arange(60) / 30)))
    assert (clip.fps, len(clip), clip.start_sample) == (30, 60, 0)


@pytest.mark.parametrize("rate", [r for r in KNOWN if r.denominator == 1])
@pytest.mark.parametrize("jitter", [0, 0.05, 0.2])
@pytest.mark.parametrize("gaps", [0, 0.03])
def test_jitter_loses_no_row_and_no_rate(rate, jitter, gaps):
    rng = np.random.default_rng(0)
    frames = np.flatnonzero(np.append(True, rng.random(999) >= gaps))
    times = (frames + rng.uniform(-jitter, jitter, len(frames))) / float(rate)
    found = timing(np.sort(times), resolution=1e-6, default=Fraction(60))
    assert found.fps == rate
    assert found.latest.all()
    assert abs(found.frames - frames[-1] - 1) <= 1


@pytest.mark.parametrize("rate", KNOWN)
@pytest.mark.parametrize("off", [-1.5e-4, 1.5e-4])
def test_a_clock_that_is_a_little_off_is_a_known_rate(rate, off):
    data = timed(np.arange(3000) / float(rate) * (1 + off))
    with pytest.warns(UserWarning, match=r"taken as [\d.]+ fps by a clock .* one row per frame"):
        clip = read_clip(io.BytesIO(data))
    assert (clip.fps, len(clip)) == (rate, 3000)
    assert clip.meta["imported"]["measured_fps"] == pytest.approx(float(rate) / (1 + off), 1e-5)


@pytest.mark.parametrize("off", [-2e-4, 2e-4])
def test_a_long_take_by_such_a_clock_stays_in_time(off):
    times = np.arange(20_000) / 30 * (1 + off)
    with pytest.warns(UserWarning, match="rows interpolated"):
        clip = read_clip(io.BytesIO(timed(times)))
    assert clip.fps == 30
    assert len(clip) == int(times[-1] * 30 + 1e-6) + 1
    expected = np.interp(np.arange(len(clip)) / 30, times, np.linspace(0, 1, len(times)))
    np.testing.assert_allclose(clip.curve("jawOpen"), expected, atol=2e-6)


def test_rows_that_share_their_times_are_all_kept():
    times = np.repeat(np.arange(60) / 30, 2)
    clip = read_clip(io.BytesIO(timed(times)))
    assert (clip.fps, len(clip)) == (60, 120)


def test_live_link_timecodes_may_drop_frame_numbers_at_60():
    rows = [f"00:00:{s};{frame:02}" for s in (58, 59) for frame in range(60)]
    rows += [f"00:01:00;{frame:02}" for frame in range(4, 60)]
    clip = read_clip(io.BytesIO(take(rows)))
    assert (clip.fps, len(clip)) == (Fraction(60000, 1001), 176)


# ---------------------------------------------------------------------- weights


WEIGHTS = ("csv", "livelink-csv", "a2f-csv", "a2f-json", "unity-anim", "glb")


def weighted(values, name) -> bytes:
    rig = Rig.load(TAKES.get(name, "a2f" if name.startswith("a2f") else "arkit"))
    table = np.zeros((30, len(rig)), np.float32)
    table[:, : values.shape[1]] = values
    file = io.BytesIO()
    write_clip(Clip(rig, table, Fraction(30)), file, name)
    return file.getvalue()


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_in_percent_are_divided(name):
    values = np.random.default_rng(0).uniform(0, 1, (30, 20)).astype(np.float32)
    with pytest.warns(UserWarning, match="taken as percent and divided by 100"):
        clip = read_clip(io.BytesIO(weighted(100 * values, name)), name)
    assert clip.values.max() == pytest.approx(values.max(), abs=1e-4)


@pytest.mark.parametrize("name", WEIGHTS)
def test_exaggerated_weights_are_kept(name):
    values = np.random.default_rng(0).uniform(0, 2.5, (30, 20)).astype(np.float32)
    clip = read_clip(io.BytesIO(weighted(values, name)), name)
    assert clip.values.max() == pytest.approx(values.max(), abs=1e-4)


@pytest.mark.parametrize("name", WEIGHTS)
def test_one_wild_control_does_not_make_a_take_percent(name):
    values = np.random.default_rng(0).uniform(0, 1, (30, 20)).astype(np.float32)
    values[7, 3] = 60
    with pytest.warns(UserWarning, match="reaches 60, far beyond its range up to 1"):
        clip = read_clip(io.BytesIO(weighted(values, name)), name)
    assert clip.values.max() == pytest.approx(60)


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_beyond_percent_are_refused(name):
    values = np.random.default_rng(0).uniform(0, 255, (30, 20)).astype(np.float32)
    data = weighted(values, name)
    with pytest.raises(FileFormatError, match="expected weights of 0 to 1, or of 0 to 100"):
        read_clip(io.BytesIO(data), name)


def test_rotations_of_a_take_in_percent_are_kept():
    rig = Rig.load("livelink")
    values = np.random.default_rng(0).uniform(0, 100, (30, len(rig))).astype(np.float32)
    values[:, rig.index("HeadYaw")] = 0.25
    file = io.BytesIO()
    write_clip(Clip(rig, values, Fraction(30)), file, "livelink-csv")
    with pytest.warns(UserWarning, match="percent"):
        clip = read_clip(file)
    assert clip.curve("HeadYaw").max() == 0.25
    assert clip.curve("JawOpen").max() <= 1


def test_a_wide_rig_is_not_percent():
    rows = "".join(f"{i / 30:.6f},{i},{2 * i}\n" for i in range(40))
    clip = read_clip(io.BytesIO(f"time,elbow,wrist\n{rows}".encode()))
    assert clip.values.max() == 78


def test_faint_weights_are_pointed_out():
    values = np.random.default_rng(0).uniform(0, 0.01, (30, 20)).astype(np.float32)
    with pytest.warns(UserWarning, match="multiply the values by 100"):
        read_clip(io.BytesIO(weighted(values, "unity-anim")), "unity-anim")
