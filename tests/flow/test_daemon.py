"""Dagster's real daemon: a file being written starts nothing, and within 30 s of its end its run is asked for."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from conftest import SMALL_CATALOGUE
from source_servers import free_port, until

from flow.helpers import environment

pytestmark = [pytest.mark.flow, pytest.mark.soak]
RUNS = "{runsOrError{... on Runs{results{jobName status creationTime}}}}"


@pytest.fixture
def served(tmp_path):
    """`shuyuan serve` on an empty home; gives the home and a way to ask for its runs."""
    home, port = tmp_path / "home", free_port()
    command = [str(Path(sys.executable).with_name("shuyuan")), "serve", "--port", str(port)]
    child = subprocess.Popen(command, env={**environment(home), "SHUYUAN_CATALOG": str(SMALL_CATALOGUE)})

    def runs() -> list[dict]:
        body = json.dumps({"query": RUNS}).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return json.load(answer)["data"]["runsOrError"]["results"]

    def up() -> bool:
        try:
            return runs() == []
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    try:
        until(up, "the Dagster UI", 180)
        yield home, runs
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0


def test_a_complete_file_starts_its_run_within_30_s_and_a_half_written_one_none(served):
    home, runs = served
    folder = home / "landing" / "civil_affairs" / "marriage_registration"
    folder.mkdir(parents=True)
    with (folder / "m_20261102.csv").open("w", encoding="utf-8") as file:
        file.write("id_number,name,marital_status,registered_on\n")
        for letter in "34150219900307" * 2:
            file.write(letter)
            file.flush()
            time.sleep(1.5)
        assert runs() == []
        file.write(",张三,20,2026-10-01\n")
    ended = time.time()
    until(lambda: bool(runs()), "a run", 60)
    [run] = runs()
    assert run["jobName"] == "department_civil_affairs"
    assert run["creationTime"] - ended < 30
    until(lambda: runs()[0]["status"] == "SUCCESS", "its end", 120)
    assert list(folder.iterdir()) == []
