"""Forced alignment: when each word and each sound of a text is spoken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Columns, Floats
from ..articulation import TimedPhone
from ..errors import AlignmentError
from .sounds import PARTS, RATE, SILENCE, Sounds
from .viterbi import Graph, best_path
from .words import Word

UNKNOWN = "SPN"
"""Symbol of speech that no word of the text explains, and of noise; silence for the rules."""

_GAP_ENTRY = math.log(0.1)
"""Weight of a pause between two words."""
_UNKNOWN_ENTRY = -15.0
"""Weight of a passage that no word explains."""
_SKIP = -30.0
"""Weight of leaving out a word of the text."""
_SHORTEST_UNKNOWN = 0.08
"""Seconds; shorter unknown passages join the silence around them."""
DOUBTFUL = -6.0
"""Mean score of the frames of a word below which its sounds are not trusted."""
UNEXPLAINED = -9.0
"""Score of speech that no word explains, and of words that were not found."""
FITTING = -5.0
"""Score of a line below which the text is not that of the recording. Texts of other lines score
-5.5 to -9, right ones -1 to -4.5."""
_MISSED_SECONDS = 0.3
"""Seconds that a missed word counts for."""


class AlignedWord(NamedTuple):
    """A word with its times in the recording."""

    text: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""
    score: float
    """Mean logarithm of the probability of its sounds, 0 or less; the higher the surer."""

    @property
    def trusted(self) -> bool:
        """Whether the recording agrees with the sounds of the word."""
        return self.score >= DOUBTFUL


@dataclass(frozen=True)
class Alignment:
    """A text with its times in a recording."""

    words: tuple[AlignedWord, ...]
    """The words that were found, ascending in time."""
    missed: tuple[str, ...]
    """Words of the text that were not found."""
    phones: tuple[TimedPhone, ...]
    """The sounds in IPA, without gaps from 0 to the end; `SIL` for silence, `SPN` for speech that
    no word explains."""

    @property
    def seconds(self) -> float:
        """Duration of the recording."""
        return self.phones[-1].end if self.phones else 0.0

    @cached_property
    def score(self) -> float:
        """Mean score of all speech, weighted by duration.

        Words that were not found, and speech that no word explains, count as `UNEXPLAINED`.
        """
        spans = [(w.end - w.start, max(UNEXPLAINED, w.score)) for w in self.words]
        spans += [(p.end - p.start, UNEXPLAINED) for p in self.phones if p.symbol == UNKNOWN]
        spans += [(_MISSED_SECONDS, UNEXPLAINED) for _ in self.missed]
        total = sum(seconds for seconds, _ in spans)
        return sum(s * value for s, value in spans) / total if total else UNEXPLAINED

    @property
    def found(self) -> float:
        """Share of the words of the text that were found and agree with the recording, 0..1."""
        count = len(self.words) + len(self.missed)
        return sum(word.trusted for word in self.words) / count if count else 0.0

    @property
    def fits(self) -> bool:
        """Whether the text is that of the recording."""
        return self.score >= FITTING

    def trusted(self) -> list[tuple[float, float]]:
        """Return start and end of all passages in which the sounds are known.

        Words that agree with the recording count, silence does, and so does a single word in doubt
        whose neighbors leave it no other place.
        """
        spans = [
            (word.start, word.end, word.trusted or self._is_held(index))
            for index, word in enumerate(self.words)
        ]
        for phone in self.phones:
            if phone.symbol in (SILENCE, UNKNOWN):
                spans.append((phone.start, phone.end, phone.symbol == SILENCE))
        joined: list[tuple[float, float]] = []
        for start, end, known in sorted(spans):
            if not known:
                continue
            if joined and start - joined[-1][1] < 1e-6:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((start, end))
        return joined

    def _is_held(self, index: int) -> bool:
        """Whether all neighbors of a word, one at least, are trusted and follow without a break."""
        word = self.words[index]
        around = [*self.words[max(0, index - 1) : index], *self.words[index + 1 : index + 2]]
        begin = min([word.start, *(other.end for other in around if other.end <= word.start)])
        end = max([word.end, *(other.start for other in around if other.start >= word.end)])
        broken = any(p.symbol == UNKNOWN and p.start < end and p.end > begin for p in self.phones)
        return bool(around) and not broken and all(other.trusted for other in around)

    def to_json(self) -> dict[str, Any]:
        """Return a document that `read_timings` reads, with the words beside the phones."""
        return {
            "format": "facesdk.aligned",
            "version": 1,
            "seconds": round(self.seconds, 4),
            "score": round(self.score, 3),
            "found": round(self.found, 4),
            "words": [
                {"word": w.text, "start": round(w.start, 4), "end": round(w.end, 4),
                 "score": round(w.score, 3), "trusted": w.trusted}
                for w in self.words
            ],
            "missed": list(self.missed),
            "phones": [
                [p.symbol, round(p.start, 4), round(p.end, 4), p.stress] for p in self.phones
            ],
        }  # fmt: skip


class _Place(NamedTuple):
    """What a state stands for."""

    word: int
    """Index of the word; of a pause that of the word after it."""
    phone: int
    """Index of the phone in the pronunciation, -1 for a pause, -2 for unknown speech."""
    pronunciation: int
    part: int


def align(
    features: Floats,
    names: Sequence[str],
    words: Sequence[Word],
    *,
    seconds: float | None = None,
    sounds: Sounds | None = None,
) -> Alignment:
    """Return the times of the words and sounds of a text in a recording.

    `features` is (T, F) at 100 Hz: curves of the network, whose names are `names`, then the levels
    of `BandMeter`. `seconds` is the duration of the recording, by default that of the features.
    Words that were not spoken are left out and become `missed`; speech that no word explains
    becomes `SPN`. Raises `AlignmentError` if there is no word or no feature.
    """
    sounds = sounds or Sounds.load()
    if not any(word.pronunciations for word in words):
        raise AlignmentError(
            f"none of the {len(words)} words of the text has a pronunciation; "
            "give a lexicon, or write the sounds as /p ʌ m p k ɪ n/"
        )
    if not len(features):
        raise AlignmentError("the recording is empty; there is nothing to align")
    graph, places = _graph(words, sounds)
    unknown = len(sounds.classes)

    def score(start: int, stop: int) -> Floats:
        known = sounds.scores(features, start, stop, names)
        return np.pad(known, ((0, 0), (0, 1)), constant_values=sounds.unknown * sounds.scale)

    assert int(graph.classes.max()) <= unknown
    path = best_path(graph, len(features), score)
    length = len(features) / RATE if seconds is None else seconds
    if path is None:
        return Alignment((), tuple(w.text for w in words), (TimedPhone(UNKNOWN, 0.0, length),))
    own = _own_scores(features, names, path, places, words, sounds)
    return _read(path, places, words, own, length)


# ------------------------------------------------------------------ graph


class _Builder:
    """The states and steps of a graph, as they are added."""

    def __init__(self) -> None:
        self.classes: list[int] = []
        self.stay: list[float] = []
        self.before: list[list[tuple[int, float]]] = []
        self.places: list[_Place] = []

    def add(
        self, column: int, stay: float, before: Sequence[tuple[int, float]], place: _Place
    ) -> int:
        self.classes.append(column)
        self.stay.append(stay)
        self.before.append(list(before))
        self.places.append(place)
        return len(self.classes) - 1

    def graph(self, first: Sequence[int], last: Sequence[int]) -> Graph:
        states = len(self.classes)
        width = max(1, *map(len, self.before))
        before = np.full((states, width), states, np.intp)
        weight = np.zeros((states, width), np.float32)
        for state, steps in enumerate(self.before):
            for column, (origin, cost) in enumerate(steps):
                before[state, column], weight[state, column] = origin, cost
        return Graph(
            np.array(self.classes, np.intp), np.array(self.stay, np.float32), before, weight,
            np.array(first, np.intp), np.array(last, np.intp),
        )  # fmt: skip


def _graph(words: Sequence[Word], sounds: Sounds) -> tuple[Graph, list[_Place]]:
    """Chains of sounds, one per pronunciation, with an optional pause before each word."""
    builder = _Builder()
    silence, unknown = int(sounds.columns_of(SILENCE)[0]), len(sounds.classes)
    ends: list[int] = []
    """Last states of the word before."""
    gap: tuple[int, int] | None = None
    """Pause and unknown speech before that word."""
    first: list[int] = []
    for index in range(len(words) + 1):
        entry = [(end, _GAP_ENTRY) for end in ends]
        skipped = [] if gap is None else [(gap[0], _SKIP), (gap[1], _SKIP)]
        pause = builder.add(silence, math.log(0.95), [*entry, *skipped], _Place(index, -1, 0, 0))
        odd = builder.add(
            unknown, 0.0,
            [*((end, _UNKNOWN_ENTRY) for end in ends), *skipped, (pause, _UNKNOWN_ENTRY)],
            _Place(index, -2, 0, 0),
        )  # fmt: skip
        # from unknown speech back to silence: a second pause
        after = builder.add(
            silence, math.log(0.95), [(odd, _UNKNOWN_ENTRY)], _Place(index, -1, 0, 0)
        )
        gaps = [pause, odd, after]
        if index == 0:
            first += [pause, odd]
        if index == len(words):
            return builder.graph(first, [*ends, *gaps]), builder.places
        entry = [*((end, 0.0) for end in ends), (pause, 0.0), (odd, 0.0), (after, 0.0)]
        ends = _word(builder, index, words[index], entry, sounds)
        if index == 0:
            first += [s for s, place in enumerate(builder.places) if place.word == 0
                      and place.phone == 0 and place.part == 0]  # fmt: skip
        gap = (after, odd)
    raise AssertionError


def _word(
    builder: _Builder, index: int, word: Word, entry: list[tuple[int, float]], sounds: Sounds
) -> list[int]:
    """Add the pronunciations of a word and return their last states.

    A word without a pronunciation is nothing but a place for unknown speech.
    """
    if not word.pronunciations:
        return [builder.add(len(sounds.classes), 0.0, entry, _Place(index, -2, 0, 0))]
    ends = []
    for number, pronunciation in enumerate(word.pronunciations):
        before = entry
        for place, sound in enumerate(pronunciation):
            columns = sounds.columns_of(sound.symbol)
            frames = max(1.3, sounds.seconds_of(sound.symbol) * RATE / PARTS)
            stay, leave = math.log(1 - 1 / frames), -math.log(frames)
            for part, column in enumerate(columns):
                steps = [
                    (state, cost + (leave if part or place else 0.0)) for state, cost in before
                ]
                state = builder.add(int(column), stay, steps, _Place(index, place, number, part))
                before = [(state, 0.0)]
        ends.append(before[0][0])
    return ends


# ------------------------------------------------------------------ result


def _own_scores(
    features: Floats,
    names: Sequence[str],
    path: Columns,
    places: Sequence[_Place],
    words: Sequence[Word],
    sounds: Sounds,
) -> Floats:
    """Return (T,) log-probabilities of the sounds on the path, all parts of a sound together."""
    own = np.zeros(len(path), np.float32)
    for start in range(0, len(path), 4 * RATE):
        stop = min(len(path), start + 4 * RATE)
        probability = np.exp(sounds.scores(features, start, stop, names) / sounds.scale)
        for row, state in enumerate(path[start:stop]):
            place = places[state]
            if place.phone >= 0:
                symbol = words[place.word].pronunciations[place.pronunciation][place.phone].symbol
                columns = sounds.columns_of(symbol)
                own[start + row] = math.log(max(1e-9, float(probability[row, columns].sum())))
    return own


def _read(
    path: Columns, places: Sequence[_Place], words: Sequence[Word], own: Floats, seconds: float
) -> Alignment:
    found: list[AlignedWord] = []
    phones: list[TimedPhone] = []
    for place, start, stop in _runs(path, places):
        begin, end = start / RATE, stop / RATE
        if place.phone < 0:
            symbol = SILENCE if place.phone == -1 else UNKNOWN
            phones.append(TimedPhone(symbol, begin, end))
            continue
        word = words[place.word]
        sound = word.pronunciations[place.pronunciation][place.phone]
        phones.append(TimedPhone(sound.symbol, begin, end, sound.stress))
        if place.phone == 0:
            found.append(AlignedWord(word.text, begin, end, float(own[start:stop].sum())))
        else:
            last = found[-1]
            found[-1] = last._replace(end=end, score=last.score + float(own[start:stop].sum()))
    spoken = {places[state].word for state in path if places[state].phone >= 0}
    missed = tuple(word.text for i, word in enumerate(words) if i not in spoken)
    done = [w._replace(score=w.score / max(1.0, (w.end - w.start) * RATE)) for w in found]
    return Alignment(tuple(done), missed, _whole(phones, seconds))


def _runs(path: Columns, places: Sequence[_Place]) -> Iterator[tuple[_Place, int, int]]:
    """Yield every sound and pause of a path with its first and last frame (exclusive)."""
    start = 0
    for place, frames in groupby(path, lambda state: places[state]._replace(part=0)):
        stop = start + sum(1 for _ in frames)
        yield place, start, stop
        start = stop


def _whole(phones: Sequence[TimedPhone], seconds: float) -> tuple[TimedPhone, ...]:
    """Return the phones with neighboring pauses joined, up to the end of the recording."""
    joined: list[TimedPhone] = []
    for phone in phones:
        short = phone.end - phone.start < _SHORTEST_UNKNOWN
        if phone.symbol == UNKNOWN and short and joined and joined[-1].symbol == SILENCE:
            phone = phone._replace(symbol=SILENCE)
        if joined and phone.symbol == joined[-1].symbol and phone.symbol in (SILENCE, UNKNOWN):
            joined[-1] = joined[-1]._replace(end=phone.end)
        else:
            joined.append(phone)
    if joined:
        joined[-1] = joined[-1]._replace(end=max(seconds, joined[-1].start))
    return tuple(p for p in joined if p.end > p.start or p is joined[-1])
