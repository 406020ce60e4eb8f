"""The ledger as a chain: tampering, strangers' recomputation, erasure, anchors, many writers at once."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import psycopg2
import pytest
import rfc8785
from correction_loop import DAYS, RIGHT, WRONG, Loop
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.corrections import advance, tell
from assets.erasure import ErasureRefusedError, erase
from quality_checks.corrections import ItemEvent
from resources import ledger, ledger_states
from resources.ledger import AnchorError, export, heads, read_anchor, verify_chain, write_anchor
from resources.ledger_rows import EVENTS, ITEMS, lines_sql, sealed_sql
from resources.ledger_rows import TABLES as HELD

DOCS = Path(__file__).parents[1] / "docs" / "ledger.md"
TABLES = ("batches", "orders", "order_events", "items", "events")  # what a ledger without requests and disputes fills
ODD = "".join(map(chr, range(1, 0x30))) + '\x7f\u2028"\\/é王𠮷\ufeff'  # all that JSON escapes, and what it must not


@pytest.fixture
def loop(small_city):
    return Loop(small_city)


def answered(loop, event, *keys, reason=None):
    """One event for the items of some records, as a reply would tell it."""
    loop.city.con.execute(
        "CREATE OR REPLACE TEMP TABLE said AS SELECT item_id, $event AS event, $reason AS reason,"
        " NULL::VARCHAR AS evidence, NULL::DATE AS by_date FROM shuyuan.ledger.items WHERE record_key IN $keys",
        {"event": str(event), "reason": reason, "keys": list(keys)},
    )
    told = {"kind": "decision", "as_of": DAYS[1], "actor": "department", "author": "test"}
    return tell(loop.city, "said", **told)


def lived(loop):
    """A ledger with every table filled and text of all kinds."""
    loop.day(DAYS[0], {"a": WRONG, "b": WRONG, "c": WRONG}, ["a", "b", "c"])
    answered(loop, ItemEvent.objection_raised, "c", reason=ODD)
    loop.day(DAYS[1], {"a": RIGHT, "b": WRONG, "c": WRONG}, ["b", "c"])
    loop.day(DAYS[2], {"a": WRONG, "c": WRONG}, ["a", "c"])


def script(folder: Path) -> list[str]:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    path = folder / "check.py"
    path.write_text(code, "utf-8")
    return [sys.executable, str(path)]


def test_a_stranger_recomputes_every_digest_from_the_export(loop, tmp_path):
    lived(loop)
    check, whole, masked = script(tmp_path), tmp_path / "whole.jsonl", tmp_path / "masked.jsonl"
    rows = sum(loop.city.con.execute(f"SELECT count(*) FROM shuyuan.ledger.{t}").fetchone()[0] for t in HELD)
    assert export(loop.city.con, whole, unmasked=True) == export(loop.city.con, masked) == 4
    (head,) = heads(loop.city.server)
    for file in (whole, masked):
        said = subprocess.run([*check, str(file)], capture_output=True, text=True, check=True).stdout
        assert said.startswith(f"{rows} rows, 1 departments: every digest is right")
        assert said.split()[-3:] == [head.department, str(head.batch), head.digest]
        assert file.stat().st_mode & 0o777 == 0o600
    assert str(WRONG) in whole.read_text("utf-8")
    assert str(WRONG) not in masked.read_text("utf-8")
    told = whole.read_text("utf-8")
    for was, now, reason in (
        (f'"observed":"{WRONG}"', '"observed":"1999-01-01"', "personal values were changed"),
        ('"state":"still_wrong"', '"state":"verified_otherwise"', "its rows were changed"),
        ('"author": "test"', '"author": "nobody"', "its own statement was changed"),
    ):
        assert was in told
        whole.write_text(told.replace(was, now, 1), "utf-8")
        said = subprocess.run([*check, str(whole)], capture_output=True, text=True, check=False)
        assert said.returncode == 1
        assert reason in said.stderr


def test_what_is_hashed_is_canonical_json(loop):
    lived(loop)
    lines = " UNION ALL ".join(lines_sql(table, f"shuyuan.ledger.{table}") for table in HELD)
    rows = loop.city.con.execute(f"SELECT line, personal FROM ({lines})").fetchall()
    texts = [text for row in rows for text in row if text]
    assert any("\\u001f" in text for text in texts)
    for text in texts:
        assert rfc8785.dumps(json.loads(text)) == text.encode()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(max_codepoint=0x5F) | st.sampled_from('\\"u0bBfF\u2028𠮷'), max_size=40)))
def test_any_text_is_hashed_in_canonical_form(said):
    with duckdb.connect() as con:
        con.execute("CREATE TABLE items AS SELECT unnest($said) AS record_key, NULL::UUID AS salt,"
                    " ''::BLOB AS personal_digest", {"said": said})  # fmt: skip
        rows = con.execute(f"SELECT record_key, personal FROM ({sealed_sql('items', 'items')})").fetchall()
    assert sorted(key for key, _ in rows) == sorted(said)
    for key, text in rows:
        assert text.encode() == rfc8785.dumps({"record_key": key})


def test_the_pipeline_may_only_append(loop):
    lived(loop)
    with loop.city.server.session() as cursor:
        for table in TABLES:
            for verb in ("DELETE FROM {}", "UPDATE {} SET department = 'x'", "TRUNCATE {}", "DROP TABLE {}"):
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    cursor.execute(verb.format(f"ledger.{table}"))
    assert verify_chain(loop.city.con) == []


def tampered(cursor, choose):
    """Change one thing at random, as the owner could; returns what was done and the batch that must be named."""
    table = choose.choice(TABLES)
    cursor.execute(f"select ctid::text, batch from ledger.{table}")
    where, batch = choose.choice(cursor.fetchall())
    if choose.random() < 0.15:
        cursor.execute(f"delete from ledger.{table} where ctid = %s", (where,))
        return f"delete from {table}", batch
    cursor.execute(
        "select attname, format_type(atttypid, null) from pg_attribute where attnum > 0 and not attisdropped"
        " and attrelid = %s::regclass",
        (f"ledger.{table}",),
    )
    column, kind = choose.choice(cursor.fetchall())
    another = {
        "text": "coalesce({c}, '') || chr(" + str(choose.randint(1, 0x9FFF)) + ")",
        "date": "coalesce({c}, current_date) + " + str(choose.choice((-400, -1, 1, 30))),
        "integer": "{c} + " + str(choose.choice((-1, 1, 2))),
        "bigint": "{c} + " + str(choose.choice((-1, 1, 2))),
        "boolean": "not {c}",
        "uuid": "gen_random_uuid()",
        "bytea": "sha256('" + str(choose.random()) + "')",
        "double precision": "coalesce({c}, 0.5) * 1.0000000000000002",
        "timestamp with time zone": "{c} + interval '1 microsecond'",
    }[kind].format(c=column)
    if choose.random() < 0.1:
        another = "null"
    cursor.execute(
        f"update ledger.{table} set {column} = {another} where ctid = %s and {column} is distinct from {another}",
        (where,),
    )
    if not cursor.rowcount:
        return None
    return f"{table}.{column} = {another}", batch


def find_tamperings(loop, times, seed):
    choose, found = random.Random(seed), 0
    while found < times:
        with loop.undone() as cursor:
            try:
                done = tampered(cursor, choose)
            except psycopg2.Error:  # a constraint does not even let it happen
                continue
            if done is not None:
                what, batch = done
                broken = verify_chain(loop.city.con)
                assert broken, what
                assert broken[0].batch in {batch - 1, batch}, (what, broken)  # moved to the one before, it breaks that
                found += 1
    assert verify_chain(loop.city.con) == []
    return found


def test_random_tamperings_are_found(loop):
    lived(loop)
    assert find_tamperings(loop, 25, seed=1) == 25


@pytest.mark.soak
def test_ten_thousand_random_tamperings_are_found(loop):
    lived(loop)
    assert find_tamperings(loop, 10_000, seed=2) == 10_000


def test_a_cut_off_end_and_a_rewritten_chain_show_against_the_anchor(loop, tmp_path):
    lived(loop)
    path = tmp_path / "anchor.json"
    write_anchor(path, heads(loop.city.server))
    anchor = read_anchor(path)
    assert verify_chain(loop.city.con, anchor) == []
    con = loop.city.con
    with loop.undone() as cursor:
        for table in TABLES:
            cursor.execute(f"delete from ledger.{table} where batch = 4")
        assert verify_chain(con) == []  # in itself the shorter chain is whole
        (broken,) = verify_chain(con, anchor)
        assert (broken.batch, broken.reason) == (4, "it was published and is missing: the end of the chain was cut off")
    with loop.undone() as cursor:
        cursor.execute("update ledger.batches set author = 'nobody' where batch = 4")
        (last,) = ledger._batches(con, "batch = 4")
        cursor.execute("update ledger.batches set digest = %s where batch = 4", (ledger.digest_of(last),))
        assert verify_chain(con) == []
        assert verify_chain(con, anchor)[0].reason == "its digest is not the one that was published"
    path.write_text('{"ledger": []}')
    with pytest.raises(AnchorError, match="names no head"):
        read_anchor(path)
    path.write_text("[]")
    with pytest.raises(AnchorError, match=r"no anchor\.json"):
        read_anchor(path)


def test_an_erasure_takes_the_values_and_leaves_the_chain(loop, tmp_path):
    lived(loop)
    con, server = loop.city.con, loop.city.server
    ids = dict(con.execute("SELECT record_key, item_id FROM shuyuan.ledger.items").fetchall())
    told = {"actor": "officer", "as_of": DAYS[2]}
    for item, basis, reason in ((ids["a"], "PIPL 47", "still holds the record"), (ids["b"], " ", "legal basis"),
                                ("none", "PIPL 47", "none of that id")):  # fmt: skip
        with pytest.raises(ErasureRefusedError, match=reason):
            erase(loop.city, item, basis, **told)
    before = heads(server)
    assert erase(loop.city, ids["b"], "PIPL 47, request 12", **told) == 1
    assert verify_chain(con, before) == []
    assert not ledger_states.checkpoint(loop.city.home).exists()
    rows = con.execute(
        "SELECT event, reason, observed, suggested, coalesce(record_hash, '') FROM shuyuan.ledger.events"
        " WHERE item_id = ? ORDER BY number",
        [ids["b"]],
    ).fetchall()
    assert rows[-1] == ("erased", "PIPL 47, request 12", None, None, "")
    assert len(rows) > 2
    assert {row[1:] for row in rows[:-1]} == {(None, None, None, "")}
    assert con.execute("SELECT state, record_key FROM shuyuan.ledger.item_states WHERE item_id = ?", [ids["b"]]
                       ).fetchone() == ("removed_at_source", None)  # fmt: skip
    held = loop.ledger()
    assert erase(loop.city, ids["b"], "again", **told) == 0
    assert loop.ledger() == held
    check, file = script(tmp_path), tmp_path / "whole.jsonl"
    export(con, file, unmasked=True)
    subprocess.run([*check, str(file)], check=True, capture_output=True)
    loop.day(DAYS[3], {"a": WRONG, "b": WRONG, "c": WRONG}, ["a", "b", "c"])  # delivered again: it is known again
    assert loop.states()["a"] == "still_wrong"
    assert loop.events("b") == []  # the key stays out
    assert con.execute("SELECT state FROM shuyuan.ledger.item_states WHERE item_id = ?", [ids["b"]]).fetchone() == (
        "still_wrong",
    )
    assert verify_chain(con, before) == []


def test_values_that_are_gone_without_an_erasure_are_a_broken_link(loop):
    lived(loop)
    con, server = loop.city.con, loop.city.server
    items = [row[0] for row in con.execute("SELECT item_id FROM shuyuan.ledger.items").fetchall()]
    held = loop.ledger()
    ledger.erase(con, server, items)
    assert loop.ledger() == held  # no event speaks of it: nothing is erased
    with loop.undone() as cursor:
        cursor.execute(
            "update ledger.items set salt = null, record_key = null, personal_digest = decode(%s, 'hex')"
            " where item_id = %s",
            con.execute(
                f"SELECT sealed, item_id FROM ({sealed_sql('items', 'shuyuan.ledger.items')}) WHERE record_key = 'c'"
            ).fetchone(),
        )
        (broken,) = verify_chain(con)
        assert broken.reason == "personal values are gone and no erasure is recorded"
    assert verify_chain(con) == []


def test_the_checkpoint_says_what_the_views_say(loop, monkeypatch):
    monkeypatch.setattr(ledger_states, "RENEWED", 1)  # news are laid on top as long as they are no more than the file
    columns = f"{ITEMS}, {EVENTS.replace('item_id, ', '').replace('department, ', '')}"

    def compare():
        ledger_states.read_all_states(loop.city.con, loop.city.home)
        views = loop.city.con.execute(f"SELECT {columns} FROM shuyuan.ledger.item_states ORDER BY item_id").fetchall()
        assert loop.city.con.execute(f"SELECT {columns} FROM ledger_states ORDER BY item_id").fetchall() == views
        return len(views)

    assert compare() == 0
    keys = [f"k{n}" for n in range(8)]
    loop.day(DAYS[0], dict.fromkeys(keys, WRONG), keys)
    assert compare() == 8
    made = ledger_states.checkpoint(loop.city.home).stat().st_mtime_ns
    loop.day(DAYS[1], {**dict.fromkeys(keys, WRONG), "k1": RIGHT, "new": WRONG}, [*keys[:1], *keys[2:], "new"])
    answered(loop, ItemEvent.objection_raised, "k3", reason="no")
    assert compare() == 9
    file = ledger_states.checkpoint(loop.city.home)
    kept = file.read_bytes()
    loop.day(DAYS[2], dict.fromkeys(keys, RIGHT), [])
    assert compare() == 9
    assert file.stat().st_mtime_ns >= made
    file.write_bytes(kept[:100])  # half a file
    assert compare() == 9
    # of another ledger: the digest of its head is no link of ours
    con = duckdb.connect()
    con.execute(
        f"COPY (SELECT * REPLACE ('upheld' AS state) FROM '{file}') TO '{file}.other' (FORMAT parquet,"
        ' KV_METADATA {heads: \'[["public_security", 1, "00"]]\'})'
    )
    Path(f"{file}.other").replace(file)
    assert compare() == 9


WRITER = """
import sys
from datetime import date
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from catalog.load import load_catalog
from quality_checks import macros
from resources import ledger
from resources.city import City
from assets.corrections import advance, tell

with City.open(Path(sys.argv[1]), load_catalog(Path(sys.argv[2])), prelude=macros.SQL, threads=1) as city:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[5])):
        if sys.argv[4] == "pass":
            advance(city, date(2026, 11, 2), author="pass")
            continue
        with city.server.lock(ledger.LOCK):
            city.con.execute(
                "CREATE OR REPLACE TEMP TABLE said AS SELECT item_id, 'acknowledged' AS event, $who AS reason,"
                " NULL::VARCHAR AS evidence, NULL::DATE AS by_date FROM shuyuan.ledger.items", {"who": sys.argv[4]})
            tell(city, "said", kind="feedback", as_of=date(2026, 11, 2), actor=sys.argv[4], author=sys.argv[4],
                 source=f"{sys.argv[4]} {number}")
"""


def test_writers_at_once_lose_and_double_nothing(loop):
    loop.deliver(DAYS[0], dict.fromkeys("abcd", WRONG))
    loop.check(DAYS[0], list("abcd"))
    advance(loop.city, DAYS[0], author="test")
    root, times = Path(__file__).parents[1], 4
    where = [str(loop.city.home.root), str(root / "tests" / "small_catalogue"), str(root)]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, *where, who, str(times)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
        for who in ("pass", "portal", "import")
    ]  # fmt: skip
    for writer in writers:
        assert "ready\n" in iter(writer.stdout.readline, "")  # a busy machine lets DuckDB print a blank line before
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    rows = loop.city.con.execute(
        "SELECT item_id, list(number ORDER BY number), count(*) FILTER (actor = 'portal'),"
        " count(*) FILTER (actor = 'import') FROM shuyuan.ledger.events GROUP BY ALL"
    ).fetchall()
    assert [row[1:] for row in rows] == [(list(range(1, 2 + 2 * times)), times, times)] * 4
    assert verify_chain(loop.city.con) == []
    of_items = loop.city.con.execute(
        "SELECT i.serial, count(*), count(*) FILTER (e.item_id = i.item_id)"
        " FROM shuyuan.ledger.items i JOIN shuyuan.ledger.events e USING (serial) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert of_items == [(serial, 1 + 2 * times, 1 + 2 * times) for serial in range(1, 5)]
    for table in ("batches", "items", "events"):  # nor does a writer who forgets the lock
        with loop.city.server.session("pipeline") as cursor, pytest.raises(psycopg2.errors.UniqueViolation):
            cursor.execute(f"INSERT INTO ledger.{table} SELECT * FROM ledger.{table} LIMIT 1")
