"""`facesdk flame`: describe a FLAME model, or calibrate the map that takes ARKit's curves to it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import DONE, UsageError, log, print_json, show

if TYPE_CHECKING:
    from ..mesh.fit.calibrate import Calibration
    from ..mesh.flame import FlameModel

NAME = "flame"
HELP = "describe a FLAME model, or calibrate the map for --rig flame"

_WORST = 5
"""Number of shapes in the report for people."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    info = actions.add_parser("info", help="show what a model file contains")
    calibrate = actions.add_parser(
        "calibrate", help="create the map from ARKit to this model, for --rig flame"
    )
    for action in (info, calibrate):
        action.add_argument("model", metavar="MODEL", help="your copy of FLAME: .pkl or .npz")
        action.add_argument("--json", action="store_true", help="print JSON")
    add = calibrate.add_argument
    add("-o", "--output", metavar="FILE",
        help="write the map to FILE for convert --map; --rig flame stays unchanged")  # fmt: skip
    add("--landmarks", metavar="FILE",
        help="JSON file with vertices of named points, to correct detected ones")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Describe the model, or calibrate it."""
    from ..mesh.flame import FlameModel

    model = FlameModel.load(args.model)
    if args.action == "info":
        _show(_facts(model, args.model), as_json=args.json)
    else:
        _show(_calibrate(model, args), as_json=args.json)
    return DONE


def _facts(model: FlameModel, path: str) -> dict[str, Any]:
    from ..mesh.flame import JOINTS

    size = (model.template.max(0) - model.template.min(0)) * 1000
    return {
        "model": path,
        "vertices": len(model.template),
        "triangles": len(model.triangles),
        "identity": int(model.identity_dirs.shape[-1]),
        "expressions": model.expressions,
        "size_mm": [round(float(s), 1) for s in size],
        "joints_mm": {
            name: [round(float(c) * 1000, 1) for c in center]
            for name, center in zip(JOINTS, model.joints, strict=True)
        },
    }


def _calibrate(model: FlameModel, args: argparse.Namespace) -> dict[str, Any]:
    from ..files import whole_file
    from ..mesh import load_head
    from ..mesh.fit.calibrate import calibrate
    from ..retarget import user_maps

    log("registering the built-in head with the model and fitting its shapes; takes some seconds")
    made = calibrate(model, load_head(), _landmarks(args.landmarks, len(model.template)))
    rig_map = made.rig_map()
    file = Path(args.output) if args.output else user_maps() / f"{rig_map.name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as opened:
        opened.write(rig_map.to_text().encode())
    return _report(made, args.model, file)


def _report(made: Calibration, path: str, file: Path) -> dict[str, Any]:
    return {
        "model": path,
        "map": str(file),
        "distance_mm": round(made.distance, 3),
        "error_mm": {name: round(error, 3) for name, error in made.errors.items()},
        "dropped": [name for name in made.errors if name not in made.weights],
    }


def _landmarks(path: str | None, vertices: int) -> dict[str, Any] | None:
    from ..documents import load_json

    if path is None:
        return None
    points = load_json(Path(path), "landmark")
    if not isinstance(points, dict) or not all(_is_place(p, vertices) for p in points.values()):
        raise UsageError(
            f"{path} must map names to vertices below {vertices} or to positions, "
            'such as {"nose_tip": 3564}'
        )
    return points


def _is_place(point: Any, vertices: int) -> bool:
    if isinstance(point, list):
        return len(point) == 3 and all(isinstance(c, int | float) for c in point)
    return isinstance(point, int) and 0 <= point < vertices


def _show(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        show(f"{name:<{width}}{_short(name, value)}")


def _short(name: str, value: Any) -> str:
    if name == "error_mm":
        worst = sorted(value, key=value.get, reverse=True)[:_WORST]
        mean = sum(value.values()) / len(value)
        return f"{mean:.2f} on average; " + ", ".join(f"{w} {value[w]:.2f}" for w in worst)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(key, entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return " ".join(str(entry) for entry in value) or "nothing"
    return str(value)
