"""The history of divisions: periods, chains, splits, codes given anew; against a walk in plain Python."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from catalog import divisions
from catalog.division_lineage import write_lineage
from catalog.load import load_catalog
from quality_checks.rules import baseline_rules
from quality_checks.suites import verdict

CODES = Path(__file__).parents[1] / "catalog" / "codes"
LATER = 9999


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS codes")
        connection.execute(f"CREATE TABLE codes.gbt_2260 AS FROM read_csv('{CODES}/gbt_2260.csv', all_varchar = true)")
        connection.execute(divisions.vocabulary(CODES))
        yield connection


def said(con: duckdb.DuckDBPyConnection, expression: str) -> object:
    row = con.execute(f"SELECT {expression}").fetchone()
    assert row is not None
    return row[0]


Period = tuple[int, int]


def history() -> tuple[dict[str, list[Period]], dict[str, set[tuple[int, str]]]]:
    """Unbroken times of use, and handovers (year, to whom), by code."""
    periods: defaultdict[str, list[Period]] = defaultdict(list)
    handed: defaultdict[str, set[tuple[int, str]]] = defaultdict(set)
    with (CODES / "gbt_2260.history.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            code, start, end = row["code"], int(row["valid_from"]), int(row["valid_to"] or LATER)
            if periods[code] and periods[code][-1][1] == start:
                periods[code][-1] = (periods[code][-1][0], end)
            else:
                periods[code].append((start, end))
            for one in filter(None, row["successors"].split(";")):
                year = int(one[7:11]) if "[" in one else end
                if one[:6] != code:
                    handed[code].add((year, one[:6]))
    return periods, handed


def walk(periods: dict[str, list[Period]], handed: dict[str, set[tuple[int, str]]], code: str, year: int) -> set[str]:
    """Who holds the area of `code` at the end of `year`, one step after the other."""
    found, waiting, seen = set(), [(code, start) for start, _ in periods[code]], set()
    while waiting:
        now, since = waiting.pop()
        if (now, since) in seen:
            continue
        seen.add((now, since))
        [until] = [end for start, end in periods[now] if start <= since < end]
        if since <= year < until:
            found.add(now)
        waiting += [(to, when) for when, to in handed[now] if since < when <= until]
    return found


@pytest.mark.parametrize("year", [1981, 1990, 1999, 2003, 2015, 2024])
def test_every_code_has_at_any_date_the_successors_that_a_plain_walk_finds(
    con: duckdb.DuckDBPyConnection, year: int
) -> None:
    periods, handed = history()
    asked = con.execute(
        f"SELECT code, divisions_of(code, DATE '{year}-06-30') FROM (SELECT DISTINCT code FROM codes.gbt_2260_history)"
    ).fetchall()
    assert len(asked) == len(periods) == 6450
    assert {code: set(found) for code, found in asked} == {code: walk(periods, handed, code, year) for code in periods}


def test_every_retired_county_has_a_successor_in_use(con: duckdb.DuckDBPyConnection) -> None:
    """Prefectures have none in the source: their counties have."""
    orphans = con.execute(
        "SELECT DISTINCT origin FROM codes.gbt_2260_lineage SEMI JOIN codes.gbt_2260_history h ON h.code = origin"
        " GROUP BY origin, origin_from HAVING max(until) < 9999"
    ).fetchall()
    assert len(orphans) > 100
    assert {code[4:] for (code,) in orphans} == {"00"}


def test_the_shipped_lineage_is_the_one_made_of_the_shipped_history(con: duckdb.DuckDBPyConnection, tmp_path: Path):
    for file in ("gbt_2260.csv", "gbt_2260.history.csv"):
        (tmp_path / file).write_bytes((CODES / file).read_bytes())
    write_lineage(tmp_path)
    assert (tmp_path / "gbt_2260.lineage.csv").read_bytes() == (CODES / "gbt_2260.lineage.csv").read_bytes()


def test_chains_splits_and_codes_given_anew(con: duckdb.DuckDBPyConnection) -> None:
    table = "SELECT list((code, name, since, until) ORDER BY code) FROM division_successors({}, DATE '{}')"
    assert said(con, f"({table.format(repr('342423'), '2014-01-01')})") == [("341522", "霍邱县", 1999, None)]
    split = said(con, f"({table.format(repr('342423'), '2020-01-01')})")
    assert split == [("341504", "叶集区", 2015, None), ("341522", "霍邱县", 1999, None)]
    chain = {1995: "412328", 1996: "412302", 1997: "411481", 2024: "411481"}
    assert {year: said(con, f"divisions_of('412328', DATE '{year}-01-01')") for year in chain} == {
        year: [code] for year, code in chain.items()
    }
    # 440511 was a suburb of Shantou until 1991 and another district from 2003 on
    assert said(con, "division_valid('440511', DATE '1985-01-01')") is True
    assert said(con, "division_valid('440511', DATE '1998-01-01')") is False
    assert said(con, "division_valid('440511', DATE '2010-01-01')") is True
    assert said(con, "divisions_of('999999', DATE '2010-01-01')") == []


def test_valid_at_a_date_is_as_at_the_end_of_its_year(con: duckdb.DuckDBPyConnection) -> None:
    counted = con.execute(
        "SELECT level, count(*) FROM divisions_valid(DATE '2024-12-31') GROUP BY level ORDER BY level"
    ).fetchall()
    assert counted == [("city", 333), ("county", 2846), ("province", 34)]
    named = "(SELECT name FROM divisions_valid(DATE '{}-01-01') WHERE code = '130204')"
    assert said(con, named.format(1990)) == "东矿区"
    assert said(con, named.format(2000)) == "古冶区"
    # in the year of the change nobody is wrong with either code
    assert said(con, "division_valid('342423', DATE '1999-03-01') AND division_valid('341522', DATE '1999-03-01')")
    assert said(con, "division_path('341522')") == "安徽省六安市霍邱县"
    assert said(con, "division_path('469001')") == "海南省五指山市"


def test_a_retired_code_contradicts_its_successor_never_and_another_county_always(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert said(con, "division_normal('110103') = division_normal('110101')") is True
    assert said(con, "division_normal('110103') = division_normal('110102')") is False
    assert said(con, "division_normal('342423')") is None  # split: nobody knows which part is meant
    assert said(con, "division_normal('340171')") is None  # a development zone: another authority's code
    assert said(con, "division_normal('341522')") == "341522"  # gave a part away and stays in use


def test_a_code_of_the_statistics_bureau_is_not_the_mistake_of_whoever_carries_it(
    con: duckdb.DuckDBPyConnection,
) -> None:
    catalog = load_catalog(CODES.parent)
    resource = catalog.resources["market_regulation.enterprise_registration"]
    [rule] = [rule for rule in baseline_rules(resource, catalog) if rule.id.endswith(".division.code")]
    for code, right in {"341522": True, "340171": True, "232761": True, "342423": True, "341599": False}.items():
        assert said(con, f"(SELECT {verdict(rule)} FROM (SELECT '{code}' AS division))") is right
