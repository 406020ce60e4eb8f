"""The state machine, exhaustively: every pair of state and event, every combination of facts, every short story."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import duckdb
import pytest

from quality_checks.corrections import (
    CORRECTED,
    DECISIONS,
    FACTS,
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

JUDGED = {decision.event for decision in DECISIONS}
ANSWERS = {
    ItemEvent.acknowledged,
    ItemEvent.corrected,
    ItemEvent.needs_information,
    ItemEvent.wrong_source,
    ItemEvent.objection_raised,
}


@pytest.fixture(scope="module")
def judged():
    """What a pass decides, for every state and every combination of facts."""
    con = duckdb.connect()
    con.execute("CREATE TABLE states AS SELECT unnest($states) AS state", {"states": [str(s) for s in ItemState]})
    facts = ", ".join(f"{fact}.b AS {fact}" for fact in FACTS)
    joins = " CROSS JOIN ".join(f"(VALUES (true), (false)) {fact}(b)" for fact in FACTS)
    con.execute(f"CREATE TABLE facts AS SELECT row_number() OVER () AS item_id, state, {facts} FROM states, {joins}")
    rows = con.execute(f"""
        SELECT f.state, {", ".join("f." + fact for fact in FACTS)}, d.event, d.next_state, d.closed
        FROM facts f LEFT JOIN ({decision_sql("facts")}) d USING (item_id)
    """).fetchall()
    assert len(rows) == len(ItemState) * 2 ** len(FACTS)
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
    }
    assert len(UNSETTLED) == 12


def test_no_answer_of_a_department_settles_an_item():
    reached = {after for (_, event), after in TRANSITIONS.items() if event in ANSWERS}
    assert reached
    assert not reached & SETTLED


def test_an_answer_other_than_an_objection_does_not_hide_what_the_last_delivery_showed():
    for state in (ItemState.still_wrong, ItemState.blanked_at_source, ItemState.removed_at_source):
        assert next_state(state, ItemEvent.corrected) is state
        assert next_state(state, ItemEvent.acknowledged) is state


def test_a_settled_item_moves_only_by_relapse_or_when_an_excepted_value_changes():
    moves = {(state, event) for state, event in TRANSITIONS if state in SETTLED}
    assert {event for state, event in moves if state is not ItemState.upheld} == {ItemEvent.reopened}
    assert {event for state, event in moves if state is ItemState.upheld} == {
        ItemEvent.reopened,
        ItemEvent.stated_again,
        ItemEvent.verified_as_suggested,
        ItemEvent.verified_otherwise,
    }


def test_only_the_officer_upholds_and_only_an_objection():
    assert [state for state, event in TRANSITIONS if event is ItemEvent.upheld] == [ItemState.objection_raised]


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
        if state in SETTLED - {ItemState.upheld} and facts["evaluated"] and facts["failing"]:
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
    other: int = 0  # another column of the record, of no interest to the rule
    deliveries: int = 0  # deliveries since the item was judged last
    lenient: bool = False  # somebody else's data makes `wrong` acceptable
    withdrawn: bool = False
    judged_value: str = "wrong"  # the wrong value judged last
    judged_record: tuple[str, int] = ("wrong", 0)


VALUES = ("wrong", "wrong too", "right", "suggested", "", None)


def fails(world: World) -> bool:
    return world.value == "wrong too" or (world.value == "wrong" and not world.lenient)


def facts_in(world: World, *, late: bool) -> tuple[bool, ...]:
    present = world.value is not None
    facts = {
        "withdrawn": world.withdrawn,
        "evaluated": not world.withdrawn,
        "failing": fails(world) and not world.withdrawn,
        "present": present,
        "newer": world.deliveries > 0,
        "restated": present and world.deliveries > 0,
        "changed": present and (world.value, world.other) != world.judged_record,
        "kept": world.value == world.judged_value,
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
        told = replace(world, value=value, other=other, deliveries=1)
        yield f"delivers {value!r} {other}", after_pass(told, judged, late=False)
        turned = replace(told, lenient=not told.lenient)
        yield f"delivers {value!r} {other}, others change", after_pass(turned, judged, late=False)
    yield "sends nothing", after_pass(world, judged, late=False)
    yield "is late", after_pass(world, judged, late=True)
    yield "others change", after_pass(replace(world, lenient=not world.lenient), judged, late=False)
    yield "the rule is withdrawn", after_pass(replace(world, withdrawn=True), judged, late=False)
    for event in sorted({*ANSWERS, ItemEvent.notified, ItemEvent.upheld, ItemEvent.rejected}):
        if world.state and (world.state, event) in TRANSITIONS:
            yield str(event), replace(world, state=next_state(world.state, event))


def check(before: World, step: str, after: World) -> None:
    where = (before, step, after)
    answered = step in set(ItemEvent)
    if after.state in CORRECTED and before.state not in CORRECTED:
        assert after.value not in (None, "", before.judged_value), where
        assert not fails(after), where
        assert (after.state is ItemState.verified_as_suggested) == (after.value == "suggested"), where
    if not answered and not after.withdrawn and fails(after) and after.state in SETTLED:
        assert after.state is ItemState.upheld, where
        assert after.value == after.judged_value, where
    if after.state in SETTLED and before.state in UNSETTLED:
        assert {
            ItemState.upheld: step == "upheld" and before.state is ItemState.objection_raised,
            ItemState.rule_withdrawn: after.withdrawn,
            ItemState.resolved_elsewhere: not fails(after) and after.value == before.judged_value,
        }.get(after.state, True), where
    if before.state in CORRECTED and after.state is not before.state:
        assert after.state is ItemState.reopened, where
        assert fails(after), where


def test_no_story_of_up_to_five_days_cheats_its_way_to_a_correction(judged):
    worlds, steps, reached = {after_pass(World(), judged, late=False)}, 0, set()
    for _ in range(5):
        following = set()
        for world in worlds:
            for step, after in moves(world, judged):
                check(world, step, after)
                following.add(after)
                steps += 1
        worlds = following
        reached |= {world.state for world in worlds}
    assert reached == set(ItemState)
    assert steps > 10_000
