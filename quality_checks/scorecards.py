"""Scores: numerator and denominator per city, department and resource, for each dimension.

Computed from the latest result of every rule, so that a resource that delivered nothing today keeps its standing. Only
rows a rule applied to count. Every rule states what is right, so the numerators of all indicators point the same way,
also those of 0303 and 0305, whose standard formula counts what is wrong. Add a new scope here; weights and grades
belong to the reader of the scores.
"""

from __future__ import annotations

from datetime import date

from duckdb import DuckDBPyConnection


def compute(con: DuckDBPyConnection, as_of: date) -> None:
    """Replace the scores of the pass `as_of` in `quality.scores`; DML only, to be called inside a commit."""
    con.execute("DELETE FROM quality.scores WHERE as_of = $1", [as_of])
    con.execute(
        """
        INSERT INTO quality.scores BY NAME
        WITH latest AS (
            SELECT department, resource, rule_id, arg_max(dimension, as_of) AS dimension,
                arg_max(applicable, as_of) AS applicable, arg_max(failed, as_of) AS failed
            FROM quality.results WHERE state = 'ok' AND as_of <= $1
            GROUP BY department, resource, rule_id
        ),
        scoped AS (
            SELECT unnest([
                {'scope': 'city', 'name': 'city'},
                {'scope': 'department', 'name': department},
                {'scope': 'resource', 'name': department || '.' || resource}
            ], recursive := true), dimension, applicable, failed
            FROM latest
        )
        SELECT $1::DATE AS as_of, scope, name, dimension,
            sum(applicable)::BIGINT AS applicable, sum(failed)::BIGINT AS failed
        FROM scoped GROUP BY scope, name, dimension
        """,
        [as_of],
    )
