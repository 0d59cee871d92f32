"""Output layers that were learned from recordings: which a model has, and baking through them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Floats
from ..audio import SAMPLE_RATE, read_audio
from ..clip import Clip
from ..errors import ModelError, unknown_name
from ..motion import Performance
from ..rig import Rig
from .model import Model
from .output import Output
from .table import table_names

_BLOCK = 500
"""Steps in one run of the network."""


@dataclass(frozen=True, eq=False)
class LearnedLayer:
    """An output of a model that was learned from recordings, heard as one speaker.

    `LearnedLayer.of(model, name)` finds it; `bake` makes a clip, `run` the bare numbers.
    """

    model: Model
    name: str
    facts: Mapping[str, Any]
    identity: Floats | None
    """(1, E) embedding of who speaks; None where the model tells nobody apart."""

    @classmethod
    def of(
        cls, model: Model, name: str | None = None, *, speaker: str | None = None
    ) -> LearnedLayer:
        """A layer by name, by default the only one.

        `speaker` is a subject of its recordings, whose style it takes; None is the pivot, which
        fits anybody. Raises `ModelError` for a model without such layers, `UnknownNameError` for
        names it does not know.
        """
        layers: Mapping[str, Any] = model.manifest.facts.get("learned", {})
        if not layers:
            raise ModelError(
                f"the model {model.manifest.name!r} has no learned layers; "
                "make one with facesdk train --learn"
            )
        if name is None and len(layers) == 1:
            (name,) = layers
        if name is None or name not in layers:
            raise unknown_name("the model has no learned layer", name or "", layers)
        return cls(model, name, layers[name], _embedding(model, name, speaker))

    @cached_property
    def rig(self) -> Rig | None:
        """What the numbers mean; None where they are coefficients of a basis of vertices."""
        if self.facts["rig"] is None:
            return None
        return Rig.load(self.model.folder / Path(self.facts["file"]).name)

    def run(self, samples: Floats, *, look_ahead_ms: float | None = None) -> Floats:
        """(T, K) numbers of (N,) samples at 16 kHz, at the model's frame rate.

        As many frames as steps begin in the audio; the look-ahead is the longest not above the
        wish, by default the longest.
        """
        manifest = self.model.manifest
        look = self.model.look_ahead(look_ahead_ms)
        delay = round(Fraction(manifest.look_aheads_ms[look], 1000) * manifest.frame_rate)
        frames = -(-len(samples) // manifest.step_samples)
        size = (1 + frames + delay) * manifest.step_samples
        audio = np.zeros((1, size), np.float32)  # one step of silence comes first
        audio[0, manifest.step_samples :][: len(samples)] = samples
        blocks, state = [], self.model.start()
        for begin in range(0, size, _BLOCK * manifest.step_samples):
            chunk = audio[:, begin : begin + _BLOCK * manifest.step_samples]
            spoken, state = self._step(chunk, state)
            blocks.append(spoken[0, :, look])
        return np.concatenate(blocks)[delay : delay + frames]

    def _step(self, audio: Floats, state: Mapping[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
        feeds: dict[str, Any] = {"audio": audio}
        feeds |= {f"state_{name}": tensor for name, tensor in state.items()}
        if self.identity is not None:
            feeds["identity"] = self.identity
        states = self.model.manifest.states
        names = [self.facts["output"], *(f"next_{name}" for name in states)]
        spoken, *following = self._graph.run(names, feeds)
        return spoken, dict(zip(states, following, strict=True))

    @cached_property
    def _graph(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        path = self.model.folder / self.model.manifest.file
        return onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )

    def bake(
        self,
        audio: str | Path | Floats,
        *,
        fps: Fraction | float | str = 60,
        look_ahead_ms: float | None = None,
        seed: int = 0,
        blinks: bool = True,
    ) -> Clip:
        """A finished clip for a line of speech: a file, or (N,) samples at 16 kHz.

        Blinks are added as the motion layer makes them, where units reach the rig.
        """
        if self.rig is None:
            raise ModelError(
                f"the learned layer {self.name!r} speaks in vertices; run() gives its coefficients"
            )
        samples = audio if isinstance(audio, np.ndarray) else _read(audio)
        values = self.run(samples, look_ahead_ms=look_ahead_ms)
        if blinks and self.rig.name in table_names():
            values = np.clip(
                values + self._blinks(len(values), seed), self.rig.minimum, self.rig.maximum
            )
        meta = {"generator": "facesdk", "controls_from": f"learned layer {self.name!r}"}
        clip = Clip(self.rig, values, self.model.manifest.frame_rate, meta=meta)
        return clip.resample(fps)

    def _blinks(self, frames: int, seed: int) -> Floats:
        """(T, C) what blinking adds to a resting face on the rig."""
        assert self.rig is not None
        output = Output(self.rig.name)
        rest = np.tile(Rig.load("units").rest, (frames, 1))
        moved = Performance(self.model.manifest.frame_rate, seed=seed, blinks=True)(rest, 0)
        return output(moved) - output(rest)


def _read(path: str | Path) -> Floats:
    return read_audio(path, sample_rate=SAMPLE_RATE)


def _embedding(model: Model, name: str, speaker: str | None) -> Floats | None:
    """(1, E) of a speaker or of the pivot."""
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
        raise unknown_name(f"the learned layer {name!r} knows no speaker", speaker, known)
    return np.array([known[speaker]], np.float32)
