"""Phone-aligned speech from a folder, and a model's curves for it.

Two layouts are supported, which differ in their index `utterances.jsonl`: lines with `alignment`
(ARPAbet, with `split`, `age`, `quality`), and corpora that facesdk has built.
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
from measures import FPS, SILENCE, Track, rounded

import facesdk
from facesdk.articulation import Rules
from facesdk.audio import SAMPLE_RATE, read_audio
from facesdk.datasets.speech.corpus import Corpus
from facesdk.errors import FaceSDKError

ADULT = 16
"""Years."""

UNITS = (
    "jaw", "aperture", "closure", "labiodental", "rounding", "protrusion", "spread", "sibilant",
    "tongue_tip", "voicing", "loudness",
)  # fmt: skip
"""Curves that are measured."""

Change = Callable[[np.ndarray, "Line"], np.ndarray]
"""A function that degrades the samples of a line and keeps their number."""


@dataclass(frozen=True)
class Line:
    """One line with its sounds, as keys of the articulation rules."""

    id: str
    audio: Path
    speaker: str
    group: str
    """`adults` or `children` where ages are known, else the language."""
    language: str
    phones: tuple[tuple[str, float, float], ...]

    def samples(self) -> np.ndarray:
        """Return (N,) samples at 16 kHz."""
        return read_audio(self.audio, sample_rate=SAMPLE_RATE)


def read_lines(folder: Path, split: str | None = None) -> list[Line]:
    """Return all usable lines of a folder, of one `split` if the index has splits."""
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
    """Whether the alignment of a line is reliable."""
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
    sounds = _rules().phones
    found = ((sounds.find(p[0], alphabet), float(p[1]), float(p[2])) for p in phones)
    return tuple((sound.symbol if sound else SILENCE, start, end) for sound, start, end in found)


@cache
def _rules() -> Rules:
    return Rules.load()


def spread(lines: Sequence[Line], limit: int | None) -> list[Line]:
    """Return at most `limit` lines, evenly spaced in the list."""
    if not limit or limit >= len(lines):
        return list(lines)
    return [lines[i * len(lines) // limit] for i in range(limit)]


# ------------------------------------------------------------------------------- baking


@dataclass(frozen=True)
class CurveRunner:
    """The settings with which lines are converted to curves."""

    rig: str = "articulation"
    look_ahead: float | None = None
    model: Path | None = None
    jobs: int = 1

    def curves(self, samples: np.ndarray, model: facesdk.Model) -> dict[str, np.ndarray]:
        """Return (T,) curves by unit at 100 frames per second, without blinks and settling."""
        session = model.session(
            rig=self.rig, fps=FPS, look_ahead_ms=self.look_ahead, blinks=False, settle=False
        )
        frames = [*session.push(samples), *session.flush()]
        values = np.array([frame.values for frame in frames], np.float32)
        return {unit: values[:, session.rig.index(unit)] for unit in UNITS}

    def track(self, line: Line, change: Change | None = None) -> Track:
        """Return the curves of one line, whose audio is first degraded by `change`."""
        samples = line.samples()
        if change is not None:
            samples = change(samples, line)
        return Track(line.speaker, line.group, line.phones, self.curves(samples, self._loaded()))

    def tracks(self, lines: Sequence[Line], change: Change | None = None) -> list[Track]:
        """Return the curves of many lines, computed by `jobs` processes."""
        work = partial(self.track, change=change)
        if self.jobs < 2:
            return [work(line) for line in lines]
        return list(_pool(self.jobs).map(work, lines, chunksize=16))

    def _loaded(self) -> facesdk.Model:
        if self.model not in _MODELS:
            _MODELS[self.model] = facesdk.load(self.model)
        return _MODELS[self.model]

    def describe(self) -> dict:
        """Return model, rig and look-ahead for a report."""
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
    """Return worker processes, which are kept for all calls."""
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))


_MODELS: dict[Path | None, facesdk.Model] = {}
"""Models of this process by path."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all benchmarks on aligned speech have."""
    parser.add_argument("--rig", default="articulation", help="articulation or units")
    parser.add_argument("--look-ahead", type=float, metavar="MS", help="default: the longest")
    parser.add_argument("--model", type=Path, metavar="DIR", help="default: the built-in one")
    parser.add_argument("--limit", type=int, metavar="N", help="lines, evenly from all")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, metavar="JSON", help="write the report there as well")


def curve_runner(args: argparse.Namespace) -> CurveRunner:
    """Return the settings in the options; exits if the model does not support them."""
    try:
        facesdk.load(args.model).session(rig=args.rig, look_ahead_ms=args.look_ahead)
    except FaceSDKError as error:
        raise SystemExit(f"{error} (or choose --rig units)") from error
    return CurveRunner(args.rig, args.look_ahead, args.model, args.jobs)


def write_report(report: dict, path: Path | None) -> None:
    """Write a report as JSON with short numbers; None writes nothing."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(rounded(report), indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8")
        print(f"written: {path}")
