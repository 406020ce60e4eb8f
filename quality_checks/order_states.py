"""The life of a correction order as data: states, events and what may happen in which state.

An order is closed by its items alone; everything else that happens to it moves its clock or tells people. Its items are
`quality_checks.corrections`. Add a state or an event here, with its transitions; nothing here touches a database.
"""

from __future__ import annotations

from enum import StrEnum


class OrderState(StrEnum):
    """Where an order stands. How far it was escalated is its `level`, how often extended is in its events."""

    open = "open"  # no notice went out yet
    held = "held"  # the bureau looks at it before it is sent
    notified = "notified"  # the clock runs
    paused = "paused"  # the department waits for the bureau: the clock stands
    accepted = "accepted"  # a known problem until a day: neither sent nor taken further; its items are judged on
    closed = "closed"  # none of its items is open
    withdrawn = "withdrawn"  # the bureau took it back: nothing is due; its items are judged on
    transferred = "transferred"  # all its items went to other departments' orders


class OrderEvent(StrEnum):
    """What can happen to an order."""

    opened = "opened"
    systematic = "systematic"  # nearly all rows fail the rule: one cause is likely
    held = "held"
    still_held = "still_held"  # the bureau is reminded that it has not looked
    released = "released"
    accepted = "accepted"
    enforced = "enforced"  # the acceptance ended: by its day, a new version of the rule, or the bureau
    notified = "notified"
    reminded = "reminded"
    paused = "paused"
    resumed = "resumed"
    extended = "extended"
    escalated = "escalated"
    recomputed = "recomputed"  # the calendar of working days changed, and with it the deadline
    closed = "closed"
    withdrawn = "withdrawn"
    transferred = "transferred"


class OrderNotAllowedError(Exception):
    """An event that cannot happen in the order's state; the message says which can."""

    def __init__(self, state: OrderState, event: OrderEvent) -> None:
        allowed = ", ".join(sorted(known for held, known in ORDER_TRANSITIONS if held is state)) or "none"
        super().__init__(f"order event {event} in state {state}: allowed are {allowed}")


S, E = OrderState, OrderEvent

DONE = frozenset({S.closed, S.withdrawn, S.transferred})
LIVE = frozenset(S) - DONE

# In these states, this event leads to that state; None: the state stays.
_DRAWN: tuple[tuple[frozenset[OrderState], OrderEvent, OrderState | None], ...] = (
    (frozenset({S.open}), E.systematic, None),
    (frozenset({S.open}), E.held, S.held),
    (frozenset({S.held}), E.still_held, None),
    (frozenset({S.held}), E.released, S.open),
    (LIVE, E.accepted, S.accepted),  # again: to another day
    (frozenset({S.accepted}), E.enforced, S.open),
    (frozenset({S.open}), E.notified, S.notified),
    (frozenset({S.notified}), E.reminded, None),
    (frozenset({S.notified}), E.paused, S.paused),
    (frozenset({S.paused}), E.resumed, S.notified),
    (frozenset({S.notified, S.paused}), E.extended, None),
    (frozenset({S.notified}), E.escalated, None),
    (LIVE, E.recomputed, None),
    (LIVE, E.closed, S.closed),
    (LIVE, E.withdrawn, S.withdrawn),
    (LIVE, E.transferred, S.transferred),
)

ORDER_TRANSITIONS: dict[tuple[OrderState, OrderEvent], OrderState] = {
    (state, event): after or state for states, event, after in _DRAWN for state in states
}


def next_order_state(state: OrderState, event: OrderEvent) -> OrderState:
    """The state after `event`.

    Raises:
        OrderNotAllowedError: the event cannot happen in this state.
    """
    if (state, event) not in ORDER_TRANSITIONS:
        raise OrderNotAllowedError(state, event)
    return ORDER_TRANSITIONS[state, event]


def order_transitions_sql() -> str:
    """The transitions as a DuckDB relation: `state, event, next_state`."""
    rows = ", ".join(
        f"('{state}', '{event}', '{after}')" for (state, event), after in sorted(ORDER_TRANSITIONS.items())
    )
    return f"(SELECT * FROM (VALUES {rows}) AS drawn(state, event, next_state))"
