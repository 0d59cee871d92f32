"""The streaming trunk: log-mel frames in, unit curves out, a choice of look-aheads.

A causal stack of dilated convolutions reads steps of 20 ms. Each look-ahead has an output head on
the same trunk: the head for 100 ms predicts the face 100 ms before the newest sample. One set of
weights serves every latency, and audio beyond the chosen look-ahead has no effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...audio.features import BANDS
from ...errors import FileFormatError
from ..config import require, require_positive

STACK = 2
"""Mel frames (10 ms) in one step of the trunk (20 ms)."""
STEP_MS = 20


@dataclass(frozen=True)
class TrunkConfig:
    """Sizes of the network."""

    channels: int = 176
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    head_channels: int = 112
    delay_steps: tuple[int, ...] = (0, 2, 5, 10)
    """Look-aheads, in steps of 20 ms, ascending."""
    units: tuple[str, ...] = ()
    """Curves of the lips, which lead the sound."""
    articulation: tuple[str, ...] = ()
    """Curves in time with the sound."""
    phones: tuple[str, ...] = ()
    """Labels of the training-only phone head."""
    mean_seconds: float = 3.0
    """Time constant of the running spectral mean."""
    loudness_exponent: float = 0.25
    """Frames weigh in the mean as their power to this exponent: loud ones decide."""
    prior_frames: float = 30.0
    """Weight of the training mean in the running mean, in mel frames of ordinary speech."""
    feature_scale: float = 0.35
    taps: int = 3
    """Steps that a block reads, the newest included."""
    narrow: int = 0
    """Channels that a block stores of its past steps; 0 stores all of them."""
    shared: bool = False
    """One hidden layer of `head_channels` for all heads, instead of one per head."""
    bias: bool = True
    """Whether every block adds a bias to the residual; otherwise only the last one does."""
    activity: bool = False
    """An output per look-ahead for whether somebody speaks."""

    def __post_init__(self) -> None:
        require(self, "channels head_channels", 1)
        require(self, "taps", 2)
        require(self, "narrow", 0)
        require(self, "loudness_exponent", 0)
        require_positive(self, "mean_seconds prior_frames feature_scale")
        if not self.dilations or min(self.dilations) < 1:
            raise FileFormatError(f"dilations must be at least 1 each, got {self.dilations}")
        delays = self.delay_steps
        if not delays or delays[0] < 0 or list(delays) != sorted(set(delays)):
            raise FileFormatError(f"delay_steps must ascend from 0 or more, got {delays}")

    @property
    def curves(self) -> int:
        """Outputs of one head: units first, then articulation."""
        return len(self.units) + len(self.articulation)

    @property
    def outputs(self) -> int:
        """Outputs of one head: its curves, and activity if there is one."""
        return self.curves + int(self.activity)

    @property
    def look_aheads_ms(self) -> tuple[int, ...]:
        """Look-aheads in milliseconds."""
        return tuple(STEP_MS * steps for steps in self.delay_steps)


class RunningMean(nn.Module):
    """Subtract each band's recent mean level, which removes differences of microphone and voice.

    The mean is an exponential window over the past, weighted by loudness and started at the mean
    of the training data. It is causal, and a pause does not move it.
    """

    def __init__(self, config: TrunkConfig, mean: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("prior", torch.tensor(mean, dtype=torch.float32))
        self.prior: Tensor
        self.keep = float(torch.exp(torch.tensor(-0.01 / config.mean_seconds)))
        self.exponent = config.loudness_exponent
        self.weight = config.prior_frames

    def forward(self, mel: Tensor) -> Tensor:
        """Return (B, T, 64) log-mel relative to its running mean."""
        weight = torch.exp(self.exponent * (mel - self.prior).mean(-1, keepdim=True))
        steps = torch.arange(1, mel.shape[1] + 1, device=mel.device, dtype=mel.dtype)
        decay = torch.pow(mel.new_tensor(self.keep), steps)[None, :, None]
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
        """Map (B, T, C) to (B, T, C); steps before the first are zero."""
        stored = x if self.narrow is None else self.narrow(x)
        padded = nn.functional.pad(stored, (0, 0, self.past, 0))
        steps = x.shape[1]
        window = torch.cat(
            [padded[:, i * self.dilation :][:, :steps] for i in range(self.taps)], -1
        )
        hidden: Tensor = self.leave(torch.relu(self.enter(window)))
        return x + hidden


class OutputHead(nn.Module):
    """Trunk state to logits of units and articulation, for one look-ahead."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.enter = nn.Linear(config.channels, config.head_channels)
        self.leave = nn.Linear(config.head_channels, config.outputs)

    def forward(self, state: Tensor) -> Tensor:
        """Map (B, T, C) to (B, T, outputs) logits; activity is the last output."""
        logits: Tensor = self.leave(torch.relu(self.enter(state)))
        return logits


class SharedHeads(nn.Module):
    """Trunk state to logits of all look-aheads through one hidden layer."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self._shape = (len(config.delay_steps), config.outputs)
        self.enter = nn.Linear(config.channels, config.head_channels)
        self.leave = nn.Linear(config.head_channels, self._shape[0] * self._shape[1])

    def forward(self, state: Tensor) -> Tensor:
        """Map (B, T, C) to (B, T, look-aheads, outputs) logits; activity is the last output."""
        logits: Tensor = self.leave(torch.relu(self.enter(state)))
        return logits.reshape(*logits.shape[:-1], *self._shape)


class Trunk(nn.Module):
    """The whole network on log-mel frames."""

    def __init__(self, config: TrunkConfig, mel_mean: Sequence[float]) -> None:
        super().__init__()
        self.config = config
        self.normalize = RunningMean(config, mel_mean)
        self.enter = nn.Linear(STACK * BANDS, config.channels)
        last = len(config.dilations) - 1
        self.blocks = nn.ModuleList(
            Block(
                config.channels, dilation, config.taps,
                narrow=config.narrow, bias=config.bias or i == last,
            )
            for i, dilation in enumerate(config.dilations)
        )  # fmt: skip
        self.heads: nn.Module = (
            SharedHeads(config)
            if config.shared
            else nn.ModuleList(OutputHead(config) for _ in config.delay_steps)
        )
        self.phones = nn.ModuleList(
            nn.Linear(config.channels, len(config.phones))
            for _ in config.delay_steps
            if config.phones
        )

    def state(self, mel: Tensor) -> Tensor:
        """Map (B, 2 T, 64) log-mel to the trunk's (B, T, C)."""
        features = self.normalize(mel) * self.config.feature_scale
        steps = features.reshape(mel.shape[0], -1, STACK * BANDS)
        x: Tensor = torch.relu(self.enter(steps))
        for block in self.blocks:
            x = block(x)
        return torch.relu(x)

    def logits(self, state: Tensor) -> list[Tensor]:
        """Map the trunk's (B, T, C) to (B, T, outputs) logits, one per look-ahead."""
        if isinstance(self.heads, SharedHeads):
            return list(self.heads(state).unbind(2))
        return [head(state) for head in self.heads]  # type: ignore[attr-defined]

    def forward(self, mel: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Map (B, 2 T, 64) log-mel to logits of outputs and phones, one each per look-ahead."""
        x = self.state(mel)
        return self.logits(x), [phones(x) for phones in self.phones]

    def curves(self, mel: Tensor) -> Tensor:
        """Map (B, 2 T, 64) log-mel to (B, T, look-aheads, outputs) in 0..1."""
        return self.curves_of(self.state(mel))

    def curves_of(self, state: Tensor) -> Tensor:
        """Map the trunk's (B, T, C) to (B, T, look-aheads, outputs) in 0..1."""
        return torch.sigmoid(torch.stack(self.logits(state), 2))
