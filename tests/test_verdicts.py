"""The one scan of a suite: what it says of a record is what each rule alone says, however many rules and records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_runner import SANE, written

from catalog.rules import Rule
from quality_checks import macros
from quality_checks.suites import Suite, verdict
from quality_checks.verdicts import TIMES, VERDICTS, judge, judgements


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute(macros.SQL)
        yield con


def suite(table: str, rules: Sequence[Rule]) -> Suite:
    """A suite over a table whose columns `id` and `ids` are the record's own."""
    whole = (
        f"SELECT *, n::VARCHAR AS _record_key, 'd' AS _delivery_id, NULL::MAP(VARCHAR, VARCHAR) AS _raw FROM {table}"
    )
    return Suite("t", "police", "people", whole, tuple(rules), {"id": "号码", "ids": "号码"})


def counts(con: duckdb.DuckDBPyConnection, rules: Sequence[Rule]) -> list[tuple[int, int]]:
    """Records each rule applies to, and those that break it."""
    columns = judgements(rules)
    both = "".join(
        f"coalesce(sum({TIMES}) FILTER ({columns[verdict(rule)]} IS NOT NULL), 0)::INT,"
        f" coalesce(sum({TIMES}) FILTER (NOT {columns[verdict(rule)]}), 0)::INT, "
        for rule in rules
    )
    row = con.execute(f"SELECT {both} FROM {VERDICTS}").fetchone() or ()
    return list(zip(row[::2], row[1::2], strict=True))


right = "34152219900101123"
near = st.builds(
    lambda start, place, other, end: (start[:place] + other + start[place + 1 :]) + end,
    st.sampled_from([right, right.replace("19900101", "19900230"), "9" + right[1:], "0" + right[1:], right[:15]]),
    st.integers(0, 16),
    st.sampled_from([*"0123456789", *"abfFX_ -+.", "１", "年", "", "00"]),
    st.sampled_from([*"0123456789Xx_ ", "", "年"]),
)


@SANE
@given(texts=st.lists(near | st.none(), min_size=1, max_size=40))
def test_parts_worked_out_once_a_record_answer_as_the_macros_do(
    con: duckdb.DuckDBPyConnection, texts: list[str | None]
) -> None:
    con.execute(
        "CREATE OR REPLACE TABLE numbers AS SELECT *, person_id_ok(id) AS ok, id_birth_date(id) AS born,"
        " id_sex(id) AS sex, uscc_ok(id) AS credit FROM (SELECT unnest($1::VARCHAR[]) AS id, unnest(range($2)) AS n)",
        [texts, len(texts)],
    )
    rules = [
        written(id=f"T-{call}", that=f"{call}(id) IS NOT DISTINCT FROM {known}", column="id")
        for call, known in [("person_id_ok", "ok"), ("id_birth_date", "born"), ("id_sex", "sex"), ("uscc_ok", "credit")]
    ]
    assert judge(con, suite("numbers", rules)) == {}
    assert counts(con, rules) == [(len(texts), 0)] * len(rules)


def test_every_rule_has_its_own_verdict_however_many_there_are(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE OR REPLACE TABLE numbers AS SELECT n % 100 AS v, n FROM range(5000) t(n)")
    rules = [written(id=f"T-{k}", that=f"v <> {k}", when=f"v % 2 = {k % 2}", column="v") for k in range(95)]
    assert judge(con, suite("numbers", rules)) == {}
    assert counts(con, rules) == [(2500, 50)] * 95
    odd_and_even = con.execute(f"SELECT count(*) FROM {VERDICTS} WHERE _record_key IS NULL").fetchone()
    assert odd_and_even == (2,)  # of 95 to 99


def test_what_tells_a_finding_is_kept_of_records_that_break_a_rule_and_of_no_other(
    con: duckdb.DuckDBPyConnection,
) -> None:
    con.execute(
        "CREATE OR REPLACE TABLE numbers AS SELECT n, n AS v, 'x' || n AS Other, 7 AS unread FROM range(9) t(n)"
    )
    rules = [written(id="T-1", that="v < 8", suggest="upper(oTHER)", column="v")]
    assert judge(con, suite("numbers", rules)) == {}
    rows = con.execute(f"SELECT * EXCLUDE (_verdict_0) FROM {VERDICTS} ORDER BY v")
    assert {column[0] for column in rows.description} == {"v", "Other", "_record_key", "_delivery_id", "_raw", TIMES}
    assert [row[:2] for row in rows.fetchall()] == [(8, "x8"), (None, None)]


def test_a_rule_with_names_of_its_own_is_judged_as_written(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE OR REPLACE TABLE others AS SELECT $1 || id_check_digit($1) AS id", [right])
    con.execute(
        "CREATE OR REPLACE TABLE numbers AS SELECT 1 AS n, 'no number' AS id, id || ',' || id AS ids FROM others"
    )
    rules = [
        written(id="T-1", that="NOT person_id_ok(id)", column="id"),
        written(id="T-2", that="EXISTS (SELECT 1 FROM others o WHERE person_id_ok(id))", column="id"),
        written(id="T-3", that="list_bool_or(list_transform(['x'], lambda id: person_id_ok(id)))", column="id"),
        written(id="T-4", that="list_bool_and([person_id_ok(ids) for ids in string_split(ids, ',')])", column="id"),
        written(id="T-5", that="list_bool_or(list_transform(['x'], id -> person_id_ok(id)))", column="id"),
        written(id="T-6", that="coalesce(person_id_ok(null), id <> 'uscc_ok(id)')", column="id"),
    ]
    con.execute("SET lambda_syntax = 'ENABLE_SINGLE_ARROW'")
    assert judge(con, suite("numbers", rules)) == {}
    assert counts(con, rules) == [(1, 0), (1, 0), (1, 1), (1, 0), (1, 1), (1, 0)]


def test_rules_that_fail_on_a_record_are_named_and_all_others_judged(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE OR REPLACE TABLE numbers AS SELECT n, DATE '2026-01-01' + n::INT AS v FROM range(5) t(n)")
    rules = [written(id=f"T-{k}", that="v::VARCHAR::INT = 0" if k in (3, 7) else "n < 3", column="v") for k in range(9)]
    broken = judge(con, suite("numbers", rules))
    assert set(broken) == {"T-3", "T-7"}
    assert "2026" not in "".join(broken.values())
    assert counts(con, [rule for rule in rules if rule.id not in broken]) == [(5, 2)] * 7
    with pytest.raises(duckdb.BinderException):
        judge(con, suite("numbers", [*rules, written(id="T-9", that="nowhere = 1")]))


def test_no_record_leaves_no_verdict(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE OR REPLACE TABLE numbers AS SELECT 1 AS n, date '2026-01-01' AS v LIMIT 0")
    judge(con, suite("numbers", [written(that="v IS NOT NULL", column="v")]))
    assert con.execute(f"SELECT count(*) FROM {VERDICTS}").fetchone() == (0,)
