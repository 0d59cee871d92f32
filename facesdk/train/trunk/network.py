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

from ...audio.features import BANDS

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

    @property
    def curves(self) -> int:
        """Outputs of one head: units first, then articulation."""
        return len(self.units) + len(self.articulation)


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
    """Residual block: three past steps, one hidden layer."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.enter = nn.Linear(3 * channels, channels)
        self.leave = nn.Linear(channels, channels)
        nn.init.kaiming_normal_(self.enter.weight, nonlinearity="relu")
        nn.init.normal_(self.leave.weight, std=0.3 / channels**0.5)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C); what lies before the first step is zero."""
        d = self.dilation
        padded = nn.functional.pad(x, (0, 0, 2 * d, 0))
        past = torch.cat([padded[:, : -2 * d], padded[:, d:-d], x], -1)
        hidden: Tensor = self.leave(torch.relu(self.enter(past)))
        return x + hidden


class Head(nn.Module):
    """Trunk state to logits of units and articulation."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.enter = nn.Linear(config.channels, config.head_channels)
        self.leave = nn.Linear(config.head_channels, config.curves)

    def forward(self, state: Tensor) -> Tensor:
        """(B, T, C) to (B, T, curves) logits."""
        logits: Tensor = self.leave(torch.relu(self.enter(state)))
        return logits


class Trunk(nn.Module):
    """The whole network on log-mel frames."""

    def __init__(self, config: TrunkConfig, mel_mean: Sequence[float]) -> None:
        super().__init__()
        self.config = config
        self.normalise = RunningMean(config, mel_mean)
        self.enter = nn.Linear(STACK * BANDS, config.channels)
        self.blocks = nn.ModuleList(Block(config.channels, d) for d in config.dilations)
        self.heads = nn.ModuleList(Head(config) for _ in config.delays)
        self.phones = nn.ModuleList(
            nn.Linear(config.channels, len(config.phones)) for _ in config.delays
        )

    def state(self, mel: Tensor) -> Tensor:
        """(B, 2 T, 64) log-mel to the trunk's (B, T, C)."""
        features = self.normalise(mel) * self.config.feature_scale
        steps = features.reshape(mel.shape[0], -1, STACK * BANDS)
        x: Tensor = torch.relu(self.enter(steps))
        for block in self.blocks:
            x = block(x)
        return torch.relu(x)

    def forward(self, mel: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """(B, 2 T, 64) log-mel to curve logits and phone logits, one each per look-ahead."""
        x = self.state(mel)
        return [head(x) for head in self.heads], [head(x) for head in self.phones]

    def curves(self, mel: Tensor) -> Tensor:
        """(B, 2 T, 64) log-mel to (B, T, look-aheads, curves) in 0..1."""
        x = self.state(mel)
        return torch.stack([torch.sigmoid(head(x)) for head in self.heads], 2)
