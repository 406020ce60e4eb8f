"""What each source says of a library's entities, as SQL: the one relation that arbitration and comparison both read.

A source is a resource that describes the library (`catalog.sources_of`). Here stand its entity key, the values it
supplies, which of them are in doubt, their rank by the library's YAML, and with whom it speaks in one voice. Who wins
is `assets.base` and, where values differ, `quality_checks.disputes`; `quality_checks.comparison` tells departments.

Records with an open finding of severity `block` are left out; a value with an open finding (other than info) on the
column it comes from is doubted: it stands only when nobody else says anything, it accuses nobody and has no vote. An
upheld objection restores both: its finding marks nothing (`quality.excepted`). Rules
that are evaluated after the libraries (those that look into a library, thematic rules, the comparisons) mark nothing
here: a library that depended on them would come out differently when the same pass is run again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from duckdb import DuckDBPyConnection

from catalog.authority import Term
from catalog.columns import ColumnType
from catalog.load import Catalog
from catalog.models import Attribute, Library, Resource
from quality_checks.macros import gathered, name, quote
from quality_checks.rules import looks_around, thematic_rules

# Temporary tables. `LINKS` is written by the stage that finds identities: keys and records whose entity is not what
# their own key says; `GROUPS` names for each source the first of its group, where some were found to share errors. Of
# an increment `TOUCHED` holds the entity keys, `CHANGED` the records that changed, gone ones too, `SPELLINGS` how
# records write the keys otherwise; they are written by whoever decides what it is; what the records of `TOUCHED` say is
# in a table of each source. `EVALUATED` are the records whose findings it decides.
MARKS = "temp.library_marks"
LINKS = "temp.library_links"
GROUPS = "temp.library_groups"  # source VARCHAR, first VARCHAR
TOUCHED = "temp.library_touched"  # key VARCHAR
CHANGED = "temp.library_changed"  # department VARCHAR, resource VARCHAR, record_key VARCHAR
SPELLINGS = "temp.library_spellings"  # spelling VARCHAR, key VARCHAR: those that are not the key itself
EVALUATED = "temp.library_evaluated"  # as `CHANGED`
LINK_COLUMNS = (
    "kind VARCHAR, department VARCHAR, resource VARCHAR, record_key VARCHAR, alias_key VARCHAR, entity_key VARCHAR,"
    " how VARCHAR"
)

# A record that a model took for somebody with a number says nothing more of them: what it says told who it is, and
# where it differs nobody knows whether the link or the value is wrong. Once a person has confirmed it, it speaks.
CONCLUDED = "(how = 'model' AND NOT starts_with(entity_key, '#'))"

# A standing is muteness, doubt, rank, age of the as-of date where it counts, index of the source and age again, most
# significant first, in 1 + 1 + 7 + 17 + 12 + 17 bits of one BIGINT: the smallest standing wins. The last age tells the
# as-of date, and decides only between records of one source.
MUTE_BIT, DOUBT_BIT, RANK_BIT, AGE_BIT, INDEX_BIT = 54, 53, 46, 29, 17
MAX_RANK, MAX_DAY, MAX_INDEX = (1 << 7) - 1, (1 << 17) - 1, (1 << 12) - 1


def agreement_rule_id(library: Library, attribute: str) -> str:
    """Id of the rule that sources of `library` agree with the authority on `attribute`."""
    return f"{library.name}.{attribute}.agrees"


def doubt_rule_id(library: Library, attribute: str) -> str:
    """Id of the rule that independent sources of `library` do not contradict the authority on `attribute`."""
    return f"{library.name}.{attribute}.doubted"


@dataclass(frozen=True)
class Source:
    """One resource as a witness of one library's entities; `index` is its place among them by name.

    Whether any of its records is marked, linked or touched is known once `prepared` has looked; joins that would find
    nothing are left out.
    """

    library: Library
    resource: Resource
    index: int
    marked: bool = True
    linked_keys: bool = False
    linked_records: bool = False
    touched: bool = False
    taken: str = ""  # table of what its records say, if that was written already
    group: str = ""  # the first source of those that were found to share errors with it, itself perhaps

    @property
    def pool(self) -> str:
        """The resource's table."""
        return f"{name(self.resource.department)}.{name(self.resource.name)}"

    @property
    def kept(self) -> str:
        """The temporary table of what its records say, once `taken` has written it."""
        return f"temp.library_said_by_{self.index}"

    @property
    def identifying(self) -> list[str]:
        """Columns of the resource that say of whom a record speaks."""
        stated = self.resource.describes.model_dump(mode="json") if self.resource.describes else {}
        words = {word for value in stated.values() for word in re.findall(r"\w+", str(value))}
        return sorted(words & self.resource.columns.keys())

    def _read(self) -> str:
        """From what its records are read: the pool, or those whose entity may be touched.

        So keys and values are worked out, and joined with links and marks, of few records: among all of them they are
        found by their entity as it is written.
        """
        if not self.touched:
            return self.pool
        columns = {column for attribute in self.resource.supplies for column in self.supplying(attribute)}
        listed = sorted(columns & self.resource.columns.keys() | set(self.identifying))
        taken = ", ".join([*map(name, listed), "_record_key", "_delivery_id", "_as_of"])
        keys = f"SELECT key FROM {TOUCHED}"
        if self.linked_keys:
            keys += (
                f" UNION ALL SELECT alias_key FROM {LINKS} SEMI JOIN {TOUCHED} ON entity_key = key WHERE kind = 'key'"
            )
        written = f"{keys} UNION ALL SELECT spelling FROM {SPELLINGS} SEMI JOIN ({keys}) k USING (key)"
        query = f"SELECT {taken} FROM {self.pool} SEMI JOIN ({written}) w(_written) ON _written = {self.spelling}"
        if self.linked_records:
            records = f"SELECT record_key FROM {LINKS} SEMI JOIN {TOUCHED} ON entity_key = key"
            records += f" WHERE kind = 'record' AND {self._own()}"
            query += f" UNION SELECT {taken} FROM {self.pool} WHERE _record_key IN ({records})"
        return f"({gathered(query)})"

    @property
    def key(self) -> str:
        """The entity key as SQL over the resource's columns; NULL when the record names nobody."""
        named = self._named
        if named is None:
            return "NULL::VARCHAR"  # only its identity link says whom it means
        return f"nullif(CAST({key_macro(self.library)}({named}) AS VARCHAR), '')"

    @property
    def spelling(self) -> str:
        """The entity key as SQL over the resource's columns, as the record writes it."""
        return f"CAST({self._named or 'NULL'} AS VARCHAR)"

    @property
    def _named(self) -> str | None:
        if self.resource.describes is None:
            raise ValueError(f"{self.resource.id} describes no library")
        by = self.resource.describes.by
        return name(by) if by in self.resource.columns else by and f"({by})"

    def value(self, attribute: str) -> str:
        """What the record says, in the attribute's type. A value that does not fit the type says nothing."""
        said = self.resource.supplies[attribute]
        wanted = self.library.attributes[attribute].as_column().sql_type
        column = self.resource.columns.get(said)
        if column is None:
            return f"TRY_CAST(TRY({said}) AS {wanted})"
        return name(said) if column.sql_type == wanted else f"TRY_CAST({name(said)} AS {wanted})"

    def column(self, attribute: str) -> str:
        """The column a finding on the attribute points at: the supplying one, or the attribute if it is computed."""
        said = self.resource.supplies[attribute]
        return said if said in self.resource.columns else attribute

    def supplying(self, attribute: str) -> list[str]:
        """Columns of the resource that the value is made from, and the name its own findings carry."""
        words = set(re.findall(r"\w+", self.resource.supplies[attribute]))
        return sorted({self.column(attribute)} | (words & self.resource.columns.keys()))

    def speaks_as(self, origin: str) -> bool:
        """Whether an entry of the catalogue, a department or one resource of it, means this source."""
        return origin in (self.resource.department, self.resource.id)

    def rank(self, attribute: str) -> str:
        """Rank of the record's value as SQL over `key` and `_as_of`: 0 is best.

        Authorities come first, the present one before earlier ones; then the substitutes; then all others.
        """
        stated = self.library.attributes[attribute]
        first = authority_ranks(stated)
        named = [place for place, origin in enumerate(stated.substitutes) if self.speaks_as(origin)]
        below = str(first + (named[0] if named else len(stated.substitutes)))
        if stated.authority is None:
            return below
        if not stated.authority.by:
            return self._rank_in(stated.authority.terms, below)
        kinds = [(kind, self._rank_in(terms, below)) for kind, terms in stated.authority.of.items()]
        cases = " ".join(f"WHEN {quote(kind)} THEN {rank}" for kind, rank in kinds if rank != below)
        return f"(CASE CAST({stated.authority.by} AS VARCHAR) {cases} ELSE {below} END)" if cases else below

    def _rank_in(self, terms: Sequence[Term], below: str) -> str:
        cases = []
        for place, term in enumerate(terms):
            if not self.speaks_as(term.department):
                continue
            if term.from_ is term.to is None:
                return str(place)
            within = [*([f"_as_of >= DATE '{term.from_}'"] if term.from_ else [])]
            within += [*([f"_as_of <= DATE '{term.to}'"] if term.to else [])]
            cases.append(f"WHEN {' AND '.join(within)} THEN {place}")
        return f"(CASE {' '.join(cases)} ELSE {below} END)" if cases else below

    def fixed_rank(self, attribute: str) -> int | None:
        """The rank of all its records, if they have one."""
        rank = self.rank(attribute)
        return int(rank) if rank.isdigit() else None

    def may_be_authority(self, attribute: str) -> bool:
        """Whether it has the say on the attribute, of some kind of entity, at some time."""
        authority = self.library.attributes[attribute].authority
        return authority is not None and any(self.speaks_as(term.department) for term in authority.everyone())

    def standing(self, attribute: str) -> str:
        """Standing of the record's value as SQL over `relation()`; NULL when there is no value.

        A value in doubt stands behind all others: it is kept when nobody says better, and outranks nobody. One that may
        never stand (`otherwise: none`) is mute.
        """
        stated = self.library.attributes[attribute]
        unlisted = listed_ranks(stated)
        rank = self.fixed_rank(attribute)
        day = f"({MAX_DAY} - greatest(0, least({MAX_DAY}, date_diff('day', DATE '1970-01-01', _as_of))))"
        parts = [f"(({self.rank(attribute)})::BIGINT << {RANK_BIT})", f"{self.index << INDEX_BIT}", day]
        last = {"newest": f"({day} << {AGE_BIT})", "none": str(1 << MUTE_BIT)}.get(stated.otherwise)
        if last and rank is None:
            parts.append(f"CASE WHEN {self.rank(attribute)} = {unlisted} THEN {last} ELSE 0 END")
        elif last and rank == unlisted:
            parts.append(last)
        if self.marked:
            parts.append(f"CASE WHEN {self.doubted(attribute)} THEN {1 << DOUBT_BIT} ELSE 0 END")
        return f"CASE WHEN {name('v_' + attribute)} IS NOT NULL THEN {' + '.join(parts)} END"

    def relation(self) -> str:
        """One row per record that may speak: `key, _record_key, _delivery_id, _as_of, _doubted` and `v_<attribute>`.

        `key` is NULL where the record names nobody: a filter here would compute each key twice.
        """
        if self.taken:
            return f"FROM {self.taken}"
        values = "".join(f", {self.value(a)} AS {name('v_' + a)}" for a in sorted(self.resource.supplies))
        said = f"SELECT {self.key} AS key, _record_key, _delivery_id, _as_of{values} FROM {self._read()}"
        linked = "SELECT s.* REPLACE (coalesce(l.entity_key, s.key) AS key) FROM ({0}) s LEFT JOIN ({1}) l ON {2}"
        if self.linked_keys:
            aliases = f"SELECT alias_key, entity_key FROM {LINKS} WHERE kind = 'key'"
            said = linked.format(said, aliases, "l.alias_key = s.key")
        if self.linked_records:
            records = f"SELECT record_key, entity_key, {CONCLUDED} AS concluded FROM {LINKS} WHERE kind = 'record'"
            mute = "".join(
                f", CASE WHEN l.concluded THEN NULL ELSE s.{value} END AS {value}"
                for value in (name("v_" + a) for a in sorted(self.resource.supplies))
            )
            said = linked.replace(" AS key)", f" AS key{mute})").format(
                said, f"{records} AND {self._own()}", "l.record_key = s._record_key"
            )
        if self.touched:
            said = f"SELECT s.* FROM ({said}) s SEMI JOIN {TOUCHED} t USING (key)"
        if not self.marked:
            return said
        return (
            f"SELECT s.*, m._doubted FROM ({said}) s LEFT JOIN"
            f" (SELECT _record_key, _blocked, _doubted FROM {MARKS} WHERE {self._own()}) m"
            " USING (_record_key) WHERE m._blocked IS NOT TRUE"
        )

    def _own(self) -> str:
        return f"department = {quote(self.resource.department)} AND resource = {quote(self.resource.name)}"

    def doubted(self, attribute: str) -> str:
        """Whether the value has an open finding, as SQL over `relation()`."""
        columns = ", ".join(map(quote, self.supplying(attribute)))
        return f"CASE WHEN _doubted IS NOT NULL THEN list_has_any(_doubted, [{columns}]) ELSE false END"


def authority_ranks(attribute: Attribute) -> int:
    """How many ranks belong to authorities, one for each that had the say one after the other."""
    if attribute.authority is None:
        return 0
    return max(map(len, (attribute.authority.terms, *attribute.authority.of.values())))


def listed_ranks(attribute: Attribute) -> int:
    """How many ranks belong to authorities and substitutes; all other sources share the next one."""
    return authority_ranks(attribute) + len(attribute.substitutes)


def sources(catalog: Catalog, library: Library) -> list[Source]:
    """The witnesses of the library, by name."""
    described = sorted(catalog.sources_of(library.name), key=lambda resource: resource.id)
    return [Source(library, resource, index) for index, resource in enumerate(described)]


def suppliers(witnesses: Sequence[Source], attribute: str) -> list[Source]:
    """Those that supply the attribute, in the order of the characters of `<attribute>_said`."""
    return [source for source in witnesses if attribute in source.resource.supplies]


def prepared(con: DuckDBPyConnection, catalog: Catalog, library: Library, *, touched: bool = False) -> list[Source]:
    """The witnesses as they are to be read now; the library's macros and marks are made.

    `LINKS` and `GROUPS` may have been written before; with `touched`, `TOUCHED` must have been.
    """
    con.execute(macros(library))
    con.execute(marks_sql(catalog, library))
    con.execute(f"CREATE TEMP TABLE IF NOT EXISTS {LINKS.removeprefix('temp.')} ({LINK_COLUMNS})")
    marked = set(con.execute(f"SELECT DISTINCT department || '.' || resource FROM {MARKS}").fetchall())
    linked = set(con.execute(f"SELECT DISTINCT kind, department || '.' || resource FROM {LINKS}").fetchall())
    keys = any(kind == "key" for kind, _ in linked)
    con.execute(f"CREATE TEMP TABLE IF NOT EXISTS {GROUPS.removeprefix('temp.')} (source VARCHAR, first VARCHAR)")
    groups = dict(con.execute(f"SELECT source, first FROM {GROUPS}").fetchall())
    return [
        replace(
            source,
            marked=(source.resource.id,) in marked,
            linked_keys=keys,
            linked_records=("record", source.resource.id) in linked,
            touched=touched,
            group=groups.get(source.resource.id, ""),
        )
        for source in sources(catalog, library)
    ]


def taken(con: DuckDBPyConnection, source: Source) -> Source:
    """The source with what its records say written down, to be read more than once."""
    table = source.kept.removeprefix("temp.")
    con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {source.relation()}")
    return replace(source, taken=source.kept)


def voices(witnesses: Sequence[Source], attribute: str) -> dict[int, str]:
    """Index of each supplier of the attribute -> the voice it speaks with: several in one voice have one vote.

    A department is one voice whatever the number of its resources. One that received the values from another
    (`received_from`) speaks with the voice of that one, and those that were found to share errors speak with one.
    """
    stating = suppliers(witnesses, attribute)
    given = {source.index: _giver(source, attribute) for source in stating}

    def voice(department: str, passed: frozenset[str]) -> str:
        origins = {given[source.index] for source in stating if source.resource.department == department}
        origin = next(iter(origins)) if len(origins) == 1 else None
        if origin in passed:  # they say they have it from each other
            return min(passed | {department})
        return voice(origin, passed | {origin}) if origin else department

    spoken = {
        source.index: voice(given[source.index] or source.resource.department, frozenset({source.resource.department}))
        for source in stating
    }
    for group in sorted({source.group for source in stating} - {""}):
        joined = {spoken[source.index] for source in stating if source.group == group}
        spoken = {index: min(joined) if one in joined else one for index, one in spoken.items()}
    return spoken


def _giver(source: Source, attribute: str) -> str | None:
    """Who gave the department the values, if one did all those the attribute is made from."""
    resource = source.resource
    columns = [resource.columns[column] for column in source.supplying(attribute) if column in resource.columns]
    givers = {column.received_from or resource.received_from for column in columns} or {resource.received_from}
    return next(iter(givers)) if len(givers) == 1 else None


def standing_as_of(standing: str) -> str:
    """The as-of date in a standing, as SQL."""
    return f"(DATE '1970-01-01' + CAST({MAX_DAY} - ({standing} & {MAX_DAY}) AS INTEGER))"


def standing_rank(standing: str) -> str:
    """The rank in a standing, as SQL."""
    return f"(({standing} >> {RANK_BIT}) & {MAX_RANK})"


def standing_index(standing: str) -> str:
    """The index of the source in a standing, as SQL."""
    return f"(({standing} >> {INDEX_BIT}) & {MAX_INDEX})"


def by_index(texts: Sequence[str]) -> str:
    """Texts by the sources' index, as an SQL list."""
    return f"[{', '.join(map(quote, texts))}]::VARCHAR[]"


def standing_text(standing: str, texts: Sequence[str]) -> str:
    """The text that belongs to the source in a standing, as SQL; `texts` by the sources' index."""
    return f"({by_index(texts)})[{standing_index(standing)} + 1]"


def key_macro(library: Library) -> str:
    """Name of the macro that brings the library's identifiers to one form."""
    return f"{library.name}__key"


def normal_macro(library: Library, attribute: str) -> str:
    """Name of the macro that brings the attribute's values to the form in which they are compared."""
    return f"{library.name}__{attribute}__normal"


def macros(library: Library) -> str:
    """SQL that defines the library's normal forms: of its key and of each attribute."""
    bodies = {key_macro(library): library.key_normal}
    for attribute, stated in library.attributes.items():
        bodies[normal_macro(library, attribute)] = normal_form(stated)
    return "".join(f"CREATE OR REPLACE TEMP MACRO {macro}(value) AS ({body});\n" for macro, body in bodies.items())


def normal_form(attribute: Attribute) -> str:
    """Normal form for comparing, over `value`."""
    is_text = attribute.as_column().logical_type is ColumnType.text
    return attribute.normal or ("text_normal(value)" if is_text else "value")


def spellings_sql(witnesses: Sequence[Source]) -> str:
    """One row per way in which records of the pools write an entity's key, other than the key: `spelling, key`."""
    written = " UNION ALL ".join(f"SELECT {s.spelling} AS spelling, {s.key} AS key FROM {s.pool}" for s in witnesses)
    return f"SELECT DISTINCT * FROM ({written}) WHERE spelling <> key"


def marks_sql(catalog: Catalog, library: Library) -> str:
    """SQL that writes `MARKS`: one row per record of the library's sources with an open finding."""
    return (
        f"CREATE OR REPLACE TEMP TABLE {MARKS.removeprefix('temp.')} AS"
        " SELECT department, resource, record_key AS _record_key, bool_or(severity = 'block') AS _blocked,"
        f' list(DISTINCT "column") AS _doubted FROM quality.findings WHERE {marking(catalog, library)} GROUP BY ALL'
    )


def marking(catalog: Catalog, library: Library) -> str:
    """Which findings mark a record of the library's sources, as SQL over `quality.findings`."""
    described = ", ".join(
        f"({quote(resource.department)}, {quote(resource.name)})" for resource in catalog.sources_of(library.name)
    )
    later = ", ".join(map(quote, sorted(_later_rules(catalog))))
    return (
        f"status = 'open' AND severity <> 'info' AND rule_id NOT IN ({later})"
        f" AND (department, resource) IN ({described}) AND finding_id NOT IN (SELECT finding_id FROM quality.excepted)"
    )


def _later_rules(catalog: Catalog) -> set[str]:
    """Ids of rules evaluated after the libraries are built."""
    comparisons = {
        rule_id(library, attribute)
        for library in catalog.libraries.values()
        for attribute in library.attributes
        for rule_id in (agreement_rule_id, doubt_rule_id)
    }
    thematic = {rule.id for table in catalog.thematic.values() for rule in thematic_rules(catalog, table)}
    looking = {rule.id for resource in catalog.resources.values() for rule in resource.rules if looks_around(rule)}
    return comparisons | thematic | looking
