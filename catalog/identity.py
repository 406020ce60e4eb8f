"""What a steward writes about recognising one entity in records that state no number for it.

`Identity` stands in a library's YAML: what is compared and how, which pairs are worth comparing, and from which
probability on a pair is one entity. The weights are learned from the pools by `shuyuan identity train` and stand beside
the library as `<library>.model.json`; how they are used is `quality_checks.identity_model`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from catalog.frozen import Frozen, Sql

Feature = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
Block = Annotated[tuple[Sql, ...], Field(min_length=1)]


class Kind(StrEnum):
    """How two values are compared, best first; a value missing on either side weighs nothing."""

    exact = "exact"  # the same, or not
    name = "name"  # the same; the same characters in another order or variant form; one differs; spelt alike (Latin)
    date = "date"  # the same; day and month swapped; one digit differs; the same month
    text = "text"  # the same; spelt alike (Jaro-Winkler 0.92, 0.8)
    digits = "digits"  # the same; one digit differs or two swapped; two differ
    address = "address"  # the same; the same house and room; spelt alike
    email = "email"  # the same; the same name before the @; spelt alike


class Comparison(Frozen):
    """How one feature is compared.

    `common` counts agreement on a value that many have for less (term frequency); unless stated that holds for names
    and texts.
    """

    as_: Kind = Field(alias="as")
    title: str | None = None  # of a feature that is no attribute of the library
    common: bool | None = None
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def by_frequency(self) -> bool:
        return self.as_ in (Kind.name, Kind.text, Kind.address) if self.common is None else self.common


class Identity(Frozen):
    """How the library recognises an entity in a record without its number.

    `compare` names features: attributes of the library, or others that resources state under `hints`. Of `block` each
    entry lists SQL over features; two records that agree in all of one entry are compared. `sure` lists the same for
    pairs of which next to none are two entities, and `recall` the share of true pairs they find: from both comes how
    likely any two records are one entity. `link` and `review` are probabilities; a record whose best entity leads the
    second by less than `margin` (bits, a factor of two each) is left to a person.
    """

    compare: dict[Feature, Comparison] = Field(min_length=2)
    block: tuple[Block, ...] = Field(min_length=1)
    sure: tuple[Block, ...] = Field(min_length=1)
    recall: float = Field(default=0.7, gt=0, le=1)
    link: float = Field(default=0.999, gt=0.5, lt=1)
    review: float = Field(default=0.5, gt=0, lt=1)
    margin: float = Field(default=7, ge=0)
    seed: int = Field(default=1, ge=0)

    @model_validator(mode="after")
    def _bands_in_order(self) -> Identity:
        if self.review >= self.link:
            raise ValueError(f"review = {self.review} must be below link = {self.link}")
        return self
