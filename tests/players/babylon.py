"""Babylon.js, a game engine for browsers, under node."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from node_tools import ask, installed

from . import Played, Player


def play(path: Path, times: np.ndarray, begin: float, fps: Fraction) -> Played:
    found = ask("babylon", path, times=times.tolist())
    return Played(
        times,
        {name: [np.array(w) for w in by.values()] for name, by in found["weights"].items()},
        {name: np.array(turns) for name, turns in found["turns"].items()},
        np.array(found["rest"]).reshape(-1, 3),
        np.array(found["points"]).reshape(len(times), -1, 3),
    )


PLAYERS = (Player("Babylon.js", ("glb", "gltf"), play, installed),)
