"""What Unreal imports: the script before a stand-in, definitions for its RigMapper."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from probe import probe
from readers.unreal import Editor, Thing, quaternion, read_script, read_table_csv

from facesdk import Clip, Pose, Rig
from facesdk.cli import main
from facesdk.clip import POSE_ANGLES
from facesdk.errors import ExportError, RigError
from facesdk.exporters import write_clip
from facesdk.exporters.rigs import bare_rig
from facesdk.exporters.unreal.names import POSE_CURVES, curve_name
from facesdk.exporters.unreal.rig_mapper import definition
from facesdk.mesh.rotation import matrices
from facesdk.retarget import Conversion, RigMap, Rule, conversion

AXES = np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
"""From our axes to a MetaHuman's mesh: left is +X in both, up is +Z, the face looks along +Y."""


def turned(q) -> np.ndarray:
    """Rotation matrix of a quaternion."""
    x, y, z, w = q.x, q.y, q.z, q.w
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def unit(*numbers: float) -> SimpleNamespace:
    return quaternion(*(np.array(numbers) / np.linalg.norm(numbers)))


REST = {
    bone: {
        space: SimpleNamespace(translation=f"{bone} {space}", rotation=turn, scale3d="one")
        for space, turn in (("local", local), ("world", world))
    }
    for bone, local, world in (
        ("head", unit(0.1, 0.7, -0.2, 0.7), unit(0.5, -0.3, 0.2, 0.8)),
        ("neck_01", unit(0, 0, 0.4, 0.9), unit(0.3, 0.3, -0.6, 0.1)),
    )
}


# ------------------------------------------------------------------------ the script


def made(tmp_path, clip: Clip, editor: Editor | None = None, **options) -> Editor:
    editor = editor or Editor(REST)
    write_clip(clip, tmp_path / "line.py", **options)
    editor.run(tmp_path / "line.py")
    return editor


def test_bones_turn_from_rest_about_the_axes_of_the_mesh(tmp_path):
    """A bone's turn in the mesh is ours on other axes, wherever the bone points at rest."""
    clip = probe("metahuman", frames=9)
    editor = made(tmp_path, clip, settings={"pose": "bones"})
    controller = editor.saved[0].get_editor_property("controller")
    assert set(controller.bones) == {"head", "neck_01"}
    assert (controller.rate, controller.frames, controller.open) == ((30000, 1001), 8, 0)
    for joint, bone in enumerate(("head", "neck_01")):
        track = controller.bones[bone]
        local, world = (turned(REST[bone][s].rotation) for s in ("local", "world"))
        above = world @ local.T
        ours = AXES @ matrices(clip.pose.angles[:, joint]) @ AXES.T
        found = np.array([above @ turned(q) @ world.T for q in track.turns])
        np.testing.assert_allclose(found, ours, atol=1e-6)
        assert set(track.places) == {f"{bone} local"}
    assert not {"HeadYaw", "NeckRoll"} & set(editor.curves)
    assert {"LeftEyeYaw", "RightEyeRoll"} <= set(editor.curves)
    assert editor.saved[0].get_editor_property("platform_target_frame_rate").properties == {
        "default": (30000, 1001)
    }


def test_a_head_turned_left_looks_to_the_left_of_the_mesh(tmp_path):
    """Its face, +Y at rest, goes towards +X, where a MetaHuman's left is."""
    angles = np.zeros((1, 4, 3), np.float32)
    angles[0, 0, 0] = 0.5
    clip = Clip(Rig.load("metahuman"), np.zeros((1, 251)), 30, pose=Pose(angles))
    still = {s: SimpleNamespace(translation=0, rotation=unit(0, 0, 0, 1), scale3d=1)
             for s in ("local", "world")}  # fmt: skip
    editor = made(tmp_path, clip, Editor({"head": still}), settings={"pose": "bones", "neck": ""})
    first, again = editor.saved[0].get_editor_property("controller").bones["head"].turns
    np.testing.assert_allclose(turned(first) @ [0, 1, 0], [np.sin(0.5), np.cos(0.5), 0], atol=1e-6)
    assert first == again


def test_events_go_along_as_a_tag(tmp_path):
    editor = made(tmp_path, probe("metahuman"), name="Hello, you")
    assert editor.saved[0].path == "/Game/facesdk/Hello_you"
    cue, end = json.loads(editor.tags["facesdk.events"])
    assert cue == {"time": 1601 / 16_000, "name": "cue", "data": {"text": "left"}}
    assert end["time"] == (16_000) / 16_000


def test_a_sequence_without_a_name_is_called_like_the_script(tmp_path):
    editor = made(tmp_path, replace(probe("arkit"), meta={}))
    assert list(editor.assets) == ["/Game/facesdk/line"]


def test_running_a_script_again_fills_the_same_sequence(tmp_path):
    editor = made(tmp_path, probe("arkit"))
    made(tmp_path, probe("arkit", frames=20), editor)
    assert len(editor.assets) == 1
    assert len(editor.curves["jawOpen"][0]) == 20


def test_a_mesh_stands_for_its_skeleton_and_nothing_is_an_error(tmp_path):
    made(tmp_path, probe("arkit"), Editor(kind=Thing), settings={"skeleton": "/Game/Skeleton"})
    with pytest.raises(RuntimeError, match="change SKELETON"):
        made(tmp_path, probe("arkit"), settings={"skeleton": "/Game/Nothing"})
    with pytest.raises(ExportError, match="begin with /"):
        write_clip(probe("arkit"), tmp_path / "b.py", settings={"folder": "Game"})
    assert not (tmp_path / "b.py").exists()


def test_rotations_that_are_controls_are_written_once(tmp_path):
    clip = probe("livelink")
    editor = made(tmp_path, clip)
    np.testing.assert_allclose(editor.curves["HeadYaw"][1], clip.curve("HeadYaw"), atol=1e-7)
    assert "NeckYaw" in editor.curves


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_no_name_breaks_the_script_or_a_table(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp()
    clip = Clip(bare_rig(["a", f"x{name}"]), np.zeros((1, 2)), 30)
    write_clip(clip, folder / "any.py")
    write_clip(clip, folder / "any.csv", "curve-table-csv")
    compile((folder / "any.py").read_text("ascii"), "any.py", "exec")
    if "." not in name and not set(name) & set("\r\n"):
        assert f"x{name}" in read_table_csv(folder / "any.csv")


# ----------------------------------------------------------------------- rig mapper


def evaluated(document: dict, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of a definition as its graph is described."""
    assert set(document["inputs"]) <= set(inputs)
    done = {name: inputs[name] for name in document["inputs"]}

    def at(name: str) -> np.ndarray:
        if name not in done:
            node = document["features"][name]
            read, params = [at(n) for n in node["input_features"]], node["params"]
            if node["type"] == "weighted_sum":
                total = sum(w * r for w, r in zip(params["weights"], read, strict=True))
                done[name] = np.clip(total, params.get("min", -np.inf), params.get("max", np.inf))
            elif node["type"] == "sdk":
                done[name] = np.interp(read[0], params["in_val"], params["out_val"])
            else:
                assert node["type"] == "multiply"
                done[name] = np.prod(read, 0)
        return done[name]

    return {name: at(feature) for name, feature in document["outputs"].items()}


def compared(way: Conversion, document: dict) -> dict[str, float]:
    """How far a definition is off a conversion, by control of the target."""
    rng = np.random.default_rng(5)
    rig = way.source
    values = rng.uniform(rig.minimum, rig.maximum, (400, len(rig))).astype(np.float32)
    pose = rng.uniform(-0.4, 0.4, (400, 4, 3)).astype(np.float32)
    inputs = dict(zip(POSE_CURVES, pose.reshape(400, -1).T.astype(float), strict=True))
    inputs |= {curve_name(n): values[:, i].astype(float) for i, n in enumerate(rig.names)}
    found = evaluated(document, inputs)
    wanted, _ = way(values, pose)
    silent = np.zeros(400)
    return {n: float(np.abs(found.get(curve_name(n), silent) - wanted[:, i]).max())
            for i, n in enumerate(way.target.names)}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "target", "features", "off"),
    [
        ("arkit", "metahuman", 19, 0.002),
        ("metahuman", "arkit", 17, 1e-6),
        ("metahuman-gui", "metahuman", 140, 1e-6),
        ("arkit", "a2f", 2, 1e-6),
        ("livelink", "metahuman", 19, 0.002),
        ("metahuman-gui", "arkit", 43, 1e-6),
    ],
)
def test_definitions_say_what_conversions_do(source, target, features, off):
    way = conversion(source, target)
    document, unset = definition(way)
    assert not unset
    assert len(document["features"]) == features
    assert document["parameters"] == {}
    named = {*document["outputs"], *document["null_outputs"]}
    assert named == {curve_name(n) for n in way.target.names}
    assert max(compared(way, document).values()) < off


def test_what_a_graph_cannot_say_is_told():
    way = conversion("metahuman", "metahuman-gui")
    document, unset = definition(way)
    assert unset == ("CTRL_C_neck_swallow-translateY",)
    assert "CTRL_C_neck_swallow.ty" in document["null_outputs"]
    off = compared(way, document)
    assert max(v for n, v in off.items() if n not in unset) < 1e-6
    with pytest.raises(RigError, match="fits poses"):
        definition(conversion("arkit", "oculus"))


def test_a_blink_that_both_eyes_share():
    source, target = (replace(bare_rig(n), name=n) for n in ("lr", "blr"))
    step = RigMap(source, target, rules=(Rule("shared_blink", ("l", "r"), ("b", "l", "r")),))
    way = Conversion(source, target, (step,))
    document, _ = definition(way)
    assert max(compared(way, document).values()) < 1e-6


def test_definitions_from_the_command_line(capsys):
    assert main(["rigs", "arkit", "--rig-mapper", "metahuman"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == definition(conversion("arkit", "metahuman"))[0]
    assert main(["rigs", "metahuman", "--rig-mapper", "metahuman-gui"]) == 0
    assert "CTRL_C_neck_swallow" in capsys.readouterr().err
    assert main(["rigs", "--rig-mapper", "metahuman"]) == 2


def test_a_table_for_rig_mapper_has_every_curve_at_every_frame(tmp_path):
    clip = probe("arkit", frames=4, pose=False)
    lost = write_clip(clip, tmp_path / "a.csv", "rig-mapper-csv")
    rows = (tmp_path / "a.csv").read_text().splitlines()
    assert len(rows) == 1 + 4 * 52
    assert rows[0] == "curve_name,frame_number,value"
    assert set(lost) == {"fps", "start", "events"}


def test_scripts_of_thinned_keys_name_their_frames(tmp_path):
    write_clip(probe("arkit"), tmp_path / "a.py", tolerance=0.05)
    track = read_script(tmp_path / "a.py")["jawOpen"]
    assert 2 < len(track.times) < 75
    assert len(POSE_ANGLES) == len(POSE_CURVES)
