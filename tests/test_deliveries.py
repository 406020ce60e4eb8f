"""Landing to register: what is taken, when, with which verdict, and that a kill or a repetition changes nothing."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import threading
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets import passes
from assets.deliveries import Registered, due_passes, register
from assets.landing import Arrival, settled
from assets.passing import Figures
from resources.city import City
from resources.landed import ALLOWED

CSV = b"id_number,name,sex,birth_date,marital_status,household_size\n1,A,1,2020-01-01,10,3\n"
HOUR_AGO = 3600


def put(city: City, place: str, content: bytes = CSV, *, age: float = HOUR_AGO, **manifest: object) -> Path:
    path = city.home.landing / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    moment = time.time() - age
    os.utime(path, (moment, moment))
    if manifest:
        path.with_name(f"{path.name}.manifest.json").write_text(json.dumps(manifest))
    return path


def register_rows(city: City, columns: str) -> list[tuple[Any, ...]]:
    with city.server.session() as cursor:
        cursor.execute(f"select {columns} from ops.deliveries order by registered_at")
        return list(cursor.fetchall())


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


RESIDENTS = "public_security/resident_registration"
MARRIAGES = "civil_affairs/marriage_registration"


def test_a_delivery_is_archived_and_registered_oldest_first(small_city: City) -> None:
    put(small_city, f"{RESIDENTS}/b.csv", CSV + b"2,B,1,2020-01-01,10,3\n", age=9000, as_of="2026-11-03", rows=2)
    put(
        small_city, f"{RESIDENTS}/a.csv", as_of="2026-11-02", mode="incremental", sha256=hashlib.sha256(CSV).hexdigest()
    )
    assert register(small_city) == Registered(registered=2, rejected=0)
    digest = hashlib.sha256(CSV).hexdigest()
    name = f"20261102-public_security-resident_registration-{digest[:12]}"
    columns = "delivery_id, file_name, archive_path, sha256, bytes, as_of, mode, rows_declared, state, reasons"
    first, second = register_rows(small_city, columns)
    path = f"{RESIDENTS}/{name}.csv"
    assert first == (name, "a.csv", path, digest, len(CSV), date(2026, 11, 2), "incremental", None, "registered", [])
    assert second[5:9] == (date(2026, 11, 3), "full", 2, "registered")
    assert files_in(small_city.home.landing) == []
    assert (small_city.home.archive / path).read_bytes() == CSV
    assert due_passes(small_city) == [date(2026, 11, 2), date(2026, 11, 3)]


def test_the_date_comes_from_manifest_then_name_then_the_file_s_own(small_city: City) -> None:
    put(small_city, f"{RESIDENTS}/20261101.csv", CSV, as_of="2026-11-05")
    put(small_city, f"{RESIDENTS}/no_20261399_but_2026-11-04.csv", CSV)
    put(small_city, f"{RESIDENTS}/plain.csv", CSV, age=time.time() - 1793000000)  # 2026-10-26 07:33 in China
    register(small_city)
    assert register_rows(small_city, "file_name, as_of") == [
        ("plain.csv", date(2026, 10, 26)),
        ("no_20261399_but_2026-11-04.csv", date(2026, 11, 4)),
        ("20261101.csv", date(2026, 11, 5)),
    ]


def test_what_cannot_be_a_delivery_is_rejected_with_every_reason(small_city: City) -> None:
    put(small_city, "sports/matches/a.csv")
    put(small_city, "public_security/residents/b.csv")
    put(small_city, "public_security/c.csv")
    put(small_city, f"{RESIDENTS}/d.doc", b"")
    put(small_city, f"{RESIDENTS}/e.csv", CSV, sha256="0" * 64)
    put(small_city, f"{RESIDENTS}/f.csv", CSV + b"\n", as_of="2026-13-01", colour="red")
    put(small_city, f"{RESIDENTS}/g.csv", CSV + b"\n\n").with_name("g.csv.manifest.json").write_text("{")
    (small_city.home.landing / RESIDENTS / "h.csv").symlink_to("/etc/hostname")
    assert register(small_city) == Registered(registered=0, rejected=8)
    digest = hashlib.sha256(CSV).hexdigest()
    allowed = "allowed: civil_affairs, market_regulation, public_security"
    found = {
        name: [(r["code"], r["message"]) for r in reasons]
        for name, reasons in register_rows(small_city, "file_name, reasons")
    }
    assert found["a.csv"] == [("unknown_department", f"a.csv: folder sports is no department; {allowed}")]
    assert found["b.csv"] == [
        (
            "unknown_resource",
            "b.csv: folder residents is no resource of public_security; allowed: resident_registration",
        )
    ]
    assert found["c.csv"] == [
        ("place", "c.csv: lies in public_security; allowed: landing/<department>/<resource>/"),
    ]
    assert found["d.doc"] == [
        ("extension", f"d.doc: file name ends in .doc; allowed: {ALLOWED}"),
        ("empty", "d.doc: holds no byte; a delivery needs a header and at least one record"),
    ]
    message = f"e.csv: manifest: sha256 = {'0' * 64} is not the file's, {digest}; deliver both again"
    assert found["e.csv"] == [("sha256", message)]
    assert [code for code, _ in found["f.csv"]] == ["manifest", "manifest"]
    assert found["f.csv"][0][1].startswith("f.csv: manifest: as_of = '2026-13-01': ")
    assert found["f.csv"][1][1].startswith("f.csv: manifest: colour = 'red': ")
    assert found["g.csv"][0][1].startswith("g.csv: manifest: the file: ")
    assert found["h.csv"] == [("not_a_file", "h.csv: is a link or a device; deliver the file itself")]
    assert files_in(small_city.home.landing) == []
    assert len(files_in(small_city.home.archive)) == 7
    [shown_with] = due_passes(small_city)[:1]  # so that the report shows the refusals
    passes.start(small_city, shown_with)
    passes.finish(small_city, shown_with, Figures())
    assert due_passes(small_city) == []
    put(small_city, "sports/clubs/i.csv")
    next_day = shown_with + timedelta(1)
    put(small_city, f"{RESIDENTS}/j.csv", as_of=str(next_day))
    assert register(small_city) == Registered(registered=1, rejected=1)
    assert due_passes(small_city) == [next_day]  # which shows the refusal too


def test_the_same_file_twice_is_noted_and_never_taken_again(small_city: City) -> None:
    put(small_city, f"{RESIDENTS}/a.csv", as_of="2026-11-02")
    assert register(small_city).registered == 1
    put(small_city, f"{RESIDENTS}/again.csv", as_of="2026-11-02")
    assert register(small_city) == Registered(registered=0, rejected=0, duplicates=1)
    assert register_rows(small_city, "file_name, state, reasons") == [
        (
            "a.csv",
            "registered",
            [
                {
                    "code": "delivered_again",
                    "message": "again.csv: the same content came again for the same date; ignored",
                }
            ],
        )
    ]
    put(small_city, f"{RESIDENTS}/later.csv", as_of="2026-11-03")  # the same content, stated for another day
    assert register(small_city).registered == 1
    assert files_in(small_city.home.landing) == []


def test_a_rejected_file_may_come_again_with_a_better_manifest(small_city: City) -> None:
    put(small_city, f"{RESIDENTS}/a.csv", as_of="2026-11-02", sha256="0" * 64)
    assert register(small_city).rejected == 1
    put(small_city, f"{RESIDENTS}/a.csv", as_of="2026-11-02", sha256=hashlib.sha256(CSV).hexdigest())
    assert register(small_city).registered == 1
    assert register_rows(small_city, "state, reasons") == [("registered", [])]


def test_a_kill_between_any_two_steps_is_healed(small_city: City) -> None:
    path = put(small_city, f"{RESIDENTS}/a.csv", as_of="2026-11-02")
    manifest = path.with_name("a.csv.manifest.json").read_text()
    register(small_city)
    archived = small_city.home.archive / register_rows(small_city, "archive_path")[0][0]
    before = register_rows(small_city, "delivery_id, state, reasons")
    path.hardlink_to(archived)  # killed after the row, before the unlink
    path.with_name("a.csv.manifest.json").write_text(manifest)
    assert register(small_city) == Registered(registered=1, rejected=0)
    assert register_rows(small_city, "delivery_id, state, reasons") == before
    with small_city.server.session() as cursor:  # killed after the link, before the row
        cursor.execute("delete from ops.deliveries")
    path.hardlink_to(archived)
    path.with_name("a.csv.manifest.json").write_text(manifest)
    assert register(small_city) == Registered(registered=1, rejected=0)
    assert register_rows(small_city, "delivery_id, state, reasons") == before
    assert files_in(small_city.home.landing) == []


def test_feedback_parts_and_hidden_files_stay(small_city: City) -> None:
    for place in ("civil_affairs/feedback/reply.xlsx", f"{MARRIAGES}/a.csv.part", f"{MARRIAGES}/.a.csv.X1"):
        put(small_city, place)
    assert register(small_city) == Registered(registered=0, rejected=0)
    assert len(files_in(small_city.home.landing)) == 3


def test_a_late_delivery_makes_the_last_finished_pass_due_again(small_city: City) -> None:
    with small_city.server.session() as cursor:
        cursor.execute("insert into ops.passes values ('2026-11-05', 'finished'), ('2026-11-06', 'started')")
    put(small_city, f"{RESIDENTS}/a.csv", as_of="2026-11-02")
    register(small_city)
    assert due_passes(small_city) == [date(2026, 11, 5), date(2026, 11, 6)]


COMPLETE = {
    "a.csv": (CSV, CSV[:-1]),
    "a.csv.gz": (gzip.compress(CSV), gzip.compress(CSV)[:-3]),
    "a.jsonl": (b'{"a": 1}\n', b'{"a": 1}'),
    "a.json": (b'[{"a": 1}]\n\n', b'[{"a": 1},'),
    "a.parquet": (b"PAR1...PAR1", b"PAR1..."),
    "a.xlsx": (b"PK\x05\x06" + bytes(18), b"PK\x03\x04"),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_a_format_tells_whether_its_end_is_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    verdicts = []
    for content in (*COMPLETE[name], b""):
        path.write_bytes(content)
        verdicts.append(Arrival(path, (), None, ordinary=True).complete())
    assert verdicts == [True, False, False]


def test_a_fresh_file_is_taken_at_the_second_look_and_an_incomplete_one_when_nobody_touches_it(tmp_path: Path) -> None:
    (tmp_path / "whole.csv").write_bytes(CSV)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(CSV)[:-3])
    start = time.monotonic()
    arrivals, waiting = settled(tmp_path, patience=1.5)
    assert sorted(a.path.name for a in arrivals) == ["cut.csv.gz", "whole.csv"]
    assert waiting == 0
    assert time.monotonic() - start >= 1.5


def test_a_file_that_is_still_growing_waits(tmp_path: Path) -> None:
    growing, done = tmp_path / "a.csv", threading.Event()

    def write() -> None:
        with growing.open("ab") as file:
            while not done.wait(0.2):
                file.write(b"1,A\n")
                file.flush()

    growing.write_bytes(b"id,name\n")
    (tmp_path / "whole.csv").write_bytes(CSV)
    writer = threading.Thread(target=write)
    writer.start()
    arrivals, waiting = settled(tmp_path, patience=0.5)
    done.set()
    writer.join()
    assert ([a.path.name for a in arrivals], waiting) == (["whole.csv"], 1)
    (tmp_path / "a.manifest.json").write_text("{}")
    assert len(settled(tmp_path)[0]) == 2
