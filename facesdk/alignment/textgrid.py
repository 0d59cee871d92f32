"""Alignments as files: Praat's TextGrid and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import AlignmentError
from ..files import whole_file
from .align import UNKNOWN, Alignment
from .sounds import SILENCE

EXTENSIONS = (".TextGrid", ".json")

_Interval = tuple[float, float, str]


def write_alignment(alignment: Alignment, path: Path | str) -> None:
    """Write an alignment as TextGrid (tiers `words` and `phones`) or JSON, by the extension.

    `facesdk bake --phones` reads both. Raises `AlignmentError` for another extension.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".textgrid", ".json"):
        raise AlignmentError(
            f"an alignment is written as {' or '.join(EXTENSIONS)}, got the name {path.name!r}"
        )
    if kind == ".json":
        text = json.dumps(alignment.to_json(), ensure_ascii=False, indent=1) + "\n"
    else:
        text = textgrid(alignment)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(text.encode())


def textgrid(alignment: Alignment) -> str:
    """Return an alignment as the text of a TextGrid in its long form."""
    seconds = alignment.seconds
    marks = {1: "ˈ", 2: "ˌ"}
    words = _filled([(w.start, w.end, w.text) for w in alignment.words], seconds)
    names = {SILENCE: "", UNKNOWN: "spn"}
    phones = [(p.start, p.end, names.get(p.symbol, marks.get(p.stress, "") + p.symbol))
              for p in alignment.phones]  # fmt: skip
    head = (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
        f"xmin = 0\nxmax = {seconds:.6g}\ntiers? <exists>\nsize = 2\nitem []:\n"
    )
    tiers = enumerate((("words", words), ("phones", phones)), 1)
    return head + "".join("".join(_tier(i, n, rows, seconds)) for i, (n, rows) in tiers)


def _filled(intervals: Sequence[_Interval], seconds: float) -> list[_Interval]:
    """Return intervals with empty ones between them."""
    rows: list[_Interval] = []
    time = 0.0
    for start, end, text in [*intervals, (seconds, seconds, "")]:
        if start > time:
            rows.append((time, start, ""))
        if end > start:
            rows.append((start, end, text))
        time = end
    return rows


def _tier(number: int, name: str, rows: Sequence[_Interval], seconds: float) -> Iterator[str]:
    yield f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{name}"\n'
    yield f"        xmin = 0\n        xmax = {seconds:.6g}\n        intervals: size = {len(rows)}\n"
    for row, (start, end, text) in enumerate(rows, 1):
        quoted = text.replace('"', '""')
        yield f"        intervals [{row}]:\n            xmin = {start:.6g}\n"
        yield f'            xmax = {end:.6g}\n            text = "{quoted}"\n'
