"""soda-core 4.28.0 on DuckDB 2.0.1: a data contract, verified locally.

Cannot tell which rows fail: its diagnostics warehouse is part of Soda's paid product.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import duckdb
from soda_core.contracts import verify_contract_locally
from soda_duckdb.common.data_sources.duckdb_data_source import DuckDBDataSourceImpl

from benchmarks.engines import THREADS, sql, tell
from benchmarks.engines.sql import RULES

_CONTRACT = """
dataset: people/main/people
checks:
  - row_count:
{checks}
columns:
  - name: id_number
    checks:
      - missing:
          name: P01
      - duplicate:
          name: key
  - name: name
    checks:
      - missing:
          name: name
  - name: phone
    valid_format:
      name: phone
      regex: ^{phone}$
    checks:
      - invalid:
          name: phone
"""
_CHECK = """
  - failed_rows:
      name: {rule}
      qualifier: {rule}
      expression: NOT {holds}
"""


def main(people: str, folder: str) -> None:
    """Judge the file and print what was found."""
    logging.disable(logging.CRITICAL)
    con = duckdb.connect(config={"threads": THREADS})
    con.execute(f"CREATE VIEW people AS {sql.records(people)}")
    written = "".join(
        _CHECK.format(rule=rule, holds=RULES[rule][1])
        for rule in ("P02", "P03", "P04", "P05", "P09", "sex", "nation", "address", "updated")
    )
    contract = Path(folder, "soda4.yaml")
    contract.write_text(_CONTRACT.format(checks=written, phone=sql.PHONE))
    source = DuckDBDataSourceImpl.from_existing_cursor(con, name="people")
    said = verify_contract_locally(data_sources=[source], contract_file_path=str(contract))
    [verified] = said.contract_verification_results
    counted = {one.check.name: int(one.threshold_value) for one in verified.check_results if one.check.name}
    rows = next(int(one.threshold_value) for one in verified.check_results if one.check.type == "row_count")
    tell({rule: counted[rule] for rule in RULES}, rows=rows, duplicates=counted["key"], kept=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
