"""A stranger's question is one SELECT and reads nothing but the lake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from resources.query import QueryRefusedError, lock_down, select


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with a table, that may read below `lake` alone."""
    lake = tmp_path / "lake"
    lake.mkdir()
    (lake / "in.csv").write_text("n\n1\n")
    (tmp_path / "out.csv").write_text("n\n2\n")
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t AS SELECT 1 AS n")
        lock_down(con, str(lake))
        yield con


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM t",
        "COPY t TO '/tmp/x.csv'",
        "ATTACH 'x.db'",
        "SELECT 1; SELECT 2",
        "SET threads = 1",
        "LOAD httpfs",
        "CREATE TABLE u AS SELECT 1",
        "",
    ],
)
def test_anything_but_one_select_is_refused(locked: duckdb.DuckDBPyConnection, statement: str) -> None:
    with pytest.raises(QueryRefusedError, match="exactly one SELECT is allowed"):
        select(locked, statement)


def test_files_of_the_lake_are_read_and_no_other(locked: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert select(locked, f"FROM read_csv('{tmp_path}/lake/in.csv')").fetchall() == [(1,)]
    for outside in (f"{tmp_path}/out.csv", f"{tmp_path}/lake/../out.csv", "/etc/passwd"):
        with pytest.raises(duckdb.PermissionException):
            select(locked, f"FROM read_csv('{outside}')").fetchall()
    with pytest.raises(duckdb.Error, match="locked"):
        locked.execute("SET enable_external_access = true")
