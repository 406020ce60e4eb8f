"""Orders raised by people: raised, refused, judged by deliveries alone, marked until settled, told to both sides."""

from __future__ import annotations

import csv
import json
from datetime import date

import pytest
import xlsxwriter
from correction_loop import DAYS, NUMBER, RIGHT, WRONG, Loop

from assets import requests
from assets.corrections import advance
from assets.disputes import Word, open_dispute
from assets.erasure import erase
from assets.feedback import decide, import_file
from assets.notices import issue
from assets.orders import list_orders, show_order
from assets.publish import publish
from assets.requests import (
    RequestRefusedError,
    UnknownRequestError,
    list_requests,
    raise_requests,
    show_request,
    take,
    waiting_days,
    withdraw,
)
from quality_checks.requests import SENTENCE
from resources.ledger import verify_chain

ASKED, APPLICANT = "public_security", "civil_affairs"
RESOURCE = "public_security.resident_registration"
ENTITY = f"md5('population|{NUMBER}')::UUID"


@pytest.fixture(scope="module")
def believed(small_city_at, tmp_path_factory):
    home = tmp_path_factory.mktemp("believed") / "home"
    with small_city_at(home) as city:
        Loop(city).deliver(DAYS[0], {"a": WRONG, "b": WRONG})
        city.commit("city", believe, author="test")
        advance(city, DAYS[0], author="test")
    return home


@pytest.fixture
def loop(small_city_at, believed, tmp_path):
    """Two records of one feed, and the one believed of them in the library; the city's rules accuse nobody."""
    with small_city_at(tmp_path / "home", believed) as city:
        yield Loop(city, deliveries=1)


def believe(con):
    con.execute(
        f"INSERT INTO base.population (entity_id, id_number, name, birth_date, birth_date_source, sex)"
        f" SELECT {ENTITY}, '{NUMBER}', '王五', DATE '{WRONG}', '{ASKED}', '1'"
    )


def row(record: str = "a", **said: str | None) -> dict[str, str | None]:
    told = {"resource": RESOURCE, "record_key": record, "column": "birth_date", "doubted": str(WRONG),
            "proposed": str(RIGHT), "evidence": "出生医学证明"}  # fmt: skip
    return told | said


def raised(loop: Loop, *rows, day=DAYS[0], applicant=APPLICANT):
    return raise_requests(loop.city, applicant, rows or [row()], day, author="test")


def next_day(loop: Loop, day: date, records, **how) -> str:
    """A delivery and a pass; the state of the request's item after it."""
    if records is not None:
        loop.deliver(day, records, **how)
    advance(loop.city, day, author="test")
    return list_requests(loop.city, state="all")[0].state


def marks(loop: Loop) -> list[tuple]:
    return loop.city.con.execute(
        "SELECT kind, stated_by, record_key, column_name, library, attribute, entity_id FROM shuyuan.ledger.marks"
        " ORDER BY ALL"
    ).fetchall()


def test_a_request_is_an_order_of_the_authority_and_is_settled_by_its_next_delivery(loop, tmp_path):
    city = loop.city
    publish(city, city.catalog.products["residents"], DAYS[0], author="test")
    [told] = raised(loop, row(library="population", key=NUMBER, attribute="birth_date", resource=None, record_key=None,
                              column=None, reason="与出生证不符", by="李某"))  # fmt: skip
    assert (told.outcome, told.number) == ("raised", "R20261102-0001")
    [request] = list_requests(city)
    assert (request.department, request.resource, request.column_name) == (ASKED, "resident_registration", "birth_date")
    assert (request.library, request.attribute, request.state) == ("population", "birth_date", "open")
    entity = str(city.con.execute(f"SELECT {ENTITY}::VARCHAR").fetchone()[0])
    key = show_request(city, told.number, department=APPLICANT)["values"][0]["record_key"]
    assert key in ("a", "b")
    assert marks(loop) == [("request", ASKED, key, "birth_date", "population", "birth_date", entity)]
    with city.server.session("dashboard_reader") as cursor:
        cursor.execute("select _disputed from curated.residents")
        assert cursor.fetchall() == [("birth_date",)]
    assert waiting_days(city, DAYS[0]) == {DAYS[0]}
    issue(city, DAYS[0], author="test")
    assert waiting_days(city, DAYS[0]) == set()
    # The authority gets it like any other order.
    notice = json.loads((city.home.outbox / ASKED / "2026-11-02" / "notice.json").read_text("utf-8"))
    [order] = notice["orders"]
    assert order["requirement"] == f"{SENTENCE.zh} {SENTENCE.en}"
    [item] = order["items"]
    assert (item["observed"], item["suggested"]) == (str(WRONG), str(RIGHT))
    assert "市民政局" in item["reason"]
    assert "与出生证不符" in item["reason"]
    assert "出生医学证明" in item["reason"]
    # ... and the applicant its receipt.
    outbox = city.home.outbox / APPLICANT / "2026-11-02"
    [receipt] = json.loads((outbox / "requests.json").read_text("utf-8"))
    assert (receipt["event"], receipt["request"], receipt["due_on"]) == ("received", told.number, "2026-11-16")
    reply = tmp_path / "reply.json"
    reply.write_text(
        json.dumps([{"item_id": item["item_id"], "reply": "corrected", "explanation": "对数据局说"}]), "utf-8"
    )
    assert import_file(city, reply, ASKED, DAYS[1], author="test").accepted == 1
    assert list_requests(city)[0].state == "acknowledged"
    assert next_day(loop, DAYS[1], {"a": RIGHT, "b": RIGHT}) == "verified_as_suggested"
    seen = {who: show_request(city, told.number, department=who)["events"] for who in (ASKED, APPLICANT)}
    assert [seen[who][-1]["observed"] for who in (ASKED, APPLICANT)] == [str(RIGHT), None]
    assert [seen[who][2]["reason"] for who in (ASKED, APPLICANT)] == [
        "对数据局说",
        None,
    ]  # not the applicant's business
    assert marks(loop) == []
    with city.server.session("dashboard_reader") as cursor:
        cursor.execute("select _disputed from curated.residents")
        assert cursor.fetchall() == [(None,)]
    issue(city, DAYS[1], author="test")
    [outcome] = json.loads((city.home.outbox / APPLICANT / "2026-11-03" / "requests.json").read_text("utf-8"))
    assert outcome["state"] == "verified_as_suggested"
    [closed] = list_orders(city, DAYS[1], state="closed")
    assert (closed.department, closed.verified) == (ASKED, 1)
    assert verify_chain(city.con) == []


def test_the_ways_to_cheat_do_not_work_on_a_request_nor_does_writing_the_value_otherwise(loop):
    raised(loop, row(column="name", doubted="王", proposed="汪"))
    assert next_day(loop, DAYS[1], {"b": WRONG}) == "removed_at_source"
    assert next_day(loop, DAYS[2], {"a": WRONG, "b": WRONG}, name=" 王　") == "still_wrong"
    assert next_day(loop, DAYS[3], {"a": WRONG, "b": WRONG}, name="") == "blanked_at_source"
    loop.deliver(DAYS[4], {"b": WRONG})
    loop.deliver(DAYS[4], {"a2": WRONG}, mode="incremental")  # under another key
    assert next_day(loop, DAYS[4], None) == "removed_at_source"
    assert len(marks(loop)) == 1
    assert next_day(loop, DAYS[5], {"a": WRONG, "b": WRONG}, name="汪") == "verified_as_suggested"
    assert next_day(loop, DAYS[6], {"a": WRONG, "b": WRONG}) == "reopened"  # right for one day
    assert [order.verified for order in list_orders(loop.city, DAYS[6], state="all")] == [0, 0]
    assert len(marks(loop)) == 1


def test_every_row_that_is_refused_says_why_and_nothing_is_raised_twice(loop, tmp_path):
    city = loop.city
    library = {"resource": None, "record_key": None, "column": None, "library": "population", "key": NUMBER,
               "attribute": "birth_date"}  # fmt: skip
    refused = [
        (row(library="population"), "unclear"),
        (row(record_key=None), "unclear"),
        (row(**library | {"library": "people"}), "unknown_library"),
        (row(**library | {"attribute": "age"}), "unknown_attribute"),
        (row(**library | {"key": "341500199001010099"}), "unknown_entity"),
        (row(**library | {"attribute": "marital_status"}), "nobody_states"),
        (row(resource="public_security.nothing"), "unknown_resource"),
        (row(column="age"), "unknown_column"),
        (row("z"), "unknown_record"),
        (row(evidence=" "), "needs_evidence"),
        (row(reference_date="yesterday"), "bad_date"),
        (row(reference_date="2027-01-01"), "future_date"),
        (row(doubted="1977-07-07"), "not_believed"),
        (row(proposed="not a day"), "bad_value"),
        (row(column="sex", doubted="1", proposed="7"), "bad_value"),
        (row(proposed="1990/1/2"), "says_the_same"),
    ]
    told = raised(loop, *(said for said, _ in refused), row(), row(proposed=None))
    assert [one.outcome for one in told] == [*(outcome for _, outcome in refused), "raised", "raised_above"]
    [believed] = [one.en for one in told if one.outcome == "not_believed"]
    assert believed.endswith("it is 「1***」")  # of personal level: masked
    assert [one.en for one in told if one.outcome == "bad_value"] == [
        "proposed: must be YYYY-MM-DD", "proposed: must be a code of gbt_2261_1",
    ]  # fmt: skip
    assert {one.en for one in told if one.outcome == "bad_date"} == {"reference_date = yesterday: must be YYYY-MM-DD"}
    assert all("{detail}" not in one.en + one.zh for one in told)
    [again] = raised(loop)
    assert (again.outcome, again.number) == ("same_open", told[-2].number)
    assert raised(loop, applicant=ASKED)[0].outcome == "own_record"
    [theirs] = raised(loop, applicant="market_regulation")  # another's doubt is a request of its own
    assert theirs.number == "R20261102-0002"
    with pytest.raises(KeyError, match="must be one of"):
        raised(loop, applicant="nobody")
    # A department sees what it raised and what it is asked.
    assert [one.request_number for one in list_requests(city, department=APPLICANT)] == [told[-2].number]
    assert len(list_requests(city, department=ASKED)) == 2
    with pytest.raises(UnknownRequestError):
        show_request(city, theirs.number, department=APPLICANT)


def test_a_file_in_landing_is_taken_once_with_a_receipt_and_its_applicant_may_take_a_request_back(loop, tmp_path):
    city = loop.city
    folder = city.home.landing / APPLICANT / "requests"
    folder.mkdir(parents=True)
    lines = [
        "证据 x,evidence 依据,resource,record_key,column,doubted,proposed",
        f",出生医学证明,{RESOURCE},a,birth_date,{WRONG},{RIGHT}",
        f",=cmd,{RESOURCE},z,birth_date,{WRONG},",
        ",,,,,,",
        "",
    ]
    (folder / "doubts.csv").write_bytes("\r\n".join(lines).encode("gb18030"))
    (folder / "20261104.csv").write_text("no such columns\n", "utf-8")
    with xlsxwriter.Workbook(str(folder / "20261105.xlsx")) as book:
        sheet = book.add_worksheet("申请")
        sheet.write_row(0, 0, ["resource", "record_key", "column", "doubted", "evidence"])
        sheet.write_row(1, 0, [RESOURCE, "b", "birth_date", str(WRONG), ""])
    assert waiting_days(city, DAYS[0]) == {DAYS[0], DAYS[2], DAYS[3]}
    [receipt] = take(city, DAYS[0], author="test")
    assert (receipt.raised, [one.outcome for one in receipt.rows]) == (1, ["raised", "unknown_record"])
    with receipt.path.open(encoding="utf-8-sig", newline="") as file:
        told = list(csv.reader(file))
    assert [line[1:4] for line in told[1:]] == [
        ["", "", "summary"], ["2", "R20261102-0001", "raised"], ["3", "", "unknown_record"],
    ]  # fmt: skip
    (folder / "again.csv").write_bytes("\r\n".join(lines).encode("gb18030"))
    [again] = take(city, DAYS[1], author="test")
    assert (again.repeated, again.raised) == (True, 0)
    assert "again.csv,,,taken_before," in again.path.read_text("utf-8-sig")
    [unread] = take(city, DAYS[2], author="test")
    assert [one.outcome for one in unread.rows] == ["unreadable"]
    [workbook] = take(city, DAYS[3], author="test")
    assert [(one.place, one.outcome) for one in workbook.rows] == [("申请!2", "needs_evidence")]
    assert list(folder.iterdir()) == []
    issue(city, DAYS[2], author="test")
    with pytest.raises(RequestRefusedError, match="reason"):
        withdraw(city, "R20261102-0001", " ", department=APPLICANT, actor="李某", as_of=DAYS[2])
    with pytest.raises(UnknownRequestError):
        withdraw(city, "R20261102-0001", "x", department=ASKED, actor="李某", as_of=DAYS[2])
    done = withdraw(city, "R20261102-0001", "看错了", department=APPLICANT, actor="李某", as_of=DAYS[2])
    assert (done.state, done.closed) == ("rule_withdrawn", True)
    assert done == withdraw(city, "R20261102-0001", "看错了", department=APPLICANT, actor="李某", as_of=DAYS[2])
    with pytest.raises(RequestRefusedError, match="is settled"):
        withdraw(city, "R20261102-0001", "x", department=APPLICANT, actor="李某", as_of=DAYS[2])
    assert marks(loop) == []
    assert next_day(loop, DAYS[3], {"a": WRONG, "b": WRONG}) == "rule_withdrawn"  # and nothing opens it again
    assert [one.outcome for one in raised(loop, row(proposed=None), day=DAYS[3])] == ["raised"]  # but it may anew
    loop.deliver(DAYS[4], {"a": RIGHT, "b": WRONG})
    advance(city, DAYS[4], author="test")
    assert [one.state for one in list_requests(city, state="all")] == ["rule_withdrawn", "verified_otherwise"]


def test_an_import_killed_after_the_ledger_has_it_gives_its_receipt_when_it_is_taken_again(loop, tmp_path, monkeypatch):
    city = loop.city
    path = tmp_path / "doubts.csv"
    path.write_text(f"evidence,resource,record_key,column,doubted\n证明,{RESOURCE},a,birth_date,{WRONG}\n", "utf-8")

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as changed:
        changed.setattr("assets.receipts.show", killed)
        with pytest.raises(KeyboardInterrupt):
            requests.import_file(city, path, APPLICANT, DAYS[0], author="test")
    [waiting] = list_requests(city)
    assert not list(city.home.outbox.rglob("request-receipt-*.csv"))
    again = requests.import_file(city, path, APPLICANT, DAYS[1], author="test")
    assert (again.repeated, list_requests(city)) == (True, [waiting])
    [receipt] = city.home.outbox.rglob("request-receipt-*.csv")
    assert f"2,{waiting.request_number},raised" in receipt.read_text("utf-8-sig")
    assert not list(city.home.outbox.rglob("*.part"))


def test_an_authority_that_insists_is_disputed_upheld_and_the_request_can_be_erased(loop, tmp_path):
    city = loop.city
    raised(loop)
    issue(city, DAYS[0], author="test")
    [request] = list_requests(city)
    reply = tmp_path / "reply.json"
    said = {"item_id": request.item_id, "reply": "objection", "explanation": "底册如此"}
    reply.write_text(json.dumps([said], ensure_ascii=False), "utf-8")
    import_file(city, reply, ASKED, DAYS[1], author="test")
    row = open_dispute(city, request.item_id, Word(APPLICANT, "出生证原件在此", "李某", DAYS[1]))
    assert (row.opponent, row.department, row.level) == (APPLICANT, ASKED, 1)
    assert [one["state"] for one in show_request(city, request.request_number)["disputes"]] == ["negotiation"]
    assert [one.dispute_number for one in show_order(city, request.order_number, DAYS[1]).disputes] == [
        row.dispute_number
    ]
    assert [mark[0] for mark in marks(loop)] == ["request"]  # one mark, not two
    with pytest.raises(ValueError, match=f"dispute {row.dispute_number} is open"):
        decide(city, request.item_id, "uphold", "x", actor="officer", as_of=DAYS[1])
    withdraw(city, request.request_number, "双方已核对", department=APPLICANT, actor="李某", as_of=DAYS[2])
    assert show_request(city, request.request_number)["disputes"][0]["state"] == "lapsed"
    loop.deliver(DAYS[3], {"b": WRONG})
    assert erase(city, request.item_id, "个人信息保护法第四十七条", actor="officer", as_of=DAYS[3]) == 1
    with city.server.session() as cursor:
        cursor.execute(
            "select count(*) from ledger.requests r, ledger.dispute_events d"
            " where r.record_key is null and r.doubted is null and d.reason is null"
        )
        assert cursor.fetchone() == (2,)
    assert verify_chain(city.con) == []
    advance(city, DAYS[4], author="test")
    assert verify_chain(city.con) == []
