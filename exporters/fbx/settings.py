"""Choices that only FBX knows."""

from __future__ import annotations

from ..options import Setting

CENTIMETRES = "cm"

SETTINGS = (
    Setting("version", 7400, "FBX version; 7500 holds more than 4 GB", (7400, 7500)),
    Setting("mesh", True, "with a head; without, curves and joints alone"),
    Setting("unit", CENTIMETRES, "what a unit of length is", (CENTIMETRES, "m")),
)
