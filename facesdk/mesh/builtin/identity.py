"""Identity of the built-in head: age, sex and ethnicity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import MeshError, unknown_name

ETHNICITIES = ("african", "asian", "caucasian")
SEXES = {"female": 0.0, "male": 1.0}
HAIR = ("short", "crop", "none")
"""Haircuts; `none` is a shaved head."""
AGES = {"child": 8.0, "young": 25.0, "old": 75.0}


@dataclass(frozen=True)
class Identity:
    """A person; by default the mean of both sexes and all ethnicities at 25 years."""

    age: float = 25.0
    """Years, 8 to 75."""
    sex: float = 0.5
    """0 is female, 1 is male."""
    ethnicity: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(ETHNICITIES, 1.0))
    """Shares of the three poles; they are normalized."""
    hair: str = "short"
    """One of `HAIR`."""

    def __post_init__(self) -> None:
        low, high = AGES["child"], AGES["old"]
        if not low <= self.age <= high:
            raise MeshError(f"age must lie in {low:g}..{high:g} years, got {self.age:g}")
        if not 0 <= self.sex <= 1:
            raise MeshError(f"sex must lie in 0 (female) .. 1 (male), got {self.sex:g}")
        for name, share in self.ethnicity.items():
            if name not in ETHNICITIES:
                raise unknown_name("no ethnicity", name, ETHNICITIES)
            if not (math.isfinite(share) and share >= 0):
                raise MeshError(f"share of {name} must be 0 or more, got {share}")
        if not sum(self.ethnicity.values()) > 0:
            raise MeshError("shares of ethnicities sum to 0; give one of them")
        if self.hair not in HAIR:
            raise unknown_name("no hair", self.hair, HAIR)

    @classmethod
    def of(cls, options: Mapping[str, Any] | None) -> Identity:
        """Return the person described by options, by name or number.

        `age` takes years or child, young, old; `sex` takes female, male or 0..1; `ethnicity` takes
        one of african, asian, caucasian, several joined by `+`, or shares by name; `hair` takes
        short, crop or none.
        """
        given = dict(options or {})
        for name in given:
            if name not in _OPTIONS:
                raise unknown_name("no identity option", name, _OPTIONS)
        fields: dict[str, Any] = {}
        if "age" in given:
            fields["age"] = _number("age", given["age"], AGES)
        if "sex" in given:
            fields["sex"] = _number("sex", given["sex"], SEXES)
        if "ethnicity" in given:
            fields["ethnicity"] = _shares(given["ethnicity"])
        if "hair" in given:
            fields["hair"] = str(given["hair"]).lower()
        return cls(**fields)

    @property
    def modes(self) -> dict[str, float]:
        """Weights of the identity modes in the head's file."""
        total = sum(self.ethnicity.values())
        weights = {f"ethnicity_{e}": w / total for e, w in self.ethnicity.items()}
        weights |= {"sex_female": 1 - self.sex, "sex_male": self.sex}
        young = AGES["young"]
        weights["age_child"] = max(0.0, (young - self.age) / (young - AGES["child"]))
        weights["age_old"] = max(0.0, (self.age - young) / (AGES["old"] - young))
        return weights


_OPTIONS = ("age", "sex", "ethnicity", "hair")


def _number(option: str, value: Any, names: Mapping[str, float]) -> float:
    if isinstance(value, str) and value.lower() in names:
        return names[value.lower()]
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise MeshError(f"{option} must be a number or one of {', '.join(names)}, got {value!r}")
    return number


def _shares(value: Any) -> Mapping[str, float]:
    if isinstance(value, str):
        return dict.fromkeys(value.lower().split("+"), 1.0)
    try:
        return {str(name): float(share) for name, share in value.items()}
    except (AttributeError, TypeError, ValueError):
        raise MeshError(
            f"ethnicity must be a name or shares by name, got {value!r}; "
            f"known: {', '.join(ETHNICITIES)}"
        ) from None
