"""Measure the recognition of sounds of real speakers, separately for adults and children.

    python benchmarks/speakers.py FOLDER [--split test] [--rig articulation] [--look-ahead MS]
                                  [--limit N] [--jobs N] [--out JSON]

FOLDER contains phone-aligned speech: `utterances.jsonl` with `file`, `speaker`, `age`, `split`,
`alignment` (ARPAbet, seconds) and `quality` on every line. See benchmarks/README.md for the
definition of the figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from labelled import add_options, curve_runner, read_lines, spread, write_report
from measures import (
    SHOWN,
    Events,
    Track,
    best_lags,
    by_lag,
    by_phone,
    figures,
    grouped,
    intervals,
    verdict,
)


def report_of(tracks: Sequence[Track]) -> dict:
    """Return figures, intervals, lags and the table by sound."""
    hits, false = Events.of(tracks).scores()
    lags = by_lag(tracks)
    return {
        "lines": len(tracks),
        "speakers": len({track.speaker for track in tracks}),
        "bilabials": len(hits),
        "false_events": len(false),
        "figures": figures(tracks),
        "intervals_95": intervals(tracks),
        "best_lag_ms": best_lags(lags),
        "lags": lags,
        "phones": by_phone(tracks),
    }


def show(name: str, report: Mapping) -> None:
    sizes = f"{report['lines']} lines, {report['speakers']} speakers"
    print(f"\n{name}: {sizes}, {report['bilabials']} bilabials, {report['false_events']} others")
    for figure, value in report["figures"].items():
        low, high = report["intervals_95"][figure]
        lag = report["best_lag_ms"].get(figure)
        best = "" if lag is None else f"best at {lag:+d} ms"
        print(
            f"  {figure:18}{value:.3f}  [{low:.3f} {high:.3f}]  {best:16}{verdict(figure, value)}"
        )


def show_phones(name: str, phones: Mapping[str, Mapping[str, float]]) -> None:
    """Print the sounds that most often count as a closure, with their mean curves."""
    print(f"\n{name}: share taken for closures at 5 % false events, mean curves")
    print("         frames  taken  closure  labiod.  sibil.  round.    jaw")
    frequent = [(phone, row) for phone, row in phones.items() if row.get("events", 0) >= 20]
    for phone, row in sorted(frequent, key=lambda entry: -entry[1]["taken"]):
        units = "".join(f"{row[unit]:8.2f}" for unit in SHOWN)
        print(f"  {phone:4}{row['frames']:9.0f}{row['taken']:7.2f}{units}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="test")
    add_options(parser)
    args = parser.parse_args()
    runner = curve_runner(args)
    lines = spread(read_lines(args.folder, args.split), args.limit)
    tracks = runner.tracks(lines)
    report: dict = {**runner.describe(), "split": args.split, "groups": {}}
    for name, group in {**grouped(tracks, lambda t: t.group), "all": tracks}.items():
        report["groups"][name] = report_of(group)
        show(name, report["groups"][name])
    show_phones("all", report["groups"]["all"]["phones"])
    write_report(report, args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
