"""The one way to build ONNX graphs: new ones, and additions to finished ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from ..arrays import Floats

LARGE, TINY = 1e30, 1e-30
"""Turns any positive number into at least 1; keeps a divisor above 0."""

_TO_THE_END = (1 << 31) - 1
"""End of an open slice; engines read 32 bits."""


class GraphBuilder:
    """A builder that adds nodes, constants, inputs and outputs to an ONNX graph.

    A method that adds an operator takes the names of its inputs and returns the name of its
    output. Constants of equal content are stored once.
    """

    def __init__(self, graph: onnx.GraphProto | None = None, *, prefix: str = "t") -> None:
        """Build on `graph`, or on a new one.

        Names of new tensors begin with `prefix`, which is made longer if it is taken.
        """
        self.graph = onnx.GraphProto() if graph is None else graph
        names = [name for node in self.graph.node for name in (*node.input, *node.output)]
        names += [constant.name for constant in self.graph.initializer]
        while any(name.startswith(prefix) for name in names):
            prefix += "_"
        self._prefix = prefix
        self._count = 0
        self._constants: dict[tuple[Any, ...], str] = {}

    # ------------------------------------------------------------- the graph

    def input(self, name: str, shape: Sequence[str | int]) -> str:
        """Add a float32 input; open dimensions are names."""
        self.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(
        self, tensor: str, name: str, shape: Sequence[str | int], *, at: int | None = None
    ) -> str:
        """Make a tensor an output under a new name, by default the last one."""
        self.rename(tensor, name)
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        self.graph.output.insert(len(self.graph.output) if at is None else at, value)
        return name

    def rename(self, old: str, new: str) -> None:
        """Rename a tensor wherever a node reads or writes it."""
        for node in self.graph.node:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    if name == old:
                        names[i] = new

    def model(self, name: str, opset: int, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """Return the checked model."""
        self.graph.name = name
        model = helper.make_model(
            self.graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="facesdk"
        )
        model.ir_version = 8
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model

    def _name(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"

    # ------------------------------------------------------------- operators

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        name = self._name()
        self.graph.node.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, value: ArrayLike, kind: type = np.float32) -> str:
        """Add a constant, or find an equal one that this builder added before."""
        array: NDArray[Any] = np.asarray(value, kind, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self._name()
            self.graph.initializer.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def split(self, tensor: str, widths: Sequence[int], *, axis: int = -1) -> list[str]:
        """Cut an axis into parts of these widths."""
        if len(widths) == 1:
            return [tensor]
        names = [self._name() for _ in widths]
        sizes = self.constant(widths, np.int64)
        self.graph.node.append(helper.make_node("Split", [tensor, sizes], names, axis=axis))
        return names

    def slice(self, tensor: str, start: int, end: int | None, *, axis: int, step: int = 1) -> str:
        """Take `start:end:step` of an axis; None is the end of the axis."""
        bounds: tuple[int, ...] = (start, _TO_THE_END if end is None else end, axis)
        bounds += () if step == 1 else (step,)
        return self.add("Slice", tensor, *(self.constant([v], np.int64) for v in bounds))

    def reshape(self, tensor: str, shape: Sequence[int]) -> str:
        """Reshape; 0 keeps a size and -1 is what remains."""
        return self.add("Reshape", tensor, self.constant(shape, np.int64))

    def unsqueeze(self, tensor: str, axis: int) -> str:
        """Insert an axis of size 1."""
        return self.add("Unsqueeze", tensor, self.constant([axis], np.int64))

    def plus(self, tensor: str, value: ArrayLike) -> str:
        """Add a constant; nothing is added to the graph for zeros."""
        return self.add("Add", tensor, self.constant(value)) if np.any(value) else tensor

    def times(self, tensor: str, value: ArrayLike) -> str:
        """Multiply with a constant."""
        return self.add("Mul", tensor, self.constant(value))

    def complement(self, tensor: str) -> str:
        """Return 1 minus the tensor."""
        return self.add("Sub", self.constant(1.0), tensor)

    def product(self, tensor: str, matrix: ArrayLike) -> str:
        """Multiply (..., n) with a constant (n, m) matrix."""
        return self.add("MatMul", tensor, self.constant(matrix))

    def linear(self, tensor: str, weight: ArrayLike, bias: ArrayLike) -> str:
        """Multiply with a constant (n, m) matrix and add a constant (m,) bias."""
        return self.add("Add", self.product(tensor, weight), self.constant(bias))

    def columns(self, tensor: str, width: int, picks: Sequence[int]) -> str:
        """Pick columns of (..., width)."""
        return self.product(tensor, np.eye(width, dtype=np.float32)[:, list(picks)])

    def clip(self, tensor: str, low: ArrayLike, high: ArrayLike) -> str:
        """Limit to a range, one for all columns or one per column."""
        if len(np.unique(low)) == len(np.unique(high)) == 1:
            ends = (self.constant(np.ravel(end)[0]) for end in (low, high))
            return self.add("Clip", tensor, *ends)
        return self.add("Min", self.add("Max", tensor, self.constant(low)), self.constant(high))

    def above_zero(self, tensor: str) -> str:
        """Return 1 where the tensor is above 0, else 0."""
        return self.clip(self.times(tensor, LARGE), 0, 1)


def block_diagonal(blocks: Iterable[Floats]) -> Floats:
    """Return a matrix with the given (n, m) blocks on its diagonal."""
    parts = list(blocks)
    whole = np.zeros(np.sum([part.shape for part in parts], 0), np.float32)
    row = column = 0
    for part in parts:
        whole[row : row + len(part), column : column + part.shape[1]] = part
        row, column = row + len(part), column + part.shape[1]
    return whole
