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

    city.commit("city", work, author=author, message=_message(library))
    return pairs


def measure_again(city: City, on: date, *, author: str) -> list[str]:
    """Measure, as the pools stand, each library that somebody had measured before `base._copying` was lost.

    The messages of the lake's commits tell which: they outlive the files. Returns the libraries' names.
    """
    said = {told for (told,) in city.con.execute("SELECT commit_message FROM ducklake_snapshots('city')").fetchall()}
    lost = [library for library in city.catalog.libraries.values() if _message(library) in said]
    for library in lost:
        measure(city, library, on, author=author)
    return [library.name for library in lost]


def _message(library: Library) -> str:
    return f"sources of {library.name} measured"
