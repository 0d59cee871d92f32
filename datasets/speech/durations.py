"""Timed phones from the token durations of a speech synthesizer.

The Kokoro family (Kokoro-82M and its student hibari) synthesizes a string of tokens: phones, stress
marks, spaces, punctuation. Each token has a duration, but its sound comes 70 ms before its place
in the sum of durations (measured against forced alignment and hand labels).
"""

from __future__ import annotations

from collections.abc import Sequence

from ...articulation import TimedPhone

KOKORO_LAG = 0.07
"""Seconds by which the sums of durations of Kokoro and hibari are late."""

STOPS = frozenset("pbtdkɡcɟʈɖʧʤT")
LONG_GAP = 0.1
"""Seconds; a shorter gap between words is divided between its neighbors."""
CLOSURE = 0.05
"""Seconds at the end of a long gap that belong to the closure of a following stop."""

_STRESS = {"ˈ": 1, "ˌ": 2}
_MODIFIERS = frozenset("ː̃ʰʲᵝ→↗↓↘")


def timed_phones(
    tokens: Sequence[str],
    durations: Sequence[float],
    seconds: float,
    *,
    begin: float = 0.0,
    lag: float = KOKORO_LAG,
) -> tuple[TimedPhone, ...]:
    """Return phones from 0 to `seconds` without gaps.

    `durations` are seconds, one per token; `begin` is the start of the first token before the lag
    is subtracted. Modifiers join the phone before them, stress marks the vowel after them, other
    tokens are gaps.
    """
    spans: list[TimedPhone] = []
    time, stress, pending = begin - lag, 0, 0.0
    for token, duration in zip(tokens, durations, strict=True):
        start, time = time, time + duration
        if token in _STRESS:
            stress, pending = _STRESS[token], pending + duration
        elif token in _MODIFIERS and spans and spans[-1].symbol != "SIL":
            last = spans[-1]
            symbol = last.symbol + token if token == "\u0303" else last.symbol
            spans[-1] = last._replace(symbol=symbol, end=time)
        elif token.isalpha() or token in "ᵊᵻ":
            spans.append(TimedPhone(token, start - pending, time, stress))
            stress, pending = 0, 0.0
        else:
            spans.append(TimedPhone("SIL", start - pending, time))
            pending = 0.0
    return _gap_free(_share_gaps(_merge_silence(spans)), seconds)


def _merge_silence(spans: list[TimedPhone]) -> list[TimedPhone]:
    merged: list[TimedPhone] = []
    for span in spans:
        if span.symbol == "SIL" and merged and merged[-1].symbol == "SIL":
            merged[-1] = merged[-1]._replace(end=span.end)
        else:
            merged.append(span)
    return merged


def _share_gaps(spans: list[TimedPhone]) -> list[TimedPhone]:
    """Divide gaps between words among their neighbors, as measured levels suggest."""
    out: list[TimedPhone] = []
    for i, span in enumerate(spans):
        follower = spans[i + 1] if i + 1 < len(spans) else None
        if span.symbol != "SIL":
            start = out[-1].end if out else span.start
            out.append(span._replace(start=start))
        elif out and follower and span.end - span.start < LONG_GAP:
            out[-1] = out[-1]._replace(end=(span.start + span.end) / 2)
        else:
            early = CLOSURE if follower and follower.symbol[0] in STOPS else 0.0
            out.append(span._replace(end=max(span.start, span.end - early)))
    return out


def _gap_free(spans: list[TimedPhone], seconds: float) -> tuple[TimedPhone, ...]:
    """Fill both ends with silence and cut what lies outside the audio."""
    out: list[TimedPhone] = []
    if spans and spans[0].start > 0:
        out.append(TimedPhone("SIL", 0.0, min(spans[0].start, seconds)))
    for span in spans:
        start = out[-1].end if out else max(0.0, span.start)
        clipped = span._replace(start=start, end=min(seconds, span.end))
        if clipped.end > clipped.start:
            out.append(clipped)
    if not out or out[-1].end < seconds:
        out.append(TimedPhone("SIL", out[-1].end if out else 0.0, seconds))
    return tuple(_merge_silence(out))
