"""Scoring: the measures of a pass, then its scores and rule precision, in one commit.

What is counted is `quality_checks.measures`, what becomes of it `quality_checks.scorecards`; which products are served
only `assets.publish` knows.
"""

from __future__ import annotations

from datetime import date

from duckdb import DuckDBPyConnection

from assets.publish import served
from quality_checks import measures, scorecards
from resources.city import City


def score(city: City, as_of: date, *, author: str) -> None:
    """Bring `quality.measures`, `quality.scores` and `quality.precision` to the end of the pass `as_of`."""
    products = served(city, as_of)

    def work(con: DuckDBPyConnection) -> None:
        measures.measure(con, city.catalog, as_of, products)
        scorecards.compute(con, city.catalog, as_of)

    city.commit("city", work, author=author, message=f"scores {as_of}")
