"""Speech by festival: diphone and HTS voices with exact phone times, English, Finnish and Czech.

The voices are Debian packages. They are robotic, but cheap and unlike Kokoro; Finnish and Czech
add front rounded vowels, long vowels and sounds that English lacks. The English voices only require
naming their authors; Finnish is under the LGPL and Czech under the GPL, so a recipe should keep
them in a corpus of their own that can be left out.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...articulation import TimedPhone
from ...audio import read_audio
from ...errors import FaceSDKError, MissingExtraError
from . import programs
from .corpus import CORPUS_RATE, CorpusWriter, Samples, Utterance
from .flite import play_faster

_FINNISH = {
    "@": "æ", "7": "ø", "&": "ə", "T": "θ", "D": "ð", "S": "ʃ", "Z": "ʒ", "N": "ŋ", "L": "l",
    "g": "ɡ", "a": "ɑ",
}  # fmt: skip
_CZECH = {
    "_": "ʔ", "e": "ɛ", "i": "ɪ", "i:": "i", "c": "t s", "c~": "ʧ", "ch": "x", "d~": "ɟ",
    "dz": "d z", "dz~": "ʤ", "g": "ɡ", "h": "ɦ", "n*": "ŋ", "n~": "ɲ", "r~": "ʒ", "r~*": "ʃ",
    "s~": "ʃ", "t~": "c", "z~": "ʒ",
}  # fmt: skip
"""ř is mapped to a hushing sound, which it resembles in sound and lip shape."""

_VOWELS = frozenset("aeiouy@7")
"""First letters of vowels in all of the phone sets."""

_SILENCE = frozenset({"#", "pau", "sil", "ssil", "h#"})
_REDUCED = frozenset({"ax", "ix", "axr"})


@dataclass(frozen=True)
class Voice:
    """A voice of festival, and how to read its phones."""

    name: str
    """Name in festival without `voice_`."""
    language: str
    package: str
    """Debian package."""
    terms: str
    encoding: str = "ascii"
    symbols: Mapping[str, str] | None = None
    """Its phone symbols in IPA where they differ, two with a space between for an affricate;
    None for ARPAbet."""

    @property
    def first_stress(self) -> bool:
        """Whether the language stresses the first syllable of every longer word."""
        return self.language in ("fi", "cs")


VOICES = (
    Voice("cmu_us_slt_arctic_hts", "en-us", "festvox-us-slt-hts", "BSD-like"),
    Voice("kal_diphone", "en-us", "festvox-kallpc16k", "BSD-like"),
    Voice("ked_diphone", "en-us", "festvox-kdlpc16k", "BSD-like"),
    Voice("hy_fi_mv_diphone", "fi", "festvox-suopuhe-mv", "LGPL-2+", "iso-8859-15", _FINNISH),
    Voice("suo_fi_lj_diphone", "fi", "festvox-suopuhe-lj", "LGPL-2+", "iso-8859-15", _FINNISH),
    Voice("czech_ph", "cs", "festvox-czech-ph", "GPL-2+", "iso-8859-2", _CZECH),
    Voice("czech_dita", "cs", "festvox-czech-dita", "GPL-3+", "iso-8859-2", _CZECH),
    Voice("czech_krb", "cs", "festvox-czech-krb", "GPL-3+", "iso-8859-2", _CZECH),
    Voice("czech_machac", "cs", "festvox-czech-machac", "GPL-3+", "iso-8859-2", _CZECH),
)

LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "en-us": ("en", "game_en"),
    "fi": ("fi",),
    "cs": ("cs",),
}
"""Line files by language."""

_SCRIPT = """\
(voice_{voice})
(Parameter.set 'Duration_Stretch {stretch:.3f})
(set! line (utt.synth (eval (list 'Utterance 'Text "{text}"))))
(utt.save.wave line "{wav}")
(define (place segment what) (item.feat segment (string-append "R:SylStructure." what)))
(mapcar
 (lambda (s)
  (format t "%s %f %s %s %s\\n" (item.name s) (item.feat s "segment_end")
   (place s "parent.stress") (place s "parent.position_type") (place s "p.name")))
 (utt.relation.items line 'Segment))
"""


def speak(
    text: str, voice: Voice, *, stretch: float = 1.0
) -> tuple[Samples, tuple[TimedPhone, ...]]:
    """Return 16 kHz samples and phone times of one line, in ARPAbet or IPA by voice."""
    program = programs.find("festival")
    with tempfile.TemporaryDirectory() as folder:
        wav, script = Path(folder) / "line.wav", Path(folder) / "line.scm"
        plain = "".join(" " if c in '"\\' else c for c in text)
        commands = _SCRIPT.format(voice=voice.name, stretch=stretch, text=plain, wav=wav)
        script.write_bytes(commands.encode(voice.encoding, "ignore"))
        done = subprocess.run(
            [program, "--batch", str(script)],
            capture_output=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
        if f"voice_{voice.name}" in done.stderr:
            raise MissingExtraError(
                f"festival has no voice {voice.name!r}: apt-get install {voice.package}"
            )
        if done.returncode or not wav.exists():
            raise FaceSDKError(f"festival failed on {text!r}: {done.stderr.strip()}")
        samples = read_audio(wav, sample_rate=CORPUS_RATE)
    samples = samples / np.float32(max(1.0, float(np.abs(samples).max())))
    return samples, _phones(done.stdout, voice, len(samples) / CORPUS_RATE)


def _phones(listing: str, voice: Voice, seconds: float) -> tuple[TimedPhone, ...]:
    """Parse a listing of segments, up to the end of the audio."""
    segments = [line.split() for line in listing.splitlines()]
    stresses = _first_vowels(segments) if voice.first_stress else [s[2] == "1" for s in segments]
    phones: list[TimedPhone] = []
    start = 0.0
    for (name, ending, *_), stress in zip(segments, stresses, strict=True):
        end = min(float(ending), seconds)
        if end > start:
            phones += _named(name, voice, TimedPhone("SIL", start, end, int(stress)))
            start = end
    if start < seconds:
        phones.append(TimedPhone("SIL", start, seconds))
    return tuple(phones)


def _first_vowels(segments: Sequence[Sequence[str]]) -> list[bool]:
    """Return whether each segment is the first vowel of a word with several."""
    words: list[list[int]] = []
    for i, (name, _, _, place, before) in enumerate(segments):
        if place in ("initial", "single") and before == "0":
            words.append([])
        if name[0] in _VOWELS and words:
            words[-1].append(i)
    first = {vowels[0] for vowels in words if len(vowels) > 1}
    return [i in first for i in range(len(segments))]


def _named(name: str, voice: Voice, timed: TimedPhone) -> Iterable[TimedPhone]:
    """Convert one sound of the voice to our symbols; an affricate may become two."""
    if name in _SILENCE:
        return [timed._replace(stress=0)]
    if voice.symbols is None:
        vowel = name[0] in _VOWELS and name not in _REDUCED
        return [timed._replace(symbol=name.upper(), stress=timed.stress * vowel)]
    symbol = voice.symbols.get(name) or voice.symbols.get(name.rstrip(":")) or name.rstrip(":")
    closure, found, release = symbol.partition(" ")
    if not found:
        return [timed._replace(symbol=symbol)]
    middle = (timed.start + timed.end) / 2
    return [
        timed._replace(symbol=closure, end=middle),
        timed._replace(symbol=release, start=middle),
    ]


def facts(languages: Iterable[str]) -> dict[str, str]:
    """Return the terms of the voices of some languages, and the version, for `corpus.json`."""
    chosen = [v for v in VOICES if v.language in set(languages)]
    terms = "; ".join(f"{v.package}: {v.terms}" for v in chosen)
    return {"terms": terms, "festival": programs.version("festival")}


def build(
    writer: CorpusWriter, lines: Mapping[str, Sequence[str]], *, hours: float, seed: int
) -> None:
    """Synthesize lines until the corpus has `hours`: every line with every voice of its language.

    `lines` are sentences by language, as `LANGUAGES` names them.
    """
    turns = {language: _turns(language, found) for language, found in lines.items()}
    longest = max(map(len, turns.values()), default=0)
    for index in range(longest * len(turns)):
        if writer.seconds >= hours * 3600:
            break
        language = list(turns)[index % len(turns)]
        turn = index // len(turns)
        name = f"festival_{seed}_{index:05d}"
        if name in writer.ids or turn >= len(turns[language]):
            continue
        text, voice = turns[language][turn]
        rng = np.random.default_rng([seed, index])
        factor = float(rng.uniform(0.85, 1.2))
        samples, phones = speak(text, voice, stretch=float(rng.uniform(0.8, 1.3)) * factor)
        samples, phones = play_faster(samples, phones, factor)
        line = Utterance(
            name, f"audio/{name}.flac", language, f"festival_{voice.name}_{factor:.2f}", text,
            len(samples) / CORPUS_RATE, phones,
            alphabet="arpabet" if voice.symbols is None else "ipa",
        )  # fmt: skip
        writer.add(line, samples)


def _turns(language: str, lines: Sequence[str]) -> list[tuple[str, Voice]]:
    """Return every line with every voice of a language, the voices taking turns."""
    voices = [v for v in VOICES if v.language == language]
    return [
        (text, voices[(i + around) % len(voices)])
        for around in range(len(voices))
        for i, text in enumerate(lines)
    ]
