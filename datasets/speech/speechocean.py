"""Recordings of people: speechocean762 with phone times, read from the user's folder.

speechocean762 (OpenSLR 101) is English read by 250 speakers whose first language is Mandarin,
half of them children. It is not downloaded or copied: the user gives a folder whose
`utterances.jsonl` contains the phone times of an aligner for each recording,

    id, file, speaker, gender, age, split ("train" or "test"), seconds, text
    words       [{word, phones: ARPAbet with stress, start, end}]
    alignment   [[ARPAbet, start, end]] without gaps, null if alignment failed
    quality     {frame_score, shortest_share, loud_outside}, null if alignment failed

and `Corpus` reads such a folder like any other. Lines without a good alignment are left out;
`Corpus.left_out` counts them.
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

MIN_SCORE = -33.0
"""Acoustic score per frame; alignments below are rejected."""
MAX_SHORTEST = 0.3
"""Share of phones of the aligner's shortest duration; a larger one means too much text."""
MAX_LOUD_OUTSIDE = 0.25
"""Share of loud frames labeled as silence; a larger one means speech missing in the text."""
MAX_LAST_SECONDS = 0.3
"""Longest sound before a pause; the rest is breath that the aligner included."""
ADULT_AGE = 16
"""Years."""

_SILENCE = frozenset({"SIL", "+NSN+", "+SPN+"})
_WEAK_WORDS = (
    "A AN AND ARE AS AT BE BUT BY CAN FOR FROM HAD HAS HAVE HE HER HIM HIS I IF IN IS IT ITS ME "
    "MY OF ON OR OUR SHE SO THAT THE THEIR THEM THEY TO US WAS WE WERE WILL WITH YOU YOUR"
)
_WEAK = frozenset(_WEAK_WORDS.split())
"""Words of one syllable that English does not stress, which the lexicon does not mark."""


def is_record(record: Mapping[str, Any]) -> bool:
    """Whether a line of an index has this layout."""
    return "alignment" in record


def fault(record: Mapping[str, Any]) -> str:
    """Return the reason to leave a line out: `not aligned`, `poor alignment`, or empty."""
    quality = record["quality"]
    if not record["alignment"] or quality is None:
        return "not aligned"
    good = (
        quality["frame_score"] > MIN_SCORE
        and quality["shortest_share"] < MAX_SHORTEST
        and quality["loud_outside"] < MAX_LOUD_OUTSIDE
    )
    return "" if good else "poor alignment"


def as_corpus_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Convert to a line of `Corpus`: stress from the lexicon, breath cut off, no gaps."""
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
        "group": "adult" if record["age"] >= ADULT_AGE else "child",
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


def _stresses(word: Mapping[str, Any], vowels: int) -> list[int]:
    """Return the stress of each vowel of a word; the first if the lexicon has other vowels."""
    if vowels == 1:
        return [int(word["word"] not in _WEAK)]
    marks = [int(p[-1]) for p in word["phones"] if p[-1].isdigit()]
    return marks if len(marks) == vowels else [1, *[0] * vowels][:vowels]


def _trim_last(phones: Sequence[TimedPhone]) -> list[TimedPhone]:
    """Cut long sounds before a pause; the rest becomes part of the pause."""
    trimmed: list[TimedPhone] = []
    for i, phone in enumerate(phones):
        last = i + 1 == len(phones) or phones[i + 1].symbol == "SIL"
        end = phone.start + MAX_LAST_SECONDS
        if phone.symbol != "SIL" and last and end < phone.end:
            trimmed += [phone._replace(end=end), TimedPhone("SIL", end, phone.end)]
        else:
            trimmed.append(phone)
    return trimmed


def _gap_free(phones: Sequence[TimedPhone], seconds: float) -> list[TimedPhone]:
    """Merge adjacent silences, and extend the aligner's grid of 10 ms to the end of the audio."""
    merged: list[TimedPhone] = []
    for phone in phones:
        if merged and merged[-1].symbol == phone.symbol == "SIL":
            merged[-1] = merged[-1]._replace(end=phone.end)
        elif phone.start < seconds:
            merged.append(phone)
    if merged:
        merged[-1] = merged[-1]._replace(end=seconds)
    return merged
