"""The command line: one module per subcommand, imported when it is called.

A module has `NAME`, `HELP`, `configure(parser)` and `run(args) -> int`. Results go to stdout, logs
to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 something is not installed, 130 Ctrl-C,
143 SIGTERM.

Messages of the command line and of the library go through `logging`, logger `facesdk`: errors,
warnings and summaries by default, only errors with `-q`, what is loaded and chosen with `-v`,
everything with `-vv`.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from io import TextIOWrapper
from typing import Any, BinaryIO, NoReturn, TextIO, TypeVar

from .. import __version__
from ..errors import FaceSDKError, MissingExtraError, error_text, unexpected, unknown_name
from ..printing import printable, printable_json

COMMANDS = {
    "bake": "turn speech recordings into animation files",
    "convert": "turn animation files into other formats, rigs and frame rates",
    "datasets": "build the speech corpora of a recipe, or describe one",
    "diff": "compare two animation files: the largest difference per control, and when",
    "doctor": "check the installation: versions, extras, OpenGL, ffmpeg, a self test",
    "edit": "scale, offset, clamp, smooth or blend curves of animation files",
    "export-onnx": "write a model as one ONNX file for a game engine, rigs included",
    "flame": "describe a FLAME model, or calibrate the map for --rig flame",
    "info": "describe the contents of an animation file",
    "render": "render animation files: videos with sound, images, contact sheets",
    "rigs": "list rigs and the conversions between them",
    "train": "train a model from a recipe, or learn output layers from annotated recordings",
}
"""Subcommands and their help; `bake` lives in `facesdk.cli.bake`."""

DONE, FAILED, USAGE, NOT_INSTALLED = range(4)
INTERRUPTED, BROKEN_PIPE, TERMINATED = 130, 141, 143

T = TypeVar("T")


class Terminated(KeyboardInterrupt):
    """SIGTERM, as schedulers and containers send it; it ends a command as Ctrl-C does."""


class UsageError(FaceSDKError):
    """Options that do not go together."""


# --------------------------------------------------------------------- running


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    debug = "--debug" in argv or bool(os.environ.get("FACESDK_DEBUG"))
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except Terminated:
        log("terminated")
        return TERMINATED
    except KeyboardInterrupt:
        log("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return BROKEN_PIPE
    except Exception as error:
        return report(error, debug=debug)


def _run(argv: Sequence[str]) -> int:
    command = next((word for word in argv if not word.startswith("-")), None)
    parser = _parser(command)
    args = _parsed(parser, command, argv)
    set_verbosity(args.verbose, quiet=args.quiet)
    with warnings.catch_warnings():
        if args.quiet:
            warnings.simplefilter("ignore")
        try:
            return int(_module(args.command).run(args))
        except UsageError as error:
            code = report(error, debug=args.debug)
            _log_usage(parser_of(parser, args))
            return code


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take two lines: what is wrong, and how the command is used.

    Its messages may quote arguments: a pattern of the shell expands to any name.
    """

    def error(self, message: str) -> NoReturn:
        """Print the error and exit with `USAGE`."""
        log_error(" ".join(message.split()))
        _log_usage(self)
        raise SystemExit(USAGE)

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(printable(message, lines=True), file)


def _log_usage(parser: argparse.ArgumentParser) -> None:
    """Print the required words of a command on one line of stderr, whatever the verbosity."""
    actions = (a for a in parser._actions if a.help != argparse.SUPPRESS)
    required = [a for a in actions if a.required]
    words = [parser.prog, "[options]"]
    words += [f"{a.option_strings[0]} {a.metavar or a.dest.upper()}"
              for a in required if a.option_strings]  # fmt: skip
    for action in required:
        if not action.option_strings:
            word = str(action.metavar or action.dest)
            several = {"+": f"{word} [{word} ...]", "*": f"[{word} ...]"}
            words.append(several.get(str(action.nargs), word))
    usage = f"usage: {' '.join(words)}; {parser.prog} --help describes them"
    show(usage, on=sys.stderr)


def _parsed(
    parser: argparse.ArgumentParser, command: str | None, argv: Sequence[str]
) -> argparse.Namespace:
    """Parse the words; unknown ones are reported with the nearest known ones."""
    if command is not None and command not in COMMANDS:
        parser.error(str(unknown_name("no command", command, COMMANDS)))
    args, unknown = parser.parse_known_args(argv)
    chosen = parser_of(parser, args)
    if unknown:
        word = unknown[0].partition("=")[0]
        if word.startswith("-"):
            known = [o for a in chosen._actions for o in a.option_strings if len(o) > 2]
            chosen.error(str(unknown_name(f"{chosen.prog} has no option", word, known)))
        chosen.error(f"{chosen.prog} takes no further argument {word!r}")
    return args


def parser_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> argparse.ArgumentParser:
    """Return the parser of the command, or of the action below it, that was parsed."""
    for name in ("command", "action"):
        below = parser._subparsers
        if below is None or not hasattr(args, name):
            break
        choices: dict[str, argparse.ArgumentParser] = dict(below._group_actions[0].choices or {})
        parser = choices.get(getattr(args, name), parser)
    return parser


def _parser(command: str | None) -> argparse.ArgumentParser:
    """Return a parser of all subcommands; only the one to run has its options."""
    parser = _Parser(prog="facesdk", description="Speech in, game-ready facial animation out.")
    parser.add_argument("--version", action="version", version=f"facesdk {__version__}")
    _add_common_options(parser, debug=False, verbose=0, quiet=False)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text, description=text)
        if name == command:
            _module(name).configure(subparser)
            _add_common_options(subparser)
    return parser


def _add_common_options(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Add the options of every command, also to the commands below it."""
    missing = dict.fromkeys(("debug", "verbose", "quiet"), argparse.SUPPRESS)
    default = missing | defaults
    add = parser.add_argument_group("messages").add_argument
    add("-v", "--verbose", action="count", default=default["verbose"],
        help="log what is loaded and chosen; -vv logs every line")  # fmt: skip
    add("-q", "--quiet", action="store_true", default=default["quiet"], help="print only errors")
    add("--debug", action="store_true", default=default["debug"], help="print error tracebacks")
    if not defaults and parser._subparsers is not None:
        for action in parser._subparsers._group_actions:
            choices: dict[str, argparse.ArgumentParser] = dict(action.choices or {})
            for below in choices.values():
                _add_common_options(below)


def _module(command: str) -> Any:
    return import_module(f".{command.replace('-', '_')}", __name__)


def report(error: Exception, *, debug: bool = False, about: str = "") -> int:
    """Print an error as one line and return its exit code."""
    if debug or os.environ.get("FACESDK_DEBUG"):
        show("".join(traceback.format_exception(error)), on=sys.stderr, lines=True)
    text = error_text(error)
    if not isinstance(error, FaceSDKError | OSError):
        text = f"{unexpected(error)}; --debug prints where. Please report it"
    log_error(f"{about}{text}")
    if isinstance(error, UsageError):
        return USAGE
    return NOT_INSTALLED if isinstance(error, MissingExtraError) else FAILED


def prepare_process() -> None:
    """Set up the process: the encoding of text, the format of warnings, SIGTERM."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            windows = sys.platform == "win32"
            stream.reconfigure(encoding="utf-8" if windows else None, errors="backslashreplace")
    warnings.formatwarning = lambda text, *_, **__: f"facesdk: warning: {printable(text)}\n"
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> None:
    raise Terminated


def _forget_stdout() -> None:
    """Keep Python from reporting unwritten output at its end."""
    with suppress(OSError, ValueError):  # stdout may not be a real file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --------------------------------------------------------------------- helpers


def set_verbosity(verbose: int = 0, *, quiet: bool = False) -> None:
    """Choose which messages reach stderr: see the module."""
    library = logging.WARNING if verbose == 0 else logging.INFO if verbose == 1 else logging.DEBUG
    logging.getLogger("facesdk").setLevel(logging.ERROR if quiet else library)
    _console().setLevel(logging.ERROR if quiet else logging.INFO)


def log(message: str) -> None:
    """Print a line on stderr, unless the user asked for errors only."""
    _console().info("%s", message)


def log_warning(message: str) -> None:
    """Print a warning on stderr, unless the user asked for errors only."""
    _console().warning("%s", message)


def log_error(message: str) -> None:
    """Print an error on stderr."""
    _console().error("%s", message)


def is_quiet() -> bool:
    """Whether the user asked for errors only."""
    return not _console().isEnabledFor(logging.INFO)


@cache
def _console() -> logging.Logger:
    """The logger of the command line; all of `facesdk` is printed on stderr from now on."""
    logging.getLogger("facesdk").addHandler(_Stderr())
    logger = logging.getLogger("facesdk.cli.console")
    logger.setLevel(logging.INFO)
    return logger


class _Stderr(logging.Handler):
    """Prints a record as one line on whatever is stderr by then."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.levelname.lower() + ": " if record.levelno >= logging.WARNING else ""
        show(f"facesdk: {kind}{printable(record.getMessage())}", on=sys.stderr)


def print_json(document: Any) -> None:
    """Print a JSON document on stdout."""
    print(printable_json(document, indent=2))


def show(*texts: str, on: TextIO | None = None, lines: bool = False) -> None:
    """Print lines on stdout or another stream: the only door to the terminal.

    What a terminal would obey in them is escaped; with `lines` a text may have several lines.
    """
    for text in texts:
        shown = printable(text, lines=lines)
        print(shown.removesuffix("\n"), file=on or sys.stdout)


def option(convert: Callable[[str], T]) -> Callable[[str], T]:
    """Return a converter for argparse that keeps the text of facesdk's errors."""

    def converted(text: str) -> T:
        try:
            return convert(text)
        except FaceSDKError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return converted


def stdin() -> BinaryIO:
    """Return standard input as bytes."""
    return sys.stdin.buffer


def stdout() -> BinaryIO:
    """Return standard output as bytes."""
    sys.stdout.flush()
    return sys.stdout.buffer


def each(
    items: Iterable[T],
    work: Callable[[T], None],
    *,
    name: Callable[[T], str],
    debug: bool = False,
) -> int:
    """Do the work for every item; a failing one is reported and the others still run."""
    code = DONE
    for item in items:
        try:
            work(item)
        except BrokenPipeError:
            raise
        except Exception as error:
            named = isinstance(error, OSError) or name(item) in str(error)
            failed = report(error, debug=debug, about="" if named else f"{name(item)}: ")
            code = code if code == FAILED else failed
    return code
