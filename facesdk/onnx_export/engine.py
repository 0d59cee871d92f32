"""A model as one ONNX file for a game engine: the trunk, and rigs on top of it in the same pass.

A JSON file next to it describes every tensor for programmers without Python; see `docs/onnx.md`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from ..errors import ModelError
from ..files import whole_file
from ..model.learned_layer import LearnedLayer
from ..model.model import Model, load
from ..model.rig_outputs import RigOutput
from ..model.rig_table import RigTable
from ..rig import Rig
from .builder import GraphBuilder
from .rig_layers import output_by_table, rig_layers

Precision = Literal["float32", "float16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

OPSET = 15
"""The highest that every Unity Inference Engine documents; nothing used here changed until 17."""

EXTRA_UNITS = "extra_units"
"""Input for the units that the trunk does not compute."""

_SMALL = 4096
"""Weights with fewer numbers keep their precision: there is nothing to gain."""


@dataclass(frozen=True)
class EngineExportOptions:
    """Contents of an exported graph."""

    rigs: tuple[str, ...] = ()
    """Names of rigs, or paths of table files; none exports only the trunk."""
    look_ahead_ms: float | None = None
    """The longest look-ahead not above this; None for all of them, on an axis of their own."""
    precision: Precision = "float32"
    """Storage of the network's weights; all of them compute in float32."""
    static: tuple[int, int] | None = None
    """Fixed batch and number of steps of every run; None leaves both open."""
    extra_units: bool = False
    """Whether the units that the trunk does not compute are an input; else they stay at rest."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ModelError(f"precision must be {' or '.join(PRECISIONS)}, got {self.precision!r}")
        if self.static is not None and min(self.static) < 1:
            raise ModelError(f"batch and steps must be 1 or more, got {self.static}")
        if self.look_ahead_ms is not None and not self.look_ahead_ms >= 0:
            raise ModelError(f"look_ahead_ms must be 0 or more, got {self.look_ahead_ms}")
        if self.extra_units and (self.look_ahead_ms is None or not self.rigs):
            raise ModelError(f"{EXTRA_UNITS} needs one look-ahead and at least one rig")


def export_engine(
    source: Path | str | None, target: Path, options: EngineExportOptions
) -> Mapping[str, Any]:
    """Write a model's ONNX for engines and the manifest next to it; return the manifest.

    `source` is a model folder, or None for the built-in model. `target` is the ONNX file; the
    manifest has its name and `.json`. Raises `ModelError`.
    """
    if target.suffix != ".onnx":
        raise ModelError(f"the output file must end in .onnx, got {target}")
    model = load(source)  # checks hash and contents
    if model.manifest.file == target.name and model.folder.resolve() == target.parent.resolve():
        raise ModelError(f"{target} would replace the model that is read; give it another name")
    graph = _EngineGraph(model, options)
    graph.add_rigs(_outputs(options.rigs, model))
    payload = graph.finish().SerializeToString()
    manifest = {
        **model.manifest.facts,
        "format": "facesdk.graph" if options.static or options.extra_units else "facesdk.model",
        "file": target.name,
        "sha256": hashlib.sha256(payload).hexdigest(),
        **graph.facts(),
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    target.parent.mkdir(parents=True, exist_ok=True)
    sidecars = [
        (target.with_name(name), (model.folder / name).read_bytes()) for name in _sidecars(model)
    ]
    written = (target, payload), (target.with_suffix(".json"), text.encode())
    for path, content in (*written, *sidecars):
        with whole_file(path) as file:
            file.write(content)
    return manifest


def _sidecars(model: Model) -> list[str]:
    """Return the names of the files that describe learned layers: a rig, or a basis of vertices."""
    if model.folder is None:
        return []
    return [Path(facts["file"]).name for facts in model.manifest.learned.values()]


def _outputs(rigs: Iterable[str], model: Model) -> dict[str, RigOutput]:
    """Return the output of every rig by the rig's name."""
    outputs: dict[str, RigOutput] = {}
    for rig in rigs:
        if (layer := rig.partition(":")[0]) in model.manifest.learned:
            raise ModelError(
                f"{layer!r} is a learned layer of this model, which every export contains as the "
                f"output {model.manifest.learned[layer]['output']!r}; leave --rig {rig} out"
            )
        output = output_by_table(rig)
        if output.rig.name in outputs:
            raise ModelError(f"rig {output.rig.name!r} is given twice")
        outputs[output.rig.name] = output
    return outputs


# ------------------------------------------------------------------------ graph


class _EngineGraph:
    """The graph of a model while it is changed for an engine."""

    def __init__(self, model: Model, options: EngineExportOptions) -> None:
        payload = (model.folder / model.manifest.file).read_bytes()
        self._model = onnx.load_from_string(payload)
        self._source = model
        self._facts, self._options = model.manifest.facts, options
        self._graph = self._model.graph
        self._builder = GraphBuilder(self._graph, prefix="engine_")
        self._rig_outputs: Mapping[str, RigOutput] = {}
        self._names: list[str] = list(model.manifest.units)
        self._look_aheads: list[int] = list(model.manifest.look_aheads_ms)
        self._precision = self._facts.get("precision", "float32")
        if options.precision != "float32":
            if self._precision != "float32":
                raise ModelError(f"the weights of this model are {self._precision} already")
            self._precision = options.precision
            _store_small(self._graph, options.precision)
        if options.look_ahead_ms is not None:
            self._keep(model.look_ahead(options.look_ahead_ms))

    @property
    def _frame_outputs(self) -> list[onnx.ValueInfoProto]:
        """Outputs with a frame for every step."""
        return [o for o in self._graph.output if not o.name.startswith("next_")]

    def _keep(self, index: int) -> None:
        """Keep one look-ahead of every output that has all of them."""
        if len(self._look_aheads) == 1:
            return
        for output in self._frame_outputs:
            size = output.type.tensor_type.shape.dim[2]
            if size.dim_value == len(self._look_aheads):
                size.dim_value = 1
                self._builder.rename(output.name, f"{output.name}_all")
                one = self._builder.slice(f"{output.name}_all", index, index + 1, axis=2)
                self._builder.rename(one, output.name)
        self._look_aheads = [self._look_aheads[index]]

    def _units_for_rigs(self) -> str:
        """Add (batch, steps, units) of one look-ahead; for all there is an axis before the last."""
        if self._options.look_ahead_ms is None:
            return "units"
        units = self._builder.add("Squeeze", "units", self._builder.constant([2], np.int64))
        if not self._options.extra_units:
            return units
        extra = [name for name in Rig.load("units").names if name not in self._names]
        self._names += extra
        self._builder.input(EXTRA_UNITS, ("batch", "steps", len(extra)))
        return self._builder.add("Concat", units, EXTRA_UNITS, axis=-1)

    def add_rigs(self, outputs: Mapping[str, RigOutput]) -> None:
        """Add one output per rig: its controls."""
        if existing := sorted({o.name for o in self._graph.output} & set(outputs)):
            raise ModelError(f"this model already has the output {existing[0]}; leave out that rig")
        if not outputs:
            return
        self._rig_outputs = outputs
        tensors = rig_layers(self._builder, outputs, self._units_for_rigs(), self._names)
        every = [len(self._look_aheads)] if self._options.look_ahead_ms is None else []
        for name, tensor in tensors.items():
            shape: list[str | int] = ["batch", "steps", *every, len(outputs[name].rig)]
            self._builder.output(tensor, name, shape, at=len(self._frame_outputs))

    def finish(self) -> onnx.ModelProto:
        """Return the checked model."""
        for opset in self._model.opset_import:
            opset.version = OPSET
        self._model.producer_name = "facesdk"
        del self._graph.value_info[:]
        _fit_32_bits(self._graph)
        _scalar_axes(self._graph)
        if self._options.static is not None:
            self._fix(*self._options.static)
        onnx.checker.check_model(self._model, full_check=True)
        return self._model

    def _fix(self, batch: int, steps: int) -> None:
        """Set every open dimension, and write down the size of every tensor."""
        sizes = {
            "batch": batch, "steps": steps, "samples": steps * int(self._facts["step_samples"]),
        }  # fmt: skip
        for value in (*self._graph.input, *self._graph.output):
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_param:
                    dim.dim_value = sizes[dim.dim_param]
        inputs = {value.name for value in self._graph.input}
        for default in self._graph.initializer:
            if default.name in inputs:  # the same row for every speaker
                rows = numpy_helper.to_array(default).repeat(batch, 0)
                default.CopyFrom(numpy_helper.from_array(rows, default.name))
        inferred = shape_inference.infer_shapes(self._model, strict_mode=True, data_prop=True)
        values = {v.name: v for v in inferred.graph.value_info}
        for node in self._graph.node:
            for name in node.output:
                if name in values and all(
                    d.HasField("dim_value") for d in values[name].type.tensor_type.shape.dim
                ):
                    self._graph.value_info.append(values[name])

    # --------------------------------------------------------------- manifest

    def facts(self) -> dict[str, Any]:
        """Return the part of the manifest that describes the graph."""
        steps = [ms * Fraction(*self._facts["frame_rate"]) / 1000 for ms in self._look_aheads]
        return {
            "look_aheads_ms": self._look_aheads,
            "delay_steps": [int(s) for s in steps],
            "precision": self._precision,
            "opset": OPSET,
            "operators": sorted({node.op_type for node in self._graph.node}),
            "inputs": [self._input(i) for i in self._graph.input],
            "outputs": [self._output(o) for o in self._graph.output],
        }

    def _input(self, value: onnx.ValueInfoProto) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": value.name, "shape": _shape(value)}
        if value.name.startswith("state_"):
            entry["starts_at"] = 0.0
            entry["next"] = value.name.replace("state_", "next_", 1)
        elif value.name == EXTRA_UNITS:
            units, names = Rig.load("units"), self._names[len(self._facts["units"]) :]
            entry["curves"] = names
            entry["rest"] = [float(units.rest[units.index(name)]) for name in names]
        elif any(value.name == c.name for c in self._graph.initializer):
            entry["optional"] = True
        return entry

    def _output(self, value: onnx.ValueInfoProto) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": value.name, "shape": _shape(value)}
        if value.name in self._rig_outputs:
            return entry | _rig_facts(self._rig_outputs[value.name])
        if value.name in self._facts:
            return entry | {"curves": list(self._facts[value.name])}
        for name, facts in self._facts.get("learned", {}).items():
            if facts["output"] == value.name:
                return entry | _layer_facts(self._source, name, facts)
        earlier: dict[str, dict[str, Any]] = {o["name"]: o for o in self._facts.get("outputs", ())}
        return earlier.get(value.name, {}) | entry


def _rig_facts(output: RigOutput) -> dict[str, Any]:
    rig, tables = output.rig, [t for t in (output.table, output.override) if t is not None]
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


def _layer_facts(model: Model, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the output of a learned layer: its controls, or the file with its vertex basis."""
    described: dict[str, Any] = {
        "layer": name,
        "computed": facts.get("from", "learned from recordings"),
        "license": facts.get("license"),
        "speakers": list(facts.get("speakers", ())),
        "file": facts["file"],
    }
    rig = LearnedLayer.of(model, name).rig
    if rig is None:
        return described | {"vertices": "template + mean + output @ components, in meters"}
    return described | {
        "rig": {"name": rig.name, "version": rig.version},
        "controls": list(rig.names),
        "rest": rig.rest.tolist(),
        "minimum": rig.minimum.tolist(),
        "maximum": rig.maximum.tolist(),
    }


def _table_hash(table: RigTable) -> str:
    """Return the SHA-256 of a table's content, whatever the layout of its file."""
    derived = [[d.name, d.unit, d.less, d.begin, d.end] for d in table.derived]
    content = [table.controls, derived, table.remainder_control]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _fit_32_bits(graph: onnx.GraphProto) -> None:
    """Limit integers, such as the end of an open slice, to the 32 bits that engines use."""
    for constant in graph.initializer:
        if constant.data_type == TensorProto.INT64:
            array = numpy_helper.to_array(constant)
            short = np.clip(array, -(2**31), 2**31 - 1)
            constant.CopyFrom(numpy_helper.from_array(short, constant.name))


def _scalar_axes(graph: onnx.GraphProto) -> None:
    """Give running sums their axis as a scalar, as ONNX specifies, not as a list of one."""
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
    """Store the network's weights in fewer bits, except those of the audio features.

    Constants convert the weights back to float32 where they are used, so results do not depend
    on batch or chunk size.
    """
    large = {
        c.name: c for c in graph.initializer
        if c.data_type == TensorProto.FLOAT and np.prod(c.dims) >= _SMALL
    }  # fmt: skip
    inputs = {value.name for value in graph.input}
    end = next(i for i, node in enumerate(graph.node) if node.op_type == "Log")
    features = {name for node in list(graph.node)[:end] for name in node.input}
    nodes = []
    for name, weight in large.items():
        if name not in features | inputs:
            nodes += _stored(graph, weight, precision)
    for node in reversed(nodes):
        graph.node.insert(0, node)


def _stored(
    graph: onnx.GraphProto, weight: onnx.TensorProto, precision: str
) -> list[onnx.NodeProto]:
    """Return nodes that compute a weight, under its old name, from its copy in few bits."""
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
