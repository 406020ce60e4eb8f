"""The lake: DuckLake catalogs in PostgreSQL and Parquet files in the home, one per department and one for the city.

`tables` says which tables the catalogue calls for, exactly as docs/architecture.md lists them; `Lake` attaches the
catalogs, brings them to those tables and changes rows. Every transaction goes through `resources.guard`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import duckdb
from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from catalog.models import PROVENANCE, Resource
from resources.failures import PermanentError
from resources.guard import CITY, Guard
from resources.postgres import Server

Result = TypeVar("Result")
Columns = Mapping[str, str]  # column -> DuckDB type, in order

QUARANTINE: Columns = {
    "delivery_id": "VARCHAR",
    "resource": "VARCHAR",
    "row_number": "BIGINT",
    "line": "BIGINT",
    "record_key": "VARCHAR",
    "reason_code": "VARCHAR",
    "reason": "VARCHAR",
    "content": "VARCHAR",
}
REMOVED: Columns = {
    "delivery_id": "VARCHAR",
    "resource": "VARCHAR",
    "row_number": "BIGINT",
    "record_key": "VARCHAR",
    "as_of": "DATE",
    "known": "BOOLEAN",
    "content": "VARCHAR",
}
FINDINGS: Columns = {
    "finding_id": "VARCHAR",
    "rule_id": "VARCHAR",
    "standard": "VARCHAR",
    "dimension": "VARCHAR",
    "indicator": "VARCHAR",
    "severity": "VARCHAR",
    "department": "VARCHAR",
    "resource": "VARCHAR",
    "record_key": "VARCHAR",
    "column": "VARCHAR",
    "observed_value": "VARCHAR",
    "suggested_value": "VARCHAR",
    "suggestion_method": "VARCHAR",
    "suggestion_confidence": "DOUBLE",
    "reason": "VARCHAR",
    "delivery_id": "VARCHAR",
    "first_seen": "DATE",
    "last_seen": "DATE",
    "status": "VARCHAR",
    "closed_on": "DATE",
}
RESULTS: Columns = {
    "as_of": "DATE",
    "department": "VARCHAR",
    "resource": "VARCHAR",
    "rule_id": "VARCHAR",
    "dimension": "VARCHAR",
    "indicator": "VARCHAR",
    "severity": "VARCHAR",
    "applicable": "BIGINT",
    "failed": "BIGINT",
    "state": "VARCHAR",
    "message": "VARCHAR",
}
MEASURES: Columns = {
    "as_of": "DATE",
    "evaluated_on": "DATE",
    "department": "VARCHAR",
    "resource": "VARCHAR",
    "indicator": "VARCHAR",
    "measure": "VARCHAR",
    "origin": "VARCHAR",
    "numerator": "BIGINT",
    "denominator": "BIGINT",
    "excepted": "BIGINT",
}
SCORES: Columns = {
    "as_of": "DATE",
    "period": "VARCHAR",
    "scope": "VARCHAR",
    "name": "VARCHAR",
    "dimension": "VARCHAR",
    "indicator": "VARCHAR",
    "direction": "VARCHAR",
    "numerator": "BIGINT",
    "denominator": "BIGINT",
    "own_numerator": "BIGINT",
    "own_denominator": "BIGINT",
    "score": "DECIMAL(10,9)",
    "weight": "INTEGER",
    "scheme": "VARCHAR",
    "small_sample": "BOOLEAN",
    "grade": "VARCHAR",
}
REVISED_MEASURES: Columns = {**MEASURES, "revised_on": "DATE"}
REVISED_SCORES: Columns = {**SCORES, "revised_on": "DATE"}
EXCEPTED: Columns = {
    "finding_id": "VARCHAR",
    "department": "VARCHAR",
    "resource": "VARCHAR",
    "record_key": "VARCHAR",
    "column": "VARCHAR",
}
PRECISION: Columns = {
    "as_of": "DATE",
    "department": "VARCHAR",
    "rule_id": "VARCHAR",
    "findings": "BIGINT",
    "objections": "BIGINT",
    "upheld": "BIGINT",
    "rejected": "BIGINT",
    "precision": "DECIMAL(10,9)",
}

BUILDS: Columns = {
    "library": "VARCHAR",
    "as_of": "DATE",
    "fingerprint": "VARCHAR",
    "pool_versions": "VARCHAR",
    "city_version": "BIGINT",
    "believed_since": "DATE",
    "told": "VARCHAR",
}
LINKS: Columns = {
    "library": "VARCHAR",
    "kind": "VARCHAR",
    "department": "VARCHAR",
    "resource": "VARCHAR",
    "record_key": "VARCHAR",
    "alias_key": "VARCHAR",
    "entity_key": "VARCHAR",
    "how": "VARCHAR",
    "weight": "DOUBLE",
    "probability": "DOUBLE",
    "model": "VARCHAR",
    "explanation": "VARCHAR",
    "since": "DATE",
    "content": "UBIGINT",
}
SPELLINGS: Columns = {"library": "VARCHAR", "spelling": "VARCHAR", "key": "VARCHAR"}

COPYING: Columns = {
    "library": "VARCHAR",
    "measured_on": "DATE",
    "one": "VARCHAR",
    "other": "VARCHAR",
    "attributes": "VARCHAR[]",
    "cells": "BIGINT",
    "errors": "BIGINT",
    "shared": "BIGINT",
    "expected": "DOUBLE",
    "weight": "DOUBLE",
    "together": "BOOLEAN",
}
AGREEMENT: Columns = {
    "library": "VARCHAR",
    "as_of": "DATE",
    "attribute": "VARCHAR",
    "department": "VARCHAR",
    "resource": "VARCHAR",
    "agrees": "BIGINT",
    "differs": "BIGINT",
    "silent": "BIGINT",
    "compared": "BIGINT",
    "compared_differs": "BIGINT",
}
OUTCOMES: Columns = {
    "library": "VARCHAR",
    "as_of": "DATE",
    "attribute": "VARCHAR",
    "outcome": "VARCHAR",
    "entities": "BIGINT",
}
SAID: Columns = {
    "library": "VARCHAR",
    "attribute": "VARCHAR",
    "source": "VARCHAR",
    "outcome": "VARCHAR",
    "said": "VARCHAR",
    "entities": "BIGINT",
}
COVERAGE: Columns = {
    "library": "VARCHAR",
    "as_of": "DATE",
    "pair": "VARCHAR",
    "source": "VARCHAR",
    "expected_in": "VARCHAR[]",
    "numerator": "BIGINT",
    "denominator": "BIGINT",
}


class LakeSchemaError(PermanentError):
    """A table, or a query for it, has columns the lake cannot take."""


@dataclass(frozen=True)
class Changed:
    """Rows a diff wrote; a row that changed counts as one deleted and one inserted."""

    inserted: int
    deleted: int
    unchanged: int


def tables(catalog: Catalog, target: str) -> dict[tuple[str, str], Columns]:
    """The tables of one lake catalog (`city` or a department) by schema and name."""
    if target != CITY:
        pools = {("main", resource.name): _pool(resource) for resource in catalog.of_department(target)}
        return {**pools, ("main", "_quarantine"): QUARANTINE, ("main", "_removed"): REMOVED}
    found: dict[tuple[str, str], Columns] = {}
    for library in catalog.libraries.values():
        found["base", library.name] = library.columns
        found["history", library.name] = {**library.columns, "_believed_to": "DATE"}
    for table in catalog.thematic.values():
        declared = {name: column.sql_type for name, column in table.columns.items()}
        found["thematic", f"{table.topic}__{table.name}"] = {**declared, "_hash": "UBIGINT"}
    return {
        **found,
        ("base", "_builds"): BUILDS,
        ("base", "_links"): LINKS,
        ("base", "_spellings"): SPELLINGS,
        ("base", "_copying"): COPYING,
        ("base", "_agreement"): AGREEMENT,
        ("base", "_outcomes"): OUTCOMES,
        ("base", "_coverage"): COVERAGE,
        ("base", "_said"): SAID,
        ("quality", "findings"): FINDINGS,
        ("quality", "results"): RESULTS,
        ("quality", "measures"): MEASURES,
        ("quality", "scores"): SCORES,
        ("quality", "revised_measures"): REVISED_MEASURES,
        ("quality", "revised_scores"): REVISED_SCORES,
        ("quality", "excepted"): EXCEPTED,
        ("quality", "precision"): PRECISION,
    }


def _pool(resource: Resource) -> Columns:
    return {**{name: column.sql_type for name, column in resource.columns.items()}, **PROVENANCE}


def quoted(name: str) -> str:
    """A name as SQL writes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL writes it, for the statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"


class Lake:
    """The catalogs of one city, attached to one DuckDB connection."""

    def __init__(self, con: DuckDBPyConnection, catalog: Catalog, server: Server, guard: Guard, folder: Path) -> None:
        self._con = con
        self._catalog = catalog
        self._server = server
        self._guard = guard
        self._folder = folder

    @property
    def targets(self) -> list[str]:
        """Names of the lake catalogs: the city's, then one per department."""
        return [CITY, *self._catalog.departments]

    def attach(self, *, read_only: bool = False) -> None:
        """Attach every catalog under its own name; tables of the city's catalog go by `<schema>.<table>` alone.

        A catalog that does not exist yet is created first, by one process at a time.

        Raises:
            LakeSchemaError: a catalog is missing and `read_only` forbids creating it.
        """
        with self._server.session(database="lake") as cursor:
            cursor.execute("select nspname from pg_namespace")
            there = {name for (name,) in cursor.fetchall()}
        missing = [target for target in self.targets if target not in there]
        if missing and read_only:
            raise LakeSchemaError(f"the lake has no catalog for {', '.join(missing)} yet: a run creates it")
        if missing:
            with self._server.lock("lake catalogs"), self._server.session(database="lake") as cursor:
                for target in missing:
                    cursor.execute(f"create schema if not exists {quoted(target)}")
                    self._attach(target)
        for target in self.targets:
            if target not in missing:
                self._attach(target, read_only=read_only)
        self._look_here()

    def files(self, target: str) -> set[str]:
        """Every file below the data folder of the catalog `target`, relative to it."""
        return self._guard.files(target)

    def commit(
        self,
        target: str,
        work: Callable[[DuckDBPyConnection], Result],
        *,
        author: str,
        deliveries: Sequence[str] = (),
        message: str = "",
        first: Callable[[DuckDBPyConnection], None] | None = None,
    ) -> Result:
        """Run `work` in one guarded transaction on the catalog `target`; see `resources.guard.Guard.commit`."""
        return self._guard.commit(target, work, author=author, deliveries=deliveries, message=message, first=first)

    def lock(self, target: str) -> AbstractContextManager[bool]:
        """Keep writers of the catalog `target` out, as each commit does for itself."""
        return self._guard.lock(target)

    def heal(self) -> int:
        """Settle what killed processes left behind; returns how many commits that were."""
        return self._guard.heal()

    def unsettled(self, target: str) -> list[str]:
        """Commits to the catalog `target` that nobody settled; hold its lock, else live ones are among them."""
        return self._guard.unsettled(target)

    def sweep(self, target: str) -> int:
        """Delete the files of the catalog `target` that nothing refers to; returns how many."""
        with self.lock(target):
            return self._guard.sweep(target)

    def name(self, target: str, schema: str, table: str) -> str:
        """A table's name as our SQL writes it: `<department>.<resource>` or `<schema>.<table>` of the city."""
        return f"{schema}.{table}" if target == CITY else f"{target}.{table}"

    def expected(self, target: str) -> list[str]:
        """Tables the catalogue calls for in the catalog `target`, as our SQL writes them."""
        return [self.name(target, *table) for table in tables(self._catalog, target)]

    def table_names(self, target: str) -> set[str]:
        """Tables that exist in the catalog `target`, as our SQL writes them."""
        return {self.name(target, *table) for table in self._names(target)}

    def empty_damaged(self, table: str, *, author: str) -> None:
        """Recreate a table whose files are lost, empty and as the catalogue has it, for its stage to fill again.

        `table` is `<department>.<resource>` or `<schema>.<table>` of the city. Earlier versions stay in the catalog.
        """
        first, last = table.split(".")
        target, schema = (first, "main") if first in self._catalog.departments else (CITY, first)
        columns = tables(self._catalog, target)[schema, last]
        full = ".".join(map(quoted, (target, schema, last)))

        def work(con: DuckDBPyConnection) -> None:
            con.execute(f"DROP TABLE IF EXISTS {full}")
            con.execute(_create(full, columns))

        self._guard.commit(target, work, author=author, message=f"empty the damaged table {table}")

    def apply_catalog(self, *, force: bool = False) -> None:
        """Bring every catalog to the tables the catalogue calls for: one transaction each, none when nothing changed.

        New tables and columns are added; what the catalogue no longer names stays as it is. `force` looks at the
        tables themselves even when the last call was for the same catalogue.

        Raises:
            LakeSchemaError: a column's type changed, which only a rebuild can bring about; every one is named.
        """
        wanted = {target: _fingerprint(tables(self._catalog, target)) for target in self.targets}
        if not force and wanted.items() <= self._applied().items():
            return
        with self._server.lock("lake catalogs"), self._server.session() as cursor:
            applied = {} if force else self._applied()
            for target in [name for name in wanted if applied.get(name) != wanted[name]]:
                self._apply(target, tables(self._catalog, target))
                cursor.execute(
                    "insert into ops.applied values (%s, %s) on conflict (target) do update"
                    " set fingerprint = excluded.fingerprint, applied_at = now()",
                    (target, wanted[target]),
                )
        self._look_here()

    def replace(self, con: DuckDBPyConnection, table: str, query: str, key: Sequence[str]) -> Changed:
        """Make `table` equal to `query` by writing the difference alone; call it inside a commit's work.

        Rows are brought together by `key` and compared by `_hash`, computed here over all columns of `query` as the
        table's types hold them.

        Raises:
            LakeSchemaError: `query` has a column the table lacks, an aggregate of 128 bits (the lake would lose its
                last digits: cast it to BIGINT), or two rows for one key.
        """
        rows = self._with_hash(con, table, query)
        keys = ", ".join(map(quoted, key))
        before = _count(con, f"FROM {table}")
        if before == 0:
            con.execute(f"INSERT INTO {table} BY NAME {rows}")
            self._check_unique(con, table, table, keys)
            return Changed(inserted=_count(con, f"FROM {table}"), deleted=0, unchanged=0)
        con.execute(f"CREATE OR REPLACE TEMP TABLE _next AS {rows}")
        self._check_unique(con, table, "_next", keys)
        same = " AND ".join(f"o.{quoted(c)} IS NOT DISTINCT FROM n.{quoted(c)}" for c in [*key, "_hash"])
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE _gone AS SELECT o.rowid AS id FROM {table} o ANTI JOIN _next n ON {same}"
        )
        deleted = _count(con, "FROM _gone")
        if deleted == before:
            con.execute(f"DELETE FROM {table}")
        elif deleted:
            con.execute(f"DELETE FROM {table} WHERE rowid IN (SELECT id FROM _gone)")
        unchanged = before - deleted
        inserted = _count(con, "FROM _next") - unchanged
        if inserted:
            others = f"ANTI JOIN {table} o ON {same}" if unchanged else ""
            con.execute(f"INSERT INTO {table} BY NAME SELECT n.* FROM _next n {others}")
        con.execute("DROP TABLE _next; DROP TABLE _gone")
        return Changed(inserted, deleted, unchanged)

    def _with_hash(self, con: DuckDBPyConnection, table: str, query: str) -> str:
        types = _describe(con, f"FROM {table}")
        given = _describe(con, query)
        if strange := given.keys() - (types.keys() - {"_hash"}):
            raise LakeSchemaError(f"{table} has no column {', '.join(sorted(strange))} to put the query's values in")
        if wide := sorted(name for name, kind in given.items() if "HUGEINT" in kind):
            raise LakeSchemaError(f"{table}: cast {', '.join(wide)} to BIGINT: the lake loses digits of HUGEINT")
        casts = ", ".join(f"CAST({quoted(n)} AS {types[n]}) AS {quoted(n)}" for n in given)
        return f"SELECT *, hash({', '.join(map(quoted, given))}) AS _hash FROM (SELECT {casts} FROM ({query}\n))"

    def _check_unique(self, con: DuckDBPyConnection, table: str, source: str, keys: str) -> None:
        repeated = _count(con, f"FROM (SELECT 1 FROM {source} GROUP BY {keys} HAVING count(*) > 1)")
        if repeated:
            raise LakeSchemaError(f"{table}: {repeated} keys ({keys}) stand in more than one row of the query")

    def _look_here(self) -> None:
        """Have names without a catalog looked up in DuckDB first, then in the schemas of the city's catalog.

        A look into the lake asks PostgreSQL for its newest snapshot: a millisecond for each statement that uses a macro
        or a function and reads nothing of the lake.
        """
        with self._server.session(database="lake") as cursor:
            cursor.execute(f"select schema_name from {CITY}.ducklake_schema where end_snapshot is null order by 1")
            schemas = [f"{CITY}.{schema}" for (schema,) in cursor.fetchall()]
        path = ",".join(["system.main", "memory.main", *schemas])
        self._con.execute(f"SET search_path = {literal(path)}")

    def _attach(self, target: str, *, read_only: bool = False) -> None:
        data = self._folder / target
        data.mkdir(mode=0o700, exist_ok=True)
        options = [
            "META_SECRET lake",
            f"META_SCHEMA {literal(target)}",
            f"DATA_PATH {literal(f'{data}/')}",
            "OVERRIDE_DATA_PATH true",  # the home may have moved
            "DATA_INLINING_ROW_LIMIT 0",
            *(["READ_ONLY"] if read_only else []),
        ]
        extra = {"host", "port", "user", "password", "dbname"}
        words = " ".join(f"{k}={v}" for k, v in self._server.parts(database="lake").items() if k not in extra)
        self._con.execute(f"ATTACH {literal(f'ducklake:postgres:{words}')} AS {quoted(target)} ({', '.join(options)})")

    def _configure(self, target: str) -> None:
        # Measured on ten million records: version 2 at level 1 is written in an eighth less time than version 1 at
        # level 3, is a third smaller, and is read as fast.
        options = {
            "parquet_compression": "'zstd'",
            "parquet_compression_level": "1",
            "parquet_version": "'2'",
            "require_commit_message": "true",
        }
        for option, value in options.items():
            self._con.execute(f"CALL {quoted(target)}.set_option({literal(option)}, {value})")

    def _applied(self) -> dict[str, str]:
        with self._server.session() as cursor:
            cursor.execute("select target, fingerprint from ops.applied")
            return dict(cursor.fetchall())

    def _apply(self, target: str, wanted: Mapping[tuple[str, str], Columns]) -> None:
        there = self._existing(target)
        problems: list[str] = []
        statements = [
            f"CREATE SCHEMA IF NOT EXISTS {quoted(target)}.{quoted(s)}" for s in sorted({s for s, _ in wanted})
        ]
        for (schema, name), columns in wanted.items():
            table = ".".join(map(quoted, (target, schema, name)))
            if (schema, name) not in there:
                statements.append(_create(table, columns))
                continue
            known = there[schema, name]
            for column, kind in columns.items():
                if column not in known:
                    statements.append(f"ALTER TABLE {table} ADD COLUMN {quoted(column)} {kind}")
                elif known[column] != kind:
                    problems.append(f"{target}.{schema}.{name}.{column} is {known[column]}, the catalogue says {kind}")
        if problems:
            raise LakeSchemaError("\n".join(["types cannot change in place:", *problems]))

        self._configure(target)

        def work(con: DuckDBPyConnection) -> None:
            for statement in statements:
                con.execute(statement)

        self._guard.commit(target, work, author="catalogue", message="apply the catalogue")

    def _existing(self, target: str) -> dict[tuple[str, str], dict[str, str]]:
        return {
            (schema, name): _describe(self._con, f"FROM {quoted(target)}.{quoted(schema)}.{quoted(name)}")
            for schema, name in self._names(target)
        }

    def _names(self, target: str) -> list[tuple[str, str]]:
        """Schema and name of every table that exists; DuckDB's own listing takes half a minute at 5,000 tables."""
        with self._server.session(database="lake") as cursor:
            cursor.execute(
                f"select s.schema_name, t.table_name from {quoted(target)}.ducklake_table t"
                f" join {quoted(target)}.ducklake_schema s using (schema_id)"
                " where t.end_snapshot is null and s.end_snapshot is null"
            )
            return [(schema, name) for schema, name in cursor.fetchall()]


def _fingerprint(wanted: Mapping[tuple[str, str], Columns]) -> str:
    described = json.dumps([(*name, list(columns.items())) for name, columns in wanted.items()])
    return hashlib.sha256(described.encode()).hexdigest()


def _create(table: str, columns: Columns) -> str:
    listed = ", ".join(f"{quoted(column)} {kind}" for column, kind in columns.items())
    return f"CREATE TABLE {table} ({listed})"


def _describe(con: DuckDBPyConnection, query: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in con.execute(f"DESCRIBE {query}").fetchall()}


def _count(con: DuckDBPyConnection, source: str) -> int:
    row = con.execute(f"SELECT count(*) {source}").fetchone()
    if row is None:
        raise duckdb.InternalException("count(*) gave no row")
    return int(row[0])
