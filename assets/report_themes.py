"""The contracts of thematic tables as the report site shows them: grain, keys, references with counts, freshness.

Add here when a contract promises something new. What a contract holds is `assets.thematic` (columns, key),
`quality_checks.rules.thematic_rules` (references) and `quality_checks.contracts` (freshness).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from duckdb import DuckDBPyConnection

from assets.report_scores import Ratio
from catalog.load import Catalog
from catalog.models import ThematicTable
from quality_checks.contracts import Contribution, contributions, newest_deliveries, staleness
from quality_checks.macros import name
from quality_checks.rules import reference_rule_id


@dataclass(frozen=True, slots=True)
class Referred:
    """One reference of a thematic table; `ratio` is null until it was evaluated."""

    column: str
    to: str
    ratio: Ratio | None


@dataclass(frozen=True, slots=True)
class Theme:
    """One thematic table: its contract and what it holds now; `stale` says why it is not fresh, empty when it is."""

    table: ThematicTable
    rows: int
    made_from: list[Contribution]
    stale: str
    references: list[Referred]


_REFERENCES = """
    select rule_id, sum(applicable)::BIGINT, sum(failed)::BIGINT
    from (select rule_id, department, resource,
                 arg_max(applicable, as_of) as applicable, arg_max(failed, as_of) as failed
          from quality.results where as_of <= $as_of and state = 'ok' and rule_id in (select unnest($rules))
          group by all)
    group by rule_id"""


def collect_themes(con: DuckDBPyConnection, catalog: Catalog, as_of: date) -> list[Theme]:
    """Every thematic table's contract as of the end of the pass `as_of`, in the catalogue's order."""
    tables = list(catalog.thematic.values())
    newest = newest_deliveries(con, as_of)
    ratios = _ratios(con, tables, as_of)
    rows = _rows(con, tables)
    return [
        Theme(
            table=table,
            rows=rows[table.id],
            made_from=contributions(catalog, table, newest),
            stale=staleness(catalog, table, newest, as_of),
            references=[
                Referred(column, reference.to, ratios.get(reference_rule_id(table, column)))
                for column, reference in table.references.items()
            ],
        )
        for table in tables
    ]


def _ratios(con: DuckDBPyConnection, tables: Sequence[ThematicTable], as_of: date) -> dict[str, Ratio]:
    rules = [reference_rule_id(table, column) for table in tables for column in table.references]
    found = con.execute(_REFERENCES, {"as_of": as_of, "rules": rules}).fetchall()
    return {rule: Ratio(applicable, failed) for rule, applicable, failed in found}


def _rows(con: DuckDBPyConnection, tables: Sequence[ThematicTable]) -> dict[str, int]:
    if not tables:
        return {}
    counted = " union all ".join(
        f"select '{table.id}', count(*) from thematic.{name(f'{table.topic}__{table.name}')}" for table in tables
    )
    return dict(con.execute(counted).fetchall())
