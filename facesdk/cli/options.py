"""Options that several commands share: numbers within limits, and the options of a performance."""

from __future__ import annotations

import argparse
import math
from dataclasses import fields
from typing import TYPE_CHECKING

from ..errors import PerformanceError
from . import UsageError

if TYPE_CHECKING:
    from ..performance import Performance


# --------------------------------------------------------------------- numbers


def count(text: str) -> int:
    """Parse a whole number of 1 or more."""
    number = _number(text)
    if not (number >= 1 and number.is_integer()):
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, got {text!r}")
    return int(number)


def amount(text: str) -> float:
    """Parse a finite number that is 0 or more."""
    number = _number(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text!r}")
    return number


def seconds(text: str) -> float:
    """Parse seconds: finite, 0 or more."""
    return amount(text)


def positive(text: str) -> float:
    """Parse a finite number above 0."""
    number = _number(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text!r}")
    return number


def _number(text: str) -> float:
    """The number, or nan, which lies within no limits."""
    try:
        return float(text)
    except ValueError:
        return math.nan


# --------------------------------------------------------------------- performance


def add_performance_options(parser: argparse.ArgumentParser) -> None:
    """Add an option per field of `Performance`; a switch that is on by default becomes `--no-…`."""
    from ..performance import Performance

    add = parser.add_argument_group("performance").add_argument
    for option in fields(Performance):
        name = option.name.replace("_", "-")
        text = option.metadata.get("help")
        if option.default is True:
            add(f"--no-{name}", dest=option.name, action="store_false", help=text)
        elif option.default is False:
            add(f"--{name}", dest=option.name, action="store_true", help=text)
        else:
            add(f"--{name}", dest=option.name, type=type(option.default), default=option.default,
                metavar=option.metadata.get("metavar"), help=text)  # fmt: skip


def performance_options(args: argparse.Namespace) -> Performance:
    """Return the performance asked for; raises `UsageError` for values that make no sense."""
    from ..performance import Performance

    try:
        return Performance(**{f.name: getattr(args, f.name) for f in fields(Performance)})
    except PerformanceError as error:
        raise UsageError(str(error)) from error
