"""Training of output layers on annotated recordings.

Several data sets share the trunk, each with a layer of its own. The switches of `LearnConfig` are
those that mattered in published work: vertices as coefficients of principal components, layers
before trunk, and a pivot identity. Each can be turned off.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from ...datasets.faces import TakeSet
from ...errors import FileFormatError
from ...mesh.builtin.head import builtin_head
from ...mesh.fit.calibrate import flame_head
from ...mesh.flame import FlameModel
from ..loop import Loop, ParameterGroup
from ..trunk.network import Trunk
from ..vertex_loss import FlameVertexLoss, surface_weights, thinned
from .config import LearnConfig
from .data import Batch, DatasetTask, TaskBatches
from .network import MultiHead

Log = Callable[[str], None]


class LayerLoss(nn.Module):
    """Errors of one layer: of its numbers, and in mm² on the face that they move."""

    def __init__(self, task: DatasetTask, config: LearnConfig) -> None:
        super().__init__()
        self._config = config
        self._mesh = task.code_loss
        self._codec = task.codec
        self._flame = _flame_loss(task.source, config)

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Return a scalar for two (B, T, K) codes; frames with 0 in the (B, T) mask are ignored."""
        error = prediction - target
        frames = self._frames(error)
        if self._flame is not None:
            faces = self._codec.decode(prediction), self._codec.decode(target)
            frames = frames + self._config.vertices * self._flame.frames(*faces)
        change = _mean(self._frames(error.diff(dim=1)), mask[:, 1:] * mask[:, :-1])
        return _mean(frames, mask) + self._config.velocity * change

    def _frames(self, error: Tensor) -> Tensor:
        """Return the (B, T) loss of (B, T, K) errors."""
        frames = self._config.coefficients * error.square().mean(-1)
        if self._mesh is not None:
            frames = frames + self._config.vertices * self._mesh.frames(error)
        return frames


def _mean(frames: Tensor, mask: Tensor) -> Tensor:
    return (frames * mask).sum() / mask.sum().clamp(min=1)


def _flame_loss(source: TakeSet, config: LearnConfig) -> FlameVertexLoss | None:
    if source.rig is None or source.rig.name != "flame" or not config.flame_model:
        return None
    model = FlameModel.load(config.flame_model)
    head = flame_head(model, builtin_head())
    return FlameVertexLoss(model, thinned(surface_weights(head), head.masks["lips"]))


class HeadTrainer:
    """Output layers of several data sets on the training loop."""

    def __init__(
        self,
        trunk: Trunk,
        sets: Sequence[TakeSet],
        config: LearnConfig,
        *,
        device: torch.device | str = "cpu",
        checkpoint: Path | None = None,
    ) -> None:
        """Resume from the checkpoint if it exists; it must be of the same sets and settings."""
        names = [source.name for source in sets]
        if not names or len(set(names)) != len(names):
            raise FileFormatError(
                f"give at least one data set, each with its own name, got {names}"
            )
        if config.crop <= max(trunk.config.delay_steps):
            raise FileFormatError(
                f"crop must be above {max(trunk.config.delay_steps)}, the longest look-ahead, "
                f"got {config.crop}"
            )
        torch.manual_seed(config.seed)
        self.config = config
        self.tasks = [DatasetTask(source, config) for source in sets]
        speakers = [name for task in self.tasks for name in task.speakers]
        self.network = MultiHead(
            copy.deepcopy(trunk), {task.name: task.codec.size for task in self.tasks}, speakers,
            hidden=config.hidden, embedding=config.embedding,
        ).to(device)  # fmt: skip
        identities = self.network.identities
        rows = {} if identities is None else identities.rows
        self._batches = TaskBatches(self.tasks, rows, config)
        self._losses = {task.name: LayerLoss(task, config).to(device) for task in self.tasks}
        self._original = copy.deepcopy(trunk).requires_grad_(False).to(device)
        self._device = device
        self.loop = Loop(
            self.network, self._step, config.schedule,
            groups=(
                ParameterGroup(list(self.network.new_parameters()), config.rate),
                ParameterGroup(list(self.network.trunk.parameters()), config.trunk_rate),
            ),
            seed=config.seed, device=device, checkpoint=checkpoint,
            facts={"config": asdict(config), "speakers": speakers},
        )  # fmt: skip

    def run(self, log: Log = lambda _: None) -> MultiHead:
        """Train to the end of the schedule; return the network on the CPU."""

        def on_progress(step: int, parts: Mapping[str, float]) -> None:
            log(f"step {step} of {self.config.steps}: loss {parts['loss']:.4f}")

        self.loop.run(on_progress, every=max(1, min(100, self.config.steps // 10)))
        return self.network.cpu()

    def _step(self, number: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        trunk, config = self.network.trunk, self.config
        tune = config.tune_trunk and number >= config.decoder_warm_up
        trunk.requires_grad_(tune)
        batch = self._batches.batch(number).to(self._device)
        state = trunk.state(batch.mel)
        parts = {"layer": self._layer_loss(state, batch)}
        if not tune:
            return parts["layer"], parts
        with torch.no_grad():
            original = self._original.curves(batch.mel)
        parts["anchor"] = (trunk.curves_of(state) - original).square().mean()
        return parts["layer"] + config.anchor * parts["anchor"], parts

    def _layer_loss(self, state: Tensor, batch: Batch) -> Tensor:
        """Return the loss of the batch's layer, averaged over the look-aheads."""
        prediction = self.network(state, batch.task.name, batch.rows)
        loss, total = self._losses[batch.task.name], state.new_zeros(())
        for index, delay in enumerate(self.network.trunk.config.delay_steps):
            frames = prediction.shape[1] - delay
            total = total + loss(
                prediction[:, delay:, index], batch.codes[:, :frames], batch.mask[:, :frames]
            )
        mean: Tensor = total / prediction.shape[2]
        return mean
