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
    con.begin()  # a commit for each of three thousand statements takes longer than they do
    con.execute("CREATE TEMP TABLE taken AS SELECT DISTINCT entity FROM life_event")
    spatial.prepare(con, (rule for feed in feeds for rule in feed.resource.rules))
    for feed in feeds:
        plants = plants_for(feed.resource, catalog)
        count = max(1, round(rate * feed.rows / len(plants)))
        _find_fit(con, feed, plants, count * len(plants))
        for number, one in enumerate(plants):
            _choose(con, feed, number, one, min(count, one.limit or count))
        con.execute(f"INSERT INTO defect BY NAME {_defects(feed, plants)}")
    con.commit()
    row = con.execute("SELECT count(*) FROM defect").fetchone()
    return int(row[0]) if row else 0


def _find_fit(con: duckdb.DuckDBPyConnection, feed: Feed, plants: Sequence[Plant], wanted: int) -> None:
    """Write `candidate`, a sample of the feed, and `fit`: what of it is free, and for which plants each record will do.

    Leaves `chosen` empty: one row per record that goes wrong, by the number of its plant.
    """
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE candidate AS SELECT * FROM {feed.table} WHERE _free"
        f" ORDER BY hash(_entity, {quote(feed.resource.id)}, getvariable('seed')) LIMIT {max(POOL, 6 * wanted)}"
    )
    wheres = {number: one.where for number, one in enumerate(plants) if not one.guest}
    fits = "".join(f", ({where}) AS fit_{number}" for number, where in wheres.items())
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE fit AS SELECT _n, _entity, _alone{fits} FROM candidate"
        f" WHERE {_unused('_entity')}"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE chosen"
        " (_number INTEGER, _record BIGINT, _about VARCHAR, _guest VARCHAR, _cells MAP(VARCHAR, VARCHAR))"
    )


def _choose(con: duckdb.DuckDBPyConnection, feed: Feed, number: int, one: Plant, count: int) -> None:
    """Take up to `count` records for a plant: from the sample, or from the whole feed when it holds none."""
    sample = "candidate" if one.guest else f"(SELECT *, fit_{number} AS _fits FROM fit)"
    for table in (sample, f"(SELECT *, ({one.where}) AS _fits FROM {feed.table} WHERE _free)"):
        picked = _beside_guests(one, table, count) if one.guest else _picked(one, table, "_fits", count)
        row = con.execute(f"INSERT INTO chosen SELECT {number}, {_chosen(one)} FROM ({picked})").fetchone()
        if row and row[0]:
            con.execute(f"INSERT INTO taken SELECT unnest([_about, _guest]) FROM chosen WHERE _number = {number}")
            return
        if feed.rows <= POOL:
            return


def _chosen(one: Plant) -> str:
    """A picked record's columns of `chosen`. A new record is about its guest alone."""
    entity = "NULL" if one.extra and one.guest else "_entity"
    return f"_n, {entity}, _guest, _wrong" if one.guest else f"_n, {entity}, NULL, NULL"


def _picked(one: Plant, table: str, fits: str, count: int, columns: str = "_n, _entity") -> str:
    """The records to spoil: those that others would be accused for first or last, then by hash."""
    free = "true" if one.extra and one.guest else _unused("_entity")
    alone = "_alone" if one.accuses or (one.moves and not one.extra) else "NOT _alone"
    return (
        f"SELECT {columns} FROM {table} WHERE ({fits}) AND {free}"
        f" ORDER BY {alone} DESC, hash(_entity, {quote(one.rule_id)}, getvariable('seed')) LIMIT {count}"
    )


def _beside_guests(one: Plant, table: str, count: int) -> str:
    """Records to spoil, each with a guest and what is wrong with it."""
    chosen = _picked(one, table, one.where, count, "*")
    guests = (
        f"SELECT * FROM ({one.guest}) WHERE {_unused('entity')}"
        f" ORDER BY hash(entity, {quote(one.rule_id)}, getvariable('seed')) LIMIT {count}"
    )
    return (
        f"SELECT c._n, c._entity, g.entity AS _guest, {_wrong(one)} AS _wrong"
        f" FROM (SELECT *, row_number() OVER () AS _place FROM ({chosen})) c"
        f" JOIN (SELECT *, row_number() OVER () AS _place FROM ({guests})) g USING (_place)"
    )


def _unused(entity: str) -> str:
    return f"{entity} NOT IN (SELECT entity FROM taken WHERE entity IS NOT NULL)"


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


def _cells(one: Plant) -> dict[str, str]:
    """The changed columns in order, as SQL over the clean record `c` and its guest `g`."""
    cells = {column: f"g.{column}" for column in _shared(one) if column in one.resource.columns} | dict(one.cells)
    return dict(sorted(cells.items()))


def _wrong(one: Plant) -> str:
    """The texts of the changed columns as a map."""
    pairs = ", ".join(f"{quote(column)}: ({cell})::VARCHAR" for column, cell in _cells(one).items())
    return f"MAP {{{pairs}}}::MAP(VARCHAR, VARCHAR)"


def _defects(feed: Feed, plants: Sequence[Plant]) -> str:
    """Query: the records of `chosen` as rows of `defect`, of all the feed's plants at once.

    The clean records become the wrong ones, all text, and these the typed ones that rules suggest over.
    """
    resource = feed.resource
    told = {column: quoted(column) for column in resource.columns if any(one.column == column for one in plants)}
    wrong = {number: _wrong(one) for number, one in enumerate(plants) if one.cells and not one.guest}
    spoilt = {
        c: f"CASE WHEN map_contains(_wrong, {quote(c)}) THEN _wrong[{quote(c)}] ELSE {quoted(c)} END"
        for c in sorted({column for one in plants for column in _cells(one)})
    }
    offers = {n: f"({one.suggest})::VARCHAR" for n, one in enumerate(plants) if one.suggest not in (None, "clean")}
    typed = {
        column: f"TRY_CAST({quoted(column)} AS {stated.sql_type})"
        for column, stated in resource.columns.items()
        if any(column in suggest for suggest in offers.values())
    }
    clean = (
        f"SELECT c.*, _plant, _about, _guest, {_case('_plant.column', told)} AS _clean,"
        f" coalesce(_cells, {_case('_number', wrong)}, MAP {{}}) AS _wrong"
        f" FROM chosen JOIN {feed.table} c ON _n = _record JOIN ({_facts(plants)}) ON _plant.number = _number"
    )
    spoiled = f"SELECT * {_replacing(spoilt)} FROM ({clean})"
    keyed = f"SELECT *, {_key(resource)} AS _wrong_key, {_case('_plant.column', told)} AS _observed FROM ({spoiled})"
    read = f"SELECT * {_replacing(typed)}, getvariable('start')::DATE AS _as_of FROM ({keyed})"
    suggested = f"CASE WHEN _plant.offers THEN _clean ELSE {_case('_plant.number', offers)} END AS _suggested"
    same = {
        stated.sql_type: f"TRY_CAST(_suggested AS {stated.sql_type}) = TRY_CAST(_clean AS {stated.sql_type})"
        for column, stated in resource.columns.items()
        if column in told
    }
    return (
        "SELECT (SELECT count(*) FROM defect) + row_number() OVER (ORDER BY _plant.number, _n) AS defect,"
        f" {quote(resource.id)} AS resource, _n AS n, _wrong AS cells, _about AS entity, _guest AS guest,"
        " _wrong_key AS record_key, _observed AS observed, _clean AS clean, _suggested AS suggested,"
        f" coalesce({_case('_plant.type', same)}, false) AS fits, unnest(_plant.facts)"
        f" FROM (SELECT *, {suggested} FROM ({read})) ORDER BY defect"
    )


def _facts(plants: Sequence[Plant]) -> str:
    """Query: one row per plant, the struct `_plant`."""
    rows = []
    for number, one in enumerate(plants):
        column = one.resource.columns.get(one.column)
        facts = {
            "rule_id": quote(one.rule_id),
            "column": quote(one.column),
            "kind": quote(one.kind),
            "extra": str(one.extra),
            "moves": str(one.moves),
            "own": str(one.own),
            "ordered": str(one.ordered),
            "optional": str(bool(column and not column.required)),
        }
        stated = ", ".join(f"{quote(fact)}: {sql}" for fact, sql in facts.items())
        kind = quote(column.sql_type) if column else "NULL"
        offers = bool(column) and one.suggest == "clean"
        rows.append(f"({number}, {quote(one.column)}, {kind}, {offers}, {{{stated}}})")
    return f'SELECT told AS _plant FROM (VALUES {", ".join(rows)}) told(number, "column", type, offers, facts)'


def _case(value: str, cases: Mapping[int, str] | Mapping[str, str]) -> str:
    """SQL that has a text for some of the values."""
    if not cases:
        return "NULL"
    told = " ".join(f"WHEN {quote(case) if isinstance(case, str) else case} THEN {sql}" for case, sql in cases.items())
    return f"CASE {value} {told} END"


def _replacing(columns: Mapping[str, str]) -> str:
    pairs = ", ".join(f"{sql} AS {quoted(column)}" for column, sql in columns.items())
    return f"REPLACE ({pairs})" if pairs else ""


def _key(resource: Resource) -> str:
    """The record key of the wrong record; without any, the pool names it by its place in the delivery."""
    texts = [quoted(column) for column in resource.key]
    joined = " || '|' || ".join(f"coalesce({text}, '')" for text in texts)
    day = "" if resource.mode == "full" else " || '@' || strftime(getvariable('start')::DATE, '%Y%m%d')"
    return f"CASE WHEN coalesce({', '.join(texts)}, NULL) IS NULL THEN '#' || _row{day} ELSE {joined} END"
