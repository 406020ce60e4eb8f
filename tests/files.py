"""Files as departments write them, and the reading of one: what the tests of the reader share."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import shapefile
import xlsxwriter
import xlwt

from catalog.layout import Kind
from resources.landed import kind_of, packing_of
from resources.reader import Job, Reading

COLUMNS = {"id_number": ("id_number", "证件号码"), "name": ("name", "姓名")}
HEADER = ["id_number", "name"]
Rows = list[tuple[Any, ...]]
numbers = itertools.count()


def job(tmp_path: Path, content: bytes, kind: Kind = "csv", **more: Any) -> Job:
    """A file of a format to read, in a fresh folder."""
    return named(tmp_path, content, f"residents.{kind}", **({"kind": kind} | more))


def named(tmp_path: Path, content: bytes, name: str, **more: Any) -> Job:
    """A file to read as its name says."""
    folder = tmp_path / f"job{next(numbers)}"
    folder.mkdir()
    path = folder / name
    path.write_bytes(content)
    given = {
        "columns": COLUMNS,
        "ignore": (),
        "sha256": hashlib.sha256(content).hexdigest(),
        "kind": kind_of(name),
        "packing": packing_of(name),
    }
    return Job(path=path, name=name, folder=folder, **(given | more))


def rows_of(reading: Reading) -> Rows:
    """The records staged."""
    assert not reading.refused, reading.reasons
    return duckdb.sql(f"from '{reading.rows_file}'").fetchall()


def bad_of(reading: Reading) -> Rows:
    """The records set aside."""
    return duckdb.sql(f"from '{reading.bad_file}'").fetchall() if reading.bad_file else []


def refusal(reading: Reading) -> tuple[str, str]:
    """Code and message of a refusal."""
    assert reading.refused
    assert reading.rows_file is None
    last = reading.reasons[-1]
    return last.code, last.message


def as_csv(header: list[str], rows: Rows, **dialect: Any) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, **dialect).writerows([header, *rows])
    return out.getvalue().encode()


def as_xlsx(header: list[str], rows: Rows, *, title: int = 0) -> bytes:
    """A workbook, with so many rows of a title above the header."""
    out = io.BytesIO()
    plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(out, {"in_memory": True, "remove_timezone": True, **plain}) as book:
        sheet, day = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd"})
        for y in range(title):
            sheet.write(y, 0, f"title {y}")
        for y, row in enumerate([header, *rows], title):
            for x, value in enumerate(row):
                if hasattr(value, "year"):
                    sheet.write_datetime(y, x, value, day)
                elif value is not None:
                    sheet.write(y, x, value)
    return out.getvalue()


def as_xls(header: list[str], rows: Rows) -> bytes:
    out = io.BytesIO()
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("Sheet1")
    for y, row in enumerate([header, *rows]):
        for x, value in enumerate(row):
            if value is not None:
                sheet.write(y, x, value)
    book.save(out)
    return out.getvalue()


def as_objects(header: list[str], rows: Rows) -> list[dict[str, Any]]:
    return [dict(zip(header, row, strict=True)) for row in rows]


def as_json(header: list[str], rows: Rows) -> bytes:
    return json.dumps(as_objects(header, rows), ensure_ascii=False).encode()


def as_jsonl(header: list[str], rows: Rows) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in as_objects(header, rows)).encode()


def copied(home: Path, to: Path) -> Path:
    """A copy of a home nobody uses, owners kept: the server's files belong to another user when root runs it."""
    subprocess.run(["cp", "-a", str(home), str(to)], check=True)
    return to


def as_geojson(header: list[str], rows: Rows) -> bytes:
    features = [
        {"type": "Feature", "properties": one, "geometry": {"type": "Point", "coordinates": [116.5, 31.75]}}
        for one in as_objects(header, rows)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False).encode()


CGCS2000 = (
    'GEOGCS["GCS_China_Geodetic_Coordinate_System_2000",DATUM["D_China_2000",SPHEROID["CGCS2000",6378137.0,298]]]'
)


def as_shapefile(
    header: list[str], rows: Rows, *, encoding: str = "utf-8", cpg: bool = True, prj: str = CGCS2000
) -> bytes:
    """A zipped Shapefile of points."""
    parts = {part: io.BytesIO() for part in ("shp", "shx", "dbf")}
    with shapefile.Writer(**parts, shapeType=shapefile.POINT, encoding=encoding) as writer:
        for name in header:
            writer.field(name, "C", 120)
        for row in rows:
            writer.point(116.5, 31.75)
            writer.record(*("" if value is None else value for value in row))
    files = {f"places.{part}": content.getvalue() for part, content in parts.items()}
    files |= {"places.prj": prj.encode()} if prj else {}
    return as_zip(files | ({"places.cpg": encoding.encode()} if cpg else {}))


def as_parquet(header: list[str], rows: Rows) -> bytes:
    """A table of text."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
        names = ", ".join(f'"{name}" varchar' for name in header)
        con.execute(f"create table t ({names})")
        if rows:
            con.executemany(f"insert into t values ({', '.join('?' * len(header))})", rows)
        con.execute(f"copy t to '{folder}/t.parquet' (format parquet)")
        return Path(folder, "t.parquet").read_bytes()


def as_zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()
