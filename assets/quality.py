"""Quality: each table's suite run, its failing records as findings, GX's results kept; and the checks of deliveries.

Holds what is evaluated when, and where the results go. A rule about records belongs into the resource's YAML or into
`quality_checks.rules`; a rule about deliveries (late, incomplete, off in volume) into `quality_checks.punctuality`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from catalog.models import Resource, Rule, ThematicTable
from quality_checks import findings, punctuality
from quality_checks.results import RuleResult
from quality_checks.rules import lookup_rules, pool_rules
from quality_checks.runner import error_result, validate
from quality_checks.suites import Suite, bind, pool_suites, thematic_suites
from resources.city import City

Build = Callable[[Sequence[Rule]], list[Suite]]


def check_pool(city: City, resource: Resource, as_of: date, *, author: str) -> list[RuleResult]:
    """Evaluate the rules that need nothing beyond the resource's records and code lists; merge their findings."""
    build = partial(pool_suites, city.catalog, resource)
    return _check(city, resource.id, build, pool_rules(resource, city.catalog), as_of, author=author)


def check_lookups(city: City, resource: Resource, as_of: date, *, author: str) -> list[RuleResult]:
    """Evaluate the rules that look into libraries or other pools; merge their findings."""
    build = partial(pool_suites, city.catalog, resource)
    return _check(city, f"{resource.id}.lookups", build, lookup_rules(resource, city.catalog), as_of, author=author)


def check_thematic(city: City, table: ThematicTable, as_of: date, *, author: str) -> list[RuleResult]:
    """Evaluate a thematic table's rules; findings go to the resource each rule accuses."""
    build = partial(thematic_suites, city.catalog, table)
    return _check(city, f"thematic.{table.id}", build, table.rules, as_of, author=author)


def check_deliveries(city: City, as_of: date, *, author: str) -> list[RuleResult]:
    """Judge every resource's deliveries: in time, complete, of the usual volume and structure; merge the findings."""
    deliveries = punctuality.read_deliveries(city.con, as_of)
    judged = [
        judgement
        for resource in city.catalog.resources.values()
        for judgement in punctuality.judge(resource, deliveries.get(resource.id, []), as_of)
    ]
    punctuality.write_violations(city.con, judged)
    results = [judgement.result for judgement in judged]
    _merge(city, results, as_of, author)
    return results


def _check(
    city: City, title: str, build: Build, rules: Sequence[Rule], as_of: date, *, author: str
) -> list[RuleResult]:
    if not rules:
        return []
    suites, broken = bind(city.con, build, rules)
    results: list[RuleResult] = []
    documents: list[dict[str, Any]] = []
    findings.start(city.con)
    for suite in suites:
        validation = validate(city.con, suite)
        results += findings.collect(city.con, suite, validation.results)
        documents.append(validation.document)
    results += [_broken(build, rule, broken[rule.id]) for rule in rules if rule.id in broken]
    _keep(city.home.validations / str(as_of) / f"{title}.json", documents)
    _merge(city, results, as_of, author)
    return results


def _broken(build: Build, rule: Rule, message: str) -> RuleResult:
    suite = build([rule])[0]
    return error_result(rule, suite.department, suite.resource, message)


def _merge(city: City, results: Sequence[RuleResult], as_of: date, author: str) -> None:
    message = f"quality {as_of}: {len(results)} rules"
    city.commit(
        "city",
        lambda con: findings.merge(con, findings.VIOLATIONS, results, as_of),
        author=author,
        message=message,
    )


def _keep(file: Path, documents: Sequence[dict[str, Any]]) -> None:
    """GX's results of one table on one day, one object per suite; readers see the old file or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_suffix(".part")
    fresh.write_text(json.dumps(documents, ensure_ascii=False, indent=1), encoding="utf-8")
    fresh.replace(file)
