"""Supervision: figures are counted as the rows say, frozen, versioned when more is known, and told to whom they concern."""

from __future__ import annotations

import json
from datetime import date

import pytest
from correction_loop import RIGHT, WRONG, Loop

from assets import supervision
from assets.feedback import decide, import_file
from assets.notices import issue
from assets.order_book import Act, extend, transfer

OTHER = date(1990, 1, 3)  # a right value that is not the suggested one
DEPARTMENT = "public_security"


def nov(day: int) -> date:
    return date(2026, 11, day)


def reply(loop: Loop, tmp_path, day: date, answers: dict[str, dict[str, str]]) -> None:
    """What a department answers, by record key."""
    items = dict(
        loop.city.con.execute(
            "SELECT record_key, item_id FROM shuyuan.ledger.item_states WHERE department = ?", [DEPARTMENT]
        ).fetchall()
    )
    path = tmp_path / f"reply-{day}.json"
    path.write_text(json.dumps([{"item_id": items[key], **said} for key, said in answers.items()]), "utf-8")
    assert import_file(loop.city, path, DEPARTMENT, day, author="test").accepted == len(answers)


@pytest.fixture
def loop(small_city, tmp_path):
    """One November: ten wrong values sent on the 2nd, due on the 16th; all that can happen to them, and one new on the 25th."""
    loop = Loop(small_city)
    records = dict.fromkeys("abcdefghij", WRONG)

    def day(number: int, **changed: date) -> None:
        records.update(changed)
        loop.day(nov(number), records, [key for key, value in records.items() if value == WRONG])
        issue(small_city, nov(number), author="test")

    day(2)
    objection = {"reply": "objection", "explanation": "the register is right"}
    reply(loop, tmp_path, nov(4), {
        "a": {"reply": "acknowledged"}, "b": objection, "c": {"reply": "will_correct", "by_date": "2026-11-12"},
        "f": objection, "h": {"reply": "wrong_source", "right_department": "civil_affairs"},
    })  # fmt: skip
    day(5, a=RIGHT, d=OTHER, e=RIGHT)
    day(9, e=WRONG)  # corrected for a few days
    items = dict(loop.city.con.execute("SELECT record_key, item_id FROM shuyuan.ledger.items").fetchall())
    decide(small_city, items["b"], "uphold", "right", actor="officer", as_of=nov(10))
    decide(small_city, items["f"], "reject", "wrong", actor="officer", as_of=nov(12))
    transfer(small_city, Act("20261102-0001", "officer", "theirs", nov(13)))
    issue(small_city, nov(13), author="test")
    issue(small_city, nov(17), author="test")
    reply(loop, tmp_path, nov(20), {"g": {"reply": "acknowledged"}})
    day(25, k=WRONG)
    extend(small_city, Act("20261125-0001", "officer", "more time", nov(26)), 3)
    issue(small_city, nov(30), author="test")
    day_after = date(2026, 12, 1)
    loop.day(day_after, records, [key for key, value in records.items() if value == WRONG])
    issue(small_city, day_after, author="test")
    return loop


def test_try(loop, tmp_path):
    from assets import supervision_files
    city = loop.city
    made = supervision.freeze(city, date(2026, 12, 1), author="test")
    paths = supervision_files.write_missing(city)
    reply(loop, tmp_path, nov(30), {"i": {"reply": "acknowledged"}})
    supervision.freeze(city, date(2027, 1, 4), author="test")
    import time; t=time.time()
    paths = supervision_files.write_missing(city)
    print(time.time()-t)
    import shutil
    shutil.rmtree("/tmp/sup_out", ignore_errors=True)
    shutil.copytree(city.home.reports/"supervision", "/tmp/sup_out")
    shutil.copytree(city.home.outbox/"public_security"/"supervision", "/tmp/sup_out/ps")
    print(paths)
    assert 0
