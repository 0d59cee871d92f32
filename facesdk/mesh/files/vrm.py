"""Expressions of VRM avatars, 0.x and 1.0: the morph targets that each preset moves.

Blend shape groups of VRM 0 (`A`, `Joy`, ...) are read as the presets of VRM 1 (`aa`, `happy`).
Groups and expressions that are named after ARKit's shapes, as avatars for face tracking have them
("perfect sync"), become these shapes, whatever the morph targets are called.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...names import vocabulary
from ...rig import Rig
from ..drive import Binding

Target = tuple[int, int]
"""A mesh of the document and one of its morph targets."""

PRESETS_0 = {
    "a": "aa", "i": "ih", "u": "ou", "e": "ee", "o": "oh", "blink": "blink",
    "blink_l": "blinkLeft", "blink_r": "blinkRight", "joy": "happy", "angry": "angry",
    "sorrow": "sad", "fun": "relaxed", "lookup": "lookUp", "lookdown": "lookDown",
    "lookleft": "lookLeft", "lookright": "lookRight", "neutral": "neutral",
}  # fmt: skip
"""Presets of VRM 1 by those of VRM 0."""

OVERRIDDEN = {
    "Mouth": ("aa", "ih", "ou", "ee", "oh"),
    "Blink": ("blink", "blinkLeft", "blinkRight"),
    "LookAt": ("lookUp", "lookDown", "lookLeft", "lookRight"),
}
"""Presets that an expression of VRM 1 may hold back, by the kind of override."""

_BROKEN = (LookupError, TypeError, ValueError, AttributeError)

_MAX_EXPRESSIONS = 10_000


class Expressions:
    """The expressions of a document, as controls of the rigs `arkit`, `vrm` and `oculus`."""

    def __init__(self, document: Mapping[str, Any], path: Path) -> None:
        self._document = document
        self._path = path
        self.found: dict[str, dict[str, tuple[dict[Target, float], bool]]] = {}
        """Weights of targets, and whether they are 0 or 1 only, by rig and control."""
        self.held: dict[str, dict[str, str]] = {}
        """Presets that hold others back, and how (`block` or `blend`), by the preset held back."""
        self.names: list[str] = []
        """Names of all expressions, as the file has them."""
        try:
            for name, preset, binds, binary in self._listed():
                self.names.append(name)
                self._add(name, preset, binds, binary)
        except _BROKEN as error:
            self.found.clear()
            warnings.warn(
                f"{path}: the expressions of this VRM cannot be read ({type(error).__name__}: "
                f"{error}); only the names of its morph targets are used",
                stacklevel=5,
            )

    def __bool__(self) -> bool:
        return bool(self.found)

    def bindings(self, shape_of: Callable[[int, int], str | None]) -> dict[str, dict[str, Binding]]:
        """Return bindings by rig and control, for the name of the shape of each target."""
        result: dict[str, dict[str, Binding]] = {}
        for rig, controls in self.found.items():
            for control, (weights, binary) in controls.items():
                shapes: dict[str, float] = {}
                for (mesh, target), weight in weights.items():
                    name = shape_of(mesh, target)
                    if name is not None:  # one shape of several meshes, bound on each of them
                        shapes[name] = max(shapes.get(name, weight), weight, key=abs)
                if shapes:
                    held = self.held.get(control, {}) if rig == "vrm" else {}
                    result.setdefault(rig, {})[control] = Binding(shapes, binary, held)
        return result

    def _add(self, name: str, preset: str, binds: dict[Target, float], binary: bool) -> None:
        """Add an expression under the rig that has it; a name that no rig has is left out."""
        if not binds:
            return
        if preset in Rig.load("vrm"):
            self.found.setdefault("vrm", {}).setdefault(preset, (binds, binary))
            return
        for rig in ("arkit", "oculus", "vrm"):
            spelling = vocabulary(rig).find(name)
            if spelling is None:
                continue
            weights, _ = self.found.setdefault(rig, {}).setdefault(spelling.control, ({}, binary))
            if spelling.half or not weights:
                weights |= binds
            return

    def _listed(self) -> Iterator[tuple[str, str, dict[Target, float], bool]]:
        """Yield name, preset of VRM 1 or nothing, weights of targets, and whether it is binary."""
        extensions = self._document.get("extensions", {})
        if "VRM" in extensions:
            yield from self._of_vrm_0(extensions["VRM"])
        elif "VRMC_vrm" in extensions:
            yield from self._of_vrm_1(extensions["VRMC_vrm"])

    def _of_vrm_0(
        self, extension: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, dict[Target, float], bool]]:
        groups = (extension.get("blendShapeMaster") or {}).get("blendShapeGroups") or ()
        if len(groups) > _MAX_EXPRESSIONS:
            raise ValueError(f"{len(groups)} blend shape groups")
        for group in groups:
            name = str(group.get("name", ""))
            preset = str(group.get("presetName") or "unknown").lower()
            if preset == "unknown":
                preset = name.lower()
            binds: dict[Target, float] = {}
            for bind in group.get("binds") or ():
                target = self._target(name, bind.get("mesh"), bind.get("index"))
                if target is not None:
                    binds[target] = float(bind.get("weight", 100)) / 100
            yield name, PRESETS_0.get(preset, ""), binds, bool(group.get("isBinary", False))

    def _of_vrm_1(
        self, extension: Mapping[str, Any]
    ) -> Iterator[tuple[str, str, dict[Target, float], bool]]:
        expressions = extension.get("expressions") or {}
        nodes: Sequence[Mapping[str, Any]] = self._document.get("nodes", ())
        for kind in ("preset", "custom"):
            entries = expressions.get(kind) or {}
            if len(entries) > _MAX_EXPRESSIONS:
                raise ValueError(f"{len(entries)} expressions")
            for name, entry in entries.items():
                binds: dict[Target, float] = {}
                for bind in entry.get("morphTargetBinds") or ():
                    node = int(bind["node"])
                    mesh = nodes[node].get("mesh") if 0 <= node < len(nodes) else None
                    target = self._target(str(name), mesh, bind.get("index"))
                    if target is not None:
                        binds[target] = float(bind.get("weight", 1))
                preset = name if kind == "preset" else ""
                for part, others in OVERRIDDEN.items():
                    if (way := entry.get(f"override{part}")) in ("block", "blend"):
                        for other in others:
                            self.held.setdefault(other, {})[str(name)] = way
                yield str(name), preset, binds, bool(entry.get("isBinary", False))

    def _target(self, name: str, mesh: Any, index: Any) -> Target | None:
        """Return a target of a bind, or None with a warning for one that does not exist."""
        meshes = self._document["meshes"]
        count = 0
        if isinstance(mesh, int) and 0 <= mesh < len(meshes):
            count = len(meshes[mesh]["primitives"][0].get("targets", ()))
        if isinstance(mesh, int) and isinstance(index, int) and 0 <= index < count:
            return mesh, index
        warnings.warn(
            f"{self._path}: expression {name[:60]!r} refers to morph target {str(index)[:20]} of "
            f"mesh {str(mesh)[:20]}, which does not exist; this part of it is left out",
            stacklevel=6,
        )
        return None
