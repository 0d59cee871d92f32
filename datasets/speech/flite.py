"""Speech by flite (BSD-like license): four old English voices with exact phone times.

The voices are robotic, but cheap and unlike Kokoro. Playing them faster or slower (pitch, vocal
tract and tempo together) yields further speakers.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr

from ...articulation import TimedPhone
from ...audio import read_audio
from ...errors import FaceSDKError
from . import programs
from .corpus import CORPUS_RATE, CorpusWriter, Samples, Utterance

VOICES = ("rms", "slt", "awb", "kal16")
_REDUCED = frozenset({"ax", "ix", "axr"})
_SILENCE = frozenset({"pau", "ssil", "sil"})


def speak(text: str, voice: str, *, stretch: float) -> tuple[Samples, tuple[TimedPhone, ...]]:
    """Return 16 kHz samples and phone times (ARPAbet) of one line."""
    program = programs.find("flite")
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "line.wav"
        options = ["-voice", voice, "-psdur", "--setf", f"duration_stretch={stretch:.3f}"]
        done = subprocess.run(
            [program, *options, "-t", text, "-o", str(wav)],
            capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
        if done.returncode or not wav.exists():
            raise FaceSDKError(f"flite failed on {text!r}: {done.stderr.strip()}")
        return read_audio(wav, sample_rate=CORPUS_RATE), _phones(done.stdout)


def _phones(listing: str) -> tuple[TimedPhone, ...]:
    phones, start = [], 0.0
    for item in listing.split():
        name, end = item.rsplit(":", 1)
        symbol = "SIL" if name in _SILENCE else name.upper()
        stress = int(symbol[0] in "AEIOU" and name not in _REDUCED)
        phones.append(TimedPhone(symbol, start, float(end), stress))
        start = float(end)
    return tuple(phones)


def play_faster(
    samples: Samples, phones: Sequence[TimedPhone], factor: float
) -> tuple[Samples, tuple[TimedPhone, ...]]:
    """Play samples and phones `factor` times as fast: pitch, vocal tract and tempo together."""
    played = soxr.resample(samples, CORPUS_RATE * factor, CORPUS_RATE).astype(np.float32)
    moved = [p._replace(start=p.start / factor, end=p.end / factor) for p in phones]
    seconds = len(played) / CORPUS_RATE
    moved[-1] = moved[-1]._replace(end=max(seconds, moved[-1].start))
    return played, tuple(moved)


def facts() -> dict[str, str]:
    """Return terms and version for `corpus.json`."""
    return {"terms": "BSD-like", "flite": programs.version("flite")}


def build(writer: CorpusWriter, lines: Sequence[str], *, hours: float, seed: int) -> None:
    """Synthesize lines with the voices in turn until the corpus has `hours`."""
    for index, text in enumerate(lines):
        if writer.seconds >= hours * 3600:
            break
        name = f"flite_{seed}_{index:05d}"
        if name in writer.ids:
            continue
        rng = np.random.default_rng([seed, index])
        voice = VOICES[index % len(VOICES)]
        factor = float(rng.uniform(0.85, 1.2))
        samples, phones = speak(text, voice, stretch=float(rng.uniform(0.8, 1.3)) * factor)
        samples, phones = play_faster(samples, phones, factor)
        line = Utterance(
            name, f"audio/{name}.flac", "en-us", f"flite_{voice}_{factor:.2f}", text,
            len(samples) / CORPUS_RATE, phones, alphabet="arpabet",
        )  # fmt: skip
        writer.add(line, samples)
