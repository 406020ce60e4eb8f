"""What a library believed when: the written history against a plain Python memory of every day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets import history
from catalog.load import Catalog
from catalog.models import Attribute, Library
from quality_checks import macros
from quality_checks.loading import load
from resources import believed

FIRST = date(2026, 11, 2)
PEOPLE = ("p1", "p2", "p3")
LIBRARY = Library(
    name="people",
    title={"zh": "人口库", "en": "People"},
    summary="x",
    lead="a",
    entity="person",
    key="id_number",
    key_title="证件号码",
    attributes={
        "name": Attribute(title="姓名", type="text", authority="a"),
        "birth_date": Attribute(title="出生日期", type="date", authority="a", varies=False),
    },
)
CATALOG = Catalog(Path(), {}, {}, {"people": LIBRARY}, {}, {}, {})
ROWS = {"key": "VARCHAR", "name": "VARCHAR", "source": "VARCHAR", "name_as_of": "DATE", "birth": "DATE",
        "birth_as_of": "DATE", "ended_on": "DATE", "sources": "INTEGER"}  # fmt: skip


class Row(NamedTuple):
    """What arbitration says of one entity on one day."""

    name: str | None
    source: str
    birth: date
    ended_on: date | None
    sources: int


class Version(NamedTuple):
    """What is believed of one entity, with the dates its values came to be believed."""

    name: str | None
    source: str | None
    name_as_of: date | None
    birth: date
    birth_as_of: date
    ended_on: date | None
    sources: int


@lru_cache
def plain_duckdb() -> duckdb.DuckDBPyConnection:
    """The tables of a lake's city catalog in memory, under its name."""
    con = duckdb.connect(config={"threads": 1})
    con.execute(macros.SQL)
    con.execute("ATTACH ':memory:' AS city; USE city; CREATE SCHEMA base; CREATE SCHEMA history")
    columns = ", ".join(f'"{column}" {kind}' for column, kind in LIBRARY.columns.items())
    con.execute(f"CREATE TABLE base.people ({columns}); CREATE TABLE history.people ({columns}, _believed_to DATE)")
    con.execute("CREATE TABLE base._builds (library VARCHAR, believed_since DATE)")
    believed.define(con, CATALOG)
    return con


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return emptied()


def emptied() -> duckdb.DuckDBPyConnection:
    con = plain_duckdb()
    con.execute("DELETE FROM base.people; DELETE FROM history.people; DELETE FROM base._builds")
    con.execute("INSERT INTO base._builds VALUES ('people', NULL)")
    return con


def write(
    con: duckdb.DuckDBPyConnection, day: date, said: Mapping[str, Row], *, touched: set[str] | None = None
) -> history.Written:
    """One build: `said` by entity key; of the `touched` ones alone when given."""
    rows = [
        [key, r.name, r.source if r.name else None, day if r.name else None, r.birth, day, r.ended_on, r.sources]
        for key, r in said.items()
        if touched is None or key in touched
    ]
    load(con, "said", ROWS, rows)
    if touched is not None:
        load(con, "library_touched", {"key": "VARCHAR"}, [[key] for key in sorted(touched)])
    query = (
        f"SELECT {history.entity_id(LIBRARY, 'key')} AS entity_id, key AS id_number, name, source AS name_source,"
        " name_as_of, CASE WHEN name IS NOT NULL THEN 'single' END AS name_outcome, 'A-' AS name_said,"
        " birth AS birth_date, 'a' AS birth_date_source, birth_as_of AS birth_date_as_of,"
        " 'single' AS birth_date_outcome, 'A-' AS birth_date_said, sources AS _sources, birth AS began_on, ended_on"
        " FROM said"
    )
    rows = history.prepare(con, LIBRARY, query, day, touched=touched is not None)
    return history.write(con, LIBRARY, rows, day, touched=touched is not None)


def told(con: duckdb.DuckDBPyConnection, relation: str) -> dict[str, Version]:
    columns = "id_number, name, name_source, name_as_of, birth_date, birth_date_as_of, ended_on, _sources"
    rows = con.execute(f"SELECT {columns} FROM {relation}").fetchall()
    found = {row[0]: Version(*row[1:]) for row in rows}
    assert len(found) == len(rows)
    return found


def believe(before: Mapping[str, Version], day: date, said: Mapping[str, Row]) -> dict[str, Version]:
    """The same by loops, as docs/history.md reads."""
    now = {}
    for key, row in said.items():
        old = before.get(key)
        source = row.source if row.name else None
        named = day if row.name else None
        if old and (old.name, old.source) == (row.name, source):
            named = old.name_as_of
        born = old.birth_as_of if old and old.birth == row.birth else day
        now[key] = Version(row.name, source, named, row.birth, born, row.ended_on, row.sources)
    for key, old in before.items():
        if key not in said and (old.sources == 0 or (old.ended_on and old.ended_on <= day)):
            now[key] = old._replace(sources=0)
    return now


rows = st.builds(
    Row,
    name=st.sampled_from(["张三", "李四", None]),
    source=st.sampled_from(["a", "b"]),
    birth=st.sampled_from([date(1980, 1, 1), date(1990, 2, 2)]),
    ended_on=st.sampled_from([None, None, FIRST, FIRST + timedelta(3)]),
    sources=st.sampled_from([1, 2]),
)
builds = st.lists(
    st.tuples(st.sampled_from([0, 0, 1, 2]), st.dictionaries(st.sampled_from(PEOPLE), rows, max_size=3)),
    min_size=1,
    max_size=7,
)


@settings(max_examples=35, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(builds, st.booleans())
def test_every_past_belief_is_the_one_recorded_at_the_time(
    stated: list[tuple[int, dict[str, Row]]], increments: bool
) -> None:
    con = emptied()
    day, recorded = FIRST, {}
    now: dict[str, Version] = {}
    before: dict[str, Row] = {}
    for days, said in stated:
        day += timedelta(days)
        touched = {key for key in PEOPLE if said.get(key) != before.get(key)} if increments and before else None
        written = write(con, day, said, touched=touched)
        was, now = now, believe(now, day, said)
        assert told(con, "base.people") == now
        assert written.came == len(now.keys() - was.keys())
        assert written.left == len(was.keys() - now.keys())
        again = write(con, day, said, touched=touched)
        assert again == history.Written(0, 0, 0)
        before, recorded[day] = said, now
    for day, then in recorded.items():
        assert told(con, f"as_believed.people('{day}')") == then
    last = f"as_of.people('{day}')"
    columns = "id_number, name, name_source, name_as_of, birth_date, ended_on"
    held = f"CASE WHEN ended_on <= DATE '{day}' THEN ended_on END AS ended_on"
    assert (
        con.execute(f"SELECT {columns} FROM {last} ORDER BY 1").fetchall()
        == con.execute(f"SELECT {columns.replace('ended_on', held)} FROM base.people ORDER BY 1").fetchall()
    )


def row(name: str | None, *, ended_on: date | None = None, birth: date = date(1980, 1, 1), source: str = "a") -> Row:
    return Row(name, source, birth, ended_on, 1)


def test_what_was_true_on_a_day_by_the_belief_of_another(con: duckdb.DuckDBPyConnection) -> None:
    later, last = FIRST + timedelta(1), FIRST + timedelta(2)
    write(con, FIRST, {"p1": row("张三")})
    write(con, later, {"p1": row("李四", birth=date(1990, 2, 2))})
    write(con, last, {"p1": row("李四", birth=date(1990, 2, 2)), "p2": row("王五")})

    def asked(call: str) -> list[tuple[object, ...]]:
        return con.execute(f"SELECT id_number, name, birth_date FROM as_of.people({call}) ORDER BY 1").fetchall()

    assert asked(f"'{FIRST}'") == [("p1", "张三", date(1990, 2, 2))]  # a birth date does not change with the day
    assert asked(f"'{FIRST}', '{FIRST}'") == [("p1", "张三", date(1980, 1, 1))]
    assert asked(f"'{later}', '{FIRST}'") == [("p1", "张三", date(1980, 1, 1))]
    assert asked(f"'{last}'") == [("p1", "李四", date(1990, 2, 2)), ("p2", "王五", date(1980, 1, 1))]
    assert asked(f"'{FIRST - timedelta(1)}'") == []


def test_a_version_replaced_on_the_day_it_came_is_kept(con: duckdb.DuckDBPyConnection) -> None:
    write(con, FIRST, {"p1": row("张三")})
    write(con, FIRST, {"p1": row("李四")})
    kept = con.execute("SELECT name, _believed_from, _believed_to FROM history.people").fetchall()
    assert kept == [("张三", FIRST, FIRST)]


def test_who_has_ended_stays_without_a_source_and_who_has_not_leaves(con: duckdb.DuckDBPyConnection) -> None:
    write(con, FIRST, {"p1": row("张三", ended_on=FIRST), "p2": row("李四")})
    assert write(con, FIRST + timedelta(1), {}) == history.Written(came=0, replaced=1, left=1)
    found = con.execute("SELECT id_number, _sources, name_said FROM base.people").fetchall()
    assert found == [("p1", 0, "--")]


def test_rows_with_a_column_the_library_lacks_are_refused(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(ValueError, match=r"base\.people has no column x"):
        history.prepare(con, LIBRARY, "SELECT NULL::UUID AS entity_id, 1 AS x", FIRST)


def test_a_lost_past_is_refused_rather_than_told_short(con: duckdb.DuckDBPyConnection) -> None:
    write(con, FIRST, {"p1": row("张三")})
    con.execute("UPDATE base._builds SET believed_since = ?", [FIRST])
    assert told(con, f"as_believed.people('{FIRST}')")
    with pytest.raises(duckdb.Error, match=f"people: what was believed before {FIRST} is lost"):
        con.execute(f"FROM as_believed.people('{FIRST - timedelta(1)}')")
