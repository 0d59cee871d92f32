"""Corpora as tensors: mel frames, unit targets and phone labels, cut into batches."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...arrays import Columns, Floats
from ...articulation import GRID, Alphabet, Rules, TimedPhone, articulate, loudness
from ...audio import SAMPLE_RATE
from ...audio.features import FLOOR, mel_power
from ...datasets.speech import Corpus, Utterance
from ...datasets.speech.boundaries import at_the_sound
from ...files import whole_file
from ..config import require
from . import augment
from .network import STACK

STEP = 320
"""Samples in one step of the trunk (20 ms)."""
UNIT_FPS = SAMPLE_RATE // STEP
"""Unit frames per second."""

UNITS = (
    "jaw", "aperture", "closure", "labiodental", "rounding", "protrusion", "spread", "sibilant",
    "tongue_tip", "tongue_dental", "tongue_back", "tongue_lateral", "voicing", "loudness", "accent",
)  # fmt: skip
"""Units that the trunk predicts, once as the lips move and once in time with the sound.

Other units come from the motion layer.
"""

SILENCE = "SIL"
PAUSE = 0.2
"""Seconds; a shorter silence between two sounds counts as speech."""
POWER_FLOOR = 1e-9
"""Band power of digital silence, in files and around crops."""


@dataclass(frozen=True)
class Line:
    """One utterance, ready to train on."""

    id: str
    speaker: str
    language: str
    mel: NDArray[np.float16]
    """(2 T, 64) log10 of band power of the clean line after one step of silence."""
    targets: NDArray[np.float16]
    """(T, 2 units) at frame times k / 50 s: as the lips move, then in time with the sound."""
    phones: NDArray[np.int16]
    """(T,) label of the sound at each frame."""
    active: NDArray[np.bool_]
    """(T,) whether somebody speaks; short pauses inside speech count as speech."""
    segments: tuple[tuple[str, float, float], ...]
    """Sounds with start and end, for scoring."""
    weight: float = 1.0
    """Factor on how often it is drawn."""


class Labels:
    """Classes of the phone head: silence and every sound with a rule of its own."""

    def __init__(self, rules: Rules) -> None:
        plain = sorted(s for s, p in rules.phones.phones.items() if not p.path)
        self.names = (SILENCE, *plain)
        self._index = {name: i for i, name in enumerate(self.names)}

    def of(
        self, phones: Sequence[TimedPhone], alphabet: Alphabet, frames: int, rules: Rules
    ) -> NDArray[np.int16]:
        """Return the (T,) label of every frame of 20 ms."""
        out = np.zeros(frames, np.int16)
        for timed in phones:
            phone = rules.phones.find(timed.symbol, alphabet)
            if phone is None:
                continue
            for share, symbol in phone.path or ((0.0, phone.symbol),):
                first = round((timed.start + share * (timed.end - timed.start)) * UNIT_FPS)
                out[first : max(round(timed.end * UNIT_FPS), first + 1)] = self._index[symbol]
        return out


def load_corpus(
    folder: Path,
    cache: Path,
    *,
    rules: Rules,
    keep: Callable[[Utterance], bool] = lambda _: True,
    offset: float | None = None,
) -> list[Line]:
    """Return all lines of a corpus that `keep` accepts; features are cached below `cache`.

    With an `offset` (seconds that labels are early) boundaries are moved to the sound, see
    `datasets/speech/boundaries.py`. Without one, phones are taken as labeled.
    """
    corpus = Corpus(folder)
    utterances = list(corpus)
    mels, levels = _features(corpus, utterances, cache)
    if offset is not None:
        utterances = _at_the_sound(corpus, utterances, cache, rules, offset)
    labels = Labels(rules)
    return [
        _line(u, mel, level, labels, rules)
        for u, mel, level in zip(utterances, mels, levels, strict=True)
        if keep(u)
    ]


def _at_the_sound(
    corpus: Corpus, utterances: Sequence[Utterance], cache: Path, rules: Rules, offset: float
) -> list[Utterance]:
    """Utterances with boundaries moved to the sound; the times are cached."""
    key = hashlib.sha256(corpus.index.read_bytes() + repr(offset).encode()).hexdigest()[:16]
    file = cache / f"{corpus.folder.name}-times-{key}.npz"
    if not file.exists():
        moved = [_moved(corpus, u, rules, offset) for u in utterances]
        ends = [phone.end for phones in moved for phone in phones]
        with whole_file(file) as stream:
            np.savez(stream, ends=np.array(ends))
    with np.load(file) as stored:
        all_ends = stored["ends"]
    found, first = [], 0
    for utterance in utterances:
        ends = all_ends[first : first + len(utterance.phones)].tolist()
        first += len(ends)
        found.append(replace(utterance, phones=_ending(utterance.phones, ends)))
    return found


def _moved(
    corpus: Corpus, utterance: Utterance, rules: Rules, offset: float
) -> tuple[TimedPhone, ...]:
    alphabet: Alphabet = "arpabet" if utterance.alphabet == "arpabet" else "ipa"
    symbols = [_symbol(p, alphabet, rules) for p in utterance.phones]
    return at_the_sound(symbols, utterance.phones, corpus.audio(utterance), offset=offset)


def _ending(phones: Sequence[TimedPhone], ends: Sequence[float]) -> tuple[TimedPhone, ...]:
    """Phones that follow each other without gaps and end at these times."""
    starts = [phones[0].start, *ends[:-1]] if phones else []
    return tuple(p._replace(start=s, end=e) for p, s, e in zip(phones, starts, ends, strict=True))


def _features(
    corpus: Corpus, utterances: Sequence[Utterance], cache: Path
) -> tuple[list[NDArray[np.float16]], list[Floats]]:
    key = hashlib.sha256(corpus.index.read_bytes()).hexdigest()[:16]
    file = cache / f"{corpus.folder.name}-{key}.npz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        mels, levels = [], []
        for utterance in utterances:
            samples = corpus.audio(utterance)
            mels.append(line_mel(samples))
            levels.append(loudness(samples, SAMPLE_RATE, rate=GRID).astype(np.float16))
        with whole_file(file) as stream:
            np.savez(
                stream,
                mel=np.concatenate(mels),
                level=np.concatenate(levels),
                mel_ends=np.cumsum([len(m) for m in mels]),
                level_ends=np.cumsum([len(x) for x in levels]),
            )
    with np.load(file) as stored:
        mel = np.split(stored["mel"], stored["mel_ends"][:-1])
        level = np.split(stored["level"], stored["level_ends"][:-1])
    return mel, [x.astype(np.float32) for x in level]


def line_mel(samples: Floats) -> NDArray[np.float16]:
    """Return (2 T, 64) log10 band power: one step of silence, then the whole steps of a line."""
    steps = len(samples) // STEP
    padded = np.concatenate([np.zeros(STEP, np.float32), samples[: steps * STEP]])
    return np.asarray(np.log10(mel_power(padded) + POWER_FLOOR), np.float16)


def _line(
    utterance: Utterance,
    mel: NDArray[np.float16],
    level: Floats,
    labels: Labels,
    rules: Rules,
) -> Line:
    frames = len(mel) // STACK
    alphabet: Alphabet = "arpabet" if utterance.alphabet == "arpabet" else "ipa"
    both = []
    for timing in (rules, rules.synchronous()):
        clip = articulate(
            utterance.phones, seconds=utterance.seconds, alphabet=alphabet,
            loudness=level, rules=timing,
        )  # fmt: skip
        both.append(clip.values[:, [clip.rig.index(u) for u in UNITS]])
    targets = np.pad(np.concatenate(both, 1), ((0, frames), (0, 0)), "edge")[:frames]
    return Line(
        utterance.id,
        utterance.speaker,
        utterance.language,
        mel,
        targets.astype(np.float16),
        labels.of(utterance.phones, alphabet, frames, rules)[:frames],
        _active(utterance, alphabet, frames, rules),
        tuple((_symbol(p, alphabet, rules), p.start, p.end) for p in utterance.phones),
    )


def _active(
    utterance: Utterance, alphabet: Alphabet, frames: int, rules: Rules
) -> NDArray[np.bool_]:
    """(T,) frames inside speech, pauses shorter than `PAUSE` included."""
    active = np.zeros(frames, np.bool_)
    end = -math.inf
    for phone in utterance.phones:
        if rules.phones.find(phone.symbol, alphabet) is not None:
            start = end if phone.start - end < PAUSE else phone.start
            end = phone.end
            active[max(0, round(start * UNIT_FPS)) : round(end * UNIT_FPS)] = True
    return active


def _symbol(timed: TimedPhone, alphabet: Alphabet, rules: Rules) -> str:
    phone = rules.phones.find(timed.symbol, alphabet)
    return SILENCE if phone is None else phone.symbol


def mel_mean(lines: Iterable[Line], sample: int = 400) -> list[float]:
    """Return (64,) mean natural-log band power over the loud half of some lines."""
    chosen = list(lines)
    chosen = chosen[:: max(1, len(chosen) // sample)]
    frames = []
    for line in chosen:
        mel = line.mel.astype(np.float32) * np.log(10)
        energy = mel.mean(1)
        frames.append(mel[energy >= np.median(energy)])
    return [float(x) for x in np.concatenate(frames).mean(0)]


def crop_frames(
    frames: int, steps: int, rng: np.random.Generator
) -> tuple[Columns, NDArray[np.bool_]]:
    """Draw a crop of a line: (steps,) frame indices, and a mask that is False outside the line."""
    start = int(rng.integers(-steps // 8, max(1, frames - steps + steps // 8)))
    index = np.arange(start, start + steps)
    return np.clip(index, 0, frames - 1), (index >= 0) & (index < frames)


def crop_mel(mel: NDArray[np.float16], index: Columns, mask: NDArray[np.bool_]) -> Floats:
    """Return (2 steps, 64) log10 band power of a crop, silent outside the line."""
    crop: Floats = mel[(index[:, None] * STACK + np.arange(STACK)).ravel()].astype(np.float32)
    crop[~np.repeat(mask, STACK)] = np.log10(POWER_FLOOR)
    return crop


@dataclass(frozen=True)
class BatchConfig:
    """Sizes of the training batches."""

    size: int = 16
    """Crops per batch."""
    steps: int = 200
    """Steps of 20 ms per crop."""
    clutter: float = 0.08
    """Share of crops without speech, whose target is rest."""

    def __post_init__(self) -> None:
        require(self, "size steps", 1)
        require(self, "clutter", 0, 1)


@dataclass(frozen=True)
class Batch:
    """Crops of equal length."""

    mel: Tensor
    """(B, 2 T, 64) natural-log band power with all augmentation."""
    targets: Tensor
    """(B, T, 2 units); see `Line`."""
    phones: Tensor
    """(B, T) labels."""
    active: Tensor
    """(B, T) 1 where the voice in the foreground speaks."""

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on a device."""
        return Batch(
            self.mel.to(device), self.targets.to(device), self.phones.to(device),
            self.active.to(device),
        )  # fmt: skip


class Batches:
    """Endless random crops, the same for the same seed and step: training resumes exactly."""

    def __init__(
        self,
        lines: Sequence[Line],
        config: BatchConfig,
        *,
        seed: int = 0,
        non_speech: Sequence[Line] = (),
    ) -> None:
        """`non_speech` lines replace some crops, and are laid under others."""
        self._lines, self._config, self.seed = lines, config, seed
        self._non_speech = non_speech
        weight = np.array([line.weight * len(line.targets) for line in lines])
        self._probability = weight / weight.sum()

    def batch(self, step: int) -> Batch:
        """Return the batch of one training step."""
        rng = np.random.default_rng([self.seed, step])
        size = self._config.size
        chosen = rng.choice(len(self._lines), size, p=self._probability)
        lines = [self._lines[i] for i in chosen]
        if self._non_speech:
            for i in np.flatnonzero(rng.random(size) < self._config.clutter):
                lines[i] = self._noise(rng)
        crops = [self._crop(line, rng) for line in lines]
        mel, targets, phones, active = (
            torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True)
        )
        seed = int(rng.integers(1 << 62))
        noises = self._noises(rng) if self._non_speech else None
        return self._augment(
            mel, targets, phones, active, noises, torch.Generator().manual_seed(seed)
        )

    def _noise(self, rng: np.random.Generator) -> Line:
        return self._non_speech[int(rng.integers(len(self._non_speech)))]

    def _noises(self, rng: np.random.Generator) -> Tensor:
        """(B, 2 T, 64) power of noises to lay under the lines."""
        crops = [self._crop(self._noise(rng), rng)[0] for _ in range(self._config.size)]
        return torch.from_numpy(10 ** np.stack(crops))

    def _crop(
        self, line: Line, rng: np.random.Generator
    ) -> tuple[Floats, Floats, NDArray[np.int64], Floats]:
        index, mask = crop_frames(len(line.targets), self._config.steps, rng)
        phones = np.where(mask, line.phones[index], 0).astype(np.int64)
        active = (mask & line.active[index]).astype(np.float32)
        targets = line.targets[index].astype(np.float32)
        return crop_mel(line.mel, index, mask), targets, phones, active

    def _augment(
        self,
        mel: Tensor,
        targets: Tensor,
        phones: Tensor,
        active: Tensor,
        noises: Tensor | None,
        rng: torch.Generator,
    ) -> Batch:
        power = 10**mel
        # with a corpus of non-speech, few of these cheaper ones are needed
        share = self._config.clutter * (0.25 if noises is not None else 1)
        power, clutter = augment.not_speech(power, rng, share)
        for change in (
            augment.whisper, augment.vocal_tract, augment.equalizer, augment.reverb,
        ):  # fmt: skip
            power = change(power, rng)
        if noises is not None:
            power = augment.background(power, noises, rng)
            power = augment.voices(power, rng)
        for change in (augment.noise, augment.telephone, augment.gain):
            power = change(power, rng)
        log_mel = torch.log(power + FLOOR)
        rest = targets.new_tensor(_rest_targets())
        targets = torch.where(clutter[:, None, None], rest, targets)
        phones = torch.where(clutter[:, None], 0, phones)
        active = torch.where(clutter[:, None], 0.0, active)
        return Batch(augment.spec_augment(log_mel, rng), targets, phones, active)


def _rest_targets() -> list[float]:
    silence = Rules.load().silence
    return 2 * [float(silence.get(u, 0.0)) for u in UNITS]
