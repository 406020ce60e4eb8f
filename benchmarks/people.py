"""Made people, one in a hundred of whom breaks a rule or two, and a city whose only pool holds them.

What `benchmarks.validate` and the engines beside it judge: twelve row rules, section P of the starter catalogue.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import date
from pathlib import Path

import duckdb

from benchmarks.ingest import DEPARTMENT
from quality_checks import macros

DAY = date(2026, 11, 2)
THREADS = 2
PEOPLE = "police.people"
# One in a hundred: a wrong check digit, a date of birth of another person, no name, an unknown nation, a short phone.
RECORDS = """
    with body as (
        select i, (341502 + i // 33000000)::varchar
               || strftime(date '1930-01-01' + (i * 13 % 33000)::int, '%Y%m%d')
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


def write_people(file: Path, rows: int) -> None:
    """So many people as one Parquet file."""
    with duckdb.connect(config={"threads": THREADS}) as con:
        con.execute(macros.SQL)
        con.execute(f"COPY ({RECORDS.format(rows=rows)}) TO '{file}' (FORMAT parquet)")


def load(home: Path, catalogue: Path, people: Path) -> None:
    """A home whose pool holds the people of the file, loaded as every delivery is."""
    from assets import deliveries, pools  # noqa: PLC0415  # the processes that are timed need not import them
    from catalog.load import load_catalog  # noqa: PLC0415
    from resources.city import City  # noqa: PLC0415

    folder = home / "landing" / "police" / "people"
    folder.mkdir(parents=True)
    shutil.copyfile(people, folder / "people.parquet")
    rows = duckdb.read_parquet(str(people)).count("*").fetchall()[0][0]
    (folder / "people.parquet.manifest.json").write_text(json.dumps({"as_of": str(DAY), "rows": rows}))
    with City.open(home, load_catalog(catalogue), threads=THREADS) as city:
        city.lake.apply_catalog()
        deliveries.register(city)
        [result] = pools.load(city, "police", DAY, author="benchmark")
        assert result.rows_pooled == rows, result


def restore(home: Path) -> None:
    """Bring a home whose server has stopped to what it was at the first call."""
    kept = home.with_name(f"{home.name}.kept")
    if kept.exists():
        shutil.rmtree(home)
    else:
        home.rename(kept)
    subprocess.run(["cp", "-a", kept, home], check=True)
