"""The benchmarks' figures and degradations: by hand, by brute force, by properties."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import degrade  # noqa: E402
import devset  # noqa: E402
import labelled  # noqa: E402
import measures  # noqa: E402
import pictures  # noqa: E402
import robustness  # noqa: E402

HELLO = soundfile.read(ROOT / "examples" / "hello.wav")[0][:40_000]


def track(curves, phones, speaker="a", group="adults"):
    return measures.Track(speaker, group, tuple(phones), curves)


def made_up(seed, speaker="a", *, frames=400, noise=0.4):
    """A track with every sound kind in it, curves that follow them, and noise."""
    rng = np.random.default_rng(seed)
    kinds = ("p", "f", "s", "u", "ɑ", "i", "k", measures.SILENCE)
    sounds = rng.choice(kinds, frames // 10)
    phones = [(str(p), i / 10, (i + 1) / 10) for i, p in enumerate(sounds)]
    labels = np.repeat(sounds, 10)
    sound_of = {"closure": "p", "labiodental": "f", "sibilant": "s", "rounding": "u", "jaw": "ɑ"}
    curves = {u: (labels == p) + rng.normal(0, noise, len(labels)) for u, p in sound_of.items()}
    return track(curves, phones, speaker)


# ------------------------------------------------------------------------------- measures


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40))
def test_area_is_the_share_of_pairs_ranked_rightly(pairs):
    scores, positive = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs])
    above = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    area = measures.area_under_curve(scores, positive)
    assert np.isnan(area) if not above else area == pytest.approx(np.mean(above))


def test_closure_events_by_hand():
    closure = np.zeros(200)
    closure[28], closure[47] = 0.9, 0.8  # 20 ms before the bilabial, 70 ms after it
    closure[102], closure[113] = 0.5, 0.4  # in and after the far vowel
    phones = [
        ("SIL", 0.0, 0.2), ("k", 0.2, 0.3), ("b", 0.3, 0.4), ("i", 0.4, 0.48),
        ("u", 0.48, 0.58), ("SIL", 0.58, 1.0), ("ɑ", 1.0, 1.1), ("t", 1.1, 1.12),
        ("s", 1.12, 1.3),
    ]  # fmt: skip
    hits, false = measures.closure_events(closure, phones)
    assert hits == [("b", 0.9)]
    # k and i touch the bilabial, t is too short, silence never counts
    assert false == [("u", 0.0), ("ɑ", 0.5), ("s", 0.4)]


def test_closures_found_at_a_share_of_false_events():
    false = list(np.arange(100) / 100)
    assert measures.found_at([0.95, 0.5, 0.99, 0.1], false, 0.05) == 0.5
    assert measures.found_at([0.95, 0.5, 0.99, 0.1], false, 0.5) == 0.75
    assert np.isnan(measures.found_at([], false, 0.05))


def test_a_late_curve_is_best_at_its_lag():
    on_time = [made_up(seed) for seed in range(4)]
    late = [track({u: np.roll(c, 3) for u, c in t.curves.items()}, t.phones) for t in on_time]
    best = measures.best_lags(measures.by_lag(late))
    assert set(best.values()) == {30}
    assert set(measures.best_lags(measures.by_lag(on_time)).values()) == {0}


def test_intervals_hold_the_figures_and_narrow_with_more_speakers():
    few = [made_up(seed, str(seed), noise=1.0) for seed in range(4)]
    many = few + [made_up(seed, str(seed), noise=1.0) for seed in range(4, 40)]
    values, sure, surer = measures.figures(many), *map(measures.intervals, (few, many))
    assert set(sure) == set(values)
    for figure, value in values.items():
        low, high = surer[figure]
        assert low <= value <= high
        assert high - low < sure[figure][1] - sure[figure][0]


def test_binned_areas_are_the_exact_ones():
    frames = measures.Frames.of([made_up(seed, str(seed)) for seed in range(5)])
    for unit, counts, positive in frames.contests().values():
        some = (frames.curves[unit][counts], positive[counts], frames.speakers[counts])
        binned = measures._areas(measures._histograms(*some).sum(0)[None])[0]
        assert binned == pytest.approx(measures.area_under_curve(*some[:2]), abs=2e-3)


def test_sounds_taken_for_closures_are_named():
    closed = np.zeros(100)
    closed[20:30], closed[60:70] = 1, 0.6
    units = dict.fromkeys(("labiodental", "sibilant", "rounding", "jaw"), np.zeros(100))
    phones = [("SIL", 0, 0.2), ("m", 0.2, 0.3), ("SIL", 0.3, 0.6), ("n", 0.6, 0.7), ("t", 0.8, 0.9)]
    table = measures.by_phone([track({"closure": closed, **units}, phones)])
    assert table["m"]["taken"] == 1
    assert table["n"]["taken"] == 1
    assert table["t"]["taken"] == 0
    assert table["n"]["closure"] == pytest.approx(0.6)


def test_reports_hold_no_number_that_json_lacks(tmp_path):
    labelled.write_report({"a": [float("nan"), np.float64(1 / 3)]}, tmp_path / "x" / "r.json")
    assert json.loads((tmp_path / "x" / "r.json").read_text()) == {"a": [None, 0.3333]}


# ------------------------------------------------------------------------------- lines


def aligned_folder(folder, **changes):
    quality = {"frame_score": -20.0, "shortest_share": 0.1, "loud_outside": 0.0}
    record = {
        "id": "1", "file": "a.wav", "speaker": "s", "age": 30, "split": "test",
        "alignment": [["SIL", 0, 0.1], ["CH", 0.1, 0.2], ["AY", 0.2, 0.4], ["+NSN+", 0.4, 0.5]],
        "quality": quality, **changes,
    }  # fmt: skip
    (folder / "utterances.jsonl").write_text(json.dumps(record) + "\n")
    return folder


def test_aligned_lines_are_read_in_the_sounds_of_the_rules(tmp_path):
    (line,) = labelled.read_lines(aligned_folder(tmp_path), "test")
    assert [p[0] for p in line.phones] == ["SIL", "ʧ", "aɪ", "SIL"]
    assert line.group == "adults"
    assert labelled.read_lines(aligned_folder(tmp_path, age=9))[0].group == "children"


@pytest.mark.parametrize(
    "changes",
    [
        {"split": "train"},
        {"quality": None},
        {"quality": {"frame_score": -34, "shortest_share": 0, "loud_outside": 0}},
    ],
)
def test_lines_without_trust_or_of_another_split_are_left_out(tmp_path, changes):
    with pytest.raises(SystemExit, match="no usable line"):
        labelled.read_lines(aligned_folder(tmp_path, **changes), "test")


def test_fewer_lines_come_from_all_parts():
    assert labelled.spread(list(range(10)), 5) == [0, 2, 4, 6, 8]
    assert labelled.spread([1, 2], 5) == [1, 2]


def test_curves_come_at_a_hundred_frames_a_second():
    curves = labelled.CurveRunner("units").curves(HELLO.astype("f4"), labelled.facesdk.load())
    assert {len(curve) for curve in curves.values()} == {len(HELLO) // 160}


# ------------------------------------------------------------------------------- degradations


def envelope(samples):
    """Loudness every 5 ms."""
    return np.log(np.sqrt(np.convolve(samples**2, np.ones(320) / 320, "same"))[::80] + 1e-3)


def line():
    return labelled.Line("x", ROOT / "examples" / "hello.wav", "s", "adults", "en", ())


@pytest.mark.parametrize("condition", robustness.conditions([line()]), ids=lambda c: c.name)
def test_degradations_keep_length_and_time(condition):
    crowd = (ROOT / "tests" / "data" / "mama.flac",) if condition.kind == "babble" else ()
    condition = robustness.Condition(condition.name, condition.kind, condition.amount, crowd)
    worse = condition(HELLO, line())
    assert worse.shape == HELLO.shape
    assert np.isfinite(worse).all()
    np.testing.assert_array_equal(worse, condition(HELLO, line()))
    clean, now = envelope(HELLO)[20:-20], envelope(worse)
    r = [np.corrcoef(clean, now[20 + k : len(now) - 20 + k])[0, 1] for k in range(-10, 11)]
    late = 5 * (int(np.argmax(r)) - 10)
    assert -10 <= late <= (25 if condition.kind == "room" else 10)


@pytest.mark.parametrize("snr", [20, 5])
def test_noise_lies_below_the_speech_by_what_was_asked(snr):
    noise = degrade.pink(len(HELLO), np.random.default_rng(0))
    added = degrade.add_noise(HELLO, noise, snr) - HELLO
    level = 20 * np.log10(degrade.speech_level(HELLO) / np.sqrt(np.mean(added**2)))
    assert level == pytest.approx(snr, abs=0.1)


def test_pink_noise_falls_by_three_decibels_an_octave():
    power = np.abs(np.fft.rfft(degrade.pink(160_000, np.random.default_rng(0)))) ** 2
    bands = [10 * np.log10(power[10 * f : 20 * f].mean()) for f in (100, 400, 1600)]
    assert np.diff(bands) == pytest.approx([-6, -6], abs=0.7)


def pitch(samples):
    """Median of the strongest repetition of loud frames, Hz; and how strong."""
    frames = samples[: len(samples) // 800 * 800].reshape(-1, 800)
    loud = frames[(frames**2).mean(1) > 0.2 * (samples**2).mean()]
    r = np.fft.irfft(np.abs(np.fft.rfft(loud * np.hanning(800), 2048)) ** 2)[:, :300]
    at = 40 + r[:, 40:].argmax(1)
    strength = r[np.arange(len(r)), at] / r[:, 0]
    return np.median(16_000 / at[strength > 0.4]), np.median(strength)


def test_a_smaller_voice_is_higher_and_a_whisper_has_no_pitch():
    assert pitch(degrade.higher(HELLO))[0] / pitch(HELLO)[0] == pytest.approx(1.25, rel=0.06)
    whispered = degrade.whisper(HELLO, np.random.default_rng(0))
    assert pitch(whispered)[1] < 0.5 * pitch(HELLO)[1]


def test_a_telephone_carries_its_band_alone():
    power = np.abs(np.fft.rfft(degrade.telephone(HELLO))) ** 2
    hertz = np.fft.rfftfreq(len(HELLO), 1 / 16_000)
    assert power[(hertz < 200) | (hertz > 3900)].sum() < 0.01 * power.sum()


# ------------------------------------------------------------------------------- tracked faces


def test_targets_are_ranges():
    assert devset.verdict("system lag, ms", 10) == "goal"
    assert devset.verdict("system lag, ms", -39) == "floor"
    assert devset.verdict("jerk", 1.5) == "below floor"
    assert devset.verdict("closure F1", 0.7) == "goal"


def test_closures_are_paired_once():
    tracked = [(1.0, 0.95, 1.05), (1.1, 1.06, 1.14), (2.0, 1.9, 2.1)]
    predicted = [(1.04, 1.0, 1.1), (2.5, 2.4, 2.6)]
    assert pictures.matched(tracked, predicted, slack=0.06) == ({0}, {0})


def test_good_median_and_bad_are_by_rank():
    rated = [(0.1, "c"), (0.9, "a"), (0.5, "b"), (0.3, "d"), (0.7, "e")]
    assert pictures.chosen(rated) == {"good": "a", "median": "b", "bad": "c"}


def test_a_picture_shows_both_curves_where_they_are():
    times = np.arange(100) / 25
    tracked, predicted = np.full(100, 1.0), np.full(100, 0.0)
    shuts = ([(1.0, 0.9, 1.1, True)], [(2.0, 1.9, 2.1, False)])
    figure = pictures.ClipFigure(
        "a", "b", times, tracked, predicted, shuts, times, np.full(100, -20.0)
    )
    picture = pictures.draw(figure)
    column = picture[pictures.GAP[0] : pictures.GAP[1], 800].astype(int)
    rows = {
        name: np.flatnonzero((np.abs(column - color).sum(1)) < 30).mean()
        for name, color in (("t", pictures.TRACKED), ("p", pictures.PREDICTED))
    }
    assert rows["t"] < rows["p"]
    full, hollow = (picture[pictures.MARKS[0] + dy + 10, x]
                    for dy, x in ((0, 150 + 1420 // 4), (34, 150 + 2 * 1420 // 4)))  # fmt: skip
    assert tuple(full) == pictures.TRACKED
    assert tuple(hollow) == pictures.PAPER
