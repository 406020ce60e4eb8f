"""The clock of a correction order: its last day for the reply, pauses, and when somebody is reminded or told.

Working days in China's time zone. The day of the notice is not counted, nor is the day on which a question was asked
still taken from the department: a pause takes the days after the question up to and including the day of the answer
out of the count. A question asked when the time had run out gives nothing back. Pure: dates and settings in, dates or
SQL out; what an order is told, and that each thing happens once, is written by `assets.order_clock`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from duckdb import DuckDBPyConnection

from catalog.jurisdiction import LADDER, Clock
from quality_checks.working_days import Calendar, add_workdays, calendar_sql, workdays_between


@dataclass(frozen=True)
class Pause:
    """A time in which the department waits for the bureau; `answered_on` is None while it still does."""

    asked_on: date
    answered_on: date | None = None


@dataclass(frozen=True)
class Deadline:
    """The last day for the reply. While the clock does not run it is the day it would be without the pause.

    `paused_days` are the working days that pauses took out of the count so far.
    """

    due_on: date
    provisional: bool
    paused_days: int
    running: bool


def deadline(started_on: date, days: int, pauses: Iterable[Pause], calendar: Calendar) -> Deadline:
    """The deadline of an order notified on `started_on` that allows `days` working days, its extension included.

    `pauses` come one after the other.
    """
    paused = 0
    for pause in pauses:
        due_on, provisional = add_workdays(started_on, days + paused, calendar)
        if pause.asked_on >= due_on:
            break
        if pause.answered_on is None:
            return Deadline(due_on, provisional, paused, running=False)
        paused += workdays_between(pause.asked_on, pause.answered_on, calendar)
    due_on, provisional = add_workdays(started_on, days + paused, calendar)
    return Deadline(due_on, provisional, paused, running=True)


def days_sql(settings: Clock) -> str:
    """The working days allowed, as SQL over `department`, `resource` and `severity` of an order."""
    cases = [f"WHEN department || '.' || resource = '{name}' THEN {days}" for name, days in settings.resources.items()]
    cases += [f"WHEN severity = '{severity}' THEN {days}" for severity, days in settings.severities.items()]
    return f"CASE {' '.join(cases)} ELSE {settings.working_days} END" if cases else f"{settings.working_days}"


def horizon(con: DuckDBPyConnection, orders: str, as_of: date) -> date:
    """A day no deadline of `orders` is later than: working days are never less than one in three for long."""
    row = con.execute(f"SELECT coalesce(max(working_days), 0), max(started_on) FROM {orders}").fetchone()
    days, latest = row or (0, None)
    return max(as_of, latest or as_of) + timedelta(days=3 * days + 30)


def due_sql(orders: str, first: date, last: date, calendar: Calendar) -> str:
    """A DuckDB query for many deadlines at once: `order_id, due_on, due_provisional`, one row per row of `orders`.

    `orders` has `order_id, started_on, working_days` (allowed days, extension and pauses together). The calendar is
    laid out from `first`, the earliest start, to `last`: no deadline may be later.
    """
    return f"""
        WITH days AS (
            SELECT *, sum(provisional::INTEGER) OVER (ORDER BY day) AS unsure
            FROM ({calendar_sql(first, last, calendar)})
        )
        SELECT o.order_id, d.day AS due_on, d.unsure > s.unsure AS due_provisional
        FROM {orders} o
        JOIN days s ON s.day = o.started_on
        JOIN days d ON d.is_workday AND d.workday_number = s.workday_number + o.working_days"""


def tick_sql(orders: str, settings: Clock, as_of: date, *, first: date, last: date, calendar: Calendar) -> str:
    """A DuckDB query for what the clock does on `as_of`: `order_id, event, level, days`, one row per thing.

    `orders` holds running orders alone: `order_id, due_on, level` (reached so far, 0: none) and `reminded_on` (the
    last reminder of this very deadline, or NULL). `event` is `reminded`, with the working days left, or `escalated` to
    a level, with the working days over; a level that was passed over while nobody looked comes too. All days lie
    between `first` and `last`.
    """
    rungs = ", ".join(f"({LADDER.index(rung.level) + 1}, {rung.after})" for rung in settings.escalate)
    reminders = ", ".join(f"({days})" for days in settings.remind)
    none = "(SELECT 0 AS level, 0 AS after WHERE false)"
    return f"""
        WITH days AS MATERIALIZED ({calendar_sql(first, last, calendar)}),
        told AS (
            SELECT o.*, d.workday_number - t.workday_number AS remaining,
                   d.workday_number - r.workday_number AS remaining_then
            FROM {orders} o
            JOIN days d ON d.day = o.due_on
            JOIN days t ON t.day = DATE '{as_of}'
            LEFT JOIN days r ON r.day = o.reminded_on
        )
        SELECT order_id, 'reminded' AS event, level, remaining AS days
        FROM told
        WHERE due_on >= DATE '{as_of}' AND EXISTS (
            SELECT 1 FROM {f"(VALUES {reminders}) r(days)" if reminders else "(SELECT 0 AS days WHERE false) r"}
            WHERE remaining <= r.days AND (remaining_then IS NULL OR remaining_then > r.days)
        )
        UNION ALL
        SELECT o.order_id, 'escalated', r.level, -o.remaining
        FROM told o JOIN {f"(VALUES {rungs}) r(level, after)" if rungs else f"{none} r"}
          ON r.level > o.level AND r.after <= -o.remaining
        WHERE o.due_on < DATE '{as_of}'"""
