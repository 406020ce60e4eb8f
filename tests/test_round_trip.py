"""Any table, written in any format and dialect that the catalogue can declare, comes back equal."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from files import (
    Rows,
    as_csv,
    as_geojson,
    as_json,
    as_jsonl,
    as_objects,
    as_parquet,
    as_shapefile,
    as_xls,
    as_xlsx,
    as_zip,
    named,
    rows_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.layout import Layout
from resources.reader import Reader

Table = tuple[list[str], Rows]

BLANKS = " \t\r\n\u3000\u00a0\ufeff\u2028\x85"
# Not a control character, nor a letter that lower and upper case alike may name.
NAMES = st.text("abcdefgh编号姓名地址_", min_size=1, max_size=6)
TEXTS = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n"), min_size=1, max_size=8),
    st.sampled_from(['"', "'", ",", ";", "|", "||", "=1+1", "\\", "a\\", '""', "张 三", "0012", "1.50", "x, y", "'a'"]),
).map(lambda text: text if text and text.strip(BLANKS) else None)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    header = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
    keys = st.text("0123456789X", min_size=1, max_size=18)
    rows = st.lists(st.tuples(keys, *[TEXTS] * (len(header) - 1)), min_size=1, max_size=6)
    return header, draw(rows.filter(lambda found: tuple(header) not in found))


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as one:
        yield one


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def read(reader: Reader, folder: Path, content: bytes, name: str, header: list[str], *more: str, **layout: Any) -> Rows:
    """The table as it comes back, its layout as the catalogue gives it."""
    said = Layout(**layout).model_dump(exclude_none=True)
    columns = {column: (column,) for column in (*header, *more)}
    reading = reader.read(named(folder, content, name, columns=columns, layout=said))
    assert reading.bad_rows == 0
    return rows_of(reading)


def as_text(header: list[str], rows: Rows, dialect: dict[str, str], *, headed: bool = True) -> str:
    """The table in a dialect, quoted where it must be."""
    delimiter, quote, escape, end = (dialect[key] for key in ("delimiter", "quote", "escape", "line_end"))

    def field(value: str | None) -> str:
        text = value or ""
        if escape == quote:
            inner = text.replace(quote, quote * 2)
        else:
            inner = text.replace(escape, escape * 2).replace(quote, escape + quote)
        special = any(char in text for char in (*delimiter, quote, escape, "\n", "\r"))
        return quote + inner + quote if special or text != text.strip() else text

    lines = [header, *rows] if headed else rows
    return "".join(delimiter.join(map(field, row)) + end for row in lines)


@settings(max_examples=120, deadline=None)
@given(
    table=tables(),
    dialect=st.fixed_dictionaries(
        {
            "delimiter": st.sampled_from([",", "\t", ";", "|", "||", "^", "，", "~|~", " ", "\x01"]),
            "quote": st.sampled_from(['"', "'"]),
            "line_end": st.sampled_from(["\n", "\r\n", "\r"]),
            "escape": st.sampled_from(["\\", ""]),
        }
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"]),
    place=st.tuples(st.integers(0, 3), st.booleans()),
)
def test_a_declared_dialect_comes_back_equal(
    reader: Reader, folder: Path, table: Table, dialect: dict[str, str], encoding: str, place: tuple[int, bool]
) -> None:
    (header, rows), (title, headed) = table, place
    dialect |= {"escape": dialect["escape"] or dialect["quote"]}
    text = ("a title" + dialect["line_end"]) * title + as_text(header, rows, dialect, headed=headed)
    layout = {"header_row": title + 1} if headed else {"header_row": 0, "first_row": title + 1}
    assert (
        read(reader, folder, text.encode(encoding), "table.csv", header, encoding=encoding, **dialect, **layout) == rows
    )


@settings(max_examples=120, deadline=None)
@given(
    table=tables(),
    marks=st.tuples(st.sampled_from([",", "\t", ";", "|"]), st.sampled_from(["\n", "\r\n", "\r"])),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    title=st.integers(0, 3),
)
def test_a_detected_dialect_comes_back_equal(
    reader: Reader, folder: Path, table: Table, marks: tuple[str, str], encoding: str, title: int
) -> None:
    header, rows = table
    delimiter, line_end = marks
    dialect = {"delimiter": delimiter, "quote": '"', "escape": '"', "line_end": line_end}
    text = ("a title" + line_end) * title + as_text(header, rows, dialect)
    assert read(reader, folder, text.encode(encoding), "table.csv", header) == rows


@settings(max_examples=60, deadline=None)
@given(table=tables(), title=st.integers(0, 3))
def test_every_other_format_comes_back_equal(reader: Reader, folder: Path, table: Table, title: int) -> None:
    header, rows = table
    objects = as_objects(header, rows)
    wrapped = json.dumps({"code": 0, "data": {"rows": objects}}).encode()
    nested = json.dumps([{"in": {"it": one[header[0]]}} | {name: one[name] for name in header[1:]} for one in objects])
    assert read(reader, folder, as_xlsx(header, rows, title=title), "t.xlsx", header, header_row=title + 1) == rows
    assert read(reader, folder, as_xlsx(header, rows, title=title), "t.xlsx", header) == rows
    assert read(reader, folder, as_xls(header, rows), "t.xls", header) == rows
    assert read(reader, folder, as_json(header, rows), "t.json", header) == rows
    assert read(reader, folder, as_jsonl(header, rows), "t.jsonl", header) == rows
    assert read(reader, folder, as_jsonl(header, rows).replace(b"\n", b" "), "t.json", header) == rows
    assert read(reader, folder, wrapped, "t.json", header, records="data.rows") == rows
    assert read(reader, folder, nested.encode(), "t.json", header, fields={header[0]: "in.it"}) == rows
    assert read(reader, folder, as_parquet(header, rows), "t.parquet", header) == rows
    located = [(*row, "POINT (116.5 31.75)") for row in rows]
    assert read(reader, folder, as_geojson(header, rows), "t.geojson", header, "place", geometry="place") == located


@settings(max_examples=40, deadline=None)
@given(table=tables())
def test_a_packed_file_comes_back_equal(reader: Reader, folder: Path, table: Table) -> None:
    header, rows = table
    written = {"t.csv": as_csv(header, rows), "t.json": as_json(header, rows), "t.parquet": as_parquet(header, rows)}
    for name, content in written.items():
        assert read(reader, folder, gzip.compress(content), f"{name}.gz", header) == rows
        assert read(reader, folder, as_zip({name: content}), f"{name}.zip", header) == rows
        assert read(reader, folder, as_zip({f"年/{name}": content}), "t.zip", header) == rows


@settings(max_examples=40, deadline=None)
@given(table=tables(), encoding=st.sampled_from(["utf-8", "gb18030"]), cpg=st.booleans())
def test_a_shapefile_comes_back_equal_but_for_blanks_at_the_end(
    reader: Reader, folder: Path, table: Table, encoding: str, *, cpg: bool
) -> None:
    _, rows = table
    header = [f"field{i}" for i in range(len(rows[0]))]  # the format allows ten bytes
    content = as_shapefile(header, rows, encoding=encoding, cpg=cpg)
    layout = {} if cpg else {"encoding": encoding}
    found = read(reader, folder, content, "t.zip", header, "place", geometry="place", **layout)
    kept = [tuple(value.strip(" \x00") or None if value else None for value in row) for row in rows]
    assert [tuple(value.strip(" ") or None if value else None for value in row[:-1]) for row in found] == kept
    assert {row[-1] for row in found} == {"POINT (116.5 31.75)"}
