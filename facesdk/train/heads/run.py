"""From annotated recordings to a model folder with learned output layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...datasets.faces import TakeSet
from ...errors import ModelError
from ...files import whole_file
from ...model.model import load
from ..trunk.export import export_checkpoint
from .codec import PcaCodec
from .config import LearnConfig
from .data import DatasetTask
from .evaluate import score
from .fit import HeadTrainer, Log
from .graph import IDENTITY, ModelGraph
from .network import PIVOT, Identities, MultiHead

LEARNED = "learned from recordings"
"""Origin of an output in the manifest, in contrast to rig tables."""


def learn(
    sets: Sequence[TakeSet],
    out: Path,
    *,
    base: Path | None = None,
    config: LearnConfig | None = None,
    work: Path | None = None,
    device: torch.device | str = "cpu",
    log: Log = lambda _: None,
) -> Path:
    """Learn an output layer for every data set on a shared trunk; return the model's manifest.

    `base` is a model folder or a checkpoint of `facesdk train`, by default the built-in model. A
    killed run resumes from `work`. Takes outside the `train` split are used for scores only.
    Raises `ModelError` for a model that cannot be used and `FileFormatError` for malformed data.
    """
    config = config or LearnConfig()
    work = work or out
    graph = ModelGraph(_base_folder(base, work))
    if "learned" in graph.manifest.facts:
        raise ModelError(
            f"{graph.folder} already has learned layers; start from the model they were added to, "
            "and give all data sets at once"
        )
    trainer = HeadTrainer(graph.trunk, sets, config, device=device, checkpoint=work / "learned.pt")
    log(f"learning: step {trainer.loop.step} of {config.steps}")
    network = trainer.run(log)
    facts = _facts(graph, network, trainer)
    for task in trainer.tasks:
        log(f"{task.name}: {facts['learned'][task.name].get('scores', 'no take to score')}")
    if config.tune_trunk:
        graph.put(network.trunk)
    if network.identities is not None:
        graph.add_identity(network.identities)
    for task in trainer.tasks:
        graph.add_layer(task.name, network.layer(task.name), task.codec)
        _write_sidecar(task, out)
    return graph.write(out, facts)


def _base_folder(base: Path | None, work: Path) -> Path:
    """Return the folder of the model to start from; a checkpoint is exported first."""
    if base is None:
        return load().folder
    if base.suffix == ".pt":
        return export_checkpoint(base, work / "base").parent
    return base.parent if base.suffix in (".json", ".onnx") else base


# ------------------------------------------------------------------ manifest


def _facts(graph: ModelGraph, network: MultiHead, trainer: HeadTrainer) -> dict[str, Any]:
    sets = [task.source for task in trainer.tasks]
    base = graph.manifest
    licenses = dict.fromkeys([base.license, *(source.license for source in sets)])
    facts: dict[str, Any] = {
        "name": "-".join([base.name, *(source.name for source in sets)]),
        "license": " AND ".join(licenses),
        "base": {"name": base.name, "version": base.version, "sha256": base.sha256},
        "learned": {task.name: _layer_facts(task, network, trainer) for task in trainer.tasks},
    }
    if network.identities is not None:
        facts["identity"] = _identity_facts(network.identities)
    if trainer.config.tune_trunk and "scores" in base.facts:
        facts["scores"] = {}  # they belong to the old trunk
    return facts


def _layer_facts(task: DatasetTask, network: MultiHead, trainer: HeadTrainer) -> dict[str, Any]:
    source, config = task.source, trainer.config
    facts: dict[str, Any] = {
        "output": f"learned_{task.name}",
        "from": LEARNED,
        "rig": None if source.rig is None else source.rig.name,
        "file": _sidecar(task),
        "license": source.license,
        "hours": round(task.hours, 4),
        "speakers": list(source.subjects),
        "settings": {"steps": config.steps, "seed": config.seed, "tune_trunk": config.tune_trunk},
    }
    if isinstance(task.codec, PcaCodec):
        facts["components"] = task.codec.size
        facts["explained_variance"] = round(task.codec.explained_variance, 5)
    if task.test:
        facts["scores"] = score(network, task)
    return facts


def _identity_facts(identities: Identities) -> dict[str, Any]:
    table = identities.table.weight.detach().numpy()
    rows = {name: [round(float(x), 7) for x in table[i]] for name, i in identities.rows.items()}
    pivot = [round(float(x), 7) for x in table[PIVOT]]
    return {"input": IDENTITY, "size": identities.size, "pivot": pivot, "speakers": rows}


# ------------------------------------------------------------------ sidecar files


def _sidecar(task: DatasetTask) -> str:
    """Return the name of the file that describes the output: a basis of vertices, or the rig."""
    return f"{task.name}.npz" if task.source.rig is None else f"{task.name}.rig.json"


def _write_sidecar(task: DatasetTask, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / _sidecar(task)) as file:
        if task.source.rig is not None:
            file.write(task.source.rig.to_text().encode())
        else:
            np.savez_compressed(file, **_basis_arrays(task))


def _basis_arrays(task: DatasetTask) -> Mapping[str, Any]:
    """Return arrays to convert the output to meters: template + mean + output @ components.

    Without components the output is added to the template as it is.
    """
    codec, arrays = task.codec, dict[str, Any]()
    if isinstance(codec, PcaCodec):
        arrays["mean"] = codec.mean.reshape(-1, 3)
        arrays["components"] = codec.components.reshape(codec.size, -1, 3)
    templates = {s: task.source.template(s) for s in task.source.subjects}
    return arrays | {f"template_{subject}": points for subject, points in templates.items()}
