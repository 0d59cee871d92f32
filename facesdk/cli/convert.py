"""`facesdk convert`: animation files to other formats, rigs and frame rates."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..clip import exact_fps
from ..convert import Conversion, conversion, conversion_from_file
from ..errors import RigError, UnknownNameError
from ..exporters import Format, format_for, formats, open_clip, write_clip
from ..exporters.blocks import collect
from ..exporters.converted import ConvertedBlocks
from ..rig import Rig
from . import UsageError, each, log, option, output_paths, print_json, stdin, stdout

NAME = "convert"
HELP = "turn animation files into other formats, rigs and frame rates"

_SHOWN = 8


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("inputs", nargs="+", metavar="FILE", help="animation file; - reads stdin")
    add("-o", "--output", required=True, help="file, or folder for several inputs; - is stdout")
    add("--to", type=option(Rig.load), metavar="RIG", help="rig to convert to: a name or a file")
    add("--map", type=option(conversion_from_file), metavar="FILE", help="map file to convert with")
    add("--format", type=option(format_for), metavar="NAME", help=f"one of {', '.join(formats())}")
    add("--fps", type=option(exact_fps), help="frame rate of the result, such as 30 or 30000/1001")
    add("--from-format", type=option(format_for), metavar="NAME", help="format of the input")
    add("--from-rig", type=option(Rig.load), metavar="RIG", help="rig of the input")
    add("--json", action="store_true", help="report what was written as JSON")


def run(args: argparse.Namespace) -> int:
    """Convert every input; one that fails does not stop the others."""
    if args.to and args.map:
        raise UsageError("--map says which rig to convert to; leave --to out")
    if args.json and args.output == "-":
        raise UsageError("--json reports on stdout; send the result to a file with -o")
    format_ = _output_format(args)
    outputs = output_paths(args.inputs, args.output, format_.extension)
    reports: list[dict[str, Any]] = []
    jobs = list(zip(args.inputs, outputs, strict=True))
    code = each(
        jobs,
        lambda job: reports.append(_convert(*job, format_, args)),
        name=lambda job: str(job[0]),
        debug=args.debug,
    )
    if args.json:
        print_json({"files": reports})
    return code


def _output_format(args: argparse.Namespace) -> Format:
    if args.format:
        return args.format  # type: ignore[no-any-return]
    if len(args.inputs) > 1 or not Path(args.output).suffix:
        return format_for("json")
    try:
        return format_for(Path(args.output))
    except UnknownNameError as error:
        raise UsageError(f"{error}; or name one with --format") from error


def _convert(
    source_path: str, target: str, format_: Format, args: argparse.Namespace
) -> dict[str, Any]:
    file = stdin() if source_path == "-" else source_path
    with open_clip(file, args.from_format, rig=args.from_rig) as opened:
        source = opened if args.fps is None else collect(opened).resample(args.fps)
        result = ConvertedBlocks(source, _way(source.rig, format_, args))
        left = write_clip(result, stdout() if target == "-" else target, format_)
    for names, by in (
        (result.lost, f"rig {result.rig.name!r}"),
        (left, f"format {format_.name!r}"),
    ):
        if names:
            log(f"warning: {source_path}: {by} cannot carry {_some(names)}")
    return {
        "input": source_path,
        "output": target,
        "format": format_.name,
        "rig": {"name": result.rig.name, "version": result.rig.version},
        "fps": [result.fps.numerator, result.fps.denominator],
        "frames": result.count,
        "uncarried": [*result.lost, *left],
    }


def _way(rig: Rig, format_: Format, args: argparse.Namespace) -> Conversion:
    """The conversion that was asked for, or else the one that the format needs."""
    if args.map:
        return args.map  # type: ignore[no-any-return]
    if args.to:
        same = rig.names == args.to.names
        return Conversion(rig, args.to) if same else conversion(rig, args.to)
    if format_.rigs is None or rig.name in format_.rigs:
        return Conversion(rig, rig)
    try:
        return conversion(rig, format_.rigs[0])
    except RigError:
        log(f"warning: no map leads from rig {rig.name!r} to {format_.rigs[0]!r}; "
            "its own curves are written")  # fmt: skip
        return Conversion(rig, rig)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more (--json lists all)" if more > 0 else shown
