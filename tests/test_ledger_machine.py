"""Any interleaving of deliveries, passes, replies, rulings, extensions, rule versions, crashes, against plain Python.

The reference is written from the words of design section 8, not from the machine's tables: it knows two records, what
their department states, and what each of the ledger's events must have been.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import duckdb
import pytest
from correction_loop import RIGHT, RULE, WRONG, Loop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from assets.corrections import advance, tell
from catalog.load import Catalog
from quality_checks.corrections import TRANSITIONS
from resources import ledger, ledger_states

KEYS = ("a", "b")
WRONG_TOO, OTHERWISE = date(1980, 5, 5), date(1991, 1, 1)
ABSENT = "absent"
VALUES = (WRONG, WRONG_TOO, RIGHT, OTHERWISE, None, ABSENT)
FAILING = (WRONG, WRONG_TOO)
SETTLED = {"verified_as_suggested", "verified_otherwise", "upheld", "transferred"}
CLAIMS = {"objection_raised", "insufficient_information", "wrong_source"}
SHOWN = {"still_wrong", "blanked_at_source", "removed_at_source", "key_changed"}


@dataclass
class Item:
    """One item as plain Python sees it."""

    state: str = "open"
    observed: date | None = None  # the wrong value judged last
    judged: date | str | None = None  # the record judged last
    alone: bool = True  # whether no other record said the same when it was told last
    relapses: int = 0
    version: int = 1
    events: list[str] = field(default_factory=lambda: ["opened"])

    stated: date | str | None = None  # what it said then

    def move(self, event: str, state: str) -> None:
        self.events.append(event)
        self.state = state


def judge(item: Item, value: date | str | None, *, other: date | str | None, delivered: bool, version: int) -> None:
    """One pass in which the rule was evaluated; `other` is what the other record says, alike in all else."""
    told = len(item.events)
    _judge(item, value, other=other, delivered=delivered, version=version)
    if len(item.events) > told and value != ABSENT:
        item.alone, item.stated = value != other, value


def _judge(item: Item, value: date | str | None, *, other: date | str | None, delivered: bool, version: int) -> None:
    state, changed = item.state, value not in (ABSENT, item.judged)
    if state == "transferred":
        return
    if value in FAILING:
        if state in SETTLED - {"upheld"}:
            item.relapses += 1
            item.move("reopened", "reopened")
        elif state == "upheld" and value != item.observed:
            item.move("reopened", "reopened")
        elif state in CLAIMS | {"upheld"} and value == item.observed:
            if not (delivered and changed):
                return
            item.move("stated_again", state)
        elif delivered and (state != "still_wrong" or value != item.judged):
            item.move("still_wrong", "still_wrong")
        else:
            return
        item.observed = item.judged = value
    elif value == ABSENT:
        rekeyed = item.alone and other == item.stated  # gone, and what it said stands under another key
        after = "key_changed" if rekeyed else "removed_at_source"
        if not delivered or state in SETTLED | {"key_changed", after}:
            return
        item.move(after, after)
    elif value is None:
        if state in SETTLED | {"blanked_at_source"}:
            return
        item.move("blanked_at_source", "blanked_at_source")
        item.judged = None
    else:
        if state in SETTLED - {"upheld"}:
            return
        after = "verified_as_suggested" if value == RIGHT else "verified_otherwise"
        item.move(after, after)
        item.judged, item.observed = value, value
    item.version = version


def answer(item: Item, event: str) -> bool:
    """What people say; False when it does not count."""
    state = item.state
    answerable = state not in SETTLED and state not in SHOWN and state != "objection_raised"
    if event in {"acknowledged", "will_correct", "corrected"} and (answerable or state in SHOWN):
        item.move(event, state if state in SHOWN else "acknowledged")
    elif event in {"wrong_source", "needs_information"} and (answerable or state == "still_wrong"):
        item.move(event, "insufficient_information" if event == "needs_information" else event)
    elif (
        (event == "objection_raised" and state not in SETTLED)
        or (event, state) in {("upheld", "objection_raised"), ("transferred", "wrong_source")}
        or (event == "rejected" and state in {"objection_raised", "wrong_source"})
    ):
        item.move(event, event)
    elif (event, state) == ("informed", "insufficient_information"):
        item.move(event, "notified")
    else:
        return False
    return True


SAYINGS = (
    *("acknowledged", "will_correct", "corrected", "needs_information", "wrong_source", "objection_raised"),
    *("upheld", "rejected", "informed", "transferred"),
)


class Machine(RuleBasedStateMachine):
    """The city beside the reference."""

    loop: Loop
    catalog: Catalog  # as it was before any example gave a rule a new version

    def __init__(self) -> None:
        super().__init__()
        self.day = date(2026, 11, 2)
        self.values: dict[str, date | str | None] = {}
        self.items: dict[str, Item] = {}
        self.version = 1
        self.delivered = False
        self.extended = 0
        self.clear()

    def clear(self) -> None:
        city = self.loop.city = replace(self.loop.city, catalog=self.catalog)
        with city.server.session("owner") as cursor:
            cursor.execute("truncate ledger.batches, ledger.orders, ledger.order_events, ledger.items, ledger.events,"
                           " ops.deliveries")  # fmt: skip
        for target, tables in (("city", ("quality.findings", "quality.results")),
                               (self.loop.department, (f"{self.loop.department}.{self.loop.resource}",))):  # fmt: skip
            city.commit(target, lambda con, of=tables: [con.execute(f"DELETE FROM {t}") for t in of], author="test")

    @rule(values=st.tuples(*[st.sampled_from(VALUES)] * len(KEYS)))
    def deliver(self, values) -> None:
        self.values = dict(zip(KEYS, values, strict=True))
        self.loop.deliver(self.day, {key: value for key, value in self.values.items() if value != ABSENT})
        self.delivered = True

    @precondition(lambda self: self.values)
    @rule(crash=st.booleans(), error=st.sampled_from((False, False, False, True)))
    def make_pass(self, crash, error) -> None:
        self.loop.check(
            self.day,
            [key for key, value in self.values.items() if value in FAILING],
            state="error" if error else "ok",
        )
        if crash:
            self.crash(lambda: advance(self.loop.city, self.day, author="test"))
        advance(self.loop.city, self.day, author="test")
        if not error:
            for (key, value), other in zip(self.values.items(), reversed(self.values.values()), strict=True):
                if key in self.items:
                    judge(self.items[key], value, other=other, delivered=self.delivered, version=self.version)
                elif value in FAILING:
                    self.items[key] = Item(
                        observed=value, judged=value, version=self.version, alone=value != other, stated=value
                    )
            self.delivered = False
        self.day += timedelta(days=1)

    @precondition(lambda self: self.items)
    @rule(key=st.sampled_from(KEYS), said=st.sampled_from(SAYINGS), crash=st.booleans())
    def say(self, key, said, crash) -> None:
        if key not in self.items:
            return
        self.loop.city.con.execute(
            "CREATE OR REPLACE TEMP TABLE said AS SELECT item_id, $event AS event, '一' AS reason, NULL::VARCHAR AS"
            " evidence, NULL::DATE AS by_date FROM shuyuan.ledger.items WHERE record_key = $key",
            {"event": said, "key": key},
        )
        told = {"kind": "decision", "as_of": self.day, "actor": "department", "author": "test"}
        if crash and (key not in self.items or answer(replace(self.items[key], events=[]), said)):
            self.crash(lambda: tell(self.loop.city, "said", **told))
        assert bool(tell(self.loop.city, "said", **told)) == answer(self.items[key], said)

    @precondition(lambda self: self.items)
    @rule()
    def extend(self) -> None:
        """An order event of a person's, with no item told."""
        con = self.loop.city.con
        con.execute("CREATE OR REPLACE TEMP TABLE nobody AS SELECT item_id, '' AS event, NULL::VARCHAR AS reason,"
                    " NULL::VARCHAR AS evidence, NULL::DATE AS by_date FROM shuyuan.ledger.items LIMIT 0")  # fmt: skip
        con.execute(
            "CREATE OR REPLACE TEMP TABLE extended AS SELECT order_id, number + 1 AS number, department,"
            " 'extended' AS event, state, $day::DATE AS as_of, due_on + 5 AS due_on, due_provisional,"
            " working_days + 5 AS working_days, paused_days,"
            " level, 'officer' AS actor, 'because' AS reason, NULL::VARCHAR AS evidence"
            " FROM shuyuan.ledger.order_states ORDER BY order_number LIMIT 1",
            {"day": self.day},
        )
        told = {"kind": "decision", "as_of": self.day, "actor": "officer", "author": "test"}
        assert tell(self.loop.city, "nobody", order_events="extended", **told) == 0
        self.extended += 1

    @rule()
    def new_version(self) -> None:
        self.version += 1
        city = self.loop.city
        name = f"{self.loop.department}.{self.loop.resource}"
        resource = city.catalog.resources[name]
        rules = tuple(
            one.model_copy(update={"version": self.version}) if one.id == RULE else one for one in resource.rules
        )
        changed = resource.model_copy(update={"rules": rules})
        self.loop.city = replace(
            city, catalog=replace(city.catalog, resources={**city.catalog.resources, name: changed})
        )

    def crash(self, work) -> None:
        """PostgreSQL refuses the last statement of the transaction, if there is one: nothing of it may remain."""
        before = self.loop.ledger()
        honest = ledger._insert_batch
        ledger._insert_batch = lambda con, _: con.execute("CALL postgres_execute('shuyuan', 'select 1 / 0')")
        try:
            with suppress(duckdb.Error):
                work()
        finally:
            ledger._insert_batch = honest
        assert self.loop.ledger() == before

    @invariant()
    def the_ledger_is_the_reference(self) -> None:
        con = self.loop.city.con
        held = con.execute("""
            SELECT i.record_key, i.department, e.state, e.relapses, e.rule_version, h.events, h.numbers
            FROM shuyuan.ledger.items i JOIN shuyuan.ledger.item_states e USING (item_id)
            JOIN (SELECT item_id, list(event ORDER BY number) AS events, list(number ORDER BY number) AS numbers
                  FROM shuyuan.ledger.events GROUP BY ALL) h USING (item_id) ORDER BY ALL
        """).fetchall()
        assert held == [
            (key, self.loop.department, item.state, item.relapses, item.version, item.events,
             list(range(1, len(item.events) + 1)))
            for key, item in sorted(self.items.items())
        ]  # fmt: skip

    def teardown(self) -> None:
        con = self.loop.city.con
        assert ledger.verify_chain(self.loop.city.con) == []
        moved = con.execute(
            "SELECT DISTINCT before, event, state FROM (SELECT event, state, lag(state) OVER"
            " (PARTITION BY item_id ORDER BY number) AS before FROM shuyuan.ledger.events) WHERE before IS NOT NULL"
        ).fetchall()
        assert all(TRANSITIONS[before, event] == state for before, event, state in moved)
        extended = con.execute("SELECT count(*) FROM shuyuan.ledger.order_events WHERE event = 'extended'").fetchone()
        assert extended == (self.extended,)
        closed = con.execute(
            "SELECT order_id FROM shuyuan.ledger.order_states WHERE (state = 'closed') <> (open = 0)"
        ).fetchall()
        assert closed == []
        ledger_states.read_all_states(con, self.loop.city.home)
        assert con.execute("SELECT count(*) FROM ledger_states").fetchone() == (len(self.items),)


def search(city, examples: int, steps: int) -> None:
    kind = type("OnCity", (Machine,), {"loop": Loop(city), "catalog": city.catalog})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=examples < 100,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def test_any_interleaving_ends_in_the_ledger_the_reference_has(small_city):
    search(small_city, examples=6, steps=10)


@pytest.mark.soak
def test_very_many_interleavings_end_in_the_ledger_the_reference_has(small_city):
    search(small_city, examples=400, steps=30)
