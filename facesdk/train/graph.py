"""A model's ONNX file as something to learn on: its trunk read back, changed, and built upon.

Users have `model.onnx` and no checkpoint. The graph is one that `export` wrote, so every layer of
the trunk is found by walking it; what was read is run beside the graph, so a graph of another make
is refused and never misread.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import nn

from ..arrays import Floats
from ..audio.features import BANDS, log_mel
from ..errors import ModelError
from ..files import whole_file
from ..model.manifest import Manifest
from ..model.model import Model
from ..onnx_export.rig_layers import Layers
from .heads.network import PIVOT, AffineCode, Code, Identities, OutputLayer
from .trunk.data import SILENCE, STEP
from .trunk.network import Trunk, TrunkConfig

IDENTITY = "identity"
"""Name of the input that says who speaks."""

_CLOSE = 1e-3
_PROBE_STEPS = 60


class ModelGraph:
    """The graph of a model folder: layers of its trunk, and outputs to add to it."""

    def __init__(self, folder: Path | str) -> None:
        """Raises `ModelError` for files that are missing, damaged or not facesdk's own."""
        self.folder = Path(folder)
        self.manifest = Manifest.read(self.folder / "model.json")
        reference = Model(self.folder)  # checks the file's hash, and is what to compare with
        self._model = onnx.load_from_string((self.folder / self.manifest.file).read_bytes())
        self._graph = self._model.graph
        self._constants = {c.name: c for c in self._graph.initializer}
        self._layers = Layers(self._graph, "layer_")
        self._users: dict[str, list[NodeProto]] = {}
        for node in self._graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        try:
            self.trunk = self._read()
        except (LookupError, ValueError, RuntimeError) as error:
            raise self._foreign(error) from error
        difference = _difference(self.trunk, reference)
        if not difference < _CLOSE:
            raise self._foreign(f"its units differ by {difference:.2g} when computed again")

    def _foreign(self, reason: object) -> ModelError:
        return ModelError(
            f"the trunk in {self.folder} cannot be read back ({reason}); learning starts from a "
            "float32 model that this version of facesdk exported, or from a checkpoint"
        )

    # ------------------------------------------------------------------ the trunk

    def _read(self) -> Trunk:
        trunk = Trunk(self._config(), self._mean())
        self._trunk_nodes = self._linears()
        modules = _trunk_layers(trunk)
        for product, layer in zip(self._trunk_nodes, modules, strict=False):
            self._fill(layer, *self._numbers(product))
        self._fill_heads(trunk)
        self.state: str = self._trunk_nodes[len(modules)].input[0]
        return trunk.eval()

    def _config(self) -> TrunkConfig:
        manifest, first = self.manifest, self._linears()
        heads = len(manifest.look_aheads_ms)
        (channels, wide), _ = (x.shape for x in self._numbers(first[-2]))
        mean = self._mean_constants()
        return TrunkConfig(
            channels=channels,
            dilations=self._dilations(),
            head_channels=wide // heads,
            delays=tuple(round(ms * manifest.frame_rate / 1000) for ms in manifest.look_aheads_ms),
            units=manifest.units,
            articulation=tuple(manifest.facts.get("articulation", ())),
            phones=(SILENCE,),  # its head is not in the graph, and not needed
            mean_seconds=mean["seconds"],
            loudness_exponent=mean["exponent"],
            prior_frames=mean["weight"],
            feature_scale=mean["scale"],
        )

    def _linears(self) -> list[NodeProto]:
        """Products with a constant matrix that a constant row is added to: the linear layers.

        In order: the entry, two a block, two for all heads together. What follows is none of the
        trunk's.
        """
        found = [n for n in self._graph.node if n.op_type == "MatMul" and self._bias(n) is not None]
        return found[: 1 + 2 * len(self._dilations()) + 2]

    def _bias(self, product: NodeProto) -> NodeProto | None:
        """The addition that completes a linear layer."""
        weight = self._constants.get(product.input[1])
        if weight is None:
            return None
        for node in self._users.get(product.output[0], ()):
            if node.op_type == "Add" and self._constant(node).shape == tuple(weight.dims[1:]):
                return node
        return None

    def _numbers(self, product: NodeProto) -> tuple[Floats, Floats]:
        """(in, out) weights and (out,) bias of a linear layer."""
        addition = self._bias(product)
        assert addition is not None
        weight = numpy_helper.to_array(self._constants[product.input[1]])
        if weight.dtype != np.float32:
            raise ValueError(f"its weights are {weight.dtype}")
        return weight, self._constant(addition)

    def _constant(self, node: NodeProto) -> NDArray[Any]:
        """The constant that a node reads; an empty (0, 0) where it reads none."""
        for name in node.input:
            if name in self._constants:
                return numpy_helper.to_array(self._constants[name])
        return np.zeros((0, 0), np.float32)

    def _dilations(self) -> tuple[int, ...]:
        """Half of what each block remembers."""
        states = self.manifest.states
        if "history" not in states:
            rows = [shape[0] for name, shape in states.items() if name.startswith("block_")]
            return tuple(n // 2 for n in rows)
        (split,) = self._users["state_history"]
        return tuple(int(n) // 2 for n in self._constant(split))

    def _mean(self) -> list[float]:
        """(64,) spectrum that the running mean starts from."""
        node = self._find("Sub", lambda n: self._constant(n).shape == (BANDS,))
        return [float(x) for x in self._constant(node)]

    def _mean_constants(self) -> dict[str, float]:
        """What `RunningMean` and the scaling after it are set to."""
        level, steps = self._find("ReduceMean"), self._find("CumSum")
        sums = {
            n.output[0]: n for n in self._graph.node
            if n.op_type == "Add" and self._constant(n).size == 1
        }  # fmt: skip
        average = self._find("Div", lambda n: n.input[1] in sums)
        (centred,) = self._users[average.output[0]]
        return {
            "exponent": self._factor_after(level),
            "seconds": -0.01 / self._factor_after(steps),
            "weight": self._constant(sums[average.input[1]]).item(),
            "scale": self._factor_after(centred),
        }

    def _find(self, operator: str, fits: Callable[[NodeProto], bool] = lambda _: True) -> NodeProto:
        nodes: list[NodeProto] = list(self._graph.node)
        for node in nodes:
            if node.op_type == operator and fits(node):
                return node
        raise LookupError(f"it has no {operator} where one was expected")

    def _factor_after(self, node: NodeProto) -> float:
        """What the output of a node is multiplied by next."""
        for user in self._users[node.output[0]]:
            if user.op_type == "Mul":
                return float(self._constant(user).item())
        raise LookupError(f"nothing is multiplied with its {node.op_type}")

    @staticmethod
    def _fill(layer: nn.Linear, weight: Floats, bias: Floats) -> None:
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(weight.T))
            layer.bias.copy_(torch.tensor(bias))

    def _fill_heads(self, trunk: Trunk) -> None:
        """Heads lie side by side in the first of two layers, along the diagonal in the other."""
        (enter, enter_bias), (leave, leave_bias) = map(self._numbers, self._linears()[-2:])
        wide, curves = trunk.config.head_channels, trunk.config.curves
        for i, head in enumerate(trunk.heads):
            own, out = slice(i * wide, (i + 1) * wide), slice(i * curves, (i + 1) * curves)
            self._fill(head.enter, enter[:, own], enter_bias[own])  # type: ignore[arg-type]
            self._fill(head.leave, leave[own, out], leave_bias[out])  # type: ignore[arg-type]

    def put(self, trunk: Trunk) -> None:
        """Store the weights of a trunk whose entry and blocks were trained on."""
        for product, layer in zip(self._trunk_nodes, _trunk_layers(trunk), strict=False):
            addition = self._bias(product)
            assert addition is not None
            place = next(i for i, name in enumerate(addition.input) if name in self._constants)
            weight, bias = _weights(layer)
            product.input[1] = self._layers.constant(weight)
            addition.input[place] = self._layers.constant(bias)
        self.trunk = trunk

    # ------------------------------------------------------------------ additions

    def add_identity(self, identities: Identities) -> None:
        """An input `identity` (batch, E); where nothing is given it is the pivot."""
        pivot = identities.table.weight[PIVOT].detach().numpy()[None]
        self._graph.initializer.append(numpy_helper.from_array(pivot, IDENTITY))
        shape = ("batch", identities.size)
        self._graph.input.append(helper.make_tensor_value_info(IDENTITY, TensorProto.FLOAT, shape))

    def add_layer(self, name: str, layer: OutputLayer, code: Code) -> str:
        """An output (batch, steps, look-aheads, numbers) of a learned layer; returns its name.

        Controls come out in their limits; a code of vertices as coefficients of its basis.
        """
        nodes, looks = self._layers, len(layer.enter)
        mean, deviation = (np.tile(x, looks) for x in _affine(code))
        hidden = self._linear(self.state, *_side_by_side(layer.enter))
        leave, offset = _diagonal(layer.leave)
        leave, offset = leave * deviation, offset * deviation + mean
        if layer.style is None:
            spoken = self._linear(nodes.add("Relu", hidden), leave, offset)
        else:
            shift, gain, posture = (self._styled(x, looks) for x in layer.style.children())
            turned = nodes.add("Relu", nodes.add("Add", hidden, shift))
            turned = nodes.add("Mul", turned, nodes.plus(gain, np.ones(1, np.float32)))
            own = nodes.times(posture, deviation)
            spoken = nodes.add("Add", self._linear(turned, leave, offset), own)
        if isinstance(code, AffineCode) and np.isfinite(code.low).all():
            spoken = nodes.within(spoken, np.tile(code.low, looks), np.tile(code.high, looks))
        return self._output(f"learned_{name}", spoken, (looks, code.size))

    def _linear(self, tensor: str, weight: Floats, bias: Floats) -> str:
        product = self._layers.product(tensor, weight)
        return self._layers.add("Add", product, self._layers.constant(bias))

    def _styled(self, part: nn.Module, looks: int) -> str:
        """(batch, 1, looks * out) of a layer that reads the identity."""
        weight, _ = _weights(part)
        row = self._layers.product(IDENTITY, np.tile(weight, (1, looks)))
        return self._layers.add("Unsqueeze", row, self._layers.constant([1], np.int64))

    def _output(self, name: str, tensor: str, shape: tuple[int, int]) -> str:
        """(batch, steps, *shape) under a name."""
        self._layers.add("Reshape", tensor, self._layers.constant([0, -1, *shape], np.int64))
        self._graph.node[-1].output[0] = name
        sizes = ("batch", "steps", *shape)
        self._graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes))
        return name

    def payload(self) -> bytes:
        """The graph as the bytes of an ONNX file, constants that nothing reads dropped."""
        used = {name for node in self._graph.node for name in node.input}
        kept = [c for c in self._graph.initializer if c.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        onnx.checker.check_model(self._model, full_check=True)
        return bytes(self._model.SerializeToString())


def _trunk_layers(trunk: Trunk) -> list[nn.Linear]:
    """Entry and blocks, in the order of the graph."""
    layers = [trunk.enter]
    for block in trunk.blocks:
        layers += [block.enter, block.leave]  # type: ignore[list-item]
    return layers


def _side_by_side(layers: nn.ModuleList) -> tuple[Floats, Floats]:
    """(in, looks * out) weights and the bias of layers that read the same."""
    weights, biases = zip(*map(_weights, layers), strict=True)
    return np.concatenate(weights, 1), np.concatenate(biases)


def _diagonal(layers: nn.ModuleList) -> tuple[Floats, Floats]:
    """(looks * in, looks * out) weights and the bias of layers that each read their own."""
    weights, biases = zip(*map(_weights, layers), strict=True)
    looks, (rows, columns) = len(weights), weights[0].shape
    whole = np.zeros((looks, rows, looks, columns), np.float32)
    for i, weight in enumerate(weights):
        whole[i, :, i] = weight
    return whole.reshape(looks * rows, looks * columns), np.concatenate(biases)


def _weights(layer: Any) -> tuple[Floats, Floats]:
    """(in, out) weights and (out,) bias, empty where there is none."""
    bias = np.zeros(0, np.float32) if layer.bias is None else layer.bias.detach().numpy()
    return layer.weight.detach().numpy().T, bias


def _affine(code: Code) -> tuple[Floats, Floats]:
    """What the numbers of a layer are multiplied by, and what is added: to values in the end."""
    if isinstance(code, AffineCode):
        return code.mean, code.deviation
    return np.zeros_like(code.deviation), code.deviation


def _difference(trunk: Trunk, model: Model) -> float:
    """Largest difference between the units of a trunk and of a model on a probe."""
    rng = np.random.default_rng(0)
    swell = np.abs(np.sin(np.arange(_PROBE_STEPS * STEP) / 2500))
    audio = (0.1 * swell * rng.standard_normal(len(swell))).astype(np.float32)
    units, _ = model.step(audio[None], model.start())
    with torch.no_grad():
        state = trunk.state(torch.from_numpy(log_mel(audio))[None])
        own = torch.stack([torch.sigmoid(head(state)) for head in trunk.heads], 2).numpy()
    if own.shape[:3] != units.shape[:3] or own.shape[3] < units.shape[3]:
        return math.inf
    return float(np.abs(own[..., : units.shape[3]] - units).max())


def write_model(graph: ModelGraph, folder: Path, facts: Mapping[str, Any]) -> Path:
    """Write a graph and its manifest, facts added to those it had; returns the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    payload = graph.payload()
    with whole_file(folder / "model.onnx") as file:
        file.write(payload)
    manifest = {
        **graph.manifest.facts,
        **facts,
        "file": "model.onnx",
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    path = folder / "model.json"
    with whole_file(path) as file:
        file.write((json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
    return path
