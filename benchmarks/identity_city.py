"""The demo city's pools in memory, and how well its records without a number find their persons.

    python -m benchmarks.identity_city [--people N] [--seed N] [--train FILE] [--json]

Nothing is delivered and loaded: the clean records stand as pools, so that a hundred thousand people take a minute. The
slips of records without a number are in them (`demo/feeds.sql`). With `--train` a model is learned and written to FILE,
else the catalogue's is used; truth is only looked at afterwards.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from assets import identity, identity_training
from catalog import Catalog, load_catalog
from catalog.divisions import DIVISIONS, vocabulary
from catalog.identity import Identity
from catalog.models import Library
from demo import truth
from quality_checks import identity_links, identity_nodes, macros, sources
from quality_checks.identity_decisions import replay
from quality_checks.identity_model import Model
from quality_checks.macros import name, quote
from resources.lake import FINDINGS

CATALOGUE = Path(__file__).parents[1] / "catalog"
START = date(2026, 11, 2)


def of_library(catalog: Catalog, library: Library) -> Catalog:
    """The catalogue with that library's sources alone."""
    return replace(catalog, resources={r.id: r for r in catalog.sources_of(library.name)})


def pools(con: DuckDBPyConnection, catalog: Catalog, *, people: int, seed: int) -> None:
    """`<department>.<resource>`, clean, as a first delivery would fill them; no findings."""
    feeds = truth.build(con, catalog, people=people, seed=seed, start=START)
    con.execute("CREATE SCHEMA quality; CREATE SCHEMA base; CREATE TABLE quality.excepted (finding_id VARCHAR)")
    con.execute(f"CREATE TABLE quality.findings ({', '.join(f'{name(c)} {kind}' for c, kind in FINDINGS.items())})")
    for department in {feed.resource.department for feed in feeds}:
        con.execute(f"CREATE SCHEMA {name(department)}")
    for feed in feeds:
        typed = ", ".join(
            f"TRY_CAST({name(c)} AS {column.sql_type}) AS {name(c)}" for c, column in feed.resource.columns.items()
        )
        con.execute(
            f"CREATE TABLE {name(feed.resource.department)}.{name(feed.resource.name)} AS"
            f" SELECT {typed}, _key AS _record_key, 'd' AS _delivery_id, DATE '{START}' AS _as_of FROM {feed.table}"
        )


def nodes(con: DuckDBPyConnection, catalog: Catalog, library: Library) -> tuple[int, int]:
    """Records and entities as tables of nodes; returns how many."""
    witnesses = sources.sources(catalog, library)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {sources.LINKS.removeprefix('temp.')} ({sources.LINK_COLUMNS})")
    con.execute(sources.macros(library))
    con.execute(sources.marks_sql(catalog, library))
    records = identity_nodes.write_records(con, library, witnesses)
    return records, identity_nodes.write_entities(con, library, witnesses, records)


def link(con: DuckDBPyConnection, stated: Identity, model: Model, *, once: Sequence[tuple[str, str]] = ()) -> None:
    """`identity_links.LINKS` of records never linked before."""
    identity.ask(con, stated, model)
    con.execute(
        f"CREATE OR REPLACE TABLE {identity_links.BEFORE} (department VARCHAR, resource VARCHAR, record_key VARCHAR,"
        " entity_key VARCHAR, how VARCHAR, weight DOUBLE, probability DOUBLE, model VARCHAR, explanation VARCHAR,"
        " since DATE, content UBIGINT)"
    )
    identity_links.join_up(con, stated, model.id, replay(()), START, once=once)


def outcome(con: DuckDBPyConnection, catalog: Catalog) -> dict[str, int]:
    """Records by what became of them. Pairs of records of a person whom nobody knows must be one entity."""
    without = [r for r in catalog.resources.values() if r.describes and r.describes.by is None]
    said = " UNION ALL ".join(
        f"SELECT {quote(r.department)} AS department, {quote(r.name)} AS resource, f._key AS record_key,"
        f" f._entity AS person, p.id_number FROM feed.{name(r.id)} f LEFT JOIN person p ON f._entity = 'p' || p.n"
        for r in without
    )
    row = con.execute(f"""
        WITH judged AS (
            SELECT t.*, l.entity_key, starts_with(l.entity_key, '#') AS founded,
                count(*) OVER (PARTITION BY person) AS of_person,
                count(*) OVER (PARTITION BY person, l.entity_key) AS of_both,
                count(*) OVER (PARTITION BY l.entity_key) AS of_entity
            FROM ({said}) t JOIN {identity_links.LINKS} l USING (department, resource, record_key)
        )
        SELECT count(*), count(*) FILTER (id_number IS NOT NULL), count(*) FILTER (entity_key = id_number),
            count(*) FILTER (id_number IS NULL),
            count(*) FILTER (id_number IS NULL AND founded AND of_both = of_person),
            count(*) FILTER (entity_key IS NULL),
            count(*) FILTER (
                NOT founded AND entity_key IS DISTINCT FROM id_number OR founded AND of_entity <> of_both)
        FROM judged""").fetchone()
    told = ("records", "known", "known_linked", "unknown", "unknown_together", "waiting", "false_merges")
    return dict(zip(told, row or (), strict=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    whole = load_catalog(CATALOGUE)
    library = whole.libraries["population"]
    catalog = of_library(whole, library)
    with duckdb.connect() as con:
        con.execute(macros.SQL)
        pools(con, catalog, people=options.people, seed=options.seed)
        con.execute(vocabulary(whole.code_file(DIVISIONS).parent))
        began, worked = time.monotonic(), time.process_time()
        _, entities = nodes(con, catalog, library)
        model = identity.stored_model(whole, library)
        if options.train:
            with identity.working(con) as cursor:
                model = identity_training.learn(cursor, library)
            options.train.write_text(model.as_json(), encoding="utf-8")
        assert model, "no model stands in the catalogue: use --train"
        assert library.identity
        link(con, library.identity, model, once=identity.once(sources.sources(catalog, library)))
        told: dict[str, object] = {"people": options.people, "entities": entities, **outcome(con, catalog)}
        told |= {"wall_s": round(time.monotonic() - began, 1), "cpu_s": round(time.process_time() - worked, 1)}
        told["model"] = model.id
    if options.json:
        print(json.dumps(told))
        return
    for feature, levels in model.weights().items():
        print(f"{feature:>16}  " + "  ".join(f"{level} {bits:+.1f}" for level, bits in levels.items()))
    print("\n".join(f"{key:>16}  {value}" for key, value in told.items()))


if __name__ == "__main__":
    main()
