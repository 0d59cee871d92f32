"""The training loop with a small network, and the command around it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from facesdk.cli import main  # noqa: E402
from facesdk.datasets import Recipe  # noqa: E402
from facesdk.errors import FileFormatError, ModelError, UnknownNameError  # noqa: E402
from facesdk.train.config import config_from  # noqa: E402
from facesdk.train.heads import LearnConfig  # noqa: E402
from facesdk.train.loop import Loop, ParameterGroup, Schedule, choose_device  # noqa: E402
from facesdk.train.trunk import TrunkConfig  # noqa: E402
from facesdk.train.trunk.data import BatchConfig  # noqa: E402

SHORT = Schedule(steps=40, rate=0.02, warmup=4, average=0.9, save_every=10)
FACTS = {"sizes": [3, 1]}


def loop(folder=None, schedule=SHORT, seed=5, facts=FACTS, **options):
    """A line through noisy points; the step draws from torch's own generator."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Dropout(0.1))

    def step(number):
        x = torch.randn(16, 3)
        error = (network(x)[:, 0] - x.sum(1)).square().mean()
        return error + 0 * number, {"square": error}

    checkpoint = None if folder is None else folder / "loop.pt"
    return Loop(
        network, step, schedule, seed=seed, checkpoint=checkpoint, facts=facts, **options
    )  # fmt: skip


def weights(network):
    return torch.cat([p.detach().ravel() for p in network.parameters()])


def test_the_same_seed_gives_the_same_weights_and_the_loss_falls():
    losses = []
    first = loop().run(lambda _, parts: losses.append(parts["loss"]))
    assert losses[-1] < 0.8 * losses[0]
    assert torch.equal(weights(first), weights(loop().run()))
    assert not torch.equal(weights(first), weights(loop(seed=6).run()))
    assert not first.training


def test_a_killed_run_resumes_exactly_even_with_dropout(tmp_path):
    straight = loop().run()
    killed = loop(tmp_path)
    for _ in range(7):
        killed.advance()
    killed.save()
    resumed = loop(tmp_path)
    assert resumed.step == 7
    assert torch.equal(weights(straight), weights(resumed.run()))
    assert [p.name for p in tmp_path.iterdir()] == ["loop.pt"]


def test_a_finished_run_can_be_continued_with_more_steps(tmp_path):
    loop(tmp_path).run()
    longer = loop(tmp_path, replace(SHORT, steps=50))
    assert longer.step == 40
    longer.run()
    assert longer.step == 50


def test_checkpoints_of_another_training_are_refused(tmp_path):
    loop(tmp_path).run()
    with pytest.raises(FileFormatError, match=r"another training .*sizes differs.*--work"):
        loop(tmp_path, facts={"sizes": [4, 1]})
    with pytest.raises(FileFormatError, match="another training"):
        loop(tmp_path, facts={"other": 1})
    (tmp_path / "loop.pt").write_bytes(b"broken")
    with pytest.raises(FileFormatError, match="another training"):
        loop(tmp_path)


def test_groups_learn_at_their_own_rates():
    torch.manual_seed(0)
    slow, fast = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    network = torch.nn.ParameterList([slow, fast])
    run = Loop(
        network, lambda _: ((slow + fast - 1).square().sum(), {}),
        replace(SHORT, decay=0, average=0),
        groups=[ParameterGroup([slow], 1e-5), ParameterGroup([fast], 1e-2)],
    )  # fmt: skip
    run.run()
    assert fast.item() > 100 * slow.item() > 0


def test_a_training_that_diverges_stops_with_an_error():
    network = torch.nn.Linear(1, 1)
    run = Loop(network, lambda _: (network.weight.sum() * math.nan, {}), Schedule(average=0))
    with pytest.raises(ModelError, match="not finite; lower the learning rate"):
        run.run()
    assert torch.isfinite(network.weight).all()


def test_the_rate_warms_up_and_falls():
    shares = [Schedule(steps=100, warmup=10).share(step) for step in range(100)]
    assert shares[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert np.all(np.diff(shares[10:]) < 0)
    assert shares[-1] == pytest.approx(0.02, abs=1e-3)


# ------------------------------------------------------------------ devices


def test_devices_are_chosen_by_name():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(UnknownNameError, match="did you mean 'cuda'"):
        choose_device("cudaa")
    for name in {"cuda", "mps"} - {choose_device("auto").type}:
        with pytest.raises(ModelError, match=f"{name!r} is not available to torch .* cpu"):
            choose_device(name)


# ------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("kind", "table", "message"),
    [
        (Schedule, {"steps": 0}, "here: steps must be at least 1, got 0"),
        (Schedule, {"rate": 0}, "rate must be above 0"),
        (Schedule, {"rate": -1.0}, "rate must be above 0"),
        (Schedule, {"rate": math.nan}, "rate must be above 0"),
        (Schedule, {"average": 1.0}, "average must be in 0"),
        (Schedule, {"steps": 1.5}, "steps must be of type int"),
        (Schedule, {"stepps": 5}, "did you mean 'steps'"),
        (BatchConfig, {"size": -1}, "size must be at least 1"),
        (BatchConfig, {"clutter": 2}, "clutter must be in 0..1"),
        (TrunkConfig, {"dilations": [1, 0]}, "dilations must be at least 1"),
        (TrunkConfig, {"delay_steps": []}, "delay_steps must ascend"),
        (TrunkConfig, {"delay_steps": [5, 2]}, "delay_steps must ascend"),
        (TrunkConfig, {"delay_steps": [-1]}, "delay_steps must ascend"),
        (TrunkConfig, {"delay_steps": 5}, "delay_steps must be of type list"),
        (TrunkConfig, {"channels": 0}, "channels must be at least 1"),
        (LearnConfig, {"anchor": math.inf}, "anchor must be at least 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(kind, table, message):
    with pytest.raises((FileFormatError, UnknownNameError), match=message):
        config_from(kind, table, "here")


@pytest.mark.parametrize("count", ["0", "-3", "1.5", "many"])
def test_steps_must_be_a_count(count, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "default", "--steps", count])
    assert stopped.value.code == 2
    assert f"--steps: must be a whole number, 1 or more, got {count!r}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("[corpora.flite]\nhours = 0\nseed = 1\nlines = []", "hours must be above 0"),
        ("[corpora.flite]\nhours = 1\nseed = -1\nlines = []", "seed at least 0"),
        ("seed = -1", "seed must be at least 0"),
        ("[held_out]\nhours = -1", "hours of held_out above 0"),
        ("[corpora.speechocean]\nweight = nan", "weight must be above 0"),
    ],
)
def test_recipes_with_bad_numbers_are_refused(tmp_path, change, message):
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "default"\n{change}\n', "utf-8")
    with pytest.raises(FileFormatError, match=message):
        Recipe.load(path)


# ------------------------------------------------------------------ the command

RECIPE = """
extends = "default"
name = "tiny"
without = [
  "flite", "kokoro", "kokoro_de", "kokoro_ja", "kokoro_zh", "festival", "speechocean", "non_speech",
]
[network]
channels = 16
dilations = [1, 2]
head_channels = 8
delay_steps = [0, 2]
[batches]
size = 2
steps = 20
[schedule]
steps = 5000
"""


def test_the_command_trains_the_number_of_steps_it_is_given(corpus, tmp_path, capsys):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE, "utf-8")
    words = ["train", recipe, "--work", tmp_path, "-o", tmp_path / "out", "--device", "cpu",
             "--corpus", f"hibari={corpus}", "--corpus", f"held_out={corpus}"]  # fmt: skip
    assert main([str(word) for word in (*words, "--steps", 3)]) == 0
    output = capsys.readouterr()
    assert "step 3 of 3" in output.err
    facts = json.loads((tmp_path / "out" / "model.json").read_text("utf-8"))
    assert facts["training"]["steps"] == 3
    assert facts["license"] == "Apache-2.0"
    assert main([str(word) for word in (*words, "--steps", 4)]) == 0
    assert "training: step 3 of 4" in capsys.readouterr().err
    recipe.write_text(RECIPE.replace("channels = 16", "channels = 8"), "utf-8")
    assert main([str(word) for word in words]) == 1
    assert "belongs to another training" in capsys.readouterr().err


def test_mistakes_in_a_recipe_are_reported_before_any_corpus_is_built(tmp_path, capsys):
    recipe = tmp_path / "tiny.toml"
    for old, new in (("steps = 5000", "steps = 0"), ("steps = 20", "steps = 2")):
        recipe.write_text(RECIPE.replace(old, new), "utf-8")
        assert main(["train", str(recipe), "--work", str(tmp_path / "work")]) == 1
        assert "steps" in capsys.readouterr().err
        assert not (tmp_path / "work").exists()
