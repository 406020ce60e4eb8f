"""Pools 部门数据资源池: each registered delivery read, typed and made the resource's current state.

Holds the order of work of one department's load and the two modes: a full delivery replaces the pool, an incremental
one replaces the records it states. A wrong structure rejects the delivery and leaves the pool as it was; every record
of a delivery that is taken is in the pool or in quarantine. Spellings and types are `assets.conform`, file formats
`resources.reader`, rules about values `assets.quality`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from assets.conform import Source
from catalog.models import Resource
from resources.city import City
from resources.failures import PermanentError
from resources.home import scratch
from resources.lake import literal, quoted
from resources.landed import kind_of, packing_of
from resources.reader import Job, Limits, Reader, Reading, Reason

BATCH_ROWS = 500_000  # records of one lake transaction, unless a single delivery holds more

WAITING = """
    select delivery_id, resource, file_name, archive_path, sha256, as_of, mode, rows_declared from ops.deliveries
    where department = %s and state = 'registered' and as_of <= %s order by as_of, registered_at
"""
TAKEN = """
    select delivery_id, resource, file_name, archive_path, sha256, as_of, mode, rows_declared from ops.deliveries
    where department = %s and resource = %s and state = 'pooled' order by registered_at
"""
SETTLE = """
    update ops.deliveries d
    set state = r.state, rows_delivered = r.rows_delivered, rows_pooled = r.rows_pooled,
        rows_quarantined = r.rows_quarantined,
        reasons = d.reasons || (select coalesce(jsonb_agg(n), '[]') from jsonb_array_elements(r.reasons) n
                                where not d.reasons @> jsonb_build_array(n))
    from jsonb_to_recordset(%s::jsonb) as r(delivery_id text, state text, rows_delivered bigint, rows_pooled bigint,
                                            rows_quarantined bigint, reasons jsonb)
    where d.delivery_id = r.delivery_id
"""


class LostRecordsError(PermanentError):
    """Records delivered are not records pooled plus records in quarantine: an error of ours; nothing was committed."""


@dataclass(frozen=True)
class PoolResult:
    """What became of one delivery. Counts are records; all but `rows_delivered` are 0 when it was rejected."""

    resource: str
    delivery_id: str
    as_of: date
    mode: str
    rows_delivered: int
    rows_pooled: int
    rows_quarantined: int
    reasons: tuple[dict[str, str], ...]
    rejected: bool = False


@dataclass(frozen=True)
class _Delivery:
    """A row of `ops.deliveries` that is to be read."""

    delivery_id: str
    resource: Resource
    file_name: str
    path: Path
    sha256: str
    as_of: date
    mode: str
    rows_declared: int | None


@dataclass(frozen=True)
class _Staged:
    """A delivery and what the reader made of it; `folder` holds the staging files."""

    delivery: _Delivery
    reading: Reading
    folder: Path

    @property
    def rows_delivered(self) -> int:
        return self.reading.rows + self.reading.bad_rows

    @property
    def pool(self) -> str:
        return f"{quoted(self.delivery.resource.department)}.{quoted(self.delivery.resource.name)}"

    @property
    def quarantine(self) -> str:
        return f"{quoted(self.delivery.resource.department)}._quarantine"

    @property
    def source(self) -> Source:
        assert self.reading.rows_file is not None  # noqa: S101  # not refused
        one = self.delivery
        return Source(one.resource, self.reading.rows_file, self.reading.numbered, one.delivery_id, one.as_of, one.mode)

    def rejected(self, *more: Reason) -> PoolResult:
        return self._result(0, 0, more, rejected=True)

    def pooled(self, rows_pooled: int, rows_quarantined: int, *more: Reason) -> PoolResult:
        return self._result(rows_pooled, rows_quarantined, more, rejected=False)

    def _result(self, pooled: int, quarantined: int, more: Sequence[Reason], *, rejected: bool) -> PoolResult:
        reasons = tuple({"code": r.code, "message": r.message} for r in (*self.reading.reasons, *more))
        one = self.delivery
        return PoolResult(
            one.resource.name,
            one.delivery_id,
            one.as_of,
            one.mode,
            self.rows_delivered,
            pooled,
            quarantined,
            reasons,
            rejected,
        )


@dataclass
class _Batch:
    """Deliveries that go into one transaction: different resources, until they hold enough records."""

    staged: list[_Staged] = field(default_factory=list)

    def takes(self, one: _Staged) -> bool:
        names = {other.delivery.resource.name for other in self.staged}
        rows = sum(other.rows_delivered for other in self.staged)
        return one.delivery.resource.name not in names and rows < BATCH_ROWS


def load(
    city: City, department: str, as_of: date, *, author: str, only: Sequence[str] | None = None
) -> list[PoolResult]:
    """Take the department's registered deliveries up to `as_of` into its pools, oldest first.

    The reader's child reads ahead while this process commits. Run again after a kill, it comes to the same state: a
    delivery counts as taken only when `ops.deliveries` says so, and taking it twice changes nothing.

    Raises:
        ReaderError: a file could not be judged (disk full, archived file gone); nothing is known about it yet.
    """
    results: list[PoolResult] = []
    with city.server.lock(f"pools {department}"), city.server.session() as cursor, scratch(city.home) as folder:
        deliveries = [
            one
            for one in _deliveries(city, cursor, department, WAITING, (department, as_of))
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


def rebuild(city: City, resource: Resource, *, author: str, quarantine: bool = False) -> list[PoolResult]:
    """Empty a resource's pool and replay its archived deliveries in one transaction, from the last full one on.

    With `quarantine` all are replayed: what each left out is wanted too.
    """
    with (
        city.server.lock(f"pools {resource.department}"),
        city.server.session() as cursor,
        scratch(city.home) as folder,
    ):
        taken = _deliveries(city, cursor, resource.department, TAKEN, (resource.department, resource.name))
        last_full = max((i for i, one in enumerate(taken) if one.mode == "full" and not quarantine), default=0)
        with _read_ahead(taken[last_full:], folder, city.limits) as readings:
            staged = list(readings)

        def work(con: DuckDBPyConnection) -> list[PoolResult]:
            con.execute(f"delete from {quoted(resource.department)}.{quoted(resource.name)}")
            return _put_all(con, staged)

        ids = [one.delivery.delivery_id for one in staged]
        message = f"rebuild {resource.name}"
        results = city.commit(resource.department, work, author=author, deliveries=ids, message=message)
        _record(cursor, results)
    return results


def row_count(city: City, resource: Resource) -> int:
    """Records in the pool of a resource."""
    return _number(city.con, f"select count(*) from {quoted(resource.department)}.{quoted(resource.name)}")


def _deliveries(city: City, cursor: Any, department: str, query: str, given: tuple[object, ...]) -> list[_Delivery]:
    cursor.execute(query, given)
    return [
        _Delivery(
            delivery_id, city.catalog.resources[f"{department}.{name}"], file_name, city.home.archive / path, *rest
        )
        for delivery_id, name, file_name, path, *rest in cursor.fetchall()
    ]


@cache
def _reader() -> Reader:
    """The one child of this process; it ends when its stdin does."""
    return Reader()


@contextmanager
def _read_ahead(deliveries: Sequence[_Delivery], folder: Path, limits: Limits) -> Iterator[Iterator[_Staged]]:
    """Readings in the order given, the next one under way while the caller works on the last."""
    reader = _reader()

    def read(one: _Delivery) -> _Staged:
        place = folder / one.delivery_id
        place.mkdir()
        return _Staged(one, reader.read(_job(one, place, limits)), place)

    ahead = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader")
    try:
        yield ahead.map(read, deliveries)
    finally:
        ahead.shutdown(cancel_futures=True)


def _job(one: _Delivery, folder: Path, limits: Limits) -> Job:
    layout = one.resource.layout
    return Job(
        path=one.path,
        name=one.file_name,
        kind=(layout.kind if layout else None) or kind_of(one.path.name),
        packing=packing_of(one.path.name),
        columns={name: (name, column.title) for name, column in one.resource.columns.items()},
        ignore=one.resource.ignore,
        folder=folder,
        sha256=one.sha256,
        layout=layout.model_dump(exclude_none=True) if layout else {},
        limits=limits,
    )


def _settle(city: City, cursor: Any, department: str, batch: _Batch, author: str) -> list[PoolResult]:
    """One transaction for what can be taken, then the outcome of all in `ops.deliveries`, then staging is cleared."""
    judged = {one.delivery.delivery_id: _judge(one) for one in batch.staged}
    good = [one for one in batch.staged if judged[one.delivery.delivery_id] is None]
    ids = [one.delivery.delivery_id for one in good]

    def work(con: DuckDBPyConnection) -> list[PoolResult]:
        return _put_all(con, good)

    message = f"load {len(ids)} deliveries"
    taken = city.commit(department, work, author=author, deliveries=ids, message=message) if good else []
    results = [*filter(None, judged.values()), *taken]
    _record(cursor, results)
    for one in batch.staged:
        shutil.rmtree(one.folder)
    return results


def _record(cursor: Any, results: Sequence[PoolResult]) -> None:
    rows = [
        {
            "delivery_id": result.delivery_id,
            "state": "rejected" if result.rejected else "pooled",
            "rows_delivered": result.rows_delivered,
            "rows_pooled": result.rows_pooled,
            "rows_quarantined": result.rows_quarantined,
            "reasons": result.reasons,
        }
        for result in results
    ]
    cursor.execute(SETTLE, (json.dumps(rows, ensure_ascii=False),))


def _judge(one: _Staged) -> PoolResult | None:
    """The rejection of a delivery that can be seen before looking at the pool."""
    if one.reading.refused:
        return one.rejected()
    declared = one.delivery.rows_declared
    if declared is not None and declared != one.rows_delivered:
        message = f"{one.delivery.file_name}: manifest: rows = {declared}, the file holds {one.rows_delivered} records"
        return one.rejected(Reason("declared_rows", message))
    return None


def _put_all(con: DuckDBPyConnection, staged: Sequence[_Staged]) -> list[PoolResult]:
    """Deliveries of one department, in order; what an earlier try of them put in quarantine is put there anew."""
    if staged:
        ids = ", ".join(literal(one.delivery.delivery_id) for one in staged)
        con.execute(f"delete from {staged[0].quarantine} where delivery_id in ({ids})")
    return [_put(con, one) for one in staged]


def _put(con: DuckDBPyConnection, one: _Staged) -> PoolResult:
    """Make one delivery part of the pool, inside a transaction.

    Raises:
        LostRecordsError: the counts do not add up.
    """
    source, delivery = one.source, one.delivery
    newest = con.execute(f"select max(_as_of) from {one.pool}").fetchone()
    overtaken = bool(newest and newest[0] and newest[0] > delivery.as_of)
    if delivery.mode == "full" and overtaken:
        message = f"{delivery.file_name}: as_of = {delivery.as_of} is older than the pool's, {newest and newest[0]}"
        return one.rejected(Reason("superseded", message))
    con.execute(
        "create or replace temp table _repeated as select _record_key, count(*)::integer as copies, max(_row) as last "
        f"from ({source.raw}) group by _record_key having count(*) > 1"
    )
    rows = (
        f"select t.*, coalesce(r.copies, 1) as _copies from ({source.typed}) t "
        "left join _repeated r using (_record_key) where r.last is null or r.last = t._row"
    )
    con.execute("create or replace temp table _newer (_record_key varchar)")
    if delivery.mode == "full":
        if newest and newest[0]:
            con.execute(f"delete from {one.pool}")
    else:
        con.execute(f"create or replace temp table _stated as {rows}")
        rows = "select s.* from _stated s anti join _newer using (_record_key)"
        if overtaken:
            con.execute(
                f"insert into _newer select _record_key from {one.pool} p semi join _stated using (_record_key) "
                f"where p._as_of > date '{delivery.as_of}'"
            )
        con.execute(f"delete from {one.pool} where _record_key in (select _record_key from ({rows}))")
    pooled = _number(con, f"insert into {one.pool} by name {rows}")
    quarantined = _quarantine(con, one)
    if pooled + quarantined != one.rows_delivered:
        raise LostRecordsError(f"{delivery.delivery_id}: {one.rows_delivered} delivered, {pooled} + {quarantined} kept")
    return one.pooled(pooled, quarantined)


def _quarantine(con: DuckDBPyConnection, one: _Staged) -> int:
    """Every record of the delivery that `_put` left out, with why."""
    source = one.source
    stamp = f"{literal(one.delivery.delivery_id)} as delivery_id, {literal(one.delivery.resource.name)} as resource"
    place = literal(f"{one.delivery.file_name}: record ")
    left_out = []
    if _number(con, "select count(*) from _repeated"):
        left_out.append(
            f"select {stamp}, _row as row_number, null::bigint as line, _record_key as record_key, "
            f"'duplicate_key' as reason_code, "
            f"{place} || _row || ': its key stands ' || copies || ' times; the last, record ' || last || ', was taken' "
            f"as reason, {source.content} as content "
            f"from ({source.raw}) join _repeated using (_record_key) where _row <> last"
        )
    if _number(con, "select count(*) from _newer"):
        left_out.append(
            f"select {stamp}, _row as row_number, null::bigint as line, _record_key as record_key, "
            f"'superseded' as reason_code, "
            f"{place} || _row || ': the pool holds a later statement of this record' as reason, "
            f"{source.content} as content "
            f"from ({source.raw}) join _newer using (_record_key) left join _repeated r using (_record_key) "
            "where r.last is null or r.last = _row"
        )
    if one.reading.bad_file:
        left_out.append(
            f"select {stamp}, row_number, line, null::varchar as record_key, reason_code, reason, content "
            f"from read_parquet({literal(str(one.reading.bad_file))})"
        )
    return sum(_number(con, f"insert into {one.quarantine} by name {query}") for query in left_out)


def _number(con: DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0
