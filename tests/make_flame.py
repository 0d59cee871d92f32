"""Models in the format of FLAME for the tests, and the answer of `smplx` to one of them.

The model in `tests/data/flame.npz` is random: any surface will do where skinning is compared. Its
vertices were computed once by smplx 0.1.28, whose terms are not ours; it is no dependency, and
the tests read only its answer. To compute it again, in an environment with smplx and torch:

    python tests/make_flame.py
"""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import numpy as np

ANSWER = Path(__file__).parent / "data" / "flame.npz"
VERTICES = 120
FRAMES = 6
ROOT = 2**32 - 1
"""The first joint's parent, as FLAME's files write it."""


def random_model(vertices: int = VERTICES, *, directions: int = 400, seed: int = 0) -> dict:
    """Arrays of a FLAME file with a random surface of the size of a head."""
    random = np.random.default_rng(seed)
    weights = random.dirichlet(np.full(5, 0.3), vertices)
    regressor = random.dirichlet(np.full(vertices, 0.1), 5)
    return {
        "v_template": random.uniform(-0.2, 0.2, (vertices, 3)),
        "f": random.integers(0, vertices, (2 * vertices, 3)).astype(np.uint32),
        "shapedirs": random.normal(0, 0.002, (vertices, 3, directions)),
        "posedirs": random.normal(0, 0.002, (vertices, 3, 36)),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.array([[ROOT, 0, 1, 1, 1], range(5)], np.int64),
    }


def random_performance(frames: int = FRAMES, *, seed: int = 1) -> dict:
    """Coefficients and joint rotations; the first frame is at rest."""
    random = np.random.default_rng(seed)
    moves = {
        "betas": random.normal(0, 1, 300),
        "expression": random.normal(0, 1, (frames, 100)),
        "pose": random.normal(0, 0.4, (frames, 5, 3)),
        "translation": random.normal(0, 0.1, (frames, 3)),
    }
    for name in ("expression", "pose", "translation"):
        moves[name][0] = 0
    return moves


def remeshed(points, triangles, values, seed: int = 0):
    """The same surface with other vertices and triangles, and (S, V, 3) values carried over.

    Every vertex slides into a triangle beside it, and a tenth of the edges is cut in two.
    """
    random = np.random.default_rng(seed)
    inside = np.zeros(len(points), int)
    order = random.permutation(len(triangles))
    inside[triangles[order].ravel()] = np.repeat(order, 3)
    share = np.eye(3)[(triangles[inside] == np.arange(len(points))[:, None]).argmax(1)]
    share = 0.6 * share + 0.4 * random.dirichlet(np.ones(3), len(points))

    def slid(array):
        return np.einsum("vc,vc...->v...", share, array[triangles[inside]])

    points, values = slid(points), slid(values.swapaxes(0, 1)).swapaxes(0, 1)
    ends = np.sort(np.concatenate([triangles[:, [i, (i + 1) % 3]] for i in range(3)]), 1)
    edges, which = np.unique(ends, axis=0, return_inverse=True)
    cut = random.random(len(edges)) < 1 / 10
    middle = np.where(cut, len(points) + np.cumsum(cut) - 1, -1)
    pairs = edges[cut]
    points = np.concatenate([points, points[pairs].mean(1)])
    values = np.concatenate([values, values[:, pairs].mean(2)], 1)
    fresh = []
    for corners, cuts in zip(triangles, middle[which].reshape(3, -1).T, strict=True):
        polygon = [v for corner, new in zip(corners, cuts, strict=True) for v in (corner, new)]
        fresh += _fan([v for v in polygon if v >= 0], starts=cuts)
    return points, np.array(fresh), values


def _fan(polygon, starts):
    """Triangles of a polygon of at most six corners, from a corner on a cut edge."""
    turn = next((i for i, v in enumerate(polygon) if v in starts), 0)
    polygon = polygon[turn:] + polygon[:turn]
    return [[polygon[0], polygon[i], polygon[i + 1]] for i in range(1, len(polygon) - 1)]


def from_head(head, seed: int = 0) -> tuple[dict, np.ndarray]:
    """A FLAME file whose surface is a head's skin and eyes on another mesh, and its true shapes.

    There is no mouth cavity, as in FLAME. What jawOpen takes along hangs on the jaw; the
    expressions are the principal components of the other shapes.
    """
    random = np.random.default_rng(seed)
    skin = head.triangles[head.part("skin").triangles]
    eyes = [head.triangles[head.part(name).triangles] for name in ("left_eye", "right_eye")]
    meshes = []
    for triangles in (skin, *eyes):
        used, corners = np.unique(triangles, return_inverse=True)
        corners = corners.reshape(-1, 3)
        neutral, deltas = head.neutral[used].astype(float), head.deltas[:52, used].astype(float)
        meshes.append(remeshed(neutral, corners, deltas, seed))
    starts = np.cumsum([0, *(len(points) for points, _, _ in meshes)])
    template = np.concatenate([points for points, _, _ in meshes])
    shapes = np.concatenate([values for _, _, values in meshes], 1)
    faces = np.concatenate([f + start for (_, f, _), start in zip(meshes, starts, strict=False)])

    fallen = np.linalg.norm(shapes[head.names.index("jawOpen")], axis=1)
    jaw = np.clip(fallen / np.quantile(fallen[fallen > 0.5 * fallen.max()], 0.5), 0, 1)
    weights = np.zeros((len(template), 5))
    below = np.clip((-0.06 - template[:, 1]) / 0.06, 0, 1) * (template[:, 2] < 0.06)
    weights[:, 0], weights[:, 1] = below * (1 - jaw), (1 - below) * (1 - jaw)
    weights[:, 2] = jaw
    for joint, (start, stop) in ((3, starts[1:3]), (4, starts[2:4])):
        weights[start:stop] = np.eye(5)[joint]
    centers = [(0, -0.12, -0.02), (0, -0.05, -0.01), (0, -0.005, 0.01)]
    centers += [head.joints[name].center for name in ("left_eye", "right_eye")]
    jaws = [head.names.index(name) for name in ("jawOpen", "jawLeft", "jawRight")]
    moved = np.delete(shapes, jaws, 0)[:, : starts[1]].reshape(len(shapes) - 3, -1)
    modes = np.linalg.svd(moved, full_matrices=False)[2].reshape(len(moved), -1, 3)
    dirs = np.zeros((len(template), 3, 400))
    dirs[:, :, :300] = random.normal(0, 1e-4, (len(template), 3, 300))
    dirs[: starts[1], :, 300 : 300 + len(modes)] = 0.3 * modes.transpose(1, 2, 0)
    return {
        "v_template": template,
        "f": faces.astype(np.uint32),
        "shapedirs": dirs,
        "posedirs": np.zeros((len(template), 3, 36)),
        "J_regressor": _regressor(template, np.array(centers)),
        "weights": weights,
        "kintree_table": np.array([[ROOT, 0, 1, 1, 1], range(5)], np.int64),
    }, shapes


def _regressor(points, centers):
    """(5, V) weights on the vertices, summing to 1, whose mean lies at each centre."""
    system = np.concatenate([points.T, np.ones((1, len(points)))])
    asked = np.concatenate([centers.T, np.ones((1, 5))])
    return (np.linalg.pinv(system) @ asked).T


def oracle() -> np.ndarray:
    """(T, V, 3) metres from smplx."""
    import smplx
    import torch

    with tempfile.TemporaryDirectory() as folder:
        embedding = {"lmk_face_idx": np.zeros(51, int), "lmk_b_coords": np.ones((51, 3)) / 3}
        files = {"FLAME_NEUTRAL.pkl": random_model(), "flame_static_embedding.pkl": embedding}
        for name, content in files.items():
            (Path(folder) / name).write_bytes(pickle.dumps(content))
        double = {"dtype": torch.float64, "batch_size": FRAMES}
        model = smplx.FLAME(folder, num_expression_coeffs=100, num_betas=300, **double)
    moves = {name: torch.from_numpy(values) for name, values in random_performance().items()}
    pose = moves.pop("pose")
    names = ("global_orient", "neck_pose", "jaw_pose", "leye_pose", "reye_pose")
    return (
        model(
            betas=moves["betas"].expand(FRAMES, -1),
            expression=moves["expression"],
            transl=moves["translation"],
            **{name: pose[:, joint] for joint, name in enumerate(names)},
        )
        .vertices.detach()
        .numpy()
    )


if __name__ == "__main__":
    np.savez_compressed(ANSWER, vertices=oracle())
