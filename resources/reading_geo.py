"""GeoJSON and zipped Shapefiles to staged raw text, in the reader's child process.

A feature is a record: its properties are its columns, its geometry one more, named `geometry`, as WKT; one that is no
geometry stays as it was written, for rules to judge. Shapefiles are read by pyshp, which is plain Python: a damaged
file raises an error where a library in C may end the process.
"""

from __future__ import annotations

import codecs
import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ijson
import shapefile

from resources.reading import Work, typed_text
from resources.reading_json import refuse_deep, stage_lines, write_lines
from resources.reading_text import as_utf8

GEOMETRY = "geometry"
# Degrees of CGCS2000 (EPSG 4490) or of WGS 84 (4326, CRS84), which differ by less than a metre.
IN_DEGREES = re.compile(
    r"china.geodetic.coordinate.system.2000|cgcs.?2000|wgs.?(19)?84|:(4490|4326|crs84)$", re.IGNORECASE
)
SYSTEM = re.compile(r'\s*(\w+)\s*\[\s*"([^"]*)"')  # how a .prj begins: the kind of system, its name
GEOGRAPHIC = {"GEOGCS", "GEOGCRS", "GEODCRS"}
CRS_MEMBER = re.compile(rb'"crs"\s*:\s*\{[^{}]*\{[^{}]*"name"\s*:\s*"([^"]*)"')
EXPECTED = "degrees of CGCS2000"
HEAD = 4096  # bytes in which GeoJSON says its reference system: writers put it before the features
UNDECODED = "Could not decode"  # what pyshp says of text in another encoding
DEPTH = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}
# What pyshp raises on damaged bytes.
DAMAGED = (shapefile.ShapefileException, struct.error, ValueError, LookupError, TypeError, ArithmeticError, EOFError)


def read_geojson(work: Work, path: Path) -> int:
    """The features of a FeatureCollection."""
    text = as_utf8(work, path)
    refuse_deep(work, text)
    try:
        with text.open("rb") as file:
            start = file.read(HEAD)
            if told := CRS_MEMBER.search(start):
                _note_system(work, told[1].decode("utf-8", "replace"), degrees=True)
            file.seek(3 if start.startswith(codecs.BOM_UTF8) else 0)
            lines = write_lines(work, _features(work, ijson.items(file, "features.item")))
    except ijson.JSONError:
        raise work.refuse("unreadable", "not readable as GeoJSON; it is cut off or no JSON") from None
    if not lines.stat().st_size:
        raise work.refuse("records", "holds no features; a GeoJSON delivery is one FeatureCollection")
    return stage_lines(_with_geometry(work), lines)


def read_shapefile(work: Work, path: Path) -> int:
    """The features of a Shapefile whose parts lie beside one another."""
    _note_projection(work, path.with_suffix(".prj"))
    encoding = work.layout.get("encoding") or _code_page(path)
    lines = _in_encoding(work, path, encoding or "utf-8")
    if lines is None and encoding:
        raise work.refuse("encoding", f"the .dbf is not in {encoding}, as its layout or .cpg says")
    if lines is None:
        lines = _in_encoding(work, path, "gb18030")
        if lines is None:
            raise work.refuse("encoding", "the .dbf is neither UTF-8 nor GB18030; deliver it with its .cpg")
        work.note("encoding", "read as GB18030, because it is not UTF-8 and there is no .cpg")
    return stage_lines(_with_geometry(work), lines)


def _in_encoding(work: Work, path: Path, encoding: str) -> Path | None:
    """The features as lines, None when their text is not in that encoding."""
    try:
        return write_lines(work, _shapes(work, path, encoding))
    except UnicodeDecodeError:
        return None
    except DAMAGED as error:
        if isinstance(error, shapefile.dbfFileException) and UNDECODED in str(error):
            return None
        raise work.refuse("unreadable", "not readable as a Shapefile; deliver it again") from None


def _with_geometry(work: Work) -> Work:
    """The job with its declared column of geometry under the name that features have it."""
    column = work.layout.get(GEOMETRY)
    return replace(work, columns={**work.columns, column: [GEOMETRY]}) if column else work


def _note_projection(work: Work, file: Path) -> None:
    """What the .prj says of the coordinates; a Shapefile without one leaves them to be guessed."""
    if not file.exists():
        work.note("reference_system", f"has no .prj: its coordinates are taken for {EXPECTED}")
    elif told := SYSTEM.match(file.read_text("utf-8", "replace")):
        _note_system(work, told[2], degrees=told[1].upper() in GEOGRAPHIC)
    else:
        work.note("reference_system", f"its .prj names no reference system: its coordinates are taken for {EXPECTED}")


def _note_system(work: Work, name: str, *, degrees: bool) -> None:
    if not degrees or not IN_DEGREES.search(name):
        work.note("reference_system", f"its coordinates are in {name[:80]}, not in {EXPECTED}; they are not converted")


def _features(work: Work, features: Iterator[Any]) -> Iterator[dict[str, Any]]:
    for number, feature in enumerate(features, 1):
        if not isinstance(feature, dict) or not isinstance(properties := feature.get("properties") or {}, dict):
            raise work.refuse("unreadable", f"feature {number} is no GeoJSON feature")
        if GEOMETRY in properties:
            raise work.refuse("duplicate_column", f"feature {number} has a property named {GEOMETRY}; rename it")
        yield {**properties, GEOMETRY: _as_wkt(work, number, feature.get(GEOMETRY))}


def _as_wkt(work: Work, number: int, geometry: Any) -> str | None:
    """The geometry as WKT, else as it was written: the record lands, and rules judge the text."""
    try:
        return wkt(geometry)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        work.note("geometry", f"feature {number} and perhaps more: its geometry is none; its text was kept")
        return json.dumps(geometry, ensure_ascii=False, default=float)


def _shapes(work: Work, path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    index = path.with_suffix(".shx")
    with (
        path.open("rb") as shp,
        path.with_suffix(".dbf").open("rb") as dbf,
        shapefile.Reader(
            shp=shp, dbf=dbf, shx=index.open("rb") if index.exists() else None, encoding=encoding
        ) as reader,
    ):
        for found in reader.iterShapeRecords():
            values = {name: typed_text(value) for name, value in found.record.as_dict().items() if value is not None}
            names = dict.fromkeys(field.name for field in reader.fields if field.name != "DeletionFlag")
            if GEOMETRY in names:
                raise work.refuse("duplicate_column", f"has a field named {GEOMETRY}; rename it")
            shape = None if found.shape.shapeType == shapefile.NULL else found.shape.__geo_interface__
            yield {**names, **values, GEOMETRY: wkt(shape)}


def _code_page(path: Path) -> str:
    """The encoding that a .cpg beside it names, if Python knows it."""
    part = path.with_suffix(".cpg")
    text = part.read_text("ascii", "replace").strip() if part.exists() else ""
    try:
        return codecs.lookup(f"cp{text}" if text.isdigit() else text).name if text else ""
    except LookupError:
        return ""


def wkt(geometry: Mapping[str, Any] | None) -> str | None:
    """A geometry of GeoJSON as well-known text.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    if geometry is None:
        return None
    kind = geometry["type"]
    if kind == "GeometryCollection":
        return f"GEOMETRYCOLLECTION ({', '.join(filter(None, map(wkt, geometry['geometries'])))})"
    points = geometry["coordinates"]
    if not points:
        return f"{kind.upper()} EMPTY"
    first = points
    for _ in range(DEPTH[kind]):
        first = first[0]
    text = _points(points, DEPTH[kind])
    return f"{kind.upper()}{' Z' if len(first) == 3 else ''} {text if DEPTH[kind] else f'({text})'}"


def _points(points: Sequence[Any], depth: int) -> str:
    if depth:
        return f"({', '.join(_points(one, depth - 1) for one in points)})"
    if not 2 <= len(points) <= 4:
        raise ValueError("a position has 2 to 4 numbers")
    return " ".join(typed_text(float(number)) for number in points[:3])
