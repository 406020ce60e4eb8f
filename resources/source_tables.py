"""How a table of a department's database is reached: PostgreSQL and MySQL/MariaDB, through DuckDB's scanners.

Every value is fetched as the text its own database writes for it: DuckDB's types would silently make a zero date NULL,
a 3 in a MySQL boolean `true` and a number of 40 digits a double. What the text means is for conforming, as in a file.
What is new, and where it goes, is `assets.pulls`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from catalog.sources import TableSource
from resources.city import extension_file
from resources.failures import PermanentError
from resources.lake import literal, quoted
from resources.secrets import Vault
from resources.source_failures import explain_table
from resources.sources import address

MEMORY = "1GB"
CONNECT_SECONDS = 15
SCANNERS = {  # the extension and its wheel
    "postgres": ("postgres_scanner", "duckdb_extension_postgres_scanner"),
    "mysql": ("mysql_scanner", "duckdb_extension_mysql_scanner"),
}
MYSQL_TLS = {"verify": "verify_identity", "require": "required", "none": "disabled"}
POSTGRES_TLS = {"verify": "verify-full", "require": "require", "none": "disable"}


@dataclass(frozen=True)
class Fetched:
    """What a pull of a table brought into its file.

    `watermark` is the highest one there was, `edge` a digest of the rows that have it or have none: when the next pull
    finds the same, nothing is new. Both are empty without a watermark column. `marked` counts rows with a watermark.
    """

    rows: int
    marked: int
    watermark: str | None
    edge: str


@dataclass(frozen=True)
class Database:
    """A department's database, attached read-only; made by `enter`."""

    con: DuckDBPyConnection
    source: TableSource

    def fetch(self, columns: Mapping[str, str], target: Path, since: str | None) -> Fetched:
        """Write rows to the Parquet file `target`: those at or after the watermark `since`, all when it is None.

        `columns` maps each column of the file to the table's. Rows without a watermark come every time, and those at
        the edge come again: the pool takes a record it holds already without a change, and none is lost.

        Raises:
            TransientError, PermanentError: it cannot be read; names the table and what is missing.
        """
        self._know([*columns.values(), *([self.source.watermark] if self.source.watermark else [])])
        listed = ", ".join(f"{self._text(theirs)} as {self._name(ours)}" for ours, theirs in columns.items())
        if self.source.watermark is None:
            query = f"select {listed} from {self._table}"
            rows = self._write(f"select * from {self._asked(query)}", target)
            return Fetched(rows, 0, None, "")
        mark = self._name(self.source.watermark)
        newest = self._newest(mark)
        kept = f"({mark} >= {self._literal(since)} or {mark} is null)" if since else "true"
        bound = f"({mark} <= {self._literal(newest)} or {mark} is null)" if newest else "true"
        query = f"select {listed}, {self._text(self.source.watermark)} as _mark from {self._table}"
        query += f" where {kept} and {bound} order by {mark}"
        scratch = target.with_suffix(".scratch")
        try:
            self._write(f"select * from {self._asked(query)}", scratch)
            staged = f"read_parquet({literal(str(scratch))})"
            edge = self._one(
                f"select count(*) || '/' || coalesce(bit_xor(hash(t)), 0) || '/' || coalesce(sum(hash(t)), 0) "
                f"from {staged} t where _mark is null or _mark = {literal(newest or '')}"
            )
            marked = int(str(self._one(f"select count(_mark) from {staged}")))
            rows = self._write(f"select * exclude _mark from {staged}", target)
        finally:
            scratch.unlink(missing_ok=True)
        return Fetched(rows, marked, newest, str(edge))

    def _know(self, wanted: list[str]) -> None:
        schema, _, table = self.source.table.rpartition(".")
        schema = schema or ("public" if self.source.kind == "postgres" else self.source.database)
        place = f"table_schema = {self._literal(schema)}"
        found = self._all(
            f"select column_name from information_schema.columns where {place} and table_name = {self._literal(table)}"
        )
        if not found:
            tables = self._all(f"select table_name from information_schema.tables where {place} order by table_name")
            raise PermanentError(
                f"{address(self.source)}: not there, or user {self.source.user} may not read it; "
                f"{schema} shows: {_some(tables)}"
            )
        missing = [name for name in wanted if name not in found]
        if missing:
            raise PermanentError(
                f"{address(self.source)}: has no column {_some(missing)}; it has {_some(found)}; "
                f"source.columns may say what a column is called there"
            )

    def _newest(self, mark: str) -> str | None:
        kind = "text" if self.source.kind == "postgres" else "char"
        [newest] = self._all(f"select cast(max({mark}) as {kind}) from {self._table}")
        return newest

    @property
    def _table(self) -> str:
        return ".".join(self._name(part) for part in self.source.table.split("."))

    def _name(self, name: str) -> str:
        return quoted(name) if self.source.kind == "postgres" else f"`{name}`"

    def _text(self, name: str) -> str:
        return f"cast({self._name(name)} as {'text' if self.source.kind == 'postgres' else 'char'})"

    def _literal(self, value: str) -> str:
        return literal(value if self.source.kind == "postgres" else value.replace("\\", "\\\\"))

    def _asked(self, query: str) -> str:
        return f"{self.source.kind}_query('department', {literal(query)})"

    def _all(self, query: str) -> list[str]:
        with _told(self.source):
            return [row[0] for row in self.con.execute(f"select * from {self._asked(query)}").fetchall()]

    def _one(self, query: str) -> object:
        row = self.con.execute(query).fetchone()
        return row[0] if row else None

    def _write(self, query: str, target: Path) -> int:
        with _told(self.source):
            self.con.execute(f"copy ({query}) to {literal(str(target))} (format parquet, compression zstd)")
        return int(str(self._one(f"select count(*) from read_parquet({literal(str(target))})")))


@contextmanager
def enter(source: TableSource, vault: Vault, spill: Path) -> Iterator[Database]:
    """Log in to the database, read-only; `spill` is a folder for temporary files.

    Raises:
        TransientError, PermanentError: it cannot be entered; says where, why and what is allowed.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "memory_limit": MEMORY,
        "temp_directory": str(spill),
    }
    password = vault.reveal(source.credentials.password)
    with duckdb.connect(":memory:", config=config) as con:
        con.execute("SET enable_progress_bar = false")  # it would be drawn after two seconds
        con.execute(f"LOAD {literal(str(extension_file(*SCANNERS[source.kind])))}")
        with _told(source):
            con.execute(_secret(source, password))
            options = literal(_options(source, vault))
            con.execute(f"ATTACH {options} AS department (TYPE {source.kind}, SECRET department, READ_ONLY)")
            con.execute("BEGIN")  # one state of their database for all that is asked
        yield Database(con, source)


@contextmanager
def _told(source: TableSource) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        explain_table(address(source), source, error)


def _secret(source: TableSource, password: str) -> str:
    given = {
        "HOST": source.host,
        "PORT": source.port,
        "DATABASE": source.database,
        "USER": source.user,
        "PASSWORD": password,
    }
    listed = ", ".join(f"{key} {literal(str(value))}" for key, value in given.items() if value)
    return f"CREATE SECRET department (TYPE {source.kind}, {listed})"


def _options(source: TableSource, vault: Vault) -> str:
    """What a secret cannot hold; no option is itself secret."""
    authority = str(vault.path(source.ca_file)) if source.ca_file else None
    if source.kind == "postgres":
        stated = {"connect_timeout": CONNECT_SECONDS, "sslmode": POSTGRES_TLS[source.tls], "sslrootcert": authority}
    else:
        stated = {"ssl_mode": MYSQL_TLS[source.tls], "ssl_ca": authority}
    return " ".join(f"{key}={value}" for key, value in stated.items() if value)


def _some(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f", … ({len(names)} in all)" if len(names) > 20 else "") if names else "nothing"
