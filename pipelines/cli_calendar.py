"""`shuyuan calendar …`: the official working days that deadlines and lateness are counted in."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import Json

calendar_app = typer.Typer(no_args_is_help=True, help="Official working days 法定工作日, make-up days included.")


@calendar_app.command("import")
def import_calendar(
    path: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help=".csv (day,kind: holiday or workday) or holiday-cn's .json"),
    ],
    as_json: Json = False,
) -> None:
    """Add published years to the catalogue's holidays.csv; what it says of a day replaces what stood there.

    Commit the file. Provisional deadlines are worked out anew by the next pass.
    """
    from catalog import load_catalog
    from catalog.holidays import FILE, read_holidays, write_holidays
    from pipelines.console import emit_json, err
    from pipelines.settings import Settings
    from quality_checks.working_days import PUBLISHED

    catalog = load_catalog(Settings().catalog)
    told = read_holidays(path, PUBLISHED.years)
    changed = sum(catalog.holidays.get(day) is not works for day, works in told.items())
    target = catalog.root / FILE
    if changed:
        write_holidays(target, {**catalog.holidays, **told})
    years = sorted({day.year for day in told})
    if as_json:
        emit_json({"years": years, "days": len(told), "changed": changed, "file": str(target)})
        return
    err.print(f"{len(told)} days of {', '.join(map(str, years))}, {changed} new or changed in {target}")


@calendar_app.command("show")
def show_calendar(year: Annotated[int, typer.Argument(min=2004, max=2200)], as_json: Json = False) -> None:
    """The days of a year that are not what their weekday says; provisional where it is not published."""
    from catalog import load_catalog
    from pipelines.console import emit_table, err
    from pipelines.settings import Settings
    from quality_checks.working_days import Calendar, is_workday

    calendar = Calendar.with_table(load_catalog(Settings().catalog).holidays)
    days = [date(year, 1, 1) + timedelta(days=step) for step in range(366)]
    unusual = [
        {"day": day.isoformat(), "kind": "workday" if is_workday(day, calendar)[0] else "holiday"}
        for day in days
        if day.year == year and is_workday(day, calendar)[0] is not (day.weekday() < 5)
    ]
    if year not in calendar.years:
        err.print(f"{year} is not published: Monday to Friday stand in, deadlines in it are provisional")
    emit_table(unusual, title=f"{year}", as_json=as_json)
