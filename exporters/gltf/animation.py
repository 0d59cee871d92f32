"""Clips as animations of a glTF document: samplers of weights, rotations, translations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...clip import POSE_JOINTS
from ...errors import ExportError
from ...mesh.rotation import quaternions
from ...source import FrameSource
from ..keys import LinearKeys
from ..rotations import rotation_keys
from ..spool import Spool
from .document import Document

Array = NDArray[Any]

_RUN = 1024
"""Frames whose numbers are in memory at once."""


class Animation:
    """One clip's animation, from the channels in a spool."""

    def __init__(
        self, document: Document, source: FrameSource, spool: Spool, tolerance: float | None
    ) -> None:
        """Raises `ExportError` for times that glTF cannot tell apart."""
        self._document = document
        self._source = source
        self._spool = spool
        self._tolerance = tolerance
        self._start = source.info.start
        self._samplers: list[dict[str, Any]] = []
        self._channels: list[dict[str, Any]] = []
        self._every: int | None = None
        self._check_times()

    def _check_times(self) -> None:
        last = self._start + max(self._spool.frames - 1, 0) / self._source.info.fps
        if self._start < 0:
            raise ExportError(
                f"glTF has no time before 0, the clip begins at {float(self._start):g} s; "
                "give it another start"
            )
        if np.spacing(np.float32(last)) > 0.5 / self._source.info.fps:
            raise ExportError(
                f"glTF counts time in float32, which is too coarse for "
                f"{float(self._source.info.fps):g} frames per second at {float(last):g} s; "
                "give the clip an earlier start"
            )

    def weights(self, nodes: Iterable[int], weighed: Callable[[Array], Array]) -> None:
        """Add weights of nodes with shared keys: (n, S) weights for (n, C) rows of all channels."""
        keys = self._shared_keys(weighed)
        count = self._spool.frames if keys is None else len(keys)
        width = weighed(np.zeros((1, len(self._spool.names)), np.float32)).shape[1]
        rows = (weighed(row) for row in self._rows(keys))
        output = self._document.stream(rows, count * width, 1)
        sampler = self._sampler(self._times(keys), output)
        for node in nodes:
            self._channel(sampler, node, "weights")

    def rotations(self, nodes: Iterable[int]) -> None:
        """Add the rotations of joints, if any; nodes are in the order of `Pose.angles`."""
        for joint, node in enumerate(nodes):
            if self._spool.has_pose:
                first = len(self._spool.names) - 3 * (len(POSE_JOINTS) - joint)
                self.rotation(node, itemgetter((slice(None), slice(first, first + 3))))

    def rotation(
        self,
        node: int,
        angles: Callable[[Array], Array],
        *,
        placed: Callable[[Array], Array] = np.asarray,
    ) -> None:
        """Add a rotation of a node: (n, 3) yaw, pitch, roll for (n, C) rows of all channels.

        `placed` turns (n, 4) quaternions into those of the node, which keep their distances.
        """
        if self._tolerance is not None:
            whole = np.concatenate([angles(rows) for rows in self._spool.rows()])
            keys, turns = rotation_keys(whole, self._tolerance)
            if len(keys) * 5 < self._spool.frames * 4:  # their own times take a number per key
                output = self._document.stream([placed(turns)], len(keys), 4)
                self._channel(self._sampler(self._times(keys), output), node, "rotation")
                return
        turned = (placed(quaternions(angles(rows))) for rows in self._spool.rows())
        output = self._document.stream(turned, self._spool.frames, 4)
        self._channel(self._sampler(self._times(None), output), node, "rotation")

    def shift(self, node: int, channel: int) -> None:
        """Add one channel as the translation of a node along X, as VRM stores expressions."""
        curve = self._spool.curve(channel)
        keys = None if self._tolerance is None else curve.frames
        moved = np.zeros((len(curve.frames), 3), np.float32)
        moved[:, 0] = curve.values
        output = self._document.stream([moved], len(moved), 3)
        self._channel(self._sampler(self._times(keys), output), node, "translation")

    def finish(self, name: str, rig: str = "") -> None:
        """Add the animation under a name; `rig` names the rig of the clip if `source` has another.

        glTF has no animation without frames.
        """
        if not self._channels:
            return
        source = self._source
        facts = {
            "rig": rig or source.info.rig.name,
            "fps": [source.info.fps.numerator, source.info.fps.denominator],
            "sample_rate": source.info.sample_rate,
            "start_sample": source.info.start_sample,
            "events": [
                {"sample": e.sample, "name": e.name, "data": dict(e.data)}
                for e in source.info.events
            ],
        }
        entry = {"name": name, "channels": self._channels, "samplers": self._samplers}
        self._document.add("animations", entry | {"extras": {"facesdk": facts}})

    # ---------------------------------------------------------------- samplers

    def _rows(self, keys: Array | None) -> Iterator[Array]:
        """Yield the channels of every frame or of the keys, some at a time."""
        begin = 0
        for row in self._spool.rows():
            if keys is None:
                yield row
            else:
                first, last = np.searchsorted(keys, [begin, begin + len(row)])
                yield row[keys[first:last] - begin]
            begin += len(row)

    def _shared_keys(self, weighed: Callable[[Array], Array]) -> Array | None:
        if self._tolerance is None:
            return None
        chooser: LinearKeys | None = None
        kept = []
        for row in map(weighed, self._spool.rows()):
            chooser = chooser or LinearKeys(row.shape[1], self._tolerance, shared=True)
            kept.append(chooser.push(row).any(1))
        last = [] if chooser is None else [chooser.flush().any(1)]
        keys = np.flatnonzero(np.concatenate([*kept, *last]))
        return keys if len(keys) < self._spool.frames else None

    def _times(self, keys: Array | None) -> int:
        """Return the accessor of the seconds of every frame, which samplers share, or of keys."""
        if keys is not None:
            return self._instants(keys, len(keys))
        if self._every is None:
            self._every = self._instants(None, self._spool.frames)
        return self._every

    def _instants(self, keys: Array | None, count: int) -> int:
        ends = np.array([0, count - 1]) if keys is None else keys[[0, -1]]
        parts = (
            self._seconds(
                np.arange(i, min(i + _RUN, count)) if keys is None else keys[i : i + _RUN]
            )
            for i in range(0, count, _RUN)
        )
        return self._document.stream(parts, count, 1, bounds=self._seconds(ends))

    def _seconds(self, frames: Array) -> Array:
        fps = self._source.info.fps
        seconds = float(self._start) + frames * fps.denominator / fps.numerator
        return seconds.astype(np.float32)[:, None]

    def _sampler(self, times: int, output: int) -> int:
        self._samplers.append({"input": times, "interpolation": "LINEAR", "output": output})
        return len(self._samplers) - 1

    def _channel(self, sampler: int, node: int, path: str) -> None:
        self._channels.append({"sampler": sampler, "target": {"node": node, "path": path}})
