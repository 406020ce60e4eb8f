"""Where items and orders of the ledger stand now: looked up one by one for a few, read as a whole for a pass.

Of a long ledger a pass needs only the last event of each item, and finding those takes a scan of all. So they are kept
in a checkpoint, a Parquet file in the home with the heads of the chain it was made at; the events of later batches are
read on top of it. A file whose heads are not links of the ledger's chain is not used. It holds nothing the ledger does
not, and may be deleted at any time.
"""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from resources.home import Home
from resources.lake import literal
from resources.ledger_rows import EVENTS, ITEMS

LOOKED_UP = 50_000  # items of which each is looked up by itself; for more the whole is read
RENEWED = 4  # the checkpoint is written anew once the items that moved since are one in so many
ALL = "ledger_states"

_OF_ITEM = [name for name in ITEMS.split(", ") if name != "item_id"]
_OF_EVENT = [name for name in EVENTS.split(", ") if name not in {"item_id", "serial", "department"}]


def read_states(con: DuckDBPyConnection, home: Home, table: str, wanted: str) -> None:
    """`table` becomes a temporary table: one row per item that the table `wanted` names in its `item_id`, as it stands.

    Columns: `resources.ledger_rows.ITEMS` and `EVENTS`.
    """
    asked = con.execute(f"SELECT DISTINCT item_id FROM {wanted} LIMIT {LOOKED_UP + 1}").fetchall()
    if len(asked) <= LOOKED_UP:
        _look_up(con, table, "item_states", "item_id", [row[0] for row in asked])
    else:
        read_all_states(con, home)
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS FROM {ALL} SEMI JOIN {wanted} USING (item_id)")


def read_order_states(con: DuckDBPyConnection, table: str, order_ids: list[str]) -> None:
    """`table` becomes a temporary table with the rows of `ledger.order_states` of these orders."""
    _look_up(con, table, "order_states", "order_id", order_ids)


def read_last_order_events(con: DuckDBPyConnection, table: str, order_ids: list[str]) -> None:
    """`table` becomes a temporary table with the last event of each of these orders."""
    _look_up(con, table, "last_order_events", "order_id", order_ids)


def _look_up(con: DuckDBPyConnection, table: str, view: str, key: str, wanted: list[str]) -> None:
    """Rows of a view by key: PostgreSQL gets the keys, so that it looks up nothing else."""
    listed = literal(",".join(wanted))
    query = f"select v.* from unnest(string_to_array({listed}, ',')) w(key) join ledger.{view} v on v.{key} = w.key"
    con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS FROM postgres_query('shuyuan', {literal(query)})")


def read_all_states(con: DuckDBPyConnection, home: Home, columns: tuple[str, ...] = ()) -> None:
    """`ledger_states` becomes a temporary view with one row per item; the caller holds the ledger's lock.

    Who needs but some `columns` names them: of very many events that costs half the time.
    """
    path = checkpoint(home)
    heads = _heads(con, path)
    if not heads:
        _write(con, path, "shuyuan.ledger.items", "shuyuan.ledger.events")
    else:
        _read_news(con, heads, columns)
        moved, known = _count(con, "ledger_news"), _count(con, f"read_parquet({literal(str(path))})")
        if moved * RENEWED <= known:
            con.execute(f"CREATE OR REPLACE TEMP VIEW {ALL} AS {_joined(path, columns)}")
            return
        if columns:
            _read_news(con, heads)
        _copy(con, path, _joined(path))
    con.execute(f"CREATE OR REPLACE TEMP VIEW {ALL} AS FROM read_parquet({literal(str(path))})")


def checkpoint(home: Home) -> Path:
    """The file; whoever takes personal values out of the ledger deletes it."""
    return home.tmp / "ledger_states.parquet"


def _heads(con: DuckDBPyConnection, path: Path) -> dict[str, int]:
    """The last batch of each department that the checkpoint knows; empty when it is none of this ledger."""
    if not path.exists():
        return {}
    try:
        told = con.execute(
            f"SELECT value FROM parquet_kv_metadata({literal(str(path))}) WHERE key = 'heads'::BLOB"
        ).fetchone()
    except duckdb.Error:  # not a whole Parquet file: made anew
        return {}
    heads: list[list[str | int]] = json.loads(told[0]) if told else []
    held = {(department, batch, digest) for department, batch, digest in _current(con)}
    if not heads or not all(tuple(head) in held for head in heads):
        return {}
    return {str(department): int(batch) for department, batch, _ in heads}


def _current(con: DuckDBPyConnection) -> list[tuple[str, int, str]]:
    return con.execute("SELECT department, batch, digest FROM shuyuan.ledger.batches").fetchall()


def _read_news(con: DuckDBPyConnection, heads: dict[str, int], columns: tuple[str, ...] = ()) -> None:
    """`ledger_news`: the last event of every item that moved since; `ledger_new_items`: items opened since."""
    known = ", ".join(f"({literal(department)}, {batch})" for department, batch in heads.items())
    since = con.execute(f"""
        SELECT department, b.batch, as_of
        FROM shuyuan.ledger.batches b LEFT JOIN (VALUES {known}) h(department, batch) USING (department)
        WHERE b.batch > coalesce(h.batch, 0)""").fetchall()
    # Stated, not looked up: PostgreSQL's planner then knows how few they are.
    listed = ", ".join(f"({literal(department)}, {batch})" for department, batch, _ in since) or "(null, null::integer)"
    news = f"(values {listed}) b(department, batch)"
    items = f"""
        select r.item_id, r.{", r.".join(_OF_ITEM)}
        from {news} join ledger.items r on r.department = b.department and r.batch = b.batch"""
    first = min((as_of.isoformat() for _, _, as_of in since), default="infinity")
    events = f"""
        select r.serial, r.{", r.".join(_of_event(columns))}
        from ledger.events r join {news} on r.department = b.department and r.batch = b.batch
        where r.as_of >= date '{first}'"""  # found by day: an index by batch would cost each event
    con.execute(f"CREATE OR REPLACE TEMP TABLE ledger_news AS FROM postgres_query('shuyuan', {literal(events)})")
    several = con.execute("SELECT count(*) > count(DISTINCT serial) FROM ledger_news").fetchone()
    if several and several[0]:
        con.execute("""
            CREATE OR REPLACE TEMP TABLE ledger_news AS
            FROM ledger_news QUALIFY row_number() OVER (PARTITION BY serial ORDER BY number DESC) = 1
        """)
    con.execute(f"CREATE OR REPLACE TEMP TABLE ledger_new_items AS FROM postgres_query('shuyuan', {literal(items)})")


def _of_event(columns: tuple[str, ...]) -> list[str]:
    return [name for name in _OF_EVENT if not columns or name in columns or name == "number"]


def _joined(path: Path, columns: tuple[str, ...] = ()) -> str:
    """The checkpoint with the news on top."""
    file = f"read_parquet({literal(str(path))})"
    of_item = f"item_id, {', '.join(_OF_ITEM)}"
    return f"""
        SELECT {of_item}, {", ".join(_of_event(columns))} FROM {file} ANTI JOIN ledger_news USING (serial)
        UNION ALL BY NAME
        SELECT i.*, n.* EXCLUDE (serial)
        FROM (SELECT {of_item} FROM {file} UNION ALL SELECT {of_item} FROM ledger_new_items) i
        JOIN ledger_news n USING (serial)"""


def _write(con: DuckDBPyConnection, path: Path, items: str, events: str) -> None:
    """Everything anew, in two scans: which events are the last, and then those."""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE ledger_last AS SELECT serial, max(number) AS number FROM {events} GROUP BY ALL"
    )
    _copy(
        con,
        path,
        f"""
        SELECT i.item_id, i.{", i.".join(_OF_ITEM)}, e.{", e.".join(_OF_EVENT)}
        FROM {events} e SEMI JOIN ledger_last l ON l.serial = e.serial AND l.number = e.number
        JOIN {items} i ON i.serial = e.serial""",
    )
    con.execute("DROP TABLE ledger_last")


def _copy(con: DuckDBPyConnection, path: Path, rows: str) -> None:
    """Write the file whole or not at all, with the heads it was made at."""
    partial = path.with_suffix(".part")
    last: dict[str, tuple[str, int, str]] = {}
    for head in _current(con):
        last[head[0]] = max(head, last.get(head[0], head))
    heads = literal(json.dumps(list(last.values())))
    con.execute(
        f"COPY ({rows}) TO {literal(str(partial))} (FORMAT parquet, COMPRESSION lz4, KV_METADATA {{heads: {heads}}})"
    )
    partial.chmod(0o600)
    partial.replace(path)


def _count(con: DuckDBPyConnection, table: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0
