"""`facesdk train`: a recipe in, a model out; or recordings in, a model with learned layers out."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from ..errors import MissingExtraError, missing_extra
from . import DONE, UsageError, log, print_json

NAME = "train"
HELP = "train a model from a recipe, or learn output layers from annotated recordings"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("recipe", nargs="?", metavar="RECIPE", help="name of a built-in recipe, or a .toml file")
    add("--work", type=Path, default=Path("build/train"), metavar="DIR",
        help="folder for corpora and checkpoints; a killed run goes on there")  # fmt: skip
    add("-o", "--out", type=Path, metavar="DIR", help="folder for the model (default: in --work)")
    add("--corpus", action="append", default=[], metavar="NAME=DIR",
        help="use this folder for a corpus of the recipe instead of making it")  # fmt: skip
    add("--json", action="store_true", help="print the model's manifest")
    learned = parser.add_argument_group("learning output layers")
    add = learned.add_argument
    add("--learn", nargs="+", default=[], type=Path, metavar="SET",
        help="folders of annotated recordings; each gets a layer on the shared trunk")  # fmt: skip
    add("--from", dest="base", type=Path, metavar="MODEL",
        help="model folder or checkpoint to start from (default: the built-in model)")  # fmt: skip
    add("--settings", type=Path, metavar="TOML", help="settings of the learning")
    add("--steps", type=int, metavar="N", help="steps of the learning")


def run(args: argparse.Namespace) -> int:
    """Train, export and score."""
    if bool(args.learn) == bool(args.recipe):
        raise UsageError("give the name of a recipe, or --learn with folders of recordings")
    manifest = _learn(args) if args.learn else _train(args)
    if args.json:
        print_json(json.loads(manifest.read_text("utf-8")))
    else:
        print(manifest)
    return DONE


def _train(args: argparse.Namespace) -> Path:
    try:
        from ..datasets.speech.recipe import Recipe
        from ..train.trunk.run import train
    except ImportError as error:
        if isinstance(error, MissingExtraError):
            raise
        raise missing_extra("training", "train") from error
    recipe = Recipe.load(args.recipe)
    out = args.out or args.work / recipe.name / "model"
    return train(recipe, args.work, out, given=corpora(args.corpus), report=log)


def _learn(args: argparse.Namespace) -> Path:
    try:
        from ..datasets.faces.annotations import AnnotationFolder
        from ..train.heads.fit import LearnConfig
        from ..train.heads.run import learn
    except ImportError as error:
        if isinstance(error, MissingExtraError):
            raise
        raise missing_extra("training", "train") from error
    config = LearnConfig.load(args.settings) if args.settings else LearnConfig()
    if args.steps is not None:
        config = replace(config, steps=args.steps)
    sets = [AnnotationFolder(folder) for folder in args.learn]
    work = args.work / "-".join(source.name for source in sets)
    out = args.out or work / "model"
    return learn(sets, out, base=args.base, config=config, work=work, report=log)


def corpora(options: list[str]) -> dict[str, Path]:
    """`NAME=DIR` options as folders by name."""
    folders = {}
    for option in options:
        name, found, folder = option.partition("=")
        if not (name and found and folder):
            raise UsageError(f"--corpus wants NAME=DIR, got {option!r}")
        folders[name] = Path(folder)
    return folders
