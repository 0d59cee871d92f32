"""Timed phones from the files of aligners and speech synthesizers.

Supported are Praat's TextGrid in its long and short form, label files (HTK's with ticks of 100 ns,
or seconds) and JSON. Gaps between sounds become silence, stress marks become numbers.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, get_args

from ..errors import ArticulationError, UnknownNameError, reading
from .phones import Alphabet, TimedPhone
from .rules import Rules
from .sampa import to_ipa

ALPHABETS: tuple[str, ...] = get_args(Alphabet)
SILENCE = "SIL"
EXTENSIONS = (".TextGrid", ".json", ".lab")

MAX_BYTES = 64 * 2**20
_SHORTEST_GAP = 1e-3
"""Seconds; smaller gaps are rounding errors."""

_HTK_TICK = 1e-7
_HTK_LEAST = 10_000
"""Ticks, 1 ms; files whose times are whole numbers below it are in seconds."""

_STRESS_MARKS = {"ˈ": 1, "'": 1, "ˌ": 2}
_TIER_NAMES = ("phones", "phone", "phonemes", "phoneme", "segments")

_NEUTRAL: dict[Alphabet, str] = {"ipa": "ə", "arpabet": "AX"}
_LISTED = 20

_NOISE = re.compile(
    r"<.+>|\{.+\}|\[.+\]|\(.+\)|\+.+\+|\*.+\*"
    r"|laugh(ter|ing)?|lg|br(eath(ing|e)?)?|inhale|exhale|cough|cg|sniff|sigh|lip_?smack|smack|ls"
    r"|click|noise|nsn|ns|vocnoise|iver|unk|spoken_noise|h#",
    re.IGNORECASE,
)
"""Marks that corpora and aligners write for laughter, breath and other noise."""

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(<exists>|<absent>)|(![^\n]*)|([^\s"]+)')
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_CONTEXT = re.compile(r"(?:^|-)([^-+]+)\+")


class Timings(NamedTuple):
    """The timed sounds of one line."""

    phones: tuple[TimedPhone, ...]
    """Ascending in time, including silence."""
    alphabet: Alphabet

    @property
    def seconds(self) -> float:
        """End of the last sound in seconds."""
        return self.phones[-1].end if self.phones else 0.0


def read_timings(
    path: Path | str, *, alphabet: Alphabet | None = None, strict: bool = False
) -> Timings:
    """Return the timed phones of a TextGrid, label or JSON file; None detects their alphabet.

    SAMPA, as MAUS writes it, is detected too and returned as IPA. Marks of laughter, breath and
    noise become silence, other sounds without a rule a neutral vowel, with one warning that lists
    them. Raises `ArticulationError` for a file that is damaged, of another kind, or whose times
    are not ascending, and `UnknownNameError` if no sound has a rule, or with `strict` if any has
    none.
    """
    with reading(path, ArticulationError):
        return _read_timings(Path(path), alphabet, strict)


def _read_timings(path: Path, alphabet: Alphabet | None, strict: bool) -> Timings:
    text = _text(path)
    try:
        phones = [_plain(phone) for phone in _reader(path)(text)]
        _check_times(phones)
        sounds = [phone.symbol for phone in phones if not _NOISE.fullmatch(phone.symbol)]
        if alphabet is None and _is_sampa(sounds):
            phones = [p._replace(symbol=p.symbol and _from_sampa(p.symbol)) for p in phones]
            sounds = [_from_sampa(symbol) for symbol in sounds]
            alphabet = "ipa"
        found = alphabet or detect_alphabet(sounds)
        known = [s for s in sounds if s.upper() not in _silence() and _is_known(s, found)]
        if strict or not known:
            _check_symbols(phones if strict or not sounds else _without_noise(phones), found)
        phones, replaced = _replace_unknown(phones, found)
    except UnknownNameError as error:
        raise UnknownNameError(f"{path}: {error}", error.name, error.suggestions) from None
    except ArticulationError as error:
        raise ArticulationError(f"{path}: {error}") from error.__cause__
    if replaced:
        warnings.warn(f"{path}: {replaced}", stacklevel=3)
    return Timings(tuple(fill_gaps(phones)), found)


def fill_gaps(phones: Iterable[TimedPhone], *, seconds: float = 0.0) -> Iterator[TimedPhone]:
    """Yield the phones with silence in all gaps, and at the end up to `seconds`."""
    time = 0.0
    for phone in phones:
        if phone.start - time > _SHORTEST_GAP:
            yield TimedPhone(SILENCE, time, phone.start)
        yield phone
        time = phone.end
    if seconds - time > _SHORTEST_GAP:
        yield TimedPhone(SILENCE, time, seconds)


def detect_alphabet(symbols: Iterable[str]) -> Alphabet:
    """Return the alphabet that covers most symbols; on a tie, ARPAbet for symbols in capitals."""
    used = set(symbols)
    unknown = {a: sum(not _is_known(s, a) for s in used) for a in get_args(Alphabet)}
    if unknown["arpabet"] == 0 and all(s == s.upper() for s in used):
        return "arpabet"
    return "ipa" if unknown["ipa"] <= unknown["arpabet"] else "arpabet"


def _is_known(symbol: str, alphabet: Alphabet) -> bool:
    try:
        Rules.load().phones.find(symbol, alphabet)
    except UnknownNameError:
        return False
    return True


def _text(path: Path) -> str:
    """Return the text of a file; Praat uses UTF-16 for text that is not ASCII."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ArticulationError(
            f"{path} does not exist; expected timed phones as TextGrid, .lab or .json"
        ) from None
    if len(data) > MAX_BYTES:
        raise ArticulationError(
            f"{path} is larger than {MAX_BYTES // 2**20} MiB; cut it into parts"
        )
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArticulationError(f"{path} is neither UTF-8 nor UTF-16 text: {error}") from error


def _reader(path: Path) -> Any:
    readers = {".textgrid": _textgrid, ".json": _json, ".lab": _labels}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ArticulationError(
            f"unknown extension {path.suffix!r}; expected {', '.join(EXTENSIONS)}"
        )
    return reader


def _plain(phone: TimedPhone) -> TimedPhone:
    """Return the phone with its stress marks as a number."""
    symbol, stress = phone.symbol.strip(), phone.stress
    while symbol[:1] in _STRESS_MARKS and len(symbol) > 1:
        symbol, stress = symbol[1:], _STRESS_MARKS[symbol[0]]
    if len(symbol) > 1 and symbol[-1] in "012" and symbol[:-1].isascii():
        stress = int(symbol[-1])
    return TimedPhone(symbol or SILENCE, phone.start, phone.end, stress)


def _check_times(phones: Sequence[TimedPhone]) -> None:
    time = 0.0
    for number, phone in enumerate(phones, 1):
        if not time - _SHORTEST_GAP <= phone.start <= phone.end < float("inf"):
            raise ArticulationError(
                f"phone {number} ({phone.symbol!r}, {phone.start:g} to {phone.end:g} s) must "
                f"start at or after {time:g} s and end after it starts"
            )
        time = phone.end


def _silence() -> frozenset[str]:
    return Rules.load().phones.silence


def _is_sampa(symbols: Iterable[str]) -> bool:
    """Whether SAMPA covers more of the symbols than the alphabets do."""
    used = set(symbols)
    unknown = [sum(not _is_known(s, a) for s in used) for a in get_args(Alphabet)]
    return sum(not _is_known(_from_sampa(s), "ipa") for s in used) < min(unknown)


def _from_sampa(symbol: str) -> str:
    return symbol if symbol.upper() in _silence() or _NOISE.fullmatch(symbol) else to_ipa(symbol)


def _without_noise(phones: Iterable[TimedPhone]) -> list[TimedPhone]:
    return [phone for phone in phones if not _NOISE.fullmatch(phone.symbol)]


def _replace_unknown(
    phones: Iterable[TimedPhone], alphabet: Alphabet
) -> tuple[list[TimedPhone], str]:
    """Return the phones with a rule for each, and the text of a warning, empty if none changed."""
    done: list[TimedPhone] = []
    noises: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for phone in phones:
        if _is_known(phone.symbol, alphabet):
            done.append(phone)
        elif _NOISE.fullmatch(phone.symbol):
            noises[phone.symbol] = None
            done.append(phone._replace(symbol=SILENCE, stress=0))
        else:
            unknown[phone.symbol] = None
            done.append(phone._replace(symbol=_NEUTRAL[alphabet], stress=0))
    parts = [_listed("noise marks", noises, "silence")] if noises else []
    if unknown:
        parts.append(_listed(f"sounds without {alphabet} rules", unknown, "a neutral mouth"))
    return done, "; ".join(parts)


def _listed(what: str, symbols: Iterable[str], use: str) -> str:
    names = [repr(symbol[:40]) for symbol in symbols]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{what} taken as {use}: {', '.join(names[:_LISTED])}{more}"


def _check_symbols(phones: Iterable[TimedPhone], alphabet: Alphabet) -> None:
    sounds = Rules.load().phones
    for phone in phones:
        sounds.find(phone.symbol, alphabet)


# ------------------------------------------------------------------ TextGrid


def _textgrid(text: str) -> Iterator[TimedPhone]:
    """Read both forms: as in Praat, only quoted texts, free-standing numbers and flags count."""
    tokens = _Tokens(text)
    if tokens.text() != "ooTextFile" or tokens.text() != "TextGrid":
        raise ArticulationError('not a TextGrid: expected "ooTextFile", then "TextGrid"')
    tokens.number(), tokens.number()
    if tokens.flag() != "<exists>":
        raise ArticulationError("the TextGrid has no tiers")
    tiers = [_tier(tokens) for _ in range(tokens.count())]
    yield from _phone_tier([tier for tier in tiers if tier.intervals is not None])


class _Tier(NamedTuple):
    name: str
    intervals: list[TimedPhone] | None
    """None for a tier of points."""


def _tier(tokens: _Tokens) -> _Tier:
    kind, name = tokens.text(), tokens.text()
    tokens.number(), tokens.number()
    count = tokens.count()
    if kind == "IntervalTier":
        return _Tier(name, [_interval(tokens) for _ in range(count)])
    if kind != "TextTier":
        raise ArticulationError(f"tier {name!r} is a {kind[:40]!r}; expected IntervalTier")
    for _ in range(count):
        tokens.number(), tokens.text()
    return _Tier(name, None)


def _interval(tokens: _Tokens) -> TimedPhone:
    start, end = tokens.number(), tokens.number()
    return TimedPhone(tokens.text(), start, end)


def _phone_tier(tiers: Sequence[_Tier]) -> list[TimedPhone]:
    """Return the tier named `phones` (also `Anna - phones`), or the only one."""
    named = [t for t in tiers if t.name.lower().split(" - ")[-1].strip() in _TIER_NAMES]
    found = named or tiers
    if len(found) != 1:
        names = ", ".join(repr(t.name) for t in tiers) or "none"
        raise ArticulationError(f"expected one interval tier, or one named 'phones', got {names}")
    return found[0].intervals or []


class _Tokens:
    """A reader of the tokens of a Praat text file."""

    def __init__(self, text: str) -> None:
        self._matches = (m for m in _TOKEN.finditer(text) if _is_free(m))
        self._length = len(text)

    def text(self) -> str:
        """Return the next token, a quoted text."""
        quoted = self._next("a quoted text").group(1)
        return str(quoted).replace('""', '"') if quoted is not None else self._fail("a text")

    def number(self) -> float:
        """Return the next token, a number."""
        word = self._next("a number").group(4)
        return float(word) if word is not None else self._fail("a number")

    def count(self) -> int:
        """Return the next token, a count."""
        number = self.number()
        if not 0 <= number <= self._length:  # also refuses infinity
            self._fail(f"a number of items that fits into {self._length} characters")
        return int(number)

    def flag(self) -> str:
        """Return the next token, `<exists>` or `<absent>`."""
        return str(self._next("<exists>").group(2))

    def _next(self, expected: str) -> re.Match[str]:
        self._last = next(self._matches, None)
        return self._last or self._fail(expected)

    def _fail(self, expected: str) -> NoReturn:
        got = "the end of the file" if self._last is None else repr(self._last.group()[:40])
        raise ArticulationError(f"the TextGrid is damaged: expected {expected}, got {got}")


def _is_free(token: re.Match[str]) -> bool:
    _, _, comment, word = token.groups()
    return comment is None and (word is None or _NUMBER.fullmatch(word) is not None)


# ------------------------------------------------------------------ labels


def _labels(text: str) -> Iterator[TimedPhone]:
    """Read lines of start, end and label.

    Times are ticks of 100 ns if all are whole numbers and large enough, else seconds.
    """
    rows = [(i, row) for i, line in enumerate(text.splitlines(), 1) if (row := line.split(None, 2))]
    for number, row in rows:
        if len(row) < 2 or not all(_NUMBER.fullmatch(cell) for cell in row[:2]):
            raise ArticulationError(
                f"line {number}: expected start, end and phone, got {' '.join(row)[:60]!r}"
            )
    whole = all(cell.isdigit() for _, row in rows for cell in row[:2])
    ticks = whole and max((float(row[1]) for _, row in rows), default=0) >= _HTK_LEAST
    unit = _HTK_TICK if ticks else 1.0
    for _, row in rows:
        label = row[2].split()[0] if len(row) > 2 else SILENCE
        yield TimedPhone(_center(label), float(row[0]) * unit, float(row[1]) * unit)


def _center(label: str) -> str:
    """Return the center phone of a label with context: `b` of `a-b+c` or a full-context label."""
    match = _CONTEXT.search(label)
    return match.group(1) if match else label


# ------------------------------------------------------------------ JSON


def _json(text: str) -> Iterator[TimedPhone]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArticulationError(f"not valid JSON: {error}") from error
    entries = document.get("phones") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise ArticulationError(
            'expected [["HH", 0.10, 0.16], ...] or [{"phone": "HH", "start": 0.10, "end": 0.16}]'
        )
    for number, entry in enumerate(entries, 1):
        yield _entry(entry, number)


def _entry(entry: Any, number: int) -> TimedPhone:
    cells: list[Any] = []
    if isinstance(entry, dict):
        names = [n for n in ("phone", "phoneme", "symbol") if n in entry]
        cells = [entry.get(names[0]) if names else None, entry.get("start"), entry.get("end")]
        cells.append(entry.get("stress", 0))
    elif isinstance(entry, list) and len(entry) in (3, 4):
        cells = [*entry, 0][:4]
    if not (cells and isinstance(cells[0], str) and all(map(_is_number, cells[1:]))):
        raise ArticulationError(
            f"phone {number}: expected symbol, start, end and optional stress, got {entry!r:.80}"
        )
    symbol, start, end, stress = cells
    if stress not in (0, 1, 2):
        raise ArticulationError(f"phone {number}: stress must be 0, 1 or 2, got {stress}")
    return TimedPhone(symbol, float(start), float(end), int(stress))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
