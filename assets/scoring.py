"""Scoring: the measures of a pass, then its scores and rule precision, and what rulings restored, in one commit.

What is counted is `quality_checks.measures`, what becomes of it `quality_checks.scorecards`; which products are served
only `assets.publish` knows.
"""

from __future__ import annotations

from datetime import date

from duckdb import DuckDBPyConnection

from assets.exceptions import PERIODS, read_periods
from assets.publish import served
from quality_checks import measures, revisions, scorecards
from resources.city import City


def score(city: City, as_of: date, *, author: str) -> None:
    """Bring `quality.measures`, `quality.scores` and `quality.precision` to the end of the pass `as_of`."""
    products = served(city, as_of)
    read_periods(city.con)

    def work(con: DuckDBPyConnection) -> None:
        measures.measure(con, city.catalog, as_of, products)
        scorecards.compute(con, city.catalog, as_of)
        revisions.revise(con, city.catalog.jurisdiction, as_of, periods=PERIODS)

    city.commit("city", work, author=author, message=f"scores {as_of}")
