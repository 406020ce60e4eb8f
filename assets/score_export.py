"""Scores for strangers: the rows they were counted from and the scores, as CSV, for one day or one calendar month.

`measures.csv` has one row per resource, indicator and rule or measurement; `scores.csv` and `rule_precision.csv` what
was made of them; docs/scores.md recomputes the one from the other. Only counts and names of the catalogue leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from quality_checks.revisions import current_measures, current_scores
from resources.lake import literal


@dataclass(frozen=True)
class Period:
    """What is asked for: how all stood after the pass `as_of`, or the calendar month whose last pass that is."""

    as_of: date
    kind: str


def find_period(con: DuckDBPyConnection, month: date | None) -> Period:
    """The last day that was scored, or the month that begins on `month`.

    Raises:
        LookupError: nothing was scored in it; the message names the months there are.
    """
    kind = "month" if month else "day"
    scored = [
        day
        for (day,) in con.execute(
            "SELECT DISTINCT as_of FROM quality.scores WHERE period = $1 AND scope = 'city' ORDER BY as_of", [kind]
        ).fetchall()
    ]
    chosen = [day for day in scored if month is None or day.replace(day=1) == month]
    if chosen:
        return Period(chosen[-1], kind)
    if month is None:
        raise LookupError("nothing was scored yet: shuyuan run, with --as-of DAY where nothing new was delivered")
    there = ", ".join(f"{day:%Y-%m}" for day in scored) or "none yet"
    raise LookupError(f"month = {month:%Y-%m}: no pass was scored in it; scored: {there}")


def export_scores(con: DuckDBPyConnection, folder: Path, period: Period) -> dict[str, int]:
    """Write the three files into `folder`, each whole or not at all; returns their rows by name."""
    day = f"DATE '{period.as_of}'"
    within = f"AND m.evaluated_on >= date_trunc('month', {day})" if period.kind == "month" else ""
    at = f"as_of = {day} AND period = '{period.kind}'"
    queries = {
        "measures.csv": f"""
            SELECT m.as_of, m.evaluated_on, m.department, m.resource, dimension, indicator, m.measure, i.direction,
                m.origin, m.numerator, m.denominator, m.excepted, i.weight, d.weight AS dimension_weight, i.scheme
            FROM {current_measures()} m
            JOIN (SELECT * FROM {current_scores()} WHERE {at} AND scope = 'city') i USING (indicator)
            JOIN (SELECT * FROM {current_scores()} WHERE {at} AND scope = 'city' AND indicator IS NULL) d
                USING (dimension)
            WHERE m.as_of = {day} {within} ORDER BY department, resource, indicator, measure""",
        "scores.csv": f"""
            SELECT * FROM {current_scores()} WHERE {at}
            ORDER BY scope, name, dimension NULLS FIRST, indicator NULLS FIRST""",
        "rule_precision.csv": f"FROM quality.precision WHERE as_of = {day} ORDER BY department, rule_id",
    }
    folder.mkdir(parents=True, exist_ok=True)
    return {file: _write(con, folder / file, query) for file, query in queries.items()}


def _write(con: DuckDBPyConnection, path: Path, query: str) -> int:
    partial = path.with_name(f".{path.name}.part")
    try:
        row = con.execute(f"COPY ({query}) TO {literal(str(partial))} (FORMAT csv, HEADER)").fetchone()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return int(row[0]) if row else 0


def scores_of(con: DuckDBPyConnection, period: Period, department: str | None) -> list[dict[str, Any]]:
    """Totals of the city, its departments and libraries; of one department also its dimensions and indicators."""
    chosen = (
        "scope = 'department' AND name = $department"
        if department
        else "dimension IS NULL AND scope <> 'resource' AND $department IS NULL"
    )
    found = con.execute(
        f"""
        SELECT scope, name, dimension, indicator, direction, numerator, denominator, own_numerator, own_denominator,
            score, small_sample, grade, scheme, revised_on
        FROM {current_scores()} WHERE as_of = $as_of AND period = $kind AND {chosen}
        ORDER BY scope, name, dimension NULLS FIRST, indicator NULLS FIRST
        """,
        {"as_of": period.as_of, "kind": period.kind, "department": department},
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def revisions_of(con: DuckDBPyConnection, department: str | None) -> list[dict[str, Any]]:
    """Scores of the city and its departments that rulings corrected after they were published, newest first.

    Of totals and dimensions; `published` is what was shown before, `corrected` what is shown since `revised_on`.
    """
    found = con.execute(
        """
        SELECT r.as_of, r.period, r.scope, r.name, r.dimension, p.score AS published, r.score AS corrected,
            p.grade AS grade_published, r.grade AS grade_corrected, p.numerator AS numerator_published,
            r.numerator AS numerator_corrected, r.denominator, r.revised_on
        FROM quality.revised_scores r JOIN quality.scores p
            ON p.as_of = r.as_of AND p.period = r.period AND p.scope = r.scope AND p.name = r.name
            AND p.dimension IS NOT DISTINCT FROM r.dimension AND p.indicator IS NOT DISTINCT FROM r.indicator
        WHERE r.indicator IS NULL AND r.scope IN ('city', 'department')
            AND ($1::VARCHAR IS NULL OR (r.scope = 'department' AND r.name = $1))
        ORDER BY r.revised_on DESC, r.as_of DESC, r.period, r.scope, r.name, r.dimension NULLS FIRST
        """,
        [department],
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def precision_of(con: DuckDBPyConnection, period: Period, department: str) -> list[dict[str, Any]]:
    """The department's rules that somebody objected to."""
    found = con.execute(
        "SELECT rule_id, findings, objections, upheld, rejected, precision FROM quality.precision"
        " WHERE as_of = $1 AND department = $2 AND objections > 0 ORDER BY objections DESC, rule_id",
        [period.as_of, department],
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
