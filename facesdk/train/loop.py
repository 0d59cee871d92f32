"""The training loop: resumable at any moment, the same result for the same seed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .data import Batches
from .loss import Loss
from .network import Trunk, TrunkConfig


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn."""

    steps: int = 4000
    rate: float = 2e-3
    warmup: int = 200
    decay: float = 0.02
    """Weight decay of AdamW."""
    average: float = 0.998
    """Weights shipped are an exponential average with this factor a step."""
    clip: float = 1.0
    """Largest norm of a gradient."""
    save_every: int = 100
    bfloat16: bool = False
    """Whether matrix products are rounded to bfloat16: twice as fast where the processor has it."""

    def rate_at(self, step: int) -> float:
        """Learning rate: linear warm-up, then a half cosine down to 2 %."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


class Trainer:
    """A network, its average, its optimiser, and a checkpoint file they live in."""

    def __init__(
        self, network: Trunk, loss: Loss, batches: Batches, schedule: Schedule, checkpoint: Path
    ) -> None:
        self.network = network
        self.average = torch.optim.swa_utils.AveragedModel(
            network, multi_avg_fn=_moving_average(schedule.average)
        )
        self.step = 0
        self._loss, self._batches, self._schedule = loss, batches, schedule
        self._optimiser = torch.optim.AdamW(
            network.parameters(), schedule.rate, betas=(0.9, 0.98), weight_decay=schedule.decay
        )
        self._checkpoint = checkpoint
        if checkpoint.exists():
            self._load()

    @property
    def trained(self) -> nn.Module:
        """The averaged network."""
        return self.average.module

    def run(self, report: Callable[[int, dict[str, float]], None]) -> None:
        """Train to the end of the schedule, saving as it goes."""
        started = time.monotonic()
        while self.step < self._schedule.steps:
            parts = self._advance()
            if self.step % 20 == 0:
                parts["seconds"] = time.monotonic() - started
                report(self.step, parts)
            if self.step % self._schedule.save_every == 0:
                self.save()
        self.save()

    def _advance(self) -> dict[str, float]:
        batch = self._batches.batch(self.step)
        for group in self._optimiser.param_groups:
            group["lr"] = self._schedule.rate_at(self.step)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._schedule.bfloat16):
            units, phones = self.network(batch.mel)
        total, parts = self._loss(units, phones, batch)
        self._optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self._schedule.clip)
        if torch.isfinite(norm):
            self._optimiser.step()
            self.average.update_parameters(self.network)
        self.step += 1
        return {"loss": float(total.detach()), **parts}

    def save(self) -> None:
        """Write the checkpoint beside itself, then rename it into place."""
        self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
        beside = self._checkpoint.with_suffix(".tmp")
        torch.save(
            {
                "step": self.step,
                "config": asdict(self.network.config),
                "mel_mean": self.network.normalise.prior.tolist(),
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self._optimiser.state_dict(),
            },
            beside,
        )
        beside.replace(self._checkpoint)

    def _load(self) -> None:
        stored: dict[str, Any] = torch.load(self._checkpoint, weights_only=True)
        self.network.load_state_dict(stored["network"])
        self.average.load_state_dict(stored["average"])
        self._optimiser.load_state_dict(stored["optimiser"])
        self.step = stored["step"]


def _moving_average(keep: float) -> Callable[[Any, Any, Any], None]:
    """Exponential average of weights that forgets its beginning faster than `keep` says."""

    def update(averages: list[Tensor], weights: list[Tensor], count: Tensor | int) -> None:
        share = min(keep, (1 + int(count)) / (10 + int(count)))
        with torch.no_grad():
            for average, weight in zip(averages, weights, strict=True):
                average.lerp_(weight, 1 - share)

    return update


def load_trunk(checkpoint: Path) -> Trunk:
    """The averaged network of a checkpoint, ready to evaluate or export."""
    stored: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    config: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in stored["config"].items()
    }
    trunk = Trunk(TrunkConfig(**config), stored["mel_mean"])
    prefix = "module."
    weights = {
        k.removeprefix(prefix): v for k, v in stored["average"].items() if k.startswith(prefix)
    }
    trunk.load_state_dict(weights)
    return trunk.eval()


def json_lines(path: Path) -> Callable[[int, dict[str, float]], None]:
    """A report that appends each line to a file."""

    def report(step: int, parts: dict[str, float]) -> None:
        with path.open("a", encoding="utf-8") as file:
            record = {"step": step, **{k: round(v, 5) for k, v in parts.items()}}
            file.write(json.dumps(record) + "\n")

    return report
