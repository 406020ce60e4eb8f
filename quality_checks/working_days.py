"""Official working days of the PRC, make-up days included: the unit of every legal clock and of lateness.

The State Council publishes each year's holidays and make-up days in the autumn before; `chinesecalendar` carries them
from 2004 on. Outside the published years Monday to Friday stand in, and every answer says so with `provisional`.
Add arithmetic on working days here. Deadlines themselves (ten days from the notice) belong to their callers.
"""

from __future__ import annotations

from datetime import date, timedelta

from chinese_calendar import constants

PUBLISHED_FROM = date(min(constants.holidays).year, 1, 1)
PUBLISHED_TO = date(max(constants.holidays).year, 12, 31)
_DAY = timedelta(days=1)


def is_workday(day: date) -> tuple[bool, bool]:
    """Whether `day` is a working day, and whether that is provisional (its year is not published)."""
    if not PUBLISHED_FROM <= day <= PUBLISHED_TO:
        return day.weekday() < 5, True
    return day in constants.workdays or (day.weekday() < 5 and day not in constants.holidays), False


def add_workdays(day: date, n: int) -> tuple[date, bool]:
    """The n-th working day after `day`, which is not counted itself, and whether that is provisional.

    Raises:
        ValueError: `n` is negative.
    """
    if n < 0:
        raise ValueError(f"n = {n}: must be 0 or more working days")
    provisional = False
    while n > 0:
        day += _DAY
        works, unsure = is_workday(day)
        n -= works
        provisional |= unsure
    return day, provisional


def workdays_between(start: date, end: date) -> int:
    """Working days after `start` up to and including `end`; negative when `end` comes first.

    So `workdays_between(day, add_workdays(day, n)[0]) == n`.
    """
    if end < start:
        return -workdays_between(end, start)
    return sum(is_workday(start + _DAY * step)[0] for step in range(1, (end - start).days + 1))


def calendar_sql(first: date, last: date) -> str:
    """A DuckDB query for the calendar as a relation, one row per day from `first` to `last`.

    Columns: `day` DATE, `is_workday` BOOLEAN, `provisional` BOOLEAN, `workday_number` INTEGER (working days from
    `first` to `day`). Working days after a up to b are the difference of their numbers; the n-th working day after a is
    the first day whose number is a's plus n.
    """
    return f"""
        SELECT day, is_workday, provisional,
               (count(*) FILTER (is_workday) OVER (ORDER BY day))::INTEGER AS workday_number
        FROM (
            SELECT day, NOT day BETWEEN DATE '{PUBLISHED_FROM}' AND DATE '{PUBLISHED_TO}' AS provisional,
                   day IN ({_dates(constants.workdays, first, last)})
                   OR (isodow(day) < 6 AND day NOT IN ({_dates(constants.holidays, first, last)})) AS is_workday
            FROM (SELECT unnest(generate_series(DATE '{first}', DATE '{last}', INTERVAL 1 DAY))::DATE AS day)
        )"""


def _dates(days: dict[date, str], first: date, last: date) -> str:
    inside = [f"DATE '{day}'" for day in sorted(days) if first <= day <= last]
    return ", ".join(inside) or "DATE '0001-01-01'"  # a day no calendar holds
