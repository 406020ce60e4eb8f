"""Expectations of Great Expectations as rules: its count, the findings and plain Python over the records are one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import duckdb
import pytest
from test_runner import RESIDENTS, con, put, run, written

from catalog.load import Catalog
from catalog.rules import Rule
from quality_checks.runner import exported
from quality_checks.suites import bind, pool_suites

__all__ = ["con"]

Record = dict[str, Any]
Oracle = Callable[[Record], bool | None]

RECORDS: list[Record] = [
    {"name": name, "sex": sex, "birth_date": born, "household_size": size, "_row": row}
    for name, sex, born, size, row in [
        ("张三", "1", date(2020, 1, 1), 1, 1), ("a%b", "a%b", date(2020, 1, 2), 2, 1), ("A12", "2", None, 1, 2),
        (None, "1", None, None, 3), ("a_b", None, date(1999, 12, 31), 3, None), ("axb", "axb", None, None, None),
        ("", "1", date(2020, 1, 1), 5, -5), ("it's", "2", date(2020, 6, 1), 9, 7), ("张三", "2", None, 2, 1),
        (None, None, date(2030, 1, 1), -4, -4),
    ]
]  # fmt: skip


def text(says: Callable[[str], bool]) -> Oracle:
    return lambda record: None if record["name"] is None else says(record["name"])


def size(says: Callable[[int], bool]) -> Oracle:
    return lambda record: None if record["household_size"] is None else says(record["household_size"])


def born(says: Callable[[date], bool]) -> Oracle:
    return lambda record: None if record["birth_date"] is None else says(record["birth_date"])


def both(first: str, second: str, says: Callable[[Any, Any], bool]) -> Oracle:
    return lambda record: None if None in (record[first], record[second]) else says(record[first], record[second])


def once(*columns: str) -> Oracle:
    def alone(record: Record) -> bool | None:
        key = [record[column] for column in columns]
        return None if None in key else [[one[column] for column in columns] for one in RECORDS].count(key) == 1

    return alone


NAMES = {"column_A": "name", "column_B": "sex"}
NUMBERS = ["household_size", "_row"]
# What a steward writes after `expect_column_` (or `expect_`), and what it means; `column` is of the rule.
CASES: list[tuple[str, dict[str, Any], Oracle]] = [
    ("values_to_not_be_null", {}, lambda r: r["name"] is not None),
    ("values_to_be_null", {}, lambda r: r["name"] is None),
    ("values_to_be_in_set", {"value_set": ["it's", "a%b", ""]}, text(lambda t: t in {"it's", "a%b", ""})),
    ("values_to_not_be_in_set", {"value_set": ["it's", "张三"]}, text(lambda t: t not in {"it's", "张三"})),
    ("values_to_be_in_set", {"column": "household_size", "value_set": [1, 2]}, size(lambda n: n in {1, 2})),
    ("value_lengths_to_be_between", {"min_value": 2, "max_value": 3}, text(lambda t: 2 <= len(t) <= 3)),
    ("value_lengths_to_be_between", {"min_value": 2, "strict_min": True}, text(lambda t: len(t) > 2)),
    ("value_lengths_to_equal", {"value": 3}, text(lambda t: len(t) == 3)),
    ("values_to_be_between", {"column": "household_size", "max_value": 2}, size(lambda n: n <= 2)),
    (
        "values_to_be_between",
        {"column": "household_size", "min_value": 0.5, "max_value": 5, "strict_max": True},
        size(lambda n: 0.5 <= n < 5),
    ),
    (
        "values_to_be_between",
        {"column": "birth_date", "min_value": date(2000, 1, 1), "max_value": "2020-06-01"},
        born(lambda d: date(2000, 1, 1) <= d <= date(2020, 6, 1)),
    ),
    (
        "values_to_be_between",
        {"column": "birth_date", "min_value": datetime(2020, 1, 1, 12, 0), "strict_min": True},  # noqa: DTZ001
        born(lambda d: d > date(2020, 1, 1)),
    ),
    ("values_to_match_regex", {"regex": "'s|%|三$"}, text(lambda t: re.search("'s|%|三$", t) is not None)),
    ("values_to_not_match_regex", {"regex": r"^\d|\d$"}, text(lambda t: not t[-1:].isdigit())),
    ("values_to_match_regex_list", {"regex_list": ["^a", "b$"]}, text(lambda t: t[:1] == "a" or t[-1:] == "b")),
    (
        "values_to_match_regex_list",
        {"regex_list": ["^a", "%"], "match_on": "all"},
        text(lambda t: t[:1] == "a" and "%" in t),
    ),
    ("values_to_not_match_regex_list", {"regex_list": ["^a", "三"]}, text(lambda t: t[:1] != "a" and "三" not in t)),
    ("values_to_match_like_pattern", {"like_pattern": "a_b"}, text(lambda t: re.fullmatch("a.b", t) is not None)),
    ("values_to_not_match_like_pattern", {"like_pattern": "a%"}, text(lambda t: t[:1] != "a")),
    ("values_to_match_like_pattern_list", {"like_pattern_list": ["a%", "张%"]}, text(lambda t: t[:1] in {"a", "张"})),
    (
        "values_to_match_like_pattern_list",
        {"like_pattern_list": ["a%", "_x_"], "match_on": "all"},
        text(lambda t: t == "axb"),
    ),
    (
        "values_to_not_match_like_pattern_list",
        {"like_pattern_list": ["a%", "张%"]},
        text(lambda t: t[:1] not in {"a", "张"}),
    ),
    ("values_to_be_unique", {}, once("name")),
    ("compound_columns_to_be_unique", {"column_list": NUMBERS}, once(*NUMBERS)),
    ("pair_values_to_be_equal", NAMES, both("name", "sex", lambda a, b: a == b)),
    (
        "pair_values_a_to_be_greater_than_b",
        {"column_A": "household_size", "column_B": "_row"},
        both(*NUMBERS, lambda a, b: a > b),
    ),
    (
        "pair_values_a_to_be_greater_than_b",
        {"column_A": "household_size", "column_B": "_row", "or_equal": True},
        both(*NUMBERS, lambda a, b: a >= b),
    ),
    (
        "pair_values_to_be_in_set",
        {**NAMES, "value_pairs_set": [["张三", "1"], ["it's", "2"]]},
        both("name", "sex", lambda a, b: (a, b) in {("张三", "1"), ("it's", "2")}),
    ),
    ("select_column_values_to_be_unique_within_record", {"column_list": NUMBERS}, both(*NUMBERS, lambda a, b: a != b)),
    ("multicolumn_sum_to_equal", {"column_list": NUMBERS, "sum_total": 3}, both(*NUMBERS, lambda a, b: a + b == 3)),
]


def ruled(number: int, name: str, arguments: dict[str, Any]) -> Rule:
    prefix = "expect_" if name.startswith(("compound", "select", "multi")) else "expect_column_"
    told = {"column": "name", **arguments}
    if "column_A" in told:
        told["ignore_row_if"] = "either_value_is_missing"
    if "column_list" in told:
        told["ignore_row_if"] = "any_value_is_missing"
    column = told.pop("column")
    return written(id=f"E-{number}", that=None, column=column, expect={"type": prefix + name, **told})


def test_what_great_expectations_counts_is_what_is_found_and_what_was_meant(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    put(con, RECORDS)
    rules = [ruled(number, name, arguments) for number, (name, arguments, _) in enumerate(CASES)]
    gated = [
        written(id=f"{one.id}-W", that=None, column=one.column, expect=one.expect, when="sex = '2'") for one in rules
    ]
    results, violations, _ = run(con, small_catalog, [*rules, *gated])
    for rule, (_, _, oracle) in zip(rules, CASES, strict=True):
        told = [oracle(record) for record in RECORDS]
        result = results[rule.id]
        assert (result.state, result.applicable) == ("ok", len(told) - told.count(None)), rule.expect
        assert result.failed == told.count(False) > 0, rule.expect
        found = {int(key) for one, key, *_ in violations if one == rule.id}
        assert found == {number for number, kept in enumerate(told, 1) if kept is False}, rule.expect
    for rule, (_, _, oracle) in zip(gated[:22], CASES, strict=False):  # those that other records do not decide
        told = [oracle(record) for record in RECORDS if record["sex"] == "2"]
        assert (results[rule.id].applicable, results[rule.id].failed) == (
            len(told) - told.count(None),
            told.count(False),
        )
    exports = [exported(suite) for suite in pool_suites(small_catalog, small_catalog.resources[RESIDENTS], rules)]
    types = {one["type"] for suite in exports for one in suite["expectations"]}
    stock = {rule.expect.type for rule in rules[:22] if rule.expect}
    assert types == stock | {"expect_table_row_count_to_be_between", "expect_records_to_obey_rule"}


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ({"type": "expect_column_mean_to_be_between", "min_value": 1}, "does not match any of the expected tags"),
        ({"type": "expect_column_values_to_be_between"}, "state min_value, max_value or both"),
        ({"type": "expect_column_values_to_be_between", "min_value": 3, "max_value": 2}, "min_value = 3 is above"),
        ({"type": "expect_column_values_to_be_between", "min_value": 3, "max_value": "2020-01-01"}, "of one kind"),
        ({"type": "expect_column_values_to_be_between", "max_value": 2**53 + 1}, "not exact in Great Expectations"),
        ({"type": "expect_column_values_to_be_in_set", "value_set": []}, "at least 1 item"),
        (
            {"type": "expect_column_values_to_match_regex", "regex": "a", "mostly": 0.9},
            "Extra inputs are not permitted",
        ),
        (
            {"type": "expect_compound_columns_to_be_unique", "column_list": ["a", "b"], "ignore_row_if": "never"},
            "any_value_is_missing",
        ),
    ],
)
def test_an_expectation_that_is_no_rule_is_refused(expect: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        written(that=None, expect=expect)
    with pytest.raises(ValueError, match="exactly one of"):
        written(expect={"type": "expect_column_values_to_be_unique"})


def test_an_expectation_that_does_not_fit_its_column_is_a_mistake_of_the_catalogue(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    wrong = {
        "text": ruled(1, "values_to_be_between", {"min_value": 1}),
        "pattern": ruled(2, "values_to_match_regex", {"regex": "(?<=a)b"}),
        "date": ruled(3, "values_to_match_regex", {"column": "birth_date", "regex": "^2"}),
    }
    resource = small_catalog.resources[RESIDENTS]
    _, broken = bind(con, lambda chosen: pool_suites(small_catalog, resource, chosen), list(wrong.values()))
    assert set(broken) == {rule.id for rule in wrong.values()}
