"""Measure the recognition of sounds by language and by voice, on voices outside the training data.

    python benchmarks/languages.py CORPUS [--voices NAME ...] [--every-voice]
                                   [--rig articulation] [--look-ahead MS] [--jobs N] [--out JSON]

CORPUS is a corpus that facesdk has built. Only lines by held-out voices or mixes of them count,
which are those of `--voices` or of the model's manifest. `--every-voice` counts all lines. See
benchmarks/README.md for the definition of the figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from labelled import Line, add_options, curve_runner, read_lines, spread, write_report
from measures import Events, Track, figures, grouped, intervals

import facesdk

HEADS = {
    "bilabial_auc": "bilab.", "labiodental_auc": "labiod.", "sibilant_auc": "sibil.",
    "rounding_auc": "round.", "jaw_r": "jaw r", "closures_at_2": "2%", "closures_at_5": "5%",
    "closures_at_10": "10%",
}  # fmt: skip


def held_out(lines: Sequence[Line], voices: Sequence[str]) -> list[Line]:
    """Return the lines whose voices, mixed or not, are all in `voices`."""
    return [line for line in lines if set(line.speaker.split("+")) <= set(voices)]


def report_of(tracks: Sequence[Track], *, with_intervals: bool = False) -> dict:
    """Return the figures of some lines, optionally with their intervals over speakers."""
    hits, false = Events.of(tracks).scores()
    sizes = {"lines": len(tracks), "bilabials": len(hits), "false_events": len(false)}
    report = {**sizes, "figures": figures(tracks)}
    return report | {"intervals_95": intervals(tracks)} if with_intervals else report


def show(title: str, rows: Mapping[str, Mapping]) -> None:
    heads = "".join(f"{head:>9}" for head in HEADS.values())
    print(f"\n{title:24}{'lines':>7}{heads}   bilabials")
    for name, row in rows.items():
        values = "".join(f"{row['figures'][figure]:9.3f}" for figure in HEADS)
        print(f"{name:24}{row['lines']:7}{values}{row['bilabials']:12}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--voices", nargs="+", metavar="NAME")
    parser.add_argument("--every-voice", action="store_true")
    add_options(parser)
    args = parser.parse_args()
    runner = curve_runner(args)
    lines = read_lines(args.corpus)
    if not args.every_voice:
        training = facesdk.load(args.model).manifest.facts.get("training", {})
        voices = args.voices or training.get("held_out_voices", ())
        lines = held_out(lines, voices)
        if not lines:
            raise SystemExit(f"{args.corpus} has no line by held-out voices; use --voices")
    lines = spread(lines, args.limit)
    tracks = runner.tracks(lines)
    report = {
        **runner.describe(),
        "all": report_of(tracks, with_intervals=True),
        "languages": _each(grouped(tracks, lambda t: t.group)),
        "voices": _each(grouped(tracks, lambda t: "mixes" if "+" in t.speaker else t.speaker)),
    }
    show("all", {"all": report["all"]})
    for kind in ("languages", "voices"):
        show(kind, report[kind])
    write_report(report, args.out)
    return 0


def _each(groups: Mapping[str, Sequence[Track]]) -> dict[str, dict]:
    return {name: report_of(tracks) for name, tracks in groups.items()}


if __name__ == "__main__":
    raise SystemExit(main())
