"""Recipes: which corpora a model is trained on, and with which settings. Files in `recipes/`."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, unknown_name
from . import flite, hibari, kokoro, texts
from .corpus import CorpusWriter

SOURCES = ("hibari", "flite", "kokoro")
HELD_OUT, HELD_OUT_SEED = "held_out", 1000


@dataclass(frozen=True)
class Source:
    """One corpus of a recipe."""

    kind: str
    """`hibari`, `flite` or `kokoro`."""
    hours: float
    seed: int
    lines: tuple[str, ...]
    """Names of line files."""


@dataclass(frozen=True)
class Recipe:
    """A model in the making."""

    name: str
    model_version: str
    licence: str
    seed: int
    corpora: Mapping[str, Source]
    held_out_voices: tuple[str, ...]
    held_out_hours: float
    network: Mapping[str, Any]
    batches: Mapping[str, Any]
    schedule: Mapping[str, Any]
    sha256: str
    """Of the recipe file."""

    @classmethod
    def load(cls, recipe: str | Path) -> Recipe:
        """A built-in recipe by name, or one from a TOML file."""
        path = Path(recipe)
        if path.suffix == ".toml":
            try:
                return cls._parse(path.read_bytes(), str(path))
            except OSError as error:
                raise FileFormatError(f"{path} cannot be read: {error}") from error
        folder = resources.files("facesdk.datasets") / "recipes"
        file = folder / f"{recipe}.toml"
        if not file.is_file():
            known = [f.name.removesuffix(".toml") for f in folder.iterdir()]
            raise unknown_name("no recipe", str(recipe), sorted(known))
        return cls._parse(file.read_bytes(), f"recipe {recipe!r}")

    @classmethod
    def _parse(cls, payload: bytes, source: str) -> Recipe:
        try:
            document = tomllib.loads(payload.decode())
            corpora = {n: _source(n, entry) for n, entry in document["corpora"].items()}
            return cls(
                name=document["name"],
                model_version=document["model_version"],
                licence=document["licence"],
                seed=document["seed"],
                corpora=corpora,
                held_out_voices=tuple(document["held_out"]["voices"]),
                held_out_hours=float(document["held_out"]["hours"]),
                network=document.get("network", {}),
                batches=document.get("batches", {}),
                schedule=document.get("schedule", {}),
                sha256=hashlib.sha256(payload).hexdigest(),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"{source} is no training recipe: {error!r}") from error


def _source(name: str, entry: Mapping[str, Any]) -> Source:
    kind = entry.get("kind", name)
    if kind not in SOURCES:
        raise unknown_name("no corpus source", kind, SOURCES)
    return Source(kind, float(entry["hours"]), int(entry["seed"]), tuple(entry["lines"]))


def build_corpora(
    recipe: Recipe,
    folder: Path,
    *,
    given: Mapping[str, Path] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Path]:
    """Make every corpus of a recipe below `folder`, or what is missing of it.

    Returns the folders by name, `held_out` among them. Corpora in `given` are taken as they are.
    """
    folders = dict(given or {})
    for name in folders:
        if name not in (*recipe.corpora, HELD_OUT):
            raise unknown_name(f"recipe {recipe.name!r} has no corpus", name, recipe.corpora)
    for name, source in recipe.corpora.items():
        if name not in folders:
            folders[name] = folder / name
            _build(source, folders[name], folder, exclude=recipe.held_out_voices, report=report)
    if HELD_OUT not in folders:
        folders[HELD_OUT] = folder / HELD_OUT
        languages = tuple(lines for _, lines in kokoro.LANGUAGES.values())
        source = Source("kokoro", recipe.held_out_hours, HELD_OUT_SEED, languages)
        others = set(kokoro.voices(kokoro.fetch(folder / "assets"))) - set(recipe.held_out_voices)
        _build(source, folders[HELD_OUT], folder, exclude=sorted(others), report=report)
    return folders


def _build(
    source: Source,
    folder: Path,
    home: Path,
    *,
    exclude: Sequence[str],
    report: Callable[[str], None],
) -> None:
    if (folder / "corpus.json").exists():
        return
    report(f"{folder.name}: {source.hours} h by {source.kind}")
    writer = CorpusWriter(folder)
    if source.kind == "kokoro":
        lines = {
            language: texts.lines(file, seed=source.seed)
            for language, file in kokoro.LANGUAGES.values()
            if file in source.lines
        }
        kokoro.build(
            writer, lines, hours=source.hours, seed=source.seed,
            assets=home / "assets", exclude=exclude,
        )  # fmt: skip
    else:
        make = hibari.build if source.kind == "hibari" else flite.build
        spoken = texts.lines(*source.lines, seed=source.seed)
        make(writer, spoken, hours=source.hours, seed=source.seed)
    writer.finish(
        {
            "source": source.kind,
            "seed": source.seed,
            "lines": list(source.lines),
            "hibari-tts": metadata.version("hibari-tts"),
        }
    )
