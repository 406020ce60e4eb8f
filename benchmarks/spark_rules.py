"""Every rule of the shipped catalogue on Spark: Spark analyses each, and our macros say there what they say in DuckDB.

    python benchmarks/spark_rules.py [--json]

Needs pyspark 4 and a Java 17, which Shuyuan does not: put it into an environment of its own and run this with that
environment's packages beside ours on PYTHONPATH. Rules are analysed on empty tables; the macros judge made identifiers,
names and dates, right ones and broken ones, and every verdict is compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb

from catalog import load_catalog
from quality_checks import macros, rule_book, spark, suites

TEXTS = """
SELECT CASE i % 11
    WHEN 0 THEN id WHEN 1 THEN substr(id, 1, 17) || (i % 10) WHEN 2 THEN lower(id) WHEN 3 THEN substr(id, 1, 15)
    WHEN 4 THEN translate(id, '0123456789', '０１２３４５６７８９') WHEN 5 THEN uscc
    WHEN 6 THEN substr(uscc, 1, 17) || 'A'
    WHEN 7 THEN ['张三', '李 四', '测试', 'O''Neil', '阿·凡提', ' ', '', '王五 ', '锟斤拷'][i % 9 + 1] WHEN 8 THEN NULL
    WHEN 9 THEN certificate || chr(10) ELSE certificate END AS t
FROM (SELECT i, body || id_check_digit(body) AS id, u || uscc_check(u) AS uscc,
    '1.2.156.3005.2.' || u || uscc_check(u) || '001.' || u || uscc_check(u) || '.N' || i || '.001.' AS c,
    c || coalesce(certificate_check(replace(substr(c, 16), '.', '')), 'X') AS certificate
FROM (SELECT i, '3415' || lpad((i % 30)::VARCHAR, 2, '0') || (1930 + i % 90) || lpad((i % 14)::VARCHAR, 2, '0')
    || lpad((i % 33)::VARCHAR, 2, '0') || lpad((i % 1000)::VARCHAR, 3, '0') AS body,
    '91' || '341500' || o || org_code_check(o) AS u
FROM (SELECT i, 'MA' || lpad((i * 7919 % 1000000)::VARCHAR, 6, '0') AS o FROM range(20000) r(i))))
"""
CALLS = (
    "person_id_ok(t)", "person_id_normal(t)", "id_birth_date(t)", "id_sex(t)", "id_region(t)", "id_to_18(t)",
    "uscc_ok(t)", "uscc_normal(t)", "certificate_id_ok(t)", "name_ok(t)", "text_normal(t)", "half_width(t)",
)  # fmt: skip


def main() -> None:
    """Run both and print what Spark refused and where it says otherwise; exit 1 when there is any."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    from pyspark.sql import SparkSession

    quiet = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    session = SparkSession.builder.master("local[2]").config(map=quiet).getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    differing = _macros(session)
    rules, refused, unsaid = _rules(session)
    told = {
        "rules": rules,
        "unsaid": len(unsaid),
        "refused": len(refused),
        "calls": len(CALLS),
        "differing": len(differing),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    if not given.json:
        for line in (*differing, *refused, *unsaid):
            print(line)
    sys.exit(1 if refused or differing else 0)


def _macros(session: Any) -> list[str]:
    with duckdb.connect() as con, tempfile.TemporaryDirectory() as folder:
        con.execute(macros.SQL)
        file = Path(folder) / "texts.parquet"
        said = ", ".join(f"({call})::VARCHAR AS c{n}" for n, call in enumerate(CALLS))
        con.execute(f"COPY (SELECT t, {said} FROM ({TEXTS})) TO '{file}' (FORMAT parquet)")
        session.read.parquet(str(file)).createOrReplaceTempView("texts")
        found = []
        for n, call in enumerate(CALLS):
            answer = f"CAST({spark.rendered(call)} AS STRING)"
            rows = session.sql(f"SELECT t, c{n}, {answer} FROM texts WHERE NOT (c{n} <=> {answer})").take(3)
            found += [f"{call}: {row[0]!r} is {row[1]!r} in DuckDB, {row[2]!r} in Spark" for row in rows]
        return found


def _rules(session: Any) -> tuple[int, list[str], list[str]]:
    """How many rules there are, those Spark does not analyse and those it has no words for, each with its reason."""
    catalog = load_catalog(Path("catalog"))
    with duckdb.connect() as con:
        con.execute(macros.SQL)
        suites.create_tables(con, catalog)
        tables = con.execute(
            "SELECT CASE WHEN database_name IN ('city', 'memory') THEN schema_name ELSE database_name END, table_name,"
            " list(column_name || chr(9) || data_type ORDER BY column_index) FROM duckdb_columns()"
            " WHERE NOT internal GROUP BY ALL"
        ).fetchall()
    for schema, table, columns in tables:
        session.sql(f"CREATE DATABASE IF NOT EXISTS `{schema}`")
        listed = ", ".join(f"NULL::{kind} AS {macros.name(name)}" for name, kind in (c.split("\t") for c in columns))
        empty = spark.rendered(f"SELECT {listed} WHERE false".replace("UBIGINT", "DECIMAL(20, 0)"))
        session.sql(f"CREATE OR REPLACE VIEW `{schema}`.`{table}` AS {empty}")
    count, refused, unsaid = 0, [], []
    for suite in rule_book.suites_by_rule(catalog):
        [rule] = suite.rules
        count += 1
        try:
            query = spark.failing(suite, rule)
        except spark.NotInSparkError as why:
            unsaid.append(f"{rule.id}: {why}")
            continue
        try:
            session.sql(query).schema  # noqa: B018  # asking for it has Spark analyse the query
        except Exception as error:  # noqa: BLE001  # whatever Spark raises is its reason
            refused.append(f"{rule.id}: {str(error).splitlines()[0][:200]}")
    return count, refused, unsaid


if __name__ == "__main__":
    main()
