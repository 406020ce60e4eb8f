"""What every format of the reader's child process shares: the job in progress and how its columns are found.

Formats are `resources.reading_csv`, `reading_sheets`, `reading_json`, `reading_geo` and `reading_formats`, the child's
loop is `resources.reading_main`. Nothing here knows types, keys or tables, and no message carries more of the file than
the place and what is needed to find it.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

SHOWN = 20  # names listed in one message
BLANK = " \t\r\n\u3000\u00a0\ufeff"
SEARCHED_ROWS = 20  # rows in which a header is looked for when its row is not declared
HEADER_ROWS = (1, 2, 3)  # rows a header may take when that is not declared
DIGITS = 15  # significant digits of a number in a workbook
DICTIONARY = 1000  # different values of a column, to 120,000 records, that are staged as a dictionary
EMPTY = "zero rows is never a delivery, the pool keeps its last good state"
ALLOWED_MARGIN = 2  # a first line in which fewer than one in so many declared columns stands is taken for a record


class RefusedError(Exception):
    """The file as a whole cannot be taken; code and message go to the department."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Header:
    """Where the header stands (row from 1; 0: there is none), its names, and the place of each declared column."""

    row: int
    rows: int
    names: tuple[str, ...]
    places: dict[str, int]


@dataclass
class Work:
    """One job in progress: the request, a connection, and what was noticed on the way."""

    con: duckdb.DuckDBPyConnection
    name: str
    columns: dict[str, list[str]]
    ignore: list[str]
    layout: dict[str, Any]  # what `catalog.layout.Layout` says of the file, without what it leaves open
    folder: Path
    unpacked_limit: int
    optional: list[str] = field(default_factory=list)
    reasons: list[dict[str, str]] = field(default_factory=list)
    bad_rows: int = 0
    numbered: bool = False

    @property
    def rows_file(self) -> Path:
        return self.folder / "rows.parquet"

    @property
    def bad_file(self) -> Path:
        return self.folder / "bad.parquet"

    def note(self, code: str, message: str) -> None:
        if not any(reason["code"] == code for reason in self.reasons):
            self.reasons.append({"code": code, "message": f"{self.name}: {message}"})

    def refuse(self, code: str, message: str) -> RefusedError:
        return RefusedError(code, f"{self.name}: {message}")

    def stage(self, query: str) -> int:
        """Write the query's rows, in their order, as the staging file; returns their number."""
        # Codes in dictionaries are conformed once each; DuckDB's own limit makes it look for larger ones in vain.
        row = self.con.execute(
            f"copy ({query}) to {literal(self.rows_file)} "
            f"(format parquet, compression lz4_raw, dictionary_size_limit {DICTIONARY})"
        ).fetchone()
        return int(row[0]) if row else 0

    def matched(self, *headers: Sequence[str]) -> dict[str, list[int]]:
        """Where each declared column stands: by its name to the letter, else by the same name in other case, width
        or spacing; a column that one header lacks is looked for in the next. One
        that may be missing, and is, is left out.
        """
        found: dict[str, list[int]] = {column: [] for column in self.columns}
        for header in headers:
            for plain in (_trimmed, alike):
                at: dict[str, list[int]] = {}
                for i, name in enumerate(header):
                    at.setdefault(plain(name), []).append(i)
                for column, wanted in self.columns.items():
                    names = dict.fromkeys(plain(name) for name in wanted)
                    found[column] = found[column] or sorted(i for name in names for i in at.get(name, ()))
        return {column: at for column, at in found.items() if at or column not in self.optional}

    def places(self, header: Sequence[str], *others: Sequence[str]) -> dict[str, int]:
        """Where each declared column stands in the header, found by name; names the columns that are left out.

        Raises:
            RefusedError: a column is missing or stands twice.
        """
        found = self.matched(header, *others)
        names = [_trimmed(text) for text in header]
        if missing := [column for column, at in found.items() if not at]:
            # Where hardly a declared name stands, the first line is a record: its values belong in no message.
            a_record = ALLOWED_MARGIN * len(missing) > len(found)
            seen = "its first line seems to be a record, not a header" if a_record else f"found {listed(names)}"
            declared = listed(self.columns)
            raise self.refuse(
                "missing_column", f"header lacks {listed(missing)}; {seen}; the catalogue declares {declared}"
            )
        if twice := [column for column, at in found.items() if len(at) > 1]:
            raise self.refuse("duplicate_column", f"header holds {listed(twice)} more than once; each column once")
        known = {at[0] for at in found.values()}
        extra = [n for i, n in enumerate(names) if i not in known and n not in self.ignore]
        if extra:
            self.note("extra_column", f"columns {listed(extra)} are not in the catalogue and were not loaded")
        return {column: at[0] for column, at in found.items()}

    def find_header(self, rows_at: Callable[[int, int], list[list[str]]]) -> Header | None:
        """The header where it is declared, else the first row (or two, three rows) that names every column.

        `rows_at(row, count)` gives the cells of `count` rows from `row` on, fewer at the table's end.
        """
        declared = self.layout.get("header_row")
        if declared == 0:
            return Header(0, 0, tuple(self.columns), {column: i for i, column in enumerate(self.columns)})
        counts = (self.layout["header_rows"],) if "header_rows" in self.layout else HEADER_ROWS
        for count in counts:
            for row in (declared,) if declared else range(1, SEARCHED_ROWS + 1):
                rows = rows_at(row, count)
                if len(rows) == count:
                    names = joined(rows)
                    found = self.matched(names, rows[-1])
                    if all(len(at) == 1 for at in found.values()):
                        return Header(row, count, names, {column: at[0] for column, at in found.items()})
        return None


def joined(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The names of a header of one or several rows: what stands above one another, joined with a blank."""
    width = max(map(len, rows))
    cells = [[_trimmed(row[i]) if i < len(row) else "" for row in rows] for i in range(width)]
    return tuple(" ".join(filter(None, column)) for column in cells)


def alike(name: str) -> str:
    """A header's name without what typists vary: case, full or half width, blanks."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split()).strip(BLANK)


def _trimmed(name: str) -> str:
    return name.strip(BLANK)


def literal(value: object) -> str:
    """A text or path as SQL writes it."""
    return "'" + str(value).replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str]) -> str:
    """Names for a message, cut to what a person reads."""
    texts = [name[:60] or "(no name)" for name in names]
    more = f", … ({len(texts)} in all)" if len(texts) > SHOWN else ""
    return (", ".join(texts[:SHOWN]) + more) or "(nothing)"


def typed_text(value: object) -> str:
    """The text of a typed value as a workbook shows it: 15 digits of a number, a date without its midnight."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return format(Decimal(f"{value:.{DIGITS}g}"), "f")
        case dt.datetime():
            return value.isoformat(" ") if value.time() != dt.time() else value.date().isoformat()
        case dt.date() | dt.time():
            return value.isoformat()
        case _:
            text = str(value)
            return text if _trimmed(text) else ""
