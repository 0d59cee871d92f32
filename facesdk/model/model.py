"""The model: read-only, thread-safe, shared by all speakers of a process."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from ..arrays import Floats
from ..errors import ModelError
from ..performance import Performance, PerformanceFields
from .manifest import Manifest

if TYPE_CHECKING:
    from ..motion import MotionPart
    from .rig_outputs import RigOutputs, RigSpec
    from .runner import Runner
    from .session import MultiSession, Session
    from .stream import Batcher, LocalStream

log = logging.getLogger("facesdk")

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
        self._sizes = self._output_sizes()
        log.info("loaded model %s %s", self.manifest.name, self.manifest.version)

    def _output_sizes(self) -> Mapping[str, int]:
        """Return the number of curves of every output that the manifest describes."""
        manifest = self.manifest
        described = ["units", *(str(facts["output"]) for facts in manifest.learned.values())]
        if manifest.articulation:
            described.append("articulation")
        found = {output.name: output.shape[-1] for output in self._graph.get_outputs()}
        if missing := [name for name in described if name not in found]:
            raise ModelError(f"{self.folder / manifest.file} has no output {missing[0]!r}")
        return {name: int(found[name]) for name in described}

    def __repr__(self) -> str:
        manifest = self.manifest
        return f"<Model {manifest.name!r} version {manifest.version}>"

    def __reduce__(self) -> tuple[type[Model], tuple[Path]]:
        return (Model, (self.folder,))

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
        """Return the state of `batch` streams that have not begun."""
        shapes = self.manifest.states.items()
        return {name: np.zeros((batch, *shape), np.float32) for name, shape in shapes}

    def step(self, audio: Floats, state: State) -> tuple[Floats, State]:
        """Return the units of one chunk for a batch of streams, and the state that follows.

        `audio` is (batch, steps * step_samples) at the model's rate; the units are
        (batch, steps, look-aheads, units). Frame `i` of look-ahead `a` after `n` earlier steps
        belongs to the instant `n + i - a` steps after the first sample, where the first step of
        a stream must be silence. A plain function of its arguments; `runner` is faster.
        """
        runner = self.runner(len(audio))
        for name, tensor in runner.state.items():
            tensor[...] = state[name]
        (units,) = runner.step(audio)
        return units, runner.state

    def runner(
        self,
        batch: int = 1,
        *,
        outputs: Sequence[str] = ("units",),
        identity: Floats | None = None,
    ) -> Runner:
        """Return the network with the state of a batch of streams, which it steps in place.

        `outputs` names what it returns: `units`, `articulation` (the curves in time with the
        sound), outputs of learned layers; `identity` is the (1, E) embedding that those take.
        Raises `ModelError` for an output that the model does not have.
        """
        from .runner import Runner

        for name in outputs:
            if name not in self._sizes:
                raise ModelError(
                    f"model {self.manifest.name!r} has no output {name!r}; "
                    "use the default model or train one with this version"
                )
        sizes = {name: self._sizes[name] for name in outputs}
        return Runner(self._graph, self.manifest, outputs=sizes, batch=batch, identity=identity)

    def stream(self, outputs: RigOutputs, *, look_ahead_index: int) -> LocalStream:
        """Return a stream of the unit frames that rig outputs need."""
        from .stream import LocalStream, UnitDecoder

        further = {name: outputs.network_size(name) for name in outputs.network_outputs}
        runner = self.runner(outputs=["units", *further], identity=outputs.identity)
        return LocalStream(runner, UnitDecoder(self.manifest, further, look_ahead_index))

    def batcher(self, *, capacity: int = 64, articulation: bool = False) -> Batcher:
        """Return a batcher: many streams stacked into one call of the network."""
        from .stream import Batcher

        return Batcher(self, capacity=capacity, articulation=articulation)

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
        rig: RigSpec = "arkit",
        fps: Fraction | float | str = 60,
        look_ahead_ms: float | None = LIVE_LOOK_AHEAD_MS,
        sample_rate: int | None = None,
        channels: int = 1,
        low_delay: bool = True,
        motion: Sequence[MotionPart] = (),
        performance: Performance | None = None,
        **options: Unpack[PerformanceFields],
    ) -> Session:
        """Return a session: one speaker on one rig.

        `rig` is anything that `RigSpec` allows. `look_ahead_ms` None waits for the longest
        look-ahead that the model has. `sample_rate` (the model's if not given) and `channels` are
        those of the audio pushed; `low_delay` resamples it with the short filter of
        `StreamResampler`. `motion` has motion of your own. `performance`, or its fields as
        keywords such as `seed=7`, say how it is performed.

        Raises `ModelError`, `RigError`, `AudioError` or `PerformanceError` for settings that
        cannot be met.
        """
        from .session import Session

        return Session(
            self, [rig], fps=fps, look_ahead_ms=look_ahead_ms, sample_rate=sample_rate,
            channels=channels, low_delay=low_delay, motion=motion,
            performance=Performance.of(performance, options),
        )  # fmt: skip

    def multi_session(
        self,
        rigs: Sequence[RigSpec],
        *,
        fps: Fraction | float | str = 60,
        look_ahead_ms: float | None = LIVE_LOOK_AHEAD_MS,
        sample_rate: int | None = None,
        channels: int = 1,
        low_delay: bool = True,
        motion: Sequence[MotionPart] = (),
        performance: Performance | None = None,
        **options: Unpack[PerformanceFields],
    ) -> MultiSession:
        """Return a session of one speaker on several rigs at once; see `session`."""
        from .session import MultiSession

        return MultiSession(
            self, rigs, fps=fps, look_ahead_ms=look_ahead_ms, sample_rate=sample_rate,
            channels=channels, low_delay=low_delay, motion=motion,
            performance=Performance.of(performance, options),
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
