"""`facesdk rigs`: the rigs, their controls and the conversions between them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from . import DONE, UsageError, log_warning, print_json, show

if TYPE_CHECKING:
    from ..rig import Control, Rig

NAME = "rigs"
HELP = "list rigs and the conversions between them"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add(
        "rig",
        nargs="?",
        metavar="RIG",
        help="rig to describe: a name or a rig file (default: list all)",
    )
    add(
        "--rig-mapper",
        metavar="TARGET",
        help="print the conversion from RIG to this rig as a definition for Unreal's RigMapper",
    )
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """List all rigs, or describe one."""
    from ..rig import Rig, rigs

    if args.rig_mapper is not None:
        return _rig_mapper(args)
    if args.rig is not None:
        rig = Rig.load(args.rig)
        if args.json:
            print_json(rig.to_json() | {"converts_to": _converts_to(rig)})
        else:
            show(*_description(rig))
        return DONE
    summaries = [_summary(rig) for rig in rigs()]
    if args.json:
        print_json(summaries)
    else:
        show(*_listing(summaries))
    return DONE


def _rig_mapper(args: argparse.Namespace) -> int:
    from ..exporters.unreal.rig_mapper import definition
    from ..retarget import conversion

    if args.rig is None:
        raise UsageError(
            "--rig-mapper needs the source rig, as in: facesdk rigs arkit --rig-mapper metahuman"
        )
    document, unset = definition(conversion(args.rig, args.rig_mapper))
    if unset:
        log_warning(f"RigMapper cannot express {', '.join(unset)}; these controls stay unset")
    print_json(document)
    return DONE


def _summary(rig: Rig) -> dict[str, Any]:
    return {
        "name": rig.name,
        "version": rig.version,
        "controls": len(rig),
        "description": rig.description,
        "converts_to": _converts_to(rig),
    }


def _converts_to(rig: Rig) -> list[str]:
    from ..retarget import reachable

    return list(reachable(rig.name))


def _listing(summaries: list[dict[str, Any]]) -> list[str]:
    lines = [f"{'rig':<16}{'version':<9}{'controls':>8}  description"]
    for rig in summaries:
        gist = rig["description"].partition(":")[0].partition(". ")[0]
        lines.append(f"{rig['name']:<16}{rig['version']:<9}{rig['controls']:>8}  {gist}")
    return lines


def _description(rig: Rig) -> list[str]:
    width = max(len(c.name) for c in rig.controls) + 2
    return [
        f"{rig.name} {rig.version}, {len(rig)} controls",
        rig.description,
        f"converts to: {', '.join(_converts_to(rig)) or 'nothing; add a map to convert it'}",
        *([f"other orders: {', '.join(rig.orders)}"] if rig.orders else []),
        "",
        f"{'control':<{width}}{'range':>16}{'rest':>6}  {'side':<8}{'region':<12}mirror",
        *(_row(control, width) for control in rig.controls),
    ]


def _row(control: Control, width: int) -> str:
    limits = f"{control.minimum:g} .. {control.maximum:g}"
    mirror = control.mirror or ("" if control.mirror_sign == 1 else "itself")
    sign = ", negated" if control.mirror_sign == -1 else ""
    row = (
        f"{control.name:<{width}}{limits:>16}{control.rest:>6g}  "
        f"{control.side:<8}{control.region:<12}{mirror}{sign}"
    )
    return row.rstrip()
