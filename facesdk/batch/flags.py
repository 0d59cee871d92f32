"""Flags: what to check about a baked line, and how urgent it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

Level = Literal["error", "warning", "note"]
WEIGHTS: Mapping[Level, int] = {"error": 100, "warning": 10, "note": 1}

SILENT_DBFS = -70.0
VERY_QUIET_DBFS, QUIET_DBFS = -50.0, -40.0
MUCH_CLIPPED, CLIPPED = 0.01, 0.0005
MUSIC_LIKE = 0.5
LONG_PAUSE = 1.5
MOSTLY_SILENT = 0.75
SHORT, LONG = 0.25, 600.0
STILL_JAW = 0.05
UNCERTAIN_SHARE, UNCERTAIN_LEAST = 0.5, 3
APART = 0.3

Facts = Mapping[str, Any]


class Flag(NamedTuple):
    """One thing to check."""

    name: str
    level: Level
    text: str


def flags(facts: Facts) -> list[Flag]:
    """Return the flags of a line from its facts, worst first."""
    found = list(_file(facts))
    if facts.get("audio"):
        found += _audio(facts["audio"])
    if facts.get("phones"):
        found += _phones(facts["phones"], facts)
    if facts.get("text"):
        found += _text(facts["text"])
    found += _mouth(facts["mouth"], facts)
    return sorted(found, key=lambda flag: -WEIGHTS[flag.level])


def severity(found: list[Flag]) -> int:
    """Return a number to sort lines by: an error outweighs nine warnings, a warning nine notes."""
    return sum(WEIGHTS[flag.level] for flag in found)


def _audio(audio: Facts) -> Iterator[Flag]:
    voice = audio["voice_dbfs"]
    if voice <= SILENT_DBFS:
        yield Flag("silent", "error", "nothing audible in the recording")
        return
    if voice < QUIET_DBFS:
        level: Level = "error" if voice < VERY_QUIET_DBFS else "warning"
        yield Flag(
            "too quiet", level, f"voice at {voice:.0f} dBFS, expected {QUIET_DBFS:.0f} or more"
        )
    if (clipped := audio["clipped_share"]) >= CLIPPED:
        level = "error" if clipped >= MUCH_CLIPPED else "warning"
        yield Flag("clipped", level, f"{clipped:.2%} of the samples at full scale")
    likeness = audio["speech_likeness"]
    if likeness is not None and likeness < MUSIC_LIKE:
        yield Flag("music-like", "warning", f"speech likeness {likeness:.2f}, expected 0.5 or more")
    for end in ("leading", "trailing"):
        if (pause := audio[f"{end}_silence"]) > LONG_PAUSE:
            yield Flag(f"{end} silence", "note", f"{pause:.1f} s of silence")
    if audio["silent_share"] > MOSTLY_SILENT:
        yield Flag("mostly silent", "note", f"{audio['silent_share']:.0%} of the line is silent")


def _phones(phones: Facts, facts: Facts) -> Iterator[Flag]:
    if missed := phones["missed_closures"]:
        places = ", ".join(f"{m['phone']} at {m['start']:.2f} s" for m in missed[:3])
        more = f" and {len(missed) - 3} more" if len(missed) > 3 else ""
        share = f"{len(missed)} of {phones['closures_needed']}"
        yield Flag(
            "missed closures",
            "error",
            f"{share} lip closures missing from every frame: {places}{more}",
        )
    for note in phones["notes"]:
        noise = note.startswith("noise")
        yield Flag("noise" if noise else "unknown sounds", "note" if noise else "warning", note)
    if not phones["count"]:
        yield Flag("no phones", "error", "the timings contain no sound")
    if facts["audio"]:
        apart = phones["seconds"] - facts["audio"]["seconds"]
        if abs(apart) > APART:
            side = "after" if apart > 0 else "before"
            yield Flag("length", "warning", f"timings end {abs(apart):.2f} s {side} the audio")


def _text(text: Facts) -> Iterator[Flag]:
    if not text["used"]:
        yield Flag("other text", "error", "the text is not that of the recording; baked without it")
        return
    for name, words in (("missed words", text["missed"]), ("doubtful words", text["doubtful"])):
        if words:
            more = f" and {len(words) - 5} more" if len(words) > 5 else ""
            yield Flag(name, "warning", f"{', '.join(words[:5])}{more}")


def _mouth(mouth: Facts, facts: Facts) -> Iterator[Flag]:
    audible = not facts["audio"] or facts["audio"]["voice_dbfs"] > SILENT_DBFS
    if audible and facts["seconds"] >= SHORT and mouth["jaw_peak"] < STILL_JAW:
        yield Flag("still mouth", "error", f"the jaw never opens beyond {mouth['jaw_peak']:.2f}")
    uncertain, sealed = mouth["uncertain_closures"], mouth["sealed_closures"]
    if uncertain >= UNCERTAIN_LEAST and uncertain > UNCERTAIN_SHARE * (uncertain + sealed):
        yield Flag(
            "uncertain closures",
            "warning",
            f"the lips approach without closing {uncertain} times and close {sealed} times",
        )


def _file(facts: Facts) -> Iterator[Flag]:
    seconds, expected = facts["seconds"], None
    if facts.get("audio"):
        expected = facts["audio"]["seconds"] + facts["performance"]["tail"]
    frame = facts["fps"][1] / facts["fps"][0]
    if expected is not None and abs(seconds - expected) > frame + 1e-3:
        yield Flag("length", "error", f"the clip lasts {seconds:.2f} s, expected {expected:.2f} s")
    if seconds < SHORT:
        yield Flag("short", "note", f"lasts {seconds:.2f} s")
    if seconds > LONG:
        yield Flag("long", "note", f"lasts {seconds / 60:.0f} min")
