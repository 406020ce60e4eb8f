"""The same work by hand: a plain DuckDB script, no server, no guard, no history, no reports.

Reads the same landing files, types the same columns, writes the same pool tables and base tables as Parquet, and
evaluates the same predicates: counts and failing rows of every rule. Run by `whole_city.py` as a process of its own.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

import duckdb
from python_calamine import CalamineWorkbook

from catalog import Catalog, Resource, load_catalog
from quality_checks import macros
from quality_checks.macros import name
from quality_checks.rules import all_rules
from quality_checks.suites import pool_suites, verdict

THREADS = 2


def reader(path: Path, resource: Resource, scratch: Path) -> str:
    """A table function over the delivered file, every column text."""
    columns = "{" + ", ".join(f"'{column}': 'VARCHAR'" for column in resource.columns) + "}"
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[-1]
    if kind == "parquet":
        return f"read_parquet('{path}')"
    if kind in ("json", "jsonl"):
        form = "newline_delimited" if kind == "jsonl" else "array"
        return f"read_json('{path}', columns = {columns}, format = '{form}')"
    if kind == "xlsx":
        sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
        path = scratch / f"{resource.id}.jsonl"
        with path.open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(dict(zip(sheet[0], map(str, row), strict=True))) + "\n" for row in sheet[1:])
        return f"read_json('{path}', columns = {columns}, format = 'newline_delimited')"
    dialect = "header = true, auto_detect = false, delim = ',', quote = '\"'"
    return f"read_csv('{path}', {dialect}, columns = {columns})"


def load_pools(con: duckdb.DuckDBPyConnection, catalog: Catalog, landing: Path, out: Path) -> int:
    """Every delivered file as a typed table, written to Parquet and read from there afterwards."""
    rows = 0
    for department in catalog.departments:
        con.execute(f"ATTACH ':memory:' AS {name(department)}")
    for resource in catalog.resources.values():
        files = [
            p for p in sorted((landing / resource.department / resource.name).glob("*")) if ".manifest." not in p.name
        ]
        typed = ", ".join(
            f"TRY_CAST(nullif(trim({name(c)}), '') AS {column.sql_type}) AS {name(c)}"
            for c, column in resource.columns.items()
        )
        key = " || '|' || ".join(f"coalesce({name(c)}, '')" for c in resource.key)
        raw = ", ".join(
            f"CASE WHEN {name(c)} <> '' AND TRY_CAST({name(c)} AS {column.sql_type}) IS NULL THEN {name(c)} END"
            for c, column in resource.columns.items()
            if column.sql_type != "VARCHAR"
        )
        source = " UNION ALL BY NAME ".join(f"FROM {reader(path, resource, out)}" for path in files)
        target = out / f"{resource.id}.parquet"
        if not files:
            continue
        con.execute(
            f"COPY (SELECT {typed}, {key} AS _record_key, '' AS _delivery_id, DATE '2026-11-02' AS _as_of,"
            " row_number() OVER () AS _row,"
            f" 1 AS _copies, {f'coalesce({raw})' if raw else 'NULL::VARCHAR'} AS _unparsed,"
            f" NULL::MAP(VARCHAR, VARCHAR) AS _raw FROM ({source}))"
            f" TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )
        con.execute(f"CREATE VIEW {name(resource.department)}.{name(resource.name)} AS FROM read_parquet('{target}')")
        counted = con.execute(f"SELECT count(*) FROM {name(resource.department)}.{name(resource.name)}").fetchone()
        rows += counted[0] if counted else 0
    return rows


def build_base(con: duckdb.DuckDBPyConnection, catalog: Catalog, out: Path) -> None:
    """One grouped scan a library: best-ranked value, its department, for every attribute."""
    for library in catalog.libraries.values():
        parts = []
        for rank, source in enumerate(catalog.sources_of(library.name)):
            if source.describes is None or source.describes.by is None:
                continue  # whom those records mean takes more than a grouped scan
            key = library.key_normal.replace("value", f"({source.describes.by})")
            values = ", ".join(f"CAST(({said}) AS VARCHAR) AS {name(a)}" for a, said in source.supplies.items())
            parts.append(
                f"SELECT {key} AS key, {rank} AS rank, '{source.department}' AS department, {values}"
                f" FROM {name(source.department)}.{name(source.name)} WHERE ({source.describes.by}) IS NOT NULL"
            )
        chosen = ", ".join(
            f"arg_min({name(a)}, rank) FILTER ({name(a)} IS NOT NULL) AS {name(a)},"
            f" arg_min(department, rank) FILTER ({name(a)} IS NOT NULL) AS {name(a + '_source')}"
            for a in library.attributes
        )
        target = out / f"base.{library.name}.parquet"
        con.execute(
            f"COPY (SELECT key AS {name(library.key)}, {chosen}, count(*) AS _sources"
            f" FROM ({' UNION ALL BY NAME '.join(parts)}) GROUP BY key)"
            f" TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )
        typed = ", ".join(
            f"TRY_CAST({name(a)} AS {attribute.as_column().sql_type}) AS {name(a)}"
            for a, attribute in library.attributes.items()
        )
        con.execute(
            f"CREATE VIEW base.{name(library.name)} AS SELECT {name(library.key)}, {typed}"
            f" FROM read_parquet('{target}')"
        )


def evaluate(con: duckdb.DuckDBPyConnection, catalog: Catalog, out: Path) -> int:
    """Counts and failing rows of every rule of every resource."""
    evaluated = 0
    for resource in catalog.resources.values():
        for suite in pool_suites(catalog, resource, all_rules(resource, catalog)):
            verdicts = {rule.id: verdict(rule) for rule in suite.rules}
            counts = ", ".join(f"count({v}), count(*) FILTER (NOT ({v}))" for v in verdicts.values())
            row = con.execute(f"SELECT {counts} FROM ({suite.relation})").fetchone()
            assert row
            failing = [(rule, v) for (rule, v), failed in zip(verdicts.items(), row[1::2], strict=True) if failed]
            evaluated += len(verdicts)
            if failing:
                listed = ", ".join(f"CASE WHEN NOT ({v}) THEN '{rule}' END" for rule, v in failing)
                some = " OR ".join(f"NOT ({v})" for _, v in failing)
                con.execute(
                    f"COPY (SELECT _record_key, rule FROM (SELECT _record_key, unnest([{listed}]) AS rule"
                    f" FROM ({suite.relation}) WHERE {some}) WHERE rule IS NOT NULL)"
                    f" TO '{out / f'findings.{suite.title}.parquet'}' (FORMAT parquet)"
                )
    return evaluated


def main(landing: Path, catalog_root: Path, out: Path) -> None:
    """Do all three and print rows, rules and seconds as one JSON object."""
    catalog = load_catalog(catalog_root)
    began = time.perf_counter()
    con = duckdb.connect(config={"threads": THREADS, "memory_limit": "4GB", "temp_directory": str(out / "spill")})
    con.execute("ATTACH ':memory:' AS codes; CREATE SCHEMA base")
    for code_list in catalog.codes:
        con.execute(
            f"CREATE TABLE codes.{name(code_list)} AS"
            f" FROM read_csv('{catalog.code_file(code_list)}', all_varchar = true)"
        )
        con.execute(f"ALTER TABLE codes.{name(code_list)} ADD COLUMN IF NOT EXISTS valid_from VARCHAR")
        con.execute(f"ALTER TABLE codes.{name(code_list)} ADD COLUMN IF NOT EXISTS valid_to VARCHAR")
        con.execute(f"ALTER TABLE codes.{name(code_list)} ADD COLUMN IF NOT EXISTS successor VARCHAR")
    con.execute(macros.SQL)
    marks = [began]
    rows = load_pools(con, catalog, landing, out)
    marks.append(time.perf_counter())
    build_base(con, catalog, out)
    marks.append(time.perf_counter())
    rules = evaluate(con, catalog, out)
    marks.append(time.perf_counter())
    stages = dict(zip(("pools", "base", "rules"), (b - a for a, b in pairwise(marks)), strict=True))
    print(json.dumps({"rows": rows, "rules": rules, "seconds": marks[-1] - began, "stages": stages}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
