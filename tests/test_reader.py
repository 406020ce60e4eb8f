"""The reader: every format gives the same text, and a bad file gives one clear refusal and harms nothing else."""

from __future__ import annotations

import gzip
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from files import HEADER, as_csv, as_json, as_jsonl, as_parquet, as_xlsx, job, refusal, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.layout import Kind
from resources.reader import Limits, Reader, ReaderError


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as one:
        yield one


TEXTS = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), min_size=1, max_size=8),
    st.sampled_from(['"', ",", ";", "=1+1", "'", "\\", "张 三", "0012", "1.50", "true", "null", "a|b"]),
)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(st.text("0123456789X", min_size=1, max_size=18), TEXTS), min_size=1, max_size=6))
def test_a_table_reads_alike_in_every_format(
    reader: Reader, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str | None]]
) -> None:
    tmp_path = tmp_path_factory.mktemp("formats")
    rows = [
        (key, None if text is None or not text.strip(" \t\n\r\u3000\u00a0\u2028\x85") else text) for key, text in rows
    ]
    written = {
        "csv": as_csv,
        "json": as_json,
        "jsonl": as_jsonl,
        "parquet": as_parquet,
        "xlsx": as_xlsx,
    }
    contents: dict[Kind, bytes] = {kind: write(HEADER, rows) for kind, write in written.items()}
    for kind, content in contents.items():
        assert rows_of(reader.read(job(tmp_path, content, kind))) == rows, kind
        packed = reader.read(job(tmp_path, gzip.compress(content), kind, packing="gz"))
        assert rows_of(packed) == rows, f"{kind}.gz"


def test_typed_cells_become_the_text_a_clerk_would_type(reader: Reader, tmp_path: Path) -> None:
    import datetime as dt

    columns = {name: (name,) for name in "abcde"}
    expected = [("341523199001011000", "0.3", "5", "2020-01-05", "true")]
    sheet = as_xlsx(list("abcde"), [(3.41523199001011e17, 0.1 + 0.2, 5.0, dt.date(2020, 1, 5), True)])
    assert rows_of(reader.read(job(tmp_path, sheet, "xlsx", columns=columns))) == expected
    query = (
        "select 341523199001011000::bigint as a, 0.3::decimal(9,1) as b, 5.0::double as c, "
        "timestamp '2020-01-05 00:00:00' as d, true as e"
    )
    duckdb.execute(f"copy ({query}) to '{tmp_path}/typed.parquet' (format parquet)")
    table = (tmp_path / "typed.parquet").read_bytes()
    assert rows_of(reader.read(job(tmp_path, table, "parquet", columns=columns))) == expected


def test_columns_are_found_by_name_whatever_their_order(reader: Reader, tmp_path: Path) -> None:
    assert rows_of(reader.read(job(tmp_path, b"name,id_number\nA,1\n"))) == [("1", "A")]
    assert rows_of(reader.read(job(tmp_path, "姓名,证件号码\nA,1\n".encode()))) == [("1", "A")]
    assert rows_of(reader.read(job(tmp_path, b"\xef\xbb\xbfid_number,name\r\n1,A\r\n"))) == [("1", "A")]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_header_shows_its_delimiter(reader: Reader, tmp_path: Path, delimiter: str) -> None:
    content = f"id_number{delimiter}name\n1{delimiter}A,B\n".encode()
    assert rows_of(reader.read(job(tmp_path, content))) == [("1", "A,B")]


@pytest.mark.parametrize("write", [as_csv, as_json, as_jsonl, as_parquet, as_xlsx])
def test_a_column_that_may_be_missing_is_left_out(reader: Reader, tmp_path: Path, write: Any) -> None:
    kind: Kind = write.__name__.removeprefix("as_")
    wanted = {"columns": {"id_number": ("id_number",), "name": ("name",), "sex": ("sex",)}, "optional": ("sex",)}
    assert rows_of(reader.read(job(tmp_path, write(HEADER, [("1", "A")]), kind, **wanted))) == [("1", "A")]


def test_an_unknown_column_is_named_and_not_loaded(reader: Reader, tmp_path: Path) -> None:
    content = b"id_number,name,colour,note\n1,A,red,x\n"
    reading = reader.read(job(tmp_path, content, ignore=("note",)))
    assert rows_of(reading) == [("1", "A")]
    assert [(r.code, r.message) for r in reading.reasons] == [
        ("extra_column", "residents.csv: columns colour are not in the catalogue and were not loaded")
    ]


def test_records_with_a_wrong_number_of_fields_are_set_aside(reader: Reader, tmp_path: Path) -> None:
    reading = reader.read(job(tmp_path, b'id_number,name\n1,"A\nB"\n2\n\n3,C,x\n4,D\n'))
    assert reading.numbered
    assert rows_of(reading) == [(1, "1", "A\nB"), (4, "4", "D")]
    assert reading.bad_rows == 2
    assert duckdb.sql(f"from '{reading.bad_file}'").fetchall() == [
        (2, 4, "field_count", "residents.csv: record 2, line 4: 1 fields; the header has 2", '["2"]'),
        (3, 6, "field_count", "residents.csv: record 3, line 6: 3 fields; the header has 2", '["3", "C", "x"]'),
    ]


def test_a_broken_quote_within_one_line_sets_that_record_aside(reader: Reader, tmp_path: Path) -> None:
    reading = reader.read(job(tmp_path, b'id_number,name\n1,A\n2,"B"b\n3,"C"\n'))
    assert rows_of(reading) == [(1, "1", "A"), (3, "3", "C")]
    ((number, line, code, reason, content),) = duckdb.sql(f"from '{reading.bad_file}'").fetchall()
    assert (number, line, code, content) == (2, 3, "quoting", '"2,\\"B\\"b"')
    assert reason.startswith('residents.csv: record 2, line 3: something stands after a closing "')


def test_a_record_one_field_too_long_is_set_aside_even_when_its_last_field_is_empty(
    reader: Reader, tmp_path: Path
) -> None:
    reading = reader.read(job(tmp_path, b'id_number,name\n1,"A, B"\n2,,\n3,C\n'))
    assert rows_of(reading) == [(1, "1", "A, B"), (3, "3", "C")]
    assert reading.bad_rows == 1
    reading = reader.read(job(tmp_path, b'id_number,name\n1,"A, B"\n3,C\n'))
    assert (rows_of(reading), reading.numbered) == ([("1", "A, B"), ("3", "C")], False)


def test_a_line_that_is_no_json_is_set_aside(reader: Reader, tmp_path: Path) -> None:
    reading = reader.read(
        job(tmp_path, b'{"id_number":"1","name":"A"}\n\n{"id_n\n{"id_number":3,"name":null}', "jsonl")
    )
    assert rows_of(reading) == [(1, "1", "A"), (3, "3", None)]
    assert duckdb.sql(f"from '{reading.bad_file}'").fetchall() == [
        (
            2,
            3,
            "unreadable_record",
            "residents.jsonl: record 2, line 3, character 7: not readable as JSON",
            '"{\\"id_n"',
        )
    ]


def test_gb18030_is_read_and_said(reader: Reader, tmp_path: Path) -> None:
    reading = reader.read(job(tmp_path, "id_number,姓名\n1,张三\n2,𠮷\n".encode("gb18030")))
    assert rows_of(reading) == [("1", "张三"), ("2", "𠮷")]
    assert [r.code for r in reading.reasons] == ["encoding"]
    late = ("id_number,name\n" + "1,A\n" * 5 + "2,中\n").encode("gb18030")
    reading = reader.read(job(tmp_path, late))
    assert rows_of(reading)[-1] == ("2", "中")
    assert reading.reasons[0].message == "residents.csv: read as GB18030, because it is not UTF-8 (at line 7, byte 37)"


def test_a_file_without_a_header_is_refused_and_none_of_its_values_is_told(reader: Reader, tmp_path: Path) -> None:
    reading = reader.read(job(tmp_path, "341502199001011234,张三\n341502199001011235,李四\n".encode()))
    assert reading.refused
    [reason] = reading.reasons
    assert "seems to be a record, not a header" in reason.message
    assert "张三" not in reason.message
    assert "3415" not in reason.message


BAD = {
    "header only": ("csv", b"id_number,name\n", "empty", "a header and no records"),
    "missing column": ("csv", b"id_number,nmae\n1,A\n", "missing_column", "header lacks name; found id_number, nmae"),
    "column twice": ("csv", "id_number,name,姓名\n1,A,B\n".encode(), "duplicate_column", "holds name more than once"),
    "latin bytes": ("csv", b"id_number,name\n1,A\xff\xff\n", "encoding", "neither UTF-8 (wrong at line 2, byte 18)"),
    "nul": ("csv", b"id_number,name\n1,A\x00\n", "encoding", "line 2, byte 18: a NUL byte"),
    "open quote": ("csv", b'id_number,name\n1,A\n2,"B\n3,C\n', "quoting", "line 3: not readable as CSV"),
    "all ragged": (
        "csv",
        b"id_number,name\n1\n2\n",
        "field_count",
        "none of its 2 records is readable with the header's 2",
    ),
    "endless header": ("csv", b"id_number," * 200_000, "header", "the first line is longer than 1000000 bytes"),
    "deep json": ("json", b"[" * 400_000, "unreadable", "nested deeper than 64"),
    "broken json": (
        "json",
        b'[{"id_number": "1", "name": "A"}',
        "unreadable",
        "line 1, character 33: not readable as JSON",
    ),
    "json of numbers": ("json", b"[1, 2]", "unreadable", "record 1 is"),
    "empty json": ("json", b"[]", "empty", "holds no records"),
    "json nul": ("jsonl", b'{"id_number":"1","name":"A\\u0000"}\n', "encoding", "NUL character"),
    "no workbook": ("xlsx", b"PK\x03\x04 not a zip", "unreadable", "save it as .xlsx"),
    "xls": (
        "xlsx",
        b"\xd0\xcf\x11\xe0" + bytes(600),
        "unreadable",
        "not readable as a workbook; open it, save it as .xlsx",
    ),
    "no parquet": ("parquet", b"PAR1 nothing PAR1", "unreadable", "not readable as "),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_a_message_for_its_clerk(reader: Reader, tmp_path: Path, name: str) -> None:
    kind, content, code, message = BAD[name]
    found, text = refusal(reader.read(job(tmp_path, content, kind)))
    assert found == code
    assert text.startswith(f"residents.{kind}: ")
    assert message in text
    assert rows_of(reader.read(job(tmp_path, b"id_number,name\n1,A\n"))) == [("1", "A")]


def test_a_truncated_gzip_is_refused(reader: Reader, tmp_path: Path) -> None:
    content = gzip.compress(as_csv(["id_number", "name"], [(str(math.sqrt(i)), "A") for i in range(500)]))
    assert refusal(reader.read(job(tmp_path, content[:-20], packing="gz"))) == (
        "truncated",
        "residents.csv: the gzip file is cut off before its end; deliver it again",
    )
    assert refusal(reader.read(job(tmp_path, b"no gzip at all", packing="gz")))[0] == "unreadable"
    assert refusal(reader.read(job(tmp_path, gzip.compress(b""), packing="gz")))[0] == "empty"


def test_a_bomb_is_refused_before_it_unpacks(reader: Reader, tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(150_000_000), 1)
    code, message = refusal(reader.read(job(tmp_path, bomb, packing="gz")))
    assert code == "too_large"
    assert "unpacks to more than 100000000 bytes" in message


def test_a_reader_that_dies_or_hangs_harms_only_its_file(tmp_path: Path) -> None:
    good = b"id_number,name\n1,A\n"
    with Reader() as hasty:
        code, message = refusal(hasty.read(job(tmp_path, good, limits=Limits(seconds=0.01))))  # the child is not up yet
        assert (code, message[:40]) == ("reader_timeout", "residents.csv: not read within 0 s, the "[:40])
    with Reader() as reader:
        reader.read(job(tmp_path, good))
        child = reader._child
        assert child is not None
        os.kill(child.pid, signal.SIGSTOP)
        code, message = refusal(reader.read(job(tmp_path, good, limits=Limits(seconds=1))))
        assert (code, message) == (
            "reader_timeout",
            "residents.csv: not read within 1 s, the limit of a file; it is damaged or too large",
        )
        assert rows_of(reader.read(job(tmp_path, good))) == [("1", "A")]
        child = reader._child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        assert refusal(reader.read(job(tmp_path, good)))[0] == "reader_crashed"
        assert rows_of(reader.read(job(tmp_path, good))) == [("1", "A")]


def test_a_file_that_needs_too_much_memory_is_refused_and_the_next_is_read(tmp_path: Path) -> None:
    wide = as_xlsx(["id_number", "name"], [(str(i), f"{i}" * 50) for i in range(90_000)])
    with Reader() as reader:
        assert refusal(reader.read(job(tmp_path, wide, "xlsx", limits=Limits(memory_mb=320)))) == (
            "memory",
            "residents.xlsx: needs more than 320 MB of memory, the limit of a file; split it",
        )
        assert rows_of(reader.read(job(tmp_path, b"id_number,name\n1,A\n"))) == [("1", "A")]


def test_a_file_that_changed_since_it_was_registered_is_refused(reader: Reader, tmp_path: Path) -> None:
    assert refusal(reader.read(job(tmp_path, b"id_number,name\n1,A\n", sha256="0" * 64)))[0] == "changed"


def test_a_missing_file_is_no_verdict_on_it(reader: Reader, tmp_path: Path) -> None:
    gone = job(tmp_path, b"x")
    gone.path.unlink()
    with pytest.raises(ReaderError, match="is gone"):
        reader.read(gone)


def test_the_child_ends_with_its_reader(tmp_path: Path) -> None:
    with Reader() as reader:
        reader.read(job(tmp_path, b"id_number,name\n1,A\n"))
        child = reader._child
        assert child is not None
        assert child.poll() is None
    for _ in range(50):
        if child.poll() is not None:
            break
        time.sleep(0.02)
    assert child.returncode is not None
