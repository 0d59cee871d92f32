"""From annotated recordings to a model folder with learned output layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...audio.features import FLOOR
from ...datasets.faces.annotations import AnnotatedSet
from ...errors import ModelError
from ...files import whole_file
from ...model.model import load
from ...model.rig_outputs import RigOutput
from ...model.rig_table import table_names
from ...rig import Rig
from ..graph import IDENTITY, ModelGraph, write_model
from ..trunk.data import FRAMES
from ..trunk.export import export
from ..trunk.fit import load_trunk
from ..trunk.network import Trunk
from .fit import LearnConfig, Learner, Lesson, annotated
from .network import PIVOT, Identities, MultiHead, PcaCode

Report = Callable[[str], None]

LEARNED = "learned from recordings"
"""What a manifest says of an output that no table made."""


def learn(
    sets: Sequence[AnnotatedSet],
    out: Path,
    *,
    base: Path | None = None,
    config: LearnConfig | None = None,
    work: Path | None = None,
    report: Report = lambda _: None,
) -> Path:
    """Learn an output layer for every data set, on a trunk that they share; returns the manifest.

    `base` is a model folder or a checkpoint of `facesdk train`, by default the model that comes
    with facesdk. A killed run goes on in `work`. Takes of other splits than `train` give the
    scores. Raises `ModelError` for a model that cannot be learned on and `FileFormatError` for
    data that makes no sense.
    """
    config = config or LearnConfig()
    work = work or out
    graph = ModelGraph(_base_folder(base, work))
    if "learned" in graph.manifest.facts:
        raise ModelError(
            f"{graph.folder} has learned layers already; start from the model below them and give "
            "all data sets at once"
        )
    learner = Learner(graph.trunk, sets, config, work / "learned.pt")
    report(f"learning: step {learner.step} of {config.steps}")
    network = learner.run(report)
    facts = _facts(graph, network, learner)
    for lesson in learner.lessons:
        report(f"{lesson.name}: {facts['learned'][lesson.name].get('scores', 'nothing to score')}")
    if config.tune_trunk:
        graph.put(network.trunk)
    if network.identities is not None:
        graph.add_identity(network.identities)
    for lesson in learner.lessons:
        graph.add_layer(lesson.name, network.layer(lesson.name), lesson.code)
        _write_beside(lesson, out)
    return write_model(graph, out, facts)


def _base_folder(base: Path | None, work: Path) -> Path:
    """The folder of the model to start from; a checkpoint is exported first."""
    if base is None:
        return load().folder
    if base.suffix == ".pt":
        facts = {"name": base.parent.name, "model_version": "0", "licence": "unknown"}
        return export(load_trunk(base), work / "base", facts=facts).parent
    return base.parent if base.suffix in (".json", ".onnx") else base


# ------------------------------------------------------------------ facts


def _facts(graph: ModelGraph, network: MultiHead, learner: Learner) -> dict[str, Any]:
    sets = [lesson.source for lesson in learner.lessons]
    base = graph.manifest
    licences = dict.fromkeys([base.license, *(source.licence for source in sets)])
    facts: dict[str, Any] = {
        "name": "-".join([base.name, *(source.name for source in sets)]),
        "licence": " AND ".join(licences),
        "base": {"name": base.name, "version": base.version, "sha256": base.sha256},
        "learned": {x.name: _layer_facts(x, network, learner) for x in learner.lessons},
    }
    if network.identities is not None:
        facts["identity"] = _identity_facts(network.identities)
    if learner.config.tune_trunk and "scores" in base.facts:
        facts["scores"] = {}  # they were of another trunk
    return facts


def _layer_facts(lesson: Lesson, network: MultiHead, learner: Learner) -> dict[str, Any]:
    source, config = lesson.source, learner.config
    facts: dict[str, Any] = {
        "output": f"learned_{lesson.name}",
        "from": LEARNED,
        "rig": None if source.rig is None else source.rig.name,
        "file": _file_beside(lesson),
        "licence": source.licence,
        "hours": round(lesson.hours, 4),
        "speakers": list(source.subjects),
        "settings": {"steps": config.steps, "seed": config.seed, "tune_trunk": config.tune_trunk},
    }
    if isinstance(lesson.code, PcaCode):
        facts["components"] = lesson.code.size
        facts["explained"] = round(lesson.code.explained, 5)
    if lesson.test:
        facts["scores"] = score(network, lesson)
    return facts


def _identity_facts(identities: Identities) -> dict[str, Any]:
    table = identities.table.weight.detach().numpy()
    return {
        "input": IDENTITY,
        "size": identities.size,
        "pivot": [round(float(x), 7) for x in table[PIVOT]],
        "speakers": {
            name: [round(float(x), 7) for x in table[row]] for name, row in identities.rows.items()
        },
    }


def _file_beside(lesson: Lesson) -> str | None:
    """Name of the file that the output needs to be understood: a basis or a rig of its own."""
    if lesson.source.rig is None:
        return f"{lesson.name}.npz"
    return f"{lesson.name}.rig.json"


def _write_beside(lesson: Lesson, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / str(_file_beside(lesson))) as file:
        if lesson.source.rig is not None:
            file.write(lesson.source.rig.to_text().encode())
        else:
            np.savez_compressed(file, **_basis_arrays(lesson))


def _basis_arrays(lesson: Lesson) -> Mapping[str, Any]:
    """Arrays that turn the output into metres: template + mean + output @ components.

    Without components the output is all that is added to the template.
    """
    code, arrays = lesson.code, dict[str, Any]()
    if isinstance(code, PcaCode):
        arrays["mean"] = code.mean.reshape(-1, 3)
        arrays["components"] = code.components.reshape(code.size, -1, 3)
    templates = {s: lesson.source.template(s) for s in lesson.source.subjects}
    return arrays | {f"template_{subject}": points for subject, points in templates.items()}


# ------------------------------------------------------------------ scores


def score(network: MultiHead, lesson: Lesson) -> dict[str, Any]:
    """Error of the held-out takes by look-ahead, beside that of the mean face and of the table.

    In mm on the face where there is one to measure on (root of the weighted mean square), against
    the recording itself; else in deviations. Speakers without an identity of their own are heard
    as the pivot.
    """
    delays = network.trunk.config.delays
    names = [f"look_ahead_{1000 * delay // FRAMES}_ms" for delay in delays]
    totals: dict[str, NDArray[np.float64]] = {}
    frames = 0
    for example in lesson.test:
        truth = annotated(lesson.source, example.take)[: len(example.codes)]
        learned = predict(network, lesson.name, example.mel, example.speaker)
        said = {
            "error": learned,
            "error_of_the_table": _table_codes(network.trunk, lesson, example.mel),
            "error_of_the_mean": torch.zeros_like(learned),
        }
        for name, codes in said.items():
            if codes is not None:
                squares = _squares(lesson, codes, truth, delays)
                totals[name] = totals.get(name, np.zeros(len(delays))) + squares
        frames += len(truth)
    resting = totals.pop("error_of_the_mean")
    return {
        "unit": "deviations" if lesson.face is None else "mm",
        "takes": len(lesson.test),
        **{
            what: {name: _root(x, frames) for name, x in zip(names, each, strict=True)}
            for what, each in totals.items()
        },
        "error_of_the_mean": _root(resting[0], frames),
    }


def _squares(
    lesson: Lesson, codes: Tensor, truth: NDArray[np.float32], delays: Sequence[int]
) -> NDArray[np.float64]:
    """(look-aheads,) squared error summed over a take; its last frames count as the others do."""
    totals = []
    for look, delay in enumerate(delays):
        length = min(len(truth), len(codes) - delay)
        each = _each(lesson, codes[delay : delay + length, look], truth[:length])
        totals.append(float(each.mean()) * len(truth))
    return np.array(totals)


def _each(lesson: Lesson, codes: Tensor, truth: NDArray[np.float32]) -> Tensor:
    """(T,) squared error of (T, K) codes."""
    if lesson.face is None:
        return (codes - torch.from_numpy(lesson.code.encode(truth))).square().mean(-1)
    return lesson.face.frames(lesson.code.decode(codes) - torch.from_numpy(truth))


def _table_codes(trunk: Trunk, lesson: Lesson, mel: NDArray[np.float16]) -> Tensor | None:
    """(T, look-aheads, K) of the trunk's units through the rig's table, if it has one."""
    rig, code = lesson.source.rig, lesson.code
    if rig is None or rig.name not in table_names() or Rig.load(rig.name) != rig:
        return None
    with torch.no_grad():
        state = trunk.state(_log_mel(mel))
        curves = torch.stack([torch.sigmoid(head(state)) for head in trunk.heads], 2)[0].numpy()
    units = np.tile(Rig.load("units").rest, (*curves.shape[:2], 1))
    names = trunk.config.units
    units[..., [Rig.load("units").index(name) for name in names]] = curves[..., : len(names)]
    values = RigOutput.of(rig.name)(units.reshape(-1, units.shape[-1]))
    return torch.from_numpy(code.encode(values).reshape(*curves.shape[:2], -1))


def _root(total: float, frames: int) -> float:
    return round(float(np.sqrt(total / frames)), 4)


def predict(network: MultiHead, name: str, mel: NDArray[np.float16], speaker: str | None) -> Tensor:
    """(T, look-aheads, K) codes of one take from its (2 T, 64) log10 band power."""
    identities = network.identities
    row = PIVOT if identities is None else identities.row(speaker)
    with torch.no_grad():
        state = network.trunk.state(_log_mel(mel))
        codes: Tensor = network(state, name, torch.tensor([row]))[0]
    return codes


def _log_mel(mel: NDArray[np.float16]) -> Tensor:
    """(1, 2 T, 64) natural logarithms, as the trunk wants them, of log10 band power."""
    return torch.log(10 ** torch.from_numpy(mel.astype(np.float32)) + FLOOR)[None]
