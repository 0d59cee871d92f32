"""Figures of unit curves on phone-aligned speech, with confidence intervals.

Curves have 100 frames per second; frame `i` is the instant `i / 100` s. Sounds are keys of the
articulation rules, `SIL` for silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

FPS = 100
"""Frames per second."""

SILENCE = "SIL"
BILABIALS = ("p", "b", "m")
LABIODENTALS = ("f", "v", "ɱ")
SIBILANTS = ("s", "z", "ʃ", "ʒ", "ʧ", "ʤ", "ɕ", "ʑ", "ʂ")
ROUNDED = ("u", "ʊ", "o", "ɔ", "ɒ", "y", "ʏ", "ø", "œ", "oʊ", "ɔɪ")
UNROUNDED = ("i", "ɪ", "ɨ", "ɯ", "e", "ɛ", "æ", "a", "ɐ", "ə", "ɜ", "ʌ", "ɑ", "ɤ", "eɪ", "aɪ")
"""Vowels that are clearly rounded or unrounded; r-colored vowels, aʊ and əʊ are excluded."""

JAW = {
    "ɑ": 1.0, "æ": 0.95, "a": 0.95, "aɪ": 0.9, "aʊ": 0.9, "ɒ": 0.85, "ɔ": 0.75, "ɛ": 0.65, "ʌ": 0.6,
    "ɐ": 0.6, "ɔɪ": 0.55, "œ": 0.55, "o": 0.5, "oʊ": 0.5, "e": 0.5, "eɪ": 0.5, "ɤ": 0.5, "əʊ": 0.45,
    "ø": 0.4, "ɝ": 0.35, "ɜ": 0.35, "ə": 0.35, "ɪ": 0.3, "ʊ": 0.3, "ɨ": 0.3, "ʏ": 0.25, "i": 0.2,
    "ɯ": 0.2, "y": 0.15, "u": 0.15, "w": 0.1, "ʍ": 0.1, "ɥ": 0.1, "j": 0.1, "ɹ": 0.15, "ɻ": 0.15,
    **dict.fromkeys(LABIODENTALS, 0.1), **dict.fromkeys(SIBILANTS, 0.05),
    **dict.fromkeys(BILABIALS, 0.0),
}  # fmt: skip
"""Height of the jaw by vowel height (1 low vowel); every other consonant holds 0.2."""

OTHER_JAW = 0.2

SHARES = (0.02, 0.05, 0.10)
"""False events let through, for closures found."""

TARGETS = {
    "bilabial_auc": (0.90, 0.96),
    "labiodental_auc": (0.95, 0.97),
    "sibilant_auc": (0.96, 0.98),
    "rounding_auc": (0.88, 0.93),
    "jaw_r": (0.70, 0.80),
    "closures_at_5": (0.65, 0.85),
}
"""Floor and goal of each figure on real speakers."""

SHOWN = ("closure", "labiodental", "sibilant", "rounding", "jaw")
"""Units that the figures are about."""

LAGS = tuple(range(-8, 9))
"""Frames by which a curve is read later (above 0) or earlier than its label."""


@dataclass(frozen=True)
class Track:
    """The curves of one line, with its sounds."""

    speaker: str
    group: str
    phones: tuple[tuple[str, float, float], ...]
    """Sound, start, end in seconds."""
    curves: Mapping[str, np.ndarray]
    """(T,) by unit."""

    @cached_property
    def labels(self) -> np.ndarray:
        """(T,) sound of each frame; `SIL` outside phones."""
        frames = len(next(iter(self.curves.values())))
        labels = np.full(frames, SILENCE, dtype="<U3")
        for phone, start, end in self.phones:
            labels[round(start * FPS) : round(end * FPS)] = phone
        return labels


# ------------------------------------------------------------------------------- the measures


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the probability that a positive outscores a negative, ties count half.

    NaN without positives or negatives.
    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def closure_events(
    closure: np.ndarray, phones: Iterable[tuple[str, float, float]]
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """Return sound and largest closure of each bilabial, and of each other sound far from any.

    A bilabial is searched from 20 ms before its start to 80 ms after its end. Any other sound of
    at least 30 ms that lies 80 ms or more from every bilabial is a false event, searched from its
    start to 40 ms after its end.
    """
    frames = [(phone, round(start * FPS), round(end * FPS)) for phone, start, end in phones]
    closed = [(start, end) for phone, start, end in frames if phone in BILABIALS]
    hits, false = [], []
    for phone, start, end in frames:
        if end - start < 3 or phone == SILENCE:
            continue
        if phone in BILABIALS:
            hits.append((phone, _best(closure[max(0, start - 2) : end + 8])))
        elif not any(s < end + 8 and e > start - 8 for s, e in closed):
            false.append((phone, _best(closure[start : end + 4])))
    return hits, false


def _best(window: np.ndarray) -> float:
    return float(window.max(initial=-np.inf))


def found_at(hits: Sequence[float], false: Sequence[float], share: float) -> float:
    """Return the share of hits above the threshold that `share` of the false events exceed."""
    if not len(hits) or not len(false):
        return float("nan")
    return float((np.asarray(hits) > np.quantile(false, 1 - share)).mean())


def jaw_heights(labels: np.ndarray) -> np.ndarray:
    """Return the (T,) jaw target of each frame's sound."""
    sounds, index = np.unique(labels, return_inverse=True)
    return np.array([JAW.get(str(sound), OTHER_JAW) for sound in sounds])[index]


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Return Pearson's r; 0 if one of the curves is constant."""
    return float(np.corrcoef(x, y)[0, 1]) if x.std() and y.std() else 0.0


# ------------------------------------------------------------------------------- many lines


@dataclass(frozen=True)
class Frames:
    """All frames of some lines, one line after the other."""

    curves: Mapping[str, np.ndarray]
    labels: np.ndarray
    speakers: np.ndarray
    """(T,) number of the speaker, 0 to the number of speakers."""

    @classmethod
    def of(cls, tracks: Sequence[Track], lag: int = 0) -> Frames:
        """Return the frames with curves read `lag` frames after their labels.

        Curves are held at the ends of a line.
        """
        names = sorted({track.speaker for track in tracks})
        curves: dict[str, list[np.ndarray]] = {unit: [] for unit in SHOWN}
        for track in tracks:
            at = np.clip(np.arange(len(track.labels)) + lag, 0, len(track.labels) - 1)
            for unit, parts in curves.items():
                parts.append(track.curves[unit][at])
        labels = [track.labels for track in tracks]
        numbers = [np.full(len(t.labels), names.index(t.speaker)) for t in tracks]
        return cls(
            {unit: np.concatenate(parts).astype(float) for unit, parts in curves.items()},
            np.concatenate(labels),
            np.concatenate(numbers),
        )

    def among(self, *sounds: str) -> np.ndarray:
        """Return (T,) bools: whether a frame belongs to one of some sounds."""
        return np.isin(self.labels, sounds)

    def contests(self) -> dict[str, tuple[str, np.ndarray, np.ndarray]]:
        """Return, by figure, the unit, the frames that count, and the positives of all frames."""
        speech = self.labels != SILENCE
        rounded = self.among(*ROUNDED)
        vowels = rounded | self.among(*UNROUNDED)
        return {
            "bilabial_auc": ("closure", speech, self.among(*BILABIALS)),
            "labiodental_auc": ("labiodental", speech, self.among(*LABIODENTALS)),
            "sibilant_auc": ("sibilant", speech, self.among(*SIBILANTS)),
            "rounding_auc": ("rounding", vowels, rounded),
        }

    def areas(self) -> dict[str, float]:
        """Return the four areas under the curve."""
        return {
            figure: area_under_curve(self.curves[unit][counts], positive[counts])
            for figure, (unit, counts, positive) in self.contests().items()
        }

    def jaw_r(self) -> float:
        """Return the correlation of the jaw with its targets, in speech."""
        speech = self.labels != SILENCE
        return correlation(self.curves["jaw"][speech], jaw_heights(self.labels[speech]))


@dataclass(frozen=True)
class Events:
    """Closure events of some lines, by speaker."""

    hits: Mapping[str, list[tuple[str, float]]]
    false: Mapping[str, list[tuple[str, float]]]

    @classmethod
    def of(cls, tracks: Iterable[Track]) -> Events:
        hits: dict[str, list[tuple[str, float]]] = {}
        false: dict[str, list[tuple[str, float]]] = {}
        for track in tracks:
            found, wrong = closure_events(track.curves["closure"], track.phones)
            hits.setdefault(track.speaker, []).extend(found)
            false.setdefault(track.speaker, []).extend(wrong)
        return cls(hits, false)

    def scores(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the closures of all true and of all false events."""
        return _pooled(self.hits), _pooled(self.false)

    def found(self) -> dict[str, float]:
        """Return the share of bilabials found at each share of false events."""
        hits, false = self.scores()
        return {f"closures_at_{share:.0%}".rstrip("%"): found_at(hits, false, share)
                for share in SHARES}  # fmt: skip


def _pooled(events: Mapping[str, list[tuple[str, float]]]) -> np.ndarray:
    return np.array([score for some in events.values() for _, score in some])


def figures(tracks: Sequence[Track]) -> dict[str, float]:
    """Return all figures of some lines."""
    frames = Frames.of(tracks)
    return {**frames.areas(), "jaw_r": frames.jaw_r(), **Events.of(tracks).found()}


# ------------------------------------------------------------------------------- intervals


def intervals(
    tracks: Sequence[Track], *, draws: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of every figure, by bootstrap over speakers."""
    frames, events = Frames.of(tracks), Events.of(tracks)
    speakers = sorted({track.speaker for track in tracks})
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(speakers), (draws, len(speakers)))
    weights = np.stack([np.bincount(pick, minlength=len(speakers)) for pick in picks])
    drawn: dict[str, np.ndarray] = {}
    for figure, (unit, counts, positive) in frames.contests().items():
        table = _histograms(frames.curves[unit][counts], positive[counts], frames.speakers[counts])
        drawn[figure] = _areas((weights @ table.reshape(len(table), -1)).reshape(draws, 2, -1))
    drawn["jaw_r"] = _correlations(weights @ _moments(frames, len(speakers)))
    hits = [np.array([s for _, s in events.hits[name]]) for name in speakers]
    false = [np.array([s for _, s in events.false[name]]) for name in speakers]
    found = [_found(hits, false, pick) for pick in picks]
    for column, share in enumerate(SHARES):
        drawn[f"closures_at_{share:.0%}".rstrip("%")] = np.array([row[column] for row in found])
    return {figure: _middle(values) for figure, values in drawn.items()}


def _middle(values: np.ndarray) -> tuple[float, float]:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _histograms(scores: np.ndarray, positive: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Return (speakers, 2, bins) counts of negatives and positives in 500 quantile bins."""
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, 501)[1:-1]))
    bins, count = np.searchsorted(edges, scores), int(speakers.max(initial=0)) + 1
    cells = (speakers * 2 + positive) * (len(edges) + 1) + bins
    return np.bincount(cells, minlength=count * 2 * (len(edges) + 1)).reshape(count, 2, -1)


def _areas(tables: np.ndarray) -> np.ndarray:
    """Return the (draws,) areas of (draws, 2, bins) counts."""
    negative, positive = tables[:, 0].astype(float), tables[:, 1].astype(float)
    below = np.cumsum(negative, axis=1) - negative / 2
    with np.errstate(invalid="ignore"):
        return (positive * below).sum(1) / (positive.sum(1) * negative.sum(1))


def _moments(frames: Frames, speakers: int) -> np.ndarray:
    """Return the (speakers, 6) sums for the correlation of jaw and target."""
    speech = frames.labels != SILENCE
    x, y = frames.curves["jaw"][speech], jaw_heights(frames.labels[speech])
    sums = [np.ones_like(x), x, y, x * x, y * y, x * y]
    speaker = frames.speakers[speech]
    return np.stack([np.bincount(speaker, part, minlength=speakers) for part in sums], axis=1)


def _correlations(sums: np.ndarray) -> np.ndarray:
    n, x, y, xx, yy, xy = sums.T
    return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))


def _found(
    hits: Sequence[np.ndarray], false: Sequence[np.ndarray], pick: np.ndarray
) -> list[float]:
    true = np.concatenate([hits[i] for i in pick])
    wrong = np.concatenate([false[i] for i in pick])
    return [found_at(true, wrong, share) for share in SHARES]


# ------------------------------------------------------------------------------- errors


def by_phone(tracks: Sequence[Track]) -> dict[str, dict[str, float]]:
    """Return, by sound, frames, mean curves, and how often it counts as a closure.

    `taken` is the share of its events above the threshold that 5 % of all false events exceed:
    hits for a bilabial, false alarms for any other sound.
    """
    frames, events = Frames.of(tracks), Events.of(tracks)
    _, false = events.scores()
    threshold = np.quantile(false, 0.95) if len(false) else float("nan")
    scores: dict[str, list[float]] = {}
    for some in (*events.hits.values(), *events.false.values()):
        for phone, score in some:
            scores.setdefault(phone, []).append(score)
    table = {}
    for phone in sorted({str(label) for label in np.unique(frames.labels)}):
        here = frames.labels == phone
        row: dict[str, float] = {"frames": int(here.sum()), "events": len(scores.get(phone, ()))}
        for unit in SHOWN:
            row[unit] = float(frames.curves[unit][here].mean())
        if phone in scores:
            row["taken"] = float((np.array(scores[phone]) > threshold).mean())
        table[phone] = row
    return table


def by_lag(tracks: Sequence[Track]) -> dict[str, dict[str, float]]:
    """Return areas and jaw r by milliseconds by which the curves are read after the labels.

    A best lag above 0 means that the curve is late.
    """
    rows = {}
    for lag in LAGS:
        frames = Frames.of(tracks, lag)
        rows[str(lag * 1000 // FPS)] = {**frames.areas(), "jaw_r": frames.jaw_r()}
    return rows


def best_lags(lags: Mapping[str, Mapping[str, float]]) -> dict[str, int]:
    """Return the lag in milliseconds with the highest value of each figure."""
    names = next(iter(lags.values()))
    return {name: int(max(lags, key=lambda ms: lags[ms][name])) for name in names}


# ------------------------------------------------------------------------------- report


def verdict(figure: str, value: float) -> str:
    """Return whether a figure reaches its goal or floor; empty for figures without targets."""
    if figure not in TARGETS:
        return ""
    floor, goal = TARGETS[figure]
    return "goal" if value >= goal else "floor" if value >= floor else "below floor"


def rounded(report: Any, digits: int = 4) -> Any:
    """Return the report with rounded floats, and None for NaN and infinity."""
    if isinstance(report, float):
        return round(report, digits) if np.isfinite(report) else None
    if isinstance(report, Mapping):
        return {key: rounded(value, digits) for key, value in report.items()}
    if isinstance(report, (list, tuple)):
        return [rounded(value, digits) for value in report]
    return report


def grouped(tracks: Iterable[Track], key: Callable[[Track], str]) -> dict[str, list[Track]]:
    """Return tracks by key, sorted by key."""
    groups: dict[str, list[Track]] = {}
    for track in tracks:
        groups.setdefault(key(track), []).append(track)
    return dict(sorted(groups.items()))
