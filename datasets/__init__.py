"""Corpora of timed speech, and the recipes that train models from them."""

from __future__ import annotations

from ..articulation import TimedPhone
from .speech.corpus import Corpus, CorpusWriter, Utterance

__all__ = ["Corpus", "CorpusWriter", "TimedPhone", "Utterance"]
