"""Whether what is on the disk is what the catalogs and the register say, and the first half of putting it right.

`verify` only reads and names every damage; `repair` deletes what nothing refers to and empties tables whose files are
gone or damaged. Filling those again from the archived deliveries is the stages' work (`assets`), which `repair` hands
their names. The ledger's hash chain is checked by a function the caller passes in: this layer does not know it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from resources.city import City
from resources.guard import CITY
from resources.lake import quoted

Kind = Literal[
    "missing_table",  # the catalogue names it, the lake does not hold it
    "missing_file",  # current rows are in a file that is not there
    "damaged_file",  # … in a file of another size, or one that is not Parquet
    "unreadable_table",  # reading every value fails (deep)
    "missing_history",  # only earlier versions of the table are in a file that is gone or damaged
    "orphan_file",  # no catalog refers to it
    "unsettled_commit",  # a killed process left it, and no start has settled it yet
    "unknown_delivery",  # pool records from a delivery the register does not know
    "unbalanced_delivery",  # rows delivered are not rows pooled + quarantined
    "missing_archive",  # a registered delivery's file is not in the archive
    "damaged_archive",  # … or is not the file that was registered (deep)
    "broken_ledger",
]
REBUILD = {"missing_file", "damaged_file", "unreadable_table"}
MAGIC = {b"PAR1", b"PARE"}  # plain, encrypted


@dataclass(frozen=True, order=True)
class Damage:
    """One thing that is not as it should be. `path` is relative to the home (a delivery id in the register)."""

    kind: Kind
    catalog: str
    table: str
    path: str
    remedy: str


@dataclass(frozen=True)
class Repaired:
    """What `repair` did; the tables in `emptied` must be filled again by their stages."""

    emptied: tuple[str, ...]
    deleted_files: int


@dataclass(frozen=True)
class _File:
    """A file a lake catalog refers to."""

    table: str
    path: Path
    size: int
    current: bool


def verify(city: City, *, deep: bool = False, ledger: Callable[[City], Iterable[str]] = lambda _: ()) -> list[Damage]:
    """Every damage of lake, register and ledger, sorted; empty when all is well. Writers wait, one catalog at a time.

    `deep` reads every value of every table and hashes every archived file. `ledger` gives one sentence for each break
    of the ledger's chain.
    """
    found: list[Damage] = []
    for target in city.lake.targets:
        with city.lake.lock(target):
            found += _check_target(city, target, deep=deep)
    found += _check_register(city, deep=deep)
    found += [Damage("broken_ledger", "ledger", "ledger.events", said, "restore a backup") for said in ledger(city)]
    return sorted(found)


def repair(city: City, damages: Iterable[Damage], *, author: str) -> Repaired:
    """Settle and sweep what was left over, create missing tables, empty those whose files are lost.

    Nothing of an undamaged table is touched. Fill the emptied ones again, pools before libraries before the rest.
    """
    listed = list(damages)
    emptied = sorted({damage.table for damage in listed if damage.kind in REBUILD})
    city.lake.heal()
    for table in emptied:
        city.lake.empty_damaged(table, author=author)
    if any(damage.kind == "missing_table" for damage in listed):
        city.lake.apply_catalog(force=True)
    stray = {damage.catalog for damage in listed if damage.kind == "orphan_file"}
    return Repaired(tuple(emptied), sum(city.lake.sweep(target) for target in sorted(stray)))


def _check_target(city: City, target: str, *, deep: bool) -> Iterator[Damage]:
    root = city.home.lake / target
    referred = _referred(city, target)
    broken: set[str] = set()
    for file in referred:
        kind = _damage_of(file)
        if kind:
            path = str(file.path.relative_to(city.home.root))
            remedy = "rebuild the table" if file.current else "none: only earlier versions of the table are lost"
            yield Damage(kind if file.current else "missing_history", target, file.table, path, remedy)
            broken |= {file.table} if file.current else set()
    known = {file.path for file in referred} | _scheduled(city, target)
    for name in city.lake.files(target):
        if root / name not in known:
            yield Damage("orphan_file", target, "", str(Path("lake", target, name)), "delete it")
    for commit in city.lake.unsettled(target):
        yield Damage("unsettled_commit", target, "", f"inflight/{commit}", "any start settles it")
    there = city.lake.table_names(target)
    for table in city.lake.expected(target):
        if table not in there:
            yield Damage("missing_table", target, table, "", "apply the catalogue, then rebuild the table")
        elif table not in broken:
            yield from _check_rows(city, target, table, deep=deep)


def _damage_of(file: _File) -> Literal["missing_file", "damaged_file"] | None:
    try:
        size = file.path.stat().st_size
        with file.path.open("rb") as content:
            head = content.read(4)
            content.seek(max(size - 4, 0))
            whole = size == file.size and head in MAGIC and content.read(4) == head
    except FileNotFoundError:
        return "missing_file"
    return None if whole else "damaged_file"


def _check_rows(city: City, target: str, table: str, *, deep: bool) -> Iterator[Damage]:
    """What only reading the table tells."""
    rows = ".".join(map(quoted, table.split(".")))
    try:
        if deep:
            city.con.execute(f"SELECT count(hash(t)) FROM {rows} t").fetchall()
        if target == CITY or table.endswith(("._quarantine", "._removed")):
            return
        unknown = city.con.execute(
            f"SELECT DISTINCT _delivery_id FROM {rows}"
            " ANTI JOIN shuyuan.ops.deliveries d ON d.delivery_id = _delivery_id"
        ).fetchall()
    except duckdb.Error as error:
        reason = type(error).__name__  # its text may hold values
        yield Damage("unreadable_table", target, table, "", f"rebuild the table ({reason})")
        return
    for (delivery,) in unknown:
        yield Damage("unknown_delivery", target, table, str(delivery), "restore the register, or rebuild the table")


def _referred(city: City, target: str) -> list[_File]:
    """Data and delete files of all versions of all tables that the catalog still knows."""
    root = city.home.lake / target
    with city.server.session(database="lake") as cursor:
        cursor.execute(f"set search_path to {quoted(target)}")
        cursor.execute(
            """
            select s.schema_name, t.table_name, s.path, t.path, f.path, f.file_size_bytes,
                   f.end_snapshot is null and t.end_snapshot is null
            from (
                select table_id, path, file_size_bytes, end_snapshot from ducklake_data_file
                union all
                select table_id, path, file_size_bytes, end_snapshot from ducklake_delete_file
            ) f
            join (
                select distinct on (table_id) * from ducklake_table order by table_id, begin_snapshot desc
            ) t using (table_id)
            join ducklake_schema s using (schema_id)
            """
        )
        return [
            _File(city.lake.name(target, schema, table), root.joinpath(*parts), size, current)
            for schema, table, *parts, size, current in cursor.fetchall()
        ]


def _scheduled(city: City, target: str) -> set[Path]:
    with city.server.session(database="lake") as cursor:
        cursor.execute(f"select path from {quoted(target)}.ducklake_files_scheduled_for_deletion")
        return {city.home.lake / target / path for (path,) in cursor.fetchall()}


def _check_register(city: City, *, deep: bool) -> Iterator[Damage]:
    with city.server.session() as cursor:
        cursor.execute(
            """
            select delivery_id, department || '.' || resource, archive_path, sha256, state = 'pooled'
                   and rows_delivered is distinct from rows_pooled + rows_quarantined + coalesce(rows_removed, 0)
            from ops.deliveries order by 1
            """
        )
        rows = cursor.fetchall()
    for delivery, table, archived, sha256, unbalanced in rows:
        if unbalanced:
            yield Damage("unbalanced_delivery", "register", table, delivery, "load the delivery again")
        if archived is None:
            continue
        file = city.home.archive / archived
        if not file.is_file():
            yield Damage("missing_archive", "register", table, delivery, f"restore archive/{archived} from a backup")
        elif deep and _sha256(file) != sha256:
            yield Damage("damaged_archive", "register", table, delivery, f"restore archive/{archived} from a backup")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
