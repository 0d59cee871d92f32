"""A model as one ONNX file for a game engine: the trunk, and rigs on top of it in the same pass.

What a programmer without Python needs to know stands in a JSON file beside it: `docs/onnx.md`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from ..errors import ModelError, missing_extra
from ..files import whole_file
from ..model.model import load
from ..model.rig_outputs import RigOutput
from ..model.rig_table import RigTable
from ..rig import Rig
from .rig_layers import Layers, rig_layers

Precision = Literal["float32", "float16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

OPSET = 15
"""The highest that every Unity Inference Engine documents; nothing used here changed until 17."""

MORE_UNITS = "more_units"
"""Input for the units that the trunk does not give."""

_SMALL = 4096
"""Weights of fewer numbers keep their precision: there is nothing to gain."""


@dataclass(frozen=True)
class Choice:
    """What an exported graph is to hold."""

    rigs: tuple[str, ...] = ()
    """Names of rigs, or paths of table files; none for the trunk alone."""
    look_ahead_ms: float | None = None
    """The longest look-ahead not above this; None for all of them, on an axis of their own."""
    precision: Precision = "float32"
    """Of the network's weights; it computes in float32 whatever they are stored in."""
    static: tuple[int, int] | None = None
    """Batch and steps that every run has; None leaves both open."""
    more_units: bool = False
    """Whether the units that the trunk does not give are an input; else they stay at rest."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ModelError(f"precision must be {' or '.join(PRECISIONS)}, got {self.precision!r}")
        if self.static is not None and min(self.static) < 1:
            raise ModelError(f"batch and steps must be 1 or more, got {self.static}")
        if self.more_units and (self.look_ahead_ms is None or not self.rigs):
            raise ModelError(f"{MORE_UNITS} belong to the frames of one look-ahead, and to a rig")


def export_engine(source: Path | str | None, target: Path, choice: Choice) -> Mapping[str, Any]:
    """Write a model's ONNX for engines, and its manifest beside it; returns the manifest.

    `source` is a model folder, a checkpoint `.pt`, or None for the model that comes with facesdk.
    `target` is the ONNX file; the manifest has its name and `.json`. Raises `ModelError`.
    """
    if target.suffix != ".onnx":
        raise ModelError(f"the file must be called .onnx, got {target}")
    model, facts = _read(source)
    if facts["file"] == target.name and _same(source, target):
        raise ModelError(f"{target} would replace the model that is read; give it another name")
    outputs = _outputs(choice.rigs)
    if given := sorted({o.name for o in model.graph.output} & set(outputs)):
        raise ModelError(f"this model gives {', '.join(given)} already; leave out that rig")
    graph = _EngineGraph(model, facts, choice)
    graph.add_rigs(outputs)
    payload = graph.finish().SerializeToString()
    manifest = {
        **facts,
        "format": "facesdk.graph" if choice.static or choice.more_units else "facesdk.model",
        "file": target.name,
        "sha256": hashlib.sha256(payload).hexdigest(),
        **graph.facts(outputs),
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    target.parent.mkdir(parents=True, exist_ok=True)
    for path, content in ((target, payload), (target.with_suffix(".json"), text.encode())):
        with whole_file(path) as file:
            file.write(content)
    return manifest


def _read(source: Path | str | None) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Graph and manifest of a model folder or a checkpoint."""
    if source is None or Path(source).suffix != ".pt":
        model = load(source)  # checks hash and contents
        payload = (model.folder / model.manifest.file).read_bytes()
        return onnx.load_from_string(payload), dict(model.manifest.facts)
    path = Path(source)
    if not path.is_file():
        raise ModelError(f"the checkpoint {path} does not exist")
    try:
        from ..train.trunk.export import export
        from ..train.trunk.fit import load_trunk
    except ImportError as error:
        raise missing_extra("reading checkpoints", "train") from error
    facts = {"name": path.parent.name or path.stem, "model_version": "0", "licence": "unknown"}
    with TemporaryDirectory() as folder:
        manifest = export(load_trunk(path), Path(folder), facts=facts)
        return _read(manifest.parent)


def _same(source: Path | str | None, target: Path) -> bool:
    """Whether the model is read from where the file is to be written."""
    if source is not None and Path(source).suffix == ".pt":
        return False
    return load(source).folder.resolve() == target.parent.resolve()


def _outputs(rigs: Iterable[str]) -> dict[str, RigOutput]:
    """What computes each rig, by the rig's name."""
    outputs: dict[str, RigOutput] = {}
    for rig in rigs:
        output = RigOutput.of(RigTable.load(rig) if rig.endswith(".json") else rig)
        name = output.rig.name
        if name in outputs or output.table is None:
            raise ModelError(f"output {name!r} would be there twice")
        outputs[name] = output
    return outputs


# ------------------------------------------------------------------------ graph


class _EngineGraph:
    """The graph of a model on its way to an engine."""

    def __init__(self, model: onnx.ModelProto, facts: Mapping[str, Any], choice: Choice) -> None:
        self._model, self._facts, self._choice = model, facts, choice
        self._graph = model.graph
        self._units = Rig.load("units")
        self._names: list[str] = list(facts["units"])
        self._look_aheads: list[int] = list(facts["look_aheads_ms"])
        self._precision = facts.get("precision", "float32")
        if choice.precision != "float32":
            self._store(choice.precision)
        if choice.look_ahead_ms is not None:
            self._keep(_look_ahead(self._look_aheads, choice.look_ahead_ms))

    def _store(self, precision: Precision) -> None:
        if self._precision != "float32":
            raise ModelError(f"the weights of this model are {self._precision} already")
        self._precision = precision
        _store_small(self._graph, precision)

    @property
    def _spoken(self) -> list[onnx.ValueInfoProto]:
        """Outputs with a frame for every step and look-ahead."""
        return [o for o in self._graph.output if not o.name.startswith("next_")]

    def _keep(self, look_ahead: int) -> None:
        """Leave one look-ahead in every output."""
        if len(self._look_aheads) == 1:
            return
        for output in self._spoken:
            if output.type.tensor_type.shape.dim[2].dim_value != len(self._look_aheads):
                continue
            layers = Layers(self._graph, f"{output.name}_one_")
            whole = f"{output.name}_all"
            _rename(self._graph, output.name, whole)
            ends = [layers.constant([v], np.int64) for v in (look_ahead, look_ahead + 1, 2)]
            self._graph.node.append(
                helper.make_node("Slice", [whole, *ends], [output.name], f"{output.name}_one")
            )
            output.type.tensor_type.shape.dim[2].dim_value = 1
        self._look_aheads = [self._look_aheads[look_ahead]]

    def _units_for_rigs(self) -> str:
        """(batch, steps, units) of one look-ahead, (batch, steps, look-aheads, units) of all."""
        if self._choice.look_ahead_ms is None:
            return "units"
        layers = Layers(self._graph, "units_for_rigs_")
        units = layers.add("Squeeze", "units", layers.constant([2], np.int64))
        if not self._choice.more_units:
            return units
        others = [name for name in self._units.names if name not in self._names]
        self._names += others
        shape = ("batch", "steps", len(others))
        self._graph.input.append(
            helper.make_tensor_value_info(MORE_UNITS, TensorProto.FLOAT, shape)
        )
        return layers.add("Concat", units, MORE_UNITS, axis=-1)

    def add_rigs(self, outputs: Mapping[str, RigOutput]) -> None:
        """One more output for each rig: its controls."""
        if not outputs:
            return
        units = self._units_for_rigs()
        tensors = rig_layers(Layers(self._graph, "rig_"), outputs, units, self._names)
        for name, tensor in tensors.items():
            _rename(self._graph, tensor, name)
            shape: list[str | int] = ["batch", "steps"]
            if self._choice.look_ahead_ms is None:
                shape.append(len(self._look_aheads))
            shape.append(len(outputs[name].rig))
            value = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            self._graph.output.insert(len(self._spoken), value)

    def finish(self) -> onnx.ModelProto:
        """The checked model."""
        model = self._model
        for opset in model.opset_import:
            opset.version = OPSET
        model.producer_name = "facesdk"
        del self._graph.value_info[:]
        _fit_32_bits(self._graph)
        _plain_axes(self._graph)
        if self._choice.static is not None:
            self._fix(*self._choice.static)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _fix(self, batch: int, steps: int) -> None:
        """Give every open dimension its number."""
        sizes = {
            "batch": batch, "steps": steps, "samples": steps * int(self._facts["step_samples"]),
        }  # fmt: skip
        for value in (*self._graph.input, *self._graph.output):
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_param:
                    dim.dim_value = sizes[dim.dim_param]
        self._fix_defaults(batch)
        inferred = shape_inference.infer_shapes(self._model, strict_mode=True, data_prop=True)
        known = {v.name: v for v in inferred.graph.value_info}
        for node in self._graph.node:
            for name in node.output:
                if name in known and all(
                    d.HasField("dim_value") for d in known[name].type.tensor_type.shape.dim
                ):
                    self._graph.value_info.append(known[name])

    def _fix_defaults(self, batch: int) -> None:
        """Inputs that need not be given have a default: the same row for every speaker."""
        inputs = {value.name for value in self._graph.input}
        for default in self._graph.initializer:
            if default.name in inputs:
                rows = numpy_helper.to_array(default).repeat(batch, 0)
                default.CopyFrom(numpy_helper.from_array(rows, default.name))

    # --------------------------------------------------------------- manifest

    def facts(self, outputs: Mapping[str, RigOutput]) -> dict[str, Any]:
        """What the manifest says about the graph."""
        steps = [ms * Fraction(*self._facts["frame_rate"]) / 1000 for ms in self._look_aheads]
        return {
            "look_aheads_ms": self._look_aheads,
            "delay_steps": [int(s) for s in steps],
            "precision": self._precision,
            "opset": OPSET,
            "operators": sorted({node.op_type for node in self._graph.node}),
            "inputs": [self._input(i) for i in self._graph.input],
            "outputs": [self._output(o, outputs) for o in self._graph.output],
        }

    def _input(self, value: onnx.ValueInfoProto) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": value.name, "shape": _shape(value)}
        if value.name.startswith("state_"):
            entry["starts_at"] = 0.0
            entry["next"] = value.name.replace("state_", "next_", 1)
        elif value.name == MORE_UNITS:
            names = self._names[len(self._facts["units"]) :]
            entry["curves"] = names
            entry["rest"] = [float(self._units.rest[self._units.index(n)]) for n in names]
        elif any(value.name == c.name for c in self._graph.initializer):
            entry["optional"] = True
        return entry

    def _output(self, value: onnx.ValueInfoProto, rigs: Mapping[str, RigOutput]) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": value.name, "shape": _shape(value)}
        if value.name in rigs:
            return entry | _rig_facts(rigs[value.name])
        if value.name in self._facts:
            return entry | {"curves": list(self._facts[value.name])}
        known: dict[str, dict[str, Any]] = {o["name"]: o for o in self._facts.get("outputs", ())}
        return known.get(value.name, {}) | entry


def _rig_facts(output: RigOutput) -> dict[str, Any]:
    rig, table = output.rig, output.table
    assert table is not None
    tables = [table] if output.override is None else [table, output.override]
    return {
        "rig": {"name": rig.name, "version": rig.version},
        "computed": "from units by rig tables",
        "tables": [{"rig": t.rig.name, "sha256": _table_hash(t)} for t in tables],
        "maps": [m.name for m in output.maps],
        "controls": list(rig.names),
        "rest": rig.rest.tolist(),
        "minimum": rig.minimum.tolist(),
        "maximum": rig.maximum.tolist(),
    }


def _table_hash(table: RigTable) -> str:
    """SHA-256 of what a table says, however its file is laid out."""
    derived = [[d.name, d.unit, d.less, d.begin, d.end] for d in table.derived]
    said = [table.controls, derived, table.remainder_control]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _look_ahead(offered: Sequence[int], wanted: float) -> int:
    fitting = [i for i, ms in enumerate(offered) if ms <= wanted]
    if not fitting:
        raise ModelError(
            f"look-ahead must be at least {offered[0]} ms; this model offers "
            f"{', '.join(map(str, offered))} ms, got {wanted}"
        )
    return fitting[-1]


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Another name for a tensor inside the graph, not for inputs and outputs of it."""
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new


def _fit_32_bits(graph: onnx.GraphProto) -> None:
    """Bring "up to the end" in slices into the integers that engines compute with."""
    for constant in graph.initializer:
        if constant.data_type == TensorProto.INT64:
            array = numpy_helper.to_array(constant)
            short = np.clip(array, -(2**31), 2**31 - 1)
            constant.CopyFrom(numpy_helper.from_array(short, constant.name))


def _plain_axes(graph: onnx.GraphProto) -> None:
    """Give running sums their axis as a number and not as a list of one, as ONNX asks."""
    constants = {c.name: c for c in graph.initializer}
    for number, node in enumerate(n for n in graph.node if n.op_type == "CumSum"):
        axis = numpy_helper.to_array(constants[node.input[1]])
        if not axis.shape:
            continue
        node.input[1] = f"axis_of_sum_{number}"
        graph.initializer.append(numpy_helper.from_array(axis.reshape(()), node.input[1]))


def _shape(value: onnx.ValueInfoProto) -> list[str | int]:
    dims = value.type.tensor_type.shape.dim
    return [d.dim_param or int(d.dim_value) for d in dims]


# -------------------------------------------------------------------- precision


def _store_small(graph: onnx.GraphProto, precision: str) -> None:
    """Keep the network's weights in fewer bits; what makes features of sound stays as it is.

    Weights are turned back into float32 where they are used, with constants only, so results do
    not depend on batch or chunk.
    """
    large = {
        c.name: c for c in graph.initializer
        if c.data_type == TensorProto.FLOAT and np.prod(c.dims) >= _SMALL
    }  # fmt: skip
    inputs = {value.name for value in graph.input}
    features = next(i for i, node in enumerate(graph.node) if node.op_type == "Log")
    heard = {name for node in list(graph.node)[:features] for name in node.input}
    nodes = []
    for name, weight in large.items():
        if name not in heard | inputs:
            nodes += _stored(graph, weight, precision)
    for node in reversed(nodes):
        graph.node.insert(0, node)


def _stored(
    graph: onnx.GraphProto, weight: onnx.TensorProto, precision: str
) -> list[onnx.NodeProto]:
    """Nodes that make a weight, under its old name, from one that is stored in few bits."""
    array, name = numpy_helper.to_array(weight), weight.name
    graph.initializer.remove(weight)
    if precision == "float16":
        stored = numpy_helper.from_array(array.astype(np.float16), f"{name}_half")
        graph.initializer.append(stored)
        return [helper.make_node("Cast", [stored.name], [name], to=TensorProto.FLOAT)]
    scale = np.abs(array).max(0, keepdims=True) / 127
    scale[scale == 0] = 1
    whole = np.clip(np.round(array / scale), -127, 127).astype(np.int8)
    names = [f"{name}_{part}" for part in ("bytes", "scale", "whole")]
    graph.initializer.append(numpy_helper.from_array(whole, names[0]))
    graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), names[1]))
    return [
        helper.make_node("Cast", names[:1], names[2:], to=TensorProto.FLOAT),
        helper.make_node("Mul", [names[2], names[1]], [name]),
    ]
