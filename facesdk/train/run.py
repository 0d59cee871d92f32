"""From a recipe to a model folder: corpora, training, export, scores. Each part resumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..articulation import Rules
from ..datasets import Corpus, Utterance
from ..datasets.corpus import checksum
from ..datasets.recipe import Recipe, build_corpora
from .data import FRAMES, UNITS, Batches, Labels, Line, load_corpus, mel_mean
from .evaluate import Scorer
from .export import export
from .loop import Schedule, Trainer, json_lines, load_trunk
from .loss import Loss, LossWeights
from .network import Trunk, TrunkConfig

Report = Callable[[str], None]

HELD_OUT = "held_out"
TEST_SPLIT = "test"


def train(
    recipe: Recipe,
    work: Path,
    out: Path,
    *,
    given: Mapping[str, Path] | None = None,
    report: Report = lambda _: None,
) -> Path:
    """Make the model of a recipe in folder `out`; returns its manifest.

    Corpora, features and checkpoints live in `work`, where a killed run goes on. `given` names
    corpora that exist already, by their name in the recipe (or `held_out`).
    """
    given = dict(given or {})
    rules = Rules.load()
    folders = build_corpora(recipe, work / "corpora", given=given, report=report)
    held_out = folders.pop(HELD_OUT)
    found = _training_lines(recipe, folders, work / "features", rules, report)
    lines = [line for name, group in found.items() if recipe.corpora[name].spoken for line in group]
    quiet = [line for group in found.values() for line in group if not line.active.any()]
    checkpoint = work / recipe.name / "checkpoint.pt"
    _fit(recipe, lines, quiet, Labels(rules), checkpoint, report)
    trunk = load_trunk(checkpoint)
    tests = _tests(recipe, folders, held_out, work / "features", rules)
    scores = {name: _scores(name, trunk, lines, report) for name, lines in tests.items()}
    facts = _facts(recipe, folders, lines, scores)
    return export(trunk, out, facts=facts)


def _voices(utterance: Utterance) -> set[str]:
    return set(utterance.speaker.split("+"))


def _tests(
    recipe: Recipe, folders: Mapping[str, Path], held_out: Path, cache: Path, rules: Rules
) -> dict[str, list[Line]]:
    """Lines to score by name: voices held out, and speakers of recordings not trained on.

    Their phones are taken as labelled, so that scores compare with those of earlier models.
    """
    voices = set(recipe.held_out_voices)
    tests = {
        "held_out_synthetic_voices": load_corpus(
            held_out, cache, rules=rules, keep=lambda u: _voices(u) <= voices
        )
    }
    for name, folder in folders.items():
        for group in ("adult", "child") if recipe.corpora[name].split else ():
            keep = partial(_of, TEST_SPLIT, group)
            tests[f"{name}_{group}"] = load_corpus(folder, cache, rules=rules, keep=keep)
    return {name: lines for name, lines in tests.items() if lines}


def _of(split: str, group: str, utterance: Utterance) -> bool:
    return (utterance.split, utterance.group) == (split, group)


def _training_lines(
    recipe: Recipe, folders: Mapping[str, Path], cache: Path, rules: Rules, report: Report
) -> dict[str, list[Line]]:
    """Lines to train on by corpus, without the voices held out."""
    lines: dict[str, list[Line]] = {}
    for name, folder in folders.items():
        source, held_out = recipe.corpora[name], set(recipe.held_out_voices)
        lines[name] = [
            replace(line, weight=source.weight)
            for line in load_corpus(
                folder, cache, rules=rules, keep=source.takes, offset=source.offset
            )
            if not set(line.speaker.split("+")) & held_out
        ]
        report(f"{name}: {len(lines[name])} lines, {_hours(lines[name]):.2f} h")
    return lines


def _hours(lines: Sequence[Line]) -> float:
    return sum(len(line.targets) for line in lines) / FRAMES / 3600


def _fit(
    recipe: Recipe,
    lines: Sequence[Line],
    quiet: Sequence[Line],
    labels: Labels,
    checkpoint: Path,
    report: Report,
) -> None:
    """Train to the end; `quiet` are lines in which nobody speaks."""
    torch.manual_seed(recipe.seed)
    options: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in recipe.network.items()
    }
    weights = LossWeights()
    phones = labels.names if weights.phones else ()
    config = TrunkConfig(units=UNITS, articulation=UNITS, phones=phones, **options)
    network = Trunk(config, mel_mean(lines))
    batches = Batches(lines, seed=recipe.seed, non_speech=quiet, **recipe.batches)
    schedule = Schedule(**recipe.schedule)
    trainer = Trainer(network, Loss(weights, config.delays), batches, schedule, checkpoint)
    report(f"training: step {trainer.step} of {schedule.steps}")
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    log = json_lines(checkpoint.parent / "log.jsonl")

    def progress(step: int, parts: dict[str, float]) -> None:
        log(step, parts)
        if step % 100 == 0:
            report(f"step {step} of {schedule.steps}: loss {parts['loss']:.3f}")

    trainer.run(progress)


def _scores(name: str, trunk: Trunk, lines: Sequence[Line], report: Report) -> dict[str, Any]:
    scores: dict[str, Any] = {"lines": len(lines), "hours": round(_hours(lines), 3)}
    scorer = Scorer(trunk, lines)
    for head, delay in enumerate(trunk.config.delays):
        found = scorer(head)
        scores[f"look_ahead_{20 * delay}_ms"] = found
        report(f"{name}, {20 * delay} ms: {found}")
    return scores


def _facts(
    recipe: Recipe,
    folders: Mapping[str, Path],
    lines: Sequence[Line],
    scores: Mapping[str, Any],
) -> dict[str, Any]:
    corpora = {
        name: {
            "source": recipe.corpora[name].kind,
            "utterances": sum(1 for _ in Corpus(folder)),
            "sha256": checksum(folder),
        }
        for name, folder in folders.items()
    }
    return {
        "name": recipe.name,
        "model_version": recipe.model_version,
        "licence": recipe.licence,
        "training": {
            "recipe_sha256": recipe.sha256,
            "seed": recipe.seed,
            "hours": round(_hours(lines), 3),
            "held_out_voices": list(recipe.held_out_voices),
            "corpora": corpora,
        },
        "scores": dict(scores),
    }
