"""Pools: what a department stated is there, typed and traceable, or in quarantine; never lost, never taken twice."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from datetime import date
from typing import Any

import duckdb
import pytest

from assets import pools
from assets.conform import typed
from assets.deliveries import register
from assets.pools import load
from catalog.layout import Layout
from catalog.models import Column, ColumnType
from resources.city import City

RESIDENTS = "public_security/resident_registration"
MARRIAGES = "civil_affairs/marriage_registration"
HEADER = "id_number,name,sex,birth_date,marital_status,household_size\n"
NOVEMBER = date(2026, 11, 30)


def deliver(city: City, place: str, content: str | bytes, *, name: str = "a.csv", **manifest: object) -> None:
    folder = city.home.landing / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / f"{name}.manifest.json").write_text(json.dumps({"as_of": "2026-11-02"} | manifest))
    register(city)


def take(city: City, place: str, content: str | bytes, **more: Any) -> pools.PoolResult:
    deliver(city, place, content, **more)
    (result,) = load(city, place.partition("/")[0], NOVEMBER, author="test")
    return result


def rows(city: City, query: str) -> list[tuple[Any, ...]]:
    return city.con.execute(query).fetchall()


def registered(city: City) -> list[tuple[Any, ...]]:
    with city.server.session() as cursor:
        columns = "state, rows_delivered, rows_pooled, rows_quarantined, reasons"
        cursor.execute(f"select {columns} from ops.deliveries order by registered_at")
        return list(cursor.fetchall())


def test_records_are_typed_and_what_does_not_parse_stays_readable(small_city: City) -> None:
    result = take(
        small_city,
        RESIDENTS,
        HEADER + "1, 张三 ,1,2020年1月5日,10, 3\n2,李四,9,20200230,,many\n,王五,1,2020/01/07,\u3000,\n",
        rows=3,
    )
    assert (result.rows_delivered, result.rows_pooled, result.rows_quarantined, result.reasons) == (3, 3, 0, ())
    query = "select * exclude (_hash) from public_security.resident_registration order by _row"
    stamp, unread = [date(2026, 11, 2), 1], {"birth_date": "20200230", "household_size": "many"}
    assert [list(row) for row in rows(small_city, query)] == [
        ["1", " 张三 ", "1", date(2020, 1, 5), "10", 3, "1", result.delivery_id, 1, *stamp, None],
        ["2", "李四", "9", None, None, None, "2", result.delivery_id, 2, *stamp, unread],
        [None, "王五", "1", date(2020, 1, 7), None, None, "#3", result.delivery_id, 3, *stamp, None],
    ]
    assert registered(small_city) == [("pooled", 3, 3, 0, [])]
    assert list(small_city.home.tmp.glob("*/*/rows.parquet")) == []


def test_of_records_with_one_key_the_last_stands_and_the_others_are_kept(small_city: City) -> None:
    result = take(small_city, RESIDENTS, HEADER + "1,A,1,,,\n2,B,1,,,\n1,C,1,,,\n1,D,1,,,\n2\n")
    assert (result.rows_delivered, result.rows_pooled, result.rows_quarantined) == (5, 2, 3)
    pool = "select id_number, name, _row, _copies from public_security.resident_registration order by 1"
    assert rows(small_city, pool) == [("1", "D", 4, 3), ("2", "B", 2, 1)]
    kept = rows(
        small_city,
        "select row_number, record_key, reason_code, reason, content from public_security._quarantine order by 1",
    )
    content = '{"id_number":"1","name":"A","sex":"1","birth_date":null,"marital_status":null,"household_size":null}'
    reason = "a.csv: record 1: its key stands 3 times; the last, record 4, was taken"
    assert kept[0] == (1, "1", "duplicate_key", reason, content)
    assert [row[:3] for row in kept[1:]] == [(3, "1", "duplicate_key"), (5, None, "field_count")]
    assert kept[2][3:] == ("a.csv: record 5, line 6: 1 fields; the header has 6", '["2"]')


GOOD = HEADER + "1,A,1,2020-01-01,10,3\n"
REJECTED: dict[str, tuple[str, str | bytes, dict[str, object], str, str]] = {
    "header only": (
        "a.csv",
        HEADER,
        {},
        "empty",
        "a.csv: holds a header and no records; zero rows is never a delivery",
    ),
    "missing": ("a.csv", "id_number,name\n1,A\n", {}, "missing_column", "a.csv: header lacks sex, birth_date, marital"),
    "encoding": ("a.csv", b"id_number\n\xff\xff\n", {}, "encoding", "a.csv: neither UTF-8 (wrong at line 2, byte 10)"),
    "gzip": ("a.csv.gz", gzip.compress(GOOD.encode())[:-5], {}, "truncated", "a.csv.gz: the gzip file is cut off"),
    "xlsx": ("a.xlsx", b"PK\x03\x04 rubbish", {}, "unreadable", "a.xlsx: not readable as an XLSX workbook"),
    "rows": ("a.csv", GOOD, {"rows": 7}, "declared_rows", "a.csv: manifest: rows = 7, the file holds 1 records"),
    "older": (
        "a.csv",
        GOOD,
        {"as_of": "2026-10-30"},
        "superseded",
        "a.csv: as_of = 2026-10-30 is older than the pool's",
    ),
}


def test_a_rejected_delivery_says_why_and_the_pool_keeps_its_last_good_state(small_city: City) -> None:
    take(small_city, RESIDENTS, HEADER + "9,Z,2,1950-01-01,10,1\n", as_of="2026-11-01")
    query = "from public_security.resident_registration"
    before = rows(small_city, query)
    assert len(before) == 1
    for name, content, manifest, code, message in REJECTED.values():
        result = take(small_city, RESIDENTS, content, name=name, **manifest)
        assert (result.rejected, result.rows_pooled, result.rows_quarantined) == (True, 0, 0)
        assert result.reasons[-1]["code"] == code
        assert result.reasons[-1]["message"].startswith(message)
        assert registered(small_city)[-1][0] == "rejected"
        assert registered(small_city)[-1][4] == list(result.reasons)
    assert rows(small_city, query) == before
    assert rows(small_city, "from public_security._quarantine") == []


def test_wrong_values_and_extra_columns_reject_nothing(small_city: City) -> None:
    content = "id_number,name,sex,birth_date,marital_status,household_size,shoe\n1,A,77,yesterday,xx,-,44\n"
    result = take(small_city, RESIDENTS, content)
    assert (result.rejected, result.rows_pooled) == (False, 1)
    message = "a.csv: columns shoe are not in the catalogue and were not loaded"
    assert result.reasons == ({"code": "extra_column", "message": message},)
    assert registered(small_city) == [("pooled", 1, 1, 0, list(result.reasons))]


Reference = dict[str, tuple[str, date, int]]  # key -> name, as-of, copies


def reference(pool: Reference, mode: str, as_of: date, records: list[tuple[str, str]]) -> tuple[Reference, int] | None:
    """What a load must come to, said plainly: the new pool and the records left out, or None when it is rejected."""
    newest = max((stated for _, stated, _ in pool.values()), default=date.min)
    if mode == "full" and newest > as_of:
        return None
    after: Reference = {} if mode == "full" else dict(pool)
    keys = [key or f"#{i}{'' if mode == 'full' else f'@{as_of:%Y%m%d}'}" for i, (key, _) in enumerate(records, 1)]
    taken = 0
    for key, (_, name) in zip(keys, records, strict=True):
        if mode == "full" or key not in pool or pool[key][1] <= as_of:
            after[key] = (name, as_of, keys.count(key))
    for key in set(keys):
        taken += mode == "full" or key not in pool or pool[key][1] <= as_of
    return after, len(records) - taken


@pytest.mark.parametrize("seed", [1, 2])
def test_any_sequence_of_deliveries_comes_to_what_the_plain_reference_says(small_city: City, seed: int) -> None:
    dice, pool, verdicts = random.Random(seed), {}, set()
    for turn in range(14):
        mode = dice.choice(["full", "incremental", "incremental", "incremental"])
        as_of = date(2026, 11, dice.randint(1, 3 + turn // 2))
        records = [(dice.choice(["", *"ABCDEFG"]), f"n{dice.randint(0, 9)}") for _ in range(dice.randint(1, 9))]
        content = "id_number,name,marital_status,registered_on\n" + "".join(
            f"{k},{n},10,2020-01-01\n" for k, n in records
        )
        result = take(small_city, MARRIAGES, content + f"unique{turn},x,10,\n", as_of=f"{as_of}", mode=mode)
        expected = reference(pool, mode, as_of, [*records, (f"unique{turn}", "x")])
        verdicts.add((mode, result.rejected, result.rows_quarantined > 0))
        assert result.rejected == (expected is None)
        if expected:
            pool, left_out = expected
            assert result.rows_quarantined == left_out
            assert result.rows_delivered == result.rows_pooled + result.rows_quarantined == len(records) + 1
        found = rows(small_city, "select _record_key, name, _as_of, _copies from civil_affairs.marriage_registration")
        assert {key: rest for key, *rest in found} == {key: list(value) for key, value in pool.items()}
        assert len(found) == len(pool)
    assert len(verdicts) >= 4
    counted = "select delivery_id, count(*) from civil_affairs._quarantine group by 1 order by 1"
    before = rows(small_city, "from civil_affairs.marriage_registration order by all"), rows(small_city, counted)
    pools.rebuild(small_city, small_city.catalog.resources["civil_affairs.marriage_registration"], author="test")
    assert (
        rows(small_city, "from civil_affairs.marriage_registration order by all"),
        rows(small_city, counted),
    ) == before


def test_loading_again_after_a_kill_changes_nothing(small_city: City) -> None:
    take(small_city, MARRIAGES, "id_number,name,marital_status,registered_on\n1,A,10,\n2,B,10,\n", as_of="2026-11-01")
    take(small_city, MARRIAGES, "id_number,name,marital_status,registered_on\n1,C,10,\n1,D,10,\n3\n")
    tables = "from civil_affairs.marriage_registration order by all", "from civil_affairs._quarantine order by all"
    before = [rows(small_city, table) for table in tables], registered(small_city)
    assert len(before[0][1]) == 2
    with small_city.server.session() as cursor:  # killed after the lake's commit, before the register knew
        forget = "update ops.deliveries set state = 'registered', rows_pooled = null, reasons = '[]'"
        cursor.execute(f"{forget} where as_of = '2026-11-02'")
    assert len(load(small_city, "civil_affairs", NOVEMBER, author="again")) == 1
    assert ([rows(small_city, table) for table in tables], registered(small_city)) == before
    assert load(small_city, "civil_affairs", NOVEMBER, author="again") == []


def test_only_due_and_chosen_deliveries_are_taken(small_city: City) -> None:
    deliver(small_city, MARRIAGES, "id_number,name,marital_status,registered_on\n1,A,10,\n", as_of="2026-11-03")
    assert load(small_city, "civil_affairs", date(2026, 11, 2), author="test") == []
    assert load(small_city, "civil_affairs", NOVEMBER, author="test", only=["other"]) == []
    assert load(small_city, "public_security", NOVEMBER, author="test") == []
    assert len(load(small_city, "civil_affairs", NOVEMBER, author="test")) == 1
    assert pools.row_count(small_city, small_city.catalog.resources["civil_affairs.marriage_registration"]) == 1


def test_a_file_made_to_end_the_reader_harms_only_itself(small_city: City) -> None:
    deliver(small_city, RESIDENTS, GOOD, name="good.csv", as_of="2026-11-01")
    deliver(small_city, RESIDENTS, "[" * 300_000, name="deep.json", as_of="2026-11-02")
    deliver(small_city, RESIDENTS, GOOD, name="later.csv", as_of="2026-11-03")
    first, deep, later = load(small_city, "public_security", NOVEMBER, author="test")
    assert [one.rejected for one in (first, deep, later)] == [False, True, False]
    assert deep.reasons[0]["message"].startswith("deep.json: not readable as JSON: brackets nested deeper")
    assert rows(small_city, "select _as_of from public_security.resident_registration") == [(date(2026, 11, 3),)]


SPELLINGS: dict[ColumnType, tuple[dict[str, str], list[str]]] = {
    ColumnType.integer: (
        {"1": "1", "+5": "5", "-3": "-3", "\u3000007\t": "7"},
        ["1.5", "5.0", "1e3", "1_0", "12345678901234567890", "５", "1 2"],
    ),
    ColumnType.decimal: (
        {"1": "1.00", "1.5": "1.50", "1.5000": "1.50", ".5": "0.50", "-0.01 ": "-0.01"},
        ["1.555", "1,000", "1e3", "99999999999999999", "."],
    ),
    ColumnType.date: (
        dict.fromkeys(
            ["2020-01-05", "2020-1-5", "2020/01/05", "20200105", "2020年1月5日", " 2020-01-05 "], "2020-01-05"
        ),
        ["2020-02-30", "2020105", "20-01-05", "infinity", "2020-01/05", "2020-01-05x", "0"],
    ),
    ColumnType.timestamp: (
        {
            "2020-01-05 10:20:30": "2020-01-05 10:20:30",
            "2020/1/5T1:02": "2020-01-05 01:02:00",
            "20200105102030": "2020-01-05 10:20:30",
            "2020-01-05 10:20:30.5": "2020-01-05 10:20:30.5",
            "2020-01-05": "2020-01-05 00:00:00",
        },
        ["2020-01-05 25:00:00", "2020-01-05 10:20:30+08", "10:20"],
    ),
    ColumnType.boolean: (
        {"true": "true", "是": "true", "1": "true", " Y": "true", "否": "false", "0": "false"},
        ["2", "tru", "真"],
    ),
    ColumnType.text: ({" a ": " a ", "0012": "0012"}, []),
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_a_type_takes_its_spellings_and_no_others(kind: ColumnType) -> None:
    taken, refused = SPELLINGS[kind]
    value = typed(Column(title="值", type=kind), "raw")
    found = {
        text: duckdb.execute(f"select ({value})::varchar from (select ? as raw)", [text]).fetchone()
        for text in (*taken, *refused)
    }
    assert found == {**{k: (v,) for k, v in taken.items()}, **dict.fromkeys(refused, (None,))}


def packed(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("data.tsv", content)
    return out.getvalue()


@pytest.mark.parametrize("name", ["a.txt", "a.csv.zip", "a.zip", "a.dat"])
def test_a_file_of_a_declared_layout_is_registered_and_pooled(
    small_city: City, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    residents = small_city.catalog.resources["public_security.resident_registration"]
    layout = Layout(kind="csv", delimiter="|", encoding="gb18030", header_row=2)
    said = residents.model_copy(update={"layout": layout})
    monkeypatch.setitem(small_city.catalog.resources, residents.id, said)
    content = ("登记表\n" + HEADER + "1,张三,1,,,\n2,李四\n").replace(",", "|").encode("gb18030")
    result = take(small_city, RESIDENTS, packed(content) if name.endswith("zip") else content, name=name)
    assert (result.rows_delivered, result.rows_pooled, result.rows_quarantined) == (2, 1, 1)
    assert rows(small_city, "select name, _row from public_security.resident_registration") == [("张三", 1)]
    query = "select row_number, line, reason_code, content from public_security._quarantine"
    assert rows(small_city, query) == [(2, 4, "field_count", '["2", "李四"]')]
