"""A corpus on disk: utterances with phone times, in one folder.

    audio/<id>.flac       mono speech (any file soundfile reads)
    utterances.jsonl      one `Utterance` per line
    corpus.json           source, seed, terms, versions, checksum

Builders append one utterance at a time, so a killed build resumes. The folder of an aligned
speechocean762 is read as it is (`speechocean.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...articulation import MARKS, TimedPhone
from ...documents import load_json
from ...errors import FileFormatError, reading
from . import speechocean

Samples = NDArray[np.float32]

CORPUS_RATE = 16_000
"""Hz of the audio that builders store."""


@dataclass(frozen=True)
class Utterance:
    """One line of speech with its phones, gap-free from 0 to `seconds`."""

    id: str
    file: str
    """Path of the audio below the corpus folder."""
    language: str
    speaker: str
    text: str
    seconds: float
    phones: tuple[TimedPhone, ...]
    alphabet: str = "ipa"
    """`ipa` (with the one-letter diphthongs of Kokoro) or `arpabet`."""
    split: str = ""
    """`train` or `test` in a corpus with a split of speakers, else empty."""
    group: str = ""
    """`adult` or `child` if known, else empty."""


class Corpus:
    """A corpus folder, read line by line."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.index = self.folder / "utterances.jsonl"
        if not self.index.is_file():
            raise FileFormatError(f"{self.folder} is not a corpus: it has no utterances.jsonl")

    def __iter__(self) -> Iterator[Utterance]:
        for record in self._records():
            if isinstance(record, Utterance):
                yield record

    def left_out(self) -> dict[str, int]:
        """Count the lines of recordings that are left out, by reason."""
        return dict(sorted(Counter(r for r in self._records() if isinstance(r, str)).items()))

    def _records(self) -> Iterator[Utterance | str]:
        with self.index.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    record = _read(json.loads(line))
                except (
                    AttributeError, IndexError, KeyError, TypeError, ValueError, ArithmeticError,
                    RecursionError,
                ) as error:  # fmt: skip
                    raise FileFormatError(f"{self.index}, line {number}: {error!r}") from error
                yield record

    def facts(self) -> dict[str, Any]:
        """Return source and terms: the content of `corpus.json`, or those of a known data set."""
        path = self.folder / "corpus.json"
        if path.exists():
            with reading(path, FileFormatError):
                return dict(load_json(path, "corpus", error=FileFormatError))
        with reading(self.index, FileFormatError), self.index.open("rb") as lines:
            recorded = any(speechocean.is_record(json.loads(line)) for line in islice(lines, 1))
        return dict(speechocean.FACTS) if recorded else {}

    def audio(self, utterance: Utterance) -> Samples:
        """Return (N,) mono samples at 16 kHz."""
        from ...audio import read_audio

        path = Path(utterance.file)
        if path.is_absolute() or ".." in path.parts:
            raise FileFormatError(f"{self.index}: {utterance.file!r} must be below the folder")
        return read_audio(self.folder / path, sample_rate=CORPUS_RATE)


def _read(record: Mapping[str, Any]) -> Utterance | str:
    """Parse a line of an index; return the reason if it is left out."""
    if not speechocean.is_record(record):
        return _utterance(record)
    return speechocean.fault(record) or _utterance(speechocean.as_corpus_record(record))


def _utterance(record: Mapping[str, Any]) -> Utterance:
    voices = record.get("voices")
    speaker = record.get("speaker") or "+".join(sorted(voices or {"unknown": 1}))
    return Utterance(
        id=record["id"],
        file=record["file"],
        language=record.get("language", "en-us"),
        speaker=str(speaker),
        text=record["text"],
        seconds=float(record["seconds"]),
        phones=_join_marks([TimedPhone(*p) for p in record["phones"]]),
        alphabet=record.get("alphabet", "ipa"),
        split=record.get("split", ""),
        group=record.get("group", ""),
    )


def _join_marks(phones: list[TimedPhone]) -> tuple[TimedPhone, ...]:
    """Join separate marks (nasality, aspiration, length) to the sound before them."""
    joined: list[TimedPhone] = []
    for phone in phones:
        if joined and phone.symbol and all(c in MARKS for c in phone.symbol):
            last = joined[-1]
            joined[-1] = last._replace(symbol=last.symbol + phone.symbol, end=phone.end)
        else:
            joined.append(phone)
    return tuple(joined)


class CorpusWriter:
    """Writer that appends utterances to a corpus folder, which may already have some."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        (self.folder / "audio").mkdir(parents=True, exist_ok=True)
        self.index = self.folder / "utterances.jsonl"
        self._drop_broken_line()
        done = list(Corpus(self.folder)) if self.index.exists() else []
        self.ids = {u.id for u in done}
        self.seconds = sum(u.seconds for u in done)

    def _drop_broken_line(self) -> None:
        if self.index.exists():
            whole, newline, _ = self.index.read_bytes().rpartition(b"\n")
            self.index.write_bytes(whole + newline)

    def add(self, utterance: Utterance, samples: Samples) -> None:
        """Store one utterance: first its audio, then its line in the index."""
        import soundfile

        soundfile.write(self.folder / utterance.file, samples, CORPUS_RATE, subtype="PCM_16")
        record = {k: v for k, v in asdict(utterance).items() if v or k not in ("split", "group")}
        record["phones"] = [
            [p.symbol, round(p.start, 4), round(p.end, 4), p.stress] for p in utterance.phones
        ]
        with self.index.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self.ids.add(utterance.id)
        self.seconds += utterance.seconds

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write `corpus.json`: these facts, sizes and a checksum."""
        document = {
            "format": "facesdk.corpus",
            "version": 1,
            **facts,
            "utterances": len(self.ids),
            "hours": round(self.seconds / 3600, 3),
            "sha256": checksum(self.folder),
        }
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        (self.folder / "corpus.json").write_text(text, encoding="utf-8")


def checksum(folder: Path) -> str:
    """Return a hash of the index and every audio file of a corpus, in the order of the index."""
    digest = hashlib.sha256((folder / "utterances.jsonl").read_bytes())
    for utterance in Corpus(folder):
        digest.update((folder / utterance.file).read_bytes())
    return digest.hexdigest()
