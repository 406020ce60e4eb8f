"""Sources of one library compared with its arbitrated values (starter rules P08, L03; indicator 0401).

One rule per attribute, `<library>.<attribute>.agrees`: a record's value, in the attribute's normal form, equals the
value of the best source. A record that disagrees is a violation of its own department, with the authority's value
suggested. False accusations cost more than missed ones, so a record is compared only when the arbitrated value comes
from a department listed as authority, from another department, and with a better rank than the record's own.

How the winner is found is `assets.base`; what a source says is `quality_checks.sources`.
"""

from __future__ import annotations

from collections.abc import Sequence

from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from catalog.models import Library, Method, Rule
from quality_checks.findings import FIELDS
from quality_checks.macros import name, quote
from quality_checks.results import RuleResult
from quality_checks.sources import (
    Source,
    agreement_rule_id,
    normal_macro,
    sources,
    standing_as_of,
    standing_text,
)

VIOLATIONS = "temp.library_violations"
SUSPECTS = "temp.library_suspects"
COLUMNS = tuple('"column"' if field == "column" else field for field in FIELDS)


def agreement_rules(library: Library) -> tuple[Rule, ...]:
    """The library's comparisons as rules, for rule books and reports; only `compare` evaluates them."""
    return tuple(_agreement_rule(library, attribute) for attribute in _compared(library))


def _agreement_rule(library: Library, attribute: str) -> Rule:
    stated = library.attributes[attribute]
    severity = stated.compare
    if severity is None:
        raise ValueError(f"{library.name}.{attribute} is not compared")
    return Rule(
        id=agreement_rule_id(library, attribute),
        that=f"{normal_macro(library, attribute)}({name(attribute)}) = authority.{name(attribute)}",
        column=attribute,
        zh=f"{stated.title}应与{library.title.zh}数源部门的记载一致",
        en=f"{attribute} agrees with the authority of {library.title.en}",
        indicator="0401",
        severity=severity,
        source="一数一源, Order 809 art. 19",
        standard=stated.standard,
    )


def _compared(library: Library) -> list[str]:
    return [attribute for attribute, stated in library.attributes.items() if stated.compare is not None]


def compare(con: DuckDBPyConnection, catalog: Catalog, library: Library, entities: str) -> list[RuleResult]:
    """Compare every source with the arbitrated `entities`; write the violations to `VIOLATIONS`.

    Returns one result per resource and attribute it supplies, also when nothing could be compared (applicable 0), so
    that findings which no longer stand are closed. `entities` is the table `assets.base.arbitrate` writes; the
    library's macros and marks must exist.
    """
    witnesses = sources(catalog, library)
    rules = agreement_rules(library)
    columns = ", ".join(f"NULL::VARCHAR AS {column}" for column in COLUMNS)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_bare(VIOLATIONS)} AS SELECT {columns} WHERE false")
    compared: list[tuple[Source, Rule, int]] = []
    for source in witnesses:
        stated = [rule for rule in rules if rule.column in source.resource.supplies]
        applicable = _suspect(
            con, source, [r.column for r in stated if source.rank(r.column) != "0"], witnesses, entities
        )
        compared += [(source, rule, applicable.get(rule.column, 0)) for rule in stated]
        if below := [rule for rule in stated if rule.column in applicable]:
            con.execute(f"INSERT INTO {VIOLATIONS} {violations_sql(catalog, source, below, witnesses)}")
    failed = _failed(con)
    return [_result(s, rule, count, failed.get((s.resource.id, rule.id), 0)) for s, rule, count in compared]


def _suspect(
    con: DuckDBPyConnection, source: Source, attributes: Sequence[str], witnesses: Sequence[Source], entities: str
) -> dict[str, int]:
    """Write the source's records that differ as they stand to `SUSPECTS`; give the number compared per attribute.

    One join tells both: what is not suspect is only counted, one row per combination of attributes compared.
    """
    if not attributes:
        return {}
    compared = ", ".join(name("c_" + attribute) for attribute in attributes)
    unequal = " OR ".join(_unequal(attribute) for attribute in attributes)
    kept = ["_delivery_id", *(name(kind + attribute) for attribute in attributes for kind in ("v_", "w_", "k_"))]
    said = ", ".join(f"{column}: {column}" for column in kept)
    grouped = (
        f"SELECT {compared}, CASE WHEN {unequal} THEN _record_key END AS _record_key,"
        f" any_value({{{said}}}) FILTER ({unequal}) AS said, count(*) AS _times"
        f" FROM ({pairs_sql(source, attributes, witnesses, entities)}) GROUP BY ALL"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_bare(SUSPECTS)} AS SELECT * EXCLUDE (said), unnest(said) FROM ({grouped})"
    )
    counts = ", ".join(
        f"coalesce(sum(_times) FILTER ({name('c_' + attribute)}), 0)::BIGINT" for attribute in attributes
    )
    counted = con.execute(f"SELECT {counts} FROM {SUSPECTS}").fetchone() or ()
    return dict(zip(attributes, counted, strict=True))


def _bare(table: str) -> str:
    return table.removeprefix("temp.")


def _failed(con: DuckDBPyConnection) -> dict[tuple[str, str], int]:
    """Violations by resource id and rule id."""
    counted = con.execute(f"SELECT department || '.' || resource, rule_id, count(*) FROM {VIOLATIONS} GROUP BY ALL")
    return {(resource, rule): count for resource, rule, count in counted.fetchall()}


def _result(source: Source, rule: Rule, applicable: int, failed: int) -> RuleResult:
    return RuleResult(
        department=source.resource.department,
        resource=source.resource.name,
        rule_id=rule.id,
        dimension=rule.dimension,
        indicator=rule.indicator,
        severity=rule.severity.value,
        applicable=applicable,
        failed=failed,
    )


def pairs_sql(source: Source, attributes: Sequence[str], witnesses: Sequence[Source], entities: str) -> str:
    """One row per record and its entity: `_record_key, _delivery_id` and, per attribute, `v_` the record's value, `w_`
    the winner's, `k_` the winner's standing, `c_` whether the two are compared.
    """
    columns = ["s._record_key", "s._delivery_id"]
    for attribute in attributes:
        value, winner, standing = (
            f"{row}{name(kind + attribute)}" for row, kind in (("s.", "v_"), ("e.", "v_"), ("e.", "k_"))
        )
        columns += [
            f"{value} AS {name('v_' + attribute)}",
            f"{winner} AS {name('w_' + attribute)}",
            f"{standing} AS {name('k_' + attribute)}",
            f"{value} IS NOT NULL AND {source.outranked(attribute, standing, witnesses)} AS {name('c_' + attribute)}",
        ]
    return f"SELECT {', '.join(columns)} FROM ({source.relation()}) s JOIN {entities} e ON e.key = s.key"


def _unequal(attribute: str) -> str:
    """Whether a compared pair differs as it stands: few do, and only those are worth the normal form."""
    return f"({name('c_' + attribute)} AND {name('v_' + attribute)} <> {name('w_' + attribute)})"


def violations_sql(catalog: Catalog, source: Source, rules: Sequence[Rule], witnesses: Sequence[Source]) -> str:
    """One row per record and attribute of `SUSPECTS` that differ in normal form, with the columns of `COLUMNS`."""
    titles = [catalog.departments[witness.resource.department].title.zh for witness in witnesses]
    wrong = []
    for rule in rules:
        normal = normal_macro(source.library, rule.column)
        forms = (f"{normal}({name(kind + rule.column)})" for kind in ("v_", "w_"))
        differs = f"{_unequal(rule.column)} AND {' <> '.join(forms)}"
        wrong.append(f"CASE WHEN {differs} THEN {_violation(source, rule, titles)} END")
    told = f"SELECT _record_key, _delivery_id, unnest([{', '.join(wrong)}]) AS f FROM {SUSPECTS}"
    own = {"record_key": "_record_key", "delivery_id": "_delivery_id"}
    return f"SELECT {', '.join(own.get(column, f'f.{column}') for column in COLUMNS)} FROM ({told}) WHERE f IS NOT NULL"


def _violation(source: Source, rule: Rule, titles: Sequence[str]) -> str:
    attribute = rule.column
    standing, own, theirs = (name(kind + attribute) for kind in ("k_", "v_", "w_"))
    title = source.library.attributes[attribute].title
    fixed = {
        "rule_id": rule.id,
        "dimension": rule.dimension,
        "indicator": rule.indicator,
        "severity": rule.severity.value,
        "department": source.resource.department,
        "resource": source.resource.name,
        '"column"': source.column(attribute),
    }
    fields = {field: quote(text) for field, text in fixed.items()}
    fields["standard"] = quote(rule.standard) if rule.standard else "NULL::VARCHAR"
    fields["observed_value"] = f"CAST({own} AS VARCHAR)"
    fields["suggested_value"] = f"CAST({theirs} AS VARCHAR)"
    fields["suggestion_method"], fields["suggestion_confidence"] = quote(Method.authority), "NULL::VARCHAR"
    fields["reason"] = (
        f"{quote(title + '与数源部门')} || {standing_text(standing, titles)} || '（' ||"
        f" strftime({standing_as_of(standing)}, '%Y-%m-%d') || '）的记载不一致：本记录为' || told({own})"
        f" || '，数源部门为' || told({theirs})"
    )
    return "{" + ", ".join(f"{field}: {text}" for field, text in fields.items()) + "}"
