"""Pictures of predicted against tracked lips over time: a good, a median and a bad clip.

    python benchmarks/pictures.py DEVSET [--pred build/devset] [--out build/pictures]
                                  [--clips ID ...] [--publishable] [--seconds 8]

DEVSET is the folder that `benchmarks/devset.py` scores, PRED the folder it wrote predictions to.
Good, median and bad are meant by r of the lip gap at zero lag. The rights of most clips allow
measuring only: `--publishable` leaves those out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from facesdk.render.png import write_png
from facesdk.render.software.bitmap_font import write

MEASURE_ONLY = "measurement-only"
PLACES = ("good", "median", "bad")

WIDTH, HEIGHT = 1600, 560
LEFT, RIGHT = 150, 30
GAP, MARKS, LEVEL = (70, 330), (350, 410), (430, 510)
"""Rows from and to which each part of a picture reaches."""

PAPER, INK, FAINT, GRID = (252, 252, 250), (40, 44, 52), (128, 132, 140), (226, 227, 228)
TRACKED, PREDICTED, SOUND = (38, 92, 160), (226, 106, 28), (150, 156, 166)


@dataclass(frozen=True)
class Story:
    """One clip as it is drawn; times in seconds, gaps in the scorer's scale (0 shut, 1 open)."""

    title: str
    told: str
    times: np.ndarray
    tracked: np.ndarray
    predicted: np.ndarray
    closures: tuple[list, list]
    """Tracked and predicted: lowest moment, start, end, whether the other has it too."""
    level_times: np.ndarray
    level: np.ndarray
    """dB below the loud parts of the clip, 0 at its 95th percentile."""


# ------------------------------------------------------------------------------- what to draw


def load_scorer(devset: Path) -> ModuleType:
    """The devset's own `score.py` as a module."""
    spec = importlib.util.spec_from_file_location("devset_score", devset / "score.py")
    if spec is None or spec.loader is None or not (devset / "score.py").is_file():
        raise SystemExit(f"{devset} has no score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def zero_lag_r(scorer: ModuleType, clip: Any, prediction: Any) -> float:
    """Correlation of the lip gaps where the face was found."""
    gap = prediction.at("aperture", clip.t, clip.fps)
    return scorer.pooled_r([(gap[clip.ok], clip.sig["aperture"][clip.ok])])


def best_lag(scorer: ModuleType, clip: Any, prediction: Any) -> int:
    """Milliseconds by which the prediction is late for this clip."""
    gap = clip.sig["aperture"]
    at = [scorer.pooled_r([(prediction.at("aperture", clip.t + lag, clip.fps), gap)])
          for lag in scorer.LAGS]  # fmt: skip
    return round(1000 * float(scorer.LAGS[int(np.argmax(at))]))


def story(scorer: ModuleType, clip: Any, prediction: Any, place: str, seconds: float) -> Story:
    """What a picture of a clip shows: the stretch with most closures."""
    gaps = [clip.sig["aperture"], prediction.at("aperture", clip.t, clip.fps)]
    scaled = [(gap - low) / span for gap in gaps for low, span in [scorer.norm_range([gap])]]
    found = [
        [shut for shut in scorer.closures(gap, clip.t, clip.fps)
         if scorer._in(clip.speech, shut[0], 15)]
        for gap in scaled
    ]  # fmt: skip
    shared = matched(*found, slack=scorer.TOL)
    right = len(shared[0])
    f1 = 2 * right / max(len(found[0]) + len(found[1]), 1)
    start = _busiest([shut[0] for shut in found[0]], float(clip.t[-1]), seconds)
    kept = (clip.t >= start) & (clip.t <= start + seconds)
    heard = (clip.tdb >= start) & (clip.tdb <= min(start + seconds, clip.t[-1]))
    r, lag = zero_lag_r(scorer, clip, prediction), best_lag(scorer, clip, prediction)
    return Story(
        f"{clip.speaker} ({clip.m['language']}), {place}",
        f"whole clip at zero lag: r {r:.2f}, closure F1 {f1:.2f} ({right} of {len(found[0])} "
        f"found, {len(found[1]) - right} too many), best lag {lag:+d} ms",
        clip.t[kept],
        scaled[0][kept],
        scaled[1][kept],
        ([(*s, i in shared[0]) for i, s in enumerate(found[0])],
         [(*s, i in shared[1]) for i, s in enumerate(found[1])]),
        clip.tdb[heard],
        (clip.db - np.percentile(clip.db, 95))[heard],
    )  # fmt: skip


def matched(tracked: Sequence, predicted: Sequence, *, slack: float) -> tuple[set, set]:
    """Numbers of tracked and of predicted closures that are each other's, as the scorer pairs."""
    ours: set[int] = set()
    theirs: set[int] = set()
    for number, (moment, start, end) in enumerate(tracked):
        free = [k for k, q in enumerate(predicted)
                if k not in ours and start - slack <= q[0] <= end + slack]  # fmt: skip
        if free:
            ours.add(min(free, key=lambda k: abs(predicted[k][0] - moment)))
            theirs.add(number)
    return theirs, ours


def _busiest(moments: Sequence[float], end: float, seconds: float) -> float:
    """Where the stretch of `seconds` begins that holds most moments."""
    starts = np.arange(0, max(end - seconds, 0) + 0.01, 0.5)
    inside = [sum(start <= m <= start + seconds for m in moments) for start in starts]
    return float(starts[int(np.argmax(inside))])


# ------------------------------------------------------------------------------- drawing


class Plot:
    """A picture whose columns are time."""

    def __init__(self, begin: float, end: float) -> None:
        self.picture = np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8)
        self._begin, self._end = begin, end

    def column(self, time: float) -> int:
        share = (time - self._begin) / (self._end - self._begin)
        return LEFT + round(share * (WIDTH - LEFT - RIGHT))

    def text(self, words: str, x: int, y: int, color=INK, *, scale: int = 2) -> None:
        write(self.picture, words, x, y, color, scale=scale)

    def box(self, x: int, y: int, width: int, height: int, color) -> None:
        self.picture[y : y + height, x : x + width] = color

    def curve(self, times, values, rows, limits, color, *, fill=None) -> None:
        """A smooth line three pixels thick; `fill` colours what is below it."""
        low, high = limits
        x = np.arange(LEFT, WIDTH - RIGHT)
        span = (self._end - self._begin) / (WIDTH - LEFT - RIGHT)
        at = self._begin + (np.arange(4 * len(x)) / 4 - 0.375 + x[0] - LEFT) * span
        shown = np.clip((np.interp(at, times, values) - low) / (high - low), -0.03, 1.03)
        y = (rows[1] - shown * (rows[1] - rows[0])).reshape(-1, 4)
        seen = (at.reshape(-1, 4)[:, 0] >= times[0]) & (at.reshape(-1, 4)[:, 3] <= times[-1])
        down = np.arange(HEIGHT)[:, None] + 0.5
        if fill is not None:
            self._blend((down > y.mean(1)) & (down < rows[1]) & seen, x, fill)
        joined = np.concatenate([y, np.roll(y[:, :1], -1, axis=0)], axis=1)
        joined[-1, -1] = y[-1, -1]
        top, bottom = _brushed(joined.min(1), joined.max(1), 1.7)
        cover = np.clip(down + 0.5 - top, 0, 1) * np.clip(bottom - down + 0.5, 0, 1)
        self._blend(cover * seen, x, color)

    def _blend(self, cover, x, color) -> None:
        part = self.picture[:, x]
        share = cover.astype(float)[..., None]
        self.picture[:, x] = np.round(part * (1 - share) + np.array(color) * share)


def _brushed(top: np.ndarray, bottom: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows that a round brush covers in each column, so that steep lines are as thick as flat."""
    reach = int(radius)
    tops, bottoms = [], []
    for step in range(-reach, reach + 1):
        across = np.sqrt(radius**2 - step**2)
        tops.append(np.pad(top, reach, "edge")[reach + step :][: len(top)] - across)
        bottoms.append(np.pad(bottom, reach, "edge")[reach + step :][: len(top)] + across)
    return np.min(tops, axis=0), np.max(bottoms, axis=0)


def draw(told: Story) -> np.ndarray:
    """(H, W, 3) one clip: lip gaps, closures, sound."""
    plot = Plot(float(told.times[0]), float(told.times[-1]))
    plot.text(told.title, 24, 14, scale=2)
    plot.text(told.told, 24, 38, FAINT, scale=2)
    _legend(plot)
    _axes(plot, float(told.times[0]), float(told.times[-1]))
    limits = (-0.1, 1.35)
    plot.curve(told.times, told.tracked, GAP, limits, TRACKED, fill=(222, 232, 244))
    plot.curve(told.times, told.predicted, GAP, limits, PREDICTED)
    for row, (shuts, color) in enumerate(zip(told.closures, (TRACKED, PREDICTED), strict=True)):
        _marks(plot, shuts, MARKS[0] + 34 * row, color, told.times)
    plot.curve(told.level_times, told.level, LEVEL, (-50, 8), SOUND, fill=(234, 236, 239))
    return plot.picture


def _legend(plot: Plot) -> None:
    words = "bars: closures, full where both have it"
    x = WIDTH - RIGHT - 360
    plot.text(words, x - 12 * len(words) - 60, 14, FAINT)
    for words, color in (("tracked", TRACKED), ("predicted", PREDICTED)):
        plot.box(x, 19, 36, 4, color)
        plot.text(words, x + 46, 14)
        x += 190


def _axes(plot: Plot, begin: float, end: float) -> None:
    step = 1.0 if end - begin > 4 else 0.5
    for tick in np.arange(np.ceil(begin / step) * step, end + 1e-6, step):
        x = plot.column(float(tick))
        plot.box(x, GAP[0], 1, LEVEL[1] - GAP[0], GRID)
        words = f"{tick:g} s"
        plot.text(words, min(x - 6 * len(words), WIDTH - 12 * len(words)), LEVEL[1] + 12, FAINT)
    for rows in (GAP, MARKS, LEVEL):
        plot.box(LEFT, rows[1], WIDTH - LEFT - RIGHT, 1, FAINT)
    for words, y in (
        ("lip gap", GAP[0] + 4), ("open", GAP[0] + 54), ("shut", GAP[1] - 34),
        ("tracked", MARKS[0] + 6), ("predicted", MARKS[0] + 40), ("sound", LEVEL[0] + 30),
    ):  # fmt: skip
        color = {"tracked": TRACKED, "predicted": PREDICTED, "open": FAINT, "shut": FAINT}
        plot.text(words, 24, y, color.get(words, INK))


def _marks(plot: Plot, shuts: Sequence, y: int, color, times: np.ndarray) -> None:
    """A bar for every closure: full where the other has it too, else hollow."""
    for _, start, end, both in shuts:
        if end < times[0] or start > times[-1]:
            continue
        x = plot.column(max(start, float(times[0])))
        width = max(plot.column(min(end, float(times[-1]))) - x, 6)
        plot.box(x, y, width, 22, color)
        if not both and width > 6:
            plot.box(x + 3, y + 3, width - 6, 16, PAPER)


# ------------------------------------------------------------------------------- command


def chosen(rated: Sequence[tuple[float, str]]) -> dict[str, str]:
    """Clip by place, out of (r, clip)."""
    ranked = [clip for _, clip in sorted(rated, reverse=True)]
    return dict(zip(PLACES, (ranked[0], ranked[len(ranked) // 2], ranked[-1]), strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("devset", type=Path)
    parser.add_argument("--pred", type=Path, default=Path("build/devset"))
    parser.add_argument("--out", type=Path, default=Path("build/pictures"))
    parser.add_argument("--clips", nargs="+", metavar="ID")
    parser.add_argument("--publishable", action="store_true")
    parser.add_argument("--seconds", type=float, default=8.0, help="longest stretch shown")
    args = parser.parse_args()
    scorer = load_scorer(args.devset)
    clips = {clip.id: clip for clip in scorer.load_clips(str(args.devset), ["video-tracked"])}
    if args.publishable:
        clips = {i: c for i, c in clips.items() if c.m["rights_class"] != MEASURE_ONLY}
    predictions = {
        i: scorer.Pred.from_weights(*scorer.load_pred(str(args.pred / f"{i}.npz"))) for i in clips
    }
    rated = [(zero_lag_r(scorer, clips[i], predictions[i]), i) for i in clips]
    picked = dict(zip(args.clips, args.clips, strict=True)) if args.clips else chosen(rated)
    args.out.mkdir(parents=True, exist_ok=True)
    drawn = []
    for place, clip in picked.items():
        told = story(scorer, clips[clip], predictions[clip], place, args.seconds)
        drawn.append(draw(told))
        print(json.dumps({"place": place, "clip": clip, "told": told.told}))
    with (args.out / "lips.png").open("wb") as file:
        write_png(np.concatenate(drawn), file)
    print(f"written: {args.out / 'lips.png'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
