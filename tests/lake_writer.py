"""A process that commits to the lake again and again, for tests that kill it or run several.

Each commit adds one to the counter of its writer in `quality.scores` and a person to `base.population`, and is
acknowledged on stdout by the counter's new value.
"""

from __future__ import annotations

import sys
from pathlib import Path

from duckdb import DuckDBPyConnection

from catalog.load import load_catalog
from resources.city import City


def step(con: DuckDBPyConnection, counter: str, writer: str) -> int:
    """One transaction's work: read, modify, write."""
    query = "SELECT coalesce(max(denominator), 0) + 1 FROM quality.scores WHERE name = ?"
    ((value,),) = con.execute(query, [counter]).fetchall()
    con.execute("DELETE FROM quality.scores WHERE name = ?", [counter])
    con.execute("INSERT INTO quality.scores BY NAME SELECT ? AS name, ?::BIGINT AS denominator", [counter, value])
    con.execute(
        "INSERT INTO base.population BY NAME SELECT ? AS id_number, repeat('x', 99) || i AS name FROM range(2000) r(i)",
        [f"{counter}-{value}-{writer}"],
    )
    return int(value)


def main(home: str, counter: str, writer: str, times: int) -> None:
    catalog = load_catalog(Path(__file__).parent / "small_catalogue")
    with City.open(Path(home), catalog) as city:
        for _ in range(times):
            value = city.commit("city", lambda con: step(con, counter, writer), author=writer)
            sys.stdout.write(f"{value}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
