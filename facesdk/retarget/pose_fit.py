"""Target controls that stand for poses of the source rig, fitted frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import RigError

Weights = Mapping[str, Mapping[str, float]]
"""Source name -> target name -> factor."""


@dataclass(frozen=True, eq=False)
class PoseFit:
    """Target controls that each stand for a pose of the source rig: visemes, emotions.

    A frame becomes the nearest nonnegative mix of poses. One pose may be empty: it is the face at
    rest, and then the weights sum to 1.
    """

    poses: Weights
    """Target control -> source control -> value in its pose."""
    metric: Weights = field(default_factory=dict)
    """Source control -> its weights in source controls when frames are compared with poses; those
    that are not listed count as themselves."""

    def __post_init__(self) -> None:
        if not self._shapes or len(self.poses) > len(self._shapes) + 1:
            raise RigError("a pose fit needs poses, at most one of them empty")
        lengths = self._solver[2]
        if not lengths.all():
            raise RigError(
                f"pose {self._shapes[int(lengths.argmin())]!r} has no length under the metric"
            )

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Source controls that the fit reads."""
        seen = [name for pose in self.poses.values() for name in pose]
        return tuple(dict.fromkeys(n for s in seen for n in (s, *self.metric.get(s, ()))))

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Target controls in the order of the fit's result, the one for rest last."""
        return (*self._shapes, *(name for name, pose in self.poses.items() if not pose))

    @property
    def _shapes(self) -> tuple[str, ...]:
        return tuple(name for name, pose in self.poses.items() if pose)

    @cached_property
    def _solver(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Projection of a frame on the poses, their products, their lengths (poses scaled to 1)."""
        column = {name: i for i, name in enumerate(self.inputs)}
        counts = np.zeros((len(column), len(column)))
        for name, i in column.items():
            for other, factor in self.metric.get(name, {name: 1.0}).items():
                counts[i, column[other]] = factor
        table = np.zeros((len(self._shapes), len(column)))
        for i, name in enumerate(self._shapes):
            for control, value in self.poses[name].items():
                table[i, column[control]] = value
        seen = table @ counts.T
        lengths = np.linalg.norm(seen, axis=1)
        seen /= np.where(lengths > 0, lengths, 1)[:, None]
        return counts.T @ seen.T, seen @ seen.T, lengths

    def __call__(self, inputs: Floats) -> Floats:
        """Return (..., outputs) weights of the mix of poses nearest to (..., inputs)."""
        projection, products, lengths = self._solver
        weights = _nonnegative(inputs @ projection, products) / lengths
        if len(self.outputs) > len(self._shapes):
            weights /= np.maximum(weights.sum(-1, keepdims=True), 1)
            weights = np.concatenate([weights, 1 - weights.sum(-1, keepdims=True)], -1)
        return weights.astype(np.float32)


def _nonnegative(
    projected: NDArray[np.float64], products: NDArray[np.float64], *, steps: int = 150
) -> NDArray[np.float64]:
    """Return (..., n) w >= 0 that minimize w P w / 2 - w b, by accelerated projected gradient."""
    rate = 1 / np.linalg.eigvalsh(products)[-1]
    weights = ahead = np.zeros_like(projected)
    for step in range(steps):
        last, weights = weights, np.maximum(ahead - rate * (ahead @ products - projected), 0)
        ahead = weights + step / (step + 3) * (weights - last)
    return weights
