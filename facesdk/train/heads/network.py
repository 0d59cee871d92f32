"""Output layers that are learned from recordings and replace a rig's table.

Each data set has a layer of its own on the shared trunk. Its inputs are the trunk's state and the
identity of the speaker, its outputs the annotation of the data set, once per look-ahead. Speakers
differ by an embedding. Row 0 is the pivot, an identity that replaces speakers at random in training
and serves unknown speakers (UniTalker, Fan et al. 2024).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ..trunk.network import Trunk

PIVOT = 0
"""Row of the pivot identity."""

SPREAD = 0.1
"""Deviation of identities before training; the pivot starts at zero, in the middle."""


class Identities(nn.Module):
    """An embedding per speaker, and the pivot."""

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
        """Row of every speaker by name."""
        return {name: row for row, name in enumerate(self.speakers, 1)}

    def row(self, speaker: str | None) -> int:
        """Return the row of a speaker; the pivot for None and for unknown speakers."""
        return PIVOT if speaker is None else self.rows.get(speaker, PIVOT)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (B,) rows to (B, E) embeddings."""
        embedding: Tensor = self.table(rows)
        return embedding


def with_pivot(rows: Tensor, probability: float, rng: Generator) -> Tensor:
    """Replace each of (B,) rows by the pivot with some probability."""
    return torch.where(torch.rand(rows.shape, generator=rng) < probability, PIVOT, rows)


class OutputLayer(nn.Module):
    """Trunk state and identity to the numbers of a codec, one small network per look-ahead.

    An identity shifts and scales the hidden units and adds its own posture to the output. Before
    training the layer predicts the mean of its data.
    """

    def __init__(
        self, channels: int, look_aheads: int, size: int, *, hidden: int = 96, embedding: int = 16
    ) -> None:
        super().__init__()
        self.enter = nn.ModuleList(nn.Linear(channels, hidden) for _ in range(look_aheads))
        self.leave = nn.ModuleList(nn.Linear(hidden, size) for _ in range(look_aheads))
        for layer in self.leave:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.style = Style(embedding, hidden, size) if embedding else None

    def forward(self, state: Tensor, identity: Tensor | None = None) -> Tensor:
        """Map (B, T, C) and (B, E) to (B, T, look-aheads, K)."""
        hidden = torch.stack([enter(state) for enter in self.enter], 2)
        if self.style is None or identity is None:
            return self._leave(torch.relu(hidden))
        shift, gain, posture = (x[:, None, None] for x in self.style(identity))
        output: Tensor = self._leave(torch.relu(hidden + shift) * gain) + posture
        return output

    def _leave(self, hidden: Tensor) -> Tensor:
        """Map (B, T, look-aheads, H) to (B, T, look-aheads, K)."""
        pairs = zip(self.leave, hidden.unbind(2), strict=True)
        return torch.stack([leave(x) for leave, x in pairs], 2)


class Style(nn.Module):
    """The effect of an identity on a layer, the same at every look-ahead."""

    def __init__(self, embedding: int, hidden: int, size: int) -> None:
        super().__init__()
        self.shift = nn.Linear(embedding, hidden, bias=False)
        self.gain = nn.Linear(embedding, hidden, bias=False)
        self.posture = nn.Linear(embedding, size, bias=False)

    def forward(self, identity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, E) to (B, H) shift, (B, H) gain and (B, K) posture."""
        return self.shift(identity), 1 + self.gain(identity), self.posture(identity)


class MultiHead(nn.Module):
    """One trunk, one table of embeddings, and an output layer per data set."""

    def __init__(
        self,
        trunk: Trunk,
        sizes: Mapping[str, int],
        speakers: Sequence[str],
        *,
        hidden: int = 96,
        embedding: int = 16,
    ) -> None:
        """`sizes` are numbers to predict by data set; `embedding` 0 is without identities."""
        super().__init__()
        self.trunk = trunk
        self.identities = Identities(speakers, embedding) if embedding else None
        channels, look_aheads = trunk.config.channels, len(trunk.config.delay_steps)
        self.layers = nn.ModuleDict(
            {
                _key(name): OutputLayer(
                    channels, look_aheads, size, hidden=hidden, embedding=embedding
                )
                for name, size in sizes.items()
            }
        )

    def layer(self, name: str) -> OutputLayer:
        """Return the output layer of a data set."""
        layer: Any = self.layers[_key(name)]
        assert isinstance(layer, OutputLayer)
        return layer

    def forward(self, state: Tensor, name: str, rows: Tensor) -> Tensor:
        """Map (B, T, C) trunk state and (B,) identities to a data set's (B, T, look-aheads, K)."""
        identity = None if self.identities is None else self.identities(rows)
        predicted: Tensor = self.layer(name)(state, identity)
        return predicted

    def new_parameters(self) -> Iterator[nn.Parameter]:
        """Return all parameters but those of the trunk."""
        for part in (self.identities, self.layers):
            if part is not None:
                yield from part.parameters()


def _key(name: str) -> str:
    """Return the name of a module, in which torch allows no dots."""
    return name.replace(".", "·")
