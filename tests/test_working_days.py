"""Working days against the published calendar, and the arithmetic against a plain count."""

from __future__ import annotations

from datetime import date, timedelta

import chinese_calendar
import duckdb
import pytest

from quality_checks.working_days import (
    PUBLISHED_FROM,
    PUBLISHED_TO,
    add_workdays,
    calendar_sql,
    is_workday,
    workdays_between,
)


def every_day(first: date, last: date) -> list[date]:
    return [first + timedelta(days=step) for step in range((last - first).days + 1)]


def test_every_published_day_equals_the_official_calendar():
    days = every_day(PUBLISHED_FROM, PUBLISHED_TO)
    assert len(days) > 8000
    assert [is_workday(day) for day in days] == [(chinese_calendar.is_workday(day), False) for day in days]


def test_a_make_up_sunday_is_a_working_day_and_a_holiday_thursday_is_not():
    assert is_workday(date(2025, 1, 26)) == (True, False)
    assert is_workday(date(2026, 10, 1)) == (False, False)


def test_beyond_the_published_calendar_monday_to_friday_stand_in_provisionally():
    friday = date(2027, 10, 1)  # certainly a holiday, not yet published
    assert is_workday(friday) == (True, True)
    assert is_workday(friday + timedelta(days=1)) == (False, True)


def test_the_day_of_receipt_is_not_counted():
    assert add_workdays(date(2026, 11, 2), 10) == (date(2026, 11, 16), False)
    assert add_workdays(date(2026, 11, 2), 0) == (date(2026, 11, 2), False)


def test_a_deadline_over_the_national_day_holiday_uses_the_make_up_day():
    # 2026-10-01 to 07 are off, Saturday 2026-10-10 is worked.
    assert add_workdays(date(2026, 9, 30), 3) == (date(2026, 10, 10), False)


def test_a_deadline_that_reaches_into_an_unpublished_year_is_provisional():
    due, provisional = add_workdays(date(2026, 12, 25), 10)
    assert due == date(2027, 1, 8)
    assert provisional


def test_a_negative_number_of_days_is_refused():
    with pytest.raises(ValueError, match="n = -1"):
        add_workdays(date(2026, 11, 2), -1)


@pytest.mark.parametrize("n", [1, 2, 5, 10, 23])
def test_adding_and_counting_agree(n):
    for start in every_day(date(2026, 9, 1), date(2027, 1, 31)):
        due, _ = add_workdays(start, n)
        assert workdays_between(start, due) == n
        assert workdays_between(due, start) == -n
        assert is_workday(due)[0]


@pytest.mark.parametrize(
    ("first", "last"), [(date(2026, 9, 20), date(2027, 2, 28)), (date(2026, 11, 2), date(2026, 11, 8))]
)
def test_the_relation_says_the_same_as_the_functions(first, last):
    rows = duckdb.sql(calendar_sql(first, last)).order("day").fetchall()
    assert [(day, works, unsure) for day, works, unsure, _ in rows] == [
        (day, *is_workday(day)) for day in every_day(first, last)
    ]
    numbers = {day: number for day, _, _, number in rows}
    for day in every_day(first, last):
        assert numbers[day] - numbers[first] == workdays_between(first, day)
