"""Heads: the built-in one, FLAME, the user's own; solving and transferring their shapes."""

from .head import Head, Joint, Material, Part
from .load import load_head

__all__ = ["Head", "Joint", "Material", "Part", "load_head"]
