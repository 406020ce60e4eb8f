"""The due calendar: which deliveries a resource's update cycle calls for and has not got, and how late they are.

A rule's verdict on lateness is `quality_checks.punctuality`; here every single delivery that is missing is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

from catalog.models import Cycle, Resource
from quality_checks.punctuality import Delivery, due_after, minutes_late
from quality_checks.working_days import PUBLISHED, Calendar, add_workdays, workdays_between

LOOK_BACK = 92  # days in which a gap between two deliveries is looked for
LISTED = 60  # missing deliveries named of one resource, the newest
_MONTHS = {Cycle.monthly: 1, Cycle.quarterly: 3, Cycle.yearly: 12}


@dataclass(frozen=True)
class Due:
    """One resource's delivery that the cycle calls for. Grain: one row per resource and missing as-of date; a resource
    that owes nothing has one row with the next it will owe.

    `state`: `expected` (not due yet), `late` (due and not there), `gap` (a later one came instead). `late_by` counts
    working days after `due_on`, `minutes_late` minutes where the day's next delivery is due within minutes.
    """

    department: str
    resource: str
    cycle: str
    state: str
    last_as_of: date | None
    expected_as_of: date
    due_on: date
    late_by: int
    minutes_late: int = 0


def due_calendar(
    resources: Iterable[Resource],
    deliveries: Mapping[str, Sequence[Delivery]],
    as_of: date,
    now: datetime | None = None,
    calendar: Calendar = PUBLISHED,
) -> list[Due]:
    """What is missing or expected next on `as_of`, the latest first; `deliveries` by resource id as the register has
    them. `now` is the moment that ages in minutes are measured against on its own day.
    """
    came = ((resource, deliveries.get(resource.id, ())) for resource in resources)
    found = [due for resource, known in came for due in _of(resource, known, as_of, now, calendar)]
    return sorted(
        found, key=lambda due: (-due.late_by, -due.minutes_late, due.department, due.resource, due.expected_as_of)
    )


def _of(
    resource: Resource, deliveries: Sequence[Delivery], as_of: date, now: datetime | None, calendar: Calendar
) -> Iterator[Due]:
    cycle = resource.cycle
    pooled = [one for one in deliveries if one.state == "pooled" and one.as_of <= as_of]
    came = sorted({one.as_of for one in pooled})
    last = came[-1] if came else None

    def due(state: str, day: date, before: date, minutes: int = 0) -> Due:
        due_on = due_after(resource, before, calendar)
        late_by = 0 if state == "expected" else max(0, workdays_between(due_on, as_of, calendar))
        return Due(resource.department, resource.name, cycle.value, state, last, day, due_on, late_by, minutes)

    for before, later in pairwise(came):
        if (as_of - later).days <= LOOK_BACK:
            # What came after the next one was due is not this one come late.
            missed = [day for day in _expected(cycle, before, later, calendar) if _next(cycle, day, calendar) <= later]
            yield from (due("gap", day, owed) for owed, day in pairwise([before, *missed]))
    over = minutes_late(resource, pooled[-1] if pooled else None, as_of, now)
    if over is not None and last:
        yield due("late", as_of, last, over) if over > 0 else due("expected", as_of, last)
        return
    chain = [last or resource.published]
    while due_after(resource, chain[-1], calendar) < as_of:
        chain.append(_next(cycle, chain[-1], calendar))
    yield from (due("late", day, owed) for owed, day in list(pairwise(chain))[-LISTED:])
    if len(chain) == 1:
        yield due("expected", _next(cycle, chain[0], calendar), chain[0])


def _expected(cycle: Cycle, after: date, before: date, calendar: Calendar) -> Iterator[date]:
    """As-of dates the cycle calls for after a delivery, before a day."""
    day = _next(cycle, after, calendar)
    while day < before:
        yield day
        day = _next(cycle, day, calendar)


def _next(cycle: Cycle, day: date, calendar: Calendar) -> date:
    if cycle is Cycle.daily:
        return add_workdays(day, 1, calendar)[0]
    if cycle in {Cycle.real_time, Cycle.hourly, Cycle.every_day}:  # of a day gone by, at least one is asked for
        return day + timedelta(days=1)
    if cycle is Cycle.weekly:
        return day + timedelta(days=7)
    months = day.year * 12 + day.month - 1 + _MONTHS[cycle]
    first = date(months // 12, months % 12 + 1, 1)
    end = date((months + 1) // 12, (months + 1) % 12 + 1, 1) - timedelta(days=1)
    return min(first + timedelta(days=day.day - 1), end)
