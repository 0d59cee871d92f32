"""`facesdk datasets`: build the corpora of a recipe, or describe one."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import DONE, log, print_json, show
from .train import corpora

if TYPE_CHECKING:
    from ..datasets.speech import Utterance

NAME = "datasets"
HELP = "build the speech corpora of a recipe, or describe one"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser("build", help="build the corpora of a recipe; resumes")
    build.add_argument("recipe", metavar="RECIPE", help="built-in recipe or a .toml file")
    build.add_argument("--work", type=Path, default=Path("build/train"), metavar="DIR",
                       help="folder to build them in")  # fmt: skip
    build.add_argument("--corpus", action="append", default=[], metavar="NAME=DIR",
                       help="use this folder for a corpus instead of building it")  # fmt: skip
    info = actions.add_parser("info", help="describe a corpus folder")
    info.add_argument("folder", type=Path, metavar="DIR")
    for action in (build, info):
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Build or describe corpora."""
    if args.action == "build":
        from ..datasets.speech import Recipe, build_corpora

        recipe = Recipe.load(args.recipe)
        existing = corpora(args.corpus)
        folders = build_corpora(recipe, args.work / "corpora", existing=existing, log=log)
        described = {name: _describe(folder) for name, folder in folders.items()}
    else:
        described = {args.folder.name: _describe(args.folder)}
    if args.json:
        print_json(described)
        return DONE
    for name, facts in described.items():
        show(f"{name}: {_sentence(facts)}")
    return DONE


def _sentence(facts: dict[str, Any]) -> str:
    parts = [
        f"{facts['utterances']} utterances",
        f"{facts['hours']} h",
        f"{facts['speakers']} speakers",
        ", ".join(facts["languages"]),
    ]
    for split in facts["splits"]:
        parts.append(f"{split} {facts['splits'][split]} h")
    for reason, count in facts["left_out"].items():
        parts.append(f"{count} left out ({reason})")
    if facts["terms"]:
        parts.append(f"terms: {facts['terms']}")
    return ", ".join(parts)


def _describe(folder: Path) -> dict[str, Any]:
    from ..datasets.speech import Corpus

    corpus = Corpus(folder)
    utterances = list(corpus)
    splits = sorted({_part(u) for u in utterances} - {""})
    facts = corpus.facts()
    return {
        "folder": str(folder),
        "source": facts.get("source", ""),
        "terms": facts.get("terms", ""),
        "utterances": len(utterances),
        "hours": _hours(utterances),
        "speakers": len({u.speaker for u in utterances}),
        "languages": sorted({u.language for u in utterances}),
        "splits": {part: _hours(u for u in utterances if _part(u) == part) for part in splits},
        "left_out": corpus.left_out(),
    }


def _part(utterance: Utterance) -> str:
    """Return split and group of an utterance, as far as its corpus has them."""
    return " ".join(part for part in (utterance.split, utterance.group) if part)


def _hours(utterances: Iterable[Utterance]) -> float:
    return round(sum(u.seconds for u in utterances) / 3600, 3)
