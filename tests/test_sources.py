"""Pulls from real servers on loopback: what is new comes once, what fails says why, and no secret is told."""

import dataclasses
import os
import time
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from source_servers import MARIADBD, SSHD, free_port, mariadb_server, s3_server, ssh_server, web_server

from assets import deliveries, pools, pulls
from catalog.models import Resource
from catalog.sources import Source
from resources.secrets import Vault

HEADER = "id_number,name,marital_status,registered_on\n"
FIRST = HEADER + "34150219900307123X,张三,20,2026-10-01\n"
SECOND = HEADER + "341502198512014526,李四,10,2026-10-02\n"
openssh = [pytest.mark.openssh, pytest.mark.skipif(SSHD is None, reason="needs Debian's openssh-server")]
mariadb = [pytest.mark.mariadb, pytest.mark.skipif(MARIADBD is None, reason="needs Debian's mariadb-server")]


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch):
    monkeypatch.setattr(pulls, "WAIT_SECONDS", 0.05)


@pytest.fixture
def vault(tmp_path) -> Vault:
    """Secrets as `set_secret` leaves them."""
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    return Vault({"PASSWORD": "quiet water", "WRONG": "not the password"}.get, folder)


@pytest.fixture
def marriages(small_city):
    """The resource, with a source as the catalogue would state it."""

    def with_source(**stated: object) -> Resource:
        source = TypeAdapter(Source).validate_python(stated)
        resource = small_city.catalog.resources["civil_affairs.marriage_registration"]
        return resource.model_copy(update={"source": source})

    return with_source


@pytest.fixture(scope="module")
def ssh_here(tmp_path_factory):
    with ssh_server(tmp_path_factory.mktemp("ssh") / "server") as server:
        yield server


@pytest.fixture(scope="module")
def s3_here(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def mariadb_here(tmp_path_factory):
    with mariadb_server(tmp_path_factory.mktemp("maria") / "server") as server:
        yield server


def write(path: Path, text: str, *, age: float = 3600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    os.utime(path, (time.time() - age,) * 2)
    return path


def landed(city) -> dict[str, str]:
    folder = city.home.landing / "civil_affairs" / "marriage_registration"
    return {p.name: p.read_text("utf-8") for p in sorted(folder.glob("[!.]*")) if not p.name.endswith(".json")}


def pull_one(city, resource, vault, **how) -> pulls.Pulled:
    [done] = pulls.pull(city, [resource], vault, **how)
    return done


def pooled(city) -> list[tuple]:
    return city.con.execute("select id_number, name from civil_affairs.marriage_registration order by all").fetchall()


def take_in(city) -> deliveries.Registered:
    found = deliveries.register(city)
    pools.load(city, "civil_affairs", pulls.clock.today(), author="test")
    return found


def new_once_then_nothing_then_the_changed_one(city, resource, vault, folder: Path) -> None:
    """What every place of files must do."""
    write(folder / "marriage_20261001.csv", FIRST)
    write(folder / "marriage_20261001.csv.part", "half")
    write(folder / "other.csv", "not asked for")
    done = pull_one(city, resource, vault)
    assert (done.failure, done.files) == ("", ["marriage_20261001.csv"])
    assert landed(city) == {"marriage_20261001.csv": FIRST}
    assert pull_one(city, resource, vault).outcome == "nothing new"
    assert take_in(city).registered == 1
    assert pull_one(city, resource, vault).outcome == "nothing new"
    assert landed(city) == {}
    write(folder / "marriage_20261002.csv", SECOND)
    assert pull_one(city, resource, vault).files == ["marriage_20261002.csv"]
    take_in(city)
    assert [name for _, name in pooled(city)] == ["李四", "张三"]
    with city.server.session() as cursor:
        cursor.execute(
            "select d.file_name, d.state, d.as_of::text, p.sha256 = d.sha256 from ops.pulls p "
            "join ops.deliveries d on d.file_name = p.delivery_file order by 1"
        )
        assert cursor.fetchall() == [
            ("marriage_20261001.csv", "pooled", "2026-10-01", True),
            ("marriage_20261002.csv", "pooled", "2026-10-02", True),
        ]


class TestSftp:
    pytestmark = openssh

    @pytest.fixture
    def server(self, ssh_here):
        return ssh_here

    @pytest.fixture
    def stated(self, server, vault):
        key = vault.folder / "key"
        key.write_text(server.key.read_text())
        return {
            "kind": "sftp", "url": server.url("marriage_*.csv"), "user": server.user,
            "credentials": {"private_key": {"file": "key"}}, "host_keys": [server.host_key],
        }  # fmt: skip

    def test_new_files_come_once(self, small_city, marriages, vault, server, stated):
        new_once_then_nothing_then_the_changed_one(small_city, marriages(**stated), vault, server.files)

    def test_a_manifest_beside_the_file_comes_with_it(self, small_city, marriages, vault, server, stated):
        write(server.files / "stated" / "m.csv", FIRST)
        write(server.files / "stated" / "m.csv.manifest.json", '{"as_of": "2026-09-30", "rows": 1}')
        resource = marriages(**stated | {"url": server.url("stated/*.csv")})
        assert pull_one(small_city, resource, vault).failure == ""
        take_in(small_city)
        told = small_city.con.execute("select as_of::varchar, rows_declared from shuyuan.ops.deliveries").fetchall()
        assert told == [("2026-09-30", 1)]

    def test_a_file_that_grows_is_left_until_it_is_whole(self, small_city, marriages, vault, server, stated):
        resource = marriages(**stated | {"url": server.url("growing/*.csv")})
        growing = write(server.files / "growing" / "g_20261001.csv", FIRST[:-5], age=0)
        done = pull_one(small_city, resource, vault)
        assert (done.outcome, done.waiting, landed(small_city)) == ("nothing new", ["g_20261001.csv"], {})
        write(growing, FIRST, age=0)
        assert pull_one(small_city, resource, vault).files == ["g_20261001.csv"]

    def test_another_host_key_is_refused(self, small_city, marriages, vault, server, stated):
        other = " ".join((server.key.with_suffix(".pub")).read_text().split()[:2])
        done = pull_one(small_city, marriages(**stated | {"host_keys": [other]}), vault)
        assert "host key that is not one of host_keys" in done.failure
        assert not done.transient

    def test_a_wrong_password_names_user_and_reference(self, small_city, marriages, vault, stated):
        wrong = stated | {"credentials": {"password": {"env": "WRONG"}}}
        done = pull_one(small_city, marriages(**wrong), vault)
        assert (
            f"refuses user {stated['user']}: check the user and the secret in environment variable WRONG"
            in done.failure
        )
        assert "not the password" not in done.failure
        assert not done.transient

    def test_a_missing_folder_is_named(self, small_city, marriages, vault, server, stated):
        done = pull_one(small_city, marriages(**stated | {"url": server.url("nowhere/*.csv")}), vault)
        assert "nowhere/*.csv: is not there" in done.failure
        assert not done.transient

    def test_nobody_listening_is_transient(self, small_city, marriages, vault, server, stated):
        url = stated["url"].replace(str(server.port), str(free_port()))
        done = pull_one(small_city, marriages(**stated | {"url": url}), vault)
        assert "does not answer" in done.failure
        assert done.transient


class TestS3:
    @pytest.fixture
    def server(self, s3_here):
        return s3_here

    @pytest.fixture
    def stated(self, server, vault):
        (vault.folder / "id").write_text(server.key_id)
        (vault.folder / "secret").write_text(server.secret_key + "\n")
        return {
            "kind": "s3", "url": "s3://civil/out/marriage_*.csv", "endpoint": server.endpoint,
            "credentials": {"key_id": {"file": "id"}, "secret_key": {"file": "secret"}},
        }  # fmt: skip

    def test_new_objects_come_once(self, small_city, marriages, vault, server, stated):
        folder = server.files / "civil" / "out"
        new_once_then_nothing_then_the_changed_one(small_city, marriages(**stated), vault, folder)

    def test_a_wrong_secret_is_permanent(self, small_city, marriages, vault, server, stated):
        (vault.folder / "secret").write_text("wrong")
        done = pull_one(small_city, marriages(**stated), vault)
        assert "refuses these credentials" in done.failure
        assert not done.transient

    def test_a_missing_bucket_is_permanent(self, small_city, marriages, vault, server, stated):
        done = pull_one(small_city, marriages(**stated | {"url": "s3://nowhere/out/*.csv"}), vault)
        assert "is not there" in done.failure
        assert not done.transient


class TestHttp:
    @pytest.fixture
    def web(self, tmp_path):
        with web_server(tmp_path / "web", user="city") as server:
            yield server

    @pytest.fixture
    def stated(self, web, vault):
        (vault.folder / "web").write_text(web.password)
        return {
            "kind": "http", "url": f"{web.url}/marriage_*.csv", "user": "city",
            "credentials": {"password": {"file": "web"}},
        }  # fmt: skip

    def test_new_files_of_a_page_come_once(self, small_city, marriages, vault, web, stated):
        new_once_then_nothing_then_the_changed_one(small_city, marriages(**stated), vault, web.files)

    def test_without_any_version_the_content_tells(self, small_city, marriages, vault, web, stated):
        web.versions = False
        file = write(web.files / "m_20261001.csv", FIRST)
        resource = marriages(**stated | {"url": f"{web.url}/m_20261001.csv"})
        assert pull_one(small_city, resource, vault).files == ["m_20261001.csv"]
        assert pull_one(small_city, resource, vault).outcome == "nothing new"
        write(file, SECOND)
        assert pull_one(small_city, resource, vault).outcome == "pulled"

    @pytest.mark.parametrize(
        ("faults", "outcome", "transient"),
        [([503, 503], "pulled", False), ([503] * 9, "failed", True)],
    )
    def test_only_what_may_heal_is_tried_again(
        self, small_city, marriages, vault, web, stated, faults, outcome, transient
    ):
        write(web.files / "m_20261001.csv", FIRST)
        web.faults[:] = faults
        done = pull_one(small_city, marriages(**stated | {"url": f"{web.url}/m_20261001.csv"}), vault)
        assert (done.outcome, done.transient) == (outcome, transient)

    def test_a_wrong_password_is_tried_once(self, small_city, marriages, vault, web, stated):
        (vault.folder / "web").write_text("wrong")
        done = pull_one(small_city, marriages(**stated), vault)
        assert "refuses user city" in done.failure
        assert len(web.asked) == 1

    def test_a_missing_file_is_permanent(self, small_city, marriages, vault, web, stated):
        done = pull_one(small_city, marriages(**stated | {"url": f"{web.url}/gone.csv"}), vault)
        assert "gone.csv: is not there" in done.failure
        assert not done.transient

    def test_tls_needs_the_declared_authority(self, small_city, marriages, vault, tmp_path):
        with web_server(tmp_path / "tls", tls=True) as web:
            write(web.files / "m_20261001.csv", FIRST)
            untrusted = {"kind": "http", "url": f"{web.url}/m_20261001.csv"}
            done = pull_one(small_city, marriages(**untrusted), vault)
            assert "certificate is not trusted" in done.failure
            assert not done.transient
            trusted = untrusted | {"ca_file": str(web.ca_file)}
            assert pull_one(small_city, marriages(**trusted), vault).files == ["m_20261001.csv"]

    def test_a_password_does_not_follow_to_another_server(self, small_city, marriages, vault, web, stated, tmp_path):
        with web_server(tmp_path / "other") as other:
            write(other.files / "m_20261001.csv", FIRST)
            web.elsewhere = f"{other.url}/m_20261001.csv"
            pull_one(small_city, marriages(**stated | {"url": f"{web.url}/m_20261001.csv"}), vault)
            assert other.asked
            assert other.logins == {None}

    def test_one_failing_source_stops_no_other(self, small_city, marriages, vault, web, stated):
        write(web.files / "m_20261001.csv", FIRST)
        bad = marriages(**stated | {"url": f"{web.url}/gone.csv"})
        good = marriages(**stated | {"url": f"{web.url}/m_20261001.csv"})
        assert [done.outcome for done in pulls.pull(small_city, [bad, good], vault)] == ["failed", "pulled"]

    def test_a_kill_between_copy_and_memory_brings_it_again_and_the_register_knows_it(
        self, small_city, marriages, vault, web, stated, monkeypatch
    ):
        write(web.files / "m_20261001.csv", FIRST)
        resource = marriages(**stated | {"url": f"{web.url}/m_20261001.csv"})

        class Killed(BaseException):
            pass

        def die(*_arguments):
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(pulls._Pull, "remember", die)
            with pytest.raises(Killed):
                pulls.pull(small_city, [resource], vault)
        assert take_in(small_city).registered == 1
        assert pull_one(small_city, resource, vault).files == ["m_20261001.csv"]
        assert dataclasses.astuple(take_in(small_city))[:3] == (0, 0, 1)
        assert len(pooled(small_city)) == 1


# Tables: the same story in two dialects.
ROWS = "('34150219900307123X','张三','20','2026-10-01','2026-10-01 08:00:00')"
EDGE = "('341502198512014526','李四','10','2026-10-02','2026-10-01 08:00:00')"
LATER = "('34150219900307123X','张三丰','20','2026-10-01','2026-10-03 08:00:00')"
BLANK = "('341502197001014515','王五','10','2026-10-02',null)"
MAPPED = {"id_number": "sfzh", "name": "xm"}


def the_watermark_loses_nothing(city, resource, vault, run) -> None:
    """Rows at its edge and rows without one come; what is told twice is pooled once; nothing new is no delivery."""
    run(f"insert into marriage values {ROWS}")
    assert pull_one(city, resource, vault).failure == ""
    take_in(city)
    assert pull_one(city, resource, vault).outcome == "nothing new"
    run(f"insert into marriage values {EDGE}")
    assert pull_one(city, resource, vault).outcome == "pulled"
    take_in(city)
    assert [name for _, name in pooled(city)] == ["李四", "张三"]
    run(f"insert into marriage values {LATER}, {BLANK}")
    assert pull_one(city, resource, vault).outcome == "pulled"
    take_in(city)
    assert [name for _, name in pooled(city)] == ["王五", "李四", "张三丰"]
    assert pull_one(city, resource, vault).outcome == "nothing new"
    run("delete from marriage where upd > '2026-10-02'")
    assert "upd went back from 2026-10-03 08:00:00 to 2026-10-01 08:00:00" in pull_one(city, resource, vault).failure
    assert pull_one(city, resource, vault, again=True).outcome == "pulled"
    assert pull_one(city, resource, vault).outcome == "nothing new"


class TestPostgres:
    @pytest.fixture
    def run(self, small_city):
        with small_city.server.session("owner", "postgres") as cursor:
            cursor.execute("create database register")
        with small_city.server.session("owner", "register") as cursor:
            cursor.execute("create role city login password 'quiet water'")
            cursor.execute("create role poor login password 'quiet water'")
            cursor.execute(
                "create table marriage (sfzh text, xm text, marital_status text, registered_on date, upd timestamp)"
            )
            cursor.execute("grant select on marriage to city")
            yield cursor.execute

    @pytest.fixture
    def stated(self, small_city, run):
        return {
            "kind": "postgres", "host": small_city.server.parts()["host"], "database": "register", "user": "city",
            "credentials": {"password": {"env": "PASSWORD"}}, "tls": "none", "table": "marriage", "columns": MAPPED,
            "watermark": "upd",
        }  # fmt: skip

    def test_the_watermark_loses_nothing(self, small_city, marriages, vault, run, stated):
        the_watermark_loses_nothing(small_city, marriages(**stated), vault, run)

    def test_a_full_pull_states_the_table_as_it_is(self, small_city, marriages, vault, run, stated):
        run(f"insert into marriage values {ROWS}, {EDGE}")
        resource = marriages(**{name: value for name, value in stated.items() if name != "watermark"})
        pull_one(small_city, resource, vault)
        take_in(small_city)
        run("delete from marriage where xm = '李四'")
        pull_one(small_city, resource, vault)
        take_in(small_city)
        assert [name for _, name in pooled(small_city)] == ["张三"]

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"credentials": {"password": {"env": "WRONG"}}}, "refuses user city: check the user and the secret"),
            ({"credentials": {"password": {"env": "UNSET"}}}, "environment variable UNSET is not set"),
            ({"table": "divorce"}, "table divorce: not there, or user city may not read it; public shows: marriage"),
            ({"columns": {"id_number": "nope", "name": "xm"}}, "has no column nope; it has sfzh, xm, marital_status"),
            ({"user": "poor"}, "table marriage: not there, or user poor may not read it"),
            ({"database": "nowhere"}, "is not there"),
            ({"tls": "require", "host": "127.0.0.1"}, "does not answer"),
        ],
    )
    def test_what_fails_is_told_in_one_sentence(self, small_city, marriages, vault, stated, change, told):
        done = pull_one(small_city, marriages(**stated | change), vault)
        assert told in done.failure
        assert done.failure.startswith("civil_affairs.marriage_registration: ")
        assert "quiet water" not in done.failure
        assert done.transient == (told == "does not answer")


class TestMariadb:
    pytestmark = mariadb

    @pytest.fixture
    def server(self, mariadb_here):
        return mariadb_here

    @pytest.fixture
    def stated(self, server):
        server.run(
            "create or replace table marriage (sfzh varchar(18), xm varchar(50), marital_status varchar(2), "
            "registered_on date, upd datetime)"
        )
        return {
            "kind": "mysql", "host": "127.0.0.1", "port": server.port, "database": "register", "user": "city",
            "credentials": {"password": {"env": "PASSWORD"}}, "table": "marriage", "columns": MAPPED,
            "watermark": "upd", "tls": "verify", "ca_file": str(server.ca_file),
        }  # fmt: skip

    def test_the_watermark_loses_nothing(self, small_city, marriages, vault, server, stated):
        the_watermark_loses_nothing(small_city, marriages(**stated), vault, server.run)

    def test_values_come_as_their_own_database_writes_them(self, small_city, marriages, vault, server, stated):
        server.run("set sql_mode = ''; insert into marriage values ('1','张三','20','0000-00-00','2026-10-01')")
        done = pull_one(small_city, marriages(**stated), vault)
        file = small_city.home.landing / "civil_affairs" / "marriage_registration" / done.files[0]
        assert small_city.con.execute(f"select registered_on from '{file}'").fetchall() == [("0000-00-00",)]

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"credentials": {"password": {"env": "WRONG"}}}, "refuses user city: check the user and the secret"),
            ({"table": "divorce"}, "table divorce: not there, or user city may not read it; register shows: marriage"),
            ({"watermark": "nope"}, "has no column nope; it has sfzh, xm, marital_status"),
            ({"database": "mysql"}, "may not be read by this user"),
            ({"ca_file": "/etc/hostname"}, "certificate is not trusted or TLS is not offered"),
            ({"port": 1}, "does not answer"),
        ],
    )
    def test_what_fails_is_told_in_one_sentence(self, small_city, marriages, vault, stated, change, told):
        done = pull_one(small_city, marriages(**stated | change), vault)
        assert told in done.failure
        assert "quiet water" not in done.failure
        assert done.transient == (told == "does not answer")
