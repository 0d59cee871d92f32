"""The report as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..printing import html

Facts = Mapping[str, Any]

_WIDTH, _HEIGHT = 160, 28

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #888; --bad: #c62828; --warn: #b26a00;
  --jaw: #2f7fd8; --lips: #d8612f; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff6b6b; --warn: #ffb547; --jaw: #6cb2ff;
  --lips: #ff9466; } }
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; }
p { margin: .2rem 0 1rem; color: var(--dim); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { position: sticky; top: 0; background: Canvas; font-weight: 600; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.name { overflow-wrap: anywhere; min-width: 9em; } td.name + td { min-width: 12em; }
small { color: var(--dim); display: block; }
.error, .failed { color: var(--bad); } .warning { color: var(--warn); } .note { color: var(--dim); }
.flag { display: block; } .flag b { font-weight: 600; }
.jaw { stroke: var(--jaw); } .lips { stroke: var(--lips); }
polyline { fill: none; stroke-width: 1.2; } svg { display: block; }
"""

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>facesdk bake report</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p>{settings}</p>
{notes}<table>
<thead><tr><th>line</th><th>to check</th><th class="n">length</th><th class="n">voice</th>
<th class="n">peak</th><th class="n">clipped</th><th class="n">silent</th><th class="n">speech</th>
<th class="n">jaw</th><th class="n">lips closed</th><th class="n">closures</th>
<th><span style="color:var(--jaw)">jaw</span>,
<span style="color:var(--lips)">lips closed</span></th></tr></thead>
<tbody>
"""

_FOOT = """</tbody>
</table>
<p>Worst first. <b>voice</b>: level outside silence, dBFS. <b>speech</b>: speech likeness, 0 for
steady music or noise, 1 for speech. <b>jaw</b>: mean and peak opening. <b>lips closed</b>: share of
the line with closed lips. <b>closures</b>: complete, and uncertain ones in which the lips only
approach each other.</p>
</body>
</html>
"""


def page(document: Facts, sketches: Mapping[str, Facts]) -> str:
    """Return the report as HTML, with a sketch of the curves per output. Text is escaped."""
    head = _HEAD.format(
        style=_STYLE,
        title=html(_title(document["summary"])),
        settings=_settings(document),
        notes="".join(f'<p class="warning">{html(n)}</p>\n' for n in document.get("notes", ())),
    )
    return (
        head
        + "\n".join(_row(e, sketches.get(e["output"])) for e in document["files"])
        + "\n"
        + _FOOT
    )


def _title(summary: Facts) -> str:
    counts = [f"{summary[s]} {s}" for s in ("baked", "unchanged", "failed") if summary[s]]
    lines = "1 line" if summary["lines"] == 1 else f"{summary['lines']} lines"
    return f"{lines}, {_clock(summary['seconds'])}: {', '.join(counts) or 'nothing to do'}"


def _settings(document: Facts) -> str:
    """Settings as `name: value`; those that were not given are left out."""
    settings = dict(document["settings"])
    numerator, denominator = settings["fps"]
    settings["fps"] = numerator if denominator == 1 else f"{numerator}/{denominator}"
    settings |= settings.pop("performance") | settings.pop("format_settings")
    words = {True: "yes", False: "no"}
    return html(
        " · ".join(
            f"{name.replace('_', ' ')}: {words[v] if isinstance(v, bool) else v}"
            for name, v in settings.items()
            if v is not None
        )
    )


def _row(entry: Facts, sketch: Facts | None) -> str:
    name = f"{html(entry['name'])}<small>{html(entry['input'])}</small>"
    cells = [_cell(name, "name")]
    if entry["status"] == "failed":
        text = f'<span class="flag failed"><b>failed</b> {html(entry["error"])}</span>'
        return f"<tr>{cells[0]}<td>{text}</td><td colspan=10></td></tr>"
    cells.append(_cell("".join(map(_flag, entry["flags"]))))
    cells += [_cell(text, "n") for text in _figures(entry)]
    cells.append(_cell("" if sketch is None else _sketch(sketch)))
    return f"<tr>{''.join(cells)}</tr>"


def _figures(entry: Facts) -> Iterator[str]:
    yield _clock(entry["seconds"])
    audio, mouth = entry["audio"], entry["mouth"]
    if audio is None:
        yield from [""] * 5
    else:
        likeness = audio["speech_likeness"]
        yield f"{audio['voice_dbfs']:.0f} dB"
        yield f"{audio['peak_dbfs']:.1f} dB"
        yield f"{audio['clipped_share']:.2%}"
        yield f"{audio['silent_share']:.0%}"
        yield "" if likeness is None else f"{likeness:.2f}"
    yield f"{mouth['jaw_mean']:.2f} / {mouth['jaw_peak']:.2f}"
    yield f"{mouth['contact_share']:.0%}"
    yield f"{mouth['sealed_closures']} + {mouth['uncertain_closures']}?"


def _cell(content: str, kind: str = "") -> str:
    return f'<td class="{kind}">{content}</td>' if kind else f"<td>{content}</td>"


def _flag(flag: Facts) -> str:
    name, text = html(flag["name"]), html(flag["text"])
    return f'<span class="flag {html(flag["level"])}"><b>{name}</b> {text}</span>'


def _sketch(curves: Facts) -> str:
    lines = (_polyline(curves["jaw"], "jaw"), _polyline(curves["seal"], "lips"))
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    return f'<svg {size} role="img" aria-label="jaw and lips">{"".join(lines)}</svg>'


def _polyline(percent: Sequence[int], kind: str) -> str:
    step = _WIDTH / max(1, len(percent) - 1)
    room = _HEIGHT - 2
    points = (f"{i * step:.0f},{1 + room * (1 - p / 100):.0f}" for i, p in enumerate(percent))
    return f'<polyline class="{kind}" points="{" ".join(points)}"/>'


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f} s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, whole = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"
