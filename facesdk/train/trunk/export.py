"""A trained trunk as one ONNX file: PCM in, units out, all state in named tensors.

The graph is written operator by operator and contains only what game engines document: Add,
Concat, CumSum, Div, Exp, Log, MatMul, Mul, ReduceMean, Relu, Reshape, Sigmoid, Slice, Split, Sub,
Unsqueeze. There is no control flow; only batch and chunk length are open.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ...arrays import Floats
from ...audio import SAMPLE_RATE, features
from ...files import whole_file
from ...onnx_export.builder import GraphBuilder, block_diagonal
from .data import STEP, UNIT_FPS
from .fit import load_trunk
from .network import STACK, Block, SharedHeads, Trunk

OPSET = 17
_TAIL = features.WINDOW - features.HOP
_ROW = 80
"""Samples; hop and window are whole rows."""


def export_checkpoint(checkpoint: Path, folder: Path) -> Path:
    """Write the trunk of a training checkpoint as a model folder; return the manifest."""
    name = checkpoint.parent.name or checkpoint.stem
    facts = {"name": name, "model_version": "0", "license": "unknown"}
    return export(load_trunk(checkpoint), folder, facts=facts)


def export(trunk: Trunk, folder: Path, *, facts: Mapping[str, Any]) -> Path:
    """Write `model.onnx` and its manifest `model.json` into a folder; return the manifest.

    `facts` are added to the manifest: name, version, license, training data, scores.
    """
    folder.mkdir(parents=True, exist_ok=True)
    payload = build_graph(trunk).SerializeToString()
    config = trunk.config
    manifest = {
        "format": "facesdk.model",
        "version": 1,
        **facts,
        "file": "model.onnx",
        "sha256": hashlib.sha256(payload).hexdigest(),
        "sample_rate": SAMPLE_RATE,
        "frame_rate": [UNIT_FPS, 1],
        "step_samples": STEP,
        "units": list(config.units),
        "articulation": list(config.articulation),
        "activity": ["speech"] if config.activity else [],
        "look_aheads_ms": list(config.look_aheads_ms),
        "states": {name: list(shape) for name, shape in state_shapes(trunk).items()},
        "parameters": sum(p.numel() for n, p in trunk.named_parameters() if "phones" not in n),
    }
    return write_model(folder, payload, manifest)


def write_model(folder: Path, payload: bytes, manifest: Mapping[str, Any]) -> Path:
    """Write a graph and its manifest into a folder; return the path of the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    for name, content in (("model.onnx", payload), ("model.json", text.encode())):
        with whole_file(folder / name) as file:
            file.write(content)
    return folder / "model.json"


def state_shapes(trunk: Trunk) -> dict[str, tuple[int, ...]]:
    """Return the shape of every state tensor without the batch axis; streams start from zeros."""
    config = trunk.config
    past = (config.taps - 1) * sum(config.dilations)
    return {
        "samples": (_TAIL,),
        "mean": (features.BANDS + 1,),
        "history": (past, config.narrow or config.channels),
    }


def build_graph(trunk: Trunk) -> onnx.ModelProto:
    """Return the trunk as an ONNX model.

    Inputs are `audio` (batch, 320 T) and `state_*`. Outputs are `units` and `articulation`, both
    (batch, T, look-aheads, curves), `activity` (batch, T, look-aheads, 1) if the trunk has it, and
    `next_*`, to be passed as `state_*` with the next chunk.
    """
    graph, config = GraphBuilder(), trunk.config
    states = {
        name: graph.input(f"state_{name}", ("batch", *shape))
        for name, shape in state_shapes(trunk).items()
    }
    audio = graph.input("audio", ("batch", "samples"))
    following: dict[str, str] = {}
    mel, following["samples"] = _log_mel(graph, audio, states["samples"])
    steps, following["mean"] = _normalize(graph, trunk, mel, states["mean"])
    x = graph.add("Relu", graph.linear(steps, *weights(trunk.enter)))
    x, following["history"] = _blocks(graph, trunk, x, states["history"])
    names = {"units": config.units, "articulation": config.articulation}
    for output, tensor in _heads(graph, trunk, graph.add("Relu", x)).items():
        shape = ("batch", "steps", len(config.delay_steps), len(names.get(output, (output,))))
        graph.output(tensor, output, shape)
    for name, state_shape in state_shapes(trunk).items():
        graph.output(following[name], f"next_{name}", ("batch", *state_shape))
    metadata = {name: ",".join(curves) for name, curves in names.items()}
    return graph.model("facesdk_trunk", OPSET, metadata)


def weights(layer: Any) -> tuple[Floats, Floats]:
    """Return (in, out) weights and (out,) bias of a linear layer; the bias is empty without one."""
    bias = np.zeros(0, np.float32) if layer.bias is None else layer.bias.detach().numpy()
    return layer.weight.detach().numpy().T, bias


def side_by_side(layers: Any) -> tuple[Floats, Floats]:
    """Return one layer's weights and bias for several layers that read the same input."""
    matrices, biases = zip(*map(weights, layers), strict=True)
    return np.concatenate(matrices, 1), np.concatenate(biases)


def diagonal(layers: Any) -> tuple[Floats, Floats]:
    """Return one layer's weights and bias for several layers that each read their own input."""
    matrices, biases = zip(*map(weights, layers), strict=True)
    return block_diagonal(matrices), np.concatenate(biases)


def _log_mel(graph: GraphBuilder, audio: str, tail: str) -> tuple[str, str]:
    """Log-mel frames of the tail and the audio.

    The transform is a matrix product: as a convolution it takes twice as long for one stream, and
    nine times as long per stream in a batch of 64.
    """
    samples = graph.add("Concat", tail, audio, axis=1)
    rows = graph.reshape(samples, [0, -1, _ROW])
    count = features.WINDOW // _ROW
    frames = graph.add("Concat", *(_every_hop(graph, rows, i, count) for i in range(count)), axis=2)
    spectrum = graph.product(frames, np.concatenate(features.dft_matrices(), 1))
    squares = graph.add("Mul", spectrum, spectrum)
    bands = graph.product(squares, np.concatenate([features.mel_matrix()] * 2))
    mel = graph.add("Log", graph.plus(bands, features.FLOOR))
    return mel, graph.slice(samples, -_TAIL, None, axis=1)


def _every_hop(graph: GraphBuilder, rows: str, first: int, count: int) -> str:
    """Row `first` of every frame of `count` rows."""
    end = first + 1 - count
    return graph.slice(rows, first, end or None, axis=1, step=features.HOP // _ROW)


def _normalize(graph: GraphBuilder, trunk: Trunk, mel: str, state: str) -> tuple[str, str]:
    """Add the running spectral mean in closed form over the chunk; see `RunningMean`."""
    mean = trunk.normalize
    prior = mean.prior.numpy()
    relative = graph.add("Sub", mel, graph.constant(prior))
    level = graph.add("ReduceMean", relative, axes=[-1], keepdims=1)
    weight = graph.add("Exp", graph.times(level, mean.exponent))
    axis = graph.constant(1, np.int64)
    ones = graph.plus(graph.times(weight, 0.0), 1.0)
    decay = graph.add("Exp", graph.times(graph.add("CumSum", ones, axis), math.log(mean.keep)))
    growth = graph.add("Div", weight, decay)
    content = graph.add("Concat", graph.add("Mul", growth, mel), growth, axis=2)
    summed = graph.add("Add", graph.unsqueeze(state, 1), graph.add("CumSum", content, axis))
    running = graph.add("Mul", decay, summed)
    total = graph.slice(running, 0, features.BANDS, axis=2)
    mass = graph.slice(running, features.BANDS, features.BANDS + 1, axis=2)
    numerator = graph.plus(total, mean.weight * prior)
    average = graph.add("Div", numerator, graph.plus(mass, mean.weight))
    scaled = graph.times(graph.add("Sub", mel, average), trunk.config.feature_scale)
    kept = graph.reshape(graph.slice(running, -1, None, axis=1), [0, -1])
    return graph.reshape(scaled, [0, -1, STACK * features.BANDS]), kept


def _blocks(graph: GraphBuilder, trunk: Trunk, x: str, history: str) -> tuple[str, str]:
    """Add all blocks; their past frames are stacked along the time axis of one tensor."""
    blocks = [block for block in trunk.blocks if isinstance(block, Block)]
    kept = []
    pasts = graph.split(history, [block.past for block in blocks], axis=1)
    for block, past in zip(blocks, pasts, strict=True):
        x, following = _block(graph, block, x, past)
        kept.append(following)
    return x, graph.add("Concat", *kept, axis=1)


def _block(graph: GraphBuilder, block: Block, x: str, state: str) -> tuple[str, str]:
    stored = x if block.narrow is None else graph.product(x, weights(block.narrow)[0])
    past = graph.add("Concat", state, stored, axis=1)
    shifts = [i * block.dilation for i in range(block.taps - 1)]
    older = [graph.slice(past, shift, shift - block.past, axis=1) for shift in shifts]
    window = graph.add("Concat", *older, stored, axis=2)
    hidden = graph.add("Relu", graph.linear(window, *weights(block.enter)))
    weight, bias = weights(block.leave)
    change = graph.linear(hidden, weight, bias) if len(bias) else graph.product(hidden, weight)
    return graph.add("Add", x, change), graph.slice(past, -block.past, None, axis=1)


def _heads(graph: GraphBuilder, trunk: Trunk, x: str) -> dict[str, str]:
    """Add all look-aheads at once, split by output."""
    config, heads = trunk.config, trunk.heads
    if isinstance(heads, SharedHeads):
        enter, leave = weights(heads.enter), weights(heads.leave)
    else:  # one wide hidden layer, one block-diagonal output layer
        each: Any = list(heads)  # type: ignore[call-overload]
        enter, leave = side_by_side([h.enter for h in each]), diagonal([h.leave for h in each])
    hidden = graph.add("Relu", graph.linear(x, *enter))
    values = graph.add("Sigmoid", graph.linear(hidden, *leave))
    shaped = graph.reshape(values, [0, -1, len(config.delay_steps), config.outputs])
    widths = {"units": len(config.units), "articulation": len(config.articulation)}
    widths["activity"] = int(config.activity)
    present = {name: width for name, width in widths.items() if width}
    return dict(zip(present, graph.split(shaped, list(present.values())), strict=True))
