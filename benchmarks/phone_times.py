"""Phone times of a corpus against its sound: where energy steps, and where the labels put it.

    python benchmarks/phone_times.py FOLDER [FOLDER ...] [--limit N] [--split NAME] [--groups]
                                     [--out JSON]

Prints the median of (sound - label) in ms for every kind of boundary with a sharp step, and its
quartiles: positive means that labels are early. The last row is the median over kinds without
voiceless bursts (synthesizers count the breath after them as part of the stop), which a recipe
takes as `offset_ms`. Steps are those of `datasets/speech/boundaries.py`, which moves boundaries
there when a corpus is loaded.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from labelled import Line, read_lines, spread, write_report

from facesdk.datasets.speech.boundaries import levels, nearest_step, step_between

REACH = 0.07
"""Seconds around a label."""
SHORTEST = 0.035
"""Seconds; neighbors shorter than this are left out."""
FEWEST = 20
GROUPS = {
    "p": "p", "b": "b", "t": "t k", "k": "t k", "d": "d g", "ɡ": "d g", "m": "m", "n": "n",
    "s": "s ʃ", "ʃ": "s ʃ",
}  # fmt: skip
VOICELESS_BURSTS = ("p > vowel", "t k > vowel")
VOWELS = frozenset("iɪeɛæaɑɔoʊuʌəɜɝɚyøœɨɐɒɘɯɤ")

Differences = Mapping[str, Sequence[float]]


def kind_of(before: str, after: str) -> str | None:
    """Return the name of a boundary between a vowel and a consonant, None for others."""
    if before[-1] in VOWELS and after in GROUPS:
        return f"vowel > {GROUPS[after]}"
    if before in GROUPS and after[0] in VOWELS:
        return f"{GROUPS[before]} > vowel"
    return None


def differences(line: Line) -> Iterator[tuple[str, float]]:
    """Yield kind and (sound - label) in ms of every clear boundary of a line."""
    found: dict[str, np.ndarray] = {}
    for (before, start, time), (after, _, end) in zip(line.phones, line.phones[1:], strict=False):
        kind, step = kind_of(before, after), step_between(before, after)
        if kind is None or step is None or min(time - start, end - time) < SHORTEST:
            continue
        found = found or levels(line.samples())
        # the far ends of both sounds must not be mistaken for this boundary
        reach = min(REACH, time - start + 0.015, end - time + 0.015)
        seconds = nearest_step(found[step.band], time, step.direction, reach)
        if seconds is not None:
            yield kind, 1000 * seconds


def measure(lines: Sequence[Line]) -> dict[str, list[float]]:
    """Return (sound - label) in ms by kind."""
    by_kind: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        for kind, difference in differences(line):
            by_kind[kind].append(difference)
    return {kind: by_kind[kind] for kind in sorted(by_kind) if len(by_kind[kind]) >= FEWEST}


def summary(by_kind: Differences) -> dict[str, dict[str, float]]:
    """Return count, median and quartiles by kind, and the median over kinds."""
    rows = {
        kind: dict(
            zip(("low", "median", "high"), np.percentile(found, [25, 50, 75]).tolist(), strict=True)
        )
        | {"count": len(found)}
        for kind, found in by_kind.items()
    }
    medians = [row["median"] for kind, row in rows.items() if kind not in VOICELESS_BURSTS]
    if medians:
        rows["all kinds"] = {
            "low": min(medians), "median": float(np.median(medians)), "high": max(medians),
            "count": sum(map(len, by_kind.values())),
        }  # fmt: skip
    return rows


def grouped(folder: Path, split: str | None, by_group: bool) -> dict[str, list[Line]]:
    """Return lines by name: of the folder, or of every language or age in it."""
    groups: dict[str, list[Line]] = {}
    for line in read_lines(folder, split):
        name = f"{folder.name} {line.group}" if by_group else folder.name
        groups.setdefault(name, []).append(line)
    return groups


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--limit", type=int, default=300, help="lines per table")
    parser.add_argument("--split", help="of corpora that have splits")
    parser.add_argument("--groups", action="store_true", help="one table per language or age")
    parser.add_argument("--out", type=Path, help="write all figures as JSON")
    args = parser.parse_args()
    report = {}
    for folder in args.folders:
        for name, lines in grouped(folder, args.split, args.groups).items():
            report[name] = summary(measure(spread(lines, args.limit)))
            print(f"\n{name}: sound minus label, ms")
            for kind, row in report[name].items():
                numbers = f"{row['median']:+6.0f}   [{row['low']:+.0f} {row['high']:+.0f}]"
                print(f"  {kind:14}{row['count']:6}{numbers}")
    write_report(report, args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
