"""Options of all commands that write animation files: how, beside what."""

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
    """Add the options; every one is refused by formats that cannot honour it."""
    add = parser.add_argument_group("how the file is written").add_argument
    add("--tolerance", type=float, metavar="T",
        help="leave out keys that the others tell to within T, in the controls' own unit "
             "(radians for joints); by default every frame is a key")  # fmt: skip
    add(
        "--start",
        metavar="TIME",
        help="where the first frame lies: a timecode HH:MM:SS:FF (;FF for drop-frame) or seconds",
    )
    add("--offset", type=float, default=0.0, metavar="SECONDS", help="move everything to later")
    add("--head", metavar="PATH", help="mesh for formats that hold one")
    add("--set", action="append", default=[], metavar="NAME=VALUE", dest="own",
        help="a setting of the format's own; docs/formats.md lists them")  # fmt: skip


def own_settings(args: argparse.Namespace) -> Mapping[str, str]:
    """The format's own settings, as text."""
    settings: dict[str, str] = {}
    for given in args.own:
        name, equals, value = given.partition("=")
        if not name or not equals:
            raise UsageError(f"--set takes NAME=VALUE, got {given!r}")
        settings[name] = value
    return settings


def writing_options(args: argparse.Namespace, format_: Format) -> OptionFields:
    """What was asked for, the head aside; raises `UsageError` when the format cannot honour it."""
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
