"""What a steward may write: the frozen types behind every YAML file of the catalogue.

Add a field here when a feed, a library or a rule needs a new statement. Reading files and checking one file against
another is `catalog.load`; nothing here touches a disk, a database or Dagster.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from catalog.authority import Authority, Origin
from catalog.channels import Channel
from catalog.coverage import Coverage
from catalog.expect import Expect
from catalog.frozen import Frozen, Sql, Text
from catalog.identity import Identity
from catalog.layout import Layout
from catalog.sources import Source
from catalog.timing import Freshness, MaxAge, Volume

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
RuleId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", max_length=120)]


# What every pool has after its declared columns: column -> DuckDB type, in order (docs/architecture.md).
PROVENANCE: dict[str, str] = {
    "_record_key": "VARCHAR",
    "_delivery_id": "VARCHAR",
    "_row": "BIGINT",
    "_as_of": "DATE",
    "_copies": "INTEGER",
    "_raw": "MAP(VARCHAR, VARCHAR)",
    "_hash": "UBIGINT",
}

# What every library has after its attributes.
LIFE: dict[str, str] = {
    "_sources": "INTEGER",
    "began_on": "DATE",
    "ended_on": "DATE",
    "_believed_from": "DATE",
    "_hash": "UBIGINT",
}

# What every code list has in the lake; a file may lack the last three.
CODE_COLUMNS = ("code", "zh", "en", "valid_from", "valid_to", "successor")


class Title(Frozen):
    """A name in Chinese, as the department writes it, and in English."""

    zh: Text
    en: Text


class Level(StrEnum):
    """Security level of one column (GB/T 43697-2024, general data with local sub-levels)."""

    public = "public"
    internal = "internal"
    personal = "personal"
    sensitive = "sensitive"


class Severity(StrEnum):
    """What a finding does: `block` keeps the record out of base libraries, the others let it flow, marked."""

    block = "block"
    error = "error"
    warn = "warn"
    info = "info"


class Cycle(StrEnum):
    """Update cycle 更新周期 of the catalogue guide."""

    real_time = "real_time"  # every few minutes, day and night
    hourly = "hourly"
    daily = "daily"  # every working day
    every_day = "every_day"  # rest days too: hospitals, markets, alarms
    weekly = "weekly"
    monthly = "monthly"
    quarterly = "quarterly"
    yearly = "yearly"


class ColumnType(StrEnum):
    """Logical types; `sql_type` of a column gives DuckDB's."""

    text = "text"
    integer = "integer"
    decimal = "decimal"
    date = "date"
    timestamp = "timestamp"
    boolean = "boolean"


class Identifier(StrEnum):
    """Identifier kinds with a check of their own."""

    person_id = "person_id"  # GB 11643-1999 and residence permits
    uscc = "uscc"  # GB 32100-2015
    certificate_id = "certificate_id"  # GB/T 36904-2018


# Documents of `person_id_types` whose number is a person number of 15 or 18 characters; the numbers of passports and
# travel permits follow no check that we know.
PERSON_NUMBER_TYPES = ("111", "112", "113", "154", "553")

Dimension = Literal["completeness", "accuracy", "freshness", "consistency", "uniqueness"]
DIMENSIONS: tuple[Dimension, ...] = ("completeness", "accuracy", "freshness", "consistency", "uniqueness")

# GB/T 36344-2018 indicators; 0503 (order of events) counts as consistency because it relates two values of one
# record, 0303 and 0304 are the duplicate indicators.
INDICATORS: dict[str, tuple[str, Dimension]] = {
    "0101": ("数据标准", "accuracy"),
    "0102": ("数据模型", "accuracy"),
    "0103": ("元数据", "completeness"),
    "0104": ("业务规则", "accuracy"),
    "0105": ("权威参考数据", "accuracy"),
    "0106": ("安全规范", "accuracy"),
    "0201": ("数据元素完整性", "completeness"),
    "0202": ("数据记录完整性", "completeness"),
    "0301": ("数据内容正确性", "accuracy"),
    "0302": ("数据格式合规性", "accuracy"),
    "0303": ("数据重复率", "uniqueness"),
    "0304": ("数据唯一性", "uniqueness"),
    "0305": ("脏数据出现率", "accuracy"),
    "0401": ("相同数据一致性", "consistency"),
    "0402": ("关联数据一致性", "consistency"),
    "0501": ("基于时间段的正确性", "freshness"),
    "0502": ("基于时间点及时性", "freshness"),
    "0503": ("时序性", "consistency"),
    "0601": ("可访问性", "freshness"),
    "0602": ("可用性", "accuracy"),
}
Indicator = Annotated[str, Field(json_schema_extra={"enum": sorted(INDICATORS)})]
# The two whose A counts what is wrong in the standard's A/B: the lower, the better.
INVERTED = frozenset({"0303", "0305"})


def known_indicator(code: str) -> str:
    """`code`, if the standard has it.

    Raises:
        ValueError: naming what is allowed.
    """
    if code not in INDICATORS:
        raise ValueError(f"not an indicator of GB/T 36344-2018; allowed: {', '.join(sorted(INDICATORS))}")
    return code


# What may stand before a unit, and how many of it that is.
MULTIPLES: dict[str, int] = {
    "": 1, "十": 10, "百": 100, "千": 1_000, "万": 10_000, "十万": 100_000, "百万": 1_000_000, "千万": 10_000_000,
    "亿": 100_000_000,
}  # fmt: skip


def unit_parts(unit: str) -> tuple[int, str]:
    """How many of which unit: 万元 is 10,000 元."""
    prefix = max((m for m in MULTIPLES if unit.startswith(m) and len(m) < len(unit)), key=len)
    return MULTIPLES[prefix], unit.removeprefix(prefix)


class Column(Frozen):
    """One data item 信息项. Exactly one of `type`, `codes`, `identifier` says what its values are.

    `aliases` are headers it was delivered under, beside its name and title; `missing` are spellings of "no value", as
    those of its resource. `unit` is what the pool's numbers count, `delivered_unit` what a bare number counts when that
    is another multiple; a number may also be delivered with its unit. `excel_dates` lets the day numbers of a
    spreadsheet stand for dates in files that are none. `form: phone` says that its texts are telephone numbers.
    `received_from` names who gave the value to the department: its errors count as inherited.
    """

    title: Text
    aliases: tuple[Text, ...] = ()
    type: ColumnType | None = None
    codes: Name | None = None
    identifier: Identifier | None = None
    form: Literal["phone"] | None = None
    required: bool = False
    max_length: int | None = Field(default=None, ge=1, le=100_000)
    scale: int = Field(default=2, ge=0, le=12)  # digits after the point, for decimals
    level: Level = Level.internal
    missing: tuple[Text, ...] = ()
    unit: Text | None = None
    delivered_unit: Text | None = None
    excel_dates: bool = False
    received_from: Name | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Column:
        if sum(kind is not None for kind in (self.type, self.codes, self.identifier)) != 1:
            raise ValueError("state exactly one of type, codes, identifier")
        if self.max_length is not None and self.logical_type is not ColumnType.text:
            raise ValueError("max_length is allowed on text only")
        if self.form and self.type is not ColumnType.text:
            raise ValueError("form is allowed on text only")
        if self.form == "phone" and self.level is Level.internal:
            raise ValueError("form phone needs a level: personal, or public where it is an office's")
        if self.excel_dates and self.logical_type not in {ColumnType.date, ColumnType.timestamp}:
            raise ValueError("excel_dates is allowed on date and timestamp only")
        return self

    @model_validator(mode="after")
    def _one_unit(self) -> Column:
        if self.unit and self.logical_type not in {ColumnType.integer, ColumnType.decimal}:
            raise ValueError("unit is allowed on integer and decimal only")
        if self.delivered_unit and not self.unit:
            raise ValueError("delivered_unit needs unit: what the pool's numbers count")
        if self.unit and self.delivered_unit and unit_parts(self.unit)[1] != unit_parts(self.delivered_unit)[1]:
            raise ValueError(f"delivered_unit must be a multiple of {unit_parts(self.unit)[1]}, as unit is")
        return self

    @property
    def logical_type(self) -> ColumnType:
        return self.type or ColumnType.text

    @property
    def is_open(self) -> bool:
        """Whether its values may be shown: they are neither personal nor sensitive."""
        return self.level in {Level.public, Level.internal}

    @property
    def mask(self) -> str:
        """Macro that masks its values; none, an empty text, where they may be shown."""
        return "" if self.is_open else "mask_id" if self.identifier else "mask_text"

    @property
    def sql_type(self) -> str:
        """DuckDB type of the typed value in the pool."""
        return {
            ColumnType.text: "VARCHAR",
            ColumnType.integer: "BIGINT",
            ColumnType.decimal: f"DECIMAL(18,{self.scale})",
            ColumnType.date: "DATE",
            ColumnType.timestamp: "TIMESTAMP",
            ColumnType.boolean: "BOOLEAN",
        }[self.logical_type]


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


class Describes(Frozen):
    """Which library's entity a record speaks of, and by what it names it.

    `by` is a column, or an SQL expression over several where the key is made of parts:
    `indicator || '|' || division || '|' || period`; a record without a part names nobody. `id_type` is the column that
    says which document a number belongs to.

    Without `by`, and where a `by` that is not required is blank, the library's `identity` finds out whom it means; with
    `once` no two such records are of one entity, so that two that seem to be (twins) are left to a person.
    """

    library: Name
    by: Sql | None = None
    once: bool = False
    id_type: Name | None = None

    def columns(self, known: Collection[str]) -> list[str]:
        """The columns the entity is named by, of those `known`."""
        return sorted(set(re.findall(r"\w+", self.by or "")) & set(known))


class Sharing(Frozen):
    """Sharing attribute 共享属性 (Order 809 art. 14-15): conditional needs a condition, none needs its legal basis."""

    attribute: Literal["unconditional", "conditional", "none"]
    condition: Text | None = None
    basis: Text | None = None

    @model_validator(mode="after")
    def _reasons(self) -> Sharing:
        if self.attribute == "conditional" and not self.condition:
            raise ValueError("attribute conditional needs a condition (scope and purpose, Order 809 art. 15)")
        if self.attribute == "none" and not self.basis:
            raise ValueError("attribute none needs a basis: law, regulation or State Council decision (art. 15)")
        return self


class Opening(Frozen):
    """Opening class 开放属性: `class: none` needs a reason, `conditional` a condition."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    class_: Literal["unconditional", "conditional", "none"] = Field(alias="class")
    condition: Text | None = None
    reason: Text | None = None

    @model_validator(mode="after")
    def _reasons(self) -> Opening:
        if self.class_ == "none" and not self.reason:
            raise ValueError("class none needs a reason")
        if self.class_ == "conditional" and not self.condition:
            raise ValueError("class conditional needs a condition")
        return self


# Who a department may have received data from, beside the other departments of the catalogue.
ABOVE = ("province", "state")


class Department(Frozen):
    """A department that delivers; `name` is its folder."""

    name: Name
    title: Title
    code: Text  # provider code 提供方代码 = its unified social credit code
    kind: Literal["municipal", "county", "public_service", "social"] = "municipal"
    sharing_office: Text  # art. 11: the unit that handles correction requests
    chief_data_officer: Text
    channels: tuple[Channel, ...] = ()  # where notices go besides its outbox folder


class ChangeColumn(Frozen):
    """The column of a change stream that says what happened to the record, and the letters it uses."""

    column: Text  # header in the delivered file; it is no data item
    insert: tuple[Text, ...] = ("I",)
    update: tuple[Text, ...] = ("U",)
    delete: tuple[Text, ...] = ("D",)

    @model_validator(mode="after")
    def _letters_differ(self) -> ChangeColumn:
        letters = [*self.insert, *self.update, *self.delete]
        if len(set(letters)) != len(letters) or not self.delete:
            raise ValueError("insert, update, delete: each letter once, and at least one for delete")
        return self


class SchemaVersion(Frozen):
    """What changed in a resource's columns with deliveries as of `from` and later.

    `adds` and `drops` name columns; one in `optional` may be missing from a file.
    """

    from_: date = Field(alias="from")
    adds: tuple[Name, ...] = ()
    drops: tuple[Name, ...] = ()
    optional: tuple[Name, ...] = ()
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


Mode = Literal["full", "incremental", "changes"]


class Resource(Frozen):
    """One catalogue entry 信息资源: one table a department owes the city, with a cycle and a schema.

    `columns` are those of all its schema versions; version 1 is what no entry of `versions` adds.
    """

    department: Name
    name: Name
    title: Title
    summary: Text
    code: Annotated[str, StringConstraints(pattern=r"^[1-9]/\d{2}/\d{3}/\d{6}$")]
    format: Literal["file", "spreadsheet", "database", "interface"] = "spreadsheet"
    cycle: Cycle
    max_age: MaxAge | None = None  # none: what the cycle says
    volume: Volume = Volume()
    mode: Mode
    change_column: ChangeColumn | None = None
    key: tuple[Name, ...] = Field(min_length=1)
    describes: Describes | None = None
    sharing: Sharing
    opening: Opening
    published: date
    source: Source | None = None  # where it is fetched from; none: it is delivered into landing
    received_from: Name | None = (
        None  # who gave all of it to the department: return flow 回流 from above, or a department
    )
    columns: dict[Name, Column] = Field(min_length=1)
    versions: tuple[SchemaVersion, ...] = ()
    missing: tuple[Text, ...] = ()  # spellings of "no value" in every column
    ignore: tuple[Text, ...] = ()  # delivered columns known and left out on purpose
    layout: Layout | None = None  # how its files are laid out; what is not said is detected
    supplies: dict[Name, Sql] = Field(default_factory=dict)  # library attribute -> column or expression
    hints: dict[Name, Sql] = Field(default_factory=dict)  # feature of the library's identity -> column or expression
    aliases: tuple[Name, ...] = ()  # columns with other numbers of the same entity, e.g. the one it had before
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _changes_are_told(self) -> Resource:
        if self.mode == "changes" and self.change_column is None:
            raise ValueError("mode changes needs change_column: the column that says insert, update or delete")
        return self

    @property
    def id(self) -> str:
        return f"{self.department}.{self.name}"

    @property
    def may_lack_number(self) -> bool:
        """Whether a record may speak of a library's entity without stating its number."""
        return self.describes is not None and (
            self.describes.by is None
            or not all(self.columns[part].required for part in self.describes.columns(self.columns))
        )

    def features(self) -> dict[str, str]:
        """What its records say by which an entity may be recognised: feature -> SQL; a hint goes before a value."""
        return {**self.supplies, **self.hints}

    def version_at(self, as_of: date) -> int:
        """Number of the schema version of a delivery as of that day, from 1."""
        return 1 + sum(version.from_ <= as_of for version in self.versions)

    def columns_at(self, as_of: date) -> tuple[dict[str, Column], frozenset[str]]:
        """The columns a delivery as of that day must hold, in order, and those of them that may be missing."""
        there = set(self.columns).difference(*(version.adds for version in self.versions))
        optional: set[str] = set()
        for version in self.versions[: self.version_at(as_of) - 1]:
            there = (there | set(version.adds)) - set(version.drops)
            optional |= set(version.optional)
        return {name: column for name, column in self.columns.items() if name in there}, frozenset(optional & there)

    def missing_in(self, column: str) -> tuple[str, ...]:
        """Declared spellings of "no value" in a column."""
        return tuple(dict.fromkeys((*self.missing, *self.columns[column].missing)))

    def keeps_raw(self, column: str) -> bool:
        """Whether the raw text of a value can differ from the value, so that it is kept beside it."""
        return self.columns[column].logical_type is not ColumnType.text or bool(self.missing_in(column))

    def id_type_of(self, column: str) -> str | None:
        """The column that says which document a person number belongs to: `id_type` for `id_number`, by name."""
        if self.columns[column].identifier is not Identifier.person_id or not column.endswith("id_number"):
            return None
        partner = column.removesuffix("id_number") + "id_type"
        return partner if partner in self.columns else None


class Attribute(Frozen):
    """One attribute of a library: what its values are and who has the say (一数一源).

    `authority` has the say, null: nobody has. `substitutes` are departments (or `department.resource`), best first,
    whose value is used while the authority has stated none; `otherwise` is the rule among all others: the `newest`
    statement, the value of the `majority` of independent sources, or `none`. So many as `doubted_by` independent
    sources that agree with each other on another value put the authority's in doubt. Two values agree when their normal
    forms are equal, or not further apart than `tolerance`: of numbers the difference, of dates the days. With
    `varies: false` the value is the same at all times of the entity's life, as a date of birth is.
    """

    title: Text
    type: ColumnType | None = None
    codes: Name | None = None
    identifier: Identifier | None = None
    scale: int = Field(default=2, ge=0, le=12)
    level: Level = Level.internal
    authority: Authority | None
    substitutes: tuple[Origin, ...] = ()
    otherwise: Literal["newest", "majority", "none"] = "newest"
    doubted_by: int = Field(default=2, ge=2)
    tolerance: Decimal = Field(default=Decimal(0), ge=0)
    varies: bool = True
    compare: Severity | None = Severity.error  # severity of a disagreeing source; null: not compared
    normal: Sql | None = None  # normal form for comparing, an expression over `value`
    standard: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Attribute:
        kind = self.as_column().logical_type
        if self.tolerance and kind not in {ColumnType.integer, ColumnType.decimal, ColumnType.date}:
            raise ValueError(f"tolerance is allowed on integer, decimal and date only, not on {kind}")
        if self.tolerance % 1 and kind is ColumnType.date:
            raise ValueError(f"tolerance = {self.tolerance} of a date is a number of whole days")
        if repeated := {one for one in self.substitutes if self.substitutes.count(one) > 1}:
            raise ValueError(f"substitutes: {', '.join(sorted(repeated))} stands twice")
        return self

    def as_column(self) -> Column:
        return Column(
            title=self.title,
            type=self.type,
            codes=self.codes,
            identifier=self.identifier,
            scale=self.scale,
            level=self.level,
        )

    def authorities(self, as_of: date) -> frozenset[str]:
        """Departments that have the say on that day, over one kind of entity or another."""
        terms = self.authority.everyone() if self.authority else ()
        return frozenset(term.department.split(".")[0] for term in terms if term.first <= as_of <= term.last)


class Succession(Frozen):
    """How one entity of a library follows another: an attribute that names the key of who followed it, as a company
    merged into another states, or of whom it follows, as a new version of a certificate does.
    """

    followed_by: Name | None = None
    follows: Name | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Succession:
        if (self.followed_by is None) == (self.follows is None):
            raise ValueError("state exactly one of followed_by, follows")
        return self

    @property
    def attribute(self) -> str:
        return self.followed_by or self.follows or ""


class Library(Frozen):
    """A base library 基础库: one row per entity, each attribute from its authority.

    `begins` and `ends` are SQL over the attributes: the days on which the entity came to be and ceased to be; who came
    after it is told by `succession`. `coverage` says which sources must know whom.
    """

    name: Name
    title: Title
    summary: Text
    lead: Name
    entity: Text
    key: Name  # name of the key column of base.<library>
    key_title: Text
    key_level: Level = Level.sensitive
    key_normal: Sql = "value"  # normal form of the identifier before records are brought together
    attributes: dict[Name, Attribute] = Field(min_length=1)
    begins: Sql | None = None
    ends: Sql | None = None
    coverage: dict[Name, Coverage] = Field(default_factory=dict)
    identity: Identity | None = None  # how an entity is recognised in a record without its number
    key_successors: Name | None = None  # code list: a retired code that became one other is that entity's number
    succession: Succession | None = None

    @property
    def columns(self) -> dict[str, str]:
        """Columns of `base.<library>` and their DuckDB types, in order (docs/architecture.md)."""
        found = {"entity_id": "UUID", self.key: "VARCHAR"}
        for name, attribute in self.attributes.items():
            found |= {name: attribute.as_column().sql_type, f"{name}_source": "VARCHAR", f"{name}_as_of": "DATE"}
            found |= {f"{name}_outcome": "VARCHAR", f"{name}_said": "VARCHAR"}
        return {**found, **LIFE}


class Reference(Frozen):
    """What a thematic column refers to: the key of `base.<library>` or of another thematic table, `<topic>.<table>`.

    Checked as a rule: every value of the column is a key there; a blank refers to nothing. `accuse` says whose record
    is wrong where one is not; unless stated it is the table's lead who is told.
    """

    to: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+\.[a-z0-9_]+$")]
    severity: Severity = Severity.warn
    accuse: Accusation | None = None


class ThematicTable(Frozen):
    """A thematic table 主题库表: a contract beside one SQL file of the same name.

    `grain` says what one row is, `key` tells rows apart, `reads` names every table the SQL reads, `references` what its
    columns refer to (written short, `column: base.<library>`), `freshness` how old what it is made from may be: what is
    older is a finding, and holds back products that show the table.
    """

    topic: Name
    name: Name
    title: Title
    summary: Text
    lead: Name
    grain: Annotated[str, StringConstraints(pattern=r"^One row per ")]
    key: tuple[Name, ...] = Field(min_length=1)
    reads: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+\.[a-z0-9_]+$")], ...] = Field(min_length=1)
    columns: dict[Name, Column] = Field(min_length=1)
    references: dict[Name, Reference] = Field(default_factory=dict)
    freshness: Freshness | None = None
    rules: tuple[Rule, ...] = ()
    sql: Sql  # the text of the SQL file

    @field_validator("references", mode="before")
    @classmethod
    def _plain_targets(cls, value: object) -> object:
        if isinstance(value, dict):
            return {column: {"to": said} if isinstance(said, str) else said for column, said in value.items()}
        return value

    @property
    def id(self) -> str:
        return f"{self.topic}.{self.name}"


class Gate(Frozen):
    """When a product may be replaced: else the last good version stays."""

    min_rows: int = Field(default=1, ge=1)
    max_row_drop: float = Field(default=0.5, gt=0, le=1)  # share of rows that may vanish between two versions
    min_score: float = Field(default=0.0, ge=0, le=1)  # of every dimension of the departments it reads


class Product(Frozen):
    """A curated table 发布产品 in PostgreSQL, gated by quality and masked by level."""

    name: Name
    title: Title
    summary: Text
    reads: Annotated[str, StringConstraints(pattern=r"^(base\.[a-z0-9_]+|thematic\.[a-z0-9_]+\.[a-z0-9_]+)$")]
    columns: tuple[Name, ...] = Field(min_length=1)
    clear: tuple[Name, ...] = ()  # columns shown unmasked, with the purpose that allows it
    purpose: Text | None = None
    gate: Gate = Gate()

    @model_validator(mode="after")
    def _clear_needs_purpose(self) -> Product:
        if self.clear and not self.purpose:
            raise ValueError("clear columns need a purpose (Order 809 art. 20)")
        return self


class CodeList(Frozen):
    """A code list: standard, version and source; its rows are `<name>.csv` beside the YAML.

    The CSV has one row per code and the columns code, zh, en, and may have valid_from, valid_to (years or dates) and
    successor (several joined with ;). `also` is a regular expression for codes of another authority that stand in the
    place of this list's: they are not in it, and whoever carries one is not accused.
    """

    name: Name
    title: Title
    standard: Text
    version: Text
    source: Text
    also: Text | None = None
    evidence: Literal["V", "T", "M", "U"]  # read in a public source, tested, from memory, not found
