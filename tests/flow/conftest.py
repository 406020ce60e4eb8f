"""Cities that several tests look at, run once a session."""

import subprocess

import pytest

from flow.helpers import ROOT, contents, environment, opened

FOUR_DAYS = "--people 1000 --days 4 --seed 7"


@pytest.fixture(scope="session")
def four_days(tmp_path_factory):
    """The city `make run` makes of four days, small, with every rule's defect planted, and what it said."""
    home = tmp_path_factory.mktemp("four_days") / "home"
    done = subprocess.run(
        ["make", "run", f"DEMO={FOUR_DAYS}"], cwd=ROOT, env=environment(home),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return home, done.stdout


@pytest.fixture(scope="session")
def after_four_days(four_days):
    """All tables of the city that nothing happened to; ask for it before something does."""
    with opened(four_days[0]) as city:
        return contents(city)
