"""The workbook of a monitoring report: every figure of every scope, the list, comparison, changes, definitions, anchor.

Sheets print on A4 across with their heads repeated. The same report gives the same bytes. Add a sheet in `_sheets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import xlsxwriter

from assets.supervision_pages import Line, Listed, Report
from quality_checks.supervision_figures import FIGURES, Figure

A4 = 9  # as spreadsheets number paper
LIST_COLUMNS = (
    "department", "order_number", "criterion", "criterion_zh", "amount", "whole", "threshold", "unit", "articles",
    "rectify_by", "provisional",
)  # fmt: skip


class Sheet(NamedTuple):
    """One sheet: its name, the heads of its columns and their width, its rows."""

    name: str
    titles: Sequence[str]
    width: int
    rows: Iterable[Sequence[object]]


def write_workbook(path: Path, report: Report) -> None:
    """Write the report as XLSX; no cell can become a formula."""
    with xlsxwriter.Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        book.set_properties({"created": datetime.combine(report.version.last_day, time())})  # the same bytes always
        head = book.add_format({"bold": True, "bg_color": "#DDE6F0", "text_wrap": True, "valign": "top"})
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        for sheet in _sheets(report):
            page = book.add_worksheet(sheet.name)
            page.set_landscape()
            page.set_paper(A4)
            page.fit_to_pages(1, 0)
            page.repeat_rows(0)
            page.freeze_panes(1, 1)
            page.set_column(0, len(sheet.titles) - 1, sheet.width)
            for column, title in enumerate(sheet.titles):
                page.write_string(0, column, title, head)
            for number, row in enumerate(sheet.rows, 1):  # a spreadsheet is written cell by cell
                for column, cell in enumerate(row):
                    _write(page, number, column, cell, day)


def list_row(one: Listed) -> Sequence[object]:
    """A row of the list for rectification, in the order of LIST_COLUMNS."""
    return (
        one.department, one.order_number, one.criterion.en, one.criterion.zh, one.amount, one.whole, one.threshold,
        one.criterion.unit, one.articles, one.rectify_by, "yes" if one.provisional else "",
    )  # fmt: skip


def plain(amount: Decimal | None) -> str:
    """A figure as a number for machines, empty where there was nothing to measure."""
    return "" if amount is None else f"{amount.normalize():f}"


def _write(page: Any, row: int, column: int, cell: object, day: Any) -> None:
    if isinstance(cell, date):
        page.write_datetime(row, column, cell, day)
    elif isinstance(cell, int | Decimal):
        page.write_number(row, column, float(cell))
    elif cell is not None:
        page.write_string(row, column, str(cell))


def _sheets(report: Report) -> Iterator[Sheet]:
    titles = ["名称\nname", "英文\nEnglish", "部门\ndepartment", *(f"{f.zh}\n{f.en}" for f in FIGURES.values())]
    departments = report.departments if report.department else [report.total, *report.departments]
    yield Sheet("部门 Departments", titles, 14, _figures(departments))
    yield Sheet("资源 Resources", titles, 14, _figures(report.resources))
    yield Sheet("维度 Dimensions", titles, 14, _figures(report.dimensions))
    if report.months:
        yield Sheet("各月 Months", titles, 14, _figures(report.months))
    yield Sheet("限期整改 Rectification", LIST_COLUMNS, 20, map(list_row, report.listed))
    compared = ("指标", "figure", "上期 before", "占比 share", "本期 now", "占比 share", "变化 difference")
    yield Sheet("与上期比较 Comparison", compared, 22, _comparisons(report))
    changed = ("部门 department", "指标", "figure", "原值 before", "分母 whole", "新值 after", "分母 whole")
    yield Sheet("版本变化 Changes", changed, 20, _changes(report))
    defined = ("指标", "figure", "计数内容", "what is counted", "分母 denominator", "rows", "where")
    yield Sheet("指标定义 Definitions", defined, 40, map(_definition, FIGURES.values()))
    yield Sheet("台账锚点 Anchor", ("department", "batch", "as_of", "digest"), 24, map(astuple, report.heads))


def _figures(lines: Sequence[Line]) -> Iterator[Sequence[object]]:
    for line in lines:
        owner = line.owner.zh if line.owner else ""
        yield [line.zh, line.en, owner, *(line.cells[name].amount for name in FIGURES)]


def _comparisons(report: Report) -> Iterator[Sequence[object]]:
    for one in report.comparisons:
        figure = FIGURES[one.figure]
        before, now = (one.before.count, one.before.share), (one.now.count, one.now.share)
        yield (figure.zh, figure.en, *before, *now, one.difference)


def _changes(report: Report) -> Iterator[Sequence[object]]:
    for one in report.changes:
        figure, before, after = FIGURES[one.figure], plain(one.before), plain(one.after)
        yield (one.department or "全市 city", figure.zh, figure.en, before, one.whole_before, after, one.whole_after)


def _definition(figure: Figure) -> Sequence[object]:
    whole = FIGURES[figure.share_of].zh if figure.share_of else ""
    return (figure.zh, figure.en, figure.zh_counts, figure.en_counts, whole, f"{figure.rows}.csv", figure.where)
