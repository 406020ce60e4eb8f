"""Reading the past of a library: table macros for whoever may ask the lake one SELECT.

`as_believed.<library>(day)` is what the base said at the end of a business day; `as_of.<library>(day)` is what was true
on a day by today's belief, and `as_of.<library>(day, believed)` by the belief of another day. A day is a date or a text
`YYYY-MM-DD`. The macros stand in two databases in memory, so that the lake may be attached read-only.
"""

from __future__ import annotations

from collections.abc import Iterator

from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from catalog.models import Library
from resources.guard import CITY
from resources.lake import literal, quoted

FOREVER = "DATE '9999-12-31'"


def define(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """Define the macros of every library on this connection."""
    con.execute("ATTACH IF NOT EXISTS ':memory:' AS as_believed; ATTACH IF NOT EXISTS ':memory:' AS as_of")
    for library in catalog.libraries.values():
        table = quoted(library.name)
        con.execute(f"CREATE OR REPLACE MACRO as_believed.{table}(day) AS TABLE {as_believed(library, 'day')}")
        con.execute(
            f"CREATE OR REPLACE MACRO as_of.{table}(day, believed := NULL) AS TABLE"
            f" {as_of(library, 'day', f'coalesce(CAST(believed AS DATE), {FOREVER})')}"
        )


def as_believed(library: Library, day: str) -> str:
    """Query: one row per entity believed to exist at the end of the business day (SQL), with the base's columns.

    It fails for a day whose beliefs were lost with a damaged file rather than tell less than was believed.
    """
    table = quoted(library.name)
    when = f"CAST({day} AS DATE)"
    return (
        f"SELECT * FROM (SELECT *, CAST(NULL AS DATE) AS _believed_to FROM {CITY}.base.{table}"
        f" UNION ALL BY NAME SELECT * FROM {CITY}.history.{table})"
        f" WHERE _believed_from <= {when} AND {when} < coalesce(_believed_to, {FOREVER} + 1)"
        f" AND {_known(library, when)}"
    )


def as_of(library: Library, day: str, believed: str) -> str:
    """Query: one row per entity, what was true of it on `day` by the belief of `believed` (both SQL).

    Of each attribute the value of the latest belief, up to `believed`, that speaks of `day`: whose as-of date is not
    after it. What never varies is taken as believed whatever the day. Entities of which nothing was stated by `day`, or
    that began after it, are left out; an end after it is not known yet.
    """
    table, when, until = quoted(library.name), f"CAST({day} AS DATE)", f"CAST({believed} AS DATE)"
    columns = ", ".join([*_picked(library, when)])
    dates = ", ".join(quoted(f"{a}_as_of") for a in library.attributes)
    return (
        f"SELECT {columns} FROM (FROM {CITY}.base.{table} UNION ALL BY NAME"
        f" SELECT * EXCLUDE (_believed_to) FROM {CITY}.history.{table} WHERE _believed_from < _believed_to)"
        f" WHERE _believed_from <= {until} AND entity_id IN (SELECT entity_id FROM ({as_believed(library, until)}))"
        f" GROUP BY entity_id HAVING coalesce(arg_max_null(began_on <= {when}, _believed_from), true)"
        f" AND bool_or(coalesce(least({dates}), _believed_from) <= {when})"
    )


def _picked(library: Library, when: str) -> Iterator[str]:
    yield "entity_id"
    latest = "arg_max_null({}, _believed_from)"
    yield f"{latest.format(quoted(library.key))} AS {quoted(library.key)}"
    for attribute, stated in library.attributes.items():
        parts = [attribute, f"{attribute}_source", f"{attribute}_as_of"]
        packed = latest.format("{" + ", ".join(f"{quoted(part)}: {quoted(part)}" for part in parts) + "}")
        spoken = (
            f" FILTER (coalesce({quoted(attribute + '_as_of')}, _believed_from) <= {when})" if stated.varies else ""
        )
        for part in parts:
            yield f"({packed}{spoken}).{quoted(part)} AS {quoted(part)}"
    yield f"{latest.format('began_on')} AS began_on"
    yield f"{latest.format(f'CASE WHEN ended_on <= {when} THEN ended_on END')} AS ended_on"


def _known(library: Library, when: str) -> str:
    lost = "library || ': what was believed before ' || believed_since || ' is lost, its files were damaged'"
    return (
        f"(SELECT CASE WHEN believed_since > {when} THEN error({lost}) ELSE true END"
        f" FROM {CITY}.base._builds WHERE library = {literal(library.name)})"
    )
