"""Cities that several tests look at, run once a session."""

import subprocess
import time

import pytest
from files import copied

from flow.helpers import ALL_THREADS, ROOT, contents, environment, opened, run_json, shuyuan


@pytest.fixture(scope="session")
def three_days(tmp_path_factory):
    """A small city with every rule's defect planted, three days done, the fourth waiting; the summary of that run."""
    home = tmp_path_factory.mktemp("three_days") / "home"
    shuyuan(home, "demo", "--people", "1000", "--days", "4", "--seed", "7")
    return home, run_json(home, "--as-of", "2026-11-04")


@pytest.fixture(scope="session")
def four_days(three_days, tmp_path_factory):
    """The same city after its fourth day, the summary of that run, and how many seconds it took."""
    home = copied(three_days[0], tmp_path_factory.mktemp("four_days") / "home")
    began = time.monotonic()
    summary = run_json(home)
    return home, summary, time.monotonic() - began


@pytest.fixture(scope="session")
def after_four_days(four_days):
    """All tables of the city that nothing happened to; ask for it before something does."""
    with opened(four_days[0]) as city:
        return contents(city)


@pytest.fixture(scope="session")
def made_by_the_readme(tmp_path_factory):
    """The city `make run` makes, and what it said."""
    home = tmp_path_factory.mktemp("readme") / "home"
    environ = environment(home, **ALL_THREADS)
    done = subprocess.run(["make", "run"], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return home, done.stdout
