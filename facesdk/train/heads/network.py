"""Output layers that are learned from recordings, in place of a rig's table.

Each data set gets a layer of its own on the shared trunk: trunk state and who speaks in, its
annotation out, once for every look-ahead. A layer predicts numbers of mean 0 and deviation 1; a
code turns them into control values or into vertices. People differ by an embedding; index 0 is
the pivot, an identity that stands in for anybody and serves speakers nobody has seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ...arrays import Doubles, Floats
from ...errors import FileFormatError
from ...rig import Rig
from ..trunk.network import Trunk

PIVOT = 0
"""Row of the identity that stands in for anybody."""

SPREAD = 0.1
"""Deviation of identities before training; the pivot starts at zero, among them all."""

_STILL = 1e-6


# ------------------------------------------------------------------ what a layer predicts


@dataclass(frozen=True, eq=False)
class AffineCode:
    """Values as they are, each with its own mean and deviation, inside its limits."""

    mean: Floats
    """(D,)."""
    deviation: Floats
    """(D,); 0 where the training data never moves, and nothing is predicted."""
    low: Floats
    high: Floats

    @classmethod
    def of_controls(cls, values: Iterable[Floats], rig: Rig) -> AffineCode:
        """For the controls of a rig, from (T, C) curves of the training set."""
        curves = np.concatenate(list(values)).astype(np.float64)
        mean, deviation = curves.mean(0), curves.std(0)
        deviation[deviation < _STILL] = 0
        mean, deviation = mean.astype(np.float32), deviation.astype(np.float32)
        return cls(mean, deviation, rig.minimum.copy(), rig.maximum.copy())

    @classmethod
    def of_vertices(cls, offsets: Iterable[Floats]) -> AffineCode:
        """For every coordinate by itself, from (T, D) offsets; all share one deviation."""
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
        """Numbers that a layer predicts a frame."""
        return len(self.mean)

    def encode(self, values: Floats) -> Floats:
        """(T, D) values as (T, size) numbers to predict."""
        away = values - self.mean
        scale = np.where(self.deviation > 0, self.deviation, 1)
        return np.asarray(np.where(self.deviation > 0, away / scale, 0), np.float32)

    def decode(self, codes: Tensor) -> Tensor:
        """(..., size) predicted numbers as (..., D) values inside the limits."""
        mean, deviation, low, high = (
            torch.as_tensor(x) for x in (self.mean, self.deviation, self.low, self.high)
        )
        return torch.minimum(torch.maximum(mean + deviation * codes, low), high)


@dataclass(frozen=True, eq=False)
class PcaCode:
    """Offsets of vertices as coefficients of their principal components."""

    mean: Floats
    """(D,) mean offset from the template."""
    components: Floats
    """(K, D), orthonormal, the strongest first."""
    deviation: Floats
    """(K,) of the coefficients in the training set."""
    explained: float
    """Share of the variance of the training set that the components carry."""

    @classmethod
    def of_vertices(
        cls, offsets: Iterable[Floats], *, explained: float = 0.995, most: int = 256
    ) -> PcaCode:
        """The fewest components that explain a share of the variance, from (T, D) offsets."""
        return _Principal(most, offsets).code(explained)

    @property
    def size(self) -> int:
        """Numbers that a layer predicts a frame."""
        return len(self.components)

    @property
    def basis(self) -> Floats:
        """(K, D) what each predicted number adds at 1."""
        return self.deviation[:, None] * self.components

    def encode(self, values: Floats) -> Floats:
        """(T, D) offsets as (T, size) numbers to predict."""
        return np.asarray((values - self.mean) @ self.components.T / self.deviation, np.float32)

    def decode(self, codes: Tensor) -> Tensor:
        """(..., size) predicted numbers as (..., D) offsets."""
        return torch.as_tensor(self.mean) + codes @ torch.as_tensor(self.basis)


Code = AffineCode | PcaCode


class _Principal:
    """Principal components of data that come in blocks and need never be held together.

    Every block is joined to the directions known so far, each as long as its share, and only the
    strongest survive; variance is counted exactly, so what was cut away shows.
    """

    def __init__(self, most: int, blocks: Iterable[Floats]) -> None:
        self._most = most
        self._count, self._variation = 0, 0.0
        self._mean: Doubles = np.zeros(0)
        self._rows: Doubles = np.zeros((0, 0))
        for block in blocks:
            self._join(block.astype(np.float64))

    def _join(self, block: Doubles) -> None:
        own, fresh = block.mean(0), len(block)
        away = block - own
        if not self._count:
            self._mean, self._rows = np.zeros_like(own), np.zeros((0, block.shape[1]))
        step = own - self._mean
        between = np.sqrt(self._count * fresh / (self._count + fresh)) * step
        self._variation += float(np.square(away).sum() + between @ between)
        self._mean = self._mean + step * fresh / (self._count + fresh)
        self._count += fresh
        self._rows = _strongest(np.concatenate([self._rows, away, between[None]]), self._most)

    def code(self, explained: float) -> PcaCode:
        if not self._variation > 0:
            raise FileFormatError("the training vertices never move; there is nothing to learn")
        power = np.square(self._rows).sum(1)
        shares = np.cumsum(power) / self._variation
        enough = min(int(np.searchsorted(shares, explained)) + 1, len(shares))
        length = np.sqrt(power[:enough])
        return PcaCode(
            self._mean.astype(np.float32),
            (self._rows[:enough] / length[:, None]).astype(np.float32),
            (length / np.sqrt(self._count)).astype(np.float32),
            float(shares[enough - 1]),
        )


def _strongest(rows: Doubles, most: int) -> Doubles:
    """(K, D) orthogonal rows with the same products as many rows, the weak ones dropped."""
    if rows.shape[0] <= rows.shape[1]:
        values, vectors = np.linalg.eigh(rows @ rows.T)
        turned = vectors.T[::-1] @ rows
    else:
        values, vectors = np.linalg.eigh(rows.T @ rows)
        turned = (vectors * np.sqrt(np.maximum(values, 0))).T[::-1]
    kept = values[::-1] > 1e-12 * values[-1]
    return np.asarray(turned[kept][:most])


# ------------------------------------------------------------------ who speaks


class Identities(nn.Module):
    """An embedding for everybody, and the pivot."""

    def __init__(self, speakers: Sequence[str], size: int) -> None:
        super().__init__()
        self.speakers = tuple(speakers)
        self.table = nn.Embedding(1 + len(self.speakers), size)
        nn.init.normal_(self.table.weight, std=SPREAD)
        with torch.no_grad():
            self.table.weight[PIVOT] = 0

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        return self.table.embedding_dim

    @property
    def rows(self) -> Mapping[str, int]:
        """Row of everybody by name."""
        return {name: row for row, name in enumerate(self.speakers, 1)}

    def row(self, speaker: str | None) -> int:
        """Row of a speaker; the pivot for None and for anybody unknown."""
        return PIVOT if speaker is None else self.rows.get(speaker, PIVOT)

    def forward(self, rows: Tensor) -> Tensor:
        """(B,) rows to (B, E) embeddings."""
        embedding: Tensor = self.table(rows)
        return embedding


def with_pivot(rows: Tensor, odds: float, rng: Generator) -> Tensor:
    """(B,) rows, each replaced by the pivot with some probability."""
    return torch.where(torch.rand(rows.shape, generator=rng) < odds, PIVOT, rows)


# ------------------------------------------------------------------ the layer


class OutputLayer(nn.Module):
    """Trunk state and identity to a code, one small network for each look-ahead.

    An identity shifts what the hidden units hear, turns them up or down, and adds its own posture.
    Before training the layer says the mean of its data.
    """

    def __init__(
        self, channels: int, looks: int, size: int, *, hidden: int = 96, embedding: int = 16
    ) -> None:
        super().__init__()
        self.enter = nn.ModuleList(nn.Linear(channels, hidden) for _ in range(looks))
        self.leave = nn.ModuleList(nn.Linear(hidden, size) for _ in range(looks))
        for layer in self.leave:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.style = Style(embedding, hidden, size) if embedding else None

    def forward(self, state: Tensor, identity: Tensor | None = None) -> Tensor:
        """(B, T, C) and (B, E) to (B, T, look-aheads, K)."""
        heard = torch.stack([enter(state) for enter in self.enter], 2)
        if self.style is None or identity is None:
            return self._say(torch.relu(heard))
        shift, gain, posture = (x[:, None, None] for x in self.style(identity))
        said: Tensor = self._say(torch.relu(heard + shift) * gain) + posture
        return said

    def _say(self, hidden: Tensor) -> Tensor:
        """(B, T, look-aheads, H) to (B, T, look-aheads, K)."""
        pairs = zip(self.leave, hidden.unbind(2), strict=True)
        return torch.stack([leave(x) for leave, x in pairs], 2)


class Style(nn.Module):
    """What an identity does to a layer; it is the same at every look-ahead."""

    def __init__(self, embedding: int, hidden: int, size: int) -> None:
        super().__init__()
        self.shift = nn.Linear(embedding, hidden, bias=False)
        self.gain = nn.Linear(embedding, hidden, bias=False)
        self.posture = nn.Linear(embedding, size, bias=False)

    def forward(self, identity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, E) to (B, H) added, (B, H) multiplied, (B, K) added at the end."""
        return self.shift(identity), 1 + self.gain(identity), self.posture(identity)


class MultiHead(nn.Module):
    """One trunk, one identity table, and an output layer for every data set."""

    def __init__(
        self,
        trunk: Trunk,
        sizes: Mapping[str, int],
        speakers: Sequence[str],
        *,
        hidden: int = 96,
        embedding: int = 16,
    ) -> None:
        """`sizes` are the numbers to predict by data set; `embedding` 0 leaves identities out."""
        super().__init__()
        self.trunk = trunk
        self.identities = Identities(speakers, embedding) if embedding else None
        channels, looks = trunk.config.channels, len(trunk.config.delays)
        self.layers = nn.ModuleDict(
            {
                _key(name): OutputLayer(channels, looks, size, hidden=hidden, embedding=embedding)
                for name, size in sizes.items()
            }
        )

    def layer(self, name: str) -> OutputLayer:
        """The output layer of a data set."""
        layer: Any = self.layers[_key(name)]
        assert isinstance(layer, OutputLayer)
        return layer

    def forward(self, state: Tensor, name: str, rows: Tensor) -> Tensor:
        """(B, T, C) trunk state and (B,) identities to (B, T, look-aheads, K) of a data set."""
        identity = None if self.identities is None else self.identities(rows)
        predicted: Tensor = self.layer(name)(state, identity)
        return predicted

    def new_parameters(self) -> Iterator[nn.Parameter]:
        """Everything but the trunk."""
        for part in (self.identities, self.layers):
            if part is not None:
                yield from part.parameters()


def _key(name: str) -> str:
    """Name of a module; torch allows no dots in it."""
    return name.replace(".", "·")
