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
from catalog.columns import Column, ColumnType, Identifier, Level
from catalog.coverage import Coverage
from catalog.frozen import Frozen, Name, Sql, Text, Title
from catalog.identity import Identity
from catalog.layout import Layout
from catalog.rules import Accusation, Rule, Severity
from catalog.sources import Source
from catalog.timing import Freshness, MaxAge, Volume

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
