"""Output layers of a model that were learned from recordings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Floats
from ..errors import ModelError, unknown_name
from ..rig import Rig

if TYPE_CHECKING:
    from .model import Model

_BLOCK = 500
"""Steps in one run of the network."""


@dataclass(frozen=True, eq=False)
class LearnedLayer:
    """An output of a model that was learned from recordings, run as one speaker.

    Sessions and `facesdk.bake` take it as a rig. `run` returns the bare numbers, for research and
    for layers that predict vertices.
    """

    model: Model
    name: str
    facts: Mapping[str, Any]
    speaker: str | None
    """Subject of the recordings whose style it takes; None for the pivot, which fits anybody."""
    identity: Floats | None
    """(1, E) embedding of the speaker; None where the model does not tell speakers apart."""

    @classmethod
    def of(
        cls, model: Model, name: str | None = None, *, speaker: str | None = None
    ) -> LearnedLayer:
        """Return a layer by name, by default the only one.

        Raises `ModelError` for a model without such layers, `UnknownNameError` for a layer or a
        speaker that does not exist.
        """
        layers = model.manifest.learned
        if not layers:
            raise ModelError(
                f"the model {model.manifest.name!r} has no learned layers; "
                "make one with facesdk train --learn"
            )
        if name is None and len(layers) == 1:
            (name,) = layers
        if name is None or name not in layers:
            raise unknown_name("the model has no learned layer", name or "", layers)
        return cls(model, name, layers[name], speaker, _embedding(model, name, speaker))

    def __repr__(self) -> str:
        rig = "vertices" if self.rig is None else f"rig {self.rig.name!r}"
        return f"<LearnedLayer {self.name!r} as {self.speaker or 'anybody'}, {rig}>"

    @property
    def output(self) -> str:
        """Name of the network's output."""
        return str(self.facts["output"])

    @cached_property
    def rig(self) -> Rig | None:
        """The rig of the numbers; None where they are coefficients of a basis of vertices."""
        if self.facts["rig"] is None:
            return None
        return Rig.load(self.model.folder / Path(self.facts["file"]).name)

    def run(self, samples: Floats, *, look_ahead_ms: float | None = None) -> Floats:
        """Return (T, K) numbers of (N,) samples at the model's sample rate, at its frame rate.

        As many frames as steps begin in the audio. The look-ahead is the longest one that is not
        above `look_ahead_ms`, by default the longest.
        """
        manifest = self.model.manifest
        index = self.model.look_ahead(look_ahead_ms)
        delay = manifest.delay_steps(index)
        frames = -(-len(samples) // manifest.step_samples)
        size = (1 + frames + delay) * manifest.step_samples
        audio = np.zeros((1, size), np.float32)  # one step of silence comes first
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
    known = {
        full.partition("/")[2]: row
        for full, row in facts["speakers"].items()
        if full.startswith(f"{name}/")
    }
    if speaker not in known:
        raise unknown_name(f"the learned layer {name!r} has no speaker", speaker, known)
    return np.array([known[speaker]], np.float32)
