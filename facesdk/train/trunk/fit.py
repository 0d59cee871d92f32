"""Training of the trunk: its network, loss and batches on the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import FileFormatError
from ..loop import Loop, Schedule
from .data import Batches
from .loss import Loss
from .network import Trunk, TrunkConfig


def trunk_loop(
    network: Trunk,
    loss: Loss,
    batches: Batches,
    schedule: Schedule,
    *,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
) -> Loop:
    """Return a loop that trains a trunk; `load_trunk` reads its checkpoint."""
    loss = loss.to(device)

    def step(number: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        batch = batches.batch(number).to(device)
        kind = torch.device(device).type
        with torch.autocast(kind, torch.bfloat16, enabled=schedule.bfloat16):
            logits, phones = network(batch.mel)
        total, parts = loss(logits, phones, batch)
        return total, parts

    facts = {"config": asdict(network.config), "mel_mean": network.normalize.prior.tolist()}
    return Loop(
        network, step, schedule, seed=batches.seed, device=device, checkpoint=checkpoint,
        facts=facts,
    )  # fmt: skip


def load_trunk(checkpoint: Path) -> Trunk:
    """Return the averaged network of a checkpoint, ready to evaluate or export."""
    try:
        stored: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        trunk = Trunk(TrunkConfig(**stored["config"]), stored["mel_mean"])
        prefix = "module."
        weights = stored["average"].items()
        trunk.load_state_dict(
            {k.removeprefix(prefix): v for k, v in weights if k.startswith(prefix)}
        )
    except OSError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged file
        raise FileFormatError(
            f"{checkpoint} is not a checkpoint of `facesdk train`: {error}"
        ) from error
    return trunk.eval()
