"""The traps seen in comparable systems, and the tests that prove each is not ours.

Named as tests/<file>::<test>; `test_every_trap_names_tests_that_exist` reads this list.

An empty batch closes no order:
  test_corrections.py::test_an_empty_delivery_verifies_nothing
  test_runner.py::test_no_record_is_no_pass
A late batch closes no order:
  test_corrections.py::test_a_feed_that_falls_silent_keeps_its_items_open_until_it_speaks
  test_findings.py::test_a_rejected_delivery_is_a_finding_of_its_own_and_no_excuse_for_lateness
A bad run poisons the baseline (deequ 531):
  test_volume.py::test_a_run_of_bad_deliveries_does_not_move_the_band
One open incident hides another (OpenMetadata 20932):
  test_traps.py::test_a_second_problem_of_a_record_has_its_own_finding_order_and_end
Samples of failing rows leak (OpenMetadata 28364, Great Expectations' partial_unexpected_list):
  test_masking.py::test_no_personal_value_stands_in_an_exported_file_unless_asked_for
  test_runner.py::test_gx_results_hold_no_value_of_a_record
  test_reports.py::test_no_personal_value_reaches_any_page
  test_trial.py::test_rules_are_tried_with_counts_and_masked_samples_and_nothing_is_written
  flow/test_four_days.py::test_no_identifier_of_a_person_leaves_the_lake_but_to_its_own_department
The next run overwrites stored failures (dbt 9234):
  test_findings.py::test_any_history_of_evaluations_comes_out_as_a_plain_model_says_and_twice_is_once
  test_traps.py::test_what_was_found_before_is_kept_when_nothing_is_found_now
"Error data" shows rows that pass (datavines 346):
  test_runner.py::test_gx_counts_collected_records_and_plain_python_agree
  test_rules_of_several.py::test_no_two_records_agree_in_all_columns
A failure of the monitoring breaks the load, or passes for bad data (elementary 1991):
  test_runner.py::test_a_rule_with_wrong_sql_is_an_error_of_that_rule_and_all_others_are_evaluated
  test_findings.py::test_a_suggestion_that_does_not_run_costs_its_rule_alone_and_nothing_is_found_twice
  test_corrections.py::test_a_rule_that_failed_to_run_settles_nothing
0.00 % is shown while a hundred rows fail (DataQualityDashboard 95):
  test_reports.py::test_a_share_is_rounded_but_never_to_none_or_all
  test_scorecards.py::test_a_score_is_never_100_percent_with_100_failures_nor_0_percent_with_100_passes
Known failures drown new ones (ccao 345):
  test_traps.py::test_new_open_overdue_and_reopened_are_counted_apart
Inverted indicators are averaged raw:
  test_scorecards.py::test_inverted_indicators_are_turned_before_they_are_averaged
The denominator is all rows instead of those a rule applies to:
  test_scorecards.py::test_denominator_of_0201_counts_only_rows_the_rule_applies_to
  test_runner.py::test_gx_counts_collected_records_and_plain_python_agree
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from correction_loop import DAYS, RIGHT, WRONG, Loop
from test_findings import DAY, con, see, state

from assets.corrections import advance
from assets.notices import issue
from assets.report_ledger import collect_ledger
from catalog.jurisdiction import Clock, Jurisdiction

__all__ = ["con"]


@pytest.fixture
def loop(small_city):
    return Loop(small_city)


def test_every_trap_names_tests_that_exist() -> None:
    here = Path(__file__).parent
    named = re.findall(r"^  (\S+\.py)::(test_\w+)$", __doc__ or "", re.MULTILINE)
    assert len(named) > 15
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not re.search(rf"^ *def {test}\(", (here / file).read_text("utf-8"), re.MULTILINE)
    ]
    assert missing == []


def test_a_second_problem_of_a_record_has_its_own_finding_order_and_end(loop: Loop) -> None:
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    loop.deliver(DAYS[1], {"a": WRONG})
    loop.check(DAYS[1], ["a"])
    loop.check(DAYS[1], ["a"], rule="PSB-902")
    advance(loop.city, DAYS[1], author="test")
    assert loop.states() == {"a": "still_wrong", "PSB-902 a": "open"}
    orders = "SELECT count(DISTINCT order_id) FROM shuyuan.ledger.item_states WHERE record_key = 'a'"
    assert loop.city.con.execute(orders).fetchone() == (2,)
    loop.deliver(DAYS[2], {"a": RIGHT})
    loop.check(DAYS[2], [])
    loop.check(DAYS[2], ["a"], rule="PSB-902")
    advance(loop.city, DAYS[2], author="test")
    assert loop.states() == {"a": "verified_as_suggested", "PSB-902 a": "still_wrong"}


def test_what_was_found_before_is_kept_when_nothing_is_found_now(con: duckdb.DuckDBPyConnection) -> None:
    see(con, DAY, {"R": {"a": "x", "b": "y"}})
    see(con, DAY + timedelta(days=1), {"R": {}})
    see(con, DAY + timedelta(days=2), {"R": {}})
    closed = DAY + timedelta(days=1)
    assert state(con) == {
        ("R", "a"): ("resolved", "x", DAY, DAY, closed),
        ("R", "b"): ("resolved", "y", DAY, DAY, closed),
    }


def test_new_open_overdue_and_reopened_are_counted_apart(loop: Loop) -> None:
    keys = ["old", "again", "new"]
    catalog = replace(loop.city.catalog, jurisdiction=Jurisdiction(clock=Clock(working_days=5)))
    city = replace(loop.city, catalog=catalog)
    for day, failing in ((DAYS[0], keys[:2]), (DAYS[1], keys[:1]), (DAYS[11], keys)):
        loop.deliver(day, {key: WRONG if key in failing else RIGHT for key in keys})
        loop.check(day, failing)
        advance(city, day, author="test")
        issue(city, day, author="test")
    ledger = collect_ledger(loop.city.con, DAYS[11])
    assert [(one.new, one.verified, one.relapsed) for one in ledger.changes] == [(1, 0, 1)]
    assert [(one.open, one.overdue) for one in ledger.counts] == [(2, 1)]
    assert {one.state: one.items for one in ledger.items} == {"still_wrong": 1, "reopened": 1, "notified": 1}
