"""Baking with a text against baking without one: alignment, lip closures, texts that do not fit.

    python benchmarks/transcripts.py FOLDER [--split test] [--limit N] [--look-ahead MS]
                                     [--voices NAME ...] [--model DIR] [--jobs N] [--out JSON]

FOLDER holds speech with known sounds and its texts, in either layout of `labelled.py`. Only the
words of each line are given; where they are spoken is found. Only English lines
count. Three tables are printed: starts of sounds against the labels, how often the text of the
line and that of another one is taken as its own, and the closures of `shapes.py` without and with
the text.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from labelled import CurveRunner, Line, add_options, read_lines, spread, write_report
from languages import held_out
from measures import BILABIALS, SILENCE
from shapes import FPS, Seen, closures, motion, mouth

from facesdk.alignment import Alignment
from facesdk.errors import AlignmentError
from facesdk.model import Guide, align_text
from facesdk.model.guide import guide_for
from facesdk.performance import Performance

NEAR = (0.02, 0.05)
"""Seconds; shares of starts within these are printed."""
OTHER = 7
"""How many lines further the text of another line is taken from."""


@dataclass(frozen=True)
class Baked:
    """One line without and with its text."""

    line: Line
    heard: Seen
    guided: Seen
    alignment: Alignment | None
    other: Alignment | None
    """The same recording with the text of another line."""


def texts(folder: Path) -> dict[str, str]:
    """The text of every line, by its id."""
    with (folder / "utterances.jsonl").open(encoding="utf-8") as file:
        records = [json.loads(row) for row in file]
    return {r["id"]: r["text"].capitalize() if r["text"].isupper() else r["text"] for r in records}


def bake(job: tuple[Line, str, str], runner: CurveRunner) -> Baked:
    line, text, other = job
    samples, model = line.samples(), runner._loaded()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alignment, wrong = (_aligned(samples, some, runner) for some in (text, other))
        guide = alignment and guide_for(alignment, model, Performance(blinks=False))
    return Baked(
        line, _seen(line, samples, runner, None), _seen(line, samples, runner, guide),
        alignment, wrong,
    )  # fmt: skip


def _aligned(samples: np.ndarray, text: str, runner: CurveRunner) -> Alignment | None:
    try:
        return align_text([samples], text, runner._loaded())
    except AlignmentError:
        return None


def _seen(line: Line, samples: np.ndarray, runner: CurveRunner, guide: Guide | None) -> Seen:
    session = runner._loaded().session(
        rig=runner.rig, fps=FPS, look_ahead_ms=runner.look_ahead, blinks=False, guide=guide
    )
    frames = [*session.push(samples), *session.flush()]
    values = np.array([frame.values for frame in frames], np.float32)
    still = bool((values[[0, -1]] == session.rig.rest).all())
    return Seen(line.phones, mouth().measure(values, session.rig), still)


def edges(baked: Sequence[Baked]) -> dict[str, float]:
    """Starts of sounds that label and alignment share, and centers of bilabials, against labels.

    The two may pronounce a word differently: sounds are paired where the sequences agree.
    """
    starts, centers = [], []
    for one in baked:
        if one.alignment is None:
            continue
        given = [p for p in one.line.phones if p[0] != SILENCE]
        found = [p for p in one.alignment.phones if p.symbol not in ("SIL", "SPN")]
        for i, j in _paired([p[0] for p in given], [p.symbol for p in found]):
            starts.append(found[j].start - given[i][1])
            if given[i][0] in BILABIALS:
                centers.append((found[j].start + found[j].end - given[i][1] - given[i][2]) / 2)
    row = {"sounds": float(len(starts))}
    for name, values in (("start", np.array(starts)), ("bilabial center", np.array(centers))):
        away = np.abs(values)
        row[f"{name}, median error ms"] = 1000 * float(np.median(away))
        row[f"{name}, bias ms"] = 1000 * float(np.median(values))
        row |= {f"{name}, within {1000 * s:.0f} ms": float((away < s + 1e-6).mean()) for s in NEAR}
    return row


def _paired(one: Sequence[str], other: Sequence[str]) -> list[tuple[int, int]]:
    from difflib import SequenceMatcher

    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return [(b.a + i, b.b + i) for b in blocks for i in range(b.size)]


def fits(baked: Sequence[Baked]) -> dict[str, float]:
    own = [one.alignment for one in baked if one.alignment]
    other = [one.other for one in baked if one.other]
    found = sum(len(a.words) for a in own) / sum(len(a.words) + len(a.missed) for a in own)
    return {
        "own text taken": float(np.mean([a.fits for a in own])),
        "other text taken": float(np.mean([a.fits for a in other])),
        "own words found": found,
        "own score, 5 %": float(np.percentile([a.score for a in own], 5)),
        "other score, 95 %": float(np.percentile([a.score for a in other], 95)),
    }


def report_of(baked: Sequence[Baked], runner: CurveRunner) -> dict:
    heard, guided = [b.heard for b in baked], [b.guided for b in baked]
    return {
        **runner.describe(),
        "lines": len(baked),
        "alignment": edges(baked),
        "texts": fits(baked),
        "heard": closures(heard) | motion(heard),
        "with text": closures(guided) | motion(guided),
    }


def show(report: dict) -> None:
    print(f"{report['lines']} lines, rig {report['rig']}, look-ahead {report['look_ahead_ms']} ms")
    for title in ("alignment", "texts"):
        print(f"\n{title}")
        for name, value in report[title].items():
            print(f"  {name:36}{value:8.2f}")
    print(f"\n{'closures':38}   heard   with text")
    for name, value in report["heard"].items():
        print(f"  {name:36}{value:8.2f}{report['with text'][name]:12.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--voices", nargs="+", metavar="NAME", help="only these and their mixes")
    add_options(parser)
    parser.set_defaults(rig="arkit")
    args = parser.parse_args()
    runner = CurveRunner(args.rig, args.look_ahead, args.model, args.jobs)
    every = [line for line in read_lines(args.folder, args.split) if line.language[:2] == "en"]
    lines = spread(held_out(every, args.voices) if args.voices else every, args.limit)
    said = texts(args.folder)
    jobs = [
        (line, said[line.id], said[lines[(i + OTHER) % len(lines)].id])
        for i, line in enumerate(lines)
    ]
    report = report_of(runner.each(partial(bake, runner=runner), jobs), runner)
    show(report)
    write_report(report, args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
