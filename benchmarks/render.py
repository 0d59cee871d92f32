"""How fast films are drawn, what limits it, and whether memory stays flat.

    python benchmarks/render.py
    python benchmarks/render.py --minutes 10 --backends gl

Pictures a second are wall time and need an idle machine; the milliseconds of processor time that
one picture costs on a core hardly depend on what else runs.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from facesdk import Rig
from facesdk.clip import Block, ClipInfo
from facesdk.mesh import load_head
from facesdk.render import Look, Shot, camera, encode_video, painter, resolve_backend, write_video

RIG = Rig.load("arkit")


class Chatter:
    """Frames of a face that moves, as many as asked for, none of them held."""

    info = ClipInfo(RIG, Fraction(30))

    def __init__(self, count: int) -> None:
        self.count = count

    def blocks(self) -> Iterator[Block]:
        rng = np.random.default_rng(0)
        speeds, phases = rng.uniform(2, 9, len(RIG)), rng.uniform(0, 6, len(RIG))
        for index in range(self.count):
            values = 0.15 + 0.15 * np.sin(speeds * index / 30 + phases)
            yield Block(values.astype(np.float32)[None], None)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backends", default="gl,software")
    options.add_argument("--frames", type=int, default=300)
    options.add_argument("--minutes", type=float, help="watch memory over so long a film instead")
    args = options.parse_args()
    if args.minutes:
        watch_memory(args.minutes, args.backends.split(",")[0])
        return
    one_picture(args.backends.split(","))
    films(args.backends.split(","), args.frames)


def one_picture(backends: list[str]) -> None:
    """Processor time of one picture, one core."""
    print("drawing alone      triangles    size   edges   ms of processor a picture")
    for detail in ("low", "high"):
        head = load_head(detail=detail)
        points, view = head.vertices(np.zeros((1, len(head.names))))[0], camera(head)
        for side in (256, 512, 1024):
            for smooth in (True, False):
                for backend in backends:
                    draw = painter(head, Look(size=(side, side), smooth=smooth), backend)
                    draw.paint(points, view)
                    began = time.process_time()
                    for _ in range(8):
                        draw.paint(points, view)
                    cost = (time.process_time() - began) / 8 * 1000
                    edges = "smooth" if smooth else "rough"
                    triangles = len(head.triangles)
                    print(f"{backend:<16}{triangles:>12}{side:>8}  {edges:>6}{cost:>14.1f}")
                    if hasattr(draw, "close"):
                        draw.close()


def films(backends: list[str], count: int) -> None:
    """Pictures a second of a whole film: shapes, drawing, encoding."""
    head, look = load_head(), Look()
    print(f"\nfilm of {count} pictures, 512 x 512    processes   pictures a second")
    for backend in backends:
        for smooth in (True, False):
            for jobs in (1, 2):
                shot = Shot(replace(look, smooth=smooth), backend=backend)
                began = time.perf_counter()
                write_video(Chatter(count), io.BytesIO(), head, shot, jobs=jobs)
                rate = count / (time.perf_counter() - began)
                edges = "smooth" if smooth else "rough"
                print(f"{resolve_backend(backend, look):<10}{edges:<24}{jobs:>12}{rate:>16.1f}")
    picture = np.zeros((512, 512, 3), np.uint8)
    began = time.perf_counter()
    encode_video((picture for _ in range(count)), io.BytesIO(), Fraction(30))
    print(f"encoding alone{count / (time.perf_counter() - began):>48.1f}")


def watch_memory(minutes: float, backend: str) -> None:
    """Resident memory of this process as the film goes on."""
    head, shot = load_head(), Shot(Look(smooth=False, size=(128, 128)), backend=backend)
    count = round(minutes * 60 * 30)

    def on_progress(done: int) -> None:
        if done % (count // 10) == 0:
            print(f"{done:>8} of {count} pictures {resident():>8.0f} MiB")

    with Path(os.devnull).open("wb") as file:
        write_video(Chatter(count), file, head, shot, on_progress=on_progress)


def resident() -> float:
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / (1 << 20)


if __name__ == "__main__":
    main()
