"""The state machines, exhaustively: every pair of state and event, every combination of facts, every short story."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import duckdb
import pytest

from quality_checks.corrections import (
    CORRECTED,
    DECISIONS,
    FACTS,
    GONE,
    SETTLED,
    STANDING,
    TRANSITIONS,
    UNSETTLED,
    ItemEvent,
    ItemState,
    NotAllowedError,
    decision_sql,
    next_state,
)
from quality_checks.order_states import (
    DONE,
    LIVE,
    ORDER_TRANSITIONS,
    OrderEvent,
    OrderNotAllowedError,
    OrderState,
    next_order_state,
    order_transitions_sql,
)

JUDGED = {decision.event for decision in DECISIONS}
ANSWERS = {
    ItemEvent.acknowledged,
    ItemEvent.will_correct,
    ItemEvent.corrected,
    ItemEvent.needs_information,
    ItemEvent.wrong_source,
    ItemEvent.objection_raised,
}
BUREAU = {ItemEvent.notified, ItemEvent.upheld, ItemEvent.rejected, ItemEvent.informed, ItemEvent.transferred}
POSSIBLE = "NOT (present AND (rekeyed OR elsewhere)) AND NOT (NOT present AND (restated OR changed OR kept))"


@pytest.fixture(scope="module")
def judged():
    """What a pass decides, for every state and every possible combination of facts."""
    con = duckdb.connect()
    con.execute("CREATE TABLE states AS SELECT unnest($states) AS state", {"states": [str(s) for s in ItemState]})
    facts = ", ".join(f"{fact}.b AS {fact}" for fact in FACTS)
    joins = " CROSS JOIN ".join(f"(VALUES (true), (false)) {fact}(b)" for fact in FACTS)
    con.execute(
        f"CREATE TABLE facts AS SELECT row_number() OVER () AS item_id, * FROM"
        f" (SELECT state, {facts} FROM states, {joins}) WHERE {POSSIBLE}"
    )
    rows = con.execute(f"""
        SELECT f.state, {", ".join("f." + fact for fact in FACTS)}, d.event, d.next_state, d.closed
        FROM facts f LEFT JOIN ({decision_sql("facts")}) d USING (item_id)
    """).fetchall()
    present, absent = 2 ** (len(FACTS) - 3), 2 ** (len(FACTS) - 4)
    assert len(rows) == len(ItemState) * (present + absent)
    width = 1 + len(FACTS)
    return {(ItemState(row[0]), row[1:width]): row[width:] for row in rows}


def facts_of(values):
    return dict(zip(FACTS, values, strict=True))


@pytest.mark.parametrize(("state", "event"), list(product(ItemState, ItemEvent)))
def test_every_pair_of_state_and_event_is_drawn_or_refused(state, event):
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(NotAllowedError, match=f"event {event} in state {state}: allowed are"):
            next_state(state, event)


def test_settled_and_unsettled_states_are_those_of_the_design():
    assert {str(state) for state in SETTLED} == {
        "verified_as_suggested",
        "verified_otherwise",
        "upheld",
        "rule_withdrawn",
        "resolved_elsewhere",
        "transferred",
    }
    assert len(UNSETTLED) == 14


def test_no_answer_of_a_department_settles_an_item():
    reached = {after for (_, event), after in TRANSITIONS.items() if event in ANSWERS}
    assert reached
    assert not reached & SETTLED


def test_an_answer_other_than_an_objection_does_not_hide_what_the_last_delivery_showed():
    for state in GONE | {ItemState.still_wrong, ItemState.blanked_at_source}:
        assert next_state(state, ItemEvent.corrected) is state
        assert next_state(state, ItemEvent.will_correct) is state
        assert next_state(state, ItemEvent.acknowledged) is state


def test_a_settled_item_moves_only_by_relapse_or_when_an_excepted_value_changes():
    moves = {(state, event) for state, event in TRANSITIONS if state in SETTLED and event is not ItemEvent.erased}
    assert {event for state, event in moves if state is not ItemState.upheld} == {ItemEvent.reopened}
    assert {event for state, event in moves if state is ItemState.upheld} == {
        ItemEvent.reopened,
        ItemEvent.stated_again,
        ItemEvent.verified_as_suggested,
        ItemEvent.verified_otherwise,
    }


def test_only_the_officer_upholds_and_only_an_objection():
    assert [state for state, event in TRANSITIONS if event is ItemEvent.upheld] == [ItemState.objection_raised]


def test_an_erasure_moves_nothing():
    assert all(next_state(state, ItemEvent.erased) is state for state in ItemState)


def test_only_the_bureau_transfers_and_only_what_a_department_disowned():
    assert [state for state, event in TRANSITIONS if event is ItemEvent.transferred] == [ItemState.wrong_source]


def test_what_was_transferred_is_judged_where_it_went(judged):
    assert {event for (state, _), (event, _, _) in judged.items() if state is ItemState.transferred} == {None}


def test_every_decision_follows_a_drawn_transition(judged):
    happened = {(state, event) for (state, _), (event, _, _) in judged.items() if event}
    assert {event for _, event in happened} == {str(event) for event in JUDGED}
    for (state, _), (event, after, closed) in judged.items():
        if event:
            assert TRANSITIONS[state, ItemEvent(event)] == after
            assert closed == (ItemState(after) in SETTLED)


def test_nothing_is_verified_unless_the_restated_record_passes_and_holds_a_value(judged):
    verified = 0
    for (_, values), (_, after, _) in judged.items():
        if after in CORRECTED:
            facts = facts_of(values)
            verified += 1
            assert facts["evaluated"]
            assert not facts["failing"]
            assert facts["present"]
            assert facts["changed"]
            assert facts["was_blank"] or not facts["blank"]
    assert verified


def test_a_failing_rule_never_settles_an_item(judged):
    for (state, values), (_, after, closed) in judged.items():
        facts = facts_of(values)
        if closed and facts["failing"]:
            assert after == "rule_withdrawn" or (state, after) == (ItemState.upheld, "upheld")


def test_a_settled_item_that_fails_again_is_reopened(judged):
    for (state, values), (event, _, _) in judged.items():
        facts = facts_of(values)
        if state in SETTLED - {ItemState.upheld, ItemState.transferred} and facts["evaluated"] and facts["failing"]:
            assert event == "reopened"
        if state is ItemState.upheld and facts["evaluated"] and facts["failing"]:
            assert (event == "reopened") == (not facts["same_value"])


def test_a_rule_that_was_not_evaluated_decides_nothing_but_silence_and_withdrawal(judged):
    seen = {event for (_, values), (event, _, _) in judged.items() if not facts_of(values)["evaluated"]}
    assert seen == {None, "feed_silent", "rule_withdrawn"}


def test_a_claim_stands_while_the_department_states_the_same_value(judged):
    for (state, values), (_, after, _) in judged.items():
        facts = facts_of(values)
        same = facts["failing"] and facts["same_value"] and facts["present"] and not facts["withdrawn"]
        if state in STANDING and same:
            assert after in (None, state)


# A small plain world: one record of one department, one rule, and everything that can happen to them.


@dataclass(frozen=True)
class World:
    state: ItemState | None = None  # None: no item yet
    value: str | None = "wrong"  # what the pool holds; None: the record is gone
    trace: str | None = None  # where a record that is gone stands now: rekeyed, elsewhere or nowhere
    other: int = 0  # another column of the record, of no interest to the rule
    deliveries: int = 0  # deliveries since the item was judged last
    lenient: bool = False  # somebody else's data makes `wrong` acceptable
    withdrawn: bool = False
    judged_value: str | None = "wrong"  # the wrong value judged last; None: erased
    judged_record: tuple[str, int] | None = ("wrong", 0)


VALUES = ("wrong", "wrong too", "right", "suggested", "", None)
LENGTH = 6


def fails(world: World) -> bool:
    return world.value == "wrong too" or (world.value == "wrong" and not world.lenient)


def facts_in(world: World, *, late: bool) -> tuple[bool, ...]:
    present = world.value is not None
    facts = {
        "withdrawn": world.withdrawn,
        "evaluated": not world.withdrawn,
        # once the rule has seen a pool without the record, its finding is resolved
        "failing": fails(world) and not world.withdrawn,
        "present": present,
        "rekeyed": world.trace == "rekeyed",
        "elsewhere": world.trace == "elsewhere",
        "newer": world.deliveries > 0,
        "restated": present and world.deliveries > 0,
        "changed": present and (world.value, world.other) != world.judged_record,
        "kept": present and world.value == world.judged_value,
        "same_value": world.value == world.judged_value,
        "blank": world.value == "",
        "was_blank": False,
        "as_suggested": world.value == "suggested",
        "late": late,
    }
    return tuple(facts[name] for name in FACTS)


def after_pass(world: World, judged, *, late: bool) -> World:
    record = world.judged_record if world.value is None else (world.value, world.other)
    if world.state is None:
        if not fails(world):
            return world
        return replace(world, state=ItemState.open, deliveries=0, judged_value=world.value, judged_record=record)
    event, after, _ = judged[world.state, facts_in(world, late=late)]
    if event is None:
        return world
    wrong = world.value if fails(world) else world.judged_value
    return replace(world, state=ItemState(after), deliveries=0, judged_value=wrong, judged_record=record)


def moves(world: World, judged):
    """Every next day: (what happened, the world after)."""
    for value, other in product(VALUES, (0, 1)):
        for trace in (None, "rekeyed", "elsewhere") if value is None else (None,):
            told = replace(world, value=value, trace=trace, other=other, deliveries=1)
            yield f"delivers {value!r} {trace} {other}", after_pass(told, judged, late=False)
            turned = replace(told, lenient=not told.lenient)
            yield f"delivers {value!r} {trace} {other}, others change", after_pass(turned, judged, late=False)
    yield "sends nothing", after_pass(world, judged, late=False)
    yield "is late", after_pass(world, judged, late=True)
    yield "others change", after_pass(replace(world, lenient=not world.lenient), judged, late=False)
    yield "the rule is withdrawn", after_pass(replace(world, withdrawn=True), judged, late=False)
    for event in sorted(ANSWERS | BUREAU):
        if world.state and (world.state, event) in TRANSITIONS:
            yield str(event), replace(world, state=next_state(world.state, event))
    if world.state and world.value is None:
        yield str(ItemEvent.erased), replace(world, judged_value=None, judged_record=None)


def check(before: World, step: str, after: World) -> None:
    where = (before, step, after)
    answered = step in set(ItemEvent)
    assert before.state is None or after.state is not None, where
    if after.state in CORRECTED and before.state not in CORRECTED:
        assert after.value not in (None, "", before.judged_value), where
        assert not fails(after), where
        assert not answered, where
        assert (after.state is ItemState.verified_as_suggested) == (after.value == "suggested"), where
    if not answered and not after.withdrawn and fails(after) and after.state in SETTLED - {ItemState.transferred}:
        assert after.state is ItemState.upheld, where
        assert after.value == after.judged_value, where
    if after.state in SETTLED and before.state in UNSETTLED:
        assert {
            ItemState.upheld: step == "upheld" and before.state is ItemState.objection_raised,
            ItemState.transferred: step == "transferred" and before.state is ItemState.wrong_source,
            ItemState.rule_withdrawn: after.withdrawn,
            ItemState.resolved_elsewhere: not fails(after) and after.value == before.judged_value,
        }.get(after.state, True), where
    if before.state in CORRECTED and after.state is not before.state:
        assert after.state is ItemState.reopened, where
        assert fails(after), where
    if after.state in GONE and before.state not in GONE:
        assert after.value is None, where
        assert after.state is {
            "rekeyed": ItemState.key_changed, "elsewhere": ItemState.moved, None: ItemState.removed_at_source
        }[after.trace], where  # fmt: skip
    if before.state in GONE and not answered and after.value is None and not after.withdrawn:
        assert after.state in GONE, where


def test_no_story_of_up_to_six_days_cheats_its_way_to_a_correction(judged, capsys):
    sequences = {after_pass(World(), judged, late=False): 1}
    known: dict[World, list[World]] = {}
    for _ in range(LENGTH):
        following: dict[World, int] = {}
        for world, ways in sequences.items():
            if world not in known:
                drawn = list(moves(world, judged))
                for step, after in drawn:
                    check(world, step, after)
                known[world] = [after for _, after in drawn]
            for after in known[world]:
                following[after] = following.get(after, 0) + ways
        sequences = following
    seen, steps = known.keys() | sequences.keys(), sum(map(len, known.values()))
    with capsys.disabled():
        print(  # noqa: T201  # the figure is asked for
            f"\n{sum(sequences.values()):,} stories of {LENGTH} events: {len(seen):,} states, {steps:,} steps"
        )
    assert {world.state for world in seen} == set(ItemState)
    assert steps > 50_000


# Orders.


@pytest.mark.parametrize(("state", "event"), list(product(OrderState, OrderEvent)))
def test_every_pair_of_order_state_and_event_is_drawn_or_refused(state, event):
    if (state, event) in ORDER_TRANSITIONS:
        assert next_order_state(state, event) is ORDER_TRANSITIONS[state, event]
    else:
        with pytest.raises(OrderNotAllowedError, match=f"order event {event} in state {state}: allowed are"):
            next_order_state(state, event)


def test_every_story_of_an_order_up_to_six_events():
    stories = {((), OrderState.open)}
    for _ in range(LENGTH):
        stories |= {
            ((*told, event), after)
            for told, state in stories if len(told) < LENGTH
            for (held, event), after in ORDER_TRANSITIONS.items() if held is state
        }  # fmt: skip
    assert {state for _, state in stories} == set(OrderState)
    assert len(stories) > 5_000
    runs = {OrderEvent.reminded, OrderEvent.escalated, OrderEvent.paused, OrderEvent.resumed, OrderEvent.extended}
    for told, state in stories:
        sent, waits, accepted, paused = False, False, False, False
        for event in told:
            if event is OrderEvent.notified:  # once, again only after an acceptance; never what is held or accepted
                assert not any((sent, waits, accepted))
            if event in runs:  # nothing runs before the notice, nor while the order is held or accepted
                assert sent
                assert paused == (event is OrderEvent.resumed) or event is OrderEvent.extended
            if event in (OrderEvent.released, OrderEvent.still_held):
                assert waits
            if event is OrderEvent.enforced:
                assert accepted
            if event is OrderEvent.accepted:
                sent = paused = False
            sent |= event is OrderEvent.notified
            paused = event is OrderEvent.paused or (paused and event is not OrderEvent.resumed)
            accepted = event is OrderEvent.accepted or (accepted and event is not OrderEvent.enforced)
            waits = event is OrderEvent.held or (waits and event not in (OrderEvent.released, OrderEvent.accepted))
        assert (state is OrderState.held) <= waits
        assert (state is OrderState.accepted) <= accepted
        assert (state in DONE) == bool({OrderEvent.closed, OrderEvent.withdrawn, OrderEvent.transferred} & set(told))


def test_what_is_done_is_done_and_every_live_order_can_be_closed():
    assert not [state for state, _ in ORDER_TRANSITIONS if state in DONE]
    assert all(next_order_state(state, OrderEvent.closed) is OrderState.closed for state in LIVE)
    rows = duckdb.sql(f"FROM {order_transitions_sql()}").fetchall()
    assert {(state, event): after for state, event, after in rows} == ORDER_TRANSITIONS
