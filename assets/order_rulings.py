"""What the bureau rules on many orders at once: hold, release, accept a known problem until a day, enforce it again.

Each is an event of the ledger with who did it and why, one batch a ruling. What is released or enforced gets its notice
and its clock on that very day. The last ruling of an order, given again in the same words on the same day, as after a
kill, only tells those concerned. What a person does to one order is `assets.order_book`; when orders are held without
anybody's word, `quality_checks.noise`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from assets.corrections import NO_ITEMS, tell
from assets.notices import issue, write_deadlines
from assets.order_book import OrderMoved, OrderRefusedError
from assets.order_noise import read_versions, write_held
from assets.orders import UnknownOrderError
from quality_checks.order_states import (
    OrderEvent,
    OrderNotAllowedError,
    OrderState,
    next_order_state,
    order_transitions_sql,
)
from resources import ledger
from resources.city import City
from resources.lake import literal


@dataclass(frozen=True)
class Ruling:
    """Who rules, why, on which day, on which orders: by number, or all those of a resource (and one of its rules)."""

    actor: str
    reason: str
    as_of: date
    orders: tuple[str, ...] = ()
    resource: str | None = None  # `<department>.<resource>`
    rule: str | None = None


def hold(city: City, ruling: Ruling) -> list[OrderMoved]:
    """Keep orders that no notice was sent of from being sent, until they are released.

    Raises:
        UnknownOrderError: no such order.
        OrderRefusedError: it was sent, or nothing is named.
    """
    with city.server.lock(ledger.LOCK):
        done = _rule(city, ruling, OrderEvent.held)
        write_held(city, ruling.as_of)
    return done


def release(city: City, ruling: Ruling) -> list[OrderMoved]:
    """Send orders that were held: notice and clock start on the day.

    Raises:
        UnknownOrderError: no such order.
        OrderRefusedError: it is not held, or nothing is named.
    """
    with city.server.lock(ledger.LOCK):
        done = _rule(city, ruling, OrderEvent.released)
    issue(city, ruling.as_of, author=ruling.actor)
    return _now(city, done)


def accept(city: City, ruling: Ruling, until: date) -> list[OrderMoved]:
    """Accept a known problem: until that day its orders, and what is new of it, are neither sent nor taken further.

    It ends before when the rule gets a new version or the bureau says so. On that day it is sent again.

    Raises:
        UnknownOrderError: no such order.
        OrderRefusedError: the problem is not known, is accepted until that day already, or `until` is not ahead.
    """
    if until <= ruling.as_of:
        raise OrderRefusedError(f"--until = {until}: must lie after {ruling.as_of}, the day of the ruling")
    if ruling.resource and not ruling.rule:
        raise OrderRefusedError("--rule: must be stated with --resource; a known problem is one rule of one resource")
    with city.server.lock(ledger.LOCK):
        read_versions(city, ruling.as_of)
        done = _rule(city, ruling, OrderEvent.accepted, until)
        write_deadlines(city, ruling.as_of)
    return done


def enforce(city: City, ruling: Ruling) -> list[OrderMoved]:
    """End an acceptance: the orders get a notice and a full clock on the day.

    Raises:
        UnknownOrderError: no such order.
        OrderRefusedError: it is not accepted, or nothing is named.
    """
    with city.server.lock(ledger.LOCK):
        done = _rule(city, ruling, OrderEvent.enforced)
    issue(city, ruling.as_of, author=ruling.actor)
    return _now(city, done)


def _rule(city: City, ruling: Ruling, event: OrderEvent, until: date | None = None) -> list[OrderMoved]:
    """Append one event to each of the orders that are meant and may have it. The caller holds the ledger's lock."""
    if not ruling.reason.strip():
        raise OrderRefusedError("reason: must be stated; it is kept in the ledger")
    _select(city, ruling, event, until)
    con = city.con
    evidence, versions = "NULL::VARCHAR", ""
    if until:
        evidence = f"concat('until {until}, rule version ', coalesce(v.version, 1))"
        versions = "LEFT JOIN noise_versions v USING (rule_id)"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE ruling_events AS
        SELECT o.order_id, o.number + 1 AS number, o.department, t.event, t.next_state AS state, $day::DATE AS as_of,
               o.due_on, o.due_provisional, o.working_days, o.paused_days, o.level, $actor AS actor, $reason AS reason,
               {evidence} AS evidence, o.order_number
        FROM ruling_orders o JOIN {order_transitions_sql()} t ON t.state = o.state AND t.event = '{event}' {versions}
        WHERE NOT o.done AND NOT (o.state = '{OrderState.accepted}' AND coalesce({evidence} = o.evidence, false))
        """,
        {"day": ruling.as_of, "actor": ruling.actor, "reason": ruling.reason.strip()},
    )
    rows = con.execute(
        f"""
        SELECT order_number, department, event, state, due_on, due_provisional, level FROM (
            SELECT order_number, department, event, state, due_on, due_provisional, level FROM ruling_events
            UNION ALL
            SELECT order_number, department, '{event}', state, due_on, due_provisional, level
            FROM ruling_orders WHERE done
        ) ORDER BY length(order_number), order_number
        """
    ).fetchall()
    if not rows:
        what = ", ".join(ruling.orders) or f"{ruling.resource} {ruling.rule or ''}".strip()
        raise OrderRefusedError(f"{what}: there is no order that may be {event}, or all are already")
    con.execute("ALTER TABLE ruling_events DROP order_number")
    con.execute(f"CREATE OR REPLACE TEMP TABLE ruling_nobody AS {NO_ITEMS}")
    told: dict[str, Any] = {"kind": "decision", "as_of": ruling.as_of, "actor": ruling.actor, "author": ruling.actor}
    tell(city, "ruling_nobody", order_events="ruling_events", **told)
    return [OrderMoved(*row) for row in rows]


def _select(city: City, ruling: Ruling, event: OrderEvent, until: date | None) -> None:
    """`ruling_orders`: the orders that are meant, as they stand; a number that is unknown or may not is refused.

    `done`: this ruling is the last that was given of the order; what followed of itself is its notice alone.
    """
    if bool(ruling.orders) == bool(ruling.resource):
        raise OrderRefusedError("name either orders by their numbers or --resource")
    department, _, resource = (ruling.resource or "").partition(".")
    which = (
        f"o.order_number = any(string_to_array({literal(','.join(ruling.orders))}, ','))"
        if ruling.orders
        else f"o.department = {literal(department)} and o.resource = {literal(resource)}"
    )
    rule = f" and o.rule_id = {literal(ruling.rule)}" if ruling.rule else ""
    query = f"""
        select o.order_id, o.order_number, o.department, o.rule_id, e.number, e.state, e.as_of, e.due_on,
               e.due_provisional, e.working_days, e.paused_days, e.level, e.evidence,
               (l.event, l.actor, l.reason, l.as_of) is not distinct from
               ('{event}', {literal(ruling.actor)}, {literal(ruling.reason.strip())}, date '{ruling.as_of}')
               and {f"l.evidence like 'until {until}%'" if until else "true"} as done
        from ledger.orders o
        cross join lateral (
            select * from ledger.order_events e where e.order_id = o.order_id order by number desc limit 1
        ) e
        cross join lateral (
            select * from ledger.order_events e where e.order_id = o.order_id and e.event <> '{OrderEvent.notified}'
            order by number desc limit 1
        ) l where {which}{rule}"""
    con = city.con
    con.execute(f"CREATE OR REPLACE TEMP TABLE ruling_orders AS FROM postgres_query('shuyuan', {literal(query)})")
    listed = con.execute("SELECT order_number, state, as_of, done FROM ruling_orders").fetchall()
    found = {row[0]: row[1:] for row in listed}
    for number in ruling.orders:
        if number not in found:
            raise UnknownOrderError(f"order {number}: the ledger holds none of that number")
        try:
            if not found[number][2]:
                next_order_state(OrderState(found[number][0]), event)
        except OrderNotAllowedError as error:
            raise OrderRefusedError(f"order {number}: {error}") from error
    last = max((day for _, day, _ in found.values()), default=ruling.as_of)
    if ruling.orders and ruling.as_of < last:
        raise OrderRefusedError(f"--as-of = {ruling.as_of}: must not lie before {last}, the orders' last event")
    con.execute("DELETE FROM ruling_orders WHERE as_of > $day", {"day": ruling.as_of})


def _now(city: City, done: list[OrderMoved]) -> list[OrderMoved]:
    """Where those orders stand after their notice."""
    with city.server.session() as cursor:
        cursor.execute(
            """
            select o.order_number, o.department, e.event, e.state, e.due_on, e.due_provisional, e.level
            from ledger.orders o cross join lateral (
                select * from ledger.order_events e where e.order_id = o.order_id order by number desc limit 1
            ) e where o.order_number = any(%s) order by length(o.order_number), o.order_number
            """,
            ([one.order_number for one in done],),
        )
        return [OrderMoved(*row) for row in cursor.fetchall()]
