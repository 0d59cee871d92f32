"""Sentences to synthesize, shipped with facesdk (CC0; `lines/SOURCES.md`)."""

from __future__ import annotations

from importlib import resources

import numpy as np

from ...errors import unknown_name


def languages() -> tuple[str, ...]:
    """Return the names of the line files: `en`, `game_en`, `fr` ..."""
    folder = resources.files("facesdk.datasets") / "lines"
    names = (f.name for f in folder.iterdir() if f.name.endswith(".txt"))
    return tuple(sorted(n.removesuffix(".txt") for n in names))


def lines(*names: str, seed: int) -> list[str]:
    """Return all sentences of the named files, shuffled by the seed."""
    sentences: list[str] = []
    for name in names:
        file = resources.files("facesdk.datasets") / "lines" / f"{name}.txt"
        if not file.is_file():
            raise unknown_name("no line file", name, languages())
        sentences += file.read_text("utf-8").splitlines()
    order = np.random.default_rng(seed).permutation(len(sentences))
    return [sentences[i] for i in order]
