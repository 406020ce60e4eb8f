"""Notices: what departments are sent on a day, to be filled in and sent back, and what their clocks did.

A notice lists the orders whose clock it starts, and what is new in orders that go on, with everything a steward needs
and empty columns for the reply (`assets.feedback` reads them); what is held or accepted is in none (`order_noise`). A
second list, `deadlines`, tells who is reminded, who is overdue and whom it was taken to, and what else happened to the
department's orders. Both are written from the ledger, so the same day gives the same bytes however often; the files
themselves are `assets.notice_files`, where they go besides the outbox `assets.sending`.
"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

from assets.corrections import tell
from assets.dispute_book import write_told as write_disputes
from assets.notice_files import Notice, Order, parts, write_list, write_notice
from assets.order_clock import tick
from assets.order_noise import lapse, write_held
from assets.request_files import write_told as write_requests
from assets.sending import BUREAU, enqueue
from catalog.jurisdiction import LADDER
from catalog.load import Catalog
from catalog.rules import METHODS, Method
from quality_checks.corrections import ItemEvent
from quality_checks.order_states import OrderEvent, OrderState
from quality_checks.requests import SENTENCE, request_rule_id
from quality_checks.rule_book import rule_book
from resources import ledger
from resources.city import City
from resources.lake import literal

ROWS_PER_FILE = 50_000
SHEETS_PER_FILE = 200  # each open sheet costs a file handle while the notice is written
README = Path(__file__).parent / "templates" / "notice_readme.txt"
TO_BUREAU = LADDER.index("bureau") + 1  # levels from here on are the bureau's business too


def issue(city: City, as_of: date, *, author: str, rows_per_file: int = ROWS_PER_FILE) -> list[Path]:
    """Let the clocks of all orders reach `as_of`, and write what departments are told on that day.

    `outbox/<department>/<as_of>/notice.xlsx`, `.csv` and `.json`, continued in `notice-2.xlsx` and so on when the rows
    do not fit one file, with a `README.txt`; `deadlines.*` beside it, and in `outbox/city` for the bureau. Files appear
    whole or not at all, and are then on their way to the departments' channels.

    Raises:
        duckdb.Error: nothing was written; run the pass again.
    """
    with city.server.lock(ledger.LOCK):
        lapse(city, as_of, author=author)
        events = tick(city.con, city.catalog, as_of, author)
        _told_items(city, as_of)
        tell(city, "notices_told", kind="notice", as_of=as_of, actor=author, author=author, order_events=events)
        city.con.execute("DROP TABLE notices_told")
        written = _write_notices(city, as_of, rows_per_file)
        written += write_deadlines(city, as_of)
        written += write_held(city, as_of)
    return written + write_requests(city, as_of) + write_disputes(city, as_of)


def _told_items(city: City, as_of: date) -> None:
    """`notices_told`: the items of orders notified now, and those opened today in orders notified before."""
    started = city.con.execute(f"SELECT order_id FROM clock_events WHERE event = '{OrderEvent.notified}'").fetchall()
    running = city.con.execute(
        f"SELECT order_id FROM clock_live WHERE state IN ('{OrderState.notified}', '{OrderState.paused}')"
    ).fetchall()
    listed, before = (", ".join(literal(row[0]) for row in orders) for orders in (started, running))
    opening = f"event in ('{ItemEvent.opened}', '{ItemEvent.reopened}')"
    query = f"""
        select distinct item_id from ledger.events where order_id = any(array[{listed}]::text[]) and {opening}
        union all
        select item_id from ledger.events e
        where e.as_of = date '{as_of}' and {opening}
          and e.order_id = any(array[{before}]::text[])
          and not exists (select from ledger.events l where l.serial = e.serial and l.number > e.number)"""
    city.con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE notices_told AS
        SELECT item_id, '{ItemEvent.notified}' AS event, NULL::VARCHAR AS reason, NULL::VARCHAR AS evidence,
               NULL::DATE AS by_date
        FROM postgres_query('shuyuan', {literal(query)})
        """
    )


def _write_notices(city: City, as_of: date, rows_per_file: int) -> list[Path]:
    written: list[Path] = []
    for department, orders in _orders(city, as_of).items():
        folder = city.home.outbox / department / as_of.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(README, folder / "README.txt")
        notice = Notice(city.con, city.catalog, "notices_rows", department, as_of)
        made: list[Path] = []
        for number, part in enumerate(parts(orders, rows_per_file, SHEETS_PER_FILE), start=1):
            stem = "notice" if number == 1 else f"notice-{number}"
            made += write_notice(notice, folder / stem, part)
        enqueue(city, department, as_of, made)
        written += made
    city.con.execute("DROP TABLE IF EXISTS notices_rows")
    return written


def _requirements(catalog: Catalog) -> dict[str, str]:
    asked = f"{SENTENCE.zh} {SENTENCE.en}"
    return {rule_id: f"{rule.zh} {rule.en}" for rule_id, rule in rule_book(catalog).items()} | {
        request_rule_id(one.department, one.name): asked for one in catalog.resources.values()
    }


def _orders(city: City, as_of: date) -> dict[str, list[Order]]:
    """Orders told on the day by department, in the order of the file; `notices_rows` holds their items."""
    book = _requirements(city.catalog)
    _read_orders(city, as_of)
    _read_rows(city, as_of)
    listed = city.con.execute(
        """
        SELECT department, resource, order_id, order_number, rule_id, severity, delivery_id, r.items, due_on,
               due_provisional, cause
        FROM notices_orders JOIN (SELECT order_id, count(*) AS items FROM notices_rows GROUP BY ALL) r USING (order_id)
        ORDER BY department, turn
        """
    ).fetchall()
    found: dict[str, list[Order]] = {}
    for department, resource, order_id, number, rule, severity, delivery, items, due, provisional, cause in listed:
        known = city.catalog.resources.get(f"{department}.{resource}")
        title = f"{resource} {known.title.zh}" if known else resource
        order = Order(
            order_id, number, title, rule, book.get(rule, ""), severity, delivery, items, due, provisional, cause or ""
        )
        found.setdefault(department, []).append(order)
    return found


def _read_orders(city: City, as_of: date) -> None:
    """`notices_orders`: one row per order that was notified on the day, or before it and went on by new items.

    `way`: `now` opened on the day itself, `later` held, accepted or moved before, `more` went on. `turn` counts a
    department's orders: new ones beside an accepted problem of their resource first, those sent again or going on last.
    """
    query = f"""
        with told as (
            select n.order_id, n.due_on, n.due_provisional,
                   case when o.opened_on = n.as_of then 'now' else 'later' end as way
            from ledger.order_events n join ledger.orders o using (order_id)
            where n.event = '{OrderEvent.notified}' and n.as_of = date '{as_of}'
            union all
            select j.order_id, l.due_on, l.due_provisional, 'more'
            from (select distinct order_id from ledger.order_events
                  where event in ('{OrderEvent.systematic}', '{OrderEvent.accepted}')) j
            cross join lateral (
                select * from ledger.order_events e where e.order_id = j.order_id and e.as_of <= date '{as_of}'
                order by number desc limit 1
            ) l
            where exists (select from ledger.order_events e where e.order_id = j.order_id
                          and e.event = '{OrderEvent.notified}' and e.as_of < date '{as_of}')
              and not exists (select from ledger.order_events e where e.order_id = j.order_id
                              and e.event = '{OrderEvent.notified}' and e.as_of = date '{as_of}')
        ), accepted as (
            select distinct o.department, o.resource
            from (select distinct order_id from ledger.order_events where event = '{OrderEvent.accepted}') a
            join ledger.orders o using (order_id)
            cross join lateral (
                select state from ledger.order_events e where e.order_id = a.order_id and e.as_of < date '{as_of}'
                order by number desc limit 1
            ) l where l.state = '{OrderState.accepted}'
        )
        select t.*, o.department, o.resource, o.order_number, o.rule_id, o.severity, o.delivery_id, c.reason as cause,
               case when t.way = 'more' or exists (select from ledger.order_events e where e.order_id = t.order_id
                        and e.event = '{OrderEvent.notified}' and e.as_of < date '{as_of}') then 2
                    when a.resource is not null then 0 else 1 end as rank
        from told t join ledger.orders o using (order_id)
        left join accepted a on a.department = o.department and a.resource = o.resource
        left join ledger.order_events c on c.order_id = t.order_id and c.event = '{OrderEvent.systematic}'"""
    city.con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE notices_orders AS
        SELECT *, row_number() OVER (PARTITION BY department ORDER BY rank, length(order_number), order_number) AS turn
        FROM postgres_query('shuyuan', {literal(query)})
        """
    )


def _read_rows(city: City, as_of: date) -> None:
    """`notices_rows`: one row per item of `notices_orders`, as it was when it was opened in it; only what was open.

    `place` counts a department's rows in the order of the file.
    """
    listed = {
        way: ", ".join(literal(order_id) for (order_id,) in found)
        for way in ("now", "later", "more")
        if (found := city.con.execute("SELECT order_id FROM notices_orders WHERE way = ?", [way]).fetchall())
    }
    opening = f"e.event in ('{ItemEvent.opened}', '{ItemEvent.reopened}')"
    columns = "e.order_id, e.item_id, e.observed, e.suggested, e.suggestion_method, e.suggestion_confidence, e.reason"
    ways = {
        "now": f"""
            select {columns}, e.relapses from ledger.events e
            where e.order_id = any(array[%s]) and e.as_of = date '{as_of}' and {opening}""",
        "later": f"""
            select * from (
                select distinct on (e.order_id, e.item_id) {columns}, e.relapses from ledger.events e
                where e.order_id = any(array[%s]) and e.as_of <= date '{as_of}' and {opening}
                  and not exists (select from ledger.events c where c.serial = e.serial and c.number > e.number
                                  and c.closed and c.as_of <= date '{as_of}')
                order by e.order_id, e.item_id, e.number desc
            ) standing""",
        "more": f"""
            select {columns}, e.relapses from ledger.events e
            join ledger.events n on n.serial = e.serial and n.number = e.number + 1
                and n.event = '{ItemEvent.notified}' and n.as_of = e.as_of
            where e.order_id = any(array[%s]) and e.as_of = date '{as_of}' and {opening}""",
    }
    selects = " union all ".join(ways[way] % orders for way, orders in listed.items()) or f"{ways['now']}" % "''"
    query = f"select r.*, i.record_key, i.column_name from ({selects}) r join ledger.items i using (item_id)"
    city.con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE notices_rows AS
        SELECT r.*, o.department, o.order_number, o.due_on, o.cause IS NOT NULL AS one_cause,
               {found_by_sql("suggestion_method", "suggestion_confidence")} AS found_by,
               row_number() OVER (PARTITION BY o.department ORDER BY o.turn, record_key, column_name, item_id) AS place
        FROM postgres_query('shuyuan', {literal(query)}) r JOIN notices_orders o USING (order_id)
        ORDER BY o.department, place
        """
    )


def found_by_sql(method: str, confidence: str) -> str:
    """How a suggestion was found and how sure it is, in words; only what is certain is 100 %."""
    cases = " ".join(f"WHEN {literal(one)} THEN {literal(f'{METHODS[one].zh} {METHODS[one].en}')}" for one in Method)
    return f"CASE {method} {cases} END || coalesce(printf(' %d%%', floor({confidence} * 100)::INTEGER), '')"


def write_deadlines(city: City, as_of: date) -> list[Path]:
    """The list of what happened to orders on the day, for each department and, of what reached it, for the bureau."""
    told: dict[str, list[dict[str, Any]]] = {}
    for row in _deadlines(city, as_of):
        told.setdefault(row["department"], []).append(row)
        if row["level"] >= TO_BUREAU and row["event"] == OrderEvent.escalated:
            told.setdefault(BUREAU, []).append(row)
    written: list[Path] = []
    for department, rows in told.items():
        folder = city.home.outbox / department / as_of.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        made = write_list(folder / "deadlines", "Deadlines 期限", rows, as_of)
        enqueue(city, department, as_of, made)
        written += made
    return written


def _deadlines(city: City, as_of: date) -> list[dict[str, Any]]:
    """One row per event of a sent order on the day, without the notice itself and without any value of a record."""
    with city.server.session() as cursor:
        cursor.execute(
            """
            select e.department, o.order_number, o.resource, o.rule_id, o.severity, e.event, e.level, e.due_on,
                   e.due_provisional, e.actor, e.reason, e.evidence
            from ledger.order_events e join ledger.orders o using (order_id)
            where e.as_of = %s and e.event = any(%s) and exists (
                select from ledger.order_events n
                where n.order_id = e.order_id and n.event = 'notified' and n.number < e.number
            )
            order by e.department, length(o.order_number), o.order_number, e.number
            """,
            (as_of, [event.value for event in _TOLD]),
        )
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [{**row, "addressee": _addressee(city.catalog, row)} for row in rows]


_TOLD = (
    OrderEvent.reminded, OrderEvent.escalated, OrderEvent.extended, OrderEvent.paused, OrderEvent.resumed,
    OrderEvent.recomputed, OrderEvent.withdrawn, OrderEvent.transferred, OrderEvent.accepted, OrderEvent.enforced,
)  # fmt: skip


def _addressee(catalog: Catalog, row: dict[str, Any]) -> str:
    """Who is meant: the sharing office, from the second level on the officer, then the bureau."""
    department = catalog.departments.get(row["department"])
    if department is None or row["event"] != OrderEvent.escalated:
        return department.sharing_office if department else ""
    steward, head = department.sharing_office, department.chief_data_officer
    return (steward, head, "数据主管部门 data bureau", "督查清单 supervision list")[row["level"] - 1]
