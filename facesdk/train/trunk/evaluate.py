"""Scores of a trunk on held-out speech with known phones.

Areas under the ROC curve over frames measure whether the closure unit separates bilabials from
other sounds, and so on. Closure events compare the highest closure value around a bilabial with
that around sounds far from any, at a threshold that 5 % of the latter exceed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ...arrays import Doubles, Floats
from ...articulation import Rules
from ...audio.features import FLOOR
from .data import UNIT_FPS, UNITS, Labels, Line
from .network import Trunk

Curves = Literal["units", "articulation"]
"""As the lips move, or in time with the sound."""

BILABIALS = frozenset("pbm")
LABIODENTALS = frozenset("fv")
SIBILANTS = frozenset("szʃʒʧʤɕʑʂ")
COMPARED = ("jaw", "aperture", "closure", "labiodental", "rounding", "spread", "sibilant")
ROUNDED_FROM = 0.45
"""Rounding target from which a vowel counts as rounded."""


def area_under_curve(scores: Doubles, positive: NDArray[np.bool_]) -> float:
    """Return the probability that a positive outscores a negative; ties count half.

    This is the statistic of Mann and Whitney.
    """
    order = np.argsort(scores, kind="stable")
    _, inverse, counts = np.unique(scores[order], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    hits = positive[order]
    n, m = int(hits.sum()), int((~hits).sum())
    return float((ranks[hits].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def closure_events(
    closure: Doubles, segments: Sequence[tuple[str, float, float]]
) -> tuple[list[float], list[float]]:
    """Return the highest closure at each bilabial, and at each sound at least 80 ms from any.

    A bilabial's window runs from 20 ms before to 80 ms after it; another sound's to 40 ms after.
    """
    rate = UNIT_FPS
    hits, false = [], []
    closed = [(s, e) for p, s, e in segments if p in BILABIALS]
    for phone, start, end in segments:
        if end - start < 0.03 or phone == "SIL":
            continue
        if phone in BILABIALS:
            window = closure[max(0, round((start - 0.02) * rate)) : round((end + 0.08) * rate) + 1]
            hits += [float(window.max())] if len(window) else []
        elif not any(s < end + 0.08 and e > start - 0.08 for s, e in closed):
            window = closure[round(start * rate) : round((end + 0.04) * rate) + 1]
            false += [float(window.max())] if len(window) else []
    return hits, false


def predict(trunk: Trunk, line: Line) -> Floats:
    """Return (look-aheads, T, curves) of one line, in frame time."""
    delays = trunk.config.delay_steps
    mel = torch.from_numpy(line.mel.astype(np.float32) * np.log(10.0)).float()
    silence = torch.full((2 * max(delays), mel.shape[1]), math.log(FLOOR))
    floored = torch.log(torch.exp(mel) + FLOOR)
    with torch.no_grad():
        curves = trunk.curves(torch.cat([floored, silence])[None])[0].numpy()
    frames = len(line.targets)
    aligned = [curves[steps : steps + frames, i] for i, steps in enumerate(delays)]
    return np.asarray(np.stack(aligned))


@dataclass(frozen=True)
class _Tracks:
    """All frames of some lines, one after the other."""

    prediction: Doubles
    """(T, units)."""
    target: Doubles
    """(T, units) by the articulation rules."""
    phones: NDArray[np.str_]
    """(T,) sound at each frame."""
    closures: tuple[list[float], list[float]]
    """Event scores of bilabials and of other sounds."""

    def area(self, unit: str, sounds: Iterable[str], mask: NDArray[np.bool_]) -> float:
        """Return how well a unit separates some sounds from the others in the masked frames."""
        scores = self.prediction[mask, UNITS.index(unit)]
        return area_under_curve(scores, np.isin(self.phones[mask], list(sounds)))

    def correlation(self, unit: str) -> float:
        """Return the correlation of prediction and target; 0 if one of them never moves."""
        column = UNITS.index(unit)
        prediction, target = self.prediction[:, column], self.target[:, column]
        if not (prediction.std() and target.std()):
            return 0.0
        return float(np.corrcoef(prediction, target)[0, 1])


class Scorer:
    """Figures over all frames of some lines; the trunk is run once for all look-aheads."""

    def __init__(self, trunk: Trunk, lines: Iterable[Line]) -> None:
        self._lines = list(lines)
        self._predictions = [predict(trunk, line) for line in self._lines]
        self._sounds = np.array(Labels(Rules.load()).names)

    def __call__(
        self, look_ahead_index: int = -1, curves: Curves = "articulation"
    ) -> dict[str, float]:
        """Return figures by name for one look-ahead."""
        tracks = self._tracks(look_ahead_index, curves)
        vowels = {s: p for s, p in Rules.load().phones.phones.items() if p.vowel and not p.path}
        rounded = [s for s, p in vowels.items() if p.targets.get("rounding", 0) >= ROUNDED_FROM]
        speech = tracks.phones != "SIL"
        hits, false = tracks.closures
        figures = {
            "bilabial_auc": tracks.area("closure", BILABIALS, speech),
            "labiodental_auc": tracks.area("labiodental", LABIODENTALS, speech),
            "sibilant_auc": tracks.area("sibilant", SIBILANTS, speech),
            "rounding_auc": tracks.area("rounding", rounded, np.isin(tracks.phones, list(vowels))),
            "closures_at_5_percent": float((np.array(hits) > np.quantile(false, 0.95)).mean()),
        }
        figures |= {f"{unit}_r": tracks.correlation(unit) for unit in COMPARED}
        return {name: round(value, 4) for name, value in figures.items()}

    def _tracks(self, look_ahead_index: int, curves: Curves) -> _Tracks:
        first = 0 if curves == "units" else len(UNITS)
        columns = slice(first, first + len(UNITS))
        predictions = [
            x[look_ahead_index, :, columns].astype(np.float64) for x in self._predictions
        ]
        hits: list[float] = []
        false: list[float] = []
        for line, curve in zip(self._lines, predictions, strict=True):
            events = closure_events(curve[:, UNITS.index("closure")], line.segments)
            hits += events[0]
            false += events[1]
        targets = [line.targets[:, columns].astype(np.float64) for line in self._lines]
        phones = [self._sounds[line.phones] for line in self._lines]
        return _Tracks(
            np.concatenate(predictions),
            np.concatenate(targets),
            np.concatenate(phones),
            (hits, false),
        )
