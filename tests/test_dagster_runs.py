"""What Dagster makes of a pass that goes wrong: one department stops no other, only what may heal is tried again."""

import os
import shutil
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from conftest import SMALL_CATALOGUE
from source_servers import web_server

from assets import deliveries, passes, pools, pulls, settling
from assets.passing import Pass
from catalog import load_catalog
from pipelines.city_run import run_city
from pipelines.definitions import build_defs
from pipelines.settings import Settings
from resources.city import City
from resources.failures import PermanentError, TransientError

MARRIAGES = "id_number,name,marital_status,registered_on\n"
RESIDENTS = "id_number,name,sex,birth_date,marital_status,household_size\n"
RESIDENT = "341502199003071235,张三,1,1990-03-07,20,3\n"


@pytest.fixture
def settings(small_city) -> Settings:
    return Settings(home=small_city.home.root, catalog=SMALL_CATALOGUE)


def deliver(city, department: str, resource: str, name: str, text: str) -> Path:
    folder = city.home.landing / department / resource
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.manifest.json").write_text("{}")
    (folder / name).write_text(text, "utf-8")
    return folder / name


def marriages(city, day: int, *records: str) -> None:
    text = MARRIAGES + "".join(f"{record}\n" for record in records)
    deliver(city, "civil_affairs", "marriage_registration", f"m_202611{day:02}.csv", text)


def residents(city, day: int, text: str = RESIDENT) -> None:
    deliver(city, "public_security", "resident_registration", f"r_202611{day:02}.csv", RESIDENTS + text)


def names(city, table: str) -> list[str]:
    return [row[0] for row in city.con.execute(f"select name from {table} order by 1").fetchall()]


def test_a_department_that_cannot_be_loaded_keeps_its_state_and_stops_no_other(small_city, settings):
    marriages(small_city, 2, "341502199003071235,张三,20,2026-10-01")
    residents(small_city, 2)
    run_city(settings)
    marriages(small_city, 3, "341502199003071235,张三丰,20,2026-10-01")
    residents(small_city, 3, RESIDENT.replace("张三", "张三丰"))
    deliveries.register(small_city)
    [archived] = small_city.home.archive.rglob("20261103-civil_affairs-*")
    aside = archived.rename(archived.with_suffix(".aside"))
    summary = run_city(settings)
    assert list(summary.passes) == ["2026-11-03"]
    [reason] = summary.not_loaded
    assert reason.startswith("civil_affairs: ")
    assert "is gone" in reason
    assert names(small_city, "civil_affairs.marriage_registration") == ["张三"]
    assert names(small_city, "public_security.resident_registration") == ["张三丰"]
    assert names(small_city, "base.population") == ["张三丰"]
    assert passes.last_finished(small_city) == date(2026, 11, 3)
    aside.rename(archived)
    healed = run_city(settings)
    assert (list(healed.passes), healed.not_loaded) == (["2026-11-03"], [])
    assert names(small_city, "civil_affairs.marriage_registration") == ["张三丰"]
    assert run_city(settings).passes == {}


def test_checks_that_fail_after_the_load_are_made_again(small_city, settings, monkeypatch):
    """The failure is made by hand: no rule can be written that breaks checking as a whole."""
    from assets import quality

    marriages(small_city, 2, "341502199003071235,张三,20,2026-10-01")

    def broken(*_given: object, **_named: object) -> None:
        raise PermanentError("the suite cannot be run")

    with monkeypatch.context() as patch:
        patch.setattr(quality, "check_pools", broken)
        assert run_city(settings).not_loaded == ["civil_affairs: the suite cannot be run"]
    assert names(small_city, "civil_affairs.marriage_registration") == ["张三"]
    again = run_city(settings)
    assert again.not_loaded == []
    assert again.passes["2026-11-02"].deliveries == 1
    checked = small_city.con.execute("select count(*) from quality.results where department = 'civil_affairs'")
    assert checked.fetchone()[0] > 0


def test_deliveries_of_past_days_that_arrive_late_are_taken_in_oldest_first_with_their_own_date(small_city, settings):
    residents(small_city, 9)
    marriages(small_city, 9, "341502199003071235,张三,20,2026-10-01")
    run_city(settings)
    marriages(small_city, 3, "341502199003071235,旧名,10,2026-10-01", "341502198512014526,李四,10,2026-10-02")
    marriages(small_city, 5, "341502198512014526,李四,20,2026-10-02")
    residents(small_city, 4, RESIDENT.replace("张三", "旧名"))
    late = run_city(settings)
    assert list(late.passes) == ["2026-11-09"]  # time never runs backwards
    pool = small_city.con.execute(
        "select name, marital_status, _as_of::varchar from civil_affairs.marriage_registration order by all"
    ).fetchall()
    assert pool == [("张三", "20", "2026-11-09"), ("李四", "20", "2026-11-05")]
    with small_city.server.session() as cursor:
        cursor.execute(
            "select resource, as_of::text, state from ops.deliveries where as_of < '2026-11-09' order by 1, 2"
        )
        assert cursor.fetchall() == [
            ("marriage_registration", "2026-11-03", "pooled"),
            ("marriage_registration", "2026-11-05", "pooled"),
            ("resident_registration", "2026-11-04", "superseded"),  # the pool holds a later full delivery
        ]


def test_a_pool_shows_each_delivery_with_verdict_counts_and_reasons(small_city, settings):
    marriages(small_city, 2, "341502199003071235,张三,20,2026-10-01", "341502199003071235,张三,20,2026-10-01")
    deliver(small_city, "civil_affairs", "marriage_registration", "bad_20261103.csv", "this,is\nno,table\n")
    job = build_defs(settings).resolve_job_def("department_civil_affairs")
    result = job.execute_in_process(run_config={"resources": {"city_pass": {"config": {"as_of": "2026-11-04"}}}})
    [pool] = result.asset_materializations_for_node("pool_civil_affairs")
    good, bad = (record.data for record in pool.metadata["deliveries"].records)
    assert (good["verdict"], good["delivered"], good["pooled"], good["quarantined"]) == ("pooled", 2, 1, 1)
    assert bad["verdict"] == "rejected"
    assert "bad_20261103.csv" in bad["reasons"]


LOADING = """
import sys
from datetime import date
from pathlib import Path
from assets import deliveries, pools
from catalog import load_catalog
from pipelines.installation import open_city
from pipelines.settings import Settings
settings = Settings()
with open_city(settings, load_catalog(settings.catalog)) as city:
    print("ready", flush=True)
    sys.stdin.readline()
    deliveries.register(city)
    pools.load(city, "civil_affairs", date(2026, 11, 30), author=sys.argv[1])
"""


def test_two_processes_take_deliveries_of_one_resource_one_after_the_other(small_city, settings):
    for day in range(2, 12):
        marriages(
            small_city, day, f"341502199003071235,第{day:02}天,20,2026-10-01", *["341502198512014526,李四,10,"] * 9
        )
    environment = {
        "SHUYUAN_HOME": str(settings.home),
        "SHUYUAN_CATALOG": str(settings.catalog),
        "PATH": "/usr/bin:/bin",
    }
    children = [
        subprocess.Popen(
            [sys.executable, "-c", LOADING, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment, cwd=Path(__file__).parents[1],
        )
        for name in ("one", "other")
    ]  # fmt: skip
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=120)
        assert child.returncode == 0
    with small_city.server.session() as cursor:
        cursor.execute(
            "select state, count(*), sum(rows_delivered), sum(rows_pooled + rows_quarantined) from ops.deliveries "
            "group by 1"
        )
        assert cursor.fetchall() == [("pooled", 10, 100, 100)]
    assert names(small_city, "civil_affairs.marriage_registration") == ["李四", "第11天"]
    kept = small_city.con.execute("select count(*) from civil_affairs._quarantine").fetchone()
    assert kept == (80,)


class Tries:
    """A stage that fails, in a real Dagster run that would try everything again if it were let."""

    def __init__(self, monkeypatch, *errors: Exception, reopens: bool = True) -> None:
        self.errors, self.made, self.reopened = list(errors), 0, 0
        monkeypatch.setattr(settling, "WAIT_SECONDS", 0)

        def reopen() -> None:
            self.reopened += 1

        current = Pass(None, date(2026, 11, 2), "test", reopen=reopen if reopens else None)

        @dg.asset(required_resource_keys={"city_pass"}, retry_policy=dg.RetryPolicy(max_retries=5))
        @settling.settled
        def stage(context: dg.AssetExecutionContext) -> None:
            self.made += 1
            if self.errors:
                raise self.errors.pop(0)

        with dg.DagsterInstance.ephemeral() as instance:
            self.success = dg.materialize(
                [stage], resources={"city_pass": current}, instance=instance, raise_on_error=False
            ).success


def test_a_transient_failure_is_tried_again_on_a_city_opened_anew(monkeypatch):
    tries = Tries(monkeypatch, TransientError("lock"), TransientError("network"))
    assert (tries.success, tries.made, tries.reopened) == (True, 3, 2)


def test_a_transient_failure_that_stays_ends_the_step(monkeypatch):
    tries = Tries(monkeypatch, *[TransientError("network")] * 9)
    assert (tries.success, tries.made) == (False, 1 + settling.RETRIES)


@pytest.mark.parametrize("error", [PermanentError("wrong password"), ValueError("nobody foresaw it")])
def test_a_permanent_failure_is_made_once(monkeypatch, error):
    tries = Tries(monkeypatch, error)
    assert (tries.success, tries.made) == (False, 1)


def test_a_run_that_cannot_open_the_city_anew_tries_nothing_again(monkeypatch):
    tries = Tries(monkeypatch, TransientError("network"), reopens=False)
    assert (tries.success, tries.made) == (False, 1)


def test_a_run_whose_postgresql_is_killed_goes_on_when_it_is_up_again(small_city, settings, monkeypatch):
    monkeypatch.setattr(settling, "WAIT_SECONDS", 0)
    marriages(small_city, 2, "341502199003071235,张三,20,2026-10-01")
    real, killed = pools.load, []

    def load(city, *given: object, **named: object):
        if not killed:
            killed.append(int((city.home.postgres / "data" / "postmaster.pid").read_text().splitlines()[0]))
            os.kill(killed[0], signal.SIGKILL)
        return real(city, *given, **named)

    monkeypatch.setattr(pools, "load", load)
    with dg.DagsterInstance.ephemeral() as instance:
        result = build_defs(settings).resolve_job_def("department_civil_affairs").execute_in_process(instance=instance)
    assert result.success
    with City.open(settings.home, small_city.catalog) as city:
        assert names(city, "civil_affairs.marriage_registration") == ["张三"]


def test_a_run_pulls_what_is_due_first_and_a_source_that_fails_does_not_fail_it(small_city, tmp_path):
    catalog = tmp_path / "catalog"
    shutil.copytree(SMALL_CATALOGUE, catalog)
    settings = Settings(home=small_city.home.root, catalog=catalog)
    with web_server(tmp_path / "web") as web:
        for place, name in (
            ("civil_affairs/marriage_registration", "m_20261102.csv"),
            ("public_security/resident_registration", "gone.csv"),
        ):
            file = catalog / "departments" / f"{place}.yaml"
            file.write_text(f"{file.read_text('utf-8')}\nsource: {{kind: http, url: {web.url}/{name}}}\n", "utf-8")
        (web.files / "m_20261102.csv").write_text(MARRIAGES + "341502199003071235,张三,20,2026-10-01\n", "utf-8")
        assert run_city(settings, pull=False).passes == {}
        assert web.asked == []
        summary = run_city(settings)
        asked = len(web.asked)
        again = run_city(settings)
    assert (summary.pulled, list(summary.passes), summary.not_loaded) == (1, ["2026-11-02"], [])
    [reason] = summary.not_pulled
    assert "gone.csv: is not there" in reason
    assert names(small_city, "civil_affairs.marriage_registration") == ["张三"]
    assert (again.pulled, again.passes) == (0, {})
    assert all("gone.csv" in request for request in web.asked[asked:])  # the other came in this week already
    assert pulls.failing(small_city) == summary.not_pulled


@pytest.fixture
def pulling(small_city, tmp_path):
    """The pull job of a department whose source is a web server here, and the server."""
    with web_server(tmp_path / "web") as web:
        catalog = load_catalog(SMALL_CATALOGUE)
        resource = catalog.resources["civil_affairs.marriage_registration"]
        stated = {"kind": "http", "url": f"{web.url}/m_20261102.csv"}
        sourced = type(resource).model_validate(resource.model_dump(by_alias=True) | {"source": stated})
        catalog.resources[sourced.id] = sourced
        defs = build_defs(Settings(home=small_city.home.root, catalog=SMALL_CATALOGUE), catalog=catalog)
        yield defs, web


@pytest.mark.parametrize(("faults", "success", "least"), [([503] * 7, True, 8), ([404] * 99, False, 1)])
def test_the_pull_job_tries_again_what_may_heal_and_nothing_else(pulling, monkeypatch, faults, success, least):
    monkeypatch.setattr(settling, "WAIT_SECONDS", 0)
    monkeypatch.setattr(pulls, "WAIT_SECONDS", 0.01)
    defs, web = pulling
    (web.files / "m_20261102.csv").write_text(MARRIAGES + "341502199003071235,张三,20,2026-10-01\n", "utf-8")
    web.faults[:] = faults
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("pull_civil_affairs").execute_in_process(instance=instance, raise_on_error=False)
        attempts = [e for e in result.all_events if e.event_type_value in ("STEP_START", "STEP_RESTARTED")]
    assert result.success == success
    assert (len(attempts) > 1) == success
    assert len(web.asked) >= least


def test_a_department_with_a_source_has_a_pull_job_and_a_schedule_that_runs(pulling):
    defs, _ = pulling
    repository = defs.get_repository_def()
    schedule = repository.get_schedule_def("pull_civil_affairs")
    assert (schedule.job_name, schedule.default_status.value) == ("pull_civil_affairs", "RUNNING")
    assert [s.name for s in repository.schedule_defs if s.name.startswith("pull_")] == ["pull_civil_affairs"]
