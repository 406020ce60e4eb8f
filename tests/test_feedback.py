"""Replies of departments: what is taken, what is refused and why, and what an objection does and does not do."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path

import duckdb
import pytest
import xlsxwriter
from correction_loop import DAYS, RIGHT, WRONG, Loop
from python_calamine import CalamineWorkbook

from assets.corrections import advance
from assets.feedback import UnknownItemError, decide, import_file, take, waiting_days
from assets.feedback_rows import _changed_sql
from assets.notice_files import REPLIES
from assets.notices import issue
from quality_checks.corrections import SETTLED
from resources.ledger import verify_chain

DEPARTMENT = "public_security"
SOFFICE = shutil.which("soffice")


@pytest.fixture(scope="module")
def notified(small_city_at, tmp_path_factory):
    home = tmp_path_factory.mktemp("notified") / "home"
    with small_city_at(home) as city:
        Loop(city).day(DAYS[0], dict.fromkeys("abcd", WRONG), list("abcd"))
        issue(city, DAYS[0], author="test")
    return home


@pytest.fixture
def loop(small_city_at, notified, tmp_path):
    """Four items, notified."""
    with small_city_at(tmp_path / "home", notified) as city:
        yield Loop(city, deliveries=1)


def ids(loop: Loop) -> dict[str, str]:
    return dict(loop.city.con.execute("SELECT record_key, item_id FROM shuyuan.ledger.items").fetchall())


def write(path, rows, header="item_id,reply,reason,evidence,by_date", encoding="utf-8"):
    path.write_bytes("\r\n".join([header, *(",".join(row) for row in rows), ""]).encode(encoding))
    return path


def send(loop, tmp_path, rows, department=DEPARTMENT, day=DAYS[0], **how):
    return import_file(loop.city, write(tmp_path / "reply.csv", rows, **how), department, day, author="test")


def object_to(loop, tmp_path, key):
    assert send(loop, tmp_path, [(ids(loop)[key], "objection", "the register is right")]).accepted == 1


def test_each_reply_moves_its_item_and_is_kept_with_what_was_said(loop, tmp_path):
    item = ids(loop)
    receipt = send(
        loop,
        tmp_path,
        [
            (item["a"], "acknowledged", "", "", "2026-11-10"),
            (item["b"], "corrected", "", "", "2026/11/9"),
            (item["c"], "Objection", "登记无误", "户籍底册", ""),
            (item["d"], "needs_information", "which book?", "", ""),
        ],
    )
    assert (receipt.accepted, receipt.refusals, receipt.repeated) == (4, (), False)
    assert loop.states() == {
        "a": "acknowledged",
        "b": "acknowledged",
        "c": "objection_raised",
        "d": "insufficient_information",
    }
    kept = loop.city.con.execute(
        "SELECT reason, evidence, actor, event FROM shuyuan.ledger.item_states WHERE record_key = 'c'"
    ).fetchall()
    assert kept == [("登记无误", "户籍底册", DEPARTMENT, "objection_raised")]
    dates = loop.city.con.execute(
        "SELECT by_date::VARCHAR FROM shuyuan.ledger.item_states WHERE record_key IN ('a', 'b') ORDER BY record_key"
    ).fetchall()
    assert dates == [("2026-11-10",), ("2026-11-09",)]
    assert verify_chain(loop.city.con) == []


def test_what_cannot_be_taken_is_refused_with_its_row_and_what_is_allowed(loop, tmp_path):
    item = ids(loop)
    receipt = send(
        loop,
        tmp_path,
        [
            ("nothing", "acknowledged", "", "", ""),
            (item["a"], "yes", "", "", ""),
            (item["b"], "objection", " ", "", ""),
            (item["c"], "acknowledged", "", "", "tomorrow"),
            (item["d"], "", "", "", ""),
            (item["a"], "acknowledged", "", "", ""),
            (item["a"], "wrong_source", "", "", ""),
        ],
    )
    assert receipt.accepted == 1
    assert [(refusal.row, refusal.message) for refusal in receipt.refusals] == [
        ("2", "no such item of this department"),
        ("3", f"reply yes: must be one of: {', '.join(REPLIES)}"),
        ("4", "an objection needs an explanation"),
        ("5", "by_date tomorrow: must be a date, YYYY-MM-DD"),
        ("8", "the item is answered further up"),
    ]
    assert loop.states() == {"a": "acknowledged", "b": "notified", "c": "notified", "d": "notified"}
    assert (receipt.unanswered, receipt.late) == (1, 0)
    with receipt.path.open(encoding="utf-8-sig", newline="") as text:
        _, first, *told = csv.reader(text)
    assert first == [
        "reply.csv", "", "", "summary", "接收 1,其中逾期 0,未接收 5,未填 1",
        "1 taken, 0 of them late, 5 refused, 1 not filled in",
    ]  # fmt: skip
    assert [row[1] for row in told] == ["2", "3", "4", "5", "7", "8"]
    assert told[0] == ["reply.csv", "2", "nothing", "unknown_item", "本部门无此条目", "no such item of this department"]
    assert told[4][3:] == ["taken", "已接收", "taken"]


def test_a_department_cannot_answer_for_another(loop, tmp_path):
    before = loop.ledger()
    receipt = send(loop, tmp_path, [(ids(loop)["a"], "wrong_source", "x", "", "")], department="civil_affairs")
    assert receipt.accepted == 0
    assert [refusal.message for refusal in receipt.refusals] == ["no such item of this department"]
    assert loop.ledger() == before
    assert receipt.path.parent == loop.city.home.outbox / "civil_affairs" / "2026-11-02"


def test_an_unknown_department_is_an_error(loop, tmp_path):
    with pytest.raises(KeyError, match="must be one of: civil_affairs"):
        send(loop, tmp_path, [("x", "acknowledged")], department="nobody")


def test_the_filled_notice_comes_back_as_a_spreadsheet(loop, tmp_path):
    folder = loop.city.home.outbox / DEPARTMENT / "2026-11-02"
    notice = CalamineWorkbook.from_path(folder / "notice.xlsx")
    filled = tmp_path / "filled.xlsx"
    with xlsxwriter.Workbook(str(filled)) as book:
        for name in notice.sheet_names:
            rows = notice.get_sheet_by_name(name).to_python()
            if name not in (notice.sheet_names[0], notice.sheet_names[-1]):
                rows[1][9:] = ["acknowledged", "", "", "", ""]
                rows[3][9:] = ["objection", "数据无误", "底册", "", ""]
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    receipt = import_file(loop.city, filled, DEPARTMENT, DAYS[1], author="test")
    assert (receipt.accepted, receipt.refusals) == (2, ())
    assert loop.states() == {"a": "acknowledged", "b": "notified", "c": "objection_raised", "d": "notified"}
    reasons = loop.city.con.execute(
        "SELECT reason FROM shuyuan.ledger.item_states WHERE record_key IN ('a', 'c') ORDER BY record_key"
    ).fetchall()
    assert reasons == [(None,), ("数据无误",)]


def test_the_csv_notice_comes_back_from_a_chinese_windows_with_its_columns_moved(loop, tmp_path):
    item = ids(loop)
    header = "reply 回复,explanation 理由,reason 原因,item_id 工单项编号"
    rows = [("objection", "本局数据无误", "differs", item["a"]), ("", "", "differs", item["b"])]
    receipt = send(loop, tmp_path, rows, header=header, encoding="gb18030")
    assert (receipt.accepted, receipt.refusals) == (1, ())
    assert loop.states()["a"] == "objection_raised"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.csv", b"\xff\xff\x00\x81\x00", "neither UTF-8 nor GB18030"),
        ("r.csv", b"some,table\r\n1,2\r\n", "no table with the columns item_id and reply"),
        ("r.csv", b"", "no table with the columns item_id and reply"),
        ("r.csv", b'item_id,reply\r\n"x', "not a CSV file"),
        ("r.xlsx", b"PK not really", "not an XLSX workbook"),
        ("r.xls", b"\xd0\xcf\x11\xe0", "the name must end in .csv or .xlsx or .json"),
    ],
)
def test_a_file_that_cannot_be_read_gives_a_receipt_that_says_why(loop, tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    receipt = import_file(loop.city, path, DEPARTMENT, DAYS[0], author="test")
    assert receipt.accepted == 0
    assert [message in refusal.message for refusal in receipt.refusals] == [True]
    assert receipt.refusals[0].zh.startswith("文件无法读取:")
    assert receipt.path.exists()


def test_files_in_the_landing_folder_are_taken_once_and_archived(loop):
    folder = loop.city.home.landing / DEPARTMENT / "feedback"
    folder.mkdir(parents=True)
    (folder / "not_yet.csv.part").write_text("item_id,reply\n")
    row = (ids(loop)["a"], "acknowledged", "", "", "")
    write(folder / "one.csv", [row])
    (receipt,) = take(loop.city, DAYS[1], author="test")
    assert receipt.accepted == 1
    assert [path.name for path in folder.iterdir()] == ["not_yet.csv.part"]
    archived = loop.city.home.archive / DEPARTMENT / "feedback" / f"{receipt.sha256[:12]}-one.csv"
    assert archived.exists()
    once = loop.ledger()
    write(folder / "again.csv", [row])
    (again,) = take(loop.city, DAYS[2], author="test")
    assert (again.accepted, again.repeated) == (0, True)
    assert "again.csv,,,taken_before," in again.path.read_text("utf-8-sig")
    assert loop.ledger() == once
    assert take(loop.city, DAYS[2], author="test") == []


def test_every_file_put_down_has_a_receipt_whatever_its_name_and_one_being_written_is_waited_for(loop, monkeypatch):
    folder = loop.city.home.landing / DEPARTMENT / "feedback"
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"\xff.csv")).write_text("item_id,reply\nx,acknowledged\n")
    (folder / "旧表.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    (folder / "~$回复.xlsx").write_bytes(b"lock of a spreadsheet program")
    half = folder / "half.csv"
    half.write_text(f"item_id,reply\n{ids(loop)['a']},ackno")
    assert waiting_days(loop.city, DAYS[0]) == {DAYS[0]}

    def the_rest_comes(_: float) -> None:
        with half.open("a") as text:
            text.write("wledged\n")

    monkeypatch.setattr("assets.landing.time.sleep", the_rest_comes)
    told = {receipt.file: receipt for receipt in take(loop.city, DAYS[1], author="test")}
    assert {name: (one.accepted, len(one.refusals)) for name, one in told.items()} == {
        "\\xff.csv": (0, 1), "half.csv": (1, 0), "旧表.xls": (0, 1),
    }  # fmt: skip
    assert all(receipt.path.is_file() for receipt in told.values())
    assert [path.name for path in folder.iterdir()] == ["~$回复.xlsx"]


def test_what_a_tired_hand_types_is_understood(loop, tmp_path):
    item = ids(loop)
    rows = [
        (f" {item['a'][:8]} {item['a'][8:]}", "ｗｉｌｌ＿ｃｏｒｒｅｃｔ", "", "２０２６年１１月９日", ""),
        (item["b"].upper(), "Will_Correct ", "", "2026-11-09 00:00:00", ""),
        (item["c"], "wrong_source", "", "", "市民政局"),
    ]
    receipt = send(loop, tmp_path, rows, header="item_id,reply,explanation,by_date,right_department")
    assert (receipt.accepted, receipt.refusals) == (3, ())
    assert loop.states() == {"a": "acknowledged", "b": "acknowledged", "c": "wrong_source", "d": "notified"}
    said = loop.city.con.execute(
        "SELECT by_date::VARCHAR, evidence FROM shuyuan.ledger.item_states WHERE record_key < 'd' ORDER BY record_key"
    ).fetchall()
    assert said == [("2026-11-09", None), ("2026-11-09", None), (None, "应归部门 right department: civil_affairs")]


def test_a_file_named_after_a_later_day_waits_for_it(loop):
    folder = loop.city.home.landing / DEPARTMENT / "feedback"
    folder.mkdir(parents=True)
    write(folder / "20261104.csv", [(ids(loop)["a"], "acknowledged", "", "", "")])
    write(folder / "2026-11-03 replies.csv", [(ids(loop)["b"], "acknowledged", "", "", "")])
    write(folder / "123456789012.csv", [(ids(loop)["c"], "acknowledged", "", "", "")])
    assert [receipt.file for receipt in take(loop.city, DAYS[0], author="test")] == ["123456789012.csv"]
    assert [receipt.file for receipt in take(loop.city, DAYS[1], author="test")] == ["2026-11-03 replies.csv"]
    assert [receipt.file for receipt in take(loop.city, DAYS[2], author="test")] == ["20261104.csv"]
    assert loop.states() == {"a": "acknowledged", "b": "acknowledged", "c": "acknowledged", "d": "notified"}


def test_saying_corrected_and_doing_nothing_changes_nothing(loop, tmp_path):
    assert send(loop, tmp_path, [(i, "corrected", "", "", "") for i in ids(loop).values()]).accepted == 4
    loop.day(DAYS[1], dict.fromkeys("abcd", WRONG), list("abcd"))
    assert set(loop.states().values()) == {"still_wrong"}
    assert not set(loop.states().values()) & SETTLED


def test_an_objection_stands_until_it_is_ruled_on(loop, tmp_path):
    object_to(loop, tmp_path, "a")
    loop.day(DAYS[1], dict.fromkeys("abcd", WRONG), list("abcd"))
    assert loop.states()["a"] == "objection_raised"
    decide(loop.city, ids(loop)["a"], "reject", "the ID card says otherwise", actor="officer", as_of=DAYS[1])
    assert loop.states()["a"] == "rejected"
    loop.day(DAYS[2], dict.fromkeys("abcd", WRONG), list("abcd"))
    assert loop.states()["a"] == "still_wrong"


def test_an_upheld_objection_excepts_the_record_for_as_long_as_the_value_stays(loop, tmp_path):
    object_to(loop, tmp_path, "a")
    decide(loop.city, ids(loop)["a"], "uphold", "seen the birth register", actor="officer", as_of=DAYS[1])
    for day in DAYS[1:3]:
        loop.day(day, dict.fromkeys("abcd", WRONG), list("abcd"), name=f"name {day}")
        assert loop.states()["a"] == "upheld"
    another = {**dict.fromkeys("bcd", WRONG), "a": RIGHT.replace(year=1991)}
    summary = loop.day(DAYS[3], another, list("abcd"))
    assert loop.states()["a"] == "reopened"
    assert (summary.items_reopened, summary.orders_opened) == (1, 1)
    assert loop.city.con.execute(
        "SELECT relapses, notified_on FROM shuyuan.ledger.item_states WHERE record_key = 'a'"
    ).fetchall() == [(0, None)]


def test_an_objection_does_not_keep_a_changed_value_from_being_judged(loop, tmp_path):
    object_to(loop, tmp_path, "a")
    object_to(loop, tmp_path, "b")
    loop.day(DAYS[1], {"a": RIGHT, "b": RIGHT.replace(year=1991), "c": WRONG, "d": WRONG}, list("bcd"))
    states = loop.states()
    assert (states["a"], states["b"]) == ("verified_as_suggested", "still_wrong")


def test_only_a_pending_objection_can_be_ruled_on_and_only_with_a_reason(loop, tmp_path):
    item = ids(loop)["a"]
    with pytest.raises(UnknownItemError, match="no objection is pending"):
        decide(loop.city, item, "uphold", "because", actor="officer", as_of=DAYS[0])
    with pytest.raises(UnknownItemError, match="no objection is pending"):
        decide(loop.city, "nothing", "uphold", "because", actor="officer", as_of=DAYS[0])
    object_to(loop, tmp_path, "a")
    with pytest.raises(ValueError, match="reason"):
        decide(loop.city, item, "uphold", " ", actor="officer", as_of=DAYS[0])
    assert loop.states()["a"] == "objection_raised"


def test_a_closed_item_takes_no_reply(loop, tmp_path):
    loop.day(DAYS[1], {**dict.fromkeys("bcd", WRONG), "a": RIGHT}, list("bcd"))
    receipt = send(loop, tmp_path, [(ids(loop)["a"], "acknowledged", "", "", "")], day=DAYS[1])
    assert [refusal.message for refusal in receipt.refusals] == ["the item is closed: verified_as_suggested"]
    advance(loop.city, DAYS[1], author="test")
    assert loop.states()["a"] == "verified_as_suggested"


def test_every_way_to_fill_a_row_in_wrongly_has_its_own_outcome(loop, tmp_path):
    item = ids(loop)
    header = "item_id,record_key,column,observed,suggested,reply,explanation,evidence,by_date,right_department"
    told = {key: (item[key], key, "birth_date", str(WRONG), str(RIGHT)) for key in "abcd"}
    rows = [
        (item["a"], "b", *told["a"][2:], "acknowledged", "", "", "", ""),
        (*told["a"][:3], "1990-01-03", told["a"][4], "acknowledged", "", "", "", ""),
        (*told["a"][:4], "1990-05-05", "corrected", "", "", "", ""),
        (*told["a"], "", "", "", "2026-11-09", ""),
        (*told["a"], "will_correct", "", "", "", ""),
        (*told["a"], "will_correct", "", "", "2026-11-01", ""),
        (*told["a"], "needs_information", "", "", "", ""),
        (*told["a"], "wrong_source", "", "", "", "sports"),
        (*told["a"], "wrong_source", "", "", "", DEPARTMENT),
        (*told["b"][:3], "1990/1/2", "1990/1/1", "will_correct", "", "", "2026/11/9", ""),
        (*told["c"], "wrong_source", "", "推送", "", "civil_affairs"),
    ]
    receipt = send(loop, tmp_path, rows, header=header, encoding="gb18030")
    assert [refusal.outcome for refusal in receipt.refusals] == [
        "told_changed", "told_changed", "told_changed", "no_reply_code", "needs_date", "past_date", "needs_explanation",
        "unknown_department", "unknown_department",
    ]  # fmt: skip
    assert "record_key列被改动" in receipt.refusals[0].zh
    assert "column suggested was changed" in receipt.refusals[2].message
    assert (receipt.accepted, receipt.late) == (2, 0)
    assert loop.states() == {"a": "notified", "b": "acknowledged", "c": "wrong_source", "d": "notified"}
    # The same again in another file changes nothing; after the deadline an answer is taken, and is late.
    again = [rows[10], (*told["d"], "acknowledged", "", "", "", "")]
    late = send(loop, tmp_path, again, header=header, day=date(2026, 11, 18))
    assert [refusal.outcome for refusal in late.refusals] == ["said_before"]
    assert (late.accepted, late.late) == (1, 1)
    assert "taken, 2 working days late" in late.path.read_text("utf-8")


@pytest.mark.parametrize(
    ("told", "came", "changed"),
    [("郑所\u3000", "郑所", None), ("\u00a0郑 所", "郑所 ", None), ("001", "1", None), ("郑所", "郑锁", "observed")],
)
def test_blanks_and_zeros_that_a_spreadsheet_drops_are_not_held_against_a_row(told, came, changed):
    with duckdb.connect() as con:
        fields = "'i' AS item_id, 'k' AS record_key, 'name' AS \"column\", ? AS observed, '' AS suggested"
        con.execute(f"CREATE TABLE t AS SELECT {fields}", [told])
        con.execute(f"CREATE TABLE r AS SELECT {fields}", [came])
        assert con.execute(f"SELECT {_changed_sql()} FROM r JOIN t USING (item_id)").fetchone() == (changed,)


def test_a_filled_json_notice_is_taken_and_a_broken_one_says_what_it_must_be(loop, tmp_path):
    notice = loop.city.home.outbox / DEPARTMENT / "2026-11-02" / "notice.json"
    told = json.loads(notice.read_text("utf-8"))
    told["orders"][0]["items"][1] |= {"reply": "corrected"}
    (tmp_path / "filled.json").write_text(json.dumps(told), "utf-8")
    receipt = import_file(loop.city, tmp_path / "filled.json", DEPARTMENT, DAYS[1], author="test")
    assert (receipt.accepted, receipt.unanswered, receipt.refusals) == (1, 3, ())
    assert loop.states()["b"] == "acknowledged"
    (tmp_path / "wrong.json").write_text('{"orders": 5}', "utf-8")
    wrong = import_file(loop.city, tmp_path / "wrong.json", DEPARTMENT, DAYS[1], author="test")
    assert [(one.outcome, "must be a notice" in one.message) for one in wrong.refusals] == [("unreadable", True)]


@pytest.mark.libreoffice
@pytest.mark.skipif(SOFFICE is None, reason="needs Debian's libreoffice-calc")
def test_a_notice_filled_in_and_saved_by_libreoffice_is_taken(loop, tmp_path):
    """An office fills it in, LibreOffice opens and saves it: nothing is lost, also not what protects and offers."""
    notice = loop.city.home.outbox / DEPARTMENT / "2026-11-02" / "notice.xlsx"
    (tmp_path / "profile").mkdir()
    command = [SOFFICE, f"-env:UserInstallation=file://{tmp_path}/profile", "--headless", "--norestore"]
    filled = filled_in(notice, tmp_path / "filled.xlsx")
    subprocess.run(
        [*command, "--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", tmp_path / "saved", filled],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    saved = tmp_path / "saved" / "filled.xlsx"
    with zipfile.ZipFile(saved) as parts:
        sheet = parts.read("xl/worksheets/sheet2.xml").decode()
        assert "LibreOffice" in parts.read("docProps/app.xml").decode()
    assert "<sheetProtection" in sheet
    assert "<dataValidation " in sheet
    receipt = import_file(loop.city, saved, DEPARTMENT, DAYS[1], author="test")
    assert (receipt.accepted, receipt.unanswered, receipt.refusals) == (2, 2, ())
    assert loop.states() == {"a": "acknowledged", "b": "notified", "c": "objection_raised", "d": "notified"}
    promised = loop.city.con.execute(
        "SELECT by_date::VARCHAR FROM shuyuan.ledger.item_states WHERE record_key = 'a'"
    ).fetchall()
    assert promised == [("2026-11-09",)]


def filled_in(notice: Path, target: Path) -> Path:
    """The notice with two answers typed in: a promise with a date cell, an objection with its reason."""
    with zipfile.ZipFile(notice) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as written:
        for name in source.namelist():
            content = source.read(name)
            if name == "xl/worksheets/sheet2.xml":
                sheet = content.decode()
                [style] = re.findall(r'<col min="13" max="13" [^>]*style="(\d+)"', sheet)
                sheet = typed(sheet, 2, typed_text("J2", "will_correct") + f'<c r="M2" s="{style}"><v>46335</v></c>')
                sheet = typed(sheet, 4, typed_text("J4", "objection") + typed_text("K4", "数据无误"))
                content = sheet.encode()
            written.writestr(name, content)
    return target


def typed(sheet: str, row: int, cells: str) -> str:
    return re.sub(rf'(<row r="{row}".*?)</row>', lambda found: f"{found[1]}{cells}</row>", sheet, count=1)


def typed_text(place: str, text: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


IMPORTER = """
import json, sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from assets.feedback import import_file
from catalog import load_catalog
from quality_checks import macros
from resources.city import City
with City.open(Path(sys.argv[1]), load_catalog(Path(sys.argv[2])), threads=1, prelude=macros.SQL) as city:
    print("ready", flush=True)
    sys.stdin.readline()
    receipt = import_file(city, Path(sys.argv[4]), "public_security", date(2026, 11, 2), author="test")
    print(json.dumps([receipt.accepted, receipt.repeated, len(receipt.refusals)]))
"""


def test_imports_at_once_of_one_file_and_of_another_lose_and_double_nothing(loop, tmp_path):
    item, root = ids(loop), Path(__file__).parents[1]
    one = write(tmp_path / "one.csv", [(item[key], "acknowledged", "", "", "") for key in "abc"])
    other = write(tmp_path / "other.csv", [(item[key], "will_correct", "", "", "2026-11-09") for key in "bcd"])
    where = [str(loop.city.home.root), str(root / "tests" / "small_catalogue"), str(root)]
    importers = [
        subprocess.Popen([sys.executable, "-c", IMPORTER, *where, str(file)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
        for file in (one, one, other)
    ]  # fmt: skip
    assert [importer.stdout.readline() for importer in importers] == ["ready\n"] * 3
    for importer in importers:
        importer.stdin.write("go\n")
        importer.stdin.flush()
    first, again, else_ = (json.loads(importer.communicate(timeout=60)[0]) for importer in importers)
    assert sorted([first, again]) == [[0, True, 0], [3, False, 0]]
    assert else_ == [3, False, 0]
    for key, said in {"a": ["acknowledged"], "d": ["will_correct"]}.items():
        assert loop.events(key) == ["opened", "notified", *said]
    for key in "bc":  # in the order in which the files came
        assert sorted(loop.events(key)[2:]) == ["acknowledged", "will_correct"]
    batches = "SELECT count(*), count(DISTINCT source) FROM shuyuan.ledger.batches WHERE kind = 'feedback'"
    assert loop.city.con.execute(batches).fetchone() == (2, 2)
    receipts = list((loop.city.home.outbox / DEPARTMENT / "2026-11-02").glob("receipt-*"))
    assert len(receipts) == 2
    assert verify_chain(loop.city.con) == []
