"""DuckDB 1.5.5 by hand: one query that keeps every failing row with its rule and value, two about key, age and number.

Can do all of it; what it keeps has no history and no masks.
"""

from __future__ import annotations

import sys

import duckdb

from benchmarks.engines import THREADS, tell
from benchmarks.engines.sql import RULES, records


def main(people: str, folder: str) -> None:
    """Judge the file and print what was found."""
    con = duckdb.connect(config={"threads": THREADS})
    failing = f"{folder}/duckdb.parquet"
    flags = ", ".join(f"NOT {sql} AS {rule}_broken" for rule, (_, sql) in RULES.items())
    some = " OR ".join(f"{rule}_broken" for rule in RULES)
    told = ", ".join(
        f"CASE WHEN {rule}_broken THEN {{rule: '{rule}', value: {column}::VARCHAR}} END"
        for rule, (column, _) in RULES.items()
    )
    con.execute(
        f"COPY (SELECT id_number, told.rule, told.value FROM (SELECT id_number, unnest([{told}]) AS told"
        f" FROM (SELECT *, {flags} FROM ({records(people)})) WHERE {some}) WHERE told IS NOT NULL) TO '{failing}'"
    )
    counted = con.execute(f"SELECT rule, count(*) FROM '{failing}' GROUP BY ALL").fetchall()
    again = f"SELECT count(*) AS copies FROM '{people}' GROUP BY id_number HAVING copies > 1"
    [(duplicates,)] = con.execute(f"SELECT coalesce(sum(copies), 0) FROM ({again})").fetchall()
    [(rows, _)] = con.execute(f"SELECT count(*), max(updated_at) FROM '{people}'").fetchall()
    found = dict.fromkeys(RULES, 0) | dict(counted)
    tell(found, rows=rows, duplicates=int(duplicates), kept=sum(found.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
