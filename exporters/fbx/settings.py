"""Settings of the FBX format."""

from __future__ import annotations

from ..options import Setting

CENTIMETERS = "cm"

SETTINGS = (
    Setting("version", 7400, "FBX version; 7500 holds more than 4 GB", (7400, 7500)),
    Setting("mesh", True, "a head with its shapes; no for a triangle that carries the curves"),
    Setting("unit", CENTIMETERS, "what a unit of length is", (CENTIMETERS, "m")),
)
