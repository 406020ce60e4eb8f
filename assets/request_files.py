"""Files of requests: what a data user drops into `landing/<department>/requests/`, its receipt, and what it is told.

A CSV (UTF-8 or GB18030) or XLSX with the columns `request_rows.FIELDS` by the first word of their header, in any order.
The
applicant's `outbox/<department>/<day>/requests.*` lists what happened to its requests that day; it holds no value but
what was said to it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from assets.feedback_files import UnreadableError, as_text, check, sheets
from assets.notice_files import harmless, write_list
from assets.receipts import hidden
from assets.request_rows import FIELDS
from assets.sending import enqueue
from quality_checks.corrections import ItemEvent
from resources.city import City

SUFFIXES = (".csv", ".xlsx")
TITLES = ("file 文件", "row 行", "request 申请号", "outcome 结果", "说明", "meaning")  # of a receipt
NEEDED = "evidence"  # and a value, named one way or the other
# What of an item's life its applicant is told, beside the receipt.
TOLD = (
    ItemEvent.objection_raised, ItemEvent.upheld, ItemEvent.rejected, ItemEvent.transferred, ItemEvent.reopened,
    ItemEvent.verified_as_suggested, ItemEvent.verified_otherwise, ItemEvent.rule_withdrawn,
    ItemEvent.blanked_at_source, ItemEvent.removed_at_source, ItemEvent.key_changed, ItemEvent.moved,
)  # fmt: skip
# Their reason is meant for both sides; that of other events is the department's own business.
REASONED = (ItemEvent.objection_raised, ItemEvent.upheld, ItemEvent.rejected, ItemEvent.rule_withdrawn)


@dataclass
class Read:
    """The rows of a file and where each stands; `error` and `zh` when it cannot be read as a whole."""

    rows: list[dict[str, str | None]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    error: str = ""
    zh: str = ""


def read_rows(path: Path) -> Read:
    """The filled rows of a file of requests."""
    read, found = Read(), False
    try:
        check(path, SUFFIXES)
        for sheet, rows in sheets(path):
            lines = iter(rows)
            head = [str(cell).split()[0].lower() if str(cell).split() else "" for cell in next(lines, [])]
            if NEEDED in head:
                found = True
                _take_in(read, sheet, lines, {name: head.index(name) for name in FIELDS if name in head})
    except UnreadableError as error:
        return Read(error=str(error), zh=error.zh)
    if found:
        return read
    missing = UnreadableError(
        f"the first row names no column {NEEDED}; columns are {', '.join(FIELDS)}",
        f"首行没有 {NEEDED} 列;可用的列:{'、'.join(FIELDS)}",
    )
    return Read(error=str(missing), zh=missing.zh)


def _take_in(read: Read, sheet: str, lines: Iterable[Sequence[object]], where: Mapping[str, int]) -> None:
    for number, line in enumerate(lines, start=2):
        row = {name: as_text(line[at]) if at < len(line) else None for name, at in where.items()}
        if any(cell and cell.strip() for cell in row.values()):
            read.rows.append(row)
            read.places.append(f"{sheet}!{number}" if sheet else str(number))


def write_receipt(path: Path, file_name: str, rows: Sequence[tuple[str, ...]]) -> None:
    """One line with the counts, then one per row: its request's number, or why it was refused. Hidden until shown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raised = sum(outcome == "raised" for _, _, outcome, _, _ in rows)
    zh, en = f"受理 {raised}，未受理 {len(rows) - raised}", f"{raised} raised, {len(rows) - raised} not raised"
    with hidden(path).open("w", encoding="utf-8-sig", newline="") as text:
        lines = csv.writer(text)
        lines.writerow(TITLES)
        lines.writerow([harmless(file_name), "", "", "summary", zh, en])
        lines.writerows([harmless(cell) for cell in (file_name, *row)] for row in rows)


def write_told(city: City, as_of: date, department: str | None = None) -> list[Path]:
    """What applicants are told of the day, one list each; of all or of one department. Written from the ledger."""
    with city.server.session() as cursor:
        cursor.execute(
            """
            select r.applicant, r.request_number as request,
                   case e.event when 'opened' then 'received' else e.event end as event, e.as_of, e.state, e.department,
                   r.resource, r.column_name as "column", o.order_number as "order",
                   case when e.event = 'opened' then o.due_on end as due_on,
                   case when e.event = any(%(reasoned)s) then e.reason end as reason
            from ledger.requests r join ledger.items i on i.finding_id = r.request_id
            join ledger.events e on e.serial = i.serial join ledger.orders o on o.order_id = e.order_id
            where e.as_of = %(day)s and (%(department)s::text is null or r.applicant = %(department)s)
              and (e.event = any(%(told)s) or (e.event = 'opened' and i.transferred_from is null))
            order by r.applicant, length(r.request_number), r.request_number, i.opened_on, e.number
            """,
            {
                "day": as_of, "department": department, "told": [event.value for event in TOLD],
                "reasoned": [event.value for event in REASONED],
            },
        )  # fmt: skip
        names = [column.name for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    written: list[Path] = []
    for applicant in sorted({row["applicant"] for row in found}):
        folder = city.home.outbox / applicant / as_of.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        rows = [{key: value for key, value in row.items() if key != "applicant"} for row in found
                if row["applicant"] == applicant]  # fmt: skip
        made = write_list(folder / "requests", "Requests 校核申请", rows, as_of)
        enqueue(city, applicant, as_of, made)
        written += made
    return written
