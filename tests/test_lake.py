"""The lake on a real server: names, tables from the catalogue, diffs, the commit guard under kills and crowds."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace as altered
from pathlib import Path

import duckdb
import pytest
from files import copied
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.columns import Column, ColumnType
from catalog.load import Catalog
from resources.city import City
from resources.lake import Changed, LakeSchemaError
from resources.postgres import ServerError

ROOT = Path(__file__).parents[1]


def rows(city: City, query: str) -> list[tuple]:
    return city.con.execute(query).fetchall()


def writer(home: Path, counter: str, name: str, times: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.lake_writer", str(home), counter, name, str(times)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def add_person(con: duckdb.DuckDBPyConnection, number: str = "1") -> None:
    con.execute("INSERT INTO base.population BY NAME SELECT ? AS id_number", [number])


def referred_files(city: City, target: str = "city") -> set[str]:
    """Files the catalog refers to, by name."""
    with city.server.session(database="lake") as cursor:
        cursor.execute(
            f"select path from {target}.ducklake_data_file union all select path from {target}.ducklake_delete_file"
        )
        return {path for (path,) in cursor.fetchall()}


def assert_whole(city: City) -> None:
    """Every table can be read to its last value, no file is missing or left over, nothing is in flight."""
    for table in ("base.population", "quality.scores"):
        assert rows(city, f"SELECT count(hash(t)) FROM {table} t")[0][0] >= 0
    assert {Path(name).name for name in city.lake.files("city")} == referred_files(city)
    assert list(city.home.inflight.iterdir()) == []


def test_names_of_every_layer_resolve(small_city: City):
    for table in (
        "public_security.resident_registration",
        "civil_affairs._quarantine",
        "base.population",
        "thematic.credit_village__resident_overview",
        "quality.findings",
        "codes.gbt_2261_1",
        "shuyuan.ops.deliveries",
    ):
        assert rows(small_city, f"SELECT count(*) FROM {table}") == [(4 if table.startswith("codes") else 0,)]


def test_a_code_list_has_every_column_as_text(small_city: City):
    described = {name: kind for name, kind, *_ in rows(small_city, "DESCRIBE codes.gbt_2261_2")}
    assert described == dict.fromkeys(("code", "zh", "en", "valid_from", "valid_to", "successor"), "VARCHAR")
    assert rows(small_city, "SELECT zh, valid_from FROM codes.gbt_2261_2 WHERE code = '40'") == [("离婚", None)]


def test_pool_tables_are_those_of_the_architecture(small_city: City):
    described = [row[:2] for row in rows(small_city, "DESCRIBE public_security.resident_registration")]
    assert described[3:6] == [("birth_date", "DATE"), ("marital_status", "VARCHAR"), ("household_size", "BIGINT")]
    assert described[6:] == [
        ("_record_key", "VARCHAR"),
        ("_delivery_id", "VARCHAR"),
        ("_row", "BIGINT"),
        ("_as_of", "DATE"),
        ("_copies", "INTEGER"),
        ("_raw", "MAP(VARCHAR, VARCHAR)"),
        ("_hash", "UBIGINT"),
    ]


def test_applying_the_catalogue_again_changes_nothing(small_city: City):
    with small_city.server.session(database="lake") as cursor:
        cursor.execute("select max(snapshot_id) from city.ducklake_snapshot")
        before = cursor.fetchone()
        assert before[0] > 0
        small_city.lake.apply_catalog()
        cursor.execute("select max(snapshot_id) from city.ducklake_snapshot")
        assert cursor.fetchone() == before


def with_column(catalog: Catalog, name: str, column: Column) -> Catalog:
    resource = catalog.resources["civil_affairs.marriage_registration"]
    changed = resource.model_copy(update={"columns": {**resource.columns, name: column}})
    return altered(catalog, resources={**catalog.resources, changed.id: changed})


def test_a_new_column_of_the_catalogue_is_added_and_rows_stay(small_city: City, small_catalog: Catalog):
    table = "civil_affairs.marriage_registration"
    small_city.commit(
        "civil_affairs", lambda con: con.execute(f"INSERT INTO {table} BY NAME SELECT '1' AS id_number"), author="test"
    )
    grown = with_column(small_catalog, "place", Column(title="登记机关", type=ColumnType.text))
    with City.open(small_city.home.root, grown) as city:
        city.lake.apply_catalog()
        assert rows(city, f"SELECT id_number, place FROM {table}") == [("1", None)]


def test_a_changed_type_is_refused_by_name(small_city: City, small_catalog: Catalog):
    changed = with_column(small_catalog, "registered_on", Column(title="登记日期", type=ColumnType.timestamp))
    with City.open(small_city.home.root, changed) as city, pytest.raises(LakeSchemaError) as refused:
        city.lake.apply_catalog()
    assert "civil_affairs.main.marriage_registration.registered_on is DATE, the catalogue says TIMESTAMP" in str(
        refused.value
    )


def test_a_commit_says_who_and_from_which_deliveries(small_city: City):
    small_city.commit("city", add_person, author="run-7", deliveries=["d-1", "d-2"], message="people")
    ((author, message, extra),) = rows(
        small_city,
        "SELECT author, commit_message, commit_extra_info FROM city.snapshots() ORDER BY snapshot_id DESC LIMIT 1",
    )
    assert (author, message) == ("run-7", "people")
    assert '"deliveries": ["d-1", "d-2"]' in extra


def test_work_that_fails_is_rolled_back_and_leaves_no_file(small_city: City):
    def work(con):
        add_person(con)
        assert len(small_city.lake.files("city")) == 1  # it had written
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        small_city.commit("city", work, author="test")
    assert rows(small_city, "FROM base.population") == []
    assert_whole(small_city)


def test_a_commit_inside_a_commit_is_refused(small_city: City):
    def work(con):
        add_person(con)
        small_city.commit("city", add_person, author="inner")

    with pytest.raises(RuntimeError, match="do not nest commits"):
        small_city.commit("city", work, author="outer")
    assert rows(small_city, "FROM base.population") == []
    assert_whole(small_city)


def test_a_commit_without_changes_makes_no_snapshot(small_city: City):
    query = "SELECT count(*) FROM city.snapshots()"
    before = rows(small_city, query)
    assert small_city.commit("city", lambda con: 5, author="test") == 5
    assert rows(small_city, query) == before
    assert_whole(small_city)


def test_a_conflict_runs_the_work_again(small_city: City, small_catalog: Catalog):
    small_city.commit("city", add_person, author="test")
    tries = []
    with City.open(small_city.home.root, small_catalog) as other:

        def work(con):
            tries.append(1)
            con.execute("UPDATE base.population SET name = coalesce(name, '') || 'a'")
            if len(tries) == 1:  # past the guard, as another program might
                other.con.execute("BEGIN; UPDATE base.population SET name = 'b'")
                other.con.execute("CALL city.set_commit_message('other', '')")
                other.con.execute("COMMIT")

        small_city.commit("city", work, author="test")
    assert len(tries) == 2
    assert rows(small_city, "SELECT name FROM base.population") == [("ba",)]
    assert_whole(small_city)


# --- replace -------------------------------------------------------------------------------------------------------

people = st.dictionaries(
    st.sampled_from("abcdef"), st.one_of(st.none(), st.sampled_from(["", "张", "x|y", "'"])), max_size=6
)


def as_query(table: dict[str, str | None]) -> tuple[str, list[tuple]]:
    quote = lambda v: "NULL" if v is None else "'" + v.replace("'", "''") + "'"  # noqa: E731
    values = ", ".join(f"({quote(k)}, {quote(v)})" for k, v in table.items())
    source = f"(VALUES {values})" if values else "(SELECT NULL, NULL WHERE false)"
    return f"SELECT k::VARCHAR AS id_number, v::VARCHAR AS name FROM {source} t(k, v)", sorted(table.items())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=people, after=people)
def test_replace_makes_the_table_equal_and_writes_the_difference_alone(small_city: City, before, after):
    def put(state):
        query, expected = as_query(state)
        changed = small_city.commit(
            "city", lambda con: small_city.lake.replace(con, "base.population", query, ["id_number"]), author="test"
        )
        assert sorted(rows(small_city, "SELECT id_number, name FROM base.population")) == expected
        return changed, dict(rows(small_city, "SELECT id_number, rowid FROM base.population"))

    put({})
    _, kept = put(before)
    changed, now = put(after)
    same = {k for k in before.keys() & after.keys() if before[k] == after[k]}
    assert changed == Changed(inserted=len(after) - len(same), deleted=len(before) - len(same), unchanged=len(same))
    assert {k: now[k] for k in same} == {k: kept[k] for k in same}


def replace(city: City, query: str) -> Changed:
    return city.commit(
        "city", lambda con: city.lake.replace(con, "base.population", query, ["id_number"]), author="test"
    )


@pytest.mark.parametrize("filled", [False, True])
def test_replace_refuses_two_rows_for_one_key(small_city: City, filled):
    if filled:
        replace(small_city, "SELECT '0' AS id_number")
    with pytest.raises(LakeSchemaError, match=r'base\.population: 1 keys \("id_number"\)'):
        replace(small_city, "SELECT unnest(['1', '1', '2']) AS id_number")
    assert rows(small_city, "SELECT id_number FROM base.population") == ([("0",)] if filled else [])


def test_replace_refuses_a_128_bit_sum(small_city: City):
    with pytest.raises(LakeSchemaError, match="cast _sources to BIGINT"):
        replace(small_city, "SELECT '1' AS id_number, sum(1) AS _sources")


def test_replace_refuses_a_column_the_table_lacks(small_city: City):
    with pytest.raises(LakeSchemaError, match=r"base\.population has no column height"):
        replace(small_city, "SELECT '1' AS id_number, 180 AS height")


# --- faults --------------------------------------------------------------------------------------------------------


def test_three_processes_count_exactly(small_city: City):
    processes = [writer(small_city.home.root, "shared", f"w{i}", 8) for i in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert rows(small_city, "SELECT denominator FROM quality.scores WHERE name = 'shared'") == [(24,)]
    assert rows(small_city, "SELECT count(*) FROM base.population") == [(24 * 2000,)]
    assert_whole(small_city)


def acknowledged(process: subprocess.Popen[str], kill: signal.Signals, victim: int, moment: float) -> int:
    """Let the writer commit once, kill `victim` a moment later; returns the last value it acknowledged."""
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first, process.communicate()[1]
    time.sleep(moment)
    os.kill(victim, kill)
    rest, _ = process.communicate(timeout=60)
    return int((first + rest).split()[-1])


MOMENTS = random.Random(20261102)
FEW = [MOMENTS.uniform(0, 0.4) for _ in range(3)]
MANY = [pytest.param(MOMENTS.uniform(0, 0.6), marks=pytest.mark.soak) for _ in range(100)]


def assert_recovered(home: Path, catalog: Catalog, last: int) -> None:
    """What was acknowledged is there (one more commit may have arrived unheard), and commits go on."""
    started = time.monotonic()
    with City.open(home, catalog) as city:
        assert time.monotonic() - started < 10
        ((value,),) = rows(city, "SELECT denominator FROM quality.scores WHERE name = 'killed'")
        assert value in {last, last + 1}
        assert rows(city, "SELECT count(*), count(DISTINCT id_number) FROM base.population") == [(value * 2000, value)]
        assert_whole(city)
        city.commit("city", add_person, author="after")
        assert_whole(city)


@pytest.mark.parametrize("moment", [*FEW, *MANY])
def test_a_killed_writer_loses_and_leaves_nothing(small_city: City, small_catalog: Catalog, moment):
    process = writer(small_city.home.root, "killed", "w", 1000)
    last = acknowledged(process, signal.SIGKILL, process.pid, moment)
    assert_recovered(small_city.home.root, small_catalog, last)


@pytest.fixture
def closed_home(small_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A fresh home that no process of ours has open."""
    home = tmp_path / "home"
    copied(small_home, home)
    yield home
    shutil.rmtree(home)


def postmaster(home: Path) -> int:
    return int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


@pytest.mark.parametrize("moment", [*FEW, *MANY])
def test_a_killed_postgresql_loses_and_leaves_nothing(closed_home: Path, small_catalog: Catalog, moment):
    process = writer(closed_home, "killed", "w", 1000)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first, process.communicate()[1]
    time.sleep(moment)
    os.kill(postmaster(closed_home), signal.SIGKILL)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "run again" in errors.splitlines()[-1]
    assert_recovered(closed_home, small_catalog, int((first + rest).split()[-1]))


def test_a_file_deleted_although_its_commit_arrived_is_linked_back(small_city: City, small_catalog: Catalog):
    """DuckLake does this when PostgreSQL dies between committing and saying so."""
    small_city.commit("city", add_person, author="test")
    (name,) = small_city.lake.files("city")
    ((commit,),) = rows(small_city, "SELECT max_by(commit_extra_info, snapshot_id)->>'commit' FROM city.snapshots()")
    folder = small_city.home.inflight / f"city.{commit}"
    (folder / name).parent.mkdir(parents=True)
    (small_city.home.lake / "city" / name).rename(folder / name)
    with pytest.raises(duckdb.IOException):
        rows(small_city, "FROM base.population")
    with City.open(small_city.home.root, small_catalog) as city:
        assert rows(city, "SELECT id_number FROM base.population") == [("1",)]
        assert_whole(city)


def test_files_of_a_commit_that_never_arrived_go(small_city: City, small_catalog: Catalog):
    small_city.commit("city", add_person, author="test")
    stray = small_city.home.lake / "city" / "base" / "population" / "ducklake-stray.parquet"
    shutil.copy(next(stray.parent.iterdir()), stray)
    folder = small_city.home.inflight / f"city.{0:032}"
    folder.mkdir()
    with City.open(small_city.home.root, small_catalog) as city:
        assert not stray.exists()
        assert rows(city, "SELECT id_number FROM base.population") == [("1",)]
        assert_whole(city)


def test_a_dead_server_is_named_and_the_city_opens_again(closed_home: Path, small_catalog: Catalog):
    with City.open(closed_home, small_catalog) as city:
        city.commit("city", add_person, author="test")
        os.kill(postmaster(closed_home), signal.SIGKILL)
        with pytest.raises(ServerError, match="PostgreSQL"):
            city.commit("city", add_person, author="test")
    with City.open(closed_home, small_catalog) as city:
        assert rows(city, "SELECT id_number FROM base.population") == [("1",)]
        assert_whole(city)


def test_a_home_may_move(closed_home: Path, small_catalog: Catalog):
    with City.open(closed_home, small_catalog) as city:
        city.commit("city", add_person, author="test")
    moved = closed_home.with_name("elsewhere")
    closed_home.rename(moved)
    with City.open(moved, small_catalog) as city:
        city.commit("city", lambda con: add_person(con, "2"), author="test")
        assert rows(city, "SELECT id_number FROM base.population ORDER BY 1") == [("1",), ("2",)]
        assert_whole(city)
    moved.rename(closed_home)


def test_a_reader_sees_the_lake_and_writes_nothing(small_city: City, small_catalog: Catalog):
    small_city.commit("city", add_person, author="test")
    with City.open(small_city.home.root, small_catalog, read_only=True) as city:
        assert rows(city, "SELECT id_number FROM base.population") == [("1",)]
        for statement in (
            "DELETE FROM base.population",
            "DELETE FROM shuyuan.ops.deliveries",
            "CREATE TABLE base.x (a INT)",
        ):
            with pytest.raises(duckdb.InvalidInputException, match="read-only"):
                city.con.execute(statement)


def test_a_reader_of_an_empty_home_is_told_to_run_first(small_catalog: Catalog, tmp_path: Path):
    with pytest.raises(LakeSchemaError, match="no catalog for city, civil_affairs"):
        City.open(tmp_path / "new", small_catalog, read_only=True)
