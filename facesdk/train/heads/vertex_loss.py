"""Errors of control curves, measured where they are seen: on the surface of a head, in mm².

A control that moves the lips by a centimetre and one that no vertex follows cost the same in a
loss on coefficients. Here an error costs what it moves. Through a linear basis the mean squared
distance is a quadratic form of the error, so it costs one small matrix product, whatever the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ...arrays import Doubles
from ...errors import MeshError
from ...mesh.builtin.head import builtin_head
from ...mesh.flame import JOINTS, FlameModel
from ...mesh.head import Head
from ...rig import Rig
from .flame_layer import FlameLayer

MILLIMETRES = 1000.0

REGIONS: Mapping[str, float] = {"lips": 1.0, "skin": 0.1, "tongue": 0.05}
"""What an error of 1 mm all over a region costs; regions overlap and add up."""


class VertexLoss(nn.Module):
    """Mean squared distance in mm² that errors of linear controls make on a surface.

    An error of 1 mm all over the lips, and nowhere else, costs what the weights of the lips sum
    to: 1 with `surface_weights`.
    """

    factor: Tensor
    """(C, R) errors times this are distances whose squares add up."""

    def __init__(self, basis: ArrayLike, weights: ArrayLike) -> None:
        """`basis` is (C, V, 3) metres that a control adds at 1; `weights` (V,) count vertices."""
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
        """For controls of a rig on a head, by default the built-in one."""
        head = head or builtin_head()
        return cls(control_basis(head, rig), surface_weights(head, regions))

    def frames(self, error: Tensor) -> Tensor:
        """(...) mm² of (..., C) errors, each frame for itself."""
        return (error @ self.factor).square().sum(-1)

    def forward(self, error: Tensor, emphasis: Tensor | None = None) -> Tensor:
        """Scalar mm² of (..., C) errors; `emphasis` (...) multiplies single frames."""
        each = self.frames(error)
        return (each if emphasis is None else each * emphasis).mean()


class FlameVertexLoss(nn.Module):
    """Mean squared distance in mm² between two faces of a FLAME model, joints turning as they do.

    Takes controls of the rig `flame`, whose jaw is no linear basis, so both faces are posed; only
    vertices that count are.
    """

    weights: Tensor
    """(V,)."""

    def __init__(self, model: FlameModel, weights: ArrayLike) -> None:
        """`weights` are (V,): `surface_weights(flame_head(model, builtin_head()))`, or your own."""
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

    def frames(self, given: Tensor, wanted: Tensor) -> Tensor:
        """(...) mm² between (..., C) controls of the rig `flame`, each frame for itself."""
        away = (self._posed(given) - self._posed(wanted)) * MILLIMETRES
        return (away.square().sum(-1) @ self.weights).reshape(given.shape[:-1])

    def forward(self, given: Tensor, wanted: Tensor, emphasis: Tensor | None = None) -> Tensor:
        """Scalar mm² between (..., C) controls; `emphasis` (...) multiplies single frames."""
        each = self.frames(given, wanted)
        return (each if emphasis is None else each * emphasis).mean()

    def _posed(self, controls: Tensor) -> Tensor:
        rows = controls.reshape(-1, controls.shape[-1])
        pose = rows[:, self._pose].reshape(-1, len(JOINTS), 3)
        points: Tensor = self.layer(rows[:, self._expression], pose)
        return points


def control_basis(head: Head, rig: str | Rig = "arkit") -> Doubles:
    """(C, V, 3) metres that each control of a rig adds to a head at its value 1, alone.

    Where a rig reaches the head through a conversion with rules, this is what the control does
    from rest. Gaze moves the lids here; eyeballs are left out, they turn and do not slide.
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
    """(V,) weights by surface area, those of a region summing to its share.

    A region is a mask or a part of the head; those it lacks are left out, but for the lips, which
    must be there if asked for.
    """
    area = vertex_areas(head)
    total = np.zeros(len(area))
    for name, share in regions.items():
        region = _region(head, name)
        if region is not None:
            total += share * region * area / (region * area).sum()
        elif name == "lips":
            raise MeshError(
                f"head {head.name!r} has no mask 'lips', so an error there cannot be weighed; "
                "give weights of your own, or regions without lips"
            )
    return total


def thinned(weights: Doubles, lips: NDArray[Any], *, every: int = 10) -> Doubles:
    """(V,) weights where only every tenth vertex off the lips counts, for all of them."""
    apart = np.flatnonzero((lips == 0) & (weights > 0))
    kept = weights.copy()
    kept[apart] = 0
    chosen = apart[::every]
    total = weights[chosen].sum()
    if total > 0:
        kept[chosen] = weights[chosen] * weights[apart].sum() / total
    return kept


def vertex_areas(head: Head) -> Doubles:
    """(V,) square metres around each vertex: a third of every triangle it is a corner of."""
    corners = head.neutral.astype(np.float64)[head.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    share = np.repeat(np.linalg.norm(normal, axis=1) / 6, 3)
    total: Doubles = np.zeros(len(head.neutral))
    np.add.at(total, head.triangles.ravel(), share)
    return total


def _region(head: Head, name: str) -> NDArray[Any] | None:
    """(V,) weights in 0..1 of a mask or a part, if the head has it."""
    if name in head.masks:
        return head.masks[name].astype(np.float64) if head.masks[name].any() else None
    if name not in {part.name for part in head.parts}:
        return None
    region = np.zeros(len(head.neutral))
    region[head.part_vertices(name)] = 1
    return region


def _factor(moves: Doubles, counts: Doubles) -> Doubles:
    """(C, C) square root of the quadratic form B W Bᵀ in mm², from its eigenvectors."""
    seen = np.flatnonzero(counts)
    flat = (moves[:, seen] * (MILLIMETRES * np.sqrt(counts[seen]))[:, None]).reshape(len(moves), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))
