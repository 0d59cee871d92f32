"""Manifests: the JSON files that describe models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..documents import check_header
from ..errors import ModelError


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
        try:
            document = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise ModelError(
                f"{path} does not exist; a model is a folder with model.json and its ONNX file"
            ) from None
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read as a JSON manifest: {error}") from error
        check_header(document, format="facesdk.model", source=str(path), error=ModelError)
        try:
            return cls._build(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{path} lacks or misspells a field: {error!r}") from error

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
            states={n: tuple(shape) for n, shape in document["states"].items()},
            facts=document,
        )

    @property
    def learned(self) -> Mapping[str, Any]:
        """Properties of every output layer that was learned from recordings, by name."""
        layers: Mapping[str, Any] = self.facts.get("learned", {})
        return layers

    def delay_steps(self, look_ahead_index: int) -> int:
        """Return the delay of a look-ahead in steps."""
        return round(Fraction(self.look_aheads_ms[look_ahead_index], 1000) * self.fps)
