"""Fixtures every test may use: the small catalogue and a city on a home of its own, on a real server."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from files import copied
from xdist.scheduler import LoadFileScheduling

from catalog.load import Catalog, load_catalog
from resources.city import City

SMALL_CATALOGUE = Path(__file__).parent / "small_catalogue"
MEMORY = Path("/dev/shm")
THREADS = 1  # of DuckDB in a small city: with a second one a third of the processor time is waiting in a loop
ROOM = 4_000_000_000  # bytes that all cities of the tests standing at one time may take


def pytest_configure() -> None:
    """Cities in memory where there is room: a disk takes far longer to make and remove their thousand files each.

    One thread of DuckDB in each; the clean city, large enough for more, has what users have.
    """
    gc.set_threshold(20_000)  # as the command line does
    os.environ.setdefault("SHUYUAN_THREADS", str(THREADS))  # noqa: TID251  # the settings of every city opened here
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))  # noqa: TID251  # pytest reads it


class ByCity(LoadFileScheduling):
    """A worker takes a file whole, and with it the others that look at the same city."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        together = ("test_four_days.py", "test_readme.py", "test_correction_walk.py")
        return "the city of four days" if file.endswith(together) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByCity:
    return ByCity(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole cities come first, the many small files fill what is left."""
    items.sort(key=lambda item: item.get_closest_marker("flow") is None)


@pytest.fixture(scope="session")
def small_catalog() -> Catalog:
    """Three departments with a resource each, two libraries, one thematic table, one product."""
    return load_catalog(SMALL_CATALOGUE)


@pytest.fixture(scope="session")
def prelude() -> str:
    """The macros every connection has; empty while that module does not exist."""
    try:
        return str(importlib.import_module("quality_checks.macros").SQL)
    except ModuleNotFoundError:
        return ""


@pytest.fixture(scope="session")
def small_home(small_catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the small catalogue applied and nothing in it, its server stopped; tests work on copies."""
    home = tmp_path_factory.mktemp("template") / "home"
    with City.open(home, small_catalog, threads=THREADS) as city:
        city.lake.apply_catalog()
    return home


class SmallCityAt(Protocol):
    """Opens the small city at a place, on a copy of the empty home or of one like it that nobody uses."""

    def __call__(self, at: Path, like: Path = ...) -> AbstractContextManager[City]: ...


@pytest.fixture(scope="session")
def small_city_at(small_home: Path, small_catalog: Catalog, prelude: str) -> SmallCityAt:
    """For a module whose tests begin alike: what they begin with is done once and copied."""

    @contextmanager
    def opened(at: Path, like: Path = small_home) -> Iterator[City]:
        copied(like, at)
        with City.open(at, small_catalog, prelude=prelude, threads=THREADS) as city:
            yield city

    return opened


@pytest.fixture
def small_city(small_city_at: SmallCityAt, tmp_path: Path) -> Iterator[City]:
    """The small city, opened on a fresh home."""
    with small_city_at(tmp_path / "home") as city:
        yield city
