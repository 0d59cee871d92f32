"""Programs that play exported files: what they show of a clip, held against the clip.

A player reads a file with a program that facesdk did not write and returns what it shows at some
times: weights by name, turns of joints, places of vertices. `measure` compares.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from probe import frame_times

from facesdk import Clip
from facesdk.clip import POSE_JOINTS
from facesdk.mesh import Head
from facesdk.mesh.rotation import matrices


@dataclass(frozen=True)
class Played:
    """What a program shows at some times."""

    times: np.ndarray
    """(T,) seconds on the file's time line."""
    weights: Mapping[str, Sequence[np.ndarray]]
    """(T,) of every mesh that has a shape of this name."""
    turns: Mapping[str, np.ndarray]
    """(T, 4) quaternions x, y, z, w by joint."""
    rest: np.ndarray | None = None
    """(N, 3) vertices without any shape or turn, in meters, Y up."""
    points: np.ndarray | None = None
    """(T, N, 3)."""


@dataclass(frozen=True)
class Player:
    """A program that plays files."""

    name: str
    """As docs/formats.md calls it."""
    formats: tuple[str, ...]
    play: Callable[[Path, np.ndarray, float, Fraction], Played]
    """The file at times, or at the nearest at which the program can be asked.

    It also gets the time of the first frame, from which some programs count, and the frame rate,
    which some leave to their users.
    """
    missing: Callable[[], str | None] = lambda: None
    """Why the program cannot run here; None where it can."""

    degrees: Mapping[str, float] = field(default_factory=dict)
    """How far its joints may be off by format, where it does not keep their keys."""

    def limits(self, name: str) -> tuple[float, float]:
        """Degrees and millimeters that a format may be off."""
        degrees = self.degrees.get(name, 0.0)
        return 1e-3 + degrees, 2e-3 + 4 * degrees

    def require(self) -> None:
        """Skip the test where the program is missing, which it must not be in CI on Linux."""
        if reason := self.missing():
            assert "CI" not in os.environ or sys.platform != "linux", reason
            pytest.skip(reason)


@dataclass(frozen=True)
class Result:
    """How far a program is off."""

    names: int
    missing: frozenset[str]
    """Of those that move."""
    foreign: frozenset[str]
    weight: float
    degrees: float
    millimeters: float
    """Of vertices bound to one joint."""
    seen: int
    """Vertices of the head that the program shows."""
    strange: int
    """Vertices that it shows where the head has none at rest."""


OPTIONAL = {"blender": "FACESDK_BLENDER", "godot": "FACESDK_GODOT"}
"""Modules of players that need an environment of their own, and the variable that names it."""


@cache
def players() -> tuple[Player, ...]:
    """All players, those of `OPTIONAL` where their variable is set."""
    names = ["assimp", "autodesk", "babylon", "light_usd", "three"]
    names += [name for name, variable in OPTIONAL.items() if os.environ.get(variable)]
    return tuple(p for name in names for p in import_module(f"players.{name}").PLAYERS)


def moments(clip: Clip, count: int = 5) -> np.ndarray:
    """Times of some frames, at which programs that loop are not at the end of the clip."""
    frames = np.unique(np.linspace(1, len(clip) - 2, count).round().astype(int))
    return frame_times(clip)[frames]


def measure(player: Player, path: Path, clip: Clip, head: Head | None, count: int = 5) -> Result:
    """What a player shows of a file against the clip in it; a head of None: curves only."""
    at = frame_times(clip)
    played = player.play(path, moments(clip, count), float(at[0]), clip.fps)
    values = clip.values if head is None else head.weights(clip)
    names = clip.rig.names if head is None else head.names
    wanted = {n: np.interp(played.times, at, values[:, i]) for i, n in enumerate(names)}
    weight = max(
        (float(np.abs(found - wanted[n]).max())
         for n, several in played.weights.items() if n in wanted for found in several),
        default=np.nan,
    )  # fmt: skip
    angles = np.stack(
        [np.interp(played.times, at, a) for a in clip.pose.angles.reshape(len(clip), -1).T], 1
    ).reshape(-1, 4, 3)
    gazes = head is not None and bool(head.gaze)
    degrees = 0.0
    for joint, turns in played.turns.items():
        if joint in POSE_JOINTS and not (gazes and joint.endswith("eye")):
            apart = rotations(turns) - matrices(angles[:, POSE_JOINTS.index(joint)])
            half = np.linalg.norm(apart, axis=(1, 2)) / np.sqrt(8)
            degrees = max(degrees, float(np.degrees(2 * np.arcsin(half.clip(0, 1))).max()))
    millimeters, seen, strange = np.nan, 0, 0
    if head is not None and played.rest is not None and played.points is not None:
        weights = np.stack([wanted[n] for n in names], 1).astype(np.float32)
        truth = np.stack([head.vertices(w, a) for w, a in zip(weights, angles, strict=True)])
        millimeters, seen, strange = _off(head, played.rest, played.points, truth)
    return Result(
        len(wanted.keys() & played.weights.keys()),
        frozenset(n for n, curve in wanted.items() if curve.any()) - frozenset(played.weights),
        frozenset(played.weights) - frozenset(wanted),
        weight,
        degrees if played.turns else np.nan,
        millimeters,
        seen,
        strange,
    )


def rotations(quaternions: np.ndarray) -> np.ndarray:
    """(K, 3, 3) matrices of (K, 4) x, y, z, w."""
    turned = np.asarray(quaternions, float)
    x, y, z, w = (turned / np.linalg.norm(turned, axis=1, keepdims=True)).T
    return np.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ], 1).reshape(-1, 3, 3)  # fmt: skip


# ----------------------------------------------------------------------- vertices

_CELL = 4e-5
"""Meters; vertices of a program belong to those of the head that lie as near at rest."""


def _off(
    head: Head, rest: np.ndarray, points: np.ndarray, truth: np.ndarray
) -> tuple[float, int, int]:
    """Worst distance in millimeters, vertices of the head seen, vertices that it does not have.

    Programs split and order vertices in their own way. Of several of the head at one place the
    best counts. Those bound to two joints are left out: linear skinning draws them elsewhere.
    """
    once = np.unique(np.concatenate([rest[None], points]), axis=1)  # corners share vertices
    rest, points = once[0], once[1:]
    grids = [_grid(head.neutral, shift) for shift in (0.0, 0.5)]
    soft = np.zeros(len(head.neutral), bool)
    for joint in ("head", "neck"):
        if joint in head.masks:
            soft |= (head.masks[joint] > 1e-6) & (head.masks[joint] < 1 - 1e-6)
    worst, seen, strange = 0.0, set(), 0
    keys = [_keys(rest, shift) for shift in (0.0, 0.5)]
    for i in range(len(rest)):
        found = [grid.get(tuple(key[i]), ()) for grid, key in zip(grids, keys, strict=True)]
        near = sorted({*found[0], *found[1]})
        strange += not near
        rigid = [v for v in near if not soft[v]]
        seen.update(near)
        if rigid and len(rigid) == len(near):
            apart = np.linalg.norm(points[:, i, None] - truth[:, rigid], axis=2).max(0)
            worst = max(worst, float(apart.min()))
    return worst * 1000, len(seen), strange


def _keys(points: np.ndarray, shift: float) -> np.ndarray:
    return np.floor(np.asarray(points, float) / _CELL + shift).astype(int)


def _grid(points: np.ndarray, shift: float) -> Mapping[tuple[int, ...], list[int]]:
    grid = defaultdict(list)
    for i, key in enumerate(_keys(points, shift)):
        grid[tuple(key)].append(i)
    return grid


# ------------------------------------------------------------------------ skinning


def skinned(
    rest: np.ndarray, moved: np.ndarray, bones: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """(T, N, 3) vertices: (T, N, 3) moved by shapes, then by (T, J, 4, 4) with (N, J) shares."""
    whole = np.concatenate([moved, np.ones((*moved.shape[:2], 1))], 2)
    by_bone = np.einsum("tjab,tnb->tjna", bones, whole)[..., :3]
    return np.einsum("tjna,nj->tna", by_bone, shares)


def placed(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """(T, 4, 4) of (T, 4) quaternions and (3,) or (T, 3) translations."""
    matrix = np.tile(np.eye(4), (len(rotation), 1, 1))
    matrix[:, :3, :3] = rotations(rotation)
    matrix[:, :3, 3] = translation
    return matrix


RATES = (Fraction(30), Fraction(60), Fraction(30000, 1001))
