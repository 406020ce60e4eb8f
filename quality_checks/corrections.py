"""The life of a correction item as data: states, events, what may happen in which state, and what a pass decides.

An item is one finding that was sent back to its department. People answer it, but only the rule, run on the record the
department states next, can settle it: deleting the record, blanking the field, silence, or a change in somebody else's
data never counts as corrected. Add a state or an event here, with its transitions. Reading the lake and writing the
ledger is `assets.corrections`; nothing here touches a database.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ItemState(StrEnum):
    """Where an item stands (design section 8)."""

    open = "open"
    notified = "notified"
    acknowledged = "acknowledged"
    insufficient_information = "insufficient_information"
    wrong_source = "wrong_source"  # the department says the record is not its own
    still_wrong = "still_wrong"  # stated again, the rule fails again
    blanked_at_source = "blanked_at_source"  # the field is empty now
    removed_at_source = "removed_at_source"  # the record is gone: needs the department's reason
    key_changed = "key_changed"  # the record is gone, its content stands under another key
    moved = "moved"  # the record is gone, another resource of the department states it with the same wrong value
    feed_silent = "feed_silent"  # no delivery although one is due: the clock runs on
    objection_raised = "objection_raised"
    rejected = "rejected"  # the objection was
    reopened = "reopened"  # it was settled, the rule fails again
    verified_as_suggested = "verified_as_suggested"
    verified_otherwise = "verified_otherwise"
    upheld = "upheld"  # the objection was: the record is excepted for as long as the value stays
    rule_withdrawn = "rule_withdrawn"  # of a request: its applicant took it back
    resolved_elsewhere = "resolved_elsewhere"  # somebody else's data changed; settled, but no correction
    transferred = "transferred"  # another department answers for it: an item of its own, with this one's history


class ItemEvent(StrEnum):
    """What can happen to an item. Most events are named after the state they lead to."""

    opened = "opened"
    notified = "notified"
    acknowledged = "acknowledged"
    will_correct = "will_correct"  # by a date
    corrected = "corrected"  # the department says so: proves nothing
    needs_information = "needs_information"
    informed = "informed"  # the bureau answered what was asked
    wrong_source = "wrong_source"
    objection_raised = "objection_raised"
    upheld = "upheld"
    rejected = "rejected"
    still_wrong = "still_wrong"
    stated_again = "stated_again"  # the record changed, the disputed value did not
    blanked_at_source = "blanked_at_source"
    removed_at_source = "removed_at_source"
    key_changed = "key_changed"
    moved = "moved"
    feed_silent = "feed_silent"
    verified_as_suggested = "verified_as_suggested"
    verified_otherwise = "verified_otherwise"
    rule_withdrawn = "rule_withdrawn"
    resolved_elsewhere = "resolved_elsewhere"
    reopened = "reopened"
    transferred = "transferred"  # the bureau's ruling on `wrong_source`
    erased = "erased"  # its personal values, by law: the state stays


class NotAllowedError(Exception):
    """An event that cannot happen in the item's state; the message says which can."""

    def __init__(self, state: ItemState, event: ItemEvent) -> None:
        allowed = ", ".join(sorted(known for held, known in TRANSITIONS if held is state)) or "none"
        super().__init__(f"event {event} in state {state}: allowed are {allowed}")


S, E = ItemState, ItemEvent

CORRECTED = frozenset({S.verified_as_suggested, S.verified_otherwise})
SETTLED = CORRECTED | {S.upheld, S.rule_withdrawn, S.resolved_elsewhere, S.transferred}
UNSETTLED = frozenset(S) - SETTLED
# A claim is pending or was granted: it stands while the department states the same value.
STANDING = frozenset({S.objection_raised, S.insufficient_information, S.wrong_source, S.upheld})
# The record is not where it was judged.
GONE = frozenset({S.removed_at_source, S.key_changed, S.moved})
# What the last delivery showed stays visible whatever the department answers, objections apart.
SHOWN = GONE | {S.still_wrong, S.blanked_at_source, S.feed_silent}

_UNANSWERED = frozenset({S.open, S.notified, S.acknowledged, S.rejected, S.reopened})


_ANSWERABLE = _UNANSWERED | {S.insufficient_information, S.wrong_source}

# In these states, this event leads to that state; None: the state stays.
_DRAWN: tuple[tuple[frozenset[ItemState], ItemEvent, ItemState | None], ...] = (
    (frozenset({S.open}), E.notified, S.notified),
    (SHOWN | {S.reopened}, E.notified, None),  # an order that was held or accepted is sent after later deliveries
    # Answers.
    (_ANSWERABLE, E.acknowledged, S.acknowledged),
    (_ANSWERABLE, E.will_correct, S.acknowledged),
    (_ANSWERABLE, E.corrected, S.acknowledged),
    (SHOWN, E.acknowledged, None),
    (SHOWN, E.will_correct, None),
    (SHOWN, E.corrected, None),
    (_ANSWERABLE | {S.still_wrong, S.feed_silent}, E.needs_information, S.insufficient_information),
    (_ANSWERABLE | {S.still_wrong, S.feed_silent}, E.wrong_source, S.wrong_source),
    (UNSETTLED, E.objection_raised, S.objection_raised),
    (frozenset({S.objection_raised}), E.upheld, S.upheld),
    (frozenset({S.objection_raised}), E.rejected, S.rejected),
    (frozenset({S.insufficient_information}), E.informed, S.notified),
    (frozenset({S.wrong_source}), E.transferred, S.transferred),
    (frozenset({S.wrong_source}), E.rejected, S.rejected),
    (frozenset(S), E.erased, None),
    # Judgements.
    (UNSETTLED, E.still_wrong, S.still_wrong),
    (STANDING, E.stated_again, None),
    (UNSETTLED - {S.blanked_at_source}, E.blanked_at_source, S.blanked_at_source),
    (UNSETTLED - GONE, E.removed_at_source, S.removed_at_source),
    (UNSETTLED - GONE | {S.removed_at_source}, E.key_changed, S.key_changed),
    (UNSETTLED - GONE | {S.removed_at_source}, E.moved, S.moved),
    (_UNANSWERED | {S.still_wrong}, E.feed_silent, S.feed_silent),
    (UNSETTLED | {S.upheld}, E.verified_as_suggested, S.verified_as_suggested),
    (UNSETTLED | {S.upheld}, E.verified_otherwise, S.verified_otherwise),
    (UNSETTLED, E.rule_withdrawn, S.rule_withdrawn),
    (UNSETTLED, E.resolved_elsewhere, S.resolved_elsewhere),
    (SETTLED, E.reopened, S.reopened),  # what was transferred only by the bureau: it came back
)

TRANSITIONS: dict[tuple[ItemState, ItemEvent], ItemState] = {
    (state, event): after or state for states, event, after in _DRAWN for state in states
}


def next_state(state: ItemState, event: ItemEvent) -> ItemState:
    """The state after `event`.

    Raises:
        NotAllowedError: the event cannot happen in this state.
    """
    if (state, event) not in TRANSITIONS:
        raise NotAllowedError(state, event)
    return TRANSITIONS[state, event]


# What a pass knows about an item, one boolean each; `decision_sql` reads them as columns beside `state`.
FACTS: dict[str, str] = {
    "withdrawn": "the rule is no longer in the catalogue",
    "evaluated": "the rule was evaluated on the resource in this pass, without error",
    "failing": "the finding is open",
    "present": "the record is in the pool",
    "rekeyed": "it is not, but its content, newly under another key",
    "elsewhere": "it is not, but newly in another resource of the department, with the same wrong value",
    "newer": "the resource got a delivery after the one that judged the item last",
    "restated": "the record itself was stated by such a delivery",
    "changed": "and it differs from the record that was judged last",
    "kept": "the rule looks beyond the record, whose field holds the wrong value judged last",
    "same_value": "the wrong value is the one last judged, and no later version of the rule was to judge it anew",
    "blank": "the field is empty now, or another that the rule needs",
    "was_blank": "emptiness was what the rule objected to",
    "as_suggested": "the field holds the suggested value",
    "late": "the feed is overdue by its cycle",
}


@dataclass(frozen=True)
class Decision:
    """One sentence of judgement: the event, and when it happens as SQL over `FACTS` and `state`."""

    event: ItemEvent
    when: str


def _states(states: frozenset[ItemState]) -> str:
    return "state IN (" + ", ".join(f"'{state}'" for state in sorted(states)) + ")"


# The first that holds decides; an event the state does not allow, or that says nothing new, is not written.
DECISIONS: tuple[Decision, ...] = (
    Decision(E.rule_withdrawn, f"withdrawn AND NOT {_states(SETTLED)}"),
    Decision(E.reopened, f"evaluated AND failing AND {_states(SETTLED - {S.upheld, S.transferred})}"),
    Decision(E.reopened, "evaluated AND failing AND state = 'upheld' AND NOT same_value"),
    Decision(E.key_changed, "evaluated AND NOT present AND newer AND rekeyed"),
    Decision(E.moved, "evaluated AND NOT present AND newer AND elsewhere"),
    Decision(E.removed_at_source, "evaluated AND NOT present AND newer"),
    Decision(E.stated_again, f"evaluated AND failing AND restated AND same_value AND {_states(STANDING)}"),
    Decision(E.still_wrong, "evaluated AND failing AND restated"),
    # Deliveries come again, but not with this record.
    Decision(E.still_wrong, "evaluated AND failing AND newer AND state = 'feed_silent'"),
    Decision(E.blanked_at_source, "evaluated AND NOT failing AND present AND blank AND NOT was_blank"),
    Decision(
        E.verified_as_suggested, "evaluated AND NOT failing AND present AND changed AND NOT kept AND as_suggested"
    ),
    Decision(E.verified_otherwise, "evaluated AND NOT failing AND present AND changed AND NOT kept"),
    Decision(E.resolved_elsewhere, "evaluated AND NOT failing AND present"),
    Decision(E.feed_silent, "late"),
)


def decision_sql(facts: str) -> str:
    """DuckDB SQL that judges every item of the relation `facts` at once.

    `facts` has `item_id`, `state` and the boolean columns of `FACTS`. One row per item something happens to:
    `item_id, state` (before), `event, next_state, closed`.
    """
    cases = "\n".join(f"WHEN {decision.when} THEN '{decision.event}'" for decision in DECISIONS)
    return f"""
        SELECT f.item_id, f.state, f.event, t.next_state, t.closed
        FROM (SELECT *, CASE {cases} END AS event FROM {facts}) f JOIN {transitions_sql()} t USING (state, event)
        WHERE t.next_state <> f.state OR changed OR (failing AND NOT same_value)"""


def transitions_sql() -> str:
    """The transitions as a DuckDB relation: `state, event, next_state, closed`."""
    rows = ", ".join(
        f"('{state}', '{event}', '{after}', {str(after in SETTLED).lower()})"
        for (state, event), after in sorted(TRANSITIONS.items())
    )
    return f"(SELECT * FROM (VALUES {rows}) AS drawn(state, event, next_state, closed))"
