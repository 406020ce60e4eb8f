"""Dagster's own storage in our PostgreSQL, on connections that are kept.

dagster-postgres opens a connection per query (NullPool): an event costs several. The three classes named in
`dagster.yaml` share one small pool per process, and reach the server of the home stated there, embedded or external:
no URL and no password stands in a file. Nothing else differs from upstream.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster._serdes import ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from sqlalchemy import Engine, create_engine

from resources.home import Home
from resources.postgres import Server


@cache
def storage_url(home: str, external: str | None) -> str:
    """URL of database `dagster`; the server is kept up until this process ends."""
    server = Server(Home.at(Path(home)), external)
    atexit.register(server.close)
    return server.url("pipeline", "dagster")


@cache
def pooled_engine(url: str) -> Engine:
    """One engine per process and URL: two kept connections, more when threads need them, each checked before use."""
    return create_engine(url, isolation_level="AUTOCOMMIT", pool_size=2, max_overflow=20, pool_pre_ping=True)


class _Pooled:
    _engine: Engine

    def __init__(
        self, postgres_url: str, should_autocreate_tables: bool = True, inst_data: ConfigurableClassData | None = None
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables, inst_data)  # type: ignore[call-arg]  # the mixed-in class
        self._engine = pooled_engine(postgres_url)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {
            "home": dg.Field(dg.StringSource, description="folder of the city's state, as SHUYUAN_HOME"),
            "postgres_url": dg.Field(dg.StringSource, is_required=False, description="as SHUYUAN_POSTGRES_URL"),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(storage_url(config_value["home"], config_value.get("postgres_url")), True, inst_data)


class PooledEventLogStorage(_Pooled, PostgresEventLogStorage):  # type: ignore[misc]  # upstream is untyped
    """Event log on kept connections."""


class PooledRunStorage(_Pooled, PostgresRunStorage):  # type: ignore[misc]  # upstream is untyped
    """Runs on kept connections."""


class PooledScheduleStorage(_Pooled, PostgresScheduleStorage):  # type: ignore[misc]  # upstream is untyped
    """Schedules and sensors on kept connections."""
