"""Named rules: what a map needs beyond weights, such as ARKit's mouthClose convention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import RigError, unknown_name


def lips_together(jaw_and_close: Floats) -> Floats:
    """Convert ARKit (jawOpen, mouthClose) to MetaHuman lips together: the closed share.

    As in Epic's `ABP_MH_LiveLink`: clamp(mouthClose / jawOpen, 0, 1), and 0 with a shut jaw.
    """
    jaw, close = jaw_and_close[..., :1], jaw_and_close[..., 1:]
    share = np.divide(close, jaw, out=np.zeros_like(close), where=jaw > 0)
    return np.clip(share, 0, 1)


def mouth_close(jaw_and_lips: Floats) -> Floats:
    """Convert MetaHuman (jawOpen, lips together of several quadrants) to ARKit mouthClose.

    The inverse of `lips_together`; the quadrants count with their mean.
    """
    jaw, lips = jaw_and_lips[..., :1], jaw_and_lips[..., 1:]
    return np.asarray(jaw * lips.mean(-1, keepdims=True), np.float32)


def jaw_beside_close(jaw_and_close: Floats) -> Floats:
    """Convert ARKit (jawOpen, mouthClose) to Audio2Face (JawOpen, MouthClose).

    Audio2Face's MouthClose contains the jaw that it closes (MouthClose = ARKit's jawOpen +
    mouthClose as shapes), so what is closed is taken out of JawOpen. The inverse is a weight.
    """
    jaw, close = jaw_and_close[..., :1], jaw_and_close[..., 1:]
    closed = np.minimum(close, jaw)
    return np.concatenate([jaw - closed, closed], -1)


def split(slider: Floats) -> Floats:
    """Split sliders from -1 to 1, added up, into (positive part, negated negative part)."""
    total = slider.sum(-1, keepdims=True)
    return _positive(np.concatenate([total, -total], -1))


def sticky_phases(slider: Floats) -> Floats:
    """Convert a slider to three phases: each fades into the next, the last stays at 1."""
    return _positive(1 - np.abs(slider * 3 - np.arange(1, 4)))


def swallow_phases(slider: Floats) -> Floats:
    """Convert a slider to four phases: each fades into the next, the last fades out at 1."""
    return _positive(1 - np.abs(slider * 5 - np.arange(1, 5)))


def swallow_position(phases: Floats) -> Floats:
    """Convert four swallow phases to a slider, the inverse of `swallow_phases`."""
    last = phases[..., 3:]
    rising = (phases * np.arange(1, 5)).sum(-1, keepdims=True) / 5
    leaving = (last > 0) & (phases[..., :3] <= 0).all(-1, keepdims=True)
    return np.where(leaving, 1 - last / 5, rising).astype(np.float32)


def inner_brow(brow: Floats) -> Floats:
    """Convert MetaHuman (raiseIn, raiseOuter, lateral) of both sides to ARKit browInnerUp.

    ARKit's inner and outer raise both lift raiseIn; the inner share is what the outer raise leaves.
    Where raiseIn is at its end that share is cut off, and lateral, which only the inner raise
    moves in Epic's poses, still shows it. Lateral by itself is a frown and does not count.
    """
    raise_in, raise_outer, lateral = (brow[..., i::3] for i in range(3))
    inner = np.maximum(raise_in - raise_outer, np.minimum(lateral, raise_in))
    return np.asarray(inner.mean(-1, keepdims=True), np.float32)


def shared_blink(lids: Floats) -> Floats:
    """Convert (left, right) to (both, left, right): the shared part, and what each side adds."""
    both = np.min(lids, -1, keepdims=True)
    return np.asarray(np.concatenate([both, lids - both], -1), np.float32)


def _positive(values: NDArray[Any]) -> Floats:
    return np.asarray(np.maximum(values, 0), np.float32)


class RuleKind(NamedTuple):
    """A rule's function and how many controls it reads and writes; 0 for any number."""

    function: Callable[[Floats], Floats]
    inputs: int
    outputs: int


RULES: Mapping[str, RuleKind] = {
    kind.function.__name__: kind
    for kind in (
        RuleKind(lips_together, 2, 0),
        RuleKind(mouth_close, 5, 1),
        RuleKind(jaw_beside_close, 2, 2),
        RuleKind(split, 0, 2),
        RuleKind(sticky_phases, 1, 3),
        RuleKind(swallow_phases, 1, 4),
        RuleKind(swallow_position, 4, 1),
        RuleKind(inner_brow, 6, 1),
        RuleKind(shared_blink, 2, 3),
    )
}
"""What maps may name: (..., inputs) -> (..., outputs), one value where any number may have it."""


@dataclass(frozen=True)
class Rule:
    """One of `RULES`, from named source controls to named target controls."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise unknown_name("no rule", self.name, RULES)
        _, *counts = RULES[self.name]
        for count, names, verb in zip(counts, self._ends, ("reads", "writes"), strict=True):
            if len(names) != (count or max(1, len(names))):
                raise RigError(
                    f"rule {self.name!r} {verb} {count or 'some'} controls, got {len(names)}"
                )

    @property
    def _ends(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.inputs, self.outputs

    def __call__(self, inputs: Floats) -> Floats:
        """Return (..., outputs) for (..., inputs), or (..., 1) for one value in all outputs."""
        return RULES[self.name].function(inputs)
