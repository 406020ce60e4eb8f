"""Which sources copy: planted copiers are found, honest sources never grouped, counts as plain Python counts them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from datetime import date
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets import base
from catalog.columns import Column
from catalog.load import Catalog
from catalog.models import Attribute, Department, Library, Resource
from quality_checks import independence, macros
from quality_checks.independence import AGAINST, AGAINST_AUTHORITY, VOTES, Pair, members
from resources.lake import COPYING

TRUE, OLD = "true", "old"
Said = Mapping[str, Mapping[int, str]]  # department -> entity -> what it says
FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _resource(department: str, received_from: str | None = None) -> Resource:
    return Resource(
        department=department,
        name="people",
        title={"zh": department, "en": department},
        summary="x",
        code="1/01/001/000001",
        cycle="daily",
        mode="full",
        key=("person",),
        describes={"library": "people", "by": "person"},
        sharing={"attribute": "unconditional"},
        opening={"class": "none", "reason": "x"},
        published="2026-01-01",
        received_from=received_from,
        columns={"person": Column(title="编号", type="text"), "name": Column(title="姓名", type="text")},
        supplies={"name": "name"},
    )


def _catalog(
    departments: Sequence[str],
    authority: str | None = None,
    compare: str | None = "error",
    received: Mapping[str, str] = {},
) -> Catalog:
    named = {"title": {"zh": "x", "en": "x"}, "code": "x", "sharing_office": "x", "chief_data_officer": "x"}
    library = Library(
        name="people",
        title={"zh": "人口库", "en": "People"},
        summary="x",
        lead=departments[0],
        entity="person",
        key="person",
        key_title="编号",
        attributes={"name": Attribute(title="姓名", type="text", authority=authority, compare=compare)},
    )
    resources = {f"{d}.people": _resource(d, received.get(d)) for d in departments}
    return Catalog(
        Path(), {d: Department(name=d, **named) for d in departments}, resources, {"people": library}, {}, {}, {}
    )


@lru_cache
def _connection() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"threads": 1})
    con.execute(macros.SQL)
    con.execute(
        "CREATE SCHEMA quality; CREATE TABLE quality.findings (rule_id VARCHAR, department VARCHAR, resource VARCHAR,"
        ' record_key VARCHAR, "column" VARCHAR, severity VARCHAR, status VARCHAR, finding_id VARCHAR);'
        " CREATE TABLE quality.excepted (finding_id VARCHAR); CREATE SCHEMA base"
    )
    con.execute(f"CREATE TABLE base._copying ({', '.join(f'{macros.name(c)} {t}' for c, t in COPYING.items())})")
    return con


def _measured(said: Said, **stated: object) -> list[Pair]:
    con = _connection()
    for department, values in said.items():
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {department}")
        con.execute(
            f"CREATE OR REPLACE TABLE {department}.people AS SELECT 'P' || unnest($1) AS person, unnest($2) AS name,"
            " person AS _record_key, 'd' AS _delivery_id, DATE '2026-11-02' AS _as_of",
            [list(values), list(values.values())],
        )
    catalog = _catalog(list(said), **stated)  # type: ignore[arg-type]
    return independence.measure(con, catalog, catalog.libraries["people"])


def _groups(pairs: Sequence[Pair]) -> list[tuple[str, ...]]:
    return [tuple(one.removesuffix(".people") for one in group) for group in members(pairs)]


class World:
    """Honest sources: each errs on its own, and where the truth changed lately each still holds the old one or not."""

    def __init__(self, seed: int, sources: int, entities: int, *, wrong_values: int = 5, changed: float = 0.05) -> None:
        self.random = random.Random(seed)
        self.wrong_values = wrong_values
        lately = {entity for entity in range(entities) if self.random.random() < changed}
        self.said: dict[str, dict[int, str]] = {}
        for number in range(sources):
            errors, lag = self.random.choice((0.002, 0.01, 0.05, 0.15)), self.random.uniform(0.1, 0.7)
            values = {}
            for entity in range(entities):
                if self.random.random() < 0.85:
                    behind = entity in lately and self.random.random() < lag
                    values[entity] = OLD if behind else self.value(errors)
            self.said["abcdefghij"[number]] = values

    def value(self, errors: float) -> str:
        wrong = self.random.random() < errors
        return f"wrong {self.random.randrange(self.wrong_values)}" if wrong else TRUE

    def err_more(self, department: str, errors: float) -> None:
        self.said[department] = {entity: self.value(errors) for entity in self.said[department]}

    def copy(self, copier: str, department: str, share: float) -> None:
        """A source that has that share of its values from the department, and the others of its own."""
        original = self.said[department].items()
        self.said[copier] = {e: v if self.random.random() < share else self.value(0.05) for e, v in original}


@FEW
@given(
    st.integers(0, 10_000), st.integers(3, 9), st.sampled_from((1, 3, 10)), st.sampled_from((0.0, 0.1)), st.booleans()
)
def test_honest_sources_are_never_grouped(seed, sources, wrong_values, changed, has_authority):
    world = World(seed, sources, 600, wrong_values=wrong_values, changed=changed)
    assert _groups(_measured(world.said, authority="a" if has_authority else None)) == []


@FEW
@given(st.integers(0, 10_000), st.sampled_from(((5, "x"), (7, "x"), (9, "xy"))), st.booleans())
def test_planted_copiers_are_found_and_nobody_else(seed, planted, has_authority):
    honest, names = planted
    world = World(seed, honest, 600)
    world.err_more("c", 0.2)
    for copier in names:
        world.copy(copier, "c", 0.95)
    assert _groups(_measured(world.said, authority="a" if has_authority else None)) == [("c", *names)]


@settings(FEW, max_examples=12)
@given(st.integers(0, 10_000), st.integers(2, 8), st.sampled_from((1, 3)), st.booleans(), st.booleans())
def test_counts_are_what_plain_python_counts(seed, sources, wrong_values, copies, has_authority):
    world = World(seed, sources, 80, wrong_values=wrong_values, changed=0.3)
    if copies:
        world.err_more("b", 0.4)
        world.copy("x", "b", 0.95)
    authority = "a" if has_authority else None
    pairs = _measured(world.said, authority=authority)
    groups = {one: group for group in _groups(pairs) for one in group}
    assert len(pairs) == len(list(combinations(world.said, 2)))
    for pair in pairs:
        one, other = pair.one.removesuffix(".people"), pair.other.removesuffix(".people")
        assert pair.cells == len(world.said[one].keys() & world.said[other].keys())
        assert (pair.errors, pair.shared) == _plain(world.said, one, other, groups, authority)
        assert pair.attributes == (("name",) if pair.shared else ())


def _plain(
    said: Said, one: str, other: str, groups: Mapping[str, tuple[str, ...]], authority: str | None
) -> tuple[int, int]:
    """Errors of the one where the other speaks, and those that it repeats, each group having one vote."""
    errors = shared = 0
    for entity in said[one].keys() & said[other].keys():
        stated = {department: values[entity] for department, values in said.items() if entity in values}
        votes = Counter(value for value, _ in {(value, groups.get(d, (d,))) for d, value in stated.items()})
        [(right, most), *others] = votes.most_common()
        mine, theirs = stated[one], stated[other]
        if (others and others[0][1] == most) or mine == right:
            continue
        if authority in stated and stated[authority] != right:
            continue
        apart = groups.get(one, (one,)) != groups.get(other, (other,))
        with_it = votes[mine] - (mine == theirs and apart)
        against_it = most - (theirs == right)
        times = AGAINST_AUTHORITY if authority in stated else AGAINST
        if against_it >= max(VOTES, times * with_it):
            errors += 1
            shared += mine == theirs
    return errors, shared


def test_two_sources_that_are_right_are_not_grouped_against_an_authority_that_errs():
    world = World(1, 5, 1500)
    world.err_more("a", 0.1)
    for department in ("b", "c"):
        world.err_more(department, 0.0)
    assert _groups(_measured(world.said, authority="a")) == []


def test_of_few_cells_nothing_is_said():
    world = World(2, 6, 45, changed=0.0)
    world.err_more("c", 0.1)
    world.copy("x", "c", 1.0)
    pairs = _measured(world.said)
    [pair] = [pair for pair in pairs if {pair.one, pair.other} == {"c.people", "x.people"}]
    assert pair.shared == pair.errors > 0
    assert _groups(pairs) == []


def test_attributes_that_are_not_compared_tell_nothing():
    world = World(3, 6, 600)
    world.err_more("c", 0.2)
    world.copy("x", "c", 1.0)
    assert _groups(_measured(world.said)) == [("c", "x")]
    assert _measured(world.said, compare=None) == []


def test_the_last_measurement_makes_the_groups():
    world = World(4, 6, 600)
    world.err_more("c", 0.2)
    world.copy("x", "c", 1.0)
    con, pairs = _connection(), _measured(world.said)
    library = _catalog(list(world.said)).libraries["people"]
    con.execute("DELETE FROM base._copying")
    assert independence.groups(con, library) == {}
    for day, kept in ((date(2026, 11, 2), pairs), (date(2026, 11, 3), pairs[:1])):
        rows = [["people", day, *(getattr(pair, c) for c in list(COPYING)[2:])] for pair in kept]
        con.executemany(f"INSERT INTO base._copying VALUES ({', '.join('?' * len(COPYING))})", rows)
    assert independence.stored(con, library) == pairs[:1]
    assert independence.groups(con, library) == {"c.people": "c.people", "x.people": "c.people"}


def test_what_is_declared_is_no_evidence_and_has_one_vote():
    """The copier that says so is not accused, and a third one repeats the errors of a group of two."""
    world = World(4, 7, 600)
    world.err_more("c", 0.2)
    for copier in ("x", "y"):
        world.copy(copier, "c", 1.0)
    pairs = _measured(world.said, received={"x": "c"})
    assert _groups(pairs) == [("c", "x", "y")]
    assert {"c.people", "x.people"} not in [{pair.one, pair.other} for pair in pairs]


def test_sources_that_share_errors_put_no_authority_in_doubt_together():
    con = _connection()
    said = {"a": {1: TRUE, 2: TRUE}, "b": {1: OLD, 2: OLD}, "c": {1: OLD, 2: TRUE}, "d": {1: TRUE, 2: OLD}}
    _measured(said)
    catalog = _catalog(list(said), authority="a")
    library = catalog.libraries["people"]

    def outcomes() -> list[tuple[str, str]]:
        disputed = base.arbitrate(con, catalog, library)
        return con.execute(
            f"SELECT person, name_outcome FROM ({base.table_sql(catalog, library, disputed)}) ORDER BY ALL"
        ).fetchall()

    assert outcomes() == [("P1", "authority_doubted"), ("P2", "authority_doubted")]
    found = Pair("b.people", "c.people", ("name",), 200, 20, 20, 6.0, 21.0, together=True)
    con.execute("DELETE FROM base._copying")
    con.execute(
        f"INSERT INTO base._copying VALUES ({', '.join('?' * len(COPYING))})", ["people", date.max, *astuple(found)]
    )
    independence.take_groups(con, library)
    assert outcomes() == [("P1", "authority_prevails"), ("P2", "authority_doubted")]
    con.execute("DELETE FROM base._copying")
    independence.take_groups(con, library)
    assert outcomes() == [("P1", "authority_doubted"), ("P2", "authority_doubted")]
