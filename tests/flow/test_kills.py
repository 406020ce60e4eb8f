"""Killed anywhere and run again, the city ends in the state of an undisturbed run.

The day that is killed is the fourth: corrections, relapses, replies to orders.
"""

import contextlib
import os
import random
import signal
import subprocess
import time

import psutil
import pytest
from files import copied

from flow.helpers import command, contents, environment, opened
from resources.verify import verify

pytestmark = pytest.mark.flow


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


def killed_city_equals_undisturbed(home, took: float, expected: dict, kinds: tuple[str, ...], seed: int) -> None:
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


@pytest.fixture
def comes_to_the_same(three_days, four_days, after_four_days, tmp_path):
    """Kill the fourth day of a copy as told, run it again and compare."""
    return lambda kinds, seed: killed_city_equals_undisturbed(
        copied(three_days[0], tmp_path / "home"), four_days[2], after_four_days, kinds, seed
    )


def test_a_run_killed_and_its_server_killed_in_the_next_ends_in_the_same_state(comes_to_the_same):
    comes_to_the_same(("run", "postgres"), seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 120))
@pytest.mark.parametrize("kind", ["run", "postgres"])
def test_twenty_kills_of_each_kind_end_in_the_same_state(comes_to_the_same, kind, seed):
    comes_to_the_same((kind,), seed)
