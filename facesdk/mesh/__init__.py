"""Heads: the built-in one, FLAME, and the user's own; fitting shapes and heads."""

from .convention import close_contains_jaw
from .files.bs_skin import write_bs_skin
from .files.load import load_head
from .head import Head, Joint, Material, Part, Texture

__all__ = [
    "Head",
    "Joint",
    "Material",
    "Part",
    "Texture",
    "close_contains_jaw",
    "load_head",
    "write_bs_skin",
]
