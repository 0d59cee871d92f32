"""Options of all commands that write animation files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from ..errors import ExportError
from . import UsageError, log
from .options import amount

if TYPE_CHECKING:
    from ..exporters import Format
    from ..exporters.options import OptionFields
    from ..mesh import Head
    from ..rig import Rig


_SHOWN = 8


def add_writing_options(parser: argparse.ArgumentParser, *, times: bool = True) -> None:
    """Add the options; a format that does not support one refuses it.

    Without `times` the file keeps the times of its source.
    """
    add = parser.add_argument_group("output file").add_argument
    add("--tolerance", type=amount, metavar="T",
        help="drop keys that interpolation reproduces to within T, in the unit of the control "
             "(radians for joints; default: a key per frame)")  # fmt: skip
    if times:
        add("--start", metavar="TIME",
            help="time of the first frame: seconds, or a timecode HH:MM:SS:FF "
                 "(;FF for drop-frame)")  # fmt: skip
        add("--offset", type=float, default=0.0, metavar="SECONDS",
            help="seconds to add to all times")  # fmt: skip
    else:
        parser.set_defaults(start=None, offset=0.0)
    add("--head", metavar="PATH",
        help="head file, for formats that contain a mesh; glb, gltf and vrm keep a .glb, .gltf or "
             ".vrm file as it is and add the animation to it")  # fmt: skip
    add_up_option(parser)
    add("--set", action="append", default=[], metavar="NAME=VALUE", dest="format_settings",
        help="setting that only this format has (listed in docs/formats.md)")  # fmt: skip


def add_up_option(parser: argparse.ArgumentParser) -> None:
    """Add the axis that points up in the file of `--head`."""
    parser.add_argument("--up", choices=("y", "z"), default="y",
        help="axis that points up in the file of --head; z looks along -y, as in Blender "
             "(default: y)")  # fmt: skip


def log_drive(head: Head, rig: Rig) -> None:
    """Log how a head moves, where that is not by its shapes for the rig or for ARKit."""
    if note := head.drive(rig).note():
        log(note)


def some_names(names: Sequence[str]) -> str:
    """Return the first names of a list that may be long."""
    shown, more = ", ".join(names[:_SHOWN]), len(names) - _SHOWN
    return f"{shown} and {more} more (--json lists all)" if more > 0 else shown


def format_settings(args: argparse.Namespace) -> Mapping[str, str]:
    """Return the settings that only the format defines, as text."""
    settings: dict[str, str] = {}
    for given in args.format_settings:
        name, equals, value = given.partition("=")
        if not name or not equals:
            raise UsageError(f"--set takes NAME=VALUE, got {given!r}")
        settings[name] = value
    return settings


def writing_options(
    args: argparse.Namespace, format_: Format, fps: Fraction | None
) -> OptionFields:
    """Return the options of the file, with the path of the head.

    `fps` is the frame rate where it is known. Raises `UsageError` for values that make no sense
    and options that the format does not support.
    """
    from ..exporters import WriteOptions

    options: OptionFields = {
        "tolerance": args.tolerance,
        "start": args.start,
        "offset": args.offset,
        "settings": format_settings(args),
    }
    if args.head is not None and "head" in format_.options:
        options["head"] = args.head
    try:
        format_.checked(WriteOptions(**options))
        _check_start(args.start, fps)
        if args.head is not None and "head" not in format_.options:
            raise ExportError(f"format {format_.name!r} has no mesh; leave --head out")
    except ExportError as error:
        raise UsageError(str(error)) from error
    return options


def _check_start(start: str | None, fps: Fraction | None) -> None:
    """Raise `ExportError` for a start that is not a time, at any frame rate if none is known."""
    from ..exporters.timeline import seconds_of

    if start is None:
        return
    if fps is not None:
        seconds_of(start, fps)
    else:
        seconds_of(start.replace(";", ":"), Fraction(1000))
