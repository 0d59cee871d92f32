"""Which mouth each sound gets, in millimeters on the built-in head, and how it rests and moves.

    python benchmarks/shapes.py FOLDER [--split test] [--rig arkit] [--look-ahead MS]
                                [--limit N] [--jobs N] [--out JSON]

FOLDER holds speech with known sounds in either layout of `labelled.py`. Four tables are printed:
the middle of every sound, closures against the labels, the mouth where nobody speaks, and motion.
See benchmarks/README.md for what each figure means.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import degrade
import numpy as np
from labelled import CurveRunner, Line, add_options, read_lines, spread, write_report
from measures import BILABIALS, SILENCE
from mouth import CONTACT, Curves, Mouth

FPS = 60
CLASSES: dict[str, tuple[str, ...]] = {
    "p b m": BILABIALS,
    "f v": ("f", "v"),
    "s z": ("s", "z"),
    "ʃ ʒ ʧ ʤ": ("ʃ", "ʒ", "ʧ", "ʤ"),
    "t d n": ("t", "d", "n"),
    "k g ŋ": ("k", "ɡ", "ŋ"),
    "l": ("l",),
    "r": ("ɹ",),
    "θ ð": ("θ", "ð"),
    "i ɪ e": ("i", "ɪ", "e", "eɪ"),
    "ɛ": ("ɛ",),
    "ə ʌ ɝ": ("ə", "ʌ", "ɝ", "ɜ"),
    "ɑ a æ": ("ɑ", "a", "æ"),
    "o ɔ ʊ": ("o", "oʊ", "ɔ", "ʊ"),
    "u": ("u", "y"),
    "w": ("w",),
    "pause": (SILENCE,),
}
"""Sounds by the class that is printed."""

OPEN_CONSONANTS = ("t", "d", "n", "s", "k")
"""Sounds during which lips must not touch."""
SHORTEST = 0.03
"""Seconds; shorter sounds are not counted."""
NEAR = 0.12
"""Seconds around a label in which its closure is searched."""
FLICKER = 0.04
"""Seconds; lips neither close nor open for less."""
LONG_PAUSE, CLOSING = 0.6, 0.3
"""Seconds of silence that count as a long pause, and the time lips have to close in it."""
STEP = 3.5
"""Millimeters between the incisors in one frame: 0.133 of jawOpen, the 99.9th percentile of the
steps of tracked faces (benchmarks/devset.py)."""
ODD_SECONDS = 6


@dataclass(frozen=True)
class Seen:
    """One line as the head shows it, 60 frames per second."""

    phones: tuple[tuple[str, float, float], ...]
    mouth: Curves
    still: bool
    """Whether first and last frame are exactly at rest."""

    @property
    def seconds(self) -> float:
        return len(self.mouth["gap"]) / FPS

    def at(self, name: str, time: float) -> float:
        """A quantity at an instant."""
        curve = self.mouth[name]
        return float(np.interp(time * FPS, np.arange(len(curve)), curve))

    def within(self, name: str, start: float, end: float) -> np.ndarray:
        """A quantity every 5 ms from `start` to `end`."""
        curve = self.mouth[name]
        times = np.arange(start, end + 1e-9, 0.005)
        return np.interp(times * FPS, np.arange(len(curve)), curve)


@cache
def mouth() -> Mouth:
    return Mouth()


def bake(samples: np.ndarray, runner: CurveRunner) -> tuple[Curves, bool]:
    """The mouth for some audio, and whether it begins and ends exactly at rest."""
    session = runner._loaded().session(
        rig=runner.rig, fps=FPS, look_ahead_ms=runner.look_ahead, blinks=False
    )
    frames = [*session.push(samples), *session.flush()]
    values = np.array([frame.values for frame in frames], np.float32)
    still = bool((values[[0, -1]] == session.rig.rest).all())
    return mouth().measure(values, session.rig), still


def see(line: Line, runner: CurveRunner) -> Seen:
    return Seen(line.phones, *bake(line.samples(), runner))


# ------------------------------------------------------------------------------- sounds


def shapes(lines: Sequence[Seen]) -> dict[str, dict[str, float]]:
    """By class: medians at the middle of its sounds, and shares of sounds that touch."""
    rows = {}
    for name, sounds in CLASSES.items():
        found = [(line, start, end) for line in lines for phone, start, end in line.phones
                 if phone in sounds and end - start >= SHORTEST]  # fmt: skip
        if not found:
            continue
        middles = {
            quantity: [line.at(quantity, (start + end) / 2) for line, start, end in found]
            for quantity in ("gap", "width", "forward", "chin", "teeth", "bite", "shown")
        }
        row = {"sounds": float(len(found))}
        row |= {quantity: float(np.median(values)) for quantity, values in middles.items()}
        low, high = np.percentile(middles["gap"], [25, 75])
        row |= {"gap_25": float(low), "gap_75": float(high)}
        row["sealed"] = _share(found, lambda line, a, b: line.within("gap", a, b).min() <= CONTACT)
        row["on_teeth"] = _share(found, lambda line, a, b: line.within("bite", a, b).min() <= 1)
        rows[name] = row
    return rows


def _share(found: Sequence, test: Callable[[Seen, float, float], bool]) -> float:
    return float(np.mean([test(*one) for one in found]))


# ------------------------------------------------------------------------------- closures


def closures(lines: Sequence[Seen]) -> dict[str, float]:
    """Lip contact against labels: shares that close, and milliseconds from the labels."""
    offsets, onsets, releases, found, false = [], [], [], [], []
    for line in lines:
        for phone, start, end in line.phones:
            if end - start < SHORTEST:
                continue
            if phone in OPEN_CONSONANTS:
                false.append(line.within("gap", start, end).min() <= CONTACT)
            if phone not in BILABIALS:
                continue
            found.append(line.within("gap", start, end).min() <= CONTACT)
            contact = _contact(line, start, end)
            if contact is not None:
                offsets.append((sum(contact) - start - end) / 2)
                onsets.append(contact[0] - start)
                releases.append(contact[1] - end)
    median = [1000 * float(np.median(x)) if x else float("nan")
              for x in (offsets, onsets, releases)]  # fmt: skip
    return {
        "p b m sealed": _mean(found),
        "t d n s k sealed": _mean(false),
        "center, ms": median[0],
        "onset, ms": median[1],
        "release, ms": median[2],
    }


def _mean(values: Sequence[bool]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _contact(line: Seen, start: float, end: float) -> tuple[float, float] | None:
    """Start and end in seconds of the contact that overlaps a label most, or None."""
    first = max(0.0, start - NEAR)
    closed = line.within("gap", first, min(end + NEAR, line.seconds)) <= CONTACT
    best: tuple[float, float, float] | None = None
    for begin, stop in runs(closed):
        span = (first + 0.005 * begin, first + 0.005 * (stop - 1))
        shared = min(span[1], end) - max(span[0], start)
        if best is None or shared > best[0]:
            best = (shared, *span)
    return None if best is None or best[0] < -0.06 else best[1:]


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Begin and end (exclusive) of every run of True."""
    edges = np.flatnonzero(np.diff(np.r_[0, mask.astype(int), 0]))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


# ------------------------------------------------------------------------------- rest, motion


def rest(lines: Sequence[Seen]) -> dict[str, float]:
    """Gap over rest in long pauses once they had time to close, and how lines begin and end."""
    closed = mouth()._rest["gap"][0]
    gaps = [
        line.within("gap", start + CLOSING, end - CLOSING)
        for line in lines
        for phone, start, end in line.phones
        if phone == SILENCE and end - start > LONG_PAUSE
    ]
    pauses = np.concatenate(gaps) - closed if gaps else np.full(1, np.nan)
    return {
        "long pauses, median mm": float(np.median(pauses)),
        "long pauses, 95 % mm": float(np.percentile(pauses, 95)),
        "lines that begin and end at rest": _mean([line.still for line in lines]),
    }


def motion(lines: Sequence[Seen]) -> dict[str, float]:
    """Per minute: seals and openings under 40 ms, and steps of the jaw that no face makes."""
    minutes = sum(line.seconds for line in lines) / 60
    short, jumps, speeds = 0, 0, []
    for line in lines:
        sealed = line.mouth["gap"] <= CONTACT
        for mask in (sealed, ~sealed):
            short += sum(a > 0 and b < len(mask) and (b - a) / FPS < FLICKER - 1e-6
                         for a, b in runs(mask))  # fmt: skip
        steps = np.abs(np.diff(line.mouth["teeth"]))
        jumps += int((steps > STEP).sum())
        speeds.append(np.abs(np.diff(line.mouth["gap"])).mean() * FPS)
    return {
        "flicker under 40 ms": short / minutes,
        "jaw steps over faces'": jumps / minutes,
        "mean speed of the gap, mm/s": float(np.mean(speeds)),
    }


def odd_sounds() -> dict[str, np.ndarray]:
    """Sounds in which nobody speaks, 16 kHz."""
    rng, length = np.random.default_rng(0), ODD_SECONDS * degrade.SAMPLE_RATE
    time = np.arange(length) / degrade.SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3, 5))
    clicks = np.zeros(length)
    clicks[8000::12000] = 0.5
    breath = degrade.pink(length, rng) * np.clip(np.sin(2 * np.pi * 0.4 * time), 0, 1)
    return {
        "silence": np.zeros(length),
        "white noise -40 dB": 0.01 * degrade.white(length, rng),
        "pink noise -30 dB": 0.03 * degrade.pink(length, rng),
        "hum": 0.02 * np.asarray(hum),
        "breath": 0.02 * breath,
        "clicks": clicks,
        "music": 0.1 * _music(length),
    }


def _music(length: int) -> np.ndarray:
    """Plucked chords, two per second, RMS about 1."""
    roots, major = (261.6, 220.0, 174.6, 196.0), (1.0, 1.26, 1.5)
    music = np.zeros(length)
    step = degrade.SAMPLE_RATE // 2
    for number, start in enumerate(range(0, length, step)):
        time = np.arange(min(step, length - start)) / degrade.SAMPLE_RATE
        for ratio in major:
            for overtone in range(1, 6):
                wave = np.sin(2 * np.pi * roots[number % 4] * ratio * overtone * time)
                music[start : start + len(time)] += wave * np.exp(-3 * time) / overtone**1.3
    return music / np.sqrt(np.mean(music**2))


def nobody(runner: CurveRunner, speech: float) -> dict[str, dict[str, float]]:
    """By sound: gap over rest, and speed of the gap as a share of that in speech."""
    closed = mouth()._rest["gap"][0]
    rows = {}
    for name, samples in odd_sounds().items():
        gap = bake(samples.astype(np.float32), runner)[0]["gap"]
        rows[name] = {
            "gap_mean": float(gap.mean() - closed),
            "gap_95": float(np.percentile(gap, 95) - closed),
            "motion": float(np.abs(np.diff(gap)).mean() * FPS / speech),
        }
    return rows


# ------------------------------------------------------------------------------- printing


def report_of(lines: Sequence[Seen], runner: CurveRunner) -> dict:
    moving = motion(lines)
    return {
        **runner.describe(),
        "lines": len(lines),
        "shapes": shapes(lines),
        "closures": closures(lines),
        "rest": rest(lines),
        "motion": moving,
        "nobody": nobody(runner, moving["mean speed of the gap, mm/s"]),
    }


def show(report: Mapping) -> None:
    print(f"{report['lines']} lines, rig {report['rig']}, look-ahead {report['look_ahead_ms']} ms")
    print("\nmm, median at the middle of a sound\n")
    print("             sounds    gap  25..75 %       width  forward  teeth   bite   shown  "
          "sealed  on teeth")  # fmt: skip
    for name, row in report["shapes"].items():
        print(
            f"  {name:10}{row['sounds']:7.0f}{row['gap']:7.1f}  "
            f"({row['gap_25']:4.1f}..{row['gap_75']:4.1f}){row['width']:+9.1f}"
            f"{row['forward']:+9.1f}{row['teeth']:7.1f}{row['bite']:7.1f}{row['shown']:8.1f}"
            f"{row['sealed']:8.2f}{row['on_teeth']:10.2f}"
        )
    for title in ("closures", "rest", "motion"):
        print(f"\n{title}")
        for name, value in report[title].items():
            print(f"  {name:36}{value:8.2f}")
    print("\nnobody speaks               gap mm    95 %   motion")
    for name, row in report["nobody"].items():
        print(f"  {name:24}{row['gap_mean']:8.2f}{row['gap_95']:8.2f}{row['motion']:9.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="test")
    add_options(parser)
    parser.set_defaults(rig="arkit")
    args = parser.parse_args()
    runner = CurveRunner(args.rig, args.look_ahead, args.model, args.jobs)
    chosen = spread(read_lines(args.folder, args.split), args.limit)
    report = report_of(runner.each(partial(see, runner=runner), chosen), runner)
    show(report)
    write_report(report, args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
