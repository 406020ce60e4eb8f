"""From scored pairs to links: which entity each record without a number belongs to, in three bands.

A record links to its best entity when that is likely enough and leads the second best by the library's margin. One
that some entity is likely for, but not so, waits: it speaks for nobody until a person decides. The others are new:
those that are surely one another are one entity, known by its founding record. A false merge is worse than a missed
link.

All is a function of the records, the entities, the model and what people decided, whatever the order of departments and
deliveries; only a founded entity's name depends on what came first, and stays. A link made with an earlier model stays
while the record says the same. Everything happens in tables of the database `memory`; `LINKS` is the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from duckdb import DuckDBPyConnection

from catalog.identity import Identity
from quality_checks.identity_decisions import FOUNDED, Standing
from quality_checks.identity_model import level_names
from quality_checks.identity_nodes import ENTITIES, RECORDS
from quality_checks.loading import load
from quality_checks.macros import quote

_M = "memory.main.identity_"
PAIRS = f"{_M}pairs"
BEFORE = f"{_M}before"  # links of records as they were: columns of `base._links`
LINKS = f"{_M}links"  # one row per record: as `base._links`, without library and kind
CANDIDATES = 3  # told of one record, best first
ROUNDS = 30  # steps along a chain of aliases, each doubling what the one before reached


def ref(row: str) -> str:
    """SQL: what decisions and founded entities call a record."""
    return f"{row}.department || '.' || {row}.resource || '|' || {row}.record_key"


def join_up(
    con: DuckDBPyConnection,
    identity: Identity,
    model: str,
    standing: Standing,
    as_of: date | None,
    *,
    once: Sequence[tuple[str, str]] = (),
) -> None:
    """Write `LINKS` from `RECORDS`, `ENTITIES`, `PAIRS` and `BEFORE`.

    `model` is the id of the model in use, `once` are resources (department, name) of which no two records are of one
    entity.
    """
    _load_standing(con, standing)
    load(con, "identity_once", {"department": "VARCHAR", "resource": "VARCHAR"}, once)
    con.execute(f"CREATE OR REPLACE TABLE {_M}settled AS {_settled_sql(model, standing)}")
    con.execute(f"CREATE OR REPLACE TABLE {_M}open AS FROM {RECORDS} r ANTI JOIN {_M}settled s USING (unique_id)")
    con.execute(f"CREATE OR REPLACE TABLE {_M}near AS {_near_sql(identity)}")
    con.execute(f"CREATE OR REPLACE TABLE {_M}banded AS {_banded_sql(identity)}")
    con.execute(f"""
        UPDATE {_M}banded SET entity_key = NULL WHERE unique_id IN (
            SELECT unique_id FROM {_M}banded JOIN {RECORDS} USING (unique_id) SEMI JOIN identity_once
                USING (department, resource) WHERE entity_key IS NOT NULL
            QUALIFY count(*) OVER (PARTITION BY department, resource, entity_key) > 1)""")
    con.execute(f"CREATE OR REPLACE TABLE {_M}free AS FROM {_M}open o ANTI JOIN {_M}banded b USING (unique_id)")
    _lead_by_others(con, identity)
    _group(con, identity)
    con.execute(f"CREATE OR REPLACE TABLE {LINKS} AS {_links_sql(identity, model, as_of)}")


def _load_standing(con: DuckDBPyConnection, standing: Standing) -> None:
    pair = {"ref": "VARCHAR", "said": "VARCHAR", "entity_key": "VARCHAR"}
    load(con, "identity_same", pair, [[*record, standing.survivor(key)] for record, key in standing.same.items()])
    load(con, "identity_different", pair, [[*pair[:2], standing.survivor(pair[2])] for pair in standing.different])


def _decided(table: str, record: str = "r") -> str:
    """Join condition: the decision speaks of the record; one that is known by its place alone must say the same."""
    return f"{table}.ref = {ref(record)} AND ({table}.said = '' OR {table}.said = {record}.content::VARCHAR)"


def _settled_sql(model: str, standing: Standing) -> str:
    """Records that a person settled, and those whose link an earlier model made and nothing speaks against."""
    kept = f"b.model <> {quote(model)} AND b.content = r.content AND b.entity_key IS NOT NULL"
    kept += " AND false" if model in standing.relinked else ""
    return f"""
        SELECT r.unique_id, s.entity_key, 'person' AS how, NULL::DOUBLE AS weight, NULL::DOUBLE AS probability,
            NULL::VARCHAR AS model, NULL::VARCHAR AS explanation
        FROM {RECORDS} r JOIN identity_same s ON {_decided("s")}
        UNION ALL
        SELECT r.unique_id, b.entity_key, b.how, b.weight, b.probability, b.model, b.explanation
        FROM {RECORDS} r JOIN {BEFORE} b USING (department, resource, record_key)
        LEFT JOIN {ENTITIES} e ON e.entity_key = b.entity_key
        WHERE {kept} AND b.how = 'model' AND b.entity_key <> '{FOUNDED}' || {ref("r")}
            AND (e.entity_key IS NOT NULL OR starts_with(b.entity_key, '{FOUNDED}'))
            AND NOT EXISTS (FROM identity_same s WHERE {_decided("s")})
            AND NOT EXISTS (FROM identity_different d WHERE {_decided("d")} AND d.entity_key = b.entity_key)"""


def _candidate(identity: Identity, entity: str) -> str:
    """A pair as a value that people read: the entity, the weight in bits, and each comparison's part of it."""
    features = ", ".join(
        f"{feature}: {{level: {['missing', *level_names(stated.as_)]}[gamma_{feature} + 2], bits: bits_{feature}}}"
        for feature, stated in identity.compare.items()
    )
    return (
        f"{{entity: {entity}, weight: round(p.weight, 2), probability: round(p.probability, 6),"
        f" features: {{{features}}}}}"
    )


def _first(identity: Identity, entity: str) -> str:
    return f"list({_candidate(identity, entity)} ORDER BY p.weight DESC, {entity})[:{CANDIDATES}]"


def _near_sql(identity: Identity) -> str:
    """One row per open record and entity that may be one: `unique_id, entity_key, weight, probability, told, place`."""
    return f"""
        SELECT p.record AS unique_id, e.entity_key, p.weight, p.probability,
            {_candidate(identity, "e.entity_key")} AS told,
            row_number() OVER (PARTITION BY p.record ORDER BY p.weight DESC, e.entity_key) AS place
        FROM {PAIRS} p JOIN {_M}open r ON r.unique_id = p.record JOIN {ENTITIES} e ON e.unique_id = p.other
        WHERE p.probability >= {identity.review}
            AND NOT EXISTS (FROM identity_different d WHERE {_decided("d")} AND d.entity_key = e.entity_key)"""


def _banded_sql(identity: Identity) -> str:
    """One row per open record that some entity is likely for: `entity_key` is NULL where it waits."""
    lead = "max(weight) - max(weight) FILTER (place = 2)"
    sure = f"max(probability) >= {identity.link} AND coalesce({lead} >= {identity.margin}, true)"
    first = f"list(told ORDER BY place) FILTER (place <= {CANDIDATES})"
    return f"""
        SELECT unique_id, CASE WHEN {sure} THEN min(entity_key) FILTER (place = 1) END AS entity_key,
            max(weight) AS weight, max(probability) AS probability, {first} AS candidates
        FROM {_M}near GROUP BY unique_id"""


def _lead_by_others(con: DuckDBPyConnection, identity: Identity) -> None:
    """A record that no entity is likely for, but that surely is one with a record linked to one, waits with it."""
    con.execute(f"""
        CREATE OR REPLACE TABLE {_M}led AS
        WITH linked AS (
            SELECT unique_id, entity_key FROM {_M}banded WHERE entity_key IS NOT NULL
            UNION ALL SELECT unique_id, entity_key FROM {_M}settled
        ), sides AS (
            SELECT *, record AS free, other AS known FROM {PAIRS} UNION ALL SELECT *, other, record FROM {PAIRS}
        )
        SELECT r.unique_id, NULL::VARCHAR AS entity_key, max(p.weight) AS weight, max(p.probability) AS probability,
            {_first(identity, "l.entity_key")} AS candidates
        FROM sides p JOIN {_M}free r ON r.unique_id = p.free JOIN linked l ON l.unique_id = p.known
        WHERE p.probability >= {identity.link}
            AND NOT EXISTS (FROM identity_different d WHERE {_decided("d")} AND d.entity_key = l.entity_key)
        GROUP BY r.unique_id""")
    con.execute(f"INSERT INTO {_M}banded BY NAME FROM {_M}led")
    con.execute(f"CREATE OR REPLACE TABLE {_M}free AS FROM {_M}free f ANTI JOIN {_M}led l USING (unique_id)")


def _group(con: DuckDBPyConnection, identity: Identity) -> None:
    """Write `groups`: free records by the new entity they are, `unique_id, cluster, ref, before`."""
    con.execute(f"""
        CREATE OR REPLACE TABLE {_M}edges AS
        SELECT record AS a, other AS b FROM {PAIRS} p
        JOIN {_M}free f ON f.unique_id = p.record JOIN {_M}free g ON g.unique_id = p.other
        LEFT JOIN identity_once o ON o.department = f.department AND o.resource = f.resource
            AND g.department = f.department AND g.resource = f.resource
        WHERE probability >= {identity.link} AND o.resource IS NULL""")
    components(con, f"{_M}free", f"{_M}edges", f"{_M}clusters")
    con.execute(f"""
        CREATE OR REPLACE TABLE {_M}groups AS
        SELECT f.unique_id, c.cluster, {ref("f")} AS ref, b.entity_key AS before, b.since
        FROM {_M}free f JOIN {_M}clusters c USING (unique_id)
        LEFT JOIN {BEFORE} b ON b.department = f.department AND b.resource = f.resource
            AND b.record_key = f.record_key AND starts_with(b.entity_key, '{FOUNDED}')""")
    con.execute(f"CREATE OR REPLACE TABLE {_M}names AS {_names_sql()}")
    # who must not be one with the entity the group turned out to be stands for itself
    con.execute(f"""
        CREATE OR REPLACE TABLE {_M}new AS
        SELECT f.unique_id, CASE WHEN EXISTS (
                FROM identity_different d WHERE {_decided("d", "f")} AND d.entity_key = n.entity_key)
            THEN '{FOUNDED}' || g.ref ELSE n.entity_key END AS entity_key
        FROM {_M}groups g JOIN {_M}free f USING (unique_id) JOIN {_M}names n USING (cluster)""")


def components(con: DuckDBPyConnection, nodes: str, edges: str, into: str) -> None:
    """Write `into`, one row per node: `unique_id, cluster`, the smallest id it is joined to over edges."""
    con.execute(f"CREATE OR REPLACE TABLE {into} AS SELECT unique_id, unique_id AS cluster FROM {nodes}")
    changed = True
    while changed:
        con.execute(f"""
            CREATE OR REPLACE TABLE {into}_next AS
            WITH lower AS (
                SELECT id, min(cluster) AS cluster FROM (
                    SELECT e.a AS id, c.cluster FROM {edges} e JOIN {into} c ON c.unique_id = e.b
                    UNION ALL SELECT e.b, c.cluster FROM {edges} e JOIN {into} c ON c.unique_id = e.a
                ) GROUP BY id
            ), own AS (
                SELECT c.unique_id, least(c.cluster, l.cluster) AS cluster
                FROM {into} c LEFT JOIN lower l ON l.id = c.unique_id
            )
            SELECT o.unique_id, least(o.cluster, j.cluster) AS cluster
            FROM own o JOIN own j ON j.unique_id = o.cluster""")
        row = con.execute(
            f"SELECT count(*) FROM {into} c JOIN {into}_next n USING (unique_id) WHERE c.cluster <> n.cluster"
        ).fetchone()
        changed = bool(row and row[0])
        con.execute(f"CREATE OR REPLACE TABLE {into} AS FROM {into}_next")
    con.execute(f"DROP TABLE {into}_next")


def _names_sql() -> str:
    """One row per group: `cluster, entity_key`. It keeps the oldest name that its records had and that no other group
    has a better claim to: a name is first of all its founding record's group's.
    """
    return f"""
        WITH claims AS (
            SELECT cluster, '{FOUNDED}' || ref AS entity_key, true AS founder, NULL::DATE AS since FROM {_M}groups
            UNION ALL SELECT cluster, before, false, since FROM {_M}groups WHERE before IS NOT NULL
        ), each AS (
            SELECT cluster, entity_key, bool_or(founder) AS founder, min(since) AS since FROM claims GROUP BY ALL
        ), won AS (
            FROM each QUALIFY row_number() OVER (PARTITION BY entity_key ORDER BY founder DESC, since, cluster) = 1
        )
        SELECT cluster, first(entity_key ORDER BY since NULLS LAST, entity_key) AS entity_key
        FROM won GROUP BY cluster"""


def _links_sql(identity: Identity, model: str, as_of: date | None) -> str:
    """One row per record: its entity, how that is known, since when, and what speaks for it."""
    told = "to_json({candidates: candidates})::VARCHAR"
    made = f"{quote(model)} AS model"
    day = f"DATE '{as_of}'" if as_of else "NULL::DATE"
    return f"""
        WITH duplicates AS (
            SELECT a.unique_id, max(p.weight) AS weight, max(p.probability) AS probability,
                {_first(identity, "b.entity_key")} AS candidates
            FROM {PAIRS} p JOIN {_M}new b ON b.unique_id = p.record JOIN {_M}new a ON a.unique_id = p.other
            JOIN {_M}free r ON r.unique_id = p.other
            WHERE NOT EXISTS (FROM identity_different d WHERE {_decided("d")} AND d.entity_key = b.entity_key)
            GROUP BY a.unique_id
        ), found AS (
            SELECT unique_id, entity_key, how, weight, probability, model, explanation FROM {_M}settled
            UNION ALL SELECT unique_id, entity_key, 'model', weight, probability, {made}, {told} FROM {_M}banded
            UNION ALL SELECT n.unique_id, n.entity_key, 'model', d.weight, d.probability, {made}, {told}
            FROM {_M}new n LEFT JOIN duplicates d USING (unique_id)
        )
        SELECT r.department, r.resource, r.record_key, f.entity_key, f.how, f.weight, f.probability, f.model,
            f.explanation,
            CASE WHEN b.entity_key IS NOT DISTINCT FROM f.entity_key AND b.since IS NOT NULL THEN b.since
                ELSE {day} END AS since, r.content
        FROM found f JOIN {RECORDS} r USING (unique_id)
        LEFT JOIN {BEFORE} b USING (department, resource, record_key)"""


def merged_keys(con: DuckDBPyConnection, exact: str, standing: Standing, into: str) -> None:
    """Write `into`, one row per key whose entity has another: `alias_key, entity_key, how`, chains followed to the end.

    `exact` is a table of declared aliases (`alias_key, entity_key, how`); what a person said goes before it.
    """
    load(
        con,
        "identity_merged",
        {"alias_key": "VARCHAR", "entity_key": "VARCHAR"},
        [[alias, standing.survivor(alias)] for alias in standing.merged],
    )
    load(con, "identity_apart", {"alias_key": "VARCHAR"}, [[key] for key in standing.apart])
    con.execute(f"""
        CREATE OR REPLACE TABLE {into} AS
        SELECT alias_key, entity_key, 'person' AS how FROM identity_merged
        UNION ALL SELECT alias_key, entity_key, how FROM {exact} x
        WHERE alias_key NOT IN (SELECT alias_key FROM identity_apart UNION ALL SELECT alias_key FROM identity_merged
            UNION ALL SELECT entity_key FROM identity_merged)""")
    follow(con, into)


def follow(con: DuckDBPyConnection, aliases: str) -> None:
    """Let every alias name the last entity of its chain; whatever would lead back to itself is no alias."""
    for _ in range(ROUNDS):
        row = con.execute(
            f"SELECT count(*) FROM {aliases} a SEMI JOIN {aliases} b ON b.alias_key = a.entity_key"
        ).fetchone()
        if not row or not row[0]:
            break
        con.execute(
            f"CREATE OR REPLACE TABLE {aliases}_next AS"
            f" SELECT a.alias_key, coalesce(b.entity_key, a.entity_key) AS entity_key, a.how"
            f" FROM {aliases} a LEFT JOIN {aliases} b ON b.alias_key = a.entity_key"
        )
        con.execute(f"CREATE OR REPLACE TABLE {aliases} AS FROM {aliases}_next WHERE alias_key <> entity_key")
        con.execute(f"DROP TABLE {aliases}_next")
    con.execute(f"DELETE FROM {aliases} WHERE entity_key IN (SELECT alias_key FROM {aliases})")


def founded_aliases(con: DuckDBPyConnection, known: str, into: str) -> None:
    """Add to `into` the names of founded entities (`known`: key) whose founding record turned out to be another's."""
    con.execute(f"""
        INSERT INTO {into}
        SELECT k.key, l.entity_key, 'model' FROM {known} k JOIN {LINKS} l ON k.key = '{FOUNDED}' || {ref("l")}
        WHERE l.entity_key <> k.key
            AND k.key NOT IN (SELECT entity_key FROM {LINKS} WHERE how = 'model' AND entity_key IS NOT NULL)
            AND k.key NOT IN (SELECT alias_key FROM {into})""")
    follow(con, into)


def counts(con: DuckDBPyConnection, rows: str) -> dict[str, int]:
    """How many records of `rows` are linked to an entity with a number, wait for a person, are of founded entities, and
    how many entities those are.
    """
    founded = f"starts_with(entity_key, '{FOUNDED}')"
    row = con.execute(f"""
        SELECT count(*) FILTER (NOT {founded}), count(*) FILTER (entity_key IS NULL), count(*) FILTER ({founded}),
            count(DISTINCT entity_key) FILTER ({founded})
        FROM {rows} WHERE kind = 'record'""").fetchone()
    return dict(zip(("linked", "waiting", "new_records", "new_entities"), row or (0, 0, 0, 0), strict=True))
