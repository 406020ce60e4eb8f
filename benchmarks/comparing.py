"""Sources compared with their library against the raw join of the same two tables: `benchmarks.validate --join`.

So many people as a department that is no authority states them, one name in a hundred differing, and as many as the
police, the authority, state. Ours is what `assets.base.arbitrate` spends on comparing once it has brought the people
together, `quality_checks.comparison`: every record that disagrees as a violation, and counts of compared records. Raw
is one DuckDB query that joins the pool with the library on the key as it stands and counts the names that differ;
`plain_normal_s` joins on its normal form, since records may write a number otherwise than the library.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import duckdb

from assets import base
from benchmarks.people import DAY, THREADS
from catalog.columns import Column
from catalog.load import Catalog
from catalog.models import Attribute, Department, Library, Resource
from quality_checks import comparison, macros
from quality_checks.disputes import disputed_in, gather
from quality_checks.sources import key_macro, prepared
from resources.lake import FINDINGS

LIBRARY = "base.population"
_PEOPLE = """
    create table {department}.people as
    select id_number, case when i % 100 = {odd} then name || '某' else name end as name, id_number as _record_key,
           '{department}' as _delivery_id, date '{day}' as _as_of
    from (select i, '341502' || strftime(date '1930-01-01' + (i * 13 % 33000)::int, '%Y%m%d')
                 || lpad((i // 33000 % 10000)::varchar, 4, '0') as id_number,
                 ['张', '王', '李', '赵', '陈'][1 + i % 5] || ['伟', '芳', '娜', '秀英', '敏'][1 + i % 6 % 5] as name
          from range({rows}) t(i))
    order by hash(i, '{department}')
"""


def _catalog() -> Catalog:
    departments, resources = {}, {}
    for name in ("civil", "police"):
        title = {"zh": name, "en": name}
        departments[name] = Department(name=name, title=title, code="x", sharing_office="x", chief_data_officer="x")
        resources[f"{name}.people"] = Resource(
            department=name,
            name="people",
            title=title,
            summary="x",
            code="1/01/001/000001",
            cycle="daily",
            mode="full",
            key=("id_number",),
            describes={"library": "population", "by": "id_number"},
            sharing={"attribute": "unconditional"},
            opening={"class": "none", "reason": "x"},
            published="2026-01-01",
            columns={
                "id_number": Column(title="证件号码", type="text", required=True),
                "name": Column(title="姓名", type="text"),
            },
            supplies={"name": "name"},
        )
    library = Library(
        name="population",
        title={"zh": "人口库", "en": "Population"},
        summary="x",
        lead="police",
        entity="person",
        key="id_number",
        key_title="证件号码",
        key_normal="person_id_normal(value)",
        attributes={"name": Attribute(title="姓名", type="text", authority="police")},
    )
    return Catalog(Path(), departments, resources, {library.name: library}, {}, {}, {})


def joined(scratch: Path, rows: int, repeat: int) -> dict[str, object]:
    """Both in turn on one connection; they must find the same."""
    catalog = _catalog()
    library = catalog.libraries["population"]
    limits = {"threads": THREADS, "memory_limit": "3GB", "temp_directory": str(scratch / "spill")}
    with duckdb.connect(str(scratch / "city.duckdb"), config=limits) as con:
        con.execute(macros.SQL)
        con.execute("create schema quality; create table quality.excepted (finding_id varchar)")
        con.execute(
            f"create table quality.findings ({', '.join(f'{macros.name(c)} {t}' for c, t in FINDINGS.items())})"
        )
        for department, odd in {"civil": 7, "police": -1}.items():
            con.execute(f"create schema {department}")
            con.execute(_PEOPLE.format(department=department, odd=odd, rows=rows, day=DAY))
        disputed = base.arbitrate(con, catalog, library)
        con.execute("create schema base")
        con.execute(f"create table {LIBRARY} as {base.table_sql(catalog, library, disputed)}")
        witnesses = prepared(con, catalog, library)
        said = f"({base.statements_sql(library, witnesses)})"
        ours, plain, normal = [], [], []
        for _ in range(repeat):
            plain.append(_raw(con, "s.id_number", rows))
            normal.append(_raw(con, f"{key_macro(library)}(s.id_number)", rows))
            began = time.perf_counter()
            found = disputed_in(con, library, base.ENTITIES)
            gather(con, list(found), base.ENTITIES, said)
            comparison.compare(con, catalog, witnesses, found, entities=base.ENTITIES)
            results = comparison.results(con, catalog, library, LIBRARY)
            ours.append(time.perf_counter() - began)
            [result] = [r for r in results if (r.department, r.rule_id) == ("civil", "population.name.agrees")]
            assert (result.applicable, result.failed) == (rows, rows // 100), result
    return {
        "rows": rows,
        "failing": rows // 100,
        "ours_s": round(statistics.median(ours), 2),
        "plain_s": round(statistics.median(plain), 2),
        "plain_normal_s": round(statistics.median(normal), 2),
        "ratio": round(statistics.median(ours) / statistics.median(plain), 2),
        "ratio_normal": round(statistics.median(ours) / statistics.median(normal), 2),
    }


def _raw(con: duckdb.DuckDBPyConnection, key: str, rows: int) -> float:
    """Seconds of the raw join on the pool's key."""
    began = time.perf_counter()
    query = f"select count(*), count_if(s.name <> e.name) from civil.people s join {LIBRARY} e on e.id_number = {key}"
    assert con.execute(query).fetchone() == (rows, rows // 100)
    return time.perf_counter() - began
