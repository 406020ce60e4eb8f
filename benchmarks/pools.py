"""Made people as eight departments' pools state them, and the catalogue of the library that arbitrates them.

Shared by `benchmarks.arbitrate` and `benchmarks.increment`. Four records a person: the police know everybody, the
others some. One value in a hundred is wrong, one name in a hundred has a blank too many, one key in two hundred as
well; of addresses and telephone numbers it is one in twenty. One record in two hundred has an open finding on its name.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NamedTuple

from duckdb import DuckDBPyConnection

from catalog.columns import Column
from catalog.load import Catalog
from catalog.models import Department, Library, Resource
from resources.lake import FINDINGS, quoted

DAY = date(2026, 11, 2)
RECORDS_PER_PERSON = 4


class Pool(NamedTuple):
    """A department's pool: thousandths of all people it knows, and has two records of, and what it states."""

    share: int
    twice: int
    attributes: tuple[str, ...]


PERSON = ("id_type", "name", "sex", "birth_date")
POOLS = {
    "police": Pool(
        1000, 0, ("id_type", "name", "sex", "birth_date", "ethnic_group", "marital_status", "address", "division")
    ),
    "health": Pool(
        800, 0, ("id_type", "name", "sex", "birth_date", "ethnic_group", "address", "division", "phone", "death_date")
    ),
    "insurance": Pool(700, 0, (*PERSON, "phone", "employer")),
    "labour": Pool(500, 0, (*PERSON, "phone", "employer", "education")),
    "civil": Pool(300, 0, ("name", "sex", "birth_date", "marital_status", "death_date")),
    "school": Pool(300, 0, ("name", "sex", "birth_date", "ethnic_group", "education", "address", "division")),
    "transport": Pool(150, 50, ("name", "birth_date", "phone", "address")),
    "welfare": Pool(200, 0, (*PERSON, "address", "division")),
}
# What each attribute's YAML says, its type, and how a value is made of the person's number `i`.
ATTRIBUTES: dict[str, tuple[dict[str, object], str, str]] = {
    "id_type": ({"authority": "police", "substitutes": ("health", "labour")}, "text", "'111'"),
    "name": (
        {"authority": "police", "substitutes": ("civil", "health"), "normal": "text_normal(value)"},
        "text",
        "['张', '王', '李', '赵', '陈'][1 + i % 5] || ['伟', '芳', '娜', '秀英', '敏', '静'][1 + i // 7 % 6]",
    ),
    "sex": ({"authority": "police", "substitutes": ("health",)}, "text", "(1 + i % 2)::varchar"),
    "birth_date": (
        {"authority": "police", "substitutes": ("health",)},
        "date",
        "date '1930-01-01' + (i * 13 % 33000)::int",
    ),
    "ethnic_group": (
        {"authority": "police", "substitutes": ("health",)},
        "text",
        "lpad((1 + i % 56)::varchar, 2, '0')",
    ),
    "marital_status": ({"authority": "civil", "substitutes": ("police",)}, "text", "(10 * (1 + i % 4))::varchar"),
    "address": (
        {"authority": "police", "substitutes": ("welfare", "health"), "normal": "text_normal(value)"},
        "text",
        "'安徽省六安市金安区解放路' || (i % 5000) || '号' || (i // 5000 % 900) || '室'",
    ),
    "division": ({"authority": "police", "substitutes": ("welfare",)}, "text", "(341500 + i % 25)::varchar"),
    "phone": (
        {"authority": None, "substitutes": ("insurance", "labour"), "compare": None},
        "text",
        "(13000000000 + i)::varchar",
    ),
    "employer": ({"authority": None}, "text", "'六安市第' || (i % 20000) || '有限公司'"),
    "education": ({"authority": "school", "substitutes": ("labour",)}, "text", "(10 * (1 + i % 9))::varchar"),
    "death_date": (
        {"authority": "civil", "substitutes": ("health",)},
        "date",
        "case when i % 97 = 0 then date '2020-01-01' + (i % 2000)::int end",
    ),
}


def catalog() -> Catalog:
    """A catalogue of the pools and their library `population`."""
    departments, resources = {}, {}
    for number, (department, pool) in enumerate(POOLS.items()):
        title = {"zh": department, "en": department}
        departments[department] = Department(
            name=department, title=title, code="x", sharing_office="x", chief_data_officer="x"
        )
        stated = {name: Column(title=name, type=ATTRIBUTES[name][1]) for name in pool.attributes}
        resources[f"{department}.people"] = Resource(
            department=department,
            name="people",
            title=title,
            summary="x",
            code=f"1/01/001/{number:06}",
            cycle="daily",
            mode="incremental",
            key=("record",),
            describes={"library": "population", "by": "id_number"},
            sharing={"attribute": "unconditional"},
            opening={"class": "none", "reason": "x"},
            published="2026-01-01",
            columns={
                "record": Column(title="记录", type="text", required=True),
                "id_number": Column(title="证件号码", type="text", required=True),
                **stated,
            },
            supplies={name: name for name in pool.attributes},
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
        attributes={name: {"title": name, "type": kind, **said} for name, (said, kind, _) in ATTRIBUTES.items()},
        begins="birth_date",
        ends="death_date",
    )
    return Catalog(Path(), departments, dict(sorted(resources.items())), {library.name: library}, {}, {}, {})


def records_sql(department: str, people: int) -> str:
    """Query: the pool of a department, all its columns, in an order of its own."""
    pool = POOLS[department]
    values = ", ".join(f"{_stated(name, department)} as {name}" for name in pool.attributes)
    known = f"hash(i, '{department}') % 1000 < {pool.share}"
    again = f"hash(i, '{department}') % 1000 < {pool.twice}"
    number = (
        "'341502' || strftime(date '1930-01-01' + (i * 13 % 33000)::int, '%Y%m%d')"
        " || lpad((i // 33000 % 10000)::varchar, 4, '0')"
    )
    everybody = f"select (j * 2654435761 + {len(department)}) % {people} as i from range({people}) t(j)"
    records = f"select i, 0 as n from ({everybody}) where {known}"
    if pool.twice:
        records += f" union all select i, 1 as n from ({everybody}) where {again}"
    made = f"select {number} as number, n, i, {values} from ({records})"
    listed = ", ".join(pool.attributes)
    return (
        "select number || '-' || n as record,"
        f" case when hash(i, n, 'blank') % 200 = 0 then number || ' ' else number end as id_number, {listed},"
        f" number || '-' || n as _record_key, '{department}-' || (i % 30) as _delivery_id, i as _row,"
        f" date '{DAY}' - (hash(i, n) % 30)::int as _as_of, 1::integer as _copies, null::map(varchar, varchar) as _raw,"
        f" hash(number, n, {listed}) as _hash from ({made})"
    )


def fill(con: DuckDBPyConnection, people: int) -> None:
    """The pools as tables `<department>.people` and their open findings as `quality.findings`, in schemas made here."""
    con.execute("create schema quality; create table quality.excepted (finding_id varchar)")
    columns = ", ".join(f"{quoted(column)} {kind}" for column, kind in FINDINGS.items())
    con.execute(f"create table quality.findings ({columns})")
    for department, pool in POOLS.items():
        con.execute(f"create schema {department}")
        con.execute(f"create table {department}.people as {records_sql(department, people)}")
        if "name" in pool.attributes:
            con.execute(finding_sql(department))


def finding_sql(department: str) -> str:
    """SQL that writes a department's open findings."""
    return (
        f"insert into quality.findings by name select 'R1' as rule_id, '{department}' as department,"
        " 'people' as resource, _record_key as record_key, 'name' as \"column\", 'error' as severity,"
        f" 'open' as status from {department}.people where hash(_record_key, 'finding') % 200 = 0"
    )


def _stated(attribute: str, department: str) -> str:
    """The value as the department states it."""
    _, kind, value = ATTRIBUTES[attribute]
    dice = f"hash(i, n, '{department} {attribute}') % 1000"
    slip = f"hash(i, '{department}') % 20"
    wrong = f"({value}) + 1 + ({slip})::int" if kind == "date" else f"left({value}, 1) || '误' || {slip}"
    if attribute in ("phone", "address"):  # these differ more often
        dice = f"hash(i, n, '{department} {attribute}') % 200"
    other = "" if kind == "date" or attribute not in ("name", "address") else f" when {dice} < 20 then ({value}) || ' '"
    return f"case when {dice} < 10 then {wrong}{other} else {value} end"
