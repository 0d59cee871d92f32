"""Corpora as tensors: mel frames, unit targets and phone labels, cut into batches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..articulation import GRID, Alphabet, Rules, TimedPhone, articulate, loudness
from ..audio.features import RATE, mel_power
from ..datasets import Corpus, Utterance
from ..datasets.boundaries import at_the_sound
from . import augment
from .network import STACK

STEP = 320
"""Samples in one step of the trunk (20 ms)."""
FRAMES = RATE // STEP
"""Unit frames a second."""

UNITS = (
    "jaw", "aperture", "closure", "labiodental", "rounding", "protrusion", "spread", "sibilant",
    "tongue_tip", "tongue_dental", "tongue_back", "tongue_lateral", "voicing", "loudness", "accent",
)  # fmt: skip
"""What the trunk predicts, once as the lips move and once in time with the sound.

Other units come from the motion layer.
"""

SILENCE = "SIL"
PAUSE = 0.2
"""Seconds; a silence shorter than this between two sounds is part of the speech."""
_POWER_FLOOR = 1e-9


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
    """How much more often than others it is trained on."""


class Labels:
    """The sounds that the phone head tells apart: silence and every sound with its own rule."""

    def __init__(self, rules: Rules) -> None:
        plain = sorted(s for s, p in rules.phones.phones.items() if not p.path)
        self.names = (SILENCE, *plain)
        self._index = {name: i for i, name in enumerate(self.names)}

    def of(
        self, phones: Sequence[TimedPhone], alphabet: Alphabet, frames: int, rules: Rules
    ) -> NDArray[np.int16]:
        """(T,) label per frame of 20 ms."""
        out = np.zeros(frames, np.int16)
        for timed in phones:
            phone = rules.phones.find(timed.symbol, alphabet)
            if phone is None:
                continue
            for share, symbol in phone.path or ((0.0, phone.symbol),):
                first = round((timed.start + share * (timed.end - timed.start)) * FRAMES)
                out[first : max(round(timed.end * FRAMES), first + 1)] = self._index[symbol]
        return out


def load_corpus(
    folder: Path,
    cache: Path,
    *,
    rules: Rules,
    lead: Rules | None = None,
    keep: Callable[[Utterance], bool] = lambda _: True,
    offset: float | None = None,
) -> list[Line]:
    """All lines of a corpus that `keep` accepts; mel frames are cached below `cache`.

    With an `offset` (seconds that labels are early) boundaries are moved to the sound, see
    `datasets/boundaries.py`; without one, phones are taken as labelled. `rules` make the curves in
    time with the sound, `lead` (by default the same) those of the lips.
    """
    corpus = Corpus(folder)
    utterances = list(corpus)
    mels, levels = _features(corpus, utterances, cache)
    if offset is not None:
        utterances = _at_the_sound(corpus, utterances, cache, rules, offset)
    labels = Labels(rules)
    return [
        _line(u, mel, level, labels, rules, lead or rules)
        for u, mel, level in zip(utterances, mels, levels, strict=True)
        if keep(u)
    ]


def _at_the_sound(
    corpus: Corpus, utterances: Sequence[Utterance], cache: Path, rules: Rules, offset: float
) -> list[Utterance]:
    """Utterances with boundaries moved to the sound; the times are cached."""
    key = hashlib.sha256(corpus.index.read_bytes() + repr((offset, 1)).encode()).hexdigest()[:16]
    file = cache / f"{corpus.folder.name}-times-{key}.npz"
    if not file.exists():
        ends = [[p.end for p in _moved(corpus, u, rules, offset)] for u in utterances]
        np.savez(file, ends=np.concatenate([np.array(e) for e in ends]))
    with np.load(file) as stored:
        counts = np.cumsum([len(u.phones) for u in utterances])
        lists = np.split(stored["ends"], counts[:-1])
    return [
        replace(u, phones=tuple(
            p._replace(start=float(s), end=float(e))
            for p, s, e in zip(u.phones, [u.phones[0].start, *ends[:-1]], ends, strict=True)
        )) if u.phones else u
        for u, ends in zip(utterances, lists, strict=True)
    ]  # fmt: skip


def _moved(
    corpus: Corpus, utterance: Utterance, rules: Rules, offset: float
) -> tuple[TimedPhone, ...]:
    alphabet: Alphabet = "arpabet" if utterance.alphabet == "arpabet" else "ipa"
    symbols = [_symbol(p, alphabet, rules) for p in utterance.phones]
    return at_the_sound(symbols, utterance.phones, corpus.audio(utterance), offset=offset)


def _features(
    corpus: Corpus, utterances: Sequence[Utterance], cache: Path
) -> tuple[list[NDArray[np.float16]], list[NDArray[np.float32]]]:
    key = hashlib.sha256(corpus.index.read_bytes()).hexdigest()[:16]
    file = cache / f"{corpus.folder.name}-{key}.npz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        mels, levels = [], []
        for utterance in utterances:
            samples = corpus.audio(utterance)
            mels.append(line_mel(samples))
            levels.append(loudness(samples, RATE, rate=GRID).astype(np.float16))
        np.savez(
            file,
            mel=np.concatenate(mels),
            level=np.concatenate(levels),
            mel_ends=np.cumsum([len(m) for m in mels]),
            level_ends=np.cumsum([len(x) for x in levels]),
        )
    with np.load(file) as stored:
        mel = np.split(stored["mel"], stored["mel_ends"][:-1])
        level = np.split(stored["level"], stored["level_ends"][:-1])
    return mel, [x.astype(np.float32) for x in level]


def line_mel(samples: NDArray[np.float32]) -> NDArray[np.float16]:
    """(2 T, 64) log10 band power of a line: one step of silence first, whole steps only."""
    steps = len(samples) // STEP
    padded = np.concatenate([np.zeros(STEP, np.float32), samples[: steps * STEP]])
    return np.asarray(np.log10(mel_power(padded) + _POWER_FLOOR), np.float16)


def _line(
    utterance: Utterance,
    mel: NDArray[np.float16],
    level: NDArray[np.float32],
    labels: Labels,
    rules: Rules,
    lead: Rules,
) -> Line:
    frames = len(mel) // STACK
    alphabet: Alphabet = "arpabet" if utterance.alphabet == "arpabet" else "ipa"
    both = []
    for chosen in (lead, rules.synchronous()):
        clip = articulate(
            utterance.phones, seconds=utterance.seconds, alphabet=alphabet,
            loudness=level, rules=chosen,
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
    spoken = [p for p in utterance.phones if rules.phones.find(p.symbol, alphabet) is not None]
    last = -np.inf
    for phone in spoken:
        start = last if phone.start - last < PAUSE else phone.start
        active[max(0, round(start * FRAMES)) : round(phone.end * FRAMES)] = True
        last = phone.end
    return active


def _symbol(timed: TimedPhone, alphabet: Alphabet, rules: Rules) -> str:
    phone = rules.phones.find(timed.symbol, alphabet)
    return SILENCE if phone is None else phone.symbol


def mel_mean(lines: Iterable[Line], sample: int = 400) -> list[float]:
    """(64,) mean natural-log band power over the loud half of some lines."""
    chosen = list(lines)
    chosen = chosen[:: max(1, len(chosen) // sample)]
    frames = []
    for line in chosen:
        mel = line.mel.astype(np.float32) * np.log(10)
        energy = mel.mean(1)
        frames.append(mel[energy >= np.median(energy)])
    return [float(x) for x in np.concatenate(frames).mean(0)]


@dataclass(frozen=True)
class Batch:
    """A training batch on equal-length crops."""

    mel: Tensor
    """(B, 2 T, 64) natural-log band power with all augmentation."""
    targets: Tensor
    """(B, T, 2 units); see `Line`."""
    phones: Tensor
    """(B, T) labels."""
    active: Tensor
    """(B, T) 1 where the foreground voice speaks."""


class Batches:
    """Endless random crops, the same for the same seed and step: training resumes exactly."""

    def __init__(
        self,
        lines: Sequence[Line],
        *,
        size: int,
        steps: int,
        seed: int,
        clutter: float = 0.08,
        non_speech: Sequence[Line] = (),
    ) -> None:
        self._lines = lines
        self._size, self._steps, self._seed, self._clutter = size, steps, seed, clutter
        self._non_speech = non_speech
        weight = np.array([line.weight * len(line.targets) for line in lines])
        self._odds = weight / weight.sum()

    def batch(self, step: int) -> Batch:
        """The batch of one training step."""
        rng = np.random.default_rng([self._seed, step])
        chosen = rng.choice(len(self._lines), self._size, p=self._odds)
        lines = [self._lines[i] for i in chosen]
        if self._non_speech:
            replaced = np.flatnonzero(rng.random(self._size) < self._clutter)
            for i in replaced:
                lines[i] = self._non_speech[int(rng.integers(len(self._non_speech)))]
        crops = [self._crop(line, rng) for line in lines]
        mel, targets, phones, active = (
            torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True)
        )
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        return self._augment(mel, targets, phones, active, self._backgrounds(rng), generator)

    def _crop(
        self, line: Line, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        frames, steps = len(line.targets), self._steps
        start = int(rng.integers(-steps // 8, max(1, frames - steps + steps // 8)))
        index = np.arange(start, start + steps)
        inside = (index >= 0) & (index < frames)
        clipped = np.clip(index, 0, frames - 1)
        mel_index = (clipped[:, None] * STACK + np.arange(STACK)).ravel()
        mel = line.mel[mel_index].astype(np.float32)
        mel[~np.repeat(inside, STACK)] = np.log10(_POWER_FLOOR)
        phones = np.where(inside, line.phones[clipped], 0).astype(np.int64)
        active = (inside & line.active[clipped]).astype(np.float32)
        return mel, line.targets[clipped].astype(np.float32), phones, active

    def _backgrounds(self, rng: np.random.Generator) -> Tensor | None:
        """(B, 2 T, 64) power of noises to lay under the lines, each at its own level."""
        if not self._non_speech:
            return None
        count = len(self._non_speech)
        mels = [
            self._crop(self._non_speech[int(rng.integers(count))], rng)[0]
            for _ in range(self._size)
        ]
        return torch.from_numpy(10 ** np.stack(mels))

    def _augment(
        self,
        mel: Tensor,
        targets: Tensor,
        phones: Tensor,
        active: Tensor,
        backgrounds: Tensor | None,
        rng: torch.Generator,
    ) -> Batch:
        power = 10**mel
        share = 0.25 * self._clutter if self._non_speech else self._clutter
        power, clutter = augment.not_speech(power, rng, share)
        power = augment.whisper(power, rng)
        power = augment.vocal_tract(power, rng)
        power = augment.equaliser(power, rng)
        power = augment.reverb(power, rng)
        if backgrounds is not None:
            power = augment.background(power, backgrounds, rng)
            power = augment.voices(power, rng)
        for change in (augment.noise, augment.telephone, augment.gain):
            power = change(power, rng)
        log_mel = torch.log(power + 1e-6)
        rest = targets.new_tensor(_rest_targets())
        targets = torch.where(clutter[:, None, None], rest, targets)
        phones = torch.where(clutter[:, None], 0, phones)
        active = torch.where(clutter[:, None], 0.0, active)
        return Batch(augment.mask(log_mel, rng), targets, phones, active)


def _rest_targets() -> list[float]:
    silence = Rules.load().silence
    return 2 * [float(silence.get(u, 0.0)) for u in UNITS]
