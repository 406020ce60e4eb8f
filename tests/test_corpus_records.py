# ruff: noqa: E501  # tables of cases
"""The accidents of deliveries and records, one case each: verdict, what is said, and that no record is lost.

Files that cannot be read at all are the reader's corpus; here the file is readable and something else goes wrong.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from conftest import THREADS
from files import copied

from assets import delivery_book, landing, pools, quality
from assets.deliveries import register
from assets.pools import load
from catalog.columns import Column, ColumnType
from catalog.load import Catalog
from catalog.models import ChangeColumn, Resource, SchemaVersion
from resources.city import City
from resources.home import Home
from resources.reader import ReaderError

ENTERPRISES = "market_regulation.enterprise_registration"
PLACE = ENTERPRISES.replace(".", "/")
HEADER = "uscc,name,legal_person_id,registered_capital,established_on\n"
DAY = date(2026, 11, 30)


@dataclass
class Sent:
    """One delivery of a case: its file, what its manifest says, what must become of it."""

    content: str | bytes
    state: str = "pooled"
    said: str = ""  # within a reason
    quarantined: int = 0
    removed: int = 0
    reasons: tuple[str, ...] = ()  # codes in quarantine
    name: str = "a.csv"
    manifest: dict[str, Any] = field(default_factory=dict)


@dataclass
class Case:
    """Deliveries in their order of arrival, and what the pool then holds: key -> the value looked at."""

    sent: list[Sent]
    pool: dict[str, Any] | None = None
    look_at: str = "name"
    resource: Callable[[Resource], Resource] = lambda resource: resource


def on(day: int, **more: Any) -> dict[str, Any]:
    return {"as_of": f"2026-11-{day:02d}", **more}


def line(key: str, name: str = "甲", capital: str = "1", day: str = "2020-01-05") -> str:
    return f"{key},{name},,{capital},{day}\n"


def sheet(*records: list[Any]) -> bytes:
    """A workbook of these records under the header."""
    path = Path("/dev/shm") / f"shuyuan-test-{os.getpid()}.xlsx"
    with xlsxwriter.Workbook(path) as book:
        page = book.add_worksheet()
        for number, record in enumerate([HEADER.strip().split(","), *records]):
            page.write_row(number, 0, record)
    content = path.read_bytes()
    path.unlink()
    return content


def column(name: str, **more: Any) -> Callable[[Resource], Resource]:
    """The resource with one column declared otherwise."""
    return lambda r: r.model_copy(update={"columns": {**r.columns, name: r.columns[name].model_copy(update=more)}})


def streaming(resource: Resource) -> Resource:
    return resource.model_copy(
        update={
            "mode": "changes",
            "change_column": ChangeColumn(column="变更", insert=("增",), update=("改",), delete=("删",)),
        }
    )


def versioned(resource: Resource) -> Resource:
    new = {**resource.columns, "staff": Column(title="从业人数", type=ColumnType.integer)}
    version = SchemaVersion(**{"from": date(2026, 11, 10)}, adds=("staff",), drops=("legal_person_id",))
    return resource.model_copy(update={"columns": new, "versions": (version,)})


def optional(resource: Resource) -> Resource:
    version = SchemaVersion(**{"from": date(2026, 11, 1)}, optional=("legal_person_id", "registered_capital"))
    return resource.model_copy(update={"versions": (version,)})


def missing(resource: Resource) -> Resource:
    return resource.model_copy(update={"missing": ("N/A", "-", "无", "NULL")})


CHANGES = "变更," + HEADER
NEW_HEADER = "uscc,name,registered_capital,established_on,staff\n"
GOOD = HEADER + line("1") + line("2")
CASES: dict[str, Case] = {
    "a key three times": Case(
        [Sent(HEADER + line("1", "a") + line("1", "b") + line("2") + line("1", "c"), quarantined=2,
              reasons=("duplicate_key", "duplicate_key"))], {"1": "c", "2": "甲"}),
    "blank keys": Case([Sent(HEADER + line("", "a") + line("", "b"))], {"#1": "a", "#2": "b"}),
    "a full-width blank as key": Case([Sent(HEADER + line("\u3000", "a"))], {"#1": "a"}),
    "the same file twice": Case(
        [Sent(GOOD, said="again.csv: the same content came again"), Sent(GOOD, name="again.csv", state="")]),
    "the same content for another day": Case(
        [Sent(GOOD, manifest=on(2)), Sent(GOOD, manifest=on(3))], {"1": "甲", "2": "甲"}),
    "two full files of one day": Case(
        [Sent(GOOD, manifest=on(2)), Sent(HEADER + line("3"), name="b.csv", manifest=on(2))], {"3": "甲"}),
    "two incremental files of one day": Case(
        [Sent(HEADER + line("1", "a") + line("", "x"), manifest=on(2, mode="incremental")),
         Sent(HEADER + line("1", "b") + line("", "y"), name="b.csv", manifest=on(2, mode="incremental"))],
        {"1": "b", "#2@20261102": "x", "#2@20261102.2": "y"}),
    "an older full after a newer full": Case(
        [Sent(GOOD, manifest=on(5)),
         Sent(HEADER + line("9"), name="late.csv", manifest=on(2), state="superseded", said="nothing of it stands")],
        {"1": "甲", "2": "甲"}),
    "an older full after newer increments": Case(
        [Sent(HEADER + line("1", "new"), manifest=on(5, mode="incremental")),
         Sent(HEADER + line("1", "old") + line("2", "old"), name="late.csv", manifest=on(2), quarantined=1,
              reasons=("superseded",))], {"1": "new", "2": "old"}),
    "an older increment after a newer one": Case(
        [Sent(HEADER + line("1", "new"), manifest=on(5, mode="incremental")),
         Sent(HEADER + line("1", "old") + line("2"), name="late.csv", manifest=on(2, mode="incremental"), quarantined=1,
              reasons=("superseded",))], {"1": "new", "2": "甲"}),
    "an older increment after a newer full": Case(
        [Sent(GOOD, manifest=on(5)),
         Sent(HEADER + line("9"), name="late.csv", manifest=on(2, mode="incremental"), state="superseded",
              said="is older than the full delivery 20261105-")], {"1": "甲", "2": "甲"}),
    "rejected, then delivered well": Case(
        [Sent(HEADER + line("1"), manifest=on(2, rows=2), state="rejected", said="manifest: rows = 2, the file holds 1"),
         Sent(HEADER + line("1", "b"), manifest=on(2, rows=1), name="b.csv")], {"1": "b"}),
    "a manifest of other rows": Case([Sent(GOOD, manifest={"rows": 3}, state="rejected", said="rows = 3, the file holds 2")]),
    "a manifest of another file": Case(
        [Sent(GOOD, manifest={"sha256": "0" * 64}, state="rejected", said="is not the file's")]),
    "a manifest with an unknown key": Case(
        [Sent(GOOD, manifest={"colour": "red"}, state="rejected", said="colour = 'red'")]),
    "a manifest of an unknown mode": Case(
        [Sent(GOOD, manifest={"mode": "delta"}, state="rejected", said="mode = 'delta'")]),
    "changes of a resource without a change column": Case(
        [Sent(GOOD, manifest={"mode": "changes"}, state="rejected", said="declares no change_column")]),
    "a manifest that is no JSON": Case([Sent(GOOD, manifest={"": "broken"}, state="rejected", said="manifest: the file")]),
    "no records": Case([Sent(HEADER, state="rejected", said="zero rows is never a delivery")]),
    "day numbers of a spreadsheet": Case(
        [Sent(sheet(["1", "甲", "", 5, 43835], ["2", "乙", "", 5, "2020-01-06"]), name="a.xlsx")],
        {"1": date(2020, 1, 5), "2": date(2020, 1, 6)}, "established_on"),
    "day numbers in a CSV are no dates": Case(
        [Sent(HEADER + line("1", day="43835"))], {"1": None}, "established_on"),
    "day numbers in a CSV where they are declared": Case(
        [Sent(HEADER + line("1", day="43835"))], {"1": date(2020, 1, 5)}, "established_on",
        column("established_on", excel_dates=True)),
    "full-width digits": Case(
        [Sent(HEADER + line("1", capital="１２００．５"))], {"1": "1200.5000"}, "registered_capital::varchar"),
    "separators in numbers": Case(
        [Sent(HEADER + line("1", capital='"1,200,000.5"'))], {"1": "1200000.5000"}, "registered_capital::varchar"),
    "万元 in a column of 元": Case(
        [Sent(HEADER + line("1", capital="120万元") + line("2", capital="7"))], {"1": "1200000.0000", "2": "7.0000"},
        "registered_capital::varchar", column("registered_capital", unit="元")),
    "bare numbers delivered in 万元": Case(
        [Sent(HEADER + line("1", capital="1.5"))], {"1": "15000.0000"}, "registered_capital::varchar",
        column("registered_capital", unit="元", delivered_unit="万元")),
    "万元 where no unit is declared": Case(
        [Sent(HEADER + line("1", capital="120万元"))], {"1": None}, "registered_capital"),
    "declared spellings of no value": Case(
        [Sent(HEADER + line("1", capital="N/A") + line("2", capital=" - ") + line("无", name="x"))],
        {"1": None, "2": None, "#3": None}, "if(name = 'x', null, registered_capital)", missing),
    "NULL where it is not declared": Case([Sent(HEADER + line("1", name="NULL"))], {"1": "NULL"}),
    "a title for a header": Case(
        [Sent("统一社会信用代码,企业名称,法定代表人证件号码,注册资本,成立日期\n" + line("1"))], {"1": "甲"}),
    "a declared alias": Case(
        [Sent("uscc,公司名,legal_person_id,registered_capital,established_on\n" + line("1", "乙"))], {"1": "乙"}, "name",
        column("name", aliases=("公司名",))),
    "a header renamed without a word": Case(
        [Sent("uscc,公司名,legal_person_id,registered_capital,established_on\n" + line("1"), state="rejected",
              said="header lacks name")]),
    "columns in another order": Case(
        [Sent("name,established_on,uscc,registered_capital,legal_person_id\n甲,2020-01-05,1,5,\n")], {"1": "甲"}),
    "a header twice": Case(
        [Sent("uscc,name,name,legal_person_id,registered_capital,established_on\n1,a,b,,1,\n", state="rejected",
              said="name more than once")]),
    "an alias beside its column": Case(
        [Sent("uscc,name,公司名,legal_person_id,registered_capital,established_on\n1,a,b,,1,\n", state="rejected",
              said="name more than once")], resource=column("name", aliases=("公司名",))),
    "an extra column": Case(
        [Sent(HEADER.strip() + ",shoe\n" + line("1").strip() + ",44\n", said="columns shoe are not in the catalogue")],
        {"1": "甲"}),
    "optional columns left out": Case(
        [Sent("uscc,name,established_on\n1,甲,2020-01-05\n"), Sent(GOOD, manifest=on(3), name="b.csv")],
        {"1": "1.0000", "2": "1.0000"}, "registered_capital::varchar", optional),
    "a new column from its day on": Case(
        [Sent(HEADER + line("1"), manifest=on(9)), Sent(NEW_HEADER + "1,甲,1,2020-01-05,7\n", manifest=on(10), name="b.csv")],
        {"1": 7}, "staff", versioned),
    "a new column missing after its day": Case(
        [Sent(GOOD, manifest=on(10), state="rejected", said="header lacks staff")], resource=versioned),
    "a new column before its day": Case(
        [Sent(NEW_HEADER + "1,甲,1,2020-01-05,7\n", manifest=on(9), state="rejected", said="header lacks legal_person_id")],
        resource=versioned),
    "a change stream": Case(
        [Sent(GOOD, manifest=on(2, mode="full")),
         Sent(CHANGES + "改,1,new,,,\n删,2,,,,\n增,3,c,,,\n", manifest=on(3), name="b.csv", removed=1)],
        {"1": "new", "3": "c"}, resource=streaming),
    "several changes of one key": Case(
        [Sent(CHANGES + "增,1,a,,,\n改,1,b,,,\n删,1,,,,\n增,1,c,,,\n删,2,,,,\n增,2,d,,,\n删,2,,,,\n", manifest=on(3), removed=3,
              said="1 changes remove a record that the pool does not hold")], {"1": "c"}, resource=streaming),
    "an unknown letter": Case(
        [Sent(CHANGES + "增,1,a,,,\nX,1,b,,,\n,2,b,,,\n", manifest=on(3), quarantined=2,
              reasons=("unknown_change", "unknown_change"))], {"1": "a"}, resource=streaming),
    "a change without a key": Case(
        [Sent(CHANGES + "增,1,a,,,\n删,,,,,\n", manifest=on(3), quarantined=1, reasons=("no_key",))], {"1": "a"},
        resource=streaming),
    "a removal that comes late": Case(
        [Sent(CHANGES + "增,1,a,,,\n", manifest=on(5)),
         Sent(CHANGES + "删,1,,,,\n删,2,,,,\n", manifest=on(3), name="late.csv", quarantined=1, removed=1,
              reasons=("superseded",))], {"1": "a"}, resource=streaming),
    "an insertion older than its removal": Case(
        [Sent(CHANGES + "删,1,,,,\n", manifest=on(5), removed=1, said="1 changes remove"),
         Sent(CHANGES + "增,1,a,,,\n增,2,b,,,\n", manifest=on(3), name="late.csv", quarantined=1, reasons=("superseded",))],
        {"2": "b"}, resource=streaming),
    "no change column": Case(
        [Sent(GOOD, manifest=on(3), state="rejected", said="header lacks 变更")], resource=streaming),
    "records of another width": Case(
        [Sent(HEADER + line("1") + "2,乙\n" + line("3"), quarantined=1, reasons=("field_count",))], {"1": "甲", "3": "甲"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def cases_city(
    small_home: Path, small_catalog: Catalog, prelude: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[City]:
    """A city in which every case has a resource of its own, `case_0` and on."""
    home = tmp_path_factory.mktemp("cases") / "home"
    copied(small_home, home)
    resources = dict(small_catalog.resources)
    for number, case in enumerate(CASES.values()):
        one = case.resource(resources[ENTERPRISES]).model_copy(update={"name": f"case_{number}"})
        resources[one.id] = one
    with City.open(home, replace(small_catalog, resources=resources), prelude=prelude, threads=THREADS) as city:
        city.lake.apply_catalog()
        yield city


def arrive(city: City, sent: Sent, place: str = PLACE) -> None:
    folder = city.home.landing / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / sent.name).write_bytes(sent.content.encode() if isinstance(sent.content, str) else sent.content)
    manifest = json.dumps({"as_of": "2026-11-02", **sent.manifest})
    (folder / f"{sent.name}.manifest.json").write_text("{" if "" in sent.manifest else manifest)
    register(city)


def settled(city: City, resource: str = ENTERPRISES) -> list[dict[str, Any]]:
    mine = delivery_book.list_deliveries(city, resource=resource.split(".")[1])
    return sorted(mine, key=lambda row: row["registered_at"])


@pytest.mark.parametrize("name", CASES)
def test_an_accident_is_settled_said_and_loses_no_record(cases_city: City, name: str) -> None:
    case, city = CASES[name], cases_city
    resource = f"market_regulation.case_{list(CASES).index(name)}"
    for sent in case.sent:
        arrive(city, sent, resource.replace(".", "/"))
        load(city, "market_regulation", DAY, author="test")
    found, expected = settled(city, resource), [sent for sent in case.sent if sent.state]
    assert [row["state"] for row in found] == [sent.state for sent in expected]
    for row, sent in zip(found, expected, strict=True):
        messages = " ".join(reason["message"] for reason in row["reasons"])
        assert sent.said in messages
        assert not messages or sent.name in messages or len(expected) < len(case.sent)
        codes = city.con.execute(
            "select reason_code from market_regulation._quarantine where delivery_id = $1 order by row_number",
            [row["delivery_id"]],
        ).fetchall()
        assert tuple(code for (code,) in codes) == sent.reasons
        if sent.state == "pooled":
            assert (row["rows_quarantined"], row["rows_removed"]) == (sent.quarantined, sent.removed)
            assert row["rows_delivered"] == row["rows_pooled"] + row["rows_quarantined"] + row["rows_removed"]
            profiled = delivery_book.show(city, row["delivery_id"])["profile"]
            assert {one["column_name"] for one in profiled} <= set(city.catalog.resources[resource].columns)
            assert profiled
    if case.pool is not None:
        rows = city.con.execute(f"select _record_key, {case.look_at} from {resource}").fetchall()
        assert dict(rows) == case.pool


def test_two_full_files_of_one_day_say_which_one_stands(small_city: City) -> None:
    for content, name in ((GOOD, "a.csv"), (HEADER + line("3"), "b.csv")):
        arrive(small_city, Sent(content, name=name))
        load(small_city, "market_regulation", DAY, author="test")
    first, second = settled(small_city)
    assert (first["superseded_by"], first["day_number"]) == (second["delivery_id"], 1)
    assert (second["superseded_by"], second["day_number"]) == (None, 2)


@pytest.mark.parametrize(("wrong", "drift"), [(6, [("drift", "多数值不再是规定的类型：成立日期")]), (2, [])])
def test_a_column_that_stops_parsing_and_records_left_out_are_findings_about_the_delivery(
    small_city: City, wrong: int, drift: list[tuple[str, str]]
) -> None:
    arrive(small_city, Sent(GOOD, manifest=on(2)))
    some = [line(str(n), day=f"{n:02}-01-20") for n in range(1, wrong + 1)]
    drifted = HEADER + "".join(some) + line("2", day="2020-01-05")
    arrive(small_city, Sent(drifted, name="b.csv", manifest=on(3)))
    load(small_city, "market_regulation", DAY, author="test")
    quality.check_deliveries(small_city, date(2026, 11, 3), author="test")
    told = small_city.con.execute(
        "select split_part(rule_id, '.delivery.', 2), observed_value from quality.findings "
        "where department = 'market_regulation' order by 1"
    ).fetchall()
    assert told == [*drift, ("quarantine", "1 行未能入池")]


def test_what_was_taken_back_is_refused_until_it_is_replayed(small_city: City) -> None:
    for day, content in ((2, GOOD), (3, HEADER + line("3"))):
        arrive(small_city, Sent(content, name=f"{day}.csv", manifest=on(day)))
        load(small_city, "market_regulation", DAY, author="test")
    last = settled(small_city)[1]["delivery_id"]
    pool = f"select uscc from {ENTERPRISES} order by 1"
    taken_back = delivery_book.reject(small_city, last, "wrong month", actor="officer")
    assert (taken_back["state"], taken_back["reasons"][-1]["message"]) == (
        "rejected", "3.csv: taken back by hand: wrong month",
    )  # fmt: skip
    assert small_city.con.execute(pool).fetchall() == [("1",), ("2",)]
    arrive(small_city, Sent(HEADER + line("3"), name="again.csv", manifest=on(3)))
    arrive(small_city, Sent(HEADER + line("3"), name="moved.csv", manifest=on(4)))
    load(small_city, "market_regulation", DAY, author="test")
    assert [(row["state"], row["reasons"][-1]["code"]) for row in settled(small_city)[1:]] == [
        ("rejected", "delivered_again"), ("rejected", "taken_back_before"),
    ]  # fmt: skip
    assert small_city.con.execute(pool).fetchall() == [("1",), ("2",)]
    for _ in range(2):
        assert delivery_book.replay(small_city, last, actor="officer")["state"] == "pooled"
        assert small_city.con.execute(pool).fetchall() == [("3",)]
    actions = delivery_book.show(small_city, last)["actions"]
    assert [(one["action"], one["reason"], one["actor"]) for one in actions] == [
        ("reject", "wrong month", "officer"), ("replay", "", "officer"), ("replay", "", "officer"),
    ]  # fmt: skip


def test_a_kill_after_taking_back_is_finished_by_the_next_load(small_city: City, monkeypatch: Any) -> None:
    arrive(small_city, Sent(GOOD))
    load(small_city, "market_regulation", DAY, author="test")
    [only] = settled(small_city)
    with monkeypatch.context() as killed:
        killed.setattr(pools, "rebuild_wanted", lambda *_, **__: None)  # killed before the pool was rebuilt
        delivery_book.reject(small_city, only["delivery_id"], "wrong", actor="officer")
    assert pools.row_count(small_city, small_city.catalog.resources[ENTERPRISES]) == 2
    load(small_city, "market_regulation", DAY, author="test")
    assert pools.row_count(small_city, small_city.catalog.resources[ENTERPRISES]) == 0


def test_records_are_shown_masked_and_profiles_hold_no_personal_value(small_city: City) -> None:
    number = "34150019900307123X"
    arrive(small_city, Sent(HEADER + f"1,甲,{number},5,2020-01-05\n" + f"2,乙,{number},x\n"))
    load(small_city, "market_regulation", DAY, author="test")
    [one] = settled(small_city)
    shown = delivery_book.rows(small_city, one["delivery_id"])
    assert [(row["name"], row["legal_person_id"]) for row in shown] == [("甲", "341*************3X")]
    assert delivery_book.rows(small_city, one["delivery_id"], unmasked=True)[0]["legal_person_id"] == number
    [left] = delivery_book.rows(small_city, one["delivery_id"], quarantined=True)
    assert (left["content"], left["reason_code"]) == ("***", "field_count")
    told = delivery_book.show(small_city, one["delivery_id"])
    assert number not in str(told)
    by_name = {column["column_name"]: column for column in told["profile"]}
    assert (by_name["legal_person_id"]["shortest"], by_name["legal_person_id"]["longest"]) == (18, 18)
    assert (by_name["established_on"]["lowest"], by_name["registered_capital"]["highest"]) == ("2020-01-05", "5.0000")


def test_a_link_in_landing_is_refused_and_not_followed(small_city: City, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(GOOD)
    folder = small_city.home.landing / PLACE
    folder.mkdir(parents=True)
    (folder / "a.csv").symlink_to(secret)
    register(small_city)
    [row] = settled(small_city)
    assert (row["state"], row["reasons"][0]["code"], row["archive_path"]) == ("rejected", "not_a_file", None)
    assert secret.read_text() == GOOD


def test_a_file_replaced_after_it_was_registered_is_refused(small_city: City) -> None:
    arrive(small_city, Sent(GOOD))
    archived = small_city.home.archive / settled(small_city)[0]["archive_path"]
    archived.write_text(HEADER + line("7"))
    load(small_city, "market_regulation", DAY, author="test")
    [row] = settled(small_city)
    assert (row["state"], row["reasons"][0]["code"]) == ("rejected", "changed")


@contextmanager
def without_root_rights() -> Iterator[None]:
    """Without the capabilities by which root passes over file modes, in one thread; others never had them."""
    overrides = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    libc = ctypes.CDLL(None, use_errno=True)
    header, rights = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # version 3, this thread
    assert libc.capget(header, rights) == 0
    before = rights[0]
    rights[0] = before & ~overrides  # effective ones, the first 32
    assert libc.capset(header, rights) == 0
    try:
        yield
    finally:
        rights[0] = before
        assert libc.capset(header, rights) == 0


def test_what_nobody_may_read_is_named_waits_for_its_rights_and_stops_nobody(
    small_city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_city.home.landing / PLACE
    locked = small_city.home.landing / "civil_affairs" / "marriage"
    folder.mkdir(parents=True)
    locked.mkdir(parents=True)
    (folder / "a.csv").write_text(GOOD)
    (folder / "b.csv").write_text(GOOD)
    (folder / "a.csv").chmod(0)
    locked.chmod(0)
    asked = landing._open_to_us

    def as_anybody(path: Path, how: int) -> bool:
        with without_root_rights():  # for this question alone: the server's socket is another user's
            return asked(path, how)

    monkeypatch.setattr(landing, "_open_to_us", as_anybody)
    found = register(small_city)
    assert (found.registered, found.unreadable) == (1, ("civil_affairs/marriage", f"{PLACE}/a.csv"))
    (folder / "a.csv").chmod(0o600)
    locked.chmod(0o700)
    assert register(small_city, patience=0).duplicates == 1


@pytest.fixture
def full_disk(small_city: City) -> Iterator[Path]:
    """The home's scratch folder on a disk of 200 kB; needs the right to mount."""
    place = Home.at(small_city.home.root).tmp
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "none", place], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_decides_nothing_about_the_file_and_the_next_run_takes_it(
    small_city: City, full_disk: Path
) -> None:
    content = HEADER + "".join(line(str(n), f"企业{n * 7919 % 1000003}") for n in range(60_000))
    arrive(small_city, Sent(content))
    with pytest.raises(ReaderError, match=r"a\.csv"):
        load(small_city, "market_regulation", DAY, author="test")
    assert [row["state"] for row in settled(small_city)] == ["registered"]
    subprocess.run(["umount", "-l", full_disk], check=True)
    [result] = load(small_city, "market_regulation", DAY, author="test")
    subprocess.run(["mount", "-t", "tmpfs", "none", full_disk], check=True)  # for the fixture to unmount
    assert (result.state, result.rows_pooled) == ("pooled", 60_000)
