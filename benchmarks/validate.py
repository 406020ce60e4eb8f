"""Validating a large pool against the hand-written DuckDB queries for the same checks, interleaved.

    python -m benchmarks.validate [--rows N] [--repeat N] [--json]
    python -m benchmarks.validate --small [--repeat N] [--json]

Person records of which one in a hundred breaks a rule or two: twelve row rules (section P of the starter catalogue on
number, name, sex, birth, address, nation, phone and time of update) beside uniqueness, freshness and volume. Ours is
the suite run by Great Expectations, every failing row kept as a finding of the lake, and the judgement of the delivery.
By hand it is one aggregate query, one that writes every failing row with its rule and value, and three about the key,
the newest record and the number of rows, all on the very files of the pool. The clock starts after the imports;
`whole_s` is the process from its start. `--small`: one table of a hundred rows and twenty rules.
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

from benchmarks.ingest import DEPARTMENT
from benchmarks.whole_city import ROOT, tell, watched
from quality_checks import macros

DAY = date(2026, 11, 2)
THREADS = 2
PEOPLE = "police.people"
SMALL_RULES = 20
# One in a hundred: a wrong check digit, a date of birth of another person, no name, an unknown nation, a short phone.
RECORDS = """
    with body as (
        select i, '341502' || strftime(date '1930-01-01' + (i * 13 % 33000)::int, '%Y%m%d')
               || lpad((i // 33000 % 1000)::varchar, 3, '0') as body
        from range({rows}) t(i)),
    numbered as (
        select i, body || id_check_digit(body) as id, date '1930-01-01' + (i * 13 % 33000)::int as birth from body)
    select case when i % 500 = 7 then left(id, 17) || chr(49 + ((ascii(right(id, 1)) + 3) % 9)::int)
                else id end as id_number,
           case when i % 500 = 107 then '未知' when i % 1000 = 108 then null
                else ['张', '王', '李', '赵', '陈'][1 + i % 5] || ['伟', '芳', '娜', '秀英', '敏'][1 + i % 6 % 5]
           end as name,
           id_sex(id) as sex,
           case when i % 500 = 207 then birth + 1 else birth end as birth_date,
           case when i % 500 = 307 then '99' else lpad((1 + i % 56)::varchar, 2, '0') end as nation,
           '安徽省六安市金安区解放路' || (i % 5000) || '号' as address,
           case when i % 500 = 407 then '12345' else '1' || (3 + i % 7) || lpad((i % 1000000000)::varchar, 9, '0') end
               as phone,
           timestamp '2026-01-01' + to_seconds((i * 37 % 26000000)::bigint) as updated_at
    from numbered
"""
ROW_RULES = {
    "P01": ("id_number", "id_number is not null", "true"),
    "P02": ("id_number", "person_id_ok(id_number)", "true"),
    "P03": ("birth_date", "birth_date = id_birth_date(id_number)", "person_id_ok(id_number)"),
    "P04": ("sex", "sex = id_sex(id_number)", "person_id_ok(id_number) and sex in ('1', '2')"),
    "P05": ("birth_date", "birth_date between date '1896-11-02' and date '2026-11-02'", "true"),
    "P09": ("name", "name_ok(name)", "true"),
    "name": ("name", "name is not null", "true"),
    "sex": ("sex", "sex in ('0', '1', '2', '9')", "true"),
    "nation": ("nation", "nation between '01' and '56'", "true"),
    "address": ("address", "length(address) between 6 and 200", "true"),
    "phone": ("phone", "regexp_full_match(phone, '1[3-9][0-9]{9}')", "true"),
    "updated": ("updated_at", "updated_at <= timestamp '2026-11-03'", "true"),
}
TABLE = """
title: {zh: 人口, en: People}
summary: one table of the benchmark
code: "1/01/001/000001"
cycle: daily
mode: full
key: [id_number]
sharing: {attribute: unconditional}
opening: {class: unconditional}
published: 2026-01-01
columns:
  id_number:  {title: 证件号码, type: text, required: true, level: sensitive}
  name:       {title: 姓名, type: text, level: personal}
  sex:        {title: 性别, type: text}
  birth_date: {title: 出生日期, type: date}
  nation:     {title: 民族, type: text}
  address:    {title: 住址, type: text, level: personal}
  phone:      {title: 电话, type: text, level: personal}
  updated_at: {title: 更新时间, type: timestamp}
rules:
"""
RULE = """
  - id: {id}
    that: "{that}"
    when: "{when}"
    column: {column}
    zh: 规则{id}
    en: rule {id}
    indicator: "0301"
    severity: error
    source: starter catalogue
"""


def write_catalogue(root: Path, rules: dict[str, tuple[str, str, str]]) -> None:
    """A catalogue of one department and one resource with these rules."""
    folder = root / "departments" / "police"
    folder.mkdir(parents=True)
    (folder / "department.yaml").write_text(DEPARTMENT.format(number=1))
    written = "".join(
        RULE.format(id=rule, column=column, that=that, when=when) for rule, (column, that, when) in rules.items()
    )
    (folder / "people.yaml").write_text(TABLE + written)


def load(home: Path, catalogue: Path, rows: int) -> None:
    """A home whose pool holds so many people, loaded as every delivery is."""
    from assets import deliveries, pools  # noqa: PLC0415  # the plain process need not import them
    from catalog.load import load_catalog  # noqa: PLC0415
    from resources.city import City  # noqa: PLC0415

    folder = home / "landing" / "police" / "people"
    folder.mkdir(parents=True)
    with duckdb.connect(config={"threads": THREADS}) as con:
        con.execute(macros.SQL)
        con.execute(f"COPY ({RECORDS.format(rows=rows)}) TO '{folder / 'people.parquet'}' (FORMAT parquet)")
    (folder / "people.parquet.manifest.json").write_text(json.dumps({"as_of": str(DAY), "rows": rows}))
    with City.open(home, load_catalog(catalogue), threads=THREADS) as city:
        city.lake.apply_catalog()
        deliveries.register(city)
        [result] = pools.load(city, "police", DAY, author="benchmark")
        assert result.rows_pooled == rows, result


def ours(home: Path, catalogue: Path) -> None:
    """Check the pool and its deliveries; prints seconds and the failing rows by rule."""
    from assets import quality  # noqa: PLC0415
    from catalog.load import load_catalog  # noqa: PLC0415
    from quality_checks import runner  # noqa: PLC0415
    from resources.city import City  # noqa: PLC0415

    runner._gx()
    catalog = load_catalog(catalogue)
    with City.open(home, catalog, threads=THREADS) as city:
        city.con.execute(macros.SQL)
        began = time.perf_counter()
        results = quality.check_pool(city, catalog.resources[PEOPLE], DAY, author="benchmark")
        results += quality.check_deliveries(city, DAY, author="benchmark")
        seconds = time.perf_counter() - began
        assert all(result.state == "ok" for result in results), results
        query = "select rule_id, count(*) from quality.findings where status = 'open' group by all order by all"
        found = dict(city.con.execute(query).fetchall())
    print(json.dumps({"seconds": seconds, "found": {r: n for r, n in found.items() if r in ROW_RULES}}))


def plain(files: Path, out: Path) -> None:
    """The same by hand; prints seconds and the failing rows by rule."""
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
    con.execute(f"select id_number, count(*) from {table} group by all having count(*) > 1").fetchall()
    con.execute(f"select max(updated_at) from {table}").fetchall()
    con.execute(f"select count(*) from {table}").fetchall()
    seconds = time.perf_counter() - began
    query = f"select rule, count(*) from '{out / 'failing.parquet'}' group by all order by all"
    print(json.dumps({"seconds": seconds, "found": dict(con.execute(query).fetchall())}))


def large(scratch: Path, rows: int, repeat: int) -> dict[str, object]:
    """Both in turn on one pool; they must find the same."""
    catalogue = scratch / "catalogue"
    write_catalogue(catalogue, ROW_RULES)
    mine, theirs, whole, peak, found = [], [], [], 0, {}
    for turn in range(repeat):
        home = scratch / f"home{turn}"
        watched(child("--load", home, catalogue, rows), scratch)
        told, _, _ = watched(child("--plain", home / "lake", scratch), scratch)
        by_hand = json.loads(told)
        theirs.append(by_hand["seconds"])
        told, seconds, used = watched(child("--ours", home, catalogue), home)
        answer = json.loads(told)
        assert answer["found"] == by_hand["found"], (answer, by_hand)
        found = answer["found"]
        mine.append(answer["seconds"])
        whole.append(seconds)
        peak = max(peak, used)
        shutil.rmtree(home)
    return {
        "rows": rows,
        "failing": sum(found.values()),
        "ours_s": round(statistics.median(mine), 2),
        "plain_s": round(statistics.median(theirs), 2),
        "ratio": round(statistics.median(mine) / statistics.median(theirs), 2),
        "whole_s": round(statistics.median(whole), 2),
        "peak_mb": round(peak / 1e6),
    }


def small(scratch: Path, repeat: int) -> dict[str, object]:
    """What one suite of twenty rules costs on a small table."""
    home, catalogue = scratch / "home", scratch / "catalogue"
    twenty = [(f"{rule}-{n}", said) for n in range(2) for rule, said in ROW_RULES.items()][:SMALL_RULES]
    write_catalogue(catalogue, dict(twenty))
    watched(child("--load", home, catalogue, 100), scratch)
    mine = []
    for _ in range(repeat):
        told, _, _ = watched(child("--ours", home, catalogue), home)
        mine.append(json.loads(told)["seconds"])
    return {"rows": 100, "rules": SMALL_RULES, "ours_s": round(statistics.median(mine), 3)}


def child(*arguments: object) -> list[str]:
    """The command that runs this module anew."""
    return [sys.executable, "-m", "benchmarks.validate", *map(str, arguments)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--ours", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plain", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        home, catalogue, rows = options.load
        return load(Path(home), Path(catalogue), int(rows))
    if options.ours:
        return ours(*options.ours)
    if options.plain:
        return plain(*options.plain)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as folder:
        scratch = Path(folder)
        result = small(scratch, options.repeat) if options.small else large(scratch, options.rows, options.repeat)
    tell(result, as_json=options.json)
    return None


if __name__ == "__main__":
    main()
