"""Recipes: which corpora a model is trained on, and with which settings. Files in `recipes/`."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, unknown_name
from . import festival, flite, hibari, kokoro, non_speech, texts
from .corpus import CorpusWriter, Utterance

SPOKEN = ("hibari", "flite", "kokoro", "festival")
"""Kinds of corpora that a recipe makes."""
CALCULATED = ("non_speech",)
"""Kinds that a recipe makes and nobody speaks in."""
RECORDED = ("speechocean",)
"""Kinds of corpora that a user must have: recordings of people, which nothing here downloads."""
HELD_OUT, HELD_OUT_SEED = "held_out", 1000


@dataclass(frozen=True)
class Source:
    """One corpus of a recipe."""

    kind: str
    """One of `SPOKEN` or `RECORDED`."""
    hours: float = 0.0
    """To speak; recordings have the hours they have."""
    seed: int = 0
    lines: tuple[str, ...] = ()
    """Names of line files; one named twice is spoken twice."""
    split: str = ""
    """Which utterances to train on, by their own `split`; all of them without it."""
    weight: float = 1.0
    """How often a line is drawn for its length, where 1 is as often as others."""
    offset: float = 0.0
    """Seconds that its phone times are early where no sharp step in the sound says better."""

    @property
    def spoken(self) -> bool:
        """Whether anybody speaks in it."""
        return self.kind not in CALCULATED

    def takes(self, utterance: Utterance) -> bool:
        """Whether an utterance is for training."""
        return not self.split or utterance.split == self.split


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
    """Of the recipe file, and of the one it extends."""

    @classmethod
    def load(cls, recipe: str | Path) -> Recipe:
        """A built-in recipe by name, or one from a TOML file."""
        return cls._parse(_payload(recipe), _title(recipe))

    @classmethod
    def _parse(cls, payload: bytes, source: str) -> Recipe:
        try:
            document = tomllib.loads(payload.decode())
            if "extends" in document:
                base = _payload(document["extends"])
                document = _extend(tomllib.loads(base.decode()), document)
                payload = base + payload
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


def _title(recipe: str | Path) -> str:
    return str(recipe) if Path(recipe).suffix == ".toml" else f"recipe {str(recipe)!r}"


def _payload(recipe: str | Path) -> bytes:
    path = Path(recipe)
    if path.suffix == ".toml":
        try:
            return path.read_bytes()
        except OSError as error:
            raise FileFormatError(f"{path} cannot be read: {error}") from error
    folder = resources.files("facesdk.datasets") / "recipes"
    file = folder / f"{recipe}.toml"
    if not file.is_file():
        known = [f.name.removesuffix(".toml") for f in folder.iterdir()]
        raise unknown_name("no recipe", str(recipe), sorted(known))
    return file.read_bytes()


def _extend(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe that is another one with some entries changed and some corpora left `without`."""
    document = {**base, **{k: v for k, v in changes.items() if not isinstance(v, dict)}}
    for table, entries in changes.items():
        if isinstance(entries, dict):
            document[table] = {**base.get(table, {}), **entries}
    corpora = document["corpora"]
    for name in changes.get("without", ()):
        if name not in corpora:
            raise unknown_name("no corpus to leave out", name, corpora)
    left = {n: entry for n, entry in corpora.items() if n not in changes.get("without", ())}
    return {**document, "corpora": left}


def _source(name: str, entry: Mapping[str, Any]) -> Source:
    kind = entry.get("kind", name)
    split, weight = str(entry.get("split", "")), float(entry.get("weight", 1))
    if weight <= 0:
        raise ValueError(f"corpus {name!r}: weight must be above 0, got {weight}")
    offset = float(entry.get("offset_ms", 0)) / 1000
    if kind in RECORDED:
        return Source(kind, split=split, weight=weight, offset=offset)
    if kind not in (*SPOKEN, *CALCULATED):
        raise unknown_name("no corpus source", kind, (*SPOKEN, *CALCULATED, *RECORDED))
    lines = tuple(entry["lines"]) if kind in SPOKEN else ()
    hours, seed = float(entry["hours"]), int(entry["seed"])
    return Source(kind, hours, seed, lines, split, weight, offset)


def build_corpora(
    recipe: Recipe,
    folder: Path,
    *,
    given: Mapping[str, Path] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Path]:
    """Make every corpus of a recipe below `folder`, or what is missing of it.

    Returns the folders by name, `held_out` among them. Corpora in `given` are taken as they are;
    recordings that are not given are left out, and the report says so.
    """
    folders = dict(given or {})
    for name in folders:
        if name not in (*recipe.corpora, HELD_OUT):
            raise unknown_name(f"recipe {recipe.name!r} has no corpus", name, recipe.corpora)
    for name, source in recipe.corpora.items():
        if name in folders:
            continue
        if source.kind in RECORDED:
            report(f"{name}: left out, as recordings are not made; --corpus {name}=DIR adds them")
        else:
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
    made_by = _speak(source, writer, home / "assets", exclude)
    made_of = {"source": source.kind, "seed": source.seed, "lines": list(source.lines)}
    writer.finish({**made_of, **made_by})


def _speak(
    source: Source, writer: CorpusWriter, assets: Path, exclude: Sequence[str]
) -> Mapping[str, str]:
    """Fill a corpus; returns terms and versions."""
    hours, seed = source.hours, source.seed
    if source.kind == "non_speech":
        non_speech.build(writer, hours=hours, seed=seed)
        return non_speech.facts()
    if source.kind == "kokoro":
        languages = {language: (file,) for language, file in kokoro.LANGUAGES.values()}
        languages |= {language: (file,) for language, file in kokoro.BORROWED.items()}
        lines = _by_language(source, languages)
        kokoro.build(writer, lines, hours=hours, seed=seed, assets=assets, exclude=exclude)
        return kokoro.facts()
    if source.kind == "festival":
        lines = _by_language(source, festival.LANGUAGES)
        festival.build(writer, lines, hours=hours, seed=seed)
        return festival.facts(lines)
    english = texts.lines(*source.lines, seed=seed)
    if source.kind == "hibari":
        hibari.build(writer, english, hours=hours, seed=seed)
        return hibari.facts()
    flite.build(writer, english, hours=hours, seed=seed)
    return flite.facts()


def _by_language(
    source: Source, languages: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """Shuffled sentences of the languages whose line files a corpus asks for."""
    lines: dict[str, Sequence[str]] = {}
    for language, files in languages.items():
        chosen = [name for name in source.lines if name in files]
        if chosen:
            lines[language] = texts.lines(*chosen, seed=source.seed)
    return lines
