"""Rendering: what is drawn, where, in which light; films as long as their sound; no surprises."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

import facesdk
from facesdk import Clip, Pose, Rig
from facesdk.cli import DONE, FAILED, NOT_INSTALLED, USAGE, main
from facesdk.clip import Block, ClipInfo
from facesdk.errors import MissingExtraError, RenderError, UnknownNameError
from facesdk.exporters import write_clip
from facesdk.mesh import Head, Material, Part, load_head
from facesdk.render import (
    LIGHTINGS,
    GLPainter,
    Look,
    Shot,
    SoftwarePainter,
    camera,
    color,
    control_tiles,
    draw_clip,
    error_colors,
    error_images,
    frame_tiles,
    images,
    lighting,
    shape_tiles,
    sheet,
    write_images,
    write_png,
    write_video,
)
from facesdk.render import gl as gl_module
from facesdk.render.encode import ffmpeg
from facesdk.render.fine import FinePainter
from facesdk.render.plot import CurveStrip
from facesdk.render.pool import MIN_FRAMES
from facesdk.render.render_mesh import contact_shadow
from facesdk.render.software.bitmap_font import draw_text
from facesdk.render.software.raster import NOTHING, facing, planes, visible

ROOT = Path(__file__).resolve().parents[2]
ARKIT = Rig.load("arkit")
SMALL = Look(size=(64, 64))
SMALL_SHOT = Shot(SMALL)


@pytest.fixture(scope="module")
def ball() -> Head:
    """A ball whose shape `jawOpen` makes it much taller."""
    rings, steps = 12, 24
    theta = np.linspace(0, np.pi, rings + 1)[:, None]
    phi = np.arange(steps)[None] * 2 * np.pi / steps
    x, y, z = np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi, np.sin(theta) * np.cos(phi)
    points = 0.1 * np.stack([x, y, z], 2).reshape(-1, 3).astype(np.float32)
    i, j = np.meshgrid(np.arange(rings), np.arange(steps), indexing="ij")
    a, b = i * steps + j, i * steps + (j + 1) % steps
    quads = np.stack([a, a + steps, b, b, a + steps, b + steps], 2).reshape(-1, 3)
    delta = np.zeros_like(points)
    delta[:, 1] = 0.5 * points[:, 1]
    skin = Part("skin", slice(None), Material("skin", (0.8, 0.6, 0.5)))
    return Head("ball", points, quads.astype(np.int32), ("jawOpen",), delta[None], (skin,))


@pytest.fixture(scope="module")
def head() -> Head:
    return load_head()


def rest(head: Head) -> np.ndarray:
    return head.vertices(np.zeros((1, len(head.names))))[0]


def speech(seconds: float, *, fps: int = 30, opens: float | None = None, start: int = 0) -> Clip:
    """The jaw moves gently, or opens all at once at a second."""
    count = round(seconds * fps)
    values = np.zeros((count, len(ARKIT)), np.float32)
    times = np.arange(count) / fps
    gently = 0.5 + 0.5 * np.sin(5 * times)
    values[:, ARKIT.index("jawOpen")] = gently if opens is None else times >= opens
    return Clip(ARKIT, values, Fraction(fps), start_sample=start)


# --------------------------------------------------------------------- triangles


def grid(n: int, size: float) -> tuple[np.ndarray, np.ndarray]:
    """A bent square of n x n cells, in samples."""
    y, x = np.meshgrid(np.linspace(0, size, n + 1), np.linspace(0, size, n + 1), indexing="ij")
    rng = np.random.default_rng(0)
    inner = (x > 0) & (x < size) & (y > 0) & (y < size)
    bend = 0.3 * size / n * rng.uniform(-1, 1, (2, n + 1, n + 1)) * inner
    points = np.stack([x + bend[0], y + bend[1], np.ones_like(x)], 2).reshape(-1, 3)
    i, j = (k.ravel() for k in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    a, b = i * (n + 1) + j, i * (n + 1) + j + 1
    triangles = np.concatenate(
        [np.stack([a, a + n + 1, b], 1), np.stack([b, a + n + 1, b + n + 1], 1)]
    )
    return points.astype(np.float32), triangles.astype(np.int32)


@pytest.mark.parametrize("n", [1, 7, 40, 150])
def test_neighbours_leave_no_gap(n):
    points, triangles = grid(n, 100)
    assert (visible(points, triangles, 100, 100) != NOTHING).all()


def test_every_sample_is_in_its_triangle():
    points, triangles = grid(9, 60)
    numbers = visible(points, triangles, 60, 60)
    y, x = np.mgrid[:60, :60] + 0.5
    corners = points[:, :2].astype(np.float64)[triangles[numbers]]
    p = np.stack([x, y], 2)
    for k in range(3):
        a, b = corners[:, :, k], corners[:, :, (k + 1) % 3]
        side = (b - a)[..., 0] * (p - a)[..., 1] - (b - a)[..., 1] * (p - a)[..., 0]
        assert (side <= 1e-3).all()


def test_the_nearest_triangle_is_seen_even_where_two_pass_through_each_other():
    flat = np.array([[0, 0, 1], [0, 40, 1], [40, 0, 1], [40, 40, 1]], np.float32)
    slope = flat.copy()
    slope[:, 2] = 0.5 + slope[:, 0] / 40  # nearer than the flat one on the right half
    triangles = np.array([[0, 1, 2], [2, 1, 3], [4, 5, 6], [6, 5, 7]], np.int32)
    numbers = visible(np.concatenate([flat, slope]), triangles, 40, 40)
    assert (numbers[:, :20] < 2).all()
    assert (numbers[:, 20:] >= 2).all()


def test_what_faces_away_is_told_apart():
    points, triangles = grid(3, 30)
    assert facing(points, triangles).all()
    assert not facing(points, triangles[:, ::-1]).any()


def test_planes_give_the_corners_their_values():
    points, triangles = grid(4, 30)
    values = np.random.default_rng(1).normal(size=(len(points), 2)).astype(np.float32)
    plane = planes(points, triangles, values)
    for k in range(3):
        x, y = points[triangles[:, k], :2].T[..., None]
        found = plane[:, 0] + plane[:, 1] * x + plane[:, 2] * y
        np.testing.assert_allclose(found, values[triangles[:, k]], atol=1e-3)


def test_triangles_out_of_the_picture_and_slivers_do_no_harm():
    points = np.array([[-9, -9, 1], [-5, 3, 1], [3, -5, 1], [4, 4, 1], [4, 4, 1]], np.float32)
    triangles = np.array([[0, 1, 2], [3, 4, 3], [3, 4, 2]], np.int32)
    assert visible(points, triangles, 8, 8).shape == (8, 8)
    assert (visible(points, triangles[:0], 8, 8) == NOTHING).all()


# ---------------------------------------------------------------------- pictures


def test_every_arkit_shape_shows_where_it_moves(head):
    """What changes in the picture lies where vertices moved, and something does change."""
    look = Look(size=(160, 160))
    painter, view = SoftwarePainter(head, look), camera(head, "face")
    before = painter.paint(rest(head), view).astype(int)
    for tile in shape_tiles(head, ARKIT.names)[1:]:
        points = head.vertices(tile.weights[None])[0]
        changed = np.abs(painter.paint(points, view) - before).max(axis=2) > 12
        moved = np.linalg.norm(points - rest(head), axis=1) > 3e-4
        where = np.zeros((160, 160), bool)
        for stage in (rest(head), points):
            x, y, _ = view.project(view.seen(stage[moved]), 160, 160).astype(int).T
            inside = (x >= 0) & (x < 160) & (y >= 0) & (y < 160)
            where[y[inside], x[inside]] = True
        for _ in range(8):  # darkness in hollows reaches a little further
            where[1:] |= where[:-1]
            where[:-1] |= where[1:]
            where[:, 1:] |= where[:, :-1]
            where[:, :-1] |= where[:, 1:]
        assert changed.sum() >= 12, tile.name
        assert changed[where].sum() >= 0.9 * changed.sum(), tile.name


def test_the_same_picture_is_the_same_bytes(ball):
    def png() -> bytes:
        file = io.BytesIO()
        write_png(SoftwarePainter(ball, SMALL).paint(rest(ball), camera(ball)), file)
        return file.getvalue()

    assert png() == png()


def test_both_ways_of_drawing_agree(head):
    require_gl()
    points, view = rest(head), camera(head)
    look = Look(size=(192, 192))
    painter = GLPainter(head, look)
    try:
        theirs = painter.paint(points, view).astype(int)
    finally:
        painter.close()
    ours = SoftwarePainter(head, look).paint(points, view).astype(int)
    off = np.abs(ours - theirs).max(axis=2)
    assert off.mean() < 3
    assert (off > 24).mean() < 0.02


def test_stills_have_cast_shadows_and_relief():
    """Finely drawn, the throat is darker than the cheek, and skin is not smooth; no background."""
    require_gl()
    head = load_head(detail="high")
    points, view = rest(head), camera(head)
    pictures = {}
    for fine in (False, True):
        painter = GLPainter if not fine else FinePainter
        draw = painter(head, Look(size=(256, 256), fine=fine, transparent=True))
        try:
            pictures[fine] = draw.paint(points, view).astype(float)
            again = draw.paint(points, view).astype(float)
        finally:
            draw.close()
        assert np.array_equal(again, pictures[fine])
    plain, fine_ = pictures[False], pictures[True]
    both = (plain[..., 3] == 255) & (fine_[..., 3] == 255)
    assert ((plain[..., 3] > 127) != (fine_[..., 3] > 127)).mean() < 0.01
    assert np.abs(plain - fine_)[both].mean() < 25

    def pixel(name: str, down: float = 0.0) -> tuple[int, int]:
        place = points[[head.landmarks[name]]] - np.array([[0, down, 0]], np.float32)
        x, y, _ = view.project(view.seen(place), 256, 256)[0]
        return int(y), int(x)

    def around(picture: np.ndarray, center: tuple[int, int], reach: int = 6) -> np.ndarray:
        y, x = center
        return picture[y - reach : y + reach, x - reach : x + reach, :3].mean(axis=2)

    throat = pixel("chin", 0.030)
    assert around(fine_, throat).mean() < 0.92 * around(plain, throat).mean()
    forehead = pixel("nasion", -0.035)

    def roughness(picture: np.ndarray) -> float:
        return float(np.abs(np.diff(around(picture, forehead, 10), n=2, axis=1)).mean())

    assert roughness(fine_) > 1.5 * roughness(plain)


def test_colors_of_ones_own_are_drawn_without_relief(ball):
    require_gl()
    painter = FinePainter(ball, Look(size=(64, 64), lighting=LIGHTINGS["flat"], fine=True))
    try:
        colors = np.full_like(ball.neutral, 0.5)
        picture = painter.paint(rest(ball), camera(ball), colors=colors).astype(int)
    finally:
        painter.close()
    middle = picture[26:38, 26:38].mean(axis=2)
    assert np.abs(np.diff(middle, axis=1)).max() <= 3


def test_a_chin_shades_the_throat(head):
    shade = contact_shadow(head)
    chin = head.neutral[head.landmarks["chin"]]
    throat = chin - np.array([0, 0.03, 0.045])
    below = np.abs(head.neutral - throat).max(1) < 0.02
    below &= np.isin(np.arange(len(head.neutral)), head.part_vertices("skin"))
    cheek = head.masks["cheeks"] > 0.9
    assert shade[below].mean() < shade[cheek].mean() - 0.1
    assert shade.min() >= 0
    assert shade.max() <= 1
    eyes = head.part_vertices("left_eye")
    assert (shade[eyes] == 1).all()


def require_gl() -> None:
    if gl_module.platform() is None:
        pytest.skip("there is neither pyrender with EGL nor with OSMesa")


def test_light_comes_from_where_it_stands(ball):
    def halves(yaw: int) -> tuple[float, float]:
        only = lighting("flat", (f"key=@{yaw},0*2",))
        picture = SoftwarePainter(ball, Look(size=(64, 64), lighting=only)).paint(
            rest(ball), camera(ball)
        )
        return picture[:, :32].mean(), picture[:, 32:].mean()

    left, right = halves(-60)
    assert left > right + 5
    left, right = halves(60)
    assert right > left + 5


def test_a_relight_changes_what_it_names():
    plain, changed = lighting("studio"), lighting("studio", ("key=#ff0000*3", "back=@180,10"))
    assert changed.lamps["key"].color == (1, 0, 0)
    assert changed.lamps["key"].strength == 3
    assert changed.lamps["key"].yaw == plain.lamps["key"].yaw
    assert changed.lamps["back"].yaw == 180
    assert changed.lamps["fill"] == plain.lamps["fill"]
    with pytest.raises(RenderError, match="lamp=#rrggbb@yaw,pitch"):
        lighting("studio", ("key:red",))
    with pytest.raises(UnknownNameError, match="studio"):
        lighting("studyo")
    with pytest.raises(RenderError, match="#rrggbb"):
        color("red")


@pytest.mark.parametrize("name", LIGHTINGS)
def test_every_preset_leaves_the_head_apart_from_the_background(ball, name):
    picture = SoftwarePainter(ball, Look(size=(64, 64), lighting=LIGHTINGS[name])).paint(
        rest(ball), camera(ball)
    )
    assert np.abs(picture[32, 32].astype(int) - picture[2, 2]).max() > 20


def test_transparent_pictures_have_straight_alpha(ball):
    look = Look(size=(64, 64), transparent=True)
    picture = SoftwarePainter(ball, look).paint(rest(ball), camera(ball))
    alpha = picture[..., 3]
    assert alpha[0, 0] == 0
    assert alpha[32, 32] == 255
    edge = (alpha > 0) & (alpha < 255)
    assert edge.any()
    assert picture[edge][:, 0].min() > 20  # not darkened by what is not there


def test_a_background_of_ones_own_is_exactly_that(ball):
    look = Look(size=(64, 64), background=color("#204060"))
    assert tuple(SoftwarePainter(ball, look).paint(rest(ball), camera(ball))[0, 0]) == (32, 64, 96)


def test_smooth_edges_change_edges_only(ball):
    def picture(smooth: bool) -> np.ndarray:
        look = Look(size=(64, 64), smooth=smooth)
        return SoftwarePainter(ball, look).paint(rest(ball), camera(ball)).astype(int)

    differ = np.abs(picture(True) - picture(False)).max(axis=2) > 0
    assert 20 < differ.sum() < 500


def test_wires_are_drawn_over_the_surface(ball):
    def picture(wireframe: bool) -> np.ndarray:
        look = Look(size=(96, 96), wireframe=wireframe)
        return SoftwarePainter(ball, look).paint(rest(ball), camera(ball)).astype(int)

    darker = (picture(False) - picture(True)).sum(axis=2) > 60
    assert 200 < darker.sum() < 4000


def test_views_see_the_side_they_name(head):
    """From the front the head is symmetric; the left side's view shows the face at the left."""
    flat = Look(size=(96, 96), lighting=LIGHTINGS["flat"])
    painter = SoftwarePainter(head, flat)
    front = painter.paint(rest(head), camera(head)).astype(int)
    assert np.abs(front - front[:, ::-1]).mean() < 3
    nose = head.neutral[:, 2].argmax()
    for view, left in (("side", True), ("right", False)):
        seen = camera(head, view)
        x = seen.project(seen.seen(head.neutral), 96, 96)[nose, 0]
        assert (x < 48) == left
    with pytest.raises(UnknownNameError, match="front"):
        camera(head, "frunt")
    assert camera(head, "30,-10").yaw == pytest.approx(np.radians(30))


def test_several_views_share_the_picture(ball):
    shot = Shot(Look(size=(130, 64)), ("front", "side"))
    (picture,) = images(speech(1 / 30), ball, shot, jobs=1)
    assert picture.shape == (64, 130, 3)


def test_a_turntable_goes_round_once(head):
    shot = Shot(Look(size=(48, 48), smooth=False), turntable=1.0, backend="software")
    still = Clip(ARKIT, np.zeros((5, len(ARKIT)), np.float32), Fraction(4))
    first, quarter, half, _, again = (p.astype(int) for p in images(still, head, shot, jobs=1))
    assert np.abs(first - again).mean() < 0.5
    assert np.abs(first - quarter).mean() > 3
    assert np.abs(first - half).mean() > 3


def test_a_pose_turns_the_head(head):
    angles = np.zeros((2, 4, 3), np.float32)
    angles[1, 0, 0] = 0.5
    clip = Clip(ARKIT, np.zeros((2, len(ARKIT)), np.float32), Fraction(30), pose=Pose(angles))
    shot = Shot(SMALL, backend="software")
    straight, turned = (p.astype(int) for p in images(clip, head, shot, jobs=1))
    assert np.abs(straight - turned).mean() > 2


def test_absurd_pictures_are_refused():
    for size in ((8, 8), (100_000, 64)):
        with pytest.raises(RenderError, match="16 pixels or more"):
            Shot(Look(size=size))
    with pytest.raises(RenderError, match="at least one view"):
        Shot(views=())
    with pytest.raises(UnknownNameError, match="software"):
        Shot(backend="sofware")


# -------------------------------------------------------------------------- PNG


@pytest.mark.parametrize("channels", [3, 4])
def test_png_files_hold_the_picture(channels):
    picture = np.random.default_rng(2).integers(0, 256, (7, 5, channels), dtype=np.uint8)
    file = io.BytesIO()
    write_png(picture, file)
    data = file.getvalue()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(
            name + body
        )
        chunks[name] = body
        at += 12 + length
    width, height, depth, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (width, height, depth, kind) == (5, 7, 8, {3: 2, 4: 6}[channels])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(7, -1)
    assert (rows[:, 0] == 2).all()
    np.testing.assert_array_equal(
        np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(picture.shape), picture
    )


# ------------------------------------------------------------------------ sheets


def test_a_sheet_holds_every_shape_under_its_name(head):
    tiles = shape_tiles(head, ARKIT.names)
    assert [t.name.split("+")[0] for t in tiles] == ["neutral", *ARKIT.names]
    page = sheet(head, tiles[:5], Shot(Look(size=(48, 48))), columns=2)
    assert page.shape[:2] == (3 * (48 + 15) + 2, 2 * 48 + 1)


def test_a_sheet_of_another_rig_moves_the_head(head):
    oculus = Rig.load("oculus")
    tiles = control_tiles(head, oculus, {n: {n: 1.0} for n in oculus.names})
    moves = [t.name for t in tiles if np.abs(t.weights).max() > 0.05]
    assert set(moves) >= set(oculus.names) - {"sil"}


def test_a_sheet_of_frames_tells_their_time(ball):
    assert [t.name for t in frame_tiles(ball, speech(2), 3)] == ["0.00 s", "1.00 s", "1.97 s"]


def test_writing_is_cut_where_it_does_not_fit():
    picture = np.zeros((9, 20, 3), np.uint8)
    draw_text(picture, "jawOpen & more", 0, 0, (255, 255, 255))
    assert picture.any()


def test_errors_are_coloured_and_said(ball):
    truth = rest(ball)
    off = truth + np.array([0, 0.004, 0], np.float32) * (truth[:, 1:2] > 0)
    (picture,) = error_images(ball, [truth], [off], Shot(SMALL), largest=0.004)
    assert picture.shape == (64 + 15, 3 * 64, 3)
    third = picture[:64, 128:].astype(int)
    top, bottom = third[20, 32], third[44, 32]
    assert top[0] > top[2] + 20  # red above, where it is off
    assert bottom[2] > bottom[0] + 20  # blue below
    colors = error_colors(np.array([0, 0.002, 1], np.float32), largest=0.004)
    assert (colors[0] != colors[1]).any()
    with pytest.raises(RenderError, match="must be above 0"):
        error_colors(np.zeros(3, np.float32), largest=0)
    with pytest.raises(RenderError, match="vertices must be"):
        next(error_images(ball, [truth[:-1]], [off], Shot(SMALL)))


def test_curves_run_below_the_picture():
    strip = CurveStrip(ARKIT, ("jawOpen", "mouthClose"), width=120, fps=Fraction(30))
    picture = np.zeros((40, 120, 3), np.uint8)
    values = ARKIT.rest.copy()
    strip.add(values)
    low = strip.below(picture)
    values[ARKIT.index("jawOpen")] = 1
    strip.add(values)
    high = strip.below(picture)
    assert low.shape == (40 + strip.height, 120, 3)
    assert low.shape[0] % 2 == 0
    assert (low != high).any()
    with pytest.raises(UnknownNameError, match="did you mean 'jawOpen'"):
        CurveStrip(ARKIT, ("jawOpn",), width=120, fps=Fraction(30))


# ------------------------------------------------------------------------- films


def decoded(film: Path) -> np.ndarray:
    """(T, H, W, 3) frames of an MP4 of 64 x 64."""
    command = [ffmpeg(), "-v", "error", "-i", str(film), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, 64, 64, 3)


def sound_of(film: Path) -> np.ndarray:
    command = [
        ffmpeg(),
        "-v",
        "error",
        "-i",
        str(film),
        "-f",
        "s16le",
        "-ar",
        "48000",
        "-ac",
        "1",
        "-",
    ]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.abs(np.frombuffer(raw, "<i2").astype(int))


def click(path: Path, seconds: float, at: float) -> Path:
    """A recording with one loud moment."""
    samples = np.zeros(round(48_000 * seconds), np.float32)
    samples[round(48_000 * at) :][:960] = 0.9 * np.sin(np.arange(960))[: len(samples)]
    soundfile.write(path, samples, 48_000)
    return path


@pytest.mark.parametrize(("fps", "start"), [(30, 0), (25, 8000)])
def test_a_film_is_as_long_as_its_clip_and_in_step_with_its_sound(tmp_path, ball, fps, start):
    needs_ffmpeg()
    clip = speech(1.6, fps=fps, opens=0.8, start=start)
    audio = click(tmp_path / "line.wav", 3.0, 0.8 + start / 16_000)
    film = tmp_path / "line.mp4"
    with film.open("wb") as file:
        assert write_video(clip, file, ball, Shot(SMALL), audio=audio, jobs=1) == len(clip)
    frames, sound = decoded(film), sound_of(film)
    assert len(frames) == len(clip)
    assert abs(len(sound) / 48_000 - float(clip.duration)) < 1 / fps
    steps = np.abs(np.diff(frames.astype(int), axis=0)).mean(axis=(1, 2, 3))
    opens = (steps.argmax() + 1) / fps
    heard = np.flatnonzero(sound > 0.3 * sound.max())[0] / 48_000
    assert opens == pytest.approx(0.8)
    assert abs(opens - heard) < 1 / fps


def needs_ffmpeg() -> None:
    try:
        ffmpeg()
    except MissingExtraError as error:
        pytest.skip(str(error))


def test_sound_that_ends_early_leaves_silence(tmp_path, ball):
    needs_ffmpeg()
    audio = click(tmp_path / "line.wav", 0.3, 0.1)
    film = tmp_path / "line.mp4"
    with film.open("wb") as file:
        write_video(speech(1), file, ball, Shot(SMALL), audio=audio, jobs=1)
    assert len(decoded(film)) == 30
    assert len(sound_of(film)) == pytest.approx(48_000, abs=1600)


def test_the_same_film_is_the_same_bytes(ball):
    needs_ffmpeg()

    def film() -> bytes:
        file = io.BytesIO()
        write_video(speech(0.3), file, ball, Shot(SMALL, backend="software"), jobs=1)
        return file.getvalue()

    assert film() == film()


def test_films_that_cannot_be_are_refused(tmp_path, ball):
    needs_ffmpeg()
    with pytest.raises(RenderError, match="no frames"):
        write_video(speech(0), io.BytesIO(), ball, Shot(SMALL), jobs=1)
    with pytest.raises(RenderError, match="cannot be transparent"):
        write_video(
            speech(0.1), io.BytesIO(), ball, Shot(Look(size=(64, 64), transparent=True)), jobs=1
        )
    with pytest.raises(FileNotFoundError):
        write_video(speech(0.1), io.BytesIO(), ball, audio=tmp_path / "none.wav")
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"this is no sound")
    with pytest.raises(RenderError, match="ffmpeg failed"):
        write_video(speech(0.1), io.BytesIO(), ball, Shot(SMALL), audio=noise, jobs=1)


def test_processes_draw_what_one_would(head):
    shot = Shot(Look(size=(32, 32), smooth=False), backend="software")
    clip = speech((MIN_FRAMES + 5) / 30)
    alone = list(images(clip, head, shot, curves=("jawOpen",), jobs=1))
    together = list(images(clip, head, shot, curves=("jawOpen",), jobs=2))
    assert len(alone) == len(together) == len(clip)
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_long_film_is_never_held(ball):
    """However long a clip is, only some frames of it are read before their pictures are taken."""

    class Endless:
        info = ClipInfo(ARKIT, Fraction(30))
        read = 0

        def blocks(self):
            while True:
                yield Block(ARKIT.rest[None], None)
                self.read += 1

    source = Endless()
    shot = Shot(Look(size=(16, 16), smooth=False), backend="software")
    film = images(source, ball, shot, curves=("jawOpen",), jobs=1)
    for number in range(300):
        next(film)
        assert source.read < number + 130
    film.close()


def test_pictures_become_numbered_files(tmp_path, ball):
    count = write_images(speech(0.1), tmp_path / "frames", ball, Shot(SMALL), jobs=1)
    assert count == 3
    assert sorted(p.name for p in (tmp_path / "frames").iterdir()) == [
        "00000.png", "00001.png", "00002.png"
    ]  # fmt: skip


# ------------------------------------------------------------------ command line


@pytest.fixture
def line(tmp_path) -> Path:
    path = tmp_path / "line.json"
    write_clip(speech(0.2), path)
    return path


def test_a_clip_becomes_a_film(tmp_path, line, capsys):
    needs_ffmpeg()
    audio = click(tmp_path / "line.wav", 0.2, 0.1)
    film = tmp_path / "line.mp4"
    words = ["render", str(line), "--audio", str(audio), "-o", str(film), "--size", "64", "--json"]
    assert main(words) == DONE
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 6
    assert report["fps"] == [30, 1]
    assert report["size"] == [64, 64]
    assert len(decoded(film)) == 6


def opening_and_click(film: Path) -> tuple[float, float]:
    """Seconds at which the picture changes most and at which the sound begins."""
    sound = sound_of(film)
    frames = sheet_frames(film)
    steps = np.abs(np.diff(frames.astype(int), axis=0)).mean(axis=(1, 2, 3))
    return (steps.argmax() + 1) / 30, np.flatnonzero(sound > 0.3 * sound.max())[0] / 48_000


def sheet_frames(film: Path) -> np.ndarray:
    """(T, H, W, 3) frames of an MP4 of three views of 64 x 64 with captions."""
    command = [ffmpeg(), "-v", "error", "-i", str(film), "-vf", "scale=192:80"]
    raw = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, 80, 192, 3)


@pytest.mark.parametrize("start", [0, 8000])
def test_a_comparison_is_in_step_with_its_sound(tmp_path, start):
    """A clip cut out of a longer recording: the sound starts where the clip does."""
    needs_ffmpeg()
    clip = speech(1.0, opens=0.5, start=start)
    write_clip(clip, tmp_path / "line.json")
    audio = click(tmp_path / "line.wav", 3.0, 0.5 + start / 16_000)
    film = tmp_path / "errors.mp4"
    line = str(tmp_path / "line.json")
    words = ["render", line, "--against", line, "--audio", str(audio), "-o", str(film)]
    assert main([*words, "--size", "64", "--draft"]) == DONE
    opens, heard = opening_and_click(film)
    assert opens == pytest.approx(0.5)
    assert abs(opens - heard) < 1 / 30


def test_a_comparison_can_be_a_folder_of_images(tmp_path, line):
    words = ["render", str(line), "--against", str(line), "-o", str(tmp_path / "frames")]
    assert main([*words, "--size", "32", "--draft"]) == DONE
    assert len(list((tmp_path / "frames").iterdir())) == 6


def test_a_comparison_needs_one_frame_rate(tmp_path, line, capsys):
    write_clip(speech(0.2, fps=25), tmp_path / "other.json")
    words = ["render", str(line), "--against", str(tmp_path / "other.json"), "--size", "32"]
    assert main([*words, "-o", str(tmp_path / "frames")]) == USAGE
    assert "25 frames per second" in capsys.readouterr().err
    with pytest.raises(RenderError, match="25 frames per second"):
        draw_clip(speech(0.2), load_head(), SMALL_SHOT, truth=speech(0.2, fps=25))


def test_a_recording_becomes_a_film(tmp_path):
    needs_ffmpeg()
    audio = click(tmp_path / "line.wav", 0.2, 0.1)
    film = tmp_path / "line.mp4"
    assert main(["bake", str(audio), "-o", str(film), "--fps", "20"]) == DONE
    assert film.read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize(
    "words",
    [
        ["--at", "0.1", "--view", "front+side", "--wireframe"],
        ["--transparent", "--background", "#102030", "--light", "soft"],
        ["--relight", "key=#ff8800", "--curves", "jawOpen", "--draft"],
    ],
)
def test_a_moment_becomes_a_picture(tmp_path, line, words):
    picture = tmp_path / "line.png"
    words = ["render", str(line), "-o", str(picture), "--size", "64x48", *words]
    assert main([*words, "--backend", "software"]) == DONE
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_clip_is_held_against_the_truth(tmp_path, line):
    picture = tmp_path / "error.png"
    words = ["render", str(line), "--against", str(line), "-o", str(picture), "--size", "48"]
    assert main(words) == DONE


def test_vertices_are_drawn_and_compared(tmp_path, ball):
    """As other projects write them: flat rows, in millimetres, on a template."""
    obj = tmp_path / "ball.obj"
    lines = [f"v {x} {y} {z}" for x, y, z in ball.neutral]
    obj.write_text(
        "\n".join([*lines, *(f"f {a} {b} {c}" for a, b, c in ball.triangles + 1)]), "utf-8"
    )
    moving = 1000 * ball.vertices(np.linspace(0, 1, 4)[:, None])
    np.save(tmp_path / "line.npy", moving.reshape(4, -1))
    words = ["render", str(tmp_path / "line.npy"), "--head", str(obj), "--size", "48"]
    assert main([*words, "-o", str(tmp_path / "frames")]) == DONE
    frames = [p.read_bytes() for p in sorted((tmp_path / "frames").iterdir())]
    assert len(frames) == len(set(frames)) == 4
    picture = tmp_path / "error.png"
    assert main([*words, "--against", str(tmp_path / "line.npy"), "-o", str(picture)]) == DONE
    assert main([*words[:2], "--size", "48", "-o", str(picture)]) == FAILED  # another head
    (tmp_path / "bad.npy").write_bytes(b"no array")
    assert main(["render", str(tmp_path / "bad.npy"), "-o", str(picture)]) == FAILED


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "x.mp4"], "name the animation file"),
        (["line.json", "-o", "x.gif"], "ends in .mp4"),
        (["line.json", "-o", "x.mp4", "--transparent"], "cannot be transparent"),
        (["line.json", "-o", "x.png", "--audio", "a.wav"], "sound needs an MP4"),
        (["line.json", "-o", "x.png", "--light", "studyo"], "studio"),
        (["line.json", "-o", "x.png", "--view", "frunt"], "front"),
        (["line.json", "-o", "x.png", "--relight", "key:red"], "lamp="),
        (["line.json", "-o", "x.png", "--background", "red"], "#rrggbb"),
        (["line.json", "-o", "x.png", "--size", "4"], "16 pixels"),
        (["line.json", "-o", "x.png", "--sheet", "shapes"], "takes no clip"),
        (["line.json", "-o", "-", "--json"], "stdout"),
    ],
)
def test_wrong_usage_is_named(words, says, capsys):
    assert main(["render", *words]) == USAGE
    assert says in capsys.readouterr().err


def test_what_is_missing_comes_with_its_command(tmp_path, line, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", "")
    assert main(["render", str(line), "-o", str(tmp_path / "x.mp4")]) == NOT_INSTALLED
    assert 'pip install "facesdk-anim[render]"' in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["line.json"]


def test_without_opengl_a_line_says_why_and_what_helps(tmp_path, line, monkeypatch, capsys):
    monkeypatch.setattr("facesdk.render.renderer.platform", lambda: None)
    words = ["render", str(line), "-o", str(tmp_path / "frames"), "--size", "32"]
    assert main(words) == DONE
    (told,) = [t for t in capsys.readouterr().err.splitlines() if "slower" in t]
    assert "apt-get install" in told or "pip install" in told


def test_a_head_that_is_none_fails(tmp_path, line, capsys):
    words = ["render", str(line), "-o", str(tmp_path / "x.png"), "--head", str(line)]
    assert main(words) == FAILED
    assert "line.json" in capsys.readouterr().err


def test_drawing_without_extras_needs_numpy_alone():
    code = "import sys, facesdk.render; print('pyrender' in sys.modules, 'scipy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.split() == ["False", "False"]


def test_lightings_and_looks_can_be_copied_and_pickled():
    look = Look(lighting=LIGHTINGS["dramatic"])
    for other in (copy.deepcopy(look), pickle.loads(pickle.dumps(look))):
        assert other == look


# -------------------------------------------------------------- scripts of strangers


def run_script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "mine.py").write_text(text, "utf-8")
    return subprocess.run(
        [sys.executable, "mine.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def test_the_snippet_of_the_page_runs_as_a_script(tmp_path):
    """Saved as a file, as a reader does; long enough that workers would pay."""
    needs_ffmpeg()
    page = (ROOT / "docs" / "rendering.md").read_text("utf-8")
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    click(tmp_path / "line.wav", (MIN_FRAMES + 3) / 30, 0.5)
    snippet = re.sub(r"size=\(\d+, \d+\)", "size=(48, 48)", snippet)
    done = run_script(tmp_path, re.sub(r"fps=\d+", "fps=30", snippet))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "line.mp4").read_bytes()[4:8] == b"ftyp"
    assert (tmp_path / "shapes.png").read_bytes().startswith(b"\x89PNG")


UNGUARDED = """
from fractions import Fraction
import numpy as np
from facesdk import Clip, Rig
from facesdk.mesh import load_head
from facesdk.render import Look, Shot, images, write_images, write_video

rig = Rig.load("arkit")
clip = Clip(rig, np.zeros((60, len(rig)), np.float32), Fraction(30))
shot = Shot(Look(size=(16, 16), smooth=False), backend="software")
"""


@pytest.mark.parametrize(
    "call",
    [
        "next(images(clip, load_head(), shot, jobs=2))",
        "next(images(clip.slice(0, 3), load_head(), shot, jobs=2))",
        'write_video(clip, open("line.mp4", "wb"), load_head(), shot, jobs=2)',
        'write_images(clip, "frames", load_head(), shot, jobs=2)',
    ],
)
def test_several_jobs_in_a_script_without_a_guard_are_refused(tmp_path, call):
    needs_ffmpeg()
    done = run_script(tmp_path, UNGUARDED + call)
    assert done.returncode == 1
    assert "BrokenPipeError" not in done.stderr
    last = [line for line in done.stderr.splitlines() if "WorkerError" in line][-1]
    assert "line 11, would run again" in last
    assert '`if __name__ == "__main__":`' in last


def test_without_a_number_of_jobs_a_script_without_a_guard_uses_one_process(tmp_path):
    call = "print(len(list(images(clip, load_head(), shot, jobs=None))))"
    done = run_script(tmp_path, UNGUARDED + call)
    assert done.stdout == "60\n", done.stderr


def test_against_reports_the_distances(tmp_path, line, capsys):
    clip = facesdk.read_clip(line)
    write_clip(facesdk.Edit(controls=("jawOpen",), offset=0.2)(clip), tmp_path / "other.json")
    picture, frames = tmp_path / "x.png", tmp_path / "frames"
    words = ["render", str(tmp_path / "other.json"), "--size", "48", "--draft", "--json"]
    assert main([*words, "--against", str(line), "-o", str(picture)]) == DONE
    captured = capsys.readouterr()
    found = json.loads(captured.out)["against"]
    assert found["file"] == str(line)
    assert found["frames"] == 1
    assert 0 < found["mean_mm"] < found["rms_mm"] < found["largest_mm"]
    assert found["lips_largest_mm"] <= found["largest_mm"]
    assert f"facesdk: {picture}: 1 frame, 48x48" in captured.err
    assert "mean distance" in captured.err
    words += ["--backend", "software"]
    assert main([*words, "--against", str(line), "-o", str(frames)]) == DONE
    found = json.loads(capsys.readouterr().out)["against"]
    assert found["frames"] == len(clip) == len(list(frames.iterdir()))
    assert 0 <= found["largest_at"] < clip.duration
    same = ["render", str(line), "--against", str(line), "-o", str(picture), "--size", "48"]
    assert main([*same, "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["against"]["largest_mm"] == 0
