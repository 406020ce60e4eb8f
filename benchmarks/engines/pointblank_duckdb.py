"""pointblank 1.1.1 on DuckDB 2.0.1 through Ibis 12: a plan of steps; each keeps the rows that fail it.

Can do all of it; every step is queries of its own.
"""

from __future__ import annotations

import sys

import ibis
import pointblank as pb

from benchmarks.engines import THREADS, sql, tell
from benchmarks.engines.expressions import FIRST, LAST, NOW
from benchmarks.engines.sql import RULES

_STEPS = ("P01", "name", "P05", "phone", "updated", "P02", "P03", "P04", "P09", "sex", "nation", "address")


def main(people: str, folder: str) -> None:
    """Judge the file and print what was found."""
    con = ibis.duckdb.connect(threads=THREADS)
    said = ", ".join(f"coalesce({RULES[rule][1]}, true)::INT AS {rule}_holds" for rule in _STEPS[5:])
    records = con.sql(f"SELECT *, {said} FROM ({sql.records(people)})")
    rows = int(records.count().execute())
    plan = pb.Validate(data=records).col_vals_not_null("id_number").col_vals_not_null("name")
    plan = plan.col_vals_between("birth_date", FIRST, LAST, na_pass=True)
    plan = plan.col_vals_regex("phone", f"^{sql.PHONE}$", na_pass=True).col_vals_le("updated_at", NOW, na_pass=True)
    for rule in _STEPS[5:]:
        plan = plan.col_vals_eq(f"{rule}_holds", 1)
    plan = plan.rows_distinct("id_number").row_count_match(rows).interrogate(extract_limit=rows)
    failed, kept = plan.n_failed(), 0
    for step, rule in enumerate(_STEPS, 1):
        extract = plan.get_data_extracts(i=step, frame=True)
        if extract is not None:
            kept += len(extract)
            extract.write_parquet(f"{folder}/pointblank_duckdb-{rule}.parquet")
    found = {rule: failed[step] for step, rule in enumerate(_STEPS, 1)}
    tell(found, rows=rows, duplicates=failed[len(_STEPS) + 1], kept=kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
