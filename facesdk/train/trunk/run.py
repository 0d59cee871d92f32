"""From a recipe to a model folder: corpora, training, export, scores. Every part resumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...articulation import Rules
from ...datasets.speech import HELD_OUT, Corpus, Recipe, Utterance, build_corpora
from ...datasets.speech.corpus import checksum
from ...errors import FileFormatError
from ..config import config_from
from ..loop import Schedule, json_lines
from .data import UNIT_FPS, UNITS, BatchConfig, Batches, Labels, Line, load_corpus, mel_mean
from .evaluate import Scorer
from .export import export
from .fit import load_trunk, trunk_loop
from .loss import Loss, LossWeights
from .network import Trunk, TrunkConfig

Log = Callable[[str], None]

TEST_SPLIT = "test"


def train(
    recipe: Recipe,
    work: Path,
    out: Path,
    *,
    corpora: Mapping[str, Path] | None = None,
    steps: int | None = None,
    device: torch.device | str = "cpu",
    log: Log = lambda _: None,
) -> Path:
    """Train the model of a recipe and write it to folder `out`; return its manifest.

    Corpora, features and checkpoints are kept in `work`, from which a killed run resumes.
    `corpora` are existing folders by their name in the recipe, or `held_out`; `steps` replaces the
    number of steps of the recipe.
    """
    rules = Rules.load()
    labels, weights = Labels(rules), LossWeights()
    schedule = config_from(Schedule, recipe.schedule, f"recipe {recipe.name!r}, schedule")
    schedule = schedule if steps is None else replace(schedule, steps=steps)
    sizes = config_from(BatchConfig, recipe.batches, f"recipe {recipe.name!r}, batches")
    config = config_from(
        TrunkConfig, recipe.network, f"recipe {recipe.name!r}, network",
        units=UNITS, articulation=UNITS, phones=labels.names if weights.phones else (),
    )  # fmt: skip
    if sizes.steps <= max(config.delay_steps):
        raise FileFormatError(f"recipe {recipe.name!r}: batches must have more steps than the "
                              f"longest look-ahead, {max(config.delay_steps)}")  # fmt: skip
    folders = build_corpora(recipe, work / "corpora", existing=corpora, log=log)
    held_out = folders.pop(HELD_OUT)
    lines, non_speech = _training_lines(recipe, folders, work / "features", rules, log)

    torch.manual_seed(recipe.seed)
    network = Trunk(config, mel_mean(lines))
    checkpoint = work / recipe.name / "checkpoint.pt"
    loop = trunk_loop(
        network, Loss(weights, config.delay_steps),
        Batches(lines, sizes, seed=recipe.seed, non_speech=non_speech),
        schedule, device=device, checkpoint=checkpoint,
    )  # fmt: skip
    if loop.step > schedule.steps:
        raise FileFormatError(
            f"{checkpoint} is at step {loop.step}, but {schedule.steps} steps are asked for; "
            "delete it, or choose another folder with --work"
        )
    log(f"training: step {loop.step} of {schedule.steps}")
    write = json_lines(checkpoint.with_name("log.jsonl"))

    def on_progress(step: int, parts: Mapping[str, float]) -> None:
        write(step, parts)
        if step % 100 == 0 or step == schedule.steps:
            log(f"step {step} of {schedule.steps}: loss {parts['loss']:.3f}")

    loop.run(on_progress)
    trunk = load_trunk(checkpoint)
    tests = _tests(recipe, folders, held_out, work / "features", rules)
    scores = {name: _scores(name, trunk, test, log) for name, test in tests.items()}
    facts = _facts(recipe, folders, lines, scores)
    facts["training"]["steps"] = loop.step
    return export(trunk, out, facts=facts)


def _tests(
    recipe: Recipe, folders: Mapping[str, Path], held_out: Path, cache: Path, rules: Rules
) -> dict[str, list[Line]]:
    """Return lines to score by name: held-out voices, and speakers of recordings not trained on.

    Their phones are taken as labeled, so that scores compare with those of earlier models.
    """
    voices = set(recipe.held_out_voices)
    tests = {
        "held_out_synthetic_voices": load_corpus(
            held_out, cache, rules=rules, keep=lambda u: _voices(u.speaker) <= voices
        )
    }
    for name, folder in folders.items():
        for group in ("adult", "child") if recipe.corpora[name].split else ():
            keep = partial(_is_of, TEST_SPLIT, group)
            tests[f"{name}_{group}"] = load_corpus(folder, cache, rules=rules, keep=keep)
    return {name: lines for name, lines in tests.items() if lines}


def _is_of(split: str, group: str, utterance: Utterance) -> bool:
    return (utterance.split, utterance.group) == (split, group)


def _voices(speaker: str) -> set[str]:
    """Return the voices that a speaker is mixed from."""
    return set(speaker.split("+"))


def _training_lines(
    recipe: Recipe, folders: Mapping[str, Path], cache: Path, rules: Rules, log: Log
) -> tuple[list[Line], list[Line]]:
    """Lines with speech and lines without, in order of the recipe."""
    lines: list[Line] = []
    non_speech: list[Line] = []
    held_out = set(recipe.held_out_voices)
    for name, folder in folders.items():
        source = recipe.corpora[name]
        loaded = [
            replace(line, weight=source.weight)
            for line in load_corpus(
                folder, cache, rules=rules, keep=source.takes, offset=source.offset
            )
            if not _voices(line.speaker) & held_out
        ]
        log(f"{name}: {len(loaded)} lines, {_hours(loaded):.2f} h")
        if source.spoken:
            lines += loaded
        else:
            non_speech += loaded
    if not lines:
        raise FileFormatError(f"recipe {recipe.name!r} has no line to train on")
    return lines, non_speech


def _hours(lines: Sequence[Line]) -> float:
    return sum(len(line.targets) for line in lines) / UNIT_FPS / 3600


def _scores(name: str, trunk: Trunk, lines: Sequence[Line], log: Log) -> dict[str, Any]:
    scores: dict[str, Any] = {"lines": len(lines), "hours": round(_hours(lines), 3)}
    scorer = Scorer(trunk, lines)
    for index, look_ahead_ms in enumerate(trunk.config.look_aheads_ms):
        figures = scorer(index)
        scores[f"look_ahead_{look_ahead_ms}_ms"] = figures
        log(f"{name}, {look_ahead_ms} ms: {figures}")
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
        "license": recipe.license,
        "training": {
            "recipe_sha256": recipe.sha256,
            "seed": recipe.seed,
            "hours": round(_hours(lines), 3),
            "held_out_voices": list(recipe.held_out_voices),
            "corpora": corpora,
        },
        "scores": dict(scores),
    }
