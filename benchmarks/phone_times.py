"""Phone times of a corpus against its sound: where energy steps, and where the labels say so.

    python benchmarks/phone_times.py FOLDER [FOLDER ...] [--limit N] [--split train] [--json OUT]

Prints, for each kind of boundary, the median of (sound - label) in ms: positive means that labels
are early. A boundary is the point where the level of a band, in dB and averaged over 20 ms,
steps most; kinds are chosen so that the step is sharp and the lips, tongue and voice make it at
once. The last row is the median over kinds, which a recipe takes as `phone_offset_ms`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from labelled import Line, read_lines, spread

RATE = 16_000
HOP = 16
"""Samples; 1 ms."""
WINDOW = 96
SIDE = 20
"""Frames averaged before and after a step."""
REACH = 70
LEAST_STEP = 8.0
"""dB; less is no boundary."""
LEAST_PHONE = 0.035

VOWELS = frozenset("iɪeɛæaɑɔoʊuʌəɜɝɚyøœɨɐɒɘɯɤ")
HISS = frozenset("sʃzʒ")
STOPS = frozenset("pbtdkɡ")
VOICELESS = frozenset("ptk")
NASALS = frozenset("mn")

BANDS = {"low": (60, 500), "middle": (600, 3200), "high": (3800, 7600), "all": (200, 7600)}

Kind = tuple[str, str, int]


def kind_of(before: str, after: str) -> Kind | None:
    """Name, band and direction of the step between two sounds."""
    vowel_first, vowel_last = before[-1] in VOWELS, after[0] in VOWELS
    if vowel_first and after in "sʃ":
        return "vowel > s ʃ", "high", 1
    if before in "sʃ" and vowel_last:
        return "s ʃ > vowel", "high", -1
    if vowel_first and after in STOPS:
        bilabial = ("p" if after in "p" else "b") if after in "pb" else ("t k" if after in VOICELESS else "d g")
        return f"vowel > {bilabial}", "middle", -1
    if before in STOPS and vowel_last:
        return (("p" if before == "p" else "b") if before in "pb" else ("t k" if before in VOICELESS else "d g")) + " > vowel", "middle", 1
    if vowel_first and after == "m":
        return "vowel > m", "middle", -1
    if before == "m" and vowel_last:
        return "m > vowel", "middle", 1
    return None


def levels(samples: np.ndarray) -> dict[str, np.ndarray]:
    """(T,) dB per band, 1000 frames a second, centred windows."""
    padded = np.pad(samples.astype(np.float64), (WINDOW // 2, WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), 256)) ** 2
    hertz = np.arange(129) * RATE / 256
    floor = np.percentile(power.sum(1), 95) * 1e-6
    return {
        name: 10 * np.log10(power[:, (hertz >= low) & (hertz < high)].sum(1) + floor)
        for name, (low, high) in BANDS.items()
    }


def step_near(level: np.ndarray, frame: int, direction: int, reach: int = REACH) -> float | None:
    """Frames from a label to the largest step near it, None where there is no clear one."""
    first, last = frame - reach - SIDE, frame + reach + SIDE
    if first < 0 or last >= len(level):
        return None
    sums = np.concatenate([[0.0], np.cumsum(level[first:last])])
    middle = np.arange(SIDE, last - first - SIDE)
    before = (sums[middle] - sums[middle - SIDE]) / SIDE
    after = (sums[middle + SIDE] - sums[middle]) / SIDE
    steps = direction * (after - before)
    best = int(np.argmax(steps))
    if steps[best] < LEAST_STEP or best in (0, len(steps) - 1):
        return None
    return float(middle[best] + first - frame)


def differences(line: Line) -> Iterator[tuple[str, float]]:
    """Kind and (sound - label) in ms of every clear boundary of a line."""
    found = None
    for (before, start, time), (after, _, end) in zip(line.phones, line.phones[1:], strict=False):
        kind = kind_of(before, after) if min(time - start, end - time) >= LEAST_PHONE else None
        if kind is None:
            continue
        found = found if found is not None else levels(line.samples())
        name, band, direction = kind
        # neighbouring boundaries must not be mistaken for this one
        reach = int(min(REACH, 1000 * (time - start) + 15, 1000 * (end - time) + 15))
        step = step_near(found[band], round(1000 * time), direction, reach)
        if step is not None:
            yield name, step


def measure(lines: Sequence[Line]) -> dict[str, list[float]]:
    """(sound - label) by kind."""
    by_kind: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        for kind, difference in differences(line):
            by_kind[kind].append(difference)
    return dict(sorted(by_kind.items()))


def summary(by_kind: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    rows = {
        kind: {
            "count": len(found),
            "median": float(np.median(found)),
            "quartiles": [float(q) for q in np.percentile(found, [25, 75])],
        }
        for kind, found in by_kind.items()
        if len(found) >= 20
    }
    medians = [row["median"] for row in rows.values()]
    return {**rows, "over kinds": {"count": sum(map(len, by_kind.values())),
                                   "median": float(np.median(medians)) if medians else 0.0,
                                   "quartiles": [min(medians, default=0), max(medians, default=0)]}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--split")
    parser.add_argument("--groups", action="store_true", help="one table per language or age")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    report = {}
    for folder in args.folders:
        lines = read_lines(folder, args.split)
        groups: dict[str, list[Line]] = {folder.name: lines}
        if args.groups:
            groups = {}
            for line in lines:
                groups.setdefault(f"{folder.name} {line.group}", []).append(line)
        for name, group in groups.items():
            report[name] = summary(measure(spread(group, args.limit)))
            print(f"\n{name}: sound minus label, ms")
            for kind, row in report[name].items():
                low, high = row["quartiles"]
                print(f"  {kind:18}{row['count']:6}  {row['median']:+6.0f}   [{low:+.0f} {high:+.0f}]")
    if args.json:
        args.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
