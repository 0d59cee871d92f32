"""The looks of the built-in head: lids that meet, lashes, a closed bust, hair, lips by person."""

from __future__ import annotations

import numpy as np
import pytest

from facesdk.errors import FaceSDKError
from facesdk.mesh import load_head
from facesdk.mesh.builtin.lids import Aperture
from facesdk.mesh.builtin.skin_color import beard_share, lip_contrast

MILLIMETER = 1e-3
PEOPLE = [
    {},
    {"ethnicity": "asian"},
    {"age": 8},
    {"age": 75, "sex": "male"},
    {"sex": "male", "ethnicity": "african"},
]


@pytest.fixture(scope="module", params=PEOPLE, ids=str)
def anyone(request):
    return load_head(identity=request.param)


@pytest.fixture(scope="module")
def head():
    return load_head()


@pytest.fixture(scope="module")
def fine():
    return load_head(detail="high")


def moved(head, **shapes):
    row = np.zeros(len(head.names), np.float32)
    for name, weight in shapes.items():
        row[head.index(name)] = weight
    return head.vertices(row).astype(float)


def gap(head, side, blink, columns=61):
    """Largest height in millimeters of the opening between the lids, seen from the front."""
    points = moved(head, **{f"eyeBlink{side.title()}": blink})
    eye = head.joints[f"{side}_eye"]
    aperture = Aperture(points, head.triangles[head.part("skin").triangles], eye)
    aperture.across = eye.center[0] + eye.radius * np.linspace(-0.98, 0.98, columns)
    bottom, top = aperture.openings(np.zeros_like(points), np.zeros(columns))
    return float((top - bottom).max()) / MILLIMETER


# ------------------------------------------------------------------------------------------- eyes


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_lids_of_everybody_meet_at_one_and_not_before(anyone, side):
    assert round(gap(anyone, side, 1.0), 3) <= 0.1
    assert gap(anyone, side, 0.7) > 1
    assert gap(anyone, side, 0.0) > gap(anyone, side, 0.5) > gap(anyone, side, 0.7)


def test_the_lids_of_the_fine_head_meet_too(fine):
    assert round(gap(fine, "left", 1.0), 3) <= 0.1
    assert gap(fine, "left", 0.7) > 1


@pytest.mark.parametrize("blink", [0.0, 0.5, 1.0])
def test_lashes_stand_before_the_lids(head, blink):
    """The outer half of a lash is not inside the skin, so that it stays visible."""
    points = moved(head, eyeBlinkLeft=blink)
    own = head.part_vertices("lashes_left")
    eye = np.array(head.joints["left_eye"].center)
    radius = head.joints["left_eye"].radius
    away = np.linalg.norm(points[own] - eye, axis=1) / radius
    assert away.min() > 0.98
    tips = own[away > np.quantile(away, 0.6)]
    skin = points[head.triangles[head.part("skin").triangles]]
    near = (np.abs(skin.mean(1) - eye).max(1) < 1.6 * radius) & (skin[..., 2].min(1) > eye[2])
    hidden = 0
    for tip in points[tips]:
        a, b, c = skin[near].transpose(1, 0, 2)
        area = cross(b - a, c - a)
        flat = np.abs(area) > 1e-12
        a, b, c, area = a[flat], b[flat], c[flat], area[flat]
        shares = [cross(q - tip, r - tip) / area for q, r in ((b, c), (c, a), (a, b))]
        inside = np.minimum.reduce(shares) >= 0
        depth = sum(s * p[:, 2] for s, p in zip(shares, (a, b, c), strict=True))
        hidden += bool((inside & (depth > tip[2] + 0.1 * MILLIMETER)).any())
    assert hidden <= 0.03 * len(tips)


def cross(u, v):
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]


def test_lashes_turn_down_with_the_lid(head):
    own = head.part_vertices("lashes_left")
    upper = own[head.neutral[own, 1] > head.joints["left_eye"].center[1]]
    low = moved(head, eyeBlinkLeft=1)[upper, 1]
    assert (head.neutral[upper, 1] - low).mean() > 3 * MILLIMETER


# ------------------------------------------------------------------------------------------ mouth


def test_a_funnel_is_round(head):
    """Its opening keeps more than half of its height halfway to its end, and no peak."""
    from facesdk.mesh.builtin.lids import front_of

    points = moved(head, mouthFunnel=1)
    corners = points[head.triangles[: head.part("cavity").triangles.stop]]
    red = points[head.masks["lips"] > 0.5]
    heights = np.arange(red[:, 1].min() + 0.005, red[:, 1].max() - 0.005, 1e-4)
    opened = []
    for x in (-8.0, -4.0, 0.0, 4.0, 8.0):
        front = red[np.abs(red[:, 0] - x * MILLIMETER) < 0.004, 2].max()
        depth = front_of(corners, x * MILLIMETER, heights)
        opened.append((depth < front - 0.010).sum() * 0.1)
    assert 9 < opened[2] < 11.5
    assert min(opened[1], opened[3]) > 0.9 * opened[2]
    assert min(opened[0], opened[4]) > 0.5 * opened[2]


def test_the_mouth_is_dark_inside_and_the_tongue_is_not(head):
    light = head.colors.mean(1)
    inside = head.part_vertices("cavity")
    deep = inside[head.neutral[inside, 2] < 0.04]
    tongue = head.part_vertices("tongue")
    tip = tongue[head.neutral[tongue, 2] > np.quantile(head.neutral[tongue, 2], 0.8)]
    assert light[deep].max() < 0.2
    assert light[tip].mean() > 0.4


def test_the_tongue_is_seen_in_an_open_mouth(head):
    """From the front, it lies between the rows of teeth with nothing before it."""
    points = moved(head, jawOpen=0.6)
    tongue = points[head.part_vertices("tongue")]
    upper, lower = (points[head.part_vertices(f"teeth_{jaw}")] for jaw in ("upper", "lower"))
    middle = [p[np.abs(p[:, 0]) < 0.006] for p in (upper, lower, tongue)]
    top, bottom = middle[0][:, 1].min(), middle[1][:, 1].max()
    between = (middle[2][:, 1] < top) & (middle[2][:, 1] > bottom)
    assert between.mean() > 0.2


def test_teeth_have_shades_of_their_own(head):
    colors = head.colors[head.part_vertices("teeth_upper")]
    assert np.ptp(colors.mean(1)) > 0.3
    assert (colors[:, 0] >= colors[:, 2]).mean() > 0.9  # ivory, not blue


def test_lips_are_colored_by_person():
    young_woman, man, old_man = lip_contrast(25, 0), lip_contrast(25, 1), lip_contrast(60, 1)
    assert young_woman > man > old_man > 0.1
    assert lip_contrast(8, 0) < 0.6 * 0.9
    assert beard_share(30, 1) == 1
    assert beard_share(10, 1) == beard_share(30, 0) == 0


# ------------------------------------------------------------------------------------ bust and hair


@pytest.mark.parametrize("detail", ["low", "high"])
def test_the_bust_is_closed(detail):
    """Skin, mouth and underside together have no open border."""
    head = load_head(detail=detail)
    rows = [head.triangles[head.part(name).triangles] for name in ("skin", "cavity", "bust")]
    triangles = np.concatenate(rows)
    rounded = np.round(head.neutral * 1e7).astype(np.int64)
    place = np.unique(rounded, axis=0, return_inverse=True)[1].ravel()
    sides = place[triangles][:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    keys, counts = np.unique(np.sort(sides, 1), axis=0, return_counts=True)
    assert (counts[keys[:, 0] != keys[:, 1]] == 2).all()


@pytest.mark.parametrize("pose", [0.0, 0.6])
def test_the_bust_stays_closed_when_the_head_turns(head, pose):
    angles = np.zeros((4, 3), np.float32)
    angles[:2, 0] = pose
    points = head.vertices(np.zeros(len(head.names)), angles)
    rim = head.part_vertices("bust")[:56]
    skin = head.part_vertices("skin")
    for vertex in rim:
        at_rest = np.abs(head.neutral[skin] - head.neutral[vertex]).max(1)
        twin = skin[at_rest.argmin()]
        assert np.abs(points[twin] - points[vertex]).max() < 1e-6


def test_hair_is_a_part_and_a_material_of_its_own(head):
    part = head.part("hair")
    assert part.material.name == "strands"
    assert sum(p.material.name == "strands" for p in head.parts) == 1
    own = head.part_vertices("hair")
    assert (head.masks["head"][own] == 1).all()
    assert np.abs(head.deltas[:, own]).max() < 2 * MILLIMETER  # no locks that fly


@pytest.mark.parametrize("detail", ["low", "high"])
def test_haircuts_cover_the_scalp_and_leave_the_face(detail):
    shaved = load_head(identity={"hair": "none"}, detail=detail)
    assert "hair" not in {p.name for p in shaved.parts}
    assert "under_hair" not in shaved.masks
    for cut in ("short", "crop"):
        head = load_head(identity={"hair": cut}, detail=detail)
        hair = head.neutral[head.part_vertices("hair")]
        skull = head.neutral[head.part_vertices("skin"), 1].max()
        assert MILLIMETER < hair[:, 1].max() - skull < 30 * MILLIMETER
        eye = head.joints["left_eye"].center
        face = hair[(hair[:, 2] > eye[2]) & (np.abs(hair[:, 0]) < eye[0])]
        assert len(face) == 0 or face[:, 1].min() > eye[1] + 0.02


def test_a_haircut_has_the_same_triangles_on_everybody(head):
    for person in PEOPLE[1:]:
        assert np.array_equal(load_head(identity=person).triangles, head.triangles)


def test_unknown_hair_is_refused():
    with pytest.raises(FaceSDKError, match="short"):
        load_head(identity={"hair": "shrt"})


@pytest.mark.parametrize("detail", ["low", "high"])
def test_the_same_person_is_the_same_head(detail):
    person = {"age": 41, "sex": 0.3, "hair": "crop"}
    assert load_head(identity=person, detail=detail) == load_head(identity=person, detail=detail)
