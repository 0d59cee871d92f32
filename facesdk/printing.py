"""Text from files and file names on its way to a terminal, a log or a report.

Names may contain anything: escape sequences that fill the clipboard or clear the screen, a line
break that forges a line of a log, marks that reverse the direction of what follows. They are
shown instead of obeyed.
"""

from __future__ import annotations

import json
import re
from typing import Any

_OBEYED = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
"""Control characters, line breaks, marks of direction, characters without a width, and the bytes of
names that are not UTF-8."""

_KEPT_IN_WORDS = {"\u200c", "\u200d"}
"""Joiners that scripts such as Persian and Hindi need within words."""


def printable(text: object, *, lines: bool = False) -> str:
    r"""Return a text with every character that a terminal obeys as an escape such as `\x1b`.

    With `lines`, line breaks and tabs are kept.
    """
    return _OBEYED.sub(lambda found: _shown(found[0], lines), str(text))


def printable_json(document: Any, *, indent: int | None = None) -> str:
    r"""Return a JSON text that is safe to print; `json.loads` gives the same document.

    Control characters and marks of direction are written as `\u001b`.
    """
    text = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    return _OBEYED.sub(lambda found: _in_json(found[0]), text)


def html(text: object) -> str:
    """Return a text for an HTML page: escaped, and without characters that change its order."""
    from html import escape

    return escape(printable(text))


def _shown(character: str, lines: bool) -> str:
    if character in _KEPT_IN_WORDS or (lines and character in "\n\t"):
        return character
    code = ord(character)
    if code < 0x100:
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _in_json(character: str) -> str:
    if character == "\n" or character in _KEPT_IN_WORDS:  # a line break is the document's own
        return character
    return json.dumps(character)[1:-1] if ord(character) != 0x7F else "\\u007f"
