"""`facesdk train`: a recipe in, a model out."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import MissingExtraError, missing_extra
from . import DONE, UsageError, log, print_json

NAME = "train"
HELP = "train a model from a recipe"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("recipe", metavar="RECIPE", help="name of a built-in recipe, or a .toml file")
    add("--work", type=Path, default=Path("build/train"), metavar="DIR",
        help="folder for corpora and checkpoints; a killed run goes on there")  # fmt: skip
    add("-o", "--out", type=Path, metavar="DIR", help="folder for the model (default: in --work)")
    add("--corpus", action="append", default=[], metavar="NAME=DIR",
        help="use this folder for a corpus of the recipe instead of making it")  # fmt: skip
    add("--json", action="store_true", help="print the model's manifest")


def run(args: argparse.Namespace) -> int:
    """Train, export and score."""
    try:
        from ..datasets.recipe import Recipe
        from ..train.run import train
    except ImportError as error:
        if isinstance(error, MissingExtraError):
            raise
        raise missing_extra("training", "train") from error
    import json

    recipe = Recipe.load(args.recipe)
    out = args.out or args.work / recipe.name / "model"
    manifest = train(recipe, args.work, out, given=corpora(args.corpus), report=log)
    if args.json:
        print_json(json.loads(manifest.read_text("utf-8")))
    else:
        print(manifest)
    return DONE


def corpora(options: list[str]) -> dict[str, Path]:
    """`NAME=DIR` options as folders by name."""
    folders = {}
    for option in options:
        name, found, folder = option.partition("=")
        if not (name and found and folder):
            raise UsageError(f"--corpus wants NAME=DIR, got {option!r}")
        folders[name] = Path(folder)
    return folders
