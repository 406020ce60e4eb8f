"""A stranger's question to the lake: one SELECT, nothing else, no way out of the lake."""

from __future__ import annotations

import duckdb


class QueryRefusedError(ValueError):
    """The statement is not a single SELECT."""


def lock_down(con: duckdb.DuckDBPyConnection, lake_folder: str) -> None:
    """Leave this connection with nothing but reading the lake: no files elsewhere, no settings, no attaching."""
    con.execute("SET allowed_directories = [?]", [lake_folder])
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def select(con: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyConnection:
    """Run one SELECT, as DuckDB's own parser understands the word.

    Raises:
        QueryRefusedError: not exactly one statement, or not a SELECT.
        duckdb.Error: the query is wrong.
    """
    statements = con.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise QueryRefusedError(f"exactly one SELECT is allowed, got: {kinds}")
    return con.execute(statements[0])
