"""FLAME as a layer: the same skinning as `facesdk.mesh.flame`, with gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..mesh.flame import PARENTS, FlameModel


class FlameLayer(nn.Module):
    """Expression coefficients and joint rotations to vertices, for losses on vertices."""

    basis: Tensor
    joint_basis: Tensor
    weights: Tensor

    def __init__(self, model: FlameModel, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        shaped = torch.cat(
            [torch.tensor(model.template)[..., None], torch.tensor(model.expression_dirs)], -1
        )
        basis = torch.cat([shaped, torch.tensor(model.pose_dirs)], -1).permute(2, 0, 1)
        joints = torch.einsum("jv,vce->ejc", torch.tensor(model.joint_regressor), shaped)
        for name, values in (
            ("basis", basis.flatten(1)),
            ("joint_basis", joints.flatten(1)),
            ("weights", torch.tensor(model.weights)),
        ):
            self.register_buffer(name, values.to(dtype).contiguous(), persistent=False)

    def forward(self, expression: Tensor, pose: Tensor) -> Tensor:
        """Map (T, E) coefficients and (T, 5, 3) axis-angle joint rotations to (T, V, 3) meters."""
        joint_rotations = rotations(pose)
        identity = torch.eye(3, dtype=joint_rotations.dtype, device=joint_rotations.device)
        ones = torch.ones_like(expression[:, :1])
        psi = torch.cat([ones, expression], 1)
        features = torch.cat([psi, (joint_rotations[:, 1:] - identity).flatten(1)], 1)
        points = (features @ self.basis).reshape(len(psi), -1, 3)
        turn, shift = _chain(joint_rotations, (psi @ self.joint_basis).reshape(-1, 5, 3))
        carried = torch.einsum("vj,tjab->tvab", self.weights, turn)
        moved = torch.einsum("tvab,tvb->tva", carried, points)
        return moved + torch.einsum("vj,tja->tva", self.weights, shift)


def rotations(axis_angle: Tensor) -> Tensor:
    """Map (..., 3) axis times angle to (..., 3, 3) rotation matrices; smooth at rest."""
    zero = torch.zeros_like(axis_angle[..., 0])
    x, y, z = axis_angle.unbind(-1)
    rows = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1)
    turned: Tensor = torch.linalg.matrix_exp(rows.reshape(*rows.shape[:-1], 3, 3))
    return turned


def _chain(joint_rotations: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Return (T, 5, 3, 3) rotation and (T, 5, 3) shift of every joint, parents applied."""
    turn: list[Tensor] = []
    shift: list[Tensor] = []
    for joint, parent in enumerate(PARENTS):
        own, center = joint_rotations[:, joint], joints[:, joint]
        stay = center - torch.einsum("tab,tb->ta", own, center)
        if parent < 0:
            turn.append(own)
            shift.append(stay)
        else:
            turn.append(turn[parent] @ own)
            shift.append(torch.einsum("tab,tb->ta", turn[parent], stay) + shift[parent])
    return torch.stack(turn, 1), torch.stack(shift, 1)
