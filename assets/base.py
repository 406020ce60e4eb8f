"""Base libraries: one generic arbitration from the library YAML, and the findings where sources disagree.

Every attribute of every entity takes its value from the best source that states one: the authority order of the YAML
first, then the newest as-of date, then the resource's name, then the record key. All of that is one number per value
(`Source.standing`), so the winner is a minimum and the order in which departments arrive cannot matter.

A new library is a YAML file. Code goes here only when arbitration itself changes; what a source may say is
`quality_checks.sources`, who is accused is `quality_checks.comparison`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from catalog.models import Library
from quality_checks import comparison, findings
from quality_checks.macros import name, quote
from quality_checks.results import RuleResult
from quality_checks.sources import (
    MAX_INDEX,
    MAX_PLACE,
    MAX_RANK,
    Source,
    listed_ranks,
    macros,
    marks_sql,
    sources,
    standing_as_of,
    standing_text,
)
from resources.city import City

KEYS = "temp.library_keys"
ENTITIES = "temp.library_entities"

# Sources joined at a time: bounds the hash tables of one query. 6 sources x 1 M entities x 10 attributes took 2.2 GB;
# beyond the limit DuckDB spills (the same under 1.5 GB took three times as long).
TOGETHER = 12


@dataclass(frozen=True)
class BaseResult:
    """What building one library came to: `entities` rows, from `sources` resources, and the comparison's results."""

    entities: int
    sources: int
    results: list[RuleResult]


def build(city: City, library: Library, as_of: date, *, author: str) -> BaseResult:
    """Arbitrate `library` from the pools as they are, replace `base.<library>` and merge the sources' disagreements.

    Args:
        city: the open city.
        library: what to build.
        as_of: the business day of the pass; findings carry it.
        author: run id, the author of the lake commit.
    """
    return city.commit("city", partial(_build, city, library, as_of), author=author, message=f"base.{library.name}")


def _build(city: City, library: Library, as_of: date, con: DuckDBPyConnection) -> BaseResult:
    witnesses = sources(city.catalog, library)
    arbitrate(con, city.catalog, library)
    city.lake.replace(con, f"base.{library.name}", table_sql(library, witnesses), ["entity_id"])
    results = comparison.compare(con, city.catalog, library, ENTITIES)
    findings.merge(con, comparison.VIOLATIONS, results, as_of)
    counted = con.execute(f"SELECT count(*) FROM {ENTITIES}").fetchone()
    return BaseResult(counted[0] if counted else 0, len(witnesses), results)


def arbitrate(con: DuckDBPyConnection, catalog: Catalog, library: Library, *, together: int = TOGETHER) -> None:
    """Write `ENTITIES`, one row per entity: `key, _sources`, per attribute `v_<a>` (value) and `k_<a>` (standing).

    Raises:
        ValueError: when the library has more sources or ranks than a standing can tell apart.
    """
    witnesses = sources(catalog, library)
    _check_limits(library, witnesses)
    con.execute(macros(library))
    con.execute(marks_sql(catalog, library))
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_bare(ENTITIES)} AS {_no_entities(library)}")
    for first in range(0, len(witnesses), together):
        batch = witnesses[first : first + together]
        con.execute(f"CREATE OR REPLACE TEMP TABLE {_bare(KEYS)} AS {keys_sql(batch)}")
        before = ENTITIES if first else None
        con.execute(f"CREATE OR REPLACE TEMP TABLE {_bare(ENTITIES)} AS {entities_sql(library, batch, before=before)}")


def _check_limits(library: Library, witnesses: Sequence[Source]) -> None:
    most = max(listed_ranks(attribute) for attribute in library.attributes.values())
    if len(witnesses) > MAX_INDEX or most > MAX_RANK:
        raise ValueError(
            f"libraries/{library.name}.yaml: {len(witnesses)} sources, {most} departments in one authority list;"
            f" allowed are at most {MAX_INDEX} and {MAX_RANK}"
        )


def _bare(table: str) -> str:
    return table.removeprefix("temp.")


def _no_entities(library: Library) -> str:
    columns = "".join(
        f", NULL::{stated.as_column().sql_type} AS {name('v_' + attribute)}, NULL::BIGINT AS {name('k_' + attribute)}"
        for attribute, stated in library.attributes.items()
    )
    return f"SELECT NULL::VARCHAR AS key, NULL::INTEGER AS _sources{columns} WHERE false"


def keys_sql(batch: Sequence[Source]) -> str:
    """One row per entity the batch names, and one for nobody: `key, _sources`, and whether a source has `_several`."""
    named = " UNION ALL ".join(
        f"SELECT key, {1 << place}::BIGINT AS seen FROM ({source.relation()})" for place, source in enumerate(batch)
    )
    return (
        "SELECT key, count(*)::INTEGER AS _sources, bit_count(bit_or(seen)) < count(*) AS _several"
        f" FROM ({named}) GROUP BY key"
    )


def entities_sql(library: Library, batch: Sequence[Source], *, before: str | None) -> str:
    """The batch joined side by side on its keys, the best of each attribute taken; `before` is the earlier ones."""
    joins = [
        f"LEFT JOIN ({witness_sql(source)}) {name(f's{source.index}')} ON {name(f's{source.index}')}.key = e.key"
        for source in batch
    ]
    count = "e._sources"
    key = "e.key"
    if before:
        joins.append(f"FULL JOIN {before} b ON b.key = e.key")
        key, count = "coalesce(e.key, b.key)", "coalesce(e._sources, 0) + coalesce(b._sources, 0)"
    columns = [f"{key} AS key", f"({count})::INTEGER AS _sources"]
    for attribute in library.attributes:
        rows = [f"s{source.index}" for source in batch if attribute in source.resource.supplies]
        columns += _best(library, attribute, rows + (["b"] if before else []))
    return f"SELECT {', '.join(columns)} FROM (FROM {KEYS} WHERE key IS NOT NULL) e {' '.join(joins)}"


def _best(library: Library, attribute: str, rows: Sequence[str]) -> list[str]:
    """Value and standing of the best of several rows that state an attribute, as two columns."""
    value, standing = name("v_" + attribute), name("k_" + attribute)
    if not rows:
        kind = library.attributes[attribute].as_column().sql_type
        return [f"NULL::{kind} AS {value}", f"NULL::BIGINT AS {standing}"]
    best = f"least({', '.join(f'{name(row)}.{standing}' for row in rows)})"
    cases = " ".join(f"WHEN {name(row)}.{standing} THEN {name(row)}.{value}" for row in rows)
    return [f"CASE {best} {cases} END AS {value}", f"{best} AS {standing}"]


def witness_sql(source: Source) -> str:
    """One row per entity the source speaks of, whatever the number of records: `key`, and `v_`, `k_` per attribute."""
    attributes = sorted(source.resource.supplies)
    stated = ["key", "_record_key", "_as_of"]
    for attribute in attributes:
        value, standing = name("v_" + attribute), name("k_" + attribute)
        stated.append(value)
        stated.append(f"{source.standing(attribute)} AS {standing}")
    several = f"(SELECT key FROM {KEYS} WHERE _several AND key IS NOT NULL)"
    record = f"SELECT {', '.join(stated)} FROM ({source.relation()})"
    pairs = [(name("v_" + a), name("k_" + a)) for a in attributes]
    single = "".join(f", {value}, {standing}" for value, standing in pairs)
    placed = "".join(f", {value}, {standing} + least(_place, {MAX_PLACE}) AS {standing}" for value, standing in pairs)
    merged = "".join(f", arg_min({value}, {standing}), min({standing})" for value, standing in pairs)
    return (
        f"SELECT key{single} FROM ({record}) ANTI JOIN {several} d USING (key)"
        f" UNION ALL SELECT key{merged} FROM (SELECT key{placed} FROM ("
        "SELECT *, row_number() OVER (PARTITION BY key ORDER BY _record_key) AS _place"
        f" FROM ({record}) SEMI JOIN {several} d USING (key))) GROUP BY key"
    )


def table_sql(library: Library, witnesses: Sequence[Source]) -> str:
    """`base.<library>` from `ENTITIES`: standings read back as department and as-of date."""
    departments = [source.resource.department for source in witnesses]
    columns = [f"md5({quote(library.name + '|')} || key)::UUID AS entity_id", f"key AS {name(library.key)}"]
    for attribute in library.attributes:
        standing = name("k_" + attribute)
        columns += [
            f"{name('v_' + attribute)} AS {name(attribute)}",
            f"{standing_text(standing, departments)} AS {name(attribute + '_source')}",
            f"{standing_as_of(standing)} AS {name(attribute + '_as_of')}",
        ]
    return f"SELECT {', '.join(columns)}, _sources FROM {ENTITIES}"
