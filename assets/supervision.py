"""Supervision: the figures of a month or year, counted once from the ledger, frozen, and reported from then on.

A month is over for the city with the first pass after its last day. Then its figures are counted from what the ledger
says up to that day and stored append-only with the heads of the departments' chains they were counted up to. What is
recorded later about that time makes a new version; the old one stays. Reports are written from stored figures by
`assets.supervision_files`. What is counted is `quality_checks.supervision`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from assets.supervision_rows import pseudonym_sql, write_rows
from quality_checks.supervision import Period, figures_sql, listed_sql, periods_over, read_sql
from quality_checks.working_days import Calendar
from resources.city import City
from resources.home import scratch
from resources.lake import literal
from resources.ledger import BrokenLink, Head, verify_chain

LOCK = "supervision"


class NoReportError(LookupError):
    """The period has no figures; the message says why."""


@dataclass(frozen=True)
class Version:
    """One version of a period's figures: when it was counted and by whom. The last one stands."""

    period: str
    version: int
    first_day: date
    last_day: date
    compared_version: int | None
    small_sample: int
    rows_digest: str
    author: str
    recorded_at: datetime


@dataclass(frozen=True)
class Cause:
    """A transaction of the ledger that was recorded after the version before and speaks of its time."""

    department: str
    batch: int
    kind: str
    as_of: date
    author: str
    recorded_at: datetime
    source: str


@dataclass(frozen=True)
class Change:
    """A figure of the city or of a department that is another than in the version before."""

    department: str
    figure: str
    before: Decimal | None
    whole_before: int | None
    after: Decimal | None
    whole_after: int | None

    def told(self, *, now: bool) -> str:
        """The figure before or now, of a share with its denominator."""
        amount, whole = (self.after, self.whole_after) if now else (self.before, self.whole_before)
        shown = "—" if amount is None else f"{amount:,}".removesuffix(".0")
        return shown if whole is None else f"{shown} / {whole:,}"


@dataclass(frozen=True)
class Disagreement:
    """A stored version that the ledger, counted again up to the same link, does not bear out."""

    period: str
    version: int
    reason: str


def freeze(city: City, as_of: date, *, author: str) -> list[Version]:
    """Count every month and year that is over by the pass to `as_of` and not yet counted, or of which more is known.

    Returns the new versions. A second call for the same ledger adds nothing.
    """
    with city.server.lock(LOCK):
        first = _query(city, "select min(as_of) from ledger.batches")[0][0]
        if first is None:
            return []
        known = {version.period: version for version in versions(city)}
        late = _with_news(city)
        made = []
        for period in periods_over(first, as_of):
            last = known.get(period.name)
            if last is None or period.name in late:
                made += _freeze(city, period, last, known.get(period.before.name), author)
                known |= {version.period: version for version in made}
        return made


def versions(city: City, period: str | None = None) -> list[Version]:
    """Every version of every period, or of one, oldest period first."""
    rows = _query(
        city,
        "select period, version, first_day, last_day, compared_version, small_sample, rows_digest, author, recorded_at"
        " from ledger.supervision_versions where %(period)s::text is null or period = %(period)s"
        " order by last_day, length(period) desc, version",
        {"period": period},
    )
    return [Version(*row) for row in rows]


def standing(city: City, period: Period, as_of: date | None) -> Version:
    """The last version of a period.

    Raises:
        NoReportError: it is not over, or nothing was recorded by then. `as_of`: the last pass.
    """
    found = versions(city, period.name)
    if found:
        return found[-1]
    if as_of is None or as_of <= period.last:
        taken = f"the city was taken to {as_of}" if as_of else "the city was taken to no day yet"
        raise NoReportError(
            f"{period.name}: {taken}; the first pass after {period.last} freezes its figures (shuyuan run --as-of)"
        )
    raise NoReportError(f"{period.name}: the ledger begins later, or no pass was made since: shuyuan run")


def causes(city: City, version: Version) -> list[Cause]:
    """What was recorded between the version before and this one about the time it counts; empty of the first."""
    rows = _query(
        city,
        """
        select b.department, b.batch, b.kind, b.as_of, b.author, b.recorded_at, b.source
        from ledger.batches b
        join (select department, min(batch) as batch from ledger.supervision_heads
              where period = %(period)s and version = %(version)s group by department) h using (department)
        left join (select department, min(batch) as batch from ledger.supervision_heads
                   where period = %(period)s and version = %(version)s - 1 group by department) p using (department)
        where %(version)s > 1 and b.batch > coalesce(p.batch, 0) and b.batch <= h.batch and b.as_of <= %(last)s
        order by b.recorded_at, b.department, b.batch
        """,
        {"period": version.period, "version": version.version, "last": version.last_day},
    )
    return [Cause(*row) for row in rows]


def changes(city: City, version: Version) -> list[Change]:
    """Figures of the city and its departments that differ from the version before; empty of the first."""
    rows = _query(
        city,
        """
        select department, figure, b.amount, b.whole, a.amount, a.whole
        from (select * from ledger.supervision_figures where period = %(period)s and version = %(version)s) a
        full join (select * from ledger.supervision_figures where period = %(period)s and version = %(version)s - 1) b
             using (scope, department, resource, dimension, figure)
        where %(version)s > 1 and scope in ('city', 'department')
          and (a.amount, a.whole) is distinct from (b.amount, b.whole)
        order by department, figure
        """,
        {"period": version.period, "version": version.version},
    )
    return [Change(*row) for row in rows]


def heads(city: City, version: Version) -> list[Head]:
    """The links of the departments' chains up to which the version was counted: its anchor."""
    rows = _query(
        city,
        "select distinct on (department) department, batch, as_of, digest from ledger.supervision_heads"
        " where period = %s and version = %s order by department, batch",
        (version.period, version.version),
    )
    return [Head(*row) for row in rows]


def read_rows(city: City, version: Version) -> None:
    """`supervision_cases` and `supervision_orders`: the rows the version was counted from, read again."""
    period = Period(version.period, version.first_day, version.last_day)
    _read(city, period, heads(city, version))


def verify(city: City) -> tuple[list[BrokenLink], list[Disagreement]]:
    """Hold every stored version against the ledger: its anchor, its rows and all its figures, counted again."""
    found = versions(city)
    anchor = {head: None for version in found for head in heads(city, version)}
    broken = verify_chain(city.con, list(anchor))
    wrong = []
    with city.server.lock(LOCK), scratch(city.home) as folder:
        for version in found:
            read_rows(city, version)
            period = Period(version.period, version.first_day, version.last_day)
            digest = _rows_digest(city, folder)
            if digest != version.rows_digest:
                wrong.append(Disagreement(version.period, version.version, "its rows are others"))
                continue
            known = _query(
                city,
                "select distinct department from ledger.supervision_figures"
                " where period = %s and version = %s and scope = 'department'",
                (version.period, version.version),
            )
            _count(city, period, [row[0] for row in known])
            stored = (
                "SELECT scope, department, resource, dimension, figure, amount, whole"
                f" FROM shuyuan.ledger.supervision_figures WHERE {_of(version)}"
            )
            counted = (
                "SELECT scope, department, resource, dimension, figure, amount, whole FROM supervision_figures"
                f" WHERE figure IN (SELECT figure FROM shuyuan.ledger.supervision_figures WHERE {_of(version)})"
            )
            differing = city.con.execute(
                f"SELECT count(*) FROM (({stored} EXCEPT {counted}) UNION ALL ({counted} EXCEPT {stored}))"
            ).fetchone()
            if differing and differing[0]:
                wrong.append(Disagreement(version.period, version.version, "its figures do not follow from its rows"))
    return broken, wrong


def _freeze(city: City, period: Period, last: Version | None, before: Version | None, author: str) -> list[Version]:
    """Count and store a version; only the heads, where what was recorded since changes no row."""
    current = [
        Head(*row)
        for row in _query(
            city,
            "select distinct on (department) department, batch, as_of, digest from ledger.batches"
            " order by department, batch desc",
        )
    ]
    _read(city, period, current)
    with scratch(city.home) as folder:
        digest = _rows_digest(city, folder)
    if last and last.rows_digest == digest:
        _store_heads(city, last.period, last.version, current)
        return []
    departments = list(city.catalog.departments)
    _count(city, period, departments)
    jurisdiction = city.catalog.jurisdiction
    calendar = Calendar.with_table(city.catalog.holidays)
    listed = listed_sql(jurisdiction.rectification, jurisdiction.small_sample, period, calendar)
    city.con.execute(f"CREATE OR REPLACE TEMP TABLE supervision_listed AS {listed}")
    number = last.version + 1 if last else 1
    values = {
        "period": period.name, "version": number, "first": period.first, "last": period.last,
        "compared": before.version if before else None, "small": jurisdiction.small_sample, "digest": digest,
        "author": author,
    }  # fmt: skip
    con = city.con
    con.execute("BEGIN")
    try:
        con.execute(
            "INSERT INTO shuyuan.ledger.supervision_versions (period, version, first_day, last_day, compared_version,"
            " small_sample, rows_digest, author) VALUES ($period, $version, $first, $last, $compared, $small, $digest,"
            " $author)",
            values,
        )
        stored = {"supervision_figures": "supervision_figures", "supervision_list": "supervision_listed"}
        stored["supervision_heads"] = "supervision_heads"
        for table, rows in stored.items():
            con.execute(
                f"INSERT INTO shuyuan.ledger.{table} BY NAME"
                f" SELECT {literal(period.name)} AS period, {number} AS version, * FROM {rows}"
            )
        con.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):
            con.execute("ROLLBACK")
        raise
    return [versions(city, period.name)[-1]]


def _store_heads(city: City, period: str, version: int, current: Sequence[Head]) -> None:
    with city.server.session() as cursor:
        for head in current:  # one row a department
            cursor.execute(
                "insert into ledger.supervision_heads (period, version, department, batch, as_of, digest)"
                " values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
                (period, version, head.department, head.batch, head.as_of, head.digest),
            )


def _with_news(city: City) -> set[str]:
    """Periods whose last version does not know of a transaction that speaks of their time."""
    rows = _query(
        city,
        """
        select v.period
        from (select distinct on (period) period, version, last_day from ledger.supervision_versions
              order by period, version desc) v
        where exists (
            select from ledger.batches b
            left join (select department, max(batch) as batch from ledger.supervision_heads h
                       where h.period = v.period and h.version = v.version group by department) h using (department)
            where b.as_of <= v.last_day and b.batch > coalesce(h.batch, 0))
        """,
    )
    return {row[0] for row in rows}


def _read(city: City, period: Period, up_to: Sequence[Head]) -> None:
    """`supervision_heads`, and the tables of `read_sql`."""
    con = city.con
    con.execute(
        "CREATE OR REPLACE TEMP TABLE supervision_heads AS SELECT unnest($departments::VARCHAR[]) AS department,"
        " unnest($batches::INTEGER[]) AS batch, unnest($days::DATE[]) AS as_of, unnest($digests::VARCHAR[]) AS digest",
        {
            "departments": [head.department for head in up_to],
            "batches": [head.batch for head in up_to],
            "days": [head.as_of for head in up_to],
            "digests": [head.digest for head in up_to],
        },
    )
    earliest = _query(city, "select min(as_of) from ledger.batches")[0][0]
    calendar = Calendar.with_table(city.catalog.holidays)
    queries = read_sql(period, min(earliest or period.first, period.first), calendar)
    for table, query in queries.items():
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {query}")
    for table in queries:
        if table not in ("supervision_cases", "supervision_orders"):
            con.execute(f"DROP TABLE {table}")


def _count(city: City, period: Period, departments: Sequence[str]) -> None:
    city.con.execute(f"CREATE OR REPLACE TEMP TABLE supervision_figures AS {figures_sql(period, departments)}")


def _rows_digest(city: City, folder: Path) -> str:
    """sha256 of the two files of rows, one after the other, as the city's report has them."""
    digest = hashlib.sha256()
    for path in write_rows(city.con, folder, pseudonym_sql(city)):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _of(version: Version) -> str:
    return f"period = {literal(version.period)} AND version = {version.version}"


def _query(city: City, query: str, values: Any = None) -> list[tuple[Any, ...]]:
    with city.server.session() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
