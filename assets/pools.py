"""Pools 部门数据资源池: each registered delivery read, typed and made the resource's current state.

Holds the order of work of one department's load, and how a pool is built anew from its deliveries. A wrong structure
rejects the delivery and leaves the pool as it was; every record of a delivery that is taken is in the pool, removed by
it, or in quarantine. What a delivery does to its pool is `assets.pooling`, spellings and types are `assets.conform`,
file formats `resources.reader`, rules about values `assets.quality`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from assets import register
from assets.pooling import Delivery, PoolResult, Staged, judge, put_all
from catalog.models import Resource
from resources.city import City
from resources.failures import PermanentError
from resources.home import scratch
from resources.lake import literal, quoted
from resources.landed import kind_of, packing_of
from resources.reader import Job, Limits, Reader

BATCH_ROWS = 500_000  # records of one lake transaction, unless a single delivery holds more
BESIDE = ("_quarantine", "_removed")  # a department's tables about records that are not in its pools


class ReplayError(PermanentError, ValueError):
    """A delivery that was taken before cannot be read any more under the present catalogue; the pool is as it was."""


@dataclass
class _Batch:
    """Deliveries that go into one transaction: different resources, until they hold enough records."""

    staged: list[Staged] = field(default_factory=list)

    def takes(self, one: Staged) -> bool:
        names = {other.delivery.resource.name for other in self.staged}
        rows = sum(other.rows_delivered for other in self.staged)
        return one.delivery.resource.name not in names and rows < BATCH_ROWS


def load(
    city: City, department: str, as_of: date, *, author: str, only: Sequence[str] | None = None
) -> list[PoolResult]:
    """Take the department's registered deliveries up to `as_of` into its pools, oldest first.

    Pools that a person asked to rebuild are rebuilt first. The reader's child reads ahead while this process commits.
    Run again after a kill, it comes to the same state: a delivery counts as taken only when `ops.deliveries` says so,
    and taking it twice changes nothing.

    Raises:
        ReaderError: a file could not be judged (disk full, archived file gone); nothing is known about it yet.
        ReplayError: a pool that must be rebuilt cannot be.
    """
    results: list[PoolResult] = []
    rebuild_wanted(city, department, author=author)
    with city.server.lock(f"pools {department}"), city.server.session() as cursor, scratch(city.home) as folder:
        deliveries = [
            one
            for one in register.waiting(city, cursor, department, as_of)
            if only is None or one.resource.name in only
        ]
        batch = _Batch()
        with _read_ahead(deliveries, folder, city.limits) as readings:
            for one in readings:
                if not batch.takes(one):
                    results += _settle(city, cursor, department, batch, author)
                    batch = _Batch()
                batch.staged.append(one)
        results += _settle(city, cursor, department, batch, author)
    return results


def rebuild_wanted(city: City, department: str, *, author: str) -> None:
    """Rebuild the department's pools that `ops.rebuilds` names; each is crossed out when it is done."""
    with city.server.session() as cursor:
        cursor.execute("select resource from ops.rebuilds where department = %s order by 1", (department,))
        for (name,) in cursor.fetchall():
            if resource := city.catalog.resources.get(f"{department}.{name}"):
                rebuild(city, resource, author=author, whole=True)
            cursor.execute("delete from ops.rebuilds where department = %s and resource = %s", (department, name))


def rebuild(city: City, resource: Resource, *, author: str, whole: bool = False) -> list[PoolResult]:
    """Empty a resource's pool and replay its archived deliveries in one transaction, in the order they were taken.

    Begins with the last full delivery that nothing before it outlives; `whole`: with the first, so that what each left
    out is written anew too.

    Raises:
        ReplayError: one of them cannot be read under the present catalogue; nothing was changed.
    """
    department = resource.department
    with (
        city.server.lock(f"pools {department}"),
        city.server.session() as cursor,
        scratch(city.home) as folder,
    ):
        taken = register.accepted(city, cursor, resource)
        first = 0 if whole else _last_restart(taken)
        with _read_ahead(taken[first:], folder, city.limits) as readings:
            staged = list(readings)
        for one in staged:
            if one.reading.refused:
                reason = one.reading.reasons[-1].message
                raise ReplayError(f"{one.delivery.delivery_id} cannot be replayed, the pool is as it was: {reason}")
        kept = ", ".join(literal(one.delivery_id) for one in taken[:first]) or "''"
        outcome: list[PoolResult] = []

        def work(con: DuckDBPyConnection) -> None:
            con.execute(f"delete from {quoted(department)}.{quoted(resource.name)}")
            for table in BESIDE:
                mine = f"resource = {literal(resource.name)} and delivery_id not in ({kept})"  # no later removal yet
                con.execute(f"delete from {quoted(department)}.{table} where {mine}")
            outcome[:] = put_all(con, staged, {})

        ids = [one.delivery.delivery_id for one in staged]
        city.commit(department, work, author=author, deliveries=ids, message=f"rebuild {resource.name}")
        register.settle(cursor, outcome, author)
    return outcome


def _last_restart(taken: Sequence[Delivery]) -> int:
    """The last full delivery that is not older than any taken before it."""
    first, newest = 0, date.min
    for number, one in enumerate(taken):
        if one.mode == "full" and one.as_of >= newest:
            first = number
        newest = max(newest, one.as_of)
    return first


def row_count(city: City, resource: Resource) -> int:
    """Records in the pool of a resource."""
    row = city.con.execute(f"select count(*) from {quoted(resource.department)}.{quoted(resource.name)}").fetchone()
    return int(row[0]) if row else 0


@cache
def _reader() -> Reader:
    """The one child of this process; it ends when its stdin does."""
    return Reader()


@contextmanager
def _read_ahead(deliveries: Sequence[Delivery], folder: Path, limits: Limits) -> Iterator[Iterator[Staged]]:
    """Readings in the order given, the next one under way while the caller works on the last."""
    reader = _reader()

    def read(one: Delivery) -> Staged:
        place = folder / one.delivery_id
        place.mkdir()
        return Staged(one, reader.read(_job(one, place, limits)), place)

    ahead = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader")
    try:
        yield ahead.map(read, deliveries)
    finally:
        ahead.shutdown(cancel_futures=True)


def _job(one: Delivery, folder: Path, limits: Limits) -> Job:
    layout = one.resource.layout
    columns, optional = one.resource.columns_at(one.as_of)
    headers = {name: (name, column.title, *column.aliases) for name, column in columns.items()}
    ignore = one.resource.ignore
    if told := one.resource.change_column:
        if one.mode == "changes":
            headers[told.column] = (told.column,)
        else:
            ignore = (*ignore, told.column)
    return Job(
        path=one.path,
        name=one.file_name,
        kind=(layout.kind if layout else None) or kind_of(one.path.name),
        packing=packing_of(one.path.name),
        columns=headers,
        optional=tuple(sorted(optional)),
        ignore=ignore,
        folder=folder,
        sha256=one.sha256,
        layout=layout.model_dump(exclude_none=True) if layout else {},
        limits=limits,
    )


def _settle(city: City, cursor: Any, department: str, batch: _Batch, author: str) -> list[PoolResult]:
    """One transaction for what can be taken, then the outcome of all in `ops.deliveries`, then staging is cleared."""
    judged = {one.delivery.delivery_id: judge(one) for one in batch.staged}
    results = [result for result in judged.values() if result]
    good = [one for one in batch.staged if judged[one.delivery.delivery_id] is None]
    if good:
        ids = [one.delivery.delivery_id for one in good]
        numbers = register.day_numbers(cursor, ids)
        good = [replace(o, delivery=replace(o.delivery, day_number=numbers[o.delivery.delivery_id])) for o in good]
        standings = register.standings(cursor, department, [one.delivery.resource.name for one in good])
        results += city.commit(
            department,
            lambda con: put_all(con, good, standings),
            author=author,
            deliveries=ids,
            message=f"load {len(ids)} deliveries",
        )
    register.settle(cursor, results, author)
    for one in batch.staged:
        shutil.rmtree(one.folder)
    return results
