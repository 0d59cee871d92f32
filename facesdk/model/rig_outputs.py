"""Rig outputs: conversion of units and pose to the controls of one or more rigs, in one pass.

A rig's controls come from one of three sources: the network itself (rigs `units` and
`articulation`), a rig table applied to the units, or a learned output layer of the model. For rigs
without a table of their own, maps of `facesdk.retarget` follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..arrays import Columns, Floats
from ..documents import load_json
from ..errors import ModelError, RigError, unknown_name
from ..motion import Motion
from ..retarget import RigMap, conversion, reachable
from ..rig import Rig, rig_names
from .learned_layer import LearnedLayer
from .rig_table import RigTable, table_names
from .table_bank import TableBank

if TYPE_CHECKING:
    from .model import Model

RigSpec = str | Path | Rig | RigTable | RigMap | LearnedLayer
"""A rig as callers specify it: the name of a rig or of a learned layer (`layer` or
`layer:speaker`), the path of a rig, table or map file, or one of these as an object."""

MODEL_RIGS = ("units", "articulation")
"""Rigs whose controls are outputs of the network."""


@dataclass(frozen=True, eq=False)
class RigOutput:
    """The computation of one rig's controls.

    A rig's own table may leave controls to the table of another rig (`fallback_rig`), or be
    replaced once a map from another table's rig exists (`superseded_by`), as for FLAME after
    calibration.
    """

    rig: Rig
    """The target rig."""
    table: RigTable | None = None
    """Table that is applied to the units; None if the network computes the controls."""
    maps: tuple[RigMap, ...] = ()
    """Maps from the table's rig to the target rig."""
    override: RigTable | None = None
    """Table of the target rig that replaces the result of table and maps for its controls."""
    learned: LearnedLayer | None = None
    """The learned layer; table and maps, if any, then add only the motion layer's movement."""

    @classmethod
    def of(cls, spec: RigSpec, model: Model | None = None) -> RigOutput:
        """Return the output for a rig as a caller specifies it.

        `model` provides the names of learned layers. Raises `UnknownNameError` for an unknown
        name, `RigError` for a file of another kind or a rig without a table or map.
        """
        if isinstance(spec, LearnedLayer):
            return cls._of_learned(spec)
        if isinstance(spec, RigTable):
            return cls._of_table(spec)
        if isinstance(spec, RigMap):
            return cls._of_map(spec)
        if isinstance(spec, Rig):
            return cls._of_rig(spec)
        if not isinstance(spec, (str, Path)):
            raise RigError(
                "a rig must be a name, the path of a rig, table or map file, or an object of "
                f"these; got {type(spec).__name__}"
            )
        if Path(spec).suffix == ".json":
            return cls._of_file(Path(spec))
        return cls._of_name(str(spec), model)

    @classmethod
    def _of_name(cls, name: str, model: Model | None) -> RigOutput:
        layers: Mapping[str, Any] = {} if model is None else model.manifest.learned
        layer, _, speaker = name.partition(":")
        if model is not None and layer in layers:
            return cls._of_learned(LearnedLayer.of(model, layer, speaker=speaker or None))
        if name not in rig_names():
            raise unknown_name("no rig", name, [*rig_names(), *layers])
        return cls._of_rig(Rig.load(name))

    @classmethod
    def _of_file(cls, path: Path) -> RigOutput:
        document = load_json(path, "rig, table or map")
        kind = document.get("format") if isinstance(document, dict) else None
        if kind == "facesdk.table":
            return cls._of_table(RigTable.from_json(document, source=str(path), folder=path.parent))
        if kind == "facesdk.map":
            return cls._of_map(RigMap.from_json(document, source=str(path), folder=path.parent))
        if kind == "facesdk.rig":
            return cls._of_rig(Rig.from_json(document, source=str(path)))
        raise RigError(
            f'{path} is not a rig, table or map file: expected "format": "facesdk.rig", '
            f'"facesdk.table" or "facesdk.map", got {kind!r}'
        )

    @classmethod
    def _of_learned(cls, layer: LearnedLayer) -> RigOutput:
        if layer.rig is None:
            raise ModelError(
                f"the learned layer {layer.name!r} predicts vertices, not the controls of a rig; "
                "LearnedLayer.run() returns its coefficients"
            )
        try:
            moved = cls._of_rig(layer.rig)
        except RigError:  # no table or map: the motion layer cannot move this rig
            return cls(layer.rig, learned=layer)
        return cls(layer.rig, moved.table, moved.maps, moved.override, layer)

    @classmethod
    def _of_map(cls, rig_map: RigMap) -> RigOutput:
        source = cls._of_rig(rig_map.source)
        return cls(rig_map.target, source.table, (*source.maps, rig_map), source.override)

    @classmethod
    def _of_table(cls, table: RigTable) -> RigOutput:
        if table.fallback_rig is not None:
            return cls._through(table.fallback_rig, table.rig, override=table)
        if table.superseded_by is not None and table.rig.name in reachable(table.superseded_by):
            return cls._through(table.superseded_by, table.rig)
        return cls(table.rig, table)

    @classmethod
    def _of_rig(cls, rig: Rig) -> RigOutput:
        if rig.name not in rig_names() or Rig.load(rig.name) != rig:
            return cls._by_names(rig)
        if rig.name in MODEL_RIGS:
            return cls(rig)
        if rig.name in table_names():
            return cls._of_table(RigTable.load(rig.name))
        # the control board uses the table of MetaHuman, all other rigs that of ARKit
        return cls._through("metahuman" if rig.name.startswith("metahuman") else "arkit", rig)

    @classmethod
    def _through(cls, source: str, rig: Rig, *, override: RigTable | None = None) -> RigOutput:
        table = RigTable.load(source)
        route = conversion(table.rig, rig)
        return cls(route.target, table, route.maps, override)

    @classmethod
    def _by_names(cls, rig: Rig) -> RigOutput:
        """Return the output of a custom rig whose controls have names of a built-in rig."""
        builtin = [Rig.load(name) for name in table_names()]
        best = max(builtin, key=lambda other: sum(name in other for name in rig.names))
        shared = [name for name in rig.names if name in best]
        if not shared:
            raise RigError(
                f"rig {rig.name!r} shares no control with {', '.join(r.name for r in builtin)}; "
                "use a table (units to its controls) or a map from one of these rigs instead of "
                "the rig"
            )
        same = RigMap(best, rig, {name: {name: 1.0} for name in shared})
        return cls._of_map(same)

    @property
    def source(self) -> Literal["model", "table", "learned"]:
        """Origin of the controls."""
        if self.learned is not None:
            return "learned"
        return "model" if self.table is None else "table"

    @property
    def provenance(self) -> str:
        """Description of the origin of the controls, one line for files."""
        if self.learned is not None:
            return f"learned layer {self.learned.name!r}"
        if self.table is None:
            return "the model's own curves"
        maps = "".join(f", then the map {m.name}" for m in self.maps)
        return f"units through the table of rig {self.table.rig.name!r}{maps}"

    @property
    def stand_in(self) -> RigTable | None:
        """The table in use, if a map is to supersede it; else None."""
        waits = self.table is not None and self.table.superseded_by is not None
        return self.table if waits else None

    @property
    def network_output(self) -> str | None:
        """Output of the network that is required in addition to the units; None for none."""
        if self.learned is not None:
            return self.learned.output
        return "articulation" if self.rig.name == "articulation" and self.table is None else None

    def __call__(self, units: Floats) -> Floats:
        """Return (T, controls) for (T, columns): units, then the required network output."""
        values, _ = self._single(Motion(units, None))
        return values

    @cached_property
    def _single(self) -> RigOutputs:
        return RigOutputs([self])


@dataclass(frozen=True, eq=False)
class _Part:
    """The computation of one rig's columns."""

    output: RigOutput
    columns: slice
    """Columns of the rig in the result."""
    source: slice
    """Source columns, in the table bank or in the motion's units."""
    override: Columns
    """Columns of the result that come from the override table."""
    override_source: Columns
    """Their columns in the table bank."""
    by_table: RigOutputs | None = None
    """For a learned layer: outputs that add the motion layer's movement."""
    rest: Floats | None = None
    """(1, C) result of `by_table` at rest."""


class RigOutputs:
    """The conversion of units and pose to the controls of one or more rigs.

    Tables are evaluated in one bank, so common factors and products are computed once.
    """

    def __init__(self, rigs: Sequence[RigSpec | RigOutput], model: Model | None = None) -> None:
        """Raises `ModelError` without a rig or with one twice, and the errors of `RigOutput.of`."""
        outputs = [rig if isinstance(rig, RigOutput) else RigOutput.of(rig, model) for rig in rigs]
        self.outputs: tuple[RigOutput, ...] = tuple(outputs)
        self.rigs: tuple[Rig, ...] = tuple(output.rig for output in outputs)
        names = [rig.name for rig in self.rigs]
        if not outputs or len(set(names)) != len(names):
            raise ModelError(f"rigs must be one or more different ones, got {names}")
        ends = np.cumsum([len(rig) for rig in self.rigs]).tolist()
        self.columns = tuple(
            slice(end - len(rig), end) for rig, end in zip(self.rigs, ends, strict=True)
        )
        """Columns of each rig in the result."""
        required = (output.network_output for output in outputs)
        self.network_outputs = tuple(dict.fromkeys(name for name in required if name is not None))
        """Outputs of the network whose columns follow the units, in this order."""
        self._units = Rig.load("units")
        self._count = len(self._units)
        self._width: int = ends[-1]
        self._bank, self._places = self._tables(outputs)
        offsets = self._offsets()
        self._parts = [
            self._part(output, columns, offsets)
            for output, columns in zip(outputs, self.columns, strict=True)
        ]
        # only tables: the columns of the bank are those of the result
        self._plain = len(self._places) == len(outputs) and not any(
            o.maps or o.override or o.learned for o in outputs
        )

    @property
    def identity(self) -> Floats | None:
        """(1, E) speaker embedding for learned layers; None without such layers.

        Raises `ModelError` for layers of different speakers.
        """
        layers = [o.learned for o in self.outputs if o.learned is not None]
        identities = [layer.identity for layer in layers if layer.identity is not None]
        if any(not np.array_equal(identities[0], other) for other in identities[1:]):
            raise ModelError(
                "the learned layers of a session must have the same speaker, got "
                + ", ".join(f"{layer.name}:{layer.speaker}" for layer in layers)
            )
        return identities[0] if identities else None

    def _tables(self, outputs: Sequence[RigOutput]) -> tuple[TableBank | None, Mapping[int, slice]]:
        tables = {id(t): t for o in outputs for t in (o.table, o.override) if t is not None}
        if not tables:
            return None, {}
        bank = TableBank(list(tables.values()))
        return bank, dict(zip(tables, bank.columns, strict=True))

    def _offsets(self) -> Mapping[str, int]:
        """Return the first column of each further network output."""
        offsets, begin = {}, len(self._units)
        for name in self.network_outputs:
            offsets[name] = begin
            begin += self.network_size(name)
        return offsets

    def network_size(self, name: str) -> int:
        """Return the number of columns of a further network output."""
        if name == "articulation":
            return len(Rig.load("articulation"))
        return next(len(o.rig) for o in self.outputs if o.network_output == name)

    def _part(self, output: RigOutput, columns: slice, offsets: Mapping[str, int]) -> _Part:
        own = other = np.zeros(0, np.intp)
        if output.override is not None:
            moved = np.array([output.rig.index(n) for n in output.override.moved], np.intp)
            own, other = columns.start + moved, self._places[id(output.override)].start + moved
        if output.table is not None:
            source = self._places[id(output.table)]
        else:
            begin = offsets.get(output.network_output or "", 0)
            source = slice(begin, begin + len(output.rig))
        if output.learned is None:
            return _Part(output, columns, source, own, other)
        begin = offsets[output.learned.output]
        learned = slice(begin, begin + len(output.rig))
        if output.table is None:
            return _Part(output, columns, learned, own, other)
        by_table = RigOutputs([replace(output, learned=None)])
        rest, _ = by_table(Motion(self._units.rest[None], None))
        return _Part(output, columns, learned, own, other, by_table, rest)

    def __call__(self, motion: Motion) -> tuple[Floats, Sequence[Floats | None]]:
        """Return (T, controls of all rigs) and, for every rig, (T, 4, 3) joint angles or None."""
        units, pose = motion
        from_tables = units if self._bank is None else self._bank(units[:, : self._count])
        if self._plain:
            return from_tables, [pose] * len(self.rigs)
        values = np.empty((len(units), self._width), np.float32)
        poses = []
        for part in self._parts:
            if part.output.learned is not None:
                poses.append(self._learned(part, values, motion))
                continue
            controls = (units if part.output.table is None else from_tables)[:, part.source]
            angles = pose
            for rig_map in part.output.maps:
                controls, angles = rig_map(controls, angles)
            values[:, part.columns] = controls
            if len(part.override):
                values[:, part.override] = from_tables.take(part.override_source, axis=1)
            poses.append(angles)
        return values, poses

    def _learned(self, part: _Part, values: Floats, motion: Motion) -> Floats | None:
        """Write a learned layer's controls and add the movement of the motion layer."""
        output = part.output
        controls = values[:, part.columns]
        controls[:] = motion.units[:, part.source]
        pose = motion.pose
        if part.by_table is not None and part.rest is not None:
            face = np.tile(self._units.rest, (len(controls), 1))
            face[:, self._face] = motion.units[:, self._face]
            moved, (pose,) = part.by_table(Motion(face, pose))
            controls += moved - part.rest
        np.maximum(controls, output.rig.minimum, out=controls)
        np.minimum(controls, output.rig.maximum, out=controls)
        return pose

    @cached_property
    def _face(self) -> Sequence[int]:
        """Indices of the units that only the motion layer moves."""
        articulation = Rig.load("articulation")
        return [i for i, name in enumerate(self._units.names) if name not in articulation]
