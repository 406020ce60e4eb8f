"""CSV, TSV and other delimited text to staged raw text, in the reader's child process.

The fast path is DuckDB's strict reader with everything said and one look at the bytes; what it refuses, or what the
bytes contradict, is read record by record. How a table is found is `resources.reading_dialect`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

import duckdb

from resources.reading import Header, Work, literal, quoted
from resources.reading_dialect import Table, better_table, find_table
from resources.reading_records import LINE_LIMIT, OpenQuoteError, Sorting, split
from resources.reading_text import CHUNK, as_utf8, place, readable

LOOK = 10_000  # records that are looked at first
DELIMITER_BYTES = 4  # DuckDB takes no longer one


class RaggedError(Exception):
    """What DuckDB read is not what the bytes hold: fields too many, or a header that comes again."""


# DuckDB gives up with the second when a record is longer than what one thread reads.
REFUSED = (duckdb.InvalidInputException, duckdb.NotImplementedException, RaggedError)


def read_csv(work: Work, path: Path) -> int:
    """Delimited text of any dialect."""
    text = readable(work, path)
    table = None
    try:
        table = find_table(work, text)
        return _fast(work, text, table)
    except (*REFUSED, UnicodeDecodeError):
        utf8 = as_utf8(work, text)
    if utf8 != text or table is None:
        table = find_table(work, utf8)
    better = better_table(work, utf8, table)
    if utf8 != text or better != table:
        try:
            return _fast(work, utf8, better)
        except REFUSED:
            pass
    return _by_record(work, utf8, better)


def _fast(work: Work, path: Path, table: Table) -> int:
    """One pass of DuckDB and one over the bytes.

    Raises:
        RaggedError: the dialect is none of DuckDB's, or it took records that are not right.
    """
    dialect, mark = table.dialect, table.dialect.delimiter.encode()
    if table.width == 1 or dialect.escape != dialect.quote or len(mark) > DELIMITER_BYTES:
        raise RaggedError
    source = _from(work, path, table.start) if table.lead == "more" else path
    scan = dialect.scan(source, table.width, header=table.lead == "header")
    picked = ", ".join(f"c{at} as {quoted(column)}" for column, at in table.header.places.items())
    with ThreadPoolExecutor(1) as beside:
        counted = beside.submit(_count, work, path, mark)
        try:
            rows = work.stage(f"select {picked} from {scan}")
        finally:
            found = counted.result()  # what it refuses, it refuses whatever DuckDB says
    with path.open("rb") as file:
        found -= file.read(table.start).count(mark)
    found -= rows * (table.width - 1)
    if found and not _within_values(work, scan, table, found):
        raise RaggedError
    if table.header.row and _header_again(work, table.header):
        raise RaggedError
    return rows


def _count(work: Work, path: Path, mark: bytes) -> int:
    """Delimiters in the file. DuckDB takes a record with fields too many when they are empty, and its values then stand
    in the wrong columns: so the delimiters found are compared with those the records need.

    Raises:
        RefusedError: a NUL byte.
    """
    found = at = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if (nul := chunk.find(b"\x00")) >= 0:
                raise work.refuse("encoding", f"{place(path, at + nul)}: a NUL byte; text must be UTF-8 or GB18030")
            at += len(chunk)
            found += chunk.count(mark)
            if len(mark) > 1 and (rest := file.read(len(mark) - 1)):  # a mark may lie across two chunks
                found += (chunk[1 - len(mark) :] + rest).count(mark)
                file.seek(-len(rest), 1)
    return found


def _within_values(work: Work, scan: str, table: Table, found: int) -> bool:
    """Whether so many delimiters stand inside the values.

    Columns in which the first records show some are counted first. As no more can stand inside values than were
    found beyond the records' own, all of them in some columns leave none for the others: these need no look.
    """
    mark = literal(table.dialect.delimiter)
    columns = [quoted(column) for column in table.header.places]
    source = f"read_parquet({literal(work.rows_file)})"
    if len(columns) < table.width:  # not all are staged
        columns, source = [f"c{i}" for i in range(table.width)], scan
    seen = ", ".join(f"bool_or(contains({column}, {mark}))" for column in columns)
    row = work.con.execute(f"select {seen} from (from {source} limit {LOOK})").fetchone()
    likely = [column for column, shown in zip(columns, row or (), strict=True) if shown]

    def number(some: list[str]) -> int:
        # A look whether one is there at all is a tenth of the work.
        lost = " + ".join(
            f"coalesce(sum(case when contains({c}, {mark}) then len({c}) - len(replace({c}, {mark}, '')) end), 0)"
            for c in some
        )
        row = work.con.execute(f"select ({lost or '0'}) // {len(table.dialect.delimiter)} from {source}").fetchone()
        return int(row[0]) if row else 0

    counted = number(likely)
    return counted == found or counted + number([c for c in columns if c not in likely]) == found


def _header_again(work: Work, header: Header) -> bool:
    """Whether a record is the header: files put one after another."""
    same = " and ".join(f"{quoted(column)} = {literal(header.names[at])}" for column, at in header.places.items())
    found = work.con.execute(f"select 1 from read_parquet({literal(work.rows_file)}) where {same} limit 1").fetchone()
    return found is not None


def _from(work: Work, path: Path, start: int) -> Path:
    """A copy without what stands above the first record."""
    target = work.folder / "records.txt"
    with path.open("rb") as file, target.open("wb") as out:
        file.seek(start)
        shutil.copyfileobj(file, out, CHUNK)
    return target


def _by_record(work: Work, path: Path, table: Table) -> int:
    """The slow path: records with the header's number of fields are staged, the others set aside with their line.

    Raises:
        RefusedError: a quote is left open over several lines: nobody can say which records it swallowed.
    """
    names = [name.strip() for name in table.header.names] if table.header.row else []
    with path.open("rb") as raw:
        raw.seek(table.start)
        with (
            open(raw.fileno(), encoding="utf-8", newline=table.dialect.line_end, closefd=False) as text,
            Sorting(work, names, table.width) as sorting,
        ):
            try:
                for record in split(_lines(work, text, table), table.dialect, table.first_line):
                    sorting.take_record(record)
            except OpenQuoteError as error:
                message = f"line {error.line}: not readable as CSV ({error.problem}); close or double the quote"
                raise work.refuse("quoting", message) from None
            return sorting.stage(table.header.places)


def _lines(work: Work, text: TextIO, table: Table) -> Iterator[str]:
    """Lines with their ends, none longer than what memory is given for."""
    number, nul = table.first_line, "" if table.dialect.escape == "\x00" else "\x00"
    while line := text.readline(LINE_LIMIT):
        if len(line) == LINE_LIMIT:
            raise work.refuse("record_size", f"line {number} is longer than {LINE_LIMIT} characters; is it a table?")
        if nul and nul in line:
            raise work.refuse("encoding", f"line {number}: a NUL byte; text must be UTF-8 or GB18030")
        yield line
        number += 1
