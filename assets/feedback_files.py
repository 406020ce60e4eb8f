"""Reading the files departments send back: a filled notice as XLSX, CSV (UTF-8 or GB18030) or JSON.

Columns are found by the first word of their header, in any order; rows in which nothing was filled in are counted and
left out. What a reply means and whether it is taken is `assets.feedback_rows`.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook

# First word of a header -> what it is here. What the department fills in:
REPLY = ("reply", "explanation", "evidence", "by_date", "right_department")
# and what it was told, which comes back to be compared.
TOLD = ("record_key", "column", "observed", "suggested")
FIELDS = ("item_id", *REPLY, *TOLD)
BYTES = 100_000_000  # a notice of 50,000 rows has 6 million
UNPACKED = 500_000_000
SUFFIXES = (".csv", ".xlsx", ".json")


class UnreadableError(Exception):
    """The file as a whole cannot be read; the message says why and what would be, `zh` the same in Chinese."""

    def __init__(self, message: str, zh: str) -> None:
        super().__init__(message)
        self.zh = f"文件无法读取:{zh}"


@dataclass
class Replies:
    """Rows in which something was filled in, by column; a column the file does not have is None throughout.

    `place` is where the row stands as the program that shows it says; `unanswered` counts the other rows.
    """

    place: list[str] = field(default_factory=list)
    rows: list[tuple[str | None, ...]] = field(default_factory=list)  # in the order of FIELDS
    unanswered: int = 0

    def columns(self) -> dict[str, list[str | None]]:
        """The columns by name."""
        turned = zip(*self.rows, strict=True) if self.rows else ([] for _ in FIELDS)
        return {"place": list(self.place), **{name: list(cells) for name, cells in zip(FIELDS, turned, strict=True)}}

    def add(self, place: str, cells: tuple[str | None, ...]) -> None:
        """One row, in the order of FIELDS, if anything was filled in."""
        if any(cells[1 : 1 + len(REPLY)]):
            self.place.append(place)
            self.rows.append(cells)
        elif cells[0]:
            self.unanswered += 1


def read_replies(path: Path) -> Replies:
    """The answered rows of a feedback file.

    Raises:
        UnreadableError: another kind of file, wrong encoding, not a workbook, too large, or no sheet has the columns
            item_id and reply.
    """
    check(path, SUFFIXES)
    if path.suffix.lower() == ".json":
        return _json(path)
    replies, found = Replies(), False
    for sheet, rows in sheets(path):
        lines = iter(rows)
        where = _header(next(lines, []))
        if where:
            found = True
            for number, row in enumerate(lines, start=2):
                replies.add(f"{sheet}!{number}" if sheet else str(number), _cells(row, where))
    if not found:
        raise UnreadableError(
            "no table with the columns item_id and reply in its first row", "没有首行含 item_id 和 reply 两列的表"
        )
    return replies


def check(path: Path, suffixes: Sequence[str]) -> None:
    """Refuse what is not read at all.

    Raises:
        UnreadableError: another kind of file, or too large a one.
    """
    if path.suffix.lower() not in suffixes:
        ending = path.suffix or path.name
        raise UnreadableError(
            f"{ending}: the name must end in {' or '.join(suffixes)}", f"{ending}:文件名须以 {'、'.join(suffixes)} 结尾"
        )
    if path.stat().st_size > BYTES:
        raise _too_large(path.stat().st_size, BYTES)


def _too_large(size: int, most: int) -> UnreadableError:
    return UnreadableError(f"{size:,} bytes: must be at most {most:,}", f"{size:,} 字节,至多 {most:,}")


def sheets(path: Path) -> Iterator[tuple[str, Iterable[Sequence[object]]]]:
    """The sheets of a workbook by name, or the one table of a CSV file, which has none.

    Raises:
        UnreadableError: it is neither.
    """
    yield from _workbook(path) if path.suffix.lower() == ".xlsx" else [("", csv_rows(path))]


def _cells(row: Sequence[object], where: Sequence[int | None]) -> tuple[str | None, ...]:
    width = len(row)
    return tuple(
        None if at is None else ("" if at >= width else as_text(row[at]).replace("\0", "␀").strip()) for at in where
    )


def _header(row: Sequence[object]) -> list[int | None]:
    """Column numbers in the order of FIELDS; empty when the row is no header of ours.

    A hand-made file may call the explanation `reason`; a notice's own reason column is not the department's.
    """
    words = [str(cell).split()[0].lower() if str(cell).split() else "" for cell in row]
    if "item_id" not in words or "reply" not in words:
        return []
    if "explanation" not in words and "reason" in words:
        words[words.index("reason")] = "explanation"
    return [words.index(name) if name in words else None for name in FIELDS]


def csv_rows(path: Path) -> Iterator[list[str]]:
    """The lines of a CSV file in UTF-8 or GB18030, whatever of comma, tab or semicolon its header has most of.

    Raises:
        UnreadableError: neither encoding, or not a CSV file.
    """
    raw = path.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        first = text.partition("\n")[0]
        delimiter = max(",\t;", key=first.count)
        try:
            yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        except csv.Error as error:
            raise UnreadableError(f"not a CSV file: {error}", f"不是CSV文件({error})") from error
        return
    raise UnreadableError("the text is neither UTF-8 nor GB18030", "文本既非UTF-8也非GB18030编码")


def _json(path: Path) -> Replies:
    """A filled notice, or a list of replies."""
    shape = 'must be a notice with replies in its items, or [{"item_id": …, "reply": …}, …]'
    try:
        told = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"not a JSON file: {type(error).__name__}", "不是JSON文件") from error
    replies = Replies()
    orders = told.get("orders") if isinstance(told, dict) else [{"items": told}]
    for number, order in enumerate(orders if isinstance(orders, list) else [None]):
        items = order.get("items") if isinstance(order, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise UnreadableError(f"orders[{number}]: {shape}", f"orders[{number}]:须为通知单JSON或回复列表")
        for place, item in enumerate(items):
            cells = tuple(_said(item, name) for name in FIELDS)
            replies.add(f"orders[{number}].items[{place}]" if isinstance(told, dict) else f"[{place}]", cells)
    return replies


def _said(item: dict[str, Any], name: str) -> str | None:
    value = item.get(name)
    return None if value is None else str(value).replace("\0", "␀").strip()


def _workbook(path: Path) -> Iterator[tuple[str, Iterable[list[Any]]]]:
    try:
        with zipfile.ZipFile(path) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
        if unpacked > UNPACKED:
            raise _too_large(unpacked, UNPACKED)
        book = CalamineWorkbook.from_path(path)
        for name in book.sheet_names:
            yield name, book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (zipfile.BadZipFile, CalamineError) as error:
        raise UnreadableError(f"not an XLSX workbook: {error}", "不是XLSX工作簿") from error


def as_text(cell: object) -> str:
    """A cell as text; Excel turns typed dates into dates and codes into numbers."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
