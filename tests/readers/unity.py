"""Unity's text assets: parsed by PyYAML, curves as Unity's manual says that it joins keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from . import Curves, Row, Track


def documents(path: Path) -> list[dict[str, Any]]:
    """Every document, its numbers as text; PyYAML's parser alone, which is quick."""
    stack: list[Any] = [[]]
    with path.open(encoding="utf-8") as file:
        for event in yaml.parse(file, yaml.CSafeLoader):
            if isinstance(event, yaml.MappingStartEvent):
                stack.append([dict])
            elif isinstance(event, yaml.SequenceStartEvent):
                stack.append([list])
            elif isinstance(event, yaml.ScalarEvent):
                stack[-1].append(event.value)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                kind, *parts = stack.pop()
                pairs = dict(zip(parts[::2], parts[1::2], strict=True)) if kind is dict else parts
                stack[-1].append(pairs)
    return stack[0]


def clip(path: Path) -> dict[str, Any]:
    (document,) = documents(path)
    return document["AnimationClip"]


def numbers(value: Any) -> list[float]:
    return [float(value[a]) for a in "xyz"] if isinstance(value, dict) else [float(value)]


def keys(curve: dict[str, Any], name: str) -> np.ndarray:
    """(K, n) one entry of all keys."""
    return np.array([numbers(key[name]) for key in curve["m_Curve"]])


def track(curve: dict[str, Any], scale: float, component: int = 0) -> Track:
    """One component of a curve; slopes are per second, and none is weighted."""
    assert {key["weightedMode"] for key in curve["m_Curve"]} == {"0"}
    times = keys(curve, "time")[:, 0]
    values, arriving, leaving = (
        scale * keys(curve, name)[:, component] for name in ("value", "inSlope", "outSlope")
    )

    def at(wanted: np.ndarray) -> np.ndarray:
        i = np.clip(np.searchsorted(times, wanted + 1e-7) - 1, 0, len(times) - 2)
        span = times[i + 1] - times[i]
        t = (wanted - times[i]) / span
        m0, m1 = span * leaving[i], span * arriving[i + 1]
        a = 2 * values[i] - 2 * values[i + 1] + m0 + m1
        b = 3 * (values[i + 1] - values[i]) - 2 * m0 - m1
        return ((a * t + b) * t + m0) * t + values[i]

    return Track(times, values, at)


def read_anim(path: Path) -> Curves:
    """Unity's x is right, its turns are left-handed: yaw about y and roll about z turn over."""
    found: dict[str, Track] = {}
    document = clip(path)
    for entry in document["m_FloatCurves"]:
        assert (entry["path"], entry["classID"]) == ("face", "137")
        name = entry["attribute"].removeprefix("blendShape.")
        found[name] = track(entry["curve"], 0.01)
    for entry in document["m_EulerCurves"]:
        assert entry["curve"]["m_RotationOrder"] == "4"
        joint = entry["path"].rpartition("/")[2]
        for axis, (component, sign) in {"yaw": (1, -1), "pitch": (0, 1), "roll": (2, -1)}.items():
            scale = float(np.radians(sign))
            found[f"pose.{joint}.{axis}"] = track(entry["curve"], scale, component)
    return found


def read_editor(path: Path) -> Curves:
    """The same from what Unity's editor shows, with our prefix and spelling undone."""
    found: dict[str, Track] = {}
    axes = {"y": ("yaw", -1), "x": ("pitch", 1), "z": ("roll", -1)}
    for entry in clip(path)["m_EditorCurves"]:
        if entry["classID"] == "4":
            axis, sign = axes[entry["attribute"].removeprefix("localEulerAnglesRaw.")]
            joint = entry["path"].rpartition("/")[2]
            found[f"pose.{joint}.{axis}"] = track(entry["curve"], float(np.radians(sign)))
        else:
            assert entry["path"] == "Body/Head Mesh"
            name = entry["attribute"].removeprefix("blendShape.Face_BS.")
            found[name[0].lower() + name[1:]] = track(entry["curve"], 0.01)
    return found


EYES = frozenset(f"pose.{e}_eye.{a}" for e in ("left", "right") for a in ("yaw", "pitch", "roll"))
EDITOR = {"editor_curves": True, "prefix": "Face_BS.", "names": "PascalCase",
          "renderer": "Body/Head Mesh", "left_eye": "", "right_eye": ""}  # fmt: skip
ROWS = (
    Row("unity-anim", "PyYAML", read_anim),
    Row("unity-anim", "PyYAML", read_anim, rig="metahuman"),
    Row("unity-anim", "PyYAML, editor curves", read_editor, lost=EYES,
        options={"settings": EDITOR}),
)  # fmt: skip
