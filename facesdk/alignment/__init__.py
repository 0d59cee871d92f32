"""Texts in time with their recordings: words, pronunciations, forced alignment."""

from __future__ import annotations

from .align import AlignedWord, Alignment, align
from .sounds import RATE, BandMeter, Sounds
from .textgrid import EXTENSIONS, textgrid, write_alignment
from .words import Lexicon, Sound, Word, read_text, words_of

__all__ = [
    "EXTENSIONS",
    "RATE",
    "AlignedWord",
    "Alignment",
    "BandMeter",
    "Lexicon",
    "Sound",
    "Sounds",
    "Word",
    "align",
    "read_text",
    "textgrid",
    "words_of",
    "write_alignment",
]
