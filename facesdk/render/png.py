"""Write PNG files with the standard library only."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_KINDS = {3: 2, 4: 6}
"""PNG color type by number of channels."""

_UP = 2
"""Row filter that stores differences from the row above."""


def write_png(image: NDArray[np.uint8], file: BinaryIO, *, level: int = 6) -> None:
    """Write an (H, W, 3) or (H, W, 4) image; `level` is the compression, 0 to 9."""
    height, width, channels = image.shape
    rows = image.reshape(height, width * channels)
    filtered = np.empty((height, 1 + width * channels), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, _KINDS[channels], 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    for name, data in (
        (b"IHDR", header),
        (b"sRGB", b"\0"),
        (b"IDAT", zlib.compress(filtered.tobytes(), level)),
        (b"IEND", b""),
    ):
        file.write(struct.pack(">I", len(data)) + name + data)
        file.write(struct.pack(">I", zlib.crc32(name + data)))
