"""Stills of the built-in head, close and whole, next to those of an older checkout.

    git worktree add build/before df37373
    python benchmarks/head_stills.py -o docs/media/head_before_after.png --before build/before

Without `--before`, only the present head is drawn. Needs OpenGL.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from PIL import Image

from facesdk.mesh import Head, load_head
from facesdk.render import Camera, Look, camera, painter

SIDE = 280
COLORS = 256

BLINK = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
STILLS = [
    ("front", {}, {}, 25.0),
    ("front", {}, {"age": 60, "sex": "male", "ethnicity": "caucasian"}, 25.0),
    ("eye", {}, {}, 0.0),
    ("eye", BLINK, {}, 0.0),
    ("mouth", {"jawOpen": 1.0}, {}, 0.0),
    ("mouth", {"mouthFunnel": 1.0}, {}, 30.0),
]
"""View, weights of shapes, identity and yaw in degrees of each still."""


def still(view: str, shapes: dict, identity: dict, yaw: float) -> np.ndarray:
    """Return one (SIDE, SIDE, 3) image with the best look that OpenGL has."""
    head = load_head(identity=identity or None, detail="high")
    weights = np.zeros(len(head.names), np.float32)
    for name, weight in shapes.items():
        weights[head.index(name)] = weight
    finest = {"fine": True} if "fine" in {f.name for f in fields(Look)} else {}
    draw = painter(head, Look(size=(SIDE, SIDE), **finest), "gl")
    try:
        return draw.paint(head.vertices(weights), lens(head, view, yaw))
    finally:
        draw.close()


def lens(head: Head, view: str, yaw: float) -> Camera:
    """Return a camera for the whole head, an eye or the mouth."""
    turn = float(np.radians(yaw))
    if view == "eye":
        return Camera(head.joints["left_eye"].center, 0.062, turn)
    if view == "mouth":
        left, right = (head.neutral[head.landmarks[f"mouth_{s}"]] for s in ("left", "right"))
        x, y, z = (float(n) for n in (left + right) / 2)
        return Camera((x, y - 0.006, z), 0.085, turn)
    return replace(camera(head, view), yaw=turn)


def row() -> np.ndarray:
    """Return all stills side by side."""
    return np.concatenate([still(*one) for one in STILLS], axis=1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("build/head_stills.png"))
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    args = parser.parse_args()
    rows = [row()]
    if args.before:
        with tempfile.TemporaryDirectory() as folder:
            older = Path(folder) / "before.png"
            command = [sys.executable, str(Path(__file__).resolve()), "-o", str(older)]
            where = {**os.environ, "PYTHONPATH": str(args.before.resolve())}
            subprocess.run(command, env=where, check=True, cwd=folder)
            rows.insert(0, np.asarray(Image.open(older).convert("RGB")))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    page = Image.fromarray(np.concatenate(rows))
    if args.before:
        page = page.quantize(COLORS, kmeans=4, dither=Image.Dither.NONE)
    page.save(args.output, optimize=True)
    print(f"{args.output}: {page.width} x {page.height}, {args.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
