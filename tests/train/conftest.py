"""Speech to train on, made up."""

from __future__ import annotations

import numpy as np
import pytest

from facesdk.datasets import CorpusWriter, TimedPhone, Utterance


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Two artificial speakers who hum vowels between silences."""
    folder = tmp_path_factory.mktemp("corpus")
    writer = CorpusWriter(folder)
    rng = np.random.default_rng(0)
    for number in range(6):
        phones = [TimedPhone("SIL", 0.0, 0.3)]
        for symbol in rng.choice(["ɑ", "m", "s", "u"], 12):
            phones.append(TimedPhone(str(symbol), phones[-1].end, phones[-1].end + 0.12))
        phones.append(TimedPhone("SIL", phones[-1].end, phones[-1].end + 0.3))
        samples = voice(phones, rng)
        name = f"line{number}"
        speaker = f"speaker{number % 2}"
        writer.add(
            Utterance(
                name, f"audio/{name}.flac", "en", speaker, "…", phones[-1].end, tuple(phones)
            ),
            samples,
        )
    return folder


def voice(phones, rng):
    time = np.arange(round(phones[-1].end * 16_000)) / 16_000
    samples = 0.001 * rng.standard_normal(len(time))
    tones = {"ɑ": (150, 750, 1200), "m": (150, 250), "u": (150, 300, 700)}
    for phone in phones:
        cut = (time >= phone.start) & (time < phone.end)
        for hz in tones.get(phone.symbol, ()):
            samples[cut] += 0.1 * np.sin(2 * np.pi * hz * time[cut])
        if phone.symbol == "s":
            samples[cut] += 0.1 * np.diff(rng.standard_normal(cut.sum() + 1))
    return samples.astype(np.float32)
