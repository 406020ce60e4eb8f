"""The installation's city, opened from the settings: what every command needs, without loading Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from catalog import Catalog
from pipelines.settings import Settings
from quality_checks import macros
from resources.city import City

RUN_LOCK = "pipeline"


@contextmanager
def open_city(settings: Settings, catalog: Catalog, *, read_only: bool = False) -> Iterator[City]:
    """The installation's city, ready for work: server up, lake attached, macros known."""
    url = settings.postgres_url.get_secret_value() if settings.postgres_url else None
    with City.open(
        settings.home,
        catalog,
        postgres_url=url,
        prelude=macros.SQL,
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        limits=settings.limits,
        read_only=read_only,
    ) as city:
        if not read_only:
            city.lake.apply_catalog()
        yield city
