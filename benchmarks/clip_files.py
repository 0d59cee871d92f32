"""An hour of animation through every clip format: seconds of CPU, megabytes, memory.

Usage: python benchmarks/clip_files.py [minutes]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from facesdk import Frame, Rig
from facesdk.exporters import formats, open_clip, read_clip, write_clip
from facesdk.source import Block, ClipInfo, blocks_of, frames


class Noise:
    """Frames on the ARKit rig at 60 fps that are made when they are asked for."""

    info = ClipInfo(Rig.load("arkit"), Fraction(60))

    def __init__(self, minutes: float) -> None:
        self._count = int(minutes * 3600)
        self._values = np.random.default_rng(0).random((997, len(self.info.rig)), np.float32)

    def blocks(self) -> Iterator[Block]:
        """Blocks of frames that exist one at a time."""
        return blocks_of(self._frames(), self.info.rig)

    def _frames(self) -> Iterator[Frame]:
        for i in range(self._count):
            yield Frame(i, i * 800 // 3, self._values[i % 997])


def timed(work) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def stream(path: Path, name: str) -> None:
    with open_clip(path, name) as source:
        for _ in frames(source):
            pass


def memory() -> str:
    """Peak so far, where the system tells."""
    try:
        import resource
    except ImportError:
        return "unknown"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    source = Noise(minutes)
    print(f"{minutes:g} minutes at 60 fps, {len(source.info.rig)} controls; peak {memory()}")
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / name for name in formats()}
        for name, path in paths.items():
            seconds = timed(lambda p=path, n=name: write_clip(source, p, n))
            size = path.stat().st_size / 2**20
            print(f"{name:14} write {seconds:6.1f} s  {size:6.0f} MB  peak {memory()}")
        for name, path in paths.items():
            seconds = timed(lambda p=path, n=name: stream(p, n))
            print(f"{name:14} read row by row {seconds:6.1f} s  peak {memory()}")
        seconds = timed(lambda: read_clip(paths["json"], "json"))
        print(f"{'json':14} read as a clip  {seconds:6.1f} s  peak {memory()}")


if __name__ == "__main__":
    main()
