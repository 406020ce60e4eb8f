"""JSON, JSON Lines and records inside a JSON document to staged raw text, in the reader's child process.

DuckDB reads an array, objects one after another, or one object a line. What it does not (records below a declared path,
arrays one after another, huge documents) is streamed record by record into JSON Lines first; broken lines are set
aside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import ijson

from resources.reading import EMPTY, Work, literal, quoted
from resources.reading_records import BAD_COLUMNS, own_writer, stage_bad
from resources.reading_text import CHUNK, as_utf8

DEPTH_LIMIT = 64  # DuckDB's reader of nested JSON ends the process somewhere beyond 10,000
SEARCHED_LIMIT = 100_000_000  # bytes of a broken JSON file in which the fault's line is looked for
OBJECT_LIMIT = 16_000_000  # bytes of one JSON record
PLAIN_EXPONENT = 40  # digits up to which a number is written out
KEY_SETS = 10_000  # different sets of keys the records of one file may have
STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def read_json(work: Work, path: Path) -> int:
    """An array of objects, objects or arrays one after another, or the records below the declared path."""
    text = as_utf8(work, path)
    refuse_deep(work, text)
    if below := work.layout.get("records"):
        lines = streamed(work, text, f"{below}.item")
        if not lines.stat().st_size:
            raise work.refuse("records", f"holds no list of records at {below}, the path the catalogue declares")
        return stage_lines(work, lines)
    with text.open("rb") as file:
        array = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    try:
        return _stage(work, text, "array" if array else "unstructured")
    except duckdb.InvalidInputException:
        return stage_lines(work, streamed(work, text, "item" if array else ""))


def read_json_lines(work: Work, path: Path) -> int:
    """One object a line; a line that is none is set aside."""
    text = as_utf8(work, path)
    refuse_deep(work, text)
    try:
        return stage_lines(work, text)
    except duckdb.InvalidInputException:
        return _by_line(work, text)


def stage_lines(work: Work, path: Path) -> int:
    """A file with one object a line."""
    return _stage(work, path, "newline_delimited")


def streamed(work: Work, path: Path, prefix: str) -> Path:
    """The records at a place of the document, one a line.

    Raises:
        RefusedError: not JSON.
    """
    try:
        with path.open("rb") as file:
            skipped = file.read(3)
            file.seek(3 if skipped == b"\xef\xbb\xbf" else 0)
            return write_lines(work, ijson.items(file, prefix, multiple_values=True))
    except ijson.JSONError:
        where = _first_fault(path)
        raise work.refuse("unreadable", f"{where}: not readable as JSON; records must be objects") from None


def write_lines(work: Work, records: Iterable[Any]) -> Path:
    """The records as a file with one a line."""
    target = work.folder / "records.jsonl"
    with target.open("w", encoding="utf-8") as out:
        for record in records:
            out.write(json.dumps(record, ensure_ascii=False, default=_number) + "\n")
    return target


def _number(value: object) -> str:
    """A number with a point, as text: all its digits, no exponent."""
    if not isinstance(value, Decimal):
        raise TypeError(f"no JSON value: {type(value).__name__}")
    exponent = value.as_tuple().exponent
    plain = isinstance(exponent, int) and abs(exponent) < PLAIN_EXPONENT
    return format(value, "f") if plain else str(value)


def _stage(work: Work, path: Path, form: str, inside: str = "json") -> int:
    """Two passes: the keys of the records, then their values. `inside` says where in a line the record is."""
    source = f"read_json_objects({literal(path)}, format = {literal(form)}, maximum_object_size = {OBJECT_LIMIT})"
    header = _keys(work, source, inside)
    fields: dict[str, str] = work.layout.get("fields", {})
    by_name = replace(
        work,
        columns={column: names for column, names in work.columns.items() if column not in fields},
        ignore=[*work.ignore, *(path.partition(".")[0] for path in fields.values())],
    )
    paths = {column: _path(header[at]) for column, at in by_name.places(header).items()}
    paths |= {column: _path(*steps.split(".")) for column, steps in fields.items()}
    for column, steps in fields.items():
        there = work.con.execute(f"select 1 from {source} where json_exists({inside}, {paths[column]}) limit 1")
        if there.fetchone() is None:
            raise work.refuse("missing_column", f"no record holds {steps}, where the catalogue has column {column}")
    picked = ", ".join(
        f"{inside} ->> {paths[column]} as {quoted(column)}" for column in work.columns if column in paths
    )
    number = "(json ->> '$.n')::bigint as _row, " if inside != "json" else ""
    return work.stage(f"select {number}{picked} from {source}")


def _path(*steps: str) -> str:
    """A path into a record as SQL writes it; a key that no quotes can hold is refused by DuckDB."""
    return literal("$" + "".join(f'."{step}"' for step in steps))


def _keys(work: Work, source: str, inside: str) -> list[str]:
    """Every key of every record.

    Raises:
        RefusedError: a record is not an object, or has a key twice; there is none.
    """
    groups = work.con.execute(
        f"select json_type({inside}) as kind, json_keys({inside}) as keys, min(number) from "
        f"(select json, row_number() over () as number from {source}) group by all order by 3 limit {KEY_SETS}"
    ).fetchall()
    if not groups:
        raise work.refuse("empty", f"holds no records; {EMPTY}")
    for kind, keys, number in groups:
        if kind != "OBJECT":
            raise work.refuse("unreadable", f"record {number} is {kind.lower()}; records must be objects")
        if len(set(keys)) < len(keys):
            raise work.refuse("duplicate_column", f"record {number} holds a key more than once; each key once")
    if len(groups) == KEY_SETS:
        raise work.refuse("unreadable", f"its records have more than {KEY_SETS} different sets of keys")
    return sorted({key for _, keys, _ in groups for key in keys})


def _by_line(work: Work, path: Path) -> int:
    """Lines that hold an object are staged with their number, the others set aside.

    Raises:
        RefusedError: no line holds an object.
    """
    good, bad = work.folder / "good.jsonl", work.folder / "bad.csv"
    total = 0
    with (
        path.open(encoding="utf-8-sig") as lines,
        good.open("w", encoding="utf-8") as good_file,
        bad.open("w", encoding="utf-8", newline="") as bad_file,
    ):
        rows = own_writer(bad_file, BAD_COLUMNS)
        for line, text in enumerate(lines, 1):
            if not text.strip():
                continue
            total += 1
            if problem := _problem(text):
                work.bad_rows += 1
                reason = f"{work.name}: record {total}, line {line}{problem}"
                rows.writerow([total, line, "unreadable_record", reason, json.dumps(text.rstrip("\n"))])
            else:
                good_file.write(f'{{"n": {total}, "r": {text.strip()}}}\n')
    if work.bad_rows == total:
        raise work.refuse("unreadable", f"{_first_fault(path, by_line=True)}: not readable as JSON, one object a line")
    work.numbered = True
    stage_bad(work, bad)
    return _stage(work, good, "newline_delimited", "(json -> '$.r')")


def _problem(text: str) -> str:
    """What keeps a line from being a record; nothing when it is one."""
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        return f", character {error.colno}: not readable as JSON"
    except RecursionError:
        return ": nested too deep"
    return "" if isinstance(record, dict) else ": not an object"


def _first_fault(path: Path, *, by_line: bool = False) -> str:
    """Where the JSON breaks; DuckDB's own count of lines leaves out blank ones and starts at 2."""
    if path.stat().st_size > SEARCHED_LIMIT:
        return "somewhere"
    text = path.read_text("utf-8-sig")
    pieces = text.splitlines() if by_line else [text]
    for number, piece in enumerate(pieces):
        try:
            json.loads(piece or "null")
        except json.JSONDecodeError as error:
            return f"line {number + error.lineno}, character {error.colno}"
    return "somewhere"


def refuse_deep(work: Work, path: Path) -> None:
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
            if len(tail) > 2 * OBJECT_LIMIT:
                raise work.refuse("unreadable", f"not readable as JSON: a text longer than {OBJECT_LIMIT} bytes")


def _cancel(brackets: bytes) -> bytes:
    for _ in range(DEPTH_LIMIT):
        left = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if left == brackets:
            break
        brackets = left
    return brackets
