"""Official working days of the PRC, make-up days included: the unit of every legal clock and of lateness.

The State Council publishes each year's holidays and make-up days in the autumn before; `chinesecalendar` carries them
from 2004 on, and the catalogue's `holidays.csv` (`shuyuan calendar import`) adds years that its installed version does
not know and overrules it day by day. Outside the published years Monday to Friday stand in, and every answer says so
with `provisional`. Add arithmetic on working days here. Deadlines themselves belong to their callers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from chinese_calendar import constants

PUBLISHED_FROM = date(min(constants.holidays).year, 1, 1)
PUBLISHED_TO = date(max(constants.holidays).year, 12, 31)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Calendar:
    """Days that are not what their weekday says: `holidays` on Monday to Friday or not, `workdays` at a weekend or not.

    `years` are those that were published; a day of another year is provisional.
    """

    holidays: frozenset[date]
    workdays: frozenset[date]
    years: frozenset[int]

    @classmethod
    def with_table(cls, table: Mapping[date, bool]) -> Calendar:
        """The library's calendar and over it an imported one: days and whether each is a working day.

        A year is published when its 1 January is in the table: that day is a holiday in every one.
        """
        off, on = {day for day, works in table.items() if not works}, {day for day, works in table.items() if works}
        known = frozenset(range(PUBLISHED_FROM.year, PUBLISHED_TO.year + 1))
        return cls(
            frozenset((set(constants.holidays) | off) - on),
            frozenset((set(constants.workdays) | on) - off),
            known | {day.year for day in table if (day.month, day.day) == (1, 1)},
        )


PUBLISHED = Calendar.with_table({})


def is_workday(day: date, calendar: Calendar = PUBLISHED) -> tuple[bool, bool]:
    """Whether `day` is a working day, and whether that is provisional (its year is not published)."""
    works = day in calendar.workdays or (day.weekday() < 5 and day not in calendar.holidays)
    return works, day.year not in calendar.years


def add_workdays(day: date, n: int, calendar: Calendar = PUBLISHED) -> tuple[date, bool]:
    """The n-th working day after `day`, which is not counted itself, and whether that is provisional.

    Raises:
        ValueError: `n` is negative.
    """
    if n < 0:
        raise ValueError(f"n = {n}: must be 0 or more working days")
    provisional = False
    while n > 0:
        day += _DAY
        works, unsure = is_workday(day, calendar)
        n -= works
        provisional |= unsure
    return day, provisional


def workdays_between(start: date, end: date, calendar: Calendar = PUBLISHED) -> int:
    """Working days after `start` up to and including `end`; negative when `end` comes first.

    So `workdays_between(day, add_workdays(day, n)[0]) == n`.
    """
    if end < start:
        return -workdays_between(end, start, calendar)
    return sum(is_workday(start + _DAY * step, calendar)[0] for step in range(1, (end - start).days + 1))


def calendar_sql(first: date, last: date, calendar: Calendar = PUBLISHED) -> str:
    """A DuckDB query for the calendar as a relation, one row per day from `first` to `last`.

    Columns: `day` DATE, `is_workday` BOOLEAN, `provisional` BOOLEAN, `workday_number` INTEGER (working days from
    `first` to `day`). Working days after a up to b are the difference of their numbers; the n-th working day after a is
    the first day whose number is a's plus n.
    """
    years = ", ".join(map(str, sorted(year for year in calendar.years if first.year <= year <= last.year)))
    return f"""
        SELECT day, is_workday, provisional,
               (count(*) FILTER (is_workday) OVER (ORDER BY day))::INTEGER AS workday_number
        FROM (
            SELECT day, {f"year(day) NOT IN ({years})" if years else "true"} AS provisional,
                   day IN ({_dates(calendar.workdays, first, last)})
                   OR (isodow(day) < 6 AND day NOT IN ({_dates(calendar.holidays, first, last)})) AS is_workday
            FROM (SELECT unnest(generate_series(DATE '{first}', DATE '{last}', INTERVAL 1 DAY))::DATE AS day)
        )"""


def _dates(days: frozenset[date], first: date, last: date) -> str:
    inside = [f"DATE '{day}'" for day in sorted(days) if first <= day <= last]
    return ", ".join(inside) or "DATE '0001-01-01'"  # a day no calendar holds
