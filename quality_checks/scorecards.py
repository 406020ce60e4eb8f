"""Scorecards: numerator and denominator per indicator and dimension, the weighted score and grade, and rule precision.

Everything is computed from `quality.measures` of the pass, in whole numbers, so that a stranger who has those rows gets
every score to its last digit (docs/scores.md does so). Scopes are the city, each department, each resource, and each
library: the resources that describe it, with its comparisons. Two periods: `day` is how all stands after the pass,
`month` what was evaluated in the calendar month so far, each rule by its latest result in it. A month's last pass
leaves its figures for good, since no pass ever goes back.

* An indicator's score is A/B, of the inverted 0303 and 0305 1 - A/B: nowhere is a raw ratio averaged. Without anything
  counted it has none, and weighs nothing.
* A small sample (the jurisdiction says how small) is marked and weighs nothing: one wrong record of three says little.
  What counts all columns, deliveries or resources there are is no sample.
* A dimension's score is the mean of its indicators' scores by their weights, the total that of the dimensions' by
  theirs, marked when every sample in it was small. The counts beside them are checks that were passed, and checks.
* Departments and resources are scored on what is their own; city and libraries on everything.
* A score is rounded down to nine digits, and is 0 or 1 only when none or all is right.
* A rule's precision is the share of its findings that no upheld objection took back; unknown (null) until an objection
  was decided.
"""

from __future__ import annotations

from datetime import date

from duckdb import DuckDBPyConnection

from catalog.indicators import DIMENSIONS, INDICATORS, INVERTED
from catalog.jurisdiction import Jurisdiction
from catalog.load import Catalog
from quality_checks.indicators import CENSUS
from quality_checks.loading import load
from quality_checks.macros import quote
from quality_checks.rules import thematic_rules

BILLION = 1_000_000_000


def compute(con: DuckDBPyConnection, catalog: Catalog, as_of: date) -> None:
    """Replace the scores and the precision of the pass `as_of`; DML only, to be called inside a commit.

    The month's figures replace those of its earlier passes. `quality.measures` must hold the pass.
    """
    con.execute("DELETE FROM quality.scores WHERE as_of = $1 AND period = 'day'", [as_of])
    con.execute(
        "DELETE FROM quality.scores WHERE period = 'month' AND as_of BETWEEN date_trunc('month', $1::DATE) AND $1",
        [as_of],
    )
    _scopes(con, catalog)
    con.execute(f"INSERT INTO quality.scores BY NAME {scores_sql(catalog.jurisdiction)}", [as_of])
    con.execute("DELETE FROM quality.precision WHERE as_of = $1", [as_of])
    con.execute(f"INSERT INTO quality.precision BY NAME {PRECISION}", [as_of])


def _scopes(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """`_scopes`: one row per scope and resource that belongs to it."""
    tables = [(r.department, r.name, r.describes and r.describes.library) for r in catalog.resources.values()]
    tables += [
        (table.lead, f"{table.topic}__{table.name}", None)
        for table in catalog.thematic.values()
        if not all(rule.accuse for rule in thematic_rules(catalog, table))
    ]
    load(con, "_tables", dict.fromkeys(("department", "resource", "library"), "VARCHAR"), tables)
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE _scopes AS
        SELECT unnest([
            {'scope': 'city', 'name': 'city'},
            {'scope': 'department', 'name': department},
            {'scope': 'resource', 'name': department || '.' || resource}
        ], recursive := true), department, resource FROM _tables
        UNION ALL
        SELECT 'library', library, department, resource FROM _tables WHERE library IS NOT NULL
        """
    )


def scores_sql(jurisdiction: Jurisdiction, measures: str = "quality.measures") -> str:
    """Query with one parameter, the day: the rows of `quality.scores` that belong to the pass."""
    weights = jurisdiction.weights
    indicators = ", ".join(
        f"({quote(code)}, {quote(dimension)}, '{'down' if code in INVERTED else 'up'}',"
        f" {weights.indicators.get(code, 1)})"
        for code, (_, dimension) in INDICATORS.items()
    )
    dimensions = ", ".join(f"({quote(name)}, {weights.dimensions.get(name, 1)})" for name in DIMENSIONS)
    grades = " ".join(
        f"WHEN billionths >= {round(grade.from_ * BILLION / 100)} THEN {quote(grade.title.zh)}"
        for grade in jurisdiction.grades
    )
    census, fewest = ", ".join(map(quote, sorted(CENSUS))), jurisdiction.small_sample
    return f"""
        WITH scoped AS (
            SELECT unnest(CASE WHEN m.evaluated_on >= date_trunc('month', $1::DATE) THEN ['day', 'month']
                               ELSE ['day'] END) AS period, s.scope, s.name, m.*
            FROM {measures} m JOIN _scopes s USING (department, resource) WHERE m.as_of = $1
        ),
        counts AS (
            SELECT period, scope, name, indicator, sum(numerator) AS n, sum(denominator) AS d,
                sum(numerator) FILTER (origin = 'own') AS own_n, sum(denominator) FILTER (origin = 'own') AS own_d
            FROM scoped GROUP BY ALL
        ),
        complete AS (
            SELECT p.period, s.scope, s.name, i.*, coalesce(c.n, 0)::BIGINT AS numerator,
                coalesce(c.d, 0)::BIGINT AS denominator, coalesce(c.own_n, 0)::BIGINT AS own_numerator,
                coalesce(c.own_d, 0)::BIGINT AS own_denominator
            FROM (SELECT DISTINCT scope, name FROM _scopes) s
            CROSS JOIN (VALUES ('day'), ('month')) p(period)
            CROSS JOIN (VALUES {indicators}) i(indicator, dimension, direction, weight)
            LEFT JOIN counts c USING (period, scope, name, indicator)
        ),
        passed AS (
            SELECT *, if(direction = 'up', numerator, denominator - numerator) AS good,
                if(direction = 'up', own_numerator, own_denominator - own_numerator) AS own_good,
                scope IN ('department', 'resource') AS on_own
            FROM complete
        ),
        indicator_scores AS (
            SELECT *, if(on_own, own_good, good) AS part, if(on_own, own_denominator, denominator) AS whole,
                {_billionths("part", "whole")} AS billionths, indicator NOT IN ({census}) AS sampled,
                sampled AND whole BETWEEN 1 AND {fewest - 1} AS small_sample,
                sampled AND billionths IS NOT NULL AND NOT small_sample AND weight > 0 AS well_sampled
            FROM passed
        ),
        dimension_scores AS (
            SELECT period, scope, name, dimension, any_value(on_own) AS on_own, any_value(w.weight) AS weight,
                sum(good)::BIGINT AS numerator, sum(denominator)::BIGINT AS denominator,
                sum(own_good)::BIGINT AS own_numerator, sum(own_denominator)::BIGINT AS own_denominator,
                {_mean("if(small_sample, 0, i.weight)")} AS billionths, {_SMALL}
            FROM indicator_scores i JOIN (VALUES {dimensions}) w(dimension, weight) USING (dimension)
            GROUP BY period, scope, name, dimension
        ),
        totals AS (
            SELECT period, scope, name, any_value(on_own) AS on_own, sum(numerator)::BIGINT AS numerator,
                sum(denominator)::BIGINT AS denominator, sum(own_numerator)::BIGINT AS own_numerator,
                sum(own_denominator)::BIGINT AS own_denominator, {_mean("weight")} AS billionths, {_SMALL}
            FROM dimension_scores GROUP BY period, scope, name
        ),
        every AS (
            SELECT * FROM indicator_scores
            UNION ALL BY NAME SELECT *, 'up' AS direction FROM dimension_scores
            UNION ALL BY NAME SELECT *, 'up' AS direction FROM totals
        )
        SELECT $1::DATE AS as_of, period, scope, name, dimension, indicator, direction, numerator, denominator,
            own_numerator, own_denominator, (billionths / {BILLION})::DECIMAL(10, 9) AS score, weight,
            {quote(weights.name)} AS scheme,
            small_sample,
            CASE WHEN dimension IS NULL THEN CASE {grades} END END AS grade
        FROM every"""


_SMALL = """bool_or(small_sample) AND NOT bool_or(well_sampled) AS small_sample,
                bool_or(well_sampled) AS well_sampled"""


def _billionths(part: str, whole: str) -> str:
    """The share in billionths, rounded down, yet 0 only when `part` is; null when nothing was counted."""
    return f"CASE WHEN {whole} > 0 THEN greatest({part}::HUGEINT * {BILLION} // {whole}, least({part}, 1))::BIGINT END"


def _mean(weight: str) -> str:
    """The mean of the group's billionths by `weight`, rounded likewise; what has no score weighs nothing."""
    counts = f"FILTER (billionths IS NOT NULL AND {weight} > 0)"
    total, weights = f"sum(billionths::HUGEINT * {weight}) {counts}", f"sum({weight}) {counts}"
    return f"CASE WHEN {weights} > 0 THEN greatest({total} // {weights}, least({total}, 1))::BIGINT END"


# One row per department and rule with findings that were ever sent back; parameter: the day.
PRECISION = f"""
    WITH raised AS (
        SELECT department, rule_id, count(*) AS findings FROM quality.findings WHERE severity <> 'info' GROUP BY ALL
    ),
    answered AS (
        SELECT f.department, f.rule_id, count(*) AS objections, count(*) FILTER (upheld) AS upheld,
            -- One that is disputed further is not decided.
            count(*) FILTER (NOT upheld AND last = 'rejected') AS rejected
        FROM (SELECT item_id, bool_or(event = 'upheld') AS upheld, arg_max(event, number) AS last
              FROM shuyuan.ledger.events WHERE event IN ('objection_raised', 'upheld', 'rejected')
              GROUP BY item_id HAVING bool_or(event = 'objection_raised')) e
        JOIN quality.findings f ON f.finding_id = e.item_id GROUP BY ALL
    )
    SELECT $1::DATE AS as_of, department, rule_id, findings, coalesce(objections, 0) AS objections,
        coalesce(upheld, 0) AS upheld, coalesce(rejected, 0) AS rejected,
        CASE WHEN upheld + rejected > 0
             THEN ({_billionths("(findings - upheld)", "findings")} / {BILLION})::DECIMAL(10, 9) END AS precision
    FROM raised LEFT JOIN answered USING (department, rule_id)"""
