"""Figures restored: when an objection is upheld, earlier measures and scores that counted the record as wrong.

What was published stays in `quality.measures` and `quality.scores`; the corrected rows are added to
`quality.revised_measures` and `quality.revised_scores` with the day of the pass that made them, and whoever shows a
figure shows the last (`current_measures`, `current_scores`). A record counts as right from the day on which its
department stated the value that was upheld. Only rule results are restored: what could not be read was not readable.
"""

from __future__ import annotations

from datetime import date

from duckdb import DuckDBPyConnection

from catalog.indicators import INVERTED
from catalog.jurisdiction import Jurisdiction
from quality_checks.macros import quote
from quality_checks.scorecards import scores_sql

MEASURE = "as_of, department, resource, indicator, measure, origin"  # what names a measure
SCORE = "as_of, period, scope, name, dimension, indicator"  # what names a score; null stands for all
FIGURES = ("numerator", "denominator", "own_numerator", "own_denominator", "score", "grade")


def current_measures() -> str:
    """Query: `quality.measures` with corrected rows in place of published ones, and `revised_on`."""
    return _current("measures", MEASURE)


def current_scores() -> str:
    """Query: `quality.scores` with corrected rows in place of published ones, and `revised_on`."""
    return _current("scores", SCORE)


def _current(table: str, key: str) -> str:
    same = " AND ".join(f"r.{column} IS NOT DISTINCT FROM p.{column}" for column in key.split(", "))
    return (
        f"(SELECT *, NULL::DATE AS revised_on FROM quality.{table} p"
        f" WHERE NOT EXISTS (SELECT 1 FROM quality.revised_{table} r WHERE {same})"
        f" UNION ALL BY NAME SELECT * FROM quality.revised_{table}"
        f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY revised_on DESC) = 1)"
    )


def revise(con: DuckDBPyConnection, jurisdiction: Jurisdiction, as_of: date, *, periods: str) -> list[date]:
    """Add what rulings changed about passes before `as_of`; DML only, to be called inside a commit, after the scores.

    `periods` is a table of excepted values: `item_id, department, resource, rule_id, first` and `upheld` DATE, and
    `last`, the day from which the exception holds no more or null. `_scopes` must exist (`scorecards.compute`).
    Returns the days whose figures changed. The same pass again gives the same.
    """
    for table in ("revised_measures", "revised_scores"):
        con.execute(f"DELETE FROM quality.{table} WHERE revised_on = $1", [as_of])
    inverted = ", ".join(map(quote, sorted(INVERTED)))
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE _revised AS
        WITH counted AS (
            SELECT m.*, CASE WHEN m.indicator IN ({inverted}) THEN numerator + excepted
                             ELSE denominator - numerator + excepted END AS failed
            FROM {current_measures()} m WHERE m.as_of < $1
        ),
        restored AS (
            SELECT c.as_of, c.department, c.resource, c.measure,
                count(DISTINCT p.item_id) FILTER (c.as_of < p.upheld) AS before,
                -- A pass may have seen the rulings of its own day already, or not.
                CASE WHEN bool_or(c.as_of = p.upheld)
                     THEN count(DISTINCT p.item_id) FILTER (c.as_of >= p.upheld) ELSE 0 END AS since
            FROM (SELECT DISTINCT as_of, department, resource, measure FROM counted) c
            JOIN {periods} p ON p.department = c.department AND p.resource = c.resource AND p.rule_id = c.measure
                AND c.as_of >= p.first AND (p.last IS NULL OR c.as_of < p.last)
            GROUP BY ALL
        ),
        published AS (
            SELECT {MEASURE}, excepted FROM quality.measures
        )
        SELECT c.* EXCLUDE (failed, revised_on),
               least(greatest(o.excepted, r.since) + r.before, c.failed) AS due, c.failed
        FROM counted c JOIN restored r USING (as_of, department, resource, measure)
        JOIN published o ON o.as_of = c.as_of AND o.department = c.department AND o.resource = c.resource
            AND o.indicator = c.indicator AND o.measure = c.measure AND o.origin = c.origin
        WHERE due <> c.excepted
        """,
        [as_of],
    )
    con.execute(
        f"""
        INSERT INTO quality.revised_measures BY NAME
        SELECT * EXCLUDE (due, failed) REPLACE (due AS excepted,
                   CASE WHEN indicator IN ({inverted}) THEN failed - due ELSE denominator - failed + due END
                   AS numerator), $1::DATE AS revised_on
        FROM _revised
        """,
        [as_of],
    )
    days = [day for (day,) in con.execute("SELECT DISTINCT as_of FROM _revised ORDER BY as_of").fetchall()]
    for day in days:  # passes, not rows
        _rescore(con, jurisdiction, day, as_of)
    return days


def _rescore(con: DuckDBPyConnection, jurisdiction: Jurisdiction, day: date, as_of: date) -> None:
    """The scores of one pass from its corrected measures, where they differ under the scheme of that day."""
    scored = scores_sql(jurisdiction, current_measures())
    differs = " OR ".join(f"n.{figure} IS DISTINCT FROM p.{figure}" for figure in FIGURES)
    con.execute(
        f"""
        INSERT INTO quality.revised_scores BY NAME
        SELECT n.*, DATE '{as_of}' AS revised_on
        FROM ({scored}) n JOIN {current_scores()} p
            ON p.as_of = n.as_of AND p.period = n.period AND p.scope = n.scope AND p.name = n.name
            AND p.dimension IS NOT DISTINCT FROM n.dimension AND p.indicator IS NOT DISTINCT FROM n.indicator
            AND p.scheme = n.scheme
        WHERE ({differs}) AND (n.scope, n.name) IN (
            SELECT (s.scope, s.name) FROM _scopes s
            SEMI JOIN (FROM _revised WHERE as_of = $1) r USING (department, resource))
        """,
        [day],
    )
