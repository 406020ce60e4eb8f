"""cuallee 0.15.4 on DuckDB 1.2.0: a check whose rules become one aggregate query.

Cannot tell which rows fail, nor how many share a key: it counts the keys that differ.
"""

from __future__ import annotations

import sys

import duckdb
from cuallee import Check, CheckLevel

from benchmarks.engines import THREADS, sql, tell
from benchmarks.engines.sql import RULES


def main(people: str, _: str) -> None:
    """Judge the file and print what was found."""
    con = duckdb.connect(config={"threads": THREADS})
    con.execute(f"CREATE VIEW people AS {sql.records(people)}")
    check = Check(CheckLevel.WARNING, "people", table_name="people")
    check.is_complete("id_number").is_complete("name")
    for rule in ("P02", "P03", "P04", "P05", "P09", "sex", "nation", "address", "updated"):
        column, holds = RULES[rule]
        check.satisfies(column, f"coalesce({holds}, true)")  # else a rule that does not apply counts as broken
    check.has_pattern("phone", f"^{sql.PHONE}$").is_unique("id_number")
    said = check.validate(con)
    named = ("P01", "name", "P02", "P03", "P04", "P05", "P09", "sex", "nation", "address", "updated", "phone", "key")
    counted = dict(zip(named, map(int, said["violations"]), strict=True))
    again = counted.pop("key")
    tell(counted, rows=int(said["rows"].iloc[0]), duplicates=None if again else 0, kept=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
