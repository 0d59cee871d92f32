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
