"""Compare settings of learned layers on synthetic actors: `python benchmarks/learned_layers.py`.

Four actors have synthetic voices and different styles on the ARKit table. A fifth, with the mean
style, occurs only in the test. The same faces are learned as controls and as vertices. Prints
JSON: errors in mm on held-out lines, at the longest look-ahead. The targets come from the
articulation engine, on which the trunk was trained too, so only comparisons between rows are
meaningful.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

import facesdk
from facesdk.articulation import articulate
from facesdk.datasets.faces import AnnotationFolder, AnnotationWriter, TakeSet
from facesdk.datasets.speech.hibari import Hibari, Speaker
from facesdk.datasets.speech.texts import lines
from facesdk.mesh import load_head
from facesdk.model import RigTable
from facesdk.train.heads import HeadTrainer, LearnConfig, ModelGraph, score

FPS = 60
STYLES = {"a": (0.4, 0.0), "b": (0.8, 0.1), "c": (1.2, 0.2), "d": (1.6, 0.3)}
"""Gain of the table and constant smile of each actor."""

VARIANTS = {
    "default": {},
    "one style of all": {"embedding": 0},
    "no pivot": {"pivot_probability": 0.0},
    "no loss on the face": {"vertices": 0.0, "coefficients": 1.0},
    "no velocity": {"velocity": 0.0},
    "no augmentation": {"augment": False},
    "trunk learns": {"tune_trunk": True},
    "trunk learns, no warm-up": {"tune_trunk": True, "decoder_warm_up": 0},
}


def clips(count: int, seed: int):
    """Yield lines of synthetic speech: name, style, split, samples, ARKit clip."""
    engine, rng, table = Hibari(), np.random.default_rng(seed), RigTable.load("arkit")
    people = {**STYLES, "stranger": tuple(np.mean(list(STYLES.values()), 0))}
    texts = iter(lines("game_en", seed=seed))
    for person, (gain, smile) in people.items():
        for i in range(count):
            split = "test" if person == "stranger" or i >= count - 3 else "train"
            if person == "stranger" and i >= 6:
                break
            samples, phones = engine.speak(engine.tokens(next(texts)), Speaker(rng), rng)
            units = articulate(phones, seconds=len(samples) / 16_000)
            values = gain * table(units.values)
            for side in ("Left", "Right"):
                values[:, table.rig.index(f"mouthSmile{side}")] += smile
            clip = facesdk.Clip(table.rig, np.clip(values, 0, 1), units.fps)
            yield f"{person}{i}", person, split, samples, clip


def record(folder: Path, count: int, seed: int) -> tuple[AnnotationFolder, AnnotationFolder]:
    """Return data sets of the same takes as controls and as vertices around the mouth."""
    head = load_head()
    near = np.flatnonzero(np.abs(head.delta("jawOpen")).max(1) > 0.002)
    controls = AnnotationWriter(folder / "controls", rig="arkit", name="controls")
    vertices = AnnotationWriter(folder / "vertices", rig=None, name="vertices")
    vertices.lips(head.masks["lips"][near])
    for name, person, split, samples, clip in clips(count, seed):
        controls.add(name, samples, clip, subject=person, split=split)
        slow = clip.resample(25)
        vertices.template(person, head.neutral[near])
        points = head.vertices(head.weights(slow))[:, near]
        vertices.add(name, samples, points, subject=person, fps=25, split=split)
    return AnnotationFolder(controls.finish()), AnnotationFolder(vertices.finish())


def measure(source: TakeSet, config: LearnConfig) -> dict[str, float]:
    """Return errors in mm for training speakers and for the stranger, and the layer's size."""
    graph = ModelGraph(facesdk.load().folder)
    trainer = HeadTrainer(graph.trunk, [source], config)
    network, (task,) = trainer.run(), trainer.tasks
    size = sum(p.numel() for p in network.layer(task.name).parameters())
    found: dict[str, float] = {"parameters": size}
    everybody = task.test
    for who, stranger in (("known", False), ("stranger", True)):
        task.test = [e for e in everybody if e.speaker.endswith("stranger") == stranger]
        scores = score(network, task)
        found[who] = scores["error"]["look_ahead_200_ms"]
        found[f"{who}, mean face"] = scores["error_of_the_mean"]
        if "error_of_the_table" in scores:
            found[f"{who}, table"] = scores["error_of_the_table"]["look_ahead_200_ms"]
    return found


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--takes", type=int, default=15, help="lines of each actor")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    plain = LearnConfig(steps=args.steps, decoder_warm_up=args.steps // 5, seed=args.seed)
    with tempfile.TemporaryDirectory() as folder:
        controls, vertices = record(Path(folder), args.takes, args.seed)
        runs = {name: (controls, replace(plain, **change)) for name, change in VARIANTS.items()}
        runs["vertices as principal components"] = (vertices, plain)
        runs["vertices one by one"] = (vertices, replace(plain, pca=False))
        found = {}
        for name, (source, config) in runs.items():
            found[name] = measure(source, config)
            print(name, found[name], file=sys.stderr, flush=True)
    print(json.dumps({"settings": asdict(plain), "results": found}, indent=2))


if __name__ == "__main__":
    main()
