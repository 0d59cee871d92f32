"""Speech by hibari-tts (Apache-2.0), whose one voice is changed into hundreds in the vocoder.

hibari is a small student of Kokoro-82M with one English voice. Its network predicts spectral
envelopes and pitch. Stretching the frequency axis and moving the pitch before synthesis yields
other speakers with exact phone times.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np
import soxr

from ...arrays import Floats
from ...articulation import TimedPhone
from ...errors import missing_extra
from .corpus import CORPUS_RATE, CorpusWriter, Samples, Utterance
from .durations import timed_phones

_DURATIONS = "/Clip_output_0"
_HIBARI_RATE = 24_000
_PITCH_FACTORS = (0.5, 0.55, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4)


class Speaker:
    """The hibari voice with a warp: vocal tract, pitch, pitch range and speed."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.tract = float(rng.uniform(0.82, 1.15))
        """Factor on the frequency axis; below 1 for a longer vocal tract."""
        self.pitch = float(rng.choice(_PITCH_FACTORS) * rng.uniform(0.93, 1.07))
        self.pitch_range = float(rng.uniform(0.4, 1.4))
        self.speed = float(rng.uniform(0.75, 1.3))

    @property
    def name(self) -> str:
        """Identity of this pseudo-speaker, given by tract and pitch."""
        return f"hibari_{self.tract:.2f}_{self.pitch:.2f}"

    def warp_frequency(self, envelope: Floats) -> Floats:
        """Scale the frequency axis of an (F, T) envelope by `tract`."""
        bins = len(envelope)
        source = np.clip(np.arange(bins) / self.tract, 0, bins - 1.001)
        low = source.astype(int)
        part = (source - low)[:, None].astype(np.float32)
        warped: Floats = envelope[low] * (1 - part) + envelope[low + 1] * part
        return warped

    def warp_pitch(self, f0: Floats) -> Floats:
        """Shift and stretch a pitch contour (Hz, 0 if unvoiced) around its mean."""
        f0 = f0.copy()
        voiced = f0 > 40
        if voiced.any():
            mean = np.exp(np.log(f0[voiced]).mean())
            moved = mean * self.pitch * (f0[voiced] / mean) ** self.pitch_range
            f0[voiced] = np.clip(moved, 60, 500)
        return f0


class Hibari:
    """The hibari network, with its token durations as an extra output."""

    def __init__(self) -> None:
        try:
            import onnx
            import onnxruntime
            from hibari import Hibari as Engine
        except ImportError as error:
            raise missing_extra("speech by hibari", "train") from error
        self._engine: Any = Engine()
        graph = onnx.load(self._engine.model_path)
        output = onnx.helper.make_tensor_value_info(_DURATIONS, onnx.TensorProto.FLOAT, None)
        graph.graph.output.append(output)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def tokens(self, text: str) -> str:
        """Convert English text to the phone alphabet of the Kokoro family."""
        phones = " ".join(self._engine.phonemize(text))
        return "".join(c for c in phones if c in self._engine.vocab)

    def speak(
        self, tokens: str, speaker: Speaker, rng: np.random.Generator
    ) -> tuple[Samples, tuple[TimedPhone, ...]]:
        """Return 16 kHz samples and phone times of one line."""
        from hibari import dsp

        feeds = {
            "ids": np.asarray([self._engine.ids(tokens)], np.int64),
            "speed": np.asarray([speaker.speed], np.float32),
        }
        *tensors, durations = self._session.run(None, feeds)
        *envelopes, f0 = (np.asarray(t[0], np.float32) for t in tensors[:6])
        warped = [speaker.warp_frequency(e) for e in envelopes]
        audio = np.asarray(dsp.synth(*warped, speaker.warp_pitch(f0), rng), np.float32)
        frames = np.asarray(durations, float).ravel()
        seconds = frames * (len(audio) / _HIBARI_RATE / frames.sum())
        samples = soxr.resample(audio, _HIBARI_RATE, CORPUS_RATE)
        samples = np.asarray(samples / max(1.0, float(np.abs(samples).max())), np.float32)
        # the network pads the line with one token on each side
        inner = seconds[1 : len(tokens) + 1]
        phones = timed_phones(
            tokens, inner.tolist(), len(samples) / CORPUS_RATE, begin=float(seconds[0])
        )
        return samples, phones


def facts() -> dict[str, str]:
    """Return terms and version for `corpus.json`."""
    return {"terms": "Apache-2.0", "hibari-tts": metadata.version("hibari-tts")}


def build(writer: CorpusWriter, lines: Sequence[str], *, hours: float, seed: int) -> None:
    """Synthesize lines, each with a new pseudo-speaker, until the corpus has `hours`."""
    engine = Hibari()
    for index, text in enumerate(lines):
        if writer.seconds >= hours * 3600:
            break
        name = f"hibari_{seed}_{index:05d}"
        tokens = "" if name in writer.ids else engine.tokens(text)
        if not 5 < len(tokens) < 380:
            continue
        rng = np.random.default_rng([seed, index])
        speaker = Speaker(rng)
        samples, phones = engine.speak(tokens, speaker, rng)
        line = Utterance(
            name, f"audio/{name}.flac", "en-us", speaker.name, text,
            len(samples) / CORPUS_RATE, phones,
        )  # fmt: skip
        writer.add(line, samples)
