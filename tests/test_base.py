"""Base libraries against a plain Python arbitration, and whom the comparison accuses."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets import base
from catalog.load import Catalog
from catalog.models import Attribute, Authority, Column, Department, Library, Resource, Rule
from quality_checks import comparison, macros
from quality_checks.results import RuleResult
from quality_checks.sources import agreement_rule_id, sources
from resources.city import City

DAY = date(2026, 11, 2)
LONG = ("341502198001011234", "341502199002022343")
SHORT = ("341502800101123", "341502900202234")
RESOURCES = ("a.one", "a.two", "b.one", "c.one")
ATTRIBUTES = ("birth_date", "name")
FINDINGS = (
    "CREATE SCHEMA quality; CREATE TABLE quality.findings"
    ' (rule_id VARCHAR, department VARCHAR, resource VARCHAR, record_key VARCHAR, "column" VARCHAR, severity VARCHAR,'
    " status VARCHAR)"
)


class Record(NamedTuple):
    """One record of one resource; `marks` are its open findings as (column, severity)."""

    resource: str
    record_key: str
    person: str | None
    as_of: date
    name: str | None
    birth_date: date | None
    marks: tuple[tuple[str, str], ...] = ()

    @property
    def department(self) -> str:
        return self.resource.split(".")[0]


@dataclass(frozen=True)
class Case:
    """A small world: who speaks of whom, and who has the say."""

    records: tuple[Record, ...]
    authority: Mapping[str, tuple[Authority, ...]]

    def catalog(self, *, backwards: bool = False) -> Catalog:
        resources = [_resource(*name.split(".")) for name in RESOURCES]
        library = Library(
            name="people",
            title={"zh": "人口库", "en": "People"},
            summary="x",
            lead="a",
            entity="person",
            key="id_number",
            key_title="证件号码",
            key_normal="person_id_normal(value)",
            attributes={
                "name": Attribute(title="姓名", type="text", authority=self.authority["name"], standard="P08"),
                "birth_date": Attribute(title="出生日期", type="date", authority=self.authority["birth_date"]),
            },
        )
        departments = {d: _department(d) for d in "abc"}
        ordered = {r.id: r for r in (reversed(resources) if backwards else resources)}
        return Catalog(Path(), departments, ordered, {"people": library}, {}, {}, {})


def _department(name: str) -> Department:
    title = {"zh": f"{name}局", "en": name}
    return Department(name=name, title=title, code="x", sharing_office="x", chief_data_officer="x")


def _resource(department: str, name: str) -> Resource:
    return Resource(
        department=department,
        name=name,
        title={"zh": name, "en": name},
        summary="x",
        code="1/01/001/000001",
        cycle="daily",
        mode="full",
        key=("record",),
        describes={"library": "people", "by": "person"},
        sharing={"attribute": "unconditional"},
        opening={"class": "none", "reason": "x"},
        published="2026-01-01",
        columns={
            "record": Column(title="记录", type="text", required=True),
            "person": Column(title="证件号码", identifier="person_id"),
            "full_name": Column(title="姓名", type="text"),
            "born": Column(title="出生日期", type="date"),
        },
        supplies={"name": "full_name", "birth_date": "born" if name == "one" else "born + INTERVAL 0 DAY"},
    )


@lru_cache
def plain_duckdb() -> duckdb.DuckDBPyConnection:
    """A DuckDB with the pools and findings as plain tables; `load` fills them."""
    con = duckdb.connect(config={"threads": 1})
    con.execute(macros.SQL)
    con.execute(FINDINGS)
    for resource in RESOURCES:
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {resource.split('.')[0]}")
        con.execute(
            f"CREATE TABLE {resource} (person VARCHAR, full_name VARCHAR, born DATE, _record_key VARCHAR,"
            " _delivery_id VARCHAR, _as_of DATE)"
        )
    return con


def load(records: Sequence[Record]) -> duckdb.DuckDBPyConnection:
    """The records as pools and findings, nothing else there."""
    con = plain_duckdb()
    for table in (*RESOURCES, "quality.findings"):
        con.execute(f"DELETE FROM {table}")
    for r in records:
        values = [r.person, r.name, r.birth_date, r.record_key, f"delivery of {r.resource}", r.as_of]
        con.execute(f"INSERT INTO {r.resource} VALUES (?, ?, ?, ?, ?, ?)", values)
        for column, severity in r.marks:
            finding = ["RULE-1", *r.resource.split("."), r.record_key, column, severity]
            con.execute("INSERT INTO quality.findings VALUES (?, ?, ?, ?, ?, ?, 'open')", finding)
    return con


class Outcome(NamedTuple):
    entities: dict[str, tuple[object, ...]]
    accused: set[tuple[str, str, str]]
    results: list[RuleResult]


def arbitrated(case: Case, *, together: int = 12, backwards: bool = False) -> Outcome:
    """What the SQL makes of the case: entities by key, accused (resource, record key, attribute), results."""
    catalog = case.catalog(backwards=backwards)
    library = catalog.libraries["people"]
    con = load(case.records)
    base.arbitrate(con, catalog, library, together=together)
    found = con.execute(base.table_sql(library, sources(catalog, library))).fetchall()
    results = comparison.compare(con, catalog, library, base.ENTITIES)
    violations = con.execute(
        f"SELECT department, resource, record_key, rule_id FROM {comparison.VIOLATIONS}"
    ).fetchall()
    told = [(f"{department}.{resource}", key, rule.split(".")[1]) for department, resource, key, rule in violations]
    assert len(told) == len(set(told))
    return Outcome({row[0]: row[1:] for row in found}, set(told), results)


def to_18(number: str | None) -> str | None:
    """GB 11643-1999 by the book, weights 2^i modulo 11."""
    if number is None or len(number) != 15:
        return number
    body = number[:6] + "19" + number[6:]
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(body))
    return body + "10X98765432"[total % 11]


def plain(value: object) -> object:
    """Normal form of a text: half width, single blanks."""
    if not isinstance(value, str):
        return value
    return re.sub(r"\s+", " ", value.replace("\u3000", " ").replace("Ａ", "A")).strip()


def rank(case: Case, record: Record, attribute: str) -> int:
    for place, entry in enumerate(case.authority[attribute]):
        if entry.department == record.department and (entry.from_ is None or record.as_of >= entry.from_):
            return place
    return len(case.authority[attribute])


def doubted(record: Record, attribute: str) -> bool:
    column = {"name": "full_name", "birth_date": "born"}[attribute]
    computed = attribute == "birth_date" and record.resource.endswith("two")
    return any(mark == column or (computed and mark == attribute) for mark, severity in record.marks)


def reference(case: Case) -> Outcome:
    """The same by loops, as the YAML reads."""
    speaking = [r for r in case.records if to_18(r.person) and not any(severity == "block" for _, severity in r.marks)]
    entities: dict[str, tuple[object, ...]] = {}
    accused: set[tuple[str, str, str]] = set()
    for person in {to_18(r.person) or "" for r in speaking}:
        own = [r for r in speaking if to_18(r.person) == person]
        row: list[object] = []
        for attribute in ("name", "birth_date"):
            stated = [r for r in own if getattr(r, attribute) is not None]
            ordered = sorted(
                stated,
                key=lambda r: (
                    doubted(r, attribute), rank(case, r, attribute), -r.as_of.toordinal(), r.resource, r.record_key
                ),
            )  # fmt: skip
            if not ordered:
                row += [None, None, None]
                continue
            best = ordered[0]
            row += [getattr(best, attribute), best.department, best.as_of]
            for r in own:
                value = getattr(r, attribute)
                outranked = rank(case, best, attribute) < rank(case, r, attribute) and r.department != best.department
                wrong = plain(value) != plain(getattr(best, attribute)) if value is not None else False
                if wrong and outranked and not doubted(best, attribute):
                    accused.add((r.resource, r.record_key, attribute))
        entities[person] = (*row, len(own))
    return Outcome(entities, accused, [])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    days = st.sampled_from([date(2026, 10, 30), date(2026, 11, 1), date(2026, 11, 2)])
    drawn = draw(
        st.lists(
            st.builds(
                Record,
                resource=st.sampled_from(RESOURCES),
                record_key=st.just(""),
                person=st.sampled_from([*LONG, *SHORT, None]),
                as_of=days,
                name=st.sampled_from(["张三", " 张三", "李四", "Ａ\u3000b", "A b", None]),
                birth_date=st.sampled_from([date(1980, 1, 1), date(1990, 2, 2), None]),
                marks=st.lists(
                    st.sampled_from(
                        [("full_name", "error"), ("born", "error"), ("birth_date", "error"), ("person", "block")]
                    ),
                    max_size=1,
                ).map(tuple),
            ),
            max_size=14,
        )
    )
    keys = draw(st.permutations([f"k{place:02}" for place in range(len(drawn))]))
    records = tuple(r._replace(record_key=key) for r, key in zip(drawn, keys, strict=True))
    entries = st.tuples(st.sampled_from("abc"), st.one_of(st.none(), days))
    lists = st.lists(entries, min_size=1, max_size=4, unique=True).map(
        lambda pairs: tuple(Authority(department=d, from_=start) for d, start in pairs)
    )
    return Case(records, {attribute: draw(lists) for attribute in ATTRIBUTES})


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_arbitration_and_accusations_are_those_of_the_plain_reading(case: Case) -> None:
    expected, got = reference(case), arbitrated(case)
    assert got.entities == expected.entities
    assert got.accused == expected.accused
    assert sum(result.failed for result in got.results) == len(got.accused)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.randoms())
def test_neither_order_nor_batches_change_a_result(case: Case, shuffler: random.Random) -> None:
    shuffled = list(case.records)
    shuffler.shuffle(shuffled)
    straight = arbitrated(case)
    other = arbitrated(replace(case, records=tuple(shuffled)), together=2, backwards=True)
    assert (other.entities, other.accused) == (straight.entities, straight.accused)


def authority(*departments: str) -> dict[str, tuple[Authority, ...]]:
    return {attribute: tuple(Authority(department=d) for d in departments) for attribute in ATTRIBUTES}


def said(resource: str, name: str | None, *marks: tuple[str, str], key: str = "k", person: str = LONG[0]) -> Record:
    return Record(resource, key, person, DAY, name, None, marks)


def test_a_legacy_number_and_its_long_form_are_one_person() -> None:
    case = Case((said("a.one", "张三", person=SHORT[0]), said("b.one", "张三", person=LONG[0])), authority("a", "b"))
    assert arbitrated(case).entities == {to_18(SHORT[0]): ("张三", "a", DAY, None, None, None, 2)}
    assert to_18(SHORT[0]) == LONG[0]


def test_unlisted_sources_never_accuse_one_another() -> None:
    case = Case((said("b.one", "张三"), said("c.one", "李四")), authority("a"))
    got = arbitrated(case)
    assert got.entities[LONG[0]][:2] == ("张三", "b")
    assert got.accused == set()
    assert all(result.applicable == 0 for result in got.results)


def test_a_value_in_doubt_neither_wins_nor_accuses_nor_is_its_authority_accused() -> None:
    case = Case((said("a.one", "坏", ("full_name", "error")), said("b.one", "李四")), authority("a", "b"))
    got = arbitrated(case)
    assert got.entities[LONG[0]][:2] == ("李四", "b")
    assert got.accused == set()


def test_a_value_in_doubt_stands_when_nobody_says_better_and_accuses_nobody() -> None:
    case = Case((said("a.one", "坏", ("full_name", "error")),), authority("a", "b"))
    assert arbitrated(case).entities[LONG[0]][:2] == ("坏", "a")


def test_a_department_is_not_accused_by_itself() -> None:
    case = Case((said("a.one", "张三"), said("a.two", "李四")), authority("a", "b"))
    assert arbitrated(case).accused == set()


def test_an_accusation_names_record_column_values_and_authority() -> None:
    case = Case((said("a.one", "张三"), said("b.one", "李四", key="b-7"), said("c.one", " 张三 ")), authority("a"))
    catalog = case.catalog()
    library = catalog.libraries["people"]
    con = load(case.records)
    base.arbitrate(con, catalog, library)
    results = comparison.compare(con, catalog, library, base.ENTITIES)
    told = con.execute(f"FROM {comparison.VIOLATIONS}").fetchall()
    assert told == [
        (
            "people.name.agrees", "P08", "consistency", "0401", "error", "b", "one", "b-7", "full_name", "李四", "张三",
            "authority", None, "姓名与数源部门a局（2026-11-02）的记载不一致：本记录为「李四」，数源部门为「张三」",
            "delivery of b.one",
        )
    ]  # fmt: skip
    counts = {
        (r.department, r.resource): (r.applicable, r.failed) for r in results if r.rule_id == "people.name.agrees"
    }
    assert counts == {("a", "one"): (0, 0), ("a", "two"): (0, 0), ("b", "one"): (1, 1), ("c", "one"): (1, 0)}


def test_an_attribute_that_is_not_compared_accuses_nobody() -> None:
    catalog = Case((), authority("a", "b")).catalog()
    library = catalog.libraries["people"]
    silent = library.attributes["name"].model_copy(update={"compare": None})
    quiet = library.model_copy(update={"attributes": {**library.attributes, "name": silent}})
    assert [rule.column for rule in comparison.agreement_rules(quiet)] == ["birth_date"]
    assert [rule.id for rule in comparison.agreement_rules(library)] == [
        "people.name.agrees",
        "people.birth_date.agrees",
    ]


@pytest.fixture
def city(small_city: City) -> City:
    """The small city with two people in two registers that disagree on one name."""
    pool(small_city, "public_security", "resident_registration", {LONG[0]: "张三", LONG[1]: "李四"})
    pool(small_city, "civil_affairs", "marriage_registration", {LONG[0]: "张三", LONG[1]: "李思"})
    return small_city


def pool(city: City, department: str, resource: str, names: Mapping[str, str]) -> None:
    def work(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(f"DELETE FROM {department}.{resource}")
        for number, name in names.items():
            con.execute(
                f"INSERT INTO {department}.{resource} BY NAME SELECT $1 AS id_number, $2 AS name,"
                " '10' AS marital_status, $1 AS _record_key, 'delivery' AS _delivery_id,"
                " DATE '2026-11-02' AS _as_of, 1 AS _row, 1 AS _copies",
                [number, name],
            )

    city.commit(department, work, author="test")


def build(city: City, day: date = DAY) -> base.BaseResult:
    return base.build(city, city.catalog.libraries["population"], day, author="run-1")


def findings(city: City) -> list[tuple[object, ...]]:
    return city.con.execute(
        "SELECT department, record_key, rule_id, suggested_value, status FROM quality.findings ORDER BY ALL"
    ).fetchall()


def test_building_writes_the_library_and_the_disagreement(city: City) -> None:
    result = build(city)
    assert (result.entities, result.sources) == (2, 2)
    rows = city.con.execute("SELECT id_number, name, name_source, name_as_of, _sources FROM base.population").fetchall()
    assert sorted(rows) == [(LONG[0], "张三", "public_security", DAY, 2), (LONG[1], "李四", "public_security", DAY, 2)]
    assert findings(city) == [("civil_affairs", LONG[1], "population.name.agrees", "李四", "open")]
    failed = {(r.resource, r.rule_id): (r.applicable, r.failed) for r in result.results}
    assert failed["marriage_registration", "population.name.agrees"] == (2, 1)
    assert failed["resident_registration", "population.name.agrees"] == (0, 0)


def test_building_again_changes_nothing(city: City) -> None:
    build(city)
    before = city.con.execute("FROM base.population ORDER BY ALL").fetchall(), findings(city)
    files = f"SELECT count(*) FROM glob('{city.home.lake}/city/base/**/*.parquet')"
    written = city.con.execute(files).fetchall()
    build(city)
    assert (city.con.execute("FROM base.population ORDER BY ALL").fetchall(), findings(city)) == before
    assert city.con.execute(files).fetchall() == written


def test_a_corrected_source_closes_the_finding(city: City) -> None:
    build(city)
    pool(city, "civil_affairs", "marriage_registration", {LONG[0]: "张三", LONG[1]: "李四"})
    build(city, date(2026, 11, 3))
    assert [row[-1] for row in findings(city)] == ["resolved"]


def test_an_accused_value_may_still_stand_in_once_its_authority_is_silent(city: City) -> None:
    build(city)
    pool(city, "public_security", "resident_registration", {LONG[0]: "张三"})
    for _ in range(2):
        build(city, date(2026, 11, 3))
        rows = city.con.execute("SELECT name, name_source FROM base.population WHERE id_number = ?", [LONG[1]])
        assert rows.fetchall() == [("李思", "civil_affairs")]


def test_findings_of_rules_that_look_into_libraries_do_not_move_a_library() -> None:
    """They are evaluated after it: a pass that is run again would give another library."""
    case = Case((said("a.one", "张三", ("full_name", "error")), said("b.one", "李四")), authority("a", "b"))
    catalog = case.catalog()
    looking = Rule(
        id="RULE-1", that="p.name is not null", column="full_name", zh="x", en="x", indicator="0402", severity="error",
        source="x", lookup={"p": {"to": "base.people", "by": "person"}},
    )  # fmt: skip
    resource = catalog.resources["a.one"].model_copy(update={"rules": (looking,)})
    later = replace(catalog, resources={**catalog.resources, "a.one": resource})
    names = []
    for stated in (catalog, later):
        con = load(case.records)
        base.arbitrate(con, stated, stated.libraries["people"])
        names.append(con.execute(f"SELECT v_name FROM {base.ENTITIES}").fetchall())
    assert names == [[("李四",)], [("张三",)]]
    assert agreement_rule_id(catalog.libraries["people"], "name") == "people.name.agrees"
