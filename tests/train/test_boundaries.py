"""Phone times at the sound, sounds that nobody speaks, and languages read without espeak-ng."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from facesdk.articulation import Rules, TimedPhone
from facesdk.datasets.speech import Corpus, CorpusWriter, non_speech, texts
from facesdk.datasets.speech.boundaries import at_the_sound, step_between
from facesdk.datasets.speech.durations import timed_phones
from facesdk.datasets.speech.east_asian import japanese

RATE = 16_000


def hummed(closed=(0.40, 0.50), seconds=1.0):
    """A buzz with a closure in it."""
    time = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * 140 * n * time) / n**0.5 for n in range(1, 40))
    gate = np.where((time >= closed[0]) & (time < closed[1]), 0.003, 1.0)
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.05 * gate * buzz + 1e-4 * noise).astype(np.float32)


@pytest.mark.parametrize("late", [-0.03, 0.0, 0.02])
def test_a_closure_is_moved_to_where_the_sound_stops(late):
    phones = [
        TimedPhone("a", 0.0, 0.4 + late), TimedPhone("p", 0.4 + late, 0.5 + late),
        TimedPhone("a", 0.5 + late, 1.0),
    ]  # fmt: skip
    moved = at_the_sound(["a", "p", "a"], phones, hummed())
    assert [p.end for p in moved] == pytest.approx([0.4, 0.5, 1.0], abs=0.004)
    assert [p.symbol for p in moved] == ["a", "p", "a"]


def test_boundaries_without_a_step_move_by_the_offset_of_their_corpus():
    phones = [TimedPhone("a", 0.0, 0.3), TimedPhone("i", 0.3, 1.0)]
    moved = at_the_sound(["a", "i"], phones, hummed(), offset=0.01)
    assert [(p.start, p.end) for p in moved] == [(0.0, pytest.approx(0.31)), (0.31, 1.0)]


def test_moved_phones_stay_in_order():
    times = [0.0, 0.37, 0.39, 0.41, 0.43, 1.0]
    phones = [TimedPhone("x", a, b) for a, b in itertools.pairwise(times)]
    moved = at_the_sound(["a", "p", "a", "m", "a"], phones, hummed())
    assert all(p.end >= p.start for p in moved)
    assert all(a.end == b.start for a, b in itertools.pairwise(moved))


def test_only_sharp_changes_are_steps():
    assert step_between("a", "s") == ("high", 1)
    assert step_between("ʧ", "a") == ("high", -1)
    assert step_between("a", "ʧ") == ("middle", -1)
    assert step_between("a", "i") is None
    assert step_between("f", "a") is None


@pytest.mark.parametrize("kind", non_speech.KINDS)
def test_sounds_that_nobody_speaks_are_finite_audible_and_repeatable(kind):
    one, two = (non_speech.item(kind, np.random.default_rng(3)) for _ in range(2))
    assert len(one) == round(non_speech.SECONDS * RATE)
    assert np.isfinite(one).all()
    assert np.abs(one).max() <= 0.98
    assert np.sqrt(np.mean(one**2)) > 1e-5
    np.testing.assert_array_equal(one, two)


def test_a_corpus_of_non_speech_is_silence_throughout(tmp_path):
    writer = CorpusWriter(tmp_path)
    non_speech.build(writer, hours=20 / 3600, seed=1)
    lines = list(Corpus(tmp_path))
    assert sum(line.seconds for line in lines) >= 20
    assert {p.symbol for line in lines for p in line.phones} == {"SIL"}


@pytest.mark.parametrize(
    ("kana", "phones"),
    [
        ("シンブン", "ɕimbɯɴ"), ("キャク", "kʲakɯ"), ("チェック", "ʨeʔkɯ"), ("ファン", "ɸaɴ"),
        ("コーヒー", "koːçiː"), ("ワタシワ。", "βataɕiβa."), ("ティー", "tiː"), ("シュ", "ɕɨ"),
    ],
)  # fmt: skip
def test_kana_are_read_mora_by_mora(kana, phones):
    assert japanese(kana) == phones


def test_every_japanese_sound_has_a_rule():
    rules = Rules.load()
    for line in texts.lines("ja", seed=0)[:200]:
        tokens = japanese(line).replace("β", "w")
        timed = timed_phones(tokens, [0.05] * len(tokens), 0.05 * len(tokens))
        for phone in timed:
            rules.phones.find(phone.symbol)
