"""Corrections: each pass judges every item by the rule on what its department delivered, and opens orders for the rest.

`quality_checks.corrections` says what may happen and when; here the facts are gathered from findings, pools, deliveries
and the ledger, set-based, and what was decided is appended to the ledger in one transaction. Notices to departments are
`assets.notices`, their replies `assets.feedback`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from duckdb import DuckDBPyConnection

from assets.correction_facts import gather_facts
from assets.dispute_book import lapse
from assets.exceptions import restore_marks
from assets.grouping import group, mark
from catalog.load import Catalog
from quality_checks.clocks import days_sql, due_sql, horizon
from quality_checks.corrections import CORRECTED, SETTLED, ItemEvent, ItemState, decision_sql, transitions_sql
from quality_checks.order_states import DONE, OrderEvent, OrderState, order_transitions_sql
from quality_checks.working_days import Calendar, calendar_sql
from resources import ledger
from resources.city import City
from resources.lake import literal
from resources.ledger_states import read_last_order_events, read_order_states, read_states

NO_ITEMS = """
    SELECT NULL::VARCHAR AS item_id, NULL::VARCHAR AS event, NULL::VARCHAR AS reason, NULL::VARCHAR AS evidence,
           NULL::DATE AS by_date
    WHERE false
"""  # what `tell` is told of no item


@dataclass(frozen=True)
class CorrectionsSummary:
    """What the ledger holds of one business day, and what is open and overdue on it."""

    orders_opened: int
    items_opened: int
    items_closed: int
    items_reopened: int
    orders_open: int
    orders_overdue: int
    orders_closed: int
    orders_held: int = 0


def advance(city: City, as_of: date, *, author: str) -> CorrectionsSummary:
    """Judge every item and open orders for new findings; a second call for the same state adds nothing.

    The first deadline counts from the notice, which goes out on `as_of`: `clock` of the jurisdiction.

    Raises:
        duckdb.Error: nothing was written; run the pass again.
    """
    con = city.con
    with city.server.lock(ledger.LOCK):
        gather_facts(city, as_of)
        con.execute(f"CREATE OR REPLACE TEMP TABLE corrections_judged AS {decision_sql('corrections_facts')}")
        _open_orders(con, city.catalog, as_of)
        _write_events(con, as_of, author)
        _write_order_events(con, city.catalog, as_of, author)
        ledger.append(
            con,
            kind="advance",
            as_of=as_of,
            author=author,
            events="corrections_events",
            order_events="corrections_order_events",
            orders="corrections_orders",
            items="corrections_items",
        )
        lapse(city, as_of, author=author)
        restore_marks(city, author=author)
    return summary(city, as_of)


def tell(
    city: City,
    news: str,
    *,
    kind: str,
    as_of: date,
    actor: str,
    author: str,
    source: str = "",
    order_events: str | None = None,
    standing: str | None = None,
    dispute_events: str | None = None,
) -> int:
    """Append what people did: `news` names a temporary table `item_id, event, reason, evidence, by_date`.

    One row per item; events its state does not allow are left out. Orders whose last item that closes are closed;
    `order_events` names a table of what else happens to orders (`ledger_rows.ORDER_EVENTS`), none of them to such an
    order; `standing` one of the items as they stand (`read_states`), when they were read under this lock;
    `dispute_events` one of what happens to disputes (`ledger_rows.DISPUTE_EVENTS`).
    The caller holds the ledger's lock. Returns the number of item events written.
    """
    con = city.con
    addressed = standing or "corrections_addressed"
    if not standing:
        read_states(con, city.home, addressed, news)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE corrections_told AS
        SELECT i.serial, i.number + 1 AS number, i.item_id, i.department, n.event, t.next_state AS state, t.closed,
               CASE WHEN t.next_state = i.state THEN i.since ELSE $day::DATE END AS since, i.order_id,
               $day::DATE AS as_of, i.delivery_id, i.rule_version,
               CASE WHEN n.event = '{ItemEvent.erased}' THEN '' ELSE coalesce(i.record_hash, '') END AS record_hash,
               CASE WHEN n.event <> '{ItemEvent.erased}' THEN i.content_hash END AS content_hash,
               CASE WHEN n.event <> '{ItemEvent.erased}' THEN i.observed END AS observed,
               CASE WHEN n.event <> '{ItemEvent.erased}' THEN i.suggested END AS suggested,
               i.suggestion_method, i.suggestion_confidence, n.reason, n.evidence, n.by_date, $actor AS actor,
               CASE WHEN n.event = '{ItemEvent.notified}' THEN $day::DATE ELSE i.notified_on END AS notified_on,
               i.relapses, t.closed AND NOT i.closed AS closes
        FROM {news} n JOIN {addressed} i USING (item_id)
        JOIN {transitions_sql()} t ON t.state = i.state AND t.event = n.event
        """,
        {"day": as_of, "actor": actor},
    )
    con.execute(f"DROP TABLE {addressed}")  # of a million items each table takes half a gigabyte
    con.execute("CREATE OR REPLACE TEMP TABLE corrections_told_orders AS FROM shuyuan.ledger.order_events LIMIT 0")
    con.execute("ALTER TABLE corrections_told_orders DROP batch")
    if order_events:
        con.execute(f"INSERT INTO corrections_told_orders BY NAME FROM {order_events}")
    close_orders(con, "corrections_told", "corrections_told_orders", as_of, author)
    told = {"events": "corrections_told", "order_events": "corrections_told_orders"}
    ledger.append(
        con, kind=kind, as_of=as_of, author=author, source=source, dispute_events=dispute_events, **told
    )  # fmt: skip
    row = con.execute("SELECT count(*) FROM corrections_told").fetchone()
    con.execute("DROP TABLE corrections_told")
    return int(row[0]) if row else 0


def summary(city: City, as_of: date) -> CorrectionsSummary:
    """The figures of one business day, from the ledger."""
    corrected = ", ".join(literal(state) for state in sorted(SETTLED - {ItemState.upheld}))
    done = ", ".join(literal(state) for state in sorted(DONE))
    with city.server.session() as cursor:
        cursor.execute(
            f"""
            select
                (select count(*) from ledger.orders where opened_on = %(day)s),
                count(*) filter (where event = 'opened'),
                count(*) filter (where closed and event in ({corrected})),
                count(*) filter (where event = 'reopened'),
                (select count(*) from ({_LAST_OF_ORDERS}) o where state not in ({done})),
                (select count(*) from ({_LAST_OF_ORDERS}) o where state in ('open', 'notified') and due_on < %(day)s),
                (select count(*) from ledger.order_events where as_of = %(day)s and event = 'closed'),
                (select count(*) from ({_LAST_OF_ORDERS}) o where state = 'held')
            from ledger.events where as_of = %(day)s
            """,
            {"day": as_of},
        )
        return CorrectionsSummary(*cursor.fetchone())


_LAST_OF_ORDERS = """
    select distinct on (order_id) state, due_on from ledger.order_events order by order_id, number desc"""


def _open_orders(con: DuckDBPyConnection, catalog: Catalog, as_of: date) -> None:
    """`corrections_opened`: findings that get a clock; `corrections_orders` and `corrections_items`: the new ones."""
    _read_kept_deadlines(con, as_of)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE corrections_new AS
        SELECT f.* REPLACE (coalesce(i.department, f.department) AS department),
               coalesce(i.item_id, f.finding_id) AS item_id,
               coalesce(CASE WHEN s.on_delivery THEN nullif(f.delivery_id, '') END, s.delivery_id, f.delivery_id)
                   AS judged_delivery,
               i.kept_due_on
        FROM corrections_findings f JOIN corrections_seen s USING (finding_id)
        LEFT JOIN (
            SELECT n.item_id, n.finding_id, n.department, k.due_on AS kept_due_on
            FROM corrections_judged j JOIN corrections_items_now n USING (item_id)
            LEFT JOIN corrections_kept k USING (item_id)
            WHERE j.event = '{ItemEvent.reopened}'
        ) i USING (finding_id)
        WHERE (f.unknown AND NOT s.withdrawn) OR i.item_id IS NOT NULL
    """)
    group(con, catalog.jurisdiction.noise, as_of)
    calendar = Calendar.with_table(catalog.holidays)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE corrections_numbered AS
        WITH days AS ({_days_until_kept(con, as_of, calendar)})
        SELECT order_id,
               printf('%s-%04d', strftime($day::DATE, '%Y%m%d'),
                      row_number() OVER (ORDER BY department, resource, rule_id, delivery_id)
                      + (SELECT count(*) FROM shuyuan.ledger.orders WHERE opened_on = $day::DATE)) AS order_number,
               department, resource, rule_id, delivery_id, standard, dimension, indicator, severity,
               $day::DATE AS opened_on, $day::DATE AS started_on,
               coalesce(left_days, {days_sql(catalog.jurisdiction.clock)}) AS working_days
        FROM (
            SELECT order_id, department, resource, rule_id, max(judged_delivery) AS delivery_id,
                   max(standard) AS standard, max(dimension) AS dimension, max(indicator) AS indicator,
                   max(severity) AS severity, any_value(kept_due_on) AS kept_due_on
            FROM corrections_opened WHERE NOT joined GROUP BY ALL
        ) LEFT JOIN days ON days.day = kept_due_on
        WHERE order_id NOT IN (SELECT order_id FROM shuyuan.ledger.orders WHERE opened_on = $day::DATE)
        """,
        {"day": as_of},
    )
    due = due_sql("corrections_numbered", as_of, horizon(con, "corrections_numbered", as_of), calendar)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE corrections_orders AS"
        f" SELECT n.*, d.due_on, d.due_provisional FROM corrections_numbered n JOIN ({due}) d USING (order_id)"
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE corrections_items AS
        SELECT item_id, finding_id, department, resource, rule_id, record_key, "column" AS column_name,
               $day::DATE AS opened_on, NULL::VARCHAR AS transferred_from
        FROM corrections_opened WHERE unknown
        """,
        {"day": as_of},
    )


def _read_kept_deadlines(con: DuckDBPyConnection, as_of: date) -> None:
    """`corrections_kept`: the deadline of each corrected item that fails again before it has passed.

    Of what was held and corrected before it was sent nobody was told a deadline.
    """
    corrected = ", ".join(literal(state) for state in sorted(CORRECTED))
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE corrections_relapsed AS
        SELECT item_id, order_id FROM corrections_judged j JOIN corrections_items_now USING (item_id)
        WHERE j.event = '{ItemEvent.reopened}' AND j.state IN ({corrected})
    """)
    orders = con.execute("SELECT DISTINCT order_id FROM corrections_relapsed").fetchall()
    read_order_states(con, "corrections_left", [row[0] for row in orders])
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE corrections_kept AS
        SELECT item_id, l.due_on FROM corrections_relapsed JOIN corrections_left l USING (order_id)
        WHERE l.due_on >= $day::DATE AND l.state <> '{OrderState.withdrawn}'
          AND (l.held_on IS NULL OR l.sent_on IS NOT NULL)
        """,
        {"day": as_of},
    )


def _days_until_kept(con: DuckDBPyConnection, as_of: date, calendar: Calendar) -> str:
    """DuckDB SQL for the working days that are left until each kept deadline: at least one after the notice."""
    latest = con.execute("SELECT max(due_on) FROM corrections_kept").fetchone()
    last = latest[0] if latest and latest[0] else as_of
    return f"""
        SELECT day, greatest(1, workday_number - min(workday_number) OVER ()) AS left_days
        FROM ({calendar_sql(as_of, last, calendar)})"""


def _write_events(con: DuckDBPyConnection, as_of: date, author: str) -> None:
    """`corrections_events`, a view that is read once: one row per item that was opened or judged.

    `corrections_moved`: what of each says how orders go on.
    """
    failing = ", ".join(literal(event) for event in (ItemEvent.reopened, ItemEvent.still_wrong, ItemEvent.stated_again))
    corrected = ", ".join(literal(state) for state in sorted(CORRECTED))
    day, actor = f"DATE '{as_of}'", literal(author)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP VIEW corrections_events AS
        SELECT NULL::BIGINT AS serial, 1 AS number, o.item_id, o.department, '{ItemEvent.opened}' AS event,
               '{ItemState.open}' AS state, false AS closed, {day} AS since, o.order_id, {day} AS as_of,
               o.judged_delivery AS delivery_id, s.rule_version, coalesce(s.record_hash, '') AS record_hash,
               s.content_hash, o.observed_value AS observed, o.suggested_value AS suggested, o.suggestion_method,
               o.suggestion_confidence, o.reason, NULL::VARCHAR AS evidence, NULL::DATE AS by_date, {actor} AS actor,
               NULL::DATE AS notified_on, 0 AS relapses
        FROM corrections_opened o JOIN corrections_seen s USING (finding_id) WHERE o.unknown
        UNION ALL
        SELECT i.serial, i.number + 1, i.item_id, i.department, j.event, j.next_state, j.closed,
               CASE WHEN j.next_state = i.state THEN i.since ELSE {day} END, coalesce(o.order_id, i.order_id),
               {day}, coalesce(s.delivery_id, i.delivery_id),
               CASE WHEN s.withdrawn THEN i.rule_version ELSE s.rule_version END,
               coalesce(s.record_hash, i.record_hash, ''),
               CASE WHEN s.record_hash IS NULL THEN i.content_hash ELSE s.content_hash END,
               CASE WHEN j.event IN ({failing}) THEN f.observed_value
                    WHEN j.event IN ({corrected}) THEN s.value ELSE i.observed END,
               CASE WHEN j.event IN ({failing}) THEN f.suggested_value ELSE i.suggested END,
               CASE WHEN j.event IN ({failing}) THEN f.suggestion_method ELSE i.suggestion_method END,
               CASE WHEN j.event IN ({failing}) THEN f.suggestion_confidence ELSE i.suggestion_confidence END,
               CASE WHEN j.event IN ({failing}) THEN f.reason END, NULL, NULL, {actor},
               CASE WHEN o.order_id IS NULL THEN i.notified_on END,
               i.relapses + (j.event = '{ItemEvent.reopened}' AND i.state IN ({corrected}))::INTEGER
        FROM corrections_judged j
        JOIN corrections_items_now i ON i.item_id = j.item_id
        JOIN corrections_findings f ON f.finding_id = i.finding_id
        JOIN corrections_seen s ON s.finding_id = i.finding_id
        LEFT JOIN corrections_opened o ON o.item_id = j.item_id
        """
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE corrections_moved AS
        SELECT order_id, '{ItemEvent.opened}' AS event, false AS closes FROM corrections_opened WHERE unknown
        UNION ALL
        SELECT coalesce(o.order_id, i.order_id), j.event, j.closed AND NOT i.closed
        FROM corrections_judged j JOIN corrections_items_now i USING (item_id)
        LEFT JOIN corrections_opened o USING (item_id)
        """
    )


def _write_order_events(con: DuckDBPyConnection, catalog: Catalog, as_of: date, author: str) -> None:
    """`corrections_order_events`: what happens to new orders, and to those whose last open items these events close."""
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE corrections_order_events AS
        SELECT order_id, 1 AS number, department, '{OrderEvent.opened}' AS event, '{OrderState.open}' AS state,
               opened_on AS as_of, due_on, due_provisional, working_days, 0 AS paused_days, 0 AS level,
               $author AS actor, NULL::VARCHAR AS reason, NULL::VARCHAR AS evidence
        FROM corrections_orders
        """,
        {"author": author},
    )
    mark(con, catalog.jurisdiction.noise, as_of, author)
    open_items = "SELECT order_id, count(*) AS open FROM corrections_items_now WHERE NOT closed GROUP BY ALL"
    close_orders(con, "corrections_moved", "corrections_order_events", as_of, author, open_items=open_items)


def close_orders(
    con: DuckDBPyConnection, events: str, order_events: str, as_of: date, author: str, *, open_items: str | None = None
) -> None:
    """Add to `order_events` the closing of orders whose last open items these `events` close, opening none in them.

    `open_items` is SQL for `order_id, open` where that is known of all orders with open items; else it is looked up.
    """
    closing = [row[0] for row in con.execute(f"SELECT DISTINCT order_id FROM {events} WHERE closes").fetchall()]
    if open_items:
        read_last_order_events(con, "corrections_last", closing)
        con.execute(
            "CREATE OR REPLACE TEMP TABLE corrections_closing AS"
            f" SELECT * FROM corrections_last JOIN ({open_items}) USING (order_id)"
        )
    else:
        read_order_states(con, "corrections_closing", closing)
    con.execute(
        f"""
        INSERT INTO {order_events} BY NAME
        SELECT o.order_id, o.number + 1 AS number, o.department, t.event, t.next_state AS state, $day::DATE AS as_of,
               o.due_on, o.due_provisional, o.working_days, o.paused_days, o.level, $author AS actor
        FROM corrections_closing o
        JOIN (SELECT order_id, count(*) AS items FROM {events} WHERE closes GROUP BY ALL) e USING (order_id)
        JOIN {order_transitions_sql()} t ON t.state = o.state AND t.event = '{OrderEvent.closed}'
        WHERE o.open = e.items AND o.order_id NOT IN (
            SELECT order_id FROM {events} WHERE event IN ('{ItemEvent.opened}', '{ItemEvent.reopened}'))
        """,
        {"day": as_of, "author": author},
    )
