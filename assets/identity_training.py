"""Learning a library's model from its pools, and what a new model would change.

`train` learns without labels and writes nothing but a proposal: a run uses the model that stands in the catalogue, so a
person reads the weights, and what would change, and puts the file there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from assets import identity
from catalog.models import Library
from quality_checks import identity_links, identity_model, identity_nodes
from quality_checks.identity_decisions import replay
from quality_checks.identity_model import IdentityError, Model
from quality_checks.sources import LINK_COLUMNS, LINKS, macros, marks_sql, sources
from resources.city import City


@dataclass(frozen=True)
class Proposal:
    """A new model, and how many records would be linked, wait, or be new with the stored one and with it.

    `changed` counts records whose entity would be another if links were made anew; those made before stay as they are
    unless somebody asks for them (`relink`).
    """

    library: str
    model: Model
    stored: str | None  # id of the model in the catalogue
    records: int
    entities: int
    before: dict[str, int]
    after: dict[str, int]
    changed: int


def train(city: City, library: Library) -> Proposal:
    """Learn a model from the pools as they are.

    Raises:
        IdentityError: the library states no identity, or nobody has a record without a number.
    """
    if library.identity is None:
        raise IdentityError(f"libraries/{library.name}.yaml states no identity: compare, block and sure")
    con = city.con
    witnesses = sources(city.catalog, library)
    standing = replay(identity.decisions(city, library.name))
    con.execute(f"CREATE OR REPLACE TEMP TABLE {LINKS.removeprefix('temp.')} ({LINK_COLUMNS})")
    con.execute(macros(library))
    con.execute(marks_sql(city.catalog, library))
    with identity.tables(con):
        identity.write_aliases(con, library, witnesses, standing)
        records = identity_nodes.write_records(con, library, witnesses)
        entities = identity_nodes.write_entities(con, library, witnesses, records)
        if not records:
            raise IdentityError(
                f"{library.name}: no record without a number stands in a pool; there is nobody to recognise"
            )
        with identity.working(con) as cursor:
            model = learn(cursor, library)
        stored = identity.stored_model(city.catalog, library)
        once = identity.once(witnesses)
        before = _outcome(con, library, stored, "before", once)
        after = _outcome(con, library, model, "after", once)
        row = con.execute(
            "SELECT count(*) FROM memory.main.identity_before_new b JOIN memory.main.identity_after_new a"
            " USING (department, resource, record_key) WHERE a.entity_key IS DISTINCT FROM b.entity_key"
        ).fetchone()
    return Proposal(
        library.name, model, stored.id if stored else None, records, entities, before, after, row[0] if row else 0
    )


def learn(cursor: DuckDBPyConnection, library: Library) -> Model:
    """Learn from the tables of nodes."""
    if library.identity is None:
        raise IdentityError(f"libraries/{library.name}.yaml states no identity")
    for table, other in (("entities", "entity_key"), ("records", "department, resource, record_key, content")):
        cursor.execute(
            f"CREATE OR REPLACE VIEW identity_{table}_nodes AS SELECT * EXCLUDE ({other}) FROM identity_{table}"
        )
    try:
        return identity_model.train(cursor, library.identity, "identity_entities_nodes", "identity_records_nodes")
    finally:
        cursor.execute("DROP VIEW identity_entities_nodes; DROP VIEW identity_records_nodes")


def _outcome(
    con: DuckDBPyConnection, library: Library, model: Model | None, name: str, once: Sequence[tuple[str, str]]
) -> dict[str, int]:
    """What the model makes of the records when nothing was linked before; none links nobody."""
    made = f"memory.main.identity_{name}_new"
    if model is None or library.identity is None:
        con.execute(
            f"CREATE OR REPLACE TABLE {made} AS SELECT 'record' AS kind, department, resource, record_key,"
            f" NULL::VARCHAR AS entity_key FROM {identity_nodes.RECORDS}"
        )
        return identity_links.counts(con, made)
    identity.ask(con, library.identity, model)
    con.execute(
        f"CREATE OR REPLACE TABLE {identity_links.BEFORE} AS SELECT * EXCLUDE (library, kind) FROM base._links LIMIT 0"
    )
    identity_links.join_up(con, library.identity, model.id, replay(()), None, once=once)
    con.execute(f"CREATE OR REPLACE TABLE {made} AS SELECT 'record' AS kind, * FROM {identity_links.LINKS}")
    return identity_links.counts(con, made)
