"""`facesdk export-onnx`: graphs for engines, run as an engine would."""

from __future__ import annotations

import hashlib
import json
import runpy
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tract
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import facesdk
from facesdk.cli import main
from facesdk.errors import ModelError
from facesdk.model import Model
from facesdk.model.rig_outputs import RigOutput
from facesdk.onnx_export import EngineExportOptions, GraphBuilder, export_engine
from facesdk.onnx_export.rig_layers import map_layers
from facesdk.retarget import RULES, PoseFit, RigMap, Rule, conversion
from facesdk.rig import Rig

ROOT = Path(__file__).resolve().parents[2]
Face = runpy.run_path(str(ROOT / "examples" / "export_engine.py"))["Face"]

RIGS = (
    "arkit", "metahuman", "oculus", "a2f", "vrm", "flame", "livelink", "metahuman-gui",
)  # fmt: skip
UNITS = Rig.load("units")

DOCUMENTED = {
    "Abs", "Add", "Cast", "Clip", "Concat", "Conv", "CumSum", "Div", "Exp", "Log", "MatMul", "Max",
    "Min", "Mul", "ReduceMean", "Relu", "Reshape", "Sigmoid", "Slice", "Split", "Squeeze", "Sub",
    "Transpose", "Unsqueeze",
}  # fmt: skip
"""What docs/onnx.md lists, and Unity's Inference Engine has."""


def speech(steps: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    swell = np.abs(np.sin(np.arange(steps * 320) / 3000))
    return (rng.standard_normal(steps * 320) * 0.05 * swell).astype(np.float32)


def output(facts: dict, name: str) -> dict:
    """What a manifest says about an output."""
    (entry,) = (o for o in facts["outputs"] if o["name"] == name)
    return entry


class Engine:
    """An exported graph that is run step by step."""

    def __init__(self, path: Path) -> None:
        self.session = onnxruntime.InferenceSession(str(path))
        self.facts = json.loads(path.with_suffix(".json").read_text("utf-8"))
        self.outputs = [o["name"] for o in self.facts["outputs"]]

    def __call__(self, audio: np.ndarray, cuts=(), **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs of (batch, samples), cut after some of its steps."""
        steps = audio.shape[1] // 320
        states = {
            t["name"]: np.zeros((len(audio), *t["shape"][1:]), np.float32)
            for t in self.facts["inputs"] if "next" in t
        }  # fmt: skip
        parts: dict[str, list[np.ndarray]] = {}
        ends = [*sorted(set(cuts) & set(range(1, steps))), steps]
        for start, end in zip([0, *ends], ends, strict=False):
            more = {n: v if v.ndim == 2 else v[:, start:end] for n, v in inputs.items()}
            found = self.session.run(
                None, {"audio": audio[:, start * 320 : end * 320], **states, **more}
            )
            named = dict(zip(self.outputs, found, strict=True))
            states = {name: named.pop(name.replace("state_", "next_", 1)) for name in states}
            for name, value in named.items():
                parts.setdefault(name, []).append(value)
        return {name: np.concatenate(values, 1) for name, values in parts.items()}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A user's folder with a FLAME model calibrated, in numbers made up."""
    folder = tmp_path_factory.mktemp("cache")
    rng = np.random.default_rng(3)
    arkit, flame = Rig.load("arkit"), Rig.load("flame")
    weights = {
        name: {c: float(rng.normal()) for c in rng.choice(flame.names[:100], 4, replace=False)}
        for name in arkit.names
    }
    weights["jawOpen"]["jaw_pose_x"] = 0.4
    (folder / "maps").mkdir()
    made = RigMap(arkit, flame, weights)
    (folder / "maps" / "arkit-to-flame.json").write_text(made.to_text(), "utf-8")
    return folder


@pytest.fixture(autouse=True)
def nothing_calibrated(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FACESDK_CACHE", str(tmp_path_factory.getbasetemp() / "no-cache"))


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Engines by what they hold, each made once."""
    folder, made = tmp_path_factory.mktemp("engines"), {}

    def engine(**choice) -> Engine:
        key = repr(sorted(choice.items()))
        if key not in made:
            path = folder / f"{len(made)}.onnx"
            export_engine(None, path, EngineExportOptions(**choice))
            made[key] = Engine(path)
        return made[key]

    return engine


@pytest.fixture(scope="module")
def trunk():
    return facesdk.load()


def trunk_units(model: Model, audio: np.ndarray) -> np.ndarray:
    units, _ = model.step(audio, model.start(len(audio)))
    return units


def all_units(units: np.ndarray, names) -> np.ndarray:
    full = np.tile(UNITS.rest, (*units.shape[:-1], 1))
    full[..., [UNITS.index(name) for name in names]] = units
    return full


# ------------------------------------------------------------------------ parity


@pytest.mark.parametrize("batch", [1, 3])
def test_every_rig_is_what_the_sdk_makes_of_the_same_units(make, trunk, batch):
    audio = np.stack([speech(40, seed) for seed in range(batch)])
    found = make(rigs=RIGS, look_ahead_ms=100)(audio)
    units = trunk_units(trunk, audio)[:, :, trunk.look_ahead(100)]
    assert_allclose(found["units"][:, :, 0], units, atol=1e-6)
    full = all_units(units, trunk.manifest.units)
    for rig in RIGS:
        expected = RigOutput.of(rig)(full.reshape(-1, len(UNITS)))
        assert_allclose(found[rig], expected.reshape(found[rig].shape), atol=1e-5, err_msg=rig)
        assert np.ptp(found[rig]) > 0.01, rig


def test_a_calibrated_flame_has_expressions(trunk, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("FACESDK_CACHE", str(cache))
    path = tmp_path / "face.onnx"
    facts = export_engine(None, path, EngineExportOptions(rigs=("flame",), look_ahead_ms=40))
    assert output(facts, "flame")["maps"] == ["arkit-to-flame"]
    audio = speech(30)[None]
    units = trunk_units(trunk, audio)[:, :, trunk.look_ahead(40)]
    expected = RigOutput.of("flame")(all_units(units, trunk.manifest.units)[0])
    assert np.abs(expected[:, :100]).max() > 0.05
    assert_allclose(Engine(path)(audio)["flame"][0], expected, atol=1e-5)


@given(cuts=st.lists(st.integers(1, 39)), batch=st.sampled_from([1, 3]))
@settings(max_examples=12, deadline=None)
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_outputs_do_not_depend_on_chunks_and_batch(make, precision, cuts, batch):
    engine = make(rigs=("arkit", "oculus"), look_ahead_ms=100, precision=precision)
    audio = np.stack([speech(40, seed) for seed in range(batch)])
    cut = engine(audio, cuts)
    for name, whole in engine(audio[-1:]).items():
        assert_allclose(cut[name][-1:], whole, atol=1e-4, err_msg=name)


def test_all_look_aheads_are_each_of_them(make):
    audio = speech(30)[None]
    everything = make(rigs=("arkit", "vrm"))
    together = everything(audio)
    assert everything.facts["look_aheads_ms"] == [0, 20, 40, 80, 160]
    for i, ms in enumerate(everything.facts["look_aheads_ms"]):
        alone = make(rigs=("arkit", "vrm"), look_ahead_ms=ms)
        assert alone.facts["delay_steps"] == [ms // 20]
        found = alone(audio)
        assert_allclose(found["units"][:, :, 0], together["units"][:, :, i], atol=1e-6)
        for rig in ("arkit", "vrm"):
            assert_allclose(found[rig], together[rig][:, :, i], atol=1e-6)


def test_a_second_runtime_agrees(make):
    engine = make(rigs=("arkit", "oculus", "a2f", "vrm"), look_ahead_ms=100)
    audio = speech(4)[None]
    graph = ReferenceEvaluator(engine.session._model_path)
    states = {
        t["name"]: np.zeros((1, *t["shape"][1:]), np.float32)
        for t in engine.facts["inputs"] if "next" in t
    }  # fmt: skip
    expected = engine(audio)
    for name, value in zip(engine.outputs, graph.run(None, {"audio": audio} | states), strict=True):
        if name in expected:
            assert_allclose(value, expected[name], atol=1e-4, err_msg=name)


class Tract:
    """A graph in tract, a runtime in Rust; it wants every size."""

    def __init__(self, engine: Engine) -> None:
        path = Path(engine.session._model_path)
        sizes = {"batch": 1, "samples": 320}
        shapes = {
            t["name"]: ",".join(str(sizes.get(size, size)) for size in t["shape"])
            for t in engine.facts["inputs"]
        }
        graph = tract.onnx().load(str(path))
        self.inputs = [graph.input_name(i) for i in range(graph.input_count())]
        for i, name in enumerate(self.inputs):
            graph.set_input_fact(i, f"{shapes[name]},f32")
        self.graph = graph.into_model().into_runnable()
        self.outputs = engine.outputs

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        found = self.graph.run([np.ascontiguousarray(inputs[name]) for name in self.inputs])
        return {n: t.to_numpy() for n, t in zip(self.outputs, found, strict=True)}


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
@pytest.mark.parametrize("static", [None, (1, 1)], ids=["open", "static"])
def test_a_runtime_in_another_language_agrees_step_by_step(make, precision, static):
    engine = make(
        rigs=("arkit", "metahuman"), look_ahead_ms=100, precision=precision, static=static
    )
    other, audio = Tract(engine), speech(30)[None]
    wanted = engine(audio, cuts=range(1, 30))
    states = {
        t["name"]: np.zeros((1, *t["shape"][1:]), np.float32)
        for t in engine.facts["inputs"] if "next" in t
    }  # fmt: skip
    following = {t["name"]: t["next"] for t in engine.facts["inputs"] if "next" in t}
    for step in range(30):
        found = other(audio=audio[:, step * 320 : (step + 1) * 320], **states)
        states = {name: found[after] for name, after in following.items()}
        for rig in ("arkit", "metahuman"):
            assert_allclose(
                np.ravel(found[rig]), np.ravel(wanted[rig][:, step]), atol=2e-5, err_msg=rig
            )


def test_a_program_that_knows_only_the_manifest_shows_the_sessions_frames(make, trunk):
    engine = make(rigs=("arkit", "vrm"), look_ahead_ms=100)
    sound = speech(35)
    face = Face(Path(engine.session._model_path).with_suffix(".json"))
    found = list(face.speak(sound))
    for rig in ("arkit", "vrm"):
        session = trunk.session(
            rig=rig, fps=50, look_ahead_ms=100, blinks=False, settle=False, lips=False
        )
        frames = [*session.push(sound), *session.flush()]
        assert len(found) == len(frames) == 35
        assert_allclose([f[rig] for f in found], [f.values for f in frames], atol=1e-5)
    assert face.controls("vrm") == list(Rig.load("vrm").names)


def test_without_look_ahead_the_first_frame_is_that_of_silence(make, trunk):
    engine = make(rigs=("arkit", "vrm"), look_ahead_ms=0)
    sound = speech(10)
    found = list(Face(Path(engine.session._model_path).with_suffix(".json")).speak(sound))
    session = trunk.session(fps=50, look_ahead_ms=0, blinks=False, settle=False, lips=False)
    frames = [*session.push(sound), *session.flush()]
    assert len(found) == 10
    assert_allclose([f["arkit"] for f in found], [f.values for f in frames[:10]], atol=1e-5)


def test_blinks_may_be_an_input(make, trunk):
    engine = make(rigs=("arkit", "vrm"), look_ahead_ms=100, extra_units=True)
    (entry,) = (i for i in engine.facts["inputs"] if i["name"] == "extra_units")
    assert engine.facts["format"] == "facesdk.graph"
    rng = np.random.default_rng(0)
    audio = speech(20)[None]
    more = rng.random((1, 20, len(entry["curves"])), np.float32)
    found = engine(audio, (3, 11), extra_units=more)
    units = trunk_units(trunk, audio)[:, :, trunk.look_ahead(100)]
    full = all_units(units, trunk.manifest.units)
    full[..., [UNITS.index(name) for name in entry["curves"]]] = more
    for rig in ("arkit", "vrm"):
        assert_allclose(found[rig][0], RigOutput.of(rig)(full[0]), atol=1e-5)
    assert entry["rest"] == [float(UNITS.rest[UNITS.index(n)]) for n in entry["curves"]]
    assert {"blink_left", "blink_right"} <= set(entry["curves"])


# ------------------------------------------------------------------------- graph


def dimensions(model: onnx.ModelProto) -> set[str]:
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    return {d.dim_param for v in values for d in v.type.tensor_type.shape.dim if d.dim_param}


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_graphs_hold_documented_operators_and_two_open_sizes(make, precision):
    engine = make(rigs=RIGS, look_ahead_ms=100, precision=precision)
    model = onnx.load(engine.session._model_path)
    operators = {node.op_type for node in model.graph.node}
    assert operators == set(engine.facts["operators"]) <= DOCUMENTED
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 15)]
    assert dimensions(model) == {"batch", "steps", "samples"}
    for constant in model.graph.initializer:
        if constant.data_type == TensorProto.INT64:
            assert np.abs(onnx.numpy_helper.to_array(constant)).max() < 2**31


@pytest.mark.parametrize("sizes", [(1, 1), (2, 5)])
def test_sizes_may_be_fixed(make, sizes):
    batch, steps = sizes
    engine = make(rigs=("arkit", "vrm"), look_ahead_ms=100, static=sizes)
    model = onnx.load(engine.session._model_path)
    assert dimensions(model) == set()
    made = {name for node in model.graph.node for name in node.output}
    assert made == {v.name for v in (*model.graph.value_info, *model.graph.output)} & made
    audio = np.stack([speech(2 * steps, seed) for seed in range(batch)])
    found = engine(audio, [steps])
    for name, value in make(rigs=("arkit", "vrm"), look_ahead_ms=100)(audio).items():
        assert_allclose(found[name], value, atol=1e-5, err_msg=name)
    with pytest.raises(Exception, match="Got invalid dimensions"):
        engine(audio[:, : 320 * (steps + 1)] if steps > 1 else audio, [])


@pytest.mark.parametrize(
    ("precision", "share", "most"), [("float16", 0.65, 3e-3), ("int8", 0.5, 0.1)]
)
def test_small_weights_cost_next_to_nothing(make, precision, share, most):
    audio = speech(200)[None]
    full, small = make(), make(precision=precision)
    sizes = [Path(e.session._model_path).stat().st_size for e in (full, small)]
    assert sizes[1] < share * sizes[0]
    error = np.abs(small(audio)["units"] - full(audio)["units"])
    assert 0 < error.max() < most
    assert error.mean() < most / 20


# ------------------------------------------------------------------- maps as layers


def as_graph(rig_map: RigMap, moving: set[str]) -> onnxruntime.InferenceSession:
    wide = [None, len(rig_map.source)]
    graph = helper.make_graph(
        [], "map", [helper.make_tensor_value_info("x", TensorProto.FLOAT, wide)], []
    )
    result = map_layers(GraphBuilder(graph), rig_map, "x", moving)
    wide = [None, len(rig_map.target)]
    graph.output.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, wide))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString())


SOURCE, TARGET = Rig.load("arkit"), Rig.load("metahuman")


def rule_map(name: str) -> RigMap:
    kind = RULES[name]
    inputs, outputs = kind.inputs or 3, kind.outputs or 4
    rule = Rule(name, SOURCE.names[10 : 10 + inputs], TARGET.names[5 : 5 + outputs])
    return RigMap(SOURCE, TARGET, {"jawOpen": {TARGET.names[100]: 0.5}}, (rule,), clamp=False)


values = hnp.arrays(
    np.float32,
    (4, len(SOURCE)),
    elements=st.one_of(
        st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1, width=16, allow_subnormal=False)
    ),
)


@given(values)
@settings(max_examples=30)
@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_a_layer(name, values):
    rig_map = rule_map(name)
    moving = set(rig_map.source.names)
    session = SESSIONS.setdefault(name, None) or as_graph(rig_map, moving)
    SESSIONS[name] = session
    expected, _ = rig_map(values, None)
    assert_allclose(session.run(None, {"x": values})[0], expected, atol=2e-6)


SESSIONS: dict[str, onnxruntime.InferenceSession | None] = {}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_reads_nothing_that_moves_is_a_constant(name):
    rig_map = rule_map(name)
    session = as_graph(rig_map, {"jawOpen"})
    x = np.tile(SOURCE.rest, (3, 1))
    x[:, SOURCE.index("jawOpen")] = [0, 0.5, 1]
    expected, _ = rig_map(x, None)
    assert_allclose(session.run(None, {"x": x})[0], expected, atol=1e-6)


def test_a_mix_of_poses_is_refused_unless_it_stands_still():
    with pytest.raises(ModelError, match=r"arkit-to-vrm.* takes a loop .*table of its own"):
        as_graph(conversion("arkit", "vrm").maps[0], set(SOURCE.names))
    mix = PoseFit({"sil": {}, "PP": {"mouthClose": 1.0}})
    still = RigMap(SOURCE, Rig.load("oculus"), {"jawOpen": {"aa": 0.5}}, pose_fit=mix)
    found = as_graph(still, {"jawOpen"}).run(None, {"x": np.ones((1, 52), np.float32)})[0]
    assert dict(zip(still.target.names, found[0].tolist(), strict=True))["aa"] == 0.5
    assert found[0, still.target.index("sil")] == 1


# ----------------------------------------------------------------------- the command


def test_the_manifest_says_what_is_in_the_file(tmp_path, capsys):
    path = tmp_path / "made" / "face.onnx"
    words = ["export-onnx", "-o", str(path), "--rig", "a2f", "--rig", "vrm", "--look-ahead", "150"]
    assert main([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert facts["file"] == "face.onnx"
    assert facts["look_aheads_ms"] == [80]
    assert [facts[k] for k in ("sample_rate", "step_samples", "frame_rate")] == [
        16000,
        320,
        [50, 1],
    ]
    graph = onnxruntime.InferenceSession(str(path))
    for entries, tensors in (("inputs", graph.get_inputs()), ("outputs", graph.get_outputs())):
        assert [(e["name"], e["shape"]) for e in facts[entries]] == [
            (t.name, t.shape) for t in tensors
        ]
    a2f = output(facts, "a2f")
    assert a2f["controls"] == list(Rig.load("a2f").names)
    assert [t["rig"] for t in a2f["tables"]] == ["arkit", "a2f"]
    assert a2f["maps"] == ["arkit-to-a2f"]
    assert main(words) == 0
    assert "batch x steps x 68" in capsys.readouterr().out


def test_an_export_of_whole_look_aheads_is_a_model_again(tmp_path):
    assert main(["export-onnx", "--trunk", "--precision", "float16", "-o", f"{tmp_path}/"]) == 0
    model = facesdk.load(tmp_path)
    assert model.manifest.look_aheads_ms == facesdk.load().manifest.look_aheads_ms
    clip = facesdk.bake(speech(30), sample_rate=16_000, model=model)
    expected = facesdk.bake(speech(30), sample_rate=16_000)
    assert_allclose(clip.values, expected.values, atol=5e-3)
    again = tmp_path / "again"
    assert main(["export-onnx", str(tmp_path), "-o", f"{again}/", "--rig", "oculus"]) == 0
    facts = json.loads((again / "model.json").read_text("utf-8"))
    assert facts["precision"] == "float16"
    third = tmp_path / "third.onnx"
    assert main(["export-onnx", str(again), "-o", str(third), "--rig", "vrm"]) == 0
    engine = Engine(third)
    assert output(engine.facts, "vrm")["controls"] == list(Rig.load("vrm").names)
    assert output(engine.facts, "oculus")["controls"] == list(Rig.load("oculus").names)
    assert_allclose(engine(speech(4)[None])["oculus"].sum(-1), 1, atol=1e-5)
    assert main(["export-onnx", str(again), "-o", f"{tmp_path}/x.onnx", "--rig", "oculus"]) == 1
    assert main(["export-onnx", str(again), "-o", f"{tmp_path}/x.onnx", "--precision=int8"]) == 1


def test_an_edited_table_is_regenerated_without_training(tmp_path):
    table = json.loads((ROOT / "facesdk/data/tables/vrm.json").read_text("utf-8"))
    table["controls"]["aa"] = {"1": 0.25}
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(table), "utf-8")
    path = tmp_path / "face.onnx"
    assert main(["export-onnx", "-o", str(path), "--rig", str(mine)]) == 0
    engine = Engine(path)
    assert_array_equal(engine(speech(4)[None])["vrm"][0, :, 0], 0.25)
    own = export_engine(
        None, tmp_path / "own.onnx", EngineExportOptions(rigs=("vrm",), look_ahead_ms=100)
    )
    hashes = [output(f, "vrm")["tables"][0]["sha256"] for f in (engine.facts, own)]
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--rig", "arkitt"], 1, "did you mean 'arkit'"),
        (["--rig", "arkit", "--rig", "arkit"], 1, "'arkit' is given twice"),
        (["--rig", "units"], 1, "without a rig table"),
        (["--rig", "arkit", "--trunk"], 2, "leave out --trunk or --rig"),
        (["--look-ahead", "soon"], 2, "or be all"),
        (["--look-ahead", "-1"], 2, "0..1000 ms"),
        (["--static", "1"], 2, "BATCH,STEPS"),
        (["--static", "0,1"], 2, "must be 1 or more"),
        (["--extra-units", "--look-ahead", "all"], 2, "one look-ahead"),
        (["-o", "face.bin"], 1, "must end in .onnx"),
        (["nowhere"], 1, "nowhere"),
        (["nowhere.pt"], 1, "does not exist"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(tmp_path, monkeypatch, capsys, words, code, message):
    monkeypatch.chdir(tmp_path)
    try:
        ended = main(["export-onnx", "-o", "face.onnx", *words])
    except SystemExit as stopped:
        ended = stopped.code
    assert ended == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_not_replaced_by_its_export(tmp_path, capsys):
    assert main(["export-onnx", "--trunk", "-o", f"{tmp_path}/"]) == 0
    before = (tmp_path / "model.onnx").read_bytes()
    assert main(["export-onnx", str(tmp_path), "-o", f"{tmp_path}/"]) == 1
    assert "would replace the model" in capsys.readouterr().err
    assert (tmp_path / "model.onnx").read_bytes() == before


def test_a_checkpoint_is_exported(tmp_path):
    torch = pytest.importorskip("torch")
    from facesdk.train.trunk.data import UNITS as CURVES
    from facesdk.train.trunk.network import Trunk, TrunkConfig

    config = TrunkConfig(
        channels=16, dilations=(1, 2), head_channels=8, delay_steps=(0, 4), units=CURVES,
        articulation=CURVES, phones=("SIL", "a"),
    )  # fmt: skip
    torch.manual_seed(0)
    network = Trunk(config, [-3.0] * 64)
    average = {f"module.{name}": value for name, value in network.state_dict().items()}
    stored = {"config": asdict(config), "mel_mean": [-3.0] * 64, "average": average}
    torch.save(stored, tmp_path / "checkpoint.pt")
    path = tmp_path / "face.onnx"
    assert main(["export-onnx", str(tmp_path / "checkpoint.pt"), "-o", str(path)]) == 0
    engine, audio = Engine(path), speech(25)
    from facesdk.audio.features import log_mel

    with torch.no_grad():
        curves = network.eval().curves(torch.from_numpy(log_mel(audio))[None]).numpy()[:, :, 1]
    found = engine(audio[None], (1, 4, 9))
    heard = np.concatenate([found["units"], found["articulation"]], -1)[:, :, 0]
    assert_allclose(heard, curves, atol=1e-4)
    full = all_units(found["units"][0, :, 0], CURVES)
    assert_allclose(found["arkit"][0], RigOutput.of("arkit")(full), atol=1e-5)


def test_learned_outputs_come_along(tmp_path):
    torch = pytest.importorskip("torch")
    from facesdk.train.heads import ModelGraph
    from facesdk.train.heads.codec import AffineCodec
    from facesdk.train.heads.network import Identities, OutputLayer

    torch.manual_seed(0)
    graph = ModelGraph(facesdk.load().folder)
    looks = len(graph.trunk.config.delay_steps)
    layer = OutputLayer(graph.trunk.config.channels, looks, 3, hidden=8, embedding=4)
    identities = Identities(["x", "y"], 4)
    graph.add_identity(identities)
    graph.add_layer(
        "mine", layer, AffineCodec(np.zeros(3), np.ones(3), np.full(3, -1.0), np.ones(3))
    )
    payload = graph.payload()
    (tmp_path / "model.onnx").write_bytes(payload)
    facts = {**graph.manifest.facts, "sha256": hashlib.sha256(payload).hexdigest()}
    (tmp_path / "model.json").write_text(json.dumps(facts), "utf-8")

    audio, row = np.stack([speech(10), speech(10, 1)]), np.ones((2, 4), np.float32)
    choice = EngineExportOptions(rigs=("arkit",), look_ahead_ms=100, precision="float16")
    one = export_engine(tmp_path, tmp_path / "one.onnx", choice)
    export_engine(tmp_path, tmp_path / "all.onnx", EngineExportOptions())
    assert [i.get("optional") for i in one["inputs"] if i["name"] == "identity"] == [True]
    found = Engine(tmp_path / "one.onnx")(audio, identity=row)["learned_mine"]
    whole = Engine(tmp_path / "all.onnx")(audio, identity=row)["learned_mine"]
    assert_allclose(found[:, :, 0], whole[:, :, 2], atol=5e-3)
    assert np.ptp(found) > 0.01
    fixed = EngineExportOptions(rigs=("arkit",), look_ahead_ms=100, static=(2, 5))
    export_engine(tmp_path, tmp_path / "fixed.onnx", fixed)
    still = Engine(tmp_path / "fixed.onnx")(audio, [5], identity=row)["learned_mine"]
    assert_allclose(still[:, :, 0], whole[:, :, 2], atol=1e-5)
