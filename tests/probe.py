"""A clip in which nothing can be mistaken for anything else, and a head to go with it.

Every control and every joint angle has a curve of its own, left and right unlike, at 29.97 frames
a second, not starting at zero; there are events. Also the little head that mesh formats are tested
with: left is not right, and one vertex is marked.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np

from facesdk import Clip, Event, Pose, Rig
from facesdk.clip import POSE_ANGLES
from facesdk.mesh import Head, Joint, Material, Part

FPS = Fraction(30000, 1001)
START = 8008
"""Samples before the first frame: 0.5005 s, exactly 15 frames."""

_GOLDEN_RATIO = (np.sqrt(5) - 1) / 2
_TURN = 0.35
"""Radians; how far joints turn."""


@cache
def probe(rig: str = "arkit", *, frames: int = 75, pose: bool = True) -> Clip:
    """The probe clip on a rig: 2.5 s unless told otherwise."""
    loaded = Rig.load(rig)
    waves = _waves(frames, len(loaded) + len(POSE_ANGLES))
    controls = waves[:, : len(loaded)]
    low, high = np.minimum(loaded.minimum, 0), np.maximum(loaded.maximum, 0)
    values = low + (high - low) * (0.05 + 0.9 * controls)
    angles = _TURN * (2 * waves[:, len(loaded) :] - 1)
    return Clip(
        loaded,
        values,
        FPS,
        pose=Pose(angles.reshape(-1, 4, 3)) if pose else None,
        start_sample=START,
        events=(Event(START + 1601, "cue", {"text": "left"}), Event(START + 16_000, "end")),
        meta={"name": "probe"},
    )


def _waves(frames: int, count: int) -> np.ndarray:
    """(T, count) smooth curves in 0..1, no two alike."""
    seconds = np.arange(frames)[:, None] / float(FPS)
    order = np.arange(1, count + 1)
    phase = 2 * np.pi * (order * _GOLDEN_RATIO % 1)
    speed = 2 * np.pi * (0.4 + 1.6 * (order * np.sqrt(2) % 1))
    share = 0.2 + 0.6 * (order * np.sqrt(3) % 1)
    slow, fast = np.sin(speed * seconds + phase), np.sin(2.3 * speed * seconds + 5 * phase)
    return 0.5 + 0.5 * (share * slow + (1 - share) * fast)


def channels(clip: Clip) -> dict[str, np.ndarray]:
    """(T,) values of every control and, where there is a pose, of the twelve joint angles."""
    found = {name: clip.values[:, i] for i, name in enumerate(clip.rig.names)}
    if clip.pose is not None:
        angles = clip.pose.angles.reshape(len(clip), -1)
        found |= {name: angles[:, i] for i, name in enumerate(POSE_ANGLES)}
    return found


def frame_times(clip: Clip) -> np.ndarray:
    """(T,) seconds of every frame."""
    start = Fraction(clip.start_sample, clip.sample_rate)
    return np.array([float(start + i / clip.fps) for i in range(len(clip))])


MARKED = 7
"""Vertex of `tiny_head` that no other looks like: forward, high, to the character's left."""


@cache
def tiny_head() -> Head:
    """A box of eight vertices with two eyes of four, all 52 ARKit shapes, no two alike."""
    rig = Rig.load("arkit")
    box = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    box[MARKED] = (1.5, 1.25, 1.75)
    eye = np.array([[0, 0, 1], [1, 0, -1], [-1, 0, -1], [0, 1, -1]], np.float32) * 0.2
    left = eye + np.array([0.5, 0.3, 1], np.float32)
    right = eye + np.array([-0.4, 0.3, 1], np.float32)
    neutral = 0.08 * np.concatenate([box, left, right])
    deltas = np.zeros((len(rig), len(neutral), 3), np.float32)
    for i, control in enumerate(rig.controls):
        moved = [4 + i % 4] if control.side == "left" else [i % 4]
        deltas[i, moved, i % 3] = 0.001 * (i + 1)
    sides = [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
             (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)]  # fmt: skip
    ball = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
    triangles = [*sides, *([tuple(8 + c for c in t) for t in ball]),
                 *([tuple(12 + c for c in t) for t in ball])]  # fmt: skip
    masks = {"left_eye": np.arange(16) // 4 == 2, "right_eye": np.arange(16) // 4 == 3}
    return Head(
        "tiny",
        neutral.astype(np.float32),
        np.array(triangles, np.int32),
        rig.names,
        deltas,
        parts=(
            Part("skin", slice(0, 12), Material("skin", (0.8, 0.6, 0.5))),
            Part("left_eye", slice(12, 16), Material("eye", (0.9, 0.9, 0.9), roughness=0.1)),
            Part("right_eye", slice(16, 20), Material("eye", (0.9, 0.9, 0.9), roughness=0.1)),
        ),
        uvs=(neutral[:, :2] / 0.3 + 0.5).astype(np.float32),
        joints={
            "head": Joint((0.0, -0.02, 0.0)),
            "neck": Joint((0.0, -0.09, -0.01)),
            "left_eye": Joint(tuple(map(float, 0.08 * np.array([0.5, 0.3, 1.0]))), 0.012),
            "right_eye": Joint(tuple(map(float, 0.08 * np.array([-0.4, 0.3, 1.0]))), 0.012),
        },
        masks={n: m.astype(np.float32) for n, m in masks.items()},
    )
