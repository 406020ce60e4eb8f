"""Workbooks (.xlsx, .xls) to staged raw text, in the reader's child process.

The sheet is the declared one, else the first, else the only one whose header names every declared column. Values become
the text a clerk would type: 2020-01-05 for a date, 5 for a whole number however it was stored.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from resources.reading import EMPTY, HEADER_ROWS, SEARCHED_ROWS, Header, Work, typed_text
from resources.reading_packed import DAMAGED_ZIP
from resources.reading_records import Sorting
from resources.reading_text import CHUNK

UNPACKED_WORKBOOK_LIMIT = 1_000_000_000
FORMULA = re.compile(rb"<f[ >/]")
ERROR = re.compile(rb"""<c [^>]*\bt=["']e["']""")
SHEET_PART = re.compile(r"xl/worksheets/[^/]+\.xml")
UNREADABLE = "not readable as a workbook; open it, save it as .xlsx and deliver it again"


def read_sheet(work: Work, path: Path) -> int:
    """One sheet of a workbook; blank rows are no records."""
    try:
        with path.open("rb") as file, CalamineWorkbook.from_filelike(file) as book:  # by content, not by name
            sheet, header = _chosen(work, book)
            return _stage(work, sheet, header)
    except (CalamineError, zipfile.BadZipFile):
        raise work.refuse("unreadable", UNREADABLE) from None


def read_xlsx(work: Work, path: Path) -> int:
    """A workbook of Excel 2007 or later."""
    _refuse_large(work, path)
    rows = read_sheet(work, path)
    _note_formulas(work, path)
    return rows


def _chosen(work: Work, book: CalamineWorkbook) -> tuple[CalamineSheet, Header]:
    """The sheet to read and its header.

    Raises:
        RefusedError: the declared sheet is missing, or none has every declared column.
    """
    names = list(book.sheet_names)
    declared = work.layout.get("sheet")
    if declared is not None:
        at = declared - 1 if isinstance(declared, int) else names.index(declared) if declared in names else len(names)
        if at >= len(names):
            raise work.refuse("sheet", f"has no sheet {declared!r}; it has {', '.join(map(repr, names))}")
        sheet = book.get_sheet_by_index(at)
        return sheet, _found(work, sheet) or _refused(work, sheet)
    first = book.get_sheet_by_index(0)
    if header := _found(work, first):
        if len(names) > 1:
            work.note("other_sheets", f"only the first of its {len(names)} sheets was read: {names[0]!r}")
        return first, header
    others = [(sheet, found) for sheet in map(book.get_sheet_by_name, names[1:]) if (found := _found(work, sheet))]
    if len(others) == 1:
        work.note("dialect_detected", f"sheet {others[0][0].name!r} was read: no other names every declared column")
        return others[0]
    _refused(work, first)
    raise work.refuse("sheet", "several sheets have the declared columns; declare the resource's layout.sheet")


def _found(work: Work, sheet: CalamineSheet) -> Header | None:
    """The header of a sheet, looked for in its first rows."""
    wanted = work.layout.get("header_row") or SEARCHED_ROWS
    rows = _top(sheet, wanted + work.layout.get("header_rows", max(HEADER_ROWS)))
    return work.find_header(lambda row, count: [one for one in rows[row - 1 : row - 1 + count] if any(one)])


def _refused(work: Work, sheet: CalamineSheet) -> Header:
    """The refusal that says what the likeliest header lacks."""
    rows = [row for row in _top(sheet, SEARCHED_ROWS) if any(row)]
    if not rows:
        raise work.refuse("empty", f"its first sheet is empty; {EMPTY}")
    likely = max(rows, key=lambda row: sum(1 for at in work.matched(row).values() if at))
    places = work.places(likely)
    return Header(rows.index(likely) + 1, 1, tuple(likely), places)


def _top(sheet: CalamineSheet, count: int) -> list[list[str]]:
    """The first rows as text, what is merged across columns standing in each of them."""
    rows = [[typed_text(value) for value in cells] for cells in islice(sheet.iter_rows(), count)]
    left = sheet.start[1] if sheet.start else 0
    for (top, first), (_, last) in sheet.merged_cell_ranges or []:
        if top < len(rows):
            text = rows[top][first - left] if 0 <= first - left < len(rows[top]) else ""
            for at in range(first - left, min(last - left + 1, len(rows[top]))):
                rows[top][at] = text
    return rows


def _stage(work: Work, sheet: CalamineSheet, header: Header) -> int:
    if header.row:
        work.places(header.names, _top(sheet, header.row + header.rows - 1)[-1])
    if (header.row, header.rows) not in {(0, 0), (1, 1)} and "header_row" not in work.layout:
        last = header.row + header.rows - 1
        work.note(
            "dialect_detected",
            f"header taken from row {header.row}{f' to {last}' if last > header.row else ''}, where every declared "
            "column is named; declare the resource's layout.header_row to be certain",
        )
    first = int(work.layout.get("first_row") or header.row + header.rows or 1)
    names = header.names if header.row else ()
    with Sorting(work, names, max(len(header.names), sheet.width)) as sorting:
        for number, cells in _records(sheet, first):
            sorting.take(number, cells)
        merged = sum(bottom + 1 >= first for (_, _), (bottom, _) in sheet.merged_cell_ranges or [])
        if merged:
            work.note("merged_cells", f"{merged} merged cells among its records: each value stands in the first cell")
        return sorting.stage(header.places)


def _records(sheet: CalamineSheet, first: int) -> Iterator[tuple[int, list[str]]]:
    for number, cells in enumerate(sheet.iter_rows(), 1):
        if number >= first:
            texts = [typed_text(value) for value in cells]
            if any(texts):
                yield number, texts


def _refuse_large(work: Work, path: Path) -> None:
    limit = min(work.unpacked_limit, UNPACKED_WORKBOOK_LIMIT)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except DAMAGED_ZIP:
        raise work.refuse("unreadable", UNREADABLE) from None
    if size > limit:
        raise work.refuse("too_large", f"unpacks to {size} bytes; the limit is {limit}")


def _note_formulas(work: Work, path: Path) -> None:
    """Formulas and errors of any sheet: what a cell shows is then not what somebody typed."""
    formulas = errors = 0
    with zipfile.ZipFile(path) as archive:
        for part in filter(SHEET_PART.fullmatch, archive.namelist()):
            with archive.open(part) as xml:
                while chunk := xml.read(CHUNK):
                    formulas += len(FORMULA.findall(chunk))
                    errors += len(ERROR.findall(chunk))
    if formulas:
        work.note("formulas", f"{formulas} cells hold formulas; what they last came to was read")
    if errors:
        work.note("cell_errors", f"{errors} cells show an error such as #N/A; they were read as empty")
