"""English text to sounds, by the text front end of hibari-tts (Apache-2.0, no downloads)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

from ..errors import UnknownNameError, missing_extra
from .words import Pronunciation, sounds, split_ipa, unique

_IN_DICTIONARY = 3
"""Rating of hibari from which a word is in its dictionary."""


def read(text: str, language: str = "en") -> Iterator[tuple[str, tuple[Pronunciation, ...], bool]]:
    """Yield every spoken word, its pronunciations, and whether a dictionary has them.

    `en` gives American and British pronunciations, `en-us` and `en-gb` one of them. Numbers,
    abbreviations and symbols are spelled out. Raises `MissingExtraError` without the extra `text`.
    """
    readers = [_reader(british) for british in _accents(language)]
    from hibari.g2p.normalize import normalize

    if text.isupper() and len(text.split()) > 1:
        text = text.capitalize()  # a line in capitals is not a row of abbreviations
    plain = normalize(unicodedata.normalize("NFC", text).replace("—", ", "))
    readings = [reader.phonemize_tokens(reader.tokenize(plain)) for reader in readers]
    for tokens in zip(*readings, strict=True):
        token = tokens[0]
        if not any(character.isalnum() for character in token.text) and not _is_spoken(token):
            continue
        if any(c.isalpha() and not unicodedata.name(c, "").startswith("LATIN") for c in token.text):
            yield token.text, (), False
            continue
        found = [_sounds(one.phonemes or "") for one in tokens]
        for reader in readers:
            found += [_sounds(phones) for phones in _others(reader, token.text)]
        yield token.text, unique(found), (token.rating or 0) >= _IN_DICTIONARY


def _is_spoken(token: Any) -> bool:
    """Whether a symbol such as & is spoken, unlike punctuation."""
    return any(character.isalpha() for character in token.phonemes or "")


def _accents(language: str) -> tuple[bool, ...]:
    return {"en-us": (False,), "en-gb": (True,)}.get(language, (False, True))


@cache
def _reader(british: bool) -> Any:
    try:
        from hibari.g2p import G2P
    except ImportError as error:
        raise missing_extra("reading English text without a lexicon", "text") from error
    return G2P(british=british)


def _others(reader: Any, word: str) -> Iterator[str]:
    """Yield further pronunciations of a word in the dictionary: as verb, noun, weak form."""
    for table in (reader.lexicon.golds, reader.lexicon.silvers):
        entry = table.get(word.lower())
        if isinstance(entry, dict):
            yield from (phones for phones in entry.values() if phones)
        elif entry:
            yield entry


def _sounds(phones: str) -> Pronunciation:
    try:
        return sounds(split_ipa(phones))
    except UnknownNameError:
        return ()
