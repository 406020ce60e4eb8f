"""The due calendar: every delivery the cycle calls for and that is not there is named, with its working days."""

from __future__ import annotations

from datetime import date

import pytest

from catalog.load import Catalog
from catalog.models import Cycle
from quality_checks.due_calendar import due_calendar
from quality_checks.punctuality import Delivery


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
