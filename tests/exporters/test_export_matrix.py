"""Every format against readers that facesdk did not write: every channel, every key.

The rows are in `readers/`; `python benchmarks/format_matrix.py` prints the table they make.
"""

from __future__ import annotations

import io
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from make_golden import GOLDEN, golden_bytes, golden_path
from probe import channels, probe, tiny_head
from readers import Row, compare, options, rows

from facesdk import Frame, Rig
from facesdk.exporters import EXPORTERS, format_for, write_clip, write_clips
from facesdk.rig import rig_names
from facesdk.source import ClipInfo, blocks_of, collect

ROWS = rows()
NAMES = tuple(EXPORTERS)
SPARSE = [row for row in ROWS if "tolerance" in format_for(row.format).options]


def written(row: Row, folder: Path, **more) -> tuple[Path, tuple[str, ...]]:
    path = folder / f"probe{format_for(row.format).extension}"
    return path, write_clip(probe(row.rig), path, row.format, **(dict(row.options) | more))


# ------------------------------------------------------------------- the probe


@pytest.mark.parametrize("rig", rig_names())
def test_no_two_channels_of_the_probe_are_alike(rig):
    clip = probe(rig)
    curves = np.array(list(channels(clip).values()))
    apart = np.abs(curves[:, None] - curves[None]).max(-1) + np.eye(len(curves))
    assert apart.min() > 0.05
    assert (np.ptp(curves, axis=1) > 0.1).all()
    assert (clip.values >= clip.rig.minimum).all()
    assert (clip.values <= clip.rig.maximum).all()


def test_every_shape_of_the_tiny_head_moves_something_else():
    head = tiny_head()
    flat = head.deltas.reshape(len(head.names), -1)
    assert len(np.unique(flat, axis=0)) == 52
    assert (np.abs(flat).max(1) > 0).all()


# ------------------------------------------------------------------ the matrix


def test_every_format_has_a_reader():
    assert {row.format for row in ROWS} == set(NAMES)


def test_the_page_on_formats_knows_them_all():
    """`python benchmarks/format_matrix.py --write` writes its table."""
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    lines = page.splitlines()
    for row in ROWS:
        start = f"| `{row.format}` | {row.rig} | {row.reader}"
        assert any(line.startswith(start) for line in lines), start
    assert all(f"`{name}`" in page for name in NAMES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_readers_get_every_channel_and_every_key_back(row, tmp_path):
    """A channel comes back, or `write_clip` said that it would not."""
    path, lost = written(row, tmp_path)
    wanted = {n: t for n, t in row.expect(probe(row.rig)).items() if n not in row.lost}
    cell = compare(row.read(path), wanted)
    assert set(lost) == set(row.lost)
    assert not cell.missing
    assert not cell.foreign
    assert cell.value <= row.value
    assert cell.time <= row.time
    assert cell.keys == max(len(track.times) for track in wanted.values())


@pytest.mark.parametrize("row", SPARSE, ids=lambda row: row.id)
@pytest.mark.parametrize("tolerance", [0.0, 0.01, 0.1])
def test_readers_of_thinned_keys_are_nowhere_further_off(row, tolerance, tmp_path):
    path, _ = written(row, tmp_path, tolerance=tolerance)
    wanted = {n: t for n, t in row.expect(probe(row.rig)).items() if n not in row.lost}
    found = row.read(path)
    cell = compare(found, wanted)
    assert not cell.missing
    assert cell.value <= tolerance + row.value
    assert cell.time <= row.time
    kept = sum(len(track.times) for track in found.values())
    every = sum(len(track.times) for track in wanted.values())
    assert tolerance < 0.1 or kept < row.thinned * every


@pytest.mark.parametrize(
    "row", [r for r in ROWS if "start" in EXPORTERS[r.format].options], ids=lambda row: row.id
)
def test_a_file_may_begin_elsewhere(row, tmp_path):
    path, _ = written(row, tmp_path, start="00:00:10:00", offset=0.5)
    shift = 10 * 30 / Fraction(30000, 1001) + Fraction(1, 2)
    clip = probe(row.rig)
    moved = float(shift - Fraction(clip.start_sample, clip.sample_rate))
    wanted = {n: t for n, t in row.expect(clip).items() if n not in row.lost}
    found = row.read(path)
    assert found.keys() == wanted.keys()
    for name, track in found.items():
        np.testing.assert_allclose(
            track.times, wanted[name].times + moved, rtol=0, atol=row.time + 1 / 16_000
        )


# ------------------------------------------------------- all formats, any file


class Generated:
    """A source whose frames exist one at a time."""

    def __init__(self, rig: Rig, frames: int) -> None:
        self.rig = rig
        self.info = ClipInfo(rig, Fraction(60))
        self._count = frames

    def blocks(self):
        return blocks_of(self.frames(), self.rig)

    def frames(self):
        row = np.linspace(0, 1, len(self.rig), dtype=np.float32)
        angles = np.full((4, 3), 0.1, np.float32)
        for i in range(self._count):
            yield Frame(i, i * 16_000 // 60, row * (i % 97) / 97, angles)


def exported(source, name: str) -> bytes:
    file = io.BytesIO()
    write_clip(source, file, name, **options(name))
    return file.getvalue()


def usual_rig(name: str) -> Rig:
    return Rig.load((EXPORTERS[name].rigs or ("arkit",))[0])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_frames_give_the_same_bytes(name):
    streamed = Generated(usual_rig(name), 300)
    clip = collect(streamed)
    assert exported(clip, name) == exported(clip, name) == exported(streamed, name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [0, 1, 2])
def test_clips_of_hardly_any_frames_are_written(name, frames):
    source = Generated(usual_rig(name), frames)
    assert exported(source, name) == exported(collect(source), name)


@pytest.mark.parametrize("name", NAMES)
def test_memory_does_not_grow_with_the_clip(name, monkeypatch):
    """Of four times the frames, less than a tenth of what they hold is kept in memory."""
    monkeypatch.setattr("facesdk.source.BLOCK_FRAMES", 32)
    monkeypatch.setattr("facesdk.exporters.spool._RUN", 64)
    rig = usual_rig(name)

    def peak(frames: int) -> int:
        with _Void() as void:
            tracemalloc.start()
            try:
                write_clip(Generated(rig, frames), void, name, **options(name))
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    peak(100)  # what is loaded once
    grown = peak(1600) - peak(400)
    assert grown < 1200 * 4 * (len(rig) + 12) / 2


class _Void(io.RawIOBase):
    """Takes bytes and keeps none."""

    _at = _end = 0

    def writable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        self._at = offset + (0, self._at, self._end)[whence]
        return self._at

    def tell(self):
        return self._at

    def write(self, data):
        self._at += len(data)
        self._end = max(self._end, self._at)
        return len(data)


@pytest.mark.parametrize("name", [n for n in NAMES if EXPORTERS[n].multi_clip])
def test_several_clips_fit_into_one_file(name, tmp_path):
    path = tmp_path / f"many{EXPORTERS[name].extension}"
    rig = usual_rig(name).name
    clips = {"first": probe(rig), "second": probe(rig, frames=40)}
    write_clips(clips, path, name, **options(name))
    assert path.stat().st_size > 0


# -------------------------------------------------------------------- golden files


def test_every_format_has_a_golden_file():
    assert set(GOLDEN) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_golden_files_are_what_is_written_today(name):
    """`python tests/make_golden.py` writes them again."""
    if name == "unity-anim" and np.lib.NumpyVersion(np.__version__) < "2.0.0":
        pytest.skip("numpy 1 prints a few float32 with another last digit")
    assert golden_bytes(name) == golden_path(name).read_bytes()
