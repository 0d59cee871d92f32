from __future__ import annotations

import json
import re
import runpy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import facesdk  # noqa: E402
from facesdk.audio.features import log_mel  # noqa: E402
from facesdk.cli import main  # noqa: E402
from facesdk.clip import Clip  # noqa: E402
from facesdk.datasets.faces import AnnotationFolder, AnnotationWriter  # noqa: E402
from facesdk.errors import FileFormatError, ModelError, UnknownNameError  # noqa: E402
from facesdk.model import Model, bake, load  # noqa: E402
from facesdk.model.learned_layer import LearnedLayer  # noqa: E402
from facesdk.rig import Control, Rig  # noqa: E402
from facesdk.train.heads import HeadTrainer, LearnConfig, ModelGraph, learn, predict, score  # noqa: E402
from facesdk.train.heads.codec import AffineCodec, PcaCodec  # noqa: E402
from facesdk.train.heads.fit import LayerLoss  # noqa: E402
from facesdk.train.heads.network import PIVOT, Identities, OutputLayer, with_pivot  # noqa: E402
from facesdk.train.trunk.data import UNITS  # noqa: E402
from facesdk.train.trunk.export import export  # noqa: E402
from facesdk.train.trunk.network import Trunk, TrunkConfig  # noqa: E402

ARKIT = Rig.load("arkit")
VERTICES = 60
STYLES = {"anna": (0.3, 0.0), "bert": (0.5, 0.2), "cleo": (0.7, 0.4)}
"""How wide people open the jaw, and how much they always smile."""

FACTS = {"name": "small", "model_version": "0", "license": "Apache-2.0"}
QUICK = LearnConfig(
    steps=60, rate=1e-2, decoder_warm_up=10, embedding=4, hidden=24, batch=6, crop=60,
    augment=False, pivot_probability=0.25,
)  # fmt: skip


# ------------------------------------------------------------------ material


def murmur(seconds, seed):
    """(N,) noise that swells and fades, and its (T,) swell at 60 fps."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * 16_000)) / 16_000

    def swell(t):
        return (0.5 + 0.5 * np.sin(2 * np.pi * (rate * t + phase))) ** 2

    rate, phase = rng.uniform(0.7, 1.6), rng.uniform(0, 1)
    noise = rng.standard_normal(len(times)) * 0.1 * swell(times)
    return noise.astype(np.float32), swell(np.arange(round(seconds * 60)) / 60)


def controls(swell, style):
    wide, smile = style
    values = np.zeros((len(swell), len(ARKIT)), np.float32)
    values[:, ARKIT.index("jawOpen")] = wide * swell
    for side in ("Left", "Right"):
        values[:, ARKIT.index(f"mouthSmile{side}")] = smile
    return Clip(ARKIT, values, 60)


def vertices(swell, template, rng):
    ways = np.random.default_rng(7).standard_normal((2, VERTICES, 3)) * 0.003
    wobble = rng.standard_normal((len(swell), VERTICES, 3)) * 2e-5
    moved = np.stack([swell, swell**2 - 0.4], 1) @ ways.reshape(2, -1)
    return template + moved.reshape(-1, VERTICES, 3) + wobble


@pytest.fixture(scope="module")
def actors(tmp_path_factory):
    """ARKit curves of three speakers, and of a fourth, in the middle, for tests only."""
    writer = AnnotationWriter(tmp_path_factory.mktemp("actors"), rig="arkit", name="actors",
                              license="CC0-1.0")  # fmt: skip
    for i, (subject, style) in enumerate(STYLES.items()):
        for take in range(2):
            samples, swell = murmur(3, seed=10 * i + take)
            writer.add(f"{subject}{take}", samples, controls(swell, style), subject=subject)
    samples, swell = murmur(4, seed=99)
    style = tuple(np.mean(list(STYLES.values()), 0))
    writer.add("stranger", samples, controls(swell, style), subject="dora", split="test")
    return AnnotationFolder(writer.finish())


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Vertices of two people."""
    rng = np.random.default_rng(3)
    writer = AnnotationWriter(tmp_path_factory.mktemp("scans"), rig=None, name="scans")
    for i, subject in enumerate(("emil", "fay")):
        template = rng.standard_normal((VERTICES, 3)) * 0.1
        writer.template(subject, template)
        for take, split in (("a", "train"), ("b", "test")):
            samples, swell = murmur(3, seed=50 + 2 * i + (take == "b"))
            track = vertices(swell[::2], template, rng)
            writer.add(subject + take, samples, track, subject=subject, fps=30, split=split)
    writer.lips(np.arange(VERTICES) < 10)
    return AnnotationFolder(writer.finish())


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    config = TrunkConfig(
        channels=24, dilations=(1, 2, 4), head_channels=8, delay_steps=(0, 2, 5), units=UNITS,
        articulation=UNITS, phones=("SIL", "a"),
    )  # fmt: skip
    return Trunk(config, [-3.0] * 64).eval()


@pytest.fixture(scope="module")
def base(trunk, tmp_path_factory):
    return export(trunk, tmp_path_factory.mktemp("base"), facts=FACTS).parent


@pytest.fixture(scope="module")
def learned(actors, scans, base, tmp_path_factory):
    """Folder of a model that learned from both."""
    out = tmp_path_factory.mktemp("learned")
    config = replace(QUICK, steps=160)
    return learn([actors, scans], out, base=base, config=config).parent


# ------------------------------------------------------------------ annotations


def test_a_folder_gives_back_what_was_written(actors, scans):
    take = actors.takes[0]
    samples, swell = murmur(3, seed=0)
    np.testing.assert_allclose(actors.samples(take), samples, atol=1e-4)
    np.testing.assert_array_equal(actors.track(take), controls(swell, STYLES["anna"]).values)
    assert actors.subjects == tuple(STYLES)
    assert scans.track(scans.takes[0]).shape == (90, VERTICES, 3)
    assert scans.template("fay").shape == (VERTICES, 3)


def test_tracks_are_matched_by_name_and_may_lack_controls(tmp_path):
    rig = Rig("two", "1", (Control("a"), Control("b", -1, 1, rest=0.5)))
    writer = AnnotationWriter(tmp_path, rig=rig)
    clip = Clip(rig, np.array([[0.1, 0.2], [0.3, 0.4]]), Fraction(30000, 1001))
    writer.add("t", np.zeros(2000), clip, subject="s")
    writer.finish()
    np.savez(tmp_path / "tracks/t.npz", values=[[0.7], [0.8]], names=["a"])
    folder = AnnotationFolder(tmp_path)
    assert folder.rig == rig
    assert folder.takes[0].fps == Fraction(30000, 1001)
    expected = np.array([[0.7, 0.5], [0.8, 0.5]], np.float32)
    np.testing.assert_array_equal(folder.track(folder.takes[0]), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "expected"),
        ({"version": 9}, "version 9"),
        ({"name": "a b"}, "not a name"),
        ({"takes": [{"id": "x"}]}, "misspells"),
        ({"rig": "arkitt"}, "did you mean"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(actors, tmp_path, change, message):
    document = json.loads((actors.folder / "annotation.json").read_text("utf-8"))
    (tmp_path / "annotation.json").write_text(json.dumps(document | change), encoding="utf-8")
    with pytest.raises((FileFormatError, UnknownNameError), match=message):
        AnnotationFolder(tmp_path)


def test_no_take_leads_out_of_its_folder(actors, tmp_path):
    document = json.loads((actors.folder / "annotation.json").read_text("utf-8"))
    document["takes"][0]["audio"] = "../secret.wav"
    (tmp_path / "annotation.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(FileFormatError, match="below the folder"):
        AnnotationFolder(tmp_path)


def test_a_folder_without_an_index_is_an_error(tmp_path):
    with pytest.raises(FileFormatError, match=r"annotation\.json"):
        AnnotationFolder(tmp_path)


# ------------------------------------------------------------------ codes


@settings(max_examples=20)
@given(
    cuts=st.lists(st.integers(1, 199), max_size=4, unique=True),
    rank=st.integers(1, 6),
    explained=st.floats(0.5, 0.9999),
)
def test_principal_components_do_not_depend_on_blocks_and_keep_what_they_say(cuts, rank, explained):
    rng = np.random.default_rng(rank)
    strength = 10.0 ** -np.arange(rank)
    data = (rng.standard_normal((200, rank)) * strength) @ rng.standard_normal((rank, 30)) + 1
    code = PcaCodec.of_vertices(np.split(data, sorted(cuts)), explained_variance=explained)
    back = code.decode(torch.from_numpy(code.encode(data.astype(np.float32)))).numpy()
    lost = np.square(data - back).sum() / np.square(data - data.mean(0)).sum()
    assert code.explained_variance >= min(explained, 1 - 1e-9)
    assert lost == pytest.approx(1 - code.explained_variance, abs=1e-5)
    gram = code.components @ code.components.T
    np.testing.assert_allclose(gram, np.eye(code.size), atol=1e-4)
    np.testing.assert_allclose(code.encode(data.astype(np.float32)).std(0), 1, atol=1e-2)


def test_components_that_were_dropped_are_counted():
    data = np.random.default_rng(0).standard_normal((300, 20))
    code = PcaCodec.of_vertices(np.split(data, 5), max_components=4)
    assert code.size == 4
    assert code.explained_variance < 0.5


def test_vertices_need_fewer_parameters_as_components(scans, trunk):
    sizes = {}
    for pca in (True, False):
        trainer = HeadTrainer(trunk, [scans], replace(QUICK, pca=pca))
        layer = trainer.network.layer("scans")
        assert isinstance(trainer.tasks[0].codec, PcaCodec if pca else AffineCodec)
        sizes[pca] = sum(p.numel() for p in layer.parameters())
        assert torch.isfinite(trainer.loop.advance()["loss"])
    assert sizes[True] < 0.3 * sizes[False]


def test_controls_stay_in_their_ranges():
    rig = Rig("two", "1", (Control("a"), Control("still", -1, 1, rest=0.5)))
    curves = np.stack([np.linspace(0, 1, 9), np.full(9, 0.5)], 1).astype(np.float32)
    code = AffineCodec.of_controls([curves], rig)
    back = code.decode(torch.from_numpy(code.encode(curves)))
    np.testing.assert_allclose(back, curves, atol=1e-6)
    wild = code.decode(torch.tensor([[9.0, 9.0], [-9.0, -9.0]])).numpy()
    np.testing.assert_array_equal(wild, [[1, 0.5], [0, 0.5]])


# ------------------------------------------------------------------ losses


def test_a_layer_is_measured_on_the_face_it_moves(actors, scans, trunk):
    trainer = HeadTrainer(trunk, [actors, scans], replace(QUICK, coefficients=0, velocity=0))
    for task in trainer.tasks:
        loss = LayerLoss(task, trainer.config)
        wanted = torch.randn(2, 5, task.codec.size)
        known = torch.ones(2, 5)
        assert loss(wanted, wanted, known) == 0
        given = wanted + 0.1 * torch.randn_like(wanted)
        np.testing.assert_allclose(loss(given, wanted, known), 0.25 * loss(
            wanted + 2 * (given - wanted), wanted, known), rtol=1e-4)  # fmt: skip
        known[1] = 0
        alone = loss(given[:1], wanted[:1], torch.ones(1, 5))
        torch.testing.assert_close(loss(given, wanted, known), alone)


def test_vertices_are_measured_in_square_millimetres(scans, trunk):
    trainer = HeadTrainer(trunk, [scans], QUICK)
    (task,) = trainer.tasks
    rng = np.random.default_rng(0)
    codes = torch.from_numpy(rng.standard_normal((4, task.codec.size)).astype(np.float32))
    moved = 1000 * (task.codec.decode(codes) - torch.from_numpy(task.codec.mean))
    squares = moved.reshape(4, -1, 3).square().sum(-1)
    expected = squares[:, :10].mean(-1) + 0.1 * squares.mean(-1)
    torch.testing.assert_close(task.code_loss.frames(codes), expected, rtol=1e-3, atol=1e-6)


def test_a_rig_that_reaches_no_head_is_learned_by_its_numbers(trunk, base, tmp_path):
    rig = Rig("two", "1", (Control("a", -1, 1), Control("b", rest=0.5)))
    writer = AnnotationWriter(tmp_path / "set", rig=rig, name="own.rig")
    for name, split in (("x", "train"), ("y", "test")):
        samples, swell = murmur(2, ord(name))
        clip = Clip(rig, np.stack([swell - 0.5, np.full(len(swell), 0.5)], 1), 60)
        writer.add(name, samples, clip, subject="s", split=split)
    source = AnnotationFolder(writer.finish())
    assert HeadTrainer(trunk, [source], QUICK).tasks[0].code_loss is None
    folder = learn([source], tmp_path / "out", base=base, config=replace(QUICK, steps=3)).parent
    layer = LearnedLayer.of(Model(folder))
    assert layer.facts["scores"]["unit"] == "deviations"
    clip = bake(murmur(1, 0)[0], rig=layer, model=layer.model)
    assert clip.rig == rig
    np.testing.assert_array_equal(clip.curve("b"), 0.5)


# ------------------------------------------------------------------ the three strategies


def test_decoder_warm_up_leaves_the_trunk_alone(actors, trunk):
    trainer = HeadTrainer(trunk, [actors], replace(QUICK, tune_trunk=True, decoder_warm_up=2))
    before = [p.detach().clone() for p in trainer.network.trunk.parameters()]

    def moved():
        pairs = zip(before, trainer.network.trunk.parameters(), strict=True)
        return any(not torch.equal(a, b) for a, b in pairs)

    for _ in range(2):
        trainer.loop.advance()
        assert all(p.grad is None for p in trainer.network.trunk.parameters())
        assert not moved()
    trainer.loop.advance()
    assert trainer.network.trunk.enter.weight.grad.abs().sum() > 0
    assert moved()


@pytest.mark.parametrize(("tune", "warm_up", "learns"), [(True, 0, True), (False, 0, False)])
def test_the_trunk_learns_if_it_is_asked_to(actors, trunk, tune, warm_up, learns):
    config = replace(QUICK, tune_trunk=tune, decoder_warm_up=warm_up)
    trainer = HeadTrainer(trunk, [actors], config)
    trainer.loop.advance()
    assert (trainer.network.trunk.enter.weight.grad is not None) == learns
    assert all(p.grad is not None for p in trainer.network.layer("actors").leave[0].parameters())


def test_the_anchor_holds_the_units(actors, trunk):
    mel = torch.from_numpy(log_mel(murmur(3, 0)[0]))[None]

    def drift(anchor):
        config = replace(QUICK, steps=25, tune_trunk=True, decoder_warm_up=0, anchor=anchor,
                         trunk_rate=3e-3)  # fmt: skip
        network = HeadTrainer(trunk, [actors], config).run()
        with torch.no_grad():
            return float((network.trunk.curves(mel) - trunk.curves(mel)).square().mean())

    assert drift(100.0) < 0.3 * drift(0.0)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_every_tensor_is_moved_to_the_device(actors, scans, trunk, device):
    """The meta device refuses tensors that were left on the CPU, as a GPU does."""
    config = replace(QUICK, tune_trunk=True, decoder_warm_up=0, augment=True)
    trainer = HeadTrainer(trunk, [actors, scans], config, device=device)
    for number in range(4):
        loss, parts = trainer._step(number)
        loss.backward()
        assert {part.device.type for part in (loss, *parts.values())} == {device}


def test_a_crop_shorter_than_the_look_ahead_is_refused(actors, trunk):
    with pytest.raises(FileFormatError, match="crop must be above 5"):
        HeadTrainer(trunk, [actors], replace(QUICK, crop=5))


@given(odds=st.floats(0, 1))
@settings(max_examples=20)
def test_speakers_are_replaced_by_the_pivot_as_often_as_asked(odds):
    rows = torch.arange(1, 2001)
    mixed = with_pivot(rows, odds, torch.Generator().manual_seed(0))
    kept = mixed == rows
    assert ((mixed == PIVOT) | kept).all()
    assert abs(float((~kept).float().mean()) - odds) < 0.05


@pytest.mark.parametrize("odds", [0.0, 0.25])
def test_the_pivot_learns_only_if_it_stands_in(actors, trunk, odds):
    trainer = HeadTrainer(trunk, [actors], replace(QUICK, steps=10, pivot_probability=odds))
    table = trainer.run().identities.table.weight
    assert (table[PIVOT] != 0).any() == bool(odds)
    assert (table[1:] != 0).all()


def test_the_pivot_serves_a_stranger_better_than_a_wrong_identity(actors, trunk):
    trainer = HeadTrainer(trunk, [actors], replace(QUICK, steps=160))
    network = trainer.run()
    (task,) = trainer.tasks
    (stranger,) = task.test

    def said(speaker):
        codes = predict(network, "actors", stranger.mel, speaker)[5:, 2]
        return task.codec.decode(codes).numpy()

    def error(speaker):
        given = said(speaker)
        wanted = task.codec.decode(torch.from_numpy(stranger.codes[: len(given)])).numpy()
        return float(np.sqrt(np.square(given - wanted).mean(0).max()))

    wrong = {name: error(f"actors/{name}") for name in ("anna", "cleo")}
    assert error(None) < 0.7 * min(wrong.values()), wrong
    assert error("nobody") == error(None)
    jaw = {n: said(f"actors/{n}")[:, ARKIT.index("jawOpen")].std() for n in STYLES}
    assert jaw["anna"] < jaw["bert"] < jaw["cleo"]


def test_without_identities_there_is_one_style(actors, trunk, base, tmp_path):
    config = replace(QUICK, steps=5, embedding=0)
    assert HeadTrainer(trunk, [actors], config).network.identities is None
    folder = learn([actors], tmp_path, base=base, config=config).parent
    model = Model(folder)
    assert "identity" not in model.manifest.facts
    layer = LearnedLayer.of(model)
    assert layer.identity is None
    assert layer.run(murmur(1, 0)[0]).shape == (50, 52)


# ------------------------------------------------------------------ the graph


def test_a_trunk_is_read_back_from_its_graph(trunk, base):
    graph = ModelGraph(base)
    back = graph.trunk
    wanted = replace(trunk.config, phones=back.config.phones)
    for name in ("channels", "dilations", "head_channels", "delay_steps", "units", "articulation"):
        assert getattr(back.config, name) == getattr(wanted, name)
    mel = torch.randn(2, 60, 64) - 3
    with torch.no_grad():
        torch.testing.assert_close(back.state(mel), trunk.state(mel), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(back.curves(mel), trunk.curves(mel), atol=1e-5, rtol=1e-4)


def test_the_shipped_model_can_be_learned_on():
    assert ModelGraph(load().folder).trunk.config.channels > 0


def test_a_foreign_graph_is_refused(base, tmp_path):
    import hashlib

    import onnx

    graph = onnx.load(str(base / "model.onnx"))
    for node in graph.graph.node:
        if node.op_type == "Exp":
            node.op_type = "Sigmoid"
    payload = graph.SerializeToString()
    (tmp_path / "model.onnx").write_bytes(payload)
    manifest = json.loads((base / "model.json").read_text("utf-8"))
    manifest["sha256"] = hashlib.sha256(payload).hexdigest()
    (tmp_path / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be read back"):
        ModelGraph(tmp_path)


def run_graph(model, audio, state, names, identity=None):
    import onnxruntime

    graph = onnxruntime.InferenceSession(str(model.folder / "model.onnx"))
    feeds = {"audio": audio} | {f"state_{name}": x for name, x in state.items()}
    if identity is not None:
        feeds["identity"] = identity
    following = [f"next_{name}" for name in state]
    given = graph.run([*names, *following], feeds)
    return given[: len(names)], dict(zip(state, given[len(names) :], strict=True))


@settings(max_examples=5)
@given(seed=st.integers(0, 99), cut=st.integers(1, 49), looks=st.integers(1, 4))
def test_layers_in_torch_and_in_the_graph_agree(base, tmp_path_factory, seed, cut, looks):
    torch.manual_seed(seed)
    graph = ModelGraph(base)
    identities = Identities(["x", "y"], 5)
    layer = OutputLayer(graph.trunk.config.channels, looks, 7, hidden=9, embedding=5)
    for parameter in (*layer.parameters(), *identities.parameters()):
        parameter.data = 0.4 * torch.randn_like(parameter)
    rng = np.random.default_rng(seed)
    mean, deviation = rng.uniform(0, 1, (2, 7)).astype(np.float32)
    code = AffineCodec(
        mean, deviation, np.zeros(7, np.float32), rng.uniform(0.5, 2, 7).astype("f4")
    )
    graph.add_identity(identities)
    name = graph.add_layer("x", layer, code)
    folder = tmp_path_factory.mktemp("parity")
    (folder / "model.onnx").write_bytes(graph.payload())
    model = Model(base)
    model.folder = folder
    audio = np.stack([murmur(1, seed)[0], murmur(1, seed + 1)[0]])
    with torch.no_grad():
        state = graph.trunk.state(torch.from_numpy(np.stack([log_mel(a) for a in audio])))
        rows = torch.tensor([2, 1])
        expected = code.decode(layer(state, identities(rows))).numpy()
        pivot = code.decode(layer(state, identities(torch.zeros_like(rows)))).numpy()
    given = identities(rows).detach().numpy()
    (first,), carried = run_graph(model, audio[:, : cut * 320], model.start(2), [name], given)
    (second,), _ = run_graph(model, audio[:, cut * 320 :], carried, [name], given)
    np.testing.assert_allclose(np.concatenate([first, second], 1), expected, atol=1e-4)
    (unnamed,), _ = run_graph(model, audio, model.start(2), [name])
    np.testing.assert_allclose(unnamed, pivot, atol=1e-4)


def test_a_tuned_trunk_takes_its_place_in_the_graph(actors, base, tmp_path):
    config = replace(QUICK, steps=12, tune_trunk=True, decoder_warm_up=4, trunk_rate=1e-2)
    folder = learn([actors], tmp_path, base=base, config=config).parent
    stored = torch.load(tmp_path / "learned.pt", weights_only=True)["network"]
    tuned = ModelGraph(folder).trunk.state_dict()
    before = ModelGraph(base).trunk.state_dict()
    for name in ("enter.weight", "blocks.1.leave.bias"):
        torch.testing.assert_close(tuned[name], stored[f"trunk.{name}"])
        assert not torch.equal(tuned[name], before[name])


# ------------------------------------------------------------------ end to end


def test_two_data_sets_share_a_trunk_and_beat_the_mean(learned):
    facts = json.loads((learned / "model.json").read_text("utf-8"))
    assert set(facts["learned"]) == {"actors", "scans"}
    for layer in facts["learned"].values():
        scores = layer["scores"]
        assert scores["unit"] == "mm"
        assert scores["error"]["look_ahead_100_ms"] < 0.6 * scores["error_of_the_mean"]
    assert "error_of_the_table" in facts["learned"]["actors"]["scores"]
    assert "error_of_the_table" not in facts["learned"]["scans"]["scores"]
    assert facts["license"] == "Apache-2.0 AND CC0-1.0 AND unknown"
    assert len(facts["identity"]["pivot"]) == facts["identity"]["size"] == 4
    assert set(facts["identity"]["speakers"]) == {
        "actors/anna", "actors/bert", "actors/cleo", "scans/emil", "scans/fay",
    }  # fmt: skip


def test_the_table_is_measured_beside_the_layer(trunk, base, tmp_path):
    """An actor who does what the table says leaves the table no error."""
    writer = AnnotationWriter(tmp_path, rig="arkit", name="tabled")
    model = Model(base)
    for name, split in (("a", "train"), ("b", "test")):
        samples = murmur(2, ord(name))[0]
        clip = bake(
            samples, rig="arkit", fps=50, model=model, blinks=False, settle=False, lips=False
        )
        writer.add(name, samples, clip, subject="s", split=split)
    trainer = HeadTrainer(trunk, [AnnotationFolder(writer.finish())], replace(QUICK, steps=1))
    scores = score(trainer.run(), trainer.tasks[0])
    longest = scores["error_of_the_table"]["look_ahead_100_ms"]
    assert longest < 0.1 * scores["error_of_the_mean"]


def test_scores_are_against_the_recording_and_not_its_components(scans, trunk):
    found = {}
    for name, change in {"one": {"max_components": 1}, "each": {"pca": False}}.items():
        trainer = HeadTrainer(trunk, [scans], replace(QUICK, steps=1, **change))
        found[name] = score(trainer.run(), trainer.tasks[0])["error_of_the_mean"]
    assert found["one"] == pytest.approx(found["each"], rel=1e-3)


def test_the_units_stay_what_they_were(learned, base):
    audio = murmur(1, 5)[0][None]
    old, new = Model(base), Model(learned)
    np.testing.assert_allclose(
        new.step(audio, new.start())[0], old.step(audio, old.start())[0], atol=1e-6
    )


def test_a_learned_layer_bakes_in_the_style_of_a_speaker(learned):
    model = Model(learned)
    samples, swell = murmur(3, seed=77)
    jaws = {}
    for speaker in (None, "anna", "cleo"):
        rig = "actors" if speaker is None else f"actors:{speaker}"
        clip = facesdk.bake(samples, rig=rig, model=model, blinks=False)
        assert clip.meta["controls_from"] == "learned layer 'actors'"
        assert len(clip) == 180
        assert clip.rig == ARKIT
        assert (clip.values >= 0).all()
        assert (clip.values <= 1).all()
        jaws[speaker] = clip.curve("jawOpen")
    assert jaws["anna"].std() < jaws[None].std() < jaws["cleo"].std()
    for jaw in jaws.values():
        assert np.corrcoef(jaw, swell)[0, 1] > 0.8
    blinking = facesdk.bake(murmur(9, 1)[0], rig=LearnedLayer.of(model, "actors"), model=model)
    assert blinking.curve("eyeBlinkLeft").max() > 0.5


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 32_000), max_size=6).map(sorted), fps=st.sampled_from([24, 60]))
def test_a_learned_rig_streams_chunk_independently(learned, cuts, fps):
    model, samples = Model(learned), murmur(2, seed=5)[0]
    baked = facesdk.bake(samples, rig="actors:cleo", fps=fps, model=model, seed=3)
    session = model.session(rig="actors:cleo", fps=fps, look_ahead_ms=None, seed=3)
    frames = [f for part in np.split(samples, cuts) for f in session.push(part)] + session.flush()
    np.testing.assert_allclose([f.values for f in frames], baked.values, atol=1e-5)


def test_a_learned_rig_and_a_table_rig_share_one_pass(learned):
    model, samples = Model(learned), murmur(2, seed=6)[0]
    clips = facesdk.bake_rigs(samples, ["actors:anna", "vrm", "articulation"], model=model)
    for rig, name in (("actors:anna", ARKIT.name), ("vrm", "vrm"), ("articulation",) * 2):
        alone = facesdk.bake(samples, rig=rig, model=model)
        np.testing.assert_allclose(clips[name].values, alone.values, atol=1e-5)
    with pytest.raises(ModelError, match="one or more different ones"):
        facesdk.bake_rigs(samples, ["actors:anna", "actors:cleo"], model=model)


def test_the_command_bakes_a_learned_rig_by_name(learned, tmp_path):
    soundfile.write(tmp_path / "a.wav", murmur(1, seed=5)[0], 16_000)
    out = tmp_path / "a.json"
    command = ["bake", str(tmp_path / "a.wav"), "-o", str(out), "--model", str(learned)]
    assert main([*command, "--rig", "actors:cleo"]) == 0
    assert facesdk.read_clip(out).meta["controls_from"] == "learned layer 'actors'"
    assert main([*command, "--rig", "actors:nobody"]) == 2


def test_a_learned_layer_is_the_same_at_every_block(learned, monkeypatch):
    layer = LearnedLayer.of(Model(learned), "scans", speaker="fay")
    samples = murmur(2, 3)[0]
    whole = layer.run(samples)
    monkeypatch.setattr("facesdk.model.learned_layer._BLOCK", 7)
    np.testing.assert_allclose(layer.run(samples), whole, atol=1e-5)
    basis = np.load(learned / "scans.npz")
    points = basis["template_fay"] + basis["mean"] + np.tensordot(whole, basis["components"], 1)
    assert points.shape == (100, VERTICES, 3)


def test_wrong_names_are_errors(learned, base):
    model = Model(learned)
    with pytest.raises(UnknownNameError, match="actors"):
        LearnedLayer.of(model, "actor")
    with pytest.raises(UnknownNameError, match="no speaker 'ana'; did you mean 'anna'"):
        LearnedLayer.of(model, "actors", speaker="ana")
    with pytest.raises(ModelError, match="no learned layers"):
        LearnedLayer.of(Model(base))
    with pytest.raises(ModelError, match="predicts vertices"):
        facesdk.bake(murmur(1, 0)[0], rig="scans", model=model)


def test_learned_layers_are_not_stacked(learned, actors, tmp_path):
    with pytest.raises(ModelError, match="already has learned layers"):
        learn([actors], tmp_path, base=learned, config=QUICK)


def test_a_killed_learning_resumes_to_the_same_weights(actors, scans, trunk, tmp_path):
    config = replace(QUICK, steps=6, augment=True)
    straight = HeadTrainer(trunk, [actors, scans], config).run()
    first = HeadTrainer(trunk, [actors, scans], config, checkpoint=tmp_path / "x.pt")
    for _ in range(3):
        first.loop.advance()
    first.loop.save()
    second = HeadTrainer(trunk, [actors, scans], config, checkpoint=tmp_path / "x.pt")
    assert second.loop.step == 3
    for a, b in zip(straight.parameters(), second.run().parameters(), strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(FileFormatError, match="another training"):
        HeadTrainer(trunk, [actors], config, checkpoint=tmp_path / "x.pt")


def test_the_command_learns_from_folders(actors, base, tmp_path, capsys):
    settings_file = tmp_path / "learn.toml"
    settings_file.write_text("embedding = 4\nhidden = 8\ncrop = 50\naugment = false\n", "utf-8")
    words = ["train", "--learn", actors.folder, "--from", base, "--work", tmp_path / "work",
             "-o", tmp_path / "out", "--settings", settings_file, "--steps", 3]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "model.json")
    assert LearnedLayer.of(Model(tmp_path / "out")).facts["speakers"] == list(STYLES)


@pytest.mark.parametrize("words", [[], ["default", "--learn", "x"]])
def test_the_command_wants_a_recipe_or_recordings(words):
    assert main(["train", *words]) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hiden = 3", "did you mean 'hidden'"),
        ("steps = 0", "at least 1"),
        ("pca = 3", "of type bool"),
        ("pivot_probability = 2", r"0\.\.1"),
        ("rate = 0", "above 0"),
        ("rate = -1", "above 0"),
        ("velocity = -1", "at least 0"),
        ("seed = -1", "at least 0"),
        ("explained_variance = 0", "above 0"),
        ("coefficients = 0\nvertices = 0", "not both"),
        ("rate = inf", "above 0"),
        ("=", "TOML"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, text, message):
    path = tmp_path / "learn.toml"
    path.write_text(text, "utf-8")
    with pytest.raises((FileFormatError, UnknownNameError), match=message):
        LearnConfig.load(path)


def test_data_that_makes_no_sense_is_refused(actors, trunk, tmp_path):
    with pytest.raises(FileFormatError, match="own name"):
        HeadTrainer(trunk, [actors, actors], QUICK)
    writer = AnnotationWriter(tmp_path, rig="arkit", name="short")
    writer.add("t", np.zeros(3000), controls(np.zeros(9), (0.5, 0)), subject="s")
    with pytest.raises(FileFormatError, match="half a second"):
        HeadTrainer(trunk, [AnnotationFolder(writer.finish())], QUICK)


def test_the_example_runs_and_its_loss_falls(tmp_path, capsys):
    path = Path(__file__).resolve().parents[2] / "examples" / "learn_layer.py"
    runpy.run_path(str(path))["main"](tmp_path, steps=200)
    output = capsys.readouterr().out
    losses = [float(x) for x in re.findall(r"loss ([\d.]+)", output)]
    assert len(losses) == 10
    assert losses[-1] < 0.7 * losses[0]
    assert "hello-ben.json: 335 frames" in output


def test_bake_uses_the_learned_layer_of_a_model(learned, tmp_path, capsys):
    soundfile.write(tmp_path / "line.wav", murmur(1, seed=5)[0], 16_000)
    words = ["bake", str(tmp_path / "line.wav"), "--model", str(learned), "-o"]
    assert main([*words, str(tmp_path / "layer.json")]) == 0
    assert "rig actors: the learned layer of this model on arkit" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "named.json"), "--rig", "actors"]) == 0
    assert main([*words, str(tmp_path / "table.json"), "--rig", "arkit"]) == 0
    layer, named, table = (
        facesdk.read_clip(tmp_path / f"{n}.json") for n in ("layer", "named", "table")
    )
    assert layer == named
    assert layer != table
    assert "learned" in layer.meta["controls_from"]


def test_an_export_names_its_learned_layers(learned, tmp_path, capsys):
    pytest.importorskip("onnx")
    out = tmp_path / "face"
    words = ["export-onnx", str(learned), "-o", str(out / "model.onnx"), "--look-ahead", "all"]
    assert main([*words, "--trunk", "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    (entry,) = [o for o in manifest["outputs"] if o["name"] == "learned_actors"]
    assert (entry["layer"], entry["rig"]["name"]) == ("actors", "arkit")
    assert entry["controls"] == list(ARKIT.names)
    assert entry["computed"] == "learned from recordings"
    again = load(out)  # the files that describe the layers lie next to it
    assert LearnedLayer.of(again, "actors").rig == LearnedLayer.of(load(learned), "actors").rig
    assert main(["export-onnx", str(learned), "-o", str(out / "b.onnx"), "--rig", "actors"]) == 1
    assert "every export contains as the output 'learned_actors'" in capsys.readouterr().err
