"""Writing to and checking the correction ledger: bulk appends chained by batch, one PostgreSQL transaction each.

The tables are in `schema/20_ledger.sql` and `21_disputes.sql`. What is appended is decided elsewhere, by whoever holds
the advisory lock `LOCK` (`assets.corrections`, `notices`, `feedback`, `requests`, `disputes`); here it only becomes
durable, in one piece, and part of the chain.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, date
from pathlib import Path
from typing import Any

import rfc8785
from duckdb import DuckDBPyConnection

from resources import clock
from resources.guard import transaction
from resources.lake import literal
from resources.ledger_rows import TABLES, contents, lines_sql, sealed_sql
from resources.postgres import Server

LOCK = "ledger"  # whoever reads the ledger in order to write it holds this advisory lock
STATED = ("department", "batch", "kind", "source", "as_of", "author", "recorded_at", "content", "previous_digest")
TAKEN = "memory.ledger_{}"  # rows that are being appended
EMPTY = hashlib.sha256().hexdigest()  # what a batch without rows holds


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
    of `ledger_rows.TABLES`. Events carry the serial of their item; new items get theirs here: `items` needs none, and
    their events have null. Each department's rows become its next batch; what happened did so on `as_of`. The caller
    holds the lock.

    Raises:
        duckdb.Error: nothing was appended, or PostgreSQL died at the commit: compute again from what the ledger holds.
    """
    rows = {"orders": orders, "items": items, "events": events, "order_events": order_events}
    rows |= {"requests": requests, "dispute_events": dispute_events}
    given = {table: name for table, name in rows.items() if name}
    stated = {"kind": kind, "source": source, "as_of": as_of, "author": author, "recorded_at": clock.now()}
    try:
        rows_of = {table: _take(con, table, name, as_of, given.get("items")) for table, name in given.items()}
        filled = [table for table, rows in rows_of.items() if rows]
        if filled:
            _append_taken(con, filled, _heads_of(con, filled), stated)
    finally:  # they hold personal values
        for table in given:
            con.execute(f"DROP TABLE IF EXISTS {TAKEN.format(table)}")
    return rows_of.get("events", 0) + rows_of.get("order_events", 0)


def _heads_of(con: DuckDBPyConnection, filled: Sequence[str]) -> list[tuple[str, int, str]]:
    """Of each department that taken rows concern: its next batch, and the digest of the one before."""
    concerned = " UNION ".join(f"SELECT DISTINCT department FROM {TAKEN.format(table)}" for table in filled)
    return con.execute(f"""
        SELECT c.department, coalesce(max(b.batch), 0) + 1, coalesce(arg_max(b.digest, b.batch), '')
        FROM ({concerned}) c LEFT JOIN shuyuan.ledger.batches b USING (department)
        GROUP BY c.department ORDER BY c.department
    """).fetchall()


def _append_taken(
    con: DuckDBPyConnection, filled: Sequence[str], heads: list[tuple[str, int, str]], stated: dict[str, Any]
) -> None:
    """The taken rows and their links, in one transaction; they are digested while PostgreSQL takes them in."""
    cases = " ".join(f"WHEN {literal(department)} THEN {batch}" for department, batch, _ in heads)
    rows = {table: f"(SELECT *, CASE department {cases} END AS batch FROM {TAKEN.format(table)})" for table in filled}
    lines = " UNION ALL ".join(lines_sql(table, rows[table]) for table in filled)
    with con.cursor() as other, ThreadPoolExecutor(1) as beside:
        digesting = beside.submit(contents, other, lines)
        with transaction(con):
            for table in filled:
                _insert(con, table, rows[table])
            held = digesting.result()
            for department, batch, before in heads:
                link = {"department": department, "batch": batch, **stated, "previous_digest": before}
                _insert_batch(con, link | {"content": held[department, batch]})


def _take(con: DuckDBPyConnection, table: str, rows: str, as_of: date, items: str | None) -> int:
    """The rows as they will be stored, as a table other connections see: with a salt where values are personal. In the
    order of the key: PostgreSQL then finds its place in the index nearby. Returns how many.

    Salts come of a secret nobody keeps: with it gone, so is the salt once its row's is erased.
    """
    told = TABLES[table]
    made = {"as_of": f"DATE '{as_of}' AS as_of"}
    if table == "items":
        made["serial"] = f"{_last_serial(con)} + row_number() OVER (ORDER BY item_id) AS serial"
    elif table == "events" and items:
        rows = f"{rows} LEFT JOIN (SELECT item_id, serial AS given FROM {TAKEN.format('items')}) USING (item_id)"
        made["serial"] = "coalesce(serial, given) AS serial"
    columns = ", ".join(made.get(one, one) for one in told.columns.split(", "))
    salt = f", left(sha256(concat('{secrets.token_hex(32)}', {told.row})), 32)::UUID AS salt, NULL AS personal_digest"
    row = con.execute(
        f"CREATE OR REPLACE TABLE {TAKEN.format(table)} AS"
        f" SELECT {columns}{salt if told.personal else ''} FROM {rows} ORDER BY 1"
    ).fetchone()
    return int(row[0]) if row else 0


def _last_serial(con: DuckDBPyConnection) -> int:
    """Of the item that was opened last; the lock keeps others from counting on."""
    query = "select coalesce(max(serial), 0) from ledger.items"
    row = con.execute(f"FROM postgres_query('shuyuan', {literal(query)})").fetchone()
    return int(row[0]) if row else 0


def _insert(con: DuckDBPyConnection, table: str, rows: str) -> None:
    columns = f"{TABLES[table].columns}{', salt' if TABLES[table].personal else ''}, batch"
    con.execute(f"INSERT INTO shuyuan.ledger.{table} ({columns}) SELECT {columns} FROM {rows}")


def _insert_batch(con: DuckDBPyConnection, link: dict[str, Any]) -> None:
    values = link | {"digest": digest_of(link)}
    named = ", ".join(f"${name}" for name in values)
    con.execute(f"INSERT INTO shuyuan.ledger.batches ({', '.join(values)}) VALUES ({named})", values)


def digest_of(link: dict[str, Any]) -> str:
    """The digest of a batch: that of its own statement, which names what it holds and the digest before it."""
    return hashlib.sha256(rfc8785.dumps(said(link))).hexdigest()


def said(link: dict[str, Any]) -> dict[str, Any]:
    """What a batch, a row of `ledger.batches`, says of itself."""
    moment = link["recorded_at"].astimezone(UTC)
    told = {name: link[name] for name in STATED} | {"as_of": link["as_of"].isoformat()}
    return told | {"recorded_at": f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"}


def verify_chain(con: DuckDBPyConnection, anchor: Sequence[Head] = ()) -> list[BrokenLink]:
    """The first broken batch of every department whose chain does not verify; empty when all do.

    A chain whose last batches were cut off whole, or that was written anew from some batch on, verifies in itself: only
    `anchor`, heads that were kept outside, shows that.
    """
    con.execute("BEGIN")  # one state of the ledger, whoever writes meanwhile
    try:
        batches = _batches(con)
        held = contents(con, " UNION ALL ".join(_stored_lines()))
        emptied = con.execute(_EMPTIED).fetchall()
    finally:
        con.execute("ROLLBACK")
    broken = [*_unlinked(batches, held), *_contradicting(batches, anchor)]
    broken += [
        BrokenLink(department, batch, "personal values are gone and no erasure is recorded")
        for department, batch in emptied
    ]
    first: dict[str, BrokenLink] = {}
    for link in sorted(broken, key=lambda one: (one.department, one.batch, one.reason)):
        first.setdefault(link.department, link)
    return list(first.values())


def _batches(con: DuckDBPyConnection, where: str = "true") -> list[dict[str, Any]]:
    """The links of the chains in their order."""
    columns = [*STATED, "digest"]
    rows = con.execute(
        f"SELECT {', '.join(columns)} FROM shuyuan.ledger.batches WHERE {where} ORDER BY department, batch"
    ).fetchall()
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _stored_lines() -> Iterator[str]:
    """What is hashed of the rows of each table."""
    for table, rows in TABLES.items():
        yield lines_sql(table, f"(SELECT {rows.stored}, batch FROM shuyuan.ledger.{table})")


def _unlinked(batches: Sequence[dict[str, Any]], held: dict[tuple[str, int], str]) -> Iterator[BrokenLink]:
    """Batches that are no link, or hold other rows than they say; rows of no batch."""
    stray = dict(held)
    before: dict[str, Any] = {"department": None}
    for link in batches:
        if link["department"] != before["department"]:
            before = {"department": link["department"], "batch": 0, "digest": ""}
        content = stray.pop((link["department"], link["batch"]), EMPTY)
        reasons = {
            "the batch before it is missing": link["batch"] != before["batch"] + 1,
            "it does not continue the digest of the batch before": link["previous_digest"] != before["digest"],
            "its rows were changed": link["content"] != content,
            "its own statement was changed": link["digest"] != digest_of(link),
        }
        reason = next((reason for reason, true in reasons.items() if true), None)
        if reason:
            yield BrokenLink(link["department"], link["batch"], reason)
        before = link
    for department, batch in stray:
        yield BrokenLink(department, batch, "rows without their batch")


def _contradicting(batches: Sequence[dict[str, Any]], anchor: Sequence[Head]) -> Iterator[BrokenLink]:
    """Heads that were published and are not links of the chains."""
    known = {(link["department"], link["batch"]): link["digest"] for link in batches}
    for head in anchor:
        digest = known.get((head.department, head.batch))
        if digest is None:
            reason = "it was published and is missing: the end of the chain was cut off"
            yield BrokenLink(head.department, head.batch, reason)
        elif digest != head.digest:
            yield BrokenLink(head.department, head.batch, "its digest is not the one that was published")


# Batches with rows whose personal values are gone although no later event says that they were erased.
_EMPTIED = """
    SELECT DISTINCT department, batch FROM ({}) r
    LEFT JOIN (
        SELECT item_id, max(number) AS erased FROM shuyuan.ledger.events WHERE event = 'erased' GROUP BY ALL
    ) e USING (item_id)
    WHERE e.erased IS NULL OR e.erased <= r.number
""".format(
    " UNION ALL ".join(
        f"SELECT department, batch, {told.item} AS item_id, {'number' if table == 'events' else '0'} AS number"
        f" FROM shuyuan.ledger.{table} WHERE salt IS NULL"
        for table, told in TABLES.items()
        if told.personal
    )
)


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


def export(con: DuckDBPyConnection, path: Path, *, department: str | None = None, unmasked: bool = False) -> int:
    """Write the chain as JSON lines: each batch, then its rows; returns the number of batches.

    Every line can be checked by a stranger (docs/ledger.md). Personal values and their salts come along only when
    `unmasked`; without them the rows' digests verify all the same. The file appears whole or not at all, readable by
    its owner alone.
    """
    where = f"department = {literal(department)}" if department else "true"
    secret = "replace(salt::VARCHAR, '-', '')" if unmasked else "NULL"
    personal = "personal::JSON" if unmasked else "NULL"
    rows = " UNION ALL ".join(
        f"""
        SELECT department, batch, 1, to_json({{row: line::JSON, salt: {secret}, personal: {personal}}})::VARCHAR
        FROM ({lines}) WHERE {where}"""
        for lines in _stored_lines()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    con.execute("BEGIN")  # one state of the ledger
    try:
        batches = _batches(con, where)
        con.execute(
            "CREATE OR REPLACE TEMP TABLE ledger_statements AS"
            " SELECT unnest($departments) AS department, unnest($batches) AS batch, 0 AS place, unnest($lines) AS line",
            {
                "departments": [link["department"] for link in batches],
                "batches": [link["batch"] for link in batches],
                "lines": [json.dumps({"batch": said(link), "digest": link["digest"]}) for link in batches],
            },
        )
        partial.touch(0o600)
        con.execute(f"""
            COPY (SELECT line FROM (FROM ledger_statements UNION ALL {rows}) ORDER BY department, batch, place, line)
            TO {literal(str(partial))}
            (FORMAT csv, HEADER false, DELIMITER '\x01', QUOTE '', ESCAPE '', USE_TMP_FILE false)
        """)
        partial.replace(path)
    finally:
        con.execute("ROLLBACK")
        partial.unlink(missing_ok=True)
    return len(batches)


def erase(con: DuckDBPyConnection, server: Server, item_ids: Sequence[str]) -> None:
    """Take the personal values out of the rows of these items that an `erased` event speaks of, as their owner.

    The caller holds the lock.
    """
    statements = []
    listed = ", ".join(map(literal, item_ids))
    known = con.execute(f"SELECT serial FROM shuyuan.ledger.items WHERE item_id IN ({listed})").fetchall()
    serials = ", ".join(str(serial) for (serial,) in known) or "NULL"
    for table, rows in TABLES.items():
        if rows.personal:
            wanted = f"serial IN ({serials})" if table == "events" else f"{rows.item} IN ({listed})"
            wanted += " AND salt IS NOT NULL"
            stored = f"(SELECT {rows.stored}, batch FROM shuyuan.ledger.{table} WHERE {wanted})"
            sealed = con.execute(f"SELECT concat({rows.row}), sealed FROM ({sealed_sql(table, stored)})").fetchall()
            statements.append(_erase_sql(table, dict(sealed)))
    with server.session("owner") as cursor:
        cursor.execute("begin")
        for statement, values in statements:
            cursor.execute(statement, {"items": list(item_ids), **values})
        cursor.execute("commit")


def _erase_sql(table: str, sealed: dict[str, str]) -> tuple[str, dict[str, list[str]]]:
    """PostgreSQL that leaves of rows nothing but the digests in `sealed`, and its values."""
    rows = TABLES[table]
    gone = ", ".join(f"{column} = null" for column in ("salt", *rows.personal))
    told = ", ".join(part if part.startswith("'") else f"r.{part}" for part in rows.row.split(", "))
    after = " and l.number > r.number" if table == "events" else ""
    same = "r.serial = i.serial" if table == "events" else f"r.{rows.item} = i.item_id"
    statement = f"""
        update ledger.{table} r set personal_digest = decode(s.digest, 'hex'), {gone}
        from ledger.items i, unnest(%(rows)s::text[], %(digests)s::text[]) s(row, digest)
        where i.item_id = any(%(items)s) and {same} and concat({told}) = s.row and r.salt is not null and exists (
            select from ledger.events l where l.serial = i.serial and l.event = 'erased'{after})"""
    return statement, {"rows": list(sealed), "digests": list(sealed.values())}
