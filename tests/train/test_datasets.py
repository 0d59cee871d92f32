from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesdk.articulation import Rules
from facesdk.cli import main
from facesdk.datasets import Corpus, CorpusWriter, TimedPhone, Utterance
from facesdk.datasets.speech import festival, flite, hibari, kokoro, speechocean, texts
from facesdk.datasets.speech.durations import KOKORO_LAG, timed_phones
from facesdk.datasets.speech.recipe import HELD_OUT, Recipe, Source, build_corpora
from facesdk.errors import FileFormatError, MissingExtraError, UnknownNameError


def spoken(tokens, seconds=0.1, **options):
    length = len(tokens) * seconds + options.get("begin", 0)
    return timed_phones(tokens, [seconds] * len(tokens), length, **options)


def symbols(phones):
    return [p.symbol for p in phones]


def test_the_lag_of_the_synthesiser_is_taken_off():
    phones = spoken("at", begin=0.3)
    assert [(p.symbol, round(p.start, 3)) for p in phones[:2]] == [("SIL", 0.0), ("a", 0.23)]
    assert KOKORO_LAG == 0.07


def test_stress_marks_give_their_time_to_the_vowel():
    silence, vowel, *_ = spoken("ˈat", begin=0.3)
    assert (silence.symbol, vowel.symbol, vowel.stress) == ("SIL", "a", 1)
    assert vowel.start == pytest.approx(0.23)
    assert vowel.end == pytest.approx(0.43)


def test_short_word_gaps_are_shared_and_long_ones_are_silent():
    assert symbols(spoken("a t", 0.05, lag=0)) == ["a", "t"]
    assert symbols(spoken("a t", 0.2, lag=0)) == ["a", "SIL", "t"]
    _, gap, stop = spoken("a t", 0.2, lag=0)
    assert gap.end == stop.start == pytest.approx(0.35)  # the closure of t has begun


def test_modifiers_join_their_sound():
    phones = spoken("ãːtʰ", lag=0)
    rules = Rules.load()
    assert [rules.phones.find(p.symbol).symbol for p in phones] == ["a", "t"]


@given(
    st.text("ˈaˌt sʃɑ,.m", min_size=1, max_size=30),
    st.floats(0.01, 0.4), st.floats(0, 0.5), st.floats(0.2, 5),
)  # fmt: skip
def test_phones_fill_the_line_without_gaps(tokens, step, begin, seconds):
    phones = timed_phones(tokens, [step] * len(tokens), seconds, begin=begin)
    assert phones[0].start == 0
    assert phones[-1].end == seconds
    for a, b in pairwise(phones):
        assert a.end == b.start
        assert a.end > a.start


def line_of(name, text="Hello."):
    phones = (TimedPhone("SIL", 0, 0.2), TimedPhone("a", 0.2, 0.5, 1))
    return Utterance(name, f"audio/{name}.flac", "en-us", "someone", text, 0.5, phones)


def test_a_corpus_reads_back_what_was_written(tmp_path):
    writer = CorpusWriter(tmp_path)
    samples = (np.random.default_rng(0).standard_normal(8000) * 0.1).astype(np.float32)
    writer.add(line_of("one"), samples)
    writer.finish({"source": "test"})
    (found,) = Corpus(tmp_path)
    assert found == line_of("one")
    np.testing.assert_allclose(Corpus(tmp_path).audio(found), samples, atol=1e-4)
    facts = json.loads((tmp_path / "corpus.json").read_text("utf-8"))
    assert facts["utterances"] == 1
    assert len(facts["sha256"]) == 64


def test_a_killed_build_goes_on_where_it_stopped(tmp_path):
    CorpusWriter(tmp_path).add(line_of("one"), np.zeros(8000, np.float32))
    with (tmp_path / "utterances.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "two", "fi')
    writer = CorpusWriter(tmp_path)
    assert writer.ids == {"one"}
    assert writer.seconds == 0.5
    writer.add(line_of("two"), np.zeros(8000, np.float32))
    assert [u.id for u in Corpus(tmp_path)] == ["one", "two"]


def test_a_folder_without_an_index_is_no_corpus(tmp_path):
    with pytest.raises(FileFormatError, match=r"no utterances\.jsonl"):
        Corpus(tmp_path)


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / "utterances.jsonl").write_text('{"id": 1}\n', encoding="utf-8")
    with pytest.raises(FileFormatError, match="line 1"):
        list(Corpus(tmp_path))


def test_sentences_are_shuffled_by_seed():
    first = texts.lines("en", "game_en", seed=1)
    assert first == texts.lines("en", "game_en", seed=1)
    assert first != texts.lines("en", "game_en", seed=2)
    assert len(first) > 5000
    with pytest.raises(UnknownNameError, match="did you mean 'en'"):
        texts.lines("eng", seed=1)


def test_hibari_speaks_with_exact_times_and_repeats_itself():
    for name in ("onnx", "hibari"):
        pytest.importorskip(name)
    engine = hibari.Hibari()
    tokens = engine.tokens("Hello there, traveller.")

    def speak(seed):
        rng = np.random.default_rng(seed)
        return engine.speak(tokens, hibari.Speaker(rng), rng)

    samples, phones = speak(1)
    again, _ = speak(1)
    other, _ = speak(2)
    np.testing.assert_array_equal(samples, again)
    assert len(other) != len(samples)
    assert phones[-1].end == pytest.approx(len(samples) / 16_000)
    rules = Rules.load()
    assert {"h", "l", "t"} <= {p.symbol for p in phones if rules.phones.find(p.symbol)}


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_flite_speaks_with_exact_times(tmp_path):
    writer = CorpusWriter(tmp_path)
    flite.build(writer, ["Big boys move.", "My map."], hours=1, seed=1)
    first, _ = Corpus(tmp_path)
    assert first.alphabet == "arpabet"
    assert [p.symbol for p in first.phones if p.symbol != "SIL"][:3] == ["B", "IH", "G"]
    samples = Corpus(tmp_path).audio(first)
    assert first.phones[-1].end == pytest.approx(len(samples) / 16_000, abs=0.02)


def test_kokoro_mixes_voices_of_the_language_first():
    voices = ["af_heart", "am_adam", "bf_emma", "ff_siwis"]
    for seed in range(50):
        mix = kokoro._random_mix(voices, "en-us", np.random.default_rng(seed))
        assert sum(mix.values()) == pytest.approx(1)
        assert next(iter(mix))[0] == "a"
    same = [kokoro._random_mix(voices, "en-us", np.random.default_rng(3)) for _ in range(2)]
    assert same[0] == same[1]


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_german_is_written_in_sounds_that_kokoro_and_the_rules_know():
    pytest.importorskip("hibari")
    known = set(hibari.Hibari()._engine.vocab)
    rules = Rules.load()
    phones = [kokoro._espeak(text, "de") for text in texts.lines("de", seed=1)[:12]]
    phones.append(kokoro._espeak("Zwölf Brüder, ich höre den Turm!", "de"))
    assert set("".join(phones)) <= known
    for symbol in set("".join(phones)) - set("ˈˌː ,."):
        assert rules.phones.find(symbol) is not None
    assert phones[-1] == "tsvˈœlf bʁˈyːdɐ, ɪç hˈøːʁə deːn tˈʊɐm"


def test_a_language_without_voices_is_spoken_by_all():
    voices = ["af_heart", "bm_george", "pf_dora"]
    mixes = [kokoro._random_mix(voices, "de", np.random.default_rng(s)) for s in range(30)]
    assert set().union(*mixes) == set(voices)
    assert set(kokoro.BORROWED).isdisjoint(language for language, _ in kokoro.LANGUAGES.values())


LISTING = """\
# 0.10 0 0 0
m 0.20 0 single 0
a: 0.30 0 single m
c 0.50 0 single a:
i 0.60 0 single c
j 0.70 0 single 0
e 0.80 0 single j
# 0.95 0 0 0
"""


def test_phones_of_festival_get_our_symbols_and_the_stress_of_the_language():
    (voice,) = (v for v in festival.VOICES if v.name == "czech_ph")
    phones = festival._phones(LISTING, voice, 0.9)
    assert [(p.symbol, p.stress) for p in phones] == [
        ("SIL", 0), ("m", 0), ("a", 1), ("t", 0), ("s", 0), ("ɪ", 0), ("j", 0), ("ɛ", 0),
        ("SIL", 0),
    ]  # fmt: skip
    assert [p.end for p in phones[3:5]] == pytest.approx([0.4, 0.5])
    assert phones[-1].end == 0.9


def test_every_sound_of_every_festival_voice_has_a_rule():
    rules = Rules.load()
    for voice in festival.VOICES:
        for symbol in " ".join((voice.symbols or {}).values()).split():
            assert rules.phones.find(symbol) is not None


def test_every_line_is_spoken_by_every_voice_of_its_language():
    turns = [(text, voice.name) for text, voice in festival._turns("cs", ["a", "b", "c"])]
    assert len(set(turns)) == len(turns) == 3 * 4
    assert [text for text, _ in turns[:3]] == ["a", "b", "c"]
    assert len({name for _, name in turns[:3]}) == 3


def needs_voice(package, name):
    found = any(Path("/usr/share/festival/voices").glob(f"*/{name}"))
    return pytest.mark.skipif(not found, reason=f"{package} is not installed")


@needs_voice("festvox-kallpc16k", "kal_diphone")
@needs_voice("festvox-suopuhe-mv", "hy_fi_mv_diphone")
def test_festival_speaks_with_exact_times_and_goes_on_where_it_stopped(tmp_path, monkeypatch):
    few = [v for v in festival.VOICES if v.name in ("kal_diphone", "hy_fi_mv_diphone")]
    monkeypatch.setattr(festival, "VOICES", tuple(few))
    lines = {"en-us": ['Big "boys" move.'], "fi": ["Pöllö istuu puussa."]}
    festival.build(CorpusWriter(tmp_path), lines, hours=1e-6, seed=1)
    assert len(list(Corpus(tmp_path))) == 1
    festival.build(CorpusWriter(tmp_path), lines, hours=1, seed=1)
    english, finnish = Corpus(tmp_path)
    assert english.alphabet == "arpabet"
    assert [p.symbol for p in english.phones if p.symbol != "SIL"][:3] == ["B", "IH", "G"]
    assert [p.symbol for p in finnish.phones if p.symbol != "SIL"][:4] == ["p", "ø", "l", "ø"]
    assert [p.stress for p in finnish.phones if p.symbol == "ø"] == [1, 0]
    for utterance in (english, finnish):
        samples = Corpus(tmp_path).audio(utterance)
        assert np.abs(samples).max() <= 1
        assert utterance.phones[-1].end == pytest.approx(len(samples) / 16_000, abs=0.02)
        assert all(a.end == b.start for a, b in pairwise(utterance.phones))


@pytest.mark.parametrize("speak", [flite.speak, festival.speak])
def test_a_missing_program_is_named_with_its_package(speak, monkeypatch):
    monkeypatch.setenv("PATH", "")
    voice = "rms" if speak is flite.speak else festival.VOICES[0]
    with pytest.raises(MissingExtraError, match="apt-get install f"):
        speak("Hello.", voice, stretch=1.0)


@pytest.mark.skipif(shutil.which("festival") is None, reason="festival is not installed")
def test_a_missing_voice_is_named_with_its_package():
    voice = replace(festival.VOICES[0], name="nobody", package="festvox-nobody")
    with pytest.raises(MissingExtraError, match="apt-get install festvox-nobody"):
        festival.speak("Hello.", voice)


def recording(name="1", *, split="train", age=30, alignment=(), **quality):
    found = {"frame_score": -20.0, "shortest_share": 0.1, "loud_outside": 0.0, **quality}
    words = [
        {"word": "THE", "phones": ["DH", "AH0"], "start": 0.2, "end": 0.4},
        {"word": "MELON", "phones": ["M", "EH1", "L", "AH0", "N"], "start": 0.4, "end": 0.8},
        {"word": "ZOO", "phones": ["Z", "UW0"], "start": 0.8, "end": 1.5},
    ]
    spans = alignment if alignment is None else alignment or [
        ["SIL", 0.0, 0.1], ["+NSN+", 0.1, 0.2], ["DH", 0.2, 0.3], ["AH", 0.3, 0.4],
        ["M", 0.4, 0.5], ["EH", 0.5, 0.6], ["L", 0.6, 0.7], ["AH", 0.7, 0.75], ["N", 0.75, 0.8],
        ["Z", 0.8, 0.9], ["UW", 0.9, 1.5], ["SIL", 1.5, 1.99],
    ]  # fmt: skip
    return {
        "id": name, "file": f"audio/{name}.ogg", "speaker": "0001", "gender": "f", "age": age,
        "split": split, "seconds": 2.0, "text": "THE MELON ZOO", "words": words,
        "alignment": spans, "quality": found if spans else None,
    }  # fmt: skip


def recordings(folder, *records):
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "utterances.jsonl").write_text(text, encoding="utf-8")
    return folder


def test_aligned_recordings_are_read_as_a_corpus(tmp_path):
    (found,) = Corpus(recordings(tmp_path, recording(age=9)))
    assert (found.alphabet, found.split, found.group) == ("arpabet", "train", "child")
    assert [(p.symbol, p.stress) for p in found.phones] == [
        ("SIL", 0), ("DH", 0), ("AH", 0), ("M", 0), ("EH", 1), ("L", 0), ("AH", 0), ("N", 0),
        ("Z", 0), ("UW", 1), ("SIL", 0),
    ]  # fmt: skip
    assert found.phones[9].end == pytest.approx(1.2)  # the rest of 0.6 s is breath
    assert found.phones[-1].end == 2.0
    assert all(a.end == b.start for a, b in pairwise(found.phones))


def test_poor_alignments_are_left_out_and_counted(tmp_path):
    folder = recordings(
        tmp_path,
        recording("1"),
        recording("2", frame_score=-33.0),
        recording("3", shortest_share=0.3),
        recording("4", loud_outside=0.25),
        recording("5", alignment=None),
        recording("6", split="test"),
    )
    assert [u.id for u in Corpus(folder)] == ["1", "6"]
    assert Corpus(folder).left_out() == {"not aligned": 1, "poor alignment": 3}
    source = Source("speechocean", split="train")
    assert [source.takes(u) for u in Corpus(folder)] == [True, False]
    assert all(Source("hibari").takes(u) for u in Corpus(folder))


@given(st.lists(st.tuples(st.sampled_from(["SIL", "+NSN+", "AH", "T"]), st.integers(3, 90)),
                min_size=1, max_size=12))  # fmt: skip
def test_aligned_recordings_have_no_holes(spans):
    ends = np.cumsum([length for _, length in spans]) / 100
    starts = [0.0, *ends[:-1]]
    alignment = [[p, s, e] for (p, _), s, e in zip(spans, starts, ends, strict=True)]
    record = {**recording(alignment=alignment), "seconds": float(ends[-1]) + 0.01, "words": []}
    phones = speechocean.as_corpus_record(record)["phones"]
    assert (phones[0].start, phones[-1].end) == (0.0, record["seconds"])
    for a, b in pairwise(phones):
        assert a.end == b.start
        assert a.symbol != "SIL" or b.symbol != "SIL"


def test_a_corpus_is_described_on_the_command_line(tmp_path, capsys):
    age = {"1": 9, "2": 40, "3": 40}
    records = [recording(i, age=a, split="test" if i == "3" else "train") for i, a in age.items()]
    recordings(tmp_path, *records, recording("4", frame_score=-50.0))
    assert main(["datasets", "info", str(tmp_path)]) == 0
    line = capsys.readouterr().out
    assert "3 utterances" in line
    assert "test adult 0.001 h, train adult 0.001 h, train child 0.001 h" in line
    assert "1 left out (poor alignment)" in line
    assert "Apache-2.0" in line
    writer = CorpusWriter(tmp_path / "spoken")
    writer.add(line_of("one"), np.zeros(8000, np.float32))
    writer.finish({"source": "flite", "terms": "BSD-like"})
    assert main(["datasets", "info", str(tmp_path / "spoken"), "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out).values()
    assert (facts["source"], facts["terms"], facts["left_out"]) == ("flite", "BSD-like", {})


def test_recordings_that_nobody_gave_are_left_out_and_told(tmp_path):
    recipe = replace(Recipe.load("default"), corpora={"speechocean": Source("speechocean")})
    told = []
    held_out = {HELD_OUT: tmp_path}
    assert build_corpora(recipe, tmp_path, existing=held_out, log=told.append) == held_out
    (line,) = told
    assert line.startswith("speechocean: left out")
    assert "--corpus speechocean=DIR" in line
    both = {**held_out, "speechocean": tmp_path / "mine"}
    assert build_corpora(recipe, tmp_path, existing=both) == both


def test_the_default_recipe_names_its_sources_and_its_test_voices():
    recipe = Recipe.load("default")
    spoken = {"hibari", "flite", "kokoro", "kokoro_de", "kokoro_ja", "kokoro_zh", "festival"}
    assert set(recipe.corpora) == {*spoken, "non_speech", "speechocean"}
    assert set(Recipe.load("synthetic").corpora) == {*spoken, "non_speech"}
    assert {n for n, s in recipe.corpora.items() if not s.spoken} == {"non_speech"}
    assert len(recipe.held_out_voices) == 8
    assert recipe.schedule["steps"] >= 1000


def test_a_recipe_may_extend_another(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "default"\nname = "mine"\nwithout = ["festival", "speechocean"]\n'
        '[schedule]\nsteps = 7\n[corpora.flite]\nhours = 9\nseed = 1\nlines = ["en"]\n',
        encoding="utf-8",
    )
    mine, base = Recipe.load(path), Recipe.load("default")
    assert (mine.name, mine.license) == ("mine", base.license)
    assert set(base.corpora) - set(mine.corpora) == {"festival", "speechocean"}
    assert mine.corpora["flite"].hours == 9
    assert mine.schedule == {**base.schedule, "steps": 7}
    assert mine.sha256 != base.sha256
    path.write_text('extends = "default"\n[corpora.speechocean]\nweight = 0\n', encoding="utf-8")
    with pytest.raises(FileFormatError, match="weight must be above 0"):
        Recipe.load(path)
    path.write_text('extends = "default"\nwithout = ["flit"]\n', encoding="utf-8")
    with pytest.raises(FileFormatError, match="did you mean 'flite'"):
        Recipe.load(path)


def test_bad_recipes_say_what_is_wrong(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'default'"):
        Recipe.load("defautl")
    path = tmp_path / "mine.toml"
    path.write_text('name = "x"\n', encoding="utf-8")
    with pytest.raises(FileFormatError, match="not a training recipe"):
        Recipe.load(path)
    with pytest.raises(FileFormatError, match="cannot be read"):
        Recipe.load(tmp_path / "none.toml")
