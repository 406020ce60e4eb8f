"""Which tables an SQL text reads, by DuckDB's own parser: names in comments, texts and CTEs are none.

Nothing is bound or read, so the tables need not exist.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb

# Functions in FROM that read no table and no file.
HARMLESS = frozenset({"range", "generate_series", "unnest"})


@dataclass(frozen=True)
class Read:
    """What one SELECT reads: `tables` as `schema.name`, `bare` ones without a schema, `functions` in FROM.

    `error` is the parser's word when the text is no single SELECT; nothing else is known then.
    """

    tables: frozenset[str] = frozenset()
    bare: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()
    error: str = ""


@lru_cache(maxsize=256)
def tables_read(sql: str) -> Read:
    """The tables, bare names and functions an SQL text reads."""
    with duckdb.connect(":memory:") as con:
        quoted = sql.replace("'", "''")  # a parameter would import pandas
        row = con.execute(f"SELECT json_serialize_sql('{quoted}')").fetchone()
    tree = json.loads(row[0]) if row else {}
    if tree.get("error"):
        return Read(error=str(tree["error_message"]))
    if len(tree["statements"]) != 1:
        return Read(error=f"{len(tree['statements'])} statements")
    parts = list(_parts(tree))
    ctes = {entry["key"].lower() for part in parts for entry in part.get("cte_map", {}).get("map", ())}
    named = [part for part in parts if part.get("type") == "BASE_TABLE"]
    return Read(
        tables=frozenset(f"{one['schema_name']}.{one['table_name']}".lower() for one in named if one["schema_name"]),
        bare=frozenset(
            one["table_name"] for one in named if not one["schema_name"] and one["table_name"].lower() not in ctes
        ),
        functions=frozenset(
            part["function"]["function_name"]
            for part in parts
            if part.get("type") == "TABLE_FUNCTION" and part["function"]["function_name"] not in HARMLESS
        ),
    )


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a parse tree."""
    if isinstance(tree, dict):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _parts(part)
