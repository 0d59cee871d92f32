"""Solve for the weights of a head's shapes, given vertices: scans, mocap, vertex models.

The weights of every frame minimize, within their limits,

    the mean squared distance to the given vertices, in mm²
    + sparsity * the sum of the weights
    + smoothness * their squared change from frame to frame
    + symmetry * the squared difference between left and right,

so a penalty means the same on every mesh. Without penalties, weights that produced the vertices
are recovered exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import Doubles, Floats
from ...clip import Clip
from ...errors import MeshError
from ...rig import Rig
from ..head import Head

Flags = NDArray[np.bool_]

MILLIMETERS = 1000.0
STILL = 5e-4
"""Meters that a shape may move a vertex that still counts as skull."""

BLOCK = 256
"""Frames compared with the shapes at once."""

_ROUNDS = 40
"""Largest number of changes of the active set; from a good start about six suffice."""

_STEPS = 3000
_STILL = 1e-7


@dataclass(frozen=True, eq=False)
class Solver:
    """Solves for the weights of a head's shapes; prepared once for any number of clips."""

    head: Head
    shapes: tuple[str, ...] = ()
    """Shapes to solve for; by default all of the head's."""
    sparsity: float = 0.0
    smoothness: float = 0.0
    symmetry: float = 0.0
    region: Floats | None = None
    """(V,) weight of each vertex; None for equal weights."""
    rig: Rig | None = None
    """Defines limits and mirror partners of the shapes that it names (default: ARKit); others have
    limits 0 and 1."""

    def __post_init__(self) -> None:
        for name in ("sparsity", "smoothness", "symmetry"):
            if not 0 <= getattr(self, name) < np.inf:
                raise MeshError(f"{name} must not be negative, got {getattr(self, name)}")
        object.__setattr__(self, "rig", self.rig or Rig.load("arkit"))
        object.__setattr__(self, "shapes", tuple(self.shapes or self.head.names))
        if self.region is not None and self.region.shape != (len(self.head.neutral),):
            raise MeshError(
                f"region must be ({len(self.head.neutral)},) weights, got {self.region.shape}"
            )

    # ------------------------------------------------------------------ solving

    def __call__(self, vertices: ArrayLike) -> Floats:
        """Return (T, K) weights of `shapes` for (T, V, 3) meters; (K,) for one frame."""
        points = np.asarray(vertices)
        frames = points[None] if points.ndim == 2 else points
        weights = self._whole_clip(self._rhs(frames))
        return np.asarray(weights[0] if points.ndim == 2 else weights, np.float32)

    def clip(self, vertices: ArrayLike, fps: Fraction | float | str) -> Clip:
        """Solve (T, V, 3) meters as a clip on the solver's rig, without the shapes it lacks."""
        rig, weights = self._rig, self(np.asarray(vertices))
        values = np.tile(rig.rest, (len(weights), 1))
        for column, name in enumerate(self.shapes):
            if name in rig:
                values[:, rig.index(name)] = weights[:, column]
        return Clip(rig, values, Fraction(str(fps)))

    def stream(self) -> StreamingSolver:
        """Return a solver for frames that arrive one by one."""
        return StreamingSolver(self)

    def distance(self, weights: ArrayLike, vertices: ArrayLike) -> Doubles:
        """Return (T,) root mean square distances in mm of the weighted shapes to the vertices."""
        every = slice(None)
        missed = self._offsets(np.asarray(vertices), every)
        missed = missed.reshape(len(missed), -1, 3)
        shaped = np.asarray(weights, np.float64) @ self._basis.T
        missed[:, self._seen] -= shaped.reshape(len(missed), -1, 3)
        return np.asarray(np.sqrt(np.square(missed).sum((1, 2))))

    def _whole_clip(self, rhs: Doubles) -> Doubles:
        weights = within_limits(self._products, rhs, *self._limits)
        if not self.smoothness or len(rhs) < 2:
            return weights
        return _descend(self._products, rhs, *self._limits, self.smoothness, weights)

    # ------------------------------------------------------------------ preparing

    @property
    def _rig(self) -> Rig:
        assert self.rig is not None
        return self.rig

    @cached_property
    def _emphasis(self) -> Doubles:
        """(V,) factors whose squares sum to 1, which turns sums of squares into means."""
        region = np.ones(len(self.head.neutral)) if self.region is None else self.region
        return np.sqrt(np.asarray(region, np.float64) / max(float(region.sum()), 1e-12))

    @cached_property
    def _deltas(self) -> Floats:
        return self.head.deltas[[self.head.index(name) for name in self.shapes]]

    @cached_property
    def _seen(self) -> NDArray[np.intp]:
        """Vertices with a weight that any of the shapes moves; the others carry no information."""
        moved = np.abs(self._deltas).max((0, 2), initial=0) > 0
        return np.flatnonzero(moved & (self._emphasis > 0))

    @cached_property
    def _basis(self) -> Doubles:
        """(3 seen, K) motion of each shape, in mm, scaled by `_emphasis`."""
        scale = MILLIMETERS * self._emphasis[self._seen, None]
        moved = self._deltas[:, self._seen].astype(np.float64) * scale
        return np.ascontiguousarray(moved.reshape(len(moved), 3 * len(self._seen)).T)

    def _offsets(self, frames: NDArray[Any], which: NDArray[np.intp] | slice) -> Doubles:
        """Return (T, 3 n) offsets of vertices from the neutral, in mm, scaled by `_emphasis`."""
        count = len(self.head.neutral)
        if frames.shape[1:] != (count, 3):
            raise MeshError(
                f"vertices must be (T, {count}, 3) for head {self.head.name!r}, got {frames.shape}"
            )
        if not np.isfinite(frames).all():
            raise MeshError("vertices must be finite")
        moved = frames[:, which] - self.head.neutral[which].astype(np.float64)
        moved *= MILLIMETERS * self._emphasis[which, None]
        return np.asarray(moved.reshape(len(frames), 3 * moved.shape[1]))

    def _rhs(self, frames: NDArray[Any]) -> Doubles:
        """Return the (T, K) right-hand side of the normal equations."""
        blocks = [
            self._offsets(frames[start : start + BLOCK], self._seen) @ self._basis
            for start in range(0, max(len(frames), 1), BLOCK)
        ]
        return np.concatenate(blocks) - self.sparsity / 2

    @cached_property
    def _products(self) -> Doubles:
        """(K, K) matrix of the normal equations: products of the shapes, plus symmetry."""
        products = self._basis.T @ self._basis
        for left, right in self._pairs:
            apart = np.zeros(len(products))
            apart[[left, right]] = 1, -1
            products += self.symmetry * np.outer(apart, apart)
        # a shape that moves nothing here stays at rest
        return np.asarray(products + np.eye(len(products)) * (1e-13 * np.trace(products) + 1e-30))

    @cached_property
    def _pairs(self) -> Sequence[tuple[int, int]]:
        column = {name: i for i, name in enumerate(self.shapes)}
        named = (c for c in self._rig.controls if c.side == "left" and c.name in column)
        return [(column[c.name], column[c.mirror]) for c in named if c.mirror in column]

    @cached_property
    def _limits(self) -> tuple[Doubles, Doubles]:
        controls = {c.name: (c.minimum, c.maximum) for c in self._rig.controls}
        limits = np.array([controls.get(name, (0.0, 1.0)) for name in self.shapes])
        return limits[:, 0], limits[:, 1]


class StreamingSolver:
    """Solves frame after frame; with `smoothness` each one stays close to the previous one.

    Without smoothness the weights are those of the whole clip. With it the solver looks back only,
    so it lags slightly where `Solver` also looks ahead.
    """

    def __init__(self, solver: Solver) -> None:
        self._solver = solver
        self._last: Doubles | None = None

    def __call__(self, vertices: ArrayLike) -> Floats:
        """Return (K,) weights for (V, 3) meters."""
        solver = self._solver
        rhs = solver._rhs(np.asarray(vertices)[None])
        products = solver._products
        if self._last is not None and solver.smoothness:
            rhs = rhs + solver.smoothness * self._last
            products = products + solver.smoothness * np.eye(len(products))
        self._last = within_limits(products, rhs, *solver._limits, start=self._last)
        return np.asarray(self._last[0], np.float32)

    def reset(self) -> None:
        """Forget the previous frames."""
        self._last = None


# ------------------------------------------------------------------------------- least squares


def within_limits(
    products: Doubles, rhs: Doubles, low: Doubles, high: Doubles, *, start: Doubles | None = None
) -> Doubles:
    """Return (T, K) w within limits that minimize w P w / 2 - w p for every row p, exactly.

    An active-set method on all rows at once: guess which weights are at a limit, solve for the
    rest, correct the guess. Rows that do not converge are solved by gradient steps.
    """
    weights: Doubles = np.array(np.linalg.solve(products, rhs.T).T if start is None else start)
    at_low, at_high = weights <= low, weights >= high
    open_rows = np.arange(len(rhs))
    slack = 1e-12 * float(np.abs(rhs).max(initial=0)) + 1e-30
    for _ in range(_ROUNDS):
        lower, upper = at_low[open_rows], at_high[open_rows]
        solved = _solve_free(products, rhs[open_rows], low, high, lower, upper)
        weights[open_rows] = solved
        slope = solved @ products - rhs[open_rows]
        now_lower = np.where(lower, slope >= -slack, solved < low) & ~upper
        now_upper = np.where(upper, slope <= slack, solved > high) & ~lower
        settled = ((now_lower == lower) & (now_upper == upper)).all(1)
        at_low[open_rows], at_high[open_rows] = now_lower, now_upper
        open_rows = open_rows[~settled]
        if not len(open_rows):
            return weights
    near = np.clip(weights[open_rows], low, high)
    near = _descend(products, rhs[open_rows], low, high, 0.0, near)
    exact = _solve_free(products, rhs[open_rows], low, high, near <= low, near >= high)
    inside = ((exact >= low) & (exact <= high)).all(1, keepdims=True)
    weights[open_rows] = np.where(inside, exact, near)
    return weights


def _solve_free(
    products: Doubles, rhs: Doubles, low: Doubles, high: Doubles, lower: Flags, upper: Flags
) -> Doubles:
    """Return (T, K) weights: those at a limit fixed, the others optimal."""
    free = ~(lower | upper)
    fixed = np.where(lower, low, np.where(upper, high, 0.0))
    targets = np.where(free, rhs - fixed @ products, fixed)
    systems = np.where(free[:, :, None] & free[:, None, :], products, np.eye(len(products)))
    return np.asarray(np.linalg.solve(systems, targets[..., None])[..., 0])


def _descend(
    products: Doubles, rhs: Doubles, low: Doubles, high: Doubles, smooth: float, start: Doubles
) -> Doubles:
    """Solve by accelerated projected gradient with restarts; `smooth` couples neighboring rows."""
    scale = np.sqrt(np.diag(products) + 2 * smooth)
    scaled, scaled_rhs = products / np.outer(scale, scale), rhs / scale
    tie = smooth / scale**2
    rate = 1 / (np.linalg.eigvalsh(scaled)[-1] + 4 * tie.max())
    floor, ceiling = low * scale, high * scale
    weights = ahead = start * scale
    momentum = 1.0
    for _ in range(_STEPS):
        slope = ahead @ scaled - scaled_rhs
        if smooth:
            change = np.diff(ahead, axis=0) * tie
            slope[:-1] -= change
            slope[1:] += change
        moved = np.clip(ahead - rate * slope, floor, ceiling)
        step = moved - weights
        if float(((ahead - moved) * step).sum()) > 0:
            momentum = 1.0
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead, weights = moved + (momentum - 1) / faster * step, moved
        momentum = faster
        if float(np.abs(step / scale).max(initial=0)) < _STILL:
            break
    return weights / scale


# --------------------------------------------------------------------------------- head motion


def skull(head: Head) -> Floats:
    """Return (V,) the share in which a vertex moves with the skull only, not by shapes or neck."""
    moved = np.linalg.norm(head.deltas, axis=-1).max(0, initial=0)
    share = 1 / (1 + (moved / STILL) ** 4)
    for name in ("head", "neck"):
        if name in head.masks:
            share = share * np.asarray(head.masks[name] > 0.99)
    return np.asarray(share, np.float32)


def without_head_motion(
    vertices: ArrayLike, neutral: ArrayLike, region: ArrayLike | None = None
) -> tuple[Floats, Doubles]:
    """Return (T, V, 3) meters with the head aligned to the neutral, and its (T, 3, 4) motion.

    `region` (V,) weights the vertices of the skull, as `skull` returns them. The motion maps a
    point of the neutral to its place in the frame.
    """
    frames, rest = np.asarray(vertices, np.float64), np.asarray(neutral, np.float64)
    share = np.ones(len(rest)) if region is None else np.asarray(region, np.float64)
    share = share / share.sum()
    center, centers = share @ rest, share @ frames
    spread = np.einsum("v,tva,vb->tab", share, frames - centers[:, None], rest - center)
    left, _, right = np.linalg.svd(spread)
    left[..., -1] *= np.linalg.det(left @ right)[:, None]  # a turn, never a mirror
    turns = left @ right
    shifts = centers - turns @ center
    still = (frames - shifts[:, None]) @ turns
    return still.astype(np.float32), np.concatenate([turns, shifts[..., None]], -1)
