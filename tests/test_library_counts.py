"""A library's outcomes, agreement and coverage are what plain Python counts from its rows."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from functools import lru_cache
from pathlib import Path
from uuid import UUID

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.columns import Column
from catalog.coverage import Coverage
from catalog.load import Catalog
from catalog.models import Attribute, Department, Library, Resource
from quality_checks import comparison, library_counts
from quality_checks.macros import name
from resources.lake import AGREEMENT, COVERAGE, OUTCOMES, SAID

DAY = date(2026, 11, 2)
SUPPLIES = {"a.people": ("born", "name"), "b.people": ("name",), "c.people": ("born",)}
SOURCES = {"name": ("a.people", "b.people"), "born": ("a.people", "c.people")}  # in the order of the letters
PAIRS = {"in_b": ("a.people", ("b.people",), None), "somewhere": ("b.people", ("a.people", "c.people"), "li")}
COUNTS = {"_agreement": AGREEMENT, "_outcomes": OUTCOMES, "_coverage": COVERAGE, "_said": SAID}
OUTCOME = st.sampled_from(("single", "agreed", "authority_doubted"))
ROW = st.tuples(st.sampled_from(("li", "wang")), *(st.tuples(OUTCOME, st.text("AaDd-", min_size=2, max_size=2)),) * 2)


def _catalog() -> Catalog:
    titled = {"title": {"zh": "x", "en": "x"}}
    coverage = {
        pair: {"zh": "x", "en": "x", "of": of, "in": within, "when": f"name = '{surname}'" if surname else "true"}
        for pair, (of, within, surname) in PAIRS.items()
    }
    library = Library(
        **titled,
        name="people",
        summary="x",
        lead="a",
        entity="person",
        key="person",
        key_title="编号",
        attributes={a: Attribute(title=a, type="text", authority="a") for a in SOURCES},
        coverage=coverage,
    )
    resources = {
        source: Resource(
            **titled,
            department=source[0],
            name="people",
            summary="x",
            code="1/01/001/000001",
            cycle="daily",
            mode="full",
            key=("person",),
            describes={"library": "people", "by": "person"},
            sharing={"attribute": "unconditional"},
            opening={"class": "none", "reason": "x"},
            published="2026-01-01",
            columns={column: Column(title=column, type="text") for column in ("person", *supplied)},
            supplies={attribute: attribute for attribute in supplied},
        )
        for source, supplied in SUPPLIES.items()
    }
    named = {"code": "x", "sharing_office": "x", "chief_data_officer": "x"}
    departments = {d: Department(**titled, name=d, **named) for d in "abc"}
    return Catalog(Path(), departments, resources, {"people": library}, {}, {}, {})


CATALOG = _catalog()
LIBRARY = CATALOG.libraries["people"]


@lru_cache
def _connection() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"threads": 1})
    con.execute("ATTACH ':memory:' AS city; USE city; CREATE SCHEMA base")
    for table, columns in {**COUNTS, "people": LIBRARY.columns}.items():
        con.execute(f"CREATE TABLE base.{table} ({', '.join(f'{name(c)} {t}' for c, t in columns.items())})")
    library_counts.define_missing(con, CATALOG)
    return con


def _counted(rows: list[tuple]) -> duckdb.DuckDBPyConnection:
    con = _connection()
    con.execute("DELETE FROM base.people")
    for number, (surname, (named, names), (dated, dates)) in enumerate(rows):
        con.execute(
            "INSERT INTO base.people (entity_id, person, name, name_outcome, name_said, born_outcome, born_said)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [UUID(int=number), f"P{number}", surname, named, names, dated, dates],
        )
    comparison.results(con, CATALOG, LIBRARY, "base.people")
    library_counts.count(con, CATALOG, LIBRARY, DAY)
    return con


def _speaks(row: tuple, source: str) -> bool:
    _, (_, names), (_, dates) = row
    said = {"name": names, "born": dates}
    return any(said[a][SOURCES[a].index(source)] != "-" for a in SUPPLIES[source])


@settings(max_examples=12, deadline=None)
@given(st.lists(ROW, max_size=12))
def test_counts_are_those_of_plain_python(rows):
    con = _counted(rows)
    outcomes = Counter((a, row[1 + n][0]) for row in rows for n, a in enumerate(("name", "born")))
    counted = con.execute("SELECT attribute, outcome, entities FROM base._outcomes").fetchall()
    assert {(a, o): n for a, o, n in counted} == outcomes
    for number, attribute in enumerate(("name", "born")):
        for place, source in enumerate(SOURCES[attribute]):
            letters = Counter(row[1 + number][1][place] for row in rows)
            expected = [
                letters["A"] + letters["a"], letters["D"] + letters["d"], letters["-"], letters["A"] + letters["D"],
                letters["D"],
            ]  # fmt: skip
            told = con.execute(
                "SELECT agrees, differs, silent, compared, compared_differs FROM base._agreement"
                " WHERE attribute = ? AND department || '.' || resource = ?",
                [attribute, source],
            ).fetchall()
            assert told == ([tuple(expected)] if rows else [])
    for pair, (of, within, surname) in PAIRS.items():
        due = [(n, row) for n, row in enumerate(rows) if _speaks(row, of) and surname in (None, row[0])]
        missing = [n for n, row in due if not any(_speaks(row, source) for source in within)]
        told = con.execute("SELECT numerator, denominator FROM base._coverage WHERE pair = ?", [pair]).fetchall()
        assert told == [(len(due) - len(missing), len(due))]
        named = con.execute(f"SELECT pair, person FROM missing.people('{pair}') ORDER BY ALL").fetchall()
        assert sorted(named) == sorted((pair, f"P{n}") for n in missing)


def test_an_unknown_coverage_is_an_error_and_not_an_empty_answer():
    con = _counted([("li", ("single", "A-"), ("agreed", "AA"))])
    assert con.execute("SELECT count(*) FROM missing.people('in_b')").fetchall() == [(1,)]
    with pytest.raises(duckdb.Error, match="nobody is no coverage of people; there are: in_b, somewhere"):
        con.execute("SELECT count(*) FROM missing.people('nobody')").fetchall()


def test_a_lake_older_than_the_catalogue_can_be_asked_all_the_same():
    with duckdb.connect() as con:
        con.execute(
            "ATTACH ':memory:' AS city; CREATE SCHEMA city.base; CREATE TABLE city.base.people (person VARCHAR)"
        )
        library_counts.define_missing(con, CATALOG)
        assert con.execute("SELECT count(*) FROM city.base.people").fetchall() == [(0,)]
        with pytest.raises(duckdb.Error, match="people"):
            con.execute("FROM missing.people('in_b')")


def test_the_coverage_of_the_documentation_is_one():
    page = (Path(__file__).parents[1] / "docs/libraries.md").read_text("utf-8")
    [written] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    [(pair, stated)] = yaml.safe_load(written)["coverage"].items()
    assert len(Coverage(**stated).in_) == 2
    assert f"missing.population('{pair}')" in page
