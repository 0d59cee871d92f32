"""The streaming trunk: log-mel frames in, unit curves out, a choice of look-aheads.

A causal stack of dilated convolutions reads 20 ms steps. One head per look-ahead reads the same
trunk: the head for 100 ms tells what the face does 100 ms before the newest sample. So one set of
weights serves every latency, and audio beyond the chosen look-ahead cannot matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..audio.features import BANDS

STACK = 2
"""Mel frames (10 ms) in one step of the trunk (20 ms)."""


@dataclass(frozen=True)
class TrunkConfig:
    """Sizes of the network."""

    channels: int = 176
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    head_channels: int = 112
    delays: tuple[int, ...] = (0, 2, 5, 10)
    """Look-aheads, in steps of 20 ms."""
    units: tuple[str, ...] = field(default_factory=tuple)
    """Curves of the lips, which lead the sound."""
    articulation: tuple[str, ...] = field(default_factory=tuple)
    """Curves in time with the sound."""
    phones: tuple[str, ...] = field(default_factory=tuple)
    """Labels of the training-only phone head."""
    mean_seconds: float = 3.0
    """Time constant of the running spectral mean."""
    loudness_exponent: float = 0.25
    """Frames weigh in the mean as their power to this exponent: loud ones decide."""
    prior_frames: float = 30.0
    """Weight of the training mean in the running mean, in mel frames of ordinary speech."""
    feature_scale: float = 0.35
    taps: int = 3
    """Past steps that a block reads, the newest included."""
    narrow: int = 0
    """Channels that a block remembers of its past steps; 0 remembers all of them."""
    shared: bool = False
    """One hidden layer of `head_channels` for all heads, in place of one for each."""
    bias: bool = True
    """Whether every block adds a bias to what it hands on; otherwise only the last one does."""
    activity: bool = False
    """An output for each look-ahead that says whether somebody speaks."""

    @property
    def curves(self) -> int:
        """Outputs of one head: units first, then articulation."""
        return len(self.units) + len(self.articulation)


def _only_last(items: Sequence[int]) -> list[bool]:
    return [False] * (len(items) - 1) + [True]


class RunningMean(nn.Module):
    """Subtracts each band's recent mean level, so that microphones and voices look alike.

    The mean is an exponential window over the past, weighted by loudness and started at the mean
    of the training data: causal, and a pause does not move it.
    """

    def __init__(self, config: TrunkConfig, mean: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("prior", torch.tensor(mean, dtype=torch.float32))
        self.prior: Tensor
        self.keep = float(torch.exp(torch.tensor(-0.01 / config.mean_seconds)))
        self.exponent = config.loudness_exponent
        self.weight = config.prior_frames

    def forward(self, mel: Tensor) -> Tensor:
        """(B, T, 64) log-mel to the same, relative to the running mean."""
        weight = torch.exp(self.exponent * (mel - self.prior).mean(-1, keepdim=True))
        steps = torch.arange(1, mel.shape[1] + 1, device=mel.device, dtype=mel.dtype)
        decay = torch.pow(torch.tensor(self.keep, dtype=mel.dtype), steps)[None, :, None]
        total = decay * torch.cumsum(weight * mel / decay, 1)
        mass = decay * torch.cumsum(weight / decay, 1)
        return mel - (total + self.weight * self.prior) / (mass + self.weight)


class Block(nn.Module):
    """Residual block: a few past steps, one hidden layer."""

    def __init__(
        self, channels: int, dilation: int, taps: int = 3, *, narrow: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        self.dilation, self.taps = dilation, taps
        self.width = narrow or channels
        self.narrow = nn.Linear(channels, narrow, bias=False) if narrow else None
        self.enter = nn.Linear(taps * self.width, channels)
        self.leave = nn.Linear(channels, channels, bias=bias)
        nn.init.kaiming_normal_(self.enter.weight, nonlinearity="relu")
        nn.init.normal_(self.leave.weight, std=0.3 / channels**0.5)
        if self.narrow is not None:
            nn.init.normal_(self.narrow.weight, std=1 / channels**0.5)
        if bias:
            nn.init.zeros_(self.leave.bias)

    @property
    def past(self) -> int:
        """Steps before the newest that it reads."""
        return (self.taps - 1) * self.dilation

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C); what lies before the first step is zero."""
        kept = x if self.narrow is None else self.narrow(x)
        padded = nn.functional.pad(kept, (0, 0, self.past, 0))
        steps = x.shape[1]
        window = torch.cat(
            [padded[:, i * self.dilation :][:, :steps] for i in range(self.taps)], -1
        )
        hidden: Tensor = self.leave(torch.relu(self.enter(window)))
        return x + hidden


class Head(nn.Module):
    """Trunk state to logits of units and articulation."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.enter = nn.Linear(config.channels, config.head_channels)
        self.leave = nn.Linear(config.head_channels, config.curves + int(config.activity))

    def forward(self, state: Tensor) -> Tensor:
        """(B, T, C) to (B, T, curves) logits; activity is the last curve."""
        logits: Tensor = self.leave(torch.relu(self.enter(state)))
        return logits


class SharedHeads(nn.Module):
    """Trunk state to logits of all look-aheads through one hidden layer."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self._shape = (len(config.delays), config.curves + int(config.activity))
        self.enter = nn.Linear(config.channels, config.head_channels)
        self.leave = nn.Linear(config.head_channels, self._shape[0] * self._shape[1])

    def forward(self, state: Tensor) -> Tensor:
        """(B, T, C) to (B, T, look-aheads, curves) logits; activity is the last curve."""
        logits: Tensor = self.leave(torch.relu(self.enter(state)))
        return logits.unflatten(-1, self._shape)


class Trunk(nn.Module):
    """The whole network on log-mel frames."""

    def __init__(self, config: TrunkConfig, mel_mean: Sequence[float]) -> None:
        super().__init__()
        self.config = config
        self.normalise = RunningMean(config, mel_mean)
        self.enter = nn.Linear(STACK * BANDS, config.channels)
        self.blocks = nn.ModuleList(
            Block(config.channels, d, config.taps, narrow=config.narrow, bias=config.bias or last)
            for d, last in zip(config.dilations, _only_last(config.dilations), strict=True)
        )
        self.heads: nn.Module = (
            SharedHeads(config) if config.shared else nn.ModuleList(Head(config) for _ in config.delays)
        )
        self.phones = nn.ModuleList(
            nn.Linear(config.channels, len(config.phones)) for _ in config.delays if config.phones
        )

    def state(self, mel: Tensor) -> Tensor:
        """(B, 2 T, 64) log-mel to the trunk's (B, T, C)."""
        features = self.normalise(mel) * self.config.feature_scale
        steps = features.reshape(mel.shape[0], -1, STACK * BANDS)
        x: Tensor = torch.relu(self.enter(steps))
        for block in self.blocks:
            x = block(x)
        return torch.relu(x)

    def _logits(self, state: Tensor) -> list[Tensor]:
        if isinstance(self.heads, SharedHeads):
            return list(self.heads(state).unbind(2))
        return [head(state) for head in self.heads]  # type: ignore[union-attr]

    def forward(self, mel: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """(B, 2 T, 64) log-mel to curve logits and phone logits, one each per look-ahead.

        With `activity` its logit is the last curve.
        """
        x = self.state(mel)
        return self._logits(x), [head(x) for head in self.phones]

    def curves(self, mel: Tensor) -> Tensor:
        """(B, 2 T, 64) log-mel to (B, T, look-aheads, curves) in 0..1."""
        return torch.sigmoid(torch.stack(self._logits(self.state(mel)), 2))
