"""One rig table, three evaluations: numpy, torch and ONNX."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose

from facesdk.model.rig_table import RigTable, table_names
from facesdk.onnx_export import GraphBuilder
from facesdk.onnx_export.rig_layers import table_layers
from facesdk.rig import Rig

UNITS = Rig.load("units")
HALF = UNITS.names[::2]
"""Some of the units; the others stay at rest."""

curves = hnp.arrays(
    np.float32,
    (5, len(UNITS)),
    elements=st.floats(-0.25, 1.25, width=16, allow_subnormal=False),
)


@cache
def in_onnx(names: tuple[str, ...]) -> onnxruntime.InferenceSession:
    """Every built-in table, side by side in one graph."""
    graph = GraphBuilder()
    units = graph.input("units", ("frames", len(names)))
    tables = [RigTable.load(name) for name in table_names()]
    for table, tensor in zip(tables, table_layers(graph, tables, units, names), strict=True):
        graph.output(tensor, table.rig.name, ("frames", len(table.rig)))
    return onnxruntime.InferenceSession(graph.model("tables", 15, {}).SerializeToString())


@cache
def in_torch(name: str, names: tuple[str, ...]):
    pytest.importorskip("torch")
    from facesdk.train.table_layer import TableLayer

    return TableLayer(RigTable.load(name), names)


@settings(max_examples=25)
@given(units=curves)
@pytest.mark.parametrize("names", [UNITS.names, HALF], ids=["all units", "some units"])
def test_one_table_three_evaluations(names, units):
    torch = pytest.importorskip("torch")
    rows = [UNITS.index(name) for name in names]
    full = np.tile(UNITS.rest, (len(units), 1))
    full[:, rows] = units[:, rows]
    session = in_onnx(tuple(names))
    for rig, found in zip(table_names(), session.run(None, {"units": full[:, rows]}), strict=True):
        expected = RigTable.load(rig)(full)
        assert_allclose(found, expected, atol=1e-5, err_msg=f"{rig}, onnx")
        found = in_torch(rig, tuple(names))(torch.from_numpy(full[:, rows]))
        assert_allclose(found.numpy(), expected, atol=1e-5, err_msg=f"{rig}, torch")


def test_gradients_pass_through_a_table():
    torch = pytest.importorskip("torch")
    layer = in_torch("arkit", tuple(UNITS.names))
    units = torch.full((1, len(UNITS)), 0.4, requires_grad=True)
    layer(units)[0, Rig.load("arkit").index("jawOpen")].backward()
    assert units.grad[0, UNITS.index("jaw")] > 0


def test_a_graph_stores_equal_constants_once_and_avoids_taken_names():
    graph = GraphBuilder()
    x = graph.input("x", ("frames", 3))
    graph.output(graph.plus(graph.times(x, 2.0), 2.0), "y", ("frames", 3))
    assert len(graph.graph.initializer) == 1
    more = GraphBuilder(graph.graph)
    graph.rename("y", "z")
    assert more.add("Relu", "z") not in {
        name for node in graph.graph.node[:-1] for name in node.output
    }
    assert more.plus("z", np.zeros(3)) == "z"
