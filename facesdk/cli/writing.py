"""Options of all commands that write animation files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import ExportError
from . import UsageError

if TYPE_CHECKING:
    from ..exporters import Format
    from ..exporters.options import OptionFields


def add_writing_options(parser: argparse.ArgumentParser) -> None:
    """Add the options; formats refuse those that they do not support."""
    add = parser.add_argument_group("how the file is written").add_argument
    add("--tolerance", type=float, metavar="T",
        help="drop keys that interpolation reproduces to within T, in the controls' own unit "
             "(radians for joints); by default every frame is a key")  # fmt: skip
    add(
        "--start",
        metavar="TIME",
        help="time of the first frame: a timecode HH:MM:SS:FF (;FF for drop-frame) or seconds",
    )
    add("--offset", type=float, default=0.0, metavar="SECONDS", help="delay everything by this")
    add("--head", metavar="PATH", help="mesh for formats that hold one")
    add("--set", action="append", default=[], metavar="NAME=VALUE", dest="own",
        help="a setting of the format; docs/formats.md lists them")  # fmt: skip


def own_settings(args: argparse.Namespace) -> Mapping[str, str]:
    """Return the format's settings, as text."""
    settings: dict[str, str] = {}
    for given in args.own:
        name, equals, value = given.partition("=")
        if not name or not equals:
            raise UsageError(f"--set takes NAME=VALUE, got {given!r}")
        settings[name] = value
    return settings


def writing_options(args: argparse.Namespace, format_: Format) -> OptionFields:
    """Return options but the head; raises `UsageError` for those that the format lacks."""
    from ..exporters import WriteOptions

    options: OptionFields = {
        "tolerance": args.tolerance,
        "start": args.start,
        "offset": args.offset,
        "settings": own_settings(args),
    }
    try:
        format_.checked(WriteOptions(**options))
        if args.head is not None and "head" not in format_.options:
            raise ExportError(f"format {format_.name!r} holds no mesh; leave --head out")
    except ExportError as error:
        raise UsageError(str(error)) from error
    return options
