"""Recipes: the corpora and settings that a model is trained with. Files in `recipes/`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ...documents import parse_toml
from ...errors import FileFormatError, reading, unknown_name
from . import festival, flite, hibari, kokoro, non_speech, texts
from .corpus import CorpusWriter, Utterance

SYNTHETIC = ("hibari", "flite", "kokoro", "festival")
"""Kinds of corpora that a recipe builds."""
CALCULATED = ("non_speech",)
"""Kinds that a recipe builds and in which nobody speaks."""
RECORDED = ("speechocean",)
"""Kinds of corpora that a user must have: recordings of people, which are not downloaded."""
HELD_OUT = "held_out"
HELD_OUT_SEED = 1000


@dataclass(frozen=True)
class Source:
    """One corpus of a recipe."""

    kind: str
    """One of `SYNTHETIC`, `CALCULATED` or `RECORDED`."""
    hours: float = 0.0
    """Hours to synthesize; unused for recordings."""
    seed: int = 0
    lines: tuple[str, ...] = ()
    """Names of line files; a file listed twice is synthesized twice."""
    split: str = ""
    """Split of the utterances to train on; empty for all of them."""
    weight: float = 1.0
    """Factor on how often a line is drawn for its length."""
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
    """Corpora, settings and schedule of a model."""

    name: str
    model_version: str
    license: str
    seed: int
    corpora: Mapping[str, Source]
    held_out_voices: tuple[str, ...]
    held_out_hours: float
    network: Mapping[str, Any]
    batches: Mapping[str, Any]
    schedule: Mapping[str, Any]
    sha256: str
    """Hash of the recipe file, and of the one it extends."""

    @classmethod
    def load(cls, recipe: str | Path) -> Recipe:
        """Load a built-in recipe by name, or one from a TOML file."""
        with reading(_title(recipe), FileFormatError):
            return cls._parse(_payload(recipe), _title(recipe))

    @classmethod
    def _parse(cls, payload: bytes, source: str) -> Recipe:
        try:
            document = parse_toml(payload, source)
            if "extends" in document:
                base = _payload(document["extends"])
                document = _extend(parse_toml(base, source), document)
                payload = base + payload
            corpora = {n: _source(n, entry) for n, entry in document["corpora"].items()}
            held_out, seed = document["held_out"], document["seed"]
            if not (0 < float(held_out["hours"]) < math.inf and int(seed) >= 0):
                raise ValueError("seed must be at least 0, and hours of held_out above 0")
            return cls(
                name=document["name"],
                model_version=document["model_version"],
                license=document["license"],
                seed=seed,
                corpora=corpora,
                held_out_voices=tuple(held_out["voices"]),
                held_out_hours=float(held_out["hours"]),
                network=document.get("network", {}),
                batches=document.get("batches", {}),
                schedule=document.get("schedule", {}),
                sha256=hashlib.sha256(payload).hexdigest(),
            )
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise FileFormatError(f"{source} is not a training recipe: {error!r}") from error


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
    """Merge changes into a recipe, and remove the corpora listed in `without`."""
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
    if not 0 < weight < math.inf:
        raise ValueError(f"corpus {name!r}: weight must be above 0, got {weight}")
    offset = float(entry.get("offset_ms", 0)) / 1000
    if not abs(offset) < 1:
        raise ValueError(f"corpus {name!r}: offset_ms must be within a second, got {offset}")
    if kind in RECORDED:
        return Source(kind, split=split, weight=weight, offset=offset)
    if kind not in (*SYNTHETIC, *CALCULATED):
        raise unknown_name("no corpus kind", kind, (*SYNTHETIC, *CALCULATED, *RECORDED))
    hours, seed = float(entry["hours"]), int(entry["seed"])
    if not 0 < hours < math.inf or seed < 0:
        raise ValueError(
            f"corpus {name!r}: hours must be above 0 and seed at least 0, got {hours} and {seed}"
        )
    lines = tuple(entry["lines"]) if kind in SYNTHETIC else ()
    return Source(kind, hours, seed, lines, split, weight, offset)


def build_corpora(
    recipe: Recipe,
    folder: Path,
    *,
    existing: Mapping[str, Path] | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> dict[str, Path]:
    """Build the corpora of a recipe below `folder`, as far as they are missing there.

    Returns the folders by name, including `held_out`. `existing` folders are used as they are;
    recordings that are not among them are left out, which is logged.
    """
    folders = dict(existing or {})
    for name in folders:
        if name not in (*recipe.corpora, HELD_OUT):
            raise unknown_name(f"recipe {recipe.name!r} has no corpus", name, recipe.corpora)
    for name, source in recipe.corpora.items():
        if name in folders:
            continue
        if source.kind in RECORDED:
            log(f"{name}: left out, recordings cannot be built; add them with --corpus {name}=DIR")
        else:
            folders[name] = folder / name
            _build(source, folders[name], folder, exclude=recipe.held_out_voices, log=log)
    if HELD_OUT not in folders:
        folders[HELD_OUT] = folder / HELD_OUT
        languages = tuple(lines for _, lines in kokoro.LANGUAGES.values())
        source = Source("kokoro", recipe.held_out_hours, HELD_OUT_SEED, languages)
        others = set(kokoro.voices(kokoro.fetch(folder / "assets"))) - set(recipe.held_out_voices)
        _build(source, folders[HELD_OUT], folder, exclude=sorted(others), log=log)
    return folders


def _build(
    source: Source,
    folder: Path,
    home: Path,
    *,
    exclude: Sequence[str],
    log: Callable[[str], None],
) -> None:
    if (folder / "corpus.json").exists():
        return
    log(f"{folder.name}: building {source.hours} h with {source.kind}")
    writer = CorpusWriter(folder)
    versions = _synthesize(source, writer, home / "assets", exclude)
    content = {"source": source.kind, "seed": source.seed, "lines": list(source.lines)}
    writer.finish({**content, **versions})


def _synthesize(
    source: Source, writer: CorpusWriter, assets: Path, exclude: Sequence[str]
) -> Mapping[str, str]:
    """Fill a corpus; return terms and versions."""
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
    """Return shuffled sentences by language, for the line files of a corpus."""
    lines: dict[str, Sequence[str]] = {}
    for language, files in languages.items():
        chosen = [name for name in source.lines if name in files]
        if chosen:
            lines[language] = texts.lines(*chosen, seed=source.seed)
    return lines
