"""Speech with known sounds from a folder, and what a model makes of it.

Two layouts are read, told apart by their index `utterances.jsonl`: lines with `alignment`
(ARPAbet, with `split`, `age`, `quality`), and corpora as facesdk builds them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from measures import RATE, SILENCE, Track, rounded

import facesdk
from facesdk.articulation import Rules
from facesdk.audio import read_audio
from facesdk.datasets.speech.corpus import Corpus
from facesdk.errors import FaceSDKError

SAMPLE_RATE = 16_000
ADULT = 16
"""Years."""

UNITS = (
    "jaw", "aperture", "closure", "labiodental", "rounding", "protrusion", "spread", "sibilant",
    "tongue_tip", "voicing", "loudness",
)  # fmt: skip
"""What is kept of a rig."""

Change = Callable[[np.ndarray, "Line"], np.ndarray]
"""Samples of a line made worse; as long as they were."""


@dataclass(frozen=True)
class Line:
    """One line with its sounds in the keys of the articulation rules."""

    id: str
    audio: Path
    speaker: str
    group: str
    """`adults` or `children` where ages are known, else the language."""
    language: str
    phones: tuple[tuple[str, float, float], ...]

    def samples(self) -> np.ndarray:
        """(N,) at 16 kHz."""
        return read_audio(self.audio, sample_rate=SAMPLE_RATE)


def read_lines(folder: Path, split: str | None = None) -> list[Line]:
    """All usable lines of a folder; `split` picks one where the index has them."""
    index = folder / "utterances.jsonl"
    if not index.is_file():
        raise SystemExit(f"{folder} has no utterances.jsonl: name a folder of labelled speech")
    with index.open(encoding="utf-8") as file:
        aligned = "alignment" in json.loads(file.readline())
    lines = _aligned(folder, index, split) if aligned else _built(folder)
    if not lines:
        raise SystemExit(f"{folder} has no usable line" + (f" in split {split!r}" if split else ""))
    return lines


def _aligned(folder: Path, index: Path, split: str | None) -> list[Line]:
    lines = []
    with index.open(encoding="utf-8") as file:
        for record in map(json.loads, file):
            if (split and record["split"] != split) or not _usable(record["quality"]):
                continue
            group = "adults" if record["age"] >= ADULT else "children"
            phones = _sounds(record["alignment"], "arpabet")
            path = folder / record["file"]
            lines.append(Line(record["id"], path, record["speaker"], group, "en", phones))
    return lines


def _usable(quality: dict | None) -> bool:
    """Whether the times of a line can be believed."""
    return bool(quality) and (
        quality["frame_score"] > -33
        and quality["shortest_share"] < 0.3
        and quality["loud_outside"] < 0.25
    )


def _built(folder: Path) -> list[Line]:
    return [
        Line(
            u.id, folder / u.file, u.speaker, u.language, u.language, _sounds(u.phones, u.alphabet)
        )
        for u in Corpus(folder)
    ]


def _sounds(phones: Iterable, alphabet: str) -> tuple[tuple[str, float, float], ...]:
    known = _rules().phones
    found = ((known.find(p[0], alphabet), float(p[1]), float(p[2])) for p in phones)
    return tuple((sound.symbol if sound else SILENCE, start, end) for sound, start, end in found)


@cache
def _rules() -> Rules:
    return Rules.load()


def spread(lines: Sequence[Line], limit: int | None) -> list[Line]:
    """At most `limit` lines, evenly from the whole list."""
    if not limit or limit >= len(lines):
        return list(lines)
    return [lines[i * len(lines) // limit] for i in range(limit)]


# ------------------------------------------------------------------------------- baking


@dataclass(frozen=True)
class Listener:
    """How lines are listened to."""

    rig: str = "articulation"
    look_ahead: float | None = None
    model: Path | None = None
    jobs: int = 1

    def curves(self, samples: np.ndarray, model: facesdk.Model) -> dict[str, np.ndarray]:
        """(T,) by unit, 100 frames a second, without blinks and without the way back to rest."""
        session = model.session(
            rig=self.rig, fps=RATE, look_ahead_ms=self.look_ahead, blinks=False, settle=False
        )
        frames = [*session.push(samples), *session.flush()]
        values = np.array([frame.values for frame in frames], np.float32)
        return {unit: values[:, session.rig.index(unit)] for unit in UNITS}

    def track(self, line: Line, change: Change | None = None) -> Track:
        """One line; `change` makes its audio worse before it is heard."""
        samples = line.samples()
        heard = samples if change is None else change(samples, line)
        return Track(line.speaker, line.group, line.phones, self.curves(heard, self._loaded()))

    def tracks(self, lines: Sequence[Line], change: Change | None = None) -> list[Track]:
        """Many lines, on `jobs` processes."""
        work = partial(self.track, change=change)
        if self.jobs < 2:
            return [work(line) for line in lines]
        return list(_pool(self.jobs).map(work, lines, chunksize=16))

    def _loaded(self) -> facesdk.Model:
        if self.model not in _MODELS:
            _MODELS[self.model] = facesdk.load(self.model)
        return _MODELS[self.model]

    def describe(self) -> dict:
        """For a report: which model, which curves."""
        manifest = facesdk.load(self.model).manifest
        offered = manifest.look_aheads_ms
        return {
            "model": manifest.name,
            "model_sha256": manifest.sha256[:16],
            "rig": self.rig,
            "look_ahead_ms": offered[facesdk.load(self.model).look_ahead(self.look_ahead)],
        }


@cache
def _pool(jobs: int) -> ProcessPoolExecutor:
    """Processes that stay for all that this one asks."""
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))


_MODELS: dict[Path | None, facesdk.Model] = {}
"""Each process loads a model once."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that all benchmarks on labelled speech share."""
    parser.add_argument("--rig", default="articulation", help="articulation or units")
    parser.add_argument("--look-ahead", type=float, metavar="MS", help="default: the longest")
    parser.add_argument("--model", type=Path, metavar="DIR", help="default: the one shipped")
    parser.add_argument("--limit", type=int, metavar="N", help="lines, evenly from all")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, metavar="JSON", help="write the report there as well")


def listener(args: argparse.Namespace) -> Listener:
    """What the shared options ask for, once it is known that the model can do it."""
    try:
        facesdk.load(args.model).session(rig=args.rig, look_ahead_ms=args.look_ahead)
    except FaceSDKError as error:
        raise SystemExit(f"{error} (or choose --rig units)") from error
    return Listener(args.rig, args.look_ahead, args.model, args.jobs)


def write_report(report: dict, path: Path | None) -> None:
    """As JSON with short numbers, where a path is given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(rounded(report), indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8")
        print(f"written: {path}")
