"""Settings of the FBX format."""

from __future__ import annotations

from ..options import Setting

CENTIMETERS = "cm"

SETTINGS = (
    Setting("version", 7400, "FBX version; 7500 holds more than 4 GB", (7400, 7500)),
    Setting("mesh", True, "with a head; no for curves and joints only"),
    Setting("unit", CENTIMETERS, "what a unit of length is", (CENTIMETERS, "m")),
)
