"""What the scores of a pass are counted from: `quality.measures`, one row per resource, indicator and thing counted.

A row is either the latest result of a rule in force, or a measurement of what no rule about records sees: columns and
records delivered, security levels, access, life span. Measurements are taken from what deliveries, results, findings
and the catalogue already record; they accuse nobody. What each indicator counts states `quality_checks.indicators`.

Numerators are the standard's: what is right, but what is wrong for the inverted 0303 and 0305. Rules of severity info
do not count: what they note may well be right. Records excepted by an upheld objection count as right. Rows whose value
the department received from somebody else have the origin `inherited`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date
from typing import Any

from duckdb import DuckDBPyConnection

from catalog.indicators import INVERTED
from catalog.load import Catalog
from catalog.models import Resource
from catalog.rules import Rule, Severity
from quality_checks.comparison import rules_for
from quality_checks.indicators import COUNTED_FINER, indicators_of
from quality_checks.loading import load
from quality_checks.macros import name, quote
from quality_checks.punctuality import NO_STRUCTURE, TAKEN_BACK
from quality_checks.rules import all_rules, thematic_rules
from quality_checks.sources import Source

OWN, INHERITED = "own", "inherited"
# Records in quarantine that are in the pool all the same, or are none.
NOT_MISSING = ("duplicate_key", "superseded", "repeated_header")


@dataclass(frozen=True)
class Counted:
    """A rule that counts for an indicator of one resource."""

    department: str
    resource: str
    rule_id: str
    indicator: str
    origin: str


@dataclass(frozen=True)
class Measured:
    """A measurement: `numerator` of `denominator` counted things, as they stood on `evaluated_on`."""

    evaluated_on: date
    department: str
    resource: str
    indicator: str
    measure: str
    origin: str
    numerator: int
    denominator: int


@dataclass(frozen=True)
class Last:
    """The last delivery of a resource that was judged."""

    delivery_id: str
    as_of: date
    taken_on: date
    state: str
    rows_expected: int | None
    rows_quarantined: int
    codes: frozenset[str]


def measure(con: DuckDBPyConnection, catalog: Catalog, as_of: date, served: Mapping[str, tuple[int, int]]) -> None:
    """Replace the measures of the pass `as_of`; DML only, to be called inside a commit.

    `served` says of resources, by id, how many published products that show them are served and how many are due.
    """
    con.execute("DELETE FROM quality.measures WHERE as_of = $1", [as_of])
    _load(con, "_counted", Counted, counted_rules(catalog, as_of))
    _load(con, "_known", _Known, [_Known(r.department, r.name) for r in catalog.resources.values()])
    con.execute(
        "CREATE OR REPLACE TEMP TABLE _upheld AS"
        " SELECT item_id, department, resource, rule_id FROM shuyuan.ledger.excepted_items"
    )
    finer = ", ".join(quote(kind) for kind in sorted(COUNTED_FINER))
    inverted = ", ".join(map(quote, sorted(INVERTED)))
    con.execute(
        f"""
        INSERT INTO quality.measures BY NAME
        WITH latest AS (
            SELECT department, resource, rule_id, max(as_of) AS evaluated_on, arg_max(indicator, as_of) AS indicator,
                arg_max(applicable, as_of) AS applicable, arg_max(failed, as_of) AS failed
            FROM quality.results WHERE state = 'ok' AND as_of <= $1 GROUP BY ALL
        ),
        excepted AS (
            SELECT u.department, u.resource, u.rule_id, count(*) AS excepted
            FROM _upheld u JOIN quality.findings f ON f.finding_id = u.item_id WHERE f.status = 'open' GROUP BY ALL
        ),
        rules AS (
            SELECT l.* EXCLUDE (indicator), c.indicator, c.origin
            FROM latest l JOIN _counted c USING (department, resource, rule_id)
            UNION ALL
            SELECT l.* EXCLUDE (indicator), l.indicator, '{OWN}'
            FROM latest l JOIN _known USING (department, resource)
            WHERE starts_with(rule_id, concat(department, '.', resource, '.delivery.'))
                AND regexp_extract(rule_id, '[^.]*$') NOT IN ({finer})
        ),
        counted AS (
            SELECT r.*, least(coalesce(e.excepted, 0), failed) AS excepted
            FROM rules r LEFT JOIN excepted e USING (department, resource, rule_id)
        )
        SELECT $1::DATE AS as_of, evaluated_on, department, resource, indicator, rule_id AS measure, origin,
            CASE WHEN indicator IN ({inverted}) THEN failed - excepted
                 ELSE applicable - failed + excepted END AS numerator,
            applicable AS denominator, excepted
        FROM counted
        """,
        [as_of],
    )
    _load(con, "_measured", Measured, measured(con, catalog, as_of, served))
    con.execute(
        "INSERT INTO quality.measures BY NAME SELECT $1::DATE AS as_of, *, 0 AS excepted FROM _measured", [as_of]
    )


@dataclass(frozen=True)
class _Known:
    department: str
    resource: str


def _load(con: DuckDBPyConnection, table: str, kind: type[Any], rows: Iterable[Any]) -> None:
    """The dataclass instances as a temporary table."""
    types = {"int": "BIGINT", "date": "DATE"}
    columns = {field.name: types.get(str(field.type), "VARCHAR") for field in fields(kind)}
    load(con, table, columns, list(map(astuple, rows)))


def counted_rules(catalog: Catalog, as_of: date) -> Iterator[Counted]:
    """Every rule in force with the indicators it counts for; a rule of severity info counts for none."""
    for resource in catalog.resources.values():
        inherited = received_columns(catalog, resource, as_of)
        for rule in all_rules(resource, catalog):
            yield from _counts(rule, resource, as_of, inherited=rule.column in inherited)
        yield from _comparisons(catalog, resource, as_of, inherited)
    for table in catalog.thematic.values():
        for rule in thematic_rules(catalog, table):
            if rule.accuse:
                yield from _counts(rule, catalog.resources[rule.accuse.resource], as_of, own_table=False)
            elif rule.in_force(as_of) and rule.severity is not Severity.info:
                yield Counted(table.lead, f"{table.topic}__{table.name}", rule.id, rule.indicator, OWN)


def _comparisons(catalog: Catalog, resource: Resource, as_of: date, inherited: frozenset[str]) -> Iterator[Counted]:
    """The comparisons of the library that the resource describes."""
    if resource.describes is None:
        return
    library = catalog.libraries[resource.describes.library]
    source = Source(library, resource, 0)
    for rule in rules_for(source):
        yield from _counts(rule, resource, as_of, inherited=source.column(rule.column) in inherited)


def _counts(
    rule: Rule, resource: Resource, as_of: date, *, inherited: bool = False, own_table: bool = True
) -> Iterator[Counted]:
    if rule.severity is Severity.info or not rule.in_force(as_of):
        return
    for indicator in indicators_of(rule, resource if own_table else None):
        yield Counted(resource.department, resource.name, rule.id, indicator, INHERITED if inherited else OWN)


def received_columns(catalog: Catalog, resource: Resource, as_of: date) -> frozenset[str]:
    """Columns whose values the department has from somebody else, so that their errors are inherited.

    The catalogue says so (`received_from`), or they supply a library attribute of which another department is the
    authority on that day (一数一源). What the record is named by is always the department's own.
    """
    if resource.received_from:
        return frozenset(resource.columns)
    received = {name for name, column in resource.columns.items() if column.received_from}
    named = set(resource.key)
    if resource.describes:
        library = catalog.libraries[resource.describes.library]
        named.update(resource.describes.columns(resource.columns))
        source = Source(library, resource, 0)
        for attribute in resource.supplies:
            authorities = library.attributes[attribute].authorities(as_of)
            if authorities and resource.department not in authorities:
                received |= set(source.supplying(attribute)) - named
    return frozenset(received)


def measured(
    con: DuckDBPyConnection, catalog: Catalog, as_of: date, served: Mapping[str, tuple[int, int]]
) -> list[Measured]:
    """The measurements of every resource; what does not apply to one is left out."""
    last = last_deliveries(con, as_of)
    delivered, kept = _delivered_columns(con, last), _set_aside(con, catalog, last)
    pools, blocked = _pools(con, as_of), _blocked(con)
    found: list[Measured] = []
    for resource in catalog.resources.values():
        one = last.get(resource.id)
        found.append(_security(catalog, resource, as_of))
        if one:
            found += _of_delivery(resource, one, delivered.get(one.delivery_id, []), kept.get(one.delivery_id, 0))
        found += _of_pool(resource, pools.get(resource.id), blocked.get(resource.id, 0), as_of)
        done, due = served.get(resource.id, (0, 0))
        if due:
            found.append(_measured(resource, "0601", "products", (done, due), on=as_of, origin=INHERITED))
    return found


def _measured(
    resource: Resource, indicator: str, what: str, counted: tuple[int, int], *, on: date, origin: str = OWN
) -> Measured:
    return Measured(on, resource.department, resource.name, indicator, f"measured:{what}", origin, *counted)


def last_deliveries(con: DuckDBPyConnection, as_of: date) -> dict[str, Last]:
    """The last judged delivery of each resource, by resource id, in the order in which deliveries are judged."""
    rows = con.execute(
        """
        SELECT DISTINCT ON (department, resource) department || '.' || resource, delivery_id, as_of,
            least(coalesce(pass_as_of, as_of), $1), state,
            CASE WHEN rows_declared IS NOT NULL OR state = 'pooled'
                 THEN greatest(coalesce(rows_declared, 0), coalesce(rows_delivered, 0)) END,
            coalesce(rows_quarantined, 0), reasons::VARCHAR
        FROM shuyuan.ops.deliveries WHERE state IN ('pooled', 'rejected') AND as_of <= $1
            AND NOT list_contains(json_extract_string(reasons::JSON, '$[*].code'), $2)
        ORDER BY department, resource, as_of DESC, registered_at DESC, delivery_id DESC
        """,
        [as_of, TAKEN_BACK],
    ).fetchall()
    return {
        resource: Last(*(*told, frozenset(reason["code"] for reason in json.loads(reasons))))
        for resource, *told, reasons in rows
    }


def _delivered_columns(con: DuckDBPyConnection, last: Mapping[str, Last]) -> dict[str, list[str]]:
    rows = con.execute(
        "SELECT delivery_id, list(column_name) FROM shuyuan.ops.profiles"
        f" WHERE delivery_id IN ({_ids(last.values())}) GROUP BY delivery_id"
    ).fetchall()
    return dict(rows)


def _ids(deliveries: Iterable[Last]) -> str:
    return ", ".join(quote(one.delivery_id) for one in deliveries) or "''"


def _set_aside(con: DuckDBPyConnection, catalog: Catalog, last: Mapping[str, Last]) -> dict[str, int]:
    """By delivery: records in quarantine that are not missing from the pool."""
    found: dict[str, int] = {}
    for department in catalog.departments:
        here = [last[r.id] for r in catalog.of_department(department) if r.id in last]
        if some := [one for one in here if one.state == "pooled" and one.rows_quarantined]:
            reasons = ", ".join(map(quote, NOT_MISSING))
            found |= dict(
                con.execute(
                    f"SELECT delivery_id, count(*) FROM {name(department)}._quarantine"
                    f" WHERE delivery_id IN ({_ids(some)}) AND reason_code IN ({reasons}) GROUP BY delivery_id"
                ).fetchall()
            )
    return found


@dataclass(frozen=True)
class Pool:
    """A pool as last evaluated: records, on which day, whether since its last delivery, whether that is overdue."""

    records: int
    evaluated_on: date
    read: bool
    late: bool


def _pools(con: DuckDBPyConnection, as_of: date) -> dict[str, Pool]:
    """By resource id: pools that ever had a delivery. The rule on the key applies to every record."""
    rows = con.execute(
        """
        WITH pooled AS (
            SELECT department || '.' || resource AS id, max(least(coalesce(pass_as_of, as_of), $1)) AS taken_on
            FROM shuyuan.ops.deliveries WHERE state = 'pooled' AND as_of <= $1 GROUP BY ALL
        ),
        latest AS (
            SELECT department || '.' || resource AS id, rule_id, max(as_of) AS evaluated_on,
                arg_max(applicable, as_of) AS applicable, arg_max(failed, as_of) AS failed
            FROM quality.results WHERE state = 'ok' AND as_of <= $1 GROUP BY ALL
        )
        SELECT p.id, coalesce(k.applicable, 0), coalesce(k.evaluated_on, p.taken_on),
            coalesce(k.evaluated_on >= p.taken_on, false), coalesce(l.failed > 0, false)
        FROM pooled p
        LEFT JOIN latest k ON k.id = p.id AND k.rule_id = p.id || '.key.unique'
        LEFT JOIN latest l ON l.id = p.id AND l.rule_id = p.id || '.delivery.late'
        """,
        [as_of],
    ).fetchall()
    return {resource: Pool(*told) for resource, *told in rows}


def _blocked(con: DuckDBPyConnection) -> dict[str, int]:
    """By resource id: records that an open finding keeps out of libraries, those of upheld objections apart."""
    return dict(
        con.execute(
            "SELECT department || '.' || resource, count(DISTINCT record_key) FROM quality.findings"
            " WHERE status = 'open' AND severity = 'block' AND finding_id NOT IN (SELECT item_id FROM _upheld)"
            " AND NOT starts_with(rule_id, concat(department, '.', resource, '.delivery.'))"
            " GROUP BY ALL"
        ).fetchall()
    )


def _of_delivery(resource: Resource, last: Last, delivered: Sequence[str], kept: int) -> Iterator[Measured]:
    """0103 from the columns, 0202 from the records of the last delivery."""
    due, optional = resource.columns_at(last.as_of)
    refused = last.state == "rejected" and bool(last.codes - NO_STRUCTURE)
    if refused or last.state == "pooled":
        there = set() if refused else due.keys() & set(delivered)
        expected = (due.keys() - optional) | there
        yield _measured(resource, "0103", "columns", (len(there), len(expected)), on=last.taken_on)
    if last.rows_expected is not None:
        expected_rows = last.rows_expected - kept
        present = expected_rows + kept - last.rows_quarantined if last.state == "pooled" else 0
        yield _measured(resource, "0202", "records", (present, expected_rows), on=last.taken_on)


def _of_pool(resource: Resource, pool: Pool | None, blocked: int, as_of: date) -> Iterator[Measured]:
    """0601 and 0602: could the pool be read since its last delivery, and how many of its records can be used."""
    if pool is None:
        return
    yield _measured(resource, "0601", "pool", (int(pool.read), 1), on=as_of)
    usable = 0 if pool.late else max(pool.records - blocked, 0)
    origin = INHERITED if resource.received_from and not pool.late else OWN
    yield _measured(resource, "0602", "usable", (usable, pool.records), on=as_of, origin=origin)


def _security(catalog: Catalog, resource: Resource, as_of: date) -> Measured:
    """0106: columns that no product shows more openly than their level allows."""
    shown = set(_shown_openly(catalog, resource))
    columns = len(resource.columns)
    return _measured(resource, "0106", "security", (columns - len(shown), columns), on=as_of)


def _shown_openly(catalog: Catalog, resource: Resource) -> Iterator[str]:
    """Personal and sensitive columns that supply an attribute a product shows unmasked and without a purpose."""
    if resource.describes is None:
        return
    library = catalog.libraries[resource.describes.library]
    read = f"base.{library.name}"
    open_in = {
        column
        for product in catalog.products.values()
        if product.reads == read
        for column in product.columns
        if column in library.attributes
        and library.attributes[column].as_column().is_open
        and column not in product.clear
    }
    for attribute, said in resource.supplies.items():
        if attribute in open_in and said in resource.columns and not resource.columns[said].is_open:
            yield said
