"""Heads: the built-in one, FLAME, the user's own; solving and transferring their shapes."""

from .a2f import write_bs_skin
from .convention import close_contains_jaw
from .head import Head, Joint, Material, Part
from .load import load_head

__all__ = ["Head", "Joint", "Material", "Part", "close_contains_jaw", "load_head", "write_bs_skin"]
