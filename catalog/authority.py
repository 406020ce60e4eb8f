"""Who has the say on an attribute of a library (一数一源), as the library's YAML states it.

One department at a time, or one for each kind of entity; two at one time are refused here, by name and dates. Whether
the department supplies the attribute is `catalog.load`'s to check, what its say is worth `quality_checks.sources`.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from catalog.frozen import Frozen, Sql, Text

Origin = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$", max_length=97)]


class Term(Frozen):
    """The statements of one department, or of one resource of it, as of `from` up to and including `to`."""

    department: Origin  # <department> or <department>.<resource>
    from_: date | None = Field(default=None, alias="from")
    to: date | None = None
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _in_order(self) -> Term:
        if self.from_ and self.to and self.to < self.from_:
            raise ValueError(f"to = {self.to} is before from = {self.from_}")
        return self

    @property
    def first(self) -> date:
        return self.from_ or date.min

    @property
    def last(self) -> date:
        return self.to or date.max

    def __str__(self) -> str:
        dates = [*([f"from {self.from_}"] if self.from_ else []), *([f"to {self.to}"] if self.to else [])]
        return f"{self.department} ({' '.join(dates) or 'at all times'})"


def _one_at_a_time(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    ordered = sorted(terms, key=lambda term: (term.first, term.last))
    for earlier, later in pairwise(ordered):
        if later.first <= earlier.last:
            raise ValueError(
                f"one authority at a time: {earlier} and {later} overlap;"
                " give them periods that do not, or name all but one under substitutes"
            )
    return tuple(reversed(ordered))


def _as_terms(stated: object) -> object:
    """A department's name stands for one term at all times."""
    listed = stated if isinstance(stated, list | tuple) else [stated]
    return tuple({"department": one} if isinstance(one, str) else one for one in listed)


# The newest first: a statement of the present authority's time goes before one of an earlier authority's.
Terms = Annotated[tuple[Term, ...], Field(min_length=1), BeforeValidator(_as_terms), AfterValidator(_one_at_a_time)]


class Authority(Frozen):
    """Who has the say on an attribute 数源部门: one department at a time, or one for each kind of entity.

    In the catalogue a department's name, one `{department, from, to}` or a list of those, or `{by, of}`: `by` is SQL
    over the entity's `key`, `of` says for each of its values who has the say. Another kind has no authority.
    """

    terms: Terms = ()
    by: Sql | None = None
    of: dict[Text, Terms] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, value: object) -> object:
        if isinstance(value, dict) and value.keys() & {"by", "of", "terms"}:
            return value
        return value if isinstance(value, Authority) else {"terms": value}

    @model_validator(mode="after")
    def _one_form(self) -> Authority:
        if bool(self.by) != bool(self.of) or bool(self.terms) == bool(self.of):
            raise ValueError("state a department, departments with periods, or by and of")
        return self

    def everyone(self) -> tuple[Term, ...]:
        """All terms, of whatever kind of entity."""
        return (*self.terms, *(term for terms in self.of.values() for term in terms))
