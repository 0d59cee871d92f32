"""Timed phones from the files of aligners and speech synthesizers.

Supported are Praat's TextGrid in its long and short form, label files (HTK's with ticks of 100 ns,
seconds, Audacity's and xlabel's), CTM, TIMIT's `.phn` and JSON (lists, MFA's, Gentle's). Gaps
between sounds become silence, stress marks become numbers.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, get_args

from ..errors import ArticulationError, UnknownNameError, reading
from .phones import Alphabet, TimedPhone
from .rules import Rules
from .sampa import to_ipa

ALPHABETS: tuple[str, ...] = get_args(Alphabet)
SILENCE = "SIL"
EXTENSIONS = (".TextGrid", ".json", ".lab", ".ctm", ".phn")
"""Extensions of the files that are taken from a folder; a file given by name may end in `.txt`."""

MAX_BYTES = 64 * 2**20
_SHORTEST_GAP = 1e-3
"""Seconds; smaller gaps are rounding errors."""

_TIMIT_RATE = 16_000
_HTK_TICK = 1e-7
_HTK_LEAST = 10_000
"""Ticks, 1 ms; files whose times are whole numbers below it are in seconds."""

_STRESS_MARKS = {"ˈ": 1, "'": 1, "ˌ": 2}
_TIER_NAMES = ("phones", "phone", "phonemes", "phoneme", "segments", "mau")
"""Names of the tier of sounds; `MAU` is that of MAUS."""

_NEUTRAL: dict[Alphabet, str] = {"ipa": "ə", "arpabet": "AX"}
_LISTED = 20

_NOISE = re.compile(
    r"<.+>|\{.+\}|\[.+\]|\(.+\)|\+.+\+|\*.+\*"
    r"|laugh(ter|ing)?|lg|br(eath(ing|e)?)?|inhale|exhale|cough|cg|sniff|sigh|lip_?smack|smack|ls"
    r"|click|noise(_s)?|nsn|ns|noi|vocnoise|iver|unk|spoken_noise|lau|brh|brth|hes|garbage|oov|xxx"
    r"|[%~]\w+|&=\w+",
    re.IGNORECASE,
)
"""Marks that corpora and aligners write for laughter, breath and other noise."""

_POSITION = re.compile(r"(?<=.)_[BIES]$")
"""Position in a word, as Kaldi marks it."""
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(<exists>|<absent>)|(![^\n]*)|([^\s"]+)')
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_CONTEXT = re.compile(r"(?:^|-)([^-+]+)\+")


class Timings(NamedTuple):
    """The timed sounds of one line."""

    phones: tuple[TimedPhone, ...]
    """Ascending in time, including silence."""
    alphabet: Alphabet
    notes: tuple[str, ...] = ()
    """What was replaced: marks of noise, sounds without a rule."""

    @property
    def seconds(self) -> float:
        """End of the last sound in seconds."""
        return self.phones[-1].end if self.phones else 0.0


def read_timings(
    path: Path | str,
    *,
    alphabet: Alphabet | None = None,
    strict: bool = False,
    tier: str | None = None,
) -> Timings:
    """Return the timed phones of a TextGrid, label or JSON file; None detects their alphabet.

    `tier` chooses an interval tier by name, by default the one of phones or the only one.

    SAMPA, as MAUS writes it, is detected too and returned as IPA. Marks of laughter, breath and
    noise become silence, other sounds without a rule a neutral vowel, with one warning that lists
    them. Raises `ArticulationError` for a file that is damaged, of another kind, or whose times
    are not ascending, and `UnknownNameError` if no sound has a rule, or with `strict` if any has
    none.
    """
    with reading(path, ArticulationError):
        return _read_timings(Path(path), alphabet, strict, tier)


def _read_timings(path: Path, alphabet: Alphabet | None, strict: bool, tier: str | None) -> Timings:
    reader = _reader(path)
    text = _text(path)
    try:
        phones = [_plain(phone) for phone in reader(text, tier)]
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
        warnings.warn(f"{path}: {'; '.join(replaced)}", stacklevel=3)
    return Timings(tuple(fill_gaps(phones)), found, replaced)


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
            f"{path} does not exist; expected timed phones: {', '.join(EXTENSIONS)}"
        ) from None
    if len(data) > MAX_BYTES:
        raise ArticulationError(
            f"{path} is larger than {MAX_BYTES // 2**20} MiB; cut it into parts"
        )
    if data.startswith(b"ooBinaryFile"):
        raise ArticulationError(f"{path} is a binary TextGrid; in Praat save it as a text file")
    try:
        return data.decode(_encoding(data))
    except UnicodeDecodeError as error:
        if path.suffix.lower() != ".json" and not data.startswith((b"\xff", b"\xfe")):
            return data.decode("cp1252", "replace")  # words of a tier by an old Praat
        raise ArticulationError(f"{path} is neither UTF-8 nor UTF-16 text: {error}") from error


def _encoding(data: bytes) -> str:
    """Return the encoding by a mark at the beginning, or by the zeros of UTF-16 without one."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if data[1:4:2] == b"\0\0" and all(data[:3:2]):
        return "utf-16-le"
    return "utf-16-be" if data[:3:2] == b"\0\0" and all(data[1:4:2]) else "utf-8-sig"


def _reader(path: Path) -> Any:
    readers = {
        ".textgrid": _textgrid, ".json": _json, ".lab": _labels, ".txt": _labels,
        ".ctm": _ctm, ".phn": _samples,
    }  # fmt: skip
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ArticulationError(
            f"{path}: unknown extension {path.suffix!r}; expected {', '.join(EXTENSIONS)}"
        )
    return reader


def _plain(phone: TimedPhone) -> TimedPhone:
    """Return the phone with its stress marks as a number."""
    symbol, stress = _POSITION.sub("", phone.symbol.strip()), phone.stress
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
) -> tuple[list[TimedPhone], tuple[str, ...]]:
    """Return the phones with a rule for each, and notes of what was replaced."""
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
    return done, tuple(parts)


def _listed(what: str, symbols: Iterable[str], use: str) -> str:
    names = [repr(symbol[:40]) for symbol in symbols]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{what} taken as {use}: {', '.join(names[:_LISTED])}{more}"


def _check_symbols(phones: Iterable[TimedPhone], alphabet: Alphabet) -> None:
    sounds = Rules.load().phones
    for phone in phones:
        sounds.find(phone.symbol, alphabet)


# ------------------------------------------------------------------ TextGrid


def _textgrid(text: str, tier: str | None) -> Iterator[TimedPhone]:
    """Read both forms: as in Praat, only quoted texts, free-standing numbers and flags count."""
    tokens = _Tokens(text)
    if tokens.text() != "ooTextFile" or tokens.text() != "TextGrid":
        raise ArticulationError('not a TextGrid: expected "ooTextFile", then "TextGrid"')
    tokens.number(), tokens.number()
    if tokens.flag() != "<exists>":
        raise ArticulationError("the TextGrid has no tiers")
    tiers = [_tier(tokens) for _ in range(tokens.count())]
    yield from _phone_tier([t for t in tiers if t.intervals is not None], tier)


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


def _phone_tier(tiers: Sequence[_Tier], wanted: str | None) -> list[TimedPhone]:
    """Return the tier asked for, else that of `phones` (also `Anna - phones`), or the only one."""
    if wanted is not None:
        return _tier_called(wanted, tiers)
    named = [t for t in tiers if t.name.lower().split(" - ")[-1].strip() in _TIER_NAMES]
    found = named or tiers
    if len(found) != 1:
        names = ", ".join(repr(t.name) for t in tiers) or "none"
        raise ArticulationError(
            f"expected one interval tier, or one named 'phones', got {names}; choose one with "
            "--tier NAME (tier= in Python)"
        )
    return found[0].intervals or []


def _tier_called(wanted: str, tiers: Sequence[_Tier]) -> list[TimedPhone]:
    exact = [t for t in tiers if t.name == wanted]
    found = exact or [t for t in tiers if t.name.strip().lower() == wanted.strip().lower()]
    if len(found) != 1:
        names = ", ".join(repr(t.name) for t in tiers) or "none"
        count = "no" if not found else f"{len(found)}"
        raise ArticulationError(f"{count} interval tiers called {wanted!r}; there are: {names}")
    return found[0].intervals or []


def _require_no_tier(tier: str | None) -> None:
    if tier is not None:
        raise ArticulationError(f"no tier {tier!r}: this kind of file has no tiers")


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


_Row = tuple[int, list[str]]


def _rows(text: str, cells: int) -> list[_Row]:
    """Return number and cells of every line, without Audacity's ranges of frequencies."""
    lines = ((n, line.split(None, cells - 1)) for n, line in enumerate(text.splitlines(), 1))
    return [(n, row) for n, row in lines if row and not row[0].startswith(("\\", ";;"))]


def _labels(text: str, tier: str | None = None) -> Iterator[TimedPhone]:
    """Read lines of start, end and label, or of end, color and label after a `#` as xlabel's.

    Times are ticks of 100 ns if all are whole numbers and large enough, else seconds.
    """
    _require_no_tier(tier)
    rows = _rows(text, 3)
    if (begin := next((i for i, (_, row) in enumerate(rows) if row == ["#"]), None)) is not None:
        rows = _from_ends(rows[begin + 1 :])
    rows = [(n, [*(_point(cell) for cell in row[:2]), *row[2:]]) for n, row in rows]
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


def _point(cell: str) -> str:
    """Return a number with a decimal point, where a program wrote that of its country."""
    return cell.replace(",", ".") if cell.count(",") == 1 else cell


def _from_ends(rows: Sequence[_Row]) -> list[_Row]:
    """Return rows of end, color and label as rows of start, end and label."""
    starts = ["0", *(row[0] for _, row in rows)]
    return [(n, [start, row[0], *row[2:]]) for start, (n, row) in zip(starts, rows, strict=False)]


def _ctm(text: str, tier: str | None = None) -> Iterator[TimedPhone]:
    """Read lines of utterance, channel, start, duration and phone, as Kaldi and NIST write them."""
    _require_no_tier(tier)
    for number, row in _rows(text, 6):
        if len(row) < 5 or not all(_NUMBER.fullmatch(cell) for cell in row[2:4]):
            raise ArticulationError(
                f"line {number}: expected utterance, channel, start, duration and phone, "
                f"got {' '.join(row)[:60]!r}"
            )
        start = float(row[2])
        yield TimedPhone(row[4], start, round(start + float(row[3]), 9))


def _samples(text: str, tier: str | None = None) -> Iterator[TimedPhone]:
    """Read TIMIT's lines of first sample, last sample and phone, at 16 kHz."""
    _require_no_tier(tier)
    for number, row in _rows(text, 3):
        if len(row) != 3 or not (row[0].isdigit() and row[1].isdigit()):
            raise ArticulationError(
                f"line {number}: expected two sample numbers and a phone, "
                f"got {' '.join(row)[:60]!r}"
            )
        yield TimedPhone(row[2], int(row[0]) / _TIMIT_RATE, int(row[1]) / _TIMIT_RATE)


def _center(label: str) -> str:
    """Return the center phone of a label with context: `b` of `a-b+c` or a full-context label."""
    match = _CONTEXT.search(label)
    return match.group(1) if match else label


# ------------------------------------------------------------------ JSON


def _json(text: str, tier: str | None = None) -> Iterator[TimedPhone]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArticulationError(f"not valid JSON: {error}") from error
    if isinstance(document, dict) and isinstance(document.get("tiers"), dict):
        yield from _mfa(document["tiers"], tier)
        return
    _require_no_tier(tier)
    entries = document.get("phones") if isinstance(document, dict) else document
    words = document.get("words") if isinstance(document, dict) else None
    if words and isinstance(words, list) and entries is None:
        yield from _gentle(words)
        return
    if not isinstance(entries, list):
        raise ArticulationError(
            'expected [["HH", 0.10, 0.16], ...] or [{"phone": "HH", "start": 0.10, "end": 0.16}]'
        )
    for number, entry in enumerate(entries, 1):
        yield _entry(entry, number)


def _mfa(tiers: Mapping[str, Any], wanted: str | None) -> list[TimedPhone]:
    """Read the JSON of the Montreal Forced Aligner: tiers of start, end and label."""
    read = []
    for name, tier in tiers.items():
        entries = tier.get("entries") if isinstance(tier, dict) else None
        if isinstance(entries, list) and all(isinstance(e, list) and len(e) == 3 for e in entries):
            turned = enumerate(([label, start, end] for start, end, label in entries), 1)
            read.append(_Tier(name, [_entry(entry, number) for number, entry in turned]))
    return _phone_tier(read, wanted)


def _gentle(words: Sequence[Any]) -> Iterator[TimedPhone]:
    """Read the JSON of Gentle: words with a start, and phones with a duration."""
    number = 0
    for word in words:
        if not isinstance(word, dict) or not isinstance(word.get("phones"), list):
            continue  # a word that was not found in the audio
        time = word.get("start")
        for phone in word["phones"]:
            number += 1
            known = isinstance(phone, dict) and _is_number(phone.get("duration"))
            if not known or not _is_number(time):
                raise ArticulationError(f"phone {number}: expected a phone with a duration")
            end = round(time + phone["duration"], 6)
            yield _entry([phone.get("phone"), time, end], number)
            time = end


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
