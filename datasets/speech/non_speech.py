"""Sounds that nobody speaks, made by calculation: the mouth must stay shut in all of them.

Noises of many colors (wind, rain, fans, crowds far away), hum and engines, tones and sirens, music
of plucked, blown and struck instruments with drums, clicks, steps and blows, breaths and gasps,
the tone of empty rooms. Nothing is recorded, so there is nothing to license. Each item is one
utterance without sounds; its speaker names the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ...arrays import Doubles
from ...articulation import TimedPhone
from .corpus import CORPUS_RATE, CorpusWriter, Samples, Utterance

Generator = np.random.Generator

SECONDS = 8.0
_COUNT = round(SECONDS * CORPUS_RATE)
_TIME = np.arange(_COUNT) / CORPUS_RATE


def _curve(rng: Generator, knots: int, low: float, high: float) -> Doubles:
    """(N,) a random smooth curve between two values."""
    points = rng.uniform(low, high, knots)
    return np.interp(np.linspace(0, knots - 1, _COUNT), np.arange(knots), points)


def _decibels(level: Doubles | float) -> Doubles:
    return np.asarray(10 ** (np.asarray(level) / 20))


def colored(rng: Generator, count: int = _COUNT, *, knots: int = 8, depth: float = 18) -> Doubles:
    """(N,) noise with a random smooth spectrum of `depth` dB to either side."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    place = np.log2(1 + np.fft.rfftfreq(count, 1 / CORPUS_RATE) / 60)
    gain = np.interp(place, np.linspace(0, place[-1], knots), rng.uniform(-depth, depth, knots))
    noise = np.fft.irfft(spectrum * _decibels(gain), count)
    return np.asarray(noise / (noise.std() + 1e-9))


def band(rng: Generator, count: int, low: float, high: float) -> Doubles:
    """(N,) noise between two frequencies."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / CORPUS_RATE)
    noise = np.fft.irfft(
        spectrum * np.exp(-np.maximum(0, np.maximum(low - hertz, hertz - high)) / 200), count
    )
    return np.asarray(noise / (noise.std() + 1e-9))


def steady(rng: Generator) -> Doubles:
    """A fan, rain, a waterfall, tape hiss: one color throughout."""
    return colored(rng)


def wind(rng: Generator) -> Doubles:
    """Gusts: level and color change within seconds."""
    share = _curve(rng, int(rng.integers(6, 24)), 0, 1)
    both = share * colored(rng) + (1 - share) * colored(rng)
    return both * _decibels(_curve(rng, int(rng.integers(6, 40)), -24, 0))


def room(rng: Generator) -> Doubles:
    """Next to nothing: an empty room, a microphone's own noise."""
    quiet = colored(rng, depth=12) * _decibels(rng.uniform(-50, -30))
    return quiet + hum(rng) * _decibels(rng.uniform(-60, -35))


def hum(rng: Generator) -> Doubles:
    """Mains, transformers, engines: harmonics of a low tone that may drift."""
    base = float(rng.choice([50, 60, 100, 120, rng.uniform(30, 220)]))
    drift = (
        _curve(rng, 6, 1 - 0.2 * rng.random(), 1 + 0.2 * rng.random())
        if rng.random() < 0.5
        else 1.0
    )
    phase = 2 * np.pi * np.cumsum(np.full(_COUNT, base) * drift) / CORPUS_RATE
    tilt = rng.uniform(0.5, 2.0)
    sound = np.zeros(_COUNT)
    for number in range(1, int(rng.integers(4, 40))):
        if base * number < 7800:
            sound += np.sin(number * phase + rng.uniform(0, 6)) * rng.uniform(0.2, 1) / number**tilt
    rough = 1 + 0.6 * rng.random() * np.sin(2 * np.pi * rng.uniform(2, 30) * _TIME)
    return sound * rough + 0.1 * rng.random() * colored(rng)


def sweeps(rng: Generator) -> Doubles:
    """Sirens, alarms, beeps, whistles."""
    low, high = sorted(rng.uniform(200, 3500, 2))
    shape = rng.choice(["sine", "saw", "steps", "beeps"])
    rate = rng.uniform(0.2, 6)
    if shape == "sine":
        hertz = low + (high - low) * (0.5 + 0.5 * np.sin(2 * np.pi * rate * _TIME))
    elif shape == "saw":
        hertz = low + (high - low) * ((rate * _TIME) % 1)
    else:
        hertz = np.where((rate * _TIME) % 1 < 0.5, low, high)
    gate = ((rate * _TIME) % 1 < rng.uniform(0.2, 0.8)) if shape == "beeps" else 1.0
    phase = 2 * np.pi * np.cumsum(hertz) / CORPUS_RATE
    weights = rng.random(6) / np.arange(1, 7)
    return np.asarray(gate * sum(w * np.sin((i + 1) * phase) for i, w in enumerate(weights)))


def _ring(rng: Generator, count: int) -> Doubles:
    """A blow on something: a few decaying resonances and a burst."""
    time = np.arange(count) / CORPUS_RATE
    sound = rng.standard_normal(count) * np.exp(-time / rng.uniform(0.001, 0.02))
    for _ in range(int(rng.integers(1, 8))):
        hertz, decay = 10 ** rng.uniform(1.8, 3.85), rng.uniform(0.004, 0.25)
        sound += rng.uniform(0.1, 1) * np.sin(2 * np.pi * hertz * time) * np.exp(-time / decay)
    return sound


def blows(rng: Generator) -> Doubles:
    """Steps, keys, clicks, doors, shots: blows in a rhythm or without one."""
    sound = np.zeros(_COUNT)
    kinds = [
        _ring(rng, int(rng.uniform(0.05, 0.8) * CORPUS_RATE))
        for _ in range(int(rng.integers(1, 5)))
    ]
    place, pace = 0.0, rng.uniform(0.08, 1.2)
    regular = rng.random() < 0.5
    while True:
        place += pace * (rng.normal(1, 0.04) if regular else rng.exponential(1))
        start = int(max(place, 0) * CORPUS_RATE)
        if start >= _COUNT:
            return sound
        blow = kinds[int(rng.integers(len(kinds)))] * _decibels(rng.uniform(-18, 0))
        end = min(_COUNT, start + len(blow))
        sound[start:end] += blow[: end - start]


def breaths(rng: Generator) -> Doubles:
    """Breathing, sighs, gasps, panting: noise through an open throat, in and out."""
    sound = np.zeros(_COUNT)
    place = rng.uniform(0, 0.6)
    pace = rng.uniform(0.3, 2.5)
    formants = rng.uniform(0.8, 1.3) * np.array([600, 1500, 2500, 3800])
    while place < SECONDS - 0.15:
        length = int(min(pace * rng.uniform(0.4, 0.9), SECONDS - place) * CORPUS_RATE)
        noise = 0.3 * colored(rng, length, depth=6)
        for hertz in formants * rng.uniform(0.85, 1.15):
            width = rng.uniform(150, 500)
            noise = noise + rng.uniform(0.2, 1) * band(rng, length, hertz - width, hertz + width)
        rise = rng.uniform(0.15, 0.8)
        ramp = np.linspace(0, 1, length)
        shape = np.minimum(ramp / rise, (1 - ramp) / (1 - rise)) ** rng.uniform(0.5, 2)
        start = int(place * CORPUS_RATE)
        sound[start : start + length] += noise * shape * _decibels(rng.uniform(-12, 0))
        place += pace * rng.uniform(0.7, 1.4)
    return sound + 0.01 * colored(rng)


def _tone(timbre: Mapping[str, float], hertz: float, count: int) -> Doubles:
    """One note of an instrument."""
    time = np.arange(count) / CORPUS_RATE
    wobble = timbre["vibrato"] * np.sin(2 * np.pi * timbre["rate"] * time)
    phase = 2 * np.pi * hertz * np.cumsum(1 + wobble) / CORPUS_RATE
    if timbre["kind"] < 0.35:  # modulated, bell-like to brassy
        index = timbre["index"] * np.exp(-time / timbre["decay"])
        sound = np.sin(phase + index * np.sin(timbre["ratio"] * phase))
    else:
        sound = np.zeros(count)
        for number in range(1, 16):
            if number * hertz < 7600:
                fade = np.exp(-time * number / (4 * timbre["decay"])) if timbre["kind"] < 0.7 else 1
                sound += fade * np.sin(number * phase) / number ** timbre["tilt"]
    attack = np.minimum(1, time / timbre["attack"])
    decay = np.exp(-time / timbre["decay"]) if timbre["kind"] < 0.7 else 1.0
    release = np.minimum(1, (time[-1] - time) / 0.03)
    return np.asarray(sound * attack * decay * release)


def _timbre(rng: Generator) -> dict[str, float]:
    return {
        "kind": rng.random(),
        "vibrato": float(rng.choice([0, 0, rng.uniform(0, 0.012)])),
        "rate": rng.uniform(4, 7),
        "index": rng.uniform(0.5, 6),
        "ratio": float(rng.choice([1, 2, 3, 1.41, 3.5])),
        "decay": rng.uniform(0.08, 2.5),
        "tilt": rng.uniform(0.6, 2.0),
        "attack": rng.uniform(0.003, 0.15),
    }


def music(rng: Generator) -> Doubles:
    """A few voices in one key, with or without drums."""
    beat = 60 / rng.uniform(60, 170)
    scale = np.array(
        rng.choice([(0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10, 12, 15)])
    )
    root = 55 * 2 ** rng.uniform(0, 1)
    sound = np.zeros(_COUNT)
    for _ in range(int(rng.integers(1, 5))):
        timbre, octave = _timbre(rng), int(rng.integers(0, 4))
        length = beat * float(rng.choice([0.25, 0.5, 1, 2, 4]))
        degree, place, level = int(rng.integers(7)), 0.0, rng.uniform(0.2, 1)
        chord = rng.random() < 0.3
        while place < SECONDS - 0.1:
            if rng.random() < 0.85:
                for step in (0, 2, 4) if chord else (0,):
                    note = scale[(degree + step) % 7] + 12 * ((degree + step) // 7 + octave)
                    count = int(min(length * rng.uniform(0.6, 1.05), SECONDS - place) * CORPUS_RATE)
                    start = int(place * CORPUS_RATE)
                    if count > 800 and root * 2 ** (note / 12) < 5000:
                        sound[start : start + count] += level * _tone(
                            timbre, root * 2 ** (note / 12), count
                        )
            degree = int(np.clip(degree + rng.integers(-2, 3), 0, 9))
            place += length * float(rng.choice([1, 1, 1, 0.5, 2]))
    if rng.random() < 0.55:
        sound += rng.uniform(0.2, 1.2) * _drums(rng, beat)
    return sound


def _drums(rng: Generator, beat: float) -> Doubles:
    sound = np.zeros(_COUNT)
    grid = beat / float(rng.choice([2, 4]))
    pattern = rng.random((3, 16)) < np.array([[0.35], [0.25], [0.6]])
    count = int(0.3 * CORPUS_RATE)
    time = np.arange(count) / CORPUS_RATE
    for i in range(int(SECONDS / grid)):
        start = int(i * grid * CORPUS_RATE)
        end = min(_COUNT, start + count)
        hits = np.zeros(count)
        if pattern[0, i % 16]:
            hits += (
                2
                * np.sin(2 * np.pi * (50 * time + 60 * 0.03 * (1 - np.exp(-time / 0.03))))
                * np.exp(-time / 0.12)
            )
        if pattern[1, i % 16]:
            hits += (rng.standard_normal(count) + np.sin(2 * np.pi * 190 * time)) * np.exp(
                -time / 0.07
            )
        if pattern[2, i % 16]:
            hits += (
                0.5
                * np.diff(rng.standard_normal(count + 1))
                * np.exp(-time / rng.choice([0.02, 0.08]))
            )
        sound[start:end] += hits[: end - start]
    return sound


def mixed(rng: Generator) -> Doubles:
    """Two kinds at once."""
    first, second = rng.choice(list(_SINGLE), 2)
    return _level(_SINGLE[first](rng)) + _level(_SINGLE[second](rng)) * _decibels(
        rng.uniform(-20, 0)
    )


def _level(sound: Doubles) -> Doubles:
    return np.asarray(sound / (np.sqrt(np.mean(sound**2)) + 1e-9))


_SINGLE: Mapping[str, Callable[[Generator], Doubles]] = {
    "steady": steady, "wind": wind, "hum": hum, "sweeps": sweeps, "blows": blows,
    "breaths": breaths, "music": music,
}  # fmt: skip
KINDS: Mapping[str, Callable[[Generator], Doubles]] = {**_SINGLE, "room": room, "mixed": mixed}
_SHARES = {"music": 3.0, "breaths": 2.0, "blows": 1.5}


def item(kind: str, rng: Generator) -> Samples:
    """Samples of one item, its level random: some are louder than speech, many quieter."""
    sound = KINDS[kind](rng)
    if kind != "room":
        sound = _level(sound) * 0.06 * _decibels(rng.uniform(-24, 9))
    if rng.random() < 0.3:  # an echo
        taps = rng.standard_normal(4000) * np.exp(-np.arange(4000) / rng.uniform(300, 1500))
        size = _COUNT + len(taps)
        wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(taps, size), size)[:_COUNT]
        sound = sound + 0.5 * wet * sound.std() / (wet.std() + 1e-9)
    return np.clip(sound, -0.98, 0.98).astype(np.float32)


def facts() -> dict[str, str]:
    """Terms, for `corpus.json`."""
    return {"terms": "calculated, no recording"}


def build(writer: CorpusWriter, *, hours: float, seed: int) -> None:
    """Make items of all kinds until the corpus holds `hours`."""
    names = list(KINDS)
    odds = np.array([_SHARES.get(name, 1.0) for name in names])
    for index in range(int(hours * 3600 / SECONDS) + 1):
        if writer.seconds >= hours * 3600:
            break
        name = f"non_speech_{seed}_{index:05d}"
        if name in writer.ids:
            continue
        rng = np.random.default_rng([seed, index])
        kind = str(rng.choice(names, p=odds / odds.sum()))
        samples = item(kind, rng)
        silence = (TimedPhone("SIL", 0.0, len(samples) / CORPUS_RATE),)
        line = Utterance(
            name, f"audio/{name}.flac", "none", kind, "", len(samples) / CORPUS_RATE, silence
        )
        writer.add(line, samples)
