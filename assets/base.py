"""Base libraries: one generic arbitration from the library YAML, and the findings where sources disagree.

Every attribute of every entity takes its value from the best source that states one: the authority, then the
substitutes in their order, then the others by the attribute's rule. All of that is one number per value
(`Source.standing`), so the winner is a minimum and the order in which departments arrive cannot matter.

One pass over all records brings together, per entity, the smallest and largest value of each attribute, the best
standing and a bit per source that spoke. Where smallest and largest are the same, nearly everywhere, that says it all;
the others are settled by `quality_checks.disputes` from a second look at their records.

A new library is a YAML file. Code goes here only when arbitration itself changes; what a source may say is
`quality_checks.sources`, who is accused is `quality_checks.comparison`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import duckdb
from duckdb import DuckDBPyConnection

from assets import history, increment
from catalog.load import Catalog
from catalog.models import Library
from quality_checks import comparison, disputes, findings, independence, library_counts
from quality_checks.macros import name, quote
from quality_checks.matrix import bit, grounds_sql, masks, winner
from quality_checks.results import RuleResult
from quality_checks.sources import (
    CHANGED,
    EVALUATED,
    LINK_COLUMNS,
    LINKS,
    MARKS,
    MAX_INDEX,
    MAX_RANK,
    SPELLINGS,
    Source,
    listed_ranks,
    prepared,
    sources,
    spellings_sql,
    standing_as_of,
    suppliers,
    taken,
)
from resources.city import City
from resources.guard import transaction

ENTITIES = "temp.library_entities"  # one row per entity: `key, _sources`, and what `entities_sql` says per attribute


@dataclass(frozen=True)
class BaseResult:
    """What building one library came to: `entities` rows, from `sources` resources, and the comparison's results.

    `touched` entities were looked at, `told` says whether that is all of them and why; `changed` came, were replaced
    or left.
    """

    entities: int
    sources: int
    results: list[RuleResult]
    touched: int
    changed: int
    told: str


def build(city: City, library: Library, as_of: date, *, author: str, full: bool = False) -> BaseResult:
    """Arbitrate `library` from the pools as they are, replace `base.<library>` and merge the sources' disagreements.

    Args:
        city: the open city.
        library: what to build.
        as_of: the business day of the pass; findings carry it.
        author: run id, the author of the lake commit.
        full: arbitrate all entities, also those that nothing new was said of.
    """
    made = _Build(city, library, as_of, full)
    try:
        return city.commit("city", made.write, author=author, message=f"base.{library.name}", first=made.prepare)
    finally:
        with suppress(duckdb.Error):  # whatever ended the build has more to say
            made.forget()


class _Build:
    """One build. An increment is read in one transaction and worked out before the next, in which it is written; all
    of the library is read where it is written.
    """

    def __init__(self, city: City, library: Library, as_of: date, full: bool) -> None:
        self.city = city
        self.catalog = city.catalog
        self.library = library
        self.as_of = as_of
        self.full = full

    def prepare(self, con: DuckDBPyConnection) -> None:
        """Find what is to be built; arbitrate what is touched."""
        with transaction(con):
            take_links(con, self.library)
            decided = {"groups": independence.take_groups(con, self.library)}
            self.plan = increment.plan(self.city, con, self.library, self.as_of, full=self.full, decided=decided)
            self.touched = not self.plan.full
            witnesses = read(con, self.catalog, self.library, touched=True) if self.touched else []
        if self.touched:
            self._settle(con, witnesses)

    def write(self, con: DuckDBPyConnection) -> BaseResult:
        """Bring the library, its history and the findings to what was arbitrated."""
        library, table = self.library, f"base.{self.library.name}"
        if not self.touched:
            self._settle(con, read(con, self.catalog, library))
            disputes.create(con, SPELLINGS, spellings_sql(sources(self.catalog, library)))
        written = history.write(con, library, self.rows, self.as_of, touched=self.touched)
        increment.keep_spellings(con, library, self.plan)
        increment.record(con, library, self.plan)
        results = comparison.results(con, self.catalog, library, table, shifted=self.touched)
        records = EVALUATED if self.touched else None
        findings.merge(con, comparison.VIOLATIONS, results, self.as_of, records=records, steady=True)
        library_counts.count(con, self.catalog, library, self.as_of)
        [entities] = con.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)
        scope = self.plan.touched if self.touched else entities
        return BaseResult(
            entities, len(sources(self.catalog, library)), results, scope, written.changed, self.plan.told
        )

    def _settle(self, con: DuckDBPyConnection, witnesses: Sequence[Source]) -> None:
        settled = settle(con, self.catalog, self.library, witnesses)
        rows = table_sql(self.catalog, self.library, settled)
        self.rows = history.prepare(con, self.library, rows, self.as_of, touched=self.touched)

    def forget(self) -> None:
        """Give back the memory."""
        tables = [table(a) for a in self.library.attributes for table in (_grounds, disputes.settled)]
        kept = [source.kept for source in sources(self.catalog, self.library)]
        disputes.drop(self.city.con, [ENTITIES, comparison.VIOLATIONS, history.ROWS, *tables, *kept])


def take_links(con: DuckDBPyConnection, library: Library) -> None:
    """Write the library's identity links where the sources look for them."""
    columns = ", ".join(column.split()[0] for column in LINK_COLUMNS.split(", "))
    disputes.create(con, LINKS, f"SELECT {columns} FROM base._links WHERE library = {quote(library.name)}")


def arbitrate(con: DuckDBPyConnection, catalog: Catalog, library: Library, *, touched: bool = False) -> list[str]:
    """Write `ENTITIES`, the temporary tables `table_sql` reads beside it, and `comparison.VIOLATIONS`.

    With `touched` only the entities whose keys stand in `sources.TOUCHED` are looked at, and the records whose findings
    that decides are written to `sources.EVALUATED`, for `findings.merge`.

    Returns:
        the attributes on which some sources differ.

    Raises:
        ValueError: when the library has more sources or ranks than a standing can tell apart.
    """
    return settle(con, catalog, library, read(con, catalog, library, touched=touched))


def read(con: DuckDBPyConnection, catalog: Catalog, library: Library, *, touched: bool = False) -> list[Source]:
    """The sources as `settle` takes them: what they say of touched entities is written down, else it is yet to read."""
    witnesses = prepared(con, catalog, library, touched=touched)
    _check_limits(library, witnesses)
    return [taken(con, source) for source in witnesses] if touched else witnesses


def settle(con: DuckDBPyConnection, catalog: Catalog, library: Library, witnesses: Sequence[Source]) -> list[str]:
    """Arbitrate what the sources say; see `arbitrate`."""
    said = f"({statements_sql(library, witnesses)})"
    disputes.create(con, ENTITIES, entities_sql(library, witnesses, said))
    disputed = disputes.disputed_in(con, library, ENTITIES)
    if written_down := any(source.taken for source in witnesses):
        disputes.create(con, EVALUATED, _evaluated_sql(witnesses))
    else:
        disputes.gather(con, list(disputed), ENTITIES, said)
    for attribute in library.attributes:
        if suppliers(witnesses, attribute):
            disputes.create(con, _grounds(attribute), grounds_sql(witnesses, attribute, ENTITIES))
    comparison.compare(con, catalog, witnesses, disputed, entities=ENTITIES, said=said if written_down else None)
    return list(disputed)


def _evaluated_sql(witnesses: Sequence[Source]) -> str:
    """Records of an increment: those that changed, all of its entities, and, which may accuse nobody, those that are
    blocked.
    """
    spoken = "".join(
        f" UNION ALL SELECT {quote(source.resource.department)}, {quote(source.resource.name)}, _record_key"
        f" FROM {source.taken}"
        for source in witnesses
    )
    return (
        f"SELECT department, resource, record_key FROM {CHANGED}{spoken}"
        f" UNION ALL SELECT department, resource, _record_key FROM {MARKS} WHERE _blocked"
    )


def _grounds(attribute: str) -> str:
    return f"temp.{name('library_grounds_' + attribute)}"


def _check_limits(library: Library, witnesses: Sequence[Source]) -> None:
    most = max(listed_ranks(attribute) for attribute in library.attributes.values())
    if len(witnesses) > MAX_INDEX or most > MAX_RANK:
        raise ValueError(
            f"libraries/{library.name}.yaml: {len(witnesses)} sources, {most} departments named for one attribute;"
            f" allowed are at most {MAX_INDEX} and {MAX_RANK}"
        )


def entities_sql(library: Library, witnesses: Sequence[Source], said: str) -> str:
    """One row per entity of the statements, and one for nobody: `key, _sources` (records that speak of it), per
    attribute `v_` (the smallest value), `b_` (whether there is another), `k_` (the best standing), and the columns
    of `matrix.masks`.
    """
    columns = ["key", "count(*)::INTEGER AS _sources"]
    for attribute in library.attributes:
        value, standing, both = (name(kind + attribute) for kind in ("v_", "k_", "b_"))
        columns += [
            f"min({value}) AS {value}",
            f"min({value}) <> max({value}) AS {both}",
            f"min({standing}) AS {standing}",
        ]
        columns += [f"bit_or({mask.column}) AS {mask.column}" for mask in masks(witnesses, attribute)]
    return f"SELECT {', '.join(columns)} FROM {said} GROUP BY key"


def statements_sql(library: Library, witnesses: Sequence[Source]) -> str:
    """One row per record: `key, src, _record_key, _delivery_id` (`src`: index of its source), per attribute `v_` (what
    it says), `k_` (its standing) and the columns of `matrix.masks`.
    """
    return " UNION ALL ".join(_said_sql(library, witnesses, source) for source in witnesses) or _nothing(library)


def _said_sql(library: Library, witnesses: Sequence[Source], source: Source) -> str:
    columns = ["key", f"{source.index}::SMALLINT AS src", "_record_key", "_delivery_id"]
    for attribute, stated in library.attributes.items():
        value, standing = name("v_" + attribute), name("k_" + attribute)
        supplied = attribute in source.resource.supplies
        stating = suppliers(witnesses, attribute)
        columns.append(value if supplied else f"NULL::{stated.as_column().sql_type} AS {value}")
        columns.append(f"{source.standing(attribute) if supplied else 'NULL::BIGINT'} AS {standing}")
        for mask in masks(witnesses, attribute):
            said = bit(source, mask, stating) if supplied else None
            columns.append(f"{said or 'NULL::BIGINT'} AS {mask.column}")
    return f"SELECT {', '.join(columns)} FROM ({source.relation()})"


def table_sql(catalog: Catalog, library: Library, disputed: Sequence[str]) -> str:
    """The rows of `base.<library>` from what `arbitrate` wrote, all columns but those that history adds."""
    witnesses = sources(catalog, library)
    joins = []
    columns = [f"md5({quote(library.name + '|')} || e.key)::UUID AS entity_id"]
    columns.append(f"CASE WHEN e.key NOT LIKE '#%.%|%' THEN e.key END AS {name(library.key)}")
    for number, attribute in enumerate(library.attributes):
        if not suppliers(witnesses, attribute):
            kind = library.attributes[attribute].as_column().sql_type
            columns.append(f"NULL::{kind} AS {name(attribute)}")  # the other columns are null unless written
            continue
        ground, dispute = f"g{number}", f"d{number}" if attribute in disputed else None
        standing = name("k_" + attribute)
        on = [f"{ground}.{mask.column} IS NOT DISTINCT FROM e.{mask.column}" for mask in masks(witnesses, attribute)]
        on.append(f"{ground}.winner = {winner(f'e.{standing}')}")
        joins.append(f"LEFT JOIN {_grounds(attribute)} {ground} ON {' AND '.join(on)}")
        if dispute:
            joins.append(f"LEFT JOIN {disputes.settled(attribute)} {dispute} ON {dispute}.id = e.rowid")
        columns += _believed(attribute, ground, dispute)
    known = f"SELECT {', '.join(columns)}, e._sources FROM {ENTITIES} e {' '.join(joins)} WHERE e.key IS NOT NULL"
    begins, ends = (f"CAST(({day or 'NULL'}) AS DATE)" for day in (library.begins, library.ends))
    return f"SELECT *, {begins} AS began_on, {ends} AS ended_on FROM ({known})"


def _believed(attribute: str, ground: str, dispute: str | None) -> list[str]:
    """The five columns of an attribute: settled where it was in dispute, else what all say."""
    value, standing = (f"e.{name(kind + attribute)}" for kind in ("v_", "k_"))
    stands = {
        "": (f"CASE WHEN {ground}.source IS NOT NULL THEN {value} END", "v"),
        "_source": (f"{ground}.source", "source"),
        "_as_of": (f"CASE WHEN {ground}.source IS NOT NULL THEN {standing_as_of(standing)} END", None),
        "_outcome": (f"{ground}.outcome", "outcome"),
        "_said": (f"{ground}.said", "said"),
    }
    if not dispute:
        return [f"{agreed} AS {name(attribute + part)}" for part, (agreed, _) in stands.items()]
    as_of = f"CASE WHEN {dispute}.source IS NOT NULL THEN {standing_as_of(f'{dispute}.k')} END"
    return [
        f"CASE WHEN {dispute}.id IS NULL THEN {agreed} ELSE {f'{dispute}.{field}' if field else as_of} END"
        f" AS {name(attribute + part)}"
        for part, (agreed, field) in stands.items()
    ]


def _nothing(library: Library) -> str:
    columns = "".join(
        f", NULL::{stated.as_column().sql_type} AS {name('v_' + attribute)}, NULL::BIGINT AS {name('k_' + attribute)}"
        for attribute, stated in library.attributes.items()
    )
    return f"SELECT NULL::VARCHAR AS key{columns} WHERE false"
