from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

torch = pytest.importorskip("torch")

from facesdk.clip import Clip  # noqa: E402
from facesdk.errors import MeshError  # noqa: E402
from facesdk.mesh.builtin.head import builtin_head  # noqa: E402
from facesdk.mesh.flame import FlameModel  # noqa: E402
from facesdk.mesh.head import Head  # noqa: E402
from facesdk.rig import Rig  # noqa: E402
from facesdk.train.vertex_loss import (  # noqa: E402
    FlameVertexLoss,
    VertexLoss,
    control_basis,
    surface_weights,
    thinned,
)

MAKE = runpy.run_path(str(Path(__file__).parents[1] / "make_flame.py"))
ARKIT = Rig.load("arkit")
LOSS = VertexLoss.from_head(rig="arkit")
BASIS = control_basis(builtin_head(), ARKIT).astype(np.float32)
WEIGHTS = surface_weights(builtin_head())


def errors():
    return arrays.arrays(np.float32, (len(ARKIT),), elements=st.floats(-1, 1, width=16))


@settings(max_examples=25, deadline=None)
@given(error=errors())
def test_it_is_the_squared_distance_of_the_vertices(error):
    moved = np.einsum("c,cvx->vx", error, BASIS)
    expected = 1e6 * (np.square(moved).sum(-1) * WEIGHTS).sum()
    assert float(LOSS(torch.from_numpy(error))) == pytest.approx(expected, rel=1e-3, abs=1e-4)


@given(error=errors(), factor=st.floats(-4, 4, width=16))
def test_it_grows_with_the_square_and_knows_no_sign(error, factor):
    one, scaled = (float(LOSS(torch.from_numpy(e))) for e in (error, np.float32(factor) * error))
    assert one >= 0
    assert scaled == pytest.approx(factor**2 * one, rel=1e-3, abs=1e-5)


def test_a_millimetre_all_over_the_lips_costs_one():
    head = builtin_head()
    lips = head.masks["lips"]
    whole = surface_weights(head, {"lips": 1.0})
    assert (whole[lips == 0] == 0).all()
    basis = np.zeros((1, len(lips), 3))
    basis[0, :, 1] = 0.001
    assert float(VertexLoss(basis, whole)(torch.ones(7, 1))) == pytest.approx(1, rel=1e-5)


def test_controls_cost_what_they_move():
    cost = dict(zip(ARKIT.names, LOSS.frames(torch.eye(len(ARKIT))).tolist(), strict=True))
    assert cost["jawOpen"] > cost["mouthFunnel"] > cost["mouthDimpleLeft"] > cost["eyeBlinkLeft"]
    assert cost["tongueOut"] > 0
    closed = torch.zeros(len(ARKIT))
    closed[[ARKIT.index("jawOpen"), ARKIT.index("mouthClose")]] = 1
    assert float(LOSS(closed)) < 0.3 * cost["jawOpen"]


def test_emphasis_multiplies_frames():
    error = torch.rand(3, 4, len(ARKIT))
    emphasis = torch.ones(3, 4)
    emphasis[1] = 5
    frames = LOSS.frames(error)
    torch.testing.assert_close(LOSS(error, emphasis), (frames * emphasis).mean())
    torch.testing.assert_close(LOSS(error), frames.mean())


def test_other_rigs_reach_the_head_through_their_conversion():
    a2f = VertexLoss.from_head("a2f")
    cost = dict(zip(Rig.load("a2f").names, a2f.frames(torch.eye(68)).tolist(), strict=True))
    assert cost["JawOpen"] > 10 * cost["EyeBlinkLeft"]
    assert cost["TongueTipUp"] > 0


def test_gradients_point_downhill():
    error = torch.full((5, len(ARKIT)), 0.3, requires_grad=True)
    before = LOSS(error)
    before.backward()
    assert LOSS(error - 1e-3 * error.grad) < before


def test_a_head_without_lips_is_an_error():
    head = Head("bare", np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32), (),
                np.zeros((0, 3, 3), np.float32))  # fmt: skip
    with pytest.raises(MeshError, match="no mask 'lips'"):
        surface_weights(head)
    with pytest.raises(MeshError, match="must be"):
        VertexLoss(np.zeros((2, 3)), np.zeros(3))


def test_flame_is_measured_on_the_posed_model():
    model = FlameModel.from_arrays(MAKE["random_model"](40), "random.npz")
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(40))
    weights[::7] = 0
    controls = (0.2 * rng.standard_normal((2, 3, len(Rig.load("flame"))))).astype(np.float32)
    loss = FlameVertexLoss(model, weights)
    given, wanted = torch.from_numpy(controls)
    found = loss(given, wanted)
    posed = [model.clip_vertices(Clip(Rig.load("flame"), c, 60)) for c in controls]
    expected = 1e6 * (np.square(posed[0] - posed[1]).sum(-1) @ weights).mean()
    assert float(found) == pytest.approx(expected, rel=1e-3)
    assert float(loss(given, given)) == 0


def test_fewer_vertices_stand_for_all():
    weights = np.random.default_rng(0).uniform(0, 1, 200)
    weights[::9] = 0
    lips = np.arange(200) < 30
    kept = thinned(weights, lips)
    np.testing.assert_array_equal(kept[lips], weights[lips])
    assert kept.sum() == pytest.approx(weights.sum())
    assert (kept[~lips] > 0).sum() < 20
