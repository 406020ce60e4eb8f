"""Suites run by Great Expectations on DuckDB: its counts, our failing records and plain Python say the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.load import Catalog
from catalog.rules import Lookup, Rule, Tolerance
from quality_checks import findings, macros, suites
from quality_checks.examination import examine
from quality_checks.results import RuleResult, redact
from quality_checks.rules import baseline_rules
from quality_checks.runner import _imported_when_used, exported, validate

RESIDENTS = "public_security.resident_registration"
CODES = {"0", "1", "2", "9"}
SANE = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def con(small_catalog: Catalog) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(macros.SQL)
        suites.create_tables(connection, small_catalog)
        yield connection


def written(**fields: object) -> Rule:
    told = {
        "id": "T-001", "that": "true", "column": "name", "zh": "测试", "en": "test", "indicator": "0104",
        "severity": "error", "source": "test",
    }  # fmt: skip
    return Rule.model_validate({**told, **fields})


def put(con: duckdb.DuckDBPyConnection, records: list[dict[str, Any]]) -> None:
    """Make the residents' pool hold these records, keyed 1, 2, …; a column left out is null."""
    con.execute(f"DELETE FROM {RESIDENTS}")
    for number, record in enumerate(records, 1):
        full = {"_record_key": str(number), "_delivery_id": "d1", "_copies": 1, **record}
        raw = full.pop("_raw", None)
        names = ", ".join(full)
        marks = ", ".join(f"${n}" for n, _ in enumerate(full, 1))
        as_map = (
            f"MAP {{{', '.join(f'{macros.quote(k)}: {macros.quote(v)}' for k, v in raw.items())}}}" if raw else "NULL"
        )
        con.execute(f"INSERT INTO {RESIDENTS} ({names}, _raw) VALUES ({marks}, {as_map})", list(full.values()))


def run(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, rules: list[Rule]
) -> tuple[dict[str, RuleResult], list[tuple[Any, ...]], dict[str, Any]]:
    """Results by rule id, the violations (rule, record key, observed, suggested, reason), GX's document."""
    findings.start(con)
    results = []
    for suite in suites.pool_suites(catalog, catalog.resources[RESIDENTS], rules):
        validation = validate(con, suite)
        results += findings.collect(con, suite, validation.results)
    told = con.execute(
        f"SELECT rule_id, record_key, observed_value, suggested_value, reason FROM {findings.VIOLATIONS} ORDER BY ALL"
    ).fetchall()
    return {result.rule_id: result for result in results}, told, validation.document


names = st.none() | st.text(min_size=1, max_size=60)
sexes = st.none() | st.sampled_from(["0", "1", "2", "9", "3", "男", " 1"])
sizes = st.none() | st.integers(-5, 20)
births = st.none() | st.dates(date(1900, 1, 1), date(2030, 1, 1))
unparsed = st.none() | st.sampled_from([{"birth_date": "31.12.1999"}, {"household_size": "many"}])
people = st.lists(
    st.fixed_dictionaries(
        {"name": names, "sex": sexes, "household_size": sizes, "birth_date": births, "_raw": unparsed}
    ).map(lambda r: {**r, **dict.fromkeys(r["_raw"] or (), None)}),
    max_size=12,
)


@SANE
@given(records=people)
def test_gx_counts_collected_records_and_plain_python_agree(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog, records: list[dict[str, Any]]
) -> None:
    resource = small_catalog.resources[RESIDENTS]
    chosen = {rule.id.removeprefix(f"{RESIDENTS}."): rule for rule in baseline_rules(resource, small_catalog)}
    small = written(id="SMALL", that="household_size <= 8", when="sex = '1' or sex = '2'", column="household_size")
    kinds = ["name.required", "name.length", "sex.required", "sex.code", "birth_date.required", "birth_date.type"]

    def raw(record: dict[str, Any], column: str) -> bool:
        return column in (record["_raw"] or {})

    def oracle(record: dict[str, Any]) -> dict[str, bool | None]:
        name, sex, born = record["name"], record["sex"], record["birth_date"]
        size = record["household_size"]
        stated = born is not None or raw(record, "birth_date")
        return {
            "name.required": name is not None,
            "name.length": None if name is None else len(name) <= 50,
            "sex.required": sex is not None,
            "sex.code": None if sex is None else sex in CODES,
            "birth_date.required": stated,
            "birth_date.type": not raw(record, "birth_date") if stated else None,
            "SMALL": size <= 8 if size is not None and sex in ("1", "2") else None,
        }

    put(con, records)
    results, violations, document = run(con, small_catalog, [*(chosen[kind] for kind in kinds), small])
    verdicts = [oracle(record) for record in records]
    for kind in [*kinds, "SMALL"]:
        rule_id = kind if kind == "SMALL" else f"{RESIDENTS}.{kind}"
        applicable = [verdict[kind] for verdict in verdicts if verdict[kind] is not None]
        assert (results[rule_id].applicable, results[rule_id].failed) == (len(applicable), applicable.count(False))
        failing = {str(n) for n, verdict in enumerate(verdicts, 1) if verdict[kind] is False}
        assert {key for rule, key, *_ in violations if rule == rule_id} == failing
    told = {r["expectation_config"]["meta"].get("rule"): r["result"] for r in document["results"]}
    assert {rule: told[rule]["unexpected_count"] or 0 for rule in results} == {
        r.rule_id: r.failed for r in results.values()
    }


def test_a_table_is_read_once_and_all_its_rules_are_counted_in_one_query(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    put(con, [{"name": "张三", "sex": "1"}, {"name": "", "sex": "3"}])
    rules = list(baseline_rules(small_catalog.resources[RESIDENTS], small_catalog))
    [suite] = suites.pool_suites(small_catalog, small_catalog.resources[RESIDENTS], rules)
    findings.start(con)
    validate(con, suite)  # GX warmed up
    asked: list[str] = []
    listening = Listening(con, asked)
    validation = validate(listening, suite)  # type: ignore[arg-type]
    assert findings.collect(listening, suite, validation.results) == validation.results  # type: ignore[arg-type]
    assert len([query for query in asked if suite.relation in query]) == 1
    stock = sum(rule.expect is not None for rule in rules)
    assert len(rules) > 8 > stock > 3
    counting = [query for query in asked if "FROM verdicts" in query and not query.startswith("INSERT")]
    assert len(counting) == 1


class Listening:
    """A connection that notes the queries it passes on."""

    def __init__(self, con: duckdb.DuckDBPyConnection, asked: list[str]) -> None:
        self._con = con
        self._asked = asked

    def execute(self, query: str, *args: Any) -> Any:
        told = [args[0][int(number) - 1] for number in re.findall(r"LIMIT \$(\d+)", query)]
        self._asked.append(re.sub(r"LIMIT \$\d+", f"LIMIT {told}", query))
        return self._con.execute(query, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)


def test_a_rule_with_wrong_sql_is_an_error_of_that_rule_and_all_others_are_evaluated(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    put(con, [{"name": "11010519491231002X", "household_size": 2}, {"name": "7", "household_size": 9}])
    rules = [
        written(id="GOOD-1", that="household_size <= 8", column="household_size"),
        written(id="RAISES", that="name::INTEGER > 3"),
        written(id="GOOD-2", that="length(name) < 5"),
        written(id="GOOD-3", that="household_size > 0", column="household_size"),
    ]
    results, violations, document = run(con, small_catalog, rules)
    assert {r.rule_id: (r.state, r.applicable, r.failed) for r in results.values()} == {
        "GOOD-1": ("ok", 2, 1),
        "RAISES": ("error", 0, 0),
        "GOOD-2": ("ok", 2, 1),
        "GOOD-3": ("ok", 2, 0),
    }
    assert {(rule, key) for rule, key, *_ in violations} == {("GOOD-1", "2"), ("GOOD-2", "1")}
    assert "Conversion Error" in results["RAISES"].message
    assert "11010519491231002X" not in results["RAISES"].message + json.dumps(document)


@pytest.mark.parametrize(
    "stated",
    [
        {"that": None, "failing": f"SELECT _record_key FROM {RESIDENTS} WHERE name::INTEGER > 3"},
        {"that": None, "denied": {"same": ["sex"], "never": "a.name::INTEGER > 1"}},
        {"that": None, "unique": ["name"], "when": "name::INTEGER > 1"},
        {"that": "x.name IS NULL", "lookup": {"x": {"to": "base.population", "by": "name::INTEGER::VARCHAR"}}},
    ],
    ids=["query", "denial", "uniqueness", "lookup"],
)
def test_a_rule_that_fails_outside_its_verdict_costs_itself_alone(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog, stated: dict[str, Any]
) -> None:
    put(con, [{"name": "张三", "sex": "1"}, {"name": "李四", "sex": "1"}])
    rules = [written(id="GOOD", that="name <> '张三'"), written(id="BAD", **stated)]
    rules.append(written(id="LOOKS", that="y.name IS NULL", lookup={"y": Lookup(to="base.population", by="name")}))
    findings.start(con)
    results, _ = examine(con, partial(suites.pool_suites, small_catalog, small_catalog.resources[RESIDENTS]), rules)
    assert {r.rule_id: (r.state, r.applicable, r.failed) for r in results} == {
        "GOOD": ("ok", 2, 1), "BAD": ("error", 0, 0), "LOOKS": ("ok", 2, 0)}  # fmt: skip
    assert "张三" not in "".join(result.message for result in results)
    assert con.execute(f"SELECT rule_id, count(*) FROM {findings.VIOLATIONS} GROUP BY 1").fetchall() == [("GOOD", 1)]


def test_a_query_of_failing_records_may_tell_more_than_their_keys(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    put(con, [{"name": "张三"}, {"name": "李四"}])
    pairs = f"SELECT a._record_key, b.name FROM {RESIDENTS} a, {RESIDENTS} b WHERE a.name = '张三'"
    results, violations, _ = run(con, small_catalog, [written(that=None, failing=pairs)])
    assert [(one.applicable, one.failed) for one in results.values()] == [(2, 1)]
    assert len(violations) == 1


def test_a_rule_that_does_not_bind_is_told_beside_the_suite_of_the_others(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    resource = small_catalog.resources[RESIDENTS]
    nobody = Lookup(to="base.population", by="no_such_column")
    rules = [
        written(id="GOOD", that="name <> ''"),
        written(id="COLUMN", that="nmae <> ''"),
        written(id="LOOKUP", that="person.name = name", lookup={"person": nobody}),
        written(id="SUGGEST", that="name <> ''", suggest="no_such_macro(name)"),
    ]
    [suite], broken = suites.bind(con, lambda chosen: suites.pool_suites(small_catalog, resource, chosen), rules)
    assert [rule.id for rule in suite.rules] == ["GOOD"]
    assert set(broken) == {"COLUMN", "LOOKUP", "SUGGEST"}
    assert "nmae" in broken["COLUMN"]


def test_no_record_is_no_pass(con: duckdb.DuckDBPyConnection, small_catalog: Catalog) -> None:
    put(con, [])
    results, violations, document = run(con, small_catalog, [written(that="name <> ''")])
    assert (results["T-001"].applicable, results["T-001"].failed) == (0, 0)
    assert violations == []
    assert document["success"] is False


def test_a_record_looks_up_its_partner_once_however_many_rows_answer(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    put(
        con,
        [{"id_number": "A", "name": "张三"}, {"id_number": "B", "name": "李四"}, {"id_number": "C", "name": "王五"}],
    )
    con.execute("INSERT INTO base.population (id_number, name) VALUES ('A', '张三'), ('B', '李五')")
    con.execute("""
        INSERT INTO civil_affairs.marriage_registration (id_number, marital_status, _as_of, _record_key)
        VALUES ('A', '20', '2026-01-01', 'x'), ('A', '40', '2026-03-01', 'y'), ('A', '20', '2026-02-01', 'z')
    """)
    person = Lookup(to="base.population", by="id_number")
    marriage = Lookup(to="civil_affairs.marriage_registration", by="upper(id_number)", on="id_number")
    rules = [
        written(id="NAME", that="person.name = name", lookup={"person": person}, suggest="person.name"),
        written(id="KNOWN", that="person.id_number IS NOT NULL", lookup={"person": person}),
        written(id="LAST", that="marriage.marital_status = '40'", lookup={"marriage": marriage}),
    ]
    results, violations, _ = run(con, small_catalog, rules)
    counted = {rule: (result.applicable, result.failed) for rule, result in results.items()}
    assert counted == {"NAME": (2, 1), "KNOWN": (3, 1), "LAST": (1, 0)}
    assert [told[:4] for told in violations] == [("KNOWN", "3", "王五", None), ("NAME", "2", "李四", "李五")]


def test_one_name_for_two_tables_makes_two_suites(con: duckdb.DuckDBPyConnection, small_catalog: Catalog) -> None:
    put(con, [{"id_number": "A", "name": "B"}])
    con.execute("INSERT INTO base.population (id_number, name) VALUES ('A', 'by number'), ('B', 'by name')")
    rules = [
        written(id="NUMBER", that="x.name = 'by number'", lookup={"x": Lookup(to="base.population", by="id_number")}),
        written(id="NAME", that="x.name = 'by name'", lookup={"x": Lookup(to="base.population", by="name")}),
    ]
    both = suites.pool_suites(small_catalog, small_catalog.resources[RESIDENTS], rules)
    assert len(both) == 2
    assert [(r.applicable, r.failed) for suite in both for r in validate(con, suite).results] == [(1, 0), (1, 0)]


def test_a_thematic_rule_accuses_only_records_that_are_in_the_accused_pool(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    con.execute(
        f"INSERT INTO {RESIDENTS} (id_number, _record_key, _delivery_id) VALUES ('A', 'A', 'd7'), ('B', 'B', 'd8')"
    )
    con.execute("""
        INSERT INTO thematic.credit_village__resident_overview (id_number, enterprises)
        VALUES ('A', 9), ('B', 1), ('STRANGER', 9)
    """)
    [table] = small_catalog.thematic.values()
    [suite] = suites.thematic_suites(small_catalog, table, table.rules)
    validation = validate(con, suite)
    findings.start(con)
    [result] = findings.collect(con, suite, validation.results)
    assert (result.department, result.resource) == ("public_security", "resident_registration")
    assert (result.applicable, result.failed, result.state) == (2, 1, "ok")
    told = con.execute(f"SELECT record_key, observed_value, delivery_id FROM {findings.VIOLATIONS}").fetchall()
    assert told == [("A", "9", "d7")]


def test_the_observed_value_is_the_departments_own_text_and_a_suggestion_says_something_else(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    put(con, [{"name": " 张三 ", "_raw": {"birth_date": "1999.02.30"}}, {"name": "李四\u3000", "birth_date": None}])
    resource = small_catalog.resources[RESIDENTS]
    typed = next(r for r in baseline_rules(resource, small_catalog) if r.id.endswith("birth_date.type"))
    trimmed = written(id="TRIM", that="name = trim(name)", suggest="trim(name)", zh="姓名不得含首尾空格")
    useless = written(id="SAME", that="false", suggest="name")
    _, violations, _ = run(con, small_catalog, [typed, trimmed, useless])
    assert (typed.id, "1", "1999.02.30", None, f"{typed.zh}：实际为「1999.02.30」") in violations
    assert ("TRIM", "1", " 张三 ", "张三", "姓名不得含首尾空格：实际为「 张三 」") in violations
    assert [told[3] for told in violations if told[0] == "SAME"] == [None, None]


def test_gx_results_hold_no_value_of_a_record(con: duckdb.DuckDBPyConnection, small_catalog: Catalog) -> None:
    canary = "11010519491231009Z"
    put(con, [{"id_number": canary, "name": f"{canary}{n}", "sex": canary} for n in range(5)])
    resource = small_catalog.resources[RESIDENTS]
    results, violations, document = run(con, small_catalog, list(baseline_rules(resource, small_catalog)))
    assert sum(result.failed for result in results.values()) >= 10
    assert any(canary in str(told) for told in violations)
    assert canary not in json.dumps(document)
    assert document["meta"]["great_expectations_version"].startswith("1.24")


def test_the_citys_connection_is_as_it_was_after_a_suite(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    put(con, [{"name": "张三"}])
    run(con, small_catalog, [written(that="name::INTEGER > 3"), written(id="T-002", that="name <> ''")])
    con.execute("BEGIN")
    assert con.execute(f"SELECT count(*) FROM {RESIDENTS}").fetchone() == (1,)
    con.execute("ROLLBACK")
    assert con.execute("SELECT name_ok('张三')").fetchone() == (True,)


@pytest.mark.parametrize("said", ["34012319900101123X", "张三\n李四", "O'Brien 王小明", 'x"张三'])
def test_a_database_error_is_told_without_what_it_quotes(said: str) -> None:
    message = f"Conversion Error: Could not convert string '{said}' to INT32\nLINE 1: …"
    assert redact(message) == "Conversion Error: Could not convert string …"


def test_a_tolerated_share_passes_and_every_record_is_still_found(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    put(con, [{"household_size": size} for size in (1, 1, 1, 1, 0)])
    told = {"share": 0.2, "reason": "known", "until": "2026-12-31"}
    strict = written(id="T-1", that="household_size > 0")
    lenient = written(id="T-2", that="household_size > 0", tolerance=told)
    harder = written(id="T-3", that="household_size > 0", tolerance=told | {"share": 0.19})
    assert Tolerance(share=0.29, reason="known", until=date(2026, 12, 31)).of(100) == 29
    results, violations, document = run(con, small_catalog, [strict, lenient, harder])
    assert [result.failed > result.tolerated for result in results.values()] == [True, False, True]
    assert [one["success"] for one in document["results"][1:]] == [False, True, False]
    assert Counter(rule for rule, *_ in violations) == dict.fromkeys(("T-1", "T-2", "T-3"), 1)


STOCK = """
import json, sys
import duckdb, great_expectations as gx, sqlalchemy as sa
from great_expectations.core.batch import Batch
from great_expectations.core.expectation_suite import ExpectationSuite
from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
from great_expectations.validator.validator import Validator
from quality_checks import expectations, macros

told = json.loads(open(sys.argv[1]).read())
con = duckdb.connect(sys.argv[2], read_only=True)
con.execute(macros.SQL)
con.execute(f"CREATE TEMP VIEW checked AS {told['meta']['relation']}")
suite = ExpectationSuite(**told)
engine = expectations.DuckDB(con)
rows = SqlAlchemyBatchData(engine, selectable=sa.table("checked"), create_temp_table=False)
context = gx.get_context(mode="ephemeral")
validator = Validator(engine, batches=[Batch(data=rows)], expectation_suite=suite, data_context=context)
counts_only = {"result_format": "BASIC", "partial_unexpected_count": 0}
found = validator.validate(suite, result_format=counts_only)
print(json.dumps([[one.success, one.result] for one in found.results]))
"""


def test_an_exported_suite_is_loaded_and_run_by_a_stock_great_expectations(
    small_catalog: Catalog, tmp_path: Path
) -> None:
    table = "SELECT '1' AS _record_key, 'd1' AS _delivery_id, NULL::MAP(VARCHAR, VARCHAR) AS _raw, "
    short = {"type": "expect_column_value_lengths_to_be_between", "max_value": 2}
    ending = {"type": "expect_column_values_to_match_regex", "regex": "[三五]$"}
    suite = suites.Suite("people", "police", "people", "SELECT * FROM people", (
        written(id="T-1", that="name_ok(name)"), written(id="T-2", that="name IS NOT NULL"),
        written(id="T-3", expect=short, that=None), written(id="T-4", expect=ending, that=None),
        written(id="T-5", expect={"type": "expect_column_values_to_not_be_null"}, that=None)))  # fmt: skip
    with duckdb.connect(str(tmp_path / "pool.duckdb")) as con:
        con.execute(macros.SQL)
        con.execute(f"CREATE TABLE people AS {table} unnest(['张三', '李 四', NULL]) AS name")
        ours = validate(con, suite).document
    (tmp_path / "suite.json").write_text(json.dumps(exported(suite)))
    done = subprocess.run(
        [sys.executable, "-c", STOCK, str(tmp_path / "suite.json"), str(tmp_path / "pool.duckdb")],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    stock = json.loads(done.stdout.splitlines()[-1])
    assert [[success, result.get("unexpected_count")] for success, result in stock] == [
        [True, None], [True, 0], [False, 1], [False, 1], [False, 1], [False, 1]
    ]  # fmt: skip
    assert [[one["success"], one["result"]] for one in ours["results"]] == stock
    from great_expectations.core import expectation_validation_result as gx_results  # takes seconds

    read = gx_results.ExpectationSuiteValidationResult(**ours)
    read.results = [gx_results.expectationValidationResultSchema.load(one) for one in ours["results"]]
    assert read.to_json_dict() == ours


def test_what_great_expectations_seldom_needs_is_imported_when_it_is_used() -> None:
    """A package and a part of it, as scipy and scipy.stats; nobody who comes later meets the stand-ins."""
    names = ("wsgiref", "wsgiref.util", "wsgiref.headers")
    for module in names:
        sys.modules.pop(module, None)
    with _imported_when_used(*names[:2]):
        import wsgiref as package
        from wsgiref import util
        from wsgiref.headers import Headers  # what another thread may import meanwhile

        assert not hasattr(package, "__file__")
        assert "guess_scheme" not in vars(util)
    assert sys.modules.keys().isdisjoint(names[:2])
    assert util.guess_scheme({}) == "http"
    assert sys.modules["wsgiref.util"].guess_scheme is util.guess_scheme
    import wsgiref

    assert wsgiref.__file__
    assert Headers([("a", "b")])["a"] == "b"
