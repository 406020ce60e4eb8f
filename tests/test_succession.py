"""Who came after an entity is told in either direction, over several steps, and a circle ends."""

from __future__ import annotations

import duckdb
import pytest

from catalog.load import Catalog
from catalog.models import Library, Succession
from quality_checks import macros
from resources import succession


def library(**stated: str) -> Library:
    return Library.model_validate(
        {
            "name": "firms",
            "title": {"zh": "企业库", "en": "Firms"},
            "summary": "x",
            "lead": "a",
            "entity": "firm",
            "key": "uscc",
            "key_title": "代码",
            "key_normal": "uscc_normal(value)",
            "attributes": {"other": {"title": "另一主体", "type": "text", "authority": "a"}},
            "succession": stated,
        }
    )


def asked(small_catalog: Catalog, stated: Library, rows: str) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute(macros.SQL)
    con.execute("ATTACH ':memory:' AS city; USE city; CREATE SCHEMA base")
    con.execute(
        "CREATE TABLE base.firms AS SELECT *, DATE '2020-01-01' AS began_on,"
        f" CASE WHEN other IS NOT NULL THEN DATE '2026-11-02' END AS ended_on FROM (VALUES {rows}) t(uscc, other)"
    )
    catalog = Catalog(small_catalog.root, {}, {}, {"firms": stated, **small_catalog.libraries}, {}, {}, {})
    succession.define(con, catalog)
    return con


def told(con: duckdb.DuckDBPyConnection, key: str) -> list[tuple[int, str]]:
    return con.execute(f"SELECT step, uscc FROM successors.firms('{key}')").fetchall()


def test_who_followed_is_told_over_several_steps_also_where_the_library_does_not_know_it(
    small_catalog: Catalog,
) -> None:
    con = asked(small_catalog, library(followed_by="other"), "('A', 'b'), ('B', 'C'), ('C', NULL), ('D', 'ELSEWHERE')")
    assert told(con, "a") == [(1, "B"), (2, "C")]
    assert told(con, "C") == []
    assert con.execute("FROM successors.firms('D')").fetchall() == [(1, "ELSEWHERE", None, None)]


def test_what_says_whom_it_follows_is_read_the_other_way_round(small_catalog: Catalog) -> None:
    con = asked(small_catalog, library(follows="other"), "('V1', NULL), ('V2', 'V1'), ('V3', 'V2'), ('W', 'V1')")
    assert told(con, "V1") == [(1, "V2"), (1, "W"), (2, "V3")]


def test_a_circle_ends(small_catalog: Catalog) -> None:
    con = asked(small_catalog, library(followed_by="other"), "('A', 'B'), ('B', 'A'), ('S', 'S')")
    assert told(con, "A") == [(1, "B")]
    assert told(con, "S") == []


def test_a_succession_is_stated_one_way() -> None:
    for stated in ({}, {"follows": "other", "followed_by": "other"}):
        with pytest.raises(ValueError, match="exactly one of followed_by, follows"):
            Succession(**stated)
