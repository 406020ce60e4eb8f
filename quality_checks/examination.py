"""A table's rules evaluated and their failing records collected, whatever the SQL of any one of them does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from catalog.rules import Rule
from quality_checks import findings
from quality_checks.results import RuleResult, redact
from quality_checks.runner import error_result, validate
from quality_checks.suites import Suite, bind

Build = Callable[[Sequence[Rule]], list[Suite]]
Examined = tuple[list[RuleResult], list[dict[str, Any]]]


def examine(con: DuckDBPyConnection, build: Build, rules: Sequence[Rule]) -> Examined:
    """Results of the rules and GX's document of each suite; the failing records are added to the violations.

    A rule whose SQL does not bind, or fails on some record where no verdict could be excepted from it (a lookup's key,
    a query of failing records), comes back with state `error` and the database's message; all others are evaluated.
    """
    try:
        return _run(con, build(rules))
    except duckdb.Error:
        findings.take_back(con, [rule.id for rule in rules])
    suites, broken = bind(con, build, rules)
    results, documents = _each(con, suites, build, broken)
    for rule in rules:
        if rule.id in broken:
            suite = build([rule])[0]
            results.append(error_result(rule, suite.department, suite.resource, broken[rule.id]))
    return results, documents


def _run(con: DuckDBPyConnection, suites: Sequence[Suite]) -> Examined:
    results: list[RuleResult] = []
    documents: list[dict[str, Any]] = []
    for suite in suites:
        validation = validate(con, suite)
        results += findings.collect(con, suite, validation.results)
        documents.append(validation.document)
    return results, documents


def _each(con: DuckDBPyConnection, suites: Sequence[Suite], build: Build, broken: dict[str, str]) -> Examined:
    """As `_run`; a suite that fails at run time is taken apart, and the rules it fails for are added to `broken`."""
    results: list[RuleResult] = []
    documents: list[dict[str, Any]] = []
    for suite in suites:
        try:
            found = _run(con, [suite])
        except duckdb.Error as error:
            findings.take_back(con, [rule.id for rule in suite.rules])
            if len(suite.rules) == 1:
                broken[suite.rules[0].id] = redact(str(error))
                continue
            found = _each(con, [one for rule in suite.rules for one in build([rule])], build, broken)
        results += found[0]
        documents += found[1]
    return results, documents
