"""The fictional city as tables: its truth, and what each department knows of it when nobody makes a mistake.

`people.sql` and `entities.sql` invent the city, `feeds.sql` says each resource as a query over it. Add a resource
there, as one section; a section gives at least the declared columns, and more by these names:
`n` (unique, the order of the file), `entity` (whom the record is about), `free` (may take a defect) and, where some
are, `alone` (no other register speaks of the entity), `first_day` and `last_day` (between which days of business the
record stands so; a change is two records of one key). What happens to whom is `life.sql`; an entity it tells of takes
no defect. Mistakes are `plants`, time is `stories`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from importlib.resources import files

import duckdb

from catalog.load import Catalog
from catalog.models import Resource
from demo.writers import FORMATS, Format
from quality_checks.macros import name, quote

ALWAYS = 1_000_000  # the last day of a record that stands for ever
_SECTION = re.compile(r"^-- @ (\S+) (\S+)$", re.MULTILINE)


class DemoError(Exception):
    """The demo city cannot tell a resource the catalogue declares."""


@dataclass(frozen=True)
class Feed:
    """One resource the city can deliver; `table` holds its clean records, all declared columns as text.

    Besides the declared columns the table has `_n`, `_row` (place in the file of the first day), `_entity`, `_free`,
    `_alone`, `_first` and `_last` (days between which it stands) and `_key` (record key). `changes`: not all stand from
    the first day on.
    """

    resource: Resource
    kind: Format
    rows: int
    changes: bool = False

    @property
    def table(self) -> str:
        return f"feed.{name(self.resource.id)}"


def build(con: duckdb.DuckDBPyConnection, catalog: Catalog, *, people: int, seed: int, start: date) -> list[Feed]:
    """Invent the city and say every resource of the catalogue it knows, smallest first.

    Raises:
        DemoError: a section does not give a declared column.
    """
    con.execute("SET VARIABLE people = ?::BIGINT", [people])
    con.execute("SET VARIABLE seed = ?::BIGINT", [seed])
    con.execute("SET VARIABLE start = ?::DATE", [start])
    _code_lists(con, catalog)
    con.execute("CREATE TABLE department (name VARCHAR, title VARCHAR, code VARCHAR)")
    con.executemany(
        "INSERT INTO department VALUES (?, ?, ?)", [[d.name, d.title.zh, d.code] for d in catalog.departments.values()]
    )
    for part in ("vocabulary", "places", "people", "entities", "life"):
        con.execute(_text(part))
    con.execute("CREATE SCHEMA feed")
    feeds = [
        _say(con, catalog.resources[known], kind, query)
        for known, (kind, query) in sections().items()
        if known in catalog.resources
    ]
    return sorted(feeds, key=lambda feed: (feed.rows, feed.resource.id))


def sections() -> dict[str, tuple[Format, str]]:
    """Format and query of each resource that `feeds.sql` can say."""
    parts = _SECTION.split(_text("feeds"))
    found: dict[str, tuple[Format, str]] = {}
    for resource, kind, query in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        match = next((known for known in FORMATS if known == kind), None)
        if match is None:
            raise DemoError(f"feeds.sql: {resource}: format {kind} is not one of {', '.join(FORMATS)}")
        found[resource] = (match, query.strip().rstrip(";"))
    return found


def _say(con: duckdb.DuckDBPyConnection, resource: Resource, kind: Format, query: str) -> Feed:
    given = con.sql(query).columns
    twice = sorted({column for column in given if f"{column}_1" in given or given.count(column) > 1})
    if twice:
        raise DemoError(f"feeds.sql: {resource.id} gives twice: {', '.join(twice)}")
    missing = ({"n", "entity", "free"} | set(resource.columns)) - set(given)
    if missing:
        raise DemoError(f"feeds.sql: {resource.id} does not give: {', '.join(sorted(missing))}")
    columns = ", ".join(f"{name(column)}::VARCHAR AS {name(column)}" for column in resource.columns)
    key = " || '|' || ".join(map(name, resource.key))
    alone = "alone" if "alone" in given else "false"
    first = "coalesce(first_day, 1)" if "first_day" in given else "1"
    last = f"coalesce(last_day, {ALWAYS})" if "last_day" in given else str(ALWAYS)
    untold = "entity NOT IN (SELECT entity FROM life_event)"
    con.execute(
        f"CREATE TABLE feed.{name(resource.id)} AS SELECT *,"
        f" row_number() OVER (PARTITION BY _first = 1 ORDER BY _n) AS _row, {key} AS _key"
        f" FROM (SELECT n::BIGINT AS _n, entity AS _entity, free AND {untold} AS _free, {alone} AS _alone,"
        f" {first}::INTEGER AS _first, {last}::INTEGER AS _last, {columns} FROM ({query}))"
        " ORDER BY _n"
    )
    row = con.execute(
        f"SELECT count(*), coalesce(bool_or(_first > 1 OR _last < {ALWAYS}), false) FROM feed.{name(resource.id)}"
    ).fetchone()
    rows, changes = row or (0, False)
    return Feed(resource, kind, int(rows), bool(changes))


def _code_lists(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> None:
    """`codes.<list>` as rules and suggestions expect it."""
    con.execute("ATTACH ':memory:' AS codes")
    for listed in catalog.codes:
        read = f"read_csv({quote(str(catalog.code_file(listed)))}, all_varchar = true, header = true)"
        con.execute(f"CREATE TABLE codes.{name(listed)} AS FROM {read}")


def _text(part: str) -> str:
    return (files("demo") / f"{part}.sql").read_text(encoding="utf-8")
