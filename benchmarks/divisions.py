"""Three sources of one history of divisions compared, and what that says of the people and companies who carry a code.

    python -m benchmarks.divisions FOLDER [--enterprises FOLDER] [--json]

FOLDER holds `areacodes/result.csv`, `renyijiu/json_data.json` and `modood/areas.csv`. For every retired code of the
catalogue the successors at the end of every year are looked up; codes and years of the others are held against the
catalogue's; of the statistics bureau's codes that are not in GB/T 2260 it is told how many the catalogue takes for
mistakes. With `--enterprises`, the CSV files of real registrations there: how many addresses are parsed, how many name
a division, and how many of the division codes inside their credit codes contradict it when retired codes and other
authorities' are understood, and when they are not.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter

import duckdb
from duckdb import DuckDBPyConnection

from catalog.divisions import DIVISIONS, vocabulary
from catalog.load import load_catalog
from quality_checks.macros import quote

CATALOG = Path(__file__).parents[1] / "catalog"


def main() -> None:
    """Run the comparison and print its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--enterprises", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS codes")
        con.execute(f"CREATE TABLE codes.gbt_2260 AS FROM read_csv('{CATALOG}/codes/gbt_2260.csv', all_varchar = true)")
        con.execute(vocabulary(CATALOG / "codes"))
        _read(con, asked.folder)
        figures = {**_lookups(con), **_authorities(con)}
        if asked.enterprises:
            figures |= _enterprises(con, asked.enterprises)
    if asked.json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        for what, figure in figures.items():
            print(f"{what:<48} {figure}")


def _read(con: DuckDBPyConnection, folder: Path) -> None:
    """The sources as tables: `areacodes` (code), `renyijiu` (code, first, last), `modood` (code, name)."""
    con.execute(
        "CREATE TABLE areacodes AS SELECT DISTINCT 代码 AS code FROM"
        f" read_csv({quote(str(folder / 'areacodes' / 'result.csv'))}, all_varchar = true, header = true)"
    )
    con.execute(
        "CREATE TABLE renyijiu AS SELECT code, min((one->>'start_year')::INTEGER) AS first,"
        " max((one->>'end_year')::INTEGER) AS last FROM (SELECT key AS code, unnest(CAST(value AS JSON[])) AS one"
        f" FROM json_each((SELECT content FROM read_text({quote(str(folder / 'renyijiu' / 'json_data.json'))}))))"
        " GROUP BY code"
    )
    con.execute(
        "CREATE TABLE modood AS SELECT code, name FROM"
        f" read_csv({quote(str(folder / 'modood' / 'areas.csv'))}, all_varchar = true, header = true)"
    )


def _count(con: DuckDBPyConnection, sql: str) -> int:
    row = con.execute(f"SELECT count(*) FROM ({sql})").fetchone()
    return int(row[0]) if row else 0


def _lookups(con: DuckDBPyConnection) -> dict[str, object]:
    retired = (
        "SELECT origin AS code, max(origin_to) AS ended FROM codes.gbt_2260_lineage"
        " SEMI JOIN codes.gbt_2260_history h ON h.code = origin GROUP BY origin HAVING max(origin_to) < 9999"
    )
    start = perf_counter()
    con.execute(
        "CREATE TABLE held AS SELECT code, year, divisions_of(code, make_date(year, 12, 31)) AS now"
        f" FROM ({retired}), range(1981, 2025) y(year) WHERE year >= ended"
    )
    seconds = perf_counter() - start
    county = "right(code, 2) <> '00'"
    return {
        "retired_codes": _count(con, retired),
        "retired_counties": _count(con, f"FROM ({retired}) WHERE {county}"),
        "retired_counties_without_successor_at_some_date": _count(
            con, f"SELECT DISTINCT code FROM held WHERE {county} AND len(now) = 0"
        ),
        "retired_codes_with_several_successors_today": _count(con, "FROM held WHERE year = 2024 AND len(now) > 1"),
        "questions": _count(con, "FROM held"),
        "questions_s": round(seconds, 2),
    }


def _authorities(con: DuckDBPyConnection) -> dict[str, object]:
    """Where the sources differ, and what of it the catalogue's own rule would call a mistake."""
    also = load_catalog(CATALOG).codes[DIVISIONS].also or ""
    use = "FROM codes.gbt_2260_lineage WHERE code = origin AND since = origin_from"
    own = f"SELECT DISTINCT code {use}"
    in_use = f"SELECT code {use} AND until = 9999"
    zones = f"FROM modood ANTI JOIN ({in_use}) USING (code)"
    told = f"SELECT code, min(since) AS first, max(until) AS last {use} GROUP BY code"
    years = f"FROM renyijiu r JOIN ({told}) o USING (code) WHERE abs(r.first - o.first) > 1 AND o.first > 1981"
    ends = f"FROM renyijiu r JOIN ({told}) o USING (code) WHERE o.last < 2018 AND abs(r.last + 1 - o.last) > 1"
    return {
        "areacodes_not_in_catalogue": _count(con, f"FROM areacodes ANTI JOIN ({own}) USING (code)"),
        "renyijiu_codes": _count(con, "FROM renyijiu"),
        "renyijiu_not_in_catalogue": _count(con, f"FROM renyijiu ANTI JOIN ({own}) USING (code)"),
        "catalogue_not_in_renyijiu_before_2019": _count(
            con, f"FROM ({told}) ANTI JOIN renyijiu USING (code) WHERE first < 2019"
        ),
        "renyijiu_begins_otherwise_by_more_than_a_year": _count(con, years),
        "renyijiu_ends_otherwise_by_more_than_a_year": _count(con, ends),
        "modood_counties_not_in_gbt_2260": _count(con, zones),
        "of_these_taken_for_mistakes": _count(
            con,
            f"{zones} WHERE NOT regexp_full_match(code, {quote(also)})"
            " AND code NOT IN (SELECT code FROM codes.gbt_2260)",
        ),
        "gbt_2260_counties_not_in_modood": _count(
            con, f"FROM ({in_use}) ANTI JOIN modood USING (code) WHERE left(code, 2) < '71' AND right(code, 2) <> '00'"
        ),
    }


def _enterprises(con: DuckDBPyConnection, folder: Path) -> dict[str, object]:
    files = ", ".join(quote(str(path)) for path in sorted(folder.glob("*.csv")))
    con.execute(
        "CREATE TABLE enterprise AS SELECT substr(统一社会信用代码, 3, 6) AS code, 注册地址 AS address"
        f" FROM read_csv([{files}], all_varchar = true, header = true) WHERE length(统一社会信用代码) = 18"
    )
    start = perf_counter()
    con.execute(
        "CREATE TABLE parsed AS SELECT code, address, address_parts(address) AS p, address_parsed(address) AS parsed,"
        " address_division(address) AS named FROM enterprise WHERE address NOT IN ('N/A', '-')"
    )
    seconds = perf_counter() - start
    named = "len(named) > 0 AND p.county <> ''"
    # The code of a credit code is that of the registrar, so its county may rightly be another than the address's; what
    # is counted is how many would be told by comparing codes as they stand, and how many by their normal form.
    told = f"FROM parsed WHERE {named} AND NOT list_contains(named, code)"
    normal = (
        f"FROM (SELECT division_normal(code) AS n, named FROM parsed WHERE {named}) s"
        " WHERE n IS NOT NULL AND NOT EXISTS (FROM codes.gbt_2260_lineage l WHERE l.code = s.n AND l.origin IN"
        " (SELECT unnest(s.named)))"
    )
    return {
        "enterprises": _count(con, "FROM enterprise"),
        "with_address": _count(con, "FROM parsed"),
        "address_parsed": _count(con, "FROM parsed WHERE parsed"),
        "address_names_a_division": _count(con, "FROM parsed WHERE len(named) > 0"),
        "address_with_number": _count(con, "FROM parsed WHERE p.number <> ''"),
        "address_with_something_left_over": _count(con, "FROM parsed WHERE p.rest <> ''"),
        "parsing_s": round(seconds, 2),
        "code_differs_from_address_as_it_stands": _count(con, told),
        "code_differs_from_address_in_normal_form": _count(con, normal),
    }


if __name__ == "__main__":
    main()
