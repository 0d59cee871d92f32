"""Open Sound Control 1.0: messages, bundles and their time tags as bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction

Argument = int | float | str

IMMEDIATELY = 1
"""Time tag of a bundle that takes effect when it arrives."""


def message(address: str, *arguments: Argument) -> bytes:
    """Return a message: integers as `i`, floats as `f`, text as `s`."""
    tags, data = ",", b""
    for argument in arguments:
        if isinstance(argument, str):
            tags, data = tags + "s", data + text(argument)
        elif isinstance(argument, int):
            tags, data = tags + "i", data + struct.pack(">i", argument)
        else:
            tags, data = tags + "f", data + struct.pack(">f", argument)
    return text(address) + text(tags) + data


def text(words: str) -> bytes:
    """Return UTF-8 with one to four zeros after it, so that its length is a multiple of four."""
    data = words.encode()
    return data + bytes(4 - len(data) % 4)


def bundle(tag: int, elements: Sequence[bytes]) -> bytes:
    """Return messages that take effect together at the time of a tag."""
    parts = [struct.pack(">i", len(element)) + element for element in elements]
    return b"#bundle\0" + struct.pack(">Q", tag) + b"".join(parts)


def time_tag(seconds: Fraction) -> int:
    """Return an NTP time tag: whole seconds in the upper half, 2**-32 seconds in the lower."""
    return round(seconds * (1 << 32))
