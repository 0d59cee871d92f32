"""The words of a text and their sounds.

Pronunciations come from a lexicon of the caller's, from the text itself (`/p ʌ m p k ɪ n/`), or,
for English, from the text front end of hibari-tts.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..articulation import MARKS, Alphabet, Rules
from ..articulation.timings import detect_alphabet
from ..errors import AlignmentError, UnknownNameError

MAX_BYTES = 16 * 2**20
MOST_PRONUNCIATIONS = 6
"""Pronunciations of one word that are tried."""
ENGLISH = ("en", "en-us", "en-gb")
_LISTED = 10

_LINKED = re.compile(
    r"\[([^\[\]\n]+)\]\(/([^/\n]+)/\)|(?<![^\s\"'“(])/([^/\n]+)/(?=[\s.,;:!?\"'”)…]|$)"
)
_DIRECTION = re.compile(r"\[[^\[\]\n]*\]|<[^<>\n]*>|\{[^{}\n]*\}|\*[^*\n]+\*")
_WORD = re.compile(r"[^\W_]+(?:['’ʼ-][^\W_]+)*['’]?")
_STRESS = {"ˈ": 1, "'": 1, "ˌ": 2}
_VARIANT = re.compile(r"\(\d+\)$")
_NUMBER = re.compile(r"\d*\.\d+|[01]")


class Sound(NamedTuple):
    """One sound of a pronunciation."""

    symbol: str
    """A key of the articulation rules."""
    stress: int = 0
    """1 primary, 2 secondary, 0 none."""


Pronunciation = tuple[Sound, ...]


class Word(NamedTuple):
    """One word of a text, as it is spoken."""

    text: str
    pronunciations: tuple[Pronunciation, ...]
    """In the order of their likelihood; empty for a word whose sounds are not known."""


@dataclass(frozen=True)
class Lexicon:
    """Pronunciations by word."""

    entries: Mapping[str, tuple[Pronunciation, ...]]
    """By word in lower case."""

    def find(self, word: str) -> tuple[Pronunciation, ...]:
        """Return the pronunciations of a word, () for none."""
        return self.entries.get(word.replace("’", "'").casefold(), ())

    @classmethod
    def read(cls, path: Path | str) -> Lexicon:
        """Return the lexicon in a file with lines such as `pumpkin  p ʌ m p k ɪ n`.

        Sounds are IPA or ARPAbet and separated by spaces. Several lines may give the same word,
        also as `word(2)`; numbers after the word (probabilities) are ignored, as are lines that
        begin with `;;;` or `#`. Raises `AlignmentError` for a file that is not such a lexicon.
        """
        rows = list(_lexicon_rows(Path(path)))
        if not rows:
            raise AlignmentError(f"{path} has no entry; expected lines of a word and its sounds")
        alphabet = detect_alphabet(symbol.lstrip("ˈˌ'") for _, _, row in rows for symbol in row)
        entries: dict[str, tuple[Pronunciation, ...]] = {}
        for number, word, symbols in rows:
            try:
                found = sounds(symbols, alphabet)
            except UnknownNameError as error:
                raise AlignmentError(f"{path}, line {number}, {word!r}: {error}") from error
            entries[word] = unique([*entries.get(word, ()), found])
        return cls(entries)


def _lexicon_rows(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith((";;;", "#")):
            continue
        word, *cells = line.split()
        while cells and _NUMBER.fullmatch(cells[0]):
            cells.pop(0)
        if not cells:
            raise AlignmentError(
                f"{path}, line {number}: {word!r} has no sounds; expected: word  sound sound ..."
            )
        yield number, _VARIANT.sub("", word).replace("’", "'").casefold(), cells


def read_text(path: Path | str) -> str:
    """Return the text of a file in UTF-8, or UTF-16 with its mark; raises `AlignmentError`."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise AlignmentError(f"{path} does not exist; expected a text file") from None
    except OSError as error:
        raise AlignmentError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise AlignmentError(f"{path} is larger than {MAX_BYTES // 2**20} MiB; cut it into lines")
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise AlignmentError(f"{path} is neither UTF-8 nor UTF-16 text: {error}") from error
    if "\0" in text:
        raise AlignmentError(f"{path} is not a text file: it contains zero bytes")
    return text


def sounds(symbols: Sequence[str], alphabet: Alphabet = "ipa") -> Pronunciation:
    """Return the sounds of symbols; silence is left out.

    Raises `UnknownNameError` for a symbol without a rule.
    """
    found: list[Sound] = []
    for symbol in symbols:
        plain, stress = symbol, 0
        while plain[:1] in _STRESS and len(plain) > 1:
            plain, stress = plain[1:], _STRESS[plain[0]]
        if alphabet == "arpabet" and plain[-1:].isdigit():
            stress = {"1": 1, "2": 2}.get(plain[-1], 0)
        if plain and all(character in MARKS for character in plain):
            continue
        phone = Rules.load().phones.find(plain, alphabet)
        if phone is not None:
            found.append(Sound(phone.symbol, stress))
    return tuple(found)


def split_ipa(text: str) -> list[str]:
    """Return the symbols of IPA without spaces: one character each, with stress and marks."""
    symbols: list[str] = []
    stress = ""
    for character in text:
        if character in "ˈˌ":
            stress = character
        elif symbols and character in MARKS:
            symbols[-1] += character
        elif character.isalpha() or character in "ᵊᵻ":
            symbols.append(stress + character)
            stress = ""
    return symbols


def words_of(
    text: str, *, lexicon: Lexicon | None = None, language: str = "en"
) -> tuple[Word, ...]:
    """Return the words of a text with their pronunciations.

    Sounds may be written in the text, as `/p ʌ m p k ɪ n/` or `[pumpkin](/p ʌ m p k ɪ n/)`, in IPA
    or ARPAbet. Stage directions in `[...]`, `<...>`, `{...}` and `*...*` are left out. Other words
    are looked up in the lexicon, then, for languages `en`, `en-us` and `en-gb`, read by hibari-tts
    (extra `text`), which also reads numbers and abbreviations. Unknown words are read by rule.
    Words that cannot be read have no pronunciation. All of these are named in one warning. Raises
    `AlignmentError` for a text without words or with sounds that have no rule, and
    `MissingExtraError` if English words need the extra and it is not installed.
    """
    found: list[Word] = []
    guessed: dict[str, None] = {}
    left_out: dict[str, None] = {}
    position = 0
    for match in [*_LINKED.finditer(text), None]:
        plain = text[position : match.start() if match else len(text)]
        for direction in _DIRECTION.findall(plain):
            left_out[direction] = None
        plain = _DIRECTION.sub(" ", plain)
        found += _plain_words(plain, lexicon, language, guessed)
        if match:
            spoken = match[2] or match[3]
            found.append(Word(match[1] or spoken, (_written(spoken),)))
            position = match.end()
    if not found:
        raise AlignmentError(f"the text has no words: {text.strip()[:60]!r}")
    unread = dict.fromkeys(word.text for word in found if not word.pronunciations)
    notes = [
        _note("words read by rule", guessed),
        _note("words without a pronunciation, left to the network", unread),
        _note("stage directions left out", left_out),
    ]
    if any(notes):
        warnings.warn("; ".join(filter(None, notes)), stacklevel=2)
    return tuple(found)


def _note(what: str, names: Iterable[str]) -> str:
    listed = [repr(name[:40]) for name in names]
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return f"{what}: {', '.join(listed[:_LISTED])}{more}" if listed else ""


def _written(text: str) -> Pronunciation:
    """Return the sounds written in a text, with or without spaces."""
    symbols = text.split()
    if len(symbols) == 1 and not symbols[0].isascii():
        symbols = split_ipa(symbols[0])
    alphabet = detect_alphabet(symbol.lstrip("ˈˌ'") for symbol in symbols)
    try:
        found = sounds(symbols, alphabet)
    except UnknownNameError as error:
        raise AlignmentError(f"/{text}/: {error}; separate sounds by spaces") from error
    if not found:
        raise AlignmentError(f"/{text}/ contains no sound")
    return found


def _plain_words(
    text: str, lexicon: Lexicon | None, language: str, guessed: dict[str, None]
) -> Iterator[Word]:
    texts = _WORD.findall(text)
    known = {word: lexicon.find(word) for word in texts} if lexicon else {}
    if language not in ENGLISH:
        if lexicon is None and texts:
            raise AlignmentError(
                f"words of language {language!r} need a lexicon; "
                f"{', '.join(ENGLISH)} are read without one"
            )
        yield from (Word(word, known[word]) for word in texts)
    elif all(known.get(word) for word in texts):
        yield from (Word(word, known[word]) for word in texts)
    else:
        from .english import read

        for spoken, pronunciations, sure in read(text, language):
            own = lexicon.find(spoken) if lexicon else ()
            if not own and not sure and pronunciations:
                guessed[spoken] = None
            yield Word(spoken, own or pronunciations)


def unique(found: Iterable[Pronunciation]) -> tuple[Pronunciation, ...]:
    """Return the different pronunciations of several, at most `MOST_PRONUNCIATIONS`."""
    return tuple(dict.fromkeys(filter(None, found)))[:MOST_PRONUNCIATIONS]
