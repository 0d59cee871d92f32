"""Heads: the built-in one, FLAME, the user's own; solving and transferring their shapes."""

from .head import Head, Joint, Material, Part

__all__ = ["Head", "Joint", "Material", "Part"]
