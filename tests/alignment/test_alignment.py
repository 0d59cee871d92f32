"""Texts in time with recordings: words, alignment, guided baking."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facesdk
from facesdk.alignment import (
    Lexicon,
    Sound,
    Sounds,
    Word,
    align,
    viterbi,
    words_of,
    write_alignment,
)
from facesdk.articulation import Rules, read_timings
from facesdk.audio import read_audio
from facesdk.cli import main
from facesdk.errors import AlignmentError, MissingExtraError
from facesdk.model import Text, align_text
from facesdk.model.guide import features_of

DATA = Path(__file__).resolve().parents[1] / "data"
PUMPKIN = DATA / "pumpkin.flac"
SAID = "The pumpkin trumpet player kept a lamp post."
MAMA = DATA / "mama.flac"
MAMA_SAID = "Mama! My mom, Amy, may make a farm map. Papa, pop a map by a palm."


@pytest.fixture(scope="module")
def model():
    return facesdk.load()


@pytest.fixture(scope="module")
def samples():
    return read_audio(PUMPKIN, sample_rate=16_000)


@pytest.fixture(scope="module")
def aligned(model, samples):
    return align_text([samples], SAID, model)


def labels(name: str) -> list:
    return json.loads((DATA / f"{name}.json").read_text("utf-8"))


# ------------------------------------------------------------------ words


def spelled(text: str, **options) -> list[tuple[str, list[str]]]:
    words = words_of(text, **options)
    return [(w.text, ["".join(s.symbol for s in p) for p in w.pronunciations]) for w in words]


def test_english_words_have_the_pronunciations_of_both_accents():
    (word,) = spelled("pumpkin")
    assert word == ("pumpkin", ["pʌmpkən", "pʌmpkɪn"])
    assert spelled("pumpkin", language="en-gb") == [("pumpkin", ["pʌmpkɪn"])]


def test_a_word_with_two_readings_keeps_both():
    assert {"ɹid", "ɹɛd"} <= set(spelled("I read it.")[1][1])


def test_numbers_abbreviations_and_symbols_are_read_out():
    found = dict(spelled("Dr. Smith & 23 others paid $4.50"))
    assert "twɛntiθɹi" in found["23"]
    assert any(p.startswith("dɑkt") for p in found["Dr"])
    assert "ænd" in found["&"]
    assert any("dɑləɹz" in p for p in found["4.50"])


def test_a_line_in_capitals_is_not_spelled_letter_by_letter():
    assert dict(spelled("WE CALL IT BEAR"))["it"] == ["ɪt"]


def test_unknown_words_are_read_by_rule_and_named():
    with pytest.warns(UserWarning, match="words read by rule: 'blorptastic'"):
        ((_, found),) = spelled("blorptastic")
    assert found[0].startswith("bl")


def test_words_of_another_script_are_kept_without_sounds_and_named():
    with pytest.warns(UserWarning, match="left to the network: '日本'"):
        assert spelled("Hello 日本")[1] == ("日本", [])


def test_stage_directions_are_left_out_and_named():
    with pytest.warns(UserWarning, match=r"stage directions left out: '\[laughs\]', '\*sighs\*'"):
        assert [w for w, _ in spelled("[laughs] Well *sighs* now")] == ["Well", "now"]


@pytest.mark.parametrize(
    "written", ["/p ʌ m p k ɪ n/", "/P AH1 M P K IH0 N/", "/pˈʌmpkɪn/", "[x](/p ʌ m p k ɪ n/)"]
)
def test_sounds_may_be_written_in_the_text(written):
    (word,) = words_of(f"{written}.", language="xx")
    assert "".join(s.symbol for s in word.pronunciations[0]) == "pʌmpkɪn"


def test_a_slash_inside_words_is_no_pronunciation():
    words = [w for w, _ in spelled("this and/or that")]
    assert (words[0], words[-1]) == ("this", "that")


@pytest.mark.parametrize(
    ("text", "message"),
    [("  ...  ", "no words"), ("/p ʌ ✗/", "no IPA sound"), ("/SIL/", "contains no sound")],
)
def test_texts_without_words_or_with_unknown_sounds_are_errors(text, message):
    with pytest.raises(AlignmentError, match=message):
        words_of(text)


def test_another_language_needs_a_lexicon():
    with pytest.raises(AlignmentError, match="'de' need a lexicon"):
        words_of("Guten Tag", language="de")


def test_a_lexicon_serves_any_language_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("facesdk.alignment.english._reader", None)
    path = tmp_path / "de.dict"
    path.write_text(";;; German\nÄpfel  ɛ p f əl\n".replace("əl", "ə l") + "äpfel(2) 0.3 ɛ f ə l\n",
                    "utf-8")  # fmt: skip
    assert spelled("ÄPFEL!", lexicon=Lexicon.read(path)) == [("ÄPFEL", ["ɛpfəl", "ɛfəl"])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no entry"),
        (b"word\n", "line 1: 'word' has no sounds"),
        ("a  a\nb  ✗✗\n".encode(), "line 2, 'b'"),
        (b"\xff\xfe\x00", "neither UTF-8 nor UTF-16"),
        (b"a\0b", "zero bytes"),
    ],
)
def test_a_damaged_lexicon_is_named_with_its_line(tmp_path, content, message):
    path = tmp_path / "words.dict"
    path.write_bytes(content)
    with pytest.raises(AlignmentError, match=message):
        Lexicon.read(path)


def test_english_without_the_extra_says_how_to_install_it(monkeypatch):
    from facesdk.alignment import english

    english._reader.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "hibari.g2p", None)
    with pytest.raises(MissingExtraError, match=r"facesdk-anim\[text\]"):
        words_of("hello")
    english._reader.cache_clear()


# ------------------------------------------------------------------ path


@given(
    scores=st.lists(
        st.lists(st.floats(-9, 0, width=32), min_size=3, max_size=3), min_size=4, max_size=24
    ),
    commit=st.integers(1, 6),
)
def test_the_best_path_is_that_of_an_exhaustive_search(scores, commit):
    table = np.array(scores, np.float32)
    graph = viterbi.Graph(
        classes=np.array([0, 1, 2, 1]),
        stay=np.array([-0.1, -0.5, -0.2, -0.3], np.float32),
        before=np.array([[4, 4], [0, 4], [0, 1], [1, 2]]),
        weight=np.array([[0, 0], [-1, 0], [-2, -0.5], [-1, -0.7]], np.float32),
        first=np.array([0, 1]),
        last=np.array([2, 3]),
    )
    best = {0: (float(table[0, 0]), [0]), 1: (float(table[0, 1]), [1])}
    for row in table[1:]:
        step = {}
        for state in range(4):
            came = (
                [(best[state][0] + float(graph.stay[state]), best[state][1])]
                if state in best
                else []
            )
            for origin, weight in zip(graph.before[state], graph.weight[state], strict=True):
                if int(origin) in best:
                    came.append((best[int(origin)][0] + float(weight), best[int(origin)][1]))
            if came:
                total, path = max(came, key=lambda one: one[0])
                step[state] = (total + float(row[graph.classes[state]]), [*path, state])
        best = step
    expected = max(best[s][0] for s in (2, 3) if s in best)
    old, viterbi._COMMIT = viterbi._COMMIT, commit
    try:
        path = viterbi.best_path(graph, len(table), lambda a, b: table[a:b])
    finally:
        viterbi._COMMIT = old
    total = float(table[0, graph.classes[path[0]]])
    for i in range(1, len(path)):
        one, state = int(path[i - 1]), int(path[i])
        steps = [float(w) for o, w in zip(graph.before[state], graph.weight[state], strict=True)
                 if int(o) == one]  # fmt: skip
        total += max([*steps, *([float(graph.stay[state])] if one == state else [])])
        total += float(table[i, graph.classes[state]])
    assert total == pytest.approx(expected, abs=1e-3)


def test_a_text_longer_than_its_recording_has_no_path():
    graph = viterbi.Graph(
        np.zeros(3, np.intp), np.zeros(3, np.float32), np.array([[3], [0], [1]]),
        np.zeros((3, 1), np.float32), np.array([0]), np.array([2]),
    )  # fmt: skip
    assert viterbi.best_path(graph, 2, lambda a, b: np.zeros((b - a, 1), np.float32)) is None


SYMBOLS = sorted(s for s, _ in Sounds.load().classes if s != "SIL")


@settings(max_examples=25)
@given(
    words=st.lists(
        st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=4), min_size=1, max_size=6
    ),
    frames=st.integers(1, 150),
    seed=st.integers(0, 9),
)
def test_alignments_are_in_order_and_cover_the_recording(words, frames, seed):
    sounds = Sounds.load()
    rng = np.random.default_rng(seed)
    features = rng.uniform(0, 1, (frames, len(sounds.curves) + 6)).astype(np.float32)
    text = [Word(str(i), (tuple(map(Sound, word)),)) for i, word in enumerate(words)]
    found = align(features, sounds.curves, text)
    assert found.phones[0].start == 0
    assert found.phones[-1].end == pytest.approx(frames / 100)
    assert all(a.end == b.start for a, b in zip(found.phones, found.phones[1:], strict=False))
    assert all(p.end > p.start for p in found.phones)
    assert sorted([*(w.text for w in found.words), *found.missed], key=int) == [
        w.text for w in text
    ]
    assert all(a.end <= b.start for a, b in zip(found.words, found.words[1:], strict=False))


def test_every_sound_of_the_rules_has_statistics_or_a_stand_in():
    sounds = Sounds.load()
    for symbol in Rules.load().phones.phones:
        assert len(sounds.columns_of(symbol)) == 3
        assert 0.02 < sounds.seconds_of(symbol) < 0.4


# ------------------------------------------------------------------ recordings


def test_the_lip_closures_of_pumpkin_are_where_they_are_spoken(aligned):
    given_ = [p for p in labels("pumpkin") if p[0] in "pbm"]
    found = [p for p in aligned.phones if p.symbol in "pbm"]
    assert [p.symbol for p in found] == [p[0] for p in given_]
    away = [abs(p.start + p.end - q[1] - q[2]) / 2 for p, q in zip(found, given_, strict=True)]
    assert np.median(away) < 0.02
    assert max(away) < 0.05


def test_curves_that_a_model_lacks_or_adds_do_not_matter_much(model, samples, aligned):
    features, names, _ = features_of([samples], model)
    reordered = [*reversed(names), "new"]
    columns = [names.index(n) for n in reversed(names)]
    changed = np.hstack([features[:, columns], np.ones((len(features), 1), np.float32),
                         features[:, len(names) :]])  # fmt: skip
    again = align(changed, reordered, words_of(SAID), seconds=aligned.seconds)
    assert again.phones == aligned.phones
    fewer = [n for n in names if n not in ("tongue_back", "accent")]
    kept = [names.index(n) for n in fewer]
    part = np.hstack([features[:, kept], features[:, len(names) :]])
    assert align(part, fewer, words_of(SAID)).fits


def test_silence_around_a_line_shifts_its_words(model, samples, aligned):
    silence = np.zeros(16_000, np.float32)
    shifted = align_text([silence, samples, silence], SAID, model)
    assert [w.text for w in shifted.words] == [w.text for w in aligned.words]
    starts = [b.start - a.start for a, b in zip(aligned.words, shifted.words, strict=True)]
    assert np.median(starts) == pytest.approx(1.0, abs=0.021)


def test_words_that_were_not_spoken_are_missed_and_named(model, samples):
    with pytest.warns(UserWarning, match="not found: .*'sausages'"):
        clip = facesdk.bake(samples, text=f"{SAID} Entirely different sausages")
    assert "sausages" not in [event.data["text"] for event in clip.events]


def test_speech_that_the_text_lacks_is_left_to_the_network(model, samples):
    found = align_text([samples], "kept a lamp post.", model)
    begin = next(w.start for w in found.words if w.text == "kept")
    assert begin > 1.2
    unknown = sum(p.end - p.start for p in found.phones if p.symbol == "SPN")
    assert unknown > 0.4
    assert all(start >= 1.0 or end <= 0.5 for start, end in found.trusted())


def test_another_text_is_recognized_and_left_out(samples):
    with pytest.warns(UserWarning, match="the text is not that of the recording"):
        clip = facesdk.bake(samples, text="Nobody here says anything of the kind, do you agree?")
    assert not clip.events
    np.testing.assert_array_equal(clip.values, facesdk.bake(samples).values)


def test_a_text_finds_closures_that_the_network_misses():
    heard = facesdk.bake(MAMA, rig="units", fps=100, blinks=False)
    guided = facesdk.bake(MAMA, rig="units", fps=100, blinks=False, text=MAMA_SAID)

    def sealed(clip) -> int:
        closure = clip.curve("closure")
        spans = [(s, e) for p, s, e, _ in labels("mama") if p in "pbm"]
        return sum(closure[math.ceil(s * 100) : int(e * 100) + 1].max() > 0.9 for s, e in spans)

    assert sealed(heard) < sealed(guided)
    assert sealed(guided) >= 18  # of 20


def test_jaw_and_loudness_stay_as_heard(samples):
    heard, guided = (facesdk.bake(samples, rig="units", text=t) for t in (None, SAID))
    for unit in ("jaw", "loudness", "accent", "voicing", "blink_left"):
        np.testing.assert_array_equal(heard.curve(unit), guided.curve(unit))


def test_guided_frames_do_not_depend_on_how_the_audio_is_cut(model, samples, aligned):
    from facesdk.model import Guide

    def frames(size: int) -> np.ndarray:
        session = model.session(guide=Guide(aligned, model))
        got = [f for i in range(0, len(samples), size) for f in session.push(samples[i : i + size])]
        return np.array([f.values for f in [*got, *session.flush()]])

    np.testing.assert_allclose(frames(len(samples)), frames(777), atol=1e-5)


def test_a_lead_moves_guided_closures_with_the_rest(samples):
    plain, early = (
        facesdk.bake(samples, rig="units", fps=50, lead_ms=ms, text=SAID) for ms in (0, 40)
    )
    closure, moved = plain.curve("closure"), early.curve("closure")
    assert np.abs(closure[8:-12] - moved[6:-14]).max() < 0.01


def test_every_rig_of_a_pass_gets_the_text_and_its_events(samples):
    clips = facesdk.bake_rigs(samples, ["units", "arkit"], text=SAID)
    words = [[event.data["text"] for event in clip.events] for clip in clips.values()]
    assert words[0] == words[1]
    assert words[0][:2] == ["The", "pumpkin"]


@pytest.mark.parametrize("value", [7, b"bytes"])
def test_a_text_must_be_text(value):
    with pytest.raises(AlignmentError, match="words must be text"):
        Text(value)


@pytest.mark.parametrize("extension", [".TextGrid", ".json"])
def test_a_written_alignment_is_read_as_timings(tmp_path, aligned, extension):
    path = tmp_path / f"line{extension}"
    write_alignment(aligned, path)
    timings = read_timings(path)
    known = [p for p in timings.phones if p.symbol not in ("SIL", "spn", "SPN")]
    spoken = [p for p in aligned.phones if p.symbol not in ("SIL", "SPN")]
    assert [(p.symbol, p.stress) for p in known] == [(p.symbol, p.stress) for p in spoken]
    assert [p.start for p in known] == pytest.approx([p.start for p in spoken], abs=1e-4)


def test_an_alignment_of_an_unknown_kind_is_an_error(tmp_path, aligned):
    with pytest.raises(AlignmentError, match=r"TextGrid or \.json"):
        write_alignment(aligned, tmp_path / "line.srt")


# ------------------------------------------------------------------ command line


@pytest.fixture
def lines(tmp_path):
    folder = tmp_path / "lines"
    folder.mkdir()
    for name, source, said in (("a", PUMPKIN, SAID), ("b", MAMA, MAMA_SAID)):
        shutil.copy(source, folder / f"{name}.flac")
        (folder / f"{name}.txt").write_text(said, "utf-8")
    return folder


def bake(*arguments) -> int:
    return main(["bake", *map(str, arguments)])


def test_a_folder_is_baked_with_the_texts_beside_it(tmp_path, lines, capsys):
    out, times = tmp_path / "out", tmp_path / "times"
    arguments = (lines, "-o", out, "--text", "auto", "--alignment", times, "--jobs", "1")
    assert bake(*arguments) == 0
    assert "2 baked" in capsys.readouterr().err
    clip = facesdk.read_clip(out / "a.json")
    assert [e.data["text"] for e in clip.events if e.name == "word"][1] == "pumpkin"
    assert clip.meta["text"]["used"] is True
    assert read_timings(times / "a.TextGrid").phones
    assert bake(*arguments) == 0
    assert "2 unchanged" in capsys.readouterr().err
    (lines / "a.txt").write_text(SAID.replace("pumpkin", "pumpkins"), "utf-8")
    assert bake(*arguments) == 0
    assert "1 baked, 1 unchanged" in capsys.readouterr().err
    (times / "b.TextGrid").unlink()
    assert bake(*arguments) == 0
    assert "1 baked, 1 unchanged" in capsys.readouterr().err


def test_a_line_without_a_text_is_baked_without_one(tmp_path, lines):
    (lines / "b.txt").unlink()
    assert bake(lines, "-o", tmp_path / "out", "--text", lines, "--jobs", "1") == 0
    assert not facesdk.read_clip(tmp_path / "out" / "b.json").events


def test_the_text_of_a_single_line(tmp_path, lines):
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    assert bake(lines / "a.flac", "-o", one, "--text", lines / "a.txt") == 0
    assert bake(lines / "a.flac", "-o", other, "--words", SAID) == 0
    assert (facesdk.read_clip(one).values == facesdk.read_clip(other).values).all()


def test_a_text_that_does_not_fit_is_reported(tmp_path, lines):
    shutil.copy(lines / "b.txt", lines / "a.txt")
    report = tmp_path / "qa.json"
    arguments = ("--text", lines / "a.txt", "--report", report)
    with pytest.warns(UserWarning, match=r"the text is not that of .*a\.flac"):
        assert bake(lines / "a.flac", "-o", tmp_path / "a.json", *arguments) == 0
    (line,) = json.loads(report.read_text("utf-8"))["files"]
    assert "other text" in [flag["name"] for flag in line["flags"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.flac", "-o", "x.json", "--text", "none.txt"], "does not exist"),
        (["a.flac", "-o", "x.json", "--text", "a.txt", "--words", "x"], "give one"),
        (["a.flac", "-o", "x.json", "--lexicon", "a.txt"], "--lexicon is for --text"),
        (["a.flac", "-o", "x.json", "--alignment", "a.TextGrid"], "--alignment is for --text"),
        ([".", "-o", "out", "--text", "a.txt"], "text of one line"),
        ([".", "-o", "out", "--words", "hello"], "--words is the text of one line"),
        (
            [".", "-o", "out", "--text", "auto", "--alignment", "x.TextGrid"],
            "need an output folder",
        ),
        (["a.flac", "-o", "x.json", "--words", "..."], "no words"),
        (
            ["a.flac", "-o", "a.txt", "--text", "a.txt", "--format", "csv"],
            "would replace the input",
        ),
        (["a.flac", "-o", "x.json", "--text", "a.txt", "--language", "de"], "need a lexicon"),
    ],
)
def test_options_of_a_text_that_do_not_go_together(lines, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(lines)
    assert bake(*arguments) in (1, 2)
    assert message in capsys.readouterr().err


def test_a_long_recording_keeps_few_states(model, samples):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = align_text([samples] * 12, " ".join([SAID] * 12), model)
    assert len(found.words) + len(found.missed) == 12 * 8
    assert len(found.missed) <= 2
