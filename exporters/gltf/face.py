"""The face of a character: which morph targets of its meshes show the controls of rigs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ...mesh.builtin.tongue import SHAPES
from ...mesh.drive import Binding, Drive
from ...mesh.files.vrm import Expressions
from ...names import match
from ...rig import Control, Rig

Target = tuple[int, int]
"""A node with a mesh, and one of its morph targets."""

_Way = tuple[str, str, float]
"""A rig, one of its controls, and the weight by which it moves a target."""

RIGS = ("arkit", "oculus", "vrm")
"""Rigs that every face is looked at for."""

_VOWELS = {"a": "aa", "i": "ih", "u": "ou", "e": "ee", "o": "oh"}
"""Presets of VRM by single letters, where a face has all five."""


@dataclass(frozen=True, eq=False)
class Channels:
    """A drive from the controls of a rig to channels, and the targets that follow each channel."""

    drive: Drive
    targets: Mapping[str, tuple[Target, ...]]
    """Targets that move alike, by channel, in the order of the weights of `drive`."""


class Face:
    """The morph targets and expressions of a glTF document."""

    def __init__(
        self, document: Mapping[str, Any], names: Mapping[int, Sequence[str]], path: Path
    ) -> None:
        """`names` are those of the targets of every node that has a mesh with targets."""
        self.names = names
        self._path = path
        self._nodes: dict[int, list[int]] = {}
        for node in names:
            self._nodes.setdefault(int(document["nodes"][node]["mesh"]), []).append(node)
        self._expressions = Expressions(document, path)
        self._known: dict[Rig, dict[str, tuple[dict[Target, float], Binding]]] = {}
        self.looks_by = _looks_by(document)
        """`bone` or `expression` for a VRM avatar that says how it turns its eyes, else nothing."""

    def targets(self, rig: Rig) -> dict[str, dict[Target, float]]:
        """Return the weights of targets by control, for the controls that the face has."""
        return {control: dict(weights) for control, (weights, _) in self._controls(rig).items()}

    def channels(
        self, rig: Rig, *, jaw_in_close: bool = False, without: Sequence[str] = ()
    ) -> Channels:
        """Return how clips on a rig move the face.

        `jaw_in_close` is for a mouthClose that contains the motion of jawOpen, which is then taken
        back; presets of VRM in `without` are left alone.
        """
        table: dict[str, dict[str, tuple[dict[Target, float], Binding]]] = {}
        for known in (rig, *(Rig.load(name) for name in RIGS if name != rig.name)):
            table[known.name] = dict(self._own(known))
        for name in without:
            table["vrm"].pop(name, None)
        arkit = table["arkit"]
        if jaw_in_close and {"jawOpen", "mouthClose"} <= set(arkit):
            closing, binding = arkit["mouthClose"]
            back = {target: -weight for target, weight in arkit["jawOpen"][0].items()}
            both = {t: closing.get(t, 0.0) + back.get(t, 0.0) for t in (closing | back)}
            arkit["mouthClose"] = both, binding
        return self._grouped(rig, table)

    def _grouped(
        self, rig: Rig, table: Mapping[str, Mapping[str, tuple[dict[Target, float], Binding]]]
    ) -> Channels:
        """Return one channel for all targets that the same controls move by the same weights."""
        moved: dict[Target, list[_Way]] = {}
        for name, controls in table.items():
            for control, (weights, _) in controls.items():
                for target, weight in weights.items():
                    moved.setdefault(target, []).append((name, control, weight))
        alike: dict[tuple[_Way, ...], list[Target]] = {}
        for target, found in moved.items():
            alike.setdefault(tuple(found), []).append(target)
        targets: dict[str, tuple[Target, ...]] = {}
        shares: dict[tuple[str, str], dict[str, float]] = {}
        for number, (ways, group) in enumerate(alike.items()):
            channel = f"channel {number}"
            for name, control, weight in ways:
                if name == "arkit" and weight == 1 and control not in targets:
                    channel = control  # tables beyond the rigs' maps name shapes so
            targets[channel] = tuple(group)
            for name, control, weight in ways:
                shares.setdefault((name, control), {})[channel] = weight
        bindings = {
            name: {
                control: replace(binding, weights=shares[name, control])
                for control, (_, binding) in controls.items()
            }
            for name, controls in table.items()
        }
        return Channels(Drive(tuple(targets), rig, bindings, head=str(self._path)), targets)

    # ------------------------------------------------------------------ controls

    def _own(self, rig: Rig) -> dict[str, tuple[dict[Target, float], Binding]]:
        """Return targets and binding by control of a rig that a clip is on.

        A rig that fits the names less well than ARKit's moves the shapes of ARKit's names that it
        has, as on heads.
        """
        found, arkit = self._controls(rig), self._controls(Rig.load("arkit"))
        if rig.name in RIGS or len(found) > len(arkit):
            return found
        return {name: arkit[name] for name in rig.names if name in arkit}

    def _controls(self, rig: Rig) -> dict[str, tuple[dict[Target, float], Binding]]:
        """Return targets and binding by control: by expressions, else by the names of targets."""
        if rig in self._known:
            return self._known[rig]
        whole = _with_tongue(rig)
        found: dict[str, tuple[dict[Target, float], Binding]] = {}
        for control, (binds, binary) in self._expressions.found.get(rig.name, {}).items():
            weights = {(node, target): weight for (mesh, target), weight in binds.items()
                       for node in self._nodes.get(mesh, ())}  # fmt: skip
            if weights:
                held = self._expressions.held.get(control, {}) if rig.name == "vrm" else {}
                found[control] = weights, Binding({}, binary, held)
        expressed = set(found)
        for node, names in self.names.items():
            for control, written in self._matched(tuple(names), whole).items():
                if control not in expressed:
                    weights, _ = found.setdefault(control, ({}, Binding({})))
                    weights |= {(node, names.index(name)): 1.0 for name in written}
        order = {name: i for i, name in enumerate(whole.names)}
        self._known[rig] = dict(sorted(found.items(), key=lambda entry: order[entry[0]]))
        return self._known[rig]

    def _matched(self, names: tuple[str, ...], rig: Rig) -> dict[str, tuple[str, ...]]:
        """Return the targets of one mesh by the control that they show."""
        with warnings.catch_warnings():
            if rig != _with_tongue(Rig.load("arkit")):  # names of other rigs fit several
                warnings.simplefilter("ignore")
            found = dict(match(names, rig, source=str(self._path)).found)
        letters = {re.split(r"[.:|/]", name)[-1].lower(): name for name in names}
        if rig.name == "vrm" and _VOWELS.keys() <= letters.keys():
            found |= {preset: (letters[letter],) for letter, preset in _VOWELS.items()}
        return found


@cache
def _with_tongue(rig: Rig) -> Rig:
    """Return ARKit's rig with the tongue shapes of heads; other rigs are returned unchanged."""
    if rig != Rig.load("arkit"):
        return rig
    more = tuple(Control(name, region="tongue") for name in SHAPES)
    return replace(rig, controls=rig.controls + more)


def _looks_by(document: Mapping[str, Any]) -> str:
    extensions = document.get("extensions") or {}
    avatar, old = extensions.get("VRMC_vrm") or {}, extensions.get("VRM") or {}
    kind = (avatar.get("lookAt") or {}).get("type")
    kind = kind or (old.get("firstPerson") or {}).get("lookAtTypeName", "")
    known = {"bone": "bone", "expression": "expression", "blendshape": "expression"}
    return known.get(str(kind).lower(), "")
