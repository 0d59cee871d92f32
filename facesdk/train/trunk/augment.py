"""Augmentation of clean speech with voices, rooms and noises, on mel power because it is cheap.

Every function takes (B, T, 64) band power and a generator, and returns the same shape.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Generator, Tensor

from ...audio.features import BANDS, HIGH_HZ, LOW_HZ, mel_matrix

_POOL_FRAMES = 1 << 15


def _uniform(rng: Generator, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    return torch.rand(shape, generator=rng) * (high - low) + low


def _chance(rng: Generator, batch: int, share: float) -> Tensor:
    return (torch.rand((batch, 1, 1), generator=rng) < share).float()


def _mel(hz: Tensor) -> Tensor:
    return 2595 * torch.log10(1 + hz / 700)


def _centers() -> Tensor:
    low, high = (float(_mel(torch.tensor(f))) for f in (LOW_HZ, HIGH_HZ))
    return 700 * (10 ** (torch.linspace(low, high, BANDS + 2)[1:-1] / 2595) - 1)


def vocal_tract(power: Tensor, rng: Generator) -> Tensor:
    """Scale the frequency axis by 0.84 (long vocal tracts) to 1.32 (children)."""
    low, high = (_mel(torch.tensor(f)) for f in (LOW_HZ, HIGH_HZ))
    factor = torch.exp(_uniform(rng, (len(power), 1), math.log(0.84), math.log(1.32)))
    source = (_mel(_centers() / factor) - low) / (high - low) * (BANDS + 1) - 1
    source = source.clamp(0, BANDS - 1.001)
    floor = source.floor().long()
    part = (source - floor)[:, None]
    index = floor[:, None].expand(-1, power.shape[1], -1)
    below, above = torch.gather(power, 2, index), torch.gather(power, 2, index + 1)
    return below * (1 - part) + above * part


def equalizer(power: Tensor, rng: Generator) -> Tensor:
    """Apply another microphone: a smooth curve of up to 8 dB from six knots."""
    knots = _uniform(rng, (len(power), 1, 6), -8, 8)
    curve = torch.nn.functional.interpolate(knots, BANDS, mode="linear", align_corners=True)
    return power * 10 ** (curve / 10)


def reverb(power: Tensor, rng: Generator) -> Tensor:
    """Add reverberation to a third of the lines; energy decays by up to 0.75 per frame."""
    taps = 24
    decay = _uniform(rng, (len(power), 1), 0.3, 0.75)
    wet = _uniform(rng, (len(power), 1), 0.05, 0.6) * _chance(rng, len(power), 0.35)[:, :, 0]
    kernel = wet * decay ** torch.arange(taps)
    kernel[:, 0] = 1
    padded = torch.nn.functional.pad(power, (0, 0, taps - 1, 0))
    frames = padded.transpose(1, 2).reshape(1, -1, padded.shape[1])
    weights = kernel.flip(1).repeat_interleave(BANDS, 0)[:, None]
    wet_frames = torch.nn.functional.conv1d(frames, weights, groups=frames.shape[1])
    return wet_frames.reshape(len(power), BANDS, -1).transpose(1, 2)


def _band_power(shape: torch.Size, rng: Generator) -> Tensor:
    """Return band powers of white noise relative to their mean: gamma distributed.

    Neighboring bins of a windowed spectrum are correlated; two make about one degree of freedom.
    """
    batch, frames, _ = shape
    pool = _noise_pool()
    starts = torch.randint(0, len(pool) - frames, (batch, 1), generator=rng)
    return pool[starts + torch.arange(frames)]


@cache
def _noise_pool() -> Tensor:
    """Return (frames, 64) of white noise to cut pieces from, because drawing it is slow."""
    filters = torch.from_numpy(mel_matrix())
    bins = filters.sum(0) ** 2 / (filters**2).sum(0)
    degrees = (0.5 * bins).clamp_min(1).expand(_POOL_FRAMES, BANDS).contiguous()
    rng = Generator().manual_seed(0)
    return torch._standard_gamma(degrees, generator=rng) / degrees


def _colored_noise(shape: torch.Size, rng: Generator) -> Tensor:
    batch, frames, _ = shape
    tilt = _uniform(rng, (batch, 1, 5), -12, 12)
    color = torch.nn.functional.interpolate(tilt, BANDS, mode="linear", align_corners=True)
    flutter = _band_power(shape, rng)
    slow = _uniform(rng, (batch, 1, 4), -6, 6)
    swell = torch.nn.functional.interpolate(slow, frames, mode="linear", align_corners=True)
    return 10 ** ((color + swell.transpose(1, 2)) / 10) * flutter


def noise(power: Tensor, rng: Generator) -> Tensor:
    """Add colored noise 0..45 dB below the speech, and for some lines another speaker."""
    level = torch.quantile(power.sum(-1), 0.9, dim=1)[:, None, None]
    added = _colored_noise(power.shape, rng)
    added = added / added.sum(-1, keepdim=True).mean(1, keepdim=True)
    snr = _uniform(rng, (len(power), 1, 1), 0, 45)
    present = _chance(rng, len(power), 0.8)
    other = power.roll(1, 0)
    other = other / torch.quantile(other.sum(-1), 0.9, dim=1)[:, None, None].clamp_min(1e-9)
    babble = _chance(rng, len(power), 0.12)
    babble_snr = _uniform(rng, (len(power), 1, 1), 8, 30)
    return (
        power
        + present * level * 10 ** (-snr / 10) * added
        + babble * level * 10 ** (-babble_snr / 10) * other
    )


def background(power: Tensor, other: Tensor, rng: Generator) -> Tensor:
    """Add noises of a corpus to two fifths of the lines, at an SNR of 0 to 40 dB."""
    level = torch.quantile(power.sum(-1), 0.9, dim=1)[:, None, None]
    loud = torch.quantile(other.sum(-1), 0.9, dim=1)[:, None, None].clamp_min(1e-9)
    present = _chance(rng, len(power), 0.4)
    snr = _uniform(rng, (len(power), 1, 1), 0, 40)
    return power + present * level * 10 ** (-snr / 10) * other / loud


def voices(power: Tensor, rng: Generator) -> Tensor:
    """Add one to three other speakers to a fifth of the lines, at an SNR of 6 to 30 dB."""
    level = torch.quantile(power.sum(-1), 0.9, dim=1)[:, None, None]
    present = _chance(rng, len(power), 0.2)
    unit = power / level.clamp_min(1e-9)
    others = torch.zeros_like(power)
    for shift, share in ((1, 1.0), (3, 0.4), (5, 0.4)):
        others = others + unit.roll(shift, 0) * _chance(rng, len(power), share)
    snr = _uniform(rng, (len(power), 1, 1), 6, 30)
    return power + present * level * 10 ** (-snr / 10) * others


def whisper(power: Tensor, rng: Generator) -> Tensor:
    """Whisper a twentieth of the lines: noise replaces the low harmonics."""
    chosen = _chance(rng, len(power), 0.05)
    depth = _uniform(rng, (len(power), 1, 1), 12, 30)
    low = (1 - torch.log2(_centers() / 250) / 2.5).clamp(0, 1)
    breathy = power * 10 ** (-depth * low / 10) * _band_power(power.shape, rng)
    return power + chosen * (breathy - power)


def telephone(power: Tensor, rng: Generator) -> Tensor:
    """Apply a low-pass of 3.4..7.6 kHz to a quarter of the lines, a high-pass to half of these."""
    narrow = _chance(rng, len(power), 0.25)
    top = _uniform(rng, (len(power), 1, 1), 3400, 7600)
    bottom = _uniform(rng, (len(power), 1, 1), 100, 320) * _chance(rng, len(power), 0.5)
    centers = _centers()[None, None]
    closed = ((centers > top) | (centers < bottom)).float() * narrow
    return power * (1 - closed * 0.9999)


def gain(power: Tensor, rng: Generator) -> Tensor:
    """Change the level by -25..12 dB."""
    return power * 10 ** (_uniform(rng, (len(power), 1, 1), -25, 12) / 10)


def spec_augment(log_mel: Tensor, rng: Generator) -> Tensor:
    """Mask a range of bands and of frames with the mean: SpecAugment (Park et al. 2019)."""
    batch, frames, _ = log_mel.shape
    mean = log_mel.mean((1, 2), keepdim=True)
    band, time = torch.arange(BANDS)[None, None], torch.arange(frames)[None, :, None]
    first_band = torch.randint(0, BANDS, (batch, 1, 1), generator=rng)
    first_time = torch.randint(0, frames, (batch, 1, 1), generator=rng)
    wide = torch.randint(0, 9, (batch, 1, 1), generator=rng)
    long = torch.randint(0, 7, (batch, 1, 1), generator=rng)
    hidden = (band >= first_band) & (band < first_band + wide)
    hidden = hidden | (time >= first_time) & (time < first_time + long)
    return torch.where(hidden, mean, log_mel)


def not_speech(power: Tensor, rng: Generator, share: float) -> tuple[Tensor, Tensor]:
    """Replace a share of the lines by noise or chords; return the power and a (B,) mask of them."""
    batch, frames, _ = power.shape
    mask = torch.rand(batch, generator=rng) < share
    notes = torch.zeros_like(power)
    for i in torch.nonzero(mask).ravel().tolist():
        if float(torch.rand(1, generator=rng)) < 0.5:
            notes[i] = _colored_noise(power[i : i + 1].shape, rng)[0]
        else:
            notes[i] = _chords(frames, rng)
    level = 10 ** _uniform(rng, (batch, 1, 1), -3, 1.5)
    return torch.where(mask[:, None, None], notes * level, power), mask


def _chords(frames: int, rng: Generator) -> Tensor:
    """Return (T, 64) power of sustained harmonic notes that change a few times per second."""
    power = torch.full((frames, BANDS), 1e-4)
    centers = _centers()
    start = 0
    while start < frames:
        length = int(torch.randint(15, 120, (1,), generator=rng))
        envelope = torch.exp(-torch.arange(length) / float(_uniform(rng, (1,), 20, 200)))
        for _ in range(int(torch.randint(1, 5, (1,), generator=rng))):
            pitch = float(110 * 2 ** _uniform(rng, (1,), 0, 3))
            number = torch.arange(1, 1 + math.floor(HIGH_HZ / pitch))[:, None]
            distance = (centers - number * pitch) / (40 + 0.06 * centers)
            tone = (torch.exp(-(distance**2)) / number**1.5).sum(0)
            end = min(frames, start + length)
            power[start:end] += envelope[: end - start, None] * tone
        start += length
    return power
