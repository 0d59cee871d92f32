"""Makes the speech that tests listen to; run it again only when the sentences change.

    python tests/make_speech.py

Speech by hibari-tts (Apache-2.0), a warped voice, seed fixed. In `mama.flac` every sound has the
same loudness, so nothing but its spectrum tells /m/ from /a/.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from facesdk.articulation import TimedPhone
from facesdk.datasets.speech.corpus import CORPUS_RATE, Samples
from facesdk.datasets.speech.hibari import Hibari, Speaker

FOLDER = Path(__file__).parent / "data"
TEXT = "Mama! My mom, Amy, may make a farm map. Papa, pop a map by a palm."
PUMPKIN = "The pumpkin trumpet player kept a lamp post."
LOUDNESS = 0.05


def equal_loudness(samples: Samples, phones: tuple[TimedPhone, ...]) -> Samples:
    """Every sound at the same RMS, with 10 ms ramps between their gains."""
    gain = np.zeros(len(samples))
    for phone in phones:
        cut = slice(round(phone.start * CORPUS_RATE), round(phone.end * CORPUS_RATE))
        level = float(np.sqrt(np.mean(samples[cut] ** 2) + 1e-12))
        gain[cut] = 0.0 if phone.symbol == "SIL" else min(LOUDNESS / level, 30.0)
    ramp = np.hanning(161)
    return (samples * np.convolve(gain, ramp / ramp.sum(), "same")).astype(np.float32)


def main() -> None:
    rng = np.random.default_rng(12)
    speaker = Speaker(rng)
    speaker.speed = 0.85
    engine = Hibari()
    samples, phones = engine.speak(engine.tokens(TEXT), speaker, rng)
    FOLDER.mkdir(exist_ok=True)
    _write("mama", equal_loudness(samples, phones), phones)
    _write("pumpkin", *engine.speak(engine.tokens(PUMPKIN), Speaker(rng), rng))


def _write(name: str, samples: Samples, phones: tuple[TimedPhone, ...]) -> None:
    soundfile.write(FOLDER / f"{name}.flac", samples, CORPUS_RATE)
    rows = [[p.symbol, round(p.start, 4), round(p.end, 4), p.stress] for p in phones]
    text = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
