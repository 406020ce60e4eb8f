"""The fictional city: writes its departments' deliveries, and the list of what is wrong in them.

Entry of the package. The city is invented from a seed and a first day, set-based in DuckDB, and everything in it is
fictional: it borrows the division codes of Lu'an so that identifiers are well formed. What the city is stands in
`truth`, what goes wrong in `plants` and `planting`, what departments do about it in `stories`, files in `writers`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from catalog.load import Catalog
from demo import planting, stories, truth
from demo.stories import Cast
from demo.truth import Feed
from demo.writers import SPREADSHEET_ROWS, Manifest, Written, deliver
from quality_checks.macros import SQL, quote
from quality_checks.working_days import add_workdays

FIRST_DAY = date(2026, 11, 2)
MEMORY = "3GB"
DEFECTS_FILE = "planted_defects.csv"
IDENTITY_FILE = "identity_truth.csv"
LIFE_FILE = "lifecycle.csv"


@dataclass(frozen=True)
class DemoSummary:
    """What was written: days of business, delivery files, data rows in them, planted defects, bytes on disk."""

    days: int
    files: int
    rows: int
    defects: int
    bytes: int
    landing: Path


def write(
    catalog: Catalog,
    landing: Path,
    *,
    people: int,
    days: int,
    seed: int,
    defect_rate: float,
    start: date = FIRST_DAY,
) -> DemoSummary:
    """Write `days` days of deliveries into `landing`, and beside it what is true of them: `planted_defects.csv`,
    `identity_truth.csv` and `lifecycle.csv`.

    Day n is the n-th working day from `start`. `defect_rate` is the share of records that go wrong; 0 plants nothing,
    any more at least one defect per rule. The same arguments give the same bytes.

    Raises:
        DemoError: `feeds.sql` lacks a column the catalogue declares.
        ValueError: a number is out of range.
    """
    if people < 1000 or days < 1 or not 0 <= defect_rate <= 0.5:
        raise ValueError("people must be at least 1000, days at least 1, defect_rate from 0 to 0.5")
    landing.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=landing.parent) as spill, duckdb.connect() as con:
        con.execute("SET memory_limit = ?", [MEMORY])
        con.execute("SET temp_directory = ?", [spill])
        con.execute(SQL)
        feeds = truth.build(con, catalog, people=people, seed=seed, start=start)
        planting.plant(con, catalog, feeds, rate=defect_rate)
        parts = stories.cast(feeds, days=days, rate=defect_rate)
        stories.tell(con, catalog, feeds, parts, days=days)
        calendar = [add_workdays(start, day)[0] for day in range(days)]
        written = [one for feed in feeds for one in _feed(con, landing, feed, parts, calendar)]
        if days > 1:
            _feedback(con, landing, calendar[1])
        _list_identities(con, feeds, landing.parent / IDENTITY_FILE)
        _list_life(con, landing.parent / LIFE_FILE, calendar)
        defects = _list_defects(con, landing.parent / DEFECTS_FILE, parts, calendar)
    return DemoSummary(
        days, len(written), sum(one.rows for one in written), defects, sum(one.bytes for one in written), landing
    )


def _feed(
    con: duckdb.DuckDBPyConnection, landing: Path, feed: Feed, parts: Cast, calendar: Sequence[date]
) -> list[Written]:
    """All deliveries of one resource."""
    resource = feed.resource
    folder = landing / resource.department / resource.name
    kind = "csv" if feed.kind == "xlsx" and feed.rows > SPREADSHEET_ROWS else feed.kind
    written = []
    for day, as_of in enumerate(calendar, 1):
        if not stories.sends(con, feed, parts, day):
            continue
        query = stories.records(feed, parts, day)
        if day == 2 and resource.id == parts.columns:
            query = f"SELECT *, '内部' AS remark FROM ({query})"
        manifest = Manifest(as_of, resource.mode)
        written.append(deliver(con, query, folder / f"{as_of:%Y%m%d}.{kind}", kind, manifest))
        if day == 2 and resource.id in (parts.rows, parts.structure):
            written.append(_spoiled(con, folder, feed, parts, as_of))
    return written


def _spoiled(con: duckdb.DuckDBPyConnection, folder: Path, feed: Feed, parts: Cast, as_of: date) -> Written:
    """A second, useless file of the day: rejected as a whole, the pool keeps what the first one brought."""
    *others, last = feed.resource.columns
    kept = [*others, last] if feed.resource.id == parts.rows else others
    query = f"SELECT {', '.join(kept)} FROM {feed.table} ORDER BY _n LIMIT 5"
    rows = 7 if feed.resource.id == parts.rows else None
    return deliver(con, query, folder / f"{as_of:%Y%m%d}-2.csv", "csv", Manifest(as_of, feed.resource.mode, rows))


def _feedback(con: duckdb.DuckDBPyConnection, landing: Path, as_of: date) -> None:
    """The objections of every department, sent on the second day."""
    for department in stories.objections(con):
        folder = landing / department / "feedback"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{as_of:%Y%m%d}.csv"
        part = path.with_name(path.name + ".part")
        con.execute(f"COPY ({stories.replies(department)}) TO {quote(str(part))} (FORMAT csv, HEADER)")
        part.rename(path)


def _list_identities(con: duckdb.DuckDBPyConnection, feeds: Sequence[Feed], path: Path) -> None:
    """`identity_truth.csv`: one row per record that states no number, as first delivered.

    `person` is the same for records of one person, `id_number` the number by which registers know that person, empty
    where none does.
    """
    without = [feed for feed in feeds if feed.resource.describes and feed.resource.describes.by is None]
    said = [
        f"SELECT {quote(feed.resource.department)} AS department, {quote(feed.resource.name)} AS resource,"
        f" f._key AS record_key, f._entity AS person, p.id_number FROM {feed.table} f"
        " LEFT JOIN person p ON f._entity = 'p' || p.n"
        for feed in without
    ]
    nobody = "SELECT '' AS department, '' AS resource, '' AS record_key, '' AS person, '' AS id_number WHERE false"
    part = path.with_name(path.name + ".part")
    con.execute(
        f"COPY (FROM ({' UNION ALL '.join([nobody, *said])}) ORDER BY ALL) TO {quote(str(part))} (FORMAT csv, HEADER)"
    )
    part.rename(path)


def _list_life(con: duckdb.DuckDBPyConnection, path: Path, calendar: Sequence[date]) -> None:
    """`lifecycle.csv`: one row per birth, death, move, end, merger, reissue and revocation told on the second day."""
    told = f"{quote(str(calendar[1]))} AS day" if len(calendar) > 1 else "NULL AS day"
    part = path.with_name(path.name + ".part")
    con.execute(
        f"COPY (SELECT {told}, library, key, event, happened_on, followed_by FROM life_event"
        f" WHERE {len(calendar)} > 1 AND event <> 'successor' ORDER BY event, key)"
        f" TO {quote(str(part))} (FORMAT csv, HEADER)"
    )
    part.rename(path)


def _list_defects(con: duckdb.DuckDBPyConnection, path: Path, parts: Cast, calendar: Sequence[date]) -> int:
    """`planted_defects.csv`: one row per defect, those of whole deliveries last. Returns how many."""
    con.execute(
        "CREATE TABLE delivery_defect (day DATE, resource VARCHAR, rule VARCHAR, story VARCHAR, expected VARCHAR)"
    )
    whole = _delivery_defects(parts, calendar)
    if whole:
        con.executemany("INSERT INTO delivery_defect VALUES (?, ?, ?, ?, ?)", whole)
    part = path.with_name(path.name + ".part")
    row = con.execute(
        f"""
        COPY (
            SELECT {quote(str(calendar[0]))} AS day, split_part(resource, '.', 1) AS department,
                split_part(resource, '.', 2) AS resource, record_key, "column", rule_id, observed AS observed_value,
                story, expected AS expected_state, suggested AS suggested_value
            FROM played
            UNION ALL
            SELECT day::VARCHAR, split_part(resource, '.', 1), split_part(resource, '.', 2),
                split_part(resource, '.', 2), '', resource || '.delivery.' || rule, NULL, story, expected, NULL
            FROM delivery_defect
        ) TO {quote(str(part))} (FORMAT csv, HEADER)
        """
    ).fetchone()
    part.rename(path)
    return int(row[0]) if row else 0


def _delivery_defects(parts: Cast, calendar: Sequence[date]) -> list[list[object]]:
    """Day, resource, rule, story and the state expected at the end, per delivery that is wrong as a whole."""
    days = len(calendar)
    if days < 2:
        return []
    mended = "notified" if days == 2 else "verified_otherwise"
    told: list[list[object]] = [
        [calendar[1], resource, rule, "corrected", mended]
        for resource, rule in ((parts.rows, "rows"), (parts.structure, "structure"), (parts.columns, "columns"))
        if resource
    ]
    if parts.shifted:
        told.append([calendar[0], parts.shifted, "shifted", "corrected", "verified_otherwise"])
    if parts.shrunk:
        told.append([calendar[1], parts.shrunk, "volume", "ignored", "notified"])
    if parts.silent and days > 2:
        told.append([calendar[2], parts.silent, "late", "silent", "notified"])
    return told
