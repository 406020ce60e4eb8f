"""F03: what is usual is learned from accepted deliveries of the same season, and a bad run cannot change it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from pydantic import ValidationError

from catalog.load import Catalog
from catalog.models import Cycle, Resource
from catalog.timing import AcceptedVolume, MaxAge, Volume
from quality_checks.volume import Band, band_of_last

MONDAY = date(2026, 3, 2)


@pytest.fixture
def resource(small_catalog: Catalog) -> Resource:
    return small_catalog.resources["public_security.resident_registration"]


def last(resource: Resource, rows: Sequence[int], step: int = 7) -> Band:
    return band_of_last(resource, [(MONDAY + timedelta(days=step * n), count) for n, count in enumerate(rows)])


def outside(resource: Resource, *rows: int, step: int = 7) -> bool:
    return last(resource, rows, step).odd


def test_it_takes_a_history_to_accuse_and_nothing_at_all_is_never_usual(resource: Resource) -> None:
    assert last(resource, [1000]) == Band(0, 0.0, 0.0, 0.0, False)
    assert outside(resource, 1000, 300)  # whoever was there is gone: one delivery before suffices
    assert not outside(resource, 300, 1000)  # one small first delivery says nothing about growth
    assert not outside(resource, 1000, 1010, 2500)
    assert outside(resource, 1000, 1010, 1020, 2500)
    assert not outside(resource, 5, 9, 14, 25)  # a handful of rows
    for before in ([], [0], [1], [3, 2, 1], [1000] * 20):
        assert outside(resource, *before, 0)


@pytest.mark.parametrize("step", [1, 7])
@pytest.mark.parametrize("bad", [400, 2600])
def test_a_run_of_bad_deliveries_does_not_move_the_band(resource: Resource, bad: int, step: int) -> None:
    good = [1000, 1004, 998, 1001, 1003, 999, 1002, 1000, 1001, 1000, 1003, 1002]
    assert outside(resource, *good, *[bad] * 30, bad, step=step)
    assert not outside(resource, *good, *[bad] * 30, 1005, step=step)
    poisoned, clean = last(resource, [*good, *[bad] * 30, 1005], step), last(resource, [*good, 1005], step)
    assert abs(poisoned.expected - clean.expected) < 5


def test_the_band_narrows_once_the_usual_is_well_known_and_widens_where_it_swings(resource: Resource) -> None:
    assert not outside(resource, 1000, 1000, 1000, 700)
    assert outside(resource, *[1000] * 8, 700)
    swinging = [1000, 1600, 700, 1500, 800, 1400, 900, 1550, 750, 1450]
    assert not outside(resource, *swinging, 700)
    assert not outside(resource.model_copy(update={"volume": Volume(band=0.4)}), *[1000] * 8, 700)


def test_a_season_is_no_accusation(resource: Resource) -> None:
    """Two thirds on Saturdays and Sundays; two thirds on a Wednesday, and the whole on a Sunday, are odd later on."""
    market = resource.model_copy(update={"cycle": Cycle.every_day})
    weeks = [10_000, 10_100, 9_900, 10_050, 10_000, 6_500, 6_000] * 10
    history = [(MONDAY + timedelta(days=n), rows) for n, rows in enumerate(weeks)]
    assert not any(band_of_last(market, history[: n + 1]).odd for n in range(len(history)))
    assert outside(market, *weeks, 10_000, 10_000, 6_500, step=1)
    assert outside(market, *weeks, *weeks[:6], 10_000, step=1)


def test_a_closed_month_is_usual_for_its_season_once_the_bureau_says_so(resource: Resource) -> None:
    """Schools report a fifth in August: three accepted Augusts are known, the fourth needs no word, a June does."""
    years = [(date(2022 + n // 12, n % 12 + 1, 5), 200 if n % 12 == 7 else 1000) for n in range(56)]
    schools = resource.model_copy(update={"cycle": Cycle.monthly})
    assert band_of_last(schools, years).odd
    augusts = [
        AcceptedVolume.model_validate({"from": f"{year}-08-01", "to": f"{year}-08-31", "reason": "暑期在校人数"})
        for year in (2022, 2023, 2024, 2025)
    ]
    told = schools.model_copy(update={"volume": Volume(accepted=tuple(augusts[:3]))})
    odd = [day for n, (day, _) in enumerate(years) if band_of_last(told, years[: n + 1]).odd]
    assert odd == []
    assert band_of_last(told, [*years[:54], (date(2026, 7, 5), 200)]).odd
    assert band_of_last(told, [*years[:43], (date(2025, 8, 5), 0)]).odd


def test_a_change_for_good_is_usual_from_the_day_the_bureau_accepts_it(resource: Resource) -> None:
    merged = [1000] * 10 + [4000] * 4
    since = MONDAY + timedelta(days=70)
    assert outside(resource, *merged)
    accepted = Volume(accepted=(AcceptedVolume(from_=since, reason="两区合并，登记并入"),))
    told = resource.model_copy(update={"volume": accepted})
    assert not outside(told, *merged)
    assert outside(told, *merged, 1000)  # what was usual before counts no more
    assert outside(told, *merged[:11], 0)
    later = Volume(accepted=(AcceptedVolume(from_=since + timedelta(days=400), reason="尚未发生"),))
    assert outside(resource.model_copy(update={"volume": later}), *merged)


def test_a_statement_without_reason_or_with_two_clocks_is_refused() -> None:
    with pytest.raises(ValidationError, match="reason"):
        AcceptedVolume.model_validate({"from": "2026-01-01", "reason": " "})
    for wrong in ({}, {"minutes": 5, "days": 1}):
        with pytest.raises(ValidationError, match="either minutes, or days"):
            MaxAge.model_validate(wrong)
