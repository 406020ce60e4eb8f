"""Charts of the report site as inline SVG: pure functions from numbers to markup, readable without colour or script.

Add a chart here when a page needs a picture of figures it already has. Legends and captions are HTML beside the chart,
because they follow the page's language; inside a chart stand numbers and dates only. Every chart is named, says its
last value in `<desc>`, and every mark has a tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date

from markupsafe import Markup

# Units of the view box: drawn at up to 1.3 times that on a desk, 0.7 on a phone.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, FLOOR = 480, 150, 46, 12, 12, 126

_SVG = Markup(
    '<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{title}: {last}">'
    "<title>{title}</title><desc>{last}</desc>{body}</svg>"
)
_RECT = Markup(
    '<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}"><title>{day}: {sign}{value}</title></rect>'
)
_DOT = Markup('<circle class="dot" cx="{x}" cy="{y}" r="3"><title>{day}: {value}</title></circle>')
_AREA = Markup('<polygon class="area" points="{first},{floor} {line} {last},{floor}"/>')
_LINE = Markup('<polyline class="line" points="{line}"/>')
_RULE = Markup('<line class="{kind}" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
_TEXT = Markup('<text class="tick" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>')


def trend(days: Sequence[date], values: Sequence[int], *, title: str) -> Markup:
    """A line from zero with a mark for each day."""
    limit = _nice(max(values, default=0))
    places = [(_x(i, len(days)), _y(value, limit)) for i, value in enumerate(values)]
    line = " ".join(f"{x},{y}" for x, y in places)
    area = _AREA.format(first=places[0][0], last=places[-1][0], line=line, floor=FLOOR) if len(places) > 1 else Markup()
    dots = _join(
        _DOT.format(x=x, y=y, day=day, value=f"{value:,}")
        for (x, y), day, value in zip(places, days, values, strict=True)
    )
    return _chart(days, values, title, _scale([0, limit / 2, limit], limit) + area + _LINE.format(line=line) + dots)


def bars(days: Sequence[date], values: Sequence[int], *, title: str) -> Markup:
    """One bar a day, from zero."""
    limit = _nice(max(values, default=0))
    drawn = _bars("up", days, values, limit)
    return _chart(days, values, title, _scale([0, limit / 2, limit], limit) + drawn)


def up_and_down(days: Sequence[date], up: Sequence[int], down: Sequence[int], *, title: str) -> Markup:
    """Bars above zero for what came and below zero for what went, on one scale."""
    limit = _nice(max([*up, *down], default=0))
    middle = (TOP + FLOOR) / 2
    drawn = _bars("up", days, up, limit, middle) + _bars("down", days, down, limit, middle)
    scale = _scale([0, limit], limit, middle) + _scale([-limit], limit, middle)
    return _chart(days, up, title, scale + drawn)


def _chart(days: Sequence[date], values: Sequence[int], title: str, body: Markup) -> Markup:
    last = f"{days[-1]}: {values[-1]:,}" if days else ""
    return _SVG.format(width=WIDTH, height=HEIGHT, title=title, last=last, body=body + _dates(days))


def _bars(kind: str, days: Sequence[date], values: Sequence[int], limit: float, zero: float = FLOOR) -> Markup:
    """Bars on the line `zero`; those of the kind "down" hang from it and say so."""
    sign = "−" if kind == "down" else ""
    width = round(min(36.0, (WIDTH - LEFT - RIGHT) / max(len(days), 1) * 0.62), 1)
    heights = [round((zero - TOP) * value / limit, 1) for value in values]
    return _join(
        _RECT.format(
            kind=kind,
            x=round(_x(i, len(days)) - width / 2, 1),
            y=round(zero if kind == "down" else zero - height, 1),
            width=width,
            height=height,
            day=day,
            sign=sign,
            value=f"{value:,}",
        )
        for i, (day, value, height) in enumerate(zip(days, values, heights, strict=True))
    )


def _scale(ticks: Sequence[float], limit: float, zero: float = FLOOR) -> Markup:
    """Lines across the chart with their values; `zero` is where nothing stands."""
    return _join(
        _RULE.format(kind="grid" if tick else "axis", left=LEFT, right=WIDTH - RIGHT, y=_y(tick, limit, zero))
        + _TEXT.format(x=LEFT - 6, y=round(_y(tick, limit, zero) + 4, 1), anchor="end", text=_short(tick))
        for tick in ticks
    )


def _dates(days: Sequence[date]) -> Markup:
    """First, middle and last day beneath the axis, as month-day; all of them when there are few."""
    count = len(days)
    shown = sorted({0, count // 2, count - 1}) if count > 4 else range(count)
    return _join(_TEXT.format(x=_x(i, count), y=HEIGHT - 6, anchor="middle", text=f"{days[i]:%m-%d}") for i in shown)


def _join(parts: Iterable[Markup]) -> Markup:
    return Markup().join(parts)


def _x(index: int, count: int) -> float:
    """The middle of the slot of one day."""
    return round(LEFT + (WIDTH - LEFT - RIGHT) * (index + 0.5) / max(count, 1), 1)


def _y(value: float, limit: float, zero: float = FLOOR) -> float:
    return round(zero - (zero - TOP) * value / limit, 1)


def _nice(value: int) -> float:
    """The smallest of 1, 2, 4, 6, 8, 10 times a power of ten (4 at least) that holds `value`."""
    if value <= 4:
        return 4
    power = 10 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value))


def _short(value: float) -> str:
    """An axis label of few characters: 1,500 → 1.5k, −2 → −2."""
    size, suffix = next(
        ((size, suffix) for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(value) >= size), (1, "")
    )
    return f"{value / size:g}{suffix}".replace("-", "−")
