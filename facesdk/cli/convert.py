"""`facesdk convert`: animation files to other formats, rigs and frame rates."""

from __future__ import annotations

import argparse
import os
from collections.abc import Container, Iterable, Sequence
from contextlib import ExitStack
from itertools import chain, count
from pathlib import Path
from typing import Any

from ..clip import exact_fps
from ..errors import ExportError, RigError, UnknownNameError, unknown_name
from ..exporters import (
    Format,
    clip_name,
    format_for,
    formats,
    named,
    open_clips,
    write_clip,
    write_clips,
)
from ..exporters.options import OptionFields
from ..retarget import Conversion, Converted, conversion, conversion_from_file
from ..rig import Rig
from ..source import FrameSource, collect
from . import UsageError, each, log, option, output_paths, print_json, stdin, stdout
from .writing import add_writing_options, writing_options

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
    add("--clip", metavar="NAME", help="of an input that holds several clips, this one alone")
    add("--name", help="what the clip is called in the file; by default as the input is")
    add("--audio", metavar="PATH", help="the recording, for formats that refer to it or hold it")
    add("--json", action="store_true", help="report what was written as JSON")
    add_writing_options(parser)


def run(args: argparse.Namespace) -> int:
    """Convert every input; one that fails does not stop the others."""
    if args.to and args.map:
        raise UsageError("--map says which rig to convert to; leave --to out")
    if args.json and args.output == "-":
        raise UsageError("--json reports on stdout; send the result to a file with -o")
    format_ = _output_format(args)
    options = _options(args, format_)
    reports: list[dict[str, Any]] = []
    jobs = _jobs(args, format_)
    code = each(
        jobs,
        lambda job: reports.extend(_convert(*job, format_, options, args)),
        name=lambda job: ", ".join(job[0]),
        debug=args.debug,
    )
    if args.json:
        print_json({"files": reports})
    return code


def _output_format(args: argparse.Namespace) -> Format:
    if args.format:
        return args.format  # type: ignore[no-any-return]
    suffix = Path(args.output).suffix
    if not suffix or (len(args.inputs) > 1 and not _one_file(args)):
        return format_for("json")
    try:
        return format_for(Path(args.output))
    except UnknownNameError as error:
        raise UsageError(f"{error}; or name one with --format") from error


def _one_file(args: argparse.Namespace) -> bool:
    """Whether all inputs go into the file that the output names."""
    output = args.output
    if output == "-" or output.endswith(("/", os.sep)) or Path(output).is_dir():
        return False
    if args.format:
        return bool(args.format.several and Path(output).suffix)
    try:
        return format_for(Path(output)).several
    except UnknownNameError:
        return False


def _options(args: argparse.Namespace, format_: Format) -> OptionFields:
    """How files are written; raises `UsageError` for what the format cannot honour."""
    options = writing_options(args, format_)
    for name in ("audio", "name"):
        if getattr(args, name) is None:
            continue
        if name not in format_.options:
            raise UsageError(f"format {format_.name!r} cannot honour --{name}; leave it out")
        if len(args.inputs) > 1:
            raise UsageError(f"--{name} is for one input, got {len(args.inputs)}")
        options[name] = getattr(args, name)
    if args.head is not None:
        from ..mesh import load_head

        options["head"] = load_head(args.head)
    return options


def _jobs(args: argparse.Namespace, format_: Format) -> list[tuple[list[str], str]]:
    """Inputs and the file that they become."""
    if len(args.inputs) > 1 and _one_file(args):
        return [(args.inputs, args.output)]
    outputs = output_paths(args.inputs, args.output, format_.extension)
    return [([path], output) for path, output in zip(args.inputs, outputs, strict=True)]


def _convert(
    paths: Sequence[str],
    target: str,
    format_: Format,
    options: OptionFields,
    args: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Write one file; a report for each of its clips."""
    file = stdout() if target == "-" else target
    with ExitStack() as stack:
        takes: dict[str, tuple[str, Converted]] = {}
        for path in paths:
            for name, source in _sources(path, args, stack).items():
                name = _unused(name, takes)
                takes[name] = path, Converted(source, _way(source.info.rig, format_, args))
        if len(takes) > 1:
            _require_several(paths, takes, format_)
            by_name = {name: result for name, (_, result) in takes.items()}
            left = write_clips(by_name, file, format_, **options)
        else:
            ((name, (_, result)),) = takes.items()
            own = format_.several and "name" not in options and paths != ["-"]
            named = OptionFields(name=name) if own else OptionFields()
            left = write_clip(result, file, format_, **(options | named))
    return [
        _report(path, target, format_, name, result, left) for name, (path, result) in takes.items()
    ]


def _require_several(paths: Sequence[str], takes: Iterable[str], format_: Format) -> None:
    if not format_.several:
        raise ExportError(
            f"{paths[0]} holds several clips ({_some(list(takes))}), format {format_.name!r} holds "
            "one: pick it with --clip NAME"
        )


def _sources(path: str, args: argparse.Namespace, stack: ExitStack) -> dict[str, FrameSource]:
    """The clips of an input by name, at the frame rate that was asked for."""
    file = stdin() if path == "-" else path
    opened = stack.enter_context(open_clips(file, args.from_format, rig=args.from_rig))
    if len(opened) == 1:
        found = {clip_name(opened[0], default=Path(path).stem): opened[0]}
    else:
        found = named(opened)
    if args.clip is not None:
        if args.clip not in found:
            raise unknown_name(f"{path} holds no clip", args.clip, found)
        found = {args.clip: found[args.clip]}
    if args.fps is None:
        return found
    return {name: collect(source).resample(args.fps) for name, source in found.items()}


def _unused(name: str, taken: Container[str]) -> str:
    """The name, numbered where it is taken."""
    numbered = (f"{name} {n}" for n in count(2))
    return next(n for n in chain([name], numbered) if n not in taken)


def _report(
    path: str,
    target: str,
    format_: Format,
    name: str,
    result: Converted,
    left: Sequence[str],
) -> dict[str, Any]:
    """Facts about a clip that was written; warns of what was left out."""
    for names, by in (
        (result.dropped, f"rig {result.info.rig.name!r}"),
        (left, f"format {format_.name!r}"),
    ):
        if names:
            log(f"warning: {path}: {by} cannot carry {_some(names)}")
    return {
        "input": path,
        "output": target,
        "beside": [] if target == "-" else [target + ending for ending in format_.beside],
        "format": format_.name,
        "clip": name,
        "rig": {"name": result.info.rig.name, "version": result.info.rig.version},
        "fps": [result.info.fps.numerator, result.info.fps.denominator],
        "frames": result.count,
        "dropped": [*result.dropped, *left],
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
