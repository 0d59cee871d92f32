"""Virtual Motion Capture protocol: a recording of the packets a performer sends to an avatar.

OSC has no file of its own; what SuperCollider calls a binary score is used: for every packet its
length as a big-endian 32-bit integer, then the packet, a bundle whose time tag counts from the
beginning of the recording. `examples/send_vmc.py` plays one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import ExportError
from ..source import FrameSource, moving_angles
from .csv.curves import Clock
from .format import Format
from .options import DEFAULTS, TIMES, Setting, WriteOptions, name_style, spelled
from .osc import IMMEDIATELY, bundle, message, time_tag

Array = NDArray[Any]

LARGEST = 1472
"""Bytes of a packet, so that no network takes it apart."""

BONES = ("Head", "Neck", "LeftEye", "RightEye")
"""Unity's names of the joints, in the order of `Pose.angles`."""

_OFFSETS = ((0.0, 0.08, 0.01), (0.0, 0.12, 0.0), (-0.03, 0.06, 0.07), (0.03, 0.06, 0.07))
"""Meters of every bone from its parent, in Unity's axes, where the character's left is at -X."""

_VRM0: Mapping[str, str] = {
    "aa": "A",
    "ih": "I",
    "ou": "U",
    "ee": "E",
    "oh": "O",
    "blink": "Blink",
    "blinkLeft": "Blink_L",
    "blinkRight": "Blink_R",
    "happy": "Joy",
    "angry": "Angry",
    "sad": "Sorrow",
    "relaxed": "Fun",
    "surprised": "Surprised",
    "lookUp": "LookUp",
    "lookDown": "LookDown",
    "lookLeft": "LookLeft",
    "lookRight": "LookRight",
    "neutral": "Neutral",
}

_NAMES = name_style("blend shapes", vrm0="VRM 0's A for aa")
_BONES = Setting("bones", True, "rotations of head, neck and eyes")


def write_vmc(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write packets of every frame: time, bones, blend shapes, `/VMC/Ext/Blend/Apply`.

    Returns `events`, where there are any, and with `bones` off the pose channels that move. Raises
    `ExportError` for times before zero.
    """
    if source.info.start_sample < 0:
        raise ExportError(
            "OSC counts time from 0, the clip begins at "
            f"{source.info.start_sample / source.info.sample_rate:g} s; give it another start"
        )
    with_bones, style = bool(_BONES.chosen(options)), _NAMES.chosen(options)
    controls = source.info.rig.names
    names = [_VRM0.get(n, n) if style == "vrm0" else spelled(n, style) for n in controls]
    clock, dropped = Clock(source), set[str]()
    layout: _Layout | None = None
    for values, angles in source.blocks():
        dropped |= set() if with_bones else moving_angles(angles)
        angles = angles if with_bones else None
        layout = layout or _Layout.of(names, bones=angles is not None)
        file.write(layout.packets(clock.instants(len(values)), values, angles))
    return (*(("events",) if source.info.events else ()), *sorted(dropped))


@dataclass(frozen=True, eq=False)
class _Layout:
    """The packets of a frame, which differ only in their numbers, and where those are."""

    template: Array
    """(N,) bytes of the packets with their lengths."""
    tags: tuple[int, ...]
    """Where time tags are."""
    floats: Array
    """(K,) where the numbers are: the time, four for every bone, one for every blend shape."""

    @classmethod
    def of(cls, names: Sequence[str], *, bones: bool) -> _Layout:
        turned = zip(BONES, _OFFSETS, strict=True) if bones else ()
        turn = (0.0, 0.0, 0.0, 1.0)
        return cls.packed(
            [
                (message("/VMC/Ext/OK", 1), 0),
                (message("/VMC/Ext/T", 0.0), 1),
                *((message("/VMC/Ext/Bone/Pos", n, *offset, *turn), 4) for n, offset in turned),
                *((message("/VMC/Ext/Blend/Val", name, 0.0), 1) for name in names),
            ]
        )

    @classmethod
    def packed(cls, messages: Sequence[tuple[bytes, int]]) -> _Layout:
        """Pack messages with placeholders at their ends into bundles.

        No bundle is too large; only the last one makes the values count.
        """
        data, tags, floats = b"", [], list[int]()
        for elements in _bundles(messages):
            packet = bundle(IMMEDIATELY, [element for element, _ in elements])
            place = len(data) + 4
            tags.append(place + 8)
            data += struct.pack(">i", len(packet)) + packet
            place += 16
            for element, count in elements:
                place += 4 + len(element)
                floats += range(place - 4 * count, place, 4)
        return cls(np.frombuffer(data, np.uint8), tuple(tags), np.array(floats))

    def packets(self, instants: Sequence[Fraction], values: Floats, angles: Floats | None) -> bytes:
        """Return all packets of some frames."""
        numbers: list[Array] = [np.array(instants, np.float64)[:, None], values]
        if angles is not None:
            numbers.insert(1, _turns(angles))
        columns = np.ascontiguousarray(np.hstack(numbers), ">f4").view(np.uint8)
        frames = np.tile(self.template, (len(values), 1))
        frames[:, (self.floats[:, None] + np.arange(4)).ravel()] = columns
        tags = np.array([time_tag(instant) for instant in instants], ">u8")[:, None].view(np.uint8)
        for place in self.tags:
            frames[:, place : place + 8] = tags
        return frames.tobytes()


def _bundles(messages: Sequence[tuple[bytes, int]]) -> Iterator[list[tuple[bytes, int]]]:
    apply = message("/VMC/Ext/Blend/Apply")
    held: list[tuple[bytes, int]] = []
    size = 16
    for element, count in messages:
        if held and size + 4 + len(element) > LARGEST - 4 - len(apply):
            yield held
            held, size = [], 16
        held.append((element, count))
        size += 4 + len(element)
    yield [*held, (apply, 0)]


def _turns(angles: Floats) -> Array:
    """Return (n, 16) quaternions of the bones in Unity's axes.

    Unity is left-handed: X points the other way, and with it turn Y and Z.
    """
    from ..mesh.rotation import quaternions

    return (quaternions(angles) * [1, -1, -1, 1]).reshape(-1, 4 * len(BONES))


FORMATS = (
    Format(
        "vmc",
        ".osc",
        write_vmc,
        rigs=("vrm", "arkit"),
        description="packets of the VMC protocol, to be sent to an avatar in time",
        options=TIMES,
        settings=(_NAMES, _BONES),
    ),
)
