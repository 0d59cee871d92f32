"""Scores of learned layers on takes that were not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...arrays import Doubles, Floats
from ...audio.features import FLOOR
from ...model.rig_outputs import RigOutput
from ...model.rig_table import table_names
from ...rig import Rig
from ..trunk.network import Trunk
from .data import DatasetTask, annotated
from .network import PIVOT, MultiHead


def score(network: MultiHead, task: DatasetTask) -> dict[str, Any]:
    """Return the error of the held-out takes by look-ahead, with those of two baselines.

    The baselines are the mean face and the rig table. Errors are root mean squares against the
    recording, weighted and in mm where the annotation moves a face, else in deviations. Speakers
    without an identity of their own are predicted as the pivot.
    """
    config = network.trunk.config
    names = [f"look_ahead_{ms}_ms" for ms in config.look_aheads_ms]
    totals: dict[str, Doubles] = {}
    frames = 0
    for example in task.test:
        truth = annotated(task.source, example.take)[: len(example.codes)]
        learned = predict(network, task.name, example.mel, example.speaker)
        outputs = {
            "error": learned,
            "error_of_the_table": _table_codes(network.trunk, task, example.mel),
            "error_of_the_mean": torch.zeros_like(learned),
        }
        for name, codes in outputs.items():
            if codes is not None:
                squares = _squares(task, codes, truth, config.delay_steps)
                totals[name] = totals.get(name, np.zeros(len(names))) + squares
        frames += len(truth)
    mean = totals.pop("error_of_the_mean")
    return {
        "unit": "deviations" if task.value_loss is None else "mm",
        "takes": len(task.test),
        **{
            kind: {name: _root(x, frames) for name, x in zip(names, total, strict=True)}
            for kind, total in totals.items()
        },
        "error_of_the_mean": _root(mean[0], frames),
    }


def predict(network: MultiHead, name: str, mel: NDArray[np.float16], speaker: str | None) -> Tensor:
    """Return (T, look-aheads, K) codes of one take from its (2 T, 64) log10 band power."""
    identities = network.identities
    row = PIVOT if identities is None else identities.row(speaker)
    with torch.no_grad():
        state = network.trunk.state(_log_mel(mel))
        codes: Tensor = network(state, name, torch.tensor([row]))[0]
    return codes


def _squares(
    task: DatasetTask, codes: Tensor, truth: Floats, delay_steps: Sequence[int]
) -> Doubles:
    """Return the (look-aheads,) squared error summed over a take.

    The last frames, which a look-ahead cannot predict, count like the average of the others.
    """
    totals = []
    for index, delay in enumerate(delay_steps):
        length = min(len(truth), len(codes) - delay)
        errors = _frame_errors(task, codes[delay : delay + length, index], truth[:length])
        totals.append(float(errors.mean()) * len(truth))
    return np.array(totals)


def _frame_errors(task: DatasetTask, codes: Tensor, truth: Floats) -> Tensor:
    """Return the (T,) squared error of (T, K) codes."""
    if task.value_loss is None:
        return (codes - torch.from_numpy(task.codec.encode(truth))).square().mean(-1)
    return task.value_loss.frames(task.codec.decode(codes) - torch.from_numpy(truth))


def _table_codes(trunk: Trunk, task: DatasetTask, mel: NDArray[np.float16]) -> Tensor | None:
    """Return (T, look-aheads, K) of the trunk's units through the rig's table, if there is one."""
    rig = task.source.rig
    if rig is None or rig.name not in table_names() or Rig.load(rig.name) != rig:
        return None
    with torch.no_grad():
        curves = trunk.curves(_log_mel(mel))[0].numpy()
    names, units = trunk.config.units, Rig.load("units")
    full = np.tile(units.rest, (*curves.shape[:2], 1))
    full[..., [units.index(name) for name in names]] = curves[..., : len(names)]
    values = RigOutput.of(rig.name)(full.reshape(-1, full.shape[-1]))
    return torch.from_numpy(task.codec.encode(values).reshape(*curves.shape[:2], -1))


def _root(total: float, frames: int) -> float:
    return round(float(np.sqrt(total / frames)), 4)


def _log_mel(mel: NDArray[np.float16]) -> Tensor:
    """Return (1, 2 T, 64) natural logarithms of band power, from log10."""
    return torch.log(10 ** torch.from_numpy(mel.astype(np.float32)) + FLOOR)[None]
