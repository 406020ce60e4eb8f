"""polars 2.1.0 by hand: one lazy query over the file whose failing rows are kept, one about key, age and number.

Can do all of it; what it keeps has no history and no masks.
"""

from __future__ import annotations

import sys

import polars as pl

from benchmarks.engines import tell
from benchmarks.engines.expressions import RULES


def main(people: str, folder: str) -> None:
    """Judge the file and print what was found."""
    records = pl.scan_parquet(people)
    judged = records.with_columns(**{f"not {rule}": ~holds for rule, (_, holds) in RULES.items()})
    broken = judged.filter(pl.any_horizontal(pl.col(f"not {rule}").fill_null(value=False) for rule in RULES)).collect()
    failing = pl.concat(
        broken.filter(pl.col(f"not {rule}")).select(
            "id_number", pl.lit(rule).alias("rule"), pl.col(column).cast(pl.String).alias("value")
        )
        for rule, (column, _) in RULES.items()
    )
    failing.write_parquet(f"{folder}/polars.parquet")
    key = pl.col("id_number")
    rows, different, _ = records.select(pl.len(), key.n_unique(), pl.col("updated_at").max()).collect().row(0)
    duplicates = 0 if rows == different else records.filter(key.is_duplicated()).select(pl.len()).collect().item()
    found = dict.fromkeys(RULES, 0) | dict(failing.group_by("rule").len().iter_rows())
    tell(found, rows=rows, duplicates=duplicates, kept=len(failing))


if __name__ == "__main__":
    main(*sys.argv[1:])
