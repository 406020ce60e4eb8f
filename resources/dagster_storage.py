"""Dagster's own storage on PostgreSQL with connections that are kept.

dagster-postgres opens a connection per query (NullPool): an event costs several. Name these classes in `dagster.yaml`,
each with `config: {postgres_url: …}`; the three share one small pool per process. Nothing else differs from upstream.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Self

from dagster._serdes import ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import Engine, create_engine


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
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        tables = config_value.get("should_autocreate_tables", True)
        return cls(pg_url_from_config(config_value), tables, inst_data)


class PooledEventLogStorage(_Pooled, PostgresEventLogStorage):  # type: ignore[misc]  # upstream is untyped
    """Event log on kept connections."""


class PooledRunStorage(_Pooled, PostgresRunStorage):  # type: ignore[misc]  # upstream is untyped
    """Runs on kept connections."""


class PooledScheduleStorage(_Pooled, PostgresScheduleStorage):  # type: ignore[misc]  # upstream is untyped
    """Schedules and sensors on kept connections."""
