"""`shuyuan scores …`: scores and grades, and the rows from which anybody can count them again."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import Json, one_of

scores_app = typer.Typer(
    no_args_is_help=True, help="Scores 评分: what is right of what was counted, weighted and graded."
)

Month = Annotated[
    str | None, typer.Option("--month", metavar="YYYY-MM", help="a calendar month; default how all stands now")
]


def _month_of(value: str | None) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(f"{value}-01")
    except ValueError:
        raise typer.BadParameter(f"--month = {value!r} is not a month; write it as YYYY-MM") from None


@scores_app.command("show")
def show(
    department: Annotated[str | None, typer.Option("--department", help="its dimensions, indicators and rules")] = None,
    month: Month = None,
    as_json: Json = False,
) -> None:
    """Score, grade and counts of the city, its departments and libraries, or everything of one department.

    Numerator and denominator are the standard's A and B; own ones leave out what a department received.
    """
    from assets.report_scores import points
    from assets.score_export import find_period, precision_of, scores_of
    from catalog import load_catalog
    from pipelines.console import emit_json, emit_table
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    catalog = load_catalog(settings.catalog)
    one_of("--department", department, catalog.departments)
    first = _month_of(month)
    with open_city(settings, catalog, read_only=True) as city:
        period = find_period(city.con, first)
        scores = scores_of(city.con, period, department)
        disputed = precision_of(city.con, period, department) if department else []
    if as_json:
        emit_json({"as_of": period.as_of, "period": period.kind, "scores": scores, "rule_precision": disputed})
        return
    left_out = ("scheme", "name", "scope") if department else ("scheme", "dimension", "indicator", "direction")
    shown = [
        {name: value for name, value in {**row, "score": points(row["score"])}.items() if name not in left_out}
        for row in scores
    ]
    scheme = next((row["scheme"] for row in scores), "")
    emit_table(shown, title=f"scores of 100 by {scheme}, {period.kind} to {period.as_of}")
    if department:
        told = [
            {**row, "precision": points(row["precision"]) if row["precision"] is not None else "unknown"}
            for row in disputed
        ]
        emit_table(told, title="rules objected to; of the others precision is unknown")


@scores_app.command("revisions")
def revisions(
    department: Annotated[str | None, typer.Option("--department", help="only this department")] = None,
    as_json: Json = False,
) -> None:
    """Published scores that an upheld objection corrected afterwards: as they were, and as they are shown since."""
    from assets.score_export import revisions_of
    from catalog import load_catalog
    from pipelines.console import emit_table
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    catalog = load_catalog(settings.catalog)
    one_of("--department", department, catalog.departments)
    with open_city(settings, catalog, read_only=True) as city:
        rows = revisions_of(city.con, department)
    emit_table(rows, title="scores corrected after they were published", as_json=as_json)


@scores_app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="gets three CSV files")], month: Month = None
) -> None:
    """Write the counted rows, the scores and the rules' precision; docs/scores.md gets the scores from the rows."""
    from assets.score_export import export_scores, find_period
    from catalog import load_catalog
    from pipelines.console import err
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    first = _month_of(month)
    with open_city(settings, load_catalog(settings.catalog), read_only=True) as city:
        written = export_scores(city.con, folder, find_period(city.con, first))
    err.print(", ".join(f"{rows:,} rows in {folder / file}" for file, rows in written.items()), soft_wrap=True)
