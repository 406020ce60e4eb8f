"""Disputes 争议 about objections (Order 809 art. 28): opened, argued, taken further, decided; kept in the ledger.

A dispute starts from an objection: one that is pending, or one that was rejected and that its department contests. The
other side is the applicant of a request, else the bureau whose rule it is. While it lasts nobody rules on the objection
otherwise (`assets.feedback.decide`), the value is marked, and its clock goes on. Its outcome is the objection's, in one
transaction. When a delivery takes away what it was about, it lapses. What was the last thing done is not done twice:
said again in the same words on the same day, as after a kill, it only tells both sides. What may happen when is
`quality_checks.dispute_states`; lists and files of it are `assets.dispute_book`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from assets.corrections import tell
from assets.dispute_book import DisputeRow, list_disputes, read_item, statements, write_told
from assets.exceptions import restore_marks
from assets.request_rows import locate_entities
from assets.sending import BUREAU
from quality_checks.corrections import ItemEvent, ItemState
from quality_checks.dispute_states import (
    ENDED,
    LEVELS,
    DisputeEvent,
    DisputeNotAllowedError,
    DisputeState,
    first_level,
    level_of,
    next_dispute_state,
)
from quality_checks.rule_book import rule_book
from quality_checks.working_days import Calendar, add_workdays
from resources import ledger
from resources.city import City

# What an event does to the item the dispute is about.
ON_ITEM = {
    DisputeEvent.upheld: ItemEvent.upheld,
    DisputeEvent.rejected: ItemEvent.rejected,
    DisputeEvent.withdrawn: ItemEvent.rejected,
}


class UnknownDisputeError(LookupError):
    """No such dispute or item that this party may see."""


class DisputeRefusedError(ValueError):
    """What was asked cannot happen to this dispute now; the message says why and what is allowed."""


@dataclass(frozen=True)
class Word:
    """Who says what: `party` is a department or the bureau (`city`), `actor` the person; both stay in the ledger."""

    party: str
    text: str
    actor: str
    as_of: date
    evidence: str | None = None


def open_dispute(city: City, item_id: str, word: Word) -> DisputeRow:
    """Open a dispute on an item's objection, with the first statement; a rejected one is raised anew by it.

    It begins one level above the one on which the same objection was rejected before, else with negotiation.

    Raises:
        UnknownDisputeError: no such item of this party's.
        DisputeRefusedError: no objection, no party to it, one is open, or the government has decided.
    """
    with city.server.lock(ledger.LOCK):
        item = read_item(city, item_id)
        if item is None or word.party not in (item["department"], item["opponent"]):
            raise UnknownDisputeError(f"item {item_id}: there is none of that id that {word.party} is a party to")
        if word.as_of < item["as_of"]:
            raise DisputeRefusedError(
                f"as_of = {word.as_of}: must not lie before {item['as_of']}, the item's last event"
            )
        pending = item["state"] == ItemState.objection_raised
        contested = item["state"] == ItemState.rejected and word.party == item["department"]
        earlier = [
            row for row in list_disputes(city, state="all", item_id=item_id) if row.opened_on >= item["begun_on"]
        ]
        if running := [row for row in earlier if not row.closed]:
            if _is_last(city, running[0].dispute_number, DisputeEvent.opened, word):
                return _told(city, running[0].dispute_number, word.as_of)
            raise DisputeRefusedError(f"item {item_id}: dispute {running[0].dispute_number} is open")
        if not (pending or contested):
            raise DisputeRefusedError(
                f"item {item_id}: is {item['state']}; a dispute needs a pending objection, or a rejected one that its"
                " department contests"
            )
        level = first_level(max((row.level for row in earlier if row.state == DisputeState.rejected), default=0))
        if level is None:
            raise DisputeRefusedError(f"item {item_id}: the government has decided on this objection (art. 28)")
        with city.server.session() as cursor:
            cursor.execute(
                "select count(distinct dispute_id) from ledger.dispute_events where number = 1 and as_of = %s",
                (word.as_of,),
            )
            number = f"D{word.as_of:%Y%m%d}-{cursor.fetchone()[0] + 1:04d}"
        item |= {"dispute_number": number, "number": 0, "state": level.state, "due_on": None}
        _write(city, item, word, DisputeEvent.opened, level.state, opened_again=contested)
        return _told(city, number, word.as_of)


def state(city: City, number: str, word: Word) -> DisputeRow:
    """Keep what a party has to say, with its evidence.

    Raises:
        UnknownDisputeError: no such dispute of this party's.
        DisputeRefusedError: it is over.
    """
    with _acting(city, number, word) as dispute:
        if not _is_last(city, number, DisputeEvent.stated, word):
            _write(city, dispute, word, DisputeEvent.stated, _next(dispute, DisputeEvent.stated))
    return _told(city, number, word.as_of)


def escalate(city: City, number: str, word: Word, to: str | None = None) -> DisputeRow:
    """Take a dispute to the next level, or to the higher one named; what is between parties of one level skips none
    but the common superior, which only coordinates across levels or regions.

    Raises:
        UnknownDisputeError: no such dispute of this party's.
        DisputeRefusedError: it is over, on the last level, or `to` is not above it.
    """
    known = [str(level.state) for level in LEVELS]
    if to is not None and to not in known:
        raise DisputeRefusedError(f"to = {to!r}: must be one of: {', '.join(known)}")
    with _acting(city, number, word) as dispute:
        target = DisputeState(to) if to else None
        if not _is_last(city, number, DisputeEvent.escalated, word) or (target and target != dispute["state"]):
            _write(city, dispute, word, DisputeEvent.escalated, _next(dispute, DisputeEvent.escalated, target))
    return _told(city, number, word.as_of)


def decide(city: City, number: str, outcome: str, word: Word, *, rule_version: int | None = None) -> DisputeRow:
    """End a dispute by the word of its level: `upheld` (the value stands) or `rejected` (it is to be corrected).

    Upheld, the record is excepted while the value stays; with `rule_version` only until that version of the rule judges
    it. `word.party` is the bureau, which keeps the ledger; who decided is the level.

    Raises:
        UnknownDisputeError: no such dispute.
        DisputeRefusedError: it is over, or the rule has that version already.
    """
    events = {"upheld": DisputeEvent.upheld, "rejected": DisputeEvent.rejected}
    if outcome not in events:
        raise DisputeRefusedError(f"outcome = {outcome!r}: must be one of: {', '.join(events)}")
    with _acting(city, number, word) as dispute:
        if not _is_last(city, number, events[outcome], word):
            if rule_version is not None:
                _check_version(city, dispute, outcome, rule_version)
            _write(city, dispute, word, events[outcome], _next(dispute, events[outcome]), rule_version=rule_version)
        restore_marks(city, author=word.actor)
    return _told(city, number, word.as_of)


def withdraw(city: City, number: str, word: Word) -> DisputeRow:
    """The department gives its objection up; the correction is owed.

    Raises:
        UnknownDisputeError: no such dispute of this department's.
        DisputeRefusedError: it is over, or the party is not the one that objected.
    """
    with _acting(city, number, word) as dispute:
        if word.party != dispute["department"]:
            raise DisputeRefusedError(f"dispute {number}: only {dispute['department']}, who objected, withdraws it")
        if not _is_last(city, number, DisputeEvent.withdrawn, word):
            _write(city, dispute, word, DisputeEvent.withdrawn, _next(dispute, DisputeEvent.withdrawn))
    return _told(city, number, word.as_of)


@contextmanager
def _acting(city: City, number: str, word: Word) -> Iterator[dict[str, Any]]:
    """Hold the ledger and give the dispute, if the party may see it; the bureau keeps the ledger and sees all."""
    if not word.text.strip():
        raise DisputeRefusedError("text: must say why; it is kept in the ledger")
    with city.server.lock(ledger.LOCK):
        found = list_disputes(city, state="all", number=number)
        if not found or word.party not in (found[0].department, found[0].opponent, BUREAU):
            raise UnknownDisputeError(f"dispute {number}: there is none of that number that {word.party} is a party to")
        if word.as_of < found[0].as_of:
            raise DisputeRefusedError(f"as_of = {word.as_of}: must not lie before {found[0].as_of}, its last event")
        item = read_item(city, found[0].item_id) or {}
        told = {"dispute_number": number, "number": found[0].number, "due_on": found[0].due_on}
        yield item | told | {"state": found[0].state, "opponent": found[0].opponent, "level": found[0].level}


def _is_last(city: City, number: str, event: DisputeEvent, word: Word) -> bool:
    """Whether this very word is the last thing that happened to the dispute."""
    last = statements(city, number)[-1]
    told = (last.event, last.actor, last.as_of, last.reason, last.evidence)
    ruled = event in (DisputeEvent.upheld, DisputeEvent.rejected)
    return told == (event, word.actor, word.as_of, word.text.strip(), word.evidence) and (
        ruled or last.party == word.party
    )


def _next(dispute: dict[str, Any], event: DisputeEvent, to: DisputeState | None = None) -> DisputeState:
    try:
        return next_dispute_state(DisputeState(dispute["state"]), event, to)
    except DisputeNotAllowedError as error:
        raise DisputeRefusedError(f"dispute {dispute['dispute_number']}: {error}") from error


def _check_version(city: City, dispute: dict[str, Any], outcome: str, rule_version: int) -> None:
    rule = rule_book(city.catalog).get(dispute["rule_id"])
    if outcome != "upheld" or rule is None:
        raise DisputeRefusedError("rule_version: is for an objection that is upheld against a rule of the catalogue")
    if rule_version <= dispute["rule_version"]:
        raise DisputeRefusedError(
            f"rule_version = {rule_version}: must be later than {dispute['rule_version']}, which judged the item"
        )


def _write(
    city: City,
    dispute: dict[str, Any],
    word: Word,
    event: DisputeEvent,
    after: DisputeState,
    *,
    opened_again: bool = False,
    rule_version: int | None = None,
) -> None:
    """Append the event, and with it what it does to the item, in one transaction."""
    if not word.text.strip():
        raise DisputeRefusedError("text: must say why; it is kept in the ledger")
    con = city.con
    over = after in ENDED
    level = level_of(DisputeState(dispute["state"])) if over else level_of(after)
    days = {str(known): days for known, days in city.catalog.jurisdiction.dispute_days.items()}.get(str(after))
    due_on = None if over else dispute["due_on"]
    if days and event in (DisputeEvent.opened, DisputeEvent.escalated):
        due_on = add_workdays(word.as_of, days, Calendar.with_table(city.catalog.holidays))[0]
    elif event is DisputeEvent.escalated:
        due_on = None
    ruled = event in (DisputeEvent.upheld, DisputeEvent.rejected)
    told = {
        "dispute_number": dispute["dispute_number"], "number": dispute["number"] + 1, "item": dispute["item_id"],
        "department": dispute["department"], "opponent": dispute["opponent"], "event": str(event),
        "state": str(after), "level": level.number, "party": level.decides if ruled else word.party,
        "day": word.as_of, "due_on": due_on, "version": rule_version, "actor": word.actor,
        "reason": word.text.strip(), "evidence": word.evidence, "resource": dispute["resource"],
        "record_key": dispute["record_key"], "column": dispute["column_name"],
    }  # fmt: skip
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE disputes_events AS
        SELECT md5('dispute|' || $dispute_number) AS dispute_id, $number::INTEGER AS number, $department AS department,
               $dispute_number AS dispute_number, $item AS item_id, $opponent AS opponent, $event AS event,
               $state AS state, $level::INTEGER AS level, $party AS party, $day::DATE AS as_of, $due_on::DATE AS due_on,
               $version::INTEGER AS rule_version, NULL::VARCHAR AS library, NULL::VARCHAR AS attribute, $actor AS actor,
               NULL::VARCHAR AS entity_id, $reason AS reason, $evidence::VARCHAR AS evidence, $resource AS resource,
               $record_key::VARCHAR AS record_key, $column AS column_name
        """,
        told,
    )
    if event is DisputeEvent.opened:
        locate_entities(con, city.catalog, "disputes_events")
    on_item = ItemEvent.objection_raised if opened_again else ON_ITEM.get(event)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE disputes_news AS SELECT $item AS item_id, $event AS event, $reason AS reason,"
        " $evidence::VARCHAR AS evidence, NULL::DATE AS by_date WHERE $event IS NOT NULL",
        {"item": told["item"], "event": on_item and str(on_item), "reason": told["reason"], "evidence": word.evidence},
    )
    tell(
        city, "disputes_news", kind="dispute", as_of=word.as_of, actor=word.actor, author=word.actor,
        dispute_events="disputes_events",
    )  # fmt: skip


def _told(city: City, number: str, as_of: date) -> DisputeRow:
    write_told(city, as_of)
    return list_disputes(city, state="all", number=number)[0]
