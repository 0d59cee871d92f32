"""The network at work for one speaker, without a copy or an allocation where a step needs none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Floats

if TYPE_CHECKING:
    from .manifest import Manifest


@dataclass(frozen=True)
class _Lane:
    """Buffers for one length of audio, bound to the graph."""

    audio: Floats
    curves: Sequence[Floats]
    """Units, and what else is wanted."""
    bindings: Sequence[Any]
    """From the first set of states to the second, and back."""


class Runner:
    """Steps of one batch of speakers, in order; equal to `Model.step` call by call.

    Two sets of state buffers are read and written in turn. It belongs to one session.
    """

    def __init__(
        self, graph: Any, manifest: Manifest, *, batch: int = 1, articulation: bool = False
    ) -> None:
        """Use `Model.runner`; `graph` is an `onnxruntime.InferenceSession`."""
        self._graph, self._manifest, self._batch = graph, manifest, batch
        self._outputs = {"units": len(manifest.units)}
        if articulation:
            self._outputs["articulation"] = len(manifest.articulation)
        shapes = manifest.states.items()
        self._states = [
            {name: np.zeros((batch, *shape), np.float32) for name, shape in shapes}
            for _ in range(2)
        ]
        self._live = self._lane(1)
        self._turn = 0

    def reset(self) -> None:
        """Begin a new stream."""
        for states in self._states:
            for tensor in states.values():
                tensor.fill(0)

    def step(self, audio: Floats) -> Floats:
        """(batch, steps, look-aheads, curves) for (batch, steps * step_samples) of audio.

        As in `Model.step`. The array is used again: read it before the next step.
        """
        steps = audio.shape[1] // self._manifest.step_samples
        lane = self._live if steps == 1 else self._lane(steps)
        lane.audio[...] = audio
        self._graph.run_with_iobinding(lane.bindings[self._turn])
        self._turn = 1 - self._turn
        return lane.curves[0] if len(lane.curves) == 1 else np.concatenate(lane.curves, -1)

    def _lane(self, steps: int) -> _Lane:
        manifest, batch = self._manifest, self._batch
        audio = np.zeros((batch, steps * manifest.step_samples), np.float32)
        heads = len(manifest.look_aheads_ms)
        curves = [
            np.zeros((batch, steps, heads, count), np.float32) for count in self._outputs.values()
        ]
        before, after = self._states
        ways = ((before, after), (after, before))
        return _Lane(audio, curves, [self._bind(audio, curves, *way) for way in ways])

    def _bind(
        self,
        audio: Floats,
        curves: Sequence[Floats],
        before: dict[str, Floats],
        after: dict[str, Floats],
    ) -> Any:
        from onnxruntime import OrtValue

        binding = self._graph.io_binding()
        inputs = {"audio": audio} | {f"state_{name}": t for name, t in before.items()}
        outputs = dict(zip(self._outputs, curves, strict=True))
        outputs |= {f"next_{name}": t for name, t in after.items()}
        for name, tensor in inputs.items():
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(tensor))
        for name, tensor in outputs.items():
            binding.bind_ortvalue_output(name, OrtValue.ortvalue_from_numpy(tensor))
        return binding
