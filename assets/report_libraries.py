"""What is told of a library: who has the say, how its values came to stand, who agrees, who is missing, who copies.

Read from the catalogue and from the counts that stand beside the library in the lake; one query a table, whatever the
size of the library. Everything here is a count or a name of the catalogue. The report site and `shuyuan libraries`
show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from duckdb import DuckDBPyConnection

from assets.report_scores import Ratio
from catalog.authority import Term
from catalog.load import Catalog
from catalog.models import Attribute, Library
from quality_checks import independence
from quality_checks.independence import Pair

OUTCOMES = ("single", "agreed", "authority_prevails", "substitute", "authority_doubted", "undecided")


@dataclass(frozen=True, slots=True)
class Said:
    """What one source says of an attribute: entities it agrees on, differs on, and says nothing about.

    Of those that agree or differ, `compared` were held against a better source, `compared_differs` differed there.
    """

    attribute: str
    department: str
    resource: str
    agrees: int
    differs: int
    silent: int
    compared: int
    compared_differs: int

    @property
    def stated(self) -> int:
        return self.agrees + self.differs

    @property
    def ratio(self) -> Ratio:
        """Values stated, and those of them that differ from the library."""
        return Ratio(self.stated, self.differs)


@dataclass(frozen=True, slots=True)
class Covered:
    """Of `denominator` entities that `source` speaks of, `numerator` are known in one of `expected_in`."""

    pair: str
    source: str
    expected_in: tuple[str, ...]
    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True)
class Say:
    """One entry of an attribute's registry: who has the say (一数一源), on which kind of entity and in which period."""

    department: str
    kind: str
    first: date | None
    last: date | None

    def __str__(self) -> str:
        period = [f"from {self.first}" if self.first else "", f"to {self.last}" if self.last else ""]
        of = f"{self.kind}: " if self.kind else ""
        return " ".join([of + self.department, *filter(None, period)])


@dataclass(frozen=True, slots=True)
class AttributeFigure:
    """One attribute: its registry, and how many entities' values have each outcome; None stands for no value."""

    name: str
    stated: Attribute
    says: tuple[Say, ...]
    outcomes: Mapping[str | None, int]
    said: tuple[Said, ...]

    @property
    def valued(self) -> int:
        """Entities with a value."""
        return sum(count for outcome, count in self.outcomes.items() if outcome)


@dataclass(frozen=True, slots=True)
class LibraryFigure:
    """One library as its last build left it; `as_of` is null when it was never built."""

    library: Library
    as_of: date | None
    sources: int  # resources that speak of its entities
    entities: int
    attributes: tuple[AttributeFigure, ...]
    covered: tuple[Covered, ...]
    pairs: tuple[Pair, ...]
    measured_on: date | None

    @property
    def without_authority(self) -> tuple[AttributeFigure, ...]:
        """Attributes on which nobody has the say (Order 809 art. 41)."""
        return tuple(one for one in self.attributes if one.stated.authority is None)

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """Sources that have one vote because they were found to share errors."""
        return independence.members(self.pairs)

    def outcome(self, name: str) -> int:
        """Values of all attributes with this outcome."""
        return sum(one.outcomes.get(name, 0) for one in self.attributes)


def collect_libraries(con: DuckDBPyConnection, catalog: Catalog) -> dict[str, LibraryFigure]:
    """Every library of the catalogue, by name."""
    return {name: collect_library(con, catalog, library) for name, library in catalog.libraries.items()}


def collect_library(con: DuckDBPyConnection, catalog: Catalog, library: Library) -> LibraryFigure:
    """One library, from the catalogue and the lake's counts."""
    of_it = {"library": library.name}
    outcomes: dict[str, dict[str | None, int]] = {}
    counted = con.execute(
        "SELECT attribute, outcome, entities, as_of FROM base._outcomes WHERE library = $library ORDER BY ALL", of_it
    ).fetchall()
    for attribute, outcome, entities, _ in counted:
        outcomes.setdefault(attribute, {})[outcome] = entities
    said = con.execute(
        "SELECT attribute, department, resource, agrees, differs, silent, compared, compared_differs"
        " FROM base._agreement WHERE library = $library ORDER BY ALL",
        of_it,
    ).fetchall()
    covered = con.execute(
        "SELECT pair, source, expected_in, numerator, denominator FROM base._coverage WHERE library = $library"
        " ORDER BY ALL",
        of_it,
    ).fetchall()
    [(measured_on,)] = con.execute(
        "SELECT max(measured_on) FROM base._copying WHERE library = $library", of_it
    ).fetchall()
    by_attribute: dict[str, list[Said]] = {}
    for row in said:
        by_attribute.setdefault(row[0], []).append(Said(*row))
    return LibraryFigure(
        library=library,
        as_of=counted[0][3] if counted else None,
        sources=len(catalog.sources_of(library.name)),
        entities=max((sum(counts.values()) for counts in outcomes.values()), default=0),
        attributes=tuple(
            AttributeFigure(name, stated, registry(stated), outcomes.get(name, {}), tuple(by_attribute.get(name, ())))
            for name, stated in library.attributes.items()
        ),
        covered=tuple(
            Covered(pair, source, tuple(within), numerator, denominator)
            for pair, source, within, numerator, denominator in covered
            if pair in library.coverage
        ),
        pairs=tuple(independence.stored(con, library)),
        measured_on=measured_on,
    )


def registry(stated: Attribute) -> tuple[Say, ...]:
    """Who has the say on the attribute, in the order of the catalogue; empty when nobody has."""
    if stated.authority is None:
        return ()
    kinds: dict[str, tuple[Term, ...]] = dict(stated.authority.of) or {"": stated.authority.terms}
    return tuple(Say(term.department, kind, term.from_, term.to) for kind, terms in kinds.items() for term in terms)
