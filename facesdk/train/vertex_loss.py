"""Errors of control curves in mm² on a head.

A loss on coefficients treats a control that moves the lips by a centimeter like one that moves
nothing. Here an error is weighed by the distance that it moves the vertices. Through a linear basis
the mean squared distance is a quadratic form of the error, one small matrix product for any head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ..arrays import Doubles
from ..errors import MeshError
from ..mesh.builtin.head import builtin_head
from ..mesh.flame import JOINTS, FlameModel
from ..mesh.head import Head
from ..rig import Rig
from .flame_layer import FlameLayer

MILLIMETERS = 1000.0

REGIONS: Mapping[str, float] = {"lips": 1.0, "skin": 0.1, "tongue": 0.05}
"""Cost of an error of 1 mm all over a region; regions overlap and add up."""


class VertexLoss(nn.Module):
    """Mean squared distance in mm² of the vertices that errors of linear controls move.

    An error of 1 mm all over the lips, and nowhere else, costs the sum of the weights of the lips:
    1 with `surface_weights`.
    """

    factor: Tensor
    """(C, R) errors times this are distances whose squares add up."""

    def __init__(self, basis: ArrayLike, weights: ArrayLike) -> None:
        """`basis` is (C, V, 3) meters that a control adds at 1; `weights` are (V,)."""
        super().__init__()
        moves = np.asarray(basis, np.float64)
        counts = np.asarray(weights, np.float64)
        if moves.ndim != 3 or moves.shape[2] != 3 or counts.shape != moves.shape[1:2]:
            raise MeshError(
                "the basis must be (C, V, 3) with (V,) weights, "
                f"got {moves.shape} and {counts.shape}"
            )
        self.register_buffer("factor", torch.tensor(_factor(moves, counts), dtype=torch.float32))

    @classmethod
    def from_head(
        cls,
        rig: str | Rig = "arkit",
        head: Head | None = None,
        *,
        regions: Mapping[str, float] = REGIONS,
    ) -> VertexLoss:
        """Return the loss for controls of a rig on a head, by default the built-in one."""
        head = head or builtin_head()
        return cls(control_basis(head, rig), surface_weights(head, regions))

    def frames(self, error: Tensor) -> Tensor:
        """Return (...) mm² of (..., C) errors, one per frame."""
        return (error @ self.factor).square().sum(-1)

    def forward(self, error: Tensor, emphasis: Tensor | None = None) -> Tensor:
        """Return scalar mm² of (..., C) errors; `emphasis` (...) is a factor per frame."""
        each = self.frames(error)
        return (each if emphasis is None else each * emphasis).mean()


class PointLoss(nn.Module):
    """Mean squared distance in mm² of vertices that are predicted one by one."""

    weights: Tensor

    def __init__(self, counts: Doubles) -> None:
        """`counts` are (V,) weights of the vertices; an error of 1 is a meter."""
        super().__init__()
        self.counts = counts
        self.register_buffer("weights", torch.tensor(1e6 * counts, dtype=torch.float32))

    def frames(self, error: Tensor) -> Tensor:
        """Return (...) mm² of (..., 3 V) errors, one per frame."""
        squares = error.square().reshape(*error.shape[:-1], -1, 3).sum(-1)
        return squares @ self.weights


class FlameVertexLoss(nn.Module):
    """Mean squared distance in mm² between two posed faces of a FLAME model.

    Takes controls of the rig `flame`. Its jaw is not a linear basis, so both faces are posed, but
    only their vertices of nonzero weight.
    """

    weights: Tensor
    """(V,)."""

    def __init__(self, model: FlameModel, weights: ArrayLike) -> None:
        """`weights` are (V,): `surface_weights(flame_head(model, builtin_head()))`, or others."""
        super().__init__()
        rig = Rig.load("flame")
        self._expression = rig.columns(region="expression")[: model.expressions]
        self._pose = [rig.index(f"{joint}_{axis}") for joint in JOINTS for axis in "xyz"]
        counts = torch.tensor(np.asarray(weights), dtype=torch.float32)
        if counts.shape != (len(model.template),):
            raise MeshError(
                f"weights must be ({len(model.template)},) for {model.name}, "
                f"got {tuple(counts.shape)}"
            )
        seen = counts.nonzero()[:, 0]
        self.register_buffer("weights", counts[seen])
        self.layer = FlameLayer(model)
        basis = self.layer.basis.reshape(len(self.layer.basis), -1, 3)
        self.layer.basis = basis[:, seen].flatten(1)
        self.layer.weights = self.layer.weights[seen]

    def frames(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return (...) mm² between (..., C) controls of the rig `flame`, one per frame."""
        error = (self._posed(prediction) - self._posed(target)) * MILLIMETERS
        return (error.square().sum(-1) @ self.weights).reshape(prediction.shape[:-1])

    def forward(self, prediction: Tensor, target: Tensor, emphasis: Tensor | None = None) -> Tensor:
        """Return scalar mm² between (..., C) controls; `emphasis` (...) is a factor per frame."""
        each = self.frames(prediction, target)
        return (each if emphasis is None else each * emphasis).mean()

    def _posed(self, controls: Tensor) -> Tensor:
        rows = controls.reshape(-1, controls.shape[-1])
        pose = rows[:, self._pose].reshape(-1, len(JOINTS), 3)
        points: Tensor = self.layer(rows[:, self._expression], pose)
        return points


def control_basis(head: Head, rig: str | Rig = "arkit") -> Doubles:
    """Return (C, V, 3) meters that each control of a rig adds to a head at its value 1.

    If a rig reaches the head through a conversion with rules, this is the motion from rest. Gaze
    moves the lids; eyeballs are left out because they rotate.
    """
    rig = Rig.load(rig) if isinstance(rig, str) else rig
    moved = head.weights(rig.rest + np.eye(len(rig), dtype=np.float32), rig)
    change = moved - head.weights(rig.rest[None], rig)
    deltas = head.deltas.astype(np.float64)
    for eye in ("left_eye", "right_eye"):
        if eye in head.masks:
            deltas[:, head.masks[eye] > 0] = 0
    return np.asarray(np.einsum("cs,svx->cvx", change.astype(np.float64), deltas, optimize=True))


def surface_weights(head: Head, regions: Mapping[str, float] = REGIONS) -> Doubles:
    """Return (V,) weights by surface area; the weights of a region sum to its share.

    A region is a mask or a part of the head. Missing regions are left out, except that missing lips
    are an error.
    """
    area = vertex_areas(head)
    total = np.zeros(len(area))
    for name, share in regions.items():
        region = _region(head, name)
        if region is not None:
            total += share * region * area / (region * area).sum()
        elif name == "lips":
            raise MeshError(
                f"head {head.name!r} has no mask 'lips', so errors of the lips cannot be measured; "
                "pass your own weights, or regions without lips"
            )
    return total


def thinned(weights: Doubles, lips: NDArray[Any], *, every: int = 10) -> Doubles:
    """Return (V,) weights where every tenth vertex off the lips stands for all of them."""
    apart = np.flatnonzero((lips == 0) & (weights > 0))
    kept = weights.copy()
    kept[apart] = 0
    chosen = apart[::every]
    total = weights[chosen].sum()
    if total > 0:
        kept[chosen] = weights[chosen] * weights[apart].sum() / total
    return kept


def vertex_areas(head: Head) -> Doubles:
    """Return (V,) square meters around each vertex: a third of each of its triangles."""
    corners = head.neutral.astype(np.float64)[head.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    share = np.repeat(np.linalg.norm(normal, axis=1) / 6, 3)
    total: Doubles = np.zeros(len(head.neutral))
    np.add.at(total, head.triangles.ravel(), share)
    return total


def _region(head: Head, name: str) -> NDArray[Any] | None:
    """Return (V,) weights in 0..1 of a mask or a part, or None if the head does not have it."""
    if name in head.masks:
        return head.masks[name].astype(np.float64) if head.masks[name].any() else None
    if name not in {part.name for part in head.parts}:
        return None
    region = np.zeros(len(head.neutral))
    region[head.part_vertices(name)] = 1
    return region


def _factor(moves: Doubles, counts: Doubles) -> Doubles:
    """Return the (C, C) square root of the quadratic form B W Bᵀ in mm², by eigenvectors."""
    seen = np.flatnonzero(counts)
    flat = (moves[:, seen] * (MILLIMETERS * np.sqrt(counts[seen]))[:, None]).reshape(len(moves), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))
