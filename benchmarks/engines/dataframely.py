"""dataframely 3.1.2 (on polars): a schema whose `filter` parts valid records from failing ones.

Can do all of it but the number of rows, which is counted beside it; a failing record is kept whole, with its rules.
"""

from __future__ import annotations

import sys

import dataframely as dy
import polars as pl

from benchmarks.engines import sql, tell
from benchmarks.engines.expressions import FIRST, LAST, NOW, RULES

# What dataframely calls a rule of a column's own -> the rule.
_OWN = {
    "id_number|nullability": "P01",
    "name|nullability": "name",
    "birth_date|min": "P05",
    "birth_date|max": "P05",
    "address|min_length": "address",
    "address|max_length": "address",
    "phone|regex": "phone",
    "updated_at|max": "updated",
}


class People(dy.Schema):
    """One row per person."""

    id_number = dy.String(nullable=False, primary_key=True)
    name = dy.String(nullable=False)
    sex = dy.String(nullable=True)
    birth_date = dy.Date(nullable=True, min=FIRST, max=LAST)
    nation = dy.String(nullable=True)
    address = dy.String(nullable=True, min_length=6, max_length=200)
    phone = dy.String(nullable=True, regex=f"^{sql.PHONE}$")
    updated_at = dy.Datetime(nullable=True, max=NOW)

    @dy.rule()
    def P02(cls) -> pl.Expr:  # noqa: N802, N805  # dataframely makes it a class method
        """The number is valid."""
        return RULES["P02"][1]

    @dy.rule()
    def P03(cls) -> pl.Expr:  # noqa: N802, N805
        """The date of birth is the number's."""
        return RULES["P03"][1]

    @dy.rule()
    def P04(cls) -> pl.Expr:  # noqa: N802, N805
        """The sex is the number's."""
        return RULES["P04"][1]

    @dy.rule()
    def P09(cls) -> pl.Expr:  # noqa: N802, N805
        """The name is one."""
        return RULES["P09"][1]

    @dy.rule()
    def sex_code(cls) -> pl.Expr:  # noqa: N805
        """The sex is a code."""
        return RULES["sex"][1]

    @dy.rule()
    def nation_code(cls) -> pl.Expr:  # noqa: N805
        """The nation is a code."""
        return RULES["nation"][1]


def main(people: str, folder: str) -> None:
    """Judge the file and print what was found."""
    records = pl.read_parquet(people)
    _, failure = People.filter(records, cast=True)
    failure.details().write_parquet(f"{folder}/dataframely.parquet")
    found = dict.fromkeys(RULES, 0)
    for said, count in failure.counts().items():
        if said != "primary_key":
            found[_OWN.get(said, said.removesuffix("_code"))] += count
    duplicates = failure.counts().get("primary_key", 0)
    tell(found, rows=len(records), duplicates=duplicates, kept=sum(found.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
