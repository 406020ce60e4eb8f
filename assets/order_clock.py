"""The clocks of all orders on one business day: notices start them, answers end pauses, time reminds and escalates.

`tick` writes what happens to orders as a temporary table of order events; `assets.notices` appends it together with
what it tells departments. What the clock is, is `quality_checks.clocks`; what a person does to one order,
`assets.order_book`. Each reminder and each level is written once, on whatever days passes are made.
"""

from __future__ import annotations

from datetime import date

from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from quality_checks.clocks import due_sql, horizon, tick_sql
from quality_checks.corrections import ItemState
from quality_checks.order_states import OrderEvent, OrderState
from quality_checks.working_days import Calendar, calendar_sql
from resources.lake import literal

# One row per order that is not done, held or accepted: its last event, the last start, stop, reminder of its clock.
_LIVE = f"""
    with latest as (
        select distinct on (order_id) * from ledger.order_events order by order_id, number desc
    )
    select l.order_id, l.number, l.department, l.state, l.due_on, l.due_provisional, l.working_days, l.paused_days,
           l.level, o.resource, o.severity, n.as_of as started_on, p.as_of as asked_on, r.as_of as reminded_on
    from latest l
    join ledger.orders o using (order_id)
    left join lateral (
        select as_of from ledger.order_events e where e.order_id = l.order_id and e.event = '{OrderEvent.notified}'
        order by number desc limit 1
    ) n on true
    left join lateral (
        select as_of from ledger.order_events e where e.order_id = l.order_id and e.event = '{OrderEvent.paused}'
        order by number desc limit 1
    ) p on true
    left join lateral (
        select as_of from ledger.order_events e where e.order_id = l.order_id and e.event = '{OrderEvent.reminded}'
            and e.due_on = l.due_on
        order by number desc limit 1
    ) r on true
    where l.state in ('{OrderState.open}', '{OrderState.notified}', '{OrderState.paused}')
"""


def read_live(con: DuckDBPyConnection) -> None:
    """`clock_live`: every order that is not done, held or accepted."""
    con.execute(f"CREATE OR REPLACE TEMP TABLE clock_live AS FROM postgres_query('shuyuan', {literal(_LIVE)})")


def tick(con: DuckDBPyConnection, catalog: Catalog, as_of: date, author: str) -> str:
    """What the clock does to orders on `as_of`, as a temporary table with the columns of `ledger_rows.ORDER_EVENTS`.

    Orders that wait for their notice are notified; a pause ends when none of the order's items asks any more; a
    provisional deadline is worked out anew; then reminders and levels. The caller holds the ledger's lock.
    """
    calendar = Calendar.with_table(catalog.holidays)
    read_live(con)
    _asking(con)
    moved(con, _started_and_resumed(as_of), as_of, calendar)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE clock_running AS
        SELECT l.* REPLACE (
                   coalesce(m.due_on, l.due_on) AS due_on,
                   CASE WHEN m.due_on IS NULL OR m.due_on = l.due_on THEN l.reminded_on END AS reminded_on
               ),
               coalesce(m.due_provisional, l.due_provisional) AS unsure,
               coalesce(m.working_days, l.working_days) AS allowed, coalesce(m.paused_days, l.paused_days) AS stood
        FROM clock_live l LEFT JOIN clock_moved m USING (order_id)
        WHERE coalesce(m.state, l.state) = '{OrderState.notified}'
          AND order_id NOT IN (SELECT order_id FROM clock_asking)
        """
    )
    reached = con.execute("SELECT min(due_on), max(due_on), min(reminded_on) FROM clock_running").fetchone()
    known = [day for day in reached or () if day] + [as_of]
    ticks = tick_sql(
        "clock_running", catalog.jurisdiction.clock, as_of, first=min(known), last=max(known), calendar=calendar
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE clock_events AS
        WITH told AS (
            SELECT order_id, 0 AS step, event, state, due_on, due_provisional, working_days, paused_days, level, reason
            FROM clock_moved
            UNION ALL
            SELECT order_id, 1, '{OrderEvent.paused}', '{OrderState.paused}', due_on, due_provisional, working_days,
                   paused_days, level, '待补充信息 information was asked for'
            FROM clock_moved WHERE event = '{OrderEvent.notified}' AND order_id IN (SELECT order_id FROM clock_asking)
            UNION ALL
            SELECT t.order_id, 1 + t.level, t.event, '{OrderState.notified}', r.due_on, r.unsure, r.allowed, r.stood,
                   t.level,
                   CASE t.event WHEN '{OrderEvent.reminded}' THEN concat('剩余工作日 working days left: ', t.days)
                                ELSE concat('超期工作日 working days over: ', t.days) END
            FROM ({ticks}) t JOIN clock_running r USING (order_id)
        )
        SELECT t.order_id, (l.number + row_number() OVER (PARTITION BY t.order_id ORDER BY t.step))::INTEGER AS number,
               l.department, t.event, t.state, $day::DATE AS as_of, t.due_on, t.due_provisional,
               t.working_days::INTEGER AS working_days, t.paused_days::INTEGER AS paused_days,
               t.level::INTEGER AS level, $author AS actor, t.reason, NULL::VARCHAR AS evidence
        FROM told t JOIN clock_live l USING (order_id)
        """,
        {"day": as_of, "author": author},
    )
    return "clock_events"


def _asking(con: DuckDBPyConnection) -> None:
    """`clock_asking`: orders of which an item still asks, among those paused and those sent again."""
    paused = con.execute(
        f"SELECT order_id FROM clock_live WHERE state = '{OrderState.paused}'"
        f" OR (state = '{OrderState.open}' AND started_on IS NOT NULL)"
    ).fetchall()
    listed = ", ".join(literal(row[0]) for row in paused)
    query = f"""
        select distinct order_id from ledger.order_items
        where order_id = any(array[{listed}]::text[]) and state = '{ItemState.insufficient_information}'
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE clock_asking AS FROM postgres_query('shuyuan', {literal(query)})")


def _started_and_resumed(as_of: date) -> str:
    """Of `clock_live`, what starts, goes on or is to be worked out anew: a relation for `moved`."""
    return f"""
        SELECT order_id, '{OrderEvent.notified}' AS event, DATE '{as_of}' AS started_on, NULL::DATE AS asked_on,
               working_days - paused_days AS working_days, 0 AS paused_days, NULL::VARCHAR AS reason
        FROM clock_live WHERE state = '{OrderState.open}'
        UNION ALL
        SELECT order_id, '{OrderEvent.resumed}', started_on, asked_on, working_days, paused_days,
               '无待答问题 no question is open'
        FROM clock_live WHERE state = '{OrderState.paused}' AND order_id NOT IN (SELECT order_id FROM clock_asking)
        UNION ALL
        SELECT order_id, '{OrderEvent.recomputed}', started_on, NULL, working_days, paused_days,
               '工作日历已更新 the calendar changed'
        FROM clock_live
        WHERE due_provisional AND (state = '{OrderState.notified}' OR order_id IN (SELECT order_id FROM clock_asking))
    """


def moved(con: DuckDBPyConnection, changes: str, as_of: date, calendar: Calendar) -> None:
    """`clock_moved`: the deadlines of `clock_live` after `changes`, one row per order something changes for.

    `changes` are rows `order_id, event, started_on, asked_on, working_days, paused_days, reason`; `asked_on` is set
    where a pause ends on `as_of`. A pause that began when the time had run out adds nothing.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE clock_changes AS {changes}")
    earliest = con.execute("SELECT min(asked_on) FROM clock_changes").fetchone()
    first = earliest[0] if earliest and earliest[0] else as_of
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE clock_budgets AS
        WITH days AS ({calendar_sql(min(first, as_of), as_of, calendar)})
        SELECT c.* REPLACE (c.working_days + p.days AS working_days, c.paused_days + p.days AS paused_days)
        FROM clock_changes c
        JOIN clock_live l USING (order_id)
        LEFT JOIN days a ON a.day = c.asked_on
        JOIN days t ON t.day = DATE '{as_of}'
        CROSS JOIN LATERAL (
            SELECT CASE WHEN c.asked_on < l.due_on THEN t.workday_number - a.workday_number ELSE 0 END AS days
        ) p
        """
    )
    start = con.execute("SELECT min(started_on) FROM clock_budgets").fetchone()
    opened = start[0] if start and start[0] else as_of
    due = due_sql("clock_budgets", opened, horizon(con, "clock_budgets", as_of), calendar)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE clock_moved AS
        SELECT b.order_id, b.event,
               CASE b.event WHEN '{OrderEvent.recomputed}' THEN l.state WHEN '{OrderEvent.extended}' THEN l.state
                            ELSE '{OrderState.notified}' END AS state,
               d.due_on, d.due_provisional, b.working_days, b.paused_days, l.level, b.reason
        FROM clock_budgets b JOIN ({due}) d USING (order_id) JOIN clock_live l USING (order_id)
        WHERE b.event <> '{OrderEvent.recomputed}'
           OR (d.due_on, d.due_provisional) IS DISTINCT FROM (l.due_on, l.due_provisional)
        """
    )


def ask_sql(orders: str, as_of: date, actor: str) -> str:
    """Order events that stop the clocks of the running orders among `orders` (a table of `order_id`).

    To be asked of `clock_live`.
    """
    return f"""
        SELECT order_id, (number + 1)::INTEGER AS number, department, '{OrderEvent.paused}' AS event,
               '{OrderState.paused}' AS state, DATE '{as_of}' AS as_of, due_on, due_provisional, working_days,
               paused_days, level, {literal(actor)} AS actor, '待补充信息 information was asked for' AS reason,
               NULL::VARCHAR AS evidence
        FROM clock_live WHERE state = '{OrderState.notified}' AND order_id IN (SELECT order_id FROM {orders})"""
