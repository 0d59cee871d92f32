"""Write and read an hour of animation in every clip format: CPU seconds, megabytes, peak memory.

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

from facesdk import ClipInfo, Rig
from facesdk.clip import Block
from facesdk.exporters import EXPORTERS, open_clip, read_clip, write_clip
from facesdk.source import BLOCK_FRAMES


class Noise:
    """A source of noise at 60 fps, computed while it is read."""

    def __init__(self, rig: Rig, minutes: float) -> None:
        self.info = ClipInfo(rig, Fraction(60))
        self._count = int(minutes * 3600)
        noise = np.random.default_rng(0).random((997, len(rig)), np.float32)
        self._values = rig.minimum + (rig.maximum - rig.minimum) * noise

    def blocks(self) -> Iterator[Block]:
        for begin in range(0, self._count, BLOCK_FRAMES):
            rows = np.arange(begin, min(begin + BLOCK_FRAMES, self._count)) % 997
            yield Block(self._values[rows], None)


def timed(work) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def stream(path: Path, name: str) -> None:
    with open_clip(path, name) as source:
        for _ in source.blocks():
            pass


def memory() -> str:
    """Return the peak resident memory so far, if the system reports it."""
    try:
        import resource
    except ImportError:
        return "unknown"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    print(f"{minutes:g} minutes at 60 fps; peak {memory()}")
    with tempfile.TemporaryDirectory() as folder:
        paths = {
            name: Path(folder) / f"{name}{f.extension}"
            for name, f in EXPORTERS.items()
            if not f.requires
        }
        for name, path in paths.items():
            source = Noise(Rig.load((EXPORTERS[name].rigs or ("arkit",))[0]), minutes)
            seconds = timed(lambda p=path, n=name, s=source: write_clip(s, p, n))
            size = path.stat().st_size / 2**20
            print(f"{name:14} write {seconds:6.1f} s  {size:6.1f} MB  peak {memory()}")
        for name, path in paths.items():
            if EXPORTERS[name].read is None:
                continue
            seconds = timed(lambda p=path, n=name: stream(p, n))
            print(f"{name:14} read in blocks {seconds:6.1f} s  peak {memory()}")
        seconds = timed(lambda: read_clip(paths["json"], "json"))
        print(f"{'json':14} read as a clip  {seconds:6.1f} s  peak {memory()}")


if __name__ == "__main__":
    main()
