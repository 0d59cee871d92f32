"""Measure the table of formats and readers in docs/formats.md with the probe clip of the tests.

Usage: python benchmarks/format_matrix.py [--write]

Every row is a format written for a rig, read by a program that facesdk did not write; the errors
are the worst over all channels and keys. `--write` puts the table into the page.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from probe import probe  # noqa: E402
from readers import Cell, Row, compare, rows  # noqa: E402

from facesdk.exporters import format_for, write_clip  # noqa: E402

PAGE = ROOT / "docs" / "formats.md"
BEGIN, END = "<!-- matrix: benchmarks/format_matrix.py -->\n", "<!-- end of matrix -->\n"
HEAD = (
    "| format | rig | read by | worst value | worst key time | keys thinned to 0.01 |\n"
    "|---|---|---|---|---|---|\n"
)


def measure(row: Row, **options: object) -> Cell:
    """Return the errors of a reader on the probe clip, written to a new folder."""
    expected = {n: t for n, t in row.expect(probe(row.rig)).items() if n not in row.lost}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"probe{format_for(row.format).extension}"
        write_clip(probe(row.rig), path, row.format, **(dict(row.options) | options))
        return compare(row.read(path), expected)


def line(row: Row) -> str:
    """Return one row of the table."""
    cell = measure(row)
    reader = row.reader if row.foreign else f"{row.reader} (own parser)"
    thinned = "–"
    if "tolerance" in format_for(row.format).options:
        thinned = f"{measure(row, tolerance=0.01).value:.4f}"
    times = f"{cell.time * 1e6:.3g} µs" if cell.time > 1e-9 else "0"
    value = f"{cell.value:.1e}" if cell.value else "0"
    return f"| `{row.format}` | {row.rig} | {reader} | {value} | {times} | {thinned} |\n"


def table() -> str:
    """Return all rows."""
    return HEAD + "".join(map(line, rows()))


def main() -> None:
    made = table()
    if "--write" not in sys.argv[1:]:
        print(made, end="")
        return
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + made + END + after, "utf-8")


if __name__ == "__main__":
    main()
