"""A character in a glTF or VRM file that is kept as it is, with clips as further animations."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...arrays import Floats
from ...clip import POSE_ANGLES, POSE_JOINTS
from ...errors import ExportError, FileFormatError
from ...mesh.builtin.eyes import GAZE
from ...mesh.convention import contains_jaw
from ...mesh.drive import Drive
from ...mesh.files.assemble import Raw
from ...mesh.files.gltf import Scene, in_words, mesh_target_names
from ...retarget import conversion, reachable
from ...rig import Rig, rig_names
from ...source import Block, ClipInfo, FrameSource, moving_angles, moving_controls
from ..options import WriteOptions
from ..rigs import bare_rig
from ..spool import spooled
from .bones import Bone, find_bones, transforms
from .face import Channels, Face, Target
from .source_file import SourceFile

Array = NDArray[Any]

KEPT = (".glb", ".gltf", ".vrm")
"""Files that can be kept."""

_EYES = {"left_eye": "Left", "right_eye": "Right"}


def open_character(path: str | Path) -> Character:
    """Return the character in a file, kept for the next line; raises `FileFormatError`."""
    file = Path(path).absolute()
    if not file.is_file() or file.suffix.lower() == ".gltf":  # its buffers lie in other files
        return Character(path)
    state = file.stat()
    return _opened(Path(path), file, state.st_mtime_ns, state.st_size)


@lru_cache(2)
def _opened(path: Path, *_: object) -> Character:
    return Character(path)


class Character:
    """A file with a face that morph targets move, and bones."""

    def __init__(self, path: str | Path) -> None:
        """Raises `FileFormatError` for a file that cannot be read."""
        self.file = SourceFile.read(Path(path))
        self.path = self.file.path
        document = self.file.json
        with in_words(self.path):
            self.bones: Mapping[str, Bone] = find_bones(document)
            self.transforms = self._parted()
            """Members of nodes that change where a clip turns them."""
            names: dict[int, list[str]] = {}
            for i, node in enumerate(document.get("nodes") or ()):
                if "mesh" in node and (own := mesh_target_names(document, int(node["mesh"]))):
                    names[i] = own
            self.face = Face(document, names, self.path)
            self.is_avatar = bool({"VRM", "VRMC_vrm"} & set(document.get("extensions") or ()))
            """Whether the file is a VRM avatar."""
            self.animations = {str(a.get("name")) for a in document.get("animations") or ()}
            """Names of the animations that it has."""

    def _parted(self) -> dict[int, dict[str, Any]]:
        """Return new members of bones with a matrix, which cannot be animated."""
        nodes = self.file.json.get("nodes") or ()
        parts = {bone.node: transforms(nodes[bone.node]) for bone in self.bones.values()}
        return {node: {"matrix": None} | new for node, new in parts.items() if new is not None}

    # -------------------------------------------------------------------- rigs

    def channels(self, rig: Rig) -> Channels:
        """Return how clips on a rig move the face; raises `RigError` if no way leads to it."""
        if rig not in self._channels:
            by_bones = self.face.looks_by == "bone" and bool(set(_EYES) & set(self.bones))
            self._channels[rig] = self.face.channels(
                rig,
                jaw_in_close=self.close_contains_jaw,
                without=[f"look{way}" for way in ("Up", "Down", "Left", "Right")] * by_bones,
            )
        return self._channels[rig]

    @cached_property
    def _channels(self) -> dict[Rig, Channels]:
        return {}

    @property
    def rig(self) -> str:
        """The rig to bake for: the one that it has, or one that leads to all that it has."""
        used = self.channels(Rig.load("arkit")).drive.rigs
        board = self.face.targets(Rig.load("metahuman"))
        if len(board) > sum(map(len, used.values())):
            return "metahuman"
        return next(iter(used)) if len(used) == 1 else "arkit"

    def describe(self, rig: Rig) -> str:
        """Return what of the character a clip on a rig moves, as one line of text."""
        channels = self.channels(rig)
        used = channels.drive.rigs
        names = " and ".join(f"{len(controls)} controls of rig {n}" for n, controls in used.items())
        nodes = {node for targets in channels.targets.values() for node, _ in targets}
        bones = ", ".join(f"{j} ({self._node_name(b.node)})" for j, b in self.bones.items())
        meshes = f" on {len(nodes)} mesh{'es' if len(nodes) > 1 else ''}" if names else ""
        return f"{self.path}: {names or 'no known shapes'}{meshes}; bones: {bones or 'none'}"

    def _node_name(self, node: int) -> str:
        return str(self.file.json["nodes"][node].get("name", node))

    def require_drive(self, rig: Rig) -> Channels:
        """Return `channels`; raises `ExportError` if nothing of the character would move."""
        channels = self.channels(rig)
        if channels.drive.still and not self.bones:
            raise ExportError(f"nothing would move: {self.missing(rig)}; it has no bone of a head")
        return channels

    def missing(self, rig: Rig) -> str:
        """Return what was looked for and what the character has, as a sentence."""
        names = dict.fromkeys(n for own in self.face.names.values() for n in own)
        return Drive(tuple(names), rig, head=str(self.path)).missing()

    # ------------------------------------------------------------------ shapes

    @cached_property
    def close_contains_jaw(self) -> bool:
        """Whether its mouthClose contains the jaw that it closes, as in Audio2Face."""
        binds = self.face.targets(Rig.load("arkit"))
        if not {"jawOpen", "mouthClose"} <= set(binds):
            return False
        try:
            with in_words(self.path):
                raw = Scene.parse(self.file.data, self.path).raw(self.path.stem)
                jaw, close = (self._delta(raw, binds[n]) for n in ("jawOpen", "mouthClose"))
                return contains_jaw(raw.neutral, jaw, close)
        except FileFormatError as error:
            warnings.warn(
                f"{error}; mouthClose is taken as ARKit's, which does not contain the jaw",
                stacklevel=3,
            )
            return False

    def _delta(self, raw: Raw, binds: Mapping[Target, float]) -> Array:
        """Return the (V, 3) offsets of a control, of targets with the same name once."""
        shares = {self.face.names[node][target]: w for (node, target), w in binds.items()}
        total = np.zeros((len(raw.neutral), 3))
        for name, weight in shares.items():
            total += weight * raw.shapes.get(name, 0.0)
        return total

    @cached_property
    def gaze_moves_eyes(self) -> Mapping[str, bool]:
        """Whether gaze shapes move the vertices that follow the bone of an eye."""
        if self.face.looks_by == "expression" and "lookUp" in self.face.targets(Rig.load("vrm")):
            return dict.fromkeys(_EYES, True)
        found = {}
        looks = self.face.targets(Rig.load("arkit"))
        for eye, side in _EYES.items():
            binds = [t for n in GAZE if n.endswith(side) for t in looks.get(n, ())]
            try:
                with in_words(self.path):
                    scene = Scene.parse(self.file.data, self.path) if binds else None
                    found[eye] = (
                        scene is not None
                        and eye in self.bones
                        and any(
                            self._moves(scene, node, target, self.bones[eye].node)
                            for node, target in binds
                        )
                    )
            except FileFormatError:
                found[eye] = False
        return found

    def _moves(self, scene: Scene, node: int, target: int, bone: int) -> bool:
        """Whether a target moves vertices that follow a bone."""
        document = self.file.json
        entry = document["nodes"][node]
        joints = ()
        if "skin" in entry:
            joints = document["skins"][int(entry["skin"])]["joints"]
        elif node not in document["nodes"][bone].get("children", ()):
            return False
        for primitive in document["meshes"][int(entry["mesh"])]["primitives"]:
            targets = primitive.get("targets", ())
            if target >= len(targets) or "POSITION" not in targets[target]:
                continue
            moved = np.abs(scene.accessor(int(targets[target]["POSITION"]))).max(1)
            follows = np.ones(len(moved), bool)
            if joints:
                if bone not in joints or "JOINTS_0" not in primitive["attributes"]:
                    continue
                own = scene.accessor(int(primitive["attributes"]["JOINTS_0"]))
                share = scene.accessor(int(primitive["attributes"]["WEIGHTS_0"]))
                follows = ((own == list(joints).index(bone)) * share).sum(1) > 0.5
            if follows.any() and moved[follows].max() > 0.05 * moved.max(initial=0) > 0:
                return True
        return False


class CharacterCurves:
    """The frames of a source as weights of a character's channels, and turns of its bones."""

    def __init__(self, source: FrameSource, character: Character) -> None:
        """Raises `ExportError` for a character on which nothing would move."""
        self.source = source
        self._character = character
        rig = source.info.rig
        self._to_arkit = conversion(rig, "arkit") if "arkit" in _led_to(rig) else None
        self.channels = character.require_drive(rig)
        self._moved: set[str] = set()
        self._turned: set[str] = set()
        self._rig = bare_rig(tuple(self.channels.targets) or ("none",), name="character")

    @property
    def info(self) -> ClipInfo:
        """Info of the source, on a rig of the character's channels."""
        return replace(self.source.info, rig=self._rig)

    def blocks(self) -> Iterator[Block]:
        """Yield weights (n, C) and angles (n, 4, 3).

        Raises `ExportError` at the end if the clip moves, and nothing of the character does.
        """
        self._moved.clear()
        self._turned.clear()
        rig, drive = self.source.info.rig, self.channels.drive
        for values, pose in self.source.blocks():
            self._moved |= moving_controls(values, rig)
            angles = self._angles(values, pose)
            self._turned |= moving_angles(angles)
            weights = drive.weights(values)
            yield Block(weights if weights.shape[1] else np.zeros((len(values), 1), "f4"), angles)
        silent = self._moved & set(self._without_effect())
        if self._moved and (silent == self._moved or drive.still):
            text = self._character.missing(rig)
            if not drive.still:
                shown = ", ".join(sorted(self._moved)[:6])
                text = f"{self._character.path} shows none of the controls that move ({shown})"
            if not self.turning:
                raise ExportError(f"nothing would move: {text}")
            warnings.warn(text, stacklevel=2)

    def _turns(self, joint: str) -> bool:
        return any(name.startswith(f"pose.{joint}.") for name in self._turned)

    def _angles(self, values: Floats, pose: Floats | None) -> Floats | None:
        """Return the angles of bones: of the pose, of controls that are angles, and the gaze."""
        gaze: dict[str, Floats] = {}
        if self._to_arkit is not None:
            arkit, pose = self._to_arkit(values, pose)
            gaze = {eye: _gaze(arkit, side) for eye, side in _EYES.items()}
        if pose is None and not any(angles.any() for angles in gaze.values()):
            return np.zeros((len(values), 4, 3), np.float32)
        turned = np.zeros((len(values), 4, 3), np.float32) if pose is None else pose.copy()
        for eye, angles in gaze.items():
            if eye not in self._character.bones:
                continue
            joint = POSE_JOINTS.index(eye)
            posed = turned[:, joint]
            further = np.abs(posed) > np.abs(angles)
            if self._character.gaze_moves_eyes[eye]:
                turned[:, joint] = np.where(further, posed - angles, 0)
            else:
                turned[:, joint] = np.where(further, posed, angles)
        return turned

    @property
    def turning(self) -> list[str]:
        """Joints that moved in the last pass and have a bone."""
        return [joint for joint in self._character.bones if self._turns(joint)]

    @property
    def dropped(self) -> tuple[str, ...]:
        """Controls and angles that moved in the last pass and have no effect on the character."""
        silent = self._moved & set(self._without_effect())
        lost = [name for name in self.source.info.rig.names if name in silent]
        for name in POSE_ANGLES:
            if name in self._turned and name.split(".")[1] not in self._character.bones:
                lost.append(name)
        return tuple(lost)

    def _without_effect(self) -> list[str]:
        """Return the controls of the clip's rig that move nothing of the character."""
        silent = set(self.channels.drive.undriven) - {"sil", "neutral"}
        if self._to_arkit is not None and silent:
            bones = self._character.bones
            looks = [n for n in GAZE for eye, side in _EYES.items()
                     if n.endswith(side) and eye in bones]  # fmt: skip
            angles = [n for n in POSE_ANGLES if n.split(".")[1] in bones]
            silent -= self._to_arkit.reaching([*looks, *angles])
        return [name for name in self.source.info.rig.names if name in silent]


def _led_to(rig: Rig) -> tuple[str, ...]:
    """Return the rigs that a rig leads to, itself included."""
    return (rig.name, *reachable(rig.name)) if rig.name in rig_names() else ()


def _gaze(arkit: Floats, side: str) -> Floats:
    """Return (n, 3) angles that gaze shapes ask of the eye on one side."""
    rig = Rig.load("arkit")
    angles = np.zeros((len(arkit), 3), np.float32)
    for name, turn in GAZE.items():
        if name.endswith(side):
            angles[:, :2] += arkit[:, rig.index(name), None] * np.array(turn, np.float32)
    return angles


# --------------------------------------------------------------------- writing


def write_onto(
    character: Character,
    clips: Mapping[str, FrameSource],
    file: BinaryIO,
    options: WriteOptions,
    *,
    binary: bool,
) -> tuple[str, ...]:
    """Write the character's file with an animation for every clip that has frames.

    Returns the controls and angles that move and have no effect on the character.
    """
    driven = {name: CharacterCurves(source, character) for name, source in clips.items()}
    taken = set(character.animations)
    nodes: dict[int, dict[str, Any]] = {}
    with character.file.adding(binary=binary) as document:
        for name, curves in driven.items():
            unique = _unused(name, taken)
            taken.add(unique)
            turned = _add_animation(document, character, unique, curves, options.tolerance)
            nodes |= {n: character.transforms[n] for n in turned if n in character.transforms}
        character.file.write(file, document, binary=binary, nodes=nodes)
    return tuple(dict.fromkeys(name for curves in driven.values() for name in curves.dropped))


def _unused(name: str, taken: set[str]) -> str:
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name} {number}", number + 1
    return unique


def _add_animation(
    document: Any, character: Character, name: str, curves: CharacterCurves, tolerance: float | None
) -> list[int]:
    """Add the animation of a clip; returns the nodes that it turns."""
    from .animation import Animation

    turned = []
    with spooled(curves) as spool:
        animation = Animation(document, curves, spool, tolerance)
        if spool.frames:
            with in_words(character.path):
                meshes = _meshes(character, curves)
            for nodes, rows in meshes:
                animation.weights(nodes, rows)
            for joint in curves.turning:
                first = spool.names.index(f"pose.{joint}.yaw")
                bone = character.bones[joint]
                angles = itemgetter((slice(None), slice(first, first + 3)))
                animation.rotation(bone.node, angles, placed=bone.placed)
                turned.append(bone.node)
        animation.finish(name)
    return turned


def _meshes(
    character: Character, curves: CharacterCurves
) -> list[tuple[list[int], Callable[[Array], Array]]]:
    """Return nodes whose targets move alike, and the function from channels to their weights."""
    targets = curves.channels.targets
    matrices: dict[int, Array] = {}
    touched: dict[int, Array] = {}
    for i, group in enumerate(targets.values()):
        for node, target in group:
            if node not in matrices:
                count = len(character.face.names[node])
                touched[node] = np.zeros(count, bool)
                matrices[node] = np.zeros((len(targets), count), np.float32)
            matrices[node][i, target] = 1
            touched[node][target] = True
    groups: dict[tuple[bytes, bytes], list[int]] = {}
    rest: dict[int, Array] = {}
    for node in sorted(matrices):
        rest[node] = np.where(touched[node], 0, _defaults(character, node)).astype(np.float32)
        groups.setdefault((matrices[node].tobytes(), rest[node].tobytes()), []).append(node)
    return [(nodes, _weighing(matrices[nodes[0]], rest[nodes[0]])) for nodes in groups.values()]


def _weighing(matrix: Array, rest: Array) -> Callable[[Array], Array]:
    return lambda rows: np.asarray(rows[:, : len(matrix)] @ matrix + rest, np.float32)


def _defaults(character: Character, node: int) -> Array:
    """Return the (S,) weights that a node's targets have without an animation."""
    document = character.file.json
    entry = document["nodes"][node]
    given = entry.get("weights") or document["meshes"][int(entry["mesh"])].get("weights") or ()
    weights = np.zeros(len(character.face.names[node]))
    weights[: len(given)] = given[: len(weights)]
    return weights
