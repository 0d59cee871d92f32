"""FLAME: reading the user's model without running it, posing it, its map from ARKit."""

from __future__ import annotations

import json
import os
import pickle
import runpy
import sys
import types
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from facesdk.cli import main
from facesdk.clip import Clip, Pose
from facesdk.errors import FileFormatError, MeshError, RigError
from facesdk.exporters import write_clip
from facesdk.mesh import load_head
from facesdk.mesh.files import unpickle
from facesdk.mesh.files.unpickle import load_arrays
from facesdk.mesh.fit.calibrate import calibrate
from facesdk.mesh.fit.solve import Solver, skull, without_head_motion
from facesdk.mesh.flame import JAW, FlameModel, rotations
from facesdk.render import FlameMotion
from facesdk.retarget import conversion, convert, reachable
from facesdk.rig import Rig

MAKE = runpy.run_path(str(Path(__file__).parents[1] / "make_flame.py"))
ANSWER, from_head, random_model, random_performance = (
    MAKE[name] for name in ("ANSWER", "from_head", "random_model", "random_performance")
)

# ------------------------------------------------------------------ files of strangers


class Command:
    """What an attacker puts into a pickle."""

    def __reduce__(self):
        return os.system, ("echo harm",)


class Formula:
    """Stands in for chumpy's class of that name, which is hardly installed anywhere."""

    __module__, __qualname__ = "chumpy.ch", "Ch"

    def __init__(self, **state):
        self.__dict__.update(state)


@pytest.fixture
def chumpy(monkeypatch):
    module = types.ModuleType("chumpy.ch")
    module.Ch = Formula
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)


def pickled(folder, content, protocol=2):
    path = folder / "model.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    return path


ARRAYS = {
    "rows": np.arange(12.0).reshape(4, 3),
    "columns": np.asfortranarray(np.arange(12.0).reshape(4, 3)),
    "big_endian": np.arange(5, dtype=">i4"),
    "unsigned": np.array([[2**32 - 1, 0], [0, 1]], np.uint32),
    "number": np.float32(2),
    "list": [1, 2, 3],
    "table": [[1.0, 2.0], [3.0, 4.0]],
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_come_out_of_pickles_of_every_protocol(tmp_path, protocol):
    loaded = load_arrays(pickled(tmp_path, ARRAYS | {"text": "lbs"}, protocol))
    assert set(loaded) == set(ARRAYS)
    for name, values in ARRAYS.items():
        assert_array_equal(loaded[name], values)


@pytest.mark.parametrize("form", ["csc", "csr", "coo"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_sparse_matrices_come_out_dense(tmp_path, form, kind):
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.diag([1.0, 2.0, 3.0])[:, :2]
    matrix = getattr(sparse, f"{form}_{kind}")(dense)
    assert_array_equal(load_arrays(pickled(tmp_path, {"J": matrix}))["J"], dense)


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_formulas_of_chumpy_become_their_values(tmp_path, chumpy, protocol):
    value = np.arange(6.0).reshape(2, 3)
    chosen = Formula(a=Formula(x=value), idxs=np.array([5, 0]), preferred_shape=(2,))
    content = {"v": Formula(x=value), "chosen": chosen, "sum": Formula(left=value)}
    loaded = load_arrays(pickled(tmp_path, content, protocol))
    assert set(loaded) == {"v", "chosen"}
    assert_array_equal(loaded["v"], value)
    assert_array_equal(loaded["chosen"], [5, 0])


def test_what_is_not_a_table_is_one_array_called_data(tmp_path):
    assert_array_equal(load_arrays(pickled(tmp_path, [4, 5]))["data"], [4, 5])


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("place", [Command(), {"v": Command()}, {"v": np.array([Command()])}])
def test_a_pickle_that_asks_for_a_program_is_refused_by_name(tmp_path, capfd, place, protocol):
    path = pickled(tmp_path, place, protocol)
    with pytest.raises(FileFormatError, match=rf"model.pkl: it refers to {os.name}.system"):
        load_arrays(path)
    assert "harm" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a pickle"),
        (b"junk", "not a pickle"),
        (pickle.dumps(ARRAYS)[:-20], "not a pickle"),
        (b"r\xff\xff\xff\xff.", "more than"),  # a memo of 4 billion entries
        (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\x00\x00.", "not a pickle"),  # 2**48 bytes to come
        (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
        (b"cnumpy\nload\n(S'x'\ntR.", "numpy.load"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cbuiltins\nbytearray\ntR.", "rebuilds"),
        (pickle.dumps({"v": np.array(["text"])}), "expected numbers"),
        (pickle.dumps({"v": np.zeros(2, "i4,f4")}), "expected numbers"),
        (pickle.dumps({"v": np.array([None, {}])}), "array of objects|expected numbers"),
    ],
)
def test_broken_and_hostile_pickles_are_refused(tmp_path, content, message):
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        load_arrays(path)


@given(data=st.binary(max_size=200))
def test_no_bytes_get_past_the_reader(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.pkl"
    path.write_bytes(data)
    with suppress(FileFormatError):
        load_arrays(path)


def test_an_npz_that_holds_objects_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    np.savez(path, v=np.array([{}], object))
    with pytest.raises(FileFormatError, match="arrays of numbers"):
        load_arrays(path)


def test_sizes_are_bounded(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    np.savez_compressed(path, v=np.zeros(2000))
    assert path.stat().st_size < 1000 < sum(e.file_size for e in zipfile.ZipFile(path).infolist())
    monkeypatch.setattr(unpickle, "MAX_BYTES", 1000)
    with pytest.raises(FileFormatError, match="at most 1,000"):
        load_arrays(path)
    with pytest.raises(FileFormatError, match="at most 1,000"):
        load_arrays(pickled(tmp_path, {"v": np.zeros(2000)}))


# -------------------------------------------------------------------------- the model


@pytest.fixture(scope="module")
def flame(tmp_path_factory) -> FlameModel:
    path = tmp_path_factory.mktemp("flame") / "random.npz"
    np.savez(path, **random_model())
    return FlameModel.load(path)


def test_a_pickle_and_an_npz_are_the_same_model(flame, tmp_path):
    loaded = FlameModel.load(pickled(tmp_path, random_model()))
    assert_array_equal(loaded.template, flame.template)
    assert_array_equal(loaded.expression_dirs, flame.expression_dirs)


def test_vertices_are_those_of_smplx(flame):
    moves = random_performance()
    vertices = flame.with_identity(moves["betas"]).vertices(
        moves["expression"], pose=moves["pose"], translation=moves["translation"]
    )
    with np.load(ANSWER) as answer:
        assert_allclose(vertices, answer["vertices"], rtol=0, atol=1e-6)


def test_at_rest_a_model_is_its_template_and_directions_add(flame):
    assert_allclose(flame.vertices()[0], flame.template, atol=1e-7)
    expression = np.linspace(-2, 2, 100)
    expected = flame.template + flame.expression_dirs @ expression
    assert_allclose(flame.vertices(expression)[0], expected, atol=1e-6)


@given(axis_angle=st.tuples(*[st.floats(-3, 3)] * 3))
def test_the_global_joint_turns_the_head_as_one_piece(flame, axis_angle):
    pose = np.zeros((5, 3))
    pose[0] = axis_angle
    center = flame.joints[0]
    expected = (flame.template - center) @ rotations(np.array(axis_angle)).T + center
    assert_allclose(flame.vertices(pose=pose)[0], expected, atol=2e-6)


def test_blocks_and_single_rows_change_nothing(flame):
    moves = random_performance(9)
    whole = flame.vertices(moves["expression"], pose=moves["pose"])
    cut = np.concatenate(list(flame.blocks(moves["expression"], pose=moves["pose"], size=4)))
    assert_allclose(cut, whole, atol=1e-7)
    same = flame.vertices(moves["expression"], pose=moves["pose"][3])
    assert_allclose(same[3], whole[3], atol=1e-7)


def test_fewer_coefficients_mean_zeros(flame):
    few = np.array([[1.0, -1.0]])
    assert_array_equal(flame.vertices(few), flame.vertices(np.pad(few, [(0, 0), (0, 98)])))


def test_a_clip_on_the_rig_poses_the_model(flame):
    rig = Rig.load("flame")
    values = np.zeros((2, len(rig)))
    values[1, rig.index("expression_004")] = 2
    values[1, rig.index("jaw_pose_x")] = 0.3
    pose = np.zeros((5, 3))
    pose[JAW, 0] = 0.3
    vertices = flame.clip_vertices(Clip(rig, values, 30))
    assert_allclose(vertices[0], flame.template, atol=1e-7)
    assert_allclose(vertices[1], flame.vertices([0, 0, 0, 0, 2], pose=pose)[0], atol=1e-7)


def test_a_clip_on_another_rig_is_refused(flame):
    with pytest.raises(MeshError, match="rig 'arkit'; convert it first"):
        flame.clip_vertices(Clip(Rig.load("arkit"), np.zeros((1, 52)), 30))


@pytest.mark.parametrize(("directions", "expressions"), [(400, 100), (20, 10), (8, 4)])
def test_small_models_have_fewer_expressions(tmp_path, directions, expressions):
    model = FlameModel.load(pickled(tmp_path, random_model(directions=directions)))
    assert model.expressions == expressions


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weights": None}, FileFormatError, "missing: weights"),
        ({"kintree_table": np.zeros((2, 24))}, FileFormatError, "a body or a hand"),
        ({"posedirs": np.zeros((120, 3, 9))}, MeshError, "posedirs of model must be"),
        ({"f": np.full((1, 3), 500)}, MeshError, "vertices it does not have"),
        ({"v_template": np.full((120, 3), np.nan)}, MeshError, "finite"),
    ],
)
def test_files_that_are_no_flame_model_say_why(tmp_path, change, error, message):
    arrays = {k: v for k, v in (random_model() | change).items() if v is not None}
    with pytest.raises(error, match=message):
        FlameModel.load(pickled(tmp_path, arrays))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"expression": np.zeros((2, 101))}, "expression must be"),
        ({"pose": np.zeros((2, 4, 3))}, "pose must be"),
        ({"expression": np.zeros((2, 9)), "pose": np.zeros((3, 5, 3))}, r"\[2, 3\] frames"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(flame, arguments, message):
    with pytest.raises(MeshError, match=message):
        flame.vertices(**arguments)


def test_training_sees_the_same_vertices_and_gradients(flame):
    torch = pytest.importorskip("torch")
    from facesdk.train.flame_layer import FlameLayer

    moves = random_performance()
    layer = FlameLayer(flame, dtype=torch.float64)
    expression = torch.tensor(moves["expression"], requires_grad=True)
    pose = torch.tensor(moves["pose"], requires_grad=True)
    vertices = layer(expression, pose)
    expected = flame.vertices(moves["expression"], pose=moves["pose"])
    assert_allclose(vertices.detach().numpy(), expected, atol=1e-6)
    vertices.square().sum().backward()
    assert torch.isfinite(pose.grad).all()
    assert pose.grad[0].abs().max() > 0, "at rest too"


# ------------------------------------------------------------------ the map from ARKit


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> Path:
    """A model in FLAME's format made of another person's built-in head, on another mesh."""
    path = tmp_path_factory.mktemp("flame") / "person.npz"
    person = load_head(identity={"sex": "female", "ethnicity": "asian"})
    np.savez(path, **from_head(person)[0])
    return path


@pytest.fixture(scope="module")
def calibrated(model_file):
    return calibrate(FlameModel.load(model_file), load_head())


@pytest.fixture(scope="module")
def to_flame(calibrated):
    return calibrated.rig_map()


def posed_by(model_file, to_flame, **shapes):
    """(V, 3) metres that a FLAME model makes of ARKit's shapes."""
    rig = Rig.load("arkit")
    values = np.zeros((1, len(rig)), np.float32)
    for name, value in shapes.items():
        values[0, rig.index(name)] = value
    clip = Clip(to_flame.target, to_flame(values, None)[0], 30)
    return FlameModel.load(model_file).clip_vertices(clip)[0]


def test_shapes_are_fitted_to_half_a_millimetre(calibrated):
    assert calibrated.distance < 1.5
    assert np.mean(list(calibrated.errors.values())) < 0.5
    assert max(calibrated.errors.values()) < 2


def test_the_jaw_opens_as_a_joint_and_eyes_turn_as_joints(calibrated):
    assert 0.15 < calibrated.weights["jawOpen"]["jaw_pose_x"] < 0.6
    left, right = (calibrated.weights[f"jaw{s}"]["jaw_pose_y"] for s in ("Left", "Right"))
    assert left > 0 > right
    assert calibrated.weights["eyeLookInLeft"]["leye_pose_y"] < -0.2
    assert calibrated.weights["eyeLookDownRight"]["reye_pose_x"] > 0.1
    assert not [n for n in calibrated.weights["mouthSmileLeft"] if "jaw" in n]


def test_what_flame_does_not_have_is_left_out(to_flame):
    assert "tongueOut" not in to_flame.weights
    assert to_flame.weights["pose.head.yaw"] == {"neck_pose_y": 1.0}


def test_lips_open_and_seal_on_the_model(model_file, to_flame, calibrated):
    rest = posed_by(model_file, to_flame)
    opened = posed_by(model_file, to_flame, jawOpen=1)
    closed = posed_by(model_file, to_flame, jawOpen=1, mouthClose=1)
    shape = calibrated.head.delta("jawOpen") + calibrated.head.delta("mouthClose")
    assert np.linalg.norm(opened - rest, axis=1).max() > 0.02
    assert np.sqrt(np.square(closed - rest - shape).sum(1).mean()) < 0.0015


def test_vertices_of_the_model_are_solved_for_arkit(model_file, to_flame, calibrated):
    weights = {"jawOpen": 0.5, "mouthSmileLeft": 0.7, "browInnerUp": 0.4}
    vertices = posed_by(model_file, to_flame, **weights)
    solved = Solver(calibrated.head, sparsity=0.002)(vertices)
    for name, value in weights.items():
        assert solved[calibrated.head.index(name)] == pytest.approx(value, abs=0.15)


def test_a_moving_head_is_held_by_its_skull(model_file, calibrated):
    model, frames = FlameModel.load(model_file), np.zeros((3, 5, 3))
    frames[1:, 1, 1], frames[2, JAW, 0] = 0.2, 0.25
    still, _ = without_head_motion(
        model.vertices(pose=frames), calibrated.head.neutral, skull(calibrated.head)
    )
    firm = skull(calibrated.head) > 0.5
    assert firm.sum() > 500
    assert_allclose(still[:, firm], np.tile(calibrated.head.neutral[firm], (3, 1, 1)), atol=1e-3)


def test_a_model_by_path_is_a_head_to_look_at(model_file):
    head = load_head(model_file)
    assert set(Rig.load("arkit").names) < set(head.names)
    assert [part.name for part in head.parts] == ["skin", "eyes"]
    smile = head.vertices(np.eye(len(head.names))[head.index("mouthSmileLeft")])
    assert np.linalg.norm(smile - head.neutral, axis=1).max() > 0.01
    assert len(np.unique(head.colors, axis=0)) > 5


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FACESDK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_without_a_map_the_command_that_makes_it_is_named(cache):
    with pytest.raises(RigError, match="facesdk flame calibrate MODEL"):
        conversion("arkit", "flame")


@pytest.fixture
def known(calibrated, monkeypatch):
    """Calibrating takes some seconds; the command gets what was computed before."""
    monkeypatch.setattr("facesdk.mesh.fit.calibrate.calibrate", lambda *_: calibrated)


def test_calibrating_makes_the_rig_reachable_from_everywhere(model_file, known, cache, capsys):
    assert main(["flame", "calibrate", str(model_file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["map"] == str(cache / "maps" / "arkit-to-flame.json")
    assert report["dropped"] == ["tongueOut"]
    assert "flame" in reachable("arkit")
    assert "flame" in reachable("livelink")
    arkit = Rig.load("arkit")
    values = np.zeros((3, len(arkit)))
    values[1, arkit.index("jawOpen")] = 1
    pose = np.zeros((3, 4, 3))
    pose[2, 0, 0] = 0.2
    clip = convert(Clip(arkit, values, 30, pose=Pose(pose)), "flame")
    assert clip.curve("jaw_pose_x")[1] > 0.15
    assert_allclose(clip.curve("neck_pose_y"), [0, 0, 0.2], atol=1e-6)
    assert conversion("arkit", "flame").dropped == ("tongueOut",)


def test_a_map_written_elsewhere_leaves_the_rig_as_it_is(
    model_file, known, cache, tmp_path, capsys
):
    file = tmp_path / "map.json"
    assert main(["flame", "calibrate", str(model_file), "-o", str(file)]) == 0
    assert file.exists()
    assert "jawOpen" in capsys.readouterr().out
    assert "flame" not in reachable("arkit")


def test_a_broken_map_of_the_user_says_where_it_lies(cache):
    (cache / "maps").mkdir(parents=True)
    (cache / "maps" / "arkit-to-flame.json").write_text("{}")
    with pytest.raises(RigError, match=r"arkit-to-flame\.json"):
        conversion("arkit", "flame")


def test_own_maps_do_not_replace_those_of_facesdk(cache):
    (cache / "maps").mkdir(parents=True)
    (cache / "maps" / "arkit-to-vrm.json").write_text("{}")
    assert conversion("arkit", "vrm").maps


def test_info_tells_what_a_model_holds(model_file, capsys):
    assert main(["flame", "info", str(model_file), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["expressions"] == 100
    assert facts["joints_mm"]["leye_pose"][0] == pytest.approx(29, abs=4)
    assert main(["flame", "info", str(model_file)]) == 0
    assert "expressions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ('{"chin": 999999}', 2, "vertices below"),
        ("[1]", 2, "must map names"),
        ("{", 1, "landmark file"),
    ],
)
def test_landmark_files_are_checked(model_file, cache, tmp_path, capsys, text, code, message):
    file = tmp_path / "points.json"
    file.write_text(text)
    words = ["flame", "calibrate", str(model_file), "--landmarks", str(file)]
    assert main(words) == code
    assert message in capsys.readouterr().err


def test_a_clip_on_the_rig_is_drawn_by_its_model(model_file, to_flame, tmp_path):
    """What is drawn are the model's own vertices: the open jaw moves the picture."""
    values = np.zeros((4, len(to_flame.target)), np.float32)
    clip = Clip(to_flame.target, values, 30)
    values[2:, to_flame.target.index("jaw_pose_x")] = 0.3
    write_clip(replace(clip, values=values), tmp_path / "line.json")
    words = ["render", str(tmp_path / "line.json"), "--head", str(model_file), "--size", "64"]
    assert main([*words, "--backend", "software", "-o", str(tmp_path / "frames")]) == 0
    frames = [file.read_bytes() for file in sorted((tmp_path / "frames").iterdir())]
    assert frames[0] == frames[1] != frames[2] == frames[3]
    motion = FlameMotion(FlameModel.load(model_file), replace(clip, values=values))
    assert_allclose(np.array(list(motion.frames())), [motion[i] for i in range(4)], atol=1e-7)
