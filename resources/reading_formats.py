"""JSON, JSON Lines, Parquet and XLSX to staged raw text, in the child process.

Add a format here: a function from a `Work` and a path to the number of records staged, and its line in `FORMATS`.
Values become the text a clerk would type: 2020-01-05 for a date, 5 for a whole number however it was stored.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import duckdb
from python_calamine import CalamineError, CalamineWorkbook

from resources.reading import BLANK, CHUNK, Work, as_utf8, literal, quoted, read_csv

DEPTH_LIMIT = 64  # DuckDB's reader of nested JSON ends the process somewhere beyond 10,000
SEARCHED_LIMIT = 100_000_000  # bytes of a broken JSON file in which the fault's line is looked for
OBJECT_LIMIT = 16_000_000  # bytes of one JSON record
UNPACKED_WORKBOOK_LIMIT = 1_000_000_000
STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
OLE_MAGIC = b"\xd0\xcf\x11\xe0"  # the container of .xls and of workbooks with a password
EXCEL_DIGITS = 15  # significant digits of a number in a workbook
CHINA_STANDARD_TIME = "interval 8 hours"


def read_json(work: Work, path: Path) -> int:
    """An array of objects, or objects one after another."""
    return _stage_json(work, path, "auto")


def read_json_lines(work: Work, path: Path) -> int:
    """One object a line."""
    return _stage_json(work, path, "newline_delimited")


def _stage_json(work: Work, path: Path, layout: str) -> int:
    text = as_utf8(work, path)
    _refuse_deep(work, text)
    if layout == "auto":
        with text.open("rb") as file:
            array = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
        layout = "array" if array else "unstructured"
    work.con.execute("drop table if exists records")
    try:
        work.con.execute(
            f"create temp table records as select json from read_json_objects({literal(text)}, "
            f"format = {literal(layout)}, maximum_object_size = {OBJECT_LIMIT})"
        )
    except duckdb.InvalidInputException:
        where = _first_fault(text, layout)
        raise work.refuse("unreadable", f"{where}: not readable as JSON; records must be objects") from None
    header = _json_keys(work)
    places = work.places(header)
    picked = ", ".join(f"json ->> {literal(header[at])} as {quoted(column)}" for column, at in places.items())
    rows = work.stage(f"select {picked} from records") if header else 0
    work.con.execute("drop table records")
    return rows


def _first_fault(path: Path, layout: str) -> str:
    """Where the JSON breaks; DuckDB's own count of lines leaves out blank ones and starts at 2."""
    if path.stat().st_size > SEARCHED_LIMIT:
        return "somewhere"
    text = path.read_text("utf-8-sig")
    pieces = text.splitlines() if layout == "newline_delimited" else [text]
    for number, piece in enumerate(pieces):
        try:
            json.loads(piece or "null")
        except json.JSONDecodeError as error:
            return f"line {number + error.lineno}, character {error.colno}"
    return "somewhere"


def _json_keys(work: Work) -> list[str]:
    """Every key of every record.

    Raises:
        RefusedError: a record is not an object.
    """
    odd = work.con.execute(
        "select row, kind from (select row_number() over () as row, json_type(json) as kind from records) "
        "where kind <> 'OBJECT' limit 1"
    ).fetchone()
    if odd:
        raise work.refuse("unreadable", f"record {odd[0]} is {odd[1].lower()}; records must be objects")
    keys = work.con.execute("select distinct unnest(json_keys(json)) as key from records order by key").fetchall()
    if not keys and work.con.execute("select 1 from records limit 1").fetchone() is None:
        raise work.refuse(
            "empty", "holds no records; zero rows is never a delivery, the pool keeps its last good state"
        )
    return [key for (key,) in keys]


def _refuse_deep(work: Work, path: Path) -> None:
    """Refuse what would end the process: without strings and matched brackets, what stays open is the depth."""
    tail, opened = b"", b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if rb"\u0000" in chunk:
                raise work.refuse("encoding", r"holds \u0000, a NUL character; no text may")
            bare = STRING.sub(b"", tail + chunk)
            quote = bare.find(b'"')
            tail, bare = (b"", bare) if quote < 0 else (bare[quote:], bare[:quote])
            opened = _cancel(opened + bare.translate(None, NOT_BRACKETS))
            if len(opened) > DEPTH_LIMIT:
                raise work.refuse("unreadable", f"not readable as JSON: brackets nested deeper than {DEPTH_LIMIT}")


def _cancel(brackets: bytes) -> bytes:
    for _ in range(DEPTH_LIMIT):
        left = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if left == brackets:
            break
        brackets = left
    return brackets


def read_parquet(work: Work, path: Path) -> int:
    """A Parquet table; its types become canonical text."""
    source = f"read_parquet({literal(path)})"
    try:
        described = work.con.execute(f"describe select * from {source}").fetchall()
    except duckdb.IOException as error:
        raise work.refuse("unreadable", "not readable as Parquet; deliver it again") from error
    header = [name for name, *_ in described]
    places = work.places(header)
    picked = ", ".join(
        f"{_canonical(quoted(header[at]), str(described[at][1]))} as {quoted(column)}" for column, at in places.items()
    )
    return work.stage(f"select {picked} from {source}")


def _canonical(column: str, kind: str) -> str:
    """SQL for the text of a typed value: whole numbers without .0, midnight as a date, times in China's zone."""
    if kind in {"DOUBLE", "FLOAT"}:
        whole = f"{column} = trunc({column}) and abs({column}) < 1e15"
        return f"case when {whole} then {column}::bigint::varchar else {column}::varchar end"
    if kind == "TIMESTAMP WITH TIME ZONE":
        return _canonical(f"(make_timestamp(epoch_us({column})) + {CHINA_STANDARD_TIME})", "TIMESTAMP")
    if kind.startswith("TIMESTAMP"):
        midnight = f"{column}::timestamp = date_trunc('day', {column}::timestamp)"
        return f"case when {midnight} then {column}::date::varchar else {column}::varchar end"
    return f"{column}::varchar"


def read_xlsx(work: Work, path: Path) -> int:
    """The first sheet of a workbook, as CSV and then as any CSV."""
    _refuse_workbook(work, path)
    target = work.folder / "sheet.csv"
    try:
        with CalamineWorkbook.from_path(str(path)) as book:
            sheets = list(book.sheet_names)
            sheet = book.get_sheet_by_index(0)
            with target.open("w", encoding="utf-8", newline="") as out:
                csv.writer(out).writerows(
                    row for row in ([_cell(value) for value in cells] for cells in sheet.iter_rows()) if any(row)
                )
    except (CalamineError, zipfile.BadZipFile):
        raise work.refuse(
            "unreadable", "not readable as an XLSX workbook; open it, save it as .xlsx and deliver it again"
        ) from None
    if len(sheets) > 1:
        work.note("other_sheets", f"only the first of its {len(sheets)} sheets was read: {sheets[0]!r}")
    if not target.stat().st_size:
        raise work.refuse("empty", "its first sheet is empty; zero rows is never a delivery")
    return read_csv(work, target)


def _refuse_workbook(work: Work, path: Path) -> None:
    with path.open("rb") as file:
        if file.read(4) == OLE_MAGIC:
            raise work.refuse("unreadable", "is an .xls or has a password; save it as .xlsx without password")
    limit = min(work.unpacked_limit, UNPACKED_WORKBOOK_LIMIT)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except zipfile.BadZipFile:
        raise work.refuse(
            "unreadable", "not readable as an XLSX workbook; open it, save it as .xlsx and deliver it again"
        ) from None
    if size > limit:
        raise work.refuse("too_large", f"unpacks to {size} bytes; the limit is {limit}")


def _cell(value: object) -> str:
    """The text a workbook shows: 15 digits of a number, a date without its midnight."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return format(Decimal(f"{value:.{EXCEL_DIGITS}g}"), "f")
        case dt.datetime():
            return value.isoformat(" ") if value.time() != dt.time() else value.date().isoformat()
        case dt.date() | dt.time():
            return value.isoformat()
        case _:
            text = str(value)
            return text if text.strip(BLANK) else ""


FORMATS: dict[str, Callable[[Work, Path], int]] = {
    "csv": read_csv,
    "json": read_json,
    "jsonl": read_json_lines,
    "parquet": read_parquet,
    "xlsx": read_xlsx,
}
