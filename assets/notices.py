"""Notices: what a department is sent, one spreadsheet and one CSV a day, to be filled in and sent back.

A notice lists the orders opened on its day with everything a steward needs and empty columns for the reply
(`assets.feedback` reads them). The same day gives the same bytes however often it is written. No cell can become a
formula: XLSX cells are written as strings, CSV cells that a spreadsheet would run begin with an apostrophe.
"""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import islice
from math import floor
from pathlib import Path
from typing import Any

import xlsxwriter

from assets.corrections import tell
from catalog.load import Catalog
from catalog.models import METHODS, Method
from quality_checks.corrections import ItemEvent
from quality_checks.rule_book import rule_book
from resources import ledger
from resources.city import City

ROWS_PER_FILE = 50_000
SHEETS_PER_FILE = 200  # each open sheet costs a file handle while the notice is written
# Codes a department answers with, and what each means; `assets.feedback` takes no other.
REPLIES = {
    "acknowledged": "已收悉,将核实",
    "corrected": "已在源头更正,下批数据验证",
    "objection": "数据无误,提出异议(须写明理由)",
    "wrong_source": "非本部门数据",
    "needs_information": "信息不足,请补充",
}
# Columns of every order sheet and of the CSV: the first word is what a filled file is read by.
COLUMNS = (
    ("item_id 工单项编号", 34),
    ("record_key 记录主键", 24),
    ("column 信息项", 24),
    ("observed 现值", 24),
    ("suggested 建议值", 24),
    ("found_by 建议依据", 24),
    ("reason 原因", 60),
    ("relapses 复发次数", 10),
    ("due_on 截止日期", 12),
    ("reply 回复", 18),
    ("explanation 理由", 40),
    ("evidence 依据", 30),
    ("by_date 预计完成日期", 14),
)
REPLY_COLUMN = 9
ORDER_COLUMNS = (
    ("sheet 工作表", 31),
    ("order 工单号", 16),
    ("resource 信息资源", 40),
    ("rule 规则", 40),
    ("requirement 要求", 60),
    ("severity 级别", 10),
    ("delivery 批次", 44),
    ("items 条数", 10),
    ("due_on 截止日期", 12),
    ("provisional 截止日期待定", 12),
)
README = Path(__file__).parent / "templates" / "notice_readme.txt"
CELL = 32_767  # characters a spreadsheet cell can hold


@dataclass(frozen=True)
class Order:
    """One order as the notice names it."""

    order_id: str
    number: str
    resource: str
    rule: str
    requirement: str
    severity: str
    delivery: str
    items: int
    due_on: date
    provisional: bool

    @property
    def sheet(self) -> str:
        """Name of its sheet: unique by the number, at most 31 characters, none that a spreadsheet refuses."""
        name = f"{self.number.partition('-')[2]} {self.resource}"
        return re.sub(r"[][:*?/\\]", " ", name)[:31].rstrip(" '")


def issue(city: City, as_of: date, *, author: str, rows_per_file: int = ROWS_PER_FILE) -> list[Path]:
    """Write the notices of the orders opened on `as_of` and note in the ledger that their items were sent.

    `outbox/<department>/<as_of>/notice.xlsx` and `notice.csv`, continued in `notice-2.xlsx` and so on when the rows do
    not fit one file, with a `README.txt`. Files appear whole or not at all.
    """
    written: list[Path] = []
    book = _requirements(city.catalog)
    with city.server.lock(ledger.LOCK):
        for department, orders in _orders(city, as_of, book).items():
            folder = city.home.outbox / department / as_of.isoformat()
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(README, folder / "README.txt")
            rows = _rows(city, department, as_of)
            for number, part in enumerate(parts(orders, rows_per_file, SHEETS_PER_FILE), start=1):
                stem = "notice" if number == 1 else f"notice-{number}"
                written += _write(folder / stem, part, rows, scratch=city.home.tmp, as_of=as_of)
        _note_sent(city, as_of, author)
    return written


def found_by(method: str | None, confidence: float | None) -> str:
    """How a suggestion was found and how sure it is, in words; empty without one."""
    if method is None:
        return ""
    said = METHODS[Method(method)]
    share = "" if confidence is None else f" {floor(confidence * 100)}%"  # only what is certain is 100 %
    return f"{said.zh} {said.en}{share}"


def harmless(cell: object) -> str:
    """A CSV cell no spreadsheet runs as a formula."""
    text = "" if cell is None else str(cell)
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _requirements(catalog: Catalog) -> dict[str, str]:
    return {rule_id: f"{rule.zh} {rule.en}" for rule_id, rule in rule_book(catalog).items()}


def _orders(city: City, as_of: date, requirements: dict[str, str]) -> dict[str, list[Order]]:
    """Orders opened on the day by department, in the order of their numbers."""
    found: dict[str, list[Order]] = {}
    with city.server.session() as cursor:
        cursor.execute(
            """
            select o.department, o.resource, o.order_id, o.order_number, o.rule_id, o.severity, o.delivery_id,
                   (select count(*) from ledger.events e
                    where e.order_id = o.order_id and e.event in ('opened', 'reopened')),
                   o.due_on, o.due_provisional
            from ledger.orders o where o.opened_on = %s order by o.department, length(o.order_number), o.order_number
            """,
            (as_of,),
        )
        for department, resource, order_id, number, rule, severity, delivery, items, due, provisional in cursor:
            known = city.catalog.resources.get(f"{department}.{resource}")
            title = f"{resource} {known.title.zh}" if known else resource
            requirement = requirements.get(rule, "")
            found.setdefault(department, []).append(
                Order(order_id, number, title, rule, requirement, severity, delivery, items, due, provisional)
            )
    return found


def _rows(city: City, department: str, as_of: date) -> Iterator[tuple[Any, ...]]:
    """Items of the department's orders of the day as they were when opened, order by order; streamed."""
    connection = city.server.connect()
    try:
        with connection.cursor(name="notice") as cursor:
            cursor.itersize = 10_000
            cursor.execute(
                """
                select i.item_id, i.record_key, i.column_name, e.observed, e.suggested, e.suggestion_method,
                       e.suggestion_confidence, e.reason, e.relapses, o.due_on
                from ledger.orders o
                join ledger.events e on e.order_id = o.order_id and e.event in ('opened', 'reopened')
                join ledger.items i on i.item_id = e.item_id
                where o.opened_on = %s and o.department = %s
                order by length(o.order_number), o.order_number, i.record_key, i.column_name, i.item_id
                """,
                (as_of, department),
            )
            for *told, method, confidence, reason, relapses, due_on in cursor:
                yield (*told, found_by(method, confidence), reason, relapses, due_on)
    finally:
        connection.close()


def parts(orders: Sequence[Order], rows: int, sheets: int) -> Iterator[list[tuple[Order, int]]]:
    """Which orders, with how many of their items, go into each file."""
    part: list[tuple[Order, int]] = []
    room = rows
    for order in orders:
        left = order.items
        while left:
            if not room or len(part) == sheets:
                yield part
                part, room = [], rows
            taken = min(left, room)
            part.append((order, taken))
            left -= taken
            room -= taken
    if part:
        yield part


IN_MEMORY = 5_000  # items a workbook holds in memory; above, each sheet spills to a file of its own, which is slow


def _write(
    path: Path, part: list[tuple[Order, int]], rows: Iterator[tuple[Any, ...]], *, scratch: Path, as_of: date
) -> list[Path]:
    """One workbook and its CSV; both get their names when they are whole."""
    targets = [path.with_name(f"{path.name}.xlsx"), path.with_name(f"{path.name}.csv")]
    partial = [target.with_name(f".{target.name}.part") for target in targets]
    options = {
        "constant_memory": sum(count for _, count in part) > IN_MEMORY,
        "tmpdir": str(scratch),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with (
        partial[1].open("w", encoding="utf-8-sig", newline="") as text,
        xlsxwriter.Workbook(str(partial[0]), options) as book,
    ):
        book.set_properties({"created": datetime.combine(as_of, time())})  # the same bytes every time
        lines = csv.writer(text, lineterminator="\r\n")
        lines.writerow(["order 工单号", *(title for title, _ in COLUMNS)])
        look = {"head": book.add_format({"bold": True, "bg_color": "#DDE6F0", "text_wrap": True})}
        look["reply"] = book.add_format({"bg_color": "#FFF8E1"})
        _write_orders(book, look, part)
        for order, count in part:
            _write_items(book, look, order, islice(rows, count), lines)
    for source, target in zip(partial, targets, strict=True):
        source.replace(target)
    return targets


def _sheet(book: Any, name: str, columns: Iterable[tuple[str, int]], look: Any) -> Any:
    sheet = book.add_worksheet(name)
    for index, (_, width) in enumerate(columns):
        sheet.set_column(index, index, width)
    for index, (title, _) in enumerate(columns):
        sheet.write_string(0, index, title, look["head"])
    sheet.freeze_panes(1, 0)
    return sheet


def _write_orders(book: Any, look: Any, part: list[tuple[Order, int]]) -> None:
    sheet = _sheet(book, "Orders 工单", ORDER_COLUMNS, look)
    for row, (order, count) in enumerate(part, start=1):
        cells = (
            *(order.sheet, order.number, order.resource, order.rule, order.requirement, order.severity, order.delivery),
            *(str(count), order.due_on.isoformat(), "是 yes" if order.provisional else ""),
        )
        for index, cell in enumerate(cells):
            sheet.write_string(row, index, cell)
    sheet.autofilter(0, 0, len(part), len(ORDER_COLUMNS) - 1)


def _write_items(book: Any, look: Any, order: Order, rows: Iterator[tuple[Any, ...]], lines: Any) -> None:
    sheet = _sheet(book, order.sheet, COLUMNS, look)
    for index, (_, width) in enumerate(COLUMNS[REPLY_COLUMN:], start=REPLY_COLUMN):
        sheet.set_column(index, index, width, look["reply"])
    number = 0
    for number, row in enumerate(rows, start=1):  # a spreadsheet is written cell by cell
        cells = ["" if cell is None else str(cell) for cell in row]
        for index, cell in enumerate(cells):
            sheet.write_string(number, index, cell if len(cell) <= CELL else f"{cell[: CELL - 1]}…")
        lines.writerow([order.number, *map(harmless, cells), *[""] * (len(COLUMNS) - REPLY_COLUMN)])
    sheet.data_validation(
        1,
        REPLY_COLUMN,
        max(number, 1),
        REPLY_COLUMN,
        {
            "validate": "list",
            "source": list(REPLIES),
            "input_title": "reply 回复",
            "input_message": "\n".join(f"{code}: {meaning}" for code, meaning in REPLIES.items())[:255],
        },
    )
    sheet.autofilter(0, 0, max(number, 1), len(COLUMNS) - 1)


def _note_sent(city: City, as_of: date, author: str) -> None:
    city.con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE notices_sent AS
        SELECT item_id, '{ItemEvent.notified}' AS event, NULL::VARCHAR AS reason, NULL::VARCHAR AS evidence,
               NULL::DATE AS by_date
        FROM shuyuan.ledger.item_states WHERE ordered_on = $day::DATE AND notified_on IS NULL AND NOT closed
        """,
        {"day": as_of},
    )
    tell(city, "notices_sent", kind="notice", as_of=as_of, actor=author, author=author)
