"""The guard around every lake transaction.

DuckLake never syncs its files, and when PostgreSQL dies during COMMIT it deletes files that the committed catalog
refers to. So each commit has an id and a folder `home.inflight/<catalog>.<id>`: new files are hard-linked there and
synced before COMMIT, the id goes into the commit's extra_info, and whenever the outcome is unknown (an error at COMMIT,
a folder left by a killed process) the catalog is asked whether the id arrived: then missing files are linked back, else
the leftovers go. Nothing but the protocol lives here; what a transaction does is its caller's `work`.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import duckdb
import psycopg2
import stamina
from duckdb import DuckDBPyConnection

from resources.failures import TransientError
from resources.home import Home, sync_folder
from resources.postgres import Server, ServerError

Result = TypeVar("Result")
log = logging.getLogger(__name__)
CITY = "city"
ATTEMPTS = 10


class LakeConflictError(TransientError):
    """Somebody else's commit came first; nothing was written and the work may run again."""


class LakeUnavailableError(ServerError):
    """PostgreSQL stopped answering. The lake is whole: what became of the last commit is settled at the next start."""


@contextmanager
def transaction(con: DuckDBPyConnection) -> Iterator[None]:
    """Several statements that see one state, and of which all count or none. The lake itself is written by `Guard`."""
    con.begin()
    try:
        yield
        con.commit()
    except BaseException:
        with suppress(duckdb.Error):  # the transaction may be gone with its server
            con.rollback()
        raise


@dataclass(frozen=True)
class Guard:
    """Commits to the lake catalogs attached to `con` under their own names."""

    con: DuckDBPyConnection
    server: Server
    home: Home

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
        """Run `work` in one transaction on the catalog `target` and commit it; nobody else writes there meanwhile.

        `work` changes rows of `target` alone (temporary tables are free) and must be re-runnable: a conflict runs it
        again. When it raises, everything it wrote is rolled back. `first` runs before each time, also without another
        writer but in no transaction yet: of temporary tables DuckDB reads those with one thread that the same
        transaction made.

        Raises:
            LakeUnavailableError: PostgreSQL died; run again after it is back, which a new `City` sees to.
            LakeConflictError: ten attempts met other commits.
            RuntimeError: called inside another commit's work, or inside a transaction.
        """
        self._refuse_nesting()
        info = {"deliveries": list(deliveries)}
        for attempt in stamina.retry_context(on=LakeConflictError, attempts=ATTEMPTS, wait_initial=0.05, timeout=None):
            with attempt, self._reachable(), self.lock(target):
                self._heal_target(target)
                if first:
                    first(self.con)
                return self._once(target, work, author, message, info)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def lock(self, target: str, *, wait: bool = True) -> AbstractContextManager[bool]:
        """Be the only writer of the catalog `target`."""
        return self.server.lock(f"lake {target}", wait=wait)

    def unsettled(self, target: str) -> list[str]:
        """Commits to `target` under way or left behind: names of their folders below `home.inflight`."""
        return sorted(folder.name for folder in self.home.inflight.glob(f"{target}.*"))

    def heal(self) -> int:
        """Settle what killed processes left behind; returns how many commits that were. Live ones are left alone."""
        settled = 0
        attached = self.con.execute("SELECT database_name FROM duckdb_databases()").fetchall()
        for target in [name for (name,) in attached if self.unsettled(name)]:
            with self.lock(target, wait=False) as ours:
                if ours:
                    settled += self._heal_target(target)
        return settled

    def _once(
        self,
        target: str,
        work: Callable[[DuckDBPyConnection], Result],
        author: str,
        message: str,
        info: dict[str, list[str]],
    ) -> Result:
        commit = uuid.uuid4().hex
        folder = self.home.inflight / f"{target}.{commit}"
        before = self.files(target)
        self.con.begin()
        folder.mkdir(mode=0o700)
        try:
            result = work(self.con)
            extra = json.dumps({"commit": commit, **info})
            self.con.execute(f'CALL "{target}".set_commit_message(?, ?, extra_info => ?)', [author, message, extra])
            self._keep(folder, target, self.files(target) - before)
        except BaseException:
            with suppress(duckdb.Error):  # the transaction may be gone with its server
                self.con.rollback()
            if self.files(target) <= before:  # else the next commit or start sweeps what rollback could not
                shutil.rmtree(folder)
            raise
        try:
            self.con.commit()
        except duckdb.Error as error:
            with suppress(duckdb.Error):
                self.con.rollback()
            if not self._settle(folder, target):
                if "conflict" in str(error).lower():
                    raise LakeConflictError(f"another commit to {target} came first") from error
                raise
        else:
            shutil.rmtree(folder)
        return result

    def files(self, target: str) -> set[str]:
        """Every file below the catalog's data folder, relative to it."""
        root = self.home.lake / target
        return {
            os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118  # thousands of files: strings are quicker
            for folder, _, names in os.walk(root)
            for name in names
        }

    def arrived(self, target: str, commit: str) -> bool:
        """Whether the catalog holds the commit; waits for commits that PostgreSQL has not finished yet."""
        connection = self.server.connect(database="lake")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(f'lock table "{target}".ducklake_snapshot_changes in share mode')
                query = f'select from "{target}".ducklake_snapshot_changes where commit_extra_info like %s'
                cursor.execute(query, (f"%{commit}%",))
                return cursor.fetchone() is not None
        finally:
            connection.close()

    def sweep(self, target: str) -> int:
        """Delete files of the catalog that nothing refers to; returns how many. Hold the target's lock."""
        gone = self.con.execute(f"CALL ducklake_cleanup_old_files('{target}', cleanup_all => true)").fetchall()
        gone += self.con.execute(f"CALL ducklake_delete_orphaned_files('{target}', cleanup_all => true)").fetchall()
        return len(gone)

    def _refuse_nesting(self) -> None:
        """A nested commit would wait for ever for the lock of the outer one."""
        try:
            self.con.begin()
        except duckdb.TransactionException as error:
            raise RuntimeError("a lake commit needs a connection without a transaction: do not nest commits") from error
        self.con.rollback()

    def _keep(self, folder: Path, target: str, names: set[str]) -> None:
        """Link the new files aside and bring them to the disk, so that no deletion or power cut can take them."""
        for name in names:
            link = folder / name
            link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            link.hardlink_to(self.home.lake / target / name)
        if names:
            sync_folder(folder)

    def _settle(self, folder: Path, target: str) -> bool:
        """Make the lake agree with the catalog about this commit; returns whether it arrived."""
        arrived = self.arrived(target, folder.suffix.removeprefix("."))
        if arrived:
            for link in folder.rglob("*.parquet"):
                file = self.home.lake / target / link.relative_to(folder)
                if not file.exists():
                    log.warning("linking back %s of commit %s", file.name, folder.name)
                    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    file.hardlink_to(link)
            sync_folder(self.home.lake)
        else:
            self.sweep(target)
        shutil.rmtree(folder)
        return arrived

    def _heal_target(self, target: str) -> int:
        left = self.unsettled(target)
        for name in left:
            self._settle(self.home.inflight / name, target)
        return len(left)

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, psycopg2.Error, ServerError) as error:
            if self.server.answers():
                raise
            raise LakeUnavailableError("PostgreSQL died during a lake commit; run again") from error
