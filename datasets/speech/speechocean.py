"""Real speech: speechocean762 with phone times, read where it lies.

speechocean762 (OpenSLR 101) is English read by 250 speakers whose first language is Mandarin,
half of them children. Nothing here downloads or copies it: the user points to a folder whose
`utterances.jsonl` holds the phone times of an aligner beside each recording,

    id, file, speaker, gender, age, split ("train" or "test"), seconds, text
    words       [{word, phones: ARPAbet with stress, start, end}]
    alignment   [[ARPAbet, start, end]] without holes, null where it failed
    quality     {frame_score, shortest_share, loud_outside}, null where it failed

and `Corpus` reads such a folder like any other. Lines whose alignment failed or is poor are left
out; `Corpus.left_out` counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...articulation import TimedPhone

FACTS = {
    "source": "speechocean762, openslr.org/101",
    "terms": "free for commercial and non-commercial purposes by its README, "
    "Apache-2.0 by its authors' data set card",
}

LEAST_SCORE = -33.0
"""Acoustic score a frame, below which an alignment is not trusted."""
MOST_SHORTEST = 0.3
"""Share of phones as short as the aligner can make them; more means a squeezed text."""
MOST_LOUD_OUTSIDE = 0.25
"""Share of loud frames in silence; more means speech that the text does not cover."""
LONGEST_LAST = 0.3
"""Seconds of the sound before a pause; what is longer is breath that the aligner took for it."""
GROWN_UP = 16
"""Years."""

_SILENCE = frozenset({"SIL", "+NSN+", "+SPN+"})
_WEAK_WORDS = (
    "A AN AND ARE AS AT BE BUT BY CAN FOR FROM HAD HAS HAVE HE HER HIM HIS I IF IN IS IT ITS ME "
    "MY OF ON OR OUR SHE SO THAT THE THEIR THEM THEY TO US WAS WE WERE WILL WITH YOU YOUR"
)
_WEAK = frozenset(_WEAK_WORDS.split())
"""Words of one syllable that English does not stress; the lexicon marks no such word."""


def is_ours(record: Mapping[str, Any]) -> bool:
    """Whether a line of an index has this layout."""
    return "alignment" in record


def fault(record: Mapping[str, Any]) -> str:
    """Why a line is left out: `not aligned`, `poor alignment`, or nothing."""
    quality = record["quality"]
    if not record["alignment"] or quality is None:
        return "not aligned"
    trusted = (
        quality["frame_score"] > LEAST_SCORE
        and quality["shortest_share"] < MOST_SHORTEST
        and quality["loud_outside"] < MOST_LOUD_OUTSIDE
    )
    return "" if trusted else "poor alignment"


def as_corpus_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """A line as `Corpus` knows them: stress from the lexicon, breath cut off, no holes."""
    seconds = float(record["seconds"])
    phones = _gap_free(_trim_last(_stressed(record["alignment"], record["words"])), seconds)
    return {
        "id": record["id"],
        "file": record["file"],
        "language": "en",
        "speaker": f"speechocean_{record['speaker']}",
        "text": record["text"],
        "seconds": seconds,
        "phones": phones,
        "alphabet": "arpabet",
        "split": record["split"],
        "group": "adult" if record["age"] >= GROWN_UP else "child",
    }


def _stressed(
    alignment: Sequence[tuple[str, float, float]], words: Sequence[Mapping[str, Any]]
) -> list[TimedPhone]:
    phones = [TimedPhone("SIL" if p in _SILENCE else p, s, e) for p, s, e in alignment]
    for word in words:
        inside = [
            i for i, p in enumerate(phones)
            if p.symbol[0] in "AEIOU" and word["start"] <= (p.start + p.end) / 2 < word["end"]
        ]  # fmt: skip
        for i, stress in zip(inside, _stresses(word, len(inside)), strict=True):
            phones[i] = phones[i]._replace(stress=stress)
    return phones


def _stresses(word: Mapping[str, Any], spoken: int) -> list[int]:
    """Stress of each spoken vowel of a word; where the lexicon has other vowels, the first."""
    if spoken == 1:
        return [int(word["word"] not in _WEAK)]
    marks = [int(p[-1]) for p in word["phones"] if p[-1].isdigit()]
    return marks if len(marks) == spoken else [1, *[0] * spoken][:spoken]


def _trim_last(phones: Sequence[TimedPhone]) -> list[TimedPhone]:
    """Over-long sounds before a pause cut, the rest of them given to the pause."""
    trimmed: list[TimedPhone] = []
    for i, phone in enumerate(phones):
        last = i + 1 == len(phones) or phones[i + 1].symbol == "SIL"
        end = phone.start + LONGEST_LAST
        if phone.symbol != "SIL" and last and end < phone.end:
            trimmed += [phone._replace(end=end), TimedPhone("SIL", end, phone.end)]
        else:
            trimmed.append(phone)
    return trimmed


def _gap_free(phones: Sequence[TimedPhone], seconds: float) -> list[TimedPhone]:
    """Neighbouring silence merged; the aligner's grid of 10 ms stretched to the audio's end."""
    merged: list[TimedPhone] = []
    for phone in phones:
        if merged and merged[-1].symbol == phone.symbol == "SIL":
            merged[-1] = merged[-1]._replace(end=phone.end)
        elif phone.start < seconds:
            merged.append(phone)
    if merged:
        merged[-1] = merged[-1]._replace(end=seconds)
    return merged
