"""What people and time do to orders: questions, extensions, levels, moves to the right department; each kept once."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import date

import pytest
from correction_loop import DAYS, RIGHT, WRONG, Loop

from assets.feedback import import_file
from assets.notices import issue
from assets.order_book import Act, OrderRefusedError, answer, escalate, extend, transfer, withdraw
from assets.orders import UnknownOrderError, feedback_status, list_orders, show_order
from catalog.jurisdiction import Clock, Jurisdiction
from resources.ledger import verify_chain

DEPARTMENT, NUMBER = "public_security", "20261102-0001"
QUIET = [date(2026, 11, day) for day in (10, 11, 12, 16, 17, 19, 20, 23, 28)]


@pytest.fixture(scope="module")
def notified(small_city_at, tmp_path_factory):
    home = tmp_path_factory.mktemp("notified") / "home"
    with small_city_at(home) as city:
        Loop(city).day(DAYS[0], {"a": WRONG, "b": WRONG}, ["a", "b"])
        issue(city, DAYS[0], author="test")
    return home


@pytest.fixture
def loop(small_city_at, notified, tmp_path):
    """Two items, notified on 2 November, due on the 16th."""
    with small_city_at(tmp_path / "home", notified) as city:
        yield Loop(city, deliveries=1)


def act(day: date, reason: str = "因故", **more) -> Act:
    return Act(NUMBER, "officer", reason, day, **more)


def reply(loop: Loop, tmp_path, key: str, code: str, day: date, department: str = DEPARTMENT, **more):
    [[item]] = loop.city.con.execute(
        "SELECT item_id FROM shuyuan.ledger.item_states WHERE record_key = ? AND department = ?", [key, department]
    ).fetchall()
    path = tmp_path / "reply.json"
    path.write_text(json.dumps([{"item_id": item, "reply": code, **more}], ensure_ascii=False), "utf-8")
    return import_file(loop.city, path, department, day, author="test")


def clock(loop: Loop, number: str = NUMBER) -> list[tuple]:
    detail = show_order(loop.city, number, DAYS[0])
    return [(row.event, row.state, str(row.due_on), row.level) for row in detail.clock]


def test_a_question_stops_the_clock_until_it_is_answered(loop, tmp_path):
    asked = reply(loop, tmp_path, "a", "needs_information", date(2026, 11, 5), explanation="哪一本底册?")
    assert asked.accepted == 1
    [order] = list_orders(loop.city, date(2026, 11, 30))
    assert (order.state, order.overdue) == ("paused", False)
    for day in (date(2026, 11, 6), date(2026, 11, 20)):
        issue(loop.city, day, author="test")
    done = answer(loop.city, act(date(2026, 11, 23), "2019年底册第3页"))
    # 10 working days less the 3 before the question: 7 after the answer.
    assert (done.event, done.state, done.due_on, done.items) == ("resumed", "notified", date(2026, 12, 2), 1)
    assert loop.states() == {"a": "notified", "b": "notified"}
    assert clock(loop) == [
        ("opened", "open", "2026-11-16", 0),
        ("notified", "notified", "2026-11-16", 0),
        ("paused", "paused", "2026-11-16", 0),
        ("resumed", "notified", "2026-12-02", 0),
    ]
    with pytest.raises(OrderRefusedError, match="event resumed in state notified"):
        answer(loop.city, act(date(2026, 11, 24)))
    assert verify_chain(loop.city.con) == []


def test_a_question_that_settles_by_itself_keeps_no_clock_standing_and_the_status_counts_what_is_owed(loop, tmp_path):
    reply(loop, tmp_path, "b", "will_correct", DAYS[0], by_date="2026-11-09")
    reply(loop, tmp_path, "a", "needs_information", DAYS[1], explanation="?")
    [status] = feedback_status(loop.city, date(2026, 11, 17))
    assert (status.department, status.orders_open, status.orders_paused, status.items_open) == (DEPARTMENT, 1, 1, 2)
    assert (status.asked, status.acknowledged, status.promised_past, status.files) == (1, 1, 1, 2)
    assert (status.unanswered, status.last_reply) == (0, DAYS[1])
    loop.day(DAYS[2], {"a": RIGHT, "b": WRONG}, ["b"])
    issue(loop.city, DAYS[2], author="test")
    assert clock(loop)[-1] == ("resumed", "notified", "2026-11-17", 0)


MAY_NOT = [
    (date(2026, 11, 17), 5, "因故", "was due on 2026-11-16"),
    (DAYS[1], 11, "因故", "must be 1 to 10 working days"),
    (DAYS[1], 0, "因故", "must be 1 to 10 working days"),
    (DAYS[1], 5, " ", "reason: must be stated"),
    (date(2026, 11, 1), 5, "因故", "must not lie before 2026-11-02"),
]


def test_one_extension_and_no_second_and_none_when_the_time_is_over(loop):
    for day, days, reason, message in MAY_NOT:
        with pytest.raises(OrderRefusedError, match=message):
            extend(loop.city, act(day, reason), days)
    assert len(clock(loop)) == 2
    done = extend(loop.city, act(date(2026, 11, 16)), 5)
    assert (done.event, done.due_on) == ("extended", date(2026, 11, 23))
    with pytest.raises(OrderRefusedError, match="an order is extended once"):
        extend(loop.city, act(date(2026, 11, 17)), 1)
    shown = loop.city.home.outbox / DEPARTMENT / "2026-11-16" / "deadlines.csv"
    [row] = csv.DictReader(shown.open(encoding="utf-8-sig", newline=""))
    assert (row["event"], row["due_on"], row["actor"], row["reason"]) == ("extended", "2026-11-23", "officer", "因故")


def test_time_reminds_and_escalates_each_once_and_the_bureau_is_told_from_its_level_on(loop):
    for day in QUIET:
        issue(loop.city, day, author="test")
    issue(loop.city, QUIET[-1], author="test")
    assert clock(loop)[2:] == [
        ("reminded", "notified", "2026-11-16", 0),
        ("escalated", "notified", "2026-11-16", 1),
        ("escalated", "notified", "2026-11-16", 2),
        ("escalated", "notified", "2026-11-16", 3),
    ]
    outbox = loop.city.home.outbox
    told = {path.parent.name: path for path in (outbox / DEPARTMENT).glob("*/deadlines.json")}
    assert sorted(told) == ["2026-11-11", "2026-11-17", "2026-11-19", "2026-11-23"]
    assert [json.loads(told[day].read_text("utf-8"))[0]["addressee"] for day in sorted(told)] == [
        "信息科", "信息科", "首席数据官", "数据主管部门 data bureau",
    ]  # fmt: skip
    assert [path.parent.name for path in (outbox / "city").glob("*/deadlines.xlsx")] == ["2026-11-23"]
    done = escalate(loop.city, act(date(2026, 11, 29)))
    assert (done.level, done.state) == (4, "notified")
    shown = outbox / DEPARTMENT / "2026-11-29" / "deadlines.json"
    shown.unlink()  # as if it had been killed before the department was told
    assert escalate(loop.city, act(date(2026, 11, 29))) == done
    assert json.loads(shown.read_text("utf-8"))[0]["level"] == 4
    with pytest.raises(OrderRefusedError, match="last level, supervision_list"):
        escalate(loop.city, act(date(2026, 11, 29), "仍未办"))


def test_a_department_sees_and_changes_its_own_orders_alone_and_one_withdrawn_is_not_due(loop):
    with pytest.raises(UnknownOrderError, match="the ledger holds none of that number"):
        show_order(loop.city, NUMBER, DAYS[0], department="civil_affairs")
    for what in (answer, withdraw, escalate, transfer):
        with pytest.raises(UnknownOrderError, match="the ledger holds none of that number"):
            what(loop.city, act(DAYS[1], department="civil_affairs"))
    assert list_orders(loop.city, DAYS[0], department="civil_affairs", state="all") == []
    assert feedback_status(loop.city, DAYS[0], department="civil_affairs") == []
    assert not (loop.city.home.outbox / "civil_affairs").exists()
    assert show_order(loop.city, NUMBER, DAYS[0], department=DEPARTMENT).order.order_number == NUMBER
    withdraw(loop.city, act(DAYS[1]))
    assert list_orders(loop.city, date(2026, 12, 30), state="overdue") == []
    loop.day(DAYS[2], {"a": RIGHT, "b": WRONG}, ["b"])
    assert loop.states() == {"a": "verified_as_suggested", "b": "still_wrong"}
    issue(loop.city, date(2026, 12, 30), author="test")
    assert [event for event, *_ in clock(loop)] == ["opened", "notified", "withdrawn"]


def test_items_of_another_department_move_there_with_their_history_and_may_come_back(loop, tmp_path):
    said = {"right_department": "civil_affairs", "evidence": "婚姻登记推送"}
    assert reply(loop, tmp_path, "a", "wrong_source", DAYS[1], **said).accepted == 1
    with pytest.raises(OrderRefusedError, match=r"must be one of: civil_affairs, market_regulation"):
        transfer(loop.city, act(DAYS[1]), DEPARTMENT)
    done = transfer(loop.city, act(DAYS[1], "属实"))
    assert (done.department, done.items) == ("civil_affairs", 1)
    rows = loop.city.con.execute(
        "SELECT department, state, closed, observed, transferred_from IS NOT NULL, order_number"
        " FROM shuyuan.ledger.item_states WHERE record_key = 'a' ORDER BY 1"
    ).fetchall()
    assert rows == [
        ("civil_affairs", "open", False, str(WRONG), True, "20261103-0001"),
        (DEPARTMENT, "transferred", True, str(WRONG), False, NUMBER),
    ]
    issue(loop.city, DAYS[1], author="test")
    assert (loop.city.home.outbox / "civil_affairs" / "2026-11-03" / "notice.xlsx").is_file()
    assert not (loop.city.home.outbox / DEPARTMENT / "2026-11-03" / "notice.xlsx").exists()
    assert clock(loop, "20261103-0001")[1] == ("notified", "notified", "2026-11-17", 0)
    loop.day(DAYS[2], {"a": WRONG, "b": RIGHT}, ["a"])  # judged by its rule where it lies now
    back = reply(loop, tmp_path, "a", "wrong_source", DAYS[2], department="civil_affairs", right_department=DEPARTMENT)
    assert back.accepted == 1
    transfer(loop.city, replace(act(DAYS[2], "不属实"), number="20261103-0001"))
    states = dict(
        loop.city.con.execute(
            "SELECT department, state FROM shuyuan.ledger.item_states WHERE record_key = 'a'"
        ).fetchall()
    )
    assert states == {"civil_affairs": "transferred", DEPARTMENT: "reopened"}
    loop.day(DAYS[3], {"a": RIGHT, "b": RIGHT}, [])
    assert loop.events("a")[-1] == "verified_as_suggested"
    assert loop.city.con.execute("SELECT count(*) FROM shuyuan.ledger.items WHERE record_key = 'a'").fetchone() == (2,)
    assert verify_chain(loop.city.con) == []


def test_a_deadline_in_an_unpublished_year_is_worked_out_anew_when_the_year_is_published(small_city):
    day = date(2026, 12, 24)
    loop = Loop(small_city)
    loop.day(day, {"a": WRONG}, ["a"])
    issue(small_city, day, author="test")
    assert [(order.due_on, order.due_provisional) for order in list_orders(small_city, day)] == [
        (date(2027, 1, 7), True)
    ]
    new_year = {date(2027, 1, 1): False, date(2027, 1, 4): False, date(2027, 1, 5): False}
    published = replace(small_city, catalog=replace(small_city.catalog, holidays=new_year))
    for _ in range(2):
        issue(published, date(2026, 12, 28), author="test")
    [order] = list_orders(published, day)
    assert (order.due_on, order.due_provisional) == (date(2027, 1, 12), False)
    detail = show_order(published, order.order_number, day)
    assert [row.event for row in detail.clock] == ["opened", "notified", "recomputed"]


def test_the_deadline_is_that_of_the_resource_the_severity_or_the_jurisdiction(small_city):
    rules = Clock(severities={"warn": 20}, resources={"public_security.resident_registration": 4})
    catalog = replace(small_city.catalog, jurisdiction=Jurisdiction(clock=rules))
    loop = Loop(replace(small_city, catalog=catalog))
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    issue(loop.city, DAYS[0], author="test")
    [order] = list_orders(loop.city, DAYS[0])
    assert order.due_on == date(2026, 11, 6)
