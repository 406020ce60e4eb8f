"""The correction loop on a real ledger: what closes an item, what never does, and that the ledger cannot be bent."""

from __future__ import annotations

from datetime import date

import pytest
from correction_loop import DAYS, NUMBER, RIGHT, WRONG, Loop

from assets.corrections import CorrectionsSummary, advance
from quality_checks.working_days import add_workdays
from resources.ledger import verify_chain


@pytest.fixture
def loop(small_city):
    return Loop(small_city)


def test_a_new_finding_becomes_an_order_with_a_clock(loop):
    delivery = loop.deliver(DAYS[0], {"a": WRONG, "b": RIGHT, "c": WRONG})
    loop.check(DAYS[0], ["a", "c"])
    loop.check(DAYS[0], ["b"], rule="PSB-002", column="name", severity="info")
    assert advance(loop.city, DAYS[0], author="test") == CorrectionsSummary(1, 2, 0, 0, 1, 0, 0)
    assert loop.states() == {"a": "open", "c": "open"}
    ((number, held, due, provisional, items),) = loop.city.con.execute(
        "SELECT order_number, delivery_id, due_on, due_provisional, items FROM shuyuan.ledger.order_states"
    ).fetchall()
    assert (number, held, items) == ("20261102-0001", delivery, 2)
    assert (due, provisional) == add_workdays(DAYS[0], 10) == (date(2026, 11, 16), False)


def test_orders_are_grouped_by_rule_and_delivery(loop):
    loop.deliver(DAYS[0], {"a": WRONG}, mode="incremental")
    loop.deliver(DAYS[0], {"b": WRONG}, mode="incremental")
    loop.check(DAYS[0], ["a", "b"])
    loop.check(DAYS[0], ["a"], rule="PSB-002", column="name")
    assert advance(loop.city, DAYS[0], author="test").orders_opened == 3


def test_what_the_department_does_decides_how_an_item_ends(loop):
    keys = ["suggested", "otherwise", "ignored", "blanked", "deleted"]
    loop.day(DAYS[0], dict.fromkeys(keys, WRONG), keys)
    corrected = {"suggested": RIGHT, "otherwise": date(1990, 3, 3), "ignored": WRONG, "blanked": None}
    summary = loop.day(DAYS[1], corrected, ["ignored"])
    assert loop.states() == {
        "suggested": "verified_as_suggested",
        "otherwise": "verified_otherwise",
        "ignored": "still_wrong",
        "blanked": "blanked_at_source",
        "deleted": "removed_at_source",
    }
    assert summary == CorrectionsSummary(0, 0, 2, 0, 1, 0, 0)


def test_a_second_pass_over_the_same_state_adds_nothing(loop):
    loop.day(DAYS[0], {"a": WRONG, "b": WRONG}, ["a", "b"])
    once = loop.ledger()
    assert advance(loop.city, DAYS[0], author="again") == CorrectionsSummary(1, 2, 0, 0, 1, 0, 0)
    assert loop.ledger() == once
    loop.day(DAYS[1], {"a": RIGHT, "b": WRONG}, ["b"])
    twice = loop.ledger()
    assert advance(loop.city, DAYS[1], author="again").items_closed == 1
    assert loop.ledger() == twice
    assert len(twice) > len(once) > 0


def test_a_field_left_blank_or_a_record_left_out_stays_open_on_every_later_day(loop):
    loop.day(DAYS[0], {"blank": WRONG, "gone": WRONG, "x": RIGHT}, ["blank", "gone"])
    for day in DAYS[1:4]:
        loop.day(day, {"blank": None, "x": RIGHT}, [], name=f"day {day}")
        assert loop.states() == {"blank": "blanked_at_source", "gone": "removed_at_source"}
    loop.check(DAYS[4], [])
    advance(loop.city, DAYS[4], author="test")
    assert loop.states() == {"blank": "blanked_at_source", "gone": "removed_at_source"}
    loop.day(DAYS[5], {"blank": WRONG, "gone": RIGHT}, ["blank"])
    assert loop.states() == {"blank": "still_wrong", "gone": "verified_as_suggested"}


def test_blanking_the_field_a_value_is_compared_with_is_no_correction(loop):
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    loop.day(DAYS[1], {"a": WRONG}, [], number=None)
    assert loop.states() == {"a": "blanked_at_source"}
    loop.day(DAYS[2], {"a": RIGHT}, [])
    assert loop.states() == {"a": "verified_as_suggested"}


def test_blanking_what_a_value_depends_on_is_no_correction(loop, monkeypatch):
    place = f"{loop.department}.{loop.resource}"
    resource = loop.city.catalog.resources[place]
    rule = resource.rules[0].model_copy(update={"id": "PSB-902", "that": None, "depends": ("id_number",)})
    changed = resource.model_copy(update={"rules": (*resource.rules, rule)})
    monkeypatch.setitem(loop.city.catalog.resources, place, changed)
    for day, failing, number in ((DAYS[0], ["a"], NUMBER), (DAYS[1], [], None)):
        loop.deliver(day, {"a": WRONG}, number=number)
        loop.check(day, failing, rule="PSB-902")
        advance(loop.city, day, author="test")
    assert loop.states() == {"PSB-902 a": "blanked_at_source"}


def test_an_empty_delivery_verifies_nothing(loop):
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    loop.day(DAYS[1], {}, [])
    assert loop.states() == {"a": "removed_at_source"}


def test_a_feed_that_falls_silent_keeps_its_items_open_until_it_speaks(loop):
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    late = "public_security.resident_registration.delivery.late"
    loop.check(DAYS[3], [""], rule=late, column="", suggested=None)
    advance(loop.city, DAYS[3], author="test")
    assert loop.states() == {"a": "feed_silent", f"{late} ": "open"}
    loop.deliver(DAYS[4], {"a": RIGHT})
    loop.check(DAYS[4], [])
    loop.check(DAYS[4], [], rule=late, column="", suggested=None)
    advance(loop.city, DAYS[4], author="test")
    assert loop.states() == {"a": "verified_as_suggested", f"{late} ": "verified_otherwise"}


def test_an_incremental_delivery_without_the_record_proves_nothing(loop):
    loop.day(DAYS[0], {"a": WRONG, "b": WRONG}, ["a", "b"], mode="incremental")
    loop.day(DAYS[1], {"b": RIGHT}, ["a"], mode="incremental")
    assert loop.states() == {"a": "open", "b": "verified_as_suggested"}


def test_a_finding_that_goes_away_without_the_department_is_no_correction(loop):
    loop.day(DAYS[0], {"a": WRONG, "b": WRONG}, ["a", "b"])
    loop.check(DAYS[1], ["b"])
    summary = advance(loop.city, DAYS[1], author="test")
    assert loop.states() == {"a": "resolved_elsewhere", "b": "open"}
    assert summary.items_closed == 1
    # The same words again in a full delivery are no correction either.
    loop.day(DAYS[2], {"a": WRONG, "b": WRONG}, [])
    assert loop.states()["b"] == "resolved_elsewhere"


def test_touching_another_field_is_no_correction_of_a_value_compared_with_others(loop):
    rule = "population.birth_date.agrees"
    loop.deliver(DAYS[0], {"a": WRONG})
    loop.check(DAYS[0], ["a"], rule=rule)
    advance(loop.city, DAYS[0], author="test")
    loop.deliver(DAYS[1], {"a": WRONG}, name="renamed")
    loop.check(DAYS[1], [], rule=rule)
    advance(loop.city, DAYS[1], author="test")
    assert loop.states() == {f"{rule} a": "resolved_elsewhere"}


def test_a_relapse_reopens_the_same_item_under_a_new_order_with_the_old_deadline(loop):
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    assert loop.day(DAYS[1], {"a": RIGHT}, []) == CorrectionsSummary(0, 0, 1, 0, 0, 0, 1)
    summary = loop.day(DAYS[2], {"a": WRONG}, ["a"])
    assert summary == CorrectionsSummary(1, 0, 0, 1, 1, 0, 0)
    assert loop.events("a") == ["opened", "verified_as_suggested", "reopened"]
    rows = loop.city.con.execute(
        "SELECT state, relapses, due_on FROM shuyuan.ledger.item_states WHERE record_key = 'a'"
    ).fetchall()
    assert rows == [("reopened", 1, add_workdays(DAYS[0], 10)[0])]
    orders = loop.city.con.execute(
        "SELECT order_number, open, closed, verified, relapsed, closed_on FROM shuyuan.ledger.order_states ORDER BY ALL"
    ).fetchall()
    assert orders == [("20261102-0001", 0, 1, 0, 1, DAYS[1]), ("20261104-0001", 1, 0, 0, 1, None)]


def test_a_rule_that_failed_to_run_settles_nothing(loop):
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    loop.deliver(DAYS[1], {"a": RIGHT})
    loop.check(DAYS[1], [], state="error")
    advance(loop.city, DAYS[1], author="test")
    assert loop.states() == {"a": "open"}


def test_items_of_a_withdrawn_rule_are_closed_as_such(loop):
    loop.deliver(DAYS[0], {"a": WRONG})
    loop.check(DAYS[0], ["a"], rule="PSB-OLD")
    advance(loop.city, DAYS[0], author="test")
    assert loop.states() == {"PSB-OLD a": "open"}
    advance(loop.city, DAYS[1], author="test")
    assert loop.states() == {"PSB-OLD a": "rule_withdrawn"}


def test_an_order_is_overdue_after_its_last_working_day(loop):
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    assert advance(loop.city, date(2026, 11, 16), author="test").orders_overdue == 0
    assert advance(loop.city, date(2026, 11, 17), author="test").orders_overdue == 1


def test_a_value_no_text_column_of_the_ledger_can_hold_does_not_stop_the_pass(loop):
    loop.deliver(DAYS[0], {"a": WRONG})
    loop.check(DAYS[0], ["a"])
    loop.city.commit("city", lambda con: con.execute("UPDATE quality.findings SET reason = 'x' || chr(0)"), author="t")
    advance(loop.city, DAYS[0], author="test")
    assert loop.city.con.execute("SELECT reason FROM shuyuan.ledger.item_states").fetchall() == [("x␀",)]


def three_days(loop):
    loop.day(DAYS[0], {"a": WRONG, "b": WRONG}, ["a", "b"])
    loop.day(DAYS[1], {"a": RIGHT, "b": WRONG}, ["b"])
    loop.day(DAYS[2], {"a": RIGHT, "b": RIGHT}, [])


# What is done to the ledger, the batch that must be named, a word of the reason.
TAMPERINGS = (
    ("UPDATE ledger.events SET state = 'verified_otherwise' WHERE event = 'still_wrong'", 2, "changed"),
    ("UPDATE ledger.items SET record_key = 'z' WHERE record_key = 'b'", 1, "changed"),
    ("UPDATE ledger.orders SET due_on = due_on + 1", 1, "changed"),
    ("UPDATE ledger.batches SET author = 'somebody' WHERE batch = 2", 2, "changed"),
    ("UPDATE ledger.batches SET digest = md5(digest) WHERE batch = 2", 2, "changed"),
    ("DELETE FROM ledger.events WHERE event = 'still_wrong'", 2, "changed"),
    ("DELETE FROM ledger.batches WHERE batch = 2", 2, "rows without their batch"),
    ("DELETE FROM ledger.batches WHERE batch = 2; DELETE FROM ledger.events WHERE batch = 2", 3, "missing"),
    ("UPDATE ledger.events SET batch = 3 WHERE batch = 2", 2, "changed"),
    (
        """INSERT INTO ledger.items (item_id, serial, finding_id, department, resource, rule_id, record_key,
            column_name, opened_on, batch) SELECT 'x', 1000, 'x', department, resource, rule_id, '', '', opened_on, 1
            FROM ledger.orders""",
        1,
        "c",
    ),
)


def test_tampering_by_the_owner_is_found_and_the_first_broken_batch_named(loop):
    three_days(loop)
    assert verify_chain(loop.city.con) == []
    for tampering, batch, reason in TAMPERINGS:
        with loop.undone() as cursor:
            cursor.execute(tampering)
            assert cursor.rowcount > 0, tampering
            (broken,) = verify_chain(loop.city.con)
            assert (broken.department, broken.batch) == ("public_security", batch), tampering
            assert reason in broken.reason, tampering
    assert verify_chain(loop.city.con) == []


def test_a_batch_that_cannot_be_written_whole_leaves_nothing(loop):
    loop.deliver(DAYS[0], {"a": WRONG})
    loop.check(DAYS[0], ["a"])
    with loop.city.server.session("owner") as cursor:
        cursor.execute("ALTER TABLE ledger.batches ADD CONSTRAINT nobody CHECK (author <> 'test')")
    with pytest.raises(Exception, match="nobody"):
        advance(loop.city, DAYS[0], author="test")
    assert loop.ledger() == []
    advance(loop.city, DAYS[0], author="somebody")
    assert loop.states() == {"a": "open"}
