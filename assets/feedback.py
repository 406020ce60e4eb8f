"""Feedback: what departments answer to their notices, and what the quality officer rules on objections.

A filled notice (XLSX or CSV) is read row by row; each answered row becomes one event of the ledger or is refused with
its row number and what would be allowed, and a receipt says so. An answer never settles an item: what it may do is in
`quality_checks.corrections`. Reading a spreadsheet belongs to `assets.feedback_files`.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from assets.corrections import tell
from assets.deliveries import date_in
from assets.feedback_files import Replies, UnreadableError, read_replies
from assets.notice_files import REPLIES, harmless
from quality_checks.corrections import ItemEvent, transitions_sql
from resources import clock, ledger
from resources.city import City
from resources.lake import literal

EVENTS = {
    "acknowledged": ItemEvent.acknowledged,
    "corrected": ItemEvent.corrected,
    "objection": ItemEvent.objection_raised,
    "wrong_source": ItemEvent.wrong_source,
    "needs_information": ItemEvent.needs_information,
}
SUFFIXES = (".csv", ".xlsx")


@dataclass(frozen=True)
class Refusal:
    """One row of a feedback file that was not taken."""

    row: str  # sheet and row as the spreadsheet shows them
    item_id: str
    message: str


@dataclass(frozen=True)
class FeedbackReceipt:
    """What became of one feedback file. `repeated` files were taken before and changed nothing."""

    department: str
    file: str
    sha256: str
    accepted: int
    refusals: tuple[Refusal, ...]
    repeated: bool
    path: Path


class UnknownItemError(LookupError):
    """No such item, or nothing to decide on it."""


def take(city: City, as_of: date, *, author: str) -> list[FeedbackReceipt]:
    """Import every file of `landing/<department>/feedback/`, oldest name first, and move it to the archive.

    A file named after a day, `20261103.csv`, waits for the pass to that day.
    """
    receipts = []
    for department in city.catalog.departments:
        folder = city.home.landing / department / "feedback"
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        for path in files:
            if _is_reply(path) and not _is_later(path, as_of):
                receipt = import_file(city, path, department, as_of, author=author)
                receipts.append(receipt)
                kept = city.home.archive / department / "feedback" / f"{receipt.sha256[:12]}-{path.name}"
                kept.parent.mkdir(parents=True, exist_ok=True)
                path.replace(kept)
    return receipts


def waiting_days(city: City, last: date | None) -> set[date]:
    """Business days that waiting replies need a pass for: the day a file is named after, never before the last pass."""
    days = set()
    for path in city.home.landing.glob("*/feedback/*"):
        if _is_reply(path) and path.parts[-3] in city.catalog.departments and (stated := date_in(path.name) or last):
            days.add(max(stated, last or stated))
    return days


def import_file(city: City, path: Path, department: str, as_of: date, *, author: str) -> FeedbackReceipt:
    """Take one department's replies and write a receipt to `outbox/<department>/<as_of>/`.

    Only the department's own items are touched. The same file again changes nothing. A file that cannot be read at all
    gives a receipt with one refusal.

    Raises:
        KeyError: the catalogue knows no such department.
    """
    if department not in city.catalog.departments:
        known = ", ".join(city.catalog.departments)
        raise KeyError(f"department {department!r}: must be one of: {known}")
    sha256 = _sha256(path)
    accepted = 0
    refusals: tuple[Refusal, ...] = ()
    with city.server.lock(ledger.LOCK):
        repeated = _taken_before(city, department, sha256)
        if not repeated:
            try:
                replies = read_replies(path)
            except UnreadableError as error:
                refusals = (Refusal("", "", str(error)),)
            else:
                refusals = _judge(city, replies, department)
                told = {"kind": "feedback", "actor": department, "author": author, "source": sha256}
                accepted = tell(city, "feedback_news", as_of=as_of, **told)
    folder = city.home.outbox / department / as_of.isoformat()
    receipt = FeedbackReceipt(
        department=department,
        file=path.name,
        sha256=sha256,
        accepted=accepted,
        refusals=refusals,
        repeated=repeated,
        path=folder / f"receipt-{sha256[:12]}.csv",
    )
    if not repeated:
        _write_receipt(receipt)
    return receipt


def decide(
    city: City,
    item_id: str,
    ruling: Literal["uphold", "reject"],
    reason: str,
    *,
    actor: str,
    as_of: date | None = None,
) -> None:
    """The quality officer's ruling on an objection; `actor` is the person, `reason` is kept in the ledger.

    Upheld, the record is excepted from the rule for as long as the disputed value stays.

    Raises:
        UnknownItemError: no such item, or no objection is pending on it.
        ValueError: no reason is given.
    """
    if not reason.strip():
        raise ValueError("reason: must say why the objection is upheld or rejected")
    event = {"uphold": ItemEvent.upheld, "reject": ItemEvent.rejected}[ruling]
    with city.server.lock(ledger.LOCK):
        city.con.execute(
            """
            CREATE OR REPLACE TEMP TABLE feedback_ruling AS
            SELECT $item AS item_id, $event AS event, $reason AS reason, NULL::VARCHAR AS evidence,
                   NULL::DATE AS by_date
            """,
            {"item": item_id, "event": str(event), "reason": reason.strip()},
        )
        day = as_of or clock.today()
        if not tell(city, "feedback_ruling", kind="decision", as_of=day, actor=actor, author=actor):
            raise UnknownItemError(f"item {item_id}: no objection is pending on it")


def _is_reply(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.is_symlink()


def _is_later(path: Path, as_of: date) -> bool:
    """Whether the file is named after a day after `as_of`."""
    stated = date_in(path.name)
    return stated is not None and stated > as_of


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _taken_before(city: City, department: str, sha256: str) -> bool:
    with city.server.session() as cursor:
        cursor.execute(
            "select count(*) from ledger.batches where department = %s and kind = 'feedback' and source = %s",
            (department, sha256),
        )
        return bool(cursor.fetchone()[0])


def _judge(city: City, replies: Replies, department: str) -> tuple[Refusal, ...]:
    """Split the replies: `feedback_news` holds what the ledger takes, the rest comes back with the reason."""
    con = city.con
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE feedback_replies AS
        SELECT unnest($place) AS place, unnest($item_id) AS item_id, unnest($reply) AS reply,
               nullif(unnest($reason), '') AS reason, nullif(unnest($evidence), '') AS evidence,
               nullif(unnest($by_date), '') AS said_date, generate_subscripts($place, 1) AS number
        """,
        replies.columns(),
    )
    codes = ", ".join(f"({literal(reply)}, {literal(event)})" for reply, event in EVENTS.items())
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE feedback_judged AS
        WITH judged AS (
            SELECT r.*, c.event, try_strptime(
                       said_date, ['%Y-%m-%d', '%Y/%m/%d', '%Y.%m.%d', '%Y%m%d'])::DATE AS by_date,
                   CASE WHEN i.item_id IS NULL THEN 'no such item of this department'
                        WHEN c.event IS NULL THEN concat('reply ', r.reply, ': must be one of: ', $codes)
                        WHEN c.reply = 'objection' AND r.reason IS NULL THEN 'an objection needs an explanation'
                        WHEN said_date IS NOT NULL AND by_date IS NULL
                            THEN concat('by_date ', said_date, ': must be a date, YYYY-MM-DD')
                        WHEN i.closed THEN concat('the item is closed: ', i.state)
                        WHEN t.event IS NULL THEN concat('not possible while the item is ', i.state)
                   END AS wrong
            FROM feedback_replies r
            LEFT JOIN (SELECT item_id, state, closed FROM shuyuan.ledger.item_states WHERE department = $department) i
                USING (item_id)
            LEFT JOIN (VALUES {codes}) c(reply, event) ON c.reply = r.reply
            LEFT JOIN {transitions_sql()} t ON t.state = i.state AND t.event = c.event
        )
        SELECT *, row_number() OVER (PARTITION BY item_id, wrong IS NULL ORDER BY number) > 1 AS again,
               coalesce(wrong, CASE WHEN again THEN 'the item is answered further up' END) AS refusal
        FROM judged
        """,
        {"department": department, "codes": ", ".join(REPLIES)},
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE feedback_news AS"
        " SELECT item_id, event, reason, evidence, by_date FROM feedback_judged WHERE refusal IS NULL"
    )
    refused = con.execute(
        "SELECT place, item_id, refusal FROM feedback_judged WHERE refusal IS NOT NULL ORDER BY number"
    ).fetchall()
    return tuple(Refusal(*row) for row in refused)


def _write_receipt(receipt: FeedbackReceipt) -> None:
    receipt.path.parent.mkdir(parents=True, exist_ok=True)
    partial = receipt.path.with_name(f".{receipt.path.name}.part")
    with partial.open("w", encoding="utf-8-sig", newline="") as text:
        lines = csv.writer(text, lineterminator="\r\n")
        lines.writerow(["file 文件", "row 行", "item_id 工单项编号", "outcome 结果"])
        lines.writerow([harmless(receipt.file), "", "", f"{receipt.accepted} accepted 已接收"])
        for refusal in receipt.refusals:
            outcome = f"refused 未接收: {refusal.message}"
            lines.writerow([harmless(cell) for cell in (receipt.file, refusal.row, refusal.item_id, outcome)])
    partial.replace(receipt.path)
