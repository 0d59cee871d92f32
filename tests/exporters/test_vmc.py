"""Recordings of the VMC protocol: what packets hold, and that a receiver hears them."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probe import probe
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_server import BlockingOSCUDPServer
from readers.vmc import packets, read_vmc

from facesdk.errors import ExportError
from facesdk.exporters import write_clip
from facesdk.exporters.osc import message, time_tag
from facesdk.exporters.vmc import LARGEST

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=20)


@given(WORDS, st.lists(WORDS | st.integers(-(2**31), 2**31 - 1) | st.floats(width=32)))
def test_messages_are_those_of_python_osc(name, arguments):
    builder = OscMessageBuilder("/" + name)
    for argument in arguments:
        builder.add_arg(argument, {str: "s", int: "i", float: "f"}[type(argument)])
    assert message("/" + name, *arguments) == builder.build().dgram


@given(st.fractions(0, 2**31))
def test_time_tags_are_exact_to_a_fraction_of_a_nanosecond(seconds):
    assert abs(Fraction(time_tag(seconds), 2**32) - seconds) <= Fraction(1, 2**33)


@pytest.mark.parametrize("rig", ["vrm", "arkit", "metahuman"])
def test_packets_fit_and_only_the_last_of_a_frame_applies(rig, tmp_path):
    path = tmp_path / "take.osc"
    clip = probe(rig, frames=20)
    write_clip(clip, path)
    frames: dict[bytes, list[list[str]]] = {}
    for packet in packets(path):
        assert len(packet) <= LARGEST
        bundle = OscBundle(packet)
        addresses = [bundle.content(i).address for i in range(bundle.num_contents)]
        frames.setdefault(packet[8:16], []).append(addresses)
    assert len(frames) == len(clip)
    for several in frames.values():
        applied = [address for addresses in several for address in addresses]
        assert applied.index("/VMC/Ext/Blend/Apply") == len(applied) - 1
        assert applied.count("/VMC/Ext/Blend/Val") == len(clip.rig)


def test_bones_are_in_the_axes_of_unity(tmp_path):
    """To the character's left is to -X there; Y stays up, the face looks along +Z."""
    clip = probe("vrm", frames=2)
    path = tmp_path / "take.osc"
    write_clip(clip, path)
    bones = {}
    for packet in packets(path):
        bundle = OscBundle(packet)
        for part in (bundle.content(i) for i in range(bundle.num_contents)):
            if isinstance(part, OscMessage) and part.address == "/VMC/Ext/Bone/Pos":
                bones[part.params[0]] = part.params[1:]
    assert bones["LeftEye"][0] < 0 < bones["RightEye"][0]
    x, y, z, w = bones["Head"][3:]
    forward = 2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)
    yaw, pitch, _ = clip.pose.angles[1, 0]
    assert (forward[0] < 0) == (yaw > 0)
    assert (forward[1] < 0) == (pitch > 0)


def test_names_are_spelled_as_asked(tmp_path):
    path = tmp_path / "take.osc"
    write_clip(probe("vrm", frames=1), path, settings={"names": "vrm0"})
    data = path.read_bytes()
    assert all(f"{name}\0".encode() in data for name in ("Blink_L", "Joy", "Fun", "LookUp"))
    assert b"blinkLeft" not in data


def test_nothing_is_before_the_beginning(tmp_path):
    with pytest.raises(ExportError, match="counts time from 0"):
        write_clip(probe("vrm"), tmp_path / "take.osc", start=-2)


def test_a_receiver_hears_the_example(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import send_vmc

    path = tmp_path / "take.osc"
    write_clip(probe("vrm", frames=5), path, start=0)
    heard: list[tuple[str, tuple]] = []
    everything = Dispatcher()
    everything.set_default_handler(lambda address, *values: heard.append((address, values)))
    with BlockingOSCUDPServer(("127.0.0.1", 0), everything) as server:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        send_vmc.main(str(path), port=str(server.server_address[1]), pace=0)
        for _ in range(200):
            if sum(address == "/VMC/Ext/Blend/Apply" for address, _ in heard) == 5:
                break
            threading.Event().wait(0.02)
        server.shutdown()
        thread.join()
    curves = read_vmc(path)
    values = [v[1] for address, v in heard if address == "/VMC/Ext/Blend/Val" and v[0] == "aa"]
    assert values == pytest.approx(curves["aa"].values.tolist())
    assert sys.modules.pop("send_vmc")


def test_the_container_is_that_of_a_binary_score(tmp_path):
    path = tmp_path / "take.osc"
    write_clip(probe("vrm", frames=3), path, start=Fraction(1, 2))
    data = path.read_bytes()
    (length,) = struct.unpack_from(">i", data)
    assert data[4:12] == b"#bundle\0"
    assert struct.unpack_from(">Q", data, 12) == (1 << 31,)
    assert data[4 + length + 4 :].startswith(b"#bundle\0")
