"""How a department's file is laid out: what a steward may say where detection is not enough.

Everything is optional; what is not said is detected by `resources.reader`, and a detection that is not certain is noted
with the delivery. Add a field here when a layout needs a new statement. Nothing here touches a disk.
"""

from __future__ import annotations

import codecs
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

Kind = Literal["csv", "tsv", "xlsx", "xls", "json", "jsonl", "parquet", "geojson", "shapefile"]
KINDS: tuple[Kind, ...] = get_args(Kind)
JsonPath = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$", max_length=200)]

TEXT_KINDS: tuple[Kind, ...] = ("csv", "tsv")
SHEET_KINDS: tuple[Kind, ...] = ("xlsx", "xls")
# Field of a layout -> the kinds of file it can be said of.
BELONGS: dict[str, tuple[Kind, ...]] = {
    "encoding": (*TEXT_KINDS, "json", "jsonl", "geojson", "shapefile"),
    "delimiter": TEXT_KINDS,
    "quote": TEXT_KINDS,
    "escape": TEXT_KINDS,
    "line_end": TEXT_KINDS,
    "header_row": (*TEXT_KINDS, *SHEET_KINDS),
    "header_rows": (*TEXT_KINDS, *SHEET_KINDS),
    "first_row": (*TEXT_KINDS, *SHEET_KINDS),
    "sheet": SHEET_KINDS,
    "records": ("json", "jsonl"),
    "fields": ("json", "jsonl"),
    "geometry": ("geojson", "shapefile"),
}


class Layout(BaseModel):
    """The form of the files of one resource. Rows are counted from 1, in CSV as lines of the file.

    `header_row` is the row in which the header begins (rows above it are a title), 0 says that there is no header and
    the columns stand in the catalogue's order; `header_rows` how many rows it takes, joined with a blank; `first_row`
    the row of the first record where that is not the row below the header. `quote: ""` says that nothing is quoted; an
    `escape` equal to the quote (the default) says that a quote within a value is doubled. `records` is the path to the
    list of records inside one JSON document (`data.rows`), `fields` gives the path below a record for columns whose
    name does not say it, `geometry` the column that takes a feature's geometry as WKT.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    kind: Kind | None = None
    encoding: str | None = None
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=4)] | None = None
    quote: Annotated[str, StringConstraints(max_length=1)] | None = None
    escape: Annotated[str, StringConstraints(min_length=1, max_length=1)] | None = None
    line_end: Literal["\n", "\r\n", "\r"] | None = None
    header_row: int | None = Field(default=None, ge=0, le=1000)
    header_rows: int | None = Field(default=None, ge=1, le=5)
    first_row: int | None = Field(default=None, ge=1, le=2000)
    sheet: Annotated[int, Field(ge=1)] | Annotated[str, StringConstraints(min_length=1)] | None = None
    records: JsonPath | None = None
    fields: dict[str, JsonPath] = Field(default_factory=dict)
    geometry: str | None = None

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            known = value is None or codecs.lookup(value)._is_text_encoding
        except LookupError:
            known = False
        if not known:
            raise ValueError("not a text encoding; allowed: utf-8, gb18030, utf-16, big5 and what Python calls so")
        return value

    @field_validator("delimiter", "quote", "escape")
    @classmethod
    def _no_line_end(cls, value: str | None) -> str | None:
        if value and ("\n" in value or "\r" in value):
            raise ValueError("holds a line end; a record ends there")
        return value

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.quote and self.delimiter and self.quote in self.delimiter:
            raise ValueError(f"delimiter {self.delimiter!r} holds the quote {self.quote!r}; they must differ")
        if self.header_row == 0 and self.header_rows:
            raise ValueError("header_row 0 says there is no header; header_rows says how many rows it has: state one")
        header_end = (self.header_row or 1) + (self.header_rows or 1) - 1
        if self.header_row != 0 and self.first_row and self.first_row <= header_end:
            raise ValueError(f"first_row = {self.first_row} is not below the header, which ends in row {header_end}")
        if self.kind:
            said = self.model_dump(exclude_none=True, exclude_defaults=True)
            if wrong := [f"{name} (of {', '.join(BELONGS[name])})" for name in said if self.kind not in _kinds(name)]:
                raise ValueError(f"kind {self.kind} has no {'; '.join(wrong)}")
        return self


def _kinds(name: str) -> tuple[Kind, ...]:
    return BELONGS.get(name, KINDS)
