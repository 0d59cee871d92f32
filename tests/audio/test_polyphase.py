"""The early resampler: any cut gives the same sound, in tune, in time, and without aliases."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from facesdk.audio import StreamResampler
from facesdk.audio.polyphase import Polyphase

TARGET = 16_000
RATES = [8000, 11_025, 12_000, 22_050, 24_000, 32_000, 44_056, 44_100, 48_000, 96_000]


def early(rate, **settings):
    return StreamResampler(rate, low_delay=True, **settings)


def resampled(resampler, pieces):
    return np.concatenate([*(resampler.push(p) for p in pieces), resampler.flush()])


def tone(frequency, rate, *, first=0, count):
    return np.sin(2 * np.pi * frequency * np.arange(first, first + count) / rate)


def level(samples):
    return 10 * np.log10(2 * np.mean(np.square(samples, dtype=np.float64)) + 1e-20)


@settings(max_examples=40)
@given(
    rate=st.sampled_from(RATES),
    channels=st.sampled_from([1, 2]),
    cuts=st.lists(st.integers(0, 9000), max_size=12).map(sorted),
)
def test_output_does_not_depend_on_how_the_input_was_cut(rate, channels, cuts):
    sound = np.random.default_rng(0).standard_normal((9000, channels)).astype(np.float32)
    whole = resampled(early(rate, channels=channels), [sound])
    pieces = resampled(early(rate, channels=channels), np.split(sound, cuts))
    assert abs(len(whole) - len(sound) * TARGET / rate) <= 1
    assert_allclose(pieces, whole, atol=1e-5)


@pytest.mark.parametrize("rate", RATES)
def test_the_voice_passes_as_it_is_at_its_own_time(rate):
    for share in (0.01, 0.2, 0.5, 0.8125, 0.9):  # 0.8125 of 8 kHz is 6.5 kHz
        frequency = share * min(rate, TARGET) / 2
        heard = resampled(early(rate), [tone(frequency, rate, count=rate // 5)])
        expected = tone(frequency, TARGET, count=len(heard))
        middle = slice(100, -100)
        assert abs(level(heard[middle])) < 0.1
        assert_allclose(heard[middle], expected[middle], atol=0.005)


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate > 17_000])
def test_what_would_fold_into_the_band_is_held_back(rate):
    for frequency in np.linspace(8400, rate / 2 * 0.99, 12):
        heard = resampled(early(rate), [tone(frequency, rate, count=rate // 10)])
        assert level(heard[100:-100]) < -55


@pytest.mark.parametrize("rate", RATES)
def test_every_sample_comes_as_early_as_the_latency_says(rate):
    resampler = early(rate)
    pushed = came = 0
    for piece in np.array_split(np.zeros(rate // 5, np.float32), 150):
        pushed += len(piece)
        came += len(resampler.push(piece))
        held = Fraction(pushed, rate) - Fraction(came, TARGET)
        assert held <= resampler.latency
        assert came == 0 or held > resampler.latency - Fraction(1, TARGET)
    assert resampler.latency <= Fraction(3, 1000)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_samples_beyond_the_latency_change_nothing(rate):
    first, second = (Polyphase(rate, TARGET) for _ in range(2))
    sound = np.random.default_rng(0).standard_normal(2000).astype(np.float32)
    other = sound.copy()
    other[1000:] = 0
    came = len(first.resample_chunk(sound[:1000]))
    assert_array_equal(second.resample_chunk(other)[:came], Polyphase(rate, TARGET)
                       .resample_chunk(sound)[:came])  # fmt: skip


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_an_hour_later_the_sound_is_still_in_time(rate, monkeypatch):
    stream = Polyphase(rate, TARGET)
    with monkeypatch.context() as skipping:
        skipping.setattr(stream, "_filtered", lambda begin, end: np.empty(end - begin, np.float32))
        silence = np.zeros(60 * rate, np.float32)
        emitted = sum(len(stream.resample_chunk(silence)) for _ in range(60))
    assert 0 <= 3600 * TARGET - emitted <= stream.latency * TARGET + 1
    sound = tone(440, rate, first=3600 * rate, count=rate // 10).astype(np.float32)
    heard = stream.resample_chunk(sound)
    expected = tone(440, TARGET, first=emitted, count=len(heard))
    assert_allclose(heard[200:], expected[200:], atol=0.005)


def test_a_new_stream_begins_after_flush_and_reset():
    sound = np.random.default_rng(0).standard_normal(3000).astype(np.float32)
    resampler = early(44_100)
    first = resampled(resampler, [sound])
    resampler.push(sound[::-1])
    resampler.reset()
    assert_array_equal(resampled(resampler, [sound]), first)
    assert len(resampler.flush()) == 0


def test_very_short_streams_have_their_length():
    for count in range(1, 8):
        heard = resampled(early(48_000), [np.ones(count, np.float32)])
        assert len(heard) == round(count / 3)


def test_what_nobody_hears_is_silence():
    tiny = np.array([1e-40, -1e-12, 0.5], np.float32)
    assert_array_equal(StreamResampler(TARGET).push(tiny), np.array([0, 0, 0.5], np.float32))
