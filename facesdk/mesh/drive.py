"""Map the controls of a rig to the shapes of a head."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..errors import MeshError
from ..retarget import conversion
from ..rig import Rig

Weights = Mapping[str, Mapping[str, float]]


def shape_weights(names: Sequence[str], values: ArrayLike, rig: Rig) -> Floats:
    """Return (..., S) weights of named shapes for (..., C) values on a rig.

    A control drives the shape with its name. Controls of other rigs reach ARKit's shapes through
    facesdk's conversions. Shapes that ARKit does not have, such as the sixteen tongue shapes of
    Audio2Face, are driven by `data/head/tongue.json`.
    """
    controls = np.asarray(values, np.float32)
    if controls.shape[-1:] != (len(rig),):
        raise MeshError(
            f"values must be (..., {len(rig)}) for rig {rig.name!r}, got {controls.shape}"
        )
    weights = np.zeros((*controls.shape[:-1], len(names)), np.float32)
    if any(name in names for name in rig.names):
        return _add_by_name(weights, names, controls, rig)
    way = conversion(rig, "arkit")
    for rig_map in way.maps:
        _add_extras(weights, names, controls, rig_map.source)
        controls, _ = rig_map(controls, None)
    return _add_by_name(weights, names, controls, way.target)


def undriven(names: Sequence[str], rig: Rig) -> tuple[str, ...]:
    """Return the controls of a rig that move no shape in `shape_weights`, and no joint."""
    if any(name in names for name in rig.names):
        return tuple(name for name in rig.names if name not in names)
    extras = _extras().get(rig.name, {})
    lost = conversion(rig, "arkit").dropped
    return tuple(name for name in lost if not set(extras.get(name, ())) & set(names))


def _add_by_name(weights: Floats, names: Sequence[str], controls: Floats, rig: Rig) -> Floats:
    for i, name in enumerate(rig.names):
        if name in names:
            weights[..., names.index(name)] += controls[..., i]
    return weights


def _add_extras(weights: Floats, names: Sequence[str], controls: Floats, rig: Rig) -> None:
    for control, row in _extras().get(rig.name, {}).items():
        for shape, factor in row.items():
            if shape in names:
                weights[..., names.index(shape)] += factor * controls[..., rig.index(control)]


@cache
def _extras() -> Mapping[str, Weights]:
    """Return rig -> control -> shape -> factor, in addition to the conversion to ARKit."""
    file = resources.files("facesdk") / "data" / "head" / "tongue.json"
    rigs: Mapping[str, Weights] = json.loads(file.read_text("utf-8"))["rigs"]
    return rigs
