"""Measure speed and accuracy of FLAME, solving and transfer on the built-in head.

Usage: python benchmarks/mesh.py [--json] [--frames 300]

The FLAME-format model is built from the built-in head as another person on another mesh; --model
measures a copy of your own instead.
"""

from __future__ import annotations

import argparse
import json
import runpy
import tempfile
import time
from pathlib import Path

import numpy as np

from facesdk.mesh import Head, load_head
from facesdk.mesh.fit.calibrate import calibrate
from facesdk.mesh.fit.register import register
from facesdk.mesh.fit.solve import Solver
from facesdk.mesh.fit.transfer import face_of, transfer, transfer_shapes
from facesdk.mesh.flame import FlameModel
from facesdk.rig import Rig

NAMES = Rig.load("arkit").names
NOISE = 0.3e-3
"""Meters."""

SETTINGS = {
    "exact": {},
    "sparse": {"sparsity": 0.002},
    "symmetric": {"symmetry": 0.001},
    "smooth": {"smoothness": 0.002},
}


def timed(work):
    """Return the result of a call, and the shortest of three CPU times in seconds."""
    times = []
    for _ in range(3):
        began = time.process_time()
        result = work()
        times.append(time.process_time() - began)
    return result, min(times)


def performance(frames: int) -> np.ndarray:
    """Return (T, 52) smooth weights, most of them at rest at any time."""
    random = np.random.default_rng(0)
    phase, speed = random.uniform(0, 6.3, (2, len(NAMES)))
    return np.clip(2.5 * np.sin(np.arange(frames)[:, None] / 30 * speed + phase) - 1.5, 0, 1)


def solving(head: Head, frames: int) -> dict:
    """Return error and milliseconds per frame of every setting, without and with noise."""
    weights = performance(frames)
    deltas = head.deltas[[head.index(n) for n in NAMES]].reshape(len(NAMES), -1)
    exact = (weights.astype("f4") @ deltas).reshape(frames, -1, 3) + head.neutral
    noisy = exact + np.random.default_rng(1).normal(0, NOISE, exact.shape).astype("f4")
    rows = {}
    for name, settings in SETTINGS.items():
        solver = Solver(head, shapes=NAMES, **settings)
        solver(noisy[:2])
        for kind, vertices in (("clean", exact), ("noisy", noisy)):
            solved, seconds = timed(lambda s=solver, v=vertices: s(v))
            rows[f"{name}, {kind}"] = {
                "mean_error": float(np.abs(solved - weights).mean()),
                "max_error": float(np.abs(solved - weights).max()),
                "ms_a_frame": 1000 * seconds / frames,
            }
    stream = Solver(head, shapes=NAMES, **SETTINGS["sparse"]).stream()
    stream(noisy[0])
    _, seconds = timed(lambda: [stream(v) for v in noisy[:60]])
    rows["stream, noisy"] = {"ms_a_frame": 1000 * seconds / 60}
    return rows


def transferring(head: Head, model: FlameModel, true: np.ndarray | None) -> dict:
    """Return seconds and error in millimeters: to itself, another person, another mesh."""
    itself, seconds = timed(lambda: transfer(head, head.neutral))
    rows = {
        "itself": {
            "seconds": seconds,
            "max_error_mm": 1000 * float(np.abs(itself.deltas - head.deltas).max()),
        }
    }
    person = load_head(identity={"age": 70, "sex": "male"})
    moved, seconds = timed(lambda: transfer(head, person.neutral))
    apart = np.linalg.norm(moved.deltas[: len(NAMES)] - person.deltas[: len(NAMES)], axis=-1)
    rows["another person"] = {"seconds": seconds, "from_copied_mm": 1000 * float(apart.mean())}
    if true is not None:
        target = face_of(made_of(model))
        source = face_of(head)
        matched, seconds = timed(lambda: register(source, target))
        rows["registration"] = {"seconds": seconds, "distance_mm": 1000 * matched.distance}
        shapes, seconds = timed(lambda: transfer_shapes(head, target, matched))
        error = 1000 * np.linalg.norm(shapes[: len(NAMES)] - true, axis=-1)[:, target.skin]
        rows["another mesh"] = {
            "seconds": seconds,
            "mean_error_mm": float(error.mean()),
            "worst_shape_rms_mm": float(np.sqrt((error**2).mean(1)).max()),
        }
    return rows


def made_of(model: FlameModel) -> Head:
    """Return the neutral shape of a model as a head without shapes."""
    neutral = model.template.astype("f4")
    return Head(model.name, neutral, model.triangles, (), np.zeros((0, *neutral.shape), "f4"))


def posing(model: FlameModel, frames: int) -> dict:
    """Return milliseconds per frame of skinning, and time and error of the calibration."""
    random = np.random.default_rng(0)
    expression = random.normal(0, 1, (frames, model.expressions))
    pose = random.normal(0, 0.1, (frames, 5, 3))
    _, seconds = timed(lambda: model.vertices(expression, pose=pose))
    began = time.process_time()
    made = calibrate(model, load_head())
    errors = sorted(made.errors.items(), key=lambda entry: -entry[1])
    return {
        "skinning": {"vertices": len(model.template), "ms_a_frame": 1000 * seconds / frames},
        "calibration": {
            "seconds": time.process_time() - began,
            "mean_error_mm": float(np.mean([e for _, e in errors])),
            **{f"{name}_mm": error for name, error in errors[:3]},
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--model", help="a FLAME model of your own")
    args = parser.parse_args()
    head, true = load_head(), None
    if args.model:
        model = FlameModel.load(args.model)
    else:
        make = runpy.run_path(str(Path(__file__).parents[1] / "tests" / "make_flame.py"))
        person = load_head(identity={"sex": "male", "ethnicity": "african"})
        arrays, true = make["from_head"](person)
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder) / "made.npz", **arrays)
            model = FlameModel.load(Path(folder) / "made.npz")
    report = {
        "solve": solving(head, args.frames),
        "transfer": transferring(head, model, true),
        "flame": posing(model, args.frames),
    }
    if args.json:
        print(json.dumps(report, indent=2))
        return
    for title, rows in report.items():
        for name, values in rows.items():
            shown = "  ".join(f"{key} {value:.4g}" for key, value in values.items())
            print(f"{title:<10}{name:<18}{shown}")


if __name__ == "__main__":
    main()
