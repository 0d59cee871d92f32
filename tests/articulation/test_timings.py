"""Timed phones from files: every format, both alphabets, and what is wrong with bad ones."""

from __future__ import annotations

import json

import pytest

from facesdk.articulation import Rules, TimedPhone, articulate, fill_gaps, read_timings
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
    "utf-16 without a mark": ("a.TextGrid", SHORT.encode("utf-16-le")),
    "latin-1": ("a.TextGrid", LONG.format(name="phones").replace("say", "sä").encode("latin-1")),
    "audacity": ("a.txt", "0.1\t0.2\tM\n\\\t100\t200\n0,2\t0,4\tAE1\n0.4\t0.7\tP\n"),
    "xlabel": ("a.lab", "signal a\n#\n0.1 100 pau\n0.2 100 M\n0.4 100 AE1\n0.7 100 P\n"),
    "ctm": ("a.ctm", ";; kaldi\na 1 0.1 0.1 M_B\na 1 0.2 0.2 AE1_I 0.9\na 1 0.4 0.3 P_E\n"),
    "timit": ("a.phn", "0 1600 h#\n1600 3200 M\n3200 6400 AE1\n6400 11200 P\n"),
    "gentle": (
        "a.json",
        json.dumps(
            {
                "words": [
                    {"case": "not-found-in-audio"},
                    {
                        "start": 0.1,
                        "phones": [
                            {"phone": "M_B", "duration": 0.1},
                            {"phone": "AE1_I", "duration": 0.2},
                            {"phone": "P_E", "duration": 0.3},
                        ],
                    },
                ]
            }
        ),
    ),
    "mfa": (
        "a.json",
        json.dumps(
            {
                "start": 0,
                "end": 0.7,
                "tiers": {
                    "words": {"type": "interval", "entries": [[0.1, 0.7, "map"]]},
                    "phones": {
                        "type": "interval",
                        "entries": [[0.1, 0.2, "M"], [0.2, 0.4, "AE1"], [0.4, 0.7, "P"]],
                    },
                },
            }
        ),
    ),
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
    silent = [p for p in rounded(timings) if p.symbol.lower() in ("sil", "pau", "h#")]
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
        ("a.TextGrid", LONG.replace("size = 3", "size = 1e999"), "items that fits .* got '1e999'"),
        ("a.TextGrid", LONG.replace("size = 3", "size = 1e18"), "items that fits .* got '1e18'"),
        ("a.TextGrid", LONG.replace("size = 4", "size = 1e999"), "items that fits .* got '1e999'"),
        ("a.TextGrid", LONG.replace("size = 3", "size = -1"), "items that fits .* got '-1'"),
        ("a.TextGrid", LONG.replace("size = 3", "size = nan"), "damaged: expected"),
        ("a.TextGrid", SHORT.replace('0.2\n"M"', '1e999\n"M"'), r"phone 2 \('M', 0.1 to inf"),
        ("a.TextGrid", LONG.format(name="notes"), "'words', 'notes'"),
        ("a.lab", "0.1 0.2 M\nhello\n", "line 2: expected start, end and phone, got 'hello'"),
        ("a.lab", f"0 {'9' * 5000} M\n", r"phone 1 \('M', 0 to inf s\)"),
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
        ("a.wav", "", r"TextGrid, \.json, \.lab"),
        ("a.TextGrid", b"ooBinaryFile\x08TextGrid", "is a binary TextGrid; in Praat save it"),
        ("a.ctm", "line 1 0.1 M\n", "line 1: expected utterance, channel, start, duration"),
        ("a.phn", "0 0.5 h#\n", "line 1: expected two sample numbers and a phone"),
        ("a.json", '{"words": [{"phones": [{"phone": "m"}]}]}', "expected a phone with a duration"),
        (
            "a.json",
            '{"tiers": {"words": {"entries": []}, "x": {"entries": []}}}',
            "choose one with",
        ),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path, name, content, message):
    with pytest.raises((ArticulationError, UnknownNameError), match=message) as caught:
        read(tmp_path, name, content)
    assert str(tmp_path / name) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArticulationError, match=r"gone\.lab does not exist"):
        read_timings(tmp_path / "gone.lab")


def rows_of(symbols):
    return json.dumps([[s, i / 10, (i + 1) / 10] for i, s in enumerate(symbols)])


@pytest.mark.parametrize(
    "symbols",
    [
        [
            "spn",
            "aj",
            "ɡ",
            "ow",
            "d̪",
            "ej",
            "ɔj",
            "tʰ",
            "ʉː",
            "aw",
            "t̪",
            "ɫ̩",
            "cʰ",
            "pʲ",
            "ɝ",
            "əw",
        ],
        ["sil", "i˥˩", "ow˨˩˦", "tɕʰ", "ʈʂʰ", "tsʰ", "ʐ̩", "z̩", "aj˧˥", "ɥ", "ŋ", "e˥", "a˩"],
        ["t͡ʃ", "d͡ʒ", "t͜s", "ɪə", "eə", "ʊə", "ç", "ẽ"],
        ["<p:>", "aI", "OY", "@U", "tS", "I@", "3:", "6", "2:", "{", "V", "=n", "?", "N", "<p:>"],
    ],
)
def test_sounds_of_common_aligners_are_known(tmp_path, symbols):
    timings = read(tmp_path, "a.json", rows_of(symbols), strict=True)
    assert timings.alphabet == "ipa"
    assert len(timings.phones) == len(symbols)


def test_sampa_becomes_ipa(tmp_path):
    timings = read(tmp_path, "a.json", rows_of(["<p:>", "h", "aI", "S", "E", "9", "2:"]))
    assert [p.symbol for p in timings.phones] == ["<p:>", "h", "aɪ", "ʃ", "ɛ", "œ", "ø"]


def test_noise_is_silence_and_unknown_sounds_are_neutral(tmp_path):
    rows = rows_of(["M", "AA1", "{LG}", "<breath>", "laughter", "br", "QQ", "P", "QQ"])
    with pytest.warns(UserWarning, match="taken as") as caught:
        timings = read(tmp_path, "a.json", rows)
    (message,) = [str(w.message).partition("a.json: ")[2] for w in caught]
    noise, unknown = message.split("; ")
    assert noise == "noise marks taken as silence: '{LG}', '<breath>', 'laughter', 'br'"
    assert unknown == "sounds without arpabet rules taken as a neutral mouth: 'QQ'"
    symbols = [p.symbol for p in timings.phones]
    assert symbols == ["M", "AA1", "SIL", "SIL", "SIL", "SIL", "AX", "P", "AX"]
    with pytest.raises(UnknownNameError, match="LG"):
        read(tmp_path, "a.json", rows, strict=True)


INVENTORIES = {
    "english_mfa": "a aj aw aː b bʲ c cʰ cʷ d dʒ dʲ d̪ ej fʲ iː kʷ m̩ n̩ ow oː pʷ tʃ t̪ ʉː æ ç ɐ ɒː "
    "ɔj ə əw ɚ ɛː ɜː ɝ ɟʷ ɡʷ ɫ̩ ɱ ɲ ɹ ɾ̃ ʋ ʎ ʔ θ kp ɡb ɓ ɗ",
    "mandarin_mfa": "a˥ a˧˥ a˨˩˦ aj˥ aw˧˥ ej˥˩ io˥ m̩˧˥ ow˨˩˦ tsʰ tɕʰ ɥ ʈʂʰ ʐ̩˥ z̩˥˩ ə˧˥ ɚ˧˥",
    "mandarin with digits": "a1 i4 aw3 ow2 ə5 u0 a¹ i⁴ a55 ʅ4 ɿ3 tɕ ʂ",
    "german_mfa": "aj aw aː cʰ eː l̩ pf pʰ ts øː ŋ̩ œ ɐ ɔʏ ɔɪ̯ aʊ̯ ɛɐ̯ iːɐ̯ ʁ̥ ʏ ç ə",
    "french_mfa": "ɑ̃ ɔ̃ ɛ̃ œ̃ ø œ y ɥ ɲ ʁ ʎ mʲ vʲ ts",
    "spanish_mfa": "β ð ɣ ɟʝ ʝ ɲ ɾ r tʃ t̪ d̪ s̪ ʎ θ x a̠",
    "japanese_mfa": "aː bː bʲː dʑː dzː i̥ i̥ː ɨ̥ ɯ̥ː ɯᵝ ɰ̃ ɴː ɸʲ ɾʲː tɕː tsː ʑ ŋ",
    "korean_mfa": "c͈ k̚ k͈ p͈ s͈ sʰ tɕ͈ t̚ t͈ ɐ ɕʰ ɨː ɸʷ ʌː ʝ ɭ ɰ k͈ʷ βʷ",
    "others": "tʼ kʼ tʃʼ ǀ ʘ dʱ ɽʱ r̝̊ ł ħ ʕ tɬ ɮ ɺ aɪə ɐ̃w̃ õj̃ uə ɨu ø̞ tˤ lˤ",
}


@pytest.mark.parametrize("name", INVENTORIES)
def test_the_sounds_of_an_inventory_are_known(tmp_path, name):
    symbols = ["spn", *INVENTORIES[name].split(), "sil"]
    timings = read(tmp_path, "a.json", rows_of(symbols), strict=True)
    assert timings.alphabet == "ipa"
    assert articulate(timings.phones, alphabet="ipa").values.shape[0] == 5 * len(symbols)


MAUS = {
    "german": "a: aI aU a~: C dZ E: OY pf R 2: 9~ 6 @ ? i:6 e:6 2:6 O6 =n m= <p:>",
    "english": "{ Q V U i: 3: eI OI @U I@ U@ tS D T S Z N r\\ 4 3` @` l= aI@ t_h l_G",
}


@pytest.mark.parametrize("name", MAUS)
def test_the_sounds_of_maus_are_known(tmp_path, name):
    timings = read(tmp_path, "a.json", rows_of(MAUS[name].split()), strict=True)
    assert timings.alphabet == "ipa"


TIMIT = "h# bcl b dcl d gcl g pcl p tcl t kcl k dx q hv ax-h ux axr ix eng nx epi pau"


def test_the_sounds_of_timit_are_known(tmp_path):
    timings = read(tmp_path, "a.json", rows_of(TIMIT.split()), strict=True)
    assert timings.alphabet == "arpabet"
    closure = articulate(timings.phones, alphabet="arpabet").curve("closure")
    assert closure[7] > 0.9  # the stop closure of b


def test_a_sound_of_several_vowels_glides(tmp_path):
    timings = read(tmp_path, "a.json", json.dumps([["uə", 0, 0.6]]))
    rounding = articulate(timings.phones).curve("rounding")
    assert rounding[6] > rounding[26] + 0.2


NOISES = "<laugh> [laughter] {LG} {NS} (cough) +BREATH+ *click* noise NOI LAU BRH %uh &=laughs oov"
SILENCES = "sil SP pau <eps> <p:> <P> (...) ... - h# !SIL [SIL] </s> _"


@pytest.mark.parametrize("sounds", ["M AA1 P", "m ɑ p ə", "m aI S E"])
def test_marks_among_any_sounds_are_silence(tmp_path, sounds):
    symbols = [*sounds.split(), *NOISES.split(), *SILENCES.split()]
    with pytest.warns(UserWarning, match="noise marks taken as silence") as caught:
        timings = read(tmp_path, "a.json", rows_of(symbols))
    assert "neutral" not in str(caught[0].message)
    assert timings.notes == (str(caught[0].message).partition("a.json: ")[2],)
    find = Rules.load().phones.find
    marks = timings.phones[len(sounds.split()) :]
    assert all(find(p.symbol, timings.alphabet) is None for p in marks)


def test_a_tier_is_chosen_by_name(tmp_path):
    text = LONG.format(name="lips")
    with pytest.raises(ArticulationError, match="'words', 'lips'; choose one with --tier"):
        read(tmp_path, "a.TextGrid", text)
    assert rounded(read(tmp_path, "a.TextGrid", text, tier="LIPS")) == MAP
    with pytest.raises(ArticulationError, match="no interval tiers called 'x'; there are: 'words'"):
        read(tmp_path, "a.TextGrid", text, tier="x")
    with pytest.raises(ArticulationError, match="no tier 'x': this kind of file has no tiers"):
        read(tmp_path, *FILES["htk"], tier="x")
