"""Questions to the ledger about orders, as plain rows: the list, one order in full, and the list as a file.

The command line and the portal show them; nothing is written here but the export a person asked for.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Literal

import xlsxwriter

from assets.dispute_book import DisputeRow, list_disputes
from assets.notice_files import harmless
from resources.city import City

State = Literal["open", "closed", "overdue", "held", "accepted", "all"]
STATES: tuple[State, ...] = ("open", "closed", "overdue", "held", "accepted", "all")
FORMATS = (".csv", ".xlsx")


@dataclass(frozen=True)
class OrderRow:
    """One order; `open`, `closed`, `verified` and `relapsed` count its items.

    `overdue`: its clock runs and the last day for the reply has passed. `level`: how far it was escalated. `cause`:
    `systematic` when nearly all rows fail the rule. `accepted_until`: a known problem is not sent again before.
    """

    order_number: str
    department: str
    resource: str
    rule_id: str
    severity: str
    delivery_id: str
    opened_on: date
    due_on: date
    due_provisional: bool
    state: str
    level: int
    overdue: bool
    items: int
    open: int
    closed: int
    verified: int
    relapsed: int
    closed_on: date | None
    cause: str | None
    accepted_until: date | None


@dataclass(frozen=True)
class EventRow:
    """One thing that happened to an item while it stood in the order."""

    item_id: str
    record_key: str
    column_name: str
    number: int
    as_of: date
    event: str
    state: str
    observed: str | None
    suggested: str | None
    suggestion_method: str | None
    suggestion_confidence: float | None
    reason: str | None
    evidence: str | None
    by_date: date | None
    actor: str
    delivery_id: str


@dataclass(frozen=True)
class ClockRow:
    """One thing that happened to the order itself, with the deadline after it."""

    number: int
    as_of: date
    event: str
    state: str
    due_on: date
    due_provisional: bool
    paused_days: int
    level: int
    actor: str
    reason: str | None


@dataclass(frozen=True)
class OrderDetail:
    """One order with its own history, that of its items, and the disputes about them."""

    order: OrderRow
    clock: tuple[ClockRow, ...]
    events: tuple[EventRow, ...]
    disputes: tuple[DisputeRow, ...]


class UnknownOrderError(LookupError):
    """No order of that number."""


_LIST = """
    select order_number, department, resource, rule_id, severity, delivery_id, opened_on, due_on, due_provisional,
           state, level, open > 0 and due_on < %(day)s and state in ('open', 'notified') as overdue, items, open,
           closed, verified, relapsed, closed_on, cause, accepted_until
    from ledger.order_states
    where (%(department)s is null or department = %(department)s)
      and (%(number)s is null or order_number = %(number)s)
      and case %(state)s when 'open' then open > 0 when 'closed' then open = 0
          when 'overdue' then open > 0 and due_on < %(day)s and state in ('open', 'notified')
          when 'all' then true else state = %(state)s end
    order by opened_on, length(order_number), order_number
"""
_CLOCK = """
    select e.number, e.as_of, e.event, e.state, e.due_on, e.due_provisional, e.paused_days, e.level, e.actor, e.reason
    from ledger.order_events e join ledger.orders o using (order_id)
    where o.order_number = %(number)s order by e.number
"""
_EVENTS = """
    select e.item_id, i.record_key, i.column_name, e.number, e.as_of, e.event, e.state, e.observed, e.suggested,
           e.suggestion_method, e.suggestion_confidence, e.reason, e.evidence, e.by_date, e.actor, e.delivery_id
    from ledger.orders o
    cross join lateral (select serial from ledger.order_items l where l.order_id = o.order_id offset 0) l
    join ledger.events e on e.serial = l.serial and e.order_id = o.order_id
    join ledger.items i on i.serial = l.serial
    where o.order_number = %(number)s
    order by i.record_key, i.column_name, e.item_id, e.number
"""


def list_orders(city: City, as_of: date, *, department: str | None = None, state: State = "open") -> list[OrderRow]:
    """Orders by the day they were opened. `overdue`: an item is open after the last day for the reply, on `as_of`.

    Raises:
        ValueError: `state` is none of `STATES`.
    """
    if state not in STATES:
        raise ValueError(f"state {state!r}: must be one of: {', '.join(STATES)}")
    return _orders(city, {"day": as_of, "department": department, "number": None, "state": state})


def show_order(city: City, number: str, as_of: date, *, department: str | None = None) -> OrderDetail:
    """One order by its number, with everything that happened to it and its items; only a department's, if stated.

    Raises:
        UnknownOrderError: the ledger holds no order of that number.
    """
    orders = _orders(city, {"day": as_of, "department": department, "number": number, "state": "all"})
    if not orders:
        raise UnknownOrderError(f"order {number}: the ledger holds none of that number")
    with city.server.session() as cursor:
        cursor.execute(_CLOCK, {"number": number})
        clock = tuple(ClockRow(*row) for row in cursor.fetchall())
        cursor.execute(_EVENTS, {"number": number})
        events = tuple(EventRow(*row) for row in cursor.fetchall())
    return OrderDetail(orders[0], clock, events, tuple(list_disputes(city, state="all", order=number)))


@dataclass(frozen=True)
class FeedbackStatus:
    """What one department has answered of its open items, and what it still owes.

    `promised_past`: items it would have corrected by a day that has passed. `unsent`: notice files that wait for a
    channel or failed on it. `files`: replies taken in so far; `last_reply`: the day of the newest.
    """

    department: str
    orders_open: int
    orders_overdue: int
    orders_paused: int
    items_open: int
    unanswered: int
    acknowledged: int
    promised_past: int
    objections: int
    asked: int
    wrong_source: int
    files: int
    last_reply: date | None
    unsent: int


def feedback_status(city: City, as_of: date, *, department: str | None = None) -> list[FeedbackStatus]:
    """One row per department that has orders, by name."""
    with city.server.session() as cursor:
        cursor.execute(_STATUS, {"day": as_of, "department": department})
        return [FeedbackStatus(*row) for row in cursor.fetchall()]


_STATUS = """
    with orders as (
        select department, count(*) filter (where open > 0) as open,
               count(*) filter (where open > 0 and due_on < %(day)s and state in ('open', 'notified')) as overdue,
               count(*) filter (where state = 'paused') as paused
        from ledger.order_states where %(department)s::text is null or department = %(department)s
        group by department
    ), items as (
        select department, count(*) as open,
               count(*) filter (where state in ('open', 'notified', 'reopened')
                                and order_state not in ('held', 'accepted')) as unanswered,
               count(*) filter (where state = 'acknowledged') as acknowledged,
               count(*) filter (where by_date < %(day)s) as promised_past,
               count(*) filter (where state = 'objection_raised') as objections,
               count(*) filter (where state = 'insufficient_information') as asked,
               count(*) filter (where state = 'wrong_source') as wrong_source
        from ledger.item_states
        where not closed and (%(department)s::text is null or department = %(department)s)
        group by department
    ), files as (
        select department, count(*) as files, max(as_of) as last_reply
        from ledger.batches where kind = 'feedback' group by department
    ), unsent as (
        select department, count(*) as unsent
        from ops.sendings where state in ('waiting', 'sending', 'failed') group by department
    )
    select department, o.open, o.overdue, o.paused, coalesce(i.open, 0), coalesce(i.unanswered, 0),
           coalesce(i.acknowledged, 0), coalesce(i.promised_past, 0), coalesce(i.objections, 0), coalesce(i.asked, 0),
           coalesce(i.wrong_source, 0), coalesce(f.files, 0), f.last_reply, coalesce(u.unsent, 0)
    from orders o
    left join items i using (department) left join files f using (department) left join unsent u using (department)
    order by department
"""


def export_orders(city: City, path: Path, as_of: date, *, department: str | None = None, state: State = "all") -> int:
    """Write the list to a `.csv` or `.xlsx` file; no cell can become a formula. Returns the number of orders.

    Raises:
        ValueError: another kind of file, or `state` is none of `STATES`.
    """
    if path.suffix not in FORMATS:
        raise ValueError(f"{path.name}: the name must end in one of {', '.join(FORMATS)}")
    orders = list_orders(city, as_of, department=department, state=state)
    names = [field.name for field in fields(OrderRow)]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        (_write_csv if path.suffix == ".csv" else _write_xlsx)(partial, names, map(astuple, orders))
        partial.chmod(0o600)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return len(orders)


def _orders(city: City, wanted: dict[str, Any]) -> list[OrderRow]:
    with city.server.session() as cursor:
        cursor.execute(_LIST, wanted)
        return [OrderRow(*row) for row in cursor.fetchall()]


def _write_csv(path: Path, names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as text:
        lines = csv.writer(text, lineterminator="\r\n")
        lines.writerow(names)
        lines.writerows([harmless(cell) for cell in row] for row in rows)


def _write_xlsx(path: Path, names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    with xlsxwriter.Workbook(str(path), {"constant_memory": True}) as book:
        sheet = book.add_worksheet("Orders 工单")
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.freeze_panes(1, 0)
        for index, name in enumerate(names):
            sheet.write_string(0, index, name)
        for number, row in enumerate(rows, start=1):  # a spreadsheet is written cell by cell
            for index, cell in enumerate(row):
                if isinstance(cell, date):
                    sheet.write_datetime(number, index, cell, day)
                elif isinstance(cell, bool):
                    sheet.write_boolean(number, index, cell)
                elif isinstance(cell, int):
                    sheet.write_number(number, index, cell)
                elif cell is not None:
                    sheet.write_string(number, index, cell)
