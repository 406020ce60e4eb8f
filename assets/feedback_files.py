"""Reading the files departments send back: a filled notice as XLSX, or a CSV in UTF-8 or GB18030.

Columns are found by the first word of their header, in any order; rows without a reply are left out. What a reply means
and whether it is taken is `assets.feedback`.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook

FIELDS = {"item_id": "item_id", "reply": "reply", "explanation": "reason", "evidence": "evidence", "by_date": "by_date"}
FIELDS |= {"reason": "reason"}  # hand-made files; a notice's own reason column is not the department's
BYTES = 100_000_000  # a notice of 50,000 rows has 6 million
UNPACKED = 500_000_000


class UnreadableError(Exception):
    """The file as a whole cannot be read; the message says why and what would be."""


@dataclass
class Replies:
    """Answered rows, by column."""

    place: list[str] = field(default_factory=list)
    item_id: list[str] = field(default_factory=list)
    reply: list[str] = field(default_factory=list)
    reason: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    by_date: list[str] = field(default_factory=list)

    def columns(self) -> dict[str, list[str]]:
        """The columns by name."""
        return vars(self)

    def add(self, place: str, row: Sequence[str], where: dict[str, int]) -> None:
        """One row, if it holds a reply."""
        said = {
            name: row[index].replace("\0", "␀").strip() if index < len(row) else "" for name, index in where.items()
        }
        if said.get("reply"):
            self.place.append(place)
            self.item_id.append(said.get("item_id", ""))
            self.reply.append(said["reply"].lower())
            self.reason.append(said.get("reason", ""))
            self.evidence.append(said.get("evidence", ""))
            self.by_date.append(said.get("by_date", ""))


def read_replies(path: Path) -> Replies:
    """The answered rows of a feedback file.

    Raises:
        UnreadableError: wrong encoding, not a workbook, too large, or no sheet has the columns item_id and reply.
    """
    if path.stat().st_size > BYTES:
        raise UnreadableError(f"{path.stat().st_size:,} bytes: must be at most {BYTES:,}")
    replies, found = Replies(), False
    for sheet, rows in _workbook(path) if path.suffix.lower() == ".xlsx" else [("", _csv(path))]:
        lines = iter(rows)
        where = _header(next(lines, []))
        if where:
            found = True
            for number, row in enumerate(lines, start=2):
                replies.add(f"{sheet}!{number}" if sheet else str(number), row, where)
    if not found:
        raise UnreadableError("no table with the columns item_id and reply in its first row")
    return replies


def _header(row: Sequence[str]) -> dict[str, int]:
    """Column numbers by field; empty when the row is no header of ours. A notice's own `reason` gives way."""
    words = [cell.split()[0].lower() if cell.split() else "" for cell in row]
    if "item_id" not in words or "reply" not in words:
        return {}
    ignored = {"reason"} if "explanation" in words else set()
    return {FIELDS[word]: index for index, word in enumerate(words) if word in FIELDS and word not in ignored}


def _csv(path: Path) -> Iterator[list[str]]:
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
            raise UnreadableError(f"not a CSV file: {error}") from error
        return
    raise UnreadableError("the text is neither UTF-8 nor GB18030")


def _workbook(path: Path) -> Iterator[tuple[str, Iterable[list[str]]]]:
    try:
        with zipfile.ZipFile(path) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
        if unpacked > UNPACKED:
            raise UnreadableError(f"{unpacked:,} bytes unpacked: must be at most {UNPACKED:,}")
        book = CalamineWorkbook.from_path(path)
        for name in book.sheet_names:
            rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            yield name, ([_text(cell) for cell in row] for row in rows)
    except (zipfile.BadZipFile, CalamineError) as error:
        raise UnreadableError(f"not an XLSX workbook: {error}") from error


def _text(cell: object) -> str:
    """A cell as text; Excel turns typed dates into dates and codes into numbers."""
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
