"""Sections of an FBX file before and after its objects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..options import Value
from .nodes import CREATION_TIME, FILE_ID, Long, Node, group, prop, properties, ticks
from .settings import CENTIMETERS
from .stacks import Stack
from .times import CUSTOM, TIME_MODES

RIG = "facesdk_rig"
"""Property of the root joint that names the rig of the controls."""

_CREATOR = "facesdk"
_DOCUMENT = 999_999


def opening(stacks: Sequence[Stack], settings: Mapping[str, Value]) -> list[Node]:
    """Return the sections before the definitions."""
    version = int(settings["version"])
    return [
        group(
            "FBXHeaderExtension",
            Node("FBXHeaderVersion", 1003),
            Node("FBXVersion", version),
            Node("EncryptionType", 0),
            Node("Creator", _CREATOR),
        ),
        Node("FileId", FILE_ID),
        Node("CreationTime", CREATION_TIME),
        Node("Creator", _CREATOR),
        _global_settings(stacks, settings["unit"] == CENTIMETERS),
        _documents(stacks[0].name),
        group("References"),
    ]


def _global_settings(stacks: Sequence[Stack], centimeters: bool) -> Node:
    """Return axes (Y up, looking along +Z, character's left at +X), unit and frame rate."""
    axes = {"Up": 1, "Front": 2, "Coord": 0, "OriginalUp": 1}
    factor = 1.0 if centimeters else 100.0
    fps = stacks[0].source.info.fps
    mode = TIME_MODES.get(fps, CUSTOM)
    entries = []
    for name, axis in axes.items():
        entries.append(prop(f"{name}Axis", "int", "Integer", "", axis))
        entries.append(prop(f"{name}AxisSign", "int", "Integer", "", 1))
    entries += [
        prop("UnitScaleFactor", "double", "Number", "", factor),
        prop("OriginalUnitScaleFactor", "double", "Number", "", factor),
        prop("AmbientColor", "ColorRGB", "Color", "", 0.0, 0.0, 0.0),
        prop("DefaultCamera", "KString", "", "", "Producer Perspective"),
        prop("TimeMode", "enum", "", "", mode),
        prop("TimeProtocol", "enum", "", "", 2),
        prop("SnapOnFrameMode", "enum", "", "", 0),
        ticks("TimeSpanStart", min(stack.span[0] for stack in stacks)),
        ticks("TimeSpanStop", max(stack.span[1] for stack in stacks)),
        prop("CustomFrameRate", "double", "Number", "", float(fps) if mode == CUSTOM else -1.0),
    ]
    return group("GlobalSettings", Node("Version", 1000), properties(*entries))


def _documents(active: str) -> Node:
    document = Node(
        "Document",
        Long(_DOCUMENT),
        "",
        "Scene",
        children=[
            properties(
                prop("SourceObject", "object", "", ""),
                prop("ActiveAnimStackName", "KString", "", "", active),
            ),
            Node("RootNode", Long(0)),
        ],
    )
    return group("Documents", Node("Count", 1), document)


def closing(stacks: Sequence[Stack]) -> Node:
    """Return the list of stacks at the end."""
    return group("Takes", Node("Current", stacks[0].name), *map(_take, stacks))


def _take(stack: Stack) -> Node:
    span = tuple(map(Long, stack.span))
    file = re.sub(r"\W+", "_", stack.name) + ".tak"
    return Node(
        "Take",
        stack.name,
        children=[
            Node("FileName", file),
            Node("LocalTime", *span),
            Node("ReferenceTime", *span),
        ],
    )
