"""What reaches a terminal, a log or a report: escapes are shown, never obeyed."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from facesdk.printing import html, printable, printable_json

JOINERS = "\u200c\u200d"
ODD = "\x1b]52;c;QUJD\x07 \x9b2J \u202e \u2066 \u2028 \r\n\t\x7f\x00 \ufeff \u00ad"


def obeyed(text: str) -> list[str]:
    """Characters that are not letters, marks or spaces that one sees."""
    kinds = ("Cc", "Cf", "Zl", "Zp")
    return [c for c in text if unicodedata.category(c) in kinds and c not in JOINERS]


@given(st.text())
@example(ODD)
def test_nothing_that_a_terminal_obeys_is_left(text):
    assert "\n" not in printable(text)
    bad = set(obeyed(printable(text)))
    assert not {c for c in bad if unicodedata.category(c) == "Cc" or c in ODD}


@given(st.text(st.characters(categories=("L", "M", "N", "P", "S", "Zs"))))
def test_text_that_people_write_is_unchanged(text):
    assert printable(text) == text


def test_escapes_are_shown():
    assert printable("a\x1b[2Jb\nc\td\u202ee\x9b") == "a\\x1b[2Jb\\nc\\td\\u202ee\\x9b"
    assert printable("a\nb\tc\x1b", lines=True) == "a\nb\tc\\x1b"
    assert printable("می\u200cخواهم") == "می\u200cخواهم"
    assert html("<b>\x1b\u202e</b>") == "&lt;b&gt;\\x1b\\u202e&lt;/b&gt;"


@given(st.recursive(st.text() | st.integers(), lambda x: st.dictionaries(st.text(), x)))
@example({ODD: [ODD, "é", "漢"]})
@pytest.mark.parametrize("indent", [None, 2])
def test_json_comes_back_and_holds_nothing_to_obey(indent, document):
    text = printable_json(document, indent=indent)
    assert json.loads(text) == document
    assert not {c for c in text if unicodedata.category(c) == "Cc" and c != "\n"}
    assert "\u202e" not in text
