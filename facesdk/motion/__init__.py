"""Motion that is added to the units of the voice: blinks, and the return to rest."""

from __future__ import annotations

from .blink import Blinking, Blinks
from .layer import MotionLayer
from .part import Motion, MotionPart
from .settle import SETTLE_SECONDS, settle

__all__ = [
    "SETTLE_SECONDS",
    "Blinking",
    "Blinks",
    "Motion",
    "MotionLayer",
    "MotionPart",
    "settle",
]
