"""PostgreSQL as the project sees it: one server with three databases, five roles, and locks by name.

Embedded below the home (`resources.cluster`) or anywhere by URL; both are prepared alike and may be prepared again.
Tables are in `resources/schema/*.sql`, run in name order on the database `shuyuan`. Add a role or a database here.

| role | may |
|---|---|
| owner | everything; prepares the server (by URL: the URL's user) |
| pipeline | the lake's catalogs, Dagster's tables, ops; curated tables; of the ledger SELECT and INSERT alone |
| reader | read everything, for `shuyuan sql` |
| dashboard_reader | read what it was granted in schema curated, nothing else |
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg2
from psycopg2 import errorcodes, extensions
from sqlalchemy.engine import URL, make_url

from resources.cluster import Cluster, ServerError, ServerRefusedError
from resources.home import Home, file_lock

__all__ = ["Server", "ServerError", "ServerRefusedError"]

DATABASES = ("lake", "dagster", "shuyuan")
ROLES = ("pipeline", "reader", "dashboard_reader")
KEPT_SECONDS = 60  # a firewall between us and an external server forgets an idle connection after some minutes
SCHEMA = Path(__file__).parent / "schema"
PREPARE_ROLES = """
    alter role reader set default_transaction_read_only = on;
    alter role dashboard_reader set default_transaction_read_only = on;
    revoke connect, create, temporary on database lake, dagster, shuyuan from public;
    grant connect, create, temporary on database lake, dagster to pipeline;
    grant connect, temporary on database shuyuan to pipeline;
    grant connect on database lake, shuyuan to reader;
    grant connect on database shuyuan to dashboard_reader;
    alter database dagster set synchronous_commit = off;
    alter database shuyuan set timezone = 'Asia/Shanghai';
"""
PREPARE_LAKE = """
    revoke all on schema public from public;
    alter default privileges for role pipeline grant usage on schemas to reader;
    alter default privileges for role pipeline grant select on tables to reader;
"""
PREPARE_DAGSTER = "grant all on schema public to pipeline;"


class Server:
    """A prepared server. Close it: the last process to do so stops an embedded one."""

    def __init__(self, home: Home, url: str | None = None) -> None:
        """Start or reach the server and prepare it.

        Raises:
            ServerError: it cannot be started or reached.
            ServerRefusedError: the URL is not postgresql+psycopg2, or the cluster has another password.
        """
        self.home = home
        self._passwords = _passwords(home.postgres / "passwords.json")
        self._external = make_url(url) if url else None
        self._users: int | None = None
        self._cluster: Cluster | None = None
        self._idle: dict[tuple[str, int], deque[tuple[extensions.connection, float]]] = defaultdict(deque)
        if self._external is None:
            self._cluster = Cluster(home.postgres, self._passwords["owner"], self._answers)
            self._users = self._cluster.use()
        elif self._external.drivername not in {"postgresql", "postgresql+psycopg2"}:
            raise ServerRefusedError(f"PostgreSQL URL: {self._external.drivername}://… is not postgresql+psycopg2://…")
        try:
            self._prepare()
        except psycopg2.Error as error:
            self.close()
            raise ServerError(f"PostgreSQL cannot be prepared: {error}") from error

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave the server. An embedded one stops with its last user."""
        for connection, _ in (one for kept in self._idle.values() for one in kept):
            connection.close()
        self._idle.clear()
        if self._cluster and self._users is not None:
            self._cluster.leave(self._users)
            self._users = None

    def url(self, role: str = "pipeline", database: str = "shuyuan") -> str:
        """SQLAlchemy URL, password included: for other programs' configuration, never for a log."""
        return self._url(role, database).render_as_string(hide_password=False)

    def parts(self, role: str = "pipeline", database: str = "shuyuan") -> dict[str, str]:
        """The same as libpq keywords (host, port, user, password, dbname and the URL's own options)."""
        url = self._url(role, database)
        named = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
        found = {name: str(value) for name, value in named.items() if value}
        return {**found, **{k: str(v) for k, v in url.query.items()}, "dbname": database}

    def connect(self, role: str = "pipeline", database: str = "shuyuan") -> extensions.connection:
        """A new connection; the caller closes it.

        Raises:
            ServerError: nobody answers, or the role is refused.
        """
        try:
            return self._connect(role, database)
        except psycopg2.OperationalError as error:
            said = " ".join(str(error).split())
            raise ServerError(f"PostgreSQL does not let {role} into {database}: {said}") from error

    def answers(self) -> bool:
        """Whether the server takes connections now."""
        try:
            self._connect("pipeline", "shuyuan").close()
        except psycopg2.OperationalError:
            return False
        return True

    @contextmanager
    def lock(self, name: str, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
        """Hold the advisory lock `name`; yields whether it was taken (always, when it may wait).

        The server frees it when the process dies, however it dies.
        """
        with self.session() as cursor:
            kind = f"pg_{'' if wait else 'try_'}advisory_lock{'_shared' if shared else ''}"
            cursor.execute(f"select {kind}(hashtextextended(%s, 0))", (name,))
            answer = cursor.fetchone()
            yield wait or bool(answer and answer[0])

    @contextmanager
    def session(self, role: str = "pipeline", database: str = "shuyuan") -> Iterator[Any]:
        """A cursor on a connection of its own, each statement committed at once.

        The pipeline's connections are kept for the next session, without anything of this one: making one takes both
        sides ten times as long as a statement.
        """
        connection = (self._kept(database) if role == "pipeline" else None) or self.connect(role, database)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
            if role == "pipeline" and self._keep(database, connection):
                return
        except BaseException:
            connection.close()
            raise
        connection.close()

    def _keep(self, database: str, connection: extensions.connection) -> bool:
        """Keep a connection for the next session, without settings, temporary tables and locks; False when it died."""
        with suppress(psycopg2.Error), connection.cursor() as cursor:
            cursor.execute("discard all")
            idle = self._idle[database, os.getpid()]  # a child must not speak on its parent's
            idle.append((connection, time.monotonic()))
            while idle and time.monotonic() - idle[0][1] > KEPT_SECONDS:
                idle.popleft()[0].close()
            return True
        return False

    def _kept(self, database: str) -> extensions.connection | None:
        """A connection left by an earlier session that still answers."""
        idle = self._idle[database, os.getpid()]
        while True:
            try:
                connection, since = idle.pop()
            except IndexError:
                return None
            with suppress(psycopg2.Error):
                if time.monotonic() - since < KEPT_SECONDS:
                    with connection.cursor() as cursor:
                        cursor.execute("select 1")
                    return connection
            connection.close()

    def _connect(self, role: str, database: str) -> extensions.connection:
        keywords: dict[str, Any] = {"connect_timeout": "10", "application_name": "shuyuan"}
        connection: extensions.connection = psycopg2.connect(**{**keywords, **self.parts(role, database)})
        return connection

    def _url(self, role: str, database: str) -> URL:
        if self._external is not None:
            url = self._external.set(drivername="postgresql+psycopg2", database=database)
            return url if role == "owner" else url.set(username=role, password=self._passwords[role])
        assert self._cluster is not None  # noqa: S101  # one of the two, for the type checker
        where = {"host": str(self._sockets)}
        return URL.create(
            "postgresql+psycopg2", username=role, password=self._passwords[role], database=database, query=where
        )

    @cached_property
    def _sockets(self) -> Path:
        assert self._cluster is not None  # noqa: S101
        return self._cluster.sockets

    def _answers(self, sockets: Path) -> bool | None:
        try:
            psycopg2.connect(
                host=str(sockets),
                user="owner",
                password=self._passwords["owner"],
                dbname="postgres",
                connect_timeout=10,
            ).close()
        except psycopg2.OperationalError as error:
            if "password authentication failed" in str(error):
                where = self.home.postgres / "passwords.json"
                raise ServerRefusedError(f"the cluster does not accept the owner's password in {where}") from error
            return None if error.pgcode == errorcodes.CANNOT_CONNECT_NOW else False
        return True

    def _prepare(self) -> None:
        """Databases, roles and tables; skipped when the server says it was prepared by this very text."""
        scripts = [path.read_text("utf-8") for path in sorted(SCHEMA.glob("*.sql"))]
        text = "\n".join([PREPARE_ROLES, PREPARE_LAKE, PREPARE_DAGSTER, *scripts])
        mark = hashlib.sha256(text.encode()).hexdigest()
        if self._prepared(mark):
            return
        with self.session("owner", "postgres") as cursor:
            cursor.execute("select pg_advisory_lock(hashtextextended('shuyuan prepare', 0))")
            if self._prepared(mark):
                return
            self._make_roles(cursor)
            cursor.execute(PREPARE_ROLES)
            self._run_as_owner("lake", PREPARE_LAKE)
            self._run_as_owner("dagster", PREPARE_DAGSTER)
            self._run_as_owner("shuyuan", ";\n".join([*scripts, f"comment on database shuyuan is '{mark}'"]))

    def _prepared(self, mark: str) -> bool:
        query = "select shobj_description(oid, 'pg_database') from pg_database where datname = 'shuyuan'"
        try:
            connection = self._connect("pipeline", "shuyuan")
        except psycopg2.OperationalError:
            return False  # not there yet, or its password is another home's
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return bool(cursor.fetchone() == (mark,))
        finally:
            connection.close()

    def _make_roles(self, cursor: Any) -> None:
        for role in ROLES:
            cursor.execute("select from pg_roles where rolname = %s", (role,))
            verb = "create" if cursor.fetchone() is None else "alter"
            cursor.execute(f"{verb} role {role} login password %s", (self._passwords[role],))
        cursor.execute("grant pipeline to current_user")
        for database in DATABASES:
            cursor.execute("select from pg_database where datname = %s", (database,))
            if cursor.fetchone() is None:
                cursor.execute(f"create database {database} encoding 'UTF8' template template0")
        if self._external is None:
            cursor.execute("revoke connect on database postgres, template1 from public")

    def _run_as_owner(self, database: str, script: str) -> None:
        connection = self._connect("owner", database)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(script)
        finally:
            connection.close()


def _passwords(path: Path) -> dict[str, str]:
    """Passwords by role, made at the first call and kept in a file only we can read."""
    with file_lock(path.with_suffix(".lock")):
        known: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        missing = [role for role in ("owner", *ROLES) if role not in known]
        if missing:
            known.update({role: secrets.token_urlsafe(24) for role in missing})
            fresh = path.with_suffix(".new")
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(known, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(path)
    return known
