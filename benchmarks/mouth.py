"""The mouth of the built-in head in millimeters, for curves on any rig that drives it.

`Mouth.measure` returns one curve per quantity:

- `gap`: opening between the lips in the middle; closed lips overlap, so it is below 0 then
- `width`, `forward`, `chin`: corner to corner, lips towards the viewer, chin downwards; from rest
- `teeth`: height between the edges of the upper and lower incisors; below 0 they overlap
- `bite`: shortest distance from the lower lip to the upper incisors
- `shown`: height of the upper incisors below the upper lip, whether or not the lower lip hides it
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from facesdk.mesh import Head, load_head
from facesdk.rig import Rig

MIDDLE, INCISORS = 0.006, 0.009
"""Meters from the midline that count as the middle of the lips, and as the front teeth."""
EDGES = 12
"""Vertices of each row of teeth that stand for its edge."""
FRONT = 0.09
"""Meters; teeth before this depth are incisors."""
CONTACT = 0.05
"""Millimeters of gap up to which lips are sealed."""
BLOCK = 2000

Curves = dict[str, np.ndarray]


class Mouth:
    """Quantities of a mouth for weights of the head's shapes."""

    def __init__(self, head: Head | None = None) -> None:
        self.head = head or load_head()

    @cached_property
    def parts(self) -> dict[str, np.ndarray]:
        """Vertices that are measured, by what they are part of."""
        head, marks = self.head, self.head.landmarks
        aside = np.abs(head.neutral[:, 0])
        upper, lower = (head.part_vertices(f"teeth_{jaw}") for jaw in ("upper", "lower"))
        heights = head.neutral[:, 1]
        lip = head.masks["lower_lip"]
        front = (aside[upper] < INCISORS) & (head.neutral[upper, 2] > FRONT)
        middle = [rows[aside[rows] < MIDDLE] for rows in (upper, lower)]
        return {
            "upper": np.flatnonzero((head.masks["upper_lip"] > 0.5) & (aside < MIDDLE)),
            "lower": np.flatnonzero((lip > 0.5) & (aside < MIDDLE)),
            "inner": np.flatnonzero((lip > 0.3) & (aside < 0.008)),
            "corners": np.array([marks["mouth_left"], marks["mouth_right"]]),
            "fronts": np.array([marks["lip_upper"], marks["lip_lower"]]),
            "chin": np.array([marks["chin"]]),
            "incisors": upper[front],
            "upper_edge": middle[0][np.argsort(heights[middle[0]])[:EDGES]],
            "lower_edge": middle[1][np.argsort(-heights[middle[1]])[:EDGES]],
        }

    @cached_property
    def _rest(self) -> Curves:
        return self._absolute(np.zeros((1, len(self.head.names)), np.float32))

    def measure(self, values: np.ndarray, rig: Rig) -> Curves:
        """Curves (T,) in mm for (T, controls) on a rig."""
        weights = self.head.weights(values, rig)
        blocks = [self._absolute(weights[i : i + BLOCK]) for i in range(0, len(weights), BLOCK)]
        found = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        for name in ("width", "forward", "chin"):
            found[name] -= self._rest[name][0]
        return found

    def _absolute(self, weights: np.ndarray) -> Curves:
        used = np.flatnonzero(np.abs(weights).max(axis=0) > 0)
        moved = {name: self._points(rows, weights[:, used], used)
                 for name, rows in self.parts.items()}  # fmt: skip
        upper, lower = moved["upper"][..., 1].min(1), moved["lower"][..., 1].max(1)
        edge = moved["upper_edge"][..., 1].min(1)
        return {
            "gap": upper - lower,
            "width": moved["corners"][:, 0, 0] - moved["corners"][:, 1, 0],
            "forward": moved["fronts"][..., 2].mean(1),
            "chin": -moved["chin"][:, 0, 1],
            "teeth": edge - moved["lower_edge"][..., 1].max(1),
            "bite": _distance(moved["inner"], moved["incisors"]),
            "shown": upper - edge,
        }

    def _points(self, rows: np.ndarray, weights: np.ndarray, used: np.ndarray) -> np.ndarray:
        """(T, N, 3) millimeters of vertices."""
        deltas = self.head.deltas[np.ix_(used, rows)].reshape(len(used), 3 * len(rows))
        flat = self.head.neutral[rows].reshape(1, -1) + weights @ deltas
        return 1000 * flat.reshape(len(weights), len(rows), 3)


def _distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(T,) between the nearest of (T, N, 3) and (T, M, 3) points."""
    shift = other.mean(axis=(0, 1))
    a, b = one - shift, other - shift
    squares = (a**2).sum(-1)[:, :, None] + (b**2).sum(-1)[:, None] - 2 * a @ b.swapaxes(1, 2)
    return np.sqrt(np.maximum(squares, 0).min(axis=(1, 2)))
