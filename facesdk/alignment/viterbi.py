"""The best path of a long recording through a graph of states, in bounded memory.

States are in an order in which every step goes forward or stays. Only states whose score lies
within a beam of the best one are kept. The path is committed as soon as all of them share their
past, so memory grows neither with the length of the recording nor with that of the text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import Columns, Floats

BEAM = 250.0
"""Largest difference in score, in nats, between the best state and one that is kept."""
WIDEST = 6000
"""Largest number of states that are kept."""
_COMMIT = 400
"""Frames between two attempts to commit the path."""

_NEVER = np.float32(-1e30)

ScoreFrames = Callable[[int, int], Floats]
"""Return the (stop - start, classes) log-scores of some frames."""


@dataclass(frozen=True, eq=False)
class Graph:
    """States, and the steps between them."""

    classes: Columns
    """(S,) column of the scores that each state reads."""
    stay: Floats
    """(S,) log-weight of staying for one more frame."""
    before: Columns
    """(S, P) states from which each state is entered, padded with S."""
    weight: Floats
    """(S, P) log-weight of each of these steps."""
    first: Columns
    """States in which a path may begin."""
    last: Columns
    """States in which a path may end."""


def best_path(
    graph: Graph, frames: int, score: ScoreFrames, *, beam: float = BEAM, widest: int = WIDEST
) -> Columns | None:
    """Return the (frames,) best states, or None if no path of this length reaches an end.

    `score` is called for consecutive frames, a few hundred at a time.
    """
    states = len(graph.classes)
    reach = _reach(graph)
    now = np.full(states + 1, _NEVER, np.float32)
    now[graph.first] = 0.0
    low, high = int(graph.first.min()), int(graph.first.max()) + 1
    path = np.empty(frames, np.int64)
    steps: list[tuple[int, np.ndarray]] = []
    done, block, begin = 0, np.empty((0, 0), np.float32), 0
    for frame in range(frames):
        if frame - begin >= len(block):
            begin, block = frame, score(frame, min(frames, frame + _COMMIT))
        if frame:
            stop = min(states, int(reach[high - 1]) + 1)
            low, high = _step(graph, now, low, stop, steps)
        else:
            steps.append((low, np.zeros(high - low, np.uint8)))
        now[low:high] += block[frame - begin, graph.classes[low:high]]
        low, high = _prune(now, low, high, beam, widest)
        if high <= low:
            return None
        if frame - done >= _COMMIT:
            alive = low + np.flatnonzero(now[low:high] > _NEVER / 2)
            done += _commit(graph, steps, alive, path, done)
    ends = graph.last[now[graph.last] > _NEVER / 2]
    if not len(ends):
        return None
    state = int(ends[int(now[ends].argmax())])
    for frame in range(frames - 1, done - 1, -1):
        path[frame] = state
        state = _previous(graph, steps[frame - done], np.array([state]))[0]
    return path


def _reach(graph: Graph) -> Columns:
    """Return (S,) the furthest state that can be entered from any state up to each one."""
    states = len(graph.classes)
    furthest = np.arange(states + 1)
    targets = np.repeat(np.arange(states), graph.before.shape[1])
    np.maximum.at(furthest, graph.before.ravel(), targets)
    return np.maximum.accumulate(furthest[:states])


def _step(
    graph: Graph, now: Floats, low: int, stop: int, steps: list[tuple[int, np.ndarray]]
) -> tuple[int, int]:
    """Advance the scores by one frame in place; return the range of states that may be alive."""
    here = slice(low, stop)
    best = now[here] + graph.stay[here]
    came = np.zeros(stop - low, np.uint8)
    for column in range(graph.before.shape[1]):
        other = now[graph.before[here, column]] + graph.weight[here, column]
        better = other > best
        best = np.where(better, other, best)
        came[better] = column + 1
    now[here] = np.maximum(best, _NEVER)
    steps.append((low, came))
    return low, stop


def _prune(now: Floats, low: int, high: int, beam: float, widest: int) -> tuple[int, int]:
    """Drop states far below the best one, in place, and return the range of the others.

    The best score becomes 0, which keeps the precision of float32 over hours.
    """
    part = now[low:high]
    top = part.max(initial=_NEVER)
    if top <= _NEVER / 2:
        return low, low
    part -= top
    part[part < -beam] = _NEVER
    alive = np.flatnonzero(part > _NEVER / 2)
    first, last = int(alive[0]), int(alive[-1]) + 1
    if last - first > widest:
        middle = int(part.argmax())
        first = min(max(first, middle - widest // 2), last - widest)
        last = first + widest
    part[:first] = part[last:] = _NEVER
    return low + first, low + last


def _previous(graph: Graph, step: tuple[int, np.ndarray], states: Columns) -> Columns:
    """Return the states one frame earlier."""
    low, came = step
    column = came[states - low].astype(np.intp)
    entered = graph.before[states, np.maximum(column, 1) - 1]
    return np.where(column == 0, states, entered)


def _commit(
    graph: Graph,
    steps: list[tuple[int, np.ndarray]],
    alive: Columns,
    path: Columns,
    done: int,
) -> int:
    """Write the part of the path that all living states share, and return its length."""
    history: list[Columns] = []
    for step in reversed(steps):
        history.append(alive)
        alive = np.unique(_previous(graph, step, alive))
    history.reverse()
    shared = 0
    for index, states in enumerate(history):
        if len(states) == 1:
            shared = index + 1
    for index in range(shared - 1, -1, -1):
        if index == shared - 1:
            path[done + index] = history[index][0]
        else:
            later = path[done + index + 1 : done + index + 2]
            path[done + index] = _previous(graph, steps[index + 1], later)[0]
    del steps[:shared]
    return shared
