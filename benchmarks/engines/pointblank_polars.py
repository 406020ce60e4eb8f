"""pointblank 1.1.1 on polars 2.1.0: a plan of steps; each keeps the rows that fail it.

Can do all of it; every step passes over the whole table.
"""

from __future__ import annotations

import sys

import pointblank as pb
import polars as pl

from benchmarks.engines import sql, tell
from benchmarks.engines.expressions import FIRST, LAST, NOW, RULES

_STEPS = ("P01", "name", "P05", "sex", "phone", "updated", "P02", "P03", "P04", "P09", "nation", "address")


def main(people: str, folder: str) -> None:
    """Judge the file and print what was found."""
    records = pl.read_parquet(people)
    plan = pb.Validate(data=records).col_vals_not_null("id_number").col_vals_not_null("name")
    plan = plan.col_vals_between("birth_date", FIRST, LAST, na_pass=True)
    plan = plan.col_vals_in_set("sex", [*sql.SEXES, None]).col_vals_regex("phone", f"^{sql.PHONE}$", na_pass=True)
    plan = plan.col_vals_le("updated_at", NOW, na_pass=True)
    for rule in _STEPS[6:]:
        plan = plan.col_vals_expr(RULES[rule][1].fill_null(value=True))
    plan = plan.rows_distinct("id_number").row_count_match(len(records))
    plan = plan.interrogate(extract_limit=len(records))
    failed, kept = plan.n_failed(), 0
    for step, rule in enumerate(_STEPS, 1):
        extract = plan.get_data_extracts(i=step, frame=True)
        kept += len(extract)
        extract.write_parquet(f"{folder}/pointblank_polars-{rule}.parquet")
    found = {rule: failed[step] for step, rule in enumerate(_STEPS, 1)}
    tell(found, rows=len(records), duplicates=failed[len(_STEPS) + 1], kept=kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
