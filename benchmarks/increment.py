"""A day with one changed record in a hundred, against building the same library whole: `ratio` = increment / full.

Eight departments state persons of a population library with twelve attributes, half of the persons each, so that 20 M
records speak of 5 M persons (`--rows`); one statement in fifty differs from the others'. A day changes one record in a
hundred of each department, spread at random over the pool and over the persons, as an incremental delivery would: the
records are replaced under their keys. `ours_s` is `assets.base.build` of the persons that are touched, `plain_s` the
same call of an emptied library: arbitration, history, comparison and its findings, the commit. The two alternate, on
one city of its own with a real lake; `ours_cpu_s`, `plain_cpu_s` are user and system time of this process. At the end a
full build on top of the last increment must change nothing.

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
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from duckdb import DuckDBPyConnection

from assets import base
from benchmarks.whole_city import tell
from catalog.load import Catalog
from catalog.models import Attribute, Column, Department, Library, Resource
from quality_checks import macros
from resources.city import City

ROOT = Path(__file__).parents[1]
DAY = date(2026, 11, 2)
DEPARTMENTS = 8
SHARE = 2  # of the persons that each department knows: one in so many
THREADS = 2
KINDS = {
    "id_type": "text", "name": "text", "sex": "text", "birth_date": "date", "ethnic_group": "text",
    "marital_status": "text", "address": "text", "division": "text", "phone": "text", "education": "text",
    "employer": "text", "death_date": "date",
}  # fmt: skip
RECORDS = """
    select *, '{delivery}' as _delivery_id, row_number() over () as _row, date '{day}' as _as_of, 1 as _copies,
           null as _raw, hash(columns(*)) as _hash
    from (
        select '341502' || strftime(date '1930-01-01' + (p * 13 % 33000)::int, '%Y%m%d')
               || lpad((p // 33000 % 10000)::varchar, 4, '0') as id_number,
               '111' as id_type,
               ['张', '王', '李', '赵', '陈'][1 + p % 5] || ['伟', '芳', '娜', '秀英', '敏'][1 + p % 6 % 5]
                   || case when h % 50 = 1 then '某' else '' end as name,
               (1 + p % 2)::varchar as sex,
               date '1930-01-01' + (p * 13 % 33000)::int + (h % 50 = 2)::int as birth_date,
               lpad((1 + p % 56)::varchar, 2, '0') as ethnic_group,
               ['10', '20', '30', '40'][1 + (p + (h % 50 = 3)::int) % 4] as marital_status,
               '安徽省六安市金安区解放路' || ((p + (h % 50 = 4)::int) % 500000) || '号' as address,
               (341502 + p % 7)::varchar as division,
               '1' || (3 + p % 7) || lpad(((p + (h % 50 = 5)::int) % 1000000000)::varchar, 9, '0') as phone,
               (10 + (p + (h % 50 = 6)::int) % 9)::varchar as education,
               '企业' || (p % 20011) as employer,
               case when p % 100 = 0 then date '2025-01-01' + (p % 300)::int end as death_date
        from (select (range * 7919 + {number}) % {people} as p, hash(range, {number}, {version}) as h
              from range({people})) {chosen})
"""


@dataclass(frozen=True)
class Timed:
    """Wall and processor seconds of one call."""

    wall: float
    cpu: float


def catalogue() -> Catalog:
    """Eight departments with a resource each, one library; the authority is another department for each attribute."""
    departments, resources = {}, {}
    columns = {"id_number": Column(title="证件号码", type="text", required=True)}
    columns |= {name: Column(title=name, type=kind) for name, kind in KINDS.items()}
    for number in range(DEPARTMENTS):
        department = f"d{number}"
        title = {"zh": department, "en": department}
        departments[department] = Department(
            name=department, title=title, code="x", sharing_office="x", chief_data_officer="x"
        )
        resources[f"{department}.people"] = Resource(
            department=department,
            name="people",
            title=title,
            summary="x",
            code=f"1/01/001/{number:06}",
            cycle="daily",
            mode="incremental",
            key=("id_number",),
            describes={"library": "population", "by": "id_number"},
            sharing={"attribute": "unconditional"},
            opening={"class": "none", "reason": "x"},
            published="2026-01-01",
            columns=columns,
            supplies={name: name for name in KINDS},
        )
    attributes = {}
    for place, (name, kind) in enumerate(KINDS.items()):
        ranked = [f"d{(place + number) % DEPARTMENTS}" for number in range(DEPARTMENTS)]
        attributes[name] = Attribute(title=name, type=kind, authority=ranked[0], substitutes=tuple(ranked[1:]))
    library = Library(
        name="population",
        title={"zh": "人口库", "en": "Population"},
        summary="x",
        lead="d0",
        entity="person",
        key="id_number",
        key_title="证件号码",
        key_normal="person_id_normal(value)",
        ends="death_date",
        attributes=attributes,
    )
    return Catalog(Path(), departments, resources, {library.name: library}, {}, {}, {})


def records(number: int, people: int, *, version: int, chosen: str, day: date) -> str:
    """Query: what a department states of the persons `chosen`, a condition over `p` and `i`."""
    return RECORDS.format(
        number=number, people=people, version=version, chosen=chosen, day=day, delivery=f"{day:%Y%m%d}-d{number}-people"
    ).replace("hash(columns(*))", f"hash({', '.join(['id_number', *KINDS])})")


def written(con: DuckDBPyConnection, sql: str) -> int:
    """Run an INSERT; returns how many rows it wrote."""
    [count] = con.execute(sql).fetchone() or (0,)
    return int(count)


def load(city: City, people: int) -> int:
    """Fill the pools; returns how many records they hold."""
    total = 0
    for number in range(DEPARTMENTS):
        query = records(number, people, version=0, chosen=f"where hash(p, {number}) % {SHARE} = 0", day=DAY)
        sql = f"INSERT INTO d{number}.people BY NAME SELECT *, id_number AS _record_key FROM ({query})"
        total += city.commit(f"d{number}", partial(written, sql=sql), author="benchmark")
    return total


def change(city: City, people: int, turn: int) -> int:
    """One record in a hundred of each department is stated anew, with another address; returns how many."""
    day = DAY + timedelta(turn)
    total = 0
    for number in range(DEPARTMENTS):
        chosen = f"where hash(p, {number}) % {SHARE} = 0 and hash(p, {number}, 'day', {turn}) % 100 = 0"
        query = records(number, people, version=turn, chosen=chosen, day=day)
        stated = (
            f"SELECT * REPLACE (address || ' {turn}' AS address, hash(_hash, {turn}) AS _hash),"
            f" id_number AS _record_key FROM ({query})"
        )

        def work(con: DuckDBPyConnection, number: int = number, stated: str = stated) -> int:
            con.execute(f"CREATE OR REPLACE TEMP TABLE _stated AS {stated}")
            con.execute(f"DELETE FROM d{number}.people WHERE _record_key IN (SELECT _record_key FROM _stated)")
            return written(con, f"INSERT INTO d{number}.people BY NAME FROM _stated")

        total += city.commit(f"d{number}", work, author="benchmark")
    return total


def empty(city: City) -> None:
    """Take the library back to before its first build."""

    def work(con: DuckDBPyConnection) -> None:
        for table in ("base.population", "history.population", "base._builds", "quality.findings", "quality.results"):
            con.execute(f"DELETE FROM {table}")

    city.commit("city", work, author="benchmark")


def timed(work: Callable[[], base.BaseResult]) -> tuple[Timed, base.BaseResult]:
    """Run it and take the time."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    result = work()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return Timed(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), result


def measured(home: Path, rows: int, repeat: int) -> dict[str, object]:
    """Both in turn on one city."""
    catalog = catalogue()
    library = catalog.libraries["population"]
    people = rows * SHARE // DEPARTMENTS
    with City.open(home, catalog, prelude=macros.SQL, threads=THREADS, memory_limit="6GB") as city:
        city.lake.apply_catalog()
        total = load(city, people)
        ours, plain, touched, changed = [], [], [], []
        for turn in range(1, repeat + 1):
            empty(city)
            day = DAY + timedelta(turn)
            taken, built = timed(partial(base.build, city, library, day - timedelta(1), author="full"))
            assert built.told.startswith("full"), built.told
            plain.append(taken)
            changed.append(change(city, people, turn))
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
