"""Blender, in an environment of its own that has `bpy`: FACESDK_BLENDER is its Python."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np

from . import Played, Player


@cache
def _process() -> subprocess.Popen:
    python = os.environ["FACESDK_BLENDER"]
    script = Path(__file__).with_name("in_blender.py")
    hidden = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    process = subprocess.Popen(
        [python, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=hidden,
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen) -> None:
    process.stdin.close()
    process.wait(20)
    process.stdout.close()


@cache
def version() -> str:
    return _until_ready().split()[1]


def _until_ready() -> str:
    said = []
    for line in _process().stdout:
        if line.startswith("ready"):
            return line
        said.append(line)
    raise AssertionError("Blender ended:\n" + "".join(said[-20:]))


def play(path: Path, times: np.ndarray, begin: float, fps: Fraction) -> Played:
    version()
    answer = path.with_suffix(".blender.npz")
    request = {"path": str(path), "answer": str(answer), "times": times.tolist(), "begin": begin,
               "fps": [fps.numerator, fps.denominator]}  # fmt: skip
    _process().stdin.write(json.dumps(request) + "\n")
    _process().stdin.flush()
    _until_ready()
    found = np.load(answer)
    weights: dict[str, list[np.ndarray]] = {}
    for i, name in enumerate(found["names"].tolist()):
        weights.setdefault(name, []).append(found["weights"][:, i])
    turns = {n.removeprefix("turn "): found[n] for n in found.files if n.startswith("turn ")}
    return Played(times, weights, turns, found["rest"], found["points"])


PLAYERS = (Player("Blender", ("fbx", "glb", "gltf", "usda", "usdc"), play),)
