"""Map the controls of a rig to the shapes of a head.

A head moves through the rigs whose controls it has: shapes with ARKit's names, the expressions of
a VRM avatar, visemes. `Drive` chooses among them for every clip.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..clip import POSE_ANGLES
from ..errors import MeshError, RigError, unknown_name
from ..names import some
from ..retarget import Conversion, conversion
from ..rig import Rig

Weights = Mapping[str, Mapping[str, float]]

MOUTH = {"jaw", "mouth", "tongue", "viseme"}
"""Regions of controls that speak."""

_PLAUSIBLE = 6
"""Controls of ARKit's mouth that are enough to speak, if jawOpen is not among them."""

_VISEMES = 8
"""Visemes that speak better than the five vowels of VRM."""


@dataclass(frozen=True)
class Binding:
    """The shapes that one control of a rig moves, such as an expression of a VRM avatar."""

    weights: Mapping[str, float]
    """Weight of each shape at value 1."""
    binary: bool = False
    """Whether the control is either 0 or 1, which it is above 0.5."""
    held: Mapping[str, str] = field(default_factory=dict)
    """Controls of the same rig that hold this one back: `blend` by their value, `block` wholly."""

    def free(self, values: Mapping[str, Floats]) -> Floats | float:
        """Return the share in 0..1 that others leave of this control, for values by control."""
        share: Floats | float = 1.0
        for name, way in self.held.items():
            if name in values:
                share = share - (values[name] if way == "blend" else values[name] > 0)
        return np.maximum(share, 0) if self.held else share


Bindings = Mapping[str, Mapping[str, Binding]]
"""Bindings by rig and control."""


@dataclass(frozen=True, eq=False)
class _Way:
    """Some controls of one rig that a head has, and how a clip reaches them."""

    way: Conversion
    controls: Mapping[str, Binding]
    free: tuple[str, ...] = ()
    """Controls of the clip's rig that reach the head otherwise, and count as at rest here."""


class Drive:
    """How the controls of one rig move one head."""

    def __init__(
        self, names: Sequence[str], rig: Rig, bindings: Bindings | None = None, *, head: str = ""
    ) -> None:
        """Raises `RigError` for a rig of which the head has nothing and that no map leads from."""
        self._names = tuple(names)
        self._head = head
        self.rig = rig
        self._place = {name: i for i, name in enumerate(self._names)}
        had = {target: self._controls(target, bindings or {}) for target in _targets(rig)}
        self.available = {target.name: tuple(found) for target, found in had.items() if found}
        """Controls that the head has, by rig."""
        self._ways, self.mouth = _ways(rig, had)
        """`mouth` is the name of the rig through which the mouth moves, or None."""
        if not self._ways:
            conversion(rig, "arkit")

    def _controls(self, target: Rig, bindings: Bindings) -> dict[str, Binding]:
        """Return the controls of a rig that the head has: by binding, else by name."""
        bound = bindings.get(target.name, {})
        found = {n: bound.get(n) or Binding({n: 1.0}) for n in target.names
                 if n in bound or n in self._place}  # fmt: skip
        return {n: b for n, b in found.items() if self._place.keys() & b.weights.keys()}

    @property
    def rigs(self) -> dict[str, tuple[str, ...]]:
        """The controls that clips move, by the rig that they belong to."""
        used: dict[str, tuple[str, ...]] = {}
        for way in self._ways:
            used[way.way.target.name] = used.get(way.way.target.name, ()) + tuple(way.controls)
        return used

    def weights(self, values: ArrayLike) -> Floats:
        """Return (..., S) weights of the head's shapes for (..., C) values on the rig."""
        rig = self.rig
        given = np.asarray(values, np.float32)
        if given.shape[-1:] != (len(rig),):
            raise MeshError(
                f"values must be (..., {len(rig)}) for rig {rig.name!r}, got {given.shape}"
            )
        weights = np.zeros((*given.shape[:-1], len(self._names)), np.float32)
        for way in self._ways:
            controls = given
            if way.free:
                controls = given.copy()
                for name in way.free:
                    controls[..., rig.index(name)] = rig.rest[rig.index(name)]
            for rig_map in way.way.maps:
                self._add_extras(weights, controls, rig_map.source)
                controls, _ = rig_map(controls, None)
            target = way.way.target
            amounts = {name: controls[..., target.index(name)] for name in way.controls}
            for name, binding in way.controls.items():
                if binding.binary:
                    amounts[name] = (amounts[name] > 0.5).astype(np.float32)
            for name, binding in way.controls.items():
                amount = amounts[name] * binding.free(amounts)
                for shape, factor in binding.weights.items():
                    if shape in self._place:
                        weights[..., self._place[shape]] += np.float32(factor) * amount
        return weights

    def _add_extras(self, weights: Floats, controls: Floats, rig: Rig) -> None:
        for control, row in _extras().get(rig.name, {}).items():
            for shape, factor in row.items():
                if shape in self._place:
                    amount = factor * controls[..., rig.index(control)]
                    weights[..., self._place[shape]] += amount

    @property
    def undriven(self) -> tuple[str, ...]:
        """Controls of the rig that move no shape and no joint."""
        driven: set[str] = set()
        for way in self._ways:
            if not way.way.maps:
                driven |= set(way.controls)
                continue
            driven |= set(way.way.reaching({*way.controls, *POSE_ANGLES})) - set(way.free)
            extras = _extras().get(self.rig.name, {})
            driven |= {name for name, row in extras.items() if self._place.keys() & row.keys()}
        return tuple(name for name in self.rig.names if name not in driven)

    @property
    def still(self) -> bool:
        """Whether no control moves any shape."""
        return not self._ways

    def missing(self) -> str:
        """Return what was looked for and what the head has, as a sentence."""
        shapes = f"none of the {len(self._names)} shapes of head {self._head!r} "
        if not self._names:
            return f"head {self._head!r} has no shapes to animate"
        near = {
            name: unknown_name("", name, self._names).suggestions
            for name in (*self.rig.names, *Rig.load("arkit").names)
        }
        alike = [f"{name} (near {found[0]})" for name, found in near.items() if found][:4]
        looked = [f"names of rig {self.rig.name!r} such as {some(self.rig.names, 6)}"]
        looked += [] if self.rig.name == "arkit" else ["ARKit's names"]
        return (
            f"{shapes}({some(self._names, 6)}) is known; expected {', '.join(looked)}, the "
            "expressions of a VRM, or visemes such as viseme_aa"
            + (f"; nearest: {', '.join(alike)}" if alike else "")
            + "; rename its shapes"
        )

    def note(self) -> str | None:
        """Return through what the head speaks, where it is not its ARKit shapes or the rig itself.

        A head whose mouth does not move is noted too.
        """
        if self.mouth in (self.rig.name, "arkit") or not self._ways:
            return None
        controls = self.rigs.get(self.mouth or "", ())
        if self.mouth is not None:
            return f"head {self._head!r} speaks through rig {self.mouth!r} ({some(controls, 6)})"
        moved = [name for names in self.rigs.values() for name in names]
        return f"the mouth of head {self._head!r} does not move: it has only {some(moved, 6)}"


def shape_weights(names: Sequence[str], values: ArrayLike, rig: Rig) -> Floats:
    """Return (..., S) weights of named shapes for (..., C) values on a rig."""
    return Drive(names, rig).weights(values)


def undriven(names: Sequence[str], rig: Rig) -> tuple[str, ...]:
    """Return the controls of a rig that move no shape of these names, and no joint."""
    return Drive(names, rig).undriven


# ------------------------------------------------------------------ choice of rigs


def _targets(rig: Rig) -> list[Rig]:
    """Return the rigs through which a head may move, the clip's own first."""
    others = [Rig.load(name) for name in ("arkit", "oculus", "vrm")]
    return [rig, *(target for target in others if target.name != rig.name)]


def _ways(rig: Rig, had: Mapping[Rig, Mapping[str, Binding]]) -> tuple[list[_Way], str | None]:
    """Return the ways to a head, and the rig of its mouth.

    One rig is chosen for each of mouth, eyes, and the rest of the face.
    """
    reached = {target.name: way for target in had if (way := _way_to(rig, target)) is not None}
    found = {target: controls for target, controls in had.items()
             if controls and target.name in reached}  # fmt: skip
    if not found:
        return [], None
    parts = {target: _by_part(target, controls) for target, controls in found.items()}
    own = rig if rig in found else None
    mouth = _mouth_rig(rig, parts)
    chosen: dict[str, Rig | None] = {"mouth": mouth}
    for part in ("eye", "face"):
        others = [t for name in ("arkit", "vrm") for t in parts if t.name == name]
        order = [own, *others]
        chosen[part] = next((t for t in order if t and parts[t][part]), None)
    face = chosen["face"]
    if face is not None and face.name == "vrm" and face != own and mouth and mouth.name == "arkit":
        chosen["face"] = None  # a smile that the mouth has already
    controls: dict[Rig, dict[str, Binding]] = {}
    for part, target in chosen.items():
        if target is not None:
            controls.setdefault(target, {}).update(parts[target][part])
    direct = tuple(controls.get(rig, ()))
    ways = [
        _Way(reached[target.name], bindings, () if target == rig else direct)
        for target, bindings in controls.items()
    ]
    return ways, None if mouth is None else mouth.name


def _by_part(target: Rig, controls: Mapping[str, Binding]) -> dict[str, dict[str, Binding]]:
    """Return controls by the part of the face that they move: mouth, eye or face."""
    parts: dict[str, dict[str, Binding]] = {"mouth": {}, "eye": {}, "face": {}}
    standard = target.name in ("arkit", "oculus", "vrm", "livelink", "a2f")
    for control in target.controls:
        if control.name in controls:
            mouth = control.region in MOUTH or not standard
            part = "mouth" if mouth else "eye" if control.region == "eye" else "face"
            parts[part][control.name] = controls[control.name]
    return parts


def _mouth_rig(rig: Rig, parts: Mapping[Rig, Mapping[str, Mapping[str, Binding]]]) -> Rig | None:
    """Return the rig that moves the mouth best: the clip's own, ARKit's, visemes, expressions."""
    mouths = {target: part["mouth"] for target, part in parts.items() if part["mouth"]}
    by_name = {target.name: target for target in mouths}

    def speaks(name: str) -> bool:
        controls = mouths.get(by_name[name], {}) if name in by_name else {}
        if name == "arkit":
            return "jawOpen" in controls or len(controls) >= _PLAUSIBLE
        if name == "oculus":
            return len(controls) >= _VISEMES
        return len(controls) >= (2 if name == "vrm" else 1)

    order = [rig.name, "arkit", "oculus", "vrm"]
    best = next((name for name in order if speaks(name)), None)
    best = best or next((name for name in order if name in by_name), None)
    return None if best is None else by_name[best]


def _way_to(rig: Rig, target: Rig) -> Conversion | None:
    if rig == target or rig.name == target.name:
        return Conversion(rig, target) if rig.names == target.names else None
    try:
        return conversion(rig, target)
    except RigError:
        return None


@cache
def _extras() -> Mapping[str, Weights]:
    """Return rig -> control -> shape -> factor, in addition to the conversion to ARKit."""
    file = resources.files("facesdk") / "data" / "head" / "tongue.json"
    rigs: Mapping[str, Weights] = json.loads(file.read_text("utf-8"))["rigs"]
    return rigs
