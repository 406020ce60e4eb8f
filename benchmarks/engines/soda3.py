"""soda-core 3.5.6 on DuckDB 1.0.0: SodaCL checks; the failing rows it selects are handed to a sampler of the user's.

Can do all of it; each check about rows is a count and a selection of its own.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import duckdb
from soda.sampler.sampler import Sampler
from soda.scan import Scan

from benchmarks.engines import THREADS, sql, tell
from benchmarks.engines.sql import RULES

_CHECKS = """
checks for people:
  - row_count > 0
  - duplicate_count(id_number) = 0:
      name: key
  - missing_count(id_number) = 0:
      name: P01
      samples limit: {every}
  - missing_count(name) = 0:
      name: name
      samples limit: {every}
  - invalid_count(phone) = 0:
      name: phone
      valid regex: ^{phone}$
      samples limit: {every}
"""
_CHECK = """
  - failed rows:
      name: {rule}
      samples limit: {every}
      fail condition: NOT {holds}
"""


class Kept(Sampler):
    """Writes what it is handed as CSV, a file per check."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.rows = 0

    def store_sample(self, sample_context: Any) -> None:
        """Write one check's rows."""
        rows = sample_context.sample.get_rows()
        self.rows += len(rows)
        with (self.folder / f"soda3-{sample_context.check_name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)


def main(people: str, folder: str) -> None:
    """Judge the file and print what was found."""
    con = duckdb.connect(config={"threads": THREADS})
    con.execute(f"CREATE VIEW people AS {sql.records(people)}")
    [(rows,)] = con.execute("SELECT count(*) FROM people").fetchall()
    written = _CHECKS.format(phone=sql.PHONE, every=rows)
    for rule in ("P02", "P03", "P04", "P05", "P09", "sex", "nation", "address", "updated"):
        written += _CHECK.format(rule=rule, holds=RULES[rule][1], every=rows)
    scan = Scan()
    scan.disable_telemetry()
    scan.set_data_source_name("duckdb")
    scan.add_duckdb_connection(con)
    scan.sampler = kept = Kept(folder)
    scan.add_sodacl_yaml_str(written)
    scan.execute()
    scan.assert_no_error_logs()
    counted = {check.name: int(check.check_value) for check in scan._checks if check.name in {*RULES, "key"}}
    tell(counted, rows=rows, duplicates=counted.pop("key"), kept=kept.rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
