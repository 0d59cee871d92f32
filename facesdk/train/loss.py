"""What the trunk is trained to minimise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from .data import UNITS, Batch
from .surface import Surface


@dataclass(frozen=True)
class LossWeights:
    """Relative weights of the terms."""

    velocity: float = 3.0
    """Squared error of the change from frame to frame: keeps curves from trembling."""
    phones: float = 0.0
    """Cross-entropy of the phone head; it teaches the trunk phonetics, nothing more."""
    closure: float = 3.0
    """Extra weight on frames with a lip contact: rare, short and what viewers notice first."""
    articulation: float = 1.0
    """Weight of the curves in time with the sound against those of the lips."""
    vertices: float = 0.0
    """Squared error in mm of the built-in head's lips, driven through the ARKit table."""
    units: float = 0.4
    """Weight of the curves of the lips."""
    activity: float = 0.5
    """Cross-entropy of the output that says whether somebody speaks."""
    unit: tuple[tuple[str, float], ...] = (
        ("jaw", 1.5), ("aperture", 2.0), ("closure", 3.5), ("labiodental", 2.5), ("rounding", 2.0),
        ("sibilant", 0.8), ("tongue_tip", 0.6), ("tongue_dental", 0.6), ("tongue_back", 0.6),
        ("tongue_lateral", 0.5), ("voicing", 0.4), ("loudness", 0.4), ("accent", 0.4),
    )  # fmt: skip


class Loss:
    """Weighted sum over the look-aheads of unit, velocity and phone terms."""

    def __init__(self, weights: LossWeights, delays: Sequence[int]) -> None:
        self._weights = weights
        self._delays = tuple(delays)
        factors = dict(weights.unit)
        plain = torch.tensor([factors.get(u, 1.0) for u in UNITS])
        self._factors = torch.cat([weights.units * plain, weights.articulation * plain])
        self._contacts = [UNITS.index("closure"), UNITS.index("labiodental")]
        self._surface = Surface() if weights.vertices else None

    def __call__(
        self, logits: Sequence[Tensor], phones: Sequence[Tensor], batch: Batch
    ) -> tuple[Tensor, dict[str, float]]:
        """Scalar loss and its parts by name, averaged over the look-aheads."""
        names = ("units", "velocity", "phones", "vertices", "activity")
        parts = {name: torch.zeros(()) for name in names}
        curves = batch.targets.shape[2]
        for i, (delay, unit_logits) in enumerate(zip(self._delays, logits, strict=True)):
            frames = batch.targets.shape[1] - delay
            wanted = batch.targets[:, :frames]
            given = unit_logits[:, delay:, :curves].float()
            parts["units"] = parts["units"] + self._units(given, wanted)
            values = torch.sigmoid(given)
            parts["velocity"] = parts["velocity"] + self._velocity(values, wanted)
            if self._surface is not None:
                parts["vertices"] = parts["vertices"] + self._surface(values, wanted)
            if phones and self._weights.phones:
                parts["phones"] = parts["phones"] + cross_entropy(
                    phones[i][:, delay:].flatten(0, 1).float(), batch.phones[:, :frames].flatten()
                )
            if unit_logits.shape[2] > curves:
                parts["activity"] = parts["activity"] + binary_cross_entropy_with_logits(
                    unit_logits[:, delay:, curves].float(), batch.active[:, :frames]
                )
        parts = {name: part / len(self._delays) for name, part in parts.items()}
        weights = self._weights
        total = (
            parts["units"]
            + weights.velocity * parts["velocity"]
            + weights.phones * parts["phones"]
            + weights.vertices * parts["vertices"]
            + weights.activity * parts["activity"]
        )
        return total, {name: float(part.detach()) for name, part in parts.items()}

    def _units(self, logits: Tensor, wanted: Tensor) -> Tensor:
        error = binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        groups = wanted.reshape(*wanted.shape[:-1], 2, len(UNITS))
        contact = groups[..., self._contacts].amax(-1, keepdim=True).expand_as(groups)
        emphasis = 1 + (self._weights.closure - 1) * contact.flatten(-2)
        mean: Tensor = (error * self._factors * emphasis).mean()
        return mean

    def _velocity(self, given: Tensor, wanted: Tensor) -> Tensor:
        return ((given.diff(dim=1) - wanted.diff(dim=1)) ** 2 * self._factors).mean() * 10
