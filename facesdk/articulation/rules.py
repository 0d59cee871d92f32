"""Articulation rules, loaded from a data file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ..documents import check_header, load_json
from ..errors import ArticulationError, FaceSDKError, reading
from .phones import PhoneSet

_BRIEF = 0.015
"""Seconds; transitions of curves that are synchronous with the sound."""


@dataclass(frozen=True)
class Posture:
    """A unit that is blended between the targets of neighboring sounds; times in seconds."""

    lead: float
    """Lead of the lips over the sound."""
    anticipation: float
    """Standard deviation of the blend towards later sounds."""
    carryover: float
    """Standard deviation of the blend towards earlier sounds."""


@dataclass(frozen=True)
class Gesture:
    """A unit with an onset and a release within a sound; times in seconds."""

    rise: float
    """Duration of the onset."""
    lead: float
    """Time from the completed onset to the start of the sound."""
    release: float
    """Time from the release to the end of the sound."""
    fall: float
    """Duration of the decay."""


@dataclass(frozen=True)
class Limits:
    """Gains and constraints between units; times in seconds."""

    stressed_gain: float
    secondary_gain: float
    unstressed_gain: float
    loudness_gain: tuple[float, float]
    """Gain on jaw and aperture of a vowel at loudness 0 and at loudness 1."""
    labiodental_aperture: float
    """Highest lip aperture while the lower lip touches the teeth."""
    sibilant_jaw: float
    """Highest jaw opening during a sibilant."""
    silence_dominance: float
    """Weight of silence against sounds in the blends, 0..1."""
    long_silence: float
    """Silence of at least this duration has the weight of a sound."""
    neutral_dominance: float
    """Weight of the neutral mouth in sounds without a target."""
    smoothing: float
    """Standard deviation of the last smoothing of every posture."""


@dataclass(frozen=True)
class Rules:
    """The targets and timing of every sound."""

    postures: Mapping[str, Posture]
    gestures: Mapping[str, Gesture]
    smoothing: Mapping[str, float]
    """Standard deviation in seconds for `voicing`, `accent`, `loudness`."""
    limits: Limits
    silence: Mapping[str, float]
    """Posture targets of silence."""
    neutral: Mapping[str, float]
    """Posture targets of the neutral mouth during speech."""
    phones: PhoneSet

    @classmethod
    def load(cls, path: Path | str | None = None) -> Rules:
        """Return the rules of a JSON file, or the built-in ones; raises `ArticulationError`."""
        return _builtin() if path is None else _read(Path(path))

    def synchronous(self) -> Rules:
        """Return rules with the same targets, without lead or gain and with brief transitions.

        `articulate` with these rules returns the curves of rig `articulation`, which identify the
        sound at each instant.
        """
        postures = {unit: Posture(0.0, _BRIEF, _BRIEF) for unit in self.postures}
        gestures = {unit: Gesture(_BRIEF, 0.0, 0.0, _BRIEF) for unit in self.gestures}
        limits = replace(
            self.limits,
            stressed_gain=1.0,
            secondary_gain=1.0,
            unstressed_gain=1.0,
            loudness_gain=(1.0, 1.0),
            smoothing=_BRIEF / 3,
        )
        return replace(self, postures=postures, gestures=gestures, limits=limits)

    @classmethod
    def from_json(cls, document: Mapping[str, Any], *, source: str = "rules") -> Rules:
        """Build rules from their JSON document; `source` names it in errors.

        Raises `ArticulationError` for another kind or version of document, or for wrong fields.
        """
        check_header(
            document, format="facesdk.articulation", source=source, error=ArticulationError
        )
        with reading(source, ArticulationError):
            try:
                return _build(document)
            except FaceSDKError:
                raise
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ArticulationError(f"{source} lacks or misspells a field: {error}") from error


def _build(document: Mapping[str, Any]) -> Rules:
    postures = {u: Posture(**_seconds(v)) for u, v in document["postures"].items()}
    gestures = {u: Gesture(**_seconds(v)) for u, v in document["gestures"].items()}
    limits = dict(document["limits"])
    low, high = limits.pop("loudness_gain")
    limits["smoothing"] /= 1000
    return Rules(
        postures=postures,
        gestures=gestures,
        smoothing={u: v["smoothing"] / 1000 for u, v in document["sources"].items()},
        limits=Limits(loudness_gain=(low, high), **limits),
        silence=document["silence"],
        neutral=document["neutral"],
        phones=PhoneSet.from_json(document, frozenset(postures) | frozenset(gestures)),
    )


def _seconds(milliseconds: Mapping[str, float]) -> dict[str, float]:
    return {name: value / 1000 for name, value in milliseconds.items()}


def _read(path: Path) -> Rules:
    document = load_json(path, "rules", error=ArticulationError)
    return Rules.from_json(document, source=str(path))


@cache
def _builtin() -> Rules:
    file = resources.files("facesdk") / "data" / "articulation" / "rules.json"
    return Rules.from_json(json.loads(file.read_text("utf-8")), source="the built-in rules")
