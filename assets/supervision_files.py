"""The files of a monitoring report, written from frozen figures: a page to print, a workbook, and CSV to count again.

`reports/supervision/<period>/v<version>/` is the city's, `outbox/<department>/supervision/<period>/v<version>/` a
department's own, which holds no other's rows: `report.html`, `report.xlsx`, `figures.csv`, `list.csv`, `cases.csv`,
`orders.csv`, `anchor.json`. The same version gives the same bytes, whenever it is written; a folder appears whole.
What a report shows is chosen by `assets.supervision_pages`; add a column of a table in `TABLES`.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Template

from assets.notice_files import harmless
from assets.report_html import environment
from assets.sending import enqueue
from assets.supervision import LOCK, Version, read_rows, versions
from assets.supervision_pages import Frozen, Line, Report
from assets.supervision_rows import pseudonym_sql, write_rows
from assets.supervision_workbook import LIST_COLUMNS, list_row, plain, write_workbook
from quality_checks.supervision_figures import AGES, BREACHES, FIGURES
from resources.city import City
from resources.home import scratch
from resources.ledger import write_anchor

FOLDER = "supervision"
# Which figures each table of the page shows; the workbook has all of them.
TABLES: dict[str, tuple[str, ...]] = {
    "answers": ("orders_issued", "items_issued", "due", "answered_in_time", "answered_late", "unanswered"),
    "corrections": (
        "corrected_as_suggested", "corrected_otherwise", "median_days", "failed_again", "undone", "objections",
        "objections_upheld", "objections_rejected",
    ),
    "overdue": ("orders_overdue", "overdue_unanswered", "overdue_uncorrected", "waiting_for_bureau"),
    "clock": (
        "orders_paused", "orders_extended", "orders_withdrawn", "escalated_1", "escalated_2", "escalated_3",
        "escalated_4", "transferred_out", "transferred_in",
    ),
    "stock": ("open_at_start", "opened", "open_at_end", "not_issued", *(f"age_{n + 1}" for n in range(len(AGES) + 1))),
    "parts": (
        "items_issued", "answered_in_time", "unanswered", "corrected_as_suggested", "corrected_otherwise",
        "failed_again", "overdue_unanswered", "overdue_uncorrected", "open_at_end",
    ),
}  # fmt: skip


def folder_of(city: City, version: Version, department: str | None = None) -> Path:
    """Where the report of a version stands."""
    home = city.home
    top = home.outbox / department / FOLDER if department else home.reports / FOLDER
    return top / version.period / f"v{version.version}"


def write_missing(city: City) -> list[Path]:
    """Write every report that is not there; returns the city's folders that were written.

    The city's own stands last, so that one that stands means that the departments' do.
    """
    with city.server.lock(LOCK):
        missing = [one for one in versions(city) if not folder_of(city, one).is_dir()]
        return [write_reports(city, version) for version in missing]


def write_reports(city: City, version: Version) -> Path:
    """Write one version's reports anew, and send the departments theirs; returns the city's folder."""
    frozen = Frozen(city, version)
    read_rows(city, version)
    with scratch(city.home) as work:
        for department in frozen.departments:
            if department not in city.catalog.departments:
                continue
            fresh = _write(city, frozen.report(department), work / department)
            target = _put(fresh, folder_of(city, version, department))
            told = [target / "report.xlsx", target / "report.html"]
            enqueue(city, department, version.last_day, told)
        return _put(_write(city, frozen.report(), work / "city"), folder_of(city, version))


def _put(fresh: Path, target: Path) -> Path:
    """Move a folder to its place; what stood there is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)
    fresh.replace(target)
    return target


def _write(city: City, report: Report, folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True)
    item = "item_id" if report.department else pseudonym_sql(city)
    write_rows(city.con, folder, item, report.department)
    _csv(folder / "figures.csv", FIGURE_COLUMNS, _figure_rows(report))
    _csv(folder / "list.csv", LIST_COLUMNS, map(list_row, report.listed))
    write_anchor(folder / "anchor.json", report.heads)
    write_workbook(folder / "report.xlsx", report)
    page = _template().render(
        report=report, version=report.version, figures=FIGURES, tables=TABLES, breaches=BREACHES,
        rectification=city.catalog.jurisdiction.rectification, basis=city.catalog.jurisdiction.clock.basis,
    )  # fmt: skip
    (folder / "report.html").write_text(page, encoding="utf-8")
    return folder


@cache
def _template() -> Template:
    """Compiled once: a city has a report a department."""
    return environment().get_template("supervision.html.jinja")


FIGURE_COLUMNS = (
    "scope", "department", "resource", "dimension", "figure", "zh", "en", "amount", "whole", "small_sample",
    "counts_zh", "counts_en", "share_of", "rows", "where",
)  # fmt: skip


def _figure_rows(report: Report) -> Iterable[Sequence[object]]:
    """Every figure with its definition in words and as the condition over the rows beside it."""
    scopes: list[tuple[str, Sequence[Line]]] = [("department", report.departments), ("resource", report.resources)]
    scopes += [("dimension", report.dimensions)]
    if not report.department:
        scopes.insert(0, ("city", [report.total]))
    for scope, lines in scopes:
        for line in lines:
            for name, figure in FIGURES.items():
                cell = line.cells[name]
                yield (
                    scope, *line.key, name, figure.zh, figure.en, plain(cell.amount), cell.whole,
                    "yes" if cell.small else "", figure.zh_counts, figure.en_counts, figure.share_of,
                    f"{figure.rows}.csv", figure.where,
                )  # fmt: skip


def _csv(path: Path, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as text:
        lines = csv.writer(text, lineterminator="\r\n")
        lines.writerow(names)
        lines.writerows([harmless(cell) for cell in row] for row in rows)
