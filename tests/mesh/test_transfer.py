"""Transfer and registration: the built-in head's shapes on other people and other meshes."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from facesdk.errors import MeshError
from facesdk.mesh.builtin.head import builtin_head
from facesdk.mesh.fit.register import (
    Correspondence,
    Face,
    eyeballs,
    nearest,
    pieces,
    register,
    similarity,
    thin_plate,
)
from facesdk.mesh.fit.sparse_cholesky import SparseSystem
from facesdk.mesh.fit.transfer import contacts, face_of, transfer, transfer_shapes, transfer_to
from facesdk.mesh.flame import rotations
from facesdk.mesh.head import Head

MAKE = runpy.run_path(str(Path(__file__).parents[1] / "make_flame.py"))
HEAD = builtin_head()
OTHER = builtin_head({"sex": "male", "ethnicity": "african"})

# ---------------------------------------------------------------- systems on a mesh


def grid(width, height):
    """Points and triangles of a flat sheet."""
    points = np.stack(np.meshgrid(*map(np.arange, (width, height)), [0.0]), -1).reshape(-1, 3)
    first = np.arange(width * height).reshape(height, width)[:-1, :-1].ravel()
    step = np.array([[0, 1, width], [1, width + 1, width]])
    return points, (first[:, None, None] + step).reshape(-1, 3)


@pytest.mark.parametrize("size", [(3, 2), (40, 30), (200, 6)])
def test_systems_are_solved_as_numpy_solves_them(size):
    points, triangles = grid(*size)
    a, b = np.concatenate([triangles, np.roll(triangles, 1, 1)]).T[:2]
    rows, columns = (
        np.concatenate([a, b, np.arange(len(points))]),
        np.concatenate([b, a, np.arange(len(points))]),
    )
    values = np.concatenate([-np.ones(2 * len(a)), np.full(len(points), 14.0)])
    dense = np.zeros((len(points), len(points)))
    np.add.at(dense, (rows, columns), values)
    right = np.random.default_rng(0).normal(0, 1, (len(points), 4))
    system = SparseSystem(rows, columns, values, points=points)
    assert_allclose(system.solve(right), np.linalg.solve(dense, right), atol=1e-10)


def test_systems_of_several_pieces_are_solved():
    system = SparseSystem(range(300), range(300), np.full(300, 2.0), points=np.zeros((300, 3)))
    assert_allclose(system.solve(np.ones((300, 1))), 0.5)


# ---------------------------------------------------------------- the same mesh


def skin(head):
    return Face(head.neutral.astype(float), head.triangles).skin


def test_a_head_gives_itself_its_own_shapes():
    face = Face(HEAD.neutral.astype(float), HEAD.triangles)
    shapes = transfer_shapes(HEAD, face, Correspondence.same(HEAD.neutral, HEAD.triangles))
    assert np.abs(shapes - HEAD.deltas).max() < 1e-9  # metres: a millionth of a millimetre


def test_a_larger_head_makes_larger_moves():
    larger = transfer(HEAD, HEAD.neutral * 1.3, "larger")
    assert larger.name == "larger"
    assert_allclose(larger.deltas, HEAD.deltas * 1.3, atol=2e-4)
    assert_allclose(larger.neutral, HEAD.neutral * 1.3, rtol=1e-6)
    for name, joint in HEAD.joints.items():
        assert_allclose(larger.joints[name].center, np.multiply(joint.center, 1.3), atol=1e-5)
    for name, frame in HEAD.rest_transforms.items():
        assert_allclose(
            larger.rest_transforms[name], frame * ([[1, 1, 1, 1.3]] * 3 + [[1] * 4]), atol=1e-5
        )
    opening, wider = (head.jaw_motion[HEAD.index("jawOpen")] for head in (HEAD, larger))
    assert_allclose(wider[:3, :3], opening[:3, :3], atol=1e-5)
    assert_allclose(wider[:3, 3], 1.3 * opening[:3, 3], atol=1e-5)


@pytest.fixture(scope="module")
def person():
    return transfer(HEAD, OTHER.neutral)


def parting(head, *shapes):
    """(pairs, 3) millimetres that shapes add between lips that touch in the neutral."""
    over, under = contacts(HEAD)
    moved = sum(head.delta(name) for name in shapes)
    return (moved[over] - moved[under]) * 1000


CLOSED = [("jawOpen", "mouthClose"), ("mouthPressLeft", "mouthPressRight"), ("jawLeft",)]


@pytest.mark.parametrize("shapes", CLOSED)
def test_lips_that_touch_keep_touching_on_another_person(person, shapes):
    assert len(contacts(HEAD)[0]) > 15
    assert np.abs(parting(person, *shapes) - parting(HEAD, *shapes)).max() < 0.5


def test_another_person_opens_the_mouth_and_closes_the_eyes(person):
    assert np.abs(parting(person, "jawOpen")).max() > 20
    lids = person.masks["eyelids"] > 0.5
    blink = person.delta("eyeBlinkLeft")[lids], OTHER.delta("eyeBlinkLeft")[lids]
    assert np.abs(blink[0] - blink[1]).max() < 0.003


def test_pieces_beside_the_skin_move_as_pieces(person):
    teeth = person.part_vertices("teeth_lower")
    opened = (person.neutral + person.delta("jawOpen"))[teeth]
    linear, shift = similarity(person.neutral[teeth].astype(float), opened.astype(float))
    assert_allclose(opened, person.neutral[teeth] @ linear.T + shift, atol=3e-4)
    upper = person.part_vertices("teeth_upper")
    assert_allclose(person.delta("jawOpen")[upper], 0, atol=1e-5)


@pytest.mark.parametrize("neutral", [np.zeros((3, 3)), np.full(HEAD.neutral.shape, np.nan)])
def test_a_neutral_of_another_mesh_is_refused(neutral):
    with pytest.raises(MeshError, match="register heads with other meshes"):
        transfer(HEAD, neutral)


# ---------------------------------------------------------------- another mesh


@pytest.fixture(scope="module")
def stranger():
    """Another person's skin and eyes on another mesh, with the shapes carried over as they are."""
    data, shapes = MAKE["from_head"](OTHER)
    fallen = np.linalg.norm(shapes[HEAD.index("jawOpen")], axis=1)
    opening = np.clip(fallen / np.median(fallen[fallen > 0.5 * fallen.max()]), 0, 1)
    eyes = (data["J_regressor"] @ data["v_template"])[3:]
    triangles = data["f"].astype(np.int64)
    return Face(data["v_template"], triangles, eyes=eyes, opening=opening), shapes


@pytest.fixture(scope="module")
def registered(stranger):
    return register(face_of(HEAD), stranger[0])


@pytest.fixture(scope="module")
def arrived(stranger, registered):
    """(S, V, 3) the built-in head's shapes on the stranger."""
    return transfer_shapes(HEAD, stranger[0], registered)


def test_registration_brings_surfaces_together(stranger, registered):
    face, _ = stranger
    assert registered.distance < 0.0015
    near = registered.warped[registered.vertices[face.skin]] - face.points[face.skin]
    assert np.median(np.linalg.norm(near, axis=1)) < 0.004


def test_shapes_arrive_on_another_mesh(stranger, arrived):
    face, true = stranger
    error = np.linalg.norm(arrived[:52] - true, axis=-1)[:, face.skin] * 1000
    assert np.sqrt(np.square(error).mean(1)).max() < 1.5
    assert error.mean() < 0.15


def test_lips_seal_on_another_mesh(stranger, arrived):
    face, _ = stranger
    closed, opened = (
        face.points + sum(arrived[HEAD.index(name)] for name in names)
        for names in (("jawOpen", "mouthClose"), ("jawOpen",))
    )
    upper, lower = np.array(
        [[face.marks[name] for name in ("stomion_upper", "stomion_lower")]]
    ).swapaxes(0, 1)
    ends = nearest(face.points, np.concatenate([upper, lower]))
    gap = [np.linalg.norm(np.diff(points[ends], axis=0)) for points in (face.points, closed)]
    assert abs(gap[1] - gap[0]) < 0.002
    assert np.linalg.norm(np.diff(opened[ends], axis=0)) > 0.02


def test_eyeballs_of_another_mesh_turn_about_their_own_centre(stranger, arrived):
    face, _ = stranger
    shape = arrived[HEAD.index("eyeLookInLeft")]
    beside = np.setdiff1d(np.arange(len(face.points)), face.skin)
    ball = beside[face.points[beside, 0] > 0]
    turned = face.points[ball] + shape[ball] - face.eyes[0]
    before = np.linalg.norm(face.points[ball] - face.eyes[0], axis=1)
    assert_allclose(np.linalg.norm(turned, axis=1), before, atol=1e-3)
    assert np.linalg.norm(shape[ball], axis=1).max() > 0.001


def test_a_bare_mesh_with_eyeballs_gets_all_shapes(stranger):
    face, true = stranger
    assert_allclose(eyeballs(face), face.eyes, atol=1e-3)
    neutral = face.points.astype(np.float32)
    bare = Head("scan", neutral, face.triangles, (), np.zeros((0, *neutral.shape), np.float32))
    head = transfer_to(HEAD, bare)
    assert head.names == HEAD.names
    assert head.jaw_motion.shape == HEAD.jaw_motion.shape
    assert head.rest_transforms.keys() == HEAD.rest_transforms.keys()
    error = np.linalg.norm(head.deltas[:52] - true, axis=-1)[:, face.skin] * 1000
    assert error.mean() < 0.3
    assert head.masks["lips"].sum() > 50
    looks = head.vertices(np.eye(len(HEAD.names))[[HEAD.index("eyeLookInLeft")]])[0] - neutral
    moved = np.linalg.norm(looks, axis=1)[np.setdiff1d(np.arange(len(neutral)), face.skin)]
    assert (moved[: len(moved) // 2] > 1e-4).mean() > 0.8
    assert moved[len(moved) // 2 :].max() < 1e-4


def test_landmarks_may_be_given(stranger):
    face, _ = stranger
    bare = Face(face.points, face.triangles, landmarks=face.marks)
    assert set(bare.marks) == set(face.marks)
    vertex = Face(face.points, face.triangles, landmarks={"chin": 5})
    assert_array_equal(vertex.marks["chin"], face.points[5])


def test_a_point_in_the_wrong_place_is_passed_over(stranger, registered):
    face, _ = stranger
    wrong = replace(face, landmarks={"chin": face.marks["chin"] + [0.0, 0.1, 0.0]})
    assert register(face_of(HEAD), wrong).distance < 1.2 * registered.distance


def test_heads_that_share_no_points_are_refused(stranger):
    face, _ = stranger
    with pytest.raises(MeshError, match="at least 4 points"):
        register(face_of(HEAD), Face(face.points, face.triangles))


def test_what_is_no_face_is_refused():
    source = face_of(HEAD)
    points, triangles = grid(20, 20)
    sheet = Face(points / 50, triangles, landmarks=dict(list(source.marks.items())[:6]))
    with pytest.raises(MeshError, match="mm apart"):
        register(source, sheet)


# ---------------------------------------------------------------- its parts


@given(
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
    size=st.floats(0.1, 10),
    shift=st.tuples(*[st.floats(-1, 1)] * 3),
)
def test_a_similarity_is_found(turn, size, shift):
    points = np.random.default_rng(0).normal(0, 1, (9, 3))
    linear = size * rotations(np.array(turn)).astype(float)
    found, moved = similarity(points, points @ linear.T + shift)
    assert_allclose(found, linear, atol=1e-5 * size)
    assert_allclose(moved, shift, atol=1e-5 * size)


def test_a_mirrored_set_is_never_matched_by_a_mirror():
    points = np.random.default_rng(0).normal(0, 1, (9, 3))
    linear, _ = similarity(points, points * [-1, 1, 1])
    assert np.linalg.det(linear) > 0


def test_a_thin_plate_takes_points_where_they_belong():
    random = np.random.default_rng(0)
    here, move = random.normal(0, 1, (8, 3)), random.normal(0, 0.1, (8, 3))
    assert_allclose(thin_plate(here, here + move, here), move, atol=0.01)
    shifted = thin_plate(here, here + np.array([0.1, 0, 0]), random.normal(0, 5, (4, 3)))
    assert_allclose(shifted, np.tile([0.1, 0, 0], (4, 1)), atol=1e-6)


def test_connected_pieces_are_told_apart():
    labels = pieces(9, np.array([[0, 1, 2], [2, 3, 4], [6, 7, 8]]))
    assert len(set(labels[:5])) == 1
    assert len(set(labels[6:])) == 1
    assert len({labels[0], labels[5], labels[6]}) == 3
