"""Great Expectations' own test cases on DuckDB: by Great Expectations itself, and by the predicates of our rules.

    python benchmarks/expectation_cases.py FOLDER [--json] [--all]

FOLDER holds the cases as Great Expectations ships them: data, arguments, expected outcome. DuckDB is treated as the
PostgreSQL of the cases, whose dialect its SQLAlchemy driver is. A case is

* not applicable, with the reason, when it is for other engines, when no typed column can hold its data, or when Great
  Expectations 1 no longer has its arguments or has the expectation for no SQL database,
* agreed or differing: success, observed value where Great Expectations 1 still tells one, unexpected values and
  expected errors against what came out.

`by Great Expectations` runs the stock expectation on `quality_checks.expectations.DuckDB`. `by our rules` makes a rule
of `catalog.expect` of the same arguments and collects the failing rows by its predicate, with their places; `refused`
are arguments that a rule may not state. Where no value is missing, the rule states `ignore_row_if` for the case. Exit 1
when a case differs that `docs/expectation_cases.md` does not name.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from catalog.rules import Rule
from quality_checks import runner
from quality_checks.macros import name
from quality_checks.suites import judged

ENGINES = {"sqlalchemy", "postgresql"}
ARGUED = Path(__file__).parent.parent / "docs" / "expectation_cases.md"
TYPES = {"DOUBLE_PRECISION": "DOUBLE", "NUMERIC": "DOUBLE"}


class NotApplicableError(Exception):
    """Why a case says nothing of DuckDB."""


@dataclass
class Case:
    """One case and what came of it; `detail` is wanted and found where they differ, or why it does not apply."""

    expectation: str
    data: str
    title: str
    by_gx: str = ""
    by_rules: str = ""
    detail: list[str] = field(default_factory=list)


def main() -> None:
    """Run all cases and print the counts by expectation."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--all", action="store_true", help="print every case that differs or does not apply")
    given = arguments.parse_args()
    warnings.simplefilter("ignore")
    runner._gx()
    logging.disable(logging.ERROR)
    cases = list(_cases(given.folder))
    unargued = [case for case in cases if "differs" in (case.by_gx, case.by_rules) and not _argued(case)]
    if given.json:
        sys.stdout.write(json.dumps(_summary(cases), ensure_ascii=False) + "\n")
    else:
        _print(cases, every=given.all)
    for case in unargued:
        print(f"not argued in {ARGUED.name}: {case.expectation} {case.data} {case.title}", file=sys.stderr)
    sys.exit(1 if unargued else 0)


def _argued(case: Case) -> bool:
    return any(case.expectation in line and f"`{case.title}`" in line for line in ARGUED.read_text().splitlines())


def _summary(cases: list[Case]) -> dict[str, Any]:
    told: dict[str, Any] = {"cases": len(cases), "expectations": len({case.expectation for case in cases})}
    for way in ("by_gx", "by_rules"):
        told[way] = dict(Counter(getattr(case, way) for case in cases))
    return told


def _print(cases: list[Case], *, every: bool) -> None:
    ways = ("agrees", "differs", "not applicable"), ("agrees", "differs", "refused")
    print(f"{'':72}{'by Great Expectations':>24}{'by our rules':>24}")
    print(f"{'expectation':64}{'cases':>8}" + "".join(f"{word[:7]:>8}" for words in ways for word in words))
    for expectation in dict.fromkeys(case.expectation for case in cases):
        own = [case for case in cases if case.expectation == expectation]
        gx, ours = Counter(case.by_gx for case in own), Counter(case.by_rules for case in own)
        figures = [len(own), *(gx[word] for word in ways[0]), *(ours[word] for word in ways[1])]
        print(f"{expectation:64}" + "".join(f"{figure:8}" for figure in figures))
    print(_summary(cases))
    for case in cases:
        if "differs" in (case.by_gx, case.by_rules) or (every and case.detail):
            print(f"{case.expectation} {case.data} {case.title}: {case.by_gx}, {case.by_rules or 'no rule'}")
            for line in case.detail:
                print(f"    {line}")


def _cases(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("*/*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        for number, data in enumerate(told["datasets"], 1):
            with duckdb.connect() as con:
                columns = _load(con, data)
                for test in data["tests"]:
                    case = Case(told["expectation_type"], f"{path.stem} {number}", test["title"])
                    try:
                        _applies(data)
                        _applies(test)
                        _judge(con, case, test, columns)
                    except NotApplicableError as why:
                        case.by_gx = "not applicable"
                        case.detail.append(str(why))
                    yield case


def _applies(told: dict[str, Any]) -> None:
    only, but = told.get("only_for"), told.get("suppress_test_for") or []
    if only and not ENGINES & set(only):
        raise NotApplicableError(f"only for {', '.join(only)}")
    if ENGINES & set(but):
        raise NotApplicableError("not for SQL databases")


def _load(con: duckdb.DuckDBPyConnection, data: dict[str, Any]) -> dict[str, str]:
    """The case's tables in the database, the first one as `checked`; its columns with their types, "" if none can."""
    tables = data["data"] if isinstance(data["data"], list) else [data]
    for number, table in reversed(list(enumerate(tables))):
        stated = table.get("schemas", {}).get("postgresql", {})
        values = table["data"]
        rows = max(map(len, values.values()), default=0)
        columns = {column: _type(con, stated.get(column), cells) for column, cells in values.items()}
        kept = {column: kind for column, kind in columns.items() if kind}
        if not kept:
            continue
        listed = ", ".join(f"{name(column)} {kind}" for column, kind in kept.items())
        into = "checked" if number == 0 else name(table["dataset_name"])
        con.execute(f"CREATE TABLE {into} ({listed})")
        marks = ", ".join(["?"] * len(kept))
        for place in range(rows):
            con.execute(f"INSERT INTO {into} VALUES ({marks})", [values[column][place] for column in kept])
    return columns


def _type(con: duckdb.DuckDBPyConnection, stated: str | None, cells: list[Any]) -> str:
    """The type of a column: as the cases declare it for PostgreSQL, else by its values; "" when they do not fit it."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if stated:
        kind = TYPES.get(stated, stated)
    elif kinds <= {int}:
        kind = "BIGINT" if kinds else "VARCHAR"
    elif kinds <= {int, float}:
        kind = "DOUBLE"
    else:
        kind = {bool: "BOOLEAN", str: "VARCHAR"}.get(next(iter(kinds)), "") if len(kinds) == 1 else ""
    try:
        for cell in cells if kind else ():
            con.execute(f"SELECT ?::{kind}", [cell])
    except duckdb.Error:
        return ""
    return kind


def _judge(con: duckdb.DuckDBPyConnection, case: Case, test: dict[str, Any], columns: dict[str, str]) -> None:
    if not isinstance(test["in"], dict):
        raise NotApplicableError("arguments without names")
    told = {key: value for key, value in test["in"].items() if key not in {"catch_exceptions", "result_format"}}
    named = [told.get("column"), told.get("column_A"), told.get("column_B"), *(told.get("column_list") or [])]
    for column in named:
        if isinstance(column, str) and columns.get(column) == "":
            raise NotApplicableError(f"no type holds column {column}")
    wanted = test["out"] | test.get("error", {})
    case.by_rules = _by_rules(con, case, told, wanted)
    found = _by_gx(con, case.expectation, told)
    case.by_gx = _compared(case, "Great Expectations", wanted, found, test.get("tolerance"))


def _by_gx(con: duckdb.DuckDBPyConnection, expectation: str, told: dict[str, Any]) -> dict[str, Any]:
    from great_expectations.core.batch import Batch
    from great_expectations.core.expectation_suite import ExpectationSuite
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
    from great_expectations.expectations.registry import get_expectation_impl
    from great_expectations.validator.validator import Validator

    from quality_checks.expectations import DuckDB

    try:
        kind = get_expectation_impl(expectation)
    except ExpectationNotFoundError:
        raise NotApplicableError("Great Expectations 1 has no such expectation") from None
    gone = sorted(set(told) - set(kind.__fields__))
    if gone:
        raise NotApplicableError(f"Great Expectations 1 has no argument {', '.join(gone)}")
    try:
        engine = DuckDB(con)
        rows = SqlAlchemyBatchData(engine, table_name="checked", create_temp_table=False)
        suite = ExpectationSuite(name="cases", expectations=[kind(**told)])
        context = runner._gx()
        validator = Validator(engine, batches=[Batch(data=rows)], expectation_suite=suite, data_context=context)
        [result] = validator.validate(suite, result_format={"result_format": "COMPLETE"}).results
    except Exception as error:  # noqa: BLE001  # whatever it raises is its answer
        return {"error": f"{type(error).__name__}: {error}"}
    error = runner._raised(result)
    if error is None:
        return {"success": bool(result.success), **result.result}
    if "No provider found" in error:
        raise NotApplicableError("Great Expectations has it for no SQL database")
    return {"error": error}


def _by_rules(con: duckdb.DuckDBPyConnection, case: Case, told: dict[str, Any], wanted: dict[str, Any]) -> str:
    arguments = dict(told)
    column, share = arguments.pop("column", "_place"), arguments.pop("mostly", 1)
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        case.detail.append(f"refused: mostly = {share} is no share")
        return "refused"
    several = arguments.get("column_list") or [arguments.get("column_A"), arguments.get("column_B")]
    if "ignore_row_if" not in arguments and None not in several and not _blank(con, several):
        arguments["ignore_row_if"] = "any_value_is_missing" if "column_list" in told else "either_value_is_missing"
    said = {"id": "CASE", "column": "place", "zh": "例", "en": "case", "indicator": "0104", "severity": "error"}
    try:
        rule = Rule.model_validate({**said, "source": "GX", "expect": {"type": case.expectation, **arguments}})
    except ValueError as error:
        if "does not match any of the expected tags" in str(error):
            return ""
        case.detail.append("refused: " + " ".join(str(error).split("\n")[1:3]))
        return "refused"
    rule = rule.model_copy(update={"column": column, "that": None, "unique": ()})
    assert rule.expect
    that, unique = rule.expect.predicate(column), rule.expect.unique_in(column)
    relation = "SELECT *, rowid AS _place, rowid::VARCHAR AS _record_key FROM checked"
    if unique:
        relation, that = judged(relation, rule.model_copy(update={"unique": unique})), "_obeys"
    value = name(column) if "column" in told else "NULL"
    try:
        rows = con.execute(f"SELECT _place, {value}, {that} FROM ({relation}) ORDER BY _place").fetchall()
    except duckdb.Error as error:
        return _compared(case, "our rule", wanted, {"error": str(error)}, None)
    applies = [row for row in rows if row[2] is not None]
    failed = [row for row in applies if not row[2]]
    found: dict[str, Any] = {"success": len(failed) <= (1 - share) * len(applies) + 1e-9}
    found["places"] = [row[0] for row in failed]
    if "column" in told:
        found["unexpected_list"] = [row[1] for row in failed]
    return _compared(case, "our rule", wanted, found, None)


def _blank(con: duckdb.DuckDBPyConnection, columns: list[str]) -> bool:
    """Whether any value is missing: else it does not matter what becomes of records where one is."""
    known = " AND ".join(f"{name(column)} IS NOT NULL" for column in columns)
    try:
        return con.execute(f"SELECT count(*) FROM checked WHERE NOT ({known})").fetchone() != (0,)
    except duckdb.Error:  # no such column
        return True


def _compared(case: Case, who: str, wanted: dict[str, Any], found: dict[str, Any], tolerance: float | None) -> str:
    expected = {key: value for key, value in wanted.items() if found.get(key) is not None}
    expected.pop("result", None)
    if "unexpected_index_list" in wanted and "places" in found:
        places = wanted["unexpected_index_list"]
        expected["places"] = [one["pk_index"] if isinstance(one, dict) else one for one in places or []]
    if "traceback_substring" in wanted:
        if "error" in found:
            return "agrees"
        case.detail.append(f"{who}: an error expected, found {_short(found)}")
        return "differs"
    if "error" in found:
        case.detail.append(f"{who}: {wanted} expected, found {found['error'][:300]}")
        return "differs"
    for key, value in expected.items():
        if not _same(value, found[key], tolerance or 1e-9):
            case.detail.append(f"{who}: {key} = {value} expected, found {found[key]}")
            return "differs"
    return "agrees"


def _short(found: dict[str, Any]) -> str:
    return str({key: found[key] for key in ("success", "observed_value", "unexpected_list") if key in found})


def _same(wanted: Any, found: Any, tolerance: float) -> bool:
    """Lists in any order, numbers within the tolerance, times by their text."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return wanted.keys() == found.keys() and all(_same(wanted[key], found[key], tolerance) for key in wanted)
    if isinstance(wanted, list) and isinstance(found, list | tuple | set):
        if len(wanted) != len(found):
            return False
        pairs = zip(sorted(wanted, key=str), sorted(found, key=str), strict=True)
        return all(_same(one, other, tolerance) for one, other in pairs)
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        return abs(wanted - found) <= tolerance * max(1, abs(wanted))
    return wanted == found or str(wanted).replace("T", " ") == str(found).replace("T", " ")


if __name__ == "__main__":
    main()
