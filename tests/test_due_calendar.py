"""The due calendar: every delivery the cycle calls for and that is not there is named, with its working days."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from catalog.load import Catalog
from catalog.models import Cycle
from catalog.timing import MaxAge
from quality_checks.due_calendar import due_calendar
from quality_checks.punctuality import Delivery, judge
from resources.clock import ZONE


def told(catalog: Catalog, cycle: Cycle, came: list[date], as_of: date) -> list[tuple[str, str, str, int]]:
    resource = catalog.resources["public_security.resident_registration"]
    resource = resource.model_copy(update={"cycle": cycle, "published": date(2026, 10, 1)})
    deliveries = [Delivery(f"d{day}", day, "full", "pooled", None, 1, ()) for day in came]
    found = due_calendar([resource], {resource.id: deliveries}, as_of)
    return [(one.state, str(one.expected_as_of), str(one.due_on), one.late_by) for one in found]


DAILY = [date(2026, 11, 2), date(2026, 11, 3), date(2026, 11, 6)]
CASES = {
    "a gap and what is owed since": (
        Cycle.daily, DAILY, date(2026, 11, 11),
        [
            ("gap", "2026-11-04", "2026-11-04", 5), ("gap", "2026-11-05", "2026-11-05", 4),
            ("late", "2026-11-09", "2026-11-09", 2), ("late", "2026-11-10", "2026-11-10", 1),
        ],
    ),
    "rest days count where the cycle says so": (
        Cycle.every_day, [date(2026, 11, 6)], date(2026, 11, 9),
        [("late", "2026-11-07", "2026-11-07", 1), ("late", "2026-11-08", "2026-11-08", 1)],
    ),
    "in time": (Cycle.daily, DAILY[:2], date(2026, 11, 4), [("expected", "2026-11-04", "2026-11-04", 0)]),
    "a day late is no gap": (
        Cycle.weekly, [date(2026, 11, 2), date(2026, 11, 10)], date(2026, 11, 12),
        [("expected", "2026-11-17", "2026-11-17", 0)],
    ),
    "a week left out": (
        Cycle.weekly, [date(2026, 11, 2), date(2026, 11, 16)], date(2026, 11, 17),
        [("gap", "2026-11-09", "2026-11-09", 6), ("expected", "2026-11-23", "2026-11-23", 0)],
    ),
    "never, from the day of publication": (
        Cycle.monthly, [], date(2026, 11, 10), [("late", "2026-11-01", "2026-11-06", 2)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_missing_is_named_with_its_due_day_and_working_days(small_catalog: Catalog, case: str) -> None:
    cycle, came, as_of, expected = CASES[case]
    assert told(small_catalog, cycle, came, as_of) == expected


NOW = datetime(2026, 11, 3, 9, 30, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("cycle", "max_age", "arrived", "late"),
    [
        (Cycle.real_time, None, NOW - timedelta(minutes=15), 0),
        (Cycle.real_time, None, NOW - timedelta(minutes=16), 1),
        (Cycle.hourly, None, NOW - timedelta(minutes=90), 0),
        (Cycle.hourly, None, NOW - timedelta(minutes=100), 10),
        (Cycle.real_time, MaxAge(minutes=240), NOW - timedelta(minutes=239), 0),
        (Cycle.monthly, MaxAge(minutes=5), NOW - timedelta(minutes=9), 4),
    ],
)
def test_a_feed_of_minutes_is_late_by_the_clock_on_its_own_day(
    small_catalog: Catalog, cycle: Cycle, max_age: MaxAge | None, arrived: datetime, late: int
) -> None:
    resource = small_catalog.resources["public_security.resident_registration"]
    resource = resource.model_copy(update={"cycle": cycle, "max_age": max_age})
    came = [Delivery("d1", NOW.date(), "incremental", "pooled", None, 1, (), arrived=arrived)]
    [verdict] = [one for one in judge(resource, came, NOW.date(), NOW) if one.kind.name == "late"]
    assert (verdict.result.applicable, verdict.result.failed) == (1, int(late > 0))
    told = [(one.state, one.minutes_late) for one in due_calendar([resource], {resource.id: came}, NOW.date(), NOW)]
    assert told == ([("late", late)] if late else [("expected", 0)])


def test_a_pass_made_later_for_a_day_asks_a_feed_of_minutes_for_a_delivery_of_that_day(small_catalog: Catalog) -> None:
    resource = small_catalog.resources["public_security.resident_registration"]
    resource = resource.model_copy(update={"cycle": Cycle.real_time})
    came = [Delivery("d1", NOW.date(), "incremental", "pooled", None, 1, (), arrived=NOW)]
    following = NOW + timedelta(days=5)

    def late(day: date) -> int:
        return next(one.result.failed for one in judge(resource, came, day, following) if one.kind.name == "late")

    assert late(NOW.date()) == 0
    assert late(NOW.date() + timedelta(days=1)) == 1
    calendar = due_calendar([resource], {resource.id: came}, NOW.date() + timedelta(days=2), following)
    assert [(one.state, str(one.expected_as_of)) for one in calendar] == [
        ("late", "2026-11-04"),
        ("late", "2026-11-05"),
    ]


def test_at_midnight_a_feed_of_minutes_is_not_late_for_the_new_day(small_catalog: Catalog) -> None:
    resource = small_catalog.resources["public_security.resident_registration"]
    resource = resource.model_copy(update={"cycle": Cycle.real_time})
    midnight = datetime(2026, 11, 4, 0, 3, tzinfo=ZONE)
    came = [Delivery("d1", NOW.date(), "full", "pooled", None, 1, (), arrived=midnight - timedelta(minutes=9))]
    assert next(one.result.failed for one in judge(resource, came, midnight.date(), midnight)) == 0
    old = [Delivery("d1", NOW.date() - timedelta(days=9), "full", "pooled", None, 1, (), arrived=midnight)]
    assert next(one.result.failed for one in judge(resource, old, midnight.date(), midnight)) == 1
