"""Findings: every record that breaks a rule, with its history, in `quality.findings`; each evaluation's counts.

`collect` tells the failing records of a suite from the verdicts that Great Expectations counted; `merge` brings the
lake's findings to what was found now. A finding is never deleted: it is seen first, seen last, resolved, reopened. What
becomes of it with its department is `quality_checks.corrections`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date

import duckdb
from duckdb import DuckDBPyConnection

from catalog.rules import Method, Rule
from quality_checks import telling
from quality_checks.macros import name, quote
from quality_checks.results import RuleResult, redact
from quality_checks.suites import Suite, verdict
from quality_checks.verdicts import VERDICTS, judgements

VIOLATIONS = "quality_violations"  # temporary table
FIELDS = (
    "rule_id", "standard", "dimension", "indicator", "severity", "department", "resource", "record_key", "column",
    "observed_value", "suggested_value", "suggestion_method", "suggestion_confidence", "reason", "delivery_id",
)  # fmt: skip
_CURRENT = (
    "standard",
    "dimension",
    "indicator",
    "severity",
    "observed_value",
    "suggested_value",
    "suggestion_method",
    "suggestion_confidence",
    "reason",
    "delivery_id",
)


def start(con: DuckDBPyConnection) -> None:
    """An empty temporary table of violations."""
    kinds = {"suggestion_confidence": "DOUBLE"}
    columns = ", ".join(f"{name(field)} {kinds.get(field, 'VARCHAR')}" for field in FIELDS)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {VIOLATIONS} ({columns})")


def take_back(con: DuckDBPyConnection, rules: Sequence[str]) -> None:
    """Remove what an evaluation that ended half way has collected for the rules."""
    con.execute(f"DELETE FROM {VIOLATIONS} WHERE rule_id IN (SELECT unnest($1::VARCHAR[]))", [list(rules)])


def collect(con: DuckDBPyConnection, suite: Suite, results: Sequence[RuleResult]) -> list[RuleResult]:
    """Add the failing records of the suite, which `runner.validate` has just judged, to the violations.

    A rule whose records cannot be told, such as one whose suggestion does not run, comes back with state `error` and
    none of them: something is wrong with us, not with the data.
    """
    state = {result.rule_id: result for result in results}
    judged = [rule for rule in suite.rules if state[rule.id].state == "ok"]
    columns = judgements(judged)
    failing = [(columns[verdict(rule)], rule) for rule in judged if state[rule.id].failed]
    broken: dict[str, str] = {}
    try:
        _add(con, suite, failing)
    except duckdb.Error:
        for one in failing:
            try:
                _add(con, suite, [one])
            except duckdb.Error as error:
                broken[one[1].id] = redact(str(error))
    return [_failed(one, broken[one.rule_id]) if one.rule_id in broken else one for one in results]


def _add(con: DuckDBPyConnection, suite: Suite, rules: Sequence[tuple[str, Rule]]) -> None:
    if rules:
        con.execute(f"INSERT INTO {VIOLATIONS} {violations_sql(suite, rules)}")


def _failed(result: RuleResult, message: str) -> RuleResult:
    return replace(result, applicable=0, failed=0, tolerated=0, state="error", message=message)


def violations_sql(suite: Suite, rules: Sequence[tuple[str, Rule]]) -> str:
    """Query: one row per record and rule it breaks, with `FIELDS` as columns; `rules` with their column of verdicts."""
    found = ", ".join(f"CASE WHEN NOT {kept} THEN {_told(n, rule, suite)} END" for n, (kept, rule) in enumerate(rules))
    any_broken = " OR ".join(f"NOT {kept}" for kept, _ in rules)
    fixed = ", ".join(_fixed(n, rule, suite) for n, (_, rule) in enumerate(rules))
    as_normal = "f.told.suggested IS NOT DISTINCT FROM f.told.normal"
    method = f"CASE WHEN {as_normal} THEN '{Method.normalised}' ELSE r.method END"
    confidence = f"CASE WHEN {as_normal} THEN 1 ELSE coalesce(f.told.share, r.confidence) END"
    return (
        "SELECT r.rule_id, r.standard, r.dimension, r.indicator, r.severity,"
        f" {quote(suite.department)}, {quote(suite.resource)}, f._record_key, r.told_column, f.told.observed,"
        f" {', '.join(map(_if_offered, ('f.told.suggested', method, confidence)))},"
        " concat(r.sentence, '：' || f.told.reason),"
        f" f._delivery_id FROM (SELECT _record_key, _delivery_id, unnest([{found}]) AS told"
        f" FROM {VERDICTS} WHERE {any_broken}) f"
        f" JOIN (VALUES {fixed}) r(number, rule_id, standard, dimension, indicator, severity, told_column, sentence,"
        " method, confidence) ON r.number = f.told.number"
    )


def _if_offered(sql: str) -> str:
    return (
        f"CASE WHEN f.told.suggested IS NOT NULL AND f.told.suggested IS DISTINCT FROM f.told.observed THEN {sql} END"
    )


def _told(number: int, rule: Rule, suite: Suite) -> str:
    suggested, normal, share, reason = telling.parts(rule, verdict(rule), suite.titles)
    return (
        f"{{'number': {number}, 'observed': {telling.observed_value(rule.column)}, 'suggested': {suggested},"
        f" 'normal': {normal}, 'share': {share}, 'reason': {reason}}}"
    )


def _fixed(number: int, rule: Rule, suite: Suite) -> str:
    standard = quote(rule.standard) if rule.standard else "NULL"
    texts = map(quote, (rule.dimension, rule.indicator, rule.severity.value, rule.column, rule.zh))
    method = telling.method(rule, suite.titles)
    found = f"{quote(method) if method else 'NULL::VARCHAR'}, {telling.confidence(rule, method) or 'NULL'}::DOUBLE"
    return f"({number}, {quote(rule.id)}, {standard}, {', '.join(texts)}, {found})"


def merge(
    con: DuckDBPyConnection,
    violations: str,
    results: Sequence[RuleResult],
    as_of: date,
    *,
    records: str | None = None,
    steady: bool = False,
) -> None:
    """Bring `quality.findings` and this day's `quality.results` to what was evaluated now; DML only.

    `violations` is a temporary table with the columns `FIELDS`. For each (department, resource, rule) with a result of
    state `ok`: a violation not seen before opens a finding, one seen before renews it or opens it again with its first
    date kept, and a finding without a violation is resolved. Running it twice for one day changes nothing more.
    Where only some records were evaluated, `records` is a table of them (`department, resource, record_key`): findings
    of all others stay as they are. `steady`: an open finding keeps its reason while the values it tells of stay,
    whatever dates a new one would quote.
    """
    evaluated = "SEMI JOIN _evaluated e USING (department, resource, rule_id)"
    if records:  # by their ids, so that whole findings need not be held to find the few
        evaluated = (
            f"SEMI JOIN (SELECT finding_id FROM quality.findings SEMI JOIN {records} r"
            f" USING (department, resource, record_key) {evaluated} WHERE {_within(results)}) h USING (finding_id)"
        )
    _put_results(con, results, as_of)
    told = {field: f"v.{field}" for field in _CURRENT}
    if steady:
        stays = " AND ".join(f"v.{c} IS NOT DISTINCT FROM f.{c}" for c in ("observed_value", "suggested_value"))
        told["reason"] = f"CASE WHEN f.status = 'open' AND {stays} THEN f.reason ELSE v.reason END"
    values = ", ".join(f"{sql} AS {field}" for field, sql in told.items())
    seen = ", ".join(told.values())
    before = ", ".join(f"f.{field}" for field in _CURRENT)
    day = f"DATE '{as_of}'"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE _violations AS
        SELECT finding_id(rule_id, department, resource, record_key, "column") AS finding_id, v.*
        FROM {violations} v SEMI JOIN _evaluated e USING (department, resource, rule_id)
    """)
    if con.execute("SELECT count(*) > count(DISTINCT finding_id) FROM _violations").fetchone() == (True,):
        first = "SELECT DISTINCT ON (finding_id) * FROM _violations ORDER BY ALL"
        con.execute(f"CREATE OR REPLACE TEMP TABLE _once AS {first}")  # seldom: to sort them all takes longest
        con.execute("CREATE OR REPLACE TEMP TABLE _violations AS FROM _once")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE _changed AS
        WITH f AS (
            SELECT f.* FROM quality.findings f {evaluated} WHERE {_within(results)}
        )
        SELECT v.finding_id, v.rule_id, v.department, v.resource, v.record_key, v."column", {values},
            coalesce(f.first_seen, {day}) AS first_seen, {day} AS last_seen, 'open' AS status, NULL::DATE AS closed_on,
            f.finding_id IS NOT NULL AS known
        FROM _violations v LEFT JOIN f USING (finding_id)
        WHERE f.finding_id IS NULL OR ({seen}, {day}, 'open') IS DISTINCT FROM ({before}, f.last_seen, f.status)
        UNION ALL BY NAME
        SELECT f.* REPLACE ('resolved' AS status, {day} AS closed_on), true AS known
        FROM f ANTI JOIN _violations v USING (finding_id) WHERE f.status = 'open'
    """)
    changed, known = con.execute("SELECT count(*), count_if(known) FROM _changed").fetchall()[0]
    if known:
        con.execute(f"""
            DELETE FROM quality.findings
            WHERE {_within(results)} AND finding_id IN (SELECT finding_id FROM _changed WHERE known)
        """)
    if changed:
        # in this order a later merge of one resource opens only the parts of a file that hold it
        fresh = "SELECT * EXCLUDE (known) FROM _changed ORDER BY department, resource"
        con.execute(f"INSERT INTO quality.findings BY NAME {fresh}")
    con.execute("DROP TABLE IF EXISTS _once; DROP TABLE _violations; DROP TABLE _changed")


def retire(
    con: DuckDBPyConnection, resources: Collection[tuple[str, str]], rules: Collection[str], as_of: date
) -> None:
    """Resolve what rules accused these resources' records of that are no longer in force; DML only.

    `resources` are (department, resource), `rules` the ids of all rules in force. Deliveries are judged by rules of the
    program's own, which no catalogue holds.
    """
    here = (
        f"{_among('department', {one for one, _ in resources})} AND {_among('resource', {one for _, one in resources})}"
    )
    gone = (
        f"{here} AND status = 'open' AND NOT starts_with(rule_id, concat(department, '.', resource, '.delivery.'))"
        " AND rule_id NOT IN (SELECT unnest($rules::VARCHAR[]))"
    )
    told = {"rules": sorted(rules)}
    con.execute(
        "CREATE OR REPLACE TEMP TABLE _gone AS SELECT * REPLACE ('resolved' AS status, $day::DATE AS closed_on)"
        f" FROM quality.findings WHERE {gone}",
        told | {"day": as_of},
    )
    if con.execute("SELECT count(*) FROM _gone").fetchone() != (0,):
        con.execute(f"DELETE FROM quality.findings WHERE {gone}", told)
        con.execute("INSERT INTO quality.findings BY NAME SELECT * FROM _gone ORDER BY department, resource")


def _put_results(con: DuckDBPyConnection, results: Sequence[RuleResult], as_of: date) -> None:
    fields = ("department", "resource", "rule_id", "dimension", "indicator", "severity", "applicable", "failed",
              "state", "message")  # fmt: skip
    kinds = {"applicable": "BIGINT", "failed": "BIGINT"}
    columns = ", ".join(
        f"unnest(${n}::{kinds.get(field, 'VARCHAR')}[]) AS {field}" for n, field in enumerate(fields, 1)
    )
    values = [[getattr(result, field) for result in results] for field in fields]
    con.execute(f"CREATE OR REPLACE TEMP TABLE _results AS SELECT DATE '{as_of}' AS as_of, {columns}", values)
    con.execute("CREATE OR REPLACE TEMP TABLE _evaluated AS SELECT * FROM _results WHERE state = 'ok'")
    told = f"as_of = DATE '{as_of}' AND {_within(results)}"
    told += " AND (department, resource, rule_id) IN (SELECT (department, resource, rule_id) FROM _results)"
    if con.execute(f"SELECT 1 FROM quality.results WHERE {told} LIMIT 1").fetchone():  # cheaper than to delete nothing
        con.execute(f"DELETE FROM quality.results WHERE {told}")
    con.execute("INSERT INTO quality.results BY NAME SELECT * FROM _results")


def _within(results: Sequence[RuleResult]) -> str:
    """A condition by which the lake need not open the files of other departments and resources."""
    if not results:
        return "false"
    departments, resources = {one.department for one in results}, {one.resource for one in results}
    return f"{_among('department', departments)} AND {_among('resource', resources)}"


def _among(column: str, values: Collection[str]) -> str:
    return f"{column} IN ({', '.join(map(quote, sorted(values)))})"
