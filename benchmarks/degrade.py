"""Degradations of clean speech at 16 kHz.

They keep length and time, so labels stay valid. Randomness is seeded.
"""

from __future__ import annotations

import io

import numpy as np
import soundfile
import soxr

from facesdk.audio import SAMPLE_RATE

Samples = np.ndarray

_WINDOW, _HOP = 512, 128
"""Samples; Hann windows of 32 ms every 8 ms have a constant sum."""


# ------------------------------------------------------------------------------- noise


def white(length: int, rng: np.random.Generator) -> Samples:
    """Return white noise with RMS 1."""
    return rng.standard_normal(length)


def pink(length: int, rng: np.random.Generator) -> Samples:
    """Return noise with RMS 1 that falls by 3 dB per octave from 20 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 20))
    return _unit(np.fft.irfft(spectrum, length))


def babble(length: int, rng: np.random.Generator, voices: list[Samples]) -> Samples:
    """Return several voices of equal level at once, with RMS 1."""
    mixed = np.zeros(length)
    for voice in voices:
        mixed += _unit(np.roll(np.resize(voice, length), int(rng.integers(length))))
    return _unit(mixed)


def add_noise(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Return speech with noise `snr_db` below its level, which excludes pauses."""
    level = speech_level(samples)
    return samples + noise * level * 10 ** (-snr_db / 20)


def speech_level(samples: Samples) -> float:
    """Return the RMS of the 20 ms frames within 30 dB of the loudest."""
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320).astype(float)
    power = (frames**2).mean(1) if len(frames) else np.array([np.mean(samples**2)])
    return float(np.sqrt(power[power >= power.max() * 1e-3].mean()))


def _unit(samples: Samples) -> Samples:
    return samples / max(float(np.sqrt(np.mean(samples**2))), 1e-9)


# ------------------------------------------------------------------------------- rooms, lines


def reverberate(samples: Samples, seconds: float, rng: np.random.Generator) -> Samples:
    """Return speech in a room with a reverberation time (60 dB) of `seconds`.

    The tail is decaying noise from 4 ms, with the energy of the direct sound. The level is kept.
    """
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds) * (time > 0.004)
    response = tail / np.sqrt((tail**2).sum())
    response[0] = 1.0
    size = len(samples) + len(response)
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    return _as_loud(wet[: len(samples)], samples)


def telephone(samples: Samples) -> Samples:
    """Return speech limited to 300 to 3400 Hz, at 8 kHz in 8-bit mu-law."""
    narrow = _resampled(_band(samples, 300, 3400), SAMPLE_RATE, 8000)
    peak = max(float(np.abs(narrow).max()), 1e-9)
    bent = np.sign(narrow) * np.log1p(255 * np.abs(narrow) / peak) / np.log(256)
    coded = np.round(bent * 127) / 127
    back = np.sign(coded) * (256 ** np.abs(coded) - 1) / 255 * peak
    return _fitted(_resampled(back, 8000, SAMPLE_RATE), len(samples))


def _band(samples: Samples, low: float, high: float) -> Samples:
    """Apply a zero-phase band-pass whose edges are a tenth of their frequency wide."""
    spectrum = np.fft.rfft(samples)
    frequency = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    rising = np.clip((frequency - 0.9 * low) / (0.1 * low), 0, 1)
    falling = np.clip((1.1 * high - frequency) / (0.1 * high), 0, 1)
    return np.fft.irfft(spectrum * rising * falling, len(samples))


def opus(samples: Samples) -> Samples:
    """Return speech coded with Opus at about 16 kbit/s."""
    return _coded(samples, format="OGG", subtype="OPUS", compression_level=0.96)


def mp3(samples: Samples) -> Samples:
    """Return speech coded with MP3 at 16 kbit/s, without the coder's delay."""
    return _coded(
        samples, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.95,
        bitrate_mode="CONSTANT",
    )  # fmt: skip


def _coded(samples: Samples, **settings: str | float) -> Samples:
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, **settings)
    file.seek(0)
    decoded, rate = soundfile.read(file)
    decoded = decoded if rate == SAMPLE_RATE else _resampled(decoded, rate, SAMPLE_RATE)
    return _fitted(decoded[_delay(decoded, samples) :], len(samples))


def _delay(late: Samples, early: Samples) -> int:
    """Return the delay of a decoder in samples."""
    size = 2 * max(len(late), len(early))
    both = np.fft.irfft(np.fft.rfft(late, size) * np.conj(np.fft.rfft(early, size)), size)
    return int(np.argmax(both[:4000]))


# ------------------------------------------------------------------------------- voices


def higher(samples: Samples, factor: float = 1.25) -> Samples:
    """Return speech with pitch and formants raised by a factor, at the same tempo."""
    longer = _stretched(samples, factor)
    return _fitted(_resampled(longer, SAMPLE_RATE * factor, SAMPLE_RATE), len(samples))


def _stretched(samples: Samples, factor: float) -> Samples:
    """Return slower speech of the same pitch, by overlapping the best-matching pieces."""
    hop, reach = _WINDOW // 2, 160
    length = round(len(samples) * factor)
    padded = np.pad(samples.astype(float), (reach, _WINDOW + reach + hop))
    window = np.hanning(_WINDOW + 1)[:-1]
    out = np.zeros(length + 2 * _WINDOW)
    following = padded[reach : reach + _WINDOW]
    for start in range(0, length, hop):
        source = min(round(start / factor), len(samples))
        search = padded[source : source + _WINDOW + 2 * reach]
        at = source + int(np.argmax(np.correlate(search, following, "valid")))
        out[start : start + _WINDOW] += padded[at : at + _WINDOW] * window
        following = padded[at + hop : at + hop + _WINDOW]
        following = np.pad(following, (0, _WINDOW - len(following)))
    return out[:length]


def whisper(samples: Samples, rng: np.random.Generator, order: int = 18) -> Samples:
    """Return the same vocal tract excited by noise, with less power below 500 Hz."""
    frames = _framed(samples)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    envelope = _envelopes(power, order)
    noise = np.fft.rfft(_framed(rng.standard_normal(len(samples))), axis=1)
    frequency = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    breath = np.sqrt(frequency**2 / (frequency**2 + 500.0**2))
    breathed = noise * envelope * breath / np.sqrt((_hann() ** 2).sum())
    return _as_loud(_joined(np.fft.irfft(breathed, _WINDOW), len(samples)), samples)


def _envelopes(power: np.ndarray, order: int) -> np.ndarray:
    """Return the (T, bins) magnitude of the all-pole fit to (T, bins) power spectra."""
    lags = np.fft.irfft(power, axis=1)[:, : order + 1]
    lags[:, 0] = lags[:, 0] * 1.0001 + 1e-9
    poles = np.zeros((len(lags), order + 1))
    poles[:, 0] = 1
    error = lags[:, 0].copy()
    for k in range(1, order + 1):
        step = -(poles[:, :k] * lags[:, k:0:-1]).sum(1) / error
        poles[:, 1 : k + 1] += step[:, None] * poles[:, k - 1 :: -1][:, :k]
        error *= 1 - step**2
    response = np.abs(np.fft.rfft(poles, 2 * (power.shape[1] - 1), axis=1))
    return np.sqrt(np.maximum(error, 0))[:, None] / np.maximum(response, 1e-6)


def shout(samples: Samples) -> Samples:
    """Return speech with 6 dB per octave more between 1 and 4 kHz, louder, softly clipped."""
    spectrum = np.fft.rfft(samples)
    frequency = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    tilted = np.fft.irfft(spectrum * np.clip(frequency / 1000, 1, 4), len(samples))
    loud = tilted / max(float(np.abs(tilted).max()), 1e-9)
    return np.tanh(3 * loud) / np.tanh(3) * 0.9


def amplified(samples: Samples, decibels: float) -> Samples:
    """Return speech with a gain, clipped at full scale."""
    return np.clip(samples * 10 ** (decibels / 20), -1, 1)


def _hann() -> np.ndarray:
    return np.hanning(_WINDOW + 1)[:-1]


def _framed(samples: Samples) -> np.ndarray:
    """Return (T, 512) windowed pieces every 128 samples, padded by half a window."""
    padded = np.pad(samples.astype(float), (_WINDOW // 2, _WINDOW + _HOP))
    return np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP] * _hann()


def _joined(frames: np.ndarray, length: int) -> Samples:
    """Return the sum of overlapping pieces, which are windowed again."""
    out = np.zeros(_HOP * len(frames) + _WINDOW)
    for number, frame in enumerate(frames * _hann()):
        out[number * _HOP : number * _HOP + _WINDOW] += frame
    return out[_WINDOW // 2 : _WINDOW // 2 + length]


def _resampled(samples: Samples, rate: float, target: float) -> Samples:
    return soxr.resample(samples, rate, target)


def _fitted(samples: Samples, length: int) -> Samples:
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def _as_loud(samples: Samples, as_: Samples) -> Samples:
    scale = np.sqrt(np.mean(np.square(as_, dtype=float)) / max(np.mean(samples**2), 1e-12))
    return samples * scale


# ------------------------------------------------------------------------------- no speech


def no_speech(seconds: int = 20, level: float = 0.05) -> dict[str, Samples]:
    """Return sounds without speech by name."""
    rng = np.random.default_rng(0)
    time = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
    sounds = {
        "white noise": white(len(time), rng),
        "pink noise": pink(len(time), rng),
        "hum": _hum(time),
        "chords": _chords(time),
        "music": _music(time, rng),
    }
    return {"silence": np.zeros(len(time)), **{n: level * _unit(x) for n, x in sounds.items()}}


def _hum(time: np.ndarray) -> Samples:
    """Return mains hum at 50 Hz with its first harmonics."""
    return sum(np.sin(2 * np.pi * 50 * k * time) / k for k in range(1, 6))


def _chords(time: np.ndarray) -> Samples:
    """Return sustained triads, one per second, with fades between them."""
    roots = np.array([220.0, 174.6, 261.6, 196.0])[time.astype(int) % 4]
    notes = (np.sin(2 * np.pi * np.cumsum(roots * r) / SAMPLE_RATE * k) / k**2
             for r in (1, 1.26, 1.5) for k in range(1, 6))  # fmt: skip
    return sum(notes) * np.minimum(1, 20 * np.minimum(time % 1, 1 - time % 1))


def _music(time: np.ndarray, rng: np.random.Generator) -> Samples:
    """Return plucked notes, four per second, with noise bursts every half second."""
    steps = np.array([0, 4, 7, 12, 7, 4, 5, 9])[(time * 4).astype(int) % 8]
    phase = 2 * np.pi * np.cumsum(196 * 2 ** (steps / 12)) / SAMPLE_RATE
    tune = sum(np.sin(k * phase) / k for k in range(1, 8)) * np.exp(-6 * (time * 4 % 1) / 4)
    drum = rng.standard_normal(len(time)) * np.exp(-40 * (time % 0.5))
    return tune + drum + 0.5 * _chords(time)
