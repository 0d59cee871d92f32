"""Maps by name, and the shortest chain of them between two rigs."""

from __future__ import annotations

from collections import deque
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from ..clip import Clip
from ..documents import load_json
from ..errors import RigError
from ..files import cache_folder
from ..rig import Rig
from .conversion import Conversion
from .rig_map import RigMap

_MADE_BY_USERS = {"flame": "Make one from your own FLAME model: facesdk flame calibrate MODEL"}
"""Instructions for maps that cannot be distributed, by target rig."""


def conversion(source: str | Rig, target: str | Rig) -> Conversion:
    """Return the conversion from one rig to another through the fewest maps.

    Raises `RigError` naming the rigs that can be reached when no map leads to the target.
    """
    start = source if isinstance(source, Rig) else Rig.load(source)
    goal = target if isinstance(target, Rig) else Rig.load(target)
    if start == goal:
        return Conversion(start, goal)
    paths = _paths(start.name)
    if goal.name not in paths:
        known = ", ".join(reachable(start.name)) or "none"
        raise RigError(
            f"no map leads from rig {start.name!r} to rig {goal.name!r}; reachable rigs: {known}. "
            + _MADE_BY_USERS.get(goal.name, "Give a map file of your own")
        )
    return Conversion(start, goal, tuple(_map(name) for name in paths[goal.name]))


def convert(clip: Clip, target: str | Rig) -> Clip:
    """Return the same performance on another rig."""
    return conversion(clip.rig, target).clip(clip)


def conversion_from_file(path: str | Path) -> Conversion:
    """Load a conversion through a map file."""
    file = Path(path)
    document = load_json(file, "map")
    return Conversion.from_json(document, source=str(file), folder=file.parent)


def reachable(rig: str) -> tuple[str, ...]:
    """Return the rigs that built-in maps and those in `user_maps` lead to from a rig."""
    return tuple(sorted(_paths(rig)))


def map_names() -> tuple[str, ...]:
    """Return the names of the built-in maps, `<source>-to-<target>`."""
    files = (f.name for f in _map_folder().iterdir())
    return tuple(sorted(f.removesuffix(".json") for f in files if f.endswith(".json")))


def user_maps() -> Path:
    """Return the folder of maps made on this machine, which are used like built-in ones."""
    return cache_folder() / "maps"


def _user_map_names() -> tuple[str, ...]:
    own = {f.stem for f in user_maps().glob("*-to-*.json")}
    return tuple(sorted(name for name in own - set(map_names()) if name.count("-to-") == 1))


def _paths(start: str) -> dict[str, tuple[str, ...]]:
    """Return every rig that maps lead to, with the shortest chain of map names."""
    steps = [(name, *name.split("-to-")) for name in (*map_names(), *_user_map_names())]
    paths: dict[str, tuple[str, ...]] = {start: ()}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for name, source, target in steps:
            if source == here and target not in paths:
                paths[target] = (*paths[here], name)
                queue.append(target)
    del paths[start]
    return paths


def _map_folder() -> Traversable:
    return resources.files("facesdk") / "data" / "maps"


def _map(name: str) -> RigMap:
    if name in map_names():
        return _builtin_map(name)
    file = user_maps() / f"{name}.json"
    return RigMap.from_json(load_json(file, "map"), source=str(file), folder=file.parent)


@cache
def _builtin_map(name: str) -> RigMap:
    with resources.as_file(_map_folder() / f"{name}.json") as path:
        return RigMap.from_json(load_json(path, "map"), source=f"map {name!r}")
