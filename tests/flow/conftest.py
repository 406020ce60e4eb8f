"""Cities that several tests look at, run once a session."""

import subprocess

import pytest

from flow.helpers import ROOT, environment, run_json, shuyuan


@pytest.fixture(scope="session")
def four_days(tmp_path_factory):
    """A small city over four days with every rule's defect planted; the summary of its run."""
    home = tmp_path_factory.mktemp("four_days") / "home"
    shuyuan(home, "demo", "--people", "1000", "--days", "4", "--seed", "7")
    return home, run_json(home)


@pytest.fixture(scope="session")
def made_by_the_readme(tmp_path_factory):
    """The city `make run` makes, and what it said."""
    home = tmp_path_factory.mktemp("readme") / "home"
    done = subprocess.run(["make", "run"], cwd=ROOT, env=environment(home), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return home, done.stdout
