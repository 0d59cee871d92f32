"""`facesdk datasets`: make the corpora of a recipe, or look at one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import DONE, log, print_json
from .train import corpora

NAME = "datasets"
HELP = "make the speech corpora of a recipe, or describe one"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser("build", help="make every corpus of a recipe; resumes")
    build.add_argument("recipe", metavar="RECIPE", help="built-in recipe or a .toml file")
    build.add_argument("--work", type=Path, default=Path("build/train"), metavar="DIR",
                       help="folder to make them in")  # fmt: skip
    build.add_argument("--corpus", action="append", default=[], metavar="NAME=DIR",
                       help="a corpus that exists already")  # fmt: skip
    info = actions.add_parser("info", help="describe a corpus folder")
    info.add_argument("folder", type=Path, metavar="DIR")
    for action in (build, info):
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Build or describe."""
    if args.action == "build":
        from ..datasets.recipe import Recipe, build_corpora

        recipe = Recipe.load(args.recipe)
        given = corpora(args.corpus)
        folders = build_corpora(recipe, args.work / "corpora", given=given, report=log)
        described = {name: _describe(folder) for name, folder in folders.items()}
    else:
        described = {args.folder.name: _describe(args.folder)}
    if args.json:
        print_json(described)
        return DONE
    for name, facts in described.items():
        print(f"{name}: {facts['utterances']} utterances, {facts['hours']} h, "
              f"{facts['speakers']} speakers, {', '.join(facts['languages'])}")  # fmt: skip
    return DONE


def _describe(folder: Path) -> dict[str, Any]:
    from ..datasets import Corpus

    utterances = list(Corpus(folder))
    return {
        "folder": str(folder),
        "utterances": len(utterances),
        "hours": round(sum(u.seconds for u in utterances) / 3600, 3),
        "speakers": len({u.speaker for u in utterances}),
        "languages": sorted({u.language for u in utterances}),
    }
