"""Close-ups of the mouth on real lines: one row of sounds per table, before and after.

    python benchmarks/closeups.py FOLDER [--split test] [--tables OLD.json NEW.json ...]
                                  [--look-ahead MS] [--out PNG]

FOLDER holds speech with known sounds in either layout of `labelled.py`. Every picture is the
middle of a sound as somebody says it in a line. Of all instances, the one nearest to the median of
its sound is shown, so that neither luck nor choice decides. Without `--tables` the rig's own table
is drawn.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from labelled import CurveRunner, Line, add_options, read_lines, spread

from facesdk.mesh import Head, load_head
from facesdk.model import RigOutput, RigTable
from facesdk.render import Image, Look, Shot, Tile, color, sheet, write_png

FPS = 50
SOUNDS: dict[str, tuple[str, ...]] = {
    "p b m": ("p", "b", "m"), "f v": ("f", "v"), "s z": ("s", "z"), "sh ch": ("ʃ", "ʧ"),
    "t d n": ("t", "d", "n"), "k g": ("k", "ɡ"), "ee": ("i",), "eh": ("ɛ",), "ah": ("ɑ", "æ"),
    "oh": ("oʊ", "ɔ"), "oo": ("u",), "w": ("w",),
}  # fmt: skip
"""Sounds by the name under a picture."""
LENGTHS = (0.06, 0.3)
"""Seconds; shorter and longer sounds are not shown."""
SIDE, COLUMNS = 330, 6
"""Pixels of a picture before it is cut, and pictures in a row."""
CUT = (0.11, 0.48, 0.17, 0.83)
"""Top, bottom, left and right of the mouth in a picture, as shares of it."""


@dataclass(frozen=True)
class Moment:
    """The middle of one sound."""

    units: np.ndarray
    """(units,) as the rig tables read them."""
    said: str
    """Line and time."""


def moments(lines: Sequence[Line], runner: CurveRunner) -> dict[str, Moment]:
    """By name, the instance of each sound that is nearest to the median of all."""
    found: dict[str, list[Moment]] = {name: [] for name in SOUNDS}
    for line in lines:
        units = _units(line, runner)
        for phone, start, end in line.phones:
            frame = round((start + end) / 2 * FPS)
            if LENGTHS[0] <= end - start <= LENGTHS[1] and frame < len(units):
                for name, sounds in SOUNDS.items():
                    if phone in sounds:
                        found[name].append(Moment(units[frame], f"{line.id} {frame / FPS:.2f} s"))
    return {name: _median(those) for name, those in found.items() if those}


def _units(line: Line, runner: CurveRunner) -> np.ndarray:
    session = runner._loaded().session(
        rig="units", fps=FPS, look_ahead_ms=runner.look_ahead, blinks=False
    )
    frames = [*session.push(line.samples()), *session.flush()]
    return np.array([frame.values for frame in frames], np.float32)


def _median(those: Sequence[Moment]) -> Moment:
    all_units = np.array([moment.units for moment in those])
    away = np.abs(all_units - np.median(all_units, axis=0)).sum(axis=1)
    return those[int(away.argmin())]


def draw(head: Head, outputs: Sequence[tuple[str, RigOutput]], shown: dict[str, Moment]) -> Image:
    """One page: for each table, its sounds in rows."""
    look = Look(size=(SIDE, SIDE), background=color("#23262c"))
    shot = Shot(look, ("mouth",), backend="software")
    rows = []
    for title, output in outputs:
        tiles = [
            Tile(f"{name}, {title}", head.weights(output(moment.units[None]), output.rig)[0])
            for name, moment in shown.items()
        ]
        rows.append(_cut(sheet(head, tiles, shot, columns=COLUMNS), len(tiles)))
    return np.concatenate(rows)


def _cut(page: Image, count: int) -> Image:
    """The mouths of a sheet, each with its name below."""
    rows = -(-count // COLUMNS)
    high, wide = page.shape[0] // rows, page.shape[1] // COLUMNS
    top, bottom, left, right = (round(SIDE * share) for share in CUT)
    bands = []
    for row in range(rows):
        cells = []
        for column in range(COLUMNS):
            cell = page[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
            mouth, name = cell[top:bottom, left:right], cell[SIDE:high, left:right]
            cells.append(np.concatenate([mouth, name]))
        bands.append(np.concatenate(cells, axis=1))
    return np.concatenate(bands)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--tables", type=Path, nargs="+", default=[], metavar="JSON")
    add_options(parser)
    parser.set_defaults(rig="arkit", limit=200, out=Path("build/closeups.png"))
    args = parser.parse_args()
    runner = CurveRunner("units", args.look_ahead, args.model, args.jobs)
    lines = spread(read_lines(args.folder, args.split), args.limit)
    shown = moments([line for line in lines if line.group != "children"], runner)
    for name, moment in shown.items():
        print(f"{name:8}{moment.said}")
    outputs = [(path.stem, RigOutput.of(RigTable.load(path))) for path in args.tables]
    page = draw(load_head(detail="high"), outputs or [(args.rig, RigOutput.of(args.rig))], shown)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("wb") as file:
        write_png(page, file, level=9)
    print(f"written: {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
