"""The imported table of official holidays and make-up days: `holidays.csv` at the root of the catalogue.

One row per day that is not what its weekday says, or is named in the announcement: `day` (YYYY-MM-DD), `kind`
(`holiday` or `workday`). `shuyuan calendar import` writes it from such a CSV or from the JSON of the public project
holiday-cn; a steward commits it. What a working day is, is `quality_checks.working_days`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

FILE = "holidays.csv"
KINDS = {"holiday": False, "workday": True}


class HolidayTableError(ValueError):
    """A table of holidays that cannot be taken; the message names file, row, field, value and what is allowed."""


def read_holidays(path: Path, published: Iterable[int] = ()) -> dict[date, bool]:
    """The days of a table (.csv, or .json as holiday-cn writes it), and whether each is a working day.

    `published` are years known without it: of any other a table must name the 1 January, or it holds no whole year.

    Raises:
        HolidayTableError: a row cannot be understood, a day stands twice, a year is not whole, or nothing is in it.
    """
    rows = _json(path) if path.suffix.lower() == ".json" else _csv(path)
    days: dict[date, bool] = {}
    for where, day, works in rows:
        if day in days:
            raise HolidayTableError(f"{path.name} {where}: day = {day}: must stand once")
        days[day] = works
    if not days:
        raise HolidayTableError(f"{path.name}: no days: the announcement of that year is not out yet")
    for day in days:
        if day.year not in published and date(day.year, 1, 1) not in days:
            raise HolidayTableError(f"{path.name}: {day.year}-01-01 is missing: a table holds whole years")
    return days


def write_holidays(path: Path, days: Mapping[date, bool]) -> None:
    """Write the table, by day; the file appears whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    with partial.open("w", encoding="utf-8", newline="") as text:
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(["day", "kind"])
        lines.writerows([day.isoformat(), "workday" if days[day] else "holiday"] for day in sorted(days))
    partial.replace(path)


def _csv(path: Path) -> Iterable[tuple[str, date, bool]]:
    with path.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.DictReader(text)
        if missing := {"day", "kind"} - set(rows.fieldnames or ()):
            raise HolidayTableError(f"{path.name} row 1: must hold the columns {', '.join(sorted(missing))}")
        for number, row in enumerate(rows, start=2):
            where = f"row {number}"
            if row["kind"] not in KINDS:
                raise HolidayTableError(
                    f"{path.name} {where}: kind = {row['kind']!r}: must be one of: holiday, workday"
                )
            yield where, _day(path, where, row["day"]), KINDS[row["kind"]]


def _json(path: Path) -> Iterable[tuple[str, date, bool]]:
    shape = 'must be {"days": [{"date": "YYYY-MM-DD", "isOffDay": true or false}, …]}'
    try:
        told = json.loads(path.read_bytes())
    except ValueError as error:
        raise HolidayTableError(f"{path.name}: no JSON: {error}") from error
    days = told.get("days") if isinstance(told, dict) else None
    if not isinstance(days, list):
        raise HolidayTableError(f"{path.name}: {shape}")
    for number, one in enumerate(days):
        where = f"days[{number}]"
        if not isinstance(one, dict) or not isinstance(one.get("isOffDay"), bool):
            raise HolidayTableError(f"{path.name} {where}: {shape}")
        yield where, _day(path, where, one.get("date")), not one["isOffDay"]


def _day(path: Path, where: str, value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise HolidayTableError(f"{path.name} {where}: day = {value!r}: must be a date, YYYY-MM-DD") from None
