"""three.js, the 3D library of browsers, under node."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from node_tools import ask, installed
from readers.gltf import three_sampler

from . import Played, Player


def play(path: Path, times: np.ndarray, begin: float, fps: Fraction) -> Played:
    meter = 0.01 if path.suffix == ".fbx" else 1.0
    outline = ask("outline", path)
    weights, turns, rest, points = {}, {}, [], []
    for name, keys in ask("curves", path).items():
        found = three_sampler(path, name)(times)
        if keys["width"] == 1:
            weights[name] = [found]
        else:
            turns[name.partition(".")[0]] = np.array(found).reshape(-1, 4)
    for mesh in outline["meshes"]:
        rest.append(np.array(ask("rest", path, mesh=mesh["name"])).reshape(-1, 3))
        drawn = [ask("vertices", path, mesh=mesh["name"], time=t) for t in times.tolist()]
        points.append(np.array(drawn).reshape(len(times), -1, 3))
    return Played(
        times, weights, turns, np.concatenate(rest) * meter, np.concatenate(points, 1) * meter
    )


PLAYERS = (Player("three.js", ("glb", "gltf", "fbx"), play, installed),)
