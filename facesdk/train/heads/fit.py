"""Learning output layers from annotated recordings, on a trunk that can already listen.

Several data sets share the trunk, each with its own layer. The switches of `LearnConfig` are what
the field found to matter: vertices as coefficients of principal components, layers before trunk,
and a pivot identity; each can be turned off.
"""

from __future__ import annotations

import copy
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...arrays import Floats
from ...audio.features import FLOOR
from ...datasets.faces.annotations import AnnotatedSet, Take
from ...errors import FileFormatError, unknown_name
from ...files import whole_file
from ...mesh.builtin.head import builtin_head
from ...mesh.drive import shape_weights
from ...mesh.fit.calibrate import flame_head
from ...mesh.flame import FlameModel
from ...resample import frame_count, resample
from ..trunk import augment
from ..trunk.data import FRAMES, line_mel
from ..trunk.network import STACK, Trunk
from .network import AffineCode, Code, MultiHead, PcaCode, with_pivot
from .vertex_loss import FlameVertexLoss, VertexLoss, surface_weights, thinned

Report = Callable[[str], None]

_POWER_FLOOR = 1e-9
_SHORTEST = Fraction(1, 2)
"""Seconds of a take that is worth learning from."""


@dataclass(frozen=True)
class LearnConfig:
    """How to learn output layers; every field is a key of the TOML file of `--settings`."""

    steps: int = 1500
    rate: float = 2e-3
    """Learning rate of the layers and identities."""
    tune_trunk: bool = False
    """Whether the trunk learns too. Its units are held to what they were, see `anchor`."""
    trunk_rate: float = 1e-4
    decoder_warm_up: int = 300
    """First steps in which the trunk stays as it is: fresh layers would spoil it. 0 is off."""
    pca: bool = True
    """Whether vertices are learned as coefficients of principal components; off, one by one."""
    explained: float = 0.995
    """Share of the variance that the components carry."""
    most_components: int = 256
    embedding: int = 16
    """Numbers that tell people apart; 0 makes one style of all."""
    pivot_odds: float = 0.1
    """Chance that a speaker is trained as the pivot, which serves those nobody has seen."""
    hidden: int = 96
    coefficients: float = 0.2
    """Weight of the squared error of the predicted numbers themselves."""
    surface: float = 1.0
    """Weight of the squared error in mm² on the face; see `VertexLoss`."""
    velocity: float = 3.0
    """Weight of the same errors of the change from frame to frame."""
    anchor: float = 100.0
    """Weight of the squared change of the units of a trunk that learns too."""
    batch: int = 8
    crop: int = 150
    """Steps of 20 ms in one crop."""
    balance: float = 0.5
    """Data sets are drawn by hours to this power: 1 leaves small ones behind, 0 makes all alike."""
    augment: bool = True
    """Whether crops get other voices, microphones and noise."""
    flame_model: str = ""
    """Path of the FLAME model that controls of the rig `flame` are measured on; none if empty."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "most_components", "hidden", "batch", "crop"):
            if getattr(self, name) < 1:
                raise FileFormatError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("pivot_odds", "explained", "balance"):
            if not 0 <= getattr(self, name) <= 1:
                raise FileFormatError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        for name in (
            "rate", "trunk_rate", "decoder_warm_up", "embedding", "coefficients", "surface",
            "velocity", "anchor", "seed",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) < math.inf:
                raise FileFormatError(f"{name} must not be negative, got {getattr(self, name)}")

    @classmethod
    def load(cls, path: Path) -> LearnConfig:
        """Settings from a TOML file; raises `FileFormatError` or `UnknownNameError`."""
        try:
            document = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise FileFormatError(f"{path} cannot be read as TOML: {error}") from error
        kinds = {f.name: type(f.default) for f in fields(cls)}
        for name, value in document.items():
            if name not in kinds:
                raise unknown_name(f"{path}: no setting", name, kinds)
            if type(value) not in ((int, float) if kinds[name] is float else (kinds[name],)):
                raise FileFormatError(
                    f"{path}: {name} must be of type {kinds[name].__name__}, got {value!r}"
                )
        return cls(**document)

    def rate_at(self, step: int) -> float:
        """Share of the learning rate: a short warm-up, then a half cosine to 2 %."""
        rise = min(1.0, (step + 1) / min(50, max(1, self.steps // 10)))
        return rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps))))


# ------------------------------------------------------------------ data


@dataclass(frozen=True, eq=False)
class Example:
    """A take, ready to learn from."""

    take: Take
    speaker: str
    """Name of the identity: data set and subject."""
    mel: NDArray[np.float16]
    """(2 T, 64) log10 of band power."""
    codes: Floats
    """(T, K) numbers to predict, 50 a second."""


class Lesson:
    """A data set with the code of its annotation, and its takes as examples."""

    def __init__(self, source: AnnotatedSet, config: LearnConfig) -> None:
        self.source = source
        self.name = source.name
        chosen = [t for t in source.takes if t.split == "train"]
        if not chosen:
            raise FileFormatError(f"{source.name!r} has no take of split 'train'")
        self.code = _code(source, chosen, config)
        self.face = face_of(source, len(self.code.mean))
        """Of its values in mm²."""
        self.surface = surface_of(self.face, self.code)
        """Of its numbers in mm²."""
        self.train = self.examples(chosen)
        if not self.train:
            raise FileFormatError(f"no take of {source.name!r} is half a second long")
        self.test = self.examples([t for t in source.takes if t.split != "train"])

    def examples(self, takes: Sequence[Take]) -> list[Example]:
        """Takes as examples; those too short to learn from are left out."""
        made = (self._example(take) for take in takes)
        return [e for e in made if len(e.codes) >= _SHORTEST * FRAMES]

    def _example(self, take: Take) -> Example:
        mel = line_mel(self.source.samples(take))
        codes = self.code.encode(annotated(self.source, take))
        count = min(len(codes), len(mel) // STACK)
        speaker = identity_name(self.source, take.subject)
        return Example(take, speaker, mel[: STACK * count], codes[:count])

    @property
    def speakers(self) -> tuple[str, ...]:
        """Identities of the training takes."""
        return tuple(identity_name(self.source, s) for s in self.source.subjects)

    @property
    def hours(self) -> float:
        """Of the training takes."""
        return sum(len(e.codes) for e in self.train) / FRAMES / 3600


def identity_name(source: AnnotatedSet, subject: str) -> str:
    """A subject among those of all data sets."""
    return f"{source.name}/{subject}"


def _code(source: AnnotatedSet, takes: Sequence[Take], config: LearnConfig) -> Code:
    """What a layer predicts for a data set, from its training takes, read one after the other."""
    tracks = (annotated(source, take) for take in takes)
    if source.rig is not None:
        return AffineCode.of_controls(tracks, source.rig)
    if not config.pca:
        return AffineCode.of_vertices(tracks)
    return PcaCode.of_vertices(tracks, explained=config.explained, most=config.most_components)


def annotated(source: AnnotatedSet, take: Take) -> Floats:
    """(T, D) values at the trunk's rate: controls, or offsets from the template in metres."""
    track = source.track(take)
    if source.rig is None:
        track = (track - source.template(take.subject)).reshape(len(track), -1)
    rate = Fraction(FRAMES)
    count = frame_count(len(track), take.fps, rate)
    return resample(track, take.fps, rate, count, interpolation="linear")


@dataclass(frozen=True, eq=False)
class Crops:
    """A batch from one data set."""

    lesson: Lesson
    mel: Tensor
    """(B, 2 T, 64) natural-log band power."""
    rows: Tensor
    """(B,) identities."""
    codes: Tensor
    """(B, T, K)."""
    known: Tensor
    """(B, T) 0 in front of a take and behind it."""


class LessonBatches:
    """Endless random crops of several data sets, the same for the same seed and step."""

    def __init__(
        self, lessons: Sequence[Lesson], rows: Mapping[str, int], config: LearnConfig
    ) -> None:
        self._lessons, self._rows, self._config = lessons, rows, config
        weight = np.array([lesson.hours for lesson in lessons]) ** config.balance
        self._odds = weight / weight.sum()

    def batch(self, step: int) -> Crops:
        """The batch of one step."""
        rng = np.random.default_rng([self._config.seed, step])
        lesson = self._lessons[rng.choice(len(self._lessons), p=self._odds)]
        length = np.array([len(e.codes) for e in lesson.train], float)
        chosen = rng.choice(len(lesson.train), self._config.batch, p=length / length.sum())
        crops = [self._crop(lesson.train[i], rng) for i in chosen]
        mel, codes, known = (torch.from_numpy(np.stack(x)) for x in zip(*crops, strict=True))
        noise = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        rows = torch.tensor([self._rows.get(lesson.train[i].speaker, 0) for i in chosen])
        rows = with_pivot(rows, self._config.pivot_odds, noise)
        return Crops(lesson, self._heard(mel, noise), rows, codes, known)

    def _crop(self, example: Example, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        frames, steps = len(example.codes), self._config.crop
        start = int(rng.integers(-steps // 8, max(1, frames - steps + steps // 8)))
        index = np.arange(start, start + steps)
        inside = (index >= 0) & (index < frames)
        clipped = np.clip(index, 0, frames - 1)
        mel = example.mel[(clipped[:, None] * STACK + np.arange(STACK)).ravel()].astype(np.float32)
        mel[~np.repeat(inside, STACK)] = np.log10(_POWER_FLOOR)
        return mel, example.codes[clipped], inside.astype(np.float32)

    def _heard(self, mel: Tensor, noise: torch.Generator) -> Tensor:
        power = 10**mel
        if self._config.augment:
            for change in (augment.vocal_tract, augment.equaliser, augment.noise, augment.gain):
                power = change(power, noise)
        return torch.log(power + FLOOR)


# ------------------------------------------------------------------ loss


class LayerLoss:
    """Errors of one layer: of its numbers, and of what they move on the face, in mm²."""

    def __init__(self, lesson: Lesson, config: LearnConfig) -> None:
        self._config = config
        self._surface = lesson.surface
        self._code = lesson.code
        self._flame = _flame_surface(lesson.source, config)

    def __call__(self, given: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
        """Scalar of two (B, T, K) codes; frames with (B, T) `known` 0 do not count."""
        error = given - wanted
        both = known[:, 1:] * known[:, :-1]
        each = self._each(error)
        if self._flame is not None:
            faces = self._code.decode(given), self._code.decode(wanted)
            each = each + self._config.surface * self._flame.frames(*faces)
        change = _mean(self._each(error.diff(dim=1)), both)
        return _mean(each, known) + self._config.velocity * change

    def _each(self, error: Tensor) -> Tensor:
        """(B, T) of (B, T, K) errors."""
        each = self._config.coefficients * error.square().mean(-1)
        if self._surface is not None:
            each = each + self._config.surface * self._surface.frames(error)
        return each


def _mean(each: Tensor, known: Tensor) -> Tensor:
    return (each * known).sum() / known.sum().clamp(min=1)


class PointLoss(nn.Module):
    """Mean squared distance in mm² of vertices, each coordinate by itself."""

    weights: Tensor

    def __init__(self, counts: NDArray[np.float64]) -> None:
        """`counts` are (V,) weights of vertices; an error of 1 is a metre."""
        super().__init__()
        self.counts = counts
        self.register_buffer("weights", torch.tensor(1e6 * counts, dtype=torch.float32))

    def frames(self, error: Tensor) -> Tensor:
        """(...) mm² of (..., 3 V) errors, each frame for itself."""
        squares = error.square().reshape(*error.shape[:-1], -1, 3).sum(-1)
        return squares @ self.weights


Surface = VertexLoss | PointLoss


def face_of(source: AnnotatedSet, size: int) -> Surface | None:
    """What errors of an annotation's own values are on a face, if there is one to measure on.

    Controls are measured on the built-in head, where they move it; (T, `size`) offsets of vertices
    on themselves.
    """
    if source.rig is None:
        return PointLoss(_vertex_weights(source, size // 3))
    head = builtin_head()
    try:
        shape_weights(head.names, source.rig.rest[None], source.rig)
    except (KeyError, ValueError):
        return None  # a rig that does not reach the head
    return VertexLoss.from_head(source.rig, head)


def surface_of(face: Surface | None, code: Code) -> Surface | None:
    """The same for the numbers that a layer predicts."""
    if isinstance(face, VertexLoss):
        assert isinstance(code, AffineCode)
        scaled = copy.deepcopy(face)
        scaled.factor *= torch.from_numpy(code.deviation)[:, None]
        return scaled
    if isinstance(face, PointLoss):
        if isinstance(code, PcaCode):
            return VertexLoss(code.basis.reshape(code.size, -1, 3), face.counts)
        return PointLoss(face.counts * float(code.deviation[0]) ** 2)
    return None


def _vertex_weights(source: AnnotatedSet, count: int) -> NDArray[np.float64]:
    """(V,) weights: the lips sum to 1 and all vertices to a tenth, or all to 1 without lips."""
    lips = source.lips()
    if lips is None:
        return np.full(count, 1 / count)
    if len(lips) != count or not lips.sum() > 0:
        raise FileFormatError(
            f"{source.name!r} weighs {len(lips)} vertices as lips, with the sum {lips.sum():.3g}; "
            f"its tracks have {count}, and some of them must be lips"
        )
    return np.asarray(0.1 / count + lips.astype(np.float64) / lips.sum())


def _flame_surface(source: AnnotatedSet, config: LearnConfig) -> FlameVertexLoss | None:
    if source.rig is None or source.rig.name != "flame" or not config.flame_model:
        return None
    model = FlameModel.load(config.flame_model)
    head = flame_head(model, builtin_head())
    return FlameVertexLoss(model, thinned(surface_weights(head), head.masks["lips"]))


# ------------------------------------------------------------------ the trainer


class Learner:
    """Output layers being learned: a network, its optimiser, and a checkpoint they live in."""

    def __init__(
        self,
        trunk: Trunk,
        sets: Sequence[AnnotatedSet],
        config: LearnConfig,
        checkpoint: Path | None = None,
    ) -> None:
        """`checkpoint` is where a killed run goes on, if it was of the same sets and settings."""
        _distinct(sets)
        torch.manual_seed(config.seed)
        self.config = config
        self.lessons = [Lesson(source, config) for source in sets]
        speakers = [name for lesson in self.lessons for name in lesson.speakers]
        self.network = MultiHead(
            copy.deepcopy(trunk), {x.name: x.code.size for x in self.lessons}, speakers,
            hidden=config.hidden, embedding=config.embedding,
        )  # fmt: skip
        self.step = 0
        self._before = copy.deepcopy(trunk).requires_grad_(False)
        identities = self.network.identities
        rows = {} if identities is None else identities.rows
        self._batches = LessonBatches(self.lessons, rows, config)
        self._losses = {x.name: LayerLoss(x, config) for x in self.lessons}
        self._optimiser = torch.optim.AdamW(
            [
                {"params": list(self.network.new_parameters()), "base": config.rate},
                {"params": list(self.network.trunk.parameters()), "base": config.trunk_rate},
            ],
            lr=config.rate, betas=(0.9, 0.98), weight_decay=1e-3,
        )  # fmt: skip
        self._checkpoint = checkpoint
        if checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)

    @property
    def trunk_learns(self) -> bool:
        """Whether the next step changes the trunk."""
        return self.config.tune_trunk and self.step >= self.config.decoder_warm_up

    def run(self, report: Report = lambda _: None) -> MultiHead:
        """Learn to the end of the schedule; returns the network."""
        while self.step < self.config.steps:
            loss = self.advance()
            if self.step % 100 == 0 or self.step == self.config.steps:
                report(f"step {self.step} of {self.config.steps}: loss {loss:.4f}")
                self.save()
        return self.network.eval()

    def advance(self) -> float:
        """One step; returns its loss."""
        crops = self._batches.batch(self.step)
        share = self.config.rate_at(self.step)
        for group in self._optimiser.param_groups:
            group["lr"] = group["base"] * share
        self.network.trunk.requires_grad_(self.trunk_learns)
        loss = self.loss(crops)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if torch.isfinite(norm):
            self._optimiser.step()
        self.step += 1
        return float(loss.detach())

    def loss(self, crops: Crops) -> Tensor:
        """Of one batch: its layer at every look-ahead, and what the trunk's units moved."""
        state = self.network.trunk.state(crops.mel)
        given = self.network(state, crops.lesson.name, crops.rows)
        delays = self.network.trunk.config.delays
        measure = self._losses[crops.lesson.name]
        total = torch.zeros(())
        for look, delay in enumerate(delays):
            frames = given.shape[1] - delay
            total = total + measure(
                given[:, delay:, look], crops.codes[:, :frames], crops.known[:, :frames]
            )
        total = total / len(delays)
        if self.trunk_learns:
            total = total + self.config.anchor * self._moved(state, crops.mel)
        return total

    def _moved(self, state: Tensor, mel: Tensor) -> Tensor:
        """Mean squared change of the trunk's curves against those it came with."""
        with torch.no_grad():
            before = _curves(self._before, self._before.state(mel))
        return (_curves(self.network.trunk, state) - before).square().mean()

    # ------------------------------------------------------------------ checkpoint

    def save(self) -> None:
        """Write the checkpoint, if there is one."""
        if self._checkpoint is None:
            return
        self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self._checkpoint) as file:
            torch.save(
                {
                    "step": self.step,
                    "config": asdict(self.config),
                    "speakers": self._speakers,
                    "network": self.network.state_dict(),
                    "optimiser": self._optimiser.state_dict(),
                },
                file,
            )

    @property
    def _speakers(self) -> list[str]:
        return [name for lesson in self.lessons for name in lesson.speakers]

    def _load(self, checkpoint: Path) -> None:
        stored: dict[str, Any] = torch.load(checkpoint, weights_only=True)
        same = stored["config"] == asdict(self.config) and stored["speakers"] == self._speakers
        try:
            if not same:
                raise ValueError("its settings or speakers are others")
            self.network.load_state_dict(stored["network"])
            self._optimiser.load_state_dict(stored["optimiser"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise FileFormatError(
                f"{checkpoint} belongs to another learning ({error}); delete it, "
                "or give another folder with --work"
            ) from error
        self.step = stored["step"]


def _curves(trunk: Trunk, state: Tensor) -> Tensor:
    return torch.stack([torch.sigmoid(head(state)) for head in trunk.heads], 2)


def _distinct(sets: Sequence[AnnotatedSet]) -> None:
    names = [source.name for source in sets]
    if not names or len(set(names)) != len(names):
        raise FileFormatError(f"data sets must be at least one, each with its own name: {names}")
