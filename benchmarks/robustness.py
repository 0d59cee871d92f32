"""Measure the recognition of sounds with noise, rooms, codecs, other voices, and without speech.

    python benchmarks/robustness.py FOLDER [--split test] [--limit 400] [--rig articulation]
                                    [--look-ahead MS] [--jobs N] [--only NAME ...] [--out JSON]

FOLDER contains aligned speech in either layout of `labelled.py`. Degradations keep time, so the
labels of the clean lines stay valid. See benchmarks/README.md for the definition of the figures.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import degrade
import numpy as np
from labelled import (
    CurveRunner,
    Line,
    add_options,
    curve_runner,
    read_lines,
    spread,
    write_report,
)
from measures import Track, correlation, figures

import facesdk

LINES = 400
VOICES = 6
"""Voices in the babble."""

MOVING = (
    "jaw", "aperture", "closure", "labiodental", "rounding", "protrusion", "spread", "sibilant"
)  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """A degradation; deterministic for a line."""

    name: str
    kind: str
    amount: float = 0.0
    crowd: tuple[Path, ...] = ()
    """Files from which babble is mixed."""

    def __call__(self, samples: np.ndarray, line: Line) -> np.ndarray:
        rng = np.random.default_rng(zlib.crc32(f"{self.name} {line.id}".encode()))
        return self._changed(samples.astype(float), rng, line).astype(np.float32)

    def _changed(self, samples: np.ndarray, rng: np.random.Generator, line: Line) -> np.ndarray:
        if self.kind in ("white", "pink", "babble"):
            return degrade.add_noise(samples, self._noise(len(samples), rng, line), self.amount)
        if self.kind == "room":
            return degrade.reverberate(samples, self.amount, rng)
        if self.kind == "gain":
            return degrade.amplified(samples, self.amount)
        if self.kind == "whisper":
            return degrade.whisper(samples, rng)
        return getattr(degrade, self.kind)(samples)

    def _noise(self, length: int, rng: np.random.Generator, line: Line) -> np.ndarray:
        if self.kind != "babble":
            return getattr(degrade, self.kind)(length, rng)
        others = [path for path in self.crowd if path != line.audio]
        chosen = rng.choice(len(others), min(VOICES, len(others)), replace=False)
        return degrade.babble(length, rng, [_samples(others[i]) for i in chosen])


@lru_cache(maxsize=128)
def _samples(path: Path) -> np.ndarray:
    return Line("", path, "", "", "", ()).samples()


def conditions(lines: Sequence[Line]) -> list[Condition]:
    """Return all conditions, ascending in strength; babble uses 60 of the lines."""
    crowd = tuple(line.audio for line in spread(lines, 60))
    noise = [
        Condition(f"{kind} noise {snr} dB" if kind != "babble" else f"babble {snr} dB", kind, snr,
                  crowd if kind == "babble" else ())
        for kind in ("white", "pink", "babble")
        for snr in (20, 10, 5)
    ]  # fmt: skip
    rooms = [Condition(f"room {seconds} s", "room", seconds) for seconds in (0.3, 0.6, 1.0)]
    return [
        *noise,
        *rooms,
        Condition("telephone", "telephone"),
        Condition("Opus 16 kbit/s", "opus"),
        Condition("MP3 16 kbit/s", "mp3"),
        Condition("gain -30 dB", "gain", -30),
        Condition("gain +12 dB, cut", "gain", 12),
        Condition("smaller voice x1.25", "higher"),
        Condition("whisper", "whisper"),
        Condition("shout", "shout"),
    ]


# ------------------------------------------------------------------------------- figures


def motion(curves: Mapping[str, np.ndarray]) -> float:
    """Return the mean speed of the mouth's curves in full ranges per second."""
    speeds = [100 * np.abs(np.diff(curves[unit])).mean() for unit in MOVING]
    return float(np.mean(speeds))


def likeness(tracks: Sequence[Track], clean: Sequence[Track]) -> dict[str, float]:
    """Return the correlation of each curve with that of the clean lines, and the mean."""
    r = {}
    for unit in MOVING:
        both = (np.concatenate([t.curves[unit] for t in some]) for some in (tracks, clean))
        r[unit] = correlation(*both)
    return {"mean": float(np.mean(list(r.values()))), **r}


def row(tracks: Sequence[Track], clean: Sequence[Track]) -> dict:
    moved = np.mean([motion(t.curves) for t in tracks])
    before = np.mean([motion(t.curves) for t in clean])
    return {
        "lines": len(tracks),
        "figures": figures(tracks),
        "motion": float(moved / before),
        "r_with_clean": likeness(tracks, clean),
    }


def without_speech(runner: CurveRunner, clean: Sequence[Track]) -> dict[str, dict[str, float]]:
    """Return motion and opening of the mouth for sounds without speech, relative to speech."""
    model = facesdk.load(runner.model)
    speech_motion = np.mean([motion(t.curves) for t in clean])
    speech_spread = np.mean([t.curves["jaw"].std() for t in clean])
    rows = {}
    for name, sound in degrade.no_speech().items():
        curves = runner.curves(sound.astype(np.float32), model)
        rows[name] = {
            "motion": float(motion(curves) / speech_motion),
            "jaw_mean": float(curves["jaw"].mean()),
            "jaw_spread": float(curves["jaw"].std() / speech_spread),
            "aperture_mean": float(curves["aperture"].mean()),
        }
    return rows


# ------------------------------------------------------------------------------- report

HEADS = {
    "bilabial_auc": "bilab.", "labiodental_auc": "labiod.", "sibilant_auc": "sibil.",
    "rounding_auc": "round.", "jaw_r": "jaw r", "closures_at_5": "found 5%",
}  # fmt: skip


def show_head() -> None:
    print(f"{'':24}" + "".join(f"{head:>9}" for head in HEADS.values()) + "   motion  r clean")


def show(name: str, row: Mapping) -> None:
    values = "".join(f"{row['figures'][figure]:9.3f}" for figure in HEADS)
    print(f"{name:24}{values}{row['motion']:9.2f}{row['r_with_clean']['mean']:9.2f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="conditions that contain this")
    add_options(parser)
    args = parser.parse_args()
    runner = curve_runner(args)
    lines = spread(read_lines(args.folder, args.split), args.limit or LINES)
    clean = runner.tracks(lines)
    report: dict = {**runner.describe(), "lines": len(lines), "conditions": {}}
    show_head()

    def add(name: str, tracks: Sequence[Track], reference: Sequence[Track]) -> None:
        report["conditions"][name] = row(tracks, reference)
        show(name, report["conditions"][name])

    add("clean", clean, clean)
    for group in sorted({line.group for line in lines} & {"adults", "children"}):
        some = [track for track in clean if track.group == group]
        add(f"clean, {group}", some, some)
    for condition in conditions(lines):
        if args.only and not any(word in condition.name for word in args.only):
            continue
        kept = [i for i, line in enumerate(lines) if _applies(condition, line)]
        degraded = runner.tracks([lines[i] for i in kept], condition)
        add(condition.name, degraded, [clean[i] for i in kept])
    report["without_speech"] = without_speech(runner, clean)
    print(f"\n{'without speech':24}{'motion':>9}{'jaw':>9}{'jaw sd':>9}{'gap':>9}")
    for name, values in report["without_speech"].items():
        print(f"{name:24}" + "".join(f"{value:9.3f}" for value in values.values()))
    write_report(report, args.out)
    return 0


def _applies(condition: Condition, line: Line) -> bool:
    """Whether a condition applies to a line; children's voices are not raised."""
    return condition.kind != "higher" or line.group != "children"


if __name__ == "__main__":
    raise SystemExit(main())
