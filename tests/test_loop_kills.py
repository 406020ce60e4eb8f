"""Killed at any moment and run again, a step of the correction loop tells everybody once and loses nothing."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from correction_loop import DAYS, RIGHT, WRONG, Loop
from files import copied
from loop_step import STEPS

from assets.notices import issue
from catalog.load import Catalog
from resources.city import City
from resources.ledger import verify_chain

HERE = Path(__file__).parent
KEYS = [f"{n:04d}" for n in range(1000)]
DEPARTMENT = "public_security"
# What chance or the clock decides is not compared.
LEFT_OUT = {"salt", "personal_digest", "recorded_at", "content", "previous_digest", "digest"}


@pytest.fixture(scope="session")
def prepared(
    small_home: Path, small_catalog: Catalog, prelude: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A home before each step: 1,000 items opened; sent and answered; sent and half of them corrected."""
    folder = tmp_path_factory.mktemp("loop_kills")
    first = folder / "notices"
    copied(small_home, first)
    with City.open(first, small_catalog, prelude=prelude, threads=1) as city:
        loop = Loop(city)
        loop.day(DAYS[0], dict.fromkeys(KEYS, WRONG), KEYS)
    second, third = folder / "replies", folder / "reverification"
    copied(first, second)
    with City.open(second, small_catalog, prelude=prelude, threads=1) as city:
        issue(city, DAYS[0], author="test")
        items = [item for (item,) in city.con.execute("SELECT item_id FROM shuyuan.ledger.items ORDER BY 1").fetchall()]
    copied(second, third)
    landed = second / "landing" / DEPARTMENT / "feedback" / "replies.csv"
    landed.parent.mkdir(parents=True)
    answers = ["acknowledged", "objection", "corrected", "no such answer"]
    rows = [f"{item},{answers[n % 4]},because\n" for n, item in enumerate(items)]
    landed.write_text("".join(["item_id,reply,reason\n", *rows]), "utf-8")
    with City.open(third, small_catalog, prelude=prelude, threads=1) as city:
        loop = Loop(city, deliveries=1)
        loop.deliver(DAYS[1], {key: RIGHT if n % 2 else WRONG for n, key in enumerate(KEYS)})
        loop.check(DAYS[1], KEYS[::2])
    return {"notices": first, "replies": second, "reverification": third}


@pytest.fixture(scope="session")
def undisturbed(
    prepared: dict[str, Path], small_catalog: Catalog, prelude: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[float, dict[str, Any]]]:
    """What each step comes to, and how many seconds it takes."""
    expected = {}
    for step, home in prepared.items():
        copy = tmp_path_factory.mktemp(step) / "home"
        copied(home, copy)
        with City.open(copy, small_catalog, prelude=prelude, threads=1) as city:
            began = time.monotonic()
            STEPS[step](city)
            expected[step] = time.monotonic() - began, state(city)
    return expected


def child(home: Path, step: str) -> subprocess.Popen[str]:
    """The step in a process of its own."""
    command = [sys.executable, str(HERE / "loop_step.py"), str(home), step]
    return subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def state(city: City) -> dict[str, Any]:
    """The ledger, but for chance, and every file that somebody was told by or that waits to be read."""
    found: dict[str, Any] = {}
    for table in ("batches", "orders", "order_events", "items", "events"):
        relation = city.con.sql(f"FROM shuyuan.ledger.{table}")
        columns = ", ".join(f'"{column}"' for column in relation.columns if column not in LEFT_OUT)
        found[table] = city.con.execute(f"SELECT {columns} FROM shuyuan.ledger.{table} ORDER BY ALL").fetchall()
    for folder in (city.home.outbox, city.home.landing, city.home.archive):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            found[str(path.relative_to(city.home.root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def kill(process: subprocess.Popen[str], home: Path, after: float, victim: str) -> None:
    """SIGKILL the process, or the PostgreSQL server under it, so many seconds after the step began."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    time.sleep(after)
    if victim == "server":
        os.kill(int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    else:
        process.kill()
    process.communicate(timeout=60)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 30))])
@pytest.mark.parametrize("step", STEPS)
def test_a_step_killed_anywhere_and_run_again_comes_to_the_same(
    prepared, undisturbed, small_catalog, prelude, tmp_path, step, seed
):
    took, expected = undisturbed[step]
    home = tmp_path / "home"
    copied(prepared[step], home)
    after = random.Random(f"{step} {seed}").uniform(0, took)
    kill(child(home, step), home, after, victim="server" if seed % 3 == 2 else "process")
    with City.open(home, small_catalog, prelude=prelude, threads=1) as city:
        STEPS[step](city)
        assert state(city) == expected
        assert verify_chain(city.con) == []
