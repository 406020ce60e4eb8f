"""Pools: what a department stated is there, typed and traceable, or in quarantine; never lost, never taken twice."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from assets import delivery_book, pooling, pools
from assets.deliveries import register
from assets.pooling import PoolResult
from assets.pools import load
from catalog.layout import Layout
from catalog.models import ChangeColumn
from resources.city import City

RESIDENTS = "public_security/resident_registration"
MARRIAGES = "civil_affairs/marriage_registration"
HEADER = "id_number,name,sex,birth_date,marital_status,household_size\n"
MARRIED = "civil_affairs.marriage_registration"
NOVEMBER = date(2026, 11, 30)


def deliver(city: City, place: str, content: str | bytes, *, name: str = "a.csv", **manifest: object) -> None:
    folder = city.home.landing / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / f"{name}.manifest.json").write_text(json.dumps({"as_of": "2026-11-02"} | manifest))
    register(city)


def take(city: City, place: str, content: str | bytes, **more: Any) -> PoolResult:
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
    otherwise = {"birth_date": "2020年1月5日", "household_size": " 3"}
    assert [list(row) for row in rows(small_city, query)] == [
        ["1", " 张三 ", "1", date(2020, 1, 5), "10", 3, "1", result.delivery_id, 1, *stamp, otherwise],
        ["2", "李四", "9", None, None, None, "2", result.delivery_id, 2, *stamp, unread],
        [
            None,
            "王五",
            "1",
            date(2020, 1, 7),
            None,
            None,
            "#3",
            result.delivery_id,
            3,
            *stamp,
            {"birth_date": "2020/01/07"},
        ],
    ]
    assert registered(small_city) == [("pooled", 3, 3, 0, [])]
    assert list(small_city.home.tmp.glob("*/*/rows.parquet")) == []


@pytest.mark.parametrize("searched", [1, pooling.SEARCHED])
def test_of_records_with_one_key_the_last_stands_and_the_others_are_kept(
    small_city: City, monkeypatch: pytest.MonkeyPatch, searched: int
) -> None:
    monkeypatch.setattr(pooling, "SEARCHED", searched)
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
    "xlsx": ("a.xlsx", b"PK\x03\x04 rubbish", {}, "unreadable", "a.xlsx: not readable as a workbook"),
    "rows": ("a.csv", GOOD, {"rows": 7}, "declared_rows", "a.csv: manifest: rows = 7, the file holds 1 records"),
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


Arrived = tuple[date, str, list[tuple[str, str, str]]]  # as-of, mode, records: key, letter, name
LETTERS = {"I": "U", "U": "U", "D": "D"}


def reference(arrived: Sequence[Arrived]) -> dict[str, tuple[str, date, int]]:
    """What the pool must be after deliveries in this order of arrival, said plainly: key -> name, as-of, copies.

    They count in the order of their as-of dates; those of one date in the order they came.
    """
    pool: dict[str, tuple[str, date, int]] = {}
    days: Counter[date] = Counter()
    for as_of, mode, records in sorted(arrived, key=lambda one: one[0]):
        days[as_of] += 1
        more = f".{days[as_of]}" if days[as_of] > 1 else ""
        day = "" if mode == "full" else f"@{as_of:%Y%m%d}{more}"
        if mode == "full":
            pool = {}
        keys = [key or f"#{number}{day}" for number, (key, _, _) in enumerate(records, 1)]
        for key, (stated, letter, name) in zip(keys, records, strict=True):
            if mode != "changes":
                pool[key] = (name, as_of, keys.count(key))
            elif stated and LETTERS.get(letter) == "U":
                pool[key] = (name, as_of, 1)
            elif stated and LETTERS.get(letter) == "D":
                pool.pop(key, None)
    return pool


@pytest.fixture
def changing_city(small_city: City) -> City:
    """The small city, where marriages may also come as a change stream."""
    told = ChangeColumn(column="op")
    marriages = small_city.catalog.resources[MARRIED].model_copy(update={"mode": "changes", "change_column": told})
    catalog = replace(small_city.catalog, resources={**small_city.catalog.resources, MARRIED: marriages})
    return replace(small_city, catalog=catalog)


def wiped(city: City) -> City:
    """The city without any delivery."""
    tables = ("marriage_registration", "_quarantine", "_removed")
    city.commit(
        "civil_affairs", lambda con: [con.execute(f"delete from civil_affairs.{t}") for t in tables], author="t"
    )
    with city.server.session() as cursor:
        cursor.execute("delete from ops.deliveries; delete from ops.profiles")
    return city


def send(city: City, number: int, one: Arrived) -> None:
    as_of, mode, records = one
    content = "op,id_number,name,marital_status,registered_on\n"
    content += "".join(f"{letter},{key},{name},10,2020-01-01\n" for key, letter, name in records)
    deliver(city, MARRIAGES, content, as_of=f"{as_of}", mode=mode, name=f"{number}.csv")


def pool_of(city: City) -> dict[str, tuple[str, date, int]]:
    found = rows(city, "select _record_key, name, _as_of, _copies from civil_affairs.marriage_registration")
    assert len({key for key, *_ in found}) == len(found)
    return {key: (name, as_of, copies) for key, name, as_of, copies in found}


RECORDS = st.lists(
    st.tuples(st.sampled_from(["", *"ABCD"]), st.sampled_from("IUDX"), st.sampled_from("pqrs")), min_size=1, max_size=6
)
DAYS = st.integers(1, 4).map(lambda day: date(2026, 11, day))
SEQUENCES = st.lists(
    st.tuples(DAYS, st.sampled_from(["full", "incremental", "changes", "changes"]), RECORDS, st.booleans()),
    min_size=2,
    max_size=6,
)


def sequence_comes_to_the_reference(city: City, sequence: Any, back: int) -> None:
    """Deliver, load now and then, compare; build anew, compare; take one back, compare."""
    wiped(city)
    arrived: list[Arrived] = []
    for number, (as_of, mode, records, loads) in enumerate(sequence):
        one = (as_of, mode, [*records, (f"own{number}", "I", "x")])
        arrived.append(one)
        send(city, number, one)
        if loads:
            load(city, "civil_affairs", NOVEMBER, author="test")
            assert pool_of(city) == reference(arrived)
    load(city, "civil_affairs", NOVEMBER, author="test")
    assert pool_of(city) == reference(arrived)
    with city.server.session() as cursor:
        cursor.execute(
            "select count(*) filter (where state not in ('pooled', 'superseded')), bool_and(state <> 'pooled' or "
            "rows_delivered = rows_pooled + rows_quarantined + rows_removed) from ops.deliveries"
        )
        assert cursor.fetchone() == (0, True)
        cursor.execute(
            "select delivery_id, rows_pooled, rows_quarantined, rows_removed, reasons, superseded_by, state "
            "from ops.deliveries order by 1"
        )
        before = cursor.fetchall(), everything(city)
        for whole in (False, True):
            pools.rebuild(city, city.catalog.resources[MARRIED], author="test", whole=whole)
            cursor.execute(
                "select delivery_id, rows_pooled, rows_quarantined, rows_removed, reasons, superseded_by, state "
                "from ops.deliveries order by 1"
            )
            assert (cursor.fetchall(), everything(city)) == before
        cursor.execute("select delivery_id from ops.deliveries order by registered_at")
        ids = [row[0] for row in cursor.fetchall()]
    back %= len(ids)
    delivery_book.reject(city, ids[back], "by hand", actor="test")
    without = [one for number, one in enumerate(arrived) if number != back]
    assert {k: v[::2] for k, v in pool_of(city).items() if k[0] != "#"} == {
        k: v[::2] for k, v in reference(without).items() if k[0] != "#"
    }
    assert len(pool_of(city)) == len(reference(without))


def everything(city: City) -> list[list[tuple[Any, ...]]]:
    tables = ("marriage_registration", "_quarantine", "_removed")
    return [rows(city, f"from civil_affairs.{table} order by all") for table in tables]


SETTINGS: dict[str, Any] = {  # shrinking would replay a city for minutes
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.reuse, Phase.generate],
    "print_blob": True,
}


@settings(max_examples=10, **SETTINGS)
@given(sequence=SEQUENCES, back=st.integers(0, 9))
def test_any_sequence_of_deliveries_comes_to_what_the_plain_reference_says(
    changing_city: City, sequence: Any, back: int
) -> None:
    sequence_comes_to_the_reference(changing_city, sequence, back)


@pytest.mark.soak
@settings(max_examples=500, **SETTINGS)
@given(sequence=SEQUENCES, back=st.integers(0, 9))
def test_five_hundred_sequences_of_deliveries_come_to_what_the_plain_reference_says(
    changing_city: City, sequence: Any, back: int
) -> None:
    sequence_comes_to_the_reference(changing_city, sequence, back)


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
