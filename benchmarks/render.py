"""Measure rendering speed of images and videos, and memory over a long video.

    python benchmarks/render.py
    python benchmarks/render.py --minutes 10 --backends gl

Images per second are wall time and need an idle machine; the CPU time per image hardly depends on
other programs.
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


class MovingFace:
    """A source of `count` frames of a moving face, computed while it is read."""

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
    options.add_argument("--minutes", type=float, help="measure memory over a long video")
    args = options.parse_args()
    if args.minutes:
        measure_memory(args.minutes, args.backends.split(",")[0])
        return
    measure_images(args.backends.split(","))
    measure_videos(args.backends.split(","), args.frames)


def measure_images(backends: list[str]) -> None:
    """Print the CPU time of one image on one core."""
    print("drawing only       triangles    size   edges   ms of CPU per image")
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


def measure_videos(backends: list[str], count: int) -> None:
    """Print the images per second of a whole video: shapes, drawing, encoding."""
    head, look = load_head(), Look()
    print(f"\nvideo of {count} images, 512 x 512    processes   images per second")
    for backend in backends:
        for smooth in (True, False):
            for jobs in (1, 2):
                shot = Shot(replace(look, smooth=smooth), backend=backend)
                began = time.perf_counter()
                write_video(MovingFace(count), io.BytesIO(), head, shot, jobs=jobs)
                rate = count / (time.perf_counter() - began)
                edges = "smooth" if smooth else "rough"
                print(f"{resolve_backend(backend, look):<10}{edges:<24}{jobs:>12}{rate:>16.1f}")
    image = np.zeros((512, 512, 3), np.uint8)
    began = time.perf_counter()
    encode_video((image for _ in range(count)), io.BytesIO(), Fraction(30))
    print(f"encoding only {count / (time.perf_counter() - began):>48.1f}")


def measure_memory(minutes: float, backend: str) -> None:
    """Print the resident memory of this process during a video."""
    head, shot = load_head(), Shot(Look(smooth=False, size=(128, 128)), backend=backend)
    count = round(minutes * 60 * 30)

    def on_progress(done: int) -> None:
        if done % (count // 10) == 0:
            print(f"{done:>8} of {count} images {resident():>8.0f} MiB")

    with Path(os.devnull).open("wb") as file:
        write_video(MovingFace(count), file, head, shot, on_progress=on_progress)


def resident() -> float:
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / (1 << 20)


if __name__ == "__main__":
    main()
