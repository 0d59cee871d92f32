"""The face of a character: which morph targets show the controls of a rig."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...arrays import Floats
from ...mesh.builtin.tongue import SHAPES
from ...names import match
from ...rig import Control, Rig

MOUTH = {"jaw", "mouth", "tongue", "viseme"}
"""Regions of controls that speak."""

_COPY = re.compile(r"[._]\d{3}$")
_PRESETS = {
    "a": "aa", "i": "ih", "u": "ou", "e": "ee", "o": "oh", "blink_l": "blinkLeft",
    "blink_r": "blinkRight", "joy": "happy", "sorrow": "sad", "fun": "relaxed",
}  # fmt: skip
"""VRM 0's presets by their names in VRM 1; the others differ in capital letters only."""
_MORPHS = {
    "fcl_mth_a": "aa", "fcl_mth_i": "ih", "fcl_mth_u": "ou", "fcl_mth_e": "ee", "fcl_mth_o": "oh",
    "fcl_eye_close": "blink", "fcl_eye_close_l": "blinkLeft", "fcl_eye_close_r": "blinkRight",
    "fcl_all_joy": "happy", "fcl_all_angry": "angry", "fcl_all_sorrow": "sad",
    "fcl_all_fun": "relaxed", "fcl_all_surprised": "surprised",
    "あ": "aa", "い": "ih", "う": "ou", "え": "ee", "お": "oh", "まばたき": "blink",
    "ウィンク": "blinkLeft", "ウィンク右": "blinkRight", "笑い": "happy", "怒り": "angry",
    "困る": "sad", "びっくり": "surprised", "vrc.blink": "blink", "vrc.blink_left": "blinkLeft",
    "vrc.blink_right": "blinkRight",
}  # fmt: skip
"""Morph targets of VRoid, MikuMikuDance and VRChat by the VRM preset that they show."""


class Bind(NamedTuple):
    """A morph target that a control moves."""

    node: int
    target: int
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Controls:
    """The controls of one rig that a character can show."""

    rig: Rig
    binds: Mapping[str, tuple[Bind, ...]]
    """Morph targets by control."""
    expressions: Expressions | None = None
    """Rules of a VRM avatar that its expressions follow."""

    def count(self, *, mouth: bool) -> int:
        """Return how many controls of the mouth, or of all other regions, it has."""
        return len(self.only(mouth=mouth).binds)

    def only(self, *, mouth: bool) -> Controls:
        """Return the controls of the mouth, or all others."""
        regions = {c.name: c.region in MOUTH for c in self.rig.controls}
        kept = {n: b for n, b in self.binds.items() if regions.get(n, True) == mouth}
        return replace(self, binds=kept)


@dataclass(frozen=True, eq=False)
class Expressions:
    """VRM's rules between expressions: those with two states, and those that hold others back."""

    binary: frozenset[str] = frozenset()
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Kind of override (`Mouth`, `Blink`, `LookAt`) by expression and then `block` or `blend`."""

    def applied(self, values: Floats, names: Sequence[str]) -> Floats:
        """Return (n, C) weights of expressions as a VRM player shows them."""
        shown = np.clip(values, 0, 1)
        for i, name in enumerate(names):
            if name in self.binary:
                shown[:, i] = shown[:, i] > 0.5
        factors = {kind: np.ones(len(shown), np.float32) for kind in _OVERRIDDEN}
        for i, name in enumerate(names):
            for kind, way in self.overrides.get(name, {}).items():
                amount = shown[:, i] if way == "blend" else (shown[:, i] > 0).astype(np.float32)
                factors[kind] -= amount
        for kind, held in _OVERRIDDEN.items():
            columns = [i for i, name in enumerate(names) if name in held]
            shown[:, columns] *= np.maximum(factors[kind], 0)[:, None]
        return shown


_OVERRIDDEN = {
    "Mouth": ("aa", "ih", "ou", "ee", "oh"),
    "Blink": ("blink", "blinkLeft", "blinkRight"),
    "LookAt": ("lookUp", "lookDown", "lookLeft", "lookRight"),
}


class Face:
    """The morph targets and expressions of a glTF document."""

    def __init__(
        self, document: Mapping[str, Any], names: Mapping[int, Sequence[str]], path: Path
    ) -> None:
        """`names` are those of the targets of every node that has a mesh with targets."""
        self.path = path
        self._document = document
        self._matches: dict[tuple[tuple[str, ...], tuple[str, ...]], Mapping[str, tuple[str, ...]]]
        self._matches = {}
        self.names = names
        self._avatar, self._rules, self.colors_only = self._read_expressions()
        """Binds and rules of VRM's expressions; those that change colors and no shape."""
        self.looks_by = self._read_look()
        """`bone` or `expression` for a VRM avatar that says how it turns its eyes, else nothing."""

    def controls(self, rig: Rig) -> Controls:
        """Return the controls of a rig that the face shows, expressions before targets' names."""
        whole = _with_tongue(rig)
        expressed = match(list(self._avatar), whole, source=str(self.path)).found
        if rig.name == "vrm":
            expressed = {name: (name,) for name in self._avatar if name in rig}
        found = {c: [b for n in names for b in self._avatar[n]] for c, names in expressed.items()}
        found = {control: binds for control, binds in found.items() if binds}
        for node, names in self.names.items():
            for control, written in self._matched(tuple(names), whole).items():
                if control not in expressed:
                    binds = [Bind(node, names.index(name)) for name in written]
                    found.setdefault(control, []).extend(binds)
        ordered = {n: tuple(found[n]) for n in whole.names if n in found}
        if not expressed:
            return Controls(rig, ordered)
        binary = {c for c, names in expressed.items() if set(names) & self._rules.binary}
        return Controls(rig, ordered, replace(self._rules, binary=frozenset(binary)))

    def _matched(self, names: tuple[str, ...], rig: Rig) -> Mapping[str, tuple[str, ...]]:
        """Return the targets of one mesh by the control that they show."""
        key = names, rig.names
        if key not in self._matches:
            with warnings.catch_warnings():
                if rig != _with_tongue(Rig.load("arkit")):  # names of other rigs fit several
                    warnings.simplefilter("ignore")
                known = match(names, rig, source=str(self.path)).found
            own = {n: p for n in names if rig.name == "vrm" and (p := self._preset(n))}
            presets: dict[str, tuple[str, ...]] = {}
            for name, preset in own.items():
                presets.setdefault(preset, (name,))
            self._matches[key] = presets | dict(known)
        return self._matches[key]

    def _preset(self, written: str) -> str | None:
        """Return the preset that a target of VRoid, MikuMikuDance or VRChat shows.

        Single vowels count where all five are there.
        """
        name = _COPY.sub("", written).lower()
        last = re.split(r"[.:|/]", name)[-1]
        plain = {re.split(r"[.:|/]", n)[-1].lower() for names in self.names.values() for n in names}
        if len(last) == 1 and {"a", "i", "u", "e", "o"} <= plain and last in _PRESETS:
            return _PRESETS[last]
        return _MORPHS.get(name) or _MORPHS.get(last)

    # ------------------------------------------------------------------- VRM

    def _read_expressions(self) -> tuple[dict[str, list[Bind]], Expressions, set[str]]:
        """Return binds by expression in VRM 1's names, rules, and expressions without binds."""
        extensions = self._document.get("extensions", {})
        binds: dict[str, list[Bind]] = {}
        binary: set[str] = set()
        overrides: dict[str, dict[str, str]] = {}
        colors: set[str] = set()
        found = (
            self._of_vrm_1(extensions["VRMC_vrm"])
            if "VRMC_vrm" in extensions
            else self._of_vrm_0(extensions.get("VRM", {}))
        )
        for name, moved, entry in found:
            if moved:
                binds.setdefault(name, []).extend(moved)
            elif any(entry.get(k) for k in _COLOR_BINDS):
                colors.add(name)
            if entry.get("isBinary"):
                binary.add(name)
            ways = {kind: str(entry.get(f"override{kind}", "none")) for kind in _OVERRIDDEN}
            overrides[name] = {k: way for k, way in ways.items() if way in ("block", "blend")}
        return binds, Expressions(frozenset(binary), overrides), colors

    def _read_look(self) -> str:
        extensions = self._document.get("extensions", {})
        avatar, old = extensions.get("VRMC_vrm", {}), extensions.get("VRM", {})
        kind = avatar.get("lookAt", {}).get("type") or old.get("firstPerson", {}).get(
            "lookAtTypeName", ""
        )
        return {"bone": "bone", "expression": "expression", "blendshape": "expression"}.get(
            str(kind).lower(), ""
        )

    def _of_vrm_1(self, avatar: Any) -> Iterator[tuple[str, list[Bind], Mapping[str, Any]]]:
        groups = avatar.get("expressions", {})
        for kind in ("preset", "custom"):
            for name, entry in groups.get(kind, {}).items():
                binds = [
                    Bind(int(b["node"]), int(b["index"]), float(b.get("weight", 1)))
                    for b in entry.get("morphTargetBinds", ())
                ]
                yield str(name), list(self._valid(binds)), entry

    def _of_vrm_0(self, avatar: Any) -> Iterator[tuple[str, list[Bind], Mapping[str, Any]]]:
        nodes: dict[int, list[int]] = {}
        for i in self.names:
            nodes.setdefault(int(self._document["nodes"][i]["mesh"]), []).append(i)
        presets = Rig.load("vrm").names
        for entry in avatar.get("blendShapeMaster", {}).get("blendShapeGroups", ()):
            preset = str(entry.get("presetName", "")).lower()
            name = _PRESETS.get(preset, preset)
            if name not in [p.lower() for p in presets] and name not in presets:
                name = str(entry.get("name", ""))
            name = next((p for p in presets if p.lower() == name.lower()), name)
            binds = [
                Bind(node, int(b["index"]), float(b.get("weight", 100)) / 100)
                for b in entry.get("binds") or ()
                for node in nodes.get(int(b["mesh"]), ())
            ]
            yield name, list(self._valid(binds)), entry

    def _valid(self, binds: Iterable[Bind]) -> Iterator[Bind]:
        """Yield binds of targets that exist."""
        for bind in binds:
            if 0 <= bind.target < len(self.names.get(bind.node, ())):
                yield bind


_COLOR_BINDS = ("materialColorBinds", "textureTransformBinds", "materialValues")


@cache
def _with_tongue(rig: Rig) -> Rig:
    """Return ARKit's rig with the tongue shapes of heads; other rigs are returned unchanged."""
    if rig != Rig.load("arkit"):
        return rig
    more = tuple(Control(name, region="tongue") for name in SHAPES)
    return replace(rig, controls=rig.controls + more)
