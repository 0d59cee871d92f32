"""Programs of others play the files: every name, every curve, every joint, every vertex.

The programs are in `players/`; `python benchmarks/format_matrix.py` prints a table of them.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from players import RATES, Player, Result, measure, players
from probe import probe, tiny_head

from facesdk import Clip
from facesdk.exporters import format_for, write_clip, write_clips
from facesdk.mesh import load_head

PLAYERS = players()
EVERY = [(player, name) for player in PLAYERS for name in player.formats]
PLAYED = pytest.mark.parametrize(
    ("player", "name"), EVERY, ids=lambda value: value.name if isinstance(value, Player) else value
)


def clip_at(fps: Fraction, rig: str = "arkit", frames: int = 40) -> Clip:
    """The probe, which begins at 0.5005 s, at a frame rate."""
    return replace(probe(rig, frames=frames), fps=fps)


def held(result: Result, player: Player, name: str) -> None:
    degrees, millimeters = player.limits(name)
    assert not result.missing
    assert not result.foreign
    assert result.weight < 3e-6
    assert result.degrees < degrees
    if result.seen:
        assert result.millimeters < millimeters
        assert result.strange == 0


def test_the_page_on_formats_knows_them_all():
    """`python benchmarks/format_matrix.py --write` writes its table."""
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    for player, name in EVERY:
        assert f"\n| {player.name} | `{name}` |" in page


@PLAYED
@pytest.mark.parametrize("fps", RATES, ids=lambda fps: f"{float(fps):.5g}")
def test_players_show_a_head(player, name, fps, tmp_path):
    player.require()
    clip, head = clip_at(fps), tiny_head()
    path = tmp_path / f"head{format_for(name).extension}"
    write_clip(clip, path, name, head=head)
    result = measure(player, path, clip, head)
    held(result, player, name)
    assert result.seen == 16


@PLAYED
@pytest.mark.parametrize("rig", ["arkit", "metahuman"])
@pytest.mark.parametrize("fps", RATES, ids=lambda fps: f"{float(fps):.5g}")
def test_players_show_curves_without_a_head(player, name, fps, rig, tmp_path):
    player.require()
    clip = clip_at(fps, rig)
    path = tmp_path / f"curves{format_for(name).extension}"
    write_clip(clip, path, name, settings={"mesh": False})
    held(measure(player, path, clip, None), player, name)


@PLAYED
def test_players_show_the_built_in_head(player, name, tmp_path):
    player.require()
    clip, head = replace(clip_at(Fraction(30), frames=12), start_sample=0), load_head()
    path = tmp_path / f"whole{format_for(name).extension}"
    write_clip(clip, path, name)
    result = measure(player, path, clip, head, count=2)
    held(result, player, name)
    assert result.seen == len(np.unique(head.triangles))


@PLAYED
def test_players_of_thinned_keys_are_within_the_tolerance(player, name, tmp_path):
    player.require()
    clip = clip_at(Fraction(30))
    path = tmp_path / f"thin{format_for(name).extension}"
    write_clip(clip, path, name, head=tiny_head(), tolerance=0.02)
    result = measure(player, path, clip, tiny_head())
    assert not result.missing
    if player.name != "assimp":  # it is asked at keys only
        assert result.weight <= 0.02 + 1e-6
        assert result.degrees <= np.degrees(0.02 * np.sqrt(3)) + player.limits(name)[0]


@PLAYED
def test_players_find_the_first_of_several_clips(player, name, tmp_path):
    player.require()
    clips = {"first": clip_at(Fraction(30)), "second": clip_at(Fraction(30), frames=20).mirror()}
    path = tmp_path / f"several{format_for(name).extension}"
    write_clips(clips, path, name, head=tiny_head())
    held(measure(player, path, clips["first"], tiny_head()), player, name)


@pytest.mark.parametrize(
    "player", [p for p in PLAYERS if "glb" in p.formats], ids=lambda player: player.name
)
def test_players_show_a_head_without_sparse_accessors(player, tmp_path):
    player.require()
    clip, head = clip_at(Fraction(30)), tiny_head()
    path = Path(tmp_path) / "dense.glb"
    write_clip(clip, path, head=head, settings={"sparse": False})
    result = measure(player, path, clip, head)
    held(result, player, "glb")
    assert result.seen == 16
