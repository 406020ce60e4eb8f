"""Cities that several tests look at, run once a session."""

import pytest

from flow.helpers import run_json, shuyuan


@pytest.fixture(scope="session")
def four_days(tmp_path_factory):
    """A small city over four days with every rule's defect planted; the summary of its run."""
    home = tmp_path_factory.mktemp("four_days") / "home"
    shuyuan(home, "demo", "--people", "1000", "--days", "4", "--seed", "7")
    return home, run_json(home)
