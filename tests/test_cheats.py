"""The six ways to cheat: none gives a department better figures than leaving the wrong value where it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from correction_loop import DAYS, RIGHT, WRONG, Loop
from test_ledger import answered

from assets.corrections import advance
from assets.notices import issue
from quality_checks.corrections import ItemEvent
from quality_checks.working_days import add_workdays
from resources.ledger import verify_chain

IDLE = {"open": 2, "corrected": 0, "relapses": 0, "verified": 0, "relapsed": 0}  # two wrong records, left as they are
DUE = add_workdays(DAYS[0], 10)[0]


@pytest.fixture
def loop(small_city):
    """Two wrong records, accused on the first day."""
    loop = Loop(small_city)
    loop.day(DAYS[0], {"a": WRONG, "b": WRONG}, ["a", "b"])
    assert loop.figures() == IDLE
    return loop


def test_doing_nothing(loop):
    loop.day(DAYS[1], {"a": WRONG, "b": WRONG}, ["a", "b"])
    assert loop.figures() == IDLE


def test_cheat_deleting_the_record(loop):
    loop.day(DAYS[1], {"a": WRONG}, ["a"])
    assert loop.states() == {"a": "still_wrong", "b": "removed_at_source"}
    loop.day(DAYS[2], {"a": WRONG}, ["a"])
    assert loop.figures() == IDLE
    loop.day(DAYS[3], {"a": WRONG, "b": WRONG}, ["a", "b"])  # and bringing it back
    assert loop.states() == {"a": "still_wrong", "b": "still_wrong"}
    assert loop.figures() == IDLE


def test_cheat_blanking_the_field(loop):
    loop.day(DAYS[1], {"a": WRONG, "b": None}, ["a"])
    assert loop.states() == {"a": "still_wrong", "b": "blanked_at_source"}
    assert loop.figures() == IDLE


def test_cheat_stopping_the_feed(loop):
    loop.check(DAYS[4], [""], rule=f"{loop.department}.{loop.resource}.delivery.late", column="")
    advance(loop.city, DAYS[4], author="test")
    assert loop.states()["a"] == loop.states()["b"] == "feed_silent"
    assert loop.figures() == {**IDLE, "open": 3}  # the silence is an item of its own


def test_cheat_changing_the_key(loop):
    loop.deliver(DAYS[1], {"a": WRONG})
    loop.deliver(DAYS[1], {"b2": WRONG}, mode="incremental", name="only")  # first: a record of its own content
    loop.check(DAYS[1], ["a", "b2"])
    advance(loop.city, DAYS[1], author="test")
    assert loop.states() == {"a": "still_wrong", "b": "removed_at_source", "b2": "open"}
    before = loop.figures()
    loop.deliver(DAYS[2], {"a": WRONG})
    loop.deliver(DAYS[2], {"b3": WRONG}, mode="incremental", name="only")
    loop.check(DAYS[2], ["a", "b3"])
    advance(loop.city, DAYS[2], author="test")
    assert loop.states() == {"a": "still_wrong", "b": "removed_at_source", "b2": "key_changed", "b3": "open"}
    assert loop.figures() == {**before, "open": before["open"] + 1}
    # Found under its new key and put right there, the old one is still to be explained.
    loop.deliver(DAYS[3], {"a": WRONG})
    loop.deliver(DAYS[3], {"b3": RIGHT}, mode="incremental", name="only")
    loop.check(DAYS[3], ["a"])
    advance(loop.city, DAYS[3], author="test")
    assert loop.states()["b2"] == "key_changed"


def test_a_twin_that_was_always_there_is_no_changed_key(loop):
    """Records with the same content but the key: nothing is said of a key when one of them goes."""
    loop.day(DAYS[1], {"a": WRONG}, ["a"])
    assert loop.states()["b"] == "removed_at_source"


def test_cheat_moving_the_record_to_another_resource(loop):
    """Told from a deletion when the other resource states the same key with the same wrong value, later."""
    city, resource = loop.city, loop.city.catalog.resources[f"{loop.department}.{loop.resource}"]
    other = resource.model_copy(update={"name": "moved_persons"})
    catalog = replace(city.catalog, resources={**city.catalog.resources, other.id: other})
    city.con.execute(
        f"BEGIN; CREATE TABLE {other.id} AS FROM {resource.id} LIMIT 0;"
        f" CALL {loop.department}.set_commit_message('test', ''); COMMIT"
    )
    loop.city = replace(city, catalog=catalog)
    elsewhere = Loop(loop.city, resource=other.name, deliveries=100)
    loop.deliver(DAYS[1], {"c": RIGHT})
    elsewhere.deliver(DAYS[1], {"a": RIGHT, "b": WRONG})
    loop.check(DAYS[1], [])
    advance(loop.city, DAYS[1], author="test")
    assert loop.states() == {"a": "removed_at_source", "b": "moved"}
    assert loop.figures() == IDLE
    loop.day(DAYS[2], {"b": WRONG}, ["b"])
    assert loop.states() == {"a": "removed_at_source", "b": "still_wrong"}


def test_cheat_saying_corrected_and_doing_nothing(loop):
    assert answered(loop, ItemEvent.corrected, "a", "b") == 2
    assert loop.figures() == IDLE
    loop.day(DAYS[2], {"a": WRONG, "b": WRONG}, ["a", "b"])
    assert loop.states() == {"a": "still_wrong", "b": "still_wrong"}
    assert answered(loop, ItemEvent.corrected, "a", "b") == 2
    assert loop.states() == {"a": "still_wrong", "b": "still_wrong"}
    assert loop.figures() == IDLE


def test_cheat_correcting_for_one_day(loop):
    issue(loop.city, DAYS[0], author="test")
    loop.day(DAYS[1], {"a": RIGHT, "b": WRONG}, ["b"])
    loop.day(DAYS[2], {"a": WRONG, "b": WRONG}, ["a", "b"])
    assert loop.states() == {"a": "reopened", "b": "still_wrong"}
    figures = loop.figures()
    assert figures == {**IDLE, "relapses": 1, "relapsed": 2}  # counted in the order it left and in the one it came to
    items = loop.city.con.execute("SELECT count(*) FROM shuyuan.ledger.items").fetchone()
    assert items == (2,)  # the same item, with its history
    assert loop.events("a") == ["opened", "notified", "verified_as_suggested", "reopened"]
    issue(loop.city, DAYS[2], author="test")
    assert loop.due_on("a") == loop.due_on("b") == DUE  # and no day was gained, however often
    loop.day(DAYS[3], {"a": RIGHT, "b": WRONG}, ["b"])
    loop.day(DAYS[9], {"a": WRONG, "b": WRONG}, ["a", "b"])
    assert loop.due_on("a") == DUE
    loop.day(DUE, {"a": RIGHT, "b": WRONG}, ["b"])
    loop.day(DUE + timedelta(days=1), {"a": WRONG, "b": WRONG}, ["a", "b"])  # the old order's time is over
    assert loop.due_on("a") == add_workdays(DUE + timedelta(days=1), 10)[0]
    assert loop.figures() == {**IDLE, "relapses": 3, "relapsed": 4}
    assert verify_chain(loop.city.con) == []


def test_a_relapse_on_the_last_day_has_one_working_day_and_new_findings_have_all_of_theirs(loop):
    loop.day(DAYS[1], {"a": RIGHT, "b": WRONG}, ["b"])
    loop.day(DUE, {"a": WRONG, "b": WRONG, "c": WRONG}, ["a", "b", "c"])
    assert loop.due_on("a") == add_workdays(DUE, 1)[0]
    assert loop.due_on("c") == add_workdays(DUE, 10)[0]
