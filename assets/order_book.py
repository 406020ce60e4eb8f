"""What a person does to one order: extends it, answers a question, takes it back, takes it further, moves it on.

Each is an event of the ledger with who did it and why, and stands in the department's list of deadlines of that day.
What was the last thing done to it is not done twice: asked again in the same words on the same day, as after a kill, it
only tells the department. What the clock does by itself is `assets.order_clock`; questions to the ledger are
`assets.orders`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from assets.corrections import NO_ITEMS, close_orders, tell
from assets.feedback_rows import RIGHT_DEPARTMENT
from assets.notices import write_deadlines
from assets.order_clock import moved, read_live
from assets.orders import UnknownOrderError
from catalog.jurisdiction import LADDER
from quality_checks.clocks import days_sql, due_sql, horizon
from quality_checks.corrections import ItemEvent, ItemState
from quality_checks.order_states import OrderEvent, OrderNotAllowedError, OrderState, next_order_state
from quality_checks.working_days import Calendar
from resources import ledger
from resources.city import City
from resources.lake import literal
from resources.ledger_states import read_states

NAMED = RIGHT_DEPARTMENT + r"(\w+)"


class OrderRefusedError(ValueError):
    """What was asked cannot happen to this order now; the message says why and what is allowed."""


@dataclass(frozen=True)
class Act:
    """Who does something to which order, why, on which day. With `department`, only to one of its orders."""

    number: str
    actor: str
    reason: str
    as_of: date
    department: str | None = None


@dataclass(frozen=True)
class OrderMoved:
    """Where the order stands after it."""

    order_number: str
    department: str
    event: str
    state: str
    due_on: date
    due_provisional: bool
    level: int
    items: int = 0


def extend(city: City, act: Act, days: int) -> OrderMoved:
    """Give an order the one extension, in working days, before its deadline has passed.

    Raises:
        UnknownOrderError: no such order.
        OrderRefusedError: a second extension, too many days, or the deadline has passed.
    """
    most = city.catalog.jurisdiction.clock.extension
    with _acting(city, act, OrderEvent.extended) as order:
        if order["done"]:
            return _stands(city, act, order)
        if not 0 < days <= most:
            raise OrderRefusedError(
                f"days = {days}: must be 1 to {most} working days (jurisdiction.yaml, clock.extension)"
            )
        if _has(city, order, OrderEvent.extended):
            raise OrderRefusedError(f"order {act.number}: was extended before; an order is extended once")
        if order["state"] == OrderState.notified and order["due_on"] < act.as_of:
            raise OrderRefusedError(
                f"order {act.number}: was due on {order['due_on']}; it is extended before that day ends"
            )
        _move(city, act, order, event=OrderEvent.extended, more=days, asked=False)
        return _write(city, act, order)


def answer(city: City, act: Act) -> OrderMoved:
    """Answer what a department asked: the items are informed, and the clock goes on without the days it stood.

    Raises:
        UnknownOrderError: no such order.
        OrderRefusedError: it does not wait for an answer.
    """
    with _acting(city, act, OrderEvent.resumed) as order:
        if order["done"]:
            return _stands(city, act, order)
        _move(city, act, order, event=OrderEvent.resumed, more=0, asked=True)
        news = f"""
            SELECT item_id, '{ItemEvent.informed}' AS event, {literal(act.reason)} AS reason,
                   NULL::VARCHAR AS evidence, NULL::DATE AS by_date
            FROM ({_standing(order, ItemState.insufficient_information)})"""
        return _write(city, act, order, news)


def withdraw(city: City, act: Act) -> OrderMoved:
    """Take an order back: nothing is due any more; its items are judged on.

    Raises:
        UnknownOrderError: no such order.
        OrderRefusedError: it is closed or withdrawn.
    """
    with _acting(city, act, OrderEvent.withdrawn) as order:
        if order["done"]:
            return _stands(city, act, order)
        _stay(city, act, order, event=OrderEvent.withdrawn, state=OrderState.withdrawn, level=order["level"])
        return _write(city, act, order)


def escalate(city: City, act: Act) -> OrderMoved:
    """Take an order to the next level without waiting for the clock.

    Raises:
        UnknownOrderError: no such order.
        OrderRefusedError: it does not run, or is on the supervision list already.
    """
    with _acting(city, act, OrderEvent.escalated) as order:
        if order["done"]:
            return _stands(city, act, order)
        if order["level"] >= len(LADDER):
            raise OrderRefusedError(f"order {act.number}: is on the last level, {LADDER[-1]}")
        _stay(city, act, order, event=OrderEvent.escalated, state=OrderState.notified, level=order["level"] + 1)
        return _write(city, act, order)


def transfer(city: City, act: Act, to: str | None = None) -> OrderMoved:
    """The bureau's ruling on `wrong_source`: move those items of the order to the right department, with their history.

    `to` is the department that the replies named, if not stated; items that name another stay. Each becomes an item of
    an order of its own there, or the item that was transferred from there before is opened again.

    Raises:
        UnknownOrderError: no such order.
        OrderRefusedError: no item says so, nobody named a department, or the department is not another one.
    """
    with _acting(city, act, OrderEvent.transferred) as order:
        claims = city.con.execute(
            f"SELECT item_id, regexp_extract(evidence, {literal(NAMED)}, 1)"
            f" FROM ({_standing(order, ItemState.wrong_source)})"
        ).fetchall()
        named = sorted({name for _, name in claims if name})
        wanted = to or (named[0] if len(named) == 1 else None)
        if not claims:
            raise OrderRefusedError(f"order {act.number}: none of its items is {ItemState.wrong_source}")
        if wanted is None:
            raise OrderRefusedError(f"order {act.number}: state --to; the replies name {', '.join(named) or 'nobody'}")
        if wanted == order["department"] or wanted not in city.catalog.departments:
            known = ", ".join(name for name in city.catalog.departments if name != order["department"])
            raise OrderRefusedError(f"--to = {wanted!r}: must be one of: {known}")
        items = [item for item, name in claims if to or name == wanted]
        _transfer(city, act, items, wanted)
        write_deadlines(city, act.as_of)
        return OrderMoved(
            act.number, wanted, ItemEvent.transferred, order["state"], order["due_on"], order["due_provisional"],
            order["level"], len(items),
        )  # fmt: skip


@contextmanager
def _acting(city: City, act: Act, event: OrderEvent) -> Iterator[dict[str, Any]]:
    """Hold the ledger and give the order, if it may have this event; `done` when this act is the last it had."""
    if not act.reason.strip():
        raise OrderRefusedError("reason: must be stated; it is kept in the ledger")
    with city.server.lock(ledger.LOCK):
        read_live(city.con)
        with city.server.session() as cursor:
            cursor.execute(
                """
                select o.*, n.started_on, l.actor, l.reason
                from ledger.order_states o join ledger.order_events l using (order_id, number)
                left join lateral (
                    select as_of as started_on from ledger.order_events e
                    where e.order_id = o.order_id and e.event = 'notified' order by number desc limit 1
                ) n on true
                where o.order_number = %s and (%s::text is null or o.department = %s)
                """,
                (act.number, act.department, act.department),
            )
            found = cursor.fetchone()
            names = [column.name for column in cursor.description]
        if found is None:
            raise UnknownOrderError(f"order {act.number}: the ledger holds none of that number")
        order = dict(zip(names, found, strict=True))
        if act.as_of < order["as_of"]:
            raise OrderRefusedError(f"--as-of = {act.as_of}: must not lie before {order['as_of']}, its last event")
        last = (order["event"], order["actor"], order["reason"], order["as_of"])
        order["done"] = last == (event, act.actor, act.reason.strip(), act.as_of)
        try:
            if not order["done"]:
                next_order_state(OrderState(order["state"]), event)
        except OrderNotAllowedError as error:
            raise OrderRefusedError(f"order {act.number}: {error}") from error
        yield order


def _has(city: City, order: dict[str, Any], event: OrderEvent) -> bool:
    with city.server.session() as cursor:
        cursor.execute(
            "select count(*) from ledger.order_events where order_id = %s and event = %s", (order["order_id"], event)
        )
        return bool(cursor.fetchone()[0])


def _standing(order: dict[str, Any], state: ItemState) -> str:
    """Items of the order that stand in a state: `item_id, evidence`."""
    query = f"""
        select item_id, evidence from ledger.order_items
        where order_id = {literal(order["order_id"])} and state = '{state}'"""
    return f"FROM postgres_query('shuyuan', {literal(query)})"


def _move(city: City, act: Act, order: dict[str, Any], *, event: OrderEvent, more: int, asked: bool) -> None:
    """`book_events`: the order's event with the deadline it leads to."""
    changes = f"""
        SELECT order_id, '{event}' AS event, started_on, {"asked_on" if asked else "NULL::DATE"} AS asked_on,
               working_days + {more} AS working_days, paused_days, {literal(act.reason.strip())} AS reason
        FROM clock_live WHERE order_id = {literal(order["order_id"])}"""
    moved(city.con, changes, act.as_of, Calendar.with_table(city.catalog.holidays))
    _events(city, act, order, "FROM clock_moved")


def _stay(city: City, act: Act, order: dict[str, Any], *, event: OrderEvent, state: OrderState, level: int) -> None:
    """`book_events`: the order's event, its deadline as it was."""
    same = f"""
        (SELECT order_id, '{event}' AS event, '{state}' AS state, DATE '{order["due_on"]}' AS due_on,
                {order["due_provisional"]} AS due_provisional, {order["working_days"]} AS working_days,
                {order["paused_days"]} AS paused_days, {level} AS level, {literal(act.reason.strip())} AS reason
         FROM (SELECT {literal(order["order_id"])} AS order_id))"""
    _events(city, act, order, f"FROM {same}")


def _events(city: City, act: Act, order: dict[str, Any], moves: str) -> None:
    city.con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE book_events AS
        SELECT order_id, {order["number"] + 1} AS number, $department AS department, event, state, $day::DATE AS as_of,
               due_on, due_provisional, working_days, paused_days, level, $actor AS actor, reason,
               NULL::VARCHAR AS evidence
        {moves}
        """,
        {"department": order["department"], "day": act.as_of, "actor": act.actor},
    )


def _stands(city: City, act: Act, order: dict[str, Any]) -> OrderMoved:
    """Where an order stands that had this act before; the list of the day's deadlines is written all the same."""
    write_deadlines(city, act.as_of)
    told = (order[name] for name in ("department", "event", "state", "due_on", "due_provisional", "level"))
    return OrderMoved(act.number, *told)


def _write(city: City, act: Act, order: dict[str, Any], news: str = NO_ITEMS) -> OrderMoved:
    con = city.con
    con.execute(f"CREATE OR REPLACE TEMP TABLE book_news AS {news}")
    told = {"kind": "decision", "as_of": act.as_of, "actor": act.actor, "author": act.actor}
    items = tell(city, "book_news", order_events="book_events", **told)  # type: ignore[arg-type]  # as named
    [(event, state, due_on, provisional, level)] = con.execute(
        "SELECT event, state, due_on, due_provisional, level FROM book_events"
    ).fetchall()
    write_deadlines(city, act.as_of)
    return OrderMoved(act.number, order["department"], event, state, due_on, provisional, level, items)


def _transfer(city: City, act: Act, items: list[str], to: str) -> None:
    """Append in one transaction: the items' end here, the orders there, and the items opened in them."""
    con, clock = city.con, city.catalog.jurisdiction.clock
    con.execute(
        "CREATE OR REPLACE TEMP TABLE book_wanted AS SELECT unnest($items::VARCHAR[]) AS item_id", {"items": items}
    )
    read_states(con, city.home, "book_items", "book_wanted")
    read_states(
        con,
        city.home,
        "book_before",
        "(SELECT transferred_from AS item_id FROM book_items WHERE transferred_from IS NOT NULL)",
    )
    told = {"to": to, "day": act.as_of, "actor": act.actor, "reason": act.reason.strip()}
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE book_moving AS
        SELECT i.*, coalesce(b.item_id, md5(concat_ws('|', 'transferred', i.item_id, $to))) AS new_id,
               b.serial AS serial_there, b.number AS known, coalesce(b.relapses, 0) AS relapses_there,
               md5(concat_ws('|', $to, i.resource, i.rule_id, i.delivery_id, $day::DATE, i.department)) AS new_order
        FROM book_items i
        LEFT JOIN book_before b
            ON b.item_id = i.transferred_from AND b.department = $to AND b.state = 'transferred'
        """,
        {"to": to, "day": act.as_of},
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE book_numbered AS
        SELECT m.new_order AS order_id, $to AS department, m.resource, m.rule_id, m.delivery_id, o.standard,
               o.dimension, o.indicator, o.severity, $day::DATE AS opened_on, $day::DATE AS started_on
        FROM (SELECT DISTINCT new_order, resource, rule_id, delivery_id, order_id FROM book_moving) m
        JOIN shuyuan.ledger.orders o USING (order_id)
        QUALIFY row_number() OVER (PARTITION BY m.new_order) = 1
        """,
        {"to": to, "day": act.as_of},
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE book_counted AS
        SELECT *, {days_sql(clock)} AS working_days,
               printf('%s-%04d', strftime(opened_on, '%Y%m%d'), row_number() OVER (ORDER BY order_id)
                      + (SELECT count(*) FROM shuyuan.ledger.orders WHERE opened_on = $day::DATE)) AS order_number
        FROM book_numbered
        WHERE order_id NOT IN (SELECT order_id FROM shuyuan.ledger.orders WHERE opened_on = $day::DATE)
        """,
        {"day": act.as_of},
    )
    calendar = Calendar.with_table(city.catalog.holidays)
    due = due_sql("book_counted", act.as_of, horizon(con, "book_counted", act.as_of), calendar)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE book_orders AS"
        f" SELECT c.*, d.due_on, d.due_provisional FROM book_counted c JOIN ({due}) d USING (order_id)"
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE book_new AS
        SELECT new_id AS item_id, finding_id, $to AS department, resource, rule_id, record_key, column_name,
               $day::DATE AS opened_on, item_id AS transferred_from
        FROM book_moving WHERE known IS NULL
        """,
        {"to": to, "day": act.as_of},
    )
    carried = (
        "delivery_id, rule_version, coalesce(record_hash, '') AS record_hash, content_hash, observed, suggested,"
        " suggestion_method, suggestion_confidence"
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE book_item_events AS
        SELECT serial, number + 1 AS number, item_id, department, '{ItemEvent.transferred}' AS event,
               '{ItemState.transferred}' AS state, true AS closed, $day::DATE AS since, order_id, $day::DATE AS as_of,
               {carried}, $reason AS reason, $to AS evidence, NULL::DATE AS by_date, $actor AS actor, notified_on,
               relapses, true AS closes
        FROM book_moving
        UNION ALL
        SELECT serial_there, coalesce(known, 0) + 1, new_id, $to,
               CASE WHEN known IS NULL THEN '{ItemEvent.opened}' ELSE '{ItemEvent.reopened}' END,
               CASE WHEN known IS NULL THEN '{ItemState.open}' ELSE '{ItemState.reopened}' END, false, $day::DATE,
               new_order, $day::DATE, {carried}, $reason, department, NULL, $actor, NULL, relapses_there, false
        FROM book_moving
        """,
        told,
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE book_events AS
        SELECT order_id, 1 AS number, department, '{OrderEvent.opened}' AS event, '{OrderState.open}' AS state,
               opened_on AS as_of, due_on, due_provisional, working_days, 0 AS paused_days, 0 AS level, $actor AS actor,
               $reason AS reason, NULL::VARCHAR AS evidence
        FROM book_orders
        """,
        {"actor": act.actor, "reason": act.reason.strip()},
    )
    close_orders(con, "book_item_events", "book_events", act.as_of, act.actor)
    ledger.append(
        con, kind="decision", as_of=act.as_of, author=act.actor, events="book_item_events",
        order_events="book_events", orders="book_orders", items="book_new",
    )  # fmt: skip
