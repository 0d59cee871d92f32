"""Audio input: files and streams of any sample rate and channel layout as mono float32 blocks."""

from .channels import Downmix, to_mono
from .level import AudioReport, LevelMeter
from .reader import AudioFile, open_audio, read_audio
from .resampler import SAMPLE_RATE, StreamResampler

__all__ = [
    "SAMPLE_RATE",
    "AudioFile",
    "AudioReport",
    "Downmix",
    "LevelMeter",
    "StreamResampler",
    "open_audio",
    "read_audio",
    "to_mono",
]
