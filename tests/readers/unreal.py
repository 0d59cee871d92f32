"""What Unreal imports: tables by csv and json, the script by running it before a stand-in."""

from __future__ import annotations

import csv
import json
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from probe import channels

from facesdk import Clip

from . import Curves, Row, Track
from .tables import EVENTS, JOINTS

CURVES = {f"{j.title().replace('_', '')}{a.title()}": f"pose.{j}.{a}"
          for j in JOINTS for a in ("yaw", "pitch", "roll")}  # fmt: skip


def named(curve: str) -> str:
    """The channel that a curve is: CTRL_C_jaw.tx is a column of the control board."""
    head, dot, axis = curve.rpartition(".")
    known = f"{head}-translate{axis[1].upper()}" if dot else curve
    return CURVES.get(known, known)


def read_table_csv(path: Path) -> Curves:
    with path.open(encoding="utf-8", newline="") as file:
        (corner, *times), *rows = csv.reader(file)
    assert corner == "---"
    at = np.array(times, float)
    return {named(name): Track(at, np.array(cells, float)) for name, *cells in rows}


def read_table_json(path: Path) -> Curves:
    found = {}
    for row in json.loads(path.read_text("utf-8")):
        name = named(row.pop("Name"))
        found[name] = Track(np.array(list(row), float), np.array(list(row.values()), float))
    return found


def read_rig_mapper(path: Path) -> Curves:
    """Frame numbers at the probe's rate, which the table does not know."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        keys = found.setdefault(named(row["curve_name"]), [])
        keys.append((int(row["frame_number"]), float(row["value"])))
    return {n: Track(np.array([f for f, _ in keys]) * 1001 / 30000,
                     np.array([v for _, v in keys])) for n, keys in found.items()}  # fmt: skip


def from_zero(clip: Clip) -> Curves:
    times = np.arange(len(clip)) / float(clip.fps)
    return {name: Track(times, values) for name, values in channels(clip).items()}


# --------------------------------------------------------------- in place of the editor


class Thing:
    """An object with editor properties and a path."""

    def __init__(self, path: str = "", **properties: Any) -> None:
        self.path, self.properties = path, properties

    def get_editor_property(self, name: str) -> Any:
        return self.properties[name]

    def set_editor_property(self, name: str, value: Any) -> None:
        self.properties[name] = value

    def get_path_name(self) -> str:
        return self.path


class Skeleton(Thing):
    pass


class AnimSequence(Thing):
    pass


class Controller:
    """Writes down what an AnimationDataController is told, and refuses what makes no sense."""

    def __init__(self) -> None:
        self.open = 0
        self.rate = self.frames = None
        self.bones: dict[str, Any] = {}

    def open_bracket(self, title: str, transact: bool) -> None:
        self.open += 1

    def close_bracket(self, transact: bool) -> None:
        self.open -= 1

    def set_frame_rate(self, rate: tuple[int, int], transact: bool) -> None:
        assert self.open
        self.rate = rate

    def set_number_of_frames(self, frames: int, transact: bool) -> None:
        assert self.open
        assert frames > 0
        self.frames = frames

    def add_bone_curve(self, bone: str, transact: bool) -> bool:
        self.bones[bone] = None
        return True

    def set_bone_track_keys(self, bone, places, turns, scales, transact) -> bool:
        assert bone in self.bones
        assert len(places) == len(turns) == len(scales) == self.frames + 1
        self.bones[bone] = SimpleNamespace(places=places, turns=turns, scales=scales)
        return True


def quaternion(x: float, y: float, z: float, w: float) -> SimpleNamespace:
    return SimpleNamespace(x=x, y=y, z=z, w=w)


class Editor:
    """A stand-in for the module `unreal`, with one skeleton, and what was made in it."""

    def __init__(
        self, rest: dict[str, dict[str, Any]] | None = None, kind: type = Skeleton
    ) -> None:
        self.assets: dict[str, Any] = {}
        self.saved: list[Any] = []
        self.tags: dict[str, str] = {}
        self.curves: dict[str, Any] = {}
        self.rest = rest or {}
        skeleton = Skeleton("/Game/Skeleton")
        self.skeleton = skeleton if kind is Skeleton else Thing("/Game/Mesh", skeleton=skeleton)

    def run(self, path: Path) -> AnimSequence:
        with patch.dict(sys.modules, {"unreal": self.module()}):
            runpy.run_path(str(path), run_name="__main__")
        (sequence,) = self.saved[-1:]
        return sequence

    def module(self) -> ModuleType:
        module = ModuleType("unreal")
        module.__dict__.update(
            Skeleton=Skeleton,
            AnimSequence=AnimSequence,
            AnimSequenceFactory=Thing,
            FrameRate=lambda *rate: rate,
            FrameNumber=int,
            Quat=quaternion,
            RawCurveTrackTypes=SimpleNamespace(RCT_FLOAT="float"),
            AnimPoseSpaces=SimpleNamespace(LOCAL="local", WORLD="world"),
            log=lambda text: None,
            load_asset=lambda p: self.assets.get(p, self.skeleton if "keleton" in p else None),
            AssetToolsHelpers=SimpleNamespace(
                get_asset_tools=lambda: SimpleNamespace(create_asset=self.create)
            ),
            EditorAssetLibrary=SimpleNamespace(
                does_asset_exist=self.assets.__contains__,
                save_loaded_asset=self.saved.append,
                set_metadata_tag=lambda asset, key, value: self.tags.update({key: value}),
            ),
            AnimationLibrary=SimpleNamespace(
                add_curve=self.add_curve,
                add_float_curve_keys=self.add_keys,
                remove_all_curve_data=lambda sequence: self.curves.clear(),
            ),
            AnimPoseExtensions=SimpleNamespace(
                get_reference_pose=lambda skeleton: skeleton,
                get_ref_bone_pose=lambda pose, bone, space: self.rest[bone][space],
            ),
        )
        return module

    def create(self, name: str, folder: str, kind: type, factory: Thing) -> AnimSequence:
        assert isinstance(factory.get_editor_property("target_skeleton"), Skeleton)
        asset = kind(
            f"{folder}/{name}",
            controller=Controller(),
            platform_target_frame_rate=Thing(default=30),
        )
        self.assets[asset.path] = asset
        return asset

    def add_curve(self, sequence: AnimSequence, name: str, kind: str, meta: bool) -> None:
        assert (kind, meta) == ("float", False)
        assert name.lower() not in map(str.lower, self.curves), "names in Unreal have no case"
        self.curves[name] = ([], [])

    def add_keys(self, sequence: AnimSequence, name: str, times: Any, values: Any) -> None:
        assert len(times) == len(values)
        self.curves[name] = (list(times), list(values))


def read_script(path: Path) -> Curves:
    editor = Editor()
    controller = editor.run(path).get_editor_property("controller")
    assert controller.rate == (30000, 1001)
    assert not controller.bones
    return {named(n): Track(np.array(t), np.array(v)) for n, (t, v) in editor.curves.items()}


START = frozenset({"start"})
ROWS = (
    Row("curve-table-csv", "Python csv", read_table_csv, lost=EVENTS, thinned=1.1),
    Row("curve-table-csv", "Python csv", read_table_csv, rig="metahuman", lost=EVENTS, thinned=1.1),
    Row("curve-table-json", "Python json", read_table_json, lost=EVENTS),
    Row("curve-table-json", "Python json", read_table_json, rig="metahuman-gui", lost=EVENTS),
    Row("rig-mapper-csv", "Python csv", read_rig_mapper, lost=EVENTS | START | {"fps"},
        expect=from_zero),
    Row("rig-mapper-csv", "Python csv", read_rig_mapper, rig="metahuman",
        lost=EVENTS | START | {"fps"}, expect=from_zero),
    Row("unreal-python", "Python, before a stub", read_script, rig="metahuman", lost=START,
        expect=from_zero, foreign=False),
    Row("unreal-python", "Python, before a stub", read_script, rig="metahuman-gui", lost=START,
        expect=from_zero, foreign=False),
    Row("unreal-python", "Python, before a stub", read_script, rig="arkit", lost=START,
        expect=from_zero, foreign=False),
)  # fmt: skip
