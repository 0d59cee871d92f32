"""Rig tables in torch, and the error that a difference of units makes on the built-in head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..model.rig_table import RigTable
from ..onnx_export.rig_layers import table_factors
from .vertex_loss import VertexLoss


class TableLayer(nn.Module):
    """A rig table on tensors: equal to `RigTable`, with gradients inside its ranges."""

    scale: Tensor
    offset: Tensor
    terms: Tensor
    weights: Tensor
    rest: Tensor
    minimum: Tensor
    maximum: Tensor

    def __init__(self, table: RigTable, names: Sequence[str] | None = None) -> None:
        """`names` are the units in the order of the input, by default all; others stay at rest."""
        super().__init__()
        scale, offset = table_factors(table, table.units.names if names is None else names)
        for name, array in {
            "scale": scale, "offset": offset, "terms": table.layers.terms,
            "weights": table.layers.weights, "rest": table.rig.rest,
            "minimum": table.rig.minimum, "maximum": table.rig.maximum,
        }.items():  # fmt: skip
            self.register_buffer(name, torch.tensor(array), persistent=False)
        self._remainder = (
            None if table.remainder_control is None else table.rig.index(table.remainder_control)
        )

    def linear(self, units: Tensor) -> Tensor:
        """Map (..., units) to (..., controls) off rest, before shares and ranges."""
        factors = (units @ self.scale + self.offset).clamp(0, 1)
        first, *others = self.terms
        terms = factors[..., first]
        for other in others:
            terms = terms * factors[..., other]
        return terms @ self.weights

    def forward(self, units: Tensor) -> Tensor:
        """Map (..., units) to (..., controls) inside the rig's ranges."""
        values = self.linear(units) + self.rest
        if self._remainder is not None:
            values = _share_out(values, self._remainder)
        return torch.minimum(torch.maximum(values, self.minimum), self.maximum)


def _share_out(values: Tensor, remainder: int) -> Tensor:
    """Scale rows down to a sum of 1; the remainder column takes what the others leave."""
    mask = torch.ones_like(values[..., :1]).expand_as(values).clone()
    mask[..., remainder] = 0
    others = values.clamp(min=0) * mask
    others = others / others.sum(-1, keepdim=True).clamp(min=1)
    return others + (1 - others.sum(-1, keepdim=True)) * (1 - mask)


class UnitMeshLoss(nn.Module):
    """Squared error in mm² on the built-in head, driven by units through the ARKit table."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names` are the units in the order of the input."""
        super().__init__()
        self._table = TableLayer(RigTable.load("arkit"), names)
        self._loss = VertexLoss.from_head(rig="arkit")

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean over all frames of two (..., units) in 0..1."""
        loss: Tensor = self._loss(self._table.linear(prediction) - self._table.linear(target))
        return loss
