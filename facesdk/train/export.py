"""A trained trunk as one ONNX file: PCM in, units out, all state in named tensors.

The graph is written operator by operator, so it holds nothing but what game engines document:
Add, Concat, Conv, CumSum, Div, Exp, Log, MatMul, Mul, ReduceMean, Relu, Reshape, Sigmoid, Slice,
Split, Sub, Transpose, Unsqueeze. No control flow; only batch and chunk length are dynamic.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ..audio import features
from .data import STEP
from .network import STACK, Block, Trunk

OPSET = 17
FRAME_RATE = features.RATE // STEP
_TAIL = features.WINDOW - features.HOP
_ROW = 80
"""Samples; hop and window are whole rows."""
_TO_THE_END = (1 << 31) - 1
"""Of a slice; engines read 32 bits."""


class _Graph:
    """An ONNX graph under construction; tensors are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[str | int]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(self, tensor: str, name: str, shape: Sequence[str | int]) -> None:
        for node in self.nodes:
            for kind in (node.input, node.output):
                for i, used in enumerate(kind):
                    if used == tensor:
                        kind[i] = name
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def constant(self, value: Any, kind: type = np.float32) -> str:
        array: NDArray[Any] = np.asarray(value, kind, order="C")
        name = "c_" + hashlib.sha256(array.tobytes() + repr(array.shape).encode()).hexdigest()[:12]
        if array.dtype != np.float32:
            name += "i"
        self.constants.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def slice(self, tensor: str, start: int, end: int, axis: int) -> str:
        ends = _TO_THE_END if end == 0 else end
        bounds = [self.constant([v], np.int64) for v in (start, ends, axis)]
        name: str = self.add("Slice", tensor, *bounds)
        return name

    def linear(self, tensor: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        product = self.add("MatMul", tensor, self.constant(weight))
        name: str = self.add("Add", product, self.constant(bias))
        return name

    def model(self, name: str, metadata: Mapping[str, str]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, name, self.inputs, self.outputs, list(self.constants.values())
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="facesdk")
        model.ir_version = 8
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model


def state_shapes(trunk: Trunk) -> dict[str, tuple[int, ...]]:
    """Shape of every state tensor, without the batch axis; a session starts from zeros."""
    past = (trunk.config.taps - 1) * sum(trunk.config.dilations)
    return {
        "samples": (_TAIL,),
        "mean": (features.BANDS + 1,),
        "history": (past, trunk.config.narrow or trunk.config.channels),
    }


def build_graph(trunk: Trunk) -> onnx.ModelProto:
    """The trunk as an ONNX model.

    Inputs `audio` (batch, 320 T) and `state_*`; outputs `units` and `articulation`, both
    (batch, T, look-aheads, curves), and `next_*`, to be fed back as `state_*` with the
    following chunk.
    """
    graph = _Graph()
    states = {
        name: graph.input(f"state_{name}", ("batch", *shape))
        for name, shape in state_shapes(trunk).items()
    }
    audio = graph.input("audio", ("batch", "samples"))
    following: dict[str, str] = {}
    mel, following["samples"] = _log_mel(graph, audio, states["samples"])
    steps, following["mean"] = _normalise(graph, trunk, mel, states["mean"])
    x = graph.add("Relu", graph.linear(steps, *_weights(trunk.enter)))
    x, following["history"] = _blocks(graph, trunk, x, states["history"])
    config = trunk.config
    names = {"units": config.units, "articulation": config.articulation}
    heads = _heads(graph, trunk, graph.add("Relu", x))
    sizes = {name: (len(config.delays), len(curves)) for name, curves in names.items()}
    if config.activity:
        sizes["activity"] = (len(config.delays), 1)
    for output, tensor in heads.items():
        graph.output(tensor, output, ("batch", "steps", *sizes[output]))
    for name, shape in state_shapes(trunk).items():
        graph.output(following[name], f"next_{name}", ("batch", *shape))
    return graph.model("facesdk_trunk", {n: ",".join(curves) for n, curves in names.items()})


def _weights(layer: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return layer.weight.detach().numpy().T, layer.bias.detach().numpy()


def _log_mel(graph: _Graph, audio: str, tail: str) -> tuple[str, str]:
    """Log-mel frames of the audio after its tail.

    The transform is a product with a matrix: as a convolution it would take twice as long for one
    stream and nine times as long per stream in a batch of 64.
    """
    samples = graph.add("Concat", tail, audio, axis=1)
    rows = graph.add("Reshape", samples, graph.constant([0, -1, _ROW], np.int64))
    count = features.WINDOW // _ROW
    step = graph.constant([features.HOP // _ROW], np.int64)
    axis = graph.constant([1], np.int64)
    parts = [
        graph.add(
            "Slice", rows, graph.constant([i], np.int64),
            graph.constant([i + 1 - count or _TO_THE_END], np.int64), axis, step,
        )
        for i in range(count)
    ]  # fmt: skip
    frames = graph.add("Concat", *parts, axis=2)
    transform = np.concatenate(features.dft_matrices(), 1)
    spectrum = graph.add("MatMul", frames, graph.constant(transform))
    power = graph.add("Mul", spectrum, spectrum)
    filters = np.concatenate([features.mel_matrix()] * 2)  # adds both squares
    bands = graph.add("MatMul", power, graph.constant(filters))
    mel = graph.add("Log", graph.add("Add", bands, graph.constant(features.FLOOR)))
    return mel, graph.slice(samples, -_TAIL, 0, 1)


def _normalise(graph: _Graph, trunk: Trunk, mel: str, state: str) -> tuple[str, str]:
    """Running spectral mean in closed form over the chunk; see `RunningMean`."""
    mean = trunk.normalise
    prior = mean.prior.numpy()
    relative = graph.add("Sub", mel, graph.constant(prior))
    level = graph.add("ReduceMean", relative, axes=[-1], keepdims=1)
    weight = graph.add("Exp", graph.add("Mul", level, graph.constant(mean.exponent)))
    axis = graph.constant(1, np.int64)
    zeros = graph.add("Mul", weight, graph.constant(0.0))
    steps = graph.add("CumSum", graph.add("Add", zeros, graph.constant(1.0)), axis)
    exponent = graph.add("Mul", steps, graph.constant(math.log(mean.keep)))
    decay = graph.add("Exp", exponent)
    growth = graph.add("Div", weight, decay)
    before = graph.add("Unsqueeze", state, graph.constant([1], np.int64))
    content = graph.add("Concat", graph.add("Mul", growth, mel), growth, axis=2)
    summed = graph.add("Add", before, graph.add("CumSum", content, axis))
    running = graph.add("Mul", decay, summed)
    total = graph.slice(running, 0, features.BANDS, 2)
    mass = graph.slice(running, features.BANDS, features.BANDS + 1, 2)
    numerator = graph.add("Add", total, graph.constant(mean.weight * prior))
    average = graph.add("Div", numerator, graph.add("Add", mass, graph.constant(mean.weight)))
    centred = graph.add("Sub", mel, average)
    scaled = graph.add("Mul", centred, graph.constant(trunk.config.feature_scale))
    shape = graph.constant([0, -1, STACK * features.BANDS], np.int64)
    last = graph.slice(running, -1, 0, 1)
    kept = graph.add("Reshape", last, graph.constant([0, -1], np.int64))
    return graph.add("Reshape", scaled, shape), kept


def _blocks(graph: _Graph, trunk: Trunk, x: str, history: str) -> tuple[str, str]:
    """All blocks; their pasts lie in one tensor, one below the other."""
    blocks = [block for block in trunk.blocks if isinstance(block, Block)]
    rows = graph.constant([block.past for block in blocks], np.int64)
    pasts = graph.add("Split", history, rows, outputs=len(blocks), axis=1)
    kept = []
    for block, past in zip(blocks, pasts, strict=True):
        x, following = _block(graph, block, x, past)
        kept.append(following)
    return x, graph.add("Concat", *kept, axis=1)


def _block(graph: _Graph, block: Block, x: str, state: str) -> tuple[str, str]:
    kept = x
    if block.narrow is not None:
        kept = graph.add("MatMul", x, graph.constant(block.narrow.weight.detach().numpy().T))
    past = graph.add("Concat", state, kept, axis=1)
    older = [
        graph.slice(past, i * block.dilation, i * block.dilation - block.past, 1)
        for i in range(block.taps - 1)
    ]
    window = graph.add("Concat", *older, kept, axis=2)
    hidden = graph.add("Relu", graph.linear(window, *_weights(block.enter)))
    weight: Any = block.leave.weight
    change = graph.add("MatMul", hidden, graph.constant(weight.detach().numpy().T))
    if block.leave.bias is not None:
        change = graph.add("Add", change, graph.constant(block.leave.bias.detach().numpy()))
    return graph.add("Add", x, change), graph.slice(past, -block.past, 0, 1)


def _heads(graph: _Graph, trunk: Trunk, x: str) -> dict[str, str]:
    """All look-aheads at once, split by what their curves are."""
    config = trunk.config
    enter, leave = _shared(trunk) if config.shared else _wide(trunk)
    hidden = graph.add("Relu", graph.linear(x, *enter))
    values = graph.add("Sigmoid", graph.linear(hidden, *leave))
    count = config.curves + int(config.activity)
    shape = graph.constant([0, -1, len(config.delays), count], np.int64)
    shaped = graph.add("Reshape", values, shape)
    sizes = {"units": len(config.units)}
    if config.articulation:
        sizes["articulation"] = len(config.articulation)
    if config.activity:
        sizes["activity"] = 1
    if len(sizes) == 1:
        return {"units": shaped}
    widths = graph.constant(list(sizes.values()), np.int64)
    parts = graph.add("Split", shaped, widths, outputs=len(sizes), axis=-1)
    return dict(zip(sizes, parts, strict=True))


_Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


def _shared(trunk: Trunk) -> tuple[_Layer, _Layer]:
    heads: Any = trunk.heads
    return _weights(heads.enter), _weights(heads.leave)


def _wide(trunk: Trunk) -> tuple[_Layer, _Layer]:
    """One wide hidden layer, one block-diagonal output layer."""
    config = trunk.config
    heads: Any = trunk.heads
    enter = np.concatenate([_weights(h.enter)[0] for h in heads], 1)
    enter_bias = np.concatenate([_weights(h.enter)[1] for h in heads])
    width, count = config.head_channels, len(heads)
    curves = config.curves + int(config.activity)
    leave = np.zeros((count, width, count, curves), np.float32)
    for i, head in enumerate(heads):
        leave[i, :, i] = _weights(head.leave)[0]
    leave_bias = np.concatenate([_weights(h.leave)[1] for h in heads])
    return (enter, enter_bias), (leave.reshape(count * width, count * curves), leave_bias)


def export(trunk: Trunk, folder: Path, *, facts: Mapping[str, Any]) -> Path:
    """Write `model.onnx` and its manifest `model.json` into a folder; returns the manifest.

    `facts` go into the manifest: name, version, licence, training data, scores.
    """
    folder.mkdir(parents=True, exist_ok=True)
    payload = build_graph(trunk).SerializeToString()
    (folder / "model.onnx").write_bytes(payload)
    config = trunk.config
    manifest = {
        "format": "facesdk.model",
        "version": 1,
        **facts,
        "file": "model.onnx",
        "sha256": hashlib.sha256(payload).hexdigest(),
        "sample_rate": features.RATE,
        "frame_rate": [FRAME_RATE, 1],
        "step_samples": STEP,
        "units": list(config.units),
        "articulation": list(config.articulation),
        "activity": config.activity,
        "look_aheads_ms": [1000 * d // FRAME_RATE for d in config.delays],
        "states": {name: list(shape) for name, shape in state_shapes(trunk).items()},
        "parameters": sum(p.numel() for n, p in trunk.named_parameters() if "phones" not in n),
    }
    path = folder / "model.json"
    path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
