"""The command line: one module a subcommand, imported when it is called.

A module has `NAME`, `HELP`, `configure(parser)` and `run(args) -> int`. Results go to stdout, logs
to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 something is not installed, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from .. import __version__
from ..errors import FaceSDKError, MissingExtraError

COMMANDS = {
    "bake": "turn speech recordings into animation files",
    "convert": "turn animation files into other formats, rigs and frame rates",
    "datasets": "make the speech corpora of a recipe, or describe one",
    "export-onnx": "write a model as one ONNX file for a game engine, rigs included",
    "flame": "describe a FLAME model, or make the map that --rig flame needs",
    "info": "tell what an animation file holds",
    "render": "draw animation files: videos with sound, pictures, contact sheets",
    "rigs": "list rigs and the conversions between them",
    "train": "train a model from a recipe, or learn output layers from annotated recordings",
}
"""Subcommands and their help; `bake` lives in `facesdk.cli.bake`."""

DONE, FAILED, USAGE, NOT_INSTALLED = range(4)
INTERRUPTED, BROKEN_PIPE = 130, 141

T = TypeVar("T")


class UsageError(FaceSDKError):
    """Options that do not go together."""


# --------------------------------------------------------------------- running


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    debug = "--debug" in argv or bool(os.environ.get("FACESDK_DEBUG"))
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        log("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return BROKEN_PIPE
    except (FaceSDKError, OSError) as error:
        return report(error, debug=debug)


def _run(argv: Sequence[str]) -> int:
    command = next((word for word in argv if not word.startswith("-")), None)
    args = _parser(command).parse_args(argv)
    return int(_module(args.command).run(args))


def _parser(command: str | None) -> argparse.ArgumentParser:
    """All subcommands by name and help; only the one to run has its options."""
    parser = argparse.ArgumentParser(
        prog="facesdk", description="Speech in, game-ready facial animation out."
    )
    parser.add_argument("--version", action="version", version=f"facesdk {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text, description=text)
        if name == command:
            subparser.add_argument(
                "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
            )
            _module(name).configure(subparser)
    return parser


def _module(command: str) -> Any:
    return import_module(f".{command.replace('-', '_')}", __name__)


def report(error: Exception, *, debug: bool = False, about: str = "") -> int:
    """Print an error as one line; returns the exit code that it means."""
    if debug or os.environ.get("FACESDK_DEBUG"):
        traceback.print_exception(error)
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    log(f"error: {about}{message}")
    if isinstance(error, UsageError):
        return USAGE
    return NOT_INSTALLED if isinstance(error, MissingExtraError) else FAILED


def prepare_process() -> None:
    """Set up what belongs to the process as a whole: text encoding, how warnings look."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            windows = sys.platform == "win32"
            stream.reconfigure(encoding="utf-8" if windows else None, errors="backslashreplace")
    warnings.formatwarning = lambda message, *_, **__: f"facesdk: warning: {message}\n"


def _forget_stdout() -> None:
    """Keep Python from complaining about unwritten output when it ends."""
    with suppress(OSError, ValueError):  # stdout may be no real file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --------------------------------------------------------------------- helpers


def log(message: str) -> None:
    """One line on stderr."""
    print(f"facesdk: {message}", file=sys.stderr)


def print_json(document: Any) -> None:
    """A JSON document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def option(convert: Callable[[str], T]) -> Callable[[str], T]:
    """A converter for argparse whose errors keep their own words."""

    def converted(text: str) -> T:
        try:
            return convert(text)
        except FaceSDKError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return converted


def stdin() -> BinaryIO:
    """Standard input as bytes."""
    return sys.stdin.buffer


def stdout() -> BinaryIO:
    """Standard output as bytes."""
    sys.stdout.flush()
    return sys.stdout.buffer


def output_paths(inputs: Sequence[str], output: str, extension: str) -> list[str]:
    """Where the result of every input goes; `-` is a pipe.

    One input may name its output file. Several, or an output that is a folder or ends in a slash,
    give `<output>/<input stem><extension>` and the folder is created.
    """
    folder = Path(output)
    if len(inputs) == 1 and not (output.endswith(("/", os.sep)) or folder.is_dir()):
        return [output]
    if output == "-":
        raise UsageError("several inputs cannot all go to stdout; give a folder")
    stems = ["stdin" if i == "-" else Path(i).stem for i in inputs]
    if twice := sorted({s for s in stems if stems.count(s) > 1}):
        raise UsageError(f"several inputs would become {twice[0]}{extension}; rename one of them")
    folder.mkdir(parents=True, exist_ok=True)
    return [str(folder / (stem + extension)) for stem in stems]


def each(
    items: Iterable[T],
    work: Callable[[T], None],
    *,
    name: Callable[[T], str],
    debug: bool = False,
) -> int:
    """Do the work for every item; a bad one is reported and the rest still run."""
    code = DONE
    for item in items:
        try:
            work(item)
        except BrokenPipeError:
            raise
        except (FaceSDKError, OSError) as error:
            named = isinstance(error, OSError) or name(item) in str(error)
            failed = report(error, debug=debug, about="" if named else f"{name(item)}: ")
            code = code if code == FAILED else failed
    return code
