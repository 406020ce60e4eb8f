"""Disputes: the machine exhaustively, the ladder on a real ledger, and what an upheld one restores."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from itertools import product

import duckdb
import pytest
from correction_loop import DAYS, RIGHT, RULE, WRONG, Loop
from test_ledger import answered

from assets.dispute_book import list_disputes, statements
from assets.disputes import (
    DisputeRefusedError,
    UnknownDisputeError,
    Word,
    decide,
    escalate,
    open_dispute,
    state,
    withdraw,
)
from assets.feedback import decide as rule_on
from assets.notices import issue
from assets.scoring import score
from catalog.jurisdiction import Jurisdiction
from quality_checks.corrections import ItemEvent
from quality_checks.dispute_states import (
    DISPUTE_TRANSITIONS,
    ENDED,
    LEVELS,
    OPEN,
    DisputeEvent,
    DisputeNotAllowedError,
    DisputeState,
    first_level,
    level_of,
    next_dispute_state,
)
from quality_checks.revisions import revise
from quality_checks.scorecards import PRECISION
from quality_checks.sources import MARKS, marks_sql
from resources.ledger import export, verify_chain

DEPARTMENT, BUREAU = "public_security", "city"
S, E = DisputeState, DisputeEvent


@pytest.mark.parametrize(("held", "event"), list(product(DisputeState, DisputeEvent)))
def test_every_pair_of_state_and_event_is_drawn_or_refused(held, event):
    if (held, event) in DISPUTE_TRANSITIONS:
        for target in DisputeState:
            if target in DISPUTE_TRANSITIONS[held, event]:
                assert next_dispute_state(held, event, target) is target
            else:
                with pytest.raises(DisputeNotAllowedError):
                    next_dispute_state(held, event, target)
        assert next_dispute_state(held, event) is DISPUTE_TRANSITIONS[held, event][0]
    else:
        with pytest.raises(DisputeNotAllowedError, match=f"dispute event {event} in state {held}: allowed are"):
            next_dispute_state(held, event)


def test_levels_only_go_up_and_an_outcome_ends_it_in_every_story():
    """Every sequence of events from every level, to its end: against the words of art. 28."""
    order = [level.state for level in LEVELS]
    assert order == [S.negotiation, S.authority, S.superior, S.government]
    stories, longest = 0, 0
    queue = [(start, (start,)) for start in order]
    while queue:
        held, story = queue.pop()
        stories += 1
        longest = max(longest, len(story))
        for (before, event), targets in DISPUTE_TRANSITIONS.items():
            if before is not held or event is E.stated:  # a statement changes nothing, else there were no end
                continue
            for after in targets:
                if event is E.escalated:
                    assert order.index(after) > order.index(before)
                else:
                    assert after in ENDED
                queue.append((after, (*story, after)))
    assert all(held not in ENDED for held, _ in DISPUTE_TRANSITIONS)
    assert all(DISPUTE_TRANSITIONS[one, E.stated] == (one,) for one in OPEN)
    assert {event for held, event in DISPUTE_TRANSITIONS if held is S.government} == {
        E.stated, E.upheld, E.rejected, E.withdrawn, E.lapsed,
    }  # fmt: skip
    assert (stories, longest) == (75, 5)
    assert [first_level(decided) for decided in range(5)] == [*LEVELS, None]
    assert [level_of(level.state) for level in LEVELS] == list(LEVELS)
    with pytest.raises(ValueError, match="is over"):
        level_of(S.upheld)


@pytest.fixture
def loop(small_city):
    """Three wrong records, one of them objected to; disputes have 15 working days at the authority."""
    days = Jurisdiction(dispute_days={"authority": 15})
    loop = Loop(replace(small_city, catalog=replace(small_city.catalog, jurisdiction=days)))
    loop.day(DAYS[0], {"a": WRONG, "b": WRONG, "c": WRONG}, ["a", "b", "c"])
    answered(loop, ItemEvent.objection_raised, "a", reason="底册如此")
    return loop


def word(party: str = DEPARTMENT, day: date = DAYS[1], text: str = "底册如此", **more) -> Word:
    return Word(party, text, "张科长", day, **more)


def item(loop: Loop, key: str = "a") -> str:
    return loop.city.con.execute("SELECT item_id FROM shuyuan.ledger.items WHERE record_key = ?", [key]).fetchone()[0]


def test_the_ladder_from_an_objection_to_the_government_and_no_further(loop, tmp_path):
    city = loop.city
    with pytest.raises(UnknownDisputeError, match="civil_affairs is a party"):
        open_dispute(city, item(loop), word("civil_affairs"))
    with pytest.raises(DisputeRefusedError, match="is open; a dispute needs a pending objection"):
        open_dispute(city, item(loop, "b"), word())
    opened = open_dispute(city, item(loop), word(evidence="户籍底册第3页"))
    number = opened.dispute_number
    assert (number, opened.state, opened.level, opened.opponent) == ("D20261103-0001", "negotiation", 1, BUREAU)
    with pytest.raises(DisputeRefusedError, match=f"dispute {number} is open"):
        open_dispute(city, item(loop), word())
    with pytest.raises(ValueError, match=f"dispute {number} is open"):
        rule_on(city, item(loop), "uphold", "x", actor="officer", as_of=DAYS[1])
    state(city, number, word(BUREAU, text="与公民身份号码不一致"))
    with pytest.raises(UnknownDisputeError):
        state(city, number, word("civil_affairs"))
    with pytest.raises(DisputeRefusedError, match="must say why"):
        state(city, number, word(text=" "))
    with pytest.raises(DisputeRefusedError, match="must not lie before 2026-11-03"):
        state(city, number, word(day=DAYS[0]))
    with pytest.raises(DisputeRefusedError, match="to = 'court'"):
        escalate(city, number, word(), "court")
    taken = escalate(city, number, word(day=DAYS[2], text="协商不成"))
    assert (taken.state, taken.level, taken.due_on) == ("authority", 2, date(2026, 11, 25))
    assert state(city, number, word(day=DAYS[2])).due_on == date(2026, 11, 25)
    with pytest.raises(DisputeRefusedError, match="dispute event escalated in state authority"):
        escalate(city, number, word(day=DAYS[2]), "negotiation")
    decided = decide(city, number, "rejected", word(BUREAU, DAYS[3], "应予更正"))
    assert (decided.state, decided.level, decided.closed) == ("rejected", 2, True)
    assert loop.states()["a"] == "rejected"
    assert statements(city, number)[-1].party == "authority"
    with pytest.raises(DisputeRefusedError, match="allowed are none"):
        state(city, number, word(day=DAYS[3]))
    # Contested, it goes on where it was decided: one level above; after the government there is none.
    again = open_dispute(city, item(loop), word(day=DAYS[3], text="不服"))
    assert (again.dispute_number, again.state) == ("D20261105-0001", "superior")
    assert loop.states()["a"] == "objection_raised"
    escalate(city, again.dispute_number, word(day=DAYS[3]))
    decide(city, again.dispute_number, "rejected", word(BUREAU, DAYS[4], "政府决定"))
    loop.day(DAYS[4], {"a": WRONG, "b": WRONG, "c": WRONG}, ["a", "b", "c"])  # stating it again gives no new start
    answered(loop, ItemEvent.objection_raised, "a")
    with pytest.raises(DisputeRefusedError, match="the government has decided"):
        open_dispute(city, item(loop), word(day=DAYS[4]))
    assert [row.dispute_number for row in list_disputes(city, state="all", department=DEPARTMENT)] == [
        number, again.dispute_number,
    ]  # fmt: skip
    assert list_disputes(city, department="civil_affairs", state="all") == []
    # Both sides were told, in the words of the ledger.
    for party in (DEPARTMENT, BUREAU):
        told = json.loads((city.home.outbox / party / "2026-11-03" / "disputes.json").read_text("utf-8"))
        assert [row["event"] for row in told] == ["opened", "stated"]
    # It is in the chain: a changed statement is found, an export verifies what it holds.
    assert verify_chain(city.con) == []
    assert export(city.con, tmp_path / "chain.jsonl", unmasked=True) > 0
    assert "与公民身份号码不一致" in (tmp_path / "chain.jsonl").read_text("utf-8")
    with city.server.session("owner") as cursor:
        cursor.execute("update ledger.dispute_events set reason = 'x' where number = 2 and event = 'stated'")
    assert [link.department for link in verify_chain(city.con)] == [DEPARTMENT]


def test_an_upheld_dispute_excepts_the_record_until_its_value_changes_or_the_promised_rule_version_judges(loop):
    city = loop.city
    answered(loop, ItemEvent.objection_raised, "b", "c")
    numbers = [open_dispute(city, item(loop, key), word()).dispute_number for key in "abc"]
    with pytest.raises(DisputeRefusedError, match="must be later than 1"):
        decide(city, numbers[1], "upheld", word(BUREAU), rule_version=1)
    with pytest.raises(DisputeRefusedError, match="outcome = 'won'"):
        decide(city, numbers[0], "won", word(BUREAU))
    with pytest.raises(DisputeRefusedError, match=r"only public_security, who objected"):
        withdraw(city, numbers[2], word(BUREAU))
    decide(city, numbers[0], "upheld", word(BUREAU))
    decide(city, numbers[1], "upheld", word(BUREAU, text="规则有误,将修订"), rule_version=2)
    withdraw(city, numbers[2], word())
    assert loop.states() == {"a": "upheld", "b": "upheld", "c": "rejected"}
    # Their findings mark the records no more; those of the others do.
    assert sorted(city.con.execute("SELECT record_key FROM quality.excepted").fetchall()) == [("a",), ("b",)]
    city.con.execute(marks_sql(city.catalog, city.catalog.libraries["population"]))
    assert city.con.execute(f"SELECT _record_key FROM {MARKS}").fetchall() == [("c",)]
    loop.day(DAYS[2], {"a": WRONG, "b": WRONG, "c": WRONG}, ["a", "b", "c"])
    assert loop.states() == {"a": "upheld", "b": "upheld", "c": "still_wrong"}
    name = f"{DEPARTMENT}.resident_registration"
    resource = city.catalog.resources[name]
    rules = tuple(one.model_copy(update={"version": 2}) if one.id == RULE else one for one in resource.rules)
    resources = {**city.catalog.resources, name: resource.model_copy(update={"rules": rules})}
    loop.city = replace(city, catalog=replace(city.catalog, resources=resources))
    loop.day(DAYS[3], {"a": WRONG, "b": WRONG, "c": WRONG}, ["a", "b", "c"])
    assert loop.states() == {"a": "upheld", "b": "reopened", "c": "still_wrong"}
    assert city.con.execute("SELECT record_key FROM quality.excepted").fetchall() == [("a",)]
    precision = city.con.execute(PRECISION, [DAYS[3]]).fetchall()
    assert [row[1:7] for row in precision] == [(DEPARTMENT, RULE, 3, 3, 2, 1)]  # findings, objections, upheld, rejected
    # A dispute lapses when a delivery takes away what it is about.
    answered(loop, ItemEvent.objection_raised, "c")
    lapsing = open_dispute(loop.city, item(loop, "c"), word(day=DAYS[3])).dispute_number
    loop.day(DAYS[4], {"a": RIGHT, "b": WRONG, "c": RIGHT}, ["b"])
    assert loop.states() == {"a": "verified_as_suggested", "b": "still_wrong", "c": "verified_as_suggested"}
    assert [row.state for row in list_disputes(loop.city, state="all", number=lapsing)] == ["lapsed"]
    assert city.con.execute("SELECT count(*) FROM quality.excepted").fetchone() == (0,)
    with pytest.raises(DisputeRefusedError, match="is verified_as_suggested"):
        open_dispute(loop.city, item(loop, "a"), word(day=DAYS[4]))
    issue(loop.city, DAYS[4], author="test")
    assert verify_chain(city.con) == []


def test_scores_of_earlier_days_are_shown_corrected_and_the_published_ones_stay(loop):
    city, con = loop.city, loop.city.con
    of_rule = "FROM {} WHERE measure = 'PSB-001' ORDER BY as_of"
    score(city, DAYS[0], author="test")
    loop.day(DAYS[1], {"a": WRONG, "b": WRONG, "c": WRONG}, ["a", "b", "c"])
    score(city, DAYS[1], author="test")
    published = con.execute("FROM quality.scores ORDER BY ALL").fetchall()
    dispute = open_dispute(city, item(loop), word()).dispute_number
    decide(city, dispute, "upheld", word(BUREAU))  # after the pass of its day
    loop.day(DAYS[2], {"a": WRONG, "b": WRONG, "c": WRONG}, ["a", "b", "c"])
    for _ in range(2):  # a pass made again gives the same
        score(city, DAYS[2], author="test")
        measured = con.execute("SELECT as_of, numerator, denominator, excepted " + of_rule.format("quality.measures"))
        assert measured.fetchall() == [(DAYS[0], 7, 10, 0), (DAYS[1], 7, 10, 0), (DAYS[2], 8, 10, 1)]
        revised = "SELECT as_of, numerator, denominator, excepted, revised_on "
        assert con.execute(revised + of_rule.format("quality.revised_measures")).fetchall() == [
            (DAYS[0], 8, 10, 1, DAYS[2]), (DAYS[1], 8, 10, 1, DAYS[2]),
        ]  # fmt: skip
    old = con.execute(f"FROM quality.scores WHERE as_of < DATE '{DAYS[2]}' AND period = 'day' ORDER BY ALL").fetchall()
    assert old == [row for row in published if row[1] == "day"]
    shown = con.execute(
        "SELECT r.as_of, r.indicator, p.score < r.score, p.own_numerator + 1 = r.own_numerator"
        " FROM quality.revised_scores r JOIN quality.scores p USING (as_of, period, scope, name, indicator)"
        f" WHERE scope = 'department' AND name = '{DEPARTMENT}' AND period = 'day' ORDER BY ALL"
    ).fetchall()
    assert shown == [(DAYS[0], "0401", True, True), (DAYS[1], "0401", True, True)]
    untouched = con.execute("SELECT count(*) FROM quality.revised_scores WHERE name LIKE 'market_regulation%'")
    assert untouched.fetchone() == (0,)
    score(city, DAYS[3], author="test")  # and a later pass adds nothing
    assert con.execute("SELECT count(*) FROM quality.revised_measures").fetchone() == (2,)


def test_a_record_that_was_put_right_and_wrong_again_is_restored_from_the_last_wrong_value_on(small_catalog):
    """Directly on the tables: an exception reaches back to the day its value was stated, and to no rule of another."""
    with duckdb.connect() as con:
        con.execute("""
            CREATE SCHEMA quality;
            CREATE TABLE quality.measures (as_of DATE, evaluated_on DATE, department VARCHAR, resource VARCHAR,
                indicator VARCHAR, measure VARCHAR, origin VARCHAR, numerator BIGINT, denominator BIGINT,
                excepted BIGINT);
            CREATE TABLE quality.revised_measures AS SELECT *, NULL::DATE AS revised_on FROM quality.measures;
            CREATE TABLE quality.scores (as_of DATE, period VARCHAR, scope VARCHAR, name VARCHAR, dimension VARCHAR,
                indicator VARCHAR, direction VARCHAR, numerator BIGINT, denominator BIGINT, own_numerator BIGINT,
                own_denominator BIGINT, score DECIMAL(10,9), weight INTEGER, scheme VARCHAR, small_sample BOOLEAN,
                grade VARCHAR);
            CREATE TABLE quality.revised_scores AS SELECT *, NULL::DATE AS revised_on FROM quality.scores;
            CREATE TABLE _scopes AS SELECT 'department' AS scope, 'd' AS name, 'd' AS department, 'r' AS resource;
            CREATE TABLE periods (item_id VARCHAR, department VARCHAR, resource VARCHAR, rule_id VARCHAR, first DATE,
                upheld DATE, last DATE);
            INSERT INTO quality.measures
            SELECT DATE '2026-11-01' + day::INTEGER, DATE '2026-11-01' + day::INTEGER, 'd', 'r', indicator, rule, 'own',
                   CASE indicator WHEN '0303' THEN 2 ELSE 98 END, 100, 0
            FROM range(1, 9) days(day), (VALUES ('0401', 'R'), ('0303', 'R'), ('0401', 'other')) m(indicator, rule);
            INSERT INTO periods VALUES
                ('x', 'd', 'r', 'R', DATE '2026-11-04', DATE '2026-11-07', DATE '2026-11-09'),
                ('y', 'd', 'r', 'R', DATE '2026-11-06', DATE '2026-11-07', NULL),
                ('z', 'd', 'r', 'R', DATE '2026-11-06', DATE '2026-11-07', NULL);
        """)
        days = revise(con, small_catalog.jurisdiction, date(2026, 11, 10), periods="periods")
        assert [day.day for day in days] == [4, 5, 6, 7]
        found = con.execute("SELECT day(as_of), numerator, excepted FROM quality.revised_measures"
                            " WHERE indicator = '0401' ORDER BY 1").fetchall()  # fmt: skip
        assert found == [(4, 99, 1), (5, 99, 1), (6, 100, 2), (7, 100, 2)]  # never more than had failed
        inverted = con.execute("SELECT day(as_of), numerator FROM quality.revised_measures"
                               " WHERE indicator = '0303' ORDER BY 1").fetchall()  # fmt: skip
        assert inverted == [(4, 1), (5, 1), (6, 0), (7, 0)]
        assert con.execute("SELECT count(*) FROM quality.revised_measures WHERE measure = 'other'").fetchone() == (0,)
