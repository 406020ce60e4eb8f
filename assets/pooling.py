"""One delivery into its pool, inside a lake transaction: the three modes, what is left out, and that the counts add up.

The pool is what its accepted deliveries come to in the order of their as-of dates, those of one date in the order they
were taken, whatever the order of arrival: a full delivery states every record there is, an incremental one those it
holds, a change stream inserts, updates and removes in file order. So a delivery that comes late writes only what no
later one has stated, and one that is older than the newest full delivery can write nothing at all: it is superseded.
What a change stream removed stays in `_removed`, which also remembers the removal against older statements.
Which deliveries are taken, and when, is `assets.pools`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Literal

from duckdb import DuckDBPyConnection

from assets.conform import CHANGE, Source
from assets.profiles import ColumnProfile, profile
from catalog.models import Resource
from resources.failures import PermanentError
from resources.lake import literal, quoted
from resources.reader import Reading, Reason

SEARCHED = 10_000_000  # records among whose keys repetitions are looked for at a time
State = Literal["pooled", "superseded", "rejected"]


class LostRecordsError(PermanentError):
    """Records delivered are not those pooled, removed and in quarantine: an error of ours; nothing was committed."""


@dataclass(frozen=True)
class Delivery:
    """A row of `ops.deliveries` that is to be read. `day_number` counts a resource's deliveries of one as-of date."""

    delivery_id: str
    resource: Resource
    file_name: str
    path: Path
    sha256: str
    as_of: date
    mode: str
    rows_declared: int | None
    day_number: int = 1


@dataclass(frozen=True)
class Standing:
    """What a resource's pool was made from so far: its newest full delivery, and its newest as-of date."""

    newest: date | None = None
    full: str = ""
    full_as_of: date | None = None

    def after(self, one: Delivery) -> Standing:
        """The same with one more delivery in the pool."""
        newest = max(self.newest or one.as_of, one.as_of)
        if one.mode == "full" and (self.full_as_of is None or one.as_of >= self.full_as_of):
            return Standing(newest, one.delivery_id, one.as_of)
        return Standing(newest, self.full, self.full_as_of)


@dataclass(frozen=True)
class PoolResult:
    """What became of one delivery.

    Counts are records: those delivered are those pooled, removed by a change stream, or in quarantine. A rejected or
    superseded delivery has only those delivered.
    """

    resource: str
    delivery_id: str
    as_of: date
    mode: str
    rows_delivered: int
    rows_pooled: int = 0
    rows_quarantined: int = 0
    rows_removed: int = 0
    reasons: tuple[dict[str, str], ...] = ()
    state: State = "pooled"
    schema_version: int = 1
    day_number: int | None = None
    profile: tuple[ColumnProfile, ...] = field(default=(), repr=False)

    @property
    def rejected(self) -> bool:
        return self.state == "rejected"


@dataclass(frozen=True)
class Staged:
    """A delivery and what the reader made of it; `folder` holds the staging files."""

    delivery: Delivery
    reading: Reading
    folder: Path

    @property
    def rows_delivered(self) -> int:
        return self.reading.rows + self.reading.bad_rows

    @property
    def pool(self) -> str:
        return f"{quoted(self.delivery.resource.department)}.{quoted(self.delivery.resource.name)}"

    def beside(self, table: str) -> str:
        """A table of the same department: `_quarantine` or `_removed`."""
        return f"{quoted(self.delivery.resource.department)}.{table}"

    def source(self, con: DuckDBPyConnection) -> Source:
        """The staging file as SQL; a column that may be missing is looked for in it."""
        assert self.reading.rows_file is not None  # noqa: S101  # not refused
        one, file = self.delivery, self.reading.rows_file
        columns, optional = one.resource.columns_at(one.as_of)
        there = set(columns) - optional
        if optional:
            described = con.execute(f"describe select * from read_parquet({literal(str(file))})").fetchall()
            there |= optional & {name for name, *_ in described}
        return Source(
            one.resource,
            file,
            self.reading.numbered,
            one.delivery_id,
            one.as_of,
            one.mode,
            frozenset(there),
            one.day_number,
            spreadsheet=one.file_name.lower().removesuffix(".gz").endswith((".xlsx", ".xls")),
        )

    def result(
        self, state: State, *more: Reason, pooled: int = 0, quarantined: int = 0, removed: int = 0
    ) -> PoolResult:
        """The outcome with the reader's reasons and some of ours."""
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
            removed,
            reasons,
            state,
            one.resource.version_at(one.as_of),
            None if state == "rejected" else one.day_number,
        )


def judge(one: Staged) -> PoolResult | None:
    """The rejection of a delivery that can be seen before looking at the pool."""
    if one.reading.refused:
        return one.result("rejected")
    declared = one.delivery.rows_declared
    if declared is not None and declared != one.rows_delivered:
        message = f"{one.delivery.file_name}: manifest: rows = {declared}, the file holds {one.rows_delivered} records"
        return one.result("rejected", Reason("declared_rows", message))
    return None


def put_all(
    con: DuckDBPyConnection, staged: Sequence[Staged], standings: Mapping[str, Standing], *, profiled: bool = True
) -> list[PoolResult]:
    """Deliveries of one department, in order; what an earlier try of them left beside the pool is written anew.

    `standings` by resource is what the pools hold before the first of them.
    """
    now = dict(standings)
    results = []
    for one in staged:
        name = one.delivery.resource.name
        standing = now.get(name, Standing())
        result = _put(con, one, standing, profiled=profiled)
        if result.state == "pooled":
            now[name] = standing.after(one.delivery)
        results.append(result)
    return results


def _put(con: DuckDBPyConnection, one: Staged, standing: Standing, *, profiled: bool) -> PoolResult:
    """Make one delivery part of the pool.

    Raises:
        LostRecordsError: the counts do not add up.
    """
    delivery = one.delivery
    con.execute(f"delete from {one.beside('_quarantine')} where delivery_id = {literal(delivery.delivery_id)}")
    if standing.full_as_of and standing.full_as_of > delivery.as_of:
        return one.result("superseded", _overtaken(one, standing))
    load = _Load(con, one, one.source(con), late=bool(standing.newest and standing.newest > delivery.as_of))
    match delivery.mode:
        case "full":
            pooled, removed = load.replace(empty=standing.newest is None), 0
        case "changes":
            pooled, removed = load.change()
        case _:
            pooled, removed = load.update(), 0
    quarantined = load.quarantine()
    if pooled + removed + quarantined != one.rows_delivered:
        counts = f"{pooled} pooled, {removed} removed, {quarantined} in quarantine"
        raise LostRecordsError(f"{delivery.delivery_id}: {one.rows_delivered} delivered, {counts}")
    result = one.result("pooled", *load.notes, pooled=pooled, quarantined=quarantined, removed=removed)
    if not profiled:
        return result
    return replace(result, profile=profile(con, delivery.resource, load.written, load.source.columns))


def _overtaken(one: Staged, standing: Standing) -> Reason:
    message = (
        f"{one.delivery.file_name}: as_of = {one.delivery.as_of} is older than the full delivery {standing.full} that "
        f"the pool holds, as_of = {standing.full_as_of}; nothing of it stands"
    )
    return Reason("superseded", message)


class _Load:
    """One delivery on its way into the pool, with temporary tables of the connection as its notebook.

    `_repeated`: keys that stand more than once, with the last record. `_newer`: keys of which a later delivery has
    spoken. `_changes`: every change of a stream. `_stated`: the typed records that state their key last.
    """

    def __init__(self, con: DuckDBPyConnection, one: Staged, source: Source, *, late: bool) -> None:
        self.con = con
        self.one = one
        self.source = source
        self.late = late
        self.notes: list[Reason] = []
        self.written = "_stated"  # where the pooled records can be read once more
        self._repeated = self._newer = 0

    def replace(self, *, empty: bool) -> int:
        """A full delivery: what is not newer goes, every record comes."""
        one = self.one
        self._find_repeated()
        self._find_newer(f"select _record_key from ({self.source.keys})")
        if not empty:
            older = f" where _as_of <= date '{one.delivery.as_of}'" if self.late else ""
            self.con.execute(f"delete from {one.pool}{older}")
        rows = self._standing_rows()
        pooled = self._number(f"insert into {one.pool} by name {rows}")
        mine = f" where _delivery_id = {literal(one.delivery.delivery_id)}" if self.late else ""
        self.written = f"(from {one.pool}{mine})"
        return pooled

    def update(self) -> int:
        """An incremental delivery: the records it states replace those with their keys."""
        self._find_repeated()
        self.con.execute(f"create or replace temp table _stated as {self._standing_rows(newer=False)}")
        return self._insert_stated()

    def change(self) -> tuple[int, int]:
        """A change stream, in file order; returns how many changes put a record in and how many took one out."""
        told = self.one.delivery.resource.change_column
        assert told is not None  # noqa: S101  # the catalogue says so of the mode
        kinds = {"U": (*told.insert, *told.update), "D": told.delete}
        cases = " ".join(f"when {literal(word)} then '{kind}'" for kind, words in kinds.items() for word in words)
        self.con.execute(
            f"create or replace temp table _changes as select _row, _record_key, case {CHANGE} {cases} end as kind, "
            f"{CHANGE} as letter from ({self.source.keys})"
        )
        self._repeated = 0
        self._find_newer("select _record_key from _changes where kind is not null and _record_key is not null")
        self.con.execute(
            "create or replace temp table _sound as select c.* from _changes c anti join _newer using (_record_key) "
            "where kind is not null and _record_key is not null"
        )
        removed = self._remember_removed()
        last = "select arg_max(_row, _row) as _row from _sound group by _record_key having arg_max(kind, _row) = 'U'"
        self.con.execute(
            f"create or replace temp table _stated as select *, 1::integer as _copies from ({self.source.typed}) "
            f"semi join ({last}) using (_row)"
        )
        self.con.execute(
            f"delete from {self.one.pool} where _record_key in (select _record_key from _sound where kind = 'D')"
        )
        self._insert_stated(newer=False)
        return self._number("select count(*) from _sound where kind = 'U'"), removed

    def quarantine(self) -> int:
        """Every record that was left out, with why; returns how many."""
        return sum(self._number(f"insert into {self.one.beside('_quarantine')} by name {q}") for q in self._left_out())

    def _insert_stated(self, *, newer: bool = True) -> int:
        one = self.one
        if newer:
            self._find_newer("select _record_key from _stated")
            if self._newer:
                self.con.execute("delete from _stated where _record_key in (from _newer)")
        self.con.execute(f"delete from {one.pool} where _record_key in (select _record_key from _stated)")
        return self._number(f"insert into {one.pool} by name from _stated")

    def _find_repeated(self) -> None:
        """Keys are looked for by their hashes first, a sixth of the memory that the texts would take, and by a share of
        the hashes at a time, so that it does not grow with the delivery.
        """
        keys = self.source.keys
        shares = -(-self.one.reading.rows // SEARCHED)
        self.con.execute("create or replace temp table _again (h ubigint)")
        for share in range(shares):
            self.con.execute(
                f"insert into _again select hash(_record_key) as h from ({keys}) where h % {shares} = {share} "
                "group by h having count(*) > 1"
            )
        self._repeated = self._number(
            "create or replace temp table _repeated as select _record_key, count(*)::integer as copies, "
            f"max(_row) as last from ({keys}) where hash(_record_key) in (from _again) group by all having count(*) > 1"
        )

    def _find_newer(self, keys: str) -> None:
        self.con.execute("create or replace temp table _newer (_record_key varchar)")
        if not self.late:
            return
        one, day = self.one, f"date '{self.one.delivery.as_of}'"
        mine = f"resource = {literal(one.delivery.resource.name)} and as_of > {day}"
        self._newer = self._number(
            f"insert into _newer select distinct _record_key from ({keys}) semi join ("
            f"select _record_key from {one.pool} where _as_of > {day} union all "
            f"select record_key from {one.beside('_removed')} where {mine}) using (_record_key)"
        )

    def _standing_rows(self, *, newer: bool = True) -> str:
        """Query: the typed records that are the last of their key, without those a later delivery speaks of."""
        rows = self.source.typed
        if self._repeated:
            rows = (
                f"select t.*, coalesce(r.copies, 1) as _copies from ({rows}) t "
                "left join _repeated r using (_record_key) where r.last is null or r.last = t._row"
            )
        else:
            rows = f"select *, 1::integer as _copies from ({rows})"
        return f"from ({rows}) anti join _newer using (_record_key)" if newer and self._newer else rows

    def _remember_removed(self) -> int:
        """Write the removals to `_removed`; one of a record that is not there is noted.

        When the load is run again after a kill, the pool has gone on: then what the first try noted stands.
        """
        one = self.one
        mine = f"delivery_id = {literal(one.delivery.delivery_id)}"
        self.con.execute(
            f"create or replace temp table _known as select record_key as _record_key from {one.beside('_removed')} "
            f"where {mine} and known union select _record_key from {one.pool} "
            f"semi join (select _record_key from _sound where kind = 'D') using (_record_key) "
            f"where _delivery_id <> {literal(one.delivery.delivery_id)}"
        )
        self.con.execute(f"delete from {one.beside('_removed')} where {mine}")
        before = "lag(kind) over (partition by _record_key order by _row)"
        removed = self._number(
            f"insert into {one.beside('_removed')} by name "
            f"select {literal(one.delivery.delivery_id)} as delivery_id, "
            f"{literal(one.delivery.resource.name)} as resource, _row as row_number, _record_key as record_key, "
            f"date '{one.delivery.as_of}' as as_of, content, "
            "case before when 'U' then true when 'D' then false else k._record_key is not null end as known "
            f"from (select *, {before} as before from _sound qualify kind = 'D') left join _known k "
            f"using (_record_key) join (select _row, {self.source.content} as content from ({self.source.raw})) "
            "using (_row)"
        )
        absent = self._number(f"select count(*) from {one.beside('_removed')} where {mine} and not known")
        if absent:
            message = f"{one.delivery.file_name}: {absent} changes remove a record that the pool does not hold"
            self.notes.append(Reason("absent_removed", message))
        return removed

    def _left_out(self) -> Iterator[str]:
        """Queries for the quarantine, none where there is nothing."""
        one = self.one
        stamp = f"{literal(one.delivery.delivery_id)} as delivery_id, {literal(one.delivery.resource.name)} as resource"
        record = f"{stamp}, _row as row_number, _record_key as record_key, {self.source.content} as content"
        place = literal(f"{one.delivery.file_name}: record ")
        later = f"'superseded' as reason_code, {place} || _row || ': a later delivery has stated this record' as reason"
        if self._repeated:
            yield (
                f"select {record}, 'duplicate_key' as reason_code, {place} || _row || ': its key stands ' || copies || "
                f"' times; the last, record ' || last || ', was taken' as reason "
                f"from ({self.source.raw}) join _repeated using (_record_key) where _row <> last"
            )
        if one.delivery.mode == "changes":
            yield from self._wrong_changes(record, place, later)
        elif self._newer:
            last = " left join _repeated r using (_record_key) where r.last is null or r.last = _row"
            yield f"select {record}, {later} from ({self.source.raw}) join _newer using (_record_key){last}"
        if one.reading.bad_file:
            yield f"select {stamp}, * from read_parquet({literal(str(one.reading.bad_file))})"

    def _wrong_changes(self, record: str, place: str, later: str) -> Iterator[str]:
        told = self.one.delivery.resource.change_column
        assert told is not None  # noqa: S101  # the catalogue says so of the mode
        allowed = ", ".join((*told.insert, *told.update, *told.delete))
        said = "coalesce('\"' || letter[:20] || '\"', 'nothing')"
        wrong = {
            "_record_key is null": ("no_key", "': the key is blank; a change must say whose it is'"),
            "_record_key is not null and kind is null": (
                "unknown_change",
                f"{literal(f': {told.column} = ')} || {said} || {literal(f'; allowed: {allowed}')}",
            ),
        }
        for which, (code, reason) in wrong.items():
            if self._number(f"select count(*) from _changes where {which}"):
                yield (
                    f"select {record}, {literal(code)} as reason_code, {place} || _row || {reason} as reason "
                    f"from ({self.source.raw}) join (select _row, letter from _changes where {which}) using (_row)"
                )
        if self._newer:
            yield (
                f"select {record}, {later} from ({self.source.raw}) join _newer using (_record_key) "
                "join (select _row from _changes where kind is not null) using (_row)"
            )

    def _number(self, query: str) -> int:
        row = self.con.execute(query).fetchone()
        return int(row[0]) if row else 0
