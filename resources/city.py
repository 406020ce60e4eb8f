"""One city, opened: its folders, catalogue, server, lake and the DuckDB connection every stage works on.

The composition of `resources` lives here and nothing else; a stage takes a `City` and needs no other handle.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import duckdb
from duckdb import DuckDBPyConnection

from catalog.columns import CODE_COLUMNS
from catalog.divisions import DIVISIONS, vocabulary
from catalog.load import Catalog
from resources.guard import Guard
from resources.home import Home, scratch
from resources.lake import Lake, literal, quoted
from resources.postgres import Server
from resources.reader import Limits

Result = TypeVar("Result")
EXTENSIONS = {"ducklake": "duckdb_extension_ducklake", "postgres_scanner": "duckdb_extension_postgres_scanner"}


@dataclass(frozen=True, repr=False)
class City:
    """A city opened by `City.open`; use it as a context manager, by one thread."""

    home: Home
    catalog: Catalog
    server: Server
    lake: Lake
    con: DuckDBPyConnection
    limits: Limits  # of one delivered file
    _closing: ExitStack

    @classmethod
    def open(
        cls,
        home: Path,
        catalog: Catalog,
        *,
        postgres_url: str | None = None,
        prelude: str = "",
        memory_limit: str = "3GB",
        threads: int | None = None,
        read_only: bool = False,
        limits: Limits | None = None,
    ) -> City:
        """Open the city at `home`, creating what is missing and settling what a killed process left behind.

        `prelude` is SQL run on the connection (macros). `read_only` attaches everything read-only as the role
        `reader`; then the lake must exist.

        Raises:
            ServerError: PostgreSQL cannot be started, reached or prepared.
        """
        folders = Home.at(home)
        with ExitStack() as stack:
            with ThreadPoolExecutor(1) as beside:
                checked = beside.submit(_check_signatures)  # takes as long as the server takes to start
                server = stack.enter_context(Server(folders, postgres_url))
            checked.result()
            spill = stack.enter_context(scratch(folders))
            con = stack.enter_context(_connect(spill, memory_limit, threads))
            role = "reader" if read_only else "pipeline"
            for name, database in {"lake": "lake", "shuyuan": "shuyuan"}.items():
                con.execute(_secret(name, server.parts(role, database)))
            con.execute(f"ATTACH '' AS shuyuan (TYPE postgres, SECRET shuyuan{', READ_ONLY' if read_only else ''})")
            guard = Guard(con, server, folders)
            lake = Lake(con, catalog, server, guard, folders.lake)
            lake.attach(read_only=read_only)
            if not read_only:
                guard.heal()
            _load_codes(con, catalog)
            if prelude:
                con.execute(prelude)
            return cls(folders, catalog, server, lake, con, limits or Limits(), stack.pop_all())

    def __repr__(self) -> str:
        return f"City({str(self.home.root)!r})"

    def __enter__(self) -> City:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and leave the server, which stops with its last user."""
        self._closing.close()

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
        """Run `work` in one guarded transaction on the lake catalog `target`: "city" or a department.

        `work` must be re-runnable, changes rows of `target` alone (DML; temporary tables are free) and gives the
        result back. `author` is the run's id, `deliveries` the ids it took from: both stay in the catalog. `first` runs
        before it, under the same lock and outside of the transaction.

        Raises:
            LakeUnavailableError: PostgreSQL died meanwhile; open the city again and run again.
        """
        return self.lake.commit(target, work, author=author, deliveries=deliveries, message=message, first=first)


@contextmanager
def _connect(spill: Path, memory_limit: str, threads: int | None) -> Iterator[DuckDBPyConnection]:
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "memory_limit": memory_limit,
        "temp_directory": str(spill),
        **({"threads": str(threads)} if threads else {}),
    }
    with duckdb.connect(":memory:", config={**config, "allow_unsigned_extensions": "true"}) as con:
        _load_extensions(con)
        con.execute("SET allow_unsigned_extensions = false")  # from here on for good: it cannot be set back
        con.execute("SET TimeZone = 'Asia/Shanghai'")
        con.execute("SET pg_pool_max_connections = 1; SET pg_pool_idle_timeout_millis = 5000")  # per attached catalog
        con.execute("SET ducklake_default_data_inlining_row_limit = 0")
        yield con


@cache
def _check_signatures() -> None:
    """Load the extensions where DuckDB insists on its own signature, once a process: hashing 73 MB takes 0.3 s.

    What was loaded stays mapped, so later connections get the very code that was checked.
    """
    with duckdb.connect(":memory:") as con:
        _load_extensions(con)


def _load_extensions(con: DuckDBPyConnection) -> None:
    for name, package in EXTENSIONS.items():
        con.execute(f"LOAD {literal(str(extension_file(name, package)))}")


def extension_file(name: str, package: str) -> Path:
    """The extension inside its wheel: loading by path needs no download and no copy in the user's home."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the wheel of DuckDB's extension {name} is not installed", name=package)
    return (
        Path(spec.submodule_search_locations[0]) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    )


def _secret(name: str, parts: dict[str, str]) -> str:
    """The password goes into a secret: an ATTACH with it would show it in errors and in duckdb_databases()."""
    given = {
        "HOST": parts.get("host"),
        "PORT": parts.get("port"),
        "DATABASE": parts["dbname"],
        "USER": parts.get("user"),
        "PASSWORD": parts.get("password"),
    }
    listed = ", ".join(f"{key} {literal(value)}" for key, value in given.items() if value)
    return f"CREATE SECRET {quoted(name)} (TYPE postgres, {listed})"


def _load_codes(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """One in-memory table per code list, every column text; optional columns a file lacks are NULL."""
    con.execute("ATTACH ':memory:' AS codes")
    for name in catalog.codes:
        path = catalog.code_file(name)
        told = "all_varchar = true, header = true, delim = ',', quote = '\"', nullstr = ''"
        with path.open(encoding="utf-8-sig", newline="") as file:
            there = set(next(csv.reader(file)))
        columns = ", ".join(c if c in there else f"NULL::VARCHAR AS {c}" for c in CODE_COLUMNS)
        con.execute(
            f"CREATE TABLE codes.{quoted(name)} AS SELECT {columns} FROM read_csv({literal(str(path))}, {told})"
        )
    if DIVISIONS in catalog.codes and (words := vocabulary(catalog.code_file(DIVISIONS).parent)):
        con.execute(words)
