"""Read the trunk back from a model's ONNX file, change it, and add outputs.

Users have `model.onnx` and no checkpoint. The graph was written by `trunk.export`, so every layer
is found by walking it. What was read is run and compared with the graph, so a foreign graph is
refused instead of misread.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper
from torch import nn

from ...arrays import Floats
from ...audio.features import BANDS, log_mel
from ...errors import ModelError
from ...model.manifest import Manifest
from ...model.model import Model
from ...onnx_export.builder import GraphBuilder
from ..trunk.data import STEP, UNIT_FPS
from ..trunk.export import diagonal, side_by_side, weights, write_model
from ..trunk.network import SharedHeads, Trunk, TrunkConfig
from .codec import AffineCodec, Codec
from .network import PIVOT, Identities, OutputLayer

IDENTITY = "identity"
"""Name of the input for the embedding of the speaker."""

_CLOSE = 1e-3
_PROBE_STEPS = 60


class ModelGraph:
    """The graph of a model folder: layers of its trunk, and outputs to add to it."""

    def __init__(self, folder: Path | str) -> None:
        """Raises `ModelError` for files that are missing, damaged or not written by facesdk."""
        self.folder = Path(folder)
        self.manifest = Manifest.read(self.folder / "model.json")
        reference = Model(self.folder)  # checks the hash of the file
        self._model = onnx.load_from_string((self.folder / self.manifest.file).read_bytes())
        self._graph = self._model.graph
        self._constants = {c.name: c for c in self._graph.initializer}
        self._builder = GraphBuilder(self._graph, prefix="layer_")
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
        self._rows = [self._row(product) for product in self._trunk_nodes]
        modules = _trunk_layers(trunk)
        for product, layer in zip(self._trunk_nodes, modules, strict=False):
            self._fill(layer, *self._numbers(product))
        self._fill_heads(trunk)
        self.state: str = self._trunk_nodes[len(modules)].input[0]
        return trunk.eval()

    def _config(self) -> TrunkConfig:
        manifest, linears = self.manifest, self._linears()
        look_aheads = len(manifest.look_aheads_ms)
        curves = len(manifest.units) + len(tuple(manifest.facts.get("articulation", ())))
        (channels, wide), _ = (x.shape for x in self._numbers(linears[-2]))
        outputs = len(self._numbers(linears[-1])[1]) // look_aheads
        pasts, taps, narrow = self._pasts(), self._taps(), self._narrow()
        mean, shared = self._mean_constants(), self._shares()
        leaving = linears[2 + bool(narrow) : -2 : 2 + bool(narrow)]
        return TrunkConfig(
            channels=channels,
            dilations=tuple(past // (taps - 1) for past in pasts),
            head_channels=wide if shared else wide // look_aheads,
            delay_steps=tuple(round(ms * UNIT_FPS / 1000) for ms in manifest.look_aheads_ms),
            units=manifest.units,
            articulation=tuple(manifest.facts.get("articulation", ())),
            mean_seconds=mean["seconds"],
            loudness_exponent=mean["exponent"],
            prior_frames=mean["weight"],
            feature_scale=mean["scale"],
            taps=taps,
            narrow=narrow,
            shared=shared,
            bias=all(self._bias(product) is not None for product in leaving),
            activity=outputs > curves,
        )

    def _linears(self) -> list[NodeProto]:
        """Return the linear layers: products with a constant matrix, most plus a constant row.

        In order: the entry, which is the first with a row, two or three per block, two for all
        heads together. Later ones do not belong to the trunk.
        """
        products = [
            n for n in self._graph.node if n.op_type == "MatMul" and n.input[1] in self._constants
        ]
        first = next((i for i, n in enumerate(products) if self._bias(n) is not None), 0)
        count = 1 + len(self._pasts()) * (3 if self._narrow() else 2) + 2
        return products[first : first + count]

    def _narrow(self) -> int:
        """Return how many channels the blocks store, 0 if it is all of them."""
        entry = next(
            n for n in self._graph.node if n.op_type == "MatMul" and self._bias(n) is not None
        )
        channels = self._constants[entry.input[1]].dims[1]
        stored = self.manifest.states.get("history", (0, channels))[1]
        return 0 if stored == channels else int(stored)

    def _taps(self) -> int:
        """Return how many steps a block reads."""
        linears = self._linears()
        if self._narrow():
            width, rows = linears[1].input[1], linears[2].input[1]
            return int(self._constants[rows].dims[0] // self._constants[width].dims[1])
        rows = self._constants[linears[1].input[1]].dims
        return int(rows[0] // rows[1])

    def _shares(self) -> bool:
        """Whether all heads read one hidden layer, instead of one each."""
        weight, _ = self._numbers(self._linears()[-1])
        look_aheads = len(self.manifest.look_aheads_ms)
        if look_aheads == 1 or len(weight) % look_aheads:
            return look_aheads > 1
        own, outputs = len(weight) // look_aheads, weight.shape[1] // look_aheads
        return bool(weight[:own, outputs:].any())

    def _bias(self, product: NodeProto) -> NodeProto | None:
        """Return the addition that completes a linear layer, if there is one."""
        weight = self._constants.get(product.input[1])
        if weight is None:
            return None
        for node in self._users.get(product.output[0], ()):
            if node.op_type == "Add" and self._constant(node).shape == tuple(weight.dims[1:]):
                return node
        return None

    def _row(self, product: NodeProto) -> tuple[NodeProto, int] | None:
        """Return the addition of a linear layer, and which input of it is the bias."""
        addition = self._bias(product)
        if addition is None:
            return None
        return addition, next(i for i, n in enumerate(addition.input) if n in self._constants)

    def _numbers(self, product: NodeProto) -> tuple[Floats, Floats]:
        """Return (in, out) weights and (out,) bias of a linear layer; empty without a bias."""
        addition = self._bias(product)
        weight = numpy_helper.to_array(self._constants[product.input[1]])
        if weight.dtype != np.float32:
            raise ValueError(f"its weights are {weight.dtype}")
        return weight, np.zeros(0, np.float32) if addition is None else self._constant(addition)

    def _constant(self, node: NodeProto) -> NDArray[Any]:
        """Return the constant that a node reads; an empty (0, 0) array if it reads none."""
        for name in node.input:
            if name in self._constants:
                return numpy_helper.to_array(self._constants[name])
        return np.zeros((0, 0), np.float32)

    def _pasts(self) -> tuple[int, ...]:
        """Return how many frames each block stores."""
        states = self.manifest.states
        if "history" not in states:
            return tuple(shape[0] for name, shape in states.items() if name.startswith("block_"))
        splits = self._users["state_history"]
        if splits[0].op_type != "Split":  # of a single block
            return (states["history"][0],)
        return tuple(int(n) for n in self._constant(splits[0]))

    def _mean(self) -> list[float]:
        """Return the (64,) spectrum that the running mean starts from."""
        node = self._find("Sub", lambda n: self._constant(n).shape == (BANDS,))
        return [float(x) for x in self._constant(node)]

    def _mean_constants(self) -> dict[str, float]:
        """Return the settings of `RunningMean` and of the scaling after it."""
        level, steps = self._find("ReduceMean"), self._find("CumSum")
        sums = {
            n.output[0]: n for n in self._graph.node
            if n.op_type == "Add" and self._constant(n).size == 1
        }  # fmt: skip
        average = self._find("Div", lambda n: n.input[1] in sums)
        (centered,) = self._users[average.output[0]]
        return {
            "exponent": self._factor_after(level),
            "seconds": -0.01 / self._factor_after(steps),
            "weight": self._constant(sums[average.input[1]]).item(),
            "scale": self._factor_after(centered),
        }

    def _find(self, operator: str, fits: Callable[[NodeProto], bool] = lambda _: True) -> NodeProto:
        nodes: list[NodeProto] = list(self._graph.node)
        for node in nodes:
            if node.op_type == operator and fits(node):
                return node
        raise LookupError(f"expected a {operator}, found none")

    def _factor_after(self, node: NodeProto) -> float:
        """Return the factor that the output of a node is multiplied with."""
        for user in self._users[node.output[0]]:
            if user.op_type == "Mul":
                return float(self._constant(user).item())
        raise LookupError(f"expected a factor after {node.op_type}, found none")

    @staticmethod
    def _fill(layer: nn.Linear, weight: Floats, bias: Floats) -> None:
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(weight.T))
            if layer.bias is not None:
                layer.bias.copy_(torch.tensor(bias))

    def _fill_heads(self, trunk: Trunk) -> None:
        """Fill the heads, which are side by side in one layer and on the diagonal of the next."""
        (enter, enter_bias), (leave, leave_bias) = map(self._numbers, self._linears()[-2:])
        if isinstance(trunk.heads, SharedHeads):
            self._fill(trunk.heads.enter, enter, enter_bias)
            self._fill(trunk.heads.leave, leave, leave_bias)
            return
        wide, outputs = trunk.config.head_channels, trunk.config.outputs
        heads: Any = trunk.heads
        for i, head in enumerate(heads):
            own, out = slice(i * wide, (i + 1) * wide), slice(i * outputs, (i + 1) * outputs)
            self._fill(head.enter, enter[:, own], enter_bias[own])
            self._fill(head.leave, leave[own, out], leave_bias[out])

    def put(self, trunk: Trunk) -> None:
        """Store the weights of a trunk whose entry and blocks were trained."""
        layers = zip(self._trunk_nodes, self._rows, _trunk_layers(trunk), strict=False)
        for product, row, layer in layers:
            weight, bias = weights(layer)
            product.input[1] = self._builder.constant(weight)
            if row is not None:
                addition, place = row
                addition.input[place] = self._builder.constant(bias)
        self.trunk = trunk

    # ------------------------------------------------------------------ additions

    def add_identity(self, identities: Identities) -> None:
        """Add an input `identity` (batch, E), whose default is the pivot."""
        pivot = identities.table.weight[PIVOT].detach().numpy()[None]
        self._graph.initializer.append(numpy_helper.from_array(pivot, IDENTITY))
        self._builder.input(IDENTITY, ("batch", identities.size))

    def add_layer(self, name: str, layer: OutputLayer, codec: Codec) -> str:
        """Add an output (batch, steps, look-aheads, numbers) of a learned layer; return its name.

        Controls are limited to their ranges; a codec of vertices yields coefficients of its basis.
        """
        graph, look_aheads = self._builder, len(layer.enter)
        mean, deviation = (np.tile(x, look_aheads) for x in _affine(codec))
        hidden = graph.linear(self.state, *side_by_side(layer.enter))
        leave, offset = diagonal(layer.leave)
        leave, offset = leave * deviation, offset * deviation + mean
        if layer.style is None:
            values = graph.linear(graph.add("Relu", hidden), leave, offset)
        else:
            shift, gain, posture = (self._styled(x, look_aheads) for x in layer.style.children())
            shifted = graph.add("Relu", graph.add("Add", hidden, shift))
            scaled = graph.add("Mul", shifted, graph.plus(gain, 1.0))
            posture = graph.times(posture, deviation)
            values = graph.add("Add", graph.linear(scaled, leave, offset), posture)
        if isinstance(codec, AffineCodec) and np.isfinite(codec.low).all():
            low, high = (np.tile(x, look_aheads) for x in (codec.low, codec.high))
            values = graph.clip(values, low, high)
        shape = (look_aheads, codec.size)
        values = graph.reshape(values, [0, -1, *shape])
        return graph.output(values, f"learned_{name}", ("batch", "steps", *shape))

    def _styled(self, part: nn.Module, look_aheads: int) -> str:
        """Add (batch, 1, look_aheads * out) of a layer that reads the identity."""
        weight, _ = weights(part)
        return self._builder.unsqueeze(
            self._builder.product(IDENTITY, np.tile(weight, (1, look_aheads))), 1
        )

    def write(self, folder: Path, facts: Mapping[str, Any]) -> Path:
        """Write graph and manifest, with facts added to those of the model; return the manifest."""
        payload = self.payload()
        sha256 = hashlib.sha256(payload).hexdigest()
        manifest = {**self.manifest.facts, **facts, "file": "model.onnx", "sha256": sha256}
        return write_model(folder, payload, manifest)

    def payload(self) -> bytes:
        """Return the bytes of the ONNX file, without unused constants."""
        used = {name for node in self._graph.node for name in node.input}
        kept = [c for c in self._graph.initializer if c.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        onnx.checker.check_model(self._model, full_check=True)
        return bytes(self._model.SerializeToString())


def _trunk_layers(trunk: Trunk) -> list[nn.Linear]:
    """Return entry and blocks, in the order of the graph."""
    layers: list[Any] = [trunk.enter]
    for block in trunk.blocks:
        layers += [block.narrow, block.enter, block.leave]
    return [layer for layer in layers if layer is not None]


def _affine(codec: Codec) -> tuple[Floats, Floats]:
    """Return offset and factor that convert the numbers of a layer to its output."""
    if isinstance(codec, AffineCodec):
        return codec.mean, codec.deviation
    return np.zeros_like(codec.deviation), codec.deviation


def _difference(trunk: Trunk, model: Model) -> float:
    """Return the largest difference between the units of a trunk and of a model on noise."""
    rng = np.random.default_rng(0)
    swell = np.abs(np.sin(np.arange(_PROBE_STEPS * STEP) / 2500))
    audio = (0.1 * swell * rng.standard_normal(len(swell))).astype(np.float32)
    units, _ = model.step(audio[None], model.start())
    with torch.no_grad():
        curves = trunk.curves(torch.from_numpy(log_mel(audio))[None]).numpy()
    if curves.shape[:3] != units.shape[:3] or curves.shape[3] < units.shape[3]:
        return math.inf
    return float(np.abs(curves[..., : units.shape[3]] - units).max())
