"""The history of administrative divisions as SQL words: valid when, what became of a code, what it was called.

The code list `gbt_2260` has two files beside it. `gbt_2260.history.csv` is the source: one row per code and period of
one name, in force from the year `valid_from` up to but not including `valid_to` (as at the end of each year);
`successors` are the codes that hold the area afterwards, joined with `;`, each from `valid_to` on or from the year in
brackets behind it, for a code that stays in use may hand over a part of its area.

`gbt_2260.lineage.csv` is what `python -m catalog.division_lineage` makes of it and of the codes that the list alone
knows: one row per unbroken time of use of a code (`origin` from `origin_from` up to `origin_to`) and code that held all
or part of its area from `since` up to `until`, the code itself first; 9999 while in use. Chains are followed from year
to year and only forwards, so that a code given anew or come back neither loops nor mixes two places.

`vocabulary` brings the words below and the patterns by which `catalog.addresses` finds a division at an address's
beginning.
"""

from __future__ import annotations

from pathlib import Path

from catalog import addresses

HISTORY = {
    "code": "VARCHAR",
    "zh": "VARCHAR",
    "parent": "VARCHAR",
    "valid_from": "INTEGER",
    "valid_to": "INTEGER",
    "successors": "VARCHAR",
}
LINEAGE = {
    "origin": "VARCHAR",
    "origin_from": "INTEGER",
    "origin_to": "INTEGER",
    "code": "VARCHAR",
    "since": "INTEGER",
    "until": "INTEGER",
}
# What a name may be shortened to; and names that mean a part of any town, believed only behind their own city.
_SHORT = "(?:省|市|地区|盟|(?:壮族|回族|维吾尔)?自治区|特别行政区|自治州)$"
_ANYWHERE = "'东区', '西区', '城区', '郊区', '矿区', '市区', '新区', '市郊区', '市中区'"
_NAMES = f"""
CREATE OR REPLACE TEMP MACRO any_of(names) AS
    '(?:' || array_to_string(list_sort(list_distinct(names), 'DESC'), '|') || ')';
SET VARIABLE address_names = (
    WITH n AS (SELECT DISTINCT code, zh, parent, right(code, 4) = '0000' AS province,
        right(code, 2) = '00' AND right(code, 4) <> '0000' AS city FROM codes.gbt_2260_history)
    SELECT {{
        province: any_of(list(zh) FILTER (province)),
        short_province: any_of(list(regexp_replace(zh, '{_SHORT}', '')) FILTER (province)),
        city: any_of(list(zh) FILTER (city)),
        short_city: any_of(list(regexp_replace(zh, '{_SHORT}', '')) FILTER (city AND length(zh) > 2)),
        county: any_of(list(zh) FILTER (NOT province AND NOT city AND zh NOT IN ({_ANYWHERE}))),
        anywhere: any_of((SELECT list(c.zh || d.zh) FROM n d JOIN n c ON c.code = d.parent WHERE d.zh IN ({_ANYWHERE})))
    }} FROM n);
SET VARIABLE address_province = '^' || getvariable('address_names').province;
SET VARIABLE address_short_province = '^' || getvariable('address_names').short_province;
SET VARIABLE address_city = '^' || getvariable('address_names').city;
SET VARIABLE address_short_city = '^' || getvariable('address_names').short_city;
SET VARIABLE address_county = '^' || getvariable('address_names').county;
SET VARIABLE address_anywhere = '^' || getvariable('address_names').anywhere;
RESET VARIABLE address_names;
"""

_WORDS = """
CREATE OR REPLACE TEMP MACRO division_level(code) AS CASE length(code)
    WHEN 6 THEN CASE
        WHEN right(code, 4) = '0000' THEN 'province' WHEN right(code, 2) = '00' THEN 'city' ELSE 'county' END
    WHEN 9 THEN 'town' WHEN 12 THEN 'village' END;
CREATE OR REPLACE TEMP MACRO division_valid(division, day) AS EXISTS (FROM codes.gbt_2260_lineage p
    WHERE p.origin = division AND p.code = p.origin AND year(day::DATE) BETWEEN p.since AND p.until);
CREATE OR REPLACE TEMP MACRO divisions_valid(day) AS TABLE
    SELECT code, zh AS name, division_level(code) AS level, parent, valid_from, valid_to FROM codes.gbt_2260_history
    WHERE valid_from <= year(day::DATE) AND year(day::DATE) < coalesce(valid_to, 9999);
CREATE OR REPLACE TEMP MACRO division_successors(division, day) AS TABLE
    SELECT l.code, h.zh AS name, min(l.since) AS since, nullif(max(l.until), 9999) AS until
    FROM codes.gbt_2260_lineage l JOIN codes.gbt_2260_history h ON h.code = l.code
        AND h.valid_from <= year(day::DATE) AND year(day::DATE) < coalesce(h.valid_to, 9999)
    WHERE l.origin = division AND l.since <= year(day::DATE) AND year(day::DATE) < l.until
    GROUP BY l.code, h.zh;
CREATE OR REPLACE TEMP MACRO divisions_of(division, day) AS coalesce((
    SELECT list_sort(list(DISTINCT l.code)) FROM codes.gbt_2260_lineage l
    WHERE l.origin = division AND l.since <= year(day::DATE) AND year(day::DATE) < l.until), []);
CREATE OR REPLACE TEMP MACRO division_normal(division) AS (
    SELECT CASE WHEN count(DISTINCT l.code) = 1 THEN min(l.code) END FROM codes.gbt_2260_lineage l
    WHERE l.origin = division AND l.until = 9999 AND (l.code = l.origin OR NOT EXISTS (
        FROM codes.gbt_2260_lineage own WHERE own.origin = l.origin AND own.code = l.origin AND own.until = 9999)));
CREATE OR REPLACE TEMP MACRO divisions_named(province, city, county) AS coalesce((
    SELECT list_sort(list(DISTINCT n.code)) FROM codes.gbt_2260_history n
    LEFT JOIN codes.gbt_2260_history c ON c.code = n.parent AND right(c.code, 4) <> '0000'
    LEFT JOIN codes.gbt_2260_history p ON p.code = left(n.code, 2) || '0000'
    WHERE n.zh = coalesce(nullif(county, ''), nullif(city, ''), province)
        AND (city = '' OR starts_with(n.zh, city) OR starts_with(c.zh, city))
        AND (province = '' OR starts_with(p.zh, province))
), []);
CREATE OR REPLACE TEMP MACRO division_path(division) AS (
    SELECT coalesce(p.zh, '') || coalesce(c.zh, '') || d.zh FROM codes.gbt_2260 d
    LEFT JOIN codes.gbt_2260 c ON c.code = left(d.code, 4) || '00' AND c.code <> d.code AND right(c.code, 4) <> '0000'
    LEFT JOIN codes.gbt_2260 p ON p.code = left(d.code, 2) || '0000' AND p.code <> d.code
    WHERE d.code = division);
"""

DIVISIONS = "gbt_2260"  # the code list all this is about
FILES = {"history": HISTORY, "lineage": LINEAGE}  # beside the code list, codes.gbt_2260_<word> in the database


def vocabulary(codes: Path) -> str:
    """SQL that brings the tables and words to a connection with the code lists of the folder `codes` as `codes`.

    Nothing where the folder ships no history of divisions: then nothing can be said of them.
    """
    files = {word: codes / f"gbt_2260.{word}.csv" for word in FILES}
    if not all(file.is_file() for file in files.values()):
        return ""
    tables = "".join(table_sql(word, file) for word, file in files.items())
    return tables + _NAMES + _WORDS + addresses.SQL


def table_sql(word: str, file: Path) -> str:
    """SQL that makes `codes.gbt_2260_<word>` of its CSV."""
    kinds = ", ".join(f"'{name}': '{kind}'" for name, kind in FILES[word].items())
    place = str(file).replace("'", "''")
    return (
        f"CREATE OR REPLACE TABLE codes.gbt_2260_{word} AS FROM read_csv('{place}', auto_detect = false, header = true,"
        f" delim = ',', quote = '\"', columns = {{{kinds}}});"
    )
