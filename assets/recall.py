"""The recall list: published versions of products that carried a value which was corrected later.

A version of a product shows what the lake said when it was published (`ops.publications`). Of a library the history
says which of those values were replaced since, and on which business day; of a thematic table the lake's own earlier
version is held against what it says now. Values and keys are masked by level, as in `shuyuan findings export`.

A value that was replaced may have been wrong or may have changed in the world; the list cannot tell, so it names both.
A value that was missing and came to be known is no correction.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from duckdb import DuckDBPyConnection

from catalog.columns import Column, ColumnType
from catalog.load import Catalog
from catalog.models import Library, Product, ThematicTable
from quality_checks.macros import name, quote
from resources.city import City

SHOWN = "p.product, p.version, p.published_at, p.as_of, p.until"


def recalls(city: City, since: date | None = None) -> list[dict[str, object]]:
    """One row per published version, entity and column whose value was corrected after it was published.

    `until` is when the next version replaced it, null while it is what readers see; `corrected_on` the business day of
    the correction, null for thematic tables, whose days are not kept. A `new_value` of null: nothing is stated any
    more, or (in the column of the key) the entity is believed to exist no more. A row that left a thematic table is not
    listed: its topic may be over.

    Args:
        city: the open city; read-only will do.
        since: versions that readers could see on that day or later; default all.
    """
    queries = [
        query
        for product in city.catalog.products.values()
        for query in [_query(city.con, city.catalog, product, since)]
        if query
    ]
    if not queries:
        return []
    columns = 'c.field AS "column", c.old AS old_value, c.new AS new_value, corrected_on'
    found = city.con.execute(
        f"SELECT product, version, published_at, as_of, until, key, {columns}"
        f" FROM ({' UNION ALL BY NAME '.join(queries)}) WHERE c IS NOT NULL"
        ' ORDER BY product, version, key, "column"'
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _query(con: DuckDBPyConnection, catalog: Catalog, product: Product, since: date | None) -> str:
    kind, _, target = product.reads.partition(".")
    if kind == "base":
        return _of_library(catalog.libraries[target], product, since)
    versions = con.execute(f"SELECT version, city_version FROM ({_shown(product, since)})").fetchall()
    table = catalog.thematic[target]
    return " UNION ALL BY NAME ".join(_of_table(table, product, since, *version) for version in versions)


def _shown(product: Product, since: date | None) -> str:
    """Query: one row per published version of the product, with the time until which readers saw it."""
    seen = f" WHERE coalesce(until::DATE >= DATE '{since}', true)" if since else ""
    mine = f"product = {quote(product.name)} AND reads = {quote(product.reads)}"
    return (
        "SELECT * FROM (SELECT *, lead(published_at) OVER (ORDER BY version) AS until"
        f" FROM shuyuan.ops.publications WHERE {mine}){seen}"
    )


def _of_library(library: Library, product: Product, since: date | None) -> str:
    table = name(library.name)
    columns = {a: said.as_column() for a, said in library.attributes.items() if a in product.columns}
    is_open = Column(title=library.key_title, type=ColumnType.text, level=library.key_level).is_open
    shown_key = _shown_key(f"coalesce(h.{name(library.key)}, h.entity_id::VARCHAR)", is_open=is_open)
    gone = f"{{field: {quote(library.key)}, old: {shown_key}, new: NULL::VARCHAR}}"
    return (
        f"SELECT {SHOWN}, {shown_key} AS key, h._believed_to AS corrected_on,"
        f" unnest(CASE WHEN n.entity_id IS NULL THEN [{gone}] ELSE [{', '.join(_changes(columns))}] END) AS c"
        f" FROM ({_shown(product, since)}) p"
        f" JOIN (SELECT *, snapshot_id AS _written FROM history.{table}) h"
        " ON h._believed_from <= p.as_of AND h._written > p.city_version"
        f" LEFT JOIN ({_following(table)}) n ON n.entity_id = h.entity_id AND n._believed_from = h._believed_to"
    )


def _following(table: str) -> str:
    """Query: the versions that a day ended with."""
    return (
        f"FROM base.{table} UNION ALL BY NAME SELECT * EXCLUDE (_believed_to) FROM history.{table}"
        " WHERE _believed_from < _believed_to"
    )


def _changes(columns: dict[str, Column]) -> Iterator[str]:
    for column, stated in columns.items():
        old, new = f"h.{name(column)}", f"n.{name(column)}"
        corrected = f"{old} IS DISTINCT FROM {new} AND {old} IS NOT NULL"
        yield (
            f"CASE WHEN {corrected} AND list_contains(p.columns, {quote(column)})"
            f" THEN {{field: {quote(column)}, old: {_masked(old, stated)}, new: {_masked(new, stated)}}} END"
        )


def _of_table(table: ThematicTable, product: Product, since: date | None, version: int, snapshot: int) -> str:
    rows = f"thematic.{name(f'{table.topic}__{table.name}')}"
    columns = {c: table.columns[c] for c in product.columns if c in table.columns and c not in table.key}
    is_open = all(table.columns[c].is_open for c in table.key)
    key = f"concat_ws('|', {', '.join('h.' + name(c) for c in table.key)})"
    shown_key = _shown_key(key, is_open=is_open)
    same = " AND ".join(f"n.{name(c)} = h.{name(c)}" for c in table.key)
    return (
        f"SELECT {SHOWN}, {shown_key} AS key, NULL::DATE AS corrected_on,"
        f" unnest([{', '.join(_changes(columns)) or 'NULL'}]) AS c"
        f" FROM ({_shown(product, since)}) p JOIN (FROM {rows} AT (VERSION => {snapshot})) h ON p.version = {version}"
        f" JOIN {rows} n ON {same} WHERE n._hash <> h._hash"
    )


def _shown_key(key: str, *, is_open: bool) -> str:
    return f"mask_shapes({key})" if is_open else f"mask_id({key})"


def _masked(value: str, column: Column) -> str:
    text = f"CAST({value} AS VARCHAR)"
    return f"{column.mask}({text})" if column.mask else f"mask_shapes({text})"
