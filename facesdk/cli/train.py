"""`facesdk train`: train a model from a recipe, or learn output layers from recordings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..errors import MissingExtraError, missing_extra
from . import DONE, UsageError, log, print_json, show
from .options import count

NAME = "train"
HELP = "train a model from a recipe, or learn output layers from annotated recordings"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("recipe", nargs="?", metavar="RECIPE", help="name of a built-in recipe, or a .toml file")
    add("--work", type=Path, default=Path("build/train"), metavar="DIR",
        help="folder for corpora and checkpoints; a killed run resumes from it")  # fmt: skip
    add("-o", "--out", type=Path, metavar="DIR", help="folder for the model (default: in --work)")
    add("--corpus", action="append", default=[], metavar="NAME=DIR",
        help="use this folder for a corpus of the recipe instead of building it")  # fmt: skip
    add("--steps", type=count, metavar="N",
        help="number of training steps (default: that of the recipe or the settings)")  # fmt: skip
    add("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto",
        help="where to compute (default: auto, a GPU if torch finds one)")  # fmt: skip
    add("--json", action="store_true", help="print the model's manifest")
    add = parser.add_argument_group("learning output layers").add_argument
    add("--learn", nargs="+", default=[], type=Path, metavar="SET",
        help="folders of annotated recordings; each gets a layer on the shared trunk")  # fmt: skip
    add("--from", dest="base", type=Path, metavar="MODEL",
        help="model folder or checkpoint to start from (default: the built-in model)")  # fmt: skip
    add("--settings", type=Path, metavar="TOML", help="settings for learning output layers")


def run(args: argparse.Namespace) -> int:
    """Train, export and score."""
    if bool(args.learn) == bool(args.recipe):
        raise UsageError("give the name of a recipe, or --learn with folders of recordings")
    manifest = _learn(args) if args.learn else _train(args)
    if args.json:
        print_json(json.loads(manifest.read_text("utf-8")))
    else:
        show(str(manifest))
    return DONE


def _train(args: argparse.Namespace) -> Path:
    with _train_extra():
        from ..datasets.speech import Recipe
        from ..train.loop import choose_device
        from ..train.trunk import train
    recipe = Recipe.load(args.recipe)
    out = args.out or args.work / recipe.name / "model"
    return train(
        recipe, args.work, out, corpora=corpora(args.corpus), steps=args.steps,
        device=choose_device(args.device), log=log,
    )  # fmt: skip


def _learn(args: argparse.Namespace) -> Path:
    with _train_extra():
        from ..datasets.faces import AnnotationFolder
        from ..train.heads import LearnConfig, learn
        from ..train.loop import choose_device
    config = LearnConfig.load(args.settings) if args.settings else LearnConfig()
    if args.steps is not None:
        config = replace(config, steps=args.steps)
    sets = [AnnotationFolder(folder) for folder in args.learn]
    work = args.work / "-".join(source.name for source in sets)
    out = args.out or work / "model"
    device = choose_device(args.device)
    return learn(sets, out, base=args.base, config=config, work=work, device=device, log=log)


@contextmanager
def _train_extra() -> Iterator[None]:
    """Turn a failed import into the error that names the extra."""
    try:
        yield
    except MissingExtraError:
        raise
    except ImportError as error:
        raise missing_extra("training", "train") from error


def corpora(options: list[str]) -> dict[str, Path]:
    """Parse `NAME=DIR` options to folders by name."""
    folders = {}
    for word in options:
        name, _, folder = word.partition("=")
        if not (name and folder):
            raise UsageError(f"--corpus takes NAME=DIR, got {word!r}")
        folders[name] = Path(folder)
    return folders
