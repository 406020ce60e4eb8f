"""Quality: each table's suite run, its failing records as findings, GX's results kept; and the checks of deliveries.

Holds what is evaluated when, and where the results go. A rule about records belongs into the resource's YAML or into
`quality_checks.rules`; a rule about deliveries (late, incomplete, off in volume) into `quality_checks.punctuality`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from catalog.models import Resource, ThematicTable
from catalog.rules import Rule
from quality_checks import contracts, findings, punctuality, shifts, spatial
from quality_checks.due_calendar import Due, due_calendar
from quality_checks.examination import Build, examine
from quality_checks.results import RuleResult
from quality_checks.rule_book import on_day, rule_book
from quality_checks.rules import lookup_rules, pool_rules, thematic_rules
from quality_checks.suites import pool_suites, thematic_suites
from quality_checks.working_days import Calendar
from resources import clock
from resources.city import City


@dataclass(frozen=True)
class _Table:
    """A table to be checked: the name of its document, how its suites are built, and its rules."""

    title: str
    build: Build
    rules: Sequence[Rule]


def check_pool(city: City, resource: Resource, as_of: date, *, author: str) -> list[RuleResult]:
    """Evaluate the rules that need nothing beyond the resource's records and code lists; merge their findings."""
    return check_pools(city, [resource], as_of, author=author)[resource.id]


def check_pools(city: City, resources: Sequence[Resource], as_of: date, *, author: str) -> dict[str, list[RuleResult]]:
    """`check_pool` for several resources in one commit; results by resource id."""
    tables = [
        _Table(one.id, partial(pool_suites, city.catalog, one), on_day(pool_rules(one, city.catalog), as_of))
        for one in resources
    ]
    found = _check(city, tables, as_of, author=author, retired=[(one.department, one.name) for one in resources])
    return {resource.id: results for resource, results in zip(resources, found, strict=True)}


def check_lookups(city: City, resource: Resource, as_of: date, *, author: str) -> list[RuleResult]:
    """Evaluate the rules that look into libraries or other pools; merge their findings."""
    return check_all_lookups(city, [resource], as_of, author=author)[resource.id]


def check_all_lookups(
    city: City, resources: Sequence[Resource], as_of: date, *, author: str
) -> dict[str, list[RuleResult]]:
    """`check_lookups` for several resources in one commit; results by resource id."""
    tables = [
        _Table(
            f"{one.id}.lookups", partial(pool_suites, city.catalog, one), on_day(lookup_rules(one, city.catalog), as_of)
        )
        for one in resources
    ]
    found = _check(city, tables, as_of, author=author)
    return {resource.id: results for resource, results in zip(resources, found, strict=True)}


def check_thematic(city: City, table: ThematicTable, as_of: date, *, author: str) -> list[RuleResult]:
    """Evaluate a thematic table's rules; findings go to the resource each rule accuses."""
    build = partial(thematic_suites, city.catalog, table)
    checked = _Table(f"thematic.{table.id}", build, on_day(thematic_rules(city.catalog, table), as_of))
    [results] = _check(city, [checked], as_of, author=author)
    return results


def check_deliveries(city: City, as_of: date, *, author: str) -> list[RuleResult]:
    """Judge every resource's deliveries: in time, complete, of the usual volume and structure; merge the findings.

    Thematic tables are judged too: how old what they are made from is.
    """
    deliveries = punctuality.read_deliveries(city.con, as_of)
    shifted = shifts.measure(city.con, city.catalog)
    calendar = Calendar.with_table(city.catalog.holidays)
    judged = [
        judgement
        for resource in city.catalog.resources.values()
        for judgement in punctuality.judge(
            resource,
            deliveries.get(resource.id, []),
            as_of,
            clock.now(),
            calendar=calendar,
            shift=shifted.get(resource.id),
        )
    ]
    judged += contracts.judge(city.con, city.catalog, as_of)
    punctuality.write_violations(city.con, judged)
    results = [judgement.result for judgement in judged]
    _merge(city, results, as_of, author)
    return results


def due_deliveries(city: City, as_of: date) -> list[Due]:
    """Which deliveries are missing or expected next on `as_of`, the latest first."""
    deliveries = punctuality.read_deliveries(city.con, as_of)
    calendar = Calendar.with_table(city.catalog.holidays)
    return due_calendar(city.catalog.resources.values(), deliveries, as_of, clock.now(), calendar)


def _check(
    city: City,
    tables: Sequence[_Table],
    as_of: date,
    *,
    author: str,
    retired: Sequence[tuple[str, str]] = (),
) -> list[list[RuleResult]]:
    """Evaluate the tables and merge what was found in one commit; results by table.

    Of the `retired` resources, (department, resource), findings of rules no longer in force are resolved too.
    """
    findings.start(city.con)
    found = [_evaluate(city, table, as_of) for table in tables]
    every = [result for results in found for result in results]
    if every:
        _merge(city, every, as_of, author, retired)
    return found


def _evaluate(city: City, table: _Table, as_of: date) -> list[RuleResult]:
    """Results of one table's rules; the failing records are added to the violations."""
    if not table.rules:
        return []
    spatial.prepare(city.con, table.rules)
    results, documents = examine(city.con, table.build, table.rules)
    _keep(city.home.validations / str(as_of) / f"{table.title}.json", documents)
    return results


def _merge(
    city: City, results: Sequence[RuleResult], as_of: date, author: str, retired: Sequence[tuple[str, str]] = ()
) -> None:
    def work(con: DuckDBPyConnection) -> None:
        findings.merge(con, findings.VIOLATIONS, results, as_of)
        if retired:
            findings.retire(con, retired, {rule.id for rule in on_day(rule_book(city.catalog).values(), as_of)}, as_of)

    city.commit("city", work, author=author, message=f"quality {as_of}: {len(results)} rules")


def _keep(file: Path, documents: Sequence[dict[str, Any]]) -> None:
    """GX's results of one table on one day, one object per suite; readers see the old file or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_suffix(".part")
    fresh.write_text(json.dumps(documents, ensure_ascii=False, indent=1), encoding="utf-8")
    fresh.replace(file)


def count_findings(city: City, as_of: date) -> tuple[int, int]:
    """Findings that are open, and those first seen on `as_of`."""
    row = city.con.execute(
        "SELECT count(*) FILTER (WHERE status = 'open'), count(*) FILTER (WHERE first_seen = ?) FROM quality.findings",
        [as_of],
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
