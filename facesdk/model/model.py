"""The model: read-only, thread-safe, shared by all speakers of a process."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Floats
from ..errors import ModelError
from .manifest import Manifest

if TYPE_CHECKING:
    from .runner import Runner
    from .session import Session

State = Mapping[str, Floats]
"""State tensors by name, each (batch, ...)."""

DEFAULT_MODEL = "default"

LIVE_LOOK_AHEAD_MS = 100
"""Future audio that a session waits for unless told otherwise; baking waits for all it can."""


class Model:
    """An acoustic model: PCM to units. Read-only; sessions hold everything that changes."""

    def __init__(self, folder: Path | str, *, threads: int = 1) -> None:
        """Load the model of a folder with `model.json`.

        `threads` is how many cores one call may use; one keeps results the same everywhere.
        Raises `ModelError` when files are missing, damaged or not what the manifest says.
        """
        self.folder = Path(folder)
        self.manifest = Manifest.read(self.folder / "model.json")
        payload = self._payload()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._graph = onnxruntime.InferenceSession(
                payload, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelError(
                f"{self.folder / self.manifest.file} does not load: {error}"
            ) from error
        self._outputs = ["units", *(f"next_{name}" for name in self.manifest.states)]

    def _payload(self) -> bytes:
        path = self.folder / self.manifest.file
        try:
            payload = path.read_bytes()
        except OSError as error:
            raise ModelError(f"the model file {path} cannot be read: {error}") from error
        found = hashlib.sha256(payload).hexdigest()
        if found != self.manifest.sha256:
            raise ModelError(
                f"{path} is damaged or was changed: sha256 {found[:12]}…, "
                f"its manifest says {self.manifest.sha256[:12]}…; install it again"
            )
        return payload

    def start(self, batch: int = 1) -> State:
        """State of `batch` speakers who have not said anything yet."""
        shapes = self.manifest.states.items()
        return {name: np.zeros((batch, *shape), np.float32) for name, shape in shapes}

    def step(self, audio: Floats, state: State) -> tuple[Floats, State]:
        """Units of one chunk for a batch of speakers, and the state to go on from.

        `audio` is (batch, steps * step_samples) at the model's rate; the units are
        (batch, steps, look-aheads, units). Frame `i` of look-ahead `a` after `n` earlier steps
        belongs to the instant `n + i - a` steps after the first sample, where the first step of
        a stream must be silence.
        """
        feeds: dict[str, Any] = {"audio": audio}
        feeds |= {f"state_{name}": tensor for name, tensor in state.items()}
        units, *following = self._graph.run(self._outputs, feeds)
        return units, dict(zip(self.manifest.states, following, strict=True))

    def runner(self, batch: int = 1, *, articulation: bool = False) -> Runner:
        """The fastest way through a stream: keeps the state itself and steps in place.

        `articulation` adds the curves in time with the sound behind the units; raises
        `ModelError` when the model does not tell them.
        """
        from .runner import Runner

        if articulation and not self.manifest.articulation:
            raise ModelError(
                f"model {self.manifest.name!r} does not tell rig 'articulation'; "
                "use the default model or train one with this version"
            )
        return Runner(self._graph, self.manifest, batch=batch, articulation=articulation)

    def look_ahead(self, milliseconds: float | None) -> int:
        """Index of the look-ahead that fits best: the longest not above the wish."""
        offered = self.manifest.look_aheads_ms
        if milliseconds is None:
            return len(offered) - 1
        fitting = [i for i, ms in enumerate(offered) if ms <= milliseconds]
        if not fitting:
            raise ModelError(
                f"look-ahead must be at least {offered[0]} ms; this model offers "
                f"{', '.join(map(str, offered))} ms, got {milliseconds}"
            )
        return fitting[-1]

    def session(
        self,
        *,
        rig: str | Sequence[str] = "arkit",
        fps: Fraction | float | str = 60,
        look_ahead_ms: float | None = LIVE_LOOK_AHEAD_MS,
        seed: int = 0,
        sample_rate: int | None = None,
        channels: int = 1,
        low_delay: bool = True,
        blinks: bool = True,
        settle: bool = True,
        tail: float = 0.0,
    ) -> Session:
        """A new speaker on a rig, or on several rigs at once; see `Session`."""
        from .session import Session

        return Session(
            self, rig=rig, fps=fps, look_ahead_ms=look_ahead_ms, seed=seed,
            sample_rate=sample_rate, channels=channels, low_delay=low_delay, blinks=blinks,
            settle=settle, tail=tail,
        )  # fmt: skip


def load(path: Path | str | None = None, *, threads: int = 1) -> Model:
    """A model from its folder, or the default model that comes with facesdk."""
    if path is not None:
        folder = Path(path)
        return Model(
            folder.parent if folder.suffix in (".json", ".onnx") else folder, threads=threads
        )
    packaged = resources.files("facesdk") / "data" / "models" / DEFAULT_MODEL
    return Model(Path(str(packaged)), threads=threads)
