"""What the voice alone does not say: for now blinks, and the way back to rest."""

from __future__ import annotations

from .blink import Blinks
from .performance import Performance
from .settle import settle

__all__ = ["Blinks", "Performance", "settle"]
