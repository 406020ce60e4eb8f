"""Thematic tables: the SQL of the pair, held to the contract of the YAML, written by difference.

A new thematic table is one YAML and one SQL file. Code goes here only when the contract itself changes; rules over
thematic tables are `assets.quality`.
"""

from __future__ import annotations

from datetime import date
from functools import partial

from duckdb import DuckDBPyConnection

from catalog.models import ThematicTable
from quality_checks.macros import name
from resources.city import City

PRODUCED = "temp.thematic_produced"


class ThematicContractError(Exception):
    """A thematic SQL file produces something else than its YAML declares; every difference is named."""


def build(city: City, table: ThematicTable, as_of: date, *, author: str) -> int:
    """Make `thematic.<topic>__<table>` equal to what its SQL gives now; returns its rows.

    Args:
        city: the open city.
        table: what to build.
        as_of: the business day of the pass, kept in the commit message.
        author: run id, the author of the lake commit.

    Raises:
        ThematicContractError: columns or types differ from the declared ones, or the key is null or repeated. The
            table keeps its last good content.
    """
    message = f"thematic.{table.id} {as_of}"
    return city.commit("city", partial(_build, city, table), author=author, message=message)


def row_count(city: City, table: ThematicTable) -> int:
    """Rows of the table as it stands."""
    row = city.con.execute(f"SELECT count(*) FROM thematic.{name(f'{table.topic}__{table.name}')}").fetchone()
    return int(row[0]) if row else 0


def _build(city: City, table: ThematicTable, con: DuckDBPyConnection) -> int:
    sql = table.sql.rstrip().removesuffix(";")
    _check_columns(con, table, sql)
    declared = ", ".join(map(name, table.columns))
    produced = PRODUCED.removeprefix("temp.")
    con.execute(f"CREATE OR REPLACE TEMP TABLE {produced} AS SELECT {declared} FROM (\n{sql}\n)")
    rows = _check_key(con, table)
    target = f"thematic.{name(f'{table.topic}__{table.name}')}"
    city.lake.replace(con, target, f"SELECT * FROM {PRODUCED}", list(table.key))
    con.execute(f"DROP TABLE {PRODUCED}")
    return rows


def _check_columns(con: DuckDBPyConnection, table: ThematicTable, sql: str) -> None:
    got = {column: kind for column, kind, *_ in con.execute(f"DESCRIBE SELECT * FROM (\n{sql}\n)").fetchall()}
    declared = {column: stated.sql_type for column, stated in table.columns.items()}
    problems = [
        f"column {column}: the SQL gives {got.get(column, 'nothing')}, declared is {declared.get(column, 'nothing')}"
        for column in [*declared, *(extra for extra in got if extra not in declared)]
        if got.get(column) != declared.get(column)
    ]
    if problems:
        raise ThematicContractError("\n".join([f"thematic table {table.id}:", *problems]))


def _check_key(con: DuckDBPyConnection, table: ThematicTable) -> int:
    """Rows produced.

    Raises:
        ThematicContractError: the key does not tell them apart.
    """
    keys = ", ".join(map(name, table.key))
    blank = " OR ".join(f"{name(column)} IS NULL" for column in table.key)
    counted = con.execute(
        f"SELECT coalesce(sum(n), 0)::BIGINT, coalesce(sum(n) FILTER ({blank}), 0)::BIGINT,"
        f" count(*) FILTER (n > 1) FROM (SELECT {keys}, count(*) AS n FROM {PRODUCED} GROUP BY ALL)"
    ).fetchone()
    rows, blanks, repeated = counted or (0, 0, 0)
    if blanks or repeated:
        raise ThematicContractError(
            f"thematic table {table.id}: key ({', '.join(table.key)}) must be unique and not null,"
            f" got {blanks} rows without it and {repeated} values of it more than once, in {rows} rows"
        )
    return int(rows)
