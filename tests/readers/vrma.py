"""VRM animations by three-vrm-animation, which is what web players of VRM use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from node_tools import ask

from . import Curves, Row, Track
from .gltf import turns

EYES = frozenset(f"pose.{eye}.{axis}" for eye in ("left_eye", "right_eye")
                 for axis in ("yaw", "pitch", "roll"))  # fmt: skip
LOOKS = frozenset({"lookUp", "lookDown", "lookLeft", "lookRight"})


def read_vrma(path: Path) -> Curves:
    found: dict[str, Track] = {}
    animation = ask("vrma", path)
    for name, keys in (animation["preset"] | animation["custom"]).items():
        track = Track(np.array(keys["times"]), np.array(keys["values"]))
        found[name[:1].lower() + name[1:]] = track
    for bone, keys in animation["bones"].items():
        at = lambda t, b=bone: ask("vrma", path, times=t.tolist())["bones"][b]["values"]  # noqa: E731
        found |= turns(bone, np.array(keys["times"]), np.array(keys["values"]), at)
    return found


ROWS = (
    Row("vrma", "three-vrm-animation", read_vrma, rig="vrm", lost=EYES | LOOKS),
    Row("vrma", "three-vrm-animation", read_vrma, lost=EYES),
    Row(
        "vrma",
        "three-vrm-animation, PascalCase",
        read_vrma,
        lost=EYES,
        options={"settings": {"names": "PascalCase"}},
    ),
)
