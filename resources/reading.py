"""What runs in the reader's child process: each file format to one Parquet file of raw text.

Holds the CSV path and what all formats share (`Work`, headers by name, gzip, encodings). The other formats are
`resources.reading_formats`, the child's loop `resources.reading_main`. Nothing here knows types, keys or tables, and no
message carries more of the file than the place and what is needed to find it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import mmap
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

HEADER_LIMIT = 1_000_000  # bytes
FIELD_LIMIT = 500_000  # characters; DuckDB's limit of a CSV line is 2 MB
SHOWN = 20  # names listed in one message
CHUNK = 8_000_000
BLANK = " \t\r\n\u3000\u00a0"


class RaggedError(Exception):
    """A record of a CSV file has more fields than the header."""


class RefusedError(Exception):
    """The file as a whole cannot be taken; code and message go to the department."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class Work:
    """One job in progress: the request, a connection, and what was noticed on the way."""

    con: duckdb.DuckDBPyConnection
    name: str
    columns: dict[str, list[str]]
    ignore: list[str]
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
        row = self.con.execute(
            f"copy ({query}) to {literal(self.rows_file)} (format parquet, compression lz4_raw)"
        ).fetchone()
        return int(row[0]) if row else 0

    def places(self, header: Sequence[str]) -> dict[str, int]:
        """Where each declared column stands in the header, found by name.

        Raises:
            RefusedError: a column is missing or stands twice.
        """
        names = [text.strip(BLANK) for text in header]
        found = {column: [i for i, n in enumerate(names) if n in wanted] for column, wanted in self.columns.items()}
        found = {column: at for column, at in found.items() if at or column not in self.optional}
        if missing := [column for column, at in found.items() if not at]:
            # Where hardly a declared name stands, the first line is a record: its values belong in no message.
            a_record = 2 * len(missing) > len(found)
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


def read_csv(work: Work, path: Path) -> int:
    """CSV by DuckDB's strict reader; what it refuses is looked at line by line."""
    try:
        return _stage_csv(work, path)
    except (duckdb.Error, UnicodeDecodeError, RaggedError):
        text = as_utf8(work, path)
    if text != path:
        try:
            return _stage_csv(work, text)
        except (duckdb.Error, RaggedError):
            work.reasons = [reason for reason in work.reasons if reason["code"] == "encoding"]
    return _stage_by_line(work, text)


def _stage_csv(work: Work, path: Path) -> int:
    _refuse_nul(work, path)
    header, delimiter = _header(work, path)
    places = work.places(header)
    picked = ", ".join(f"c{at} as {quoted(column)}" for column, at in places.items())
    rows = work.stage(f"select {picked} from {csv_scan(path, len(header), delimiter)}")
    _refuse_ragged(work, path, header, delimiter, rows)
    return rows


def _refuse_ragged(work: Work, path: Path, header: list[str], delimiter: str, rows: int) -> None:
    """DuckDB takes a record with one field too many when its last is empty, and its values then stand one column off.

    So the delimiters are counted: those in the file against those the records need and those within values.
    """
    byte = delimiter.encode()
    with path.open("rb") as file:
        found = sum(chunk.count(byte) for chunk in iter(lambda: file.read(CHUNK), b""))
    found -= (rows + 1) * (len(header) - 1) + sum(name.count(delimiter) for name in header)
    if found:
        mark = literal(delimiter)
        within = " + ".join(f"coalesce(sum(len(c{i}) - len(replace(c{i}, {mark}, ''))), 0)" for i in range(len(header)))
        row = work.con.execute(f"select {within} from {csv_scan(path, len(header), delimiter)}").fetchone()
        if row is None or int(row[0]) != found:
            raise RaggedError


def csv_scan(path: Path, width: int, delimiter: str = ",") -> str:
    """`read_csv` with everything said: nothing is sniffed, every column is text named c0, c1, …"""
    columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(width))
    return (
        f"read_csv({literal(path)}, auto_detect = false, header = true, delim = {literal(delimiter)}, quote = '\"', "
        f"escape = '\"', strict_mode = true, columns = {{{columns}}})"
    )


def _refuse_nul(work: Work, path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(b"\x00")
        if at >= 0:
            line = data[:at].count(b"\n") + 1
            raise work.refuse("encoding", f"line {line}, byte {at}: a NUL byte; text must be UTF-8 or GB18030")


def _header(work: Work, path: Path) -> tuple[list[str], str]:
    """The header and the delimiter it shows: a comma, or tab or semicolon when only that one finds every column."""
    with path.open("rb") as file:
        start = file.read(HEADER_LIMIT)
        ended = not file.read(1)
    end = len(start) if ended else start.rfind(b"\n") + 1
    if end == 0:
        raise work.refuse(
            "header", f"the first line is longer than {HEADER_LIMIT} bytes; it must hold the column names"
        )
    text = start[:end].removeprefix(codecs.BOM_UTF8).decode("utf-8")
    headers = {delimiter: _first_record(work, text, delimiter) for delimiter in ",\t;"}
    for delimiter, header in headers.items():
        names = {name.strip(BLANK) for name in header}
        if all(names.intersection(wanted) for wanted in work.columns.values()):
            return header, delimiter
    return headers[","], ","


def _first_record(work: Work, text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise work.refuse("header", f"line 1: the header is not readable as CSV ({error})") from None


def as_utf8(work: Work, path: Path) -> Path:
    """The same file when it is strict UTF-8, else a copy transcoded from GB18030.

    Raises:
        RefusedError: it is neither; the message names line and byte.
    """
    try:
        for _ in _decoded(path, "utf-8"):
            pass
    except UnicodeDecodeError as error:
        wrong = _place(path, error)
    else:
        return path
    target = work.folder / "utf8.txt"
    try:
        with target.open("w", encoding="utf-8", newline="") as out:
            out.writelines(_decoded(path, "gb18030"))
    except UnicodeDecodeError as error:
        raise work.refuse(
            "encoding", f"neither UTF-8 (wrong at {wrong}) nor GB18030 (wrong at {_place(path, error)})"
        ) from None
    work.note("encoding", f"read as GB18030, because it is not UTF-8 (at {wrong})")
    return target


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """The file's text in pieces; a decoding error's `start` is the position in the file."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    with path.open("rb") as file:
        at = 0
        while True:
            chunk = file.read(CHUNK)
            pending = len(decoder.getstate()[0])
            try:
                yield decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                error.start += at - pending
                raise
            if not chunk:
                return
            at += len(chunk)


def _place(path: Path, error: UnicodeDecodeError) -> str:
    with path.open("rb") as file:
        line = file.read(error.start).count(b"\n") + 1
    return f"line {line}, byte {error.start}"


def _stage_by_line(work: Work, path: Path) -> int:
    """The slow path: records with the header's number of fields are staged, the others set aside with their line."""
    header, delimiter = _header(work, path)
    places = work.places(header)
    good, bad = work.folder / "good.csv", work.folder / "bad.csv"
    csv.field_size_limit(FIELD_LIMIT)
    with (
        path.open(encoding="utf-8-sig", newline="") as text,
        good.open("w", encoding="utf-8", newline="") as good_file,
        bad.open("w", encoding="utf-8", newline="") as bad_file,
    ):
        total = _sort_out(work, text, delimiter, len(header), good=csv.writer(good_file), bad=csv.writer(bad_file))
    if total == work.bad_rows:
        raise work.refuse(
            "field_count", f"none of its {total} records is readable with the header's {len(header)} fields"
        )
    work.numbered = True
    if work.bad_rows:
        _stage_bad(work, bad)
    picked = ", ".join(f"c{at + 1} as {quoted(column)}" for column, at in places.items())
    return work.stage(f"select c0::bigint as _row, {picked} from {csv_scan(good, len(header) + 1)}")


def _sort_out(work: Work, lines: Iterable[str], delimiter: str, width: int, *, good: Any, bad: Any) -> int:
    """Each record to `good` (with its number before it) or `bad`; returns how many there were, without blank lines.

    Raises:
        RefusedError: a quote is left open over several lines: nobody can say which records it swallowed.
    """
    seen = [""]
    records = csv.reader(_remembering(lines, seen), delimiter=delimiter, strict=True)
    number = -1
    while True:
        line = records.line_num + 1
        where = f"{work.name}: record {number + 1}, line {line}"
        try:
            record = next(records, None)
        except csv.Error as error:
            if records.line_num != line or number < 0 or "end of data" in str(error):
                message = f"line {line}: not readable as CSV ({error}); close or double the quote"
                raise work.refuse("quoting", message) from None
            number += 1
            work.bad_rows += 1
            text = json.dumps(seen[0].rstrip("\r\n"), ensure_ascii=False)
            bad.writerow([number, "quoting", f"{where}: not readable as CSV ({error})", text])
            continue
        if record is None:
            return max(number, 0)
        if not record:
            continue
        number += 1
        if len(record) == width:
            good.writerow([number, *record])
        else:
            work.bad_rows += 1
            reason = f"{where}: {len(record)} fields; the header has {width}"
            bad.writerow([number, "field_count", reason, json.dumps(record, ensure_ascii=False)])


def _remembering(lines: Iterable[str], seen: list[str]) -> Iterator[str]:
    """The same lines; `seen` holds the one given last."""
    for line in lines:
        seen[0] = line
        yield line


def _stage_bad(work: Work, bad: Path) -> None:
    bad_scan = csv_scan(bad, 4).replace("header = true", "header = false")
    work.con.execute(
        "copy (select c0::bigint as row_number, c1 as reason_code, c2 as reason, c3 as content "
        f"from {bad_scan}) to {literal(work.bad_file)} (format parquet)"
    )
    work.note("field_count", f"records not readable with the header's fields, put in quarantine: {work.bad_rows}")


def unpack(work: Work, path: Path) -> Path:
    """The content of a gzip file, never more than the limit."""
    target = work.folder / "unpacked"
    written = 0
    try:
        with gzip.open(path) as packed, target.open("wb") as out:
            while chunk := packed.read(CHUNK):
                written += len(chunk)
                if written > work.unpacked_limit:
                    raise work.refuse("too_large", f"unpacks to more than {work.unpacked_limit} bytes")
                out.write(chunk)
    except EOFError:
        raise work.refuse("truncated", "the gzip file is cut off before its end; deliver it again") from None
    except (gzip.BadGzipFile, zlib.error):
        raise work.refuse("unreadable", "not readable as gzip; deliver it again") from None
    if not written:
        raise work.refuse("empty", "holds nothing; zero rows is never a delivery, the pool keeps its last good state")
    return target
