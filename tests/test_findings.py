"""Findings and their history, the checks of deliveries: on plain tables, and once on a real city."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets import quality, scoring
from catalog.load import Catalog
from catalog.models import Cycle, Resource
from catalog.rules import Rule
from quality_checks import findings, macros, punctuality
from quality_checks.punctuality import Delivery
from quality_checks.results import RuleResult
from quality_checks.rule_book import on_day
from resources.city import City

DAY = date(2026, 11, 2)
RESIDENTS = "public_security.resident_registration"
TEXTS = ("finding_id", "rule_id", "standard", "dimension", "indicator", "severity", "department", "resource")


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Findings and results, empty, with the macros."""
    with duckdb.connect() as connection:
        connection.execute(macros.SQL)
        texts = ", ".join(f"{name} VARCHAR" for name in TEXTS)
        connection.execute(f"""
            CREATE SCHEMA quality;
            CREATE TABLE quality.findings ({texts}, record_key VARCHAR, "column" VARCHAR,
                observed_value VARCHAR, suggested_value VARCHAR, suggestion_method VARCHAR,
                suggestion_confidence DOUBLE,
                reason VARCHAR, delivery_id VARCHAR, first_seen DATE, last_seen DATE, status VARCHAR, closed_on DATE);
            CREATE TABLE quality.results (as_of DATE, department VARCHAR, resource VARCHAR, rule_id VARCHAR,
                dimension VARCHAR, indicator VARCHAR, severity VARCHAR, applicable BIGINT, failed BIGINT, state VARCHAR,
                message VARCHAR);
        """)
        yield connection


def result(rule: str, failed: int, **other: Any) -> RuleResult:
    plain = RuleResult("police", "residents", rule, "accuracy", "0104", "error", 10, failed)
    return replace(plain, **other)


def see(con: duckdb.DuckDBPyConnection, day: date, found: dict[str, dict[str, str]], **states: str) -> None:
    """One evaluation: per rule the failing record keys with the observed value."""
    findings.start(con)
    for rule, records in found.items():
        for key, observed in records.items():
            con.execute(
                f"INSERT INTO {findings.VIOLATIONS} VALUES ($1, 'P09', 'accuracy', '0104', 'error', 'police',"
                " 'residents', $2, 'name', $3, NULL, NULL, NULL, 'because', 'd' || $4)",
                [rule, key, observed, str(day)],
            )
    results = [result(rule, len(records), state=states.get(rule, "ok")) for rule, records in found.items()]
    findings.merge(con, findings.VIOLATIONS, results, day)


def state(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows = con.execute("""
        SELECT rule_id, record_key, status, observed_value, first_seen, last_seen, closed_on FROM quality.findings
    """).fetchall()
    found = {(rule, key): tuple(rest) for rule, key, *rest in rows}
    assert len(found) == len(rows)
    return found


def test_a_finding_is_opened_renewed_resolved_and_opened_again_with_its_first_date_kept(
    con: duckdb.DuckDBPyConnection,
) -> None:
    days = [DAY + timedelta(days=n) for n in range(4)]
    see(con, days[0], {"R": {"a": "x", "b": "y"}})
    see(con, days[1], {"R": {"a": "x2"}})
    assert state(con) == {
        ("R", "a"): ("open", "x2", days[0], days[1], None),
        ("R", "b"): ("resolved", "y", days[0], days[0], days[1]),
    }
    see(con, days[2], {"R": {"b": "z"}})
    assert state(con) == {
        ("R", "a"): ("resolved", "x2", days[0], days[1], days[2]),
        ("R", "b"): ("open", "z", days[0], days[2], None),
    }
    see(con, days[3], {"R": {}})
    assert {told[0] for told in state(con).values()} == {"resolved"}


def test_a_rule_that_could_not_be_evaluated_neither_opens_nor_resolves(con: duckdb.DuckDBPyConnection) -> None:
    see(con, DAY, {"R": {"a": "x"}, "S": {"a": "x"}})
    see(con, DAY + timedelta(days=1), {"R": {}, "S": {"b": "y"}}, R="error", S="error")
    assert state(con) == {
        ("R", "a"): ("open", "x", DAY, DAY, None),
        ("S", "a"): ("open", "x", DAY, DAY, None),
    }


def test_a_record_accused_twice_by_one_rule_has_one_finding(con: duckdb.DuckDBPyConnection) -> None:
    findings.start(con)
    columns = ", ".join(f"'R' AS {name}" if name == "rule_id" else f"'x' AS \"{name}\"" for name in findings.FIELDS[:9])
    told = "'y' AS m, NULL AS n, 'because' AS o, 'd1' AS p"
    con.execute(f"INSERT INTO {findings.VIOLATIONS} SELECT {columns}, unnest(['b', 'a']), NULL, {told}")
    findings.merge(con, findings.VIOLATIONS, [result("R", 2, department="x", resource="x")], DAY)
    assert state(con) == {("R", "x"): ("open", "a", DAY, DAY, None)}


def test_rules_that_were_not_part_of_an_evaluation_keep_their_findings(con: duckdb.DuckDBPyConnection) -> None:
    see(con, DAY, {"R": {"a": "x"}, "S": {"a": "x"}})
    see(con, DAY + timedelta(days=1), {"R": {}})
    assert {key: told[0] for key, told in state(con).items()} == {("R", "a"): "resolved", ("S", "a"): "open"}


def test_findings_of_records_that_were_not_evaluated_stay(con: duckdb.DuckDBPyConnection) -> None:
    see(con, DAY, {"R": {"1": "a", "2": "a", "3": "a"}})
    findings.start(con)
    con.execute(
        "CREATE TEMP TABLE looked_at AS SELECT 'police' AS department, 'residents' AS resource, '2' AS record_key"
    )
    findings.merge(con, findings.VIOLATIONS, [result("R", 2)], DAY + timedelta(1), records="looked_at")
    assert [(key, status) for (_, key), (status, *_) in sorted(state(con).items())] == [
        ("1", "open"),
        ("2", "resolved"),
        ("3", "open"),
    ]


def test_what_a_rule_no_longer_in_force_accused_is_resolved(con: duckdb.DuckDBPyConnection) -> None:
    later = DAY + timedelta(days=1)
    late = "police.residents.delivery.late"  # the program's own rules stand in no catalogue
    see(con, DAY, {"R": {"a": "x"}, "S": {"a": "x"}, late: {"d1": "x"}})
    findings.retire(con, [("police", "cars")], ["S"], later)
    assert {told[0] for told in state(con).values()} == {"open"}
    for _ in range(2):
        findings.retire(con, [("police", "residents")], ["S"], later)
        kept = ("open", "x", DAY, DAY, None)
        assert state(con) == {("R", "a"): ("resolved", "x", DAY, DAY, later), ("S", "a"): kept, (late, "d1"): kept}


def test_a_rule_is_in_force_between_its_dates_and_a_tolerance_runs_out(small_catalog: Catalog) -> None:
    [rule] = small_catalog.resources[RESIDENTS].rules
    stated = {"valid_from": DAY, "valid_to": DAY + timedelta(days=9), "tolerance": {
        "share": 0.1, "reason": "old records", "until": DAY + timedelta(days=4)}}  # fmt: skip
    dated = Rule.model_validate(rule.model_dump() | stated)
    days = [DAY + timedelta(days=n) for n in (-1, 0, 4, 5, 9, 10)]
    assert [[one.tolerance is not None for one in on_day([dated], day)] for day in days] == [
        [], [True], [True], [False], [False], []]  # fmt: skip


history = st.lists(
    st.dictionaries(
        st.sampled_from("RST"), st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz")), min_size=1
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=history)
def test_any_history_of_evaluations_comes_out_as_a_plain_model_says_and_twice_is_once(
    con: duckdb.DuckDBPyConnection, seen: list[dict[str, dict[str, str]]]
) -> None:
    con.execute("DELETE FROM quality.findings; DELETE FROM quality.results")
    model: dict[tuple[str, str], tuple[Any, ...]] = {}
    for number, found in enumerate(seen):
        day = DAY + timedelta(days=number)
        for (rule, key), (status, observed, first, last, _) in list(model.items()):
            if rule in found and key not in found[rule] and status == "open":
                model[rule, key] = ("resolved", observed, first, last, day)
        for rule, records in found.items():
            for key, observed in records.items():
                first = model[rule, key][2] if (rule, key) in model else day
                model[rule, key] = ("open", observed, first, day, None)
        see(con, day, found)
        once = con.execute("SELECT * FROM quality.findings ORDER BY ALL").fetchall()
        see(con, day, found)
        assert con.execute("SELECT * FROM quality.findings ORDER BY ALL").fetchall() == once
        assert state(con) == model
    counted = con.execute("SELECT as_of, rule_id, failed FROM quality.results ORDER BY ALL").fetchall()
    expected = [(DAY + timedelta(days=n), r, len(k)) for n, found in enumerate(seen) for r, k in found.items()]
    assert counted == sorted(expected)


def delivery(day: date, rows: int = 100, **other: Any) -> Delivery:
    return replace(Delivery(f"d{day}", day, "full", "pooled", None, rows, ()), **other)


def failed(resource: Resource, deliveries: Sequence[Delivery], as_of: date) -> set[str]:
    judged = punctuality.judge(resource, deliveries, as_of)
    assert len(judged) == 7
    assert all(one.result.failed <= one.result.applicable <= 1 for one in judged)
    return {one.kind.name for one in judged if one.result.failed}


@pytest.mark.parametrize(
    ("cycle", "last", "fresh", "late"),
    [
        (Cycle.daily, date(2026, 11, 2), date(2026, 11, 3), date(2026, 11, 4)),
        (Cycle.daily, date(2026, 11, 6), date(2026, 11, 9), date(2026, 11, 10)),  # over a weekend
        (Cycle.daily, date(2026, 9, 30), date(2026, 10, 8), date(2026, 10, 9)),  # over the national holiday
        (Cycle.every_day, date(2026, 11, 6), date(2026, 11, 7), date(2026, 11, 8)),
        (Cycle.weekly, date(2026, 11, 2), date(2026, 11, 9), date(2026, 11, 10)),
        (Cycle.monthly, date(2026, 10, 1), date(2026, 11, 6), date(2026, 11, 7)),
    ],
)
def test_a_delivery_is_late_only_when_its_cycle_and_the_working_days_are_over(
    small_catalog: Catalog, cycle: Cycle, last: date, fresh: date, late: date
) -> None:
    resource = small_catalog.resources[RESIDENTS].model_copy(update={"cycle": cycle})
    assert failed(resource, [delivery(last)], fresh) == set()
    assert failed(resource, [delivery(last)], late) == {"late"}


def test_a_resource_that_never_delivered_is_late_only_once_its_first_delivery_was_due(small_catalog: Catalog) -> None:
    resource = small_catalog.resources[RESIDENTS].model_copy(update={"published": DAY})
    assert failed(resource, [], DAY) == set()
    assert failed(resource, [], DAY + timedelta(days=9)) == {"late"}


def test_a_rejected_delivery_is_a_finding_of_its_own_and_no_excuse_for_lateness(small_catalog: Catalog) -> None:
    resource = small_catalog.resources[RESIDENTS]
    good = delivery(DAY)
    bad = delivery(DAY + timedelta(days=2), state="rejected", mode=None, reasons=("missing_column",))
    short = delivery(DAY + timedelta(days=1), state="rejected", rows_declared=120, reasons=("declared_rows",))
    extra = delivery(DAY + timedelta(days=1), reasons=("extra_column", "delivered_again"))
    assert failed(resource, [good, bad], DAY + timedelta(days=2)) == {"structure", "late"}
    unread = replace(short, reasons=("gzip",), rows_delivered=0)
    assert failed(resource, [good, short], DAY + timedelta(days=1)) == {"rows"}
    assert failed(resource, [good, unread], DAY + timedelta(days=1)) == {"structure"}
    assert failed(resource, [good, extra], DAY + timedelta(days=1)) == {"columns"}
    assert failed(resource, [good, bad, delivery(DAY + timedelta(days=3))], DAY + timedelta(days=3)) == set()


def test_a_volume_far_off_is_a_finding_of_the_delivery(small_catalog: Catalog) -> None:
    resource = small_catalog.resources[RESIDENTS]
    days = [DAY + timedelta(days=n) for n in range(3)]
    some = [delivery(days[0], 1000), delivery(days[1], 400), delivery(days[2], 980)]
    assert failed(resource, some[:2], days[1]) == {"volume"}
    assert failed(resource, some, days[2]) == set()
    incremental = [replace(one, mode="incremental") for one in some]
    assert failed(resource, incremental[:2], days[1]) == set()


def pool(con: duckdb.DuckDBPyConnection, records: list[tuple[str, str, str]]) -> None:
    """The residents' pool made to hold these (key, name, sex)."""
    con.execute(f"DELETE FROM {RESIDENTS}")
    for number, (key, name, sex) in enumerate(records, 1):
        con.execute(
            f"INSERT INTO {RESIDENTS} (id_number, name, sex, birth_date, _record_key, _delivery_id, _row, _as_of,"
            " _copies, _hash) VALUES ($1, $2, $3, id_birth_date($1), $1, 'd1', $4, '2026-11-02', 1, 0)",
            [key, name, sex, number],
        )


def test_a_citys_findings_results_documents_and_scores_follow_its_pool(small_city: City) -> None:
    right, wrong = "11010519491231002X", "110105194912310021"
    resource = small_city.catalog.resources[RESIDENTS]
    following = DAY + timedelta(days=1)
    small_city.commit(
        "public_security", lambda con: pool(con, [(right, "张三", "2"), (wrong, "李四", "男")]), author="t"
    )
    first = quality.check_pool(small_city, resource, DAY, author="t")
    again = quality.check_pool(small_city, resource, DAY, author="t")
    assert first == again
    open_now = "SELECT rule_id, record_key, observed_value, suggested_value FROM quality.findings WHERE status = 'open'"
    assert sorted(small_city.con.execute(open_now).fetchall()) == [
        (f"{RESIDENTS}.id_number.identifier", wrong, wrong, None),
        (f"{RESIDENTS}.sex.code", wrong, "男", "1"),
    ]

    small_city.commit(
        "public_security", lambda con: pool(con, [(right, "张三", "2"), (wrong, "李四", "1")]), author="t"
    )
    quality.check_pool(small_city, resource, following, author="t")
    assert [rule for rule, *_ in small_city.con.execute(open_now).fetchall()] == [f"{RESIDENTS}.id_number.identifier"]
    together = quality.check_pools(small_city, list(small_city.catalog.resources.values()), following, author="t")
    assert set(together) == set(small_city.catalog.resources)
    assert together[RESIDENTS] == quality.check_pool(small_city, resource, following, author="t")
    closed = small_city.con.execute("SELECT closed_on FROM quality.findings WHERE status = 'resolved'").fetchall()
    assert closed == [(following,)]

    late = quality.check_deliveries(small_city, following, author="t")
    assert {r.rule_id for r in late if r.failed} == {
        *(f"{r.id}.delivery.late" for r in small_city.catalog.resources.values()),
        "public_security.credit_village__resident_overview.delivery.stale",
    }
    scoring.score(small_city, following, author="t")
    score = (
        "SELECT numerator, denominator FROM quality.scores WHERE scope = 'department' AND name = $1 AND indicator = $2"
    )
    assert small_city.con.execute(score, ["public_security", "0502"]).fetchall() == [(0, 1)] * 2  # day and month
    kept = small_city.home.validations / str(DAY) / f"{RESIDENTS}.json"
    [document] = json.loads(kept.read_text("utf-8"))
    assert document["statistics"]["evaluated_expectations"] == len(first) + 1
    assert wrong not in kept.read_text("utf-8")


@pytest.mark.parametrize(
    ("suggest", "said"),
    [("no_such_macro(id_number)", "no_such_macro"), ("(name || 'x')::integer", "Conversion Error: Could not convert")],
)
def test_a_suggestion_that_does_not_run_costs_its_rule_alone_and_nothing_is_found_twice(
    small_city: City, suggest: str, said: str
) -> None:
    wrong = "110105194912310021"
    resource = small_city.catalog.resources[RESIDENTS]
    small_city.commit("public_security", lambda con: pool(con, [(wrong, "李四", "男")]), author="t")
    broken = resource.rules[0].model_copy(update={"id": "PSB-901", "that": "false", "when": "true", "suggest": suggest})
    resource = resource.model_copy(update={"rules": (*resource.rules, broken)})
    results = {one.rule_id: one for one in quality.check_pool(small_city, resource, DAY, author="t")}
    assert results["PSB-901"].state == "error"
    assert said in results["PSB-901"].message
    assert "李四" not in results["PSB-901"].message
    assert {one.state for rule, one in results.items() if rule != "PSB-901"} == {"ok"}
    found = small_city.con.execute(
        "SELECT rule_id, count(*) FROM quality.findings GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert found == [(f"{RESIDENTS}.id_number.identifier", 1), (f"{RESIDENTS}.sex.code", 1)]
