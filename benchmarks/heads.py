"""Measure the time to load and to animate a head: `python benchmarks/heads.py`."""

from __future__ import annotations

import time

import numpy as np

from facesdk.mesh import load_head

FRAMES = 300


def main() -> None:
    chance = np.random.default_rng(0)
    print("detail  vertices  triangles  load s  ms/frame  ms/frame with pose")
    for detail in ("low", "high"):
        load = min(timed(lambda: load_head(detail=detail)) for _ in range(3))  # noqa: B023
        head = load_head(detail=detail)
        weights = chance.random((FRAMES, len(head.names)), np.float32)
        pose = chance.normal(0, 0.1, (FRAMES, 4, 3)).astype(np.float32)
        plain, posed = (timed(lambda: sum(len(b) for b in head.blocks(weights, p)))  # noqa: B023
                        for p in (None, pose))  # fmt: skip
        sizes = f"{detail:6}  {len(head.neutral):8}  {len(head.triangles):9}"
        print(f"{sizes}  {load:6.2f}  {plain / FRAMES * 1e3:8.2f}  {posed / FRAMES * 1e3:8.2f}")


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
