"""Timed phones from files: every format, both alphabets, and what is wrong with bad ones."""

from __future__ import annotations

import json

import pytest

from facesdk.articulation import TimedPhone, articulate, fill_gaps, read_timings
from facesdk.articulation.timings import detect_alphabet
from facesdk.errors import ArticulationError, UnknownNameError

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 0.7
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 0.7
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 0.7
            text = "say ""map"" 12"
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 0.7
        points: size = 1
        points [1]:
            number = 0.3
            mark = "here"
    item [3]:
        class = "IntervalTier" ! a comment, "quoted" 3
        name = "{name}"
        xmin = 0
        xmax = 0.7
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.1
            text = ""
        intervals [2]:
            xmin = 0.1
            xmax = 0.2
            text = "M"
        intervals [3]:
            xmin = 0.2
            xmax = 0.4
            text = "AE1"
        intervals [4]:
            xmin = 0.4
            xmax = 0.7
            text = "P"
"""

SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
0.7
<exists>
1
"IntervalTier"
"anything"
0
0.7
4
0
0.1
""
0.1
0.2
"M"
0.2
0.4
"AE1"
0.4
0.7
"P"
"""

MAP = (
    TimedPhone("SIL", 0.0, 0.1),
    TimedPhone("M", 0.1, 0.2),
    TimedPhone("AE1", 0.2, 0.4, 1),
    TimedPhone("P", 0.4, 0.7),
)


def read(tmp_path, name, content, **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_timings(path, **options)


def rounded(timings):
    return tuple(p._replace(start=round(p.start, 6), end=round(p.end, 6)) for p in timings.phones)


FILES = {
    "long": ("a.TextGrid", LONG.format(name="phones")),
    "of one speaker": ("a.TextGrid", LONG.format(name="Anna - phones")),
    "short": ("a.textgrid", SHORT),
    "utf-16": ("a.TextGrid", SHORT.encode("utf-16")),
    "utf-8 with a mark": ("a.TextGrid", SHORT.encode("utf-8-sig")),
    "htk": ("a.lab", "0 1000000 sil\n1000000 2000000 M\n2000000 4000000 AE1\n4000000 7000000 P\n"),
    "triphones": ("a.lab", "1000000 2000000 M+AE1\n2000000 4000000 M-AE1+P\n4000000 7000000 P\n"),
    "seconds": ("a.lab", "0.1 0.2 M -3.5\n\n0.2 0.4 AE1\n0.4 0.7 P\n"),
    "rows": ("a.json", json.dumps([["M", 0.1, 0.2], ["AE1", 0.2, 0.4, 0], ["P", 0.4, 0.7]])),
    "objects": (
        "a.json",
        json.dumps(
            {"phones": [dict(zip(("phone", "start", "end"), p, strict=False)) for p in MAP]}
        ),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_tells_the_same(tmp_path, name):
    timings = read(tmp_path, *FILES[name])
    assert timings.alphabet == "arpabet"
    silent = [p for p in rounded(timings) if p.symbol.lower() == "sil"]
    assert [(p.start, p.end) for p in silent] == [(0.0, 0.1)]
    assert tuple(p for p in rounded(timings) if p not in silent) == MAP[1:]


def test_timings_become_units(tmp_path):
    timings = read(tmp_path, "a.TextGrid", SHORT)
    units = articulate(timings.phones, alphabet=timings.alphabet)
    closure = units.curve("closure")
    assert closure[7] > 0.9
    assert closure[15] < 0.1


@pytest.mark.parametrize(
    ("symbols", "alphabet"),
    [
        (["HH", "AH0", "L", "OW1", "SIL"], "arpabet"),
        (["hh", "ah", "l", "ow"], "arpabet"),
        (["h", "ə", "l", "oʊ"], "ipa"),
        (["p", "b", "m"], "ipa"),
        (["P", "B", "M"], "arpabet"),
        ([], "arpabet"),
    ],
)
def test_the_alphabet_is_found_out(symbols, alphabet):
    assert detect_alphabet(symbols) == alphabet


def test_the_alphabet_may_be_given(tmp_path):
    with pytest.raises(UnknownNameError, match=r"a\.json: no IPA sound 'M'"):
        read(tmp_path, *FILES["rows"], alphabet="ipa")


def test_marks_of_stress_become_numbers(tmp_path):
    rows = [["ˈa", 0, 0.1], ["ˌoː", 0.1, 0.2], ["m", 0.2, 0.3], ["e", 0.3, 0.4, 2]]
    timings = read(tmp_path, "a.json", json.dumps(rows))
    assert [(p.symbol, p.stress) for p in timings.phones] == [
        ("a", 1), ("oː", 2), ("m", 0), ("e", 2)
    ]  # fmt: skip


def test_gaps_are_silence():
    phones = [TimedPhone("a", 0.1, 0.2), TimedPhone("m", 0.2005, 0.3), TimedPhone("a", 0.4, 0.5)]
    filled = list(fill_gaps(phones, seconds=0.6))
    assert [p.symbol for p in filled] == ["SIL", "a", "m", "SIL", "a", "SIL"]
    assert filled[-1] == TimedPhone("SIL", 0.5, 0.6)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.TextGrid", "nothing of the kind", "end of the file"),
        ("a.TextGrid", '"ooTextFile" "Pitch"', "not a TextGrid"),
        ("a.TextGrid", SHORT[:-20], "damaged"),
        ("a.TextGrid", LONG.format(name="notes"), "'words', 'notes'"),
        ("a.lab", "0.1 0.2 M\nhello\n", "line 2: expected start, end and phone, got 'hello'"),
        ("a.lab", "0.3 0.4 M\n0.1 0.2 P\n", r"phone 2 \('P', 0.1 to 0.2 s\)"),
        ("a.json", "[", "not valid JSON"),
        ("a.json", '{"words": []}', "expected"),
        ("a.json", '[["M", 0.1]]', "phone 1: expected symbol, start, end"),
        ("a.json", '[["M", 0.1, NaN]]', "phone 1"),
        ("a.json", '[["M", 0.1, 1e400]]', "phone 1"),
        ("a.json", '[["M", 0.1, true]]', "phone 1"),
        ("a.json", '[["M", 0, 1, 7]]', "stress must be 0, 1 or 2, got 7"),
        ("a.json", '[["XX", 0, 1]]', "'XX'"),
        ("a.json", b"\xff\xff", "UTF-8"),
        ("a.txt", "", r"TextGrid, \.json, \.lab"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path, name, content, message):
    with pytest.raises((ArticulationError, UnknownNameError), match=message) as caught:
        read(tmp_path, name, content)
    assert str(tmp_path / name) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArticulationError, match=r"gone\.lab does not exist"):
        read_timings(tmp_path / "gone.lab")
