"""Where the table of a delimited text is and how its records are told apart, in the reader's child process.

What the layout declares stands. The rest is found by the catalogue's column names: a dialect counts only when with it
one row (or two, three) of the file's beginning names every declared column, and of several that do the one stands with
which the fewest records of the beginning are broken. What was found beyond a comma, tab or semicolon and a header in
the first row is noted.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from resources.reading import EMPTY, Header, Work
from resources.reading_records import Dialect, OpenQuoteError, Record, split
from resources.reading_text import BOM

HEAD_LIMIT = 1_000_000  # bytes
SAMPLE = 500  # records by which one dialect is preferred to another
PLAIN = (",", "\t", ";")  # delimiters that need no note when they find every column
DELIMITERS = (*PLAIN, "|", "||", ", ", "; ", "，", "；", "^", "~", "\x01", "\x1f", ":", " ")
QUOTINGS = (('"', '"'), ('"', "\\"), ("'", "'"), ("'", "\\"))
USUAL = 10  # an apostrophe counts as a quote when one record in so many has it where a quote opens a field
SHOWN_AS = {"\t": "a tab", " ": "a blank"}


@dataclass(frozen=True)
class Table:
    """A table in a text: how its records are told apart, its header, and where its first record begins.

    `start` is the byte and `first_line` the line of the first record; `lead` says what stands above it: nothing, the
    header in one record, or more than DuckDB can be told to leave out.
    """

    dialect: Dialect
    header: Header
    start: int
    first_line: int
    lead: str  # "nothing" | "header" | "more"

    @property
    def width(self) -> int:
        return len(self.header.names)


@dataclass(frozen=True)
class Head:
    """The beginning of a text: whole lines with their ends, and how many bytes of marks stand before the first."""

    lines: list[str]
    marks: int
    ended: bool

    def rows_at(self, dialect: Dialect) -> Callable[[int, int], list[list[str]]]:
        """Cells of rows, as `Work.find_header` asks for them; nothing where a row is broken."""

        def rows(row: int, count: int) -> list[list[str]]:
            return [record.fields or [] for record in self.records(dialect, row, count)]

        return rows

    def records(self, dialect: Dialect, line: int, count: int) -> list[Record]:
        """Up to `count` records from a line on, none of them when one is broken."""
        found: list[Record] = []
        try:
            for record in islice(split(self.lines[line - 1 :], dialect, line), count):
                if record.fields is None:
                    return []
                found.append(record)
        except OpenQuoteError:
            return []
        return found

    def broken(self, table: Table) -> tuple[int, int]:
        """Broken records among the first ones, and how many records there are."""
        total = broken = 0
        try:
            for record in islice(split(self.lines[table.first_line - 1 :], table.dialect), SAMPLE):
                total += 1
                broken += bool(record.problem) or record.fields is None or len(record.fields) != table.width
        except OpenQuoteError:
            total, broken = total + 1, broken + self.ended
        return broken, total

    def quoted_by(self, table: Table) -> int:
        """Fields that begin with the dialect's quote."""
        dialect = table.dialect
        sample = self.lines[table.first_line - 1 :][:SAMPLE]
        opened = sum(line.count(dialect.delimiter + dialect.quote) + line.startswith(dialect.quote) for line in sample)
        return opened if dialect.quote else 0


def find_table(work: Work, path: Path) -> Table:
    """The table, by what is declared and by the plain dialects, else by the best of all.

    Raises:
        RefusedError: no row names every declared column.
        UnicodeDecodeError: the beginning is not UTF-8.
    """
    head = _head(work, path)
    declared = _declared(work)
    for delimiter in _delimiters(work, PLAIN):
        dialect = _with(declared, delimiter, '"', '"')
        header = work.find_header(head.rows_at(dialect))
        if header and (header.row, header.rows) in {(0, 0), (1, 1)}:
            table = _table(work, head, dialect, header)
            if "delimiter" in declared or not _blank_after(head, table):
                _tell(work, head, table)
                return table
    return _best(work, head, declared) or _refused(work, head, declared)


def better_table(work: Work, path: Path, table: Table) -> Table:
    """The table in another dialect when that breaks fewer records of the beginning."""
    best = _best(work, _head(work, path), _declared(work))
    return best or table


def _best(work: Work, head: Head, declared: dict[str, str]) -> Table | None:
    """The table with the fewest broken records; with as many, the longer delimiter."""
    found: list[tuple[float, int, Table]] = []
    for dialect in _dialects(work, head, declared):
        header = work.find_header(head.rows_at(dialect))
        if header:
            table = _table(work, head, dialect, header)
            broken, total = head.broken(table)
            if dialect.quote == "'" and "quote" not in declared and USUAL * head.quoted_by(table) < total:
                continue  # here an apostrophe, not a quote
            found.append((broken / max(total, 1), -len(dialect.delimiter), table))
    if not found:
        return None
    table = min(found, key=lambda one: one[:2])[2]
    _tell(work, head, table)
    if "delimiter" not in work.layout or "quote" not in work.layout or "header_row" not in work.layout:
        _note(work, table)
    return table


def _dialects(work: Work, head: Head, declared: dict[str, str]) -> Iterator[Dialect]:
    """Every dialect that agrees with what is declared and whose marks occur."""
    text = "".join(head.lines[:SAMPLE])
    seen = set()
    for delimiter in _delimiters(work, DELIMITERS):
        for quote, escape in QUOTINGS:
            dialect = _with(declared, delimiter, quote, escape)
            new = "escape" in declared or escape == quote or escape in text
            if dialect not in seen and delimiter in text and new:
                seen.add(dialect)
                yield dialect
    if not seen:
        yield _with(declared, _delimiters(work, PLAIN)[0], '"', '"')


def _delimiters(work: Work, known: tuple[str, ...]) -> tuple[str, ...]:
    if "delimiter" in work.layout:
        return (work.layout["delimiter"],)
    return ("\t", *known) if work.layout.get("kind") == "tsv" else known


def _declared(work: Work) -> dict[str, str]:
    return {key: work.layout[key] for key in ("delimiter", "quote", "escape", "line_end") if key in work.layout}


def _with(declared: dict[str, str], delimiter: str, quote: str, escape: str) -> Dialect:
    """A dialect as far as it is declared; a declared quote is doubled when nothing else is said."""
    if "quote" in declared:
        quote = declared["quote"]
        escape = quote if escape != "\\" or not quote else escape
    if "escape" in declared:
        escape = declared["escape"]
    return Dialect(delimiter, quote, escape, declared.get("line_end", ""))


def _blank_after(head: Head, table: Table) -> bool:
    """Whether a blank follows every delimiter of the header: then it may belong to the delimiter."""
    line = head.lines[table.header.row - 1] if table.header.row else ""
    count = line.count(table.dialect.delimiter)
    return count > 0 and line.count(table.dialect.delimiter + " ") == count


def _table(work: Work, head: Head, dialect: Dialect, header: Header) -> Table:
    """Where the records begin below a header.

    Raises:
        RefusedError: the row declared as the first lies beyond the beginning.
    """
    first, lead = 1, "nothing"
    if header.row:
        records = head.records(dialect, header.row, header.rows)
        first = records[-1].end + 1
        lead = "header" if records[0].line == 1 and header.rows == 1 else "more"
    declared = work.layout.get("first_row")
    if declared and declared != first:
        first, lead = declared, "more"
    if first > len(head.lines) + 1:
        raise work.refuse("header", f"first_row = {first} of the catalogue; the file has {len(head.lines)} lines")
    start = head.marks + sum(len(line.encode()) for line in head.lines[: first - 1])
    if head.marks > len(BOM):
        lead = "more"
    return Table(dialect, header, start, first, lead)


def _head(work: Work, path: Path) -> Head:
    with path.open("rb") as file:
        start = file.read(HEAD_LIMIT)
        ended = not file.read(1)
    marks = 0
    while start.startswith(BOM, marks):
        marks += len(BOM)
    end = len(start) if ended else max(start.rfind(b"\n"), start.rfind(b"\r", 0, -1)) + 1
    if end == 0:
        raise work.refuse("header", f"the first line is longer than {HEAD_LIMIT} bytes; it must hold the column names")
    text = io.TextIOWrapper(io.BytesIO(start[marks:end]), "utf-8", newline=work.layout.get("line_end", ""))
    return Head(list(text), marks, ended)


def _tell(work: Work, head: Head, table: Table) -> None:
    """Name what the header holds beyond the catalogue."""
    header = table.header
    if header.row:
        work.places(header.names, head.rows_at(table.dialect)(header.row, header.rows)[-1])


def _refused(work: Work, head: Head, declared: dict[str, str]) -> Table:
    """The refusal that says what the likeliest header lacks."""
    row = work.layout.get("header_row", 1)
    headers = [head.rows_at(_with(declared, one, '"', '"'))(row, 1) for one in _delimiters(work, DELIMITERS)]
    known = [rows[0] for rows in headers if rows]
    if not any(line.strip() for line in head.lines):
        raise work.refuse("empty", f"holds blank lines alone; {EMPTY}")
    if not known:
        raise work.refuse("header", f"line {row}: no header that can be read; a quote may be left open")
    work.places(max(known, key=lambda names: sum(1 for at in work.matched(names).values() if at)))
    raise work.refuse("header", f"line {row}: the header names no column that was not found elsewhere")


def _note(work: Work, table: Table) -> None:
    """Say what was assumed where it is not plain."""
    dialect, header = table.dialect, table.header
    said = []
    if "delimiter" not in work.layout and dialect.delimiter not in PLAIN:
        said.append(f"delimiter {SHOWN_AS.get(dialect.delimiter, repr(dialect.delimiter))}")
    if "quote" not in work.layout and "escape" not in work.layout and (dialect.quote, dialect.escape) != QUOTINGS[0]:
        said.append(f"quote {dialect.quote!r} with escape {dialect.escape!r}")
    if "header_row" not in work.layout and (header.row, header.rows) != (1, 1):
        rows = f"row {header.row}" if header.rows == 1 else f"rows {header.row} to {header.row + header.rows - 1}"
        said.append(f"header in {rows}")
    if said:
        work.note(
            "dialect_detected",
            f"read with {', '.join(said)}: not declared, taken because every declared column is named so and the "
            "fewest records are broken; declare it in the resource's layout to be certain",
        )
