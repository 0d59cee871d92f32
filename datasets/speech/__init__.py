"""Corpora of timed speech, and the recipes that train models from them."""

from ...articulation import TimedPhone
from .corpus import CORPUS_RATE, Corpus, CorpusWriter, Utterance
from .recipe import HELD_OUT, Recipe, Source, build_corpora

__all__ = [
    "CORPUS_RATE",
    "HELD_OUT",
    "Corpus",
    "CorpusWriter",
    "Recipe",
    "Source",
    "TimedPhone",
    "Utterance",
    "build_corpora",
]
