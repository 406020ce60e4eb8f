"""Supervision: figures are what the rows say, frozen, versioned when more is known, and told to whom they concern."""

from __future__ import annotations

import json
import random
import re
import shlex
import subprocess
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import psycopg2
import pytest
from correction_loop import NUMBER, RIGHT, WRONG, Loop
from files import copied
from python_calamine import CalamineWorkbook
from supervision_oracle import cases, every_scope, rows_of
from typer.testing import CliRunner

from assets import passes, reports, supervision, supervision_files
from assets.feedback import decide, import_file
from assets.notices import issue
from assets.order_book import Act, extend, transfer
from assets.passing import Figures
from assets.supervision_pages import Frozen
from pipelines.cli import app
from quality_checks.corrections import SETTLED, TRANSITIONS, ItemEvent, ItemState
from quality_checks.supervision import Period, periods_over
from quality_checks.supervision_figures import BALANCE, FIGURES
from quality_checks.working_days import add_workdays
from resources import ledger, ledger_rows
from resources.city import City

ROOT = Path(__file__).parents[1]
OTHER = date(1990, 1, 3)  # a right value that is not the suggested one
DEPARTMENT = "public_security"
DAY = date(2026, 12, 1)  # the first pass after November


def nov(day: int) -> date:
    return date(2026, 11, day)


def reply(loop: Loop, folder: Path, day: date, answers: dict[str, dict[str, str]]) -> None:
    """What a department answers, by record key."""
    items = dict(
        loop.city.con.execute(
            "SELECT record_key, item_id FROM shuyuan.ledger.item_states WHERE department = ?", [DEPARTMENT]
        ).fetchall()
    )
    path = folder / f"reply-{day}-{'-'.join(answers)}.json"
    path.write_text(json.dumps([{"item_id": items[key], **said} for key, said in answers.items()]), "utf-8")
    assert import_file(loop.city, path, DEPARTMENT, day, author="test").accepted == len(answers)


@pytest.fixture(scope="module")
def loop(small_home, small_catalog, prelude, tmp_path_factory):
    """One November: ten wrong values sent on the 2nd, due on the 16th, and what can happen to them; figures frozen and
    reports written by the pass of 1 December.
    """
    folder = tmp_path_factory.mktemp("supervision")
    with City.open(copied(small_home, folder / "home"), small_catalog, prelude=prelude, threads=1) as city:
        loop = Loop(city)
        records = dict.fromkeys("abcdefghij", WRONG)

        def day(number: int, **changed: date) -> None:
            records.update(changed)
            loop.day(nov(number), records, [key for key, value in records.items() if value == WRONG])
            issue(city, nov(number), author="test")

        day(2)
        objection = {"reply": "objection", "explanation": "the register is right"}
        theirs = {"reply": "wrong_source", "right_department": "civil_affairs"}
        promise = {"reply": "will_correct", "by_date": "2026-11-12"}
        answers = {"a": {"reply": "acknowledged"}, "b": objection, "c": promise, "f": objection, "h": theirs}
        reply(loop, folder, nov(4), answers)
        day(5, a=RIGHT, d=OTHER, e=RIGHT)
        day(9, e=WRONG)  # corrected for a few days
        extend(city, Act("20261109-0001", "officer", "more time", nov(10)), 3)
        items = dict(city.con.execute("SELECT record_key, item_id FROM shuyuan.ledger.items").fetchall())
        decide(city, items["b"], "uphold", "right", actor="officer", as_of=nov(10))
        decide(city, items["f"], "reject", "wrong", actor="officer", as_of=nov(12))
        transfer(city, Act("20261102-0001", "officer", "theirs", nov(13)))
        issue(city, nov(17), author="test")
        reply(loop, folder, nov(20), {"g": {"reply": "acknowledged"}})
        issue(city, nov(30), author="test")
        passes.start(city, DAY)
        issue(city, DAY, author="test")
        assert [one.period for one in supervision.freeze(city, DAY, author="test")] == ["2026-11"]
        supervision_files.write_missing(city)
        passes.finish(city, DAY, Figures())
        yield loop


def folder(loop: Loop, version: int = 1, department: str | None = None) -> Path:
    [one] = [one for one in supervision.versions(loop.city, "2026-11") if one.version == version]
    return supervision_files.folder_of(loop.city, one, department)


def figures(path: Path) -> dict[tuple[str, ...], dict[str, tuple]]:
    """`figures.csv` by scope."""
    found: dict[tuple[str, ...], dict[str, tuple]] = {}
    for row in rows_of(path):
        key = tuple(row[name] or "" for name in ("scope", "department", "resource", "dimension"))
        amount = float(row["amount"]) if row["amount"] is not None else None
        found.setdefault(key, {})[row["figure"]] = amount, int(row["whole"]) if row["whole"] is not None else None
    return found


def test_the_figures_of_one_month_are_those_a_person_counts(loop):
    counted = figures(folder(loop) / "figures.csv")
    mine = {name: amount for name, (amount, _) in counted["department", DEPARTMENT, "", ""].items()}
    assert mine == {
        "orders_issued": 2, "items_issued": 11, "due": 10,
        "answered_in_time": 6,  # a, b, c, f, h said something, d was corrected
        "answered_late": 1,  # g
        "unanswered": 3,  # i, j, and e, in the order that took it up again: a correction of a few days is no answer
        "corrected_as_suggested": 1, "corrected_otherwise": 1, "median_days": 3,
        "corrections_watched": 3, "failed_again": 1, "relapses": 1, "undone": 1,
        "objections": 2, "objections_upheld": 1, "objections_rejected": 1, "settled_otherwise": 0,
        "transferred_out": 1, "transferred_in": 0, "orders_paused": 0, "orders_extended": 1, "orders_withdrawn": 0,
        "escalated_1": 2, "escalated_2": 2, "escalated_3": 2, "escalated_4": 1,
        "orders_overdue": 2, "overdue_unanswered": 3, "overdue_uncorrected": 3, "waiting_for_bureau": 0,
        "open_at_start": 0, "opened": 11, "open_at_end": 6, "not_issued": 0,
        "age_1": 0, "age_2": 6, "age_3": 0, "age_4": 0,
    }  # fmt: skip
    theirs = counted["department", "civil_affairs", "", ""]
    assert (theirs["transferred_in"], theirs["unanswered"]) == ((1, None), (0, 0))
    listed = rows_of(folder(loop) / "list.csv")
    orders = [(r["order_number"], r["criterion"], r["amount"], str(r["rectify_by"])) for r in listed]
    assert orders == [("20261102-0001", "order overdue, not answered", "10", "2026-12-14")]  # the other: 7 days over
    assert all("art. 26, 39 (4)" in row["articles"] for row in listed)


def test_a_department_without_orders_has_none_and_not_100_percent(loop):
    report = Frozen(loop.city, supervision.versions(loop.city)[0]).report("market_regulation")
    assert report.total.idle
    assert report.total.cells["answered_in_time"].whole == 0
    assert report.total.cells["answered_in_time"].share == "—"
    page = (folder(loop, department="market_regulation") / "report.html").read_text("utf-8")
    assert "无工单" in page
    assert "100 %</" not in page


def test_a_department_sees_only_its_own_and_nobody_a_value(loop):
    items = [row[0] for row in loop.city.con.execute("SELECT item_id FROM shuyuan.ledger.items").fetchall()]
    own = folder(loop, department="civil_affairs")
    titles = loop.city.catalog.departments
    for path in own.iterdir():
        text = _text(path)
        assert "public_security" not in text, path.name
        assert titles["public_security"].title.zh not in text, path.name
    assert {row["department"] for row in rows_of(own / "cases.csv")} == {"civil_affairs"}
    for path in folder(loop).iterdir():
        text = _text(path)
        assert not any(value in text for value in (NUMBER, str(WRONG), str(RIGHT), str(OTHER))), path.name
        assert not any(item in text for item in items), f"{path.name}: an item's id could be tried"


def _text(path: Path) -> str:
    if path.suffix != ".xlsx":
        return path.read_text("utf-8")
    book = CalamineWorkbook.from_path(path)
    return "\n".join(str(book.get_sheet_by_name(name).to_python()) for name in book.sheet_names)


def test_the_page_stands_alone_and_the_workbook_holds_every_figure(loop):
    page = (folder(loop) / "report.html").read_text("utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)|url\(|@import|https?://""", page)
    assert "table-header-group" in page
    assert "counter(page)" in page
    for figure in FIGURES.values():
        assert figure.zh_counts in page
        assert page.count(figure.zh) > 0
    book = CalamineWorkbook.from_path(folder(loop) / "report.xlsx")
    head, city, *departments = book.get_sheet_by_name("部门 Departments").to_python()
    assert len(head) == 3 + len(FIGURES)
    shown = dict(zip([title.split("\n")[-1] for title in head], city, strict=True))
    assert (shown["Due"], shown["Answered in time"], shown["Median working days"]) == (10, 6, 3)
    assert len(departments) == len(loop.city.catalog.departments)


def test_what_dashboards_read_is_the_version_that_stands(loop):
    with loop.city.server.session("dashboard_reader") as cursor:
        cursor.execute(
            "select version, amount, whole, share, small_sample from curated.supervision_figures"
            " where period = '2026-11' and scope = 'city' and figure = 'answered_in_time'"
        )
        [(version, amount, whole, share, small)] = cursor.fetchall()
        cursor.execute("select count(*) from curated.supervision_list where department = 'public_security'")
        assert cursor.fetchall() == [(1,)]
    assert (version, amount, whole, float(share), small) == (1, 6, 10, 0.6, True)


def test_the_same_ledger_makes_no_new_version_and_a_lost_report_the_same_bytes(loop):
    before = {path.name: path.read_bytes() for path in folder(loop).iterdir()}
    assert supervision.freeze(loop.city, DAY, author="again") == []
    assert supervision_files.write_missing(loop.city) == []
    kept = loop.city.home.reports / "supervision"
    kept.rename(kept.with_name("lost"))  # as if killed after freezing, before writing
    assert supervision_files.write_missing(loop.city) == [folder(loop)]
    assert {path.name: path.read_bytes() for path in folder(loop).iterdir()} == before
    assert supervision.verify(loop.city) == ([], [])


def test_frozen_figures_cannot_be_written_over_and_tampering_is_found(loop):
    for statement in ("update ledger.supervision_figures set amount = 0", "delete from ledger.supervision_versions"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege), loop.city.server.session() as cursor:
            cursor.execute(statement)
    wrong = "update ledger.supervision_figures set amount = amount %s 1 where figure = 'due' and scope = 'city'"
    with loop.city.server.session("owner") as cursor:
        cursor.execute(wrong % "+")
        _, found = supervision.verify(loop.city)
        cursor.execute(wrong % "-")
    assert [(one.period, one.version, one.reason) for one in found] == [
        ("2026-11", 1, "its figures do not follow from its rows")
    ]


def test_every_command_of_the_page_runs_as_told(loop, monkeypatch):
    home, catalogue = str(loop.city.home.root), str(ROOT / "tests" / "small_catalogue")
    monkeypatch.setenv("SHUYUAN_HOME", home)
    monkeypatch.setenv("SHUYUAN_CATALOG", catalogue)
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "docs/supervision.md").read_text("utf-8"), re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    assert len(lines) > 4
    said = {}
    for line in lines:
        done = CliRunner().invoke(app, shlex.split(line)[1:])
        assert done.exit_code == 0, f"{line}: {done.output}"
        said[line] = done.stdout
    told = json.loads(said["shuyuan supervision month 2026-11 --department public_security --json"])
    assert [one["department"] for one in told["departments"]] == [DEPARTMENT]
    assert told["departments"][0]["figures"]["answered_in_time"] == {"amount": 6, "whole": 10, "small_sample": True}
    refused = CliRunner().invoke(app, ["supervision", "year", "2026"])
    assert "the first pass after 2026-12-31" in str(refused.exception)


@pytest.mark.chromium
def test_the_page_prints_on_a4_across(loop, tmp_path):
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("Debian's chromium is not installed")
    options = f"headless no-sandbox disable-gpu no-first-run user-data-dir={tmp_path / 'profile'} no-pdf-header-footer"
    pdf = tmp_path / "report.pdf"
    command = ["/usr/bin/chromium", *(f"--{option}" for option in options.split()), f"--print-to-pdf={pdf}"]
    subprocess.run([*command, (folder(loop) / "report.html").as_uri()], check=True, capture_output=True, timeout=120)
    sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf.read_bytes())
    assert {(round(float(width)), round(float(height))) for width, height in sizes} == {(842, 595)}
    assert 3 < len(sizes) < 12


def test_what_is_recorded_late_makes_a_new_version_that_says_why(loop, tmp_path):
    city = loop.city
    first = {path.name: path.read_bytes() for path in folder(loop).iterdir()}
    reply(loop, tmp_path, nov(30), {"c": {"reply": "acknowledged"}})  # it had answered before
    assert supervision.freeze(city, DAY, author="test") == []
    reply(loop, tmp_path, nov(30), {"i": {"reply": "acknowledged"}})
    [second] = supervision.freeze(city, DAY, author="officer")
    assert (second.period, second.version, second.author) == ("2026-11", 2, "officer")
    assert [cause.kind for cause in supervision.causes(city, second)] == ["feedback", "feedback"]
    changed = {one.figure: one for one in supervision.changes(city, second) if one.department == DEPARTMENT}
    assert {name: (one.told(now=False), one.told(now=True)) for name, one in changed.items()} == {
        "answered_late": ("1 / 10", "2 / 10"), "unanswered": ("3 / 10", "2 / 10"),
        "overdue_unanswered": ("3", "2"), "overdue_uncorrected": ("3", "4"),
    }  # fmt: skip
    supervision_files.write_missing(city)
    assert {path.name: path.read_bytes() for path in folder(loop).iterdir()} == first
    page = (folder(loop, 2) / "report.html").read_text("utf-8")
    assert "部门反馈" in page
    assert "1 / 10" in page
    assert supervision.verify(city) == ([], [])
    assert supervision.freeze(city, DAY, author="test") == []
    with city.server.session("dashboard_reader") as cursor:
        cursor.execute("select period from curated.supervision_figures group by period having max(version) = 2")
        assert cursor.fetchall() == [("2026-11",)]


def test_a_later_month_is_compared_with_the_one_before(loop):
    made = supervision.freeze(loop.city, date(2027, 1, 4), author="test")
    assert [one.period for one in made] == ["2026-12", "2026"]
    month, year = (Frozen(loop.city, one).report() for one in made)
    compared = {one.figure: (one.before.count, one.now.count, one.turn) for one in month.comparisons}
    assert compared["items_issued"] == ("12", "0", "same")
    assert compared["open_at_end"] == ("7", "7", "same")
    assert [line.zh for line in year.months] == ["2026-11", "2026-12"]
    assert year.total.cells["items_issued"].count == "12"
    supervision_files.write_missing(loop.city)


def test_the_report_site_lists_every_version_and_keeps_the_reports_when_it_is_built_anew(loop):
    site = reports.build(loop.city, DAY).parent
    page = (site / "supervision.html").read_text("utf-8")
    links = re.findall(r'href="(supervision/[^"]+)"', page)
    assert {link.split("/")[1] + "/" + link.split("/")[2] for link in links} == {
        "2026-11/v1", "2026-11/v2", "2026-12/v1", "2026/v1",
    }  # fmt: skip
    assert all((site / link).is_file() for link in links)
    assert page.count("1 / 10 → 2 / 10") == 1, "the city's changes: a department's stand in its own report"


# A ledger of chance: anything that the states allow, against a plain recount of everything.
DAYS = [date(2026, 8, 25) + timedelta(days=8 * n) for n in range(13)]
RESOURCES = {"public_security": ("resident_registration", "b"), "civil_affairs": ("c",), "market_regulation": ("d",)}


def chance(seed: int) -> dict[str, list[dict]]:
    """Rows of orders, their events, items and their events; what happened to an item on a day follows its states."""
    draw = random.Random(seed)
    rows: dict[str, list[dict]] = {"orders": [], "order_events": [], "items": [], "events": []}

    def order(department: str, day: date) -> str:
        number = f"{day:%Y%m%d}-{len(rows['orders']):04d}"
        due, _ = add_workdays(day, 10)
        rows["orders"].append({
            "order_id": number, "order_number": number, "department": department, "delivery_id": "d",
            "resource": draw.choice(RESOURCES[department]), "rule_id": "r", "standard": "", "severity": "error",
            "dimension": draw.choice(("accuracy", "freshness")), "indicator": "0401", "opened_on": day, "due_on": due,
            "due_provisional": False,
        })  # fmt: skip
        happened, state, level = [("opened", "open", 0)], "open", 0
        for later in [one for one in DAYS if one >= day]:
            moves = {"open": ["notified"], "notified": ["escalated", "paused", "extended", "reminded", "withdrawn"],
                     "paused": ["resumed"]}.get(state, [])  # fmt: skip
            for move in moves:
                if draw.random() < (0.9 if move == "notified" else 0.12 if move != "withdrawn" else 0.01):
                    state = {"notified": "notified", "paused": "paused", "resumed": "notified",
                             "withdrawn": "withdrawn"}.get(move, state)  # fmt: skip
                    if move == "escalated" and level < 4:
                        level += 1
                    if move in ("resumed", "extended") and due >= later:
                        due, _ = add_workdays(due, 3)
                    happened.append((move, state, level))
                    _event(rows, number, department, len(happened), happened[-1], later, due)
                    break
            if later == day:
                _event(rows, number, department, 0, happened[0], later, rows["orders"][-1]["due_on"])
        return number

    def item(number: int) -> None:
        department = draw.choice(list(RESOURCES))
        days = [day for day in DAYS if day >= draw.choice(DAYS)]
        name, held = f"item{number:04d}", order(department, days[0])
        rows["items"].append({
            "item_id": name, "serial": None, "finding_id": name, "department": department, "resource": "x",
            "rule_id": "r", "record_key": "k", "column_name": "c", "opened_on": days[0],
            "transferred_from": "another" if draw.random() < 0.1 else None,
        })  # fmt: skip
        state, told = ItemState.open, [(ItemEvent.opened, ItemState.open, days[0], held)]
        for day in days[1:]:
            events = sorted(event for at, event in TRANSITIONS if at is state and event is not ItemEvent.erased)
            if not events or draw.random() < 0.4:
                continue
            event = ItemEvent.transferred if ItemEvent.transferred in events else draw.choice(events)
            state = TRANSITIONS[state, event]
            if event is ItemEvent.reopened:
                held = order(department, day)
            told.append((event, state, day, held))
        for place, (event, after, day, of) in enumerate(told, 1):
            rows["events"].append({
                "serial": None, "number": place, "item_id": name, "department": department, "event": str(event),
                "state": str(after), "closed": after in SETTLED, "since": day, "order_id": of, "as_of": day,
                "delivery_id": "d", "rule_version": 1, "record_hash": "h", "content_hash": None, "observed": None,
                "suggested": None, "suggestion_method": None, "suggestion_confidence": None, "reason": None,
                "evidence": None, "by_date": None, "actor": "a", "notified_on": None, "relapses": 0,
            })  # fmt: skip

    for number in range(260):
        item(number)
    return rows


def _event(
    rows: dict[str, list[dict]], order: str, department: str, number: int, what: tuple, day: date, due: date
) -> None:
    event, state, level = what
    rows["order_events"].append({
        "order_id": order, "number": max(number, 1), "department": department, "event": event, "state": state,
        "as_of": day, "due_on": due, "due_provisional": False, "working_days": 10, "paused_days": 0, "level": level,
        "actor": "a", "reason": None, "evidence": None,
    })  # fmt: skip


def append(city: City, rows: dict[str, list[dict]]) -> None:
    """Write the rows to the ledger, day by day."""
    columns = {
        "orders": ledger_rows.ORDERS,
        "order_events": ledger_rows.ORDER_EVENTS,
        "items": ledger_rows.ITEMS,
        "events": ledger_rows.EVENTS,
    }
    for table, listed in rows.items():
        city.con.execute(
            f"CREATE OR REPLACE TEMP TABLE all_{table} AS SELECT {columns[table]} FROM shuyuan.ledger.{table} LIMIT 0"
        )
        names = columns[table].split(", ")
        values = [list(column) for column in zip(*[[row[name] for name in names] for row in listed], strict=True)]
        unnested = ", ".join(f"unnest(?) AS {name}" for name in names)
        city.con.execute(f"INSERT INTO all_{table} BY NAME SELECT {unnested}", values)
    for day in DAYS:
        given = {}
        for table in rows:
            key = "opened_on" if table in ("orders", "items") else "as_of"
            city.con.execute(f"CREATE OR REPLACE TEMP TABLE day_{table} AS FROM all_{table} WHERE {key} = ?", [day])
            given[table] = f"day_{table}"
        city.con.execute(
            "UPDATE day_events SET serial = i.serial FROM shuyuan.ledger.items i WHERE i.item_id = day_events.item_id"
        )
        with city.server.lock(ledger.LOCK):
            ledger.append(city.con, kind="advance", as_of=day, author="test", **given)


def test_every_figure_is_a_plain_recount_of_the_ledger_and_of_the_rows_beside_it(small_city):
    rows = chance(7)
    append(small_city, rows)
    made = supervision.freeze(small_city, date(2026, 12, 2), author="test")
    assert [one.period for one in made] == ["2026-08", "2026-09", "2026-10", "2026-11"]
    supervision_files.write_missing(small_city)
    seen: Counter[str] = Counter()
    for version in made:
        place, first, last = supervision_files.folder_of(small_city, version), version.first_day, version.last_day
        found, orders = rows_of(place / "cases.csv"), rows_of(place / "orders.csv")
        plain = cases(rows, first, last)
        for department in RESOURCES:
            own = supervision_files.folder_of(small_city, version, department)
            for row in rows_of(own / "cases.csv"):
                expected = plain[row["order_number"], row["item"]]
                assert {name: row[name] for name in expected} == expected, (version.period, row)
        left_out = {
            key: case
            for key, case in plain.items()
            if not (case["ended_on"] and case["ended_on"] < first - timedelta(days=90))
        }
        assert len(found) >= len(left_out)
        counted = figures(place / "figures.csv")
        assert counted == every_scope(found, orders, list(small_city.catalog.departments), first, last)
        for scope in counted.values():
            left, right = (sum(scope[name][0] for name in side) for side in BALANCE)
            assert left == right
        seen.update({name: int(amount or 0) for name, (amount, _) in counted["city", "", "", ""].items()})
    never = {name for name, count in seen.items() if not count}
    assert never <= {"transferred_in"}, "a figure that chance never made is not tested"
    assert supervision.verify(small_city) == ([], [])


def test_a_month_and_a_year_are_known_by_name():
    assert Period.named("2026-02") == Period("2026-02", date(2026, 2, 1), date(2026, 2, 28))
    assert Period.named("2024-02").last == date(2024, 2, 29)
    assert Period.named("2026").before == Period("2025", date(2025, 1, 1), date(2025, 12, 31))
    assert Period.named("2026-01").before.name == "2025-12"
    over = [period.name for period in periods_over(date(2026, 11, 20), date(2027, 2, 1))]
    assert over == ["2026-11", "2026-12", "2026", "2027-01"]
    for wrong in ("2026-13", "26-01", "2026-1", "x", "2026-11-01", "1999"):
        with pytest.raises(ValueError, match="must be a month, YYYY-MM, or a year, YYYY"):
            Period.named(wrong)
