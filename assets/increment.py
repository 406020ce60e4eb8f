"""What is touched since a library was last built: the entities that must be arbitrated again, or why all must be.

`base._builds` remembers from which DuckLake snapshots a library was made and a fingerprint of all that arbitration
depends on. Between those snapshots and now the change feed names the records that came, changed or went. As a multiset
what was inserted less what was deleted is the difference of the two states: a record that is restated without a change
cancels itself out, whatever lies between. What cannot be told that way is built whole, and the plan says why.

An increment gives the same rows as a full build: a value depends on the records that speak of its entity, their marks
(`quality_checks.sources.MARKS`), the links that say of whom they speak, and the fingerprint; nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version

from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from catalog.models import Library
from quality_checks import macros
from quality_checks.macros import name, quote
from quality_checks.sources import CHANGED, SPELLINGS, TOUCHED, Source, marking, sources
from quality_checks.sources import macros as key_macros
from resources.city import City
from resources.guard import CITY
from resources.lake import quoted

SHARE = 1 / 3  # of the entities: with more of them touched a full build is cheaper
NAMED = "temp.library_named"  # resource, _record_key, key, spelling: what changed records name; both may be null


@dataclass(frozen=True)
class Built:
    """From what a library was made: a row of `base._builds`, without its name."""

    as_of: date
    fingerprint: str
    pool_versions: Mapping[str, int]
    city_version: int
    believed_since: date | None = None


@dataclass(frozen=True)
class Plan:
    """How a library is to be built: `full` says why all of it, and is empty for the `touched` entities alone.

    `built` is what the build is made from; `record` writes it in the same commit.
    """

    full: str
    touched: int
    built: Built
    before: Built | None

    @property
    def told(self) -> str:
        return f"full: {self.full}" if self.full else f"increment: {self.touched} entities"


def plan(
    city: City,
    con: DuckDBPyConnection,
    library: Library,
    as_of: date,
    *,
    full: bool = False,
    decided: Mapping[str, object] | None = None,
) -> Plan:
    """Find what is touched and write it to `TOUCHED`, `CHANGED` and `SPELLINGS`; call it once the links are written.

    Args:
        city: the open city.
        con: its connection, in the transaction in which the pools are read.
        library: what is about to be built.
        as_of: the business day.
        full: build everything, whatever changed.
        decided: what arbitration depends on beyond the catalogue, such as measured groups of copying sources.
    """
    con.execute(key_macros(library))
    witnesses = sources(city.catalog, library)
    before = _last(con, library)
    built = Built(
        as_of,
        fingerprint(city.catalog, library, decided or {}),
        {d: _snapshot(con, d) for d in sorted({source.resource.department for source in witnesses})},
        _snapshot(con, CITY),
        before.believed_since if before else None,
    )
    if _beliefs_lost(city, con, library, before):
        built = Built(as_of, built.fingerprint, built.pool_versions, built.city_version, believed_since=as_of)
    why = "asked for" if full else _why_full(city, library, before, built)
    if why or before is None:
        return Plan(why, 0, built, before)
    try:
        touched = _Search(con, city.catalog, library, before=before, built=built).touch()
    except _CannotTellError as doubt:
        return Plan(str(doubt), 0, built, before)
    everyone = _number(con, f"SELECT count(*) FROM base.{name(library.name)}")
    why = f"{touched} of {everyone} entities are touched" if 0 < everyone * SHARE < touched else ""
    return Plan(why, touched, built, before)


def record(con: DuckDBPyConnection, library: Library, made: Plan) -> None:
    """Write from what the library was made; nothing when nothing is new since the last time."""
    if not made.full and not made.touched and made.before and made.before.as_of == made.built.as_of:
        return
    built = made.built
    con.execute("DELETE FROM base._builds WHERE library = ?", [library.name])
    con.execute(
        "INSERT INTO base._builds BY NAME SELECT ? AS library, ? AS as_of, ? AS fingerprint, ? AS pool_versions,"
        " ? AS city_version, ?::DATE AS believed_since, ? AS told",
        [
            library.name, built.as_of, built.fingerprint, json.dumps(built.pool_versions), built.city_version,
            built.believed_since, made.told,
        ],
    )  # fmt: skip


def keep_spellings(con: DuckDBPyConnection, library: Library, made: Plan) -> None:
    """Bring `base._spellings` to `SPELLINGS`: increments find their records by it."""
    here = f"FROM base._spellings WHERE library = {quote(library.name)}"
    mine = f"SELECT spelling, key {here}"
    if made.full and _number(con, f"SELECT count(*) FROM ({mine} EXCEPT FROM {SPELLINGS})"):
        con.execute(f"DELETE {here}")
    new = f"SELECT {quote(library.name)} AS library, * FROM (FROM {SPELLINGS} EXCEPT {mine})"
    if _number(con, f"SELECT count(*) FROM ({new})"):
        con.execute(f"INSERT INTO base._spellings BY NAME {new}")


def fingerprint(catalog: Catalog, library: Library, decided: Mapping[str, object]) -> str:
    """Hash of everything but records, marks and links that the library's values depend on, as canonical JSON."""
    witnesses = sources(catalog, library)
    stated = {
        "library": library.model_dump(mode="json", exclude={"title", "summary"}),
        "sources": [_stated_of(source) for source in witnesses],
        "marks": marking(catalog, library),
        "decided": decided,
        "words": hashlib.sha256(macros.SQL.encode()).hexdigest(),
        "shuyuan": version("shuyuan"),
    }
    told = json.dumps(stated, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def _stated_of(source: Source) -> dict[str, object]:
    resource = source.resource
    columns = {column for attribute in resource.supplies for column in source.supplying(attribute)}
    columns |= set(source.identifying)
    return {
        "id": resource.id,
        "describes": resource.describes.model_dump(mode="json") if resource.describes else {},
        "supplies": resource.supplies,
        "columns": {
            c: (resource.columns[c].sql_type, resource.columns[c].received_from)
            for c in sorted(columns & resource.columns.keys())
        },
        "received_from": resource.received_from,
    }


def _ages(source: Source) -> list[str]:
    """SQL over `_as_of` of what a statement's age decides: the period of an authority it falls into, or its rank
    among all others by age.
    """
    found: set[str] = set()
    for attribute in source.resource.supplies:
        stated = source.library.attributes[attribute]
        terms = [t for t in (stated.authority.everyone() if stated.authority else ()) if source.speaks_as(t.department)]
        always = any(term.from_ is term.to is None for term in terms) and not (stated.authority and stated.authority.by)
        if not always and stated.otherwise == "newest" and not any(map(source.speaks_as, stated.substitutes)):
            return ["_as_of"]
        found |= {f"_as_of >= DATE '{term.from_}'" for term in terms if term.from_}
        found |= {f"_as_of > DATE '{term.to}'" for term in terms if term.to}
    return sorted(found)


class _CannotTellError(Exception):
    """Why the change feed cannot say what is touched."""


def _last(con: DuckDBPyConnection, library: Library) -> Built | None:
    row = con.execute(
        "SELECT as_of, fingerprint, pool_versions, city_version, believed_since FROM base._builds WHERE library = ?",
        [library.name],
    ).fetchone()
    if row is None:
        return None
    as_of, mark, pools, city_version, since = row
    return Built(as_of, mark, json.loads(pools), city_version, since)


def _snapshot(con: DuckDBPyConnection, target: str) -> int:
    """The snapshot of the catalog that this transaction reads."""
    return _number(con, f"SELECT id FROM {quoted(target)}.current_snapshot()")


def _number(con: DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0


def _beliefs_lost(city: City, con: DuckDBPyConnection, library: Library, before: Built | None) -> bool:
    """Whether a repair emptied what was believed or its history since the last build."""
    if before is None:
        return _number(con, f"SELECT count(*) FROM history.{name(library.name)}") > 0
    return any(_recreated(city, (CITY, schema, library.name), before.city_version) for schema in ("base", "history"))


def _why_full(city: City, library: Library, before: Built | None, built: Built) -> str:
    """Why the change feed need not be asked; empty when it may."""
    if before is None:
        return "first build"
    if before.fingerprint != built.fingerprint:
        return "the catalogue, or what was decided, changed"
    known = {CITY: before.city_version, **before.pool_versions}
    for target, snapshot in known.items():
        if not _exists(city, target, snapshot):
            return f"snapshot {snapshot} of {target} is gone"
    tables = [(CITY, schema, library.name) for schema in ("base", "history")]
    tables += [(CITY, "base", "_links"), (CITY, "base", "_spellings")]
    tables += [(CITY, "quality", "findings"), (CITY, "quality", "excepted")]
    tables += [(one.department, "main", one.name) for one in city.catalog.sources_of(library.name)]
    for table in tables:
        if _recreated(city, table, known[table[0]]):
            return f"{city.lake.name(*table)} was repaired"
    return ""


def _exists(city: City, target: str, snapshot: int) -> bool:
    with city.server.session(database="lake") as cursor:
        cursor.execute(f"select from {quoted(target)}.ducklake_snapshot where snapshot_id = %s", (snapshot,))
        return cursor.fetchone() is not None


def _recreated(city: City, table: tuple[str, str, str], snapshot: int) -> bool:
    """Whether the table of today was made after the snapshot: the change feed would say nothing of the one before."""
    target, schema, bare = table
    with city.server.session(database="lake") as cursor:
        cursor.execute(
            f"select from {quoted(target)}.ducklake_table t join {quoted(target)}.ducklake_schema s using (schema_id)"
            " where t.end_snapshot is null and s.end_snapshot is null and s.schema_name = %s and t.table_name = %s"
            " and t.begin_snapshot <= %s",
            (schema, bare, snapshot),
        )
        return cursor.fetchone() is None


class _Search:
    """The search for what is touched, between the snapshots of two builds."""

    def __init__(
        self, con: DuckDBPyConnection, catalog: Catalog, library: Library, *, before: Built, built: Built
    ) -> None:
        self.con = con
        self.catalog = catalog
        self.library = library
        self.sources = sources(catalog, library)
        self.before = before
        self.built = built

    def touch(self) -> int:
        """Write `CHANGED`, `SPELLINGS` and `TOUCHED`; returns how many entities that are.

        Raises:
            _CannotTellError: the change feed does not add up.
        """
        columns = "resource VARCHAR, _record_key VARCHAR, key VARCHAR, spelling VARCHAR"
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE {_bare(NAMED)} ({columns})")
        for source in self.sources:
            department = source.resource.department
            span = (self.before.pool_versions[department] + 1, self.built.pool_versions[department])
            if span[0] <= span[1]:
                self._touch_records(source, span)
        self._read_links()
        self._touch_others()
        self._name_entities()
        self._read_spellings()
        changed = "split_part(resource, '.', 1) AS department, split_part(resource, '.', 2) AS resource"
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {_bare(CHANGED)} AS"
            f" SELECT DISTINCT {changed}, _record_key AS record_key FROM {NAMED}"
        )
        return _number(self.con, f"SELECT count(*) FROM {TOUCHED}")

    def _touch_records(self, source: Source, span: tuple[int, int]) -> None:
        """Records whose content, or whose age where that matters, is another than at the last build."""
        resource, con = source.resource, self.con
        sizes = "(SELECT (count(*), min(_as_of) IS DISTINCT FROM max(_as_of)) FROM {})"
        old = f"{source.pool} AT (VERSION => {span[0] - 1})"
        found = con.execute(f"SELECT {sizes.format(source.pool)}, {sizes.format(old)}").fetchone()
        (now, mixed), (then, was_mixed) = found or ((0, False), (0, False))
        age = [f"{sql} AS _age_{place}" for place, sql in enumerate(_ages(source))]
        if mixed or was_mixed:  # the newest of an entity's records stands
            age = ["_as_of AS _age"]
        listed = ", ".join([*map(name, source.identifying), "_record_key", "_hash", *age])
        feed = _feed((resource.department, "main", resource.name), span, listed)
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE _net AS SELECT * EXCLUDE (n), sum(n)::BIGINT AS n FROM ({feed})"
            " GROUP BY ALL HAVING sum(n) <> 0"
        )
        if _number(con, "SELECT coalesce(sum(n), 0)::BIGINT FROM _net") != now - then:
            raise _CannotTellError(f"the change feed of {resource.id} does not add up")
        con.execute(
            f"INSERT INTO {NAMED} SELECT DISTINCT {quote(resource.id)}, _record_key, {source.key}, {source.spelling}"
            " FROM _net; DROP TABLE _net"
        )

    def _read_links(self) -> None:
        """Write `_links`, the library's links now, and `_relinked`, those that came or went since the last build."""
        link = "kind, department || '.' || resource AS resource, record_key, alias_key, entity_key"
        mine = f"WHERE library = {quote(self.library.name)}"
        then = f"base._links AT (VERSION => {self.before.city_version})"
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE _links AS SELECT {link} FROM base._links {mine};"
            f"CREATE OR REPLACE TEMP TABLE _linked AS SELECT {link} FROM {then} {mine};"
            "CREATE OR REPLACE TEMP TABLE _relinked AS"
            " (FROM _links EXCEPT FROM _linked) UNION ALL (FROM _linked EXCEPT FROM _links);"
            "DROP TABLE _linked"
        )

    def _touch_others(self) -> None:
        """Records with the same content that other findings block or doubt, or other links give to another entity."""
        span = (self.before.city_version + 1, self.built.city_version)
        marks = "department, resource, record_key, \"column\", severity = 'block' AS blocks"
        asked = ["SELECT resource, record_key AS _record_key FROM _relinked WHERE record_key IS NOT NULL"]
        if span[0] <= span[1]:
            feed = _feed((CITY, "quality", "findings"), span, marks, marking(self.catalog, self.library))
            asked.append(
                "SELECT department || '.' || resource, record_key"
                f" FROM (SELECT * EXCLUDE (n) FROM ({feed}) GROUP BY ALL HAVING sum(n) <> 0)"
            )
            excepted = _feed((CITY, "quality", "excepted"), span, "department || '.' || resource, record_key")
            asked.append(f"SELECT * EXCLUDE (n) FROM ({excepted})")
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE _asked AS SELECT DISTINCT * FROM ({' UNION ALL '.join(asked)})"
            f" ANTI JOIN {NAMED} USING (resource, _record_key)"
        )
        where = {resource for (resource,) in self.con.execute("SELECT DISTINCT resource FROM _asked").fetchall()}
        for source in self.sources:
            mine = quote(source.resource.id)
            if source.resource.id in where:
                self.con.execute(
                    f"INSERT INTO {NAMED} SELECT {mine}, _record_key, {source.key}, {source.spelling}"
                    f" FROM {source.pool} WHERE _record_key IN (SELECT _record_key FROM _asked WHERE resource = {mine})"
                )
        self.con.execute("DROP TABLE _asked")

    def _name_entities(self) -> None:
        """Write `TOUCHED`: the entities that changed records and changed links name, by themselves or by a link."""
        founder = "'#' || resource || '|' ||"
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {_bare(TOUCHED)} AS SELECT DISTINCT key FROM ("
            f"SELECT coalesce(key, {founder} _record_key) AS key FROM {NAMED}"
            " UNION ALL SELECT entity_key FROM _relinked"
            f" UNION ALL SELECT coalesce(alias_key, {founder} record_key) FROM _relinked"
            f" UNION ALL SELECT l.entity_key FROM _links l JOIN {NAMED} c"
            " ON l.resource = c.resource AND l.record_key = c._record_key"
            f" UNION ALL SELECT l.entity_key FROM _links l JOIN {NAMED} c ON l.alias_key = c.key"
            ") WHERE key IS NOT NULL; DROP TABLE _links; DROP TABLE _relinked"
        )

    def _read_spellings(self) -> None:
        """Write `SPELLINGS`: those known, and those that changed records bring."""
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {_bare(SPELLINGS)} AS"
            f" SELECT spelling, key FROM base._spellings WHERE library = {quote(self.library.name)}"
            f" UNION SELECT spelling, key FROM {NAMED} WHERE spelling <> key"
        )


def _feed(table: tuple[str, str, str], span: tuple[int, int], columns: str, where: str = "true") -> str:
    """Query: what the snapshots of the span put into a table, `n` = 1, and took out of it, `n` = -1."""
    told = ", ".join([*map(quote, table), *map(str, span)])
    return " UNION ALL ".join(
        f"SELECT {columns}, {n} AS n FROM ducklake_table_{kind}({told}) WHERE {where}"
        for kind, n in (("insertions", 1), ("deletions", -1))
    )


def _bare(table: str) -> str:
    return table.removeprefix("temp.")
