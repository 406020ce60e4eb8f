"""Real registrations of four provinces as the legal entities of a city, compared with divisions and outlines.

    python -m benchmarks.enterprises FOLDER [--json]

FOLDER holds `enterprises` (registrations of 2019), `divisions/areacodes/result.csv` (history of GB/T 2260) and
`boundaries` (outlines of some counties). Three departments speak of each enterprise, through our own catalogue:

    market_regulation   the registrar: `enterprises` as registered, the authority of all but the county; `numbers`, the
                        county that digits 3 to 8 of the credit code name, where a county had that code in 2019
    civil_affairs       `places`: the county that the address names, the authority of the county
    natural_resources   `outlines`: the county as the outline that covers it is called, where we hold one

Told are the entities, each attribute's outcomes, who agrees, coverage, and how many credit codes our rule accuses: all
of them are right. A credit code that names another county than the address is no error: it keeps the registrar it
was given by, so the two are compared as information only.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from assets import base, deliveries, pools, quality
from assets.report_libraries import collect_library
from catalog.load import load_catalog
from quality_checks import macros
from quality_checks.macros import quote
from resources.city import City

DAY = date(2019, 5, 1)
DEPARTMENTS = ("civil_affairs", "market_regulation", "natural_resources")
DEPARTMENT = """
title: {{zh: {name}, en: {name}}}
code: "1134150000316{number:03d}XA"
sharing_office: x
chief_data_officer: x
"""
RESOURCE = """
title: {{zh: {name}, en: {name}}}
summary: what is said of the enterprises of four provinces
code: "1/01/001/{number:06d}"
cycle: monthly
mode: full
key: [uscc]
describes: {{library: legal_entity, by: uscc}}
sharing: {{attribute: unconditional}}
opening: {{class: unconditional}}
published: 2019-01-01
missing: ["N/A", "-"]
columns:
  uscc: {{title: 统一社会信用代码, identifier: uscc, required: true}}
{columns}
supplies: {supplies}
"""
# 100(万元), 18,000(万元), 986(万), 500万元人民币 -> 万元; another currency is no such number
CAPITAL = (
    "case when regexp_full_match(capital, '[0-9.,]+[(]?万(元|人民币|元人民币|人民币元)?[)]?')"
    " then replace(regexp_extract(capital, '[0-9.,]+'), ',', '') end"
)
TABLES = {  # resource -> columns of its deliveries beside the credit code, with their types; what it supplies
    "civil_affairs.places": (
        {"division": "text", "county": "text"},
        {"division": "division", "county": "county"},
    ),
    "market_regulation.enterprises": (
        {"name": "text", "founded_on": "date", "capital": "text", "address": "text"},
        {"name": "name", "founded_on": "founded_on", "capital": CAPITAL, "address": "address"},
    ),
    "market_regulation.numbers": ({"division": "text"}, {"division": "division"}),
    "natural_resources.outlines": ({"county": "text"}, {"county": "county"}),
}
LIBRARY = """
title: {zh: 法人基础库, en: Legal entities}
summary: every enterprise that somebody speaks of
lead: market_regulation
entity: legal entity
key: uscc
key_title: 统一社会信用代码
key_level: public
key_normal: uscc_normal(value)
attributes:
  name:       {title: 名称, type: text, authority: market_regulation}
  founded_on: {title: 成立日期, type: date, authority: market_regulation}
  capital:    {title: 注册资本（万元）, type: decimal, authority: market_regulation}
  address:    {title: 住所, type: text, authority: market_regulation}
  division:   {title: 住所区划, type: text, authority: civil_affairs, compare: info}
  county:     {title: 县（市、区）, type: text, authority: civil_affairs}
coverage:
  located:
    zh: 住所应写明县（市、区）
    en: Every address names a county
    of: market_regulation.enterprises
    in: civil_affairs.places
  numbered:
    zh: 信用代码第3至8位应为当时在用的县级代码
    en: Digits 3 to 8 of the credit code were the code of a county
    of: market_regulation.enterprises
    in: market_regulation.numbers
  outlined:
    zh: 已有界线的市，其每个县都应有界线
    en: Where a city's outlines are held, each of its counties has one
    of: civil_affairs.places
    in: natural_resources.outlines
    when: left(division, 4) in ({cities})
"""
COUNTIES = """
    CREATE TABLE counties AS
    SELECT 代码 AS code, 一级行政区 AS province, 二级行政区 AS city, 名称 AS county
    FROM read_csv({history}, header = true, all_varchar = true)
    WHERE 级别 = '县级' AND 启用时间::INTEGER <= 2019 AND coalesce("变更/弃用时间"::INTEGER, 9999) > 2019"""
ENTERPRISES = """
    CREATE TABLE enterprises AS
    SELECT 统一社会信用代码 AS uscc, 企业名称 AS name, 注册日期 AS founded_on, 注册资金 AS capital, 注册地址 AS address,
           所在省份 AS province, 地区 AS city
    FROM read_csv({files}, header = true, all_varchar = true, union_by_name = true)"""
PLACES = """
    CREATE TABLE places AS
    SELECT e.uscc, max_by(c.code, length(c.county)) AS division, max_by(c.county, length(c.county)) AS county
    FROM enterprises e JOIN counties c
      ON starts_with(c.province, e.province) AND contains(e.address, c.county)
     AND (starts_with(c.city, e.city) OR left(c.code, 2) = '50')  -- in Chongqing the second level is no city
    GROUP BY e.uscc"""
OUTLINES = """
    CREATE TABLE outlines AS
    SELECT DISTINCT (f.properties ->> 'adcode') AS code, f.properties ->> 'name' AS county
    FROM (SELECT unnest(features) AS f
          FROM read_json({files}, columns = {{features: 'STRUCT(properties JSON)[]'}},
                         maximum_object_size = 100000000))"""
DELIVERED = {
    "civil_affairs.places": "SELECT uscc, division, county FROM places",
    "market_regulation.enterprises": "SELECT uscc, name, founded_on, capital, address FROM enterprises",
    "market_regulation.numbers": "SELECT uscc, substr(uscc, 3, 6) AS division FROM enterprises"
    " WHERE substr(uscc, 3, 6) IN (SELECT code FROM counties)",
    "natural_resources.outlines": "SELECT p.uscc, o.county FROM places p JOIN outlines o ON o.code = p.division",
}


def main() -> None:
    """Build the library and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(given.folder, Path(scratch))
    if given.json:
        print(json.dumps(found, ensure_ascii=False))
        return
    print(
        f"{found['enterprises']} enterprises, {found['entities']} legal entities, {found['cpu_s']} s of processor time"
    )
    print(f"  credit codes accused: {found['codes_accused']}")
    for told in ("outcomes", "agreement", "coverage"):
        for name, counts in found[told].items():
            print(f"  {told:10} {name:42} " + ", ".join(f"{count} {word}" for word, count in counts.items()))


def measure(folder: Path, scratch: Path) -> dict[str, Any]:
    """What `--json` prints."""
    catalogue, home = scratch / "catalogue", scratch / "home"
    delivered = _write(folder, catalogue, home / "landing")
    began = time.process_time()
    with City.open(home, load_catalog(catalogue), prelude=macros.SQL, threads=2) as city:
        library = city.catalog.libraries["legal_entity"]
        city.lake.apply_catalog()
        deliveries.register(city)
        for department in DEPARTMENTS:
            for loaded in pools.load(city, department, DAY, author="benchmark"):
                assert loaded.rows_quarantined == 0, loaded
        registrar = city.catalog.resources["market_regulation.enterprises"]
        results = quality.check_pool(city, registrar, DAY, author="benchmark")
        base.build(city, library, DAY, author="benchmark")
        figure = collect_library(city.con, city.catalog, library)
    return {
        "enterprises": delivered,
        "entities": figure.entities,
        "codes_accused": sum(one.failed for one in results if one.rule_id.endswith(".uscc.identifier")),
        "outcomes": {
            one.name: {outcome or "without value": count for outcome, count in one.outcomes.items()}
            for one in figure.attributes
        },
        "agreement": {
            f"{said.attribute} of {said.department}.{said.resource}": {
                "agree": said.agrees, "differ": said.differs, "missing": said.silent
            }
            for one in figure.attributes
            for said in one.said
        },
        "coverage": {
            one.pair: {"known": one.numerator, "expected": one.denominator, "missing": one.denominator - one.numerator}
            for one in figure.covered
        },
        "cpu_s": round(time.process_time() - began, 1),
    }  # fmt: skip


def _write(folder: Path, catalogue: Path, landing: Path) -> int:
    """The catalogue and one delivery of each resource; how many enterprises there are."""
    with duckdb.connect() as con:
        con.execute(COUNTIES.format(history=quote(str(folder / "divisions" / "areacodes" / "result.csv"))))
        con.execute(ENTERPRISES.format(files=quote(str(folder / "enterprises" / "*.csv"))))
        con.execute(PLACES)
        con.execute(OUTLINES.format(files=quote(str(folder / "boundaries" / "*.json"))))
        cities = con.execute("SELECT DISTINCT '''' || left(code, 4) || '''' FROM outlines ORDER BY ALL").fetchall()
        for resource, query in DELIVERED.items():
            department, table = resource.split(".")
            file = landing / department / table / f"{table}.csv"
            file.parent.mkdir(parents=True)
            con.execute(f"COPY ({query} ORDER BY uscc) TO {quote(str(file))} (HEADER)")
            file.with_name(f"{table}.csv.manifest.json").write_text(json.dumps({"as_of": str(DAY)}))
        [(enterprises,)] = con.execute("SELECT count(*) FROM enterprises").fetchall()
    for number, department in enumerate(DEPARTMENTS):
        described = catalogue / "departments" / department
        described.mkdir(parents=True)
        (described / "department.yaml").write_text(DEPARTMENT.format(name=department, number=number))
    for number, (resource, (columns, supplies)) in enumerate(TABLES.items(), 1):
        department, table = resource.split(".")
        listed = "\n".join(f"  {name}: {{title: {name}, type: {kind}}}" for name, kind in columns.items())
        text = RESOURCE.format(name=table, number=number, columns=listed, supplies=json.dumps(supplies))
        (catalogue / "departments" / department / f"{table}.yaml").write_text(text)
    (catalogue / "libraries").mkdir()
    library = LIBRARY.replace("{cities}", ", ".join(city for (city,) in cities))
    (catalogue / "libraries" / "legal_entity.yaml").write_text(library)
    return int(enterprises)


if __name__ == "__main__":
    main()
