"""The one training loop: schedule, clipping, averaged weights, checkpoints; it resumes exactly.

A trainer is a network and a step function. Everything random in a step must follow from the step's
number: batches are functions of it, and torch's generators are seeded by it before every step. A
resumed run is then the run that was never interrupted, and on the CPU it is equal to the bit.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import FileFormatError, ModelError, unknown_name
from ..files import whole_file
from .config import require, require_positive

DEVICES = ("auto", "cpu", "cuda", "mps")

StepFunction = Callable[[int], tuple[Tensor, Mapping[str, Tensor]]]
"""Returns the loss of a step and its parts by name, given the step's number."""

Tensors = tuple[Tensor, ...] | list[Tensor]

OnProgress = Callable[[int, Mapping[str, float]], None]
"""Receives the number of finished steps, and means of loss and parts since the last call."""

_MOST_SKIPPED = 50
"""Steps in a row without a finite gradient, after which training stops."""


@dataclass(frozen=True)
class Schedule:
    """Length and rate of a training."""

    steps: int = 4000
    rate: float = 2e-3
    warmup: int = 200
    decay: float = 0.02
    """Weight decay of AdamW."""
    average: float = 0.998
    """Factor per step of the exponential average of the weights, which is the result; 0 is off."""
    clip: float = 1.0
    """Largest norm of a gradient."""
    save_every: int = 100
    """Steps between checkpoints."""
    bfloat16: bool = False
    """Whether matrix products are rounded to bfloat16: twice as fast where hardware has it."""

    def __post_init__(self) -> None:
        require(self, "steps save_every", 1)
        require(self, "warmup decay", 0)
        require(self, "average", 0, 0.999999)
        require_positive(self, "rate clip")

    def share(self, step: int) -> float:
        """Return the factor on the learning rate: linear warm-up, then a half cosine to 2 %."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with a learning rate of their own."""

    parameters: Sequence[nn.Parameter]
    rate: float


class Loop:
    """Train a network by repeating a step function."""

    def __init__(
        self,
        network: nn.Module,
        step_function: StepFunction,
        schedule: Schedule,
        *,
        groups: Iterable[ParameterGroup] = (),
        seed: int = 0,
        device: torch.device | str = "cpu",
        checkpoint: Path | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Move the network to the device, and resume from the checkpoint file if it exists.

        Without `groups` all parameters learn at the schedule's rate. `facts` are stored in the
        checkpoint; one with other facts raises `FileFormatError`.
        """
        self.network = network.to(device)
        self.schedule = schedule
        self.step = 0
        """Number of finished steps."""
        self._device = torch.device(device)
        self._step_function, self._seed = step_function, seed
        self._checkpoint, self._facts = checkpoint, dict(facts or {})
        chosen = list(groups) or [ParameterGroup(list(network.parameters()), schedule.rate)]
        self._optimizer = torch.optim.AdamW(
            [{"params": list(group.parameters), "base": group.rate} for group in chosen],
            lr=schedule.rate, betas=(0.9, 0.98), weight_decay=schedule.decay,
        )  # fmt: skip
        self._average = _averaged(self.network, schedule.average) if schedule.average else None
        self._skipped = 0
        if checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)

    def run(self, on_progress: OnProgress = lambda *_: None, *, every: int = 20) -> nn.Module:
        """Train to the end of the schedule, saving regularly; return the network in eval mode.

        With averaged weights that is the average, else the network itself. Progress is reported
        after every `every` steps, and at the end.
        """
        self.network.train()
        started, recent = time.monotonic(), list[dict[str, Tensor]]()
        while self.step < self.schedule.steps:
            recent.append(self.advance())
            last = self.step == self.schedule.steps
            if last or self.step % every == 0:
                seconds = time.monotonic() - started
                on_progress(self.step, _means(recent) | {"seconds": seconds})
                recent.clear()
            if last or self.step % self.schedule.save_every == 0:
                self.save()
        trained = self.network if self._average is None else self._average.module
        return trained.eval()

    def advance(self) -> dict[str, Tensor]:
        """Do one step; return its loss and the parts of it, detached."""
        torch.manual_seed(step_seed(self._seed, self.step))
        for group in self._optimizer.param_groups:
            group["lr"] = group["base"] * self.schedule.share(self.step)
        loss, parts = self._step_function(self.step)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.clip)
        self._apply(bool(torch.isfinite(norm)))
        self.step += 1
        return {name: part.detach() for name, part in {"loss": loss, **parts}.items()}

    def _apply(self, finite: bool) -> None:
        """Apply the gradients, or skip them if one is not finite."""
        self._skipped = 0 if finite else self._skipped + 1
        if finite:
            self._optimizer.step()
            if self._average is not None:
                self._average.update_parameters(self.network)
        elif self._skipped == _MOST_SKIPPED:
            raise ModelError(
                f"the gradients of the last {_MOST_SKIPPED} steps up to step {self.step} were not "
                "finite; lower the learning rate, and check the data for extreme values"
            )

    # ------------------------------------------------------------------ checkpoint

    def save(self) -> None:
        """Write the checkpoint, if there is one."""
        if self._checkpoint is None:
            return
        self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        with whole_file(self._checkpoint) as file:
            torch.save({**self._facts, "step": self.step, **parts}, file)

    def _parts(self) -> dict[str, Any]:
        """Return everything with a state of its own."""
        parts = {"network": self.network, "optimizer": self._optimizer, "average": self._average}
        return {name: part for name, part in parts.items() if part is not None}

    def _load(self, checkpoint: Path) -> None:
        try:
            stored = torch.load(checkpoint, map_location=self._device, weights_only=True)
            for name, fact in self._facts.items():
                if stored[name] != fact:
                    raise ValueError(f"its {name} differs")
            for name, part in self._parts().items():
                part.load_state_dict(stored[name])
            self.step = int(stored["step"])
        except OSError:
            raise
        except Exception as error:  # torch raises many kinds for a damaged file
            raise FileFormatError(
                f"{checkpoint} belongs to another training ({error}); delete it, "
                "or choose another folder with --work"
            ) from error


def _means(records: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """Return the mean of every part over the records that have it."""
    names = dict.fromkeys(name for record in records for name in record)
    return {n: float(torch.stack([r[n] for r in records if n in r]).mean()) for n in names}


def _averaged(network: nn.Module, keep: float) -> torch.optim.swa_utils.AveragedModel:
    """Return an exponential average of weights that forgets its beginning faster than `keep`."""

    def update(averages: Tensors, weights: Tensors, count: Tensor | int) -> None:
        share = min(keep, (1 + int(count)) / (10 + int(count)))
        with torch.no_grad():
            for average, weight in zip(averages, weights, strict=True):
                average.lerp_(weight, 1 - share)

    return torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=update)


def step_seed(seed: int, step: int) -> int:
    """Return a seed for one step, well mixed."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def choose_device(name: str = "auto") -> torch.device:
    """Return a device by name; `auto` is CUDA, else MPS, else the CPU.

    Raises `UnknownNameError` for other names, and `ModelError` if the device is not available.
    """
    if name not in DEVICES:
        raise unknown_name("no device", name, DEVICES)
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": _has_mps()}
    if name == "auto":
        return torch.device(next(n for n in ("cuda", "mps", "cpu") if available[n]))
    if not available[name]:
        usable = ", ".join(n for n, found in available.items() if found)
        raise ModelError(f"device {name!r} is not available to torch {torch.__version__}; "
                         f"available: {usable}")  # fmt: skip
    return torch.device(name)


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_available())


def json_lines(path: Path) -> OnProgress:
    """Return a progress callback that appends each record to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def on_progress(step: int, parts: Mapping[str, float]) -> None:
        with path.open("a", encoding="utf-8") as file:
            record = {"step": step, **{name: round(part, 5) for name, part in parts.items()}}
            file.write(json.dumps(record) + "\n")

    return on_progress
