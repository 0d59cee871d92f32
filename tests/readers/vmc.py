"""Recordings of the VMC protocol by python-osc, as an avatar in Unity hears them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_packet import OscPacket

from . import Curves, Row, Track
from .gltf import angles

JOINTS = {"Head": "head", "Neck": "neck", "LeftEye": "left_eye", "RightEye": "right_eye"}
VRM0 = {"A": "aa", "I": "ih", "U": "ou", "E": "ee", "O": "oh", "Blink_L": "blinkLeft",
        "Blink_R": "blinkRight", "Joy": "happy", "Sorrow": "sad", "Fun": "relaxed"}  # fmt: skip


def packets(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    place = 0
    while place < len(data):
        (length,) = struct.unpack_from(">i", data, place)
        yield data[place + 4 : place + 4 + length]
        place += 4 + length
    assert place == len(data)


def read_vmc(path: Path) -> Curves:
    """Values count when they are applied, at the time of the bundle's tag."""
    times: list[float] = []
    rows: list[dict[str, float]] = []
    held: dict[str, float] = {}
    for packet in packets(path):
        seconds, part = struct.unpack_from(">II", packet, 8)
        assert OscBundle.dgram_is_bundle(packet)
        for timed in OscPacket(packet).messages:
            address, values = timed.message.address, timed.message.params
            if address == "/VMC/Ext/Blend/Val":
                name, value = values
                held[VRM0.get(name, name[:1].lower() + name[1:])] = value
            elif address == "/VMC/Ext/Bone/Pos":
                x, y, z, w = values[4:]
                (turn,) = angles(np.array([x, -y, -z, w]))
                for axis, angle in zip(("yaw", "pitch", "roll"), turn, strict=True):
                    held[f"pose.{JOINTS[values[0]]}.{axis}"] = angle
            elif address == "/VMC/Ext/Blend/Apply":
                times.append(seconds + part / 2**32)
                rows.append(held)
                held = {}
    at = np.array(times)
    return {name: Track(at, np.array([row[name] for row in rows])) for name in rows[0]}


def read_raw(path: Path) -> Curves:
    """Names as they are in the file."""
    return {
        n[:1].upper() + n[1:] if n.startswith("cTRL") else n: t for n, t in read_vmc(path).items()
    }


EVENTS = frozenset({"events"})
POSE = frozenset(f"pose.{j}.{a}" for j in JOINTS.values() for a in ("yaw", "pitch", "roll"))
ROWS = (
    Row("vmc", "python-osc", read_vmc, rig="vrm", lost=EVENTS),
    Row("vmc", "python-osc", read_vmc, lost=EVENTS, options={"settings": {"names": "PascalCase"}}),
    Row("vmc", "python-osc", read_raw, rig="metahuman", lost=EVENTS),
    Row(
        "vmc",
        "python-osc, VRM 0, no bones",
        read_vmc,
        rig="vrm",
        lost=EVENTS | POSE,
        options={"settings": {"names": "vrm0", "bones": False}},
    ),
)
