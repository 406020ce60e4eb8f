"""One cause is one order, a storm waits for one look, a known problem is accepted until a day; nothing is lost."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import date

import duckdb
import pytest
from correction_loop import DAYS, RIGHT, RULE, WRONG, Loop
from python_calamine import CalamineWorkbook

from assets.corrections import advance
from assets.feedback import import_file
from assets.notices import issue
from assets.order_book import Act, OrderRefusedError, withdraw
from assets.order_rulings import Ruling, accept, enforce, hold, release
from assets.orders import UnknownOrderError, feedback_status, list_orders, show_order
from catalog.jurisdiction import Jurisdiction, Noise
from quality_checks.noise import causes_sql, storms_sql
from resources.ledger import verify_chain

DEPARTMENT, RESOURCE = "public_security", "public_security.resident_registration"
KEYS = [f"k{n}" for n in range(8)]
ALL_WRONG = dict.fromkeys(KEYS, WRONG)
CAUSE = Noise(systematic_share=0.6, systematic_rows=10, samples=2)  # the loop's rule is always counted on ten rows
STORM = Noise(storm_items=4, storm_share=0.5)
QUIET = Noise()


def loop_of(city, noise: Noise) -> Loop:
    return Loop(replace(city, catalog=replace(city.catalog, jurisdiction=Jurisdiction(noise=noise))))


def ruling(day: date, *orders: str, **more) -> Ruling:
    return Ruling("officer", "因故", day, orders, **more)


def events(loop: Loop, number: str = "20261102-0001") -> list[str]:
    return [row.event for row in show_order(loop.city, number, DAYS[0]).clock]


def outbox(loop: Loop, day: date, name: str, department: str = DEPARTMENT):
    return loop.city.home.outbox / department / day.isoformat() / name


def listed(loop: Loop, day: date, state: str = "all") -> list[tuple]:
    orders = list_orders(loop.city, day, state=state)
    return [(order.order_number, order.rule_id, order.state, order.cause, order.items, order.open) for order in orders]


def said(loop: Loop, day: date, rule: str, failing: list[str]) -> None:
    """Another rule of the resource is evaluated too, before the pass."""
    loop.check(day, failing, rule=rule)


# What counts as one cause and as a storm, in plain SQL.


@pytest.fixture
def counted():
    con = duckdb.connect()
    con.execute("CREATE SCHEMA quality")
    con.execute(
        "CREATE TABLE quality.results AS SELECT DATE '2026-11-02' AS as_of, * FROM (VALUES"
        " ('d', 'r', 'R1', 1000, 984, 'ok'), ('d', 'r', 'R2', 1000, 970, 'ok'), ('d', 'r', 'R3', 99, 99, 'ok'),"
        " ('d', 'r', 'R4', 1000, 1000, 'error'), ('d', 'r', 'R5', 0, 0, 'ok'), ('d', 'r', 'R6', 1000, 100, 'ok'))"
        " t(department, resource, rule_id, applicable, failed, state)"
    )
    con.execute("CREATE TABLE deliveries AS FROM (VALUES ('one', 100), ('two', NULL)) t(delivery_id, rows_delivered)")
    con.execute(
        "CREATE TABLE items AS SELECT 'd' AS department, 'r' AS resource, 'R6' AS rule_id, i::VARCHAR AS record_key,"
        " 'one' AS judged_delivery, false AS joined FROM range(100) t(i)"
    )
    return con


def test_one_cause_is_nearly_all_of_enough_rows_of_the_pass_or_of_a_delivery(counted):
    sql = causes_sql("items", "deliveries", QUIET, DAYS[0])
    found = {row[0]: row[1:] for row in counted.execute(f"SELECT rule_id, failing, rows, told FROM ({sql})").fetchall()}
    assert set(found) == {"R1", "R6"}  # R2 is below 98 %, R3 too few, R4 was not evaluated, R5 applied to nothing
    assert found["R1"][:2] == (984, 1000)
    assert found["R6"][:2] == (100, 100)  # a tenth of the pool, and all of the delivery
    assert "984 of 1000 rows (98.4 %) fail this rule: one cause is likely" in found["R1"][2]
    counted.execute("DELETE FROM quality.results WHERE rule_id = 'R1'")
    counted.execute("INSERT INTO quality.results VALUES ('2026-11-02', 'd', 'r', 'R1', 1000, 979, 'ok')")
    assert counted.execute(f"SELECT count(*) FROM ({sql}) WHERE rule_id = 'R1'").fetchone() == (0,)


@pytest.mark.parametrize(
    ("items", "share", "delivery", "held"),
    [
        (100, 0.5, "one", 0),  # more than, not as many as
        (99, 0.5, "one", 1),
        (99, 1.0, "one", 0),
        (99, 0.05, "two", 2),  # of a delivery of unknown size the rows of the pass, 100 of 1,000; so of the resource
        (99, 0.2, "two", 0),
    ],
)
def test_a_storm_is_more_items_at_once_in_more_of_the_rows(counted, items, share, delivery, held):
    counted.execute("UPDATE items SET judged_delivery = ?", [delivery])
    sql = storms_sql("items", "deliveries", Noise(storm_items=items, storm_share=share), DAYS[0])
    assert counted.execute(f"SELECT count(*) FROM ({sql})").fetchone() == (held,)
    counted.execute("UPDATE items SET joined = true")
    assert counted.execute(f"SELECT count(*) FROM ({sql})").fetchone() == (0,)


# One cause.


def test_one_cause_is_one_order_that_shows_samples_and_goes_on_until_it_ends(small_city, tmp_path):
    loop = loop_of(small_city, CAUSE)
    loop.deliver(DAYS[0], dict.fromkeys(KEYS[:3], WRONG))
    loop.deliver(DAYS[0], dict.fromkeys(KEYS[3:6], WRONG), mode="incremental")  # two deliveries, one cause
    loop.check(DAYS[0], KEYS[:6])
    for _ in range(2):
        advance(loop.city, DAYS[0], author="test")
        written = issue(loop.city, DAYS[0], author="test")
    assert listed(loop, DAYS[0]) == [("20261102-0001", RULE, "notified", "systematic", 6, 6)]
    assert events(loop) == ["opened", "systematic", "notified"]
    book = CalamineWorkbook.from_path(written[0])
    assert "6 of 10 rows (60.0 %) fail this rule" in book.get_sheet_by_index(0).to_python()[1][11]
    _, whole, *samples = book.get_sheet_by_index(1).to_python()
    assert (whole[0], whole[8]) == ("20261102-0001", "2026-11-16")
    assert [row[1] for row in samples] == KEYS[:2]
    with written[1].open(encoding="utf-8-sig", newline="") as text:
        assert [row[2] for row in list(csv.reader(text))[1:]] == KEYS[:6]
    [told] = json.loads(written[2].read_text("utf-8"))["orders"]
    assert (told["cause"], len(told["items"])) == ("systematic", 6)
    before = [path.read_bytes() for path in written]

    loop.deliver(DAYS[1], dict.fromkeys(KEYS[6:], WRONG), mode="incremental")
    loop.check(DAYS[1], KEYS)
    advance(loop.city, DAYS[1], author="test")
    more = issue(loop.city, DAYS[1], author="test")
    assert listed(loop, DAYS[1]) == [("20261102-0001", RULE, "notified", "systematic", 8, 8)]
    with more[1].open(encoding="utf-8-sig", newline="") as text:
        assert [(row[0], row[2], row[9]) for row in list(csv.reader(text))[1:]] == [
            ("20261102-0001", key, "2026-11-16") for key in KEYS[6:]
        ]
    assert set(loop.states().values()) == {"notified"}
    again = [path.read_bytes() for path in more]
    assert issue(loop.city, DAYS[1], author="test") == more
    assert [path.read_bytes() for path in more] == again
    assert issue(loop.city, DAYS[0], author="test") == written  # the day before as it was
    assert [path.read_bytes() for path in written] == before

    reply = tmp_path / "reply.json"
    row = {"item_id": "20261102-0001", "reply": "will_correct", "by_date": "2026-11-10"}
    one = {"item_id": whole_item(loop, "k0"), "reply": "objection", "explanation": "无误"}
    reply.write_text(json.dumps([row, one], ensure_ascii=False), "utf-8")
    receipt = import_file(loop.city, reply, DEPARTMENT, DAYS[1], author="test")
    assert (receipt.accepted, receipt.refusals) == (8, ())
    assert sorted(loop.states().values()) == ["acknowledged"] * 7 + ["objection_raised"]
    other = import_file(loop.city, changed(reply), "civil_affairs", DAYS[1], author="test")
    assert (other.accepted, {one.outcome for one in other.refusals}) == (0, {"unknown_item"})

    # The cause ends for all but one, and what is wrong then has an order of its own.
    loop.day(DAYS[2], {**dict.fromkeys(KEYS, RIGHT), "k8": WRONG}, ["k8"])
    assert listed(loop, DAYS[2], "open") == [("20261104-0001", RULE, "open", None, 1, 1)]
    assert events(loop)[-1] == "closed"
    assert verify_chain(loop.city.con) == []


def whole_item(loop: Loop, key: str) -> str:
    [[item]] = loop.city.con.execute("SELECT item_id FROM shuyuan.ledger.items WHERE record_key = ?", [key]).fetchall()
    return item


def changed(reply):
    other = reply.with_name("other.json")
    other.write_bytes(reply.read_bytes() + b"\n")
    return other


def test_an_order_stays_open_when_its_old_items_close_on_the_day_new_ones_join(small_city):
    loop = loop_of(small_city, CAUSE)
    loop.day(DAYS[0], ALL_WRONG, KEYS)
    issue(loop.city, DAYS[0], author="test")
    new = [f"n{n}" for n in range(8)]
    loop.day(DAYS[1], dict.fromkeys(KEYS, RIGHT) | dict.fromkeys(new, WRONG), new)
    assert listed(loop, DAYS[1]) == [("20261102-0001", RULE, "notified", "systematic", 16, 8)]
    issue(loop.city, DAYS[1], author="test")
    loop.day(DAYS[2], dict.fromkeys(KEYS + new, RIGHT), [])
    assert listed(loop, DAYS[2]) == [("20261102-0001", RULE, "closed", "systematic", 16, 0)]


# A storm.


def test_a_storm_waits_for_the_bureau_and_nothing_runs_before_it_is_released(small_city):
    loop = loop_of(small_city, STORM)
    loop.day(DAYS[0], {"k0": RIGHT, "k1": RIGHT}, [])
    loop.deliver(DAYS[1], ALL_WRONG)
    loop.check(DAYS[1], KEYS)
    said(loop, DAYS[1], "PSB-009", ["k1"])
    assert advance(loop.city, DAYS[1], author="test").orders_held == 2
    for _ in range(2):
        written = issue(loop.city, DAYS[1], author="test")
    assert written == [outbox(loop, DAYS[1], f"held.{kind}", "city") for kind in ("xlsx", "csv", "json")]
    first, second = json.loads(written[2].read_text("utf-8"))
    assert (first["order"], first["rule"], first["items"], first["items_of_resource"]) == ("20261103-0001", RULE, 8, 9)
    assert (first["failing_now"], first["rows_now"], first["failing_then"], first["rows_then"]) == (8, 10, 0, 10)
    assert first["last_good_delivery"].startswith("20261102")
    assert "9 items in 8 of 10 rows at once" in first["reason"]
    assert first["samples"].count("birth_date") == 3
    assert str(WRONG) not in first["samples"]
    assert (second["rule"], second["items"]) == ("PSB-009", 1)
    assert not outbox(loop, DAYS[1], "notice.xlsx").exists()
    assert set(loop.states().values()) == {"open"}
    late = date(2026, 12, 30)
    for day in (DAYS[2], DAYS[3], date(2026, 11, 28)):
        issue(loop.city, day, author="test")
    assert events(loop, "20261103-0001") == ["opened", "held", "still_held", "still_held"]
    assert json.loads(outbox(loop, DAYS[3], "held.json", "city").read_text("utf-8"))[0]["event"] == "still_held"
    assert list_orders(loop.city, late, state="overdue") == []
    assert [row.unanswered for row in feedback_status(loop.city, late)] == [0]
    assert not (loop.city.home.outbox / DEPARTMENT).exists()

    released = release(loop.city, ruling(date(2026, 11, 30), "20261103-0001"))
    assert [(one.event, one.state, one.due_on) for one in released] == [("notified", "notified", date(2026, 12, 14))]
    with outbox(loop, date(2026, 11, 30), "notice.csv").open(encoding="utf-8-sig", newline="") as text:
        assert [row[2] for row in list(csv.reader(text))[1:]] == KEYS
    assert release(loop.city, ruling(date(2026, 11, 30), "20261103-0001")) == released  # the same again: nothing more
    with pytest.raises(OrderRefusedError, match="event released in state notified"):
        release(loop.city, ruling(date(2026, 12, 1), "20261103-0001"))
    withdraw(loop.city, Act("20261103-0002", "officer", "规则有误", date(2026, 11, 30)))
    assert not outbox(loop, date(2026, 11, 30), "deadlines.csv").exists()  # the department never knew of it
    assert verify_chain(loop.city.con) == []


def test_a_corrected_delivery_ends_a_hold_without_the_department_having_been_told(small_city):
    loop = loop_of(small_city, STORM)
    loop.day(DAYS[0], ALL_WRONG, KEYS)
    issue(loop.city, DAYS[0], author="test")
    loop.day(DAYS[1], {**ALL_WRONG, "k9": WRONG}, [*KEYS, "k9"])  # more of the same while the bureau looks
    assert [row[2:5] for row in listed(loop, DAYS[1])] == [("held", None, 8), ("held", None, 1)]
    loop.day(DAYS[2], dict.fromkeys([*KEYS, "k9"], RIGHT), [])
    issue(loop.city, DAYS[2], author="test")
    assert set(loop.states().values()) == {"verified_as_suggested"}
    assert [row[2] for row in listed(loop, DAYS[2])] == ["closed", "closed"]
    assert not (loop.city.home.outbox / DEPARTMENT).exists()
    # It comes back: a storm again, and the deadline nobody was told of is not kept.
    loop.day(DAYS[3], ALL_WRONG, KEYS)
    assert [(o.state, o.due_on) for o in list_orders(loop.city, DAYS[3])] == [("held", date(2026, 11, 19))]
    with pytest.raises(OrderRefusedError, match="name either orders"):
        release(loop.city, ruling(DAYS[3]))
    done = release(loop.city, ruling(DAYS[3], resource=RESOURCE))
    assert [(one.state, one.due_on) for one in done] == [("notified", date(2026, 11, 19))]
    with pytest.raises(OrderRefusedError, match="there is no order that may be released"):
        release(loop.city, ruling(DAYS[4], resource=RESOURCE))


def test_the_bureau_holds_by_hand_only_what_was_not_sent(small_city):
    loop = loop_of(small_city, QUIET)
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    assert [one.state for one in hold(loop.city, ruling(DAYS[0], "20261102-0001"))] == ["held"]
    assert issue(loop.city, DAYS[0], author="test") == [
        outbox(loop, DAYS[0], f"held.{kind}", "city") for kind in ("xlsx", "csv", "json")
    ]
    release(loop.city, ruling(DAYS[1], "20261102-0001"))
    with pytest.raises(OrderRefusedError, match="event held in state notified"):
        hold(loop.city, ruling(DAYS[1], "20261102-0001"))
    with pytest.raises(UnknownOrderError, match="the ledger holds none of that number"):
        hold(loop.city, ruling(DAYS[1], "20261102-0007"))


# Known and accepted problems.


def test_an_accepted_problem_is_quiet_until_its_day_and_new_ones_stand_out(small_city):
    loop = loop_of(small_city, QUIET)
    loop.day(DAYS[0], {"a": WRONG, "b": RIGHT}, ["a"])
    issue(loop.city, DAYS[0], author="test")
    until = date(2026, 11, 25)
    [done] = accept(loop.city, ruling(DAYS[1], "20261102-0001"), until)
    assert (done.event, done.state) == ("accepted", "accepted")
    assert accept(loop.city, ruling(DAYS[1], resource=RESOURCE, rule=RULE), until) == [done]
    with pytest.raises(OrderRefusedError, match="or all are already"):
        accept(loop.city, ruling(DAYS[2], resource=RESOURCE, rule=RULE), until)
    assert [order.accepted_until for order in list_orders(loop.city, DAYS[1], state="accepted")] == [until]
    [told] = json.loads(outbox(loop, DAYS[1], "deadlines.json").read_text("utf-8"))
    assert (told["event"], told["evidence"]) == ("accepted", "until 2026-11-25, rule version 1")

    loop.deliver(DAYS[2], {"a": WRONG, "b": WRONG, "c": RIGHT})
    loop.check(DAYS[2], ["a", "b"])
    said(loop, DAYS[2], "AAA-000", ["c"])  # sorts before the other new order
    advance(loop.city, DAYS[2], author="test")
    written = issue(loop.city, DAYS[2], author="test")
    [stated] = json.loads(written[2].read_text("utf-8"))["orders"]
    assert stated["rule"] == "AAA-000"  # what is new, and nothing of what is accepted
    assert loop.states()["b"] == "open"
    for day in (date(2026, 11, 23), date(2026, 11, 24)):  # past the deadline of the accepted order
        issue(loop.city, day, author="test")
    assert events(loop) == ["opened", "notified", "accepted"]
    assert [row[0] for row in listed(loop, until, "overdue")] == ["20261104-0001"]

    for _ in range(2):
        written = issue(loop.city, until, author="test")
    assert events(loop) == ["opened", "notified", "accepted", "enforced", "notified"]
    assert [order.due_on for order in list_orders(loop.city, until) if order.rule_id == RULE] == [date(2026, 12, 9)]
    with written[1].open(encoding="utf-8-sig", newline="") as text:
        assert [row[2] for row in list(csv.reader(text))[1:]] == ["a", "b"]
    assert verify_chain(loop.city.con) == []


def test_an_acceptance_ends_by_a_new_version_of_the_rule_by_the_bureau_or_when_all_is_corrected(small_city):
    loop = loop_of(small_city, QUIET)
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    issue(loop.city, DAYS[0], author="test")
    accept(loop.city, ruling(DAYS[0], resource=RESOURCE, rule=RULE), date(2027, 1, 4))
    issue(loop.city, DAYS[1], author="test")
    assert events(loop)[-1] == "accepted"
    [done] = enforce(loop.city, ruling(DAYS[2], "20261102-0001"))
    assert (done.event, done.due_on) == ("notified", date(2026, 11, 18))
    accept(loop.city, ruling(DAYS[3], "20261102-0001"), date(2027, 1, 4))
    accept(loop.city, ruling(DAYS[3], "20261102-0001"), date(2027, 2, 4))  # to another day
    resource = loop.city.catalog.resources[RESOURCE]
    rules = tuple(r.model_copy(update={"version": 2}) if r.id == RULE else r for r in resource.rules)
    changed = {**loop.city.catalog.resources, RESOURCE: resource.model_copy(update={"rules": rules})}
    loop.city = replace(loop.city, catalog=replace(loop.city.catalog, resources=changed))
    issue(loop.city, DAYS[4], author="test")
    assert events(loop)[-4:] == ["accepted", "accepted", "enforced", "notified"]
    assert "new version: 2" in show_order(loop.city, "20261102-0001", DAYS[4]).clock[-2].reason
    for until, more, message in (
        (DAYS[4], {}, "must lie after 2026-11-06"),
        (date(2027, 1, 4), {"resource": RESOURCE}, "--rule: must be stated"),
        (date(2027, 1, 4), {"resource": RESOURCE, "rule": "PSB-009"}, "no order that may be accepted"),
    ):
        with pytest.raises(OrderRefusedError, match=message):
            accept(loop.city, ruling(DAYS[4], **more) if more else ruling(DAYS[4], "20261102-0001"), until)
    accept(loop.city, ruling(DAYS[5], "20261102-0001"), date(2027, 1, 4))
    loop.day(DAYS[6], {"a": RIGHT, "b": WRONG}, ["b"])
    assert listed(loop, DAYS[6], "accepted") == [("20261102-0001", RULE, "accepted", None, 2, 1)]
    loop.day(DAYS[7], {"a": RIGHT, "b": RIGHT, "c": RIGHT}, [])
    assert events(loop)[-2:] == ["accepted", "closed"]
    loop.day(DAYS[8], {"a": RIGHT, "b": RIGHT, "c": WRONG}, ["c"])  # nothing is accepted any more
    assert [row[:3] for row in listed(loop, DAYS[8], "open")] == [("20261110-0001", RULE, "open")]
