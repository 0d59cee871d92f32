"""Data to train on: `speech`, corpora of timed phones, and `faces`, recordings of faces."""

from .faces import AnnotationFolder, AnnotationWriter, Take, TakeSet
from .speech import Corpus, CorpusWriter, Recipe, TimedPhone, Utterance

__all__ = [
    "AnnotationFolder",
    "AnnotationWriter",
    "Corpus",
    "CorpusWriter",
    "Recipe",
    "Take",
    "TakeSet",
    "TimedPhone",
    "Utterance",
]
