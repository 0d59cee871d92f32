"""Send a line to a VRM avatar: `python examples/send_vmc.py [RECORDING.osc] [HOST] [PORT]`.

VSeeFace, VMC4UE, EVMC4U, Warudo and others listen on port 39539. Without a recording the example
line is baked; write others with `facesdk bake line.wav -o line.osc --format vmc`. Packets are sent
at the time of their tag, with the tag set to *immediately*.
"""

import argparse
import io
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import facesdk
from facesdk.exporters import write_clip

HELLO = Path(__file__).with_name("hello.wav")
IMMEDIATELY = struct.pack(">Q", 1)


def packets(recording: bytes) -> Iterator[tuple[float, bytes]]:
    """Yield the time in seconds and the data of every packet, in the order of the recording."""
    place = 0
    while place < len(recording):
        length = int.from_bytes(recording[place : place + 4], "big")
        packet = recording[place + 4 : place + 4 + length]
        if length < 16 or len(packet) < length:
            raise ValueError("not a VMC recording; write one with facesdk bake --format vmc")
        yield int.from_bytes(packet[8:16], "big") / 2**32, packet[:8] + IMMEDIATELY + packet[16:]
        place += 4 + length


def hello() -> bytes:
    """Return the example line as a recording for the presets of VRM."""
    file = io.BytesIO()
    write_clip(facesdk.bake(HELLO, rig="vrm", fps=60), file, "vmc")
    return file.getvalue()


def main(
    recording: str = "", host: str = "127.0.0.1", port: int | str = 39539, *, pace: float = 1
) -> None:
    """Send all packets; `pace` 0 sends them at once."""
    data = Path(recording).read_bytes() if recording else hello()
    sent = 0
    begin = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for seconds, packet in packets(data):
            time.sleep(max(0.0, begin + seconds * pace - time.monotonic()))
            udp.sendto(packet, (host, int(port)))
            sent += 1
    print(f"{sent} packets to {host}:{port} in {time.monotonic() - begin:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recording", nargs="?", default="")
    parser.add_argument("host", nargs="?", default="127.0.0.1")
    parser.add_argument("port", nargs="?", type=int, default=39539)
    try:
        main(**vars(parser.parse_args()))
    except (facesdk.FaceSDKError, OSError, ValueError, OverflowError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
