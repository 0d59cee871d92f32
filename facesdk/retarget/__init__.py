"""Retargeting: a performance on one rig, carried over to another.

A conversion is data: a map file `<source>-to-<target>.json` in `facesdk/data/maps/` or in the
user's cache, where `facesdk flame calibrate` puts one, or a file given by its path. Controls are
always matched by name. What weights cannot express is left to a few named rules. Each target
control is written by one thing only: weights, a rule or a fit of poses.
"""

from __future__ import annotations

from .conversion import Conversion, Converted
from .pose_fit import PoseFit
from .rig_map import RigMap
from .routes import conversion, conversion_from_file, convert, map_names, reachable, user_maps
from .rules import RULES, Rule

__all__ = [
    "RULES",
    "Conversion",
    "Converted",
    "PoseFit",
    "RigMap",
    "Rule",
    "conversion",
    "conversion_from_file",
    "convert",
    "map_names",
    "reachable",
    "user_maps",
]
