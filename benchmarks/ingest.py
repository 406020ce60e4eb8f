"""Landing CSV to pool against a plain DuckDB script on the same file, interleaved, each in a process of its own.

    python benchmarks/ingest.py [--rows N] [--repeat N] [--json]
    python benchmarks/ingest.py --small [--deliveries N] [--json]

Ours registers, archives, hashes, reads in the guarded child, conforms, numbers, searches for repeated keys, profiles
and commits; plain is one `COPY (SELECT … FROM read_csv(…)) TO parquet` that trims and casts the same twelve columns.
Two percent of dates and amounts are spelled otherwise than their value. `--small`: many small deliveries, each of a
resource of its own, seconds per delivery all told.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb

from benchmarks.whole_city import ROOT, tell, watched
from catalog.load import load_catalog

DAY = date(2026, 11, 2)
SMALL_ROWS = 100
SMALL_DEPARTMENTS = 10
COLUMNS = {
    "record_no": "{title: 编号, type: text, required: true}",
    "name": "{title: 姓名, type: text, level: personal}",
    "sex": "{title: 性别, type: text}",
    "birth_date": "{title: 出生日期, type: date}",
    "status": "{title: 状态, type: text}",
    "household_size": "{title: 户内人数, type: integer}",
    "income": "{title: 收入, type: decimal, unit: 元}",
    "address": "{title: 住址, type: text, level: personal}",
    "phone": "{title: 电话, type: text, level: personal}",
    "insured": "{title: 参保, type: boolean}",
    "updated_at": "{title: 更新时间, type: timestamp}",
    "region": "{title: 区划, type: text}",
}
TYPES = {"birth_date": "DATE", "household_size": "BIGINT", "income": "DECIMAL(18,2)", "insured": "BOOLEAN",
         "updated_at": "TIMESTAMP"}  # fmt: skip
RECORDS = """
    select '3415' || lpad((i * 7919 % 100000000000000)::varchar, 14, '0') as record_no,
           ['张', '王', '李', '赵', '陈'][1 + i % 5] || ['伟', '芳', '娜', '秀英', '敏', '静'][1 + i % 6] as name,
           (1 + i % 2)::varchar as sex,
           case i % 100 when 0 then strftime(day, '%Y年%-m月%-d日') when 1 then strftime(day, '%Y%m%d')
                else day::varchar end as birth_date,
           (i % 9 * 10)::varchar as status, (1 + i % 7)::varchar as household_size,
           case i % 100 when 2 then (i % 1000) || '万元' when 3 then format('{{:,}}', i % 10000000)
                else ((i * 31 % 100000000) / 100.0)::decimal(18, 2)::varchar end as income,
           case when i % 40 = 0 then '' else '安徽省六安市' || (i % 500) || '号' end as address,
           '1' || lpad((i * 104729 % 10000000000)::varchar, 10, '0') as phone,
           ['是', '否'][1 + i % 2] as insured,
           (timestamp '2020-01-01' + to_seconds((i * 37 % 200000000)::bigint))::varchar as updated_at,
           '340' || lpad((i % 9000)::varchar, 3, '0') as region
    from (select i, date '1930-01-01' + (i * 13 % 33000)::int as day from range({first}, {last}) t(i))
"""
RESOURCE = """
title: {{zh: {name}, en: {name}}}
summary: one table of the benchmark
code: "1/01/001/{number:06d}"
cycle: daily
mode: full
key: [record_no]
sharing: {{attribute: unconditional}}
opening: {{class: unconditional}}
published: 2026-01-01
columns:
{columns}
"""
DEPARTMENT = """
title: {{zh: 部门{number}, en: Department {number}}}
code: "113415000031660{number:02d}A"
sharing_office: 信息科
chief_data_officer: 首席数据官
"""


def write_catalogue(root: Path, departments: int, resources: int) -> list[str]:
    """A catalogue of so many departments and resources; the resources' ids."""
    columns = "\n".join(f"  {name}: {stated}" for name, stated in COLUMNS.items())
    names = []
    for number in range(resources):
        department = f"department_{number % departments}"
        folder = root / "departments" / department
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "department.yaml").write_text(DEPARTMENT.format(number=number % departments))
        text = RESOURCE.format(name=f"表{number}", number=number + 1, columns=columns)
        (folder / f"table_{number}.yaml").write_text(text)
        names.append(f"{department}.table_{number}")
    return names


def ours(home: Path, catalogue: Path) -> None:
    """Take in whatever stands in landing; prints seconds and records. The city is opened before the clock starts."""
    from assets import deliveries, pools  # noqa: PLC0415  # the plain process need not import them
    from resources.city import City  # noqa: PLC0415

    with City.open(home, load_catalog(catalogue), threads=2) as city:
        city.lake.apply_catalog()
        began = time.perf_counter()
        deliveries.register(city)
        registered = time.perf_counter()
        results = [r for name in city.catalog.departments for r in pools.load(city, name, DAY, author="benchmark")]
        ended = time.perf_counter()
        assert not any(result.rejected for result in results), results
        rows = sum(result.rows_pooled for result in results)
        pools._reader().close()  # its processor time counts as ours once it has ended
    print(
        json.dumps(
            {"seconds": ended - began, "register_s": registered - began, "cpu": sum(os.times()[:4]), "rows": rows}
        )
    )


def plain(file: Path, out: Path) -> None:
    """The same columns, trimmed and cast, to one Parquet file; prints seconds and records."""
    con = duckdb.connect(config={"threads": 2, "memory_limit": "4GB"})
    names = ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS)
    typed = ", ".join(
        f"TRY_CAST(nullif(trim({name}), '') AS {TYPES.get(name, 'VARCHAR')}) AS {name}" for name in COLUMNS
    )
    began = time.perf_counter()
    row = con.execute(
        f"COPY (SELECT {typed} FROM read_csv('{file}', header = true, auto_detect = false, delim = ',', quote = '\"', "
        f"escape = '\"', columns = {{{names}}})) TO '{out}' (FORMAT parquet, COMPRESSION zstd)"
    ).fetchone()
    assert row
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu": sum(os.times()[:4]), "rows": row[0]}))


def put(landing: Path, resource: str, first: int, last: int, name: str = "a.csv") -> Path:
    """One delivery, complete with its manifest."""
    folder = landing / resource.replace(".", "/")
    folder.mkdir(parents=True, exist_ok=True)
    query = RECORDS.format(first=first, last=last)
    duckdb.execute(f"COPY ({query}) TO '{folder / name}' (HEADER)")
    (folder / f"{name}.manifest.json").write_text(json.dumps({"as_of": str(DAY), "rows": last - first}))
    return folder / name


def child(*arguments: object) -> list[str]:
    """The command that runs this module anew."""
    return [sys.executable, "-m", "benchmarks.ingest", *map(str, arguments)]


def large(scratch: Path, rows: int, repeat: int) -> dict[str, object]:
    """Both in turn on one file of `rows` records."""
    (resource,) = write_catalogue(scratch / "catalogue", 1, 1)
    made = put(scratch / "made", resource, 0, rows)
    mine, theirs, register, cpu, peak = [], [], [], [], 0
    for turn in range(repeat):
        home = scratch / f"home{turn}"
        shutil.copytree(scratch / "made", home / "landing")
        told, _, _ = watched(child("--plain", made, scratch / "plain.parquet"), scratch)
        theirs.append(json.loads(told)["seconds"])
        plain_cpu = json.loads(told)["cpu"]
        told, _, used = watched(child("--ours", home, scratch / "catalogue"), home)
        answer = json.loads(told)
        assert answer["rows"] == rows
        mine.append(answer["seconds"])
        register.append(answer["register_s"])
        cpu.append(answer["cpu"] / plain_cpu)
        peak = max(peak, used)
        shutil.rmtree(home)
    return {
        "rows": rows,
        "bytes": made.stat().st_size,
        "ours_s": round(statistics.median(mine), 2),
        "plain_s": round(statistics.median(theirs), 2),
        "ratio": round(statistics.median(mine) / statistics.median(theirs), 2),
        "cpu_ratio": round(statistics.median(cpu), 2),  # of processor time: says more on a busy machine
        "register_s": round(statistics.median(register), 2),
        "peak_mb": round(peak / 1e6),
    }


def small(scratch: Path, deliveries: int) -> dict[str, object]:
    """One pass over many small deliveries."""
    resources = write_catalogue(scratch / "catalogue", SMALL_DEPARTMENTS, deliveries)
    home = scratch / "home"
    for number, resource in enumerate(resources):
        put(home / "landing", resource, number * SMALL_ROWS, (number + 1) * SMALL_ROWS)
    told, _, peak = watched(child("--ours", home, scratch / "catalogue"), home)
    answer = json.loads(told)
    return {
        "deliveries": deliveries,
        "rows": answer["rows"],
        "ours_s": round(answer["seconds"], 2),
        "register_s": round(answer["register_s"], 2),
        "per_delivery_s": round(answer["seconds"] / deliveries, 3),
        "peak_mb": round(peak / 1e6),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--deliveries", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ours", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plain", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        return ours(*options.ours)
    if options.plain:
        return plain(*options.plain)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as folder:
        scratch = Path(folder)
        result = small(scratch, options.deliveries) if options.small else large(scratch, options.rows, options.repeat)
    tell(result, as_json=options.json)
    return None


if __name__ == "__main__":
    main()
