"""Every kind of damage is named, and repairing it leaves a city without damage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from assets import independence
from quality_checks.independence import stored
from resources.city import City
from resources.verify import Damage, repair, verify

POOL = "public_security.resident_registration"


@pytest.fixture(scope="module")
def filled_home(small_city_at, tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("filled") / "home"
    with small_city_at(home) as city:
        fill(city)
    return home


@pytest.fixture
def filled(small_city_at, filled_home: Path, tmp_path: Path) -> Iterator[City]:
    """Two persons in the pool from a registered, archived delivery, one in the base library."""
    with small_city_at(tmp_path / "home", filled_home) as city:
        yield city


def fill(city: City) -> None:
    content = b"id_number\n1\n2\n"
    (city.home.archive / "d-1.csv").write_bytes(content)
    with city.server.session() as cursor:
        cursor.execute(
            "insert into ops.deliveries (delivery_id, department, resource, file_name, archive_path, sha256, bytes,"
            " state, rows_delivered, rows_pooled, rows_quarantined) values"
            " ('d-1', 'public_security', 'resident_registration', 'd.csv', 'd-1.csv', %s, %s, 'pooled', 3, 2, 1)",
            (hashlib.sha256(content).hexdigest(), len(content)),
        )
    insert = f"INSERT INTO {POOL} BY NAME SELECT unnest(['1', '2']) AS id_number, 'd-1' AS _delivery_id"
    city.commit("public_security", lambda con: con.execute(insert), author="test")
    insert = "INSERT INTO base.population BY NAME SELECT '1' AS id_number"
    city.commit("city", lambda con: con.execute(insert), author="test")
    assert verify(city, deep=True) == []


def only_file(city: City, target: str) -> Path:
    (name,) = city.lake.files(target)
    return city.home.lake / target / name


def kinds(damages: list[Damage]) -> list[tuple[str, str]]:
    return [(damage.kind, damage.table) for damage in damages]


def test_a_lost_file_is_named_and_its_table_alone_is_emptied(filled: City):
    lost = only_file(filled, "public_security")
    lost.unlink()
    (damage,) = verify(filled)
    assert damage == Damage(
        "missing_file", "public_security", POOL, str(lost.relative_to(filled.home.root)), "rebuild the table"
    )
    assert repair(filled, [damage], author="test").emptied == (POOL,)
    assert filled.con.execute(f"SELECT count(*) FROM {POOL}").fetchall() == [(0,)]
    assert filled.con.execute("SELECT id_number FROM base.population").fetchall() == [("1",)]
    assert kinds(verify(filled)) == [("missing_history", POOL)]  # nothing current is damaged any more
    insert = f"INSERT INTO {POOL} BY NAME SELECT '1' AS id_number, 'd-1' AS _delivery_id"
    filled.commit("public_security", lambda con: con.execute(insert), author="replay")
    assert filled.con.execute(f"SELECT id_number FROM {POOL}").fetchall() == [("1",)]


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b"XXXX" + b[4:], lambda b: b + b"\0"])
def test_a_cut_or_overwritten_file_is_named(filled: City, damage):
    file = only_file(filled, "city")
    file.write_bytes(damage(file.read_bytes()))
    assert kinds(verify(filled)) == [("damaged_file", "base.population")]


def test_a_flipped_page_is_found_by_reading_everything(filled: City):
    file = only_file(filled, "city")
    content = bytearray(file.read_bytes())
    content[4:60] = bytes(56)
    file.write_bytes(content)
    assert verify(filled) == []
    assert kinds(verify(filled, deep=True)) == [("unreadable_table", "base.population")]


def test_a_file_nobody_refers_to_is_named_and_deleted(filled: City):
    stray = only_file(filled, "city").with_name("ducklake-stray.parquet")
    stray.write_bytes(b"PAR1PAR1")
    (damage,) = verify(filled)
    assert (damage.kind, damage.path) == ("orphan_file", str(stray.relative_to(filled.home.root)))
    assert repair(filled, [damage], author="test").deleted_files == 1
    assert not stray.exists()
    assert verify(filled, deep=True) == []


def test_a_commit_nobody_settled_is_named_and_settled(filled: City):
    folder = filled.home.inflight / f"city.{0:032}"
    folder.mkdir()
    assert kinds(verify(filled)) == [("unsettled_commit", "")]
    repair(filled, verify(filled), author="test")
    assert not folder.exists()
    assert verify(filled, deep=True) == []


def test_a_dropped_table_is_named_and_created_again(filled: City):
    filled.commit("city", lambda con: con.execute("DROP TABLE quality.results"), author="test")
    assert kinds(verify(filled)) == [("missing_table", "quality.results")]
    repair(filled, verify(filled), author="test")
    assert verify(filled, deep=True) == []


def test_records_of_an_unknown_delivery_are_named(filled: City):
    insert = f"INSERT INTO {POOL} BY NAME SELECT '3' AS id_number, 'd-9' AS _delivery_id"
    filled.commit("public_security", lambda con: con.execute(insert), author="test")
    (damage,) = verify(filled)
    assert (damage.kind, damage.path) == ("unknown_delivery", "d-9")


def test_a_delivery_whose_rows_do_not_add_up_is_named(filled: City):
    with filled.server.session() as cursor:
        cursor.execute("update ops.deliveries set rows_pooled = 1")
    (damage,) = verify(filled)
    assert (damage.kind, damage.path) == ("unbalanced_delivery", "d-1")


def test_a_lost_or_altered_archive_is_named(filled: City):
    file = filled.home.archive / "d-1.csv"
    file.write_bytes(b"id_number\n1\n3\n")
    assert verify(filled) == []
    assert kinds(verify(filled, deep=True)) == [("damaged_archive", POOL)]
    file.unlink()
    assert kinds(verify(filled)) == [("missing_archive", POOL)]


def test_lost_measurements_are_made_anew_for_the_libraries_that_somebody_had_measured(filled: City):
    marry = (
        "INSERT INTO civil_affairs.marriage_registration BY NAME"
        " SELECT '1' AS id_number, '张三' AS name, 'd-1' AS _delivery_id"
    )
    filled.commit("civil_affairs", lambda con: con.execute(marry), author="test")
    filled.commit("public_security", lambda con: con.execute(f"UPDATE {POOL} SET name = '李四'"), author="test")
    library = filled.catalog.libraries["population"]
    measured = independence.measure(filled, library, date(2026, 11, 2), author="libraries measure")
    assert [(pair.one, pair.cells) for pair in measured] == [("civil_affairs.marriage_registration", 1)]
    before = filled.lake.files("city")
    [lost] = [name for name in before if "_copying" in name]
    (filled.home.lake / "city" / lost).unlink()
    assert repair(filled, verify(filled), author="test").emptied == ("base._copying",)
    assert stored(filled.con, library) == []
    assert independence.measure_again(filled, date(2026, 11, 3), author="test") == ["population"]
    assert stored(filled.con, library) == measured


def test_what_the_ledger_check_says_is_passed_on(filled: City):
    (damage,) = verify(filled, ledger=lambda _: ["batch 7 does not follow batch 6"])
    assert (damage.kind, damage.path) == ("broken_ledger", "batch 7 does not follow batch 6")
