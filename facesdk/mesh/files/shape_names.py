"""Recognize ARKit's names in the spellings of files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from ...rig import Rig
from ..builtin.tongue import SHAPES

_COPY = re.compile(r"[._]\d{3}$")
"""Blender's number of a copy, `.001`; exporters to FBX write it as `_001`."""

_SIDES = {"l": "l", "left": "l", "r": "r", "right": "r"}

_KINDS = {"bs", "blendshape", "geo", "head", "face", "mesh", "morph", "shape", "target"}
"""Words that exporters append to a name."""


def shape_name(written: str) -> str:
    """Return ARKit's name for a shape, or for one side of it; other names are returned unchanged.

    `blendShape1.EyeBlink_L`, `head:eyeblinkleft`, `L_eye_blink`, `eyeBlinkLeft.001` and
    `EYE_BLINK_LEFT` are all `eyeBlinkLeft`. Only whole words are dropped.
    """
    known, _ = _recognized(written)
    if known is not None:
        return known
    copy = _COPY.search(written)
    end = copy.start() if copy else len(written)
    return re.split(r"[.:|/]", written[:end])[-1] + written[end:]


def is_known(written: str) -> bool:
    """Whether a name is a spelling of one of ARKit's shapes, or of a tongue shape."""
    return _recognized(written)[0] is not None


def half(written: str) -> str:
    """Return the side, `l` or `r`, of a spelling that is one half of a shape; else nothing.

    `browInnerUp_L` is half of `browInnerUp`; `eyeBlink_L` is all of `eyeBlinkLeft`.
    """
    return _recognized(written)[1]


def _recognized(written: str) -> tuple[str | None, str]:
    """Return a known name, and the side if the spelling is half of it."""
    words = [w.lower() for w in re.split(r"[^0-9A-Za-z]+", _COPY.sub("", written)) if w]
    while words:
        for start in range(len(words)):
            if found := _known().get("".join(words[start:])):
                return found
            side = _SIDES.get(words[start])
            if side and (found := _known().get("".join(words[start + 1 :]) + side)):
                return found
        if words.pop() not in _KINDS:
            break
    return None, ""


@cache
def _known() -> Mapping[str, tuple[str, str]]:
    """Return names and halves by their lower-case spelling without separators."""
    names = [*Rig.load("arkit").names, *SHAPES]
    known = {name.lower(): (name, "") for name in names}
    for name in names:
        for side, letter in (("Left", "l"), ("Right", "r")):
            if name.endswith(side):
                known[name.removesuffix(side).lower() + letter] = name, ""
            elif not name.endswith(("Left", "Right")):
                for spelling in (letter, side.lower()):  # halves, as ICT-FaceKit has them
                    known.setdefault(name.lower() + spelling, (name, letter))
    return known
