"""USD by usd-core's own queries of skeletal animation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from probe import tiny_head
from pxr import Usd, UsdSkel

from facesdk import Clip

from . import Curves, Row, Track, expected
from .gltf import JOINTS, SHARED, on_tiny_head, turns


def read_usd_core(path: Path) -> Curves:
    """The animation that the skeleton plays."""
    stage = Usd.Stage.Open(str(path))
    query = played(stage)
    rate = stage.GetTimeCodesPerSecond()
    names = list(query.GetBlendShapeOrder())
    codes = query.GetBlendShapeWeightTimeSamples()

    def weights(times: np.ndarray, query=query) -> np.ndarray:
        return np.array([query.ComputeBlendShapeWeights(t * rate) for t in times])

    times = np.array(codes) / rate
    values = weights(times)
    found = {
        name: Track(times, values[:, i], lambda t, i=i: weights(t)[:, i])
        for i, name in enumerate(names)
    }
    return found | joints(stage, query)


def played(stage: Usd.Stage):
    """The query of the animation bound to the only skeleton; it keeps the stage."""
    cache = UsdSkel.Cache()
    root = UsdSkel.Root(stage.GetDefaultPrim())
    cache.Populate(root, Usd.PrimDefaultPredicate)
    (skeleton,) = [p for p in stage.Traverse() if p.IsA(UsdSkel.Skeleton)]
    query = cache.GetSkelQuery(UsdSkel.Skeleton(skeleton)).GetAnimQuery()
    assert query.GetPrim().GetStage() == stage
    return query


def joints(stage: Usd.Stage, query) -> Curves:
    rate = stage.GetTimeCodesPerSecond()
    times = np.array(query.GetJointTransformTimeSamples()) / rate
    order = [path.rpartition("/")[2] for path in query.GetJointOrder()]
    found: dict[str, Track] = {}
    for joint in JOINTS:
        here = order.index(joint)

        def at(times: np.ndarray, place: int = here, stage=stage) -> np.ndarray:
            turned = [query.ComputeJointLocalTransformComponents(t * rate)[1] for t in times]
            return np.array([(*q[place].imaginary, q[place].real) for q in turned])

        if len(times):
            found |= turns(joint, times, at(times), at)
    return found


def beside_tiny_head(clip: Clip) -> Curves:
    """Weights of the head's shapes and the rig's own controls, which no shape is called after."""
    return dict(on_tiny_head(clip)) | dict(expected(clip))


WITH_HEAD = {"head": tiny_head()}
CURVES_ONLY = {"settings": {"mesh": False}}
OPTIONS = {"usda": WITH_HEAD, "usdc": WITH_HEAD}

ROWS = tuple(
    replace(row, thinned=SHARED)
    for row in (
        Row("usda", "usd-core", read_usd_core, options=WITH_HEAD),
        Row("usda", "usd-core", read_usd_core, rig="metahuman", options=CURVES_ONLY),
        Row(
            "usda",
            "usd-core",
            read_usd_core,
            rig="oculus",
            options=WITH_HEAD,
            expect=beside_tiny_head,
        ),
        Row("usdc", "usd-core", read_usd_core, options=WITH_HEAD),
        Row("usdc", "usd-core", read_usd_core, rig="metahuman", options=CURVES_ONLY),
    )
)
