"""Orders that wait: held ones nobody has looked at, accepted ones whose time is over, and the list of what is held.

`lapse` is called before the clocks of a day run (`assets.notices`); what the bureau says of such orders is
`assets.order_rulings`, when an order is held in the first place `quality_checks.noise`.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from assets.corrections import NO_ITEMS, tell
from assets.notice_files import write_list
from assets.sending import BUREAU, enqueue
from quality_checks.masking import masked_findings
from quality_checks.order_states import OrderEvent, OrderState
from quality_checks.rule_book import on_day, rule_book
from quality_checks.working_days import Calendar, calendar_sql
from resources.city import City
from resources.lake import literal

SAMPLES = 3  # items of a held order that the bureau is shown, masked

_WAITING = f"""
    select l.*, o.rule_id, h.since
    from (select distinct on (order_id) * from ledger.order_events order by order_id, number desc) l
    join ledger.orders o using (order_id)
    cross join lateral (
        select max(as_of) as since from ledger.order_events e
        where e.order_id = l.order_id and e.event in ('{OrderEvent.held}', '{OrderEvent.still_held}')
    ) h
    where l.state in ('{OrderState.held}', '{OrderState.accepted}')
"""


def until_sql(evidence: str) -> str:
    """The day an acceptance ends on, as the evidence of `accepted` says it (`assets.order_rulings`)."""
    return f"regexp_extract({evidence}, 'until (\\d{{4}}-\\d\\d-\\d\\d)', 1)::DATE"


def version_sql(evidence: str) -> str:
    """The version of the rule that an acceptance speaks of."""
    return f"regexp_extract({evidence}, 'rule version (\\d+)', 1)::INTEGER"


def read_versions(city: City, as_of: date) -> None:
    """`noise_versions`: the version of every rule in force on the day."""
    rules = on_day(rule_book(city.catalog).values(), as_of)
    city.con.execute(
        "CREATE OR REPLACE TEMP TABLE noise_versions AS"
        " SELECT unnest($ids::VARCHAR[]) AS rule_id, unnest($versions::INTEGER[]) AS version",
        {"ids": [rule.id for rule in rules], "versions": [rule.version for rule in rules]},
    )


def lapse(city: City, as_of: date, *, author: str) -> None:
    """End acceptances whose day has come or whose rule has a new version; remind the bureau of what it holds.

    Appended to the ledger once; the orders that are enforced again then get their notice. The caller holds its lock.
    """
    con, settings = city.con, city.catalog.jurisdiction.noise
    con.execute(f"CREATE OR REPLACE TEMP TABLE noise_waiting AS FROM postgres_query('shuyuan', {literal(_WAITING)})")
    earliest = con.execute("SELECT count(*), min(since) FROM noise_waiting").fetchone()
    if not earliest or not earliest[0]:
        return
    read_versions(city, as_of)
    calendar = Calendar.with_table(city.catalog.holidays)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE noise_events AS
        WITH days AS ({calendar_sql(min(earliest[1] or as_of, as_of), as_of, calendar)}),
        told AS (
            SELECT w.*, CASE
                WHEN w.state = '{OrderState.held}' AND t.workday_number - s.workday_number >= {settings.hold_days}
                    THEN concat('待核查工作日 working days held: ', t.workday_number - h.workday_number)
                WHEN w.state = '{OrderState.accepted}' AND {until_sql("w.evidence")} <= $day
                    THEN concat('接受期满 the acceptance ended: ', {until_sql("w.evidence")})
                WHEN w.state = '{OrderState.accepted}' AND v.version <> {version_sql("w.evidence")}
                    THEN concat('规则有新版本 the rule has a new version: ', v.version) END AS why
            FROM noise_waiting w
            LEFT JOIN noise_versions v USING (rule_id)
            LEFT JOIN days s ON s.day = w.since
            LEFT JOIN (SELECT order_id, min(as_of) AS day FROM shuyuan.ledger.order_events
                       WHERE event = '{OrderEvent.held}' GROUP BY ALL) b ON b.order_id = w.order_id
            LEFT JOIN days h ON h.day = b.day
            JOIN days t ON t.day = $day::DATE
        )
        SELECT order_id, number + 1 AS number, department,
               CASE state WHEN '{OrderState.held}' THEN '{OrderEvent.still_held}'
                          ELSE '{OrderEvent.enforced}' END AS event,
               CASE state WHEN '{OrderState.held}' THEN state ELSE '{OrderState.open}' END AS state,
               $day::DATE AS as_of, due_on, due_provisional, working_days, paused_days, level, $author AS actor,
               why AS reason,
               NULL::VARCHAR AS evidence
        FROM told WHERE why IS NOT NULL
        """,
        {"day": as_of, "author": author},
    )
    if con.execute("SELECT 1 FROM noise_events LIMIT 1").fetchone():
        con.execute(f"CREATE OR REPLACE TEMP TABLE noise_nobody AS {NO_ITEMS}")
        tell(city, "noise_nobody", kind="clock", as_of=as_of, actor=author, author=author, order_events="noise_events")


def write_held(city: City, as_of: date) -> list[Path]:
    """`outbox/city/<as_of>/held.*`: what was held on the day or waits too long; counts and masked samples alone."""
    rows = _held(city, as_of)
    if not rows:
        return []
    folder = city.home.outbox / BUREAU / as_of.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    made = write_list(folder / "held", "Held 待核查", rows, as_of)
    enqueue(city, BUREAU, as_of, made)
    return made


def _held(city: City, as_of: date) -> list[dict[str, Any]]:
    """One row per order that was held, or is still held, by an event of the day."""
    con = city.con
    query = f"""
        select o.order_number, o.order_id, o.department, o.resource, o.rule_id, o.severity, o.delivery_id, o.opened_on,
               e.event, e.number, e.reason, i.items, i.samples
        from ledger.order_events e
        join ledger.orders o using (order_id)
        cross join lateral (
            select count(distinct item_id) as items, (array_agg(item_id order by item_id))[1:{SAMPLES}] as samples
            from ledger.events i
            where i.order_id = e.order_id and i.as_of <= e.as_of and i.event in ('opened', 'reopened')
        ) i
        where e.as_of = date '{as_of}' and e.event in ('{OrderEvent.held}', '{OrderEvent.still_held}')"""
    con.execute(f"CREATE OR REPLACE TEMP TABLE noise_held AS FROM postgres_query('shuyuan', {literal(query)})")
    if not con.execute("SELECT 1 FROM noise_held LIMIT 1").fetchone():
        return []
    book = {rule_id: f"{rule.zh} {rule.en}" for rule_id, rule in rule_book(city.catalog).items()}
    found = con.execute(
        f"""
        WITH stormed AS (
            SELECT DISTINCT o.delivery_id
            FROM shuyuan.ledger.orders o JOIN shuyuan.ledger.order_events e USING (order_id)
            WHERE e.event = '{OrderEvent.held}'
        ),
        good AS (
            SELECT h.order_id, max_by(d.delivery_id, (d.as_of, d.registered_at, d.delivery_id)) AS delivery_id,
                   max(d.as_of) AS as_of
            FROM noise_held h JOIN shuyuan.ops.deliveries d USING (department, resource)
            WHERE d.state = 'pooled' AND d.as_of < h.opened_on AND d.delivery_id NOT IN (FROM stormed) GROUP BY ALL
        ),
        counted AS (
            SELECT h.order_id, r.as_of = h.opened_on AS now, r.as_of, r.failed, r.applicable
            FROM noise_held h JOIN quality.results r USING (department, resource, rule_id)
            LEFT JOIN good g USING (order_id)
            WHERE r.state = 'ok' AND (r.as_of = h.opened_on OR (r.as_of >= g.as_of AND r.as_of < h.opened_on))
        ),
        samples AS (
            SELECT s.order_id, string_agg(
                       concat_ws(' ', f.record_key, f."column", '「' || f.observed_value || '」', f.reason),
                       ' | ' ORDER BY s.item_id) AS samples
            FROM (SELECT order_id, unnest(samples) AS item_id FROM noise_held) s
            JOIN shuyuan.ledger.items i USING (item_id)
            JOIN ({masked_findings(con, city.catalog)}) f ON f.finding_id = i.finding_id GROUP BY ALL
        )
        SELECT h.department, h.resource, h.order_number AS "order", h.rule_id AS rule, h.severity, h.event, h.items,
               sum(h.items) OVER (PARTITION BY h.department, h.resource) AS items_of_resource,
               any_value(c.failed) FILTER (c.now) AS failing_now, any_value(c.applicable) FILTER (c.now) AS rows_now,
               h.delivery_id AS delivery, g.delivery_id AS last_good_delivery,
               min_by(c.failed, c.as_of) FILTER (NOT c.now) AS failing_then,
               min_by(c.applicable, c.as_of) FILTER (NOT c.now) AS rows_then, h.opened_on, h.reason, s.samples
        FROM noise_held h LEFT JOIN good g USING (order_id) LEFT JOIN counted c USING (order_id)
        LEFT JOIN samples s USING (order_id)
        GROUP BY h.department, h.resource, h.order_number, h.rule_id, h.severity, h.event, h.items, h.delivery_id,
                 g.delivery_id, h.opened_on, h.reason, s.samples
        ORDER BY items_of_resource DESC, h.department, h.resource, h.items DESC, h.order_number
        """
    )
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return [{**row, "requirement": book.get(row["rule"], "")} for row in rows]
