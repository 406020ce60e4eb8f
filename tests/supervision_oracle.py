"""The figures of supervision by plain Python: cases from the ledger's rows, figures from the exported rows.

Written from what each figure says it counts, not from the SQL; slow and obvious.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from quality_checks.working_days import workdays_between

CORRECTED = ("verified_as_suggested", "verified_otherwise")
ANSWERS = ("acknowledged", "will_correct", "corrected", "needs_information", "wrong_source", "objection_raised")
Row = dict[str, Any]


def rows_of(path: Path) -> list[Row]:
    """A CSV with days as days, whole numbers as numbers, an empty cell as None."""
    with path.open(encoding="utf-8-sig", newline="") as text:
        return [{name: _value(name, cell) for name, cell in row.items()} for row in csv.DictReader(text)]


def _value(name: str, cell: str) -> Any:
    if cell == "":
        return None
    if name.endswith(("_on", "_by")):
        return date.fromisoformat(cell)
    if cell in ("true", "false"):
        return cell == "true"
    return int(cell) if name in ("age", "correction_days", "days_over", "cases", "open", "overdue_unanswered") else cell


def cases(rows: dict[str, list[Row]], first: date, last: date) -> dict[tuple[str, str], Row]:
    """What happened to each item in each order by the end of `last`, by order number and item."""
    events, clock = rows["events"], rows["order_events"]
    number = {order["order_id"]: order for order in rows["orders"]}
    came = {item["item_id"] for item in rows["items"] if item["transferred_from"]}
    told: dict[str, list[Row]] = defaultdict(list)
    for event in sorted(clock, key=lambda one: one["number"]):
        if event["as_of"] <= last:
            told[event["order_id"]].append(event)
    lives: dict[str, list[Row]] = defaultdict(list)
    for event in sorted(events, key=lambda one: one["number"]):
        if event["as_of"] <= last:
            lives[event["item_id"]].append(event)
    found = {}
    for item, life in lives.items():
        parts: dict[str, list[Row]] = defaultdict(list)
        for event in life:
            parts[event["order_id"]].append(event)
        run = list(parts.items())
        for place, (order, part) in enumerate(run):
            closing = next((event for event in part if event["closed"]), None)
            after = run[place + 1][1] if place + 1 < len(run) else None
            last_told = told[order][-1]
            notified = next((e["as_of"] for e in told[order] if e["event"] == "notified"), None)
            ended_as = closing["state"] if closing else None
            again = after[0]["as_of"] if after and ended_as in CORRECTED else None
            spoken = [e["as_of"] for e in part if e["event"] in ANSWERS]
            if ended_as in CORRECTED and not again:
                spoken.append(closing["as_of"])
            answered = min(spoken, default=None)
            paused = [e["as_of"] for e in told[order] if e["event"] == "paused"]
            stands = last_told["state"] == "paused" and max(paused) < last_told["due_on"]
            due, state = last_told["due_on"], part[-1]["state"]
            if notified is None:
                said = "not_issued"
            elif answered:
                said = "in_time" if answered <= due else "late"
            elif (closing and not (again and again > due)) or last_told["state"] == "withdrawn":
                said = "nothing_owed"
            elif stands:
                said = "clock_stands"
            else:
                said = "none" if due <= last else "not_yet_due"
            overdue = None
            if not closing and state in ("objection_raised", "wrong_source", "insufficient_information"):
                overdue = "bureau"
            elif not closing and last_told["state"] == "notified" and due <= last:
                overdue = "uncorrected" if answered else "unanswered"
            before = next((e["state"] for e in run[place - 1][1] if e["closed"]), None) if place else None
            objected = [e["as_of"] for e in part if e["event"] == "objection_raised"]
            refused = [
                e["as_of"] for e in part
                if e["event"] == "rejected" and life[life.index(e) - 1]["state"] == "objection_raised"
            ]  # fmt: skip
            found[number[order]["order_number"], item] = {
                "began_on": part[0]["as_of"], "notified_on": notified, "due_on": due, "answered_on": answered,
                "reply": said, "ended_on": closing["as_of"] if closing else None, "ended_as": ended_as,
                "failed_again_on": again, "state": state, "overdue": overdue,
                "relapse": before in CORRECTED, "objected_on": max(objected, default=None),
                "rejected_on": max((day for day in refused if day >= first), default=None),
                "transferred": before == "transferred" or (not place and item in came),
                "age": None if closing else workdays_between(life[0]["as_of"], last),
                "correction_days": workdays_between(notified, closing["as_of"])
                if ended_as in CORRECTED and notified else None,
            }  # fmt: skip
    return found


def figures(of: Sequence[Row], orders: Sequence[Row], first: date, last: date) -> dict[str, tuple[Any, int | None]]:
    """Every figure of these rows: the count and, of a share, its denominator."""

    def inside(day: date | None) -> bool:
        return day is not None and first <= day <= last

    def count(which: Callable[[Row], Any]) -> int:
        return sum(1 for case in of if which(case))

    def orders_where(which: Callable[[Row], Any]) -> int:
        return sum(1 for order in orders if which(order))

    done = [c for c in of if inside(c["ended_on"]) and c["ended_as"] in CORRECTED]
    lasting = [c for c in done if not c["failed_again_on"]]
    watched = [c for c in of if c["ended_as"] in CORRECTED and c["ended_on"] >= first - timedelta(days=90)]
    due = [c for c in of if inside(c["due_on"]) and c["reply"] in ("in_time", "late", "none")]
    days = [c["correction_days"] for c in lasting if c["correction_days"] is not None]
    still = [c for c in of if not c["ended_on"]]
    ages = [sum(low <= c["age"] <= high for c in still) for low, high in ((0, 10), (11, 20), (21, 60), (61, 10**6))]

    def ended(*states: str) -> int:
        return count(lambda c: inside(c["ended_on"]) and c["ended_as"] in states)

    return {
        "orders_issued": (orders_where(lambda o: inside(o["notified_on"])), None),
        "items_issued": (count(lambda c: inside(c["notified_on"])), None),
        "due": (len(due), None),
        "answered_in_time": (sum(c["reply"] == "in_time" for c in due), len(due)),
        "answered_late": (sum(c["reply"] == "late" for c in due), len(due)),
        "unanswered": (sum(c["reply"] == "none" for c in due), len(due)),
        "corrected_as_suggested": (sum(c["ended_as"] == CORRECTED[0] for c in lasting), None),
        "corrected_otherwise": (sum(c["ended_as"] == CORRECTED[1] for c in lasting), None),
        "median_days": (median(days) if days else None, None),
        "corrections_watched": (len(watched), None),
        "failed_again": (sum(bool(c["failed_again_on"]) for c in watched), len(watched)),
        "relapses": (count(lambda c: c["relapse"] and inside(c["began_on"])), None),
        "undone": (len(done) - len(lasting), None),
        "objections": (count(lambda c: inside(c["objected_on"])), None),
        "objections_upheld": (ended("upheld"), None),
        "objections_rejected": (count(lambda c: inside(c["rejected_on"])), None),
        "settled_otherwise": (ended("rule_withdrawn", "resolved_elsewhere"), None),
        "transferred_out": (ended("transferred"), None),
        "transferred_in": (count(lambda c: c["transferred"] and inside(c["began_on"])), None),
        "orders_paused": (orders_where(lambda o: inside(o["paused_on"])), None),
        "orders_extended": (orders_where(lambda o: inside(o["extended_on"])), None),
        "orders_withdrawn": (orders_where(lambda o: inside(o["withdrawn_on"])), None),
        **{f"escalated_{n}": (orders_where(lambda o, n=n: inside(o[f"level_{n}_on"])), None) for n in (1, 2, 3, 4)},
        "orders_overdue": (len({c["order_number"] for c in of if c["overdue"] in ("unanswered", "uncorrected")}), None),
        "overdue_unanswered": (count(lambda c: c["overdue"] == "unanswered"), None),
        "overdue_uncorrected": (count(lambda c: c["overdue"] == "uncorrected"), None),
        "waiting_for_bureau": (count(lambda c: c["overdue"] == "bureau"), None),
        "open_at_start": (count(lambda c: c["began_on"] < first and (c["ended_on"] or last) >= first), None),
        "opened": (count(lambda c: inside(c["began_on"])), None),
        "open_at_end": (len(still), None),
        "not_issued": (sum(c["notified_on"] is None for c in still), None),
        **{f"age_{n}": (found, None) for n, found in enumerate(ages, 1)},
    }  # fmt: skip


def every_scope(
    of: Sequence[Row], orders: Sequence[Row], departments: Sequence[str], first: date, last: date
) -> dict[tuple[str, str, str, str], dict[str, tuple[Any, int | None]]]:
    """The figures of the city, each department, resource and dimension, as `figures.csv` of the city names them."""
    keys = {("city", "", "", ""), *(("department", name, "", "") for name in departments)}
    for row in (*of, *orders):
        keys |= {("resource", row["department"], row["resource"], ""), ("dimension", "", "", row["dimension"])}
        keys.add(("department", row["department"], "", ""))

    def belongs(row: Row, key: tuple[str, str, str, str]) -> bool:
        _, department, resource, dimension = key
        mine = (department or row["department"], resource or row["resource"], dimension or row["dimension"])
        return mine == (row["department"], row["resource"], row["dimension"])

    return {
        key: figures([r for r in of if belongs(r, key)], [o for o in orders if belongs(o, key)], first, last)
        for key in keys
    }
