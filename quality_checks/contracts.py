"""How old what a thematic table is made from may be (`freshness` of its contract).

One judgement per table and pass, of severity info: the department that is late has a finding of its own
(`quality_checks.punctuality`); this one is shown to the table's lead and holds back the products that show the table.
What its columns refer to are rules (`quality_checks.rules.thematic_rules`), columns and key are held by
`assets.thematic`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from duckdb import DuckDBPyConnection

from catalog.indicators import INDICATORS
from catalog.load import Catalog
from catalog.models import ThematicTable
from catalog.rules import Severity
from quality_checks.punctuality import Judgement, Kind
from quality_checks.results import RuleResult
from quality_checks.working_days import Calendar, add_workdays

STALE = Kind("stale", "", "0502", Severity.info, "主题库表所用数据的最旧一批应在规定时限内")


@dataclass(frozen=True)
class Contribution:
    """A resource behind a thematic table: the as-of date of its newest delivery and the last day it is fresh."""

    resource: str
    as_of: date
    fresh_until: date


def newest_deliveries(con: DuckDBPyConnection, as_of: date) -> dict[str, date]:
    """The as-of date of each resource's newest delivery in a pool, up to `as_of`, by resource id."""
    rows = con.execute(
        "SELECT department || '.' || resource, max(as_of) FROM shuyuan.ops.deliveries"
        " WHERE state = 'pooled' AND as_of <= $1 GROUP BY ALL",
        [as_of],
    ).fetchall()
    return dict(rows)


def contributions(catalog: Catalog, table: ThematicTable, newest: Mapping[str, date]) -> list[Contribution]:
    """What the table is made from, oldest first; a resource that never delivered contributes nothing."""
    if table.freshness is None:
        return []
    found = []
    calendar = Calendar.with_table(catalog.holidays)
    for resource in catalog.behind(table.id):
        if last := newest.get(resource.id):
            age = table.freshness.of(resource.id)
            until = add_workdays(last + timedelta(days=age.days), age.working_days, calendar)[0]
            found.append(Contribution(resource.id, last, until))
    return sorted(found, key=lambda one: (one.as_of, one.resource))


def staleness(catalog: Catalog, table: ThematicTable, newest: Mapping[str, date], as_of: date) -> str:
    """Why the table is not fresh on that day; empty when it is, or promises nothing."""
    if table.freshness is None:
        return ""
    made_from = contributions(catalog, table, newest)
    if not made_from:
        return "没有任何来源交付过 / nothing it is made from was ever delivered"
    old = [one for one in made_from if one.fresh_until < as_of]
    return "；".join(
        f"{catalog.resources[one.resource].title.zh} 数据截至 {one.as_of}，应不晚于 {one.fresh_until} 更新"
        f" / {one.resource} is as of {one.as_of}, fresh until {one.fresh_until}"
        for one in old
    )


def judge(con: DuckDBPyConnection, catalog: Catalog, as_of: date) -> Iterator[Judgement]:
    """One judgement per thematic table that promises freshness, filed under its lead."""
    newest = newest_deliveries(con, as_of)
    for table in catalog.thematic.values():
        if table.freshness is None:
            continue
        reason = staleness(catalog, table, newest, as_of)
        stored = f"{table.topic}__{table.name}"
        result = RuleResult(
            department=table.lead,
            resource=stored,
            rule_id=f"{table.lead}.{stored}.delivery.{STALE.name}",
            dimension=INDICATORS[STALE.indicator][1],
            indicator=STALE.indicator,
            severity=STALE.severity.value,
            applicable=1,
            failed=int(bool(reason)),
        )
        yield Judgement(STALE, result, None, reason, "各来源按时限交付")
