"""Scores of a trunk on held-out speech with known phones.

Areas under the ROC curve over frames: does the closure unit tell bilabials from other sounds, and
so on. Closure events follow one fixed definition: the best closure value around a bilabial,
against that around sounds far from any, at a threshold that lets 5 % of the latter through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..articulation import Rules
from .data import STEP, UNITS, Line
from .network import Trunk

Doubles = NDArray[np.float64]

FRAMES_PER_SECOND = 16_000 // STEP

BILABIALS = frozenset("pbm")
LABIODENTALS = frozenset("fv")
SIBILANTS = frozenset("szʃʒʧʤɕʑʂ")
ROUNDED_FROM = 0.45
"""Rounding target from which a vowel counts as rounded."""


def area_under_curve(scores: Doubles, positive: NDArray[np.bool_]) -> float:
    """Probability that a positive outscores a negative (Mann and Whitney), ties count half."""
    order = np.argsort(scores, kind="stable")
    _, inverse, counts = np.unique(scores[order], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    hits = positive[order]
    n, m = int(hits.sum()), int((~hits).sum())
    return float((ranks[hits].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def closure_events(
    closure: Doubles, segments: Sequence[tuple[str, float, float]]
) -> tuple[list[float], list[float]]:
    """Best closure value at each bilabial, and at each other sound at least 80 ms from any.

    A bilabial's window runs from 20 ms before to 80 ms after it; another sound's to 40 ms after.
    """
    rate = FRAMES_PER_SECOND
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


def predict(trunk: Trunk, line: Line, head: int) -> Doubles:
    """(T, units) of one line with one look-ahead, in frame time."""
    delay = trunk.config.delays[head]
    mel = torch.from_numpy(line.mel.astype(np.float32) * np.log(10.0)).float()
    silence = torch.full((2 * delay, mel.shape[1]), float(np.log(1e-6)))
    floored = torch.log(torch.exp(mel) + 1e-6)
    with torch.no_grad():
        units = trunk.units(torch.cat([floored, silence])[None])[0, :, head]
    return units[delay:].numpy().astype(np.float64)


def score(trunk: Trunk, lines: Iterable[Line], *, head: int = -1) -> dict[str, float]:
    """Figures over all frames of some lines; `head` picks the look-ahead."""
    head = head % len(trunk.config.delays)
    vowels = {s: p for s, p in Rules.load().phones.phones.items() if p.vowel and not p.path}
    names = trunk.config.phones
    rows, targets, labels, hits, false = [], [], [], [], []
    for line in lines:
        units = predict(trunk, line, head)
        rows.append(units)
        targets.append(line.targets.astype(np.float64))
        labels.append(np.array(names)[line.phones])
        found = closure_events(units[:, UNITS.index("closure")], line.segments)
        hits += found[0]
        false += found[1]
    given, wanted, phones = np.concatenate(rows), np.concatenate(targets), np.concatenate(labels)

    def curve(unit: str) -> Doubles:
        return given[:, UNITS.index(unit)]

    spoken = phones != "SIL"
    is_vowel = np.isin(phones, list(vowels))
    rounded = [s for s, p in vowels.items() if p.targets.get("rounding", 0) >= ROUNDED_FROM]
    figures = {
        "bilabial_auc": area_under_curve(curve("closure")[spoken], np.isin(phones, list(BILABIALS))[spoken]),
        "labiodental_auc": area_under_curve(curve("labiodental")[spoken], np.isin(phones, list(LABIODENTALS))[spoken]),
        "sibilant_auc": area_under_curve(curve("sibilant")[spoken], np.isin(phones, list(SIBILANTS))[spoken]),
        "rounding_auc": area_under_curve(curve("rounding")[is_vowel], np.isin(phones, rounded)[is_vowel]),
        "voicing_auc": area_under_curve(curve("voicing"), wanted[:, UNITS.index("voicing")] > 0.5),
        "closures_at_5_percent": float((np.array(hits) > np.quantile(false, 0.95)).mean()),
    }  # fmt: skip
    for unit in ("jaw", "aperture", "closure", "labiodental", "rounding", "spread", "sibilant"):
        column = UNITS.index(unit)
        figures[f"{unit}_r"] = float(np.corrcoef(given[:, column], wanted[:, column])[0, 1])
    return {name: round(value, 4) for name, value in figures.items()}
