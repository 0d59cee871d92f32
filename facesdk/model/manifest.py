"""Manifests: the JSON files that describe models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..clip import MAX_FPS
from ..documents import check_header, load_json
from ..errors import ModelError, reading
from ..rig import Rig

_MAX_STATE = 1 << 24
"""Largest number of values in one state tensor of one speaker."""


@dataclass(frozen=True)
class Manifest:
    """The properties of a model, read from the `model.json` next to its ONNX file."""

    name: str
    version: str
    license: str
    file: str
    """Name of the ONNX file in the same folder."""
    sha256: str
    """Hash of the ONNX file, hexadecimal."""
    sample_rate: int
    """Hz of the input audio."""
    fps: Fraction
    """Unit frames per second; `frame_rate` in the file."""
    step_samples: int
    """Input samples per step; every step returns one unit frame."""
    units: tuple[str, ...]
    """Names of the unit curves, in the order of the network's output."""
    articulation: tuple[str, ...]
    """Names of the curves that are synchronous with the sound; empty for models without them."""
    activity: tuple[str, ...]
    """Name of the curve of speech activity, 0..1; empty for models without it."""
    look_aheads_ms: tuple[int, ...]
    """Look-ahead of each output head, ascending."""
    states: Mapping[str, tuple[int, ...]]
    """Shape of every state tensor without the batch axis."""
    facts: Mapping[str, Any]
    """The whole document, including training data and scores."""

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Return the manifest in a file; raises `ModelError` if it is missing or malformed."""
        if not path.exists():
            raise ModelError(
                f"{path} does not exist; a model is a folder with model.json and its ONNX file"
            )
        document = load_json(path, "manifest", error=ModelError)
        check_header(document, format="facesdk.model", source=str(path), error=ModelError)
        with reading(path, ModelError):
            try:
                manifest = cls._build(document)
            except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                raise ModelError(f"{path} lacks or misspells a field: {error!r}") from error
            try:
                manifest._check()
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ModelError(f"{path} describes no model: {error}") from error
        return manifest

    @classmethod
    def _build(cls, document: Mapping[str, Any]) -> Manifest:
        name = str(document["file"])
        if Path(name).name != name:
            raise ValueError(f"file must be a plain name, got {name!r}")
        return cls(
            name=str(document["name"]),
            version=str(document["model_version"]),
            license=str(document["license"]),
            file=name,
            sha256=str(document["sha256"]),
            sample_rate=int(document["sample_rate"]),
            fps=Fraction(*document["frame_rate"]),
            step_samples=int(document["step_samples"]),
            units=tuple(document["units"]),
            articulation=tuple(document.get("articulation", ())),
            activity=tuple(document.get("activity", ())),
            look_aheads_ms=tuple(int(v) for v in document["look_aheads_ms"]),
            states={
                str(n): tuple(int(size) for size in shape)
                for n, shape in document["states"].items()
            },
            facts=document,
        )

    def _check(self) -> None:
        """Raise `ValueError` for values that no model can have; `Model` checks the graph."""
        if not 0 < self.fps <= MAX_FPS:
            raise ValueError(f"frame_rate must lie in 0..{MAX_FPS}, got {self.fps}")
        if not self.step_samples * self.fps == self.sample_rate > 0:
            raise ValueError(
                f"step_samples must be sample_rate / frame_rate, got {self.step_samples} for "
                f"{self.sample_rate} / {self.fps}"
            )
        units, sounds = Rig.load("units"), Rig.load("articulation")
        for field, names, known in (
            ("units", self.units, units),
            ("articulation", self.articulation, sounds),
        ):
            if len(set(names)) != len(names) or not set(names) <= set(known.names):
                raise ValueError(f"{field} must be names of rig {known.name!r}, each once")
        if missing := [n for n in sounds.names if n not in (self.articulation or self.units)]:
            raise ValueError(f"articulation or units must contain {missing[0]!r}")
        ahead = self.look_aheads_ms
        if (
            not ahead
            or list(ahead) != sorted(set(ahead))
            or not 0 <= ahead[0] <= ahead[-1] < 10_000
        ):
            raise ValueError(f"look_aheads_ms must ascend within 0..10000, got {list(ahead)}")
        for name, shape in self.states.items():
            if not all(size > 0 for size in shape) or math.prod(shape) > _MAX_STATE:
                raise ValueError(f"state {name!r} cannot have the shape {list(shape)}")
        for name, layer in self.learned.items():
            if not (isinstance(layer, dict) and isinstance(layer.get("output"), str)):
                raise ValueError(f"learned layer {name!r} must name its output")
            if layer["rig"] is not None and not isinstance(layer["file"], str):
                raise ValueError(f"learned layer {name!r} must name the file of its rig")

    @property
    def learned(self) -> Mapping[str, Any]:
        """Properties of every output layer that was learned from recordings, by name."""
        layers: Mapping[str, Any] = self.facts.get("learned", {})
        return layers

    def delay_steps(self, look_ahead_index: int) -> int:
        """Return the delay of a look-ahead in steps."""
        return round(Fraction(self.look_aheads_ms[look_ahead_index], 1000) * self.fps)
