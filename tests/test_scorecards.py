"""Scores on plain tables in memory: each trap of domain.md section 4 that concerns them, and a plain reference."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.report_html import share
from assets.report_scores import points
from assets.score_export import export_scores, find_period, precision_of, scores_of
from catalog.indicators import DIMENSIONS, INDICATORS
from catalog.jurisdiction import Jurisdiction
from catalog.load import Catalog, load_catalog
from catalog.models import Resource
from catalog.reading import CatalogError
from quality_checks import measures, scorecards
from quality_checks.indicators import CENSUS, STATEMENTS
from resources.lake import FINDINGS, MEASURES, PRECISION, RESULTS, REVISED_MEASURES, REVISED_SCORES, SCORES

ROOT = Path(__file__).parents[1]
DAY, OCTOBER, DECEMBER = date(2026, 11, 3), date(2026, 10, 30), date(2026, 12, 1)
RESIDENTS = "public_security.resident_registration"
MARRIAGES = "civil_affairs.marriage_registration"
ENTERPRISES = "market_regulation.enterprise_registration"
BILLION = 10**9


@pytest.fixture
def con(small_catalog: Catalog) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables that scores are read from and written to, empty."""
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA quality; ATTACH ':memory:' AS shuyuan")
        tables = {"findings": FINDINGS, "results": RESULTS, "measures": MEASURES, "scores": SCORES}
        tables |= {"revised_measures": REVISED_MEASURES, "revised_scores": REVISED_SCORES}
        for table, columns in (tables | {"precision": PRECISION}).items():
            listed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            connection.execute(f"CREATE TABLE quality.{table} ({listed})")
        for department in small_catalog.departments:
            connection.execute(
                f"CREATE SCHEMA {department};"
                f"CREATE TABLE {department}._quarantine (delivery_id VARCHAR, reason_code VARCHAR)"
            )
        connection.execute("""
            CREATE SCHEMA shuyuan.ops; CREATE SCHEMA shuyuan.ledger;
            CREATE TABLE shuyuan.ops.deliveries (department VARCHAR, resource VARCHAR, delivery_id VARCHAR, as_of DATE,
                pass_as_of DATE, state VARCHAR, rows_declared BIGINT, rows_delivered BIGINT, rows_quarantined BIGINT,
                reasons VARCHAR DEFAULT '[]', registered_at TIMESTAMP DEFAULT now());
            CREATE TABLE shuyuan.ops.profiles (delivery_id VARCHAR, column_name VARCHAR);
            CREATE TABLE shuyuan.ledger.excepted_items (item_id VARCHAR, department VARCHAR, resource VARCHAR,
                rule_id VARCHAR);
            CREATE TABLE shuyuan.ledger.events (item_id VARCHAR, number INTEGER, event VARCHAR);
        """)
        yield connection


def insert(con: duckdb.DuckDBPyConnection, table: str, **values: object) -> None:
    marks = ", ".join(f"${name} AS {name}" for name in values)
    con.execute(f"INSERT INTO {table} BY NAME SELECT {marks}", values)


def result(
    con: duckdb.DuckDBPyConnection, rule: str, failed: int, applicable: int = 100, *, of: str = RESIDENTS, **other: Any
) -> None:
    department, resource = of.split(".")
    plain = {"as_of": DAY, "indicator": "0104", "state": "ok", "severity": "error", "dimension": "accuracy"}
    told = {"department": department, "resource": resource, "rule_id": rule, "applicable": applicable, "failed": failed}
    insert(con, "quality.results", **{**plain, **told, **other})


def delivery(con: duckdb.DuckDBPyConnection, day: date = DAY, *, of: str = RESIDENTS, **other: Any) -> str:
    department, resource = of.split(".")
    told = {"department": department, "resource": resource, "as_of": day, "pass_as_of": day, "state": "pooled"}
    told |= {"delivery_id": f"{day}-{of}", "rows_delivered": 100, "rows_quarantined": 0, **other}
    insert(con, "shuyuan.ops.deliveries", **told)
    return str(told["delivery_id"])


def scored(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, day: date = DAY, served: dict[str, tuple[int, int]] | None = None
) -> None:
    measures.measure(con, catalog, day, served or {})
    scorecards.compute(con, catalog, day)


def row(
    con: duckdb.DuckDBPyConnection,
    indicator: str | None = None,
    *,
    of: str = RESIDENTS,
    day: date = DAY,
    period: str = "day",
    dimension: str | None = None,
) -> dict[str, Any]:
    """One row of quality.scores: of an indicator, a dimension, or the total."""
    dimension = INDICATORS[indicator][1] if indicator else dimension
    found = con.execute(
        "FROM quality.scores WHERE name = $1 AND as_of = $2 AND period = $3 AND indicator IS NOT DISTINCT FROM $4"
        " AND dimension IS NOT DISTINCT FROM $5",
        [of, day, period, indicator, dimension],
    )
    [values] = found.fetchall()
    return dict(zip([column[0] for column in found.description], values, strict=True))


def counts(con: duckdb.DuckDBPyConnection, indicator: str, of: str = RESIDENTS) -> tuple[int, int]:
    found = row(con, indicator, of=of)
    return found["numerator"], found["denominator"]


def measure_row(
    con: duckdb.DuckDBPyConnection, indicator: str, a: int, b: int, of: str = RESIDENTS, **other: Any
) -> None:
    department, resource = of.split(".")
    told = {"as_of": DAY, "evaluated_on": DAY, "origin": "own", "measure": "R", "excepted": 0}
    told |= {"department": department, "resource": resource, "indicator": indicator, "numerator": a, "denominator": b}
    insert(con, "quality.measures", **{**told, **other})


# --- what is counted -----------------------------------------------------------------------------------------------


def test_every_indicator_of_the_standard_says_what_it_counts_and_when_it_does_not_apply() -> None:
    assert list(STATEMENTS) == sorted(INDICATORS)
    assert len(STATEMENTS) == 20
    for said in STATEMENTS.values():
        assert all((said.name, said.zh, said.en, said.zh_unless, said.en_unless))
        assert " / " in said.zh
        assert " / " in said.en


def test_all_twenty_indicators_of_every_scope_stand_in_the_scores_and_what_has_no_denominator_has_no_score(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    result(con, f"{RESIDENTS}.sex.code", 100)
    scored(con, small_catalog)
    scopes = con.execute(
        "SELECT scope, count(DISTINCT name), count(*) FROM quality.scores WHERE period = 'day'"
        " GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    each = 20 + len(DIMENSIONS) + 1
    assert scopes == [
        ("city", 1, each),
        ("department", 3, 3 * each),
        ("library", 2, 2 * each),
        ("resource", 4, 4 * each),  # a thematic table that promises freshness is one
    ]
    wrong, absent = row(con, "0105"), row(con, "0305")
    assert (wrong["numerator"], wrong["denominator"], wrong["score"]) == (0, 100, 0)
    assert (absent["numerator"], absent["denominator"], absent["score"]) == (0, 0, None)


def test_denominator_of_0201_counts_only_rows_the_rule_applies_to(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    result(con, f"{RESIDENTS}.key.unique", 0, 1000)
    result(con, f"{RESIDENTS}.sex.required", 10, 40)
    scored(con, small_catalog)
    assert counts(con, "0201") == (30, 40)
    assert row(con, "0201")["score"] == Decimal("0.75")


def test_rules_count_for_the_second_question_they_answer(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    for kind, failed in (("sex.code", 1), ("id_number.identifier", 2), ("birth_date.type", 3), ("key.unique", 4)):
        result(con, f"{RESIDENTS}.{kind}", failed)
    result(con, f"{RESIDENTS}.id_number.required", 5)
    result(con, f"{RESIDENTS}.name.required", 6)
    scored(con, small_catalog)
    assert counts(con, "0101") == (197, 200)  # codes and identifiers
    assert counts(con, "0102") == (288, 300)  # types parsed, key unique, key stated; not the other required column
    assert counts(con, "0105") == (99, 100)
    assert counts(con, "0301") == (98, 100)
    assert counts(con, "0302") == (97, 100)
    assert counts(con, "0303") == (4, 100)  # duplicates: what is wrong
    assert counts(con, "0304") == (96, 100)
    assert counts(con, "0201") == (189, 200)


def test_rules_for_information_only_or_no_longer_in_force_count_nowhere(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    resource = small_catalog.resources[RESIDENTS]
    [rule] = resource.rules
    kinds = {"A": {}, "B": {"severity": "info"}, "C": {"valid_to": OCTOBER}, "D": {"valid_from": DECEMBER}}
    rules = [type(rule).model_validate(rule.model_dump() | {"id": name} | other) for name, other in kinds.items()]
    for name in [*kinds, "deleted"]:
        result(con, name, 50, indicator="0401")
    scored(con, with_resource(small_catalog, resource, rules=tuple(rules)))
    assert counts(con, "0401") == (50, 100)


def with_resource(catalog: Catalog, resource: Resource, **changes: Any) -> Catalog:
    changed = resource.model_copy(update=changes)
    return dataclasses.replace(catalog, resources={**catalog.resources, resource.id: changed})


def test_a_rule_that_could_not_run_keeps_its_last_result(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    result(con, "PSB-001", 3, as_of=OCTOBER, indicator="0401")
    result(con, "PSB-001", 0, 0, state="error", indicator="0401")
    scored(con, small_catalog)
    assert counts(con, "0401") == (97, 100)


def test_columns_and_records_are_measured_on_the_last_delivery(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    columns = list(small_catalog.resources[RESIDENTS].columns)
    before = delivery(con, OCTOBER)
    last = delivery(con, rows_declared=120, rows_delivered=120, rows_quarantined=25)
    for column in (*columns[:4], "no_such_column"):
        insert(con, "shuyuan.ops.profiles", delivery_id=last, column_name=column)
    for reason in ["duplicate_key"] * 20 + ["field_count"] * 5:
        insert(con, "public_security._quarantine", delivery_id=last, reason_code=reason)
    insert(con, "public_security._quarantine", delivery_id=before, reason_code="duplicate_key")
    scored(con, small_catalog)
    assert counts(con, "0103") == (4, 6)
    assert counts(con, "0202") == (95, 100)  # a duplicate is no missing record


@pytest.mark.parametrize(
    ("reasons", "told", "columns", "records"),
    [
        (["missing_column"], {"rows_declared": 90}, (0, 4), (0, 90)),
        (["gzip"], {"rows_declared": None, "rows_delivered": None}, (0, 4), (0, 0)),
        (["declared_rows"], {"rows_declared": 120}, (0, 0), (0, 120)),
    ],
)
def test_a_refused_delivery_has_no_columns_or_no_records(
    con: duckdb.DuckDBPyConnection,
    small_catalog: Catalog,
    reasons: list[str],
    told: dict[str, Any],
    columns: tuple[int, int],
    records: tuple[int, int],
) -> None:
    codes = json.dumps([{"code": code, "message": ""} for code in reasons])
    delivery(con, of=MARRIAGES, state="rejected", reasons=codes, **{"rows_delivered": 0, **told})
    scored(con, small_catalog)
    assert counts(con, "0103", MARRIAGES) == columns
    assert counts(con, "0202", MARRIAGES) == records


def test_verdicts_on_deliveries_count_once_and_never_beside_the_columns_and_records_they_judge(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    kinds = {
        "late": "0502",
        "volume": "0501",
        "rows": "0202",
        "quarantine": "0202",
        "structure": "0103",
        "drift": "0102",
    }
    for kind, indicator in kinds.items():
        result(con, f"{RESIDENTS}.delivery.{kind}", 1, 1, indicator=indicator)
    scored(con, small_catalog)
    assert [counts(con, code) for code in ("0502", "0501", "0202", "0103", "0102")] == [(0, 1), (0, 1), *[(0, 0)] * 3]


def test_a_pool_is_accessible_when_read_since_its_last_delivery_and_usable_while_fresh_and_not_blocked(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    for of in (RESIDENTS, MARRIAGES, ENTERPRISES):
        delivery(con, of=of)
    result(con, f"{RESIDENTS}.key.unique", 0, 200)
    result(con, f"{MARRIAGES}.key.unique", 0, 50, of=MARRIAGES, as_of=OCTOBER)  # the last delivery was not read
    result(con, f"{MARRIAGES}.delivery.late", 1, 1, of=MARRIAGES)
    rules = ["id_number.identifier", "id_number.identifier", "sex.code", "delivery.rows"]
    for number, severity in enumerate(["block", "block", "error", "block"]):
        found = {"department": "public_security", "resource": "resident_registration", "record_key": str(number)}
        found["rule_id"] = f"{RESIDENTS}.{rules[number]}"
        insert(con, "quality.findings", finding_id=f"f{number}", status="open", severity=severity, **found)
    insert(con, "shuyuan.ledger.excepted_items", item_id="f1")
    scored(con, small_catalog, served={RESIDENTS: (1, 2)})
    assert counts(con, "0601") == (2, 3)
    assert row(con, "0601")["own_denominator"] == 1  # that a product is not served is no fault of the department
    assert counts(con, "0602") == (199, 200)
    assert counts(con, "0601", MARRIAGES) == (0, 1)
    assert counts(con, "0602", MARRIAGES) == (0, 50)
    assert counts(con, "0601", ENTERPRISES) == (0, 1)


def test_a_personal_column_that_a_product_shows_openly_is_not_secured(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    scored(con, small_catalog)
    assert counts(con, "0106") == (6, 6)
    library = small_catalog.libraries["population"]
    opened = library.attributes["name"].model_copy(update={"level": "internal"})
    leaking = library.model_copy(update={"attributes": {**library.attributes, "name": opened}})
    wide = dataclasses.replace(small_catalog, libraries={**small_catalog.libraries, "population": leaking})
    scored(con, wide)
    assert counts(con, "0106") == (5, 6)
    product = small_catalog.products["residents"].model_copy(update={"clear": ("name",), "purpose": "court order"})
    scored(con, dataclasses.replace(wide, products={"residents": product}))
    assert counts(con, "0106") == (6, 6)


# --- own and inherited, objections ---------------------------------------------------------------------------------


def test_what_a_department_received_is_inherited_and_not_in_its_score(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    result(con, f"{MARRIAGES}.name.required", 40, of=MARRIAGES)  # public security has the say on names
    result(con, f"{MARRIAGES}.marital_status.required", 1, of=MARRIAGES)  # its own authority
    result(con, f"{MARRIAGES}.id_number.required", 2, of=MARRIAGES)  # what the record is named by
    result(con, "population.name.agrees", 30, of=MARRIAGES)
    result(con, "population.marital_status.agrees", 3, of=MARRIAGES)
    scored(con, small_catalog)
    elements, agreeing = row(con, "0201", of="civil_affairs"), row(con, "0401", of="civil_affairs")
    assert (elements["numerator"], elements["denominator"]) == (257, 300)
    assert (elements["own_numerator"], elements["own_denominator"]) == (197, 200)
    assert elements["score"] == Decimal("0.985")
    assert (agreeing["own_numerator"], agreeing["own_denominator"]) == (97, 100)
    city = row(con, "0201", of="city")
    assert city["score"] == Decimal(257 * BILLION // 300) / BILLION  # the city answers for everything
    assert row(con, "0201", of="population")["score"] == city["score"]


def test_a_column_or_resource_says_from_whom_it_was_received(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    resource = small_catalog.resources[ENTERPRISES]
    result(con, f"{ENTERPRISES}.name.required", 40, of=ENTERPRISES)
    result(con, f"{ENTERPRISES}.uscc.required", 10, of=ENTERPRISES)
    scored(con, small_catalog)
    assert row(con, "0201", of=ENTERPRISES)["own_numerator"] == 150
    received = resource.columns["name"].model_copy(update={"received_from": "province"})
    scored(con, with_resource(small_catalog, resource, columns={**resource.columns, "name": received}))
    assert row(con, "0201", of=ENTERPRISES)["own_numerator"] == 90
    scored(con, with_resource(small_catalog, resource, received_from="province"))
    flow = row(con, "0201", of=ENTERPRISES)
    assert (flow["numerator"], flow["own_denominator"], flow["score"]) == (150, 0, None)


def test_the_catalogue_names_who_may_have_given_data(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog"
    shutil.copytree(Path(__file__).parent / "small_catalogue", catalog)
    file = catalog / "departments/civil_affairs/marriage_registration.yaml"
    text = file.read_text("utf-8")
    file.write_text(f"received_from: province\n{text}", "utf-8")
    assert load_catalog(catalog).resources[MARRIAGES].received_from == "province"
    for wrong in ("civil_affairs", "county"):
        file.write_text(f"received_from: {wrong}\n{text}", "utf-8")
        with pytest.raises(CatalogError, match=f"received_from = '{wrong}': must be one of: .*province.*state"):
            load_catalog(catalog)


def disputed(con: duckdb.DuckDBPyConnection, item: str, *events: str, department: str = "public_security") -> None:
    found = {"department": department, "resource": "resident_registration", "rule_id": "PSB-001"}
    insert(con, "quality.findings", finding_id=item, status="open", severity="error", record_key=item, **found)
    if "upheld" in events[-1:]:
        insert(con, "shuyuan.ledger.excepted_items", item_id=item, **found)
    for number, event in enumerate(events, start=1):
        insert(con, "shuyuan.ledger.events", item_id=item, number=number, event=event)


def test_an_upheld_objection_restores_the_score(con: duckdb.DuckDBPyConnection, small_catalog: Catalog) -> None:
    result(con, "PSB-001", 3, indicator="0401")
    disputed(con, "i1", "objection_raised", "upheld")
    disputed(con, "i2", "objection_raised", "rejected")
    disputed(con, "i3")
    scored(con, small_catalog)
    assert counts(con, "0401") == (98, 100)
    assert con.execute("SELECT excepted FROM quality.measures WHERE measure = 'PSB-001'").fetchall() == [(1,)]


def test_precision_of_a_rule_nobody_objected_to_is_unknown_and_not_100_percent(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    for item in "abcdefgh":
        disputed(con, item)
    disputed(con, "x", department="civil_affairs")
    scored(con, small_catalog)

    def precision() -> list[tuple[object, ...]]:
        return con.execute(
            "SELECT department, findings, objections, upheld, rejected, precision FROM quality.precision ORDER BY ALL"
        ).fetchall()

    assert precision() == [("civil_affairs", 1, 0, 0, 0, None), ("public_security", 8, 0, 0, 0, None)]
    disputed(con, "i", "objection_raised")
    scored(con, small_catalog)
    assert precision()[1] == ("public_security", 9, 1, 0, 0, None)  # not decided yet
    disputed(con, "j", "objection_raised", "rejected", "objection_raised", "upheld")
    scored(con, small_catalog)
    assert precision()[1] == ("public_security", 10, 2, 1, 0, Decimal("0.9"))  # as it was ruled in the end
    disputed(con, "k", "objection_raised", "rejected", "objection_raised")  # disputed further: not decided
    disputed(con, "l", "objection_raised", "rejected")
    disputed(con, "m", "rejected")  # a claim that the record is another's is no objection
    scored(con, small_catalog)
    assert precision()[1] == ("public_security", 13, 4, 1, 1, Decimal("0.923076923"))


# --- from counts to scores -----------------------------------------------------------------------------------------


def test_inverted_indicators_are_turned_before_they_are_averaged(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    measure_row(con, "0303", 1, 100)  # one duplicate
    measure_row(con, "0304", 99, 100)
    measure_row(con, "0305", 100, 100, of=MARRIAGES)  # all dirty
    scorecards.compute(con, small_catalog, DAY)
    duplicates, unique = row(con, "0303"), row(con, dimension="uniqueness")
    assert (duplicates["direction"], duplicates["numerator"], duplicates["score"]) == ("down", 1, Decimal("0.99"))
    assert (unique["direction"], unique["numerator"], unique["denominator"]) == ("up", 198, 200)
    assert unique["score"] == Decimal("0.99")  # the raw ratios 0.01 and 0.99 would give 0.5
    assert row(con, "0305", of=MARRIAGES)["score"] == 0


@pytest.mark.parametrize(
    ("right", "whole", "score", "shown"),
    [
        (10**7 - 100, 10**7, "0.999990000", "99.99"),  # 0.00 % with 100 failures
        (10**11 - 100, 10**11, "0.999999999", "99.99"),
        (100, 10**11, "0.000000001", "<0.01"),
        (10**7, 10**7, "1.000000000", "100"),
        (0, 10**7, "0E-9", "0"),
        (2, 3, "0.666666666", "66.66"),
    ],
)
def test_a_score_is_never_100_percent_with_100_failures_nor_0_percent_with_100_passes(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog, right: int, whole: int, score: str, shown: str
) -> None:
    measure_row(con, "0104", right, whole)
    every = dataclasses.replace(small_catalog, jurisdiction=Jurisdiction(small_sample=1))
    scorecards.compute(con, every, DAY)
    for found in (row(con, "0104"), row(con, dimension="accuracy"), row(con)):
        assert found["score"] == Decimal(score)
        assert points(found["score"]) == shown
        assert (found["numerator"], found["denominator"]) == (right, whole)
    assert share(whole - right, whole) not in ("0.00 %", "100.00 %")
    assert points(None) == "—"


def test_a_small_sample_is_marked_and_decides_nothing(con: duckdb.DuckDBPyConnection, small_catalog: Catalog) -> None:
    measure_row(con, "0104", 0, 29)
    measure_row(con, "0105", 30, 30)
    measure_row(con, "0502", 1, 1)
    measure_row(con, "0104", 29, 29, of=MARRIAGES)
    scorecards.compute(con, small_catalog, DAY)
    few, enough, due = row(con, "0104"), row(con, "0105"), row(con, "0502")
    assert (few["small_sample"], few["score"]) == (True, 0)
    assert not enough["small_sample"]
    assert not due["small_sample"]  # all deliveries there are: no sample
    assert row(con)["score"] == 1
    assert not row(con)["small_sample"]
    nothing = row(con, of=MARRIAGES)
    assert (nothing["score"], nothing["grade"], nothing["small_sample"]) == (None, None, True)
    together = row(con, "0104", of="city")
    assert (together["numerator"], together["denominator"], together["small_sample"]) == (29, 58, False)


def test_a_month_holds_each_rules_latest_result_in_it_and_stays_as_it_was(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    monthly, gone, later = date(2026, 11, 2), date(2026, 11, 3), date(2026, 12, 1)
    result(con, "PSB-001", 50, as_of=OCTOBER, indicator="0401")
    result(con, f"{RESIDENTS}.sex.code", 9, as_of=monthly)
    scored(con, small_catalog, monthly)
    result(con, f"{RESIDENTS}.sex.code", 4, as_of=gone)
    scored(con, small_catalog, gone)
    assert con.execute("SELECT DISTINCT as_of FROM quality.scores WHERE period = 'month'").fetchall() == [(gone,)]
    assert row(con, "0105", day=gone, period="month")["numerator"] == 96
    assert row(con, "0401", day=gone)["numerator"] == 50  # it still stands so
    assert row(con, "0401", day=gone, period="month")["denominator"] == 0  # but was not evaluated this month
    frozen = con.execute("FROM quality.scores WHERE period = 'month' ORDER BY ALL").fetchall()
    result(con, f"{RESIDENTS}.sex.code", 0, as_of=later)
    scored(con, small_catalog, later)
    assert (
        con.execute(f"FROM quality.scores WHERE period = 'month' AND as_of = DATE '{gone}' ORDER BY ALL").fetchall()
        == frozen
    )
    assert row(con, "0105", day=later, period="month")["numerator"] == 100
    once = con.execute("FROM quality.scores ORDER BY ALL").fetchall()
    scored(con, small_catalog, later)
    assert con.execute("FROM quality.scores ORDER BY ALL").fetchall() == once


def test_weights_and_grades_are_the_jurisdictions(con: duckdb.DuckDBPyConnection, small_catalog: Catalog) -> None:
    measure_row(con, "0104", 50, 100)
    measure_row(con, "0105", 100, 100)
    measure_row(con, "0201", 90, 100)
    scorecards.compute(con, small_catalog, DAY)
    plain = row(con)
    assert (plain["score"], plain["grade"], plain["scheme"]) == (Decimal("0.825"), "良", "等权 equal weights")
    told = {
        "weights": {"name": "本市方案", "indicators": {"0104": 3}, "dimensions": {"completeness": 0}},
        "grades": [
            {"title": {"zh": "合格", "en": "passed"}, "from": 62.5},
            {"title": {"zh": "不合格", "en": "not"}, "from": 0},
        ],
    }
    ours = dataclasses.replace(small_catalog, jurisdiction=Jurisdiction.model_validate(told))
    scorecards.compute(con, ours, DAY)
    weighted = row(con)
    assert (weighted["score"], weighted["grade"], weighted["scheme"]) == (Decimal("0.625"), "合格", "本市方案")
    assert row(con, "0104")["weight"] == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("grades: [{title: {zh: 优, en: a}, from: 95}]", "grades: the best first"),
        ("weights: {indicators: {'0999': 1}}", "not an indicator of GB/T 36344-2018; allowed: 0101"),
        ("weights: {dimensions: {beauty: 1}}", "completeness"),
        ("small_sample: 0", "small_sample"),
        (
            "small_samples: 3",
            "no such field; allowed: channels, clock, dispute_days, grades, noise, rectification, small_sample",
        ),
    ],
)
def test_a_mistake_in_the_jurisdictions_file_is_named_with_what_is_allowed(
    tmp_path: Path, text: str, said: str
) -> None:
    catalog = tmp_path / "catalog"
    shutil.copytree(Path(__file__).parent / "small_catalogue", catalog)
    (catalog / "jurisdiction.yaml").write_text(text, "utf-8")
    with pytest.raises(CatalogError, match=r"jurisdiction\.yaml") as wrong:
        load_catalog(catalog)
    assert said in str(wrong.value)


counted = st.tuples(
    st.sampled_from([RESIDENTS, MARRIAGES, ENTERPRISES]),
    st.sampled_from(sorted(INDICATORS)),
    st.sampled_from(["own", "inherited"]),
    st.sampled_from([DAY, OCTOBER]),
    st.integers(0, 60).flatmap(lambda b: st.tuples(st.integers(0, b), st.just(b))),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(counted, max_size=40),
    weights=st.dictionaries(st.sampled_from(sorted(INDICATORS)), st.integers(0, 9)),
    dimensions=st.dictionaries(st.sampled_from(DIMENSIONS), st.integers(0, 9)),
)
def test_any_counts_come_out_as_a_plain_reference_says(
    con: duckdb.DuckDBPyConnection,
    small_catalog: Catalog,
    rows: list[tuple[str, str, str, date, tuple[int, int]]],
    weights: dict[str, int],
    dimensions: dict[str, int],
) -> None:
    con.execute("DELETE FROM quality.measures; DELETE FROM quality.scores")
    for of, indicator, origin, day, (a, b) in rows:
        measure_row(con, indicator, a, b, of, origin=origin, evaluated_on=day)
    scheme = {"weights": {"indicators": weights, "dimensions": dimensions}, "small_sample": 10}
    weighted = dataclasses.replace(small_catalog, jurisdiction=Jurisdiction.model_validate(scheme))
    scorecards.compute(con, weighted, DAY)
    libraries = {RESIDENTS: "population", MARRIAGES: "population", ENTERPRISES: "legal_entity"}
    found = con.execute("SELECT period, scope, name, dimension, indicator, score FROM quality.scores").fetchall()
    assert len(found) == 2 * 10 * 26
    got = {tuple(key): score if score is None else int(score * BILLION) for *key, score in found}
    for period in ("day", "month"):
        for scope, name in {(scope, name) for _, scope, name, *_ in found}:
            mine = [
                (indicator, a, b)
                for of, indicator, origin, day, (a, b) in rows
                if (name in ("city", of, of.split(".")[0], libraries[of]))
                and (origin == "own" or scope in ("city", "library"))
                and (period == "day" or day == DAY)
            ]
            for key, score in reference(mine, weights, dimensions).items():
                assert got[period, scope, name, *key] == score, (period, scope, name, key)


def reference(
    rows: list[tuple[str, int, int]], weights: dict[str, int], dimensions: dict[str, int]
) -> dict[tuple[str | None, str | None], int | None]:
    """Billionths by (dimension, indicator), written as the documentation says, with nothing shared."""

    def mean(parts: list[tuple[int | None, int]]) -> int | None:
        known = [(score, weight) for score, weight in parts if score is not None and weight]
        total = sum(score * weight for score, weight in known)
        return max(total // sum(w for _, w in known), 1 if total else 0) if known else None

    told: dict[tuple[str | None, str | None], int | None] = {}
    parts = defaultdict(list)
    for indicator, (_, dimension) in INDICATORS.items():
        b = sum(whole for code, _, whole in rows if code == indicator)
        a = sum(part for code, part, _ in rows if code == indicator)
        right = b - a if indicator in ("0303", "0305") else a
        told[dimension, indicator] = (max(right * BILLION // b, 1) if right else 0) if b else None
        small = b < 10 and indicator not in CENSUS
        parts[dimension].append((told[dimension, indicator], 0 if small else weights.get(indicator, 1)))
    for dimension in DIMENSIONS:
        told[dimension, None] = mean(parts[dimension])
    told[None, None] = mean([(told[name, None], dimensions.get(name, 1)) for name in DIMENSIONS])
    return told


# --- for strangers -------------------------------------------------------------------------------------------------


def test_a_stranger_recomputes_every_departments_score_from_the_exported_rows(
    con: duckdb.DuckDBPyConnection,
    small_catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    delivery(con)
    for number, (of, resource) in enumerate(small_catalog.resources.items()):
        for rule in measures.counted_rules(small_catalog, DAY):
            if (rule.department, rule.resource) == (resource.department, resource.name):
                day = OCTOBER if rule.rule_id.endswith(".type") else DAY
                con.execute(
                    "DELETE FROM quality.results WHERE rule_id = $1 AND resource = $2", [rule.rule_id, resource.name]
                )
                result(con, rule.rule_id, number + len(rule.rule_id) % 7, 31 + number, of=of, as_of=day)
    scored(con, small_catalog)
    [snippet] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/scores.md").read_text("utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for month in (None, DAY.replace(day=1)):
        written = export_scores(con, tmp_path, find_period(con, month))
        assert written["scores.csv"] == 10 * 26
        exec(snippet, {})
        said = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in said] == sorted(small_catalog.departments)
        assert all(len(line.split()) == 3 for line in said)
    monthly = (tmp_path / "measures.csv").read_text("utf-8")
    assert ".code" in monthly
    assert ".type" not in monthly


def test_a_month_without_a_pass_is_named_with_the_months_there_are(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    with pytest.raises(LookupError, match="nothing was scored yet"):
        find_period(con, None)
    scored(con, small_catalog)
    with pytest.raises(LookupError, match="month = 2026-10: no pass was scored in it; scored: 2026-11"):
        find_period(con, OCTOBER.replace(day=1))
    period = find_period(con, None)
    assert [one["name"] for one in scores_of(con, period, None)] == [
        "city", "civil_affairs", "market_regulation", "public_security", "legal_entity", "population"]  # fmt: skip
    assert len(scores_of(con, period, "civil_affairs")) == 26
    assert precision_of(con, period, "civil_affairs") == []
