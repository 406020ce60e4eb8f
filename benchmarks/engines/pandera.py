"""pandera 0.35.0 on polars 2.1.0: a schema, validated lazily so that every failure is collected.

Can do all of it; a failure case tells the row by its number and the value, or only "false" for a rule of two columns.
"""

from __future__ import annotations

import sys

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData

from benchmarks.engines import sql, tell
from benchmarks.engines.expressions import FIRST, LAST, NOW, RULES

# Column and pandera's own check -> the rule.
_OWN = {
    ("id_number", "not_nullable"): "P01",
    ("name", "not_nullable"): "name",
    ("sex", "isin"): "sex",
    ("birth_date", "in_range"): "P05",
    ("address", "str_length"): "address",
    ("phone", "str_matches"): "phone",
    ("updated_at", "less_than_or_equal_to"): "updated",
    ("id_number", "field_uniqueness"): "key",
}


def _rule(rule: str) -> pa.Check:
    def holds(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(RULES[rule][1].fill_null(value=True))

    return pa.Check(holds, name=rule)


SCHEMA = pa.DataFrameSchema(
    {
        "id_number": pa.Column(str, nullable=False, unique=True),
        "name": pa.Column(str, nullable=False),
        "sex": pa.Column(str, pa.Check.isin(list(sql.SEXES)), nullable=True),
        "birth_date": pa.Column(pl.Date, pa.Check.in_range(FIRST, LAST), nullable=True),
        "nation": pa.Column(str, nullable=True),
        "address": pa.Column(str, pa.Check.str_length(6, 200), nullable=True),
        "phone": pa.Column(str, pa.Check.str_matches(f"^{sql.PHONE}$"), nullable=True),
        "updated_at": pa.Column(pl.Datetime("us"), pa.Check.le(NOW), nullable=True),
    },
    checks=[_rule(rule) for rule in ("P02", "P03", "P04", "P09", "nation")],
)


def main(people: str, folder: str) -> None:
    """Judge the file and print what was found."""
    records = pl.read_parquet(people)
    found = dict.fromkeys([*RULES, "key"], 0)
    try:
        SCHEMA.validate(records, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        cases.write_parquet(f"{folder}/pandera.parquet")
        for column, check, count in cases.group_by("column", "check").len().iter_rows():
            found[_OWN.get((column, check.partition("(")[0]), check)] += count
    duplicates = found.pop("key")
    tell(found, rows=len(records), duplicates=duplicates, kept=sum(found.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
