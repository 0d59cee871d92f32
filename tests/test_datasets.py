from __future__ import annotations

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesdk.articulation import Rules
from facesdk.datasets import (
    Corpus,
    CorpusWriter,
    TimedPhone,
    Utterance,
    flite,
    hibari,
    kokoro,
    texts,
)
from facesdk.datasets.durations import KOKORO_LAG, timed_phones
from facesdk.datasets.recipe import Recipe
from facesdk.errors import FileFormatError, UnknownNameError


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


def line(name, text="Hello."):
    phones = (TimedPhone("SIL", 0, 0.2), TimedPhone("a", 0.2, 0.5, 1))
    return Utterance(name, f"audio/{name}.flac", "en-us", "someone", text, 0.5, phones)


def test_a_corpus_reads_back_what_was_written(tmp_path):
    writer = CorpusWriter(tmp_path)
    samples = (np.random.default_rng(0).standard_normal(8000) * 0.1).astype(np.float32)
    writer.add(line("one"), samples)
    writer.finish({"source": "test"})
    (found,) = Corpus(tmp_path)
    assert found == line("one")
    np.testing.assert_allclose(Corpus(tmp_path).audio(found), samples, atol=1e-4)
    facts = json.loads((tmp_path / "corpus.json").read_text("utf-8"))
    assert facts["utterances"] == 1
    assert len(facts["sha256"]) == 64


def test_a_killed_build_goes_on_where_it_stopped(tmp_path):
    CorpusWriter(tmp_path).add(line("one"), np.zeros(8000, np.float32))
    with (tmp_path / "utterances.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "two", "fi')
    writer = CorpusWriter(tmp_path)
    assert writer.ids == {"one"}
    assert writer.seconds == 0.5
    writer.add(line("two"), np.zeros(8000, np.float32))
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


def test_the_default_recipe_names_its_sources_and_its_test_voices():
    recipe = Recipe.load("default")
    assert set(recipe.corpora) == {"hibari", "flite", "kokoro"}
    assert len(recipe.held_out_voices) == 8
    assert recipe.schedule["steps"] >= 1000


def test_bad_recipes_say_what_is_wrong(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'default'"):
        Recipe.load("defautl")
    path = tmp_path / "mine.toml"
    path.write_text('name = "x"\n', encoding="utf-8")
    with pytest.raises(FileFormatError, match="no training recipe"):
        Recipe.load(path)
    with pytest.raises(FileFormatError, match="cannot be read"):
        Recipe.load(tmp_path / "none.toml")
