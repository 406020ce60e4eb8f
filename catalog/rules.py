"""What a steward writes as a rule: the sentence, whom it concerns, how bad it is, and what may be offered instead."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator, model_validator

from catalog.expect import Expect
from catalog.frozen import Frozen, Name, RuleId, Sql, Text, Title
from catalog.indicators import INDICATORS, Dimension, Indicator, known_indicator


class Severity(StrEnum):
    """What a finding does: `block` keeps the record out of base libraries, the others let it flow, marked."""

    block = "block"
    error = "error"
    warn = "warn"
    info = "info"


class Lookup(Frozen):
    """A table joined to the checked record so that a rule can speak of both.

    `to` is `base.<library>`, `codes.<list>` or `<department>.<resource>`; `by` the column of the checked record
    (or an SQL expression over it) equal to the key of that table, or to its column `on`. `shape` is a column of that
    table that holds an outline (WKT): it is read once per row there and is `<name>.shape` in the rule.
    """

    to: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+\.[a-z0-9_]+$")]
    by: Sql
    on: Name | None = None
    shape: Name | None = None


class Accusation(Frozen):
    """Whose record a thematic rule accuses: the resource, and the thematic column that holds its record key."""

    resource: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+\.[a-z0-9_]+$")]
    by: Name


class Denial(Frozen):
    """A denial constraint: of two records `a` and `b` equal in all of `same`, `never` is true of none.

    Both records of such a pair break the rule where `never` holds either way round, otherwise `a` does.
    """

    same: tuple[Name, ...] = Field(min_length=1)
    never: Sql


class Tolerance(Frozen):
    """The share of records that may break a rule before its check fails, with why and until when.

    Every such record is a finding all the same: only the verdict on the table is tolerant.
    """

    share: float = Field(gt=0, lt=1)
    reason: Text
    until: date

    def of(self, records: int) -> int:
        """How many of so many records: the share as written, not as a computer holds it."""
        return int(Decimal(str(self.share)) * records)


class Method(StrEnum):
    """How the value offered with a finding was found; `METHODS` has the words, docs/architecture.md the confidences."""

    normalised = "normalised"  # the same value in its normal form: width, case, blanks, 15 to 18 digits, name of a code
    repaired = "repaired"  # the one mistake in an identifier that its check and the rest of the record allow
    derived = "derived"  # from another field of the record
    authority = "authority"
    successor = "successor"
    majority = "majority"
    swapped = "swapped"
    other = "other"


METHODS: dict[Method, Title] = {
    Method.normalised: Title(zh="规范写法", en="normal form"),
    Method.repaired: Title(zh="唯一可能的改正", en="only possible repair"),
    Method.derived: Title(zh="由本记录其他信息项推得", en="derived from another field"),
    Method.authority: Title(zh="数源部门的值", en="value of the authority"),
    Method.successor: Title(zh="后继代码", en="successor code"),
    Method.majority: Title(zh="同组多数记录的值", en="majority of its group"),
    Method.swapped: Title(zh="两项互换", en="swapped pair"),
    Method.other: Title(zh="规则给出", en="stated by the rule"),
}


# In a relation, about a rule about several records: whether the record keeps it; the value that most records of its
# group have, how many they are, of how many; the record that it cannot stand beside.
OBEYS, USUAL, MOST, WHOLE, OTHER = "_obeys", "_usual", "_most", "_whole", "_other"


MAJORITY = 0.5


class Rule(Frozen):
    """A sentence about each record, with an owner. It states exactly one of:

    * `that`: DuckDB SQL over the record's columns; `lookup` adds tables under a name, so that it may say
      `person.death_date is null`; a record without a partner has nulls there,
    * `unique`: no two records have the same values in all of these columns,
    * `depends`: records with the same values in all of these columns have one value of `column` (a functional
      dependency). Where one value stands in more than `majority` of a group (half of it unless stated), those that
      differ break the rule, that value is suggested; in other groups nobody knows who is wrong, and nobody is accused,
    * `denied`: a denial constraint between two records,
    * `failing`: a DuckDB query whose first column is the `_record_key` of every record that breaks the rule,
    * `expect`: an expectation of Great Expectations by its own name and arguments (`catalog.expect`); what it says of
      `column` is then the rule's `that`, or its `unique`.

    The rule applies to rows where `when` is true and what it judges is not null: a blank is the business of `required`.
    `suggest` is a value offered with the finding, never applied; one that would break the rule too is not offered.
    `method` says how it is found and `confidence`, above 0 and up to 1, how sure it is; both have defaults
    (`quality_checks.telling`). `normal` is the value's normal form: where that is what is offered, nothing else is
    changed. `because` is what the finding says of the record, in Chinese, with SQL over the record in braces:
    `出生日期为{birth_date}`; unless stated it names the record's own columns that the rule reads. `valid_from` and
    `valid_to` are the first and last as-of dates it is evaluated for; from the day after, what it accused is withdrawn.
    `owner` answers objections, `remedy` says what the department should do.
    """

    id: RuleId
    that: Sql | None = None
    unique: tuple[Name, ...] = ()
    depends: tuple[Name, ...] = ()
    majority: float = Field(default=MAJORITY, ge=0, lt=1)
    denied: Denial | None = None
    failing: Sql | None = None
    expect: Expect | None = None
    when: Sql = "true"
    lookup: dict[Name, Lookup] = Field(default_factory=dict)
    column: Name
    zh: Text
    en: Text
    indicator: Indicator
    severity: Severity
    suggest: Sql | None = None
    method: Method | None = None
    confidence: float | None = Field(default=None, gt=0, le=1)
    normal: Sql | None = None
    because: Text | None = None
    source: Text
    standard: str | None = None  # the id in the starter catalogue this rule implements, e.g. P03
    accuse: Accusation | None = None
    version: int = Field(default=1, ge=1)
    valid_from: date | None = None
    valid_to: date | None = None
    tolerance: Tolerance | None = None
    owner: Text | None = None
    remedy: Title | None = None

    @field_validator("indicator")
    @classmethod
    def _known_indicator(cls, value: str) -> str:
        return known_indicator(value)

    @model_validator(mode="after")
    def _one_condition(self) -> Rule:
        stated = sum(map(bool, (self.that, self.unique, self.depends, self.denied, self.failing)))
        if self.expect:
            meant = (self.expect.predicate(self.column), self.expect.unique_in(self.column))
            stated += (self.that, self.unique) != meant
            object.__setattr__(self, "that", meant[0])
            object.__setattr__(self, "unique", meant[1])
        if stated != 1:
            raise ValueError("state exactly one of that, unique, depends, denied, failing, expect")
        if not self.depends and self.majority != MAJORITY:
            raise ValueError("majority is allowed beside depends only")
        if not self.offered and (self.method or self.confidence or self.normal):
            raise ValueError("method, confidence and normal are allowed beside suggest only")
        if re.search(r"[{}]", re.sub(r"\{[^{}]+\}", "", self.because or "")):
            raise ValueError("because: every { needs its }, with SQL over the record between them")
        if self.column in self.depends:
            raise ValueError(f"depends: {self.column} cannot depend on itself")
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise ValueError(f"valid_to = {self.valid_to} is before valid_from = {self.valid_from}")
        return self

    @property
    def dimension(self) -> Dimension:
        return INDICATORS[self.indicator][1]

    @property
    def of_several(self) -> bool:
        """Whether a record's verdict hangs on other records of its table."""
        return self.that is None

    @property
    def condition(self) -> str:
        """SQL over the suite's relation: true, false, or null where the rule says nothing."""
        return self.that or OBEYS

    @property
    def offered(self) -> str | None:
        """SQL over the suite's relation for the value offered with a finding."""
        return self.suggest or (USUAL if self.depends else None)

    def columns_read(self) -> tuple[str, ...]:
        """The columns it names beside those in its SQL."""
        several = (*self.unique, *self.depends, *(self.denied.same if self.denied else ()))
        return several or (self.expect.columns_read() if self.expect else ())

    def in_force(self, as_of: date) -> bool:
        """Whether the rule is evaluated for that day."""
        return (self.valid_from or as_of) <= as_of <= (self.valid_to or as_of)
