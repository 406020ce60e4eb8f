"""Writing to and checking the correction ledger: bulk appends chained by batch, one PostgreSQL transaction each.

The tables are in `schema/20_ledger.sql` and `21_disputes.sql`. What is appended is decided elsewhere, by whoever holds
the advisory lock `LOCK` (`assets.corrections`, `notices`, `feedback`, `requests`, `disputes`); here it only becomes
durable, in one piece, and part of the chain.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
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
    "order_id, number, department, event, state, as_of, due_on, due_provisional, working_days, paused_days, level, "
    "actor, reason, evidence"
)
ITEMS = "item_id, finding_id, department, resource, rule_id, record_key, column_name, opened_on, transferred_from"
EVENTS = (
    "item_id, number, department, event, state, closed, since, order_id, as_of, delivery_id, rule_version, "
    "record_hash, content_hash, observed, suggested, suggestion_method, suggestion_confidence, reason, "
    "evidence, by_date, actor, notified_on, relapses"
)
REQUESTS = (
    "request_id, request_number, department, applicant, resource, column_name, library, attribute, raised_on, "
    "reference_date, raised_by, record_key, entity_id, doubted, proposed, reason, evidence"
)
DISPUTE_EVENTS = (
    "dispute_id, number, department, dispute_number, item_id, opponent, event, state, level, party, as_of, due_on, "
    "rule_version, library, attribute, actor, entity_id, reason, evidence"
)
SALTS = {  # what tells the rows of a salted table apart
    "items": "item_id",
    "events": "item_id, '|', number",
    "requests": "request_id",
    "dispute_events": "dispute_id, '|', number",
}


@dataclass(frozen=True)
class Head:
    """The last batch of a department's chain, as it was published."""

    department: str
    batch: int
    as_of: date
    digest: str


class AnchorError(ValueError):
    """A file of published heads that cannot be read; the message says why."""


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
    requests: str | None = None,
    dispute_events: str | None = None,
    source: str = "",
) -> int:
    """Append rows of DuckDB tables to the ledger, all or none; returns the number of item and order events.

    `events`, `order_events`, `orders`, `items`, `requests` and `dispute_events` name temporary tables with the columns
    `EVENTS`, `ORDER_EVENTS`, `ORDERS`, `ITEMS`, `REQUESTS` and `DISPUTE_EVENTS`. Each department's rows become its next
    batch. The caller holds the lock.

    Raises:
        duckdb.Error: nothing was appended, or PostgreSQL died at the commit: compute again from what the ledger holds.
    """
    rows = {"orders": (ORDERS, orders), "items": (ITEMS, items)}
    rows |= {"events": (EVENTS, events), "order_events": (ORDER_EVENTS, order_events)}
    rows |= {"requests": (REQUESTS, requests), "dispute_events": (DISPUTE_EVENTS, dispute_events)}
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
            offset 0  -- else the content is computed once for each time it is named
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
            union select department, batch from ledger.requests
            union select department, batch from ledger.dispute_events
            except select department, batch from ledger.batches
        ) strays
        union all
        select department, batch, 'personal values are gone and no erasure is recorded'
        from (
            select department, batch, item_id, 0 as number from ledger.items where salt is null
            union all
            select department, batch, item_id, number from ledger.events where salt is null
            union all
            select department, batch, request_id, 0 from ledger.requests where salt is null
            union all
            select department, batch, item_id, 0 from ledger.dispute_events where salt is null
        ) emptied
        where not exists (
            select from ledger.events e
            where e.item_id = emptied.item_id and e.event = 'erased' and e.number > emptied.number
        )
    ) broken
    order by department, batch, reason
"""


def verify_chain(server: Server, anchor: Sequence[Head] = ()) -> list[BrokenLink]:
    """The first broken batch of every department whose chain does not verify; empty when all do.

    A chain whose last batches were cut off whole, or that was written anew from some batch on, verifies in itself: only
    `anchor`, heads that were kept outside, shows that.
    """
    with server.session() as cursor:
        return broken_links(cursor, anchor)


def broken_links(cursor: Any, anchor: Sequence[Head] = ()) -> list[BrokenLink]:
    """The same through a psycopg2 cursor, as its transaction sees the ledger."""
    cursor.execute(_BROKEN)
    broken = {row[0]: BrokenLink(*row) for row in cursor.fetchall()}
    cursor.execute("select department, batch, digest from ledger.batches")
    held = {(department, batch): digest for department, batch, digest in cursor.fetchall()}
    for head in anchor:
        digest = held.get((head.department, head.batch))
        if digest == head.digest:
            continue
        reason = "its digest is not the one that was published"
        if digest is None:
            reason = "it was published and is missing: the end of the chain was cut off"
        link = BrokenLink(head.department, head.batch, reason)
        broken[head.department] = min(link, broken.get(head.department, link), key=lambda one: one.batch)
    return [broken[department] for department in sorted(broken)]


def heads(server: Server) -> list[Head]:
    """The last batch of every department: kept outside, they prove later that nothing was taken away or rewritten."""
    with server.session() as cursor:
        cursor.execute(
            "select distinct on (department) department, batch, as_of, digest from ledger.batches"
            " order by department, batch desc"
        )
        return [Head(*row) for row in cursor.fetchall()]


def write_anchor(path: Path, published: Sequence[Head]) -> None:
    """Heads as a JSON file, the same bytes for the same heads."""
    rows = [{**asdict(head), "as_of": head.as_of.isoformat()} for head in published]
    path.write_text(json.dumps({"ledger": rows}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_anchor(path: Path) -> list[Head]:
    """Heads of a file that `write_anchor` wrote.

    Raises:
        AnchorError: it is no such file.
    """
    try:
        rows = json.loads(path.read_text("utf-8"))["ledger"]
        found = [
            Head(str(row["department"]), int(row["batch"]), date.fromisoformat(row["as_of"]), str(row["digest"]))
            for row in rows
        ]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise AnchorError(f"{path}: no anchor.json of a report site: {error!r}") from error
    if not found:
        raise AnchorError(f"{path}: names no head of a chain, which would prove nothing")
    return found


def export(server: Server, path: Path, *, department: str | None = None, unmasked: bool = False) -> int:
    """Write the chain as JSON lines: each batch, then its rows; returns the number of batches.

    Every line can be checked by a stranger (docs/ledger.md). Personal values and their salts come along only when
    `unmasked`; without them the rows' digests verify all the same. The file appears whole or not at all, readable by
    its owner alone.
    """
    shown = "salt, personal" if unmasked else "null::uuid as salt, null::json as personal"
    query = f"""
        copy (
            select line from (
                select b.department, b.batch, 0 as place, '' as sorted, jsonb_build_object('batch', ledger.statement(
                    department, batch, kind, source, as_of, author, recorded_at, content, previous_digest),
                    'digest', digest)::text as line
                from ledger.batches b where {{where}}
                union all
                select b.department, b.batch, 1, line::text, jsonb_build_object(
                    'row', line, 'salt', encode(uuid_send(salt), 'hex'), 'personal', personal)::text
                from ledger.batches b
                cross join lateral (select line, {shown} from ledger.lines(b.department, b.batch)) l where {{where}}
            ) lines order by department, batch, place, sorted
        ) to stdout with (format csv, quote e'\\x01', delimiter e'\\x02')"""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        with server.session() as cursor, partial.open("wb") as file:
            partial.chmod(0o600)
            where = cursor.mogrify("b.department = %s", (department,)).decode() if department else "true"
            cursor.execute("begin isolation level repeatable read, read only")
            cursor.execute(f"select count(*) from ledger.batches b where {where}")
            batches = int(cursor.fetchone()[0])
            cursor.copy_expert(query.format(where=where), file)
            cursor.execute("commit")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return batches


_ERASE = """
    update ledger.events e set
        personal_digest = decode(ledger.sealed(e.salt, row_to_json(row(e.content_hash, e.evidence, e.observed, e.reason,
            e.record_hash, e.suggested)::ledger.event_personal), null), 'hex'),
        salt = null, content_hash = null, evidence = null, observed = null, reason = null, record_hash = null,
        suggested = null
    where item_id = any(%(items)s) and salt is not null and exists (
        select from ledger.events l where l.item_id = e.item_id and l.event = 'erased' and l.number > e.number);
    update ledger.items i set
        personal_digest = decode(ledger.sealed(i.salt, row_to_json(row(i.record_key)::ledger.item_personal), null),
            'hex'),
        salt = null, record_key = null
    where item_id = any(%(items)s) and salt is not null and exists (
        select from ledger.events l where l.item_id = i.item_id and l.event = 'erased');
    update ledger.requests r set
        personal_digest = decode(ledger.sealed(r.salt, row_to_json(row(r.doubted, r.entity_id, r.evidence, r.proposed,
            r.reason, r.record_key)::ledger.request_personal), null), 'hex'),
        salt = null, doubted = null, entity_id = null, evidence = null, proposed = null, reason = null,
        record_key = null
    where request_id = any(%(items)s) and salt is not null and exists (
        select from ledger.events l where l.item_id = r.request_id and l.event = 'erased');
    update ledger.dispute_events d set
        personal_digest = decode(ledger.sealed(d.salt, row_to_json(row(d.entity_id, d.evidence, d.reason
            )::ledger.dispute_event_personal), null), 'hex'),
        salt = null, entity_id = null, evidence = null, reason = null
    where item_id = any(%(items)s) and salt is not null and exists (
        select from ledger.events l where l.item_id = d.item_id and l.event = 'erased')
"""


def erase(server: Server, item_ids: Sequence[str]) -> None:
    """Take the personal values out of the rows of these items that an `erased` event speaks of, as their owner."""
    with server.session("owner") as cursor:
        cursor.execute(f"begin; {_ERASE}; commit", {"items": list(item_ids)})
