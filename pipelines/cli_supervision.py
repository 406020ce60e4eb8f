"""`shuyuan supervision …`: frozen figures of months and years, what changed between versions, and their proof."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli_options import Json, one_of

if TYPE_CHECKING:
    from assets.supervision_pages import Line, Report
    from resources.city import City

supervision_app = typer.Typer(
    no_args_is_help=True, help="Monitoring reports 监测报告: frozen figures of months and years, and who is to rectify."
)

Department = Annotated[str | None, typer.Option("--department", help="its own report instead of the city's")]


@contextmanager
def _city() -> Iterator[City]:
    from catalog import load_catalog
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    with open_city(settings, load_catalog(settings.catalog)) as city:
        yield city


@supervision_app.command("month")
def month(
    name: Annotated[str, typer.Argument(metavar="YYYY-MM", help="a month that is over")],
    department: Department = None,
    version: Annotated[
        int | None, typer.Option("--version", help="an older version; default the one that stands")
    ] = None,
    as_json: Json = False,
) -> None:
    """The figures of a month, frozen if they are not yet, and where its report lies."""
    if "-" not in name:
        raise typer.BadParameter(f"{name!r} is no month; write it as YYYY-MM", param_hint="YYYY-MM")
    _tell(name, department, version, as_json)


@supervision_app.command("year")
def year(
    name: Annotated[str, typer.Argument(metavar="YYYY", help="a year that is over")],
    department: Department = None,
    version: Annotated[
        int | None, typer.Option("--version", help="an older version; default the one that stands")
    ] = None,
    as_json: Json = False,
) -> None:
    """The figures of a year, month by month too, and where its report lies."""
    if "-" in name:
        raise typer.BadParameter(f"{name!r} is no year; write it as YYYY", param_hint="YYYY")
    _tell(name, department, version, as_json)


@supervision_app.command("list")
def list_versions(as_json: Json = False) -> None:
    """Every version of every period: when and by whom it was frozen, what changed since the one before, and why."""
    from assets import supervision
    from pipelines.console import emit_json, emit_table

    with _city() as city:
        found = [
            (one, supervision.causes(city, one), supervision.changes(city, one)) for one in supervision.versions(city)
        ]
    if as_json:
        emit_json(
            [
                {**asdict(one), "causes": [asdict(cause) for cause in why], "changes": [asdict(c) for c in changed]}
                for one, why, changed in found
            ]
        )
        return
    rows = [
        {
            "period": one.period,
            "version": one.version,
            "frozen": f"{one.recorded_at:%Y-%m-%d %H:%M}",
            "by": one.author,
            "because of": ", ".join(f"{c.department} {c.kind} {c.as_of}" for c in why),
            "changed": ", ".join(
                f"{c.figure} {c.told(now=False)} → {c.told(now=True)}" for c in changed if not c.department
            ),
        }
        for one, why, changed in found
    ]
    emit_table(rows, title="versions")


@supervision_app.command("verify")
def verify(as_json: Json = False) -> None:
    """Hold every frozen figure against the ledger and its chain; exit 1 when one is not borne out."""
    from assets import supervision
    from pipelines.console import emit_json, err

    with _city() as city:
        checked = len(supervision.versions(city))
        broken, wrong = supervision.verify(city)
    if as_json:
        emit_json(
            {"versions": checked, "broken": [asdict(one) for one in broken], "wrong": [asdict(one) for one in wrong]}
        )
    else:
        for link in broken:
            err.print(f"{link.department} batch {link.batch}: {link.reason}")
        for one in wrong:
            err.print(f"{one.period} version {one.version}: {one.reason}")
        err.print(f"{checked} versions held against the ledger, {len(broken) + len(wrong)} problems")
    if broken or wrong:
        raise typer.Exit(1)


def _tell(name: str, department: str | None, version: int | None, as_json: bool) -> None:
    from assets import passes, supervision, supervision_files
    from assets.supervision_pages import Frozen
    from pipelines.console import emit_json, emit_table, err
    from quality_checks.supervision import Period

    period = Period.named(name)
    with _city() as city:
        one_of("--department", department, city.catalog.departments)
        last = passes.last_finished(city)
        if last:
            supervision.freeze(city, last, author=f"cli:{getpass.getuser()}")
        standing = supervision.standing(city, period, last)
        found = {one.version: one for one in supervision.versions(city, name)}
        if version is not None and version not in found:
            raise typer.BadParameter(f"--version = {version}; must be one of: {', '.join(map(str, found))}")
        supervision_files.write_missing(city)
        chosen = found[version] if version else standing
        report = Frozen(city, chosen).report(department)
        folder = supervision_files.folder_of(city, chosen, department)
    if as_json:
        emit_json(_json(report, str(folder)))
        return
    title = f"{name} version {chosen.version}, frozen {chosen.recorded_at:%Y-%m-%d %H:%M}"
    emit_table([_row(line) for line in _lines(report)], title=title)
    if report.listed:
        rows = [
            {
                "department": group.worst.department,
                "why": group.worst.criterion.en,
                "orders": group.orders,
                "at worst": group.worst.measured,
                "limit": group.worst.threshold,
                "rectify by": group.worst.rectify_by,
            }
            for group in report.listed_groups
        ]
        emit_table(rows, title="to be rectified 限期整改")
    err.print(f"report: {folder / 'report.html'}", soft_wrap=True)


SHOWN = {
    "orders_issued": "orders", "items_issued": "items", "due": "due", "answered_in_time": "in time",
    "answered_late": "late", "unanswered": "unanswered", "corrected_as_suggested": "as suggested",
    "corrected_otherwise": "otherwise", "failed_again": "failed again", "orders_overdue": "overdue",
    "open_at_end": "open",
}  # fmt: skip


def _lines(report: Report) -> list[Line]:
    return list(report.departments) if report.department else [report.total, *report.departments]


def _row(line: Line) -> dict[str, Any]:
    if line.idle:
        return {"department": line.key[0] or "city"} | dict.fromkeys(SHOWN.values(), "") | {"orders": "no orders"}
    shown = {}
    for name, title in SHOWN.items():
        cell = line.cells[name]
        few = " (few)" if cell.small else ""
        shown[title] = f"{cell.count} {cell.share}{few}".rstrip() if cell.whole is not None else cell.count
    return {"department": line.key[0] or "city"} | shown


def _json(report: Report, folder: str) -> dict[str, Any]:
    def told(line: Line) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        for name, cell in line.cells.items():
            amount = None if cell.amount is None else float(cell.amount)
            share = {"amount": amount, "whole": cell.whole, "small_sample": cell.small}
            figures[name] = amount if cell.whole is None else share
        named = dict(zip(("department", "resource", "dimension"), line.key, strict=True))
        return {**{name: value for name, value in named.items() if value}, "orders": not line.idle, "figures": figures}

    return {
        "period": report.version.period,
        "version": report.version.version,
        "frozen_at": report.version.recorded_at,
        "author": report.version.author,
        "folder": folder,
        "city": None if report.department else told(report.total),
        "departments": [told(line) for line in report.departments],
        "resources": [told(line) for line in report.resources],
        "dimensions": [told(line) for line in report.dimensions],
        "to_be_rectified": [
            {"department": one.department, "order_number": one.order_number, "criterion": one.criterion.en,
             "amount": one.amount, "whole": one.whole, "threshold": one.threshold, "articles": one.articles,
             "rectify_by": one.rectify_by}
            for one in report.listed
        ],
        "causes": [asdict(one) for one in report.causes],
        "changes": [asdict(one) for one in report.changes],
        "anchor": [asdict(one) for one in report.heads],
    }  # fmt: skip
