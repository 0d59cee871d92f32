from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from facesdk.articulation import Rules  # noqa: E402
from facesdk.audio.features import log_mel  # noqa: E402
from facesdk.errors import FileFormatError  # noqa: E402
from facesdk.model import Model  # noqa: E402
from facesdk.train.loop import Schedule  # noqa: E402
from facesdk.train.trunk import augment  # noqa: E402
from facesdk.train.trunk.data import UNITS, BatchConfig, Batches, Labels, load_corpus, mel_mean  # noqa: E402
from facesdk.train.trunk.evaluate import Scorer, area_under_curve, closure_events  # noqa: E402
from facesdk.train.trunk.export import build_graph, export  # noqa: E402
from facesdk.train.trunk.fit import load_trunk, trunk_loop  # noqa: E402
from facesdk.train.trunk.loss import Loss, LossWeights  # noqa: E402
from facesdk.train.trunk.network import Trunk, TrunkConfig  # noqa: E402

DOCUMENTED_OPERATORS = {
    "Add", "Concat", "Conv", "CumSum", "Div", "Exp", "Log", "MatMul", "Mul", "ReduceMean", "Relu",
    "Reshape", "Sigmoid", "Slice", "Split", "Sub", "Transpose", "Unsqueeze",
}  # fmt: skip


def small_config(labels=("SIL", "a")):
    return TrunkConfig(
        channels=16, dilations=(1, 2, 4), head_channels=8, delay_steps=(0, 2, 5), units=UNITS,
        articulation=UNITS, phones=tuple(labels),
    )  # fmt: skip


@pytest.fixture
def trunk():
    torch.manual_seed(0)
    network = Trunk(small_config(), [-3.0] * 64).eval()
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network


@pytest.fixture(scope="module")
def lines(corpus):
    return load_corpus(corpus, corpus / "cache", rules=Rules.load())


def speech(steps, seed=0):
    rng = np.random.default_rng(seed)
    swell = np.abs(np.sin(np.arange(steps * 320) / 3000))
    return (rng.standard_normal(steps * 320) * 0.05 * swell).astype(np.float32)


# ------------------------------------------------------------------ export


def test_torch_onnx_and_chunked_onnx_agree(trunk, tmp_path):
    facts = {"name": "small", "model_version": "0", "license": "Apache-2.0"}
    model = Model(export(trunk, tmp_path, facts=facts).parent)
    audio = speech(120)
    with torch.no_grad():
        expected = trunk.curves(torch.from_numpy(log_mel(audio))[None])[..., : len(UNITS)].numpy()
    whole, _ = model.step(audio[None], model.start())
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    state, parts, cut = model.start(), [], 0
    for steps in (1, 1, 7, 30, 2, 79):
        units, state = model.step(audio[None, cut * 320 : (cut + steps) * 320], state)
        parts.append(units)
        cut += steps
    np.testing.assert_allclose(np.concatenate(parts, 1), expected, atol=1e-5)


def test_the_graph_uses_documented_operators_only(trunk):
    graph = build_graph(trunk).graph
    assert {node.op_type for node in graph.node} <= DOCUMENTED_OPERATORS
    dynamic = {
        d.dim_param for value in (*graph.input, *graph.output)
        for d in value.type.tensor_type.shape.dim if d.dim_param
    }  # fmt: skip
    assert dynamic == {"batch", "samples", "steps"}


def test_the_trunk_is_causal(trunk):
    mel = torch.randn(1, 80, 64)
    other = mel.clone()
    other[:, 50:] += 1
    with torch.no_grad():
        a, b = trunk.curves(mel), trunk.curves(other)
    torch.testing.assert_close(a[:, :25], b[:, :25])
    assert (a[:, 25:] - b[:, 25:]).abs().max() > 1e-3


def test_the_running_mean_forgets_the_microphone(trunk):
    mel = torch.randn(1, 3000, 64) - 3
    louder = mel + torch.linspace(-2, 3, 64)
    a, b = trunk.normalize(mel), trunk.normalize(louder)
    assert (a - b)[:, -500:].abs().mean() < 0.15


# ------------------------------------------------------------------ learning


def trainer(lines, folder, steps, save_every=100):
    torch.manual_seed(1)
    labels = Labels(Rules.load())
    config = small_config(labels.names)
    schedule = Schedule(steps=steps, warmup=5, rate=3e-3, average=0.9, save_every=save_every)
    batches = Batches(lines, BatchConfig(4, 50), seed=1)
    return trunk_loop(
        Trunk(config, mel_mean(lines)), Loss(LossWeights(), config.delay_steps), batches, schedule,
        checkpoint=folder / "checkpoint.pt",
    )  # fmt: skip


def test_training_learns_and_its_checkpoint_is_the_averaged_network(lines, tmp_path):
    seen = []
    network = trainer(lines, tmp_path, 160).run(lambda _, parts: seen.append(parts["loss"]))
    assert seen[-1] < 0.8 * seen[0]
    loaded = load_trunk(tmp_path / "checkpoint.pt")
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value)
    figures = Scorer(loaded, lines)(curves="units")
    assert figures["sibilant_auc"] > 0.65


def test_a_killed_training_resumes_to_the_same_weights(lines, tmp_path):
    straight = trainer(lines, tmp_path / "a", 8).run()
    first = trainer(lines, tmp_path / "b", 8)
    for _ in range(3):
        first.advance()
    first.save()
    second = trainer(lines, tmp_path / "b", 8)
    assert second.step == 3
    resumed = second.run()
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_batches_repeat_and_differ_from_step_to_step(lines):
    batches = Batches(lines, BatchConfig(4, 50), seed=1)
    torch.testing.assert_close(batches.batch(3).mel, batches.batch(3).mel)
    assert not torch.equal(batches.batch(3).mel, batches.batch(4).mel)


@pytest.mark.parametrize(
    "change",
    [augment.vocal_tract, augment.equalizer, augment.reverb, augment.noise, augment.telephone,
     augment.gain],
)  # fmt: skip
def test_augmentation_keeps_power_positive_and_shaped(change):
    power = torch.rand(5, 40, 64) + 0.01
    out = change(power, torch.Generator().manual_seed(1))
    assert out.shape == power.shape
    assert (out > 0).all()
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out, change(power, torch.Generator().manual_seed(1)))


def test_reverb_smears_forward_in_time_only():
    power = torch.zeros(20, 60, 64)
    power[:, 30] = 1
    out = augment.reverb(power, torch.Generator().manual_seed(0))
    assert out[:, :30].abs().max() == 0
    assert out[:, 31:40].max() > 0.05


def test_what_is_no_speech_asks_for_rest(lines):
    batch = Batches(lines, BatchConfig(8, 50, clutter=1.0), seed=1).batch(0)
    assert (batch.phones == 0).all()
    assert batch.targets.std(1).max() < 1e-6


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_every_tensor_is_moved_to_the_device(lines, device):
    """The meta device refuses tensors that were left on the CPU, as a GPU does."""
    config = small_config(Labels(Rules.load()).names)
    network = Trunk(config, mel_mean(lines)).to(device)
    loss = Loss(LossWeights(), config.delay_steps).to(device)
    batch = Batches(lines, BatchConfig(4, 50), seed=1).batch(0).to(device)
    total, parts = loss(*network(batch.mel), batch)
    total.backward()
    assert {part.device.type for part in parts.values()} == {device}
    assert all(p.grad.device.type == device for p in network.parameters())


# ------------------------------------------------------------------ scores


def test_area_under_the_curve_by_hand():
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    positive = np.array([False, False, True, True])
    assert area_under_curve(scores, positive) == 0.75
    assert area_under_curve(np.ones(4), positive) == 0.5


def test_closure_events_by_hand():
    closure = np.zeros(100)
    closure[25:30] = 0.9  # 0.5..0.6 s
    closure[80] = 0.3
    segments = [("a", 0.2, 0.3), ("b", 0.5, 0.6), ("t", 0.62, 0.7), ("s", 1.58, 1.7)]
    hits, false = closure_events(closure, segments)
    assert hits == [0.9]
    assert false == [0.0, 0.3]  # t is too close to b to count


@pytest.mark.parametrize("asked", [3, 5])
def test_the_number_of_steps_asked_for_is_the_number_trained(lines, tmp_path, monkeypatch, asked):
    from facesdk.datasets.speech.recipe import HELD_OUT, Recipe
    from facesdk.train.trunk import run

    small = {"channels": 16, "dilations": [1, 2], "head_channels": 8, "delay_steps": [0, 2]}
    recipe = replace(
        Recipe.load("default"), corpora={}, network=small, batches={"size": 2, "steps": 50}
    )
    monkeypatch.setattr(run, "build_corpora", lambda *_, **__: {HELD_OUT: tmp_path})
    monkeypatch.setattr(run, "_training_lines", lambda *_: (lines, ()))
    monkeypatch.setattr(run, "_tests", lambda *_: {})
    manifest = run.train(recipe, tmp_path, tmp_path / "model", steps=asked)
    assert json.loads(manifest.read_text("utf-8"))["training"]["steps"] == asked
    longer = run.train(recipe, tmp_path, tmp_path / "model", steps=asked + 1)
    assert json.loads(longer.read_text("utf-8"))["training"]["steps"] == asked + 1
    with pytest.raises(FileFormatError, match=f"is at step {asked + 1}, but 2 steps"):
        run.train(recipe, tmp_path, tmp_path / "model", steps=2)
