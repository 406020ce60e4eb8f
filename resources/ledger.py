"""Writing to and checking the correction ledger: bulk appends chained by batch, one PostgreSQL transaction each.

The tables are in `schema/20_ledger.sql`. What is appended is decided elsewhere (`assets.corrections`, `assets.notices`,
`assets.feedback`), under the advisory lock `LOCK`; here it only becomes durable, in one piece, and part of the chain.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from resources.lake import literal
from resources.postgres import Server

LOCK = "ledger"  # whoever reads the ledger in order to write it holds this advisory lock

ORDERS = (
    "order_id, order_number, department, resource, rule_id, delivery_id, standard, dimension, indicator, severity, "
    "opened_on, due_on, due_provisional"
)
ORDER_EVENTS = (
    "order_id, number, department, event, state, as_of, due_on, due_provisional, working_days, paused_days, level, actor, "
    "reason, evidence"
)
ITEMS = "item_id, finding_id, department, resource, rule_id, record_key, column_name, opened_on, transferred_from"
EVENTS = (
    "item_id, number, department, event, state, closed, since, order_id, as_of, delivery_id, rule_version, "
    "record_hash, content_hash, observed, suggested, suggestion_method, suggestion_confidence, reason, evidence, by_date, actor, "
    "notified_on, relapses"
)
SALTS = {"items": "item_id", "events": "item_id, '|', number"}  # what tells the rows of a salted table apart


@dataclass(frozen=True)
class BrokenLink:
    """The first batch of a department's chain that does not verify, and why."""

    department: str
    batch: int
    reason: str


def append(
    con: DuckDBPyConnection,
    *,
    kind: str,
    as_of: date,
    author: str,
    events: str | None = None,
    order_events: str | None = None,
    orders: str | None = None,
    items: str | None = None,
    source: str = "",
) -> int:
    """Append rows of DuckDB tables to the ledger, all or none; returns the number of item and order events.

    `events`, `order_events`, `orders` and `items` name temporary tables with the columns `EVENTS`, `ORDER_EVENTS`,
    `ORDERS` and `ITEMS`. Each department's rows become its next batch. The caller holds the lock.

    Raises:
        duckdb.Error: nothing was appended, or PostgreSQL died at the commit: compute again from what the ledger holds.
    """
    rows = {"orders": (ORDERS, orders), "items": (ITEMS, items)}
    rows |= {"events": (EVENTS, events), "order_events": (ORDER_EVENTS, order_events)}
    given = {table: (columns, name) for table, (columns, name) in rows.items() if name}
    concerned = " UNION ".join(f"SELECT department FROM {name}" for _, name in given.values())
    batches = con.execute(f"""
        SELECT c.department, coalesce(max(b.batch), 0) + 1
        FROM ({concerned}) c LEFT JOIN shuyuan.ledger.batches b USING (department)
        GROUP BY c.department ORDER BY c.department
    """).fetchall()
    if not batches:
        return 0
    numbered = "(VALUES " + ", ".join(f"({literal(name)}, {batch})" for name, batch in batches) + ")"
    con.execute("BEGIN")
    try:
        appended = {table: _insert(con, table, columns, name, numbered) for table, (columns, name) in given.items()}
        statement = _chain(numbered, kind=kind, source=source, as_of=as_of, author=author)
        con.execute(f"CALL postgres_execute('shuyuan', {literal(statement)})")
        con.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):
            con.execute("ROLLBACK")
        raise
    return appended.get("events", 0) + appended.get("order_events", 0)


def _insert(con: DuckDBPyConnection, table: str, columns: str, rows: str, numbered: str) -> int:
    salt = SALTS.get(table)
    if salt:  # by a secret nobody keeps: with it gone, so is the salt once its row's is erased
        columns += ", salt"
        rows = f"(SELECT *, left(sha256(concat('{secrets.token_hex(32)}', {salt})), 32)::UUID AS salt FROM {rows})"
    row = con.execute(f"""
        INSERT INTO shuyuan.ledger.{table} ({columns}, batch)
        SELECT {columns}, n.batch FROM {rows} JOIN {numbered} AS n(department, batch) USING (department)
    """).fetchone()
    return int(row[0]) if row else 0


def _chain(numbered: str, *, kind: str, source: str, as_of: date, author: str) -> str:
    """PostgreSQL that writes the batches once their rows are in."""
    stated = f"{literal(kind)}, {literal(source)}, date '{as_of}', {literal(author)}, transaction_timestamp()"
    return f"""
        insert into ledger.batches
            (department, batch, kind, source, as_of, author, recorded_at, content, previous_digest, digest)
        select department, batch, {stated}, content, previous,
               ledger.link(department, batch, {stated}, content, previous)
        from (
            select n.department, n.batch, ledger.content(n.department, n.batch) as content,
                   coalesce(b.digest, '') as previous
            from {numbered} as n(department, batch)
            left join ledger.batches b on b.department = n.department and b.batch = n.batch - 1
        ) links"""


_BROKEN = """
    select distinct on (department) department, batch, reason from (
        select department, batch, case
            when batch <> before + 1 then 'the batch before it is missing'
            when previous_digest <> digest_before then 'it does not continue the digest of the batch before'
            when content <> ledger.content(department, batch) then 'its rows were changed'
            else 'its own statement was changed' end as reason
        from (
            select *, lag(batch, 1, 0) over chain as before, lag(digest, 1, '') over chain as digest_before
            from ledger.batches window chain as (partition by department order by batch)
        ) linked
        where batch <> before + 1 or previous_digest <> digest_before
            or content is distinct from ledger.content(department, batch)
            or digest <> ledger.link(
                department, batch, kind, source, as_of, author, recorded_at, content, previous_digest)
        union all
        select department, batch, 'rows without their batch' from (
            select department, batch from ledger.orders
            union select department, batch from ledger.order_events
            union select department, batch from ledger.items
            union select department, batch from ledger.events
            except select department, batch from ledger.batches
        ) strays
        union all
        select department, batch, 'personal values are gone and no erasure is recorded'
        from (
            select department, batch, item_id, 0 as number from ledger.items where salt is null
            union all
            select department, batch, item_id, number from ledger.events where salt is null
        ) emptied
        where not exists (
            select from ledger.events e
            where e.item_id = emptied.item_id and e.event = 'erased' and e.number > emptied.number
        )
    ) broken
    order by department, batch, reason
"""


def verify_chain(server: Server) -> list[BrokenLink]:
    """The first broken batch of every department whose chain does not verify; empty when all do.

    A chain whose last batches were cut off whole verifies: only a digest kept outside can show that.
    """
    with server.session() as cursor:
        return broken_links(cursor)


def broken_links(cursor: Any) -> list[BrokenLink]:
    """The same through a psycopg2 cursor, as its transaction sees the ledger."""
    cursor.execute(_BROKEN)
    return [BrokenLink(*row) for row in cursor.fetchall()]
