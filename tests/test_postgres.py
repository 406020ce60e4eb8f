"""The server: private, prepared, shared between processes, back after any death, closed to those without a right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
import yaml

from catalog.load import Catalog
from resources.city import City
from resources.home import Home, scratch
from resources.postgres import Server, ServerError, ServerRefusedError

ROOT = Path(__file__).parents[1]
DEEP = "/".join(["城市数据" * 5] * 4)  # 240 bytes: no socket path could hold it


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home.at(tmp_path_factory.mktemp("postgres") / DEEP)


@pytest.fixture
def server(home: Home) -> Iterator[Server]:
    with Server(home) as opened:
        yield opened


def postmaster_pid(home: Home) -> int:
    return int((home.postgres / "data" / "postmaster.pid").read_text().split()[0])


def test_home_passwords_and_cluster_are_private(server: Server, home: Home):
    modes = {path: path.stat().st_mode & 0o777 for path in (home.root, home.postgres, home.postgres / "passwords.json")}
    assert list(modes.values()) == [0o700, 0o700, 0o600]
    assert (home.postgres / "data").stat().st_mode & 0o077 == 0
    passwords = json.loads((home.postgres / "passwords.json").read_text())
    assert passwords.keys() == {"owner", "pipeline", "reader", "dashboard_reader"}
    assert len(set(passwords.values())) == 4
    assert not [p for p in passwords.values() if p in repr(server) + repr(server._cluster)]


def test_nobody_gets_in_without_the_password(server: Server):
    for role in ("owner", "pipeline", "dashboard_reader"):
        parts = {**server.parts(role), "password": "wrong"}
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(**parts)


def test_the_server_listens_on_a_socket_alone(server: Server):
    with server.session("owner") as cursor:
        cursor.execute(
            "select current_setting('listen_addresses'), current_setting('data_checksums'), inet_server_port()"
        )
        assert cursor.fetchone() == ("", "on", None)
    assert len(server.parts()["host"].encode()) < 80


def test_the_last_user_stops_the_server(home: Home):
    first, second = Server(home), Server(home)
    pid = postmaster_pid(home)
    first.close()
    assert second.answers()
    second.close()
    assert not second.answers()
    assert not (home.postgres / "data" / "postmaster.pid").exists()
    with Server(home) as third:
        assert third.answers()
        assert postmaster_pid(home) != pid


def test_a_stale_pid_file_that_names_a_living_process_is_seen_through(home: Home):
    stale = f"{os.getpid()}\n{home.postgres / 'data'}\n1700000000\n5432\n/tmp\n\n  1 2\nready\n"
    (home.postgres / "data" / "postmaster.pid").write_text(stale)
    with Server(home) as server:
        assert server.answers()
        assert postmaster_pid(home) != os.getpid()


def test_a_killed_postmaster_is_replaced_within_ten_seconds(home: Home):
    with Server(home):
        os.kill(postmaster_pid(home), signal.SIGKILL)
        started = time.monotonic()
        with Server(home) as server:
            assert server.answers()
        assert time.monotonic() - started < 10


def test_three_processes_may_start_a_new_home_at_once(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from resources.home import Home; from resources.postgres import Server\n"
        "with Server(Home.at(Path(sys.argv[1]))) as s:\n"
        "    with s.session() as c: c.execute('select 1'); sys.stdout.write('up')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "home")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(3)]
    assert [process.communicate(timeout=120)[0] for process in started] == [b"up"] * 3
    assert not (tmp_path / "home" / "postgres" / "data" / "postmaster.pid").exists()


MAY = {
    ("pipeline", "shuyuan", "delete from ops.deliveries"): True,
    ("pipeline", "shuyuan", "select count(*) from ledger.batches"): True,
    ("pipeline", "shuyuan", "update ledger.batches set department = 'x'"): False,
    ("pipeline", "shuyuan", "delete from ledger.batches"): False,
    ("pipeline", "shuyuan", "truncate ledger.batches"): False,
    ("pipeline", "shuyuan", "drop table ledger.batches"): False,
    ("pipeline", "shuyuan", "create table ledger.x (a int)"): False,
    ("pipeline", "shuyuan", "create table curated.x (a int)"): True,
    ("pipeline", "shuyuan", "create role x"): False,
    ("pipeline", "lake", "create schema x"): True,
    ("pipeline", "dagster", "create table x (a int)"): True,
    ("pipeline", "postgres", "select 1"): False,
    ("reader", "shuyuan", "select count(*) from ops.deliveries"): True,
    ("reader", "shuyuan", "select count(*) from curated.x"): True,
    ("reader", "lake", "select 1"): True,
    ("reader", "shuyuan", "delete from ops.deliveries"): False,
    ("reader", "shuyuan", "set transaction read write; delete from ops.deliveries"): False,
    ("reader", "dagster", "select 1"): False,
    ("dashboard_reader", "shuyuan", "select count(*) from ops.deliveries"): False,
    ("dashboard_reader", "shuyuan", "select count(*) from ledger.batches"): False,
    ("dashboard_reader", "shuyuan", "select count(*) from curated.x"): False,  # until it is granted
    ("dashboard_reader", "shuyuan", "create table curated.y (a int)"): False,
    ("dashboard_reader", "shuyuan", "create temp table y (a int)"): False,
    ("dashboard_reader", "lake", "select 1"): False,
    ("dashboard_reader", "dagster", "select 1"): False,
    ("dashboard_reader", "postgres", "select 1"): False,
}


def test_each_role_may_do_what_is_declared_and_no_more(server: Server):
    found = {}
    for role, database, statement in MAY:
        try:
            with server.session(role, database) as cursor:
                cursor.execute(statement)
            found[role, database, statement] = True
        except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction, ServerError):
            found[role, database, statement] = False
    assert found == MAY


def test_the_dashboard_reads_what_it_was_granted(server: Server):
    with server.session() as cursor:
        cursor.execute("create table curated.v1 as select 1 as a; create view curated.v as table curated.v1")
        cursor.execute("grant select on curated.v to dashboard_reader")
        cursor.execute("create table curated.v2 as select 2 as a; create or replace view curated.v as table curated.v2")
    with server.session("dashboard_reader") as cursor:
        cursor.execute("select a from curated.v")
        assert cursor.fetchall() == [(2,)]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("select a from curated.v2")


def test_preparing_again_keeps_what_is_there(server: Server, home: Home):
    with server.session() as cursor:
        cursor.execute("insert into ops.passes (as_of, state) values ('2026-11-02', 'started')")
    with server.session("owner") as cursor:
        cursor.execute("comment on database shuyuan is 'an older preparation'")
    with Server(home) as again, again.session() as cursor:
        cursor.execute("select as_of::text, state from ops.passes")
        assert cursor.fetchall() == [("2026-11-02", "started")]
        cursor.execute("select shobj_description(oid, 'pg_database') from pg_database where datname = 'shuyuan'")
        assert len(cursor.fetchone()[0]) == 64


def test_a_kept_connection_has_nothing_of_the_session_before(server: Server):
    def backend(cursor) -> int:
        cursor.execute("select pg_backend_pid()")
        return cursor.fetchone()[0]

    with server.session() as cursor:
        first = backend(cursor)
        cursor.execute("create temp table mine (n int); set statement_timeout = 7; select pg_advisory_lock(1)")
    with server.session() as cursor:
        assert backend(cursor) == first
        cursor.execute("select to_regclass('mine'), current_setting('statement_timeout')")
        assert cursor.fetchone() == (None, "0")
        cursor.execute("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")
        assert cursor.fetchone() == (0,)
        with server.session("owner") as owner:
            owner.execute("select pg_terminate_backend(%s)", (first,))
    with server.session() as cursor:  # the dead one is noticed
        assert backend(cursor) != first
        left = backend(cursor)
    with suppress(psycopg2.Error), server.session() as cursor:
        cursor.execute("select 1 / 0")
    with server.session() as cursor:  # one that failed is not kept
        assert backend(cursor) != left


def test_a_lock_excludes_and_a_shared_one_does_not(server: Server):
    with server.lock("a") as ours:
        assert ours
        with server.lock("a", wait=False) as theirs, server.lock("b", wait=False) as other:
            assert (theirs, other) == (False, True)
    with server.lock("a", shared=True), server.lock("a", shared=True, wait=False) as together:
        assert together


def test_an_error_names_role_and_database_but_no_password(server: Server):
    with pytest.raises(ServerError, match="does not let dashboard_reader into lake") as refused:
        server.connect("dashboard_reader", "lake")
    assert server.parts("dashboard_reader")["password"] not in str(refused.value)


def test_a_url_that_is_not_postgresql_is_refused(tmp_path: Path):
    with pytest.raises(ServerRefusedError, match=r"sqlite://… is not postgresql\+psycopg2://…"):
        Server(Home.at(tmp_path), "sqlite:///x")


def test_an_external_server_is_prepared_and_used_alike(small_catalog: Catalog, tmp_path: Path):
    with Server(Home.at(tmp_path / "elsewhere")) as elsewhere:
        url = elsewhere.url("owner", "postgres")
        for _ in range(2):
            with City.open(tmp_path / "home", small_catalog, postgres_url=url) as city:
                city.lake.apply_catalog()
                insert = "INSERT INTO base.population BY NAME SELECT '1' AS id_number"
                city.commit("city", lambda con, insert=insert: con.execute(insert), author="test")
        with City.open(tmp_path / "home", small_catalog, postgres_url=url, read_only=True) as city:
            assert city.con.execute("SELECT count(*) FROM base.population").fetchall() == [(2,)]
    assert not (tmp_path / "home" / "postgres" / "data").exists()


def test_spill_folders_of_dead_processes_are_wiped_and_living_ones_kept(tmp_path: Path):
    home = Home.at(tmp_path)
    with scratch(home) as living:
        dead = home.tmp / "1-dead"
        dead.mkdir()
        (dead / "spill").write_text("张三")
        dead.with_suffix(".lock").touch()
        with scratch(home):
            assert not dead.exists()
            assert living.is_dir()
    assert list(home.tmp.iterdir()) == []


def test_dagster_keeps_its_connections(server: Server, tmp_path: Path):
    storage = {
        name: {
            "module": "resources.dagster_storage",
            "class": kind,
            "config": {"home": str(server.home.root)},
        }
        for name, kind in {
            "event_log_storage": "PooledEventLogStorage",
            "run_storage": "PooledRunStorage",
            "schedule_storage": "PooledScheduleStorage",
        }.items()
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"telemetry": {"enabled": False}, **storage}))

    @dg.op(out=dg.Out(dg.Nothing))
    def many(context):
        for number in range(20):
            context.log_event(dg.AssetMaterialization(asset_key=str(number)))

    @dg.job
    def job():
        many()

    def sessions() -> int:
        with server.session("owner", "postgres") as cursor:
            cursor.execute("select sessions from pg_stat_database where datname = 'dagster'")
            return int(cursor.fetchone()[0])

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        before = sessions()
        result = job.execute_in_process(instance=instance)
        assert result.success
        assert len(instance.all_asset_keys()) == 20
        time.sleep(1)  # the statistics arrive after a second
        assert sessions() - before <= 3
