"""Texts that guide the network: contacts of the lips from the words, the rest from the sound.

A text is aligned with its recording through the curves of the network. The sounds of its words then
decide what a sound either does or does not: lip closure, lip at the teeth, sibilant, tongue, and
the rounding of the lips. How far and how fast the jaw opens, loudness and accent stay as heard.
Where the recording does not follow the text, all stays as heard.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..alignment import RATE, Alignment, BandMeter, Lexicon, Word, align, words_of
from ..arrays import Floats
from ..articulation import Rules, articulate
from ..clip import Event
from ..errors import AlignmentError
from ..performance import Performance
from ..rig import Rig
from .model import Model

ROUNDING = ("rounding", "protrusion")
"""Postures that the text decides, in addition to the gestures of the rules."""
_FADE = 0.04
"""Seconds in which text and network take over from each other."""
_LISTED = 10
_AS_HEARD = Performance(lips=False, blinks=False, settle=False)


@dataclass(frozen=True)
class Text:
    """The words of a recording.

    Raises `AlignmentError` for a value of the wrong type.
    """

    words: str
    """The text, or for a word its sounds: `/p ʌ m p k ɪ n/`."""
    lexicon: str | None = None
    """Path of a file of pronunciations; see `facesdk.alignment.Lexicon.read`."""
    language: str = "en"
    """`en` (both accents), `en-us`, `en-gb`; others need a lexicon."""

    def __post_init__(self) -> None:
        for name in ("words", "language"):
            if not isinstance(getattr(self, name), str):
                raise AlignmentError(f"{name} must be text, got {getattr(self, name)!r}")

    @classmethod
    def of(cls, text: Text | str) -> Text:
        """Return the text itself, or that of a plain string."""
        return text if isinstance(text, Text) else cls(text)

    def read(self) -> tuple[Word, ...]:
        """Return the words with their pronunciations; raises `AlignmentError`."""
        lexicon = None if self.lexicon is None else Lexicon.read(Path(self.lexicon))
        return words_of(self.words, lexicon=lexicon, language=self.language)

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return asdict(self)


def features_of(blocks: Iterable[Floats], model: Model) -> tuple[Floats, tuple[str, ...], float]:
    """Return (T, F) features at 100 Hz for alignment, the names of the curves, and the seconds.

    `blocks` are mono audio at the model's sample rate.
    """
    rig = "articulation" if model.manifest.articulation else "units"
    session = model.session(rig=rig, fps=RATE, look_ahead_ms=None, performance=_AS_HEARD)
    bands = BandMeter(session.sample_rate)
    curves, samples = [], 0
    for block in blocks:
        samples += len(block)
        bands.push(block)
        curves.append(session.push_blocks(block)[0].values)
    curves.append(session.flush_blocks()[0].values)
    heard = np.concatenate(curves)
    features = np.hstack([heard, bands.finish(len(heard))])
    return features, session.rig.names, samples / session.sample_rate


def align_text(blocks: Iterable[Floats], text: Text | str, model: Model) -> Alignment:
    """Return the times of a text in a recording, through the curves of a model.

    `blocks` are mono audio at the model's sample rate. Raises `AlignmentError` for a text without
    words or pronunciations.
    """
    words = Text.of(text).read()
    features, names, seconds = features_of(blocks, model)
    return align(features, names, words, seconds=seconds)


class Guide:
    """Curves of aligned words, which replace what the network heard. Read-only."""

    def __init__(self, alignment: Alignment, model: Model, *, lead_frames: int = 0) -> None:
        """`lead_frames` is by how many unit frames rows are earlier than the sound."""
        self.alignment = alignment
        rules, fps = Rules.load(), model.manifest.fps
        self._rate, self._lead = float(fps), lead_frames
        self._units, self._sounds = Rig.load("units"), Rig.load("articulation")
        guided = [*rules.gestures, *ROUNDING]
        self._unit_columns = np.array([self._units.index(name) for name in guided])
        self._sound_columns = np.array([self._sounds.index(name) for name in guided])
        phones, seconds = alignment.phones, alignment.seconds
        led = articulate(phones, seconds=seconds, fps=fps, rules=rules)
        in_time = articulate(phones, seconds=seconds, fps=fps, rules=rules.synchronous())
        self._led = led.values[:, self._unit_columns]
        self._in_time = in_time.values[:, self._unit_columns]
        self._trust = self._trusted(len(led))

    def _trusted(self, frames: int) -> Floats:
        """Return the (frames,) weight of the text, 0..1."""
        time = np.arange(frames) / self._rate
        weight = np.zeros(frames)
        for start, end in self.alignment.trusted():
            inside = np.minimum(time - start, end - time) / _FADE + 1
            weight = np.maximum(weight, np.clip(inside, 0, 1))
        return np.asarray(weight[:, None], np.float32)

    def __call__(self, rows: Floats, first: int, columns: Mapping[str, slice]) -> Floats:
        """Return (T, columns) unit frames with the guided curves; `first` is the first's index."""
        places = np.arange(first, first + len(rows)) + self._lead
        known = places < len(self._trust)
        if not known.any():
            return rows
        places = places[known]
        guided, trust = rows.copy(), self._trust[places]
        sets = [(self._unit_columns, self._led)]
        if (in_time := columns.get("articulation")) is not None:
            sets.append((in_time.start + self._sound_columns, self._in_time))
        for place, curves in sets:
            heard = guided[: len(places), place]
            guided[: len(places), place] = heard + trust * (curves[places] - heard)
        return guided


def guide_for(
    alignment: Alignment, model: Model, performance: Performance, *, source: str = "the recording"
) -> Guide | None:
    """Return the guide of an alignment; None, with a warning, if the text does not fit."""
    if not alignment.fits:
        warnings.warn(
            f"the text is not that of {source}: "
            f"{alignment.found:.0%} of its words were found (score {alignment.score:.1f}); "
            "baked without it",
            stacklevel=2,
        )
        return None
    if names := [repr(word) for word in alignment.missed]:
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        warnings.warn(
            f"{source}: words of the text that were not found: {', '.join(names[:_LISTED])}{more}",
            stacklevel=2,
        )
    return Guide(alignment, model, lead_frames=performance.lead_frames(model.manifest.fps))


def word_events(alignment: Alignment, sample_rate: int) -> tuple[Event, ...]:
    """Return an event named `word` at the start of every word, with its text and end."""
    return tuple(
        Event(
            round(word.start * sample_rate),
            "word",
            {"text": word.text, "end_sample": round(word.end * sample_rate)},
        )
        for word in alignment.words
    )
