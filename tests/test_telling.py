"""What a finding tells: a value that keeps the rule, how it was found and how sure it is, what was observed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from test_macros import BASE_31, uscc_of
from test_rules import RESIDENTS, con, extended, written
from test_runner import put

from catalog.columns import Column, Identifier
from catalog.load import Catalog, load_catalog
from catalog.models import Resource
from catalog.rules import METHODS, Method, Rule
from quality_checks import findings, suites, telling
from quality_checks.rules import all_rules, baseline_rules
from quality_checks.runner import validate

__all__ = ["con"]

TOLD = "record_key, observed_value, suggested_value, suggestion_method, suggestion_confidence, reason"
RIGHT = "11010519491231002X"
FULL_WIDTH = str.maketrans("0123456789X", "０１２３４５６７８９Ｘ")


def tell(con: duckdb.DuckDBPyConnection, catalog: Catalog, resource: Resource, rule: Rule) -> list[tuple[Any, ...]]:
    """What is told of each record that breaks the rule, without the rule's own sentence."""
    [suite] = suites.pool_suites(catalog, resource, [rule])
    findings.start(con)
    findings.collect(con, suite, validate(con, suite).results)
    found = con.execute(f"SELECT {TOLD} FROM {findings.VIOLATIONS} ORDER BY record_key::INTEGER").fetchall()
    return [(*told, reason.removeprefix(f"{rule.zh}：")) for *told, reason in found]


def generated(resource: Resource, catalog: Catalog, place: str) -> Rule:
    [rule] = [rule for rule in baseline_rules(resource, catalog) if rule.id == f"{resource.id}.{place}"]
    return rule


def wrong_texts() -> Iterator[str]:
    """Right identifiers in strange spellings and with every mistake of one character, and texts that are none."""
    yield "张" + " " * 50 + "三"
    for right in (
        RIGHT,
        uscc_of("91", "341502", "MA2XYT12"),
        "110105491231002",
        "1.2.156.3005.2.x",
        "张 三",
        "男",
        "20",
    ):
        yield from (right, right.lower(), f" {right}\u3000", right.translate(FULL_WIDTH), right * 4, right[:-1])
        for place in range(len(right)):
            yield right[:place] + BASE_31[(BASE_31.find(right[place]) + 1) % 31] + right[place + 1 :]
            yield right[:place] + right[place + 1 : place + 2] + right[place : place + 1] + right[place + 2 :]


def test_no_generated_rule_offers_a_value_that_would_break_it(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    """Of every rule, the offered values put in the place of the wrong ones and judged again."""
    kinds = {kind.value: Column(title=kind.value, identifier=kind, max_length=None) for kind in Identifier}
    resource = extended(small_catalog.resources[RESIDENTS], **kinds)
    texts = sorted(set(wrong_texts()))
    typed = {name: column.sql_type for name, column in resource.columns.items() if column.sql_type != "VARCHAR"}
    fixed = ", ".join(f"NULL::{kind} AS {name}" for name, kind in typed.items() if name != "birth_date")
    same = ", ".join(f"x AS {name}" for name in resource.columns if name not in typed and name != "sex")
    beside = f"{fixed}, DATE '1949-12-31' AS birth_date, '2' AS sex, 1 AS _copies, NULL::MAP(VARCHAR, VARCHAR) AS _raw"
    con.execute(f"CREATE TEMP TABLE wide AS SELECT {same}, {beside} FROM (SELECT unnest($1::VARCHAR[]) AS x)", [texts])
    offers = {}
    for rule in baseline_rules(resource, small_catalog):
        if rule.suggest and rule.column != "sex":
            broken = f"SELECT *, {telling.offer(rule, suites.verdict(rule))} AS offered FROM wide"
            broken += f" WHERE NOT ({suites.verdict(rule)})"
            again = f"SELECT * REPLACE (offered AS {rule.column}) FROM ({broken}) WHERE offered IS NOT NULL"
            judged = f"SELECT count(*), count(*) FILTER ({suites.verdict(rule)}) FROM ({again})"
            offers[rule.id.removeprefix(f"{RESIDENTS}.")] = con.execute(judged).fetchone()
    assert offers.keys() == {
        "id_number.identifier", "name.length", "marital_status.code", *(f"{kind}.identifier" for kind in kinds),
    }  # fmt: skip
    assert all(made == kept for made, kept in offers.values()), offers
    least = {"id_number.identifier": 20, "name.length": 1, "marital_status.code": 2, "certificate_id.identifier": 0}
    assert all(offers[rule][0] >= least.get(rule, 5) for rule in offers), offers


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"id_number": RIGHT.lower()}, (RIGHT, "normalised", 1.0)),
        ({"id_number": f" {RIGHT.translate(FULL_WIDTH)}"}, (RIGHT, "normalised", 1.0)),
        ({"id_number": "１１０１０５491231002"}, (RIGHT, "normalised", 1.0)),  # 15 digits, brought to 18
        ({"id_number": "11010519491331002X", "birth_date": "1949-12-31", "sex": "2"}, (RIGHT, "repaired", 0.99)),
        ({"id_number": "11010519941231002X", "birth_date": "1949-12-31", "sex": "2"}, (RIGHT, "repaired", 0.99)),
        ({"id_number": "11010519491331002X", "birth_date": "1949-12-30", "sex": "2"}, (None, None, None)),
        ({"id_number": "11010519491331002X"}, (None, None, None)),  # several numbers are one mistake away
        ({"id_number": "11010519491231012X", "birth_date": "1949-12-31", "sex": "2"}, (None, None, None)),  # so here
    ],
)
def test_a_repair_and_a_normal_form_are_told_apart(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog, record: dict[str, str], told: tuple[Any, ...]
) -> None:
    put(con, [record])
    resource = small_catalog.resources[RESIDENTS]
    [(_, observed, *offered, _)] = tell(
        con, small_catalog, resource, generated(resource, small_catalog, "id_number.identifier")
    )
    assert (observed, tuple(offered)) == (record["id_number"], told)


def test_a_value_that_would_break_the_rule_too_is_not_offered(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    put(con, [{"household_size": size} for size in (9, 10, 30)])
    resource = small_catalog.resources[RESIDENTS]
    rule = written(
        that="household_size <= 8", when="household_size <> 28", column="household_size", suggest="household_size - 2"
    )
    assert [told[1:4] for told in tell(con, small_catalog, resource, rule)] == [
        ("9", "7", "other"), ("10", "8", "other"), ("30", "28", "other"),  # of 28 the rule says nothing
    ]  # fmt: skip
    harder = rule.model_copy(update={"suggest": "household_size - 1"})
    assert [told[2:5] for told in tell(con, small_catalog, resource, harder)] == [
        ("8", "other", None), (None, None, None), (None, None, None)]  # fmt: skip


def test_the_majority_is_as_sure_as_its_share(con: duckdb.DuckDBPyConnection, small_catalog: Catalog) -> None:
    put(con, [{"name": "甲", "sex": sex} for sex in ("1", "1", "2")])
    resource = small_catalog.resources[RESIDENTS]
    rule = written(that=None, depends=["name"], column="sex")
    assert tell(con, small_catalog, resource, rule) == [
        ("3", "2", "1", "majority", 0.6667, "姓名为「甲」的「3」条记录中，「2」条为「1」，本条为「2」")]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "reasons"),
    [
        (
            {"that": "birth_date = id_birth_date(id_number)", "column": "birth_date"},
            ["出生日期为「1949-12-30」，公民身份号码为「11010519491231002X」"],
        ),
        (
            {"that": "birth_date = id_birth_date(id_number)", "column": "birth_date",
             "because": "出生日期为{birth_date}，而身份证号码第7至14位为{substr(id_number, 7, 8)}"},
            ["出生日期为「1949-12-30」，而身份证号码第7至14位为「19491231」"],
        ),
        ({"that": "length(name) <> 3", "because": "共{length(name)}字，称谓{marital_status}"}, ["共「3」字，称谓空"]),
        ({"that": "name <> '李「四」'"}, ["实际为「李『四』」"]),
        ({"that": None, "unique": ["sex"], "column": "sex"}, ["性别为「1」，这样的记录共「2」条"] * 2),
        (
            {"that": None, "denied": {"same": ["sex"], "never": "a.name > b.name"}},
            ["性别为「1」，与记录「1」不能并存"],
        ),
        ({"that": None, "failing": f"select '2' from {RESIDENTS}", "column": "sex"}, ["实际为「1」"]),
    ],
)  # fmt: skip
def test_a_reason_tells_what_was_observed(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog, rule: dict[str, Any], reasons: list[str]
) -> None:
    put(con, [
        {"id_number": RIGHT, "birth_date": "1949-12-30", "name": "张三丰", "sex": "1"},
        {"name": "李「四」", "sex": "1", "birth_date": None},
    ])  # fmt: skip
    told = [reason for *_, reason in tell(con, small_catalog, small_catalog.resources[RESIDENTS], written(**rule))]
    assert told == reasons


def test_an_identifiers_reason_names_the_character_its_check_asks_for(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    put(con, [{"id_number": "110105194912310021", "name": "长" * 60}])
    resource = small_catalog.resources[RESIDENTS]
    reasons = [
        tell(con, small_catalog, resource, generated(resource, small_catalog, place))[0][-1]
        for place in ("id_number.identifier", "name.length")
    ]
    assert reasons == [
        "共「18」位，第7至14位为「19491231」，校验码按前17位计算为「X」，实际为「1」",
        "实际为「60」个字符",
    ]


def test_how_a_suggestion_is_found_is_told_from_its_sql_or_stated() -> None:
    catalog = load_catalog(Path(__file__).parents[1] / "catalog")
    found = {
        rule.id: (method, telling.confidence(rule, method))
        for resource in catalog.resources.values()
        for rule in all_rules(resource, catalog)
        for method in [telling.method(rule, resource.columns)]
    }
    expected = {
        "PSB-001": (Method.derived, None),
        "PSB-006": (Method.normalised, 1.0),
        "PSB-301": (Method.swapped, None),
        "MRB-005": (Method.derived, None),
        "MRB-010": (Method.other, None),
        "CAB-002": (Method.other, None),
        f"{RESIDENTS}.sex.code": (Method.normalised, 1.0),
        f"{RESIDENTS}.id_number.identifier": (Method.repaired, 0.99),
    }
    assert {rule: found[rule] for rule in expected} == expected
    person = {"p": {"to": "base.population", "by": "id_number"}}
    area = {"a": {"to": "codes.gbt_2260", "by": "area"}}
    assert telling.method(written(lookup=person, suggest="p.name"), ()) is Method.authority
    assert telling.method(written(lookup=area, suggest="a.successor"), ()) is Method.successor
    assert set(METHODS) == set(Method)


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"because": "共{length(name)字"}, "every { needs its }"),
        ({"method": "derived"}, "allowed beside suggest only"),
        ({"suggest": "name", "confidence": 1.2}, "less than or equal to 1"),
        ({"suggest": "name", "method": "guessed"}, "Input should be 'normalised'"),
    ],
)
def test_a_mistake_in_what_a_rule_tells_is_named(stated: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        written(**stated)


def test_a_reason_whose_sql_does_not_bind_is_a_mistake_of_the_catalogue(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    resource = small_catalog.resources[RESIDENTS]
    rule = written(id="BAD", that="true", because="共{length(nmae)}字")
    _, broken = suites.bind(con, lambda rules: suites.pool_suites(small_catalog, resource, rules), [rule])
    assert "nmae" in broken["BAD"]
