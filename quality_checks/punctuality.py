"""Rules about deliveries: late (F01), rows (F02), volume (F03), structure (F04), columns (F06), quarantine, drift.

One judgement per resource, rule and pass; its finding's record is the resource itself. A rule about what is inside a
delivery's records belongs to `quality_checks.rules`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import median

from duckdb import DuckDBPyConnection

from catalog.models import INDICATORS, Cycle, Method, Resource, Severity
from quality_checks import findings
from quality_checks.results import RuleResult
from quality_checks.working_days import add_workdays

# Days, then working days, that a delivery may be old before the next one is late (domain.md 2.3, our proposal).
MAX_AGE: Mapping[Cycle, tuple[int, int]] = {
    Cycle.daily: (0, 1),
    Cycle.every_day: (1, 0),
    Cycle.weekly: (7, 0),
    Cycle.monthly: (31, 5),
    Cycle.quarterly: (92, 10),
    Cycle.yearly: (366, 20),
}
BAND = 0.5  # share of the usual volume by which a full delivery may differ
FEW = 20  # rows by which any delivery may differ
HISTORY = 12  # deliveries the usual volume is the median of
DRIFTED = 0.5  # share of a column's texts that stopped being of its type
ENOUGH = 3  # deliveries it takes to call growth unusual; a loss is unusual after one


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


@dataclass(frozen=True)
class Kind:
    """One rule about deliveries."""

    name: str
    standard: str
    indicator: str
    severity: Severity
    zh: str


LATE = Kind("late", "F01", "0502", Severity.error, "应在更新周期内交付")
ROWS = Kind("rows", "F02", "0202", Severity.block, "实际行数应与声明行数一致")
VOLUME = Kind("volume", "F03", "0501", Severity.error, "全量交付的行数应在通常范围内")
STRUCTURE = Kind("structure", "F04", "0103", Severity.block, "交付文件的结构应与目录一致")
COLUMNS = Kind("columns", "F06", "0104", Severity.warn, "不应交付目录以外的信息项")
QUARANTINED = Kind("quarantine", "F02", "0202", Severity.warn, "交付的记录应能全部入池")
DRIFT = Kind("drift", "F04", "0102", Severity.error, "信息项的格式应与上次交付一致")


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
               rows_quarantined
        FROM shuyuan.ops.deliveries WHERE state <> 'superseded' AND as_of <= $1
        ORDER BY as_of, registered_at, delivery_id
        """,
        [as_of],
    ).fetchall()
    shares = _unparsed(con)
    found: dict[str, list[Delivery]] = defaultdict(list)
    for resource, delivery_id, day, mode, state, declared, delivered, reasons, left_out in rows:
        codes = tuple(reason["code"] for reason in json.loads(reasons))
        unparsed = shares.get(delivery_id, {})
        found[resource].append(Delivery(delivery_id, day, mode, state, declared, delivered, codes, left_out, unparsed))
    return found


def _unparsed(con: DuckDBPyConnection) -> dict[str, dict[str, float]]:
    """By delivery: columns with texts that were not of their type, and which share of all its texts that is."""
    rows = con.execute(
        """
        SELECT delivery_id, column_name, unparsed / (rows - nulls + unparsed) FROM shuyuan.ops.profiles
        WHERE unparsed > 0
        """
    ).fetchall()
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for delivery_id, column, share in rows:
        found[delivery_id][column] = share
    return found


def judge(resource: Resource, deliveries: Sequence[Delivery], as_of: date) -> list[Judgement]:
    """The verdicts on a resource; a rule that does not apply to it yet has 0 applicable."""
    judged = [one for one in deliveries if one.state != "registered"]
    return [
        _late(resource, deliveries, as_of),
        _rows(resource, judged),
        _volume(resource, judged),
        _structure(resource, judged),
        _columns(resource, judged),
        _quarantine(resource, judged),
        _drift(resource, judged),
    ]


def due_after(cycle: Cycle, last: date) -> date:
    """The last day on which a delivery of `last` is still fresh."""
    days, working_days = MAX_AGE[cycle]
    return add_workdays(last + timedelta(days=days), working_days)[0]


def usual_volume(volumes: Sequence[int]) -> tuple[float | None, bool]:
    """Median of the deliveries before the last one, and whether the last is unusual against it.

    `volumes` are rows of full deliveries, oldest first. A delivery that was unusual in its time never counts as usual
    later, so one bad run cannot poison the band. No delivery before: None. Nothing at all is always unusual.
    """
    usual: list[int] = []
    expected: float | None = None
    odd = False
    for rows in volumes:
        expected = median(usual[-HISTORY:]) if usual else None
        odd = rows == 0 or (expected is not None and _outside(rows, expected, len(usual)))
        if not odd:
            usual.append(rows)
    return expected, odd


def _outside(rows: int, expected: float, known: int) -> bool:
    if rows > expected and known < ENOUGH:
        return False
    return abs(rows - expected) > max(BAND * expected, FEW)


def _late(resource: Resource, deliveries: Sequence[Delivery], as_of: date) -> Judgement:
    last = next((one for one in reversed(deliveries) if one.state != "rejected"), None)  # here, if not loaded yet
    due = due_after(resource.cycle, last.as_of if last else resource.published)
    late = as_of > due
    return _judgement(
        resource,
        LATE,
        last,
        applies=last is not None or late,
        failed=late,
        observed=f"最近一次交付 {last.as_of}" if last else "从未交付",
        expected=f"应于 {due} 前交付",
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
    expected, odd = usual_volume([one.rows_delivered or 0 for one in full])
    return _judgement(
        resource,
        VOLUME,
        full[-1] if full else None,
        applies=expected is not None or odd,
        failed=odd,
        observed=f"{full[-1].rows_delivered or 0} 行" if full else "",
        expected=f"通常约 {expected:.0f} 行" if expected is not None else "至少 1 行",
    )


def _structure(resource: Resource, deliveries: Sequence[Delivery]) -> Judgement:
    last = deliveries[-1] if deliveries else None
    codes = sorted(set(last.reasons) - {"declared_rows", "delivered_again"}) if last else []
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
