"""Solving: vertices back to the weights of a head's shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from facesdk.errors import MeshError, UnknownNameError
from facesdk.mesh import Head
from facesdk.mesh.fit.solve import Solver, within_limits, without_head_motion
from facesdk.mesh.flame import rotations
from facesdk.rig import Rig

NAMES = Rig.load("arkit").names
VERTICES = 600


def make_head(names=NAMES, vertices=VERTICES) -> Head:
    """A cloud of points whose shapes are local bumps that overlap, as those of a face do."""
    random = np.random.default_rng(0)
    neutral = random.uniform(-0.1, 0.1, (vertices, 3))
    center = neutral[random.choice(vertices, len(names), replace=False)]
    near = np.exp(-np.square(neutral - center[:, None]).sum(-1) / 0.04**2)
    deltas = near[..., None] * random.normal(0, 0.008, (len(names), 1, 3))
    triangles = np.arange(vertices - vertices % 3).reshape(-1, 3)
    return Head("bumps", neutral.astype("f4"), triangles.astype("i4"), names, deltas.astype("f4"))


HEAD = make_head()


def performance(frames=40, seed=0):
    """(T, K) smooth weights, three quarters of the shapes at rest at any time."""
    random = np.random.default_rng(seed)
    phase, speed = random.uniform(0, 6.3, (2, len(NAMES)))
    waves = np.sin(np.arange(frames)[:, None] / 30 * speed + phase)
    return np.clip(2.5 * waves - 1.5, 0, 1)


def posed(weights, noise=0.0, seed=0):
    vertices = HEAD.neutral + np.einsum("tk,kvc->tvc", weights, HEAD.deltas.astype("f8"))
    return vertices + np.random.default_rng(seed).normal(0, 1, vertices.shape) * noise


@given(seed=st.integers(0, 1000))
def test_weights_come_back_exactly_without_noise(seed):
    weights = performance(10, seed)
    assert_allclose(Solver(HEAD)(posed(weights)), weights, atol=1e-5)


def test_one_frame_is_solved_as_one_frame():
    weights = performance(3)
    solved = Solver(HEAD)(posed(weights)[1])
    assert solved.shape == (52,)
    assert_allclose(solved, weights[1], atol=1e-5)


def test_noise_of_a_third_of_a_millimetre_costs_less_than_a_hundredth():
    weights = performance(100)
    solved = Solver(HEAD, sparsity=0.002)(posed(weights, 0.3e-3))
    assert np.abs(solved - weights).mean() < 0.01


def problem(rows=20, size=12, seed=0):
    random = np.random.default_rng(seed)
    basis = random.normal(0, 1, (40, size)) * random.uniform(0.05, 2, size)
    basis[:, 1] = basis[:, 0] + 0.1 * random.normal(0, 1, 40)  # two that are nearly the same
    return basis, random.normal(0, 2, (rows, 40))


@pytest.mark.parametrize("seed", range(5))
def test_limits_are_held_as_bounded_least_squares_holds_them(seed):
    optimize = pytest.importorskip("scipy.optimize")
    basis, targets = problem(seed=seed)
    low, high = np.full(12, -0.25), np.linspace(0.5, 1, 12)
    solved = within_limits(basis.T @ basis, targets @ basis, low, high)
    for row, target in zip(solved, targets, strict=True):
        best = optimize.lsq_linear(basis, target, (low, high), method="bvls", tol=1e-14)
        assert_allclose(row, best.x, atol=1e-7)


@given(seed=st.integers(0, 500))
def test_solutions_meet_the_conditions_of_an_optimum(seed):
    basis, targets = problem(seed=seed)
    low, high = np.zeros(12), np.ones(12)
    products, rhs = basis.T @ basis, targets @ basis
    weights = within_limits(products, rhs, low, high)
    slope = weights @ products - rhs
    assert (weights >= low).all()
    assert (weights <= high).all()
    assert (slope[weights == low] >= -1e-8).all()
    assert (slope[weights == high] <= 1e-8).all()
    assert_allclose(slope[(weights > low) & (weights < high)], 0, atol=1e-8)


def test_a_bad_start_does_not_matter():
    basis, targets = problem()
    products, rhs = basis.T @ basis, targets @ basis
    limits = np.zeros(12), np.ones(12)
    start = np.random.default_rng(0).integers(0, 2, rhs.shape).astype(float)
    cold = within_limits(products, rhs, *limits)
    assert_allclose(within_limits(products, rhs, *limits, start=start), cold, atol=1e-8)


def test_sparsity_silences_what_explains_little():
    vertices = posed(performance(50), 0.3e-3)
    active = [(Solver(HEAD, sparsity=s)(vertices) > 0.001).mean() for s in (0.0, 0.01, 0.1)]
    assert active[0] > active[1] > active[2]


def test_smoothness_takes_the_jitter_out():
    weights = performance(60)
    vertices = posed(weights, 4e-3)
    rough, smooth = (Solver(HEAD, smoothness=s)(vertices) for s in (0.0, 0.2))
    jitter = [np.abs(np.diff(solved, n=2, axis=0)).mean() for solved in (rough, smooth)]
    assert jitter[1] < 0.7 * jitter[0]
    assert np.abs(smooth - weights).mean() < np.abs(rough - weights).mean()


def test_smoothness_is_solved_to_its_optimum():
    optimize = pytest.importorskip("scipy.optimize")
    solver = Solver(HEAD, shapes=NAMES[:4], smoothness=0.05, sparsity=0.001)
    vertices = posed(performance(5), 1e-3)
    rhs, ties = solver._rhs(vertices), np.diff(np.eye(5), axis=0)
    whole = np.kron(np.eye(5), solver._products) + 0.05 * np.kron(ties.T @ ties, np.eye(4))
    root = np.linalg.cholesky(whole)
    best = optimize.lsq_linear(root.T, np.linalg.solve(root, rhs.ravel()), (0, 1), method="bvls")
    assert_allclose(solver(vertices).ravel(), best.x, atol=1e-4)


def test_symmetry_brings_both_sides_together():
    weights = np.zeros((1, 52))
    weights[0, NAMES.index("mouthSmileLeft")] = 1
    left, right = (NAMES.index(f"mouthSmile{side}") for side in ("Left", "Right"))
    apart = [
        abs(solved[left] - solved[right])
        for symmetry in (0.0, 0.1, 1000.0)
        for solved in Solver(HEAD, symmetry=symmetry)(posed(weights))
    ]
    assert apart[0] == pytest.approx(1, abs=1e-4)
    assert apart[0] > apart[1] > apart[2]
    assert apart[2] < 0.01


def test_a_stream_gives_the_weights_of_the_clip():
    vertices = posed(performance(), 1e-3)
    solver = Solver(HEAD, sparsity=0.002)
    stream = solver.stream()
    assert_allclose([stream(v) for v in vertices], solver(vertices), atol=1e-5)


def test_a_smooth_stream_stays_near_the_clip_and_can_be_reset():
    vertices = posed(performance(), 1e-3)
    solver = Solver(HEAD, smoothness=0.01)
    stream = solver.stream()
    first = [stream(v) for v in vertices]
    assert np.abs(np.array(first) - solver(vertices)).mean() < 0.05
    stream.reset()
    assert_array_equal([stream(v) for v in vertices], first)


def test_a_region_hides_the_rest():
    weights = performance()
    region = (HEAD.neutral[:, 1] > -0.05).astype(np.float32)
    vertices = posed(weights)
    vertices[:, region == 0] += 0.05
    assert_allclose(Solver(HEAD, region=region)(vertices), weights, atol=1e-4)


def test_a_shape_that_moves_nothing_stays_at_rest():
    deltas = HEAD.deltas.copy()
    deltas[7] = 0
    head = Head("bumps", HEAD.neutral, HEAD.triangles, NAMES, deltas)
    solved = Solver(head)(posed(performance(5), 1e-3))
    assert_allclose(solved[:, 7], 0, atol=1e-6)


def test_a_solved_clip_is_on_the_rig():
    weights = performance()
    clip = Solver(HEAD, shapes=("jawOpen",)).clip(posed(weights * 0), 30)
    assert clip.rig.name == "arkit"
    assert (clip.fps, clip.values.shape) == (30, weights.shape)


def test_the_distance_is_what_is_left_in_millimetres():
    solver, weights = Solver(HEAD), performance(4)
    vertices = posed(weights)
    assert_allclose(solver.distance(weights, vertices), 0, atol=1e-4)
    vertices[:, :, 2] += 0.002
    assert_allclose(solver.distance(weights, vertices), 2, atol=1e-4)


def test_an_empty_clip_has_no_weights():
    assert Solver(HEAD)(np.zeros((0, VERTICES, 3))).shape == (0, 52)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sparsity": -1}, MeshError, "sparsity must not be negative"),
        ({"region": np.ones(3)}, MeshError, r"region must be \(600,\)"),
        ({"shapes": ("jawOpn",)}, UnknownNameError, "did you mean 'jawOpen'"),
    ],
)
def test_wrong_settings_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Solver(HEAD, **arguments)(posed(performance(2)))


@pytest.mark.parametrize("shape", [(2, 3, 3), (600, 2), (2, 600)])
def test_vertices_of_another_mesh_are_refused(shape):
    with pytest.raises(MeshError, match="vertices must be"):
        Solver(HEAD)(np.zeros(shape))


@given(turn=st.tuples(*[st.floats(-1, 1)] * 3), shift=st.tuples(*[st.floats(-1, 1)] * 3))
def test_head_motion_is_found_and_taken_away(turn, shift):
    matrix = rotations(np.array(turn))
    frames = posed(np.zeros((2, 52))) @ matrix.T + np.array(shift)
    still, motion = without_head_motion(frames, HEAD.neutral)
    assert_allclose(still[1], HEAD.neutral, atol=1e-6)
    assert_allclose(motion[1], np.column_stack([matrix, shift]), atol=1e-5)
