"""Who is compared with whom: the entities with a number and the records without one, as tables of nodes.

An entity says of each feature what its best source says, by the library's authorities, whatever the order in which
departments deliver; several records of one source by their key. Records are those of resources that may lack the number
(`Resource.may_lack_number`) and do, unless a finding of severity `block` keeps them out of libraries.

The library's macros, marks and links of keys must exist (`quality_checks.sources`). Tables are written into the
in-memory database `memory`, where the cursor that Splink works with sees them.
"""

from __future__ import annotations

from collections.abc import Sequence

from duckdb import DuckDBPyConnection

from catalog.identity import Identity
from catalog.models import Library
from quality_checks.identity_model import node_columns
from quality_checks.macros import name, quote
from quality_checks.sources import LINKS, MARKS, Source, normal_macro

ENTITIES = "memory.main.identity_entities"  # unique_id, entity_key and the features
RECORDS = "memory.main.identity_records"  # unique_id, department, resource, record_key, content and the features


def numberless(witnesses: Sequence[Source]) -> list[Source]:
    """Sources of which some records may state no number."""
    return [source for source in witnesses if source.resource.may_lack_number]


def numbered(witnesses: Sequence[Source]) -> list[Source]:
    """Sources whose records state a number, or may."""
    return [source for source in witnesses if source.resource.describes and source.resource.describes.by]


def write_records(con: DuckDBPyConnection, library: Library, witnesses: Sequence[Source]) -> int:
    """Write `RECORDS`, one row per record without a number, in the order of their names. Returns how many."""
    identity = _identity(library)
    columns = _columns(identity)
    said = " UNION ALL BY NAME ".join(_record_sql(identity, source) for source in numberless(witnesses))
    listed = ", ".join(map(name, columns))
    con.execute(
        f"CREATE OR REPLACE TABLE {RECORDS} AS SELECT row_number() OVER (ORDER BY department, resource, record_key)"
        f" AS unique_id, department, resource, record_key, hash({listed}) AS content, {listed} FROM ({said})"
    )
    return _count(con, RECORDS)


def _identity(library: Library) -> Identity:
    if library.identity is None:
        raise ValueError(f"libraries/{library.name}.yaml states no identity")
    return library.identity


def _columns(identity: Identity) -> list[str]:
    return [column for f, stated in identity.compare.items() for column in node_columns(f, stated.as_, "NULL")]


def _features(identity: Identity, said: dict[str, str]) -> str:
    """The node's columns from SQL by feature; NULL where nothing is said."""
    columns = {
        column: sql
        for feature, stated in identity.compare.items()
        for column, sql in node_columns(feature, stated.as_, said.get(feature, "NULL")).items()
    }
    return ", ".join(f"{sql} AS {name(column)}" for column, sql in columns.items())


def _record_sql(identity: Identity, source: Source) -> str:
    own = f"department = {quote(source.resource.department)} AND resource = {quote(source.resource.name)}"
    said = {feature: _said(source, feature) for feature in source.resource.features()}
    return (
        f"SELECT {quote(source.resource.department)} AS department, {quote(source.resource.name)} AS resource,"
        f" _record_key AS record_key, {_features(identity, said)}"
        f" FROM {name(source.resource.department)}.{name(source.resource.name)}"
        f" WHERE {source.key} IS NULL"
        f" AND _record_key NOT IN (SELECT _record_key FROM {MARKS} WHERE _blocked AND {own})"
    )


def _said(source: Source, feature: str) -> str:
    """What a record says of a feature, in the normal form of the library's attribute where it is one."""
    sql = f"TRY({source.resource.features()[feature]})"
    return f"{normal_macro(source.library, feature)}({sql})" if feature in source.library.attributes else sql


def write_entities(con: DuckDBPyConnection, library: Library, witnesses: Sequence[Source], first: int) -> int:
    """Write `ENTITIES`, one row per entity that some record states the number of; unique ids from `first` on."""
    identity = _identity(library)
    said = " UNION ALL BY NAME ".join(_said_sql(identity, source) for source in numbered(witnesses))
    best = {
        feature: f"arg_min({name('s_' + feature)}, {name('p_' + feature)})"
        for feature in identity.compare
        if any(feature in source.resource.features() for source in numbered(witnesses))
    }
    told = "".join(
        f", {sql} FILTER ({name('s_' + feature)} IS NOT NULL) AS {name('s_' + feature)}"
        for feature, sql in best.items()
    )
    con.execute(
        f"CREATE OR REPLACE TABLE {ENTITIES} AS SELECT {first} + row_number() OVER () AS unique_id, key AS entity_key,"
        f" {_features(identity, {feature: name('s_' + feature) for feature in best})}"
        f" FROM (SELECT key{told} FROM ({said}) WHERE key IS NOT NULL GROUP BY key)"
    )
    return _count(con, ENTITIES)


def _keys_sql(source: Source) -> str:
    """One row per record that states a number: `key`, the number of the entity that it is known by."""
    own = f"department = {quote(source.resource.department)} AND resource = {quote(source.resource.name)}"
    return (
        f"SELECT coalesce(a.entity_key, s.key) AS key, s.* EXCLUDE (key) FROM (SELECT *, {source.key} AS key"
        f" FROM {name(source.resource.department)}.{name(source.resource.name)}) s"
        f" LEFT JOIN (SELECT alias_key, entity_key FROM {LINKS} WHERE kind = 'key') a ON a.alias_key = s.key"
        f" WHERE s._record_key NOT IN (SELECT _record_key FROM {MARKS} WHERE _blocked AND {own})"
    )


def _said_sql(identity: Identity, source: Source) -> str:
    """One row per record that states a number: `key`, what it says of features (`s_…`) and how good that is (`p_…`)."""
    said = "".join(
        f", CAST({_said(source, feature)} AS VARCHAR) AS {name('s_' + feature)},"
        f" {{r: {_rank(source, feature)}, i: {source.index}, k: _record_key}} AS {name('p_' + feature)}"
        for feature in identity.compare
        if feature in source.resource.features()
    )
    return f"SELECT key{said} FROM ({_keys_sql(source)})"


def _rank(source: Source, feature: str) -> str:
    """Whose word goes first, as SQL: of an attribute the library's order, of a mere hint the resource's own value."""
    return source.rank(feature) if feature in source.library.attributes else "0"


def _count(con: DuckDBPyConnection, table: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {table}").fetchone()
    return row[0] if row else 0
