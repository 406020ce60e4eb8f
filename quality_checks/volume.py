"""The band a full delivery's number of rows is expected in (F03), learned so that bad deliveries cannot move it.

Compared is with accepted deliveries of the same place in the year, month or week, as the cycle has it: a school
register is small each August, a market closed each Sunday. Median and median deviation, so that single deliveries weigh
nothing; a delivery that was outside its band never counts as usual later, until the bureau accepts the change in the
catalogue (`volume.accepted`). Whether a verdict is given belongs to `quality_checks.punctuality`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import median

from catalog.models import Cycle, Resource

YOUNG = 0.5  # share of the usual volume by which any delivery may differ
STEADY = 0.2  # the same once the usual volume of the season is well known
WELL_KNOWN = 8  # deliveries of the season it takes for that
ENOUGH = 3  # deliveries it takes to call growth unusual, or to know a season; a loss is unusual after one
HISTORY = 12  # deliveries looked back on
DEVIATIONS = 6.0  # median deviations: about four standard deviations of a normal spread
FEW = 20  # rows by which any delivery may differ


@dataclass(frozen=True)
class Band:
    """What was expected of one delivery: `known` deliveries say so. `odd`: it lies outside, or is empty."""

    known: int
    expected: float
    low: float
    high: float
    odd: bool


def band_of_last(resource: Resource, deliveries: Sequence[tuple[date, int]]) -> Band:
    """The band of the last full delivery; `deliveries` are as-of dates and rows, oldest first.

    Nothing at all is always odd; without a delivery before it, anything else is usual.
    """
    accepted = resource.volume.accepted
    recent: list[int] = []
    seasons: defaultdict[int, list[int]] = defaultdict(list)
    band, before = Band(0, 0.0, 0.0, 0.0, False), date.min
    for day, rows in deliveries:
        if any(change.to is None and before < change.from_ <= day for change in accepted):
            recent.clear()
            seasons.clear()
        before = day
        season = seasons[_place(resource.cycle, day)]
        known = len(season) >= ENOUGH
        floor = resource.volume.band or (STEADY if len(season) >= WELL_KNOWN else YOUNG)
        band = _band(season if known else recent, rows, floor)
        if any(change.to is not None and change.from_ <= day <= change.to for change in accepted) and rows:
            band = replace(band, odd=False)
            season.append(rows)
        elif not band.odd:
            season.append(rows)
            recent.append(rows)
    return band


def _band(usual: Sequence[int], rows: int, floor: float) -> Band:
    known = len(usual)
    if not known:
        return Band(0, 0.0, 0.0, 0.0, rows == 0)
    last = usual[-HISTORY:]
    expected = median(last)
    spread = DEVIATIONS * median(abs(one - expected) for one in last)
    width = max(floor * expected, spread, FEW)
    low, high = max(1.0, expected - width), expected + width
    return Band(known, expected, low, high, rows < low or (rows > high and known >= ENOUGH))


def _place(cycle: Cycle, day: date) -> int:
    """Where in its season a delivery lies: weekday, week of the month, month, or quarter."""
    if cycle in {Cycle.real_time, Cycle.hourly, Cycle.daily, Cycle.every_day}:
        return day.isoweekday()
    if cycle is Cycle.weekly:
        return (day.day - 1) // 7
    return day.month if cycle is Cycle.monthly else (day.month - 1) // 3
