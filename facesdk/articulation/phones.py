"""Speech sounds: their times in a line, and what each asks of the mouth."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ..errors import ArticulationError, unknown_name

Alphabet = Literal["ipa", "arpabet"]

MARKS = frozenset("ːˑʰʲʷˠˤ\u0303\u0329\u032f\u0325\u032c")
"""Length, aspiration, secondary articulation, nasality, syllabicity, voicing: no rule asks."""


class TimedPhone(NamedTuple):
    """One speech sound and when it is heard."""

    symbol: str
    """In IPA or ARPAbet; `SIL` for silence."""
    start: float
    """Seconds."""
    end: float
    stress: int = 0
    """1 primary, 2 secondary, 0 none."""


@dataclass(frozen=True)
class Phone:
    """Targets of one sound, 0..1 by unit; a unit it does not name is left to its neighbours."""

    symbol: str
    targets: Mapping[str, float]
    vowel: bool = False
    voiced: bool = True
    path: tuple[tuple[float, str], ...] = ()
    """For diphthongs: from which share of the sound which other sound's targets hold."""


@dataclass(frozen=True)
class PhoneSet:
    """All known sounds and the symbols that mean them."""

    phones: Mapping[str, Phone]
    aliases: Mapping[str, Mapping[str, str]]
    """By alphabet: symbol -> key of `phones`."""
    silence: frozenset[str]
    _cache: dict[tuple[str, str], Phone | None] = field(default_factory=dict, compare=False)

    def find(self, symbol: str, alphabet: Alphabet = "ipa") -> Phone | None:
        """The sound a symbol means, None for silence.

        Length, aspiration, syllabicity and nasality marks are ignored, as is an ARPAbet stress
        digit. Raises `UnknownNameError` for a symbol that no rule covers.
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
            raise unknown_name("no IPA sound", symbol, self.phones)
        return self.phones[plain]

    @classmethod
    def from_json(cls, document: Mapping[str, Any], units: frozenset[str]) -> PhoneSet:
        """Read the `phones`, `aliases` entries of a rules file; targets must name known units."""
        phones = {s: _phone(s, dict(entry), units) for s, entry in document["phones"].items()}
        for phone in phones.values():
            for _, other in phone.path:
                if other not in phones:
                    raise ArticulationError(f"path of {phone.symbol!r} names {other!r}, unknown")
        aliases = dict(document["aliases"])
        silence = frozenset(s.upper() for s in aliases.pop("silence"))
        for alphabet, names in aliases.items():
            for name, target in names.items():
                if target not in phones:
                    raise ArticulationError(f"{alphabet} {name!r} means {target!r}, unknown")
        return cls(phones, aliases, silence)


def _phone(symbol: str, entry: dict[str, Any], units: frozenset[str]) -> Phone:
    vowel, voiced = bool(entry.pop("vowel", False)), bool(entry.pop("voiced", True))
    path = tuple((float(share), str(other)) for share, other in entry.pop("path", ()))
    for unit, target in entry.items():
        if unit not in units:
            raise unknown_name(f"sound {symbol!r} names no unit", unit, units)
        if not 0 <= target <= 1:
            raise ArticulationError(f"sound {symbol!r}: {unit} must lie in 0..1, got {target}")
    return Phone(symbol, entry, vowel, voiced, path)
