"""The list of orders, one order in full, and the list as a file."""

from __future__ import annotations

import csv
from datetime import date

import pytest
from correction_loop import DAYS, RIGHT, WRONG, Loop
from python_calamine import CalamineWorkbook

from assets.orders import UnknownOrderError, export_orders, list_orders, show_order

LATER = date(2026, 11, 18)


@pytest.fixture(scope="module")
def city(small_city_at, tmp_path_factory):
    """One order half done and, by `LATER`, overdue; one done. Nobody does anything to it."""
    with small_city_at(tmp_path_factory.mktemp("orders") / "home") as city:
        fill(Loop(city))
        yield city


def fill(loop):
    loop.day(DAYS[0], {"a": WRONG, "b": WRONG, "c": RIGHT}, ["a", "b"])
    loop.day(DAYS[1], {"a": RIGHT, "b": WRONG, "c": WRONG}, ["b", "c"])
    loop.day(DAYS[2], {"a": RIGHT, "b": WRONG, "c": RIGHT}, ["b"])


def numbers(city, **wanted) -> list[str]:
    return [order.order_number for order in list_orders(city, **wanted)]


def test_orders_are_listed_by_state_and_department(city):
    first, second = "20261102-0001", "20261103-0001"
    assert numbers(city, as_of=DAYS[2]) == [first]
    assert numbers(city, as_of=DAYS[2], state="closed") == [second]
    assert numbers(city, as_of=DAYS[2], state="all") == [first, second]
    assert numbers(city, as_of=DAYS[2], state="overdue") == []
    assert numbers(city, as_of=LATER, state="overdue") == [first]
    assert numbers(city, as_of=LATER, state="all", department="civil_affairs") == []
    (order,) = list_orders(city, LATER)
    assert (order.overdue, order.items, order.open, order.closed, order.verified) == (True, 2, 1, 1, 1)


def test_an_unknown_state_is_refused_with_those_there_are(city):
    with pytest.raises(ValueError, match="must be one of: open, closed, overdue, held, accepted, all"):
        list_orders(city, LATER, state="late")


def test_an_order_is_shown_with_everything_that_happened_to_its_items(city):
    detail = show_order(city, "20261102-0001", LATER)
    assert detail.order.resource == "resident_registration"
    assert [(event.record_key, event.event, event.observed) for event in detail.events] == [
        ("a", "opened", str(WRONG)),
        ("a", "verified_as_suggested", str(RIGHT)),
        ("b", "opened", str(WRONG)),
        ("b", "still_wrong", str(WRONG)),
    ]
    with pytest.raises(UnknownOrderError, match="20261102-0009"):
        show_order(city, "20261102-0009", LATER)


def test_the_list_is_exported_as_csv_and_as_a_spreadsheet(city, tmp_path):
    assert export_orders(city, tmp_path / "orders.csv", LATER) == 2
    assert export_orders(city, tmp_path / "orders.xlsx", LATER, state="open") == 1
    with (tmp_path / "orders.csv").open(encoding="utf-8-sig", newline="") as text:
        rows = list(csv.DictReader(text))
    assert [row["order_number"] for row in rows] == ["20261102-0001", "20261103-0001"]
    header, row = CalamineWorkbook.from_path(tmp_path / "orders.xlsx").get_sheet_by_index(0).to_python()
    shown = dict(zip(header, row, strict=True))
    assert (shown["order_number"], shown["due_on"], shown["overdue"]) == ("20261102-0001", date(2026, 11, 16), True)
    with pytest.raises(ValueError, match=r"must end in one of \.csv, \.xlsx"):
        export_orders(city, tmp_path / "orders.pdf", LATER)
