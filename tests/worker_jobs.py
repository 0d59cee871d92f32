"""Starts of worker processes for the tests; a module that a new process can import."""

from __future__ import annotations

import os
import signal
from functools import partial

from facesdk.errors import MeshError


def squares(offset: int):
    """Start of a worker whose jobs are ranges."""
    return partial(_squares, offset)


def _squares(offset: int, numbers: range):
    for number in numbers:
        if number == 13:
            raise MeshError("13 is not allowed")
        if number == 66:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 99:
            raise UnpicklableError(lambda: None)
        yield number**2 + offset


class UnpicklableError(Exception):
    pass


def refuses():
    raise MeshError("no start today")
