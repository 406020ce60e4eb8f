"""A million records without a number against five million persons: time per record and the memory it takes.

    python -m benchmarks.identity [--people N] [--records N] [--memory LIMIT] [--small] [--json]

Persons and records are invented with the population library's own features: names of real frequency shape, four in five
records with a slip or a hole, one in fifty of somebody nobody knows. The model is the catalogue's, the stages are those
of a pass: frequencies, blocking and scoring by Splink in parts, bands, new entities. `--small` is a fiftieth.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from assets import identity
from benchmarks.identity_city import CATALOGUE, link
from catalog import load_catalog
from catalog.identity import Identity
from quality_checks import identity_links, identity_model, macros
from quality_checks.identity_nodes import ENTITIES, RECORDS
from quality_checks.macros import name

# The n-th person; a surname of rank r has a weight of about 1 / r, given names are two of three thousand characters.
PERSON = """
    SELECT n, chr(19968 + (300 * pow(hash(n, 1) % 100000 / 100000.0, 3))::INTEGER)
            || chr(20500 + (3000 * pow(hash(n, 2) % 100000 / 100000.0, 2))::INTEGER)
            || CASE WHEN hash(n, 3) % 4 > 0 THEN chr(20500 + (3000 * pow(hash(n, 4) % 100000 / 100000.0, 2))::INTEGER)
                ELSE '' END AS name,
        (1 + hash(n, 5) % 2)::VARCHAR AS sex,
        strftime(DATE '1936-01-01' + (hash(n, 6) % 32850)::INTEGER, '%Y-%m-%d') AS birth_date,
        CASE WHEN hash(n, 7) % 10 < 7 THEN '1' || (30000000000 + hash(n, 8) % 60000000000)::VARCHAR END AS phone,
        '街道' || (hash(n // 3, 9) % 4000) || '路' || (hash(n // 3, 10) % 300) || '号' || (hash(n // 3, 11) % 40)
            || '室' AS address,
        CASE WHEN n % 5 = 0 THEN '34150219' || (700000 + hash(n // 10, 12) % 200000)::VARCHAR || '0012' END
            AS mother_number
    FROM range($from::BIGINT, $to::BIGINT) t(n)"""
SLIPS = """
    SELECT n, CASE WHEN slip < 10 THEN left(name, length(name) - 1) || '竹' ELSE name END AS name, sex,
        CASE WHEN slip BETWEEN 10 AND 19 THEN left(birth_date, 9) || (right(birth_date, 1)::INTEGER + 1) % 10
            ELSE birth_date END AS birth_date,
        CASE WHEN slip % 2 = 0 THEN phone END AS phone,
        CASE WHEN slip BETWEEN 20 AND 39 THEN NULL ELSE address END AS address,
        mother_number
    FROM (SELECT *, hash(n, 20) % 100 AS slip FROM ({person}))"""


def features(stated: Identity) -> str:
    """SQL of a node's columns."""
    columns = {
        column: sql
        for feature, one in stated.compare.items()
        for column, sql in identity_model.node_columns(feature, one.as_, feature).items()
    }
    return ", ".join(f"{sql} AS {name(column)}" for column, sql in columns.items())


def invent(con: DuckDBPyConnection, stated: Identity, *, people: int, records: int) -> None:
    """`ENTITIES` of `people` persons; `RECORDS`, spread evenly over them, one in fifty beyond them."""
    con.execute(
        f"CREATE OR REPLACE TABLE {ENTITIES} AS SELECT {records} + n + 1 AS unique_id, n::VARCHAR AS entity_key,"
        f" {features(stated)} FROM ({PERSON})",
        {"from": 0, "to": people},
    )
    step = people // records
    chosen = f"WHERE n % {step} = 0 AND hash(n, 30) % 50 > 0 OR n >= {people}"
    con.execute(
        f"CREATE OR REPLACE TABLE {RECORDS} AS SELECT row_number() OVER (ORDER BY n) AS unique_id, 'd' AS department,"
        f" 'r' AS resource, n::VARCHAR AS record_key, hash(n) AS content, {features(stated)}"
        f" FROM ({SLIPS.format(person=PERSON)}) {chosen}",
        {"from": 0, "to": people + records // 50},
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=5_000_000)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--memory", default="6GB", help="DuckDB's own limit; the process takes more")
    parser.add_argument("--spill", type=Path, default=Path("/tmp"), help="where DuckDB may spill to")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    people, records = (n // (50 if options.small else 1) for n in (options.people, options.records))
    catalog = load_catalog(CATALOGUE)
    library = catalog.libraries["population"]
    model = identity.stored_model(catalog, library)
    assert model
    assert library.identity
    with duckdb.connect(config={"memory_limit": options.memory, "temp_directory": str(options.spill)}) as con:
        con.execute(macros.SQL)
        invent(con, library.identity, people=people, records=records)
        began, worked = time.monotonic(), time.process_time()
        link(con, library.identity, model)
        wall, cpu = time.monotonic() - began, time.process_time() - worked
        row = con.execute(
            f"SELECT count(*), count(*) FILTER (entity_key = record_key), count(*) FILTER (entity_key IS NULL),"
            f" count(*) FILTER (entity_key <> record_key AND NOT starts_with(entity_key, '#'))"
            f" FROM {identity_links.LINKS}"
        ).fetchone()
        pairs = con.execute(f"SELECT count(*) FROM {identity_links.PAIRS}").fetchone()
    told: dict[str, object] = {"people": people}
    told |= dict(zip(("records", "linked_right", "waiting", "linked_wrong"), row or (), strict=True))
    told |= {"pairs_likely": pairs[0] if pairs else 0, "wall_s": round(wall, 1), "cpu_s": round(cpu, 1)}
    told |= {"us_per_record": round(cpu / max(records, 1) * 1e6, 1)}
    told |= {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    print(json.dumps(told) if options.json else "\n".join(f"{key:>16}  {value}" for key, value in told.items()))


if __name__ == "__main__":
    main()
