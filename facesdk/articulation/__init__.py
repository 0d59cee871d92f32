"""Rule-based conversion of timed phones to speech units."""

from __future__ import annotations

from .engine import GRID, UNIT_FPS, articulate
from .loudness import loudness
from .phones import MARKS, Alphabet, Phone, PhoneSet, TimedPhone
from .rules import Gesture, Posture, Rules
from .timings import Timings, fill_gaps, read_timings

__all__ = [
    "GRID",
    "MARKS",
    "UNIT_FPS",
    "Alphabet",
    "Gesture",
    "Phone",
    "PhoneSet",
    "Posture",
    "Rules",
    "TimedPhone",
    "Timings",
    "articulate",
    "fill_gaps",
    "loudness",
    "read_timings",
]
