"""Rules about deliveries: late (F01), rows (F02), volume (F03), structure (F04), columns (F06), quarantine, drift.

One judgement per resource, rule and pass; its finding's record is the resource itself. A rule about what is inside a
delivery's records belongs to `quality_checks.rules`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from duckdb import DuckDBPyConnection

from catalog.indicators import INDICATORS
from catalog.models import Cycle, Resource
from catalog.rules import Method, Severity
from catalog.timing import MaxAge
from quality_checks import findings, volume
from quality_checks.results import RuleResult
from quality_checks.shifts import FEW, Shift
from quality_checks.working_days import PUBLISHED, Calendar, add_workdays

# How old a delivery may be before the next one is late (domain.md 2.3, our proposal); a resource may say otherwise.
MAX_AGE: Mapping[Cycle, MaxAge] = {
    Cycle.real_time: MaxAge(minutes=15),
    Cycle.hourly: MaxAge(minutes=90),
    Cycle.daily: MaxAge(working_days=1),
    Cycle.every_day: MaxAge(days=1),
    Cycle.weekly: MaxAge(days=7),
    Cycle.monthly: MaxAge(days=31, working_days=5),
    Cycle.quarterly: MaxAge(days=92, working_days=10),
    Cycle.yearly: MaxAge(days=366, working_days=20),
}
DRIFTED = 0.5  # share of a column's texts that stopped being of its type
FEW_TEXTS = 5  # texts not of their type it takes to speak of a share: of an all but empty column one is most of them


@dataclass(frozen=True)
class Delivery:
    """What `ops.deliveries` knows of one delivery."""

    delivery_id: str
    as_of: date
    mode: str | None
    state: str
    rows_declared: int | None
    rows_delivered: int | None
    reasons: tuple[str, ...]  # codes
    rows_quarantined: int | None = None
    unparsed: Mapping[str, float] = field(default_factory=dict)  # column -> share of its texts that are not of its type
    arrived: datetime | None = None


@dataclass(frozen=True)
class Kind:
    """One rule about deliveries."""

    name: str
    standard: str
    indicator: str
    severity: Severity
    zh: str


TAKEN_BACK = "taken_back"  # by the bureau's hand: nobody's mistake
# What refuses a delivery for another reason than its structure.
NO_STRUCTURE = frozenset({"declared_rows", "delivered_again", "taken_back_before", TAKEN_BACK})
LATE = Kind("late", "F01", "0502", Severity.error, "应在更新周期内交付")
ROWS = Kind("rows", "F02", "0202", Severity.block, "实际行数应与声明行数一致")
VOLUME = Kind("volume", "F03", "0501", Severity.error, "全量交付的行数应在通常范围内")
STRUCTURE = Kind("structure", "F04", "0103", Severity.block, "交付文件的结构应与目录一致")
COLUMNS = Kind("columns", "F06", "0104", Severity.warn, "不应交付目录以外的信息项")
QUARANTINED = Kind("quarantine", "F02", "0202", Severity.warn, "交付的记录应能全部入池")
DRIFT = Kind("drift", "F04", "0102", Severity.error, "信息项的格式应与上次交付一致")
SHIFTED = Kind("shifted", "S01", "0401", Severity.warn, "坐标不应整体偏离其他部门已知的位置")


@dataclass(frozen=True)
class Judgement:
    """One rule's verdict on one resource, with what the finding tells when it failed."""

    kind: Kind
    result: RuleResult
    delivery_id: str | None
    observed: str = ""
    expected: str = ""


def read_deliveries(con: DuckDBPyConnection, as_of: date) -> dict[str, list[Delivery]]:
    """Deliveries up to `as_of` by resource id, oldest first; those that could not be loaded yet are `registered`."""
    rows = con.execute(
        """
        SELECT department || '.' || resource, delivery_id, as_of, mode, state, rows_declared, rows_delivered, reasons,
               rows_quarantined, registered_at
        FROM shuyuan.ops.deliveries WHERE state <> 'superseded' AND as_of <= $1
        ORDER BY as_of, registered_at, delivery_id
        """,
        [as_of],
    ).fetchall()
    shares = _unparsed(con)
    found: dict[str, list[Delivery]] = defaultdict(list)
    for resource, delivery_id, day, mode, state, declared, delivered, reasons, left_out, arrived in rows:
        codes = tuple(reason["code"] for reason in json.loads(reasons))
        unparsed = shares.get(delivery_id, {})
        found[resource].append(
            Delivery(delivery_id, day, mode, state, declared, delivered, codes, left_out, unparsed, arrived)
        )
    return found


def _unparsed(con: DuckDBPyConnection) -> dict[str, dict[str, float]]:
    """By delivery: columns with some texts that were not of their type, and which share of all its texts that is."""
    rows = con.execute(
        """
        SELECT delivery_id, column_name, unparsed / (rows - nulls + unparsed) FROM shuyuan.ops.profiles
        WHERE unparsed >= $1
        """,
        [FEW_TEXTS],
    ).fetchall()
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for delivery_id, column, share in rows:
        found[delivery_id][column] = share
    return found


def judge(
    resource: Resource,
    deliveries: Sequence[Delivery],
    as_of: date,
    now: datetime | None = None,
    calendar: Calendar = PUBLISHED,
    *,
    shift: Shift | None = None,
) -> list[Judgement]:
    """The verdicts on a resource; a rule that does not apply to it yet has 0 applicable.

    `now` is the moment of the pass: on its own day an age in minutes is measured against it. `shift` is how its
    coordinates lie from those of others, where it states any.
    """
    judged = [one for one in deliveries if one.state != "registered"]
    return [
        _late(resource, deliveries, as_of, now, calendar),
        _rows(resource, judged),
        _volume(resource, judged),
        _structure(resource, judged),
        _columns(resource, judged),
        _quarantine(resource, judged),
        _drift(resource, judged),
        *([_shifted(resource, judged, shift)] if shift else []),
    ]


def max_age(resource: Resource) -> MaxAge:
    """How old its last delivery may be."""
    return resource.max_age or MAX_AGE[resource.cycle]


def due_after(resource: Resource, last: date, calendar: Calendar = PUBLISHED) -> date:
    """The last day on which a delivery of `last` is still fresh; where its age is one in minutes, that day itself."""
    age = max_age(resource)
    return add_workdays(last + timedelta(days=age.days), age.working_days, calendar)[0]


def minutes_late(resource: Resource, last: Delivery | None, as_of: date, now: datetime | None) -> int | None:
    """Minutes over the age that its last delivery may have, at most 0 while it is fresh.

    None where days decide: its age is one in days, or the pass is made later for a day gone by, of which a delivery of
    that day is asked for and no more.
    """
    age = max_age(resource)
    if not age.minutes or now is None or now.date() != as_of or last is None or last.arrived is None:
        return None
    if as_of - last.as_of > timedelta(days=1):  # old data that arrived just now
        return None
    return int((now - last.arrived).total_seconds()) // 60 - age.minutes


def _late(
    resource: Resource, deliveries: Sequence[Delivery], as_of: date, now: datetime | None, calendar: Calendar
) -> Judgement:
    last = next((one for one in reversed(deliveries) if one.state != "rejected"), None)  # here, if not loaded yet
    due = due_after(resource, last.as_of if last else resource.published, calendar)
    over = minutes_late(resource, last, as_of, now)
    late = as_of > due if over is None else over > 0
    allowed = max_age(resource).minutes
    return _judgement(
        resource,
        LATE,
        last,
        applies=last is not None or late,
        failed=late,
        observed=f"最近一次交付 {last.as_of}" if last else "从未交付",
        expected=f"每 {allowed} 分钟内交付一次" if allowed else f"应于 {due} 前交付",
    )


def _rows(resource: Resource, deliveries: Sequence[Delivery]) -> Judgement:
    last = deliveries[-1] if deliveries else None
    declared = last.rows_declared if last else None
    delivered = last.rows_delivered if last else None
    counted = last is not None and (last.state == "pooled" or "declared_rows" in last.reasons)
    applies = counted and declared is not None and delivered is not None
    return _judgement(
        resource,
        ROWS,
        last,
        applies=applies,
        failed=applies and declared != delivered,
        observed=f"实际 {delivered} 行",
        expected=f"声明 {declared} 行",
    )


def _volume(resource: Resource, deliveries: Sequence[Delivery]) -> Judgement:
    full = [one for one in deliveries if one.state == "pooled" and one.mode == "full"]
    last = full[-1] if full else None
    band = volume.band_of_last(resource, [(one.as_of, one.rows_delivered or 0) for one in full])
    return _judgement(
        resource,
        VOLUME,
        last,
        applies=band.known > 0 or band.odd,
        failed=band.odd,
        observed=f"{last.rows_delivered or 0} 行" if last else "",
        expected=f"通常约 {band.expected:.0f} 行（{band.low:.0f} 至 {band.high:.0f} 行）"
        if band.known
        else "至少 1 行",
    )


def _structure(resource: Resource, deliveries: Sequence[Delivery]) -> Judgement:
    last = next((one for one in reversed(deliveries) if TAKEN_BACK not in one.reasons), None)
    codes = sorted(set(last.reasons) - NO_STRUCTURE) if last else []
    return _judgement(
        resource,
        STRUCTURE,
        last,
        applies=last is not None,
        failed=last is not None and last.state == "rejected" and bool(codes),
        observed=f"交付被退回：{'、'.join(codes)}",
        expected="按目录重新交付",
    )


def _columns(resource: Resource, deliveries: Sequence[Delivery]) -> Judgement:
    last = next((one for one in reversed(deliveries) if one.state == "pooled"), None)
    return _judgement(
        resource,
        COLUMNS,
        last,
        applies=last is not None,
        failed=last is not None and "extra_column" in last.reasons,
        observed="含目录以外的信息项",
        expected="删除该信息项，或申请调整目录",
    )


def _quarantine(resource: Resource, deliveries: Sequence[Delivery]) -> Judgement:
    last = next((one for one in reversed(deliveries) if one.state == "pooled"), None)
    left_out = (last and last.rows_quarantined) or 0
    return _judgement(
        resource,
        QUARANTINED,
        last,
        applies=last is not None,
        failed=left_out > 0,
        observed=f"{left_out} 行未能入池",
        expected="更正后重新交付这些记录",
    )


def _drift(resource: Resource, deliveries: Sequence[Delivery]) -> Judgement:
    """A column most of whose texts are not of its type any more, though in the delivery before they were."""
    pooled = [one for one in deliveries if one.state == "pooled"]
    before, last = pooled[-2] if len(pooled) > 1 else None, pooled[-1] if pooled else None
    drifted = [
        name
        for name, share in sorted(last.unparsed.items() if last and before else ())
        if share >= DRIFTED and before and before.unparsed.get(name, 0.0) < DRIFTED
    ]
    titles = "、".join(resource.columns[name].title if name in resource.columns else name for name in drifted)
    return _judgement(
        resource,
        DRIFT,
        last,
        applies=before is not None,
        failed=bool(drifted),
        observed=f"多数值不再是规定的类型：{titles}",
        expected="按上次交付的格式",
    )


def _shifted(resource: Resource, deliveries: Sequence[Delivery], shift: Shift) -> Judgement:
    """What kind of mistake it is nobody knows from here, so the numbers are told and no coordinate is suggested."""
    last = next((one for one in reversed(deliveries) if one.state == "pooled"), None)
    return _judgement(
        resource,
        SHIFTED,
        last,
        applies=shift.places >= FEW,
        failed=last is not None and shift.systematic,
        observed=(
            f"与{shift.against}的 {shift.places} 处相比，坐标整体偏移 {shift.length:.0f} 米"
            f"（东 {shift.east:.0f} 米、北 {shift.north:.0f} 米，半数偏差在 {shift.scatter:.0f} 米以内）"
        ),
        expected="核对坐标系，以 2000 国家大地坐标系重新交付：疑为 GCJ-02、BD-09 或旧坐标系的坐标",
    )


def _judgement(
    resource: Resource,
    kind: Kind,
    delivery: Delivery | None,
    *,
    applies: bool,
    failed: bool,
    observed: str,
    expected: str,
) -> Judgement:
    result = RuleResult(
        department=resource.department,
        resource=resource.name,
        rule_id=f"{resource.id}.delivery.{kind.name}",
        dimension=INDICATORS[kind.indicator][1],
        indicator=kind.indicator,
        severity=kind.severity.value,
        applicable=int(applies),
        failed=int(failed),
    )
    return Judgement(kind, result, delivery.delivery_id if delivery else None, observed, expected)


def write_violations(con: DuckDBPyConnection, judged: Sequence[Judgement]) -> None:
    """The failed judgements as the temporary table that `findings.merge` reads."""
    findings.start(con)
    rows = [
        {
            "rule_id": one.result.rule_id,
            "standard": one.kind.standard,
            "dimension": one.result.dimension,
            "indicator": one.result.indicator,
            "severity": one.result.severity,
            "department": one.result.department,
            "resource": one.result.resource,
            "record_key": one.result.resource,
            "column": "",
            "observed_value": one.observed,
            "suggested_value": one.expected,
            "suggestion_method": Method.other,
            "suggestion_confidence": None,
            "reason": one.kind.zh,
            "delivery_id": one.delivery_id,
        }
        for one in judged
        if one.result.failed
    ]
    fields = ", ".join(f"unnest(${n}::VARCHAR[])" for n, _ in enumerate(findings.FIELDS, 1))
    values = [[row[field] for row in rows] for field in findings.FIELDS]
    con.execute(f"INSERT INTO {findings.VIOLATIONS} SELECT {fields}", values)
