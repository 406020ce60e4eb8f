"""What the city believed when: an arbitrated library written as the difference to what is believed already.

`base.<library>` holds what is believed, `history.<library>` every version that is believed no more. Nothing is
overwritten: a row that comes out differently moves to the history with the business day on which it was replaced, an
entity nobody speaks of any more leaves the base the same way, and one that has ended stays, with no source.

A row equals what is believed when everything but its as-of dates does: restating a value changes nothing, so the date
beside a value is that of the delivery with which this value from this source came to be believed. How the values are
found is `assets.base`, which entities are looked at is `assets.increment`, how to ask is `resources.believed`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from duckdb import DuckDBPyConnection

from catalog.models import Library
from quality_checks import comparison
from quality_checks.macros import gathered, name, quote
from quality_checks.sources import TOUCHED

ROWS = "temp.library_rows"  # of an increment: the touched entities as arbitrated, with `_hash`
OWN = ("_hash", "_believed_from")  # columns of base that the writing itself fills


@dataclass(frozen=True)
class Written:
    """What writing a library changed, in entities: new ones, replaced ones, ones that left; the others stayed."""

    came: int
    replaced: int
    left: int

    @property
    def changed(self) -> int:
        return self.came + self.replaced + self.left


def prepare(con: DuckDBPyConnection, library: Library, rows: str, as_of: date, *, touched: bool = False) -> str:
    """The rows as `write` takes them: in the types of the base and with their hash.

    Those of an increment are written down and compared with what is believed, which must not change before `write`.

    Args:
        con: the lake.
        library: what was arbitrated.
        rows: query with one row per entity somebody speaks of and the columns of the base, except `OWN`.
        as_of: the business day.
        touched: `rows` holds the entities of `TOUCHED` alone; all others stay as they are.

    Raises:
        ValueError: the base has no column for one of theirs.
    """
    types = _types(con, library)
    fresh = f"SELECT *, {_hash(library, types)} AS _hash FROM ({_typed(con, library, types, rows)})"
    if not touched:
        return fresh
    con.execute(f"CREATE OR REPLACE TEMP TABLE {ROWS.removeprefix('temp.')} AS {fresh}")
    _compare(con, library, ROWS, as_of, touched=True)
    return f"FROM {ROWS}"


def write(con: DuckDBPyConnection, library: Library, fresh: str, as_of: date, *, touched: bool = False) -> Written:
    """Make `base.<library>` equal to the rows and keep what it said before; call it inside a commit's work.

    Args:
        con: the lake, in a transaction.
        library: what was arbitrated.
        fresh: the rows as `prepare` gives them.
        as_of: the business day, from which the new versions are believed and to which the old ones were.
        touched: as `prepare` was told.
    """
    base = f"base.{name(library.name)}"
    if not touched:
        con.execute(f"DELETE FROM {base} WHERE entity_id IS NULL")  # rows of an earlier version of the program
    if con.execute(f"SELECT 1 FROM {base} LIMIT 1").fetchone() is None:
        came = _number(con, f"INSERT INTO {base} BY NAME SELECT *, {_day(as_of)} FROM ({fresh})")
        return Written(came, 0, 0)
    if not touched:
        con.execute(f"CREATE OR REPLACE TEMP TABLE _fresh AS SELECT entity_id, _hash FROM ({fresh})")
        _compare(con, library, "_fresh", as_of, touched=False)
    before = "SELECT k.* EXCLUDE (id, ended), o.silent, o.ended FROM _known k JOIN _out o USING (id)"
    if touched:
        comparison.shift(con, library, f"{fresh} UNION ALL BY NAME {_kept_sql(library)}", "FROM _known")
    else:
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE _before AS SELECT b.*, o.silent, o.ended FROM {base} b JOIN _out o"
            " ON b.rowid = o.id"
        )
        before = "SELECT * FROM _before"
    con.execute(
        f"INSERT INTO history.{name(library.name)} BY NAME SELECT * EXCLUDE (silent, ended),"
        f" DATE '{as_of}' AS _believed_to FROM ({before})"
    )
    came, replaced, left = _counted(con)
    if replaced + left:
        con.execute(f"DELETE FROM {base} WHERE rowid IN (SELECT id FROM _out)")
    if came + replaced:
        con.execute(f"INSERT INTO {base} BY NAME {_next_sql(library, fresh, before, _types(con, library), as_of)}")
    con.execute("; ".join(f"DROP TABLE IF EXISTS _{t}" for t in ("fresh", "known", "out", "come", "before")))
    return Written(came, replaced, left)


def entity_id(library: Library, key: str) -> str:
    """SQL of the id of an entity, the same for ever, from SQL of its entity key."""
    return f"CAST(md5({quote(library.name + '|')} || {key}) AS UUID)"


def _types(con: DuckDBPyConnection, library: Library) -> dict[str, str]:
    """The columns of the base and their types, except `OWN`."""
    described = con.execute(f"DESCRIBE base.{name(library.name)}").fetchall()
    return {column: kind for column, kind, *_ in described if column not in OWN}


def _typed(con: DuckDBPyConnection, library: Library, types: Mapping[str, str], rows: str) -> str:
    """The rows as the table's types hold them, so that their hash is that of what is stored; null where one lacks."""
    given = {column for column, *_ in con.execute(f"DESCRIBE {rows}").fetchall()}
    if strange := ", ".join(sorted(given - types.keys())):
        raise ValueError(f"base.{library.name} has no column {strange} to put the library's values in")
    columns = (f"CAST({name(c) if c in given else 'NULL'} AS {kind}) AS {name(c)}" for c, kind in types.items())
    return f"SELECT {', '.join(columns)} FROM ({rows})"


def _hash(library: Library, columns: Collection[str]) -> str:
    """SQL of the hash by which two versions of an entity are equal: over everything but the as-of dates."""
    listed = set(columns) - {f"{attribute}_as_of" for attribute in library.attributes}
    return f"hash({', '.join(map(name, sorted(listed)))})"


def _compare(con: DuckDBPyConnection, library: Library, fresh: str, as_of: date, *, touched: bool) -> None:
    """Write `_known`, what is believed, `_out`, versions believed no more, and `_come`, entities whose row is new.

    An entity that has ended by `as_of` and of which nobody speaks is `silent` and `ended`: it stays, without a source.
    Of an increment `_known` is the touched entities' rows; of a full build the columns that this here asks for.
    """
    columns, among = "b.entity_id, b._hash, b._sources", ""
    if touched:
        ids = f"SELECT {entity_id(library, 'key')} AS entity_id FROM {TOUCHED}"
        columns, among = "b.*", f" SEMI JOIN ({ids}) t ON t.entity_id = b.entity_id"
    known = (
        f"SELECT b.rowid AS id, {columns}, coalesce(b.ended_on <= DATE '{as_of}', false) AS ended"
        f" FROM base.{name(library.name)} b{among}"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE _known AS {gathered(known) if touched else known};"
        "CREATE OR REPLACE TEMP TABLE _out AS SELECT o.id, n.entity_id IS NULL AS silent, o.ended"
        f" FROM _known o LEFT JOIN {fresh} n USING (entity_id)"
        " WHERE n._hash IS DISTINCT FROM o._hash AND (n.entity_id IS NOT NULL OR o._sources > 0);"
        f"CREATE OR REPLACE TEMP TABLE _come AS SELECT entity_id FROM {fresh} n"
        " ANTI JOIN _known o ON o.entity_id = n.entity_id AND o._hash = n._hash"
    )


def _kept_sql(library: Library) -> str:
    """Touched entities that stay though nobody speaks of them."""
    return (
        f"SELECT * EXCLUDE (id, ended) REPLACE ({_silenced(library)}) FROM _known ANTI JOIN {ROWS} USING (entity_id)"
        " WHERE ended OR _sources = 0"
    )


def _silenced(library: Library) -> str:
    """What each source says of an entity of which none says anything any more."""
    return ", ".join(f"repeat('-', length({name(a + '_said')})) AS {name(a + '_said')}" for a in library.attributes)


def _counted(con: DuckDBPyConnection) -> tuple[int, int, int]:
    """Entities that came, were replaced, left."""
    counts = "count(*) FILTER (NOT silent OR ended), count(*) FILTER (silent AND NOT ended), count(*) FILTER (silent)"
    replaced, left, silent = con.execute(f"SELECT {counts} FROM _out").fetchone() or (0, 0, 0)
    come = _number(con, "SELECT count(*) FROM _come")
    return come - (replaced - (silent - left)), replaced, left


def _next_sql(library: Library, fresh: str, before: str, types: Collection[str], as_of: date) -> str:
    """The new versions: as-of dates carried over while value and source stay; ended entities without a source."""
    carried = []
    for attribute in library.attributes:
        value, source, day = (name(attribute + kind) for kind in ("", "_source", "_as_of"))
        same = f"(n.{value}, n.{source}) IS NOT DISTINCT FROM (o.{value}, o.{source})"
        carried.append(f"CASE WHEN {same} THEN coalesce(o.{day}, n.{day}) ELSE n.{day} END AS {day}")
    came = (
        f"SELECT n.* REPLACE ({', '.join(carried)}) FROM ({fresh}) n SEMI JOIN _come USING (entity_id)"
        f" LEFT JOIN ({before}) o USING (entity_id)"
    )
    stayed = (
        f"SELECT * EXCLUDE (silent, ended, {', '.join(OWN)}) REPLACE (0 AS _sources, {_silenced(library)})"
        f" FROM ({before}) WHERE silent AND ended"
    )
    stayed = f"SELECT *, {_hash(library, types)} AS _hash FROM ({stayed})"
    return f"SELECT *, {_day(as_of)} FROM (({came}) UNION ALL BY NAME ({stayed}))"


def _day(as_of: date) -> str:
    return f"DATE '{as_of}' AS _believed_from"


def _number(con: DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0
