"""Rules tried before they are saved: what each would find in a resource's pool as it stands, with masked samples.

Evaluated as saved rules are, by the same suites; nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from catalog.models import Resource
from catalog.rules import Rule
from quality_checks import findings
from quality_checks.examination import examine
from quality_checks.macros import name, quote
from quality_checks.masking import reason_open
from quality_checks.suites import pool_suites


@dataclass(frozen=True)
class Sample:
    """One record that breaks a rule; personal and sensitive values, and keys made of them, are masked."""

    record_key: str
    observed: str | None
    suggested: str | None
    method: str | None
    confidence: float | None
    reason: str


@dataclass(frozen=True)
class Tried:
    """One rule on one pool. Counts are records; `state` is "error" with a message when the rule could not run."""

    rule: Rule
    applicable: int
    failed: int
    state: str
    message: str
    samples: tuple[Sample, ...]


def try_rules(
    con: DuckDBPyConnection, catalog: Catalog, resource: Resource, rules: Sequence[Rule], *, samples: int
) -> list[Tried]:
    """What the rules find in the resource's pool, in the order given."""
    findings.start(con)
    examined, _ = examine(con, partial(pool_suites, catalog, resource), rules)
    results = {result.rule_id: result for result in examined}
    return [
        Tried(rule, one.applicable, one.failed, one.state, one.message, _samples(con, resource, rule, samples))
        for rule in rules
        for one in [results[rule.id]]
    ]


def _samples(con: DuckDBPyConnection, resource: Resource, rule: Rule, most: int) -> tuple[Sample, ...]:
    keys_open = all(resource.columns[column].is_open for column in resource.key)
    mask = resource.columns[rule.column].mask or "mask_shapes"
    told = "mask_shapes" if reason_open(rule, resource.columns) else "mask_told"
    shown = f"{'mask_shapes' if keys_open else 'mask_id'}(record_key), {mask}(observed_value), {mask}(suggested_value)"
    shown += f", suggestion_method, suggestion_confidence, {told}(reason)"
    rows = con.execute(
        f"SELECT {shown} FROM {findings.VIOLATIONS} WHERE rule_id = {quote(rule.id)} ORDER BY record_key LIMIT {most}"
    ).fetchall()
    return tuple(Sample(*row) for row in rows)


def records(con: DuckDBPyConnection, resource: Resource) -> int:
    """How many records the pool holds."""
    row = con.execute(f"SELECT count(*) FROM {name(resource.department)}.{name(resource.name)}").fetchone()
    return int(row[0]) if row else 0
