"""Findings as others than their own department may see them: keys, values and reasons masked by level.

A department gets its own findings as they are (`assets.notices`, `assets.orders`); wherever else one leaves the lake
it goes through here. A value is masked as its column says, a record key unless all of its columns are open, and of a
reason every value in 「」 unless all columns it may quote are open. What the catalogue does not know is masked, and so
is a citizen or mobile number in a column that should hold none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from duckdb import DuckDBPyConnection

from catalog.columns import Column
from catalog.load import Catalog
from catalog.rules import Rule
from quality_checks import comparison
from quality_checks.loading import load
from quality_checks.rules import all_rules, thematic_rules
from quality_checks.telling import words

_KEYS, _RULES = "masking_keys", "masking_rules"  # temporary tables
ON_DELIVERY = "starts_with(f.rule_id, concat(f.department, '.', f.resource, '.delivery.'))"  # about no record


def masked_findings(con: DuckDBPyConnection, catalog: Catalog) -> str:
    """Query: `quality.findings`, masked; it reads temporary tables of this connection."""
    keys = [
        (resource.department, resource.name, _open(resource.key, resource.columns))
        for resource in catalog.resources.values()
    ]
    keys += [(t.lead, f"{t.topic}__{t.name}", _open(t.key, t.columns)) for t in catalog.thematic.values()]
    load(con, _KEYS, {"department": "VARCHAR", "resource": "VARCHAR", "key_open": "BOOLEAN"}, keys)
    load(con, _RULES, {"rule_id": "VARCHAR", "mask": "VARCHAR", "reason_open": "BOOLEAN"}, list(_rules(catalog)))
    return f"""
        SELECT f.* REPLACE (
            CASE WHEN {ON_DELIVERY} OR k.key_open THEN mask_shapes(f.record_key) ELSE mask_id(f.record_key) END
                AS record_key,
            {_masked("f.observed_value")} AS observed_value, {_masked("f.suggested_value")} AS suggested_value,
            CASE WHEN {ON_DELIVERY} OR r.reason_open THEN mask_shapes(f.reason) ELSE mask_told(f.reason) END AS reason)
        FROM quality.findings f LEFT JOIN {_KEYS} k USING (department, resource) LEFT JOIN {_RULES} r USING (rule_id)"""


def reason_open(rule: Rule, columns: Mapping[str, Column]) -> bool:
    """Whether nobody need be kept from what the rule's reasons quote."""
    if re.search(r"\b(_raw|_record_key)\b", rule.because or ""):
        return False
    quoted = words(rule.because or "")
    read = {rule.column, *rule.columns_read()} | quoted | words(rule.that or "")
    return not rule.denied and quoted.isdisjoint(rule.lookup) and _open(read & columns.keys(), columns)


def _open(names: Iterable[str], columns: Mapping[str, Column]) -> bool:
    return all(columns[name].is_open for name in names)


def _rules(catalog: Catalog) -> Iterator[tuple[str, str, bool]]:
    tables = [(all_rules(resource, catalog), resource.columns) for resource in catalog.resources.values()]
    tables += [(thematic_rules(catalog, table), table.columns) for table in catalog.thematic.values()]
    for library in catalog.libraries.values():
        tables.append((comparison.rules(library), {a: said.as_column() for a, said in library.attributes.items()}))
    for rules, columns in tables:
        for rule in rules:
            yield rule.id, columns[rule.column].mask, reason_open(rule, columns)


def _masked(value: str) -> str:
    shown, mask = f"{ON_DELIVERY} OR r.mask = ''", f"WHEN r.mask = 'mask_id' THEN mask_id({value})"
    return f"CASE WHEN {shown} THEN mask_shapes({value}) {mask} ELSE mask_text({value}) END"
