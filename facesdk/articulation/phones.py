"""Speech sounds: their times in a line, and their targets for the mouth."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ..errors import ArticulationError, unknown_name

Alphabet = Literal["ipa", "arpabet"]

MARKS = frozenset("ːˑʰʲʷˠˤ\u0303\u0329\u032f\u0325\u032c")
"""Length, aspiration, secondary articulation, nasality, syllabicity, voicing; ignored by rules."""

_TONE = re.compile(r"(?<=.)[0-9⁰¹²³⁴⁵]+$")
_GLIDES = ("j", "w", "ɥ", "ɰ")
_LONGEST = 4
"""Letters of a sound."""

_MARK_CATEGORIES = ("Mn", "Lm", "Sk")
"""Combining marks, modifier letters and tone letters of Unicode."""


class TimedPhone(NamedTuple):
    """One speech sound with its times in the audio."""

    symbol: str
    """In IPA or ARPAbet; `SIL` for silence."""
    start: float
    """Seconds."""
    end: float
    """Seconds."""
    stress: int = 0
    """1 primary, 2 secondary, 0 none."""


@dataclass(frozen=True)
class Phone:
    """One speech sound and its targets."""

    symbol: str
    targets: Mapping[str, float]
    """Target 0..1 by unit; the other units follow neighboring sounds."""
    vowel: bool = False
    voiced: bool = True
    path: tuple[tuple[float, str], ...] = ()
    """For diphthongs: share of the sound from which the targets of another sound apply."""


@dataclass(frozen=True)
class PhoneSet:
    """The sounds of a set of rules and their symbols."""

    phones: Mapping[str, Phone]
    aliases: Mapping[str, Mapping[str, str]]
    """Key of `phones` by alphabet and symbol."""
    silence: frozenset[str]
    """Symbols of silence, in capitals."""
    _cache: dict[tuple[str, str], Phone | None] = field(default_factory=dict, compare=False)

    def find(self, symbol: str, alphabet: Alphabet = "ipa") -> Phone | None:
        """Return the sound of a symbol; None for silence.

        The `MARKS` and ARPAbet stress digits are ignored. Raises `UnknownNameError` for a symbol
        without a rule.
        """
        key = (symbol, alphabet)
        if key not in self._cache:
            self._cache[key] = self._find(symbol, alphabet)
        return self._cache[key]

    def _find(self, symbol: str, alphabet: Alphabet) -> Phone | None:
        if symbol.upper() in self.silence:
            return None
        if alphabet == "arpabet":
            plain = symbol.upper().rstrip("012")
            names = self.aliases["arpabet"]
            if plain not in names:
                raise unknown_name("no ARPAbet sound", symbol, names)
            return self.phones[names[plain]]
        plain = unicodedata.normalize("NFD", symbol) if symbol != "ç" else symbol
        plain = "".join(c for c in plain if c not in MARKS)
        plain = unicodedata.normalize("NFC", plain)
        plain = self.aliases["ipa"].get(plain, plain)
        if plain not in self.phones:
            plain = self._bare(plain)
        if plain in self.phones:
            return self.phones[plain]
        if not symbol.isascii() and (composed := self._composed(plain)):
            return composed
        raise unknown_name("no IPA sound", symbol, self.phones)

    def _bare(self, symbol: str) -> str:
        """Return the symbol without tones, tie bars and all other marks.

        Aligners write `i˥˩`, `i4`, `t͡ʃ` and `d̪`.
        """
        letters = unicodedata.normalize("NFD", symbol)
        plain = "".join(c for c in letters if unicodedata.category(c) not in _MARK_CATEGORIES)
        plain = _TONE.sub("", plain) or plain
        return self.aliases["ipa"].get(plain, plain)

    def _composed(self, plain: str) -> Phone | None:
        """Return a sound of several letters without a rule of its own, or None.

        Vowels and glides (`ɪə`, `ɐw`, `aɪə`) are a path from one to the next, of consonants
        (`tɬ`, `kp`) the last one counts.
        """
        letters = [self.aliases["ipa"].get(letter, letter) for letter in plain]
        if not 1 < len(letters) <= _LONGEST or not all(letter in self.phones for letter in letters):
            return None
        vowels = [self.phones[letter].vowel for letter in letters]
        if not any(vowels):
            return self.phones[letters[-1]]
        if not all(v or letter in _GLIDES for v, letter in zip(vowels, letters, strict=True)):
            return None
        path = tuple((_share(i, len(letters)), letter) for i, letter in enumerate(letters))
        return Phone(plain, {}, vowel=True, path=path)

    @classmethod
    def from_json(cls, document: Mapping[str, Any], units: frozenset[str]) -> PhoneSet:
        """Build the set from the `phones` and `aliases` entries of a rules file.

        Raises `UnknownNameError` for targets outside `units`, `ArticulationError` for a reference
        to a sound that is not defined.
        """
        phones = {s: _phone(s, dict(entry), units) for s, entry in document["phones"].items()}
        for phone in phones.values():
            for _, other in phone.path:
                if other not in phones:
                    raise ArticulationError(
                        f"path of sound {phone.symbol!r} contains {other!r}, which is not defined"
                    )
        aliases = dict(document["aliases"])
        silence = frozenset(s.upper() for s in aliases.pop("silence"))
        for alphabet, names in aliases.items():
            for name, target in names.items():
                if target not in phones:
                    raise ArticulationError(
                        f"{alphabet} symbol {name!r} stands for {target!r}, which is not defined"
                    )
        return cls(phones, aliases, silence)


def _share(index: int, count: int) -> float:
    """Return where a letter's targets begin: the second half of a diphthong is the longer way."""
    return index / count * 1.1


def _phone(symbol: str, entry: dict[str, Any], units: frozenset[str]) -> Phone:
    vowel, voiced = bool(entry.pop("vowel", False)), bool(entry.pop("voiced", True))
    path = tuple((float(share), str(other)) for share, other in entry.pop("path", ()))
    for unit, target in entry.items():
        if unit not in units:
            raise unknown_name(f"sound {symbol!r}: no unit", unit, units)
        if not 0 <= target <= 1:
            raise ArticulationError(f"sound {symbol!r}: {unit} must lie in 0..1, got {target}")
    return Phone(symbol, entry, vowel, voiced, path)
