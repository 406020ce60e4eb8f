"""Rows of text put into the sheets of a workbook by DuckDB: of many thousand items, cell by cell is too slow.

xlsxwriter makes the workbook with everything but those rows (`template`); here one query writes their XML, which is put
into the sheets while the workbook is packed. Every cell is an inline string, so none can become a formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from duckdb import DuckDBPyConnection

CELL = 32_767  # characters a spreadsheet cell can hold
TOGETHER = 500  # rows that come as one text
LEVEL = 3  # of compression: half the time of the usual 6, a tenth more bytes
_END = b"</sheetData>"
_EXTENT = re.compile(rb"<dimension [^>]*/>")  # how many rows there are; may be left out
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same bytes every time
# What XML cannot hold is written as `_x0007_`, and what looks like that as `_x005F_x0007_` (ECMA-376, ST_Xstring).
_UNWRITABLE = [*range(1, 9), *range(0x0B, 0x20), 0xFFFE, 0xFFFF]
_ODD = r"[\x01-\x08\x0b-\x1f\x{FFFE}\x{FFFF}]|_x[0-9A-Fa-f]{4}_"


def rows_sql(rows: str, columns: Sequence[str], *, sheet: str, number: str, order: str) -> str:
    """A query for the XML of rows, `sheet, xml`, some hundred rows each, in the order of the sheets and their rows.

    `rows` is a relation; `columns` are SQL for its cells from the first on, NULL for an empty one; `sheet` says which
    sheet a row belongs to, `number` which row of it it becomes, `order` sorts them all.
    """
    texts = ", ".join(f"left(CAST({column} AS VARCHAR), {CELL + 1}) AS c{n}" for n, column in enumerate(columns))
    cells = ", ".join(_cell(f"c{index}", chr(ord("A") + index)) for index in range(len(columns)))
    return f"""
        SELECT sheet, string_agg(xml, '' ORDER BY place) AS xml
        FROM (
            SELECT sheet, place, number, concat('<row r="', number, '">', {cells}, '</row>') AS xml
            FROM (SELECT {sheet} AS sheet, {number} AS number, {order} AS place, {texts} FROM {rows})
        )
        GROUP BY sheet, number // {TOGETHER} ORDER BY min(place)"""


def _cell(name: str, letter: str) -> str:
    cut = f"CASE WHEN length({name}) > {CELL} THEN left({name}, {CELL - 1}) || '…' ELSE {name} END"
    odd = f"regexp_replace({cut}, '(_x[0-9A-Fa-f]{{4}}_)', '_x005F\\1', 'g')"
    for code in _UNWRITABLE:
        odd = f"replace({odd}, chr({code}), '_x{code:04X}_')"
    text = f"CASE WHEN length({name}) > {CELL} OR regexp_matches({name}, '{_ODD}') THEN {odd} ELSE {name} END"
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = f"replace({text}, '{sign}', '{written}')"
    opened = f"""'<c r="{letter}', number, '" t="inlineStr"><is><t xml:space="preserve">'"""
    return f"CASE WHEN {name} IS NOT NULL THEN concat({opened}, {text}, '</t></is></c>') ELSE '' END"


def pack(con: DuckDBPyConnection, template: IO[bytes], path: Path, query: str) -> None:
    """Write the workbook `template` to `path` with the rows of `query` (by `rows_sql`) at the end of its sheets.

    The query's sheets are counted from 1 and come in the order of the workbook's.
    """
    filled = groupby(_stream(con, query), key=lambda row: row[0])
    sheet, rows = next(filled, (None, iter(())))
    with ZipFile(template) as made, ZipFile(path, "w", ZIP_DEFLATED, compresslevel=LEVEL) as packed:
        for name in sorted(made.namelist(), key=_place):
            part = ZipInfo(name, _EPOCH)
            part.compress_type = ZIP_DEFLATED
            if sheet is None or name != f"xl/worksheets/sheet{sheet}.xml":
                packed.writestr(part, made.read(name))
                continue
            head, end, tail = _EXTENT.sub(b"", made.read(name)).partition(_END)
            with packed.open(part, "w") as written:
                written.write(head)
                for _, xml in rows:
                    written.write(xml.encode())
                written.write(end + tail)
            sheet, rows = next(filled, (None, iter(())))
    if sheet is not None:
        raise ValueError(f"{path.name}: the workbook has no sheet {sheet}")


def _place(name: str) -> tuple[bool, int, str]:
    """Sheets by their numbers, last: a reader finds the parts by their names."""
    stem = name.removeprefix("xl/worksheets/sheet").removesuffix(".xml")
    return (True, int(stem), name) if stem.isdecimal() else (False, 0, name)


def _stream(con: DuckDBPyConnection, query: str) -> Iterator[tuple[int, str]]:
    found = con.execute(query)
    while rows := found.fetchmany(20):
        yield from rows
