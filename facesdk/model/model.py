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
from ..clip import exact_fps
from ..errors import ModelError, reading
from ..performance import Performance, PerformanceFields
from .manifest import Manifest

if TYPE_CHECKING:
    from ..motion import MotionPart
    from .guide import Guide
    from .performer import Performer
    from .rig_outputs import RigOutputs, RigSpec
    from .runner import Runner
    from .session import MultiSession, Session
    from .stream import Batcher, LocalStream

log = logging.getLogger("facesdk")

State = Mapping[str, Floats]
"""State tensors by name, each (batch, ...)."""

DEFAULT_MODEL = "default"

LIVE_LOOK_AHEAD_MS = 80
"""Default look-ahead of sessions; baking uses the longest of the model."""


class Model:
    """An acoustic model: audio to speech units. Read-only; all state is in the sessions."""

    def __init__(self, folder: Path | str, *, threads: int = 1) -> None:
        """Load the model in a folder with `model.json`.

        `threads` is the number of threads per call; results are reproducible with one. Raises
        `ModelError` for files that are missing, damaged or differ from the manifest.
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
        with reading(self.folder / self.manifest.file, ModelError):
            self._sizes = self._output_sizes()
        log.info("loaded model %s %s", self.manifest.name, self.manifest.version)

    def _output_sizes(self) -> Mapping[str, int]:
        """Return the number of curves of every output that the manifest describes."""
        manifest = self.manifest
        described = ["units", *(str(facts["output"]) for facts in manifest.learned.values())]
        described += [n for n in ("articulation", "activity") if getattr(manifest, n)]
        found = {output.name: output.shape for output in self._graph.get_outputs()}
        given = {entry.name: entry.shape for entry in self._graph.get_inputs()}
        heads = len(manifest.look_aheads_ms)
        states = manifest.states.items()
        sizes = {
            "units": len(manifest.units),
            "articulation": len(manifest.articulation),
            "activity": len(manifest.activity),
        }
        self._require("output", found, {
            **{name: (heads, sizes.get(name)) for name in described},
            **{f"next_{name}": shape for name, shape in states},
        })  # fmt: skip
        self._require("input", given, {
            "audio": (None,), **{f"state_{name}": shape for name, shape in states}
        })  # fmt: skip
        return {name: int(found[name][-1]) for name in described}

    def _require(
        self,
        kind: str,
        found: Mapping[str, Sequence[int | str | None]],
        expected: Mapping[str, Sequence[int | None]],
    ) -> None:
        """Raise `ModelError` unless the graph has these tensors; shapes without their first axes.

        An expected size of None may be any.
        """
        graph = self.folder / self.manifest.file
        for name, shape in expected.items():
            if name not in found:
                raise ModelError(f"{graph} has no {kind} {name!r}, which its manifest describes")
            last = list(found[name])[len(found[name]) - len(shape) :]
            pairs = zip(last, shape, strict=False)
            if len(last) != len(shape) or any(
                size is not None and isinstance(real, int) and real != size for real, size in pairs
            ):
                raise ModelError(
                    f"{kind} {name!r} of {graph} is {list(found[name])}, "
                    f"but its manifest describes {list(shape)} in its last axes"
                )
            if kind == "output" and not isinstance(last[-1], int):
                raise ModelError(f"{kind} {name!r} of {graph} has no fixed number of curves")

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
                f"{path} is damaged or was changed: its sha256 is {found[:12]}…, "
                f"expected {self.manifest.sha256[:12]}…; install it again"
            )
        return payload

    def start(self, batch: int = 1) -> State:
        """Return the initial state of `batch` streams."""
        shapes = self.manifest.states.items()
        return {name: np.zeros((batch, *shape), np.float32) for name, shape in shapes}

    def step(self, audio: Floats, state: State) -> tuple[Floats, State]:
        """Return the units of one chunk for a batch of streams, and the next state.

        `audio` is (batch, steps * step_samples) at the model's sample rate; the units are
        (batch, steps, look-aheads, units). The first step of a stream must be silence. With a
        look-ahead of `a` steps, frame `i` after `n` earlier steps is at `n + i - a` steps after
        the first sample. A pure function; `runner` is faster.
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
        """Return a runner: the network with the state of a batch of streams.

        `outputs` are `units`, `articulation` (the curves that are synchronous with the sound),
        `activity` (of speech) or outputs of learned layers; `identity` is the (1, E) speaker
        embedding of the latter. Raises `ModelError` for an output that the model does not have.
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

    def stream(
        self, outputs: RigOutputs, *, look_ahead_index: int, performance: Performance
    ) -> LocalStream:
        """Return a stream of the unit frames that a performance on rig outputs requires."""
        from .stream import LocalStream, RowLayout, UnitDecoder, motion_layout, network_outputs

        further = {name: outputs.network_size(name) for name in outputs.network_outputs}
        layout = RowLayout(further)
        if performance.lips:
            layout = motion_layout(self.manifest, further)
        names = network_outputs(layout, self.manifest)
        if missing := set(further) - set(names):
            self.runner(outputs=sorted(missing))  # raises: the model does not have this output
        runner = self.runner(outputs=names, identity=outputs.identity)
        lead = performance.lead_frames(self.manifest.fps)
        decoder = UnitDecoder(self.manifest, layout, look_ahead_index, lead_steps=lead)
        return LocalStream(runner, decoder, layout)

    def batcher(self, *, capacity: int = 64) -> Batcher:
        """Return a batcher, which steps many streams in one call of the network."""
        from .stream import Batcher

        return Batcher(self, capacity=capacity)

    def performer(
        self,
        rigs: Sequence[RigSpec],
        *,
        fps: Fraction | float | str = 60,
        look_ahead_ms: float | None = LIVE_LOOK_AHEAD_MS,
        motion: Sequence[MotionPart] = (),
        performance: Performance | None = None,
        **options: Unpack[PerformanceFields],
    ) -> Performer:
        """Return the second half of a session, for a stream of `batcher`.

        `look_ahead_ms` is that of the stream; the other arguments are those of `multi_session`.
        """
        from .performer import Performer
        from .rig_outputs import RigOutputs
        from .stream import motion_layout

        performance = Performance.of(performance, options)
        index = self.look_ahead(look_ahead_ms)
        delay = self.manifest.delay_steps(index) + performance.lead_frames(self.manifest.fps)
        return Performer(
            RigOutputs(rigs, self),
            unit_fps=self.manifest.fps,
            fps=exact_fps(fps),
            performance=performance,
            motion=motion,
            layout=motion_layout(self.manifest),
            look_ahead_ms=self.manifest.look_aheads_ms[index],
            held_back=delay - 1,
        )

    def look_ahead(self, milliseconds: float | None) -> int:
        """Return the index of the longest look-ahead not above `milliseconds`; None for the last.

        Raises `ModelError` if all are longer.
        """
        offered = self.manifest.look_aheads_ms
        if milliseconds is None:
            return len(offered) - 1
        fitting = [i for i, ms in enumerate(offered) if ms <= milliseconds]
        if not fitting:
            raise ModelError(
                f"look-ahead must be at least {offered[0]} ms, got {milliseconds}; "
                f"this model has {', '.join(map(str, offered))} ms"
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
        guide: Guide | None = None,
        performance: Performance | None = None,
        **options: Unpack[PerformanceFields],
    ) -> Session:
        """Return a session of one speaker on one rig.

        `rig` is anything that `RigSpec` allows. `look_ahead_ms` None uses the longest look-ahead
        of the model. `sample_rate` (default: the model's) and `channels` are those of the pushed
        audio; `low_delay` resamples it with the short filter of `StreamResampler`. `motion` adds
        motion parts of your own; a `guide` is the aligned text of the line. Options of the
        performance are given as a `performance` or as keywords such as `seed=7`.

        Raises `ModelError`, `RigError`, `AudioError` or `PerformanceError` for settings that are
        not possible.
        """
        from .session import Session

        return Session(
            self, [rig], fps=fps, look_ahead_ms=look_ahead_ms, sample_rate=sample_rate,
            channels=channels, low_delay=low_delay, motion=motion, guide=guide,
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
        guide: Guide | None = None,
        performance: Performance | None = None,
        **options: Unpack[PerformanceFields],
    ) -> MultiSession:
        """Return a session of one speaker on several rigs; see `session`."""
        from .session import MultiSession

        return MultiSession(
            self, rigs, fps=fps, look_ahead_ms=look_ahead_ms, sample_rate=sample_rate,
            channels=channels, low_delay=low_delay, motion=motion, guide=guide,
            performance=Performance.of(performance, options),
        )  # fmt: skip


def load(path: Path | str | None = None, *, threads: int = 1) -> Model:
    """Return the model in a folder, or the built-in default model.

    `path` may also be the `model.json` or ONNX file in the folder. `threads` is the number of
    threads per call. Raises `ModelError` for files that are missing or damaged.
    """
    if path is not None:
        folder = Path(path)
        return Model(
            folder.parent if folder.suffix in (".json", ".onnx") else folder, threads=threads
        )
    packaged = resources.files("facesdk") / "data" / "models" / DEFAULT_MODEL
    return Model(Path(str(packaged)), threads=threads)
