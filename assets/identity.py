"""Who is who, before a library is built: numbers that are one entity's, and records that state none.

`resolve` brings the library's rows of `base._links` to what the pools, the stored model and people's decisions say;
`base.build` takes them from there. A pass in which none of them changed costs one look at the pools'
hashes; Splink is imported only where something did. Cases and decisions are `identity_cases`, learning is
`identity_training`.

`base._links` has one row per key or record whose entity is not what its own number says (`kind` key, record), and one
of `kind` state per library with records without a number: the digest of what its links were made from. A record with no
entity waits for a person's decision and speaks for nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

from duckdb import DuckDBPyConnection

from catalog.identity import Identity
from catalog.load import Catalog
from catalog.models import Library
from quality_checks import findings, identity_links, identity_model, identity_nodes
from quality_checks.identity_decisions import Decision, Standing, replay
from quality_checks.identity_findings import VIOLATIONS, write_violations
from quality_checks.identity_model import Model
from quality_checks.macros import name, quote
from quality_checks.results import RuleResult
from quality_checks.sources import LINK_COLUMNS, LINKS, MARKS, Source, key_macro, macros, marks_sql, sources
from resources.city import City

ALIASES = "memory.main.identity_aliases"
EXACT = "memory.main.identity_exact"
KNOWN = "memory.main.identity_known"
ROWS = "memory.main.identity_rows"  # the library's rows of base._links as they shall be


@dataclass(frozen=True)
class IdentityResult:
    """What resolving one library came to; `counts` of records without a number, empty where the library has none."""

    aliases: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    results: list[RuleResult] = field(default_factory=list)
    scored: bool = False  # whether the model had to be asked


def model_file(catalog: Catalog, library: Library) -> Path:
    """Where the library's model stands in the catalogue."""
    return catalog.root / "libraries" / f"{library.name}.model.json"


def stored_model(catalog: Catalog, library: Library) -> Model | None:
    """The model that runs use."""
    path = model_file(catalog, library)
    return Model.from_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def decisions(city: City, library: str) -> list[Decision]:
    """What people decided about the library's entities, oldest first."""
    with city.server.session() as cursor:
        cursor.execute(
            "SELECT action, record, content, entity_key, other_key FROM ops.identity_decisions"
            " WHERE library = %s ORDER BY decision_id",
            (library,),
        )
        return [Decision(*row) for row in cursor.fetchall()]


def resolve(city: City, library: Library, as_of: date, *, author: str) -> IdentityResult:
    """Bring the library's links up to date; call it before `base.build`."""
    con = city.con
    con.execute(f"CREATE OR REPLACE TEMP TABLE {LINKS.removeprefix('temp.')} ({LINK_COLUMNS})")
    witnesses = sources(city.catalog, library)
    without = identity_nodes.numberless(witnesses)
    standing = replay(decisions(city, library.name))
    declared = library.key_successors or any(source.resource.aliases for source in witnesses)
    if not (without or declared or standing.merged) and not _any_links(con, library):
        return IdentityResult()
    con.execute(macros(library))
    con.execute(marks_sql(city.catalog, library))
    write_aliases(con, library, witnesses, standing)
    with tables(con):
        scored = bool(without) and _write_records(city, library, witnesses, standing, as_of)
        con.execute(f"CREATE OR REPLACE TABLE {ROWS} AS {_rows_sql(city.con, library, without, as_of)}")
        results = city.commit(
            "city",
            partial(_commit, city.catalog, library, without, as_of),
            author=author,
            message=f"links {library.name}",
        )
        counts = identity_links.counts(con, ROWS) if without else {}
        aliases = con.execute(f"SELECT count(*) FROM {ROWS} WHERE kind = 'key'").fetchone()
    return IdentityResult(aliases[0] if aliases else 0, counts, results, scored)


def _any_links(con: DuckDBPyConnection, library: Library) -> bool:
    return bool(con.execute("SELECT 1 FROM base._links WHERE library = ? LIMIT 1", [library.name]).fetchone())


@contextmanager
def tables(con: DuckDBPyConnection) -> Iterator[None]:
    """The working tables in the database `memory`, dropped at the end: they may hold every person of the city."""
    try:
        yield
    finally:
        made = con.execute(
            "SELECT table_name FROM duckdb_tables()"
            " WHERE database_name = 'memory' AND starts_with(table_name, 'identity_')"
        ).fetchall()
        for (table,) in made:
            con.execute(f"DROP TABLE memory.main.{name(table)}")


def write_aliases(con: DuckDBPyConnection, library: Library, witnesses: Sequence[Source], standing: Standing) -> None:
    """Write `ALIASES`, and those of them to the links: declared numbers that some record is known by, and merges."""
    named = identity_nodes.numbered(witnesses)
    used = " UNION ALL ".join(f"SELECT {source.key} AS key FROM {_pool(source)}" for source in named)
    said = [
        f"SELECT CAST({key_macro(library)}({name(column)}) AS VARCHAR) AS alias_key, {source.key} AS entity_key"
        f" FROM {_pool(source)}"
        for source in named
        for column in source.resource.aliases
    ]
    first = " UNION ALL ".join(
        f"SELECT {source.key} AS key FROM {_pool(source)}" for source in named if source.resource.aliases
    )
    if library.key_successors:
        con.execute(f"CREATE OR REPLACE TABLE {EXACT}_codes AS {_successors_sql(library.key_successors)}")
        identity_links.follow(con, f"{EXACT}_codes")
        said.append(f"SELECT alias_key, entity_key FROM {EXACT}_codes")
    if not said:
        con.execute(f"CREATE OR REPLACE TABLE {EXACT} (alias_key VARCHAR, entity_key VARCHAR, how VARCHAR)")
    else:
        own = f" AND alias_key NOT IN (SELECT key FROM ({first}) WHERE key IS NOT NULL)" if first else ""
        con.execute(
            f"CREATE OR REPLACE TABLE {EXACT} AS SELECT alias_key, min(entity_key) AS entity_key, 'exact' AS how"
            f" FROM ({' UNION ALL '.join(said)}) WHERE alias_key <> '' AND entity_key <> '' AND alias_key <> entity_key"
            f" AND alias_key IN (SELECT key FROM ({used}) WHERE key IS NOT NULL){own}"
            " GROUP BY alias_key HAVING count(DISTINCT entity_key) = 1"  # of two entities' number nothing follows
        )
    identity_links.merged_keys(con, EXACT, standing, ALIASES)
    con.execute(f"INSERT INTO {LINKS} (kind, alias_key, entity_key) SELECT 'key', alias_key, entity_key FROM {ALIASES}")


def _pool(source: Source) -> str:
    return f"{name(source.resource.department)}.{name(source.resource.name)}"


def _successors_sql(codes: str) -> str:
    """Retired codes that became one other code, which no other code became."""
    listed = f"codes.{name(codes)}"
    return (
        f"SELECT code AS alias_key, successor AS entity_key, 'exact' AS how FROM {listed} WHERE valid_to IS NOT NULL"
        f" AND successor IN (SELECT successor FROM {listed} GROUP BY successor HAVING count(*) = 1)"
        f" AND successor IN (SELECT code FROM {listed})"
    )


def _write_records(city: City, library: Library, witnesses: Sequence[Source], standing: Standing, as_of: date) -> bool:
    """Write `identity_links.LINKS`, one row per record without a number. Returns whether the model was asked."""
    con = city.con
    model = stored_model(city.catalog, library)
    before = f"FROM base._links WHERE library = {quote(library.name)}"
    digest = _digest(con, library, witnesses, model, standing)
    con.execute(f"CREATE OR REPLACE TABLE {KNOWN} AS SELECT {quote(digest)} AS digest")
    stated = con.execute(f"SELECT explanation {before} AND kind = 'state'").fetchone()
    con.execute(
        f"CREATE OR REPLACE TABLE {identity_links.BEFORE} AS"
        f" SELECT * EXCLUDE (library, kind) {before} AND kind = 'record'"
    )
    if stated == (digest,):
        con.execute(f"CREATE OR REPLACE TABLE {identity_links.LINKS} AS FROM {identity_links.BEFORE}")
        return False
    count = identity_nodes.write_records(con, library, witnesses)
    identity_nodes.write_entities(con, library, witnesses, count)
    asked = count > 0 and library.identity is not None and model is not None
    if library.identity is None:
        raise ValueError(f"libraries/{library.name}.yaml states no identity")
    ask(con, library.identity, model if asked else None)
    identity_links.join_up(con, library.identity, model.id if model else "", standing, as_of, once=once(witnesses))
    if model is None:
        con.execute(f"UPDATE {identity_links.LINKS} SET entity_key = NULL WHERE how = 'model'")
    return asked


def ask(con: DuckDBPyConnection, identity: Identity, model: Model | None) -> None:
    """Score every pair worth comparing; without a model there is none."""
    nodes = "(FROM identity_entities UNION ALL BY NAME FROM identity_records)"
    with working(con) as cursor:
        if model:
            identity_model.frequencies(cursor, identity, nodes)
            identity_model.score(cursor, identity, model, entities="identity_entities", records="identity_records")
        else:
            identity_model.no_pairs(cursor, identity)


def once(witnesses: Sequence[Source]) -> list[tuple[str, str]]:
    """Resources of which no two records without a number are of one entity."""
    stated = [source.resource for source in identity_nodes.numberless(witnesses)]
    return [(one.department, one.name) for one in stated if one.describes and one.describes.once]


@contextmanager
def working(con: DuckDBPyConnection) -> Iterator[DuckDBPyConnection]:
    """A cursor of the same database whose tables go to `memory` and not to the lake."""
    with con.cursor() as cursor:
        cursor.execute("USE memory")
        yield cursor


def _digest(
    con: DuckDBPyConnection, library: Library, witnesses: Sequence[Source], model: Model | None, standing: Standing
) -> str:
    """Of everything that links of records are made from."""
    parts: list[object] = [library.identity, model.id if model else "", sorted(standing.merged.items())]
    parts += [sorted(standing.same.items()), sorted(standing.different), sorted(standing.relinked)]
    parts.append(con.execute(f"SELECT bit_xor(hash(alias_key, entity_key)) FROM {ALIASES}").fetchone())
    parts.append(
        con.execute(f"SELECT bit_xor(hash(department, resource, _record_key)) FROM {MARKS} WHERE _blocked").fetchone()
    )
    for source in witnesses:
        told = source.resource.features().keys()
        if not library.identity or not told & library.identity.compare.keys():
            continue
        dated = any(
            "_as_of" in source.rank(f) for f in told & library.identity.compare.keys() & library.attributes.keys()
        )
        row = f"hash(_record_key, _hash{', _as_of' if dated else ''})"
        rows = con.execute(f"SELECT count(*), bit_xor({row}) FROM {_pool(source)}").fetchone()
        parts += [source.resource.id, source.resource.features(), rows]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _rows_sql(con: DuckDBPyConnection, library: Library, without: Sequence[Source], as_of: date) -> str:
    """The library's rows of `base._links` as they shall be."""
    before = f"(FROM base._links WHERE library = {quote(library.name)})"
    parts = []
    if without:
        con.execute(f"""
            CREATE OR REPLACE TABLE {KNOWN}_keys AS
            SELECT DISTINCT key FROM (
                SELECT entity_key AS key FROM {before} UNION ALL SELECT alias_key FROM {before}
            ) WHERE starts_with(key, '#')""")
        identity_links.founded_aliases(con, f"{KNOWN}_keys", ALIASES)
        parts.append(f"""
            SELECT 'record' AS kind, l.* REPLACE (coalesce(a.entity_key, l.entity_key) AS entity_key)
            FROM {identity_links.LINKS} l LEFT JOIN {ALIASES} a ON a.alias_key = l.entity_key""")
        parts.append(f"SELECT 'state' AS kind, digest AS explanation FROM {KNOWN}")
    parts.append(f"""
        SELECT 'key' AS kind, a.alias_key, a.entity_key, a.how, coalesce(b.since, DATE '{as_of}') AS since
        FROM {ALIASES} a LEFT JOIN {before} b
            ON b.kind = 'key' AND b.alias_key = a.alias_key AND b.entity_key = a.entity_key""")
    columns = (
        f"SELECT * EXCLUDE (library) FROM base._links WHERE false UNION ALL BY NAME {' UNION ALL BY NAME '.join(parts)}"
    )
    return f"SELECT {quote(library.name)} AS library, * FROM ({columns})"


def _commit(
    catalog: Catalog, library: Library, without: Sequence[Source], as_of: date, con: DuckDBPyConnection
) -> list[RuleResult]:
    """Write the difference alone, and the findings on records without a number."""
    own = f"library = {quote(library.name)}"
    gone = f"SELECT rowid FROM base._links b WHERE {own} AND hash(b) NOT IN (SELECT hash(r) FROM {ROWS} r)"
    if con.execute(f"SELECT 1 FROM ({gone}) LIMIT 1").fetchone():
        con.execute(f"DELETE FROM base._links WHERE {own} AND rowid IN ({gone})")
    new = f"FROM {ROWS} r WHERE hash(r) NOT IN (SELECT hash(b) FROM base._links b WHERE {own})"
    if con.execute(f"SELECT 1 {new} LIMIT 1").fetchone():
        con.execute(f"INSERT INTO base._links BY NAME SELECT r.* {new}")
    if not without:
        return []
    results = write_violations(con, catalog, library, ROWS)
    findings.merge(con, VIOLATIONS, results, as_of)
    return results
