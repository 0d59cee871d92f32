"""Codecs: the numbers that a layer predicts, and their conversion to controls or vertices.

A layer predicts numbers of mean 0 and deviation 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...arrays import Doubles, Floats
from ...errors import FileFormatError
from ...rig import Rig

_STILL = 1e-6


@dataclass(frozen=True, eq=False)
class AffineCodec:
    """Values with mean and deviation taken off, each by itself and inside its limits."""

    mean: Floats
    """(D,)."""
    deviation: Floats
    """(D,); 0 where the training data never moves and nothing is predicted."""
    low: Floats
    high: Floats

    @classmethod
    def of_controls(cls, values: Iterable[Floats], rig: Rig) -> AffineCodec:
        """Fit to the controls of a rig, from (T, C) curves of the training set."""
        curves = np.concatenate(list(values)).astype(np.float64)
        mean, deviation = curves.mean(0), curves.std(0)
        deviation[deviation < _STILL] = 0
        mean, deviation = mean.astype(np.float32), deviation.astype(np.float32)
        return cls(mean, deviation, rig.minimum.copy(), rig.maximum.copy())

    @classmethod
    def of_vertices(cls, offsets: Iterable[Floats]) -> AffineCodec:
        """Fit to every coordinate by itself, from (T, D) offsets; all share one deviation."""
        count, total, squares = 0, np.zeros(0), 0.0
        for block in offsets:
            total = block.sum(0, dtype=np.float64) + (total if count else 0)
            squares += float(np.square(block, dtype=np.float64).sum())
            count += len(block)
        mean = total / count
        deviation = np.sqrt(max(squares / count - float(mean @ mean), 0) / len(mean))
        limit = np.full(len(mean), np.inf, np.float32)
        return cls(
            np.asarray(mean, np.float32), np.full(len(mean), deviation, np.float32), -limit, limit
        )

    @property
    def size(self) -> int:
        """Numbers that a layer predicts per frame."""
        return len(self.mean)

    def encode(self, values: Floats) -> Floats:
        """Convert (T, D) values to (T, size) numbers to predict."""
        centered = values - self.mean
        scale = np.where(self.deviation > 0, self.deviation, 1)
        return np.asarray(np.where(self.deviation > 0, centered / scale, 0), np.float32)

    def decode(self, codes: Tensor) -> Tensor:
        """Convert (..., size) predicted numbers to (..., D) values inside the limits."""
        mean, deviation, low, high = (
            torch.as_tensor(x, device=codes.device)
            for x in (self.mean, self.deviation, self.low, self.high)
        )
        return torch.minimum(torch.maximum(mean + deviation * codes, low), high)


@dataclass(frozen=True, eq=False)
class PcaCodec:
    """Offsets of vertices as coefficients of their principal components."""

    mean: Floats
    """(D,) mean offset from the template."""
    components: Floats
    """(K, D), orthonormal, the strongest first."""
    deviation: Floats
    """(K,) of the coefficients in the training set."""
    explained_variance: float
    """Share of the training set's variance that the components explain."""

    @classmethod
    def of_vertices(
        cls,
        offsets: Iterable[Floats],
        *,
        explained_variance: float = 0.995,
        max_components: int = 256,
    ) -> PcaCodec:
        """Fit the fewest components that explain a share of the variance of (T, D) offsets."""
        return _Principal(max_components, offsets).codec(explained_variance)

    @property
    def size(self) -> int:
        """Numbers that a layer predicts per frame."""
        return len(self.components)

    @property
    def basis(self) -> Floats:
        """(K, D) offset of each predicted number at 1."""
        return self.deviation[:, None] * self.components

    def encode(self, values: Floats) -> Floats:
        """Convert (T, D) offsets to (T, size) numbers to predict."""
        return np.asarray((values - self.mean) @ self.components.T / self.deviation, np.float32)

    def decode(self, codes: Tensor) -> Tensor:
        """Convert (..., size) predicted numbers to (..., D) offsets."""
        mean, basis = (torch.as_tensor(x, device=codes.device) for x in (self.mean, self.basis))
        return mean + codes @ basis


Codec = AffineCodec | PcaCodec


class _Principal:
    """Principal components of data in blocks that need not fit in memory together.

    Every block is merged with the directions found so far, scaled by their shares, and only the
    strongest are kept. Variance is counted exactly, including that of dropped directions.
    """

    def __init__(self, max_components: int, blocks: Iterable[Floats]) -> None:
        self._max = max_components
        self._count, self._variation = 0, 0.0
        self._mean: Doubles = np.zeros(0)
        self._rows: Doubles = np.zeros((0, 0))
        for block in blocks:
            self._merge(block.astype(np.float64))

    def _merge(self, block: Doubles) -> None:
        mean, size = block.mean(0), len(block)
        centered = block - mean
        if not self._count:
            self._mean, self._rows = np.zeros_like(mean), np.zeros((0, block.shape[1]))
        step = mean - self._mean
        between = np.sqrt(self._count * size / (self._count + size)) * step
        self._variation += float(np.square(centered).sum() + between @ between)
        self._mean = self._mean + step * size / (self._count + size)
        self._count += size
        self._rows = _strongest(np.concatenate([self._rows, centered, between[None]]), self._max)

    def codec(self, explained_variance: float) -> PcaCodec:
        if not self._variation > 0:
            raise FileFormatError("the training vertices never move; there is nothing to learn")
        power = np.square(self._rows).sum(1)
        shares = np.cumsum(power) / self._variation
        enough = min(int(np.searchsorted(shares, explained_variance)) + 1, len(shares))
        length = np.sqrt(power[:enough])
        return PcaCodec(
            self._mean.astype(np.float32),
            (self._rows[:enough] / length[:, None]).astype(np.float32),
            (length / np.sqrt(self._count)).astype(np.float32),
            float(shares[enough - 1]),
        )


def _strongest(rows: Doubles, count: int) -> Doubles:
    """Return (K, D) orthogonal rows with the same products as many rows, weak ones dropped."""
    if rows.shape[0] <= rows.shape[1]:
        values, vectors = np.linalg.eigh(rows @ rows.T)
        turned = vectors.T[::-1] @ rows
    else:
        values, vectors = np.linalg.eigh(rows.T @ rows)
        turned = (vectors * np.sqrt(np.maximum(values, 0))).T[::-1]
    kept = values[::-1] > 1e-12 * values[-1]
    return np.asarray(turned[kept][:count])
