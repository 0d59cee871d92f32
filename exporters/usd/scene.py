"""A whole USD scene: a skeleton, the clips it plays, a head on it, the recording."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING

from ...source import FrameSource, OffsetSource
from ..options import Setting, WriteOptions, with_defaults
from ..scene.head_curves import chosen_head
from ..scene.placeholder import placeholder
from ..scene.skeleton import joint_places
from ..spool import spooled
from .animation import SkeletonCurves, SpooledClip, add_animation
from .figure import add_skeleton
from .layer import Layer, Prim, identifiers

if TYPE_CHECKING:
    from ...mesh import Head

SETTINGS = (
    Setting("mesh", True, "a head with its shapes; no for a triangle that carries the curves"),
    Setting("unit", "m", "what a unit of length is", ("m", "cm")),
)

ROOT = "Face"
VARIANTS = "clip"
"""Variant set that chooses between several clips."""


@contextmanager
def scene(clips: Mapping[str, FrameSource], options: WriteOptions) -> Iterator[Layer]:
    """Build the layer of several clips, whose numbers stay on disk until it is written.

    A time code is a frame of the first clip. Raises `ExportError` for names that USD cannot hold.
    """
    settings = with_defaults(SETTINGS, options.settings)
    head = chosen_head(options, bool(settings["mesh"]))
    unit = 0.01 if settings["unit"] == "cm" else 1.0
    with ExitStack() as stack:
        spooled_clips = [
            SpooledClip(name, source, stack.enter_context(spooled(SkeletonCurves(source, head))))
            for name, source in clips.items()
        ]
        rate = spooled_clips[0].source.info.fps
        root = _root(spooled_clips, rate, head, 1 / unit, options)
        yield Layer(_facts(spooled_clips, rate, unit), root)


def _facts(clips: Sequence[SpooledClip], rate: Fraction, unit: float) -> Mapping[str, str | float]:
    spans = [clip.span(rate) for clip in clips]
    return {
        "defaultPrim": ROOT,
        "endTimeCode": max(end for _, end in spans),
        "framesPerSecond": float(rate),
        "metersPerUnit": unit,
        "startTimeCode": min(begin for begin, _ in spans),
        "timeCodesPerSecond": float(rate),
        "upAxis": "Y",
    }


def _controls(clips: Sequence[SpooledClip]) -> list[str]:
    """Return the controls of all clips."""
    return list(dict.fromkeys(n for clip in clips for n in clip.source.info.rig.names))


def _root(
    clips: Sequence[SpooledClip],
    rate: Fraction,
    head: Head | None,
    scale: float,
    options: WriteOptions,
) -> Prim:
    """Return the root prim, with a head or what stands for one."""
    from .figure import add_head

    root, path = Prim("SkelRoot", ROOT), f"/{ROOT}"
    places = joint_places(head or options.mesh, scale)
    skeleton = add_skeleton(root, places)
    names = identifiers([clip.name for clip in clips])
    for name, clip in zip(names, clips, strict=True):
        add_animation(skeleton, name, clip, rate, places, options.tolerance)
    _choose(root, skeleton, names)
    if head is not None:
        add_head(root, head, path, scale)
    else:
        triangle = placeholder(_controls(clips), options)
        add_head(root, triangle, path, scale, name=triangle.name)
    if options.audio is not None:
        _add_audio(root, options.audio_path, clips[0], rate)
    return root


def _choose(root: Prim, skeleton: Prim, names: Sequence[str]) -> None:
    """Make the skeleton play its clip, or the one that a variant names."""

    def play(prim: Prim, name: str) -> Prim:
        prim.point("skel:animationSource", f"/{ROOT}/{skeleton.name}/{name}")
        return prim

    if len(names) == 1:
        play(skeleton, names[0])
    else:
        root.variants = {VARIANTS: {n: play(Prim("", skeleton.name), n) for n in names}}


def _add_audio(root: Prim, path: str, clip: SpooledClip, rate: Fraction) -> None:
    """A reference to the recording, which begins where the clip's sample 0 is."""
    begin = Fraction(0)
    if isinstance(clip.source, OffsetSource):
        begin = Fraction(clip.source.samples, clip.source.info.sample_rate)
    audio = root.child("SpatialAudio", "Audio")
    audio.add("token", "auralMode", "nonSpatial", uniform=True)
    audio.add("asset", "filePath", path, uniform=True)
    audio.add("token", "playbackMode", "onceFromStart", uniform=True)
    audio.add("timecode", "startTime", float(begin * rate), uniform=True)
