from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from facesdk.audio import LevelMeter, StreamResampler, mpeg, open_audio, read_audio, to_mono
from facesdk.audio.channels import Downmix, mono_weights
from facesdk.audio.noise import decoder_messages_held_back
from facesdk.errors import AudioError

RATES = [8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000]


def voice(seconds: float = 2.0, rate: int = 16_000) -> np.ndarray:
    """Syllables at 4 Hz in phrases: a gliding buzz with hiss between, then a short pause."""
    t = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12)) / 3
    hiss = np.sin(2 * np.pi * 2200 * t + 10 * np.sin(2 * np.pi * 97 * t)) * 0.3
    syllable = np.sin(2 * np.pi * 4 * t)
    sound = buzz * np.clip(syllable, 0, 1) + hiss * np.clip(-syllable - 0.3, 0, 1)
    speaking = (t % 1.6) < 1.3
    return (0.4 * sound * speaking).astype(np.float32)


def chords(seconds: float, *, note: float, attack: float, decay: float) -> np.ndarray:
    """Triads one after the other at 16 kHz, each with an attack and an exponential decay."""
    t = np.arange(round(seconds * 16_000)) / 16_000
    since = t % note
    envelope = np.minimum(1, since / attack) * np.exp(-decay * since)
    degree = (t // note).astype(int) % 3
    roots = np.array([261.6, 349.2, 392.0])[degree]
    tones = sum(np.sin(2 * np.pi * roots * step * t) for step in (1, 1.25, 1.5))
    return (0.2 * tones * envelope).astype(np.float32)


def noise(seconds: float, *, level: float = 0.1, rate: int = 16_000) -> np.ndarray:
    random = np.random.default_rng(7)
    return (level * random.standard_normal(round(seconds * rate))).astype(np.float32)


def likeness(a, b):
    return float(np.corrcoef(a, b)[0, 1])


def lag(heard, said):
    """Samples that `heard` comes after `said`."""
    size = 1 << (len(said) + len(heard)).bit_length()
    cross = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(said, size).conj())
    at = int(np.argmax(cross))
    return at if at < size // 2 else at - size


def cut(samples, sizes):
    """`samples` in pieces of the given sizes, repeated until they are used up."""
    at = 0
    while at < len(samples):
        for size in sizes:
            yield samples[at : at + size]
            at += size


def resampled(resampler, pieces):
    return np.concatenate([*(resampler.push(p) for p in pieces), resampler.flush()])


def wav_bytes(data, *, tag=1, channels=1, rate=16_000, bits=16, declared=None, block=None):
    size = len(data) if declared is None else declared
    frame = channels * bits // 8 if block is None else block
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * frame & 0xFFFF_FFFF, frame, bits)
    head = b"RIFF" + struct.pack("<I", min(36 + size, 0xFFFF_FFFF)) + b"WAVEfmt \x10\0\0\0"
    return head + form + b"data" + struct.pack("<I", size) + data


# ---------------------------------------------------------------------- resampling


@pytest.mark.parametrize("rate", RATES)
def test_stream_equals_whole_file(rate):
    x = noise(0.5, rate=rate)
    got = resampled(StreamResampler(rate), cut(x, [rate // 100]))
    assert abs(len(got) - round(len(x) * 16_000 / rate)) <= 1
    assert_allclose(got, soxr.resample(x, rate, 16_000), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    rate=st.sampled_from(RATES),
    channels=st.sampled_from([1, 2, 6]),
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=6),
)
def test_output_does_not_depend_on_how_the_input_was_cut(rate, channels, sizes):
    x = noise(12_000 * channels / 16_000).reshape(-1, channels)
    x[:, -1] = -x[:, 0]  # lets the downmix switch on the way
    if sum(sizes) < 200:
        sizes = [*sizes, 3000]
    whole = resampled(StreamResampler(rate, channels=channels), [x])
    pieces = resampled(StreamResampler(rate, channels=channels), cut(x, sizes))
    assert_allclose(pieces, whole, atol=1e-6)


def test_equal_rates_change_no_bit():
    x = noise(0.3)
    assert_array_equal(resampled(StreamResampler(16_000), cut(x, [1, 77, 1000])), x)


def test_resampled_sound_is_not_shifted():
    said = voice(1.0)
    heard = resampled(StreamResampler(48_000), [voice(1.0, 48_000)])
    assert lag(heard, said) == 0


@pytest.mark.parametrize("rate", RATES)
def test_latency_bounds_what_is_held_back(rate):
    resampler = StreamResampler(rate)
    step = rate // 50
    pushed = came = 0
    for piece in cut(np.zeros(rate, np.float32), [step]):
        pushed += len(piece)
        came += len(resampler.push(piece))
        held = Fraction(pushed, rate) - Fraction(came, 16_000)
        assert held <= resampler.latency
    assert resampler.latency < Fraction(12, 100)
    assert (resampler.latency == 0) == (rate == 16_000)


def test_flush_and_reset_begin_a_new_stream():
    x, other = voice(0.4, 44_100), noise(0.1, rate=44_100)
    resampler = StreamResampler(44_100)
    first = resampled(resampler, [x])
    resampler.push(other)
    resampler.reset()
    assert_array_equal(resampled(resampler, [x]), first)
    assert len(resampler.flush()) == 0


@pytest.mark.parametrize(
    ("dtype", "zero", "scale"),
    [("u1", 128, 128), ("i2", 0, 2**15), ("i4", 0, 2**31), (">i2", 0, 2**15), ("f8", 0, 1)],
)
def test_every_sample_type_has_full_scale_at_one(dtype, zero, scale):
    values = np.array([-1, -0.5, 0, 0.5])
    stored = (values * scale + zero).astype(dtype)
    got = StreamResampler(16_000).push(stored)
    assert got.dtype == np.float32
    assert_array_equal(got, values.astype(np.float32))


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.array([0, np.nan]), "sample 101 is nan"),
        (np.array([np.inf]), "sample 100 is inf"),
        (np.array([0.0, 1200.0]), "integers stored as floats"),
        (np.zeros(3, np.int64), "got int64"),
        (np.zeros(3, np.complex64), "got complex64"),
        (np.zeros((3, 2), np.float32), r"\(N, 1\), got \(3, 2\)"),
    ],
)
def test_senseless_samples_are_refused(samples, words):
    resampler = StreamResampler(16_000)
    resampler.push(np.zeros(100, np.float32))
    with pytest.raises(AudioError, match=words):
        resampler.push(samples)


@pytest.mark.parametrize("wrap", [bytes, bytearray, np.bytes_, np.asarray])
def test_bytes_are_refused_with_the_cure(wrap):
    data = wrap(b"\1\2\3\4")
    with pytest.raises(AudioError, match=r'got bytes; .* numpy\.frombuffer\(samples, "<i2"\)'):
        StreamResampler(16_000).push(data)


def test_values_a_little_beyond_full_scale_are_fine():
    assert StreamResampler(16_000).push(np.array([1.5, -1.2]))[0] == 1.5


@pytest.mark.parametrize("rate", [0, -1, 7999, 192_001])
def test_rates_outside_8_to_192_khz_are_refused(rate):
    with pytest.raises(AudioError, match=r"8000\.\.192000 Hz"):
        StreamResampler(rate)


# ---------------------------------------------------------------------- channels


def test_stereo_is_the_mean():
    assert_allclose(to_mono([[0.5, 0.1], [1.0, 0.0]]), [0.3, 0.5])


def test_surround_keeps_the_centre_and_drops_the_lfe():
    x = np.zeros((6, 6), np.float32)
    np.fill_diagonal(x, 0.5)  # one speaker after the other: FL FR FC LFE BL BR
    assert_allclose(to_mono(x), [0.3535534, 0.3535534, 0.5, 0, 0.25, 0.25], rtol=1e-6)


@pytest.mark.parametrize("channels", range(1, 33))
def test_a_voice_in_all_front_channels_does_not_get_quieter(channels):
    weights = mono_weights(channels)
    assert len(weights) == channels
    assert weights.sum() >= 0.999
    assert (weights >= 0).all()


@pytest.mark.parametrize("partner", [-1.0, -0.9])
def test_channels_that_cancel_do_not_silence_the_voice(partner):
    x = voice(2.0, 48_000)
    mono = to_mono(np.stack([x, partner * x], axis=1))
    settled = slice(9600, None)
    assert np.std(mono[settled]) > 0.9 * np.std(x[settled])
    assert abs(likeness(mono[settled], x[settled])) > 0.99


def test_downmix_returns_to_the_plain_mix():
    x = noise(4.0, rate=16_000)
    right = np.where(np.arange(len(x)) < 16_000, -x, x)
    mono = to_mono(np.stack([x, right], axis=1))
    assert_array_equal(mono[-16_000:], x[-16_000:])


def test_unrelated_channels_are_mixed_not_chosen():
    a, b = noise(1.0), noise(2.0)[16_000:]
    assert_allclose(to_mono(np.stack([a, b], axis=1)), (a + b) / 2, atol=1e-7)


def test_layout_must_fit_the_channels():
    with pytest.raises(AudioError, match="must name 3 channels, got 2"):
        Downmix(3, layout=("FL", "FR"))
    with pytest.raises(AudioError, match="1 to 32 channels, got 33"):
        Downmix(33)


# ---------------------------------------------------------------------- files

FORMATS = [
    ("wav", "PCM_U8"),
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "PCM_32"),
    ("wav", "FLOAT"),
    ("wav", "DOUBLE"),
    ("wav", "ULAW"),
    ("wav", "IMA_ADPCM"),
    ("flac", "PCM_S8"),
    ("flac", "PCM_16"),
    ("flac", "PCM_24"),
    ("ogg", "VORBIS"),
    ("ogg", "OPUS"),
    ("mp3", "MPEG_LAYER_III"),
    ("aiff", "PCM_16"),
]


@pytest.mark.parametrize(("extension", "subtype"), FORMATS)
def test_every_format_brings_the_same_sound_at_the_same_time(tmp_path, extension, subtype):
    path = tmp_path / f"line.{extension}"
    soundfile.write(path, voice(2.0), 16_000, subtype=subtype)
    with open_audio(path) as audio:
        assert (audio.source_rate, audio.channels, audio.subtype) == (16_000, 1, subtype)
        assert audio.path == path
        assert abs(audio.duration - 2) < Fraction(4, 100)  # ADPCM pads its last block
        heard = np.concatenate(list(audio.blocks(0.1)))
    assert heard.dtype == np.float32
    assert lag(heard, voice(2.0)) == 0
    assert likeness(heard[:32_000], voice(2.0)) > (0.97 if subtype == "OPUS" else 0.99)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", RATES)
def test_every_rate_and_channel_count(tmp_path, rate, channels):
    path = tmp_path / "line.wav"
    x = voice(1.0, rate)
    soundfile.write(path, np.stack([x] * channels, axis=1) / channels, rate)
    heard = read_audio(path)
    assert abs(len(heard) - 16_000) <= 1
    assert lag(heard, voice(1.0)) == 0
    assert likeness(heard[:15_999], voice(1.0)[:15_999]) > 0.99


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_mp3_with_its_tag_is_not_late(tmp_path, rate):
    path = tmp_path / "line.mp3"
    soundfile.write(path, voice(1.0, rate), rate)
    heard = read_audio(path, sample_rate=rate)
    assert len(heard) == rate
    assert lag(heard, voice(1.0, rate)) == 0


def test_mp3_without_its_tag_plays_late_as_in_every_decoder(tmp_path):
    path = tmp_path / "line.mp3"
    soundfile.write(path, voice(1.0), 16_000)
    data = path.read_bytes()
    path.write_bytes(data[data.find(data[:2], 100) :])  # the first frame carries the tag
    with open_audio(path) as audio:
        assert audio.source_frames is None
        assert audio.duration is None
        heard = np.concatenate(list(audio.blocks()))
    assert lag(heard, voice(1.0)) == 1105


def test_ogg_surround_uses_the_order_of_vorbis(tmp_path):
    x = np.zeros((24_000, 6), np.float32)
    x[:, 1] = voice(0.5, 48_000)  # the centre: FL FC FR BL BR LFE
    path = tmp_path / "line.ogg"
    soundfile.write(path, x, 48_000)
    heard = read_audio(path)
    assert np.std(heard) > 0.9 * np.std(voice(0.5))


def test_wav_channel_mask_names_the_speakers(tmp_path):
    data = wav_bytes(b"")
    extension = (
        struct.pack("<HHI", 22, 16, 0b1011) + b"\1\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    )
    form = struct.pack("<HHIIHH", 0xFFFE, 3, 16_000, 96_000, 6, 16) + extension
    samples = np.array([[0, 0, 16384]] * 100, "<i2").tobytes()  # only the LFE of FL FR LFE
    body = b"WAVEfmt " + struct.pack("<I", 40) + form + b"data" + struct.pack("<I", len(samples))
    path = tmp_path / "line.wav"
    path.write_bytes(data[:4] + struct.pack("<I", len(body) + len(samples)) + body + samples)
    assert not read_audio(path).any()


def test_file_gives_the_same_blocks_twice(tmp_path):
    path = tmp_path / "line.mp3"
    soundfile.write(path, voice(2.0, 44_100), 44_100)
    with open_audio(str(path)) as audio:
        first = np.concatenate(list(audio.blocks(1.0)))
        again = np.concatenate(list(audio.blocks(0.013)))
    assert_allclose(again, first, atol=1e-6)


def test_hour_long_file_comes_in_blocks(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(8000 * 600, np.int16), 8000, subtype="PCM_U8")
    with open_audio(path) as audio:
        sizes = [len(block) for block in audio.blocks(5.0)]
    assert max(sizes) <= 2 * 5 * 16_000
    assert sum(sizes) == 600 * 16_000


class Pipe(io.RawIOBase):
    """A stream that cannot seek, as standard input."""

    name = "<stdin>"

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._data.readinto(buffer)


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3"])
def test_pipes_and_open_files_read_like_paths(tmp_path, extension):
    path = tmp_path / f"line.{extension}"
    soundfile.write(path, voice(0.5), 16_000)
    expected = read_audio(path)
    data = path.read_bytes()
    assert_array_equal(read_audio(Pipe(data)), expected)
    assert_array_equal(read_audio(io.BytesIO(data)), expected)
    with path.open("rb") as file:
        assert_array_equal(read_audio(file), expected)
        assert not file.closed


def test_standard_input_of_a_process(tmp_path):
    path = tmp_path / "line.wav"
    soundfile.write(path, voice(0.5), 16_000)
    code = "import sys; from facesdk.audio import read_audio; a = read_audio(sys.stdin.buffer)"
    done = subprocess.run(
        [sys.executable, "-c", code + "; print(len(a))"],
        input=path.read_bytes(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.split() == [b"8000"]


PLACEHOLDERS = [0xFFFF_FFFF, 0xFFFF_FFDB, 0x7FFF_F000, 2**30, 10**9, 2 * 10**9 + 36, 0]


@pytest.mark.parametrize("declared", PLACEHOLDERS)
@pytest.mark.parametrize("wrap", [Pipe, io.BytesIO])
def test_wav_with_a_placeholder_size_is_read_to_its_end(declared, wrap):
    sound = (voice(0.5) * 32767).astype("<i2")
    read = read_audio(wrap(wav_bytes(sound.tobytes(), declared=declared)))
    assert_array_equal(read, sound / np.float32(2**15))


@pytest.mark.parametrize("declared", [None, *PLACEHOLDERS])
@pytest.mark.parametrize("between", [b"", b"LIST\4\0\0\0abcd"])
def test_wavs_joined_end_to_end_are_read_whole(tmp_path, declared, between):
    sounds = [(voice(seconds) * 32767).astype("<i2") for seconds in (0.5, 0.25, 0.4)]
    if declared is not None:
        between = b""
    path = tmp_path / "line.wav"
    pieces = [wav_bytes(s.tobytes(), declared=declared) for s in sounds]
    path.write_bytes(between.join(pieces) + between)
    with open_audio(path) as audio:
        assert audio.source_frames == sum(map(len, sounds))
        whole = np.concatenate(list(audio.blocks()))
    assert_array_equal(whole, np.concatenate(sounds) / np.float32(2**15))


def test_a_wav_without_a_size_ends_before_its_last_chunks():
    sound = (voice(0.5) * 32767).astype("<i2")
    last = b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf58.29.100\0"
    for size in (0, 0xFFFF_FFFF):
        read = read_audio(io.BytesIO(wav_bytes(sound.tobytes(), declared=size) + last))
        assert_array_equal(read, sound / np.float32(2**15))


def test_wavs_that_begin_with_another_chunk_are_joined_too():
    sound = (voice(0.5) * 32767).astype("<i2")
    for size in (None, 0xFFFF_FFFF):
        wav = wav_bytes(sound.tobytes(), declared=size)
        wav = wav[:12] + b"JUNK\x1c\0\0\0" + bytes(28) + wav[12:]
        assert len(read_audio(io.BytesIO(wav * 3))) == 24_000


def test_a_chunk_of_odd_length_may_lack_its_last_byte():
    wav = wav_bytes((voice(0.5) * 32767).astype("<i2").tobytes())
    odd = wav[:36] + b"LIST\5\0\0\0INFOx" + wav[36:]
    assert_array_equal(read_audio(io.BytesIO(odd)), read_audio(io.BytesIO(wav)))


def file_bytes(extension, subtype, seconds=0.5, rate=16_000, channels=1, **options):
    file = io.BytesIO()
    sound = np.stack([voice(seconds, rate)] * channels, axis=1)
    soundfile.write(file, sound, rate, format=extension, subtype=subtype, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("extension", "subtype"), [f for f in FORMATS if "ADPCM" not in f[1] and f[0] != "mp3"]
)
def test_files_joined_end_to_end_are_read_whole(extension, subtype):
    pieces = [
        file_bytes(extension, subtype, seconds, rate, channels)
        for seconds, rate, channels in [(0.5, 16_000, 1), (0.25, 16_000, 1), (0.5, 48_000, 2)]
    ]
    parts = [read_audio(io.BytesIO(piece)) for piece in pieces]
    with open_audio(io.BytesIO(b"".join(pieces))) as audio:
        assert audio.duration == Fraction(5, 4)
        whole = np.concatenate(list(audio.blocks()))
    assert_allclose(whole, np.concatenate(parts), atol=1e-6)


@pytest.mark.parametrize("before", [b"ID3\4\0\0\0\0\0\x10" + bytes(16), b"\xef\xbb\xbf", b"\r\n"])
@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "aiff"])
def test_bytes_before_the_audio_are_skipped(extension, before):
    subtype = "VORBIS" if extension == "ogg" else "PCM_16"
    data = file_bytes(extension, subtype)
    assert_array_equal(read_audio(io.BytesIO(before + data)), read_audio(io.BytesIO(data)))


def test_flacs_of_unknown_length_are_joined_too():
    data = bytearray(file_bytes("flac", "PCM_16"))
    total = int.from_bytes(data[18:26], "big")
    data[18:26] = (total & ~(2**36 - 1)).to_bytes(8, "big")
    assert len(read_audio(io.BytesIO(bytes(data)))) == 8000
    assert len(read_audio(io.BytesIO(bytes(data) * 2))) == 16_000


# ---------------------------------------------------------------------- mp3


def mp3_bytes(seconds, rate=16_000, channels=1, **options):
    return file_bytes("mp3", "MPEG_LAYER_III", seconds, rate, channels, **options)


def without_tag(data):
    first = data[: mpeg.header(data).length]  # LAME writes no tag at the lowest bit rates
    return data[len(first) :] if b"Xing" in first or b"Info" in first else data


def tagged(data, **numbers):
    """Return an mp3 whose Xing tag declares other numbers."""
    changed, at = bytearray(data), max(data.find(b"Xing"), data.find(b"Info"))
    for name, offset in (("frames", 8), ("size", 12)):
        if name in numbers:
            changed[at + offset : at + offset + 4] = numbers[name].to_bytes(4, "big")
    return bytes(changed)


def ape(body):
    def block(flags):
        return b"APETAGEX" + struct.pack("<IIII", 2000, 32 + len(body), 1, flags) + bytes(8)

    return block(0xA000_0000) + body + block(0x8000_0000)


BETWEEN = {
    "nothing": b"",
    "id3v1": b"TAG" + bytes(125),
    "id3v2": b"ID3\4\0\0\0\0\0\x10" + bytes(16),
    "ape": ape(b"\5\0\0\0\0\0\0\0Title\0hello"),
    "zeros": bytes(500),
    "lyrics": b"LYRICSBEGINla la la" + b"LYRICS200",
}


@pytest.mark.parametrize("between", BETWEEN)
def test_mp3s_joined_end_to_end_are_read_whole(tmp_path, between):
    seconds = (1.0, 0.5, 0.8)
    path = tmp_path / "line.mp3"
    path.write_bytes(BETWEEN[between].join([b"", *map(mp3_bytes, seconds), b""]))
    whole = np.concatenate([voice(s) for s in seconds])
    with open_audio(path) as audio:
        assert audio.source_frames == len(whole)
        read = np.concatenate(list(audio.blocks()))
    assert len(read) == len(whole)
    assert likeness(read, whole) > 0.98


def test_mp3s_of_different_rates_and_channels_are_joined_too():
    data = mp3_bytes(0.5) + mp3_bytes(0.5, 44_100) + mp3_bytes(0.5, 44_100, 2)
    read = read_audio(io.BytesIO(data))
    assert len(read) == 24_000
    assert likeness(read, np.concatenate([voice(0.5)] * 3)) > 0.98


@pytest.mark.parametrize("frames", [0, 1, 5, 60, 2**31])
def test_a_wrong_count_in_the_tag_loses_no_sound(frames):
    read = read_audio(io.BytesIO(tagged(mp3_bytes(1.0), frames=frames)))
    assert len(read) >= 16_000
    assert likeness(read[:16_000], voice(1.0)) > 0.98


def test_a_tag_that_counts_more_bytes_than_there_are_means_a_cut():
    data = mp3_bytes(1.0)
    message = error_of(io.BytesIO(tagged(data, frames=60, size=2 * len(data))))
    assert "cut off or damaged" in message


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 48_000])
def test_mp3s_without_tags_are_read_whole(rate):
    """Their length was estimated from the first frame, and what went beyond it was lost."""
    quiet, loud = (
        without_tag(mp3_bytes(1.0, rate, bitrate_mode="CONSTANT", compression_level=level))
        for level in (0.9, 0.1)
    )
    one = read_audio(io.BytesIO(quiet))
    assert lag(one, voice(1.0)) == round(1105 * 16_000 / rate)
    for joined in (quiet + loud, loud + quiet):
        assert len(read_audio(io.BytesIO(joined))) >= 2 * 16_000


def test_a_tag_followed_by_mp3s_without_one():
    data = mp3_bytes(1.0) + without_tag(mp3_bytes(1.0)) + without_tag(mp3_bytes(1.0))
    assert len(read_audio(io.BytesIO(data))) >= 48_000


@pytest.mark.parametrize("frames", [3, 31, 500])
def test_a_vbri_tag_is_not_believed(frames):
    data = without_tag(mp3_bytes(1.0))
    first = data[:4] + bytes(32) + b"VBRI" + bytes(6)
    first += len(data).to_bytes(4, "big") + frames.to_bytes(4, "big")
    first = first.ljust(mpeg.header(data).length, b"\0")
    assert_array_equal(read_audio(io.BytesIO(first + data)), read_audio(io.BytesIO(data)))


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_free_format_is_read(rate):
    plain = without_tag(mp3_bytes(1.0, rate, bitrate_mode="CONSTANT", compression_level=0.5))
    free, position = bytearray(plain), 0
    while position < len(plain):
        free[position + 2] &= 0x0F
        position += mpeg.header(plain[position:]).length
    assert_array_equal(read_audio(io.BytesIO(bytes(free))), read_audio(io.BytesIO(plain)))


@pytest.mark.parametrize("junk", [bytes(range(256)) * 9, bytes(5000), b"\xff\xfb" * 99])
def test_garbage_before_the_first_frame_is_skipped(junk):
    data = mp3_bytes(1.0)
    assert_array_equal(read_audio(io.BytesIO(junk + data)), read_audio(io.BytesIO(data)))


def test_a_stream_that_was_tuned_into_is_read():
    data = without_tag(mp3_bytes(1.0))
    assert len(read_audio(io.BytesIO(data[100:]))) > 15_000


@pytest.mark.parametrize("declared", [None, 0, 0xFFFF_FFFF])
def test_mp3_inside_a_wav_is_read(declared):
    data = mp3_bytes(1.0)
    extra = struct.pack("<HHIHHH", 12, 1, 2, 144, 1, 0)
    for sound in (data, data + data, without_tag(data)):
        size = len(sound) if declared is None else declared
        form = struct.pack("<HHIIHH", 0x55, 1, 16_000, 4000, 1, 0) + extra
        head = b"RIFF" + struct.pack("<I", 50 + len(sound)) + b"WAVEfmt \x1e\0\0\0" + form
        read = read_audio(io.BytesIO(head + b"data" + struct.pack("<I", size) + sound))
        assert_array_equal(read, read_audio(io.BytesIO(sound)))


def test_aac_behind_an_id3_tag_is_named():
    data = b"ID3\4\0\0\0\0\0\x10" + bytes(16) + b"\xff\xf1" + bytes(500)
    assert "is bare AAC; convert it to wav" in error_of(io.BytesIO(data))


def test_bw64_is_read():
    data = (voice(0.5) * 32767).astype("<i2").tobytes()
    wav = wav_bytes(data, declared=0xFFFF_FFFF)
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, len(data) + 72, len(data), 0, 0)
    read = read_audio(io.BytesIO(b"BW64\xff\xff\xff\xffWAVE" + ds64 + wav[12:]))
    assert len(read) == 8000


def test_names_outside_ascii(tmp_path):
    path = tmp_path / "Zeile ä 台詞.flac"
    soundfile.write(path, voice(0.2), 16_000)
    assert len(read_audio(path)) == 3200


@pytest.mark.parametrize("sound", [np.zeros(16_000), chords(1.0, note=0.5, attack=0.01, decay=1)])
def test_silence_and_music_survive(tmp_path, sound):
    path = tmp_path / "line.ogg"
    soundfile.write(path, sound, 16_000)
    assert np.isfinite(read_audio(path)).all()


# ---------------------------------------------------------------------- errors


def error_of(source):
    with pytest.raises(AudioError) as caught:
        read_audio(source)
    return str(caught.value)


def test_missing_file_and_folder(tmp_path):
    assert "nope.wav does not exist" in error_of(tmp_path / "nope.wav")
    assert "is a folder; expected a wav, flac, ogg or mp3 file" in error_of(tmp_path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty (0 bytes)"),
        (b"hello world\n" * 90, "is a text file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run: git lfs pull"),
        (b"\x89PNG\r\n\x1a\n" + bytes(900), "is a PNG image"),
        (b"\0\0\0\x20ftypM4A " + bytes(900), "is MPEG-4 (m4a or mp4); convert it to wav"),
        (bytes(range(256)) * 9, "is not recognized as audio"),
        (b"RIFF\x24\0\0\0WAVE", "is damaged: a wav"),
        (wav_bytes(b""), "has no audio: 0 samples"),
        (wav_bytes(b"LIST\x80\0\0\0" + bytes(128), declared=0), "has no audio: 0 samples"),
        (wav_bytes(bytes(2000), rate=4000), "8000..192000 Hz, got 4000"),
        (wav_bytes(bytes(2000), rate=2_000_000_000), "got 2000000000"),
        (wav_bytes(bytes(2000), rate=0), "cannot decode"),
        (wav_bytes(bytes(4000), channels=40), "40 channels, the limit is 32"),
        (wav_bytes(bytes(2000), tag=0x11, bits=8, channels=3), "3 channels of 8-bit IMA ADPCM"),
        (wav_bytes(bytes(2000), tag=0x161), "16-bit Windows Media Audio"),
        (wav_bytes(bytes(2000), declared=4000), "declares 0.125 s of audio, got 0.062 s"),
        (wav_bytes(bytes(2000), block=0), "1 channels and 0 bytes per frame"),
        (wav_bytes(bytes(2000), block=0, declared=10**9), "1 channels and 0 bytes per frame"),
        (wav_bytes(bytes(2000), channels=0), "declares 0 channels"),
        (wav_bytes(bytes(2000), declared=123_456_790), "got 0.062 s"),
        (wav_bytes(bytes(2), rate=48_000), "has 1 samples at 48000 Hz, less than one at 16000"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, data, words):
    path = tmp_path / "line.wav"
    path.write_bytes(data)
    message = error_of(path)
    assert "line.wav" in message
    assert words in message
    assert words in error_of(Pipe(data))


def test_wav_whose_header_counts_itself_is_fine():
    data = bytes(32_000)
    assert len(read_audio(io.BytesIO(wav_bytes(data, declared=len(data) + 44)))) == 16_000


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3", "aiff"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.95])
def test_files_that_are_cut_off(tmp_path, extension, kept):
    path = tmp_path / f"line.{extension}"
    soundfile.write(path, noise(3.0), 16_000)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    message = error_of(path)
    if kept > 0.1:
        assert "cut off" in message


@pytest.mark.parametrize("extension", ["flac", "ogg", "mp3"])
def test_files_damaged_in_the_middle(tmp_path, extension):
    path = tmp_path / f"line.{extension}"
    soundfile.write(path, noise(4.0), 16_000)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(i * 37 % 251 for i in range(2000))
    path.write_bytes(data)
    assert "cut off or damaged" in error_of(path)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300), wrap=st.sampled_from(["", "wav", "riff", "ogg", "id3"]))
def test_random_bytes_only_ever_raise_audio_errors(data, wrap):
    head = {
        "": b"",
        "wav": wav_bytes(b"")[:36],
        "riff": b"RIFF\xff\0\0\0WAVE",
        "ogg": b"OggS\0\4",
        "id3": b"ID3\4\0\0\0\0\0\x10",
    }[wrap]
    with contextlib.suppress(AudioError):
        assert np.isfinite(read_audio(io.BytesIO(head + data))).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_float_wav_that_is_not_finite(tmp_path, bad):
    x = voice(1.0)
    x[12_345] = bad
    path = tmp_path / "line.wav"
    soundfile.write(path, x, 16_000, subtype="FLOAT")
    message = error_of(path)
    assert "line.wav: sample 12345 is" in message


def test_float_wav_with_integers_in_it(tmp_path):
    path = tmp_path / "line.wav"
    soundfile.write(path, voice(1.0) * 32768, 16_000, subtype="FLOAT")
    assert "integers stored as floats" in error_of(path)


def test_more_than_a_day_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("facesdk.audio.reader.MAX_HOURS", Fraction(1, 3600))
    path = tmp_path / "line.wav"
    soundfile.write(path, voice(2.0), 16_000)
    assert "cut it into parts" in error_of(path)
    monkeypatch.setattr("facesdk.audio.reader.MAX_PIPE_BYTES", 30_000)
    assert "save it to a file and pass the path" in error_of(Pipe(path.read_bytes()))


def test_text_mode_and_closed_files(tmp_path):
    assert "binary mode" in error_of(io.StringIO("text"))
    path = tmp_path / "line.wav"
    soundfile.write(path, voice(0.1), 16_000)
    with open_audio(path) as audio:
        pass
    with pytest.raises(AudioError, match="is closed; open it again"):
        next(audio.blocks())


# ---------------------------------------------------------------------- level


def report(samples, sizes=(16_000,)):
    meter = LevelMeter()
    for piece in cut(np.asarray(samples, np.float32), sizes):
        meter.push(piece)
    return meter.report()


def test_nothing_and_silence_have_finite_reports():
    for seconds in (0, 2):
        got = report(np.zeros(seconds * 16_000))
        assert (got.rms_dbfs, got.voice_dbfs, got.peak_dbfs) == (-120, -120, -120)
        assert got.leading_silence == got.trailing_silence == got.seconds == seconds
        assert got.speech_likeness is None


def test_sine_has_the_level_it_should():
    got = report(np.sin(2 * np.pi * 500 * np.arange(32_000) / 16_000))
    assert got.rms_dbfs == pytest.approx(-3.01, abs=0.01)
    assert got.peak_dbfs == pytest.approx(0, abs=0.01)
    assert got.silent_share == 0


def test_pauses_are_silent_and_do_not_lower_the_voice():
    x = voice(4.0)
    padded = np.concatenate([np.zeros(16_000), x, np.zeros(8000)])
    got, bare = report(padded), report(x)
    assert got.leading_silence == pytest.approx(1.0 + bare.leading_silence, abs=0.021)
    assert got.trailing_silence == pytest.approx(0.5 + bare.trailing_silence, abs=0.021)
    assert got.voice_dbfs == pytest.approx(bare.voice_dbfs, abs=0.1)
    assert got.rms_dbfs < bare.rms_dbfs
    assert got.silent_share > bare.silent_share


def test_clipped_voice_is_noticed():
    assert report(voice(2.0)).clipped_share == 0
    assert report(np.clip(8 * voice(2.0), -1, 1)).clipped_share > 0.05


def test_quiet_voice_is_still_a_voice():
    quiet = report(0.03 * voice(4.0))
    loud = report(voice(4.0))
    assert quiet.voice_dbfs == pytest.approx(loud.voice_dbfs - 30.46, abs=1)
    assert quiet.speech_likeness == pytest.approx(loud.speech_likeness, abs=0.05)


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=5))
def test_report_does_not_depend_on_how_the_audio_was_cut(sizes):
    x = voice(2.013)
    assert report(x, [*sizes, 1500]) == report(x, [len(x)])


def test_meter_can_be_read_in_between():
    x = voice(3.0)
    meter = LevelMeter()
    for piece in cut(x, [777]):
        meter.push(piece)
        meter.report()
    assert meter.report() == report(x)


def test_voice_is_told_from_music_and_noise():
    assert report(voice(6.0)).speech_likeness > 0.8
    for sound in (
        chords(6.0, note=6.0, attack=0.5, decay=0),
        chords(6.0, note=2.0, attack=0.3, decay=0.2),
        chords(6.0, note=0.25, attack=0.01, decay=3),
        chords(6.0, note=0.5, attack=0.01, decay=3),
        noise(6.0),
    ):
        assert report(sound).speech_likeness < 0.2


def test_importing_facesdk_does_not_load_the_audio_libraries():
    code = "import sys, facesdk; print({'soundfile', 'soxr', 'facesdk.audio'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"


# ------------------------------------------------------------------ the decoder's messages


def test_the_mp3_decoder_writes_nothing_to_the_terminal(tmp_path, capfd):
    """A tag that promises less than there is, damage in the middle, and rubbish at the end."""
    path = tmp_path / "line.mp3"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(32_000), 16_000)
    whole = path.read_bytes()
    rubbish = np.random.default_rng(1).bytes(3000)
    middle = len(whole) // 2
    for content in (whole * 3, whole[:middle] + rubbish + whole[middle:], whole + rubbish,
                    rubbish + whole, whole[:middle]):  # fmt: skip
        path.write_bytes(content)
        for source in (path, io.BytesIO(content)):
            with contextlib.suppress(AudioError):
                read_audio(source)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_other_messages_are_passed_on(capfd):
    with decoder_messages_held_back():
        os.write(2, b"Note: Trying to resync...\nsomething else\n")
    assert capfd.readouterr().err == "something else\n"
