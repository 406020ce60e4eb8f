"""An increment against a full build, on a real lake, after any sequence of what may happen to pools, marks, links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from assets import base, increment
from catalog.models import Library
from quality_checks.loading import load
from resources import believed
from resources.city import City

FIRST = date(2026, 11, 2)
ANNA, BO, SHORT_ANNA = "341502198001011234", "341502199002022343", "341502800101123"
RESIDENTS, MARRIAGES = "public_security.resident_registration", "civil_affairs.marriage_registration"
COLUMNS = {
    RESIDENTS: ("name", "sex", "birth_date", "marital_status"),
    MARRIAGES: ("name", "marital_status", "registered_on"),
}
KINDS = {"birth_date": "DATE", "registered_on": "DATE"}
VALUES: dict[str, st.SearchStrategy[object]] = {
    "name": st.sampled_from(["张三", "李四", None]),
    "sex": st.sampled_from(["1", "2"]),
    "birth_date": st.sampled_from([date(1980, 1, 1), date(1990, 2, 2)]),
    "marital_status": st.sampled_from(["10", "20", None]),
    "registered_on": st.just(FIRST),
}


@dataclass(frozen=True)
class Delivery:
    """Records by record key: (id_number, values); a full one replaces all others, a late one is of the day before."""

    resource: str
    records: dict[str, tuple[str | None, tuple[object, ...]]]
    full: bool
    late: bool


@dataclass(frozen=True)
class Restated:
    """The whole resource is delivered again, without a change."""

    resource: str


@dataclass(frozen=True)
class Marked:
    """The open findings: (resource, record key, column, severity); of the first so many an objection was upheld."""

    findings: tuple[tuple[str, str, str, str], ...]
    excepted: int


@dataclass(frozen=True)
class Linked:
    """The links: alias key -> entity key, and (resource, record key) -> entity key."""

    keys: dict[str, str]
    records: dict[tuple[str, str], str]


def records(resource: str) -> st.SearchStrategy[dict[str, tuple[str | None, tuple[object, ...]]]]:
    values = st.tuples(*(VALUES[column] for column in COLUMNS[resource]))
    return st.dictionaries(
        st.sampled_from(["k1", "k2", "k3"]),
        st.tuples(st.sampled_from([ANNA, BO, SHORT_ANNA, None]), values),
        max_size=3,
    )


resources = st.sampled_from([RESIDENTS, MARRIAGES])
deliveries = resources.flatmap(lambda r: st.builds(Delivery, st.just(r), records(r), st.booleans(), st.booleans()))
record_of = st.tuples(resources, st.sampled_from(["k1", "k2", "k3"]))
marked = st.builds(
    Marked,
    st.lists(
        st.tuples(record_of, st.sampled_from([("name", "error"), ("name", "block"), ("marital_status", "warn")])).map(
            lambda drawn: (*drawn[0], *drawn[1])
        ),
        max_size=2,
        unique=True,
    ).map(tuple),
    st.integers(0, 1),
)
linked = st.builds(
    Linked,
    st.dictionaries(st.just(BO), st.just(ANNA), max_size=1),
    st.dictionaries(record_of, st.sampled_from([ANNA, BO]), max_size=1),
)
happenings = st.one_of(deliveries, deliveries, st.builds(Restated, resources), marked, linked)


def _run(sql: str, con: duckdb.DuckDBPyConnection) -> None:
    con.execute(sql)


class World:
    """The small city's pools, findings and links, changed as a day's stages would."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.library: Library = city.catalog.libraries["population"]

    def empty(self) -> None:
        for resource in COLUMNS:
            department, _, _ = resource.partition(".")
            self.city.commit(department, partial(_run, f"DELETE FROM {resource}"), author="test")
        tables = ("base.population", "history.population", "base._builds", "base._links", "base._said",
                  "quality.findings", "quality.results", "quality.excepted")  # fmt: skip
        self.city.commit("city", partial(_run, "; ".join(f"DELETE FROM {table}" for table in tables)), author="test")

    def happen(self, what: Any, day: date) -> None:
        match what:
            case Delivery():
                self._deliver(what, day)
            case Restated(resource):
                department = resource.split(".")[0]
                restate = (
                    "CREATE OR REPLACE TEMP TABLE restated AS"
                    f" SELECT * REPLACE (DATE '{day}' AS _as_of) FROM {resource};"
                    f"DELETE FROM {resource}; INSERT INTO {resource} FROM restated"
                )
                self.city.commit(department, partial(_run, restate), author="test")
            case Marked(findings, excepted):
                self._mark(findings, excepted)
            case Linked():
                self._link(what, day)

    def _deliver(self, what: Delivery, day: date) -> None:
        columns = {"_record_key": "VARCHAR", "id_number": "VARCHAR"}
        columns |= {column: KINDS.get(column, "VARCHAR") for column in COLUMNS[what.resource]}
        rows = [[key, person, *values] for key, (person, values) in what.records.items()]
        as_of = day - timedelta(what.late)
        hashed = ", ".join(column for column in columns if column != "_record_key")
        gone = "true" if what.full else "_record_key IN (SELECT _record_key FROM stated)"

        def work(con: Any) -> None:
            load(con, "stated", columns, rows)
            con.execute(f"DELETE FROM {what.resource} WHERE {gone}")
            con.execute(
                f"INSERT INTO {what.resource} BY NAME SELECT *, 'd' AS _delivery_id, DATE '{as_of}' AS _as_of,"
                f" hash({hashed}) AS _hash FROM stated"
            )

        self.city.commit(what.resource.split(".")[0], work, author="test")

    def _mark(self, findings: Sequence[tuple[str, str, str, str]], excepted: int) -> None:
        kinds = dict.fromkeys(("finding_id", "department", "resource", "record_key", "column", "severity"), "VARCHAR")
        rows = [["|".join(one), *one[0].split("."), *one[1:]] for one in findings]

        def work(con: Any) -> None:
            load(con, "marks", {f'"{name}"': kind for name, kind in kinds.items()}, rows)
            con.execute("DELETE FROM quality.findings WHERE rule_id = 'TEST-1'")
            con.execute(
                "INSERT INTO quality.findings BY NAME SELECT *, 'TEST-1' AS rule_id, 'open' AS status FROM marks"
            )
            con.execute("DELETE FROM quality.excepted")
            con.execute(
                "INSERT INTO quality.excepted BY NAME SELECT * EXCLUDE (severity) FROM marks"
                " WHERE list_contains($1, finding_id)",
                [[row[0] for row in rows[:excepted]]],
            )

        self.city.commit("city", work, author="test")

    def _link(self, what: Linked, day: date) -> None:
        columns = dict.fromkeys(
            ("library", "kind", "department", "resource", "record_key", "alias_key", "entity_key", "how"), "VARCHAR"
        )
        rows = [["population", "key", None, None, None, alias, entity, "person"] for alias, entity in what.keys.items()]
        rows += [
            ["population", "record", *resource.split("."), record, None, entity, "person"]
            for (resource, record), entity in what.records.items()
        ]

        def work(con: Any) -> None:
            load(con, "linked", columns, rows)
            con.execute("DELETE FROM base._links")
            con.execute(f"INSERT INTO base._links BY NAME SELECT *, DATE '{day}' AS since FROM linked")

        self.city.commit("city", work, author="test")

    def build(self, day: date, *, full: bool = False) -> base.BaseResult:
        return base.build(self.city, self.library, day, author="test", full=full)

    def rows(self, relation: str) -> list[tuple[object, ...]]:
        return self.city.con.execute(f"SELECT * FROM {relation} ORDER BY ALL").fetchall()

    def told(self) -> list[tuple[object, ...]]:
        told = "SELECT * EXCLUDE (first_seen, last_seen) FROM quality.findings WHERE rule_id <> 'TEST-1'"
        return self.rows(f"({told})")


@pytest.fixture
def world(small_city: City, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(increment, "SHARE", 10.0)  # three persons: any change touches a third
    believed.define(small_city.con, small_city.catalog)
    return World(small_city)


@settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each step is four commits: shrinking takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(st.lists(st.tuples(st.booleans(), st.lists(happenings, min_size=1, max_size=3)), min_size=1, max_size=3))
def test_an_increment_is_a_full_build(world: World, days: list[tuple[bool, list[Any]]]) -> None:
    world.empty()
    day = FIRST
    world.build(day)
    remembered = {}
    for next_day, happened in days:
        day += timedelta(next_day)
        for what in happened:
            world.happen(what, day)
        built = world.build(day)
        assert built.told.startswith("increment"), built.told
        base_rows, findings = world.rows("base.population"), world.told()
        again = world.build(day, full=True)
        assert again.changed == 0
        assert (world.rows("base.population"), world.told()) == (base_rows, findings)
        assert [(r.rule_id, r.resource, r.applicable, r.failed) for r in built.results] == [
            (r.rule_id, r.resource, r.applicable, r.failed) for r in again.results
        ]
        remembered[day] = base_rows
    for then, rows in remembered.items():
        assert world.rows(f"(SELECT * EXCLUDE (_believed_to) FROM as_believed.population('{then}'))") == rows
