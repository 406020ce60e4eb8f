"""Rules about several records: Great Expectations' count, the findings and plain Python over the rows say the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import permutations
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_runner import RESIDENTS, con, put, run, written

from catalog.load import Catalog
from catalog.rules import Rule

__all__ = ["con"]

Record = dict[str, Any]
Verdicts = list[bool | None]  # by record: kept, broken, or nothing said
SANE = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEW = st.none() | st.sampled_from(["甲", "乙", "丙"])
RECORDS = st.lists(
    st.fixed_dictionaries({"name": FEW, "sex": FEW, "marital_status": FEW, "household_size": st.integers(0, 3)}),
    max_size=14,
)


def several(**fields: object) -> Rule:
    return written(**{"that": None, **fields})


def unique_by_hand(records: list[Record], columns: list[str], speaks: Callable[[Record], bool]) -> Verdicts:
    keys = [tuple(record[column] for column in columns) if speaks(record) else (None,) for record in records]
    times = Counter(keys)
    return [None if None in key else times[key] == 1 for key in keys]


def depends_by_hand(records: list[Record], by: list[str], column: str, majority: float) -> Verdicts:
    groups: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for record in records:
        if record[column] is not None:
            groups[tuple(record[name] for name in by)][record[column]] += 1
    verdicts: Verdicts = []
    for record in records:
        key, said = tuple(record[name] for name in by), record[column]
        most = max(groups[key].values(), default=0)
        clear = None not in key and said is not None and most > majority * groups[key].total()
        verdicts.append(groups[key][said] == most if clear else None)
    return verdicts


def denied_by_hand(records: list[Record], same: list[str], never: Callable[[Record, Record], bool]) -> Verdicts:
    broken = {id(a) for a, b in permutations(records, 2) if all(a[name] == b[name] for name in same) and never(a, b)}
    return [None if any(record[name] is None for name in same) else id(record) not in broken for record in records]


def agree(con: duckdb.DuckDBPyConnection, catalog: Catalog, rule: Rule, records: list[Record], told: Verdicts) -> None:
    put(con, records)
    results, violations, document = run(con, catalog, [rule])
    result = results[rule.id]
    assert (result.applicable, result.failed) == (len(told) - told.count(None), told.count(False))
    assert sorted(int(key) for _, key, *_ in violations) == [n for n, kept in enumerate(told, 1) if kept is False]
    counted = document["results"][1]["result"]
    assert (counted["element_count"], counted["unexpected_count"]) == (result.applicable, result.failed)


@SANE
@given(records=RECORDS)
def test_no_two_records_agree_in_all_columns(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog, records: list[Record]
) -> None:
    rule = several(unique=["name", "sex"], when="household_size > 0")
    told = unique_by_hand(records, ["name", "sex"], lambda record: record["household_size"] > 0)
    agree(con, small_catalog, rule, records, told)


@SANE
@given(records=RECORDS, majority=st.sampled_from([0, 0.5, 0.7]))
def test_a_column_depends_on_others_and_only_a_minority_is_accused(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog, records: list[Record], majority: float
) -> None:
    rule = several(depends=["name", "household_size"], column="sex", majority=majority)
    agree(con, small_catalog, rule, records, depends_by_hand(records, ["name", "household_size"], "sex", majority))


def test_the_value_of_the_majority_is_suggested_and_none_of_two(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    put(con, [{"name": "甲", "sex": sex} for sex in ("1", "1", "2")])
    _, violations, _ = run(con, small_catalog, [several(depends=["name"], column="sex")])
    assert [(key, observed, suggested) for _, key, observed, suggested, _ in violations] == [("3", "2", "1")]
    put(con, [{"name": "甲", "sex": sex} for sex in ("1", "1", "2", "3", "3")])
    _, violations, _ = run(con, small_catalog, [several(depends=["name"], column="sex", majority=0)])
    assert [(key, observed, suggested) for _, key, observed, suggested, _ in violations] == [("3", "2", None)]


@SANE
@given(records=RECORDS)
def test_two_records_never_stand_together(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog, records: list[Record]
) -> None:
    rule = several(denied={"same": ["name"], "never": "a.household_size > b.household_size and a.sex = b.sex"})

    def never(a: Record, b: Record) -> bool:
        return bool(a["household_size"] > b["household_size"] and a["sex"] is not None and a["sex"] == b["sex"])

    agree(con, small_catalog, rule, records, denied_by_hand(records, ["name"], never))


@SANE
@given(records=RECORDS)
def test_a_query_names_the_failing_records(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog, records: list[Record]
) -> None:
    most = f"select max(household_size) from {RESIDENTS}"
    rule = several(failing=f"select _record_key from {RESIDENTS} where household_size = ({most})", when="sex = '甲'")
    highest = max((record["household_size"] for record in records), default=0)
    told: Verdicts = [record["household_size"] != highest if record["sex"] == "甲" else None for record in records]
    agree(con, small_catalog, rule, records, told)


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"that": "true", "unique": ["name"]},
        {"depends": ["name"], "column": "name"},
        {"that": "true", "majority": 0.9},
    ],
)
def test_a_rule_states_exactly_one_condition(stated: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"exactly one of that, unique|cannot depend on itself|beside depends only"):
        several(**stated)
