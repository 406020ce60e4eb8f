"""The figures of the report site: a handful of set-based queries into plain typed values, no HTML and no words.

Add a query here when a page needs a number that no figure holds yet; never one query per page. Personal values stay
out: everything here is a count, a date, a name from the catalogue, or the file name and reasons of a delivery, which
the templates redact (`assets.report_html.redact`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from duckdb import DuckDBPyConnection

from assets.report_libraries import LibraryFigure, collect_libraries
from assets.report_scores import Scores, collect_scores
from assets.report_themes import Theme, collect_themes
from catalog.load import Catalog
from quality_checks.due_calendar import Due, due_calendar
from quality_checks.punctuality import read_deliveries
from quality_checks.working_days import Calendar
from resources import clock

Row = TypeVar("Row")

TREND_PASSES = 30  # passes a chart looks back
HISTORY = 60  # newest deliveries shown of one resource


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a delivery was refused or marked: a short code and the sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of ops.deliveries. Row counts are null when the file could not be read that far."""

    delivery_id: str
    department: str
    resource: str
    file_name: str
    as_of: date | None
    mode: str | None
    rows_declared: int | None
    rows_delivered: int | None
    rows_pooled: int | None
    rows_quarantined: int | None
    rows_removed: int | None
    state: str
    superseded_by: str | None
    reasons: tuple[Reason, ...]

    @property
    def resource_id(self) -> str:
        return f"{self.department}.{self.resource}"

    @property
    def is_clean(self) -> bool:
        return self.state != "rejected" and not self.reasons and not self.rows_quarantined


@dataclass(frozen=True, slots=True)
class DeliveryDay:
    """Deliveries of one as-of date; `as_of` is null for files refused before a date was known."""

    as_of: date | None
    deliveries: int
    rejected: int
    rows_delivered: int
    rows_pooled: int
    rows_quarantined: int


@dataclass(frozen=True, slots=True)
class FindingCount:
    """Findings of one rule on one resource: open now, first seen and closed in this pass."""

    department: str
    resource: str
    rule_id: str
    severity: str
    open: int
    new: int
    closed: int


@dataclass(frozen=True, slots=True)
class FeedFinding:
    """One open finding about a feed as a whole: `kind` is late, rows, volume, … as in `quality_checks.punctuality`."""

    department: str
    resource: str
    kind: str
    severity: str
    first_seen: date
    last_pooled: date | None
    reason: str


@dataclass(frozen=True, slots=True)
class Movement:
    """Findings at the end of one pass; `department` is null for the city."""

    department: str | None
    as_of: date
    open: int
    new: int
    closed: int


@dataclass(frozen=True, slots=True)
class RuleFigure:
    """The last evaluation of one rule on one resource."""

    department: str
    resource: str
    rule_id: str
    dimension: str
    severity: str
    as_of: date
    applicable: int
    failed: int
    state: str


@dataclass(frozen=True, slots=True)
class ResourcePass:
    """All rules of one resource in one pass, added up."""

    department: str
    resource: str
    as_of: date
    applicable: int
    failed: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Records kept out of a resource's pool for one reason: of one recent delivery, or ever (no delivery named)."""

    department: str
    resource: str
    delivery_id: str | None
    reason_code: str
    records: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything the site shows, as of one business date."""

    as_of: date
    passes: tuple[date, ...]
    deliveries: list[Delivery]
    days: list[DeliveryDay]
    findings: list[FindingCount]
    feeds: list[FeedFinding]
    movements: list[Movement]
    results: list[RuleFigure]
    resource_passes: list[ResourcePass]
    scores: Scores
    quarantine: list[Quarantined]
    due: list[Due]
    libraries: dict[str, LibraryFigure]
    themes: list[Theme]


_PASSES = """
    select as_of from (select as_of from shuyuan.ops.passes where as_of <= $as_of union select $as_of::DATE)
    order by as_of desc limit $passes"""

_DELIVERIES = """
    select delivery_id, department, resource, file_name, as_of, mode, rows_declared, rows_delivered, rows_pooled,
           rows_quarantined, rows_removed, state, superseded_by, reasons
    from (select *, row_number() over (partition by department, resource
                                       order by as_of desc nulls first, delivery_id desc) as newest
          from (select delivery_id, department, resource, file_name, as_of, mode, rows_declared, rows_delivered,
                       rows_pooled, rows_quarantined, rows_removed, state, superseded_by, reasons::VARCHAR as reasons
                from shuyuan.ops.deliveries where as_of is null or least(as_of, pass_as_of) <= $as_of))
    where newest <= $history
    order by as_of desc nulls first, department, resource, delivery_id"""

_DAYS = """
    select as_of, count(*), count(*) filter (state = 'rejected'), coalesce(sum(rows_delivered), 0)::BIGINT,
           coalesce(sum(rows_pooled), 0)::BIGINT, coalesce(sum(rows_quarantined), 0)::BIGINT
    from shuyuan.ops.deliveries where as_of is null or least(as_of, pass_as_of) <= $as_of
    group by as_of order by as_of desc nulls first"""

_FINDINGS = """
    select department, resource, rule_id, severity,
           count(*) filter (status = 'open') as open_now,
           count(*) filter (first_seen = $as_of) as new_now,
           count(*) filter (status = 'resolved' and closed_on = $as_of) as closed_now
    from quality.findings group by all having open_now + new_now + closed_now > 0
    order by department, resource, rule_id, severity"""

_FEEDS = """
    with feeds as (
        select *, regexp_extract(rule_id, '[.]delivery[.]([a-z]+)$', 1) as kind
        from quality.findings where status = 'open'),
    pooled as (
        select department, resource, max(as_of) as last_pooled from shuyuan.ops.deliveries
        where state = 'pooled' and as_of <= $as_of group by all)
    select department, resource, kind, severity, min(first_seen), any_value(last_pooled), min(coalesce(reason, ''))
    from feeds left join pooled using (department, resource) where kind <> ''
    group by department, resource, kind, severity order by department, resource, kind, severity"""

_MOVEMENTS = """
    with moves as (
        select department, first_seen as day, 1 as opened, 0 as closed from quality.findings
        union all
        select department, closed_on, 0, 1 from quality.findings where status = 'resolved'),
    daily as (select department, day, sum(opened) as opened, sum(closed) as closed from moves group by all),
    passes as (select unnest($days::DATE[]) as as_of)
    select department, as_of, coalesce(sum(opened - closed) filter (day <= as_of), 0)::BIGINT,
           coalesce(sum(opened) filter (day = as_of), 0)::BIGINT, coalesce(sum(closed) filter (day = as_of), 0)::BIGINT
    from daily cross join passes group by grouping sets ((department, as_of), (as_of))
    order by department nulls first, as_of"""

_RESULTS = """
    select department, resource, rule_id, arg_max(dimension, as_of), arg_max(severity, as_of), max(as_of),
           arg_max(applicable, as_of), arg_max(failed, as_of), arg_max(state, as_of)
    from quality.results where as_of <= $as_of group by department, resource, rule_id
    order by department, resource, rule_id"""

_RESOURCE_PASSES = """
    select department, resource, as_of, sum(applicable)::BIGINT, sum(failed)::BIGINT
    from quality.results where as_of between $first and $as_of and state = 'ok'
    group by all order by department, resource, as_of"""


def collect(con: DuckDBPyConnection, catalog: Catalog, as_of: date) -> Figures:
    """Read every figure of the site, as of the end of the pass `as_of`; about a dozen queries at any size."""
    days = con.execute(_PASSES, {"as_of": as_of, "passes": TREND_PASSES}).fetchall()
    passes = tuple(sorted(day for (day,) in days))
    now = {"as_of": as_of}
    return Figures(
        as_of=as_of,
        passes=passes,
        deliveries=_deliveries(con, as_of),
        days=read(con, _DAYS, DeliveryDay, now),
        findings=read(con, _FINDINGS, FindingCount, now),
        feeds=read(con, _FEEDS, FeedFinding, now),
        movements=read(con, _MOVEMENTS, Movement, {"days": list(passes)}),
        results=read(con, _RESULTS, RuleFigure, now),
        resource_passes=read(con, _RESOURCE_PASSES, ResourcePass, {"first": passes[0], "as_of": as_of}),
        scores=collect_scores(con, as_of),
        quarantine=_quarantine(con, sorted(catalog.departments), passes[0]),
        libraries=collect_libraries(con, catalog),
        themes=collect_themes(con, catalog, as_of),
        due=due_calendar(
            catalog.resources.values(),
            read_deliveries(con, as_of),
            as_of,
            clock.now(),
            Calendar.with_table(catalog.holidays),
        ),
    )


def read(con: DuckDBPyConnection, query: str, row: type[Row], values: Mapping[str, object]) -> list[Row]:
    """The rows of `query`, each as a `row`, whose fields stand in the order of the columns."""
    return [row(*found) for found in con.execute(query, dict(values)).fetchall()]


def _deliveries(con: DuckDBPyConnection, as_of: date) -> list[Delivery]:
    rows = con.execute(_DELIVERIES, {"as_of": as_of, "history": HISTORY}).fetchall()
    return [Delivery(*(*values, _reasons(reasons))) for *values, reasons in rows]


def _reasons(text: str | None) -> tuple[Reason, ...]:
    """The jsonb list of {code, message}; anything else is shown as it stands rather than lost."""
    listed = json.loads(text) if text else []
    if not isinstance(listed, list):
        return (Reason("", str(text)),)
    return tuple(
        Reason(str(item.get("code", "")), str(item.get("message", "")))
        if isinstance(item, dict)
        else Reason("", str(item))
        for item in listed
    )


def _quarantine(con: DuckDBPyConnection, departments: Sequence[str], first: date) -> list[Quarantined]:
    """Counts over every department's `_quarantine`; single deliveries from the as-of date `first` on."""
    if not departments:
        return []
    tables = " union all ".join(
        f"select '{name}' as department, resource, delivery_id, reason_code from \"{name}\"._quarantine"
        for name in departments
    )
    query = f"""
        select q.department, q.resource, q.delivery_id, q.reason_code, count(*)
        from ({tables}) q left join shuyuan.ops.deliveries d using (delivery_id)
        group by grouping sets ((q.department, q.resource, q.reason_code),
                                (q.department, q.resource, q.delivery_id, q.reason_code))
        having grouping(q.delivery_id) = 1 or max(d.as_of) >= $first
        order by q.department, q.resource, q.delivery_id nulls first, q.reason_code"""
    return read(con, query, Quarantined, {"first": first})
