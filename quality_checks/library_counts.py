"""What a library's sources come to, counted from the library itself once per build.

Of each attribute: how many entities have which outcome, and how many values each source states that agree with the
library, differ from it, or are missing (多源比对). Of each declared coverage: how many entities one source speaks of,
and how many of them another one knows. All of it stands in `base.<library>`: `<a>_outcome`, and `<a>_said`, one letter
per source that supplies the attribute (`A`, `a` agrees; `D`, `d` differs; `-` says nothing; capitals were compared with
the winner), so the pools are not read again.

Counts are stored in the lake beside the library, one set per library, replaced by its next build. Who exactly is
missing is a question to the library, never a line in a report: `missing.<library>('<coverage>')` in `shuyuan sql`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date

from duckdb import BinderException, CatalogException, DuckDBPyConnection

from catalog.coverage import Coverage
from catalog.load import Catalog
from catalog.models import Library, Resource
from quality_checks.comparison import SAID
from quality_checks.macros import name, quote
from quality_checks.sources import Source, sources


def count(con: DuckDBPyConnection, catalog: Catalog, library: Library, as_of: date) -> None:
    """Replace the library's rows of `base._agreement`, `_outcomes`, `_coverage` and `_said`; part of its build.

    `comparison.results` has written `SAID`.
    """
    witnesses = sources(catalog, library)
    stamp = f"{quote(library.name)} AS library, DATE '{as_of}' AS as_of"
    for table, rows in (
        ("_agreement", agreement_sql(library, witnesses)),
        ("_outcomes", f"SELECT attribute, outcome, sum(entities)::BIGINT AS entities FROM {SAID} GROUP BY ALL"),
        ("_coverage", coverage_sql(library, witnesses)),
    ):
        _replace(con, f"base.{table}", library, f"SELECT {stamp}, * FROM ({rows})")
    _replace(con, "base._said", library, f"SELECT {quote(library.name)} AS library, * FROM {SAID}")


def _replace(con: DuckDBPyConnection, table: str, library: Library, rows: str) -> None:
    """Make the library's rows of the table equal to the query; nothing is written where they are."""
    con.execute(f"CREATE OR REPLACE TEMP TABLE library_counted AS {rows}")
    kept = f"FROM {table} WHERE library = {quote(library.name)}"
    columns = [str(column) for column, *_ in con.execute("DESCRIBE temp.library_counted").fetchall()]
    listed = ", ".join(map(name, columns))
    fresh, there = f"SELECT {listed} FROM temp.library_counted", f"SELECT {listed} {kept}"
    [(apart,)] = con.execute(
        f"SELECT count(*) FROM (({fresh} EXCEPT ALL {there}) UNION ALL ({there} EXCEPT ALL {fresh}))"
    ).fetchall()
    if apart:
        con.execute(f"DELETE {kept}; INSERT INTO {table} BY NAME FROM temp.library_counted")
    con.execute("DROP TABLE temp.library_counted")


def agreement_sql(library: Library, witnesses: Sequence[Source]) -> str:
    """One row per attribute and source that supplies it, from `SAID`; agrees + differs + silent are all entities."""
    stated = " UNION ALL ".join(
        f"SELECT attribute, {quote(r.department)} AS department, {quote(r.name)} AS resource,"
        f" {_letter('said', place)} AS letter, entities FROM {SAID} WHERE attribute = {quote(attribute)}"
        for attribute in library.attributes
        for place, r in enumerate(_supplying(witnesses, attribute))
    )
    counted = ", ".join(
        f"coalesce(sum(entities) FILTER (letter IN ({', '.join(map(quote, letters))})), 0)::BIGINT AS {column}"
        for column, letters in (
            ("agrees", "Aa"),
            ("differs", "Dd"),
            ("silent", "-"),
            ("compared", "AD"),
            ("compared_differs", "D"),
        )
    )
    return f"SELECT attribute, department, resource, {counted} FROM ({stated}) GROUP BY attribute, department, resource"


def _supplying(witnesses: Sequence[Source], attribute: str) -> list[Resource]:
    return [source.resource for source in witnesses if attribute in source.resource.supplies]


def _letter(said: str, place: int) -> str:
    """What the source at that place says: of an entity without a value nobody says anything."""
    return f"coalesce(nullif(substr({said}, {place + 1}, 1), ''), '-')"


def coverage_sql(library: Library, witnesses: Sequence[Source]) -> str:
    """One row per coverage: `denominator` entities `source` speaks of, `numerator` known in `expected_in` too."""
    counted = [
        f"SELECT {quote(pair)} AS pair, {quote(stated.of)} AS source,"
        f" [{', '.join(map(quote, stated.in_))}] AS expected_in,"
        f" count(*) FILTER ({_known(library, witnesses, stated)}) AS numerator, count(*) AS denominator"
        f" FROM base.{name(library.name)} WHERE {_expected(library, witnesses, stated)}"
        for pair, stated in library.coverage.items()
    ]
    nothing = "SELECT NULL AS pair, NULL AS source, NULL AS expected_in, 0 AS numerator, 0 AS denominator WHERE false"
    return " UNION ALL ".join(counted) or nothing


def _expected(library: Library, witnesses: Sequence[Source], stated: Coverage) -> str:
    return f"({stated.when}) AND ({_speaks(library, witnesses, stated.of)})"


def _known(library: Library, witnesses: Sequence[Source], stated: Coverage) -> str:
    return " OR ".join(_speaks(library, witnesses, source) for source in stated.in_)


def _speaks(library: Library, witnesses: Sequence[Source], resource: str) -> str:
    """Whether the source says anything of the entity, as SQL over the library."""
    letters = []
    for attribute in library.attributes:
        places = [source.id for source in _supplying(witnesses, attribute)]
        if resource in places:
            letters.append(f"{_letter(name(attribute + '_said'), places.index(resource))} <> '-'")
    return " OR ".join(letters)


def define_missing(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """Define `missing.<library>(coverage)`, a table macro of each library that declares some, on this connection.

    A library that the lake does not hold yet as the catalogue has it gets its macro after the next run.
    """
    con.execute("ATTACH IF NOT EXISTS ':memory:' AS missing")
    for library in catalog.libraries.values():
        if library.coverage:
            rows = " UNION ALL ".join(_missing(library, sources(catalog, library)))
            with suppress(CatalogException, BinderException):
                con.execute(f"CREATE OR REPLACE MACRO missing.{name(library.name)}(asked) AS TABLE {rows}")


def _missing(library: Library, witnesses: Sequence[Source]) -> Iterator[str]:
    """Of each coverage the entities that are missing; an unknown coverage is an error, not an empty answer."""
    known = ", ".join(map(quote, library.coverage))
    wrong = quote(f" is no coverage of {library.name}; there are: {', '.join(library.coverage)}")
    for pair, stated in library.coverage.items():
        yield (
            f"SELECT {quote(pair)} AS pair, entity_id, {name(library.key)} FROM city.base.{name(library.name)}"
            f" WHERE CASE WHEN asked IN ({known}) THEN asked = {quote(pair)} ELSE error(asked || {wrong}) END"
            f" AND {_expected(library, witnesses, stated)} AND NOT ({_known(library, witnesses, stated)})"
        )
