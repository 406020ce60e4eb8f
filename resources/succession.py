"""Who came after an entity: a table macro per library that states successions, for whoever may ask the lake one SELECT.

`successors.<library>(key)` gives the entities that followed the one with this key, nearest first: the company into
which it was merged and the one into which that was, the versions that replaced a certificate. The macros stand in a
database in memory, so that the lake may be attached read-only.
"""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from catalog.models import Library
from resources.guard import CITY
from resources.lake import quoted


def define(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """Define the macros of every library that states successions on this connection, which has the SQL vocabulary."""
    con.execute("ATTACH IF NOT EXISTS ':memory:' AS successors")
    for library in catalog.libraries.values():
        if library.succession:
            con.execute(
                f"CREATE OR REPLACE MACRO successors.{quoted(library.name)}(key) AS TABLE {successors(library, 'key')}"
            )


def successors(library: Library, key: str) -> str:
    """Query: one row per entity that followed the one with the key (SQL): `step` from 1, the key, its life.

    An entity that is not in the library, as a company of another city, has a key and no dates. A circle ends where it
    would come back to an entity already told.
    """
    table, column = f"{CITY}.base.{quoted(library.name)}", quoted(library.key)
    return (
        f"WITH RECURSIVE edge AS ({_edges(library, table)}), chain AS ("
        f"SELECT 1 AS step, latter, [former, latter] AS told FROM edge WHERE former = ({_normal(library, key)})"
        " UNION ALL SELECT step + 1, e.latter, list_append(told, e.latter) FROM chain JOIN edge e"
        " ON e.former = chain.latter WHERE NOT list_contains(told, e.latter))"
        f" SELECT min(step) AS step, latter AS {column}, began_on, ended_on FROM chain"
        f" LEFT JOIN {table} b ON b.{column} = latter GROUP BY ALL ORDER BY step, latter"
    )


def _edges(library: Library, table: str) -> str:
    if library.succession is None:
        raise ValueError(f"libraries/{library.name}.yaml: states no succession")
    own, other = quoted(library.key), _normal(library, quoted(library.succession.attribute))
    former, latter = (own, other) if library.succession.followed_by else (other, own)
    stated = quoted(library.succession.attribute)
    return (
        f"SELECT {former} AS former, {latter} AS latter FROM {table}"
        f" WHERE {stated} IS NOT NULL AND {former} <> {latter}"
    )


def _normal(library: Library, value: str) -> str:
    """The key's normal form."""
    return f"(SELECT {library.key_normal} FROM (SELECT {value} AS value))"
