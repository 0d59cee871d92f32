"""Draw predicted and tracked lips over time for a good, a median and a bad clip.

    python benchmarks/pictures.py DEVSET [--pred build/devset] [--out build/pictures]
                                  [--clips ID ...] [--publishable] [--seconds 8]

DEVSET is the folder that `benchmarks/devset.py` scores, PRED the folder with its predictions.
Clips are ranked by r of the lip gap at zero lag. The license of most clips permits measuring only;
`--publishable` omits those.
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
from facesdk.render.software.bitmap_font import draw_text

MEASURE_ONLY = "measurement-only"
PLACES = ("good", "median", "bad")

WIDTH, HEIGHT = 1600, 560
LEFT, RIGHT = 150, 30
GAP, MARKS, LEVEL = (70, 330), (350, 410), (430, 510)
"""First and last row of each part of an image."""

PAPER, INK, FAINT, GRID = (252, 252, 250), (40, 44, 52), (128, 132, 140), (226, 227, 228)
TRACKED, PREDICTED, SOUND = (38, 92, 160), (226, 106, 28), (150, 156, 166)


@dataclass(frozen=True)
class ClipFigure:
    """The curves to draw for one clip; times in seconds, gaps from 0 (shut) to 1 (open)."""

    title: str
    caption: str
    times: np.ndarray
    tracked: np.ndarray
    predicted: np.ndarray
    closures: tuple[list, list]
    """Tracked and predicted closures: minimum, start, end, whether the other curve has it too."""
    level_times: np.ndarray
    level: np.ndarray
    """dB relative to the 95th percentile of the clip."""


# ------------------------------------------------------------------------------- what to draw


def load_scorer(devset: Path) -> ModuleType:
    """Return the `score.py` of the devset as a module."""
    spec = importlib.util.spec_from_file_location("devset_score", devset / "score.py")
    if spec is None or spec.loader is None or not (devset / "score.py").is_file():
        raise SystemExit(f"{devset} has no score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def zero_lag_r(scorer: ModuleType, clip: Any, prediction: Any) -> float:
    """Return the correlation of the lip gaps where the face was tracked."""
    gap = prediction.at("aperture", clip.t, clip.fps)
    return scorer.pooled_r([(gap[clip.ok], clip.sig["aperture"][clip.ok])])


def best_lag(scorer: ModuleType, clip: Any, prediction: Any) -> int:
    """Return the delay in milliseconds of the prediction for this clip."""
    gap = clip.sig["aperture"]
    at = [scorer.pooled_r([(prediction.at("aperture", clip.t + lag, clip.fps), gap)])
          for lag in scorer.LAGS]  # fmt: skip
    return round(1000 * float(scorer.LAGS[int(np.argmax(at))]))


def clip_figure(
    scorer: ModuleType, clip: Any, prediction: Any, place: str, seconds: float
) -> ClipFigure:
    """Return the curves of the part of a clip with the most closures."""
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
    in_range = (clip.tdb >= start) & (clip.tdb <= min(start + seconds, clip.t[-1]))
    r, lag = zero_lag_r(scorer, clip, prediction), best_lag(scorer, clip, prediction)
    return ClipFigure(
        f"{clip.speaker} ({clip.m['language']}), {place}",
        f"whole clip at zero lag: r {r:.2f}, closure F1 {f1:.2f} ({right} of {len(found[0])} "
        f"found, {len(found[1]) - right} too many), best lag {lag:+d} ms",
        clip.t[kept],
        scaled[0][kept],
        scaled[1][kept],
        ([(*s, i in shared[0]) for i, s in enumerate(found[0])],
         [(*s, i in shared[1]) for i, s in enumerate(found[1])]),
        clip.tdb[in_range],
        (clip.db - np.percentile(clip.db, 95))[in_range],
    )  # fmt: skip


def matched(tracked: Sequence, predicted: Sequence, *, slack: float) -> tuple[set, set]:
    """Return the indices of matching tracked and predicted closures, paired as by the scorer."""
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
    """Return the start of the range of `seconds` with the most moments."""
    starts = np.arange(0, max(end - seconds, 0) + 0.01, 0.5)
    inside = [sum(start <= m <= start + seconds for m in moments) for start in starts]
    return float(starts[int(np.argmax(inside))])


# ------------------------------------------------------------------------------- drawing


class Plot:
    """An image with time along its columns."""

    def __init__(self, begin: float, end: float) -> None:
        self.picture = np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8)
        self._begin, self._end = begin, end

    def column(self, time: float) -> int:
        share = (time - self._begin) / (self._end - self._begin)
        return LEFT + round(share * (WIDTH - LEFT - RIGHT))

    def text(self, words: str, x: int, y: int, color=INK, *, scale: int = 2) -> None:
        draw_text(self.picture, words, x, y, color, scale=scale)

    def box(self, x: int, y: int, width: int, height: int, color) -> None:
        self.picture[y : y + height, x : x + width] = color

    def curve(self, times, values, rows, limits, color, *, fill=None) -> None:
        """Draw a smooth line three pixels thick; `fill` is the color below it."""
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
    """Return the rows that a round brush covers in each column."""
    reach = int(radius)
    tops, bottoms = [], []
    for step in range(-reach, reach + 1):
        across = np.sqrt(radius**2 - step**2)
        tops.append(np.pad(top, reach, "edge")[reach + step :][: len(top)] - across)
        bottoms.append(np.pad(bottom, reach, "edge")[reach + step :][: len(top)] + across)
    return np.min(tops, axis=0), np.max(bottoms, axis=0)


def draw(figure: ClipFigure) -> np.ndarray:
    """Return an (H, W, 3) image of one clip: lip gaps, closures, audio level."""
    plot = Plot(float(figure.times[0]), float(figure.times[-1]))
    plot.text(figure.title, 24, 14, scale=2)
    plot.text(figure.caption, 24, 38, FAINT, scale=2)
    _legend(plot)
    _axes(plot, float(figure.times[0]), float(figure.times[-1]))
    limits = (-0.1, 1.35)
    plot.curve(figure.times, figure.tracked, GAP, limits, TRACKED, fill=(222, 232, 244))
    plot.curve(figure.times, figure.predicted, GAP, limits, PREDICTED)
    for row, (shuts, color) in enumerate(zip(figure.closures, (TRACKED, PREDICTED), strict=True)):
        _marks(plot, shuts, MARKS[0] + 34 * row, color, figure.times)
    plot.curve(figure.level_times, figure.level, LEVEL, (-50, 8), SOUND, fill=(234, 236, 239))
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
    """Draw a bar for every closure, filled if the other curve has it too."""
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
    """Return the good, median and bad clip of (r, clip)."""
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
        figure = clip_figure(scorer, clips[clip], predictions[clip], place, args.seconds)
        drawn.append(draw(figure))
        print(json.dumps({"place": place, "clip": clip, "caption": figure.caption}))
    with (args.out / "lips.png").open("wb") as file:
        write_png(np.concatenate(drawn), file)
    print(f"written: {args.out / 'lips.png'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
