"""What each source says of a library's entities, as SQL: the one relation that arbitration and comparison both read.

A source is a resource that describes the library (`catalog.sources_of`). Here stand its entity key, the values it
supplies, which of them are in doubt, and the rank the library's YAML gives them. Who wins is `assets.base`, who is
told so is `quality_checks.comparison`.

Records with an open finding of severity `block` are left out; a value with an open finding (other than info) on the
column it comes from is doubted: it stands only when nobody else says anything, and it accuses nobody. Rules that are
evaluated after the libraries (those that look into a library, thematic rules, the comparisons) mark nothing here: a
library that depended on them would come out differently when the same pass is run again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from catalog.authority import Term
from catalog.load import Catalog
from catalog.models import Attribute, ColumnType, Library, Resource
from quality_checks.macros import name, quote
from quality_checks.rules import looks_around, thematic_rules

MARKS = "temp.library_marks"

# A standing is doubt, rank, age of the as-of date, index of the source and place among the entity's records of that
# source, most significant first, in 1 + 7 + 17 + 12 + 24 bits of one BIGINT: the smallest standing wins.
DOUBT_BIT, RANK_BIT, AGE_BIT, INDEX_BIT = 60, 53, 36, 24
MAX_RANK, MAX_DAY, MAX_INDEX, MAX_PLACE = (1 << 7) - 1, (1 << 17) - 1, (1 << 12) - 1, (1 << 24) - 1


def agreement_rule_id(library: Library, attribute: str) -> str:
    """Id of the rule that sources of `library` agree with the authority on `attribute`."""
    return f"{library.name}.{attribute}.agrees"


@dataclass(frozen=True)
class Source:
    """One resource as a witness of one library's entities; `index` is its place among them by name."""

    library: Library
    resource: Resource
    index: int

    @property
    def key(self) -> str:
        """The entity key as SQL over the resource's columns; NULL when the record names nobody."""
        if self.resource.describes is None:
            raise ValueError(f"{self.resource.id} describes no library")
        by = self.resource.describes.by
        named = name(by) if by in self.resource.columns else f"({by})"
        value = f"{key_macro(self.library)}({named})"
        return f"nullif(CAST({value} AS VARCHAR), '')"

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

    def standing(self, attribute: str) -> str:
        """Standing of the record's value as SQL over `relation()`; NULL when there is no value.

        A value in doubt stands behind all others: it is kept when nobody says better, and outranks nobody.
        """
        day = f"greatest(0, least({MAX_DAY}, date_diff('day', DATE '1970-01-01', _as_of)))"
        number = (
            f"(({self.rank(attribute)})::BIGINT << {RANK_BIT}) + (({MAX_DAY} - {day}) << {AGE_BIT})"
            f" + {self.index << INDEX_BIT} + CASE WHEN {self.doubted(attribute)} THEN {1 << DOUBT_BIT} ELSE 0 END"
        )
        return f"CASE WHEN {name('v_' + attribute)} IS NOT NULL THEN {number} END"

    def outranked(self, attribute: str, standing: str, witnesses: Sequence[Source]) -> str:
        """Whether `standing` belongs to a better rank of another department, as SQL over `_as_of`.

        Unlisted departments share the last rank, so whoever outranks a record is a listed authority.
        """
        rank = self.rank(attribute)
        better = f"{standing} < (({rank})::BIGINT << {RANK_BIT})"
        if rank.isdigit():  # the department has one rank: a better one is another's
            return better
        own = ", ".join(str(w.index) for w in witnesses if w.resource.department == self.resource.department)
        return f"({better} AND (({standing} >> {INDEX_BIT}) & {MAX_INDEX}) NOT IN ({own}))"

    def relation(self) -> str:
        """One row per record that may speak: `key, _record_key, _delivery_id, _as_of, _doubted` and `v_<attribute>`.

        `key` is NULL where the record names nobody: the joins leave those out, a filter would compute each key twice.
        """
        resource = self.resource
        values = "".join(f", {self.value(a)} AS {name('v_' + a)}" for a in sorted(resource.supplies))
        return (
            f"SELECT s.*, m._doubted FROM (SELECT {self.key} AS key, _record_key, _delivery_id, _as_of{values}"
            f" FROM {name(resource.department)}.{name(resource.name)}) s"
            f" LEFT JOIN (SELECT _record_key, _blocked, _doubted FROM {MARKS}"
            f" WHERE department = {quote(resource.department)} AND resource = {quote(resource.name)}) m"
            " USING (_record_key) WHERE m._blocked IS NOT TRUE"
        )

    def doubted(self, attribute: str) -> str:
        """Whether the value has an open finding, as SQL over `relation()`."""
        columns = ", ".join(map(quote, self.supplying(attribute)))
        return f"list_has_any(_doubted, [{columns}])"


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


def standing_as_of(standing: str) -> str:
    """The as-of date in a standing, as SQL."""
    return f"(DATE '1970-01-01' + CAST({MAX_DAY} - (({standing} >> {AGE_BIT}) & {MAX_DAY}) AS INTEGER))"


def standing_text(standing: str, texts: Sequence[str]) -> str:
    """The text that belongs to the source in a standing, as SQL; `texts` by the sources' index."""
    listed = ", ".join(map(quote, texts))
    return f"([{listed}]::VARCHAR[])[(({standing} >> {INDEX_BIT}) & {MAX_INDEX}) + 1]"


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


def marks_sql(catalog: Catalog, library: Library) -> str:
    """SQL that writes `MARKS`: one row per record of the library's sources with an open finding."""
    described = ", ".join(
        f"({quote(resource.department)}, {quote(resource.name)})" for resource in catalog.sources_of(library.name)
    )
    later = ", ".join(map(quote, sorted(_later_rules(catalog))))
    return (
        f"CREATE OR REPLACE TEMP TABLE {MARKS.removeprefix('temp.')} AS"
        " SELECT department, resource, record_key AS _record_key, bool_or(severity = 'block') AS _blocked,"
        ' list(DISTINCT "column") AS _doubted FROM quality.findings'
        f" WHERE status = 'open' AND severity <> 'info' AND rule_id NOT IN ({later})"
        f" AND (department, resource) IN ({described}) GROUP BY ALL"
    )


def _later_rules(catalog: Catalog) -> set[str]:
    """Ids of rules evaluated after the libraries are built."""
    agreements = {
        agreement_rule_id(lib, attribute) for lib in catalog.libraries.values() for attribute in lib.attributes
    }
    thematic = {rule.id for table in catalog.thematic.values() for rule in thematic_rules(catalog, table)}
    looking = {rule.id for resource in catalog.resources.values() for rule in resource.rules if looks_around(rule)}
    return agreements | thematic | looking
