"""`facesdk bake`: speech recordings to animation files."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..alignment import Lexicon
from ..articulation.timings import ALPHABETS
from ..batch import (
    VIDEO,
    WEIGHTS,
    LineBaker,
    Outcome,
    Plan,
    PlanError,
    Settings,
    flags,
    kind_for,
    kind_made_for,
    kinds,
    orphans,
    plan,
    preview,
    prune,
    report_document,
    write_report,
)
from ..batch import run as bake_lines
from ..batch.cache import Orphan
from ..batch.plan import AUTO, PIPE
from ..batch.report import EXTENSIONS as REPORT_EXTENSIONS
from ..clip import exact_fps
from ..errors import (
    AlignmentError,
    ExportError,
    FileFormatError,
    MeshError,
    ModelError,
    RigError,
    UnknownNameError,
)
from ..exporters import Format, open_character
from ..exporters.options import OptionFields
from ..model import Manifest, Model, RigOutput, Text
from . import (
    DONE,
    FAILED,
    NOT_INSTALLED,
    UsageError,
    log,
    log_error,
    log_warning,
    option,
    print_json,
    show,
    stdin,
    stdout,
)
from .options import add_performance_options, amount, count, performance_options
from .progress import Progress
from .writing import add_writing_options, log_drive, some_names, writing_options

NAME = "bake"
HELP = "turn speech recordings into animation files"

_DEFAULT_RIG = "arkit"

_log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("inputs", nargs="*", metavar="AUDIO",
        help="audio files or folders (searched recursively); - reads stdin")  # fmt: skip
    add("-o", "--output", required=True, metavar="PATH",
        help="output file of one line, output folder of several; - is stdout")  # fmt: skip
    add("--format", type=option(kind_for), metavar="NAME",
        help="output format (default: from the extension of -o, else json): "
             f"{', '.join(kinds())}")  # fmt: skip
    add("--rig", metavar="RIG",
        help="target rig: a name, the path of a rig, table or map file, or a learned layer of "
             "the model (default: the rig of the format, else arkit)")  # fmt: skip
    add("--fps", type=option(exact_fps),
        help="frames per second, such as 30 or 30000/1001 (default: 60; video: 30)")  # fmt: skip
    add("--model", metavar="DIR", help="model folder (default: the built-in model)")
    add("--look-ahead", type=amount, metavar="MS",
        help="milliseconds of future audio to use (default: the longest of the model)")  # fmt: skip
    add("--phones", metavar="PATH",
        help="timed phones (TextGrid, .lab, .json) to use instead of the acoustic model: a file "
             "for one line, or a folder that is searched by name; needs no audio")  # fmt: skip
    add("--text", metavar="PATH",
        help="what is said: a text file for one line, a folder that is searched by name, or auto "
             "for the .txt next to each recording")  # fmt: skip
    add("--words", metavar="WORDS", help="what is said in the only line, in place of --text")
    add("--lexicon", metavar="FILE",
        help="pronunciations for the text: lines of a word and its sounds")  # fmt: skip
    add("--language", default="en", metavar="NAME",
        help="language of the text: en, en-us, en-gb; others need --lexicon")  # fmt: skip
    add("--alignment", metavar="PATH",
        help="write the times of words and phones: a TextGrid or JSON file for one line, a folder "
             "for several")  # fmt: skip
    add("--alphabet", choices=ALPHABETS, help="alphabet of --phones (default: detected)")
    add(
        "--tier", metavar="NAME", help="tier of --phones (default: that of phones, or the only one)"
    )
    add("--strict", action="store_true",
        help="refuse --phones with sounds that have no rule, instead of a warning")  # fmt: skip
    add("--report", metavar="FILE", help="write what to check, worst first, as .json or .html")
    add("--fail-on", choices=tuple(WEIGHTS), metavar="LEVEL",
        help="exit with 1 if a line has a flag of this level or a worse one: error, warning, "
             "note")  # fmt: skip
    add("--prune", action="store_true",
        help="delete outputs of earlier runs whose recording was deleted; only unchanged files "
             "that this folder's cache file lists")  # fmt: skip
    add("--dry-run", action="store_true", help="print what would be done, and write nothing")
    add("--jobs", type=count, metavar="N",
        help="number of worker processes (default: chosen from the number of lines)")  # fmt: skip
    add("--force", action="store_true", help="bake lines again that are up to date")
    add("--link-audio", action="store_true",
        help="make the file refer to the recording, in formats that support it")  # fmt: skip
    add("--json", action="store_true", help="print the report as JSON")
    add_performance_options(parser)
    add_writing_options(parser)


def run(args: argparse.Namespace) -> int:
    """Bake every line; one that fails does not stop the others."""
    began = time.monotonic()
    lines = _plan(args)
    settings = _settings(args, lines)
    for note in lines.notes:
        log_warning(note)
    _log_software_reason(settings)
    pipes = {PIPE} & {path for line in lines.lines for path in (line.audio, line.output)}
    streams = {"stdin": stdin(), "stdout": stdout()} if pipes else {}
    baker = LineBaker(args.model, **streams)
    _require_possible(settings, lines, baker)
    if args.dry_run:
        return _preview(lines, settings, baker, args)
    pruned, kept = prune(lines) if args.prune else ([], [])
    _log_pruned(pruned, kept)
    outcomes = _bake(lines, settings, baker, args)
    if args.report:
        write_report(outcomes, settings, args.report, lines.notes)
    if args.json:
        removed = {"pruned": [str(orphan.output) for orphan in pruned]} if args.prune else {}
        print_json(report_document(outcomes, settings, lines.notes) | removed)
    _sum_up(outcomes, lines, time.monotonic() - began)
    if args.report:
        log(f"{args.report}: report of {len(outcomes)} lines")
    return _exit_code(outcomes) or _flagged_code(outcomes, args)


# --------------------------------------------------------------------- before any work


def _plan(args: argparse.Namespace) -> Plan:
    """Plan the lines; raises `UsageError` for options that do not go together."""
    if args.json and args.output == PIPE:
        raise UsageError("--json prints on stdout; send the result to a file with -o")
    for name in ("alphabet", "tier", "strict"):
        if getattr(args, name) and not args.phones:
            raise UsageError(f"--{name} is for --phones; give both")
    _check_text_options(args)
    made = kind_made_for(args.rig, args.output) if args.rig else None
    try:
        lines = plan(
            args.inputs, args.output, format=args.format or made, phones=args.phones,
            text=args.text, alignment=args.alignment,
        )  # fmt: skip
    except PlanError as error:
        raise UsageError(str(error)) from error
    if args.words is not None and len(lines.lines) != 1:
        raise UsageError(f"--words is the text of one line, got {len(lines.lines)}; use --text")
    if args.report:
        _check_report(args.report, lines)
    if args.prune and lines.folder is None:
        raise UsageError("--prune is for an output folder; -o names a file")
    return lines


def _check_text_options(args: argparse.Namespace) -> None:
    """Raise `UsageError` for options of a text that do not go together."""
    given = args.text is not None or args.words is not None
    if args.text is not None and args.words is not None:
        raise UsageError("--text and --words are both the text; give one")
    if given and args.phones:
        raise UsageError("--phones already has the times of the sounds; leave --text out")
    for name in ("lexicon", "alignment"):
        if getattr(args, name) and not given:
            raise UsageError(f"--{name} is for --text or --words; give one of them")
    try:
        if args.text and args.text != AUTO and not Path(args.text).exists():
            raise UsageError(
                f"--text {args.text} does not exist; expected a text file, a folder or {AUTO}; "
                "to give the text itself, use --words"
            )
        if args.lexicon:
            Lexicon.read(args.lexicon)
        if args.words is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # given again when the line is baked
                Text(args.words, args.lexicon, args.language).read()
    except AlignmentError as error:
        raise UsageError(str(error)) from error


def _check_report(path: str, lines: Plan) -> None:
    if Path(path).suffix.lower() not in REPORT_EXTENSIONS:
        raise UsageError(f"--report must end in {' or '.join(REPORT_EXTENSIONS)}, got {path}")
    if Path(path).is_dir():
        raise UsageError(f"--report needs the name of a file, {path} is a folder")
    taken = {Path(p).resolve() for line in lines.lines for p in (line.audio, line.output) if p}
    if Path(path).resolve() in taken:
        raise UsageError(f"--report would replace {path}; give it another name")


def _settings(args: argparse.Namespace, lines: Plan) -> Settings:
    format_ = lines.format
    fps = args.fps or exact_fps(30 if format_.name == VIDEO else 60)
    options = writing_options(args, format_, fps)
    if args.link_audio and ("audio" not in format_.options or format_.name == VIDEO):
        raise UsageError(f"format {format_.name!r} does not support --link-audio; leave it out")
    if args.link_audio and any(line.audio in (None, PIPE) for line in lines.lines):
        raise UsageError("--link-audio needs recordings that are files")
    return Settings(
        rig=args.rig or _usual_rig(args, format_, options, lines),
        fps=fps,
        format=format_.name,
        look_ahead_ms=args.look_ahead,
        performance=performance_options(args),
        model=args.model,
        alphabet=args.alphabet,
        lexicon=args.lexicon,
        language=args.language,
        words=args.words,
        tier=args.tier,
        strict=args.strict,
        tolerance=options["tolerance"],
        start=args.start,
        offset=args.offset,
        head=args.head,
        up=args.up,
        link_audio=args.link_audio,
        format_settings=options["settings"],
    )


def _usual_rig(
    args: argparse.Namespace, format_: Format, options: OptionFields, lines: Plan
) -> str:
    """Return the rig of the character that is kept, else of the format."""
    if args.head is not None:
        try:
            if character := open_character(args.head, format_, options["settings"]):
                return character.rig
        except (FileFormatError, ExportError) as error:
            raise UsageError(str(error)) from error
    return _default_rig(args.model, format_, lines)


def _default_rig(model: str | None, format_: Format, lines: Plan) -> str:
    """Return the rig of the format; a learned layer on it, if the given model has just one."""
    rig = (format_.rigs or [_DEFAULT_RIG])[0]
    if model is None or all(line.phones for line in lines.lines):
        return rig
    try:
        learned = Manifest.read(Path(model) / "model.json").learned
    except ModelError:
        return rig  # loading the model reports it
    layers = [name for name, facts in learned.items() if facts.get("rig") == rig]
    if len(layers) == 1:
        log(f"rig {layers[0]}: the learned layer of this model on {rig}; "
            f"--rig {rig} uses the rig table")  # fmt: skip
        return layers[0]
    if layers:
        log(f"rig {rig}: this model has the learned layers {', '.join(layers)}; "
            "choose one with --rig")  # fmt: skip
    return rig


def _log_software_reason(settings: Settings) -> None:
    """Log why a video is drawn without OpenGL, where it is."""
    if settings.format != VIDEO:
        return
    from ..render import software_reason

    if reason := software_reason():
        log(reason)


def _require_possible(settings: Settings, lines: Plan, baker: LineBaker) -> None:
    """Raise `UsageError` for settings with which every line would fail."""
    model = None if all(line.phones for line in lines.lines) else baker.model
    try:
        output = RigOutput.of(settings.rig, model)
        character = open_character(settings.head, lines.format, settings.format_settings)
        head = settings.loaded_head() if character is None else None
        if model is not None:
            session = model.session(**settings.session())
            _log_look_ahead(settings.look_ahead_ms, session.look_ahead_ms, model)
    except (ExportError, FileFormatError, MeshError, ModelError, RigError,
            UnknownNameError) as error:  # fmt: skip
        raise UsageError(str(error)) from error
    if character is not None:
        character.require_drive(output.rig)
        log(character.describe(output.rig))
    if head is not None:
        drive = head.drive(output.rig)
        if drive.still and not head.gaze:
            raise MeshError(f"nothing would move: {drive.missing()}")
        log_drive(head, output.rig)
    if (table := output.stand_in) is not None:
        log(f"rig {table.rig.name} moves only {', '.join(table.moved)} until a FLAME model is "
            "calibrated: facesdk flame calibrate MODEL")  # fmt: skip


def _log_look_ahead(wanted: float | None, chosen: int, model: Model) -> None:
    """Log the look-ahead, visibly where it is not the one that was asked for."""
    _log.info("look-ahead %d ms", chosen)
    if wanted is not None and wanted != chosen:
        offered = ", ".join(map(str, model.manifest.look_aheads_ms))
        log(f"look-ahead is {chosen} ms, the longest up to {wanted:g} ms; "
            f"this model offers {offered} ms")  # fmt: skip


# --------------------------------------------------------------------- work


def _bake(
    lines: Plan, settings: Settings, baker: LineBaker, args: argparse.Namespace
) -> list[Outcome]:
    alone = len(lines.lines) == 1
    with Progress("baking", None if alone else len(lines.lines)) as progress:

        def on_result(outcome: Outcome) -> None:
            if outcome.status == "failed":
                _log_failure(outcome, debug=args.debug)
            for note in (outcome.facts.get("phones") or {}).get("notes", ()):
                log_warning(f"{outcome.line.phones}: {note}")
            if not alone:
                progress.advance()

        return bake_lines(
            lines,
            settings,
            baker,
            jobs=args.jobs,
            force=args.force,
            on_result=on_result,
            on_progress=progress.update if alone else None,
        )


def _preview(lines: Plan, settings: Settings, baker: LineBaker, args: argparse.Namespace) -> int:
    """Print what a run would do."""
    found = preview(lines, settings, baker, force=args.force)
    removed = orphans(lines) if args.prune else []
    if args.json:
        todo = [{"input": line.source, "output": line.output, "action": action}
                for line, action in found]  # fmt: skip
        todo += [{"input": orphan.source, "output": str(orphan.output),
                  "action": "remove" if orphan.intact else "keep"}
                 for orphan in removed]  # fmt: skip
        print_json({"dry_run": True, "lines": todo})
    else:
        for line, action in found:
            show(f"{action:<10} {line.source} -> {line.output}")
        for orphan in removed:
            word, why = ("remove", "") if orphan.intact else ("keep", ", changed since")
            show(f"{word:<10} {orphan.output} ({orphan.source} was deleted{why})")
    counts = Counter[str](action for _, action in found)
    done = ", ".join(f"{counts[a]} {words}" for a, words in _PREVIEWED.items() if counts[a])
    more = f", {sum(o.intact for o in removed)} to remove" if removed else ""
    log(f"dry run: {done}{more}; nothing was written")
    return FAILED if counts["missing"] or counts["failed"] else DONE


_PREVIEWED = {"bake": "to bake", "unchanged": "unchanged", "missing": "missing", "failed": "failed"}


def _log_pruned(pruned: Sequence[Orphan], kept: Sequence[Orphan]) -> None:
    for orphan in pruned:
        log(f"{orphan.output}: removed, {orphan.source} was deleted")
    for orphan in kept:
        log_warning(f"{orphan.output}: kept, its recording {orphan.source} was deleted, but the "
                    "file was changed since it was written")  # fmt: skip


def _log_failure(outcome: Outcome, *, debug: bool) -> None:
    if debug or os.environ.get("FACESDK_DEBUG"):
        show(outcome.trace, on=sys.stderr, lines=True)
    log_error(outcome.error)


def _sum_up(outcomes: Sequence[Outcome], lines: Plan, seconds: float) -> None:
    """Log the channels that the format dropped, and what was done."""
    dropped = {name for outcome in outcomes for name in outcome.facts.get("dropped", ())}
    if dropped:
        log_warning(f"format {lines.format.name!r} drops {some_names(sorted(dropped))}")
    if lines.batch:
        counts = Counter(outcome.status for outcome in outcomes)
        done = [f"{counts[s]} {s}" for s in ("baked", "unchanged", "failed") if counts[s]]
        flagged = [found for o in outcomes if o.facts and (found := flags(o.facts))]
        if flagged:
            worst = Counter(found[0].level for found in flagged)
            levels = ", ".join(f"{worst[level]} {level}" for level in WEIGHTS if worst[level])
            done.append(f"{len(flagged)} flagged ({levels})")
        log(f"{', '.join(done)} in {seconds:.1f} s")
        return
    for outcome in outcomes:
        if outcome.status == "baked" and outcome.line.output != PIPE:
            facts = outcome.facts
            log(f"{outcome.line.output}: {facts['frames']} frames, {facts['seconds']:.2f} s, "
                f"rig {facts['rig']['name']}")  # fmt: skip
        for flag in flags(outcome.facts) if outcome.facts else ():
            level = log if flag.level == "note" else log_warning
            level(f"{outcome.line.source}: {flag.name}: {flag.text}")


def _flagged_code(outcomes: Sequence[Outcome], args: argparse.Namespace) -> int:
    """Name the lines with flags of the level of --fail-on, and return the exit code."""
    if args.fail_on is None:
        return DONE
    least = WEIGHTS[args.fail_on]
    bad = []
    for outcome in outcomes:
        found = [f for f in flags(outcome.facts) if WEIGHTS[f.level] >= least]
        if found:
            bad.append(outcome)
            names = ", ".join(f"{flag.name} ({flag.level})" for flag in found)
            log_error(f"{outcome.line.source}: {names}")
    if bad:
        log_error(f"{len(bad)} of {len(outcomes)} lines have flags of level {args.fail_on} or "
                  "worse (--fail-on)")  # fmt: skip
    return FAILED if bad else DONE


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if not failed:
        return DONE
    return NOT_INSTALLED if all(outcome.not_installed for outcome in failed) else FAILED
