"""Chooses the records that go wrong and writes them down as the table `defect`.

Every entity of the city takes part in at most one defect, so that no defect hides or causes another; records are
chosen by hash, scarce ones first. How a record goes wrong is `plants`, what becomes of it `stories`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from catalog.load import Catalog
from catalog.models import Resource
from demo.plants import Plant, plants_for
from demo.truth import Feed
from quality_checks import spatial
from quality_checks.macros import name as quoted
from quality_checks.macros import quote

DEFECTS = """
CREATE TABLE defect (
    defect BIGINT, resource VARCHAR, n BIGINT, rule_id VARCHAR, "column" VARCHAR, kind VARCHAR,
    cells MAP(VARCHAR, VARCHAR), extra BOOLEAN, moves BOOLEAN, own BOOLEAN, ordered BOOLEAN, optional BOOLEAN,
    record_key VARCHAR, observed VARCHAR, clean VARCHAR, suggested VARCHAR, fits BOOLEAN, entity VARCHAR, guest VARCHAR
);
"""
POOL = 1_200  # records looked at for one resource, at least


def plant(con: duckdb.DuckDBPyConnection, catalog: Catalog, feeds: Sequence[Feed], *, rate: float) -> int:
    """Write `defect`: one row per defect, numbered from 1. Returns how many.

    The number per rule is `rate` x rows / rules of the resource, at least one where a record can be found; none at all
    with rate 0.
    """
    con.execute(DEFECTS)
    if rate <= 0:
        return 0
    spatial.prepare(con, (rule for feed in feeds for rule in feed.resource.rules))
    for feed in feeds:
        plants = plants_for(feed.resource, catalog)
        count = max(1, round(rate * feed.rows / len(plants)))
        _candidates(con, feed, count * len(plants))
        for one in plants:
            _choose(con, feed, one, min(count, one.limit or count))
    row = con.execute("SELECT count(*) FROM defect").fetchone()
    return int(row[0]) if row else 0


def _candidates(con: duckdb.DuckDBPyConnection, feed: Feed, wanted: int) -> None:
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE candidate AS SELECT * FROM {feed.table} WHERE _free"
        f" ORDER BY hash(_entity, {quote(feed.resource.id)}, getvariable('seed')) LIMIT {max(POOL, 6 * wanted)}"
    )


def _choose(con: duckdb.DuckDBPyConnection, feed: Feed, one: Plant, count: int) -> None:
    """Take up to `count` records for a plant: from the sample, or from the whole feed when it holds none."""
    for table in ("candidate", f"(SELECT * FROM {feed.table} WHERE _free)"):
        row = con.execute(f"INSERT INTO defect BY NAME {_defects(one, _picked(one, table, count))}").fetchone()
        if (row and row[0]) or feed.rows <= POOL:
            return


def _picked(one: Plant, table: str, count: int) -> str:
    """Records to spoil, clean columns as they are, `_wrong` as a struct of the changed columns."""
    record_free = "true" if one.extra and one.guest else _unused("_entity")
    alone = "_alone" if one.accuses or (one.moves and not one.extra) else "NOT _alone"
    chosen = (
        f"SELECT *, row_number() OVER () AS _place FROM (SELECT * FROM {table} WHERE ({one.where}) AND {record_free}"
        f" ORDER BY {alone} DESC, hash(_entity, {quote(one.rule_id)}, getvariable('seed')) LIMIT {count})"
    )
    if not one.guest:
        return f"SELECT c.*, NULL::VARCHAR AS _guest, {_wrong(one, ())} AS _wrong FROM ({chosen}) c"
    guests = (
        f"SELECT *, row_number() OVER () AS _place FROM (SELECT * FROM ({one.guest}) WHERE {_unused('entity')}"
        f" ORDER BY hash(entity, {quote(one.rule_id)}, getvariable('seed')) LIMIT {count})"
    )
    return (
        f"SELECT c.*, g.entity AS _guest, {_wrong(one, _shared(one))} AS _wrong"
        f" FROM ({chosen}) c JOIN ({guests}) g USING (_place)"
    )


def _unused(entity: str) -> str:
    return (
        f"{entity} NOT IN (SELECT entity FROM life_event) AND"
        f" {entity} NOT IN (SELECT entity FROM defect WHERE entity IS NOT NULL)"
        f" AND {entity} NOT IN (SELECT guest FROM defect WHERE guest IS NOT NULL)"
    )


def _shared(one: Plant) -> Sequence[str]:
    """Columns that come along from the guest when the record is a new one about it."""
    if not (one.extra and one.guest):
        return ()
    return PERSONAL if "FROM person" in one.guest else LEGAL if "FROM organisation" in one.guest else SPATIAL


PERSONAL = ("id_type", "id_number", "name", "sex", "birth_date", "ethnic_group", "marital_status", "registered_address",
            "address_code", "division", "village_code", "phone", "death_date")  # fmt: skip
LEGAL = ("uscc", "name", "entity_type", "status", "legal_representative_name", "legal_representative_id_type",
         "legal_representative_id_number", "registered_address", "division", "founded_on", "approved_on",
         "deregistered_on", "phone")  # fmt: skip
SPATIAL = ("name", "division", "longitude", "latitude")


def _wrong(one: Plant, shared: Sequence[str]) -> str:
    cells = {column: f"g.{column}" for column in shared if column in one.resource.columns} | dict(one.cells)
    if not cells:
        return "NULL::STRUCT(nothing VARCHAR)"
    pairs = ", ".join(f"{quote(column)}: ({cell})::VARCHAR" for column, cell in cells.items())
    return "{" + pairs + "}"


def _defects(one: Plant, picked: str) -> str:
    """Query: `picked` records as rows of `defect`."""
    resource = one.resource
    changed = sorted({column for column in _shared(one) if column in resource.columns} | set(one.cells))
    wrong = {c: f"picked._wrong[{quote(c)}]" if c in changed else f"picked.{quoted(c)}" for c in resource.columns}
    known = one.column in resource.columns
    pairs = ", ".join(f"{{'key': {quote(c)}, 'value': _wrong[{quote(c)}]}}" for c in changed)
    fixed = {
        "resource": quote(resource.id),
        "rule_id": quote(one.rule_id),
        '"column"': quote(one.column),
        "kind": quote(one.kind),
        "extra": str(one.extra),
        "moves": str(one.moves),
        "own": str(one.own),
        "ordered": str(one.ordered),
        "optional": str(known and not resource.columns[one.column].required),
        "cells": f"map_from_entries([{pairs}]::STRUCT(key VARCHAR, value VARCHAR)[])",
        "record_key": _key(resource, wrong),
        "observed": wrong.get(one.column, "NULL"),
        "clean": quoted(one.column) if known else "NULL",
        "suggested": _suggestion(one, wrong),
        "entity": "NULL::VARCHAR" if one.extra and one.guest else "_entity",
        "guest": "_guest",
    }
    stated = ", ".join(f"{value} AS {column}" for column, value in fixed.items())
    number = "(SELECT count(*) FROM defect) + row_number() OVER (ORDER BY _n) AS defect"
    return f"SELECT *, {_same(one)} AS fits FROM (SELECT {number}, _n AS n, {stated} FROM ({picked}) AS picked)"


def _key(resource: Resource, wrong: Mapping[str, str]) -> str:
    """The record key of the wrong record; without any, the pool names it by its place in the delivery."""
    texts = [wrong[column] for column in resource.key]
    joined = " || '|' || ".join(f"coalesce({text}, '')" for text in texts)
    day = "" if resource.mode == "full" else " || '@' || strftime(getvariable('start')::DATE, '%Y%m%d')"
    return f"CASE WHEN coalesce({', '.join(texts)}, NULL) IS NULL THEN '#' || _row{day} ELSE {joined} END"


def _same(one: Plant) -> str:
    """Whether the suggestion is the true value."""
    if one.column not in one.resource.columns:
        return "false"
    kind = one.resource.columns[one.column].sql_type
    return f"coalesce(TRY_CAST(suggested AS {kind}) = TRY_CAST(clean AS {kind}), false)"


def _suggestion(one: Plant, wrong: Mapping[str, str]) -> str:
    """What the rule will suggest: nothing, the true value, or its SQL over the wrong record, typed."""
    if one.suggest is None or (one.suggest == "clean" and one.column not in one.resource.columns):
        return "NULL"
    if one.suggest == "clean":
        return f"picked.{quoted(one.column)}"
    typed = "".join(
        f", TRY_CAST({wrong[column]} AS {stated.sql_type}) AS {quoted(column)}"
        for column, stated in one.resource.columns.items()
        if column in one.suggest
    )
    return f"(SELECT ({one.suggest})::VARCHAR FROM (SELECT getvariable('start')::DATE AS _as_of{typed}))"
