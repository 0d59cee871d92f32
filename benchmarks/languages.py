"""How well a corpus of voices that no training line had is heard: by language and by voice.

    python benchmarks/languages.py CORPUS [--voices NAME ...] [--every-voice]
                                   [--rig articulation] [--look-ahead MS] [--jobs N] [--out JSON]

CORPUS is a folder as facesdk builds them. Counted are lines spoken by held-out voices alone, or by
mixes of them; the model's manifest names these unless `--voices` does. `--every-voice` takes the
corpus as it is. See benchmarks/README.md for what each figure means.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from labelled import Line, add_options, listener, read_lines, spread, write_report
from measures import Events, Track, figures, grouped, intervals

import facesdk

HEADS = {
    "bilabial_auc": "bilab.", "labiodental_auc": "labiod.", "sibilant_auc": "sibil.",
    "rounding_auc": "round.", "jaw_r": "jaw r", "closures_at_2": "2%", "closures_at_5": "5%",
    "closures_at_10": "10%",
}  # fmt: skip


def held_out(lines: Sequence[Line], voices: Sequence[str]) -> list[Line]:
    """Lines in which nobody but these voices speaks, mixed or alone."""
    return [line for line in lines if set(line.speaker.split("+")) <= set(voices)]


def report_of(tracks: Sequence[Track], *, sure: bool = False) -> dict:
    """Figures of some lines; `sure` adds their intervals over speakers."""
    hits, false = Events.of(tracks).scores()
    sizes = {"lines": len(tracks), "bilabials": len(hits), "false_events": len(false)}
    told = {**sizes, "figures": figures(tracks)}
    return told | {"intervals_95": intervals(tracks)} if sure else told


def show(title: str, rows: Mapping[str, Mapping]) -> None:
    heads = "".join(f"{head:>9}" for head in HEADS.values())
    print(f"\n{title:24}{'lines':>7}{heads}   bilabials")
    for name, told in rows.items():
        values = "".join(f"{told['figures'][figure]:9.3f}" for figure in HEADS)
        print(f"{name:24}{told['lines']:7}{values}{told['bilabials']:12}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--voices", nargs="+", metavar="NAME")
    parser.add_argument("--every-voice", action="store_true")
    add_options(parser)
    args = parser.parse_args()
    listening = listener(args)
    lines = read_lines(args.corpus)
    if not args.every_voice:
        training = facesdk.load(args.model).manifest.facts.get("training", {})
        voices = args.voices or training.get("held_out_voices", ())
        lines = held_out(lines, voices)
        if not lines:
            raise SystemExit(f"{args.corpus} has no line by held-out voices: name some by --voices")
    lines = spread(lines, args.limit)
    tracks = listening.tracks(lines)
    report = {
        **listening.describe(),
        "all": report_of(tracks, sure=True),
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
