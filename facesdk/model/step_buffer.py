"""Conversion of audio chunks of any rate and size to whole steps of the network."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..audio import StreamResampler

_LARGEST_BLOCK = 50
"""Most steps per array."""


class StepBuffer:
    """The input buffer of one speaker: mono, resampled, divided into whole steps.

    The first step is silence, as the network requires.
    """

    def __init__(
        self,
        sample_rate: int,
        step_samples: int,
        *,
        source_rate: int,
        channels: int = 1,
        low_delay: bool = True,
    ) -> None:
        """`sample_rate` is the network's, `source_rate` and `channels` are those of the audio.

        `low_delay` resamples with the short filter of `StreamResampler`. Raises `AudioError` for
        rates or channels that are not supported.
        """
        self._audio = StreamResampler(source_rate, sample_rate, channels, low_delay=low_delay)
        self._rate, self._step = source_rate, step_samples
        self._waiting = np.zeros(_LARGEST_BLOCK * step_samples, np.float32)
        self.reset()

    def reset(self) -> None:
        """Begin a new line."""
        self._audio.reset()
        self._waiting.fill(0)
        self._fill = self._step
        self._pushed = 0
        self.steps = 0
        """Steps returned so far, including the silent one."""

    @property
    def latency(self) -> Fraction:
        """Largest duration of audio, in seconds, that the resampler holds back."""
        return self._audio.latency

    @property
    def duration(self) -> Fraction:
        """Seconds of audio pushed so far."""
        return Fraction(self._pushed, self._rate)

    def push(self, samples: ArrayLike) -> Iterator[Floats]:
        """Yield (steps * step_samples,) arrays of the whole steps that more audio completes.

        `samples` is (N,) or (N, channels): floats in -1..1 or integers in full scale. The arrays
        are reused: read each before the next.
        """
        audio = np.asarray(samples)
        converted = self._audio.push(audio)
        self._pushed += len(audio)
        return self._whole_steps(converted)

    def flush(self, steps: int) -> Iterator[Floats]:
        """Yield the rest, padded with silence to `steps` steps in total."""
        rest = self._audio.flush()
        missing = max(0, (steps - self.steps) * self._step)
        silence = np.zeros(max(0, missing - len(rest) - self._fill), np.float32)
        return self._whole_steps(np.concatenate([rest, silence]))

    def _whole_steps(self, audio: Floats) -> Iterator[Floats]:
        waiting, step = self._waiting, self._step
        while True:
            taken = audio[: len(waiting) - self._fill]
            audio = audio[len(taken) :]
            waiting[self._fill : self._fill + len(taken)] = taken
            self._fill += len(taken)
            size = self._fill // step * step
            if not size:
                return
            self.steps += size // step
            yield waiting[:size]
            self._fill -= size
            waiting[: self._fill] = waiting[size : size + self._fill]
