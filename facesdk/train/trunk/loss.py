"""The loss of the trunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ..table_layer import UnitMeshLoss
from .data import UNITS, Batch


@dataclass(frozen=True)
class LossWeights:
    """Relative weights of the terms."""

    velocity: float = 3.0
    """Squared error of the change from frame to frame: prevents jitter."""
    phones: float = 0.15
    """Cross-entropy of the phone head; training only."""
    closure: float = 3.0
    """Extra weight on frames with a lip contact: rare, short, and noticed first by viewers."""
    units: float = 1.0
    """Weight of the curves of the lips."""
    articulation: float = 1.0
    """Weight of the curves in time with the sound."""
    activity: float = 0.5
    """Cross-entropy of the output for whether somebody speaks."""
    vertices: float = 0.0
    """Squared error in mm² on the built-in head, driven through the ARKit table."""
    unit: tuple[tuple[str, float], ...] = (
        ("jaw", 1.5), ("aperture", 2.0), ("closure", 3.5), ("labiodental", 2.5), ("rounding", 4.0),
        ("sibilant", 2.5), ("tongue_tip", 1.3), ("tongue_dental", 0.6), ("tongue_back", 0.6),
        ("tongue_lateral", 0.5), ("voicing", 0.4), ("loudness", 0.4), ("accent", 0.4),
    )  # fmt: skip


class Loss(nn.Module):
    """Weighted sum of its terms, averaged over the look-aheads."""

    factors: Tensor

    def __init__(self, weights: LossWeights, delay_steps: Sequence[int]) -> None:
        super().__init__()
        self._weights = weights
        self._delay_steps = tuple(delay_steps)
        by_unit = dict(weights.unit)
        plain = torch.tensor([by_unit.get(u, 1.0) for u in UNITS])
        self.register_buffer(
            "factors", torch.cat([weights.units * plain, weights.articulation * plain])
        )
        self._contacts = [UNITS.index("closure"), UNITS.index("labiodental")]
        self._mesh = UnitMeshLoss(UNITS) if weights.vertices else None

    def forward(
        self, logits: Sequence[Tensor], phones: Sequence[Tensor], batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar loss and its parts by name."""
        names = ("units", "velocity", "phones", "vertices", "activity")
        parts = {name: batch.mel.new_zeros(()) for name in names}
        count = batch.targets.shape[2]
        for i, (delay_steps, output_logits) in enumerate(
            zip(self._delay_steps, logits, strict=True)
        ):
            frames = batch.targets.shape[1] - delay_steps
            target, given = batch.targets[:, :frames], output_logits[:, delay_steps:].float()
            curves = torch.sigmoid(given[..., :count])
            parts["units"] = parts["units"] + self._units(given[..., :count], target)
            parts["velocity"] = parts["velocity"] + self._velocity(curves, target)
            if self._mesh is not None:
                lips = slice(len(UNITS))
                parts["vertices"] = parts["vertices"] + self._mesh(
                    curves[..., lips], target[..., lips]
                )
            if phones:
                phone_logits = phones[i][:, delay_steps:].float()
                parts["phones"] = parts["phones"] + cross_entropy(
                    phone_logits.flatten(0, 1), batch.phones[:, :frames].flatten()
                )
            if given.shape[2] > count:
                parts["activity"] = parts["activity"] + binary_cross_entropy_with_logits(
                    given[..., count], batch.active[:, :frames]
                )
        parts = {name: part / len(self._delay_steps) for name, part in parts.items()}
        weights = self._weights
        total = (
            parts["units"]
            + weights.velocity * parts["velocity"]
            + weights.phones * parts["phones"]
            + weights.vertices * parts["vertices"]
            + weights.activity * parts["activity"]
        )
        return total, parts

    def _units(self, logits: Tensor, target: Tensor) -> Tensor:
        error = binary_cross_entropy_with_logits(logits, target, reduction="none")
        groups = target.reshape(*target.shape[:-1], 2, len(UNITS))
        contact = groups[..., self._contacts].amax(-1, keepdim=True).expand_as(groups)
        emphasis = 1 + (self._weights.closure - 1) * contact.flatten(-2)
        mean: Tensor = (error * self.factors * emphasis).mean()
        return mean

    def _velocity(self, prediction: Tensor, target: Tensor) -> Tensor:
        return ((prediction.diff(dim=1) - target.diff(dim=1)) ** 2 * self.factors).mean() * 10
