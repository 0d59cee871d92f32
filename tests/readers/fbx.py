"""FBX by ufbx and by three.js under node."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ufbx
from probe import tiny_head

from . import Curves, Row, Track
from .gltf import angles, on_tiny_head, read_three
from .tables import EVENTS


class Scene:
    """A file open in ufbx; everything read from it is held, since ufbx may return it again."""

    def __init__(self, path: Path) -> None:
        self.held: list[Any] = []
        self._seen: set[int] = set()
        self.scene = self.keep(ufbx.load_file(str(path)))

    def keep(self, thing: Any) -> Any:
        self.held.append(thing)
        self._seen.add(id(thing))
        return thing

    def listed(self, several: Any) -> list[Any]:
        self.keep(several)
        items = []
        for i in range(len(several)):
            item = several[i]
            if id(item) in self._seen:  # returned before: ufbx 0.0.5 gives it no reference
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(item))
            items.append(self.keep(item))
        return items

    def stack(self, index: int = 0) -> Any:
        return self.listed(self.scene.anim_stacks)[index]

    def animated(self, stack: Any) -> list[tuple[Any, str, Any]]:
        """Element, property and curves of everything that a stack moves."""
        (layer,) = self.listed(stack.layers)
        return [
            (self.keep(p.element), p.prop_name, self.keep(p.anim_value))
            for p in self.listed(layer.anim_props)
        ]

    def times(self, curve: Any) -> np.ndarray:
        """Of the keys, which must all be linear."""
        keys = self.listed(self.keep(curve).keyframes)
        assert {k.interpolation for k in keys} <= {ufbx.Interpolation.LINEAR}
        return np.array([k.time for k in keys])


def read_ufbx(path: Path, take: int = 0) -> Curves:
    """Weights, user properties of the root, and what the joints' rotations amount to."""
    scene = Scene(path)
    stack = scene.stack(take)
    anim = scene.keep(stack.anim)
    found: dict[str, Track] = {}
    for element, prop, value in scene.animated(stack):
        if isinstance(element, ufbx.BlendChannel):
            assert prop == "DeformPercent"
            times = scene.times(value.curves[0])
            weight = sampler(scene, lambda t, c=element: c.evaluate_blend_weight(anim, t))
            found[element.name] = Track(times, weight(times), weight)
        elif prop != "Lcl Rotation":
            assert element.name == "root"
            times, at = scene.times(value.curves[0]), sampler(scene, value.evaluate_real)
            found[prop] = Track(times, at(times), at)
        else:
            found |= joint(scene, anim, element, value)
    return found


def joint(scene: Scene, anim: Any, node: Any, value: Any) -> Curves:
    """Yaw is about Y, pitch about X, roll about Z."""
    tracks = {}
    for i, (axis, curve) in enumerate(zip(("yaw", "pitch", "roll"), (1, 0, 2), strict=True)):
        times = scene.times(value.curves[curve])
        turn = sampler(scene, lambda t: ufbx.evaluate_transform(anim, node, t).rotation)
        at = lambda t, i=i, turn=turn: angles(turn(t))[:, i]  # noqa: E731
        tracks[f"pose.{node.name}.{axis}"] = Track(times, at(times), at)
    return tracks


def sampler(scene: Scene, evaluate: Callable[[float], Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Values at times; the scene lives as long."""
    return lambda times, scene=scene: np.array([evaluate(float(t)) for t in times])


WITH_HEAD = {"head": tiny_head()}
CURVES_ONLY = {"settings": {"mesh": False, "version": 7500}}
OPTIONS = {"fbx": WITH_HEAD}

ROWS = (
    Row("fbx", "ufbx", read_ufbx, options=WITH_HEAD, lost=EVENTS),
    Row("fbx", "ufbx", read_ufbx, rig="metahuman", options=CURVES_ONLY, lost=EVENTS),
    Row("fbx", "three.js", read_three, options=WITH_HEAD, lost=EVENTS),
    Row(
        "fbx",
        "three.js",
        read_three,
        rig="metahuman",
        options=WITH_HEAD | {"settings": {"version": 7500}},
        lost=EVENTS,
        expect=on_tiny_head,
    ),
)
