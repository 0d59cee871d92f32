"""Tables as spreadsheets, phones and other programs write them."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest

from facesdk import Clip
from facesdk.errors import FileFormatError
from facesdk.exporters import read_clip, write_clip
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
}  # fmt: skip


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
    np.testing.assert_array_equal(again.values, expected.values)


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
    rows = "".join(f"{i * step},0\n" for i in range(30))
    with pytest.raises(FileFormatError, match="milliseconds or frame numbers; divide"):
        read_clip(io.BytesIO(f"time,a\n{rows}".encode()))
