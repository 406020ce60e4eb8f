"""The rules as polars expressions: true, false or, where a rule does not apply, null."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl

from benchmarks.engines import sql

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_number = pl.col("id_number")
_sum = pl.sum_horizontal(_number.str.slice(i, 1).cast(pl.Int32, strict=False) * w for i, w in enumerate(_WEIGHTS))
_check = pl.lit("10X98765432").str.slice(_sum % 11, 1)
_born = _number.str.slice(6, 8).str.to_date("%Y%m%d", strict=False)
_odd = _number.str.slice(16, 1).cast(pl.Int32, strict=False) % 2 == 1
_sex = pl.when(_odd).then(pl.lit("1")).otherwise(pl.lit("2"))
VALID = (
    _number.str.contains(r"^[1-8][0-9]{16}[0-9X]$") & (_check == _number.str.slice(17, 1)) & _born.is_not_null()
)  # fmt: skip
FIRST, LAST, NOW = date(1896, 11, 2), date(2026, 11, 2), datetime(2026, 11, 3)  # noqa: DTZ001  # local time, as stored

# Rule -> the column it is about and what it asks.
RULES = {
    "P01": ("id_number", _number.is_not_null()),
    "P02": ("id_number", VALID),
    "P03": ("birth_date", pl.when(VALID).then(pl.col("birth_date") == _born)),
    "P04": ("sex", pl.when(VALID & pl.col("sex").is_in(["1", "2"])).then(pl.col("sex") == _sex)),
    "P05": ("birth_date", pl.col("birth_date").is_between(FIRST, LAST)),
    "P09": ("name", pl.col("name").str.contains(f"^{sql.NAME}$") & ~pl.col("name").is_in(list(sql.NO_NAMES))),
    "name": ("name", pl.col("name").is_not_null()),
    "sex": ("sex", pl.col("sex").is_in(list(sql.SEXES))),
    "nation": ("nation", pl.col("nation").is_between(pl.lit("01"), pl.lit("56"))),
    "address": ("address", pl.col("address").str.len_chars().is_between(6, 200)),
    "phone": ("phone", pl.col("phone").str.contains(f"^{sql.PHONE}$")),
    "updated": ("updated_at", pl.col("updated_at") <= NOW),
}
