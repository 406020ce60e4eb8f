"""The scorecards of the report site: scores, grades, months and rule precision, read in three queries.

What stands here was computed by `quality_checks.scorecards`; nothing is scored anew. Add a query when a page shows a
part of `quality.scores` it did not show before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_FLOOR, Decimal

from duckdb import DuckDBPyConnection

from quality_checks.revisions import current_scores

MONTHS = 12  # calendar months a scorecard looks back
OWN_SCOPES = ("department", "resource")  # scored on what is their own


@dataclass(frozen=True, slots=True)
class Ratio:
    """Rows a rule, or all rules of a dimension, applied to, and those of them that failed."""

    applicable: int
    failed: int


@dataclass(frozen=True, slots=True)
class DimensionFigure(Ratio):
    """A dimension of one scope: what was counted, and its score from its indicators' weights."""

    score: Decimal | None


@dataclass(frozen=True, slots=True)
class IndicatorFigure:
    """One indicator of one scope: A/B as the standard has it, of all data and of the scope's own."""

    indicator: str
    direction: str
    numerator: int
    denominator: int
    own_numerator: int
    own_denominator: int
    score: Decimal | None
    small_sample: bool

    @property
    def inherited(self) -> tuple[int, int]:
        """A and B of what was received from somebody else."""
        return self.numerator - self.own_numerator, self.denominator - self.own_denominator


@dataclass(frozen=True, slots=True)
class Month:
    """The total of one scope in one calendar month; `as_of` is its last pass so far."""

    as_of: date
    score: Decimal | None
    grade: str | None


@dataclass(frozen=True, slots=True)
class Precision:
    """One rule in one department: what it found, and what became of objections; `precision` null is unknown."""

    department: str
    rule_id: str
    findings: int
    objections: int
    upheld: int
    rejected: int
    precision: Decimal | None


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Everything a scope is scored by. `checks` is how many things were counted for it, its own where it has own."""

    score: Decimal | None
    grade: str | None
    scheme: str
    small_sample: bool
    checks: int
    dimensions: Mapping[str, DimensionFigure]
    indicators: Mapping[str, IndicatorFigure]
    months: Sequence[Month]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scorecards by scope and name, and rule precision by department."""

    cards: Mapping[tuple[str, str], Scorecard]
    precision: Mapping[str, Sequence[Precision]]


_LAST = "(select max(as_of) from quality.{} where as_of <= $1)"
_SCORES = f"""
    select scope, name, dimension, indicator, direction, numerator, denominator, own_numerator, own_denominator, score,
           small_sample, grade, scheme
    from {current_scores()} where period = 'day' and as_of = {_LAST.format("scores")}
        and (denominator > 0 or dimension is null)
    order by scope, name, dimension, indicator"""
_MONTHS = f"""
    select scope, name, as_of, score, grade from {current_scores()}
    where period = 'month' and dimension is null and scope <> 'resource' and as_of <= $1
        and as_of > date_trunc('month', $1) - to_months($2)
    order by scope, name, as_of"""
_PRECISION = f"""
    select department, rule_id, findings, objections, upheld, rejected, precision
    from quality.precision where as_of = {_LAST.format("precision")}
    order by department, objections desc, findings desc, rule_id"""


def collect_scores(con: DuckDBPyConnection, as_of: date) -> Scores:
    """The scorecards as of the last pass up to `as_of`."""
    months: dict[tuple[str, str], list[Month]] = {}
    for scope, name, *told in con.execute(_MONTHS, [as_of, MONTHS - 1]).fetchall():
        months.setdefault((scope, name), []).append(Month(*told))
    totals: dict[tuple[str, str], tuple[int, Decimal | None, bool, str | None, str]] = {}
    dimensions: dict[tuple[str, str], dict[str, DimensionFigure]] = {}
    indicators: dict[tuple[str, str], dict[str, IndicatorFigure]] = {}
    for scope, name, dimension, indicator, direction, *counts, score, small, grade, scheme in con.execute(
        _SCORES, [as_of]
    ).fetchall():
        of = scope, name
        passed, checks = counts[2:] if scope in OWN_SCOPES else counts[:2]
        if indicator:
            figure = IndicatorFigure(*(indicator, direction, *counts, score, small))
            indicators.setdefault(of, {})[indicator] = figure
        elif dimension:
            dimensions.setdefault(of, {})[dimension] = DimensionFigure(checks, checks - passed, score)
        else:
            totals[of] = checks, score, small, grade, scheme
    cards = {
        of: Scorecard(
            score, grade, scheme, small, checks, dimensions.get(of, {}), indicators.get(of, {}), months.get(of, [])
        )
        for of, (checks, score, small, grade, scheme) in totals.items()
    }
    precision: dict[str, list[Precision]] = {}
    for row in con.execute(_PRECISION, [as_of]).fetchall():
        precision.setdefault(row[0], []).append(Precision(*row))
    return Scores(cards, precision)


def counted_share(part: int, whole: int) -> str:
    """A of B in percent, rounded as the score beside it is."""
    return f"{points(Decimal(part) / whole)} %"


def points(score: Decimal | None) -> str:
    """A score of 100 with two digits, rounded down: 100 and 0 stand only for all and none; unknown is a dash."""
    if score is None:
        return "—"
    if score in (0, 1):
        return "100" if score else "0"
    shown = (score * 100).quantize(Decimal("0.01"), rounding=ROUND_FLOOR)
    return str(shown) if shown else "<0.01"
