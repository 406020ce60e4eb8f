"""The rules as SQL of DuckDB 1.0 and later: true, false or, where a rule does not apply, null."""

from __future__ import annotations

_DIGITS = "regexp_full_match(id_number, '[1-8][0-9]{16}[0-9X]')"
# The weighted sum of GB 11643 from digits 2 to 17 read backwards as one hexadecimal number: see quality_checks.macros.
_SUM = "((ascii(id_number) - 48) * 7 + 9 * ((_hex + ((_hex >> 4) & 1085102592571150095::UBIGINT)) % 11)::INT) % 11"
# What several rules ask of the number, worked out once a record.
_PARTS = (
    "try_cast('0x' || reverse(substr(id_number, 2, 16)) AS UBIGINT) AS _hex",
    f"{_SUM} AS _sum, try_strptime(substr(id_number, 7, 8), '%Y%m%d')::DATE AS _born",
    f"{_DIGITS} AND _born IS NOT NULL AND substr('10X98765432', _sum + 1, 1) = substr(id_number, 18, 1) AS _valid",
)
_SEX = "CASE WHEN ascii(substr(id_number, 17, 1)) % 2 = 1 THEN '1' ELSE '2' END"
PHONE = "1[3-9][0-9]{9}"
NO_NAMES = ("无", "未知", "不详", "测试")
_LETTERS = r"\p{Han}\p{L}\p{M}"
NAME = rf"[{_LETTERS}][{_LETTERS}·. ()（）-]*"
SEXES = ("0", "1", "2", "9")

# Rule -> the column it is about and what it asks.
RULES = {
    "P01": ("id_number", "id_number IS NOT NULL"),
    "P02": ("id_number", "_valid"),
    "P03": ("birth_date", "CASE WHEN _valid THEN birth_date = _born END"),
    "P04": ("sex", f"CASE WHEN _valid AND sex IN ('1', '2') THEN sex = {_SEX} END"),
    "P05": ("birth_date", "birth_date BETWEEN DATE '1896-11-02' AND DATE '2026-11-02'"),
    "P09": ("name", f"(regexp_full_match(name, '{NAME}') AND name NOT IN {NO_NAMES})"),
    "name": ("name", "name IS NOT NULL"),
    "sex": ("sex", f"sex IN {SEXES}"),
    "nation": ("nation", "nation BETWEEN '01' AND '56'"),
    "address": ("address", "length(address) BETWEEN 6 AND 200"),
    "phone": ("phone", f"regexp_full_match(phone, '{PHONE}')"),
    "updated": ("updated_at", "updated_at <= TIMESTAMP '2026-11-03'"),
}


def records(people: str) -> str:
    """Query: the people of a Parquet file with the parts of their numbers that the rules read."""
    query = f"SELECT * FROM read_parquet('{people}')"
    for parts in _PARTS:
        query = f"SELECT *, {parts} FROM ({query})"
    return query
