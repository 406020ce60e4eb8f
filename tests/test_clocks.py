"""The clock of an order against a count day by day, one by one and in SQL."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import combinations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from catalog.jurisdiction import Clock, Rung
from quality_checks.clocks import Pause, deadline, due_sql, tick_sql
from quality_checks.working_days import PUBLISHED, Calendar, add_workdays, is_workday, workdays_between

DAY = timedelta(days=1)
FIRST, LAST = date(2026, 9, 1), date(2027, 8, 31)
WITH_2027 = Calendar.with_table({date(2027, 1, 1): False, date(2027, 1, 4): False, date(2027, 1, 9): True})


def walked(start: date, days: int, pauses: list[Pause], calendar: Calendar) -> tuple[date, bool] | None:
    """The day the count reaches `days`, and whether a day on the way was provisional; None while it waits for good."""
    day, counted, unsure = start, 0, False
    while counted < days:
        day += DAY
        if any(pause.answered_on is None and pause.asked_on < day for pause in pauses):
            return None
        paused = any(pause.answered_on and pause.asked_on < day <= pause.answered_on for pause in pauses)
        works, provisional = is_workday(day, calendar)
        unsure |= provisional
        counted += works and not paused
    return day, unsure


@pytest.mark.parametrize("calendar", [PUBLISHED, WITH_2027])
def test_every_single_pause_around_national_day_and_new_year_equals_the_walk(calendar):
    cases = 0
    for start in (date(2026, 9, 25), date(2026, 9, 30), date(2026, 12, 20), date(2026, 12, 31)):
        days = [start + DAY * step for step in range(24)]
        for asked, answered in [*combinations(days, 2), *((day, day) for day in days)]:
            for allowed in (1, 3, 10):
                pauses = [Pause(asked, answered)]
                made = deadline(start, allowed, pauses, calendar)
                assert (made.due_on, made.provisional) == walked(start, allowed, pauses, calendar)
                assert made.running
                cases += 1
    assert cases == 4 * 300 * 3


offsets = st.lists(st.integers(0, 60), min_size=0, max_size=8)


@settings(deadline=None, max_examples=300)
@given(st.dates(FIRST, date(2027, 2, 28)), st.integers(1, 30), offsets, st.booleans())
def test_any_pauses_equal_the_walk(start, days, steps, unanswered):
    marks = [start + DAY * step for step in sorted(steps)]
    pauses = [Pause(asked, answered) for asked, answered in zip(marks[::2], marks[1::2], strict=False)]
    if unanswered and len(marks) % 2:
        pauses.append(Pause(marks[-1]))
    made = deadline(start, days, pauses, PUBLISHED)
    expected = walked(start, days, pauses, PUBLISHED)
    assert made.running is (expected is not None)
    if expected:
        assert (made.due_on, made.provisional) == expected
        assert workdays_between(start, made.due_on) == days + made.paused_days


def test_many_deadlines_at_once_are_those_one_by_one():
    starts = [FIRST + DAY * step for step in range(150)]
    orders = ", ".join(f"('{start} {days}', DATE '{start}', {days})" for start in starts for days in (1, 5, 10, 21))
    table = f"(SELECT * FROM (VALUES {orders}) v(order_id, started_on, working_days))"
    for calendar in (PUBLISHED, WITH_2027):
        made = duckdb.sql(due_sql(table, FIRST, LAST, calendar))
        rows = made.fetchall()
        assert len(rows) == 600
        for name, due_on, provisional in rows:
            start, days = name.split()
            assert (due_on, provisional) == add_workdays(date.fromisoformat(start), int(days), calendar)


def ticked(due_on: date, days: list[date], rules: Clock) -> list[tuple[date, str, int, int]]:
    """What happens to one order on the days a pass is made, each written before the next."""
    level, reminded, told = 0, "NULL::DATE", []
    for day in days:
        order = f"(SELECT 'x' AS order_id, DATE '{due_on}' AS due_on, {level} AS level, {reminded} AS reminded_on)"
        query = tick_sql(order, rules, day, first=FIRST, last=LAST, calendar=PUBLISHED)
        for _, event, to, count in sorted(duckdb.sql(query).fetchall(), key=lambda row: row[2]):
            told.append((day, event, to, count))
            level = max(level, to)
            reminded = f"DATE '{day}'" if event == "reminded" else reminded
    return told


def test_each_reminder_and_each_level_comes_once_on_its_day():
    due_on = date(2026, 11, 16)
    every_day = [date(2026, 11, 2) + DAY * step for step in range(40)]
    rules = Clock(remind=(5, 3))
    assert ticked(due_on, every_day, rules) == [
        (date(2026, 11, 9), "reminded", 0, 5),
        (date(2026, 11, 11), "reminded", 0, 3),
        (date(2026, 11, 17), "escalated", 1, 1),
        (date(2026, 11, 19), "escalated", 2, 3),
        (date(2026, 11, 23), "escalated", 3, 5),
        (date(2026, 11, 30), "escalated", 4, 10),
    ]


def test_days_nobody_looked_at_lose_no_level_and_double_no_reminder():
    due_on = date(2026, 11, 16)
    assert ticked(due_on, [date(2026, 11, 12), date(2026, 11, 16), date(2026, 12, 1), date(2026, 12, 2)], Clock()) == [
        (date(2026, 11, 12), "reminded", 0, 2),
        *((date(2026, 12, 1), "escalated", level, 11) for level in (1, 2, 3, 4)),
    ]
    assert ticked(due_on, [date(2026, 11, 16)], Clock()) == [(date(2026, 11, 16), "reminded", 0, 0)]
    silent = Clock(remind=(), escalate=())
    assert ticked(due_on, [date(2026, 11, 16), date(2026, 12, 30)], silent) == []


@settings(deadline=None, max_examples=10)
@given(st.sets(st.integers(0, 45), min_size=1, max_size=12))
def test_on_whatever_days_passes_are_made_each_comes_once_and_not_too_early(steps):
    due_on, first = date(2026, 11, 16), date(2026, 11, 2)
    days = [first + DAY * step for step in sorted(steps)]
    told = ticked(due_on, days, Clock())
    for level, after in enumerate((1, 3, 5, 10), start=1):
        when = [day for day in days if day > due_on and workdays_between(due_on, day) >= after]
        assert [day for day, event, to, _ in told if event == "escalated" and to == level] == when[:1]
    near = [day for day in days if day <= due_on and workdays_between(day, due_on) <= 3]
    assert [day for day, event, *_ in told if event == "reminded"] == near[:1]


def test_the_days_allowed_are_the_resources_then_the_severitys_then_the_jurisdictions():
    rules = Clock(severities={"block": 5}, resources={"tax.arrears": 3})
    assert rules.days("tax.arrears", "block") == 3
    assert rules.days("tax.other", "block") == 5
    assert rules.days("tax.other", "error") == 10


@pytest.mark.parametrize(
    "stated",
    [
        {"escalate": [{"level": "bureau", "after": 1}, {"level": "steward", "after": 2}]},
        {"escalate": [{"level": "steward", "after": 2}, {"level": "bureau", "after": 2}]},
        {"remind": [3, 3]},
        {"working_days": 0},
        {"resources": {"arrears": 3}},
    ],
)
def test_a_clock_that_cannot_be_is_refused(stated):
    with pytest.raises(ValidationError):
        Clock.model_validate(stated)


def test_a_level_may_be_left_out():
    rules = Clock(remind=(), escalate=(Rung(level="bureau", after=2),))
    assert ticked(date(2026, 11, 16), [date(2026, 11, 18)], rules) == [(date(2026, 11, 18), "escalated", 3, 2)]
