"""`facesdk diff`: compare two animation files."""

from __future__ import annotations

import argparse

from ..clip import Clip
from ..difference import Difference, compare
from ..errors import unknown_name
from ..exporters import format_for, named, open_clips
from ..rig import Rig
from ..source import collect
from . import DONE, FAILED, UsageError, option, print_json, show, stdin
from .options import amount

NAME = "diff"
HELP = "compare two animation files: the largest difference per control, and when"

_PIPE = "-"
_ROWS = 20
"""Rows of the report for people."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("first", metavar="A", help="animation file; - reads stdin")
    add("second", metavar="B", help="animation file to compare with A")
    add("--tolerance", type=amount, metavar="T",
        help="exit with 1 if any value differs by more than T (radians for angles), or the lengths "
             "by more than a frame")  # fmt: skip
    add("--clip", metavar="NAME", help="clip to compare, in files that contain several")
    add("--from-format", type=option(format_for), metavar="NAME",
        help="format of both files (default: detected)")  # fmt: skip
    add("--from-rig", type=option(Rig.load), metavar="RIG",
        help="rig of both files: a name or a rig file (default: detected)")  # fmt: skip
    add("--all", action="store_true", help="print every channel, also equal ones")
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Compare the files and print the differences."""
    if args.first == args.second == _PIPE:
        raise UsageError("only one of the two files can be stdin")
    difference = compare(*(_read(path, args) for path in (args.first, args.second)))
    over = None if args.tolerance is None else difference.over(args.tolerance)
    if args.json:
        verdict = {} if over is None else {"tolerance": args.tolerance, "over": list(over)}
        files = {"first_file": args.first, "second_file": args.second}
        print_json(files | difference.to_json() | verdict)
    else:
        show(*_lines(difference, args, over))
    return FAILED if over else DONE


def _read(path: str, args: argparse.Namespace) -> Clip:
    file = stdin() if path == _PIPE else path
    with open_clips(file, args.from_format, rig=args.from_rig) as sources:
        clips = named(sources)
        if args.clip is None:
            return collect(sources[0])
        if args.clip not in clips:
            raise unknown_name(f"{path} contains no clip", args.clip, clips)
        return collect(clips[args.clip])


def _lines(
    difference: Difference, args: argparse.Namespace, over: tuple[str, ...] | None
) -> list[str]:
    changed = difference.changed
    equal = [c for c in difference.channels if not c.largest] if args.all else []
    shown = [*changed, *equal] if args.all else changed[:_ROWS]
    total = len(difference.channels)
    lines = [f"note: {note}" for note in difference.notes]
    if not changed:
        return [*lines, f"no difference in {difference.frames} frames of {total} channels",
                *_verdict(over, args)]  # fmt: skip
    width = max(len("control"), *(len(c.name) for c in shown)) + 2
    lines.append(f"{'control':<{width}}{'largest':>9}{'at s':>9}{'A':>9}{'B':>9}{'RMS':>9}")
    lines += [
        f"{c.name:<{width}}{c.largest:9.4f}{c.seconds:9.3f}{c.first:9.4f}{c.second:9.4f}{c.rms:9.4f}"
        for c in shown
    ]
    if len(changed) > len(shown):
        lines.append(f"and {len(changed) - len(shown)} more (--all prints all)")
    lines.append(
        f"{len(changed)} of {total} channels differ in {difference.frames} frames; "
        f"largest {difference.largest:.4f}, RMS of all {difference.rms:.4f}; angles in radians"
    )
    return lines + _verdict(over, args)


def _verdict(over: tuple[str, ...] | None, args: argparse.Namespace) -> list[str]:
    if over is None:
        return []
    if not over:
        return [f"within the tolerance of {args.tolerance:g}"]
    shown = ", ".join(over[:8]) + (f" and {len(over) - 8} more" if len(over) > 8 else "")
    return [f"over the tolerance of {args.tolerance:g}: {shown}"]
