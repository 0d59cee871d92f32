"""A whole USD scene: a skeleton, the clips it plays, a head on it, the recording."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING

from ...source import FrameSource, OffsetSource
from ..driven import chosen_head
from ..fbx.skeleton import joint_places
from ..options import Setting, WriteOptions, settle
from ..spool import spooled
from .animation import Played, Take, add_animation
from .figure import add_skeleton
from .layer import Layer, Prim, identifiers

if TYPE_CHECKING:
    from ...mesh import Head

SETTINGS = (
    Setting("mesh", True, "with a head; without, joints and weights alone"),
    Setting("unit", "m", "what a unit of length is", ("m", "cm")),
)

ROOT = "Face"
VARIANTS = "clip"
"""Variant set that chooses between several clips."""


@contextmanager
def scene(clips: Mapping[str, FrameSource], options: WriteOptions) -> Iterator[Layer]:
    """The layer of several clips, whose numbers lie on disk until it is written.

    A time code is a frame of the first clip. Raises `ExportError` for a head where none is wanted
    and for names that USD cannot hold.
    """
    settings = settle(SETTINGS, options.settings)
    head = chosen_head(options, bool(settings["mesh"]))
    unit = 0.01 if settings["unit"] == "cm" else 1.0
    with ExitStack() as stack:
        takes = [
            Take(name, source, stack.enter_context(spooled(Played(source, head))))
            for name, source in clips.items()
        ]
        rate = takes[0].source.info.fps
        yield Layer(_facts(takes, rate, unit), _root(takes, rate, head, 1 / unit, options))


def _facts(takes: Sequence[Take], rate: Fraction, unit: float) -> Mapping[str, str | float]:
    spans = [take.span(rate) for take in takes]
    return {
        "defaultPrim": ROOT,
        "endTimeCode": max(end for _, end in spans),
        "framesPerSecond": float(rate),
        "metersPerUnit": unit,
        "startTimeCode": min(begin for begin, _ in spans),
        "timeCodesPerSecond": float(rate),
        "upAxis": "Y",
    }


def _root(
    takes: Sequence[Take], rate: Fraction, head: Head | None, scale: float, options: WriteOptions
) -> Prim:
    root, path = Prim("SkelRoot", ROOT), f"/{ROOT}"
    places = joint_places(head, scale)
    skeleton = add_skeleton(root, places)
    names = identifiers([take.name for take in takes])
    for name, take in zip(names, takes, strict=True):
        add_animation(skeleton, name, take, rate, places, options.tolerance)
    _choose(root, skeleton, names)
    if head is not None:
        from .figure import add_head

        add_head(root, head, path, scale)
    if options.audio is not None:
        _add_audio(root, str(options.audio), takes[0], rate)
    return root


def _choose(root: Prim, skeleton: Prim, names: Sequence[str]) -> None:
    """Let the skeleton play its clip, or the one that a variant names."""

    def play(prim: Prim, name: str) -> Prim:
        prim.point("skel:animationSource", f"/{ROOT}/{skeleton.name}/{name}")
        return prim

    if len(names) == 1:
        play(skeleton, names[0])
    else:
        root.variants = {VARIANTS: {n: play(Prim("", skeleton.name), n) for n in names}}


def _add_audio(root: Prim, path: str, take: Take, rate: Fraction) -> None:
    """A reference to the recording, which begins where the clip's sample 0 is."""
    begin = Fraction(0)
    if isinstance(take.source, OffsetSource):
        begin = Fraction(take.source.samples, take.source.info.sample_rate)
    audio = root.child("SpatialAudio", "Audio")
    audio.add("token", "auralMode", "nonSpatial", uniform=True)
    audio.add("asset", "filePath", path, uniform=True)
    audio.add("token", "playbackMode", "onceFromStart", uniform=True)
    audio.add("timecode", "startTime", float(begin * rate), uniform=True)
