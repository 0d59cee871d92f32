"""Output layers of a model that were learned from recordings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Floats
from ..errors import ModelError, reading, unknown_name
from ..rig import Rig

if TYPE_CHECKING:
    from .model import Model

_BLOCK = 500
"""Steps in one run of the network."""


@dataclass(frozen=True, eq=False)
class LearnedLayer:
    """An output layer of a model that was learned from recordings, in the style of one speaker.

    Sessions and `facesdk.bake` accept it as a rig. `run` returns its raw output, for research and
    for layers that predict vertices.
    """

    model: Model
    name: str
    facts: Mapping[str, Any]
    """Entry of the layer in the manifest."""
    speaker: str | None
    """Subject of the recordings whose style is used; None for the speaker-independent pivot."""
    identity: Floats | None
    """(1, E) embedding of the speaker; None for a model without speaker embeddings."""

    @classmethod
    def of(
        cls, model: Model, name: str | None = None, *, speaker: str | None = None
    ) -> LearnedLayer:
        """Return a layer by name, or the only one of the model.

        Raises `ModelError` for a model without learned layers, `UnknownNameError` for an unknown
        layer or speaker.
        """
        layers = model.manifest.learned
        if not layers:
            raise ModelError(
                f"the model {model.manifest.name!r} has no learned layers; "
                "train one with facesdk train --learn"
            )
        if name is None and len(layers) == 1:
            (name,) = layers
        if name is None or name not in layers:
            raise unknown_name("the model has no learned layer", name or "", layers)
        with reading(f"the manifest of model {model.manifest.name!r}", ModelError):
            return cls(model, name, layers[name], speaker, _embedding(model, name, speaker))

    def __repr__(self) -> str:
        rig = "vertices" if self.rig is None else f"rig {self.rig.name!r}"
        return f"<LearnedLayer {self.name!r} as {self.speaker or 'pivot'}, {rig}>"

    @property
    def output(self) -> str:
        """Name of the network's output."""
        return str(self.facts["output"])

    @cached_property
    def rig(self) -> Rig | None:
        """The rig of the output; None for coefficients of a vertex basis."""
        if self.facts["rig"] is None:
            return None
        return Rig.load(self.model.folder / Path(self.facts["file"]).name)

    def run(self, samples: Floats, *, look_ahead_ms: float | None = None) -> Floats:
        """Return the (T, K) output for (N,) samples at the model's sample rate.

        T is the number of steps that begin in the audio, at the model's frame rate. The look-ahead
        is the longest not above `look_ahead_ms`, by default the longest of all.
        """
        manifest = self.model.manifest
        index = self.model.look_ahead(look_ahead_ms)
        delay = manifest.delay_steps(index)
        frames = -(-len(samples) // manifest.step_samples)
        size = (1 + frames + delay) * manifest.step_samples
        audio = np.zeros((1, size), np.float32)  # starts with one step of silence
        audio[0, manifest.step_samples :][: len(samples)] = samples
        runner = self.model.runner(outputs=[self.output], identity=self.identity)
        block = _BLOCK * manifest.step_samples
        parts = [
            runner.step(audio[:, begin : begin + block])[0][0, :, index]
            for begin in range(0, size, block)
        ]
        return np.concatenate(parts)[delay : delay + frames]


def _embedding(model: Model, name: str, speaker: str | None) -> Floats | None:
    """Return the (1, E) embedding of a speaker or of the pivot."""
    facts = model.manifest.facts.get("identity")
    if facts is None:
        return None
    if speaker is None:
        return np.array([facts["pivot"]], np.float32)
    speakers = {
        full.partition("/")[2]: row
        for full, row in facts["speakers"].items()
        if full.startswith(f"{name}/")
    }
    if speaker not in speakers:
        raise unknown_name(f"the learned layer {name!r} has no speaker", speaker, speakers)
    return np.array([speakers[speaker]], np.float32)
