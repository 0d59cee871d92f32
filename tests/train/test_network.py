"""Trunks of every shape: exported they do what torch does, however the audio is cut."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnxruntime  # noqa: E402

from facesdk.audio.features import log_mel  # noqa: E402
from facesdk.train.trunk.compress import compress  # noqa: E402
from facesdk.train.trunk.data import STEP, UNITS  # noqa: E402
from facesdk.train.trunk.export import build_graph, state_shapes  # noqa: E402
from facesdk.train.trunk.network import Trunk, TrunkConfig  # noqa: E402

SHAPES = {
    "dense": {},
    "narrow": {"narrow": 6, "bias": False, "activity": True},
    "shared": {"taps": 4, "shared": True, "bias": False, "activity": True, "dilations": (1, 2, 5)},
}


def a_trunk(**options):
    torch.manual_seed(0)
    config = {"channels": 16, "dilations": (1, 2, 4), "head_channels": 8, "delay_steps": (0, 1, 4)}
    trunk = Trunk(
        TrunkConfig(**{**config, **options}, units=UNITS, articulation=UNITS), [-3.0] * 64
    ).eval()
    for parameter in trunk.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return trunk


def audio(steps=40):
    return (0.1 * np.random.default_rng(0).standard_normal(STEP * steps)).astype(np.float32)


def run(trunk, samples, cuts):
    session = onnxruntime.InferenceSession(
        build_graph(trunk).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    states = {k: np.zeros((1, *shape), np.float32) for k, shape in state_shapes(trunk).items()}
    parts, start = [], 0
    for cut in cuts:
        feeds = {f"state_{k}": v for k, v in states.items()}
        chunk = samples[None, start * STEP : (start + cut) * STEP]
        found = dict(zip(names, session.run(None, {"audio": chunk, **feeds}), strict=True))
        states = {k: found[f"next_{k}"] for k in states}
        parts.append(np.concatenate([found[n] for n in names if not n.startswith("next_")], -1))
        start += cut
    return np.concatenate(parts, 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_exported_trunk_is_the_torch_trunk_however_audio_is_cut(shape):
    trunk, samples = a_trunk(**SHAPES[shape]), audio()
    with torch.no_grad():
        wanted = trunk.curves(torch.from_numpy(log_mel(samples))[None]).numpy()
    assert wanted.shape[-1] == 2 * len(UNITS) + ("activity" in SHAPES[shape])
    for cuts in ([40], [1] * 40, [7, 13, 1, 19]):
        np.testing.assert_allclose(run(trunk, samples, cuts), wanted, atol=1e-5)


def test_a_compressed_trunk_of_full_rank_does_the_same():
    trunk = a_trunk()
    mel = torch.from_numpy(log_mel(audio(200)))[None]
    small = compress(
        trunk,
        mel,
        blocks=(0, 1, 2),
        narrow=16,
        head_channels=8,
        delay_steps=(0, 1, 4),
        activity=True,
    )
    with torch.no_grad():
        before, after = trunk.curves(mel), small.curves(mel)
    assert small.config.narrow == 16
    assert after.shape[-1] == before.shape[-1] + 1
    # where the past is silence from before the beginning, folded biases differ
    assert float((before - after[..., :-1])[:, 20:].abs().max()) < 1e-3
