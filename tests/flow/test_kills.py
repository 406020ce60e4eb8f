"""Killed anywhere and run again, the city ends in the state of an undisturbed run."""

import contextlib
import os
import random
import signal
import subprocess
import time

import psutil
import pytest

from flow.helpers import command, contents, environment, opened, run_json, shuyuan
from resources.verify import verify

pytestmark = pytest.mark.flow
CITY = ("demo", "--people", "1000", "--days", "2", "--seed", "3")


@pytest.fixture(scope="module")
def day_one(tmp_path_factory):
    """A city with its first day done and the deliveries of the second waiting: corrections, relapses, replies."""
    home = tmp_path_factory.mktemp("day_one") / "home"
    shuyuan(home, *CITY)
    shuyuan(home, "run", "--as-of", "2026-11-02")
    return home


def copied(home, to):
    """A copy of a home nobody uses, owners kept: the server's files belong to another user when root runs it."""
    subprocess.run(["cp", "-a", str(home), str(to)], check=True)
    return to


@pytest.fixture(scope="module")
def undisturbed(day_one, tmp_path_factory):
    """All tables of a city that nobody killed on its second day, and how long that took."""
    home = copied(day_one, tmp_path_factory.mktemp("undisturbed") / "home")
    began = time.monotonic()
    run_json(home)
    took = time.monotonic() - began
    with opened(home) as city:
        return contents(city), took


def kill_during_a_run(home, kind: str, after: float) -> None:
    """Start a run and, some seconds in, SIGKILL it or the PostgreSQL server under it."""
    process = subprocess.Popen(
        command("run"), env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    time.sleep(after)
    if kind == "run":
        process.kill()
    else:
        while not (servers := postgres_of(home)) and process.poll() is None:
            time.sleep(0.1)  # the run is slower to start than usual
        assert servers, "no server to kill"
        for server in servers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)
    process.communicate(timeout=300)
    assert process.returncode != 0, "the kill came too late"


def postgres_of(home) -> list[int]:
    """The server processes of this home, the postmaster first."""
    pid_file = home / "postgres" / "data" / "postmaster.pid"
    if not pid_file.exists():
        return []
    postmaster = int(pid_file.read_text().split()[0])
    if not psutil.pid_exists(postmaster):
        return []
    return [postmaster, *(child.pid for child in psutil.Process(postmaster).children(recursive=True))]


def killed_city_equals_undisturbed(home, undisturbed, kinds: tuple[str, ...], seed: int) -> None:
    expected, took = undisturbed
    chance = random.Random(seed)
    for kind in kinds:
        kill_during_a_run(home, kind, chance.uniform(0.1, 0.9 / len(kinds)) * took)
    began = time.monotonic()
    again = subprocess.Popen(command("run"), env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        first_word = again.stderr.readline().decode()
        waited = time.monotonic() - began
        _, errors = again.communicate(timeout=600)
    finally:
        again.kill()
    assert again.returncode == 0, first_word + errors.decode()[-3000:]
    assert waited < 10, "the next run must start within 10 s"
    with opened(home) as city:
        assert contents(city) == expected
        assert verify(city) == []


def test_a_run_killed_and_its_server_killed_in_the_next_ends_in_the_same_state(tmp_path, day_one, undisturbed):
    killed_city_equals_undisturbed(copied(day_one, tmp_path / "home"), undisturbed, ("run", "postgres"), seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 120))
@pytest.mark.parametrize("kind", ["run", "postgres"])
def test_twenty_kills_of_each_kind_end_in_the_same_state(tmp_path, day_one, undisturbed, kind, seed):
    killed_city_equals_undisturbed(copied(day_one, tmp_path / "home"), undisturbed, (kind,), seed)
