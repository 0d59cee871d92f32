"""What tables say about the lips, seen on the built-in head: gap, width, protrusion, teeth, tongue.

A sound's posture is what the articulation rules ask for it between ordinary neighbours. It goes
through a rig's table to the head's shapes, and the lips are measured.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from facesdk.articulation import Rules
from facesdk.mesh import Head, load_head
from facesdk.model.rig_outputs import RigOutput
from facesdk.rig import Rig

UNITS = Rig.load("units")
RULES = Rules.load()
NATIVE = ("arkit", "metahuman", "a2f", "livelink")
"""Rigs with lips of their own; Oculus and VRM have a handful of poses for all of them."""

# ---------------------------------------------------------------------- what to expect
#
# sound: (measure, least, most) in mm. `gap` is the opening between the lips in the middle (closed
# lips overlap a little: below 0), `width` and `forward` tell how far corners and lips are from
# where they rest, `bite` how far the lower lip's edge stands above that of the upper teeth,
# `reach` how much nearer the lower lip is to them than without the sound.

CLOSED = {"gap": (-4.0, 0.0)}
ON_TEETH = {"gap": (0.5, 4.5), "bite": (-1.0, 3.0), "reach": (0.3, 4.0), "forward": (-3.0, 0.5)}
ROUND = {"width": (-12.0, -4.0), "forward": (3.0, 9.0), "gap": (-1.0, 7.0)}
HISSING = {"gap": (2.0, 8.0), "chin": (0.0, 6.0)}

EXPECTED: dict[str, dict[str, tuple[float, float]]] = {
    "p": CLOSED, "b": CLOSED, "m": CLOSED,
    "f": ON_TEETH, "v": ON_TEETH,
    "u": ROUND, "w": ROUND, "y": ROUND,
    "o": {"width": (-12.0, -3.0), "forward": (1.0, 8.0), "gap": (2.0, 14.0)},
    "i": {"width": (1.0, 8.0), "gap": (3.0, 10.0), "chin": (1.0, 9.0)},
    "ɛ": {"gap": (6.0, 18.0), "width": (-3.0, 5.0)},
    "ɑ": {"gap": (10.0, 28.0), "chin": (8.0, 28.0), "width": (-6.0, 2.0)},
    "ə": {"gap": (3.0, 12.0)},
    "s": {**HISSING, "width": (-1.0, 6.0)},
    "ʃ": {**HISSING, "width": (-8.0, -1.5), "forward": (1.0, 7.0)},
    "t": {"gap": (2.0, 9.0)},
    "k": {"gap": (2.0, 10.0)},
}  # fmt: skip

VISEMES: dict[str, dict[str, tuple[float, float]]] = {
    "p": {"gap": (-4.0, 0.5)},
    "f": {"gap": (0.5, 7.0)},
    "u": {"width": (-12.0, -3.0), "forward": (0.5, 9.0)},
    "o": {"width": (-12.0, -3.0), "gap": (3.0, 16.0)},
    "i": {"gap": (4.0, 12.0), "width": (0.3, 8.0)},
    "ɑ": {"gap": (10.0, 28.0)},
    "s": {"gap": (2.0, 8.0), "width": (-0.5, 8.0)},
    "ʃ": {"width": (-8.0, -1.0)},
}
"""The same for rigs that have only whole poses: Oculus, VRM."""


# --------------------------------------------------------------------------- measuring


@cache
def head() -> Head:
    return load_head()


@cache
def parts() -> dict[str, np.ndarray]:
    """Vertices that are measured, by what they are part of."""
    own, marks = head(), head().landmarks
    middle = np.abs(own.neutral[:, 0]) < 0.006
    teeth, tongue = own.part_vertices("teeth_upper"), own.part_vertices("tongue")
    front = own.neutral[tongue, 2] > np.quantile(own.neutral[tongue, 2], 0.97)
    return {
        "upper": np.flatnonzero((own.masks["upper_lip"] > 0.5) & middle),
        "lower": np.flatnonzero((own.masks["lower_lip"] > 0.5) & middle),
        "corners": np.array([marks["mouth_left"], marks["mouth_right"]]),
        "fronts": np.array([marks["lip_upper"], marks["lip_lower"]]),
        "chin": np.array([marks["chin"]]),
        "teeth": teeth[middle[teeth]],
        "tongue": tongue[front],
    }


output = cache(RigOutput.of)


@cache
def basis() -> dict[str, np.ndarray]:
    """(S, N, 3) deltas of every part."""
    return {name: head().deltas[:, rows] for name, rows in parts().items()}


def seen(rig: str, **posture: float) -> dict[str, np.ndarray]:
    """(N, 3) millimetres of every part with units at these values, others as in speech."""
    row = UNITS.rest[None].copy()
    for unit, value in ({**RULES.neutral} | posture).items():
        row[0, UNITS.index(unit)] = value
    return shown(head().weights(output(rig)(row), output(rig).rig)[0])


def shown(weights: np.ndarray) -> dict[str, np.ndarray]:
    """(N, 3) millimetres of every part with the head's shapes at these weights."""
    return {
        name: 1000 * (head().neutral[rows] + np.tensordot(weights, basis()[name], 1))
        for name, rows in parts().items()
    }


def sound(symbol: str) -> dict[str, float]:
    """Units that a sound asks for."""
    phone = RULES.phones.find(symbol)
    assert phone is not None
    targets = {"voicing": float(phone.voiced), "loudness": 0.6, **phone.targets}
    if "labiodental" in targets:
        targets["aperture"] = RULES.limits.labiodental_aperture
    return targets


def measure(points: dict[str, np.ndarray]) -> dict[str, float]:
    lower, teeth = points["lower"], points["teeth"]
    away = np.linalg.norm(lower[:, None] - teeth[None], axis=-1)
    return {
        "gap": points["upper"][:, 1].min() - lower[:, 1].max(),
        "width": points["corners"][0, 0] - points["corners"][1, 0],
        "forward": points["fronts"][:, 2].mean(),
        "chin": -points["chin"][0, 1],
        "bite": lower[:, 1].max() - teeth[:, 1].min(),
        "reach": -away.min(),
    }


def measured(rig: str, symbol: str) -> dict[str, float]:
    """What a sound's lips do: from rest, but `reach` from the same mouth without its gesture."""
    targets = sound(symbol)
    found = measure(seen(rig, **targets))
    rest = measure(shown(np.zeros(len(head().names))))
    without = measure(seen(rig, **{**targets, "labiodental": 0.0}))
    absolute = {name: found[name] for name in ("gap", "bite")}
    moved = {name: found[name] - rest[name] for name in ("width", "forward", "chin")}
    return {**absolute, **moved, "reach": found["reach"] - without["reach"]}


def misses(found: dict[str, float], expected: dict[str, tuple[float, float]]) -> list[str]:
    return [
        f"{name} is {found[name]:.1f} mm, not {least}..{most}"
        for name, (least, most) in expected.items()
        if not least <= found[name] <= most
    ]


# --------------------------------------------------------------------------- the tests


@pytest.mark.parametrize("symbol", EXPECTED)
@pytest.mark.parametrize("rig", NATIVE)
def test_lips_do_what_the_sound_asks(rig, symbol):
    assert misses(measured(rig, symbol), EXPECTED[symbol]) == []


@pytest.mark.parametrize("symbol", VISEMES)
@pytest.mark.parametrize("rig", ["oculus", "vrm"])
def test_poses_do_what_the_sound_asks(rig, symbol):
    assert misses(measured(rig, symbol), VISEMES[symbol]) == []


@pytest.mark.parametrize("rig", [*NATIVE, "oculus", "vrm"])
@pytest.mark.parametrize("jaw", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("vowel", ["i", "ɑ", "u"])
def test_closed_lips_stay_closed_whatever_jaw_and_vowel_do(rig, jaw, vowel):
    posture = {**sound(vowel), "closure": 1.0, "jaw": jaw}
    assert measure(seen(rig, **posture))["gap"] <= 0.1


def gaps(rig: str, unit: str) -> np.ndarray:
    """Gap as one unit goes from 0 to 1."""
    return np.array([measure(seen(rig, **{unit: v}))["gap"] for v in np.linspace(0, 1, 6)])


@pytest.mark.parametrize("rig", [*NATIVE, "vrm"])
def test_jaw_and_aperture_open_and_closure_closes(rig):
    for unit in ("jaw", "aperture"):
        assert (np.diff(gaps(rig, unit)) > 0.1).all(), unit
    closing = np.diff(gaps(rig, "closure"))
    assert (closing < 0.01).all()
    assert closing.sum() < -2


@pytest.mark.parametrize("rig", [*NATIVE, "vrm"])
def test_rounding_narrows_protrusion_goes_forward_spread_widens(rig):
    calm = dict.fromkeys(("rounding", "protrusion", "spread"), 0.0)
    before = measure(seen(rig, **calm))

    def change(unit: str) -> dict[str, float]:
        after = measure(seen(rig, **{**calm, unit: 1.0}))
        return {name: after[name] - before[name] for name in after}

    assert change("rounding")["width"] < -2.5
    assert change("rounding")["forward"] > 1
    assert change("protrusion")["forward"] > 0.5
    assert change("spread")["width"] > 1.5


@pytest.mark.parametrize("symbol", EXPECTED)
def test_metahuman_has_arkits_lips(symbol):
    """Its table is its own, but through Epic's poses both mean the same mouth."""
    arkit, metahuman = (measured(rig, symbol) for rig in ("arkit", "metahuman"))
    for name in ("gap", "width", "forward", "chin"):
        assert metahuman[name] == pytest.approx(arkit[name], abs=1.6), name


def tongue(rig: str, **posture: float) -> np.ndarray:
    """(3,) where the tip of the tongue is."""
    return seen(rig, **posture)["tongue"].mean(0)


@pytest.mark.parametrize("rig", ["metahuman", "a2f"])
def test_tongues_do_what_the_sound_asks(rig):
    rest = tongue(rig)
    assert tongue(rig, **sound("t"))[1] - rest[1] > 5  # to the ridge
    assert tongue(rig, **sound("k"))[2] - rest[2] < -5  # the back goes up, the tip withdraws
    teeth = seen(rig)["teeth"]
    between = tongue(rig, **sound("θ"))
    assert between[2] > teeth[:, 2].max() - 6
    assert abs(between[1] - teeth[:, 1].min()) < 8
    assert tongue("arkit", **sound("θ"))[2] - tongue("arkit")[2] > 3


def test_what_is_measured_is_what_the_head_shows():
    values = output("arkit")(np.random.default_rng(0).random((1, len(UNITS)), np.float32))
    weights = head().weights(values)[0]
    whole = 1000 * head().vertices(weights)
    for name, points in shown(weights).items():
        np.testing.assert_allclose(points, whole[parts()[name]], atol=1e-3)
