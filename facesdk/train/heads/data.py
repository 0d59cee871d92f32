"""Data sets of faces as training examples and batches."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...arrays import Doubles, Floats
from ...audio.features import FLOOR
from ...datasets.faces import Take, TakeSet
from ...errors import FileFormatError
from ...mesh.builtin.head import builtin_head
from ...mesh.drive import shape_weights
from ...resample import frame_count, resample
from ..trunk import augment
from ..trunk.data import UNIT_FPS, crop_frames, crop_mel, line_mel
from ..trunk.network import STACK
from ..vertex_loss import PointLoss, VertexLoss
from .codec import AffineCodec, Codec, PcaCodec
from .config import LearnConfig
from .network import with_pivot

MeshLoss = VertexLoss | PointLoss

_SHORTEST = Fraction(1, 2)
"""Seconds of the shortest take to learn from."""


@dataclass(frozen=True, eq=False)
class Example:
    """A take as network input and target."""

    take: Take
    speaker: str
    """Name of the identity: data set and subject."""
    mel: NDArray[np.float16]
    """(2 T, 64) log10 of band power."""
    codes: Floats
    """(T, K) numbers to predict, 50 per second."""


class DatasetTask:
    """A data set with the codec of its annotation, its losses and its examples."""

    def __init__(self, source: TakeSet, config: LearnConfig) -> None:
        self.source = source
        self.name = source.name
        takes = [t for t in source.takes if t.split == "train"]
        if not takes:
            raise FileFormatError(f"{source.name!r} has no take of split 'train'")
        self.codec = _codec(source, takes, config)
        self.value_loss = _value_loss(source, len(self.codec.mean))
        """Error of the annotation's values in mm²; None if they do not reach a face."""
        self.code_loss = _code_loss(self.value_loss, self.codec)
        """The same for errors of the predicted numbers."""
        self.train = self.examples(takes)
        if not self.train:
            raise FileFormatError(f"no training take of {source.name!r} is half a second long")
        self.test = self.examples([t for t in source.takes if t.split != "train"])

    def examples(self, takes: Sequence[Take]) -> list[Example]:
        """Return takes as examples; takes that are too short are left out."""
        examples = (self._example(take) for take in takes)
        return [e for e in examples if len(e.codes) >= _SHORTEST * UNIT_FPS]

    def _example(self, take: Take) -> Example:
        mel = line_mel(self.source.samples(take))
        codes = self.codec.encode(annotated(self.source, take))
        count = min(len(codes), len(mel) // STACK)
        speaker = identity_name(self.source, take.subject)
        return Example(take, speaker, mel[: STACK * count], codes[:count])

    @property
    def speakers(self) -> tuple[str, ...]:
        """Identities of the training takes."""
        return tuple(identity_name(self.source, s) for s in self.source.subjects)

    @property
    def hours(self) -> float:
        """Length of the training takes."""
        return sum(len(e.codes) for e in self.train) / UNIT_FPS / 3600


def identity_name(source: TakeSet, subject: str) -> str:
    """Return a subject's name among those of all data sets."""
    return f"{source.name}/{subject}"


def annotated(source: TakeSet, take: Take) -> Floats:
    """Return (T, D) values at the trunk's rate: controls, or meters from the template."""
    track = source.track(take)
    if source.rig is None:
        track = (track - source.template(take.subject)).reshape(len(track), -1)
    fps = Fraction(UNIT_FPS)
    return resample(
        track, take.fps, fps, frame_count(len(track), take.fps, fps), interpolation="linear"
    )


def _codec(source: TakeSet, takes: Sequence[Take], config: LearnConfig) -> Codec:
    """Fit the codec of a data set to its training takes, read one after the other."""
    tracks = (annotated(source, take) for take in takes)
    if source.rig is not None:
        return AffineCodec.of_controls(tracks, source.rig)
    if not config.pca:
        return AffineCodec.of_vertices(tracks)
    return PcaCodec.of_vertices(
        tracks,
        explained_variance=config.explained_variance,
        max_components=config.max_components,
    )


# ------------------------------------------------------------------ errors on a face


def _value_loss(source: TakeSet, size: int) -> MeshLoss | None:
    """Return the loss for errors of (T, `size`) values, if they reach a face.

    Controls are measured on the built-in head, offsets of vertices on the vertices themselves.
    """
    if source.rig is None:
        return PointLoss(_vertex_weights(source, size // 3))
    head = builtin_head()
    try:
        shape_weights(head.names, source.rig.rest[None], source.rig)
    except (KeyError, ValueError):
        return None  # a rig that does not reach the head
    return VertexLoss.from_head(source.rig, head)


def _code_loss(value_loss: MeshLoss | None, codec: Codec) -> MeshLoss | None:
    """Return the loss for errors of the numbers that a codec turns into values."""
    if isinstance(value_loss, VertexLoss):
        assert isinstance(codec, AffineCodec)
        scaled = copy.deepcopy(value_loss)
        scaled.factor *= torch.from_numpy(codec.deviation)[:, None]
        return scaled
    if isinstance(value_loss, PointLoss):
        if isinstance(codec, PcaCodec):
            return VertexLoss(codec.basis.reshape(codec.size, -1, 3), value_loss.counts)
        return PointLoss(value_loss.counts * float(codec.deviation[0]) ** 2)
    return None


def _vertex_weights(source: TakeSet, count: int) -> Doubles:
    """Return (V,) weights: lips sum to 1 and all vertices to 0.1, or all to 1 without lips."""
    lips = source.lips()
    if lips is None:
        return np.full(count, 1 / count)
    if len(lips) != count or not lips.sum() > 0:
        raise FileFormatError(
            f"{source.name!r} has lip weights for {len(lips)} vertices with a sum of "
            f"{lips.sum():.3g}; expected {count} weights, as in its tracks, and a positive sum"
        )
    return np.asarray(0.1 / count + lips.astype(np.float64) / lips.sum())


# ------------------------------------------------------------------ batches


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops from one data set."""

    task: DatasetTask
    mel: Tensor
    """(B, 2 T, 64) natural-log band power."""
    rows: Tensor
    """(B,) identities."""
    codes: Tensor
    """(B, T, K)."""
    mask: Tensor
    """(B, T) 1 inside the take and 0 before and after it."""

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on a device."""
        tensors = (self.mel, self.rows, self.codes, self.mask)
        return Batch(self.task, *(tensor.to(device) for tensor in tensors))


class TaskBatches:
    """Endless random crops of several data sets, the same for the same seed and step."""

    def __init__(
        self, tasks: Sequence[DatasetTask], rows: Mapping[str, int], config: LearnConfig
    ) -> None:
        self._tasks, self._rows, self._config = tasks, rows, config
        weight = np.array([task.hours for task in tasks]) ** config.balance
        self._probability = weight / weight.sum()

    def batch(self, step: int) -> Batch:
        """Return the batch of one step."""
        config = self._config
        rng = np.random.default_rng([config.seed, step])
        task = self._tasks[rng.choice(len(self._tasks), p=self._probability)]
        length = np.array([len(e.codes) for e in task.train], float)
        chosen = rng.choice(len(task.train), config.batch, p=length / length.sum())
        crops = [self._crop(task.train[i], rng) for i in chosen]
        mel, codes, mask = (torch.from_numpy(np.stack(x)) for x in zip(*crops, strict=True))
        noise = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        rows = torch.tensor([self._rows.get(task.train[i].speaker, 0) for i in chosen])
        rows = with_pivot(rows, config.pivot_probability, noise)
        return Batch(task, self._augment(mel, noise), rows, codes, mask)

    def _crop(self, example: Example, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        index, mask = crop_frames(len(example.codes), self._config.crop, rng)
        mel = crop_mel(example.mel, index, mask)
        return mel, example.codes[index], mask.astype(np.float32)

    def _augment(self, mel: Tensor, noise: torch.Generator) -> Tensor:
        power = 10**mel
        if self._config.augment:
            for change in (augment.vocal_tract, augment.equalizer, augment.noise, augment.gain):
                power = change(power, noise)
        return torch.log(power + FLOOR)
