"""Rows of Python's as a temporary table: what the catalogue says, beside what the lake holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from duckdb import DuckDBPyConnection


def load(con: DuckDBPyConnection, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[object]]) -> None:
    """Make the temporary table `table` hold the rows; `columns` are names and DuckDB types, in the rows' order."""
    values = [[row[place] for row in rows] for place in range(len(columns))]
    listed = ", ".join(f"unnest(${n}::{kind}[]) AS {name}" for n, (name, kind) in enumerate(columns.items(), 1))
    con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {listed}", values)
