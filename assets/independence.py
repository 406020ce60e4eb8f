"""Which sources of a library copy from one another, measured when a person asks for it and kept in the lake.

From then on the sources of a group have one vote in the library's arbitration. What is measured, and when two sources
are one group, is `quality_checks.independence`.
"""

from __future__ import annotations

from dataclasses import astuple
from datetime import date

from duckdb import DuckDBPyConnection

from catalog.models import Library
from quality_checks import independence
from quality_checks.independence import Pair
from quality_checks.loading import load
from resources.city import City
from resources.lake import COPYING


def measure(city: City, library: Library, on: date, *, author: str) -> list[Pair]:
    """Measure the library's sources as the pools stand and write every pair to `base._copying`, the heaviest first.

    A measurement of the same day is replaced, earlier ones stay.
    """
    pairs = independence.measure(city.con, city.catalog, library)

    def work(con: DuckDBPyConnection) -> None:
        load(con, "copying_measured", COPYING, [(library.name, on, *astuple(pair)) for pair in pairs])
        con.execute("DELETE FROM base._copying WHERE library = ? AND measured_on = ?", [library.name, on])
        con.execute("INSERT INTO base._copying BY NAME FROM temp.copying_measured; DROP TABLE temp.copying_measured")

    city.commit("city", work, author=author, message=f"sources of {library.name} measured")
    return pairs
