"""Every format by its name, and Parquet, in the reader's child process.

Add a format here: a function from a `Work` and a path to the number of records staged, and its line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb

from catalog.layout import Kind
from resources.reading import Work, literal, quoted
from resources.reading_csv import read_csv
from resources.reading_geo import read_geojson, read_shapefile
from resources.reading_json import read_json, read_json_lines
from resources.reading_sheets import read_sheet, read_xlsx

CHINA_STANDARD_TIME = "interval 8 hours"


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
    query = f"select {picked} from {source}"
    try:
        return work.stage(query)
    except duckdb.IOException:
        _refuse_damaged(work, query)
        raise


def _refuse_damaged(work: Work, query: str) -> None:
    """Refuse a file that cannot be read when nothing is written either: then no full disk is to blame."""
    try:
        work.con.execute(f"select bit_xor(hash(columns(*))) from ({query})").fetchall()
    except duckdb.IOException as error:
        raise work.refuse("unreadable", "not readable as Parquet; deliver it again") from error


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


FORMATS: dict[Kind, Callable[[Work, Path], int]] = {
    "csv": read_csv,
    "tsv": read_csv,
    "xlsx": read_xlsx,
    "xls": read_sheet,
    "json": read_json,
    "jsonl": read_json_lines,
    "parquet": read_parquet,
    "geojson": read_geojson,
    "shapefile": read_shapefile,
}
