"""Measure the tables of formats and readers in docs/formats.md with the probe clip of the tests.

Usage: python benchmarks/format_matrix.py [--write]

In the first table every row is a format written for a rig, read by a program that facesdk did not
write; the errors are the worst over all channels and keys. In the second one a program plays a
file: weights, joints and vertices at times of keys, at 30, 60 and 29.97 frames per second. Blender
and Godot need an environment each, see CONTRIBUTING.md. `--write` puts the tables into the page,
where rows of programs that are missing here stay as they are.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from players import RATES, Player, measure, players  # noqa: E402
from probe import probe, tiny_head  # noqa: E402
from readers import Cell, Row, compare, rows  # noqa: E402

from facesdk.exporters import format_for, write_clip  # noqa: E402
from facesdk.mesh import load_head  # noqa: E402

PAGE = ROOT / "docs" / "formats.md"
BEGIN, END = "<!-- matrix: benchmarks/format_matrix.py -->\n", "<!-- end of matrix -->\n"
PLAYED = "<!-- players: benchmarks/format_matrix.py -->\n"
PLAYED_END = "<!-- end of players -->\n"
PLAYED_HEAD = (
    "| program | format | shapes | weights | joints | vertices | built-in head | without a head |\n"
    "|---|---|---|---|---|---|---|---|\n"
)
HEAD = (
    "| format | rig | read by | worst value | worst key time | keys thinned to 0.01 |\n"
    "|---|---|---|---|---|---|\n"
)


def measured(row: Row, **options: object) -> Cell:
    """Return the errors of a reader on the probe clip, written to a new folder."""
    expected = {n: t for n, t in row.expect(probe(row.rig)).items() if n not in row.lost}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"probe{format_for(row.format).extension}"
        write_clip(probe(row.rig), path, row.format, **(dict(row.options) | options))
        return compare(row.read(path), expected)


def line(row: Row) -> str:
    """Return one row of the table."""
    cell = measured(row)
    reader = row.reader if row.foreign else f"{row.reader} (own parser)"
    thinned = "–"
    if "tolerance" in format_for(row.format).options:
        thinned = f"{measured(row, tolerance=0.01).value:.4f}"
    times = f"{cell.time * 1e6:.3g} µs" if cell.time > 1e-9 else "0"
    value = f"{cell.value:.1e}" if cell.value else "0"
    return f"| `{row.format}` | {row.rig} | {reader} | {value} | {times} | {thinned} |\n"


def table() -> str:
    """Return all rows."""
    return HEAD + "".join(map(line, rows()))


def played(player: Player, name: str) -> str:
    """Return one row of the second table: the worst over all rates."""
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for fps in RATES:
            clip, path = replace(probe(), fps=fps), Path(folder) / f"{float(fps):.2f}"
            path = path.with_name(path.name + format_for(name).extension)
            write_clip(clip, path, name, head=tiny_head())
            found.append(measure(player, path, clip, tiny_head()))
        clip, head = replace(probe(frames=12), fps=Fraction(30), start_sample=0), load_head()
        path = Path(folder) / f"whole{format_for(name).extension}"
        write_clip(clip, path, name)
        whole = measure(player, path, clip, head, count=2)
        clip = replace(probe("metahuman"), fps=Fraction(30))
        path = Path(folder) / f"curves{format_for(name).extension}"
        write_clip(clip, path, name, settings={"mesh": False})
        curves = measure(player, path, clip, None)
    cells = [
        player.name,
        f"`{name}`",
        f"{min(r.names for r in found)} of 52",
        _error(max(r.weight for r in found)),
        f"{max(r.degrees for r in found):.4f}°",
        f"{max(r.millimeters for r in found):.4f} mm",
        f"{whole.seen:,} vertices, {whole.millimeters:.4f} mm",
        f"{curves.names} of 251, {_error(curves.weight)}",
    ]
    return f"| {' | '.join(cells)} |\n"


def _error(value: float) -> str:
    return f"{value:.0e}" if value else "0"


def played_table(page: str) -> str:
    """Return the rows of all programs; those that are missing here as the page has them."""
    made = {f"| {p.name} | `{name}`": (p, name) for p in players() for name in p.formats}
    _, _, rest = page.partition(PLAYED)
    old = rest.partition(PLAYED_END)[0].splitlines(keepends=True)[2:]
    kept = [row for row in old if not any(row.startswith(start) for start in made)]
    return PLAYED_HEAD + "".join([played(*key) for key in made.values()] + kept)


def main() -> None:
    page = PAGE.read_text("utf-8")
    made, shown = table(), played_table(page)
    if "--write" not in sys.argv[1:]:
        print(made, shown, sep="\n", end="")
        return
    for begin, text, end in ((BEGIN, made, END), (PLAYED, shown, PLAYED_END)):
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = before + begin + text + end + after
    PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
