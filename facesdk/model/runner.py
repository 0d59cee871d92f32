"""Stepwise execution of the network in preallocated buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Floats
from ..errors import ModelError

if TYPE_CHECKING:
    from .manifest import Manifest


@dataclass(frozen=True)
class _Lane:
    """The buffers for one shape of audio, bound to the graph."""

    audio: Floats
    outputs: Sequence[Floats]
    bindings: Sequence[Any]
    """Bindings from the first set of states to the second, and back."""


class Runner:
    """The network and the state of a batch of streams, stepped in place.

    Two sets of state buffers are read and written alternately. A step may use fewer rows than the
    batch has, always the first ones. Not thread-safe: it belongs to one session or batcher.
    """

    def __init__(
        self,
        graph: Any,
        manifest: Manifest,
        *,
        outputs: Mapping[str, int],
        batch: int = 1,
        identity: Floats | None = None,
    ) -> None:
        """Use `Model.runner`; `graph` is an `onnxruntime.InferenceSession`.

        `outputs` has the number of curves of each requested output by name.
        """
        self._graph, self._manifest, self._batch = graph, manifest, batch
        self._outputs = dict(outputs)
        self._identity = None
        if identity is not None:
            self._identity = np.repeat(identity, batch, axis=0).astype(np.float32)
        shapes = manifest.states.items()
        self._states = [
            {name: np.zeros((batch, *shape), np.float32) for name, shape in shapes}
            for _ in range(2)
        ]
        self._live: dict[int, _Lane] = {}
        self._turn = 0

    def reset(self) -> None:
        """Start all streams again."""
        for states in self._states:
            for tensor in states.values():
                tensor.fill(0)

    @property
    def state(self) -> Mapping[str, Floats]:
        """State tensors (batch, ...) by name, which may be changed between steps."""
        return self._states[self._turn]

    def step(self, audio: Floats) -> Sequence[Floats]:
        """Return (rows, steps, look-aheads, curves) for every output, in the requested order.

        `audio` is (rows, steps * step_samples) for the first rows of the batch; frames are those
        of `Model.step`. The arrays are reused: read them before the next step.
        """
        rows, steps = len(audio), audio.shape[1] // self._manifest.step_samples
        lane = self._lane(rows, steps)
        lane.audio[...] = audio
        try:
            self._graph.run_with_iobinding(lane.bindings[self._turn])
        except Exception as error:  # onnxruntime's errors have no common class
            name, reason = self._manifest.file, " ".join(str(error).split())[:300]
            raise ModelError(
                f"the network of {name} does not run as its manifest describes: {reason}"
            ) from error
        if not all(np.isfinite(output).all() for output in lane.outputs):
            raise ModelError(
                f"the network of {self._manifest.name!r} returned numbers that are not finite; "
                "are its weights damaged?"
            )
        self._keep_rows(rows)
        self._turn = 1 - self._turn
        return lane.outputs

    def _keep_rows(self, rows: int) -> None:
        """Copy the state of rows that were not stepped to the other set."""
        if rows == self._batch:
            return
        before, after = self._states[self._turn], self._states[1 - self._turn]
        for name, tensor in before.items():
            after[name][rows:] = tensor[rows:]

    def _lane(self, rows: int, steps: int) -> _Lane:
        if steps != 1:
            return self._bound(rows, steps)
        if rows not in self._live:
            self._live[rows] = self._bound(rows, 1)
        return self._live[rows]

    def _bound(self, rows: int, steps: int) -> _Lane:
        audio = np.zeros((rows, steps * self._manifest.step_samples), np.float32)
        look_aheads = len(self._manifest.look_aheads_ms)
        outputs = [
            np.zeros((rows, steps, look_aheads, count), np.float32)
            for count in self._outputs.values()
        ]
        first, second = self._states
        orders = ((first, second), (second, first))
        return _Lane(audio, outputs, [self._bind(rows, audio, outputs, *o) for o in orders])

    def _bind(
        self,
        rows: int,
        audio: Floats,
        outputs: Sequence[Floats],
        before: Mapping[str, Floats],
        after: Mapping[str, Floats],
    ) -> Any:
        from onnxruntime import OrtValue

        binding = self._graph.io_binding()
        inputs = {"audio": audio} | {f"state_{name}": t[:rows] for name, t in before.items()}
        if self._identity is not None:
            inputs["identity"] = self._identity[:rows]
        written = dict(zip(self._outputs, outputs, strict=True))
        written |= {f"next_{name}": t[:rows] for name, t in after.items()}
        for name, tensor in inputs.items():
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(tensor))
        for name, tensor in written.items():
            binding.bind_ortvalue_output(name, OrtValue.ortvalue_from_numpy(tensor))
        return binding
