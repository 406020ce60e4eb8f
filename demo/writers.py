"""Writes one delivery into the landing folder the way a careful department does: part file, rename, manifest last.

Add a format here when deliveries may arrive in it. What a delivery holds is `feeds` and `stories`; when it is sent,
`stories`. The same rows give the same bytes: no time of day is written, spreadsheets included.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import duckdb
import xlsxwriter

Format = Literal["csv", "csv.gz", "json", "jsonl", "parquet", "xlsx"]
FORMATS: tuple[Format, ...] = ("csv", "csv.gz", "json", "jsonl", "parquet", "xlsx")
SPREADSHEET_ROWS = 50_000  # more than this and a department exports CSV

_COPY = {
    "csv": "FORMAT csv, HEADER",
    "csv.gz": "FORMAT csv, HEADER, COMPRESSION gzip",
    "json": "FORMAT json, ARRAY true",
    "jsonl": "FORMAT json, ARRAY false",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}


@dataclass(frozen=True)
class Written:
    """One delivery on disk: data rows in the file and bytes of file and manifest."""

    path: Path
    rows: int
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What the department declares about its file; `rows` None means: as many as there are."""

    as_of: date
    mode: str
    rows: int | None = None


def deliver(con: duckdb.DuckDBPyConnection, query: str, path: Path, kind: Format, manifest: Manifest) -> Written:
    """Write the rows of `query`, all its columns text, to `path` in the format `kind`, its manifest beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    rows = _spreadsheet(con, query, part, manifest.as_of) if kind == "xlsx" else _copy(con, query, part, kind)
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = part.stat().st_size
    part.rename(path)
    declared = {
        "as_of": manifest.as_of.isoformat(),
        "rows": rows if manifest.rows is None else manifest.rows,
        "sha256": digest,
        "mode": manifest.mode,
    }
    text = json.dumps(declared, indent=1) + "\n"
    beside = path.with_name(path.name.removesuffix(f".{kind}") + ".manifest.json")
    unfinished = beside.with_name(beside.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.rename(beside)
    return Written(path, rows, size + len(text))


def _copy(con: duckdb.DuckDBPyConnection, query: str, part: Path, kind: str) -> int:
    target = str(part).replace("'", "''")
    row = con.execute(f"COPY ({query}) TO '{target}' ({_COPY[kind]})").fetchone()
    return int(row[0]) if row else 0


def _spreadsheet(con: duckdb.DuckDBPyConnection, query: str, part: Path, as_of: date) -> int:
    result = con.execute(query)
    names = [column[0] for column in result.description or ()]
    columns: list[tuple[str | None, ...]] = list(zip(*result.fetchall(), strict=True)) or [()] * len(names)
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(str(part), options) as book:
        book.set_properties({"created": datetime(as_of.year, as_of.month, as_of.day)})  # noqa: DTZ001  # a label
        sheet = book.add_worksheet("data")
        for place, (name, values) in enumerate(zip(names, columns, strict=True)):
            sheet.write_column(0, place, [name, *values])
    return len(columns[0])
