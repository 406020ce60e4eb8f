"""What a steward writes about one data item: its type, codes or identifier, spellings, units, level."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from catalog.frozen import Frozen, Name, Text

# What every code list has in the lake; a file may lack the last three.
CODE_COLUMNS = ("code", "zh", "en", "valid_from", "valid_to", "successor")


class Level(StrEnum):
    """Security level of one column (GB/T 43697-2024, general data with local sub-levels)."""

    public = "public"
    internal = "internal"
    personal = "personal"
    sensitive = "sensitive"


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
