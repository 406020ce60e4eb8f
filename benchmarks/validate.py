"""Validating a large pool against the hand-written DuckDB queries for the same checks, interleaved.

    python -m benchmarks.validate [--rows N] [--repeat N] [--json]
    python -m benchmarks.validate --engines FOLDER [--rows N] [--repeat N] [--json]
    python -m benchmarks.validate --scale [--rows N] [--repeat N] [--json]
    python -m benchmarks.validate --join [--rows N] [--repeat N] [--json]
    python -m benchmarks.validate --small [--repeat N] [--json]

Person records of which one in a hundred breaks a rule or two (`benchmarks.people`): twelve row rules (section P of the
starter catalogue on number, name, sex, birth, address, nation, phone and time of update) beside uniqueness, freshness
and volume. Ours is the suite run by Great Expectations, every failing row kept as a finding of the lake, and the
judgement of the delivery. By hand it is one aggregate query, one that writes every failing row with its rule and value,
and three about the key, the newest record and the number of rows, all on the very files of the pool.

`ours_s`, `plain_s` and `ratio` are after the imports; `whole_s` and `plain_whole_s` are processes from start to end, as
a run has them: ours imports Great Expectations beside opening the city and the first scan. Ours knows of repeated keys
from loading the pool and only counts them here; `plain_key_s` of `plain_s` go into searching for them anew.

`--engines`: other engines' whole processes on one Parquet file of the same people (`benchmarks.engines`), each in an
environment of its own, made in FOLDER by uv where it is missing. `--scale`: a hundredth, a tenth and the whole of
`--rows`. `--join`: sources compared with their library against the raw join, 20 million rows each unless `--rows` says
otherwise (`benchmarks.comparing`). `--small`: one table of a hundred rows and twenty rules; `deliveries_s` is the
judgement of its deliveries, with the commit of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks.people import DAY, PEOPLE, ROW_RULES, THREADS, load, restore, write_catalogue, write_people
from benchmarks.whole_city import ROOT, tell, watched
from quality_checks import macros

SMALL_ROWS, SMALL_RULES = 100, 20


def ours(home: Path, catalogue: Path, *, whole: bool) -> None:
    """Check the pool and its deliveries; prints seconds and the failing rows by rule."""
    from quality_checks import runner  # noqa: PLC0415

    if whole:
        runner.prepare()
    from assets import quality  # noqa: PLC0415
    from catalog.load import load_catalog  # noqa: PLC0415
    from resources.city import City  # noqa: PLC0415

    if not whole:
        runner._gx()
    catalog = load_catalog(catalogue)
    with City.open(home, catalog, threads=THREADS, prelude=macros.SQL) as city:
        began = time.perf_counter()
        results = quality.check_pool(city, catalog.resources[PEOPLE], DAY, author="benchmark")
        pool = time.perf_counter()
        results += quality.check_deliveries(city, DAY, author="benchmark")
        ended = time.perf_counter()
        assert all(result.state == "ok" for result in results), results
        query = "select rule_id, count(*) from quality.findings where status = 'open' group by all order by all"
        found = dict.fromkeys(ROW_RULES, 0) | dict(city.con.execute(query).fetchall())
    again, found = found.get(f"{PEOPLE}.key.unique", 0), {rule: found[rule] for rule in ROW_RULES}
    print(json.dumps({"seconds": ended - began, "deliveries": ended - pool, "found": found, "duplicates": again}))


def plain(files: Path, out: Path) -> None:
    """The same by hand; prints seconds, those of them spent on the key, and the failing rows by rule."""
    con = duckdb.connect(config={"threads": THREADS, "memory_limit": "2GB"})
    con.execute(macros.SQL)
    began = time.perf_counter()
    table = f"read_parquet('{files}/**/*.parquet')"
    broken = {
        rule: f"coalesce({when}, false) and not coalesce({that}, true)" for rule, (_, that, when) in ROW_RULES.items()
    }
    counts = ", ".join(f"count_if({sql})" for sql in broken.values())
    con.execute(f"select count(*), {counts} from {table}").fetchall()
    flags = ", ".join(f"{sql} as b{n}" for n, sql in enumerate(broken.values()))
    told = ", ".join(
        f"case when b{n} then {{rule: '{rule}', value: {ROW_RULES[rule][0]}::varchar}} end"
        for n, rule in enumerate(broken)
    )
    some = " or ".join(f"b{n}" for n in range(len(broken)))
    con.execute(
        "copy (select _record_key, told.rule, told.value from (select _record_key, unnest([{}]) as told "
        "from (select *, {} from {}) where {}) where told is not null) to '{}' (format parquet)".format(
            told, flags, table, some, out / "failing.parquet"
        )
    )
    unique = time.perf_counter()
    con.execute(f"select id_number, count(*) from {table} group by all having count(*) > 1").fetchall()
    unique = time.perf_counter() - unique
    con.execute(f"select max(updated_at) from {table}").fetchall()
    con.execute(f"select count(*) from {table}").fetchall()
    seconds = time.perf_counter() - began
    query = f"select rule, count(*) from '{out / 'failing.parquet'}' group by all order by all"
    found = dict.fromkeys(ROW_RULES, 0) | dict(con.execute(query).fetchall())
    print(json.dumps({"seconds": seconds, "unique": unique, "found": found}))


def child(*arguments: object) -> list[str]:
    """The command that runs this module anew."""
    return [sys.executable, "-m", "benchmarks.validate", *map(str, arguments)]


def loaded(scratch: Path, rows: int, rules: dict[str, tuple[str, str, str]]) -> tuple[Path, Path, Path]:
    """A home with so many people, its catalogue, and the file the people came from."""
    home, catalogue, people = scratch / "home", scratch / "catalogue", scratch / "people.parquet"
    write_catalogue(catalogue, rules)
    write_people(people, rows)
    watched(child("--load", home, catalogue, people), scratch)
    return home, catalogue, people


def large(scratch: Path, rows: int, repeat: int) -> dict[str, object]:
    """Both in turn on one pool; they must find the same."""
    home, catalogue, _ = loaded(scratch, rows, ROW_RULES)
    taken: dict[str, list[float]] = {}
    peak, found = 0, {}
    for _ in range(repeat):
        restore(home)
        told, plain_whole, _ = watched(child("--plain", home / "lake", scratch), scratch)
        by_hand = json.loads(told)
        told, _, used = watched(child("--ours", home, catalogue), home)
        answer = json.loads(told)
        restore(home)
        told, whole, used_whole = watched(child("--whole", home, catalogue), home)
        assert answer["found"] == json.loads(told)["found"] == by_hand["found"], (answer, told, by_hand)
        found, peak = answer["found"], max(peak, used, used_whole)
        seconds = {
            "ours_s": answer["seconds"],
            "plain_s": by_hand["seconds"],
            "plain_key_s": by_hand["unique"],
            "whole_s": whole,
            "plain_whole_s": plain_whole,
        }
        for name, one in seconds.items():
            taken.setdefault(name, []).append(one)
    medians = {name: round(statistics.median(several), 2) for name, several in taken.items()}
    ratio = round(statistics.median(taken["ours_s"]) / statistics.median(taken["plain_s"]), 2)
    return {"rows": rows, "failing": sum(found.values()), **medians, "ratio": ratio, "peak_mb": round(peak / 1e6)}


def scale(scratch: Path, rows: int, repeat: int) -> dict[str, object]:
    """Ours at three sizes; `growth` is what a million rows cost at the largest, against the one before."""
    result: dict[str, object] = {}
    costs = []
    for size in (rows // 100, rows // 10, rows):
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            home, catalogue, _ = loaded(Path(folder), size, ROW_RULES)
            taken, peak = [], 0
            for _ in range(repeat):
                restore(home)
                told, _, used = watched(child("--ours", home, catalogue), home)
                taken.append(json.loads(told)["seconds"])
                peak = max(peak, used)
        seconds = statistics.median(taken)
        costs.append(seconds / size * 1e6)
        result |= {f"ours_s_{size}": round(seconds, 2), f"s_per_million_{size}": round(costs[-1], 3)}
        result[f"peak_mb_{size}"] = round(peak / 1e6)
    return {**result, "growth": round(costs[-1] / costs[-2], 2)}


def small(scratch: Path, repeat: int) -> dict[str, object]:
    """What one suite of twenty rules costs on a small table."""
    twenty = [(f"{rule}-{n}", said) for n in range(2) for rule, said in ROW_RULES.items()][:SMALL_RULES]
    home, catalogue, _ = loaded(scratch, SMALL_ROWS, dict(twenty))
    pool, deliveries = [], []
    for _ in range(repeat):
        restore(home)
        answer = json.loads(watched(child("--ours", home, catalogue), home)[0])
        pool.append(answer["seconds"] - answer["deliveries"])
        deliveries.append(answer["deliveries"])
    return {
        "rows": SMALL_ROWS,
        "rules": SMALL_RULES,
        "ours_s": round(statistics.median(pool), 3),
        "deliveries_s": round(statistics.median(deliveries), 3),
    }


def measured(options: argparse.Namespace, scratch: Path) -> dict[str, object]:
    """What was asked for."""
    if options.small:
        return small(scratch, options.repeat)
    if options.join:
        from benchmarks.comparing import joined  # noqa: PLC0415

        return joined(scratch, options.rows or 20_000_000, options.repeat)
    rows = options.rows or 10_000_000
    if options.engines:
        from benchmarks.engines.beside import beside  # noqa: PLC0415

        return beside(scratch, options.engines, rows, options.repeat)
    return (scale if options.scale else large)(scratch, rows, options.repeat)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--repeat", type=int, default=3)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--engines", type=Path, metavar="FOLDER")
    kinds.add_argument("--scale", action="store_true")
    kinds.add_argument("--join", action="store_true")
    kinds.add_argument("--small", action="store_true")
    parser.add_argument("--json", action="store_true")
    for step, count in {"--load": 3, "--ours": 2, "--whole": 2, "--plain": 2}.items():
        parser.add_argument(step, nargs=count, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        return load(*options.load)
    if options.ours or options.whole:
        return ours(*(options.ours or options.whole), whole=bool(options.whole))
    if options.plain:
        return plain(*options.plain)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as folder:
        result = measured(options, Path(folder))
    tell(result, as_json=options.json)
    return None


if __name__ == "__main__":
    main()
