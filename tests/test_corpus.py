"""The corpus of accidents: every way a FILE can be odd or broken, with its verdict, and no record lost.

One line per accident in `CASES`. A case that is read says how many records it delivers, how many of them are set aside,
and what the first and last staged ones are; one that is refused says why. What its reasons say is asserted either way.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msoffcrypto
import pytest
import xlsxwriter
from files import (
    CGCS2000,
    HEADER,
    as_csv,
    as_geojson,
    as_json,
    as_jsonl,
    as_parquet,
    as_shapefile,
    as_xls,
    as_xlsx,
    as_zip,
    bad_of,
    named,
    rows_of,
)

from resources.reader import Limits, Reader

ROWS = [("1", "张三"), ("2", "李四"), ("3", "王五")]
TEXT = as_csv(HEADER, ROWS).decode()
GEO = ("id_number", "name", "place")


@dataclass(frozen=True)
class Case:
    """One accident. `delivered` counts its records, `bad` those set aside; `code` and `message` are of its last reason
    (`code` empty: it has none).
    """

    content: bytes | Callable[[], bytes]
    delivered: int = 3
    bad: int = 0
    code: str = ""
    message: str = ""
    name: str = "residents.csv"
    first: tuple[Any, ...] | None = ROWS[0]
    last: tuple[Any, ...] | None = ROWS[2]
    layout: dict[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = tuple(HEADER)
    limits: Limits = field(default_factory=Limits)
    lines: tuple[int, ...] = ()  # of the records set aside


def refused(content: bytes | Callable[[], bytes], code: str, message: str, name: str = "residents.csv", **more) -> Case:
    return Case(content, delivered=0, code=code, message=message, name=name, **more)


def placed(content: bytes, name: str = "places.geojson", *, geometry: str = "POINT (116.5 31.75)", **more) -> Case:
    """The three records with a place each; `geometry` of the first."""
    first, last = (*ROWS[0], geometry), (*ROWS[2], "POINT (116.5 31.75)")
    return Case(content, name=name, columns=GEO, layout={"geometry": "place"}, first=first, last=last, **more)


def sheet(cells: list[list[Any]], *, merged: tuple[tuple[int, int, int, int, str], ...] = (), sheets: int = 1) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        for number in range(sheets):
            one = book.add_worksheet(f"S{number + 1}")
            if number == sheets - 1:
                for y, row in enumerate(cells):
                    for x, value in enumerate(row):
                        one.write(y, x, value)
                for top, left, bottom, right, text in merged:
                    one.merge_range(top, left, bottom, right, text)
    return out.getvalue()


def with_password() -> bytes:
    out = io.BytesIO()
    msoffcrypto.OfficeFile(io.BytesIO(as_xlsx(HEADER, ROWS))).encrypt("secret", out)
    return out.getvalue()


def damaged_sheet() -> bytes:
    """A workbook whose sheet's XML is full of random bytes: the kind that sends another reader into an endless loop."""
    out = io.BytesIO()
    source = zipfile.ZipFile(io.BytesIO(as_xlsx(HEADER, ROWS)))
    with zipfile.ZipFile(out, "w") as target:
        for part in source.infolist():
            content = bytearray(source.read(part))
            if "sheet1" in part.filename:
                content[len(content) // 2 :] = random.Random(7).randbytes(len(content))
            target.writestr(part.filename, bytes(content))
    return out.getvalue()


def lying_zip() -> bytes:
    """A zip whose directory states a size of ten bytes for a file of 300 MB."""
    packed = bytearray(as_zip({"a.csv": b"id_number,name\n" + b"1,A\n" * 75_000_000}))
    at = packed.rfind(b"PK\x01\x02")
    packed[at + 24 : at + 28] = struct.pack("<I", 10)
    return bytes(packed)


def locked_zip() -> bytes:
    packed = bytearray(as_zip({"a.csv": TEXT.encode()}))
    packed[6] |= 1
    packed[packed.rfind(b"PK\x01\x02") + 8] |= 1
    return bytes(packed)


def uncomputed_formula() -> bytes:
    return sheet([HEADER, ["1", "张三"], ["2", "=1+1"], ["3", "王五"]])


def concatenated(*pieces: bytes) -> bytes:
    return b"".join(pieces)


CASES: dict[str, Case] = {
    # encodings
    "utf-8": Case(TEXT.encode()),
    "utf-8 with a mark": Case(TEXT.encode("utf-8-sig")),
    "two marks": Case(b"\xef\xbb\xbf" + TEXT.encode("utf-8-sig")),
    "gb18030": Case(TEXT.encode("gb18030"), code="encoding", message="read as GB18030"),
    "gb18030 declared": Case(TEXT.encode("gb18030"), layout={"encoding": "gb18030"}),
    "utf-16 with a mark": Case(TEXT.encode("utf-16")),
    "utf-16 be with a mark": Case(b"\xfe\xff" + TEXT.encode("utf-16-be")),
    "utf-16 le without a mark": Case(
        as_csv(HEADER, [("1", "A"), ("2", "B"), ("3", "C")]).decode().encode("utf-16-le"),
        first=("1", "A"),
        last=("3", "C"),
    ),
    "utf-16 be without a mark": Case(
        as_csv(HEADER, [("1", "A"), ("2", "B"), ("3", "C")]).decode().encode("utf-16-be"),
        first=("1", "A"),
        last=("3", "C"),
    ),
    "utf-16 cut in a character": refused(
        TEXT.encode("utf-16")[:-1], "encoding", "not in utf-16, as its first bytes show: wrong at line"
    ),
    "big5 declared": Case(
        as_csv(HEADER, [("1", "張"), ("2", "李"), ("3", "王")]).decode().encode("big5"),
        layout={"encoding": "big5"},
        first=("1", "張"),
        last=("3", "王"),
    ),
    "not what is declared": refused(
        TEXT.encode("gb18030"), "encoding", "not in utf-8, as declared: wrong at line 2", layout={"encoding": "utf-8"}
    ),
    "two encodings": refused(
        as_csv(HEADER, [("1", "中华人民共和国")] * 3) + as_csv([], [("4", "中华")]).decode().encode("gb18030")[2:],
        "encoding",
        "line",
    ),
    "latin bytes": refused(
        b"id_number,name\n1,A\xff\xff\n", "encoding", "neither UTF-8 (wrong at line 2, byte 18) nor GB18030"
    ),
    "a nul byte": refused(b"id_number,name\n1,A\n2,B\x00\n", "encoding", "line 3, byte 22: a NUL byte"),
    "a nul byte as declared escape": Case(
        b'id_number,name\n1,"x\x00"y"\n2,B\n3,C\n', layout={"escape": "\x00"}, first=("1", 'x"y'), last=("3", "C")
    ),
    # line ends
    "line feeds": Case(TEXT.replace("\r\n", "\n").encode()),
    "carriage returns": Case(TEXT.replace("\r\n", "\r").encode()),
    "every line end": Case("id_number,name\r\n1,张三\n2,李四\r3,王五".encode()),
    "no last line end": Case(TEXT.strip().encode()),
    "blank lines": Case(TEXT.replace("\r\n", "\r\n\r\n").encode()),
    "blank lines above": Case(b"\n\n" + TEXT.replace("\r\n", "\n").encode()),
    "lines of blanks": Case(TEXT.replace("2,", "   \r\n2,").encode()),
    "a line feed within a declared line end": Case(
        "id_number,name\r\n1,张三\r\n2,李\n四\r\n3,王五\r\n".encode(), layout={"line_end": "\r\n"}
    ),
    "quoted line ends": Case(
        as_csv(HEADER, [("1", "A\nB"), ("2", "C\r\nD"), ("3", "E\rF")]), first=("1", "A\nB"), last=("3", "E\rF")
    ),
    # dialects
    "semicolons": Case(TEXT.replace(",", ";").encode()),
    "tabs": Case(TEXT.replace(",", "\t").encode()),
    "tabs in .tsv": Case(TEXT.replace(",", "\t").encode(), name="residents.tsv"),
    "a .txt of bars": Case(
        TEXT.replace(",", "|").encode(), name="residents.txt", code="dialect_detected", message="delimiter '|'"
    ),
    "double bars": Case(TEXT.replace(",", "||").encode(), code="dialect_detected", message="delimiter '||'"),
    "double bars declared": Case(TEXT.replace(",", "||").encode(), layout={"delimiter": "||"}),
    "full-width commas": Case(TEXT.replace(",", "，").encode(), code="dialect_detected", message="delimiter '，'"),
    "a comma and a blank": Case(
        b'id_number, name\n1, "x, y"\n2, B\n3, C\n',
        code="dialect_detected",
        message="delimiter ', '",
        first=("1", "x, y"),
        last=("3", "C"),
    ),
    "blanks": Case(
        b"id_number name\n1 A\n2 B\n3 C\n",
        code="dialect_detected",
        message="delimiter a blank",
        first=("1", "A"),
        last=("3", "C"),
    ),
    "a delimiter nobody knows": refused(b"id_number%name\n1%A\n", "missing_column", "header lacks id_number, name"),
    "that delimiter declared": Case(
        b"id_number%name\n1%A\n2%B\n3%C\n", layout={"delimiter": "%"}, first=("1", "A"), last=("3", "C")
    ),
    "a wrong declared delimiter": refused(
        TEXT.encode(), "missing_column", "header lacks id_number, name", layout={"delimiter": ";"}
    ),
    "apostrophes as quotes": Case(
        b"'id_number','name'\n'1','x,y'\n'2','it''s'\n3,C\n",
        code="dialect_detected",
        message='quote "\'"',
        first=("1", "x,y"),
        last=("3", "C"),
    ),
    "escaped quotes": Case(
        b'id_number,name\n1,"a \\"b\\", c"\n2,"C:\\dir"\n3,C\n',
        code="dialect_detected",
        message="escape '\\\\'",
        first=("1", 'a "b", c'),
        last=("3", "C"),
    ),
    "escaped quotes declared": Case(
        b'id_number,name\n1,"a \\"b\\", c"\n2,x\\,y\n3,C\n',
        layout={"escape": "\\"},
        first=("1", 'a "b", c'),
        last=("3", "C"),
    ),
    "nothing is quoted, declared": Case(
        b'id_number,name\n1,"A\n2,B"\n3,C\n', layout={"quote": ""}, first=("1", '"A'), last=("3", "C")
    ),
    "a quote within a value": Case(
        b'id_number,name\n1,"a "b" c"\n2,B\n3,C\n',
        code="quotes_assumed",
        message="1 records hold a quote inside a value",
        first=(1, "1", 'a "b" c')[1:],
        last=("3", "C"),
    ),
    # header
    "a title above": Case(("居民登记表\n\n" + TEXT).encode(), code="dialect_detected", message="header in row"),
    "header in row 7": Case(
        ("统计表,\n" * 6 + TEXT.replace("\r\n", "\n")).encode(), code="dialect_detected", message="header in row 7"
    ),
    "header in row 7 declared": Case(("统计表,\n" * 6 + TEXT.replace("\r\n", "\n")).encode(), layout={"header_row": 7}),
    "a header of two rows": Case(
        ("证件,姓\n号码,名\n" + TEXT.split("\r\n", 1)[1].replace("\r\n", "\n")).encode(),
        code="dialect_detected",
        message="header in rows 1 to 2",
    ),
    "units below the header, declared": Case(
        "id_number,name\n（号）,（名）\n1,张三\n2,李四\n3,王五\n".encode(), layout={"first_row": 3}
    ),
    "no header, declared": Case("1,张三\n2,李四\n3,王五\n".encode(), layout={"header_row": 0}),
    "no header": refused(
        "1,张三\n2,李四\n".encode(), "missing_column", "its first line seems to be a record, not a header"
    ),
    "a header in capitals and full width": Case(
        "ＩＤ_NUMBER, 姓 名\n1,张三\n2,李四\n3,王五\n".encode(), layout={"delimiter": ","}
    ),
    "a missing column": refused(
        b"id_number,nmae\n1,A\n", "missing_column", "header lacks name; found id_number, nmae; the catalogue declares"
    ),
    "an extra column": Case(
        as_csv([*HEADER, "colour"], [(*row, "red") for row in ROWS]),
        code="extra_column",
        message="columns colour are not in the catalogue",
    ),
    "columns in another order": Case("name,id_number\n张三,1\n李四,2\n王五,3\n".encode()),
    "a column twice": refused("id_number,name,姓名\n1,A,B\n".encode(), "duplicate_column", "holds name more than once"),
    "the header again among the records": Case(
        (TEXT + TEXT).encode(),
        delivered=7,
        bad=1,
        lines=(5,),
        code="field_count",
        message="put in quarantine: 1",
        first=(1, *ROWS[0]),
        last=(7, *ROWS[2]),
    ),
    "2,000 columns": Case(
        as_csv([*HEADER, *(f"x{i}" for i in range(1998))], [(*row, *["v"] * 1998) for row in ROWS]),
        code="extra_column",
        message="(1998 in all)",
    ),
    "200,000 columns": refused(
        as_csv([f"column{i}" for i in range(200_000)], []), "header", "the first line is longer than 1000000 bytes"
    ),
    # records
    "ragged records": Case(
        b"id_number,name\n1,A\n2\n3,C,x\n4,D\n",
        delivered=4,
        bad=2,
        lines=(3, 4),
        code="field_count",
        message="put in quarantine: 2",
        first=(1, "1", "A"),
        last=(4, "4", "D"),
    ),
    "a field too many that is empty": Case(
        b"id_number,name\n1,A\n2,,\n3,C\n",
        bad=1,
        lines=(3,),
        code="field_count",
        message="put in quarantine: 1",
        first=(1, "1", "A"),
        last=(3, "3", "C"),
    ),
    "every record too long": refused(
        b"id_number,name\n1,A,\n2,B,\n", "field_count", "none of its 2 records is readable with the header's 2 fields"
    ),
    "a broken quote": Case(
        b'id_number,name\n1,A\n2,"B"b\n3,C\n',
        bad=1,
        lines=(3,),
        code="field_count",
        message="put in quarantine: 1",
        first=(1, "1", "A"),
        last=(3, "3", "C"),
    ),
    "an open quote": refused(
        b'id_number,name\n1,A\n2,"B\n3,C\n', "quoting", "line 3: not readable as CSV (a quote is not closed"
    ),
    "an open quote before a million lines": refused(
        lambda: b'id_number,name\n1,A\n2,"B\n' + b"3,C\n" * 1_000_000,
        "quoting",
        "line 3: not readable as CSV (a quote is not closed within",
    ),
    "a field of 10 MB": Case(
        lambda: b"id_number,name\n1,A\n2," + b"x" * 10_000_000 + b"\n3,C\n",
        bad=1,
        lines=(3,),
        code="field_count",
        message="put in quarantine: 1",
        first=(1, "1", "A"),
        last=(3, "3", "C"),
    ),
    "a line of 60 MB": refused(
        lambda: b"id_number,name\n1," + b"x" * 60_000_000, "record_size", "line 2 is longer than 32000000 characters"
    ),
    "a command as text": Case(
        as_csv(HEADER, [("1", "=cmd|' /C calc'!A0"), ("2", "@SUM(1)"), ("3", "+1")]),
        first=("1", "=cmd|' /C calc'!A0"),
        last=("3", "+1"),
    ),
    "one column": Case(b"id_number\n1\n2\n3\n", columns=("id_number",), first=("1",), last=("3",)),
    "empty quotes": Case(b'id_number,name\n1,""\n2,\n3,C\n', first=("1", None), last=("3", "C")),
    # emptiness
    "no byte": refused(b"", "empty", "holds no byte"),
    "a mark alone": refused(b"\xef\xbb\xbf", "empty", "holds blank lines alone; zero rows is never a delivery"),
    "line ends alone": refused(b"\n\n\n", "empty", "holds blank lines alone"),
    "header only": refused(b"id_number,name\n", "empty", "a header and no records; zero rows is never a delivery"),
    "an empty sheet": refused(sheet([]), "empty", "its first sheet is empty", "residents.xlsx"),
    "an empty list": refused(b"[]", "empty", "holds no records", "residents.json"),
    # packing
    "gz": Case(gzip.compress(TEXT.encode()), name="residents.csv.gz"),
    "gz cut off": refused(
        gzip.compress(random.Random(1).randbytes(4000))[:-20], "truncated", "cut off before its end", "residents.csv.gz"
    ),
    "gz that is none": refused(b"no gzip at all", "unreadable", "not readable as gzip", "residents.csv.gz"),
    "gz of nothing": refused(gzip.compress(b""), "empty", "holds nothing", "residents.csv.gz"),
    "gz bomb": refused(
        lambda: gzip.compress(bytes(150_000_000), 1),
        "too_large",
        "unpacks to more than 100000000 bytes",
        "residents.csv.gz",
    ),
    "gz in gz": refused(
        gzip.compress(gzip.compress(TEXT.encode())), "unreadable", "is gzip inside", "residents.csv.gz"
    ),
    "zip": Case(as_zip({"any name.csv": TEXT.encode()}), name="residents.zip"),
    "zip of a workbook": Case(as_zip({"a.xlsx": as_xlsx(HEADER, ROWS)}), name="residents.zip"),
    "zip with what a Mac adds": Case(
        as_zip({"a.csv": TEXT.encode(), "__MACOSX/._a.csv": b"x", ".DS_Store": b"y"}), name="residents.zip"
    ),
    "zip of two files": refused(
        as_zip({"a.csv": b"x", "b.csv": b"y"}), "zip_content", "holds 2 files; allowed: one file", "residents.zip"
    ),
    "zip of nothing": refused(as_zip({}), "zip_content", "holds 0 files", "residents.zip"),
    "zip of an unknown format": refused(
        as_zip({"a.pdf": b"%PDF"}), "extension", "does not say its format", "residents.zip"
    ),
    "zip in zip": refused(
        as_zip({"a.zip": as_zip({"a.csv": TEXT.encode()})}), "extension", "does not say its format", "residents.zip"
    ),
    "a name leading out of a zip": refused(
        as_zip({"../../etc/passwd.csv": TEXT.encode()}), "zip_content", "leads out of the archive", "residents.zip"
    ),
    "an absolute name in a zip": refused(
        as_zip({"C:\\windows\\a.csv": TEXT.encode()}), "zip_content", "leads out of the archive", "residents.zip"
    ),
    "zip bomb": refused(
        lambda: as_zip({"a.csv": bytes(150_000_000)}),
        "too_large",
        "unpacks to more than 100000000 bytes",
        "residents.zip",
    ),
    "zip that lies about its size": refused(lying_zip, "unreadable", "not readable as zip", "residents.zip"),
    "zip with a password": refused(locked_zip, "password", "the zip archive has a password", "residents.zip"),
    "zip cut off": refused(
        as_zip({"a.csv": TEXT.encode()})[:-30], "unreadable", "not readable as zip", "residents.zip"
    ),
    # names that say something else
    "xlsx named csv": Case(as_xlsx(HEADER, ROWS), code="kind_detected", message="is xlsx by its content"),
    "csv named xls": Case(TEXT.encode(), name="residents.xls", code="kind_detected", message="is csv by its content"),
    "parquet named csv": Case(as_parquet(HEADER, ROWS), code="kind_detected", message="is parquet by its content"),
    "xls named xlsx": Case(
        as_xls(HEADER, ROWS), name="residents.xlsx", code="kind_detected", message="is xls by its content"
    ),
    "a web page saved as xls": refused(
        b"<html><table><tr><td>id_number</td></tr></table></html>",
        "unreadable",
        "is a web page or XML saved as .xls",
        "residents.xls",
    ),
    "a zip named csv": refused(as_zip({"a.csv": TEXT.encode()}), "unreadable", "is a zip archive inside, not csv"),
    "declared kind of an unknown name": Case(TEXT.encode(), name="residents.dat", layout={"kind": "csv"}),
    # workbooks
    "xlsx": Case(as_xlsx(HEADER, ROWS), name="residents.xlsx"),
    "xls": Case(as_xls(HEADER, ROWS), name="residents.xls"),
    "a title above in a sheet": Case(
        as_xlsx(HEADER, ROWS, title=6),
        name="residents.xlsx",
        code="dialect_detected",
        message="header taken from row 7",
    ),
    "a sheet's header row declared": Case(
        as_xlsx(HEADER, ROWS, title=6), name="residents.xlsx", layout={"header_row": 7}
    ),
    "merged header cells": Case(
        sheet(
            [["", "人"], ["", "姓名", "年"], ["1", "张三", 3], ["2", "李四", 4], ["3", "王五", 5]],
            merged=((0, 0, 1, 0, "证件号码"), (0, 1, 0, 2, "人")),
        ),
        name="residents.xlsx",
        code="dialect_detected",
        message="header taken from row 1 to 2",
    ),
    "merged cells among the records": Case(
        sheet([HEADER, ["1", "张三"], ["2"], ["3"]], merged=((2, 1, 3, 1, "李四"),)),
        name="residents.xlsx",
        last=("3", None),
        code="merged_cells",
        message="1 merged cells among its records",
    ),
    "several sheets": Case(
        lambda: sheet([HEADER, *map(list, ROWS)], sheets=2),
        name="residents.xlsx",
        code="dialect_detected",
        message="sheet 'S2' was read",
    ),
    "a declared sheet": Case(
        lambda: sheet([HEADER, *map(list, ROWS)], sheets=3), name="residents.xlsx", layout={"sheet": "S3"}
    ),
    "a declared sheet by number": Case(
        lambda: sheet([HEADER, *map(list, ROWS)], sheets=3), name="residents.xlsx", layout={"sheet": 3}
    ),
    "a missing sheet": refused(
        sheet([HEADER]), "sheet", "has no sheet '居民'; it has 'S1'", "residents.xlsx", layout={"sheet": "居民"}
    ),
    "blank rows in a sheet": Case(
        sheet([HEADER, ["1", "张三"], [], ["2", "李四"], [], ["3", "王五"]]), name="residents.xlsx"
    ),
    "formula cells": Case(
        uncomputed_formula,
        name="residents.xlsx",
        code="formulas",
        message="1 cells hold formulas; what they last came to was read",
    ),
    "the header again in a sheet": Case(
        sheet([HEADER, *map(list, ROWS), HEADER, ["5", "E"]]),
        name="residents.xlsx",
        delivered=5,
        bad=1,
        lines=(5,),
        code="field_count",
        message="put in quarantine: 1",
        first=(1, *ROWS[0]),
        last=(5, "5", "E"),
    ),
    "a workbook with a password": refused(with_password, "password", "the workbook has a password", "residents.xlsx"),
    "xlsx cut off": refused(as_xlsx(HEADER, ROWS)[:-100], "unreadable", "not readable as a workbook", "residents.xlsx"),
    "xlsx with a broken sheet": refused(damaged_sheet, "unreadable", "not readable as a workbook", "residents.xlsx"),
    "xls cut off": refused(as_xls(HEADER, ROWS)[:700], "unreadable", "not readable as", "residents.xls"),
    "xlsx bomb": refused(
        lambda: as_zip({"[Content_Types].xml": b"x", "xl/worksheets/sheet1.xml": b" " * 1_200_000_000}),
        "too_large",
        "unpacks to 1200000001 bytes; the limit is",
        "residents.xlsx",
    ),
    # json and others
    "json": Case(as_json(HEADER, ROWS), name="residents.json"),
    "json with a mark": Case(b"\xef\xbb\xbf" + as_json(HEADER, ROWS), name="residents.json"),
    "json in gb18030": Case(
        as_json(HEADER, ROWS).decode().encode("gb18030"),
        name="residents.json",
        code="encoding",
        message="read as GB18030",
    ),
    "json documents one after another": Case(as_jsonl(HEADER, ROWS).replace(b"\n", b""), name="residents.json"),
    "json lists one after another": Case(
        concatenated(as_json(HEADER, ROWS[:2]), as_json(HEADER, ROWS[2:])), name="residents.json"
    ),
    "json below a path": Case(
        json.dumps({"code": 0, "data": {"rows": json.loads(as_json(HEADER, ROWS)), "total": 3}}).encode(),
        name="residents.json",
        layout={"records": "data.rows"},
    ),
    "json below a path that is not there": refused(
        as_json(HEADER, ROWS),
        "records",
        "holds no list of records at data.rows",
        "residents.json",
        layout={"records": "data.rows"},
    ),
    "json with nested fields": Case(
        json.dumps([{"id": {"number": key}, "name": name} for key, name in ROWS]).encode(),
        name="residents.json",
        layout={"fields": {"id_number": "id.number"}},
    ),
    "json cut off": refused(as_json(HEADER, ROWS)[:-2], "unreadable", "not readable as JSON", "residents.json"),
    "json nested 400,000 deep": refused(b"[" * 400_000, "unreadable", "nested deeper than 64", "residents.json"),
    "json of numbers": refused(b"[1, 2]", "unreadable", "record 1 is", "residents.json"),
    "json with a key twice": refused(
        b'[{"id_number": 1, "name": "A", "name": "B"}]',
        "duplicate_column",
        "record 1 holds a key more than once",
        "residents.json",
    ),
    "json with a nul": refused(
        b'[{"id_number":"1","name":"A\\u0000"}]', "encoding", "a NUL character", "residents.json"
    ),
    "json lines": Case(as_jsonl(HEADER, ROWS), name="residents.ndjson"),
    "a json line cut off": Case(
        as_jsonl(HEADER, ROWS)[:-6],
        name="residents.jsonl",
        bad=1,
        lines=(3,),
        code="field_count",
        message="put in quarantine: 1",
        first=(1, *ROWS[0]),
        last=(2, *ROWS[1]),
    ),
    "parquet": Case(as_parquet(HEADER, ROWS), name="residents.parquet"),
    "parquet cut off": refused(as_parquet(HEADER, ROWS)[:-20], "unreadable", "not readable as", "residents.parquet"),
    "geojson": placed(as_geojson(HEADER, ROWS)),
    "geojson in another reference system": placed(
        as_geojson(HEADER, ROWS).replace(
            b'"features"', b'"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4527"}}, "features"'
        ),
        code="reference_system",
        message="in urn:ogc:def:crs:EPSG::4527, not in degrees of CGCS2000",
    ),
    "geojson whose first geometry is none": placed(
        as_geojson(HEADER, ROWS).replace(b"[116.5, 31.75]", b"[116.5]", 1),
        geometry='{"type": "Point", "coordinates": [116.5]}',
        code="geometry",
        message="feature 1 and perhaps more: its geometry is none",
    ),
    "geojson with a feature that is none": refused(
        as_geojson(HEADER, ROWS).replace(b'"features": [', b'"features": [7, '),
        "unreadable",
        "feature 1 is no GeoJSON feature",
        "places.geojson",
    ),
    "geojson that is none": refused(as_json(HEADER, ROWS), "records", "holds no features", "places.geojson"),
    "geojson cut off": refused(
        as_geojson(HEADER, ROWS)[:-40], "unreadable", "not readable as GeoJSON", "places.geojson"
    ),
    "shapefile": placed(as_shapefile(HEADER, ROWS), "places.zip"),
    "shapefile in gbk without .cpg": placed(
        as_shapefile(HEADER, ROWS, encoding="gbk", cpg=False), "places.zip", code="encoding", message="read as GB18030"
    ),
    "shapefile in metres": placed(
        as_shapefile(HEADER, ROWS, prj=f'PROJCS["CGCS2000_3_Degree_GK_Zone_39",{CGCS2000}]'),
        "places.zip",
        code="reference_system",
        message="in CGCS2000_3_Degree_GK_Zone_39, not in degrees of CGCS2000; they are not converted",
    ),
    "shapefile without .prj": placed(
        as_shapefile(HEADER, ROWS, prj=""), "places.zip", code="reference_system", message="has no .prj"
    ),
    "shapefile without .dbf": refused(as_zip({"a.shp": b"x" * 200}), "zip_content", "lacks .dbf", "places.zip"),
    "shapefile of random bytes": refused(
        as_zip({"a.shp": random.Random(3).randbytes(900), "a.dbf": b"x" * 40}),
        "unreadable",
        "not readable as a Shapefile",
        "places.zip",
    ),
    # limits
    "too large in memory": refused(
        lambda: as_xlsx(HEADER, [(str(i), f"{i}" * 50) for i in range(90_000)]),
        "memory",
        "needs more than 300 MB of memory, the limit of a file",
        "residents.xlsx",
        limits=Limits(memory_mb=300),
    ),
}


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as one:
        yield one


@pytest.mark.parametrize("accident", CASES)
def test_an_accident_has_its_verdict_and_loses_no_record(reader: Reader, tmp_path: Path, accident: str) -> None:
    case = CASES[accident]
    content = case.content if isinstance(case.content, bytes) else case.content()
    more = {"kind": case.layout["kind"]} if "kind" in case.layout else {}
    wanted = {name: (name, {"id_number": "证件号码", "name": "姓名"}.get(name, name)) for name in case.columns}
    job = named(tmp_path, content, case.name, layout=case.layout, columns=wanted, limits=case.limits, **more)
    reading = reader.read(job)
    last = reading.reasons[-1] if reading.reasons else None
    assert (last.code if last else "") == case.code, reading.reasons
    assert case.message in (last.message if last else "")
    assert all(reason.message.startswith(f"{case.name}: ") for reason in reading.reasons)
    assert reading.refused == (case.delivered == 0)
    assert reading.rows + reading.bad_rows == case.delivered
    assert reading.bad_rows == case.bad
    if not reading.refused:
        rows, bad = rows_of(reading), bad_of(reading)
        assert (len(rows), len(bad)) == (reading.rows, reading.bad_rows)
        assert (rows[0], rows[-1]) == (case.first, case.last)
        assert tuple(line for _, line, *_ in bad) == case.lines


def test_the_corpus_covers_at_least_a_hundred_accidents_of_a_file() -> None:
    assert len(CASES) >= 100
