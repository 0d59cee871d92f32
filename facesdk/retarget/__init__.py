"""Retargeting: transfer a performance from one rig to another.

A conversion is data: a map file `<source>-to-<target>.json` in `facesdk/data/maps/` or in the
user's cache, where `facesdk flame calibrate` puts one, or a file given by its path. Controls are
always matched by name. Named rules cover what weights cannot express. Each target
control is written by exactly one of weights, a rule, or a pose fit.
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
