"""Estimate the statistics of alignment from speech with known phones.

    python tools/fit_alignment.py CORPUS[:split] ... [--model DIR] [--limit N]

Writes `facesdk/data/alignment/sounds.json`. Every CORPUS is a folder that `facesdk datasets` has
built, or recordings in the layout of `datasets/speech/speechocean.py`; `:train` takes only that
split. Voices that the model's manifest holds out are left out. Rerun it after a training: the
statistics are those of the network's curves.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

import facesdk
from facesdk.alignment.sounds import PARTS, RATE, SILENCE
from facesdk.articulation import Alphabet, Rules
from facesdk.datasets.speech.corpus import Corpus, Utterance
from facesdk.files import whole_file
from facesdk.model.guide import features_of

OUTPUT = Path(__file__).resolve().parents[1] / "facesdk" / "data" / "alignment" / "sounds.json"
CONTEXT = (-6, -3, 0, 3, 6)
"""Frames around an instant that count."""
DIMENSIONS = 32
LEAST = 300
"""Frames that a sound must have."""
MOST = 20_000
"""Frames up to which a class weighs more in the choice of the dimensions."""
Classes = list[tuple[str, int]]
Durations = dict[str, list[float]]
SCALE, UNKNOWN = 0.45, -9.0


def utterances(
    corpora: Sequence[str], held_out: set[str], limit: int | None
) -> Iterator[tuple[Corpus, Utterance]]:
    """Yield corpus and utterance."""
    for given in corpora:
        name, _, split = given.partition(":")
        corpus = Corpus(name)
        chosen = [u for u in corpus if not split or u.split == split]
        chosen = [u for u in chosen if not held_out & set(u.speaker.split("+"))]
        if limit and limit < len(chosen):
            chosen = [chosen[i * len(chosen) // limit] for i in range(limit)]
        yield from ((corpus, utterance) for utterance in chosen)


def labelled(line: Utterance, frames: int) -> Iterator[tuple[str, int, range]]:
    """Yield symbol, part and frames of every part of every sound of a line."""
    for phone in line.phones:
        found = Rules.load().phones.find(phone.symbol, cast(Alphabet, line.alphabet))
        start, length = phone.start * RATE, (phone.end - phone.start) * RATE
        parts = 1 if found is None else PARTS
        for part in range(parts):
            begin = int(np.ceil(start + length * part / parts))
            stop = int(np.ceil(start + length * (part + 1) / parts))
            name = SILENCE if found is None else found.symbol
            yield name, part, range(max(0, begin), min(frames, stop))


def stacked(features: np.ndarray, context: Sequence[int]) -> np.ndarray:
    """Return (T, context * F) features at several instants."""
    rows = np.arange(len(features))
    last = len(features) - 1
    return np.hstack([features[np.clip(rows + step, 0, last)] for step in context])


def collect(
    args: argparse.Namespace,
) -> tuple[np.ndarray, np.ndarray, Classes, Durations, tuple[str, ...]]:
    """Return features, classes by frame, their names, durations by symbol, and curve names."""
    model = facesdk.load(args.model)
    held_out = set(model.manifest.facts.get("training", {}).get("held_out_voices", ()))
    classes: dict[tuple[str, int], int] = {}
    durations: Durations = defaultdict(list)
    all_rows, all_labels = [], []
    names: tuple[str, ...] = ()
    for corpus, line in utterances(args.corpora, held_out, args.limit):
        features, names, _ = features_of([corpus.audio(line)], model)
        labels = np.full(len(features), -1, np.int16)
        for symbol, part, frames in labelled(line, len(features)):
            labels[frames.start : frames.stop] = classes.setdefault((symbol, part), len(classes))
        for phone in line.phones:
            found = Rules.load().phones.find(phone.symbol, cast(Alphabet, line.alphabet))
            if found is not None:
                durations[found.symbol].append(phone.end - phone.start)
        kept = labels >= 0
        all_rows.append(stacked(features, CONTEXT)[kept].astype(np.float16))
        all_labels.append(labels[kept])
    order = sorted(classes, key=classes.__getitem__)
    return np.concatenate(all_rows), np.concatenate(all_labels), order, durations, names


def moments(rows: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (C, D) means and the (D, D) covariance within the classes."""
    sizes = np.maximum(1, np.bincount(labels, minlength=count))
    means = np.zeros((count, rows.shape[1]))
    for begin in range(0, len(rows), 100_000):
        part = rows[begin : begin + 100_000].astype(np.float64)
        np.add.at(means, labels[begin : begin + 100_000], part)
    means /= sizes[:, None]
    within = np.zeros((rows.shape[1],) * 2)
    for begin in range(0, len(rows), 100_000):
        away = rows[begin : begin + 100_000] - means[labels[begin : begin + 100_000]]
        within += away.T @ away
    return means, within / len(rows)


def fit(
    rows: np.ndarray, labels: np.ndarray, classes: Classes, durations: Durations
) -> dict[str, Any]:
    """Return the document without its header: linear discriminants and projected means."""
    means, within = moments(rows, labels, len(classes))
    sizes = np.bincount(labels, minlength=len(classes))
    center = rows.mean(0, dtype=np.float64)
    weight = np.minimum(sizes, MOST)
    between = ((means - center) * weight[:, None]).T @ (means - center) / weight.sum()
    inverse = np.linalg.inv(np.linalg.cholesky(within + 1e-3 * np.eye(len(within))))
    _, vectors = np.linalg.eigh(inverse @ between @ inverse.T)
    projection = inverse.T @ vectors[:, : -DIMENSIONS - 1 : -1]
    projected = (means - center) @ projection
    width = rows.shape[1] // len(CONTEXT)
    sounds: dict[str, Any] = {}
    for symbol in sorted({symbol for symbol, _ in classes}):
        own = [i for i, (name, _) in enumerate(classes) if name == symbol]
        if sizes[own].sum() < LEAST:
            continue
        own.sort(key=lambda i: classes[i][1])
        entry: dict[str, Any] = {"frames": int(sizes[own].sum())}
        if symbol != SILENCE:
            entry["ms"] = round(1000 * float(np.median(durations[symbol])))
        sounds[symbol] = entry | {"means": np.round(projected[own], 2).tolist()}
    return {
        "context": list(CONTEXT),
        "center": np.round(center.reshape(len(CONTEXT), width), 4).tolist(),
        "projection": np.round(projection.reshape(len(CONTEXT), width, -1), 3).tolist(),
        "sounds": sounds,
    }


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", nargs="+", metavar="CORPUS")
    parser.add_argument("--model", type=Path, metavar="DIR", help="default: the built-in one")
    parser.add_argument("--limit", type=int, metavar="N", help="lines per corpus, evenly from all")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="JSON")
    args = parser.parse_args()
    rows, labels, classes, durations, names = collect(args)
    found = fit(rows, labels, classes, durations)
    manifest = facesdk.load(args.model).manifest
    document = {
        "format": "facesdk.alignment",
        "version": 1,
        "about": [
            "How each sound looks in the curves of the network. Made by tools/fit_alignment.py.",
            "Scores are distances to the means in the projection, in which the spread is 1.",
            "scale: weight of a frame against its neighbors.",
            "unknown: score per frame of speech that no word explains, before the scale.",
        ],
        "model": {"name": manifest.name, "version": manifest.version, "sha256": manifest.sha256},
        "curves": list(names),
        "scale": SCALE,
        "unknown": UNKNOWN,
        **found,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(args.output) as file:
        file.write(
            (json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
        )
    print(f"{len(rows)} frames, {len(found['sounds'])} sounds: {args.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
