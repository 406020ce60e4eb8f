"""Feedback: what departments answer to their notices, and what the quality officer rules on objections.

A filled notice (XLSX, CSV or JSON) is read row by row; each answered row becomes one event of the ledger or is refused,
and a receipt says so row by row in Chinese and English. An answer never settles an item: what it may do is in
`quality_checks.corrections`. A question stops the clock of its order. Reading a file belongs to
`assets.feedback_files`, judging its rows to `assets.feedback_rows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from assets import receipts
from assets.corrections import tell
from assets.deliveries import date_in
from assets.dispute_book import open_dispute_of, read_item
from assets.exceptions import restore_marks
from assets.feedback_files import Replies, UnreadableError, read_replies
from assets.feedback_rows import judge
from assets.landing import at_rest, handed_in, sha256_of, shown
from assets.notice_files import harmless_sql
from assets.order_clock import ask_sql, read_live
from quality_checks.corrections import ItemEvent
from resources import clock, ledger
from resources.city import City
from resources.lake import literal

TITLES = ("row 行", "item_id 工单项编号", "outcome 结果", "说明", "meaning")  # of a receipt, after the file


@dataclass(frozen=True)
class Refusal:
    """One row of a feedback file that was not taken: why, as a code, in English and in Chinese."""

    row: str  # sheet and row as the spreadsheet shows them
    item_id: str
    outcome: str
    message: str
    zh: str


@dataclass(frozen=True)
class FeedbackReceipt:
    """What became of one feedback file. `repeated` files were taken before and changed nothing.

    `accepted` counts the rows that were taken, `late` those of them that came after their deadline, `unanswered` the
    rows in which nothing was filled in: they stand as they did.
    """

    department: str
    file: str
    sha256: str
    accepted: int
    late: int
    unanswered: int
    refusals: tuple[Refusal, ...]
    repeated: bool
    path: Path


class UnknownItemError(LookupError):
    """No such item, or nothing to decide on it."""


def take(city: City, as_of: date, *, author: str) -> list[FeedbackReceipt]:
    """Import every file of `landing/<department>/feedback/`, oldest name first, and move it to the archive.

    A file named after a day, `20261103.csv`, waits for the pass to that day.
    """
    taken = []
    for department in city.catalog.departments:
        for path in handed_in(city.home.landing / department / "feedback"):
            if not _is_later(path, as_of) and at_rest(path):
                receipt = import_file(city, path, department, as_of, author=author)
                taken.append(receipt)
                kept = city.home.archive / department / "feedback" / f"{receipt.sha256[:12]}-{path.name}"
                kept.parent.mkdir(parents=True, exist_ok=True)
                path.replace(kept)
    return taken


def waiting_days(city: City, last: date | None) -> set[date]:
    """Business days that waiting replies need a pass for: the day a file is named after, never before the last pass."""
    days = set()
    for department in city.catalog.departments:
        for path in handed_in(city.home.landing / department / "feedback"):
            if stated := date_in(path.name) or last:
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
    sha256 = sha256_of(path)
    replies = Replies()
    refusals: tuple[Refusal, ...] = ()
    accepted = late = 0
    told = city.home.outbox / department / as_of.isoformat() / f"receipt-{sha256[:12]}.csv"
    with city.server.lock(ledger.LOCK):
        unfinished = receipts.unfinished(told)
        repeated = _taken_before(city, department, sha256)
        if not repeated:
            try:
                replies = read_replies(path)
            except UnreadableError as error:
                refusals = (Refusal("", "", "unreadable", str(error), error.zh),)
            judge(city, replies, department, as_of)
            refusals += _refused(city)
            accepted = _count(city, "outcome IN ('taken', 'taken_late')")
            late = _count(city, "outcome = 'taken_late'")
        receipt = FeedbackReceipt(
            department=department,
            file=shown(path),
            sha256=sha256,
            accepted=accepted,
            late=late,
            unanswered=replies.unanswered,
            refusals=refusals,
            repeated=repeated,
            path=told,
        )
        if not repeated:
            for partial in unfinished:
                partial.unlink()
            unfinished = [_write_receipt(city, receipt)]
            _append(city, department, as_of, author=author, sha256=sha256)
        receipts.show(unfinished)
        if repeated and not unfinished:
            receipts.taken_before(told, ("file 文件", *TITLES), receipt.file)
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
        ValueError: no reason is given, the day lies before the item's last event, or a dispute about it is open: that
            is decided by its level.
    """
    if not reason.strip():
        raise ValueError("reason: must say why the objection is upheld or rejected")
    event = {"uphold": ItemEvent.upheld, "reject": ItemEvent.rejected}[ruling]
    with city.server.lock(ledger.LOCK):
        if dispute := open_dispute_of(city, item_id):
            raise ValueError(f"item {item_id}: dispute {dispute} is open; rule by `shuyuan disputes decide {dispute}`")
        day = as_of or clock.today()
        if (item := read_item(city, item_id)) and day < item["as_of"]:
            raise ValueError(f"as_of = {day}: must not lie before {item['as_of']}, the item's last event")
        city.con.execute(
            """
            CREATE OR REPLACE TEMP TABLE feedback_ruling AS
            SELECT $item AS item_id, $event AS event, $reason AS reason, NULL::VARCHAR AS evidence,
                   NULL::DATE AS by_date
            """,
            {"item": item_id, "event": str(event), "reason": reason.strip()},
        )
        ruled = tell(city, "feedback_ruling", kind="decision", as_of=day, actor=actor, author=actor)
        restore_marks(city, author=actor)
        if not ruled:
            raise UnknownItemError(f"item {item_id}: no objection is pending on it")


def _is_later(path: Path, as_of: date) -> bool:
    """Whether the file is named after a day after `as_of`."""
    stated = date_in(path.name)
    return stated is not None and stated > as_of


def _taken_before(city: City, department: str, sha256: str) -> bool:
    with city.server.session() as cursor:
        cursor.execute(
            "select count(*) from ledger.batches where department = %s and kind = 'feedback' and source = %s",
            (department, sha256),
        )
        return bool(cursor.fetchone()[0])


def _append(city: City, department: str, as_of: date, *, author: str, sha256: str) -> None:
    """What was taken becomes events of the ledger, and a question stops its order's clock; one transaction."""
    con = city.con
    con.execute(
        "CREATE OR REPLACE TEMP TABLE feedback_news AS SELECT item_id, event, reason, evidence, by_date, order_id"
        " FROM feedback_judged WHERE outcome IN ('taken', 'taken_late')"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE feedback_asking AS SELECT DISTINCT order_id FROM feedback_news"
        f" WHERE event = '{ItemEvent.needs_information}'"
    )
    read_live(con)
    con.execute(f"CREATE OR REPLACE TEMP TABLE feedback_pauses AS {ask_sql('feedback_asking', as_of, department)}")
    told = {"kind": "feedback", "actor": department, "author": author, "source": sha256}
    tell(city, "feedback_news", as_of=as_of, order_events="feedback_pauses", standing="feedback_items", **told)


def _refused(city: City) -> tuple[Refusal, ...]:
    rows = city.con.execute(
        "SELECT place, coalesce(item_id, ''), outcome, en, zh FROM feedback_judged"
        " WHERE outcome NOT IN ('taken', 'taken_late') ORDER BY number"
    ).fetchall()
    return tuple(Refusal(*row) for row in rows)


def _count(city: City, which: str) -> int:
    row = city.con.execute(f"SELECT count(*) FROM feedback_judged WHERE {which}").fetchone()
    return int(row[0]) if row else 0


def _write_receipt(city: City, receipt: FeedbackReceipt) -> Path:
    """One line with the counts, then one per answered row: taken, or refused and why.

    Returns the file, which has another name until the ledger holds what it says.
    """
    receipt.path.parent.mkdir(parents=True, exist_ok=True)
    partial = receipts.hidden(receipt.path)
    unreadable = [one for one in receipt.refusals if one.outcome == "unreadable"]
    taken, late, refused, empty = receipt.accepted, receipt.late, len(receipt.refusals), receipt.unanswered
    zh = f"接收 {taken},其中逾期 {late},未接收 {refused},未填 {empty}"
    en = f"{taken} taken, {late} of them late, {refused} refused, {empty} not filled in"
    whole = unreadable[0] if unreadable else Refusal("", "", "summary", en, zh)
    first = harmless_sql(literal(receipt.file))
    cells = [harmless_sql(name) for name in ("place", "item_id", "outcome", "zh", "en")]
    rows = ", ".join(f'{cell} AS "{title}"' for cell, title in zip(cells, TITLES, strict=True))
    city.con.execute(
        f"""
        COPY (
            SELECT {first} AS "\ufefffile 文件", {rows} FROM (
                SELECT 0 AS number, '' AS place, '' AS item_id, $outcome AS outcome, $zh AS zh, $en AS en
                UNION ALL
                SELECT number, place, item_id, outcome, zh, en FROM feedback_judged
            ) ORDER BY number
        ) TO {literal(str(partial))} (FORMAT csv, HEADER)
        """,
        {"outcome": whole.outcome, "zh": whole.zh, "en": whole.message},
    )
    return partial
