"""Makes `gbt_2260.lineage.csv` of the list of divisions and its history: `python -m catalog.division_lineage [FOLDER]`.

Run it after changing either; a test holds the shipped file to it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

from catalog.divisions import table_sql

# Needs codes.gbt_2260 and codes.gbt_2260_history.
_WALK = r"""
WITH RECURSIVE period AS (
    SELECT code, min(valid_from) AS valid_from, max(coalesce(valid_to, 9999)) AS valid_to
    FROM (
        SELECT *, count(*) FILTER (valid_from > before) OVER (PARTITION BY code ORDER BY valid_from) AS period
        FROM (
            SELECT *, lag(valid_to) OVER (PARTITION BY code ORDER BY valid_from) AS before FROM codes.gbt_2260_history))
    GROUP BY code, period
    UNION ALL
    SELECT code, coalesce(left(valid_from, 4)::INTEGER, 0), coalesce(left(valid_to, 4)::INTEGER, 9999)
    FROM codes.gbt_2260 ANTI JOIN codes.gbt_2260_history USING (code)
), change AS (
    SELECT DISTINCT code, coalesce(try_cast(substr(said, 8, 4) AS INTEGER), valid_to) AS year,
        left(said, 6) AS successor
    FROM (SELECT code, valid_to, unnest(string_split(successors, ';')) AS said FROM codes.gbt_2260_history)
    WHERE left(said, 6) <> code
), walk AS (
    SELECT code AS origin, valid_from AS origin_from, valid_to AS origin_to, code, valid_from AS since,
        valid_to AS until
    FROM period
    UNION
    SELECT w.origin, w.origin_from, w.origin_to, h.successor, h.year, p.valid_to
    FROM walk w JOIN change h ON h.code = w.code AND h.year > w.since AND h.year <= w.until
    JOIN period p ON p.code = h.successor AND p.valid_from <= h.year AND h.year < p.valid_to
)
FROM walk ORDER BY origin, origin_from, since, code
"""


def write_lineage(codes: Path) -> None:
    """Write `gbt_2260.lineage.csv` anew from the code list of the folder and its history."""
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS codes")
        con.execute(f"CREATE TABLE codes.gbt_2260 AS FROM read_csv('{codes}/gbt_2260.csv', all_varchar = true)")
        con.execute(table_sql("history", codes / "gbt_2260.history.csv"))
        con.execute(f"COPY ({_WALK}) TO '{codes}/gbt_2260.lineage.csv' (HEADER, DELIMITER ',')")


if __name__ == "__main__":
    write_lineage(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "codes")
