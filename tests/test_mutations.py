"""Random damage to good files of every format: no reader's death escapes, and no good file between them is lost.

Each mutation flips, drops, doubles, swaps or cuts bytes. 50 a format in the plain tests, 2,000 in the soak.
"""

from __future__ import annotations

import gzip
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from files import (
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

from resources.reader import Limits, Reader, Reading

ROWS = [(f"{i:018d}", f"居民,{i}" if i % 7 else f'"第{i}行"\n') for i in range(300)]
SHORT = [(key, name.strip()) for key, name in ROWS]
SETTLED = 60.0  # seconds
MEMORY_KB = 1 << 20
LINED = {"residents.csv", "residents.tsv", "residents.jsonl"}

FORMATS: dict[str, Callable[[], bytes]] = {
    "residents.csv": lambda: as_csv(HEADER, ROWS),
    "residents.tsv": lambda: as_csv(HEADER, ROWS, delimiter="\t"),
    "residents.csv.gz": lambda: gzip.compress(as_csv(HEADER, ROWS)),
    "residents.zip": lambda: as_zip({"a.csv": as_csv(HEADER, ROWS)}),
    "residents.xlsx": lambda: as_xlsx(HEADER, ROWS),
    "residents.xls": lambda: as_xls(HEADER, ROWS),
    "residents.json": lambda: as_json(HEADER, ROWS),
    "residents.jsonl": lambda: as_jsonl(HEADER, ROWS),
    "residents.parquet": lambda: as_parquet(HEADER, ROWS),
    "places.geojson": lambda: as_geojson(HEADER, ROWS),
    "places.zip": lambda: as_shapefile(HEADER, SHORT),
}


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The content with one to eight pieces damaged."""
    piece = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        at, size = chance.randrange(len(piece)), chance.randint(1, 40)
        match chance.randrange(6):
            case 0:
                piece[at] ^= 1 << chance.randrange(8)
            case 1:
                piece[at : at + size] = chance.randbytes(size)
            case 2:
                del piece[at : at + size]
            case 3:
                piece[at:at] = piece[at : at + size]
            case 4:
                piece[at:at] = chance.choice(
                    [b'"', b",", b"\n", b"\x00", b"\xff", b"{", b"]", b"\r", "中".encode("gbk")]
                )
            case _:
                if chance.random() < 0.2:
                    del piece[at:]
        if not piece:
            return b"\x00"
    return bytes(piece)


def checked(reading: Reading, name: str) -> str:
    """What became of a damaged file: refused with a reason, or read with every record placed."""
    if reading.refused:
        assert reading.rows_file is None
        assert reading.reasons
        assert all(reason.message.startswith(f"{name}: ") for reason in reading.reasons)
        return reading.reasons[-1].code
    rows, bad = rows_of(reading), bad_of(reading)
    assert (len(rows), len(bad)) == (reading.rows, reading.bad_rows)
    numbers = sorted([row[0] for row in rows] + [number for number, *_ in bad]) if reading.numbered else []
    assert numbers == list(range(1, len(numbers) + 1))
    for number, line, code, reason, content in bad:
        assert code
        assert content is not None
        assert reason.startswith(f"{name}: record {number}, line {line}")
    return "read"


def damage(name: str, count: int, tmp_path: Path, seed: int) -> Counter[str]:
    """Read so many damaged files, a good one after every tenth and after each that ended its reader."""
    chance = random.Random(f"{name} {seed}")
    good, found = FORMATS[name](), Counter[str]()
    more: dict[str, Any] = {"limits": Limits(seconds=SETTLED - 5)}
    expected = [tuple(row) for row in (SHORT if name == "places.zip" else ROWS)]
    with Reader() as reader:
        for number in range(count):
            began = time.monotonic()
            verdict = checked(reader.read(named(tmp_path, mutated(good, chance), name, **more)), name)
            assert time.monotonic() - began < SETTLED, (number, verdict)
            found[verdict] += 1
            if number % 10 == 9 or verdict.startswith("reader_"):
                assert [row[-2:] for row in rows_of(reader.read(named(tmp_path, good, name)))] == expected, number
        assert peak_kb(reader) < MEMORY_KB
    return found


def peak_kb(reader: Reader) -> int:
    """The most memory the reader's child ever had resident."""
    assert reader._child is not None
    status = Path(f"/proc/{reader._child.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_settled_and_harms_no_other(tmp_path: Path, name: str) -> None:
    found = damage(name, 50, tmp_path, seed=1)
    assert found.total() == 50
    assert found.total() > found["read"]  # the damage shows


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", FORMATS)
def test_two_thousand_damaged_files_are_settled_and_harm_no_other(tmp_path: Path, name: str) -> None:
    found = damage(name, 2000, tmp_path, seed=2)
    assert found.total() == 2000
