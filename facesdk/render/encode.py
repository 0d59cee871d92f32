"""Encode MP4 with sound through ffmpeg: imageio-ffmpeg's, or the system's."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import BinaryIO

import numpy as np

from ..errors import RenderError, missing_extra
from .look import Image

_QUIET = ("-hide_banner", "-loglevel", "error", "-nostats", "-y")
_FILE = ("-fflags", "+bitexact", "-movflags", "+faststart", "-f", "mp4")
_VIDEO = (
    "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=black,scale=out_color_matrix=bt709:out_range=tv",
    "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p",
    "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "iec61966-2-1",
    "-color_range", "tv",
)  # fmt: skip
_SOUND = ("-c:a", "aac", "-b:a", "128k", "-af", "apad")


def ffmpeg() -> str:
    """Return the ffmpeg program; raises `MissingExtraError` if there is none."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        if found := shutil.which("ffmpeg"):
            return found
        raise missing_extra("writing MP4", "render") from None


class Encoder:
    """Encodes images; the MP4 is in the file when the block ends without an error."""

    def __init__(
        self,
        file: BinaryIO,
        fps: Fraction,
        *,
        audio: str | Path | None = None,
        start: Fraction = Fraction(0),
    ) -> None:
        """`start` is the second of the recording that goes with the first image."""
        self._program = ffmpeg()
        self._file, self._fps, self._start = file, fps, start
        self._audio = None if audio is None else Path(audio)
        if self._audio is not None and not self._audio.is_file():
            raise FileNotFoundError(2, "no such recording", str(audio))
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0

    def __enter__(self) -> Encoder:
        self._folder = TemporaryDirectory(prefix="facesdk-", ignore_cleanup_errors=True)
        self._video = Path(self._folder.name) / "video.mp4"
        self._whole = Path(self._folder.name) / "whole.mp4"
        self._log = Path(self._folder.name) / "log.txt"
        return self

    def write(self, image: Image) -> None:
        """Append an (H, W, 3) image of the size of the first one."""
        if image.shape[2] != 3:
            raise RenderError("a video cannot be transparent; write a folder of PNG files instead")
        if self._process is None:
            self._process = self._started(image)
        assert self._process.stdin is not None
        self._count += 1
        try:
            self._process.stdin.write(np.ascontiguousarray(image).data)
        except BrokenPipeError:
            raise self._failure() from None

    def _started(self, image: Image) -> subprocess.Popen[bytes]:
        height, width = image.shape[:2]
        rate = f"{self._fps.numerator}/{self._fps.denominator}"
        command = [
            self._program, *_QUIET,
            "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate,
            "-i", "pipe:0", "-an", *_VIDEO, "-flags:v", "+bitexact", *_FILE, str(self._video),
        ]  # fmt: skip
        with self._log.open("wb") as log:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
            )

    def _with_sound(self) -> list[str]:
        """Return the command that adds the sound, exactly as long as the video."""
        # "file:" keeps a name with a colon in it from being taken for a protocol
        assert self._audio is not None
        name = f"file:{self._audio.resolve()}"
        seek = ("-ss", f"{float(self._start):.6f}") if self._start > 0 else ()
        late = ("-itsoffset", f"{float(-self._start):.6f}") if self._start < 0 else ()
        seconds = f"{float(self._count / self._fps):.6f}"
        return [
            self._program, *_QUIET, "-i", str(self._video), *seek, *late, "-i", name,
            "-map", "0:v:0", "-map", "1:a:0", "-c:v", "copy", *_SOUND, "-t", seconds,
            *_FILE, str(self._whole),
        ]  # fmt: skip

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
            elif self._process is not None:
                self._process.kill()
                self._process.communicate()
        finally:
            self._folder.cleanup()

    def _finish(self) -> None:
        if self._process is None:
            return
        self._process.communicate()
        if self._process.returncode:
            raise self._failure()
        if self._audio is not None:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    self._with_sound(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            if self._process.wait():
                raise self._failure()
        with (self._video if self._audio is None else self._whole).open("rb") as video:
            shutil.copyfileobj(video, self._file, 1 << 20)

    def _failure(self) -> RenderError:
        assert self._process is not None
        self._process.wait()
        lines = self._log.read_text("utf-8", errors="replace").strip().splitlines()
        return RenderError(f"ffmpeg failed: {lines[-1] if lines else 'no message'}")
