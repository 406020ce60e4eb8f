"""The files of a notice: one workbook, one CSV and one JSON of the same orders and items, and the list of deadlines.

No cell can become a formula: XLSX cells are written as strings, CSV cells that a spreadsheet would run begin with an
apostrophe. Everything but the columns for the reply is protected. The same rows give the same bytes. What a notice
holds and when it is written is `assets.notices`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from io import BytesIO
from pathlib import Path
from typing import Any

import xlsxwriter
from duckdb import DuckDBPyConnection

from assets.exports import FORMULA
from assets.sheet_rows import pack, rows_sql
from catalog.load import Catalog
from resources.lake import literal, quoted

# Codes a department answers with, and what each means; `assets.feedback` takes no other.
REPLIES = {
    "acknowledged": "已收悉,将核实",
    "will_correct": "将在 by_date 之前更正(须写明日期)",
    "corrected": "已在源头更正,下批数据验证",
    "objection": "数据无误,提出异议(须写明理由)",
    "wrong_source": "非本部门数据(请写明应归部门)",
    "needs_information": "信息不足,请补充(须写明所需信息)",
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
    ("right_department 应归部门", 20),
)
TOLD = 9  # columns that the department reads; the others are for its reply
REPLY, BY_DATE, RIGHT_DEPARTMENT = 9, 12, 13
# What `rows_table` of a notice holds of an item, in the order of COLUMNS.
FIELDS = "item_id, record_key, column_name, observed, suggested, found_by, reason, relapses, due_on"
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
    ("basis 依据", 50),
    ("cause 原因", 60),
)
EVERY_ITEM = "本工单全部条目 every item of this order"  # stands for a record key where one reply answers for an order
CODES_SHEET = "Codes 代码"


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
    cause: str = ""  # what is said of one whose items have one cause

    @property
    def sheet(self) -> str:
        """Name of its sheet: unique by the number, at most 31 characters, none that a spreadsheet refuses."""
        name = f"{self.number} {self.resource}"
        return re.sub(r"[][:*?/\\]", " ", name)[:31].rstrip(" '")


@dataclass(frozen=True)
class Part:
    """What goes into the files of one name: orders with how many of their items, rows `first` to `last` of the day."""

    orders: tuple[tuple[Order, int], ...]
    first: int
    last: int


@dataclass(frozen=True)
class Notice:
    """One department's day: where its rows are (`rows_table`, by `department` and `place`), and what frames them."""

    con: DuckDBPyConnection
    catalog: Catalog
    rows_table: str
    department: str
    as_of: date


def parts(orders: Sequence[Order], rows: int, sheets: int) -> Iterator[Part]:
    """Which orders, with how many of their items, go into each file: at most so many rows and sheets."""
    part: list[tuple[Order, int]] = []
    room, first, last = rows, 1, 0
    for order in orders:
        left = order.items
        while left:
            if not room or len(part) == sheets:
                yield Part(tuple(part), first, last)
                part, room, first = [], rows, last + 1
            taken = min(left, room)
            part.append((order, taken))
            left, room, last = left - taken, room - taken, last + taken
    if part:
        yield Part(tuple(part), first, last)


def harmless(cell: object) -> str:
    """A CSV cell no spreadsheet runs as a formula."""
    text = "" if cell is None else str(cell)
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def harmless_sql(value: str) -> str:
    """The same in SQL."""
    return f"CASE WHEN regexp_matches({value}, '{FORMULA}') THEN '''' || {value} ELSE coalesce({value}, '') END"


def write_notice(notice: Notice, stem: Path, part: Part) -> list[Path]:
    """`<stem>.xlsx`, `.csv` and `.json`; each gets its name when it is whole."""
    targets = [stem.with_name(f"{stem.name}.{kind}") for kind in ("xlsx", "csv", "json")]
    partial = [target.with_name(f".{target.name}.part") for target in targets]
    _write_xlsx(notice, partial[0], part)
    _write_csv(notice, partial[1], part)
    _write_json(notice, partial[2], part)
    for source, target in zip(partial, targets, strict=True):
        source.replace(target)
    return targets


def _rows(notice: Notice, part: Part) -> str:
    return (
        f"{notice.rows_table} WHERE department = {literal(notice.department)}"
        f" AND place BETWEEN {part.first} AND {part.last}"
    )


def _write_csv(notice: Notice, path: Path, part: Part) -> None:
    titles = [title for title, _ in COLUMNS]
    cells = [
        f"{harmless_sql(f'CAST({field} AS VARCHAR)')} AS {quoted(title)}"
        for field, title in zip(FIELDS.split(", "), titles, strict=False)
    ]
    cells += [f"'' AS {quoted(title)}" for title in titles[TOLD:]]
    first = quoted("\ufefforder 工单号")  # the mark that tells a spreadsheet the encoding
    notice.con.execute(
        f"COPY (SELECT order_number AS {first}, {', '.join(cells)} FROM {_rows(notice, part)} ORDER BY place)"
        f" TO {literal(str(path))} (FORMAT csv, HEADER)"
    )


def _write_json(notice: Notice, path: Path, part: Part) -> None:
    items = ", ".join(f"{quoted(name.partition(' ')[0])} := {name}" for name in FIELDS.split(", "))
    found = notice.con.execute(
        f"""
        SELECT order_id, to_json(list(struct_pack({items.replace('"column_name"', '"column"')}) ORDER BY place))
        FROM {_rows(notice, part)} GROUP BY order_id
        """
    ).fetchall()
    told = dict(found)
    head = {
        "department": notice.department,
        "as_of": notice.as_of.isoformat(),
        "basis": notice.catalog.jurisdiction.clock.basis,
        "replies": REPLIES,
    }
    with path.open("w", encoding="utf-8") as text:
        text.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "orders": [')
        for number, (order, _) in enumerate(part.orders):
            stated = {
                "order": order.number, "resource": order.resource, "rule": order.rule,
                "requirement": order.requirement, "severity": order.severity, "delivery": order.delivery,
                "due_on": order.due_on.isoformat(), "provisional": order.provisional,
                **({"cause": "systematic", "note": order.cause} if order.cause else {}),
            }  # fmt: skip
            text.write(",\n" if number else "\n")
            text.write(f'{json.dumps(stated, ensure_ascii=False)[:-1]}, "items": {told[order.order_id]}}}')
        text.write("\n]}\n")


def _write_xlsx(notice: Notice, path: Path, part: Part) -> None:
    """Of an order with one cause a few samples, below a row that answers for all of it."""
    samples = notice.catalog.jurisdiction.noise.samples
    template = BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(template, options) as book:
        book.set_properties({"created": datetime.combine(notice.as_of, time())})  # the same bytes every time
        look = {
            "head": book.add_format({"bold": True, "bg_color": "#DDE6F0", "text_wrap": True}),
            "reply": book.add_format({"bg_color": "#FFF8E1", "locked": False}),
            "day": book.add_format({"bg_color": "#FFF8E1", "locked": False, "num_format": "yyyy-mm-dd"}),
        }
        basis = notice.catalog.jurisdiction.clock.basis
        _list_orders(book, look, part, basis)
        departments = notice.catalog.departments
        for order, taken in part.orders:
            _frame_items(book, look, order, min(taken, samples) + 1 if order.cause else taken, len(departments))
        _list_codes(book, look, {name: department.title.zh for name, department in departments.items()})
    notice.con.execute(
        "CREATE OR REPLACE TEMP TABLE notice_sheets AS SELECT unnest($ids) AS order_id, unnest($sheets) AS sheet",
        {"ids": [o.order_id for o, _ in part.orders], "sheets": [n for n, _ in enumerate(part.orders, start=2)]},
    )
    rows = f"""(
        SELECT *, row_number() OVER (PARTITION BY order_id ORDER BY place) AS nth
        FROM {_rows(notice, part)} QUALIFY NOT one_cause OR nth <= {samples}
    ) JOIN notice_sheets USING (order_id)"""
    number = "nth + 1 + one_cause::INTEGER"
    query = rows_sql(rows, FIELDS.split(", "), sheet="sheet", number=number, order="place")
    pack(notice.con, template, path, query)


def new_sheet(book: Any, name: str, columns: Iterable[tuple[str, int]], head: Any) -> Any:
    """A protected sheet with its header: no password, it keeps a hand from the wrong cell, it does not lock it."""
    sheet = book.add_worksheet(name)
    for index, (_, width) in enumerate(columns):
        sheet.set_column(index, index, width)
    for index, (title, _) in enumerate(columns):
        sheet.write_string(0, index, title, head)
    sheet.set_row(0, 32)  # two lines: the titles of narrow columns wrap
    sheet.freeze_panes(1, 0)
    sheet.set_landscape()  # printed: A4 across, as wide as a page, the header on each
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    sheet.protect("", {"format_columns": True, "format_rows": True, "autofilter": True})
    return sheet


def _list_orders(book: Any, look: Mapping[str, Any], part: Part, basis: str) -> None:
    sheet = new_sheet(book, "Orders 工单", ORDER_COLUMNS, look["head"])
    for row, (order, count) in enumerate(part.orders, start=1):
        cells = (
            *(order.sheet, order.number, order.resource, order.rule, order.requirement, order.severity, order.delivery),
            *(str(count), order.due_on.isoformat(), "是 yes" if order.provisional else "", basis, order.cause),
        )
        for index, cell in enumerate(cells):
            sheet.write_string(row, index, cell)
    sheet.autofilter(0, 0, len(part.orders), len(ORDER_COLUMNS) - 1)


def _frame_items(book: Any, look: Mapping[str, Any], order: Order, rows: int, departments: int) -> None:
    """The sheet of an order without its items, which are put in as `rows` rows while the workbook is packed."""
    sheet = new_sheet(book, order.sheet, COLUMNS, look["head"])
    for index, (_, width) in enumerate(COLUMNS[TOLD:], start=TOLD):
        sheet.set_column(index, index, width, look["day" if index == BY_DATE else "reply"])
    if order.cause:
        every = {0: order.number, 1: EVERY_ITEM, 6: order.cause, 8: order.due_on.isoformat()}
        for index, cell in every.items():
            sheet.write_string(1, index, cell)
    last = max(rows, 1)
    codes = {
        "validate": "list",
        "source": f"='{CODES_SHEET}'!$A$2:$A${len(REPLIES) + 1}",
        "input_title": "reply 回复",
        "input_message": "\n".join(f"{code}: {meaning}" for code, meaning in REPLIES.items())[:255],
    }
    sheet.data_validation(1, REPLY, last, REPLY, codes)
    named = {"validate": "list", "source": f"='{CODES_SHEET}'!$C$2:$C${departments + 1}"}
    sheet.data_validation(1, RIGHT_DEPARTMENT, last, RIGHT_DEPARTMENT, named)
    sheet.autofilter(0, 0, last, len(COLUMNS) - 1)


def _list_codes(book: Any, look: Mapping[str, Any], departments: Mapping[str, str]) -> None:
    """What the drop-downs offer: reply codes and departments, by row."""
    columns = (("reply 回复", 20), ("meaning 含义", 40), ("department 部门", 24), ("title 名称", 30))
    sheet = new_sheet(book, CODES_SHEET, columns, look["head"])
    listed = [list(REPLIES.items()), list(departments.items())]
    for row in range(max(map(len, listed))):
        for index, pair in enumerate(pairs[row] if row < len(pairs) else () for pairs in listed):
            for offset, cell in enumerate(pair):
                sheet.write_string(row + 1, 2 * index + offset, cell)


def write_list(stem: Path, title: str, rows: Sequence[Mapping[str, Any]], as_of: date) -> list[Path]:
    """A short list as `<stem>.xlsx`, `.csv` and `.json`, the keys of its rows as header: counts and dates alone."""
    targets = [stem.with_name(f"{stem.name}.{kind}") for kind in ("xlsx", "csv", "json")]
    partial = [target.with_name(f".{target.name}.part") for target in targets]
    names = list(rows[0])
    with xlsxwriter.Workbook(str(partial[0]), {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        book.set_properties({"created": datetime.combine(as_of, time())})
        head = book.add_format({"bold": True, "bg_color": "#DDE6F0"})
        sheet = new_sheet(book, title, [(name, 22) for name in names], head)
        for number, row in enumerate(rows, start=1):
            for index, cell in enumerate(row.values()):
                sheet.write_string(number, index, "" if cell is None else str(cell))
    lines = [",".join(map(_field, names)), *(",".join(_field(harmless(cell)) for cell in row.values()) for row in rows)]
    partial[1].write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8", newline="")
    partial[2].write_text(json.dumps(list(rows), ensure_ascii=False, default=str, indent=1) + "\n", encoding="utf-8")
    for source, target in zip(partial, targets, strict=True):
        source.replace(target)
    return targets


def _field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text
