"""Cases of identity that people decide: what is open, what they say, and entities they merge or split.

A case is a record without a number and one entity it may belong to. What is decided is a new row of
`ops.identity_decisions`, never a change of one; the next pass acts on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from duckdb import DuckDBPyConnection

from assets import identity
from catalog.models import Library
from quality_checks.identity_decisions import FOUNDED, Action, replay
from quality_checks.identity_findings import features_sql
from quality_checks.identity_links import CANDIDATES
from quality_checks.macros import quote
from resources.city import City

Verdict = Literal["same", "different"]


class CaseError(Exception):
    """The decision cannot be taken: no such case or entity, or it says nothing new."""


@dataclass(frozen=True)
class Case:
    """One row per record and entity it may belong to, undecided; `why` lists the weights in bits."""

    case: str
    library: str
    record: str
    entity: str
    weight: float
    probability: float
    why: str
    since: str


def open_cases(city: City, libraries: list[Library], *, clear: bool = False) -> list[Case]:
    """Cases that wait for a person, the likeliest first; numbers masked unless `clear`."""
    found: list[Case] = []
    for library in libraries:
        if library.identity:
            found += [Case(*row) for row in city.con.execute(_cases_sql(library, clear=clear)).fetchall()]
    return found


def _cases_sql(library: Library, *, clear: bool, only: str | None = None) -> str:
    """One row per case of `base._links`: of records that wait, and of new ones that may be one another."""
    places = " UNION ALL ".join(
        f"SELECT *, {place} AS place, json_extract_string(explanation, '$.candidates[{place}].entity') AS entity,"
        f" CAST(json_extract_string(explanation, '$.candidates[{place}].weight') AS DOUBLE) AS bits,"
        f" CAST(json_extract_string(explanation, '$.candidates[{place}].probability') AS DOUBLE) AS likely,"
        f" {features_sql(library, place, 'explanation')} AS why FROM undecided"
        for place in range(CANDIDATES)
    )
    record, entity = "department || '.' || resource || '|' || record_key", "entity"
    shown = {"record": record, "entity": entity}
    if not clear:
        shown = {
            "record": "department || '.' || resource || '|' || mask_id(record_key)",
            "entity": f"CASE WHEN starts_with(entity, '{FOUNDED}') THEN regexp_extract(entity, '^[^|]*')"
            " || '|' || mask_id(regexp_extract(entity, '[^|]*$')) ELSE mask_id(entity) END",
        }
    wanted = f"AND md5({quote(library.name + '|')} || {record} || '|' || entity)[:12] = {quote(only)}" if only else ""
    return f"""
        WITH undecided AS (
            SELECT * FROM base._links WHERE library = {quote(library.name)} AND kind = 'record' AND how = 'model'
                AND (entity_key IS NULL OR starts_with(entity_key, '{FOUNDED}')) AND explanation IS NOT NULL
        ), cases AS ({places})
        SELECT md5({quote(library.name + "|")} || {record} || '|' || entity)[:12] AS "case", library,
            {shown["record"]}, {shown["entity"]}, bits, likely, why, since::VARCHAR
        FROM cases WHERE entity IS NOT NULL AND entity IS DISTINCT FROM entity_key {wanted}
        ORDER BY likely DESC, bits DESC, {record}, place"""


def decide(city: City, case: str, verdict: Verdict, *, by: str, reason: str) -> Case:
    """Say whether the record of a case belongs to its entity. Returns the case, in clear.

    Raises:
        CaseError: no such case is open.
    """
    for library in city.catalog.libraries.values():
        if library.identity:
            row = city.con.execute(_cases_sql(library, clear=True, only=case)).fetchone()
            if row:
                found = Case(*row)
                content = _content(city.con, library, found.record) if "|#" in found.record else ""
                _record(
                    city, library, verdict, by, reason, record=found.record, content=content, entity_key=found.entity
                )
                return found
    raise CaseError(f"no case {case} is open; allowed are those of `shuyuan identity review`")


def _content(con: DuckDBPyConnection, library: Library, record: str) -> str:
    """Digest of what a record says that is known by its place in a delivery: the next may put another there."""
    row = con.execute(
        "SELECT content::VARCHAR FROM base._links WHERE library = ? AND kind = 'record'"
        " AND department || '.' || resource || '|' || record_key = ?",
        [library.name, record],
    ).fetchone()
    return row[0] if row else ""


def merge(city: City, library: Library, survivor: str, other: str, *, by: str, reason: str) -> None:
    """Make the entity `other` part of `survivor`, whose key stands for both from now on.

    Raises:
        CaseError: one of them is no entity of the library, they are one already, or the number would be lost.
    """
    standing = replay(identity.decisions(city, library.name))
    for key in (survivor, other):
        _must_exist(city, library, key)
        if standing.survivor(key) != key:
            raise CaseError(f"{key} is part of {standing.survivor(key)} already: name that one")
    if survivor == other:
        raise CaseError(f"{survivor} cannot be merged with itself")
    if survivor.startswith(FOUNDED) and not other.startswith(FOUNDED):
        raise CaseError(f"{other} has a number and {survivor} has none: the one with the number must survive")
    _record(city, library, "merge", by, reason, entity_key=survivor, other_key=other)


def split(city: City, library: Library, key: str, *, by: str, reason: str) -> str:
    """Give `key` back: it stands for an entity of its own again. Returns what it was part of.

    Raises:
        CaseError: it is part of no other entity.
    """
    row = city.con.execute(
        "SELECT entity_key FROM base._links WHERE library = ? AND kind = 'key' AND alias_key = ?", [library.name, key]
    ).fetchone()
    into = replay(identity.decisions(city, library.name)).merged.get(key) or (row[0] if row else None)
    if into is None:
        raise CaseError(
            f"{key} is part of no other entity of {library.name}; a record is set apart by `decide … different`"
        )
    _record(city, library, "split", by, reason, entity_key=into, other_key=key)
    return into


def relink(city: City, library: Library, *, by: str, reason: str) -> str:
    """Let links that earlier models made be made anew by the stored one. Returns its id.

    Raises:
        CaseError: no model stands in the catalogue.
    """
    model = identity.stored_model(city.catalog, library)
    if model is None:
        raise CaseError(f"{identity.model_file(city.catalog, library).name} does not stand in the catalogue")
    _record(city, library, "relink", by, reason, content=model.id)
    return model.id


def _must_exist(city: City, library: Library, key: str) -> None:
    there = city.con.execute(
        f"SELECT 1 FROM base.{library.name} WHERE entity_id = md5(?)::UUID LIMIT 1",
        [f"{library.name}|{key}"],
    ).fetchone()
    if not there:
        raise CaseError(f"{key} is no entity of base.{library.name}")


def _record(
    city: City, library: Library, action: Action, by: str, reason: str, *,
    record: str = "", content: str = "", entity_key: str = "", other_key: str = "",
) -> None:  # fmt: skip
    if not by.strip() or not reason.strip():
        raise CaseError("who decides and why must be said: --by and --reason")
    with city.server.session() as cursor:
        cursor.execute(
            "INSERT INTO ops.identity_decisions"
            " (library, action, record, content, entity_key, other_key, actor, reason)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (library.name, action, record, content, entity_key, other_key, by.strip(), reason.strip()),
        )
