"""The manifest of a model: the facts next to its ONNX file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import ModelError


@dataclass(frozen=True)
class Manifest:
    """The facts of a model, read from the JSON file next to its ONNX file."""

    name: str
    version: str
    license: str
    file: str
    """Name of the ONNX file in the same folder."""
    sha256: str
    """Of the ONNX file."""
    sample_rate: int
    """Hz of the audio it takes."""
    frame_rate: Fraction
    """Unit frames per second."""
    step_samples: int
    """Audio arrives in whole steps of this many samples; one step gives one frame."""
    units: tuple[str, ...]
    articulation: tuple[str, ...]
    """Curves in time with the sound; empty in models without them."""
    look_aheads_ms: tuple[int, ...]
    """Future audio, one head each; ascending."""
    states: Mapping[str, tuple[int, ...]]
    """Shape of every state tensor without the batch axis."""
    facts: Mapping[str, Any]
    """The whole document, training data and scores included."""

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest; raises `ModelError` when it is missing or malformed."""
        try:
            document = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise ModelError(
                f"{path} does not exist; a model is a folder with model.json and its ONNX file"
            ) from None
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read as a JSON manifest: {error}") from error
        if not isinstance(document, dict) or document.get("format") != "facesdk.model":
            raise ModelError(f'{path} is not a model manifest: expected "format": "facesdk.model"')
        if document.get("version") != 1:
            raise ModelError(f"{path}: this facesdk reads manifest version 1")
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
            frame_rate=Fraction(*document["frame_rate"]),
            step_samples=int(document["step_samples"]),
            units=tuple(document["units"]),
            articulation=tuple(document.get("articulation", ())),
            look_aheads_ms=tuple(int(v) for v in document["look_aheads_ms"]),
            states={n: tuple(shape) for n, shape in document["states"].items()},
            facts=document,
        )

    @property
    def learned(self) -> Mapping[str, Any]:
        """Facts about every output layer that was learned from recordings, by its name."""
        layers: Mapping[str, Any] = self.facts.get("learned", {})
        return layers

    def delay_steps(self, look_ahead_index: int) -> int:
        """Return how many steps the frames of a look-ahead are behind the audio."""
        return round(Fraction(self.look_aheads_ms[look_ahead_index], 1000) * self.frame_rate)
