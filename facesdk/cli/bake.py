"""`facesdk bake`: speech recordings to animation files."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..articulation.timings import ALPHABETS
from ..batch import (
    VIDEO,
    Bakery,
    Outcome,
    Plan,
    PlanError,
    Settings,
    kind_for,
    kinds,
    plan,
    report_document,
    write_report,
)
from ..batch import run as bake_lines
from ..batch.plan import PIPE
from ..batch.report import EXTENSIONS as REPORT_EXTENSIONS
from ..clip import exact_fps
from ..errors import ModelError, RigError, UnknownNameError
from ..exporters import Format
from ..model import RigOutput
from ..rig import Rig
from . import DONE, FAILED, NOT_INSTALLED, UsageError, log, option, print_json, stdin, stdout
from .progress import Progress
from .writing import add_writing_options, writing_options

NAME = "bake"
HELP = "turn speech recordings into animation files"

_DEFAULT_RIG = "arkit"
_SHOWN = 8


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("inputs", nargs="*", metavar="AUDIO",
        help="recordings, folders of them (with all below), or - for stdin")  # fmt: skip
    add("-o", "--output", required=True, metavar="PATH",
        help="file for one line, folder for several; - is stdout")  # fmt: skip
    add("--format", type=option(kind_for), metavar="NAME", help=f"one of {', '.join(kinds())}")
    add("--rig", type=option(_rig), metavar="NAME",
        help="target rig; by default what the format is made for, else arkit")  # fmt: skip
    add("--fps", type=option(exact_fps), help="default: 60, 30 of a video; 30000/1001 works")
    add("--model", metavar="DIR", help="folder of a model; by default the one that is installed")
    add("--look-ahead", type=_amount, metavar="MS",
        help="future audio to use, by default all that the model can")  # fmt: skip
    add("--seed", type=_whole, default=0, help="of blinks; a batch varies it from line to line")
    add("--no-blinks", action="store_true", help="leave the eyelids alone")
    add("--no-settle", action="store_true", help="do not return to rest at the end")
    add("--tail", type=_amount, default=0.0, metavar="SECONDS", help="go on after the audio")
    add("--phones", metavar="PATH",
        help="timed phones (TextGrid, .lab, .json) instead of the model, for one line or a folder "
             "in which lines find theirs by name; needs no audio")  # fmt: skip
    add("--alphabet", choices=ALPHABETS, help="of --phones; detected by default")
    add("--report", metavar="FILE", help="write what to check, worst first, as .json or .html")
    add("--jobs", type=_positive, metavar="N", help="processes; by default what pays")
    add("--force", action="store_true", help="bake lines again whose file is up to date")
    add("--link-audio", action="store_true",
        help="let the file refer to the recording, in formats that can")  # fmt: skip
    add("--json", action="store_true", help="print the report as JSON")
    add_writing_options(parser)


def run(args: argparse.Namespace) -> int:
    """Bake every line; one that fails does not stop the others."""
    began = time.monotonic()
    settings = _settings(args)
    _tell_why_slow(settings)
    lines = _plan(args, kind_for(settings.format))
    pipes = {PIPE} & {path for line in lines.lines for path in (line.audio, line.output)}
    bakery = Bakery(args.model, stdin=stdin(), stdout=stdout()) if pipes else Bakery(args.model)
    _require_possible(settings, lines, bakery)
    outcomes = _bake(lines, settings, bakery, args)
    if args.report:
        write_report(outcomes, settings, args.report)
    if args.json:
        print_json(report_document(outcomes, settings))
    _sum_up(outcomes, lines, time.monotonic() - began)
    return _exit_code(outcomes)


# --------------------------------------------------------------------- before any work


def _settings(args: argparse.Namespace) -> Settings:
    format_ = _format(args)
    options = writing_options(args, format_)
    if args.link_audio and ("audio" not in format_.options or format_.name == VIDEO):
        raise UsageError(f"format {format_.name!r} has no place for --link-audio; leave it out")
    return Settings(
        rig=args.rig or (format_.rigs or [_DEFAULT_RIG])[0],
        fps=args.fps or exact_fps(30 if format_.name == VIDEO else 60),
        format=format_.name,
        look_ahead_ms=args.look_ahead,
        seed=args.seed,
        blinks=not args.no_blinks,
        settle=not args.no_settle,
        tail=args.tail,
        model=args.model,
        alphabet=args.alphabet,
        tolerance=options["tolerance"],
        start=args.start,
        offset=args.offset,
        head=args.head,
        link_audio=args.link_audio,
        own=options["settings"],
    )


def _tell_why_slow(settings: Settings) -> None:
    """One line where a video is drawn without OpenGL."""
    if settings.format != VIDEO:
        return
    from ..render import why_slow

    if reason := why_slow():
        log(reason)


def _format(args: argparse.Namespace) -> Format:
    """The format asked for, else that of the output file's name, else facesdk's own."""
    if args.format:
        return args.format  # type: ignore[no-any-return]
    if _is_folder(args.output) or not Path(args.output).suffix or _several(args):
        return kind_for("json")
    try:
        return kind_for(Path(args.output))
    except UnknownNameError as error:
        raise UsageError(str(error)) from error


def _several(args: argparse.Namespace) -> bool:
    """Whether more than one line may come of the inputs."""
    inputs = args.inputs or [args.phones or ""]
    return len(inputs) != 1 or Path(inputs[0]).is_dir()


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or Path(output).is_dir()


def _require_folder(output: str) -> None:
    """Raise `UsageError` for a file's name where several lines need a folder."""
    extensions = {kind_for(name).extension for name in kinds()}
    if not _is_folder(output) and Path(output).suffix.lower() in extensions:
        raise UsageError(f"{output} names a file, several lines need a folder: {output}/ is one")


def _plan(args: argparse.Namespace, format_: Format) -> Plan:
    """What is to be done; raises `UsageError` where that makes no sense."""
    if args.json and args.output == PIPE:
        raise UsageError("--json reports on stdout; send the result to a file with -o")
    if args.alphabet and not args.phones:
        raise UsageError("--alphabet tells about --phones; give both")
    if _several(args):
        _require_folder(args.output)
    try:
        lines = plan(args.inputs, args.output, format_.extension, phones=args.phones)
    except PlanError as error:
        raise UsageError(str(error)) from error
    if args.report:
        _check_report(args.report, lines)
    return lines


def _check_report(path: str, lines: Plan) -> None:
    if Path(path).suffix.lower() not in REPORT_EXTENSIONS:
        raise UsageError(f"--report must end in {' or '.join(REPORT_EXTENSIONS)}, got {path}")
    taken = {Path(p).resolve() for line in lines.lines for p in (line.audio, line.output) if p}
    if Path(path).resolve() in taken:
        raise UsageError(f"--report would replace {path}; give it another name")


def _require_possible(settings: Settings, lines: Plan, bakery: Bakery) -> None:
    """Raise `UsageError` for settings that no line could be baked with."""
    model = None if all(line.phones for line in lines.lines) else bakery.model
    try:
        output = RigOutput.of(settings.rig)
        if model is not None:
            model.session(**settings.session())
    except (ModelError, RigError, UnknownNameError) as error:
        raise UsageError(str(error)) from error
    if (table := output.stand_in) is not None:
        log(f"{table.rig.name} moves {', '.join(table.moved)} alone until a model of yours "
            "gives it more: facesdk flame calibrate MODEL")  # fmt: skip


# --------------------------------------------------------------------- work


def _bake(
    lines: Plan, settings: Settings, bakery: Bakery, args: argparse.Namespace
) -> list[Outcome]:
    alone = len(lines.lines) == 1
    with Progress("baking", None if alone else len(lines.lines)) as progress:

        def ended(outcome: Outcome) -> None:
            if outcome.status == "failed":
                _log_failure(outcome, debug=args.debug)
            if not alone:
                progress.advance()

        return bake_lines(
            lines,
            settings,
            bakery,
            jobs=args.jobs,
            force=args.force,
            ended=ended,
            heard=progress.reach if alone else None,
        )


def _log_failure(outcome: Outcome, *, debug: bool) -> None:
    if debug or os.environ.get("FACESDK_DEBUG"):
        print(outcome.trace, end="", file=sys.stderr)
    log(f"error: {outcome.error}")


def _sum_up(outcomes: Sequence[Outcome], lines: Plan, seconds: float) -> None:
    """Tell of what formats left out and, for a batch, what was done."""
    left = Counter(name for outcome in outcomes for name in outcome.facts.get("dropped", ()))
    if left:
        log(f"warning: the format cannot carry {', '.join(sorted(left)[:_SHOWN])}"
            f"{' and more (--json lists all)' if len(left) > _SHOWN else ''}")  # fmt: skip
    if lines.batch:
        counts = Counter(outcome.status for outcome in outcomes)
        done = ", ".join(f"{counts[s]} {s}" for s in ("baked", "unchanged", "failed") if counts[s])
        log(f"{done} in {seconds:.1f} s")
        return
    for outcome in outcomes:
        if outcome.status == "baked" and outcome.line.output != PIPE:
            facts = outcome.facts
            log(f"{outcome.line.output}: {facts['frames']} frames, {facts['seconds']:.2f} s, "
                f"rig {facts['rig']['name']}")  # fmt: skip


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if not failed:
        return DONE
    return NOT_INSTALLED if all(outcome.not_installed for outcome in failed) else FAILED


# --------------------------------------------------------------------- options


def _rig(name: str) -> str:
    """A rig by name; raises `UnknownNameError` with suggestions."""
    Rig.load(name)
    return name


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return number


def _positive(text: str) -> int:
    number = _whole(text)
    if not number:
        raise argparse.ArgumentTypeError("must be 1 or more, got 0")
    return number


def _amount(text: str) -> float:
    """A number that is finite and not negative."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return number
