"""`facesdk convert`: animation files to other formats, rigs and frame rates."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, count
from pathlib import Path
from typing import Any

from ..batch import FilePlan, PlanError, kind_made_for, plan_files
from ..batch.plan import PIPE
from ..clip import exact_fps
from ..errors import ExportError, RigError, unknown_name
from ..exporters import (
    Format,
    clip_name,
    format_for,
    formats,
    named,
    open_character,
    open_clips,
    write_clip,
    write_clips,
)
from ..exporters.options import OptionFields, title
from ..retarget import Conversion, Converted, conversion, conversion_from_file
from ..rig import Rig
from ..source import FrameSource, collect
from . import UsageError, each, log, log_warning, option, print_json, stdin, stdout
from .writing import add_writing_options, log_drive, some_names, writing_options

NAME = "convert"
HELP = "turn animation files into other formats, rigs and frame rates"

Change = Callable[[FrameSource], tuple[FrameSource, dict[str, Any]]]
"""Returns a changed source, and facts about the change for the report."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add_file_options(parser)
    add("--to", type=option(Rig.load), metavar="RIG", help="target rig: a name or a rig file")
    add(
        "--map",
        type=option(conversion_from_file),
        metavar="FILE",
        help="map file that defines the conversion",
    )
    add("--fps", type=option(exact_fps),
        help="frames per second, such as 30 or 30000/1001 (default: unchanged)")  # fmt: skip
    add_writing_options(parser)


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add the options about input and output files, of all commands that rewrite animation."""
    add = parser.add_argument
    add("inputs", nargs="+", metavar="FILE", help="animation file; - reads stdin")
    add("-o", "--output", required=True, metavar="PATH",
        help="output file, or output folder of several inputs; - is stdout")  # fmt: skip
    add("--format", type=option(format_for), metavar="NAME",
        help="output format (default: from the extension of -o, else json): "
             f"{', '.join(formats())}")  # fmt: skip
    add("--from-format", type=option(format_for), metavar="NAME",
        help="input format (default: detected)")  # fmt: skip
    add("--from-rig", type=option(Rig.load), metavar="RIG",
        help="rig of the input: a name or a rig file (default: detected)")  # fmt: skip
    add("--clip", metavar="NAME", help="read only this clip of an input that contains several")
    add("--name", help="name of the clip in the output (default: the name of the input)")
    add("--audio", metavar="PATH",
        help="recording, for formats that refer to it or contain it")  # fmt: skip
    add("--json", action="store_true", help="print a report as JSON")


def run(args: argparse.Namespace) -> int:
    """Convert every input; one that fails does not stop the others."""
    if args.to and args.map:
        raise UsageError("--map already defines the target rig; leave --to out")
    return rewrite(args)


def rewrite(args: argparse.Namespace, change: Change | None = None) -> int:
    """Write every input as the options ask, changed by `change`; see `run`."""
    if args.json and args.output == PIPE:
        raise UsageError("--json prints on stdout; send the result to a file with -o")
    files = _plan(args)
    options = _options(args, files.format)
    reports: list[dict[str, Any]] = []
    if files.folder is not None:
        files.folder.mkdir(parents=True, exist_ok=True)
    code = each(
        files.jobs,
        lambda job: reports.extend(_convert(*job, files.format, options, args, change)),
        name=lambda job: ", ".join(job[0]),
        debug=args.debug,
    )
    if args.json:
        print_json({"files": reports})
    return code


def _plan(args: argparse.Namespace) -> FilePlan:
    try:
        made = kind_made_for(args.to.name, args.output) if args.to else None
        return plan_files(args.inputs, args.output, format=args.format or made)
    except PlanError as error:
        raise UsageError(str(error)) from error


def _options(args: argparse.Namespace, format_: Format) -> OptionFields:
    """Return how files are written; raises `UsageError` for what the format does not support."""
    options = writing_options(args, format_, args.fps)
    for name in ("audio", "name"):
        if getattr(args, name) is None:
            continue
        if name not in format_.options:
            raise UsageError(f"format {format_.name!r} does not support --{name}; leave it out")
        if len(args.inputs) > 1:
            raise UsageError(f"--{name} is for one input, got {len(args.inputs)}")
        options[name] = getattr(args, name)
    if args.head is not None and open_character(args.head, format_, options["settings"]) is None:
        from ..mesh import load_head

        options["head"] = load_head(args.head, up=args.up)
    return options


def _convert(
    paths: Sequence[str],
    target: str,
    format_: Format,
    options: OptionFields,
    args: argparse.Namespace,
    change: Change | None,
) -> list[dict[str, Any]]:
    """Write one file and return a report per clip."""
    file = stdout() if target == PIPE else target
    facts: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        clips: dict[str, tuple[str, Converted]] = {}
        for path in paths:
            for name, source in _sources(path, args, stack).items():
                name = _unused(name, clips)
                _log_names(path, source)
                if change is not None:
                    source, facts[name] = change(source)
                clips[name] = path, Converted(source, _conversion(source.info.rig, format_, args))
                head = options.get("head")
                if head is not None and not isinstance(head, str | Path):
                    log_drive(head, clips[name][1].info.rig)
        if len(clips) > 1:
            _require_several(paths, clips, format_)
            by_name = {name: result for name, (_, result) in clips.items()}
            dropped = write_clips(by_name, file, format_, **options)
        else:
            ((name, (_, result)),) = clips.items()
            keeps_name = format_.multi_clip and "name" not in options and PIPE not in paths
            named = OptionFields(name=name) if keeps_name else OptionFields()
            dropped = write_clip(result, file, format_, **(options | named))
        _log_character(options, format_, [result.info.rig for _, result in clips.values()])
    reports = [
        _report(path, target, format_, name, result, dropped) | facts.get(name, {})
        for name, (path, result) in clips.items()
    ]
    if target != PIPE:
        _log_written(reports)
    return reports


def _log_written(reports: Sequence[Mapping[str, Any]]) -> None:
    """Log the file that was written, and its sidecar files."""
    first = reports[0]
    frames = ", ".join(dict.fromkeys(f"{r['frames']} frames" for r in reports))
    seconds = sum(r["frames"] * r["fps"][1] / r["fps"][0] for r in reports)
    clips = f"{len(reports)} clips, " if len(reports) > 1 else ""
    rigs = ", ".join(dict.fromkeys(r["rig"]["name"] for r in reports))
    log(f"{first['output']}: {clips}{frames}, {seconds:.2f} s, rig {rigs}, {first['format']}")
    for path in first["sidecars"]:
        log(f"{path}: written next to it")


def _log_character(options: OptionFields, format_: Format, rigs: Iterable[Rig]) -> None:
    """Log what clips move of a character that was kept."""
    head = options.get("head")
    character = open_character(head, format_, options["settings"]) if head else None
    if character is not None:
        for rig in {rig.names: rig for rig in rigs}.values():
            log(character.describe(rig))


def _log_names(path: str, source: FrameSource) -> None:
    """Log which names of a file are not used, and which controls it lacks."""
    notes = source.info.meta.get("imported")
    if not isinstance(notes, Mapping):
        return
    rig = source.info.rig.name
    ignored = [*notes.get("ignored_targets", ()), *notes.get("ignored_columns", ())]
    if ignored:
        log_warning(f"{path}: left out, not in rig {rig!r}: {some_names(ignored)}")
    if missing := notes.get("missing_controls"):
        log(f"{path}: the file lacks these controls of rig {rig!r}: {some_names(missing)}")


def _require_several(paths: Sequence[str], clips: Iterable[str], format_: Format) -> None:
    if not format_.multi_clip:
        raise ExportError(
            f"{paths[0]} contains several clips ({some_names(list(clips))}), but format "
            f"{format_.name!r} holds one; choose it with --clip NAME"
        )


def _sources(path: str, args: argparse.Namespace, stack: ExitStack) -> dict[str, FrameSource]:
    """Return the clips of an input by name, at the requested frame rate."""
    file = stdin() if path == PIPE else path
    opened = stack.enter_context(open_clips(file, args.from_format, rig=args.from_rig))
    if len(opened) == 1:
        found = {clip_name(opened[0], default=title(Path(path).stem)): opened[0]}
    else:
        found = named(opened)
    if args.clip is not None:
        if args.clip not in found:
            raise unknown_name(f"{path} contains no clip", args.clip, found)
        found = {args.clip: found[args.clip]}
    if args.fps is None:
        return found
    return {name: collect(source).resample(args.fps) for name, source in found.items()}


def _unused(name: str, taken: Container[str]) -> str:
    """Return the name, with a number if it is taken."""
    numbered = (f"{name} {n}" for n in count(2))
    return next(n for n in chain([name], numbered) if n not in taken)


def _report(
    path: str,
    target: str,
    format_: Format,
    name: str,
    result: Converted,
    dropped: Sequence[str],
) -> dict[str, Any]:
    """Return facts about a clip that was written; warns about dropped channels."""
    for names, by in (
        (result.dropped, f"rig {result.info.rig.name!r}"),
        (dropped, f"format {format_.name!r}"),
    ):
        if names:
            log_warning(f"{path}: {by} drops {some_names(names)}")
    return {
        "input": path,
        "output": target,
        "sidecars": [] if target == PIPE else [target + ending for ending in format_.sidecars],
        "format": format_.name,
        "clip": name,
        "rig": {"name": result.info.rig.name, "version": result.info.rig.version},
        "fps": [result.info.fps.numerator, result.info.fps.denominator],
        "frames": result.count,
        "dropped": [*result.dropped, *dropped],
    }


def _conversion(rig: Rig, format_: Format, args: argparse.Namespace) -> Conversion:
    """Return the requested conversion, else the one that the format needs."""
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
        log_warning(f"there is no map from rig {rig.name!r} to {format_.rigs[0]!r}; "
                    "its own curves are written")  # fmt: skip
        return Conversion(rig, rig)
