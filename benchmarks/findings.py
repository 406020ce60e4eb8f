"""Storing and counting very many findings, against a plain hand-written DuckDB script, interleaved.

    python -m benchmarks.findings [--rows N] [--repeat N] [--json]

Findings of 16 departments with 200 rules each. The first day all are new; on the second one in 211 is gone, as
many are new, one in a hundred has another value, all others stand as they did. Ours is `quality_checks.findings.merge`
into `quality.findings` of a real lake, a commit per department as a pass does it. By hand it is the same history kept
in Parquet files, one per department, written anew by a full join. Then both count the open findings by department and
rule. The violations themselves are made outside the clock; `disk_mb` is what our lake takes, the version of the first
day included.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb

from benchmarks.validate import ROW_RULES, write_catalogue
from benchmarks.whole_city import ROOT, tell, watched
from quality_checks import findings, macros

DAYS = (date(2026, 11, 2), date(2026, 11, 3))
DEPARTMENTS = 16
RULES = 200
THREADS = 2
# One row per violation of a department: numbers from `first` on. On the second day every 211th is not there.
VIOLATIONS = """
    select 'R' || (i % {rules}) as rule_id, 'P03' as standard, 'accuracy' as dimension, '0301' as indicator,
           'error' as severity, 'department{number}' as department, 'resource' || (i % {rules} // 20) as resource,
           '341502' || lpad(i::varchar, 12, '0') as record_key, 'birth_date' as "column",
           (date '1950-01-01' + ((i + {day} * (i % 100 = 7)::int) % 20000)::int)::varchar as observed_value,
           (date '1950-01-02' + (i % 20000)::int)::varchar as suggested_value, 'derived' as suggestion_method,
           null::double as suggestion_confidence,
           '出生日期应与证件号码一致：出生日期为「' || observed_value || '」，证件号码为「' || record_key || '」'
               as reason,
           'd{day}' as delivery_id
    from range({first}, {last}) t(i) where {day} = 0 or i % 211 <> 13
"""


def violations(number: int, day: int, rows: int) -> str:
    """Query of a department's violations on a day."""
    each = rows // DEPARTMENTS
    first = day * each // 200
    return VIOLATIONS.format(number=number, day=day, rules=RULES, first=0, last=each + first)


def ours(home: Path, catalogue: Path, rows: int) -> None:
    """Merge both days and count; prints seconds of each and the count."""
    from catalog.load import load_catalog  # noqa: PLC0415  # the plain process need not import them
    from quality_checks.results import RuleResult  # noqa: PLC0415
    from resources.city import City  # noqa: PLC0415

    seconds = []
    with City.open(home, load_catalog(catalogue), threads=THREADS) as city:
        city.lake.apply_catalog()
        city.con.execute(macros.SQL)
        for day, as_of in enumerate(DAYS):
            spent = 0.0
            for number in range(DEPARTMENTS):
                city.con.execute(f"create or replace temp table found as {violations(number, day, rows)}")
                counted = "select department, resource, rule_id, count(*) from found group by all"
                results = [
                    RuleResult(department, resource, rule, "accuracy", "0301", "error", failed, failed)
                    for department, resource, rule, failed in city.con.execute(counted).fetchall()
                ]
                began = time.perf_counter()
                city.commit(
                    "city",
                    lambda con, told=results, on=as_of: findings.merge(con, "found", told, on),  # type: ignore[misc]
                    author="benchmark",
                )
                spent += time.perf_counter() - began
            seconds.append(spent)
        tell_counts(city.con, "quality.findings", seconds)


def plain(folder: Path, rows: int) -> None:
    """The same by hand; prints seconds of each and the count."""
    con = duckdb.connect(str(folder / "scratch.duckdb"), config={"threads": THREADS})
    con.execute(f"set temp_directory = '{folder}/spill'")
    con.execute(macros.SQL)
    seconds = []
    for day, as_of in enumerate(DAYS):
        spent = 0.0
        (folder / str(day)).mkdir()
        for number in range(DEPARTMENTS):
            con.execute(f"create or replace temp table found as {violations(number, day, rows)}")
            file, before = (folder / str(d) / f"{number}.parquet" for d in (day, day - 1))
            began = time.perf_counter()
            key = 'finding_id(rule_id, department, resource, record_key, "column")'
            now = f"select {key} as finding_id, *, date '{as_of}' as first_seen, date '{as_of}' as last_seen,"
            now += " 'open' as status, null::date as closed_on from found"
            if day:
                kept = "coalesce(o.first_seen, n.first_seen) as first_seen"
                now = (
                    f"select n.* replace ({kept}) from ({now}) n left join '{before}' o using (finding_id) union all"
                    f" by name select o.* replace ('resolved' as status, date '{as_of}' as closed_on)"
                    f" from '{before}' o anti join ({now}) n using (finding_id)"
                )
            con.execute(f"copy ({now}) to '{file}' (format parquet, compression zstd)")
            spent += time.perf_counter() - began
        seconds.append(spent)
    tell_counts(con, f"'{folder}/{len(DAYS) - 1}/*.parquet'", seconds)


def tell_counts(con: duckdb.DuckDBPyConnection, table: str, seconds: list[float]) -> None:
    """Count by department and rule; print everything as JSON."""
    began = time.perf_counter()
    query = f"select department, rule_id, count(*) from {table} where status = 'open' group by all"
    counted = con.execute(query).fetchall()
    spent = time.perf_counter() - began
    groups, total = len(counted), sum(row[2] for row in counted)
    print(json.dumps({"new_s": seconds[0], "day_s": seconds[1], "count_s": spent, "groups": groups, "open": total}))


def measured(scratch: Path, rows: int, repeat: int) -> dict[str, object]:
    """Both in turn; they must count the same."""
    catalogue = scratch / "catalogue"
    write_catalogue(catalogue, ROW_RULES)
    told: dict[str, list[dict[str, float]]] = {"ours": [], "plain": []}
    peak = disk = 0
    for turn in range(repeat):
        home, folder = scratch / f"home{turn}", scratch / f"plain{turn}"
        folder.mkdir()
        said, _, _ = watched(child("--plain", folder, rows), scratch)
        told["plain"].append(json.loads(said))
        said, _, used = watched(child("--ours", home, catalogue, rows), home)
        told["ours"].append(json.loads(said))
        peak = max(peak, used)
        disk = sum(file.stat().st_size for file in (home / "lake").rglob("*.parquet"))
        counts = [[one[-1][figure] for figure in ("groups", "open")] for one in told.values()]
        assert counts[0] == counts[1], told
        shutil.rmtree(home)
        shutil.rmtree(folder)
    result: dict[str, object] = {"rows": rows}
    medians = {
        who: {figure: statistics.median(run[figure] for run in runs) for figure in ("new_s", "day_s", "count_s")}
        for who, runs in told.items()
    }
    for who, figures in medians.items():
        result[f"{who}_s"] = round(figures["new_s"] + figures["day_s"], 2)
        result |= {f"{who}_{figure}": round(seconds, 3) for figure, seconds in figures.items()}
    spent = [figures["new_s"] + figures["day_s"] for figures in medians.values()]
    result["ratio"] = round(spent[0] / spent[1], 2)
    return result | {"peak_mb": round(peak / 1e6), "disk_mb": round(disk / 1e6)}


def child(*arguments: object) -> list[str]:
    """The command that runs this module anew."""
    return [sys.executable, "-m", "benchmarks.findings", *map(str, arguments)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ours", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--plain", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        home, catalogue, rows = options.ours
        return ours(Path(home), Path(catalogue), int(rows))
    if options.plain:
        folder, rows = options.plain
        return plain(Path(folder), int(rows))
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        result = measured(Path(scratch), options.rows, options.repeat)
    tell(result, as_json=options.json)
    return None


if __name__ == "__main__":
    main()
