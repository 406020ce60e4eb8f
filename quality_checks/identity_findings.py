"""What a department is told of its records without a number: whom they were taken for, and why.

One rule per library, `<library>.identified`, of severity info: no order follows from it, since a link is a conclusion
of ours and not an error of the department's. The number is suggested only where the record was linked; one that waits
for a person names whom it may mean. The reason tells each comparison's weight in bits: with +1 one entity is twice as
likely.
"""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from catalog.models import Library, Resource
from catalog.rules import Method, Rule, Severity
from quality_checks.findings import FIELDS
from quality_checks.identity_decisions import FOUNDED
from quality_checks.identity_model import WORDS
from quality_checks.macros import name, quote
from quality_checks.results import RuleResult

VIOLATIONS = "temp.identity_violations"


def identified_rule(library: Library) -> Rule | None:
    """The rule as rule books and masks know it; None: nobody is recognised in this library without a number."""
    if library.identity is None:
        return None
    return Rule(
        id=f"{library.name}.identified",
        that=f"{name(library.key)} is not null",
        column=library.key,
        zh=f"记录应写明{library.key_title}，否则按所载信息认定主体",
        en=f"The record states the {library.key}; without it whom it means is concluded from the rest",
        indicator="0201",
        severity=Severity.info,
        method=Method.other,
        suggest=name(library.key),
        source="Splink 5 (Fellegi-Sunter); GB/T 36344-2018, 0201",
    )


def _column(resource: Resource) -> str:
    """Where the number is missing; a resource that has no place for it is pointed at by its own key."""
    parts = resource.describes.columns(resource.columns) if resource.describes else []
    return parts[0] if parts else resource.key[0]


def write_violations(con: DuckDBPyConnection, catalog: Catalog, library: Library, rows: str) -> list[RuleResult]:
    """Write `VIOLATIONS` from the library's links (`rows`, as `base._links`). One result per resource that may lack the
    number; it applies to every record that does.
    """
    columns = ", ".join(f"NULL::VARCHAR AS {name(field)}" for field in FIELDS)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {VIOLATIONS.removeprefix('temp.')} AS SELECT {columns} WHERE false")
    rule = identified_rule(library)
    found = []
    for resource in catalog.sources_of(library.name):
        if rule and resource.may_lack_number:
            con.execute(f"INSERT INTO {VIOLATIONS} {_violations_sql(library, resource, rule, rows)}")
            found.append(_result(con, resource, rule, rows))
    return found


def _result(con: DuckDBPyConnection, resource: Resource, rule: Rule, rows: str) -> RuleResult:
    own = f"department = {quote(resource.department)} AND resource = {quote(resource.name)}"
    row = con.execute(
        f"SELECT (SELECT count(*) FROM {rows} WHERE kind = 'record' AND {own}),"
        f" (SELECT count(*) FROM {VIOLATIONS} WHERE {own})"
    ).fetchone()
    applicable, failed = row or (0, 0)
    return RuleResult(
        resource.department,
        resource.name,
        rule.id,
        rule.dimension,
        rule.indicator,
        rule.severity.value,
        applicable,
        failed,
    )


def _violations_sql(library: Library, resource: Resource, rule: Rule, rows: str) -> str:
    """One row per record that was linked, or that some entity is likely for."""
    linked = f"l.entity_key IS NOT NULL AND NOT starts_with(l.entity_key, '{FOUNDED}')"
    fixed = {
        "rule_id": rule.id,
        "dimension": rule.dimension,
        "indicator": rule.indicator,
        "severity": rule.severity.value,
        "department": resource.department,
        "resource": resource.name,
        "column": _column(resource),
    }
    fields = {field: quote(text) for field, text in fixed.items()}
    fields |= {
        "standard": "NULL::VARCHAR",
        "record_key": "l.record_key",
        "observed_value": "NULL::VARCHAR",
        "suggested_value": f"CASE WHEN {linked} THEN l.entity_key END",
        "suggestion_method": f"CASE WHEN {linked} THEN {quote(Method.other)} END",
        "suggestion_confidence": f"CASE WHEN {linked} THEN round(l.probability, 4) END",
        "reason": f"CASE WHEN {linked} THEN {_linked_reason(library)} ELSE {_waiting_reason(library)} END",
        "delivery_id": "p._delivery_id",
    }
    own = f"l.department = {quote(resource.department)} AND l.resource = {quote(resource.name)}"
    first = _told(0, "entity")
    return (
        f"SELECT {', '.join(fields[field] for field in FIELDS)} FROM {rows} l"
        f" JOIN {name(resource.department)}.{name(resource.name)} p ON p._record_key = l.record_key"
        f" WHERE l.kind = 'record' AND {own} AND ({linked} OR l.entity_key IS NULL AND {first} IS NOT NULL)"
    )


def _told(place: int, field: str, explanation: str = "l.explanation") -> str:
    """SQL: a field of the candidate at that place."""
    return f"json_extract_string({explanation}, '$.candidates[{place}].{field}')"


def _linked_reason(library: Library) -> str:
    why = (
        f"'：' || {features_sql(library, 0)} || '，合计' || printf('%.1f', l.weight) || '，可信度'"
        " || printf('%.4f', l.probability)"
    )
    return (
        f"{quote(f'本记录未写明{library.key_title}，认定为')} || told(l.entity_key) ||"
        f" CASE WHEN l.how = 'person' THEN '（人工认定）' ELSE coalesce({why}, '') END"
    )


def _waiting_reason(library: Library) -> str:
    parts = ", ".join(
        f"told({_told(place, 'entity')}) || '（' || {features_sql(library, place)} || '，合计'"
        f" || printf('%.1f', CAST({_told(place, 'weight')} AS DOUBLE)) || '）'"
        for place in (0, 1)
    )
    known = f"list_filter([{parts}], lambda one: one IS NOT NULL AND NOT starts_with(one, '空'))"
    meant = f"array_to_string({known}, '或')"
    return f"{quote(f'本记录未写明{library.key_title}，可能是')} || {meant} || '，待人工认定'"


def features_sql(library: Library, place: int, explanation: str = "l.explanation") -> str:
    """SQL: each comparison of a candidate with its weight, as a person reads it."""
    if library.identity is None:
        return "''"
    words = "MAP {" + ", ".join(f"{quote(level)}: {quote(word)}" for level, word in WORDS.items()) + "}"
    parts = []
    for feature, stated in library.identity.compare.items():
        attribute = library.attributes.get(feature)
        title = stated.title or (attribute.title if attribute else feature)
        level, bits = (_told(place, f"features.{feature}.{what}", explanation) for what in ("level", "bits"))
        parts.append(
            f"CASE WHEN {level} <> 'missing' THEN {quote(title)} || {words}[{level}]"
            f" || printf('（%+.1f）', CAST({bits} AS DOUBLE)) END"
        )
    return f"concat_ws('、', {', '.join(parts)})"
