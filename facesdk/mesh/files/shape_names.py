"""Recognize ARKit's names in the spellings of files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from ...rig import Rig
from ..builtin.tongue import SHAPES


def shape_name(written: str) -> str:
    """Return ARKit's name for a shape, or for one side of it; other names are returned unchanged.

    `blendShape1.EyeBlink_L`, `head:eyeblinkleft` and `EYE_BLINK_LEFT` are all `eyeBlinkLeft`.
    """
    words = [w for w in re.split(r"[^0-9A-Za-z]+", written) if w]
    for start in range(len(words)):
        known = _known().get("".join(words[start:]).lower())
        if known is not None:
            return known
    return re.split(r"[.:|/]", written)[-1]


@cache
def _known() -> Mapping[str, str]:
    """Return names by their lower-case spelling without separators."""
    names = [*Rig.load("arkit").names, *SHAPES]
    known = {name.lower(): name for name in names}
    for name in names:
        for side, letter in (("Left", "l"), ("Right", "r")):
            if name.endswith(side):
                known[name.removesuffix(side).lower() + letter] = name
            elif not name.endswith(("Left", "Right")):
                known[name.lower() + letter] = name  # halves, as ICT-FaceKit has them
                known[name.lower() + side.lower()] = name
    return known
