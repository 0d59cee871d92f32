"""What a difference of units does to the skin: rig table and head basis as one torch loss."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.rig_table import RigTable
from ..heads.vertex_loss import VertexLoss
from .data import UNITS


class TableLayer:
    """A rig table on torch tensors, differentiable inside its ranges."""

    def __init__(self, table: RigTable) -> None:
        rows = [table.units.index(unit) for unit in UNITS]
        layers = table.layers
        self._scale = torch.from_numpy(layers.scale[rows])
        self._offset = torch.from_numpy(layers.offset)
        self._terms = torch.from_numpy(layers.terms)
        self._weights = torch.from_numpy(layers.weights)

    def __call__(self, units: Tensor) -> Tensor:
        """(..., units) as the trunk gives them to (..., controls), clipping left out."""
        factors = (units @ self._scale + self._offset).clamp(0, 1)
        first, *others = self._terms
        terms = factors[..., first]
        for other in others:
            terms = terms * factors[..., other]
        controls: Tensor = terms @ self._weights
        return controls


class Surface:
    """Squared error in mm of the built-in head, driven by units through the ARKit table."""

    def __init__(self) -> None:
        self._table = TableLayer(RigTable.load("arkit"))
        self._loss = VertexLoss.from_head(rig="arkit")

    def __call__(self, given: Tensor, wanted: Tensor) -> Tensor:
        """Scalar for (B, T, curves) in 0..1, of which the units are the first."""
        count = len(UNITS)
        error = self._table(given[..., :count]) - self._table(wanted[..., :count])
        loss: Tensor = self._loss(error)
        return loss
