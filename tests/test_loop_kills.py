"""Killed at any moment and run again, a step of the correction loop tells everybody once and loses nothing."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from correction_loop import DAYS, RIGHT, WRONG, Loop
from files import copied
from loop_step import STEPS

from catalog.load import Catalog
from resources.city import City
from resources.ledger import verify_chain

HERE = Path(__file__).parent
KEYS = [f"{n:04d}" for n in range(1000)]
DEPARTMENT, APPLICANT = "public_security", "civil_affairs"
RESOURCE = "public_security.resident_registration"
# What chance or the clock decides is not compared.
LEFT_OUT = {"salt", "personal_digest", "recorded_at", "content", "previous_digest", "digest"}


def opened(city: City) -> None:
    """1,000 items of one order."""
    Loop(city).day(DAYS[0], dict.fromkeys(KEYS, WRONG), KEYS)


def answered(city: City) -> None:
    """A reply about each item waits."""
    items = [item for (item,) in city.con.execute("SELECT item_id FROM shuyuan.ledger.items ORDER BY 1").fetchall()]
    answers = ["acknowledged", "objection", "corrected", "no such answer"]
    rows = [f"{item},{answers[n % 4]},because\n" for n, item in enumerate(items)]
    land(city, DEPARTMENT, "feedback", ["item_id,reply,reason\n", *rows])


def doubted(city: City) -> None:
    """Another department's file of requests waits, some of them without evidence."""
    rows = [f"{RESOURCE},{key},birth_date,{WRONG},{RIGHT},{'档案' if n % 9 else ''}\n" for n, key in enumerate(KEYS)]
    land(city, APPLICANT, "requests", ["resource,record_key,column,doubted,proposed,evidence\n", *rows[:300]])


def land(city: City, department: str, kind: str, lines: list[str]) -> None:
    path = city.home.landing / department / kind / "file.csv"
    path.parent.mkdir(parents=True)
    path.write_text("".join(lines), "utf-8")


def corrected(city: City) -> None:
    """Half of the items are corrected by a delivery, which was checked."""
    loop = Loop(city, deliveries=1)
    loop.deliver(DAYS[1], {key: RIGHT if n % 2 else WRONG for n, key in enumerate(KEYS)})
    loop.check(DAYS[1], KEYS[::2])


# The home before a step: one before it (none: the empty one), and what happened since.
BEFORE: dict[str, tuple[str, Callable[[City], object]]] = {
    "notices": ("", opened),
    "rulings": ("", opened),
    "sent": ("notices", lambda city: made(city, "notices")),
    "replies": ("sent", answered),
    "reverification": ("sent", corrected),
    "requests": ("notices", doubted),
    "withdrawn requests": ("requests", lambda city: made(city, "requests")),
    "disputes": ("replies", lambda city: made(city, "replies")),
}


def made(city: City, step: str, acts: int = 0) -> None:
    """The acts of a step from one on."""
    for act in STEPS[step][acts:]:
        act(city)


@pytest.fixture(scope="session")
def prepared(
    small_home: Path, small_catalog: Catalog, prelude: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The home before a step; nobody works on it but on copies."""
    folder = tmp_path_factory.mktemp("loop_kills")

    @cache
    def before(step: str) -> Path:
        earlier, work = BEFORE[step]
        home = copied(before(earlier) if earlier else small_home, folder / step)
        with City.open(home, small_catalog, prelude=prelude, threads=1) as city:
            work(city)
        return home

    return before


@pytest.fixture(scope="session")
def undisturbed(
    prepared: Callable[[str], Path], small_catalog: Catalog, prelude: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[float, dict[str, Any]]]:
    """How many seconds a step takes, and what it comes to."""

    @cache
    def told(step: str) -> tuple[float, dict[str, Any]]:
        home = copied(prepared(step), tmp_path_factory.mktemp("undisturbed") / "home")
        with City.open(home, small_catalog, prelude=prelude, threads=1) as city:
            began = time.monotonic()
            made(city, step)
            return time.monotonic() - began, state(city)

    return told


def child(home: Path, step: str) -> subprocess.Popen[str]:
    """The step in a process of its own."""
    command = [sys.executable, str(HERE / "loop_step.py"), str(home), step]
    return subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def state(city: City) -> dict[str, Any]:
    """The ledger, but for chance, and every file that somebody was told by or that waits to be read."""
    found: dict[str, Any] = {}
    for table in ("batches", "orders", "order_events", "items", "events", "requests", "dispute_events"):
        relation = city.con.sql(f"FROM shuyuan.ledger.{table}")
        columns = ", ".join(f'"{column}"' for column in relation.columns if column not in LEFT_OUT)
        found[table] = city.con.execute(f"SELECT {columns} FROM shuyuan.ledger.{table} ORDER BY ALL").fetchall()
    for folder in (city.home.outbox, city.home.landing, city.home.archive):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            found[str(path.relative_to(city.home.root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def kill(process: subprocess.Popen[str], home: Path, after: float, victim: str) -> int:
    """SIGKILL the process, or the PostgreSQL server under it, so many seconds after the step began.

    Returns how many of its acts it says to have done.
    """
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    time.sleep(after)
    if victim == "server":
        with suppress(FileNotFoundError, ProcessLookupError):  # this time the step was done before
            os.kill(int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    else:
        process.kill()
    return process.communicate(timeout=60)[0].count("done")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 30))])
@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=[pytest.mark.soak] * (step == "withdrawn requests")) for step in STEPS]
)
def test_a_step_killed_anywhere_and_run_again_comes_to_the_same(
    prepared, undisturbed, small_catalog, prelude, tmp_path, step, seed
):
    took, expected = undisturbed(step)
    home = copied(prepared(step), tmp_path / "home")
    after = random.Random(f"{step} {seed}").uniform(0, took)
    acts = kill(child(home, step), home, after, victim="server" if seed % 3 == 2 else "process")
    with City.open(home, small_catalog, prelude=prelude, threads=1) as city:
        made(city, step, acts)
        assert state(city) == expected
        assert verify_chain(city.con) == []
