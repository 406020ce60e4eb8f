"""Thirty-eight web sites that state the times of the same flights, arbitrated as thirty-eight departments of a city.

    python -m benchmarks.flights FOLDER [--json]

FOLDER holds `dirty.csv` and `clean.csv` of the data set flights (Raha, HoloClean). Every site is a department with one
resource, delivered as a file, pooled and arbitrated by a library of our own catalogue. Told is the share of (flight,
attribute) whose value in the library is the time of the clean copy, which is used for counting only:

    majority      no attribute has an authority, every site has a vote
    independent   the same after `measure`: a group of sites that share errors has one vote
    authority     each airline's own site has the say on its flights; of the others the majority

and the groups of sites that share errors, measured without an authority and with it, each with the pair that tells most
of it. Times are compared as hours and minutes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from assets import base, deliveries, pools
from assets.independence import measure as measure_sources
from catalog.load import Catalog, load_catalog
from quality_checks import independence, macros
from quality_checks.independence import Pair
from quality_checks.macros import quote
from resources.city import City

DAY = date(2011, 12, 1)
ATTRIBUTES = ("sched_dep_time", "act_dep_time", "sched_arr_time", "act_arr_time")
AIRLINES = {"AA": "aa", "UA": "ua", "CO": "co"}  # letters a flight's key begins with -> the airline's own site
NO_AUTHORITY = "null"
OWN_SITES = "{by: 'left(key, 2)', of: {" + ", ".join(f"{a}: {site}" for a, site in AIRLINES.items()) + "}}"
# 7:16 a.m., 11:06aDec 1, 12/1/11 3:20 p.m. (Estimated), 12:00noon -> 07:16, 11:06, 15:20, 12:00
HOUR, MINUTE = (f"regexp_extract(value, '([0-9]{{1,2}}):([0-9]{{2}})', {group})::INTEGER" for group in (1, 2))
NORMAL = (
    f"printf('%02d:%02d', CASE WHEN regexp_matches(value, ':[0-9]{{2}} *([pP]|noon)') THEN {HOUR} % 12 + 12"
    f" WHEN regexp_matches(value, ':[0-9]{{2}} *[aA]') THEN {HOUR} % 12 ELSE {HOUR} END, {MINUTE})"
)
DEPARTMENT = """
title: {{zh: {site}, en: {site}}}
code: "11341500003166{number:02d}XA"
sharing_office: x
chief_data_officer: x
"""
RESOURCE = """
title: {title}
summary: flight times as one web site states them
code: "1/01/001/{number}"
cycle: daily
mode: full
key: [flight]
describes: {library: flights, by: flight}
sharing: {attribute: unconditional}
opening: {class: unconditional}
published: 2011-11-01
columns:
  flight: {title: 航班, type: text, required: true}
"""
LIBRARY = """
title: {zh: 航班, en: Flights}
summary: every flight a site speaks of
lead: aa
entity: flight
key: flight
key_title: 航班
key_level: public
attributes:
"""


def main() -> None:
    """Arbitrate the flights three times and print what is right, and who copies."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(given.folder, Path(scratch))
    if given.json:
        print(json.dumps(found, ensure_ascii=False))
        return
    print(f"{found['cells']} times of {found['flights']} flights by {found['sites']} sites")
    for run in ("majority", "independent", "authority"):
        right = found[run]
        print(f"  {run:12} {right['right']} right, {right['share']:.4f}   {right['outcomes']}")
    for name in ("groups", "groups_by_authority"):
        print(name)
        for group in found[name]:
            print(f"  {' = '.join(group['sites'])}\n      {group['evidence']}")


def measure(folder: Path, scratch: Path) -> dict[str, Any]:
    """What `--json` prints."""
    catalogue, home = scratch / "catalogue", scratch / "home"
    sites = _write(folder / "dirty.csv", catalogue, home / "landing")
    found: dict[str, Any] = {}
    began = time.process_time()
    with City.open(home, _catalog(catalogue, NO_AUTHORITY), prelude=macros.SQL, threads=2) as city:
        city.lake.apply_catalog()
        deliveries.register(city)
        for site in sites:
            [loaded] = pools.load(city, site, DAY, author="benchmark")
            assert loaded.rows_quarantined == 0, loaded
        found["majority"] = _arbitrated(city, folder)
        pairs = measure_sources(city, city.catalog.libraries["flights"], DAY, author="benchmark")
        found["independent"] = _arbitrated(city, folder)
        flights = city.con.execute("SELECT count(*) FROM base.flights").fetchall()[0][0]
    with City.open(home, _catalog(catalogue, OWN_SITES), prelude=macros.SQL, threads=2) as city:
        found["authority"] = _arbitrated(city, folder)
        by_authority = measure_sources(city, city.catalog.libraries["flights"], DAY, author="benchmark")
    groups = {"groups": _groups(pairs), "groups_by_authority": _groups(by_authority)}
    counts = {"sites": len(sites), "flights": flights, "cells": flights * len(ATTRIBUTES)}
    return {**counts, **found, **groups, "cpu_s": round(time.process_time() - began, 1)}


def _write(dirty: Path, catalogue: Path, landing: Path) -> list[str]:
    """One department and one delivery per site; a department's name is the site's in small letters."""
    columns = "".join(f"  {a}: {{title: {a}, type: text}}\n" for a in ATTRIBUTES)
    said = "".join(f"  {a}: \"case when regexp_matches({a}, '[0-9]:[0-9]') then {a} end\"\n" for a in ATTRIBUTES)
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE dirty AS SELECT replace(lower(src), '-', '_') AS site, * EXCLUDE (src, tuple_id)"
            f" FROM read_csv({quote(str(dirty))}, header = true, all_varchar = true)"
        )
        sites = [str(site) for (site,) in con.execute("SELECT DISTINCT site FROM dirty ORDER BY site").fetchall()]
        for number, site in enumerate(sites):
            described = catalogue / "departments" / site
            described.mkdir(parents=True)
            (described / "department.yaml").write_text(DEPARTMENT.format(site=site, number=number))
            title = RESOURCE.replace("{title}", f"{{zh: {site}, en: {site}}}").replace("{number}", f"{number + 1:06d}")
            (described / "times.yaml").write_text(f"{title}{columns}supplies:\n{said}")
            delivered = landing / site / "times"
            delivered.mkdir(parents=True)
            file = delivered / "times.csv"
            con.execute(
                f"COPY (SELECT * EXCLUDE (site) FROM dirty WHERE site = {quote(site)}) TO {quote(str(file))} (HEADER)"
            )
            file.with_name("times.csv.manifest.json").write_text(json.dumps({"as_of": str(DAY)}))
    return sites


def _catalog(catalogue: Path, authority: str) -> Catalog:
    (catalogue / "libraries").mkdir(exist_ok=True)
    stated = f"authority: {authority}, otherwise: majority, normal: {json.dumps(NORMAL)}"
    attributes = "".join(f"  {a}: {{title: {a}, type: text, {stated}}}\n" for a in ATTRIBUTES)
    (catalogue / "libraries" / "flights.yaml").write_text(LIBRARY + attributes)
    return load_catalog(catalogue)


def _arbitrated(city: City, folder: Path) -> dict[str, object]:
    """Build the library and count its right values and its outcomes."""
    base.build(city, city.catalog.libraries["flights"], DAY, author="benchmark")
    clean = f"read_csv({quote(str(folder / 'clean.csv'))}, header = true, all_varchar = true)"
    city.con.execute(f"CREATE OR REPLACE TEMP MACRO told_time(value) AS ({NORMAL})")
    agreed = " + ".join(f"coalesce(told_time(b.{a}) = told_time(c.{a}), false)::INTEGER" for a in ATTRIBUTES)
    right = city.con.execute(
        f"SELECT sum({agreed})::BIGINT, count(*)"
        f" FROM (SELECT DISTINCT ON (flight) * FROM {clean}) c LEFT JOIN base.flights b USING (flight)"
    ).fetchall()[0]
    outcomes = city.con.execute(
        f"SELECT o, count(*) FROM (SELECT unnest([{', '.join(a + '_outcome' for a in ATTRIBUTES)}]) AS o"
        " FROM base.flights) WHERE o IS NOT NULL GROUP BY o ORDER BY o"
    ).fetchall()
    share = right[0] / (right[1] * len(ATTRIBUTES))
    return {"right": right[0], "share": round(share, 4), "outcomes": dict(outcomes)}


def _groups(pairs: Sequence[Pair]) -> list[dict[str, object]]:
    """Each group of sites with the pair in it that weighs most."""
    found: list[dict[str, object]] = []
    for sites in independence.members(pairs):
        heaviest = max((p for p in pairs if {p.one, p.other} <= set(sites)), key=lambda p: p.weight)
        told = f"{heaviest.other} repeats {heaviest.shared} of {heaviest.errors} errors of {heaviest.one}"
        named = [site.removesuffix(".times") for site in sites]
        found.append({"sites": named, "evidence": f"{told}; by chance at most {heaviest.expected}"})
    return found


if __name__ == "__main__":
    main()
