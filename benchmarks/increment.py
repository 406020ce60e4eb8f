"""A day with one changed record in a hundred, against building the same library whole: `ratio` = increment / full.

Eight departments state persons with twelve attributes (`benchmarks.pools`): 20 M records of 5 M persons. A day states
one record in a hundred of each department anew, with another name, spread at random over the pool and over the persons,
as an incremental delivery would. `ours_s` is `assets.base.build` of the persons that are touched, `plain_s` the same
call of an emptied library: arbitration, history, comparison and its findings, the commit. The two alternate, on one
city with a real lake; `ours_cpu_s`, `plain_cpu_s` are user and system time of this process. At the end a full build on
top of the last increment must change nothing.

`python -m benchmarks.increment [--rows N] [--repeat N] [--home FOLDER] [--json]`
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from duckdb import DuckDBPyConnection

from assets import base
from benchmarks.pools import DAY, POOLS, RECORDS_PER_PERSON, catalog, finding_sql, records_sql
from benchmarks.whole_city import tell
from quality_checks import macros
from resources.city import City

ROOT = Path(__file__).parents[1]
THREADS = 2
CHANGED = 100  # one record in so many is stated anew each day


@dataclass(frozen=True)
class Timed:
    """Wall and processor seconds of one call."""

    wall: float
    cpu: float


def written(con: DuckDBPyConnection, sql: str) -> int:
    """Run an INSERT; returns how many rows it wrote."""
    [count] = con.execute(sql).fetchone() or (0,)
    return int(count)


def load(city: City, people: int) -> int:
    """Fill the pools; returns how many records they hold."""
    total = 0
    for department in POOLS:
        sql = f"INSERT INTO {department}.people BY NAME {records_sql(department, people)}"
        total += city.commit(department, partial(written, sql=sql), author="benchmark")
    city.commit("city", mark, author="benchmark")
    return total


def mark(con: DuckDBPyConnection) -> None:
    """Open findings on the name of one record in two hundred."""
    for department, pool in POOLS.items():
        if "name" in pool.attributes:
            con.execute(finding_sql(department))


def change(city: City, turn: int) -> int:
    """One record in a hundred of each department is stated anew, with another name; returns how many."""
    day = DAY + timedelta(turn)
    total = 0
    for department in POOLS:
        table = f"{department}.people"
        stated = (
            f"CREATE OR REPLACE TEMP TABLE _stated AS SELECT * REPLACE (name || '{turn}' AS name,"
            f" hash(_hash, {turn}) AS _hash, DATE '{day}' AS _as_of) FROM {table}"
            f" WHERE hash(_record_key, '{department}', {turn}) % {CHANGED} = 0"
        )

        def work(con: DuckDBPyConnection, stated: str = stated, table: str = table) -> int:
            con.execute(stated)
            con.execute(f"DELETE FROM {table} WHERE _record_key IN (SELECT _record_key FROM _stated)")
            return written(con, f"INSERT INTO {table} BY NAME FROM _stated")

        total += city.commit(department, work, author="benchmark")
    return total


def empty(city: City) -> None:
    """Take the library back to before its first build."""

    def work(con: DuckDBPyConnection) -> None:
        for table in ("base.population", "history.population", "base._builds", "base._said", "quality.results"):
            con.execute(f"DELETE FROM {table}")
        con.execute("DELETE FROM quality.findings WHERE rule_id <> 'R1'")

    city.commit("city", work, author="benchmark")


def timed(work: Callable[[], base.BaseResult]) -> tuple[Timed, base.BaseResult]:
    """Run it and take the time."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    result = work()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return Timed(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), result


def measured(home: Path, rows: int, repeat: int) -> dict[str, object]:
    """Both in turn on one city."""
    made = catalog()
    library = made.libraries["population"]
    with City.open(home, made, prelude=macros.SQL, threads=THREADS, memory_limit="6GB") as city:
        city.lake.apply_catalog()
        total = load(city, rows // RECORDS_PER_PERSON)
        ours, plain, touched, changed = [], [], [], []
        for turn in range(1, repeat + 1):
            empty(city)
            day = DAY + timedelta(turn)
            taken, built = timed(partial(base.build, city, library, day - timedelta(1), author="full"))
            assert built.told.startswith("full"), built.told
            plain.append(taken)
            changed.append(change(city, turn))
            taken, built = timed(partial(base.build, city, library, day, author="increment"))
            assert built.told.startswith("increment"), built.told
            ours.append(taken)
            touched.append(built.touched)
        again = base.build(city, library, day, author="check", full=True)
        assert again.changed == 0, again.changed
    return {
        "rows": total,
        "entities": again.entities,
        "changed_records": changed[-1],
        "touched_entities": touched[-1],
        "ours_s": round(statistics.median(one.wall for one in ours), 2),
        "plain_s": round(statistics.median(one.wall for one in plain), 2),
        "ratio": round(statistics.median(a.wall / b.wall for a, b in zip(ours, plain, strict=True)), 4),
        "ours_cpu_s": round(statistics.median(one.cpu for one in ours), 2),
        "plain_cpu_s": round(statistics.median(one.cpu for one in plain), 2),
        "ratio_cpu": round(statistics.median(a.cpu / b.cpu for a, b in zip(ours, plain, strict=True)), 4),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--home", type=Path, help="where the city is made; default beside the repository's files")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.umask(0o077)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=options.home or ROOT) as folder:
        result = measured(Path(folder) / "home", options.rows, options.repeat)
    tell(result, as_json=options.json)


if __name__ == "__main__":
    main()
