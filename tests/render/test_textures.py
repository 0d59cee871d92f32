"""Pictures of heads with textures, with OpenGL and without."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import avatars
import numpy as np
import pytest

from facesdk import Clip, Rig
from facesdk.cli import main
from facesdk.exporters import write_clip
from facesdk.mesh import Head, Material, Part, Texture
from facesdk.render import GLPainter, Look, SoftwarePainter
from facesdk.render import gl as gl_module
from facesdk.render.camera import Camera

LOOK = Look(size=(96, 96))
FRONT = Camera((0.0, 0.0, 0.0), 0.25)

RED, WHITE, HOLE = (220, 40, 30, 255), (240, 240, 240, 255), (0, 255, 0, 0)


def plate(image: np.ndarray, alpha: str = "opaque", *, behind: bool = False) -> Head:
    """A square of 20 cm with an image, perhaps before a blue square."""
    corners = np.array([[-0.1, -0.1, 0], [0.1, -0.1, 0], [0.1, 0.1, 0], [-0.1, 0.1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    texture = Texture(avatars.png(image))
    parts = [Part("plate", slice(0, 2), Material("plate", texture=texture, alpha=alpha))]
    points, uvs = corners, (corners[:, :2] / 0.2 + 0.5).astype(np.float32)
    if behind:
        points = np.concatenate([corners, corners - [0, 0, 0.02]]).astype(np.float32)
        faces, uvs = np.concatenate([faces, faces + 4]), np.concatenate([uvs, uvs])
        parts.append(Part("wall", slice(2, 4), Material("wall", (0.1, 0.2, 0.9))))
    return Head("plate", points, faces.astype(np.int32), (), np.zeros((0, len(points), 3)),
                parts=tuple(parts), uvs=uvs)  # fmt: skip


def halves(left: tuple[int, ...], right: tuple[int, ...]) -> np.ndarray:
    image = np.zeros((16, 16, 4), np.uint8)
    image[:, :8], image[:, 8:] = left, right
    return image


def sides(painter, head: Head) -> tuple[np.ndarray, np.ndarray]:
    """The colors in the middle of the left and of the right half of a picture."""
    drawn = painter(head, LOOK).paint(head.neutral, FRONT).astype(int)
    return drawn[48, 26], drawn[48, 70]


@pytest.fixture
def opengl():
    if gl_module.platform() is None:
        pytest.skip("no OpenGL without a screen here")


def test_opengl_draws_the_image(opengl):
    left, right = sides(GLPainter, plate(halves(RED, WHITE)))
    assert left[0] > 1.8 * max(left[1:])
    assert right.min() > 150


def test_opengl_shows_what_is_behind_a_hole(opengl):
    for alpha in ("cut", "blend"):
        left, right = sides(GLPainter, plate(halves(RED, HOLE), alpha, behind=True))
        assert left[0] > 1.8 * max(left[1:])
        assert right[2] > 1.5 * max(right[:2])
    left, right = sides(GLPainter, plate(halves(RED, HOLE), "opaque", behind=True))
    assert right[1] > 1.5 * max(right[0], right[2])


def test_opengl_lights_a_texture_as_a_color(opengl):
    gray = (140, 130, 125, 255)
    plain = plate(halves(gray, gray))
    painted = replace(
        plain, parts=(Part("p", slice(0, 2), Material("p", (140 / 255, 130 / 255, 125 / 255))),)
    )
    for one, two in zip(sides(GLPainter, plain), sides(GLPainter, painted), strict=True):
        assert np.abs(one - two).max() <= 12


def test_without_opengl_vertices_have_the_colors_of_the_image():
    left, right = sides(SoftwarePainter, plate(halves(RED, WHITE)))
    assert left[0] > 1.3 * max(left[1:])
    assert right.min() > left.min() + 30


def test_without_opengl_holes_are_left_out():
    head = plate(halves(HOLE, HOLE), "cut", behind=True)
    for side in sides(SoftwarePainter, head):
        assert side[2] > 1.5 * max(side[:2])


def test_given_colors_replace_textures(opengl):
    head = plate(halves(RED, WHITE))
    green = np.tile(np.array([0, 1, 0], np.float32), (len(head.neutral), 1))
    drawn = GLPainter(head, LOOK).paint(head.neutral, FRONT, colors=green)[48, 26].astype(int)
    assert drawn[1] > 2 * max(drawn[0], drawn[2])


def test_stills_of_textured_heads_use_opengl(tmp_path, capsys, opengl):

    path, line = tmp_path / "head.glb", tmp_path / "line.json"
    path.write_bytes(avatars.textured())
    arkit = Rig.load("arkit")
    values = np.full((3, len(arkit)), 0.5, np.float32)
    write_clip(Clip(arkit, values, Fraction(30)), line)
    out = tmp_path / "out.png"
    words = ["render", str(line), "--head", str(path), "-o", str(out), "--size", "64", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["backend"] == "gl"
    assert main([*words, "--backend", "software"]) == 0
    assert json.loads(capsys.readouterr().out)["backend"] == "software"
