"""From the raw text a department wrote to the typed columns of a pool, as SQL over a staging file.

Holds which spellings of a value each logical type accepts, what a record's key is, and the query that a load inserts.
Nothing is repaired: a value that is not plainly of its type becomes NULL and stays readable in `_raw`. A type or an
accepted spelling is added in `typed`. What happens to the rows is `assets.pools`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from catalog.models import Column, ColumnType, Resource
from resources.lake import literal, quoted

BLANK = "' \t\r\n\u3000\u00a0'"
BLANKS = r"[\s\x{3000}\x{a0}]*"
DATE = r"\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{8}|\d{4}年\d{1,2}月\d{1,2}日"
DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%Y年%m月%d日")
MOMENT = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?|\d{14}"
MOMENT_FORMATS = (
    *(f"%Y{d}%m{d}%d{t}%H:%M{s}" for d in "-/" for t in " T" for s in (":%S", ":%S.%f", "")),
    "%Y%m%d%H%M%S",
)
TRUE = "true|t|yes|y|1|是"
FALSE = "false|f|no|n|0|否"


@dataclass(frozen=True)
class Source:
    """A staging file and what its rows are stamped with."""

    resource: Resource
    rows_file: Path
    numbered: bool  # the file holds its record numbers as _row; otherwise they are its row order
    delivery_id: str
    as_of: date
    mode: str

    @property
    def raw(self) -> str:
        """Query: every record as raw text r0, r1, … (NULL where blank) with `_row` and `_record_key`."""
        texts = ", ".join(f"{_unless_blank(quoted(name))} as r{i}" for i, name in enumerate(self.resource.columns))
        number = "_row" if self.numbered else "file_row_number + 1"
        file = f"read_parquet({literal(str(self.rows_file))}, file_row_number = true)"
        return f"select *, {self._key} as _record_key from (select {number} as _row, {texts} from {file})"

    @property
    def _key(self) -> str:
        """The key columns' raw text; the record number when all are blank, so that a finding can name the record.

        In an incremental pool the number alone would make keyless records of different days overwrite each other.
        """
        parts = [f"r{list(self.resource.columns).index(name)}" for name in self.resource.key]
        day = "" if self.mode == "full" else f"@{self.as_of:%Y%m%d}"
        joined = " || '|' || ".join(f"coalesce({part}, '')" for part in parts)
        return f"case when coalesce({', '.join(parts)}, null) is null then '#' || _row || '{day}' else {joined} end"

    @property
    def typed(self) -> str:
        """Query: the columns of the pool in its order, without `_copies`."""
        columns = list(self.resource.columns.items())
        values = ", ".join(f"{typed(column, f'r{i}')} as {quoted(name)}" for i, (name, column) in enumerate(columns))
        names = ", ".join(quoted(name) for name, _ in columns)
        return (
            f"select {names}, _record_key, {literal(self.delivery_id)} as _delivery_id, _row, "
            f"date '{self.as_of}' as _as_of, _raw, hash({names}, _raw::varchar) as _hash "
            f"from (select *, {_unparsed(columns)} as _raw from (select *, {values} from ({self.raw})))"
        )

    @property
    def content(self) -> str:
        """Expression over `raw`: the record as JSON text."""
        fields = ", ".join(f"{literal(name)}: r{i}" for i, name in enumerate(self.resource.columns))
        return f"to_json({{{fields}}})::varchar"


def _unless_blank(text: str) -> str:
    """NULL for a text of blanks alone. Comparing the first character spares most texts the trim: 0.2 instead of 1.1 s
    of processor time for ten columns of a million records.
    """
    surely = f"({text} >= '!' and {text} < '\u00a0') or {text} >= '\u3001'"
    return f"case when {surely} then {text} when trim({text}, {BLANK}) <> '' then {text} end"


def typed(column: Column, raw: str) -> str:
    """SQL for the typed value of a raw text, NULL when the text is not one of the accepted spellings."""
    match column.logical_type:
        case ColumnType.text:
            return raw
        case ColumnType.integer:
            return _parsed(raw, r"[+-]?\d+", "try_cast({} as bigint)")
        case ColumnType.decimal:
            digits = f"[+-]?(?:\\d+(?:\\.\\d{{0,{column.scale}}}0*)?|\\.\\d{{1,{max(column.scale, 1)}}}0*)"
            return _parsed(raw, digits, f"try_cast({{}} as {column.sql_type})")
        case ColumnType.date:
            return _parsed(raw, DATE, f"try_strptime({{}}, {list(DATE_FORMATS)})::date")
        case ColumnType.timestamp:
            return _parsed(raw, f"{DATE}|{MOMENT}", f"try_strptime({{}}, {[*DATE_FORMATS, *MOMENT_FORMATS]})")
        case ColumnType.boolean:
            return f"case when {_like(raw, TRUE)} then true when {_like(raw, FALSE)} then false end"


def _parsed(raw: str, pattern: str, value: str) -> str:
    """The pattern guards the cast, which alone is too kind: DuckDB rounds '1.5' to 2 and reads 'infinity' as a date.

    Blanks around a value are looked for only where the plain text does not match. Each text stands once in `value`:
    what stands twice in a query is computed for every record.
    """
    plain = f"case when regexp_full_match({raw}, {literal(pattern)}) then {value.format(raw)} end"
    inside = f"regexp_extract({raw}, {literal(f'^{BLANKS}({pattern}){BLANKS}$')}, 1)"
    return f"coalesce({plain}, {value.format(inside)})"


def _like(raw: str, words: str) -> str:
    return f"regexp_full_match({raw}, {literal(f'(?i){BLANKS}(?:{words}){BLANKS}')})"


def _unparsed(columns: Sequence[tuple[str, Column]]) -> str:
    """SQL for the map of texts that did not parse, NULL when all did."""
    kept = [(i, name) for i, (name, column) in enumerate(columns) if column.logical_type is not ColumnType.text]
    if not kept:
        return "null::map(varchar, varchar)"
    failed = [f"{quoted(name)} is null and r{i} is not null" for i, name in kept]
    entries = ", ".join(
        f"case when {wrong} then {{'key': {literal(name)}, 'value': r{i}}} end"
        for wrong, (i, name) in zip(failed, kept, strict=True)
    )
    anything = " or ".join(f"({wrong})" for wrong in failed)
    return f"case when {anything} then map_from_entries(list_filter([{entries}], lambda e: e is not null)) end"
