"""Base libraries against a plain Python arbitration, and whom the comparison accuses."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from hashlib import md5
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets import base
from catalog.columns import Column
from catalog.load import Catalog
from catalog.models import Attribute, Department, Library, Resource
from catalog.rules import Rule
from quality_checks import comparison, macros
from quality_checks.sources import LINK_COLUMNS, agreement_rule_id, doubt_rule_id, sources, spellings_sql, voices
from quality_checks.sources import macros as key_macros
from resources.city import City

DAY = date(2026, 11, 2)
DAYS = (date(2026, 10, 30), date(2026, 11, 1), DAY)
LONG = ("341502198001011234", "341502199002022343", "341502198001010002", "341502198001010010")
SHORT = ("341502800101123", "341502900202234")
RESOURCES = ("a.one", "a.two", "b.one", "c.one", "d.one")
ATTRIBUTES = ("name", "birth_date")
UNKNOWN = "不详"
FINDINGS = (
    "CREATE SCHEMA quality; CREATE TABLE quality.findings"
    ' (rule_id VARCHAR, department VARCHAR, resource VARCHAR, record_key VARCHAR, "column" VARCHAR, severity VARCHAR,'
    " status VARCHAR, finding_id VARCHAR); CREATE TABLE quality.excepted (finding_id VARCHAR)"
)
Statement = Mapping[str, Any]


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
    """A small world: who speaks of whom, what the YAML says of each attribute, and who has it all from whom."""

    records: tuple[Record, ...]
    stated: Mapping[str, Statement]
    received: Mapping[str, str] = field(default_factory=dict)

    def catalog(self, *, backwards: bool = False) -> Catalog:
        resources = [_resource(*name.split("."), self.received.get(name)) for name in RESOURCES]
        ordered = {r.id: r for r in (reversed(resources) if backwards else resources)}
        return Catalog(Path(), {d: _department(d) for d in "abcd"}, ordered, {"people": self.library()}, {}, {}, {})

    def library(self) -> Library:
        name = {"title": "姓名", "type": "text", "standard": "P08"}
        name["normal"] = f"case when value <> '{UNKNOWN}' then text_normal(value) end"
        born = {"title": "出生日期", "type": "date"}
        return Library(
            name="people",
            title={"zh": "人口库", "en": "People"},
            summary="x",
            lead="a",
            entity="person",
            key="id_number",
            key_title="证件号码",
            key_normal="person_id_normal(value)",
            attributes={"name": name | self.stated["name"], "birth_date": born | self.stated["birth_date"]},
            begins="birth_date",
            ends="birth_date + 1",
        )


def _department(name: str) -> Department:
    title = {"zh": f"{name}局", "en": name}
    return Department(name=name, title=title, code="x", sharing_office="x", chief_data_officer="x")


def _resource(department: str, name: str, received_from: str | None) -> Resource:
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
        received_from=received_from,
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
    con.execute(f"CREATE OR REPLACE TEMP TABLE library_links ({LINK_COLUMNS})")
    for table in (*RESOURCES, "quality.findings"):
        con.execute(f"DELETE FROM {table}")
    for r in records:
        values = [r.person, r.name, r.birth_date, r.record_key, f"delivery of {r.resource}", r.as_of]
        con.execute(f"INSERT INTO {r.resource} VALUES (?, ?, ?, ?, ?, ?)", values)
        for column, severity in r.marks:
            finding = ["RULE-1", *r.resource.split("."), r.record_key, column, severity]
            con.execute("INSERT INTO quality.findings VALUES (?, ?, ?, ?, ?, ?, 'open', NULL)", finding)
    return con


class Outcome(NamedTuple):
    """Rows by key: per attribute value, department, as-of, outcome, said; then the number of records. Those accused as
    (resource, record key, attribute, rule). Cells by (resource, attribute, rule): applicable, failed.
    """

    entities: dict[str, tuple[object, ...]]
    accused: set[tuple[str, str, str, str]]
    counts: dict[tuple[str, str, str], tuple[int, int]]


def arbitrated(case: Case, *, backwards: bool = False, touched: Sequence[str] | None = None) -> Outcome:
    """What the SQL makes of the case."""
    catalog = case.catalog(backwards=backwards)
    library = catalog.libraries["people"]
    con = load(case.records)
    if touched is not None:
        con.execute("CREATE OR REPLACE TEMP TABLE library_touched AS SELECT unnest($1::VARCHAR[]) AS key", [touched])
        con.execute(
            "CREATE OR REPLACE TEMP TABLE library_changed (department VARCHAR, resource VARCHAR, record_key VARCHAR)"
        )
        con.execute(key_macros(library))
        spellings = spellings_sql(sources(catalog, library))
        con.execute(f"CREATE OR REPLACE TEMP TABLE library_spellings AS {spellings}")
    disputed = base.arbitrate(con, catalog, library, touched=touched is not None)
    con.execute(f"CREATE OR REPLACE TEMP TABLE people AS {base.table_sql(catalog, library, disputed)}")
    parts = ("", "_source", "_as_of", "_outcome", "_said")
    columns = ", ".join(f"{attribute}{part}" for attribute in ATTRIBUTES for part in parts)
    found = con.execute(f"SELECT id_number, {columns}, _sources FROM people").fetchall()
    assert con.execute("FROM people WHERE began_on IS DISTINCT FROM birth_date").fetchall() == []
    assert con.execute("FROM people WHERE ended_on IS DISTINCT FROM birth_date + 1").fetchall() == []
    counts = {
        (f"{r.department}.{r.resource}", *_rule(r.rule_id)): (r.applicable, r.failed)
        for r in comparison.results(con, catalog, library, "people")
    }
    violations = con.execute(f"SELECT department || '.' || resource, record_key, rule_id FROM {comparison.VIOLATIONS}")
    told = [(resource, key, *_rule(rule)) for resource, key, rule in violations.fetchall()]
    assert len(told) == len(set(told))
    return Outcome({row[0]: row[1:] for row in found}, set(told), counts)


def _rule(rule_id: str) -> tuple[str, str]:
    _, attribute, kind = rule_id.split(".")
    return attribute, kind


def to_18(number: str | None) -> str | None:
    """GB 11643-1999 by the book, weights 2^i modulo 11."""
    if number is None or len(number) != 15:
        return number
    body = number[:6] + "19" + number[6:]
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(body))
    return body + "10X98765432"[total % 11]


def normal(value: object) -> object:
    """Normal form of a value: of a text half width and single blanks; one that is not known has none."""
    if not isinstance(value, str):
        return value
    return None if value == UNKNOWN else re.sub(r"\s+", " ", value.replace("\u3000", " ").replace("Ａ", "A")).strip()


class Reading:
    """One attribute of one person, read from the YAML by loops."""

    def __init__(self, case: Case, attribute: str, own: Sequence[Record]) -> None:
        self.attribute = attribute
        self.stated: Attribute = case.library().attributes[attribute]
        self.received = case.received
        self.person = to_18(own[0].person) or ""
        self.said = sorted((r for r in own if self.value(r) is not None), key=self.standing)
        self.elected = False
        self.best: Record | None = self.said[0] if self.said else None
        self.mute = self.best is not None and self.standing(self.best)[0]
        if (
            self.best
            and self.stated.otherwise == "majority"
            and self.unlisted(self.best)
            and not self.doubted(self.best)
        ):
            self._elect()
        asked = self.best and not self.mute and self.stated.compare is not None and self.authoritative(self.best)
        self.in_doubt = bool(asked) and not self.doubted(self.best) and self._votes_against() >= self.stated.doubted_by

    def value(self, record: Record) -> object:
        return getattr(record, self.attribute)

    def terms(self) -> Sequence[Any]:
        if self.stated.authority is None:
            return ()
        return (
            self.stated.authority.of.get(self.person[6:10], ())
            if self.stated.authority.by
            else self.stated.authority.terms
        )

    @property
    def first(self) -> int:
        authority = self.stated.authority
        return max(map(len, (authority.terms, *authority.of.values()))) if authority else 0

    @property
    def listed(self) -> int:
        return self.first + len(self.stated.substitutes)

    def rank(self, record: Record) -> int:
        for place, term in enumerate(self.terms()):
            meant = term.department in (record.department, record.resource)
            if meant and (term.from_ or DAYS[0]) <= record.as_of <= (term.to or DAYS[-1]):
                return place
        for place, origin in enumerate(self.stated.substitutes):
            if origin in (record.department, record.resource):
                return self.first + place
        return self.listed

    def authoritative(self, record: Record) -> bool:
        return self.rank(record) < self.first

    def unlisted(self, record: Record) -> bool:
        return self.rank(record) == self.listed

    def doubted(self, record: Record) -> bool:
        column = {"name": "full_name", "birth_date": "born"}[self.attribute]
        computed = self.attribute == "birth_date" and record.resource.endswith("two")
        return any(mark == column or (computed and mark == self.attribute) for mark, _ in record.marks)

    def standing(self, record: Record) -> tuple[Any, ...]:
        mute = self.unlisted(record) and self.stated.otherwise == "none"
        age = -record.as_of.toordinal()
        counts = age if self.unlisted(record) and self.stated.otherwise == "newest" else 0
        return mute, self.doubted(record), self.rank(record), counts, record.resource, age, record.record_key

    def voice(self, record: Record) -> str:
        giver = self.received.get(record.resource, record.department)
        others = {self.received.get(r) for r in RESOURCES if r.startswith(giver)}
        (onward,) = others if len(others) == 1 else (None,)
        return onward or giver

    def differ(self, one: Record, other: Record) -> bool:
        a, b = normal(self.value(one)), normal(self.value(other))
        if self.value(one) == self.value(other) or a is None or b is None:
            return False
        return abs(a - b) > timedelta(int(self.stated.tolerance)) if isinstance(a, date) else a != b

    def agree(self, one: Record, other: Record) -> bool:
        return None not in (normal(self.value(one)), normal(self.value(other))) and not self.differ(one, other)

    def ballots(self, records: Sequence[Record]) -> list[Record]:
        """The best record of each voice, of those not in doubt."""
        best: dict[str, Record] = {}
        for record in records:  # the best first
            if not self.doubted(record):
                best.setdefault(self.voice(record), record)
        return list(best.values())

    def _elect(self) -> None:
        ballots = self.ballots(self.said)
        votes = {r: sum(self.agree(r, other) for other in ballots) for r in ballots}
        top = min(ballots, key=lambda r: (-votes[r], self.standing(r)))
        tied = any(votes[r] == votes[top] and self.differ(r, top) for r in ballots)
        if votes[top] > 1 and not tied:
            self.best, self.elected = top, True

    def _votes_against(self) -> int:
        others = [
            r for r in self.ballots(self.said) if self.voice(r) != self.voice(self.best) and self.differ(r, self.best)
        ]
        return max((sum(self.agree(r, other) for other in others) for r in others), default=0)

    def compared(self, record: Record) -> bool:
        best = self.best
        return (
            self.stated.compare is not None
            and not self.mute
            and not self.in_doubt
            and not self.doubted(best)
            and self.rank(best) < min(self.rank(record), self.listed)
            and not self.authoritative(record)
            and record.department != best.department
        )

    def outcome(self) -> str | None:
        if self.best is None or self.mute:
            return None
        others = [r for r in self.said if self.voice(r) != self.voice(self.best)]
        if self.first <= self.rank(self.best) < self.listed:
            return "substitute"
        if not any(self.differ(r, self.best) for r in others):
            return "agreed" if others else "single"
        if self.authoritative(self.best):
            return "authority_doubted" if self.in_doubt else "authority_prevails"
        return "agreed" if self.elected else "undecided"

    def letter(self, resource: str) -> str:
        own = [r for r in self.said if r.resource == resource]
        numbers = [
            2 if self.mute else (2 if self.differ(r, self.best) else 1) + (2 if self.compared(r) else 0) for r in own
        ]
        return "-adAD"[max(numbers, default=0)]

    def row(self) -> list[object]:
        said = "".join(map(self.letter, RESOURCES)) if self.said else None
        if self.best is None or self.mute:
            return [None, None, None, None, said]
        return [self.value(self.best), self.best.department, self.best.as_of, self.outcome(), said]

    def accused(self) -> set[tuple[str, str, str, str]]:
        told = {
            (r.resource, r.record_key, self.attribute, "agrees")
            for r in self.said
            if self.compared(r) and self.differ(r, self.best)
        }
        if self.in_doubt and self.best:
            told.add((self.best.resource, self.best.record_key, self.attribute, "doubted"))
        return told


def reference(case: Case) -> Outcome:
    """The same by loops, as the YAML reads."""
    speaking = [r for r in case.records if to_18(r.person) and not any(severity == "block" for _, severity in r.marks)]
    entities: dict[str, tuple[object, ...]] = {}
    accused: set[tuple[str, str, str, str]] = set()
    for person in {to_18(r.person) or "" for r in speaking}:
        own = [r for r in speaking if to_18(r.person) == person]
        readings = [Reading(case, attribute, own) for attribute in ATTRIBUTES]
        entities[person] = (*(cell for reading in readings for cell in reading.row()), len(own))
        accused |= {one for reading in readings for one in reading.accused()}
    cells: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in entities.values():
        for attribute, said in zip(ATTRIBUTES, (row[4], row[9]), strict=True):
            for resource, letter in zip(RESOURCES, said or "", strict=False):
                cells[resource, attribute, "agrees"][0] += letter in "AD"
                cells[resource, attribute, "agrees"][1] += letter == "D"
    return Outcome(entities, accused, {key: (a, f) for key, (a, f) in cells.items()})


ORIGINS = ("a", "b", "c", "d", "a.two")


@st.composite
def statements(draw: st.DrawFn, attribute: str) -> Statement:
    """What a YAML may say of who has the say on an attribute."""
    one, other = draw(st.permutations(ORIGINS))[:2]
    authority = draw(
        st.sampled_from(
            [
                None,
                one,
                one,
                [{"department": one, "to": DAYS[0]}, {"department": other, "from": DAYS[1]}],
                {"department": one, "from": DAYS[1]},
                {"by": "substr(key, 7, 4)", "of": {"1980": one, "1990": other}},
                {"by": "substr(key, 7, 4)", "of": {"1980": [{"department": one, "from": DAYS[1]}]}},
            ]
        )
    )
    tolerance = draw(st.sampled_from([0, 0, 2])) if attribute == "birth_date" else 0
    return {
        "authority": authority,
        "substitutes": tuple(draw(st.lists(st.sampled_from(ORIGINS), max_size=2, unique=True))),
        "otherwise": draw(st.sampled_from(["newest", "majority", "none"])),
        "doubted_by": draw(st.sampled_from([2, 2, 3])),
        "tolerance": tolerance,
        "compare": draw(st.sampled_from(["error", "error", "error", None])),
    }


@st.composite
def cases(draw: st.DrawFn) -> Case:
    drawn = draw(
        st.lists(
            st.builds(
                Record,
                resource=st.sampled_from(RESOURCES),
                record_key=st.just(""),
                person=st.sampled_from([*LONG, *LONG, SHORT[0], None]),
                as_of=st.sampled_from(DAYS),
                name=st.sampled_from(["张三", " 张三", "李四", "李四", "Ａ\u3000b", UNKNOWN, None]),
                birth_date=st.sampled_from([date(1980, 1, day) for day in (1, 1, 2, 4, 9)] + [None]),
                marks=st.lists(
                    st.sampled_from(
                        [("full_name", "error"), ("born", "error"), ("birth_date", "error"), ("person", "block")]
                    ),
                    max_size=1,
                ).map(tuple)
                | st.just(()),
            ),
            max_size=32,
        )
    )
    keys = draw(st.permutations([f"k{place:02}" for place in range(len(drawn))]))
    records = tuple(r._replace(record_key=key) for r, key in zip(drawn, keys, strict=True))
    received = draw(
        st.sampled_from([{}, {}, {"b.one": "a"}, {"c.one": "b", "b.one": "d"}, {"c.one": "state", "d.one": "state"}])
    )
    return Case(records, {attribute: draw(statements(attribute)) for attribute in ATTRIBUTES}, received)


def agreements(counts: Mapping[tuple[str, str, str], tuple[int, int]]) -> dict[tuple[str, str, str], tuple[int, int]]:
    return {key: value for key, value in counts.items() if key[2] == "agrees" and value != (0, 0)}


def compare_with_the_plain_reading(case: Case) -> None:
    expected, got = reference(case), arbitrated(case)
    assert got.entities == expected.entities
    assert got.accused == expected.accused
    assert agreements(got.counts) == agreements(expected.counts)
    doubted = Counter((attribute, kind) for _, _, attribute, kind in got.accused if kind == "doubted")
    failed: Counter[tuple[str, str]] = Counter()
    for (_, attribute, kind), (applicable, wrong) in got.counts.items():
        assert wrong <= applicable
        failed[attribute, kind] += wrong if kind == "doubted" else 0
    assert +failed == doubted


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_arbitration_and_accusations_are_those_of_the_plain_reading(case: Case) -> None:
    compare_with_the_plain_reading(case)


@pytest.mark.soak
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_three_thousand_cases_are_those_of_the_plain_reading(case: Case) -> None:
    compare_with_the_plain_reading(case)


NO_OTHERS = {"substitutes": (), "doubted_by": 2, "tolerance": 0, "compare": "error"}


@pytest.mark.parametrize(
    ("authority", "said"),
    [
        ("a", [("a.one", 1), ("b.one", 2), ("c.one", 2)]),
        ("a", [("a.one", 1), ("a.one", 4), ("b.one", 2), ("c.one", 2)]),  # the authority itself says two things
        ("a.two", [("a.one", 1), ("a.two", 1), ("b.one", 2), ("c.one", 2)]),  # a resource beside it that agrees
    ],
)
@pytest.mark.parametrize("otherwise", ["none", "newest"])
def test_two_departments_that_agree_put_an_authority_in_doubt(
    otherwise: str, authority: str, said: list[tuple[str, int]]
) -> None:
    records = [
        Record(resource, f"k{place:02}", LONG[0], DAYS[0], "张三", date(1980, 1, day), ())
        for place, (resource, day) in enumerate(said)
    ]
    stated = {a: {"authority": authority, "otherwise": otherwise, **NO_OTHERS} for a in ATTRIBUTES}
    case = Case(tuple(records), stated, {})
    compare_with_the_plain_reading(case)
    assert {kind for _, _, attribute, kind in arbitrated(case).accused if attribute == "birth_date"} == {"doubted"}


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.randoms())
def test_the_order_of_departments_and_records_changes_no_result(case: Case, shuffler: random.Random) -> None:
    shuffled = list(case.records)
    shuffler.shuffle(shuffled)
    assert arbitrated(replace(case, records=tuple(shuffled)), backwards=True) == arbitrated(case)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.lists(st.sampled_from([*LONG, "nobody"]), unique=True))
def test_the_touched_entities_come_out_as_in_a_full_build(case: Case, touched: list[str]) -> None:
    full, part = arbitrated(case), arbitrated(case, touched=touched)
    assert part.entities == {key: row for key, row in full.entities.items() if key in touched}
    theirs = {r.record_key for r in case.records if to_18(r.person) in touched}
    assert part.accused == {one for one in full.accused if one[1] in theirs}


def world(*records: Record, received: Mapping[str, str] | None = None, **name: Any) -> Case:
    """A case whose names have the authority a and the substitute b unless said otherwise."""
    said = {"authority": "a", "substitutes": ("b",), **name}
    return Case(records, {"name": said, "birth_date": {"authority": "a"}}, received or {})


def said(resource: str, name: str | None, *marks: tuple[str, str], key: str = "k", person: str = LONG[0]) -> Record:
    return Record(resource, key, person, DAY, name, None, marks)


def test_a_legacy_number_and_its_long_form_are_one_person() -> None:
    case = world(said("a.one", "张三", person=SHORT[0]), said("b.one", "张三", person=LONG[0]))
    assert arbitrated(case).entities == {
        to_18(SHORT[0]): ("张三", "a", DAY, "agreed", "a-A--", None, None, None, None, None, 2)
    }
    assert to_18(SHORT[0]) == LONG[0]


OUTCOMES = {
    "one department speaks": (world(said("a.one", "张三"), said("a.two", "张三")), "张三", "single", "aa---"),
    "nobody differs": (world(said("a.one", "张三"), said("c.one", " 张三 ")), "张三", "agreed", "a--A-"),
    "the authority stands against one": (
        world(said("a.one", "张三"), said("c.one", "李四"), said("b.one", "张三")),
        "张三",
        "authority_prevails",
        "a-AD-",
    ),
    "the substitute stands in": (world(said("b.one", "张三"), said("c.one", "李四")), "张三", "substitute", "--aD-"),
    "two agree against the authority": (
        world(said("a.one", "张三"), said("b.one", "李四"), said("c.one", " 李四")),
        "张三",
        "authority_doubted",
        "a-dd-",
    ),
    "three are asked for": (
        world(said("a.one", "张三"), said("b.one", "李四"), said("c.one", "李四"), doubted_by=3),
        "张三",
        "authority_prevails",
        "a-DD-",
    ),
    "two of one voice are one": (
        world(said("a.one", "张三"), said("b.one", "李四"), said("c.one", "李四"), received={"c.one": "b"}),
        "张三",
        "authority_prevails",
        "a-DD-",
    ),
    "two who have it from the same are one": (
        world(said("a.one", "张三"), said("c.one", "李四"), said("d.one", "李四"),
              received={"c.one": "state", "d.one": "state"}),
        "张三",
        "authority_prevails",
        "a--DD",
    ),
    "two that do not agree with each other": (
        world(said("a.one", "张三"), said("b.one", "李四"), said("c.one", "王五")),
        "张三",
        "authority_prevails",
        "a-DD-",
    ),
    "the newest of those not listed": (
        world(said("c.one", "张三")._replace(as_of=DAYS[0]), said("d.one", "李四")),
        "李四",
        "undecided",
        "---da",
    ),
    "no majority": (
        world(said("c.one", "张三")._replace(as_of=DAYS[0]), said("d.one", "李四"), otherwise="majority"),
        "张三",
        "undecided",
        "---ad",
    ),
    "a majority": (
        world(
            said("b.one", "王五"), said("c.one", "李四"), said("d.one", "李四"), substitutes=(), otherwise="majority"
        ),
        "李四",
        "agreed",
        "--daa",
    ),
    "nobody else may": (world(said("c.one", "张三"), otherwise="none"), None, None, "---d-"),
    "differences that are not compared": (
        world(said("a.one", "张三"), said("b.one", "李四"), said("c.one", "李四"), compare=None),
        "张三",
        "authority_prevails",
        "a-dd-",
    ),
    "one resource has the say": (
        world(said("a.one", "张三"), said("a.two", "李四"), authority="a.two"),
        "李四",
        "single",
        "da---",
    ),
    "another kind of entity": (
        world(said("a.one", "张三"), said("b.one", "李四"),
              authority={"by": "substr(key, 7, 4)", "of": {"1990": "a", "1980": "b"}}, substitutes=()),
        "李四",
        "authority_prevails",
        "D-a--",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", OUTCOMES)
def test_an_outcome_says_on_what_grounds_a_value_stands(what: str) -> None:
    case, value, outcome, letters = OUTCOMES[what]
    entities = arbitrated(case).entities
    assert entities == reference(case).entities
    row = entities[LONG[0]]
    assert (row[0], row[3], row[4]) == (value, outcome, letters)


def test_the_authority_of_a_statements_day_has_the_say() -> None:
    terms = [{"department": "a", "to": DAYS[0]}, {"department": "b", "from": DAYS[1]}]
    old, new = said("a.one", "张三")._replace(as_of=DAYS[0]), said("b.one", "李四")
    for records, expected in {
        (old, new): ("李四", "b", "authority_prevails", "d-a--"),  # it was the authority when it said so
        (old._replace(as_of=DAYS[1]), new): ("李四", "b", "authority_prevails", "D-a--"),
        (old, new._replace(as_of=DAYS[0])): ("张三", "a", "authority_prevails", "a-D--"),
    }.items():
        row = arbitrated(world(*records, authority=terms, substitutes=())).entities[LONG[0]]
        assert (row[0], row[1], row[3], row[4]) == expected


def test_dates_within_the_tolerance_agree() -> None:
    born = [date(1980, 1, 1), date(1980, 1, 3), date(1980, 1, 4)]
    records = [said(r, None)._replace(birth_date=d) for r, d in zip(("a.one", "b.one", "c.one"), born, strict=True)]
    case = Case(tuple(records), {"name": {"authority": None}, "birth_date": {"authority": "a", "tolerance": 2}})
    got = arbitrated(case)
    assert got.entities[LONG[0]][5:10] == (born[0], "a", DAY, "authority_prevails", "a-AD-")
    assert got.accused == {("c.one", "k", "birth_date", "agrees")}


def test_a_received_value_speaks_with_the_voice_of_who_gave_it() -> None:
    def heard(received: Mapping[str, str]) -> list[str]:
        case = world(received=received)
        return list(voices(sources(case.catalog(), case.library()), "name").values())

    assert heard({}) == ["a", "a", "b", "c", "d"]
    assert heard({"b.one": "a", "c.one": "b", "d.one": "province"}) == ["a", "a", "a", "a", "province"]
    assert heard({"b.one": "c", "c.one": "b", "a.two": "d"}) == ["a", "d", "b", "b", "d"]


def test_unlisted_sources_never_accuse_one_another() -> None:
    got = arbitrated(world(said("b.one", "张三"), said("c.one", "李四"), substitutes=()))
    assert got.accused == set()
    assert all(applicable == 0 for applicable, _ in got.counts.values())


def test_a_value_in_doubt_neither_wins_nor_accuses_nor_is_its_authority_accused() -> None:
    got = arbitrated(world(said("a.one", "坏", ("full_name", "error")), said("b.one", "李四")))
    assert got.entities[LONG[0]][:2] == ("李四", "b")
    assert got.accused == set()


def test_a_value_in_doubt_stands_when_nobody_says_better_and_accuses_nobody() -> None:
    assert arbitrated(world(said("a.one", "坏", ("full_name", "error")))).entities[LONG[0]][:2] == ("坏", "a")


def test_a_value_in_doubt_has_no_vote() -> None:
    got = arbitrated(world(said("a.one", "张三"), said("b.one", "李四"), said("c.one", "李四", ("full_name", "error"))))
    assert got.accused == {("b.one", "k", "name", "agrees"), ("c.one", "k", "name", "agrees")}


def test_records_and_keys_are_led_to_their_entity() -> None:
    """The second record has no usable number; the person of the third nobody has a number for."""
    case = world(said("a.one", "张三", key="1"), said("b.one", "李四", key="2", person="?"),
                 said("c.one", "王五", key="3", person="!"))  # fmt: skip
    catalog, con = case.catalog(), load(case.records)
    library = catalog.libraries["people"]
    con.execute(
        "INSERT INTO library_links BY NAME SELECT 'key' AS kind, '?' AS alias_key, $1 AS entity_key, 'exact' AS how"
        " UNION ALL BY NAME SELECT 'record' AS kind, 'c' AS department, 'one' AS resource, '3' AS record_key,"
        " '#c.one|3' AS entity_key, 'person' AS how",
        [LONG[0]],
    )
    disputed = base.arbitrate(con, catalog, library)
    rows = con.execute(f"SELECT * FROM ({base.table_sql(catalog, library, disputed)}) ORDER BY id_number").fetchall()
    told = [(str(row[0]), row[1], row[2], row[6]) for row in rows]
    [keyed, keyless] = [md5(f"people|{key}".encode()).hexdigest() for key in (LONG[0], "#c.one|3")]
    assert [(entity.replace("-", ""), *rest) for entity, *rest in told] == [
        (keyed, LONG[0], "张三", "a-D--"),
        (keyless, None, "王五", "---a-"),
    ]


def violations(case: Case) -> list[tuple[object, ...]]:
    catalog, con = case.catalog(), load(case.records)
    base.arbitrate(con, catalog, catalog.libraries["people"])
    return con.execute(f"FROM {comparison.VIOLATIONS}").fetchall()


def test_an_accusation_names_record_column_values_and_authority() -> None:
    case = world(said("a.one", "张三"), said("b.one", "李四", key="b-7"), said("c.one", " 张三 "))
    assert violations(case) == [
        (
            "people.name.agrees", "P08", "consistency", "0401", "error", "b", "one", "b-7", "full_name", "李四", "张三",
            "authority", None, "姓名与数源部门a局（2026-11-02）的记载不一致：本记录为「李四」，数源部门为「张三」",
            "delivery of b.one",
        )
    ]  # fmt: skip
    counts = {resource: count for (resource, attribute, kind), count in arbitrated(case).counts.items()
              if (attribute, kind) == ("name", "agrees")}  # fmt: skip
    assert counts == {"a.one": (0, 0), "a.two": (0, 0), "b.one": (1, 1), "c.one": (1, 0), "d.one": (0, 0)}


def test_a_doubted_authority_is_asked_and_nobody_is_accused() -> None:
    others = said("b.one", "李四"), said("c.one", "李四 "), said("d.one", "王五")
    case = world(said("a.one", "张三", key="a-1"), *others)
    assert violations(case) == [
        (
            "people.name.doubted", "P08", "consistency", "0401", "error", "a", "one", "a-1", "full_name", "张三",
            "李四", "majority", 0.67,
            "姓名：2个独立来源（b局、c局）一致记载为「李四」，与本部门的「张三」不一致，孰误未知，请核实",
            "delivery of a.one",
        )
    ]  # fmt: skip
    counts = {key: count for key, count in arbitrated(case).counts.items() if key[1:] == ("name", "doubted")}
    assert counts == {("a.one", "name", "doubted"): (1, 1), ("a.two", "name", "doubted"): (0, 0)}


def test_an_attribute_that_is_not_compared_accuses_nobody() -> None:
    library = world(compare=None).library()
    assert [rule.id for rule in comparison.rules(library)] == ["people.birth_date.agrees", "people.birth_date.doubted"]
    assert [rule.id for rule in comparison.agreement_rules(world().library())] == [
        "people.name.agrees",
        "people.birth_date.agrees",
    ]
    assert violations(world(said("a.one", "张三"), said("b.one", "李四"), compare=None)) == []


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
                " DATE '2026-11-02' AS _as_of, 1 AS _row, 1 AS _copies, hash($1, $2) AS _hash",
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
    case = world(said("a.one", "张三", ("full_name", "error")), said("b.one", "李四"))
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
        library = stated.libraries["people"]
        disputed = base.arbitrate(con, stated, library)
        names.append(con.execute(f"SELECT name FROM ({base.table_sql(stated, library, disputed)})").fetchall())
    assert names == [[("李四",)], [("张三",)]]
    ids = [of(catalog.libraries["people"], "name") for of in (agreement_rule_id, doubt_rule_id)]
    assert ids == ["people.name.agrees", "people.name.doubted"]
