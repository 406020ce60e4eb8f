"""The life of a dispute as data: the four levels of Order 809 art. 28, events, and what may happen in which state.

A dispute is about one objection: the department that states a value says it is right, the bureau's rule or the
applicant of a request says it is wrong. 政务数据共享条例第二十八条: the parties negotiate; the data sharing authority
of their level coordinates; where they are of different levels or regions, their common superior authority does; what
still is not agreed is decided by the people's government of the authority's level. A dispute only goes up, and an
outcome ends it. Nothing here touches a database; opening and writing is `assets.disputes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DisputeState(StrEnum):
    """Where a dispute stands: on one of the levels, or how it ended."""

    negotiation = "negotiation"
    authority = "authority"
    superior = "superior"
    government = "government"
    upheld = "upheld"  # the objection was: the value stands, the record is excepted
    rejected = "rejected"  # the objection was: the department owes the correction
    withdrawn = "withdrawn"  # by the department: it gives its objection up
    lapsed = "lapsed"  # a delivery, or the applicant, took away what it was about


class DisputeEvent(StrEnum):
    """What can happen to a dispute."""

    opened = "opened"
    stated = "stated"  # what a party has to say, with its evidence
    escalated = "escalated"
    upheld = "upheld"
    rejected = "rejected"
    withdrawn = "withdrawn"
    lapsed = "lapsed"


@dataclass(frozen=True)
class Level:
    """One level of the ladder: who is asked there, and whose word ends the dispute. `decides` is kept as the party."""

    number: int
    state: DisputeState
    decides: str
    zh: str
    en: str


class DisputeNotAllowedError(Exception):
    """An event that cannot happen in the dispute's state; the message says which can."""

    def __init__(self, state: DisputeState, event: DisputeEvent) -> None:
        allowed = ", ".join(sorted({known for held, known in DISPUTE_TRANSITIONS if held is state})) or "none"
        super().__init__(f"dispute event {event} in state {state}: allowed are {allowed}")


S, E = DisputeState, DisputeEvent

LEVELS = (
    Level(1, S.negotiation, "parties", "双方协商", "the parties negotiate; what they agree on ends it"),
    Level(2, S.authority, "authority", "同级政务数据共享主管部门协调处理", "the data sharing authority of their level"),
    Level(3, S.superior, "superior", "共同的上级政务数据共享主管部门协调处理", "their common superior authority"),
    Level(4, S.government, "government", "本级人民政府决定", "the people's government of the authority's level"),
)
OPEN = frozenset(level.state for level in LEVELS)
ENDED = frozenset(S) - OPEN
OUTCOMES = {E.upheld: S.upheld, E.rejected: S.rejected, E.withdrawn: S.withdrawn, E.lapsed: S.lapsed}

# (state, event) -> the states that may follow; only an escalation leaves a choice, and all of it lies above.
DISPUTE_TRANSITIONS: dict[tuple[DisputeState, DisputeEvent], tuple[DisputeState, ...]] = {
    **{(level.state, E.stated): (level.state,) for level in LEVELS},
    **{(level.state, event): (after,) for level in LEVELS for event, after in OUTCOMES.items()},
    **{
        (level.state, E.escalated): tuple(above.state for above in LEVELS[level.number :])
        for level in LEVELS[:-1]
    },
}  # fmt: skip


def level_of(state: DisputeState) -> Level:
    """The level of a dispute that is not over.

    Raises:
        ValueError: it is over.
    """
    found = [level for level in LEVELS if level.state is state]
    if not found:
        raise ValueError(f"state {state}: the dispute is over")
    return found[0]


def first_level(decided: int) -> Level | None:
    """Where a dispute begins: one above the level on which the same objection was rejected, None above the last.

    `decided` is that level, 0 when there was none.
    """
    return LEVELS[decided] if decided < len(LEVELS) else None


def next_dispute_state(state: DisputeState, event: DisputeEvent, to: DisputeState | None = None) -> DisputeState:
    """The state after `event`; of an escalation the next level, or the higher one named by `to`.

    Raises:
        DisputeNotAllowedError: the event cannot happen in this state, or `to` is not above it.
    """
    after = DISPUTE_TRANSITIONS.get((state, event))
    if after is None or (to is not None and to not in after):
        raise DisputeNotAllowedError(state, event)
    return to or after[0]
