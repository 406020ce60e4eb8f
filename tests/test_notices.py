"""Notices as a department opens them: complete, harmless, the same every time."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from datetime import date

import pytest
from correction_loop import DAYS, RIGHT, WRONG, Loop
from python_calamine import CalamineWorkbook

from assets.corrections import advance
from assets.notice_files import COLUMNS, REPLIES, Order, parts
from assets.notices import README, ROWS_PER_FILE, issue

NASTY = '=HYPERLINK("http://x","y")'


@pytest.fixture
def loop(small_city):
    return Loop(small_city)


def order(number: int, items: int, resource: str = "r") -> Order:
    return Order(str(number), f"20261102-{number:04d}", resource, "R", "", "error", "d", items, DAYS[0], False)


def table(path, sheet: int) -> list[list[str]]:
    book = CalamineWorkbook.from_path(path)
    return book.get_sheet_by_index(sheet).to_python()


def test_a_notice_holds_what_the_steward_needs_and_empty_columns_for_the_reply(loop):
    loop.day(DAYS[0], {"a": WRONG, "b": WRONG, "c": RIGHT}, ["a", "b"])
    written = issue(loop.city, DAYS[0], author="test")
    folder = loop.city.home.outbox / "public_security" / "2026-11-02"
    assert written == [folder / "notice.xlsx", folder / "notice.csv", folder / "notice.json"]
    assert (folder / "README.txt").read_bytes() == README.read_bytes()
    (_, (sheet, number, resource, rule, requirement, severity, _, items, due, provisional, basis, cause)) = table(
        written[0], 0
    )
    assert "国令第809号" in basis
    assert cause == ""
    assert (number, rule, severity, items, due, provisional) == (
        "20261102-0001", "PSB-001", "error", "2", "2026-11-16", "",
    )  # fmt: skip
    assert "户籍人口信息" in resource
    assert "出生日期应与公民身份号码中的一致" in requirement
    assert CalamineWorkbook.from_path(written[0]).sheet_names == ["Orders 工单", sheet, "Codes 代码"]
    header, *rows = table(written[0], 1)
    assert header == [title for title, _ in COLUMNS]
    found_by = "由本记录其他信息项推得 derived from another field"
    assert [row[1:9] for row in rows] == [
        [key, "birth_date", str(WRONG), str(RIGHT), found_by, "differs", "0", "2026-11-16"] for key in "ab"
    ]
    assert {cell for row in rows for cell in row[9:]} == {""}
    with written[1].open(encoding="utf-8-sig", newline="") as text:
        _, *lines = csv.reader(text)
    assert [line[1:] for line in lines] == rows
    told = json.loads(written[2].read_text("utf-8"))
    assert (told["department"], told["as_of"], list(told["replies"])) == (
        "public_security",
        "2026-11-02",
        list(REPLIES),
    )
    [stated] = told["orders"]
    assert (stated["order"], stated["rule"], stated["due_on"]) == (number, rule, due)
    assert [[item["record_key"], item["observed"]] for item in stated["items"]] == [
        ["a", str(WRONG)],
        ["b", str(WRONG)],
    ]


def test_reply_codes_and_departments_are_offered_and_all_but_the_reply_is_protected(loop):
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    xlsx, *_ = issue(loop.city, DAYS[0], author="test")
    with zipfile.ZipFile(xlsx) as parts_of_book:
        sheets = [parts_of_book.read(f"xl/worksheets/sheet{n}.xml").decode() for n in (1, 2, 3)]
        styles = parts_of_book.read("xl/styles.xml").decode()
    assert all("<sheetProtection" in sheet and "ySplit" in sheet for sheet in sheets)
    assert "$A$2:$A$7" in sheets[1]
    assert "$C$2:$C$4" in sheets[1]
    codes = table(xlsx, 2)
    assert [row[0] for row in codes[1:]] == list(REPLIES)
    assert [row[2] for row in codes[1:4]] == list(loop.city.catalog.departments)
    unlocked = [n for n, xf in enumerate(re.findall(r"<xf .*?(?:/>|</xf>)", styles)) if 'locked="0"' in xf]
    columns = re.findall(r'<col min="(\d+)" max="(\d+)" [^>]*style="(\d+)"', sheets[1])
    offset = styles.count("<xf ", 0, styles.index("<cellXfs"))
    free = [int(first) for first, _, style in columns if int(style) + offset in unlocked]
    assert free == [10, 11, 12, 13, 14]
    assert ' s="' not in re.findall(r"<row r=\"2\".*?</row>", sheets[1])[0]


def test_no_cell_of_a_notice_can_become_a_formula(loop):
    loop.deliver(DAYS[0], {"a": WRONG})
    loop.check(DAYS[0], ["a"])
    loop.city.commit(
        "city",
        lambda con: con.execute(
            "UPDATE quality.findings SET observed_value = ?, suggested_value = '@SUM(A1)', reason = '\tx'", [NASTY]
        ),
        author="test",
    )
    advance(loop.city, DAYS[0], author="test")
    xlsx, text, _ = issue(loop.city, DAYS[0], author="test")
    assert [table(xlsx, 1)[1][n] for n in (3, 4, 6)] == [NASTY, "@SUM(A1)", "\tx"]
    with zipfile.ZipFile(xlsx) as book:
        sheets = [name for name in book.namelist() if name.startswith("xl/worksheets/sheet")]
        assert len(sheets) == 3
        for name in sheets:
            assert b"<f>" not in book.read(name)
            assert b"hyperlink" not in book.read(name)
    with text.open(encoding="utf-8-sig", newline="") as lines:
        told = list(csv.reader(lines))[1]
    assert [told[n] for n in (4, 5, 7)] == [f"'{NASTY}", "'@SUM(A1)", "'\tx"]


def test_issuing_again_writes_the_same_bytes_and_no_second_event(loop):
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    written = issue(loop.city, DAYS[0], author="test")
    assert loop.states() == {"a": "notified"}
    once, bytes_once = loop.ledger(), [path.read_bytes() for path in written]
    assert issue(loop.city, DAYS[0], author="test") == written
    assert loop.ledger() == once
    assert [path.read_bytes() for path in written] == bytes_once
    assert not list(written[0].parent.glob(".*"))


def test_a_day_without_new_orders_sends_nothing(loop):
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    issue(loop.city, DAYS[0], author="test")
    loop.day(DAYS[1], {"a": WRONG}, ["a"])
    assert issue(loop.city, DAYS[1], author="test") == []
    assert loop.states() == {"a": "still_wrong"}


def test_a_relapse_is_sent_again_and_stays_visible_as_one(loop):
    loop.day(DAYS[0], {"a": WRONG}, ["a"])
    issue(loop.city, DAYS[0], author="test")
    loop.day(DAYS[1], {"a": RIGHT}, [])
    loop.day(DAYS[2], {"a": WRONG}, ["a"])
    xlsx, *_ = issue(loop.city, DAYS[2], author="test")
    assert table(xlsx, 1)[1][7] == "1"
    issue(loop.city, DAYS[2], author="test")
    assert loop.events("a") == ["opened", "notified", "verified_as_suggested", "reopened", "notified"]
    assert loop.states() == {"a": "reopened"}


def test_many_orders_have_sheets_of_their_own_with_names_a_spreadsheet_takes(loop):
    names = [
        order(n, 1, resource=f"resource [{n % 3}] 很长的信息资源名称很长的信息资源名称:*?/\\'").sheet
        for n in range(1, 12_000)
    ]
    assert len({name.lower() for name in names}) == len(names)
    assert all(len(name) <= 31 and not set(name) & set("[]:*?/\\") and name[-1] != "'" for name in names)
    keys = [f"k{n}" for n in range(30)]
    loop.deliver(DAYS[0], dict.fromkeys(keys, WRONG))
    for number in range(30):
        loop.check(DAYS[0], keys[: number + 1], rule=f"R-{number}")
    advance(loop.city, DAYS[0], author="test")
    xlsx, *_ = issue(loop.city, DAYS[0], author="test")
    book = CalamineWorkbook.from_path(xlsx)
    assert len(book.sheet_names) == 32
    items = [len(book.get_sheet_by_name(name).to_python()) - 1 for name in book.sheet_names[1:-1]]
    assert sorted(items) == list(range(1, 31))


def test_what_does_not_fit_one_file_is_continued_in_the_next():
    cut = list(parts([order(1, 3), order(2, 6), order(3, 1)], 4, 9))
    assert [[(o.order_id, count) for o, count in part.orders] for part in cut] == [
        [("1", 3), ("2", 1)], [("2", 4)], [("2", 1), ("3", 1)],
    ]  # fmt: skip
    assert [(part.first, part.last) for part in cut] == [(1, 4), (5, 8), (9, 10)]
    assert [len(part.orders) for part in parts([order(n, 1) for n in range(5)], ROWS_PER_FILE, 2)] == [2, 2, 1]
    assert list(parts([], 4, 9)) == []


def test_a_continued_notice_names_every_item_once(loop):
    keys = [f"k{n}" for n in range(10)]
    loop.day(DAYS[0], dict.fromkeys(keys, WRONG), keys)
    written = issue(loop.city, DAYS[0], author="test", rows_per_file=4)
    assert [path.name for path in written] == [
        f"{stem}.{kind}" for stem in ("notice", "notice-2", "notice-3") for kind in ("xlsx", "csv", "json")
    ]
    listed = [row[1] for path in written[::3] for row in table(path, 1)[1:]]
    assert listed == sorted(keys)
    assert date.fromisoformat(table(written[6], 0)[1][8]) == date(2026, 11, 16)
